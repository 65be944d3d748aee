//! The walk of one parent: its request arrives, it makes calls, it answers, and its outcome follows from theirs.

use super::super::{Ending, Facts, Window};
use super::tables::{Choice, Kind, Tables, Walk};

/// Kinds of choices.
const NEXT: u8 = 1;
const OPERATION: u8 = 2;
const REPEATED: u8 = 3;
const OUTCOME: u8 = 4;
const TEXT: u8 = 5;
const FAILED_ALONE: u8 = 6;
const IGNORED: u8 = 7;
const OUTLIVED: u8 = 8;
const AGAIN: u8 = 9;

/// The alternative to any further call.
const ANSWER: u32 = 0;

/// A call beside another one, to whichever service.
const BESIDE: u32 = u32::MAX - 1;

/// The state before the first call, and after the answer.
const REQUEST: u32 = 0;
const ANSWERED: u32 = 1;

/// Logarithm of the probability that a call side by side with one that its own host answers lies within that by chance.
const NESTED: f64 = -2.5;

/// Logarithm of the probability that a call is given up although none beside it has been answered.
const GIVEN_UP_BEFORE: f64 = -1.5;

/// Time over which calls are given up for other reasons, in milliseconds.
const GIVEN_UP: f64 = 20.0;

/// What the walks of a window have in common.
pub(super) struct Common {
    /// By service: number of services that its parents may call.
    callees: Vec<f32>,
    /// By service: number of its operations.
    operations: Vec<f32>,
    /// By parent: share of the failed calls of its service that ended with the same outcome, and of these the share with its text.
    outcomes: Vec<[f32; 2]>,
}

impl Common {
    pub(super) fn new(window: &Window) -> Self {
        use foldhash::fast::FixedState;
        use hashbrown::{HashMap, HashSet};
        let facts = &window.facts;
        let services = facts.iter().map(|facts| facts.service + 1).max().unwrap_or(0) as usize;
        let mut pairs: HashSet<(u32, u32), FixedState> = HashSet::default();
        for edge in &window.edges {
            pairs.insert((facts[edge.parent as usize].service, facts[edge.child as usize].service));
        }
        let mut callees = vec![0.0; services];
        pairs.iter().for_each(|(service, _)| callees[*service as usize] += 1.0);
        let known: HashSet<(u32, u32), FixedState> =
            facts.iter().map(|facts| (facts.service, facts.operation)).collect();
        let mut operations = vec![0.0; services];
        known.iter().for_each(|(service, _)| operations[*service as usize] += 1.0);
        let mut failed: HashMap<(u32, u32, u32), f32, FixedState> = HashMap::default();
        for facts in facts.iter().filter(|facts| facts.failed) {
            for (outcome, text) in [(0, 0), (facts.outcome, 0), (facts.outcome, facts.text + 1)] {
                *failed.entry((facts.service, outcome, text)).or_default() += 1.0;
            }
        }
        let count = |service, outcome, text| failed.get(&(service, outcome, text)).copied().unwrap_or(0.0);
        let outcomes = facts
            .iter()
            .map(|facts| {
                let all = count(facts.service, 0, 0);
                let same = count(facts.service, facts.outcome, 0);
                let text = count(facts.service, facts.outcome, facts.text + 1);
                [(same + 0.5) / (all + 2.0), (text + 0.1) / (same + 1.0)]
            })
            .collect();
        Self { callees, operations, outcomes }
    }
}

/// The state of a walk after a call: which services have been called, in whatever order, and how the last call ended.
fn state(called: u32, last: &Facts) -> u32 {
    let how = match last.ending {
        Ending::Fine => 0,
        Ending::Failed => 1,
        Ending::Broken | Ending::Open => 2,
    };
    called.wrapping_mul(4) + how + 2
}

/// Adds a service to the set of those called; the order does not matter.
fn add_service(called: u32, service: u32) -> u32 {
    // Services that differ have numbers that hardly ever sum up to the same.
    called.wrapping_add((service + 1).wrapping_mul(0x9e37_79b1) >> 4)
}

/// The state from which gaps are counted: whether the call failed makes no difference.
fn gap_state(facts: &Facts) -> u32 {
    2 + facts.service * 2 + u32::from(matches!(facts.ending, Ending::Open))
}

/// Probability of the next call or of the answer, before anything is learnt. `beside`: while the last call is in work.
fn next_base(common: &Common, service: u32, last: Option<&Facts>, next: Option<&Facts>, beside: bool) -> f32 {
    let others = 1.0 / common.callees[service as usize].max(1.0);
    match (last, next) {
        (None, None) => 0.3,
        (None, Some(_)) => 0.7 * others,
        (Some(_), None) => 0.6,
        (Some(_), Some(_)) if beside => 0.1,
        (Some(last), Some(next)) => {
            let again = last.service == next.service;
            let failed = !matches!(last.ending, Ending::Fine);
            match (again, failed) {
                (true, true) => 0.25,
                (true, false) => 0.12,
                (false, _) => 0.15 * others,
            }
        }
    }
}

/// Most services of which a walk remembers whether it has called them.
const MAX_CALLED: usize = 8;

/// How far a walk has come: all that its next step depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The last call before the answer, the one of those that ended last, and the last one after the answer.
    last: Option<u32>,
    latest: Option<u32>,
    late: Option<u32>,
    /// The set of services that have been called.
    called: u32,
    kinds: [u32; MAX_CALLED],
    kind_count: usize,
}

impl Progress {
    const START: Self = Self {
        last: None,
        latest: None,
        late: None,
        called: 0,
        kinds: [u32::MAX; MAX_CALLED],
        kind_count: 0,
    };

    /// Whether the same steps follow from both.
    fn leads_on_like(&self, other: &Self) -> bool {
        (self.last, self.latest, self.late) == (other.last, other.latest, other.late)
            && (self.called, self.kind_count) == (other.called, other.kind_count)
    }
}

/// A place in a walk: before each of its calls, before its answer, and before its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    progress: Progress,
    /// How much of [`Walk::choices`], [`Walk::gaps`] and [`Walk::fixed`] comes before.
    pub(super) choices: usize,
    pub(super) gaps: usize,
    pub(super) fixed: f64,
}

impl Walk {
    fn mark(&mut self, progress: Progress) {
        let (choices, gaps) = (self.choices.len(), self.gaps.len());
        self.marks.push(Mark { progress, choices, gaps, fixed: self.fixed });
    }
}

/// What differs between a walk and one with other calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    /// The steps that differ, as indices of [`Walk::marks`] of the walk that is replaced.
    pub(super) steps: (usize, usize),
    /// Whether the outcome may follow from other calls.
    pub(super) outcome: bool,
}

/// Writes the walk of `parent` with these calls, sorted by start, to `out`.
pub(super) fn trace(
    window: &Window,
    common: &Common,
    tables: &mut Tables,
    parent: u32,
    calls: &[u32],
    out: &mut Walk,
) {
    out.clear();
    let mut progress = Progress::START;
    for &call in calls {
        out.mark(progress);
        step(window, common, tables, parent, call, &mut progress, out);
    }
    out.mark(progress);
    answer(window, common, tables, parent, &progress, out);
    out.mark(progress);
    outcome(window, common, tables, parent, calls, out);
    out.has_failed = calls.iter().any(|&call| window.facts[call as usize].failed);
}

/// Writes to `out` only what would be different in `now`, the walk of `parent` with the calls `old`, if it had the calls `new`.
/// Most steps of a long walk do not depend on which other calls it has.
pub(super) fn retrace(
    window: &Window,
    common: &Common,
    tables: &mut Tables,
    parent: u32,
    (now, old, new): (&Walk, &[u32], &[u32]),
    out: &mut Walk,
) -> Difference {
    let first = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[first..], &new[first..]);
    let same = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    out.clear();
    let mut progress = now.marks[first].progress;
    let mut end = None;
    for (place, &call) in new_rest.iter().enumerate() {
        let left = new_rest.len() - place;
        if left <= same && progress.leads_on_like(&now.marks[old.len() - left].progress) {
            end = Some(old.len() - left);
            break;
        }
        step(window, common, tables, parent, call, &mut progress, out);
    }
    let end = end.unwrap_or_else(|| {
        if progress.leads_on_like(&now.marks[old.len()].progress) {
            return old.len();
        }
        answer(window, common, tables, parent, &progress, out);
        old.len() + 1
    });
    let failed = |calls: &[u32]| calls.iter().any(|&call| window.facts[call as usize].failed);
    let changed = failed(&old_rest[..old_rest.len() - same]) || failed(&new_rest[..new_rest.len() - same]);
    let is_outcome_open = now.has_failed || changed;
    if is_outcome_open {
        outcome(window, common, tables, parent, new, out);
    }
    Difference { steps: (first, end), outcome: is_outcome_open }
}

/// One call of a walk.
fn step(
    window: &Window,
    common: &Common,
    tables: &mut Tables,
    parent: u32,
    call: u32,
    progress: &mut Progress,
    out: &mut Walk,
) {
    let (span, facts) = (window.parents[parent as usize], &window.facts[parent as usize]);
    let who = (facts.operation, facts.service);
    let end_of = |call: u32| window.children[call as usize].end;
    let (child, its) = (window.children[call as usize], &window.facts[call as usize]);
    if child.start > span.end {
        let from = progress.late.map_or(span.end, |call: u32| window.children[call as usize].start);
        out.choices.push(tables.choice(NEXT, who, ANSWERED, its.service + 1, || {
            0.03 / common.callees[facts.service as usize].max(1.0)
        }));
        operation(common, tables, who, None, its, &mut out.choices);
        out.gaps.push(tables.gap(Kind::Late, facts.service, ANSWERED, its.service, child.start - from));
        progress.late = Some(call);
        return;
    }
    let (last, latest) = (progress.last, progress.latest);
    let before = last.map(|call| &window.facts[call as usize]);
    let at = before.map_or(REQUEST, |before| state(progress.called, before));
    let (beside, gap) = if let Some(last) = last {
        let of = &window.facts[last as usize];
        let before = window.children[last as usize];
        let ended = latest.map_or(before.end, end_of);
        let open = matches!(of.ending, Ending::Open);
        if child.start >= ended && !open {
            let of = latest.map_or(of, |latest| &window.facts[latest as usize]);
            let gap = child.start - ended;
            (false, tables.gap(Kind::After, facts.service, gap_state(of), its.service, gap))
        } else if child.start >= before.end && !open {
            let gap = child.start - before.end;
            (false, tables.gap(Kind::After, facts.service, gap_state(of), its.service, gap))
        } else {
            let again = u32::from(of.service == its.service);
            let gap = child.start - before.start;
            (true, tables.gap(Kind::Beside, facts.service, BESIDE, again, gap))
        }
    } else {
        let gap = child.start - span.start;
        (false, tables.gap(Kind::After, facts.service, REQUEST, its.service, gap))
    };
    let next = if beside { BESIDE } else { its.service + 1 };
    out.choices.push(
        tables.choice(NEXT, who, at, next, || next_base(common, facts.service, before, Some(its), beside)),
    );
    let known = progress.kinds[..progress.kind_count].contains(&its.service);
    if beside {
        // Calls side by side may come in any order.
        let again = known;
        out.choices.push(tables.choice(AGAIN, who, 0, u32::from(again), || if again { 0.3 } else { 0.7 }));
        let rest = common.callees[facts.service as usize] - progress.kind_count as f32;
        let among = if again { progress.kind_count as f32 } else { rest };
        out.fixed -= f64::from(among.max(1.0)).ln();
    }
    if !known && progress.kind_count < MAX_CALLED {
        progress.kinds[progress.kind_count] = its.service;
        progress.kind_count += 1;
        progress.called = add_service(progress.called, its.service);
    }
    operation(common, tables, who, before, its, &mut out.choices);
    out.gaps.push(gap);
    if let Some(last) = last.filter(|_| beside) {
        side_by_side(window, tables, facts.service, last, call, out);
    }
    if child.start < span.start {
        // Its work had not begun.
        out.fixed -= 6.0;
    }
    progress.last = Some(call);
    let outlives = child.end > span.end && !matches!(its.ending, Ending::Open);
    if is_answered(facts) {
        let broken = matches!(its.ending, Ending::Broken);
        let (alternative, base) = if broken { (2, 0.3) } else { (0, 0.02) };
        out.choices.push(tables.choice(OUTLIVED, who, alternative, u32::from(outlives), || {
            if outlives { base } else { 1.0 - base }
        }));
    }
    if !outlives && latest.is_none_or(|latest| child.end >= end_of(latest)) {
        progress.latest = Some(call);
    }
}

/// What two calls side by side show but the gap between their starts.
fn side_by_side(window: &Window, tables: &mut Tables, service: u32, last: u32, call: u32, out: &mut Walk) {
    let [before, child] = [last, call].map(|call| window.children[call as usize]);
    let [of, its] = [last, call].map(|call| &window.facts[call as usize]);
    if child.end < before.end && window.parents[last as usize].host == child.host {
        // It lies within a call that its own host answers, and which rather made it.
        out.fixed += NESTED;
    }
    if of.operation != its.operation {
        return;
    }
    let (answered, beaten) = match (of.ending, its.ending) {
        (Ending::Fine | Ending::Failed, Ending::Broken) => (before.end, child.end),
        (Ending::Broken, Ending::Fine | Ending::Failed) => (child.end, before.end),
        _ => return,
    };
    // The first answer to a hedged call makes the caller give up the other try at once.
    if beaten < answered {
        out.fixed += GIVEN_UP_BEFORE;
    } else {
        out.gaps.push(tables.gap(Kind::Beaten, service, BESIDE, 0, beaten - answered));
        out.fixed += GIVEN_UP.ln();
    }
}

fn is_answered(facts: &Facts) -> bool {
    !matches!(facts.ending, Ending::Open | Ending::Broken)
}

/// The answer, after all calls.
fn answer(
    window: &Window,
    common: &Common,
    tables: &mut Tables,
    parent: u32,
    progress: &Progress,
    out: &mut Walk,
) {
    let (span, facts) = (window.parents[parent as usize], &window.facts[parent as usize]);
    if !is_answered(facts) {
        return;
    }
    let who = (facts.operation, facts.service);
    let before = progress.last.map(|call| &window.facts[call as usize]);
    let at = before.map_or(REQUEST, |before| state(progress.called, before));
    out.choices
        .push(tables.choice(NEXT, who, at, ANSWER, || next_base(common, facts.service, before, None, false)));
    out.choices.push(tables.choice(NEXT, who, ANSWERED, ANSWER, || 0.97));
    let gap = match progress.latest.or(progress.last) {
        None => tables.gap(Kind::Alone, facts.service, REQUEST, ANSWER, span.end - span.start),
        Some(call) => {
            let its = &window.facts[call as usize];
            let child = window.children[call as usize];
            let open = matches!(its.ending, Ending::Open) || child.end > span.end;
            let (kind, from) = if open { (Kind::Silent, child.start) } else { (Kind::Answer, child.end) };
            tables.gap(kind, facts.service, gap_state(its), ANSWER, span.end - from)
        }
    };
    out.gaps.push(gap);
}

/// Which operation of a service is called.
fn operation(
    common: &Common,
    tables: &mut Tables,
    who: (u32, u32),
    before: Option<&Facts>,
    its: &Facts,
    out: &mut Vec<Choice>,
) {
    let others = 1.0 / common.operations[its.service as usize].max(1.0);
    if let Some(before) = before.filter(|before| before.service == its.service) {
        let same = before.operation == its.operation;
        out.push(tables.choice(REPEATED, who, its.service, u32::from(same), || if same { 0.7 } else { 0.3 }));
        if same {
            return;
        }
    }
    out.push(tables.choice(OPERATION, who, its.service, its.operation, || others));
}

/// How the outcome of the parent follows from those of its calls.
fn outcome(
    window: &Window,
    common: &Common,
    tables: &mut Tables,
    parent: u32,
    calls: &[u32],
    out: &mut Walk,
) {
    let (span, facts) = (window.parents[parent as usize], &window.facts[parent as usize]);
    if matches!(facts.ending, Ending::Open | Ending::Broken) {
        return;
    }
    let who = (facts.operation, facts.service);
    let [usual, text] = common.outcomes[parent as usize];
    let failed = |place: usize| {
        let call = calls[place];
        let its = &window.facts[call as usize];
        let counts = its.failed && window.children[call as usize].start <= span.end;
        // Another try of the same call made up for it: a later one, or one beside it.
        counts
            && !calls.iter().enumerate().any(|(other, &another)| {
                let same = &window.facts[another as usize];
                same.operation == its.operation
                    && !same.failed
                    && (other > place
                        || window.children[another as usize].end > window.children[call as usize].start)
            })
    };
    let mut explains: Option<((bool, bool, i64), u32)> = None;
    let mut count = 0;
    for (place, &call) in calls.iter().enumerate() {
        if !failed(place) {
            continue;
        }
        count += 1;
        let its = &window.facts[call as usize];
        let same = its.code.is_some() && its.code == facts.code;
        let key = (window.is_related(parent, call), same, window.children[call as usize].end);
        if explains.is_none_or(|(best, _)| key > best) {
            explains = Some((key, call));
        }
    }
    let Some(((related, ..), call)) = explains else {
        let alone = facts.failed;
        out.choices
            .push(tables.choice(FAILED_ALONE, who, 0, u32::from(alone), || if alone { 0.1 } else { 0.9 }));
        if alone {
            out.fixed += f64::from(usual).ln();
        }
        return;
    };
    for _ in 1..count {
        out.choices.push(tables.choice(IGNORED, who, 0, 1, || 0.3));
    }
    let its = &window.facts[call as usize];
    out.choices.push(tables.choice(OUTCOME, who, its.outcome, facts.outcome, || {
        let same = its.code.is_some() && its.code == facts.code;
        if facts.failed { 0.35 * usual + if same { 0.5 } else { 0.02 } } else { 0.15 }
    }));
    if facts.failed && facts.text != 0 && its.text != 0 {
        // How errors are passed on is learnt for each outcome of the callee.
        let choice = tables.choice(
            TEXT,
            (its.outcome * 64 + facts.service, facts.service),
            0,
            u32::from(related),
            || {
                if related { 0.65 } else { 0.35 }
            },
        );
        out.text = Some((choice, related, text));
    }
}
