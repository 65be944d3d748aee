//! First estimates of the gaps, before any call is assigned.
//!
//! If one event tends to follow another after some time, lags of that length are more frequent forwards than backwards. The
//! backward lags measure chance: they have the same rates and bursts, but no causes. With enough calls, this works no matter how
//! many are in work at once.

use std::collections::{BTreeMap, BTreeSet};

use super::gaps::{BINS, GapModel, Masses, Next, State, bin};
use super::{Belief, Span, Window};

/// Most neighbours of an event in either direction that it is compared with.
const NEIGHBOURS: usize = 256;

/// How many standard deviations an excess must exceed chance.
const SIGNIFICANT: f32 = 2.5;

/// Assumed share of walks without any child.
const EMPTY_WALKS: f32 = 0.05;

/// Assumed share of walks for each step that does not show in the lags.
const RARE: f32 = 0.01;

/// Assumed share of the excess after the request that belongs to calls made beside others.
const BESIDE: f32 = 0.2;

/// The times of one kind of event, by class and host, sorted.
type Times = BTreeMap<(u32, u32), Vec<i64>>;

/// A kind of step, as its lags show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lag {
    /// From a request to a call.
    Made,
    /// From the start of a call to the start of another.
    Beside,
    /// From the end of a call to the start of another.
    After,
    /// From the end of a call to the answer.
    Answer,
}

/// The lags between the events of a window. They do not depend on the model, so all slices and rounds share them.
pub(super) struct Lags {
    request: Times,
    answer: Times,
    made: Times,
    ended: Times,
    /// The longest lag that is considered, nanoseconds.
    horizon: i64,
    /// By kind, and by the classes of the first and the second event.
    known: BTreeMap<(Lag, u32, u32), Masses>,
}

impl Lags {
    /// Collects the events of a window.
    pub(super) fn new(window: &Window) -> Self {
        let (mut request, mut answer) = (Times::new(), Times::new());
        for parent in &window.parents {
            request.entry((parent.class, parent.host)).or_default().push(parent.start);
            answer.entry((parent.class, parent.host)).or_default().push(parent.end);
        }
        let (mut made, mut ended) = (Times::new(), Times::new());
        for child in &window.children {
            made.entry((child.class, child.host)).or_default().push(child.start);
            ended.entry((child.class, child.host)).or_default().push(child.end);
        }
        for times in [&mut request, &mut answer, &mut made, &mut ended] {
            for times in times.values_mut() {
                times.sort_unstable();
            }
        }
        Self { request, answer, made, ended, horizon: horizon(window), known: BTreeMap::new() }
    }

    /// By how much events of class `to` follow events of class `from` more often than by chance.
    fn excess(&mut self, lag: Lag, from: u32, to: u32) -> &Masses {
        let (first, second) = match lag {
            Lag::Made => (&self.request, &self.made),
            Lag::Beside => (&self.made, &self.made),
            Lag::After => (&self.ended, &self.made),
            Lag::Answer => (&self.ended, &self.answer),
        };
        let horizon = self.horizon;
        self.known.entry((lag, from, to)).or_insert_with(|| excess(first, from, second, to, horizon))
    }

    /// Whether they follow each other more often than by chance at all.
    fn follow(&mut self, lag: Lag, from: u32, to: u32) -> bool {
        self.excess(lag, from, to).iter().any(|mass| *mass > 0.0)
    }
}

/// Classes of parents that the model does not know.
pub(super) fn unknown(window: &Window, model: &GapModel) -> BTreeSet<u32> {
    let known = model.parents();
    let classes = window.edges.iter().map(|edge| window.parents[edge.parent as usize].class);
    classes.filter(|class| !known.contains(class)).collect()
}

/// Seeds `model` for the classes of parents that it does not know, and returns whether there were any. `guess` is the answer of a
/// simpler model.
pub(super) fn seed(window: &Window, lags: &mut Lags, guess: &[Belief], model: &mut GapModel) -> bool {
    let unknown = unknown(window, model);
    if unknown.is_empty() {
        return false;
    }
    // The classes of children that each class of parents can have.
    let mut pairs: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for edge in &window.edges {
        let parent = window.parents[edge.parent as usize].class;
        if unknown.contains(&parent) {
            pairs.entry(parent).or_default().insert(window.children[edge.child as usize].class);
        }
    }
    let mut parents: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
    window.parents.iter().for_each(|parent| parents.entry(parent.class).or_default().push(*parent));
    let few = unknown.iter().copied().filter(|class| parents[class].len() < MANY).collect();
    count_obvious(window, &few, model);
    count_guessed(window, guess, &unknown, model);
    for (class, children) in pairs {
        let parents = &parents[&class];
        // Parallel calls in a fixed order show in the lags between them. Only if those show nothing, each is counted from the
        // request.
        let unordered: Vec<u32> = children
            .iter()
            .copied()
            .filter(|&before| !children.iter().any(|&next| lags.follow(Lag::Beside, before, next)))
            .collect();
        for &child in &children {
            let masses = lags.excess(Lag::Made, class, child);
            add(model, (class, State::Request, Next::After(child)), masses, 1.0);
            for &before in &unordered {
                add(model, (class, State::Made(before), Next::FromRequest(child)), masses, BESIDE);
            }
            let masses = lags.excess(Lag::Answer, child, class);
            add(model, (class, State::Made(child), Next::Answer), masses, 1.0);
            for &before in &children {
                let after = lags.excess(Lag::After, before, child);
                add(model, (class, State::Made(before), Next::After(child)), after, 1.0);
                let beside = lags.excess(Lag::Beside, before, child);
                add(model, (class, State::Made(before), Next::Beside(child)), beside, BESIDE);
            }
        }
        // Steps too rare to exceed chance get the shape of all others, so that they can be learnt at all.
        let shape = model.shape(class);
        for &child in &children {
            let made = State::Made(child);
            let rare = [(State::Request, Next::After(child)), (made, Next::Answer)];
            // A call may follow itself (a retry or a loop); it may follow another one only if it tends to come later.
            let later = |next: &u32| *next == child || lags.follow(Lag::Beside, child, *next);
            let after = children.iter().copied().filter(later).map(|next| (made, Next::After(next)));
            for (state, next) in rare.into_iter().chain(after) {
                add(model, (class, state, next), &shape, RARE * parents.len() as f32);
            }
        }
        for parent in parents {
            let share = EMPTY_WALKS * (parents.len() as f32).min(1.0);
            model.add((class, State::Request, Next::Answer), bin(parent.end - parent.start), share);
        }
    }
    true
}

/// Weight of a pair's gaps if its child has several possible parents.
const DOUBTFUL: f32 = 0.3;

/// Most possible parents of a child whose gaps are counted directly.
const FEW: u32 = 4;

/// Number of parents of a class from which the lags alone are enough.
const MANY: usize = 100;

/// Counts the gaps of children with few possible parents: short or quiet captures have nothing else to learn from.
fn count_obvious(window: &Window, unknown: &BTreeSet<u32>, model: &mut GapModel) {
    let mut possible = vec![0_u32; window.children.len()];
    window.edges.iter().for_each(|edge| possible[edge.child as usize] += 1);
    for edges in window.edges.chunk_by(|a, b| a.parent == b.parent) {
        let parent = window.parents[edges[0].parent as usize];
        if !unknown.contains(&parent.class) {
            continue;
        }
        let mut before: Option<Span> = None;
        for edge in edges {
            let child = window.children[edge.child as usize];
            let possible = possible[edge.child as usize];
            if possible > FEW && edge.weight < super::SETTLED {
                continue;
            }
            let made = State::Made(child.class);
            if possible > 1 {
                let share = DOUBTFUL / possible as f32;
                let first = (parent.class, State::Request, Next::After(child.class));
                model.add(first, bin((child.start - parent.start).abs()), share);
                model.add((parent.class, made, Next::Answer), bin(parent.end - child.end), share);
                continue;
            }
            let (state, next, gap) = match before {
                None => (State::Request, Next::After(child.class), (child.start - parent.start).abs()),
                Some(last) if child.start >= last.end => {
                    (State::Made(last.class), Next::After(child.class), child.start - last.end)
                }
                Some(last) => (State::Made(last.class), Next::Beside(child.class), child.start - last.start),
            };
            model.add((parent.class, state, next), bin(gap), 1.0);
            before = Some(child);
        }
        if let Some(last) = before {
            let answer = (parent.class, State::Made(last.class), Next::Answer);
            model.add(answer, bin(parent.end - last.end), 1.0);
        }
    }
}

/// Least probability of a guess that is counted.
const LIKELY: f64 = 0.7;

/// Counts the steps of walks that a simpler model is confident of: steps that go either way do not show in lags.
fn count_guessed(window: &Window, guess: &[Belief], unknown: &BTreeSet<u32>, model: &mut GapModel) {
    let mut pairs: Vec<(u32, u32, f32)> = Vec::new();
    for belief in guess.iter().filter(|belief| belief.probability >= LIKELY) {
        if let Some(edge) = belief.edge.map(|edge| window.edges[edge as usize])
            && unknown.contains(&window.parents[edge.parent as usize].class)
        {
            pairs.push((edge.parent, edge.child, belief.probability as f32));
        }
    }
    pairs.sort_unstable_by_key(|&(parent, child, _)| (parent, child));
    for walk in pairs.chunk_by(|a, b| a.0 == b.0) {
        let parent = window.parents[walk[0].0 as usize];
        let (mut last, mut latest): (Option<Span>, i64) = (None, parent.start);
        for &(_, child, share) in walk {
            let child = window.children[child as usize];
            let (state, next, gap) = match last {
                None => (State::Request, Next::After(child.class), child.start - parent.start),
                Some(last) if child.start >= latest => {
                    (State::Made(last.class), Next::After(child.class), child.start - latest)
                }
                Some(last) => (State::Made(last.class), Next::Beside(child.class), child.start - last.start),
            };
            model.add((parent.class, state, next), bin(gap), share);
            (last, latest) = (Some(child), latest.max(child.end));
        }
        if let Some(last) = last {
            model.add((parent.class, State::Made(last.class), Next::Answer), bin(parent.end - latest), 1.0);
        }
    }
}

/// The longest lag that is considered: the 95th percentile of the parents' durations, nanoseconds.
fn horizon(window: &Window) -> i64 {
    let mut lengths: Vec<i64> = window.parents.iter().map(|parent| parent.end - parent.start).collect();
    if lengths.is_empty() {
        return 0;
    }
    let index = (lengths.len() - 1) * 95 / 100;
    *lengths.select_nth_unstable(index).1
}

/// Adds an excess to a step.
fn add(model: &mut GapModel, step: super::gaps::Step, masses: &Masses, share: f32) {
    for (bin, mass) in masses.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
        model.add(step, bin, mass * share);
    }
}

/// By how much events `to` follow events `from` more often than by chance, by bin of the lag.
fn excess(from: &Times, from_class: u32, to: &Times, to_class: u32, horizon: i64) -> Masses {
    let (mut forward, mut backward) = ([0.0_f32; BINS], [0.0_f32; BINS]);
    for (&(_, host), events) in from.range((from_class, 0)..=(from_class, u32::MAX)) {
        let Some(others) = to.get(&(to_class, host)) else { continue };
        let mut next = 0;
        for &event in events {
            while others.get(next).is_some_and(|&other| other < event) {
                next += 1;
            }
            let later = others[next..].iter().take(NEIGHBOURS).take_while(|&&other| other - event <= horizon);
            later.for_each(|&other| forward[bin(other - event)] += 1.0);
            let earlier =
                others[..next].iter().rev().take(NEIGHBOURS).take_while(|&&other| event - other <= horizon);
            earlier.for_each(|&other| backward[bin(event - other)] += 1.0);
        }
    }
    let mut masses = [0.0; BINS];
    for (bin, mass) in masses.iter_mut().enumerate() {
        // Neighbouring bins help to distinguish a low hill from noise.
        let window = bin.saturating_sub(1)..=(bin + 1).min(BINS - 1);
        let (plus, minus) =
            (forward[window.clone()].iter().sum::<f32>(), backward[window.clone()].iter().sum::<f32>());
        if plus - minus > SIGNIFICANT * (plus + minus).sqrt() {
            *mass = ((plus - minus) / window.count() as f32).max(0.0);
        }
    }
    masses
}
