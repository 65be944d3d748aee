//! Which thread takes a connection, where several share the work.

use std::net::IpAddr;

use super::FlowKey;

/// A share of all connections: those whose hash lies in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The first and the last value of the upper half of the hash.
    first: u32,
    last: u32,
    /// Its number among all shares.
    index: usize,
}

impl Default for Shard {
    /// All connections.
    fn default() -> Self {
        Self { first: 0, last: u32::MAX, index: 0 }
    }
}

impl Shard {
    /// Divides all connections into `count` shares: `first` (of 1) of them for the first one, the rest equally for the others.
    #[must_use]
    pub fn split(count: usize, first: f64) -> Vec<Self> {
        // Floats have 53 bits: the borders are exact enough, and every value of the hash is in one share.
        let border = |index: usize| match index {
            0 => 0,
            index if index >= count => 1 << 32,
            index => {
                let rest = (1.0 - first) * (index - 1) as f64 / (count - 1) as f64;
                ((first + rest) * (1_u64 << 32) as f64) as u64
            }
        };
        let ranges = (0..count).map(|index| (border(index), border(index + 1)));
        let shard = |(index, (from, to)): (usize, (u64, u64))| match to.checked_sub(from + 1) {
            Some(_) => Self { first: from as u32, last: (to - 1) as u32, index },
            // Nothing.
            None => Self { first: 1, last: 0, index },
        };
        ranges.enumerate().map(shard).collect()
    }

    /// Whether this is the first of all shares.
    #[must_use]
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    /// How large a part (of 1) of all connections it is.
    #[must_use]
    pub fn part(self) -> f64 {
        let values = (u64::from(self.last) + 1).saturating_sub(u64::from(self.first));
        values as f64 / (1_u64 << 32) as f64
    }

    /// Whether there is no other share.
    #[inline]
    pub(super) fn is_all(self) -> bool {
        (self.first, self.last) == (0, u32::MAX)
    }

    /// Whether a connection with this [`hash`] belongs to the share.
    #[inline]
    pub(super) fn takes(self, hash: u64) -> bool {
        (self.first..=self.last).contains(&((hash >> 32) as u32))
    }

    /// The same for a connection.
    pub(super) fn takes_key(self, key: &FlowKey) -> bool {
        self.is_all() || {
            let end = |ip, port| match ip {
                IpAddr::V4(ip) => (u64::from(ip.to_bits()), port),
                IpAddr::V6(ip) => (fold(ip.to_bits()), port),
            };
            self.takes(hash([end(key.a.ip, key.a.port), end(key.b.ip, key.b.port)]))
        }
    }
}

/// Both halves of an IPv6 address.
#[inline]
pub(super) fn fold(ip: u128) -> u64 {
    (ip >> 64) as u64 ^ (ip as u64).rotate_left(16)
}

/// A hash of a connection that is the same for both directions. Its upper 32 bits are well mixed.
#[inline]
pub(super) fn hash([a, b]: [(u64, u16); 2]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let [a, b] = [a, b].map(|(ip, port)| ip << 16 ^ u64::from(port));
    let (sum, difference) = (a.wrapping_add(b).wrapping_mul(MIX), (a ^ b).wrapping_mul(MIX));
    (sum ^ difference.rotate_left(32)).wrapping_mul(MIX)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::decode::{Endpoint, Network};

    #[test]
    fn every_connection_belongs_to_one_share_and_shares_have_their_sizes() {
        for (count, first) in [(1, 1.0), (2, 0.5), (2, 0.375), (3, 0.2), (4, 0.25), (8, 0.0)] {
            let shards = Shard::split(count, first);
            let mut counts = vec![0_u32; count];
            for n in 0..8000_u32 {
                let from = Ipv4Addr::from_bits(0x0a01_0000 + n % 7);
                let ip: IpAddr =
                    if n % 2 == 0 { from.into() } else { Ipv6Addr::from_bits(u128::from(n) << 70).into() };
                let client = Endpoint { ip, port: 30_000 + (n / 8) as u16 };
                let server = Endpoint { ip: Ipv4Addr::new(10, 0, 0, 2).into(), port: 9090 };
                let (key, _) = FlowKey::new(client, server, Network::Tcp);
                let takers: Vec<usize> = (0..count).filter(|i| shards[*i].takes_key(&key)).collect();
                assert_eq!(takers.len(), 1);
                counts[takers[0]] += 1;
            }
            for (index, counted) in counts.iter().enumerate() {
                let part = if index == 0 { first } else { (1.0 - first) / (count - 1) as f64 };
                let expected = (8000.0 * part) as u32;
                assert!(counted.abs_diff(expected) < 150, "{counts:?} for {count}, {first}");
                assert!((shards[index].part() - part).abs() < 1e-6, "{:?}", shards[index]);
            }
        }
    }
}
