//! What still comes on the ports of a connection that has ended.

use rpcscope_parsers::Side;

use super::super::{End, Flow};
use super::Streams;
use crate::decode::TcpHead;

impl Streams {
    /// Whether payload can be of this connection, which has ended. A side that has closed or reset it says nothing new; what the
    /// other side sent before it had the RST came late. Nobody sends what stands before a SYN, or acknowledges what was never sent.
    pub(super) fn may_say(&self, side: Side, head: &TcpHead, payload: u64, flow: &Flow) -> bool {
        let has_left = |side: Side| flow.ended[side.index()] == Some(End::Fin) || flow.reset_by == Some(side);
        let repeats = self.repeats(side, head, payload, flow);
        let reads = self.half(side.other()).filter(|_| head.flags.ack).is_none_or(|other| {
            let acked = other.next.near(head.ack);
            let is_sent = acked <= other.highest() + 1 || !has_left(side.other());
            is_sent && (acked >= other.base || !flow.from_start[side.other().index()])
        });
        (repeats || !has_left(side)) && reads
    }

    /// Whether a segment has nothing but bytes that stand in the known part of its stream.
    pub(in super::super) fn repeats(&self, side: Side, head: &TcpHead, payload: u64, flow: &Flow) -> bool {
        self.half(side).is_some_and(|half| {
            let end = half.next.near(head.seq) + payload;
            end <= half.next && (end > half.base || !flow.from_start[side.index()])
        })
    }

    /// Takes a segment of a connection that both sides have closed. If it is a RST: the sequence number before which its
    /// sender had acknowledged the other stream.
    pub(in super::super) fn after_close(&mut self, side: Side, head: &TcpHead) -> Option<u32> {
        if head.flags.rst {
            return self.read_by(side);
        }
        if head.flags.ack
            && let Some(half) = self.half_mut(side.other())
        {
            let acked = half.next.near(head.ack);
            half.acked = half.acked.max(acked.min(half.next));
        }
        None
    }
}
