//! One header after another, from the link to TCP or UDP.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::fragments::{Datagram, DatagramKey, FragmentField, Fragments};
use super::rest::Rest;
use super::{Endpoint, FlowKey, Network, Segment, Skip, TcpFlags, TcpHead, Transport, link, tunnel};
use crate::source::{LinkType, Packet};

/// Headers within each other, tags and labels included, that are read before a packet is given up.
pub(super) const MAX_HEADS: usize = 24;

/// Ethernet types (IEEE 802 numbers registry).
pub(super) mod ether_type {
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const VLAN: u16 = 0x8100;
    pub(in super::super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(in super::super) const IPV6: u16 = 0x86dd;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in super::super) const QINQ: u16 = 0x88a8;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    /// The service tag of 802.1ah, a whole frame behind it.
    pub(in super::super) const BACKBONE: u16 = 0x88e7;
    pub(in super::super) const TRILL: u16 = 0x22f3;
    pub(in super::super) const VN_TAG: u16 = 0x8926;
    pub(in super::super) const HSR: u16 = 0x892f;
    pub(in super::super) const NSH: u16 = 0x894f;
    /// What switches used for outer tags before 802.1ad.
    pub(in super::super) const QINQ_OLD: u16 = 0x9100;
    /// Largest value of the field that is a length (IEEE 802.3) and not a type.
    pub(in super::super) const MAX_LENGTH: u16 = 1500;
}

/// IP protocol numbers (IANA registry).
pub(super) mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const IPV4: u8 = 4;
    pub(in super::super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(in super::super) const ESP: u8 = 50;
    pub(super) const AH: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const IP_IN_IP: u8 = 94;
    pub(super) const ETHER_IP: u8 = 97;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Who sent an IP packet to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hosts {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// IPv4 identification; 0 for IPv6.
    pub(super) packet_id: u16,
}

/// Which header comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Ethernet,
    CookedV1,
    CookedV2,
    Loopback,
    Ppp,
    /// PPP behind a byte with the direction.
    DirectedPpp,
    Hdlc,
    PppOe,
    Pktap,
    NfLog,
    PfLog,
    Enc,
    Infiniband,
    Llc,
    /// IEEE 802.11, as such and behind radiotap.
    Wireless,
    Radiotap,
    Exported,
    /// An Ethernet type behind this number of bytes.
    TypeBehind(usize),
    /// The payload of a UDP datagram with these ports.
    Datagram(Hosts, [u16; 2]),
    /// What an Ethernet type announces.
    Type(u16),
    Mpls,
    /// IPv4 or IPv6, as the first four bits say.
    Ip,
    /// What the protocol field of an IP header announces.
    Protocol(u8, Hosts),
    /// A piece of a datagram.
    Fragment(DatagramKey, FragmentField),
}

impl Next {
    /// The first header of a packet of this link type (<https://www.tcpdump.org/linktypes.html>).
    pub(super) fn link(link: LinkType) -> Result<Self, Skip> {
        Ok(match link.0 {
            1 => Self::Ethernet,
            113 => Self::CookedV1,
            276 => Self::CookedV2,
            // BSD null and OpenBSD loopback differ only in the byte order of a field that shows its own.
            0 | 108 => Self::Loopback,
            // Raw IP: the two numbers that libpcap uses on different systems, the file's own, and the two that name
            // the version.
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            // PPP as such, and behind a byte with the direction or in place of the address.
            9 => Self::Ppp,
            50 | 104 => Self::Hdlc,
            51 => Self::PppOe,
            166 | 204 => Self::DirectedPpp,
            100 => Self::Llc,
            105 => Self::Wireless,
            127 => Self::Radiotap,
            109 => Self::Enc,
            117 => Self::PfLog,
            // Apple's IP over IEEE 1394: two addresses of 8 bytes.
            138 => Self::TypeBehind(16),
            239 => Self::NfLog,
            242 => Self::Infiniband,
            252 => Self::Exported,
            // 149 is the number that macOS used before it had one.
            149 | 258 => Self::Pktap,
            _ => return Err(Skip::Link),
        })
    }
}

/// Where the headers led.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Segment(Segment<'a>),
    /// The packet completed a datagram, which has to be read on from its first byte.
    Assembled(Datagram),
}

/// Why headers end before TCP or UDP, and the header that can't be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) skip: Skip,
    pub(super) at: Next,
}

/// Reads headers from `next` on.
pub(super) fn walk<'a>(
    mut next: Next,
    mut rest: Rest<'a>,
    packet: &Packet<'_>,
    fragments: &mut Fragments,
) -> Result<Found<'a>, Stop> {
    for _ in 0..MAX_HEADS {
        match step(next, rest, packet, fragments) {
            Ok(Step::Next(then, behind)) => (next, rest) = (then, behind),
            Ok(Step::Found(found)) => return Ok(found),
            Err(skip) => return Err(Stop { skip, at: next }),
        }
    }
    Err(Stop { skip: Skip::TooDeep, at: next })
}

/// What a header leads to.
enum Step<'a> {
    Next(Next, Rest<'a>),
    Found(Found<'a>),
}

/// Reads one header.
fn step<'a>(
    next: Next,
    rest: Rest<'a>,
    packet: &Packet<'_>,
    fragments: &mut Fragments,
) -> Result<Step<'a>, Skip> {
    let (next, rest) = match next {
        Next::Ethernet => {
            let (head, rest) = rest.head::<14>()?;
            (Next::Type(u16::from_be_bytes([head[12], head[13]])), rest)
        }
        Next::CookedV1 => {
            let (head, rest) = rest.head::<16>()?;
            (Next::Type(u16::from_be_bytes([head[14], head[15]])), rest)
        }
        Next::CookedV2 => {
            let (head, rest) = rest.head::<20>()?;
            (Next::Type(u16::from_be_bytes([head[0], head[1]])), rest)
        }
        Next::Loopback => loopback(rest)?,
        Next::Ppp => link::ppp(rest)?,
        Next::DirectedPpp => link::ppp(rest.skip(1)?)?,
        Next::Hdlc => link::hdlc(rest)?,
        Next::PppOe => link::pppoe(rest)?,
        Next::Pktap => link::pktap(rest)?,
        Next::NfLog => link::nflog(rest)?,
        Next::PfLog => link::pflog(rest)?,
        Next::Enc => link::enc(rest)?,
        Next::Infiniband => link::ip_over_infiniband(rest)?,
        Next::Llc => link::llc(rest)?,
        Next::Wireless => link::wireless(rest)?,
        Next::Radiotap => link::radiotap(rest)?,
        Next::Exported => link::exported_pdu(rest)?,
        Next::TypeBehind(bytes) => {
            let (number, rest) = rest.skip(bytes)?.head::<2>()?;
            (Next::Type(u16::from_be_bytes(*number)), rest)
        }
        Next::Datagram(hosts, [from, to]) => {
            let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
            let transport = Transport::Udp { packet_id: hosts.packet_id };
            return Ok(Step::Found(Found::Segment(segment(hosts, [a, b, c, d], transport, rest, packet))));
        }
        Next::Type(number) => typed(number, rest)?,
        Next::Mpls => mpls(rest)?,
        Next::Ip => match rest.bytes.first().map(|b| b >> 4) {
            Some(4) => ipv4(rest)?,
            Some(6) => ipv6(rest)?,
            Some(_) => return Err(Skip::Malformed),
            None => return Err(rest.short(1)),
        },
        Next::Fragment(key, place) => {
            if rest.cut > 0 {
                // The datagram can't become whole, but its first fragment says whose it is.
                let first = place.offset == 0 && place.protocol == protocol::UDP;
                let datagram = first.then(|| whole_datagram(rest)).flatten().ok_or(Skip::Truncated)?;
                return Ok(Step::Next(Next::Protocol(protocol::UDP, key.hosts), datagram));
            }
            let key = DatagramKey { capture_point: packet.capture_point, ..key };
            let datagram = fragments.add(key, place, rest.bytes, packet.time)?;
            return Ok(Step::Found(Found::Assembled(datagram)));
        }
        Next::Protocol(protocol::TCP, hosts) => {
            return Ok(Step::Found(Found::Segment(tcp(hosts, rest, packet)?)));
        }
        Next::Protocol(protocol::UDP, hosts) => match udp(hosts, rest, packet)? {
            Datagrams::Plain(segment) => return Ok(Step::Found(Found::Segment(segment))),
            Datagrams::Tunnel(next, rest) => (next, rest),
        },
        Next::Protocol(number, hosts) => inside_ip(number, hosts, rest)?,
    };
    Ok(Step::Next(next, rest))
}

/// What an Ethernet type leads to; tags are passed.
fn typed(number: u16, rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    Ok(match number {
        ether_type::IPV4 | ether_type::IPV6 => (Next::Ip, rest),
        ether_type::VLAN | ether_type::QINQ | ether_type::QINQ_OLD => {
            let (tag, rest) = rest.head::<4>()?;
            (Next::Type(u16::from_be_bytes([tag[2], tag[3]])), rest)
        }
        ether_type::MPLS | ether_type::MPLS_UPSTREAM => (Next::Mpls, rest),
        ether_type::TRANSPARENT_ETHERNET => (Next::Ethernet, rest),
        ether_type::PPPOE_SESSION => (Next::PppOe, rest),
        // Flags and the number of the service.
        ether_type::BACKBONE => (Next::Ethernet, rest.skip(4)?),
        // Two bridge identifiers (IEEE 802.1BR), or path, size and number of a ring (IEC 62439-3).
        ether_type::VN_TAG | ether_type::HSR => (Next::TypeBehind(4), rest),
        ether_type::TRILL => {
            // RFC 6325, section 3: the length of the options is in units of 4 bytes, across the first two bytes.
            let (head, rest) = rest.head::<6>()?;
            let options = u16::from_be_bytes([head[0], head[1]]) >> 6 & 0x1f;
            (Next::Ethernet, rest.skip(usize::from(options) * 4)?)
        }
        ether_type::NSH => link::nsh(rest)?,
        0..=ether_type::MAX_LENGTH => (Next::Llc, rest),
        _ => return Err(Skip::NotIp),
    })
}

/// The address family as the capturing system numbers it, in its byte order (or in network order): small either way.
fn loopback(rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    let (head, rest) = rest.head::<4>()?;
    let little = u32::from_le_bytes(*head);
    let family = if little > 0xffff { little.swap_bytes() } else { little };
    if link::is_ip_family(family) { Ok((Next::Ip, rest)) } else { Err(Skip::NotIp) }
}

/// One label (RFC 3032). What follows the last one is not said by any field: IP shows its version, and a pseudowire
/// (RFC 4448) begins with a control word of 0 or with the Ethernet header itself.
fn mpls(rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    let (label, rest) = rest.head::<4>()?;
    if label[2] & 1 == 0 {
        return Ok((Next::Mpls, rest));
    }
    Ok(match rest.bytes.first().map(|b| b >> 4) {
        Some(4 | 6) => (Next::Ip, rest),
        Some(0) if rest.skip(4).is_ok_and(tunnel::is_ethernet) => (Next::Ethernet, rest.skip(4)?),
        _ => (Next::Ethernet, rest),
    })
}

/// IPv4 (RFC 791, section 3.1).
fn ipv4(rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    let head = Ipv4HeaderSlice::from_slice(rest.bytes).map_err(|_| match rest.bytes.first() {
        Some(first) if first & 15 >= 5 => rest.short(usize::from(first & 15) * 4),
        _ => Skip::Malformed,
    })?;
    let (len, total) = (head.slice().len(), usize::from(head.total_len()));
    let rest = match total {
        // The sending host left the length to its network card, which cuts a large segment into packets.
        0 => rest,
        total if total < len => return Err(Skip::Malformed),
        total => rest.limit(total),
    };
    let hosts = Hosts {
        source: head.source_addr().into(),
        destination: head.destination_addr().into(),
        packet_id: head.identification(),
    };
    let protocol = head.protocol().0;
    let next = if head.is_fragmenting_payload() {
        let place =
            FragmentField { offset: head.fragments_offset().value(), more: head.more_fragments(), protocol };
        Next::Fragment(DatagramKey::new(hosts, u32::from(hosts.packet_id), Some(protocol)), place)
    } else {
        Next::Protocol(protocol, hosts)
    };
    Ok((next, rest.skip(len)?))
}

/// IPv6 (RFC 8200, section 3).
fn ipv6(rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    let head =
        Ipv6HeaderSlice::from_slice(rest.bytes).map_err(|_| rest.short(etherparse::Ipv6Header::LEN))?;
    let rest = rest.skip(head.slice().len())?;
    let rest = match head.payload_length() {
        // A jumbogram (RFC 2675), or the length was left to the network card.
        0 => rest,
        len => rest.limit(usize::from(len)),
    };
    let hosts = Hosts {
        source: head.source_addr().into(),
        destination: head.destination_addr().into(),
        packet_id: 0,
    };
    Ok((Next::Protocol(head.next_header().0, hosts), rest))
}

/// Extension headers and tunnels that IP carries by itself.
fn inside_ip(number: u8, hosts: Hosts, rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    match number {
        protocol::IPV4 | protocol::IPV6 | protocol::IP_IN_IP => Ok((Next::Ip, rest)),
        protocol::ETHER_IP => link::ether_in_ip(rest),
        protocol::GRE => tunnel::gre(rest),
        protocol::MPLS => Ok((Next::Mpls, rest)),
        protocol::FRAGMENT if hosts.source.is_ipv6() => fragment(hosts, rest),
        protocol::ESP => Err(Skip::Encrypted),
        // Authentication header (RFC 4302): its length is in units of 4 bytes, less 2.
        protocol::AH => {
            let next = rest.head::<2>()?.0;
            Ok((Next::Protocol(next[0], hosts), rest.skip((usize::from(next[1]) + 2) * 4)?))
        }
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6
            if hosts.source.is_ipv6() =>
        {
            let next = rest.head::<2>()?.0;
            Ok((Next::Protocol(next[0], hosts), rest.skip((usize::from(next[1]) + 1) * 8)?))
        }
        _ => Err(Skip::OtherTransport),
    }
}

/// The fragment header of IPv6 (RFC 8200, section 4.5).
fn fragment(hosts: Hosts, rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    let (head, rest) = rest.head::<8>()?;
    let field = u16::from_be_bytes([head[2], head[3]]);
    let place = FragmentField { offset: field >> 3, more: field & 1 != 0, protocol: head[0] };
    if place.offset == 0 && !place.more {
        // An atomic fragment (RFC 6946) is whole.
        return Ok((Next::Protocol(place.protocol, hosts), rest));
    }
    let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Ok((Next::Fragment(DatagramKey::new(hosts, id, None), place), rest))
}

/// TCP (RFC 9293, section 3.1). Options may be cut off: the payload behind them is then known to be missing.
fn tcp<'a>(hosts: Hosts, rest: Rest<'a>, packet: &Packet<'_>) -> Result<Segment<'a>, Skip> {
    let head = rest.head::<20>()?.0;
    let len = usize::from(head[12] >> 4) * 4;
    if len < head.len() || len > rest.wire_len() {
        return Err(Skip::Malformed);
    }
    let payload = rest.skip(len)?;
    let ports = [head[0], head[1], head[2], head[3]];
    Ok(segment(hosts, ports, Transport::Tcp(tcp_head(head)), payload, packet))
}

/// The fields of a TCP header that reassembly needs.
#[inline]
pub(super) fn tcp_head(head: &[u8; 20]) -> TcpHead {
    TcpHead {
        seq: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ack: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        flags: TcpFlags::of(head[13]),
    }
}

/// A datagram, or what a tunnel within it carries.
enum Datagrams<'a> {
    Plain(Segment<'a>),
    Tunnel(Next, Rest<'a>),
}

/// UDP (RFC 768).
fn udp<'a>(hosts: Hosts, rest: Rest<'a>, packet: &Packet<'_>) -> Result<Datagrams<'a>, Skip> {
    let (head, payload) = rest.head::<8>()?;
    let payload = match usize::from(u16::from_be_bytes([head[4], head[5]])) {
        // Jumbograms (RFC 2675) and segmentation by the network card leave the length out.
        0 => payload,
        len if len < head.len() => return Err(Skip::Malformed),
        // A length that the IP packet can't hold is left to IP's.
        len if len > rest.wire_len() => payload,
        len => payload.limit(len - head.len()),
    };
    if let Some((next, rest)) =
        tunnel::udp([[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes), payload)
    {
        return Ok(Datagrams::Tunnel(next, rest));
    }
    let ports = [head[0], head[1], head[2], head[3]];
    let transport = Transport::Udp { packet_id: hosts.packet_id };
    Ok(Datagrams::Plain(segment(hosts, ports, transport, payload, packet)))
}

/// The UDP datagram of which `first` is a fragment that was cut, as if it had come in one piece: its head says how long it is.
fn whole_datagram(first: Rest<'_>) -> Option<Rest<'_>> {
    let len = u32::from(u16::from_be_bytes(*first.bytes.get(4..)?.first_chunk()?));
    let cut = len.checked_sub(first.bytes.len() as u32)?;
    Some(Rest::new(first.bytes, cut))
}

fn segment<'a>(
    hosts: Hosts,
    ports: [u8; 4],
    transport: Transport,
    payload: Rest<'a>,
    packet: &Packet<'_>,
) -> Segment<'a> {
    let source = Endpoint { ip: hosts.source, port: u16::from_be_bytes([ports[0], ports[1]]) };
    let destination = Endpoint { ip: hosts.destination, port: u16::from_be_bytes([ports[2], ports[3]]) };
    let network = match transport {
        Transport::Tcp(_) => Network::Tcp,
        Transport::Udp { .. } => Network::Udp,
    };
    let (mut key, side) = FlowKey::new(source, destination, network);
    key.capture_point = packet.capture_point;
    Segment {
        packet: packet.number,
        time: packet.time,
        key,
        side,
        transport,
        payload: payload.bytes,
        missing: payload.cut,
    }
}
