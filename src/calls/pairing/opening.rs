//! How the records of calls begin, and what becomes of them when they were written.

use std::sync::Arc;

use rpcscope_parsers::event::Head;
use rpcscope_parsers::{Side, Transport};

use super::pending_calls::PendingCalls;
use super::{At, MAX_SPARE, Matcher};
use crate::calls::record::{Call, Finding};

impl Matcher {
    /// The record of a call whose opening was captured.
    #[expect(clippy::inline_always, reason = "what begins a call has nothing else to do before")]
    #[inline(always)]
    pub(super) fn caller_opens(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        head: &Head,
    ) -> Box<Call> {
        pending.client.get_or_insert(side);
        self.give_up(at, pending);
        let mut call = self.open(at, pending, side, head);
        pending.note_bodies(self.bodies.give(side, head.id, false, &mut call));
        call.request_bytes = head.bytes;
        call.positions[0] = at.position;
        if pending.rare_if_any().is_some_and(|rare| rare.early.is_some()) || at.flow.overtaken.is_some() {
            pending.doubt_early(at.flow, side, head.id, &mut call);
        }
        // Bare thrift may be the body of an HTTP request.
        let may_lack_head = head.start == 0 && head.transport == Transport::Buffered;
        if (head.truncated || may_lack_head)
            && let Some(how) = pending.lost[side.index()]
            && (head.truncated || how == Finding::Gap)
        {
            call.findings.insert(how);
        }
        call
    }

    /// A record of a call that `client` opens, with nothing known yet but who and when.
    pub(super) fn open(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        client: Side,
        head: &Head,
    ) -> Box<Call> {
        let key = &at.flow.key;
        let (start, uid) = (at.origin.time, pending.uid(at.flow.last.packet));
        let (caller, callee) = if client == Side::A { (&key.a, &key.b) } else { (&key.b, &key.a) };
        let mut call = match self.spare.pop() {
            Some(mut spare) => {
                spare.renew(uid, start, caller, callee);
                spare
            }
            None => Box::new(Call::new(uid, start, *caller, *callee)),
        };
        (call.end, call.decided) = (at.now.time, at.now.packet);
        call.transport = head.transport;
        call.network = key.network;
        call.rpc = head.rpc;
        call.codec = head.codec;
        call.id = head.id.number();
        call.packets = (at.origin.packet, at.now.packet);
        call.connection = at.flow.first.packet;
        call.since_opening = since_opening(at, client);
        call.capture_point = key.capture_point;
        if let Some(via) = pending.via() {
            call.via = Some(Arc::clone(via));
        }
        call
    }

    /// Takes a record back that nobody reads any more.
    pub fn reuse(&mut self, mut call: Box<Call>) {
        if self.spare.len() < MAX_SPARE {
            call.release();
            self.spare.push(call);
        }
    }
}

/// See [`Call::since_opening`].
fn since_opening(at: &At<'_>, client: Side) -> u32 {
    if at.flow.opener != Some(client) || at.flow.first_by != client {
        return u32::MAX;
    }
    let passed = at.origin.time.0.checked_sub(at.flow.first.time.0);
    passed.and_then(|passed| u32::try_from(passed).ok()).unwrap_or(u32::MAX)
}
