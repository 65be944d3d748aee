//! Simple assignment methods: what the models must not lose against, and the fallback where they fail.

use super::gaps::{BINS, bin, width};
use super::{Belief, Edge, Window};

/// Assigns each call to the parent that began last.
pub(crate) fn nearest(window: &Window) -> Vec<Belief> {
    let mut beliefs = vec![Belief::default(); window.children.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        // Edges are sorted by parent, and parents by start: the last edge wins.
        beliefs[edge.child as usize] = Belief { edge: Some(index as u32), probability: 0.5 };
    }
    beliefs
}

/// First in, first out: assigns each call to the oldest parent that has no call of its class yet.
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

/// Rounds of expectation maximisation in [`gap_scores`].
const ROUNDS: usize = 20;

/// Histograms of the gaps between starts and between ends of believed pairs, by their two classes.
#[derive(Default)]
pub(super) struct PairGaps(hashbrown::HashMap<(u32, u32), [[f32; BINS]; 2], foldhash::fast::FixedState>);

impl PairGaps {
    /// Counts the gaps of a pair with the given probability.
    pub(super) fn add(&mut self, window: &Window, edge: Edge, share: f32) {
        let (classes, bins) = pair(window, edge);
        let masses = self.0.entry(classes).or_insert([[PRIOR; BINS]; 2]);
        for (masses, bin) in masses.iter_mut().zip(bins) {
            masses[bin] += share;
        }
    }

    /// How well a pair fits the histograms and the other evidence; comparable among the pairs of a child.
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
/// expectation maximisation; children do not compete.
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

/// Prior mass in each bin.
const PRIOR: f32 = 0.01;
