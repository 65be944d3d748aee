//! Records of TLS in whatever segments they come, lost in part, and keys that come when they come.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use rpcscope::calls::record::Connection;
use rpcscope::flow::Limits;
use rpcscope::pipeline::{Options, Output, Totals};
use rpcscope::source::{Batch, Source, SourceError, files};
use rpcscope::tls::KeyLogs;
use serde_json::Value;

use super::frame::{self, Frame, SYN};
use super::wrap::{self, Wrap};
use super::{Complaints, Memory, Original, essences, loss, preludes, rewrite};
use crate::support;

/// Captures of each form of record and each way in which keys change, small ones.
const SMALL: [&str; 10] = [
    "tls13-trpc-go-openssl",
    "tls13-openssl-key-update",
    "tls13-openssl-early-data",
    "tls13-go-go-hello-retry",
    "tls13-go-go-chacha20",
    "tls12-go-go-aes128gcm-ecdsa",
    "tls12-go-go-chacha20-rsa",
    "tls12-go-go-aes128cbc-sha-rsa",
    "tls12-openssl-cbc-encrypt-then-mac",
    "tls12-openssl-cbc-sha384-mac-then-encrypt",
];

/// Memory of all connections of which the ciphertext that waits may take a sixteenth, 18 KiB: less than three connections have.
const LITTLE_MEMORY: usize = 288 * 1024;

pub(super) fn path(name: &str) -> PathBuf {
    let path = support::captures().join("tls").join(name);
    if path.extension().is_some() { path } else { path.with_extension("pcap") }
}

pub(super) fn packets(frames: &[Frame]) -> Memory {
    Memory { packets: frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect(), at: 0 }
}

/// The calls of frames, with the key log of the capture that they come from.
fn of_frames(name: &str, frames: &[Frame]) -> Vec<Value> {
    let key_logs = Some(support::key_logs(&[path(name)]));
    let options = Options { threads: 1, key_logs, ..Options::default() };
    let (outputs, _) = support::outputs(&mut packets(frames), &options);
    outputs.iter().filter_map(support::call_record).collect()
}

fn original(name: &str) -> Original {
    let frames = frame::read(&path(name));
    let calls = of_frames(name, &frames);
    assert!(!calls.is_empty(), "{name}");
    Original { name: name.to_owned(), frames, calls }
}

#[test]
fn segments_do_not_matter() {
    let mut complaints = Complaints::default();
    for (at, name) in SMALL.into_iter().enumerate() {
        let Original { frames, calls, .. } = original(name);
        let expected = essences(&calls);
        // A head of a record has 5 bytes, an explicit nonce 8, a block 16.
        let sizes = [1, 4, 5, 6, 13, 21, 29, 100];
        for size in sizes.into_iter().skip(at % 3).step_by(3) {
            let found = of_frames(name, &rewrite::split(&frames, size));
            complaints.same(name, &format!("segments of {size}"), &expected, &essences(&found));
        }
        for (what, frames) in [
            ("merged", rewrite::merged(&frames)),
            ("swapped", rewrite::swapped(&frames, at % 2)),
            ("repeated", rewrite::repeated(&frames, 2)),
        ] {
            complaints.same(name, what, &expected, &essences(&of_frames(name, &frames)));
        }
    }
    complaints.none();
}

#[test]
fn lost_packets_claim_nothing_wrong_and_cost_only_what_they_held() {
    let mut complaints = Complaints::default();
    for (at, name) in SMALL.into_iter().enumerate() {
        let original = original(name);
        let frames = &original.frames;
        let mut kept = 0;
        let lost: Vec<usize> = (at % 5..frames.len()).step_by(5).collect();
        for lost in &lost {
            let found = of_frames(name, &loss::without(frames, |n| n == *lost));
            loss::hold(&mut complaints, &original, &format!("without packet {}", lost + 1), &found);
            kept += usize::from(found.len() + 2 >= original.calls.len());
        }
        // Only the hellos of TLS 1.2 take all with them.
        assert!(kept * 3 >= lost.len() * 2, "{name}: {kept} of {}", lost.len());
        for first in (at % 4..frames.len()).step_by(11) {
            let found = of_frames(name, &frames[first..]);
            loss::hold(&mut complaints, &original, &format!("without the first {first}"), &found);
        }
    }
    complaints.none();
}

#[test]
fn a_connection_whose_beginning_was_not_captured_is_read_from_its_hello() {
    for name in SMALL {
        let Original { frames, calls, .. } = original(name);
        let begun: Vec<_> = frames
            .into_iter()
            .filter(|frame| frame.tcp.as_ref().is_none_or(|tcp| tcp.flags & SYN == 0))
            .collect();
        let of = |calls: &[Value]| {
            let of = |call: &Value| ["id", "method", "class", "code"].map(|key| call[key].to_string());
            calls.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(of(&of_frames(name, &begun)), of(&calls), "{name}");
    }
}

#[test]
fn a_loss_around_a_second_handshake_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    let original = original("tls12-openssl-renegotiated");
    let frames = &original.frames;
    let mut whole = 0;
    for lost in 0..frames.len() {
        let found = of_frames(&original.name, &loss::without(frames, |n| n == lost));
        loss::hold(&mut complaints, &original, &format!("without packet {}", lost + 1), &found);
        whole += usize::from(found.len() == original.calls.len());
    }
    assert!(whole > 0, "acknowledgements cost nothing");
    for first in 1..frames.len() {
        let found = of_frames(&original.name, &frames[first..]);
        loss::hold(&mut complaints, &original, &format!("without the first {first}"), &found);
    }
    complaints.none();
}

#[test]
fn tls_behind_a_prelude_is_read() {
    let mut complaints = Complaints::default();
    for name in ["tls13-trpc-go-openssl", "tls12-go-go-aes128gcm-ecdsa"] {
        preludes::try_some(&mut complaints, &original(name), &|frames| of_frames(name, frames));
    }
    complaints.none();
}

/// Packets among which other things happen: `act` is called before each batch, with its number.
pub(super) struct Acting<F> {
    pub(super) inner: Memory,
    pub(super) batches: usize,
    pub(super) act: F,
}

impl<F: FnMut(usize) + Send> Source for Acting<F> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        (self.act)(self.batches);
        self.batches += 1;
        self.inner.next_batch(batch)
    }
}

#[test]
fn keys_may_come_later_than_the_packets_in_any_pieces() {
    let mut complaints = Complaints::default();
    for name in [
        "tls13-go-go-resumed",
        "tls12-go-go-resumed",
        "tls12-openssl-session-id-resumed",
        // The first connection's secret, which comes before the other's, is not that of the session that was offered and refused.
        "tls12-openssl-ticket-refused",
    ] {
        let Original { frames, calls, .. } = original(name);
        let text = std::fs::read(path(name).with_extension("keys")).unwrap();
        for pieces in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("keys");
            let logs = Arc::new(KeyLogs::new(std::slice::from_ref(&file), true));
            let (shared, text) = (Arc::clone(&logs), text.clone());
            // From the second of three batches on, a piece before each.
            let act = move |batch: usize| {
                if (1..=pieces).contains(&batch) {
                    let part = text.len().div_ceil(pieces);
                    let mut out = OpenOptions::new().create(true).append(true).open(&file).unwrap();
                    out.write_all(text.chunks(part).nth(batch - 1).unwrap_or_default()).unwrap();
                    shared.read();
                }
            };
            let mut source = Acting { inner: packets(&frames), batches: 0, act };
            let options = Options { threads: 1, key_logs: Some(logs), ..Options::default() };
            let (outputs, _) = support::outputs(&mut source, &options);
            let found: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
            complaints.same(name, &format!("{pieces} pieces"), &essences(&calls), &essences(&found));
        }
    }
    complaints.none();
}

#[test]
fn large_records_of_any_cipher_are_found_in_the_middle() {
    for name in ["tls13-go-go-chacha20", "tls13-openssl-aes256gcm"] {
        let Original { frames, calls, .. } = original(name);
        let (at, large) = frames
            .iter()
            .enumerate()
            .find(|(_, frame)| frame.payload.len() > 2000 && frame.payload.starts_with(&[23, 3, 3]))
            .expect("a large record");
        // Smaller records of that side would follow.
        let found = of_frames(name, std::slice::from_ref(large));
        let ids = |calls: &[Value]| calls.iter().map(|call| call["id"].as_i64()).collect::<Vec<_>>();
        assert!(!found.is_empty(), "{name}: {} bytes in frame {at}", large.payload.len());
        assert!(ids(&found).iter().all(|id| ids(&calls).contains(id)), "{name}: {found:?}");
    }
}

/// The key log has the secrets of the beginning alone, and both directions update theirs on their own.
#[test]
fn a_connection_is_found_in_the_middle_after_its_keys_were_updated() {
    let mut complaints = Complaints::default();
    let name = "tls13-openssl-key-update";
    let original = original(name);
    let frames = &original.frames;
    let mut last = usize::MAX;
    for first in 0..frames.len() {
        let found = of_frames(name, &frames[first..]);
        loss::hold(&mut complaints, &original, &format!("without the first {first}"), &found);
        // A request that was captured whole, in its first record, with its answer.
        let time = frames[first].time;
        let whole = original
            .calls
            .iter()
            .filter(|call| call["start_ns"].as_i64().is_some_and(|at| at >= time))
            .count();
        assert!(found.len() >= whole, "without the first {first}: {} of {whole}", found.len());
        last = last.min(whole);
    }
    assert_eq!(last, 0);
    complaints.none();
}

#[test]
fn what_was_dropped_before_the_keys_came_is_said_and_the_rest_is_read() {
    let name = "tls13-go-go-resumed";
    let Original { frames, calls, .. } = original(name);
    let text = std::fs::read(path(name).with_extension("keys")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let logs = Arc::new(KeyLogs::new(std::slice::from_ref(&file), true));
    let shared = Arc::clone(&logs);
    let act = move |batch: usize| {
        if batch == 3 {
            std::fs::write(&file, &text).unwrap();
            shared.read();
        }
    };
    let mut source = Acting { inner: packets(&frames), batches: 0, act };
    let limits = Limits { memory: LITTLE_MEMORY, ..Limits::default() };
    let options =
        Options { threads: 1, connections: true, key_logs: Some(logs), limits, ..Options::default() };
    let (outputs, _) = support::outputs(&mut source, &options);
    let found: Vec<Value> = outputs.iter().filter_map(support::call_record).collect();
    assert!(!found.is_empty() && found.len() < calls.len(), "{} of {}", found.len(), calls.len());
    let connections = outputs.iter().filter_map(|output| match output {
        Output::Connection(connection) => Some(connection),
        Output::Call(_) | Output::Learned(_) => None,
    });
    let mut partly = 0;
    for connection in connections {
        let tls = connection.tls.as_ref().expect("TLS");
        let is_said = connection.reason == Some("TLS whose keys came too late")
            && tls.pairs().iter().any(|(name, _)| name == "dropped");
        assert_eq!(is_said, tls.dropped > 0, "{connection:?}");
        partly += usize::from(is_said && connection.calls > 0);
    }
    assert!(partly > 0, "what comes after what was dropped is read");
}

fn connections(name: &str, key_logs: Arc<KeyLogs>) -> (Vec<Connection>, Totals) {
    let mut source = files::open(&[path(name)], files::Options::default());
    let options = Options { threads: 1, connections: true, key_logs: Some(key_logs), ..Options::default() };
    let (outputs, totals) = support::outputs(&mut source, &options);
    let connections = outputs.into_iter().filter_map(|output| match output {
        Output::Connection(connection) => Some(*connection),
        Output::Call(_) | Output::Learned(_) => None,
    });
    (connections.collect(), totals)
}

#[test]
fn every_connection_says_why_it_is_not_read() {
    type Logs<'a> = &'a dyn Fn(&str) -> Arc<KeyLogs>;
    let own = |name: &str| support::key_logs(&[path(name)]);
    let none = |_: &str| Arc::new(KeyLogs::default());
    let cases: [(&str, Logs<'_>, &[&str]); 9] = [
        ("tls13-go-go-chacha20", &none, &["TLS without keys"]),
        ("tls12-go-go-aes128gcm-ecdsa", &none, &["TLS without keys"]),
        ("tls11-openssl-cbc", &own, &["TLS 1.1, which is not read"]),
        ("tls11-openssl-cbc", &none, &["TLS 1.1, which is not read"]),
        ("edit-keylog-of-another-run", &own, &["TLS without a line in the key log"]),
        ("edit-mid-unreadable-tls12-go-go-gcm", &own, &["TLS whose handshake was not captured"]),
        ("edit-keylog-lacks-connections", &own, &["TLS without a line in the key log"]),
        ("tls13-openssl-key-update", &own, &[]),
        ("noise-https1-pages", &own, &["HTTP/1.1 without RPC"]),
    ];
    for (name, logs, expected) in cases {
        let (connections, _) = connections(name, logs(name));
        let mut reasons: Vec<&str> = connections.iter().filter_map(|connection| connection.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons, expected, "{name}");
        for connection in connections.iter().filter(|connection| connection.bytes != [0, 0]) {
            let tls = connection.tls.as_ref().unwrap_or_else(|| panic!("{name}: {connection:?}"));
            assert_eq!(tls.version.is_some(), !name.contains("mid"), "{name}: {tls:?}");
        }
    }
}

#[test]
fn secrets_of_one_side_alone_make_no_calls() {
    let name = "tls13-go-go-chacha20";
    let text = std::fs::read_to_string(path(name).with_extension("keys")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(label)).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        let logs = KeyLogs::new(std::slice::from_ref(&file), false);
        logs.read();
        let (all, _) = connections(name, Arc::new(logs));
        assert_eq!((all[0].calls, all[0].reason), (0, Some("TLS without a line in the key log")), "{label}");
    }
}

#[test]
fn what_comes_before_a_second_handshake_without_a_line_is_read() {
    let name = "tls12-openssl-renegotiated";
    let text = std::fs::read_to_string(path(name).with_extension("keys")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    // A comment, and a line for each of three handshakes, with two calls behind each.
    for handshakes in 1..=3 {
        let lines: Vec<&str> = text.lines().take(1 + handshakes).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        let logs = KeyLogs::new(std::slice::from_ref(&file), false);
        logs.read();
        let (all, _) = connections(name, Arc::new(logs));
        let reason = (handshakes < 3).then_some("TLS whose second handshake has no line in the key log");
        assert_eq!((all[0].reason, all[0].calls, all[0].failed), (reason, 2 * handshakes as u64, 0));
    }
}

#[test]
fn what_the_handshake_shows_is_there_without_keys() {
    let (all, _) = connections("tls12-go-go-aes128gcm-ecdsa", Arc::new(KeyLogs::default()));
    let pairs = all[0].tls.as_ref().unwrap().pairs();
    let expected = [
        ("version", "TLS 1.2"),
        ("suite", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("server_name", "localhost"),
        ("alpn", "h2"),
        ("certificate", "localhost, 127.0.0.1"),
        ("reason", "TLS without keys"),
    ];
    assert_eq!(pairs, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[test]
fn a_line_that_does_not_fit_is_said_with_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    for (name, record) in [("tls13-go-go-chacha20", 0), ("tls12-go-go-aes128gcm-ecdsa", 0)] {
        let right = std::fs::read_to_string(path(name).with_extension("keys")).unwrap();
        // Another secret for the same connection.
        let mut wrong = String::new();
        for line in right.lines() {
            let (start, secret) = line.rsplit_once(' ').unwrap();
            wrong.extend([start, " "]);
            wrong.extend(secret.chars().rev());
            wrong.push('\n');
        }
        std::fs::write(&file, wrong).unwrap();
        let logs = KeyLogs::new(std::slice::from_ref(&file), false);
        logs.read();
        let (all, _) = connections(name, Arc::new(logs));
        let tls = all[0].tls.as_ref().unwrap();
        let expected = format!("TLS that the line in the key log does not open (record {record})");
        assert_eq!(tls.reason_text(), Some(expected), "{name}: {tls:?}");
        assert_eq!(all[0].calls, 0);
    }
}
