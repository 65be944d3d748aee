use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::files::{FileSource, Options, open};
use super::*;

/// A packet as read back: number, nanoseconds, link, interface, length on the wire, bytes.
type Read = (u64, i64, u16, u32, u32, Vec<u8>);

fn word(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

/// Classic capture of packets with a time in units and their bytes.
fn pcap(big: bool, magic: u32, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut out = word(big, magic).to_vec();
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    out.extend(version);
    for value in [0, 0, 65535, link] {
        out.extend(word(big, value));
    }
    for (seconds, fraction, bytes) in packets {
        for value in [*seconds, *fraction, bytes.len() as u32, bytes.len() as u32 + 5] {
            out.extend(word(big, value));
        }
        out.extend_from_slice(bytes);
    }
    out
}

fn micro(packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    pcap(false, 0xa1b2_c3d4, 1, packets)
}

/// A capture of Solaris' snoop: times, and packets whose records are padded to 4 bytes.
fn snoop(version: u32, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut out = b"snoop\0\0\0".to_vec();
    for number in [version, link] {
        out.extend(number.to_be_bytes());
    }
    for (seconds, micros, bytes) in packets {
        let len = bytes.len() as u32;
        let padded = len.next_multiple_of(4);
        for number in [len + 10, len, 24 + padded, 0, *seconds, *micros] {
            out.extend(number.to_be_bytes());
        }
        out.extend_from_slice(bytes);
        out.resize(out.len() + (padded - len) as usize, 0);
    }
    out
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = word(big, padded as u32 + 12);
    let mut out = [&word(big, kind)[..], &len, body].concat();
    out.resize(8 + padded, 0);
    out.extend(len);
    out
}

fn section(big: bool) -> Vec<u8> {
    let version = if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
    block(big, 0x0a0d_0d0a, &[&word(big, 0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat())
}

fn half(big: bool, value: u16) -> [u8; 2] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn interface(big: bool, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&half(big, link)[..], &[0, 0], &word(big, snap)].concat();
    for (code, value) in options {
        body.extend(half(big, *code));
        body.extend(half(big, value.len() as u16));
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(big, 1, &body)
}

fn enhanced(big: bool, interface: u32, ticks: u64, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let len = bytes.len() as u32;
    for value in [interface, (ticks >> 32) as u32, ticks as u32, len, len] {
        body.extend(word(big, value));
    }
    body.extend_from_slice(bytes);
    block(big, 6, &body)
}

fn drain(source: &mut FileSource) -> (Vec<Read>, Vec<String>) {
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    while source.next_batch(&mut batch).unwrap() {
        for p in batch.packets() {
            out.push((p.number, p.time.0, p.link.0, p.interface, p.wire_len, p.data.to_vec()));
        }
    }
    let troubles = source.troubles().into_iter().map(|e| e.to_string()).collect();
    assert!(batch.records.is_empty());
    (out, troubles)
}

fn read(paths: &[PathBuf]) -> (Vec<Read>, Vec<String>) {
    drain(&mut open(paths, Options::default()))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn large_packets_are_read_in_larger_pieces_as_long_as_they_come() {
    let (small, large) = ([1; 100], [2; 9_000]);
    let parts: [&[u8]; 3] = [&small, &large, &small];
    let packets: Vec<(u32, u32, &[u8])> = parts
        .into_iter()
        .flat_map(|packet| std::iter::repeat_n((1, 0, packet), 2_000_000 / packet.len()))
        .collect();
    let folder = Folder::new();
    let mut source = open(&[folder.file("x", &micro(&packets))], Options::default());
    let (mut batch, mut pieces) = (Batch::default(), Vec::new());
    while source.next_batch(&mut batch).unwrap() {
        pieces.push(batch.packets().map(|packet| packet.data.len()).sum::<usize>());
    }
    let (first, most, last) = (pieces[0], pieces.iter().max().unwrap(), pieces[pieces.len() - 2]);
    assert!(last < first * 5 / 4 && *most > first * 3 / 2, "{pieces:?}");
}

#[test]
fn classic_files_of_both_byte_orders_and_units() {
    let folder = Folder::new();
    for big in [false, true] {
        for (magic, nanoseconds) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            // The upper bits of the link type say that a check sequence of 4 bytes is there.
            let bytes = pcap(big, magic, 0x4400_0001, &[(7, 9, b"one"), (u32::MAX, 8, b"")]);
            let (packets, troubles) = read(&[folder.file("x", &bytes)]);
            assert_eq!(troubles, [""; 0]);
            let late = i64::from(u32::MAX) * 1_000_000_000 + 8 * nanoseconds;
            let expected = [
                (1, 7_000_000_000 + 9 * nanoseconds, 1, 0, 8, b"one".to_vec()),
                (2, late, 1, 0, 5, Vec::new()),
            ];
            assert_eq!(packets, expected);
        }
    }
}

#[test]
fn pcapng_of_both_byte_orders() {
    let folder = Folder::new();
    for big in [false, true] {
        let offset = if big { (-3_i64).to_be_bytes() } else { (-3_i64).to_le_bytes() };
        let obsolete = {
            let mut body = [half(big, 1), half(big, 0)].concat();
            for value in [0, 50, 2, 9] {
                body.extend(word(big, value));
            }
            body.extend(b"pb");
            block(big, 2, &body)
        };
        let secrets = block(big, 10, &[&word(big, 0x544c_534b)[..], &word(big, 5), b"CLIENT"].concat());
        let bytes = [
            section(big),
            interface(big, 1, 0, &[]),
            interface(big, 101, 0, &[(2, b"lo"), (9, &[9]), (14, &offset)]),
            enhanced(big, 0, 5_000_000, b"micro"),
            enhanced(big, 1, 4_000_000_007, b"nano!"),
            block(big, 0x0bad, &[1; 31]),
            obsolete,
            secrets,
            section(!big),
            interface(!big, 113, 6, &[(9, &[0x8a])]),
            enhanced(!big, 0, 1024 + 512, b"binary"),
            block(!big, 3, &[&word(!big, 100)[..], b"simple"].concat()),
        ]
        .concat();
        let mut source = open(&[folder.file("x", &bytes)], Options::default());
        let (packets, troubles) = drain(&mut source);
        assert_eq!(troubles, [""; 0]);
        let expected = [
            (1, 5_000_000_000, 1, 0, 5, b"micro".to_vec()),
            (2, 1_000_000_007, 101, 1, 5, b"nano!".to_vec()),
            (3, -3_000_000_000 + 50, 101, 1, 9, b"pb".to_vec()),
            (4, 1_500_000_000, 113, 2, 6, b"binary".to_vec()),
            // A simple packet has no time: that of the one before it.
            (5, 1_500_000_000, 113, 2, 100, b"simple".to_vec()),
        ];
        assert_eq!(packets, expected);
        assert_eq!([0, 1, 2].map(|i| source.interface_name(i)), [None, Some("lo"), None]);
        let kept = files::Secrets { kind: 0x544c_534b, data: b"CLIEN".to_vec().into() };
        assert_eq!(source.secrets(), [kept]);
        assert_eq!(format!("{:?}", source.secrets()), "[Secrets(0x544c534b, 5 bytes)]");
    }
}

#[test]
fn secrets_beyond_their_bound_are_counted() {
    let folder = Folder::new();
    let secrets = |len: u32| {
        let data = vec![b'x'; len as usize];
        block(false, 10, &[&word(false, 0x544c_534b)[..], &word(false, len), &data].concat())
    };
    let bytes = [
        section(false),
        interface(false, 1, 0, &[]),
        secrets(8),
        secrets(4),
        enhanced(false, 0, 1, b"packet"),
        secrets(4),
        secrets(1),
        enhanced(false, 0, 2, b"packet"),
    ]
    .concat();
    let options = Options { max_secrets: Some(12), ..Options::default() };
    let mut source = open(&[folder.file("x", &bytes)], options);
    let (mut batch, mut dropped) = (Batch::default(), 0);
    while source.next_batch(&mut batch).unwrap() {
        dropped = batch.dropped_secrets;
    }
    assert_eq!((source.secrets().len(), dropped), (2, 2));
}

#[test]
fn time_resolutions() {
    let folder = Folder::new();
    for (resolution, ticks, expected) in [
        (0, 3, 3_000_000_000),
        (3, 3_005, 3_005_000_000),
        (9, 12, 12),
        (12, 5_999, 5),
        (0x7f, 7, 0),
        (0x80, 4, 4_000_000_000),
        (0xff, 4, 0),
        (0, u64::MAX, i64::MAX),
    ] {
        let bytes =
            [section(false), interface(false, 1, 0, &[(9, &[resolution])]), enhanced(false, 0, ticks, b"x")];
        let (packets, _) = read(&[folder.file("x", &bytes.concat())]);
        assert_eq!(packets[0].1, expected, "resolution {resolution:#x}");
    }
}

#[test]
fn large_unknown_blocks_are_passed() {
    let folder = Folder::new();
    let bytes = [
        section(false),
        block(false, 0x0bad, &vec![0; 1 << 20]),
        interface(false, 1, 0, &[]),
        block(false, 0x0bad, &vec![0; 17 << 20]),
        enhanced(false, 0, 1, b"there"),
        block(false, 0x0bad, &vec![0; 1 << 20]),
    ]
    .concat();
    let (packets, troubles) = read(&[folder.file("x", &bytes)]);
    assert_eq!(troubles, [""; 0]);
    assert_eq!(packets[0].5, b"there");
    let (packets, troubles) = read(&[folder.file("x", &bytes[..bytes.len() - 10])]);
    assert_eq!(packets.len(), 1);
    assert!(troubles[0].contains("lacks 10 bytes"), "{troubles:?}");
}

#[test]
fn batches_stay_small_and_packets_span_reads() {
    let folder = Folder::new();
    let sizes: Vec<usize> = (0..3000).map(|i| if i == 1500 { 900_000 } else { i * 7 % 1500 }).collect();
    let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
    let packets: Vec<(u32, u32, &[u8])> = bodies.iter().map(|b| (1, 2, &b[..])).collect();
    let classic = micro(&packets);
    let mut blocks = [section(false), interface(false, 1, 0, &[])].concat();
    for body in &bodies {
        blocks.extend(enhanced(false, 0, 1, body));
    }
    let solaris = snoop(2, 4, &packets);
    for bytes in [&classic, &blocks, &solaris, &gzip(&classic), &zstd::encode_all(&blocks[..], 1).unwrap()] {
        let mut source = open(&[folder.file("x", bytes)], Options::default());
        let (mut batch, mut seen) = (Batch::default(), 0);
        while source.next_batch(&mut batch).unwrap() {
            let total: usize = batch.records.iter().map(|r| r.len as usize).sum();
            assert!(total <= 256 * 1024 || batch.records.iter().any(|r| r.len == 900_000));
            for packet in batch.packets() {
                assert_eq!(packet.data, bodies[seen]);
                seen += 1;
                assert_eq!(packet.number, seen as u64);
            }
        }
        assert_eq!(seen, bodies.len());
        assert_eq!(source.troubles().len(), 0);
        assert_eq!(source.progress(), Some((bytes.len() as u64, bytes.len() as u64)));
    }
}

#[test]
fn snoop_has_the_same_packets() {
    let folder = Folder::new();
    let (packets, troubles) = read(&[folder.file("x.snoop", &snoop(2, 4, &[(7, 9, b"one"), (8, 0, b"")]))]);
    let (expected, _) = read(&[folder.file("x.pcap", &micro(&[(7, 9, b"one"), (8, 0, b"")]))]);
    assert_eq!(troubles, [""; 0]);
    let of = |packets: &[Read]| packets.iter().map(|p| (p.0, p.1, p.2, p.5.clone())).collect::<Vec<_>>();
    assert_eq!(of(&packets), of(&expected));
    assert_eq!(packets[0].4, 13);
}

#[test]
fn a_snoop_record_that_does_not_fit_is_damage() {
    let folder = Folder::new();
    let good = snoop(2, 4, &[(1, 0, b"four")]);
    // Captured length and length of the record: too small, with too much padding, endless.
    for (len, size) in [(8, 24), (4, 24 + 4 + 100), (u32::MAX, u32::MAX)] {
        let mut bytes = [good.clone(), good[16..].to_vec()].concat();
        let second = good.len();
        bytes[second + 4..second + 8].copy_from_slice(&len.to_be_bytes());
        bytes[second + 8..second + 12].copy_from_slice(&size.to_be_bytes());
        let (packets, troubles) = read(&[folder.file("bad.snoop", &bytes)]);
        assert_eq!(packets.len(), 1, "{len}");
        assert!(troubles[0].contains("snoop never writes"), "{troubles:?}");
    }
}

#[test]
fn several_members_and_frames() {
    let folder = Folder::new();
    let bytes = micro(&[(1, 0, b"one"), (2, 0, b"two")]);
    let (a, b) = bytes.split_at(30);
    let members = [gzip(a), gzip(b)].concat();
    // A frame to be skipped comes first.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    let frames = [&skipped[..], &zstd::encode_all(a, 1).unwrap(), &zstd::encode_all(b, 1).unwrap()].concat();
    for packed in [members, frames] {
        let (packets, troubles) = read(&[folder.file("x", &packed)]);
        assert_eq!((packets.len(), troubles), (2, Vec::new()));
    }
}

#[test]
fn cut_at_every_byte_of_the_last_record() {
    let folder = Folder::new();
    let head = micro(&[(1, 0, b"first")]).len();
    let classic = micro(&[(1, 0, b"first"), (2, 0, b"second")]);
    let blocks = [section(false), interface(false, 1, 0, &[]), enhanced(false, 0, 1, b"first")].concat();
    let blocks_head = blocks.len();
    let blocks = [blocks, enhanced(false, 0, 1, b"second")].concat();
    let solaris_head = snoop(2, 4, &[(1, 0, b"first...")]).len();
    let solaris = snoop(2, 4, &[(1, 0, b"first..."), (2, 0, b"second..")]);
    for (whole, head) in [(classic, head), (blocks, blocks_head), (solaris, solaris_head)] {
        for len in head..whole.len() {
            let path = folder.file("cut.pcap", &whole[..len]);
            let (packets, troubles) = read(&[path]);
            assert_eq!(packets.len(), 1, "{len}");
            if len == head {
                assert_eq!(troubles, [""; 0]);
                continue;
            }
            let [text] = &troubles[..] else { panic!("{troubles:?}") };
            assert!(text.contains("cut.pcap: cut off at byte "), "{text}");
            assert!(
                text.contains(&format!("byte {len}: the record at byte {head} has {} of", len - head)),
                "{text}"
            );
            assert!(text.ends_with("; the packet before it was read"), "{text}");
        }
        for len in 1..head {
            let (packets, troubles) = read(&[folder.file("cut.pcap", &whole[..len])]);
            assert_eq!(packets.len(), 0, "{len}");
            assert!(troubles.len() <= 1, "{troubles:?}");
        }
    }
}

#[test]
fn cut_compressed_file_gives_what_is_there() {
    let folder = Folder::new();
    let bodies: Vec<[u8; 4]> = (0..20_000_u32).map(|i| i.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    let packets: Vec<(u32, u32, &[u8])> = bodies.iter().map(|b| (1, 2, &b[..])).collect();
    let bytes = micro(&packets);
    for packed in [gzip(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
        let path = folder.file("x.gz", &packed[..packed.len() - 30]);
        let (packets, troubles) = read(&[path]);
        assert!(packets.len() > 1000 && packets.iter().zip(&bodies).all(|(p, b)| p.5 == b));
        assert_eq!(troubles.len(), 1);
        assert!(troubles[0].contains("cut off"), "{troubles:?}");
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let folder = Folder::new();
    let mut bytes = micro(&[(1, 0, b"one"), (2, 0, b"two")]);
    let at = bytes.len() - 3 - 8;
    bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
    let (packets, troubles) = read(&[folder.file("x", &bytes)]);
    assert_eq!(packets.len(), 1);
    assert!(troubles[0].contains(&format!("damaged at byte {}", at - 8)), "{troubles:?}");

    let good = [section(false), interface(false, 1, 0, &[]), enhanced(false, 0, 1, b"good")].concat();
    let unknown = [good.clone(), enhanced(false, 1, 1, b"lost")].concat();
    let mut lengths = [good.clone(), enhanced(false, 0, 1, b"lost")].concat();
    *lengths.last_mut().unwrap() = 1;
    let mut odd = [good.clone(), enhanced(false, 0, 1, b"lost")].concat();
    odd[good.len() + 4] = 3;
    let mut magic = [good.clone(), section(true)].concat();
    magic[good.len() + 8] = 0;
    let long = [good.clone(), block(false, 6, &[&[0; 12][..], &[200, 0, 0, 0], &[0; 8]].concat())].concat();
    let short = [good.clone(), block(false, 6, &[0; 8])].concat();
    for (bytes, text) in [
        (unknown, "interface 1"),
        (lengths, "two lengths"),
        (odd, "block of 3 bytes"),
        (magic, "byte-order magic"),
        (long, "200 bytes is claimed"),
        (short, "too short"),
    ] {
        let (packets, troubles) = read(&[folder.file("x", &bytes)]);
        assert_eq!(packets.len(), 1, "{text}");
        assert!(troubles[0].contains(text), "{troubles:?}");
        assert!(troubles[0].contains(&format!("byte {}", good.len())), "{troubles:?}");
    }
}

#[test]
fn no_changed_byte_panics() {
    let folder = Folder::new();
    let whole = [
        section(false),
        interface(false, 1, 0, &[(2, b"lo"), (9, &[9])]),
        enhanced(false, 0, 1, b"hello"),
        block(false, 3, &[5, 0, 0, 0, 1, 2, 3, 4]),
        block(false, 10, &[1; 12]),
    ]
    .concat();
    for at in 0..whole.len() {
        for value in [0, 1, 3, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = read(&[folder.file("x", &bytes)]);
        }
    }
}

#[test]
fn what_is_no_capture_is_said_in_one_line_each() {
    let folder = Folder::new();
    let secret = folder.file("secret.pcap", b"");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    let good = folder.file("good.pcap", &micro(&[(1, 0, b"one")]));
    for (path, text) in [
        (folder.path("nowhere"), "no such file"),
        (folder.file("empty", b""), "is empty"),
        (folder.file("text", b"hello world"), "is not a capture but text"),
        (folder.file("program", b"\x7fELF\x02\x01"), "is not a capture but a program"),
        (folder.file("packed", b"\xfd7zXZ\0\0"), "unpack it first"),
        (folder.file("monitor", b"GMBU\0\0\0\0"), "editcap"),
        (folder.file("snoop", &snoop(3, 4, &[])), "snoop capture of version 3"),
        (folder.file("ring.snoop", &snoop(2, 2, &[])), "snoop capture of data link 2"),
        (folder.file("head.snoop", b"snoop\0\0\0"), "cut off within its head"),
        (folder.file("noise", &[0, 1, 2, 3, 4]), "neither a pcap nor a pcapng"),
        (folder.file("short", &[0xa1, 0xb2]), "cut off within its head"),
        (folder.file("text.gz", &gzip(b"some text")), "is not a capture but text"),
        (folder.file("line\nbreak\x1b[2J", b"x\0"), "line\u{fffd}break\u{fffd}[2J"),
    ] {
        for paths in [vec![path.clone()], vec![path.clone(), good.clone()]] {
            let (packets, troubles) = read(&paths);
            assert_eq!(packets.len(), paths.len() - 1);
            let [line] = &troubles[..] else { panic!("{troubles:?}") };
            assert!(line.contains(text), "{line}");
            assert!(!line.contains(char::is_control));
        }
    }
    // Root may read everything.
    if !rustix::process::geteuid().is_root() {
        assert!(read(&[secret]).1[0].contains("permission denied"));
    }
}

#[test]
fn files_are_merged_by_time_and_numbered_through() {
    let folder = Folder::new();
    let a = folder.file("a", &micro(&[(1, 0, b"a1"), (3, 0, b"a3"), (5, 0, b"a5")]));
    let b = folder.file("b", &micro(&[(2, 0, b"b2"), (3, 0, b"b3"), (4, 0, b"b4"), (6, 0, b"b6")]));
    let c = folder.file("c", &gzip(&micro(&[(5, 1, b"c5"), (9, 0, b"c9")])));
    let (packets, troubles) = read(&[b, c, a]);
    assert_eq!(troubles, [""; 0]);
    let names: Vec<&str> = packets.iter().map(|p| std::str::from_utf8(&p.5).unwrap()).collect();
    assert_eq!(names, ["a1", "b2", "b3", "a3", "b4", "a5", "c5", "b6", "c9"]);
    assert!(packets.iter().zip(1..).all(|(p, n)| p.0 == n));
    let interfaces: Vec<u32> = packets.iter().map(|p| p.3).collect();
    assert_eq!(interfaces, [0, 1, 1, 0, 1, 0, 2, 1, 2]);
}

#[test]
fn many_rotated_files_in_a_folder() {
    let folder = Folder::new();
    let captures = folder.path("captures");
    fs::create_dir(&captures).unwrap();
    fs::create_dir(captures.join("inner.pcap")).unwrap();
    fs::write(captures.join("README"), "no capture").unwrap();
    fs::write(captures.join("plain"), micro(&[(0, 0, b"by its magic")])).unwrap();
    for i in 0..40_u32 {
        let body = i.to_string();
        let packets: Vec<(u32, u32, &[u8])> =
            (0..500).map(|k| (1 + i * 500 + k, 0, body.as_bytes())).collect();
        fs::write(captures.join(format!("x.pcap{i}")), micro(&packets)).unwrap();
    }
    // Equal times: file 40 goes after file 9.
    for name in ["y.pcap40", "y.pcap9"] {
        fs::write(captures.join(name), micro(&[(30_000, 0, name.as_bytes())])).unwrap();
    }
    let mut source = open(std::slice::from_ref(&captures), Options::default());
    let (packets, troubles) = drain(&mut source);
    assert_eq!(troubles, [""; 0]);
    assert_eq!(packets.len(), 40 * 500 + 3);
    assert!(packets.is_sorted_by_key(|p| p.1));
    assert!(packets.iter().zip(1..).all(|(p, n)| p.0 == n));
    assert_eq!(packets[20_001].5, b"y.pcap9");
    let (read, total) = source.progress().unwrap();
    assert_eq!(read, total);

    fs::write(captures.join("late.pcap.gz"), b"").unwrap();
    let (_, troubles) = read_folder(&captures);
    assert!(troubles[0].contains("late.pcap.gz: is empty"), "{troubles:?}");
    let (_, troubles) = read_folder(folder.0.path());
    assert!(troubles[0].contains("holds no captures"), "{troubles:?}");
}

fn read_folder(path: &Path) -> (Vec<Read>, Vec<String>) {
    read(&[path.to_owned()])
}

/// The next batches until packets come (or the end): their bytes.
fn next_packets(source: &mut FileSource) -> Vec<Vec<u8>> {
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() {
        if !batch.records.is_empty() {
            return batch.packets().map(|p| p.data.to_vec()).collect();
        }
    }
    Vec::new()
}

#[test]
fn a_growing_file_is_followed_until_stopped() {
    let folder = Folder::new();
    let bytes = micro(&[(1, 0, b"one"), (2, 0, b"two"), (3, 0, b"three")]);
    for packed in [false, true] {
        let path = folder.file("x", b"");
        let stop = Arc::new(AtomicBool::new(false));
        let mut source = open(
            std::slice::from_ref(&path),
            Options { follow: true, stop: Arc::clone(&stop), ..Options::default() },
        );
        let mut batch = Batch::default();
        assert!(source.next_batch(&mut batch).unwrap());
        assert!(batch.records.is_empty());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut grow = |piece: &[u8]| {
            let packed = if packed { gzip(piece) } else { piece.to_vec() };
            file.write_all(&packed).unwrap();
        };
        grow(&bytes[..50]);
        assert_eq!(next_packets(&mut source), [b"one".to_vec()]);
        assert!(source.next_batch(&mut batch).unwrap());
        let now = batch.now.unwrap();
        assert!(now > Timestamp(1_000_000_000), "time goes on while the file is silent");
        grow(&bytes[50..bytes.len() - 2]);
        assert_eq!(next_packets(&mut source), [b"two".to_vec()]);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(next_packets(&mut source), [b""; 0]);
        assert_eq!(source.troubles().len(), 0, "a half packet is no trouble where the user stops");
    }
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let bytes = micro(&[(1, 0, b"one"), (3, 0, b"three")]);
    let other = folder.file("other", &micro(&[(2, 0, b"two")]));
    let (first, second) = bytes.split_at(50);
    let (first, second) = (first.to_vec(), second.to_vec());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let pipe = path.clone();
    let writer = std::thread::spawn(move || {
        wait.recv().unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(pipe).unwrap();
        file.write_all(&first).unwrap();
        wait.recv().unwrap();
        file.write_all(&second).unwrap();
    });
    let mut source = open(&[path, other], Options::default());
    assert!(source.next_batch(&mut Batch::default()).unwrap(), "nobody writes yet");
    go.send(()).unwrap();
    // The other file waits until the time of the pipe's next packet is known.
    assert_eq!(next_packets(&mut source), [b"one".to_vec()]);
    let mut batch = Batch::default();
    assert!(source.next_batch(&mut batch).unwrap());
    assert!(batch.records.is_empty());
    go.send(()).unwrap();
    assert_eq!(next_packets(&mut source), [b"two".to_vec()]);
    assert_eq!(next_packets(&mut source), [b"three".to_vec()]);
    assert_eq!(next_packets(&mut source), [b""; 0]);
    assert_eq!(source.progress(), None);
    writer.join().unwrap();
}

#[test]
fn limits() {
    let folder = Folder::new();
    let path = folder.file("x", &micro(&[(1, 0, b"a"), (2, 0, b"b"), (3, 0, b"c"), (2, 5, b"d")]));
    let count = |limit: &dyn Fn(Limited<FileSource>) -> Limited<FileSource>| {
        let mut source = limit(Limited::new(open(std::slice::from_ref(&path), Options::default())));
        let (mut batch, mut n) = (Batch::default(), 0);
        while source.next_batch(&mut batch).unwrap() {
            n += batch.records.len();
        }
        assert!(batch.records.is_empty());
        n
    };
    assert_eq!(count(&|s| s), 4);
    for n in 0..6 {
        assert_eq!(count(&|s| s.packets(Some(n))), n.min(4) as usize);
    }
    assert_eq!(count(&|s| s.packet_time(Some(Duration::from_secs(2)))), 2);
    assert_eq!(count(&|s| s.packet_time(Some(Duration::from_secs(3)))), 4);
    assert_eq!(count(&|s| s.packet_time(Some(Duration::ZERO))), 0);
    assert_eq!(count(&|s| s.wall_time(Some(Duration::ZERO))), 0);
}
