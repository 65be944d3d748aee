//! Proxies in front of the bundled conversations.

use std::collections::{HashMap, HashSet};

use rpcscope::dispatch::DecodeAs;
use rpcscope::pipeline::{Options, Output};
use serde_json::{Value, json};

use super::direction::clients;
use super::frame::{ACK, End, Frame, SYN, Said, Tcp, conversation};
use super::rewrite;
use super::wrap::{Wrap, wrap};
use super::{Complaints, Memory, Original, bundled, essences, of_frames, one_thread, some_of};
use crate::support;

/// A prelude, the client that it names, and all addresses.
struct Prelude {
    name: &'static str,
    exchange: &'static [Said],
    client: Option<&'static str>,
    via: &'static [&'static str],
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x2b\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\x01\xbb\
    \x02\0\x04abcd";
const CONNECT: &[u8] = b"CONNECT shop.test:7000 HTTP/1.1\r\nHost: shop.test:7000\r\n\r\n";
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

const ALL: &[Prelude] = &[
    Prelude {
        name: "PROXY 1",
        exchange: &[(true, V1)],
        client: Some("192.0.2.7:56324"),
        via: &["192.0.2.7:56324", "198.51.100.1:443"],
    },
    Prelude { name: "PROXY 1, unknown", exchange: &[(true, b"PROXY UNKNOWN\r\n")], client: None, via: &[] },
    Prelude {
        name: "PROXY 2",
        exchange: &[(true, V2)],
        client: Some("[2001:db8::7]:56324"),
        via: &["[2001:db8::7]:56324", "[2001:db8::1]:443"],
    },
    Prelude {
        name: "PROXY 2, local",
        exchange: &[(true, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")],
        client: None,
        via: &[],
    },
    Prelude {
        name: "CONNECT",
        exchange: &[(true, CONNECT), (false, ESTABLISHED)],
        client: None,
        via: &["shop.test:7000"],
    },
    Prelude {
        name: "CONNECT with a password",
        exchange: &[
            (true, CONNECT),
            (false, b"HTTP/1.1 407 Who are you\r\nContent-Length: 5\r\n\r\nname?"),
            (true, CONNECT),
            (false, b"HTTP/1.0 200 OK\r\n\r\n"),
        ],
        client: None,
        via: &["shop.test:7000"],
    },
    Prelude {
        name: "SOCKS 4",
        exchange: &[(true, b"\x04\x01\x1b\x58\xc6\x33\x64\x01me\0"), (false, b"\0\x5a\0\0\0\0\0\0")],
        client: None,
        via: &["198.51.100.1:7000"],
    },
    Prelude {
        name: "SOCKS 4a",
        exchange: &[(true, b"\x04\x01\x1b\x58\0\0\0\x01\0shop.test\0"), (false, b"\0\x5a\0\0\0\0\0\0")],
        client: None,
        via: &["shop.test:7000"],
    },
    Prelude {
        name: "SOCKS 5",
        exchange: &[
            (true, b"\x05\x01\0"),
            (false, b"\x05\0"),
            (true, b"\x05\x01\0\x03\x09shop.test\x1b\x58"),
            (false, b"\x05\0\0\x01\0\0\0\0\0\0"),
        ],
        client: None,
        via: &["shop.test:7000"],
    },
    Prelude {
        name: "SOCKS 5 with a password, behind PROXY 1",
        exchange: &[
            (true, V1),
            (true, b"\x05\x02\0\x02"),
            (false, b"\x05\x02"),
            (true, b"\x01\x02me\x03pwd"),
            (false, b"\x01\0"),
            (true, b"\x05\x01\0\x01\xc6\x33\x64\x01\x1b\x58"),
            (false, b"\x05\0\0\x03\x05proxy\0\x50"),
        ],
        client: Some("192.0.2.7:56324"),
        via: &["192.0.2.7:56324", "198.51.100.1:443", "198.51.100.1:7000"],
    },
];

/// A TCP connection whose SYN was captured.
struct Connection {
    client: (std::net::IpAddr, u16),
    /// What was put in front of the bytes of the client and of the server.
    added: Option<[u32; 2]>,
}

/// The same connections with an exchange before the first payload of either side, or (`late`) of the client.
fn behind(frames: &[Frame], exchange: &[Said], late: bool) -> Vec<Frame> {
    let mut open: HashMap<_, Connection> = HashMap::new();
    let mut out = Vec::new();
    for frame in frames {
        let mut shifted = frame.clone();
        if let Some(tcp) = &mut shifted.tcp {
            let flow = (frame.source.min(frame.destination), frame.source.max(frame.destination));
            if tcp.has(SYN) && !tcp.has(ACK) {
                open.insert(flow, Connection { client: frame.source, added: None });
            }
            if let Some(connection) = open.get_mut(&flow) {
                let by_client = frame.source == connection.client;
                if connection.added.is_none() && !frame.payload.is_empty() && (by_client || !late) {
                    let mut at = if by_client { [tcp.seq, tcp.ack] } else { [tcp.ack, tcp.seq] };
                    let first = at;
                    for (from_client, bytes) in exchange {
                        let [seq, ack] = if *from_client { at } else { [at[1], at[0]] };
                        let ends = [frame.source, frame.destination];
                        let [source, destination] =
                            if *from_client == by_client { ends } else { [ends[1], ends[0]] };
                        let tcp = Some(Tcp { seq, ack, flags: ACK });
                        out.push(Frame {
                            source,
                            destination,
                            tcp,
                            payload: bytes.to_vec(),
                            ..frame.clone()
                        });
                        at[usize::from(!from_client)] =
                            at[usize::from(!from_client)].wrapping_add(bytes.len() as u32);
                    }
                    connection.added = Some([at[0].wrapping_sub(first[0]), at[1].wrapping_sub(first[1])]);
                }
                if let Some([client, server]) = connection.added
                    && !tcp.has(SYN)
                {
                    let [own, other] = if by_client { [client, server] } else { [server, client] };
                    tcp.seq = tcp.seq.wrapping_add(own);
                    tcp.ack = tcp.ack.wrapping_add(other);
                }
            }
        }
        out.push(shifted);
    }
    out
}

/// The record without what the prelude changed, if that is right.
fn restored(mut record: Value, prelude: &Prelude, originals: &[Value]) -> Value {
    if record["network"] == "udp" || originals.contains(&record) {
        return record;
    }
    let addresses = record.as_object_mut().and_then(|record| record.remove("via")).unwrap_or(json!([]));
    assert_eq!(addresses, json!(prelude.via), "{record}");
    if let Some(client) = prelude.client {
        assert_eq!(record["client"], client);
    }
    record
}

/// Clients are compared only where the prelude names none.
fn without_clients(records: Vec<Value>, prelude: &Prelude) -> Vec<String> {
    let blank = |mut record: Value| {
        if prelude.client.is_some() {
            record["client"] = Value::Null;
        }
        record
    };
    essences(&records.into_iter().map(blank).collect::<Vec<_>>())
}

/// Puts frames behind some preludes, and compares what `read` finds in them with the calls that it found without.
pub(super) fn try_some(
    complaints: &mut Complaints,
    original: &Original,
    read: &dyn Fn(&[Frame]) -> Vec<Value>,
) {
    let Original { name, frames, calls } = original;
    for prelude in ALL.iter().take(6) {
        let found = read(&behind(frames, prelude.exchange, false));
        let found = found.into_iter().map(|record| restored(record, prelude, calls)).collect();
        let expected = without_clients(calls.clone(), prelude);
        complaints.same(name, prelude.name, &expected, &without_clients(found, prelude));
    }
}

/// The captures whose connections can be put behind a proxy.
fn whole() -> impl Iterator<Item = &'static Original> {
    let direct = |original: &&Original| original.calls.iter().all(|call| call.get("via").is_none());
    bundled().iter().filter(direct).filter(|original| is_whole(&original.frames))
}

/// Whether all TCP connections of a capture that carry something were captured from their SYN.
fn is_whole(frames: &[Frame]) -> bool {
    let mut begun = Vec::new();
    frames.iter().all(|frame| match frame.tcp {
        Some(tcp) if tcp.has(SYN) => {
            if !tcp.has(ACK) {
                begun.push(frame.flow());
            }
            true
        }
        Some(_) if !frame.payload.is_empty() => begun.contains(&frame.flow()),
        _ => true,
    })
}

#[test]
fn a_prelude_names_addresses_and_changes_nothing_else() {
    let mut complaints = Complaints::default();
    for (at, Original { name, frames, calls }) in whole().enumerate() {
        for prelude in some_of(ALL, at) {
            for small in [false, true] {
                let mut frames = behind(frames, prelude.exchange, false);
                if small && frames.len() < 500 {
                    frames = rewrite::split(&frames, 7);
                }
                let found = of_frames(&frames).into_iter().map(|record| restored(record, prelude, calls));
                let found = without_clients(found.collect(), prelude);
                complaints.same(name, prelude.name, &without_clients(calls.clone(), prelude), &found);
            }
        }
    }
    complaints.none();
}

/// A server may send its HTTP/2 settings before it reads anything.
#[test]
fn a_proxy_header_may_come_after_the_first_bytes_of_the_server() {
    let mut complaints = Complaints::default();
    let mut servers_first = 0;
    for Original { name, frames, calls } in whole() {
        for prelude in ALL.iter().filter(|prelude| prelude.exchange.len() == 1) {
            let rewritten = behind(frames, prelude.exchange, true);
            if rewritten == behind(frames, prelude.exchange, false) {
                continue;
            }
            servers_first += 1;
            let found = of_frames(&rewritten).into_iter().map(|record| restored(record, prelude, calls));
            let found = without_clients(found.collect(), prelude);
            complaints.same(name, prelude.name, &without_clients(calls.clone(), prelude), &found);
        }
    }
    complaints.none();
    assert!(servers_first > 0);
}

/// What the servers of a capture sent.
fn answers(frames: &[Frame], clients: &HashSet<(std::net::IpAddr, u16)>) -> Vec<Frame> {
    frames.iter().filter(|frame| !clients.contains(&frame.source)).cloned().collect()
}

/// Only the proxy's side of a tunnel was captured: the answers behind it are the calls that they are without it.
#[test]
fn answers_alone_behind_a_tunnel_are_the_same_calls() {
    let mut complaints = Complaints::default();
    // Whoever is refused first asks again: that answer looks like any other.
    let tunnels: Vec<&Prelude> = ALL
        .iter()
        .filter(|prelude| prelude.exchange.len() > 1 && prelude.name != "CONNECT with a password")
        .collect();
    let mut seen = 0;
    for (at, Original { name, frames, .. }) in whole().enumerate() {
        let clients = clients(frames);
        let direct = of_frames(&answers(frames, &clients));
        for prelude in some_of(&tunnels, at) {
            let found = of_frames(&answers(&behind(frames, prelude.exchange, false), &clients));
            seen += found.len();
            complaints.same(name, prelude.name, &essences(&direct), &essences(&found));
        }
    }
    complaints.none();
    assert!(seen > 0);
}

#[test]
fn the_answers_of_a_tunnel_need_no_handshake() {
    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    const ANSWER: &[u8] = b"\0\0\0\x15\x80\x01\0\x02\0\0\0\x04ping\0\0\0\x01\0\0\0\0\0";
    let said: &[&[Said]] = &[
        &[(false, ESTABLISHED), (false, ANSWER)],
        &[(false, b"\0\x5a\0\0\0\0\0\0"), (false, ANSWER)],
        &[(false, b"\x05\0"), (false, b"\x05\0\0\x01\0\0\0\0\0\0"), (false, ANSWER)],
        &[(false, b"\x05\x02"), (false, b"\x01\0"), (false, b"\x05\0\0\x03\x05proxy\0\x50"), (false, ANSWER)],
    ];
    let alone = |exchange: &[Said], syn: bool| {
        let of_server = |frame: &Frame| {
            frame.source.1 == ENDS[1].1 && (syn || !frame.tcp.is_some_and(|tcp| tcp.has(SYN)))
        };
        of_frames(&conversation(ENDS, exchange).into_iter().filter(of_server).collect::<Vec<_>>())
    };
    for exchange in said {
        for syn in [true, false] {
            let calls = alone(exchange, syn);
            let [call] = &calls[..] else { panic!("{exchange:?}, {syn}: {calls:?}") };
            assert_eq!(
                (&call["rpc"], &call["server"]),
                (&json!("thrift"), &json!("10.0.0.2:3128")),
                "{call}"
            );
        }
    }
    // A page is none, nor is a refusal.
    for first in [PAGE, b"\0\x5b\0\0\0\0\0\0", b"HTTP/1.1 204 No Content\r\n\r\n"] {
        assert!(alone(&[(false, first), (false, ANSWER)], true).is_empty(), "{first:?}");
    }
}

/// A client and a proxy.
const ENDS: [End; 2] = [([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 3128)];

/// Everything that comes out of a conversation.
fn outputs(exchange: &[Said], decode_as: &[&str]) -> Vec<Output> {
    let decode_as = decode_as.iter().map(|rule| rule.parse::<DecodeAs>().unwrap()).collect();
    let options = Options { connections: true, decode_as, ..one_thread() };
    let packets = conversation(ENDS, exchange).iter().flat_map(|frame| wrap(frame, Wrap::Ethernet)).collect();
    support::outputs(&mut Memory { packets, at: 0 }, &options).0
}

#[test]
fn a_refusal_is_the_reason_of_its_connection() {
    let forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n";
    let unbounded = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let cases: &[(&[Said], &str)] = &[
        (&[(true, CONNECT), (false, forbidden)], "HTTP CONNECT refused: 403 Forbidden"),
        (&[(true, CONNECT), (false, unbounded)], "HTTP CONNECT refused: 502 Bad Gateway"),
        (
            &[(true, b"\x04\x01\x1b\x58\xc6\x33\x64\x01me\0"), (false, b"\0\x5b\0\0\0\0\0\0")],
            "SOCKS4 refused",
        ),
        (&[(true, b"\x05\x01\0"), (false, b"\x05\xff")], "SOCKS5 refused: no authentication method"),
        (
            &[
                (true, b"\x05\x01\0"),
                (false, b"\x05\0"),
                (true, b"\x05\x01\0\x01\x0a\0\0\x09\x1b\x58"),
                (false, b"\x05\x05\0\x01\0\0\0\0\0\0"),
            ],
            "SOCKS5 refused: connection refused",
        ),
        (&[(true, b"\x05\x01\x01"), (false, b"\x05\x01"), (true, b"\x01token")], "SOCKS5 with GSSAPI"),
        (
            &[
                (true, CONNECT),
                (false, ESTABLISHED),
                (true, b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03 thirty-two random bytes of the client"),
            ],
            "TLS without keys",
        ),
    ];
    for (exchange, reason) in cases {
        let outputs = outputs(exchange, &[]);
        let [Output::Connection(connection)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!((connection.protocol, connection.reason), (None, Some(*reason)));
    }
}

#[test]
fn decode_as_acts_behind_preludes() {
    const PING: &[u8] = b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0";
    for exchange in [&[(true, CONNECT), (false, ESTABLISHED), (true, PING)][..], &[(true, V1), (true, PING)]]
    {
        let outputs = outputs(exchange, &["tcp:3128=framed"]);
        let records: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0]["method"], "ping");
        assert!(records[0]["via"].is_array());
    }
    // A connection that carries nothing else is still of the protocol that was set.
    let outputs = outputs(&[(true, V1)], &["tcp:3128=trpc"]);
    let [Output::Connection(connection)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(connection.protocol, Some("trpc"));
}
