//! The state of one connection: where each side stands in its messages, and which bodies are read for a call.

mod thrift;

use std::num::NonZeroU32;

use super::body::{self, Chunks, Length};
use super::calls;
use super::exchanges::{Asked, Exchanges};
use super::head::{self, HEAD_LIMIT, Head, Start};
use super::web::Web;
use crate::bodies::{Shape, StreamBodies};
use crate::error::{Error, Layer};
use crate::event::{BodyForm, BodyPiece, CallId, Complete, Event, Rpc, Side};
use crate::foreign::{Language, Strange, Watch};
use crate::protocol::Emit;
use crate::session::{At, Core, Faults, Found, Gap, Need, Reader, Step, UNBOUNDED};
use crate::web::{BodyEnd, Claimed};

/// The largest head of a request that is kept because it may turn out to be tRPC.
const CANDIDATE_LIMIT: usize = 8 * 1024;

/// Bytes kept while searching for the next head after a gap.
const SEARCH_TAIL: usize = 4 * 1024;

/// What a side sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// A head, or a body of known length after it.
    #[default]
    Message,
    /// A chunked body.
    Chunked(Chunks),
    /// A body up to the end of the connection.
    UntilClose,
    /// No HTTP any more.
    Tunnel,
}

/// A message whose body is passing.
#[derive(Debug)]
struct Open {
    start: u64,
    /// Its whole size, where the head says it.
    bytes: Option<u64>,
    purpose: Purpose,
    truncated: bool,
}

/// What the body of a message is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Nothing.
    Pass,
    /// Its message was emitted, and its end has to be, and before it the body, if that is wanted.
    Announced(Option<Box<StreamBodies>>),
    /// It is read as a message of Connect or its kin.
    Web(Box<Web>),
    /// It is kept to be read as a thrift message, with its head. `orphan`: an answer whose request was not seen. `broken`: bytes of it
    /// are missing, so that what follows is not kept.
    Thrift { head: Vec<u8>, content: Vec<u8>, orphan: bool, broken: bool },
}

/// What one side sent.
#[derive(Debug, Default)]
struct Direction {
    phase: Phase,
    open: Option<Open>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    directions: [Direction; 2],
    /// The side that sends requests, once a head was seen.
    client: Option<Side>,
    exchanges: Exchanges,
    watch: Watch,
    faults: Faults,
    /// Up to which size the bodies of messages are wanted, if they are.
    bodies: Option<NonZeroU32>,
    /// Which bytes are those of bodies is reported, in place of the bodies.
    marks: bool,
}

/// The whole size of a message, where its head says it.
pub(super) fn whole_size(head: &Head<'_>, length: Length) -> Option<u64> {
    match length {
        Length::Known(body) => Some(head.len as u64 + body),
        Length::Chunked | Length::UntilClose => None,
        Length::Tunnel => Some(head.len as u64),
    }
}

/// The calls to which an answer belongs whose request was not seen, if its head shows them.
fn orphan_rpc(head: &Head<'_>) -> Option<Rpc> {
    if calls::is_trpc_error(head) {
        Some(Rpc::TrpcHttp)
    } else if calls::is_thrift(head) {
        Some(Rpc::Thrift)
    } else {
        super::web::claim_of_orphan(head).map(|claim| claim.rpc)
    }
}

/// Whether the head alone shows that its message belongs to a call.
pub(crate) fn shows_call(head: &Head<'_>) -> bool {
    match head.start {
        Start::Request { method, .. } => {
            let claims = matches!(super::web::claim(head), Claimed::Yes(_));
            claims || calls::is_trpc_request(head) || (calls::is_thrift(head) && method == b"POST")
        }
        Start::Status { .. } => orphan_rpc(head).is_some(),
    }
}

/// Fills in where an event stands on the wire.
pub(super) fn place(event: &mut Event<'_>, start: u64, bytes: u64, more: bool, truncated: bool) {
    if let Some(head) = event.head_mut() {
        (head.start, head.bytes, head.more, head.truncated) = (start, bytes, more, truncated);
    }
}

/// A head on the wire.
pub(super) struct Placed<'h> {
    pub(super) head: &'h Head<'h>,
    /// Its bytes.
    pub(super) sent: &'h [u8],
    pub(super) at: At,
    /// Bytes of the message at hand, the head's own included.
    available: &'h [u8],
    /// The rest of the head is missing.
    pub(super) cut: bool,
    /// As in [`Connection`].
    pub(super) bodies: Option<usize>,
}

impl Placed<'_> {
    /// What the bodies of the message are collected in.
    pub(super) fn collect(&self, shape: Shape, limit: usize) -> StreamBodies {
        // Where the request could not be read to its end, the answer's own type is what is certain.
        let shape = match super::web::claim_of_orphan(self.head) {
            Some(claim) if shape == Shape::Whole => claim.form.shape(),
            _ => shape,
        };
        let mut bodies = StreamBodies::new(shape, limit, self.cut);
        let names: &[&str] = match shape {
            Shape::Whole => &["content-encoding"],
            Shape::Prefixed(_) | Shape::Base64(_) => &["grpc-encoding", "connect-content-encoding"],
        };
        if let Some(value) = names.iter().find_map(|name| self.head.field(name)) {
            bodies.set_encoding(value);
        }
        bodies
    }

    /// Emits what the head says. What is to be done with the body follows from whether all of it is at hand.
    pub(super) fn announce(&self, event: &mut Event<'_>, length: Length, emit: &mut Emit<'_>) -> Purpose {
        let bytes = whole_size(self.head, length);
        let more = bytes.is_none_or(|bytes| bytes > self.available.len() as u64);
        if let (Some(limit), Some(bytes), false) = (self.bodies, bytes, more) {
            let mut body = self.collect(Shape::Whole, limit);
            body.feed(
                self.available.get(self.head.len..bytes as usize).unwrap_or_default(),
                &mut |_, _, _| {},
            );
            body.finish(false);
            body.emit(self.at.side, CallId::Order, self.at.offset, emit);
        }
        place(event, self.at.offset, bytes.unwrap_or(0), more, self.cut);
        emit(self.at.side, event);
        let body = self.bodies.filter(|_| more).map(|limit| Box::new(self.collect(Shape::Whole, limit)));
        if more { Purpose::Announced(body) } else { Purpose::Pass }
    }
}

impl Connection {
    /// The session of a connection of which nothing was seen yet.
    pub(super) fn session() -> Core<Self> {
        Core::new(Self {
            directions: [Direction::default(), Direction::default()],
            client: None,
            exchanges: Exchanges::default(),
            watch: Watch::new(Language::Http1),
            faults: Faults::default(),
            bodies: None,
            marks: false,
        })
    }

    /// Up to which size the bodies of messages are wanted, if they are.
    fn limit(&self) -> Option<usize> {
        self.bodies.map(|limit| limit.get() as usize)
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        side.of_mut(&mut self.directions)
    }

    /// Reads a head.
    fn read_head(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Result<Step, Error> {
        // An empty line between messages is skipped (RFC 9112, section 2.2).
        if input.starts_with(b"\r\n") {
            return Ok(Step::Done(2));
        }
        if input == b"\r" {
            return Ok(Step::Need(Need::Bytes(2)));
        }
        match head::parse_head(input)? {
            Some(head) => {
                let sent = input.get(..head.len).unwrap_or_default();
                let bodies = self.limit();
                self.take_head(&Placed { head: &head, sent, at, available: input, cut: false, bodies }, emit)
            }
            None => Ok(Step::Need(Need::Line(HEAD_LIMIT))),
        }
    }

    /// Reads a head whose rest is missing. What an answer says is not known without all of its fields.
    fn read_cut(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) {
        let Some(sent) = head::close_cut(input) else { return };
        let Ok(Some(mut head)) = head::parse_head(&sent) else { return };
        let Start::Request { method, .. } = head.start else {
            if let Some(rpc) = orphan_rpc(&head).filter(|_| self.exchanges.is_unasked()) {
                self.take_sides(at.side.other(), emit);
                let mut answer = calls::lost_answer(rpc, at.offset);
                place(&mut answer, at.offset, 0, false, true);
                emit(at.side, &answer);
            }
            return;
        };
        head.len = input.len();
        self.take_sides(at.side, emit);
        let bodies = self.limit();
        let placed = Placed { head: &head, sent: &sent, at, available: input, cut: true, bodies };
        let purpose = self.take_request(&placed, method, Length::UntilClose, emit).with_head(&sent);
        self.direction(at.side).open = Some(Open { start: at.offset, bytes: None, purpose, truncated: true });
    }

    /// Reads a line of a chunked body.
    fn read_chunk_line(
        &mut self,
        chunks: Chunks,
        at: At,
        input: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<Step, Error> {
        let Some((line, next)) = body::parse_line(chunks, input)? else {
            return Ok(Step::Need(Need::Line(body::LINE_LIMIT)));
        };
        let direction = self.direction(at.side);
        direction.phase = Phase::Chunked(next);
        if chunks == Chunks::Trailer
            && let Some(Open { purpose: Purpose::Web(web), .. }) = &mut direction.open
        {
            web.trailer(input.get(..line).unwrap_or_default());
        }
        Ok(match next {
            Chunks::Data(size) => Step::Body(line, size),
            Chunks::Done => {
                self.finish(at.after(line), emit);
                Step::Done(line)
            }
            Chunks::Size | Chunks::DataEnd | Chunks::Trailer => Step::Done(line),
        })
    }

    fn take_head(&mut self, placed: &Placed<'_>, emit: &mut Emit<'_>) -> Result<Step, Error> {
        let Placed { head, at, .. } = *placed;
        let (length, purpose) = match head.start {
            Start::Request { method, .. } => {
                let length = body::length(head, b"")?;
                self.take_sides(at.side, emit);
                (length, self.take_request(placed, method, length, emit))
            }
            Start::Status { code } => {
                self.take_sides(at.side.other(), emit);
                let interim = (100..200).contains(&code) && code != 101;
                // An answer that turns out to be unreadable leaves its exchange where it is, to be reported as lost.
                let asked: &[u8] = if interim { b"" } else { self.exchanges.next_method().name() };
                let length = body::length(head, asked)?;
                let purpose = if interim {
                    Purpose::Pass
                } else if code == 101 {
                    // The answer follows in the other protocol.
                    self.exchanges.lose_one(at, emit);
                    Purpose::Pass
                } else {
                    let asked = self.exchanges.answer(at, emit);
                    Self::take_answer(placed, asked, length, emit)
                };
                (length, purpose)
            }
        };
        let (phase, step) = match length {
            Length::Known(body) => (Phase::Message, Step::Body(head.len, body)),
            Length::Chunked => (Phase::Chunked(Chunks::Size), Step::Done(head.len)),
            Length::UntilClose => (Phase::UntilClose, Step::Body(head.len, UNBOUNDED)),
            Length::Tunnel => {
                self.direction(at.side.other()).phase = Phase::Tunnel;
                (Phase::Tunnel, Step::Body(head.len, UNBOUNDED))
            }
        };
        let bytes = whole_size(head, length);
        let purpose = self.read_or_keep(placed, length, purpose, emit);
        let open = Some(Open { start: at.offset, bytes, purpose, truncated: false });
        *self.direction(at.side) = Direction { phase, open };
        Ok(step)
    }

    /// `client` asks. If the other side was taken for it until now, what that one asked has no answer that can be known, and its
    /// offsets are of the other stream.
    fn take_sides(&mut self, client: Side, emit: &mut Emit<'_>) {
        if self.client.replace(client) == Some(client.other()) && !self.exchanges.is_empty() {
            self.exchanges = Exchanges::default();
            emit(client, &Event::Lost { start: 0 });
            let what = "requests and answers of the same side";
            self.faults.note(Error::new(0, Layer::Frame, what));
        }
    }

    fn take_request(
        &mut self,
        placed: &Placed<'_>,
        method: &[u8],
        length: Length,
        emit: &mut Emit<'_>,
    ) -> Purpose {
        let Placed { head, sent, at, .. } = *placed;
        let bytes = whole_size(head, length);
        let (asked, purpose) = if calls::is_trpc_request(head) {
            let mut request = calls::trpc_request(head);
            (Asked::Trpc, placed.announce(&mut request, length, emit))
        } else if calls::is_thrift(head) && method == b"POST" {
            (Asked::ThriftComing, Purpose::thrift(false))
        } else if let Claimed::Yes(claim) = super::web::claim(head) {
            (Asked::Web(claim), Web::request(placed, claim, length, emit))
        } else if sent.len() <= CANDIDATE_LIMIT && matches!(method, b"GET" | b"POST") && !placed.cut {
            let (head, start, bytes) = (sent.to_vec(), at.offset, bytes.unwrap_or(0));
            (Asked::Candidate { head, start, bytes }, Purpose::Pass)
        } else {
            (Asked::Foreign, Purpose::Pass)
        };
        // What a cut head does not show to be a call, its answer may.
        if placed.cut && matches!(asked, Asked::Foreign) {
            return purpose;
        }
        if !self.exchanges.push(method, asked) {
            let what = "too many requests without an answer";
            self.faults.note(Error::new(0, Layer::Frame, what));
        }
        purpose
    }

    fn take_answer(
        placed: &Placed<'_>,
        asked: Option<Asked>,
        length: Length,
        emit: &mut Emit<'_>,
    ) -> Purpose {
        let Placed { head, at, .. } = *placed;
        let empty = length == Length::Known(0);
        let trpc = |emit: &mut Emit<'_>| placed.announce(&mut calls::trpc_answer(head, !empty), length, emit);
        match asked {
            Some(Asked::Trpc) => trpc(emit),
            Some(Asked::Candidate { head: asked, start, bytes }) if calls::is_trpc_error(head) => {
                if let Ok(Some(asked)) = head::parse_head(&asked) {
                    let mut request = calls::trpc_request(&asked);
                    place(&mut request, start, bytes, false, false);
                    emit(at.side.other(), &request);
                }
                trpc(emit)
            }
            Some(Asked::Candidate { head: asked, start, bytes }) => {
                Web::candidate(head, asked, start, bytes).unwrap_or(Purpose::Pass)
            }
            Some(Asked::Web(claim)) => Web::answer(placed, claim, length, emit),
            None if calls::is_trpc_error(head) => trpc(emit),
            None if calls::is_thrift(head) => Purpose::thrift(true),
            // The answer to a one-way call says nothing: it is there because HTTP wants one.
            Some(Asked::Thrift { oneway: true }) if empty && calls::is_success(head) => Purpose::Pass,
            Some(Asked::ThriftComing | Asked::Thrift { .. }) if calls::is_thrift(head) && !empty => {
                Purpose::thrift(false)
            }
            Some(Asked::ThriftComing | Asked::Thrift { .. }) if empty && calls::is_success(head) => {
                placed.announce(&mut calls::thrift_silence(head), length, emit)
            }
            Some(Asked::ThriftComing | Asked::Thrift { .. }) => {
                placed.announce(&mut calls::thrift_status(head, false), length, emit)
            }
            Some(Asked::Foreign | Asked::Hole { .. }) => Purpose::Pass,
            None => match super::web::claim_of_orphan(head) {
                Some(claim) => Web::answer(placed, claim, length, emit),
                None => Purpose::Pass,
            },
        }
    }

    /// Reports bytes of a body of which nothing has to stay, if that is wanted.
    fn mark(&self, at: At, bytes: &[u8], emit: &mut Emit<'_>) {
        if self.marks && !bytes.is_empty() {
            let piece = BodyPiece { at: at.offset, bytes, begins: true, form: BodyForm::Opaque };
            emit(at.side, &Event::BodyPiece(piece));
        }
    }

    /// The message of a side ends at `end`: emits what was waiting for that.
    fn finish(&mut self, end: At, emit: &mut Emit<'_>) {
        let At { side, offset } = end;
        self.emit_thrift(end, false, emit);
        self.finish_web(end, BodyEnd::Whole, emit);
        let direction = self.direction(side);
        if direction.phase != Phase::Tunnel {
            direction.phase = Phase::Message;
        }
        let Some(mut open) = direction.open.take() else { return };
        if let Purpose::Announced(Some(body)) = &mut open.purpose {
            body.finish(open.truncated);
            body.emit(side, CallId::Order, offset.saturating_sub(1), emit);
        }
        let bytes = open.bytes.unwrap_or(offset - open.start);
        if matches!(open.purpose, Purpose::Announced(_)) {
            let (id, end, truncated) = (CallId::Order, offset.saturating_sub(1), open.truncated);
            emit(side, &Event::Complete(Complete { end, id, bytes, truncated }));
        }
        if self.client == Some(side) {
            self.exchanges.complete(open.start, bytes);
        }
    }

    /// The body of a message of Connect or its kin ends at `end`: emits what it says.
    fn finish_web(&mut self, end: At, how: BodyEnd, emit: &mut Emit<'_>) {
        let Some(open) = &mut self.direction(end.side).open else { return };
        if let Purpose::Web(web) = &mut open.purpose {
            let how = if open.truncated && how == BodyEnd::Whole { BodyEnd::Lost } else { how };
            web.finish(end, open.start, open.truncated, how, emit);
            open.purpose = Purpose::Pass;
        }
    }

    /// A body of known length, or a chunk, ends at `end`.
    fn finish_body(&mut self, end: At, emit: &mut Emit<'_>) {
        match &mut self.direction(end.side).phase {
            Phase::Chunked(chunks) => *chunks = Chunks::DataEnd,
            Phase::Message | Phase::UntilClose | Phase::Tunnel => self.finish(end, emit),
        }
    }

    /// Where the next message of a side begins is not known any more.
    fn lose(&mut self, at: At, emit: &mut Emit<'_>) {
        if let Some(open) = &mut self.direction(at.side).open {
            open.truncated = true;
        }
        self.finish(at, emit);
    }

    /// What a side sends at `at` can't be read. If an answer was due, this was it.
    fn skip(&mut self, at: At, input: &[u8], error: Error, emit: &mut Emit<'_>) -> Step {
        let between = self.direction(at.side).phase == Phase::Message;
        let strange = if between && self.answers(at.side) {
            let Self { watch, faults, .. } = self;
            watch.unread(at, input, head::may_begin(input), faults, emit)
        } else {
            None
        };
        match strange {
            Some(Strange::Wait(need)) => return Step::Need(need),
            Some(Strange::Language | Strange::Bytes) => {}
            None => self.faults.note(error),
        }
        self.pass_over(at, emit)
    }

    /// Whether `side` answers requests.
    fn answers(&self, side: Side) -> bool {
        self.client == Some(side.other())
    }

    /// What a side sends at `at` is no HTTP. If an answer was due, this was it.
    fn pass_over(&mut self, at: At, emit: &mut Emit<'_>) -> Step {
        self.watch.lose(at.side);
        self.lose(at, emit);
        if self.client == Some(at.side.other()) {
            self.exchanges.lose_one(at, emit);
        }
        Step::Lost(1)
    }
}

impl Reader for Connection {
    fn memory(&self) -> usize {
        let of = |direction: &Direction| match direction.open.as_ref().map(|open| &open.purpose) {
            Some(Purpose::Thrift { head, content, .. }) => head.capacity() + content.capacity(),
            Some(Purpose::Web(web)) => web.memory(),
            Some(Purpose::Announced(Some(body))) => body.memory(),
            _ => 0,
        };
        self.exchanges.memory() + self.directions.iter().map(of).sum::<usize>()
    }

    fn collect_bodies(&mut self, limit: usize) {
        self.bodies = u32::try_from(limit).ok().and_then(NonZeroU32::new);
    }

    fn mark_bodies(&mut self) {
        self.collect_bodies(1);
        self.marks = true;
    }

    fn head(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        if self.client == Some(at.side) {
            self.exchanges.expire(at.after(input.len()).offset);
        }
        if at.offset == 0 && self.answers(at.side) {
            let Self { watch, faults, .. } = self;
            match watch.first(at, input, faults, emit) {
                Some(Strange::Wait(need)) => return Step::Need(need),
                Some(Strange::Language | Strange::Bytes) => return self.pass_over(at, emit),
                None => {}
            }
        }
        let read = match self.direction(at.side).phase {
            Phase::Message => self.read_head(at, input, emit),
            Phase::Chunked(chunks) => self.read_chunk_line(chunks, at, input, emit),
            Phase::UntilClose | Phase::Tunnel => Ok(Step::Body(0, UNBOUNDED)),
        };
        read.unwrap_or_else(|error| self.skip(at, input, error, emit))
    }

    fn body(&mut self, at: At, bytes: &[u8], left: u64, emit: &mut Emit<'_>) {
        let end = at.after(bytes.len());
        if self.client == Some(at.side) {
            self.exchanges.expire(end.offset);
        }
        let marks = self.marks;
        match &mut self.direction(at.side).open {
            Some(Open { purpose: Purpose::Web(web), .. }) => web.body(at, bytes, marks, emit),
            Some(Open { purpose: Purpose::Announced(Some(body)), .. }) => {
                body.feed(bytes, &mut |_, _, _| {});
                self.mark(at, bytes, emit);
            }
            Some(Open { purpose: Purpose::Thrift { broken: false, .. }, .. }) => {
                self.keep_content(end, bytes, emit);
            }
            _ => self.mark(at, bytes, emit),
        }
        if left == 0 {
            self.finish_body(end, emit);
        }
    }

    fn body_lost(&mut self, at: At, missing: Option<u64>, left: u64, emit: &mut Emit<'_>) {
        if let Some(open) = &mut self.direction(at.side).open {
            open.truncated = true;
            match &mut open.purpose {
                Purpose::Thrift { broken, .. } => *broken = true,
                Purpose::Web(web) => web.skip(missing),
                Purpose::Announced(Some(body)) => body.skip(missing),
                Purpose::Pass | Purpose::Announced(None) => {}
            }
        }
        if left == 0 {
            self.finish_body(at, emit);
        }
    }

    fn cut(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Option<u64> {
        if self.direction(at.side).phase == Phase::Message {
            self.read_cut(at, input, emit);
        }
        // Where the body ends stands among the fields that are missing.
        None
    }

    fn gap(&mut self, at: At, _missing: Option<u64>, emit: &mut Emit<'_>) -> Gap {
        if self.direction(at.side).phase == Phase::Tunnel {
            return Gap::InStep;
        }
        self.watch.lose(at.side);
        self.lose(at, emit);
        self.exchanges.lose(at, self.client == Some(at.side.other()), emit);
        Gap::Lost
    }

    fn find(&mut self, _side: Side, input: &[u8], _end: bool) -> Found {
        head::find_head(input)
            .map_or_else(|| Found::NotBefore(input.len().saturating_sub(SEARCH_TAIL)), Found::At)
    }

    fn end(&mut self, at: At, carried: &[u8], emit: &mut Emit<'_>) {
        let between = self.direction(at.side).phase == Phase::Message;
        if between && !carried.is_empty() && self.answers(at.side) {
            let Self { watch, faults, .. } = self;
            watch.last(at, carried, faults, emit);
        }
        if self.direction(at.side).phase == Phase::UntilClose {
            self.finish(at, emit);
            return;
        }
        if let Some(open) = &mut self.direction(at.side).open {
            open.truncated = true;
        }
        self.emit_thrift(at, false, emit);
        self.finish_web(at, BodyEnd::Broken, emit);
        // A body that did not come to its end stays open: the connection's end is what decides its call.
        self.direction(at.side).open = None;
    }

    fn oldest(&self, at: At) -> u64 {
        let open = match &at.side.of(&self.directions).open {
            Some(Open { start, purpose: Purpose::Thrift { .. }, .. }) => Some(*start),
            Some(Open { start, purpose: Purpose::Web(web), .. }) => Some(web.oldest(*start)),
            _ => None,
        };
        let refused = match &at.side.other().of(&self.directions).open {
            Some(Open { purpose: Purpose::Web(web), .. }) => web.candidate_start(),
            _ => None,
        };
        let candidate = self.exchanges.oldest_candidate().filter(|_| self.client == Some(at.side));
        [open, candidate, refused]
            .into_iter()
            .flatten()
            .min()
            .map_or(at.offset, |oldest| oldest.min(at.offset))
    }

    fn client(&self) -> Option<Side> {
        self.client
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.faults.last()
    }
}
