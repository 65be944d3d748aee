//! A model of parents whose calls are independent: each begins some time after the request and ends some time before the answer,
//! whatever the others do. It fits calls that are made in parallel in any order, which walks do not.
//!
//! The distribution of the number of calls of each class is learnt; it makes the possible children of a parent compete. The sum
//! over all subsets of them is a polynomial product, so nothing is enumerated.

use std::collections::BTreeMap;

use super::factor_graph::{FactorGraph, Pair, ParentModel};
use super::gaps::{BINS, GapModel, Masses, bin, density};

/// Highest number of calls of one class by one parent that is distinguished.
pub(super) const MAX_CALLS: usize = 8;

/// Rounds of learning for new classes, and the sweeps of messages in each.
const LEARNING: (usize, usize) = (10, 2);

/// The same for known classes.
const FOLLOWING: (usize, usize) = (1, 3);

/// Decay of earlier counts after each slice.
const FADE: f32 = 0.5;

/// Numbers of calls with a lower probability are ignored.
const RARE: f64 = 1e-3;

/// Most pairs of classes that are remembered; beyond that, everything is learnt anew.
const MAX_PAIRS: usize = 10_000;

/// What is known about the calls of one class by parents of another.
#[derive(Clone, Debug)]
struct PairCounts {
    /// Gaps from the request to the call.
    before: Masses,
    /// Gaps from the end of the call to the answer.
    after: Masses,
    /// Number of parents, by their number of such calls.
    calls: [f32; MAX_CALLS + 1],
}

/// What has been learnt, by class of parent and of child.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParallelCounts {
    pairs: BTreeMap<(u32, u32), Box<PairCounts>>,
    /// Rates of calls without a captured parent.
    pub(super) strays: GapModel,
}

/// The counts of a pair of classes, prepared for look-ups.
struct PairDensity {
    before: Masses,
    /// Likelihood ratio of a gap to the answer, true pair against any possible pair.
    after: [f64; BINS],
    /// Probability of each number of calls, times the number of their orders; the last one is not negligible.
    calls: Vec<f64>,
}

/// The model applied to a slice: the possible children of all its parents, by class.
#[derive(Default)]
pub(super) struct ParallelModel {
    /// For each pair of the graph, its pair of classes and its bins.
    gaps: Vec<(u32, u8, u8)>,
    /// The pairs of classes, as numbered in `gaps`.
    class_pairs: Vec<(u32, u32)>,
    /// Their densities.
    class_densities: Vec<PairDensity>,
    /// Density of the times of each pair.
    densities: Vec<f64>,
    /// Pairs in the order of their parents, then of their classes.
    order: Vec<u32>,
    /// Pairs of one parent and one class: the pair of classes, and where the group ends in `order`.
    groups: Vec<(u32, usize)>,
    /// Polynomials of the pairs before and after each one of a group.
    before: Vec<f64>,
    after: Vec<f64>,
}

impl ParallelModel {
    /// Learns the gaps and numbers of calls of this slice and adds them to what is known.
    pub(super) fn learn(&mut self, graph: &mut FactorGraph<'_>, counts: &mut ParallelCounts) {
        let chance = self.group(graph);
        let known = self.class_pairs.iter().all(|pair| counts.pairs.contains_key(pair));
        let mut current = counts.pairs.clone();
        self.initialise(graph, &mut current);
        let (rounds, sweeps) = if known { FOLLOWING } else { LEARNING };
        for _ in 0..rounds {
            self.prepare(&current, &chance);
            graph.pass(self, sweeps);
            current = self.expect(graph);
            graph.expect_strays(&mut counts.strays);
        }
        self.prepare(&current, &chance);
        if counts.pairs.len() > MAX_PAIRS {
            counts.pairs.clear();
        }
        for (pair, new) in current {
            let Some(old) = counts.pairs.get_mut(&pair) else {
                counts.pairs.insert(pair, new);
                continue;
            };
            let fade = |old: &mut [f32], new: &[f32]| {
                old.iter_mut().zip(new).for_each(|(old, new)| *old = *old * FADE + new);
            };
            fade(&mut old.before, &new.before);
            fade(&mut old.after, &new.after);
            fade(&mut old.calls, &new.calls);
        }
    }

    /// Groups the pairs, and counts the gaps to the answer of all possible pairs, by pair of classes: the chance distribution.
    fn group(&mut self, graph: &FactorGraph<'_>) -> Vec<Masses> {
        let mut numbers: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut chance: Vec<Masses> = Vec::new();
        for node in &graph.parents {
            let parent = graph.window.parents[node.parent as usize];
            let first = self.order.len();
            for index in node.pairs.clone() {
                let child = graph.span(&graph.children[graph.pairs[index].child as usize]);
                let pair = (parent.class, child.class);
                let number = *numbers.entry(pair).or_insert_with(|| {
                    self.class_pairs.push(pair);
                    chance.push([0.0; BINS]);
                    self.class_pairs.len() as u32 - 1
                });
                let before = bin((child.start - parent.start).abs());
                let after = bin(parent.end - child.end.min(parent.end));
                chance[number as usize][after] += 1.0;
                self.gaps.push((number, before as u8, after as u8));
                self.order.push(index as u32);
            }
            let gaps = &self.gaps;
            self.order[first..].sort_by_key(|&index| gaps[index as usize].0);
            let mut at = first;
            for group in self.order[first..].chunk_by(|&a, &b| gaps[a as usize].0 == gaps[b as usize].0) {
                at += group.len();
                self.groups.push((gaps[group[0] as usize].0, at));
            }
        }
        chance
    }

    /// Initial counts for new pairs of classes: all possible gaps, and a Poisson number of calls.
    fn initialise(&self, graph: &FactorGraph<'_>, current: &mut BTreeMap<(u32, u32), Box<PairCounts>>) {
        let mut children: BTreeMap<u32, f64> = BTreeMap::new();
        for child in &graph.children {
            *children.entry(graph.span(child).class).or_default() += 1.0;
        }
        let mut parents: BTreeMap<u32, f64> = BTreeMap::new();
        for node in &graph.parents {
            *parents.entry(graph.window.parents[node.parent as usize].class).or_default() += 1.0;
        }
        let mut gaps: BTreeMap<(u32, u32), [Masses; 2]> = BTreeMap::new();
        let mut possible = vec![0_u32; graph.children.len()];
        graph.pairs.iter().for_each(|pair| possible[pair.child as usize] += 1);
        for (pair, &(class_pair, before, after)) in graph.pairs.iter().zip(&self.gaps) {
            let gaps = gaps.entry(self.class_pairs[class_pair as usize]).or_insert([[0.0; BINS]; 2]);
            let share = 1.0 / possible[pair.child as usize] as f32;
            gaps[0][before as usize] += share;
            gaps[1][after as usize] += share;
        }
        for (pair, [before, after]) in gaps {
            let mean = (children[&pair.1] / parents[&pair.0]).clamp(0.05, MAX_CALLS as f64);
            let mut calls = [0.0; MAX_CALLS + 1];
            let mut share = (-mean).exp();
            for (number, calls) in calls.iter_mut().enumerate() {
                *calls = (share * parents[&pair.0]) as f32;
                share *= mean / (number + 1) as f64;
            }
            current.entry(pair).or_insert_with(|| Box::new(PairCounts { before, after, calls }));
        }
    }

    /// Turns counts into densities.
    fn prepare(&mut self, current: &BTreeMap<(u32, u32), Box<PairCounts>>, chance: &[Masses]) {
        self.class_densities.clear();
        for (pair, chance) in self.class_pairs.iter().zip(chance) {
            let PairCounts { before, after, calls } = &*current[pair];
            let (after, chance) = (density(after), density(chance));
            let mut ratio = [1.0; BINS];
            for (ratio, (after, chance)) in ratio.iter_mut().zip(after.iter().zip(&chance)) {
                *ratio = f64::from(*after) / f64::from(*chance);
            }
            let all: f64 = calls.iter().map(|n| f64::from(*n)).sum::<f64>() + 0.1;
            let mut calls: Vec<f64> = calls.iter().map(|n| (f64::from(*n) + 0.01) / all).collect();
            let last = calls.iter().rposition(|share| *share > RARE).unwrap_or(0).max(1);
            calls.truncate(last + 1);
            let mut orders = 1.0;
            for (number, share) in calls.iter_mut().enumerate().skip(1) {
                orders *= number as f64;
                *share *= orders;
            }
            self.class_densities.push(PairDensity { before: density(before), after: ratio, calls });
        }
        self.densities.clear();
        self.densities.extend(self.gaps.iter().map(|&(pair, before, after)| {
            let class = &self.class_densities[pair as usize];
            f64::from(class.before[before as usize]) * class.after[after as usize]
        }));
    }

    /// The expected counts under the current beliefs.
    fn expect(&mut self, graph: &FactorGraph<'_>) -> BTreeMap<(u32, u32), Box<PairCounts>> {
        let none = || PairCounts { before: [0.0; BINS], after: [0.0; BINS], calls: [0.0; MAX_CALLS + 1] };
        let mut learnt: Vec<PairCounts> = self.class_pairs.iter().map(|_| none()).collect();
        let mut parents: BTreeMap<u32, f32> = BTreeMap::new();
        for node in &graph.parents {
            *parents.entry(graph.window.parents[node.parent as usize].class).or_default() += 1.0;
        }
        let mut at = 0;
        for &(pair, end) in &self.groups {
            let (calls, learnt) = (&self.class_densities[pair as usize].calls, &mut learnt[pair as usize]);
            let group = &self.order[at..end];
            at = end;
            let weight = |&index: &u32| graph.pairs[index as usize].weight() * self.densities[index as usize];
            let numbers = polynomial(group.iter().map(weight), calls.len());
            let all: f64 = calls.iter().zip(&numbers).map(|(share, number)| share * number).sum();
            for (sum, (share, number)) in learnt.calls.iter_mut().zip(calls.iter().zip(&numbers)) {
                *sum += (share * number / all) as f32;
            }
            for &index in group {
                let pair: &Pair = &graph.pairs[index as usize];
                let share = pair.offer * pair.price;
                let share = (share / (1.0 + share)) as f32;
                let (_, before, after) = self.gaps[index as usize];
                learnt.before[before as usize] += share;
                learnt.after[after as usize] += share;
            }
        }
        self.class_pairs
            .iter()
            .zip(learnt)
            .map(|(pair, mut learnt)| {
                // Parents without any possible call of the class made none.
                let seen: f32 = learnt.calls.iter().sum();
                learnt.calls[0] += (parents[&pair.0] - seen).max(0.0);
                (*pair, Box::new(learnt))
            })
            .collect()
    }
}

/// The sums of the products over all subsets of the weights, by the size of the subset, up to `terms` sizes.
fn polynomial(weights: impl Iterator<Item = f64>, terms: usize) -> Vec<f64> {
    let mut sums = vec![0.0; terms];
    sums[0] = 1.0;
    for weight in weights {
        multiply(&mut sums, weight);
    }
    sums
}

fn multiply(sums: &mut [f64], weight: f64) {
    for number in (1..sums.len()).rev() {
        sums[number] += sums[number - 1] * weight;
    }
}

impl ParentModel for ParallelModel {
    fn offer(&mut self, graph: &mut FactorGraph<'_>) {
        let mut at = 0;
        for &(pair, end) in &self.groups {
            let calls = &self.class_densities[pair as usize].calls;
            let terms = calls.len();
            let group = &self.order[at..end];
            at = end;
            let weight = |index: u32| graph.pairs[index as usize].weight() * self.densities[index as usize];
            // The polynomials of all pairs before each one, and of all after it.
            self.before.clear();
            self.before.resize(terms * group.len(), 0.0);
            self.after.clear();
            self.after.resize(terms * group.len(), 0.0);
            let mut sums = [0.0; MAX_CALLS + 1];
            sums[0] = 1.0;
            for (position, &index) in group.iter().enumerate() {
                self.before[position * terms..][..terms].copy_from_slice(&sums[..terms]);
                multiply(&mut sums[..terms], weight(index));
            }
            sums = [0.0; MAX_CALLS + 1];
            sums[0] = 1.0;
            for (position, &index) in group.iter().enumerate().rev() {
                self.after[position * terms..][..terms].copy_from_slice(&sums[..terms]);
                multiply(&mut sums[..terms], weight(index));
            }
            for (position, &index) in group.iter().enumerate() {
                let (before, after) =
                    (&self.before[position * terms..][..terms], &self.after[position * terms..][..terms]);
                // By number, the sum over all ways to divide it.
                let mut others = [0.0; MAX_CALLS + 1];
                for (some, before) in before.iter().enumerate() {
                    others[some..].iter_mut().zip(after).for_each(|(sum, after)| *sum += before * after);
                }
                let (mut with, mut without) = (0.0, 0.0);
                for (number, others) in others[..terms].iter().enumerate() {
                    without += calls[number] * others;
                    if let Some(share) = calls.get(number + 1) {
                        with += share * others;
                    }
                }
                let pair = &mut graph.pairs[index as usize];
                let evidence = pair.weight() / pair.price * self.densities[index as usize];
                pair.offer = evidence * with / without.max(f64::MIN_POSITIVE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_sum_over_subsets() {
        assert_eq!(polynomial([2.0, 3.0, 5.0].into_iter(), 4), [1.0, 10.0, 31.0, 30.0]);
        assert_eq!(polynomial([2.0, 3.0, 5.0].into_iter(), 2), [1.0, 10.0]);
    }
}
