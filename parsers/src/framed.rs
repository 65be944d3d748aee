//! The adapter that turns a stateless format ([`Framing`]) into a [`Session`].

use crate::error::{Error, Layer};
use crate::message::{CallId, Kind, Message, Pairs, Side, emit_message};
use crate::protocol::{Emit, Framing, Parsed, Session};
use crate::thrift::walk::{Walked, Walker};

/// Bytes kept while searching for the next message after a gap: enough for the fixed head of any format here.
const SEARCH_TAIL: usize = 64;

/// A message whose head was emitted and whose body is still passing.
#[derive(Debug)]
struct Open {
    id: CallId,
    bytes: u64,
    truncated: bool,
}

/// The metadata of a message being emitted, read from its bytes when asked for.
struct Lent<'l, F> {
    framing: &'l F,
    side: Side,
    input: &'l [u8],
}

impl<F: Framing> Pairs for Lent<'_, F> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.framing.metadata(self.side, self.input, each);
    }
}

/// What became of a message whose head is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// It was told, and its end is known.
    Told,
    /// Its end is known, and nothing else.
    Passed,
    /// Nobody knows where it ends.
    Lost,
}

/// What is known of the stream of one side.
#[derive(Debug, Default)]
struct Lane {
    /// Bytes of a head that is not whole.
    carry: Vec<u8>,
    /// Length from which on the carried head is worth another look.
    wanted: usize,
    /// Stream offset of the first carried byte, or of the next byte to come.
    offset: u64,
    /// Bytes of the current body still to pass.
    skip: u64,
    /// Finds the end of the current body where no length tells it.
    walker: Option<Walker>,
    open: Option<Open>,
    /// The place of the next message is not known.
    lost: bool,
}

impl Lane {
    /// Lets up to `len` body bytes pass; says how many.
    fn pass(&mut self, len: u64) -> u64 {
        let passed = self.skip.min(len);
        self.skip -= passed;
        self.offset += passed;
        passed
    }
}

/// A [`Session`] over a [`Framing`]: carries heads over chunk borders, skips bodies by length, resynchronises after gaps.
#[derive(Debug)]
pub struct FramedSession<F> {
    framing: F,
    lanes: [Lane; 2],
    trouble: Option<(Error, u64)>,
}

impl<F: Framing> FramedSession<F> {
    /// A session that knows nothing yet and expects a message at the first byte of either side.
    pub fn new(framing: F) -> Self {
        Self { framing, lanes: [Lane::default(), Lane::default()], trouble: None }
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        side.of_mut(&mut self.lanes)
    }

    fn complain(&mut self, error: Error) {
        let count = self.trouble.map_or(0, |(_, count)| count);
        self.trouble = Some((error, count + 1));
    }

    /// Says that bytes in which messages may have stood could not be read.
    fn tell_loss(&mut self, side: Side, emit: &mut Emit<'_>) {
        let start = self.lane(side).offset;
        emit_message(emit, side, Message { kind: Kind::Lost, start, ..Message::default() });
    }

    fn finish_open(&mut self, side: Side, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        let last = lane.offset.saturating_sub(1);
        if let Some(open) = lane.open.take() {
            emit_message(
                emit,
                side,
                Message {
                    kind: Kind::Complete,
                    id: open.id,
                    start: last,
                    bytes: open.bytes,
                    truncated: open.truncated,
                    ..Message::default()
                },
            );
        }
    }

    /// Emits a message found at the beginning of `input` and says how many of its bytes it takes.
    fn deliver<'l>(
        lane: &mut Lane,
        lent: &'l Lent<'l, F>,
        mut message: Message<'l>,
        bytes: u64,
        cut: bool,
        emit: &mut Emit<'_>,
    ) -> usize {
        let here = bytes.min(lent.input.len() as u64);
        message.metadata = message.metadata.or(Some(lent));
        message.start = lane.offset;
        message.bytes = bytes;
        message.more = bytes > here;
        message.truncated |= cut;
        if message.more {
            lane.open = Some(Open { id: message.id, bytes, truncated: cut });
        }
        lane.skip = bytes - here;
        lane.offset += here;
        emit_message(emit, lent.side, message);
        here as usize
    }

    /// Emits a message without a length, whose body begins after `head` bytes.
    fn deliver_walked<'l>(
        lane: &mut Lane,
        lent: &'l Lent<'l, F>,
        mut message: Message<'l>,
        head: usize,
        cut: bool,
        emit: &mut Emit<'_>,
    ) {
        message.metadata = message.metadata.or(Some(lent));
        message.start = lane.offset;
        message.bytes = 0;
        message.more = true;
        message.truncated |= cut;
        lane.open = Some(Open { id: message.id, bytes: head as u64, truncated: cut });
        lane.offset += head as u64;
        emit_message(emit, lent.side, message);
    }

    /// Lets bytes of the current body pass; says how many of `bytes` belong to it.
    fn pass_body(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) -> usize {
        let lane = self.lane(side);
        let Some(walker) = &mut lane.walker else {
            let passed = lane.pass(bytes.len() as u64) as usize;
            if passed > 0 && lane.skip == 0 {
                self.finish_open(side, emit);
            }
            return passed;
        };
        let (passed, error) = match walker.walk(bytes) {
            Ok(Walked::More) => (bytes.len(), None),
            Ok(Walked::Done(passed)) => {
                lane.walker = None;
                (passed, None)
            }
            Err(error) => {
                lane.walker = None;
                lane.lost = true;
                (0, Some(error))
            }
        };
        lane.offset += passed as u64;
        if let Some(open) = &mut lane.open {
            open.bytes += passed as u64;
            open.truncated |= error.is_some();
        }
        if lane.walker.is_none() {
            self.finish_open(side, emit);
        }
        if let Some(error) = error {
            self.complain(error);
        }
        passed
    }

    /// Reads messages from `input` until it is empty or the rest is no whole head; says how many bytes are done.
    fn read(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> usize {
        let mut done = 0;
        loop {
            let Some(rest) = input.get(done..) else { return input.len() };
            if rest.is_empty() {
                return done;
            }
            if self.lane(side).walker.is_some() {
                done += self.pass_body(side, rest, emit);
                continue;
            }
            if self.lane(side).lost {
                let Some(at) = self.framing.find(side, rest) else {
                    let drop = rest.len().saturating_sub(SEARCH_TAIL);
                    if drop > 0 {
                        self.tell_loss(side, emit);
                    }
                    let lane = self.lane(side);
                    lane.offset += drop as u64;
                    lane.wanted = 0;
                    return done + drop;
                };
                if at > 0 {
                    self.tell_loss(side, emit);
                }
                let lane = self.lane(side);
                lane.lost = false;
                lane.offset += at as u64;
                done += at;
                continue;
            }
            let limit = self.framing.head_limit();
            let index = side.index();
            let error = match self.framing.parse(side, rest) {
                Parsed::Incomplete(wanted) if wanted <= limit => {
                    self.lane(side).wanted = wanted.max(rest.len() + 1);
                    return done;
                }
                Parsed::Incomplete(_) => {
                    Error { offset: 0, layer: Layer::Header, what: "head longer than its limit" }
                }
                Parsed::Message { message, bytes } if bytes > 0 => {
                    if let Some(lane) = self.lanes.get_mut(index) {
                        let lent = Lent { framing: &self.framing, side, input: rest };
                        done += Self::deliver(lane, &lent, message, bytes, false, emit);
                    }
                    continue;
                }
                Parsed::Walked { message, head, walker } if (1..=rest.len()).contains(&head) => {
                    if let Some(lane) = self.lanes.get_mut(index) {
                        let lent = Lent { framing: &self.framing, side, input: rest };
                        Self::deliver_walked(lane, &lent, message, head, false, emit);
                        lane.walker = Some(walker);
                        done += head;
                    }
                    continue;
                }
                Parsed::Control { bytes } if bytes > 0 => {
                    let lane = self.lane(side);
                    lane.skip = bytes;
                    done += lane.pass(rest.len() as u64) as usize;
                    continue;
                }
                Parsed::Message { .. } | Parsed::Walked { .. } | Parsed::Control { .. } => {
                    Error { offset: 0, layer: Layer::Frame, what: "message without bytes" }
                }
                Parsed::Invalid(error) => error,
            };
            self.complain(error);
            self.tell_loss(side, emit);
            let lane = self.lane(side);
            lane.lost = true;
            lane.offset += 1;
            done += 1;
        }
    }

    /// Tells what the carried part of a head still says; how many of `missing` bytes fall into that message is kept in
    /// `skip`.
    fn cut(&mut self, side: Side, emit: &mut Emit<'_>) -> Cut {
        let carry = std::mem::take(&mut self.lane(side).carry);
        let index = side.index();
        let lost = self.lane(side).lost;
        let cut = match self.framing.parse_cut(side, &carry) {
            Parsed::Message { message, bytes } if !lost && bytes > 0 => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    let lent = Lent { framing: &self.framing, side, input: &carry };
                    Self::deliver(lane, &lent, message, bytes.max(carry.len() as u64), true, emit);
                }
                Cut::Told
            }
            // Where a message ends that has no length and is not whole, nobody knows.
            Parsed::Walked { message, .. } if !lost => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    let lent = Lent { framing: &self.framing, side, input: &carry };
                    Self::deliver_walked(lane, &lent, message, carry.len(), true, emit);
                }
                Cut::Lost
            }
            Parsed::Control { bytes } if !lost && bytes > 0 => {
                let lane = self.lane(side);
                lane.skip = bytes.max(carry.len() as u64);
                lane.pass(carry.len() as u64);
                Cut::Passed
            }
            _ => {
                self.lane(side).offset += carry.len() as u64;
                Cut::Lost
            }
        };
        let lane = self.lane(side);
        lane.carry = carry;
        lane.carry.clear();
        lane.wanted = 0;
        cut
    }
}

impl<F: Framing> Session for FramedSession<F> {
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let passed = self.pass_body(side, bytes, emit);
        let Some(bytes) = bytes.get(passed..).filter(|rest| !rest.is_empty()) else { return };
        let lane = self.lane(side);
        if lane.carry.is_empty() {
            let done = self.read(side, bytes, emit);
            if let Some(rest) = bytes.get(done..) {
                self.lane(side).carry.extend_from_slice(rest);
            }
            return;
        }
        lane.carry.extend_from_slice(bytes);
        if lane.carry.len() < lane.wanted {
            return;
        }
        let mut carry = std::mem::take(&mut lane.carry);
        let done = self.read(side, &carry, emit);
        carry.drain(..done.min(carry.len()));
        self.lane(side).carry = carry;
    }

    fn gap(&mut self, side: Side, missing: Option<u64>, emit: &mut Emit<'_>) {
        let mut cut = Cut::Told;
        if !self.lane(side).carry.is_empty() {
            cut = self.cut(side, emit);
        } else if let Some(walker) = &mut self.lane(side).walker {
            if missing.is_some_and(|missing| walker.lose(missing)) {
                let lane = self.lane(side);
                lane.offset += missing.unwrap_or(0);
                if let Some(open) = &mut lane.open {
                    open.bytes += missing.unwrap_or(0);
                    open.truncated = true;
                }
                return;
            }
            self.lane(side).walker = None;
            cut = Cut::Lost;
        } else if self.lane(side).skip == 0 {
            cut = Cut::Lost;
        }
        let lane = self.lane(side);
        let lost_bytes = missing.unwrap_or(u64::MAX);
        if cut != Cut::Lost && lost_bytes <= lane.skip {
            if let Some(open) = &mut lane.open {
                open.truncated = true;
            }
            lane.pass(lost_bytes);
            if lane.skip == 0 {
                self.finish_open(side, emit);
            }
            if cut == Cut::Passed {
                self.tell_loss(side, emit);
            }
            return;
        }
        if let Some(open) = &mut lane.open {
            open.truncated = true;
        }
        lane.skip = 0;
        lane.lost = true;
        lane.offset += missing.unwrap_or(0);
        self.finish_open(side, emit);
        self.tell_loss(side, emit);
    }

    fn end(&mut self, side: Side, emit: &mut Emit<'_>) {
        if !self.lane(side).carry.is_empty() {
            self.cut(side, emit);
        }
        // A body that did not come to its end stays open: the connection's end is what decides its call.
        self.lane(side).open = None;
    }

    fn datagram(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let offset = self.lane(side).offset;
        self.lane(side).offset += bytes.len() as u64;
        let (parsed, cut) = match self.framing.parse(side, bytes) {
            Parsed::Incomplete(_) => (self.framing.parse_cut(side, bytes), true),
            parsed => (parsed, false),
        };
        match parsed {
            Parsed::Message { mut message, bytes: sent } if sent >= bytes.len() as u64 => {
                message.start = offset;
                message.bytes = sent;
                message.truncated |= cut || sent > bytes.len() as u64;
                let lent = Lent { framing: &self.framing, side, input: bytes };
                message.metadata = message.metadata.or(Some(&lent));
                emit_message(emit, side, message);
            }
            Parsed::Control { .. } => {}
            Parsed::Invalid(error) => self.complain(error),
            Parsed::Message { .. } | Parsed::Walked { .. } | Parsed::Incomplete(_) => {
                self.complain(Error {
                    offset: 0,
                    layer: Layer::Frame,
                    what: "datagram is no single message",
                });
            }
        }
    }

    fn held(&self, side: Side) -> usize {
        side.of(&self.lanes).carry.len()
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.trouble
    }
}
