//! The bytes of both sides as frames, header blocks and bodies, through gaps and beginnings that were not captured.

mod block;
mod frames;
mod speculative;
mod start;

use block::Collected;
use speculative::Speculative;
use start::Upgrade;

use super::frame::{self, Head};
use super::hpack::Decoder;
use super::resync;
use super::streams::{HOLD_LIMIT, Piece, Streams};
use crate::error::{Error, Layer};
use crate::event::Side;
use crate::foreign::{Language, Strange, Watch};
use crate::protocol::{Emit, Unread};
use crate::session::{At, Core, Faults, Found, Gap, Reader, Step, UNBOUNDED};

/// The longest frame that is sent unless the peer allows more (RFC 9113, section 4.2).
const USUAL_FRAME: u32 = 16 * 1024;

/// Most bytes kept while looking for frames. More than a frame of the usual maximum size, so that a frame can be checked
/// against the one after it.
const SEARCH_LIMIT: usize = 20 * 1024;

/// What a side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was seen yet.
    Start,
    /// After a request that asks for HTTP/2: its body, up to the preface.
    Upgrading,
    /// Frames that follow each other.
    Frames,
    /// No HTTP/2 after all.
    Foreign,
}

/// Padding of the DATA frame that is passing.
#[derive(Clone, Copy, Debug)]
enum Padding {
    /// Its length is the next byte.
    Unread,
    /// So many bytes at the end.
    Known(u32),
}

/// A frame whose payload passes without being kept.
#[derive(Clone, Copy, Debug)]
struct Passing {
    head: Head,
    start: u64,
    padding: Padding,
    /// Streams know of its beginning.
    begun: bool,
    /// Messages that ended in it so far.
    messages: u32,
}

impl Passing {
    fn is_data(&self) -> bool {
        self.head.kind == frame::DATA
    }

    fn end(&self) -> u64 {
        self.start + self.head.size()
    }
}

/// What one side sent.
#[derive(Debug)]
struct Direction {
    phase: Phase,
    passing: Option<Passing>,
    block: Option<Collected>,
    decoder: Decoder,
    /// The decoder as it was before bytes were missing, where it may still be right.
    speculative: Option<Box<Speculative>>,
    /// Bytes came since frames were looked for.
    searched: bool,
}

impl Direction {
    fn new() -> Self {
        Self {
            phase: Phase::Start,
            passing: None,
            block: None,
            decoder: Decoder::new(),
            speculative: None,
            searched: false,
        }
    }

    /// Is as new.
    fn renew(&mut self) {
        let Self { phase, passing, block, decoder, speculative, searched } = self;
        decoder.renew();
        (*phase, *passing, *searched) = (Phase::Start, None, false);
        (*block, *speculative) = (None, None);
    }

    /// No frames come from here on, not even the rest of one.
    fn be_foreign(&mut self) {
        self.phase = Phase::Foreign;
        self.passing = None;
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    directions: [Direction; 2],
    streams: Streams,
    /// Who sent the preface.
    preface: Option<Side>,
    upgrade: Option<Box<Upgrade>>,
    /// The rest of a header block was not captured.
    cut_block: bool,
    watch: Watch,
    faults: Faults,
}

impl Connection {
    /// The session of a connection of which nothing was seen yet.
    pub(super) fn session() -> Core<Self> {
        Core::new(Self {
            directions: [Direction::new(), Direction::new()],
            streams: Streams::default(),
            preface: None,
            upgrade: None,
            cut_block: false,
            watch: Watch::new(Language::Http2),
            faults: Faults::default(),
        })
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        side.of_mut(&mut self.directions)
    }

    #[cold]
    #[inline(never)]
    fn complain(&mut self, layer: Layer, offset: usize, what: &'static str) {
        self.faults.note(Error::new(offset, layer, what));
    }

    /// Frames of `side` follow. If the other side asked for HTTP/2, it has it now.
    fn begin_frames(&mut self, side: Side, emit: &mut Emit<'_>) {
        let direction = self.direction(side);
        direction.phase = Phase::Frames;
        direction.searched = false;
        self.streams.set_in_step(side, true);
        if let Some(upgrade) = self.upgrade.take_if(|upgrade| upgrade.client != side) {
            self.switch(&upgrade, emit);
        }
    }

    /// Reads what no frames are, or not yet.
    #[cold]
    #[inline(never)]
    fn read_other(&mut self, phase: Phase, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        match phase {
            Phase::Start => self.read_start(at, input, emit),
            Phase::Upgrading => self.read_body(at.side, input, emit),
            Phase::Foreign | Phase::Frames => Step::Body(0, UNBOUNDED),
        }
    }

    /// Whether `side` answers a client whose preface was seen.
    fn answers(&self, side: Side) -> bool {
        self.preface == Some(side.other())
    }

    /// What is to be done with an answer that is in another language where a frame has to begin, its `first` one or another.
    fn other_language(
        &mut self,
        at: At,
        input: &[u8],
        head: Head,
        first: bool,
        emit: &mut Emit<'_>,
    ) -> Option<Step> {
        let broken = head.check().is_err();
        // Frames of unknown types are to be ignored, but the settings come first (RFC 9113, sections 3.4 and 5.5).
        let strange = head.kind_name().is_none() && (first || head.length > USUAL_FRAME);
        if !(strange || broken) || !self.answers(at.side) {
            return None;
        }
        let Self { watch, faults, .. } = self;
        let strange = watch.unread(at, input, !broken && !first, faults, emit)?;
        Some(self.leave(at, strange, emit))
    }

    /// The step after bytes that are no HTTP/2.
    fn leave(&mut self, at: At, strange: Strange, emit: &mut Emit<'_>) -> Step {
        match strange {
            Strange::Wait(need) => Step::Need(need),
            Strange::Language => {
                self.direction(at.side).be_foreign();
                Step::Body(0, UNBOUNDED)
            }
            Strange::Bytes => {
                self.direction(at.side).phase = Phase::Frames;
                self.lose(at, emit);
                Step::Lost(1)
            }
        }
    }

    /// The first byte of `at.side` of which anything that waits may speak.
    #[inline(never)]
    fn oldest_of_all(&self, at: At) -> u64 {
        let At { side, offset } = at;
        let direction = side.of(&self.directions);
        let block = direction.block.as_ref().map(|block| block.start);
        let passing = direction.passing.filter(Passing::is_data);
        let data = passing.map(|passing| passing.start.max(passing.end().saturating_sub(HOLD_LIMIT)));
        let upgrade = self.upgrade.as_ref().filter(|upgrade| upgrade.client == side);
        let upgrade = upgrade.map(|upgrade| upgrade.span.start.max(offset.saturating_sub(HOLD_LIMIT)));
        let pending = self.streams.oldest_pending(side);
        let oldest = [block, data, upgrade, pending].into_iter().flatten().min();
        oldest.map_or(offset, |oldest| oldest.min(offset)).max(self.streams.floor(side))
    }

    /// Where the next frame of `side` begins is not known any more, and frames may have been missed.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, at: At, emit: &mut Emit<'_>) {
        let At { side, offset } = at;
        self.watch.lose(side);
        self.give_up_block(side, emit);
        self.lose_table(side);
        let direction = self.direction(side);
        direction.block = None;
        direction.passing = None;
        // Settings may have been among the frames.
        self.direction(side.other()).decoder.allow_anything();
        self.streams.set_in_step(side, false);
        self.streams.gap(side, offset, emit);
    }

    /// Bytes of `side` are missing before `offset`: what begins before them is still known where their number is.
    fn lose_before(&mut self, side: Side, offset: u64, missing: Option<u64>) {
        if missing.is_none() {
            self.streams.raise_floor(side, offset);
        }
        self.streams.lose_before(side, offset);
    }
}

impl Reader for Connection {
    fn memory(&self) -> usize {
        let of = |direction: &Direction| {
            let block = direction.block.as_ref().map_or(0, |block| block.fragments.capacity());
            let speculative = direction.speculative.as_ref().map_or(0, |speculative| speculative.memory());
            direction.decoder.memory() + block + speculative
        };
        self.streams.memory() + self.directions.iter().map(of).sum::<usize>()
    }

    fn shrink(&mut self) {
        for direction in &mut self.directions {
            direction.decoder.shrink();
            if let Some(block) = &mut direction.block {
                block.fragments.shrink_to_fit();
            }
        }
        self.streams.shrink();
    }

    fn renew(&mut self) -> bool {
        let Self { directions, streams, preface, upgrade, cut_block, watch, faults } = self;
        directions.iter_mut().for_each(Direction::renew);
        (*streams, *watch, *faults) = (Streams::default(), Watch::new(Language::Http2), Faults::default());
        (*preface, *upgrade, *cut_block) = (None, None, false);
        true
    }

    fn collect_bodies(&mut self, limit: usize) {
        self.streams.collect_bodies(limit);
    }

    fn mark_bodies(&mut self) {
        self.streams.mark_bodies();
    }

    fn head(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        let step = match self.direction(at.side).phase {
            Phase::Frames => match self.read_usual_frame(at, input, emit) {
                Some(taken) => {
                    self.streams.advance(at.side, at.after(taken).offset);
                    return Step::Done(taken);
                }
                None => self.read_any_frame(at, input, emit),
            },
            other => self.read_other(other, at, input, emit),
        };
        if let Step::Done(taken) | Step::Body(taken, _) | Step::Lost(taken) = step {
            self.streams.advance(at.side, at.after(taken).offset);
        }
        step
    }

    fn body(&mut self, at: At, bytes: &[u8], left: u64, emit: &mut Emit<'_>) {
        let At { side, offset } = at.after(bytes.len());
        self.streams.advance(side, offset);
        if self.direction(side).passing.is_none() {
            // The rest of a frame whose head was cut, or what is no HTTP/2.
            self.streams.mark_unread(at, bytes, emit);
        }
        self.pass(side, bytes, left, emit);
    }

    fn body_lost(&mut self, at: At, missing: Option<u64>, left: u64, emit: &mut Emit<'_>) {
        let At { side, offset } = at;
        self.lose_before(side, offset, missing);
        let Self { directions, streams, .. } = self;
        let Some(passing) = &mut side.of_mut(directions).passing else { return };
        if passing.is_data() {
            let stream = passing.head.stream;
            // The length of the padding may be among what is missing: then nothing is known of messages.
            let unread = matches!(passing.padding, Padding::Unread);
            if unread {
                passing.padding = Padding::Known(0);
            } else if !passing.begun {
                let begins = Some(passing.head.length);
                let piece = Piece { side, at: offset, begins, data: &[], ends: None, messages: 0 };
                streams.data(stream, piece, emit);
            }
            passing.begun = true;
            streams.data_missing(stream, side, missing.filter(|_| !unread));
        }
        if left == 0 {
            self.pass(side, &[], 0, emit);
        }
    }

    fn cut(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<u64> {
        let At { side, offset: start } = at;
        if self.direction(side).phase != Phase::Frames {
            return None;
        }
        let (payload, head) = frame::parse_head(input).ok()?;
        let left = (head.length as usize).checked_sub(payload.len())?;
        if head.is_block() {
            self.cut_block = true;
            if head.kind != frame::CONTINUATION {
                self.begin_block(side, head, start);
            }
            if let (Some(block), Ok(range)) =
                (&mut self.direction(side).block, frame::parse_fragment(head, payload))
            {
                block.bytes += head.size();
                block.fragments.extend_from_slice(payload.get(range).unwrap_or_default());
            }
            self.give_up_block(side, emit);
            if head.has(frame::END_HEADERS) {
                self.direction(side).block = None;
            }
        } else if head.kind == frame::SETTINGS {
            self.direction(side.other()).decoder.allow_anything();
        }
        // The rest of the frame passes unread.
        Some(left as u64)
    }

    fn gap(&mut self, at: At, missing: Option<u64>, emit: &mut Emit<'_>) -> Gap {
        let At { side, offset } = at;
        self.lose_before(side, offset, missing);
        match self.direction(side).phase {
            Phase::Foreign => return Gap::InStep,
            Phase::Start | Phase::Upgrading => self.direction(side).decoder = Decoder::lost(),
            Phase::Frames => {}
        }
        let speculative = self.speculate(side);
        self.direction(side).phase = Phase::Frames;
        self.lose(at, emit);
        self.direction(side).speculative = speculative;
        Gap::Lost
    }

    /// Looks for the next frame.
    fn find(&mut self, side: Side, input: &[u8], end: bool) -> Found {
        self.direction(side).searched = true;
        let streams = &self.streams;
        let known = |id| streams.is_open(id);
        if end {
            // No more frames will come to hold the last ones against.
            let found = resync::find_now(input, &known, resync::AT_END);
            return found.map_or(Found::NotBefore(0), Found::At);
        }
        let found = resync::find(input, &known, resync::ENOUGH).or_else(|open| {
            // A candidate whose end has not come yet must not hide a later one that is certain.
            resync::find_now(input, &known, resync::DETECT).ok_or(open)
        });
        match found {
            Ok(at) => Found::At(at),
            // What looks like a frame and does not end within the limit is given up.
            Err(at) if input.len() - at > SEARCH_LIMIT => Found::NotBefore(at + 1),
            Err(at) => Found::NotBefore(at),
        }
    }

    /// What was passed over is as good as missing. Before the first byte there is nothing to miss for streams that were
    /// opened since.
    fn passed_over(&mut self, at: At, skipped: usize, found: bool, emit: &mut Emit<'_>) {
        let At { side, offset } = at;
        if skipped > 0 || found {
            self.streams.advance(side, offset);
        }
        if !found {
            return;
        }
        self.widen_speculation(side);
        if offset > 0 {
            self.streams.gap(side, offset, emit);
        }
        self.begin_frames(side, emit);
    }

    fn end(&mut self, at: At, carried: &[u8], emit: &mut Emit<'_>) {
        if self.answers(at.side) && !carried.is_empty() {
            let Self { watch, faults, .. } = self;
            watch.last(at, carried, faults, emit);
        }
        // Half a request still says what was asked; half an answer was none.
        if self.streams.client() == Some(at.side) && !carried.is_empty() {
            self.cut(at, carried, emit);
        }
        if self.direction(at.side).searched && self.streams.client() == Some(at.side.other()) {
            // The answers to all open streams may stand in what could not be read.
            self.streams.gap(at.side, at.offset, emit);
        }
        self.streams.close(at.side, emit);
    }

    fn oldest(&self, at: At) -> u64 {
        let At { side, offset } = at;
        let direction = side.of(&self.directions);
        // Nearly always, and asked after every packet.
        if direction.block.is_none()
            && direction.passing.is_none()
            && self.upgrade.is_none()
            && !self.streams.has_pending()
        {
            return offset.max(self.streams.floor(side));
        }
        self.oldest_of_all(at)
    }

    fn client(&self) -> Option<Side> {
        self.streams.client()
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.faults.last()
    }

    fn unread(&self) -> Option<Unread> {
        let unread = self.directions.iter().filter_map(|direction| direction.decoder.unread());
        unread.min_by_key(|unread| unread.entered)
    }

    fn without_calls(&self) -> Option<&'static str> {
        self.cut_block.then_some("HTTP/2 with header blocks that are cut off (snap length) or lost")
    }
}
