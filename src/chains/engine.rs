//! Turns calls, in the order in which they end, into finished chains, with bounded memory.
//!
//! Most children end before their parents, so calls are held until everything that began before them has been decided. Then their
//! causes are settled together. A chain is emitted when no later call can belong to it.

mod salvage;

use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::assign::TimingModel;
use super::candidates::{self, Candidates, Found, LATE};
use super::held::{Held, HeldCalls, Slot};
use super::hints::{Hints, UnusedNames};
use super::judge;
use super::kept::Kept;
use super::members::{Member, Numbers};
use super::record::{Chain, Evidence, FACT, Hop, Link, Rival, UNKNOWN};
use super::settle::{Settled, class, settle};
use super::stray;
use super::traits::{Traits, hash, machine};
use crate::calls::record::{Call, Class, Initiator, Uid};
use crate::contain::caught;
use crate::text;
use crate::time::Timestamp;

pub(crate) use salvage::Step;
use salvage::Unlinked;

/// Greatest depth of a chain; deeper calls become roots of their own.
const MAX_DEPTH: u32 = 64;

/// Least time between two rounds of live linking, nanoseconds, with few calls and with many: each round looks at all calls that are
/// held.
const PAUSE: [i64; 2] = [250_000_000, 1_000_000_000];

/// Number of held calls from which rounds are rarer.
const MANY: usize = 4_000;

/// Packets of a live capture may be that old, and the clock of the host where they were captured that wrong.
const RECENT: Duration = Duration::from_secs(300);

/// Whether a packet of that time may just have been captured.
#[must_use]
pub fn is_recent(time: Timestamp) -> bool {
    time.0.abs_diff(Timestamp::now().0) < RECENT.as_nanos() as u64
}

/// Longest pause after a failed try before the next one, nanoseconds.
const RETRY_PAUSE: i64 = 10_000_000_000;

/// Most operations that are counted.
const MAX_OPERATIONS: usize = 65_536;

/// Chains whose calls are read ahead together.
const WARMED: usize = 8;

/// Most rivals of a link that are named.
const MAX_RIVALS: usize = 8;

/// How the engine holds and links calls.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call waits for undecided calls that began before it, in packet time. `None`: until [`Engine::finish`], or until
    /// `max_held` calls wait; this links best and suits files.
    pub patience: Option<Duration>,
    /// `patience` holds only where packets are of these minutes: what another program writes may be a live capture or an old file.
    pub if_recent: bool,
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
            if_recent: false,
            max_held: 200_000,
            method: Method::default(),
            min_confidence: 0.0,
            metadata: true,
        }
    }
}

/// A held call in the order of calls: its start, its id, its place.
type Key = (i64, Uid, Slot);

/// Links calls into chains.
pub struct Engine {
    options: Options,
    hints: Hints,
    /// Names in the hints that no call has had yet.
    unused: UnusedNames,
    /// Whether any link was made.
    has_linked: bool,
    /// All held calls.
    held: HeldCalls,
    /// Those whose cause is not settled, in the order in which they came.
    unsettled: Vec<Key>,
    /// Those whose cause is settled, by start: they may still be causes, or their chains may still grow.
    settled: Vec<Key>,
    model: TimingModel,
    /// Room for what is settled of a window.
    links: Vec<Settled>,
    /// Calls so far, by operation.
    operations: HashMap<u64, u32, FixedState>,
    /// Machines from which calls were made ([`Traits::machines`]): the capture shows what their processes do.
    egress: HashSet<u64, FixedState>,
    /// The last failed call without a cause, by who called what: a further try of it may follow.
    retriable: HashMap<u64, (Slot, Uid), FixedState>,
    next_tick: i64,
    /// All calls that began before this time have been decided.
    decided: i64,
    /// Calls linked before all calls that began before them were decided, to stay within `max_held`.
    hurried: u64,
    /// Calls with too many possible causes to consider all.
    crowded: u64,
    /// Whether there is no time for models.
    is_hasty: bool,
    /// Calls linked without models because of that.
    hasty: u64,
    /// The chain that is being judged.
    in_hand: Vec<Hop>,
    unlinked: Unlinked,
    /// Which steps break, in tests.
    #[cfg(test)]
    pub(crate) is_broken: Option<fn(Step, &Call) -> bool>,
}

/// Whether any call left the machine that answered a call.
fn makes_calls(egress: &HashSet<u64, FixedState>, call: &Call) -> bool {
    egress.contains(&machine(call, Initiator::Server))
}

impl Engine {
    /// An engine that holds no calls yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            hints: Hints::default(),
            unused: UnusedNames::default(),
            has_linked: false,
            held: HeldCalls::default(),
            unsettled: Vec::new(),
            settled: Vec::new(),
            model: TimingModel::default(),
            links: Vec::new(),
            operations: HashMap::default(),
            egress: HashSet::default(),
            retriable: HashMap::default(),
            next_tick: i64::MIN,
            decided: i64::MIN,
            hurried: 0,
            crowded: 0,
            is_hasty: false,
            hasty: 0,
            in_hand: Vec::new(),
            unlinked: Unlinked::default(),
            #[cfg(test)]
            is_broken: None,
        }
    }

    /// With what a person says about the links.
    #[must_use]
    pub fn with_hints(self, hints: Hints) -> Self {
        Self { unused: hints.names(), hints, ..self }
    }

    /// Takes a decided call. Calls come in the order of the packets that decided them; chains that can't grow any more go to
    /// `out`.
    pub fn call(&mut self, call: impl Into<Kept>, out: &mut dyn FnMut(Chain)) {
        let mut call = call.into();
        let read = caught(|| {
            self.step(Step::Take, &call);
            self.unused.see(&call);
            Traits::of(&call)
        });
        let traits = match read {
            Ok(traits) => traits,
            Err(fault) => return self.give_up([call], &fault, out),
        };
        // Headers are large, and have been read.
        if let Some(call) = call.get_mut() {
            call.marks = None;
            if !self.options.metadata {
                call.metadata = Vec::new();
            }
        }
        self.hold(call, traits, out);
    }

    fn hold(&mut self, call: Kept, traits: Traits, out: &mut dyn FnMut(Chain)) {
        if self.egress.len() < self.options.max_held {
            self.egress.insert(traits.machines[0]);
        }
        if self.operations.len() < MAX_OPERATIONS || self.operations.contains_key(&traits.operation) {
            *self.operations.entry(traits.operation).or_default() += 1;
        }
        let (start, uid) = (call.start.0, call.uid);
        let slot = self.held.insert(Held::new(call, traits));
        self.unsettled.push((start, uid, slot));
        if self.held.len() > self.options.max_held {
            self.hurry(out);
        }
    }

    /// Advances to the time of the newest packet. Calls that began before it, and before the oldest call that is still open
    /// (`None`: none is), can be linked. Live capture needs this; for a file, [`Self::finish`] is enough.
    pub fn tick(&mut self, now: Timestamp, oldest_open: Option<Timestamp>, out: &mut dyn FnMut(Chain)) {
        let open = oldest_open.map_or(i64::MAX, |open| open.0);
        // A decided call may take a moment to arrive here.
        let arrived = now.0.saturating_sub(LATE);
        self.decided = self.decided.max(open.min(arrived));
        let Some(patience) = self.options.patience else { return };
        if now.0 < self.next_tick {
            return;
        }
        self.next_tick = now.0.saturating_add(PAUSE[usize::from(self.held.len() >= MANY)]);
        if self.options.if_recent && !is_recent(now) {
            return;
        }
        let patience = i64::try_from(patience.as_nanos()).unwrap_or(i64::MAX);
        // A stream may stay open for hours, so the wait is bounded.
        let until = open.max(now.0.saturating_sub(patience)).min(arrived);
        self.link(until, until, out);
        self.emit(until, LATE, out);
    }

    /// Links and emits everything that is left.
    pub fn finish(&mut self, out: &mut dyn FnMut(Chain)) {
        self.link(i64::MAX, i64::MAX, out);
        self.emit(i64::MAX, 0, out);
    }

    /// Whether to link by the simplest evidence from now on, because calls come faster than they are linked.
    pub fn hasten(&mut self, is_hasty: bool) {
        self.is_hasty = is_hasty;
    }

    /// Number of calls that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
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

    /// What the links lack, in words for a person: calls that a fault left unlinked, bounds that took evidence away, hints without effect.
    /// Call it after [`Self::finish`].
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
        let hasty = (self.hasty > 0).then(|| {
            let calls = text::counted(self.hasty, "call");
            format!(
                "{calls} linked by names, words and order alone: calls came faster than times can be weighed"
            )
        });
        let no_ids = (self.hints.ids_only && !self.has_linked).then(|| {
            "--evidence ids: no two calls carry the same trace, log or request id, so nothing is linked"
                .to_owned()
        });
        [self.failure(), hurried, crowded, hasty, self.unused.complaint(), no_ids]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Links the older calls of the unsettled ones.
    fn hurry(&mut self, out: &mut dyn FnMut(Chain)) {
        self.unsettled.sort();
        let older = self.unsettled.len() / 3 * 2;
        let start = |place: usize| self.unsettled.get(place).map(|&(start, ..)| start);
        let (until, horizon) = match start(older) {
            Some(until) if older > 0 => (until, start(older + older / 8).unwrap_or(i64::MAX)),
            // Nearly all are settled and belong to chains that could still grow: these are emitted as they are.
            _ => (i64::MAX, i64::MAX),
        };
        let early = until.min(self.decided);
        let is_early = |(start, ..): &&Key| *start >= early;
        self.hurried += self.unsettled[..older].iter().filter(is_early).count() as u64;
        self.link(until, horizon, out);
        self.emit(until, LATE, out);
        // If too many calls remain, the wait for late calls is cut short; if still too many remain, everything is emitted.
        if self.held.len() > self.options.max_held / 4 * 3 {
            self.emit(until, 0, out);
        }
        if self.held.len() > self.options.max_held {
            self.link(i64::MAX, i64::MAX, out);
            self.emit(i64::MAX, 0, out);
        }
    }

    /// Settles the causes of calls that began before `until`; calls that began before `horizon` are considered too. Chains go to `out`
    /// only after a fault.
    fn link(&mut self, until: i64, horizon: i64, out: &mut dyn FnMut(Chain)) {
        self.contained(out, |engine| engine.find_causes(until, horizon));
    }

    fn find_causes(&mut self, until: i64, horizon: i64) {
        self.unsettled.sort();
        let before = |time: i64| self.unsettled.partition_point(|&(start, ..)| start < time);
        let (wanted, considered) = (before(until), before(horizon));
        if wanted == 0 {
            return;
        }
        // Whoever took the chains of the last round may have broken off.
        self.forget_emitted();
        let mut keys: Vec<Key> = self.unsettled[..considered].to_vec();
        keys.extend_from_slice(&self.settled);
        keys.sort();
        let slots: Vec<Slot> = keys.into_iter().map(|(.., slot)| slot).collect();
        let mut index_of = vec![u32::MAX; self.held.places()];
        slots.iter().enumerate().for_each(|(index, &slot)| index_of[slot as usize] = index as u32);
        let mut numbers = Numbers::default();
        let members: Vec<Member<'_>> = slots
            .iter()
            .map(|&slot| {
                let held = &self.held[slot];
                let settled = held.parent.map(|(parent, _)| index_of[parent as usize]);
                let settled = settled.filter(|&index| index != u32::MAX);
                let is_child = !held.settled || settled.is_some();
                Member::new(&held.call, &held.traits, settled, is_child, &mut numbers)
            })
            .collect();
        let begun = candidates::begun(&members);
        let Found { candidates: mut found, crowded, joint } = candidates::candidates(&members, &begun);
        let makes_calls = |member: &Member<'_>| self.egress.contains(&member.traits.machines[1]);
        let mut unweighed = stray::find(&members, &found, makes_calls);
        unweighed.extend(self.apply_hints(&members, &mut found));
        // Calls after `until` are considered again later, and counted then.
        self.crowded +=
            crowded.iter().filter(|&&index| members[index as usize].call.start.0 < until).count() as u64;
        let classes: Vec<u32> = members.iter().map(|member| class(member.traits, &self.operations)).collect();
        let method = if self.is_hasty { Method::Nearest } else { self.options.method };
        self.hasty += if self.is_hasty { wanted as u64 } else { 0 };
        let mut links = std::mem::take(&mut self.links);
        settle(&members, &classes, &begun, (&found, &joint), method, &mut self.model, &mut links);
        drop(members);
        for (child, parent, share) in unweighed {
            let child = &self.held[slots[child]];
            // Calls after `until` are considered again later.
            if child.call.start.0 < until && !child.settled {
                let parent = &mut self.held[slots[parent as usize]];
                parent.missed = 1.0 - (1.0 - parent.missed) * (1.0 - share);
            }
        }
        let settled_now: Vec<Key> = self.unsettled.drain(..wanted).collect();
        for &(.., slot) in &settled_now {
            self.step(Step::Settle, &self.held[slot].call);
            self.attach(slot, std::mem::take(&mut links[index_of[slot as usize] as usize]), &slots);
        }
        self.links = links;
        self.settled.extend(settled_now);
        self.settled.sort();
    }

    /// Removes the candidates that the hints forbid. Of a failed call all of whose candidates are set aside unweighed, any may be the
    /// cause: each is returned after the index of the child, with its share.
    fn apply_hints(&self, members: &[Member<'_>], found: &mut [Candidates]) -> Vec<(usize, u32, f64)> {
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

    /// Attaches a call to its cause. Both are named by their index in `slots`.
    fn attach(&mut self, slot: Slot, Settled { link, rivals }: Settled, slots: &[Slot]) {
        let link = link.map(|(parent, link)| (slots[parent as usize], link));
        let is_made = |link: &(Slot, Link)| link.1.confidence >= self.options.min_confidence;
        let dropped = link.filter(|link| !is_made(link)).map(|(parent, link)| (parent, link.confidence));
        let parent = link.filter(is_made).filter(|(parent, _)| self.can_attach(*parent, slot));
        if let Some((above, _)) = parent {
            self.held[above].children.push(slot);
            self.has_linked = true;
        }
        let rivals: Vec<(Slot, f64)> =
            rivals.into_iter().map(|(rival, share)| (slots[rival as usize], share)).chain(dropped).collect();
        let mut named = Vec::new();
        let Traits { failed: has_failed, class, .. } = self.held[slot].traits;
        // How likely it failed.
        let failed = match (has_failed, class) {
            (true, _) => 1.0,
            (false, None) => UNKNOWN,
            (false, Some(_)) => 0.0,
        };
        let others: f64 = rivals.iter().map(|(_, share)| share).sum();
        let is_unsure = parent.map_or(others > 1.0 - FACT, |(_, link)| link.confidence < FACT);
        if failed > 0.0 || is_unsure {
            for (rival, share) in rivals {
                let rival = &mut self.held[rival];
                rival.missed = 1.0 - (1.0 - rival.missed) * (1.0 - share * failed);
                if is_unsure && named.len() < MAX_RIVALS {
                    let (uid, key) = (rival.call.uid, rival.call.key());
                    named.push(Rival { uid, key, confidence: share });
                }
            }
        }
        let held = &mut self.held[slot];
        held.parent = parent;
        held.settled = true;
        held.rivals = named.into();
        if parent.is_none() {
            self.join_tries(slot);
        }
    }

    /// Joins a call without a cause to the failed one that it is a further try of.
    fn join_tries(&mut self, slot: Slot) {
        let Traits { client, server, names: [_, service], method, kind, class, .. } = self.held[slot].traits;
        let Traits { start, retry: is_retry, .. } = self.held[slot].traits;
        let who = hash(&(client.ip, service, method, server.port, kind as u8));
        let failed = self.held[slot].traits.failed && class != Some(Class::Business);
        let before = self.retriable.get(&who).copied();
        if is_retry
            && let Some((before, named)) = before
            && let Some(earlier) = self.held.get_mut(before).filter(|earlier| earlier.call.uid == named)
            && earlier.next_try.is_none()
            && earlier.traits.start < start
            && earlier.call.end.0.saturating_add(RETRY_PAUSE) >= start
        {
            earlier.next_try = Some(slot);
            self.held[slot].earlier_try = Some(before);
        }
        if !failed {
            self.retriable.remove(&who);
        } else if self.retriable.len() < MAX_OPERATIONS {
            self.retriable.insert(who, (slot, self.held[slot].call.uid));
        }
    }

    /// Whether `child` can be attached below `parent`: no cycle, and not too deep.
    fn can_attach(&self, parent: Slot, child: Slot) -> bool {
        let mut at = parent;
        for _ in 0..MAX_DEPTH {
            if at == child {
                return false;
            }
            match self.held.get(at).map(|held| held.parent) {
                Some(Some((above, _))) => at = above,
                Some(None) => return true,
                None => return false,
            }
        }
        false
    }

    /// Emits the chains to which no call that began at `until` or later can belong, if calls are late by at most `late`.
    fn emit(&mut self, until: i64, late: i64, out: &mut dyn FnMut(Chain)) {
        let is_over = |held: &Held| until == i64::MAX || held.traits.end.saturating_add(late) < until;
        let is_root = |held: &Held| held.parent.is_none() && held.next_try.is_none();
        let roots: Vec<Slot> = self
            .settled
            .iter()
            .map(|&(.., slot)| slot)
            .filter(|&slot| self.held.get(slot).is_some_and(|held| is_root(held) && is_over(held)))
            .collect();
        for roots in roots.chunks(WARMED) {
            self.held.warm(roots);
            for &root in roots {
                match self.contained(out, |engine| engine.complete(root, &is_over)) {
                    Some(Some(chain)) => out(chain),
                    Some(None) => {}
                    // Nothing is held any more.
                    None => return,
                }
            }
        }
        self.forget_emitted();
    }

    /// Forgets the settled calls that are held no more, whose places others may have.
    fn forget_emitted(&mut self) {
        let held = &self.held;
        let is_held =
            |&(_, uid, slot): &Key| held.get(slot).is_some_and(|held| held.settled && held.call.uid == uid);
        self.settled.retain(is_held);
    }

    /// Removes the chain of a root, if all of it `is_over`.
    fn complete(&mut self, root: Slot, is_over: &dyn Fn(&Held) -> bool) -> Option<Chain> {
        self.step(Step::Complete, &self.held[root].call);
        let tries = self.held.earlier_tries(root);
        if self.held[root].children.is_empty() && tries.is_empty() {
            return Some(self.take(&[(root, None)]));
        }
        let mut order = self.walk(root);
        // The trees of the earlier tries follow.
        for tried in tries {
            let first = order.len();
            let shift = |(slot, parent): (Slot, Option<usize>)| (slot, parent.map(|parent| parent + first));
            order.extend(self.walk(tried).into_iter().map(shift));
        }
        let is_complete = order.iter().all(|&(slot, _)| self.held[slot].settled && is_over(&self.held[slot]));
        is_complete.then(|| self.take(&order))
    }

    /// The calls of a tree, depth first, each with the index of its parent.
    fn walk(&self, root: Slot) -> Vec<(Slot, Option<usize>)> {
        let mut order = Vec::new();
        let mut stack = vec![(root, None)];
        while let Some((slot, parent)) = stack.pop() {
            let index = order.len();
            order.push((slot, parent));
            let first = stack.len();
            stack.extend(self.held[slot].children.iter().map(|&child| (child, Some(index))));
            stack[first..].sort_by_key(|&(child, _)| std::cmp::Reverse(self.held[child].key()));
        }
        order
    }

    /// Removes a tree and judges it.
    fn take(&mut self, order: &[(Slot, Option<usize>)]) -> Chain {
        let mut hops: Vec<Hop> = Vec::with_capacity(order.len());
        for &(slot, parent) in order {
            let Some(mut held) = self.held.remove(slot) else { continue };
            let above = parent.and_then(|parent| hops.get(parent));
            // If others hold the call too (the live interface), it stays unchanged.
            if let (Some((_, link)), Some(above)) = (held.parent, above)
                && let Some(call) = held.call.get_mut()
            {
                call.parent = Some(above.call.uid);
                call.parent_key = above.call.key();
                call.parent_evidence = link.evidence.strongest().map(Evidence::name);
            }
            hops.push(Hop {
                depth: above.map_or(0, |above| above.depth + 1),
                after_answer: above.is_some_and(|above| {
                    !matches!(above.call.class(), Some(Class::Unanswered | Class::Oneway))
                        && held.call.start > above.call.end
                }),
                parent,
                link: held.parent.map(|(_, link)| link),
                rivals: held.rivals.into_vec(),
                missed: held.missed,
                unread_below: false,
                is_retry_doubtful: false,
                retried_by: (parent.is_none() && !hops.is_empty()).then_some(0),
                is_retry: held.traits.retry,
                call: held.call,
            });
        }
        self.in_hand = hops;
        self.step(Step::Judge, &self.in_hand[0].call);
        let Self { in_hand, egress, .. } = self;
        judge::judge(in_hand, |_, call| makes_calls(egress, call))
    }
}
