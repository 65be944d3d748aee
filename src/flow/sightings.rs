//! Repeated sightings of one datagram, as captures on all interfaces at once have them.

use rpcscope_parsers::Side;

use crate::time::Timestamp;

/// Datagrams remembered of a pair of ports.
const REMEMBERED: usize = 8;
/// Two equal datagrams without an identification are one that was seen twice, if they are not further apart than this,
/// in nanoseconds. A retry takes longer, and the requests of one caller differ in their numbers.
const REPEAT_TIME: u64 = 2_000_000;

#[derive(Clone, Copy, Debug)]
struct Sighting {
    side: Side,
    packet_id: u16,
    hash: u64,
    time: Timestamp,
}

/// The last datagrams of a pair of ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    ring: [Option<Sighting>; REMEMBERED],
    at: usize,
}

impl Sightings {
    /// Whether this datagram was seen before; if not, it is remembered.
    pub(super) fn repeated(&mut self, side: Side, packet_id: u16, hash: u64, time: Timestamp) -> bool {
        let same = |seen: &Sighting| {
            seen.side == side
                && seen.hash == hash
                && seen.packet_id == packet_id
                && (packet_id != 0 || time.since(seen.time) <= REPEAT_TIME)
        };
        if self.ring.iter().flatten().any(same) {
            return true;
        }
        self.ring[self.at] = Some(Sighting { side, packet_id, hash, time });
        self.at = (self.at + 1) % REMEMBERED;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identification_tells_a_repeat_from_a_second_datagram() {
        let mut seen = Sightings::default();
        let at = |ms: i64| Timestamp(ms * 1_000_000);
        assert!(!seen.repeated(Side::A, 7, 1, at(0)));
        assert!(seen.repeated(Side::A, 7, 1, at(40)));
        assert!(!seen.repeated(Side::A, 8, 1, at(41)), "the same bytes sent again");
        assert!(!seen.repeated(Side::A, 7, 2, at(42)), "other bytes");
        assert!(!seen.repeated(Side::B, 7, 1, at(43)), "the other way");
    }

    #[test]
    fn without_an_identification_time_decides() {
        let mut seen = Sightings::default();
        assert!(!seen.repeated(Side::A, 0, 1, Timestamp(0)));
        assert!(seen.repeated(Side::A, 0, 1, Timestamp(1_000_000)));
        assert!(!seen.repeated(Side::A, 0, 1, Timestamp(500_000_000)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Sightings::default();
        for id in 1..=100 {
            assert!(!seen.repeated(Side::A, id, 1, Timestamp(0)));
        }
        assert!(seen.repeated(Side::A, 100, 1, Timestamp(0)));
        assert!(!seen.repeated(Side::A, 1, 1, Timestamp(0)), "long forgotten");
    }
}
