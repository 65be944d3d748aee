//! Failed calls that may be the cause of another call's error although no link is possible.
//!
//! A machine can answer calls at one address and make its own from another: a second network, a container's address translated on its
//! way out. Where a capture does not say that the two are one, calls are not linked across them, and it would be wrong
//! to say for sure that the error began in the answer: a call from an address at which nothing is answered failed meanwhile with the same
//! words.

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
            if other as usize != place && parent.caller != child.caller && contains(parent, child) {
                pairs.push((place, other, SHARE));
            }
        }
    }
    pairs
}
