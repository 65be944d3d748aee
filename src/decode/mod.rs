//! From a packet to a transport segment: links, VLAN, MPLS, tunnels, IP, fragments.

use std::net::{IpAddr, SocketAddr};

use rpcscope_parsers::Side;

use crate::time::Timestamp;

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
}

impl FlowKey {
    /// The key of a packet from `source` to `destination`, and which side sent it.
    #[must_use]
    pub fn new(source: Endpoint, destination: Endpoint, network: Network) -> (Self, Side) {
        if source <= destination {
            (Self { a: source, b: destination, network }, Side::A)
        } else {
            (Self { a: destination, b: source, network }, Side::B)
        }
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

/// The TCP fields that reassembly needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHead {
    /// Sequence number of the first payload byte (of the SYN where that is set).
    pub seq: u32,
    /// Acknowledgement number; only with [`TcpFlags::ack`].
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Receive window as sent, not scaled.
    pub window: u16,
}

/// What a segment is, with its transport's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(TcpHead),
    /// UDP. `packet_id` is the IPv4 identification (0 for IPv6), which tells repeated sightings of one packet apart.
    Udp {
        /// IPv4 identification field.
        packet_id: u16,
    },
}

/// One TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug)]
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
