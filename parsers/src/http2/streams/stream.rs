//! One stream, as far as it is known.
//!
//! ```text
//!  request with a content type of gRPC
//! ─────────────────────────────────────────────────▶ Call ────┐
//!                                                     ▲       │  the callee's END_STREAM,
//!  request that can't be read                   proof │       │  RST_STREAM of either side
//! ──────────────────────────────────▶ Candidate ──────┘       ├─────────────────────────▶ Done
//!                                         └─ no gRPC ─────────┤
//!  DATA or a block of the callee, but no request              │
//! ──────────────────────────────────▶ Orphan ─────────────────┤
//!                                         │ proof             │
//!                                         ▼                   │
//!                                     ProvenOrphan ───────────┘
//! ```
//!
//! Proof is the answer's content type or status, or DATA that consists of gRPC messages. A stream that is done is forgotten,
//! unless its opening may not have been seen: then what still comes on it would be taken for another one.

use super::super::grpc::{Content, Scanner};
use super::super::hpack::{self, Fields, List};
use super::super::known::Name;
use super::json::JsonSign;
use super::messages::Span;
use super::web::WebStream;
use crate::bodies::{Shape, StreamBodies};
use crate::event::{CallId, Rpc, Side};
use crate::layout::Layout;
use crate::protocol::Emit;

/// What a stream is.
#[derive(Debug)]
pub(super) enum State {
    /// A call whose request was emitted.
    Call,
    /// The request was seen and may be one of gRPC.
    Candidate(Box<Pending>),
    /// The request was not captured.
    Orphan,
    /// The same, and something proves that it is of gRPC.
    ProvenOrphan,
    /// Over, or none of ours.
    Done,
}

/// How far the callee's answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// No header block of it was seen, but for interim ones.
    Awaited,
    /// Its first header block was seen.
    Begun,
}

/// What may be missing of a stream. Each has all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// Nothing.
    Nothing,
    /// Bytes that belong to it.
    Bytes,
    /// The end of its answer.
    Answer,
}

/// What was seen of a stream that may turn out to be a call.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: (Span, Fields),
    /// The request's end is missing.
    pub(super) cut: bool,
    pub(super) half_close: Option<Span>,
    pub(super) begin: Option<(Span, Fields)>,
    /// DATA of each side, with the messages in it.
    pub(super) parts: [Option<(Span, u32)>; 2],
}

impl Pending {
    pub(super) fn new(span: Span, request: Fields, cut: bool) -> Self {
        Self { request: (span, request), cut, half_close: None, begin: None, parts: [None, None] }
    }

    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        let begin = self.begin.as_ref().map_or(0, |(_, fields)| fields.memory());
        size_of::<Self>() + self.request.1.memory() + begin
    }

    /// Adds a DATA frame in which that many messages ended.
    pub(super) fn add(&mut self, span: Span, messages: u32) {
        let part = span.side.of_mut(&mut self.parts);
        let (whole, before) = part.get_or_insert((Span { bytes: 0, ..span }, 0));
        whole.bytes += span.bytes;
        *before = before.saturating_add(messages);
    }

    /// The first byte of `side` in it.
    pub(super) fn oldest(&self, side: Side) -> Option<u64> {
        let spans = [
            Some(&self.request.0),
            self.half_close.as_ref(),
            self.begin.as_ref().map(|(span, _)| span),
            side.of(&self.parts).as_ref().map(|(span, _)| span),
        ];
        spans.into_iter().flatten().filter(|span| span.side == side).map(|span| span.start).min()
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    /// Its number, once it is followed.
    pub(super) number: u32,
    pub(super) state: State,
    pub(super) response: Response,
    pub(super) loss: Loss,
    /// The client has ended its side.
    pub(super) is_asked: bool,
    /// A header block of its answer may be among missing bytes (`loss_proof.rs`).
    pub(super) suspect: bool,
    /// A content type says that it is of gRPC. Messages and a status alone may be of gRPC-Web or Connect too.
    pub(super) typed: bool,
    /// The answer's HTTP status.
    pub(super) http: Option<u16>,
    /// The codec that the answer's first header block names.
    pub(super) codec: Option<&'static str>,
    pub(super) scanners: [Scanner; 2],
    /// Whether the messages of each side are JSON.
    pub(super) json: [JsonSign; 2],
    /// Whether the layouts of its messages are looked at.
    pub(super) looked_at: bool,
    /// What the first message of each side and its first field with a length are made of, where that was looked at.
    pub(super) layouts: [[Layout; 2]; 2],
    /// What is known of it if it is of Connect or its kin.
    pub(super) web: Option<Box<WebStream>>,
    /// The bodies of the messages of each side, if they are wanted.
    pub(super) bodies: Option<Box<[StreamBodies; 2]>>,
}

impl Stream {
    /// A stream whose request was seen.
    pub(super) fn new(state: State, loss: Loss) -> Self {
        let response = Response::Awaited;
        Self {
            number: 0,
            state,
            response,
            loss,
            is_asked: false,
            suspect: false,
            typed: false,
            http: None,
            codec: None,
            scanners: [Scanner::START; 2],
            json: [JsonSign::default(); 2],
            looked_at: false,
            layouts: [[Layout::default(); 2]; 2],
            web: None,
            bodies: None,
        }
    }

    /// A stream whose request was not seen.
    pub(super) fn orphan() -> Self {
        Self {
            scanners: [Scanner::Lost; 2],
            json: [JsonSign::LOST; 2],
            ..Self::new(State::Orphan, Loss::Bytes)
        }
    }

    /// Bytes of `side`, which is the client if `of_client`, are missing (`None`: an unknown number).
    pub(super) fn skip(&mut self, side: Side, of_client: bool, missing: Option<u64>) {
        self.scanner(side).skip(missing);
        side.of_mut(&mut self.json).skip();
        if let Some(bodies) = &mut self.bodies {
            side.of_mut(bodies).skip(missing);
        }
        if let Some(web) = &mut self.web {
            web.skip(of_client, missing);
        }
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        let pending = if let State::Candidate(pending) = &self.state { pending.memory() } else { 0 };
        let bodies = self.bodies.iter().flat_map(|bodies| bodies.iter()).map(StreamBodies::memory);
        pending + bodies.sum::<usize>() + self.web.as_ref().map_or(0, |web| web.memory())
    }

    /// From here on, the bodies of its messages up to this size are wanted.
    pub(super) fn collect_bodies(&mut self, limit: usize) {
        let shape = self.web.as_ref().map_or(Shape::Prefixed(0), |web| web.claim().form.shape());
        let lost = matches!(self.state, State::Orphan);
        self.bodies = Some(Box::new([Side::A, Side::B].map(|_| StreamBodies::new(shape, limit, lost))));
    }

    /// Emits the bodies of the messages of a side that are over; `span` is that of the event with which they go. `ends`: the side
    /// sends nothing more.
    pub(super) fn emit_bodies(&mut self, id: u32, span: Span, ends: bool, emit: &mut Emit<'_>) {
        let cut = self.is_truncated();
        if let Some(bodies) = &mut self.bodies {
            let bodies = span.side.of_mut(bodies);
            if ends {
                bodies.finish(cut);
            }
            bodies.emit(span.side, CallId::Stream(i64::from(id)), span.start, emit);
        }
    }

    /// The protocol of its call.
    pub(super) fn rpc(&self) -> Rpc {
        self.web.as_ref().map_or(Rpc::Grpc, |web| web.rpc())
    }

    /// Whether a message of `side` begins with the next bytes of DATA, and none did before.
    pub(super) fn awaits_first_message(&self, side: Side, of_client: bool) -> bool {
        if !self.looked_at {
            return false;
        }
        let begins = match side.of(&self.scanners) {
            scanner if scanner.is_between() => true,
            // The head of the answer was seen.
            Scanner::Lost => !of_client && self.response == Response::Begun && !self.suspect,
            _ => false,
        };
        begins && side.of(&self.layouts) == &[Layout::default(); 2]
    }

    pub(super) fn scanner(&mut self, side: Side) -> &mut Scanner {
        side.of_mut(&mut self.scanners)
    }

    /// Whether bytes of it may be missing.
    pub(super) fn is_truncated(&self) -> bool {
        self.loss > Loss::Nothing
    }
}

/// What a request says about its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is a call.
    Call,
    /// It may be one.
    Unclear,
    /// It is none.
    Foreign,
}

/// What a request says about its stream, given its content type. `cut`: its end is missing.
pub(super) fn claim_of(list: List<'_>, content: Option<Content>, cut: bool) -> Claim {
    let is_post = || list.is_fixed(Name::Method, hpack::POST);
    if !is_post() && list.get(Name::Method).is_some_and(|method| method != b"POST") {
        return Claim::Foreign;
    }
    let of_grpc = [Name::GrpcTimeout, Name::GrpcEncoding, Name::GrpcAcceptEncoding];
    match content {
        Some(Content::Grpc(_)) => Claim::Call,
        Some(Content::Other) => Claim::Foreign,
        None if of_grpc.iter().any(|name| list.has(*name)) => Claim::Call,
        None if list.is_complete() && !cut => Claim::Foreign,
        None => Claim::Unclear,
    }
}
