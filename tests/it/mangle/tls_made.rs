//! Connections of TLS 1.3 made by hand, for what real peers seldom do.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Key};
use rpcscope::flow::Limits;
use rpcscope::pipeline::{Options, Output, Totals};
use rpcscope::tls::{Alert, KeyLogs};
use serde_json::Value;

use super::frame::{ACK, FIN, Frame, SYN, Tcp};
use super::tls::{Acting, packets};
use crate::support;

/// RFC 8448, section 3: `client_application_traffic_secret_0`, and the key and IV that follow from it. All parts of the connection have it.
const SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
const KEY: [u8; 16] =
    [0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51];
const IV: [u8; 12] = [0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9];

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// The lines of the connection. Without early data, there is none for it: with one key for all, it could not be told apart.
fn lines(early_data: bool) -> String {
    let random = "01".repeat(32);
    let early = early_data.then_some("CLIENT_EARLY_TRAFFIC_SECRET");
    let labels = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ];
    let lines = early.into_iter().chain(labels).map(|label| format!("{label} {random} {SECRET}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn logs(lines: &str, may_grow: bool) -> Arc<KeyLogs> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, lines).unwrap();
    let logs = KeyLogs::new(&[file], may_grow);
    logs.read();
    Arc::new(logs)
}

/// One side as a sender.
#[derive(Clone, Copy, Debug)]
struct Sender {
    address: (IpAddr, u16),
    seq: u32,
    /// The number of its next record.
    number: u64,
}

/// A connection that is being made.
struct Made {
    frames: Vec<Frame>,
    /// Client and server.
    sides: [Sender; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Made {
    /// The connection up to both hellos.
    fn new(early_data: bool) -> Self {
        let sender = |last, port| Sender {
            address: (Ipv4Addr::new(10, 0, 0, last).into(), port),
            seq: 1000,
            number: 0,
        };
        let mut made = Self { frames: Vec::new(), sides: [sender(1, 40_000), sender(2, 9090)] };
        for (side, flags) in [(CLIENT, SYN), (SERVER, SYN | ACK)] {
            made.segment(side, flags, Vec::new());
            made.sides[side].seq += 1;
        }
        // Extensions: supported_versions, early_data, pre_shared_key.
        let early: &[u8] = if early_data { &[0, 42, 0, 0, 0, 41, 0, 1, 0] } else { &[] };
        let extensions = [&[0, 43, 0, 3, 2, 3, 4], early].concat();
        let hello =
            [&[3, 3][..], &[1; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, extensions.len() as u8], &extensions];
        made.open_handshake(CLIENT, &message(1, &hello.concat()));
        made
    }

    /// The server's hello, and its part of the handshake; `early_data`: it takes what was sent before.
    fn answer(&mut self, early_data: bool) {
        let hello = [&[3, 3][..], &[2; 32], &[0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
        self.open_handshake(SERVER, &message(2, &hello));
        let extensions: &[u8] = if early_data { &[0, 4, 0, 42, 0, 0] } else { &[0, 0] };
        let rest = [message(8, extensions), message(20, &[0; 32])].concat();
        self.record(SERVER, HANDSHAKE, &rest);
        self.sides[SERVER].number = 0;
    }

    /// The client's part of the handshake.
    fn finish(&mut self, early_data: bool) {
        if early_data {
            self.record(CLIENT, HANDSHAKE, &message(5, &[]));
        }
        self.sides[CLIENT].number = 0;
        self.record(CLIENT, HANDSHAKE, &message(20, &[0; 32]));
        self.sides[CLIENT].number = 0;
    }

    fn segment(&mut self, side: usize, flags: u8, payload: Vec<u8>) {
        let [from, to] = [self.sides[side], self.sides[1 - side]];
        let at = self.frames.len() as i64;
        self.frames.push(Frame {
            time: 1_800_000_000_000_000_000 + at * 1_000_000,
            source: from.address,
            destination: to.address,
            id: at as u16,
            tcp: Some(Tcp { seq: from.seq, ack: to.seq, flags }),
            payload,
        });
    }

    fn send(&mut self, side: usize, bytes: &[u8]) {
        for part in bytes.chunks(1448) {
            self.segment(side, ACK, part.to_vec());
            self.sides[side].seq += part.len() as u32;
        }
    }

    fn open_handshake(&mut self, side: usize, message: &[u8]) {
        let [high, low] = (message.len() as u16).to_be_bytes();
        self.send(side, &[&[HANDSHAKE, 3, 3, high, low], message].concat());
    }

    /// A protected record.
    fn record(&mut self, side: usize, kind: u8, content: &[u8]) {
        let cipher = Aes128Gcm::new(&Key::<Aes128Gcm>::from(KEY));
        let mut nonce = IV;
        for (byte, counted) in nonce.iter_mut().skip(4).zip(self.sides[side].number.to_be_bytes()) {
            *byte ^= counted;
        }
        self.sides[side].number += 1;
        let mut sealed = [content, &[kind]].concat();
        let [high, low] = (sealed.len() as u16 + 16).to_be_bytes();
        let head = [DATA, 3, 3, high, low];
        let tag = cipher
            .encrypt_inout_detached(&nonce.into(), &head, sealed.as_mut_slice().into())
            .expect("not too long");
        self.send(side, &[&head[..], &sealed, &tag].concat());
    }

    /// A protected record of `len` bytes that no known key opens.
    fn foreign_record(&mut self, side: usize, len: usize) {
        let [high, low] = (len as u16).to_be_bytes();
        let sealed: Vec<u8> = (0..len).map(|at| (at * 31 + self.frames.len()) as u8).collect();
        self.send(side, &[&[DATA, 3, 3, high, low], &sealed[..]].concat());
    }

    /// Application data in records of at most `size` bytes.
    fn data(&mut self, side: usize, content: &[u8], size: usize) {
        for part in content.chunks(size) {
            self.record(side, DATA, part);
        }
    }
}

/// A handshake message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A framed message of the binary protocol: `Put`, with a text of so many bytes in a call.
fn thrift(is_call: bool, id: u32, text: u32) -> Vec<u8> {
    let head = [&[0x80, 1, 0, if is_call { 1 } else { 2 }, 0, 0, 0, 3][..], b"Put", &id.to_be_bytes()];
    let field = [&[11, 0, 1][..], &text.to_be_bytes(), &vec![b'x'; text as usize]].concat();
    let body = [&head.concat()[..], if is_call { &field[..] } else { &[] }, &[0]].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

fn read(made: &Made, early_data: bool) -> Vec<Value> {
    let options =
        Options { threads: 1, key_logs: Some(logs(&lines(early_data), false)), ..Options::default() };
    let (outputs, _) = support::outputs(&mut packets(&made.frames), &options);
    outputs.iter().filter_map(support::call_record).collect()
}

/// Number, class and findings of each call.
fn said(calls: &[Value]) -> Vec<(i64, String, String)> {
    let of = |call: &Value| {
        let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
        (call["id"].as_i64().unwrap_or(-1), text("class"), call["findings"].to_string())
    };
    calls.iter().map(of).collect()
}

#[test]
fn early_data_beyond_its_bound_is_lost_and_said_and_the_rest_is_read() {
    // 53 messages of 20 kB: the bound of 1 MiB is within the first record of the last one, which is not kept.
    for taken in [true, false] {
        let mut made = Made::new(true);
        for id in 1..=53 {
            made.data(CLIENT, &thrift(true, id, 20_000), 1 << 14);
        }
        made.answer(taken);
        made.finish(taken);
        if !taken {
            for id in 1..=53 {
                made.data(CLIENT, &thrift(true, id, 20_000), 1 << 14);
            }
        }
        for id in 1..=53 {
            made.data(SERVER, &thrift(false, id, 0), 1 << 14);
        }
        made.data(CLIENT, &thrift(true, 54, 10), 1 << 14);
        made.data(SERVER, &thrift(false, 54, 0), 1 << 14);
        let calls = said(&read(&made, true));
        let mut expected = plain(1..=54);
        if taken {
            expected[52].2 = r#"["gap"]"#.to_owned();
        }
        assert_eq!(calls, expected, "taken: {taken}");
    }
}

/// Calls that are answered without a finding.
fn plain(ids: impl IntoIterator<Item = i64>) -> Vec<(i64, String, String)> {
    ids.into_iter().map(|id| (id, "ok".to_owned(), "[]".to_owned())).collect()
}

#[test]
fn early_data_that_comes_after_the_servers_word_has_no_bound() {
    let mut made = Made::new(true);
    made.data(CLIENT, &thrift(true, 1, 20_000), 1 << 14);
    made.answer(true);
    for id in 2..=5 {
        made.data(CLIENT, &thrift(true, id, 300_000), 1 << 14);
    }
    made.finish(true);
    for id in 1..=5 {
        made.data(SERVER, &thrift(false, id, 0), 1 << 14);
    }
    assert_eq!(said(&read(&made, true)), plain(1..=5));
}

#[test]
fn early_data_whose_secret_nobody_logs_costs_only_itself() {
    // A server that refuses it logs none; what a client that logs none sends is lost if it is taken.
    for taken in [true, false] {
        let mut made = Made::new(true);
        for _ in 0..200 {
            made.foreign_record(CLIENT, 500);
        }
        made.answer(taken);
        if taken {
            made.foreign_record(CLIENT, 21);
        }
        made.finish(false);
        for id in 1..=3 {
            made.data(CLIENT, &thrift(true, id, 300), 1 << 14);
            made.data(SERVER, &thrift(false, id, 0), 1 << 14);
        }
        let key_logs = Some(logs(&lines(false), false));
        let options = Options { threads: 1, connections: true, key_logs, ..Options::default() };
        let (outputs, _) = support::outputs(&mut packets(&made.frames), &options);
        let calls: Vec<_> = outputs.iter().filter_map(support::call_record).collect();
        assert_eq!(said(&calls), plain(1..=3), "taken: {taken}");
        assert_eq!(reason(&outputs), taken.then_some("TLS whose early data has no line in the key log"));
    }
}

/// Why the connection is not read.
fn reason(outputs: &[Output]) -> Option<&'static str> {
    outputs.iter().find_map(|output| match output {
        Output::Connection(connection) => connection.reason,
        Output::Call(_) | Output::Learned(_) => None,
    })
}

#[test]
fn early_data_with_a_loss_claims_nothing_of_what_was_lost() {
    for lost in 1..=4_usize {
        let mut made = Made::new(true);
        let mut starts = vec![made.frames.len()];
        for id in 1..=4 {
            made.data(CLIENT, &thrift(true, id, 300), 1 << 14);
            starts.push(made.frames.len());
        }
        made.answer(true);
        made.finish(true);
        for id in 1..=5 {
            if id == 5 {
                made.data(CLIENT, &thrift(true, id, 300), 1 << 14);
            }
            made.data(SERVER, &thrift(false, id, 0), 1 << 14);
        }
        made.frames.drain(starts[lost - 1]..starts[lost]);
        let calls = read(&made, true);
        let asked: Vec<_> = calls.iter().filter(|call| call["request_messages"] == 1).collect();
        let ids: Vec<_> = asked.iter().map(|call| call["id"].as_u64().unwrap()).collect();
        let expected: Vec<_> = (1..=5).filter(|id| *id != lost as u64).collect();
        assert_eq!(ids, expected, "{lost}");
        assert!(
            asked
                .iter()
                .all(|call| call["request_bytes"] == asked[0]["request_bytes"] && call["class"] == "ok")
        );
    }
}

#[test]
fn what_happens_after_records_stay_closed_is_not_known() {
    // Bytes that were changed, or records that are not found again after a loss: nothing is read any more, and the server's end is no answer.
    for is_lost in [false, true] {
        let mut made = Made::new(false);
        made.answer(false);
        made.finish(false);
        for id in 1..=2 {
            made.data(CLIENT, &thrift(true, id, 300), 1 << 14);
            if id == 1 {
                made.data(SERVER, &thrift(false, id, 0), 1 << 14);
            }
        }
        if is_lost {
            made.data(CLIENT, &thrift(true, 9, 300), 1 << 14);
            made.frames.pop();
        }
        for _ in 0..100 {
            made.foreign_record(CLIENT, 200);
        }
        made.data(SERVER, &thrift(false, 2, 0), 1 << 14);
        made.segment(SERVER, ACK | FIN, Vec::new());
        let key_logs = Some(logs(&lines(false), false));
        let options = Options { threads: 1, connections: true, key_logs, ..Options::default() };
        let (outputs, _) = support::outputs(&mut packets(&made.frames), &options);
        let calls: Vec<_> = outputs.iter().filter_map(support::call_record).collect();
        let classes: Vec<_> =
            calls.iter().map(|call| (call["id"].as_i64(), call["class"].as_str())).collect();
        assert_eq!(classes, [(Some(1), Some("ok")), (Some(2), None)], "lost: {is_lost}");
        let expected = if is_lost {
            "TLS that was not found again after a loss"
        } else {
            "TLS that the line in the key log does not open"
        };
        assert_eq!(reason(&outputs), Some(expected));
    }
}

#[test]
fn a_first_answer_that_is_lost_is_not_known() {
    // Whether the server says more or ends: it has not left the call without an answer.
    for says_more in [false, true] {
        let mut made = Made::new(false);
        made.answer(false);
        made.finish(false);
        made.data(CLIENT, &thrift(true, 1, 300), 1 << 14);
        made.data(SERVER, &thrift(false, 1, 0), 1 << 14);
        made.frames.pop();
        made.segment(CLIENT, ACK, Vec::new());
        if says_more {
            made.data(CLIENT, &thrift(true, 2, 300), 1 << 14);
            made.data(SERVER, &thrift(false, 2, 0), 1 << 14);
        }
        made.segment(SERVER, ACK | FIN, Vec::new());
        let calls = read(&made, false);
        let classes: Vec<_> =
            calls.iter().map(|call| (call["id"].as_i64(), call["class"].as_str())).collect();
        assert_eq!(classes[0], (Some(1), None), "more: {says_more}");
        assert_eq!(classes[1..], says_more.then_some((Some(2), Some("ok"))).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn records_of_any_limit_are_read() {
    // RFC 8449 allows limits from 64 bytes on, content type included.
    for size in [1, 63, 511, 1 << 14] {
        let mut made = Made::new(false);
        made.answer(false);
        made.finish(false);
        for id in 1..=3 {
            made.data(CLIENT, &thrift(true, id, 300), size);
            made.data(SERVER, &thrift(false, id, 0), size);
        }
        let expected: Vec<_> = (1..=3).map(|id| (id, "ok".to_owned(), "[]".to_owned())).collect();
        assert_eq!(said(&read(&made, false)), expected, "records of {size}");
    }
}

#[test]
fn a_connection_that_waits_for_keys_drops_its_oldest_bytes_and_is_not_given_up() {
    let mut made = Made::new(false);
    made.answer(false);
    made.finish(false);
    for id in 1..=40 {
        made.data(CLIENT, &thrift(true, id, 4000), 1 << 14);
        made.data(SERVER, &thrift(false, id, 0), 1 << 14);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let logs = Arc::new(KeyLogs::new(std::slice::from_ref(&file), true));
    let shared = Arc::clone(&logs);
    let packets = packets(&made.frames);
    let last = packets.packets.len() / 50;
    let act = move |batch: usize| {
        if batch == last {
            std::fs::write(&file, lines(false)).unwrap();
            shared.read();
        }
    };
    // One connection may take an eighth of this, 64 KiB, and twice that passes before the keys come.
    let limits = Limits { memory: 512 * 1024, ..Limits::default() };
    let options =
        Options { threads: 1, connections: true, key_logs: Some(logs), limits, ..Options::default() };
    let mut source = Acting { inner: packets, batches: 0, act };
    let (outputs, totals): (_, Totals) = support::outputs(&mut source, &options);
    assert_eq!(totals.shed.heavy, 0, "{totals:?}");
    let dropped = outputs.iter().find_map(|output| match output {
        Output::Connection(connection) => connection.tls.as_ref().map(|tls| tls.dropped),
        Output::Call(_) | Output::Learned(_) => None,
    });
    assert!(dropped.is_some_and(|bytes| bytes > 0), "{dropped:?}");
    let calls: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
    assert_eq!(said(&calls).last(), Some(&(40, "ok".to_owned(), "[]".to_owned())));
}

#[test]
fn a_server_that_refuses_what_the_client_has_sent_last_is_heard_without_the_clients_secret() {
    // OpenSSL, as a server that refuses the client's certificate, logs no secret for the client's application data.
    let all = lines(false);
    let logged: Vec<&str> = all.lines().filter(|line| !line.starts_with("CLIENT_TRAFFIC")).collect();
    let refused = (Some("TLS handshake failed: alert 116 certificate_required"), Some("from the server"));
    let missing = (Some("TLS without a line in the key log"), None);
    let alert: (u8, &[u8]) = (ALERT, &[2, 116]);
    let ticket = message(4, &[0; 16]);
    let answer = thrift(false, 1, 0);
    for (sent, expected) in [
        (vec![alert], refused),
        // The server that has gone on has accepted the certificate: an alert is no failure of the handshake.
        (vec![(HANDSHAKE, &ticket[..]), alert], missing),
        (vec![(DATA, &answer[..]), alert], missing),
    ] {
        for may_grow in [false, true] {
            let mut made = Made::new(false);
            made.answer(false);
            made.finish(false);
            made.data(CLIENT, &thrift(true, 1, 300), 1 << 14);
            for (kind, content) in &sent {
                made.record(SERVER, *kind, content);
            }
            let key_logs = Some(logs(&logged.join("\n"), may_grow));
            let options = Options { threads: 1, connections: true, key_logs, ..Options::default() };
            let (outputs, _) = support::outputs(&mut packets(&made.frames), &options);
            let connections: Vec<_> = outputs
                .iter()
                .filter_map(|output| match output {
                    Output::Connection(connection) => {
                        let alert = connection.tls.as_ref().and_then(|tls| tls.alert).map(Alert::text);
                        let sender = alert.and_then(|text| Some(text.split_once(", ")?.1.to_owned()));
                        Some((connection.reason, sender))
                    }
                    Output::Call(_) | Output::Learned(_) => None,
                })
                .collect();
            let expected = (expected.0, expected.1.map(str::to_owned));
            assert_eq!(connections, [expected], "{sent:?}, may grow: {may_grow}");
        }
    }
}
