//! Formats whose messages stand one after the other ([`Framing`]), and the [`Session`] that follows a connection of such a
//! format.

mod bodies;
pub(crate) mod header;

use nom::Err;

use crate::bodies::{BodySpan, Encodings};
use crate::error::{Error, Layer, ParseResult, missing};
use crate::event::{CallId, Complete, Event, Kind, Side, Transport};
use crate::foreign::{Language, Strange, Watch};
use crate::protocol::{Emit, Session};
use crate::session::{At, Core, Faults, Found, Gap, Need, Reader, Step};
use crate::thrift::skip::{Skipped, StructFormat, StructSkip};
use bodies::BothBodies;
use header::WireHeader;

/// Bytes kept while searching for the next message after a gap: enough for the fixed head of any format here.
const SEARCH_TAIL: usize = 64;

/// What a format finds at the beginning of its input.
pub enum Parsed<'a> {
    /// A message of `bytes` bytes (which may be more than the input has: the rest is skipped).
    Message {
        /// What was seen. The session fills offset, size and header.
        event: Event<'a>,
        /// Whole size as sent.
        bytes: u64,
    },
    /// A message without a length: its end is where the struct after its head ends.
    Unsized {
        /// What was seen. The session fills offset, size and header.
        event: Event<'a>,
        /// Bytes of the head, after which the struct begins.
        head: usize,
        /// How the struct is written.
        format: StructFormat,
    },
    /// A frame that is no call (heartbeat, control), to be skipped.
    Control {
        /// Whole size as sent.
        bytes: u64,
    },
    /// A frame whose contents can't be decoded, to be skipped.
    Undecodable {
        /// Whole size as sent.
        bytes: u64,
        /// What is wrong with them.
        error: Error,
        /// No peer could decode it.
        by_all: bool,
    },
}

/// A format whose messages stand one after the other, each with its length in its head or with an end that can be found.
/// [`session`] follows a connection of it: it carries heads over chunk borders, skips bodies, and resynchronises after gaps.
pub trait Framing: Send + 'static {
    /// Reads the message at the beginning of `input`, which `side` sent. Reads heads only: a body is not waited for, except
    /// for the part of an answer that has the outcome. `Incomplete` says how many bytes are missing; an error that names no
    /// layer is one of the header.
    ///
    /// `unpacked` is empty; a message that is compressed on the wire is inflated into it, so that the event can borrow from
    /// it.
    fn parse<'a>(
        &mut self,
        side: Side,
        input: &'a [u8],
        unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>>;

    /// The same for a message that ends after `input` because the rest is missing: what is certain. `Incomplete` means that
    /// nothing is.
    fn parse_cut<'a>(
        &mut self,
        side: Side,
        input: &'a [u8],
        unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>> {
        self.parse(side, input, unpacked)
    }

    /// Calls `each` with the names and values in the header of the message that `parse` found at the beginning of `input`,
    /// in the order of the wire. Called only for a message whose header is wanted, so it may read the head again.
    fn metadata(&self, _side: Side, _input: &[u8], _each: &mut dyn FnMut(&[u8], &[u8])) {}

    /// Where the body is in the message that `parse` found at the beginning of `input`. Called only for messages whose bodies are
    /// wanted, so it may read the head again. `None`: it has none, or what there is is read already (exceptions). How the messages of a
    /// stream are compressed is remembered in `encodings`, where its first message says it.
    fn body(&self, _side: Side, _input: &[u8], _encodings: &mut Encodings) -> Option<BodySpan> {
        None
    }

    /// The first offset in `input` at which a message can begin, decided as strictly as detection; used after a gap.
    /// `None` if there is none.
    fn find(&mut self, side: Side, input: &[u8]) -> Option<usize>;

    /// The language of this format: an answer in another one is reported as such ([`Event::Foreign`]). `None`: such answers are
    /// not looked for, and bytes that can't be read are only lost.
    fn language(&self) -> Option<Language> {
        None
    }

    /// Whether a message of this format may begin like `input`, although it could not be read. Bytes for which it is false
    /// are certainly none.
    fn may_begin(&self, _input: &[u8]) -> bool {
        true
    }

    /// The most bytes that a head may need; a message that asks for more is invalid.
    fn head_limit(&self) -> usize {
        1024 * 1024
    }

    /// Becomes that of another connection; `false` if it can't ([`Session::renew`]).
    fn renew(&mut self) -> bool {
        false
    }
}

/// A session for a connection of this format, which expects a message at the first byte of either side.
pub fn session<F: Framing>(framing: F) -> Box<dyn Session> {
    let inbound = [Inbound::default(), Inbound::default()];
    let watch = framing.language().map(Watch::new);
    Box::new(Core::new(FramedReader { framing, inbound, watch, faults: Faults::default(), bodies: None }))
}

/// A message whose event was emitted and whose body is still passing.
#[derive(Debug)]
struct PendingBody {
    id: CallId,
    bytes: u64,
}

/// The rest of a message without a length.
#[derive(Debug)]
enum UnsizedBody {
    /// All of its struct.
    Whole(StructFormat),
    /// What comes after the bytes that were read. Boxed, because it takes 300 bytes and few structs span chunks.
    Rest(Box<StructSkip>),
}

/// What is known of the current message of one side.
#[derive(Debug, Default)]
struct Inbound {
    pending: Option<PendingBody>,
    /// A part of that message is missing.
    truncated: bool,
    /// The current body, if it has no length.
    unsized_body: Option<UnsizedBody>,
    /// Only the length is known of the message that the current gap cut.
    unknown_cut: bool,
    /// It has sent requests.
    asks: bool,
    /// A message was found in a search, and since then none has come to its end: it may be none.
    found: bool,
}

impl Inbound {
    /// Marks the current message as incomplete.
    fn truncate(&mut self) {
        self.truncated = true;
    }

    /// Reports that the current message has ended before `at`.
    fn complete(&mut self, at: At, bodies: &mut Option<Box<BothBodies>>, emit: &mut Emit<'_>) {
        if let Some(PendingBody { id, bytes }) = self.pending.take() {
            self.found = false;
            let truncated = self.truncated;
            let end = at.offset.saturating_sub(1);
            if let Some(bodies) = bodies {
                bodies.of(at.side).end(At { offset: end, ..at }, id, emit);
            }
            emit(at.side, &Event::Complete(Complete { end, id, bytes, truncated }));
        }
    }

    /// Emits the event of a message at the beginning of the input of `header`, and says which step it is.
    #[inline]
    fn emit<'a, F: Framing>(
        &mut self,
        at: At,
        event: &mut Event<'a>,
        header: &'a WireHeader<'_, F>,
        bytes: u64,
        truncated: bool,
        emit: &mut Emit<'_>,
    ) -> Step {
        let here = bytes.min(header.input.len() as u64);
        let left = bytes - here;
        self.asks |= matches!(event, Event::Request(_) | Event::Open(_));
        if let Some(head) = event.set_headers(header) {
            head.start = at.offset;
            head.bytes = bytes;
            head.more = left > 0;
            head.truncated |= truncated;
            if left > 0 {
                self.pending = Some(PendingBody { id: head.id, bytes });
                self.truncated = truncated;
            }
        }
        emit(at.side, event);
        if left > 0 {
            return Step::Body(here as usize, left);
        }
        self.found = false;
        Step::Done(here as usize)
    }

    /// Emits the event of a message without a length, whose body begins after `bytes` bytes.
    fn emit_unsized<'a, F: Framing>(
        &mut self,
        at: At,
        event: &mut Event<'a>,
        header: &'a WireHeader<'_, F>,
        bytes: usize,
        truncated: bool,
        emit: &mut Emit<'_>,
    ) {
        self.asks |= matches!(event, Event::Request(_) | Event::Open(_));
        if let Some(head) = event.set_headers(header) {
            head.start = at.offset;
            head.more = true;
            head.truncated |= truncated;
            self.pending = Some(PendingBody { id: head.id, bytes: bytes as u64 });
            self.truncated = truncated;
        }
        emit(at.side, event);
    }

    /// Takes the next bytes of a body without a length.
    fn advance(
        &mut self,
        body: UnsizedBody,
        at: At,
        input: &[u8],
        bodies: &mut Option<Box<BothBodies>>,
        emit: &mut Emit<'_>,
    ) -> Result<Step, Error> {
        let skipped = match body {
            UnsizedBody::Whole(format) => {
                let mut skip = StructSkip::new(format);
                let skipped = skip.advance(input);
                if matches!(skipped, Ok(Skipped::More)) {
                    self.unsized_body = Some(UnsizedBody::Rest(Box::new(skip)));
                }
                skipped
            }
            UnsizedBody::Rest(mut skip) => {
                let skipped = skip.advance(input);
                if matches!(skipped, Ok(Skipped::More)) {
                    self.unsized_body = Some(UnsizedBody::Rest(skip));
                }
                skipped
            }
        };
        let (len, ended) = match skipped {
            Ok(Skipped::More) => (input.len(), false),
            Ok(Skipped::Done(len)) => (len, true),
            Err(error) => {
                self.truncate();
                if let Some(bodies) = bodies {
                    bodies.lose(at.side, 0);
                }
                self.complete(at, bodies, emit);
                return Err(error);
            }
        };
        if let Some(pending) = &mut self.pending {
            pending.bytes += len as u64;
        }
        if let Some(bodies) = bodies {
            bodies.add(at, input.get(..len).unwrap_or_default(), emit);
        }
        if ended {
            self.complete(at.after(len), bodies, emit);
        }
        Ok(Step::Done(len))
    }
}

/// Reports that bytes from `start` on, in which messages may have stood, could not be read.
fn emit_lost(side: Side, start: u64, emit: &mut Emit<'_>) {
    emit(side, &Event::Lost { start });
}

/// The step over a frame of `bytes` bytes, with which `input` begins.
fn skip(bytes: u64, input: &[u8]) -> Step {
    match bytes.checked_sub(input.len() as u64) {
        Some(left) if left > 0 => Step::Body(input.len(), left),
        _ => Step::Done(bytes as usize),
    }
}

/// The [`Reader`] of a [`Framing`].
struct FramedReader<F> {
    framing: F,
    inbound: [Inbound; 2],
    watch: Option<Watch>,
    faults: Faults,
    /// The bodies of messages, if somebody asked for them.
    bodies: Option<Box<BothBodies>>,
}

impl<F: Framing> FramedReader<F> {
    /// Bytes of `side` are missing or could not be read. Apart, so that nothing is looked up for it before.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, side: Side) {
        if let Some(watch) = &mut self.watch {
            watch.lose(side);
        }
    }

    /// Whether `carried`, with which `side` ends, is an answer in another language.
    fn last_answer(&mut self, at: At, carried: &[u8], emit: &mut Emit<'_>) -> bool {
        let Self { inbound, watch, faults, .. } = self;
        let watch = watch.as_mut().filter(|_| !at.side.of(inbound).asks);
        watch.is_some_and(|watch| watch.last(at, carried, faults, emit))
    }

    /// A frame of `side` can't be decoded: its answer, if that is certain and no peer could decode it.
    fn undecodable(&mut self, at: At, error: Error, by_all: bool, emit: &mut Emit<'_>) {
        self.faults.note(error);
        let Self { inbound, watch, .. } = self;
        let watch = watch.as_mut().filter(|_| by_all && !at.side.of(inbound).asks);
        if !watch.is_some_and(|watch| watch.undecodable(at, emit)) {
            emit_lost(at.side, at.offset, emit);
        }
    }

    /// What `input` is, with which `side` begins, if that is an answer in another language.
    #[inline(never)]
    fn first_answer(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<Strange> {
        let asked = at.side.other().of(&self.inbound).asks && !at.side.of(&self.inbound).asks;
        self.watch.as_mut().filter(|_| asked)?.first(at, input, &mut self.faults, emit)
    }

    /// What is to be done with `input`, at which a message has to begin but can't be read.
    #[cold]
    #[inline(never)]
    fn unreadable(&mut self, at: At, input: &[u8], error: Error, emit: &mut Emit<'_>) -> Step {
        let may_begin = self.framing.may_begin(input);
        let watch = self.watch.as_mut().filter(|_| !at.side.of(&self.inbound).asks);
        match watch.and_then(|watch| watch.unread(at, input, may_begin, &mut self.faults, emit)) {
            Some(Strange::Wait(need)) => return Step::Need(need),
            Some(Strange::Language | Strange::Bytes) => return Step::Lost(1),
            None => {}
        }
        self.lose(at.side);
        self.faults.note(error);
        emit_lost(at.side, at.offset, emit);
        Step::Lost(1)
    }

    /// Reads what is left of a message that was cut; the bytes of it that are still to come, if they are known.
    fn read_cut(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<u64> {
        let mut unpacked = Vec::new();
        let inbound = at.side.of_mut(&mut self.inbound);
        let mut parsed = self.framing.parse_cut(at.side, input, &mut unpacked);
        let header = WireHeader { framing: &self.framing, side: at.side, input };
        if let Some(bodies) = &mut self.bodies {
            match &parsed {
                Ok(Parsed::Message { event, .. } | Parsed::Unsized { event, .. }) => {
                    let span = self.framing.body(at.side, input, &mut bodies.encodings);
                    bodies.mark(at, event, span, input, emit);
                }
                Ok(Parsed::Control { .. }) => bodies.pass_over(at.side),
                _ => bodies.mark_undecodable(at, input, emit),
            }
        }
        // By reference: an event is some 400 bytes, and every copy of one costs 70 instructions.
        match &mut parsed {
            Ok(Parsed::Message { event, bytes }) if *bytes > 0 => {
                let bytes = (*bytes).max(input.len() as u64);
                inbound.emit(at, event, &header, bytes, true, emit);
                Some(bytes - input.len() as u64)
            }
            // The end of a message without a length can't be found once a part of it is missing.
            Ok(Parsed::Unsized { event, .. }) => {
                inbound.emit_unsized(at, event, &header, input.len(), true, emit);
                None
            }
            Ok(Parsed::Control { bytes }) if *bytes > 0 => {
                inbound.unknown_cut = true;
                Some(bytes.saturating_sub(input.len() as u64))
            }
            _ => None,
        }
    }
}

impl<F: Framing> Reader for FramedReader<F> {
    fn head(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        let inbound = at.side.of_mut(&mut self.inbound);
        if let Some(body) = inbound.unsized_body.take() {
            return inbound.advance(body, at, input, &mut self.bodies, emit).unwrap_or_else(|error| {
                self.lose(at.side);
                self.faults.note(error);
                Step::Lost(0)
            });
        }
        let strange = if at.offset == 0 { self.first_answer(at, input, emit) } else { None };
        match strange {
            Some(Strange::Wait(need)) => return Step::Need(need),
            Some(Strange::Language | Strange::Bytes) => return Step::Lost(1),
            None => {}
        }
        let inbound = at.side.of_mut(&mut self.inbound);
        let mut unpacked = Vec::new();
        let mut parsed = self.framing.parse(at.side, input, &mut unpacked);
        let header = WireHeader { framing: &self.framing, side: at.side, input };
        let error = match &mut parsed {
            Ok(Parsed::Message { event, bytes }) if *bytes > 0 => {
                if let Some(bodies) = &mut self.bodies {
                    bodies.begin(at, event, &header, Some(*bytes), emit);
                }
                return inbound.emit(at, event, &header, *bytes, false, emit);
            }
            Ok(Parsed::Unsized { event, head, format }) if (1..=input.len()).contains(head) => {
                let after = input.get(*head..).unwrap_or_default();
                // Nearly always all of it is here, so that its length is known. One-way calls are decided as their message begins.
                if event.kind() != Kind::Oneway
                    && let Ok(Skipped::Done(body)) = StructSkip::new(*format).advance(after)
                {
                    let bytes = (*head + body) as u64;
                    if let Some(bodies) = &mut self.bodies {
                        bodies.begin(at, event, &header, Some(bytes), emit);
                    }
                    return inbound.emit(at, event, &header, bytes, false, emit);
                }
                if let Some(bodies) = &mut self.bodies {
                    let header = WireHeader { input: input.get(..*head).unwrap_or_default(), ..header };
                    bodies.begin(at, event, &header, None, emit);
                }
                inbound.emit_unsized(at, event, &header, *head, false, emit);
                inbound.unsized_body = Some(UnsizedBody::Whole(*format));
                return Step::Done(*head);
            }
            Ok(Parsed::Control { bytes }) if *bytes > 0 => {
                if let Some(bodies) = &mut self.bodies {
                    bodies.pass_over(at.side);
                }
                return skip(*bytes, input);
            }
            Ok(Parsed::Undecodable { bytes, error, by_all }) if *bytes > 0 => {
                let step = skip(*bytes, input);
                let (error, by_all, here) = (*error, *by_all, input.len().min(*bytes as usize));
                if let Some(bodies) = &mut self.bodies {
                    bodies.mark_undecodable(at, input.get(..here).unwrap_or_default(), emit);
                }
                self.undecodable(at, error, by_all, emit);
                return step;
            }
            Err(Err::Incomplete(needed)) => {
                let wanted = input.len().saturating_add(missing(*needed));
                if wanted <= self.framing.head_limit() {
                    return Step::Need(Need::Bytes(wanted));
                }
                Error::new(0, Layer::Header, "head longer than its limit")
            }
            Err(Err::Error(error) | Err::Failure(error)) => error.placed(Layer::Header, input),
            Ok(_) => Error::new(0, Layer::Frame, "message without bytes"),
        };
        self.unreadable(at, input, error, emit)
    }

    fn body(&mut self, at: At, bytes: &[u8], left: u64, emit: &mut Emit<'_>) {
        if let Some(bodies) = &mut self.bodies {
            bodies.add(at, bytes, emit);
        }
        if left == 0 {
            at.side.of_mut(&mut self.inbound).complete(at.after(bytes.len()), &mut self.bodies, emit);
        }
    }

    fn body_lost(&mut self, at: At, missing: Option<u64>, left: u64, emit: &mut Emit<'_>) {
        let inbound = at.side.of_mut(&mut self.inbound);
        inbound.truncate();
        if let Some(bodies) = &mut self.bodies {
            bodies.lose(at.side, missing.unwrap_or(0));
        }
        if left == 0 {
            inbound.complete(at, &mut self.bodies, emit);
        }
        if std::mem::take(&mut inbound.unknown_cut) {
            emit_lost(at.side, at.offset, emit);
        }
    }

    fn cut(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<u64> {
        self.read_cut(at, input, emit)
    }

    fn gap(&mut self, at: At, missing: Option<u64>, emit: &mut Emit<'_>) -> Gap {
        self.lose(at.side);
        let inbound = at.side.of_mut(&mut self.inbound);
        inbound.unknown_cut = false;
        inbound.truncate();
        if let Some(bodies) = &mut self.bodies {
            bodies.lose(at.side, missing.unwrap_or(0));
        }
        if let (Some(UnsizedBody::Rest(skip)), Some(missing)) = (&mut inbound.unsized_body, missing)
            && skip.lose(missing)
        {
            if let Some(pending) = &mut inbound.pending {
                pending.bytes += missing;
            }
            return Gap::InStep;
        }
        inbound.unsized_body = None;
        inbound.complete(at, &mut self.bodies, emit);
        emit_lost(at.side, at.offset, emit);
        Gap::Lost
    }

    fn find(&mut self, side: Side, input: &[u8], _end: bool) -> Found {
        match self.framing.find(side, input) {
            Some(at) => Found::At(at),
            None => Found::NotBefore(input.len().saturating_sub(SEARCH_TAIL)),
        }
    }

    fn passed_over(&mut self, at: At, skipped: usize, found: bool, emit: &mut Emit<'_>) {
        at.side.of_mut(&mut self.inbound).found |= found;
        if skipped > 0 {
            emit_lost(at.side, at.offset - skipped as u64, emit);
        }
    }

    fn end(&mut self, at: At, carried: &[u8], emit: &mut Emit<'_>) {
        if !carried.is_empty() && !self.last_answer(at, carried, emit) {
            let unreadable = matches!(
                self.framing.parse(at.side, carried, &mut Vec::new()),
                Err(Err::Error(_) | Err::Failure(_))
            );
            if unreadable {
                emit_lost(at.side, at.offset, emit);
            } else {
                self.read_cut(at, carried, emit);
            }
        }
        // A body that did not come to its end stays open: the connection's end is what decides its call.
        let inbound = at.side.of_mut(&mut self.inbound);
        inbound.pending = None;
        if inbound.found {
            // What was found may be none, and its bytes those of messages.
            emit_lost(at.side, at.offset, emit);
        }
        if let Some(bodies) = &mut self.bodies {
            bodies.of(at.side).give_up();
        }
    }

    fn collect_bodies(&mut self, limit: usize) {
        self.bodies = Some(Box::new(BothBodies::new(limit)));
    }

    fn mark_bodies(&mut self) {
        self.collect_bodies(0);
        if let Some(bodies) = &mut self.bodies {
            bodies.mark_bytes();
        }
    }

    fn memory(&self) -> usize {
        self.bodies.as_ref().map_or(0, |bodies| bodies.memory())
    }

    fn renew(&mut self) -> bool {
        let Self { framing, inbound, watch, faults, bodies } = self;
        (*inbound, *faults, *bodies) = (Default::default(), Faults::default(), None);
        *watch = framing.language().map(Watch::new);
        framing.renew()
    }

    fn datagram(&mut self, at: At, bytes: &[u8], emit: &mut Emit<'_>) {
        let (mut unpacked, mut unpacked_cut) = (Vec::new(), Vec::new());
        let (parsed, cut) = match self.framing.parse(at.side, bytes, &mut unpacked) {
            Err(Err::Incomplete(_)) => (self.framing.parse_cut(at.side, bytes, &mut unpacked_cut), true),
            parsed => (parsed, false),
        };
        match parsed {
            Ok(Parsed::Message { mut event, bytes: sent }) if sent >= bytes.len() as u64 => {
                let header = WireHeader { framing: &self.framing, side: at.side, input: bytes };
                if let Some(head) = event.set_headers(&header) {
                    head.start = at.offset;
                    head.bytes = sent;
                    head.truncated |= cut || sent > bytes.len() as u64;
                }
                if let (Some(kept), Some(head)) = (&mut self.bodies, event.head()) {
                    let span = self.framing.body(at.side, bytes, &mut kept.encodings);
                    kept.mark(at, &event, span, bytes, emit);
                    kept.of(at.side).datagram(at, head, span, bytes, emit);
                }
                emit(at.side, &event);
            }
            Ok(Parsed::Unsized { mut event, head: body, format }) => {
                let skipped = StructSkip::new(format).advance(bytes.get(body..).unwrap_or_default());
                let whole = match skipped {
                    Ok(Skipped::Done(end)) if body + end == bytes.len() => true,
                    Ok(Skipped::More) => false,
                    _ => {
                        self.faults.note(Error::new(0, Layer::Frame, "datagram is no single message"));
                        return;
                    }
                };
                if let Some(head) = event.head_mut() {
                    head.transport = Transport::Datagram;
                    head.start = at.offset;
                    head.bytes = bytes.len() as u64;
                    head.truncated |= cut || !whole;
                }
                if let (Some(kept), Some(head)) = (&mut self.bodies, event.head()) {
                    let span = self.framing.body(at.side, bytes, &mut kept.encodings);
                    kept.mark(at, &event, span, bytes, emit);
                    kept.of(at.side).datagram(at, head, span, bytes, emit);
                }
                emit(at.side, &event);
            }
            Ok(Parsed::Control { .. }) => {}
            Err(Err::Error(error) | Err::Failure(error)) => {
                self.faults.note(error.placed(Layer::Header, bytes));
            }
            Ok(_) | Err(Err::Incomplete(_)) => {
                self.faults.note(Error::new(0, Layer::Frame, "datagram is no single message"));
            }
        }
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.faults.last()
    }
}
