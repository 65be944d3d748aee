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
    let name = call.callee.as_ref().or_else(process);
    name.map_or_else(|| format!("unknown:{}", call.server), ToString::to_string)
}

/// The name of the service that calls; `above` is the call that caused this one.
fn caller(call: &Call, above: Option<&Call>) -> String {
    let process = || call.process(Initiator::Client).map(|process| process.name.to_string());
    let name = call.caller.as_ref().map(Name::to_string);
    let name = name.or_else(|| above.map(callee)).or_else(process);
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
                let service = match end {
                    End::Client => caller(call, above),
                    End::Server => callee(call),
                };
                let id = ids::span_id(call, end);
                let mut span = span(call, end, names);
                (span.trace_id, span.span_id) = (trace.to_vec(), id.to_vec());
                span.parent_span_id = parent.map(|parent| parent.to_vec()).unwrap_or_default();
                span.attributes.extend(of_hop(chain, index));
                span.links.extend(maybe_below(hop, &places));
                (parent, inner) = (Some(id), Some(id));
                pass(Observed {
                    call,
                    end,
                    service: Service { name: service, host: call.host.clone() },
                    span,
                });
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
        let name = match end {
            End::Client => caller(call, None),
            End::Server => callee(call),
        };
        let id = ids::span_id(call, end);
        let mut span = span(call, end, names);
        (span.trace_id, span.span_id) = (trace.to_vec(), id.to_vec());
        span.parent_span_id = parent.map(|parent| parent.to_vec()).unwrap_or_default();
        parent = Some(id);
        pass(Observed { call, end, service: Service { name, host: call.host.clone() }, span });
    }
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
