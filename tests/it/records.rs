//! Records that were written are read back as the same calls.

use rpcscope::pipeline::Options;
use rpcscope::records::Objects;
use rpcscope::sink::jsonl::write_call;

use crate::support;

/// The line of a call.
fn line(call: &rpcscope::calls::Call) -> String {
    let mut line = Vec::new();
    write_call(&mut line, call);
    String::from_utf8(line).expect("UTF-8")
}

/// What JSON can't say again with its own names: nothing. Positions, sizes of messages and the sender's library are not in records;
/// the keys that follow from them are carried along.
#[test]
fn the_calls_of_all_captures_come_back_from_their_lines() {
    let mut objects = Objects::default();
    let mut compared = 0;
    for path in support::bundled(".pcap") {
        for metadata in [false, true] {
            let options = Options { metadata, ..Options::default() };
            for call in support::calls(std::slice::from_ref(&path), &options) {
                let written = line(&call);
                let record = serde_json::from_str(&written).expect("JSON");
                let read = objects.call(&record).unwrap_or_else(|wrong| panic!("{wrong}: {written}"));
                assert_eq!(line(&read), written, "{}", path.display());
                assert_eq!((read.key(), read.connection_key()), (call.key(), call.connection_key()));
                assert_eq!((read.end, read.class()), (call.end, call.class()));
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[cfg(feature = "parquet")]
fn write_table(path: &std::path::Path, calls: &[rpcscope::calls::Call]) {
    use rpcscope::sink::{RecordWriter, Sink};
    let mut sink = rpcscope::sink::parquet::Parquet::new(RecordWriter::create(path, false).expect("a file"));
    calls.iter().try_for_each(|call| sink.call(call)).expect("written");
    sink.finish().expect("written");
}

/// Whatever octets of a file of records are changed, or cut off, it is named, and the program goes on.
#[cfg(feature = "parquet")]
#[test]
fn damaged_tables_are_named_and_panic_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.parquet");
    let calls = support::calls(&[support::captures().join("demo/all-classes.pcap")], &Options::default());
    write_table(&path, &calls);
    let whole = std::fs::read(&path).expect("a file");
    let read = |octets: &[u8]| {
        std::fs::write(&path, octets).expect("a file");
        let mut rows = 0;
        rpcscope::records::read(&path, &mut Objects::default(), &mut |_| {
            rows += 1;
            true
        })
        .map(|()| rows)
    };
    assert_eq!(read(&whole), Ok(calls.len()));
    // A number after which nothing repeats soon.
    let mut random = 7_usize;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut named = 0;
    for _ in 0..600 {
        let mut damaged = whole.clone();
        for _ in 0..=next(20) {
            let at = 4 + next(whole.len() - 8);
            damaged[at] = next(256) as u8;
        }
        if let Err(why) = read(&damaged) {
            named += 1;
            assert!(why.contains("it is damaged") || !why.contains("can't be read as Parquet"), "{why}");
        }
    }
    assert!(named > 100, "{named}");
    let cut = read(&whole[..whole.len() - 5]).expect_err("it has no end");
    assert!(cut.contains("its end is missing"), "{cut}");
    let empty = read(b"").expect_err("there is nothing in it");
    assert!(empty.contains("calls.parquet: is empty"), "{empty}");
}

#[cfg(feature = "parquet")]
#[test]
fn rows_of_parquet_are_read_as_lines_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.parquet");
    for capture in ["demo/all-classes.pcap", "trpc/chain-mixed.pcap", "grpc/chain-grpc-ttheader-grpc.pcap"] {
        let calls = support::calls(&[support::captures().join(capture)], &Options::default());
        write_table(&path, &calls);
        let mut read = Vec::new();
        rpcscope::records::read(&path, &mut Objects::default(), &mut |call| {
            read.push(line(&call.unwrap_or_else(|fault| panic!("{fault}"))));
            true
        })
        .expect("read");
        assert_eq!(read, calls.iter().map(line).collect::<Vec<_>>(), "{capture}");
    }
}
