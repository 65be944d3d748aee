//! The keys of the call record: one row of one table for everything that names them, JSON lines, csv, `--fields`, the filter
//! language, completion, help and the test of the documentation.

use std::fmt::{self, Write as _};

use super::join_key::{JoinKey, Place};
use super::likely::Likely;
pub(crate) use super::member::{Choice, Member, choices, member};
use super::record::{
    Call, CallKind, Carrier, Class, Finding, Findings, GoAwayNote, Initiator, Name, Named, Observer, Process,
    RivalParent, Uid, Via,
};
use super::reported::{Reported, reported_as};
use super::share::Share;
use crate::body::{self, Decoded};
use crate::decode::Endpoint;
use crate::payload::Payload;
use crate::time::Timestamp;

mod closest;

pub use closest::closest;

/// What the values of a key are, for the filter language and for help.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Any text.
    Text,
    /// A word; these are the usual ones, others are possible (a new protocol brings new ones).
    Word(&'static [&'static str]),
    /// One of these words and no other.
    Choice(fn() -> Vec<&'static str>),
    /// Whole number.
    Number,
    /// Number from 0 to 1.
    Share,
    /// Number of bytes.
    Bytes,
    /// Nanoseconds.
    Duration,
    /// Point in time.
    Time,
    /// Address and port.
    Address,
    /// Identity of a call.
    Uid,
    /// A set of these words.
    Set(fn() -> Vec<&'static str>),
    /// Several texts.
    List,
    /// Texts by name: `key.name` is the text of one name.
    Map,
    /// Packet numbers, the first and the last.
    Packets,
    /// Bodies of messages: `key.a.b` are the values of a field of theirs.
    Body,
}

impl Type {
    /// The type in one or two words, as error messages and help say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "text",
            Self::Choice(_) => "one of a few words",
            Self::Number => "number",
            Self::Share => "share",
            Self::Bytes => "size",
            Self::Duration => "duration",
            Self::Time => "time",
            Self::Address => "address",
            Self::Uid => "call id",
            Self::Set(_) => "set of words",
            Self::List => "list of texts",
            Self::Map => "map of texts",
            Self::Packets => "packet numbers",
            Self::Body => "fields",
        }
    }

    /// The values that are known beforehand; empty for the other types.
    #[must_use]
    pub fn values(self) -> Vec<&'static str> {
        match self {
            Self::Word(words) => words.to_vec(),
            Self::Choice(words) | Self::Set(words) => words(),
            _ => Vec::new(),
        }
    }
}

/// The value of one key in one call; borrowed, so that reading it costs nothing.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// The call has none.
    Null,
    /// A word of our own: nothing in it needs an escape.
    Word(&'static str),
    /// The same where the key has one of a few.
    Choice(&'static Choice),
    /// Text of the wire.
    Text(&'a str),
    /// Text of ours and of the wire. Boxed, because it is large and most values are small.
    Reported(Box<Reported<'a>>),
    /// Number.
    Number(i64),
    /// Number from 0 to 1.
    Share(Share),
    /// Bytes.
    Bytes(u64),
    /// Nanoseconds.
    Duration(u64),
    /// Time.
    Time(Timestamp),
    /// Address and port.
    Address(Endpoint),
    /// Identity of a call.
    Uid(Uid),
    /// Identity of a call or connection at both of its ends.
    JoinKey(JoinKey),
    /// [`Call::connection_key`], computed by whoever reads it.
    ConnectionKey(&'a Call),
    /// [`Call::key`], as well; the call has that place on its connection.
    CallKey(&'a Call, Place),
    /// Group of calls with the same unknown name.
    UnknownName(u64),
    /// Findings, and words of a newer version; never empty (an empty set is [`Value::Null`]).
    Findings(Findings, &'a [Name]),
    /// Texts; never empty.
    List(&'a [Name]),
    /// Names and texts, the last of a name being the one that counts; never empty.
    Map(&'a [(String, String)]),
    /// Names and texts, all of which count; never empty.
    Pairs(&'a [(String, String)]),
    /// Calls that may be the parent; never empty.
    Rivals(&'a [RivalParent]),
    /// Code, name and text of a GOAWAY.
    GoAway(&'a GoAwayNote),
    /// What is likely.
    Likely(&'a Likely),
    /// Headers: from the answer?, name, text; never empty.
    Metadata(&'a [(bool, String, String)]),
    /// Processes at the caller's and the callee's end, at least one of them known.
    Processes(&'a [Option<Process>; 2]),
    /// First and last packet.
    Packets(u64, u64),
    /// Bodies of messages, and whether records have them; never empty.
    Messages(&'a [Decoded], bool),
    /// Fields of messages that their description does not name, and whether records have them; at least one message has such.
    UnknownFields(&'a [Decoded], bool),
    /// A part of a body, and whether records have it.
    Body(&'a body::Value, bool),
}

impl Value<'_> {
    /// Whether the call has no value for the key.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Display for Value<'_> {
    /// The value as one text, as csv and `--fields` have it: numbers plain (durations in nanoseconds), times RFC 3339,
    /// lists with commas, maps as `name=text` with commas, nothing for null. Not escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn joined<T>(
            f: &mut fmt::Formatter<'_>,
            items: impl Iterator<Item = T>,
            mut each: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
        ) -> fmt::Result {
            for (i, item) in items.enumerate() {
                if i > 0 {
                    f.write_str(",")?;
                }
                each(f, item)?;
            }
            Ok(())
        }
        match self {
            Self::Null => Ok(()),
            Self::Word(word) => f.write_str(word),
            Self::Choice(choice) => f.write_str(choice.word),
            Self::Text(text) => f.write_str(text),
            Self::Reported(text) => text.fmt(f),
            Self::Number(n) => write!(f, "{n}"),
            Self::Share(share) => share.fmt(f),
            Self::Bytes(n) | Self::Duration(n) => write!(f, "{n}"),
            Self::Time(time) => time.fmt(f),
            Self::Address(endpoint) => endpoint.fmt(f),
            Self::Uid(uid) => uid.fmt(f),
            Self::JoinKey(key) => key.fmt(f),
            Self::ConnectionKey(call) => call.connection_key().fmt(f),
            Self::CallKey(call, _) => call.key().map_or(Ok(()), |key| key.fmt(f)),
            Self::UnknownName(group) => write!(f, "unknown#{group}"),
            Self::Findings(findings, newer) => {
                joined(f, finding_words(*findings, newer), |f, name| name.fmt(f))
            }
            Self::List(names) => joined(f, names.iter(), |f, x| f.write_str(x)),
            Self::Map(pairs) | Self::Pairs(pairs) => {
                joined(f, pairs.iter(), |f, (k, v)| write!(f, "{k}={v}"))
            }
            Self::Rivals(rivals) => joined(f, rivals.iter(), |f, RivalParent { parent, confidence }| {
                write!(f, "{parent}={confidence}")
            }),
            Self::GoAway(goaway) => joined(f, goaway.members(), |f, (k, v)| write!(f, "{k}={v}")),
            Self::Likely(likely) => joined(f, likely.members(), |f, (k, v)| write!(f, "{k}={v}")),
            Self::Metadata(pairs) => joined(f, pairs.iter(), |f, (_, k, v)| write!(f, "{k}={v}")),
            Self::Processes(ends) => {
                joined(f, ends.iter().flatten(), |f, p| write!(f, "{}({})", p.name, p.pid))
            }
            Self::Packets(first, last) => write!(f, "{first}-{last}"),
            Self::Messages(messages, _) => {
                joined(f, messages.iter(), |f, message| f.write_str(&message.value.to_json()))
            }
            Self::UnknownFields(messages, _) => {
                joined(f, messages.iter(), |f, message| f.write_str(&unknown_fields(message)))
            }
            Self::Body(value, _) => f.write_str(&value.to_json()),
        }
    }
}

/// The fields of a message that its description does not name, as JSON.
#[must_use]
pub fn unknown_fields(message: &Decoded) -> String {
    message.unknown.as_ref().map_or_else(|| "{}".to_owned(), body::Value::to_json)
}

/// The words of [`Value::Findings`].
pub fn finding_words(findings: Findings, newer: &[Name]) -> impl Iterator<Item = &str> {
    findings.iter().map(|finding| -> &str { finding.name() }).chain(newer.iter().map(|name| &**name))
}

/// One key of the call record.
pub struct Key {
    /// Its name in every output.
    pub name: &'static str,
    /// Other names that the filter language and `--fields` take.
    pub aliases: &'static [&'static str],
    /// What JSON lines have where a call has no value; most keys are left out there.
    pub absent: Option<&'static str>,
    /// What its values are.
    pub kind: Type,
    /// What it means, in one line.
    pub doc: &'static str,
    /// Reads it from a call.
    pub get: fn(&Call) -> Value<'_>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

impl Key {
    /// Whether calls have it only where the bodies of their messages are read.
    #[must_use]
    pub fn needs_bodies(&self) -> bool {
        matches!(self.kind, Type::Body) || self.name == "body_remarks"
    }
}

/// The key of that name or alias.
#[must_use]
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

/// All keys with their meaning, one a line, for the help of the commands that take them.
#[must_use]
pub fn help() -> String {
    let mut out = String::from("Keys of the call record, for filters and --fields:\n");
    for key in KEYS {
        // Writing to a String can't fail.
        _ = match key.kind {
            Type::Text | Type::Word(_) => writeln!(out, "  {:<18} {}", key.name, key.doc),
            kind => writeln!(out, "  {:<18} {} ({})", key.name, key.doc, kind.name()),
        };
    }
    out.push_str(
        "Texts of a map have names of their own: metadata.NAME, biz_extra.NAME, details.NAME, goaway.text,\n\
         likely.class. Fields of bodies have paths: req.user.id, resp.lines.0.sku, exception.name.",
    );
    out
}

fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|x| name(*x)).collect()
}

fn text(text: Option<&Name>) -> Value<'_> {
    text.map_or(Value::Null, |t| Value::Text(t))
}

/// A part of what a file says of the names of an end.
#[inline]
fn named(call: &Call, end: Initiator, of: impl Fn(&Named) -> Option<&Name>) -> Value<'_> {
    text(call.named(end).and_then(|named| of(named)))
}

fn word(word: Option<&'static str>) -> Value<'static> {
    word.map_or(Value::Null, Value::Word)
}

/// The addresses that the preludes of a connection name.
pub(crate) fn via(via: Option<&Via>) -> Value<'_> {
    via.filter(|via| !via.addresses.is_empty()).map_or(Value::Null, |via| Value::List(&via.addresses))
}

fn join_key(key: Option<JoinKey>) -> Value<'static> {
    key.map_or(Value::Null, Value::JoinKey)
}

fn number<T: Into<i64>>(number: Option<T>) -> Value<'static> {
    number.map_or(Value::Null, |n| Value::Number(n.into()))
}

fn share(share: Option<Share>) -> Value<'static> {
    share.map_or(Value::Null, Value::Share)
}

fn duration(span: Option<u64>) -> Value<'static> {
    span.map_or(Value::Null, Value::Duration)
}

/// The bodies of one side.
fn messages(call: &Call, of: fn(&Payload) -> &Vec<Decoded>) -> Value<'_> {
    match call.bodies.as_deref().map(|bodies| (of(&bodies.payload), bodies.payload.shown)) {
        Some((messages, shown)) if !messages.is_empty() => Value::Messages(messages, shown),
        _ => Value::Null,
    }
}

/// Fields of one side's messages that their description does not name.
fn unknown(call: &Call, of: fn(&Payload) -> &Vec<Decoded>) -> Value<'_> {
    match messages(call, of) {
        Value::Messages(messages, shown) if messages.iter().any(|message| message.unknown.is_some()) => {
            Value::UnknownFields(messages, shown)
        }
        _ => Value::Null,
    }
}

/// What is remarkable about the bodies.
fn remarks(call: &Call) -> Value<'_> {
    let remarks = call.bodies.as_deref().map_or(&[][..], |bodies| &bodies.payload.remarks);
    if remarks.is_empty() { Value::Null } else { Value::List(remarks) }
}

/// Something else of the bodies.
fn body_part(call: &Call, of: fn(&Payload) -> Option<&body::Value>) -> Value<'_> {
    let part = call.bodies.as_deref().and_then(|bodies| Some((of(&bodies.payload)?, bodies.payload.shown)));
    part.map_or(Value::Null, |(part, shown)| Value::Body(part, shown))
}

/// Receives the keys of a call one by one, in the order of [`KEYS`].
pub trait Visit: Sized {
    /// The next key; `absent` is [`Key::absent`].
    fn key(&mut self, member: Member, value: Value<'_>, absent: Option<&'static str>);

    /// The keys of [`visit_first`] are next. A visitor may do something shorter than to visit them: every call has most of them.
    fn first(&mut self, call: &Call) {
        visit_first(call, self);
    }

    /// The same of [`visit_shared`], whose values are mostly those of the call before on the same connection.
    fn shared(&mut self, call: &Call) {
        visit_shared(call, self);
    }

    /// The same of [`visit_names`], whose values are mostly those of another call of the same method.
    fn names(&mut self, call: &Call) {
        visit_names(call, self);
    }

    /// The same of [`visit_message`], whose value [`visit_reported`] mostly has again.
    fn message(&mut self, call: &Call) {
        visit_message(call, self);
    }

    /// The same of [`visit_reported`], whose value is large.
    fn reported(&mut self, call: &Call) {
        visit_reported(call, self);
    }

    /// The same of [`visit_sizes`], which every call has.
    fn sizes(&mut self, call: &Call) {
        visit_sizes(call, self);
    }

    /// The same of [`visit_packets`], of which the first is mostly that of the call's identity.
    fn packets(&mut self, call: &Call) {
        visit_packets(call, self);
    }
}

/// Declares the keys: `"name" | "alias" or "absent": type, "meaning", |call| value;`. One row makes a key known to every
/// output, to the filter language, completion and help. They stand in groups, in the order of the outputs, each with the function that
/// visits it.
macro_rules! keys {
    ($($(#[$attribute:meta])* $scope:vis fn $visit:ident {
        $($name:literal $(| $alias:literal)* $(or $absent:literal)? : $kind:expr, $doc:literal, $get:expr;)*
    })*) => {
        /// All keys, in the order in which outputs have them.
        pub static KEYS: &[Key] = &[$($(Key {
            name: $name,
            aliases: &[$($alias),*],
            absent: keys!(@absent $($absent)?),
            kind: $kind,
            doc: $doc,
            get: $get,
        },)*)*];

        $($(#[$attribute])*
        $scope fn $visit(call: &Call, visitor: &mut impl Visit) {
            $(visitor.key(member!($name), getter($get)(call), keys!(@absent $($absent)?));)*
        })*
    };
    (@absent) => { None };
    (@absent $absent:literal) => { Some($absent) };
}

/// Passes all keys of a call to `visitor`. The same rows as [`KEYS`], but without its function pointers: names and kinds of values
/// are known at compile time. Inlined, so that what the visitor keeps of its output stays in registers.
#[expect(
    clippy::inline_always,
    reason = "without it, the visitor keeps its output in memory: 150 instructions a record"
)]
#[inline(always)]
pub fn visit(call: &Call, visitor: &mut impl Visit) {
    visitor.first(call);
    visit_ends(call, visitor);
    visitor.shared(call);
    visitor.names(call);
    visit_outcome(call, visitor);
    visitor.message(call);
    visit_ending(call, visitor);
    visitor.reported(call);
    visit_extra(call, visitor);
    visitor.sizes(call);
    visit_rest(call, visitor);
    visitor.packets(call);
    visit_keys(call, visitor);
}

/// Gives a closure of the table its type, which the compiler can't infer where it is called at once.
#[inline]
fn getter<F: Fn(&Call) -> Value<'_>>(get: F) -> F {
    get
}

keys! {
    /// Passes the keys to `visitor` with which a record begins.
    pub fn visit_first {
        "uid": Type::Uid,
            "identity of the call, the same in every run over the same packets",
            |c| Value::Uid(c.uid);
        "start" | "time": Type::Time,
            "time of the request's first byte",
            |c| Value::Time(c.start);
        "latency_ns" | "latency": Type::Duration,
            "request's first byte to answer's first byte",
            |c| duration(c.latency);
        "duration_ns" | "duration": Type::Duration,
            "request's first byte to answer's last byte",
            |c| duration(c.duration);
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_ends {
        "end": Type::Time,
            "when the call was decided, where that is not start + duration",
            |c| c.later_end().map_or(Value::Null, Value::Time);
        "network_ns" | "network_time": Type::Duration,
            "time in the network, there and back (both ends captured)",
            |c| duration(c.network_time());
        "arrival": Type::Time,
            "time of the request's first byte at the callee (both ends captured)",
            |c| c.callee_view.as_deref().map_or(Value::Null, |callee_view| Value::Time(callee_view.start));
        "work_ns" | "work": Type::Duration,
            "latency as the callee's host saw it (both ends captured)",
            |c| c.callee_view.as_deref().map_or(Value::Null, |callee_view| duration(callee_view.latency));
        "seen": Type::Number,
            "number of captures that show the call, where several do",
            |c| c.callee_view.as_deref().map_or(Value::Null, |callee_view| Value::Number(callee_view.seen.into()));
    }

    /// Passes the keys to `visitor` that calls with the same ends, carrier and protocol have in common, if no prelude names a client.
    pub fn visit_shared {
        "client": Type::Address,
            "address and port that called",
            |c| Value::Address(c.caller_address());
        "server": Type::Address,
            "address and port that was called",
            |c| Value::Address(c.server);
        "via": Type::List,
            "addresses that PROXY headers, HTTP CONNECT or SOCKS named",
            |c| via(c.via.as_deref());
        "transport": Type::Choice(|| {
                vec![
                    "ttheader", "framed", "buffered", "theader", "http2", "http1", "trpc", "mesh-header",
                    "ttwitter", "datagram",
                ]
            }),
            "what carries the messages",
            |c| word(Some(c.transport.name()));
        "network": Type::Choice(|| vec!["tcp", "udp"]),
            "tcp or udp",
            |c| word(Some(c.network.name()));
        "rpc" | "protocol": Type::Choice(|| {
                vec![
                    "thrift", "kitex-protobuf", "grpc", "grpc-web", "connect", "triple", "ttstream", "trpc",
                    "trpc-stream", "trpc-http",
                ]
            }),
            "RPC protocol",
            |c| word(Some(c.rpc.name()));
    }

    /// Passes the keys to `visitor` that calls of the same method have in common.
    pub fn visit_names {
        "codec": Type::Word(&[
                "thrift-binary", "thrift-compact", "thrift-json", "protobuf", "json", "jce", "flatbuffers",
                "noop",
            ]),
            "encoding of the payload",
            |c| word(c.codec);
        "service": Type::Text,
            "service as the wire names it",
            |c| text(c.service.as_ref());
        "method": Type::Text,
            "method as the wire names it",
            |c| text(c.method.as_ref());
        "unknown_name": Type::Text,
            "group of calls with the same path, sent before the capture began",
            |c| c.unknown_name.map_or(Value::Null, Value::UnknownName);
        "caller": Type::Text,
            "name of the calling service, where the header carries it",
            |c| text(c.caller.as_ref());
        "callee": Type::Text,
            "name of the called service, where the header carries it",
            |c| text(c.callee.as_ref());
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_outcome {
        "id" | "seq": Type::Number,
            "number that pairs request and answer: seq id, request id, stream id",
            |c| number(c.id);
        "kind": Type::Choice(|| words(CallKind::ALL, CallKind::name)),
            "shape of the call",
            |c| Value::Choice(&choices!("kind", CallKind)[c.kind as usize]);
        "class" or "null": Type::Choice(|| words(Class::ALL, Class::name)),
            "what became of the call; null where its answer was lost",
            |c| match c.outcome.class {
                Some(class) => Value::Choice(&choices!("class", Class)[class as usize]),
                None => Value::Null,
            };
        "carrier": Type::Choice(|| words(Carrier::ALL, Carrier::name)),
            "wire element that decided the class",
            |c| match c.told.as_deref().and_then(|told| told.carrier.as_deref()) {
                Some(newer) => Value::Text(newer),
                None => Value::Choice(&choices!("carrier", Carrier)[c.outcome.carrier as usize]),
            };
        "code": Type::Number,
            "number of the error, in the numbering of its carrier",
            |c| number(c.outcome.code);
        "code_name": Type::Text,
            "standard name of the code",
            |c| word(c.outcome.code_name);
    }

    /// Passes the key to `visitor` that says the error in words.
    pub fn visit_message {
        "message" | "msg": Type::Text,
            "text of the error",
            |c| c.outcome.message.as_deref().map_or(Value::Null, Value::Text);
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_ending {
        "initiator": Type::Choice(|| words(Initiator::ALL, Initiator::name)),
            "who broke, reset or cancelled the call",
            |c| word(c.outcome.initiator.map(Initiator::name));
        "goaway": Type::Map,
            "GOAWAY that ended the call or came before its connection broke",
            |c| c.goaway.as_deref().map_or(Value::Null, Value::GoAway);
        "likely": Type::Map,
            "what is likely of a gRPC call where it is not known",
            |c| c.likely.as_deref().map_or(Value::Null, Value::Likely);
        "ret": Type::Number,
            "tRPC: the framework's code as sent",
            |c| number(c.outcome.ret);
        "func_ret": Type::Number,
            "tRPC: the handler's code as sent",
            |c| number(c.outcome.func_ret);
    }

    /// Passes the key to `visitor` whose value is large.
    pub fn visit_reported {
        "reported_as": Type::Text,
            "how the caller's library words this error in its logs, where that is known",
            |c| match c.told.as_deref() {
                Some(told) => told.reported_as.as_deref().map_or(Value::Null, Value::Text),
                None => reported_as(c).map_or(Value::Null, |text| Value::Reported(Box::new(text))),
            };
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_extra {
        "biz_extra": Type::Map,
            "map of the business error",
            |c| if c.outcome.biz_extra().is_empty() { Value::Null } else { Value::Map(c.outcome.biz_extra()) };
        "details": Type::Map,
            "gRPC status details: type and text",
            |c| if c.outcome.details().is_empty() { Value::Null } else { Value::Pairs(c.outcome.details()) };
    }

    /// Passes the keys to `visitor` that say how much either end sent.
    pub fn visit_sizes {
        "request_bytes": Type::Bytes,
            "size of the request on the connection, its own headers included",
            |c| Value::Bytes(c.request_bytes);
        "response_bytes" | "answer_bytes": Type::Bytes,
            "size of the answer on the connection, its own headers included",
            |c| Value::Bytes(c.response_bytes);
        "request_messages": Type::Number,
            "messages that the caller sent",
            |c| Value::Number(c.request_messages.into());
        "response_messages" | "answer_messages": Type::Number,
            "messages that the callee sent",
            |c| Value::Number(c.response_messages.into());
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_rest {
        "timeout_ns" | "timeout": Type::Duration,
            "how long the caller said it would wait",
            |c| duration(c.timeout);
        "trace_id": Type::Text,
            "trace id from the headers",
            |c| text(c.trace_id.as_ref());
        "span_id": Type::Text,
            "span id from the headers",
            |c| text(c.span_id.as_ref());
        "log_id": Type::Text,
            "log or request id from the headers (where host is known)",
            |c| text(c.log_id.as_ref());
        "field_id": Type::Number,
            "of an exception declared in the IDL: its field in the result struct",
            |c| number(c.outcome.field_id);
        "canceled_by" | "cancelled_by": Type::Text,
            "ttstream: the service that cancelled first",
            |c| text(c.outcome.canceled_by());
        "cancel_path": Type::List,
            "ttstream: the services on the way of the cancel",
            |c| if c.outcome.cancel_path().is_empty() { Value::Null } else { Value::List(c.outcome.cancel_path()) };
        "parent": Type::Uid,
            "the call that caused this one, where known (with --link)",
            |c| c.parent.map_or(Value::Null, Value::Uid);
        "parent_evidence": Type::Text,
            "why the parent is believed (with --link)",
            |c| word(c.parent_evidence);
        "findings" | "finding" or "[]": Type::Set(|| words(Finding::ALL, Finding::name)),
            "what is remarkable about the call",
            |c| match c.told.as_deref().map_or(&[][..], |told| &told.findings) {
                [] if c.findings.is_empty() => Value::Null,
                newer => Value::Findings(c.findings, newer),
            };
        "process": Type::Text,
            "live: processes of this host at either end, and their containers and pods",
            |c| c.processes.as_deref().map_or(Value::Null, Value::Processes);
        "client_name": Type::Text,
            "name of client: service, else pod, else host (with --names)",
            |c| named(c, Initiator::Client, Named::best);
        "client_pod": Type::Text,
            "pod of client (with --names)",
            |c| named(c, Initiator::Client, |named| named.pod.as_ref());
        "client_node": Type::Text,
            "host that client is on (with --names)",
            |c| named(c, Initiator::Client, |named| named.node.as_ref());
        "server_name": Type::Text,
            "name of server: service, else pod, else host (with --names)",
            |c| named(c, Initiator::Server, Named::best);
        "server_pod": Type::Text,
            "pod of server (with --names)",
            |c| named(c, Initiator::Server, |named| named.pod.as_ref());
        "server_node": Type::Text,
            "host that server is on (with --names)",
            |c| named(c, Initiator::Server, |named| named.node.as_ref());
        "metadata" | "header": Type::Map,
            "headers of request and answer (with --metadata)",
            |c| if c.metadata.is_empty() { Value::Null } else { Value::Metadata(&c.metadata) };
        "request" | "req": Type::Body,
            "bodies of the caller's messages (with --payload)",
            |c| messages(c, |payload| &payload.request);
        "response" | "resp": Type::Body,
            "bodies of the callee's messages (with --payload)",
            |c| messages(c, |payload| &payload.response);
        "request_unknown": Type::Body,
            "fields of the caller's messages that no description names (protobuf)",
            |c| unknown(c, |payload| &payload.request);
        "response_unknown": Type::Body,
            "fields of the callee's messages that no description names (protobuf)",
            |c| unknown(c, |payload| &payload.response);
        "exception": Type::Body,
            "exception of the IDL: name and fields (with --payload)",
            |c| body_part(c, |payload| payload.exception.as_ref());
        "error": Type::Body,
            "gRPC status with its details (with --payload)",
            |c| body_part(c, |payload| payload.error.as_ref());
        "body_remarks": Type::List,
            "what can't be read of bodies, and why (with --payload)",
            remarks;
    }

    /// Passes the key to `visitor` that says between which packets the call is.
    pub fn visit_packets {
        "packets" | "packet": Type::Packets,
            "numbers of the first and last packet of the call",
            |c| Value::Packets(c.packets.0, c.packets.1);
    }

    #[allow(clippy::inline_always, reason = "a part of one function")]
    #[inline(always)]
    fn visit_keys {
        "call_key": Type::Text,
            "the same in the records of both ends, for joins over hosts",
            |c| match c.told.as_deref() {
                Some(told) => join_key(told.key),
                None => c.place().map_or(Value::Null, |place| Value::CallKey(c, place)),
            };
        "parent_key": Type::Text,
            "call_key of the parent (with --link)",
            |c| join_key(c.parent_key);
        "parent_confidence": Type::Share,
            "how sure the parent is (with --link)",
            |c| share(c.parent_confidence);
        "rivals": Type::Map,
            "calls that may be the parent, where none is sure (with --link)",
            |c| c.rivals.as_deref().map_or(Value::Null, Value::Rivals);
        "missed": Type::Share,
            "how likely it made a failed call not linked to it (with --link)",
            |c| share(c.missed);
        "conn_key": Type::Text,
            "the connection, the same at both ends",
            |c| match c.told.as_deref() {
                Some(told) => Value::JoinKey(told.connection),
                None => Value::ConnectionKey(c),
            };
        "request_seq": Type::Number,
            "TCP sequence number of the request (where host is known)",
            |c| number(c.host.as_ref().and(c.positions[0]));
        "host": Type::Text,
            "the host that captured it (live, or --host)",
            |c| text(c.host.as_ref());
        "observer": Type::Choice(|| words(Observer::ALL, Observer::name)),
            "which end of the call that host is, where known",
            |c| word(c.observer.map(Observer::name));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_aliases_are_distinct() {
        let mut seen = HashSet::new();
        for key in KEYS {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
            assert!(!key.doc.is_empty());
        }
    }

    #[test]
    fn help_names_every_key_in_lines_that_fit() {
        let help = help();
        assert!(KEYS.iter().all(|key| help.contains(&format!("  {} ", key.name))));
        assert_eq!(help.lines().find(|line| line.len() > 98), None);
    }
}
