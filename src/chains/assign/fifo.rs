//! Services that keep the order: whatever became ready first proceeds first, as with an event loop or a queue before one thread.

use std::collections::BTreeMap;

use super::{Belief, SETTLED, Window};

/// The state of a parent when it makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It has made no call.
    Request,
    /// All its calls are answered; the last one was of this class.
    After(u32),
    /// Some of its calls are unanswered; the last one made was of this class.
    Beside(u32),
}

/// Least share of the calls of a class that a stage precedes, for the stage to count as usual.
const USUAL: f64 = 0.15;

/// How far a parent has come.
#[derive(Clone, Copy)]
struct Progress {
    /// Class and start of the last call made.
    last: Option<(u32, i64)>,
    /// End of the call that ends last.
    latest: i64,
}

impl Progress {
    const NONE: Self = Self { last: None, latest: i64::MIN };

    /// The stage at `time`, and when it began.
    fn stage(&self, begin: i64, time: i64) -> (Stage, i64) {
        match self.last {
            None => (Stage::Request, begin),
            Some((class, _)) if self.latest <= time => (Stage::After(class), self.latest),
            Some((class, start)) => (Stage::Beside(class), start),
        }
    }

    fn add(&mut self, class: u32, start: i64, end: i64) {
        self.last = Some((class, start));
        self.latest = self.latest.max(end);
    }
}

/// Assigns each call to the parent that has been ready longest, among those at a stage from which such calls are usually made.
/// The usual stages come from `known`, which may be wrong in places.
pub(super) fn longest_ready(window: &Window, known: &[Belief]) -> Vec<Belief> {
    let stages = usual_stages(window, known);
    let (firsts, edges) = window.by_child();
    let mut progress = vec![Progress::NONE; window.parents.len()];
    let mut beliefs = Vec::with_capacity(window.children.len());
    for (index, child) in window.children.iter().enumerate() {
        let mut best: Option<(bool, i64, u32)> = None;
        for &edge in &edges[firsts[index] as usize..firsts[index + 1] as usize] {
            let parent = window.edges[edge as usize].parent as usize;
            let span = window.parents[parent];
            let (stage, since) = progress[parent].stage(span.start, child.start);
            let usual = stages.get(&(span.class, child.class)).is_some_and(|stages| stages.contains(&stage));
            let settled = window.edges[edge as usize].weight >= SETTLED;
            let key = (!usual, if settled { i64::MIN } else { since }, edge);
            if settled || best.is_none_or(|best| key < best) {
                best = Some(key);
            }
            if settled {
                break;
            }
        }
        if let Some((.., edge)) = best {
            let parent = window.edges[edge as usize].parent as usize;
            progress[parent].add(child.class, child.start, child.end);
        }
        beliefs.push(Belief { edge: best.map(|(.., edge)| edge), probability: 1.0 });
    }
    beliefs
}

/// By class of parents and of calls: the stages from which such parents make such calls.
fn usual_stages(window: &Window, known: &[Belief]) -> BTreeMap<(u32, u32), Vec<Stage>> {
    let mut progress = vec![Progress::NONE; window.parents.len()];
    let mut counts: BTreeMap<(u32, u32), BTreeMap<Stage, f64>> = BTreeMap::new();
    for (child, belief) in window.children.iter().zip(known) {
        let Some(edge) = belief.edge else { continue };
        let parent = window.edges[edge as usize].parent as usize;
        let span = window.parents[parent];
        let (stage, _) = progress[parent].stage(span.start, child.start);
        *counts.entry((span.class, child.class)).or_default().entry(stage).or_default() += 1.0;
        progress[parent].add(child.class, child.start, child.end);
    }
    let usual = |counts: BTreeMap<Stage, f64>| {
        let all: f64 = counts.values().sum();
        counts.into_iter().filter(|(_, count)| *count >= all * USUAL).map(|(stage, _)| stage).collect()
    };
    counts.into_iter().map(|(pair, counts)| (pair, usual(counts))).collect()
}
