//! A call in full: what is read from the packets again agrees with the record.

use std::sync::Arc;

use rpcscope::calls::{Call, CallKind, Class, Finding};
use rpcscope::detail::{self, Detail, print};
use rpcscope::payload::BodyDecoder;
use rpcscope::pipeline::Options;
use rpcscope::source::files;
use rpcscope::text;
use rpcscope_parsers::protocol::Field;
use rpcscope_parsers::{Kind, Rpc};

use crate::support;

/// Calls of each capture that are tested.
const LOOKED_AT: usize = 12;

fn details(path: &std::path::Path) -> Vec<Detail> {
    let paths = [path.to_owned()];
    let key_logs = support::key_logs(&paths);
    let options =
        Options { metadata: true, threads: 1, key_logs: Some(Arc::clone(&key_logs)), ..Options::default() };
    let mut source = files::open(&paths, files::Options::default());
    let (outputs, _) = support::outputs(&mut source, &options);
    let calls: Vec<Call> = outputs.into_iter().filter_map(support::call).collect();
    // Some of every class, because each ends in another way.
    let mut chosen: Vec<&Call> = Vec::new();
    for class in Class::ALL {
        chosen.extend(calls.iter().filter(|call| call.class() == Some(*class)).take(LOOKED_AT / 4));
    }
    chosen
        .into_iter()
        .map(|call| {
            let mut source = files::open(&paths, files::Options::default());
            detail::collect(&mut source, call, &[], Some(&key_logs), &BodyDecoder::default())
                .expect("the capture was read before")
        })
        .collect()
}

fn inside(fields: &[Field], length: usize, what: &str) {
    for field in fields {
        let (start, end) = field.range;
        assert!(start <= end && end <= length, "{what}: {field:?} of {length} bytes");
        inside(&field.children, length, what);
    }
}

#[test]
fn messages_of_a_call_are_found_with_their_bytes() {
    for path in support::bundled(".pcap") {
        for detail in details(&path) {
            let call = &detail.call;
            let what = format!("{} call {}", path.display(), call.uid);
            let sent = || {
                let own = detail.messages.iter().filter(|message| message.from_client);
                // Events that end or break a call are not part of its request.
                let counted = [Kind::Request, Kind::Oneway, Kind::Open, Kind::Part];
                own.filter(|message| counted.contains(&message.kind)).map(|message| message.size).sum::<u64>()
            };
            assert!(!detail.messages.is_empty(), "{what}");
            assert!(!detail.packets.is_empty(), "{what}");
            let lossy = [Finding::Gap, Finding::Truncated, Finding::MidStream];
            if lossy.iter().any(|finding| call.findings.contains(*finding)) || !detail.left_out.is_empty() {
                continue;
            }
            if call.kind == CallKind::Unary && call.network.name() == "tcp" {
                assert_eq!(sent(), call.request_bytes, "{what}: {:?}", detail.messages);
            }
            for message in &detail.messages {
                assert!(!message.is_cut(), "{what}: {message:?}");
                inside(&message.fields, message.bytes.len(), &what);
            }
        }
    }
}

/// Each frame of TTHeader Streaming has a header of its own, those of messages and of the client's end too.
#[test]
fn every_message_shows_its_header() {
    let mut seen = 0;
    for path in support::bundled(".pcap") {
        for detail in details(&path).iter().filter(|detail| detail.call.rpc == Rpc::Ttstream) {
            let framed = [Kind::Open, Kind::Begin, Kind::Part, Kind::HalfClose, Kind::Answer, Kind::Reset];
            for message in detail.messages.iter().filter(|message| framed.contains(&message.kind)) {
                let has_type = message.headers.iter().any(|(key, _)| key == "FrameType");
                assert!(has_type, "{} {:?}: {:?}", path.display(), message.kind, message.headers);
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn everything_printed_is_safe_for_a_terminal() {
    for path in support::bundled(".pcap") {
        for detail in details(&path) {
            let mut out = String::new();
            let look = print::Look { colored: false, width: 100, zone: jiff::tz::TimeZone::UTC };
            print::push(&mut out, &detail, &[], &look);
            let unsafe_line = out.lines().find(|line| line.chars().any(text::is_unsafe));
            assert_eq!(unsafe_line, None, "{}", path.display());
        }
    }
}

#[test]
fn show_prints_the_call_or_says_that_there_is_none() {
    let capture = support::captures().join("kitex/kitex-mixed.pcap");
    let show = |args: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_rpcscope"))
            .arg("show")
            .args(args)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        (program.status.code(), text(program.stdout), text(program.stderr))
    };
    let path = capture.to_string_lossy();
    let failed = support::calls(std::slice::from_ref(&capture), &Options::default())
        .into_iter()
        .find(|call| call.class() == Some(Class::Business))
        .expect("the capture has business errors");
    let (status, out, err) = show(&[&failed.uid.to_string(), &path]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    for part in ["business error", "Verdict", "Time line", "Request of the client", "0000  "] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, out, err) = show(&["999999999", &path]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains("no call 999999999"), "{err}");
    let (status, _, err) = show(&["1", "-"]);
    assert_eq!(status, Some(2), "{err}");
    assert_eq!(show(&["x", &path]).0, Some(2));
}
