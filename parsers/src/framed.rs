//! Formats whose messages stand one after the other ([`Framing`]), and the [`Session`] that follows a connection of such a
//! format.

use nom::Err;

use crate::error::{Error, Layer, ParseResult, missing};
use crate::message::{CallId, Kind, Message, Pairs, Side, emit_message};
use crate::protocol::{Emit, Session};
use crate::thrift::skip::{Skipped, StructSkip};

/// What a format finds at the beginning of its input.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A message of `bytes` bytes (which may be more than the input has: the rest is skipped).
    Message {
        /// What was seen; `start`, `bytes` and `more` are filled by the session.
        message: Message<'a>,
        /// Whole size as sent.
        bytes: u64,
    },
    /// A message without a length: its end is where the struct after its head ends.
    Unsized {
        /// What was seen; `start`, `bytes` and `more` are filled by the session.
        message: Message<'a>,
        /// Bytes of the head, after which the struct begins.
        head: usize,
        /// Finds the end of the struct.
        skip: StructSkip,
    },
    /// A frame that is no call (heartbeat, control), to be skipped.
    Control {
        /// Whole size as sent.
        bytes: u64,
    },
}

/// A format whose messages stand one after the other, each with its length in its head or with an end that can be found.
/// [`FramedSession`] makes a [`Session`] of it: it carries heads over chunk borders, skips bodies, and resynchronises after
/// gaps.
pub trait Framing: Send + 'static {
    /// Reads the message at the beginning of `input`, which `side` sent. Reads heads only: a body is not waited for, except
    /// for the part of an answer that has the outcome. `Incomplete` says how many bytes are missing; an error that names no
    /// layer is one of the header.
    fn parse<'a>(&mut self, side: Side, input: &'a [u8]) -> ParseResult<Parsed<'a>>;

    /// The same for a message that ends after `input` because the rest is missing: what is certain. `Incomplete` means that
    /// nothing is.
    fn parse_cut<'a>(&mut self, side: Side, input: &'a [u8]) -> ParseResult<Parsed<'a>> {
        self.parse(side, input)
    }

    /// Calls `each` with the names and values in the header of the message that `parse` found at the beginning of `input`,
    /// in the order of the wire. Called only for a message whose metadata are wanted, so it may read the head again.
    fn metadata(&self, _side: Side, _input: &[u8], _each: &mut dyn FnMut(&[u8], &[u8])) {}

    /// The first offset in `input` at which a message can begin, decided as strictly as detection; used after a gap.
    /// `None` if there is none.
    fn find(&mut self, side: Side, input: &[u8]) -> Option<usize>;

    /// The most bytes that a head may need; a message that asks for more is invalid.
    fn head_limit(&self) -> usize {
        1024 * 1024
    }
}

/// Bytes kept while searching for the next message after a gap: enough for the fixed head of any format here.
const SEARCH_TAIL: usize = 64;

/// A message whose head was emitted and whose body is still passing.
#[derive(Debug)]
struct PendingBody {
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
    /// It was emitted, and its end is known.
    Emitted,
    /// Its end is known, and nothing else.
    Skipped,
    /// Its end is unknown.
    Lost,
}

/// What is known of the stream of one side.
#[derive(Debug, Default)]
struct Inbound {
    /// Bytes of a head that is not whole.
    carry: Vec<u8>,
    /// Length from which on the carried head is worth another look.
    wanted: usize,
    /// Stream offset of the first carried byte, or of the next byte to come.
    offset: u64,
    /// Bytes of the current body still to pass.
    skip: u64,
    /// Finds the end of the current body, if it has no length.
    unsized_body: Option<StructSkip>,
    open: Option<PendingBody>,
    /// The place of the next message is not known.
    lost: bool,
}

impl Inbound {
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
    inbound: [Inbound; 2],
    trouble: Option<(Error, u64)>,
}

impl<F: Framing> FramedSession<F> {
    /// A session that knows nothing yet and expects a message at the first byte of either side.
    pub fn new(framing: F) -> Self {
        Self { framing, inbound: [Inbound::default(), Inbound::default()], trouble: None }
    }

    fn lane(&mut self, side: Side) -> &mut Inbound {
        side.of_mut(&mut self.inbound)
    }

    fn complain(&mut self, error: Error) {
        let count = self.trouble.map_or(0, |(_, count)| count);
        self.trouble = Some((error, count + 1));
    }

    /// Reports that bytes in which messages may have stood could not be read.
    fn emit_lost(&mut self, side: Side, emit: &mut Emit<'_>) {
        let start = self.lane(side).offset;
        emit_message(emit, side, Message { kind: Kind::Lost, start, ..Message::default() });
    }

    fn emit_complete(&mut self, side: Side, emit: &mut Emit<'_>) {
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
        lane: &mut Inbound,
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
            lane.open = Some(PendingBody { id: message.id, bytes, truncated: cut });
        }
        lane.skip = bytes - here;
        lane.offset += here;
        emit_message(emit, lent.side, message);
        here as usize
    }

    /// Emits a message without a length, whose body begins after `head` bytes.
    fn deliver_unsized<'l>(
        lane: &mut Inbound,
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
        lane.open = Some(PendingBody { id: message.id, bytes: head as u64, truncated: cut });
        lane.offset += head as u64;
        emit_message(emit, lent.side, message);
    }

    /// Lets bytes of the current body pass; says how many of `bytes` belong to it.
    fn pass_body(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) -> usize {
        let lane = self.lane(side);
        let Some(skip) = &mut lane.unsized_body else {
            let passed = lane.pass(bytes.len() as u64) as usize;
            if passed > 0 && lane.skip == 0 {
                self.emit_complete(side, emit);
            }
            return passed;
        };
        let (passed, error) = match skip.advance(bytes) {
            Ok(Skipped::More) => (bytes.len(), None),
            Ok(Skipped::Done(passed)) => {
                lane.unsized_body = None;
                (passed, None)
            }
            Err(error) => {
                lane.unsized_body = None;
                lane.lost = true;
                (0, Some(error))
            }
        };
        lane.offset += passed as u64;
        if let Some(open) = &mut lane.open {
            open.bytes += passed as u64;
            open.truncated |= error.is_some();
        }
        if lane.unsized_body.is_none() {
            self.emit_complete(side, emit);
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
            if self.lane(side).unsized_body.is_some() {
                done += self.pass_body(side, rest, emit);
                continue;
            }
            if self.lane(side).lost {
                let Some(at) = self.framing.find(side, rest) else {
                    let drop = rest.len().saturating_sub(SEARCH_TAIL);
                    if drop > 0 {
                        self.emit_lost(side, emit);
                    }
                    let lane = self.lane(side);
                    lane.offset += drop as u64;
                    lane.wanted = 0;
                    return done + drop;
                };
                if at > 0 {
                    self.emit_lost(side, emit);
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
                Err(Err::Incomplete(needed)) => {
                    let wanted = rest.len().saturating_add(missing(needed));
                    if wanted <= limit {
                        self.lane(side).wanted = wanted;
                        return done;
                    }
                    Error::new(0, Layer::Header, "head longer than its limit")
                }
                Err(Err::Error(error) | Err::Failure(error)) => error.placed(Layer::Header, rest),
                Ok(Parsed::Message { message, bytes }) if bytes > 0 => {
                    if let Some(lane) = self.inbound.get_mut(index) {
                        let lent = Lent { framing: &self.framing, side, input: rest };
                        done += Self::deliver(lane, &lent, message, bytes, false, emit);
                    }
                    continue;
                }
                Ok(Parsed::Unsized { message, head, skip }) if (1..=rest.len()).contains(&head) => {
                    if let Some(lane) = self.inbound.get_mut(index) {
                        let lent = Lent { framing: &self.framing, side, input: rest };
                        Self::deliver_unsized(lane, &lent, message, head, false, emit);
                        lane.unsized_body = Some(skip);
                        done += head;
                    }
                    continue;
                }
                Ok(Parsed::Control { bytes }) if bytes > 0 => {
                    let lane = self.lane(side);
                    lane.skip = bytes;
                    done += lane.pass(rest.len() as u64) as usize;
                    continue;
                }
                Ok(_) => Error::new(0, Layer::Frame, "message without bytes"),
            };
            self.complain(error);
            self.emit_lost(side, emit);
            let lane = self.lane(side);
            lane.lost = true;
            lane.offset += 1;
            done += 1;
        }
    }

    /// Emits what is certain of the carried part of a head. What is missing of that message is then in `skip`.
    fn cut(&mut self, side: Side, emit: &mut Emit<'_>) -> Cut {
        let carry = std::mem::take(&mut self.lane(side).carry);
        let index = side.index();
        let lost = self.lane(side).lost;
        let cut = match self.framing.parse_cut(side, &carry) {
            Ok(Parsed::Message { message, bytes }) if !lost && bytes > 0 => {
                if let Some(lane) = self.inbound.get_mut(index) {
                    let lent = Lent { framing: &self.framing, side, input: &carry };
                    Self::deliver(lane, &lent, message, bytes.max(carry.len() as u64), true, emit);
                }
                Cut::Emitted
            }
            // The end of a message without a length can't be found once a part of it is missing.
            Ok(Parsed::Unsized { message, .. }) if !lost => {
                if let Some(lane) = self.inbound.get_mut(index) {
                    let lent = Lent { framing: &self.framing, side, input: &carry };
                    Self::deliver_unsized(lane, &lent, message, carry.len(), true, emit);
                }
                Cut::Lost
            }
            Ok(Parsed::Control { bytes }) if !lost && bytes > 0 => {
                let lane = self.lane(side);
                lane.skip = bytes.max(carry.len() as u64);
                lane.pass(carry.len() as u64);
                Cut::Skipped
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
        let mut cut = Cut::Emitted;
        if !self.lane(side).carry.is_empty() {
            cut = self.cut(side, emit);
        } else if let Some(skip) = &mut self.lane(side).unsized_body {
            if missing.is_some_and(|missing| skip.lose(missing)) {
                let lane = self.lane(side);
                lane.offset += missing.unwrap_or(0);
                if let Some(open) = &mut lane.open {
                    open.bytes += missing.unwrap_or(0);
                    open.truncated = true;
                }
                return;
            }
            self.lane(side).unsized_body = None;
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
                self.emit_complete(side, emit);
            }
            if cut == Cut::Skipped {
                self.emit_lost(side, emit);
            }
            return;
        }
        if let Some(open) = &mut lane.open {
            open.truncated = true;
        }
        lane.skip = 0;
        lane.lost = true;
        lane.offset += missing.unwrap_or(0);
        self.emit_complete(side, emit);
        self.emit_lost(side, emit);
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
            Err(Err::Incomplete(_)) => (self.framing.parse_cut(side, bytes), true),
            parsed => (parsed, false),
        };
        match parsed {
            Ok(Parsed::Message { mut message, bytes: sent }) if sent >= bytes.len() as u64 => {
                message.start = offset;
                message.bytes = sent;
                message.truncated |= cut || sent > bytes.len() as u64;
                let lent = Lent { framing: &self.framing, side, input: bytes };
                message.metadata = message.metadata.or(Some(&lent));
                emit_message(emit, side, message);
            }
            Ok(Parsed::Control { .. }) => {}
            Err(Err::Error(error) | Err::Failure(error)) => self.complain(error.placed(Layer::Header, bytes)),
            Ok(_) | Err(Err::Incomplete(_)) => {
                self.complain(Error::new(0, Layer::Frame, "datagram is no single message"));
            }
        }
    }

    fn held(&self, side: Side) -> usize {
        side.of(&self.inbound).carry.len()
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.trouble
    }
}
