//! The bundled captures, rewritten in every way in which networks and capture points change packets.
//!
//! Where nothing is lost, the calls must be the same. Where something is lost, nothing wrong may be claimed: no call that
//! was not made, and no class, code or message that the call did not have.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod clock;
mod direction;
pub(crate) mod file;
pub(crate) mod frame;
mod loss;
mod mutations;
mod preludes;
pub(crate) mod rewrite;
mod snaplen;
mod tls;
mod tls_handshakes;
mod tls_made;
pub(crate) mod wrap;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use rpcscope::pipeline::Options;
use rpcscope::source::{Batch, CapturePoint, LinkType, Record, Source, SourceError, files};
use rpcscope::time::Timestamp;
use serde_json::Value;

use crate::support;
use frame::{Captured, Frame};
use wrap::Wrap;

/// Packets in memory as a source.
struct Memory {
    packets: Vec<Captured>,
    at: usize,
}

impl Source for Memory {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        const PACKETS: usize = 50;
        batch.clear();
        let end = (self.at + PACKETS).min(self.packets.len());
        for packet in &self.packets[self.at..end] {
            self.at += 1;
            batch.records.push(Record {
                number: self.at as u64,
                time: Timestamp(packet.time),
                link: LinkType(packet.link),
                interface: 0,
                capture_point: CapturePoint::default(),
                wire_len: packet.wire_len,
                offset: batch.data.len() as u32,
                len: packet.data.len() as u32,
            });
            batch.data.extend_from_slice(&packet.data);
        }
        Ok(!batch.records.is_empty())
    }
}

fn one_thread() -> Options {
    Options { threads: 1, ..Options::default() }
}

/// The calls of packets.
fn of_packets(packets: Vec<Captured>) -> Vec<Value> {
    let (outputs, _) = support::outputs(&mut Memory { packets, at: 0 }, &one_thread());
    outputs.iter().filter_map(support::call_record).collect()
}

/// The calls of frames on Ethernet.
fn of_frames(frames: &[Frame]) -> Vec<Value> {
    of_packets(frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect())
}

/// What a record says apart from when and in which packets it was seen, as text.
fn essence(record: &Value) -> String {
    let mut record = record.clone();
    // `reported_as` words the callee's address and the time waited, and keys are made of addresses and sequence numbers: some
    // rewrites change these.
    let apart = [
        "uid",
        "start",
        "latency_ns",
        "duration_ns",
        "end",
        "packets",
        "parent",
        "parent_evidence",
        "parent_key",
        "call_key",
        "conn_key",
        "reported_as",
    ];
    for key in apart {
        record.as_object_mut().unwrap().remove(key);
    }
    // An answer close to the time-out may come to lie on the other side of it.
    if let Some(findings) = record["findings"].as_array_mut() {
        findings.retain(|finding| finding != "late-answer");
    }
    record.to_string()
}

fn essences(records: &[Value]) -> Vec<String> {
    let mut all: Vec<String> = records.iter().map(essence).collect();
    all.sort();
    all
}

/// What is in `left` and not in `right`.
fn minus(left: &[String], right: &[String]) -> Vec<String> {
    let mut right = right.to_vec();
    let mut rest = left.to_vec();
    rest.retain(|line| match right.iter().position(|other| other == line) {
        Some(at) => {
            right.swap_remove(at);
            false
        }
        None => true,
    });
    rest
}

/// A bundled capture.
struct Original {
    name: String,
    frames: Vec<Frame>,
    calls: Vec<Value>,
}

/// Every bundled capture in the clear with its frames and its calls.
fn bundled() -> &'static [Original] {
    static ALL: OnceLock<Vec<Original>> = OnceLock::new();
    ALL.get_or_init(|| {
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let frames = frame::read(&path);
            let calls = of_frames(&frames);
            Original { name, frames, calls }
        };
        in_the_clear().map(read).collect()
    })
}

/// The bundled captures that need no keys: what mangling does to records of TLS is seen in `tls.rs`.
fn in_the_clear() -> impl Iterator<Item = PathBuf> {
    let tls = support::captures().join("tls");
    support::of_one_interface().filter(move |path| !path.starts_with(&tls))
}

/// A quarter of the variants, another one for each capture: all captures with all variants take too long.
fn some_of<T>(all: &[T], at: usize) -> impl Iterator<Item = &T> {
    all.iter().skip(at % 4).step_by(4)
}

/// Collects what is wrong and shows it in one piece.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn same(&mut self, name: &str, what: &str, expected: &[String], found: &[String]) {
        let (lost, extra) = (minus(expected, found), minus(found, expected));
        if !lost.is_empty() || !extra.is_empty() {
            let [lost, extra] = [lost, extra].map(|lines| lines.join("\n    "));
            self.0.push(format!("{name}, {what}:\n  lost:\n    {lost}\n  extra:\n    {extra}"));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} complaints\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Makes other packets of the same conversations.
type Rewrite<'r> = &'r dyn Fn(&[Frame]) -> Vec<Frame>;

/// A rewrite to more packets than this is left out: large bodies byte by byte prove nothing that small ones do not.
const MOST_PACKETS: usize = 12_000;

/// Holds every capture, rewritten in several ways, against itself.
fn same_calls(rewrites: &[(&str, Rewrite<'_>)]) {
    let mut complaints = Complaints::default();
    for Original { name, frames, calls } in bundled() {
        let expected = essences(calls);
        for (what, rewrite) in rewrites {
            let frames = rewrite(frames);
            if frames.len() > MOST_PACKETS {
                continue;
            }
            complaints.same(name, what, &expected, &essences(&of_frames(&frames)));
        }
    }
    complaints.none();
}

#[test]
fn taking_apart_and_putting_together_changes_nothing() {
    let mut complaints = Complaints::default();
    for path in in_the_clear() {
        let original: Vec<Value> =
            support::calls(std::slice::from_ref(&path), &one_thread()).iter().map(support::record).collect();
        let found = of_frames(&frame::read(&path));
        complaints.same(&path.to_string_lossy(), "rebuilt", &essences(&original), &essences(&found));
    }
    complaints.none();
}

#[test]
fn links_and_tunnels_change_nothing() {
    let mut complaints = Complaints::default();
    for (at, Original { name, frames, calls }) in bundled().iter().enumerate() {
        let expected = essences(calls);
        for kind in some_of(wrap::ALL, at) {
            if frames.iter().all(|frame| wrap::fits(frame, *kind)) {
                let packets = frames.iter().flat_map(|frame| wrap::wrap(frame, *kind)).collect();
                complaints.same(name, &format!("{kind:?}"), &expected, &essences(&of_packets(packets)));
            }
        }
    }
    complaints.none();
}

#[test]
fn ipv6_changes_nothing_but_addresses() {
    let mut complaints = Complaints::default();
    for (at, Original { name, frames, calls }) in bundled().iter().enumerate() {
        // The addresses as text, translated back.
        let translate = |mut record: Value| {
            for key in ["client", "server"] {
                if let Ok(std::net::SocketAddr::V6(end)) = record[key].as_str().unwrap().parse()
                    && let Some(ip) = wrap::from_ipv6(*end.ip())
                {
                    record[key] = format!("{ip}:{}", end.port()).into();
                }
            }
            record
        };
        let expected = essences(calls);
        let frames = wrap::to_ipv6(frames);
        for kind in some_of(wrap::ALL, at + 1) {
            if frames.iter().all(|frame| frame.payload.len() < 65_000) {
                let packets = frames.iter().flat_map(|frame| wrap::wrap(frame, *kind)).collect();
                let found: Vec<Value> = of_packets(packets).into_iter().map(translate).collect();
                complaints.same(name, &format!("IPv6, {kind:?}"), &expected, &essences(&found));
            }
        }
    }
    complaints.none();
}

#[test]
fn file_formats_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Complaints::default();
    for (at, Original { name, frames, calls }) in bundled().iter().enumerate() {
        let packets: Vec<Captured> =
            frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect();
        for (of, format) in file::FORMATS.iter().enumerate() {
            // Every format with every compression, though not on every capture.
            let compression =
                [file::Compression::None, file::Compression::Gzip, file::Compression::Zstd][(at + of) % 3];
            let bytes = file::compress(&file::write(&packets, *format), compression);
            let path = folder.path().join(format!("{name}{}", file::ending(compression)));
            std::fs::write(&path, bytes).unwrap();
            let found: Vec<String> = support::calls(&[path], &one_thread())
                .iter()
                .map(|call| support::record(call).to_string())
                .collect();
            let expected: Vec<String> = calls.iter().map(Value::to_string).collect();
            complaints.same(name, &format!("{format:?}, {compression:?}"), &expected, &found);
        }
    }
    complaints.none();
}

#[test]
fn a_capture_in_several_files_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Complaints::default();
    for Original { name, frames, calls } in bundled() {
        let packets: Vec<Captured> =
            frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect();
        let mut paths = Vec::new();
        for (at, part) in packets.chunks(packets.len().div_ceil(3)).enumerate() {
            let path = folder.path().join(format!("{name}.{at}"));
            std::fs::write(&path, file::write(part, file::FORMATS[at % 4])).unwrap();
            paths.push(path);
        }
        paths.reverse();
        let mut source = files::open(&paths, files::Options::default());
        let (outputs, _) = support::outputs(&mut source, &one_thread());
        let found: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
        complaints.same(name, "in three files", &essences(calls), &essences(&found));
    }
    complaints.none();
}

#[test]
fn copies_change_nothing() {
    same_calls(&[
        ("every packet twice", &|frames| rewrite::repeated(frames, 1)),
        ("every packet four times", &|frames| rewrite::repeated(frames, 3)),
        ("every packet again, 1 later", &|frames| rewrite::echoed(frames, 1)),
        ("every packet again, 17 later", &|frames| rewrite::echoed(frames, 17)),
    ]);
}

#[test]
fn order_of_neighbours_changes_nothing() {
    same_calls(&[
        ("even neighbours swapped", &|frames| rewrite::swapped(frames, 0)),
        ("odd neighbours swapped", &|frames| rewrite::swapped(frames, 1)),
        ("moved by two", &|frames| rewrite::swapped(&rewrite::swapped(frames, 0), 1)),
    ]);
}

#[test]
fn sizes_of_segments_change_nothing() {
    same_calls(&[
        ("segments of 1", &|frames| rewrite::split(frames, 1)),
        ("segments of 7", &|frames| rewrite::split(frames, 7)),
        ("segments of 100", &|frames| rewrite::split(frames, 100)),
        ("merged", &rewrite::merged),
        ("small ones in disorder", &|frames| rewrite::swapped(&rewrite::split(frames, 50), 1)),
    ]);
}

#[test]
fn sequence_numbers_change_nothing() {
    same_calls(&[
        ("wrap before the first byte", &|frames| rewrite::renumbered(frames, 0)),
        ("wrap between SYN and data", &|frames| rewrite::renumbered(frames, 1)),
        ("wrap in the first message", &|frames| rewrite::renumbered(frames, 40)),
    ]);
}

#[test]
fn what_does_not_belong_to_the_stream_changes_nothing() {
    same_calls(&[
        ("other bytes in retransmissions", &rewrite::contradicted),
        ("keep-alives", &rewrite::kept_alive),
        ("forged resets", &rewrite::forged),
    ]);
}

#[test]
fn ports_used_again_are_new_connections() {
    let mut complaints = Complaints::default();
    for Original { name, frames, calls } in bundled() {
        let twice = of_frames(&rewrite::twice(frames, 2_000_000_000));
        let expected = essences(&[&calls[..], calls].concat());
        complaints.same(name, "twice", &expected, &essences(&twice));
    }
    complaints.none();
}

/// Traffic of the same sizes and turns whose bytes are others holds no calls.
#[test]
fn scrambled_bytes_are_no_calls() {
    let mut complaints = Complaints::default();
    for Original { name, frames, .. } in bundled() {
        for key in [0x01, 0x20, 0x55, 0x80, 0xff] {
            let scrambled = |frame: &Frame| Frame {
                payload: frame.payload.iter().map(|byte| byte ^ key).collect(),
                ..frame.clone()
            };
            let found = of_frames(&frames.iter().map(scrambled).collect::<Vec<_>>());
            complaints.same(name, &format!("each byte xor {key:#x}"), &[], &essences(&found));
        }
        // The bytes of one packet, each at another place.
        let turned =
            |frame: &Frame| Frame { payload: frame.payload.iter().rev().copied().collect(), ..frame.clone() };
        let found = of_frames(&frames.iter().map(turned).collect::<Vec<_>>());
        complaints.same(name, "each packet backwards", &[], &essences(&found));
    }
    complaints.none();
}

/// Files that were put together out of order: time jumps back by half a minute at every second connection.
#[test]
fn threads_agree_where_the_clock_jumps_back() {
    const SECOND: i64 = 1_000_000_000;
    let mut packets = Vec::new();
    let mut connections = 0;
    for original in bundled() {
        let ends = |frame: &Frame| {
            (frame.source.min(frame.destination), frame.source.max(frame.destination), frame.tcp.is_some())
        };
        let mut of_connection = BTreeMap::<_, Vec<&Frame>>::new();
        for frame in &original.frames {
            of_connection.entry(ends(frame)).or_default().push(frame);
        }
        for frames in of_connection.values() {
            let start = (connections + connections % 2 * 30) * SECOND;
            connections += 1;
            for frame in frames {
                let wrapped = wrap::wrap(frame, Wrap::Ethernet).into_iter();
                let shift = start - frames[0].time;
                packets.extend(wrapped.map(|packet| Captured { time: packet.time + shift, ..packet }));
            }
        }
    }
    let outputs = |threads| {
        let options = Options { threads, connections: true, ..Options::default() };
        let (outputs, _) = support::outputs(&mut Memory { packets: packets.clone(), at: 0 }, &options);
        outputs.iter().map(|output| format!("{output:?}")).collect::<Vec<_>>()
    };
    let alone = outputs(1);
    for threads in [2, 3, 8] {
        let shared = outputs(threads);
        let differs = shared.iter().zip(&alone).find(|(shared, alone)| shared != alone);
        assert_eq!((differs, shared.len()), (None, alone.len()), "{threads} threads");
    }
}
