//! The simple ways to assign calls: what the trellis must not lose against, and what stands in where the budget is spent.

use super::gaps::{BINS, bin, width};
use super::{Belief, Edge, Window};

/// The parent that began last.
pub(crate) fn nearest(window: &Window) -> Vec<Belief> {
    let mut beliefs = vec![Belief::default(); window.children.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        // Edges are by parent, and parents by start: the last one wins.
        beliefs[edge.child as usize] = Belief { edge: Some(index as u32), probability: 0.5 };
    }
    beliefs
}

/// First in, first out: the oldest parent that has no call of that class yet.
pub(crate) fn first_in_first_out(window: &Window) -> Vec<Belief> {
    let mut by_child = vec![Vec::new(); window.children.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        by_child[edge.child as usize].push(index as u32);
    }
    let mut taken = hashbrown::HashSet::<(u32, u32), foldhash::fast::FixedState>::default();
    let mut beliefs = Vec::with_capacity(window.children.len());
    for (child, edges) in by_child.iter().enumerate() {
        let class = window.children[child].class;
        let free = edges.iter().find(|&&edge| taken.insert((window.edges[edge as usize].parent, class)));
        let edge = free.or(edges.last()).copied();
        beliefs.push(Belief { edge, probability: 0.5 });
    }
    beliefs
}

/// Rounds of learning of [`gap_scores`].
const ROUNDS: usize = 20;

/// Gaps between the starts and between the ends of the pairs of two classes, counted where a pair is believed.
#[derive(Default)]
pub(super) struct PairGaps(hashbrown::HashMap<(u32, u32), [[f32; BINS]; 2], foldhash::fast::FixedState>);

impl PairGaps {
    /// Counts the gaps of a pair that is believed with that probability.
    pub(super) fn add(&mut self, window: &Window, edge: Edge, share: f32) {
        let (classes, bins) = pair(window, edge);
        let masses = self.0.entry(classes).or_insert([[PRIOR; BINS]; 2]);
        for (masses, bin) in masses.iter_mut().zip(bins) {
            masses[bin] += share;
        }
    }

    /// How well a pair fits to those that were counted, and to the other evidence: comparable among the pairs of a child.
    pub(super) fn score(&self, window: &Window, edge: Edge) -> f64 {
        let (classes, bins) = pair(window, edge);
        let Some(masses) = self.0.get(&classes) else { return 0.0 };
        let density: f64 =
            masses.iter().zip(bins).map(|(masses, bin)| f64::from(masses[bin]) / width(bin)).product();
        density * f64::from(edge.weight).exp()
    }
}

/// The classes of a pair, and the bins of the gaps between the starts and between the ends.
fn pair(window: &Window, edge: Edge) -> ((u32, u32), [usize; 2]) {
    let (parent, child) = (window.parents[edge.parent as usize], window.children[edge.child as usize]);
    let bins = [bin(child.start - parent.start), bin(parent.end - child.end.min(parent.end))];
    ((parent.class, child.class), bins)
}

/// Scores each pair by the gap between the two starts and the gap between the two ends, with distributions learnt by
/// expectation maximization; children do not compete.
pub(crate) fn gap_scores(window: &Window) -> Vec<Belief> {
    let mut by_child = vec![Vec::new(); window.children.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        by_child[edge.child as usize].push(index);
    }
    let mut shares: Vec<f32> = vec![0.0; window.edges.len()];
    for edges in &by_child {
        for &edge in edges {
            shares[edge] = 1.0 / edges.len() as f32;
        }
    }
    for _ in 0..ROUNDS {
        let mut gaps = PairGaps::default();
        for (edge, share) in window.edges.iter().zip(&shares) {
            gaps.add(window, *edge, *share);
        }
        for edges in &by_child {
            let score = |edge: usize| gaps.score(window, window.edges[edge]);
            let sum: f64 = edges.iter().map(|&edge| score(edge)).sum();
            for &edge in edges {
                shares[edge] = (score(edge) / sum.max(f64::MIN_POSITIVE)) as f32;
            }
        }
    }
    by_child
        .iter()
        .map(|edges| {
            let best = edges.iter().copied().max_by(|&a, &b| shares[a].total_cmp(&shares[b]));
            Belief {
                edge: best.map(|edge| edge as u32),
                probability: best.map_or(1.0, |edge| f64::from(shares[edge])),
            }
        })
        .collect()
}

/// Mass in each bin before any data.
const PRIOR: f32 = 0.01;
