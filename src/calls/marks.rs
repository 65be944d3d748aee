//! What the headers of a request say about its cause: trace and log ids, the caller's method, propagated values. Linking compares
//! only these, so that it needs no copies of headers.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use rpcscope_parsers::event::Pairs;
use smallvec::SmallVec;

use super::trace::{self, Contexts, Trace};

/// Shortest header value that can identify a call.
const MIN_VALUE: usize = 4;

/// Most header values of one call that are compared.
const MAX_VALUES: usize = 24;

/// Shortest value with a digit that counts as an id.
const RICH: usize = 8;

/// A hash that is the same in every run and on every machine of one word size.
pub fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    FixedState::default().hash_one(value)
}

/// The hash of a header value; its lowest bit is set if the value looks like an id, one of very many.
fn mark(value: &str) -> u64 {
    let rich = value.len() >= RICH && value.bytes().any(|byte| byte.is_ascii_digit());
    hash(value) & !1 | u64::from(rich)
}

/// Whether a value of [`Marks::values`] looks like an id.
#[must_use]
pub fn is_rich(mark: u64) -> bool {
    mark & 1 == 1
}

/// What the headers of a request say about its cause, as hashes that can be compared.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Log and request ids.
    pub ids: SmallVec<[u64; 2]>,
    /// Other header values, of which [`is_rich`] tells the ids.
    pub values: SmallVec<[u64; 4]>,
    /// Method of the caller that made the call (Kitex `FromMethod`, `source-method`).
    pub from_method: Option<u64>,
    /// Whether it is a further try of a call (Kitex's `RPC_PERSIST_RetryReq`, gRPC's `grpc-previous-rpc-attempts`).
    pub retry: bool,
    /// Number of headers that were read.
    pub headers: u32,
    /// Their octets.
    pub octets: u32,
    contexts: Contexts,
}

impl Marks {
    /// Reads one header.
    pub fn read(&mut self, key: &str, value: &str) {
        self.read_as(Meaning::of(key.as_bytes()), key.as_bytes(), value.as_bytes());
    }

    /// Reads one header, of whose name it is known what it means.
    pub fn read_as(&mut self, meaning: Meaning, key: &[u8], value: &[u8]) {
        self.headers += 1;
        self.octets = self.octets.saturating_add((key.len() + value.len()) as u32);
        match meaning {
            Meaning::Descriptive => {}
            Meaning::Context => _ = self.contexts.read(key, value),
            meaning => self.read_value(meaning, &text(value)),
        }
    }

    /// The trace context of the headers.
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.contexts.best()
    }

    /// Memory that it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let spilled = self.ids.len().saturating_sub(2) + self.values.len().saturating_sub(4);
        size_of::<Self>() + spilled * size_of::<u64>() + self.contexts.size()
    }

    fn read_value(&mut self, meaning: Meaning, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match meaning {
            Meaning::FromMethod => self.from_method = Some(hash(value)),
            Meaning::Retry => self.retry = true,
            Meaning::LogId if value.len() >= MIN_VALUE => self.ids.push(hash(value)),
            _ if value.len() >= MIN_VALUE && self.values.len() < MAX_VALUES => self.values.push(mark(value)),
            _ => {}
        }
    }
}

/// The text of octets, undecodable ones replaced. The lossy conversion alone takes three times as long for the usual ones.
fn text(octets: &[u8]) -> Cow<'_, str> {
    str::from_utf8(octets).map_or_else(|_| String::from_utf8_lossy(octets), Cow::Borrowed)
}

/// What the name of a header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Its value describes the call or its transport.
    Descriptive,
    /// Its value is a trace context.
    Context,
    /// Its value is the method of the caller that made the call.
    FromMethod,
    /// It marks a further try of a call.
    Retry,
    /// Its value is a log or request id.
    LogId,
    /// Its value may be passed on from call to call.
    Value,
}

impl Meaning {
    fn of(key: &[u8]) -> Self {
        if trace::is_context(key) {
            return Self::Context;
        }
        let bare = Bare::of(key);
        match bare.name() {
            "frommethod" | "sourcemethod" => Self::FromMethod,
            name if is_descriptive(name) => Self::Descriptive,
            name if is_retry_mark(name) => Self::Retry,
            name if is_log_id(name) => Self::LogId,
            _ => Self::Value,
        }
    }
}

/// Longest header name that is remembered.
const MAX_REMEMBERED: usize = 30;

/// Number of names that are remembered, a power of two.
const REMEMBERED: usize = 256;

/// What the names of headers mean, remembered: calls have the same ones again and again.
#[derive(Debug)]
pub struct Meanings(Vec<([u8; MAX_REMEMBERED], u8, Meaning)>);

impl Default for Meanings {
    fn default() -> Self {
        Self(vec![([0; MAX_REMEMBERED], 0, Meaning::Value); REMEMBERED])
    }
}

impl Meanings {
    /// What a header of that name means.
    #[inline]
    pub fn of(&mut self, key: &[u8]) -> Meaning {
        let (Some(first), Some(last)) = (key.first(), key.last()) else { return Meaning::of(key) };
        let letters = u32::from_le_bytes([key[key.len() / 4], key[key.len() / 2], *last, *first]);
        let mixed = (letters ^ (key.len() as u32).wrapping_mul(0x0100_0193)).wrapping_mul(0x9e37_79b1);
        let place = (mixed >> 20) as usize % REMEMBERED;
        let (name, len, meaning) = &mut self.0[place];
        if name.get(..key.len()) == Some(key) && usize::from(*len) == key.len() {
            return *meaning;
        }
        let found = Meaning::of(key);
        if let Some(name) = name.get_mut(..key.len()) {
            name.copy_from_slice(key);
            (*len, *meaning) = (key.len() as u8, found);
        }
        found
    }
}

/// Whether a header describes the call or its transport, not its cause. Its name comes from [`Bare`].
fn is_descriptive(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "acceptencoding"
            | "authority"
            | "bizextra"
            | "bizmessage"
            | "bizstatus"
            | "callee"
            | "caller"
            | "connection"
            | "contentencoding"
            | "contentlength"
            | "contenttype"
            | "destaddress"
            | "grpcacceptencoding"
            | "grpcencoding"
            | "grpctimeout"
            | "host"
            | "isn"
            | "method"
            | "msgtype"
            | "path"
            | "frommethod"
            | "fromservice"
            | "rpctimeout"
            | "scheme"
            | "sourcemethod"
            | "sourceservice"
            | "te"
            | "tomethod"
            | "toservice"
            | "transporttype"
            | "timeout"
            | "useragent"
            | "connecttimeout"
            | "readtimeout"
            | "destinationmethod"
    )
}

/// Whether a header marks a further try of a call.
fn is_retry_mark(name: &str) -> bool {
    matches!(name, "retryreq" | "grpcpreviousrpcattempts")
}

/// Names of headers that carry a log or request id, those first that most surely go through a whole chain. All end in `id`.
const LOG_IDS: [&str; 9] =
    ["logid", "ttlogid", "klogid", "traceid", "requestid", "correlationid", "reqid", "rid", "globalid"];

/// Whether a header carries a log or request id.
fn is_log_id(name: &str) -> bool {
    LOG_IDS.contains(&name)
}

/// Longest log id that is kept, in octets.
const MAX_LOG_ID: usize = 128;

/// The log or request id among the headers of a request.
#[must_use]
pub fn log_id(headers: &dyn Pairs) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    headers.each(&mut |key, value| {
        let ends_in_id = key.last_chunk::<2>().is_some_and(|end| end.eq_ignore_ascii_case(b"id"));
        let (Some(key), Ok(value)) = (ends_in_id.then(|| str::from_utf8(key)), str::from_utf8(value)) else {
            return;
        };
        let bare = Bare::of(key.unwrap_or_default().as_bytes());
        let rank = LOG_IDS.iter().position(|name| *name == bare.name());
        let value = value.trim();
        if let Some(rank) = rank
            && (MIN_VALUE..=MAX_LOG_ID).contains(&value.len())
            && best.as_ref().is_none_or(|(other, _)| rank < *other)
        {
            best = Some((rank, value.to_owned()));
        }
    });
    best.map(|(_, value)| value)
}

/// Longest header name that means anything here; the rest of a longer one is ignored.
const MAX_NAME: usize = 64;

/// A header name in lower case, without separators and without the prefixes that frameworks put before users' names.
struct Bare {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Bare {
    fn of(key: &[u8]) -> Self {
        let mut bare = Self { bytes: [0; MAX_NAME], len: 0 };
        for (place, byte) in bare.bytes.iter_mut().zip(key.iter().filter(|byte| byte.is_ascii_alphanumeric()))
        {
            *place = byte.to_ascii_lowercase();
            bare.len += 1;
        }
        bare
    }

    fn name(&self) -> &str {
        let mut name = std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default();
        for prefix in ["rpctransitupstream", "rpctransit", "rpcpersist", "trpc", "x"] {
            if name.len() > prefix.len() + 1
                && let Some(rest) = name.strip_prefix(prefix)
            {
                name = rest;
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_id_is_the_one_whose_name_says_most_whatever_the_order() {
        let of = |headers: &[(&str, &str)]| log_id(&headers.to_vec());
        let both = [("X-Request-Id", "7f3a99"), ("RPC_PERSIST_K_LOGID", "2021abcd"), ("grpc-timeout", "1S")];
        let turned = [both[1], both[0]];
        for headers in [&both[..], &turned] {
            assert_eq!(of(headers).as_deref(), Some("2021abcd"));
        }
        assert_eq!(of(&both[..1]).as_deref(), Some("7f3a99"));
        let long = "7".repeat(MAX_LOG_ID + 1);
        for none in [("LogID", "7"), ("LogID", &long), ("userid", "7f3a99"), ("d", "7f3a99"), ("", "")] {
            assert_eq!(of(&[none]), None, "{none:?}");
        }
    }

    #[test]
    fn names_mean_the_same_when_they_are_remembered() {
        let long = "x".repeat(MAX_REMEMBERED + 1);
        let meanings = [
            ("content-type", Meaning::Descriptive),
            ("x-b3-traceid", Meaning::Context),
            ("FromMethod", Meaning::FromMethod),
            ("RPC_PERSIST_RetryReq", Meaning::Retry),
            ("X-Request-Id", Meaning::LogId),
            ("tenant", Meaning::Value),
            (&long, Meaning::Value),
            ("", Meaning::Value),
        ];
        // More names than are remembered, so that each place is taken again and again.
        let others: Vec<String> = (0..4 * REMEMBERED).map(|number| format!("user{number}")).collect();
        let mut remembered = Meanings::default();
        for _ in 0..2 {
            for (other, (name, meaning)) in others.iter().zip(meanings.iter().cycle()) {
                assert_eq!(remembered.of(other.as_bytes()), Meaning::Value, "{other}");
                for _ in 0..2 {
                    assert_eq!(remembered.of(name.as_bytes()), *meaning, "{name}");
                }
                assert_eq!(
                    remembered.of(&name.as_bytes()[..name.len() / 2]),
                    Meaning::of(&name.as_bytes()[..name.len() / 2])
                );
            }
        }
    }

    #[test]
    fn descriptive_headers_are_no_values() {
        let mut marks = Marks::default();
        for (key, value) in [
            ("content-type", "application/grpc"),
            ("x-request-id", "7f3a99"),
            ("RPC_PERSIST_tenant", "north"),
            ("LogID", "2021abcd"),
            ("a", "1"),
        ] {
            marks.read(key, value);
        }
        assert_eq!(marks.values[..], [mark("north")]);
        assert_eq!(marks.ids[..], [hash("7f3a99"), hash("2021abcd")]);
    }
}
