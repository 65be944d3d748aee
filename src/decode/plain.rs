//! The packet that nearly every capture is made of: TCP right behind IPv4 without options, or behind IPv6 without extension
//! headers, right behind the link header.
//!
//! One pass over fixed offsets takes a third of the instructions of the general walk. Whatever does not fit exactly (a tag,
//! an option, a fragment, a tunnel, a header that is cut or contradicts itself) is left to the walk, which also says why a
//! packet is skipped. Both give the same segment; the tests compare them on all bundled captures and on damaged packets.

use std::net::{Ipv4Addr, Ipv6Addr};

use rpcscope_parsers::Side;

use super::walk::{ether_type, protocol, tcp_head};
use super::{Endpoint, FlowKey, Network, Segment, Transport};
use crate::source::Packet;

/// Length of an IPv4 header without options, and of a TCP header without options.
const SHORT: usize = 20;
/// Length of the IPv6 header.
const IPV6: usize = 40;

/// The TCP segment in a plain packet; `None` where the packet is not plain.
#[inline]
pub(super) fn segment<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
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
        0x45 => ipv4(packet, ip),
        0x60..=0x6f => ipv6(packet, ip),
        _ => None,
    }
}

#[inline]
fn ipv4<'a>(packet: &Packet<'a>, ip: &'a [u8]) -> Option<Segment<'a>> {
    let head = ip.first_chunk::<{ 2 * SHORT }>()?;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Either more fragments or an offset: a fragment.
    let is_fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
    if is_fragment || head[9] != protocol::TCP {
        return None;
    }
    let source = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
    let destination = u32::from_be_bytes([head[16], head[17], head[18], head[19]]);
    let ports = [u16::from_be_bytes([head[20], head[21]]), u16::from_be_bytes([head[22], head[23]])];
    let from = Endpoint { ip: Ipv4Addr::from_bits(source).into(), port: ports[0] };
    let to = Endpoint { ip: Ipv4Addr::from_bits(destination).into(), port: ports[1] };
    let is_ordered = (source, ports[0]) <= (destination, ports[1]);
    tcp(packet, ip, SHORT, total, [from, to], is_ordered)
}

#[inline]
fn ipv6<'a>(packet: &Packet<'a>, ip: &'a [u8]) -> Option<Segment<'a>> {
    let head = ip.first_chunk::<{ IPV6 + SHORT }>()?;
    let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
    if len == 0 || head[6] != protocol::TCP {
        return None;
    }
    let source = Ipv6Addr::from(*head[8..].first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*head[24..].first_chunk::<16>()?);
    let ports = [u16::from_be_bytes([head[40], head[41]]), u16::from_be_bytes([head[42], head[43]])];
    let from = Endpoint { ip: source.into(), port: ports[0] };
    let to = Endpoint { ip: destination.into(), port: ports[1] };
    let is_ordered = (source.to_bits(), ports[0]) <= (destination.to_bits(), ports[1]);
    tcp(packet, ip, IPV6, IPV6 + len, [from, to], is_ordered)
}

/// The segment whose header begins at `at` in `ip`, a packet of `total` bytes on the wire.
#[inline]
fn tcp<'a>(
    packet: &Packet<'a>,
    ip: &'a [u8],
    at: usize,
    total: usize,
    [from, to]: [Endpoint; 2],
    is_ordered: bool,
) -> Option<Segment<'a>> {
    let head = ip.get(at..)?.first_chunk::<SHORT>()?;
    let payload = at + usize::from(head[12] >> 4) * 4;
    // What follows the IP packet is padding of the link.
    let captured = total.min(ip.len());
    if payload < at + SHORT || payload > captured {
        return None;
    }
    let (a, b, side) = if is_ordered { (from, to, Side::A) } else { (to, from, Side::B) };
    Some(Segment {
        packet: packet.number,
        time: packet.time,
        key: FlowKey { a, b, network: Network::Tcp, capture_point: packet.capture_point },
        side,
        transport: Transport::Tcp(tcp_head(head)),
        payload: &ip[payload..captured],
        missing: (total - captured) as u32,
    })
}
