//! Both directions of a TCP connection, delivered in causal order.
//!
//! A segment that acknowledges bytes of the other side was sent after its sender had received them. If the capture has not
//! shown these bytes yet (the queues of a network card reorder packets, and packets get lost), the segment is held back,
//! with everything behind it, until the other stream has been delivered that far or its hole is given up. So an answer never
//! comes before its request, and no later stage has to deal with reordering.
//!
//! Nearly all segments continue their stream and acknowledge only what was delivered. [`Streams::in_order`] takes those
//! with a few comparisons, [`Streams::answers_syn`] and [`Streams::turns`] those that usually open and close a connection;
//! everything else goes through [`Streams::segment`].

mod closed;
mod reset;
mod usual;

use rpcscope_parsers::Side;

use reset::Reset;

use super::doubted::Doubted;
use super::half_stream::{Arrival, Delivery, HalfStream, Hole, HoleWait};
use super::limits::Limits;
use super::position::Position;
use super::{End, Flow, Owner};
use crate::decode::{Segment, TcpHead};
use crate::time::Timestamp;

/// How far before the next byte a segment may begin to be a late one of the same connection. Windows in use are smaller.
const BEHIND: u64 = 64 << 20;
/// How far after the next byte a segment may begin, or an acknowledgement lie: the largest window of RFC 7323.
const AHEAD: u64 = 1 << 30;
/// In how many first segments a SYN may turn up that was captured behind its first data…
const YOUNG_SEGMENTS: u64 = 32;
/// …and how many bytes before them it may begin.
const YOUNG_BYTES: u64 = 1 << 16;

/// Which connection a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// To this connection.
    Belongs,
    /// To a new connection between the same ports.
    Another,
    /// To none: corrupt or forged.
    OutOfWindow,
    /// To none, or to a new connection, if the next segment fits to it.
    Doubtful,
}

/// Both directions. A half is known as soon as one of its sequence numbers is: from a segment of its own, or from an
/// acknowledgement by the other side.
#[derive(Debug)]
pub(super) struct Streams {
    halves: [HalfStream; 2],
    /// Boxed, because few connections ever wait with a RST.
    reset: Option<Box<Reset>>,
    /// As of the last segment.
    course: Course,
}

/// How the streams of a connection go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Course {
    /// Time alone can change something: bytes are held back, or are known to be missing.
    Unsettled,
    /// One side is not known yet, has ended, or may have; or acknowledgements of a side that was not captured are ahead of it.
    #[default]
    Settled,
    /// Both sides are known and go on from where they are.
    Even,
}

/// Segments of both sides.
fn segments(flow: &Flow) -> u64 {
    flow.segments[0] + flow.segments[1]
}

/// Whether a segment of `side` was ever captured.
fn heard(flow: &Flow, side: Side) -> bool {
    flow.segments[side.index()] > 0
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            halves: [HalfStream::unknown(), HalfStream::unknown()],
            reset: None,
            course: Course::default(),
        }
    }
}

/// The half if it is known.
fn known(half: &HalfStream) -> Option<&HalfStream> {
    half.known.then_some(half)
}

impl Streams {
    fn half(&self, side: Side) -> Option<&HalfStream> {
        known(&self.halves[side.index()])
    }

    fn half_mut(&mut self, side: Side) -> Option<&mut HalfStream> {
        let half = &mut self.halves[side.index()];
        half.known.then_some(half)
    }

    /// The half of `side`, which begins at `seq` if nothing is known of it.
    fn half_at(&mut self, side: Side, seq: u32) -> &mut HalfStream {
        let half = &mut self.halves[side.index()];
        if !half.known {
            *half = HalfStream::at(Position::first(seq));
        }
        half
    }

    /// Bytes of memory held back.
    pub(super) fn held(&self) -> usize {
        self.halves.iter().map(HalfStream::held).sum()
    }

    /// How the streams go on from here.
    fn course(&self, flow: &Flow) -> Course {
        let open = |side| self.half(side).is_some_and(|half| half.is_open(heard(flow, side)));
        if self.reset.is_some() || open(Side::A) || open(Side::B) {
            Course::Unsettled
        } else {
            self.settled_course()
        }
    }

    /// The same where nothing is held back or missing.
    fn settled_course(&self) -> Course {
        if self.halves.iter().all(HalfStream::goes_on) { Course::Even } else { Course::Settled }
    }

    /// Whether time alone could change something after the last segment.
    pub(super) fn unsettled(&self) -> bool {
        self.course == Course::Unsettled
    }

    /// Says which connection a segment with `payload` bytes belongs to.
    pub(super) fn judge(&self, side: Side, head: &TcpHead, payload: u64, flow: &Flow) -> Judgement {
        let flags = head.flags;
        if flags.rst {
            return if self.may_reset(side, head) { Judgement::Belongs } else { Judgement::OutOfWindow };
        }
        if self.doubted(side, head, payload).is_some() {
            return Judgement::Another;
        }
        let is_closed = flow.ended.iter().all(Option::is_some);
        if is_closed && payload > 0 && !flags.syn && !self.may_say(side, head, payload, flow) {
            return Judgement::Another;
        }
        let other = self.half(side.other());
        let Some(half) = self.half(side) else { return Judgement::Belongs };
        if flags.syn {
            let start = half.base.near(head.seq.wrapping_add(1));
            let reordered = !half.anchored && start < half.base && half.base - start <= YOUNG_BYTES;
            let same = start == half.base || (reordered && segments(flow) <= YOUNG_SEGMENTS);
            // Hosts answer a SYN on a connection that lives, and go on with it (RFC 9293, section 3.10.7.4).
            let lives = !is_closed && half.begun && other.is_some_and(|other| other.begun);
            return match (same, lives) {
                (true, _) => Judgement::Belongs,
                (false, true) => Judgement::Doubtful,
                (false, false) => Judgement::Another,
            };
        }
        let at = half.next.near(head.seq);
        if at + BEHIND < half.next || at > half.next + AHEAD {
            return if payload > 0 { Judgement::Doubtful } else { Judgement::OutOfWindow };
        }
        // Of a gap, or of old data, the acknowledgement fits.
        let fits = other.filter(|_| flags.ack).is_none_or(|other| {
            let acked = other.next.near(head.ack);
            acked + BEHIND >= other.acked && acked <= other.highest() + AHEAD
        });
        if payload > 0 && at != half.next && !fits {
            return Judgement::Doubtful;
        }
        Judgement::Belongs
    }

    /// The side whose last segment is doubted, if this one fits to it.
    fn doubted(&self, side: Side, head: &TcpHead, payload: u64) -> Option<Side> {
        [side, side.other()].into_iter().find(|of| {
            let doubted = self.half(*of).and_then(HalfStream::doubted);
            doubted.is_some_and(|doubted| doubted.fits(side, head, payload))
        })
    }

    /// Keeps a segment until the next one shows what it is, with its payload if `room` and the bounds allow.
    pub(super) fn doubt(&mut self, segment: &Segment<'_>, head: &TcpHead, limits: &Limits, room: usize) {
        let Some(half) = self.half_mut(segment.side) else { return };
        half.take_doubted();
        let room = room.min(limits.flow_bytes).saturating_sub(self.held());
        if let Some(half) = self.half_mut(segment.side) {
            half.set_doubted(Doubted::of(segment, head, room));
        }
        // The next segment is judged.
        self.course = Course::Unsettled;
    }

    /// The doubted segment to which this one fits.
    pub(super) fn take_doubted(&mut self, side: Side, head: &TcpHead, payload: u64) -> Option<Doubted> {
        let of = self.doubted(side, head, payload)?;
        self.half_mut(of)?.take_doubted()
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
        self.halves.iter_mut().for_each(|half| drop(half.take_doubted()));
        if flags.syn && !flags.rst {
            self.shake_hands(side, head, to.flow);
        }
        if self.reset.is_some() {
            self.outlive_reset(segment, head);
        }
        let read = self.read_by(side);
        let needs = if flags.ack { self.acknowledge(side.other(), head, to.flow) } else { None };
        if flags.rst {
            self.take_reset(side, head, needs, read, to);
        } else {
            self.sends_from(side, head);
            let seq = head.seq.wrapping_add(u32::from(flags.syn));
            self.arrive(segment, seq, flags.fin, needs, to);
        }
        self.course = self.course(to.flow);
        if self.unsettled() { self.settle(limits, room, to) } else { Overflow(0) }
    }

    /// Learns from a SYN where the streams begin.
    fn shake_hands(&mut self, side: Side, head: &TcpHead, flow: &mut Flow) {
        let other = side.other();
        if flow.opener.is_none() {
            flow.opener = Some(if head.flags.ack { other } else { side });
        }
        let first = head.seq.wrapping_add(1);
        let half = self.half_at(side, first);
        let start = half.base.near(first);
        if !half.anchored {
            half.anchored = true;
            if !half.begun {
                half.rebase(start);
            }
            flow.from_start[side.index()] = half.base == start;
            half.base = start;
        }
        if head.flags.ack {
            let half = self.half_at(other, head.ack);
            // The acknowledgement of the SYN is the beginning of the other stream, wherever it is seen. One of later bytes
            // may have been captured before it.
            let start = half.base.near(head.ack);
            if !half.begun && start < half.base {
                half.rebase(start);
            }
            if half.base == start {
                flow.from_start[other.index()] = true;
            }
        }
    }

    /// Takes an acknowledgement of what `side` sent, and says which position that is, if it can be true.
    fn acknowledge(&mut self, side: Side, head: &TcpHead, flow: &mut Flow) -> Option<Position> {
        let ack = head.ack;
        if self.half(side).is_none() && !head.flags.rst {
            self.halves[side.index()] = HalfStream::at(Position::first(ack));
            // The first acknowledgement of the side that opened the connection is that of the SYN, if this was not captured.
            let opener = side.other();
            let first =
                self.half(opener).is_some_and(|half| !half.begun && half.base.near(head.seq) == half.base);
            flow.from_start[side.index()] |= flow.opener == Some(opener) && first;
        }
        let half = self.half_mut(side)?;
        let position = half.next.near(ack);
        if position > half.next + AHEAD {
            return None;
        }
        half.acked = half.acked.max(position);
        Some(position)
    }

    /// Everything before where a segment of `side` begins was sent.
    fn sends_from(&mut self, side: Side, head: &TcpHead) {
        if let Some(half) = self.half_mut(side) {
            half.sent = half.sent.max(half.next.near(head.seq));
        }
    }

    /// The sequence number before which `side` has acknowledged the other stream.
    fn read_by(&self, side: Side) -> Option<u32> {
        self.half(side.other()).map(|half| half.acked.number())
    }

    /// Whether the stream of `side` has been delivered up to `position`, or never will be.
    fn has_reached(&self, side: Side, position: Option<Position>, flow: &Flow) -> bool {
        let (Some(position), Some(half)) = (position, self.half(side)) else { return true };
        half.done || position <= half.next || !heard(flow, side)
    }

    /// The bytes missing next in the stream of `side`.
    fn hole(&self, side: Side, flow: &Flow) -> Option<Hole> {
        let wanted = self.half(side.other()).and_then(HalfStream::next_held).and_then(|first| first.needs);
        self.half(side)?.hole(heard(flow, side), wanted)
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
        let total = segment.wire_len();
        let reached = self.has_reached(side.other(), needs, to.flow);
        let unknown = self.half(side).is_none();
        let first = self.half(side).is_none_or(|half| !half.begun);
        if total > 0
            && first
            && let (Some(needs), Some(other)) = (needs, self.half_mut(side.other()))
        {
            other.asked = other.asked.min(needs);
        }
        // It does not acknowledge all that the other side has said by now.
        let passed = needs.zip(self.half(side.other())).is_some_and(|(needs, other)| needs < other.next);
        let spoke = self.half(side.other()).is_some_and(|other| other.begun);
        let half = self.half_at(side, seq);
        let start = half.next.near(seq);
        // The other side spoke before anything of this one was captured. Whoever did not open the connection asked nothing by that.
        if to.flow.segments[side.index()] == 1 && spoke && to.flow.opener.is_none_or(|opener| opener == side)
        {
            half.note_answered(if total > 0 { start } else { half.next });
        }
        if total == 0 && !fin {
            return;
        }
        if passed && half.may_be_answered() {
            to.flow.overtaken = Some(side);
        }
        let arrival = Arrival {
            start,
            bytes: segment.payload,
            missing: u64::from(segment.missing),
            fin,
            needs,
            origin: to.now,
        };
        let end = arrival.end();
        if !half.begun && !to.flow.from_start[side.index()] {
            // The capture begins in the middle of this stream. One byte alone is probably the byte of a keep-alive, which
            // is not part of the stream (RFC 9293, section 3.8.4).
            if total == 1 && !fin && (unknown || end == half.next) {
                half.next = end;
                return;
            }
            if passed {
                to.flow.overtaken = Some(side);
            }
            // The stream begins with the earliest bytes that turn up before anything is delivered; what was acknowledged
            // before they turned up was sent before the capture began, unless the other side had spoken by then.
            let before = to.flow.opener.is_none() && half.acked >= start;
            if start < half.next || (before && !half.holds()) {
                half.rebase(start.min(half.asked.max(half.next)));
            }
        }
        if fin && half.fin_lost && end + 1 == half.next {
            half.fin_lost = false;
            half.next = end;
        }
        // The byte that could have been the FIN comes after all.
        if total > 0 && half.fin_lost && start < half.next && end >= half.next {
            half.fin_lost = false;
            half.next = half.next.back(1);
        }
        let news = if half.done || end < half.next || (end == half.next && !fin) {
            false
        } else if start <= half.next && reached && half.is_clear_to(end) {
            let news = end > half.next || fin;
            if end > half.next {
                half.pass(side, &arrival, to);
            }
            if fin {
                if let Some(other) = self.half_mut(side.other()) {
                    other.pass_lost_fin(side.other(), to);
                }
                if let Some(half) = self.half_mut(side) {
                    half.pass_fin(side, to.now, to);
                }
            }
            news
        } else {
            half.hold(&arrival)
        };
        to.flow.overtaken = None;
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
            if self.reset_is_due(limits, to.now.time, to.flow) {
                self.finish(End::Rst, to);
                break;
            }
            let count: usize = self.halves.iter().map(HalfStream::segments_held).sum();
            let full = self.held() > limits.flow_bytes.min(room) || count > limits.flow_pieces;
            if full && self.skip_first_hole(to) {
                overflow.0 += 1;
            } else if let Some(side) = self.overdue(limits, to) {
                self.skip_hole(side, to);
            } else {
                break;
            }
        }
        self.course = self.course(to.flow);
        overflow
    }

    /// Delivers everything that waits for nothing any more, the earlier captured first.
    fn drain<S, O: Owner<S>>(&mut self, to: &mut Delivery<'_, S, O>) {
        loop {
            let heads = [Side::A, Side::B].map(|side| Some((side, self.half(side)?.next_held()?)));
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
            self.end_by_lost_fin(side, to);
            if let Some(half) = self.half_mut(side) {
                half.pass_first(side, to);
            }
        }
    }

    /// The FIN of `side` is next. If the other side's last byte was acknowledged but never captured, it was a FIN: nothing
    /// followed it, and it came first.
    fn end_by_lost_fin<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        let is_fin = |half: &HalfStream| half.next_held().is_some_and(|first| first.fin);
        if self.half(side).is_some_and(is_fin)
            && let Some(other) = self.half_mut(side.other())
        {
            other.pass_lost_fin(side.other(), to);
        }
    }

    /// The whole capture was silent until `now`: what could not come meanwhile is waited for from now on.
    pub(super) fn resume(&mut self, now: Timestamp) {
        for half in &mut self.halves {
            if let Some(wait) = half.wait() {
                half.set_wait(Some(HoleWait { time: wait.time.max(now), ..wait }));
            }
        }
        if let Some(reset) = &mut self.reset {
            reset.resume(now);
        }
    }

    /// The side whose hole has been waited for long enough.
    fn overdue<S, O>(&mut self, limits: &Limits, to: &Delivery<'_, S, O>) -> Option<Side> {
        let segments = segments(to.flow);
        let now = to.now.time;
        for side in [Side::A, Side::B] {
            let answered = heard(to.flow, side.other());
            let hole = self.hole(side, to.flow);
            let Some(half) = self.half_mut(side) else { continue };
            let Some(hole) = hole else {
                half.set_wait(None);
                continue;
            };
            let at = half.next;
            let known = half.wait().filter(|wait| wait.at == at && wait.acked == hole.acked);
            let wait = known.unwrap_or(HoleWait { at, acked: hole.acked, segments, time: now });
            half.set_wait(Some(wait));
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

    fn skip_hole<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        if let Some(hole) = self.hole(side, to.flow)
            && let Some(half) = self.half_mut(side)
        {
            half.skip(side, hole, to);
        }
    }

    /// Gives up the hole that is known for the longest time: an acknowledged one, or the one whose bytes behind were
    /// captured first. Says whether there is one.
    fn skip_first_hole<S, O: Owner<S>>(&mut self, to: &mut Delivery<'_, S, O>) -> bool {
        let first = [Side::A, Side::B]
            .into_iter()
            .filter_map(|side| {
                let hole = self.hole(side, to.flow)?;
                let packet = self.half(side)?.first_held().map_or(u64::MAX, |first| first.origin.packet);
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
            // What was sent before a RST came first, a lost FIN too.
            if let Some(side) = self.reset.as_ref().map(|reset| reset.side)
                && let Some(half) = self.half_mut(side)
            {
                half.pass_lost_fin(side, to);
            }
        }
        for side in [Side::A, Side::B] {
            let heard = heard(to.flow, side);
            // What was acknowledged of a direction that was not captured is all that is known of it.
            if let Some(half) = self.half_mut(side)
                && !heard
                && let Some(hole) = half.hole(true, None)
            {
                half.skip(side, hole, to);
            }
        }
        if self.reset.is_none() {
            for side in [Side::A, Side::B] {
                if let Some(half) = self.half_mut(side) {
                    half.pass_lost_fin(side, to);
                }
            }
        }
        // A RST that was still waiting is a better reason than whatever cut the wait short.
        let reset = self.reset.take();
        let (first, end, origin) = match &reset {
            Some(reset) => (reset.side, End::Rst, reset.origin),
            None => (Side::A, end, to.now),
        };
        if end == End::Rst {
            to.flow.reset_by = Some(first);
        }
        to.end(first, end, origin);
        to.end(first.other(), end, origin);
        if let Some(read) = reset.and_then(|reset| reset.read) {
            to.owner.reset(to.flow, to.slot, first, read, origin);
        }
        for half in &mut self.halves {
            half.done = true;
            half.discard();
        }
    }
}

/// How many holes were given up because too much was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow(pub(super) u64);
