//! The packet that nearly every capture is made of: TCP right behind IPv4 without options, or behind IPv6 without extension
//! headers, right behind the link header.
//!
//! One pass over fixed offsets takes a third of the instructions of the general walk. Whatever does not fit exactly (a tag,
//! an option, a fragment, a tunnel, a header that is cut or contradicts itself) is left to the walk, which also says why a
//! packet is skipped. Both give the same segment; the tests compare them on all bundled captures and on damaged packets.

use std::net::IpAddr;

use rpcscope_parsers::Side;

use super::shard;
use super::walk::{ether_type, protocol, tcp_head};
use super::{Endpoint, FlowKey, KeyWords, Network, Segment, TcpFlags, Transport, beside_addresses};
use crate::flow::{Bare, Stamp};
use crate::source::{LinkType, Packet};

/// Length of an IPv4 header without options, and of a TCP header without options.
const SHORT: usize = 20;
/// Length of the IPv6 header.
const LONG: usize = 40;
/// Length of the Ethernet header.
const ETHERNET: usize = 14;
/// Length of an IPv6 address.
const IPV6_ADDRESS: usize = 16;

/// What is set of the flags and the offset of a fragment as they stand in an IPv4 header.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

/// Types of Ethernet as they stand in a packet.
const IPV4: u16 = ether_type::IPV4.to_be();
const IPV6: u16 = ether_type::IPV6.to_be();

/// Source and destination.
#[derive(Clone, Copy)]
enum Addresses<'a> {
    /// In one word, as in the header.
    V4(u64),
    /// Where they stand: as numbers, they would take four words of every packet.
    V6(&'a [u8; 2 * IPV6_ADDRESS]),
}

/// A plain packet, its headers checked.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    addresses: Addresses<'a>,
    /// Source and destination in one word, as in the header.
    ports: u32,
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
        let (kind, head, ip) = if packet.link.0 == 1 {
            let both: &[u8; ETHERNET + 2 * SHORT] = data.first_chunk()?;
            (u16::from_ne_bytes(*both[12..].first_chunk()?), both.last_chunk()?, data.get(ETHERNET..)?)
        } else {
            of_all_interfaces(packet.link, data)?
        };
        match head[0] {
            0x45 if kind == IPV4 => ipv4(ip, head),
            0x60..=0x6f if kind == IPV6 => ipv6(ip),
            _ => None,
        }
    }

    /// See [`shard::hash`].
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        let [source, destination] = halves(self.ports);
        match self.addresses {
            Addresses::V4(ips) => shard::hash([(ips >> 32, source), (u64::from(ips as u32), destination)]),
            Addresses::V6(ips) => {
                let [a, b] = numbers(ips);
                shard::hash([(shard::fold(a), source), (shard::fold(b), destination)])
            }
        }
    }

    /// The connection, and who sent the packet.
    #[inline]
    pub(super) fn key(&self, packet: &Packet<'_>) -> (FlowKey, Side) {
        let swapped = self.ports.rotate_left(16);
        let (ips, is_ordered): ([IpAddr; 2], bool) = match self.addresses {
            Addresses::V4(ips) => (
                [(ips >> 32) as u32, ips as u32].map(|ip| ip.to_be_bytes().into()),
                (ips, self.ports) <= (ips.rotate_left(32), swapped),
            ),
            Addresses::V6(ips) => {
                let [a, b] = numbers(ips);
                ([a, b].map(|ip| ip.to_be_bytes().into()), (a, self.ports) <= (b, swapped))
            }
        };
        let [source, destination] = halves(self.ports);
        let from = Endpoint { ip: ips[0], port: source };
        let to = Endpoint { ip: ips[1], port: destination };
        let (a, b, side) = if is_ordered { (from, to, Side::A) } else { (to, from, Side::B) };
        (FlowKey { a, b, network: Network::Tcp, capture_point: packet.capture_point }, side)
    }

    /// The connection by [`FlowKey::words`], and who sent the packet.
    #[inline]
    pub(crate) fn words(&self, packet: &Packet<'_>) -> Option<(KeyWords, Side)> {
        let Addresses::V4(ips) = self.addresses else { return None };
        // Both ends as one number, so that they are compared at once.
        let ends = |ips: u64, ports: u32| u128::from(ips) << 64 | u128::from(ports);
        let sent = ends(ips, self.ports);
        let back = ends(ips.rotate_left(32), self.ports.rotate_left(16));
        let (ends, side) = if sent <= back { (sent, Side::A) } else { (back, Side::B) };
        let rest = beside_addresses(ends as u32, Network::Tcp, packet.capture_point);
        Some((KeyWords { ips: (ends >> 64) as u64, rest }, side))
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

/// Two addresses of IPv6.
fn numbers(ips: &[u8; 2 * IPV6_ADDRESS]) -> [u128; 2] {
    let mut both = [0; 2];
    for (number, ip) in both.iter_mut().zip(ips.as_chunks().0) {
        *number = u128::from_be_bytes(*ip);
    }
    both
}

#[inline]
fn halves(ports: u32) -> [u16; 2] {
    [(ports >> 16) as u16, ports as u16]
}

/// Type, head and all of the content of a packet of all interfaces. Apart, so that the usual link is asked for first.
#[inline(never)]
fn of_all_interfaces(link: LinkType, data: &[u8]) -> Option<(u16, &[u8; 2 * SHORT], &[u8])> {
    let (at, len) = match link.0 {
        113 => (14, 16),
        276 => (0, 20),
        _ => return None,
    };
    let (head, ip) = data.split_at_checked(len)?;
    Some((u16::from_ne_bytes(*head.get(at..)?.first_chunk()?), ip.first_chunk()?, ip))
}

#[inline]
fn ipv4<'a>(ip: &'a [u8], head: &'a [u8; 2 * SHORT]) -> Option<Plain<'a>> {
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Either more fragments or an offset: a fragment.
    let is_fragment = u16::from_ne_bytes(*head[6..].first_chunk()?) & FRAGMENT != 0;
    if is_fragment || head[9] != protocol::TCP {
        return None;
    }
    let ips = u64::from_be_bytes(*head[12..].first_chunk()?);
    plain(ip, Addresses::V4(ips), head.last_chunk()?, SHORT, total)
}

#[inline]
fn ipv6(ip: &[u8]) -> Option<Plain<'_>> {
    let head = ip.first_chunk::<{ LONG + SHORT }>()?;
    let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
    if len == 0 || head[6] != protocol::TCP {
        return None;
    }
    let ips = head[8..].first_chunk()?;
    plain(ip, Addresses::V6(ips), head.last_chunk()?, LONG, LONG + len)
}

/// The packet whose TCP header begins at `at` in `ip`, which had `total` bytes on the wire.
#[inline]
fn plain<'a>(
    ip: &'a [u8],
    addresses: Addresses<'a>,
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
    let ports = u32::from_be_bytes([tcp[0], tcp[1], tcp[2], tcp[3]]);
    Some(Plain { addresses, ports, tcp, payload, missing: (total - captured) as u32 })
}
