//! Packets taken apart and put together again, by code that shares nothing with the program's decoder.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

/// `LINKTYPE_ETHERNET`, of all bundled captures.
pub(crate) const ETHERNET: u16 = 1;

const TCP: u8 = 6;
const UDP: u8 = 17;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// Both ends of a connection, ordered, and whether it is TCP.
pub(crate) type Flow = ((IpAddr, u16), (IpAddr, u16), bool);

/// Fields of a TCP head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
}

impl Tcp {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// One TCP segment or UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Nanoseconds since the epoch.
    pub(crate) time: i64,
    pub(crate) source: (IpAddr, u16),
    pub(crate) destination: (IpAddr, u16),
    /// IPv4 identification.
    pub(crate) id: u16,
    /// `None` for UDP.
    pub(crate) tcp: Option<Tcp>,
    pub(crate) payload: Vec<u8>,
}

/// A packet as a capture holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) time: i64,
    pub(crate) link: u16,
    pub(crate) wire_len: u32,
    pub(crate) data: Vec<u8>,
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The parts of an IPv4 packet that came so far.
type Fragments = HashMap<(IpAddr, IpAddr, u16), Vec<u8>>;

/// Reads a bundled capture: classic pcap of Ethernet, little-endian, microseconds. Packets of other protocols are left out.
pub(crate) fn read(path: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(le32(&bytes, 0), 0xa1b2_c3d4, "{}", path.display());
    assert_eq!(le32(&bytes, 20), u32::from(ETHERNET), "{}", path.display());
    let mut frames = Vec::new();
    let mut fragments = Fragments::new();
    let mut at = 24;
    while at < bytes.len() {
        let time = i64::from(le32(&bytes, at)) * 1_000_000_000 + i64::from(le32(&bytes, at + 4)) * 1000;
        let (len, wire) = (le32(&bytes, at + 8) as usize, le32(&bytes, at + 12) as usize);
        assert_eq!(len, wire, "{} is cut", path.display());
        frames.extend(parse(time, &bytes[at + 16..at + 16 + len], &mut fragments));
        at += 16 + len;
    }
    assert!(fragments.is_empty(), "{}", path.display());
    frames
}

/// Takes an Ethernet packet apart. Fragments have to be in order.
fn parse(time: i64, packet: &[u8], fragments: &mut Fragments) -> Option<Frame> {
    let ip = &packet[14..];
    let (source, destination, id, protocol, transport) = match be16(packet, 12) {
        0x0800 => {
            let head = usize::from(ip[0] & 15) * 4;
            // Length 0 is that of a segment larger than the field, which the network card was to cut up.
            let total = match be16(ip, 2) {
                0 => ip.len(),
                total => usize::from(total),
            };
            let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap());
            let (from, to, id) = (address(12), address(16), be16(ip, 4));
            let mut body = fragments.remove(&(from, to, id)).unwrap_or_default();
            assert_eq!(usize::from(be16(ip, 6) & 0x1fff) * 8, body.len());
            body.extend_from_slice(&ip[head..total]);
            if be16(ip, 6) & 0x2000 != 0 {
                fragments.insert((from, to, id), body);
                return None;
            }
            (from, to, id, ip[9], body)
        }
        0x86dd => {
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap());
            (address(8), address(24), 0, ip[6], ip[40..40 + usize::from(be16(ip, 4))].to_vec())
        }
        _ => return None,
    };
    let (tcp, head) = match protocol {
        TCP => {
            let tcp = Tcp { seq: be32(&transport, 4), ack: be32(&transport, 8), flags: transport[13] };
            (Some(tcp), usize::from(transport[12] >> 4) * 4)
        }
        UDP => (None, 8),
        _ => return None,
    };
    Some(Frame {
        time,
        source: (source, be16(&transport, 0)),
        destination: (destination, be16(&transport, 2)),
        id,
        tcp,
        payload: transport[head..].to_vec(),
    })
}

impl Frame {
    /// The connection: both ends, ordered.
    pub(crate) fn flow(&self) -> Flow {
        let (low, high) = (self.source.min(self.destination), self.source.max(self.destination));
        (low, high, self.tcp.is_some())
    }

    /// Sequence number after it.
    pub(crate) fn end(&self) -> u32 {
        let tcp = self.tcp.unwrap();
        let flags = u32::from(tcp.has(SYN)) + u32::from(tcp.has(FIN));
        tcp.seq.wrapping_add(self.payload.len() as u32).wrapping_add(flags)
    }

    /// The transport head and the payload.
    fn transport(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        out.extend_from_slice(&self.source.1.to_be_bytes());
        out.extend_from_slice(&self.destination.1.to_be_bytes());
        let protocol = if let Some(tcp) = self.tcp {
            out.extend_from_slice(&tcp.seq.to_be_bytes());
            out.extend_from_slice(&tcp.ack.to_be_bytes());
            // A head with one option (maximum segment size), window 8192, no checksum, as with offload.
            out.extend_from_slice(&[6 << 4, tcp.flags, 0x20, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
            TCP
        } else {
            out.extend_from_slice(&(self.payload.len() as u16 + 8).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            UDP
        };
        out.extend_from_slice(&self.payload);
        (protocol, out)
    }

    /// The IP packet.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let (protocol, transport) = self.transport();
        match (self.source.0, self.destination.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                ipv4(from.octets(), to.octets(), self.id, 0, protocol, &transport)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from.octets(), to.octets(), protocol, &transport),
            mixed => panic!("{mixed:?}"),
        }
    }

    /// The IP packet in fragments of at most `size` bytes of payload (a multiple of 8).
    pub(crate) fn fragments(&self, size: usize) -> Vec<Vec<u8>> {
        let (protocol, transport) = self.transport();
        let last = transport.chunks(size).count() - 1;
        let fragments = transport.chunks(size).enumerate();
        match (self.source.0, self.destination.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => fragments
                .map(|(i, part)| {
                    let more = if i == last { 0 } else { 0x2000 };
                    let offset = (i * size / 8) as u16;
                    ipv4(from.octets(), to.octets(), self.id, more | offset, protocol, part)
                })
                .collect(),
            (IpAddr::V6(from), IpAddr::V6(to)) => fragments
                .map(|(i, part)| {
                    let place = (i * size) as u16 | u16::from(i != last);
                    let mut body = vec![protocol, 0];
                    body.extend_from_slice(&place.to_be_bytes());
                    body.extend_from_slice(&u32::from(self.id).to_be_bytes());
                    body.extend_from_slice(part);
                    ipv6(from.octets(), to.octets(), 44, &body)
                })
                .collect(),
            mixed => panic!("{mixed:?}"),
        }
    }
}

/// An IPv4 packet; `place` is its flags and fragment offset.
pub(crate) fn ipv4(from: [u8; 4], to: [u8; 4], id: u16, place: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
    let total = u16::try_from(body.len() + 20).unwrap_or(0);
    let mut out = vec![0x45, 0];
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&place.to_be_bytes());
    out.extend_from_slice(&[64, protocol, 0, 0]);
    out.extend_from_slice(&from);
    out.extend_from_slice(&to);
    out.extend_from_slice(body);
    out
}

/// An IPv6 packet.
pub(crate) fn ipv6(from: [u8; 16], to: [u8; 16], next: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&[next, 64]);
    out.extend_from_slice(&from);
    out.extend_from_slice(&to);
    out.extend_from_slice(body);
    out
}

/// An address and a port.
pub(crate) type End = ([u8; 4], u16);

/// Bytes that the client (`true`) or the server sends.
pub(crate) type Said = (bool, &'static [u8]);

/// A connection of client and server with its handshake, these bytes, and both FINs.
pub(crate) fn conversation(ends: [End; 2], exchange: &[Said]) -> Vec<Frame> {
    let ends = ends.map(|(ip, port)| (IpAddr::from(ip), port));
    let mut at = [1_000_u32, 7_000];
    let mut frames = Vec::new();
    let mut send = |from: usize, flags: u8, payload: &[u8]| {
        let tcp = Tcp { seq: at[from], ack: at[1 - from], flags };
        at[from] += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        frames.push(Frame {
            time: 1_000_000 * frames.len() as i64,
            source: ends[from],
            destination: ends[1 - from],
            id: 0,
            tcp: Some(tcp),
            payload: payload.to_vec(),
        });
    };
    send(0, SYN, &[]);
    send(1, SYN | ACK, &[]);
    send(0, ACK, &[]);
    for (from_client, bytes) in exchange {
        send(usize::from(!from_client), ACK, bytes);
    }
    send(1, FIN | ACK, &[]);
    send(0, FIN | ACK, &[]);
    frames
}
