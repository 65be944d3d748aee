//! Packets, capture files, and whole captures through the pipeline.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use rpcscope::calls::Call;
use rpcscope::chains::{self, Engine};
use rpcscope::decode::{Decoded, Decoder};
use rpcscope::pipeline::{self, Options, Output, Totals};
use rpcscope::sink::{Appearance, RecordFormat, RecordWriter, Sink};
use rpcscope::source::{Batch, CapturePoint, LinkType, Packet, Source, files};
use rpcscope::time::Timestamp;
use rpcscope::tls::KeyLogs;
use serde::de::IgnoredAny;

use crate::bytes::Input;

/// Packets that are read of a file: a few compressed bytes can hold millions.
const MAX_PACKETS: usize = 20_000;

/// Link types that the decoder reads further, and one that it does not.
const LINKS: [u16; 18] = [1, 0, 101, 113, 276, 9, 50, 51, 166, 100, 109, 117, 138, 239, 242, 252, 149, 147];

/// Packets of one interface. Input: `link type`, then `length 2 │ bytes` of each.
pub fn packet(data: &[u8]) {
    let mut input = Input(data);
    let link = match input.u8() {
        255 => input.u16(),
        small => LINKS[usize::from(small) % LINKS.len()],
    };
    let mut decoder = Decoder::default();
    let mut number = 0;
    while !input.is_empty() {
        number += 1;
        let len = usize::from(input.u16());
        let data = input.take(len);
        let wire_len = (len.max(data.len())) as u32;
        let packet = Packet {
            number,
            time: Timestamp(number as i64 * 1_000),
            link: LinkType(link),
            interface: 0,
            capture_point: CapturePoint::default(),
            wire_len,
            data,
        };
        let peeked = decoder.peek(&packet);
        match decoder.decode(&packet) {
            Decoded::Segment(segment) => {
                assert!(segment.payload.len() <= 65_535 * 2, "{} bytes of payload", segment.payload.len());
                assert!(peeked.is_none_or(|key| key == segment.key), "both ways find the same connection");
                assert!(segment.key.a <= segment.key.b, "the key has one order");
            }
            Decoded::Skipped(_) | Decoded::Elsewhere => {
                assert!(peeked.is_none(), "a quick look found a connection")
            }
        }
    }
}

/// A file in memory, which the readers open by its path as any other.
fn memory() -> &'static Mutex<File> {
    static FILE: OnceLock<Mutex<File>> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = rustix::fs::memfd_create("rpcscope-fuzz", rustix::fs::MemfdFlags::CLOEXEC);
        Mutex::new(File::from(file.expect("a file in memory")))
    })
}

fn open(bytes: &[u8]) -> files::FileSource {
    let mut file = memory().lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let written =
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(bytes));
    written.expect("memory takes all");
    files::open(&[path], files::Options::default())
}

/// Any bytes as a file whose first four are as given.
fn file(magic: [u8; 4], data: &[u8]) {
    /// Used again, as a run does: a new one is cleared for longer than most inputs take.
    static BATCH: LazyLock<Mutex<Batch>> = LazyLock::new(Mutex::default);
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(data.get(4..).unwrap_or_default());
    let mut source = open(&bytes);
    let mut batch = BATCH.lock().unwrap_or_else(PoisonError::into_inner);
    let mut packets = 0;
    let mut numbered = 0;
    while packets < MAX_PACKETS && matches!(source.next_batch(&mut batch), Ok(true)) {
        assert_eq!(batch.packets().count(), batch.records.len(), "a record points outside the buffer");
        for packet in batch.packets() {
            assert!(packet.data.len() <= packet.wire_len as usize);
            assert_eq!(packet.number, numbered + 1, "numbers without a hole");
            numbered = packet.number;
            std::hint::black_box(source.interface_name(packet.interface));
        }
        packets += batch.records.len().max(1);
    }
    for trouble in source.troubles() {
        assert!(!trouble.to_string().is_empty());
    }
}

/// Classic capture files.
pub fn file_pcap(data: &[u8]) {
    let magics = [[0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0xc3, 0xd4], [0x4d, 0x3c, 0xb2, 0xa1]];
    let first = data.first().copied().unwrap_or(0);
    file(magics[usize::from(first) % magics.len()], data);
}

/// pcapng files.
pub fn file_pcapng(data: &[u8]) {
    file([0x0a, 0x0d, 0x0d, 0x0a], data);
}

/// gzip of anything.
pub fn file_gzip(data: &[u8]) {
    file([0x1f, 0x8b, 8, data.get(3).copied().unwrap_or(0)], data);
}

/// zstd of anything.
pub fn file_zstd(data: &[u8]) {
    file([0x28, 0xb5, 0x2f, 0xfd], data);
}

/// The key logs of the bundled captures.
fn key_logs() -> &'static std::sync::Arc<KeyLogs> {
    static LOGS: OnceLock<std::sync::Arc<KeyLogs>> = OnceLock::new();
    LOGS.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../captures/tls");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let logs: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "keys")).collect();
        let logs = KeyLogs::new(&logs, false);
        logs.read();
        std::sync::Arc::new(logs)
    })
}

/// All calls and connections of a file.
pub(crate) fn outputs(bytes: &[u8], connections: bool) -> (Vec<Output>, Totals) {
    let key_logs = Some(std::sync::Arc::clone(key_logs()));
    let options = Options { threads: 1, metadata: true, connections, key_logs, ..Options::default() };
    let mut all = Vec::new();
    let mut seen = Totals::default();
    let mut receive = |outputs: &mut Vec<Output>, totals: &Totals| {
        all.append(outputs);
        seen = totals.clone();
        totals.packets < MAX_PACKETS as u64
    };
    // A file that can't be read to its end is an error and what was read is still there.
    _ = pipeline::run(&mut open(bytes), &options, &mut receive);
    (all, seen)
}

/// A capture through all stages and outputs. Every packet of a connection is read, every call is written in every format and is
/// in one chain.
pub fn capture(data: &[u8]) {
    let (outputs, totals) = outputs(data, true);
    let look = || Appearance { totals: true, ..Appearance::default() };
    let mut sinks: Vec<Box<dyn Sink>> = [RecordFormat::Text, RecordFormat::Jsonl, RecordFormat::Csv]
        .into_iter()
        .map(|format| format.open(RecordWriter::new(Box::new(io::sink()), false), look()))
        .collect();
    let mut engine = Engine::new(chains::Options::default());
    let (mut calls, mut hops) = (0, 0);
    let mut count = |chain: chains::Chain| hops += chain.hops.len();
    for output in outputs {
        match output {
            Output::Call(call) => {
                calls += 1;
                check(&call);
                for sink in &mut sinks {
                    sink.call(&call).expect("a sink takes all");
                }
                engine.call(call, &mut count);
            }
            Output::Connection(connection) => {
                for sink in &mut sinks {
                    sink.connection(&connection).expect("a sink takes all");
                }
            }
            Output::Learned(_) => {}
        }
    }
    engine.finish(&mut count);
    assert_eq!(hops, calls, "every call is in one chain");
    for sink in &mut sinks {
        sink.totals(&totals).and_then(|()| sink.finish()).expect("a sink takes all");
    }
}

/// What holds for every call.
pub(crate) fn check(call: &Call) {
    let mut record = Vec::new();
    rpcscope::sink::jsonl::write_call(&mut record, call);
    let text = std::str::from_utf8(&record).expect("a record is UTF-8");
    // Without a value of it, which would take most of the time.
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "a record is JSON: {text}");
    assert!(!text.trim_end().chars().any(char::is_control), "a record holds no control characters: {text:?}");
}
