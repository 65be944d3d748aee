//! Connect and its kin over HTTP/1.1: the events of a request and of an answer, as their bodies pass.

use super::body::Length;
use super::head::{self, Head, Start};
use super::session::{Placed, Purpose, place, whole_size};
use crate::bodies::StreamBodies;
use crate::event::{
    self, Answer, Begin, BodyPiece, CallId, Event, HalfClose, Names, Open, Part, Request, Status, Text,
    Transport,
};
use crate::protocol::Emit;
use crate::session::At;
use crate::web::{
    AnswerReader, BodyEnd, Claim, Claimed, Envelopes, Form, Opening, Requested, claim_of_type, split_target,
};

/// What the body of a message is read for.
#[derive(Debug)]
enum Reading {
    /// The messages of a request.
    Request(Envelopes),
    /// The outcome in an answer.
    Answer(AnswerReader),
    /// The same; the request was not emitted, because only this body can show that it was a call.
    Candidate(AnswerReader, Box<Candidate>),
    /// Nothing more.
    Done,
}

/// A request that may have been a call.
#[derive(Debug)]
struct Candidate {
    head: Vec<u8>,
    start: u64,
    bytes: u64,
}

/// A message whose body is read.
#[derive(Debug)]
pub(super) struct Web {
    claim: Claim,
    reading: Reading,
    /// Up to where bytes are in events already.
    counted: u64,
    /// The bodies of its messages, if they are wanted.
    bodies: Option<Box<StreamBodies>>,
}

impl Web {
    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        let reading = match &self.reading {
            Reading::Request(envelopes) => envelopes.memory(),
            Reading::Answer(reader) => reader.memory(),
            Reading::Candidate(reader, candidate) => reader.memory() + candidate.head.capacity(),
            Reading::Done => 0,
        };
        let bodies = self.bodies.as_ref().map_or(0, |bodies| bodies.memory());
        size_of::<Self>() + bodies + reading
    }
}

fn requested<'a>(head: &Head<'a>) -> Option<Requested<'a>> {
    let Start::Request { method, target } = head.start else { return None };
    Some(Requested { method, target, content_type: head.field("content-type").unwrap_or_default() })
}

/// Whether a request is a call of this family.
pub(super) fn claim(head: &Head<'_>) -> Claimed {
    requested(head).map_or(Claimed::No, |requested| crate::web::claim(requested, head))
}

/// The call to which an answer without a request belongs, if its content type shows it.
pub(super) fn claim_of_orphan(head: &Head<'_>) -> Option<Claim> {
    claim_of_type(head.field("content-type")?)
}

fn http_status(head: &Head<'_>) -> Option<u16> {
    match head.start {
        Start::Status { code } => Some(code),
        Start::Request { .. } => None,
    }
}

fn event_head(claim: &Claim) -> event::Head {
    let head = event::Head::new(claim.rpc, Transport::Http1, CallId::Order);
    event::Head { codec: claim.codec, ..head }
}

fn names<'a>(head: &Head<'a>) -> Names<'a> {
    let (service, method) = match head.start {
        Start::Request { target, .. } => split_target(target),
        Start::Status { .. } => (None, None),
    };
    Names { service: service.map(Text::Plain), method: method.map(Text::Plain), ..Names::default() }
}

/// The request of a unary call.
fn unary_request<'a>(head: &'a Head<'a>, claim: &Claim) -> Event<'a> {
    Event::Request(Request {
        head: event_head(claim),
        oneway: false,
        names: names(head),
        timeout: claim.timeout,
        traced: true,
        headers: Some(head),
    })
}

/// An answer with that status.
fn answer<'a>(claim: &Claim, status: Status<'a>, headers: event::Headers<'a>) -> Answer<'a> {
    Answer { headers, ..Answer::new(event_head(claim), status) }
}

impl Web {
    fn purpose(placed: &Placed<'_>, claim: Claim, reading: Reading, counted: u64) -> Purpose {
        let bodies = placed.bodies.map(|limit| Box::new(placed.collect(claim.form.shape(), limit)));
        Purpose::Web(Box::new(Self { claim, reading, counted, bodies }))
    }

    /// Emits a request whose head was read; says what its body is for.
    pub(super) fn request(placed: &Placed<'_>, claim: Claim, length: Length, emit: &mut Emit<'_>) -> Purpose {
        let Placed { head, at, .. } = *placed;
        if claim.form == Form::Unary {
            return placed.announce(&mut unary_request(head, &claim), length, emit);
        }
        let mut open = Event::Open(Open {
            head: event_head(&claim),
            unary: false,
            names: names(head),
            timeout: claim.timeout,
            unknown_name: None,
            traced: true,
            headers: Some(head),
        });
        place(&mut open, at.offset, head.len as u64, false, placed.cut);
        emit(at.side, &open);
        let reading = Reading::Request(Envelopes::new(claim.form));
        Self::purpose(placed, claim, reading, at.after(head.len).offset)
    }

    /// Takes the head of the answer to a call; says what its body is for.
    pub(super) fn answer(placed: &Placed<'_>, claim: Claim, length: Length, emit: &mut Emit<'_>) -> Purpose {
        let Placed { head, at, .. } = *placed;
        let reader = AnswerReader::new(claim, http_status(head), head, false);
        let after_head = at.after(head.len).offset;
        match reader.opening() {
            Opening::Open if reader.is_unary() => {
                Self::purpose(placed, claim, Reading::Answer(reader), after_head)
            }
            Opening::Good => {
                let verdict = reader.verdict(BodyEnd::Whole);
                placed.announce(
                    &mut Event::Answer(answer(&claim, verdict.status(), Some(head))),
                    length,
                    emit,
                )
            }
            Opening::Decided(verdict) => {
                // Whoever breaks the body off changes nothing any more.
                let bytes = whole_size(head, length).unwrap_or(head.len as u64);
                let mut event = Event::Answer(answer(&claim, verdict.status(), Some(head)));
                place(&mut event, at.offset, bytes, false, false);
                emit(at.side, &event);
                Purpose::Pass
            }
            Opening::Open => {
                let mut begin = Event::Begin(Begin {
                    head: event_head(&claim),
                    names: Names::default(),
                    http: http_status(head),
                    has_status: false,
                    headers: Some(head),
                });
                place(&mut begin, at.offset, head.len as u64, false, false);
                emit(at.side, &begin);
                Self::purpose(placed, claim, Reading::Answer(reader), after_head)
            }
        }
    }

    /// Takes the head of an answer to a request that is a call if this is an error of Connect. `None` if it can't be one.
    pub(super) fn candidate(head: &Head<'_>, asked: Vec<u8>, start: u64, bytes: u64) -> Option<Purpose> {
        let claim = match head::parse_head(&asked) {
            Ok(Some(asked)) => claim(&asked),
            _ => return None,
        };
        let Claimed::IfRefused(claim) = claim else { return None };
        let reader = AnswerReader::new(claim, http_status(head), head, false);
        let candidate = Box::new(Candidate { head: asked, start, bytes });
        if reader.opening() != Opening::Open {
            return None;
        }
        let reading = Reading::Candidate(reader, candidate);
        Some(Purpose::Web(Box::new(Self { claim, reading, counted: 0, bodies: None })))
    }

    /// Emits that `messages` ended in the bytes up to `end`.
    fn emit_part(&mut self, end: At, messages: u32, truncated: bool, emit: &mut Emit<'_>) {
        let bytes = end.offset.saturating_sub(self.counted);
        if bytes > 0 {
            self.emit_bodies(end, emit);
            let head = event::Head { start: self.counted, bytes, truncated, ..event_head(&self.claim) };
            emit(end.side, &Event::Part(Part::new(head, messages)));
            self.counted = end.offset;
        }
    }

    /// Emits the bodies of messages that are over.
    fn emit_bodies(&mut self, end: At, emit: &mut Emit<'_>) {
        if let Some(bodies) = &mut self.bodies {
            bodies.emit(end.side, CallId::Order, end.offset.saturating_sub(1), emit);
        }
    }

    /// Takes the next bytes of the body.
    pub(super) fn body(&mut self, at: At, bytes: &[u8], marks: bool, emit: &mut Emit<'_>) {
        // What went wrong with a unary call stands in the body of its answer.
        let marks = marks && !matches!(&self.reading, Reading::Answer(reader) if reader.is_unary());
        if let Some(kept) = &mut self.bodies {
            kept.feed(bytes, &mut |from, len, form| {
                let bytes = bytes.get(from..from + len).filter(|bytes| marks && !bytes.is_empty());
                if let Some(bytes) = bytes {
                    let piece = BodyPiece { at: at.after(from).offset, bytes, begins: true, form };
                    emit(at.side, &Event::BodyPiece(piece));
                }
            });
        }
        let messages = match &mut self.reading {
            Reading::Request(envelopes) => envelopes.feed(bytes),
            Reading::Answer(reader) if !reader.is_unary() => reader.feed(bytes),
            Reading::Answer(reader) | Reading::Candidate(reader, _) => {
                reader.feed(bytes);
                return;
            }
            Reading::Done => return,
        };
        if !bytes.is_empty() {
            self.emit_part(at.after(bytes.len()), messages, false, emit);
        }
    }

    /// The next `missing` bytes of the body are lost (`None`: an unknown number).
    pub(super) fn skip(&mut self, missing: Option<u64>) {
        if let Some(bodies) = &mut self.bodies {
            bodies.skip(missing);
        }
        match &mut self.reading {
            Reading::Request(envelopes) => envelopes.skip(missing),
            Reading::Answer(reader) | Reading::Candidate(reader, _) => reader.skip(missing),
            Reading::Done => {}
        }
    }

    /// Takes a line of the trailers that follow a chunked body.
    pub(super) fn trailer(&mut self, line: &[u8]) {
        if let Reading::Answer(reader) = &mut self.reading
            && let Some(colon) = memchr::memchr(b':', line)
        {
            let (name, value) = line.split_at(colon);
            reader.trailer(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        }
    }

    /// The first byte of the message, which began at `start`, that an event to come may speak of.
    pub(super) fn oldest(&self, start: u64) -> u64 {
        match &self.reading {
            Reading::Answer(reader) if reader.is_unary() => start,
            Reading::Candidate(..) => start,
            Reading::Request(_) | Reading::Answer(_) | Reading::Done => self.counted,
        }
    }

    /// Where the request began that an event to come may speak of.
    pub(super) fn candidate_start(&self) -> Option<u64> {
        match &self.reading {
            Reading::Candidate(_, candidate) => Some(candidate.start),
            _ => None,
        }
    }

    /// The body ends before `end`, in that way; its message began at `start`.
    pub(super) fn finish(&mut self, end: At, start: u64, truncated: bool, how: BodyEnd, emit: &mut Emit<'_>) {
        let bytes = end.offset - start;
        if let Some(bodies) = &mut self.bodies {
            bodies.finish(truncated || how != BodyEnd::Whole);
        }
        match std::mem::replace(&mut self.reading, Reading::Done) {
            Reading::Done => {}
            Reading::Request(_) => {
                self.emit_part(end, 0, truncated, emit);
                let start = end.offset.saturating_sub(1);
                let head = event::Head { start, truncated, ..event_head(&self.claim) };
                if how == BodyEnd::Whole {
                    emit(end.side, &Event::HalfClose(HalfClose { head, headers: None }));
                }
            }
            Reading::Answer(reader) if reader.is_unary() => {
                self.emit_bodies(end, emit);
                let verdict = reader.verdict(how);
                let mut event = Event::Answer(answer(&self.claim, verdict.status(), None));
                place(&mut event, start, bytes, false, truncated);
                emit(end.side, &event);
            }
            Reading::Answer(reader) => {
                // A stream that breaks off before it said how it went is decided by what broke it.
                if how == BodyEnd::Broken && !reader.is_over() {
                    return;
                }
                self.emit_part(end, 0, truncated, emit);
                let verdict = reader.verdict(how);
                let mut event = Event::Answer(answer(&self.claim, verdict.status(), None));
                place(&mut event, end.offset.saturating_sub(1), 0, false, truncated);
                emit(end.side, &event);
            }
            Reading::Candidate(reader, candidate) => {
                let Candidate { head, start: asked_at, bytes: asked_bytes } = *candidate;
                let Ok(Some(asked)) = head::parse_head(&head) else { return };
                if how != BodyEnd::Whole || !reader.is_certain() {
                    return;
                }
                let mut request = unary_request(&asked, &self.claim);
                place(&mut request, asked_at, asked_bytes, false, false);
                emit(end.side.other(), &request);
                let verdict = reader.verdict(how);
                let mut event = Event::Answer(answer(&self.claim, verdict.status(), None));
                place(&mut event, start, bytes, false, truncated);
                emit(end.side, &event);
            }
        }
    }
}
