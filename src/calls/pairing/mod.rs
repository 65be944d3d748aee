//! Pairs requests with answers and makes the call record of each pair.
//!
//! [`PendingCalls`] holds the calls of one connection that wait for their end; the [`Matcher`] holds what all connections
//! share. A decided call stays for a grace period ([`GRACE_PERIOD`]) before it goes on: a second answer, an answer to a
//! one-way call or a message after the end of a stream still becomes a finding of the call that it belongs to.

mod bodies;
mod ended;
mod grace;
mod groups;
mod kind;
mod late;
mod loose;
mod methods;
mod pending_calls;
mod queue;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rpcscope_parsers::event::{
    Answer, Begin, Complete, Foreign, GoAway, Head, Headers, Names, Open, Pairs, Part, Prelude, Request,
    Reset, Text,
};
use rpcscope_parsers::prelude::Address;
use rpcscope_parsers::{CallId, Event, Rpc, Side, Status, Transport};

use bodies::Held;
pub use bodies::Learned;
use grace::Reach;
use kind::{is_beside_message, stream_kind};
use loose::Partner;
pub use pending_calls::PendingCalls;
use pending_calls::{Pending, body_size, metadata_size};

use super::marks::{self, Marks};
use super::names::Names as Interned;
use super::outcome::{self, Decision, Ending};
use super::record::{Call, CallKind, Class, Finding, GoAwayNote, Initiator, Name, Via};
use super::sender::Senders;
use super::trace;
use crate::decode::{Endpoint, Network};
use crate::flow::{End, Flow, Stamp};
use crate::time::Timestamp;

/// How long a decided call stays within reach of what still comes.
pub const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Most calls in their grace period; beyond that the oldest go on early.
const MAX_IN_GRACE: usize = 8192;

/// Most records kept to be used again: as many as a batch of packets brings out of the grace period at once.
const MAX_SPARE: usize = 1024;

/// Most calls that wait on one connection; beyond that the oldest are given up as unanswered.
const MAX_PENDING: usize = 16_384;

/// How many ended ids a connection remembers, so that what comes after the end makes no new call.
const MAX_ENDED: usize = 64;

/// A call on a connection that goes on is given up as unanswered after this time (streams never are).
const PATIENCE: Duration = Duration::from_secs(600);

/// Sessions number the names that they can't know. The bits above these hold the first packet of the connection, so that the
/// numbers of different connections differ.
const GROUP_BITS: u32 = 12;

/// How often a connection looks for calls to give up.
const PATIENCE_STEP: Duration = Duration::from_secs(30);

/// Most header pairs kept of one message, and the longest value kept.
const MAX_PAIRS: usize = 256;
const MAX_VALUE: usize = 16 * 1024;

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
    senders: Senders,
    grace: VecDeque<Box<Call>>,
    reach: Reach,
    /// Bytes of headers that they keep.
    grace_metadata: usize,
    /// Records that were written, for new calls: allocating and freeing one costs more than filling it in.
    #[expect(
        clippy::vec_box,
        reason = "they come and go in their boxes, which are what is to be used again"
    )]
    spare: Vec<Box<Call>>,
    /// Whether headers are kept in the records.
    metadata: bool,
    /// Whether [`Call::marks`] are, where headers are not.
    marks: bool,
    /// Whether [`Call::log_id`] is.
    log_ids: bool,
    /// Bodies that wait for the event with which they go.
    bodies: Held,
    /// Calls that were given up because too many waited.
    pub shed: u64,
    /// The end of the last time in which the whole capture was silent.
    resumed: Option<Timestamp>,
}

impl Matcher {
    /// A matcher that keeps the headers of calls if `metadata` says so.
    #[must_use]
    pub fn new(metadata: bool) -> Self {
        Self { metadata, ..Self::default() }
    }

    /// Whether to keep what linking reads of headers where these are not kept.
    #[must_use]
    pub fn marking(self, marks: bool) -> Self {
        Self { marks: marks && !self.metadata, ..self }
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
        if !self.bodies.is_empty() && !matches!(event, Event::Body(_)) {
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

    fn request(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, request: &Request<'_>) {
        if at.flow.key.network == Network::Udp && self.overtaken(at, pending, side, request) {
            return;
        }
        let mut waiting = self.caller_opens(at, pending, side, &request.head);
        waiting.type_unread = request.head.truncated && request.head.codec.is_none();
        let call = &mut waiting.call;
        call.kind = if request.oneway { CallKind::Oneway } else { CallKind::Unary };
        call.request_messages = 1;
        call.timeout = request.timeout;
        self.describe(call, &request.names, request.headers, false);
        self.trace(call, request.headers.filter(|_| request.custom));
        if self.log_ids {
            self.log_id(call, request.headers);
        }
        if request.oneway {
            pending.end_id(request.head.id);
            self.decide(at, pending, waiting, outcome::decide(Ending::Oneway(None)));
        } else {
            pending.add(waiting);
        }
    }

    fn open_stream(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, open: &Open<'_>) {
        let mut waiting = self.caller_opens(at, pending, side, &open.head);
        waiting.stream = true;
        let call = &mut waiting.call;
        (call.kind, call.request_messages) =
            if open.unary { (CallKind::Unary, 1) } else { (CallKind::Stream, 0) };
        call.timeout = open.timeout;
        call.unknown_name = open.unknown_name.map(|number| (at.flow.first.packet << GROUP_BITS) + number);
        self.describe(call, &open.names, open.headers, false);
        self.join_group(pending, call);
        self.trace(call, open.headers.filter(|_| open.custom));
        if self.log_ids {
            self.log_id(call, open.headers);
        }
        pending.add(waiting);
    }

    /// The record of a call whose opening was captured.
    fn caller_opens(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, head: &Head) -> Pending {
        pending.client.get_or_insert(side);
        self.give_up(at, pending);
        let mut waiting = self.open(at, pending, side, head);
        pending.note_bodies(self.bodies.give(side, head.id, false, &mut waiting.call));
        waiting.call.request_bytes = head.bytes;
        waiting.call.positions[0] = at.position;
        if pending.rare_if_any().is_some_and(|rare| rare.early.take_if(|early| *early == head.id).is_some()) {
            // Its answer may have been captured before it.
            waiting.call.findings.insert(Finding::Gap);
        }
        if head.truncated
            && let Some(how) = pending.lost[side.index()]
        {
            waiting.call.findings.insert(how);
        }
        waiting
    }

    /// A record of a call that `client` opens, with nothing known yet but who and when.
    fn open(&mut self, at: At<'_>, pending: &mut PendingCalls, client: Side, head: &Head) -> Pending {
        let key = &at.flow.key;
        let uid = pending.uid(at.flow.last.packet);
        let call = Call {
            end: at.now.time,
            decided: at.now.packet,
            transport: head.transport,
            network: key.network,
            rpc: head.rpc,
            codec: head.codec,
            id: head.id.number(),
            packets: (at.origin.packet, at.now.packet),
            connection: at.flow.first.packet,
            since_opening: since_opening(at, client),
            capture_point: key.capture_point,
            via: pending.via().cloned(),
            ..Call::new(uid, at.origin.time, key.endpoint(client), key.endpoint(client.other()))
        };
        let call = match self.spare.pop() {
            Some(mut spare) => {
                *spare = call;
                spare
            }
            None => Box::new(call),
        };
        Pending {
            id: head.id,
            call,
            client,
            answer: None,
            stream: false,
            answer_lost: false,
            reset_lost: false,
            type_unread: false,
            http_error: None,
            last_message: 0,
            status_unread: false,
        }
    }

    /// Takes a record back that nobody reads any more.
    pub fn reuse(&mut self, call: Box<Call>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(call);
        }
    }

    /// Fills in what the record does not know yet from the names and headers of either side.
    #[inline]
    fn describe(&mut self, call: &mut Call, said: &Names<'_>, headers: Headers<'_>, answer: bool) {
        // Most answers: those of HTTP/2 name nothing, and those of Thrift what the request has named.
        let is_news = said.service.is_some()
            || said.caller.is_some()
            || said.callee.is_some()
            || (said.method.is_some() && call.method.is_none());
        if is_news || !answer || self.metadata {
            self.describe_by(call, said, headers, answer);
        }
    }

    fn describe_by(&mut self, call: &mut Call, said: &Names<'_>, headers: Headers<'_>, answer: bool) {
        let interned = &mut self.names;
        let mut name = |into: &mut Option<Name>, text: Option<Text<'_>>| {
            if let Some(text) = text
                && into.is_none()
            {
                *into = interned.get(&text.decode());
            }
        };
        name(&mut call.service, said.service);
        name(&mut call.method, said.method);
        name(&mut call.caller, said.caller);
        name(&mut call.callee, said.callee);
        if let Some(sender) = said.sender.filter(|_| !answer) {
            call.sender = self.senders.get(sender);
        }
        if let Some(headers) = headers {
            if self.metadata {
                keep(&mut call.metadata, answer, headers);
            } else if self.marks && !answer {
                mark(&mut call.marks, headers);
            }
        }
    }

    fn trace(&mut self, call: &mut Call, headers: Headers<'_>) {
        if let Some(headers) = headers {
            let trace = trace::context(headers);
            call.trace_id = trace.trace_id.and_then(|id| self.names.get(id.as_bytes()));
            call.span_id = trace.span_id.and_then(|id| self.names.get(id.as_bytes()));
        }
    }

    // Apart, so that runs without it do not pay for its registers.
    #[inline(never)]
    fn log_id(&mut self, call: &mut Call, headers: Headers<'_>) {
        let id = headers.and_then(marks::log_id);
        call.log_id = id.and_then(|id| self.names.get(id.as_bytes()));
    }

    fn begin(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, begin: &Begin<'_>) {
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
    fn begun(&mut self, at: At<'_>, waiting: &mut Pending, begin: &Begin<'_>, holed: [bool; 2]) {
        let call = &mut waiting.call;
        call.latency.get_or_insert(at.origin.time.since(call.start));
        call.positions[1] = call.positions[1].or(at.position);
        call.response_bytes += begin.head.bytes;
        call.codec = call.codec.or(begin.head.codec);
        if let (Some(headers), true) = (begin.headers, holed[waiting.client.index()]) {
            call.clues.get_or_insert_default().begin(headers);
        }
        waiting.http_error = outcome::http_error(begin);
        waiting.status_unread = begin.http.is_none() && begin.head.transport == Transport::Http2;
        self.describe(call, &begin.names, begin.headers, true);
    }

    /// The pending call of an event of a stream, taken out; made anew for a stream whose opening was not captured.
    /// `None` if the stream is over, or unknown on a connection of which everything was captured.
    fn stream(
        &mut self,
        at: At<'_>,
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
        let mut waiting = self.open(at, pending, client, head);
        waiting.stream = true;
        waiting.call.kind = CallKind::Stream;
        waiting.call.findings.insert(how);
        Some(waiting)
    }

    fn part(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, part: &Part<'_>) {
        let how = pending.lost[side.index()].or(pending.lost[side.other().index()]).unwrap_or(Finding::Gap);
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

    fn answer(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, answer: &Answer<'_>) {
        let head = &answer.head;
        let Some(Partner { mut waiting, certain }) = self.partner(at, pending, side, answer) else { return };
        pending.note_bodies(self.bodies.give(side, head.id, true, &mut waiting.call));
        self.bodies.note_status(&answer.status, &mut waiting.call);
        let call = &mut waiting.call;
        if call.codec.is_none() && head.codec.is_some() {
            // The payload of the request was cut off, and with it what distinguishes the protocols under TTHeader.
            call.rpc = head.rpc;
            call.codec = head.codec;
        }
        self.describe(call, &answer.names, answer.headers, true);
        if let (Some(asked), Some(sent)) = (&call.method, answer.names.method) {
            let sent = sent.decode();
            if !sent.is_empty() && asked.as_bytes() != &*sent {
                call.findings.insert(Finding::MethodMismatch);
            }
        }
        call.positions[1] = call.positions[1].or(at.position);
        if !waiting.stream || call.kind == CallKind::Unary {
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
        let mut decision = outcome::decide(Ending::Answered { status, body });
        if let (None, Some(other)) = (decision.outcome.class, pending.foreign_of(side)) {
            decision = outcome::decide(Ending::Foreign(other.answer.as_deref()));
        } else if decision.outcome.class.is_some() {
            pending.understand(side);
        }
        if answer.oneway && certain {
            // The request was not captured; the answer says that none was due.
            if decision.outcome.is_error() {
                call.findings.insert(Finding::OnewayAnswered);
            }
            call.kind = CallKind::Oneway;
            decision = outcome::decide(Ending::Oneway(Some(&answer.status)));
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
        if head.more {
            waiting.answer = Some(Box::new(decision));
            pending.add(waiting);
        } else {
            call.duration = call.latency.map(|_| at.now.time.since(call.start));
            self.answered(at, pending, waiting, decision, at.position);
        }
    }

    /// The call that an answer belongs to, taken out, under the id by which the answer's end will be announced.
    fn partner(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        answer: &Answer<'_>,
    ) -> Option<Partner> {
        let id = answer.head.id;
        let client = side.other();
        let holed = pending.holed(at.flow, client);
        if let CallId::Loose(_) = id {
            if let Some(partner) = self.loose_partner(at, pending, client, answer, holed) {
                return Some(partner);
            }
        } else if let Some(waiting) = pending.take_of(id, client) {
            return Some(Partner::certain(waiting));
        }
        // Peers that leave the number at 0 use it for every call, of which the request may be what is missing.
        if pending.has_ended(id) && (holed.is_none() || id != CallId::Loose(0)) {
            self.answered_again(at, answer);
            return None;
        }
        pending.client.get_or_insert(client);
        let how = holed?;
        pending.doubt(client, how);
        pending.rare().early = (at.flow.bytes[client.index()] == 0).then_some(id);
        let mut waiting = self.open(at, pending, client, &answer.head);
        waiting.call.findings.insert(how);
        waiting.stream = matches!(id, CallId::Stream(_));
        if waiting.stream {
            waiting.call.kind = CallKind::Stream;
        }
        Some(Partner::certain(waiting))
    }

    fn reset(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, reset: &Reset<'_>) {
        let Some(mut waiting) = self.stream(at, pending, side, &reset.head, false) else { return };
        waiting.call.codec = waiting.call.codec.or(reset.head.codec);
        self.describe(&mut waiting.call, &reset.names, reset.headers, side != waiting.client);
        let by = initiator(side, waiting.client);
        if side == waiting.client
            && let Some(how) = pending.unheard(at.flow, side.other())
        {
            waiting.call.findings.insert(how);
        }
        pending.end_id(reset.head.id);
        let mut ending = Ending::Reset { by, reset };
        if waiting.status_unread {
            ending = pending.unread_status(&mut waiting);
        }
        let decision = outcome::decide(Self::ending_of(pending, &waiting, ending));
        self.decide(at, pending, waiting, decision);
    }

    fn goaway(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, goaway: &GoAway<'_>) {
        let code = goaway.code;
        let text = goaway.text.map(|text| String::from_utf8_lossy(&text.decode()).into_owned());
        pending.note_goaway(side, code, text);
        let Some(last) = goaway.last_stream else { return };
        for mut waiting in pending.take_refused(side, last) {
            waiting.call.goaway = pending.goaway_for(side.other());
            let by = initiator(side, waiting.client);
            pending.end_id(waiting.id);
            let decision = outcome::decide(Self::ending_of(pending, &waiting, Ending::Goaway { by, code }));
            self.decide(at, pending, waiting, decision);
        }
    }

    /// `side` answers with something that is no message. Who waits for it waits on: the client may read on all the same.
    fn foreign(at: At<'_>, pending: &mut PendingCalls, side: Side, foreign: &Foreign<'_>) {
        let gave_up = pending.fin[side.other().index()];
        for waiting in pending.iter_mut().filter(|waiting| waiting.client != side) {
            // What a server says before it is asked took no time.
            if at.origin.packet >= waiting.call.packets.0 {
                waiting.call.latency.get_or_insert(at.origin.time.since(waiting.call.start));
            }
            if gave_up {
                waiting.call.findings.insert(Finding::LateAnswer);
            }
        }
        pending.note_foreign(side, foreign.answer.map(|answer| answer.to_string()));
    }

    /// How a call ends for which no status came: what was seen of its answer counts more than who broke it off.
    fn ending_of<'e>(pending: &'e PendingCalls, waiting: &Pending, ending: Ending<'e>) -> Ending<'e> {
        match (waiting.http_error, pending.foreign_of(waiting.client.other())) {
            (Some(http), _) => Ending::HttpError(http),
            (None, Some(strange)) => Ending::Foreign(strange.answer.as_deref()),
            (None, None) => ending,
        }
    }

    fn complete(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, complete: &Complete) {
        if pending.client == Some(side) {
            if let Some(waiting) = pending.newest_of(complete.id) {
                let given = self.bodies.give_part(at, side, complete.id, waiting);
                // A stream has summed its messages up as they began.
                if !waiting.stream {
                    waiting.call.request_bytes = complete.bytes;
                }
                pending.note_bodies(given);
            }
            return;
        }
        let Some(waiting) = pending.oldest_of(complete.id) else { return };
        let given = self.bodies.give_part(at, side, complete.id, waiting);
        let is_answered = waiting.answer.is_some();
        pending.note_bodies(given);
        if !is_answered {
            return;
        }
        let Some(mut waiting) = pending.take(complete.id) else { return };
        let Some(decision) = waiting.answer.take() else { return };
        let call = &mut waiting.call;
        if !waiting.stream {
            call.response_bytes = complete.bytes;
        }
        call.duration = call.latency.map(|_| at.origin.time.since(call.start));
        if complete.truncated {
            call.findings.insert(pending.lost[side.index()].unwrap_or(Finding::Gap));
        }
        let position = call.positions[1];
        self.answered(at, pending, waiting, *decision, position);
    }

    /// `side` ends: what still waits for it is decided, if this end decides it.
    pub fn end(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, end: End) {
        if end == End::Fin {
            pending.fin[side.index()] = true;
        }
        // If the caller's own RST ended the connection, what it had read by then is known next.
        let by_caller = end == End::Rst && at.flow.reset_by == pending.client;
        if pending.client != Some(side) && !by_caller {
            self.settle_held(at, pending);
        }
        // The caller's FIN is half a close: the answer may still come. So is silence of the caller alone.
        for waiting in pending.take_where(|waiting| side != waiting.client || end == End::Rst) {
            let ending = match end {
                // Behind the caller's FIN, too, the answer may still have come.
                End::Evicted => Ending::Shed,
                _ if pending.fin[waiting.client.index()] => Ending::Fin(Initiator::Client),
                End::Fin => Ending::Fin(Initiator::Server),
                End::Rst => Ending::Rst(initiator(side, waiting.client)),
                End::Idle | End::Replaced => Ending::Silence,
            };
            self.broken(at, pending, waiting, ending);
        }
    }

    /// The connection leaves the table: nothing waits any longer.
    pub fn close(&mut self, at: At<'_>, pending: &mut PendingCalls) {
        self.settle_held(at, pending);
        for waiting in pending.take_where(|_| true) {
            let ending = if pending.fin[waiting.client.index()] {
                Ending::Fin(Initiator::Client)
            } else {
                Ending::Silence
            };
            self.broken(at, pending, waiting, ending);
        }
    }

    /// Decides a call whose answer did not come (to its end).
    fn broken(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        mut waiting: Pending,
        mut ending: Ending<'_>,
    ) {
        if let (Ending::Fin(_) | Ending::Rst(_), CallId::Stream(_)) = (ending, waiting.id) {
            waiting.call.goaway = pending.goaway_for(waiting.client);
            if let Some(GoAwayNote { by: by @ Initiator::Server, code: code @ 1.., .. }) =
                waiting.call.goaway.as_deref()
            {
                ending = Ending::Goaway { by: *by, code: *code };
            }
        }
        // Where the answer may stand in what was lost, silence proves nothing; the record says so.
        let unheard = pending.unheard(at.flow, waiting.client.other());
        if let Some(how) = unheard {
            waiting.call.findings.insert(how);
        }
        if let (Ending::Fin(Initiator::Client), Some(how)) = (ending, pending.lost[waiting.client.index()]) {
            // What is missing of the caller may be more of the call, or the FIN itself.
            waiting.call.findings.insert(how);
        }
        if waiting.status_unread {
            ending = pending.unread_status(&mut waiting);
        } else if pending.is_answer_lost(&waiting)
            || waiting.type_unread
            // A caller's Rst frame of TTHeader Streaming fails the RPC, where a close only breaks the connection.
            || (waiting.reset_lost && waiting.call.rpc == Rpc::Ttstream && !matches!(ending, Ending::Reset { .. }))
            // What is cut of a datagram is its message.
            || (unheard == Some(Finding::Truncated) && at.flow.key.network == Network::Udp)
        {
            ending = Ending::Answered { status: &Status::Missing, body: false };
        } else if unheard.is_none() && pending.methods.needs_no_answer(waiting.call.method.as_ref()) {
            waiting.call.kind = CallKind::Oneway;
            ending = Ending::Oneway(None);
        }
        pending.end_id(waiting.id);
        let decision = outcome::decide(Self::ending_of(pending, &waiting, ending));
        self.decide(at, pending, waiting, decision);
    }

    /// Gives up calls that have waited too long or are too many.
    fn give_up(&mut self, at: At<'_>, pending: &mut PendingCalls) {
        while pending.len() >= MAX_PENDING || pending.metadata() > MAX_PENDING_METADATA {
            let Some(waiting) = pending.take_oldest() else { break };
            self.shed += 1;
            self.broken(at, pending, waiting, Ending::Shed);
        }
        if pending.len() == 0 || at.now.time < pending.looked + PATIENCE_STEP {
            return;
        }
        pending.looked = at.now.time;
        let resumed = self.resumed;
        let tired = |waiting: &Pending| {
            !waiting.stream
                && resumed.map_or(waiting.call.start, |resumed| waiting.call.start.max(resumed)) + PATIENCE
                    < at.now.time
        };
        for waiting in pending.take_where(tired) {
            self.broken(at, pending, waiting, Ending::Silence);
        }
    }

    fn decide(&mut self, at: At<'_>, pending: &mut PendingCalls, waiting: Pending, decision: Decision) {
        let seen = Stamp { packet: at.flow.last.packet, time: at.now.time };
        self.conclude(at, pending, waiting, decision, seen);
    }

    /// Decides a call of which `seen` is the last packet that counts.
    fn conclude(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        mut waiting: Pending,
        decision: Decision,
        seen: Stamp,
    ) {
        pending.mark(&mut waiting);
        let Pending { mut call, stream, client, .. } = waiting;
        let Decision { outcome, mut findings } = decision;
        if stream && call.kind != CallKind::Unary {
            if call.response_messages > 1
                && let Some(method) = &call.method
            {
                pending.methods.note_streaming(method);
            }
            let streaming = || pending.methods.is_streaming(call.method.as_ref());
            call.kind = stream_kind(&call, outcome.class, streaming);
            let empty = call.response_messages == 0 && call.kind == CallKind::Stream;
            if empty
                && matches!(call.rpc, Rpc::Grpc | Rpc::GrpcWeb)
                && outcome.class == Some(Class::Ok)
                && call.findings.of_capture().is_empty()
            {
                findings.insert(Finding::MessageMissing);
            }
        }
        let answered = matches!(outcome.class, Some(Class::Ok | Class::Business | Class::Rpc) | None);
        if stream && answered && call.latency.is_some() {
            call.duration = Some(seen.time.since(call.start));
        }
        call.findings.add(findings);
        if outcome.class.is_none() && call.findings.of_capture().is_empty() {
            call.findings.insert(Finding::UndecodableAnswer);
        }
        call.outcome = outcome;
        call.end = seen.time;
        call.decided = at.now.packet;
        call.packets.1 = seen.packet.max(call.packets.0);
        if call.rpc == Rpc::Grpc && pending.is_holed(at.flow, client) {
            call.clues.get_or_insert_default().losses = pending.losses;
        }
        pending.decided += 1;
        pending.failed += u64::from(call.failed());
        self.grace_metadata += metadata_size(&call);
        if call.bodies.is_some() {
            let bytes = body_size(&call);
            pending.drop_bodies(bytes);
            self.grace_metadata += bytes;
        }
        self.grace.push_back(call);
    }
}

/// Counts messages of a stream; `how` is what bytes of `side` were lost by, where any were.
fn count(waiting: &mut Pending, side: Side, at: At<'_>, part: &Part<'_>, how: Finding) {
    let call = &mut waiting.call;
    let of_callee = usize::from(side != waiting.client);
    if part.layouts[0].form().is_some()
        && let Some(layouts) = call.layouts.get_mut(of_callee)
    {
        *layouts = part.layouts;
    }
    if side == waiting.client {
        call.request_messages = call.request_messages.saturating_add(part.messages);
        call.request_bytes += part.head.bytes;
        call.message_bytes[0] += part.head.bytes;
    } else {
        call.response_messages = call.response_messages.saturating_add(part.messages);
        call.response_bytes += part.head.bytes;
        if part.messages > 0 {
            waiting.last_message = at.now.packet;
        }
        call.message_bytes[1] += part.head.bytes;
        if part.head.bytes > 0 {
            call.latency.get_or_insert(at.origin.time.since(call.start));
        }
    }
    // The messages themselves show their codec, whatever the content type leaves open.
    call.codec = part.head.codec.or(call.codec);
    if part.head.truncated {
        call.findings.insert(how);
    }
    waiting.answer_lost |= part.end_lost && side != waiting.client;
    waiting.reset_lost |= part.end_lost && side == waiting.client;
}

/// See [`Call::since_opening`].
fn since_opening(at: At<'_>, client: Side) -> u32 {
    if at.flow.opener != Some(client) || at.flow.first_by != client {
        return u32::MAX;
    }
    u32::try_from(at.origin.time.0.saturating_sub(at.flow.first.time.0)).unwrap_or(u32::MAX)
}

fn initiator(side: Side, client: Side) -> Initiator {
    if side == client { Initiator::Client } else { Initiator::Server }
}

fn keep(into: &mut Vec<(bool, String, String)>, answer: bool, headers: &dyn Pairs) {
    let mut room =
        MAX_METADATA.saturating_sub(into.iter().map(|(_, key, value)| key.len() + value.len()).sum());
    headers.each(&mut |key, value| {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let size = key.len().min(MAX_VALUE) + value.len();
        if into.len() < MAX_PAIRS && size <= room {
            room -= size;
            let text =
                |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..MAX_VALUE).unwrap_or(bytes)).into_owned();
            into.push((answer, text(key), text(value)));
        }
    });
}

/// Notes what headers say about the cause of their call, within the bounds of [`keep`].
// Apart, so that runs without linking do not pay for its registers.
#[inline(never)]
fn mark(into: &mut Option<Box<Marks>>, headers: &dyn Pairs) {
    headers.each(&mut |key, value| {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let key = key.get(..MAX_VALUE).unwrap_or(key);
        let marks = into.get_or_insert_default();
        let octets = marks.octets as usize + key.len() + value.len();
        if (marks.headers as usize) < MAX_PAIRS && octets <= MAX_METADATA {
            marks.read(&text(key), &text(value));
        }
    });
}

/// The text of octets, undecodable ones replaced. The lossy conversion alone takes three times as long for the usual ones.
fn text(octets: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(octets).map_or_else(|_| String::from_utf8_lossy(octets), Cow::Borrowed)
}

#[cfg(test)]
mod tests;
