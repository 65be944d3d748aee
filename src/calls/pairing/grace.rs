//! Decided calls within reach of what still comes.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rpcscope_parsers::CallId;
use rpcscope_parsers::Side;
use rpcscope_parsers::event::{Answer, Head, Request, Text};

use super::pending_calls::PendingCalls;
use super::{At, GRACE_PERIOD, MAX_METADATA_IN_GRACE, MAX_SPARE, Matcher, body_size, metadata_size};
use crate::calls::outcome::{self, Ending};
use crate::calls::record::{Call, CallKind, Finding};
use crate::decode::Network;
use crate::flow::Stamp;

/// How many calls may be looked at for each that is decided.
const STEPS: u64 = 4;

/// Finds calls in their grace period by connection and id. Hardly ever is one looked for: they are searched from the last one on
/// until that has taken more than [`STEPS`] for each call. Only then they are put into an index.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Number of the first call in its grace period, of all that were ever decided.
    first: u64,
    /// Number of the first call that may still get another place.
    settled: u64,
    /// Calls looked at without the index.
    steps: u64,
    /// Up to which number calls are in the index.
    indexed: u64,
    /// Numbers of calls, some of which may have gone.
    index: HashMap<(u64, Option<i64>), u64, foldhash::fast::RandomState>,
}

impl Reach {
    /// The place of the last call with that key.
    fn find(&mut self, grace: &VecDeque<Box<Call>>, key: (u64, Option<i64>)) -> Option<usize> {
        if self.steps < STEPS * (self.first + grace.len() as u64) {
            let found = grace.iter().rposition(|call| (call.connection, call.id) == key);
            self.steps += (grace.len() - found.unwrap_or(0)) as u64;
            return found;
        }
        let new = self.indexed.saturating_sub(self.first) as usize;
        for (number, call) in (self.first + new as u64..).zip(grace.range(new.min(grace.len())..)) {
            self.index.insert((call.connection, call.id), number);
        }
        self.indexed = self.first + grace.len() as u64;
        if self.index.len() > 2 * (grace.len() + MAX_SPARE) {
            self.index.retain(|_, number| *number >= self.first);
        }
        Some(self.index.get(&key)?.checked_sub(self.first)? as usize)
    }

    /// The calls from this place on are put in another order.
    fn reorder(&mut self, from: usize) {
        self.indexed = self.indexed.min(self.first + from as u64);
    }
}

impl Matcher {
    /// Datagrams overtake each other, and so do the directions of a connection that were captured by different clocks: a request whose
    /// answer came just before it completes the record of the answer. Says whether it was one.
    pub(super) fn overtaken(
        &mut self,
        at: &At<'_>,
        pending: &PendingCalls,
        side: Side,
        request: &Request<'_>,
    ) -> bool {
        let head = &request.head;
        // Peers that leave the number at 0 use it for every call.
        let says_nothing = head.id == CallId::Loose(0) && at.flow.key.network == Network::Tcp;
        if !pending.has_ended(head.id) || says_nothing {
            return false;
        }
        let Some(place) = self.find_decided(at, head) else { return false };
        let mut grace = std::mem::take(&mut self.grace);
        let client = at.flow.key.endpoint(side);
        let method = request.names.method.map(Text::decode);
        let same_name = |call: &Call| {
            method.as_deref().zip(call.method.as_deref()).is_none_or(|(asked, sent)| asked == sent.as_bytes())
        };
        let found = grace
            .get_mut(place)
            .filter(|call| call.request_messages == 0 && call.client == client && same_name(call));
        let is_one = found.is_some();
        if let Some(call) = found {
            call.findings.remove(Finding::MidStream);
            if pending.lost == [None; 2] {
                call.findings.remove(Finding::Gap);
            }
            call.positions[0] = at.position;
            call.request_messages = 1;
            call.request_bytes = head.bytes;
            call.timeout = request.timeout;
            call.codec = head.codec.or(call.codec);
            self.describe(call, &request.names, request.headers, false);
            self.trace(call, request.headers.filter(|_| request.traced));
        }
        self.grace = grace;
        is_one
    }

    /// The call of an event that comes after its end, while that is in its grace period.
    pub(super) fn decided(&mut self, at: &At<'_>, head: &Head) -> Option<&mut Call> {
        let found = self.find_decided(at, head)?;
        self.grace.get_mut(found).map(|call| &mut **call)
    }

    /// The same of a call of which only the id is known.
    pub(super) fn decided_by_id(&mut self, at: &At<'_>, id: CallId) -> Option<&mut Call> {
        let place = self.reach.find(&self.grace, (at.flow.first.packet, id.number()))?;
        let call = self.grace.get_mut(place)?;
        (at.now.time.since(call.end) <= GRACE_PERIOD.as_nanos() as u64).then_some(&mut **call)
    }

    /// Its place among the decided calls.
    pub(super) fn find_decided(&mut self, at: &At<'_>, head: &Head) -> Option<usize> {
        let place = self.reach.find(&self.grace, (at.flow.first.packet, head.id.number()))?;
        let call = self.grace.get(place)?;
        let in_reach = at.now.time.since(call.end) <= GRACE_PERIOD.as_nanos() as u64;
        (call.rpc == head.rpc && in_reach).then_some(place)
    }

    /// An answer came to a call that is already decided.
    pub(super) fn answered_again(&mut self, at: &At<'_>, answer: &Answer<'_>) {
        let Some(found) = self.find_decided(at, &answer.head) else { return };
        let Some(call) = self.grace.get_mut(found) else { return };
        if call.kind == CallKind::Oneway {
            let ending = Ending::Answered { status: &answer.status, body: false };
            let decision = outcome::decide(ending, &mut self.texts);
            call.outcome.ret = decision.outcome.ret;
            call.outcome.func_ret = decision.outcome.func_ret;
            if decision.outcome.is_error() {
                call.findings.insert(Finding::OnewayAnswered);
            }
        } else if matches!(answer.head.id, CallId::Request(_) | CallId::Loose(_)) {
            call.findings.insert(Finding::DuplicateAnswer);
        }
    }

    /// Gives out the calls that were decided up to the packet of `until` and whose grace period is over by its time, in the order in which
    /// they were decided; all of them if it is `None`.
    pub fn release(&mut self, until: Option<Stamp>, mut give: impl FnMut(Box<Call>)) {
        loop {
            let waiting = self.grace.len();
            let is_over = |call: &Call, until: Stamp| {
                call.decided <= until.packet && until.time.since(call.end) > GRACE_PERIOD.as_nanos() as u64
            };
            let over = match until {
                Some(until) => self.grace.iter().take_while(|call| is_over(call, until)).count(),
                None => waiting,
            };
            let surplus = waiting.saturating_sub(self.max_in_grace);
            let surplus = surplus.max(usize::from(self.grace_metadata > MAX_METADATA_IN_GRACE)).min(waiting);
            let gone = over.max(surplus);
            if gone == 0 {
                return;
            }
            self.reach.first += gone as u64;
            for call in self.grace.drain(..gone) {
                if self.grace_metadata > 0 {
                    let size = metadata_size(&call) + body_size(&call);
                    self.grace_metadata = self.grace_metadata.saturating_sub(size);
                }
                give(call);
            }
        }
    }

    /// Packet that decided the oldest call in its grace period.
    #[must_use]
    pub fn oldest_in_grace(&self) -> Option<u64> {
        self.grace.front().map(|call| call.decided)
    }

    /// Takes a decided call. Those of one packet are in the order of their identities, so that this never depends on a table's order.
    #[expect(clippy::inline_always, reason = "the last step of what decides a call")]
    #[inline(always)]
    pub(super) fn keep(&mut self, call: Box<Call>) {
        match self.grace.back() {
            Some(last) if last.decided == call.decided && last.uid > call.uid => self.keep_before(call),
            _ => self.grace.push_back(call),
        }
    }

    #[cold]
    fn keep_before(&mut self, call: Box<Call>) {
        let later =
            self.grace.iter().rev().take_while(|last| last.decided == call.decided && last.uid > call.uid);
        let settled = self.reach.settled.saturating_sub(self.reach.first) as usize;
        let place = (self.grace.len() - later.count()).max(settled);
        self.reach.reorder(place);
        self.grace.insert(place, call);
    }

    /// What is decided from here on comes behind all that was decided before.
    pub fn settle(&mut self) {
        self.reach.settled = self.reach.first + self.grace.len() as u64;
    }

    /// How many calls over.
    #[must_use]
    pub fn in_grace(&self) -> usize {
        self.grace.len()
    }
}
