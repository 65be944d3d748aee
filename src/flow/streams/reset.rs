//! A RST that waits: for what was sent before it, or for what shows that its receiver did not take it.
//!
//! A receiver takes a RST at exactly the byte that it expects next; it drops one outside its window (RFC 9293, section 3.10.7.4) and
//! answers any other with an acknowledgement (RFC 5961, section 3.2). What it expects is known where no packet is missing. So a
//! RST at the next byte of its stream ends the connection at once, one behind what its receiver has acknowledged ends nothing, and
//! any other ends it only if nothing shows in time that the connection goes on.

use rpcscope_parsers::Side;

use super::super::half_stream::{Delivery, HalfStream};
use super::super::limits::Limits;
use super::super::position::Position;
use super::super::{Flow, Owner, Stamp};
use super::{Streams, known, segments};
use crate::decode::{Segment, TcpHead};
use crate::time::Timestamp;

/// How far from the known sequence numbers a RST may be: the size of a window depends on the scale factors of the handshake.
const RESET_WINDOW: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    pub(super) side: Side,
    at: Option<Position>,
    needs: Option<Position>,
    /// Sequence number before which its sender had acknowledged the other stream.
    pub(super) read: Option<u32>,
    pub(super) origin: Stamp,
    /// Since when it waits.
    since: Timestamp,
    segments: u64,
    /// [`HalfStream::sent`] of its sender without it.
    sent: Option<Position>,
    /// The end of what the other side is known to have sent before it came.
    heard: Option<Position>,
}

impl Reset {
    /// The whole capture was silent until `now`.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.since = self.since.max(now);
    }
}

impl Streams {
    /// Whether a RST of `side` may end the connection.
    pub(super) fn may_reset(&self, side: Side, head: &TcpHead) -> bool {
        let Some(half) = self.half(side) else {
            // Nothing is known of this side. A RST that refuses a SYN names what it refuses by its acknowledgement.
            let plausible = self.half(side.other()).is_none_or(|other| {
                let ack = other.next.near(head.ack);
                ack >= other.next.back(RESET_WINDOW) && ack <= other.next + RESET_WINDOW
            });
            return plausible || !head.flags.ack;
        };
        let at = half.next.near(head.seq);
        let low = if half.done {
            // Behind its FIN a side has nothing more to say, and what answers old data has an old number.
            half.next.min(half.acked).back(RESET_WINDOW)
        } else {
            // The last byte that was acknowledged may be a FIN that was not captured.
            half.acked.back(1)
        };
        at >= low && at <= half.highest() + RESET_WINDOW
    }

    /// Takes a RST. One at the next byte is better than one that waits elsewhere.
    pub(super) fn take_reset<S, O: Owner<S>>(
        &mut self,
        side: Side,
        head: &TcpHead,
        needs: Option<Position>,
        read: Option<u32>,
        to: &Delivery<'_, S, O>,
    ) {
        let heard = self.half(side.other()).map(HalfStream::highest);
        let at = self.half(side).map(|half| half.next.near(head.seq));
        let known = self.reset.as_ref().map(|reset| self.is_next(reset.side, reset.at));
        if known.is_none_or(|is_next| !is_next && self.is_next(side, at)) {
            let sent = self.half(side).map(|half| half.sent);
            let (origin, since, segments) = (to.now, to.now.time, segments(to.flow));
            self.reset =
                Some(Box::new(Reset { side, at, needs, read, origin, since, segments, sent, heard }));
        }
        self.sends_from(side, head);
    }

    /// Whether a RST of `side` is where its stream goes on, or that stream has ended.
    fn is_next(&self, side: Side, at: Option<Position>) -> bool {
        let (Some(half), Some(at)) = (self.half(side), at) else { return true };
        half.done || at == half.next || (half.fin_lost && at + 1 == half.next)
    }

    /// Forgets the RST that waits if this segment shows that the connection goes on.
    pub(super) fn outlive_reset(&mut self, segment: &Segment<'_>, head: &TcpHead) {
        if !head.flags.rst
            && let Some(reset) = self.reset.take_if(|reset| is_outlived(&self.halves, reset, segment, head))
            && let (Some(half), Some(sent)) = (self.half_mut(reset.side), reset.sent)
        {
            half.sent = sent;
        }
    }

    /// Whether everything before the RST has been delivered, or has been waited for long enough.
    pub(super) fn reset_is_due(&self, limits: &Limits, now: Timestamp, flow: &Flow) -> bool {
        let Some(reset) = &self.reset else { return false };
        let complete =
            self.is_next(reset.side, reset.at) && self.has_reached(reset.side.other(), reset.needs, flow);
        let waited = u128::from(now.since(reset.since));
        complete
            || segments(flow) - reset.segments >= limits.hole_segments
            || waited >= limits.hole_time.as_nanos()
    }
}

/// Whether a segment shows that the connection outlives a RST: its sender says more than was known of, or has received what the
/// other side sent later, or the other side has received what stands behind it.
fn is_outlived(halves: &[HalfStream; 2], reset: &Reset, segment: &Segment<'_>, head: &TcpHead) -> bool {
    let side = segment.side;
    let [own, other] = [side, side.other()].map(|side| known(&halves[side.index()]));
    let acked = other.filter(|_| head.flags.ack).map(|other| other.next.near(head.ack));
    if side == reset.side {
        let payload = segment.wire_len();
        let says = payload > 0 && own.is_some_and(|own| own.next.near(head.seq) + payload > own.highest());
        says || acked.zip(reset.heard).is_some_and(|(acked, heard)| acked > heard)
    } else {
        acked.zip(reset.at).is_some_and(|(acked, at)| acked > at + 1)
    }
}
