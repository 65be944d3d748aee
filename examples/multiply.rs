//! Builds a large capture from the bundled ones: `cargo run --release --example multiply -- COPIES OUT.pcap [FILTER]`.
//!
//! Every copy has addresses of its own, so that its connections are new ones. [`ROUND`] copies run at the same time, the
//! packets of all captures mixed by time; then come the next ones. `FILTER` takes only captures whose names contain it.
//! Checksums are left as they are: nobody here looks at them. Prints the number of packets.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Copies at the same time.
const ROUND: u32 = 20;
/// Time by which the copies of a round are apart, in microseconds.
const STAGGER: u64 = 1_700;
/// Pause between two rounds, in microseconds.
const PAUSE: u64 = 1_000_000;

/// A packet of a bundled capture.
struct Packet {
    /// Microseconds from the first packet of its capture.
    time: u64,
    wire_len: u32,
    data: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("usage: multiply COPIES OUT.pcap [FILTER]");
    let copies: u32 = arguments.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?;
    let path = arguments.next().ok_or_else(usage)?;
    let filter = arguments.next().unwrap_or_default();

    let mut packets = Vec::new();
    for capture in captures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))? {
        if capture.to_string_lossy().contains(&filter) {
            read(&capture, &mut packets)?;
        }
    }
    let longest = packets.iter().map(|packet| packet.time).max().unwrap_or(0);

    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    // Classic pcap, microseconds, Ethernet (link type 1), in this machine's byte order.
    for word in [0xa1b2_c3d4, u32::from_ne_bytes(version()), 0, 0, 262_144, 1] {
        out.write_all(&u32::to_ne_bytes(word))?;
    }
    let mut begin = 1_700_000_000_000_000;
    for round in (0..copies).step_by(ROUND as usize) {
        let mut order: Vec<(u64, usize, u32)> = (round..copies.min(round + ROUND))
            .flat_map(|copy| {
                let start = begin + u64::from(copy - round) * STAGGER;
                packets.iter().enumerate().map(move |(index, packet)| (start + packet.time, index, copy))
            })
            .collect();
        order.sort_unstable();
        for (time, index, copy) in order {
            write(&mut out, time, copy, &packets[index])?;
        }
        begin += longest + u64::from(ROUND) * STAGGER + PAUSE;
    }
    out.flush()?;
    writeln!(io::stdout(), "{}", u64::from(copies) * packets.len() as u64)
}

/// Major and minor version of the format, 2.4, as two numbers of 16 bits.
fn version() -> [u8; 4] {
    let [a, b] = u16::to_ne_bytes(2);
    let [c, d] = u16::to_ne_bytes(4);
    [a, b, c, d]
}

/// All captures under a folder, in the order of their names.
fn captures(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(captures(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "pcap") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a capture as the bundled ones are: classic pcap, little-endian, microseconds, Ethernet.
fn read(path: &Path, packets: &mut Vec<Packet>) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let word = |at: usize| {
        bytes.get(at..at + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    let foreign = || io::Error::other(format!("{}: not as the bundled captures are", path.display()));
    if word(0) != Some(0xa1b2_c3d4) || word(20) != Some(1) {
        return Err(foreign());
    }
    let mut at = 24;
    let mut first = None;
    while let (Some(seconds), Some(micros), Some(len), Some(wire_len)) =
        (word(at), word(at + 4), word(at + 8), word(at + 12))
    {
        let time = u64::from(seconds) * 1_000_000 + u64::from(micros);
        let first = *first.get_or_insert(time);
        let data = bytes.get(at + 16..at + 16 + len as usize).ok_or_else(foreign)?.to_vec();
        packets.push(Packet { time: time.saturating_sub(first), wire_len, data });
        at += 16 + len as usize;
    }
    Ok(())
}

/// Writes a packet as that of copy number `copy`.
fn write(out: &mut impl Write, time: u64, copy: u32, packet: &Packet) -> io::Result<()> {
    for word in
        [(time / 1_000_000) as u32, (time % 1_000_000) as u32, packet.data.len() as u32, packet.wire_len]
    {
        out.write_all(&word.to_ne_bytes())?;
    }
    // Source and destination of an IPv4 packet, moved by `copy` times 65536: the lower half tells hosts apart.
    let ends = packet.data.get(26..34).filter(|_| packet.data.get(12..14) == Some(&[8, 0]));
    let Some(ends) = ends else { return out.write_all(&packet.data) };
    out.write_all(&packet.data[..26])?;
    for end in ends.chunks(4) {
        let address = u32::from_be_bytes([end[0], end[1], end[2], end[3]]);
        out.write_all(&address.wrapping_add(copy << 16).to_be_bytes())?;
    }
    out.write_all(&packet.data[34..])
}
