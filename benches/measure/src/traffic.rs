//! The captures that are measured: the bundled ones multiplied, many connections, large bodies. Classic pcap, Ethernet,
//! little-endian, microseconds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Copies of the bundled captures that run at the same time.
const ROUND: u32 = 20;
/// Time between the starts of the copies of a round, microseconds.
const STAGGER: u64 = 1_700;
/// Time between two rounds, microseconds.
const PAUSE: u64 = 1_000_000;
/// When all captures begin, microseconds since 1970.
const START: u64 = 1_700_000_000_000_000;

/// Link type of Ethernet.
const ETHERNET: u32 = 1;
/// Heads of Ethernet, IPv4 and TCP without options.
const HEADS: usize = 14 + 20 + 20;

/// A capture being written.
struct Capture {
    out: BufWriter<File>,
    packets: u64,
}

impl Capture {
    fn create(path: &Path) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        // Magic number, version 2.4, time zone, accuracy, snap length, link type.
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, ETHERNET] {
            out.write_all(&u32::to_le_bytes(word))?;
        }
        Ok(Self { out, packets: 0 })
    }

    /// Writes a packet given in pieces. `wire_len` is its length before it was cut.
    fn packet(&mut self, time: u64, wire_len: u32, pieces: &[&[u8]]) -> io::Result<()> {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        for word in [(time / 1_000_000) as u32, (time % 1_000_000) as u32, len as u32, wire_len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.packets += 1;
        pieces.iter().try_for_each(|piece| self.out.write_all(piece))
    }

    fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.packets)
    }
}

/// A packet of a bundled capture.
struct Packet {
    /// Microseconds from the first packet of its capture.
    time: u64,
    wire_len: u32,
    data: Vec<u8>,
    /// Its capture.
    input: u32,
    /// Source and destination: the places of their addresses among those of the capture.
    hosts: [u8; 2],
}

/// The bundled captures of RPC traffic, each `copies` times and each time with addresses of its own, mixed by time.
/// Checksums are left as they are: no reader of ours looks at them.
pub(crate) fn mixed(copies: u32, path: &Path) -> io::Result<u64> {
    let inputs = bundled()?;
    let mut packets = Vec::new();
    for (input, path) in (0..).zip(&inputs) {
        read(path, input, &mut packets)?;
    }
    let longest = packets.iter().map(|packet| packet.time).max().unwrap_or(0);
    let mut out = Capture::create(path)?;
    let mut begin = START;
    for round in (0..copies).step_by(ROUND as usize) {
        let mut order: Vec<(u64, usize, u32)> = (round..copies.min(round + ROUND))
            .flat_map(|copy| {
                let start = begin + u64::from(copy - round) * STAGGER;
                packets.iter().enumerate().map(move |(index, packet)| (start + packet.time, index, copy))
            })
            .collect();
        order.sort_unstable();
        for (time, index, copy) in order {
            let packet = &packets[index];
            let block = (copy * inputs.len() as u32 + packet.input) as u16;
            let [[a, b], [source, target]] = [block.to_be_bytes(), packet.hosts];
            let addresses = [10, a, b, source, 10, a, b, target];
            out.packet(time, packet.wire_len, &[&packet.data[..26], &addresses, &packet.data[34..]])?;
        }
        begin += longest + u64::from(ROUND) * STAGGER + PAUSE;
    }
    out.finish()
}

/// All bundled captures of RPC traffic in the order of their names, without those that are mostly one large message: they
/// would be most of the file.
fn bundled() -> io::Result<Vec<PathBuf>> {
    let root = crate::root().join("captures");
    let mut found = Vec::new();
    for folder in ["grpc", "kitex", "thrift", "trpc"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let large = ["continuation", "big"].iter().any(|word| name.contains(word));
            if path.extension().is_some_and(|ending| ending == "pcap") && !large {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the IPv4 packets of a capture; none if its link type is not Ethernet.
fn read(path: &Path, input: u32, packets: &mut Vec<Packet>) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let word = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|word| u32::from_le_bytes(*word));
    let foreign = || io::Error::other(format!("{}: not as the bundled captures are", path.display()));
    if word(0) != Some(0xa1b2_c3d4) {
        return Err(foreign());
    }
    if word(20) != Some(ETHERNET) {
        return Ok(());
    }
    let mut hosts: HashMap<Vec<u8>, u8> = HashMap::new();
    let mut first = None;
    let mut at = 24;
    while let (Some(seconds), Some(micros), Some(len), Some(wire_len)) =
        (word(at), word(at + 4), word(at + 8), word(at + 12))
    {
        let data = bytes.get(at + 16..at + 16 + len as usize).ok_or_else(foreign)?;
        at += 16 + len as usize;
        let ends = data.get(26..34).filter(|_| data.get(12..14) == Some(&[8, 0]));
        let Some((source, target)) = ends.and_then(|ends| ends.split_at_checked(4)) else { continue };
        let mut host = |address: &[u8]| {
            let next = hosts.len() as u8;
            *hosts.entry(address.to_vec()).or_insert(next)
        };
        let time = u64::from(seconds) * 1_000_000 + u64::from(micros);
        let first = *first.get_or_insert(time);
        packets.push(Packet {
            time: time.saturating_sub(first),
            wire_len,
            data: data.to_vec(),
            input,
            hosts: [host(source), host(target)],
        });
    }
    Ok(())
}

/// One TCP connection to port 9090 of 10.0.0.2.
struct Connection {
    client: [u8; 4],
    port: u16,
    /// Next sequence number of each side, the client's first.
    next: [u32; 2],
}

impl Connection {
    /// Connection number `number`, opened.
    fn open(number: u32, time: u64, out: &mut Capture) -> io::Result<Self> {
        let [_, a, b, c] = (0x0001_0000 + (number >> 14)).to_be_bytes();
        let port = 1024 + (number & 0x3fff) as u16;
        let mut connection = Self { client: [10, a, b, c], port, next: [100, 500] };
        for (side, flags) in [(0, 0x02), (1, 0x12)] {
            connection.segment(time, side, flags, &[], out)?;
            connection.next[side] += 1;
        }
        Ok(connection)
    }

    /// Sends a segment of side 0, the client, or 1.
    fn segment(
        &mut self,
        time: u64,
        side: usize,
        flags: u8,
        payload: &[u8],
        out: &mut Capture,
    ) -> io::Result<()> {
        const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 9090);
        let mut ends = [(self.client, self.port), SERVER];
        let mut next = self.next;
        if side == 1 {
            ends.reverse();
            next.reverse();
        }
        let len = (HEADS - 14 + payload.len()) as u16;
        let mut head = [0; HEADS];
        head[12] = 8;
        // IPv4: version and length of the head, total length, do not fragment, time to live, TCP.
        head[14] = 0x45;
        head[16..18].copy_from_slice(&len.to_be_bytes());
        head[20] = 0x40;
        head[22] = 64;
        head[23] = 6;
        // TCP: length of the head in its upper half, flags, window.
        head[46] = 0x50;
        head[47] = flags;
        head[48..50].copy_from_slice(&[0xff, 0xff]);
        for (index, (address, port)) in ends.into_iter().enumerate() {
            head[26 + 4 * index..][..4].copy_from_slice(&address);
            head[34 + 2 * index..][..2].copy_from_slice(&port.to_be_bytes());
            head[38 + 4 * index..][..4].copy_from_slice(&next[index].to_be_bytes());
        }
        self.next[side] += payload.len() as u32;
        out.packet(time, (HEADS + payload.len()) as u32, &[&head, payload])
    }

    /// Sends a message in segments.
    fn message(&mut self, time: u64, side: usize, message: &[u8], out: &mut Capture) -> io::Result<()> {
        /// As large as captures on a loopback interface or behind a card that joins segments have them.
        const SEGMENT: usize = 32 * 1024;
        message.chunks(SEGMENT).try_for_each(|part| self.segment(time, side, 0x18, part, out))
    }
}

/// A message of framed Thrift in the strict binary protocol: method `ping`, a struct with one string of `body` bytes, or
/// none of them if that is 0.
fn thrift(kind: u8, sequence: u32, body: usize) -> Vec<u8> {
    let mut message = vec![0x80, 1, 0, kind, 0, 0, 0, 4];
    message.extend_from_slice(b"ping");
    message.extend_from_slice(&sequence.to_be_bytes());
    if body > 0 {
        // Field 1 of type string.
        message.extend_from_slice(&[11, 0, 1]);
        message.extend_from_slice(&(body as u32).to_be_bytes());
        message.resize(message.len() + body, b'x');
    }
    message.push(0);
    [&(message.len() as u32).to_be_bytes(), message.as_slice()].concat()
}

/// Kinds of Thrift messages.
const CALL: u8 = 1;
const REPLY: u8 = 2;

/// Many connections, all open at the same time, with short calls in turn.
pub(crate) fn many(connections: u32, calls: u32, path: &Path) -> io::Result<u64> {
    let mut out = Capture::create(path)?;
    let mut time = START;
    let mut open = Vec::new();
    for number in 0..connections {
        open.push(Connection::open(number, time, &mut out)?);
        time += 1;
    }
    for sequence in 0..calls {
        for connection in &mut open {
            connection.message(time, 0, &thrift(CALL, sequence, 0), &mut out)?;
            connection.message(time + 100, 1, &thrift(REPLY, sequence, 0), &mut out)?;
            time += 1;
        }
    }
    out.finish()
}

/// Calls on one connection whose requests are large.
pub(crate) fn bodies(calls: u32, bytes: u32, path: &Path) -> io::Result<u64> {
    let mut out = Capture::create(path)?;
    let mut connection = Connection::open(0, START, &mut out)?;
    for sequence in 0..calls {
        let time = START + u64::from(sequence + 1) * 10_000;
        connection.message(time, 0, &thrift(CALL, sequence, bytes as usize), &mut out)?;
        connection.message(time + 5_000, 1, &thrift(REPLY, sequence, 0), &mut out)?;
    }
    out.finish()
}
