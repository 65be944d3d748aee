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
#[test]
fn rows_of_parquet_are_read_as_lines_are() {
    use rpcscope::sink::{RecordWriter, Sink};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.parquet");
    for capture in ["demo/all-classes.pcap", "trpc/chain-mixed.pcap", "grpc/chain-grpc-ttheader-grpc.pcap"] {
        let calls = support::calls(&[support::captures().join(capture)], &Options::default());
        let out = RecordWriter::create(&path, false).expect("a file");
        let mut sink = rpcscope::sink::parquet::Parquet::new(out);
        calls.iter().try_for_each(|call| sink.call(call)).expect("written");
        sink.finish().expect("written");
        let mut read = Vec::new();
        rpcscope::records::read(&path, &mut Objects::default(), &mut |call| {
            read.push(line(&call.unwrap_or_else(|fault| panic!("{fault}"))));
            true
        })
        .expect("read");
        assert_eq!(read, calls.iter().map(line).collect::<Vec<_>>(), "{capture}");
    }
}
