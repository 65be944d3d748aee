//! The bipartite factor graph of a slice of a window: parents that compete for children, and the messages between them.
//!
//! A pair carries two messages. The parent sends an *offer*: how much it gains from the child. The child sends a *price*: one over
//! the sum of all other offers for it, those of uncaptured parents included. Loopy sum-product passing of these messages
//! (Williams and Lau, IEEE TAES 2014) approximates the marginal probability of every pair.

use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::gaps::GapModel;
use super::{Belief, Edge, SETTLED, Span, Window};

/// Most possible children of one parent; of more, the first to begin are kept.
const MAX_PAIRS: usize = 512;

/// Weight of the old price in the new one, as an exponent.
const DAMPING: f64 = 0.4;

/// Change of the logarithm of prices below which no further messages are passed.
const SETTLING: f64 = 0.01;

/// Least share of the calls of a class that have no captured parent.
const LEAST_STRAYS: f64 = 1e-3;

/// A possible pair within the graph.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// Index in [`Window::edges`].
    pub(super) edge: u32,
    /// Index in [`FactorGraph::children`].
    pub(super) child: u32,
    /// Likelihood ratio of all evidence but time.
    evidence: f64,
    /// Message to the parent: one over all other offers for the child.
    pub(super) price: f64,
    /// Its logarithm.
    log_price: f64,
    /// Message to the child: what the parent offers for it.
    pub(super) offer: f64,
    /// This parent's share of all offers for the child if parents did not compete.
    share: f64,
}

impl Pair {
    /// The factor by which the child raises the weight of a walk of the parent through it.
    pub(super) fn weight(&self) -> f64 {
        self.evidence * self.price
    }

    fn set_price(&mut self, price: f64) {
        (self.price, self.log_price) = (price, price.ln());
    }

    /// Whether other evidence has settled the pair.
    pub(super) fn is_settled(&self) -> bool {
        self.evidence >= f64::from(SETTLED).exp() * 0.99
    }
}

/// A parent of the graph.
pub(super) struct ParentNode {
    /// Index in [`Window::parents`].
    pub(super) parent: u32,
    /// Dense number of the parent's class.
    pub(super) class: u32,
    /// Its possible children, by start: a range of [`FactorGraph::pairs`].
    pub(super) pairs: Range<usize>,
}

/// A child of the graph.
pub(super) struct ChildNode {
    /// Index in [`Window::children`].
    pub(super) child: u32,
    /// Dense number of its class.
    pub(super) class: u32,
    /// Rate of calls of its class without a captured parent, per nanosecond: the offer of a new uncaptured parent.
    rate: f64,
    /// The same plus the offers of the uncaptured parents of other calls.
    strays: f64,
    /// The sum of all offers, `strays` included.
    pub(super) offers: f64,
}

/// The parents and children of a slice of a window.
pub(super) struct FactorGraph<'a> {
    pub(super) window: &'a Window,
    pub(super) parents: Vec<ParentNode>,
    pub(super) pairs: Vec<Pair>,
    pub(super) children: Vec<ChildNode>,
    /// Indices in `children`, by start of the child.
    by_start: Vec<u32>,
    /// Arrivals by class of child.
    arrivals: HashMap<u32, Arrivals, FixedState>,
    /// Rate of children by host, per nanosecond: the measure of chance.
    pub(super) rates: HashMap<u32, f64, FixedState>,
    /// Dense numbers of the classes of parents and of children.
    pub(super) numbers: [HashMap<u32, u32, FixedState>; 2],
}

/// How many calls of a class came in what time.
#[derive(Default)]
struct Arrivals {
    children: f64,
    /// Nanoseconds, summed over the hosts.
    time: f64,
}

/// Least probability of having no captured parent from which a call's followers are considered.
const LONELY: f64 = 0.1;

/// Calls after one without a captured parent that are considered its followers.
pub(super) const FOLLOWERS: usize = 64;

/// A model of how parents make calls.
pub(super) trait ParentModel {
    /// Sets the offer of every pair from the prices.
    fn offer(&mut self, graph: &mut FactorGraph<'_>);

    /// Density of one call following another of the same parent, whichever that is. Both come with the number of their class.
    fn follow(&mut self, _before: (Span, u32), _after: (Span, u32)) -> f64 {
        0.0
    }
}

impl<'a> FactorGraph<'a> {
    /// Builds the graph of a slice; `edges` (with their indices in the window) are sorted by parent, then by child.
    pub(super) fn new(window: &'a Window, edges: &[(u32, Edge)]) -> Self {
        let mut graph = Self {
            window,
            parents: Vec::new(),
            pairs: Vec::with_capacity(edges.len()),
            children: Vec::new(),
            by_start: Vec::new(),
            arrivals: HashMap::default(),
            rates: HashMap::default(),
            numbers: Default::default(),
        };
        let mut local: HashMap<u32, u32, FixedState> = HashMap::default();
        for chunk in edges.chunk_by(|a, b| a.1.parent == b.1.parent) {
            let first = graph.pairs.len();
            for &(index, edge) in chunk.iter().take(MAX_PAIRS) {
                let child = *local.entry(edge.child).or_insert_with(|| {
                    graph.children.push(ChildNode {
                        child: edge.child,
                        class: 0,
                        rate: 0.0,
                        strays: 0.0,
                        offers: 0.0,
                    });
                    graph.children.len() as u32 - 1
                });
                graph.pairs.push(Pair {
                    edge: index,
                    child,
                    evidence: f64::from(edge.weight).exp(),
                    price: 0.0,
                    log_price: 0.0,
                    offer: 0.0,
                    share: 0.0,
                });
            }
            let pairs = first..graph.pairs.len();
            graph.parents.push(ParentNode { parent: chunk[0].1.parent, class: 0, pairs });
        }
        graph.by_start = (0..graph.children.len() as u32).collect();
        let children = &graph.children;
        graph.by_start.sort_unstable_by_key(|&index| children[index as usize].child);
        graph.count_arrivals();
        graph
    }

    /// The call that a child of the graph is.
    pub(super) fn span(&self, child: &ChildNode) -> Span {
        self.window.children[child.child as usize]
    }

    /// Counts the children by class and host, and numbers the classes.
    fn count_arrivals(&mut self) {
        let [parent_numbers, child_numbers] = &mut self.numbers;
        for parent in &mut self.parents {
            let next = parent_numbers.len() as u32;
            let class = self.window.parents[parent.parent as usize].class;
            parent.class = *parent_numbers.entry(class).or_insert(next);
        }
        for child in &mut self.children {
            let next = child_numbers.len() as u32;
            let class = self.window.children[child.child as usize].class;
            child.class = *child_numbers.entry(class).or_insert(next);
        }
        let mut hosts: HashMap<u32, (i64, i64, f64), FixedState> = HashMap::default();
        for child in &self.children {
            let span = self.span(child);
            let host = hosts.entry(span.host).or_insert((span.start, span.start, 0.0));
            host.0 = host.0.min(span.start);
            host.1 = host.1.max(span.start);
            host.2 += 1.0;
        }
        let mut seen = HashSet::<(u32, u32), FixedState>::default();
        for child in &self.children {
            let span = self.window.children[child.child as usize];
            let arrivals = self.arrivals.entry(span.class).or_default();
            arrivals.children += 1.0;
            if seen.insert((span.class, span.host)) {
                let (first, last, _) = hosts[&span.host];
                arrivals.time += ((last - first) as f64).max(1e6);
            }
        }
        for (host, (first, last, count)) in hosts {
            self.rates.insert(host, (count - 1.0) / ((last - first) as f64).max(1e6));
        }
    }

    /// Sets the first prices. `strays` is the assumed share of calls without a captured parent, for classes that the model does
    /// not know.
    pub(super) fn price(&mut self, model: &GapModel, strays: f64) {
        for child in &mut self.children {
            let class = self.window.children[child.child as usize].class;
            let arrivals = &self.arrivals[&class];
            let rate = (arrivals.children + 1.0) / arrivals.time;
            child.rate = model.strays(class).unwrap_or(rate * strays).max(rate * LEAST_STRAYS);
            child.strays = child.rate;
            child.offers = child.strays + rate;
        }
        for pair in &mut self.pairs {
            pair.set_price(1.0 / self.children[pair.child as usize].offers);
        }
    }

    /// Passes messages to and fro, until hardly any changes; afterwards, `offer` and `price` of every pair have converged as far as
    /// `sweeps` allow.
    pub(super) fn pass(&mut self, model: &mut dyn ParentModel, sweeps: usize) {
        // How densely calls follow each other does not depend on the messages.
        let mut followed = vec![f64::NAN; self.children.len() * FOLLOWERS];
        for _ in 0..sweeps {
            model.offer(self);
            self.follow(model, &mut followed);
            for child in &mut self.children {
                child.offers = child.strays;
            }
            for pair in &self.pairs {
                self.children[pair.child as usize].offers += pair.offer;
            }
            let mut most = 0.0_f64;
            for pair in &mut self.pairs {
                let child = &self.children[pair.child as usize];
                let others = (child.offers - pair.offer).max(child.strays);
                let log_price = DAMPING * pair.log_price - (1.0 - DAMPING) * others.ln();
                most = most.max((log_price - pair.log_price).abs());
                (pair.price, pair.log_price) = (log_price.exp(), log_price);
            }
            if most < SETTLING {
                break;
            }
        }
    }

    /// Lets uncaptured parents offer for the calls that follow one of theirs: whoever makes one call makes others too. `followed` are
    /// the densities found so far, by the position of the first call and by how many come before the second.
    fn follow(&mut self, model: &mut dyn ParentModel, followed: &mut [f64]) {
        let alone = |child: &ChildNode| if child.offers > 0.0 { child.strays / child.offers } else { 0.0 };
        let lonely: Vec<(usize, f64)> = self
            .by_start
            .iter()
            .enumerate()
            .map(|(position, &index)| (position, alone(&self.children[index as usize])))
            .filter(|(_, alone)| *alone > LONELY)
            .collect();
        self.children.iter_mut().for_each(|child| child.strays = child.rate);
        for (position, alone) in lonely {
            let node = &self.children[self.by_start[position] as usize];
            let (before, class) = (self.span(node), node.class);
            let followed = &mut followed[position * FOLLOWERS..][..FOLLOWERS];
            for (&index, density) in self.by_start[position + 1..].iter().zip(followed) {
                let child = &mut self.children[index as usize];
                if density.is_nan() {
                    let after = self.window.children[child.child as usize];
                    let is_here = after.host == before.host;
                    *density =
                        if is_here { model.follow((before, class), (after, child.class)) } else { 0.0 };
                }
                child.strays += alone * *density;
            }
        }
    }

    /// Records each parent's share of a child without competition: how ambiguous the times are by themselves.
    pub(super) fn neutral(&mut self, model: &mut dyn ParentModel) {
        let prices: Vec<f64> = self.pairs.iter().map(|pair| pair.price).collect();
        for pair in &mut self.pairs {
            let child = &self.children[pair.child as usize];
            let arrivals = &self.arrivals[&self.window.children[child.child as usize].class];
            pair.set_price(arrivals.time / (arrivals.children + 1.0));
        }
        self.pass(model, 1);
        for (pair, price) in self.pairs.iter_mut().zip(prices) {
            pair.share = pair.offer / self.children[pair.child as usize].offers;
            pair.set_price(price);
        }
    }

    /// Estimates the rate of calls without a captured parent, for the model and for the next messages.
    pub(super) fn expect_strays(&mut self, model: &mut GapModel) {
        let mut strays: HashMap<u32, f64, FixedState> = HashMap::default();
        for child in &self.children {
            // Only calls that more likely than not have no captured parent count: where times say little, every call has some
            // probability of that, and counting these would confirm them. Followers are explained by the call they follow.
            let alone = child.rate / child.offers;
            let alone = if child.strays > child.offers / 2.0 { alone } else { 0.0 };
            *strays.entry(self.span(child).class).or_default() += alone;
        }
        for (class, arrivals) in &self.arrivals {
            let alone = strays.get(class).copied().unwrap_or(0.0);
            model.set_strays(*class, (alone + 0.2) / arrivals.time);
        }
        for child in &mut self.children {
            let class = self.window.children[child.child as usize].class;
            let arrivals = &self.arrivals[&class];
            let least = (arrivals.children + 1.0) / arrivals.time * LEAST_STRAYS;
            child.rate = model.strays(class).unwrap_or(least).max(least);
            child.strays = child.rate;
        }
    }

    /// The graph as a window of its own, with the beliefs about its children.
    pub(super) fn cut_out(&self) -> (Window, Vec<Belief>) {
        let mut children: Vec<u32> = self.children.iter().map(|child| child.child).collect();
        children.sort_unstable();
        let position: HashMap<u32, u32, FixedState> =
            children.iter().enumerate().map(|(index, child)| (*child, index as u32)).collect();
        let mut window = Window {
            children: children.iter().map(|child| self.window.children[*child as usize]).collect(),
            ..Window::default()
        };
        let mut edges: HashMap<u32, u32, FixedState> = HashMap::default();
        for parent in &self.parents {
            window.parents.push(self.window.parents[parent.parent as usize]);
            for pair in &self.pairs[parent.pairs.clone()] {
                edges.insert(pair.edge, window.edges.len() as u32);
                window.edges.push(Edge {
                    parent: window.parents.len() as u32 - 1,
                    child: position[&self.children[pair.child as usize].child],
                    weight: self.window.edges[pair.edge as usize].weight,
                });
            }
        }
        let mut beliefs = vec![Belief::default(); children.len()];
        self.believe(|child, belief, _| {
            let edge = belief.edge.and_then(|edge| edges.get(&edge).copied());
            beliefs[position[&child] as usize] = Belief { edge, ..belief };
        });
        (window, beliefs)
    }

    /// Calls `each` with every child (its index in the window), the belief about it, and how sure its link is told to be if its service
    /// makes one call after the other.
    pub(super) fn believe(&self, mut each: impl FnMut(u32, Belief, f64)) {
        let mut best: Vec<Belief> = self
            .children
            .iter()
            .map(|child| Belief { edge: None, probability: child.strays / child.offers })
            .collect();
        let mut shares = vec![1.0; best.len()];
        let mut causes = vec![0; best.len()];
        let alone: Vec<bool> = best.iter().map(|belief| belief.probability > 0.5).collect();
        for pair in &self.pairs {
            causes[pair.child as usize] += 1;
            let belief = &mut best[pair.child as usize];
            let probability = pair.offer / self.children[pair.child as usize].offers;
            let settled = self.window.edges[pair.edge as usize].weight >= SETTLED;
            if settled {
                *belief = Belief { edge: Some(pair.edge), probability: 1.0 };
            } else if !alone[pair.child as usize]
                && (belief.edge.is_none() || probability > belief.probability)
            {
                *belief = Belief { edge: Some(pair.edge), probability };
                shares[pair.child as usize] = pair.share;
            }
        }
        for (((child, belief), share), causes) in self.children.iter().zip(best).zip(shares).zip(causes) {
            let probability = calibrated(belief.probability, share);
            let told = if causes < MANY { probability } else { of_many(belief.probability, share) };
            each(child.child, Belief { probability, ..belief }, told);
        }
    }
}

/// Calibrates a probability of the message passing. Messages that travel in loops make it overconfident where many walks overlap;
/// `share`, the parent's share of all offers without competition, measures how much the competition had to decide. The constants
/// are fitted to simulated traffic of several plans with 5 to 100 calls in work; one set fits all.
fn calibrated(probability: f64, share: f64) -> f64 {
    let odds = |p: f64| (p / (1.0 - p)).ln();
    let p = probability.clamp(1e-6, 0.999);
    let share = share.clamp(0.01, 0.9999);
    let slope = if share > 0.5 { 0.9 } else { 0.2 };
    let logit = 0.16 * odds(p) - 0.2 + slope * odds(share);
    let most = if probability < 0.6 { 0.85 * probability } else { probability };
    (1.0 / (1.0 + (-logit).exp())).min(most)
}

/// From how many possible causes on a link is told to be as sure as [`of_many`] says.
const MANY: u32 = 40;

/// How sure a link is told to be whose call has many possible causes. What [`calibrated`] says weighs the models against each other, and is
/// too little there: the gaps were learnt from other calls' pairs too. The constants are fitted to simulated traffic of eleven plans
/// with 20 to 200 calls in work.
fn of_many(probability: f64, share: f64) -> f64 {
    let sloped = |p: f64, [below, above]: [f64; 2]| {
        let odds = (p / (1.0 - p)).ln();
        odds * if odds < 0.0 { below } else { above }
    };
    let p = sloped(probability.clamp(1e-6, 0.999), [0.9, 0.2]);
    let share = sloped(share.clamp(0.01, 0.9999), [0.2, 0.75]);
    1.0 / (1.0 + (-(p + share - 0.1)).exp())
}
