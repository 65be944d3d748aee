//! Judges a finished tree of calls: which attempt decided, where the error began, how each hop changed it.
//!
//! Everything here is a function of the tree; its links are settled before.

use std::cmp::Reverse;

use rpcscope_parsers::Rpc;
use smallvec::SmallVec;

use super::record::{Chain, Change, EvidenceSet, Hop, Link, Origin, Reported, UNKNOWN, confidence_between};
use super::wording::{self, Relation};
use crate::calls::record::{Call, CallKind, Carrier, Class, Finding, Initiator};
use crate::codes::{self, Family, grpc, trpc, trpc::Progress};
use crate::time::Timestamp;

/// By how much a callee's answer may seem to come after that of its caller, nanoseconds: clocks of two hosts are known that well.
const CLOCKS: i64 = 500_000;

/// How long a call must have waited for its answer when its service answered to be told as one that got none, nanoseconds, where its
/// time-out is not known.
const PATIENCE: i64 = 1_000_000_000;

/// Octets by which the numbers of a tRPC head change its length from call to call: an id and a time-out.
const TRPC_NUMBERS: u64 = 1;

/// Bytes by which the requests of two attempts at one call may differ: deadlines in the header; where the record has no headers, also what says
/// that it is a further try.
const RETRY_SIZE_SLACK: [u64; 2] = [16, 64];

/// Calls of one caller before and after a failed one among which further tries of it are looked for.
const REACH: usize = 64;

/// Judges a finished tree. `egress_seen` is whether the capture has calls made by the process that answered the hop
/// with that index and call. The hops are taken when all is judged: a fault on the way leaves them.
pub(super) fn judge(hops: &mut Vec<Hop>, egress_seen: impl Fn(usize, &Call) -> bool) -> Chain {
    let children = children_of(hops);
    note_unread(hops, &children);
    mark_retries(hops, &children);
    let origin = origin(hops, &children, egress_seen);
    let changes = changes(hops, &children);
    let links = hops.iter().filter_map(|hop| hop.link);
    let evidence = links.clone().fold(EvidenceSet::default(), |all, link| all.union(link.evidence));
    let confidence = links.map(|link| link.confidence).product();
    let origin_confidence =
        origin.lowest().map_or(1.0, |lowest| confidence_between(hops, &changes, lowest, 0));
    Chain { hops: std::mem::take(hops), origin, origin_confidence, changes, evidence, confidence }
}

/// Indices of the children of every hop, by start.
fn children_of(hops: &[Hop]) -> SmallVec<[Vec<usize>; 1]> {
    // Most chains are single calls.
    let mut children: SmallVec<[Vec<usize>; 1]> = SmallVec::from_elem(Vec::new(), hops.len());
    for (index, hop) in hops.iter().enumerate() {
        if let Some(parent) = hop.parent {
            children[parent].push(index);
        }
    }
    children
}

/// Whether the text of a failed call's answer has anything of that of a callee.
fn is_text_related(below: &Call, above: &Call) -> bool {
    match (&above.outcome.message, &below.outcome.message) {
        (Some(above), Some(below)) => wording::is_related(above, below),
        _ => false,
    }
}

/// Notes which calls made others of which it is not known how they ended, or which were still at work when their caller answered.
fn note_unread(hops: &mut [Hop], children: &[Vec<usize>]) {
    for (index, children) in children.iter().enumerate() {
        let above = &*hops[index].call;
        let is_unread = |hop: &Hop| {
            if hop.after_answer {
                // The clock may be wrong instead.
                hop.call.failed() && is_text_related(&hop.call, above)
            } else {
                hop.call.class().is_none() || is_late(&hop.call, above)
            }
        };
        let unread_below = children.iter().any(|&child| is_unread(&hops[child]));
        hops[index].unread_below = unread_below;
    }
}

/// When the work on a call was done, by the clock of the host that did it if that was captured.
fn done(call: &Call) -> Timestamp {
    call.callee_view.as_deref().map_or(call.end, |view| view.end)
}

/// Whether the answer to a call came when its caller had already answered, or had been given up: the caller can't have passed it on,
/// nor did it hide it. The same holds where the caller cancelled the call only then.
///
/// Other resets are not late: streams of some protocols are cancelled from the outermost call inwards.
pub(super) fn is_late(below: &Call, above: &Call) -> bool {
    let is_answer = matches!(below.class(), Some(Class::Ok | Class::Business | Class::Rpc))
        && below.outcome.initiator.is_none();
    let is_over = matches!(above.class(), Some(Class::Ok | Class::Business | Class::Rpc | Class::Transport));
    // The order of one capture is exact.
    let clocks = if below.callee_view.is_some() || above.callee_view.is_some() { CLOCKS } else { 0 };
    (is_answer || is_given_up(below)) && is_over && below.end.0 > done(above).0.saturating_add(clocks)
}

/// Whether the caller of a call did not wait for its answer.
fn is_given_up(call: &Call) -> bool {
    call.class() == Some(Class::Transport) && call.outcome.initiator == Some(Initiator::Client)
}

/// Whether two calls of one caller are attempts at the same call: the same operation, and requests of the same size, unless the
/// later one says that it is a further try.
fn same_attempt(a: &Hop, b: &Hop) -> bool {
    let later = if a.call.start <= b.call.start { b } else { a };
    let (one, other) = sizes(&a.call, &b.call);
    let is_bare = later.call.marks.is_none() && later.call.metadata.is_empty();
    let slack = RETRY_SIZE_SLACK[usize::from(is_bare)];
    same_operation(a, b) && (later.is_retry || one.abs_diff(other) <= slack)
}

/// The sizes of two requests, without the headers where that is known: they shrink from call to call, and hold what is left of a deadline.
fn sizes(a: &Call, b: &Call) -> (u64, u64) {
    match (a.message_bytes[0], b.message_bytes[0]) {
        (0, _) | (_, 0) => (a.request_bytes, b.request_bytes),
        messages => messages,
    }
}

/// Whether two calls are of the same operation.
fn same_operation(a: &Hop, b: &Hop) -> bool {
    let (a, b) = (&a.call, &b.call);
    a.service == b.service && a.method == b.method && a.rpc == b.rpc && a.kind == b.kind
}

/// Whether the later of two calls of the same operation may be another request instead of a further try: it does not say that it is
/// one, and the requests differ, or the caller asks for the same operation several times anyway.
fn may_be_another(hops: &[Hop], siblings: &[usize], tried: usize, again: usize) -> bool {
    if hops[tried].is_retry || hops[again].is_retry {
        return false;
    }
    let (one, other) = sizes(&hops[tried].call, &hops[again].call);
    let numbers = if hops[tried].call.rpc == Rpc::Trpc { TRPC_NUMBERS } else { 0 };
    let differ = one.abs_diff(other) > numbers;
    let is_repeated = siblings.iter().any(|&other| {
        let is_other = other != tried && other != again && same_operation(&hops[tried], &hops[other]);
        is_other && hops[other].call.class() == Some(Class::Ok)
    });
    differ || is_repeated
}

/// Marks failed attempts that were retried afterwards, or hedged by a parallel one. The last attempt decides; an answered one
/// takes precedence over a failed one.
fn mark_retries(hops: &mut [Hop], children: &[Vec<usize>]) {
    for siblings in children {
        for (place, &index) in siblings.iter().enumerate() {
            let call = &hops[index].call;
            // A business error is an answer; the same call after it is not a retry.
            if !matches!(call.class(), Some(Class::Rpc | Class::Transport | Class::Unanswered)) {
                continue;
            }
            let near = &siblings[place.saturating_sub(REACH)..siblings.len().min(place + REACH)];
            let later = &siblings[place + 1..siblings.len().min(place + 1 + REACH)];
            let again = later.iter().copied().filter(|&other| same_attempt(&hops[index], &hops[other]));
            // The next try may begin before the connection of the one that timed out is closed.
            let gave_up = matches!(call.class(), Some(Class::Unanswered | Class::Transport));
            let sequential = again.clone().rfind(|&other| hops[other].call.start >= call.end || gave_up);
            // A hedged request runs in parallel with the first; the answered one decides.
            let hedge = near.iter().copied().find(|&other| {
                let hedge = &hops[other].call;
                other != index
                    && hedge.start < call.end
                    && call.start < hedge.end
                    && !hedge.failed()
                    && same_attempt(&hops[index], &hops[other])
            });
            let retried_by = hedge.or(sequential);
            let is_doubtful = retried_by.is_some_and(|by| may_be_another(hops, near, index, by));
            hops[index].retried_by = retried_by;
            hops[index].is_retry_doubtful = is_doubtful;
        }
    }
}

/// Probability that the failed tries among the callees were made up for by further tries of the same caller, 0 to 1.
fn sure_retries(hops: &[Hop], children: &[usize]) -> f64 {
    let of = |&child: &usize| {
        let by = hops[child].retried_by?;
        let doubt = if hops[child].is_retry_doubtful { UNKNOWN } else { 1.0 };
        Some(hops[by].unsure_link().map_or(1.0, |link| link.confidence) * doubt)
    };
    children.iter().filter_map(of).product()
}

/// Probability that at least one of the calls that are linked below a call is its own, as far as a single one of them says so, 0 to 1.
fn surest_link(hops: &[Hop], children: &[usize]) -> f64 {
    let links =
        children.iter().filter(|&&child| !hops[child].after_answer).filter_map(|&child| hops[child].link);
    links.map(|link| link.confidence).reduce(f64::max).unwrap_or(1.0)
}

/// Probability that a call failed although all its own calls were ok, 0 to 1.
fn surely_alone(hops: &[Hop], index: usize, children: &[usize]) -> f64 {
    (1.0 - hops[index].missed) * sure_retries(hops, children) * surest_link(hops, children)
}

/// Probability that no further try made up for a failed call, 0 to 1.
fn failed_for_good(hop: &Hop) -> f64 {
    if hop.is_retry_doubtful { UNKNOWN } else { 1.0 }
}

/// Whether a call can be the reason for its parent's error.
fn counts(hop: &Hop) -> bool {
    hop.failed() && !hop.after_answer && hop.call.kind != CallKind::Oneway
}

/// How far the call came that a service reports as failed by a code of its client. `None` if it reports none.
fn own_call(call: &Call) -> Option<Progress> {
    let outcome = &call.outcome;
    let is_ret = matches!(
        outcome.carrier,
        Carrier::Ret | Carrier::TrpcStreamClose | Carrier::TrpcStreamReset | Carrier::TrpcStreamInit
    );
    // An answer with a code of the handler too is an exception that the handler made (trpc-java `TRpcException`).
    let is_framework = is_ret && outcome.func_ret.is_none_or(|func_ret| func_ret == 0);
    outcome.code.filter(|_| is_framework).and_then(|code| trpc::progress(code, outcome.message.as_deref()))
}

/// The child that explains how a service answered.
#[derive(Clone, Copy)]
struct Cause {
    hop: usize,
    /// Probability that it is this one of the children, and that it had failed when the service answered, 0 to 1.
    share: f64,
}

/// Whether a call without an answer may merely have been at work when the one that made it ended, or the capture: it had not waited long,
/// and not for as long as it said. A stream with messages goes on.
fn may_be_open(call: &Call, above: &Call) -> bool {
    if call.class() != Some(Class::Unanswered) {
        return false;
    }
    let waited = call.end.min(done(above)).0.saturating_sub(call.start.0);
    call.response_messages > 0 || waited < PATIENCE && !is_timed_out(call, waited)
}

/// Whether a call waited for as long as it said it would.
fn is_timed_out(call: &Call, waited: i64) -> bool {
    call.timeout.is_some_and(|timeout| waited >= i64::try_from(timeout).unwrap_or(i64::MAX))
}

/// Whether a failed call says that its service did not wait for the answer of one of its own.
fn speaks_of_giving_up(call: &Call) -> bool {
    let is_code = call.code_family() == Some(Family::Grpc)
        && matches!(call.outcome.code, Some(grpc::CANCELLED | grpc::DEADLINE_EXCEEDED));
    let is_progress = own_call(call) == Some(Progress::GivenUp);
    let is_text = || call.outcome.message.as_deref().is_some_and(wording::speaks_of_giving_up);
    call.failed() && (is_code || is_progress || is_text())
}

/// Probability that a failed callee had failed when its caller ended, and that its caller ended for that reason, as far as both calls
/// alone tell, 0 to 1.
fn plausibility(below: &Call, above: &Call) -> f64 {
    let is_silent = |call: &Call| matches!(call.class(), Some(Class::Transport | Class::Unanswered));
    let is_doubtful = if is_silent(above) {
        // It may still have been at work on something else.
        !is_silent(below) || may_be_open(below, above)
    } else {
        let waited = below.end.0.saturating_sub(below.start.0);
        // Who cancels a call need not do so because it failed.
        let is_left = is_given_up(below) && !is_timed_out(below, waited);
        (is_left || may_be_open(below, above)) && !speaks_of_giving_up(above)
    };
    if is_doubtful { UNKNOWN } else { 1.0 }
}

/// The failed child that best explains how `above` ended, or the one whose good answer its client could not use.
fn explaining(hops: &[Hop], children: &[usize], above: &Call) -> Option<Cause> {
    let progress = own_call(above).filter(|_| above.failed());
    let is_text = |below: &Call| is_text_related(below, above);
    let is_code = |below: &Call| below.outcome.code.is_some() && below.outcome.code == above.outcome.code;
    let gave_up = speaks_of_giving_up(above);
    let failed = children.iter().copied().filter(|&child| {
        let hop = &hops[child];
        // The service tells the error of a try that another one seems to have made up for.
        let is_told = || above.failed() && !hop.after_answer && hop.call.failed() && is_text(&hop.call);
        counts(hop) || is_told()
    });
    let ranked: SmallVec<[_; 4]> = failed
        .map(|child| {
            let below = &*hops[child].call;
            let (text, code) = (is_text(below), is_code(below));
            let is_end = progress.is_some_and(|progress| fits(progress, below, above));
            let fits = progress.is_some() && (text || code || is_end);
            ((fits, text, code), child, is_end)
        })
        .filter(|&(.., child, is_end)| is_end || gave_up || !is_late(&hops[child].call, above))
        .map(|(rank, child, _)| (rank, child))
        .collect();
    // Among equals the last to end, because the answer followed it; uids make the choice deterministic.
    let best = ranked.iter().copied().max_by_key(|&(rank, child)| {
        let below = &*hops[child].call;
        (rank, below.end.min(above.end), Reverse(below.uid))
    });
    let of_failed = best.map(|(rank, child)| {
        let below = &*hops[child].call;
        // It may be any of those that ran beside the last one and failed alike.
        let is_beside = |&&(other, place): &&(_, usize)| other == rank && hops[place].call.end > below.start;
        let beside = ranked.iter().filter(is_beside).count();
        let share = plausibility(below, above) * failed_for_good(&hops[child]) / beside.max(1) as f64;
        (rank.0, Cause { hop: child, share })
    });
    match (of_failed, progress) {
        (Some((true, cause)), _) | (Some((false, cause)), None) => Some(cause),
        // A call that was never sent can't be one of the others that failed.
        (_, Some(Progress::Unsent)) | (None, None) => None,
        (other, Some(progress)) => unused(hops, children, above, progress).or(other.map(|(_, cause)| cause)),
    }
}

/// Whether the end of a call is what a client that raised such a code saw of it.
fn fits(progress: Progress, below: &Call, above: &Call) -> bool {
    let is_broken = matches!(below.class(), Some(Class::Transport | Class::Unanswered));
    let is_unreadable = below.findings.contains(Finding::UndecodableAnswer)
        || below.findings.contains(Finding::ForeignAnswer);
    match progress {
        Progress::Unsent => false,
        Progress::GivenUp => {
            is_broken || below.findings.contains(Finding::LateAnswer) || below.end > above.end
        }
        Progress::Broken => is_broken,
        Progress::Answered => !is_broken && (!below.failed() || is_unreadable),
    }
}

/// The child whose good answer the client of `above` could not use: it came too late, or it could not be read.
fn unused(hops: &[Hop], children: &[usize], above: &Call, progress: Progress) -> Option<Cause> {
    let fitting = || {
        children.iter().copied().filter(|&child| {
            let hop = &hops[child];
            let is_ok = hop.call.class() == Some(Class::Ok) && !hop.after_answer;
            is_ok && hop.call.kind != CallKind::Oneway && fits(progress, &hop.call, above)
        })
    };
    let last = fitting().max_by_key(|&child| (hops[child].call.end, Reverse(hops[child].call.uid)))?;
    // The service answered after the call that failed; it may be any of those that ran beside the last one.
    let beside = fitting().filter(|&child| hops[child].call.end > hops[last].call.start).count();
    Some(Cause { hop: last, share: 1.0 / beside.max(1) as f64 })
}

/// Where the error began.
///
/// From a failed root, follow the failed calls that explain each other down. From a root that is ok although one of its callees
/// failed, start at that callee: the service saw an error and did not report it. Deeper, a swallowed business error still has an
/// origin. A framework failure that was recovered two or more hops below the root is fault tolerance at work: shown as `swallowed`,
/// but not an origin.
fn origin(hops: &[Hop], children: &[Vec<usize>], egress_seen: impl Fn(usize, &Call) -> bool) -> Origin {
    let start = if hops[0].failed() {
        Some(0)
    } else {
        explaining(hops, &children[0], &hops[0].call).map(|cause| cause.hop).or_else(|| {
            (0..hops.len()).find(|&index| {
                let hop = &hops[index];
                let is_hidden = |above: &Call| !above.failed() && !is_late(&hop.call, above);
                hop.parent.is_some_and(|parent| is_hidden(&hops[parent].call))
                    && counts(hop)
                    && hop.call.class() == Some(Class::Business)
            })
        })
    };
    let Some(mut at) = start else { return Origin::Nothing };
    while hops[at].call.failed()
        && let Some(cause) = explaining(hops, &children[at], &hops[at].call)
    {
        at = cause.hop;
    }
    match own_call(&hops[at].call) {
        Some(Progress::Unsent) => Origin::InClient(at),
        _ if cause_is_hidden(&hops[at].call, |call| egress_seen(at, call)) => Origin::BelowOf(at),
        _ => Origin::At(at),
    }
}

/// Whether a failed call without a failed callee reports by itself that a call of its own failed.
fn cause_is_hidden(call: &Call, egress_seen: impl Fn(&Call) -> bool) -> bool {
    // A call that was sent (it timed out, its connection broke, its answer was unreadable) is in the capture if the process's
    // calls are; if none of them failed there, the code is the callee's own.
    let speaks = || call.outcome.message.as_deref().is_some_and(wording::speaks_of_callee);
    !egress_seen(call) && (own_call(call).is_some() || speaks())
}

/// How every hop changed the errors of its callees, the lowest hops first.
fn changes(hops: &[Hop], children: &[Vec<usize>]) -> Vec<Change> {
    let mut changes = Vec::new();
    if hops.len() == 1 {
        return changes;
    }
    let mut order: Vec<usize> = (0..hops.len()).collect();
    order.sort_by_key(|&index| (Reverse(hops[index].depth), index));
    for index in order {
        let call = &hops[index].call;
        let mut add = |below: Option<Cause>, finding, prefixes| {
            let from = match below {
                Some(below) => Reported::of(&hops[below.hop].call),
                None => Reported { class: Some(Class::Ok), code: None, message: None },
            };
            let at = call.callee.clone().or_else(|| call.service.clone());
            let confidence = match below {
                Some(Cause { hop, share }) => {
                    let sure = |link: Link| link.confidence * link.share_of(finding);
                    hops[hop].link.map_or(1.0, sure) * share
                }
                None => surely_alone(hops, index, &children[index]),
            };
            let below = below.map(|cause| cause.hop);
            let to = Reported::of(call);
            changes.push(Change { hop: index, below, at, from, to, finding, prefixes, confidence });
        };
        if call.failed() {
            match explaining(hops, &children[index], call) {
                Some(below) => {
                    for (finding, prefixes) in compare(&hops[below.hop].call, call) {
                        add(Some(below), finding, prefixes);
                    }
                }
                // A failed callee may be left that has nothing to do with this failure.
                None if children[index].iter().any(|&child| !hops[child].after_answer)
                    && !hops[index].unread_below
                    && !children[index].iter().any(|&child| counts(&hops[child])) =>
                {
                    add(None, Finding::FailedAlone, 0);
                }
                None => {}
            }
        } else if call.class() == Some(Class::Ok) {
            // Who sent no answer, or one that is not known, may have passed the error on.
            for &below in &children[index] {
                let failed = &hops[below].call;
                if counts(&hops[below]) && !is_late(failed, call) {
                    let share = plausibility(failed, call) * failed_for_good(&hops[below]);
                    add(Some(Cause { hop: below, share }), Finding::Swallowed, 0);
                }
            }
        }
    }
    changes
}

/// Whether the framework failed, not the business logic.
fn is_framework(class: Option<Class>) -> bool {
    matches!(class, Some(Class::Rpc | Class::Transport | Class::Unanswered))
}

/// Whether the code of a call only means "some error".
fn is_generic(call: &Call) -> bool {
    let known = call.code_family().zip(call.outcome.code);
    known.is_some_and(|(family, code)| codes::is_catch_all(family, code))
}

/// How the answer `above` differs from the error `below` that explains it, with the number of hop prefixes that were added.
fn compare(below: &Call, above: &Call) -> Vec<(Finding, u32)> {
    if !below.failed() || is_late(below, above) {
        return vec![(Finding::CauseBelow, 0)];
    }
    let mut found = Vec::new();
    let (from, to) = (&below.outcome, &above.outcome);
    match (is_framework(from.class), is_framework(to.class)) {
        (false, true) => found.push((Finding::BusinessBecameRpc, 0)),
        (true, false) => found.push((Finding::RpcBecameBusiness, 0)),
        _ => {}
    }
    let forwarded =
        to.carrier == Carrier::Ret && to.code.is_some_and(|code| trpc::CLIENT_CODES.contains(&code));
    let broken = |class| matches!(class, Some(Class::Transport | Class::Unanswered));
    match (from.code, to.code) {
        // The call below has no status from a callee; its caller's own framework worded the failure.
        _ if broken(from.class) && !broken(to.class) && (is_framework(to.class) || forwarded) => {
            found.push((Finding::CauseBelow, 0));
        }
        _ if broken(from.class) => {}
        // It sent no answer: what it would have told is not known.
        _ if broken(to.class) && found.is_empty() => found.push((Finding::CauseBelow, 0)),
        _ if broken(to.class) => {}
        (Some(a), Some(b)) if a != b && is_generic(above) => found.push((Finding::CodeLost, 0)),
        (Some(a), Some(b)) if a != b => found.push((Finding::CodeChanged, 0)),
        (Some(_), None) => found.push((Finding::CodeLost, 0)),
        (None, Some(_)) if is_generic(above) => found.push((Finding::CodeLost, 0)),
        (None, Some(_)) => found.push((Finding::CodeChanged, 0)),
        _ => {}
    }
    if let (Some(before), Some(after)) = (&from.message, &to.message) {
        match wording::relation(after, before) {
            Relation::Same => {}
            Relation::Wrapped { prefixes } => found.push((Finding::MessageChanged, prefixes)),
            Relation::Other => found.push((Finding::MessageChanged, 0)),
        }
    }
    if found.is_empty() {
        found.push((Finding::PassedOn, 0));
    }
    found
}

#[cfg(test)]
mod tests;
