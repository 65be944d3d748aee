//! The packets of calls, read again and written as pcapng for Wireshark.

mod checksum;
mod comments;
mod marks;
mod ranges;

use std::collections::BTreeMap;
use std::io;

use hashbrown::{HashMap, HashSet};
use rpcscope_parsers::tls::record::begins_handshake;

use crate::calls::Call;
use crate::decode::{Decoded, Decoder, FlowKey};
use crate::dispatch::DecodeAs;
use crate::flow::{Limits, Stamp, Table};
use crate::sink::packets::PacketWriter;
use crate::source::{Batch, Source};

pub use comments::Comments;
pub use marks::LeftOut;
use marks::{Fate, Marker, Marks};

/// The packets that belong to calls: for each call, the packets of its connection from the call's first to its last. HTTP/2
/// calls start at the connection's first packet, because a header block depends on the earlier ones, and so do calls in TLS, whose records
/// can't be opened without the handshake. On a shared connection this includes packets of other calls, which can't be separated.
#[derive(Debug, Default)]
pub struct Wanted {
    ranges: HashMap<FlowKey, Vec<Range>, foldhash::fast::RandomState>,
    /// The summary of each call, which becomes a comment on its last packet.
    comments: Comments,
    /// Calls for which the comment on their packet had no room.
    uncommented: u64,
    last: u64,
}

/// Packets of one connection, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: u64,
    last: u64,
    /// The first packet of the connection.
    connection: u64,
}

impl Wanted {
    /// Adds a call.
    pub fn add(&mut self, call: &Call) {
        let (key, _) = FlowKey::new(call.client, call.server, call.network);
        let key = key.at(call.capture_point);
        // HTTP/2 header tables depend on all earlier header blocks.
        let first = if call.transport.headers_depend_on_earlier() { call.connection } else { call.packets.0 };
        let range = Range { first, last: call.packets.1, connection: call.connection };
        self.ranges.entry(key).or_default().push(range);
        self.uncommented += u64::from(!self.comments.add(call));
        self.last = self.last.max(call.packets.1);
    }

    /// Whether no calls were added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Calls of which no comment tells: too many end with one packet.
    #[must_use]
    pub fn uncommented(&self) -> u64 {
        self.uncommented
    }

    /// Whether a packet is wanted; `in_tls`: of a connection in TLS.
    fn has(&self, key: &FlowKey, number: u64, in_tls: bool) -> bool {
        let ranges = self.ranges.get(key).map(Vec::as_slice).unwrap_or_default();
        let done = ranges.partition_point(|range| range.last < number);
        ranges.get(done).is_some_and(|range| number >= if in_tls { range.connection } else { range.first })
    }

    /// Sorts the ranges of each connection and merges adjacent ones.
    fn settle(&mut self) {
        for ranges in self.ranges.values_mut() {
            ranges.sort_unstable();
            ranges.dedup_by(|next, kept| {
                let joins = next.first <= kept.last.saturating_add(1);
                if joins {
                    kept.last = kept.last.max(next.last);
                }
                joins
            });
        }
    }
}

/// Which bytes of the wanted packets are those of bodies; made by [`Redacted::read`].
#[derive(Debug)]
pub struct Redacted {
    marks: Marks,
    /// Packets that were left out, by the reason.
    left_out: BTreeMap<LeftOut, u64>,
}

impl Redacted {
    /// Reads the connections of wanted calls from `source`, from its first packet on.
    pub fn read(
        source: &mut dyn Source,
        wanted: &Wanted,
        decode_as: &[DecodeAs],
        limits: Limits,
    ) -> io::Result<Self> {
        let mut marker = Marker::new(decode_as);
        let mut table = Table::new(limits);
        let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
        let mut now = Stamp::default();
        'packets: while source.next_batch(&mut batch).map_err(io::Error::other)? {
            for packet in batch.packets() {
                if packet.number > wanted.last {
                    break 'packets;
                }
                let Decoded::Segment(segment) = decoder.decode(&packet) else { continue };
                if wanted.ranges.contains_key(&segment.key) {
                    now = Stamp { packet: packet.number, time: packet.time };
                    table.any_segment(&segment, &mut marker);
                }
            }
        }
        table.finish(now, &mut marker);
        Ok(Self { marks: marker.marks, left_out: BTreeMap::new() })
    }

    /// How many packets were left out for which reason.
    pub fn left_out(&self) -> impl Iterator<Item = (LeftOut, u64)> {
        self.left_out.iter().map(|(why, packets)| (*why, *packets))
    }
}

/// Writes the wanted packets of `source` and returns their number. Of a fragmented datagram, only the last fragment is
/// written. With `redacted`, the bytes of bodies are zeros in them. Secrets that `source` carries are not written: they
/// would open all its connections.
pub fn write(
    source: &mut dyn Source,
    mut wanted: Wanted,
    mut redacted: Option<&mut Redacted>,
    writer: &mut PacketWriter,
) -> io::Result<u64> {
    wanted.settle();
    let mut decoder = Decoder::default();
    let mut batch = Batch::default();
    let mut written = 0;
    let mut replaced = Vec::new();
    let mut in_tls = HashSet::new();
    while source.next_batch(&mut batch).map_err(io::Error::other)? {
        for mut packet in batch.packets() {
            let Decoded::Segment(segment) = decoder.decode(&packet) else { continue };
            if begins_handshake(segment.payload) && wanted.ranges.contains_key(&segment.key) {
                in_tls.insert(segment.key);
            }
            if !wanted.has(&segment.key, packet.number, in_tls.contains(&segment.key)) {
                continue;
            }
            if let Some(Redacted { marks, left_out }) = redacted.as_deref_mut() {
                match marks.fate(&segment, packet.data, &mut replaced) {
                    Fate::Same => {}
                    Fate::Replaced => packet.data = &replaced,
                    Fate::LeftOut(why) => {
                        *left_out.entry(why).or_default() += 1;
                        continue;
                    }
                }
            }
            writer
                .name_interface(packet.interface, || source.interface_name(packet.interface).map(Into::into));
            writer.write(&packet, wanted.comments.take(packet.number).as_deref())?;
            written += 1;
        }
        if batch.records.last().is_some_and(|record| record.number >= wanted.last) {
            break;
        }
    }
    writer.finish()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    #[test]
    fn calls_beyond_the_room_of_a_comment_are_counted() {
        let mut wanted = Wanted::default();
        let mut calls = 0;
        while wanted.uncommented() < 3 {
            wanted.add(&sample::full());
            calls += 1;
        }
        let comment = wanted.comments.take(sample::full().packets.1).unwrap();
        assert_eq!(comment.lines().count(), calls - 3);
        assert!(u16::try_from(comment.len()).is_ok());
    }
}
