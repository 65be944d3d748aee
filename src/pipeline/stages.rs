//! The stages behind the table of connections: what a chunk of a stream becomes.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rpcscope_parsers::{Event, Side};

use super::OnOpen;
use super::connection::{connection, reason, state};
use super::slot::{Calls, Slot, Spare};
use super::totals::{Tallied, Totals};
use crate::calls::pairing::{At, Matcher, PendingCalls};
use crate::calls::record::{Connection, Finding};
use crate::decode::{FlowKey, Network};
use crate::dispatch::{Conversation, DecodeAs, Sessions};
use crate::flow::{Chunk, End, Flow, GapReason, Origin, Owner, Stamp, Table};
use crate::tls::{Keys, Passed};

/// Closed connections that are kept because keys may come for what they said, and for how long in live runs.
const MAX_SEALED: usize = 4096;
const SEALED_TIME: Duration = Duration::from_secs(30);

/// The owner of the slots: passes chunks to the dispatcher and its events to the matcher.
pub(super) struct Stages {
    pub(super) matcher: Matcher,
    pub(super) decode_as: Vec<DecodeAs>,
    /// Up to which size the bodies of messages are wanted, if they are.
    pub(super) bodies: Option<NonZeroU32>,
    pub(super) connections: bool,
    #[expect(clippy::vec_box, reason = "they are passed on boxed, and are large to move")]
    pub(super) closed: Vec<Box<Connection>>,
    pub(super) on_open: Option<OnOpen>,
    pub(super) keys: Option<Arc<Keys>>,
    /// Closed connections whose keys may still come, in the order in which they closed.
    pub(super) sealed: VecDeque<SealedConnection>,
    pub(super) spare: Spare,
    pub(super) sessions: Sessions,
    pub(super) totals: Totals,
}

/// A connection that has left the table.
pub(super) struct SealedConnection {
    flow: Flow,
    slot: Slot,
    since: Stamp,
}

impl Owner<Slot> for Stages {
    fn appears(&mut self, key: &FlowKey) {
        self.totals.connections += 1;
        if let Some(on_open) = &self.on_open {
            on_open(key);
        }
    }

    fn open(&mut self, flow: &Flow) -> Slot {
        let room = self.spare.take();
        self.slot_in(flow, room)
    }

    #[expect(clippy::inline_always, reason = "the kind of the chunk is known in the caller")]
    #[inline(always)]
    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut Slot,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64 {
        // A connection whose sides have ended gets no chunks.
        let Slot { conversation, calls } = slot;
        let Calls::Open(pending) = calls else { return u64::MAX };
        match chunk {
            Chunk::Gap { reason, .. } => {
                self.totals.gaps += u64::from(reason == GapReason::Lost);
                pending.lose(
                    side,
                    match reason {
                        GapReason::Lost | GapReason::Sealed => Finding::Gap,
                        GapReason::Cut => Finding::Truncated,
                        GapReason::BeforeStart => Finding::MidStream,
                    },
                    origin.packet,
                );
                if conversation.is_undecided() {
                    // There is no session that could say so.
                    pending.lose_messages(side);
                }
            }
            Chunk::Datagram { missing: 1.., .. } => pending.lose(side, Finding::Truncated, origin.packet),
            _ => {}
        }
        let (matcher, waiting) = (&mut self.matcher, &mut **pending);
        let mut take = move |from, event: &Event<'_>, origin: Origin| {
            let position = (flow.key.network == Network::Tcp).then_some(origin.sequence);
            matcher.event(At { flow, now, origin: origin.stamp, position }, waiting, from, event);
        };
        let needed = conversation.chunk(flow, side, chunk, origin, &mut self.sessions, &mut take);
        if let Chunk::End(end) = chunk {
            if conversation.is_waiting() {
                // What the side has said is not read yet.
                return needed;
            }
            self.matcher.end(At { flow, now, origin, position: None }, pending, side, end);
            if flow.ended.iter().all(Option::is_some) {
                conversation.finish(&mut self.sessions);
                calls.finish(&mut self.spare);
            }
        }
        needed
    }

    fn reset(&mut self, flow: &Flow, slot: &mut Slot, side: Side, read: u32, now: Stamp) {
        if slot.conversation.is_waiting() {
            return;
        }
        if let Some(pending) = slot.calls.pending() {
            self.matcher.unread(At { flow, now, origin: now, position: None }, pending, side, read);
            slot.calls.finish(&mut self.spare);
        }
    }

    fn weight(&self, slot: &Slot) -> usize {
        slot.conversation.memory() + slot.calls.memory()
    }

    fn shrink(&self, slot: &mut Slot) {
        slot.conversation.shrink();
        slot.calls.shrink();
    }

    fn warm(&self, slot: &Slot) -> u64 {
        slot.conversation.warm() + slot.calls.warm()
    }

    fn close(&mut self, flow: &Flow, slot: &mut Slot, _why: End, now: Stamp) {
        let awaits_keys = |keys: &Arc<Keys>| keys.is_open() && keys.has_source();
        if slot.conversation.is_waiting() && self.keys.as_ref().is_some_and(awaits_keys) {
            let slot = std::mem::replace(slot, self.slot(flow));
            self.sealed.push_back(SealedConnection { flow: flow.clone(), slot, since: now });
            if self.sealed.len() > MAX_SEALED {
                self.unseal(now);
            }
            return;
        }
        self.conclude(flow, slot, now);
    }
}

impl Stages {
    /// Gives up the closed connection that has waited longest for its keys.
    fn unseal(&mut self, now: Stamp) {
        if let Some(SealedConnection { flow, mut slot, .. }) = self.sealed.pop_front() {
            self.conclude(&flow, &mut slot, now);
        }
    }

    /// Live: gives up those that have waited long enough.
    pub(super) fn unseal_old(&mut self, now: Stamp) {
        let waits =
            |one: &SealedConnection| u128::from(now.time.since(one.since.time)) < SEALED_TIME.as_nanos();
        while self.sealed.front().is_some_and(|one| !waits(one)) {
            self.unseal(now);
        }
    }

    /// Reads what has waited for keys in all connections. What it says is decided now.
    pub(super) fn wake(&mut self, table: &mut Table<Slot>, now: Stamp) {
        let Some(keys) = self.keys.clone() else { return };
        self.matcher.settle();
        loop {
            // The keys of one session may be those of others.
            let version = keys.version();
            for (flow, slot) in table.flows_mut() {
                self.wake_one(flow, slot, now);
            }
            let mut sealed = std::mem::take(&mut self.sealed);
            for one in &mut sealed {
                self.wake_one(&one.flow, &mut one.slot, now);
            }
            let (open, waiting): (VecDeque<_>, _) =
                sealed.into_iter().partition(|one| !one.slot.conversation.is_waiting());
            self.sealed = waiting;
            for mut one in open {
                self.conclude(&one.flow, &mut one.slot, now);
            }
            if keys.version() == version {
                break;
            }
        }
        self.matcher.settle();
    }

    fn wake_one(&mut self, flow: &Flow, slot: &mut Slot, now: Stamp) {
        let Slot { conversation, calls } = slot;
        if !conversation.is_waiting() {
            return;
        }
        let is_tcp = flow.key.network == Network::Tcp;
        while let Some(pending) = calls.pending() {
            let matcher = &mut self.matcher;
            let passed = conversation.wake(flow, &mut |from, event, origin| {
                let position = is_tcp.then_some(origin.sequence);
                // It is decided now, but it happened then.
                let now = Stamp { time: origin.stamp.time, ..now };
                matcher.event(At { flow, now, origin: origin.stamp, position }, pending, from, event);
            });
            let Passed::End(side, end, origin) = passed else { break };
            let now = Stamp { time: origin.time, ..now };
            self.matcher.end(At { flow, now, origin, position: None }, pending, side, end);
        }
        if !conversation.is_waiting() && flow.ended.iter().all(Option::is_some) {
            conversation.finish(&mut self.sessions);
            calls.finish(&mut self.spare);
        }
    }

    /// The connection is over, and nothing of it waits.
    fn conclude(&mut self, flow: &Flow, slot: &mut Slot, now: Stamp) {
        slot.conversation.settle(flow);
        if let Some(pending) = slot.calls.pending() {
            self.matcher.close(At { flow, now, origin: now, position: None }, pending);
        }
        if let Some((error, messages)) = slot.conversation.trouble() {
            self.totals.undecodable.add(error.what, messages);
        }
        if slot.calls.decided() == 0 {
            let reason = reason(flow, slot, state(flow, slot, true)).unwrap_or("no call in it");
            self.totals.without_calls.add(reason, flow.bytes.iter().sum());
        } else if flow.gaps > 0 {
            self.totals.holes += Tallied { connections: 1, amount: flow.gaps };
        }
        if self.connections {
            let mut connection = Box::new(connection(flow, slot, true));
            // The order of outputs is that of the packets at which they were made.
            connection.last_packet = now.packet;
            self.closed.push(connection);
        }
    }

    /// What is kept for a connection at its beginning.
    pub(super) fn slot(&self, flow: &Flow) -> Slot {
        self.slot_in(flow, Box::default())
    }

    /// The same with room for its calls, which is empty.
    fn slot_in(&self, flow: &Flow, room: Box<PendingCalls>) -> Slot {
        let conversation = Conversation::new(&flow.key, &self.decode_as, self.bodies);
        Slot { conversation: conversation.with_keys(self.keys.as_ref()), calls: Calls::Open(room) }
    }
}
