//! Turns calls, in the order in which they end, into finished chains, with bounded memory.
//!
//! Most children end before their parents, so calls are held until everything that began before them has been decided. Then their
//! causes are settled together. A chain is emitted when no later call can belong to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::assign::{self, Edge, SETTLED, Solution, Span, TimingModel, Window, baselines};
use super::candidates::{self, Candidate, Found, LATE};
use super::facts;
use super::hints::Hints;
use super::judge;
use super::members::Member;
use super::record::{Chain, Evidence, FACT, Hop, Link};
use super::traits::{Traits, hash};
use crate::calls::record::{Call, Class, Uid};
use crate::text;
use crate::time::Timestamp;

/// Greatest depth of a chain; deeper calls become roots of their own.
const MAX_DEPTH: u32 = 64;

/// Least time between two rounds of live linking, nanoseconds.
const PAUSE: i64 = 250_000_000;

/// Fewest calls of an operation for gaps of its own. The gaps of fewer calls say less than those of the whole service, even if the
/// operations differ.
const ENOUGH: u32 = 500;

/// Longest pause after a failed try before the next one, nanoseconds.
const RETRY_PAUSE: i64 = 10_000_000_000;

/// Most operations that are counted.
const MAX_OPERATIONS: usize = 65_536;

/// Confidence of a link by an id that both calls carry.
const PROVED: f64 = 0.99;

/// Highest confidence of a link by time, or by there being no other call.
const INFERRED: f64 = 0.99;

/// Most rivals of a link that are named.
const MAX_RIVALS: usize = 8;

/// Least probability of a rival that counts.
const LEAST_RIVAL: f64 = 0.01;

/// How the engine holds and links calls.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call waits for undecided calls that began before it, in packet time. `None`: until [`Engine::finish`], or until
    /// `max_held` calls wait; this links best and suits files.
    pub patience: Option<Duration>,
    /// Most calls that are held. Beyond that, the older half is linked by what is known, and emitted.
    pub max_held: usize,
    /// How times decide where other evidence leaves a choice.
    pub method: Method,
    /// Links that are less likely right are not made, 0 to 1.
    pub min_confidence: f64,
    /// Whether calls keep their headers.
    pub metadata: bool,
}

/// How times decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// All calls of a service together, with gaps learnt from the traffic.
    #[default]
    Joint,
    /// By the call that began last.
    Nearest,
    /// By the oldest call that has not made such a call yet.
    FirstInFirstOut,
    /// Each call separately, by the gaps between the starts and between the ends.
    GapScores,
}

impl Options {
    /// The default options, with at most this many calls held.
    #[must_use]
    pub fn within(max_held: usize) -> Self {
        let usual = Self::default();
        Self { max_held: usual.max_held.min(max_held.max(1)), ..usual }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patience: None,
            max_held: 200_000,
            method: Method::default(),
            min_confidence: 0.0,
            metadata: true,
        }
    }
}

/// A held call.
struct Held {
    call: Arc<Call>,
    traits: Traits,
    /// Its cause, once settled.
    parent: Option<(Uid, Link)>,
    /// Whether the cause has been settled.
    settled: bool,
    children: Vec<Uid>,
    /// See [`Hop::rivals`].
    rivals: Vec<(Uid, f64)>,
    /// See [`Hop::missed`].
    missed: f64,
    /// The next try of the same call, where this is an earlier try of a root.
    next_try: Option<Uid>,
    /// The earlier tries of a root, by start.
    tries: Vec<Uid>,
}

/// Links calls into chains.
pub struct Engine {
    options: Options,
    hints: Hints,
    /// All held calls.
    held: HashMap<Uid, Held, FixedState>,
    /// Those whose cause is not settled, by start.
    unsettled: BTreeSet<(i64, Uid)>,
    /// Those whose cause is settled, by start: they may still be causes, or their chains may still grow.
    settled: BTreeSet<(i64, Uid)>,
    model: TimingModel,
    /// Calls so far, by operation.
    operations: HashMap<u64, u32, FixedState>,
    /// Addresses from which calls were made: the capture shows what their processes do.
    egress: HashSet<std::net::IpAddr, FixedState>,
    /// The last failed call without a cause, by who called what: a further try of it may follow.
    retriable: HashMap<u64, Uid, FixedState>,
    next_tick: i64,
    /// Calls linked before all calls that began before them were decided, to stay within `max_held`.
    hurried: u64,
    /// Calls with too many possible causes to consider all.
    crowded: u64,
}

impl Engine {
    /// An engine that holds no calls yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            hints: Hints::default(),
            held: HashMap::default(),
            unsettled: BTreeSet::new(),
            settled: BTreeSet::new(),
            model: TimingModel::default(),
            operations: HashMap::default(),
            egress: HashSet::default(),
            retriable: HashMap::default(),
            next_tick: i64::MIN,
            hurried: 0,
            crowded: 0,
        }
    }

    /// With what a person says about the links.
    #[must_use]
    pub fn with_hints(self, hints: Hints) -> Self {
        Self { hints, ..self }
    }

    /// Takes a decided call. Calls come in the order of the packets that decided them; chains that can't grow any more go to
    /// `out`.
    pub fn call(&mut self, call: impl Into<Arc<Call>>, out: &mut dyn FnMut(Chain)) {
        let mut call = call.into();
        let key = (call.start.0, call.uid);
        if self.egress.len() < self.options.max_held {
            self.egress.insert(call.client.ip);
        }
        let traits = Traits::of(&call);
        // Headers are large, and have been read.
        if !self.options.metadata
            && let Some(call) = Arc::get_mut(&mut call)
        {
            call.metadata = Vec::new();
        }
        if self.operations.len() < MAX_OPERATIONS || self.operations.contains_key(&traits.operation) {
            *self.operations.entry(traits.operation).or_default() += 1;
        }
        let held = Held {
            call,
            traits,
            parent: None,
            settled: false,
            children: Vec::new(),
            rivals: Vec::new(),
            missed: 0.0,
            next_try: None,
            tries: Vec::new(),
        };
        self.held.insert(key.1, held);
        self.unsettled.insert(key);
        if self.held.len() > self.options.max_held {
            self.hurry(out);
        }
    }

    /// Advances to the time of the newest packet. Calls that began before it, and before the oldest call that is still open
    /// (`None`: none is), can be linked. Only live capture needs this; for a file, [`Self::finish`] is enough.
    pub fn tick(&mut self, now: Timestamp, oldest_open: Option<Timestamp>, out: &mut dyn FnMut(Chain)) {
        let Some(patience) = self.options.patience else { return };
        if now.0 < self.next_tick {
            return;
        }
        self.next_tick = now.0.saturating_add(PAUSE);
        let patience = i64::try_from(patience.as_nanos()).unwrap_or(i64::MAX);
        // A stream may stay open for hours, so the wait is bounded. A decided call may take a moment to arrive here.
        let open = oldest_open.map_or(i64::MAX, |open| open.0).max(now.0.saturating_sub(patience));
        let until = open.min(now.0.saturating_sub(LATE));
        self.link(until, until);
        self.emit(until, LATE, out);
    }

    /// Links and emits everything that is left.
    pub fn finish(&mut self, out: &mut dyn FnMut(Chain)) {
        self.link(i64::MAX, i64::MAX);
        self.emit(i64::MAX, 0, out);
    }

    /// Number of calls that were linked too early, because too many were held.
    #[must_use]
    pub fn hurried(&self) -> u64 {
        self.hurried
    }

    /// Number of calls with too many possible causes, of which only the latest were considered.
    #[must_use]
    pub fn crowded(&self) -> u64 {
        self.crowded
    }

    /// What was linked by less than all evidence to stay within bounds, in words for a person; empty if nothing was.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<String> {
        let hurried = (self.hurried > 0).then(|| {
            let calls = text::counted(self.hurried, "call");
            format!(
                "{calls} linked before all calls that may have caused them had ended, to bound the memory"
            )
        });
        let crowded = (self.crowded > 0).then(|| {
            let calls = text::counted(self.crowded, "call");
            let most = candidates::MAX_CANDIDATES;
            format!("{calls} linked by cheaper evidence: only the latest {most} of the calls in work at that time were weighed")
        });
        hurried.into_iter().chain(crowded).collect()
    }

    /// Links the older half of the unsettled calls.
    fn hurry(&mut self, out: &mut dyn FnMut(Chain)) {
        let half = self.unsettled.len() / 2;
        let until = match self.unsettled.iter().nth(half) {
            Some(&(start, _)) if half > 0 => start,
            // Nearly all are settled and belong to chains that could still grow: these are emitted as they are.
            _ => i64::MAX,
        };
        self.hurried += half as u64;
        self.link(until, i64::MAX);
        self.emit(until, LATE, out);
        // If too many calls remain, the wait for late calls is cut short; if still too many remain, everything is emitted.
        if self.held.len() > self.options.max_held / 4 * 3 {
            self.emit(until, 0, out);
        }
        if self.held.len() > self.options.max_held {
            self.link(i64::MAX, i64::MAX);
            self.emit(i64::MAX, 0, out);
        }
    }

    /// Settles the causes of calls that began before `until`; calls that began before `horizon` are considered too.
    fn link(&mut self, until: i64, horizon: i64) {
        if self.unsettled.range(..(until, Uid::default())).next().is_none() {
            return;
        }
        let keys: Vec<(i64, Uid)> = {
            let waiting = self.unsettled.range(..(horizon, Uid::default())).copied();
            let mut keys: Vec<_> = waiting.chain(self.settled.iter().copied()).collect();
            keys.sort_unstable();
            keys
        };
        let index_of: HashMap<Uid, u32, FixedState> =
            keys.iter().enumerate().map(|(index, (_, uid))| (*uid, index as u32)).collect();
        let members: Vec<Member<'_>> = keys
            .iter()
            .map(|(_, uid)| {
                let held = &self.held[uid];
                let settled = held.parent.and_then(|(parent, _)| index_of.get(&parent).copied());
                let is_child = !held.settled || settled.is_some();
                Member { call: &held.call, traits: &held.traits, settled, is_child }
            })
            .collect();
        let begun = candidates::begun(&members);
        let Found { candidates: mut found, crowded, joint } = candidates::candidates(&members, &begun);
        let unweighed = self.apply_hints(&members, &mut found);
        // Calls after `until` are considered again later, and counted then.
        self.crowded += crowded.iter().filter(|&&index| keys[index as usize].0 < until).count() as u64;
        let classes: Vec<u32> =
            members.iter().map(|member| class(member.call, member.traits, &self.operations)).collect();
        let links =
            settle(&members, &classes, &begun, (&found, &joint), self.options.method, &mut self.model);
        let mut done = Vec::new();
        for (index, &(start, uid)) in keys.iter().enumerate() {
            if start < until && !self.held[&uid].settled {
                let name = |index: u32| keys[index as usize].1;
                let Settled { link, rivals } = &links[index];
                let mut rivals: Vec<_> = rivals.iter().map(|(rival, share)| (name(*rival), *share)).collect();
                let link = link.map(|(parent, link)| (name(parent), link));
                let (link, dropped) = match link {
                    Some((_, Link { confidence, .. })) if confidence < self.options.min_confidence => {
                        (None, link)
                    }
                    _ => (link, None),
                };
                rivals.extend(dropped.map(|(parent, link)| (parent, link.confidence)));
                done.push((start, uid, link, rivals));
            }
        }
        drop(members);
        for (child, parent, share) in unweighed {
            let ((start, child), parent) = (keys[child], keys[parent as usize].1);
            // Calls after `until` are considered again later.
            let is_done = start < until && !self.held[&child].settled;
            if let Some(held) = self.held.get_mut(&parent).filter(|_| is_done) {
                held.missed = 1.0 - (1.0 - held.missed) * (1.0 - share);
            }
        }
        for (start, uid, link, rivals) in done {
            self.unsettled.remove(&(start, uid));
            self.settled.insert((start, uid));
            let parent = link.filter(|(parent, _)| self.can_attach(*parent, uid));
            if let Some((above, _)) = parent
                && let Some(held) = self.held.get_mut(&above)
            {
                held.children.push(uid);
            }
            let has_failed = self.held.get(&uid).is_some_and(|held| held.call.failed());
            for (rival, share) in &rivals {
                if let Some(held) = self.held.get_mut(rival).filter(|_| has_failed) {
                    held.missed = 1.0 - (1.0 - held.missed) * (1.0 - share);
                }
            }
            if let Some(held) = self.held.get_mut(&uid) {
                held.parent = parent;
                held.settled = true;
                let others: f64 = rivals.iter().map(|(_, share)| share).sum();
                if parent.map_or(others > 1.0 - FACT, |(_, link)| link.confidence < FACT) {
                    held.rivals = rivals;
                    held.rivals.truncate(MAX_RIVALS);
                }
            }
            if parent.is_none() {
                self.join_tries(uid);
            }
        }
    }

    /// Removes the candidates that the hints forbid. Of a failed call all of whose candidates are set aside unweighed, any may be the
    /// cause: each is returned after the index of the child, with its share.
    fn apply_hints(&self, members: &[Member<'_>], found: &mut [Vec<Candidate>]) -> Vec<(usize, u32, f64)> {
        let mut unweighed = Vec::new();
        if self.hints.is_empty() {
            return unweighed;
        }
        for (index, (child, found)) in members.iter().zip(found).enumerate() {
            let before: Vec<u32> = found.iter().map(|candidate| candidate.parent).collect();
            found.retain(|candidate| {
                self.hints.allow(members[candidate.parent as usize].call, child.call, candidate)
            });
            if self.hints.ids_only && found.is_empty() && child.is_child && child.call.failed() {
                let share = 1.0 / before.len().max(1) as f64;
                unweighed.extend(before.into_iter().map(|parent| (index, parent, share)));
            }
        }
        unweighed
    }

    /// Joins a call without a cause to the failed one that it is a further try of.
    fn join_tries(&mut self, uid: Uid) {
        let Some(held) = self.held.get(&uid) else { return };
        let (call, is_retry) = (&held.call, held.traits.retry);
        let who = hash(&(call.client.ip, &call.service, &call.method, call.server.port, call.kind as u8));
        let (start, failed) =
            (call.start, !matches!(call.class(), Some(Class::Ok | Class::Business)) && call.failed());
        let before = self.retriable.get(&who).copied();
        if is_retry
            && let Some(before) = before
            && let Some(earlier) = self.held.get_mut(&before)
            && earlier.next_try.is_none()
            && earlier.call.start < start
            && earlier.call.end.0.saturating_add(RETRY_PAUSE) >= start.0
        {
            earlier.next_try = Some(uid);
            let mut tries = std::mem::take(&mut earlier.tries);
            tries.push(before);
            if let Some(held) = self.held.get_mut(&uid) {
                held.tries = tries;
            }
        }
        if !failed {
            self.retriable.remove(&who);
        } else if self.retriable.len() < MAX_OPERATIONS {
            self.retriable.insert(who, uid);
        }
    }

    /// Whether `child` can be attached below `parent`: no cycle, and not too deep.
    fn can_attach(&self, parent: Uid, child: Uid) -> bool {
        let mut at = parent;
        for _ in 0..MAX_DEPTH {
            if at == child {
                return false;
            }
            match self.held.get(&at).map(|held| held.parent) {
                Some(Some((above, _))) => at = above,
                Some(None) => return true,
                None => return false,
            }
        }
        false
    }

    /// Emits the chains to which no call that began at `until` or later can belong, if calls are late by at most `late`.
    fn emit(&mut self, until: i64, late: i64, out: &mut dyn FnMut(Chain)) {
        let roots: Vec<Uid> = self
            .settled
            .iter()
            .map(|(_, uid)| *uid)
            .filter(|uid| {
                self.held.get(uid).is_some_and(|held| held.parent.is_none() && held.next_try.is_none())
            })
            .collect();
        for root in roots {
            let mut order = self.walk(root);
            // The trees of the earlier tries follow.
            for tried in self.held[&root].tries.clone() {
                let first = order.len();
                let shift = |(uid, parent): (Uid, Option<usize>)| (uid, parent.map(|parent| parent + first));
                order.extend(self.walk(tried).into_iter().map(shift));
            }
            let whole = order.iter().all(|(uid, _)| {
                let held = &self.held[uid];
                held.settled && (until == i64::MAX || held.traits.end.saturating_add(late) < until)
            });
            if whole {
                out(self.take(&order));
            }
        }
    }

    /// The calls of a tree, depth first, each with the index of its parent.
    fn walk(&self, root: Uid) -> Vec<(Uid, Option<usize>)> {
        let mut order = Vec::new();
        let mut stack = vec![(root, None)];
        while let Some((uid, parent)) = stack.pop() {
            let index = order.len();
            order.push((uid, parent));
            let Some(held) = self.held.get(&uid) else { continue };
            let mut children = held.children.clone();
            children.sort_by_key(|child| std::cmp::Reverse((self.held[child].call.start, *child)));
            stack.extend(children.into_iter().map(|child| (child, Some(index))));
        }
        order
    }

    /// Removes a tree and judges it.
    fn take(&mut self, order: &[(Uid, Option<usize>)]) -> Chain {
        let mut hops: Vec<Hop> = Vec::with_capacity(order.len());
        for &(uid, parent) in order {
            let Some(mut held) = self.held.remove(&uid) else { continue };
            // If others hold the call too (the live interface), it stays unchanged.
            if let Some((parent, link)) = held.parent
                && let Some(call) = Arc::get_mut(&mut held.call)
            {
                call.parent = Some(parent);
                call.parent_evidence = link.evidence.strongest().map(Evidence::name);
            }
            self.settled.remove(&(held.call.start.0, uid));
            let above = parent.and_then(|parent| hops.get(parent));
            hops.push(Hop {
                depth: above.map_or(0, |above| above.depth + 1),
                after_answer: above.is_some_and(|above| {
                    !matches!(above.call.class(), Some(Class::Unanswered | Class::Oneway))
                        && held.call.start > above.call.end
                }),
                parent,
                link: held.parent.map(|(_, link)| link),
                rivals: held.rivals,
                missed: held.missed,
                retried_by: (parent.is_none() && !hops.is_empty()).then_some(0),
                is_retry: held.traits.retry,
                call: held.call,
            });
        }
        let seen: Vec<bool> = hops.iter().map(|hop| self.egress.contains(&hop.call.server.ip)).collect();
        judge::judge(hops, |hop| seen[hop])
    }
}

/// What was settled about a call.
#[derive(Clone, Debug, Default)]
struct Settled {
    /// Its cause.
    link: Option<(u32, Link)>,
    /// Other possible causes with their probabilities, the likeliest first.
    rivals: Vec<(u32, f64)>,
}

/// Settles who caused whom: by evidence first, by time where that leaves a choice.
fn settle(
    members: &[Member<'_>],
    classes: &[u32],
    begun: &[i64],
    (found, joint): (&[Vec<Candidate>], &[bool]),
    method: Method,
    model: &mut TimingModel,
) -> Vec<Settled> {
    let mut links = vec![Settled::default(); members.len()];
    let proved = |candidates: &[Candidate]| matches!(candidates, [only] if only.weight >= SETTLED);
    for (index, candidates) in found.iter().enumerate() {
        if proved(candidates) {
            let link = Link { evidence: candidates[0].evidence, confidence: PROVED, caller: PROVED };
            links[index].link = Some((candidates[0].parent, link));
        }
    }
    if found.iter().all(|candidates| candidates.is_empty() || proved(candidates)) {
        return links;
    }
    let window = window(members, classes, begun, found, joint);
    let simply = |beliefs| Solution { beliefs, shares: Vec::new() };
    let solution = match method {
        Method::Joint => assign::solve(&window, model),
        Method::Nearest => simply(baselines::nearest(&window)),
        Method::FirstInFirstOut => simply(baselines::first_in_first_out(&window)),
        Method::GapScores => simply(baselines::gap_scores(&window)),
    };
    let mut rivals: Vec<Vec<(u32, f64)>> = vec![Vec::new(); members.len()];
    for (edge, share) in window.edges.iter().zip(&solution.shares) {
        if f64::from(*share) >= LEAST_RIVAL {
            rivals[edge.child as usize].push((edge.parent, f64::from(*share)));
        }
    }
    for (child, (belief, mut rivals)) in solution.beliefs.into_iter().zip(rivals).enumerate() {
        if links[child].link.is_some() {
            continue;
        }
        let chosen = belief.edge.map(|edge| window.edges[edge as usize].parent);
        let service = |parent: u32| window.facts.get(parent as usize).map(|facts| facts.service);
        let others: f64 = rivals
            .iter()
            .filter(|(rival, _)| {
                chosen.is_some_and(|chosen| *rival != chosen && service(*rival) == service(chosen))
            })
            .map(|(_, share)| share)
            .sum();
        rivals.retain(|(rival, _)| Some(*rival) != chosen);
        rivals.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        links[child].rivals = rivals;
        let Some(edge) = belief.edge else { continue };
        let parent = window.edges[edge as usize].parent;
        let Some(candidate) = found[child].iter().find(|candidate| candidate.parent == parent) else {
            continue;
        };
        let mut evidence = candidate.evidence;
        let by_id = evidence.contains(Evidence::TraceId) || evidence.contains(Evidence::LogId);
        if evidence.is_empty() {
            evidence.insert(Evidence::Timing);
        }
        let most = if by_id { PROVED } else { INFERRED };
        let confidence = belief.probability.min(most);
        let caller = (confidence + others).min(most);
        links[child].link = Some((parent, Link { evidence, confidence, caller }));
    }
    links
}

/// Builds the input of the assignment.
fn window(
    members: &[Member<'_>],
    classes: &[u32],
    begun: &[i64],
    found: &[Vec<Candidate>],
    joint: &[bool],
) -> Window {
    let mut window = Window::default();
    for ((member, &class), &begun) in members.iter().zip(classes).zip(begun) {
        let call = member.call;
        let traits = member.traits;
        let span = |start, end, ip: &std::net::IpAddr| Span { start, end, class, host: hash(ip) as u32 };
        window.parents.push(span(begun, member.work().1, &call.server.ip));
        let end = if traits.answered { traits.end } else { traits.start };
        window.children.push(span(traits.start, end, &call.client.ip));
    }
    for (child, candidates) in found.iter().enumerate() {
        for candidate in candidates {
            let (parent, child) = (candidate.parent, child as u32);
            window.edges.push(Edge { parent, child, weight: candidate.weight });
        }
    }
    window.edges.sort_unstable_by_key(|edge| (edge.parent, edge.child));
    window.joint = joint.to_vec();
    facts::find(members, &mut window);
    window
}

/// The class of calls that are expected to behave like this one: its operation if that has enough calls to learn from, else its
/// service.
fn class(call: &Call, traits: &Traits, operations: &HashMap<u64, u32, FixedState>) -> u32 {
    if operations.get(&traits.operation).is_some_and(|calls| *calls >= ENOUGH) {
        return traits.operation as u32;
    }
    // One service may listen at many addresses; services without names are distinguished by them.
    let service = match &call.service {
        Some(service) => hash(&(service, call.server.port, traits.answered)),
        None => hash(&(call.server, traits.answered)),
    };
    service as u32
}
