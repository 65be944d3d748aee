//! Handshakes of TLS that fail or end early, made from whole ones by cutting, with keys and without.

use std::sync::Arc;

use rpcscope::calls::record::Connection;
use rpcscope::pipeline::{Options, Output};
use rpcscope::tls::KeyLogs;

use super::frame;
use super::frame::{ACK, FIN, Frame, RST};
use super::tls::{packets, path};
use crate::support;

/// Captures of both versions.
const NAMES: [&str; 2] = ["tls13-go-go-chacha20", "tls12-go-go-aes128gcm-ecdsa"];

/// The frames of the first connection.
fn first_connection(name: &str) -> Vec<Frame> {
    let frames = frame::read(&path(name));
    let ends = |frame: &Frame| [frame.source, frame.destination];
    let [client, server] = ends(&frames[0]);
    frames
        .into_iter()
        .filter(|frame| ends(frame).contains(&client) && ends(frame).contains(&server))
        .collect()
}

/// Where the handshake's first message of the client, or of the server, is.
fn hello(frames: &[Frame], kind: u8) -> usize {
    let is_hello = |frame: &Frame| matches!(frame.payload[..], [22, 3, _, _, _, found, ..] if found == kind);
    frames.iter().position(is_hello).expect("a hello")
}

/// What the sender of `frames[at]` sends next.
fn next(frames: &[Frame], at: usize, flags: u8, payload: &[u8]) -> Frame {
    let last = &frames[at];
    let tcp = last.tcp.expect("TCP");
    let seq = tcp.seq + last.payload.len() as u32 + u32::from(tcp.has(frame::SYN));
    Frame {
        time: frames.last().expect("frames").time + 1_000_000,
        tcp: Some(frame::Tcp { seq, flags, ..tcp }),
        payload: payload.to_vec(),
        ..last.clone()
    }
}

/// The last frame of either side.
fn last_of(frames: &[Frame], of_client: bool) -> usize {
    let client = frames[0].source;
    frames.iter().rposition(|frame| (frame.source == client) == of_client).expect("a frame")
}

fn connection(frames: &[Frame], key_logs: Arc<KeyLogs>) -> Connection {
    let options = Options { threads: 1, connections: true, key_logs: Some(key_logs), ..Options::default() };
    let (outputs, _) = support::outputs(&mut packets(frames), &options);
    let connection = outputs.into_iter().find_map(|output| match output {
        Output::Connection(connection) => Some(*connection),
        Output::Call(_) | Output::Learned(_) => None,
    });
    connection.expect("a connection")
}

/// What is said of the connection, with its keys and without.
fn said(name: &str, frames: &[Frame]) -> [(Option<&'static str>, Option<String>); 2] {
    [support::key_logs(&[path(name)]), Arc::new(KeyLogs::default())].map(|key_logs| {
        let connection = connection(frames, key_logs);
        let alert = connection.tls.and_then(|tls| tls.alert).map(rpcscope::tls::Alert::text);
        (connection.reason, alert)
    })
}

#[test]
fn a_handshake_that_ends_early_says_who_ended_it() {
    for name in NAMES {
        let frames = first_connection(name);
        for kind in [1, 2] {
            let begun = &frames[..=hello(&frames, kind)];
            let and = |of_client: bool, flags: u8, payload: &[u8]| {
                let mut frames = begun.to_vec();
                frames.push(next(begun, last_of(begun, of_client), flags, payload));
                frames
            };
            for (of_client, flags, reason) in [
                (false, FIN | ACK, "TLS handshake that the server closed"),
                (false, RST | ACK, "TLS handshake that the server reset"),
                (true, FIN | ACK, "TLS handshake that the client closed"),
                (true, RST | ACK, "TLS handshake that the client reset"),
            ] {
                let found = said(name, &and(of_client, flags, b""));
                assert_eq!(found, [(Some(reason), None), (Some(reason), None)], "{name} after {kind}");
            }
            for (of_client, alert, reason, text) in [
                (
                    false,
                    40,
                    "TLS handshake failed: alert 40 handshake_failure",
                    "40 handshake_failure, from the server",
                ),
                (true, 48, "TLS handshake failed: alert 48 unknown_ca", "48 unknown_ca, from the client"),
            ] {
                let found = said(name, &and(of_client, ACK, &[21, 3, 3, 0, 2, 2, alert]));
                let expected = (Some(reason), Some(text.to_owned()));
                assert_eq!(found, [expected.clone(), expected], "{name} after {kind}");
            }
        }
    }
}

#[test]
fn a_client_that_is_not_answered_is_said() {
    for name in NAMES {
        let frames = first_connection(name);
        let reason = Some("TLS handshake that the server did not answer");
        assert_eq!(said(name, &frames[..=hello(&frames, 1)]), [(reason, None), (reason, None)], "{name}");
    }
}

#[test]
fn nothing_is_said_of_an_end_where_the_rest_may_be_lost() {
    for name in NAMES {
        let mut frames = first_connection(name);
        let end = hello(&frames, 2);
        let lost = frames.remove(end);
        frames.truncate(end);
        let server = last_of(&frames, false);
        let mut fin = next(&frames, server, FIN | ACK, b"");
        fin.tcp.as_mut().expect("TCP").seq += lost.payload.len() as u32;
        frames.push(fin);
        for (reason, _) in said(name, &frames) {
            let reason = reason.expect("a reason");
            assert!(!reason.starts_with("TLS handshake"), "{name}: {reason}");
        }
    }
}

#[test]
fn an_alert_that_is_encrypted_is_told_by_its_length() {
    let name = NAMES[0];
    let frames = first_connection(name);
    let begun = &frames[..=hello(&frames, 2)];
    let client = last_of(begun, true);
    let record =
        |len: u8| [&[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, len][..], &vec![0xa5; usize::from(len)]].concat();
    for (len, reason) in
        [(19, "TLS handshake failed: an encrypted alert of the client"), (53, "TLS without keys")]
    {
        let mut frames = begun.to_vec();
        frames.push(next(begun, client, ACK, &record(len)));
        assert_eq!(connection(&frames, Arc::default()).reason, Some(reason), "{len}");
    }
}

#[test]
fn a_warning_is_no_failure() {
    for name in NAMES {
        let frames = first_connection(name);
        let at = hello(&frames, 2);
        // The server does not know the name, and goes on.
        let warning = [21, 3, 3, 0, 2, 1, 112];
        let mut warned = frames.clone();
        for frame in &mut warned {
            if frame.source == frames[at].source && !frame.tcp.expect("TCP").has(frame::SYN) {
                frame.tcp.as_mut().expect("TCP").seq += warning.len() as u32;
            }
        }
        let greeting = frames[..at].iter().rposition(|frame| frame.source == frames[at].source).expect("SYN");
        warned.insert(at, next(&frames[..at], greeting, ACK, &warning));
        let [keyed, keyless] = said(name, &warned);
        assert_eq!((keyed, keyless), ((None, None), (Some("TLS without keys"), None)), "{name}");
        let calls = |frames: &[Frame]| connection(frames, support::key_logs(&[path(name)])).calls;
        assert_eq!(calls(&warned), calls(&frames), "{name}");
    }
}

#[test]
fn an_end_after_the_handshake_is_none_of_the_handshake() {
    for name in NAMES {
        let frames = first_connection(name);
        let reasons = said(name, &frames).map(|(reason, _)| reason);
        assert_eq!(reasons, [None, Some("TLS without keys")], "{name}");
    }
}
