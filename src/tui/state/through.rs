//! What the filter lets through, besides the rows of the Calls view: figures of methods and errors, and connections.

use hashbrown::HashMap;

use crate::calls::record::Connection;
use crate::decode::Endpoint;
use crate::tui::figures::Figures;
use crate::tui::store::Entry;

/// The calls that the filter let through, counted.
#[derive(Debug, Default)]
pub(in crate::tui) struct Through {
    pub figures: Figures,
    /// Numbers of the first packets of the calls between two ends, in order: they tell connections apart that used the
    /// same ports one after the other.
    ends: HashMap<(Endpoint, Endpoint), Vec<u64>>,
}

impl Through {
    /// Counts a call.
    pub(in crate::tui) fn count(&mut self, entry: &Entry) {
        let call = &entry.call;
        self.figures.count(call, entry.serial, entry.method, entry.group);
        let packets = self.ends.entry((call.client, call.server)).or_default();
        let packet = call.packets.0;
        // Calls come in the order of their ends, which is nearly that of their beginnings.
        let place = packets.iter().rposition(|other| *other <= packet).map_or(0, |last| last + 1);
        packets.insert(place, packet);
    }

    /// Calls of a connection.
    pub(in crate::tui) fn calls(&self, connection: &Connection) -> usize {
        let ends = [(connection.client, connection.server), (connection.server, connection.client)];
        ends.iter()
            .filter_map(|ends| self.ends.get(ends))
            .map(|packets| {
                let first = packets.partition_point(|packet| *packet < connection.first_packet);
                packets.partition_point(|packet| *packet <= connection.last_packet).saturating_sub(first)
            })
            .sum()
    }
}
