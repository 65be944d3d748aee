//! From a packet to a transport segment: links, VLAN, MPLS, tunnels, IP, fragments.
//!
//! [`Decoder::decode`] reads the headers of a packet from the outside in, one small step each (`walk.rs`), through any
//! nesting of tunnels up to a fixed number of headers. Nothing is copied or allocated unless the packet is a fragment of a
//! larger IP datagram. Lengths come from the IP headers, never from what was captured, so that Ethernet padding is no
//! payload and bytes that the snap length cut are known to be missing.

mod fragments;
mod link;
mod plain;
mod rest;
mod shard;
mod tunnel;
mod walk;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use rpcscope_parsers::Side;

use crate::source::{CapturePoint, LinkType, Packet};
use crate::time::Timestamp;

pub use link::Ended;
pub use shard::Shard;

use fragments::Fragments;
pub(crate) use plain::Plain;
use rest::Rest;
use walk::{Found, Next, Stop};

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IPv4-mapped IPv6 addresses stay as they are on the wire.
    pub ip: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    /// `address:port`, `[v6]:port`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Network {
    /// As in the call record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|network| network.name() == name)
    }
}

/// The two ends of a connection, ordered, so that both directions have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// The lower end: [`Side::A`].
    pub a: Endpoint,
    /// The higher end: [`Side::B`].
    pub b: Endpoint,
    /// TCP or UDP.
    pub network: Network,
    /// Where it was captured. The same connection at another capture point is another one: its packets are no
    /// retransmissions.
    pub capture_point: CapturePoint,
}

impl FlowKey {
    /// The key of a packet from `source` to `destination` at the default capture point, and which side sent it.
    #[must_use]
    pub fn new(source: Endpoint, destination: Endpoint, network: Network) -> (Self, Side) {
        let capture_point = CapturePoint::default();
        if source <= destination {
            (Self { a: source, b: destination, network, capture_point }, Side::A)
        } else {
            (Self { a: destination, b: source, network, capture_point }, Side::B)
        }
    }

    /// The same connection as it was captured elsewhere.
    #[must_use]
    pub fn at(self, capture_point: CapturePoint) -> Self {
        Self { capture_point, ..self }
    }

    /// The key in two words, if its addresses are those of IPv4.
    #[inline]
    pub(crate) fn words(&self) -> Option<KeyWords> {
        match (self.a.ip, self.b.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let ips = u64::from(a.to_bits()) << 32 | u64::from(b.to_bits());
                Some(KeyWords { ips, rest: self.beside_addresses() })
            }
            _ => None,
        }
    }

    /// What is in a key beside its addresses.
    #[inline]
    pub(crate) fn beside_addresses(&self) -> u64 {
        let ports = u32::from(self.a.port) << 16 | u32::from(self.b.port);
        beside_addresses(ports, self.network, self.capture_point)
    }

    /// The address of one side.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> Endpoint {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }
}

/// A [`FlowKey`] over IPv4 in two words, which travel in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyWords {
    /// The addresses.
    pub(crate) ips: u64,
    /// Everything else.
    pub(crate) rest: u64,
}

impl KeyWords {
    /// The key that they are.
    pub(crate) fn key(self) -> FlowKey {
        let Self { ips, rest } = self;
        let end = |ip: u64, port: u64| Endpoint { ip: (ip as u32).to_be_bytes().into(), port: port as u16 };
        FlowKey {
            a: end(ips >> 32, rest >> 17),
            b: end(ips, rest >> 1),
            network: if rest & 1 == 0 { Network::Tcp } else { Network::Udp },
            capture_point: CapturePoint((rest >> 33) as u8),
        }
    }
}

/// Ports (in one word), network and capture point of a key.
#[inline]
fn beside_addresses(ports: u32, network: Network, capture_point: CapturePoint) -> u64 {
    u64::from(capture_point.0) << 33 | u64::from(ports) << 1 | u64::from(network == Network::Udp)
}

/// TCP flags that matter here (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// FIN.
    pub fin: bool,
    /// SYN.
    pub syn: bool,
    /// RST.
    pub rst: bool,
    /// ACK.
    pub ack: bool,
}

impl TcpFlags {
    /// The bits of these flags in a TCP header.
    pub(crate) const MASK: u8 = 0x17;
    /// ACK alone, in such an octet.
    pub(crate) const ACK: u8 = 0x10;
    /// The answer to a SYN.
    pub(crate) const SYN_ACK: u8 = 0x12;
    /// A FIN behind what its side sent.
    pub(crate) const FIN_ACK: u8 = 0x11;

    /// Those in an octet of a TCP header.
    #[inline]
    pub(crate) fn of(octet: u8) -> Self {
        Self {
            fin: octet & 0x01 != 0,
            syn: octet & 0x02 != 0,
            rst: octet & 0x04 != 0,
            ack: octet & 0x10 != 0,
        }
    }

    /// The same the other way round.
    pub(crate) fn octet(self) -> u8 {
        let Self { fin, syn, rst, ack } = self;
        u8::from(fin) | u8::from(syn) << 1 | u8::from(rst) << 2 | u8::from(ack) << 4
    }
}

/// The TCP fields that reassembly needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHead {
    /// Sequence number of the first payload byte (of the SYN where that is set).
    pub seq: u32,
    /// Acknowledgement number; only with [`TcpFlags::ack`].
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
}

/// What a segment is, with its transport's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(TcpHead),
    /// UDP. `packet_id` is the IPv4 identification (0 for IPv6), which distinguishes repeated sightings of one packet.
    Udp {
        /// IPv4 identification field.
        packet_id: u16,
    },
}

/// One TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Number of the packet that completed it.
    pub packet: u64,
    /// When that packet was captured.
    pub time: Timestamp,
    /// The connection.
    pub key: FlowKey,
    /// Who sent it.
    pub side: Side,
    /// Transport fields.
    pub transport: Transport,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire but are not in `payload` (snap length), at its end.
    pub missing: u32,
}

impl Segment<'_> {
    /// Payload bytes on the wire.
    #[must_use]
    pub fn wire_len(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.missing)
    }
}

/// Why a packet has no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Unknown link type; [`Decoder::unknown_link`] returns the first.
    Link,
    /// It carries no IP: ARP, LLDP and the like.
    NotIp,
    /// IP, but neither TCP nor UDP: ICMP, routing protocols and the like.
    OtherTransport,
    /// Encrypted by IP security (ESP).
    Encrypted,
    /// A fragment of a datagram that is not complete yet.
    Fragment,
    /// The snap length cut it within a header, or it is a fragment that was cut.
    Truncated,
    /// A header contradicts itself.
    Malformed,
    /// More nested headers than any real network has.
    TooDeep,
    /// A piece of a stream that Wireshark exported: without its sequence number it can't be put back.
    Exported,
}

impl Skip {
    /// All reasons, in the order in which they are declared.
    pub const ALL: [Self; 9] = [
        Self::Link,
        Self::NotIp,
        Self::OtherTransport,
        Self::Encrypted,
        Self::Fragment,
        Self::Truncated,
        Self::Malformed,
        Self::TooDeep,
        Self::Exported,
    ];

    /// As shown to users.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Link => "unknown link type",
            Self::NotIp => "not IP",
            Self::OtherTransport => "neither TCP nor UDP",
            Self::Encrypted => "IPsec ESP",
            Self::Fragment => "fragment",
            Self::Truncated => "cut within a head",
            Self::Malformed => "malformed head",
            Self::TooDeep => "too many heads",
            Self::Exported => "exported PDU without sequence number",
        }
    }
}

/// What a packet is.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment or UDP datagram.
    Segment(Segment<'a>),
    /// No segment, and why.
    Skipped(Skip),
    /// A segment of a connection that belongs to another share.
    Elsewhere,
}

/// Decodes packets. Its only state is incomplete datagrams and counters.
#[derive(Debug, Default)]
pub struct Decoder {
    shard: Shard,
    /// Others decode other shares.
    is_shared: bool,
    fragments: Fragments,
    /// Reassembled datagrams while their contents are read: one, and one found within it.
    assembled: [Vec<u8>; 2],
    skipped: [u64; Skip::ALL.len()],
    unknown_link: Option<LinkType>,
    ended: Vec<(Ended, u64)>,
}

/// Most numbers of [`Decoder::ended`] that are told apart.
const MAX_ENDED: usize = 64;

impl Decoder {
    /// A decoder that returns only the segments of one share of the connections. It still counts all packets that it skips,
    /// and puts all fragments together.
    #[must_use]
    pub fn of(shard: Shard) -> Self {
        Self { shard, is_shared: !shard.is_all(), ..Self::default() }
    }

    /// Reads the headers of `packet` down to TCP or UDP.
    pub fn decode<'a>(&'a mut self, packet: &Packet<'a>) -> Decoded<'a> {
        match self.plain(packet) {
            Some((plain, true)) => Decoded::Segment(plain.segment(packet)),
            Some((_, false)) => Decoded::Elsewhere,
            None => self.decode_any(packet),
        }
    }

    /// The packet if it is a plain one, and whether its connection belongs to this share; all others are for
    /// [`Self::decode_any`]. Taking these two steps apart spares the copy of a segment: 60 instructions of 210.
    #[expect(clippy::inline_always, reason = "returned, it would be copied after all")]
    #[inline(always)]
    pub(crate) fn plain<'a>(&self, packet: &Packet<'a>) -> Option<(Plain<'a>, bool)> {
        let plain = Plain::new(packet)?;
        let is_own = !self.is_shared || self.shard.takes(plain.hash());
        Some((plain, is_own))
    }

    /// The same as [`Self::decode`], for packets that are not plain.
    pub(crate) fn decode_any<'a>(&'a mut self, packet: &Packet<'a>) -> Decoded<'a> {
        let shard = self.shard;
        match self.walk(packet) {
            Decoded::Segment(segment) if !shard.takes_key(&segment.key) => Decoded::Elsewhere,
            decoded => decoded,
        }
    }

    /// The connection of a packet of this share, if it can be found quickly: for those who want to prepare for it. Counts
    /// nothing.
    #[inline]
    #[must_use]
    pub fn peek(&self, packet: &Packet<'_>) -> Option<FlowKey> {
        let (plain, is_own) = self.plain(packet)?;
        is_own.then(|| plain.key(packet).0)
    }

    /// The general way, for packets that are not plain.
    fn walk<'a>(&'a mut self, packet: &Packet<'a>) -> Decoded<'a> {
        let Self { fragments, assembled: [outer, inner], skipped, unknown_link, ended, .. } = self;
        match segment(packet, fragments, outer, inner) {
            Ok(segment) => Decoded::Segment(segment),
            Err((skip, at)) => {
                if skip == Skip::Link {
                    unknown_link.get_or_insert(packet.link);
                }
                if let Some(at) = at {
                    if let Some((_, count)) = ended.iter_mut().find(|(known, _)| *known == at) {
                        *count += 1;
                    } else if ended.len() < MAX_ENDED {
                        ended.push((at, 1));
                    }
                }
                if let Some(count) = skipped.get_mut(skip as usize) {
                    *count += 1;
                }
                Decoded::Skipped(skip)
            }
        }
    }

    /// Packets without a segment, by reason.
    #[must_use]
    pub fn skipped(&self, why: Skip) -> u64 {
        self.skipped.get(why as usize).copied().unwrap_or(0)
    }

    /// What announced the header at which packets ended that have no segment, and how many: Ethernet types, IP protocols and link
    /// types that lead no further.
    #[must_use]
    pub fn ended(&self) -> &[(Ended, u64)] {
        &self.ended
    }

    /// The first unknown link type, if there was one.
    #[must_use]
    pub fn unknown_link(&self) -> Option<LinkType> {
        self.unknown_link
    }

    /// Fragmented datagrams that were dropped: some fragments never came, or too many datagrams were incomplete at a time.
    #[must_use]
    pub fn lost_datagrams(&self) -> u64 {
        self.fragments.lost()
    }
}

/// Decodes one packet, through at most two nested reassembled datagrams.
fn segment<'a>(
    packet: &Packet<'a>,
    fragments: &mut Fragments,
    outer: &'a mut Vec<u8>,
    inner: &'a mut Vec<u8>,
) -> Result<Segment<'a>, (Skip, Option<Ended>)> {
    let stopped = |Stop { skip, at }| match skip {
        Skip::NotIp | Skip::OtherTransport | Skip::Encrypted => (skip, Ended::at(at)),
        skip => (skip, None),
    };
    let cut = packet.wire_len.saturating_sub(packet.data.len() as u32);
    let link = Next::link(packet.link).map_err(|skip| (skip, Some(Ended::Link(packet.link))))?;
    let mut found = walk::walk(link, Rest::new(packet.data, cut), packet, fragments).map_err(stopped)?;
    for buffer in [outer, inner] {
        match found {
            Found::Segment(segment) => return Ok(segment),
            Found::Assembled(datagram) => {
                *buffer = datagram.bytes;
                let next = Next::Protocol(datagram.protocol, datagram.hosts);
                found = walk::walk(next, Rest::new(buffer, 0), packet, fragments).map_err(stopped)?;
            }
        }
    }
    match found {
        Found::Segment(segment) => Ok(segment),
        Found::Assembled(_) => Err((Skip::TooDeep, None)),
    }
}
