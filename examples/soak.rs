//! Writes a capture without an end in sight to standard output: ever new connections at 60,000 packets per second of packet time. Or sends its
//! packets on an interface, so many a second.
//!
//! ```text
//! soak 200000000 | rpcscope calls - -o /dev/null --max-memory 256MiB
//! soak 60000000 veth0 100000
//! ```
//!
//! Of a hundred connections, seventy make calls and close, twenty make calls and stay silent, five are only begun, and five
//! get no answer to their SYN. Memory that grows with time shows itself as a curve that does not level off.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use pcap::{Active, Capture};

/// Microseconds for six packets: 60,000 packets per second.
const SIX: u64 = 100;

/// Calls of a connection.
const CALLS: u32 = 3;

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

struct Soak<W> {
    out: W,
    left: u64,
    /// Packets so far.
    sent: u64,
    packet: Vec<u8>,
}

/// Ends of a connection, and the sequence number of each's next byte.
struct Connection {
    ends: [(u32, u16); 2],
    next: [u32; 2],
}

impl<W: Write> Soak<W> {
    fn segment(
        &mut self,
        connection: &mut Connection,
        from: usize,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let [source, destination] = [connection.ends[from], connection.ends[1 - from]];
        let ack = if flags & ACK > 0 { connection.next[1 - from] } else { 0 };
        let time = 1_700_000_000_000_000 + self.sent * SIX / 6;
        self.sent += 1;
        let len = 40 + payload.len() as u32;
        let packet = &mut self.packet;
        packet.clear();
        for word in [(time / 1_000_000) as u32, (time % 1_000_000) as u32, len, len] {
            packet.extend(word.to_le_bytes());
        }
        packet.extend([0x45, 0]);
        packet.extend((len as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        packet.extend(source.0.to_be_bytes());
        packet.extend(destination.0.to_be_bytes());
        packet.extend(source.1.to_be_bytes());
        packet.extend(destination.1.to_be_bytes());
        packet.extend(connection.next[from].to_be_bytes());
        packet.extend(ack.to_be_bytes());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(payload);
        let step = payload.len() as u32 + u32::from(flags & (SYN | FIN) > 0);
        connection.next[from] = connection.next[from].wrapping_add(step);
        self.out.write_all(packet)
    }

    /// Connection number `n` from its first to its last packet.
    fn connection(&mut self, n: u64) -> io::Result<()> {
        let client = (0x0a00_0000 + (n / 50_000) as u32 % 0x00ff_ffff, 10_000 + (n % 50_000) as u16);
        let server = (0xc0a8_0000 + (n % 50) as u32, 9_000);
        let mut connection = Connection { ends: [client, server], next: [n as u32, !n as u32] };
        let kind = n % 100;
        self.segment(&mut connection, 0, SYN, b"")?;
        if kind < 5 {
            return Ok(());
        }
        self.segment(&mut connection, 1, SYN | ACK, b"")?;
        self.segment(&mut connection, 0, ACK, b"")?;
        if kind < 10 {
            return Ok(());
        }
        for id in 0..CALLS {
            self.segment(&mut connection, 0, ACK, &message(1, id, n))?;
            self.segment(&mut connection, 1, ACK, &message(2, id, n))?;
        }
        if kind < 30 {
            return Ok(());
        }
        self.segment(&mut connection, 0, FIN | ACK, b"")?;
        self.segment(&mut connection, 1, FIN | ACK, b"")?;
        self.segment(&mut connection, 0, ACK, b"")
    }
}

/// A framed thrift message of the binary protocol with an empty struct. `kind`: 1 call, 2 reply.
fn message(kind: u8, id: u32, n: u64) -> Vec<u8> {
    let name = format!("method{}", n % 40);
    let mut message = vec![0x80, 1, 0, kind];
    message.extend((name.len() as u32).to_be_bytes());
    message.extend(name.bytes());
    message.extend(id.to_be_bytes());
    message.push(0);
    [&(message.len() as u32).to_be_bytes()[..], &message].concat()
}

/// Sends packets on an interface. Each write is a record of a capture: 16 octets, and an IP packet.
struct Sender {
    interface: Capture<Active>,
    /// Packets a second.
    rate: u64,
    began: Instant,
    sent: u64,
    frame: Vec<u8>,
}

impl Sender {
    fn open(interface: &str, rate: u64) -> io::Result<Self> {
        let interface = Capture::from_device(interface).and_then(|device| device.snaplen(64).open());
        let interface = interface.map_err(io::Error::other)?;
        Ok(Self { interface, rate, began: Instant::now(), sent: 0, frame: Vec::new() })
    }
}

impl Write for Sender {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.sent.is_multiple_of(100) {
            let due = Duration::from_nanos(self.sent * 1_000_000_000 / self.rate);
            std::thread::sleep(due.saturating_sub(self.began.elapsed()));
        }
        self.sent += 1;
        self.frame.clear();
        // Ethernet: to everybody, from nobody.
        self.frame.extend([0xff; 6]);
        self.frame.extend([2, 0, 0, 0, 0, 1, 8, 0]);
        self.frame.extend(record.get(16..).unwrap_or_default());
        self.interface.sendpacket(self.frame.as_slice()).map_err(io::Error::other)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|count| count.parse().ok());
    let Some(left) = number(0) else {
        return Err(io::Error::other("soak PACKETS [INTERFACE PACKETS_PER_SECOND]"));
    };
    if let (Some(interface), Some(rate)) = (arguments.get(1), number(2)) {
        let out = Sender::open(interface, rate)?;
        let soak = run(Soak { out, left, sent: 0, packet: Vec::new() })?;
        let seconds = soak.out.began.elapsed().as_secs_f64();
        return writeln!(io::stderr(), "{} packets in {seconds:.1} s", soak.out.sent);
    }
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    // pcap, raw IP.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101] {
        out.write_all(&word.to_le_bytes())?;
    }
    run(Soak { out, left, sent: 0, packet: Vec::new() })?.out.flush()
}

fn run<W: Write>(mut soak: Soak<W>) -> io::Result<Soak<W>> {
    let mut n = 0;
    while soak.left > 0 {
        soak.connection(n)?;
        n += 1;
    }
    Ok(soak)
}
