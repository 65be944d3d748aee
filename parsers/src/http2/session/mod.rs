//! The session: bytes of both sides to frames, header blocks to lists, through gaps and beginnings that were not captured.

mod block;
mod doubt;
mod start;

use block::{BLOCK_LIMIT, Collected};
use doubt::Doubt;
use start::Upgrade;

use super::frame::{self, Head};
use super::hpack::Decoder;
use super::resync;
use super::streams::{HOLD_LIMIT, Place, Streams};
use crate::error::{Error, Layer};
use crate::message::Side;
use crate::protocol::{Emit, Session};

/// Longest SETTINGS or GOAWAY frame read; longer ones are skipped.
const CONTROL_LIMIT: u32 = 16 * 1024;

/// Most bytes kept while looking for frames. More than a frame of the usual maximum size, so that one which is there can
/// be held against the next.
const SEARCH_LIMIT: usize = 20 * 1024;

/// Where a side of the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was seen yet.
    Start,
    /// After a request that asks for HTTP/2: its body, up to the preface.
    Upgrading,
    /// Frames follow each other.
    Frames,
    /// The place of the next frame is not known.
    Lost,
    /// Not HTTP/2 after all.
    Dead,
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
    left: u32,
    padding: Padding,
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

#[derive(Debug)]
struct Lane {
    phase: Phase,
    /// Bytes of a frame that has to be whole, or of a search.
    carry: Vec<u8>,
    /// Stream offset of the first carried byte, or of the next byte to come.
    offset: u64,
    passing: Option<Passing>,
    block: Option<Collected>,
    decoder: Decoder,
    /// The decoder as it was before bytes were missing, where it may still be right.
    doubt: Option<Box<Doubt>>,
    /// Where the bytes begin that follow the last missing ones.
    floor: u64,
}

impl Lane {
    fn new() -> Self {
        Self {
            phase: Phase::Start,
            carry: Vec::new(),
            offset: 0,
            passing: None,
            block: None,
            decoder: Decoder::new(),
            doubt: None,
            floor: 0,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Http2Session {
    lanes: [Lane; 2],
    streams: Streams,
    upgrade: Option<Box<Upgrade>>,
    trouble: Option<(Error, u64)>,
}

impl Http2Session {
    pub(super) fn new() -> Self {
        Self { lanes: [Lane::new(), Lane::new()], streams: Streams::default(), upgrade: None, trouble: None }
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        side.of_mut(&mut self.lanes)
    }

    fn complain(&mut self, layer: Layer, offset: usize, what: &'static str) {
        let count = self.trouble.map_or(0, |(_, count)| count);
        self.trouble = Some((Error::new(offset, layer, what), count + 1));
    }

    /// Reads what can be read of `input`, which begins at the lane's offset; says how many bytes are done with.
    fn read(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> usize {
        let mut done = 0;
        while let Some(rest) = input.get(done..).filter(|rest| !rest.is_empty()) {
            let lane = self.lane(side);
            let (phase, passing) = (lane.phase, lane.passing.is_some());
            let step = match phase {
                Phase::Start => self.read_start(side, rest),
                Phase::Upgrading => self.read_body(side, rest),
                Phase::Lost => self.search(side, rest, emit),
                Phase::Dead => Some(rest.len()),
                Phase::Frames if passing => Some(self.pass(side, rest)),
                Phase::Frames => self.read_frame(side, rest, emit),
            };
            // A step may also change the phase and take nothing.
            let Some(step) = step else { break };
            done += step;
            let lane = self.lane(side);
            lane.offset += step as u64;
            let offset = lane.offset;
            self.streams.advance(side, offset);
            self.finish_passing(side, emit);
            let upgraded = |upgrade: &mut Box<Upgrade>| upgrade.client != side;
            if self.lane(side).phase == Phase::Frames
                && let Some(upgrade) = self.upgrade.take_if(upgraded)
            {
                self.switch(&upgrade, emit);
            }
        }
        done
    }

    /// Looks for the next frame.
    fn search(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> Option<usize> {
        let streams = &self.streams;
        let known = |id| streams.is_open(id);
        let found = resync::find(input, &known, resync::ENOUGH).or_else(|open| {
            // A place that still waits for its frame to end must not hide later ones that leave no doubt.
            resync::find_now(input, &known, resync::DETECT).ok_or(open)
        });
        let at = match found {
            Ok(at) => {
                self.found(side, at, emit);
                return Some(at);
            }
            Err(at) => at,
        };
        // What looks like a frame and does not end within the limit is given up.
        let drop = if input.len() - at > SEARCH_LIMIT { at + 1 } else { at };
        (drop > 0).then_some(drop)
    }

    /// Frames begin `at` bytes from here; what was passed over is as good as missing. Before the first byte there is
    /// nothing to miss for streams that were opened since.
    fn found(&mut self, side: Side, at: usize, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        lane.phase = Phase::Frames;
        let offset = lane.offset + at as u64;
        lane.floor = lane.floor.max(offset);
        self.streams.set_in_step(side, true);
        self.widen_doubt(side);
        if offset > 0 {
            self.streams.gap(side, offset, emit);
        }
    }

    /// Reads the frame at the beginning of `input`. `None` if more of it is needed.
    fn read_frame(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> Option<usize> {
        let head = frame::parse_head(input)?;
        let start = self.lane(side).offset;
        if let Err(what) = head.check() {
            self.complain(Layer::Frame, 0, what);
            self.lose(side, emit);
            return Some(1);
        }
        let length = head.length as usize;
        let goes_on = self.lane(side).block.as_ref().map(|block| block.head.stream);
        if goes_on.is_some_and(|stream| head.kind != frame::CONTINUATION || head.stream != stream) {
            self.complain(Layer::Frame, 0, "another frame within a header block");
            self.give_up_block(side, emit);
        } else if goes_on.is_none() && head.kind == frame::CONTINUATION {
            self.complain(Layer::Frame, 0, "CONTINUATION without a header block");
            self.lane(side).decoder.lose();
            self.lane(side).doubt = None;
        }
        let whole = match head.kind {
            frame::HEADERS | frame::PUSH_PROMISE => length <= BLOCK_LIMIT,
            frame::CONTINUATION => goes_on.is_some() && length <= BLOCK_LIMIT,
            frame::SETTINGS | frame::GOAWAY => head.length <= CONTROL_LIMIT,
            frame::RST_STREAM => true,
            _ => false,
        };
        if !whole {
            if head.is_block() && head.kind != frame::CONTINUATION {
                self.begin_block(side, head, start);
            }
            if head.is_block() && (goes_on.is_some() || head.kind != frame::CONTINUATION) {
                self.complain(Layer::Header, 0, "header block over the limit");
                self.give_up_block(side, emit);
                self.end_block(side, head, emit);
            }
            self.begin_passing(side, head, start);
            return Some(frame::HEAD);
        }
        let payload = input.get(frame::HEAD..frame::HEAD + length)?;
        let place = Place { side, start, bytes: head.size() };
        match head.kind {
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                self.add_fragment(side, head, start, payload, emit);
            }
            frame::SETTINGS => self.settings(side, payload),
            frame::RST_STREAM => {
                if let Some(code) = frame::parse_number(payload) {
                    self.streams.reset(head.stream, place, code, emit);
                }
            }
            frame::GOAWAY => {
                if let Some((last, code, text)) = frame::parse_goaway(payload) {
                    self.streams.goaway(place, last, code, text, emit);
                }
            }
            _ => {}
        }
        Some(frame::HEAD + length)
    }

    fn settings(&mut self, side: Side, payload: &[u8]) {
        for (id, value) in frame::parse_settings(payload) {
            if id == frame::HEADER_TABLE_SIZE {
                self.lane(side.other()).decoder.allow(value);
            }
        }
    }

    fn begin_passing(&mut self, side: Side, head: Head, start: u64) {
        let is_data = head.kind == frame::DATA;
        let padded = is_data && head.has(frame::PADDED);
        if is_data && !padded {
            self.streams.data_begins(head.stream, side, head.length);
        }
        let padding = if padded { Padding::Unread } else { Padding::Known(0) };
        self.lane(side).passing = Some(Passing { head, start, left: head.length, padding, messages: 0 });
    }

    /// Lets bytes of the passing frame pass; says how many.
    fn pass(&mut self, side: Side, input: &[u8]) -> usize {
        let Some(mut passing) = self.lane(side).passing else { return 0 };
        let taken = (passing.left as usize).min(input.len());
        let mut bytes = input.get(..taken).unwrap_or_default();
        if passing.is_data() {
            if let (Padding::Unread, Some((length, rest))) = (passing.padding, bytes.split_first()) {
                bytes = rest;
                passing.left -= 1;
                if u32::from(*length) > passing.left {
                    self.complain(Layer::Frame, frame::HEAD, "padding longer than its frame");
                }
                let padding = u32::from(*length).min(passing.left);
                passing.padding = Padding::Known(padding);
                self.streams.data_begins(passing.head.stream, side, passing.left - padding);
            }
            if let Padding::Known(padding) = passing.padding {
                let data = passing.left.saturating_sub(padding) as usize;
                let data = bytes.get(..data.min(bytes.len())).unwrap_or_default();
                passing.messages += self.streams.data(passing.head.stream, side, data);
            }
        }
        passing.left -= bytes.len() as u32;
        self.lane(side).passing = Some(passing);
        taken
    }

    /// Ends the passing frame if all of it is through.
    fn finish_passing(&mut self, side: Side, emit: &mut Emit<'_>) {
        let Some(passing) = self.lane(side).passing.take_if(|passing| passing.left == 0) else { return };
        if passing.is_data() {
            let earliest = passing.end().saturating_sub(HOLD_LIMIT).max(self.lane(side).floor);
            let place = Place { side, start: passing.start.max(earliest), bytes: passing.head.size() };
            let end_stream = passing.head.has(frame::END_STREAM);
            self.streams.data_ends(passing.head.stream, place, end_stream, passing.messages, emit);
        }
    }

    /// The place of the next frame of `side` is not known any more, and frames may have been missed.
    fn lose(&mut self, side: Side, emit: &mut Emit<'_>) {
        self.give_up_block(side, emit);
        let lane = self.lane(side);
        lane.block = None;
        lane.passing = None;
        lane.decoder.lose();
        lane.doubt = None;
        lane.phase = Phase::Lost;
        let offset = lane.offset;
        lane.floor = lane.floor.max(offset);
        // Settings may have been among the frames.
        self.lane(side.other()).decoder.allow_anything();
        self.streams.set_in_step(side, false);
        self.streams.gap(side, offset, emit);
    }

    /// Reads what is there of a frame that should be whole. Says how many bytes of it are still to come.
    fn read_cut(&mut self, side: Side, carry: &[u8], emit: &mut Emit<'_>) -> Option<u64> {
        let head = frame::parse_head(carry)?;
        let payload = carry.get(frame::HEAD..).unwrap_or_default();
        let left = (head.length as usize).checked_sub(payload.len())?;
        if head.is_block() {
            let start = self.lane(side).offset;
            if head.kind != frame::CONTINUATION {
                self.begin_block(side, head, start);
            }
            if let (Some(block), Ok(range)) =
                (&mut self.lane(side).block, frame::parse_fragment(head, payload))
            {
                block.bytes += head.size();
                block.fragments.extend_from_slice(payload.get(range).unwrap_or_default());
            }
            self.give_up_block(side, emit);
            if head.has(frame::END_HEADERS) {
                self.lane(side).block = None;
            }
        } else if head.kind == frame::SETTINGS {
            self.lane(side.other()).decoder.allow_anything();
        }
        Some(left as u64)
    }
}

impl Session for Http2Session {
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        if self.lane(side).carry.is_empty() {
            let done = self.read(side, bytes, emit);
            let rest = bytes.get(done..).unwrap_or_default();
            self.lane(side).carry.extend_from_slice(rest);
        } else {
            let mut carry = std::mem::take(&mut self.lane(side).carry);
            carry.extend_from_slice(bytes);
            let done = self.read(side, &carry, emit);
            carry.drain(..done.min(carry.len()));
            self.lane(side).carry = carry;
        }
    }

    fn gap(&mut self, side: Side, missing: Option<u64>, emit: &mut Emit<'_>) {
        let mut carry = std::mem::take(&mut self.lane(side).carry);
        match self.lane(side).phase {
            Phase::Start | Phase::Upgrading => {
                self.lane(side).decoder = Decoder::lost();
                self.lane(side).phase = Phase::Lost;
            }
            Phase::Frames if !carry.is_empty() => {
                if let Some(left) = self.read_cut(side, &carry, emit)
                    && let Some(head) = frame::parse_head(&carry)
                {
                    // The rest of the frame passes like one that nobody reads.
                    let head = Head { kind: u8::MAX, ..head };
                    let start = self.lane(side).offset;
                    self.lane(side).passing = Some(Passing {
                        head,
                        start,
                        left: left as u32,
                        padding: Padding::Known(0),
                        messages: 0,
                    });
                }
            }
            Phase::Frames | Phase::Lost | Phase::Dead => {}
        }
        self.lane(side).offset += carry.len() as u64;
        carry.clear();
        let lane = self.lane(side);
        lane.carry = carry;
        lane.offset += missing.unwrap_or(0);
        lane.floor = lane.offset;
        let floor = lane.floor;
        self.streams.raise_floor(side, floor);
        let within = match (&mut self.lane(side).passing, missing) {
            (Some(passing), Some(missing)) if missing <= u64::from(passing.left) => {
                passing.left -= missing as u32;
                Some(*passing)
            }
            _ => None,
        };
        match within {
            Some(passing) => {
                if passing.is_data() {
                    // The length of the padding may be among what is missing: then nothing is known of messages.
                    let unread = matches!(passing.padding, Padding::Unread);
                    self.streams.data_missing(passing.head.stream, side, missing.filter(|_| !unread));
                    if unread && let Some(passing) = &mut self.lane(side).passing {
                        passing.padding = Padding::Known(0);
                    }
                }
                self.finish_passing(side, emit);
            }
            None if missing == Some(0) => {}
            None if self.lane(side).phase == Phase::Dead => {}
            None => {
                let doubt = self.doubt(side);
                self.lose(side, emit);
                self.lane(side).doubt = doubt;
            }
        }
    }

    fn end(&mut self, side: Side, emit: &mut Emit<'_>) {
        let carry = std::mem::take(&mut self.lane(side).carry);
        let phase = self.lane(side).phase;
        match phase {
            // No more frames will come to hold the last ones against.
            Phase::Lost => {
                let streams = &self.streams;
                let known = |id| streams.is_open(id);
                if let Some(at) = resync::find_now(&carry, &known, resync::AT_END) {
                    self.found(side, at, emit);
                    self.lane(side).offset += at as u64;
                    let done = self.read(side, carry.get(at..).unwrap_or_default(), emit);
                    self.lane(side).carry.extend_from_slice(carry.get(at + done..).unwrap_or_default());
                }
            }
            // Half a request still tells what was asked; half an answer was none.
            Phase::Frames if self.streams.client() == Some(side) => {
                self.read_cut(side, &carry, emit);
                self.lane(side).carry = carry;
            }
            _ => self.lane(side).carry = carry,
        }
        self.streams.close(side, emit);
    }

    fn held(&self, side: Side) -> usize {
        let lane = side.of(&self.lanes);
        let now = lane.offset + lane.carry.len() as u64;
        let mut first = lane.offset;
        if let Some(block) = &lane.block {
            first = first.min(block.start);
        }
        if let Some(passing) = &lane.passing
            && passing.is_data()
        {
            first = first.min(passing.start.max(passing.end().saturating_sub(HOLD_LIMIT)));
        }
        if let Some(upgrade) = &self.upgrade
            && upgrade.client == side
        {
            first = first.min(upgrade.place.start.max(now.saturating_sub(HOLD_LIMIT)));
        }
        if let Some(waits) = self.streams.waits_from(side) {
            first = first.min(waits);
        }
        (now - first.max(lane.floor).min(now)) as usize
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.trouble
    }
}
