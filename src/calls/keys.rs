//! The keys of the call record: one table for everything that names them (`--fields`, the filter language, csv columns,
//! completion, help). `sink/jsonl.rs` writes the same keys by hand because it is on the fast path; a test holds the two
//! together.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::record::{Call, CallKind, Carrier, Class, Finding, Findings, Initiator, Name, Process, Uid};
use crate::calls::reported::reported_as;
use crate::decode::Endpoint;
use crate::time::Timestamp;

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
}

impl Type {
    /// The type in one or two words, as error messages and help say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "text",
            Self::Choice(_) => "one of a few words",
            Self::Number => "number",
            Self::Bytes => "size",
            Self::Duration => "duration",
            Self::Time => "time",
            Self::Address => "address",
            Self::Uid => "call id",
            Self::Set(_) => "set of words",
            Self::List => "list of texts",
            Self::Map => "map of texts",
            Self::Packets => "packet numbers",
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
    /// Text of the wire or a name of ours.
    Text(Cow<'a, str>),
    /// Number.
    Number(i64),
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
    /// Group of calls with the same unknown name.
    UnknownName(u64),
    /// Findings; never empty (an empty set is [`Value::Null`]).
    Findings(Findings),
    /// Texts; never empty.
    List(&'a [Name]),
    /// Names and texts; never empty.
    Map(&'a [(String, String)]),
    /// Headers: from the answer?, name, text; never empty.
    Metadata(&'a [(bool, String, String)]),
    /// Processes at the caller's and the callee's end, at least one of them known.
    Processes(&'a [Option<Process>; 2]),
    /// First and last packet.
    Packets(u64, u64),
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
            Self::Text(text) => f.write_str(text),
            Self::Number(n) => write!(f, "{n}"),
            Self::Bytes(n) | Self::Duration(n) => write!(f, "{n}"),
            Self::Time(time) => time.fmt(f),
            Self::Address(endpoint) => endpoint.fmt(f),
            Self::Uid(uid) => uid.fmt(f),
            Self::UnknownName(group) => write!(f, "unknown#{group}"),
            Self::Findings(findings) => joined(f, findings.iter(), |f, x| f.write_str(x.name())),
            Self::List(names) => joined(f, names.iter(), |f, x| f.write_str(x)),
            Self::Map(pairs) => joined(f, pairs.iter(), |f, (k, v)| write!(f, "{k}={v}")),
            Self::Metadata(pairs) => joined(f, pairs.iter(), |f, (_, k, v)| write!(f, "{k}={v}")),
            Self::Processes(ends) => {
                joined(f, ends.iter().flatten(), |f, p| write!(f, "{}({})", p.name, p.pid))
            }
            Self::Packets(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// One key of the call record.
pub struct Key {
    /// Its name in every output.
    pub name: &'static str,
    /// Other names that the filter language and `--fields` take.
    pub aliases: &'static [&'static str],
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
    out.push_str("Texts of a map have names of their own: metadata.NAME, biz_extra.NAME, details.NAME.");
    out
}

/// The known names that are closest to a mistyped one, best first, at most three.
#[must_use]
pub fn closest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let cut = |text: &str| text.chars().take(CLOSEST_LENGTH).collect::<String>();
    let wrong = cut(&wrong.to_lowercase());
    let length = wrong.chars().count();
    // Up to a third of the letters may be wrong; with more, it is another word.
    let bound = (length / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| {
            let starts = length >= 3 && name.starts_with(&wrong);
            (if starts { 0 } else { strsim::osa_distance(&wrong, &cut(name)) }, name)
        })
        .filter(|(distance, _)| *distance <= bound)
        .collect();
    found.sort_by_key(|(distance, _)| *distance);
    found.dedup_by_key(|(_, name)| *name);
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Most letters of a word that are compared: longer words are no typing errors, and the work grows with the square.
const CLOSEST_LENGTH: usize = 40;

fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|x| name(*x)).collect()
}

fn text(text: Option<&Name>) -> Value<'_> {
    text.map_or(Value::Null, |t| Value::Text(Cow::Borrowed(t)))
}

fn word(word: Option<&'static str>) -> Value<'static> {
    word.map_or(Value::Null, |w| Value::Text(Cow::Borrowed(w)))
}

fn number<T: Into<i64>>(number: Option<T>) -> Value<'static> {
    number.map_or(Value::Null, |n| Value::Number(n.into()))
}

fn duration(span: Option<u64>) -> Value<'static> {
    span.map_or(Value::Null, Value::Duration)
}

/// All keys, in the order in which outputs have them.
pub static KEYS: &[Key] = &[
    Key {
        name: "uid",
        aliases: &[],
        kind: Type::Uid,
        doc: "identity of the call, the same in every run over the same packets",
        get: |c| Value::Uid(c.uid),
    },
    Key {
        name: "start",
        aliases: &["time"],
        kind: Type::Time,
        doc: "time of the request's first byte",
        get: |c| Value::Time(c.start),
    },
    Key {
        name: "latency_ns",
        aliases: &["latency"],
        kind: Type::Duration,
        doc: "request's first byte to answer's first byte",
        get: |c| duration(c.latency),
    },
    Key {
        name: "duration_ns",
        aliases: &["duration"],
        kind: Type::Duration,
        doc: "request's first byte to answer's last byte",
        get: |c| duration(c.duration),
    },
    Key {
        name: "network_ns",
        aliases: &["network_time"],
        kind: Type::Duration,
        doc: "time in the network, there and back (both ends captured)",
        get: |c| duration(c.network_time()),
    },
    Key {
        name: "arrival",
        aliases: &[],
        kind: Type::Time,
        doc: "time of the request's first byte at the callee (both ends captured)",
        get: |c| c.callee_view.as_deref().map_or(Value::Null, |callee_view| Value::Time(callee_view.start)),
    },
    Key {
        name: "work_ns",
        aliases: &["work"],
        kind: Type::Duration,
        doc: "latency as the callee's host saw it (both ends captured)",
        get: |c| duration(c.callee_view.as_deref().and_then(|callee_view| callee_view.latency)),
    },
    Key {
        name: "seen",
        aliases: &[],
        kind: Type::Number,
        doc: "number of captures that show the call, where several do",
        get: |c| number(c.callee_view.as_deref().map(|callee_view| callee_view.seen)),
    },
    Key {
        name: "client",
        aliases: &[],
        kind: Type::Address,
        doc: "address and port that called",
        get: |c| Value::Address(c.client),
    },
    Key {
        name: "server",
        aliases: &[],
        kind: Type::Address,
        doc: "address and port that was called",
        get: |c| Value::Address(c.server),
    },
    Key {
        name: "transport",
        aliases: &[],
        kind: Type::Word(&[
            "ttheader",
            "framed",
            "buffered",
            "theader",
            "http2",
            "http1",
            "trpc",
            "mesh-header",
        ]),
        doc: "what carries the messages",
        get: |c| Value::Text(Cow::Borrowed(c.transport.name())),
    },
    Key {
        name: "network",
        aliases: &[],
        kind: Type::Choice(|| vec!["tcp", "udp"]),
        doc: "tcp or udp",
        get: |c| Value::Text(Cow::Borrowed(c.network.name())),
    },
    Key {
        name: "rpc",
        aliases: &["protocol"],
        kind: Type::Word(&[
            "thrift",
            "kitex-protobuf",
            "grpc",
            "ttstream",
            "trpc",
            "trpc-stream",
            "trpc-http",
        ]),
        doc: "RPC protocol",
        get: |c| Value::Text(Cow::Borrowed(c.rpc.name())),
    },
    Key {
        name: "codec",
        aliases: &[],
        kind: Type::Word(&[
            "thrift-binary",
            "thrift-compact",
            "thrift-json",
            "protobuf",
            "json",
            "jce",
            "flatbuffers",
            "noop",
        ]),
        doc: "encoding of the payload",
        get: |c| word(c.codec),
    },
    Key {
        name: "service",
        aliases: &[],
        kind: Type::Text,
        doc: "service as the wire names it",
        get: |c| text(c.service.as_ref()),
    },
    Key {
        name: "method",
        aliases: &[],
        kind: Type::Text,
        doc: "method as the wire names it",
        get: |c| text(c.method.as_ref()),
    },
    Key {
        name: "unknown_name",
        aliases: &[],
        kind: Type::Text,
        doc: "group of calls with the same path, said before the capture began",
        get: |c| c.unknown_name.map_or(Value::Null, Value::UnknownName),
    },
    Key {
        name: "caller",
        aliases: &[],
        kind: Type::Text,
        doc: "name of the calling service, where the header carries it",
        get: |c| text(c.caller.as_ref()),
    },
    Key {
        name: "callee",
        aliases: &[],
        kind: Type::Text,
        doc: "name of the called service, where the header carries it",
        get: |c| text(c.callee.as_ref()),
    },
    Key {
        name: "id",
        aliases: &["seq"],
        kind: Type::Number,
        doc: "number that pairs request and answer: seq id, request id, stream id",
        get: |c| number(c.id),
    },
    Key {
        name: "kind",
        aliases: &[],
        kind: Type::Choice(|| words(CallKind::ALL, CallKind::name)),
        doc: "shape of the call",
        get: |c| word(Some(c.kind.name())),
    },
    Key {
        name: "class",
        aliases: &[],
        kind: Type::Choice(|| words(Class::ALL, Class::name)),
        doc: "what became of the call; null where its answer was lost",
        get: |c| word(c.outcome.class.map(Class::name)),
    },
    Key {
        name: "carrier",
        aliases: &[],
        kind: Type::Choice(|| words(Carrier::ALL, Carrier::name)),
        doc: "wire element that decided the class",
        get: |c| word(Some(c.outcome.carrier.name())),
    },
    Key {
        name: "code",
        aliases: &[],
        kind: Type::Number,
        doc: "number of the error, in the numbering of its carrier",
        get: |c| number(c.outcome.code),
    },
    Key {
        name: "code_name",
        aliases: &[],
        kind: Type::Text,
        doc: "standard name of the code",
        get: |c| word(c.outcome.code_name),
    },
    Key {
        name: "message",
        aliases: &["msg"],
        kind: Type::Text,
        doc: "text of the error",
        get: |c| c.outcome.message.as_deref().map_or(Value::Null, |m| Value::Text(Cow::Borrowed(m))),
    },
    Key {
        name: "initiator",
        aliases: &[],
        kind: Type::Choice(|| words(Initiator::ALL, Initiator::name)),
        doc: "who broke, reset or cancelled the call",
        get: |c| word(c.outcome.initiator.map(Initiator::name)),
    },
    Key {
        name: "ret",
        aliases: &[],
        kind: Type::Number,
        doc: "tRPC: the framework's code as sent",
        get: |c| number(c.outcome.ret),
    },
    Key {
        name: "func_ret",
        aliases: &[],
        kind: Type::Number,
        doc: "tRPC: the handler's code as sent",
        get: |c| number(c.outcome.func_ret),
    },
    Key {
        name: "reported_as",
        aliases: &[],
        kind: Type::Text,
        doc: "how the caller's library words this error in its logs, where that is known",
        get: |c| reported_as(c).map_or(Value::Null, |text| Value::Text(Cow::Owned(text))),
    },
    Key {
        name: "biz_extra",
        aliases: &[],
        kind: Type::Map,
        doc: "map of the business error",
        get: |c| if c.outcome.biz_extra.is_empty() { Value::Null } else { Value::Map(&c.outcome.biz_extra) },
    },
    Key {
        name: "details",
        aliases: &[],
        kind: Type::Map,
        doc: "gRPC status details: type and text",
        get: |c| if c.outcome.details.is_empty() { Value::Null } else { Value::Map(&c.outcome.details) },
    },
    Key {
        name: "request_bytes",
        aliases: &[],
        kind: Type::Bytes,
        doc: "size of the request on the connection, its own headers included",
        get: |c| Value::Bytes(c.request_bytes),
    },
    Key {
        name: "response_bytes",
        aliases: &["answer_bytes"],
        kind: Type::Bytes,
        doc: "size of the answer on the connection, its own headers included",
        get: |c| Value::Bytes(c.response_bytes),
    },
    Key {
        name: "request_messages",
        aliases: &[],
        kind: Type::Number,
        doc: "messages that the caller sent",
        get: |c| Value::Number(c.request_messages.into()),
    },
    Key {
        name: "response_messages",
        aliases: &["answer_messages"],
        kind: Type::Number,
        doc: "messages that the callee sent",
        get: |c| Value::Number(c.response_messages.into()),
    },
    Key {
        name: "timeout_ns",
        aliases: &["timeout"],
        kind: Type::Duration,
        doc: "how long the caller said it would wait",
        get: |c| duration(c.timeout),
    },
    Key {
        name: "trace_id",
        aliases: &[],
        kind: Type::Text,
        doc: "trace id from the headers",
        get: |c| text(c.trace_id.as_ref()),
    },
    Key {
        name: "span_id",
        aliases: &[],
        kind: Type::Text,
        doc: "span id from the headers",
        get: |c| text(c.span_id.as_ref()),
    },
    Key {
        name: "field_id",
        aliases: &[],
        kind: Type::Number,
        doc: "of an exception declared in the IDL: its field in the result struct",
        get: |c| number(c.outcome.field_id),
    },
    Key {
        name: "canceled_by",
        aliases: &["cancelled_by"],
        kind: Type::Text,
        doc: "ttstream: the service that cancelled first",
        get: |c| text(c.outcome.canceled_by()),
    },
    Key {
        name: "cancel_path",
        aliases: &[],
        kind: Type::List,
        doc: "ttstream: the services on the way of the cancel",
        get: |c| {
            if c.outcome.cancel_path.is_empty() { Value::Null } else { Value::List(&c.outcome.cancel_path) }
        },
    },
    Key {
        name: "parent",
        aliases: &[],
        kind: Type::Uid,
        doc: "the call that caused this one, where known",
        get: |c| c.parent.map_or(Value::Null, Value::Uid),
    },
    Key {
        name: "parent_evidence",
        aliases: &[],
        kind: Type::Text,
        doc: "why the parent is believed",
        get: |c| word(c.parent_evidence),
    },
    Key {
        name: "findings",
        aliases: &["finding"],
        kind: Type::Set(|| words(Finding::ALL, Finding::name)),
        doc: "what is remarkable about the call",
        get: |c| if c.findings.is_empty() { Value::Null } else { Value::Findings(c.findings) },
    },
    Key {
        name: "process",
        aliases: &[],
        kind: Type::Text,
        doc: "live: processes of this host at either end",
        get: |c| {
            if c.process.iter().all(Option::is_none) { Value::Null } else { Value::Processes(&c.process) }
        },
    },
    Key {
        name: "metadata",
        aliases: &["header"],
        kind: Type::Map,
        doc: "headers of request and answer (with --metadata)",
        get: |c| if c.metadata.is_empty() { Value::Null } else { Value::Metadata(&c.metadata) },
    },
    Key {
        name: "packets",
        aliases: &["packet"],
        kind: Type::Packets,
        doc: "numbers of the first and last packet of the call",
        get: |c| Value::Packets(c.packets.0, c.packets.1),
    },
];

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

    #[test]
    fn mistyped_names_find_their_key() {
        let names = || KEYS.iter().map(|k| k.name);
        assert_eq!(closest("clas", names()), ["class"]);
        assert_eq!(closest("servcie", names())[0], "service");
        assert_eq!(closest("lat", names())[0], "latency_ns");
        assert_eq!(closest("func-ret", names())[0], "func_ret");
        assert!(closest("zzzzzz", names()).is_empty());
        assert!(closest("nope", names()).is_empty());
        assert!(closest("", names()).is_empty());
    }

    #[test]
    fn a_hostile_word_is_no_long_work() {
        assert!(closest(&"x".repeat(1 << 20), KEYS.iter().map(|k| k.name)).is_empty());
    }
}
