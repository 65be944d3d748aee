//! Failed calls that may be the cause of another call's error although no link is possible.
//!
//! A machine can answer calls at one address and make its own from another: a second network, a container's address translated on its
//! way out. Where a capture does not say that the two are one, calls are not linked across them, and it would be wrong
//! to say for sure that the error began in the answer: a call from an address at which nothing is answered failed meanwhile with the same
//! words, and so did all calls from there begin and end while another was in work at the first address, as those of a client outside do not.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::candidates::Candidate;
use super::members::{Member, Set, contains};
use super::traits::hash;
use crate::calls::record::Call;

/// How likely the call caused the other's error: as likely as not.
const SHARE: f64 = 0.5;

/// Most calls of the same words that each is compared with, the latest.
const MAX_COMPARED: usize = 64;

/// The code and text of a failed call; `None` without a text.
fn words(call: &Call) -> Option<u64> {
    let text = call.outcome.message.as_deref().filter(|text| !text.is_empty() && call.failed())?;
    Some(hash(&(call.outcome.code, text)))
}

/// The failed calls whose error may have begun in such a call, by their places in `members`, with how likely that is. `makes_calls`:
/// whether any call left the machine that answered a call.
pub(super) fn find(
    members: &[Member<'_>],
    found: &[Vec<Candidate>],
    makes_calls: impl Fn(&Call) -> bool,
) -> Vec<(usize, u32, f64)> {
    let answering: Set<u32> = members.iter().map(|member| member.callee).collect();
    let mut above: HashMap<u64, Vec<u32>, FixedState> = HashMap::default();
    for (place, member) in members.iter().enumerate() {
        if let Some(words) = words(member.call)
            && !makes_calls(member.call)
        {
            above.entry(words).or_default().push(place as u32);
        }
    }
    let mut pairs = Vec::new();
    let mut inside = Inside::new(members);
    for (place, (child, candidates)) in members.iter().zip(found).enumerate() {
        if !child.is_child
            || child.settled.is_some()
            || !candidates.is_empty()
            || answering.contains(&child.caller)
        {
            continue;
        }
        let Some(above) = words(child.call).and_then(|words| above.get(&words)) else { continue };
        let begun =
            above.partition_point(|&other| members[other as usize].traits.start <= child.traits.start);
        for &other in above[..begun].iter().rev().take(MAX_COMPARED) {
            let parent = &members[other as usize];
            let is_possible =
                other as usize != place && parent.caller != child.caller && contains(parent, child);
            if is_possible && inside.all_calls(child.caller, parent.callee) {
                pairs.push((place, other, SHARE));
            }
        }
    }
    pairs
}

/// Whether all calls of an address fall into the work of another.
struct Inside<'m, 'a> {
    members: &'m [Member<'a>],
    /// By address: the calls that it made.
    made: HashMap<u32, Vec<u32>, FixedState>,
    /// By host: the beginnings of the calls that it answered, in order, and the latest end of those up to there.
    hosts: HashMap<u32, Vec<(i64, i64)>, FixedState>,
    /// By the two addresses.
    known: HashMap<(u32, u32), bool, FixedState>,
}

impl<'m, 'a> Inside<'m, 'a> {
    fn new(members: &'m [Member<'a>]) -> Self {
        let mut made: HashMap<u32, Vec<u32>, FixedState> = HashMap::default();
        for (place, member) in members.iter().enumerate() {
            made.entry(member.caller).or_default().push(place as u32);
        }
        Self { members, made, hosts: HashMap::default(), known: HashMap::default() }
    }

    fn all_calls(&mut self, caller: u32, host: u32) -> bool {
        if let Some(&known) = self.known.get(&(caller, host)) {
            return known;
        }
        let members = self.members;
        let work = self.hosts.entry(host).or_insert_with(|| {
            let mut work: Vec<(i64, i64)> =
                members.iter().filter(|member| member.callee == host).map(Member::work).collect();
            work.sort_unstable();
            let mut latest = i64::MIN;
            for (_, end) in &mut work {
                latest = latest.max(*end);
                *end = latest;
            }
            work
        });
        let is_inside = |child: &Member<'_>| {
            let begun = work.partition_point(|&(start, _)| start <= child.traits.start);
            let latest = begun.checked_sub(1).map(|last| work[last].1);
            let end = if child.traits.answered { child.traits.end } else { child.traits.start };
            latest.is_some_and(|latest| end <= latest)
        };
        let all = self
            .made
            .get(&caller)
            .is_none_or(|made| made.iter().all(|&child| is_inside(&members[child as usize])));
        self.known.insert((caller, host), all);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::members::HostNumbers;
    use super::super::traits::Traits;
    use super::*;
    use crate::calls::record::{Class, Uid};
    use crate::decode::Endpoint;
    use crate::time::Timestamp;

    /// How many pairs are found; calls are (caller's host, callee's host, start, end, text of the error), by start.
    fn pairs(calls: &[(u8, u8, i64, i64, &str)]) -> usize {
        let endpoint = |host: u8| Endpoint { ip: [10, 0, 0, host].into(), port: 8_000 };
        let calls: Vec<Call> = (1..)
            .zip(calls)
            .map(|(packet, &(from, to, start, end, text))| {
                let uid = Uid { packet, ordinal: 0 };
                let mut call = Call::new(uid, Timestamp(start), endpoint(from), endpoint(to));
                call.end = Timestamp(end);
                call.duration = u64::try_from(end - start).ok();
                call.outcome.class = Some(if text.is_empty() { Class::Ok } else { Class::Rpc });
                call.outcome.message = Some(text.into()).filter(|_| !text.is_empty());
                call
            })
            .collect();
        let traits: Vec<Traits> = calls.iter().map(Traits::of).collect();
        let mut hosts = HostNumbers::default();
        let members: Vec<Member<'_>> = calls
            .iter()
            .zip(&traits)
            .map(|(call, traits)| Member::new(call, traits, None, true, &mut hosts))
            .collect();
        let none = vec![Vec::new(); members.len()];
        find(&members, &none, |call| calls.iter().any(|other| other.client.ip == call.server.ip)).len()
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
