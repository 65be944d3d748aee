//! What the headers of a call say about its cause: trace and log ids, the caller's method, propagated values.

use smallvec::SmallVec;

use crate::calls::marks::Marks;
pub(super) use crate::calls::marks::{hash, is_rich};
use crate::calls::record::{Call, Class};
use crate::calls::trace::{self, Trace};

/// Assumed duration of the work on a one-way call, nanoseconds.
const ONEWAY_WORK: i64 = 1_000_000_000;

/// Assumed duration of the work on an unanswered call without a known time-out, nanoseconds.
const SILENT_WORK: i64 = 30_000_000_000;

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
        match call.marks.as_deref() {
            Some(marks) => traits.set(marks),
            None if call.metadata.is_empty() => {}
            None => {
                let mut marks = Marks::default();
                for (_, key, value) in call.metadata.iter().filter(|(answer, ..)| !answer) {
                    marks.read(key, value);
                }
                traits.set(&marks);
            }
        }
        traits
    }

    /// Sets what the headers say.
    fn set(&mut self, marks: &Marks) {
        self.ids.clone_from(&marks.ids);
        self.ids.sort_unstable();
        self.values.clone_from(&marks.values);
        self.values.sort_unstable();
        self.values.dedup();
        self.from_method = marks.from_method;
        self.retry = marks.retry;
        if let Some(trace) = marks.trace() {
            self.set_trace(trace);
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

    #[test]
    fn one_trace_is_one_number_in_all_formats() {
        let trace = |key: &str, value: &str| {
            let mut marks = Marks::default();
            marks.read(key, value);
            let mut traits = Traits::default();
            traits.set(&marks);
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
}
