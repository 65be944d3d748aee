//! The background rate of calls without a captured parent, measured while the host was idle.
//!
//! Calls of uncaptured parents arrive at any time, including times when no parent is in work that usually makes such calls. Few of
//! them at idle times means few of them overall. If more calls than that were left without a parent, most of them only have unusual
//! gaps, and are linked after all. A host that is never idle allows no such estimate.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::baselines::PairGaps;
use super::{Belief, Edge, Span, Window};

/// Least share of the links of a class for a class of parents to count as usual.
const USUAL: f64 = 0.1;

/// Least share of idle time for an estimate.
const IDLE: f64 = 0.02;

/// Added to the calls seen at idle times, because fewer may have come than come on average.
const UNSEEN: f64 = 0.2;

/// Share of calls with unusual gaps: the tails of the learnt distributions.
const UNUSUAL: f64 = 0.01;

/// Highest probability of a link that is made only because the call must have a captured parent.
const MOST: f64 = 0.9;

/// Links calls that were left without a parent, where the background rate explains fewer of them.
pub(super) fn link(window: &Window, beliefs: &mut [Belief]) {
    let (firsts, edges) = window.by_child();
    let of = |child: usize| &edges[firsts[child] as usize..firsts[child + 1] as usize];
    let mut alone: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (child, belief) in beliefs.iter().enumerate() {
        if belief.edge.is_none() && !of(child).is_empty() {
            let span = window.children[child];
            alone.entry((span.class, span.host)).or_default().push(child);
        }
    }
    if alone.is_empty() {
        return;
    }
    let usual = usual(window, beliefs);
    let mut gaps = PairGaps::default();
    for belief in beliefs.iter() {
        if let Some(edge) = belief.edge {
            gaps.add(window, window.edges[edge as usize], belief.probability as f32);
        }
    }
    let mut starts: HashMap<(u32, u32), Vec<i64>, FixedState> = HashMap::default();
    for child in &window.children {
        if alone.contains_key(&(child.class, child.host)) {
            starts.entry((child.class, child.host)).or_default().push(child.start);
        }
    }
    let mut at: HashMap<u32, Vec<&Span>, FixedState> = HashMap::default();
    window.parents.iter().for_each(|parent| at.entry(parent.host).or_default().push(parent));
    for ((class, host), alone) in alone {
        let Some(parents) = usual.get(&class) else { continue };
        let makes = |edge: &Edge| parents.contains_key(&window.parents[edge.parent as usize].class);
        let possible = |child: usize| of(child).iter().map(|&edge| (edge, window.edges[edge as usize]));
        let alone: Vec<usize> =
            alone.into_iter().filter(|&child| possible(child).any(|(_, edge)| makes(&edge))).collect();
        let starts = starts.get(&(class, host)).map_or(&[][..], Vec::as_slice);
        let open = at.get(&host).into_iter().flatten().filter(|parent| parents.contains_key(&parent.class));
        let Some(strays) = strays(starts, open) else { continue };
        // Calls without a parent are background calls and calls with unusual gaps.
        let share = strays / (alone.len() as f64).max(strays + UNUSUAL * starts.len() as f64);
        if share >= 0.5 {
            continue;
        }
        for child in alone {
            let scored: Vec<(u32, f64)> = possible(child)
                .filter(|(_, edge)| makes(edge))
                .map(|(index, edge)| (index, gaps.score(window, edge)))
                .collect();
            let all: f64 = scored.iter().map(|(_, score)| score).sum();
            if let Some((edge, score)) = scored.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
                let probability = ((1.0 - share) * score / all.max(f64::MIN_POSITIVE)).min(MOST);
                beliefs[child] = Belief { edge: Some(edge), probability };
            }
        }
    }
}

/// By class of calls: the classes of parents that usually make such calls, and their shares.
fn usual(window: &Window, beliefs: &[Belief]) -> BTreeMap<u32, BTreeMap<u32, f64>> {
    let mut usual: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
    for belief in beliefs {
        let Some(edge) = belief.edge.map(|edge| window.edges[edge as usize]) else { continue };
        let class = window.children[edge.child as usize].class;
        let parent = window.parents[edge.parent as usize].class;
        *usual.entry(class).or_default().entry(parent).or_default() += belief.probability;
    }
    for parents in usual.values_mut() {
        let all: f64 = parents.values().sum();
        for share in parents.values_mut() {
            *share /= all;
        }
        parents.retain(|_, share| *share >= USUAL);
    }
    usual
}

/// The expected number of background calls while one of these parents was in work. Both inputs are sorted by start; `None` if
/// there was too little idle time.
fn strays<'p>(starts: &[i64], parents: impl Iterator<Item = &'p &'p Span>) -> Option<f64> {
    let (begin, end) = (*starts.first()?, *starts.last()?);
    let mut busy: Vec<(i64, i64)> = Vec::new();
    for parent in parents {
        match busy.last_mut() {
            Some((_, last)) if parent.start <= *last => *last = (*last).max(parent.end),
            _ => busy.push((parent.start, parent.end)),
        }
    }
    let within: i64 = busy.iter().map(|(from, until)| ((*until).min(end) - (*from).max(begin)).max(0)).sum();
    let idle = (end - begin - within) as f64;
    if idle <= IDLE * (end - begin) as f64 {
        return None;
    }
    let is_idle = |time: &&i64| {
        let after = busy.partition_point(|(from, _)| from <= *time);
        after == 0 || busy[after - 1].1 < **time
    };
    let seen = starts.iter().filter(is_idle).count();
    Some((seen as f64 + UNSEEN) * within as f64 / idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of class 1 every 10 ms that takes 4 ms and makes one of class 2 after 1 ms. Every tenth makes it after `late`, and
    /// is not linked to it. `strays` more calls of class 2 come at idle times.
    fn window(late: i64, strays: usize) -> (Window, Vec<Belief>) {
        const MS: i64 = 1_000_000;
        let mut window = Window::default();
        let mut beliefs = Vec::new();
        for n in 0..200_u32 {
            let at = i64::from(n) * 10 * MS;
            let is_late = n % 10 == 9;
            window.parents.push(Span { start: at, end: at + 4 * MS, class: 1, host: 7 });
            let start = at + if is_late { late } else { MS };
            window.children.push(Span { start, end: start + MS, class: 2, host: 7 });
            let child = beliefs.len() as u32;
            window.edges.push(Edge { parent: n, child, weight: 0.0 });
            let edge = (!is_late).then_some(n);
            beliefs.push(Belief { edge, probability: 0.9 });
            if (n as usize) < strays {
                let start = at + 7 * MS;
                window.children.push(Span { start, end: start + MS, class: 2, host: 7 });
                beliefs.push(Belief { edge: None, probability: 1.0 });
            }
        }
        (window, beliefs)
    }

    #[test]
    fn without_calls_at_idle_times_every_call_is_linked() {
        let (window, mut beliefs) = window(2_500_000, 0);
        link(&window, &mut beliefs);
        for (child, belief) in beliefs.iter().enumerate() {
            assert_eq!(belief.edge, Some(child as u32));
            assert!(belief.probability <= MOST);
        }
    }

    #[test]
    fn calls_at_idle_times_leave_others_unlinked() {
        let (window, mut beliefs) = window(2_500_000, 40);
        let before = beliefs.clone();
        link(&window, &mut beliefs);
        assert_eq!(beliefs, before);
    }

    #[test]
    fn a_host_that_is_never_idle_changes_nothing() {
        let (mut window, mut beliefs) = window(2_500_000, 0);
        let end = window.parents.last().unwrap().end;
        window.parents.insert(0, Span { start: -1, end, class: 1, host: 7 });
        window.edges.iter_mut().for_each(|edge| edge.parent += 1);
        let before = beliefs.clone();
        link(&window, &mut beliefs);
        assert_eq!(beliefs, before);
    }
}
