//! The packets of calls, read again and written as pcapng for Wireshark.

use std::io;

use hashbrown::HashMap;

use crate::calls::Call;
use crate::calls::summary::sentence;
use crate::decode::{Decoded, Decoder, FlowKey};
use crate::sink::packets::PacketWriter;
use crate::source::{Batch, Source};

/// Which packets belong to calls: of each connection, the packets from the first to the last one of each call (over HTTP/2
/// from the connection's first, since a header block can't be read without those before it). On a connection that calls
/// share this holds packets of others too: they can't be taken apart.
#[derive(Debug, Default)]
pub struct Wanted {
    ranges: HashMap<FlowKey, Vec<(u64, u64)>, foldhash::fast::RandomState>,
    /// What is said of a call in a comment of its last packet.
    comments: HashMap<u64, String, foldhash::fast::RandomState>,
    last: u64,
}

impl Wanted {
    /// Adds a call.
    pub fn add(&mut self, call: &Call) {
        let (key, _) = FlowKey::new(call.client, call.server, call.network);
        let key = key.at(call.capture_point);
        // The header tables of HTTP/2 are made of everything before.
        let first = if call.transport.headers_depend_on_earlier() { call.connection } else { call.packets.0 };
        self.ranges.entry(key).or_default().push((first, call.packets.1));
        let comment = self.comments.entry(call.packets.1).or_default();
        if !comment.is_empty() {
            comment.push('\n');
        }
        comment.push_str(&sentence(call));
        self.last = self.last.max(call.packets.1);
    }

    /// Whether no call was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn has(&self, key: &FlowKey, number: u64) -> bool {
        let ranges = self.ranges.get(key).map(Vec::as_slice).unwrap_or_default();
        let after = ranges.partition_point(|(first, _)| *first <= number);
        ranges.get(..after).is_some_and(|before| before.last().is_some_and(|(_, last)| number <= *last))
    }

    /// Sorts the ranges of each connection and joins those that touch.
    fn settle(&mut self) {
        for ranges in self.ranges.values_mut() {
            ranges.sort_unstable();
            ranges.dedup_by(|next, kept| {
                let joins = next.0 <= kept.1.saturating_add(1);
                if joins {
                    kept.1 = kept.1.max(next.1);
                }
                joins
            });
        }
    }
}

/// Writes the wanted packets of `source`; gives their number. Fragments of datagrams before the last are left out.
pub fn write(source: &mut dyn Source, mut wanted: Wanted, writer: &mut PacketWriter) -> io::Result<u64> {
    wanted.settle();
    let mut decoder = Decoder::default();
    let mut batch = Batch::default();
    let (mut written, mut secrets) = (0, 0);
    while source.next_batch(&mut batch).map_err(io::Error::other)? {
        writer.secrets(source.secrets().get(secrets..).unwrap_or_default());
        secrets = source.secrets().len();
        for packet in batch.packets() {
            let Decoded::Segment(segment) = decoder.decode(&packet) else { continue };
            if !wanted.has(&segment.key, packet.number) {
                continue;
            }
            writer
                .name_interface(packet.interface, || source.interface_name(packet.interface).map(Into::into));
            writer.write(&packet, wanted.comments.get(&packet.number).map(String::as_str))?;
            written += 1;
        }
        if batch.records.last().is_some_and(|record| record.number >= wanted.last) {
            break;
        }
    }
    writer.finish()?;
    Ok(written)
}
