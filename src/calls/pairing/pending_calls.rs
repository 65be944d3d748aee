//! The calls of one connection that wait for their end.

use std::sync::Arc;

use rpcscope_parsers::{CallId, Side};

use super::ended::Ended;
use super::groups::Groups;
use super::queue::Queue;
use crate::calls::outcome::Decision;
use crate::calls::record::{Call, Finding, GoAwayNote, Initiator, Uid, Via};
use crate::decode::Network;
use crate::flow::{Flow, Stamp};

/// A call that waits for its end.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: CallId,
    pub(super) call: Box<Call>,
    /// The caller's side.
    pub(super) client: Side,
    /// What the answer says, while its last bytes are still to come.
    pub(super) answer: Option<Box<Decision>>,
    /// Stream messages may follow: their numbers decide the kind of the call.
    pub(super) stream: bool,
    /// The answer may stand in bytes that are missing: silence proves nothing.
    pub(super) answer_lost: bool,
    /// The answer began with this HTTP status, which fails the call unless a status of the RPC follows.
    pub(super) http_error: Option<u16>,
}

/// Code and debug data.
type LastGoAway = (i64, Option<String>);

/// An answer that is no message of its protocol.
#[derive(Debug)]
pub(super) struct StrangeAnswer {
    callee: Side,
    /// What it is in words, if it is in a known language.
    pub(super) answer: Option<String>,
}

/// The calls of one connection.
#[derive(Debug, Default)]
pub struct PendingCalls {
    calls: Queue,
    /// Calls of unknown names.
    pub(super) groups: Groups,
    ended: Ended,
    /// The side that sent requests, once one did.
    pub(super) client: Option<Side>,
    /// What the preludes of the connection named.
    pub via: Option<Arc<Via>>,
    /// Which sides have sent FIN.
    pub(super) fin: [bool; 2],
    /// The last thing that the callee sent, if that is no message of the protocol.
    foreign: Option<Box<StrangeAnswer>>,
    /// The GOAWAY of each side that counts. Boxed, because few connections have one.
    goaways: Option<Box<[Option<LastGoAway>; 2]>>,
    /// What was lost of each side: [`Finding::Gap`] or [`Finding::Truncated`].
    pub(super) lost: [Option<Finding>; 2],
    /// Packet and next ordinal of the last identity.
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
        for pending in self.calls.iter_mut().filter(|pending| pending.stream) {
            pending.call.findings.insert(how);
        }
    }

    /// Marks the calls that `client` waits for: an answer that fits none of them may be the answer of one.
    pub(super) fn doubt(&mut self, client: Side, how: Finding) {
        for pending in self.calls.iter_mut().filter(|pending| pending.client == client) {
            pending.call.findings.insert(how);
        }
    }

    /// Packets of either side may be lost without a hole that shows it: the answers of all pending calls may be among them.
    pub fn doubt_answers(&mut self) {
        for pending in self.calls.iter_mut() {
            pending.answer_lost = true;
            pending.call.findings.insert(Finding::Gap);
        }
    }

    /// What of the callee's packets was not captured, so that its silence proves nothing: some, or all of them.
    pub(super) fn unheard(&self, flow: &Flow, callee: Side) -> Option<Finding> {
        let none = flow.segments[callee.index()] == 0 && flow.key.network == Network::Tcp;
        self.lost[callee.index()].or(none.then_some(Finding::Gap))
    }

    /// Remembers a GOAWAY. Graceful servers send one more with the same code when they know the last stream
    /// (RFC 9113, section 6.8), and some give their reason only in the first. Some close without an error code after one with
    /// an error: that is what happened.
    pub(super) fn note_goaway(&mut self, side: Side, code: i64, text: Option<String>) {
        let known = side.of_mut(self.goaways.get_or_insert_default());
        if code == 0 && known.as_ref().is_some_and(|(before, _)| *before != 0) {
            return;
        }
        let before = known.take().filter(|(before, _)| *before == code).and_then(|(_, text)| text);
        *known = Some((code, text.or(before)));
    }

    /// The GOAWAY that counts for calls of `client`: the callee's rather than the caller's own.
    pub(super) fn goaway_for(&self, client: Side) -> Option<Box<GoAwayNote>> {
        let note = |side: Side, by| {
            let (code, text) = side.of(self.goaways.as_deref()?).clone()?;
            Some(Box::new(GoAwayNote { by, code, text }))
        };
        note(client.other(), Initiator::Server).or_else(|| note(client, Initiator::Client))
    }

    /// `callee` answers with something that is no message: what the words say, if it is in a known language.
    pub(super) fn note_foreign(&mut self, callee: Side, answer: Option<String>) {
        self.foreign = Some(Box::new(StrangeAnswer { callee, answer }));
    }

    /// What `callee` answered last, if that is no message.
    pub(super) fn foreign_of(&self, callee: Side) -> Option<&StrangeAnswer> {
        self.foreign.as_deref().filter(|strange| strange.callee == callee)
    }

    /// The callee's answers are read again: what was none of them was not the end, and the client could decode it.
    pub(super) fn understand(&mut self, callee: Side) {
        if self.foreign_of(callee).is_some() {
            self.foreign = None;
            self.lose_answers(callee);
        }
    }

    /// Remembers that the answers to the calls which wait for `side` may stand in bytes that could not be read.
    pub(super) fn lose_answers(&mut self, side: Side) {
        for pending in self.calls.iter_mut() {
            pending.answer_lost |= pending.client != side;
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
        self.calls.iter().map(|pending| pending.call.start).min()
    }

    pub(super) fn uid(&mut self, packet: u64) -> Uid {
        if self.last_uid.0 != packet {
            self.last_uid = (packet, 0);
        }
        let uid = Uid { packet, ordinal: self.last_uid.1 };
        self.last_uid.1 += 1;
        uid
    }

    /// Lets a call wait, for the first time or (until the rest of its answer has come) again.
    pub(super) fn add(&mut self, pending: Pending) {
        self.calls.insert(pending);
    }

    /// Whether no call waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls wait.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Those that wait, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.calls.iter()
    }

    /// The same, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.calls.iter_mut()
    }

    /// The oldest call of that id.
    pub(super) fn oldest_of(&mut self, id: CallId) -> Option<&mut Pending> {
        self.calls.find(id)
    }

    /// Takes the oldest call of that id out.
    pub(super) fn take(&mut self, id: CallId) -> Option<Pending> {
        self.calls.take(id)
    }

    /// Takes the oldest call out.
    pub(super) fn take_oldest(&mut self) -> Option<Pending> {
        self.calls.take_oldest()
    }

    /// Takes those out that `which` says, oldest first.
    pub(super) fn take_where(&mut self, which: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        self.calls.take_where(which)
    }

    pub(super) fn end_id(&mut self, id: CallId) {
        self.ended.push(id);
    }

    /// Whether an answer without a request is to be expected: its request was not captured.
    pub(super) fn holed(&self, flow: &Flow, client: Side) -> Option<Finding> {
        if let Some(how) = self.lost[client.index()] {
            return Some(how);
        }
        if flow.key.network != Network::Tcp || !flow.from_start[client.index()] {
            return Some(Finding::MidStream);
        }
        // The capture shows one direction: the SYN of the other one is known by its acknowledgement.
        (flow.bytes[client.index()] == 0).then_some(Finding::Gap)
    }

    /// Both sides have ended: frees what only further messages would need.
    pub fn finish(&mut self) {
        self.ended = Ended::default();
        self.groups = Groups::default();
    }

    /// Whether the call of that id is over.
    pub(super) fn has_ended(&self, id: CallId) -> bool {
        self.ended.contains(id)
    }
}
