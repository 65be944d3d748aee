//! Packets that a snap length cut: what is left of them still shows the calls.

use std::collections::HashMap;

use rpcscope::pipeline::{Options, Output};
use serde_json::Value;

use super::frame::{Captured, End, Frame, Said, conversation};
use super::wrap::{self, Wrap};
use super::{Memory, bundled, of_packets, one_thread};
use crate::support;

/// The packets of frames, each no longer than this.
fn cut(frames: &[Frame], snap: usize) -> Vec<Captured> {
    let cut = |mut packet: Captured| {
        packet.data.truncate(snap);
        packet
    };
    frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut).collect()
}

fn count_by_transport(calls: &[Value], counts: &mut HashMap<String, usize>) {
    for call in calls {
        *counts.entry(call["transport"].as_str().unwrap().to_owned()).or_default() += 1;
    }
}

/// How many of a hundred calls are left.
#[test]
fn calls_of_cut_packets_do_not_vanish() {
    for (snap, transport, least) in
        [(96, "trpc", 95), (96, "ttheader", 95), (96, "theader", 95), (128, "trpc", 98), (256, "http1", 90)]
    {
        let (mut made, mut found) = (HashMap::new(), HashMap::new());
        for original in bundled().iter().filter(|o| o.calls.iter().any(|call| call["transport"] == transport))
        {
            count_by_transport(&original.calls, &mut made);
            count_by_transport(&of_packets(cut(&original.frames, snap)), &mut found);
        }
        let (made, found) = (made[transport], found.get(transport).copied().unwrap_or(0));
        assert!(found * 100 >= made * least, "{transport} cut at {snap}: {found} of {made} calls");
    }
}

const ENDS: [End; 2] = [([192, 0, 2, 1], 40_000), ([192, 0, 2, 2], 8080)];

/// Ethernet, IP, and TCP with an option before the payload.
const HEADS: usize = 14 + 20 + 24;

fn of_cut(exchange: &[Said], payload: usize) -> Vec<Value> {
    of_packets(cut(&conversation(ENDS, exchange), HEADS + payload))
}

#[test]
fn a_request_head_that_shows_its_call_is_a_call_without_a_class() {
    let request: &[u8] = b"POST /shop.v1.Stock/Get HTTP/1.1\r\nContent-Type: application/grpc-web+proto\r\nX-Long: 123456\r\nContent-Length: 7\r\n\r\n\0\0\0\0\x02ab";
    let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 21\r\n\r\n\x80\0\0\0\x10grpc-status: 5\r\n";
    let exchange = [(true, request), (false, answer), (true, request), (false, answer)];
    for payload in [72, 80, 95] {
        let calls = of_cut(&exchange, payload);
        assert_eq!(calls.len(), 2, "{payload}: {calls:?}");
        for call in calls {
            assert_eq!((&call["rpc"], &call["method"]), (&"grpc-web".into(), &"Get".into()), "{payload}");
            assert_eq!(call["class"], Value::Null, "{payload}: {call}");
            assert_eq!(call["findings"], serde_json::json!(["truncated"]), "{payload}: {call}");
        }
    }
    // A request line alone is no call: any page is asked for like this.
    assert!(of_cut(&exchange, 40).is_empty());
}

#[test]
fn a_tunnel_is_followed_although_its_request_is_cut() {
    const CONNECT: &[u8] =
        b"CONNECT shop.test:7000 HTTP/1.1\r\nHost: shop.test:7000\r\nUser-Agent: some-client/1.2.3\r\n\r\n";
    const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let trpc = b"\x09\x30\0\0\0\0\0\x22\0\x12\0\0\0\x01\0\0\x18\x01\x2a\x01c\x32\x01s\x3a\x08/s.S/Get";
    let answer = b"\x09\x30\0\0\0\0\0\x12\0\x02\0\0\0\x01\0\0\x18\x01";
    let exchange: [Said; 4] = [(true, CONNECT), (false, ESTABLISHED), (true, trpc), (false, answer)];
    for payload in [35, 60, 72, 1000] {
        let calls = of_cut(&exchange, payload);
        let seen: Vec<_> = calls.iter().map(|call| (&call["rpc"], &call["class"], &call["via"][0])).collect();
        assert_eq!(seen, [(&"trpc".into(), &"ok".into(), &"shop.test:7000".into())], "{payload}");
    }
}

/// Reasons of the connections of an exchange, each packet with so many bytes of payload.
fn reasons(exchange: &[Said], payload: usize) -> Vec<Option<&'static str>> {
    let packets = cut(&conversation(ENDS, exchange), HEADS + payload);
    let options = Options { connections: true, ..one_thread() };
    let (outputs, _) = support::outputs(&mut Memory { packets, at: 0 }, &options);
    let reason = |output: &Output| match output {
        Output::Connection(connection) => Some(connection.reason),
        Output::Call(_) | Output::Learned(_) => None,
    };
    outputs.iter().filter_map(reason).collect()
}

#[test]
fn http2_whose_header_blocks_are_cut_is_not_said_to_be_without_rpc() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    // A GET of `/`, with a field that makes the block longer than what is kept of it.
    const GET: &[u8] = b"\0\0\x59\x01\x05\0\0\0\x01\x82\x84\x86\0\x03x-y\x50\
        vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
    let exchange = [(true, PREFACE), (false, SETTINGS), (true, GET)];
    assert_eq!(reasons(&exchange, 200), [Some("HTTP/2 without RPC")]);
    for payload in [34, 40, 60] {
        let expected = "HTTP/2 with header blocks that are cut off (snap length) or lost";
        assert_eq!(reasons(&exchange, payload), [Some(expected)], "{payload}");
    }
}

/// A message of THeader with that number, this header and this payload.
fn theader_in(header: [u8; 4], seq_id: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, 0, 22 + payload.len() as u8 - 8, 0x0f, 0xff, 0, 0, 0, 0, 0, seq_id, 0, 1];
    [&head, &header[..], payload].concat()
}

/// The same with a header of zeros.
fn theader(seq_id: u8, payload: &[u8]) -> Vec<u8> {
    theader_in([0; 4], seq_id, payload)
}

#[test]
fn theader_messages_in_transforms_that_are_not_read_are_calls_all_the_same() {
    const SNAPPY: [u8; 4] = [0, 1, 3, 0];
    let call = |own: u8| theader(own, &[b"\x80\x01\0\x01\0\0\0\x03get\0\0\0".as_slice(), &[own, 0]].concat());
    let reply =
        |own: u8| theader(own, &[b"\x80\x01\0\x02\0\0\0\x03get\0\0\0".as_slice(), &[own, 0]].concat());
    let packed = |own| theader_in(SNAPPY, own, b"\x10\x0fsome bytes");
    let exchange = |said: &[(bool, Vec<u8>)]| {
        let said: Vec<Said> =
            said.iter().map(|(asks, bytes)| (*asks, bytes.clone().leak() as &[u8])).collect();
        of_cut(&said, 1000)
            .iter()
            .map(|c| (c["id"].clone(), c["class"].clone(), c["findings"].clone()))
            .collect::<Vec<_>>()
    };
    let ok = |id: i64| (id.into(), "ok".into(), serde_json::json!([]));
    let unread = |id: i64| (id.into(), Value::Null, serde_json::json!(["undecodable-answer"]));
    let answers = [
        (true, call(1)),
        (false, reply(1)),
        (true, call(2)),
        (false, packed(2)),
        (true, call(3)),
        (false, reply(3)),
    ];
    assert_eq!(exchange(&answers), [ok(1), unread(2), ok(3)]);
    let both = [
        (true, call(1)),
        (false, reply(1)),
        (true, packed(2)),
        (false, packed(2)),
        (true, packed(3)),
        (false, reply(3)),
    ];
    assert_eq!(exchange(&both), [ok(1), unread(2), ok(3)]);
    // It may want no answer.
    assert_eq!(exchange(&[(true, call(1)), (false, reply(1)), (true, packed(2))]), [ok(1), unread(2)]);
}

#[test]
fn theader_messages_are_paired_by_their_frames_where_their_names_are_cut() {
    let said = |own: u8| {
        let call = [b"\x80\x01\0\x01\0\0\0\x10ping_with_length\0\0\0".as_slice(), &[own, 0]].concat();
        let reply = [b"\x80\x01\0\x02\0\0\0\x10ping_with_length\0\0\0".as_slice(), &[own, 0]].concat();
        [(true, theader(7, &call).leak() as &[u8]), (false, theader(7, &reply).leak() as &[u8])]
    };
    let whole = of_cut(&said(7), 1000);
    assert_eq!((whole.len(), &whole[0]["class"]), (1, &"ok".into()), "{whole:?}");
    for payload in 22..46 {
        for own in [7, 0] {
            let calls = of_cut(&said(own), payload);
            let [call] = &calls[..] else { panic!("{payload}, {own}: {calls:?}") };
            assert_eq!((&call["transport"], &call["method"]), (&"theader".into(), &Value::Null), "{call}");
            assert_eq!((&call["class"], call["response_bytes"] != 0), (&Value::Null, true), "{call}");
        }
    }
}

/// Connections whose payload is cut off say so, and not that there is none.
#[test]
fn payload_that_is_cut_off_is_not_said_to_be_missing() {
    let trpc = b"\x09\x30\0\0\0\0\0\x22\0\x12\0\0\0\x01\0\0\x18\x01\x2a\x01c\x32\x01s\x3a\x08/s.S/Get";
    let answer = b"\x09\x30\0\0\0\0\0\x12\0\x02\0\0\0\x01\0\0\x18\x01";
    let exchange: [Said; 2] = [(true, trpc), (false, answer)];
    for payload in [0, 1, 5] {
        for reason in reasons(&exchange, payload) {
            assert!(
                reason.is_some_and(|reason| reason.contains("the snap length cut")),
                "{payload}: {reason:?}"
            );
        }
        assert!(!reasons(&exchange, payload).is_empty());
    }
    assert_eq!(reasons(&[], 0).iter().flatten().filter(|reason| reason.contains("snap")).count(), 0);
}
