//! What is known of the calls of a window but their times, as small numbers.

use std::sync::Arc;

use super::assign::{Edge, Ending, Facts, SETTLED, Window};
use super::members::{Map, Member, Set, count_hosts, number};
use super::traits::{Traits, hash};
use super::wording;
use crate::calls::record::Class;

/// Shortest error text whose repetition in another answer is evidence.
const MIN_TEXT: usize = 4;

/// How a call ended.
fn ending(member: &Member<'_>) -> Ending {
    match member.class {
        Some(Class::Oneway | Class::Unanswered) => Ending::Open,
        Some(Class::Transport) => Ending::Broken,
        _ if member.traits.failed => Ending::Failed,
        _ => Ending::Fine,
    }
}

/// Longest time from the SYN to the first call of a connection that was opened for this call, nanoseconds: a few round trips, for
/// TCP and TLS. A connection that was opened ahead of need waits longer for its first call.
const OPENING: u32 = 50_000_000;

/// When the caller opened a connection for this call, if it did. The caller had decided to make the call then, and its request
/// left later by the time of the handshake. `used` are the connections of earlier calls.
fn opened(member: &Member<'_>, used: &mut Set<u32>) -> Option<i64> {
    // Of no other call of the connection is the SYN closer.
    let is_first = member.since_opening <= OPENING && used.insert(member.connection);
    is_first.then(|| member.start - i64::from(member.since_opening))
}

/// Which calls the sampler asks about: those that a host with open links made or answered, and all that may be linked.
fn asked(members: &[Member<'_>], edges: &[Edge]) -> Vec<bool> {
    let mut is_open = vec![false; count_hosts(members)];
    for edge in edges.iter().filter(|edge| edge.weight < SETTLED) {
        is_open[members[edge.child as usize].caller as usize] = true;
    }
    let has_open = |member: &Member<'_>| is_open[member.caller as usize] || is_open[member.callee as usize];
    let mut asked: Vec<bool> = members.iter().map(has_open).collect();
    for edge in edges {
        (asked[edge.parent as usize], asked[edge.child as usize]) = (true, true);
    }
    asked
}

/// Fills in the facts of a window and which texts contain each other. What nobody asks about has none.
pub(super) fn find(members: &[Member<'_>], window: &mut Window) {
    let (mut services, mut operations) = (Map::default(), Map::default());
    let (mut outcomes, mut texts) = (Map::default(), Map::default());
    // 0 stands for no error, and for no text.
    number(&mut outcomes, 0);
    number(&mut texts, 0);
    let mut used = Set::default();
    let mut worded: Vec<String> = vec![String::new()];
    // By the hash of a text as it stands: most come again and again.
    let mut known: Map<u64, u32> = Map::default();
    window.facts = members
        .iter()
        .zip(asked(members, &window.edges))
        .map(|(member, is_asked)| {
            let opened = opened(member, &mut used);
            if !is_asked {
                return Facts::default();
            }
            let Traits { service, service_operation, failed, code, text, class, .. } = *member.traits;
            let text = text.map_or(0, |text| {
                *known.entry(text.get()).or_insert_with(|| {
                    let text = member.call.outcome.message.as_deref().unwrap_or_default();
                    if text.trim().is_empty() {
                        return 0;
                    }
                    let stable = wording::stable(text);
                    let number = number(&mut texts, hash(&stable).max(1));
                    if number as usize == worded.len() {
                        worded.push(stable);
                    }
                    number
                })
            });
            Facts {
                service: number(&mut services, service),
                operation: number(&mut operations, service_operation),
                connection: member.connection,
                outcome: if failed { number(&mut outcomes, hash(&(class, code)).max(1)) } else { 0 },
                code,
                text,
                ending: ending(member),
                opened,
                failed,
            }
        })
        .collect();
    let mut related = Set::default();
    let mut compared = Set::default();
    for edge in &window.edges {
        let pair = (window.facts[edge.parent as usize].text, window.facts[edge.child as usize].text);
        if pair.0 == 0 || pair.1 == 0 || !compared.insert(pair) {
            continue;
        }
        let (above, below) = (&worded[pair.0 as usize], &worded[pair.1 as usize]);
        if below.len() >= MIN_TEXT && wording::is_related(above, below) {
            related.insert(pair);
        }
    }
    window.related = Arc::new(related);
}
