//! Failed calls that may be the cause of another call's error although no link is possible.
//!
//! A machine can answer calls at one address and make its own from another: on a second network, or because addresses are translated on the
//! way out. Where the capture does not say that both are one machine's, calls are not linked across them. The error may then have begun
//! below the call that looks like its origin: in a call that failed with the same words meanwhile, from an address at which nothing is
//! answered, and whose calls all fall into the work of the other address. Those of a client outside do not.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::candidates::Candidates;
use super::members::{Member, contains};
use super::traits::hash;
use crate::calls::record::Call;

/// How likely the call caused the other's error: as likely as not.
const SHARE: f64 = 0.5;

/// Most calls of the same words that each is compared with, the latest.
const MAX_COMPARED: usize = 64;

/// The code and text of a failed call; `None` without a text.
fn words(member: &Member<'_>) -> Option<u64> {
    member.traits.text.map(|text| hash(&(member.traits.code, text)))
}

/// The failed calls whose error may have begun in such a call, by their places in `members`, with how likely that is. `makes_calls`:
/// whether any call left the machine that answered a call.
pub(super) fn find(
    members: &[Member<'_>],
    found: &[Candidates],
    makes_calls: impl Fn(&Call) -> bool,
) -> Vec<(usize, u32, f64)> {
    let mut above: HashMap<u64, Vec<u32>, FixedState> = HashMap::default();
    for (place, member) in members.iter().enumerate() {
        if let Some(words) = words(member)
            && !makes_calls(member.call)
        {
            above.entry(words).or_default().push(place as u32);
        }
    }
    let mut pairs = Vec::new();
    if above.is_empty() {
        return pairs;
    }
    let count = members.iter().map(|member| member.callee.max(member.caller) + 1).max().unwrap_or(0);
    let mut answers = vec![false; count as usize];
    for member in members {
        answers[member.callee as usize] = true;
    }
    let mut work = None;
    for (place, (child, candidates)) in members.iter().zip(found).enumerate() {
        if !child.is_child
            || child.settled.is_some()
            || !candidates.is_empty()
            || answers[child.caller as usize]
        {
            continue;
        }
        let Some(above) = words(child).and_then(|words| above.get(&words)) else { continue };
        let begun = above.partition_point(|&other| members[other as usize].start <= child.start);
        for &other in above[..begun].iter().rev().take(MAX_COMPARED) {
            let parent = &members[other as usize];
            let is_possible =
                other as usize != place && parent.caller != child.caller && contains(parent, child);
            if is_possible
                && work.get_or_insert_with(|| Work::new(members)).holds_all(child.caller, parent.callee)
            {
                pairs.push((place, other, SHARE));
            }
        }
    }
    pairs
}

/// When hosts were at work, and who called meanwhile.
struct Work<'m, 'a> {
    /// By address: the calls that it made.
    made: HashMap<u32, Vec<&'m Member<'a>>, FixedState>,
    /// By host: the beginnings of the calls that it answered, in order, and the latest end of those up to there.
    answered: HashMap<u32, Vec<(i64, i64)>, FixedState>,
    /// By caller and host.
    known: HashMap<(u32, u32), bool, FixedState>,
}

impl<'m, 'a> Work<'m, 'a> {
    fn new(members: &'m [Member<'a>]) -> Self {
        let mut work =
            Self { made: HashMap::default(), answered: HashMap::default(), known: HashMap::default() };
        for member in members {
            work.made.entry(member.caller).or_default().push(member);
            work.answered.entry(member.callee).or_default().push(member.work());
        }
        for answered in work.answered.values_mut() {
            answered.sort_unstable();
            let mut latest = i64::MIN;
            for (_, end) in answered {
                latest = latest.max(*end);
                *end = latest;
            }
        }
        work
    }

    /// Whether all calls of an address fall into the work of a host.
    fn holds_all(&mut self, caller: u32, host: u32) -> bool {
        let Self { made, answered, known } = self;
        let (Some(made), Some(answered)) = (made.get(&caller), answered.get(&host)) else { return false };
        let holds = |child: &&Member<'_>| {
            let begun = answered.partition_point(|&(start, _)| start <= child.start);
            let end = if child.answered { child.end } else { child.start };
            begun.checked_sub(1).is_some_and(|last| end <= answered[last].1)
        };
        *known.entry((caller, host)).or_insert_with(|| made.iter().all(holds))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calls, with_members};
    use super::*;
    use crate::calls::record::Class;

    /// How many pairs are found among these calls, by start, with the text of each one's error.
    fn pairs(all: &[(u8, u8, i64, i64, &str)]) -> usize {
        let (times, texts): (Vec<_>, Vec<_>) =
            all.iter().map(|&(from, to, start, end, text)| ((from, to, start, end), text)).unzip();
        let mut calls = calls(&times);
        for (call, text) in calls.iter_mut().zip(texts).filter(|(_, text)| !text.is_empty()) {
            call.outcome.class = Some(Class::Rpc);
            call.outcome.message = Some(text.into());
        }
        let makes_calls = |call: &Call| calls.iter().any(|other| other.client.ip == call.server.ip);
        with_members(&calls, |members| {
            find(members, &vec![Candidates::new(); members.len()], makes_calls).len()
        })
    }

    #[test]
    fn a_failed_call_within_another_with_its_words_may_be_its_cause_if_all_from_there_are_within() {
        let both = [(1, 2, 0, 100, "no stock"), (3, 4, 10, 20, "no stock")];
        assert_eq!(pairs(&both), 1);
        let with = |more: &[(u8, u8, i64, i64, &'static str)]| pairs(&[&both[..], more].concat());
        assert_eq!(with(&[(3, 4, 30, 90, "")]), 1);
        // A client outside, whose calls go on while nothing is in work.
        assert_eq!(with(&[(3, 4, 30, 110, "")]), 0);
        assert_eq!(with(&[(3, 4, 200, 210, "")]), 0);
        // The first host makes its own calls from the address at which it answers, or the second answers some.
        assert_eq!(with(&[(2, 4, 30, 40, "")]), 0);
        assert_eq!(with(&[(5, 3, 30, 40, "")]), 0);
        assert_eq!(pairs(&[(1, 2, 0, 100, "no stock"), (3, 4, 10, 20, "no money")]), 0);
        assert_eq!(pairs(&[(1, 2, 0, 100, ""), (3, 4, 10, 20, "")]), 0);
    }
}
