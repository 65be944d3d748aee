//! What is known of the calls of a window but their times, as small numbers.

use std::sync::Arc;

use super::assign::{Ending, Facts, Window};
use super::members::{Map, Member};
use super::traits::{Traits, hash};
use super::wording;
use crate::calls::record::Class;
use crate::decode::Endpoint;

/// Shortest error text whose repetition in another answer is evidence.
const MIN_TEXT: usize = 4;

/// Numbers things in the order in which they come.
#[derive(Default)]
struct Numbers(Map<u64, u32>);

impl Numbers {
    fn of(&mut self, thing: u64) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(thing).or_insert(next)
    }
}

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
fn opened(member: &Member<'_>, used: &mut super::members::Set<(Endpoint, Endpoint)>) -> Option<i64> {
    let Traits { client, server, since_opening, start, .. } = *member.traits;
    let is_first = used.insert((client, server));
    (is_first && since_opening <= OPENING).then(|| start - i64::from(since_opening))
}

/// Fills in the facts of a window and which texts contain each other.
pub(super) fn find(members: &[Member<'_>], window: &mut Window) {
    let (mut services, mut operations) = (Numbers::default(), Numbers::default());
    let (mut connections, mut outcomes, mut texts) =
        (Numbers::default(), Numbers::default(), Numbers::default());
    // 0 stands for no error, and for no text.
    outcomes.of(0);
    texts.of(0);
    let mut used = super::members::Set::default();
    let mut worded: Vec<String> = vec![String::new()];
    // By the hash of a text as it stands: most come again and again.
    let mut known: Map<u64, u32> = Map::default();
    window.facts = members
        .iter()
        .map(|member| {
            let Traits { service, service_operation, connection, failed, code, text, class, .. } =
                *member.traits;
            let text = text.map_or(0, |text| {
                *known.entry(text.get()).or_insert_with(|| {
                    let text = member.call.outcome.message.as_deref().unwrap_or_default();
                    if text.trim().is_empty() {
                        return 0;
                    }
                    let stable = wording::stable(text);
                    let number = texts.of(hash(&stable).max(1));
                    if number as usize == worded.len() {
                        worded.push(stable);
                    }
                    number
                })
            });
            Facts {
                service: services.of(service),
                operation: operations.of(service_operation),
                connection: connections.of(connection),
                outcome: if failed { outcomes.of(hash(&(class, code)).max(1)) } else { 0 },
                code,
                text,
                ending: ending(member),
                opened: opened(member, &mut used),
                failed,
            }
        })
        .collect();
    let mut related = super::members::Set::default();
    let mut asked = super::members::Set::default();
    for edge in &window.edges {
        let pair = (window.facts[edge.parent as usize].text, window.facts[edge.child as usize].text);
        if pair.0 == 0 || pair.1 == 0 || !asked.insert(pair) {
            continue;
        }
        let (above, below) = (&worded[pair.0 as usize], &worded[pair.1 as usize]);
        if below.len() >= MIN_TEXT && wording::is_related(above, below) {
            related.insert(pair);
        }
    }
    window.related = Arc::new(related);
}
