//! Parents whose calls have nothing to do with each other: each begins some time after the request and ends some time before
//! the answer, whatever the others do. Fits calls that are made side by side in any order, which walks do not.
//!
//! A parent has a number of calls of each class with a probability that is learnt; that makes its possible children
//! compete with each other. Summing over all subsets of them is a polynomial product, so nothing is enumerated.

use std::collections::BTreeMap;

use super::gaps::{BINS, Masses, Model, bin, density};
use super::part::{Node, Offers, Part};

/// Most calls of one class by one parent that are told apart.
pub(super) const MAX_CALLS: usize = 8;

/// Rounds of learning where nothing is known yet, each with so many sweeps of messages.
const LEARNING: (usize, usize) = (10, 2);

/// The same where the model only has to follow.
const FOLLOWING: (usize, usize) = (1, 3);

/// What remains of earlier learning when a part has taught something new.
const FADE: f32 = 0.5;

/// Probability of a number of calls below which it is left out.
const RARE: f64 = 1e-3;

/// Most pairs of classes that are remembered; beyond that, all is learnt anew.
const MAX_PAIRS: usize = 10_000;

/// What is known of the calls of one class by parents of another.
#[derive(Clone, Debug)]
struct Pair {
    /// Gaps from the request to the call.
    before: Masses,
    /// Gaps from the end of the call to the answer.
    after: Masses,
    /// Parents by their number of such calls.
    calls: [f32; MAX_CALLS + 1],
}

/// What has been learnt, by class of parent and of child.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stars {
    pairs: BTreeMap<(u32, u32), Box<Pair>>,
    /// Calls that nobody explains.
    pub(super) strays: Model,
}

/// A pair of classes, made ready.
struct Ready {
    before: Masses,
    /// How much likelier a gap to the answer is of a true pair than of any.
    after: [f64; BINS],
    /// Probability of each number of calls, times the number of their orders. The last one is not negligible.
    calls: Vec<f64>,
}

/// The possible children of all parents of a part, by class.
#[derive(Default)]
pub(super) struct Star {
    /// For each node of the part its place in `ready` and its bins.
    gaps: Vec<(u32, u8, u8)>,
    /// Pairs of classes by the numbers used in `gaps`.
    pairs: Vec<(u32, u32)>,
    ready: Vec<Ready>,
    /// Density of each node's times.
    densities: Vec<f64>,
    /// Nodes in the order of their parents, then of their classes, with where each group ends.
    order: Vec<u32>,
    groups: Vec<(u32, usize)>,
    /// Polynomials of the nodes before and after each one of a group.
    before: Vec<f64>,
    behind: Vec<f64>,
}

impl Star {
    /// Learns the gaps and numbers of this part and adds them to what is known.
    pub(super) fn learn(&mut self, part: &mut Part<'_>, stars: &mut Stars) {
        let chance = self.lay(part);
        let known = self.pairs.iter().all(|pair| stars.pairs.contains_key(pair));
        let mut current = stars.pairs.clone();
        self.suppose(part, &mut current);
        let (rounds, sweeps) = if known { FOLLOWING } else { LEARNING };
        for _ in 0..rounds {
            self.make_ready(&current, &chance);
            part.pass(self, sweeps);
            current = self.expect(part);
            part.expect_strays(&mut stars.strays);
        }
        self.make_ready(&current, &chance);
        if stars.pairs.len() > MAX_PAIRS {
            stars.pairs.clear();
        }
        for (pair, new) in current {
            let Some(old) = stars.pairs.get_mut(&pair) else {
                stars.pairs.insert(pair, new);
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

    /// Groups the nodes, and counts the gaps to the answer of all possible pairs by pair of classes: those of chance.
    fn lay(&mut self, part: &Part<'_>) -> Vec<Masses> {
        let mut numbers: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut chance: Vec<Masses> = Vec::new();
        for walk in &part.walks {
            let parent = part.window.parents[walk.parent as usize];
            let first = self.order.len();
            for index in walk.nodes.clone() {
                let rivals = &part.rivals[part.nodes[index].child as usize];
                let child = part.window.children[rivals.child as usize];
                let pair = (parent.class, child.class);
                let number = *numbers.entry(pair).or_insert_with(|| {
                    self.pairs.push(pair);
                    chance.push([0.0; BINS]);
                    self.pairs.len() as u32 - 1
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

    /// Where nothing is known of a pair: any gap, and as many calls as there are on average.
    fn suppose(&self, part: &Part<'_>, current: &mut BTreeMap<(u32, u32), Box<Pair>>) {
        let mut children: BTreeMap<u32, f64> = BTreeMap::new();
        for rivals in &part.rivals {
            *children.entry(part.window.children[rivals.child as usize].class).or_default() += 1.0;
        }
        let mut parents: BTreeMap<u32, f64> = BTreeMap::new();
        for walk in &part.walks {
            *parents.entry(part.window.parents[walk.parent as usize].class).or_default() += 1.0;
        }
        let mut gaps: BTreeMap<(u32, u32), [Masses; 2]> = BTreeMap::new();
        let mut rivals = vec![0_u32; part.rivals.len()];
        part.nodes.iter().for_each(|node| rivals[node.child as usize] += 1);
        for (node, &(pair, before, after)) in part.nodes.iter().zip(&self.gaps) {
            let gaps = gaps.entry(self.pairs[pair as usize]).or_insert([[0.0; BINS]; 2]);
            let share = 1.0 / rivals[node.child as usize] as f32;
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
            current.entry(pair).or_insert_with(|| Box::new(Pair { before, after, calls }));
        }
    }

    /// Makes densities of what has been learnt.
    fn make_ready(&mut self, current: &BTreeMap<(u32, u32), Box<Pair>>, chance: &[Masses]) {
        self.ready.clear();
        for (pair, chance) in self.pairs.iter().zip(chance) {
            let Pair { before, after, calls } = &*current[pair];
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
            self.ready.push(Ready { before: density(before), after: ratio, calls });
        }
        self.densities.clear();
        self.densities.extend(self.gaps.iter().map(|&(pair, before, after)| {
            let ready = &self.ready[pair as usize];
            f64::from(ready.before[before as usize]) * ready.after[after as usize]
        }));
    }

    /// What the current beliefs teach.
    fn expect(&mut self, part: &Part<'_>) -> BTreeMap<(u32, u32), Box<Pair>> {
        let none = || Pair { before: [0.0; BINS], after: [0.0; BINS], calls: [0.0; MAX_CALLS + 1] };
        let mut learnt: Vec<Pair> = self.pairs.iter().map(|_| none()).collect();
        let mut parents: BTreeMap<u32, f32> = BTreeMap::new();
        for walk in &part.walks {
            *parents.entry(part.window.parents[walk.parent as usize].class).or_default() += 1.0;
        }
        let mut at = 0;
        for &(pair, end) in &self.groups {
            let (calls, learnt) = (&self.ready[pair as usize].calls, &mut learnt[pair as usize]);
            let group = &self.order[at..end];
            at = end;
            let weight = |&index: &u32| part.nodes[index as usize].weight() * self.densities[index as usize];
            let numbers = polynomial(group.iter().map(weight), calls.len());
            let all: f64 = calls.iter().zip(&numbers).map(|(share, number)| share * number).sum();
            for (sum, (share, number)) in learnt.calls.iter_mut().zip(calls.iter().zip(&numbers)) {
                *sum += (share * number / all) as f32;
            }
            for &index in group {
                let node: &Node = &part.nodes[index as usize];
                let share = node.offer * node.price;
                let share = (share / (1.0 + share)) as f32;
                let (_, before, after) = self.gaps[index as usize];
                learnt.before[before as usize] += share;
                learnt.after[after as usize] += share;
            }
        }
        self.pairs
            .iter()
            .zip(learnt)
            .map(|(pair, mut learnt)| {
                // Parents without any possible call of the class have none.
                let seen: f32 = learnt.calls.iter().sum();
                learnt.calls[0] += (parents[&pair.0] - seen).max(0.0);
                (*pair, Box::new(learnt))
            })
            .collect()
    }
}

/// The sums of the products of all subsets of so many weights: of none, of one, of two.
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

impl Offers for Star {
    fn offer(&mut self, part: &mut Part<'_>) {
        let mut at = 0;
        for &(pair, end) in &self.groups {
            let calls = &self.ready[pair as usize].calls;
            let terms = calls.len();
            let group = &self.order[at..end];
            at = end;
            let weight = |index: u32| part.nodes[index as usize].weight() * self.densities[index as usize];
            // The polynomials of all nodes before each one, and of all behind it.
            self.before.clear();
            self.before.resize(terms * group.len(), 0.0);
            self.behind.clear();
            self.behind.resize(terms * group.len(), 0.0);
            let mut sums = [0.0; MAX_CALLS + 1];
            sums[0] = 1.0;
            for (place, &index) in group.iter().enumerate() {
                self.before[place * terms..][..terms].copy_from_slice(&sums[..terms]);
                multiply(&mut sums[..terms], weight(index));
            }
            sums = [0.0; MAX_CALLS + 1];
            sums[0] = 1.0;
            for (place, &index) in group.iter().enumerate().rev() {
                self.behind[place * terms..][..terms].copy_from_slice(&sums[..terms]);
                multiply(&mut sums[..terms], weight(index));
            }
            for (place, &index) in group.iter().enumerate() {
                let (before, behind) =
                    (&self.before[place * terms..][..terms], &self.behind[place * terms..][..terms]);
                let (mut with, mut without) = (0.0, 0.0);
                for number in 0..terms {
                    let others: f64 = (0..=number).map(|some| before[some] * behind[number - some]).sum();
                    without += calls[number] * others;
                    if let Some(share) = calls.get(number + 1) {
                        with += share * others;
                    }
                }
                let node = &mut part.nodes[index as usize];
                let worth = node.weight() / node.price * self.densities[index as usize];
                node.offer = worth * with / without.max(f64::MIN_POSITIVE);
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
