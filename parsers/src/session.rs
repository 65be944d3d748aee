//! The part that all sessions share: bytes of each side that wait for more, stream offsets, bodies that pass, and the search
//! for the next message after bytes were lost.
//!
//! A protocol is a [`Reader`]: it reads message heads and says how long their bodies are. [`Core`] makes a
//! [`Session`] of it. Each side is in one of three states:
//!
//! ```text
//!            Step::Body(n)                   n bytes have passed, or are missing
//!   ┌─────────────────────────▶ Body(n) ─────────────────────────┐
//!   │                              │ more than n are missing      │
//! Head ◀───────────────────────────┼──────────────────────────────┘
//!   │ ▲  Found::At                 ▼
//!   │ └────────────────────────  Lost
//!   └──────────────────────────────▲
//!     Step::Lost, or bytes are missing
//! ```
//!
//! In `Head`, bytes of a head that is not whole are carried to the next chunk. In `Body`, a gap that ends within the body
//! costs nothing but the body's bytes. In `Lost`, the reader looks for the next place at which a message begins.

use crate::error::Error;
use crate::event::{BodyForm, BodyPiece, Event, Side};
use crate::protocol::{Emit, Session, Unread};

/// A body that ends with the connection.
pub const UNBOUNDED: u64 = u64::MAX;

/// Where bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Who sent them.
    pub side: Side,
    /// Stream offset of the first of them.
    pub offset: u64,
}

impl At {
    /// The place `bytes` bytes further on.
    #[must_use]
    pub fn after(self, bytes: usize) -> Self {
        Self { offset: self.offset + bytes as u64, ..self }
    }
}

/// How much more of a head has to come before it is worth another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// At least this number of bytes, counted from the beginning of the input.
    Bytes(usize),
    /// A line end, or more bytes than this.
    Line(usize),
}

/// What a reader makes of the bytes at the beginning of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This number of them is done with.
    Done(usize),
    /// This number of them is done with, and the bytes after them are a body of the length that follows ([`UNBOUNDED`]: all that
    /// still come).
    Body(usize, u64),
    /// No step can be taken yet.
    Need(Need),
    /// This number of them is done with, and where messages begin after them is not known.
    Lost(usize),
}

/// Where the next message begins in bytes of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// After this number of bytes.
    At(usize),
    /// Not before this number of bytes; whether at or after it takes more bytes to say.
    NotBefore(usize),
}

/// What a gap does to the side in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The next message begins where the gap ends, or the reader knows how to go on.
    InStep,
    /// Where the next message begins is not known.
    Lost,
}

/// A protocol on one connection. All offsets are stream offsets of the side that sent the bytes.
pub trait Reader: Send {
    /// Reads what stands at the beginning of `input`, which is never empty.
    fn head(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step;

    /// Takes the next bytes of a body, of which `left` come after these. Called once with no bytes for an empty body.
    fn body(&mut self, _at: At, _bytes: &[u8], _left: u64, _emit: &mut Emit<'_>) {}

    /// The next `missing` bytes of a body, of which `left` come after them, are lost; `at` is the place after them.
    /// `None`: it is not known how many are lost, of an unbounded body.
    fn body_lost(&mut self, _at: At, _missing: Option<u64>, _left: u64, _emit: &mut Emit<'_>) {}

    /// `input` is all that is left of a head, because what follows is lost. Returns how many bytes of its message are still to
    /// come, if that is known.
    fn cut(&mut self, _at: At, _input: &[u8], _emit: &mut Emit<'_>) -> Option<u64> {
        None
    }

    /// Bytes are lost among which messages may have begun; `at` is the place after them. `missing` as in [`Session::gap`].
    fn gap(&mut self, at: At, missing: Option<u64>, emit: &mut Emit<'_>) -> Gap;

    /// Looks for the first place in `input` at which a message can begin, judged as strictly as detection. `end`: no more
    /// bytes come.
    fn find(&mut self, side: Side, input: &[u8], end: bool) -> Found;

    /// `skipped` bytes before `at` were passed over in the search. `found`: a message begins here.
    fn passed_over(&mut self, _at: At, _skipped: usize, _found: bool, _emit: &mut Emit<'_>) {}

    /// The side sends nothing more; `carried` is what is left of a head, unless the place was lost.
    fn end(&mut self, at: At, carried: &[u8], emit: &mut Emit<'_>);

    /// Takes one datagram, as [`Session::datagram`] does; `at` is its place among all bytes of its side.
    fn datagram(&mut self, _at: At, _bytes: &[u8], _emit: &mut Emit<'_>) {}

    /// The first byte of a side of which something emitted later may speak; `at` if there is none before.
    fn oldest(&self, at: At) -> u64 {
        at.offset
    }

    /// See [`Session::collect_bodies`].
    fn collect_bodies(&mut self, _limit: usize) {}

    /// See [`Session::mark_bodies`].
    fn mark_bodies(&mut self) {}

    /// About how many bytes of memory it takes, in addition to its own size.
    fn memory(&self) -> usize {
        0
    }

    /// See [`Session::shrink`].
    fn shrink(&mut self) {}

    /// See [`Session::renew`].
    fn renew(&mut self) -> bool {
        false
    }

    /// See [`Session::client`].
    fn client(&self) -> Option<Side> {
        None
    }

    /// See [`Session::trouble`].
    fn trouble(&self) -> Option<(Error, u64)>;

    /// See [`Session::unread`].
    fn unread(&self) -> Option<Unread> {
        None
    }

    /// See [`Session::without_calls`].
    fn without_calls(&self) -> Option<&'static str> {
        None
    }
}

/// Undecodable bytes of a connection: the last error and how many there were. Boxed, because few connections have any.
#[derive(Clone, Debug, Default)]
pub struct Faults(Option<Box<(Error, u64)>>);

impl Faults {
    /// Counts an error.
    #[cold]
    pub fn note(&mut self, error: Error) {
        let (last, count) = &mut **self.0.get_or_insert_with(|| Box::new((error, 0)));
        *last = error;
        *count += 1;
    }

    /// As [`Session::trouble`] has it.
    #[must_use]
    pub fn last(&self) -> Option<(Error, u64)> {
        self.0.as_deref().copied()
    }
}

/// Where a side stands in its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A head comes.
    Head,
    /// So many bytes of a body come.
    Body(u64),
    /// The next head is looked for.
    Lost,
}

/// The bytes of one side.
#[derive(Debug)]
struct Stream {
    state: State,
    /// Bytes of a head that is not whole, or of a search, if there are any. Boxed, because few connections ever carry some.
    #[expect(
        clippy::box_collection,
        reason = "a vector by itself takes three times as much of every connection"
    )]
    carry: Option<Box<Vec<u8>>>,
    /// When the carried bytes are worth another look: from this number on, or at a line end if it is one that is needed. Apart from
    /// each other and beside `marks`, because there is one stream for each side of every connection.
    wanted: u32,
    wants_line: bool,
    /// Bytes that can't be read are reported as pieces of bodies.
    marks: bool,
    /// No more bytes come.
    ended: bool,
    /// Stream offset of the first carried byte, or of the next byte to come.
    offset: u64,
}

impl Stream {
    fn new() -> Self {
        Self {
            state: State::Head,
            carry: None,
            wanted: 0,
            wants_line: false,
            marks: false,
            ended: false,
            offset: 0,
        }
    }

    #[inline]
    fn carried(&self) -> &[u8] {
        self.carry.as_deref().map_or(&[], Vec::as_slice)
    }

    fn carry(&mut self, bytes: &[u8]) {
        self.carry.get_or_insert_default().extend_from_slice(bytes);
    }

    fn set_need(&mut self, need: Need) {
        let (Need::Bytes(bytes) | Need::Line(bytes)) = need;
        // No head may be that long: a look that comes too early only costs time.
        self.wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.wants_line = matches!(need, Need::Line(_));
    }

    /// Whether `bytes`, which were appended to the carried ones, may let a step be taken.
    fn is_worth_a_look(&self, bytes: &[u8]) -> bool {
        let wanted = self.wanted as usize;
        if self.wants_line {
            self.carried().len() > wanted || memchr::memchr(b'\n', bytes).is_some()
        } else {
            self.carried().len() >= wanted
        }
    }
}

/// Reports that bytes could not be read.
#[cold]
fn emit_unread(at: At, bytes: &[u8], emit: &mut Emit<'_>) {
    if !bytes.is_empty() {
        let piece = BodyPiece { at: at.offset, bytes, begins: true, form: BodyForm::Unread };
        emit(at.side, &Event::BodyPiece(piece));
    }
}

/// Looks for the next head in `input`, and says how many bytes are passed over. Apart, as few connections lose their place: what it reads
/// of the session would be looked up at every chunk.
#[cold]
#[inline(never)]
fn search<R: Reader>(
    stream: &mut Stream,
    reader: &mut R,
    at: At,
    input: &[u8],
    emit: &mut Emit<'_>,
) -> usize {
    let (step, found) = match reader.find(at.side, input, stream.ended) {
        Found::At(step) => (step, true),
        Found::NotBefore(step) => (step, false),
    };
    if found {
        stream.state = State::Head;
    } else {
        stream.set_need(Need::Bytes(0));
    }
    reader.passed_over(at.after(step), step, found, emit);
    if stream.marks {
        emit_unread(at, input.get(..step).unwrap_or_default(), emit);
    }
    step
}

/// A [`Session`] over a [`Reader`].
#[derive(Debug)]
pub struct Core<R> {
    streams: [Stream; 2],
    reader: R,
}

impl<R: Reader> Core<R> {
    /// A session that expects a head at the first byte of either side.
    pub fn new(reader: R) -> Self {
        Self { streams: [Stream::new(), Stream::new()], reader }
    }

    /// Takes steps through `input` as far as possible, and carries the rest. Nothing may be carried before.
    #[expect(clippy::inline_always, reason = "called in one place, through which all chunks come")]
    #[inline(always)]
    fn read(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) {
        let Self { streams, reader } = self;
        let stream = side.of_mut(streams);
        if input.is_empty() {
            return;
        }
        let mut at = At { side, offset: stream.offset };
        let mut rest = input;
        'steps: loop {
            let step = match stream.state {
                State::Head => loop {
                    match reader.head(at, rest, emit) {
                        // What stands behind it is a head again.
                        Step::Done(step) => match rest.get(step..) {
                            Some(after) if !after.is_empty() => {
                                (at, rest) = (at.after(step), after);
                                stream.offset = at.offset;
                            }
                            _ => break step,
                        },
                        Step::Body(step, 0) => {
                            reader.body(at.after(step), &[], 0, emit);
                            break step;
                        }
                        Step::Body(step, body) => {
                            stream.state = State::Body(body);
                            break step;
                        }
                        Step::Lost(step) => {
                            stream.state = State::Lost;
                            if stream.marks {
                                emit_unread(at, rest.get(..step).unwrap_or_default(), emit);
                            }
                            break step;
                        }
                        Step::Need(need) => {
                            stream.set_need(need);
                            break 'steps;
                        }
                    }
                },
                State::Body(left) => {
                    let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = if left == UNBOUNDED { left } else { left - step as u64 };
                    stream.state = if left == 0 { State::Head } else { State::Body(left) };
                    reader.body(at, rest.get(..step).unwrap_or_default(), left, emit);
                    step
                }
                State::Lost => {
                    let step = search(stream, reader, at, rest, emit);
                    if stream.state == State::Lost {
                        stream.offset += step as u64;
                        rest = rest.get(step..).unwrap_or_default();
                        break;
                    }
                    step
                }
            };
            at = at.after(step);
            stream.offset = at.offset;
            match rest.get(step..) {
                Some(after) if !after.is_empty() => rest = after,
                _ => return,
            }
        }
        stream.carry(rest);
    }

    /// The same for `bytes` behind those that are carried.
    #[cold]
    #[inline(never)]
    fn read_carried(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let stream = side.of_mut(&mut self.streams);
        stream.carry(bytes);
        if !stream.ended && !stream.is_worth_a_look(bytes) {
            return;
        }
        let Some(mut carried) = stream.carry.take() else { return };
        self.data(side, &carried, emit);
        // The next head that is not whole needs as much.
        side.of_mut(&mut self.streams).carry.get_or_insert_with(|| {
            carried.clear();
            carried
        });
    }
}

impl<R: Reader> Session for Core<R> {
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        if side.of(&self.streams).carried().is_empty() {
            self.read(side, bytes, emit);
        } else {
            self.read_carried(side, bytes, emit);
        }
    }

    fn gap(&mut self, side: Side, missing: Option<u64>, emit: &mut Emit<'_>) {
        if missing == Some(0) {
            return;
        }
        let Self { streams, reader } = self;
        let stream = side.of_mut(streams);
        if let Some(mut carry) = stream.carry.take().filter(|carry| !carry.is_empty()) {
            let at = At { side, offset: stream.offset };
            if stream.marks && stream.state == State::Lost {
                emit_unread(at, &carry, emit);
            }
            if stream.state == State::Head
                && let Some(left) = reader.cut(at, &carry, emit)
            {
                stream.state = State::Body(left);
            }
            stream.offset += carry.len() as u64;
            carry.clear();
            stream.carry = Some(carry);
        }
        stream.offset += missing.unwrap_or(0);
        let at = At { side, offset: stream.offset };
        match (stream.state, missing) {
            (State::Body(UNBOUNDED), _) => reader.body_lost(at, missing, UNBOUNDED, emit),
            (State::Body(left), Some(missing)) if missing <= left => {
                let left = left - missing;
                stream.state = if left == 0 { State::Head } else { State::Body(left) };
                reader.body_lost(at, Some(missing), left, emit);
            }
            (state, _) => match reader.gap(at, missing, emit) {
                Gap::InStep if state == State::Lost => {}
                Gap::InStep => stream.state = State::Head,
                Gap::Lost => stream.state = State::Lost,
            },
        }
    }

    fn end(&mut self, side: Side, emit: &mut Emit<'_>) {
        let stream = side.of_mut(&mut self.streams);
        stream.ended = true;
        let lost = stream.state == State::Lost;
        if lost {
            self.read_carried(side, &[], emit);
        }
        let stream = side.of_mut(&mut self.streams);
        let carry = stream.carry.take();
        let carry = carry.as_deref().map_or(&[][..], Vec::as_slice);
        let at = At { side, offset: stream.offset };
        if lost && !carry.is_empty() {
            self.reader.passed_over(at.after(carry.len()), carry.len(), false, emit);
            if stream.marks {
                emit_unread(at, carry, emit);
            }
        }
        let carried = if lost { &[][..] } else { carry };
        self.reader.end(at, carried, emit);
        stream.offset += carry.len() as u64;
    }

    fn datagram(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let Self { streams, reader } = self;
        let stream = side.of_mut(streams);
        reader.datagram(At { side, offset: stream.offset }, bytes, emit);
        stream.offset += bytes.len() as u64;
    }

    fn collect_bodies(&mut self, limit: usize) {
        self.reader.collect_bodies(limit);
    }

    fn mark_bodies(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.marks = true);
        self.reader.mark_bodies();
    }

    fn held(&self, side: Side) -> usize {
        let stream = side.of(&self.streams);
        let now = stream.offset + stream.carried().len() as u64;
        (now - self.oldest(side).min(now)) as usize
    }

    fn oldest(&self, side: Side) -> u64 {
        self.reader.oldest(At { side, offset: side.of(&self.streams).offset })
    }

    fn memory(&self) -> usize {
        let of = |carry: &Vec<u8>| size_of::<Vec<u8>>() + carry.capacity();
        let carried: usize = self.streams.iter().filter_map(|stream| stream.carry.as_deref().map(of)).sum();
        size_of::<Self>() + carried + self.reader.memory()
    }

    fn shrink(&mut self) {
        for stream in &mut self.streams {
            stream.carry.take_if(|carry| carry.is_empty());
            stream.carry.iter_mut().for_each(|carry| carry.shrink_to_fit());
        }
        self.reader.shrink();
    }

    fn renew(&mut self) -> bool {
        let Self { streams, reader } = self;
        let is_new = reader.renew();
        if is_new {
            *streams = [Stream::new(), Stream::new()];
        }
        is_new
    }

    fn client(&self) -> Option<Side> {
        self.reader.client()
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.reader.trouble()
    }

    fn unread(&self) -> Option<Unread> {
        self.reader.unread()
    }

    fn without_calls(&self) -> Option<&'static str> {
        self.reader.without_calls()
    }
}

#[cfg(test)]
mod tests;
