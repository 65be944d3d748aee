//! Joins what several hosts saw of one call.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::aliases::{self, Aliases};
use super::{Counts, Record};
use crate::calls::record::{Class, Finding, Name, Observer};
use crate::calls::{Call, JoinKey, Uid, dedup};
use crate::time::Timestamp;

/// Ports and sequence numbers come again: observations of one call begin no further apart, and clocks differ by less, nanoseconds.
pub(super) const APART: i64 = 60_000_000_000;

/// Most observations of one call: its two ends, and what lies between.
const MAX_VIEWS: usize = 16;

/// When a host saw a call, by its own clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A call as all hosts together saw it, with times of the caller's clock.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) call: Record,
    /// Its key, or one in its place.
    pub(super) key: JoinKey,
    /// By how much the callee's clock is ahead of the caller's, nanoseconds.
    pub(super) ahead: i64,
    /// When the hosts saw it, the nearest to the caller first.
    pub(super) spans: SmallVec<[Span; 2]>,
    /// Whether the callee's host was captured, so that calls which it made would be there.
    pub(super) is_callee_captured: bool,
}

/// Hosts at which calls were answered, because calls that began there name these as their parents; in order.
pub(super) type Answerers = Vec<(JoinKey, Name, i64)>;

/// Joins all observations; the result is in order of keys, then of times.
pub(super) fn join_all(calls: Vec<Record>, counts: &mut Counts) -> Vec<Joined> {
    let answerer = |call: &Call| Some((call.parent_key?, call.host.clone()?, call.start.0));
    let mut answerers: Answerers = calls.iter().filter_map(|call| answerer(call)).collect();
    answerers.sort_unstable();
    let mut calls = calls;
    let aliases = Aliases::find(&mut calls, &answerers);
    let keyed = calls.into_iter().map(|call| (aliases.own(&call).unwrap_or_else(|| key(&call)), call));
    let mut keyed: Vec<(JoinKey, Record)> = keyed.collect();
    keyed.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| order(one).cmp(&order(other))));
    let mut joined = Vec::with_capacity(keyed.len());
    let mut views: Vec<Record> = Vec::new();
    let mut last = None;
    for (key, call) in keyed {
        let is_same = last == Some(key)
            && views.first().is_some_and(|first| call.start.0.saturating_sub(first.start.0) <= APART);
        if !is_same {
            joined.extend(last.and_then(|key| join(key, std::mem::take(&mut views), &answerers)));
            last = Some(key);
        }
        if views.iter().any(|view| is_repeated(view, &call)) {
            counts.repeated += 1;
        } else if views.len() >= MAX_VIEWS
            || views.first().is_some_and(|first| !aliases::is_one_connection(first, &call))
        {
            counts.unfit += 1;
        } else {
            views.push(call);
        }
    }
    joined.extend(last.and_then(|key| join(key, views, &answerers)));
    joined
}

/// The key of a call, or one in its place.
fn key(call: &Call) -> JoinKey {
    let in_place = || JoinKey::of_record(call.host.as_deref(), call.uid, call.start, call.connection_key());
    call.key().unwrap_or_else(in_place)
}

/// The order of observations in which the result does not depend on that of the input.
fn order(call: &Call) -> impl Ord + '_ {
    let ends = (call.end, call.latency, call.duration, call.class(), call.outcome.code);
    let sizes = (call.request_bytes, call.response_bytes, call.findings.iter().count());
    (call.start, &call.host, call.uid, ends, sizes, &call.outcome.message, call.parent_key)
}

/// Whether a record is another of the same host. Records without a host are told apart by all that differs between hosts.
fn is_repeated(a: &Call, b: &Call) -> bool {
    match (&a.host, &b.host) {
        (None, None) => (a.uid, a.start, a.end, a.packets) == (b.uid, b.start, b.end, b.packets),
        (a, b) => a == b,
    }
}

/// Where the host of an observation stands: 0 at the caller, 2 at the callee, 1 if that is not known.
pub(super) fn side(view: &Call, answerers: &Answerers) -> u8 {
    match view.observer {
        Some(Observer::Client) => 0,
        Some(Observer::Server) => 2,
        // A host links calls that it makes to calls that it answers.
        None if view.parent_key.is_some() => 0,
        None if is_answered(view, answerers) => 2,
        Some(Observer::Middle) | None => 1,
    }
}

/// Whether a call of the host of an observation names it as its parent. Another call has the same key after a while, so that the
/// time has to fit.
fn is_answered(view: &Call, answerers: &Answerers) -> bool {
    let (Some(key), Some(host)) = (view.key(), &view.host) else { return false };
    let (first, last) = (view.start.0.saturating_sub(APART), view.end.0.saturating_add(APART));
    let at = answerers.partition_point(|(of, at, start)| (of, at, *start) < (&key, host, first));
    answerers.get(at).is_some_and(|(of, at, start)| *of == key && at == host && *start <= last)
}

/// Joins the observations of a call; `None` if there are none.
fn join(key: JoinKey, mut views: Vec<Record>, answerers: &Answerers) -> Option<Joined> {
    // From the caller to the callee: what is known, then that an answer can be lost on its way, but not be found there, and that the
    // caller waits longest.
    views.sort_by_key(|view| {
        let was_answered = matches!(view.class(), Some(Class::Ok | Class::Business | Class::Rpc) | None);
        (side(view, answerers), was_answered, Reverse(view.latency))
    });
    let spans = views.iter().map(|view| Span { start: view.start.0, end: view.end.0 }).collect();
    let link = views.iter().find(|view| view.parent_key.is_some());
    let link = link.map(|view| (view.parent_key, view.parent_confidence, view.parent_evidence));
    let named = views.iter().find_map(|view| view.parent);
    let rivals = if link.is_some() { None } else { views.iter_mut().find_map(|view| view.rivals.take()) };
    let missed = views.iter().filter_map(|view| view.missed).max();
    let is_unlinked = |view: &Record| view.findings.contains(Finding::NotLinked);
    let is_linked = !views.first().is_some_and(is_unlinked) && !views.last().is_some_and(is_unlinked);
    let is_callee_captured = views.last().is_some_and(|last| match last.observer {
        // Calls that it made would be there without a parent.
        _ if is_unlinked(last) => false,
        Some(Observer::Server) => true,
        Some(Observer::Client | Observer::Middle) => last.callee_view.is_some(),
        None => views.len() > 1 || last.callee_view.is_some(),
    });
    // Latencies alone would mislead where clocks drift.
    let observers: SmallVec<[_; 2]> = views.iter().map(|view| (view.host.clone(), view.observer)).collect();
    for view in &mut views {
        view.observer = match side(view, answerers) {
            0 => Some(Observer::Client),
            2 => Some(Observer::Server),
            _ => view.observer,
        };
    }
    let joined_by = aliases::joined_by(&views);
    let mut ahead = 0;
    if let [caller, others @ ..] = &mut views[..] {
        for view in others {
            ahead = clock(caller, view);
            turn_back(view, ahead);
        }
    }
    let mut call = dedup::join(views.into())?;
    call.observer = observers.iter().find(|(host, _)| *host == call.host).and_then(|(_, observer)| *observer);
    call.uid = uid(key);
    call.decided = call.uid.packet;
    (call.parent_key, call.parent_confidence, call.parent_evidence) = link.unwrap_or_default();
    // Whether there is one; who it is follows from its key.
    call.parent = named;
    call.missed = missed;
    call.rivals = rivals;
    if let Some(finding) = joined_by {
        call.findings.insert(finding);
    }
    if !is_linked {
        call.findings.insert(Finding::NotLinked);
    }
    Some(Joined { call, key, ahead, spans, is_callee_captured })
}

/// By how much the clock of a host is ahead of the caller's: the request and the answer took equally long in the network, or, where
/// an answer is missing, the request no time at all, so that nothing comes before its cause.
fn clock(caller: &Call, view: &Call) -> i64 {
    let apart = view.start.0.saturating_sub(caller.start.0);
    match (caller.latency, view.latency) {
        (Some(whole), Some(work)) => {
            apart.saturating_sub(whole.saturating_sub(work).min(APART as u64) as i64 / 2)
        }
        _ => apart,
    }
}

/// The identity of a call in chains of many hosts: the first half of its key.
pub(super) fn uid(key: JoinKey) -> Uid {
    Uid { packet: (key.number() >> 64) as u64, ordinal: 0 }
}

/// Moves the times of a call back.
pub(super) fn turn_back(call: &mut Call, ahead: i64) {
    let turn = |time: &mut Timestamp| time.0 = time.0.saturating_sub(ahead);
    turn(&mut call.start);
    turn(&mut call.end);
    if let Some(view) = call.callee_view.as_deref_mut() {
        turn(&mut view.start);
        turn(&mut view.end);
    }
}
