//! Calls whose two ends have different keys, because addresses were changed between the hosts.
//!
//! | what both records have | what stands between | finding |
//! | --- | --- | --- |
//! | trace id and span id | NAT, or a proxy that was not captured and passes headers on | `joined-by-trace` |
//! | TCP sequence number of the request | NAT, which keeps it (RFC 3022, section 4.1: addresses, ports and checksums change) | `joined-by-sequence` |
//!
//! A wrong join is worse than none. So two keys are joined only if one has the caller's record and the other the callee's, their hosts
//! differ, nothing of them contradicts, and no third key could be meant. What lies between, such as the host that changes the
//! addresses, has either key.

use hashbrown::HashSet;

use super::Record;
use super::observations::{APART, Answerers, side};
use crate::calls::record::{Finding, Name};
use crate::calls::{Call, JoinKey};

/// Keys of calls as their callee saw them, whose caller saw another.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The callee's key, host and start, and the caller's key; in order.
    of: Vec<((JoinKey, Name, i64), JoinKey)>,
}

/// The findings that say why two keys are one call's.
const FINDINGS: [Finding; 2] = [Finding::JoinedByTrace, Finding::JoinedBySequence];

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
        let traced = by_trace(calls, answerers);
        let mut aliases = Self::default();
        let joined: HashSet<usize> = traced.iter().flat_map(|sides| [sides.caller, sides.callee]).collect();
        let mut of_sequence = by_sequence(calls, answerers);
        of_sequence.retain(|sides| !joined.contains(&sides.caller) && !joined.contains(&sides.callee));
        for (all, finding) in [(traced, FINDINGS[0]), (of_sequence, FINDINGS[1])] {
            for sides in all {
                let Some(callers) = calls[sides.caller].key() else { continue };
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
    let shape = |at: usize| {
        let call = &calls[at];
        let sizes = (call.request_bytes, call.request_messages);
        (call.positions[0], call.id, sizes, call.rpc.name(), &call.service, &call.method)
    };
    let mut known: Vec<usize> = (0..calls.len())
        .filter(|&at| {
            calls[at].positions[0].is_some() && calls[at].host.is_some() && calls[at].method.is_some()
        })
        .collect();
    known.sort_unstable_by(|a, b| (shape(*a), calls[*a].start).cmp(&(shape(*b), calls[*b].start)));
    let is_near = |a: usize, b: usize| calls[b].start.0.saturating_sub(calls[a].start.0) <= APART;
    let groups = known.chunk_by(|a, b| shape(*a) == shape(*b) && is_near(*a, *b));
    groups
        .filter_map(|group| sides(calls, group, answerers))
        .filter(|sides| is_consistent(&calls[sides.caller], &calls[sides.callee]))
        .collect()
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

/// Whether a call that these are the ends of could have gone as they say: an answer that both have is the same, and its caller waited at
/// least as long as its callee worked, up to what clocks drift in that time.
fn is_consistent(caller: &Call, callee: &Call) -> bool {
    let (Some(waited), Some(worked)) = (caller.latency, callee.latency) else { return true };
    let outcome = |call: &Call| (call.class(), call.outcome.code, call.response_bytes);
    outcome(caller) == outcome(callee) && worked - worked / DRIFT <= waited
}
