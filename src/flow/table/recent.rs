//! Connections that are found without the index.

use std::net::IpAddr;

use crate::decode::{FlowKey, Network};

/// Connections that are found without the index, each at a place that its key chooses.
pub(super) const RECENT: usize = 256;

/// The last connection at one place of [`Table::recent`](super::Table). All of its key stands here, so that it is found without a look at any
/// connection's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    pub(super) words: [u64; 2],
    /// No number of a connection if there is none.
    pub(super) id: u32,
}

impl Recent {
    pub(super) const NONE: Self = Self { words: [0; 2], id: u32::MAX };

    /// All of a key, if its addresses are those of IPv4.
    #[inline]
    pub(super) fn words(key: &FlowKey) -> Option<[u64; 2]> {
        match (key.a.ip, key.b.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                Some([u64::from(a.to_bits()) << 32 | u64::from(b.to_bits()), beside_addresses(key)])
            }
            _ => None,
        }
    }

    /// The place of connections with these words.
    #[inline]
    pub(super) fn place([ips, rest]: [u64; 2]) -> usize {
        // Copies of a capture share their ports.
        ((ips ^ rest.rotate_left(7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % RECENT
    }
}

/// Ports, network and capture point of a key.
#[inline]
pub(super) fn beside_addresses(key: &FlowKey) -> u64 {
    let ports = u64::from(key.a.port) << 16 | u64::from(key.b.port);
    let place = u64::from(key.capture_point.0) << 33;
    place | ports << 1 | u64::from(key.network == Network::Udp)
}
