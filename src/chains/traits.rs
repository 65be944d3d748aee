//! What the headers of a call say about its cause: trace and log ids, the caller's method, propagated values.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::calls::record::{Call, Class};
use crate::calls::trace::{self, Contexts, Trace};

/// Shortest header value that can identify a call.
const MIN_VALUE: usize = 4;

/// Most header values of one call that are compared.
const MAX_VALUES: usize = 24;

/// Assumed duration of the work on a one-way call, nanoseconds.
const ONEWAY_WORK: i64 = 1_000_000_000;

/// Assumed duration of the work on an unanswered call without a known time-out, nanoseconds.
const SILENT_WORK: i64 = 30_000_000_000;

/// A hash that is the same in every run and on every machine of one word size.
pub(super) fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    FixedState::default().hash_one(value)
}

/// Shortest value with a digit that counts as an id.
const RICH: usize = 8;

/// The hash of a header value; its lowest bit is set if the value looks like an id, one of very many.
fn mark(value: &str) -> u64 {
    let rich = value.len() >= RICH && value.bytes().any(|byte| byte.is_ascii_digit());
    hash(value) & !1 | u64::from(rich)
}

/// Whether a value looks like an id.
pub(super) fn is_rich(mark: u64) -> bool {
    mark & 1 == 1
}

/// What the headers of a call say about its cause, as hashes that can be compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Traits {
    /// Trace id.
    pub(super) trace: Option<u64>,
    /// Span of this call, as its caller set it.
    pub(super) span: Option<u64>,
    /// Parent span, if the format carries it (B3, Jaeger).
    pub(super) parent_span: Option<u64>,
    /// Log and request ids.
    pub(super) ids: SmallVec<[u64; 2]>,
    /// Other header values of the request.
    pub(super) values: SmallVec<[u64; 4]>,
    /// Name of the calling service.
    pub(super) caller: Option<u64>,
    /// Method of the caller that made the call (Kitex `FromMethod`, `source-method`, sw8).
    pub(super) from_method: Option<u64>,
    /// Time at which the caller stops waiting.
    pub(super) deadline: Option<i64>,
    /// First moment at which it can have caused calls.
    pub(super) start: i64,
    /// Last moment, as far as the capture shows.
    pub(super) end: i64,
    /// Whether `end` is the answer; if not, it is only an upper bound.
    pub(super) answered: bool,
    /// Whether its headers say that it is a further try of a call (Kitex's `RPC_PERSIST_RetryReq`, gRPC's
    /// `grpc-previous-rpc-attempts`).
    pub(super) retry: bool,
    /// Its operation. Unanswered calls are an operation of their own, because their end says nothing about their parent.
    pub(super) operation: u64,
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

/// Whether a header carries a log or request id.
fn is_log_id(name: &str) -> bool {
    matches!(
        name,
        "logid"
            | "requestid"
            | "ttlogid"
            | "correlationid"
            | "reqid"
            | "rid"
            | "klogid"
            | "traceid"
            | "globalid"
    )
}

/// Longest header name that means anything here; the rest of a longer one is ignored.
const MAX_NAME: usize = 64;

/// A header name in lower case, without separators and without the prefixes that frameworks put before users' names.
struct Bare {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Bare {
    fn of(key: &str) -> Self {
        let mut bare = Self { bytes: [0; MAX_NAME], len: 0 };
        for (place, byte) in bare.bytes.iter_mut().zip(key.bytes().filter(u8::is_ascii_alphanumeric)) {
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

impl Traits {
    /// Reads the headers of a call.
    pub(super) fn of(call: &Call) -> Self {
        let mut traits = Self {
            trace: call.trace_id.as_deref().map(trace::number),
            span: call.span_id.as_deref().map(trace::number),
            caller: call.caller.as_deref().map(hash::<str>),
            deadline: call.timeout.map(|timeout| call.start.0.saturating_add(timeout as i64)),
            start: call.start.0,
            end: call.end.0,
            answered: true,
            ..Self::default()
        };
        let bound = |most: i64| traits.deadline.unwrap_or(i64::MAX).min(call.start.0.saturating_add(most));
        match call.class() {
            Some(Class::Unanswered) => {
                traits.answered = false;
                traits.end = call.end.0.min(bound(SILENT_WORK)).max(call.start.0);
            }
            Some(Class::Oneway) => {
                traits.answered = false;
                traits.end = call.start.0.saturating_add(ONEWAY_WORK);
            }
            _ => {}
        }
        traits.operation = hash(&(&call.service, &call.method, call.nameless(), traits.answered));
        let mut contexts = Contexts::default();
        for (_, key, value) in call.metadata.iter().filter(|(answer, ..)| !answer) {
            if !contexts.read(key.as_bytes(), value.as_bytes()) {
                traits.read(key, value);
            }
        }
        traits.set_trace(&contexts.trace());
        traits.ids.sort_unstable();
        traits.values.sort_unstable();
        traits.values.dedup();
        traits
    }

    /// Reads one header of the request.
    fn read(&mut self, key: &str, value: &str) {
        let bare = Bare::of(key);
        let name = bare.name();
        if is_descriptive(name) && !matches!(name, "frommethod" | "sourcemethod") {
            return;
        }
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match name {
            "frommethod" | "sourcemethod" => self.from_method = Some(hash(value)),
            name if is_retry_mark(name) => self.retry = true,
            name if is_log_id(name) && value.len() >= MIN_VALUE => self.ids.push(hash(value)),
            _ if value.len() >= MIN_VALUE && self.values.len() < MAX_VALUES => self.values.push(mark(value)),
            _ => {}
        }
    }

    /// Sets what the trace context says.
    fn set_trace(&mut self, found: &Trace) {
        let number = |id: &Option<String>| id.as_deref().map(trace::number);
        self.trace = number(&found.trace_id).or(self.trace);
        self.span = number(&found.span_id).or(self.span);
        self.parent_span = number(&found.parent_span_id);
        self.caller = self.caller.or(found.caller.as_deref().map(hash::<str>));
        // Operations are named as a path, or with their class before them; methods without either.
        let operation = found.caller_operation.as_deref().and_then(|name| name.rsplit(['/', '.']).next());
        self.from_method = self.from_method.or(operation.map(hash::<str>));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Traits {
        let mut traits = Traits::default();
        for (key, value) in pairs {
            traits.read(key, value);
        }
        traits
    }

    #[test]
    fn one_trace_is_one_number_in_all_formats() {
        let trace = |key: &str, value: &str| {
            let mut contexts = Contexts::default();
            contexts.read(key.as_bytes(), value.as_bytes());
            let mut traits = Traits::default();
            traits.set_trace(&contexts.trace());
            traits
        };
        let w3c = trace("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let b3 = trace("RPC_PERSIST_b3", "8448EB211C80319C-00000000000005e3-1-B7AD6B7169203331");
        let datadog = trace("x-datadog-trace-id", &0x8448_eb21_1c80_319c_u64.to_string());
        assert!(w3c.trace.is_some());
        assert_eq!((b3.trace, b3.parent_span), (w3c.trace, w3c.span));
        assert_eq!(datadog.trace, w3c.trace);
        let sky = trace("sw8", "1-dHJhY2U=-c2VnbWVudA==-3-c2Vydg==-aW5z-L09yZGVyL0NyZWF0ZQ==-YWRkcg==");
        assert_eq!((sky.caller, sky.from_method), (Some(hash("serv")), Some(hash("Create"))));
    }

    #[test]
    fn descriptive_headers_are_no_values() {
        let traits = read(&[
            ("content-type", "application/grpc"),
            ("x-request-id", "7f3a99"),
            ("RPC_PERSIST_tenant", "north"),
            ("LogID", "2021abcd"),
            ("a", "1"),
        ]);
        assert_eq!(traits.values[..], [mark("north")]);
        assert_eq!(traits.ids[..], [hash("7f3a99"), hash("2021abcd")]);
    }
}
