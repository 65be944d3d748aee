//! Where the frames of each side stand in its bytes.

use super::messages::Span;
use super::{HOLD_LIMIT, Streams};
use crate::event::Side;

/// What is known of the bytes of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// Nothing emitted may begin before it, because it is not known how many bytes before it are missing.
    floor: u64,
    /// Where the bytes begin that follow the last missing ones.
    lost: u64,
    /// Where its current frame begins.
    now: u64,
    /// Its frames are seen. Not before its first one, and not while they are being looked for.
    in_step: bool,
}

impl Streams {
    /// The current frame of `side` begins at `offset`.
    pub(in super::super) fn advance(&mut self, side: Side, offset: u64) {
        side.of_mut(&mut self.positions).now = offset;
    }

    /// `start`, or the first byte after it that is still within reach.
    pub(in super::super) fn clip(&self, side: Side, start: u64) -> u64 {
        let Position { floor, now, .. } = *side.of(&self.positions);
        start.max(floor).max(now.saturating_sub(HOLD_LIMIT))
    }

    pub(super) fn reachable(&self, span: Span) -> Span {
        Span { start: self.clip(span.side, span.start), ..span }
    }

    /// The offset before which nothing of `side` may begin: it is not known how many bytes are missing there.
    pub(in super::super) fn floor(&self, side: Side) -> u64 {
        side.of(&self.positions).floor
    }

    /// Bytes of `side` are missing before `offset`, nobody knows how many.
    pub(in super::super) fn raise_floor(&mut self, side: Side, offset: u64) {
        side.of_mut(&mut self.positions).floor = offset;
    }

    /// Bytes of `side` are missing before `offset`.
    pub(in super::super) fn lose_before(&mut self, side: Side, offset: u64) {
        let position = side.of_mut(&mut self.positions);
        (position.lost, position.now) = (offset, position.now.max(offset));
    }

    /// Bytes of `side` that were seen since the last ones that are missing.
    pub(super) fn seen(&self, side: Side) -> u64 {
        let Position { lost, now, .. } = *side.of(&self.positions);
        now.saturating_sub(lost)
    }

    /// Where the current frame of `side` begins.
    pub(super) fn last_frame(&self, side: Side) -> u64 {
        side.of(&self.positions).now
    }

    /// Frames of `side` are seen from here on, or not seen any more.
    pub(in super::super) fn set_in_step(&mut self, side: Side, in_step: bool) {
        side.of_mut(&mut self.positions).in_step = in_step;
    }

    /// Whether frames of `side` are seen.
    pub(in super::super) fn in_step(&self, side: Side) -> bool {
        side.of(&self.positions).in_step
    }
}
