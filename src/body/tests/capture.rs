//! Bodies of a capture, taken out of it without the stages of the program: the captures have no loss and no reordering.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etherparse::{SlicedPacket, TransportSlice};
use rpcscope_parsers::event::Text;
use rpcscope_parsers::thrift::{Envelope, MessageType, parse_message};
use serde_json::Value as Json;

/// The folder of captures whose bodies are known.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/payload")
}

/// The bytes of both directions, the caller's first.
type Sides = [Vec<u8>; 2];

/// The bytes of each direction of each connection, in the order of their first packets; the caller's direction first.
fn streams(name: &str) -> Vec<Sides> {
    let file = std::fs::read(folder().join(format!("{name}.pcap"))).unwrap();
    let mut connections: Vec<((u16, u16), Sides)> = Vec::new();
    let mut rest = &file[24..];
    while let Some((head, after)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let packet = SlicedPacket::from_ethernet(&after[..length]).unwrap();
        rest = &after[length..];
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { continue };
        let ports = (tcp.source_port(), tcp.destination_port());
        let place = connections.iter().position(|(one, _)| *one == ports || (one.1, one.0) == ports);
        let place = place.unwrap_or_else(|| {
            connections.push((ports, Default::default()));
            connections.len() - 1
        });
        let (first, sides) = &mut connections[place];
        sides[usize::from(*first != ports)].extend(tcp.payload());
    }
    connections.into_iter().map(|(_, sides)| sides).collect()
}

/// A call of thrift: its name and the structs of request and answer.
pub(super) struct ThriftCall {
    pub(super) method: String,
    pub(super) request: Vec<u8>,
    pub(super) answer: Option<Vec<u8>>,
    /// The answer is a `TApplicationException`.
    pub(super) failed: bool,
}

fn messages(mut bytes: &[u8], framed: bool) -> Vec<(String, MessageType, i32, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = if framed {
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            bytes[4..].split_at(length)
        } else {
            // The next one begins after the struct.
            let Envelope { body, .. } = parse_message(bytes).unwrap();
            let format = rpcscope_parsers::thrift::skip::StructFormat::Compact;
            let read = rpcscope_parsers::thrift::value::parse_struct(format, &bytes[body..]);
            let rpcscope_parsers::thrift::value::End::Whole(left) = read.end else { panic!("cut") };
            bytes.split_at(bytes.len() - left)
        };
        let Envelope { body, message_type, seq_id, name, .. } = parse_message(message).unwrap();
        let Text::Plain(name) = name else { panic!("escaped") };
        let name = String::from_utf8(name.to_vec()).unwrap();
        found.push((name, message_type, seq_id, message[body..].to_vec()));
        bytes = rest;
    }
    found
}

/// The calls of a capture of thrift.
pub(super) fn thrift_calls(name: &str, framed: bool) -> Vec<ThriftCall> {
    let mut calls = Vec::new();
    for [requests, answers] in streams(name) {
        let mut answers: Vec<_> = messages(&answers, framed);
        for (method, _, seq_id, request) in messages(&requests, framed) {
            let place = answers.iter().position(|(name, _, id, _)| *name == method && *id == seq_id);
            let answer = place.map(|place| answers.remove(place));
            let failed = matches!(answer, Some((_, MessageType::Exception, ..)));
            calls.push(ThriftCall { method, request, answer: answer.map(|(.., body)| body), failed });
        }
    }
    calls
}

/// The messages of each stream of HTTP/2, those of the caller and of the callee, in the order of the streams; gRPC's five bytes are
/// taken off.
pub(super) fn grpc_messages(name: &str) -> Vec<[Vec<Vec<u8>>; 2]> {
    let mut calls = Vec::new();
    for sides in streams(name) {
        let mut streams: BTreeMap<u32, Sides> = BTreeMap::new();
        for (side, bytes) in sides.iter().enumerate() {
            let mut rest = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(bytes);
            while let Some((head, after)) = rest.split_at_checked(9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
                let (payload, after) = after.split_at(length);
                if stream > 0 {
                    let sides = streams.entry(stream).or_default();
                    if head[3] == 0 {
                        sides[side].extend(payload);
                    }
                }
                rest = after;
            }
        }
        calls.extend(streams.into_values().map(|sides| sides.map(|data| unframed(&data))));
    }
    calls
}

fn unframed(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((head, after)) = data.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let (message, rest) = after.split_at(length);
        messages.push(message.to_vec());
        data = rest;
    }
    messages
}

/// The known bodies of a capture, a call each.
pub(super) fn truth(name: &str) -> Vec<Json> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Whether a value is the known one: a 64-bit number may be text, a float has its nearest 32-bit form, `"*"` is any value, a key
/// `"#5"` is the number of a field, and sets and pairs have any order.
pub(super) fn same(truth: &Json, given: &Json) -> bool {
    match (truth, given) {
        (Json::String(any), _) if any == "*" => true,
        (Json::Object(truth), Json::Object(given)) => {
            truth.len() == given.len()
                && truth.iter().all(|(key, value)| {
                    given.get(key.strip_prefix('#').unwrap_or(key)).is_some_and(|given| same(value, given))
                })
        }
        (Json::Array(truth), Json::Array(given)) => {
            let mut left: Vec<_> = given.iter().collect();
            truth.len() == given.len()
                && truth.iter().all(|value| {
                    let place = left.iter().position(|given| same(value, given));
                    place.map(|place| left.remove(place)).is_some()
                })
        }
        (Json::Number(_) | Json::String(_), Json::Number(_) | Json::String(_)) => {
            let digits = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let (truth, given) = (digits(truth), digits(given));
            truth == given
                || matches!((truth.parse::<f64>(), given.parse::<f64>()), (Ok(truth), Ok(given))
                    if truth.to_bits() == given.to_bits() && truth.abs() < 9e15)
        }
        _ => truth == given,
    }
}
