//! The stream of one direction of a TCP connection: what was delivered, what is held back, and where bytes are missing.

use std::collections::VecDeque;

use rpcscope_parsers::Side;

use super::position::Position;
use super::{Chunk, End, Flow, Owner, Stamp};
use crate::time::Timestamp;

/// The way to the owner of one connection, while one packet is being read.
pub(super) struct Delivery<'d, S, O> {
    pub(super) flow: &'d mut Flow,
    pub(super) slot: &'d mut S,
    pub(super) owner: &'d mut O,
    pub(super) now: Stamp,
}

impl<S, O: Owner<S>> Delivery<'_, S, O> {
    pub(super) fn chunk(&mut self, side: Side, chunk: Chunk<'_>, origin: Stamp) {
        self.owner.chunk(self.flow, self.slot, side, chunk, origin, self.now);
    }

    /// Tells the end of a side, once.
    pub(super) fn end(&mut self, side: Side, end: End, origin: Stamp) {
        let ended = &mut self.flow.ended[side.index()];
        if ended.is_none() {
            *ended = Some(end);
            self.chunk(side, Chunk::End(end), origin);
        }
    }
}

/// Stream bytes and FIN of one segment, at their place in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) start: Position,
    pub(super) bytes: &'a [u8],
    /// Bytes after `bytes` that the snap length cut off.
    pub(super) missing: u64,
    pub(super) fin: bool,
    /// How far the other side's stream had come to its sender when it was sent.
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
struct Piece {
    start: Position,
    bytes: Vec<u8>,
    missing: u64,
    needs: Option<Position>,
    origin: Stamp,
}

impl Piece {
    fn end(&self) -> Position {
        self.start + self.bytes.len() as u64 + self.missing
    }
}

/// A FIN that is held back.
#[derive(Clone, Copy, Debug)]
struct Fin {
    at: Position,
    needs: Option<Position>,
    origin: Stamp,
}

/// What is held back first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) at: Position,
    pub(super) needs: Option<Position>,
    pub(super) origin: Stamp,
}

/// Bytes that are not there although what is behind them, or the acknowledgement of them, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where the lane would go on without them.
    pub(super) end: Position,
    /// The receiver has them: the network did not lose them, the capture did, or shows them later.
    pub(super) acked: bool,
}

/// Since when a hole is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) at: Position,
    pub(super) acked: bool,
    /// Segments of the connection up to then.
    pub(super) segments: u64,
    pub(super) time: Timestamp,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    /// The next byte to deliver.
    pub(super) next: Position,
    /// The highest acknowledgement of the receiver.
    pub(super) acked: Position,
    /// The highest sequence number that a segment of the side itself began with: what is before it was sent.
    pub(super) sent: Position,
    /// The first byte of the stream, or the first one known of it.
    pub(super) base: Position,
    /// How far the stream had come to the other side when that sent the first bytes that were captured of it: only what
    /// comes after can answer them. [`Position::NEVER`] before it sent any.
    pub(super) asked: Position,
    /// `base` was told by a SYN.
    pub(super) anchored: bool,
    /// Something was delivered: what is before `next` is history.
    pub(super) begun: bool,
    /// The end was delivered.
    pub(super) done: bool,
    /// The last byte before `next` was acknowledged and never seen: a byte, or a FIN.
    pub(super) fin_lost: bool,
    /// Where the next segment would begin if the last one, which was out of every window, began another connection.
    pub(super) stray: Option<u32>,
    pub(super) wait: Option<Wait>,
    /// Bytes of memory held back.
    pub(super) held: usize,
    fin: Option<Fin>,
    /// Ascending and without overlaps.
    pieces: VecDeque<Piece>,
}

impl Lane {
    pub(super) fn at(base: Position) -> Self {
        Self {
            next: base,
            acked: base,
            sent: base,
            base,
            asked: Position::NEVER,
            anchored: false,
            begun: false,
            done: false,
            fin_lost: false,
            stray: None,
            wait: None,
            held: 0,
            fin: None,
            pieces: VecDeque::new(),
        }
    }

    /// Whether anything is held back.
    pub(super) fn holds(&self) -> bool {
        !self.pieces.is_empty() || self.fin.is_some()
    }

    /// Segments held back.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The end of all that is known to have been sent.
    pub(super) fn highest(&self) -> Position {
        let held = self.pieces.back().map_or(self.next, Piece::end);
        held.max(self.next).max(self.acked).max(self.sent)
    }

    /// Moves the beginning of a stream of which nothing was delivered yet.
    pub(super) fn rebase(&mut self, base: Position) {
        self.next = base;
        self.base = base;
    }

    /// Whether a segment that ends at `end` overlaps nothing that is held back.
    pub(super) fn is_clear_to(&self, end: Position) -> bool {
        self.pieces.front().is_none_or(|p| end <= p.start) && self.fin.is_none_or(|f| end <= f.at)
    }

    /// What is held back first.
    pub(super) fn head(&self) -> Option<Head> {
        let piece = self.pieces.front().map(|p| Head { at: p.start, needs: p.needs, origin: p.origin });
        let fin = self.fin.map(|f| Head { at: f.at, needs: f.needs, origin: f.origin });
        match (piece, fin) {
            (Some(piece), Some(fin)) if fin.at < piece.at => Some(fin),
            (Some(piece), _) => Some(piece),
            (None, fin) => fin,
        }
    }

    /// The head, if no byte is missing before it.
    pub(super) fn next_head(&self) -> Option<Head> {
        self.head().filter(|head| head.at <= self.next)
    }

    /// The bytes missing at `next`, up to `wanted` if that is where the other side waits for this one. An acknowledgement
    /// counts only if the direction was heard: where it is not captured at all, every byte of it is missing.
    pub(super) fn hole(&self, captured: bool, wanted: Option<Position>) -> Option<Hole> {
        let missing = |until: &Position| *until > self.next && !self.done;
        let acked = Some(self.acked).filter(|_| captured).filter(missing);
        let sent = Some(self.sent).filter(missing);
        let head = match self.head() {
            Some(head) if head.at <= self.next => return None,
            head => head.map(|head| head.at),
        };
        let known = [acked, sent, head].into_iter().flatten().min()?;
        let end = wanted.filter(missing).map_or(known, |wanted| wanted.min(known));
        Some(Hole { end, acked: acked.is_some() })
    }

    /// Whether bytes are known to be missing, or held back.
    pub(super) fn is_open(&self, captured: bool) -> bool {
        self.holds() || (!self.done && (self.sent > self.next || (captured && self.acked > self.next)))
    }

    /// Holds back what is new of a segment; says whether anything is. Bytes seen first stay.
    pub(super) fn hold(&mut self, arrival: &Arrival<'_>) -> bool {
        let end = arrival.end();
        let mut cursor = arrival.start.max(self.next);
        let mut index = self.pieces.partition_point(|p| p.end() <= cursor);
        let mut news = false;
        while cursor < end {
            let (until, resume) = match self.pieces.get(index) {
                Some(piece) if piece.start < end => (piece.start, piece.end()),
                _ => (end, end),
            };
            if cursor < until {
                let piece = cut(arrival, cursor, until);
                self.held += piece.bytes.len() + size_of::<Piece>();
                self.pieces.insert(index, piece);
                index += 1;
                news = true;
            }
            cursor = cursor.max(resume);
            index += 1;
        }
        if arrival.fin && self.fin.is_none() && end >= self.next {
            self.fin = Some(Fin { at: end, needs: arrival.needs, origin: arrival.origin });
            news = true;
        }
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
            to.flow.position[side.index()] = self.next.number();
            // Something follows, so that the byte that could have been the FIN was a byte.
            to.flow.gaps += 1;
            to.chunk(side, Chunk::Gap(Some(1)), arrival.origin);
        }
        let known = (self.next - arrival.start) as usize;
        let fresh = arrival.bytes.get(known..).unwrap_or_default();
        let cut_off = (arrival.end() - self.next).saturating_sub(fresh.len() as u64);
        self.next = self.next.max(arrival.end());
        self.begun = true;
        if !fresh.is_empty() {
            to.flow.position[side.index()] = self.next.back(cut_off).number();
            to.chunk(side, Chunk::Data(fresh), arrival.origin);
        }
        if cut_off > 0 {
            to.flow.position[side.index()] = self.next.number();
            to.chunk(side, Chunk::Gap(Some(cut_off)), arrival.origin);
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

    /// Delivers the head.
    pub(super) fn pass_head<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        if let Some(fin) = self.fin.filter(|f| self.pieces.front().is_none_or(|p| f.at < p.start)) {
            self.pass_fin(side, fin.origin, to);
        } else if let Some(piece) = self.pieces.pop_front() {
            self.held -= piece.bytes.len() + size_of::<Piece>();
            if self.pieces.is_empty() {
                // A connection that behaves again gives its buffer back.
                self.pieces = VecDeque::new();
            }
            let arrival = Arrival {
                start: piece.start,
                bytes: &piece.bytes,
                missing: piece.missing,
                fin: false,
                needs: piece.needs,
                origin: piece.origin,
            };
            self.pass(side, &arrival, to);
        }
    }

    /// Gives a hole up: goes on at its end.
    pub(super) fn skip<S, O: Owner<S>>(&mut self, side: Side, hole: Hole, to: &mut Delivery<'_, S, O>) {
        let lost = hole.end - self.next + u64::from(self.fin_lost);
        self.next = hole.end;
        if let Some(wait) = &mut self.wait {
            // What is left of the hole has waited as long.
            wait.at = hole.end;
        }
        let head = self.head();
        if head.is_none() && lost == 1 {
            self.fin_lost = true;
            return;
        }
        self.fin_lost = false;
        if self.begun || to.flow.opener.is_some() || head.is_none() {
            self.begun = true;
            to.flow.gaps += 1;
        } else if hole.end > self.asked {
            to.flow.skipped[side.index()] = true;
        } else {
            // A stream that begins here has lost nothing that anybody could have seen.
            return;
        }
        let origin = head.filter(|head| head.at == hole.end).map_or(to.now, |head| head.origin);
        to.flow.position[side.index()] = self.next.number();
        to.chunk(side, Chunk::Gap(Some(lost)), origin);
    }

    /// Forgets what is held back.
    pub(super) fn discard(&mut self) {
        self.pieces = VecDeque::new();
        self.fin = None;
        self.held = 0;
    }
}

/// The part of a segment from `from` to `to`.
fn cut(arrival: &Arrival<'_>, from: Position, to: Position) -> Piece {
    let len = arrival.bytes.len();
    let first = ((from - arrival.start) as usize).min(len);
    let last = ((to - arrival.start) as usize).min(len);
    let bytes = arrival.bytes[first..last].to_vec();
    let missing = (to - from) - bytes.len() as u64;
    Piece { start: from, bytes, missing, needs: arrival.needs, origin: arrival.origin }
}
