//! Which way to see a service explains its times best.
//!
//! Each way (a walk from call to call, calls that don't care for each other, a queue that keeps the order) has an answer of
//! its own, and under that answer the times of all calls have a likelihood. What is compared is the likelihood of the times
//! themselves, not of the times with the answer: an answer that is one of many equally good ones stands for all of them, so
//! its likelihood is divided by the probability that is given to it (Bayes). Densities are learnt from one half of the
//! parents and applied to the other, so that none is believed for fitting its own guesses.

use std::collections::{BTreeMap, BTreeSet};

use super::gaps::{Model, Next, State, Step, Table, bin};
use super::part::FOLLOWERS;
use super::star::MAX_CALLS;
use super::trellis::MAX_CLASSES;
use super::{Belief, SETTLED, Span, Window};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

/// The ways to see a service, in the order of the answers that are given to [`choose`].
const WAYS: [Way; 6] = [
    Way::Walks,
    Way::Stars,
    Way::First(Line::Class),
    Way::Ready(Line::Class),
    Way::First(Line::Place),
    Way::Ready(Line::Place),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One step after the other.
    Walks,
    /// Each call for itself.
    Stars,
    /// The oldest without such a call.
    First(Line),
    /// The one that has been ready longest.
    Ready(Line),
}

/// What waits for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Calls of one class.
    Class,
    /// All that the process does.
    Place,
}

impl Way {
    /// Whether it says that order decides, so that work begins when what was before it is done.
    fn keeps_order(self) -> bool {
        self.line().is_some()
    }

    /// The line in which work waits.
    fn line(self) -> Option<Line> {
        match self {
            Self::Walks | Self::Stars => None,
            Self::First(line) | Self::Ready(line) => Some(line),
        }
    }

    /// Which of the answers it stands for.
    fn answer(self) -> usize {
        match self {
            Self::Walks => 0,
            Self::Stars => 1,
            Self::First(_) => 2,
            Self::Ready(_) => 3,
        }
    }

    /// Whether gaps are counted from the call before.
    fn walks(self) -> bool {
        matches!(self, Self::Walks | Self::Ready(_))
    }
}

/// How much better another way than walks has to explain each call.
const MARGIN: f64 = 0.05;

/// How much better anything has to explain all calls together: a few calls decide nothing.
const LEAST: f64 = 20.0;

/// How much better another beginning has to explain each call.
const BETTER: f64 = 0.02;

/// How much better an order has to explain each call than chance does, which is what it comes to where it is not kept.
const BEYOND_CHANCE: f64 = 0.7;

/// What each break of the order takes from the confidence in it: fitted to simulated traffic of different plans.
const DOUBT: f64 = 1.15;

/// What remains of what earlier windows said.
const FADE: f64 = 0.9;

/// Most services that are remembered.
const MAX_SERVICES: usize = 10_000;

/// What has been seen so far of each service, by its first class.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    services: BTreeMap<u32, Sums>,
}

/// Logarithms of likelihoods.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Of all times, by way.
    all: [f64; WAYS.len()],
    /// Of the calls alone, by way.
    calls: [f64; WAYS.len()],
    /// Of the calls alone, if they came by chance.
    chance: f64,
    /// How many calls.
    count: f64,
    /// Share of the events that come before one that had been ready longer, by answer.
    broken: [f64; 4],
}

impl Sums {
    fn best(&self) -> usize {
        let score = |way: usize| {
            let beyond = self.calls[way] - self.chance;
            if WAYS[way].keeps_order() && beyond < BEYOND_CHANCE * self.count {
                return f64::MIN;
            }
            self.all[way] - if way == 0 { 0.0 } else { LEAST + MARGIN * self.count }
        };
        (0..WAYS.len()).rev().max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0)
    }

    /// What the probabilities of the best way are worth: gaps learnt from one half of the calls that explain the other half
    /// worse than chance does were learnt from wrong pairs, or from too few.
    fn trust(&self) -> f64 {
        let gain = (self.calls[self.best()] - self.chance) / self.count.max(1.0);
        (gain.min(0.0) / 2.0).exp()
    }
}

/// Takes for every service the answer that explains its times best.
pub(super) fn choose(window: &Window, answers: &[Vec<Belief>; 4], choice: &mut Choice) -> Vec<Belief> {
    let services = Services::new(window);
    let lines = Lines::new(window);
    let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
    for (place, way) in WAYS.into_iter().enumerate() {
        let broken = explain(
            window,
            &services,
            &lines,
            way,
            &answers[way.answer()],
            &mut |service, is_call, value| {
                let sums = sums.entry(service).or_default();
                sums.all[place] += value;
                sums.calls[place] += if is_call { value } else { 0.0 };
            },
        );
        for (service, share) in broken {
            sums.entry(service).or_default().broken[way.answer()] = share;
        }
    }
    for span in &window.children {
        if let Some(service) = services.of_child.get(&span.class) {
            let sums = sums.entry(*service).or_default();
            sums.chance += lines.rates[&(span.class, span.place)].1.ln() - 1.0;
            sums.count += 1.0;
        }
    }
    if choice.services.len() > MAX_SERVICES {
        choice.services.clear();
    }
    let mut best: BTreeMap<u32, (usize, [f64; 4], f64)> = BTreeMap::new();
    for (service, new) in sums {
        let old = choice.services.entry(service).or_default();
        let add = |old: &mut f64, new: f64| *old = *old * FADE + new;
        for way in 0..WAYS.len() {
            add(&mut old.all[way], new.all[way]);
            add(&mut old.calls[way], new.calls[way]);
        }
        add(&mut old.chance, new.chance);
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
            let Some(&(way, broken, trust)) = best else { return answers[0][child] };
            let answer = WAYS[way].answer();
            let belief = answers[answer][child];
            let settled = belief.edge.is_some_and(|edge| window.edges[edge as usize].weight >= SETTLED);
            if WAYS[way].keeps_order() && !settled {
                return Belief { probability: (1.0 - DOUBT * broken[answer]).max(0.1), ..belief };
            }
            let trust = if settled || belief.edge.is_none() { 1.0 } else { trust };
            Belief { probability: belief.probability * trust, ..belief }
        })
        .collect()
}

/// The classes of parents and of children of the services that the second answer explains better by walks than the first.
pub(super) fn better(window: &Window, answers: [&[Belief]; 2]) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let services = Services::new(window);
    let lines = Lines::new(window);
    let mut gains: BTreeMap<u32, f64> = BTreeMap::new();
    for (beliefs, sign) in answers.into_iter().zip([-1.0, 1.0]) {
        explain(window, &services, &lines, Way::Walks, beliefs, &mut |service, _, value| {
            *gains.entry(service).or_default() += sign * value;
        });
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

/// Which classes belong together: those that some pair joins.
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
        // The least class of all that hang together, found by handing it on until nothing changes.
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

/// What comes one after the other.
struct Lines {
    /// For each child and line, when what came before it was done: `[class, place]`.
    children: Vec<[i64; 2]>,
    /// The same for the answer of each parent.
    parents: Vec<[i64; 2]>,
    /// Calls, and calls per nanosecond, by class and place.
    rates: BTreeMap<(u32, u32), (f64, f64)>,
}

impl Lines {
    fn new(window: &Window) -> Self {
        // What a process does shows in its calls and its answers.
        let calls = window.children.iter().enumerate().map(|(index, span)| (span.start, false, index, *span));
        let answers = window.parents.iter().enumerate().map(|(index, span)| (span.end, true, index, *span));
        let mut events: Vec<(i64, bool, usize, Span)> = calls.chain(answers).collect();
        events.sort_unstable_by_key(|&(time, is_answer, index, _)| (time, is_answer, index));
        let mut lines = Self {
            children: vec![[i64::MIN; 2]; window.children.len()],
            parents: vec![[i64::MIN; 2]; window.parents.len()],
            rates: BTreeMap::new(),
        };
        let mut classes: HashMap<(bool, u32, u32), (i64, i64, f64), FixedState> = HashMap::default();
        let mut places: HashMap<u32, i64, FixedState> = HashMap::default();
        for (time, is_answer, index, span) in events {
            let class = classes.entry((is_answer, span.class, span.place)).or_insert((time, i64::MIN, 0.0));
            let before = [class.1, places.insert(span.place, time).unwrap_or(i64::MIN)];
            (class.1, class.2) = (time, class.2 + 1.0);
            if is_answer { lines.parents[index] = before } else { lines.children[index] = before }
        }
        for ((is_answer, class, place), (first, last, count)) in classes {
            if !is_answer {
                lines.rates.insert((class, place), (count, count / ((last - first) as f64).max(1e6)));
            }
        }
        lines
    }
}

/// A gap that was seen under an answer.
struct Seen {
    service: u32,
    half: usize,
    step: Step,
    bin: usize,
    is_call: bool,
    place: u32,
    /// When it happened, and when it had become possible.
    time: i64,
    ready: i64,
}

/// Gives the logarithm of the likelihood of the times under an answer, piece by piece with the service it belongs to and
/// whether it is of a call. Returns how often the order of a place is broken.
fn explain(
    window: &Window,
    services: &Services,
    lines: &Lines,
    way: Way,
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
        if !way.keeps_order() {
            each(service, true, -belief.probability.clamp(0.01, 1.0).ln());
        }
    }
    pairs.sort_unstable();
    let seen = observe(window, services, lines, way, &pairs);
    let mut models = [Model::default(), Model::default()];
    for seen in &seen {
        models[seen.half].add(seen.step, seen.bin, 1.0);
    }
    let tables = models.map(|model| Table::new(&model));
    for seen in &seen {
        let table = &tables[1 - seen.half];
        each(seen.service, seen.is_call, table.density(table.step(seen.step), seen.bin).ln());
    }
    unexplained(services, lines, &strays, &tables[0], each);
    if !way.walks() {
        numbers(window, services, way, &pairs, each);
    }
    if way.line() == Some(Line::Place) { kept_order(&seen, each) } else { BTreeMap::new() }
}

/// The gaps under an answer; `pairs` of parent and child are sorted.
fn observe(window: &Window, services: &Services, lines: &Lines, way: Way, pairs: &[(u32, u32)]) -> Vec<Seen> {
    let mut seen = Vec::with_capacity(pairs.len() * 2);
    let mut rest = pairs;
    for (index, parent) in window.parents.iter().enumerate() {
        let count = rest.iter().take_while(|(of, _)| *of as usize == index).count();
        let (own, others) = rest.split_at(count);
        rest = others;
        let Some(&service) = services.of_parent.get(&parent.class) else { continue };
        let half = index / 2 % 2;
        let mut add = |state, next, (ready, time): (i64, i64), before: [i64; 2], is_call| {
            let from = way.line().map_or(ready, |line| ready.max(before[line as usize]));
            let step = (parent.class, state, next);
            let place = parent.place;
            seen.push(Seen { service, half, step, bin: bin(time - from), is_call, place, time, ready });
        };
        let (mut last, mut latest) = (None, i64::MIN);
        for &(_, child) in own {
            let before = lines.children[child as usize];
            let span = window.children[child as usize];
            let class = span.class;
            let (state, next, ready) = match last {
                _ if !way.walks() => (State::Made(class), Next::FromRequest(class), parent.start),
                None => (State::Request, Next::After(class), parent.start),
                Some((last, _)) if span.start >= latest => (State::Made(last), Next::After(class), latest),
                Some((last, start)) => (State::Made(last), Next::Beside(class), start),
            };
            add(state, next, (ready, span.start), before, true);
            last = Some((class, span.start));
            latest = latest.max(span.end);
        }
        let state = match last {
            Some((class, _)) if way.walks() => State::Made(class),
            // Parents without calls answer in another time than those with calls.
            Some(_) => State::Made(u32::MAX),
            None => State::Request,
        };
        let ready = if last.is_some() { latest } else { parent.start };
        add(state, Next::Answer, (ready, parent.end), lines.parents[index], false);
    }
    seen
}

/// What an unexplained call costs beyond the rate at the time when it came: the time in which none came by chance, and the
/// time in which none came after it, each one on average.
const SILENCE: f64 = 2.0;

/// How likely the calls are that no parent explains: they come by chance, or next after another one, from the same unseen
/// parent. Those are by start.
fn unexplained(
    services: &Services,
    lines: &Lines,
    strays: &[Span],
    table: &Table,
    each: &mut impl FnMut(u32, bool, f64),
) {
    let mut counts: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for span in strays {
        *counts.entry((span.class, span.place)).or_insert(0.5) += 1.0;
    }
    let classes: Vec<u32> = services.of_parent.keys().copied().take(MAX_CLASSES).collect();
    for (place, span) in strays.iter().enumerate() {
        let (count, all) = (counts[&(span.class, span.place)], lines.rates[&(span.class, span.place)]);
        let before = strays[place.saturating_sub(FOLLOWERS)..place].iter();
        let next: f64 = before
            .filter(|before| before.place == span.place)
            .map(|before| table.next(&classes, *before, *span))
            .sum();
        let rate = all.1 * count / all.0 + next;
        each(services.of_child[&span.class], true, rate.ln() - SILENCE);
    }
}

/// How likely it is that just these calls and answers came next: those that had been ready longest, where the order is kept,
/// else any.
fn kept_order(seen: &[Seen], each: &mut impl FnMut(u32, bool, f64)) -> BTreeMap<u32, f64> {
    let mut events: Vec<&Seen> = seen.iter().collect();
    events.sort_unstable_by_key(|seen| (seen.place, seen.time, seen.ready));
    let mut kinds: BTreeMap<(u32, Next), f64> = BTreeMap::new();
    let mut broken: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let mut is_broken = Vec::with_capacity(events.len());
    for place in events.chunk_by(|a, b| a.place == b.place) {
        let mut newest = i64::MIN;
        for seen in place {
            is_broken.push(seen.ready < newest);
            let (breaks, all) = broken.entry(seen.service).or_insert((0.5, 1.0));
            *breaks += f64::from(u8::from(seen.ready < newest));
            *all += 1.0;
            *kinds.entry((seen.service, seen.step.2)).or_default() += 1.0;
            newest = newest.max(seen.ready);
        }
    }
    for (seen, is_broken) in events.iter().zip(is_broken) {
        let (breaks, all) = broken[&seen.service];
        let value = if is_broken {
            (breaks / all).ln() + (kinds[&(seen.service, seen.step.2)] / all).ln()
        } else {
            (1.0 - breaks / all).ln()
        };
        each(seen.service, seen.is_call, value);
    }
    broken.into_iter().map(|(service, (breaks, all))| (service, breaks / all)).collect()
}

/// How likely the numbers of calls of each class are, where gaps do not tell it.
fn numbers(
    window: &Window,
    services: &Services,
    way: Way,
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
            // Calls that don't care for each other may have come in any order.
            let orders: f64 =
                if way == Way::Stars { (1..=count).map(|n| (n as f64).ln()).sum() } else { 0.0 };
            each(services.of_parent[&class], false, (other[count] / other.iter().sum::<f64>()).ln() + orders);
        }
    }
}
