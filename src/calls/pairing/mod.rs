//! Pairs requests with answers and makes the call record of each pair.
//!
//! [`PendingCalls`] holds the calls of one connection that wait for their end; the [`Matcher`] holds what all connections
//! share. A decided call stays for a grace period ([`GRACE_PERIOD`]) before it goes on: a second answer, an answer to a
//! one-way call or a message after the end of a stream still becomes a finding of the call that it belongs to.

mod bodies;
mod doubts;
mod ended;
mod endings;
mod grace;
mod groups;
mod headers;
mod kind;
mod late;
mod loose;
mod methods;
mod opening;
mod pending;
mod pending_calls;
mod queue;
mod size;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rpcscope_parsers::event::{Answer, Begin, Head, Open, Part, Prelude, Request};
use rpcscope_parsers::prelude::Address;
use rpcscope_parsers::{CallId, Event, Rpc, Side, Status, Transport};

use bodies::Held;
pub use bodies::Learned;
use grace::Reach;
use headers::Kept;
use kind::{count, is_beside_message};
use loose::Partner;
use pending::{Asked, Began, Pending};
pub use pending_calls::PendingCalls;
use size::{body_size, metadata_size};

use super::marks::Meanings;
use super::names::{Names as Interned, Texts};
use super::outcome::{self, Ending};
use super::record::{Call, CallKind, Finding, Via};
use super::sender::Senders;
use crate::decode::{Endpoint, Network};
use crate::flow::{Flow, Stamp};
use crate::time::Timestamp;

/// How long a decided call stays within reach of what still comes.
pub const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Most calls in their grace period, in all threads together; beyond that the oldest go on early.
const MAX_IN_GRACE: usize = 8192;

/// Most records kept to be used again: as many as a batch of packets brings out of the grace period at once.
const MAX_SPARE: usize = 1024;

/// Most calls that wait on one connection; beyond that the oldest are given up as unanswered.
const MAX_PENDING: usize = 16_384;

/// How many ended ids a connection remembers, so that what comes after the end makes no new call.
const MAX_ENDED: usize = 64;

/// Sessions number the names that they can't know. The bits above these hold the first packet of the connection, so that the
/// numbers of different connections differ.
const GROUP_BITS: u32 = 12;

/// Most bytes of headers kept of one call, and of all calls that wait on one connection; beyond that the oldest are given up.
/// With HPACK, a few octets stand for kilobytes.
const MAX_METADATA: usize = 64 * 1024;
const MAX_PENDING_METADATA: usize = 4 * 1024 * 1024;

/// Most bytes of headers of calls in their grace period.
const MAX_METADATA_IN_GRACE: usize = 8 * 1024 * 1024;

/// Everything that stays the same while one chunk of a connection is read.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The connection.
    pub flow: &'a Flow,
    /// The packet being read.
    pub now: Stamp,
    /// The packet that carried the first byte of the event.
    pub origin: Stamp,
    /// TCP: sequence number of that byte.
    pub position: Option<u32>,
}

/// What all connections share.
#[derive(Debug, Default)]
pub struct Matcher {
    names: Interned,
    /// Texts of errors.
    texts: Texts,
    senders: Senders,
    grace: VecDeque<Box<Call>>,
    /// This matcher's part of [`MAX_IN_GRACE`].
    max_in_grace: usize,
    reach: Reach,
    /// Bytes of headers that they keep.
    grace_metadata: usize,
    /// Records that were written, for new calls: allocating and freeing one costs more than filling it in.
    #[expect(
        clippy::vec_box,
        reason = "they come and go in their boxes, which are what is to be used again"
    )]
    spare: Vec<Box<Call>>,
    /// What the records keep of headers.
    headers: Kept,
    /// Whether [`Call::log_id`] is.
    log_ids: bool,
    /// Bodies that wait for the event with which they go.
    bodies: Held,
    /// See [`Matcher::watched`].
    is_watched: bool,
    /// Calls that were given up because too many waited.
    pub shed: u64,
    /// The end of the last time in which the whole capture was silent.
    resumed: Option<Timestamp>,
}

impl Matcher {
    /// A matcher that keeps the headers of calls if `metadata` says so.
    #[must_use]
    pub fn new(metadata: bool) -> Self {
        let headers = if metadata { Kept::Pairs } else { Kept::Nothing };
        Self { headers, max_in_grace: MAX_IN_GRACE, texts: Texts::lasting(), ..Self::default() }
    }

    /// A matcher for a part (of 1) of all connections, with that part of the room for calls in their grace period.
    #[must_use]
    pub fn for_part(self, part: f64) -> Self {
        Self { max_in_grace: (part * MAX_IN_GRACE as f64) as usize, ..self }
    }

    /// Whether to keep what linking reads of headers where these are not kept.
    #[must_use]
    pub fn marking(mut self, marks: bool) -> Self {
        if marks && matches!(self.headers, Kept::Nothing) {
            self.headers = Kept::Marks(Meanings::default());
        }
        self
    }

    /// Whether somebody waits for the records of calls. If not, calls wait for their answers to the end, however long.
    #[must_use]
    pub fn watched(self, is_watched: bool) -> Self {
        Self { is_watched, ..self }
    }

    /// Whether to keep the log ids of calls.
    #[must_use]
    pub fn with_log_ids(self, log_ids: bool) -> Self {
        Self { log_ids, ..self }
    }

    /// The same, which also keeps the bodies of messages in the calls, and finds descriptions among them.
    #[must_use]
    pub fn with_bodies(mut self, wanted: bool) -> Self {
        self.bodies.wanted = wanted;
        self
    }

    /// The whole capture was silent until `now`, or its clock was set forward: calls that waited then do so from now on.
    pub fn resume(&mut self, now: Timestamp) {
        self.resumed = Some(now);
    }

    /// From here on, keeps the bodies of messages.
    pub fn collect_bodies(&mut self) {
        self.bodies.wanted = true;
    }

    /// Descriptions that passed by since the last time, up to the packet `ready`.
    pub fn learned(&mut self, ready: u64) -> impl Iterator<Item = Learned> {
        self.bodies.learned(ready)
    }

    /// Takes an event of `side`.
    pub fn event(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, event: &Event<'_>) {
        let at = &at;
        if !self.bodies.is_empty() {
            return self.event_with_bodies(at, pending, side, event);
        }
        let read = !matches!(
            event,
            Event::Foreign(_) | Event::Prelude(_) | Event::Lost { .. } | Event::Sealed { .. }
        );
        pending.heard[side.index()] |= read;
        match event {
            Event::Request(request) => self.request(at, pending, side, request),
            Event::Open(open) => self.open_stream(at, pending, side, open),
            Event::Begin(begin) => self.begin(at, pending, side, begin),
            Event::Part(part) => self.part(at, pending, side, part),
            Event::HalfClose(half) if half.head.rpc == Rpc::TrpcStream => {
                Self::half_close(pending, &half.head);
            }
            // Nobody here asks which bytes are those of bodies.
            Event::HalfClose(_) | Event::BodyPiece(_) => {}
            Event::Body(body) => self.bodies.hold(side, body),
            Event::Answer(answer) => self.answer(at, pending, side, answer),
            Event::Reset(reset) => self.reset(at, pending, side, reset),
            Event::GoAway(goaway) => self.goaway(at, pending, side, goaway),
            Event::Complete(complete) => self.complete(at, pending, side, complete),
            Event::Foreign(foreign) => Self::foreign(at, pending, side, foreign),
            Event::Prelude(prelude) => self.prelude(pending, side, prelude),
            Event::Lost { .. } => pending.lose_messages(side),
            Event::Sealed { .. } => pending.lose_sealed(side),
        }
    }

    /// One side of a tRPC stream has ended. Where its opening was not captured, that may be the callee's CLOSE, which is the answer.
    #[cold]
    #[inline(never)]
    fn half_close(pending: &mut PendingCalls, head: &Head) {
        if let Some(waiting) = pending.oldest_of(head.id)
            && waiting.call.positions[0].is_none()
        {
            waiting.answer_lost = true;
        }
    }

    /// What a proxy says of the connection: it comes before all calls.
    fn prelude(&mut self, pending: &mut PendingCalls, side: Side, prelude: &Prelude<'_>) {
        pending.client.get_or_insert(side);
        let mut via = pending.via().map(|via| Via::clone(via)).unwrap_or_default();
        if let Some(source) = prelude.source {
            via.client = Some(Endpoint { ip: source.ip(), port: source.port() });
        }
        let addresses = prelude.source.map(Address::Ip).into_iter().chain(prelude.target);
        via.addresses.extend(addresses.filter_map(|named| self.names.get(named.to_string().as_bytes())));
        pending.rare().via = Some(Arc::new(via));
    }

    fn request(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, request: &Request<'_>) {
        if (at.flow.key.network == Network::Udp || at.flow.overtaken == Some(side))
            && self.overtaken(at, pending, side, request)
        {
            return;
        }
        let mut call = self.caller_opens(at, pending, side, &request.head);
        call.kind = if request.oneway { CallKind::Oneway } else { CallKind::Unary };
        call.request_messages = 1;
        call.timeout = request.timeout;
        self.describe(&mut call, &request.names, request.headers, false);
        self.trace(&mut call, request.headers.filter(|_| request.traced));
        if self.log_ids {
            self.log_id(&mut call, request.headers);
        }
        let is_unread = request.head.truncated && request.head.codec.is_none();
        let asked = if is_unread { Asked::Unread } else { Asked::Message };
        let wait = |call| Pending { asked, ..Pending::new(request.head.id, call, side) };
        if is_behind_its_answer(at, side, request.head.id) {
            self.answered_before(at, pending, wait(call));
        } else if request.oneway {
            pending.end_id(request.head.id);
            let decision = outcome::decide(Ending::Oneway(None), &mut self.texts);
            self.decide(at, pending, wait(call), decision);
        } else {
            pending.add_made(call, wait);
        }
    }

    fn open_stream(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, open: &Open<'_>) {
        let mut call = self.caller_opens(at, pending, side, &open.head);
        (call.kind, call.request_messages) =
            if open.unary { (CallKind::Unary, 1) } else { (CallKind::Stream, 0) };
        call.timeout = open.timeout;
        call.unknown_name = open.unknown_name.map(|number| (at.flow.first.packet << GROUP_BITS) + number);
        self.describe(&mut call, &open.names, open.headers, false);
        self.join_group(pending, &mut call);
        self.trace(&mut call, open.headers.filter(|_| open.traced));
        if self.log_ids {
            self.log_id(&mut call, open.headers);
        }
        let wait = |call| Pending { asked: Asked::Stream, ..Pending::new(open.head.id, call, side) };
        if at.flow.overtaken == Some(side) {
            return self.open_behind_answer(at, pending, wait(call));
        }
        pending.add_made(call, wait);
    }

    /// Lets a stream wait whose answer may have begun before it.
    #[cold]
    #[inline(never)]
    fn open_behind_answer(&mut self, at: &At<'_>, pending: &mut PendingCalls, mut opened: Pending) {
        if is_behind_its_answer(at, opened.client, opened.id) {
            return self.answered_before(at, pending, opened);
        }
        if let Some(Pending { call: begun, .. }) = pending.take(opened.id) {
            let call = &mut opened.call;
            call.positions[1] = begun.positions[1];
            call.response_messages = begun.response_messages;
            call.response_bytes = begun.response_bytes;
            call.message_bytes = begun.message_bytes;
            self.reuse(begun);
        }
        pending.add(opened);
    }

    /// Decides a call whose answer was read before it.
    #[cold]
    #[inline(never)]
    fn answered_before(&mut self, at: &At<'_>, pending: &mut PendingCalls, waiting: Pending) {
        self.broken(at, pending, waiting, Ending::Silence);
    }

    fn begin(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, begin: &Begin<'_>) {
        let holed = [Side::A, Side::B].map(|client| pending.is_holed(at.flow, client));
        // The usual call stays where it waits.
        if let Some(waiting) = pending.oldest_of(begin.head.id) {
            let before = metadata_size(&waiting.call);
            self.begun(at, waiting, begin, holed);
            let more = metadata_size(&waiting.call).saturating_sub(before);
            pending.note_metadata(more);
        } else if let Some(mut waiting) = self.stream(at, pending, side, &begin.head, true) {
            self.begun(at, &mut waiting, begin, holed);
            pending.add(waiting);
        }
    }

    /// Notes the beginning of an answer. `holed`: whether header blocks of a call of either side may have been missed.
    fn begun(&mut self, at: &At<'_>, waiting: &mut Pending, begin: &Begin<'_>, holed: [bool; 2]) {
        let call = &mut waiting.call;
        call.latency.get_or_insert(at.origin.time.since(call.start));
        call.positions[1] = call.positions[1].or(at.position);
        call.response_bytes += begin.head.bytes;
        call.codec = call.codec.or(begin.head.codec);
        if let (Some(headers), true) = (begin.headers, holed[waiting.client.index()]) {
            call.clues.get_or_insert_default().begin(headers);
        }
        waiting.began = match outcome::http_error(begin) {
            Some(http) => Began::Failed(http),
            None if begin.http.is_none() && begin.head.transport == Transport::Http2 => Began::Unread,
            None => Began::Well,
        };
        self.describe(call, &begin.names, begin.headers, true);
    }

    /// The pending call of an event of a stream, taken out; made anew for a stream whose opening was not captured.
    /// `None` if the stream is over, or unknown on a connection of which everything was captured.
    fn stream(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        head: &Head,
        from_callee: bool,
    ) -> Option<Pending> {
        if let Some(waiting) = pending.take(head.id) {
            return Some(waiting);
        }
        if pending.has_ended(head.id) {
            return None;
        }
        // Who calls is known from other streams, or from the kind of the event.
        let client = match pending.client {
            Some(client) => client,
            None if from_callee => side.other(),
            None => return None,
        };
        let how = pending.holed(at.flow, client)?;
        let mut call = self.open(at, pending, client, head);
        call.kind = CallKind::Stream;
        call.findings.insert(how);
        Some(Pending { asked: Asked::Stream, ..Pending::new(head.id, call, client) })
    }

    fn part(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, part: &Part<'_>) {
        let lost = |side: Side| pending.lost[side.index()];
        let how = part.head.truncated.then(|| lost(side).or(lost(side.other())).unwrap_or(Finding::Gap));
        if let Some(waiting) = pending.oldest_of(part.head.id) {
            let given = self.bodies.give_part(at, side, part.head.id, waiting);
            count(waiting, side, at, part, how);
            pending.note_bodies(given);
        } else if pending.has_ended(part.head.id) {
            if let Some(call) = self.decided(at, &part.head)
                && call.outcome.is_error()
                && !part.end_lost
            {
                call.findings.insert(Finding::MessageAfterError);
            }
        } else if part.head.id != CallId::Order {
            // Without a number nothing says that it does not belong to a call that is over.
            if part.unplaced {
                pending.client.get_or_insert_with(|| at.flow.likely_client());
            }
            if let Some(mut waiting) = self.stream(at, pending, side, &part.head, false) {
                self.bodies.give_part(at, side, part.head.id, &mut waiting);
                count(&mut waiting, side, at, part, how);
                if part.unplaced {
                    // What the answer is measured from was not captured.
                    waiting.call.latency = None;
                }
                pending.add(waiting);
            }
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "the most frequent event, and one that has the most to hand over"
    )]
    #[inline(always)]
    fn answer(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, answer: &Answer<'_>) {
        let head = &answer.head;
        let Some(Partner { mut waiting, certain, same_method }) = self.partner(at, pending, side, answer)
        else {
            return;
        };
        // Sent before requests that were captured ahead of it, it may answer one that was not captured.
        let certain = certain && at.flow.overtaken != Some(side);
        pending.note_bodies(self.bodies.give(side, head.id, true, &mut waiting.call));
        self.bodies.note_status(&answer.status, &mut waiting.call);
        let call = &mut waiting.call;
        if call.codec.is_none() && head.codec.is_some() {
            // The payload of the request was cut off, and with it what distinguishes the protocols under TTHeader.
            call.rpc = head.rpc;
            call.codec = head.codec;
        }
        self.describe(call, &answer.names, answer.headers, true);
        if let (false, Some(asked), Some(sent)) = (same_method, &call.method, answer.names.method) {
            let sent = sent.decode();
            if !sent.is_empty() && asked.as_bytes() != &*sent {
                call.findings.insert(Finding::MethodMismatch);
            }
        }
        call.positions[1] = call.positions[1].or(at.position);
        if waiting.asked != Asked::Stream || call.kind == CallKind::Unary {
            call.response_messages = 1;
        }
        call.response_bytes += head.bytes;
        if call.start != at.origin.time || call.packets.0 != at.origin.packet {
            call.latency.get_or_insert(at.origin.time.since(call.start));
        }
        let gave_up = pending.fin[waiting.client.index()];
        let timed_out =
            call.timeout.is_some_and(|limit| limit > 0 && call.latency.is_some_and(|took| took > limit));
        if gave_up || timed_out {
            call.findings.insert(Finding::LateAnswer);
        }
        let body = answer.body || is_beside_message(&waiting, at, pending);
        let call = &mut waiting.call;
        let status = if certain && !waiting.reset_lost { &answer.status } else { &Status::Missing };
        let mut decision = outcome::answered(status, body, &mut self.texts);
        if let Some(other) = pending.foreign_of(side) {
            if decision.outcome.class.is_none() {
                decision = outcome::decide(Ending::Foreign(other.answer.as_deref()), &mut self.texts);
            } else {
                pending.understand(side);
            }
        }
        if answer.oneway && certain && call.request_messages == 0 {
            // The request was not captured; the answer says that none was due. Of one that was captured, callers ask the request.
            if decision.outcome.is_error() {
                call.findings.insert(Finding::OnewayAnswered);
            }
            call.kind = CallKind::Oneway;
            decision = outcome::decide(Ending::Oneway(Some(&answer.status)), &mut self.texts);
        }
        self.weigh_answer(pending, call, decision.outcome.class, answer.quoted.as_ref());
        if let (None, Rpc::Grpc, Some(headers)) = (decision.outcome.class, head.rpc, answer.headers) {
            call.clues.get_or_insert_default().end(headers);
        }
        if head.truncated || decision.outcome.class.is_none() {
            // Where nothing is missing, an answer that says nothing can't be decoded.
            if let Some(how) = pending.holed(at.flow, side) {
                call.findings.insert(how);
            }
        }
        waiting.settle(decision.outcome);
        if head.more {
            waiting.answer = Some(decision.findings);
            pending.add_answered(side, waiting);
        } else {
            let call = &mut waiting.call;
            call.duration = call.latency.map(|_| at.now.time.since(call.start));
            self.answered(at, pending, waiting, decision.findings, at.position);
        }
    }

    /// The call that an answer belongs to, taken out, under the id by which the answer's end will be announced.
    fn partner(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        answer: &Answer<'_>,
    ) -> Option<Partner> {
        let id = answer.head.id;
        let client = side.other();
        if let CallId::Loose(_) = id {
            if let Some(partner) = self.loose_partner(at, pending, client, answer) {
                return Some(partner);
            }
        } else if let Some(waiting) = pending.take_of(id, client) {
            return Some(Partner::certain(waiting));
        }
        let holed = pending.holed(at.flow, client);
        // Peers that leave the number at 0 use it for every call, of which the request may be what is missing.
        if pending.has_ended(id) && (holed.is_none() || id != CallId::Loose(0)) {
            self.answered_again(at, answer);
            return None;
        }
        pending.client.get_or_insert(client);
        let how = holed?;
        pending.doubt(client, how);
        pending.rare().early = (at.flow.bytes[client.index()] == 0).then_some(id);
        let mut call = self.open(at, pending, client, &answer.head);
        call.findings.insert(how);
        let asked = if let CallId::Stream(_) = id {
            call.kind = CallKind::Stream;
            Asked::Stream
        } else {
            Asked::Message
        };
        Some(Partner::certain(Pending { asked, ..Pending::new(id, call, client) }))
    }
}

/// Whether the answer to a call that `side` opens was read before it, so that the next one belongs to the next call. Where calls follow each
/// other, bytes of the callee that a request does not acknowledge are its answer.
fn is_behind_its_answer(at: &At<'_>, side: Side, id: CallId) -> bool {
    at.flow.overtaken == Some(side) && id == CallId::Order
}

#[cfg(test)]
mod tests;
