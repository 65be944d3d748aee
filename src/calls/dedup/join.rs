//! Joins the copies of one call into one record.

use rpcscope_parsers::event::Transport;

use super::{Views, is_stream};
use crate::calls::record::{Call, CalleeView, Class, Finding, Observer};
use crate::decode::Network;

/// Findings about parts of a call that a capture does not have.
const LOSSES: [Finding; 4] = [Finding::MidStream, Finding::Gap, Finding::Truncated, Finding::Shed];

/// Joins the copies of a call into one record; `None` if there are none.
///
/// The capture nearest to the caller decides, because it shows what the caller saw, in particular if the call broke there although
/// the callee sent an answer ([`Finding::AnswerLost`]). There are two exceptions. A capture with missing packets yields to a complete
/// one. A missing answer proves nothing if the connection went on and the other end shows the answer: TCP would have retransmitted it.
#[must_use]
pub fn join(mut views: Views) -> Option<Box<Call>> {
    if views.len() < 2 {
        return views.pop();
    }
    // Sort from the caller to the callee, as far as hosts know where they stand: the caller waits longest. If that is unknown, it saw the
    // request first. Nothing depends on the order of the captures where one of two has missing packets.
    let side = |view: &Call| match view.observer {
        Some(Observer::Client) => 0,
        Some(Observer::Middle) | None => 1,
        Some(Observer::Server) => 2,
    };
    let all_answered = views.iter().all(|view| view.latency.is_some());
    views.sort_by_key(|view| {
        let wait = view.latency.filter(|_| all_answered).unwrap_or(0);
        (
            !has_request(view),
            side(view),
            std::cmp::Reverse(wait),
            view.start,
            !is_whole(view),
            view.capture_point,
        )
    });
    let seen = views.len() as u32;
    let decided = views.iter().map(|view| view.decided).max().unwrap_or(0);
    let caller = &*views[0];
    let broke = has_request(caller) && broke_at_caller(caller);
    let lost = broke && views.iter().any(|view| was_answered(view) && !has_begun_only(view));
    let best = if broke {
        0
    } else {
        // Among equals the first, which is nearest to the caller.
        (0..views.len()).max_by_key(|&at| (knowledge(&views[at]), std::cmp::Reverse(at))).unwrap_or(0)
    };
    // Times are those at the caller if its capture has them all.
    let timed = if has_request(caller) && caller.latency.is_some() { 0 } else { best };
    let callee = views.iter().rposition(|view| has_request(view));
    let callee_view = callee.map(|at| {
        let view = &views[at];
        let latency = view.latency.filter(|_| at != timed);
        Box::new(CalleeView { seen, start: view.start, end: view.end, latency })
    });
    // A capture without the request only has the time of the answer.
    let start = if has_request(&views[timed]) { views[timed].start } else { caller.start };
    let end = views[timed].end;
    let (latency, duration) = (views[timed].latency, views[timed].duration);
    let mut call = views.remove(best);
    for view in &views {
        complete(&mut call, view);
    }
    call.decided = decided;
    call.start = start;
    call.end = end;
    call.latency = latency;
    if was_answered(&call) {
        call.duration = duration.or(call.duration);
    }
    call.callee_view = callee_view;
    if lost {
        call.findings.insert(Finding::AnswerLost);
    }
    Some(call)
}

/// Whether the request was captured.
fn has_request(call: &Call) -> bool {
    call.positions[0].is_some()
        || call.told.as_ref().is_some_and(|told| told.key.is_some() && call.network == Network::Tcp)
        || (call.network == Network::Udp && !call.findings.contains(Finding::MidStream))
}

fn is_whole(call: &Call) -> bool {
    !LOSSES.iter().any(|loss| call.findings.contains(*loss))
}

/// Whether an answer was seen, readable or not.
fn was_answered(call: &Call) -> bool {
    match call.class() {
        Some(class) => matches!(class, Class::Ok | Class::Business | Class::Rpc),
        None => !is_answer_missing(call),
    }
}

/// Whether the end of an answer that comes in parts may be among the missing packets: its beginning says nothing of it.
fn has_begun_only(call: &Call) -> bool {
    let in_parts = is_stream(call) || matches!(call.transport, Transport::Http1 | Transport::Http2);
    call.class().is_none() && in_parts && !is_whole(call)
}

/// Whether nothing of an answer was seen, and it may be among the missing packets.
fn is_answer_missing(call: &Call) -> bool {
    call.class().is_none() && call.latency.is_none() && !is_whole(call)
}

/// Whether the capture at the caller proves that no answer came in time, because the call broke before. Datagrams are not
/// retransmitted, so a missing one counts too.
fn broke_at_caller(call: &Call) -> bool {
    let unanswered = call.class() == Some(Class::Unanswered) && call.network == Network::Udp;
    is_whole(call) && (call.class() == Some(Class::Transport) || unanswered)
}

/// How much a capture shows about the end of a call; higher is more.
fn knowledge(call: &Call) -> u8 {
    match (call.class(), is_whole(call)) {
        (None, _) if is_answer_missing(call) => 0,
        (None, _) if has_begun_only(call) => 2,
        (None, _) => 5,
        (Some(Class::Transport), true) => 4,
        (Some(Class::Unanswered), true) => 3,
        (Some(Class::Transport), false) => 1,
        (Some(Class::Unanswered), false) => 0,
        // An answer: what was read is more than what was concluded.
        (Some(_), _) if call.findings.contains(Finding::StatusDeduced) => 6,
        (Some(_), false) => 7,
        (Some(_), true) => 8,
    }
}

/// Adds what only another capture of the call shows.
fn complete(call: &mut Call, view: &Call) {
    fn fill<T: Clone>(value: &mut Option<T>, other: Option<&T>) {
        if value.is_none() {
            *value = other.cloned();
        }
    }
    if call.findings.contains(Finding::NameFromAnswer) && !view.findings.contains(Finding::NameFromAnswer) {
        // The captured request names the method itself.
        if view.method.is_some() {
            (call.service, call.method) = (None, None);
            call.findings.remove(Finding::NameFromAnswer);
        }
    }
    fill(&mut call.service, view.service.as_ref());
    fill(&mut call.method, view.method.as_ref());
    fill(&mut call.caller, view.caller.as_ref());
    fill(&mut call.callee, view.callee.as_ref());
    fill(&mut call.sender, view.sender.as_ref());
    fill(&mut call.names, view.names.as_ref());
    fill(&mut call.codec, view.codec.as_ref());
    fill(&mut call.timeout, view.timeout.as_ref());
    fill(&mut call.trace_id, view.trace_id.as_ref());
    fill(&mut call.span_id, view.span_id.as_ref());
    fill(&mut call.log_id, view.log_id.as_ref());
    call.request_bytes = call.request_bytes.max(view.request_bytes);
    call.request_messages = call.request_messages.max(view.request_messages);
    // Parts of the answer that never reached the caller do not count.
    if was_answered(call) {
        call.response_bytes = call.response_bytes.max(view.response_bytes);
        call.response_messages = call.response_messages.max(view.response_messages);
    }
    if (call.class(), call.outcome.code) == (view.class(), view.outcome.code) {
        fill(&mut call.outcome.message, view.outcome.message.as_ref());
        if call.outcome.details().is_empty() && !view.outcome.details().is_empty() {
            call.outcome.extra().details = view.outcome.details().to_vec();
        }
    }
    // With compressed headers, a capture with missing packets shows only some of them.
    for answer in [false, true] {
        let headers = |of: &Call| of.metadata.iter().filter(|header| header.0 == answer).count();
        if headers(view) > headers(call) && (!answer || was_answered(call)) {
            call.metadata.retain(|header| header.0 != answer);
            call.metadata.extend(view.metadata.iter().filter(|header| header.0 == answer).cloned());
        }
    }
    call.metadata.sort_by_key(|header| header.0);
    let marked = |of: &Call| of.marks.as_ref().map_or(0, |marks| marks.headers);
    if marked(view) > marked(call) {
        call.marks.clone_from(&view.marks);
    }
}
