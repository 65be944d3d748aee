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
use hashbrown::HashMap;
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

    fn segment(&mut self, file: u16, segment: &Segment<'_>) {
        let Some(hash) = fingerprint(segment) else { return };
        if hash & self.mask != 0 {
            return;
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
