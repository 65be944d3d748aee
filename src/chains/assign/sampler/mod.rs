//! Links small windows by sampling: every call moves between its possible causes again and again, each time drawn by how well it
//! fits what all other links show. How often it was drawn below each of them is the probability of the link.
//!
//! A parent is a walk from event to event (`walk`), judged by the counts of all other walks (`tables`): which calls follow each
//! other, after which time, how outcomes and texts of errors are passed on. Nothing is learnt beforehand, so few calls carry little
//! weight; the joint assignment, not each link, has to explain the window. (Collapsed Gibbs sampling with exchanges between two
//! parents, which single moves reach only through unlikely states.)

mod effort;
mod exchanges;
mod keyed;
mod run;
mod tables;
mod walk;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::{Belief, Edge, SETTLED, Window};
pub(super) use effort::Effort;
use tables::{Tables, Walk, units};
use walk::{Common, Difference};

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
    /// By child: the tallies of the owner that was counted last.
    owned: Vec<Owner>,
    /// Probability that there are strays of a kind of which none is certain.
    unseen: f64,
    random: Random,
    effort: Effort,
    /// Whether it has just begun.
    hot: bool,
    /// Of every edge, and of every child without one: how often it was drawn.
    drawn: Vec<f32>,
    alone: Vec<f32>,
    /// The walk of every parent, as it is counted, and how often it has changed.
    walks: &'a mut [Walk],
    changes: Vec<u32>,
    /// How often any of them has.
    all_changes: u32,
    /// By the last bits of an edge's index: what the move of the child to or from the parent changes in the parent's walk.
    moves: &'a mut [Move],
    new: Walk,
    other: Vec<u32>,
    drawing: Vec<u32>,
    weights: Vec<f64>,
    /// Number of walks that were weighed against others.
    weighed: u64,
}

/// Most moves that are remembered. With more, they are in no cache, and most are traced anew anyway: where so many calls are in work at a time,
/// walks change from draw to draw.
const MAX_MOVES: usize = 1 << 9;

/// Where walks are kept: the lists of those of one window serve the next one.
#[derive(Default)]
pub(super) struct Room {
    walks: Vec<Walk>,
    moves: Vec<Move>,
}

impl Room {
    /// Room for a window.
    fn of(&mut self, window: &Window) -> (&mut [Walk], &mut [Move]) {
        let walks = window.parents.len();
        let moves = window.edges.len().next_power_of_two().min(MAX_MOVES);
        let Self { walks: all_walks, moves: all_moves } = self;
        all_walks.resize_with(walks.max(all_walks.len()), Walk::default);
        all_moves.resize_with(moves.max(all_moves.len()), Move::default);
        for of_edge in all_moves.iter_mut() {
            (of_edge.traced_at, of_edge.weighed_at) = (0, 0);
        }
        (&mut all_walks[..walks], &mut all_moves[..moves])
    }
}

/// What the move of a call changes in a walk.
#[derive(Default)]
struct Move {
    edge: u32,
    /// See [`Sampler::changes`]: 0 if it was never traced.
    traced_at: u32,
    /// See [`Sampler::all_changes`].
    weighed_at: u32,
    /// By how much the walk is likelier with the call than without.
    gain: f64,
    difference: Difference,
    /// What the changed walk does not share with the present one.
    new: Walk,
}

/// The beliefs about all children, the probability of every edge, and how many walks were weighed.
pub(super) fn solve(window: &Window, effort: Effort, room: &mut Room) -> (Vec<Belief>, Vec<f32>, u64) {
    let mut sampler = Sampler::new(window, effort, room);
    let open: Vec<u32> = sampler.open();
    sampler.run(&open);
    sampler.soften(&open);
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
    fn new(window: &'a Window, effort: Effort, room: &'a mut Room) -> Self {
        let (firsts, by_child) = window.by_child();
        let (walks, moves) = room.of(window);
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
            owned: vec![Owner::default(); window.children.len()],
            unseen: UNSEEN,
            random: Random(0x5eed),
            effort,
            hot: true,
            drawn: vec![0.0; window.edges.len()],
            alone: vec![0.0; window.children.len()],
            walks,
            changes: vec![0; window.parents.len()],
            all_changes: 0,
            moves,
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
                sampler.count_stray(child, parent);
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

    /// Makes the probabilities less extreme, without changing their order.
    fn soften(&mut self, open: &[u32]) {
        let Self { firsts, by_child, drawn, alone, effort, .. } = self;
        for child in open.iter().map(|&child| child as usize) {
            let edges = &by_child[firsts[child] as usize..firsts[child + 1] as usize];
            let mut sum = 0.0;
            let mut soften = |share: &mut f32| {
                *share = share.powf(effort.softer);
                sum += *share;
            };
            soften(&mut alone[child]);
            for &edge in edges {
                soften(&mut drawn[edge as usize]);
            }
            if sum > 0.0 {
                alone[child] /= sum;
                for &edge in edges {
                    drawn[edge as usize] /= sum;
                }
            }
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

    /// Adds what a link, or its absence, says about strays and connections.
    fn count_stray(&mut self, child: u32, parent: u32) {
        let owner = self.owner(child, parent);
        self.count_owned(child, parent, owner);
    }

    /// The same, where the tallies of the owner are known.
    fn count_owned(&mut self, child: u32, parent: u32, owner: Owner) {
        self.owned[child as usize] = owner;
        self.tally_stray(child, parent, 1.0);
    }

    /// Removes what was added last.
    fn discount_stray(&mut self, child: u32) {
        self.tally_stray(child, self.parent[child as usize], -1.0);
    }

    fn tally_stray(&mut self, child: u32, parent: u32, sign: f32) {
        let stray = self.strays[child as usize];
        if parent == NONE {
            self.tables.add(stray.service, sign);
            self.tables.add(stray.operation, sign);
        }
        for slot in self.owned[child as usize].into_iter().chain([stray.connection, stray.host]) {
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
        self.tables.note_own(walk);
        self.tables.count(walk, 1.0);
        self.changes[parent as usize] += 1;
        self.all_changes += 1;
    }

    /// By how much a parent's walk is likelier with other calls than with those that it has, `old`.
    fn gain_by(&mut self, parent: u32, old: &[u32], calls: &[u32]) -> f64 {
        let Self { window, common, tables, walks, new, .. } = self;
        let now = &walks[parent as usize];
        let difference = walk::retrace(window, common, tables, parent, (now, old, calls), new);
        tables.note_own_of(new, now);
        self.weighed += 1;
        tables.gain(now, new, difference)
    }

    /// By how much the walk of an edge's parent is likelier with the child than without.
    fn gain(&mut self, index: u32) -> f64 {
        let Self { window, common, tables, walks, other, calls, moves, .. } = self;
        let Edge { parent, child, .. } = window.edges[index as usize];
        let now = &walks[parent as usize];
        let last = moves.len() - 1;
        let of_edge = &mut moves[index as usize & last];
        self.weighed += 1;
        // Often no walk has changed since: where all links are sure.
        if (of_edge.edge, of_edge.weighed_at) == (index, self.all_changes) {
            return of_edge.gain;
        }
        let has = self.parent[child as usize] == parent;
        // Most walks are as they were when the child was drawn last.
        if (of_edge.edge, of_edge.traced_at) != (index, self.changes[parent as usize]) {
            of_edge.edge = index;
            let calls = &calls[parent as usize];
            let place = calls.partition_point(|&call| call < child);
            other.clear();
            other.extend_from_slice(&calls[..place]);
            if !has {
                other.push(child);
            }
            other.extend_from_slice(&calls[place + usize::from(has)..]);
            of_edge.difference =
                walk::retrace(window, common, tables, parent, (now, calls, other), &mut of_edge.new);
            tables.note_own_of(&mut of_edge.new, now);
            of_edge.traced_at = self.changes[parent as usize];
        }
        let gain = tables.gain(now, &of_edge.new, of_edge.difference);
        of_edge.gain = if has { -gain } else { gain };
        of_edge.weighed_at = self.all_changes;
        of_edge.gain
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
            let mut calls = std::mem::take(&mut self.calls[from as usize]);
            calls.retain(|&call| call != child);
            self.replace(from, calls);
        }
        if to != NONE {
            let mut calls = std::mem::take(&mut self.calls[to as usize]);
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
            let weight = self.gain(index) + self.fits_owner(child, self.owners[index as usize]);
            weights.push(weight + f64::from(edge.weight));
        }
        weights.push(self.stray_rate(child) + self.fits_owner(child, self.strays[child as usize].owner));
        let most = weights.iter().copied().fold(f64::MIN, f64::max);
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
        // At the last temperature, as all are that count.
        if counted {
            for (&edge, share) in edges.iter().zip(&*heated) {
                self.drawn[edge as usize] += *share as f32;
            }
            self.alone[child as usize] += heated[edges.len()] as f32;
        }
        let mut left = self.random.unit();
        let mut chosen = edges.len();
        for (place, share) in heated.iter().enumerate() {
            left -= share;
            if left <= 0.0 {
                chosen = place;
                break;
            }
        }
        let (to, owner) = match edges.get(chosen) {
            Some(&edge) => (self.window.edges[edge as usize].parent, self.owners[edge as usize]),
            None => (NONE, self.strays[child as usize].owner),
        };
        (self.drawing, self.weights) = (edges, weights);
        self.set(child, to);
        self.count_owned(child, to, owner);
    }
}

/// All owners of a connection together.
const ALL: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::super::{Facts, Span};
    use super::*;

    /// As many calls at once as parents, each of which may have caused each of them.
    fn burst(calls: u32) -> Window {
        let span = |host, start, end| Span { start, end, class: 0, host };
        let at = |call: u32, of: i64| i64::from(call) * 1_000 + of;
        let parents = (0..calls).map(|call| span(1, at(call, 0), at(call, 9_000_000)));
        let children = (0..calls).map(|call| span(1, at(call, 1_000_000), at(call, 5_000_000)));
        let edges = |parent| (0..calls).map(move |child| Edge { parent, child, weight: 0.0 });
        Window {
            parents: parents.collect(),
            children: children.collect(),
            edges: (0..calls).flat_map(edges).collect(),
            facts: vec![Facts::default(); calls as usize],
            ..Window::default()
        }
    }

    #[test]
    fn what_is_remembered_of_moves_is_bounded_however_many_there_are() {
        let remembered = |calls: u32| {
            let mut room = Room::default();
            solve(&burst(calls), Effort::of(0.0), &mut room);
            room.moves.iter().map(|of_edge| size_of_val(of_edge) + of_edge.new.room()).sum::<usize>()
        };
        let (few, many) = (remembered(40), remembered(80));
        assert!(many < few * 5 / 4, "{few} bytes of 1,600 moves, {many} of 6,400");
    }

    #[test]
    fn what_few_draws_show_is_not_told_as_a_fact() {
        for share in [0.0, 0.05, 0.2] {
            let (beliefs, ..) = solve(&burst(12), Effort::of(share), &mut Room::default());
            let surest = beliefs.iter().map(|belief| belief.probability).fold(0.0, f64::max);
            assert!(surest < crate::chains::FACT, "{surest} with {share} of the usual effort");
        }
    }

    #[test]
    fn the_links_are_the_same_in_room_that_was_used() {
        let mut room = Room::default();
        let mut links = |calls| solve(&burst(calls), Effort::of(0.1), &mut room).1;
        let fresh = links(12);
        links(40);
        assert_eq!(links(12), fresh);
    }
}
