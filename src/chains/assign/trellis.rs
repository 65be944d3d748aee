//! Parents as walks from event to event: a forward-backward pass over the possible walks of each.

use std::ops::Range;

use hashbrown::HashMap;

use super::gaps::{BINS, Masses, Model, Next, State, Step, Table};
use super::part::{Node, Offers, Part};
use super::steps::{Dense, Density, Steps};
use super::{Belief, Span, seed};

/// Rounds of learning where nothing is known yet, each with some sweeps of messages.
const LEARNING: &[usize] = &[8, 5, 5, 5, 5, 5, 5];

/// Rounds of learning where the model only has to follow.
const FOLLOWING: &[usize] = &[8, 5];

/// A step whose density is that much below the rate of chance meetings is left out.
const PRUNE: f64 = 1e-3;

/// What remains of earlier learning when a part has taught something new.
const FADE: f32 = 0.5;

/// How far a walk has come: its last call, and which of its calls ends last. They differ where calls run side by side.
#[derive(Clone, Copy)]
struct Stand {
    /// Index of the last call's node within the walk.
    node: u32,
    /// Index of the node that ends last.
    latest: u32,
    /// Density of the call being the first step; 0 for later ones.
    first: Density,
    /// Density of the answer as the next step.
    last: Density,
}

/// A step from one stand of a walk to a later one.
struct Link {
    from: u32,
    to: u32,
    density: Density,
}

/// The way through a parent's possible children: its stands by node, and the steps between them by the node of their target.
struct Way {
    stands: Range<usize>,
    links: Range<usize>,
    /// Density of answering without any call.
    empty: Density,
}

/// The walks of all parents of a part.
#[derive(Default)]
pub(super) struct Trellis {
    /// In the order of [`Part::walks`].
    laid: Vec<Way>,
    stands: Vec<Stand>,
    links: Vec<Link>,
    ways: Ways,
    table: Table,
    /// Classes of parents in the part.
    classes: Vec<u32>,
}

/// Most classes of parents that are looked through for one that makes a call after another.
pub(super) const MAX_CLASSES: usize = 8;

impl Trellis {
    /// Learns the gaps of this part and adds them to the model; `guess` helps where nothing is known yet.
    pub(super) fn learn(&mut self, part: &mut Part<'_>, guess: &[Belief], model: &mut Model) {
        let mut current = model.clone();
        let new = seed::seed(part.window, guess, &mut current);
        let rounds = if new { LEARNING } else { FOLLOWING };
        for (round, &sweeps) in rounds.iter().enumerate() {
            self.lay_links(part, Table::new(&current));
            part.pass(self, sweeps);
            let mut learnt = self.expect(part);
            if round + 1 == rounds.len() {
                model.fade(FADE);
                model.merge(&learnt);
            } else if new && round < 2 {
                // The seed is let go slowly: what it held and nobody used may still be true.
                current.fade(0.3);
                learnt.merge(&current);
            }
            current = learnt;
        }
        self.lay_links(part, Table::new(&current));
    }

    /// Finds the steps that are worth looking at and their densities.
    fn lay_links(&mut self, part: &Part<'_>, table: Table) {
        self.table = table;
        let table = &self.table;
        self.classes = part.numbers[0].keys().copied().collect();
        self.classes.sort_unstable();
        self.classes.truncate(MAX_CLASSES);
        self.laid.clear();
        self.links.clear();
        self.stands.clear();
        let steps = Steps::new(table, part.numbers[0].len(), part.numbers[1].len());
        let mut horizons: HashMap<u32, (f64, i64), foldhash::fast::FixedState> = HashMap::default();
        let mut active: Vec<u32> = Vec::new();
        for walk in &part.walks {
            let parent = part.window.parents[walk.parent as usize];
            let &mut (least, horizon) = horizons.entry(parent.place).or_insert_with(|| {
                let least = part.rates.get(&parent.place).copied().unwrap_or(0.0) * PRUNE;
                (least, table.horizon(least))
            });
            let (first_link, first_stand) = (self.links.len(), self.stands.len());
            let nodes = &part.nodes[walk.nodes.clone()];
            let span = |node: u32| {
                part.window.children[part.rivals[nodes[node as usize].child as usize].child as usize]
            };
            let number = |node: u32| part.rivals[nodes[node as usize].child as usize].class;
            let dense = |state, next| Dense { parent: walk.class, state, next };
            let empty = (parent.class, State::Request, Next::Answer);
            let empty = steps.look(dense(0, 0), empty, parent.end - parent.start, 0.0);
            active.clear();
            for to in 0..nodes.len() as u32 {
                let child = span(to);
                let firm = nodes[to as usize].is_settled();
                let own_stands = self.stands.len();
                // Where the walk stands when it goes on from `from` to this child; made when first reached.
                let stand = |stands: &mut Vec<Stand>, latest: u32, first: Density| {
                    let known = stands[own_stands..].iter().position(|stand| stand.latest == latest);
                    if let Some(known) = known {
                        return (own_stands + known - first_stand) as u32;
                    }
                    let least = if firm { 0.0 } else { least };
                    let last = steps.look(
                        dense(number(to) + 1, 0),
                        (parent.class, State::Made(child.class), Next::Answer),
                        parent.end - span(latest).end,
                        least,
                    );
                    stands.push(Stand { node: to, latest, first, last });
                    (stands.len() - 1 - first_stand) as u32
                };
                let first = (parent.class, State::Request, Next::After(child.class));
                let first = steps.look(
                    dense(0, number(to)),
                    first,
                    (child.start - parent.start).abs(),
                    if firm { 0.0 } else { least },
                );
                if first.value > 0.0 {
                    stand(&mut self.stands, to, first);
                }
                active.retain(|&from| {
                    let from = self.stands[first_stand + from as usize];
                    nodes[from.node as usize].is_settled()
                        || child.start <= span(from.latest).end.saturating_add(horizon)
                });
                for &from in &active {
                    let Stand { node, latest, .. } = self.stands[first_stand + from as usize];
                    let (before, longest) = (span(node), span(latest));
                    let least = if firm && nodes[node as usize].is_settled() { 0.0 } else { least };
                    let state = State::Made(before.class);
                    let goes = dense(number(node) + 1, number(to));
                    let joined = if child.end >= longest.end { to } else { latest };
                    let mut link = |next, gap| {
                        let density = steps.look(goes, (parent.class, state, next), gap, least);
                        if density.value > 0.0 {
                            let to = stand(&mut self.stands, joined, Density::NONE);
                            self.links.push(Link { from, to, density });
                        }
                    };
                    if child.start >= longest.end {
                        link(Next::After(child.class), child.start - longest.end);
                    } else {
                        if child.start >= before.end {
                            link(Next::After(child.class), child.start - before.end);
                        }
                        link(Next::Beside(child.class), child.start - before.start);
                        link(Next::FromRequest(child.class), child.start - parent.start);
                    }
                }
                active.extend((own_stands - first_stand) as u32..(self.stands.len() - first_stand) as u32);
            }
            // What can't reach the answer needs no step to it.
            let mut useful: Vec<bool> =
                self.stands[first_stand..].iter().map(|stand| stand.last.value > 0.0).collect();
            for link in self.links[first_link..].iter().rev() {
                if useful[link.to as usize] {
                    useful[link.from as usize] = true;
                }
            }
            let mut kept = first_link;
            for at in first_link..self.links.len() {
                if useful[self.links[at].to as usize] {
                    self.links.swap(kept, at);
                    kept += 1;
                }
            }
            self.links.truncate(kept);
            self.laid.push(Way { stands: first_stand..self.stands.len(), links: first_link..kept, empty });
        }
    }

    /// What the current beliefs teach: expected counts of every step, and how many children nobody explains.
    fn expect(&mut self, part: &mut Part<'_>) -> Model {
        let mut model = Model::default();
        let mut counts: Vec<Masses> = Vec::new();
        let mut places: HashMap<Step, usize, foldhash::fast::FixedState> = HashMap::default();
        let mut add = |step: Step, bin: u8, mass: f64| {
            let place = *places.entry(step).or_insert_with(|| {
                counts.push([0.0; BINS]);
                counts.len() - 1
            });
            counts[place][bin as usize] += mass as f32;
        };
        let ways = &mut self.ways;
        for (walk, way) in part.walks.iter().zip(&self.laid) {
            let parent = part.window.parents[walk.parent as usize];
            let nodes = &part.nodes[walk.nodes.clone()];
            let stands = &self.stands[way.stands.clone()];
            let links = &self.links[way.links.clone()];
            let all = ways.count(nodes, stands, links, &way.empty);
            if all <= 0.0 {
                continue;
            }
            add((parent.class, State::Request, Next::Answer), way.empty.bin, way.empty.value / all);
            let class = |stand: &Stand| {
                let rivals = &part.rivals[nodes[stand.node as usize].child as usize];
                part.window.children[rivals.child as usize].class
            };
            for (stand, (ahead, back)) in stands.iter().zip(ways.ahead.iter().zip(&ways.back)) {
                let first = stand.first.value * nodes[stand.node as usize].weight() * back / all;
                if first > LEAST_SHARE {
                    add((parent.class, State::Request, Next::After(class(stand))), stand.first.bin, first);
                }
                let last = ahead * stand.last.value / all;
                if last > LEAST_SHARE {
                    add((parent.class, State::Made(class(stand)), Next::Answer), stand.last.bin, last);
                }
            }
            for link in links {
                let to = &stands[link.to as usize];
                let weight = nodes[to.node as usize].weight() * ways.back[link.to as usize];
                let share = ways.ahead[link.from as usize] * link.density.value * weight / all;
                if share > LEAST_SHARE {
                    let from = State::Made(class(&stands[link.from as usize]));
                    add((parent.class, from, link.density.next), link.density.bin, share);
                }
            }
        }
        for (step, place) in places {
            for (bin, mass) in counts[place].iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                model.add(step, bin, *mass);
            }
        }
        part.expect_strays(&mut model);
        model
    }
}

impl Offers for Trellis {
    fn offer(&mut self, part: &mut Part<'_>) {
        let mut with: Vec<f64> = Vec::new();
        for (walk, way) in part.walks.iter().zip(&self.laid) {
            let nodes = &mut part.nodes[walk.nodes.clone()];
            let stands = &self.stands[way.stands.clone()];
            let all = self.ways.count(nodes, stands, &self.links[way.links.clone()], &way.empty);
            with.clear();
            with.resize(nodes.len(), 0.0);
            for (stand, (ahead, back)) in stands.iter().zip(self.ways.ahead.iter().zip(&self.ways.back)) {
                with[stand.node as usize] += ahead * back;
            }
            for (node, with) in nodes.iter_mut().zip(&with) {
                let without = (all - with).max(all * 1e-12);
                node.offer = if all > 0.0 { with / without / node.price } else { 0.0 };
            }
        }
    }

    fn next(&self, before: Span, after: Span) -> f64 {
        self.table.next(&self.classes, before, after)
    }
}

/// Expected counts below that are not worth adding.
const LEAST_SHARE: f64 = 1e-5;

/// The ways through a walk, by stand.
#[derive(Default)]
struct Ways {
    /// Weight of all ways from the request to a stand, its call included.
    ahead: Vec<f64>,
    /// Weight of all ways from a stand to the answer.
    back: Vec<f64>,
}

impl Ways {
    /// Counts them and returns the weight of all walks.
    fn count(&mut self, nodes: &[Node], stands: &[Stand], links: &[Link], empty: &Density) -> f64 {
        let weight = |stand: &Stand| nodes[stand.node as usize].weight();
        self.ahead.clear();
        self.ahead.extend(stands.iter().map(|stand| stand.first.value));
        let mut next = 0;
        for link in links {
            // Links are by the node of their target, so a stand is complete when the first link from it comes.
            while next <= link.from as usize {
                self.ahead[next] *= weight(&stands[next]);
                next += 1;
            }
            self.ahead[link.to as usize] += self.ahead[link.from as usize] * link.density.value;
        }
        for (ahead, stand) in self.ahead[next..].iter_mut().zip(&stands[next..]) {
            *ahead *= weight(stand);
        }
        self.back.clear();
        self.back.extend(stands.iter().map(|stand| stand.last.value));
        for link in links.iter().rev() {
            let to = link.to as usize;
            self.back[link.from as usize] += link.density.value * weight(&stands[to]) * self.back[to];
        }
        let walks: f64 = self.ahead.iter().zip(stands).map(|(ahead, stand)| ahead * stand.last.value).sum();
        walks + empty.value
    }
}
