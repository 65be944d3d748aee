//! Captures made by hand: raw IP packets of one client and one server, at any port.

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// Microseconds between two packets.
const STEP: u64 = 16;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

pub(super) use Sender::{Client, Server};

/// A pcap file in the making (link type 101: raw IP).
pub(super) struct Capture {
    bytes: Vec<u8>,
    /// Time of the next packet, in microseconds.
    pub(super) time: u64,
    /// The client's address and port.
    client: (u32, u16),
    /// Sequence numbers of the next byte of both.
    next: [u32; 2],
}

impl Capture {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101] {
            bytes.extend(word.to_le_bytes());
        }
        Self { bytes, time: 1_700_000_000_000_000, client: (0, 0), next: [0, 0] }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What follows is of connection number `n`.
    pub(super) fn connection(&mut self, n: usize) -> &mut Self {
        self.client = (0x0a00_0000 + (n / 60_000) as u32, 1024 + (n % 60_000) as u16);
        self.next = [100, 500];
        self
    }

    /// The same with its handshake.
    pub(super) fn open(&mut self, n: usize) -> &mut Self {
        self.connection(n);
        self.segment(Client, SYN, b"").segment(Server, SYN | ACK, b"").segment(Client, ACK, b"")
    }

    /// What comes next on the connection, to be resumed.
    pub(super) fn pause(&self) -> ((u32, u16), [u32; 2]) {
        (self.client, self.next)
    }

    /// What follows is of that connection again.
    pub(super) fn resume(&mut self, (client, next): ((u32, u16), [u32; 2])) {
        (self.client, self.next) = (client, next);
    }

    /// The next segment.
    pub(super) fn segment(&mut self, from: Sender, flags: u8, payload: &[u8]) -> &mut Self {
        let side = from as usize;
        let [seq, ack] = [self.next[side], self.next[1 - side]];
        let step = payload.len() as u32 + u32::from(flags & SYN > 0) + u32::from(flags & FIN > 0);
        self.next[side] = seq.wrapping_add(step);
        self.raw(from, flags, seq, if flags & ACK > 0 { ack } else { 0 }, payload)
    }

    /// Bytes that the capture lost.
    pub(super) fn lose(&mut self, from: Sender, bytes: u32) -> &mut Self {
        let next = &mut self.next[from as usize];
        *next = next.wrapping_add(bytes);
        self
    }

    /// Bytes in segments of a usual size.
    pub(super) fn say(&mut self, from: Sender, bytes: &[u8]) -> &mut Self {
        for part in bytes.chunks(16_000) {
            self.segment(from, ACK, part);
        }
        self
    }

    /// Sequence number of the next byte.
    pub(super) fn at(&self, from: Sender) -> u32 {
        self.next[from as usize]
    }

    /// A segment with these numbers.
    pub(super) fn raw(&mut self, from: Sender, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (host, port) = self.client;
        let server = (0xc0a8_0001_u32, 80_u16);
        let (source, destination) =
            if from == Client { ((host, port), server) } else { (server, (host, port)) };
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(source.1.to_be_bytes());
        tcp.extend(destination.1.to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(payload);
        self.ip(source.0, destination.0, 0, 0, &tcp)
    }

    /// An IP packet with the identification and the fragment field given.
    pub(super) fn ip(
        &mut self,
        source: u32,
        destination: u32,
        id: u16,
        fragment: u16,
        payload: &[u8],
    ) -> &mut Self {
        let mut packet = vec![0x45, 0];
        packet.extend((20 + payload.len() as u16).to_be_bytes());
        packet.extend(id.to_be_bytes());
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 6, 0, 0]);
        packet.extend(source.to_be_bytes());
        packet.extend(destination.to_be_bytes());
        packet.extend(payload);
        self.packet(&packet)
    }

    fn packet(&mut self, packet: &[u8]) -> &mut Self {
        let (seconds, micros) = ((self.time / 1_000_000) as u32, (self.time % 1_000_000) as u32);
        self.time += STEP;
        let len = packet.len() as u32;
        for word in [seconds, micros, len, len] {
            self.bytes.extend(word.to_le_bytes());
        }
        self.bytes.extend(packet);
        self
    }
}

/// An HTTP/2 frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a client of HTTP/2 begins with.
pub(super) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat()
}

/// The header block of a gRPC request: POST, http, the path `/a/b` and the content type, none of them indexed.
pub(super) const REQUEST: &[u8] = b"\x83\x86\x04\x04/a/b\x0f\x10\x10application/grpc";

/// A framed thrift message with an empty struct. `kind`: 1 call, 2 reply.
pub(super) fn thrift(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0x80, 1, 0, kind, 0, 0, 0, 4];
    message.extend(b"ping");
    message.extend(id.to_be_bytes());
    message.extend(body);
    [&(message.len() as u32).to_be_bytes()[..], &message].concat()
}
