//! Packets that a snap length cut: what is left of them still shows the calls.

use std::collections::HashMap;

use serde_json::Value;

use super::frame::{Captured, End, Frame, Said, conversation};
use super::wrap::{self, Wrap};
use super::{bundled, of_packets};

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
        [(96, "trpc", 95), (96, "ttheader", 95), (128, "trpc", 98), (256, "http1", 90)]
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
