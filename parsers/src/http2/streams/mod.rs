//! The streams of a connection: which of them are gRPC calls, and what is said of them.
//!
//! A stream is a call once its request says so, or, where the request can't be read, once something else proves it: the
//! answer's content type or status, or DATA that consists of gRPC messages. Until then what is seen of it waits here.

mod account;
mod stream;
mod told;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::grpc::{self, Content, Scanner};
use super::hpack::{EntryId, List};
use super::name::Name;
use crate::message::{GrpcStatus, Kind, Message, Reset, Side, Status, emit_message};
use crate::protocol::Emit;
use stream::{Claim, Stream, claim_of};
use told::{Goaway, blank, codec_of, emit_begin, http_status, quoted_by, status_of};

pub(super) use account::Account;
pub(super) use told::{Block, Place};

/// The most streams followed at a time; the oldest goes first.
const STREAMS_LIMIT: usize = 16 * 1024;

/// The most streams of which the request is kept until it is known what they are.
const WAITING_LIMIT: usize = 1024;

/// The most unknown paths that are told apart.
const GROUPS_LIMIT: usize = 4096;

/// The most ranges of stream numbers remembered that may have been opened unseen.
const UNSEEN_LIMIT: usize = 64;

/// How many bytes back the beginning of a message may lie when it is emitted.
pub(super) const HOLD_LIMIT: u64 = 64 * 1024;

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    client: Option<Side>,
    /// The client's first stream can't be missed: its preface was seen.
    from_start: bool,
    /// The highest stream that the client opened.
    last: u32,
    /// Streams above `last` may have been opened in bytes that are missing.
    gap_after_last: bool,
    unseen: Vec<(u32, u32)>,
    /// A call was seen on this connection.
    grpc: bool,
    /// Streams passed of which nothing is known here: they were no calls.
    foreign: bool,
    /// The client has broken streams off: whether the callee had more to say on them is not known.
    abandoned: bool,
    /// A suspect stream is over and never showed that nothing of it is missing.
    unaccounted: bool,
    goaways: SmallVec<[Goaway; 2]>,
    open: BTreeMap<u32, Stream>,
    /// Those whose request waits.
    waiting: BTreeSet<u32>,
    groups: HashMap<SmallVec<[EntryId; 4]>, u64>,
    /// `destination-method` does not name the method of the path on this connection.
    other_names: bool,
    /// By side: nothing emitted may begin before it, because bytes before it are missing.
    floor: [u64; 2],
    /// By side: where its current frame begins.
    now: [u64; 2],
    /// By side: its frames are seen. Not before its first one, and not while they are being looked for.
    in_step: [bool; 2],
}

impl Streams {
    /// Whether the peers' roles are known, and who the client is.
    pub(super) fn client(&self) -> Option<Side> {
        self.client
    }

    /// Whether a stream with that number is being followed.
    pub(super) fn is_open(&self, id: u32) -> bool {
        self.open.get(&id).is_some_and(|stream| stream.claim != Claim::Done)
    }

    /// The connection's beginning was seen: `client` sent the preface.
    pub(super) fn begin(&mut self, client: Side) {
        self.client = Some(client);
        self.from_start = true;
    }

    /// The current frame of `side` begins at `offset`.
    pub(super) fn advance(&mut self, side: Side, offset: u64) {
        if let Some(now) = self.now.get_mut(side.index()) {
            *now = offset;
        }
    }

    /// The first byte of `side` that something which was not emitted yet speaks of.
    pub(super) fn waits_from(&self, side: Side) -> Option<u64> {
        let starts = self.waiting.iter().filter_map(|id| self.open.get(id)?.waiting.as_ref()?.from(side));
        starts.min().map(|start| self.clip(side, start))
    }

    /// Where `side` stands.
    fn here(&self, side: Side) -> u64 {
        self.now.get(side.index()).copied().unwrap_or_default()
    }

    /// `start`, or the first byte after it that is still within reach.
    pub(super) fn clip(&self, side: Side, start: u64) -> u64 {
        let floor = self.floor.get(side.index()).copied().unwrap_or_default();
        start.max(floor).max(self.here(side).saturating_sub(HOLD_LIMIT))
    }

    /// Bytes of `side` are missing before `offset`, and frames may be among them: the end of every open stream, or the
    /// opening of new ones. Calls whose answer may be missing are told so at once.
    pub(super) fn gap(&mut self, side: Side, offset: u64, emit: &mut Emit<'_>) {
        self.raise_floor(side, offset);
        if self.client != Some(side.other()) {
            self.gap_after_last = true;
        }
        for (id, stream) in &mut self.open {
            stream.truncated = true;
            stream.scanner(side).skip(None);
            if self.client != Some(side.other()) || stream.answer_lost {
                continue;
            }
            stream.answer_lost = true;
            if stream.claim == Claim::Call {
                let place = Place { side, start: offset, bytes: 0 };
                let status = Status { cut: true, ..Status::default() };
                emit_message(emit, side, Message { status, ..blank(Kind::Part, *id, place, true) });
            }
        }
    }

    /// Bytes of `side` are missing before `offset`, all of them within one frame.
    pub(super) fn raise_floor(&mut self, side: Side, offset: u64) {
        if let Some(floor) = self.floor.get_mut(side.index()) {
            *floor = offset;
        }
    }

    /// Frames of `side` are seen from here on, or not seen any more.
    pub(super) fn set_in_step(&mut self, side: Side, in_step: bool) {
        if let Some(state) = self.in_step.get_mut(side.index()) {
            *state = in_step;
        }
    }

    /// Whether the stream may have been opened without being seen.
    fn is_unseen(&self, id: u32) -> bool {
        (self.last == 0 && !self.from_start)
            || (id > self.last && self.gap_after_last)
            || self.unseen.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// The stream, made if its opening may have been missed.
    fn reach(&mut self, id: u32) -> Option<&mut Stream> {
        if !self.open.contains_key(&id) {
            if !self.is_unseen(id) {
                return None;
            }
            self.insert(id, Stream::new(Claim::Orphan, Scanner::Lost));
        }
        self.open.get_mut(&id)
    }

    fn insert(&mut self, id: u32, stream: Stream) {
        if stream.claim == Claim::Maybe {
            self.waiting.insert(id);
        }
        self.open.insert(id, stream);
        while self.open.len() > STREAMS_LIMIT {
            let Some((id, _)) = self.open.pop_first() else { break };
            self.foreign = true;
            self.waiting.remove(&id);
        }
    }

    /// The stream is over. Where its opening was not seen it is remembered as such, so that what still comes of it is not
    /// taken for another.
    fn finish(&mut self, id: u32) {
        let unseen = self.is_unseen(id);
        if let Some(stream) = self.open.get_mut(&id) {
            self.waiting.remove(&id);
            self.foreign |= stream.claim == Claim::Maybe;
            self.unaccounted |= stream.suspect;
            stream.suspect = false;
            stream.claim = Claim::Done;
            stream.waiting = None;
            if !unseen {
                self.open.remove(&id);
            }
        }
    }

    /// Takes a header block of a stream.
    pub(super) fn block(&mut self, id: u32, block: Block<'_>, emit: &mut Emit<'_>) {
        // Even numbers are pushed streams, which no RPC uses.
        if id.is_multiple_of(2) {
            self.foreign = true;
            return;
        }
        let side = block.place.side;
        if self.client.is_none() {
            if block.list.is_of_request() {
                self.client = Some(side);
            } else if !block.list.is_empty() {
                // Every request has a method and scheme from the static table.
                self.client = Some(side.other());
            }
        }
        if self.client == Some(side) { self.request(id, block, emit) } else { self.answer(id, block, emit) }
    }

    fn request(&mut self, id: u32, block: Block<'_>, emit: &mut Emit<'_>) {
        let Block { place, end_stream, list, cut } = block;
        if id <= self.last || !list.is_of_request() {
            // Trailers of a request, or one of which nothing could be read.
            self.gap_after_last |= cut && id > self.last;
            self.foreign = true;
            if end_stream {
                self.half_close(id, place, emit);
            }
            return;
        }
        if id == self.last + 2 {
            self.gap_after_last = false;
        }
        if self.gap_after_last || (self.last == 0 && !self.from_start) {
            if self.unseen.len() == UNSEEN_LIMIT {
                self.unseen.remove(0);
            }
            self.unseen.push((self.last + 1, id - 1));
            self.gap_after_last = false;
        }
        self.last = id;
        let claim = claim_of(list, cut);
        if claim == Claim::Done || (claim == Claim::Maybe && self.waiting.len() >= WAITING_LIMIT) {
            self.open.remove(&id);
            self.foreign = true;
            return;
        }
        let mut stream = Stream::new(claim, Scanner::START);
        stream.truncated = cut;
        if claim == Claim::Maybe {
            stream.wait().request = Some((place, list.keep(), cut));
        }
        self.insert(id, stream);
        if claim == Claim::Call {
            self.emit_request(id, place, list, None, cut, emit);
        }
        if end_stream {
            self.half_close(id, place, emit);
        }
    }

    fn emit_request(
        &mut self,
        id: u32,
        place: Place,
        list: List<'_>,
        codec: Option<&'static str>,
        cut: bool,
        emit: &mut Emit<'_>,
    ) {
        let codec = codec_of(list).or(codec);
        let path = list.get(Name::Path);
        let unknown_name = if path.is_some() { None } else { self.group(list) };
        // Whoever sends it beside the path of another method passes on what its own caller sent.
        if let (Some(path), Some(named)) = (path, list.get(Name::DestinationMethod)) {
            self.other_names |= grpc::parse_path(path).1 != named;
        }
        let (service, method) = match path.map(grpc::parse_path) {
            Some((service, method)) => (service, Some(method)),
            None => (None, list.get(Name::DestinationMethod).filter(|_| !self.other_names)),
        };
        emit_message(
            emit,
            place.side,
            Message {
                codec,
                service: service.map(Cow::Borrowed),
                method: method.map(Cow::Borrowed),
                caller: list.get(Name::SourceService).map(Cow::Borrowed),
                callee: list.get(Name::DestinationService).map(Cow::Borrowed),
                timeout: list.get(Name::GrpcTimeout).and_then(grpc::parse_timeout),
                unknown_name,
                metadata: Some(&list),
                ..blank(Kind::Open, id, place, cut)
            },
        );
        self.grpc = true;
        for goaway in std::mem::take(&mut self.goaways) {
            let place = self.reachable(goaway.place);
            Goaway { place, ..goaway }.emit(self.client, emit);
        }
    }

    /// The number of a path that can't be read.
    ///
    /// Pseudo-header fields come first (RFC 9113, section 8.3). So the path is among the first entries that can't be read,
    /// of which there are at most as many as there are pseudo-headers missing; requests that refer to the same such
    /// entries have the same path. Numbers are given in order, because those of the entries are of no use to a person.
    fn group(&mut self, list: List<'_>) -> Option<u64> {
        let pseudo = [Name::Method, Name::Scheme, Name::Authority];
        let missing = pseudo.into_iter().filter(|name| list.get(*name).is_none()).count();
        let key = list.unread(1 + missing)?;
        if key.is_empty() || (self.groups.len() >= GROUPS_LIMIT && !self.groups.contains_key(&key)) {
            return None;
        }
        let next = self.groups.len() as u64 + 1;
        Some(*self.groups.entry(key).or_insert(next))
    }

    /// The client ends its side of the stream.
    fn half_close(&mut self, id: u32, place: Place, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        let place = Place { bytes: 0, ..place };
        match stream.claim {
            Claim::Call => {
                emit_message(emit, place.side, blank(Kind::HalfClose, id, place, stream.truncated));
            }
            Claim::Maybe => stream.wait().half_close = Some(place),
            Claim::Orphan | Claim::Done => {}
        }
    }

    /// A stream turns out to be a call: emits what waited.
    fn resolve(&mut self, id: u32, codec: Option<&'static str>, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        if stream.claim == Claim::Orphan {
            stream.proven = true;
            self.grpc = true;
        }
        if stream.claim != Claim::Maybe {
            return;
        }
        stream.claim = Claim::Call;
        self.waiting.remove(&id);
        let truncated = stream.truncated;
        let Some(waiting) = stream.waiting.take() else { return };
        let client = self.client.unwrap_or(Side::A);
        if let Some((place, list, cut)) = &waiting.request {
            let place = self.reachable(*place);
            self.emit_request(id, place, list.list(), codec, *cut, emit);
        }
        let part = |side: Side| {
            let (start, bytes, messages) = waiting.parts.get(side.index()).copied().flatten()?;
            let place = self.reachable(Place { side, start, bytes });
            Some(Message { messages, ..blank(Kind::Part, id, place, truncated) })
        };
        if let Some(part) = part(client) {
            emit_message(emit, client, part);
        }
        if let Some(place) = waiting.half_close {
            emit_message(emit, place.side, blank(Kind::HalfClose, id, self.reachable(place), truncated));
        }
        if let Some((place, list)) = &waiting.begin {
            emit_begin(id, self.reachable(*place), list.list(), truncated, emit);
        }
        if let Some(part) = part(client.other()) {
            emit_message(emit, client.other(), part);
        }
    }

    fn reachable(&self, place: Place) -> Place {
        Place { start: self.clip(place.side, place.start), ..place }
    }

    fn answer(&mut self, id: u32, block: Block<'_>, emit: &mut Emit<'_>) {
        let Block { place, end_stream, list, cut } = block;
        let http = http_status(list);
        let interim = http.is_some_and(|code| (100..200).contains(&code));
        let Some(stream) = self.reach(id).filter(|stream| stream.claim != Claim::Done) else { return };
        if interim && !end_stream {
            return;
        }
        stream.http = stream.http.or(http);
        let content = list.get(Name::ContentType).map(grpc::parse_content_type);
        let speaks_grpc = list.get(Name::GrpcStatus).is_some() || list.get(Name::BizStatus).is_some();
        match content {
            Some(Content::Grpc(codec)) => self.resolve(id, codec, emit),
            _ if speaks_grpc => self.resolve(id, None, emit),
            Some(Content::Other) if stream.claim != Claim::Call => return self.finish(id),
            // All of it can be read, and nothing of it is of gRPC.
            None if stream.claim != Claim::Call && list.is_complete() && !cut => return self.finish(id),
            _ => {}
        }
        let Some(stream) = self.open.get_mut(&id) else { return };
        if end_stream {
            let only = !stream.began;
            return self.end(id, place, Some((list, cut, only)), emit);
        }
        if stream.began {
            return;
        }
        stream.began = true;
        match stream.claim {
            Claim::Call => emit_begin(id, place, list, stream.truncated, emit),
            Claim::Maybe => stream.wait().begin = Some((place, list.keep())),
            // From here on all of the answer is seen.
            Claim::Orphan => *stream.scanner(place.side) = Scanner::START,
            Claim::Done => {}
        }
    }

    /// The callee ended the stream: with a header block (its list, whether it is cut, whether it is the answer's only
    /// one), or with DATA.
    fn end(&mut self, id: u32, place: Place, block: Option<(List<'_>, bool, bool)>, emit: &mut Emit<'_>) {
        let grpc = self.grpc;
        let Some(stream) = self.open.get_mut(&id) else { return };
        match stream.claim {
            Claim::Done => return,
            Claim::Call => {}
            // On a connection that carries calls, a stream that could be one is one.
            Claim::Maybe if grpc => self.resolve(id, None, emit),
            // Answers of gRPC end with trailers.
            Claim::Orphan if stream.proven || (grpc && block.is_some()) => {}
            Claim::Maybe | Claim::Orphan => return self.finish(id),
        }
        let Some(stream) = self.open.get_mut(&id) else { return };
        let mut status = block.map_or_else(Status::default, |(list, cut, only)| status_of(list, cut, only));
        status.http = stream.http;
        // Only of an answer that is nothing but this block nothing can have come before.
        let alone = block.filter(|(list, cut, only)| *only && !cut && http_status(*list).is_some());
        let quoted = alone.and_then(|(list, ..)| quoted_by(list));
        let cut = block.is_some_and(|(_, cut, _)| cut);
        let codec = block.and_then(|(list, ..)| codec_of(list));
        // The bytes of DATA that ends a stream were told as a part of it.
        let place = if block.is_some() { place } else { Place { bytes: 0, ..place } };
        let message = Message {
            quoted,
            status,
            codec,
            metadata: block.as_ref().map(|(list, ..)| list as &dyn crate::message::Pairs),
            ..blank(Kind::Answer, id, place, stream.truncated || cut)
        };
        emit_message(emit, place.side, message);
        self.finish(id);
    }

    /// A DATA frame with `data` bytes besides its padding begins.
    pub(super) fn data_begins(&mut self, id: u32, side: Side, data: u32) {
        if let Some(stream) = self.reach(id) {
            stream.scanner(side).begin_frame(data);
        }
    }

    /// Takes bytes of DATA; says how many gRPC messages they complete.
    pub(super) fn data(&mut self, id: u32, side: Side, bytes: &[u8]) -> u32 {
        self.open.get_mut(&id).map_or(0, |stream| stream.scanner(side).feed(bytes))
    }

    /// Bytes of a DATA frame are missing.
    pub(super) fn data_missing(&mut self, id: u32, side: Side, missing: Option<u64>) {
        if let Some(stream) = self.open.get_mut(&id) {
            stream.truncated = true;
            stream.scanner(side).skip(missing);
        }
    }

    /// A DATA frame that completed so many messages is through.
    pub(super) fn data_ends(
        &mut self,
        id: u32,
        place: Place,
        end_stream: bool,
        messages: u32,
        emit: &mut Emit<'_>,
    ) {
        let side = place.side;
        let Some(stream) = self.open.get_mut(&id).filter(|stream| stream.claim != Claim::Done) else {
            return;
        };
        if stream.claim == Claim::Call {
            emit_message(emit, side, Message { messages, ..blank(Kind::Part, id, place, stream.truncated) });
        } else {
            let scanner = *stream.scanner(side);
            if stream.claim == Claim::Maybe
                && let Some(part) = stream.wait().parts.get_mut(side.index())
            {
                let (start, bytes, before) = part.unwrap_or((place.start, 0, 0));
                *part = Some((start, bytes + place.bytes, before.saturating_add(messages)));
            }
            if scanner == Scanner::Foreign {
                return self.finish(id);
            }
            // Whole messages that end with their frame: a length of four bytes is right by chance no more often than an
            // invented content type would be.
            if messages > 0 && scanner.is_between() {
                self.resolve(id, None, emit);
            }
        }
        if !end_stream {
            return;
        }
        match self.client {
            Some(client) if client == side => self.half_close(id, place, emit),
            Some(_) => self.end(id, place, None, emit),
            None => {}
        }
    }

    /// Takes an `RST_STREAM`.
    pub(super) fn reset(&mut self, id: u32, place: Place, code: u32, emit: &mut Emit<'_>) {
        let grpc = self.grpc;
        let Some(stream) = self.open.get_mut(&id) else { return };
        self.abandoned |= self.client == Some(place.side);
        match stream.claim {
            Claim::Done => return,
            Claim::Call => {}
            Claim::Maybe if grpc => self.resolve(id, None, emit),
            Claim::Orphan if grpc || stream.proven => {}
            Claim::Maybe | Claim::Orphan => return self.finish(id),
        }
        let Some(stream) = self.open.get(&id) else { return };
        let truncated = stream.truncated;
        let in_step = self.in_step.get(place.side.other().index()).copied().unwrap_or_default();
        if code == 0 && (stream.answer_lost || !in_step) && self.client == Some(place.side) {
            // A client that has its answer ends a stream so (RFC 9113, section 8.1): the answer is what is missing.
            let server = place.side.other();
            let place = Place { side: server, start: self.here(server), bytes: 0 };
            let status = Status { grpc: Some(GrpcStatus::Unknown), cut: true, ..Status::default() };
            emit_message(emit, server, Message { status, ..blank(Kind::Answer, id, place, true) });
            return self.finish(id);
        }
        let reset = Reset { code: Some(i64::from(code)), ..Reset::default() };
        emit_message(
            emit,
            place.side,
            Message {
                status: Status { reset: Some(reset), ..Status::default() },
                ..blank(Kind::Reset, id, place, truncated)
            },
        );
        self.finish(id);
    }

    /// Takes a GOAWAY.
    pub(super) fn goaway(&mut self, place: Place, last: u32, code: u32, text: &[u8], emit: &mut Emit<'_>) {
        let goaway = Goaway { place, last, code, text: text.to_vec() };
        if self.grpc {
            goaway.emit(self.client, emit);
        } else {
            // It matters only if a call comes that was already on its way. The last one is the one that counts.
            self.goaways.retain(|other| other.place.side != place.side);
            self.goaways.push(goaway);
        }
    }

    /// Nothing more comes from `side`: requests that only an answer could have shown to be calls are emitted if others of
    /// the connection were calls.
    pub(super) fn close(&mut self, side: Side, emit: &mut Emit<'_>) {
        if self.client == Some(side) || !self.grpc {
            return;
        }
        let ids: Vec<u32> = self.waiting.iter().copied().collect();
        for id in ids {
            self.resolve(id, None, emit);
        }
    }
}
