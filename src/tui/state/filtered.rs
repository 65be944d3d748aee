//! What the filter lets through, besides the rows of the Calls view: figures of methods and errors, and connections.

use hashbrown::HashMap;

use crate::calls::record::Connection;
use crate::decode::Endpoint;
use crate::tui::figures::Figures;
use crate::tui::store::Entry;

/// Counts of the calls that the filter lets through.
#[derive(Debug, Default)]
pub(in crate::tui) struct Filtered {
    pub figures: Figures,
    /// Sorted numbers of the first packets of the calls between two ends: they distinguish connections that used the same
    /// ports one after the other.
    first_packets: HashMap<(Endpoint, Endpoint), Vec<u64>>,
}

impl Filtered {
    /// Counts a call.
    pub(in crate::tui) fn count(&mut self, entry: &Entry) {
        let call = &entry.call;
        self.figures.count(call, entry.serial, entry.method, entry.group);
        let packets = self.first_packets.entry((call.client, call.server)).or_default();
        let packet = call.packets.0;
        // Calls come in the order in which they ended, which is nearly that in which they began.
        let at = packets.iter().rposition(|other| *other <= packet).map_or(0, |last| last + 1);
        packets.insert(at, packet);
    }

    /// The number of calls of a connection.
    pub(in crate::tui) fn calls(&self, connection: &Connection) -> usize {
        let ends = [(connection.client, connection.server), (connection.server, connection.client)];
        ends.iter()
            .filter_map(|ends| self.first_packets.get(ends))
            .map(|packets| {
                let first = packets.partition_point(|packet| *packet < connection.first_packet);
                packets.partition_point(|packet| *packet <= connection.last_packet).saturating_sub(first)
            })
            .sum()
    }
}
