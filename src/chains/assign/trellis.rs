//! The joint assignment: a forward-backward pass over the walks of each parent, and messages between rivals.

use std::ops::Range;

use hashbrown::HashMap;

use super::gaps::{BINS, Masses, Model, Next, State, Step, Table};
use super::steps::{Dense, Density, Steps};
use super::{Belief, Edge, SETTLED, Window, rivals, seed};

/// Children that are settled together; more are taken in parts, one after the other in time.
const PART: usize = 3_000;

/// Children beyond the end of a part that still compete in it, so that the cut does no harm.
const OVERLAP: usize = 600;

/// Possible children of one parent that are looked at; of more, those that began first.
const MAX_NODES: usize = 512;

/// Rounds of learning where nothing is known yet, each with some sweeps of messages.
const LEARNING: &[usize] = &[8, 5, 5, 5, 5, 5, 5];

/// Rounds of learning where the model only has to follow.
const FOLLOWING: &[usize] = &[8, 5];

/// Sweeps of messages for the answer.
const SWEEPS: usize = 15;

/// How much of the old message stays in the new one, as an exponent.
const DAMPING: f64 = 0.4;

/// A step whose density is that much below the rate of chance meetings is left out.
const PRUNE: f64 = 1e-3;

/// Share of the calls of a class that are taken for unexplained at first, and at least.
const STRAYS: (f64, f64) = (0.2, 1e-3);

/// What remains of earlier learning when a part has taught something new.
const FADE: f32 = 0.5;

/// One possible pair within a part.
#[derive(Clone, Copy)]
struct Node {
    /// Place of the pair in [`Window::edges`].
    edge: u32,
    /// Index of the child within the part.
    child: u32,
    /// Worth of all other evidence.
    worth: f64,
    /// What the child is worth to this parent: one over what all others offer for it.
    price: f64,
    /// What this parent offers for the child.
    offer: f64,
    /// Share of this parent in all offers for the child before anyone competes.
    share: f64,
}

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

impl Node {
    /// What the child's being on the walk is worth.
    fn weight(&self) -> f64 {
        self.worth * self.price
    }

    /// Whether the pair is settled by other means.
    fn is_settled(&self) -> bool {
        self.worth >= f64::from(SETTLED).exp() * 0.99
    }
}

/// A step from one stand of a walk to a later one.
struct Link {
    from: u32,
    to: u32,
    density: Density,
}

/// A parent within a part: its nodes, its stands by node, and the steps between them by the node of their target.
struct Walk {
    parent: u32,
    /// Dense number of the parent's class.
    class: u32,
    nodes: Range<usize>,
    stands: Range<usize>,
    links: Range<usize>,
    /// Density of answering without any call.
    empty: Density,
}

/// The competitors for one child.
struct Rivals {
    /// Index in [`Window::children`].
    child: u32,
    /// Dense number of its class.
    class: u32,
    /// Rate of unexplained calls of its class, per nanosecond: the offer of an unseen parent.
    strays: f64,
    /// Sum of all offers, that one included.
    offers: f64,
}

/// Believes of every child which pair is true; learns the gaps on the way.
pub(crate) fn solve(window: &Window, model: &mut Model) -> Vec<Belief> {
    let count = window.children.len();
    let mut beliefs = vec![Belief { edge: None, probability: 1.0 }; count];
    let mut first_of = vec![(u32::MAX, 0_u32); window.parents.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        let (first, last) = &mut first_of[edge.parent as usize];
        *first = (*first).min(index as u32);
        *last = index as u32 + 1;
    }
    for begin in (0..count).step_by(PART) {
        let (end, seen) = ((begin + PART).min(count), (begin + PART + OVERLAP).min(count));
        let mut edges: Vec<(u32, Edge)> = Vec::new();
        for &(first, last) in &first_of {
            let own = first.min(last)..last;
            let inside = |edge: &Edge| (begin..seen).contains(&(edge.child as usize));
            if !window.edges[own.start as usize..own.end as usize].iter().any(inside) {
                continue;
            }
            for index in own {
                let edge = window.edges[index as usize];
                if inside(&edge) {
                    edges.push((index, edge));
                } else if beliefs[edge.child as usize].edge == Some(index) {
                    // Settled in an earlier part: the walk of its parent still goes through it.
                    edges.push((index, Edge { weight: SETTLED, ..edge }));
                }
            }
        }
        let mut part = Part::new(window, &edges, model);
        if edges.iter().any(|(_, edge)| edge.weight < SETTLED) {
            part.learn(model);
            part.neutral();
            part.pass(SWEEPS);
        }
        part.believe(|child, belief| {
            if (begin..end).contains(&(child as usize)) {
                beliefs[child as usize] = belief;
            }
        });
    }
    give_up(window, &mut beliefs);
    beliefs
}

/// Possible parents per child from which times may say nothing at all.
const CROWDED: f64 = 8.0;

/// Where most calls of a class look unexplained although many parents are possible for each, the gaps could not be learnt:
/// then the simplest order is the better guess, with a probability that says how weak it is.
fn give_up(window: &Window, beliefs: &mut [Belief]) {
    let mut rivals = vec![0_u32; window.children.len()];
    window.edges.iter().for_each(|edge| rivals[edge.child as usize] += 1);
    let mut classes: HashMap<u32, [f64; 3], foldhash::fast::FixedState> = HashMap::default();
    for ((child, belief), &rivals) in window.children.iter().zip(&*beliefs).zip(&rivals) {
        let [all, alone, possible] = classes.entry(child.class).or_default();
        if rivals > 0 {
            *all += 1.0;
            *alone += f64::from(u8::from(belief.edge.is_none()));
            *possible += f64::from(rivals);
        }
    }
    let failed = |class: u32| {
        let [all, alone, possible] = classes.get(&class).copied().unwrap_or_default();
        alone > all / 2.0 && possible > all * CROWDED
    };
    if !window.children.iter().any(|child| failed(child.class)) {
        return;
    }
    let simple = rivals::first_in_first_out(window);
    for (index, belief) in beliefs.iter_mut().enumerate() {
        let settled = belief.edge.is_some_and(|edge| window.edges[edge as usize].weight >= SETTLED);
        if failed(window.children[index].class) && !settled {
            let probability = (CROWDED / 2.0 / f64::from(rivals[index].max(1))).min(0.5);
            *belief = Belief { edge: simple[index].edge, probability };
        }
    }
}

/// A stretch of a window that is settled in one go.
struct Part<'a> {
    window: &'a Window,
    walks: Vec<Walk>,
    nodes: Vec<Node>,
    stands: Vec<Stand>,
    links: Vec<Link>,
    rivals: Vec<Rivals>,
    /// Calls by class that no parent of the part can explain, and the time over which the class was watched.
    watched: HashMap<u32, Watched, foldhash::fast::FixedState>,
    /// Rate of children per nanosecond by place: the measure of chance meetings.
    rates: HashMap<u32, f64, foldhash::fast::FixedState>,
    /// Dense numbers of the classes of parents and of children.
    numbers: [HashMap<u32, u32, foldhash::fast::FixedState>; 2],
}

/// How long a class of children was watched and how many came.
#[derive(Default)]
struct Watched {
    children: f64,
    /// Nanoseconds, summed over the places.
    time: f64,
}

impl<'a> Part<'a> {
    /// Lays out the walks of a stretch; `edges` are sorted by parent, then by child.
    fn new(window: &'a Window, edges: &[(u32, Edge)], model: &mut Model) -> Self {
        let mut part = Self {
            window,
            walks: Vec::new(),
            nodes: Vec::with_capacity(edges.len()),
            stands: Vec::new(),
            links: Vec::new(),
            rivals: Vec::new(),
            watched: HashMap::default(),
            rates: HashMap::default(),
            numbers: Default::default(),
        };
        let mut local: HashMap<u32, u32, foldhash::fast::FixedState> = HashMap::default();
        for chunk in edges.chunk_by(|a, b| a.1.parent == b.1.parent) {
            let first = part.nodes.len();
            for &(index, edge) in chunk.iter().take(MAX_NODES) {
                let child = *local.entry(edge.child).or_insert_with(|| {
                    part.rivals.push(Rivals { child: edge.child, class: 0, strays: 0.0, offers: 0.0 });
                    part.rivals.len() as u32 - 1
                });
                part.nodes.push(Node {
                    edge: index,
                    child,
                    worth: f64::from(edge.weight).exp(),
                    price: 0.0,
                    offer: 0.0,
                    share: 0.0,
                });
            }
            part.walks.push(Walk {
                parent: chunk[0].1.parent,
                class: 0,
                nodes: first..part.nodes.len(),
                stands: 0..0,
                links: 0..0,
                empty: Density::NONE,
            });
        }
        part.watch();
        part.price(model);
        part
    }

    /// Counts the children by class and place, and numbers the classes.
    fn watch(&mut self) {
        for walk in &mut self.walks {
            let [parents, _] = &mut self.numbers;
            let next = parents.len() as u32;
            walk.class = *parents.entry(self.window.parents[walk.parent as usize].class).or_insert(next);
        }
        for rivals in &mut self.rivals {
            let [_, children] = &mut self.numbers;
            let next = children.len() as u32;
            rivals.class = *children.entry(self.window.children[rivals.child as usize].class).or_insert(next);
        }
        let mut places: HashMap<u32, (i64, i64, f64), foldhash::fast::FixedState> = HashMap::default();
        for rivals in &self.rivals {
            let child = self.window.children[rivals.child as usize];
            let place = places.entry(child.place).or_insert((child.start, child.start, 0.0));
            place.0 = place.0.min(child.start);
            place.1 = place.1.max(child.start);
            place.2 += 1.0;
        }
        let mut seen = hashbrown::HashSet::<(u32, u32), foldhash::fast::FixedState>::default();
        for rivals in &self.rivals {
            let child = self.window.children[rivals.child as usize];
            let watched = self.watched.entry(child.class).or_default();
            watched.children += 1.0;
            if seen.insert((child.class, child.place)) {
                let (first, last, _) = places[&child.place];
                watched.time += ((last - first) as f64).max(1e6);
            }
        }
        for (place, (first, last, count)) in places {
            self.rates.insert(place, (count - 1.0) / ((last - first) as f64).max(1e6));
        }
    }

    /// Sets the first prices.
    fn price(&mut self, model: &Model) {
        for rivals in &mut self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            let watched = &self.watched[&class];
            let rate = (watched.children + 1.0) / watched.time;
            rivals.strays = model.strays(class).unwrap_or(rate * STRAYS.0).max(rate * STRAYS.1);
            rivals.offers = rivals.strays + rate;
        }
        for node in &mut self.nodes {
            node.price = 1.0 / self.rivals[node.child as usize].offers;
        }
    }

    /// Learns the gaps of this part and adds them to the model.
    fn learn(&mut self, model: &mut Model) {
        let mut current = model.clone();
        let new = seed::seed(self.window, &mut current);
        let rounds = if new { LEARNING } else { FOLLOWING };
        for (round, &sweeps) in rounds.iter().enumerate() {
            self.lay_links(&Table::new(&current));
            self.pass(sweeps);
            let mut learnt = self.expect();
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
        self.lay_links(&Table::new(&current));
    }

    /// Finds the steps that are worth looking at and their densities.
    fn lay_links(&mut self, table: &Table) {
        self.links.clear();
        self.stands.clear();
        let steps = Steps::new(table, self.numbers[0].len(), self.numbers[1].len());
        let mut horizons: HashMap<u32, (f64, i64), foldhash::fast::FixedState> = HashMap::default();
        let mut active: Vec<u32> = Vec::new();
        for walk in &mut self.walks {
            let parent = self.window.parents[walk.parent as usize];
            let &mut (least, horizon) = horizons.entry(parent.place).or_insert_with(|| {
                let least = self.rates.get(&parent.place).copied().unwrap_or(0.0) * PRUNE;
                (least, table.horizon(least))
            });
            let (first_link, first_stand) = (self.links.len(), self.stands.len());
            let nodes = &self.nodes[walk.nodes.clone()];
            let span = |node: u32| {
                self.window.children[self.rivals[nodes[node as usize].child as usize].child as usize]
            };
            let number = |node: u32| self.rivals[nodes[node as usize].child as usize].class;
            let dense = |state, next| Dense { parent: walk.class, state, next };
            let empty = (parent.class, State::Request, Next::Answer);
            walk.empty = steps.look(dense(0, 0), empty, parent.end - parent.start, 0.0);
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
            walk.stands = first_stand..self.stands.len();
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
            walk.links = first_link..kept;
        }
    }

    /// Sends messages to and fro. Afterwards `offer` and `price` of every node are as good as they get.
    fn pass(&mut self, sweeps: usize) {
        let mut ways = Ways::default();
        let mut with: Vec<f64> = Vec::new();
        for _ in 0..sweeps {
            for walk in &self.walks {
                let nodes = &mut self.nodes[walk.nodes.clone()];
                let stands = &self.stands[walk.stands.clone()];
                let all = ways.count(nodes, stands, &self.links[walk.links.clone()], &walk.empty);
                with.clear();
                with.resize(nodes.len(), 0.0);
                for (stand, (ahead, back)) in stands.iter().zip(ways.ahead.iter().zip(&ways.back)) {
                    with[stand.node as usize] += ahead * back;
                }
                for (node, with) in nodes.iter_mut().zip(&with) {
                    let without = (all - with).max(all * 1e-12);
                    node.offer = if all > 0.0 { with / without / node.price } else { 0.0 };
                }
            }
            for rivals in &mut self.rivals {
                rivals.offers = rivals.strays;
            }
            for node in &self.nodes {
                self.rivals[node.child as usize].offers += node.offer;
            }
            for node in &mut self.nodes {
                let rivals = &self.rivals[node.child as usize];
                let others = (rivals.offers - node.offer).max(rivals.strays);
                node.price = (DAMPING * node.price.ln() - (1.0 - DAMPING) * others.ln()).exp();
            }
        }
    }

    /// Notes what each parent would get if nobody competed: how ambiguous the times are by themselves.
    fn neutral(&mut self) {
        let prices: Vec<f64> = self.nodes.iter().map(|node| node.price).collect();
        for node in &mut self.nodes {
            let rivals = &self.rivals[node.child as usize];
            let watched = &self.watched[&self.window.children[rivals.child as usize].class];
            node.price = watched.time / (watched.children + 1.0);
        }
        self.pass(1);
        for (node, price) in self.nodes.iter_mut().zip(prices) {
            node.share = node.offer / self.rivals[node.child as usize].offers;
            node.price = price;
        }
    }

    /// What the current beliefs teach: expected counts of every step, and how many children nobody explains.
    fn expect(&mut self) -> Model {
        let mut model = Model::default();
        let mut ways = Ways::default();
        let mut counts: Vec<Masses> = Vec::new();
        let mut places: HashMap<Step, usize, foldhash::fast::FixedState> = HashMap::default();
        let mut add = |step: Step, bin: u8, mass: f64| {
            let place = *places.entry(step).or_insert_with(|| {
                counts.push([0.0; BINS]);
                counts.len() - 1
            });
            counts[place][bin as usize] += mass as f32;
        };
        for walk in &self.walks {
            let parent = self.window.parents[walk.parent as usize];
            let nodes = &self.nodes[walk.nodes.clone()];
            let stands = &self.stands[walk.stands.clone()];
            let links = &self.links[walk.links.clone()];
            let all = ways.count(nodes, stands, links, &walk.empty);
            if all <= 0.0 {
                continue;
            }
            add((parent.class, State::Request, Next::Answer), walk.empty.bin, walk.empty.value / all);
            let class = |stand: &Stand| {
                let rivals = &self.rivals[nodes[stand.node as usize].child as usize];
                self.window.children[rivals.child as usize].class
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
        let mut strays: HashMap<u32, f64, foldhash::fast::FixedState> = HashMap::default();
        for rivals in &self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            // Only those that are rather unexplained than not count: where times say little, all children look a
            // little unexplained, and counting that would make it true.
            let alone = rivals.strays / rivals.offers;
            *strays.entry(class).or_default() += if alone > 0.5 { alone } else { 0.0 };
        }
        for (class, watched) in &self.watched {
            let alone = strays.get(class).copied().unwrap_or(0.0);
            model.set_strays(*class, (alone + 0.2) / watched.time);
        }
        for rivals in &mut self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            let least = (self.watched[&class].children + 1.0) / self.watched[&class].time * STRAYS.1;
            rivals.strays = model.strays(class).unwrap_or(least).max(least);
        }
        model
    }

    /// Gives the belief of every child of the part.
    fn believe(&self, mut each: impl FnMut(u32, Belief)) {
        let mut best: Vec<Belief> = self
            .rivals
            .iter()
            .map(|rivals| Belief { edge: None, probability: rivals.strays / rivals.offers })
            .collect();
        let mut shares = vec![1.0; best.len()];
        let alone: Vec<bool> = best.iter().map(|belief| belief.probability > 0.5).collect();
        for node in &self.nodes {
            let belief = &mut best[node.child as usize];
            let rivals = &self.rivals[node.child as usize];
            let probability = node.offer / rivals.offers;
            let settled = self.window.edges[node.edge as usize].weight >= SETTLED;
            if settled {
                *belief = Belief { edge: Some(node.edge), probability: 1.0 };
            } else if !alone[node.child as usize]
                && (belief.edge.is_none() || probability > belief.probability)
            {
                *belief = Belief { edge: Some(node.edge), probability };
                shares[node.child as usize] = node.share;
            }
        }
        for ((rivals, belief), share) in self.rivals.iter().zip(best).zip(shares) {
            each(rivals.child, Belief { probability: calibrated(belief.probability, share), ..belief });
        }
    }
}

/// What a probability of the message passing is really worth. Messages that run in circles make it too sure where many
/// walks overlap; `share`, the part of the parent in all offers while nobody competes, shows how much the competition had
/// to decide. The constants are fitted to simulated traffic of different plans at 5 to 100 calls in work; one set fits all.
fn calibrated(probability: f64, share: f64) -> f64 {
    let odds = |p: f64| (p / (1.0 - p)).ln();
    let p = probability.clamp(1e-6, 0.999);
    let share = share.clamp(0.01, 0.9999);
    let slope = if share > 0.5 { 0.9 } else { 0.2 };
    let logit = 0.16 * odds(p) - 0.2 + slope * odds(share);
    let most = if probability < 0.6 { 0.85 * probability } else { probability };
    (1.0 / (1.0 + (-logit).exp())).min(most)
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
