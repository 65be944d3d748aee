//! A stretch of a window that is settled in one go: who competes for whom, and the messages between rivals.

use std::ops::Range;

use hashbrown::HashMap;

use foldhash::fast::FixedState;

use super::gaps::Model;
use super::{Belief, Edge, SETTLED, Span, Window};

/// Possible children of one parent that are looked at; of more, those that began first.
const MAX_NODES: usize = 512;

/// How much of the old message stays in the new one, as an exponent.
const DAMPING: f64 = 0.4;

/// Share of the calls of a class that are taken for unexplained at least.
const LEAST_STRAYS: f64 = 1e-3;

/// One possible pair within a part.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// Place of the pair in [`Window::edges`].
    pub(super) edge: u32,
    /// Index of the child within the part.
    pub(super) child: u32,
    /// Worth of all other evidence.
    worth: f64,
    /// What the child is worth to this parent: one over what all others offer for it.
    pub(super) price: f64,
    /// What this parent offers for the child.
    pub(super) offer: f64,
    /// Share of this parent in all offers for the child before anyone competes.
    share: f64,
}

impl Node {
    /// What the child's being on the walk is worth.
    pub(super) fn weight(&self) -> f64 {
        self.worth * self.price
    }

    /// Whether the pair is settled by other means.
    pub(super) fn is_settled(&self) -> bool {
        self.worth >= f64::from(SETTLED).exp() * 0.99
    }
}

/// A parent within a part.
pub(super) struct Walk {
    /// Index in [`Window::parents`].
    pub(super) parent: u32,
    /// Dense number of the parent's class.
    pub(super) class: u32,
    /// Its possible children, by start.
    pub(super) nodes: Range<usize>,
}

/// The competitors for one child.
pub(super) struct Rivals {
    /// Index in [`Window::children`].
    pub(super) child: u32,
    /// Dense number of its class.
    pub(super) class: u32,
    /// Rate of unexplained calls of its class, per nanosecond: the offer of an unseen parent.
    rate: f64,
    /// That, and what the unseen parents of other calls offer for it.
    strays: f64,
    /// Sum of all offers, that one included.
    pub(super) offers: f64,
}

/// A stretch of a window that is settled in one go.
pub(super) struct Part<'a> {
    pub(super) window: &'a Window,
    pub(super) walks: Vec<Walk>,
    pub(super) nodes: Vec<Node>,
    pub(super) rivals: Vec<Rivals>,
    /// Places in `rivals` by start of the child.
    order: Vec<u32>,
    /// Calls by class that no parent of the part can explain, and the time over which the class was watched.
    watched: HashMap<u32, Watched, FixedState>,
    /// Rate of children per nanosecond by place: the measure of chance meetings.
    pub(super) rates: HashMap<u32, f64, FixedState>,
    /// Dense numbers of the classes of parents and of children.
    pub(super) numbers: [HashMap<u32, u32, FixedState>; 2],
}

/// How long a class of children was watched and how many came.
#[derive(Default)]
struct Watched {
    children: f64,
    /// Nanoseconds, summed over the places.
    time: f64,
}

/// Probability of being unexplained from which a call is looked at for what follows it.
const LONELY: f64 = 0.1;

/// Calls after an unexplained one that are looked at.
pub(super) const FOLLOWERS: usize = 64;

/// What a parent thinks of its possible children, given what each costs.
pub(super) trait Offers {
    /// Sets the offer of every node from the prices.
    fn offer(&mut self, part: &mut Part<'_>);

    /// Density of a call coming next after another of the same parent, whichever that is.
    fn next(&self, _before: Span, _after: Span) -> f64 {
        0.0
    }
}

impl<'a> Part<'a> {
    /// Lays out the walks of a stretch; `edges` are sorted by parent, then by child.
    pub(super) fn new(window: &'a Window, edges: &[(u32, Edge)]) -> Self {
        let mut part = Self {
            window,
            walks: Vec::new(),
            nodes: Vec::with_capacity(edges.len()),
            rivals: Vec::new(),
            order: Vec::new(),
            watched: HashMap::default(),
            rates: HashMap::default(),
            numbers: Default::default(),
        };
        let mut local: HashMap<u32, u32, foldhash::fast::FixedState> = HashMap::default();
        for chunk in edges.chunk_by(|a, b| a.1.parent == b.1.parent) {
            let first = part.nodes.len();
            for &(index, edge) in chunk.iter().take(MAX_NODES) {
                let child = *local.entry(edge.child).or_insert_with(|| {
                    part.rivals.push(Rivals {
                        child: edge.child,
                        class: 0,
                        rate: 0.0,
                        strays: 0.0,
                        offers: 0.0,
                    });
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
            part.walks.push(Walk { parent: chunk[0].1.parent, class: 0, nodes: first..part.nodes.len() });
        }
        part.order = (0..part.rivals.len() as u32).collect();
        let rivals = &part.rivals;
        part.order.sort_unstable_by_key(|&index| rivals[index as usize].child);
        part.watch();
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

    /// Sets the first prices. `strays` is the share of the calls of a class that are taken for unexplained where nothing
    /// is known of them.
    pub(super) fn price(&mut self, model: &Model, strays: f64) {
        for rivals in &mut self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            let watched = &self.watched[&class];
            let rate = (watched.children + 1.0) / watched.time;
            rivals.rate = model.strays(class).unwrap_or(rate * strays).max(rate * LEAST_STRAYS);
            rivals.strays = rivals.rate;
            rivals.offers = rivals.strays + rate;
        }
        for node in &mut self.nodes {
            node.price = 1.0 / self.rivals[node.child as usize].offers;
        }
    }

    /// Sends messages to and fro. Afterwards `offer` and `price` of every node are as good as they get.
    pub(super) fn pass(&mut self, offers: &mut dyn Offers, sweeps: usize) {
        for _ in 0..sweeps {
            offers.offer(self);
            self.follow(offers);
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

    /// Lets the unseen parents of unexplained calls offer for those that came next: who makes one call makes others too.
    fn follow(&mut self, offers: &dyn Offers) {
        let alone = |rivals: &Rivals| if rivals.offers > 0.0 { rivals.strays / rivals.offers } else { 0.0 };
        let lonely: Vec<(usize, f64)> = self
            .order
            .iter()
            .enumerate()
            .map(|(place, &index)| (place, alone(&self.rivals[index as usize])))
            .filter(|(_, alone)| *alone > LONELY)
            .collect();
        self.rivals.iter_mut().for_each(|rivals| rivals.strays = rivals.rate);
        for (place, alone) in lonely {
            let before = self.window.children[self.rivals[self.order[place] as usize].child as usize];
            for &index in self.order[place + 1..].iter().take(FOLLOWERS) {
                let rivals = &mut self.rivals[index as usize];
                let after = self.window.children[rivals.child as usize];
                if after.place == before.place {
                    rivals.strays += alone * offers.next(before, after);
                }
            }
        }
    }

    /// Notes what each parent would get if nobody competed: how ambiguous the times are by themselves.
    pub(super) fn neutral(&mut self, offers: &mut dyn Offers) {
        let prices: Vec<f64> = self.nodes.iter().map(|node| node.price).collect();
        for node in &mut self.nodes {
            let rivals = &self.rivals[node.child as usize];
            let watched = &self.watched[&self.window.children[rivals.child as usize].class];
            node.price = watched.time / (watched.children + 1.0);
        }
        self.pass(offers, 1);
        for (node, price) in self.nodes.iter_mut().zip(prices) {
            node.share = node.offer / self.rivals[node.child as usize].offers;
            node.price = price;
        }
    }

    /// Counts how many children nobody explains, for the model and for the next messages.
    pub(super) fn expect_strays(&mut self, model: &mut Model) {
        let mut strays: HashMap<u32, f64, FixedState> = HashMap::default();
        for rivals in &self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            // Only those that are rather unexplained than not count: where times say little, all children look a
            // little unexplained, and counting that would make it true.
            // Those that follow another one's unseen parent are explained by it.
            let alone = rivals.rate / rivals.offers;
            let alone = if rivals.strays > rivals.offers / 2.0 { alone } else { 0.0 };
            *strays.entry(class).or_default() += alone;
        }
        for (class, watched) in &self.watched {
            let alone = strays.get(class).copied().unwrap_or(0.0);
            model.set_strays(*class, (alone + 0.2) / watched.time);
        }
        for rivals in &mut self.rivals {
            let class = self.window.children[rivals.child as usize].class;
            let least = (self.watched[&class].children + 1.0) / self.watched[&class].time * LEAST_STRAYS;
            rivals.rate = model.strays(class).unwrap_or(least).max(least);
            rivals.strays = rivals.rate;
        }
    }

    /// The part as a window of its own, with what is believed of its children.
    pub(super) fn cut_out(&self) -> (Window, Vec<Belief>) {
        let mut children: Vec<u32> = self.rivals.iter().map(|rivals| rivals.child).collect();
        children.sort_unstable();
        let place: HashMap<u32, u32, FixedState> =
            children.iter().enumerate().map(|(index, child)| (*child, index as u32)).collect();
        let mut window = Window {
            children: children.iter().map(|child| self.window.children[*child as usize]).collect(),
            ..Window::default()
        };
        let mut edges: HashMap<u32, u32, FixedState> = HashMap::default();
        for walk in &self.walks {
            window.parents.push(self.window.parents[walk.parent as usize]);
            for node in &self.nodes[walk.nodes.clone()] {
                edges.insert(node.edge, window.edges.len() as u32);
                window.edges.push(Edge {
                    parent: window.parents.len() as u32 - 1,
                    child: place[&self.rivals[node.child as usize].child],
                    weight: self.window.edges[node.edge as usize].weight,
                });
            }
        }
        let mut beliefs = vec![Belief::default(); children.len()];
        self.believe(|child, belief| {
            let edge = belief.edge.and_then(|edge| edges.get(&edge).copied());
            beliefs[place[&child] as usize] = Belief { edge, ..belief };
        });
        (window, beliefs)
    }

    /// Gives the belief of every child of the part.
    pub(super) fn believe(&self, mut each: impl FnMut(u32, Belief)) {
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
