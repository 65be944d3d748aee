//! What is known of the calls of a window but their times, as small numbers.

use std::sync::Arc;

use super::assign::{Ending, Facts, Window};
use super::members::{Map, Member};
use super::traits::hash;
use super::wording;
use crate::calls::record::{Call, Class};
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
    match member.call.class() {
        Some(Class::Oneway | Class::Unanswered) => Ending::Open,
        Some(Class::Transport) => Ending::Broken,
        _ if member.call.failed() => Ending::Failed,
        _ => Ending::Fine,
    }
}

/// The service of a call: one service may listen at many addresses; services without names are distinguished by them.
fn service(call: &Call) -> u64 {
    match &call.service {
        Some(service) => hash(&(service, call.server.port)),
        None => hash(&call.server),
    }
}

/// Longest time from the SYN to the first call of a connection that was opened for this call, nanoseconds: a few round trips, for
/// TCP and TLS. A connection that was opened ahead of need waits longer for its first call.
const OPENING: u32 = 50_000_000;

/// When the caller opened a connection for this call, if it did. The caller had decided to make the call then, and its request
/// left later by the time of the handshake. `used` are the connections of earlier calls.
fn opened(member: &Member<'_>, used: &mut super::members::Set<(Endpoint, Endpoint)>) -> Option<i64> {
    let call = member.call;
    let is_first = used.insert((call.client, call.server));
    (is_first && call.since_opening <= OPENING).then(|| member.start - i64::from(call.since_opening))
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
            let call = member.call;
            let service = service(call);
            let failed = call.failed();
            let outcome = &call.outcome;
            let text = match &outcome.message {
                Some(text) if failed && !text.trim().is_empty() => {
                    *known.entry(hash(&**text)).or_insert_with(|| {
                        let stable = wording::stable(text);
                        let number = texts.of(hash(&stable).max(1));
                        if number as usize == worded.len() {
                            worded.push(stable);
                        }
                        number
                    })
                }
                _ => 0,
            };
            Facts {
                service: services.of(service),
                operation: operations.of(hash(&(service, &call.method, call.nameless()))),
                connection: connections.of(member.connection),
                outcome: if failed { outcomes.of(hash(&(outcome.class, outcome.code)).max(1)) } else { 0 },
                code: outcome.code.filter(|_| failed),
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
