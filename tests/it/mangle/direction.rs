//! Who is the client, and captures that show one direction of a connection.

use std::collections::HashSet;

use rpcscope::pipeline::{Options, Output};
use rpcscope::source::files;
use serde_json::Value;

use super::frame::{ACK, Captured, End, Frame, SYN, Said, conversation};
use super::wrap::{Wrap, wrap};
use super::{Complaints, Memory, Original, bundled, essences, file, of_frames, one_thread};
use crate::support;

/// A client whose port is lower than the server's, and whose address is too.
const ENDS: [End; 2] = [([10, 0, 0, 1], 20_000), ([10, 0, 0, 2], 30_000)];

/// The client of the only connection.
fn client_of(frames: &[Frame]) -> String {
    let options = Options { connections: true, ..one_thread() };
    let packets = frames.iter().flat_map(|frame| wrap(frame, Wrap::Ethernet)).collect();
    let (outputs, _) = support::outputs(&mut Memory { packets, at: 0 }, &options);
    let connections: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Connection(connection) => Some(connection.client.to_string()),
            Output::Call(_) | Output::Learned(_) => None,
        })
        .collect();
    let [client] = &connections[..] else { panic!("{outputs:?}") };
    client.clone()
}

#[test]
fn the_client_is_who_sends_requests_whatever_the_ports() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    // HEADERS of a GET, and of its 200, without a preface.
    let get = b"\0\0\x03\x01\x05\0\0\0\x01\x82\x84\x86";
    let ok = b"\0\0\x01\x01\x05\0\0\0\x01\x88";
    let cases: &[&[Said]] = &[
        &[(true, preface), (false, settings)],
        &[(true, preface), (false, settings), (true, get), (false, ok)],
        &[(true, b"GET / HTTP/1.1\r\n\r\n"), (false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        &[(true, b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0")],
    ];
    for exchange in cases {
        for ends in [ENDS, [ENDS[1], ENDS[0]]] {
            let frames: Vec<Frame> = conversation(ends, exchange)
                .into_iter()
                .filter(|frame| !frame.payload.is_empty() && !frame.tcp.unwrap().has(SYN))
                .collect();
            let (ip, port) = ends[0];
            assert_eq!(client_of(&frames), format!("10.0.0.{}:{port}", ip[3]), "{exchange:?}");
        }
    }
}

#[test]
fn ports_tell_the_client_where_nothing_else_does() {
    const HELLO: &[Said] = &[(false, b"hello"), (true, b"what?"), (false, b"hello again")];
    let without_syn = |ends| -> Vec<Frame> {
        let frames = conversation(ends, HELLO).into_iter();
        frames.filter(|frame| !frame.payload.is_empty() && frame.tcp.unwrap().flags == ACK).collect()
    };
    assert_eq!(client_of(&without_syn([ENDS[1], ENDS[0]])), "10.0.0.2:30000");
    assert_eq!(client_of(&without_syn([([10, 0, 0, 3], 40_000), ([10, 0, 0, 4], 80)])), "10.0.0.3:40000");
    // A datagram of the server's port is an answer; otherwise the first datagram is a request.
    let datagrams = |ends| -> Vec<Frame> {
        let frames = without_syn(ends).into_iter();
        frames.map(|frame| Frame { tcp: None, ..frame }).collect()
    };
    assert_eq!(client_of(&datagrams([([10, 0, 0, 3], 40_000), ([10, 0, 0, 4], 53)])), "10.0.0.3:40000");
    assert_eq!(client_of(&datagrams(ENDS)), "10.0.0.2:30000");
}

/// Clients of the TCP connections that begin in a capture.
pub(super) fn clients(frames: &[Frame]) -> HashSet<(std::net::IpAddr, u16)> {
    let opens = |frame: &&Frame| frame.tcp.is_some_and(|tcp| tcp.has(SYN) && !tcp.has(ACK));
    frames.iter().filter(opens).map(|frame| frame.source).collect()
}

/// Only answers were captured, the SYN-ACK among them: each is a call that says that something is missing.
#[test]
fn answers_alone_are_calls() {
    let mut complaints = Complaints::default();
    for Original { name, frames, calls } in bundled() {
        let clients = clients(frames);
        let answers: Vec<Frame> =
            frames.iter().filter(|frame| !clients.contains(&frame.source)).cloned().collect();
        // What switches to HTTP/2 is in the request.
        if answers.iter().any(|frame| frame.payload.starts_with(b"HTTP/1.1 101 ")) {
            continue;
        }
        let found = of_frames(&answers);
        for call in calls.iter().filter(|call| call["network"] == "tcp" && call.get("via").is_none()) {
            let answered = matches!(call["class"].as_str(), Some("ok" | "business" | "rpc"))
                // Resets by the client are none of the answers, and plain answers of HTTP don't show what was asked for.
                && call["initiator"] != "client"
                && call["carrier"] != "http-status"
                && matches!(call["rpc"].as_str(), Some("thrift" | "kitex-protobuf" | "grpc" | "ttstream" | "trpc" | "trpc-stream"))
                && call["transport"] != "http1"
                && call["response_bytes"] != 0;
            let client: std::net::SocketAddr = call["client"].as_str().unwrap().parse().unwrap();
            if !answered || !clients.contains(&(client.ip(), client.port())) {
                continue;
            }
            let same = |record: &&Value| {
                ["client", "server", "class", "code", "rpc", "transport"]
                    .iter()
                    .all(|key| record[*key] == call[*key] || record["class"].is_null())
            };
            match found.iter().find(same) {
                None => complaints.0.push(format!("{name}: no {call}")),
                Some(record) => {
                    let findings = record["findings"].as_array().unwrap();
                    if !findings.iter().any(|finding| finding == "gap") {
                        complaints.0.push(format!("{name}: no gap in {record}"));
                    }
                }
            }
        }
    }
    complaints.none();
}

/// One file for each direction, given together, are one capture; so are two interfaces of one file.
#[test]
fn each_direction_in_a_file_of_its_own_is_one_capture() {
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Complaints::default();
    for Original { name, frames, calls } in bundled() {
        let clients = clients(frames);
        let packets = |of_clients: bool| -> Vec<Captured> {
            let side = frames.iter().filter(|frame| clients.contains(&frame.source) == of_clients);
            side.flat_map(|frame| wrap(frame, Wrap::Ethernet)).collect()
        };
        let mut paths = Vec::new();
        for (at, part) in [packets(true), packets(false)].iter().enumerate() {
            if !part.is_empty() {
                let path = folder.path().join(format!("{name}.{at}"));
                std::fs::write(&path, file::write(part, file::FORMATS[at % 4])).unwrap();
                paths.push(path);
            }
        }
        let mut source = files::open(&paths, files::Options::default());
        let (outputs, _) = support::outputs(&mut source, &one_thread());
        let found: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
        complaints.same(name, "one file for each direction", &essences(calls), &essences(&found));
    }
    complaints.none();
}

/// A TTHeader request: fixed head, the method in the header, a call in the payload.
const TTHEADER: &[u8] = b"\0\0\0\x2f\x10\0\0\0\0\0\0\x01\0\x04\0\0\x10\0\x01\0\x09\0\x04ping\0\0\0\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0";

/// A server that speaks first is another one than the client thinks: what it said is the answer to the requests that follow.
#[test]
fn a_greeting_in_another_language_answers_the_requests_behind_it() {
    const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.2\r\n";
    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    const MYSQL: &[u8] = b"\x0c\0\0\0\x0a8.0.36\0\x08\0\0\0";
    let requests: [&[u8]; 4] = [
        TTHEADER,
        b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0",
        b"\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x2e\x01\x04\0\0\0\x01\
          \x83\x86\0\x05:path\x05/a/Do\0\x0ccontent-type\x10application/grpc",
    ];
    for request in requests {
        for (greeting, said) in [(SSH, "SSH-2.0-OpenSSH_9.2"), (MYSQL, "a MySQL greeting: 8.0.36")] {
            for exchange in [[(false, greeting), (true, request)], [(true, request), (false, greeting)]] {
                let calls = of_frames(&conversation(ENDS, &exchange));
                let [call] = &calls[..] else { panic!("{exchange:?}: {calls:?}") };
                assert_eq!(call["class"], "rpc", "{exchange:?}: {call}");
                assert_eq!(call["findings"], serde_json::json!(["foreign-answer"]), "{exchange:?}: {call}");
                assert_eq!(call["message"], said, "{exchange:?}: {call}");
            }
        }
    }
    // Servers of HTTP/2 send their settings first.
    for request in &requests[..3] {
        let calls = of_frames(&conversation(ENDS, &[(false, SETTINGS), (true, request)]));
        let [call] = &calls[..] else { panic!("{request:?}: {calls:?}") };
        assert_eq!(call["message"], "an HTTP/2 SETTINGS frame", "{call}");
        assert_eq!((&call["class"], &call["carrier"]), (&"rpc".into(), &"none".into()), "{call}");
    }
    // Who speaks that language with the server makes no calls.
    let ssh: &[Said] = &[(false, SSH), (true, b"SSH-2.0-Go\r\n"), (true, b"\0\0\x01\x14\x05\x14aaaaaaaa")];
    assert_eq!(of_frames(&conversation(ENDS, ssh)), Vec::<Value>::new());
}

/// A frame of which neither header nor payload can be decoded, where an answer has to begin.
#[test]
fn an_answer_that_can_not_be_decoded_fails_its_call() {
    const ANSWER: &[u8] =
        b"\0\0\0\x23\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\x11\x80\x01\0\x02\0\0\0\x04ping\0\0\0\x01\0";
    let no_header = b"\0\0\0\x16\x10\0\0\0\0\0\0\x01\0\x01\xff\xff\xff\xff\xde\xad\xbe\xef\xde\xad\xbe\xef";
    let no_message = b"\0\0\0\x16\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\x04\xde\xad\xbe\xef";
    let no_fit = b"\0\0\0\x16\x10\0\0\0\0\0\0\x01\0\x09\0\0\0\0\0\0\0\x04\xde\xad\xbe\xef";
    for answer in [&no_header[..], no_message, no_fit] {
        let exchange = [(true, TTHEADER), (false, answer)];
        let calls = of_frames(&conversation(ENDS, &exchange));
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0]["class"], "rpc", "{}", calls[0]);
        assert_eq!(calls[0]["findings"], serde_json::json!(["undecodable-answer"]), "{}", calls[0]);
        // With a packet missing before it, it may be the rest of a message.
        let mut frames = conversation(ENDS, &[(true, TTHEADER), (false, b"\0\0\0"), (false, answer)]);
        frames.remove(4);
        let calls = of_frames(&frames);
        assert!(calls[0]["class"].is_null(), "{}", calls[0]);
        // The client reads on: it could decode what is not decoded here.
        let exchange = [(true, TTHEADER), (false, answer), (false, ANSWER)];
        let calls = of_frames(&conversation(ENDS, &exchange));
        assert_ne!(calls[0]["class"], "rpc", "{}", calls[0]);
    }
}

/// The answer was captured before its request, and nothing else of the client before it: two calls that admit it.
#[test]
fn an_answer_before_all_of_its_client_leaves_a_mark_on_its_request() {
    let request = b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0";
    let answer = b"\0\0\0\x11\x80\x01\0\x02\0\0\0\x04ping\0\0\0\x01\0";
    let frames = conversation(ENDS, &[(true, request), (false, answer)]);
    // SYN-ACK, answer, request, both FINs.
    let order = [1, 4, 3, 5, 6].map(|at: usize| frames[at].clone());
    let calls = of_frames(&order);
    assert!(!calls.is_empty());
    for call in calls {
        let admits = call["findings"].as_array().unwrap().contains(&"gap".into());
        assert!(call["class"] == "ok" || (call["class"].is_null() && admits), "{call}");
    }
}
