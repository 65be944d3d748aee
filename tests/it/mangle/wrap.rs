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
