//! Packets that were seen in several files.
//!
//! A packet is identified by the fields that neither hosts nor routers change: for TCP the connection, the numbers and the flags, for
//! UDP the ports and the payload. The time to live, the link and the identification are ignored, and so is the length, because network
//! cards split large segments and merge small ones. Bare acknowledgements are too similar to identify.
//!
//! All packets of all files would need too much memory, so only packets whose hash ends in a number of zero bits are kept. The number
//! grows whenever there are too many. This selects the same packets in every file.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use rpcscope_parsers::Side;
use smallvec::SmallVec;

use super::clock::Sample;
use crate::decode::{Decoder, Segment, Transport};
use crate::source::Batch;
use crate::time::Timestamp;

/// Most packets that are kept: what fits into a table of 2¹⁷ slots before it grows.
const MAX_KEPT: usize = (1 << 17) / 8 * 7;

/// Fewest shared packets of files of different capture points.
pub(super) const MIN_SHARED: usize = 3;

/// Most files in which a connection is noted.
const MAX_FILES: usize = 16;

/// Two sightings in one file within this time are one packet on two interfaces of the host, nanoseconds. Retransmissions come later.
const SAME: u64 = 1_000_000;

/// Bytes of a datagram that are hashed.
const MAX_HASHED: usize = 64;

/// A packet.
#[derive(Debug)]
struct Seen {
    /// The two hosts.
    route: u32,
    /// Which of them sent it.
    side: Side,
    sightings: SmallVec<[Sighting; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    file: u16,
    /// It was retransmitted in this file, so it is unclear which of the two the other files show.
    repeated: bool,
    time: Timestamp,
}

/// A sample of the packets of all files.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    seen: HashMap<u64, Seen, FixedState>,
    /// Only packets whose hash has zeros in these bits are kept.
    mask: u64,
    decoder: Decoder,
    file: u16,
    /// The files in which each connection was seen, of those whose packets were kept at some time; no more are added when there are too many.
    connections: HashMap<u64, SmallVec<[u16; 2]>, FixedState>,
    /// The times of the first and the last segment of each file.
    spans: Vec<Option<(Timestamp, Timestamp)>>,
}

/// The packets that each pair of files shares, the file that was named first before the other.
pub(super) type Shared = HashMap<(usize, usize), Vec<Sample>>;

impl Sightings {
    /// Takes packets of a file.
    pub(super) fn batch(&mut self, file: u16, batch: &Batch) {
        if file != self.file {
            self.decoder = Decoder::default();
            self.file = file;
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        super::decode(&mut decoder, batch, |segment| self.segment(file, segment));
        self.decoder = decoder;
    }

    /// When the segments of a file were captured; `None` if it has none.
    pub(super) fn span(&self, file: usize) -> Option<(Timestamp, Timestamp)> {
        self.spans.get(file).copied().flatten()
    }

    fn segment(&mut self, file: u16, segment: &Segment<'_>) {
        let index = usize::from(file);
        if self.spans.len() <= index {
            self.spans.resize(index + 1, None);
        }
        let (first, last) = self.spans[index].unwrap_or((segment.time, segment.time));
        self.spans[index] = Some((first.min(segment.time), last.max(segment.time)));
        let Some(hash) = fingerprint(segment) else { return };
        if hash & self.mask != 0 {
            return;
        }
        if self.connections.len() < MAX_KEPT {
            let connection = FixedState::default().hash_one((segment.key.a, segment.key.b));
            let files = self.connections.entry(connection).or_default();
            if files.len() < MAX_FILES && !files.contains(&file) {
                files.push(file);
            }
        }
        let seen = self.seen.entry(hash).or_insert_with(|| {
            let route = FixedState::default().hash_one((segment.key.a.ip, segment.key.b.ip)) as u32;
            Seen { route, side: segment.side, sightings: SmallVec::new() }
        });
        match seen.sightings.iter_mut().find(|sighting| sighting.file == file) {
            Some(sighting) => sighting.repeated |= segment.time.since(sighting.time) > SAME,
            None => seen.sightings.push(Sighting { file, repeated: false, time: segment.time }),
        }
        if self.seen.len() > MAX_KEPT {
            self.mask = self.mask << 1 | 1;
            let mask = self.mask;
            self.seen.retain(|hash, _| hash & mask == 0);
        }
    }

    /// The pairs of files that have packets of one connection, the one that was named first before the other.
    pub(super) fn share_connections(&self) -> HashSet<(usize, usize), FixedState> {
        let mut pairs = HashSet::default();
        for files in self.connections.values() {
            for (at, one) in files.iter().enumerate() {
                pairs.extend(
                    files[at + 1..].iter().map(|two| (*one.min(two) as usize, *one.max(two) as usize)),
                );
            }
        }
        pairs
    }

    /// The packets that two files share.
    pub(super) fn shared(&self) -> Shared {
        let mut shared = Shared::default();
        for seen in self.seen.values() {
            for (at, one) in seen.sightings.iter().enumerate() {
                for two in seen.sightings.iter().skip(at + 1).filter(|two| !two.repeated && !one.repeated) {
                    let (one, two) = if one.file < two.file { (one, two) } else { (two, one) };
                    shared.entry((one.file.into(), two.file.into())).or_default().push(Sample {
                        reference: one.time,
                        own: two.time,
                        route: seen.route,
                        side: seen.side,
                    });
                }
            }
        }
        shared
    }
}

/// The identity of a packet; `None` for packets that are too similar.
fn fingerprint(segment: &Segment<'_>) -> Option<u64> {
    let hasher = FixedState::default();
    let key = &segment.key;
    let ends = (key.a, key.b, segment.side == Side::A);
    match segment.transport {
        Transport::Tcp(head) => {
            let has_payload = !segment.payload.is_empty() || segment.missing > 0;
            let flags = head.flags;
            (has_payload || flags.syn || flags.fin).then(|| {
                let ack = if flags.ack { head.ack } else { 0 };
                hasher.hash_one((ends, head.seq, ack, flags.syn, flags.fin && !has_payload, has_payload))
            })
        }
        Transport::Udp { .. } => {
            let len = segment.payload.len() + segment.missing as usize;
            Some(hasher.hash_one((ends, len, segment.payload.get(..MAX_HASHED).unwrap_or(segment.payload))))
        }
    }
}
