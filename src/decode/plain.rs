//! The packet that nearly every capture is made of: TCP right behind IPv4 without options, or behind IPv6 without extension
//! headers, right behind the link header.
//!
//! One pass over fixed offsets takes a third of the instructions of the general walk. Whatever does not fit exactly (a tag,
//! an option, a fragment, a tunnel, a header that is cut or contradicts itself) is left to the walk, which also says why a
//! packet is skipped. Both give the same segment; the tests compare them on all bundled captures and on damaged packets.

use rpcscope_parsers::Side;

use super::shard;
use super::walk::{ether_type, protocol, tcp_head};
use super::{Endpoint, FlowKey, KeyWords, Network, Segment, TcpFlags, Transport, beside_addresses};
use crate::flow::{Bare, Stamp};
use crate::source::Packet;

/// Length of an IPv4 header without options, and of a TCP header without options.
const SHORT: usize = 20;
/// Length of the IPv6 header.
const IPV6: usize = 40;

/// Source and destination.
#[derive(Clone, Copy)]
enum Addresses {
    V4([u32; 2]),
    V6([u128; 2]),
}

/// A plain packet, its headers checked.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    addresses: Addresses,
    /// Source and destination.
    ports: [u16; 2],
    tcp: &'a [u8; SHORT],
    payload: &'a [u8],
    missing: u32,
}

impl<'a> Plain<'a> {
    /// The packet, if it is a plain one.
    #[expect(clippy::inline_always, reason = "its fields then stay in registers")]
    #[inline(always)]
    pub(super) fn new(packet: &Packet<'a>) -> Option<Self> {
        let data = packet.data;
        // Ethernet, and what Linux captures on all interfaces at once.
        let (kind, ip) = match packet.link.0 {
            1 => (data.get(12..14)?, data.get(14..)?),
            113 => (data.get(14..16)?, data.get(16..)?),
            276 => (data.get(0..2)?, data.get(20..)?),
            _ => return None,
        };
        if !matches!(u16::from_be_bytes([kind[0], kind[1]]), ether_type::IPV4 | ether_type::IPV6) {
            return None;
        }
        match ip.first()? {
            0x45 => ipv4(ip),
            0x60..=0x6f => ipv6(ip),
            _ => None,
        }
    }

    /// See [`shard::hash`].
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        let [source, destination] = self.ports;
        match self.addresses {
            Addresses::V4([a, b]) => shard::hash([(u64::from(a), source), (u64::from(b), destination)]),
            Addresses::V6([a, b]) => shard::hash([(shard::fold(a), source), (shard::fold(b), destination)]),
        }
    }

    /// The connection, and who sent the packet.
    #[inline]
    pub(super) fn key(&self, packet: &Packet<'_>) -> (FlowKey, Side) {
        let ports = self.ports;
        let (ips, is_ordered): ([std::net::IpAddr; 2], bool) = match self.addresses {
            Addresses::V4([a, b]) => {
                ([a, b].map(|ip| ip.to_be_bytes().into()), (a, ports[0]) <= (b, ports[1]))
            }
            Addresses::V6([a, b]) => {
                ([a, b].map(|ip| ip.to_be_bytes().into()), (a, ports[0]) <= (b, ports[1]))
            }
        };
        let from = Endpoint { ip: ips[0], port: ports[0] };
        let to = Endpoint { ip: ips[1], port: ports[1] };
        let (a, b, side) = if is_ordered { (from, to, Side::A) } else { (to, from, Side::B) };
        (FlowKey { a, b, network: Network::Tcp, capture_point: packet.capture_point }, side)
    }

    /// The connection by [`FlowKey::words`], and who sent the packet.
    #[inline]
    pub(crate) fn words(&self, packet: &Packet<'_>) -> Option<(KeyWords, Side)> {
        let Addresses::V4([from, to]) = self.addresses else { return None };
        let [source, destination] = self.ports;
        let end = |ip: u32, port: u16| u64::from(ip) << 16 | u64::from(port);
        let words = |a: u32, b: u32, ports| {
            let rest = beside_addresses(ports, Network::Tcp, packet.capture_point);
            KeyWords { ips: u64::from(a) << 32 | u64::from(b), rest }
        };
        Some(if end(from, source) <= end(to, destination) {
            (words(from, to, [source, destination]), Side::A)
        } else {
            (words(to, from, [destination, source]), Side::B)
        })
    }

    /// What the packet carries, apart from its connection.
    #[inline]
    pub(crate) fn bare(&self, side: Side, packet: &Packet<'_>) -> Bare<'a> {
        let head = self.tcp;
        Bare {
            stamp: Stamp { packet: packet.number, time: packet.time },
            side,
            seq: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ack: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            flags: head[13] & TcpFlags::MASK,
            payload: self.payload,
            missing: self.missing,
        }
    }

    /// What the packet carries.
    #[inline]
    pub(crate) fn segment(self, packet: &Packet<'_>) -> Segment<'a> {
        let (key, side) = self.key(packet);
        Segment {
            packet: packet.number,
            time: packet.time,
            key,
            side,
            transport: Transport::Tcp(tcp_head(self.tcp)),
            payload: self.payload,
            missing: self.missing,
        }
    }
}

#[inline]
fn ipv4(ip: &[u8]) -> Option<Plain<'_>> {
    let head = ip.first_chunk::<{ 2 * SHORT }>()?;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Either more fragments or an offset: a fragment.
    let is_fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
    if is_fragment || head[9] != protocol::TCP {
        return None;
    }
    let source = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
    let destination = u32::from_be_bytes([head[16], head[17], head[18], head[19]]);
    plain(ip, Addresses::V4([source, destination]), head.last_chunk()?, SHORT, total)
}

#[inline]
fn ipv6(ip: &[u8]) -> Option<Plain<'_>> {
    let head = ip.first_chunk::<{ IPV6 + SHORT }>()?;
    let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
    if len == 0 || head[6] != protocol::TCP {
        return None;
    }
    let source = u128::from_be_bytes(*head[8..].first_chunk()?);
    let destination = u128::from_be_bytes(*head[24..].first_chunk()?);
    plain(ip, Addresses::V6([source, destination]), head.last_chunk()?, IPV6, IPV6 + len)
}

/// The packet whose TCP header begins at `at` in `ip`, which had `total` bytes on the wire.
#[inline]
fn plain<'a>(
    ip: &'a [u8],
    addresses: Addresses,
    tcp: &'a [u8; SHORT],
    at: usize,
    total: usize,
) -> Option<Plain<'a>> {
    // What follows the IP packet is padding of the link.
    let captured = total.min(ip.len());
    let start = at + usize::from(tcp[12] >> 4) * 4;
    if start < at + SHORT {
        return None;
    }
    let payload = ip.get(start..captured)?;
    let ports = [u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]])];
    Some(Plain { addresses, ports, tcp, payload, missing: (total - captured) as u32 })
}
