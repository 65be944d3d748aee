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
    /// Bytes of a head that is not whole, or of a search.
    carry: Vec<u8>,
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
            carry: Vec::new(),
            wanted: 0,
            wants_line: false,
            marks: false,
            ended: false,
            offset: 0,
        }
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
            self.carry.len() > wanted || memchr::memchr(b'\n', bytes).is_some()
        } else {
            self.carry.len() >= wanted
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
    fn read(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) {
        let Self { streams, reader } = self;
        let stream = side.of_mut(streams);
        let mut done = 0;
        while let Some(rest) = input.get(done..).filter(|rest| !rest.is_empty()) {
            let at = At { side, offset: stream.offset };
            let step = match stream.state {
                State::Head => match reader.head(at, rest, emit) {
                    Step::Done(step) => step,
                    Step::Body(step, 0) => {
                        reader.body(at.after(step), &[], 0, emit);
                        step
                    }
                    Step::Body(step, body) => {
                        stream.state = State::Body(body);
                        step
                    }
                    Step::Lost(step) => {
                        stream.state = State::Lost;
                        if stream.marks {
                            emit_unread(at, rest.get(..step).unwrap_or_default(), emit);
                        }
                        step
                    }
                    Step::Need(need) => {
                        stream.set_need(need);
                        break;
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
                        done += step;
                        break;
                    }
                    step
                }
            };
            stream.offset += step as u64;
            done += step;
        }
        if let Some(rest) = input.get(done..).filter(|rest| !rest.is_empty()) {
            stream.carry.extend_from_slice(rest);
        }
    }

    /// The same for `bytes` behind those that are carried.
    #[cold]
    #[inline(never)]
    fn read_carried(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let stream = side.of_mut(&mut self.streams);
        stream.carry.extend_from_slice(bytes);
        if !stream.ended && !stream.is_worth_a_look(bytes) {
            return;
        }
        let mut carried = std::mem::take(&mut stream.carry);
        self.read(side, &carried, emit);
        let carry = &mut side.of_mut(&mut self.streams).carry;
        if carry.is_empty() {
            // The next head that is not whole needs as much.
            carried.clear();
            *carry = carried;
        }
    }
}

impl<R: Reader> Session for Core<R> {
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        if side.of(&self.streams).carry.is_empty() {
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
        if !stream.carry.is_empty() {
            let at = At { side, offset: stream.offset };
            if stream.marks && stream.state == State::Lost {
                emit_unread(at, &stream.carry, emit);
            }
            if stream.state == State::Head
                && let Some(left) = reader.cut(at, &stream.carry, emit)
            {
                stream.state = State::Body(left);
            }
            stream.offset += stream.carry.len() as u64;
            stream.carry.clear();
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
        let carry = std::mem::take(&mut stream.carry);
        let at = At { side, offset: stream.offset };
        if lost && !carry.is_empty() {
            self.reader.passed_over(at.after(carry.len()), carry.len(), false, emit);
            if stream.marks {
                emit_unread(at, &carry, emit);
            }
        }
        let carried = if lost { &[][..] } else { &carry };
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
        let now = stream.offset + stream.carry.len() as u64;
        (now - self.reader.oldest(At { side, offset: stream.offset }).min(now)) as usize
    }

    fn memory(&self) -> usize {
        let carried: usize = self.streams.iter().map(|stream| stream.carry.capacity()).sum();
        size_of::<Self>() + carried + self.reader.memory()
    }

    fn shrink(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.carry.shrink_to_fit());
        self.reader.shrink();
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
mod tests {
    use super::*;
    use crate::error::Layer;

    /// A message is `M`, a digit and as many bytes; a line is `L` up to its end; `U` begins an unbounded body.
    #[derive(Default)]
    struct Toy {
        /// What was seen, with its stream offset. Pieces of a body are put together.
        seen: Vec<(u64, String)>,
        faults: Faults,
    }

    impl Toy {
        fn see(&mut self, offset: u64, what: impl Into<String>) {
            self.seen.push((offset, what.into()));
        }
    }

    impl Reader for Toy {
        fn head(&mut self, at: At, input: &[u8], _emit: &mut Emit<'_>) -> Step {
            match *input {
                [b'M', size @ b'0'..=b'9', ..] => {
                    self.see(at.offset, "message ");
                    Step::Body(2, u64::from(size - b'0'))
                }
                [b'M'] => Step::Need(Need::Bytes(2)),
                [b'L', ..] => match memchr::memchr(b'\n', input) {
                    Some(end) => {
                        self.see(at.offset, String::from_utf8_lossy(&input[..end]));
                        Step::Done(end + 1)
                    }
                    None => Step::Need(Need::Line(20)),
                },
                [b'U', ..] => {
                    self.see(at.offset, "rest ");
                    Step::Body(1, UNBOUNDED)
                }
                _ => {
                    self.faults.note(Error::new(0, Layer::Frame, "neither"));
                    Step::Lost(1)
                }
            }
        }

        fn body(&mut self, at: At, bytes: &[u8], left: u64, _emit: &mut Emit<'_>) {
            let text = String::from_utf8_lossy(bytes);
            if let Some((_, seen)) = self.seen.last_mut() {
                seen.push_str(&text);
            }
            if left == 0 {
                self.see(at.offset + bytes.len() as u64, "end");
            }
        }

        fn body_lost(&mut self, at: At, missing: Option<u64>, left: u64, _emit: &mut Emit<'_>) {
            self.see(at.offset, format!("{missing:?} lost, {}", left.min(99)));
        }

        fn cut(&mut self, at: At, input: &[u8], _emit: &mut Emit<'_>) -> Option<u64> {
            self.see(at.offset, format!("cut {}", String::from_utf8_lossy(input)));
            // As if a lone `M` were of a message of five bytes.
            (input == b"M").then_some(4)
        }

        fn gap(&mut self, at: At, missing: Option<u64>, _emit: &mut Emit<'_>) -> Gap {
            self.see(at.offset, format!("gap {missing:?}"));
            if missing == Some(7) { Gap::InStep } else { Gap::Lost }
        }

        fn find(&mut self, _side: Side, input: &[u8], end: bool) -> Found {
            match memchr::memchr(b'M', input) {
                Some(at) if at + 1 < input.len() || end => Found::At(at),
                Some(at) => Found::NotBefore(at),
                None => Found::NotBefore(input.len()),
            }
        }

        fn passed_over(&mut self, at: At, skipped: usize, found: bool, _emit: &mut Emit<'_>) {
            if found {
                self.see(at.offset, "found");
            } else if skipped == 0 {
                self.see(at.offset, "nothing skipped");
            }
        }

        fn end(&mut self, at: At, carried: &[u8], _emit: &mut Emit<'_>) {
            self.see(at.offset, format!("over {}", String::from_utf8_lossy(carried)));
        }

        fn oldest(&self, at: At) -> u64 {
            at.offset.saturating_sub(3)
        }

        fn trouble(&self) -> Option<(Error, u64)> {
            self.faults.last()
        }
    }

    /// What a reader is given.
    enum Input {
        Data(&'static str),
        Gap(Option<u64>),
    }
    use Input::{Data, Gap as Lose};

    /// What is seen when every piece of data is cut into two at `cut`, if it is longer.
    fn read(inputs: &[Input], cut: usize) -> Vec<(u64, String)> {
        let mut core = Core::new(Toy::default());
        let emit: &mut Emit<'_> = &mut |_, _| {};
        for input in inputs {
            match input {
                Data(text) => {
                    let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
                    core.data(Side::A, first, emit);
                    core.data(Side::A, second, emit);
                }
                Lose(missing) => core.gap(Side::A, *missing, emit),
            }
        }
        core.end(Side::A, emit);
        core.reader.seen.retain(|(_, seen)| seen != "nothing skipped");
        core.reader.seen
    }

    /// The same at every split.
    fn check(inputs: &[Input], expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(offset, seen)| (*offset, (*seen).to_owned())).collect();
        for cut in 0..32 {
            assert_eq!(read(inputs, cut), expected, "cut at {cut}");
        }
    }

    #[test]
    fn heads_and_bodies_are_the_same_at_every_split() {
        check(
            &[Data("M3abcM0Lline\nM2xyM")],
            &[
                (0, "message abc"),
                (5, "end"),
                (5, "message "),
                (7, "end"),
                (7, "Lline"),
                (13, "message xy"),
                (17, "end"),
                (17, "over M"),
            ],
        );
    }

    #[test]
    fn the_next_message_is_found_after_bytes_that_make_no_sense() {
        let found = [(4, "found"), (4, "message z"), (7, "end"), (7, "over ")];
        check(&[Data("?a?xM1z")], &found);
        check(&[Data("?"), Data("a?x"), Data("M1z")], &found);
    }

    #[test]
    fn what_is_found_only_at_the_end_is_read_then() {
        check(&[Data("?aM")], &[(2, "found"), (2, "over ")]);
    }

    #[test]
    fn a_gap_within_a_body_costs_nothing_else() {
        check(
            &[Data("M9abc"), Lose(Some(4)), Data("hiM0")],
            &[
                (0, "message abc"),
                (9, "Some(4) lost, 2hi"),
                (11, "end"),
                (11, "message "),
                (13, "end"),
                (13, "over "),
            ],
        );
        check(
            &[Data("M4a"), Lose(Some(3)), Data("M0")],
            &[(0, "message a"), (6, "Some(3) lost, 0"), (6, "message "), (8, "end"), (8, "over ")],
        );
        check(
            &[Data("Uabc"), Lose(None), Lose(Some(5)), Data("M0")],
            &[(0, "rest abc"), (4, "None lost, 99"), (9, "Some(5) lost, 99M0"), (11, "over ")],
        );
    }

    #[test]
    fn a_gap_over_the_end_of_a_body_loses_the_place() {
        for missing in [Some(3), None] {
            let after = 4 + missing.unwrap_or(0);
            let gap = format!("gap {missing:?}");
            check(
                &[Data("M4ab"), Lose(missing), Data("xM1z")],
                &[
                    (0, "message ab"),
                    (after, &gap),
                    (after + 1, "found"),
                    (after + 1, "message z"),
                    (after + 4, "end"),
                    (after + 4, "over "),
                ],
            );
        }
    }

    #[test]
    fn a_head_that_is_cut_may_still_say_how_long_its_message_is() {
        check(
            &[Data("M"), Lose(Some(4)), Data("M0")],
            &[(0, "cut M"), (5, "Some(4) lost, 0"), (5, "message "), (7, "end"), (7, "over ")],
        );
        check(
            &[Data("Labc"), Lose(Some(2)), Data("M0")],
            &[(0, "cut Labc"), (6, "gap Some(2)"), (6, "found"), (6, "message "), (8, "end"), (8, "over ")],
        );
    }

    #[test]
    fn a_reader_may_stay_in_step_over_a_gap() {
        check(
            &[Data("M0"), Lose(Some(7)), Lose(Some(0)), Data("M0")],
            &[(0, "message "), (2, "end"), (9, "gap Some(7)"), (9, "message "), (11, "end"), (11, "over ")],
        );
        // Not while the place is looked for.
        check(
            &[Data("M0?"), Lose(Some(7)), Data("..M0")],
            &[
                (0, "message "),
                (2, "end"),
                (10, "gap Some(7)"),
                (12, "found"),
                (12, "message "),
                (14, "end"),
                (14, "over "),
            ],
        );
    }

    #[test]
    fn a_line_is_looked_at_again_once_it_may_be_whole() {
        let mut stream = Stream::new();
        stream.set_need(Need::Line(4));
        stream.carry = b"abc".to_vec();
        assert!(!stream.is_worth_a_look(b"c"));
        assert!(stream.is_worth_a_look(b"c\n"));
        stream.carry = b"abcde".to_vec();
        assert!(stream.is_worth_a_look(b"e"));
        stream.set_need(Need::Bytes(6));
        assert!(!stream.is_worth_a_look(b"e"));
    }

    #[test]
    fn held_bytes_reach_back_to_what_the_reader_still_speaks_of() {
        let mut core = Core::new(Toy::default());
        core.data(Side::B, b"M2abLine", &mut |_, _| {});
        assert_eq!((core.held(Side::A), core.held(Side::B)), (0, 3 + 4));
        core.datagram(Side::A, b"xyz", &mut |_, _| {});
        assert_eq!(core.held(Side::A), 3);
        assert_eq!(core.trouble(), None);
        core.data(Side::A, b"??", &mut |_, _| {});
        assert_eq!(core.trouble().map(|(error, count)| (error.what, count)), Some(("neither", 1)));
    }
}
