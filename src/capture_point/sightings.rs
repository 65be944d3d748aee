//! Packets that were seen in several files.
//!
//! A packet is known by what neither hosts nor routers change on its way: of TCP the connection, the numbers and the flags,
//! of UDP the ports and the payload. Time to live, link and identification are left out, and so is the length, since
//! network cards cut large segments up and put small ones together. Bare acknowledgements look too much alike.
//!
//! All packets of all files would take too much memory, so those are kept whose hash has so many zeros, and one more as often
//! as there are too many: what is kept of one file is then kept of the others too.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rpcscope_parsers::Side;
use smallvec::SmallVec;

use super::clock::Sample;
use crate::decode::{Decoder, Segment, Transport};
use crate::source::Batch;
use crate::time::Timestamp;

/// Packets that are kept: as many as fit into a table of 2¹⁷ places before it grows.
const MAX_KEPT: usize = (1 << 17) / 8 * 7;

/// Files have to share so many packets to be of different places.
pub(super) const MIN_SHARED: usize = 3;

/// Two sightings in one file within this time are one packet on two interfaces of the host, nanoseconds. Who sends again
/// waits longer.
const SAME: u64 = 1_000_000;

/// Bytes of a datagram that are looked at.
const MAX_HASHED: usize = 64;

/// A packet.
#[derive(Debug)]
struct Seen {
    /// The two hosts.
    route: u32,
    /// Which of them sent it.
    side: Side,
    places: SmallVec<[Sighting; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    file: u16,
    /// It was seen again in this file: sent again, so that nobody can say which of the two is which elsewhere.
    again: bool,
    time: Timestamp,
}

/// Packets of files, as far as they are kept.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    seen: HashMap<u64, Seen, FixedState>,
    /// Only packets are kept of whose hash these bits are 0.
    mask: u64,
    decoder: Decoder,
    file: u16,
}

/// What each two files share, the first named first.
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
            Seen { route, side: segment.side, places: SmallVec::new() }
        });
        match seen.places.iter_mut().find(|place| place.file == file) {
            Some(place) => place.again |= segment.time.since(place.time) > SAME,
            None => seen.places.push(Sighting { file, again: false, time: segment.time }),
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
            for (at, one) in seen.places.iter().enumerate() {
                for two in seen.places.iter().skip(at + 1).filter(|two| !two.again && !one.again) {
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

/// What a packet is known by; `None` for those that look too much alike.
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
