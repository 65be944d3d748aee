//! From a tree of calls to what it says: which try decided, where the error began, what each hop made of it.
//!
//! Everything here is a function of the tree; who caused whom has been settled before.

use std::cmp::Reverse;

use super::record::{Chain, Change, EvidenceSet, Hop, Origin, Outcome};
use super::wording::{self, Relation};
use crate::calls::record::{Call, CallKind, Carrier, Class, Finding};
use crate::codes::{self, trpc};

/// Bytes by which the requests of two tries of one call may differ (deadlines and attempt counters in the header).
const RETRY_SIZE_SLACK: u64 = 16;

/// Judges a finished tree. `egress_seen` tells of a hop whether the capture holds calls of the process that answered it.
pub(super) fn judge(mut hops: Vec<Hop>, egress_seen: impl Fn(usize) -> bool) -> Chain {
    let children = children_of(&hops);
    mark_retries(&mut hops, &children);
    let origin = origin(&hops, &children, egress_seen);
    let changes = changes(&hops, &children);
    let links = hops.iter().filter_map(|hop| hop.link);
    let evidence = links.clone().fold(EvidenceSet::default(), |all, link| all.union(link.evidence));
    let confidence = links.map(|link| link.confidence).product();
    Chain { hops, origin, changes, evidence, confidence }
}

/// Indices of the children of every hop, by start.
fn children_of(hops: &[Hop]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); hops.len()];
    for (index, hop) in hops.iter().enumerate() {
        if let Some(parent) = hop.parent {
            children[parent].push(index);
        }
    }
    children
}

/// Whether two calls of one caller are tries of the same thing: same operation, requests of the same size.
fn same_try(a: &Call, b: &Call) -> bool {
    a.service == b.service
        && a.method == b.method
        && a.rpc == b.rpc
        && a.kind == b.kind
        && a.request_bytes.abs_diff(b.request_bytes) <= RETRY_SIZE_SLACK
}

/// Marks failed tries after (or beside, hedged) which the same call was made once more: the last one decides, an
/// answered one before a failed one.
fn mark_retries(hops: &mut [Hop], children: &[Vec<usize>]) {
    for siblings in children {
        for (place, &index) in siblings.iter().enumerate() {
            let call = &hops[index].call;
            // A business no is an answer; asking again would not be a retry of a failure.
            if !matches!(call.class(), Some(Class::Rpc | Class::Transport | Class::Unanswered)) {
                continue;
            }
            let later = &siblings[place + 1..];
            let again = later.iter().copied().filter(|&other| same_try(call, &hops[other].call));
            let sequential = again.clone().rfind(|&other| {
                hops[other].call.start >= call.end || call.class() == Some(Class::Unanswered)
            });
            // A hedged request runs beside the first; the one that was answered decides.
            let hedge = siblings.iter().copied().find(|&other| {
                let rival = &hops[other].call;
                other != index
                    && rival.start < call.end
                    && call.start < rival.end
                    && !rival.failed()
                    && same_try(call, rival)
            });
            hops[index].retried_by = hedge.or(sequential);
        }
    }
}

/// Whether a call can be the reason for what its parent answered.
fn counts(hop: &Hop) -> bool {
    hop.failed() && !hop.after_answer && hop.call.kind != CallKind::Oneway
}

/// The failing child that explains best why `above` ended as it did.
fn explaining(hops: &[Hop], children: &[usize], above: &Call) -> Option<usize> {
    children.iter().copied().filter(|&child| counts(&hops[child])).max_by_key(|&child| {
        let below = &hops[child].call;
        let text = match (&above.outcome.message, &below.outcome.message) {
            (Some(above), Some(below)) => wording::relation(above, below) != Relation::Other,
            _ => false,
        };
        let code = below.outcome.code.is_some() && below.outcome.code == above.outcome.code;
        // Of equal ones the last to end, since the answer followed it; uids make the choice the same in every run.
        (text, code, below.end.min(above.end), Reverse(below.uid))
    })
}

/// Where the error began.
///
/// A failed root: down along the failing calls that explain each other. A root that is ok although a callee of its own
/// service failed: down from that callee, since the service saw an error and said nothing of it. Further down, a business
/// no that somebody swallowed is still worth its origin; a framework's failure that was made good two or more hops below
/// the root is fault tolerance at work, shown as `swallowed` but no origin.
fn origin(hops: &[Hop], children: &[Vec<usize>], egress_seen: impl Fn(usize) -> bool) -> Origin {
    let start = if hops[0].failed() {
        Some(0)
    } else {
        explaining(hops, &children[0], &hops[0].call).or_else(|| {
            (0..hops.len()).find(|&index| {
                let parent_is_ok = hops[index].parent.is_some_and(|parent| !hops[parent].call.failed());
                parent_is_ok && counts(&hops[index]) && hops[index].call.class() == Some(Class::Business)
            })
        })
    };
    let Some(mut at) = start else { return Origin::Nothing };
    while let Some(below) = explaining(hops, &children[at], &hops[at].call) {
        at = below;
    }
    if cause_is_hidden(&hops[at].call, egress_seen(at)) { Origin::BelowOf(at) } else { Origin::At(at) }
}

/// Whether a failed call without a failing callee says itself that the cause lies in a call of its own.
fn cause_is_hidden(call: &Call, egress_seen: bool) -> bool {
    let outcome = &call.outcome;
    match (outcome.carrier, outcome.code) {
        (Carrier::Ret, Some(code)) if trpc::CLIENT_CODES.contains(&code) => {
            // A call that was sent (it timed out, its connection broke, its answer was unreadable) is in the capture if the
            // process's calls are; if none of them failed there, the code is the callee's own.
            trpc::is_unsent(code) || !egress_seen
        }
        _ => !egress_seen && outcome.message.as_deref().is_some_and(wording::speaks_of_callee),
    }
}

/// What every hop made of the errors of its callees, the lowest hops first.
fn changes(hops: &[Hop], children: &[Vec<usize>]) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut order: Vec<usize> = (0..hops.len()).collect();
    order.sort_by_key(|&index| (Reverse(hops[index].depth), index));
    for index in order {
        let call = &hops[index].call;
        let mut add = |below: Option<usize>, finding, prefixes| {
            let from = match below {
                Some(below) => Outcome::of(&hops[below].call),
                None => Outcome { class: Some(Class::Ok), code: None, message: None },
            };
            let at = call.callee.clone().or_else(|| call.service.clone());
            changes.push(Change { hop: index, below, at, from, to: Outcome::of(call), finding, prefixes });
        };
        if call.failed() {
            match explaining(hops, &children[index], call) {
                Some(below) => {
                    for (finding, prefixes) in compare(&hops[below].call, call) {
                        add(Some(below), finding, prefixes);
                    }
                }
                None if children[index].iter().any(|&child| !hops[child].after_answer) => {
                    add(None, Finding::FailedAlone, 0);
                }
                None => {}
            }
        } else {
            for &below in &children[index] {
                if counts(&hops[below]) {
                    add(Some(below), Finding::Swallowed, 0);
                }
            }
        }
    }
    changes
}

/// Whether the framework is to blame, not the business logic.
fn is_framework(class: Option<Class>) -> bool {
    matches!(class, Some(Class::Rpc | Class::Transport | Class::Unanswered))
}

/// Whether the code of a call only means "some error".
fn is_generic(call: &Call) -> bool {
    let known = call.code_family().zip(call.outcome.code);
    known.is_some_and(|(family, code)| codes::is_catch_all(family, code))
}

/// How the answer `above` differs from the error `below` that it goes back to; with the hop prefixes that were added.
fn compare(below: &Call, above: &Call) -> Vec<(Finding, u32)> {
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
        // The call below has no status of a callee; its caller's own framework worded the failure.
        _ if broken(from.class) && !broken(to.class) && (is_framework(to.class) || forwarded) => {
            found.push((Finding::CauseBelow, 0));
        }
        _ if broken(from.class) => {}
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
