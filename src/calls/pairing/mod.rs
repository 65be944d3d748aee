//! Pairs requests with answers and makes the call record of each pair.
//!
//! An [`PendingCalls`] holds the calls of one connection that wait for their end; the [`Matcher`] holds what all connections
//! share. Decided calls over for [`GRACE_PERIOD`] before they are given out: a second answer, an answer to a one-way call or a
//! message after the end of a stream is then still told as a finding of the call that it belongs to.

mod groups;
mod pending_calls;

use std::collections::VecDeque;
use std::time::Duration;

use rpcscope_parsers::message::Pairs;
use rpcscope_parsers::{CallId, Kind, Message, Side, Status};

use pending_calls::Pending;
pub use pending_calls::PendingCalls;

use super::names::Names;
use super::outcome::{self, Ending, Outcome};
use super::record::{Call, CallKind, Class, Finding, Initiator};
use super::trace;
use crate::flow::{End, Flow, Stamp};

/// How long a decided call stays within reach of what still comes.
pub const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Most calls that over at a time; beyond that the oldest are given out early.
const MAX_IN_GRACE: usize = 8192;

/// Most calls that wait on one connection; beyond that the oldest are given up as unanswered.
const MAX_PENDING: usize = 16_384;

/// How many ended ids a connection remembers, so that what comes after the end makes no new call.
const MAX_ENDED: usize = 64;

/// A call on a connection that goes on is given up as unanswered after this time (streams never are).
const PATIENCE: Duration = Duration::from_secs(600);

/// Sessions number the names that they can't know; the numbers of different connections are told apart by the packets with
/// which these began, above so many bits.
const GROUP_BITS: u32 = 12;

/// How often a connection looks for calls to give up.
const PATIENCE_STEP: Duration = Duration::from_secs(30);

/// Most header pairs kept of one message, and the longest value kept.
const MAX_PAIRS: usize = 256;
const MAX_VALUE: usize = 16 * 1024;

/// Everything that stays the same while one chunk of a connection is read.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The connection.
    pub flow: &'a Flow,
    /// The packet being read.
    pub now: Stamp,
    /// The packet that carried the first byte of what is told.
    pub origin: Stamp,
    /// TCP: sequence number of that byte.
    pub position: Option<u32>,
}

/// What all connections share.
#[derive(Debug, Default)]
pub struct Matcher {
    names: Names,
    grace: VecDeque<Box<Call>>,
    /// Whether headers are kept in the records.
    metadata: bool,
    /// Calls that were given up because too many waited.
    pub shed: u64,
}

impl Matcher {
    /// A matcher that keeps the headers of calls if `metadata` says so.
    #[must_use]
    pub fn new(metadata: bool) -> Self {
        Self { metadata, ..Self::default() }
    }

    /// Takes a message that `side` sent.
    pub fn message(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        match message.kind {
            Kind::Request | Kind::Oneway | Kind::Open => self.request(at, pending, side, message),
            Kind::Begin => self.begin(at, pending, side, message),
            Kind::Part => self.part(at, pending, side, message),
            Kind::HalfClose => {}
            Kind::Answer => self.answer(at, pending, side, message),
            Kind::Reset => self.reset(at, pending, side, message),
            Kind::GoAway => self.goaway(at, pending, side, message),
            Kind::Complete => self.complete(at, pending, side, message),
            Kind::Lost => pending.lose_answers(side),
        }
    }

    fn request(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        pending.client.get_or_insert(side);
        self.give_up(at, pending);
        let mut waiting = Self::open(at, pending, side, message);
        waiting.stream = message.kind == Kind::Open;
        waiting.call.kind = match message.kind {
            Kind::Oneway => CallKind::Oneway,
            Kind::Open => CallKind::Stream,
            _ => CallKind::Unary,
        };
        waiting.call.request_bytes = message.bytes;
        waiting.call.request_messages = u32::from(message.kind != Kind::Open);
        waiting.call.positions[0] = at.position;
        self.describe(at, &mut waiting.call, message, false);
        self.join_group(pending, &mut waiting.call);
        if let Some(headers) = message.metadata {
            let trace = trace::context(headers);
            waiting.call.trace_id = trace.trace_id.and_then(|id| self.names.get(id.as_bytes()));
            waiting.call.span_id = trace.span_id.and_then(|id| self.names.get(id.as_bytes()));
        }
        if message.truncated
            && let Some(how) = pending.lost[side.index()]
        {
            waiting.call.findings.insert(how);
        }
        if message.kind == Kind::Oneway {
            let outcome = outcome::decide(message.rpc, &Status::default(), Ending::Oneway);
            pending.end_id(message.id);
            self.decide(at, pending, waiting, outcome);
        } else {
            pending.add(message.id, waiting);
        }
    }

    /// A record of a call that `client` opens, with nothing known yet but who and when.
    fn open(at: At<'_>, pending: &mut PendingCalls, client: Side, message: &Message<'_>) -> Pending {
        let key = &at.flow.key;
        let uid = pending.uid(at.flow.last.packet);
        Pending {
            call: Box::new(Call {
                end: at.now.time,
                decided: at.now.packet,
                transport: message.transport,
                network: key.network,
                rpc: message.rpc,
                codec: message.codec,
                id: message.id.number(),
                packets: (at.origin.packet, at.now.packet),
                connection: at.flow.first.packet,
                capture_point: key.capture_point,
                ..Call::new(uid, at.origin.time, key.endpoint(client), key.endpoint(client.other()))
            }),
            client,
            answer: None,
            stream: false,
            answer_lost: false,
        }
    }

    /// Fills in what the record does not know yet from a message of either side.
    fn describe(&mut self, at: At<'_>, call: &mut Call, message: &Message<'_>, answer: bool) {
        let names = &mut self.names;
        let mut name = |into: &mut Option<_>, text: &Option<rpcscope_parsers::message::Text<'_>>| {
            if into.is_none()
                && let Some(text) = text
            {
                *into = names.get(text);
            }
        };
        name(&mut call.service, &message.service);
        name(&mut call.method, &message.method);
        name(&mut call.caller, &message.caller);
        name(&mut call.callee, &message.callee);
        call.codec = call.codec.or(message.codec);
        call.timeout = call.timeout.or(message.timeout);
        let group = message.unknown_name.map(|number| (at.flow.first.packet << GROUP_BITS) + number);
        call.unknown_name = call.unknown_name.or(group);
        if self.metadata
            && let Some(headers) = message.metadata
        {
            keep(&mut call.metadata, answer, headers);
        }
    }

    fn begin(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        if let Some(mut waiting) = self.stream(at, pending, side, message, true) {
            let call = &mut waiting.call;
            call.latency.get_or_insert(at.origin.time.since(call.start));
            call.positions[1] = call.positions[1].or(at.position);
            call.response_bytes += message.bytes;
            self.describe(at, call, message, true);
            pending.add(message.id, waiting);
        }
    }

    /// The waiting call of a stream message, taken out; made anew for a stream whose opening was not captured.
    /// `None` if the stream is over or unknown on a connection of which everything was captured.
    fn stream(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        message: &Message<'_>,
        from_callee: bool,
    ) -> Option<Pending> {
        if let Some(waiting) = pending.take(message.id) {
            return Some(waiting);
        }
        if pending.has_ended(message.id) {
            self.after_end(at, message);
            return None;
        }
        // Who calls is known from other streams, or from the kind of the message.
        let client = match pending.client {
            Some(client) => client,
            None if from_callee => side.other(),
            None => return None,
        };
        let how = pending.holed(at.flow, client)?;
        let mut waiting = Self::open(at, pending, client, message);
        waiting.stream = true;
        waiting.call.kind = CallKind::Stream;
        waiting.call.findings.insert(how);
        Some(waiting)
    }

    fn part(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        let how = pending.lost[side.index()].unwrap_or(Finding::Gap);
        if let Some(waiting) = pending.oldest_of(message.id) {
            count(waiting, side, at, message, how);
        } else if let Some(mut waiting) = self.stream(at, pending, side, message, false) {
            count(&mut waiting, side, at, message, how);
            pending.add(message.id, waiting);
        }
    }

    fn answer(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        let found = self.partner(at, pending, side, message);
        let Some((id, mut waiting)) = found else { return };
        if waiting.call.codec.is_none() && message.codec.is_some() {
            // The payload of the request was cut off, and with it what tells the protocols under TTHeader apart.
            waiting.call.rpc = message.rpc;
        }
        self.describe(at, &mut waiting.call, message, true);
        let method_differs = message.method.as_ref().is_some_and(|sent| {
            !sent.is_empty()
                && waiting.call.method.as_deref().is_some_and(|asked| asked.as_bytes() != &**sent)
        });
        let call = &mut waiting.call;
        if method_differs {
            call.findings.insert(Finding::MethodMismatch);
        }
        call.positions[1] = call.positions[1].or(at.position);
        if !waiting.stream {
            call.response_messages = 1;
        }
        call.response_bytes += message.bytes;
        if call.start != at.origin.time || call.packets.0 != at.origin.packet {
            call.latency.get_or_insert(at.origin.time.since(call.start));
        }
        let gave_up = pending.fin[waiting.client.index()];
        let timed_out =
            call.timeout.is_some_and(|limit| limit > 0 && call.latency.is_some_and(|took| took > limit));
        if gave_up || timed_out {
            call.findings.insert(Finding::LateAnswer);
        }
        let mut outcome = outcome::decide(call.rpc, &message.status, Ending::Answered);
        if message.status.oneway {
            // The request was not captured; the answer tells that none was due.
            if matches!(outcome.verdict.class, Some(Class::Business | Class::Rpc)) {
                call.findings.insert(Finding::OnewayAnswered);
            }
            call.kind = CallKind::Oneway;
            outcome = outcome::decide(call.rpc, &message.status, Ending::Oneway);
        }
        self.weigh_answer(pending, call, outcome.verdict.class, message.quoted.as_ref());
        if message.truncated || outcome.verdict.class.is_none() {
            call.findings.insert(pending.lost[side.index()].unwrap_or(Finding::MidStream));
        }
        if message.more {
            waiting.answer = Some(Box::new(outcome));
            pending.put_back(id, waiting);
        } else {
            call.duration = call.latency.map(|_| at.now.time.since(call.start));
            pending.end_id(id);
            self.decide(at, pending, waiting, outcome);
        }
    }

    /// The call that an answer belongs to, taken out, and the id under which its end is announced.
    fn partner(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        message: &Message<'_>,
    ) -> Option<(CallId, Pending)> {
        if pending.oldest_of(message.id).is_some_and(|waiting| waiting.client != side) {
            return pending.take(message.id).map(|waiting| (message.id, waiting));
        }
        let client = side.other();
        let holed = pending.holed(at.flow, client);
        if pending.has_ended(message.id) {
            self.after_end(at, message);
            return None;
        }
        // A peer that answers with a wrong sequence number (thrift leaves the check to the caller): certain only if one
        // call waits and nothing was lost.
        if matches!(message.id, CallId::Loose(_)) && holed.is_none() && pending.count == 1 {
            let id = pending.waiting.keys().next().copied()?;
            let same_name = pending.oldest_of(id).is_some_and(|waiting| {
                waiting.client == client
                    && match (&waiting.call.method, &message.method) {
                        (Some(asked), Some(sent)) => asked.as_bytes() == &**sent,
                        _ => true,
                    }
            });
            if same_name {
                pending.end_id(id);
                return pending.take(id).map(|waiting| (message.id, waiting));
            }
        }
        pending.client.get_or_insert(client);
        let how = holed?;
        pending.doubt(client, how);
        let mut waiting = Self::open(at, pending, client, message);
        waiting.call.findings.insert(how);
        waiting.stream = matches!(message.id, CallId::Stream(_));
        if waiting.stream {
            waiting.call.kind = CallKind::Stream;
        }
        Some((message.id, waiting))
    }

    fn reset(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        let Some(mut waiting) = self.stream(at, pending, side, message, false) else { return };
        self.describe(at, &mut waiting.call, message, side != waiting.client);
        let by = initiator(side, waiting.client);
        if side == waiting.client
            && let Some(how) = pending.unheard(at.flow, side.other())
        {
            waiting.call.findings.insert(how);
        }
        let outcome = outcome::decide(waiting.call.rpc, &message.status, Ending::Reset(by));
        pending.end_id(message.id);
        self.decide(at, pending, waiting, outcome);
    }

    fn goaway(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        let code = message.status.reset.as_ref().and_then(|reset| reset.code);
        if code != Some(0) {
            pending.goaway = Some((code, side));
        }
        let Some(last) = message.status.last_stream else { return };
        let refused: Vec<CallId> = pending
            .waiting
            .iter()
            .filter(|(id, same)| {
                matches!(id, CallId::Stream(n) if *n > last)
                    && same.iter().all(|waiting| waiting.client != side)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut refused: Vec<_> =
            refused.into_iter().filter_map(|id| pending.take(id).map(|waiting| (id, waiting))).collect();
        refused.sort_by_key(|(_, waiting)| waiting.call.uid);
        for (id, waiting) in refused {
            let by = initiator(side, waiting.client);
            let outcome = outcome::decide(waiting.call.rpc, &message.status, Ending::Goaway(by));
            pending.end_id(id);
            self.decide(at, pending, waiting, outcome);
        }
    }

    fn complete(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, message: &Message<'_>) {
        let Some(waiting) = pending.oldest_of(message.id) else { return };
        // A stream has summed its messages up as they began.
        if waiting.client == side {
            if !waiting.stream {
                waiting.call.request_bytes = message.bytes;
            }
            return;
        }
        if waiting.answer.is_none() {
            return;
        }
        let Some(mut waiting) = pending.take(message.id) else { return };
        let Some(outcome) = waiting.answer.take() else { return };
        let call = &mut waiting.call;
        if !waiting.stream {
            call.response_bytes = message.bytes;
        }
        call.duration = call.latency.map(|_| at.origin.time.since(call.start));
        if message.truncated {
            call.findings.insert(pending.lost[side.index()].unwrap_or(Finding::Gap));
        }
        pending.end_id(message.id);
        self.decide(at, pending, waiting, *outcome);
    }

    /// `side` ends: what still waits for it is decided, if this end decides it.
    pub fn end(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, end: End) {
        if end == End::Fin {
            pending.fin[side.index()] = true;
        }
        let all = pending.take_all();
        for (id, waiting) in all {
            let callee = side != waiting.client;
            let caller_left = pending.fin[waiting.client.index()];
            // The caller's FIN is half a close: the answer may still come. So is silence of the caller alone.
            if !callee && end != End::Rst {
                pending.add(id, waiting);
                continue;
            }
            let ending = match end {
                _ if caller_left => Ending::Fin(Initiator::Client),
                End::Fin => Ending::Fin(Initiator::Server),
                End::Rst => Ending::Rst(initiator(side, waiting.client)),
                End::Idle | End::Replaced | End::Evicted => Ending::Silence,
            };
            self.broken(at, pending, id, waiting, ending);
        }
    }

    /// The connection leaves the table: nothing waits any longer.
    pub fn close(&mut self, at: At<'_>, pending: &mut PendingCalls) {
        for (id, waiting) in pending.take_all() {
            let ending = if pending.fin[waiting.client.index()] {
                Ending::Fin(Initiator::Client)
            } else {
                Ending::Silence
            };
            self.broken(at, pending, id, waiting, ending);
        }
    }

    /// Decides a call whose answer did not come (to its end).
    fn broken(
        &mut self,
        at: At<'_>,
        pending: &mut PendingCalls,
        id: CallId,
        mut waiting: Pending,
        ending: Ending,
    ) {
        let mut status = Status::default();
        let mut ending = ending;
        if let (Some((code, by)), Ending::Fin(_) | Ending::Rst(_)) = (pending.goaway, ending)
            && matches!(id, CallId::Stream(_))
            && by != waiting.client
        {
            status.reset = Some(rpcscope_parsers::message::Reset { code, ..Default::default() });
            ending = Ending::Goaway(initiator(by, waiting.client));
        }
        // Where the answer may stand in what was lost, silence proves nothing; the record says so.
        if let Some(how) = pending.unheard(at.flow, waiting.client.other()) {
            waiting.call.findings.insert(how);
        }
        if waiting.answer_lost {
            status = Status { cut: true, ..Status::default() };
            ending = Ending::Answered;
        }
        let outcome = outcome::decide(waiting.call.rpc, &status, ending);
        pending.end_id(id);
        self.decide(at, pending, waiting, outcome);
    }

    /// Gives up calls that have waited too long or are too many.
    fn give_up(&mut self, at: At<'_>, pending: &mut PendingCalls) {
        while pending.count >= MAX_PENDING {
            let oldest = pending
                .waiting
                .iter()
                .min_by_key(|(_, same)| same.first().map(|waiting| waiting.call.uid))
                .map(|(id, _)| *id);
            let Some(waiting) = oldest.and_then(|id| pending.take(id).map(|waiting| (id, waiting))) else {
                break;
            };
            self.shed += 1;
            self.broken(at, pending, waiting.0, waiting.1, Ending::Silence);
        }
        if pending.count == 0 || at.now.time < pending.looked.time + PATIENCE_STEP {
            return;
        }
        pending.looked = at.now;
        let tired: Vec<CallId> = pending
            .waiting
            .iter()
            .filter(|(_, same)| {
                same.first()
                    .is_some_and(|waiting| !waiting.stream && waiting.call.start + PATIENCE < at.now.time)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut tired: Vec<_> =
            tired.into_iter().filter_map(|id| pending.take(id).map(|w| (id, w))).collect();
        tired.sort_by_key(|(_, waiting)| waiting.call.uid);
        for (id, waiting) in tired {
            self.broken(at, pending, id, waiting, Ending::Silence);
        }
    }

    fn decide(&mut self, at: At<'_>, pending: &mut PendingCalls, waiting: Pending, outcome: Outcome) {
        let Pending { mut call, stream, .. } = waiting;
        if stream {
            call.kind = stream_kind(&call, outcome.verdict.class);
        }
        let answered = matches!(outcome.verdict.class, Some(Class::Ok | Class::Business | Class::Rpc) | None);
        if stream && answered && call.latency.is_some() {
            call.duration = Some(at.now.time.since(call.start));
        }
        for finding in outcome.findings.iter() {
            call.findings.insert(finding);
        }
        call.verdict = outcome.verdict;
        call.ret = outcome.ret;
        call.func_ret = outcome.func_ret;
        call.field_id = outcome.field_id;
        call.biz_extra = outcome.biz_extra;
        call.details = outcome.details;
        call.cancel_path =
            outcome.cancel_path.iter().filter_map(|name| self.names.get(name.as_bytes())).collect();
        call.canceled_by = call.cancel_path.first().cloned();
        call.end = at.now.time;
        call.decided = at.now.packet;
        call.packets.1 = at.flow.last.packet.max(call.packets.0);
        pending.decided += 1;
        pending.failed += u64::from(call.failed());
        self.grace.push_back(call);
    }

    /// Something came for a call that is already decided: told as a finding while the call is within reach.
    fn after_end(&mut self, at: At<'_>, message: &Message<'_>) {
        let key = &at.flow.key;
        let id = message.id.number();
        let found = self.grace.iter_mut().rev().find(|call| {
            call.id == id
                && call.network == key.network
                && call.capture_point == key.capture_point
                && call.rpc == message.rpc
                && ((call.client == key.a && call.server == key.b)
                    || (call.client == key.b && call.server == key.a))
                && at.now.time.since(call.end) <= GRACE_PERIOD.as_nanos() as u64
        });
        let Some(call) = found else { return };
        match message.kind {
            Kind::Answer if call.kind == CallKind::Oneway => {
                let outcome = outcome::decide(call.rpc, &message.status, Ending::Answered);
                call.ret = outcome.ret;
                call.func_ret = outcome.func_ret;
                if matches!(outcome.verdict.class, Some(Class::Business | Class::Rpc)) {
                    call.findings.insert(Finding::OnewayAnswered);
                }
            }
            Kind::Answer if matches!(message.id, CallId::Request(_) | CallId::Loose(_)) => {
                call.findings.insert(Finding::DuplicateAnswer);
            }
            Kind::Part if matches!(call.verdict.class, Some(Class::Business | Class::Rpc)) => {
                call.findings.insert(Finding::MessageAfterError);
            }
            _ => {}
        }
    }

    /// Gives out the calls whose grace period is over by `now`, in the order in which they were decided; all of them if `now` is
    /// `None`.
    pub fn release(&mut self, now: Option<Stamp>, mut give: impl FnMut(Box<Call>)) {
        while let Some(call) = self.grace.front() {
            let over = now.is_none_or(|now| now.time.since(call.end) > GRACE_PERIOD.as_nanos() as u64);
            if !over && self.grace.len() <= MAX_IN_GRACE {
                break;
            }
            if let Some(call) = self.grace.pop_front() {
                give(call);
            }
        }
    }

    /// Packet that decided the oldest call in its grace period.
    #[must_use]
    pub fn oldest_in_grace(&self) -> Option<u64> {
        self.grace.front().map(|call| call.decided)
    }

    /// Sorts the calls that were decided by the packet just read, so that the order never depends on a table's order.
    pub fn settle(&mut self, before: usize) {
        if self.grace.len() < before + 2 {
            return;
        }
        if let Some(new) = self.grace.make_contiguous().get_mut(before..) {
            new.sort_by_key(|call| call.uid);
        }
    }

    /// How many calls over.
    #[must_use]
    pub fn in_grace(&self) -> usize {
        self.grace.len()
    }
}

/// Counts messages of a stream; `how` is what bytes of `side` were lost by, where any were.
fn count(waiting: &mut Pending, side: Side, at: At<'_>, message: &Message<'_>, how: Finding) {
    let call = &mut waiting.call;
    if side == waiting.client {
        call.request_messages = call.request_messages.saturating_add(message.messages);
        call.request_bytes += message.bytes;
    } else {
        call.response_messages = call.response_messages.saturating_add(message.messages);
        call.response_bytes += message.bytes;
        if message.bytes > 0 {
            call.latency.get_or_insert(at.origin.time.since(call.start));
        }
    }
    if message.truncated {
        call.findings.insert(how);
    }
    waiting.answer_lost |= message.status.cut && side != waiting.client;
}

fn initiator(side: Side, client: Side) -> Initiator {
    if side == client { Initiator::Client } else { Initiator::Server }
}

/// The kind of a stream by the numbers of its messages: one each way looks like a unary call, and is called that.
fn stream_kind(call: &Call, class: Option<Class>) -> CallKind {
    let whole = class == Some(Class::Ok);
    match (call.request_messages, call.response_messages) {
        (0 | 1, 0 | 1) if whole || call.rpc == "grpc" => {
            if call.request_messages == 1 {
                CallKind::Unary
            } else {
                CallKind::Stream
            }
        }
        (2.., 2..) => CallKind::BidiStream,
        (2.., _) => CallKind::ClientStream,
        (_, 2..) => CallKind::ServerStream,
        _ => CallKind::Stream,
    }
}

fn keep(into: &mut Vec<(bool, String, String)>, answer: bool, headers: &dyn Pairs) {
    headers.each(&mut |key, value| {
        if into.len() < MAX_PAIRS {
            let text =
                |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..MAX_VALUE).unwrap_or(bytes)).into_owned();
            into.push((answer, text(key), text(value)));
        }
    });
}

#[cfg(test)]
mod tests;
