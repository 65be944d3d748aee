//! The calls of one connection that wait for their end.

use std::sync::Arc;

use rpcscope_parsers::{CallId, Side, Status};

use super::doubts::{Before, Doubts, Held, LateAnswer};
use super::ended::Ended;
use super::groups::Groups;
use super::methods::Methods;
use super::pending::Pending;
use super::queue::Queue;
use super::size::metadata_size;
use crate::calls::outcome::Ending;
use crate::calls::record::{Call, Finding, GoAwayNote, Initiator, Uid, Via};
use crate::decode::Network;
use crate::flow::Flow;
use crate::time::Timestamp;

/// Memory of a call that waits, its headers apart, in bytes: its record, its place in the queue and the indices.
const WAITING: usize = size_of::<Call>() + size_of::<Pending>() + 128;

/// Code and debug data.
type LastGoAway = (i64, Option<String>);

/// An answer that is no message of its protocol.
#[derive(Debug)]
pub(super) struct StrangeAnswer {
    callee: Side,
    /// What it is in words, if it is in a known language.
    pub(super) answer: Option<String>,
}

/// How often a side may lower the stream that its GOAWAYs name; servers do it once.
const MAX_LOWERED: u32 = 64;

/// The streams that a side has refused.
#[derive(Debug, Default)]
struct Refused {
    /// The stream that its last GOAWAY named: no higher one of those that began before `from` waits.
    last: Option<i64>,
    from: Uid,
    /// How often it was lower than the one before.
    lowered: u32,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Calls of unknown names.
    pub(super) groups: Groups,
    /// The last thing that the callee sent, if that is no message of the protocol.
    foreign: Option<StrangeAnswer>,
    /// The GOAWAY of each side that counts.
    goaways: [Option<LastGoAway>; 2],
    /// What the GOAWAYs of each side have refused.
    refused: [Refused; 2],
    /// The last answer that came before anything of the caller was captured.
    pub(super) early: Option<CallId>,
    /// The callee has answered with other numbers than it was asked with.
    pub(super) other_numbers: bool,
    /// What the preludes of the connection named.
    pub(super) via: Option<Arc<Via>>,
}

/// The calls of one connection.
#[derive(Debug, Default)]
pub struct PendingCalls {
    calls: Queue,
    /// What is known of the methods of the connection.
    pub(super) methods: Methods,
    ended: Ended,
    doubts: Option<Box<Doubts>>,
    rare: Option<Box<Rare>>,
    /// Packet and next ordinal of the last identity.
    last_packet: u64,
    next_ordinal: u32,
    /// Bytes of headers that the calls keep: bounded by [`super::MAX_PENDING_METADATA`] and those of one call more.
    metadata: u32,
    /// Bytes of bodies that they keep.
    bodies: u32,
    /// When calls to give up were looked for.
    pub(super) looked: Timestamp,
    /// Calls decided so far.
    pub decided: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How often bytes were lost.
    pub(super) losses: u32,
    /// The side that sent requests, once one did.
    pub(super) client: Option<Side>,
    /// Which sides have sent FIN.
    pub(super) fin: [bool; 2],
    /// What was lost of each side: [`Finding::Gap`] or [`Finding::Truncated`].
    pub(super) lost: [Option<Finding>; 2],
    /// Which sides sent a message that was read.
    pub(super) heard: [bool; 2],
}

/// Most answers remembered that came after the caller had closed.
const MAX_LATE: usize = 64;

impl PendingCalls {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// What the preludes of the connection named.
    #[must_use]
    pub fn via(&self) -> Option<&Arc<Via>> {
        self.rare.as_deref()?.via.as_ref()
    }

    /// The same, if there is any.
    pub(super) fn rare_if_any(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    fn doubts(&mut self) -> &mut Doubts {
        self.doubts.get_or_insert_default()
    }

    /// The first identity of a call that is still to come.
    fn next_uid(&self) -> Uid {
        Uid { packet: self.last_packet, ordinal: self.next_ordinal }
    }

    /// All calls so far, and those whose requests were captured before the first bytes behind the last hole of `side`.
    fn before(&mut self, side: Side) -> Before {
        Before { uid: self.next_uid(), packet: self.doubts().behind[side.index()] }
    }

    /// Remembers that bytes of `side` were lost, and how; `behind` is the packet of the first bytes that were captured of those that
    /// follow. The end of an open stream may be among them, whoever ended it: a later one is then only the second.
    pub fn lose(&mut self, side: Side, how: Finding, behind: u64) {
        self.lost[side.index()] = Some(how);
        self.losses = self.losses.wrapping_add(1);
        self.doubts().behind[side.index()] = behind;
        let before = self.before(side);
        self.doubts().streams.note(how, before);
    }

    /// Remembers that bytes of `side` stay encrypted. If that is because the capture lacks packets, it is known how. Nobody knows whether
    /// the next ones can be read, so that no later silence proves anything.
    pub(super) fn lose_sealed(&mut self, side: Side) {
        let behind = self.doubts().behind[side.index()];
        self.lose(side, self.lost[side.index()].unwrap_or(Finding::Gap), behind);
        let uid = self.next_uid();
        self.doubts().unread[side.other().index()].extend(Before { uid, packet: u64::MAX });
    }

    /// An answer came that fits none of the calls which `client` waits for: it may be the answer of one. Where bytes were
    /// cut off it is: the number by which it would be found was among them.
    pub(super) fn doubt(&mut self, client: Side, how: Finding) {
        let before = self.before(client.other());
        let doubts = self.doubts();
        doubts.answers[client.index()].note(how, before);
        if how == Finding::Truncated {
            doubts.unread[client.index()].extend(before);
        }
    }

    /// Marks a call of `client` with what was lost while it waited.
    #[inline]
    pub(super) fn mark(&self, call: &mut Call, stream: bool, client: Side) {
        if let Some(doubts) = &self.doubts {
            doubts.mark(call, stream, client);
        }
    }

    /// Packets of either side may be lost without a hole that shows it: the answers of all pending calls may be among them.
    pub fn doubt_answers(&mut self) {
        let before = Before { uid: self.next_uid(), packet: 0 };
        let doubts = self.doubts();
        doubts.unread.iter_mut().for_each(|unread| unread.extend(before));
        doubts.answers.iter_mut().for_each(|losses| losses.note(Finding::Gap, before));
        doubts.order = Some(Finding::Gap);
    }

    /// Whether the answer to a call may stand in bytes that could not be read.
    pub(super) fn is_answer_lost(&self, waiting: &Pending) -> bool {
        waiting.answer_lost || self.has_lost(waiting.client.other(), &waiting.call)
    }

    /// Whether `side` sent bytes that could not be read, since `call` began, in which messages may have stood.
    pub(super) fn has_lost(&self, side: Side, call: &Call) -> bool {
        self.doubts.as_ref().is_some_and(|doubts| doubts.unread[side.other().index()].touches(call))
    }

    /// Whether packets of either side were lost since `call` began.
    pub(super) fn has_lost_packets(&self, call: &Call) -> bool {
        self.doubts.as_ref().is_some_and(|doubts| doubts.streams.has_gap(call))
    }

    /// Whether an answer came that fits no call, and may be that of this one.
    pub(super) fn may_be_answered(&self, waiting: &Pending) -> bool {
        self.doubts
            .as_ref()
            .is_some_and(|doubts| doubts.answers[waiting.client.index()].touches(&waiting.call))
    }

    /// The first call of `client` whose answer can't have been lost.
    pub(super) fn first_certain(&self, client: Side) -> Uid {
        self.doubts.as_ref().map_or(Uid::default(), |doubts| doubts.unread[client.index()].uid)
    }

    /// How messages were lost, as long as that puts in doubt which of several calls with the same number an answer belongs to.
    pub(super) fn order_lost(&self) -> Option<Finding> {
        self.doubts.as_ref().and_then(|doubts| doubts.order)
    }

    /// If no call waits, later answers belong to later calls.
    pub(super) fn restore_order(&mut self) {
        if let Some(doubts) = &mut self.doubts
            && self.calls.is_empty()
        {
            doubts.order = None;
        }
    }

    /// Remembers a call that was answered after its caller had closed.
    pub(super) fn note_late(&mut self, late: LateAnswer) {
        let late_ones = &mut self.doubts().late;
        if late_ones.len() < MAX_LATE {
            late_ones.push(late);
        }
    }

    /// Keeps a call until it is known whether its answer was read; gives it back if there are too many.
    pub(super) fn hold(&mut self, held: Held) -> Option<Held> {
        let all = &mut self.doubts().held;
        if all.len() < MAX_LATE {
            all.push(held);
            return None;
        }
        Some(held)
    }

    /// Whether there may be such calls.
    #[inline]
    pub(super) fn holds_some(&self) -> bool {
        self.doubts.is_some()
    }

    /// Takes these calls out.
    pub(super) fn take_held(&mut self) -> Vec<Held> {
        self.doubts.as_mut().map(|doubts| std::mem::take(&mut doubts.held)).unwrap_or_default()
    }

    /// Takes those out that were decided.
    pub(super) fn take_late(&mut self) -> Vec<LateAnswer> {
        self.doubts.as_mut().map(|doubts| std::mem::take(&mut doubts.late)).unwrap_or_default()
    }

    /// What of the callee's packets was not captured, so that its silence proves nothing: some, all of them, or those from before
    /// the capture, if none that was captured could be read. A server may have said by then why it will answer nothing.
    pub(super) fn unheard(&self, flow: &Flow, callee: Side) -> Option<Finding> {
        let tcp = flow.key.network == Network::Tcp;
        let none = Self::is_uncaptured(flow, callee);
        let unread = tcp && !flow.from_start[callee.index()] && !self.heard[callee.index()];
        self.lost[callee.index()].or(none.then_some(Finding::Gap)).or(unread.then_some(Finding::MidStream))
    }

    /// Whether no packet of a side was captured although there must have been some.
    pub(super) fn is_uncaptured(flow: &Flow, side: Side) -> bool {
        flow.key.network == Network::Tcp && flow.segments[side.index()] == 0
    }

    /// Remembers a GOAWAY. Graceful servers send one more with the same code when they know the last stream
    /// (RFC 9113, section 6.8), and some give their reason only in the first. Some close without an error code after one with
    /// an error: that is what happened.
    pub(super) fn note_goaway(&mut self, side: Side, code: i64, text: Option<String>) {
        let known = side.of_mut(&mut self.rare().goaways);
        if code == 0 && known.as_ref().is_some_and(|(before, _)| *before != 0) {
            return;
        }
        let before = known.take().filter(|(before, _)| *before == code).and_then(|(_, text)| text);
        *known = Some((code, text.or(before)));
    }

    /// The GOAWAY that counts for calls of `client`: the callee's rather than the caller's own.
    pub(super) fn goaway_for(&self, client: Side) -> Option<Box<GoAwayNote>> {
        let note = |side: Side, by| {
            let (code, text) = side.of(&self.rare.as_deref()?.goaways).clone()?;
            Some(Box::new(GoAwayNote { by, code, text }))
        };
        note(client.other(), Initiator::Server).or_else(|| note(client, Initiator::Client))
    }

    /// `callee` answers with something that is no message: what the words say, if it is in a known language.
    pub(super) fn note_foreign(&mut self, callee: Side, answer: Option<String>) {
        self.rare().foreign = Some(StrangeAnswer { callee, answer });
    }

    /// What `callee` answered last, if that is no message.
    pub(super) fn foreign_of(&self, callee: Side) -> Option<&StrangeAnswer> {
        self.rare.as_deref()?.foreign.as_ref().filter(|strange| strange.callee == callee)
    }

    /// The callee's answers are read again: what was none of them was not the end, and the client could decode it.
    #[cold]
    pub(super) fn understand(&mut self, callee: Side) {
        if let Some(rare) = &mut self.rare
            && rare.foreign.take_if(|strange| strange.callee == callee).is_some()
        {
            self.lose_answers(callee);
        }
    }

    /// Remembers that the answers to the calls which wait for `side` may stand in bytes that could not be read.
    pub(super) fn lose_answers(&mut self, side: Side) {
        let before = self.before(side);
        self.doubts().unread[side.other().index()].extend(before);
    }

    /// Marks a call that `side` opens if its answer may have been captured before it.
    #[cold]
    #[inline(never)]
    pub(super) fn doubt_early(&mut self, flow: &Flow, side: Side, id: CallId, call: &mut Call) {
        let early = self.rare.as_mut().and_then(|rare| rare.early.take_if(|early| *early == id));
        if early.is_some() || flow.overtaken == Some(side) {
            call.findings.insert(Finding::Gap);
            self.lose_answers(side.other());
        }
    }

    /// Remembers that messages of `side` may stand in bytes that could not be read: requests, or the answers to the calls that
    /// wait for it.
    pub fn lose_messages(&mut self, side: Side) {
        let how = self.lost[side.index()].unwrap_or(Finding::Gap);
        self.lose_answers(side);
        self.doubts().order = Some(how);
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
        if self.last_packet != packet {
            (self.last_packet, self.next_ordinal) = (packet, 0);
        }
        let uid = Uid { packet, ordinal: self.next_ordinal };
        self.next_ordinal += 1;
        uid
    }

    /// Lets a new call wait, which `make` makes of its record.
    #[expect(clippy::inline_always, reason = "a call is then made where it waits")]
    #[inline(always)]
    pub(super) fn add_made(&mut self, call: Box<Call>, make: impl FnOnce(Box<Call>) -> Pending) {
        self.note_metadata(metadata_size(&call));
        self.calls.insert_made(|| make(call));
    }

    /// Lets a call wait until the rest of its answer has come.
    pub(super) fn add(&mut self, pending: Pending) {
        self.note_metadata(metadata_size(&pending.call));
        self.calls.insert(pending);
    }

    /// A call that waits has headers of so many bytes more.
    #[inline]
    pub(super) fn note_metadata(&mut self, bytes: usize) {
        if bytes > 0 {
            self.metadata = self.metadata.saturating_add(bytes as u32);
        }
    }

    /// Bytes of headers of those that wait.
    pub(super) fn metadata(&self) -> usize {
        self.metadata as usize
    }

    /// About how many bytes of memory they take.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.calls.len() * WAITING + self.metadata() + self.bodies as usize
    }

    /// Frees room for calls that do not wait any more.
    pub fn shrink(&mut self) {
        self.calls.shrink();
    }

    /// Reads what the next event will need: its own parts stand in different cache lines, and so do those of the oldest call.
    /// The sum means nothing.
    #[must_use]
    pub fn warm(&self) -> u64 {
        let oldest = self.calls.iter().next().map(|waiting| &waiting.call);
        let call = oldest.map_or(0, |call| call.uid.packet + call.packets.1 + call.response_bytes);
        let own = self.decided + self.last_packet + u64::from(self.losses) + u64::from(self.ended.is_empty());
        own.wrapping_add(call)
    }

    /// Counts a call that no longer waits.
    #[inline]
    fn gone(&mut self, pending: Option<Pending>) -> Option<Pending> {
        if self.metadata > 0
            && let Some(pending) = &pending
        {
            self.metadata = self.metadata.saturating_sub(metadata_size(&pending.call) as u32);
        }
        pending
    }

    /// Calls that wait have bodies of so many bytes more.
    #[inline]
    pub(super) fn note_bodies(&mut self, bytes: usize) {
        if bytes > 0 {
            self.bodies = self.bodies.saturating_add(bytes as u32);
        }
    }

    /// A call with bodies of so many bytes is decided.
    #[cold]
    pub(super) fn drop_bodies(&mut self, bytes: usize) {
        self.bodies = self.bodies.saturating_sub(bytes as u32);
    }

    /// Whether no call waits, and none that is decided can still change.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_empty() && self.doubts.is_none()
    }

    /// Whether no call waits.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many calls wait.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The one call that waits, if there is just one.
    pub(super) fn only(&self) -> Option<&Pending> {
        self.calls.iter().next().filter(|_| self.calls.len() == 1)
    }

    /// The oldest call of that id that began at `from` or later.
    pub(super) fn first_of(&self, id: CallId, from: Uid) -> Option<&Pending> {
        self.calls.first_of(id, from)
    }

    /// The same of a [`CallId::Loose`], of that method or of none that is known.
    pub(super) fn first_named(&self, id: CallId, method: &[u8], from: Uid) -> Option<&Pending> {
        self.calls.first_named(id, method, from)
    }

    /// Takes a call out.
    pub(super) fn remove(&mut self, uid: Uid) -> Option<Pending> {
        let pending = self.calls.remove(uid);
        self.gone(pending)
    }

    /// The same, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.calls.iter_mut()
    }

    /// Lets a call wait for the rest of its answer, which `side` sends.
    pub(super) fn add_answered(&mut self, side: Side, pending: Pending) {
        let (id, uid) = (pending.id, pending.call.uid);
        self.add(pending);
        if self.calls.find(id).is_some_and(|oldest| oldest.call.uid != uid) {
            self.doubts().answering[side.index()] = Some(uid);
        } else if let Some(doubts) = &mut self.doubts {
            doubts.answering[side.index()] = None;
        }
    }

    /// The call of that id to whose answer belongs what `side` sends now.
    pub(super) fn answered_by(&mut self, side: Side, id: CallId) -> Option<&mut Pending> {
        let answering = self.doubts.as_ref().and_then(|doubts| doubts.answering[side.index()]);
        match answering {
            Some(uid) => self.calls.get_mut(uid),
            None => self.calls.find(id),
        }
    }

    /// The same, taken out.
    pub(super) fn take_answered_by(&mut self, side: Side, id: CallId) -> Option<Pending> {
        let answering = self.doubts.as_mut().and_then(|doubts| doubts.answering[side.index()].take());
        match answering {
            Some(uid) => self.remove(uid),
            None => self.take(id),
        }
    }

    /// The oldest call of that id.
    #[inline]
    pub(super) fn oldest_of(&mut self, id: CallId) -> Option<&mut Pending> {
        self.calls.find(id)
    }

    /// The newest call of that id.
    pub(super) fn newest_of(&mut self, id: CallId) -> Option<&mut Pending> {
        self.calls.newest(id)
    }

    /// What is known of the end of a call whose HTTP status can't be read.
    pub(super) fn unread_status(&self, waiting: &mut Pending) -> Ending<'static> {
        let how = self.lost[waiting.client.other().index()].unwrap_or(Finding::MidStream);
        waiting.call.findings.insert(how);
        Ending::Answered { status: &Status::Missing, body: false }
    }

    /// Takes the oldest call of that id out.
    pub(super) fn take(&mut self, id: CallId) -> Option<Pending> {
        let pending = self.calls.take(id);
        self.gone(pending)
    }

    /// The same if it is one of `client`.
    pub(super) fn take_of(&mut self, id: CallId, client: Side) -> Option<Pending> {
        let pending = self.calls.take_if(id, |waiting| waiting.client == client);
        self.gone(pending)
    }

    /// Takes the only call out, if it is one that `which` says and nothing was lost that puts its answer in doubt.
    #[inline]
    pub(super) fn take_only(&mut self, which: impl Fn(&Pending) -> bool) -> Option<Pending> {
        if self.doubts.is_some() {
            return None;
        }
        let pending = self.calls.take_only(which);
        self.gone(pending)
    }

    /// Takes the oldest call out.
    pub(super) fn take_oldest(&mut self) -> Option<Pending> {
        let pending = self.calls.take_oldest();
        self.gone(pending)
    }

    /// Takes the streams out that `side` refuses by a GOAWAY that names `last`. Each GOAWAY looks only at those that were opened
    /// since the one before, unless it names a lower stream, which is believed a few times.
    pub(super) fn take_refused(&mut self, side: Side, last: i64) -> Vec<Pending> {
        let now = self.next_uid();
        let Refused { last: before, from, lowered } = side.of_mut(&mut self.rare().refused);
        if before.is_none_or(|before| last < before) {
            if *lowered == MAX_LOWERED {
                return Vec::new();
            }
            *lowered += 1;
            *from = Uid::default();
        }
        let from = std::mem::replace(from, now);
        *before = Some(last);
        let refused =
            |waiting: &Pending| matches!(waiting.id, CallId::Stream(n) if n > last) && waiting.client != side;
        let taken = self.calls.take_from(from, refused);
        self.let_go(&taken);
        taken
    }

    /// Counts calls that no longer wait.
    fn let_go(&mut self, taken: &[Pending]) {
        let bytes: usize = taken.iter().map(|pending| metadata_size(&pending.call)).sum();
        self.metadata = self.metadata.saturating_sub(bytes as u32);
    }

    /// Takes those out that `which` says, oldest first.
    pub(super) fn take_where(&mut self, which: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let taken = self.calls.take_where(which);
        self.let_go(&taken);
        taken
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

    /// Whether header blocks of either side may have been missed, so that fields of later ones can't be read.
    pub(super) fn is_holed(&self, flow: &Flow, client: Side) -> bool {
        self.lost != [None; 2] || self.holed(flow, client).is_some()
    }

    /// Both sides have ended: frees what only further messages would need.
    pub fn finish(&mut self) {
        self.ended = Ended::default();
        if let Some(rare) = &mut self.rare {
            rare.groups = Groups::default();
        }
        self.methods = Methods::default();
        let waits = !self.calls.is_empty();
        self.doubts.take_if(|doubts| !waits && doubts.held.is_empty() && doubts.late.is_empty());
    }

    /// Whether the call of that id is over.
    pub(super) fn has_ended(&self, id: CallId) -> bool {
        self.ended.contains(id)
    }
}
