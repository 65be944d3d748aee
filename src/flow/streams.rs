//! Both directions of a TCP connection, delivered in causal order.
//!
//! A segment that acknowledges bytes of the other side was sent after its sender had received them. If the capture has not
//! shown these bytes yet (packets change places between the queues of a network card, and get lost), the segment is held
//! back, with everything behind it, until the other stream has come that far or the hole in it is given up. So an answer
//! never comes before its request, and nobody behind this stage needs to know how packets were mixed up.

use rpcscope_parsers::Side;

use super::lane::{Arrival, Delivery, Hole, Lane, Wait};
use super::limits::Limits;
use super::position::Position;
use super::{End, Flow, Owner, Stamp};
use crate::decode::{Segment, TcpHead};

/// How far before the next byte a segment may begin to be a late one of the same connection. Windows in use are smaller.
const BEHIND: u64 = 64 << 20;
/// How far after the next byte a segment may begin, or an acknowledgement lie: the largest window of RFC 7323.
const AHEAD: u64 = 1 << 30;
/// How far from what is known a RST may be. Receivers demand that it is in the window (RFC 9293, section 3.5.3), whose size
/// is known only with the scale factors of the handshake, and a RST that answers old data names an old number.
const RESET_WINDOW: u64 = 1 << 20;
/// In how many first segments a SYN may turn up that was captured behind its first data…
const YOUNG_SEGMENTS: u64 = 32;
/// …and how many bytes before them it may begin.
const YOUNG_BYTES: u64 = 1 << 16;

/// Whose a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Of this connection.
    Belongs,
    /// Of a new connection between the same ports.
    Another,
    /// Of no window: corrupt, forged, or the first of a connection whose SYN was not captured.
    Stray,
}

/// A RST that waits for what was sent before it.
#[derive(Clone, Copy, Debug)]
struct Reset {
    side: Side,
    at: Option<Position>,
    needs: Option<Position>,
    origin: Stamp,
    segments: u64,
}

/// Both directions. A lane exists from the moment where a position of it is known: by a segment of its own, or by an
/// acknowledgement of the other side.
#[derive(Debug, Default)]
pub(super) struct Streams {
    lanes: [Option<Lane>; 2],
    reset: Option<Reset>,
}

/// Segments of both sides.
fn segments(flow: &Flow) -> u64 {
    flow.segments[0] + flow.segments[1]
}

/// Whether a segment of `side` was ever captured.
fn heard(flow: &Flow, side: Side) -> bool {
    flow.segments[side.index()] > 0
}

impl Streams {
    fn lane(&self, side: Side) -> Option<&Lane> {
        self.lanes[side.index()].as_ref()
    }

    fn lane_mut(&mut self, side: Side) -> Option<&mut Lane> {
        self.lanes[side.index()].as_mut()
    }

    /// Bytes of memory held back.
    pub(super) fn held(&self) -> usize {
        self.lanes.iter().flatten().map(|lane| lane.held).sum()
    }

    /// Whether time alone can change something: bytes are held back, or are known to be missing.
    pub(super) fn is_unsettled(&self, flow: &Flow) -> bool {
        let open = |side| self.lane(side).is_some_and(|lane| lane.is_open(heard(flow, side)));
        self.reset.is_some() || open(Side::A) || open(Side::B)
    }

    /// Says whether a segment with `payload` bytes is of this connection.
    pub(super) fn judge(&mut self, side: Side, head: &TcpHead, payload: u64, flow: &Flow) -> Judgement {
        let flags = head.flags;
        let other = self.lane(side.other()).map(|lane| lane.next);
        let Some(lane) = self.lane_mut(side) else {
            // Nothing is known of this side. A RST that refuses a SYN names what it refuses by its acknowledgement.
            let plausible = other.is_none_or(|next| {
                let ack = next.near(head.ack);
                ack >= next.back(RESET_WINDOW) && ack <= next + RESET_WINDOW
            });
            let forged = flags.rst && flags.ack && !plausible;
            return if forged { Judgement::Stray } else { Judgement::Belongs };
        };
        if flags.rst {
            let at = lane.next.near(head.seq);
            let low = lane.next.min(lane.acked).back(RESET_WINDOW);
            let inside = at >= low && at <= lane.highest() + RESET_WINDOW;
            return if inside { Judgement::Belongs } else { Judgement::Stray };
        }
        if flags.syn {
            let start = lane.base.near(head.seq.wrapping_add(1));
            let reordered = !lane.anchored && start < lane.base && lane.base - start <= YOUNG_BYTES;
            let same = start == lane.base || (reordered && segments(flow) <= YOUNG_SEGMENTS);
            return if same { Judgement::Belongs } else { Judgement::Another };
        }
        let at = lane.next.near(head.seq);
        if at + BEHIND < lane.next || at > lane.next + AHEAD {
            // Two segments in a row that fit together but not to the connection are another one.
            if payload > 0 && lane.stray == Some(head.seq) {
                return Judgement::Another;
            }
            if payload > 0 {
                lane.stray = Some(head.seq.wrapping_add(payload as u32));
            }
            return Judgement::Stray;
        }
        if payload > 0 && at > lane.next && flow.ended == [Some(End::Fin); 2] {
            return Judgement::Another;
        }
        Judgement::Belongs
    }

    /// Takes a segment of this connection. `room` is how many bytes it may hold back.
    pub(super) fn segment<S, O: Owner<S>>(
        &mut self,
        segment: &Segment<'_>,
        head: &TcpHead,
        limits: &Limits,
        room: usize,
        to: &mut Delivery<'_, S, O>,
    ) -> Overflow {
        let side = segment.side;
        let flags = head.flags;
        if flags.syn && !flags.rst {
            self.shake_hands(side, head, to.flow);
        }
        let needs = if flags.ack { self.acknowledge(side.other(), head, to.flow) } else { None };
        if let Some(lane) = self.lane_mut(side) {
            lane.sent = lane.sent.max(lane.next.near(head.seq));
        }
        if flags.rst {
            let at = self.lane(side).map(|lane| lane.next.near(head.seq));
            let segments = segments(to.flow);
            self.reset.get_or_insert(Reset { side, at, needs, origin: to.now, segments });
        } else {
            let seq = head.seq.wrapping_add(u32::from(flags.syn));
            self.arrive(segment, seq, flags.fin, needs, to);
        }
        if self.is_unsettled(to.flow) { self.settle(limits, room, to) } else { Overflow(0) }
    }

    /// Learns from a SYN where the streams begin.
    fn shake_hands(&mut self, side: Side, head: &TcpHead, flow: &mut Flow) {
        let other = side.other();
        if flow.opener.is_none() {
            flow.opener = Some(if head.flags.ack { other } else { side });
        }
        let first = head.seq.wrapping_add(1);
        let lane = self.lanes[side.index()].get_or_insert_with(|| Lane::at(Position::first(first)));
        let start = lane.base.near(first);
        if !lane.anchored {
            lane.anchored = true;
            if !lane.begun {
                lane.rebase(start);
            }
            flow.from_start[side.index()] = lane.base == start;
            lane.base = start;
        }
        if head.flags.ack {
            let lane = self.lanes[other.index()].get_or_insert_with(|| Lane::at(Position::first(head.ack)));
            // The acknowledgement of the SYN is the beginning of the other stream, wherever it is seen.
            if lane.base == lane.base.near(head.ack) {
                flow.from_start[other.index()] = true;
            }
        }
    }

    /// Takes an acknowledgement of what `side` sent, and says which position that is, if it can be true.
    fn acknowledge(&mut self, side: Side, head: &TcpHead, flow: &mut Flow) -> Option<Position> {
        let ack = head.ack;
        if self.lane(side).is_none() && !head.flags.rst {
            self.lanes[side.index()] = Some(Lane::at(Position::first(ack)));
            // The first acknowledgement of the side that opened the connection is that of the SYN, if this was not captured.
            let opener = side.other();
            let first =
                self.lane(opener).is_some_and(|lane| !lane.begun && lane.base.near(head.seq) == lane.base);
            flow.from_start[side.index()] |= flow.opener == Some(opener) && first;
        }
        let lane = self.lane_mut(side)?;
        let position = lane.next.near(ack);
        if position > lane.next + AHEAD {
            return None;
        }
        lane.acked = lane.acked.max(position);
        Some(position)
    }

    /// Whether the stream of `side` has been delivered up to `position`, or never will be.
    fn has_reached(&self, side: Side, position: Option<Position>, flow: &Flow) -> bool {
        let (Some(position), Some(lane)) = (position, self.lane(side)) else { return true };
        lane.done || position <= lane.next || !heard(flow, side)
    }

    /// The bytes missing next in the stream of `side`.
    fn hole(&self, side: Side, flow: &Flow) -> Option<Hole> {
        let wanted = self.lane(side.other()).and_then(Lane::next_head).and_then(|head| head.needs);
        self.lane(side)?.hole(heard(flow, side), wanted)
    }

    /// Takes the stream bytes of a segment: delivers them at once if they are next, else holds them back.
    fn arrive<S, O: Owner<S>>(
        &mut self,
        segment: &Segment<'_>,
        seq: u32,
        fin: bool,
        needs: Option<Position>,
        to: &mut Delivery<'_, S, O>,
    ) {
        let side = segment.side;
        let total = segment.payload.len() as u64 + u64::from(segment.missing);
        let reached = self.has_reached(side.other(), needs, to.flow);
        let unknown = self.lane(side).is_none();
        let first = self.lane(side).is_none_or(|lane| !lane.begun && !lane.holds());
        if total > 0
            && first
            && let (Some(needs), Some(other)) = (needs, self.lane_mut(side.other()))
        {
            other.asked = other.asked.min(needs);
        }
        let lane = self.lanes[side.index()].get_or_insert_with(|| Lane::at(Position::first(seq)));
        lane.stray = None;
        if total == 0 && !fin {
            return;
        }
        let start = lane.next.near(seq);
        let arrival = Arrival {
            start,
            bytes: segment.payload,
            missing: u64::from(segment.missing),
            fin,
            needs,
            origin: to.now,
        };
        let end = arrival.end();
        if !lane.begun && !to.flow.from_start[side.index()] {
            // The capture begins in the middle of this stream. One byte alone is probably the byte of a keep-alive, which
            // is not part of the stream (RFC 9293, section 3.8.4).
            if total == 1 && !fin && (unknown || end == lane.next) {
                lane.next = end;
                return;
            }
            // The stream begins with the earliest bytes that turn up before anything is delivered; what was acknowledged
            // before they turned up was sent before the capture began, unless the other side had spoken by then.
            let before = to.flow.opener.is_none() && lane.acked >= start;
            if start < lane.next || (before && !lane.holds()) {
                lane.rebase(start.min(lane.asked.max(lane.next)));
            }
        }
        if fin && lane.fin_lost && end + 1 == lane.next {
            lane.fin_lost = false;
            lane.next = end;
        }
        let news = if lane.done || end < lane.next || (end == lane.next && !fin) {
            false
        } else if start <= lane.next && reached && lane.is_clear_to(end) {
            let news = end > lane.next || fin;
            if end > lane.next {
                lane.pass(side, &arrival, to);
            }
            if fin {
                lane.pass_fin(side, to.now, to);
            }
            news
        } else {
            lane.hold(&arrival)
        };
        if total > 0 && !news {
            to.flow.retransmissions += 1;
        }
    }

    /// Delivers what can be delivered, gives up what has waited for too long or takes too much memory.
    pub(super) fn settle<S, O: Owner<S>>(
        &mut self,
        limits: &Limits,
        room: usize,
        to: &mut Delivery<'_, S, O>,
    ) -> Overflow {
        let mut overflow = Overflow(0);
        loop {
            self.drain(to);
            if self.reset_is_due(limits, to) {
                self.finish(End::Rst, to);
                return overflow;
            }
            let pieces: usize = self.lanes.iter().flatten().map(Lane::pieces).sum();
            let full = self.held() > limits.flow_bytes.min(room) || pieces > limits.flow_pieces;
            if full && self.skip_first_hole(to) {
                overflow.0 += 1;
            } else if let Some(side) = self.overdue(limits, to) {
                self.skip_hole(side, to);
            } else {
                return overflow;
            }
        }
    }

    /// Delivers everything that waits for nothing any more, the earlier captured first.
    fn drain<S, O: Owner<S>>(&mut self, to: &mut Delivery<'_, S, O>) {
        loop {
            let heads = [Side::A, Side::B].map(|side| Some((side, self.lane(side)?.next_head()?)));
            let ready = heads
                .iter()
                .flatten()
                .filter(|(side, head)| self.has_reached(side.other(), head.needs, to.flow))
                .min_by_key(|(_, head)| head.origin.packet);
            let side = match (ready, heads) {
                (Some((side, _)), _) => *side,
                // Each waits for the other: the original of one was not captured, and its retransmission acknowledges
                // more than the original did. That is the later one.
                (None, [Some((_, a)), Some((_, b))]) => {
                    if a.origin.packet > b.origin.packet {
                        Side::A
                    } else {
                        Side::B
                    }
                }
                _ => return,
            };
            if let Some(lane) = self.lane_mut(side) {
                lane.pass_head(side, to);
            }
        }
    }

    /// The side whose hole has been waited for long enough.
    fn overdue<S, O>(&mut self, limits: &Limits, to: &Delivery<'_, S, O>) -> Option<Side> {
        let segments = segments(to.flow);
        let now = to.now.time;
        for side in [Side::A, Side::B] {
            let answered = heard(to.flow, side.other());
            let hole = self.hole(side, to.flow);
            let Some(lane) = self.lane_mut(side) else { continue };
            let Some(hole) = hole else {
                lane.wait = None;
                continue;
            };
            let at = lane.next;
            let known = lane.wait.filter(|wait| wait.at == at && wait.acked == hole.acked);
            let wait = known.unwrap_or(Wait { at, acked: hole.acked, segments, time: now });
            lane.wait = Some(wait);
            let waited = u128::from(now.since(wait.time));
            let due = if hole.acked || !answered {
                segments - wait.segments >= limits.hole_segments || waited >= limits.hole_time.as_nanos()
            } else {
                waited >= limits.lost_time.as_nanos()
            };
            if due {
                return Some(side);
            }
        }
        None
    }

    /// Whether everything before the RST has been delivered, or has been waited for long enough.
    fn reset_is_due<S, O>(&self, limits: &Limits, to: &Delivery<'_, S, O>) -> bool {
        let Some(reset) = self.reset else { return false };
        let complete = self.has_reached(reset.side, reset.at, to.flow)
            && self.has_reached(reset.side.other(), reset.needs, to.flow);
        let waited = u128::from(to.now.time.since(reset.origin.time));
        complete
            || segments(to.flow) - reset.segments >= limits.hole_segments
            || waited >= limits.hole_time.as_nanos()
    }

    fn skip_hole<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        if let Some(hole) = self.hole(side, to.flow)
            && let Some(lane) = self.lane_mut(side)
        {
            lane.skip(side, hole, to);
        }
    }

    /// Gives up the hole that is known for the longest time: an acknowledged one, or the one whose bytes behind were
    /// captured first. Says whether there is one.
    fn skip_first_hole<S, O: Owner<S>>(&mut self, to: &mut Delivery<'_, S, O>) -> bool {
        let first = [Side::A, Side::B]
            .into_iter()
            .filter_map(|side| {
                let hole = self.hole(side, to.flow)?;
                let packet = self.lane(side)?.head().map_or(u64::MAX, |head| head.origin.packet);
                Some((!hole.acked, packet, side))
            })
            .min();
        if let Some((_, _, side)) = first {
            self.skip_hole(side, to);
        }
        first.is_some()
    }

    /// Delivers all that is held back, holes as gaps, and `end` for both sides; if a RST came, that, its sender first.
    pub(super) fn finish<S, O: Owner<S>>(&mut self, end: End, to: &mut Delivery<'_, S, O>) {
        loop {
            self.drain(to);
            if !self.skip_first_hole(to) {
                break;
            }
        }
        for side in [Side::A, Side::B] {
            let heard = heard(to.flow, side);
            // What was acknowledged of a direction that was not captured is all that is known of it.
            if let Some(lane) = self.lane_mut(side)
                && !heard
                && let Some(hole) = lane.hole(true, None)
            {
                lane.skip(side, hole, to);
            }
        }
        // A RST that was still waiting is a better reason than whatever cut the wait short.
        let (first, end, origin) = match self.reset.take() {
            Some(reset) => (reset.side, End::Rst, reset.origin),
            None => (Side::A, end, to.now),
        };
        if end == End::Rst {
            to.flow.reset_by = Some(first);
        }
        to.end(first, end, origin);
        to.end(first.other(), end, origin);
        for lane in self.lanes.iter_mut().flatten() {
            lane.done = true;
            lane.discard();
        }
    }
}

/// How many holes were given up because too much was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow(pub(super) u64);
