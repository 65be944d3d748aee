//! JSON lines: one object a call. Written by hand into one reused buffer because this is the output of mass processing: 63 ns
//! a packet of a busy capture against 254 ns with serde and owned strings for addresses and times.
//!
//! Keys without a value are left out, but for `class` (null where the answer was lost) and `findings` (an empty list),
//! which scripts look at without asking whether they are there. Characters that could harm a terminal are written as
//! `\u` escapes, so that a line is safe to look at.

use std::io::{self, Write as _};
use std::net::IpAddr;

use super::{RecordWriter, Sink};
use crate::calls::record::{Call, Connection, Initiator, Name, Uid};
use crate::calls::reported::reported_as;
use crate::decode::Endpoint;
use crate::text::is_unsafe;

/// The sink for `--format jsonl`.
#[derive(Debug)]
pub struct JsonLines {
    out: RecordWriter,
}

impl JsonLines {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        Self { out }
    }
}

impl Sink for JsonLines {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        write_call(&mut self.out.buffer, call);
        self.out.buffer.push(b'\n');
        self.out.end_record()
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        write_connection(&mut self.out.buffer, connection);
        self.out.buffer.push(b'\n');
        self.out.end_record()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Appends the call as one JSON object.
pub fn write_call(out: &mut Vec<u8>, call: &Call) {
    out.push(b'{');
    write_call_fields(out, call);
    out.push(b'}');
}

/// Appends the keys and values of the call without the braces around them, so that a caller can add its own.
pub fn write_call_fields(out: &mut Vec<u8>, call: &Call) {
    out.extend_from_slice(b"\"type\":\"call\",\"uid\":\"");
    uid(out, call.uid);
    out.extend_from_slice(b"\",\"start\":\"");
    out.extend_from_slice(&call.start.rfc3339());
    out.push(b'"');
    opt_number(out, b",\"latency_ns\":", call.latency);
    opt_number(out, b",\"duration_ns\":", call.duration);
    if let Some(callee_view) = call.callee_view.as_deref() {
        opt_number(out, b",\"network_ns\":", call.network_time());
        out.extend_from_slice(b",\"arrival\":\"");
        out.extend_from_slice(&callee_view.start.rfc3339());
        out.push(b'"');
        opt_number(out, b",\"work_ns\":", callee_view.latency);
        opt_number(out, b",\"seen\":", Some(callee_view.seen.into()));
    }
    out.extend_from_slice(b",\"client\":\"");
    endpoint(out, call.client);
    out.extend_from_slice(b"\",\"server\":\"");
    endpoint(out, call.server);
    out.push(b'"');
    word(out, b",\"transport\":\"", call.transport.name());
    word(out, b",\"network\":\"", call.network.name());
    word(out, b",\"rpc\":\"", call.rpc.name());
    opt_word(out, b",\"codec\":\"", call.codec);
    opt_name(out, b",\"service\":", call.service.as_ref());
    opt_name(out, b",\"method\":", call.method.as_ref());
    if let Some(group) = call.unknown_name {
        out.extend_from_slice(b",\"unknown_name\":\"unknown#");
        number(out, group);
        out.push(b'"');
    }
    opt_name(out, b",\"caller\":", call.caller.as_ref());
    opt_name(out, b",\"callee\":", call.callee.as_ref());
    opt_signed(out, b",\"id\":", call.id);
    word(out, b",\"kind\":\"", call.kind.name());
    verdict(out, call);
    opt_signed(out, b",\"ret\":", call.outcome.ret.map(i64::from));
    opt_signed(out, b",\"func_ret\":", call.outcome.func_ret.map(i64::from));
    if let Some(text) = reported_as(call) {
        out.extend_from_slice(b",\"reported_as\":");
        string(out, &text);
    }
    if !call.outcome.biz_extra.is_empty() {
        out.extend_from_slice(b",\"biz_extra\":");
        object(out, &call.outcome.biz_extra);
    }
    if !call.outcome.details.is_empty() {
        out.extend_from_slice(b",\"details\":[");
        list(out, &call.outcome.details, |out, (kind, text)| {
            out.extend_from_slice(b"{\"type\":");
            string(out, kind);
            out.extend_from_slice(b",\"text\":");
            string(out, text);
            out.push(b'}');
        });
        out.push(b']');
    }
    opt_number(out, b",\"request_bytes\":", Some(call.request_bytes));
    opt_number(out, b",\"response_bytes\":", Some(call.response_bytes));
    opt_number(out, b",\"request_messages\":", Some(call.request_messages.into()));
    opt_number(out, b",\"response_messages\":", Some(call.response_messages.into()));
    opt_number(out, b",\"timeout_ns\":", call.timeout);
    opt_name(out, b",\"trace_id\":", call.trace_id.as_ref());
    opt_name(out, b",\"span_id\":", call.span_id.as_ref());
    opt_signed(out, b",\"field_id\":", call.outcome.field_id.map(i64::from));
    opt_name(out, b",\"canceled_by\":", call.outcome.canceled_by());
    if !call.outcome.cancel_path.is_empty() {
        out.extend_from_slice(b",\"cancel_path\":[");
        list(out, &call.outcome.cancel_path, |out, name| string(out, name));
        out.push(b']');
    }
    if let Some(parent) = call.parent {
        out.extend_from_slice(b",\"parent\":\"");
        uid(out, parent);
        out.push(b'"');
    }
    opt_word(out, b",\"parent_evidence\":\"", call.parent_evidence);
    out.extend_from_slice(b",\"findings\":[");
    for (i, finding) in call.findings.iter().enumerate() {
        word(out, if i == 0 { b"\"" } else { b",\"" }, finding.name());
    }
    out.push(b']');
    processes(out, call);
    metadata(out, call);
    out.extend_from_slice(b",\"packets\":[");
    number(out, call.packets.0);
    out.push(b',');
    number(out, call.packets.1);
    out.push(b']');
}

fn verdict(out: &mut Vec<u8>, call: &Call) {
    let outcome = &call.outcome;
    match outcome.class {
        Some(class) => word(out, b",\"class\":\"", class.name()),
        None => out.extend_from_slice(b",\"class\":null"),
    }
    word(out, b",\"carrier\":\"", outcome.carrier.name());
    opt_signed(out, b",\"code\":", outcome.code);
    opt_word(out, b",\"code_name\":\"", outcome.code_name);
    if let Some(message) = &outcome.message {
        out.extend_from_slice(b",\"message\":");
        string(out, message);
    }
    opt_word(out, b",\"initiator\":\"", outcome.initiator.map(Initiator::name));
}

fn processes(out: &mut Vec<u8>, call: &Call) {
    if call.process.iter().all(Option::is_none) {
        return;
    }
    out.extend_from_slice(b",\"process\":{");
    let mut first = true;
    for (end, process) in ["client", "server"].into_iter().zip(&call.process) {
        let Some(process) = process else { continue };
        if !first {
            out.push(b',');
        }
        first = false;
        word(out, b"\"", end);
        out.extend_from_slice(b":{\"pid\":");
        number(out, process.pid.into());
        out.extend_from_slice(b",\"name\":");
        string(out, &process.name);
        out.push(b'}');
    }
    out.push(b'}');
}

/// `{"request":{"key":["value",…],…},"response":{…}}`: headers may repeat, so every name has a list.
fn metadata(out: &mut Vec<u8>, call: &Call) {
    if call.metadata.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"metadata\":");
    for (response, open) in [(false, b"{\"request\":{".as_slice()), (true, b",\"response\":{".as_slice())] {
        out.extend_from_slice(open);
        let mut first = true;
        for (at, (_, key, _)) in call.metadata.iter().enumerate().filter(|(_, header)| header.0 == response) {
            let same = |header: &&(bool, String, String)| header.0 == response && header.1 == *key;
            if call.metadata.iter().take(at).any(|header| same(&header)) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            string(out, key);
            out.extend_from_slice(b":[");
            list(out, call.metadata.iter().filter(same), |out, (_, _, value)| string(out, value));
            out.push(b']');
        }
        out.push(b'}');
    }
    out.push(b'}');
}

/// Appends the connection as one JSON object.
pub fn write_connection(out: &mut Vec<u8>, connection: &Connection) {
    out.extend_from_slice(b"{\"type\":\"connection\",\"start\":\"");
    out.extend_from_slice(&connection.start.rfc3339());
    out.extend_from_slice(b"\",\"end\":\"");
    out.extend_from_slice(&connection.end.rfc3339());
    out.extend_from_slice(b"\",\"client\":\"");
    endpoint(out, connection.client);
    out.extend_from_slice(b"\",\"server\":\"");
    endpoint(out, connection.server);
    out.push(b'"');
    word(out, b",\"network\":\"", connection.network.name());
    opt_word(out, b",\"protocol\":\"", connection.protocol);
    opt_word(out, b",\"reason\":\"", connection.reason);
    word(out, b",\"state\":\"", connection.state.name());
    let [sent, answered] = connection.bytes;
    for (key, value) in [
        (b",\"calls\":".as_slice(), connection.calls),
        (b",\"failed\":", connection.failed),
        (b",\"segments\":", connection.packets),
        (b",\"request_bytes\":", sent),
        (b",\"response_bytes\":", answered),
        (b",\"retransmissions\":", connection.retransmissions),
        (b",\"gaps\":", connection.gaps),
    ] {
        opt_number(out, key, Some(value));
    }
    out.extend_from_slice(b",\"packets\":[");
    number(out, connection.first_packet);
    out.push(b',');
    number(out, connection.last_packet);
    out.extend_from_slice(b"]}");
}

/// Octets that a JSON text holds as they are.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = 0x20;
    while octet < 0x7f {
        plain[octet] = !matches!(octet as u8, b'"' | b'\\');
        octet += 1;
    }
    plain
};

/// Appends `"text"` with everything escaped that JSON forbids or a terminal could take as a command.
pub fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    fn unicode(out: &mut Vec<u8>, unit: u16) {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            out.push(HEX[usize::from(unit >> shift & 15)]);
        }
    }
    out.push(b'"');
    let bytes = text.as_bytes();
    // Everything before `done` is written; runs of plain characters are copied at once.
    let (mut done, mut at) = (0, 0);
    while at < bytes.len() {
        at += bytes[at..].iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(bytes.len() - at);
        let Some(c) = text[at..].chars().next() else { break };
        let next = at + c.len_utf8();
        if c == '"' || c == '\\' || is_unsafe(c) {
            out.extend_from_slice(&bytes[done..at]);
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| unicode(out, *unit)),
            }
            done = next;
        }
        at = next;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Appends an object of texts. Of names that repeat the last one stays, as every JSON reader would have it.
pub fn object(out: &mut Vec<u8>, pairs: &[(String, String)]) {
    out.push(b'{');
    let last = |at: usize| !pairs.iter().skip(at + 1).any(|later| later.0 == pairs[at].0);
    list(out, (0..pairs.len()).filter(|at| last(*at)), |out, at| {
        string(out, &pairs[at].0);
        out.push(b':');
        string(out, &pairs[at].1);
    });
    out.push(b'}');
}

/// Appends items with commas between them.
pub fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(out, item);
    }
}

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a call id as [`Uid`] writes it, without quotes.
fn uid(out: &mut Vec<u8>, uid: Uid) {
    number(out, uid.packet);
    if uid.ordinal > 0 {
        out.push(b'.');
        number(out, uid.ordinal.into());
    }
}

/// Appends `address:port` without quotes.
pub fn endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    if let IpAddr::V4(ip) = endpoint.ip {
        for (i, octet) in ip.octets().into_iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            number(out, octet.into());
        }
        out.push(b':');
        number(out, endpoint.port.into());
    } else {
        _ = write!(out, "{endpoint}");
    }
}

// The helpers below take the key with everything up to its value, so that each is one copy.

fn opt_number(out: &mut Vec<u8>, key: &[u8], value: Option<u64>) {
    if let Some(value) = value {
        out.extend_from_slice(key);
        number(out, value);
    }
}

fn opt_signed(out: &mut Vec<u8>, key: &[u8], value: Option<i64>) {
    if let Some(value) = value {
        out.extend_from_slice(key);
        if value < 0 {
            out.push(b'-');
        }
        number(out, value.unsigned_abs());
    }
}

/// A word of our own, which needs no escapes; `key` ends with the opening quote.
fn word(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn opt_word(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        word(out, key, value);
    }
}

fn opt_name(out: &mut Vec<u8>, key: &[u8], value: Option<&Name>) {
    if let Some(value) = value {
        out.extend_from_slice(key);
        string(out, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::calls::keys::{KEYS, Type, Value};
    use crate::calls::sample::{bare, full};

    fn parsed(call: &Call) -> Json {
        let mut out = Vec::new();
        write_call(&mut out, call);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_key_of_the_record_is_written_with_its_value() {
        let call = full();
        let json = parsed(&call);
        for key in KEYS {
            let value = (key.get)(&call);
            assert!(!value.is_null(), "the sample has no {}", key.name);
            let written = &json[key.name];
            match (&value, key.kind) {
                (Value::Findings(_) | Value::List(_), _) => {
                    let items: Vec<_> =
                        written.as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
                    assert_eq!(items.join(","), value.to_string());
                }
                (_, Type::Number | Type::Bytes | Type::Duration) => {
                    assert_eq!(written.to_string(), value.to_string(), "{}", key.name);
                }
                (Value::Map(_) | Value::Metadata(_) | Value::Processes(_) | Value::Packets(..), _) => {}
                _ => assert_eq!(written.as_str(), Some(value.to_string().as_str()), "{}", key.name),
            }
        }
        assert_eq!(json["type"], "call");
        assert_eq!(json["biz_extra"], json!({"reason": "sold \"out\"", "cell": "7"}));
        assert_eq!(json["details"], json!([{"type": "ErrorInfo", "text": "reason=QUOTA"}]));
        assert_eq!(json["packets"], json!([71, 78]));
        assert_eq!(json["process"], json!({"server": {"pid": 4711, "name": "stock"}}));
        assert_eq!(
            json["metadata"],
            json!({"request": {"x-user": ["7", "8"], "isn": ["Order"]}, "response": {"x-user": ["9"]}})
        );
        // Nothing is written that the table does not know.
        for name in json.as_object().unwrap().keys() {
            assert!(name == "type" || KEYS.iter().any(|k| k.name == name), "{name}");
        }
    }

    #[test]
    fn keys_without_a_value_are_left_out_but_for_class_and_findings() {
        let call = bare();
        let json = parsed(&call);
        assert_eq!(json["class"], Json::Null);
        assert!(json.as_object().unwrap().contains_key("class"));
        assert_eq!(json["findings"], json!([]));
        for key in KEYS.iter().filter(|k| !matches!(k.name, "class" | "findings")) {
            let there = json.as_object().unwrap().contains_key(key.name);
            assert_eq!(there, !(key.get)(&call).is_null(), "{}", key.name);
        }
    }

    #[test]
    fn addresses_are_as_the_standard_library_writes_them() {
        for text in ["10.77.0.12:8888", "0.0.0.0:0", "[::1]:80", "[fe80::1]:65535", "[::ffff:1.2.3.4]:9"] {
            let address: std::net::SocketAddr = text.parse().unwrap();
            let mut out = Vec::new();
            endpoint(&mut out, Endpoint { ip: address.ip(), port: address.port() });
            assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,20}|[\\x00-\\u{2070}\"\\\\]{0,20}|.{0,20}") {
            let mut out = Vec::new();
            string(&mut out, &text);
            let written = String::from_utf8(out).unwrap();
            prop_assert!(!written.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn any_number_comes_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            number(&mut out, value);
            opt_signed(&mut out, b",", Some(signed));
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value},{signed}"));
        }

        #[test]
        fn maps_with_repeated_names_are_valid(names in prop::collection::vec("[ab\"]", 0..6)) {
            let pairs: Vec<_> = names.iter().enumerate().map(|(i, n)| (n.clone(), i.to_string())).collect();
            let mut out = Vec::new();
            object(&mut out, &pairs);
            let expected: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
            let read: std::collections::BTreeMap<String, String> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, expected);
        }
    }
}
