//! The streams of a connection: which of them are gRPC calls, and what is emitted for them.
//!
//! | part | file |
//! | --- | --- |
//! | the state of one stream, with its diagram | `stream.rs` |
//! | stream numbers that may have been missed | `numbers.rs` |
//! | the streams that are followed, by number | `open.rs` |
//! | where frames stand in the bytes of their side | `positions.rs` |
//! | whether messages are JSON | `json.rs` |
//! | requests whose path is not known | `unknown_paths.rs` |
//! | whether header blocks can be among missing bytes | `loss_proof.rs` |
//! | DATA of which nothing shows who called | `unplaced.rs` |
//! | header blocks and the events made of them | `messages.rs` |
//! | streams of Connect, gRPC-Web and Triple | `web.rs` |
//! | what each frame does | here |
//!
//! A stream is a call once its request says so, or, where the request can't be read, once something else proves it. Until
//! then what is seen of it is pending.

mod json;
mod loss_proof;
mod messages;
mod numbers;
mod open;
mod positions;
mod stream;
mod unknown_paths;
mod unplaced;
mod web;

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::frame::{CANCEL, NO_ERROR};
use super::grpc::{self, Content, Scanner};
use super::hpack::List;
use super::known::Name;
use crate::event::{
    BodyForm, BodyPiece, CallId, Event, GrpcCode, GrpcStatus, HalfClose, Head, Names, Pairs, Part, Reset,
    Rpc, Side, Status,
};
use crate::protocol::Emit;
use crate::session::At;
use loss_proof::{Proof, Untracked};
use messages::{
    LastBlock, NO_STATUS, PendingGoaway, answer_of, codec_of, content_of, emit_begin, emit_part, head_of,
    http_status, quoted_by, status_of,
};
use numbers::Numbers;
use open::OpenStreams;
use positions::Position;
use stream::{Claim, Loss, Pending, Response, State, Stream, claim_of};
use unknown_paths::UnknownPaths;
use unplaced::Unplaced;

pub(super) use loss_proof::MissedBlocks;
pub(super) use messages::{HeaderBlock, Piece, Span};

/// The most streams followed at a time.
const STREAMS_LIMIT: usize = 16 * 1024;

/// How many streams may be looked at because bytes are missing, in addition to one for each byte that was seen since the last ones
/// were.
const GAP_STEPS: u64 = 256 * 1024;

/// How many streams stay when that is used up.
const NEWEST: usize = 64;

/// How many streams are evicted when there are more, the oldest first.
const EVICTED: usize = STREAMS_LIMIT / 16;

/// The most streams whose request is kept until it is known what they are.
const PENDING_LIMIT: usize = 1024;

/// The most memory that their headers may take together, in bytes: an index of one octet may stand for thousands.
const KEPT_LIMIT: usize = 1024 * 1024;

/// The most ranges of stream numbers remembered that may have been opened unseen.
const UNSEEN_LIMIT: usize = 64;

/// Of how many streams the layouts of the messages are looked at, from the first one that is seen; later of one in so many.
const LOOKED_AT_FIRST: u32 = 12;
const LOOKED_AT_LATER: u32 = 32;

/// How many bytes back the beginning of a message may lie when it is emitted.
pub(super) const HOLD_LIMIT: u64 = 64 * 1024;

/// What a connection carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Traffic {
    /// No call was seen yet.
    #[default]
    Unknown,
    /// Calls, none of them gRPC yet.
    Web,
    /// gRPC calls.
    Grpc,
}

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Who opens streams, once that is known.
    client: Option<Side>,
    traffic: Traffic,
    numbers: Numbers,
    untracked: Untracked,
    proof: Proof,
    goaways: SmallVec<[PendingGoaway; 2]>,
    open: OpenStreams,
    /// Those in [`State::Candidate`].
    candidates: BTreeSet<u32>,
    /// How many streams were looked at because bytes were missing, less one for each byte seen since.
    gap_steps: u64,
    /// Memory that they take, in bytes.
    kept: usize,
    unknown_paths: UnknownPaths,
    unplaced: Unplaced,
    positions: [Position; 2],
    /// How many streams were looked at for the layouts of their messages.
    looked_at: u32,
    /// Up to which size the bodies of messages are wanted, if they are.
    bodies: Option<usize>,
    /// Which bytes are those of bodies is reported, in place of the bodies.
    marks: bool,
}

impl Streams {
    /// Who the client is, once that is known.
    pub(super) fn client(&self) -> Option<Side> {
        self.client
    }

    /// Whether a stream with that number is being followed.
    pub(super) fn is_open(&self, id: u32) -> bool {
        self.open.get(id).is_some_and(|stream| !matches!(stream.state, State::Done))
    }

    /// Whether the stream is a gRPC call whose answer goes on with trailers, if with a header block.
    pub(super) fn awaits_trailers(&self, id: u32) -> bool {
        self.open.get(id).is_some_and(|stream| {
            let is_call = matches!(stream.state, State::Call | State::ProvenOrphan) && stream.web.is_none();
            is_call && stream.response == Response::Begun
        })
    }

    /// The connection's beginning was seen: `client` sent the preface.
    pub(super) fn begin(&mut self, client: Side) {
        self.client = Some(client);
        self.numbers.begin();
    }

    /// From here on, the bodies of messages up to this size are wanted.
    pub(super) fn collect_bodies(&mut self, limit: usize) {
        self.bodies = Some(limit);
    }

    /// From here on, which bytes may be replaced is reported.
    pub(super) fn mark_bodies(&mut self) {
        self.collect_bodies(0);
        self.marks = true;
    }

    /// Reports bytes of which nothing is read, if that is wanted.
    pub(super) fn mark_unread(&self, at: At, bytes: &[u8], emit: &mut Emit<'_>) {
        if self.marks && !bytes.is_empty() {
            let piece = BodyPiece { at: at.offset, bytes, begins: true, form: BodyForm::Unread };
            emit(at.side, &Event::BodyPiece(piece));
        }
    }

    /// Whether anything is pending.
    pub(super) fn has_pending(&self) -> bool {
        !self.candidates.is_empty() || !self.unplaced.is_empty()
    }

    /// Whether one more request can be kept until it is known what it is.
    fn can_keep(&self, list: List<'_>) -> bool {
        self.candidates.len() < PENDING_LIMIT && self.kept + list.memory() <= KEPT_LIMIT
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.open.memory()
    }

    /// Frees what no open stream needs.
    pub(super) fn shrink(&mut self) {
        self.open.shrink();
    }

    /// The first byte of `side` that is pending.
    pub(super) fn oldest_pending(&self, side: Side) -> Option<u64> {
        let pending = self.candidates.iter().filter_map(|id| match &self.open.get(*id)?.state {
            State::Candidate(pending) => pending.oldest(side),
            _ => None,
        });
        let unplaced = self.unplaced.oldest(side);
        pending.chain(unplaced).min().map(|start| self.clip(side, start))
    }

    /// Bytes of `side` are missing before `offset`, and frames may be among them: the end of every open stream, or the
    /// opening of new ones. Calls whose answer may be missing are reported at once.
    pub(super) fn gap(&mut self, side: Side, offset: u64, emit: &mut Emit<'_>) {
        self.gap_steps = self.gap_steps.saturating_sub(self.seen(side));
        self.lose_before(side, offset);
        let of_callee = self.client == Some(side.other());
        let of_client = self.client == Some(side);
        if !of_callee {
            self.numbers.lose();
        }
        for id in self.open.ids() {
            let Some(stream) = self.open.get_mut(id) else { continue };
            stream.skip(side, of_client, None);
            let before = stream.loss;
            stream.loss = before.max(if of_callee { Loss::Answer } else { Loss::Bytes });
            if before < Loss::Answer && of_callee && matches!(stream.state, State::Call) {
                let span = Span { side, start: offset, bytes: 0 };
                let head = head_of(stream.rpc(), id, span, true);
                emit(side, &Event::Part(Part { end_lost: true, ..Part::new(head, 0) }));
            }
        }
        self.gap_steps += self.open.len() as u64;
        if self.gap_steps > GAP_STEPS {
            self.thin_out(emit);
        }
    }

    /// Bytes are missing so often that looking at all streams each time would take too long: forgets all but the newest. What
    /// becomes of the others is not known.
    fn thin_out(&mut self, emit: &mut Emit<'_>) {
        let Some(count) = self.open.len().checked_sub(NEWEST) else { return };
        let callee = self.client.map_or(Side::B, Side::other);
        let start = self.clip(callee, self.last_frame(callee));
        for (id, stream) in self.evict(count) {
            if matches!(stream.state, State::Call) {
                let span = Span { side: callee, start, bytes: 0 };
                let head = head_of(stream.rpc(), id, span, true);
                emit(callee, &Event::Part(Part { end_lost: true, ..Part::new(head, 0) }));
            }
        }
    }

    /// The stream, made if its opening may have been missed.
    fn reach(&mut self, id: u32) -> Option<&mut Stream> {
        self.admit(id);
        self.open.get_mut(id)
    }

    /// Makes the stream if its opening may have been missed.
    fn admit(&mut self, id: u32) {
        if self.numbers.is_unseen(id) && !self.open.contains(id) {
            self.insert_orphan(id);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_orphan(&mut self, id: u32) {
        self.insert(id, Stream::orphan());
    }

    fn insert(&mut self, id: u32, mut stream: Stream) {
        stream.number = id;
        stream.looked_at = self.looked_at < LOOKED_AT_FIRST || (id / 2).is_multiple_of(LOOKED_AT_LATER);
        self.looked_at += u32::from(stream.looked_at);
        if let Some(limit) = self.bodies {
            stream.collect_bodies(limit);
        }
        if let State::Candidate(pending) = &stream.state {
            self.candidates.insert(id);
            self.kept += pending.memory();
        }
        if let Some(before) = self.open.insert(stream) {
            self.let_go(id, &before.state);
        }
        if self.open.len() > STREAMS_LIMIT {
            self.evict(EVICTED);
        }
    }

    /// A stream is no candidate any more, if it was one.
    fn let_go(&mut self, id: u32, state: &State) {
        if let State::Candidate(pending) = state
            && self.candidates.remove(&id)
        {
            self.kept -= pending.memory();
        }
    }

    /// Forgets that many streams, the oldest; says which.
    fn evict(&mut self, count: usize) -> Vec<(u32, Stream)> {
        let mut ids = self.open.ids();
        ids.truncate(count);
        self.untracked = Untracked::Streams;
        let mut evicted = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(stream) = self.open.remove(id) {
                self.let_go(id, &stream.state);
                evicted.push((id, stream));
            }
        }
        evicted
    }

    /// The stream is over. Where its opening was not seen it is remembered as such, so that what still comes of it is not
    /// taken for another.
    fn finish(&mut self, id: u32) {
        let Some(stream) = self.open.get_mut(id) else { return };
        if std::mem::take(&mut stream.suspect) {
            self.proof = Proof::Failed;
        }
        let state = std::mem::replace(&mut stream.state, State::Done);
        if let State::Candidate(_) = state {
            self.let_go(id, &state);
            self.untracked = Untracked::Streams;
        }
        if !self.numbers.is_unseen(id) {
            self.open.forget(id);
        }
    }

    /// Takes a header block of a stream.
    pub(super) fn block(&mut self, id: u32, block: HeaderBlock<'_>, emit: &mut Emit<'_>) {
        // Even numbers are pushed streams, which no RPC uses.
        if id.is_multiple_of(2) {
            self.untracked = Untracked::Streams;
            return;
        }
        let side = block.span.side;
        if self.client.is_none() {
            self.unplaced.clear();
            if block.list.is_of_request() {
                self.client = Some(side);
            } else if !block.list.is_empty() {
                // Every request has a method and scheme from the static table.
                self.client = Some(side.other());
            }
        }
        if self.client == Some(side) { self.request(id, block, emit) } else { self.answer(id, block, emit) }
    }

    fn request(&mut self, id: u32, block: HeaderBlock<'_>, emit: &mut Emit<'_>) {
        let HeaderBlock { span, end_stream, list, cut } = block;
        if !self.numbers.is_new(id) || !list.is_of_request() {
            // Trailers of a request, or one of which nothing could be read.
            if cut && self.numbers.is_new(id) {
                self.numbers.lose();
            }
            self.untracked = Untracked::Streams;
            if end_stream {
                self.half_close(id, span, emit);
            }
            return;
        }
        self.numbers.open(id);
        let content = content_of(list);
        let state = match claim_of(list, content, cut) {
            Claim::Call => State::Call,
            Claim::Unclear if self.can_keep(list) => {
                State::Candidate(Box::new(Pending::new(span, list.keep(), cut)))
            }
            Claim::Foreign if self.web_request(id, &block, emit) => return,
            Claim::Unclear | Claim::Foreign => {
                self.open.forget(id);
                self.untracked = Untracked::Streams;
                return;
            }
        };
        let loss = if cut { Loss::Bytes } else { Loss::Nothing };
        let is_call = matches!(state, State::Call);
        let typed = matches!(content, Some(Content::Grpc(_)));
        self.insert(id, Stream { typed, ..Stream::new(state, loss) });
        if self.bodies.is_some() {
            self.note_encoding(id, span.side, list);
        }
        if is_call {
            self.emit_request(id, span, list, codec_of(content), cut, emit);
        }
        if end_stream {
            self.half_close(id, span, emit);
        }
    }

    /// The client ends its side of the stream.
    fn half_close(&mut self, id: u32, span: Span, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get_mut(id) else { return };
        let span = Span { bytes: 0, ..span };
        stream.is_asked = true;
        match &mut stream.state {
            State::Call => {
                let head = head_of(stream.rpc(), id, span, stream.is_truncated());
                emit(span.side, &Event::HalfClose(HalfClose { head, headers: None }));
            }
            State::Candidate(pending) => pending.half_close = Some(span),
            State::Orphan | State::ProvenOrphan | State::Done => {}
        }
    }

    /// Something proves that a stream is of gRPC: emits what was pending of it.
    fn resolve(&mut self, id: u32, codec: Option<&'static str>, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get_mut(id) else { return };
        if matches!(stream.state, State::Orphan) {
            stream.state = State::ProvenOrphan;
            self.traffic = Traffic::Grpc;
        }
        if !matches!(stream.state, State::Candidate(_)) {
            return;
        }
        let state = std::mem::replace(&mut stream.state, State::Call);
        let (truncated, typed) = (stream.is_truncated(), stream.typed || stream.web.is_some());
        let (rpc, claim) = (stream.rpc(), stream.web.as_ref().map(|web| web.claim()));
        let (answer_lost, layouts) = (stream.loss == Loss::Answer, stream.layouts);
        let mut kept = stream.bodies.take();
        self.let_go(id, &state);
        let State::Candidate(pending) = state else { return };
        let client = self.client.unwrap_or(Side::A);
        let (span, request) = &pending.request;
        let list = request.list();
        let span = self.reachable(*span);
        if let Some(claim) = claim {
            self.emit_web_request(id, span, list, claim, pending.cut, emit);
        } else {
            let codec = codec_of(content_of(list)).or(codec);
            self.emit_request(id, span, list, codec, pending.cut, emit);
        }
        let mut emit_parts = |side: Side, emit: &mut Emit<'_>| {
            if let Some(bodies) = &mut kept {
                let at = side.of(&pending.parts).map_or(0, |(span, _)| self.reachable(span).start);
                side.of_mut(bodies).emit(side, CallId::Stream(i64::from(id)), at, emit);
            }
            if let Some((span, messages)) = *side.of(&pending.parts) {
                let layouts = *side.of(&layouts);
                emit_part(rpc, id, self.reachable(span), (messages, None), layouts, (truncated, false), emit);
            }
        };
        emit_parts(client, emit);
        if let Some(span) = pending.half_close {
            let head = head_of(rpc, id, self.reachable(span), truncated);
            emit(span.side, &Event::HalfClose(HalfClose { head, headers: None }));
        }
        if let Some((span, begin)) = &pending.begin {
            let (span, list) = (self.reachable(*span), begin.list());
            emit_begin(rpc, id, span, list, (content_of(list), http_status(list)), (truncated, typed), emit);
        }
        emit_parts(client.other(), emit);
        if let Some(stream) = self.open.get_mut(id) {
            stream.bodies = kept;
        }
        if answer_lost {
            let side = client.other();
            let span = Span { side, start: self.last_frame(side), bytes: 0 };
            let head = head_of(rpc, id, span, true);
            emit(side, &Event::Part(Part { end_lost: true, ..Part::new(head, 0) }));
        }
    }

    fn answer(&mut self, id: u32, block: HeaderBlock<'_>, emit: &mut Emit<'_>) {
        let HeaderBlock { span, end_stream, list, cut } = block;
        let http = http_status(list);
        let interim = http.is_some_and(|code| (100..200).contains(&code));
        self.admit(id);
        if self.bodies.is_some() {
            self.note_encoding(id, span.side, list);
        }
        let Some(stream) = self.open.get_mut(id) else { return };
        if matches!(stream.state, State::Done) {
            return;
        }
        if interim && !end_stream {
            return;
        }
        stream.http = stream.http.or(http);
        let content = content_of(list);
        let (is_web, is_call) = (stream.web.is_some(), matches!(stream.state, State::Call));
        if !is_web {
            stream.codec = stream.codec.or(codec_of(content));
        }
        let stream = if is_call && !is_web && content != Some(Content::Other) {
            stream
        } else {
            if is_web || (content == Some(Content::Other) && self.adopt(id, list)) {
                return self.web_answer(id, &block, emit);
            }
            if !is_call && !self.prove(id, &block, content, emit) {
                return;
            }
            let Some(stream) = self.open.get_mut(id) else { return };
            stream
        };
        if end_stream {
            let only = stream.response == Response::Awaited;
            return self.end(id, span, Some(LastBlock { list, cut, only, content, http }), emit);
        }
        if stream.response == Response::Begun {
            return;
        }
        stream.response = Response::Begun;
        let (truncated, typed) = (stream.is_truncated(), stream.typed);
        match &mut stream.state {
            State::Call => emit_begin(Rpc::Grpc, id, span, list, (content, http), (truncated, typed), emit),
            // Calls have no heads of that size. This one's end says whether it was a call.
            State::Candidate(_) if self.kept + list.memory() > KEPT_LIMIT => {}
            State::Candidate(pending) => {
                let before = pending.memory();
                pending.begin = Some((span, list.keep()));
                self.kept += pending.memory() - before;
            }
            // From here on all of the answer is seen.
            State::Orphan | State::ProvenOrphan => {
                *stream.scanner(span.side) = Scanner::START;
                if let Some(bodies) = &mut stream.bodies {
                    span.side.of_mut(bodies).find();
                }
            }
            State::Done => {}
        }
    }

    /// Learns from a block of the callee whether its stream is a call. `false` if the stream is none and was dropped.
    fn prove(
        &mut self,
        id: u32,
        block: &HeaderBlock<'_>,
        content: Option<Content>,
        emit: &mut Emit<'_>,
    ) -> bool {
        let list = block.list;
        let speaks_grpc = list.get(Name::GrpcStatus).is_some() || list.get(Name::BizStatus).is_some();
        if let Some(stream) = self.open.get_mut(id) {
            stream.typed |= matches!(content, Some(Content::Grpc(_)));
        }
        match content {
            Some(Content::Grpc(codec)) => self.resolve(id, codec, emit),
            _ if speaks_grpc => self.resolve(id, None, emit),
            Some(Content::Other) => {
                self.finish(id);
                return false;
            }
            // All of it can be read, and nothing of it is of gRPC.
            None if list.is_complete() && !block.cut => {
                self.finish(id);
                return false;
            }
            None => {}
        }
        true
    }

    /// The callee ended the stream, with a header block or with DATA.
    fn end(&mut self, id: u32, span: Span, block: Option<LastBlock<'_>>, emit: &mut Emit<'_>) {
        let is_grpc = self.traffic == Traffic::Grpc;
        let Some(stream) = self.open.get_mut(id) else { return };
        let stream = match stream.state {
            State::Done => return,
            State::Call | State::ProvenOrphan => stream,
            // On a connection that carries calls, a stream that could be one is one.
            State::Candidate(_) if is_grpc => {
                self.resolve(id, None, emit);
                let Some(stream) = self.open.get_mut(id) else { return };
                stream
            }
            // Answers of gRPC end with trailers.
            State::Orphan if is_grpc && block.is_some() => stream,
            State::Candidate(_) | State::Orphan => return self.finish(id),
        };
        stream.emit_bodies(id, span, true, emit);
        // Where the head of the answer is missing, what it said may be missing too.
        let no_status = if stream.typed && stream.response == Response::Begun {
            NO_STATUS
        } else {
            GrpcStatus { code: GrpcCode::Unknown, cut: true, ..NO_STATUS }
        };
        let status = block.map_or(no_status, |block| status_of(block.list, block.cut, block.only));
        let status = GrpcStatus { http: stream.http, ..status };
        // Nothing can have come before this block only if it is all of the answer.
        let alone = block.filter(|block| block.only && !block.cut && block.http.is_some());
        let quoted = alone.and_then(|block| quoted_by(block.list, status.code));
        let cut = block.is_some_and(|block| block.cut);
        let codec = block.and_then(|block| codec_of(block.content)).or(stream.codec);
        // The bytes of DATA that ends a stream were emitted as a part of it.
        let span = if block.is_some() { span } else { Span { bytes: 0, ..span } };
        let head = Head { codec, ..head_of(Rpc::Grpc, id, span, stream.is_truncated() || cut) };
        let headers = block.as_ref().map(|block| &block.list as &dyn Pairs);
        emit(span.side, &Event::Answer(answer_of(head, quoted, status, headers)));
        self.finish(id);
    }

    /// Takes bytes of a DATA frame; says how many messages ended in the frame so far.
    pub(super) fn data(&mut self, id: u32, piece: Piece<'_>, emit: &mut Emit<'_>) -> u32 {
        let Piece { side, begins, data, ends, mut messages, .. } = piece;
        let of_client = self.client == Some(side);
        let marks = self.marks;
        let stream = if begins.is_some() { self.reach(id) } else { self.open.get_mut(id) };
        let Some(stream) = stream else {
            self.mark_unread(At { side, offset: piece.at }, data, emit);
            return messages;
        };
        if stream.web.is_some() {
            return self.web_data(id, piece, emit);
        }
        side.of_mut(&mut stream.json).feed(data);
        if let Some(bodies) = &mut stream.bodies {
            let in_step = begins.is_some() && side.of(&stream.scanners).is_between()
                || marks && begins.is_some_and(|length| grpc::is_one_message(data, length as usize));
            let bodies = side.of_mut(bodies);
            if in_step {
                bodies.find();
            }
            bodies.feed(data, &mut |at, len, form| piece.mark(marks, (at, len), form, emit));
        } else {
            piece.mark(marks, (0, data.len()), BodyForm::Unread, emit);
        }
        if begins.is_some() && stream.awaits_first_message(side, of_client) {
            *side.of_mut(&mut stream.layouts) = grpc::layouts(data);
        }
        let scanner = stream.scanner(side);
        if let Some(length) = begins {
            scanner.begin_frame(length);
        }
        messages += scanner.feed(data);
        let scanner = *scanner;
        let Some((span, end_stream)) = ends else { return messages };
        let truncated = stream.is_truncated();
        match &mut stream.state {
            State::Done => return messages,
            State::Call => {
                stream.emit_bodies(id, span, false, emit);
                let codec = side.of(&stream.json).codec();
                let layouts = *side.of(&stream.layouts);
                let ends = end_stream && of_client;
                stream.is_asked |= ends;
                emit_part(Rpc::Grpc, id, span, (messages, codec), layouts, (truncated, ends), emit);
                if ends {
                    return messages;
                }
            }
            State::Candidate(_) | State::Orphan | State::ProvenOrphan => {
                if let State::Candidate(pending) = &mut stream.state {
                    pending.add(span, messages);
                }
                if scanner == Scanner::Foreign {
                    self.finish(id);
                    return messages;
                }
                // Whole messages that end with their frame: a length of four bytes is right by chance no more often than
                // an invented content type would be.
                if messages > 0 && scanner.is_between() {
                    self.resolve(id, None, emit);
                }
            }
        }
        if self.client.is_none() {
            self.unplaced.add(id, span, messages);
        }
        if end_stream && let Some(client) = self.client {
            if client == side { self.half_close(id, span, emit) } else { self.end(id, span, None, emit) }
        }
        messages
    }

    /// Bytes of a DATA frame are missing. `None`: it is not known how many of the data.
    pub(super) fn data_missing(&mut self, id: u32, side: Side, missing: Option<u64>) {
        let of_client = self.client == Some(side);
        if let Some(stream) = self.open.get_mut(id) {
            stream.loss = stream.loss.max(Loss::Bytes);
            stream.skip(side, of_client, missing);
        }
    }

    /// Takes an `RST_STREAM`.
    pub(super) fn reset(&mut self, id: u32, span: Span, code: u32, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get(id) else { return };
        let by_client = self.client == Some(span.side);
        if by_client {
            self.untracked = self.untracked.max(Untracked::Broken);
        }
        if stream.web.is_some() && self.web_is_over(id, span, emit) {
            return;
        }
        let Some(stream) = self.open.get(id) else { return };
        match stream.state {
            State::Done => return,
            State::Call | State::ProvenOrphan => {}
            State::Candidate(_) if self.traffic == Traffic::Grpc => self.resolve(id, None, emit),
            State::Orphan if self.traffic == Traffic::Grpc => {}
            State::Candidate(_) | State::Orphan => return self.finish(id),
        }
        if code == NO_ERROR && self.client.is_none() {
            // Either peer sends it when the answer is complete (RFC 9113, section 8.1): it says nothing of the outcome.
            return self.finish(id);
        }
        let Some(stream) = self.open.get(id) else { return };
        let server = span.side.other();
        // Of a stream that was opened before the capture, the answer may have come before it too.
        let opened_before = matches!(stream.state, State::Orphan | State::ProvenOrphan)
            && stream.response == Response::Awaited;
        let answer_missing = stream.loss == Loss::Answer || !self.in_step(server) || opened_before;
        // What the callee sent is none of gRPC's messages: gRPC-Web and Connect end their answers so, and whether well can't be read.
        let other_end =
            !stream.typed && stream.web.is_none() && *server.of(&stream.scanners) == Scanner::Foreign;
        // A client that has its answer ends a stream so (RFC 9113, section 8.1); gRPC's Java cancels it where the server did not wait for the
        // end of the request. The answer is what is missing.
        let has_answer = match code {
            NO_ERROR => answer_missing,
            CANCEL => stream.loss == Loss::Answer && !stream.is_asked,
            _ => false,
        };
        if other_end || (by_client && has_answer) {
            let span = Span { side: server, start: self.last_frame(server), bytes: 0 };
            let status = GrpcStatus { code: GrpcCode::Unknown, cut: true, ..NO_STATUS };
            let head = head_of(stream.rpc(), id, span, true);
            let mut answer = answer_of(head, None, status, None);
            if stream.web.is_some() {
                answer.status = Status::Missing;
            }
            emit(server, &Event::Answer(answer));
            return self.finish(id);
        }
        let reset = Reset {
            head: head_of(stream.rpc(), id, span, stream.is_truncated()),
            names: Names::default(),
            code: Some(i64::from(code)),
            message: None,
            cancel_path: None,
            headers: None,
        };
        emit(span.side, &Event::Reset(reset));
        self.finish(id);
    }

    /// Nothing more comes from `side`: requests that only an answer could have proved to be calls are emitted if others of
    /// the connection were calls.
    pub(super) fn close(&mut self, side: Side, emit: &mut Emit<'_>) {
        if self.client.is_none() {
            for (id, (span, messages)) in self.unplaced.take(side) {
                let head = head_of(Rpc::Grpc, id, self.reachable(span), false);
                emit(side, &Event::Part(Part { unplaced: true, ..Part::new(head, messages) }));
            }
        }
        if self.client == Some(side) || self.traffic != Traffic::Grpc {
            return;
        }
        let ids: Vec<u32> = self
            .candidates
            .iter()
            .copied()
            .filter(|id| self.open.get(*id).is_some_and(|s| s.web.is_none()))
            .collect();
        for id in ids {
            self.resolve(id, None, emit);
        }
    }
}
