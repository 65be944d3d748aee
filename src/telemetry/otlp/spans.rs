//! Spans of chains.
//!
//! A call that both of its ends captured is two spans, CLIENT and SERVER; any other is one. The context of the wire is kept: its trace, and
//! its span as the parent, which a library of OpenTelemetry sends by itself. Without one, a chain is a trace of its own. A link
//! between calls that is not sure makes no parent, but a link of the span that says how likely it is.

use super::ids::{self, SpanId, TraceId};
use super::message::{self, Link, Span, SpanKind, Status, StatusCode, Value, attribute, text, texts};
use crate::calls::record::{Call, Finding, Initiator, Name, Observer};
use crate::chains::{Chain, FACT, Hop, Operation, Origin};
use crate::telemetry::convention::{self, End};
use crate::time::Timestamp;

/// Most bytes of the text of an error.
const MAX_MESSAGE: usize = 1024;

/// The names of attributes, which changed between versions of the conventions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Names {
    /// `rpc.status_code`: the stable conventions.
    #[default]
    #[value(name = "1.45")]
    Stable,
    /// `rpc.response.status_code`: up to version 1.44.
    #[value(name = "1.44")]
    Before,
}

impl Names {
    /// The name of the status.
    #[must_use]
    pub fn status_code(self) -> &'static str {
        match self {
            Self::Stable => "rpc.status_code",
            Self::Before => "rpc.response.status_code",
        }
    }
}

/// What telemetry is about: a service on a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// `host.name`.
    pub host: Option<Name>,
}

/// A span and what led to it.
#[derive(Debug)]
pub struct Observed<'c> {
    /// The call.
    pub call: &'c Call,
    /// Who saw it.
    pub end: End,
    /// Whose span it is.
    pub service: Service,
    /// The span.
    pub span: Span,
}

/// Whose spans a call is, in the order of its way.
#[must_use]
pub fn ends(call: &Call) -> &'static [End] {
    let is_seen_at_both = call.callee_view.as_deref().is_some_and(|view| view.latency.is_some());
    match call.observer {
        _ if is_seen_at_both => &[End::Client, End::Server],
        Some(Observer::Server) => &[End::Server],
        Some(Observer::Client | Observer::Middle) | None => &[End::Client],
    }
}

/// The name of the service that answers the call.
fn callee(call: &Call) -> String {
    let process = || call.process(Initiator::Server).map(|process| &process.name);
    let of_file = || call.named(Initiator::Server).and_then(|named| named.name.as_ref());
    let name = call.callee.as_ref().or_else(of_file).or_else(process);
    name.map_or_else(|| format!("unknown:{}", call.server), ToString::to_string)
}

/// The name of the service that calls; `above` is the call that caused this one.
fn caller(call: &Call, above: Option<&Call>) -> String {
    let process = || call.process(Initiator::Client).map(|process| process.name.to_string());
    let name = call.caller.as_ref().map(Name::to_string);
    let of_file = || call.named(Initiator::Client).and_then(|named| named.name.as_ref()).map(Name::to_string);
    let name = name.or_else(|| above.map(callee)).or_else(of_file).or_else(process);
    name.unwrap_or_else(|| format!("unknown:{}", call.caller_address().ip))
}

/// Where a call stands among the spans.
struct Place {
    trace: TraceId,
    /// The span that what it caused has as its parent: its innermost one that is sent, else that of the calls above.
    inner: Option<SpanId>,
}

/// The parent of a hop, if that is sure.
fn sure_parent(hop: &Hop) -> Option<usize> {
    hop.parent.filter(|_| hop.unsure_link().is_none())
}

/// The one trace of the wire that calls of the chain belong to which are surely linked to its root; `None` if there are several.
fn common_trace(chain: &Chain) -> Option<TraceId> {
    let mut is_sure = Vec::with_capacity(chain.hops.len());
    let mut common = None;
    for hop in &chain.hops {
        let sure = match hop.parent {
            None => true,
            Some(parent) => hop.unsure_link().is_none() && is_sure.get(parent) == Some(&true),
        };
        is_sure.push(sure);
        match (ids::wire_trace(&hop.call), common) {
            (Some(trace), None) if sure => common = Some(trace),
            (Some(trace), Some(other)) if sure && trace != other => return None,
            _ => {}
        }
    }
    common
}

/// Passes on the spans of the calls of a chain that are `chosen`, the root's first.
pub fn of_chain<'c>(
    chain: &'c Chain,
    names: Names,
    chosen: &dyn Fn(&Call) -> bool,
    pass: &mut dyn FnMut(Observed<'c>),
) {
    let common = common_trace(chain);
    let mut places: Vec<Place> = Vec::with_capacity(chain.hops.len());
    for (index, hop) in chain.hops.iter().enumerate() {
        let call = &*hop.call;
        let above = sure_parent(hop).and_then(|parent| Some((chain.hops.get(parent)?, places.get(parent)?)));
        let wire = ids::wire_trace(call);
        // Earlier tries of the root stand beside it.
        let beside = (index > 0 && hop.parent.is_none()).then(|| places.first()).flatten();
        let trace = wire
            .or_else(|| above.map(|(_, place)| place.trace))
            .or_else(|| beside.map(|place| place.trace))
            .or_else(|| common.filter(|_| hop.parent.is_none()))
            .unwrap_or_else(|| ids::trace_id(call));
        let sent = wire.and(ids::wire_span(call));
        let linked = above.and_then(|(_, place)| place.inner.filter(|_| place.trace == trace));
        // A service that passes on the context that it got has made no span of its own.
        let is_passed_on =
            above.is_some_and(|(above, _)| sent.is_some() && above.call.span_id == call.span_id);
        let mut parent = if is_passed_on { linked.or(sent) } else { sent.or(linked) };
        let mut inner = linked;
        if chosen(call) {
            let above = above.map(|(above, _)| &*above.call);
            for &end in ends(call) {
                let (id, mut observed) = observed(call, end, above, names, (trace, parent));
                observed.span.attributes.extend(of_hop(chain, index));
                observed.span.links.extend(maybe_below(hop, &places));
                (parent, inner) = (Some(id), Some(id));
                pass(observed);
            }
        }
        places.push(Place { trace, inner });
    }
}

/// The spans of a call of which nothing is known but itself.
pub fn of_call<'c>(call: &'c Call, names: Names, pass: &mut dyn FnMut(Observed<'c>)) {
    let trace = ids::wire_trace(call);
    let mut parent = trace.and(ids::wire_span(call));
    let trace = trace.unwrap_or_else(|| ids::trace_id(call));
    for &end in ends(call) {
        let (id, observed) = observed(call, end, None, names, (trace, parent));
        parent = Some(id);
        pass(observed);
    }
}

/// The span of a call at one of its ends, with its id, in its trace and below its parent; `above` is the call that caused it.
fn observed<'c>(
    call: &'c Call,
    end: End,
    above: Option<&Call>,
    names: Names,
    (trace, parent): (TraceId, Option<SpanId>),
) -> (SpanId, Observed<'c>) {
    let name = match end {
        End::Client => caller(call, above),
        End::Server => callee(call),
    };
    let id = ids::span_id(call, end);
    let mut span = span(call, end, names);
    (span.trace_id, span.span_id) = (trace.to_vec(), id.to_vec());
    span.parent_span_id = parent.map(|parent| parent.to_vec()).unwrap_or_default();
    (id, Observed { call, end, service: Service { name, host: call.host.clone() }, span })
}

/// A link to the call that may have caused this one.
fn maybe_below(hop: &Hop, places: &[Place]) -> Option<Link> {
    let link = hop.unsure_link()?;
    let place = places.get(hop.parent?)?;
    let mut attributes = vec![attribute("rpcscope.confidence", Value::Double(link.confidence))];
    attributes.extend(link.evidence.strongest().map(|evidence| text("rpcscope.evidence", evidence.name())));
    Some(Link { trace_id: place.trace.to_vec(), span_id: place.inner?.to_vec(), attributes })
}

/// What the chain says of a hop.
fn of_hop(chain: &Chain, index: usize) -> Vec<message::KeyValue> {
    let mut attributes = Vec::new();
    let Some(hop) = chain.hops.get(index) else { return attributes };
    if index == 0 && chain.origin != Origin::Nothing {
        let origin = chain.origin_call().map(|call| Operation(call).to_string());
        attributes.push(text("rpcscope.origin", origin.unwrap_or_else(|| "not in the capture".to_owned())));
        let confidence = Value::Double(chain.origin_confidence);
        attributes.push(attribute("rpcscope.origin.confidence", confidence));
        attributes.push(text("rpcscope.sentence", bounded(&chain.sentence())));
    }
    if chain.origin.hop() == Some(index) && chain.is_origin_sure() {
        attributes.push(attribute("rpcscope.is_origin", Value::Bool(true)));
    }
    let changes: Vec<_> =
        chain.changes.iter().filter(|change| change.hop == index && change.is_fact()).collect();
    if !changes.is_empty() {
        attributes.push(texts("rpcscope.changes", changes.iter().map(|change| change.finding.name())));
    }
    if hop.retried_by.is_some() {
        attributes.push(attribute("rpcscope.retried", Value::Bool(true)));
    }
    if let Some(link) = hop.link.filter(|link| link.confidence >= FACT) {
        attributes
            .extend(link.evidence.strongest().map(|evidence| text("rpcscope.evidence", evidence.name())));
    }
    attributes
}

/// The span without its place.
fn span(call: &Call, end: End, names: Names) -> Span {
    let (kind, start, finish, peer) = match end {
        End::Client => {
            let finish = call.duration.map(|duration| call.start.0.saturating_add_unsigned(duration));
            (SpanKind::Client, call.start, finish.map_or(call.end, Timestamp), call.server)
        }
        End::Server => {
            let view = call.callee_view.as_deref();
            let own = (
                call.start,
                call.duration
                    .map_or(call.end, |duration| Timestamp(call.start.0.saturating_add_unsigned(duration))),
            );
            let (start, finish) = view.map_or(own, |view| (view.start, view.end));
            (SpanKind::Server, start, finish, call.client)
        }
    };
    let is_error = convention::is_error(call, end);
    let method = convention::method(call).into_owned();
    let mut attributes = vec![
        text("rpc.system.name", convention::system(call)),
        text("rpc.method", method.clone()),
        text("server.address", call.server.ip.to_string()),
        attribute("server.port", Value::Int(call.server.port.into())),
        text("network.peer.address", peer.ip.to_string()),
        attribute("network.peer.port", Value::Int(peer.port.into())),
        text("rpcscope.class", call.class().map_or("unknown", |class| class.name())),
        text("rpcscope.carrier", call.outcome.carrier.name()),
        text("rpcscope.transport", call.transport.name()),
        text("rpcscope.kind", call.kind.name()),
    ];
    let mut push = |value: Option<message::KeyValue>| attributes.extend(value);
    push(convention::status_code(call).map(|code| text(names.status_code(), code)));
    push(is_error.then(|| text("error.type", convention::error_type(call))));
    push(
        call.callee.as_deref().filter(|_| end == End::Client).map(|callee| text("service.peer.name", callee)),
    );
    push(
        (!call.findings.is_empty())
            .then(|| texts("rpcscope.findings", call.findings.iter().map(Finding::name))),
    );
    let said = call.outcome.message.as_deref().map(bounded);
    push(said.as_ref().map(|message| text("rpcscope.message", message.clone())));
    push(call.outcome.initiator.map(|initiator| text("rpcscope.initiator", initiator.name())));
    push(call.key().map(|key| text("rpcscope.call_key", key.to_string())));
    let [start, finish] = [start, finish.max(start)].map(|time| u64::try_from(time.0).unwrap_or(0));
    let status =
        is_error.then(|| Status { message: said.unwrap_or_default(), code: StatusCode::Error.into() });
    Span {
        name: method,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: finish,
        attributes,
        status,
        ..Span::default()
    }
}

/// A text of bounded length.
fn bounded(text: &str) -> String {
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= MAX_MESSAGE;
    text.char_indices().take_while(fits).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::record::{CalleeView, Named, Process};
    use crate::calls::{Carrier, Class, Uid, sample};
    use crate::chains::{Evidence, EvidenceSet, Link as Believed};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    /// A call between services, in a place of its own on the wire.
    fn call(number: u32, caller: &str, callee: &str) -> Call {
        let mut call = sample::ok();
        call.uid = Uid { packet: number.into(), ordinal: 0 };
        call.positions[0] = Some(number);
        (call.caller, call.callee) = (Some(caller.into()), Some(callee.into()));
        call.service = Some(callee.into());
        call
    }

    fn at_both_ends(mut call: Call) -> Call {
        let (start, end) = (Timestamp(call.start.0 + 1_000), Timestamp(call.end.0 - 1_000));
        call.callee_view = Some(Box::new(CalleeView { seen: 2, start, end, latency: Some(1_000) }));
        call
    }

    fn with_context(mut call: Call, trace: &str, span: &str) -> Call {
        (call.trace_id, call.span_id) = (Some(trace.into()), Some(span.into()));
        call
    }

    /// A chain in which each call but the first was caused by the one before, with this confidence.
    fn chain(calls: Vec<Call>, confidence: f64) -> Chain {
        let believed = Believed {
            evidence: EvidenceSet::from_iter([Evidence::Timing]),
            confidence,
            caller: 1.0,
            direct: 1.0,
        };
        let hops = calls.into_iter().enumerate().map(|(index, call)| Hop {
            link: (index > 0).then_some(believed),
            ..Hop::sample(call, index, index.checked_sub(1))
        });
        Chain {
            hops: hops.collect(),
            origin: Origin::Nothing,
            origin_confidence: 1.0,
            changes: Vec::new(),
            evidence: EvidenceSet::default(),
            confidence,
        }
    }

    /// Service, kind, and span of each.
    fn spans(chain: &Chain) -> Vec<(String, SpanKind, Span)> {
        let mut all = Vec::new();
        of_chain(chain, Names::default(), &|_| true, &mut |observed| {
            all.push((observed.service.name, observed.span.kind(), observed.span));
        });
        all
    }

    fn trace() -> Vec<u8> {
        u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes().to_vec()
    }

    #[test]
    fn a_call_seen_at_both_ends_is_two_spans_of_two_services() {
        let chain = chain(vec![at_both_ends(call(1, "web", "order")), call(2, "order", "stock")], 1.0);
        let all = spans(&chain);
        let ends: Vec<_> = all.iter().map(|(service, kind, _)| (&**service, *kind)).collect();
        assert_eq!(
            ends,
            [("web", SpanKind::Client), ("order", SpanKind::Server), ("order", SpanKind::Client)]
        );
        let [outer, inner, below] = [0, 1, 2].map(|at| &all[at].2);
        assert!(outer.parent_span_id.is_empty());
        assert_eq!(inner.parent_span_id, outer.span_id);
        assert_eq!(below.parent_span_id, inner.span_id);
        assert!(outer.start_time_unix_nano < inner.start_time_unix_nano);
        assert!(inner.end_time_unix_nano < outer.end_time_unix_nano);
        assert!(all.iter().all(|(.., span)| span.trace_id == outer.trace_id));
    }

    #[test]
    fn the_kind_is_that_of_the_host_that_captured() {
        for (observer, kind, service) in [
            (None, SpanKind::Client, "web"),
            (Some(Observer::Client), SpanKind::Client, "web"),
            (Some(Observer::Middle), SpanKind::Client, "web"),
            (Some(Observer::Server), SpanKind::Server, "order"),
        ] {
            let mut call = call(1, "web", "order");
            call.observer = observer;
            let all = spans(&chain(vec![call], 1.0));
            assert_eq!((all.len(), all[0].1, &*all[0].0), (1, kind, service));
        }
    }

    #[test]
    fn context_of_the_wire_is_kept_and_its_span_is_never_ours() {
        let first = with_context(at_both_ends(call(1, "web", "order")), TRACE, "0a");
        let second = with_context(call(2, "order", "stock"), TRACE, "0b");
        let all = spans(&chain(vec![first, second], 1.0));
        let parents: Vec<_> = all.iter().map(|(.., span)| span.parent_span_id.clone()).collect();
        let sent = |last| vec![0, 0, 0, 0, 0, 0, 0, last];
        assert_eq!(parents, [sent(0x0a), all[0].2.span_id.clone(), sent(0x0b)]);
        assert!(all.iter().all(|(.., span)| span.trace_id == trace()));
        assert!(all.iter().all(|(.., span)| ![sent(0x0a), sent(0x0b)].contains(&span.span_id)));
    }

    #[test]
    fn context_that_a_service_only_passes_on_names_no_span_of_that_service() {
        let first = with_context(call(1, "web", "order"), TRACE, "0a");
        let second = with_context(call(2, "order", "stock"), TRACE, "0a");
        let all = spans(&chain(vec![first, second], 1.0));
        assert_eq!(all[1].2.parent_span_id, all[0].2.span_id);
    }

    #[test]
    fn calls_without_context_are_in_the_one_trace_that_the_chain_has() {
        let chain_of = |trace: &str| {
            let second = with_context(call(2, "order", "stock"), TRACE, "0b");
            let third = with_context(call(3, "stock", "rows"), trace, "0c");
            chain(vec![call(1, "web", "order"), second, third], 1.0)
        };
        assert_eq!(spans(&chain_of(TRACE))[0].2.trace_id, trace());
        // Of several, none is that of the root.
        assert_ne!(spans(&chain_of("1"))[0].2.trace_id, trace());
        assert_eq!(spans(&chain_of("1"))[1].2.trace_id, trace());
    }

    #[test]
    fn what_is_not_sure_is_a_link_and_no_parent() {
        let all = spans(&chain(vec![call(1, "web", "order"), call(2, "order", "stock")], 0.5));
        let [above, below] = [0, 1].map(|at| &all[at].2);
        assert!(below.parent_span_id.is_empty() && below.trace_id != above.trace_id);
        assert_eq!((&below.links[0].trace_id, &below.links[0].span_id), (&above.trace_id, &above.span_id));
        assert_eq!(below.links[0].attributes[0], attribute("rpcscope.confidence", Value::Double(0.5)));
        assert_eq!(below.links[0].attributes[1], text("rpcscope.evidence", "timing"));
        assert!(above.links.is_empty());
    }

    #[test]
    fn services_without_a_name_are_called_by_what_is_known() {
        let nameless = |number| {
            let mut call = call(number, "", "");
            (call.caller, call.callee) = (None, None);
            call
        };
        let mut served = at_both_ends(nameless(1));
        let all = spans(&chain(vec![served.clone(), nameless(2)], 1.0));
        let names: Vec<_> = all.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["unknown:10.77.0.11", "unknown:10.77.0.12:8888", "unknown:10.77.0.12:8888"]);
        let process = |name: &str| Some(Process::new(1, name));
        served.set_processes([process("shop"), process("orderd")]);
        let all = spans(&chain(vec![served.clone(), nameless(2)], 1.0));
        let names: Vec<_> = all.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["shop", "orderd", "orderd"]);
        let of_file = |name: Option<&str>| {
            let name = name.map(Into::into);
            Some(Arc::new(Named { name, pod: Some("shop/x-1".into()), ..Named::default() }))
        };
        // A pod is no service.
        served.set_names([of_file(None), of_file(Some("order.shop"))]);
        let all = spans(&chain(vec![served, nameless(2)], 1.0));
        let names: Vec<_> = all.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["shop", "order.shop", "order.shop"]);
    }

    #[test]
    fn errors_have_their_status_and_where_they_began() {
        let mut root = sample::failed(Class::Rpc, Carrier::ThriftException, Some(6), "remote: \n no stock");
        root.positions[0] = Some(1);
        let mut failed = chain(vec![root, call(2, "order", "stock")], 1.0);
        failed.origin = Origin::At(0);
        let all = spans(&failed);
        let status = all[0].2.status.as_ref().unwrap();
        assert_eq!((status.code(), &*status.message), (StatusCode::Error, "remote: \n no stock"));
        let has = |at: usize, key: &str| all[at].2.attributes.iter().any(|attribute| attribute.key == key);
        for key in ["error.type", "rpcscope.origin", "rpcscope.is_origin", "rpcscope.sentence"] {
            assert!(has(0, key) && !has(1, key), "{key}");
        }
        assert_eq!(all[1].2.status, None);
    }

    #[test]
    fn texts_and_times_are_bounded() {
        let mut call = sample::failed(Class::Business, Carrier::BizStatus, Some(7), &"é".repeat(4_000));
        (call.start, call.end, call.duration) = (Timestamp(-5), Timestamp(-9), Some(u64::MAX));
        let span = span(&call, End::Client, Names::default());
        assert_eq!(span.status.unwrap().message.len(), MAX_MESSAGE);
        assert_eq!(span.start_time_unix_nano, 0);
        assert_eq!(span.end_time_unix_nano, i64::MAX as u64);
    }
}
