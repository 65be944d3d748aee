//! Calls that are answered after their caller has closed.
//!
//! A FIN may be half a close, and the caller reads on. If it has left, its host meets the answer with a RST that acknowledges
//! nothing of it: nobody read it. So these calls wait for the end of the connection.

use rpcscope_parsers::{CallId, Side};

use super::doubts::{Held, LateAnswer};
use super::pending::Pending;
use super::pending_calls::PendingCalls;
use super::{At, GRACE_PERIOD, Matcher};
use crate::calls::outcome::{self, Ending};
use crate::calls::record::{Call, Finding, Findings, Initiator};
use crate::flow::Stamp;

impl Matcher {
    /// The whole answer to a call has come, of which the record has the outcome; its last part began at `position`.
    #[expect(clippy::inline_always, reason = "the call then goes on without being moved")]
    #[inline(always)]
    pub(super) fn answered(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        waiting: Pending,
        findings: Findings,
        position: Option<u32>,
    ) {
        if let (CallId::Loose(_), Some(method)) = (waiting.id, &waiting.call.method) {
            pending.methods.note_answered(method);
        }
        pending.end_id(waiting.id);
        pending.restore_order();
        let answered = Stamp { packet: at.flow.last.packet, time: at.now.time };
        match position {
            Some(position) if pending.fin[waiting.client.index()] => {
                let held = Held { waiting, findings, answered, position };
                if let Some(Held { waiting, findings, .. }) = pending.hold(held) {
                    self.conclude(at, pending, waiting, findings, answered);
                }
            }
            _ => self.conclude_here(at, pending, waiting, findings, answered),
        }
    }

    /// Decides the calls that were answered after the caller had closed, as if it had read the answers.
    #[inline]
    pub(super) fn settle_held(&mut self, at: &At<'_>, pending: &mut PendingCalls) {
        if pending.holds_some() {
            self.settle_those(at, pending);
        }
    }

    #[inline(never)]
    fn settle_those(&mut self, at: &At<'_>, pending: &mut PendingCalls) {
        for Held { waiting, findings, answered, position } in pending.take_held() {
            pending.note_late(LateAnswer { uid: waiting.call.uid, decided: at.now.packet, position });
            self.conclude(at, pending, waiting, findings, answered);
        }
    }

    /// The caller's host reset the connection after its FIN, and had acknowledged bytes of the callee up to `acked`: what
    /// was answered behind them had no reader any more.
    pub fn unread(&mut self, at: At<'_>, pending: &mut PendingCalls, client: Side, acked: u32) {
        let at = &at;
        if pending.client != Some(client) || !pending.fin[client.index()] {
            return self.settle_held(at, pending);
        }
        let was_read = |position: u32| (position.wrapping_sub(acked) as i32) < 0;
        for Held { mut waiting, mut findings, answered, position } in pending.take_held() {
            let call = &mut waiting.call;
            // Where the answer stands is known only if it was captured.
            if !was_read(position) && call.outcome.class.is_some() {
                let decision = outcome::decide(Ending::Fin(Initiator::Client), &mut self.texts);
                call.findings = call.findings.of_capture();
                call.findings.insert(Finding::LateAnswer);
                (call.outcome, findings) = (decision.outcome, decision.findings);
            }
            self.conclude(at, pending, waiting, findings, answered);
        }
        for LateAnswer { uid, decided, position } in pending.take_late() {
            if was_read(position) {
                continue;
            }
            let first = self.grace.partition_point(|call| call.decided < decided);
            let same_packet = self.grace.range_mut(first..).take_while(|call| call.decided == decided);
            let is_it = |call: &&mut Box<Call>| {
                call.uid == uid
                    && call.connection == at.flow.first.packet
                    && call.client == at.flow.key.endpoint(client)
                    && at.now.time.since(call.end) <= GRACE_PERIOD.as_nanos() as u64
            };
            if let Some(call) = { same_packet }.find(is_it).filter(|call| call.outcome.class.is_some()) {
                pending.failed -= u64::from(call.failed());
                call.findings = call.findings.of_capture();
                call.findings.insert(Finding::LateAnswer);
                call.outcome = outcome::decide(Ending::Fin(Initiator::Client), &mut self.texts).outcome;
                pending.failed += u64::from(call.failed());
            }
        }
    }
}
