//! Which of a server's methods each group of a connection is.
//!
//! Two groups of one table have two names: one that surely has a method takes it from the others. And a client of which most
//! groups have methods that were seen by name likely calls no others.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::methods::Path;

/// How often the groups hear of each other.
const ROUNDS: usize = 5;

/// How many groups a client is taken to have had before, one of which was of a method without a name, the other of one
/// with a name.
const BEFORE: [f64; 2] = [1.0, 1.0];

/// What is known of one group.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    /// Methods that it may have, and how much more likely its calls are such of it than of one whose name was not seen, as
    /// logarithms.
    pub(super) methods: &'a [(Path, f64)],
    /// How many methods it may have, the unlikely ones included.
    pub(super) all: usize,
}

/// How likely each group has each of its candidates. `beside`: whether two groups have different names. Belief propagation on
/// the graph of groups and methods (Huang and Jebara, "Approximating the permanent with belief propagation", 2009), with one more
/// choice for each group: a method without a name.
pub(super) fn assign(groups: &[Candidates<'_>], beside: &dyn Fn(usize, usize) -> bool) -> Vec<Vec<f64>> {
    let mut columns: HashMap<&Path, Vec<(usize, usize)>, FixedState> = HashMap::default();
    for (group, candidates) in groups.iter().enumerate() {
        for (nth, (path, _)) in candidates.methods.iter().enumerate() {
            columns.entry(path).or_default().push((group, nth));
        }
    }
    let mut likely: Vec<Vec<f64>> = groups.iter().map(|group| vec![0.0; group.methods.len()]).collect();
    // How each group would choose if it had only this candidate and those that the others leave: odds.
    let mut claims = likely.clone();
    for _ in 0..ROUNDS {
        let named: Vec<f64> = likely.iter().map(|of| of.iter().sum()).collect();
        let all_named: f64 = named.iter().sum();
        let mut next = claims.clone();
        for (own, ((group, mine), likely)) in groups.iter().zip(&named).zip(&mut likely).enumerate() {
            let (taken, others) = (all_named - mine, groups.len() as f64 - 1.0);
            let [unseen, seen] = BEFORE;
            let unseen = (unseen + others - taken) / (unseen + seen + others);
            let share = (1.0 - unseen) / (group.all as f64 - taken).max(1.0);
            let weights: Vec<[f64; 2]> = (group.methods.iter())
                .map(|(path, likeness)| {
                    let weight = share * likeness.exp();
                    let rivals = columns.get(path).into_iter().flatten();
                    let claimed: f64 = rivals
                        .filter(|(other, _)| *other != own && beside(own, *other))
                        .filter_map(|(other, nth)| claims.get(*other)?.get(*nth))
                        .sum();
                    [weight, weight / (1.0 + claimed)]
                })
                .collect();
            let sum = unseen + weights.iter().map(|[_, left]| left).sum::<f64>();
            let claimed = next.get_mut(own).into_iter().flatten();
            for (([weight, left], claim), likely) in weights.into_iter().zip(claimed).zip(likely) {
                *claim = weight / (sum - left).max(unseen);
                *likely = left / sum;
            }
        }
        claims = next;
    }
    likely
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Path {
        (None, name.into())
    }

    fn likely(groups: &[&[(&str, f64)]], beside: bool) -> Vec<Vec<f64>> {
        let groups: Vec<Vec<(Path, f64)>> = groups
            .iter()
            .map(|of| of.iter().map(|(name, likeness)| (path(name), *likeness)).collect())
            .collect();
        let groups: Vec<_> = groups.iter().map(|methods| Candidates { methods, all: 2 }).collect();
        assign(&groups, &|_, _| beside)
    }

    #[test]
    fn a_group_takes_a_method_from_the_others() {
        let of = likely(&[&[("Get", 12.0)], &[("Get", 3.0), ("Put", 3.0)]], true);
        assert!(of[0][0] > 0.99, "{of:?}");
        assert!(of[1][1] > 0.85 && of[1][0] < 0.05, "{of:?}");
        // Of different tables both may have it.
        let of = likely(&[&[("Get", 12.0)], &[("Get", 3.0), ("Put", 3.0)]], false);
        assert!((of[1][0] - of[1][1]).abs() < 0.01, "{of:?}");
        // Two that are alike get neither.
        let of = likely(&[&[("Get", 9.0)], &[("Get", 9.0)]], true);
        assert!(of.iter().flatten().all(|likely| *likely < 0.51), "{of:?}");
    }

    #[test]
    fn groups_without_a_name_make_others_less_likely_to_have_one() {
        let alone = likely(&[&[("Get", 4.0)]], true)[0][0];
        let among_known = likely(&[&[("Get", 4.0)], &[("Put", 15.0)], &[("Find", 15.0)]], true)[0][0];
        let among_unknown = likely(&[&[("Get", 4.0)], &[], &[], &[]], true)[0][0];
        assert!(among_unknown < alone && alone < among_known, "{among_unknown} {alone} {among_known}");
    }
}
