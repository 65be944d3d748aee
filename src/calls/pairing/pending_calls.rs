//! The calls of one connection that wait for their end.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rpcscope_parsers::{CallId, Side};
use smallvec::SmallVec;

use super::MAX_ENDED;
use super::groups::Groups;
use crate::calls::outcome::Outcome;
use crate::calls::record::{Call, Finding, Uid};
use crate::decode::Network;
use crate::flow::{Flow, Stamp};

/// A call that waits for its end.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Box<Call>,
    /// The caller's side.
    pub(super) client: Side,
    /// What the answer said, while its last bytes are still to come.
    pub(super) answer: Option<Box<Outcome>>,
    /// Stream messages may follow: the kind is told by their numbers.
    pub(super) stream: bool,
    /// The answer may stand in bytes that are missing: that none came says nothing.
    pub(super) answer_lost: bool,
}

/// The calls of one connection.
#[derive(Debug, Default)]
pub struct PendingCalls {
    pub(super) waiting: HashMap<CallId, SmallVec<[Pending; 1]>, foldhash::fast::RandomState>,
    pub(super) count: usize,
    /// Calls of unknown names.
    pub(super) groups: Groups,
    ended: VecDeque<CallId>,
    /// The side that sent requests, once one did.
    pub(super) client: Option<Side>,
    /// Which sides have sent FIN.
    pub(super) fin: [bool; 2],
    /// An error code told by GOAWAY, and who told it.
    pub(super) goaway: Option<(Option<i64>, Side)>,
    /// What was lost of each side: [`Finding::Gap`] or [`Finding::Truncated`].
    pub(super) lost: [Option<Finding>; 2],
    /// Packet and next ordinal of the last identity given out.
    last_uid: (u64, u32),
    pub(super) looked: Stamp,
    /// Calls decided so far, and how many of them failed.
    pub decided: u64,
    /// Calls that failed so far.
    pub failed: u64,
}

impl PendingCalls {
    /// Remembers that bytes of `side` were lost, and how. The end of an open stream may be among them, whoever ended it: a
    /// later one is then only the second.
    pub fn lose(&mut self, side: Side, how: Finding) {
        self.lost[side.index()] = Some(how);
        for waiting in self.waiting.values_mut().flatten().filter(|waiting| waiting.stream) {
            waiting.call.findings.insert(how);
        }
    }

    /// Marks the calls that `client` waits for: an answer that fits none of them may be the answer of one.
    pub(super) fn doubt(&mut self, client: Side, how: Finding) {
        for waiting in self.waiting.values_mut().flatten().filter(|waiting| waiting.client == client) {
            waiting.call.findings.insert(how);
        }
    }

    /// What of the callee's packets was not captured, so that its silence proves nothing: some, or all of them.
    pub(super) fn unheard(&self, flow: &Flow, callee: Side) -> Option<Finding> {
        let none = flow.segments[callee.index()] == 0 && flow.key.network == Network::Tcp;
        self.lost[callee.index()].or(none.then_some(Finding::Gap))
    }

    /// Remembers that the answers to the calls which wait for `side` may stand in bytes that nobody could read.
    pub(super) fn lose_answers(&mut self, side: Side) {
        for waiting in self.waiting.values_mut().flatten() {
            waiting.answer_lost |= waiting.client != side;
        }
    }

    /// The caller's side, once it is known.
    #[must_use]
    pub fn client(&self) -> Option<Side> {
        self.client
    }

    /// Start of the oldest call that still waits.
    #[must_use]
    pub fn oldest(&self) -> Option<crate::time::Timestamp> {
        self.waiting.values().flatten().map(|waiting| waiting.call.start).min()
    }

    pub(super) fn uid(&mut self, packet: u64) -> Uid {
        if self.last_uid.0 != packet {
            self.last_uid = (packet, 0);
        }
        let uid = Uid { packet, ordinal: self.last_uid.1 };
        self.last_uid.1 += 1;
        uid
    }

    pub(super) fn add(&mut self, id: CallId, waiting: Pending) {
        self.waiting.entry(id).or_default().push(waiting);
        self.count += 1;
    }

    /// Lets a call that was taken out wait again, as the oldest of its id: its answer is on its way.
    pub(super) fn put_back(&mut self, id: CallId, waiting: Pending) {
        self.waiting.entry(id).or_default().insert(0, waiting);
        self.count += 1;
    }

    pub(super) fn oldest_of(&mut self, id: CallId) -> Option<&mut Pending> {
        self.waiting.get_mut(&id).and_then(|same| same.first_mut())
    }

    pub(super) fn take(&mut self, id: CallId) -> Option<Pending> {
        let same = self.waiting.get_mut(&id)?;
        let waiting = same.remove(0);
        if same.is_empty() {
            self.waiting.remove(&id);
        }
        self.count -= 1;
        Some(waiting)
    }

    /// All that wait, oldest first, leaving nothing.
    pub(super) fn take_all(&mut self) -> Vec<(CallId, Pending)> {
        let mut all: Vec<_> = self
            .waiting
            .drain()
            .flat_map(|(id, same)| same.into_iter().map(move |waiting| (id, waiting)))
            .collect();
        self.count = 0;
        all.sort_by_key(|(_, waiting)| waiting.call.uid);
        all
    }

    pub(super) fn end_id(&mut self, id: CallId) {
        if id == CallId::Order {
            return;
        }
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }

    /// Whether an answer without a request is to be expected: its request was not captured.
    pub(super) fn holed(&self, flow: &Flow, client: Side) -> Option<Finding> {
        if let Some(how) = self.lost[client.index()] {
            return Some(how);
        }
        let seen = flow.from_start[client.index()] && flow.key.network == Network::Tcp;
        (!seen).then_some(Finding::MidStream)
    }

    /// Whether the call of that id is over.
    pub(super) fn has_ended(&self, id: CallId) -> bool {
        self.ended.contains(&id)
    }
}
