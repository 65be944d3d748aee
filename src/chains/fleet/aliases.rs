//! Calls whose two ends have different keys, because addresses were changed between the hosts.
//!
//! | what both records have | what stands between | finding |
//! | --- | --- | --- |
//! | trace id and span id | NAT, or a proxy that was not captured and passes headers on | `joined-by-trace` |
//! | TCP sequence number of the request | NAT, which keeps it (RFC 3022, section 4.1: addresses, ports and checksums change) | `joined-by-sequence` |
//! | log id and all that the request says of itself | NAT that draws new numbers, or a proxy that passes bytes on | `joined-by-log-id` |
//!
//! A wrong join is worse than none. So two keys are joined only if one has the caller's record and the other the callee's, their hosts
//! differ, nothing of them contradicts, and no third key could be meant. What lies between, such as the host that changes the
//! addresses, has either key.
//!
//! All calls of a chain share its log id, and not all hosts may be captured: of two equal calls of a chain, the records may have the caller of
//! the one and the callee of the other. Hence that rule asks for more: an end that both records name ([`is_end_kept`]), or an id that
//! comes from a long count ([`LONG_COUNT`]).

use hashbrown::HashSet;

use super::Record;
use super::observations::{APART, Answerers, side};
use crate::calls::record::{Finding, Name};
use crate::calls::{Call, JoinKey};
use crate::decode::Endpoint;

/// Keys of calls as their callee saw them, whose caller saw another.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The callee's key, host and start, and the caller's key; in order.
    of: Vec<((JoinKey, Name, i64), JoinKey)>,
}

/// The findings that say why two keys are one call's.
const FINDINGS: [Finding; 3] = [Finding::JoinedByTrace, Finding::JoinedBySequence, Finding::JoinedByLogId];

/// Whether two observations are of one connection, as far as their addresses tell.
pub(super) fn is_one_connection(a: &Call, b: &Call) -> bool {
    let is_aliased = |call: &Call| FINDINGS.iter().any(|finding| call.findings.contains(*finding));
    a.connection_key() == b.connection_key() || is_aliased(a) || is_aliased(b)
}

/// Why the keys of these observations are one call's, if they differ.
pub(super) fn joined_by(views: &[Record]) -> Option<Finding> {
    FINDINGS.into_iter().find(|finding| views.iter().any(|view| view.findings.contains(*finding)))
}

/// Clocks drift apart by less than one part of so many.
const DRIFT: u64 = 1_000;

/// An id as great as this comes from the count of one process or connection, which no other is likely to have reached in the same chain.
/// Smaller ones prove nothing: all begin at 0 or 1, and some libraries send the same number in all calls.
const LONG_COUNT: i64 = 1 << 16;

/// A host between the ends passes a request on within that time, nanoseconds.
const FORWARDED: i64 = 100_000_000;

/// Most calls from a call up to its root that are looked at.
const MAX_ANCESTORS: usize = 64;

/// The two sides of a change of addresses.
struct Sides {
    /// The caller's record, by its place among all.
    caller: usize,
    /// The callee's.
    callee: usize,
    /// All records with the callee's key.
    behind: Vec<usize>,
}

impl Aliases {
    /// Finds them, marks the callees' records, and lets the calls below them name the caller's key.
    pub(super) fn find(calls: &mut [Record], answerers: &Answerers) -> Self {
        let mut aliases = Self::default();
        let mut joined: HashSet<usize> = HashSet::new();
        let found = [by_trace(calls, answerers), by_sequence(calls, answerers), by_log(calls, answerers)];
        for (mut all, finding) in found.into_iter().zip(FINDINGS) {
            // What an earlier rule has joined is not joined again.
            all.retain(|sides| !joined.contains(&sides.caller) && !joined.contains(&sides.callee));
            joined.extend(all.iter().flat_map(|sides| [sides.caller, sides.callee]));
            for sides in all {
                let Some(callers) = calls[sides.caller].key() else { continue };
                if calls[sides.caller].host == calls[sides.callee].host {
                    // Of two of one host, this one is kept.
                    calls[sides.caller].findings.insert(finding);
                }
                for place in sides.behind {
                    let view = &mut calls[place];
                    if let (Some(own), Some(name)) = (view.key(), view.host.clone()) {
                        aliases.of.push(((own, name, view.start.0), callers));
                        view.findings.insert(finding);
                    }
                }
            }
        }
        aliases.of.sort_unstable();
        for call in calls {
            if let Some(parent) = aliases.parent(call) {
                call.parent_key = Some(parent);
            }
        }
        aliases
    }

    /// The caller's key of an observation of the callee.
    pub(super) fn own(&self, call: &Call) -> Option<JoinKey> {
        let wanted = (call.key()?, call.host.clone()?, call.start.0);
        let at = self.of.binary_search_by(|(one, _)| one.cmp(&wanted)).ok()?;
        self.of.get(at).map(|(_, caller)| *caller)
    }

    /// The caller's key of the call that a call of the callee's host names as its parent.
    fn parent(&self, call: &Call) -> Option<JoinKey> {
        let first = (call.parent_key?, call.host.clone()?, call.start.0.saturating_sub(APART));
        let at = self.of.partition_point(|(one, _)| *one < first);
        let ((key, host, start), caller) = self.of.get(at)?;
        let fits = (key, host) == (&first.0, &first.1) && *start <= call.start.0.saturating_add(APART);
        fits.then_some(*caller)
    }
}

/// The records that alone carry the same trace and span id: a span id is of one call.
fn by_trace(calls: &[Record], answerers: &Answerers) -> Vec<Sides> {
    let mut traced: Vec<usize> =
        (0..calls.len()).filter(|&at| calls[at].trace_id.is_some() && calls[at].span_id.is_some()).collect();
    let context = |at: usize| (&calls[at].trace_id, &calls[at].span_id);
    traced.sort_unstable_by(|a, b| context(*a).cmp(&context(*b)));
    let groups = traced.chunk_by(|a, b| context(*a) == context(*b));
    groups.filter_map(|group| sides(calls, group, answerers)).collect()
}

/// The records that alone, for a minute around, have the same sequence number, which is one of 2^32 that are drawn at random for each
/// connection (RFC 9293, section 3.4.1), and the same shape.
fn by_sequence(calls: &[Record], answerers: &Answerers) -> Vec<Sides> {
    let has_number = |call: &Call| call.positions[0].is_some();
    let either = |group: &[usize]| {
        consistent_sides(calls, group, answerers).or_else(|| seen_twice(calls, group, answerers))
    };
    by_shape(calls, either, has_number, |call| {
        let sizes = (call.request_bytes, call.request_messages);
        (call.positions[0], call.id, sizes, call.rpc.name(), &call.service, &call.method)
    })
}

/// The records that alone, for a minute around, have the same log id and the same request, as far as records tell, and that can't be of two
/// calls of one chain.
fn by_log(calls: &[Record], answerers: &Answerers) -> Vec<Sides> {
    // Spark has counted them over all records, of which these may be a part.
    let is_shared = |call: &Call| call.told.as_ref().is_some_and(|told| told.is_log_shared);
    let has_log = |call: &Call| call.log_id.is_some() && !is_shared(call);
    let ends = |group: &[usize]| consistent_sides(calls, group, answerers);
    let mut found = by_shape(calls, ends, has_log, |call| {
        let sizes = (call.request_bytes, call.request_messages);
        let names = (&call.service, &call.method, &call.caller, &call.callee);
        (&call.log_id, call.id, sizes, call.rpc.name(), names)
    });
    found.retain(|sides| {
        let (caller, callee) = (&calls[sides.caller], &calls[sides.callee]);
        // An answer can be lost on its way, not be found there.
        (caller.latency.is_none() || callee.latency.is_some())
            && (is_end_kept(caller, callee) || caller.id >= Some(LONG_COUNT))
    });
    if !found.is_empty() {
        let mut parents: Vec<(JoinKey, JoinKey)> =
            calls.iter().filter_map(|call| Some((call.key()?, call.parent_key?))).collect();
        parents.sort_unstable();
        found.retain(|sides| !is_above(&parents, calls[sides.callee].key(), calls[sides.caller].key()));
    }
    found
}

/// Whether `above` caused `below`, by the links of all hosts: those are two hops of one chain.
fn is_above(parents: &[(JoinKey, JoinKey)], above: Option<JoinKey>, below: Option<JoinKey>) -> bool {
    let parent = |child: JoinKey| {
        let at = parents.partition_point(|(one, _)| *one < child);
        parents.get(at).filter(|(one, _)| *one == child).map(|(_, parent)| *parent)
    };
    let mut ancestors = std::iter::successors(below, |child| parent(*child)).take(MAX_ANCESTORS);
    ancestors.any(|one| Some(one) == above)
}

/// Whether an end of the caller's connection is one of the callee's, too, so that no other caller or no other callee can be meant: NAT
/// changes mostly one, and a PROXY header names the caller's.
fn is_end_kept(caller: &Call, callee: &Call) -> bool {
    let is_named = || {
        let client = caller.client.to_string();
        callee.via.iter().any(|via| via.addresses.iter().any(|address| **address == *client))
    };
    let is_same = |a: Endpoint, b: Endpoint| a == b && !a.ip.is_loopback();
    is_same(caller.client, callee.client) || is_same(caller.server, callee.server) || is_named()
}

/// The sides that `find` finds in the groups of calls that, for a minute around, have the same shape.
fn by_shape<'c, S: Ord>(
    calls: &'c [Record],
    find: impl Fn(&[usize]) -> Option<Sides>,
    is_known: impl Fn(&Call) -> bool,
    shape: impl Fn(&'c Call) -> S,
) -> Vec<Sides> {
    let is_known = |call: &Call| call.host.is_some() && call.method.is_some() && is_known(call);
    let mut known: Vec<usize> = (0..calls.len()).filter(|&at| is_known(&calls[at])).collect();
    let shape = |at: usize| shape(&calls[at]);
    known.sort_unstable_by(|a, b| (shape(*a), calls[*a].start).cmp(&(shape(*b), calls[*b].start)));
    let is_near = |a: usize, b: usize| calls[b].start.0.saturating_sub(calls[a].start.0) <= APART;
    let groups = known.chunk_by(|a, b| shape(*a) == shape(*b) && is_near(*a, *b));
    groups.filter_map(find).collect()
}

/// The sides of a group whose records do not contradict each other.
fn consistent_sides(calls: &[Record], group: &[usize], answerers: &Answerers) -> Option<Sides> {
    sides(calls, group, answerers).filter(|sides| is_consistent(&calls[sides.caller], &calls[sides.callee]))
}

/// The sides of a group if it is one call that one host between its ends saw twice, before and after it changed the addresses. Two calls of
/// other clients may have one number there, as unlikely as that is, so that something else has to tell one call from others.
fn seen_twice(calls: &[Record], group: &[usize], answerers: &Answerers) -> Option<Sides> {
    let &[before, behind] = group else { return None };
    let (a, b) = (&calls[before], &calls[behind]);
    let is_told_apart = a.id >= Some(LONG_COUNT)
        || a.log_id.is_some() && a.log_id == b.log_id
        || a.trace_id.is_some() && (&a.trace_id, &a.span_id) == (&b.trace_id, &b.span_id);
    let later = b.start.0.saturating_sub(a.start.0);
    let is_inside = |whole: u64, part: u64| part.saturating_add(later as u64) <= whole;
    let is_one_call = a.host == b.host
        && [a, b].iter().all(|view| side(view, answerers) == 1)
        && a.key()? != b.key()?
        && is_told_apart
        && is_end_kept(a, b)
        && (0..=FORWARDED).contains(&later)
        && is_inside(a.latency?, b.latency?)
        && is_consistent(a, b);
    is_one_call.then(|| Sides { caller: before, callee: behind, behind: vec![behind] })
}

/// The sides of a group if its records are of two keys, one the caller's and the other the callee's, and may be of one call.
fn sides(calls: &[Record], group: &[usize], answerers: &Answerers) -> Option<Sides> {
    let at = |wanted: u8| {
        let mut found = group.iter().copied().filter(|&place| side(&calls[place], answerers) == wanted);
        found.next().filter(|_| found.next().is_none())
    };
    let (caller, callee) = (at(0)?, at(2)?);
    let (a, b) = (&calls[caller], &calls[callee]);
    let (callers, own) = (a.key()?, b.key()?);
    let behind: Vec<usize> = group.iter().copied().filter(|&place| calls[place].key() == Some(own)).collect();
    let before = group.iter().filter(|&&place| calls[place].key() == Some(callers)).count();
    let fits = |view: &Call| {
        view.host.is_some()
            && (&a.service, &a.method) == (&view.service, &view.method)
            && a.start.0.abs_diff(view.start.0) <= APART as u64
    };
    let is_one_call = callers != own
        && a.host != b.host
        && before + behind.len() == group.len()
        && group.iter().all(|&place| fits(&calls[place]));
    is_one_call.then_some(Sides { caller, callee, behind })
}

/// Whether a call that these are the ends of could have gone as they say: both name the same cause, an answer that both have is the same, and
/// its caller waited at least as long as its callee worked, up to what clocks drift in that time.
fn is_consistent(caller: &Call, callee: &Call) -> bool {
    fn causes(call: &Call) -> [Option<&Name>; 4] {
        [&call.trace_id, &call.span_id, &call.log_id, &call.caller].map(Option::as_ref)
    }
    let mut causes = causes(caller).into_iter().zip(causes(callee));
    if causes.any(|(a, b)| a.is_some() && b.is_some() && a != b) {
        return false;
    }
    let (Some(waited), Some(worked)) = (caller.latency, callee.latency) else { return true };
    let outcome = |call: &Call| (call.class(), call.outcome.code, call.response_bytes);
    outcome(caller) == outcome(callee) && worked - worked / DRIFT <= waited
}
