//! Selects the model of a service that explains its times best.
//!
//! Each model (a walk from call to call, independent calls, a queue that keeps the order) has an answer of its own: an assignment
//! of all calls. Under an answer, the times have a likelihood. The selection compares the likelihood of the times alone, not of
//! times and answer together: one of many equally good answers stands for all of them, so its likelihood is divided by the
//! answer's probability (Bayes). Densities are learnt from one half of the parents and applied to the other, so that no model wins
//! by fitting its own answer.

use std::collections::{BTreeMap, BTreeSet};

use super::factor_graph::FOLLOWERS;
use super::followers::Followers;
use super::gaps::{GapModel, GapTable, Next, State, Step, bin};
use super::parallel_model::MAX_CALLS;
use super::trellis::MAX_CLASSES;
use super::{Belief, SETTLED, Span, Window};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

/// The models of a service, the default first.
const MODELS: [ServiceModel; 6] = [
    ServiceModel::Sequential,
    ServiceModel::Parallel,
    ServiceModel::FirstIn(Queue::Class),
    ServiceModel::LongestReady(Queue::Class),
    ServiceModel::FirstIn(Queue::Host),
    ServiceModel::LongestReady(Queue::Host),
];

/// A model of how a service makes its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceModel {
    /// One step after the other.
    Sequential,
    /// Each call independently.
    Parallel,
    /// The oldest parent without such a call makes it.
    FirstIn(Queue),
    /// The parent that has been ready longest makes it.
    LongestReady(Queue),
}

/// The events that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Calls of one class.
    Class,
    /// All events of the host.
    Host,
}

impl ServiceModel {
    /// Whether order decides, so that work begins when the work before it is done.
    fn keeps_order(self) -> bool {
        self.queue().is_some()
    }

    /// The queue in which work waits.
    fn queue(self) -> Option<Queue> {
        match self {
            Self::Sequential | Self::Parallel => None,
            Self::FirstIn(queue) | Self::LongestReady(queue) => Some(queue),
        }
    }

    /// Index of its answer among those that are passed to [`choose`].
    fn answer(self) -> usize {
        match self {
            Self::Sequential => 0,
            Self::Parallel => 1,
            Self::FirstIn(_) => 2,
            Self::LongestReady(_) => 3,
        }
    }

    /// Whether gaps are counted from the previous call.
    fn is_walk(self) -> bool {
        matches!(self, Self::Sequential | Self::LongestReady(_))
    }
}

/// By how much another model must explain each call better than the default.
const MARGIN: f64 = 0.05;

/// By how much it must explain all calls together better: a few calls decide nothing.
const LEAST: f64 = 20.0;

/// By how much a second way of learning must explain each call better.
const BETTER: f64 = 0.02;

/// By how much an order must explain each call better than chance. An order that is not kept comes to no more than chance.
const BEYOND_CHANCE: f64 = 0.7;

/// The confidence that each violation of the order costs; fitted to simulated traffic of several plans.
const DOUBT: f64 = 1.15;

/// Fewer calls than these are few to learn gaps from.
const FEW: f64 = 100.0;

/// Decay of the likelihoods of earlier windows.
const FADE: f64 = 0.9;

/// Most services that are remembered.
const MAX_SERVICES: usize = 10_000;

/// The likelihoods of each service's models so far, by its first class.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelSelection {
    services: BTreeMap<u32, Likelihoods>,
}

/// Logarithms of likelihoods.
#[derive(Clone, Copy, Debug, Default)]
struct Likelihoods {
    /// Of all times, by model.
    all: [f64; MODELS.len()],
    /// Of the calls alone, by model.
    calls: [f64; MODELS.len()],
    /// Of the calls alone, if they came by chance.
    chance: f64,
    /// Of the answers, if they came by chance.
    chance_answers: f64,
    /// Number of calls.
    count: f64,
    /// Share of the events that come before one that had been ready longer, by answer.
    broken: [f64; 4],
}

impl Likelihoods {
    /// Index of the best model.
    fn best(&self) -> usize {
        let score = |model: usize| {
            let beyond = self.calls[model] - self.chance;
            if MODELS[model].keeps_order() && beyond < BEYOND_CHANCE * self.count {
                return f64::MIN;
            }
            self.all[model] - if model == 0 { 0.0 } else { LEAST + MARGIN * self.count }
        };
        (0..MODELS.len()).rev().max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0)
    }

    /// Factor for the probabilities of the best model, below 1 if the gaps learnt from one half of the calls explain the times of the other
    /// half worse than chance: then they were learnt from wrong pairs or from too few. A walk of many calls is right as often as it says
    /// however little its gaps explain, as simulated traffic shows.
    fn trust(&self) -> f64 {
        let best = self.best();
        let gain = match MODELS[best] {
            ServiceModel::Parallel => self.all[best] - self.chance - self.chance_answers,
            _ if self.count < FEW => (self.calls[best] - self.chance) / 2.0,
            _ => 0.0,
        };
        (gain.min(0.0) / self.count.max(1.0)).exp()
    }
}

/// Takes the answer of the best model for every service. `told` is how sure the links of the first answer are told to be.
pub(super) fn choose(
    window: &Window,
    answers: &[Vec<Belief>; 4],
    told: &[f64],
    selection: &mut ModelSelection,
) -> Vec<Belief> {
    let services = Services::new(window);
    let predecessors = Predecessors::new(window);
    let mut sums: BTreeMap<u32, Likelihoods> = BTreeMap::new();
    for (index, model) in MODELS.into_iter().enumerate() {
        let broken = explain(
            window,
            &services,
            &predecessors,
            model,
            &answers[model.answer()],
            &mut |service, is_call, value| {
                let sums = sums.entry(service).or_default();
                sums.all[index] += value;
                sums.calls[index] += if is_call { value } else { 0.0 };
            },
        );
        for (service, share) in broken {
            sums.entry(service).or_default().broken[model.answer()] = share;
        }
    }
    for span in &window.children {
        if let Some(service) = services.of_child.get(&span.class) {
            let sums = sums.entry(*service).or_default();
            sums.chance += predecessors.rates[&(false, span.class, span.host)].1.ln() - 1.0;
            sums.count += 1.0;
        }
    }
    for span in &window.parents {
        if let Some(service) = services.of_parent.get(&span.class) {
            let sums = sums.entry(*service).or_default();
            sums.chance_answers += predecessors.rates[&(true, span.class, span.host)].1.ln() - 1.0;
        }
    }
    if selection.services.len() > MAX_SERVICES {
        selection.services.clear();
    }
    let mut best: BTreeMap<u32, (usize, [f64; 4], f64)> = BTreeMap::new();
    for (service, new) in sums {
        let old = selection.services.entry(service).or_default();
        let add = |old: &mut f64, new: f64| *old = *old * FADE + new;
        for model in 0..MODELS.len() {
            add(&mut old.all[model], new.all[model]);
            add(&mut old.calls[model], new.calls[model]);
        }
        add(&mut old.chance, new.chance);
        add(&mut old.chance_answers, new.chance_answers);
        add(&mut old.count, new.count);
        old.broken = new.broken;
        best.insert(service, (old.best(), old.broken, old.trust()));
    }
    window
        .children
        .iter()
        .enumerate()
        .map(|(child, span)| {
            let best = services.of_child.get(&span.class).and_then(|service| best.get(service));
            let Some(&(model, broken, trust)) = best else { return answers[0][child] };
            let answer = MODELS[model].answer();
            let belief = answers[answer][child];
            let settled = belief.edge.is_some_and(|edge| window.edges[edge as usize].weight >= SETTLED);
            if MODELS[model].keeps_order() && !settled {
                return Belief { probability: (1.0 - DOUBT * broken[answer]).max(0.1), ..belief };
            }
            if settled || belief.edge.is_none() {
                return belief;
            }
            let told =
                if MODELS[model] == ServiceModel::Sequential { told[child] } else { belief.probability };
            Belief { probability: told * trust, ..belief }
        })
        .collect()
}

/// The classes of parents and of children of the services whose times the second answer explains better than the first, both
/// under the sequential model.
pub(super) fn better(window: &Window, answers: [&[Belief]; 2]) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let services = Services::new(window);
    let predecessors = Predecessors::new(window);
    let mut gains: BTreeMap<u32, f64> = BTreeMap::new();
    for (beliefs, sign) in answers.into_iter().zip([-1.0, 1.0]) {
        explain(
            window,
            &services,
            &predecessors,
            ServiceModel::Sequential,
            beliefs,
            &mut |service, _, value| {
                *gains.entry(service).or_default() += sign * value;
            },
        );
    }
    let least = LEAST + BETTER * window.children.len() as f64;
    let gained = |of: &BTreeMap<u32, u32>| {
        of.iter()
            .filter(|(_, service)| gains.get(service).is_some_and(|gain| *gain > least))
            .map(|(c, _)| *c)
            .collect()
    };
    (gained(&services.of_parent), gained(&services.of_child))
}

/// The classes that belong together: connected components of the possible pairs, named by their least class.
struct Services {
    of_parent: BTreeMap<u32, u32>,
    of_child: BTreeMap<u32, u32>,
}

impl Services {
    fn new(window: &Window) -> Self {
        let pairs: HashSet<(u32, u32), FixedState> = window
            .edges
            .iter()
            .map(|edge| {
                (window.parents[edge.parent as usize].class, window.children[edge.child as usize].class)
            })
            .collect();
        let pairs: BTreeSet<(u32, u32)> = pairs.into_iter().collect();
        let mut services = Self { of_parent: BTreeMap::new(), of_child: BTreeMap::new() };
        for (parent, child) in &pairs {
            services.of_parent.insert(*parent, *parent);
            services.of_child.insert(*child, *parent);
        }
        // The least class propagates along the pairs until nothing changes.
        let mut changed = true;
        while changed {
            changed = false;
            for (parent, child) in &pairs {
                let least = services.of_parent[parent].min(services.of_child[child]);
                changed |= services.of_parent.insert(*parent, least) != Some(least);
                changed |= services.of_child.insert(*child, least) != Some(least);
            }
        }
        services
    }
}

/// The previous event of each event, by [`Queue`].
struct Predecessors {
    /// For each child, the time of the previous event in each queue: `[class, host]`.
    children: Vec<[i64; 2]>,
    /// The same for the answer of each parent.
    parents: Vec<[i64; 2]>,
    /// Number of calls or answers, and how many in a nanosecond, by whether they are answers, class and host.
    rates: BTreeMap<(bool, u32, u32), (f64, f64)>,
}

impl Predecessors {
    fn new(window: &Window) -> Self {
        // The visible events of a process are its calls and its answers.
        let calls = window.children.iter().enumerate().map(|(index, span)| (span.start, false, index, *span));
        let answers = window.parents.iter().enumerate().map(|(index, span)| (span.end, true, index, *span));
        let mut events: Vec<(i64, bool, usize, Span)> = calls.chain(answers).collect();
        events.sort_unstable_by_key(|&(time, is_answer, index, _)| (time, is_answer, index));
        let mut found = Self {
            children: vec![[i64::MIN; 2]; window.children.len()],
            parents: vec![[i64::MIN; 2]; window.parents.len()],
            rates: BTreeMap::new(),
        };
        let mut classes: HashMap<(bool, u32, u32), (i64, i64, f64), FixedState> = HashMap::default();
        let mut hosts: HashMap<u32, i64, FixedState> = HashMap::default();
        for (time, is_answer, index, span) in events {
            let class = classes.entry((is_answer, span.class, span.host)).or_insert((time, i64::MIN, 0.0));
            let before = [class.1, hosts.insert(span.host, time).unwrap_or(i64::MIN)];
            (class.1, class.2) = (time, class.2 + 1.0);
            if is_answer { found.parents[index] = before } else { found.children[index] = before }
        }
        let rate = |(first, last, count)| (count, count / ((last - first) as f64).max(1e6));
        found.rates = classes.into_iter().map(|(key, seen)| (key, rate(seen))).collect();
        found
    }
}

/// A gap under an answer.
struct ObservedGap {
    service: u32,
    /// Which half of the parents it belongs to.
    half: usize,
    step: Step,
    bin: usize,
    is_call: bool,
    host: u32,
    /// When the event happened.
    time: i64,
    /// When it had become possible.
    ready: i64,
}

/// Calls `each` with the terms of the log-likelihood of the times under an answer: the service, whether the event is a call, and
/// the term. Returns how often the order of a host is violated, by service.
fn explain(
    window: &Window,
    services: &Services,
    predecessors: &Predecessors,
    model: ServiceModel,
    beliefs: &[Belief],
    each: &mut impl FnMut(u32, bool, f64),
) -> BTreeMap<u32, f64> {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut strays: Vec<Span> = Vec::new();
    for (child, belief) in beliefs.iter().enumerate() {
        let span = window.children[child];
        let Some(&service) = services.of_child.get(&span.class) else { continue };
        match belief.edge {
            Some(edge) => pairs.push((window.edges[edge as usize].parent, child as u32)),
            None => strays.push(span),
        }
        if !model.keeps_order() {
            each(service, true, -belief.probability.clamp(0.01, 1.0).ln());
        }
    }
    pairs.sort_unstable();
    let gaps = observe(window, services, predecessors, model, &pairs);
    let mut models = [GapModel::default(), GapModel::default()];
    for gap in &gaps {
        models[gap.half].add(gap.step, gap.bin, 1.0);
    }
    let tables = models.map(|model| GapTable::new(&model));
    for gap in &gaps {
        let table = &tables[1 - gap.half];
        each(gap.service, gap.is_call, table.density(table.step(gap.step), gap.bin).ln());
    }
    unexplained(services, predecessors, &strays, &tables[0], each);
    if !model.is_walk() {
        numbers(window, services, model, &pairs, each);
    }
    if model.queue() == Some(Queue::Host) { order(&gaps, each) } else { BTreeMap::new() }
}

/// The gaps under an answer; `pairs` of parent and child are sorted.
fn observe(
    window: &Window,
    services: &Services,
    predecessors: &Predecessors,
    model: ServiceModel,
    pairs: &[(u32, u32)],
) -> Vec<ObservedGap> {
    let mut gaps = Vec::with_capacity(pairs.len() * 2);
    let mut rest = pairs;
    for (index, parent) in window.parents.iter().enumerate() {
        let count = rest.iter().take_while(|(of, _)| *of as usize == index).count();
        let (own, others) = rest.split_at(count);
        rest = others;
        let Some(&service) = services.of_parent.get(&parent.class) else { continue };
        let half = index / 2 % 2;
        let mut add = |state, next, (ready, time): (i64, i64), before: [i64; 2], is_call| {
            let from = model.queue().map_or(ready, |queue| ready.max(before[queue as usize]));
            let step = (parent.class, state, next);
            let host = parent.host;
            gaps.push(ObservedGap { service, half, step, bin: bin(time - from), is_call, host, time, ready });
        };
        let (mut last, mut latest) = (None, i64::MIN);
        for &(_, child) in own {
            let before = predecessors.children[child as usize];
            let span = window.children[child as usize];
            let class = span.class;
            let (state, next, ready) = match last {
                _ if !model.is_walk() => (State::Made(class), Next::FromRequest(class), parent.start),
                None => (State::Request, Next::After(class), parent.start),
                Some((last, _)) if span.start >= latest => (State::Made(last), Next::After(class), latest),
                Some((last, start)) => (State::Made(last), Next::Beside(class), start),
            };
            add(state, next, (ready, span.start), before, true);
            last = Some((class, span.start));
            latest = latest.max(span.end);
        }
        let state = match last {
            Some((class, _)) if model.is_walk() => State::Made(class),
            // Parents with calls answer after other times than those without.
            Some(_) => State::Made(u32::MAX),
            None => State::Request,
        };
        let ready = if last.is_some() { latest } else { parent.start };
        add(state, Next::Answer, (ready, parent.end), predecessors.parents[index], false);
    }
    gaps
}

/// The log-likelihood that a call without a captured parent costs beyond the rate at its time: for the time without such a call
/// by chance, and for the time without one after it, each one on average.
const SILENCE: f64 = 2.0;

/// The likelihood of the calls without a captured parent, sorted by start: each comes by chance, or follows another one of the same
/// uncaptured parent.
fn unexplained(
    services: &Services,
    predecessors: &Predecessors,
    strays: &[Span],
    table: &GapTable,
    each: &mut impl FnMut(u32, bool, f64),
) {
    let mut counts: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for span in strays {
        *counts.entry((span.class, span.host)).or_insert(0.5) += 1.0;
    }
    let mut numbers: HashMap<u32, u32, FixedState> = HashMap::default();
    let numbered: Vec<(Span, u32)> = strays
        .iter()
        .map(|span| {
            let next = numbers.len() as u32;
            (*span, *numbers.entry(span.class).or_insert(next))
        })
        .collect();
    let parents: Vec<u32> = services.of_parent.keys().copied().take(MAX_CLASSES).collect();
    let mut followers = Followers::new(parents, numbers.len());
    for (index, &(span, number)) in numbered.iter().enumerate() {
        let (count, all) =
            (counts[&(span.class, span.host)], predecessors.rates[&(false, span.class, span.host)]);
        let before = numbered[index.saturating_sub(FOLLOWERS)..index].iter();
        let next: f64 = before
            .filter(|(before, _)| before.host == span.host)
            .map(|(before, class)| followers.density(table, (before, *class), (&span, number)))
            .sum();
        let rate = all.1 * count / all.0 + next;
        each(services.of_child[&span.class], true, rate.ln() - SILENCE);
    }
}

/// The likelihood of the order of events on each host: the event that had been ready longest comes next, or, where the order is
/// violated, any. Returns the share of violations by service.
fn order(gaps: &[ObservedGap], each: &mut impl FnMut(u32, bool, f64)) -> BTreeMap<u32, f64> {
    let mut events: Vec<&ObservedGap> = gaps.iter().collect();
    events.sort_unstable_by_key(|gap| (gap.host, gap.time, gap.ready));
    let mut kinds: BTreeMap<(u32, Next), f64> = BTreeMap::new();
    let mut broken: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let mut is_broken = Vec::with_capacity(events.len());
    for host in events.chunk_by(|a, b| a.host == b.host) {
        let mut newest = i64::MIN;
        for gap in host {
            is_broken.push(gap.ready < newest);
            let (breaks, all) = broken.entry(gap.service).or_insert((0.5, 1.0));
            *breaks += f64::from(u8::from(gap.ready < newest));
            *all += 1.0;
            *kinds.entry((gap.service, gap.step.2)).or_default() += 1.0;
            newest = newest.max(gap.ready);
        }
    }
    for (gap, is_broken) in events.iter().zip(is_broken) {
        let (breaks, all) = broken[&gap.service];
        let value = if is_broken {
            (breaks / all).ln() + (kinds[&(gap.service, gap.step.2)] / all).ln()
        } else {
            (1.0 - breaks / all).ln()
        };
        each(gap.service, gap.is_call, value);
    }
    broken.into_iter().map(|(service, (breaks, all))| (service, breaks / all)).collect()
}

/// The likelihood of the numbers of calls of each class, for models whose gaps do not imply it.
fn numbers(
    window: &Window,
    services: &Services,
    model: ServiceModel,
    pairs: &[(u32, u32)],
    each: &mut impl FnMut(u32, bool, f64),
) {
    let mut made: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for &(parent, child) in pairs {
        *made.entry((parent, window.children[child as usize].class)).or_default() += 1;
    }
    let classes: BTreeSet<(u32, u32)> =
        made.keys().map(|&(parent, class)| (window.parents[parent as usize].class, class)).collect();
    for (class, child) in classes {
        let counts: Vec<(usize, usize)> = (0..window.parents.len())
            .filter(|&parent| window.parents[parent].class == class)
            .map(|parent| {
                let count = made.get(&(parent as u32, child)).copied().unwrap_or(0);
                (parent / 2 % 2, count.min(MAX_CALLS))
            })
            .collect();
        let mut seen = [[0.1_f64; MAX_CALLS + 1]; 2];
        for &(half, count) in &counts {
            seen[half][count] += 1.0;
        }
        for (half, count) in counts {
            let other = &seen[1 - half];
            // Independent calls may come in any order.
            let orders: f64 = if model == ServiceModel::Parallel {
                (1..=count).map(|n| (n as f64).ln()).sum()
            } else {
                0.0
            };
            each(services.of_parent[&class], false, (other[count] / other.iter().sum::<f64>()).ln() + orders);
        }
    }
}
