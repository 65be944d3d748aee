//! The state of one connection: where each side stands in its messages, and which exchanges wait for their answer.

use std::collections::VecDeque;

use super::body::{self, Chunks, Length, Step};
use super::calls;
use super::head::{self, HEAD_LIMIT, Head, Start};
use crate::error::{Error, Layer};
use crate::message::{CallId, Kind, Message, Side, emit_message};
use crate::protocol::{Emit, Session};

/// The most bytes of a thrift body that are kept to read its outcome: an exception's text may be long.
const CONTENT_LIMIT: usize = 288 * 1024;

/// The most requests of a connection that wait for their answers (pipelining).
const EXCHANGE_LIMIT: usize = 1024;

/// How far a request that may turn out to be tRPC may lie back.
const CANDIDATE_SPAN: u64 = 1024 * 1024;

/// The largest head of such a request that is kept.
const CANDIDATE_LIMIT: usize = 8 * 1024;

/// Bytes kept while searching for the next head after a gap.
const SEARCH_TAIL: usize = 4 * 1024;

/// A request that waits for its answer.
#[derive(Debug)]
struct PendingCalls {
    /// HEAD and CONNECT change what the answer's head means.
    method: Method,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Head,
    Connect,
    Other,
}

impl Method {
    fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Head => b"HEAD",
            Self::Connect => b"CONNECT",
            Self::Other => b"",
        }
    }
}

/// What a request is.
#[derive(Debug)]
enum What {
    /// No call.
    Foreign,
    /// No call unless its answer has tRPC's headers: its head, where it began, its size as far as it is known.
    Candidate { head: Vec<u8>, start: u64, bytes: u64 },
    /// tRPC over HTTP, emitted.
    Trpc,
    /// Thrift over HTTP whose body is being read.
    ThriftComing,
    /// Thrift over HTTP, emitted.
    Thrift { oneway: bool },
    /// No request, but the place of nobody knows how many that are missing, or whose answers are. What is answered from
    /// here on can't be told by counting, until one request and one answer have come in turn. So many of both came since
    /// the last request that followed an answer. Of so many requests the answer was told as lost and may still come.
    Hole { requests: u32, answers: u32, owed: u32 },
}

impl What {
    /// The answer to it, which is lost, if it is a call that waits for one.
    fn lost(&self, start: u64) -> Option<Message<'static>> {
        match self {
            Self::Trpc => Some(calls::lost_answer("trpc-http", start)),
            Self::Thrift { oneway: false } => Some(calls::lost_answer("thrift", start)),
            _ => None,
        }
    }
}

/// Where a side stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A head comes.
    #[default]
    Head,
    /// So many bytes of a body come.
    Body(u64),
    /// A chunked body comes.
    Chunked(Chunks),
    /// A body up to the end of the connection.
    UntilClose,
    /// No HTTP any more.
    Tunnel,
    /// After lost bytes, a head is looked for.
    Lost,
}

/// A message whose body is passing.
#[derive(Debug)]
struct Open {
    start: u64,
    /// Its whole size, where the head tells.
    bytes: Option<u64>,
    part: Part,
    truncated: bool,
}

/// What is to be done with a body.
#[derive(Debug)]
enum Part {
    /// Nothing.
    Pass,
    /// Its message is emitted; its end is to be told.
    Announced,
    /// It is kept to be read as a thrift message. `orphan`: an answer whose request was not seen. `broken`: bytes of it
    /// are missing, so that what follows is not kept.
    Thrift { head: Vec<u8>, content: Vec<u8>, orphan: bool, broken: bool },
}

#[derive(Debug, Default)]
struct Lane {
    /// Bytes of a head or a chunk line that is not whole.
    carry: Vec<u8>,
    /// Stream offset of the next byte that is neither passed nor carried.
    offset: u64,
    place: Place,
    open: Option<Open>,
}

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    lanes: [Lane; 2],
    /// The side that sends requests, once a head was seen.
    client: Option<Side>,
    exchanges: VecDeque<PendingCalls>,
    trouble: Option<(Error, u64)>,
}

/// The whole size of a message, where its head tells.
fn whole_size(head: &Head<'_>, length: Length) -> Option<u64> {
    match length {
        Length::Known(body) => Some(head.len as u64 + body),
        Length::Chunked | Length::UntilClose => None,
        Length::Tunnel => Some(head.len as u64),
    }
}

/// Fills in where a message stands; what is to be done with its body follows from whether all of it is at hand.
fn announce(message: &mut Message<'_>, place: (u64, Option<u64>), available: usize) -> Part {
    let (start, bytes) = place;
    message.start = start;
    message.bytes = bytes.unwrap_or(0);
    message.more = bytes.is_none_or(|bytes| bytes > available as u64);
    if message.more { Part::Announced } else { Part::Pass }
}

fn keep(head: &[u8], orphan: bool) -> Part {
    Part::Thrift { head: head.to_vec(), content: Vec::new(), orphan, broken: false }
}

/// A head at its place.
struct Placed<'h> {
    head: &'h Head<'h>,
    /// Its bytes.
    sent: &'h [u8],
    /// Its stream offset.
    start: u64,
    /// Bytes of the message at hand, the head's own included.
    available: usize,
}

impl Connection {
    fn lane(&mut self, side: Side) -> &mut Lane {
        side.of_mut(&mut self.lanes)
    }

    fn complain(&mut self, error: Error) {
        let count = self.trouble.map_or(0, |(_, count)| count);
        self.trouble = Some((error, count + 1));
    }

    /// Reads as much of `input` as can be read; says how many bytes are done.
    fn read(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> usize {
        let mut done = 0;
        while let Some(rest) = input.get(done..).filter(|rest| !rest.is_empty()) {
            let passed = match self.lane(side).place {
                // An empty line between messages is skipped (RFC 9112, section 2.2).
                Place::Head if rest.starts_with(b"\r\n") => {
                    self.lane(side).offset += 2;
                    Ok(2)
                }
                Place::Head if rest == b"\r" => return done,
                Place::Head => match head::parse_head(rest) {
                    Ok(Some(head)) => {
                        let sent = rest.get(..head.len).unwrap_or_default();
                        self.take_head(side, &head, sent, rest.len(), emit).map(|()| head.len)
                    }
                    Ok(None) => return done,
                    Err(error) => Err(error),
                },
                Place::Body(left) => {
                    let here = left.min(rest.len() as u64) as usize;
                    self.lane(side).place = Place::Body(left - here as u64);
                    self.pass(side, rest.get(..here).unwrap_or_default(), true, emit);
                    if here as u64 == left {
                        self.finish(side, emit);
                    }
                    Ok(here)
                }
                Place::Chunked(chunks) => match body::step(chunks, rest) {
                    Ok(Step::More) => return done,
                    Ok(Step::Data(len, next) | Step::Line(len, next)) => {
                        self.lane(side).place = Place::Chunked(next);
                        let data = matches!(chunks, Chunks::Data(_));
                        self.pass(side, rest.get(..len).unwrap_or_default(), data, emit);
                        if next == Chunks::Done {
                            self.finish(side, emit);
                        }
                        Ok(len)
                    }
                    Err(error) => Err(error),
                },
                Place::UntilClose => {
                    self.pass(side, rest, true, emit);
                    Ok(rest.len())
                }
                Place::Tunnel => {
                    self.lane(side).offset += rest.len() as u64;
                    Ok(rest.len())
                }
                Place::Lost => {
                    let found = head::find_head(rest);
                    let lane = self.lane(side);
                    let drop = found.unwrap_or(rest.len().saturating_sub(SEARCH_TAIL));
                    lane.offset += drop as u64;
                    if found.is_none() {
                        return done + drop;
                    }
                    lane.place = Place::Head;
                    Ok(drop)
                }
            };
            done += match passed {
                Ok(passed) => passed,
                Err(error) => {
                    self.complain(error);
                    self.skip(side, emit);
                    self.lane(side).offset += 1;
                    1
                }
            };
        }
        done
    }

    /// Lets bytes of the current message pass; `data` says whether they are of its content.
    fn pass(&mut self, side: Side, bytes: &[u8], data: bool, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        lane.offset += bytes.len() as u64;
        if let Some(Open { part: Part::Thrift { content, broken: false, .. }, .. }) = &mut lane.open
            && data
        {
            let room = CONTENT_LIMIT.saturating_sub(content.len());
            content.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if content.len() == CONTENT_LIMIT {
                self.tell_thrift(side, true, emit);
            }
        }
    }

    /// Takes a head; `available` bytes of the message are at hand, the head's own included.
    fn take_head(
        &mut self,
        side: Side,
        head: &Head<'_>,
        sent: &[u8],
        available: usize,
        emit: &mut Emit<'_>,
    ) -> Result<(), Error> {
        let placed = Placed { head, sent, start: self.lane(side).offset, available };
        let (length, part) = match head.start {
            Start::Request { method, .. } => {
                let length = body::length(head, b"")?;
                self.client = Some(side);
                (length, self.take_request(side, &placed, method, length, emit))
            }
            Start::Status { code } => {
                self.client = Some(side.other());
                let interim = (100..200).contains(&code) && code != 101;
                // An answer that turns out to be unreadable leaves its exchange where it is, to be told as lost.
                let waiting = self.exchanges.front().filter(|_| !interim);
                let asked = waiting.map_or(Method::Other, |exchange| exchange.method);
                let length = body::length(head, asked.name())?;
                let part = if interim {
                    Part::Pass
                } else {
                    let what = self.answered(side, emit);
                    Self::take_answer(side, &placed, what, length, emit)
                };
                (length, part)
            }
        };
        if length == Length::Tunnel {
            self.lane(side.other()).place = Place::Tunnel;
        }
        let lane = self.lane(side);
        lane.offset += head.len as u64;
        lane.place = match length {
            Length::Known(body) => Place::Body(body),
            Length::Chunked => Place::Chunked(Chunks::Size),
            Length::UntilClose => Place::UntilClose,
            Length::Tunnel => Place::Tunnel,
        };
        lane.open =
            Some(Open { start: placed.start, bytes: whole_size(head, length), part, truncated: false });
        if length == Length::Known(0) {
            self.finish(side, emit);
        }
        Ok(())
    }

    /// Takes out what an answer of `side` is the answer to. `None` if that was not seen. Where it is not known which of them
    /// it is, all that wait are told as lost, and the answer is passed over.
    fn answered(&mut self, side: Side, emit: &mut Emit<'_>) -> Option<What> {
        if !matches!(self.exchanges.front(), Some(PendingCalls { what: What::Hole { .. }, .. })) {
            return self.exchanges.pop_front().map(|exchange| exchange.what);
        }
        let told = self.lose_answers(side, 1, emit);
        let Some(PendingCalls { what: What::Hole { answers, owed, .. }, .. }) = self.exchanges.front_mut()
        else {
            return None;
        };
        *answers = answers.saturating_add(1);
        *owed = owed.saturating_add(told);
        let of_told = *owed > 0;
        *owed = owed.saturating_sub(1);
        of_told.then_some(What::Foreign)
    }

    /// The answers of `side` to all requests that wait are lost, but for the first `kept`. Says of how many calls.
    fn lose_answers(&mut self, side: Side, kept: usize, emit: &mut Emit<'_>) -> u32 {
        let start = self.lane(side).offset;
        let mut at = 0;
        let mut told = 0;
        self.exchanges.retain(|exchange| {
            at += 1;
            // One that is not whole yet is not told yet.
            if at <= kept || matches!(exchange.what, What::ThriftComing) {
                return true;
            }
            if let Some(message) = exchange.what.lost(start) {
                emit_message(emit, side, message);
                told += 1;
            }
            false
        });
        told
    }

    /// A request comes: if one and one answer came in turn before it, the two sides are in step again.
    fn step(&mut self) {
        let alone = self.exchanges.len() == 1;
        let Some(PendingCalls { what: What::Hole { requests, answers, .. }, .. }) =
            self.exchanges.front_mut()
        else {
            return;
        };
        if alone && (*requests, *answers) == (1, 1) {
            self.exchanges.clear();
            return;
        }
        if *answers > 0 {
            (*requests, *answers) = (0, 0);
        }
        *requests = requests.saturating_add(1);
    }

    fn take_request(
        &mut self,
        side: Side,
        placed: &Placed<'_>,
        method: &[u8],
        length: Length,
        emit: &mut Emit<'_>,
    ) -> Part {
        let Placed { head, sent, start, available } = *placed;
        let bytes = whole_size(head, length);
        let (what, part) = if calls::is_trpc_request(head) {
            let mut message = calls::trpc_request(head);
            let part = announce(&mut message, (start, bytes), available);
            emit_message(emit, side, message);
            (What::Trpc, part)
        } else if calls::is_thrift(head) && method == b"POST" {
            (What::ThriftComing, keep(sent, false))
        } else if sent.len() <= CANDIDATE_LIMIT && matches!(method, b"GET" | b"POST") {
            (What::Candidate { head: sent.to_vec(), start, bytes: bytes.unwrap_or(0) }, Part::Pass)
        } else {
            (What::Foreign, Part::Pass)
        };
        if self.exchanges.len() == EXCHANGE_LIMIT {
            self.complain(Error::new(0, Layer::Frame, "too many requests without an answer"));
            self.exchanges.clear();
        }
        self.step();
        self.exchanges.push_back(PendingCalls { method: Method::of(method), what });
        part
    }

    fn take_answer(
        side: Side,
        placed: &Placed<'_>,
        what: Option<What>,
        length: Length,
        emit: &mut Emit<'_>,
    ) -> Part {
        let Placed { head, sent, start, available } = *placed;
        let place = (start, whole_size(head, length));
        let empty = length == Length::Known(0);
        let trpc = |emit: &mut Emit<'_>| {
            let mut message = calls::trpc_answer(head, !empty);
            let part = announce(&mut message, place, available);
            emit_message(emit, side, message);
            part
        };
        match what {
            Some(What::Trpc) => trpc(emit),
            Some(What::Candidate { head: asked, start, bytes }) if calls::is_trpc_error(head) => {
                if let Ok(Some(asked)) = head::parse_head(&asked) {
                    emit_message(emit, side.other(), Message { start, bytes, ..calls::trpc_request(&asked) });
                }
                trpc(emit)
            }
            None if calls::is_trpc_error(head) => trpc(emit),
            None if calls::is_thrift(head) => keep(sent, true),
            // The answer to a one-way call says nothing: it is there because HTTP wants one.
            Some(What::Thrift { oneway: true }) if empty && calls::is_success(head) => Part::Pass,
            Some(What::ThriftComing | What::Thrift { .. }) if calls::is_thrift(head) && !empty => {
                keep(sent, false)
            }
            Some(What::ThriftComing | What::Thrift { .. }) => {
                let mut message = calls::thrift_status(head, false);
                let part = announce(&mut message, place, available);
                emit_message(emit, side, message);
                part
            }
            Some(What::Foreign | What::Candidate { .. } | What::Hole { .. }) | None => Part::Pass,
        }
    }

    /// Reads the thrift message that was kept of `side` and emits what it says; `more` if its body goes on.
    fn tell_thrift(&mut self, side: Side, more: bool, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        let end = lane.offset;
        let Some(open) = &mut lane.open else { return };
        let after = if more { Part::Announced } else { Part::Pass };
        let (head, content, orphan, broken) = match std::mem::replace(&mut open.part, after) {
            Part::Thrift { head, content, orphan, broken } => (head, content, orphan, broken),
            other => {
                open.part = other;
                return;
            }
        };
        let Ok(Some(head)) = head::parse_head(&head) else { return };
        let truncated = open.truncated || broken;
        let whole = if more || truncated { 0 } else { end - open.start };
        let (start, bytes) = (open.start, open.bytes.unwrap_or(whole));
        let told = calls::thrift_message(&head, &content);
        let told = match head.start {
            Start::Request { .. } => {
                let what = match &told {
                    Some(message) => What::Thrift { oneway: message.kind == Kind::Oneway },
                    None => What::Foreign,
                };
                if let Some(exchange) = self.exchanges.back_mut()
                    && matches!(exchange.what, What::ThriftComing)
                {
                    exchange.what = what;
                }
                told
            }
            Start::Status { .. } if orphan => told,
            Start::Status { .. } => told.or_else(|| Some(calls::thrift_status(&head, true))),
        };
        match told {
            Some(message) => emit_message(emit, side, Message { start, bytes, more, truncated, ..message }),
            None => {
                if let Some(open) = &mut self.lane(side).open {
                    open.part = Part::Pass;
                }
            }
        }
    }

    /// The message of `side` is over: tells what was waiting for that.
    fn finish(&mut self, side: Side, emit: &mut Emit<'_>) {
        self.tell_thrift(side, false, emit);
        let client = self.client == Some(side);
        let lane = self.lane(side);
        if lane.place != Place::Tunnel {
            lane.place = Place::Head;
        }
        let offset = lane.offset;
        let Some(open) = lane.open.take() else { return };
        let bytes = open.bytes.unwrap_or(offset - open.start);
        if matches!(open.part, Part::Announced) {
            emit_message(
                emit,
                side,
                Message {
                    kind: Kind::Complete,
                    id: CallId::Order,
                    start: offset.saturating_sub(1),
                    bytes,
                    truncated: open.truncated,
                    ..Message::default()
                },
            );
        }
        if client
            && let Some(PendingCalls { what: What::Candidate { start, bytes: size, .. }, .. }) =
                self.exchanges.back_mut()
            && *start == open.start
        {
            *size = bytes;
        }
    }

    /// The place of `side` in its messages is not known any more.
    fn lose_place(&mut self, side: Side, emit: &mut Emit<'_>) {
        if let Some(open) = &mut self.lane(side).open {
            open.truncated = true;
        }
        self.finish(side, emit);
        self.lane(side).place = Place::Lost;
    }

    /// What `side` sends can't be read. If an answer was due, this was it.
    fn skip(&mut self, side: Side, emit: &mut Emit<'_>) {
        let was_lost = self.lane(side).place == Place::Lost;
        self.lose_place(side, emit);
        if was_lost || self.client != Some(side.other()) {
            return;
        }
        if let Some(PendingCalls { what: What::Hole { .. }, .. }) = self.exchanges.front() {
            return;
        }
        let waiting = self.exchanges.pop_front();
        if let Some(message) = waiting.and_then(|waiting| waiting.what.lost(self.lane(side).offset)) {
            emit_message(emit, side, message);
        }
    }

    /// Bytes of `side` are missing, and nobody knows how many requests or answers stood in them.
    fn lose(&mut self, side: Side, emit: &mut Emit<'_>) {
        self.lose_place(side, emit);
        let hole = self.exchanges.iter().position(|exchange| matches!(exchange.what, What::Hole { .. }));
        let before = hole.and_then(|at| self.exchanges.remove(at)).map(|hole| hole.what);
        let mut owed = if let Some(What::Hole { owed, .. }) = before { owed } else { 0 };
        // Requests that came before those that are missing are answered before them.
        let mut at = hole.unwrap_or(self.exchanges.len());
        if self.client == Some(side.other()) {
            owed = owed.saturating_add(self.lose_answers(side, 0, emit));
            at = 0;
        }
        let what = What::Hole { requests: 0, answers: 0, owed };
        self.exchanges.insert(at, PendingCalls { method: Method::Other, what });
    }
}

impl Session for Connection {
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        if lane.carry.is_empty() {
            let done = self.read(side, bytes, emit);
            if let Some(rest) = bytes.get(done..) {
                self.lane(side).carry.extend_from_slice(rest);
            }
        } else {
            lane.carry.extend_from_slice(bytes);
            // Heads and chunk lines are worth another look only after a line end.
            let line = lane.place == Place::Lost || memchr::memchr(b'\n', bytes).is_some();
            if line || lane.carry.len() > HEAD_LIMIT {
                let mut carry = std::mem::take(&mut lane.carry);
                let done = self.read(side, &carry, emit);
                carry.drain(..done.min(carry.len()));
                self.lane(side).carry = carry;
            }
        }
        let lane = self.lane(side);
        let now = lane.offset + lane.carry.len() as u64;
        if self.client == Some(side) {
            for exchange in &mut self.exchanges {
                if matches!(exchange.what, What::Candidate { start, .. } if now - start > CANDIDATE_SPAN) {
                    exchange.what = What::Foreign;
                }
            }
        }
    }

    fn gap(&mut self, side: Side, missing: Option<u64>, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        let within = match lane.place {
            Place::Body(left) | Place::Chunked(Chunks::Data(left)) => missing.is_some_and(|n| n <= left),
            Place::UntilClose | Place::Tunnel => true,
            Place::Head | Place::Chunked(_) | Place::Lost => false,
        };
        let bytes = missing.unwrap_or(0);
        lane.offset += bytes;
        if within {
            if let Some(open) = &mut lane.open {
                open.truncated = true;
                if let Part::Thrift { broken, .. } = &mut open.part {
                    *broken = true;
                }
            }
            match &mut lane.place {
                Place::Chunked(Chunks::Data(left)) if *left == bytes => {
                    lane.place = Place::Chunked(Chunks::DataEnd);
                }
                Place::Body(left) | Place::Chunked(Chunks::Data(left)) => *left -= bytes,
                _ => {}
            }
            if lane.place == Place::Body(0) {
                self.finish(side, emit);
            }
            return;
        }
        lane.offset += lane.carry.len() as u64;
        lane.carry.clear();
        self.lose(side, emit);
    }

    fn end(&mut self, side: Side, emit: &mut Emit<'_>) {
        let lane = self.lane(side);
        if lane.place == Place::UntilClose {
            self.finish(side, emit);
            return;
        }
        if let Some(open) = &mut lane.open {
            open.truncated = true;
        }
        self.tell_thrift(side, false, emit);
        // A body that did not come to its end stays open: the connection's end is what decides its call.
        self.lane(side).open = None;
    }

    fn held(&self, side: Side) -> usize {
        let lane = side.of(&self.lanes);
        let now = lane.offset + lane.carry.len() as u64;
        let mut oldest = lane.offset;
        if let Some(Open { start, part: Part::Thrift { .. }, .. }) = &lane.open {
            oldest = oldest.min(*start);
        }
        if self.client == Some(side) {
            let candidate = self.exchanges.iter().find_map(|exchange| match exchange.what {
                What::Candidate { start, .. } => Some(start),
                _ => None,
            });
            oldest = candidate.map_or(oldest, |start| oldest.min(start));
        }
        (now - oldest) as usize
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.trouble
    }
}
