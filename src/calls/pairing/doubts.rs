//! What was lost while calls waited, and what came late.

use rpcscope_parsers::Side;

use super::pending::Pending;
use crate::calls::record::{Call, Finding, Findings, Uid};
use crate::flow::Stamp;

/// What an event did to all calls that began before it. So the event costs the same whatever the number of calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// The first identity that it did not touch.
    pub(super) uid: Uid,
    /// The packet of the event: where both sides have holes, requests that were captured before it may be read after it.
    pub(super) packet: u64,
}

impl Before {
    pub(super) fn touches(self, call: &Call) -> bool {
        call.uid < self.uid || call.packets.0 < self.packet
    }

    /// Touches those that a later event touched, too.
    pub(super) fn extend(&mut self, later: Self) {
        *self = Self { uid: later.uid, packet: self.packet.max(later.packet) };
    }
}

/// What may be missing of calls, by how it was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    gap: Before,
    truncated: Before,
    mid_stream: Before,
}

impl Losses {
    pub(super) fn note(&mut self, how: Finding, before: Before) {
        match how {
            Finding::Truncated => self.truncated = before,
            Finding::MidStream => self.mid_stream = before,
            _ => self.gap = before,
        }
    }

    /// Whether any of it may be missing of a call.
    pub(super) fn touches(&self, call: &Call) -> bool {
        [self.gap, self.truncated, self.mid_stream].iter().any(|before| before.touches(call))
    }

    /// Whether packets were lost since a call began.
    pub(super) fn has_gap(&self, call: &Call) -> bool {
        self.gap.touches(call)
    }

    fn mark(&self, call: &mut Call) {
        for (finding, before) in [
            (Finding::Gap, self.gap),
            (Finding::Truncated, self.truncated),
            (Finding::MidStream, self.mid_stream),
        ] {
            if before.touches(call) {
                call.findings.insert(finding);
            }
        }
    }
}

/// What was lost while calls waited, and what came late. Boxed, because few connections have any of it.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Bytes of either side: what ended a stream may be among them.
    pub(super) streams: Losses,
    /// An answer came that fits none of the calls that wait for the side.
    pub(super) answers: [Losses; 2],
    /// The answers to the calls of each side may stand in bytes that could not be read.
    pub(super) unread: [Before; 2],
    /// By side: the packet of the first bytes behind its last hole.
    pub(super) behind: [u64; 2],
    /// Messages were lost, so that answers of equal numbers may belong to calls that were not seen, or to earlier ones.
    pub(super) order: Option<Finding>,
    /// The call whose answer each side is sending, where that is not the oldest of its number.
    pub(super) answering: [Option<Uid>; 2],
    /// Calls that were answered after the caller had closed: whether anybody read the answer is not known yet.
    pub(super) held: Vec<Held>,
    /// The same, decided as if it had been read.
    pub(super) late: Vec<LateAnswer>,
}

impl Doubts {
    #[inline(never)]
    pub(super) fn mark(&self, call: &mut Call, stream: bool, client: Side) {
        if stream {
            self.streams.mark(call);
        }
        self.answers[client.index()].mark(call);
    }
}

/// A call that was answered after its caller had closed.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) waiting: Pending,
    /// What is remarkable about its outcome, which the record has already.
    pub(super) findings: Findings,
    /// The packet of the answer's last byte.
    pub(super) answered: Stamp,
    /// TCP: sequence number of the answer's last part.
    pub(super) position: u32,
}

/// A call that was answered after its caller had closed, and is decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateAnswer {
    pub(super) uid: Uid,
    /// The packet that decided its call.
    pub(super) decided: u64,
    /// TCP: sequence number of its first byte.
    pub(super) position: u32,
}
