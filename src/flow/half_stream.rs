//! One direction of a TCP connection: what was delivered, what is held back, and where bytes are missing.

use std::collections::VecDeque;

use rpcscope_parsers::Side;

use super::doubted::Doubted;
use super::position::Position;
use super::{Chunk, End, Flow, GapReason, Owner, Stamp};
use crate::time::Timestamp;

/// The way to the owner of one connection, while one packet is being read.
pub(super) struct Delivery<'d, S, O> {
    pub(super) flow: &'d mut Flow,
    pub(super) slot: &'d mut S,
    pub(super) owner: &'d mut O,
    pub(super) now: Stamp,
    /// A hole was given up: what was held back behind it arrived when it was captured, on each side up to these times.
    pub(super) past_hole: Option<[Timestamp; 2]>,
}

impl<S, O: Owner<S>> Delivery<'_, S, O> {
    /// Delivers the next chunk of a side. `seq` is the sequence number of its first byte, `len` how far the stream advances.
    pub(super) fn chunk(&mut self, side: Side, chunk: Chunk<'_>, seq: u32, len: u64, origin: Stamp) {
        self.flow.origins[side.index()].pass(seq, len, origin);
        let needed = self.owner.chunk(self.flow, self.slot, side, chunk, origin, self.now);
        self.flow.origins[side.index()].keep(needed, len, origin);
    }

    /// Delivers the end of a side, once.
    pub(super) fn end(&mut self, side: Side, end: End, origin: Stamp) {
        let ended = &mut self.flow.ended[side.index()];
        if ended.is_none() {
            *ended = Some(end);
            let seq = self.flow.origins[side.index()].next_sequence();
            self.chunk(side, Chunk::End(end), seq, 0, origin);
        }
    }
}

/// Stream bytes and FIN of one segment, at their position in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) start: Position,
    pub(super) bytes: &'a [u8],
    /// Bytes after `bytes` that the snap length cut off.
    pub(super) missing: u64,
    pub(super) fin: bool,
    /// How much of the other side's stream its sender had received.
    pub(super) needs: Option<Position>,
    pub(super) origin: Stamp,
}

impl Arrival<'_> {
    pub(super) fn end(&self) -> Position {
        self.start + self.bytes.len() as u64 + self.missing
    }
}

/// A part of a segment that is held back.
#[derive(Debug)]
struct HeldSegment {
    start: Position,
    bytes: Vec<u8>,
    missing: u64,
    needs: Option<Position>,
    origin: Stamp,
}

impl HeldSegment {
    fn end(&self) -> Position {
        self.start + self.bytes.len() as u64 + self.missing
    }
}

/// A FIN that is held back.
#[derive(Clone, Copy, Debug)]
struct HeldFin {
    at: Position,
    needs: Option<Position>,
    origin: Stamp,
}

/// The first of what is held back, a segment or the FIN.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstHeld {
    pub(super) at: Position,
    pub(super) needs: Option<Position>,
    pub(super) origin: Stamp,
    /// It is the FIN.
    pub(super) fin: bool,
}

/// Bytes that were not captured although bytes after them, or their acknowledgement, were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where the stream would go on without them.
    pub(super) end: Position,
    /// The receiver has them: the network did not lose them, the capture did, or shows them later.
    pub(super) acked: bool,
}

/// Since when a hole is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoleWait {
    pub(super) at: Position,
    pub(super) acked: bool,
    /// Segments of the connection up to then.
    pub(super) segments: u64,
    pub(super) time: Timestamp,
}

/// What only a direction with missing or reordered segments has. Boxed, because most connections never need it.
#[derive(Debug, Default)]
struct Disorder {
    /// Ascending and without overlaps.
    segments: VecDeque<HeldSegment>,
    fin: Option<HeldFin>,
    wait: Option<HoleWait>,
    /// What the other side said before any segment of this side was captured may answer the bytes before this one.
    answered: Option<Position>,
    /// The last segment, if it seems to begin another connection.
    doubted: Option<Doubted>,
    /// Bytes of memory that `segments` take.
    memory: usize,
}

/// One direction.
#[derive(Debug)]
pub(super) struct HalfStream {
    /// One of its sequence numbers is known. Nothing else holds before.
    pub(super) known: bool,
    /// The next byte to deliver.
    pub(super) next: Position,
    /// The highest acknowledgement of the receiver.
    pub(super) acked: Position,
    /// The highest sequence number with which a segment of this side began: everything before it was sent.
    pub(super) sent: Position,
    /// The first byte of the stream, or the first known one.
    pub(super) base: Position,
    /// How much of this stream the other side had received when it sent its first captured bytes: only what comes after can
    /// answer them. [`Position::NEVER`] before it sent any.
    pub(super) asked: Position,
    /// A SYN named `base`.
    pub(super) anchored: bool,
    /// Something was delivered: `next` no longer moves backwards.
    pub(super) begun: bool,
    /// The end was delivered.
    pub(super) done: bool,
    /// The last byte before `next` was acknowledged but never captured: a byte, or a FIN.
    pub(super) fin_lost: bool,
    disorder: Option<Box<Disorder>>,
}

impl HalfStream {
    pub(super) fn at(base: Position) -> Self {
        Self {
            known: true,
            next: base,
            acked: base,
            sent: base,
            base,
            asked: Position::NEVER,
            anchored: false,
            begun: false,
            done: false,
            fin_lost: false,
            disorder: None,
        }
    }

    /// A direction of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { known: false, ..Self::at(Position::first(0)) }
    }

    /// The stream that a SYN with this sequence number begins.
    pub(super) fn behind_syn(seq: u32) -> Self {
        Self { anchored: true, ..Self::at(Position::first(seq.wrapping_add(1))) }
    }

    /// Whether anything is held back.
    pub(super) fn holds(&self) -> bool {
        self.disorder.as_ref().is_some_and(|d| !d.segments.is_empty() || d.fin.is_some())
    }

    /// Number of segments held back.
    pub(super) fn segments_held(&self) -> usize {
        self.disorder.as_ref().map_or(0, |d| d.segments.len())
    }

    /// Bytes of memory held back.
    pub(super) fn held(&self) -> usize {
        let of = |d: &Disorder| d.memory + d.doubted.as_ref().map_or(0, Doubted::held);
        self.disorder.as_deref().map_or(0, of)
    }

    /// The last segment, if it seems to begin another connection.
    pub(super) fn doubted(&self) -> Option<&Doubted> {
        self.disorder.as_ref()?.doubted.as_ref()
    }

    /// Keeps it.
    pub(super) fn set_doubted(&mut self, doubted: Option<Doubted>) {
        if doubted.is_some() {
            self.disorder.get_or_insert_default().doubted = doubted;
        }
    }

    /// Gives it up, if there is one.
    pub(super) fn take_doubted(&mut self) -> Option<Doubted> {
        let doubted = self.disorder.as_mut()?.doubted.take();
        if doubted.is_some() {
            self.tidy();
        }
        doubted
    }

    /// Since when the hole at `next` is known.
    pub(super) fn wait(&self) -> Option<HoleWait> {
        self.disorder.as_ref().and_then(|d| d.wait)
    }

    pub(super) fn set_wait(&mut self, wait: Option<HoleWait>) {
        match (&mut self.disorder, wait) {
            (None, None) => {}
            (None, Some(_)) => self.disorder = Some(Box::new(Disorder { wait, ..Disorder::default() })),
            (Some(disorder), _) => {
                disorder.wait = wait;
                self.tidy();
            }
        }
    }

    /// Frees the memory of a stream that is in order again.
    fn tidy(&mut self) {
        let is_empty = |d: &Disorder| {
            d.wait.is_none() && d.fin.is_none() && d.segments.is_empty() && d.doubted.is_none()
        };
        if self.disorder.as_deref().is_some_and(is_empty) && !self.may_be_answered() {
            self.disorder = None;
        }
    }

    /// The first segment of this side is captured now, at `start`, and the other side has said something before.
    pub(super) fn note_answered(&mut self, start: Position) {
        if start < self.acked {
            self.disorder.get_or_insert_default().answered = Some(self.acked);
        }
    }

    /// Whether the answer to what is delivered next may have been delivered before it.
    pub(super) fn may_be_answered(&self) -> bool {
        self.disorder.as_ref().and_then(|d| d.answered).is_some_and(|answered| self.next < answered)
    }

    fn first_segment(&self) -> Option<&HeldSegment> {
        self.disorder.as_ref()?.segments.front()
    }

    fn fin(&self) -> Option<HeldFin> {
        self.disorder.as_ref()?.fin
    }

    /// The end of everything that is known to have been sent.
    pub(super) fn highest(&self) -> Position {
        let last = self.disorder.as_ref().and_then(|d| d.segments.back());
        let held = last.map_or(self.next, HeldSegment::end);
        held.max(self.next).max(self.acked).max(self.sent)
    }

    /// Moves the beginning of a stream of which nothing was delivered yet.
    pub(super) fn rebase(&mut self, base: Position) {
        self.next = base;
        self.base = base;
    }

    /// Whether a segment that ends at `end` overlaps nothing that is held back.
    pub(super) fn is_clear_to(&self, end: Position) -> bool {
        self.first_segment().is_none_or(|s| end <= s.start) && self.fin().is_none_or(|f| end <= f.at)
    }

    /// The first of what is held back.
    pub(super) fn first_held(&self) -> Option<FirstHeld> {
        let segment = self.first_segment().map(|s| FirstHeld {
            at: s.start,
            needs: s.needs,
            origin: s.origin,
            fin: false,
        });
        let fin = self.fin().map(|f| FirstHeld { at: f.at, needs: f.needs, origin: f.origin, fin: true });
        match (segment, fin) {
            (Some(segment), Some(fin)) if fin.at < segment.at => Some(fin),
            (Some(segment), _) => Some(segment),
            (None, fin) => fin,
        }
    }

    /// The first of what is held back, if no byte is missing before it.
    pub(super) fn next_held(&self) -> Option<FirstHeld> {
        self.first_held().filter(|first| first.at <= self.next)
    }

    /// The bytes missing at `next`, up to `wanted` if the other side waits for this one there. An acknowledgement counts only
    /// if the direction was captured at all: otherwise every byte of it is missing.
    pub(super) fn hole(&self, captured: bool, wanted: Option<Position>) -> Option<Hole> {
        let missing = |until: &Position| *until > self.next && !self.done;
        let acked = Some(self.acked).filter(|_| captured).filter(missing);
        let sent = Some(self.sent).filter(missing);
        let held = match self.first_held() {
            Some(first) if first.at <= self.next => return None,
            first => first.map(|first| first.at),
        };
        let known = [acked, sent, held].into_iter().flatten().min()?;
        let end = wanted.filter(missing).map_or(known, |wanted| wanted.min(known));
        Some(Hole { end, acked: acked.is_some() })
    }

    /// Whether bytes are known to be missing, or held back.
    #[inline]
    pub(super) fn is_open(&self, captured: bool) -> bool {
        self.holds() || (!self.done && (self.sent > self.next || (captured && self.acked > self.next)))
    }

    /// Whether it is known to go on from where it is, if nothing is held back: it has not ended, and nothing further is acknowledged.
    pub(super) fn goes_on(&self) -> bool {
        self.known && !self.done && !self.fin_lost && self.acked <= self.next
    }

    /// Holds back what is new of a segment; says whether anything is. Bytes seen first stay.
    pub(super) fn hold(&mut self, arrival: &Arrival<'_>) -> bool {
        let end = arrival.end();
        let disorder = self.disorder.get_or_insert_default();
        let mut cursor = arrival.start.max(self.next);
        let mut index = disorder.segments.partition_point(|s| s.end() <= cursor);
        let mut news = false;
        while cursor < end {
            let (until, resume) = match disorder.segments.get(index) {
                Some(held) if held.start < end => (held.start, held.end()),
                _ => (end, end),
            };
            if cursor < until {
                let part = cut(arrival, cursor, until);
                disorder.memory += part.bytes.len() + size_of::<HeldSegment>();
                disorder.segments.insert(index, part);
                index += 1;
                news = true;
            }
            cursor = cursor.max(resume);
            index += 1;
        }
        if arrival.fin && disorder.fin.is_none() && end >= self.next {
            disorder.fin = Some(HeldFin { at: end, needs: arrival.needs, origin: arrival.origin });
            news = true;
        }
        self.tidy();
        news
    }

    /// Delivers what is new of a segment whose first new byte is the next one.
    pub(super) fn pass<S, O: Owner<S>>(
        &mut self,
        side: Side,
        arrival: &Arrival<'_>,
        to: &mut Delivery<'_, S, O>,
    ) {
        if std::mem::take(&mut self.fin_lost) {
            // Something follows, so that the byte that could have been the FIN was a byte.
            to.flow.gaps += 1;
            let gap = Chunk::Gap { bytes: 1, reason: GapReason::Lost };
            to.chunk(side, gap, self.next.back(1).number(), 1, arrival.origin);
        }
        let known = (self.next - arrival.start) as usize;
        let fresh = arrival.bytes.get(known..).unwrap_or_default();
        let cut_off = (arrival.end() - self.next).saturating_sub(fresh.len() as u64);
        self.deliver(side, fresh, cut_off, arrival.origin, to);
    }

    /// Delivers bytes that are next, and says that `cut_off` ones after them were not captured.
    #[inline]
    pub(super) fn deliver<S, O: Owner<S>>(
        &mut self,
        side: Side,
        bytes: &[u8],
        cut_off: u64,
        origin: Stamp,
        to: &mut Delivery<'_, S, O>,
    ) {
        let (start, len) = (self.next, bytes.len() as u64);
        self.next = start + len + cut_off;
        self.begun = true;
        if !bytes.is_empty() {
            to.chunk(side, Chunk::Data(bytes), start.number(), len, origin);
        }
        if cut_off > 0 {
            let gap = Chunk::Gap { bytes: cut_off, reason: GapReason::Cut };
            to.chunk(side, gap, (start + len).number(), cut_off, origin);
        }
    }

    /// Delivers the FIN, which is next.
    pub(super) fn pass_fin<S, O: Owner<S>>(
        &mut self,
        side: Side,
        origin: Stamp,
        to: &mut Delivery<'_, S, O>,
    ) {
        self.next = self.next + 1;
        self.done = true;
        self.discard();
        to.end(side, End::Fin, origin);
    }

    /// Ends a stream whose last byte was acknowledged but never captured, if nothing is known to follow: it was a FIN.
    pub(super) fn pass_lost_fin<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        if !self.fin_lost || self.done || self.holds() {
            return;
        }
        self.fin_lost = false;
        self.done = true;
        self.discard();
        to.end(side, End::Fin, to.now);
    }

    /// Delivers the first of what is held back.
    pub(super) fn pass_first<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        if let Some(fin) = self.fin().filter(|f| self.first_segment().is_none_or(|s| f.at < s.start)) {
            self.pass_fin(side, fin.origin, to);
            return;
        }
        let Some(disorder) = &mut self.disorder else { return };
        let Some(held) = disorder.segments.pop_front() else { return };
        disorder.memory -= held.bytes.len() + size_of::<HeldSegment>();
        if disorder.segments.is_empty() {
            // A connection that behaves again frees its buffer.
            disorder.segments = VecDeque::new();
        }
        self.tidy();
        let arrival = Arrival {
            start: held.start,
            bytes: &held.bytes,
            missing: held.missing,
            fin: false,
            needs: held.needs,
            origin: held.origin,
        };
        let now = to.now;
        if let Some(times) = &mut to.past_hole {
            let seen = &mut times[side.index()];
            *seen = held.origin.time.max(*seen);
            to.now.time = *seen;
        }
        self.pass(side, &arrival, to);
        to.now = now;
    }

    /// Gives a hole up: goes on at its end.
    pub(super) fn skip<S, O: Owner<S>>(&mut self, side: Side, hole: Hole, to: &mut Delivery<'_, S, O>) {
        let start = self.next.back(u64::from(self.fin_lost));
        let bytes = hole.end - start;
        to.past_hole.get_or_insert([Timestamp(i64::MIN); 2]);
        self.next = hole.end;
        if let Some(wait) = self.disorder.as_mut().and_then(|d| d.wait.as_mut()) {
            // What is left of the hole has waited as long.
            wait.at = hole.end;
        }
        let first = self.first_held();
        if first.is_none() && bytes == 1 {
            self.fin_lost = true;
            return;
        }
        self.fin_lost = false;
        let reason = if self.begun || to.flow.opener.is_some() || first.is_none() {
            self.begun = true;
            to.flow.gaps += 1;
            GapReason::Lost
        } else if hole.end > self.asked {
            GapReason::BeforeStart
        } else {
            // A stream that begins here has lost nothing that could have been captured.
            return;
        };
        let origin = first.filter(|first| first.at == hole.end).map_or(to.now, |first| first.origin);
        to.chunk(side, Chunk::Gap { bytes, reason }, start.number(), bytes, origin);
    }

    /// Drops what is held back: the end was delivered.
    pub(super) fn discard(&mut self) {
        if let Some(disorder) = self.disorder.take() {
            self.set_doubted(disorder.doubted);
        }
    }
}

/// The part of a segment from `from` to `to`.
fn cut(arrival: &Arrival<'_>, from: Position, to: Position) -> HeldSegment {
    let len = arrival.bytes.len();
    let first = ((from - arrival.start) as usize).min(len);
    let last = ((to - arrival.start) as usize).min(len);
    let bytes = arrival.bytes[first..last].to_vec();
    let missing = (to - from) - bytes.len() as u64;
    HeldSegment { start: from, bytes, missing, needs: arrival.needs, origin: arrival.origin }
}
