//! Links small windows by sampling: every call moves between its possible causes again and again, each time drawn by how well it
//! fits what all other links show. How often it was drawn below each of them is the probability of the link.
//!
//! A parent is a walk from event to event (`walk`), judged by the counts of all other walks (`tables`): which calls follow each
//! other, after which time, how outcomes and texts of errors are passed on. Nothing is learnt beforehand, so few calls carry little
//! weight; the joint assignment, not each link, has to explain the window. (Collapsed Gibbs sampling with exchanges between two
//! parents, which single moves reach only through unlikely states.)

mod effort;
mod run;
mod tables;
mod walk;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::{Belief, SETTLED, Window};
pub(super) use effort::Effort;
use run::TEMPER;
use tables::{Tables, Walk, units};
use walk::Common;

/// Calls without a cause in the capture that are assumed of every kind.
const STRAYS: f64 = 0.3;

/// Probability that there are calls without a cause in the capture at all, where none came while nothing was in work.
const UNSEEN: f64 = 0.05;

/// The same behind an address that several services share: who calls one of them is most likely another one, or comes from outside
/// while none of them is in work.
const UNSEEN_SHARED: f64 = 0.001;

/// The same at first, when none is known.
const STRAYS_AT_FIRST: f64 = 0.01;

/// Least time over which their rate is measured, in milliseconds.
const LEAST_TIME: f64 = 50.0;

/// Weight of the usual owner of a connection against what its own calls show, in calls.
const OWNER: f32 = 1.0;

const STRAY: u8 = 20;
const STRAY_OPERATION: u8 = 21;
const OWNED: u8 = 22;
const OWNED_USUALLY: u8 = 23;

/// Most calls of two parents that are exchanged at once.
const MAX_CROSSED: usize = 32;

/// No parent.
const NONE: u32 = u32::MAX;

/// Random numbers that are the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

/// The tallies of a call whose parent is not captured, and of its connection.
#[derive(Clone, Copy)]
struct Stray {
    /// Number of strays of its service at its host, and of its operation.
    service: u32,
    operation: u32,
    /// Logarithm of what divides the count to a rate.
    time: f64,
    operations: f64,
    /// Calls of its service that began while nothing was in work that may have caused them.
    certain: f64,
    /// Connection, and its host.
    connection: u32,
    host: u32,
    /// Its owner, if it has no parent.
    owner: Owner,
}

/// The tallies of a service as the owner of a connection, and of any connection of the host.
type Owner = [u32; 2];

struct Sampler<'a> {
    window: &'a Window,
    common: Common,
    tables: Tables,
    /// The edges of every child: where they begin and end in `by_child`.
    firsts: Vec<u32>,
    ends: Vec<u32>,
    by_child: Vec<u32>,
    /// The greatest probability that every edge had so far.
    likeliest: Vec<f32>,
    /// The same of having no parent, by child.
    likeliest_alone: Vec<f32>,
    /// The parent of every child.
    parent: Vec<u32>,
    /// The children of every parent, by start.
    calls: Vec<Vec<u32>>,
    strays: Vec<Stray>,
    /// By edge: the parent's service as the owner of the child's connection.
    owners: Vec<Owner>,
    /// Probability that there are strays of a kind of which none is certain.
    unseen: f64,
    random: Random,
    effort: Effort,
    /// Whether it has just begun.
    hot: bool,
    /// Of every edge, and of every child without one: how often it was drawn.
    drawn: Vec<f32>,
    alone: Vec<f32>,
    /// The walk of every parent, as it is counted.
    walks: Vec<Walk>,
    new: Walk,
    other: Vec<u32>,
    drawing: Vec<u32>,
    weights: Vec<f64>,
    /// Number of walks that were weighed against others.
    weighed: u64,
}

/// The beliefs about all children, the probability of every edge, and how many walks were weighed.
pub(super) fn solve(window: &Window, effort: Effort) -> (Vec<Belief>, Vec<f32>, u64) {
    let mut sampler = Sampler::new(window, effort);
    let open: Vec<u32> = sampler.open();
    sampler.run(&open);
    let mut shares = sampler.drawn.clone();
    let beliefs = (0..window.children.len())
        .map(|child| {
            let place = sampler.firsts[child] as usize..sampler.firsts[child + 1] as usize;
            let edges = &sampler.by_child[place];
            if let [only] = edges
                && window.edges[*only as usize].weight >= SETTLED
            {
                shares[*only as usize] = 1.0;
                return Belief { edge: Some(*only), probability: 1.0 };
            }
            let mut best = Belief { edge: None, probability: f64::from(sampler.alone[child]) };
            if edges.is_empty() {
                best.probability = 1.0;
            }
            for &edge in edges {
                let share = &mut shares[edge as usize];
                if f64::from(*share) > best.probability {
                    best = Belief { edge: Some(edge), probability: f64::from(*share) };
                }
            }
            best
        })
        .collect();
    (beliefs, shares, sampler.weighed)
}

impl<'a> Sampler<'a> {
    fn new(window: &'a Window, effort: Effort) -> Self {
        let (firsts, by_child) = window.by_child();
        let mut sampler = Self {
            window,
            common: Common::new(window),
            tables: Tables::new(),
            ends: firsts[1..].to_vec(),
            firsts,
            by_child,
            likeliest: vec![0.0; window.edges.len()],
            likeliest_alone: vec![0.0; window.children.len()],
            parent: vec![NONE; window.children.len()],
            calls: vec![Vec::new(); window.parents.len()],
            strays: Vec::new(),
            owners: Vec::new(),
            unseen: UNSEEN,
            random: Random(0x5eed),
            effort,
            hot: true,
            drawn: vec![0.0; window.edges.len()],
            alone: vec![0.0; window.children.len()],
            walks: vec![Walk::default(); window.parents.len()],
            new: Walk::default(),
            other: Vec::new(),
            drawing: Vec::new(),
            weights: Vec::new(),
            weighed: 0,
        };
        if sampler.is_shared() {
            sampler.unseen = UNSEEN_SHARED;
        }
        sampler.find_strays();
        for edge in &window.edges {
            let owner = sampler.owner(edge.child, edge.parent);
            sampler.owners.push(owner);
        }
        for child in 0..window.children.len() as u32 {
            let settled = sampler.settled(child);
            if let Some(parent) = settled {
                sampler.parent[child as usize] = parent;
                sampler.calls[parent as usize].push(child);
            }
        }
        for parent in 0..window.parents.len() as u32 {
            let calls = std::mem::take(&mut sampler.calls[parent as usize]);
            sampler.count_walk(parent, &calls);
            sampler.calls[parent as usize] = calls;
        }
        for child in 0..window.children.len() as u32 {
            let parent = sampler.parent[child as usize];
            if parent != NONE || sampler.edges(child).is_empty() {
                sampler.count_stray(child, parent, 1.0);
            }
        }
        sampler
    }

    fn edges(&self, child: u32) -> &[u32] {
        &self.by_child[self.firsts[child as usize] as usize..self.ends[child as usize] as usize]
    }

    /// The parent that other evidence has settled.
    fn settled(&self, child: u32) -> Option<u32> {
        match self.edges(child) {
            [only] if self.window.edges[*only as usize].weight >= SETTLED => {
                Some(self.window.edges[*only as usize].parent)
            }
            _ => None,
        }
    }

    /// The children that have a choice.
    fn open(&self) -> Vec<u32> {
        (0..self.window.children.len() as u32)
            .filter(|&child| !self.edges(child).is_empty() && self.settled(child).is_none())
            .collect()
    }

    fn find_strays(&mut self) {
        let window = self.window;
        let mut times: HashMap<u32, (i64, i64), FixedState> = HashMap::default();
        let mut operations: HashMap<(u32, u32), HashSet<u32, FixedState>, FixedState> = HashMap::default();
        for (child, facts) in window.children.iter().zip(&window.facts) {
            let time = times.entry(child.host).or_insert((child.start, child.start));
            time.0 = time.0.min(child.start);
            time.1 = time.1.max(child.start);
            operations.entry((child.host, facts.service)).or_default().insert(facts.operation);
        }
        let mut certain: HashMap<(u32, u32), f64, FixedState> = HashMap::default();
        for (index, (child, facts)) in window.children.iter().zip(&window.facts).enumerate() {
            if self.edges(index as u32).is_empty() {
                *certain.entry((child.host, facts.service)).or_default() += 1.0;
            }
        }
        for (child, facts) in window.children.iter().zip(&window.facts) {
            let (first, last) = times[&child.host];
            let service = self.tables.tally(STRAY, child.host, facts.service);
            let operation = self.tables.tally(STRAY_OPERATION, child.host, facts.operation);
            let host = self.tables.tally(OWNED_USUALLY, child.host, ALL);
            let connection = self.tables.tally(OWNED, facts.connection, ALL);
            let none = self.owner(self.strays.len() as u32, NONE);
            self.strays.push(Stray {
                owner: none,
                service,
                operation,
                time: units(last - first).max(LEAST_TIME),
                operations: operations[&(child.host, facts.service)].len() as f64,
                certain: certain.get(&(child.host, facts.service)).copied().unwrap_or(0.0),
                connection,
                host,
            });
        }
    }

    /// The tallies of who owns the connection of a child if that is its parent.
    fn owner(&mut self, child: u32, parent: u32) -> Owner {
        let owner = if parent == NONE { 0 } else { self.window.facts[parent as usize].service + 1 };
        let (host, connection) =
            (self.window.children[child as usize].host, self.window.facts[child as usize].connection);
        [self.tables.tally(OWNED, connection, owner), self.tables.tally(OWNED_USUALLY, host, owner)]
    }

    /// Adds or removes what a link, or its absence, says about strays and connections.
    fn count_stray(&mut self, child: u32, parent: u32, sign: f32) {
        let stray = self.strays[child as usize];
        if parent == NONE {
            self.tables.add(stray.service, sign);
            self.tables.add(stray.operation, sign);
        }
        let owner = self.owner(child, parent);
        for slot in owner.into_iter().chain([stray.connection, stray.host]) {
            self.tables.add(slot, sign);
        }
    }

    /// How well it fits the connection that the call has such a parent; the call itself is not counted.
    fn fits_connection(&mut self, child: u32, parent: u32) -> f64 {
        let owner = self.owner(child, parent);
        self.fits_owner(child, owner)
    }

    fn fits_owner(&self, child: u32, [of_connection, of_host]: Owner) -> f64 {
        let stray = self.strays[child as usize];
        let tables = &self.tables;
        let usual = (tables.tallied(of_host) + 0.1) / (tables.tallied(stray.host) + 0.3);
        let here =
            (tables.tallied(of_connection) + OWNER * usual) / (tables.tallied(stray.connection) + OWNER);
        f64::from(here / usual).ln()
    }

    /// Logarithm of the rate of such calls without a captured parent; the call itself is not counted.
    fn stray_rate(&self, child: u32) -> f64 {
        let stray = self.strays[child as usize];
        // At first, only calls while nothing was in work count.
        let (all, same, least) = if self.hot {
            (stray.certain, stray.certain / stray.operations, STRAYS_AT_FIRST)
        } else {
            (
                f64::from(self.tables.tallied(stray.service)),
                f64::from(self.tables.tallied(stray.operation)),
                STRAYS,
            )
        };
        let share = (same + 1.0 / stray.operations) / (all + 1.0);
        // Where none came while nothing was in work, there are most likely none at all.
        let doubt = if self.hot || stray.certain > 0.0 { 1.0 } else { self.unseen };
        ((all + least) / stray.time * share * doubt).ln()
    }

    /// Counts the walk of a parent with these calls.
    fn count_walk(&mut self, parent: u32, calls: &[u32]) {
        let walk = &mut self.walks[parent as usize];
        walk::trace(self.window, &self.common, &mut self.tables, parent, calls, walk);
        self.tables.count(walk, 1.0);
    }

    /// By how much a parent's walk is likelier with other calls than with those that it has, `old`.
    fn gain_by(&mut self, parent: u32, old: &[u32], calls: &[u32]) -> f64 {
        let Self { window, common, tables, walks, new, .. } = self;
        let now = &walks[parent as usize];
        let difference = walk::retrace(window, common, tables, parent, (now, old, calls), new);
        tables.count_choices(now, -1.0);
        let gain = tables.score(new.whole(), now) - tables.score(now.parts(difference), now);
        tables.count_choices(now, 1.0);
        self.weighed += 1;
        gain
    }

    /// By how much a parent's walk is likelier with a child than without.
    fn gain(&mut self, parent: u32, child: u32) -> f64 {
        let calls = std::mem::take(&mut self.calls[parent as usize]);
        let place = calls.partition_point(|&call| call < child);
        let has = calls.get(place) == Some(&child);
        self.other.clear();
        self.other.extend_from_slice(&calls[..place]);
        if !has {
            self.other.push(child);
        }
        self.other.extend_from_slice(&calls[place + usize::from(has)..]);
        let other = std::mem::take(&mut self.other);
        let gain = self.gain_by(parent, &calls, &other);
        self.other = other;
        self.calls[parent as usize] = calls;
        if has { -gain } else { gain }
    }

    /// Gives a parent other calls.
    fn replace(&mut self, parent: u32, calls: Vec<u32>) {
        self.tables.count(&self.walks[parent as usize], -1.0);
        self.count_walk(parent, &calls);
        self.calls[parent as usize] = calls;
    }

    /// Moves a child to another parent.
    fn set(&mut self, child: u32, to: u32) {
        let from = self.parent[child as usize];
        if from == to {
            return;
        }
        if from != NONE {
            let calls = self.calls[from as usize].iter().copied().filter(|&call| call != child).collect();
            self.replace(from, calls);
        }
        if to != NONE {
            let mut calls = self.calls[to as usize].clone();
            calls.insert(calls.partition_point(|&call| call < child), child);
            self.replace(to, calls);
        }
        self.parent[child as usize] = to;
    }

    /// Draws the parent of a child anew, with all others as they are. What it says of strays and connections is not counted.
    fn draw(&mut self, child: u32, temperature: f64, counted: bool) {
        let mut edges = std::mem::take(&mut self.drawing);
        edges.clear();
        edges.extend_from_slice(self.edges(child));
        let mut weights = std::mem::take(&mut self.weights);
        weights.clear();
        for &index in &edges {
            let edge = self.window.edges[index as usize];
            let weight = self.gain(edge.parent, child) + self.fits_owner(child, self.owners[index as usize]);
            weights.push(weight + f64::from(edge.weight));
        }
        weights.push(self.stray_rate(child) + self.fits_owner(child, self.strays[child as usize].owner));
        let most = weights.iter().copied().fold(f64::MIN, f64::max);
        if counted {
            let odds = |weight: f64| ((weight - most) / TEMPER).exp();
            let sum: f64 = weights.iter().copied().map(odds).sum();
            let share = |weight: f64| (odds(weight) / sum) as f32;
            for (&edge, &weight) in edges.iter().zip(&weights) {
                self.drawn[edge as usize] += share(weight);
            }
            self.alone[child as usize] += share(weights[edges.len()]);
        }
        let heated = &mut weights;
        for weight in heated.iter_mut() {
            *weight = ((*weight - most) / temperature).exp();
        }
        let sum: f64 = heated.iter().sum();
        for share in heated.iter_mut() {
            *share /= sum;
        }
        for (&edge, share) in edges.iter().zip(&*heated) {
            self.likeliest[edge as usize] = self.likeliest[edge as usize].max(*share as f32);
        }
        let alone = &mut self.likeliest_alone[child as usize];
        *alone = alone.max(heated[edges.len()] as f32);
        let mut left = self.random.unit();
        let mut chosen = edges.len();
        for (place, share) in heated.iter().enumerate() {
            left -= share;
            if left <= 0.0 {
                chosen = place;
                break;
            }
        }
        let to = edges.get(chosen).map_or(NONE, |&edge| self.window.edges[edge as usize].parent);
        (self.drawing, self.weights) = (edges, weights);
        self.set(child, to);
        self.count_stray(child, to, 1.0);
    }

    /// The edge between a parent and a child.
    fn edge(&self, parent: u32, child: u32) -> Option<u32> {
        self.edges(child).iter().copied().find(|&edge| self.window.edges[edge as usize].parent == parent)
    }

    /// Tries to exchange a child with one of another parent, or with one that has none.
    fn exchange(&mut self, child: u32, temperature: f64) {
        let a = self.parent[child as usize];
        let pick = self.random.below(self.edges(child).len());
        let edge = self.window.edges[self.edges(child)[pick] as usize];
        let b = edge.parent;
        if a == b {
            return;
        }
        let service = self.window.facts[child as usize].service;
        let others: Vec<u32> = self.calls[b as usize]
            .iter()
            .copied()
            .filter(|&other| {
                self.window.facts[other as usize].service == service
                    && self.settled(other).is_none()
                    && (a == NONE || self.edge(a, other).is_some())
            })
            .collect();
        if others.is_empty() {
            return;
        }
        let other = others[self.random.below(others.len())];
        let weight = |sampler: &Self, parent: u32, child: u32| {
            sampler
                .edge(parent, child)
                .map_or(0.0, |edge| f64::from(sampler.window.edges[edge as usize].weight))
        };
        let exchanged = |calls: &[u32], out: u32, into: u32| {
            let mut calls: Vec<u32> = calls.iter().copied().filter(|&call| call != out).collect();
            calls.insert(calls.partition_point(|&call| call < into), into);
            calls
        };
        self.count_stray(child, a, -1.0);
        self.count_stray(other, b, -1.0);
        let mut gain = weight(self, b, child) - weight(self, b, other);
        gain += self.fits_connection(child, b) - self.fits_connection(child, a);
        gain += self.fits_connection(other, a) - self.fits_connection(other, b);
        let calls_b = self.calls[b as usize].clone();
        let new_b = exchanged(&calls_b, other, child);
        gain += self.gain_by(b, &calls_b, &new_b);
        let mut new_a = Vec::new();
        if a == NONE {
            gain += self.stray_rate(other) - self.stray_rate(child);
        } else {
            let calls_a = self.calls[a as usize].clone();
            new_a = exchanged(&calls_a, child, other);
            gain += self.gain_by(a, &calls_a, &new_a);
            gain += weight(self, a, other) - weight(self, a, child);
        }
        if self.random.unit().ln() < gain / temperature {
            self.replace(b, new_b);
            if a != NONE {
                self.replace(a, new_a);
            }
            self.parent[child as usize] = b;
            self.parent[other as usize] = a;
        }
        let (parent, of_other) = (self.parent[child as usize], self.parent[other as usize]);
        self.count_stray(child, parent, 1.0);
        self.count_stray(other, of_other, 1.0);
    }

    /// Tries to exchange all calls of two parents from some time on: where calls follow each other, one wrong step makes all
    /// later ones wrong.
    fn cross(&mut self, child: u32, temperature: f64) {
        let a = self.parent[child as usize];
        let pick = self.random.below(self.edges(child).len());
        let b = self.window.edges[self.edges(child)[pick] as usize].parent;
        if a == b || a == NONE {
            return;
        }
        let (calls_a, calls_b) = (self.calls[a as usize].clone(), self.calls[b as usize].clone());
        let (from_a, from_b) =
            (calls_a.partition_point(|&call| call < child), calls_b.partition_point(|&call| call < child));
        let (tail_a, tail_b) = (&calls_a[from_a..], &calls_b[from_b..]);
        if tail_a.len() + tail_b.len() < 2 || tail_a.len() + tail_b.len() > MAX_CROSSED {
            return;
        }
        let weight = |sampler: &Self, parent: u32, child: u32| {
            sampler.edge(parent, child).map(|edge| f64::from(sampler.window.edges[edge as usize].weight))
        };
        let mut gain = 0.0;
        for (calls, from, to) in [(tail_a, a, b), (tail_b, b, a)] {
            for &call in calls {
                if self.settled(call).is_some() {
                    return;
                }
                let (Some(old), Some(new)) = (weight(self, from, call), weight(self, to, call)) else {
                    return;
                };
                gain += new - old;
            }
        }
        let new_a: Vec<u32> = calls_a[..from_a].iter().chain(tail_b).copied().collect();
        let new_b: Vec<u32> = calls_b[..from_b].iter().chain(tail_a).copied().collect();
        for (calls, from, to) in [(tail_a, a, b), (tail_b, b, a)] {
            for &call in calls {
                self.count_stray(call, from, -1.0);
                gain += self.fits_connection(call, to) - self.fits_connection(call, from);
            }
        }
        gain += self.gain_by(b, &calls_b, &new_b);
        gain += self.gain_by(a, &calls_a, &new_a);
        if self.random.unit().ln() < gain / temperature {
            for (calls, to) in [(tail_a, b), (tail_b, a)] {
                for &call in calls {
                    self.parent[call as usize] = to;
                }
            }
            self.replace(b, new_b);
            self.replace(a, new_a);
        }
        for &call in tail_a.iter().chain(tail_b) {
            let parent = self.parent[call as usize];
            self.count_stray(call, parent, 1.0);
        }
    }
}

/// All owners of a connection together.
const ALL: u32 = u32::MAX;
