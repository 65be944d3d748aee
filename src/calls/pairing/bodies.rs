//! The bodies of messages on their way to the calls, where they were asked for.
//!
//! A body comes directly before the event that its message's last byte brings ([`Event::Body`]). Here it waits for that event, which
//! knows the call.

use rpcscope_parsers::event::{Body, Complete};
use rpcscope_parsers::{CallId, Event, Side, Status};

use super::pending::Pending;
use super::pending_calls::PendingCalls;
use super::size::body_size;
use super::{At, Matcher};
use crate::calls::record::{Call, CallKind, Finding};
use crate::payload::reflection;
use crate::payload::{Bodies, RawBody};

/// Most bodies that wait for their event: as many as a session emits at once.
const MAX_HELD: usize = 8192;

/// A description of messages that passed by, by the packet that brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The packet.
    pub packet: u64,
    /// Which of several of that packet.
    pub ordinal: u32,
    /// A serialised `google.protobuf.FileDescriptorProto`.
    pub file: Vec<u8>,
}

/// Bodies that wait for their event.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whether anything of bodies is kept.
    pub(super) wanted: bool,
    waiting: Vec<(Side, CallId, RawBody)>,
    /// Those of the event at hand.
    current: Vec<(Side, CallId, RawBody)>,
    learned: Vec<Learned>,
}

impl Held {
    /// Keeps a body until its event comes.
    #[cold]
    pub(super) fn hold(&mut self, side: Side, body: &Body<'_>) {
        if self.waiting.len() < MAX_HELD {
            self.waiting.push((side, body.id, RawBody::of(body)));
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives a call those that go with an event of `side` with that id: of its `answer`, or else of its request. Returns how many bytes
    /// it takes more.
    #[inline]
    pub(super) fn give(&mut self, side: Side, id: CallId, answer: bool, call: &mut Call) -> usize {
        if self.current.is_empty() { 0 } else { self.give_held(side, id, answer, call) }
    }

    #[cold]
    fn give_held(&mut self, side: Side, id: CallId, answer: bool, call: &mut Call) -> usize {
        let before = body_size(call);
        for (_, _, body) in self.current.extract_if(.., |held| (held.0, held.1) == (side, id)) {
            if !call.bodies.get_or_insert_with(Box::<Bodies>::default).add(answer, body) {
                call.findings.insert(Finding::BodyCut);
            }
        }
        body_size(call) - before
    }

    /// The same for messages of a call that waits; reads what server reflection says in them.
    #[inline]
    pub(super) fn give_part(&mut self, at: &At<'_>, side: Side, id: CallId, waiting: &mut Pending) -> usize {
        if self.current.is_empty() { 0 } else { self.give_part_held(at, side, id, waiting) }
    }

    #[cold]
    fn give_part_held(&mut self, at: &At<'_>, side: Side, id: CallId, waiting: &mut Pending) -> usize {
        let answer = side != waiting.client;
        if answer && reflection::is_reflection(waiting.call.service.as_deref()) {
            let Self { current, learned, .. } = self;
            for (_, _, body) in current.iter().filter(|held| (held.0, held.1) == (side, id)) {
                for file in reflection::files(body) {
                    let ordinal = learned.last().filter(|last| last.packet == at.now.packet);
                    let ordinal = ordinal.map_or(0, |last| last.ordinal + 1);
                    learned.push(Learned { packet: at.now.packet, ordinal, file });
                }
            }
        }
        self.give_held(side, id, answer, &mut waiting.call)
    }

    /// Keeps the status details of a gRPC answer.
    #[inline]
    pub(super) fn note_status(&self, status: &Status<'_>, call: &mut Call) {
        if self.wanted {
            note_details(status, call);
        }
    }

    /// Descriptions that came up to the packet `ready`.
    pub(super) fn learned(&mut self, ready: u64) -> impl Iterator<Item = Learned> {
        self.learned.extract_if(.., move |learned| learned.packet <= ready)
    }
}

#[cold]
fn note_details(status: &Status<'_>, call: &mut Call) {
    if let Status::Grpc(status) = status
        && let Some(details) = status.details
    {
        call.bodies.get_or_insert_with(Box::<Bodies>::default).set_status(details);
    }
}

impl Matcher {
    /// Takes an event before which bodies came, which may be another one.
    #[cold]
    pub(super) fn event_with_bodies(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        side: Side,
        event: &Event<'_>,
    ) {
        if let Event::Body(body) = event {
            pending.heard[side.index()] = true;
            return self.bodies.hold(side, body);
        }
        self.bodies.current = std::mem::take(&mut self.bodies.waiting);
        self.event(*at, pending, side, event);
        if let Event::Complete(Complete { id, .. }) = event {
            self.give_late(at, side, *id);
        }
        let mut done = std::mem::take(&mut self.bodies.current);
        done.clear();
        self.bodies.waiting = done;
    }

    /// Gives bodies to a call that is decided already: a one-way call is when its message begins.
    fn give_late(&mut self, at: &At<'_>, side: Side, id: CallId) {
        let mut bodies = std::mem::take(&mut self.bodies);
        if let Some(call) = self.decided_by_id(at, id)
            && call.kind == CallKind::Oneway
            && call.client == at.flow.key.endpoint(side)
        {
            let given = bodies.give(side, id, false, call);
            self.grace_metadata += given;
        }
        self.bodies = bodies;
    }
}
