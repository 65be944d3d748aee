//! What linking asks of a call: what its headers say about its cause (trace and log ids, the caller's method, propagated values), its
//! ends, its times and its names.
//!
//! All of it is gathered when the call comes, while the call is in the caches: those of a large window are in none.

use std::num::NonZeroU64;

use smallvec::SmallVec;

use crate::calls::marks::Marks;
pub(super) use crate::calls::marks::{hash, is_rich};
use crate::calls::record::{Call, CallKind, Class, Initiator};
use crate::calls::trace::{self, Trace};
use crate::decode::Endpoint;

/// Assumed duration of the work on a one-way call, nanoseconds.
const ONEWAY_WORK: i64 = 1_000_000_000;

/// Assumed duration of the work on an unanswered call without a known time-out, nanoseconds.
const SILENT_WORK: i64 = 30_000_000_000;

/// A name or an id as a number that can be compared. None is 0 (but one in 2^64), which saves half of the room.
pub(super) type Number = NonZeroU64;

/// What linking asks of a call.
#[derive(Clone, Debug)]
pub(super) struct Traits {
    /// Trace id.
    pub(super) trace: Option<Number>,
    /// Span of this call, as its caller set it.
    pub(super) span: Option<Number>,
    /// Parent span, if the format carries it (B3, Jaeger).
    pub(super) parent_span: Option<Number>,
    /// Log and request ids.
    pub(super) ids: SmallVec<[u64; 2]>,
    /// Other header values of the request.
    pub(super) values: SmallVec<[u64; 4]>,
    /// Name of the calling service.
    pub(super) caller: Option<Number>,
    /// Method of the caller that made the call (Kitex `FromMethod`, `source-method`, sw8).
    pub(super) from_method: Option<Number>,
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
    /// The first and last moment at which the callee had it in work. If the callee's host was captured, these are by the same
    /// clock as the calls that it made meanwhile, and exclude the network.
    pub(super) work: (i64, i64),
    /// The ends of its connection, both together, and the machines that made and that answered the call.
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) connection: u64,
    pub(super) machines: [u64; 2],
    /// See [`Call::since_opening`].
    pub(super) since_opening: u32,
    /// Whether a process at any end of it is known.
    pub(super) has_processes: bool,
    pub(super) kind: CallKind,
    pub(super) class: Option<Class>,
    pub(super) failed: bool,
    /// Of a failed call: the code, and the text if that is not empty.
    pub(super) code: Option<i64>,
    pub(super) text: Option<Number>,
    /// The names under which its callee can appear in the headers of its own calls: that of the header, and its service.
    pub(super) names: [Option<Number>; 2],
    pub(super) method: Option<Number>,
    /// Its service: one may listen at many addresses; those without names are distinguished by them.
    pub(super) service: u64,
    /// Its service and method.
    pub(super) service_operation: u64,
    /// Its service, if calls that were not answered are those of another.
    pub(super) service_as_answered: u64,
    /// Its operation. Unanswered calls are an operation of their own, because their end says nothing about their parent.
    pub(super) operation: u64,
}

impl Traits {
    /// Reads a call with its headers.
    pub(super) fn of(call: &Call) -> Self {
        let Call { client, server, .. } = *call;
        let (class, start) = (call.class(), call.start.0);
        let deadline = call.timeout.map(|timeout| start.saturating_add(timeout as i64));
        let bound = |most: i64| deadline.unwrap_or(i64::MAX).min(start.saturating_add(most));
        let (answered, end) = match class {
            Some(Class::Unanswered) => (false, call.end.0.min(bound(SILENT_WORK)).max(start)),
            Some(Class::Oneway) => (false, start.saturating_add(ONEWAY_WORK)),
            _ => (true, call.end.0),
        };
        let work = match call.callee_view.as_deref() {
            None => (start, end),
            Some(view) => (view.start.0, if answered { view.end.0 } else { end }),
        };
        let [callee, called, method] =
            [&call.callee, &call.service, &call.method].map(|named| name(named.as_deref()));
        let service = called.map_or_else(|| hash(&server), |called| hash(&(called, server.port)));
        let failed = call.failed();
        let text = call.outcome.message.as_deref().filter(|text| failed && !text.is_empty());
        let mut traits = Self {
            trace: id(call.trace_id.as_deref()),
            span: id(call.span_id.as_deref()),
            parent_span: None,
            ids: SmallVec::new(),
            values: SmallVec::new(),
            caller: name(call.caller.as_deref()),
            from_method: None,
            deadline,
            start,
            end,
            answered,
            retry: false,
            work,
            client,
            server,
            connection: hash(&(client, server)),
            machines: [Initiator::Client, Initiator::Server].map(|end| machine(call, end)),
            since_opening: call.since_opening,
            has_processes: call.processes.is_some(),
            kind: call.kind,
            class,
            failed,
            code: call.outcome.code.filter(|_| failed),
            text: name(text),
            names: [callee, called],
            method,
            service,
            service_operation: hash(&(service, method, call.nameless())),
            service_as_answered: hash(&(service, answered)),
            operation: hash(&(called, method, call.nameless(), answered)),
        };
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
        self.from_method = marks.from_method.and_then(Number::new);
        self.retry = marks.retry;
        if let Some(trace) = marks.trace() {
            self.set_trace(trace);
        }
    }

    /// Sets what the trace context says.
    fn set_trace(&mut self, found: &Trace) {
        self.trace = id(found.trace_id.as_deref()).or(self.trace);
        self.span = id(found.span_id.as_deref()).or(self.span);
        self.parent_span = id(found.parent_span_id.as_deref());
        self.caller = self.caller.or(name(found.caller.as_deref()));
        // Operations are named as a path, or with their class before them; methods without either.
        let operation = found.caller_operation.as_deref().and_then(|name| name.rsplit(['/', '.']).next());
        self.from_method = self.from_method.or(name(operation));
    }
}

/// The number of the machine that an end is on.
pub(super) fn machine(call: &Call, end: Initiator) -> u64 {
    hash(&call.machine(end))
}

fn id(id: Option<&str>) -> Option<Number> {
    Number::new(trace::number(id?))
}

// Apart: it and `Call::take` would make the program 6 KB larger where they are called.
#[inline(never)]
fn name(name: Option<&str>) -> Option<Number> {
    Number::new(hash(name?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trace_is_one_number_in_all_formats() {
        let trace = |key: &str, value: &str| {
            let mut marks = Marks::default();
            marks.read(key, value);
            let mut traits = Traits::of(&crate::calls::sample::bare());
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
        assert_eq!((sky.caller, sky.from_method), (name(Some("serv")), name(Some("Create"))));
    }
}
