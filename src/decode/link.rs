//! Headers of links that are not Ethernet: what captures of modems, firewalls, macOS and InfiniBand begin with, and PPP, which
//! tunnels carry too.
//!
//! Source: <https://www.tcpdump.org/linktypes.html>, and what is cited at each function.

use std::net::IpAddr;

use super::Skip;
use super::rest::Rest;
use super::walk::{Hosts, Next, ether_type, protocol};
use crate::source::LinkType;

/// Most tags of one packet's header that are looked at.
const MAX_TAGS: usize = 64;

/// The header after one of a link.
pub(super) type Step<'a> = Result<(Next, Rest<'a>), Skip>;

/// Whether an address family is IP's: `AF_INET` everywhere; `AF_INET6` of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
pub(super) fn is_ip_family(family: u32) -> bool {
    matches!(family, 2 | 10 | 24 | 28 | 30)
}

/// PPP (RFC 1661, section 2; RFC 1662, section 3.1), with or without the address and control fields of HDLC. The protocol has
/// one byte less where that was agreed on.
pub(super) fn ppp(rest: Rest<'_>) -> Step<'_> {
    let rest = match rest.bytes {
        [0xff, 3, ..] => rest.skip(2)?,
        _ => rest,
    };
    let (number, rest) = match rest.bytes {
        // Numbers end with a byte that is odd.
        [first, ..] if first & 1 == 1 => (u16::from(*first), rest.skip(1)?),
        _ => {
            let (number, rest) = rest.head::<2>()?;
            (u16::from_be_bytes(*number), rest)
        }
    };
    match number {
        0x0021 | 0x0057 => Ok((Next::Ip, rest)),
        0x0281 | 0x0283 => Ok((Next::Mpls, rest)),
        // RFC 3518: bridged Ethernet behind flags and the type of the frame, without a checksum.
        0x0031 if matches!(rest.bytes, [0, 1, ..]) => Ok((Next::Ethernet, rest.skip(2)?)),
        _ => Err(Skip::NotIp),
    }
}

/// PPP in HDLC-like framing or Cisco's HDLC, which has an Ethernet type behind its address (0f unicast, 8f multicast).
pub(super) fn hdlc(rest: Rest<'_>) -> Step<'_> {
    match rest.bytes {
        [0x0f | 0x8f, 0, ..] => {
            let (head, rest) = rest.head::<4>()?;
            Ok((Next::Type(u16::from_be_bytes([head[2], head[3]])), rest))
        }
        _ => Ok((Next::Ppp, rest)),
    }
}

/// PPP over Ethernet, a session's data (RFC 2516, section 4).
///
/// ```text
///  version 1, type 1   code 0   session id (2)   length (2)
/// ```
pub(super) fn pppoe(rest: Rest<'_>) -> Step<'_> {
    let (head, rest) = rest.head::<6>()?;
    if head[0] != 0x11 {
        return Err(Skip::Malformed);
    }
    if head[1] != 0 {
        return Err(Skip::NotIp);
    }
    Ok((Next::Ppp, rest.limit(usize::from(u16::from_be_bytes([head[4], head[5]])))))
}

/// Apple's packets with their interface and process (`bsd/net/pktap.h` of XNU): length of the header, what follows (1: a packet),
/// and the link type of what follows, all little-endian.
pub(super) fn pktap(rest: Rest<'_>) -> Step<'_> {
    let (head, _) = rest.head::<12>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, next, link) = (word(0), word(4), word(8));
    if next != 1 || length < head.len() as u32 {
        return Err(Skip::NotIp);
    }
    let link = u16::try_from(link).map_err(|_| Skip::Link)?;
    // One within the other is nothing that a system writes.
    match Next::link(LinkType(link))? {
        Next::Pktap => Err(Skip::Malformed),
        next => Ok((next, rest.skip(length as usize)?)),
    }
}

/// Linux netfilter logs (`LINKTYPE_NFLOG`): family, version 0, resource id; then values with length and type in the byte order of
/// the host, filled up to 4 bytes. Type 9 is the packet.
pub(super) fn nflog(rest: Rest<'_>) -> Step<'_> {
    const PAYLOAD: u16 = 9;
    let (head, mut rest) = rest.head::<4>()?;
    if head[1] != 0 {
        return Err(Skip::Malformed);
    }
    for _ in 0..MAX_TAGS {
        let (tag, value) = rest.head::<4>()?;
        let [length, kind] = [[tag[0], tag[1]], [tag[2], tag[3]]];
        // Types are small, and so show the byte order. The upper bits are flags of netlink.
        let (length, kind) = match u16::from_le_bytes(kind) & 0x3fff {
            kind @ 0..=0xff => (u16::from_le_bytes(length), kind),
            _ => (u16::from_be_bytes(length), u16::from_be_bytes(kind) & 0x3fff),
        };
        let size = usize::from(length).checked_sub(4).ok_or(Skip::Malformed)?;
        if kind == PAYLOAD {
            return Ok((Next::Ip, value.limit(size)));
        }
        rest = value.skip(size.next_multiple_of(4))?;
    }
    Err(Skip::TooDeep)
}

/// IP over InfiniBand (RFC 4391, section 6): Ethernet type and two reserved bytes. libpcap on some systems puts the hardware
/// address (20 bytes) or a global route header (40 bytes) before them.
pub(super) fn ip_over_infiniband(rest: Rest<'_>) -> Step<'_> {
    for before in [0, 20, 40] {
        let Ok(behind) = rest.skip(before) else { break };
        let Ok((head, ip)) = behind.head::<4>() else { break };
        let version = ip.bytes.first().map(|first| first >> 4);
        match (u16::from_be_bytes([head[0], head[1]]), [head[2], head[3]], version) {
            (ether_type::IPV4, [0, 0], Some(4)) | (ether_type::IPV6, [0, 0], Some(6)) => {
                return Ok((Next::Ip, ip));
            }
            _ => {}
        }
    }
    Err(Skip::NotIp)
}

/// OpenBSD's packet filter log: its length without padding, and the address family.
pub(super) fn pflog(rest: Rest<'_>) -> Step<'_> {
    let (head, _) = rest.head::<2>()?;
    if !is_ip_family(u32::from(head[1])) {
        return Err(Skip::NotIp);
    }
    Ok((Next::Ip, rest.skip(usize::from(head[0]).next_multiple_of(4))?))
}

/// OpenBSD's encapsulating interface: address family in the byte order of the host, SPI, flags.
pub(super) fn enc(rest: Rest<'_>) -> Step<'_> {
    let (head, rest) = rest.head::<12>()?;
    let family = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    if is_ip_family(family) { Ok((Next::Ip, rest)) } else { Err(Skip::NotIp) }
}

/// Wireshark's exported PDUs (`epan/exported_pdu.h`): tags with their lengths, big-endian, then what a dissector got. Packets of IP
/// and Ethernet are what they are, and a datagram's payload with its addresses and ports is a datagram. A piece of a TCP
/// stream has no sequence number any more and can't be put back into its stream.
pub(super) fn exported_pdu(mut rest: Rest<'_>) -> Step<'_> {
    const UDP: u32 = 3;
    let (mut name, mut ends, mut ports, mut port_type) = (&[][..], [None, None], [None, None], None);
    for _ in 0..MAX_TAGS {
        let (head, after) = rest.head::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.bytes.get(..length).ok_or_else(|| after.short(length))?;
        rest = after.skip(length)?;
        let v4 = || value.first_chunk::<4>().map(|ip| IpAddr::from(*ip));
        let v6 = || value.first_chunk::<16>().map(|ip| IpAddr::from(*ip));
        let number = || value.first_chunk::<4>().map(|number| u32::from_be_bytes(*number));
        match u16::from_be_bytes([head[0], head[1]]) {
            0 => {
                return match name.split(|byte| *byte == 0).next().unwrap_or_default() {
                    b"ip" | b"ipv6" => Ok((Next::Ip, rest)),
                    b"eth" | b"eth_withfcs" | b"eth_withoutfcs" => Ok((Next::Ethernet, rest)),
                    _ => match (ends, ports, port_type) {
                        ([Some(source), Some(destination)], [Some(from), Some(to)], Some(UDP)) => {
                            let hosts = Hosts { source, destination, packet_id: 0 };
                            let number = |port: u32| u16::try_from(port).map_err(|_| Skip::Malformed);
                            Ok((Next::Datagram(hosts, [number(from)?, number(to)?]), rest))
                        }
                        _ => Err(Skip::Exported),
                    },
                };
            }
            12 => name = value,
            20 => ends[0] = v4(),
            21 => ends[1] = v4(),
            22 => ends[0] = v6(),
            23 => ends[1] = v6(),
            24 => port_type = number(),
            25 => ports[0] = number(),
            26 => ports[1] = number(),
            _ => {}
        }
    }
    Err(Skip::TooDeep)
}

/// IEEE 802.2 (ISO/IEC 8802-2) with SNAP (RFC 1042), whose organization code 0 announces an Ethernet type, or with the address
/// of IP.
pub(super) fn llc(rest: Rest<'_>) -> Step<'_> {
    if rest.bytes.starts_with(&[6, 6, 3]) {
        return Ok((Next::Ip, rest.skip(3)?));
    }
    let (snap, rest) = rest.head::<8>()?;
    if snap[..6] != [0xaa, 0xaa, 3, 0, 0, 0] {
        return Err(Skip::NotIp);
    }
    Ok((Next::Type(u16::from_be_bytes([snap[6], snap[7]])), rest))
}

/// What a radio received, behind which the frame stands: version 0, padding, length of all (2, little-endian), fields
/// (<https://www.radiotap.org>).
pub(super) fn radiotap(rest: Rest<'_>) -> Step<'_> {
    let (head, _) = rest.head::<4>()?;
    let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
    if head[0] != 0 || length < 8 {
        return Err(Skip::Malformed);
    }
    Ok((Next::Wireless, rest.skip(length)?))
}

/// A data frame (IEEE 802.11-2020, section 9.3.2) that carries one packet, not encrypted:
///
/// ```text
///  subtype, type, version   order, protected, …, fragments follow, from and to the distribution system   duration (2)
///  three addresses (18)   sequence and fragment (2)   a fourth address (6): to and from   QoS (2)   HT control (4): QoS and order
/// ```
pub(super) fn wireless(rest: Rest<'_>) -> Step<'_> {
    const HEAD_LEN: usize = 24;
    let (head, _) = rest.head::<HEAD_LEN>()?;
    let [kind, flags] = [head[0], head[1]];
    // Subtypes with 4 carry nothing.
    if kind & 0x0f != 0x08 || kind & 0x40 != 0 {
        return Err(Skip::NotIp);
    }
    if flags & 0x40 != 0 {
        return Err(Skip::Encrypted);
    }
    if flags & 0x04 != 0 || head[22] & 0x0f != 0 {
        return Err(Skip::Fragment);
    }
    let mut body = rest.skip(HEAD_LEN + if flags & 3 == 3 { 6 } else { 0 })?;
    if kind & 0x80 != 0 {
        let (control, behind) = body.head::<2>()?;
        // Several packets in one frame.
        if control[0] & 0x80 != 0 {
            return Err(Skip::NotIp);
        }
        body = if flags & 0x80 == 0 { behind } else { behind.skip(4)? };
    }
    Ok((Next::Llc, body))
}

/// Network service header (RFC 8300, section 2).
///
/// ```text
///  version, flags, TTL, length in units of 4 bytes (6 bits)   MD type   next protocol   service path (4)   context
/// ```
pub(super) fn nsh(rest: Rest<'_>) -> Step<'_> {
    let (head, _) = rest.head::<8>()?;
    let length = usize::from(head[1] & 0x3f) * 4;
    if length < head.len() {
        return Err(Skip::Malformed);
    }
    Ok((next_protocol(head[3])?, rest.skip(length)?))
}

/// The numbers that NSH and VXLAN-GPE share (IANA, "NSH Next Protocol").
pub(super) fn next_protocol(number: u8) -> Result<Next, Skip> {
    match number {
        1 | 2 => Ok(Next::Ip),
        3 => Ok(Next::Ethernet),
        4 => Ok(Next::Type(ether_type::NSH)),
        5 => Ok(Next::Mpls),
        _ => Err(Skip::NotIp),
    }
}

/// Ethernet within IP (RFC 3378): version 3 and reserved bits.
pub(super) fn ether_in_ip(rest: Rest<'_>) -> Step<'_> {
    let (head, rest) = rest.head::<2>()?;
    if head[0] == 0x30 { Ok((Next::Ethernet, rest)) } else { Err(Skip::Malformed) }
}

/// The last header that was announced, and by which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// An Ethernet type.
    EtherType(u16),
    /// An IP protocol.
    Protocol(u8),
    /// A link type.
    Link(LinkType),
}

impl Ended {
    /// What `next` announced.
    pub(super) fn at(next: Next) -> Option<Self> {
        match next {
            Next::Type(number) if number > ether_type::MAX_LENGTH => Some(Self::EtherType(number)),
            Next::Protocol(number, _) => Some(Self::Protocol(number)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Ended {
    /// `IP protocol 89 (OSPF)`, `Ethernet type 0x88cc (LLDP)`, `link type IEEE802_11 (105)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Link(link) => return write!(f, "link type {link}"),
            Self::EtherType(number) => {
                write!(f, "Ethernet type 0x{number:04x}")?;
                match number {
                    0x0806 => "ARP",
                    0x8035 => "RARP",
                    0x809b => "AppleTalk",
                    0x8137 => "IPX",
                    0x8808 => "flow control",
                    0x8809 => "LACP",
                    0x8863 => "PPPoE discovery",
                    0x888e => "EAPOL",
                    0x8892 => "PROFINET",
                    0x88cc => "LLDP",
                    0x88e5 => "MACsec",
                    0x88f7 => "PTP",
                    0x8902 => "CFM",
                    0x8906 => "FCoE",
                    0x8915 => "RoCE",
                    0x9000 => "loopback test",
                    _ => return Ok(()),
                }
            }
            Self::Protocol(number) => {
                write!(f, "IP protocol {number}")?;
                match *number {
                    1 => "ICMP",
                    2 => "IGMP",
                    protocol::ESP => "ESP",
                    58 => "ICMPv6",
                    88 => "EIGRP",
                    89 => "OSPF",
                    103 => "PIM",
                    108 => "IPComp",
                    112 => "VRRP",
                    115 => "L2TP",
                    132 => "SCTP",
                    _ => return Ok(()),
                }
            }
        };
        write!(f, " ({name})")
    }
}
