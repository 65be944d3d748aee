//! Failed calls that may be the cause of another call's error although no link is possible.
//!
//! A machine can answer calls at one address and make its own from another: on a second network, or because addresses are translated on the
//! way out. Where the capture does not say that both are one machine's, calls are not linked across them. The error may then have begun
//! below the call that looks like its origin: in a call that failed with the same words meanwhile, from an address at which nothing is
//! answered, and whose calls all fall into the work of the other address. Those of a client outside do not.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::candidates::Candidates;
use super::members::{Member, contains, count_hosts};
use super::traits::hash;

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
    makes_calls: impl Fn(&Member<'_>) -> bool,
) -> Vec<(usize, u32, f64)> {
    // By their words, then by start.
    let mut above: Vec<(u64, u32)> = (0_u32..)
        .zip(members)
        .filter_map(|(place, member)| Some((words(member)?, place)).filter(|_| !makes_calls(member)))
        .collect();
    let mut pairs = Vec::new();
    if above.is_empty() {
        return pairs;
    }
    above.sort_unstable();
    let count = count_hosts(members);
    let mut answers = vec![false; count];
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
        let Some(words) = words(child) else { continue };
        let begun = above.partition_point(|&(others, other)| {
            others < words || others == words && members[other as usize].start <= child.start
        });
        let same = above[..begun].iter().rev().take_while(|(others, _)| *others == words);
        for &(_, other) in same.take(MAX_COMPARED) {
            let parent = &members[other as usize];
            let is_possible =
                other as usize != place && parent.caller != child.caller && contains(parent, child);
            if is_possible
                && work
                    .get_or_insert_with(|| Work::new(members, count))
                    .holds_all(child.caller, parent.callee)
            {
                pairs.push((place, other, SHARE));
            }
        }
    }
    pairs
}

/// Things of each host, those of one host together.
struct ByHost<T> {
    /// By host: where its things end.
    ends: Vec<u32>,
    things: Vec<T>,
}

impl<T: Copy> ByHost<T> {
    /// The things of the members, each with the number of its host, below `count`.
    fn new(count: usize, things: impl Iterator<Item = (u32, T)> + Clone) -> Self {
        let mut ends = vec![0; count + 1];
        things.clone().for_each(|(host, _)| ends[host as usize + 1] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        let mut by_host: Vec<T> = things.clone().map(|(_, thing)| thing).collect();
        for (host, thing) in things {
            // Where the things of the host before it end, until all of its own are there.
            let at = &mut ends[host as usize];
            by_host[*at as usize] = thing;
            *at += 1;
        }
        Self { ends, things: by_host }
    }

    fn range(&self, host: u32) -> std::ops::Range<usize> {
        let begin = host.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        begin as usize..self.ends[host as usize] as usize
    }

    fn of(&self, host: u32) -> &[T] {
        &self.things[self.range(host)]
    }
}

/// When hosts were at work, and who called meanwhile.
struct Work {
    /// By address: the start and the end of the calls that it made; where the end is not known, the start again.
    made: ByHost<(i64, i64)>,
    /// By host: the beginnings of the calls that it answered, in order, and the latest end of those up to there.
    answered: ByHost<(i64, i64)>,
    /// By caller and host.
    known: HashMap<(u32, u32), bool, FixedState>,
}

impl Work {
    /// Of calls between hosts with numbers below `count`.
    fn new(members: &[Member<'_>], count: usize) -> Self {
        let lasted = |member: &Member<'_>| {
            (member.caller, (member.start, if member.answered { member.end } else { member.start }))
        };
        let mut answered = ByHost::new(count, members.iter().map(|member| (member.callee, member.work())));
        for host in 0..count as u32 {
            let range = answered.range(host);
            let answered = &mut answered.things[range];
            answered.sort_unstable();
            let mut latest = i64::MIN;
            for (_, end) in answered {
                latest = latest.max(*end);
                *end = latest;
            }
        }
        Self { made: ByHost::new(count, members.iter().map(lasted)), answered, known: HashMap::default() }
    }

    /// Whether all calls of an address fall into the work of a host.
    fn holds_all(&mut self, caller: u32, host: u32) -> bool {
        let Self { made, answered, known } = self;
        let answered = answered.of(host);
        let holds = |&(start, end): &(i64, i64)| {
            let begun = answered.partition_point(|&(begin, _)| begin <= start);
            begun.checked_sub(1).is_some_and(|last| end <= answered[last].1)
        };
        *known.entry((caller, host)).or_insert_with(|| made.of(caller).iter().all(holds))
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
        let makes_calls =
            |member: &Member<'_>| calls.iter().any(|other| other.client.ip == member.call.server.ip);
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
