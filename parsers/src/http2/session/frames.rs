//! Frames that follow each other: their heads, and the payloads that are read or pass.

use super::super::frame::{self, Head};
use super::super::streams::{HOLD_LIMIT, Piece, Span};
use super::block::BLOCK_LIMIT;
use super::{Connection, Padding, Passing};
use crate::error::Layer;
use crate::event::Side;
use crate::protocol::Emit;
use crate::session::{At, Need, Step};

/// Longest SETTINGS or GOAWAY frame read; longer ones are skipped.
const CONTROL_LIMIT: u32 = 16 * 1024;

impl Connection {
    /// Reads the frame at the beginning of `input` if it is as nearly all are: sound, whole, and not within a header block of several
    /// frames. Returns its size.
    #[inline]
    pub(super) fn read_usual_frame(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<usize> {
        let At { side, offset: start } = at;
        let (rest, head) = frame::parse_head(input).ok()?;
        let length = head.length as usize;
        let usual = head.is_usual() && length <= BLOCK_LIMIT && self.direction(side).block.is_none();
        let payload = rest.get(..length).filter(|_| usual)?;
        match head.kind {
            frame::DATA => {
                let (at, begins) = (start + frame::HEAD as u64, Some(head.length));
                let piece = Piece { side, at, begins, data: payload, ends: None, messages: 0 };
                self.end_data(head, piece, start, emit);
            }
            frame::HEADERS if !self.read_whole_block(side, head, start, payload, emit) => return None,
            // They say nothing of messages.
            _ => {}
        }
        Some(frame::HEAD + length)
    }

    /// Reads a frame of any kind. Apart, so that the usual ones do not pay for its registers.
    #[cold]
    #[inline(never)]
    pub(super) fn read_any_frame(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        let At { side, offset: start } = at;
        let (rest, head) = match frame::parse_head(input) {
            Ok(read) => read,
            Err(error) => return Step::Need(Need::Bytes(frame::needed(input, &error))),
        };
        let checked = head.check();
        if (checked.is_err() || head.kind > frame::CONTINUATION)
            && let Some(step) = self.other_language(at, input, head, false, emit)
        {
            return step;
        }
        if let Err(what) = checked {
            self.complain(Layer::Frame, 0, what);
            self.lose(at, emit);
            return Step::Lost(1);
        }
        let goes_on = self.direction(side).block.as_ref().map(|block| block.head.stream);
        if goes_on.is_some_and(|stream| head.kind != frame::CONTINUATION || head.stream != stream) {
            self.complain(Layer::Frame, 0, "another frame within a header block");
            self.give_up_block(side, emit);
        } else if goes_on.is_none() && head.kind == frame::CONTINUATION {
            self.complain(Layer::Frame, 0, "CONTINUATION without a header block");
            self.lose_table(side);
        }
        let length = head.length as usize;
        let whole = match head.kind {
            frame::HEADERS | frame::PUSH_PROMISE => length <= BLOCK_LIMIT,
            frame::CONTINUATION => goes_on.is_some() && length <= BLOCK_LIMIT,
            frame::SETTINGS | frame::GOAWAY => head.length <= CONTROL_LIMIT,
            // Of a few bytes each.
            frame::RST_STREAM | frame::PRIORITY | frame::PING | frame::WINDOW_UPDATE => true,
            _ => false,
        };
        if !whole {
            if head.is_block() {
                self.pass_block(side, head, start, goes_on.is_some(), emit);
            }
            let padded = head.kind == frame::DATA && head.has(frame::PADDED);
            let padding = if padded { Padding::Unread } else { Padding::Known(0) };
            self.direction(side).passing = Some(Passing { head, start, padding, begun: false, messages: 0 });
            return Step::Body(frame::HEAD, head.length.into());
        }
        let payload = match frame::parse_payload(head, rest) {
            Ok((_, payload)) => payload,
            Err(error) => return Step::Need(Need::Bytes(frame::needed(input, &error))),
        };
        let span = Span { side, start, bytes: head.size() };
        match head.kind {
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                let is_read = self.read_whole_block(side, head, start, payload, emit);
                if !is_read {
                    self.collect_fragment(side, head, start, payload, emit);
                }
            }
            frame::SETTINGS => self.settings(side, payload),
            frame::RST_STREAM => {
                if let Some(code) = frame::parse_number(payload) {
                    self.streams.reset(head.stream, span, code, emit);
                }
            }
            frame::GOAWAY => {
                if let Some((last, code, text)) = frame::parse_goaway(payload) {
                    self.streams.goaway(span, last, code, text, emit);
                }
            }
            _ => {}
        }
        Step::Done(frame::HEAD + length)
    }

    /// Nothing more is known of the header table of `side`.
    #[cold]
    #[inline(never)]
    pub(super) fn lose_table(&mut self, side: Side) {
        let direction = self.direction(side);
        direction.decoder.lose();
        direction.speculative = None;
    }

    /// A part of a header block is too long to be read. `goes_on`: other parts came before.
    #[cold]
    #[inline(never)]
    fn pass_block(&mut self, side: Side, head: Head, start: u64, goes_on: bool, emit: &mut Emit<'_>) {
        if head.kind != frame::CONTINUATION {
            self.begin_block(side, head, start);
        }
        if goes_on || head.kind != frame::CONTINUATION {
            self.complain(Layer::Header, 0, "header block over the limit");
            self.give_up_block(side, emit);
            self.end_block(side, head, emit);
        }
    }

    fn settings(&mut self, side: Side, payload: &[u8]) {
        for (id, value) in frame::parse_settings(payload) {
            if id == frame::HEADER_TABLE_SIZE {
                self.direction(side.other()).decoder.allow(value);
            }
        }
    }

    /// Takes bytes of the frame that is passing, of which `left` come after them.
    pub(super) fn pass(&mut self, side: Side, bytes: &[u8], left: u64, emit: &mut Emit<'_>) {
        match self.direction(side).passing {
            Some(passing) if passing.is_data() => self.data(side, passing, bytes, left, emit),
            Some(passing) => {
                let at = (passing.end() - left).saturating_sub(bytes.len() as u64);
                self.streams.mark_unread(At { side, offset: at }, bytes, emit);
                if left == 0 {
                    self.direction(side).passing = None;
                }
            }
            None => {}
        }
    }

    /// Takes bytes of a DATA frame, of which `left` come after them.
    fn data(&mut self, side: Side, mut passing: Passing, bytes: &[u8], left: u64, emit: &mut Emit<'_>) {
        let mut data = bytes;
        let mut at = (passing.end() - left).saturating_sub(bytes.len() as u64);
        // Payload from `data` on.
        let mut rest = bytes.len() as u64 + left;
        if let (Padding::Unread, Some((length, after))) = (passing.padding, bytes.split_first()) {
            data = after;
            at += 1;
            rest -= 1;
            if u64::from(*length) > rest {
                self.complain(Layer::Frame, frame::HEAD, "padding longer than its frame");
            }
            passing.padding = Padding::Known(u32::from(*length).min(rest as u32));
        }
        let mut begins = None;
        if let Padding::Known(padding) = passing.padding {
            let unpadded = rest.saturating_sub(padding.into());
            begins = (!passing.begun).then_some(unpadded as u32);
            data = data.get(..(unpadded as usize).min(data.len())).unwrap_or_default();
        }
        passing.begun |= begins.is_some();
        let piece = Piece { side, at, begins, data, ends: None, messages: passing.messages };
        if left == 0 {
            self.direction(side).passing = None;
            self.end_data(passing.head, piece, passing.start, emit);
        } else {
            passing.messages = self.streams.data(passing.head.stream, piece, emit);
            self.direction(side).passing = Some(passing);
        }
    }

    /// Takes the last bytes of a DATA frame that began at `start`.
    pub(super) fn end_data(&mut self, head: Head, piece: Piece<'_>, start: u64, emit: &mut Emit<'_>) {
        let side = piece.side;
        let end = start + head.size();
        self.streams.advance(side, end);
        let start = start.max(end.saturating_sub(HOLD_LIMIT)).max(self.streams.floor(side));
        let span = Span { side, start, bytes: head.size() };
        let ends = Some((span, head.has(frame::END_STREAM)));
        self.streams.data(head.stream, Piece { ends, ..piece }, emit);
    }
}
