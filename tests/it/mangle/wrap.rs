//! The same packets on other links and in tunnels.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::{Captured, ETHERNET, Frame, ipv4};

/// What stands around an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    Ethernet,
    /// A short packet filled up to the 60 bytes that Ethernet demands.
    Padded,
    Vlan,
    QinQ,
    Mpls,
    /// Linux cooked, both versions.
    Sll,
    Sll2,
    /// BSD loopback with the family in either byte order.
    Null,
    Loop,
    RawIp,
    Vxlan,
    Geneve,
    Gre,
    IpInIp,
    /// PPP with its frame's address, on a serial line, and in Ethernet.
    Ppp,
    Hdlc,
    PppOe,
    /// Packets as the capture points of macOS, Linux and BSD hand them on.
    Pktap,
    NfLog,
    PfLog,
    Enc,
    /// Wireshark's exported PDUs.
    Exported,
    /// IEEE 802.3 with LLC and SNAP.
    Snap,
    /// IEEE 802.11 behind radiotap, with a class of service and a checksum; and a frame of a bridge with four addresses.
    Radiotap,
    Wireless,
    /// Provider backbone (802.1ah), bridge extension (802.1BR), service chain.
    Backbone,
    VnTag,
    Nsh,
    EtherIp,
    Erspan,
    GrePpp,
    VxlanGpe,
    GtpU,
    L2tp,
    MplsUdp,
    /// VXLAN on a tagged link that carries a tagged packet.
    Deep,
    /// IP fragments of this many bytes.
    Fragments(usize),
    /// The same, the last one first.
    FragmentsBackwards(usize),
}

pub(crate) const ALL: &[Wrap] = &[
    Wrap::Ethernet,
    Wrap::Padded,
    Wrap::Vlan,
    Wrap::QinQ,
    Wrap::Mpls,
    Wrap::Sll,
    Wrap::Sll2,
    Wrap::Null,
    Wrap::Loop,
    Wrap::RawIp,
    Wrap::Vxlan,
    Wrap::Geneve,
    Wrap::Gre,
    Wrap::IpInIp,
    Wrap::Ppp,
    Wrap::Hdlc,
    Wrap::PppOe,
    Wrap::Pktap,
    Wrap::NfLog,
    Wrap::PfLog,
    Wrap::Enc,
    Wrap::Exported,
    Wrap::Snap,
    Wrap::Radiotap,
    Wrap::Wireless,
    Wrap::Backbone,
    Wrap::VnTag,
    Wrap::Nsh,
    Wrap::EtherIp,
    Wrap::Erspan,
    Wrap::GrePpp,
    Wrap::VxlanGpe,
    Wrap::GtpU,
    Wrap::L2tp,
    Wrap::MplsUdp,
    Wrap::Deep,
    Wrap::Fragments(64),
    Wrap::Fragments(1480),
    Wrap::FragmentsBackwards(512),
];

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn is_v6(ip: &[u8]) -> bool {
    ip[0] >> 4 == 6
}

fn ether_type(ip: &[u8]) -> [u8; 2] {
    if is_v6(ip) { [0x86, 0xdd] } else { [8, 0] }
}

fn ethernet(tags: &[u8], ip: &[u8]) -> Vec<u8> {
    [&MACS[..], tags, &ether_type(ip), ip].concat()
}

/// PPP without its frame.
fn ppp(ip: &[u8]) -> Vec<u8> {
    [&[0, if is_v6(ip) { 0x57 } else { 0x21 }][..], ip].concat()
}

fn udp(port: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0, 0];
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&(body.len() as u16 + 8).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(body);
    out
}

/// An outer IPv4 packet between two hosts of the tunnel.
fn outer(protocol: u8, body: &[u8]) -> Vec<u8> {
    ipv4([192, 0, 2, 1], [192, 0, 2, 2], 0, 0x4000, protocol, body)
}

fn vxlan(tags: &[u8], ip: &[u8]) -> Vec<u8> {
    udp(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0], &ethernet(tags, ip)[..]].concat())
}

/// The packets that carry `frame`.
pub(crate) fn wrap(frame: &Frame, wrap: Wrap) -> Vec<Captured> {
    const CUSTOMER: [u8; 4] = [0x81, 0, 0x20, 7];
    const SERVICE: [u8; 4] = [0x88, 0xa8, 0, 9];
    let ip = frame.ip();
    let family = if is_v6(&ip) { 30_u32 } else { 2 };
    let (link, packets) = match wrap {
        Wrap::Ethernet => (ETHERNET, vec![ethernet(&[], &ip)]),
        Wrap::Padded => {
            let mut packet = ethernet(&[], &ip);
            packet.resize(packet.len().max(60), 0xee);
            (ETHERNET, vec![packet])
        }
        Wrap::Vlan => (ETHERNET, vec![ethernet(&CUSTOMER, &ip)]),
        Wrap::QinQ => (ETHERNET, vec![ethernet(&[SERVICE, CUSTOMER].concat(), &ip)]),
        Wrap::Mpls => {
            let labels = [0, 1, 0x10, 64, 0, 2, 0x11, 64];
            (ETHERNET, vec![[&MACS[..], &[0x88, 0x47], &labels, &ip].concat()])
        }
        Wrap::Sll => {
            let head = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
            (113, vec![[&head[..], &ether_type(&ip), &ip].concat()])
        }
        Wrap::Sll2 => {
            let head = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
            (276, vec![[&ether_type(&ip)[..], &head, &ip].concat()])
        }
        Wrap::Null => (0, vec![[&family.to_le_bytes()[..], &ip].concat()]),
        Wrap::Loop => (108, vec![[&family.to_be_bytes()[..], &ip].concat()]),
        Wrap::RawIp => (101, vec![ip]),
        Wrap::Vxlan => (ETHERNET, vec![ethernet(&[], &outer(17, &vxlan(&[], &ip)))]),
        Wrap::Geneve => {
            let head = [0, 0, 0x65, 0x58, 0, 0, 42, 0];
            let body = [&head[..], &ethernet(&[], &ip)].concat();
            (ETHERNET, vec![ethernet(&[], &outer(17, &udp(6081, &body)))])
        }
        Wrap::Gre => {
            // With a key.
            let body = [&[0x20, 0][..], &ether_type(&ip), &[0, 0, 0, 5], &ip].concat();
            (ETHERNET, vec![ethernet(&[], &outer(47, &body))])
        }
        Wrap::IpInIp => {
            let protocol = if is_v6(&ip) { 41 } else { 4 };
            (ETHERNET, vec![ethernet(&[], &outer(protocol, &ip))])
        }
        Wrap::Ppp => (9, vec![[&[0xff, 3][..], &ppp(&ip)].concat()]),
        Wrap::Hdlc => (104, vec![[&[0x0f, 0][..], &ether_type(&ip), &ip].concat()]),
        Wrap::PppOe => {
            let body = ppp(&ip);
            let head = [0x88, 0x64, 0x11, 0, 0, 7];
            (ETHERNET, vec![[&MACS[..], &head, &(body.len() as u16).to_be_bytes(), &body].concat()])
        }
        Wrap::Pktap => {
            // Length of the head, type, link type.
            let head = [108_u32, 1, u32::from(ETHERNET)].map(u32::to_le_bytes).concat();
            (258, vec![[&head[..], &[0; 96], &ethernet(&[], &ip)].concat()])
        }
        Wrap::NfLog => {
            let payload = [(ip.len() as u16 + 4).to_le_bytes(), [9, 0]].concat();
            (239, vec![[&[2, 0, 0, 7, 5, 0, 10, 0, b'x', 0, 0, 0][..], &payload, &ip].concat()])
        }
        Wrap::PfLog => (117, vec![[&[61, family as u8][..], &[0; 62], &ip].concat()]),
        Wrap::Enc => (109, vec![[&family.to_le_bytes()[..], &[0; 8], &ip].concat()]),
        Wrap::Exported => {
            let tags: &[u8] =
                if is_v6(&ip) { b"\0\x0c\0\x04ipv6\0\0\0\0" } else { b"\0\x0c\0\x04ip\0\0\0\0\0\0" };
            (252, vec![[tags, &ip].concat()])
        }
        Wrap::Snap => {
            let body = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ether_type(&ip), &ip].concat();
            // The field of the length holds no more than 1500.
            (ETHERNET, vec![[&MACS[..], &(body.len().min(1500) as u16).to_be_bytes(), &body].concat()])
        }
        Wrap::Radiotap => {
            let radio = [0, 0, 12, 0, 2, 0, 0, 0, 0x10, 0, 0, 0];
            let head = [&[0x88, 1, 0, 0][..], &MACS, &MACS[..6], &[0x30, 1, 0, 0]].concat();
            let body = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ether_type(&ip), &ip, &[1, 2, 3, 4]].concat();
            (127, vec![[&radio[..], &head, &body].concat()])
        }
        Wrap::Wireless => {
            let head = [&[0x08, 3, 0, 0][..], &MACS, &MACS[..6], &[0x30, 1], &MACS[6..]].concat();
            (105, vec![[&head[..], &[0xaa, 0xaa, 3, 0, 0, 0], &ether_type(&ip), &ip].concat()])
        }
        Wrap::Backbone => {
            let head = [&MACS[..], &[0x88, 0xe7, 0, 0, 0, 5]].concat();
            (ETHERNET, vec![[&head[..], &ethernet(&CUSTOMER, &ip)].concat()])
        }
        Wrap::VnTag => (ETHERNET, vec![ethernet(&[0x89, 0x26, 0x80, 1, 0, 2], &ip)]),
        Wrap::Nsh => {
            let head = [0x89, 0x4f, 0, 6, 2, 3, 0, 0, 1, 0xff];
            (ETHERNET, vec![[&MACS[..], &head, &[0; 16], &ethernet(&[], &ip)].concat()])
        }
        Wrap::EtherIp => {
            let body = [&[0x30, 0][..], &ethernet(&[], &ip)].concat();
            (ETHERNET, vec![ethernet(&[], &outer(97, &body))])
        }
        Wrap::Erspan => {
            // Type II: a sequence number in the head of GRE, and 8 bytes of its own.
            let head = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 0, 0, 0, 0, 0, 0];
            (ETHERNET, vec![ethernet(&[], &outer(47, &[&head[..], &ethernet(&[], &ip)].concat()))])
        }
        Wrap::GrePpp => {
            let body = [&[0, 0, 0x88, 0x0b][..], &ppp(&ip)].concat();
            (ETHERNET, vec![ethernet(&[], &outer(47, &body))])
        }
        Wrap::VxlanGpe => {
            let next = if is_v6(&ip) { 2 } else { 1 };
            let body = [&[0x0c, 0, 0, next, 0, 0, 42, 0][..], &ip].concat();
            (ETHERNET, vec![ethernet(&[], &outer(17, &udp(4790, &body)))])
        }
        Wrap::GtpU => {
            let head = [[0x30, 0xff], (ip.len() as u16).to_be_bytes(), [0, 0], [0, 9]].concat();
            (ETHERNET, vec![ethernet(&[], &outer(17, &udp(2152, &[&head[..], &ip].concat())))])
        }
        Wrap::L2tp => {
            let body = [&[0, 2, 0, 1, 0, 2, 0xff, 3][..], &ppp(&ip)].concat();
            (ETHERNET, vec![ethernet(&[], &outer(17, &udp(1701, &body)))])
        }
        Wrap::MplsUdp => {
            let body = [&[0, 1, 0x11, 64][..], &ip].concat();
            (ETHERNET, vec![ethernet(&[], &outer(17, &udp(6635, &body)))])
        }
        Wrap::Deep => (ETHERNET, vec![ethernet(&CUSTOMER, &outer(17, &vxlan(&CUSTOMER, &ip)))]),
        Wrap::Fragments(size) => {
            (ETHERNET, frame.fragments(size).iter().map(|part| ethernet(&[], part)).collect())
        }
        Wrap::FragmentsBackwards(size) => {
            (ETHERNET, frame.fragments(size).iter().rev().map(|part| ethernet(&[], part)).collect())
        }
    };
    packets
        .into_iter()
        .map(|data| Captured { time: frame.time, link, wire_len: data.len() as u32, data })
        .collect()
}

/// Whether a frame fits into `wrap`: what offload made larger than an IP packet travels in no tunnel or fragment.
pub(crate) fn fits(frame: &Frame, wrap: Wrap) -> bool {
    let whole = matches!(
        wrap,
        Wrap::Ethernet | Wrap::Vlan | Wrap::QinQ | Wrap::Mpls | Wrap::Sll | Wrap::Sll2 | Wrap::RawIp
    );
    whole || frame.payload.len() < 65_000
}

/// The same packets between IPv6 addresses.
pub(crate) fn to_ipv6(frames: &[Frame]) -> Vec<Frame> {
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets().map(u16::from);
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, a << 8 | b, c << 8 | d))
        }
        IpAddr::V6(ip) => IpAddr::V6(ip),
    };
    map_addresses(frames, address)
}

/// The same packets between other hosts.
pub(crate) fn map_addresses(frames: &[Frame], address: impl Fn(IpAddr) -> IpAddr) -> Vec<Frame> {
    let mut frames = frames.to_vec();
    for frame in &mut frames {
        frame.source.0 = address(frame.source.0);
        frame.destination.0 = address(frame.destination.0);
    }
    frames
}

/// The IPv4 address that [`to_ipv6`] made this one of.
pub(crate) fn from_ipv6(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0xfd00, 0, 0, 0, 0, 0, high, low] = ip.segments() else { return None };
    let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
    Some(Ipv4Addr::new(a, b, c, d))
}
