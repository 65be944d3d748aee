//! Connections of which only a handshake was captured: nobody may ever send more on them, and a SYN flood opens a million.
//!
//! One takes a small part of the memory of a connection with payload. Its few segments can be computed from what is kept of
//! them, so that whatever follows finds the same state as if all of them had been taken as they came.

use rpcscope_parsers::Side;

use super::half_stream::Delivery;
use super::limits::Limits;
use super::streams::Streams;
use super::{Chunk, End, Flow, Origins, Owner, Stamp};
use crate::decode::{FlowKey, Segment, TcpFlags, TcpHead, Transport};
use crate::time::Timestamp;

/// Steps of a handshake.
const STEPS: usize = 3;

const SYN: TcpFlags = TcpFlags { fin: false, syn: true, rst: false, ack: false };
const SYN_ACK: TcpFlags = TcpFlags { fin: false, syn: true, rst: false, ack: true };
const ACK: TcpFlags = TcpFlags { fin: false, syn: false, rst: false, ack: true };

/// The first segments of a connection, none with payload: a SYN, its answer, the acknowledgement of that; or only an answer or
/// an acknowledgement, where the capture begins there or shows one direction.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) key: FlowKey,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    /// The table's clock when it was moved to the back of its queue.
    pub(super) touched: Timestamp,
    pub(super) tag: u32,
    /// Who sent the first segment.
    side: Side,
    /// What the first segment is.
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    /// Sequence number of the SYN of the other side.
    answer: u32,
    /// How often each step was seen; none is missing before one that was.
    seen: [u32; STEPS],
}

/// Header and sender of a segment without payload.
fn bare<'s>(segment: &'s Segment<'_>) -> Option<&'s TcpHead> {
    match &segment.transport {
        Transport::Tcp(head) if segment.wire_len() == 0 => Some(head),
        _ => None,
    }
}

impl Handshake {
    /// A connection that begins with this segment, if it can be kept like this.
    pub(super) fn begin(segment: &Segment<'_>, tag: u32, clock: Timestamp) -> Option<Self> {
        let head = bare(segment)?;
        let begins = [SYN, SYN_ACK, ACK].contains(&head.flags);
        begins.then(|| Self {
            key: segment.key,
            first: segment.stamp(),
            last: segment.stamp(),
            touched: clock,
            tag,
            side: segment.side,
            flags: head.flags,
            seq: head.seq,
            ack: head.ack,
            answer: 0,
            seen: [1, 0, 0],
        })
    }

    /// Takes the next step, or one of those before it again; says whether the segment was one.
    pub(super) fn take(&mut self, segment: &Segment<'_>) -> bool {
        let Some(head) = bare(segment) else { return false };
        let sent = (segment.side, *head);
        let known = (0..STEPS).find(|step| self.seen[*step] > 0 && self.step(*step) == sent);
        let step = known.or_else(|| {
            let next = self.seen.iter().position(|seen| *seen == 0)?;
            if next == 1 {
                self.answer = head.seq;
            }
            (self.flags == SYN && self.step(next) == sent).then_some(next)
        });
        let Some(step) = step else { return false };
        self.seen[step] = self.seen[step].saturating_add(1);
        self.last = segment.stamp();
        true
    }

    /// Sender and header of a step.
    fn step(&self, step: usize) -> (Side, TcpHead) {
        let after = self.seq.wrapping_add(1);
        match step {
            0 => (self.side, TcpHead { seq: self.seq, ack: self.ack, flags: self.flags }),
            1 => (self.side.other(), TcpHead { seq: self.answer, ack: after, flags: SYN_ACK }),
            _ => (self.side, TcpHead { seq: after, ack: self.answer.wrapping_add(1), flags: ACK }),
        }
    }

    /// What the table would know of the connection if it had taken the segments as they came.
    pub(super) fn replay(&self) -> (Flow, Streams) {
        let mut flow = Flow::of(&self.segment(0));
        let mut streams = Streams::default();
        for step in (0..STEPS).filter(|step| self.seen[*step] > 0) {
            let segment = self.segment(step);
            let (_, head) = self.step(step);
            flow.count(segment.side, 0, self.last);
            flow.segments[segment.side.index()] += u64::from(self.seen[step] - 1);
            let mut to = Delivery {
                flow: &mut flow,
                slot: &mut (),
                owner: &mut Nobody,
                now: self.last,
                past_hole: None,
            };
            // Nothing is held back: no step has payload or acknowledges what was not seen.
            streams.segment(&segment, &head, &Limits::default(), 0, &mut to);
        }
        (flow, streams)
    }

    fn segment(&self, step: usize) -> Segment<'static> {
        let (side, head) = self.step(step);
        Segment {
            packet: self.first.packet,
            time: self.first.time,
            key: self.key,
            side,
            transport: Transport::Tcp(head),
            payload: &[],
            missing: 0,
        }
    }
}

impl Flow {
    /// A connection that begins with this segment, which is not counted yet.
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        let now = segment.stamp();
        let mut flow = Self {
            key: segment.key,
            first: now,
            last: now,
            first_by: segment.side,
            opener: None,
            from_start: [false; 2],
            overtaken: None,
            segments: [0; 2],
            bytes: [0; 2],
            origins: [Origins::default(), Origins::default()],
            retransmissions: 0,
            gaps: 0,
            ended: [None; 2],
            reset_by: None,
        };
        if let Transport::Tcp(TcpHead { flags: TcpFlags { syn: true, ack, .. }, .. }) = segment.transport {
            let opener = if ack { segment.side.other() } else { segment.side };
            flow.opener = Some(opener);
            flow.from_start[segment.side.index()] = true;
            flow.from_start[opener.index()] = true;
        }
        flow
    }
}

/// Owner of a connection that has nothing to give.
struct Nobody;

impl Owner<()> for Nobody {
    fn open(&mut self, _flow: &Flow) {}

    fn chunk(&mut self, _: &Flow, (): &mut (), _: Side, _: Chunk<'_>, _: Stamp, _: Stamp) -> u64 {
        u64::MAX
    }

    fn close(&mut self, _: &Flow, (): &mut (), _: End, _: Stamp) {}
}
