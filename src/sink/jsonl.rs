//! JSON lines: one object per call, with the keys of [`crate::calls::keys`]. Serde with owned strings for addresses and times
//! took four times as long (254 against 63 ns per packet of a busy capture).
//!
//! Keys without a value are left out, except `class` (null if the answer was lost) and `findings` (an empty list), so that
//! scripts can read these two without a test. Characters that could harm a terminal are written as `\u` escapes: a line
//! is safe to print.

use std::io;

mod values;

use self::values::{goaway, metadata, processes, reported, uid};
use super::connections::Remembered;
use super::json::{DIGITS, Dates, Memory, Room, SMALL, Scratch};
use super::methods::Methods;
use super::{RecordWriter, Sink, json};
use crate::body::Value as Object;
use crate::calls::keys::{self, Member, Value, Visit, member};
use crate::calls::record::{Call, Connection, Renewal, RivalParent, Uid};
use crate::calls::reported::reported_as;
use crate::digits;
use crate::pipeline::{Tally, Totals};

/// The sink for `--format jsonl`.
#[derive(Debug)]
pub struct JsonLines {
    out: RecordWriter,
    memory: Memory,
    totals: bool,
}

impl JsonLines {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        Self { out, memory: Memory::lasting(), totals: false }
    }

    /// Writes another object than a call or connection.
    pub fn object(&mut self, object: &Object) -> io::Result<()> {
        object.write_json(self.out.buffer());
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }

    /// Writes a call with a key more: the words that say why it is named.
    pub fn call_named_for(&mut self, call: &Call, why: &[String]) -> io::Result<()> {
        let Self { out, memory, .. } = self;
        let words = || why.iter().map(String::as_str);
        out.record(|room| {
            let room = call_fields(room.text("{"), memory, call).text(",\"why\":");
            room.array(words(), Room::string).text("}\n")
        })
    }

    /// Begins a record as one that a panic interrupts.
    #[cfg(test)]
    pub(super) fn begin_record(&mut self, part: &[u8]) {
        self.out.buffer().extend_from_slice(part);
    }

    /// Whether to end with a record of the totals.
    #[must_use]
    pub fn totals(self, totals: bool) -> Self {
        Self { totals, ..self }
    }
}

impl Sink for JsonLines {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        let Self { out, memory, .. } = self;
        out.record(|room| call_fields(room.text("{"), memory, call).text("}\n"))
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        let Self { out, memory, .. } = self;
        out.record(|room| connection_object(room, memory, connection).text("\n"))
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        if !self.totals {
            return Ok(());
        }
        write_totals(self.out.buffer(), totals);
        self.out.end_record()
    }

    fn recover(&mut self) -> Option<usize> {
        self.out.recover();
        // Whatever was being remembered may be remembered by halves.
        self.memory = Memory::lasting();
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Appends the record of `--totals`, with its line end.
pub fn write_totals(out: &mut Vec<u8>, totals: &Totals) {
    let mut memory = Memory::default();
    json::append(out, |room| totals_object(room, &mut memory, totals).text("\n"));
}

/// Appends the call as one JSON object.
pub fn write_call(out: &mut Vec<u8>, call: &Call) {
    let mut memory = Memory::default();
    json::append(out, |room| call_fields(room.text("{"), &mut memory, call).text("}"));
}

/// Writes the keys of many calls for a caller that adds its own: what it remembers spares most of the work on addresses and
/// times.
#[derive(Debug)]
pub struct CallFields {
    scratch: Scratch,
    memory: Memory,
}

impl Default for CallFields {
    fn default() -> Self {
        Self { scratch: Scratch::default(), memory: Memory::lasting() }
    }
}

impl CallFields {
    /// Appends the keys and values of the call without the braces around them.
    pub fn write(&mut self, out: &mut Vec<u8>, call: &Call) {
        let Self { scratch, memory } = self;
        out.extend_from_slice(scratch.write(|room| call_fields(room, memory, call)));
    }
}

/// Keys and values of the call.
// Not inlined: the compiler would load every field of the call before the loop that tries again (300 instructions).
#[inline(never)]
fn call_fields<'b>(room: Room<'b>, memory: &mut Memory, call: &Call) -> Room<'b> {
    let Memory { dates, connections, methods } = memory;
    let connection = connections.of(call);
    let room = room.text("\"type\":\"call\"");
    let mut members = Members { connection, methods: Some(methods), ..Members::new(room, dates) };
    keys::visit(call, &mut members);
    members.room
}

/// Writes each key of a record as a member of an object.
struct Members<'b, 'd> {
    room: Room<'b>,
    dates: &'d mut Dates,
    /// That of a call, if it is remembered.
    connection: Option<&'d mut Remembered>,
    /// For calls that may share what is written of their methods.
    methods: Option<&'d mut Methods>,
    /// The digits of the packet in which a call was first seen, if they are at most eight: most records have them twice.
    packet: (u64, usize),
    /// Whether the text of the error needs no escapes: most records that have it have it twice, too.
    is_plain: bool,
}

impl<'b, 'd> Members<'b, 'd> {
    /// Without anything that calls share.
    fn new(room: Room<'b>, dates: &'d mut Dates) -> Self {
        Self { room, dates, connection: None, methods: None, packet: (0, 0), is_plain: false }
    }
}

/// Writes the keys that calls of a connection share, and remembers them where they can be. Apart, and without a reference to [`Members`], so
/// that these stay in registers.
#[cold]
fn share<'b>(
    room: Room<'b>,
    dates: &mut Dates,
    connection: Option<&mut Remembered>,
    call: &Call,
) -> Room<'b> {
    let Some(connection) = connection.filter(|_| call.via.is_none()) else {
        return shared_keys(room, dates, call);
    };
    connection.share(call, |room| shared_keys(room, dates, call));
    match connection.shared(call) {
        Some((text, len)) => room.start_of(text, len),
        None => shared_keys(room, dates, call),
    }
}

fn shared_keys<'b>(room: Room<'b>, dates: &mut Dates, call: &Call) -> Room<'b> {
    let mut members = Members::new(room, dates);
    keys::visit_shared(call, &mut members);
    members.room
}

/// Writes the keys that calls of a method share, and remembers them where they can be. Apart, as [`share`] is.
#[cold]
fn name<'b>(room: Room<'b>, dates: &mut Dates, methods: Option<&mut Methods>, call: &Call) -> Room<'b> {
    if let Some(methods) = methods {
        methods.share(call, |room| name_keys(room, dates, call));
        if let Some(text) = methods.shared(call) {
            return room.bytes(text);
        }
    }
    name_keys(room, dates, call)
}

fn name_keys<'b>(room: Room<'b>, dates: &mut Dates, call: &Call) -> Room<'b> {
    let mut members = Members::new(room, dates);
    keys::visit_names(call, &mut members);
    members.room
}

impl Visit for Members<'_, '_> {
    #[expect(clippy::inline_always, reason = "the kind of value is known only in the caller")]
    #[inline(always)]
    fn key(&mut self, member: Member, value: Value<'_>, absent: Option<&'static str>) {
        // Most keys of most calls: nothing is moved for them.
        if matches!(value, Value::Null) && absent.is_none() {
            return;
        }
        let room = std::mem::take(&mut self.room);
        let (plain, quoted) = (member.start, member.start_quoted);
        self.room = match value {
            Value::Null => match absent {
                Some(absent) => room.with_at_least(plain.len() + absent.len()).text(plain).text(absent),
                None => room,
            },
            // What needs no escapes.
            Value::Word(word) => room.text(quoted).word(word).text("\""),
            Value::Time(time) => {
                let room = room.with_at_least(quoted.len() + Dates::LEN + 1).text(quoted);
                self.dates.write(room, time).text("\"")
            }
            Value::Choice(choice) => room.start_of(&choice.member, choice.octets()),
            Value::Address(address) => room.text(quoted).address(address).text("\""),
            Value::Uid(id) => uid(room.text(quoted), id).text("\""),
            Value::JoinKey(key) => room.text(quoted).hexadecimal(key.number()).text("\""),
            Value::ConnectionKey(call) => {
                let room = room.with_at_least(quoted.len() + DIGITS + 1).text(quoted);
                let room = match &self.connection {
                    Some(connection) => room.digits(connection.key()),
                    None => room.hexadecimal(call.connection_key().number()),
                };
                room.text("\"")
            }
            Value::CallKey(call, place) => {
                let key = match &mut self.connection {
                    Some(connection) => connection.hashed().call_key(place),
                    None => call.hashed().call_key(place),
                };
                let room = room.with_at_least(quoted.len() + DIGITS + 1).text(quoted);
                room.hexadecimal(key.number()).text("\"")
            }
            Value::UnknownName(group) => room.text(quoted).text("unknown#").number(group).text("\""),
            Value::Text(text) => room.text(quoted).within_string(text).text("\""),
            Value::Reported(text) => reported(room.text(quoted), &text, None).text("\""),
            Value::Number(n) => match u64::try_from(n) {
                Ok(n) => room.number_of(plain, n),
                Err(_) => room.text(plain).signed(n),
            },
            Value::Share(share) => room.text(plain).share(share),
            Value::Bytes(n) | Value::Duration(n) => room.number_of(plain, n),
            Value::Findings(findings, []) => room
                .text(plain)
                .array(findings.iter(), |room, finding| room.text("\"").text(finding.name()).text("\"")),
            Value::Findings(findings, newer) => {
                room.text(plain).array(keys::finding_words(findings, newer), Room::string)
            }
            Value::List(names) => room.text(plain).array(names, |room, name| room.string(name)),
            Value::Map(pairs) => room.text(plain).object(pairs),
            Value::Pairs(pairs) => room.text(plain).array(pairs, |room, (kind, text)| {
                room.text("{\"type\":").string(kind).text(",\"text\":").string(text).text("}")
            }),
            Value::Rivals(rivals) => {
                room.text(plain).array(rivals, |room, RivalParent { parent, confidence }| {
                    let room = room.text("{\"parent\":\"").hexadecimal(parent.number());
                    room.text("\",\"confidence\":").share(*confidence).text("}")
                })
            }
            Value::GoAway(note) => goaway(room.text(plain), note),
            Value::Likely(likely) => values::likely(room.text(plain), likely),
            Value::Metadata(headers) => metadata(room.text(plain), headers),
            Value::Processes(ends) => processes(room.text(plain), ends),
            Value::Packets(first, last) => {
                let room = room.with_at_least(plain.len() + 1).text(plain).text("[");
                room.number(first).number_of(",", last).text("]")
            }
            Value::Messages(_, false) | Value::UnknownFields(_, false) | Value::Body(_, false) => room,
            Value::Messages(messages, true) => {
                room.text(plain).array(messages, |room, message| room.text(&message.value.to_json()))
            }
            Value::UnknownFields(messages, true) => {
                room.text(plain).array(messages, |room, message| room.text(&keys::unknown_fields(message)))
            }
            Value::Body(value, true) => room.text(plain).text(&value.to_json()),
        };
    }

    #[inline]
    fn first(&mut self, call: &Call) {
        let room = std::mem::take(&mut self.room);
        let Uid { packet, ordinal } = call.uid;
        let room = room.text(member!("uid").start_quoted);
        let room = if packet < digits::EIGHT {
            self.packet = digits::all(packet as u32);
            room.octets(self.packet.0, self.packet.1)
        } else {
            room.number(packet)
        };
        let room = if ordinal == 0 { room } else { room.number_of(".", ordinal.into()) };
        let [start, latency, duration] =
            [member!("start").start_quoted, member!("latency_ns").start, member!("duration_ns").start];
        let room = room.with_at_least(start.len() + Dates::LEN + 2 + latency.len() + SMALL);
        let room = self.dates.write(room.text("\"").text(start), call.start).text("\"");
        self.room = match (call.latency, call.duration) {
            // The first byte of most answers comes with the last one.
            (Some(span), Some(whole)) if span == whole && span < digits::EIGHT => {
                let (text, len) = digits::all(span as u32);
                let room = room.text(latency).octets(text, len);
                room.with_at_least(duration.len() + SMALL).text(duration).octets(text, len)
            }
            (span, whole) => {
                let room = if let Some(span) = span { room.number_of(latency, span) } else { room };
                if let Some(whole) = whole { room.number_of(duration, whole) } else { room }
            }
        };
    }

    #[inline]
    fn shared(&mut self, call: &Call) {
        let room = std::mem::take(&mut self.room);
        self.room = match self.connection.as_ref().and_then(|connection| connection.shared(call)) {
            Some((text, len)) => match text.first_chunk::<128>() {
                // Nearly always, and copied without a call.
                Some(start) if len <= start.len() => room.start_of(start, len),
                _ => room.start_of(text, len),
            },
            None => share(room, self.dates, self.connection.as_deref_mut(), call),
        };
    }

    #[inline]
    fn names(&mut self, call: &Call) {
        let room = std::mem::take(&mut self.room);
        self.room = match self.methods.as_ref().and_then(|methods| methods.shared(call)) {
            Some(text) => room.bytes(text),
            None => name(room, self.dates, self.methods.as_deref_mut(), call),
        };
    }

    #[inline]
    fn message(&mut self, call: &Call) {
        if let Some(message) = &call.outcome.message {
            self.is_plain = json::is_plain(message.as_bytes());
            let room = std::mem::take(&mut self.room).text(member!("message").start_quoted);
            let room = if self.is_plain { room.text(message) } else { room.escaped(message) };
            self.room = room.text("\"");
        }
    }

    #[inline]
    fn reported(&mut self, call: &Call) {
        if call.told.is_some() {
            keys::visit_reported(call, self);
        } else if let Some(text) = reported_as(call) {
            let room = std::mem::take(&mut self.room).text(member!("reported_as").start_quoted);
            let plain = call.outcome.message.as_deref().filter(|_| self.is_plain);
            self.room = reported(room, &text, plain).text("\"");
        }
    }

    #[inline]
    fn sizes(&mut self, call: &Call) {
        let room = std::mem::take(&mut self.room);
        let room = room.number_of(member!("request_bytes").start, call.request_bytes);
        let room = room.number_of(member!("response_bytes").start, call.response_bytes);
        let [request, response] = [member!("request_messages").start, member!("response_messages").start];
        let (sent, answered) = (call.request_messages, call.response_messages);
        self.room = if sent < 10 && answered < 10 {
            let digit = |count: u32| [b'0' + count as u8];
            let room = room.with_at_least(request.len() + response.len() + 2);
            room.text(request).bytes(&digit(sent)).text(response).bytes(&digit(answered))
        } else {
            room.number_of(request, sent.into()).number_of(response, answered.into())
        };
    }

    #[inline]
    fn packets(&mut self, call: &Call) {
        let room = std::mem::take(&mut self.room);
        let (first, last) = call.packets;
        let start = member!("packets").start;
        let room = room.with_at_least(start.len() + 1 + SMALL).text(start).text("[");
        let room = if first == call.uid.packet && first < digits::EIGHT {
            room.octets(self.packet.0, self.packet.1)
        } else {
            room.number(first)
        };
        self.room = room.number_of(",", last).text("]");
    }
}

/// Writes the connection as one JSON object.
fn connection_object<'b>(room: Room<'b>, memory: &mut Memory, connection: &Connection) -> Room<'b> {
    let word = |word: Option<&'static str>| word.map_or(Value::Null, Value::Word);
    let [sent, answered] = connection.bytes;
    let beginning = connection.beginning();
    let readable_after = match connection.unread {
        Some(Renewal::Calls(calls)) => Value::Bytes(calls),
        Some(Renewal::Reconnect) | None => Value::Null,
    };
    let tls = connection.tls.as_ref().map(|facts| facts.pairs()).unwrap_or_default();
    let Memory { dates, .. } = memory;
    let room = room.text("{\"type\":\"connection\"");
    let mut members = Members::new(room, dates);
    for (member, value) in [
        (member!("start"), Value::Time(connection.start)),
        (member!("end"), Value::Time(connection.end)),
        (member!("client"), Value::Address(connection.caller_address())),
        (member!("server"), Value::Address(connection.server)),
        (member!("via"), keys::via(connection.via.as_deref())),
        (member!("network"), Value::Word(connection.network.name())),
        (member!("protocol"), word(connection.protocol)),
        (member!("reason"), word(connection.reason)),
        (member!("tls"), if tls.is_empty() { Value::Null } else { Value::Map(&tls) }),
        (member!("beginning"), if beginning.is_empty() { Value::Null } else { Value::Text(&beginning) }),
        (member!("readable_after"), readable_after),
        (member!("state"), Value::Word(connection.state.name())),
        (member!("calls"), Value::Bytes(connection.calls)),
        (member!("failed"), Value::Bytes(connection.failed)),
        (member!("segments"), Value::Bytes(connection.packets)),
        (member!("request_bytes"), Value::Bytes(sent)),
        (member!("response_bytes"), Value::Bytes(answered)),
        (member!("retransmissions"), Value::Bytes(connection.retransmissions)),
        (member!("gaps"), Value::Bytes(connection.gaps)),
        (member!("packets"), Value::Packets(connection.first_packet, connection.last_packet)),
        (member!("conn_key"), Value::JoinKey(connection.key())),
    ] {
        members.key(member, value, None);
    }
    members.room.text("}")
}

fn totals_object<'b>(room: Room<'b>, memory: &mut Memory, totals: &Totals) -> Room<'b> {
    let Memory { dates, .. } = memory;
    let room = room.text("{\"type\":\"totals\"");
    let mut members = Members::new(room, dates);
    let span = totals.span.map(|(first, last)| [Value::Time(first), Value::Time(last)]);
    let [start, end] = span.unwrap_or([Value::Null, Value::Null]);
    for (member, value) in [
        (member!("start"), start),
        (member!("end"), end),
        (member!("packets"), Value::Bytes(totals.packets)),
        (member!("bytes"), Value::Bytes(totals.bytes)),
        (member!("connections"), Value::Bytes(totals.connections)),
        (member!("calls"), Value::Bytes(totals.calls)),
        (member!("gaps"), Value::Bytes(totals.gaps)),
        (member!("backwards"), Value::Bytes(totals.backwards.0)),
    ] {
        members.key(member, value, None);
    }
    let tally = |room: Room<'b>, tally: &Tally, amount: &str| {
        room.array(tally.sorted(), |room, (reason, tallied)| {
            let room = room.text("{\"reason\":").string(reason);
            let room = room.text(",\"connections\":").number(tallied.connections);
            room.text(",").string(amount).text(":").number(tallied.amount).text("}")
        })
    };
    let room = tally(members.room.text(",\"without_calls\":"), &totals.without_calls, "bytes");
    let room = tally(room.text(",\"undecodable\":"), &totals.undecodable, "messages");
    let room = room.text(",\"skipped\":").array(&totals.skipped, |room, (skip, count)| {
        room.text("{\"reason\":").string(skip.reason()).text(",\"packets\":").number(*count).text("}")
    });
    let room = room.text(",\"ended\":").array(&totals.ended, |room, (ended, count)| {
        room.text("{\"at\":").string(&ended.to_string()).text(",\"packets\":").number(*count).text("}")
    });
    let room = room.text(",\"shed\":{");
    room.list(totals.shed_by_kind(), |room, kind| room.string(kind.name).text(":").number(kind.count))
        .text("}}")
}

#[cfg(test)]
mod tests_of_groups;

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::calls::keys::{KEYS, Type, Value};
    use crate::calls::sample::{bare, full};

    /// What is remembered of other calls changes nothing in the record of this one.
    pub(in crate::sink) fn assert_written_alike(fields: &mut CallFields, call: &Call) {
        let (mut remembered, mut written) = (b"{".to_vec(), Vec::new());
        fields.write(&mut remembered, call);
        remembered.push(b'}');
        write_call(&mut written, call);
        assert_eq!(String::from_utf8(remembered).unwrap(), String::from_utf8(written).unwrap());
    }

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
                (Value::Findings(..) | Value::List(_), _) => {
                    let items: Vec<_> =
                        written.as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
                    assert_eq!(items.join(","), value.to_string());
                }
                (_, Type::Share) => {
                    assert_eq!(format!("{:.4}", written.as_f64().unwrap()), value.to_string());
                }
                (_, Type::Number | Type::Bytes | Type::Duration) => {
                    assert_eq!(written.to_string(), value.to_string(), "{}", key.name);
                }
                (
                    Value::Map(_)
                    | Value::Pairs(_)
                    | Value::Rivals(_)
                    | Value::GoAway(_)
                    | Value::Likely(_)
                    | Value::Metadata(_)
                    | Value::Processes(_)
                    | Value::Messages(..)
                    | Value::UnknownFields(..)
                    | Value::Body(..)
                    | Value::Packets(..),
                    _,
                ) => {}
                _ => assert_eq!(written.as_str(), Some(value.to_string().as_str()), "{}", key.name),
            }
        }
        assert_eq!(json["type"], "call");
        assert_eq!(json["biz_extra"], json!({"reason": "sold \"out\"", "cell": "7"}));
        assert_eq!(json["goaway"], json!({"code": 0, "name": "NO_ERROR", "text": "max_age"}));
        assert_eq!(
            json["likely"],
            json!({
                "service": "stock.v1.Stock",
                "method": "Count",
                "class": "rpc",
                "code": 14,
                "confidence": 0.98,
                "why": "the status is a number beside an entry that has its name; \
                        calls of this path look like those of the method",
            })
        );
        assert_eq!(json["details"], json!([{"type": "ErrorInfo", "text": "reason=QUOTA"}]));
        assert_eq!(json["packets"], json!([71, 78]));
        assert_eq!(json["request"], json!([{"user": {"id": 7}}]));
        assert_eq!(json["request_unknown"], json!([{"9": 5}]));
        assert_eq!(json["response"], json!([{"names": ["a\u{1b}"]}, null]));
        assert_eq!(json["exception"], json!({"name": "StockError"}));
        let (container, pod) = (&"c0ffee".repeat(11)[..64], "1b4e28ba-2fa1-11d2-883f-0016d3cca427");
        assert_eq!(
            json["process"],
            json!({"server": {"pid": 4711, "name": "stock", "container": container, "pod_uid": pod}})
        );
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
    fn keys_without_a_value_are_left_out_or_say_so() {
        let call = bare();
        let json = parsed(&call);
        for key in KEYS.iter().filter(|key| (key.get)(&call).is_null()) {
            let expected = key.absent.map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(json.get(key.name).cloned(), expected, "{}", key.name);
        }
        assert_eq!((&json["class"], &json["findings"]), (&Json::Null, &json!([])));
        assert!(json.get("class").is_some());
    }
}
