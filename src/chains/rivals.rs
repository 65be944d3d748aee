//! The other calls that may have caused one, with their probabilities.

use super::assign::{Edge, Solution, Window};
use super::record::FACT;

/// Least probability of a rival that counts.
const LEAST: f64 = 0.01;

/// Most rivals of an ok call on a host that is linked by models of times, the likeliest. Of a failed call all are kept, because it
/// makes the origin of each of them unsure; failed calls are few.
const MOST: usize = 8;

/// Possible causes of every call of a window, as index of the parent and probability, the chosen one perhaps among them.
///
/// Calls that were sampled have a share for each. The models of times only say how sure the chosen one is: what is left is
/// divided among the others by the weight of their other evidence, and to none of them where it is too much for that.
pub(super) fn find(window: &Window, solution: &Solution) -> Vec<Vec<(u32, f64)>> {
    let mut rivals: Vec<Vec<(u32, f64)>> = vec![Vec::new(); window.children.len()];
    for (edge, share) in window.edges.iter().zip(&solution.shares) {
        if f64::from(*share) >= LEAST {
            rivals[edge.child as usize].push((edge.parent, f64::from(*share)));
        }
    }
    let has_failed = |child: usize| window.facts.get(child).is_some_and(|facts| facts.failed);
    let others = || {
        window.edges.iter().enumerate().filter(|(index, edge)| {
            let child = edge.child as usize;
            let belief = &solution.beliefs[child];
            let is_modelled = !window.joint.get(child).is_some_and(|joint| *joint);
            let is_open = belief.probability < FACT || has_failed(child);
            is_modelled && is_open && belief.edge != Some(*index as u32)
        })
    };
    let mut most = vec![f64::NEG_INFINITY; window.children.len()];
    for (_, edge) in others() {
        let most = &mut most[edge.child as usize];
        *most = most.max(f64::from(edge.weight));
    }
    let weight = |edge: &Edge| (f64::from(edge.weight) - most[edge.child as usize]).exp();
    let mut sums = vec![0.0; window.children.len()];
    for (_, edge) in others() {
        sums[edge.child as usize] += weight(edge);
    }
    for (_, edge) in others() {
        let child = edge.child as usize;
        let chosen = solution.beliefs[child].probability;
        // A lowered confidence does not make another one likelier than the one that was chosen.
        let share = ((1.0 - chosen) * weight(edge) / sums[child]).min(chosen);
        let known = &mut rivals[child];
        if share < LEAST {
            continue;
        }
        if known.len() < MOST || has_failed(child) {
            known.push((edge.parent, share));
        } else if let Some(least) = known.iter_mut().min_by(|a, b| a.1.total_cmp(&b.1))
            && least.1 < share
        {
            *least = (edge.parent, share);
        }
    }
    rivals
}

#[cfg(test)]
mod tests {
    use super::super::assign::{Belief, Facts, Span};
    use super::*;

    #[test]
    fn what_a_model_leaves_open_is_divided_among_the_other_candidates_by_their_evidence() {
        let edge = |parent, weight| Edge { parent, child: 0, weight };
        let window = Window {
            children: vec![Span { start: 0, end: 1, class: 0, host: 0 }],
            edges: vec![edge(0, 0.0), edge(1, 0.0), edge(2, 2.0_f32.ln()), edge(3, -50.0)],
            joint: vec![false],
            ..Window::default()
        };
        let of = |edge, probability| {
            let solution = Solution { beliefs: vec![Belief { edge, probability }], shares: Vec::new() };
            find(&window, &solution).remove(0)
        };
        let rivals = of(Some(0), 0.4);
        assert_eq!(rivals.iter().map(|(parent, _)| *parent).collect::<Vec<_>>(), [1, 2]);
        assert!((rivals[0].1 - 0.2).abs() < 1e-6 && (rivals[1].1 - 0.4).abs() < 1e-6, "{rivals:?}");
        assert!(
            of(Some(0), 0.1).iter().all(|(_, share)| *share <= 0.1),
            "none is likelier than the chosen one"
        );
        assert!(of(Some(0), 1.0).is_empty(), "nothing is left for others");
        assert_eq!(of(None, 0.2).len(), 3, "nor was one of them chosen");
    }

    #[test]
    fn ok_calls_have_the_likeliest_rivals_and_failed_ones_all() {
        let edges = (0..20).map(|parent| Edge { parent, child: 0, weight: parent as f32 / 10.0 });
        let mut window = Window {
            children: vec![Span { start: 0, end: 1, class: 0, host: 0 }],
            edges: edges.collect(),
            joint: vec![false],
            facts: vec![Facts::default()],
            ..Window::default()
        };
        let solution =
            Solution { beliefs: vec![Belief { edge: Some(0), probability: 0.3 }], shares: Vec::new() };
        let mut parents: Vec<u32> = find(&window, &solution)[0].iter().map(|(parent, _)| *parent).collect();
        parents.sort_unstable();
        assert_eq!(parents, (12..20).collect::<Vec<_>>());
        window.facts[0].failed = true;
        assert_eq!(find(&window, &solution)[0].len(), 19);
    }
}
