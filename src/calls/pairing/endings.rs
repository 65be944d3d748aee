//! How calls end: by an answer that is complete, by what breaks it off, or because nothing comes any more.

use std::time::Duration;

use rpcscope_parsers::event::{Complete, Foreign, GoAway, Reset};
use rpcscope_parsers::{CallId, Rpc, Side, Status, Transport};

use super::super::outcome::{self, Decision, Ending};
use super::super::record::{CallKind, Class, Finding, Findings, GoAwayNote, Initiator};
use super::kind::stream_kind;
use super::pending::{Asked, Began, Pending};
use super::pending_calls::PendingCalls;
use super::size::{body_size, metadata_size};
use super::{At, MAX_PENDING, MAX_PENDING_METADATA, Matcher};
use crate::decode::Network;
use crate::flow::{End, Stamp};

/// After this time, a call on a connection that goes on is given up as unanswered, where somebody waits for its record or others need its
/// room (streams never are).
const PATIENCE: Duration = Duration::from_secs(600);

/// How often a connection looks for calls to give up.
const PATIENCE_STEP: Duration = Duration::from_secs(30);

impl Matcher {
    pub(super) fn reset(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, reset: &Reset<'_>) {
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
        if waiting.began == Began::Unread {
            ending = pending.unread_status(&mut waiting);
        } else if side == waiting.client
            && waiting.call.transport == Transport::Http2
            && pending.is_answer_lost(&waiting)
        {
            // A caller that was answered before it had said all ends its stream like this, too (RFC 9113, section 8.1).
            ending = Ending::Answered { status: &Status::Missing, body: false };
        }
        let decision = outcome::decide(Self::ending_of(pending, &waiting, ending), &mut self.texts);
        self.decide(at, pending, waiting, decision);
    }

    pub(super) fn goaway(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        goaway: &GoAway<'_>,
    ) {
        let code = goaway.code;
        let text = goaway.text.map(|text| String::from_utf8_lossy(&text.decode()).into_owned());
        pending.note_goaway(side, code, text);
        let Some(last) = goaway.last_stream else { return };
        for mut waiting in pending.take_refused(side, last) {
            waiting.call.goaway = pending.goaway_for(side.other());
            let by = initiator(side, waiting.client);
            pending.end_id(waiting.id);
            let decision = outcome::decide(
                Self::ending_of(pending, &waiting, Ending::Goaway { by, code }),
                &mut self.texts,
            );
            self.decide(at, pending, waiting, decision);
        }
    }

    /// `side` answers with something that is no message. Who waits for it waits on: the client may read on all the same.
    pub(super) fn foreign(at: &At<'_>, pending: &mut PendingCalls, side: Side, foreign: &Foreign<'_>) {
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
        match (waiting.began, pending.foreign_of(waiting.client.other())) {
            (Began::Failed(http), _) => Ending::HttpError(http),
            (Began::Well | Began::Unread, Some(strange)) => Ending::Foreign(strange.answer.as_deref()),
            (Began::Well | Began::Unread, None) => ending,
        }
    }

    pub(super) fn complete(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        complete: &Complete,
    ) {
        if pending.client == Some(side) {
            if let Some(waiting) = pending.newest_of(complete.id) {
                let given = self.bodies.give_part(at, side, complete.id, waiting);
                // A stream has summed its messages up as they began.
                if !waiting.is_stream() {
                    waiting.call.request_bytes = complete.bytes;
                }
                pending.note_bodies(given);
            }
            return;
        }
        let Some(waiting) = pending.answered_by(side, complete.id) else { return };
        let given = self.bodies.give_part(at, side, complete.id, waiting);
        let is_answered = waiting.answer.is_some();
        pending.note_bodies(given);
        if !is_answered {
            return;
        }
        let Some(mut waiting) = pending.take_answered_by(side, complete.id) else { return };
        let Some(findings) = waiting.answer.take() else { return };
        let is_stream = waiting.is_stream();
        let call = &mut waiting.call;
        if !is_stream {
            call.response_bytes = complete.bytes;
        }
        call.duration = call.latency.map(|_| at.origin.time.since(call.start));
        if complete.truncated {
            call.findings.insert(pending.lost[side.index()].unwrap_or(Finding::Gap));
        }
        let position = call.positions[1];
        self.answered(at, pending, waiting, findings, position);
    }

    /// `side` ends: what still waits for it is decided, if this end decides it.
    pub fn end(&mut self, at: At<'_>, pending: &mut PendingCalls, side: Side, end: End) {
        let at = &at;
        if end == End::Fin {
            pending.fin[side.index()] = true;
        }
        // If the caller's own RST ended the connection, what it had read by then is known next.
        let by_caller = end == End::Rst && at.flow.reset_by == pending.client;
        if pending.client != Some(side) && !by_caller {
            self.settle_held(at, pending);
        }
        // Mostly none waits when a connection ends.
        if !pending.is_empty() {
            self.end_waiting(at, pending, side, end);
        }
    }

    #[inline(never)]
    fn end_waiting(&mut self, at: &At<'_>, pending: &mut PendingCalls, side: Side, end: End) {
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
        let at = &at;
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
    pub(super) fn broken(
        &mut self,
        at: &At<'_>,
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
        if waiting.began == Began::Unread {
            ending = pending.unread_status(&mut waiting);
        } else if Self::is_unproven(at, pending, &waiting, ending, unheard) {
            ending = Ending::Answered { status: &Status::Missing, body: false };
        } else if unheard.is_none()
            && !matches!(ending, Ending::Fin(Initiator::Server) | Ending::Rst(Initiator::Server))
            && pending.methods.needs_no_answer(waiting.call.method.as_ref())
        {
            waiting.call.kind = CallKind::Oneway;
            ending = Ending::Oneway(None);
        }
        pending.end_id(waiting.id);
        let decision = outcome::decide(Self::ending_of(pending, &waiting, ending), &mut self.texts);
        self.decide(at, pending, waiting, decision);
    }

    /// Whether what decided a call may not have been captured, so that `ending` says nothing of it. `unheard`: how bytes of the callee
    /// were lost.
    fn is_unproven(
        at: &At<'_>,
        pending: &PendingCalls,
        waiting: &Pending,
        ending: Ending<'_>,
        unheard: Option<Finding>,
    ) -> bool {
        let Pending { call, client, .. } = waiting;
        let by_ending = match ending {
            // It may have been answered before the close.
            Ending::Fin(_) => {
                PendingCalls::is_uncaptured(at.flow, client.other()) || pending.may_be_answered(waiting)
            }
            // A RST need not say what its sender had received, so that a hole of the callee may not show.
            Ending::Rst(Initiator::Client) => pending.has_lost_packets(call),
            _ => false,
        };
        by_ending
            || pending.is_answer_lost(waiting)
            || waiting.asked == Asked::Unread
            // A caller's Rst frame of TTHeader Streaming fails the RPC, where a close only breaks the connection.
            || (call.rpc == Rpc::Ttstream && (waiting.reset_lost || pending.has_lost(*client, call)))
            // What is cut of a datagram is its message.
            || (unheard == Some(Finding::Truncated) && at.flow.key.network == Network::Udp)
    }

    /// Gives up calls that have waited too long or are too many.
    #[inline]
    pub(super) fn give_up(&mut self, at: &At<'_>, pending: &mut PendingCalls) {
        // Mostly none waits when another begins.
        if !pending.is_empty() {
            self.give_up_waiting(at, pending);
        }
    }

    #[inline(never)]
    fn give_up_waiting(&mut self, at: &At<'_>, pending: &mut PendingCalls) {
        let resumed = self.resumed;
        let tired = |waiting: &Pending| {
            !waiting.is_stream()
                && resumed.map_or(waiting.call.start, |resumed| waiting.call.start.max(resumed)) + PATIENCE
                    < at.now.time
        };
        while pending.len() >= MAX_PENDING || pending.metadata() > MAX_PENDING_METADATA {
            let Some(waiting) = pending.take_oldest() else { break };
            let is_tired = tired(&waiting);
            self.shed += u64::from(!is_tired);
            self.broken(at, pending, waiting, if is_tired { Ending::Silence } else { Ending::Shed });
        }
        if !self.is_watched || at.now.time < pending.looked + PATIENCE_STEP {
            return;
        }
        pending.looked = at.now.time;
        for waiting in pending.take_where(tired) {
            self.broken(at, pending, waiting, Ending::Silence);
        }
    }

    pub(super) fn decide(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        mut waiting: Pending,
        decision: Decision,
    ) {
        let seen = Stamp { packet: at.flow.last.packet, time: at.now.time };
        waiting.settle(decision.outcome);
        self.conclude(at, pending, waiting, decision.findings, seen);
    }

    /// A call is over, of which the record has the outcome; `findings` are what is remarkable about that, and `seen` is the last packet that
    /// counts.
    #[inline(never)]
    pub(super) fn conclude(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        waiting: Pending,
        findings: Findings,
        seen: Stamp,
    ) {
        self.conclude_here(at, pending, waiting, findings, seen);
    }

    /// The same in the caller, for the usual end.
    #[expect(clippy::inline_always, reason = "the call is then used where it stands")]
    #[inline(always)]
    pub(super) fn conclude_here(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        waiting: Pending,
        findings: Findings,
        seen: Stamp,
    ) {
        let stream = waiting.is_stream();
        let Pending { mut call, client, .. } = waiting;
        pending.mark(&mut call, stream, client);
        let class = call.outcome.class;
        if stream && call.kind != CallKind::Unary {
            if call.response_messages > 1
                && let Some(method) = &call.method
            {
                pending.methods.note_streaming(method);
            }
            let streaming = || pending.methods.is_streaming(call.method.as_ref());
            call.kind = stream_kind(&call, class, streaming);
            let empty = call.response_messages == 0 && call.kind == CallKind::Stream;
            if empty
                && matches!(call.rpc, Rpc::Grpc | Rpc::GrpcWeb)
                && class == Some(Class::Ok)
                && call.findings.of_capture().is_empty()
            {
                call.findings.insert(Finding::MessageMissing);
            }
        }
        let answered = matches!(class, Some(Class::Ok | Class::Business | Class::Rpc) | None);
        if stream && answered && call.latency.is_some() {
            call.duration = Some(seen.time.since(call.start));
        }
        call.findings.add(findings);
        if class.is_none() && call.findings.of_capture().is_empty() {
            call.findings.insert(Finding::UndecodableAnswer);
        }
        call.end = seen.time;
        call.decided = at.now.packet;
        call.packets.1 = seen.packet.max(call.packets.0);
        if call.rpc == Rpc::Grpc && pending.is_holed(at.flow, client) {
            call.clues.get_or_insert_default().losses = pending.losses;
        }
        pending.decided += 1;
        pending.failed += u64::from(call.failed());
        let metadata = metadata_size(&call);
        if metadata > 0 {
            self.grace_metadata += metadata;
        }
        if call.bodies.is_some() {
            let bytes = body_size(&call);
            pending.drop_bodies(bytes);
            self.grace_metadata += bytes;
        }
        self.keep(call);
    }
}

fn initiator(side: Side, client: Side) -> Initiator {
    if side == client { Initiator::Client } else { Initiator::Server }
}
