//! Streams of Connect, gRPC-Web and Triple: their requests say so, and their bodies say how they end (`crate::web`).

use super::super::hpack::List;
use super::super::known::Name;
use super::messages::{HeaderBlock, Piece, Span, emit_begin, emit_part, head_of, http_status};
use super::stream::{Loss, Pending, Response, State, Stream};
use super::{Streams, Traffic};
use crate::event::{Answer, BodyForm, Event, Head, Names, Open, Pairs, Rpc, Side, Text};
use crate::layout::Layout;
use crate::protocol::Emit;
use crate::web::{
    AnswerReader, BodyEnd, Claim, Claimed, Envelopes, Form, Opening, Requested, Verdict, claim,
    claim_of_type, split_target,
};

/// What is known of a stream of this family.
#[derive(Debug)]
pub(super) struct WebStream {
    claim: Claim,
    request: Envelopes,
    answer: Option<AnswerReader>,
    /// It is a call only if its answer is an error of Connect.
    if_refused: bool,
}

impl WebStream {
    fn new(claim: Claim, if_refused: bool) -> Box<Self> {
        Box::new(Self { claim, request: Envelopes::new(claim.form), answer: None, if_refused })
    }

    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.request.memory() + self.answer.as_ref().map_or(0, AnswerReader::memory)
    }

    pub(super) fn rpc(&self) -> Rpc {
        self.claim.rpc
    }

    pub(super) fn claim(&self) -> Claim {
        self.claim
    }

    fn is_unary(&self) -> bool {
        self.claim.form == Form::Unary
    }

    /// Bytes are missing. Which side they are of is known once the client is; those of the answer come after its head.
    pub(super) fn skip(&mut self, of_client: bool, missing: Option<u64>) {
        if of_client {
            self.request.skip(missing);
        } else if let Some(answer) = &mut self.answer {
            answer.skip(missing);
        }
    }

    /// Takes bytes of a DATA frame; says how many messages they complete.
    fn feed(&mut self, of_client: bool, begins: Option<u32>, data: &[u8]) -> u32 {
        if self.is_unary() && of_client {
            return 0;
        }
        if of_client {
            if let Some(length) = begins {
                self.request.begin_frame(length);
            }
            return self.request.feed(data);
        }
        let answer = self.answer.get_or_insert_with(|| AnswerReader::lost(self.claim));
        if let Some(length) = begins {
            answer.begin_frame(length);
        }
        answer.feed(data)
    }
}

impl Streams {
    /// Takes a request that is none of gRPC. `false` if it is no call of this family either.
    pub(super) fn web_request(&mut self, id: u32, block: &HeaderBlock<'_>, emit: &mut Emit<'_>) -> bool {
        let HeaderBlock { span, list, cut, end_stream } = *block;
        let text = |name| list.get(name).unwrap_or_default();
        let requested = Requested {
            method: text(Name::Method),
            target: text(Name::Path),
            content_type: text(Name::ContentType),
        };
        let loss = if cut { Loss::Bytes } else { Loss::Nothing };
        let (state, web) = match claim(requested, &list) {
            Claimed::Yes(claim) => {
                self.emit_web_request(id, span, list, claim, cut, emit);
                (State::Call, WebStream::new(claim, false))
            }
            Claimed::IfRefused(claim) if self.can_keep(list) => {
                let pending = Pending::new(span, list.keep(), cut);
                (State::Candidate(Box::new(pending)), WebStream::new(claim, true))
            }
            Claimed::IfRefused(_) | Claimed::No => return false,
        };
        self.insert(id, Stream { web: Some(web), ..Stream::new(state, loss) });
        self.note_encoding(id, span.side, list);
        if end_stream {
            self.half_close(id, span, emit);
        }
        true
    }

    /// Emits a request of this family.
    pub(super) fn emit_web_request(
        &mut self,
        id: u32,
        span: Span,
        list: List<'_>,
        claim: Claim,
        cut: bool,
        emit: &mut Emit<'_>,
    ) {
        let (service, method) = list.get(Name::Path).map_or((None, None), split_target);
        let names =
            Names { service: service.map(Text::Plain), method: method.map(Text::Plain), ..Names::default() };
        let open = Open {
            head: Head { codec: claim.codec, ..head_of(claim.rpc, id, span, cut) },
            unary: claim.form == Form::Unary,
            names,
            timeout: claim.timeout,
            unknown_name: None,
            traced: list.may_hold_context(),
            headers: Some(&list),
        };
        emit(span.side, &Event::Open(open));
        if self.traffic == Traffic::Unknown {
            self.traffic = Traffic::Web;
        }
        self.emit_goaways(emit);
    }

    /// Lets a stream whose request could not be read, or was not seen, be what its answer's content type says. `false` if that is
    /// none of this family.
    pub(super) fn adopt(&mut self, id: u32, list: List<'_>) -> bool {
        let content_type = list.get(Name::ContentType).unwrap_or_default();
        let claim = claim_of_type(content_type).filter(|claim| claim.form != Form::Grpc);
        let (Some(claim), Some(stream)) = (claim, self.open.get_mut(id)) else { return false };
        stream.web = Some(WebStream::new(claim, false));
        if let Some(bodies) = &mut stream.bodies {
            bodies.iter_mut().for_each(|bodies| bodies.set_shape(claim.form.shape()));
        }
        if matches!(stream.state, State::Orphan) {
            stream.state = State::ProvenOrphan;
        }
        true
    }

    /// Takes a header block of an answer.
    pub(super) fn web_answer(&mut self, id: u32, block: &HeaderBlock<'_>, emit: &mut Emit<'_>) {
        let HeaderBlock { span, end_stream, list, cut } = *block;
        let Some(stream) = self.open.get_mut(id) else { return };
        let (http, begun) = (stream.http, stream.response == Response::Begun);
        if let (Some(bodies), false) = (&mut stream.bodies, begun)
            && let Some(claim) = list.get(Name::ContentType).and_then(claim_of_type)
        {
            // Where the request could not be read to its end, the answer's own type is what is certain.
            span.side.of_mut(bodies).set_shape(claim.form.shape());
        }
        stream.response = Response::Begun;
        let Some(web) = &mut stream.web else { return };
        if begun {
            if let Some(answer) = &mut web.answer {
                list.each(&mut |name, value| answer.trailer(name, value));
            }
        } else {
            let answer = AnswerReader::new(web.claim, http, &list, cut || !list.is_complete());
            let (opening, if_refused) = (answer.opening(), web.if_refused);
            web.answer = Some(answer);
            match (opening, if_refused) {
                (Opening::Open, true) => {}
                (_, true) => return self.finish(id),
                (Opening::Decided(verdict), false) => {
                    self.resolve(id, None, emit);
                    // What an event has is not in the next one too.
                    if !end_stream && self.emit_web_begin(id, span, list, emit) {
                        return self.emit_verdict(id, Span { bytes: 0, ..span }, &verdict, None, emit);
                    }
                    return self.emit_verdict(id, span, &verdict, Some(&list), emit);
                }
                (Opening::Open | Opening::Good, false) => {
                    self.resolve(id, None, emit);
                    self.emit_web_begin(id, span, list, emit);
                }
            }
        }
        if end_stream {
            self.web_end(id, Span { bytes: 0, ..span }, BodyEnd::Whole, emit);
        }
    }

    /// Emits the head of an answer if its request was emitted; says whether it was.
    fn emit_web_begin(&self, id: u32, span: Span, list: List<'_>, emit: &mut Emit<'_>) -> bool {
        let Some(stream) = self.open.get(id) else { return false };
        let is_call = matches!(stream.state, State::Call);
        if is_call {
            emit_begin(
                stream.rpc(),
                id,
                span,
                list,
                (None, http_status(list)),
                (stream.is_truncated(), true),
                emit,
            );
        }
        is_call
    }

    /// Takes bytes of a DATA frame; says how many messages ended in the frame so far.
    pub(super) fn web_data(&mut self, id: u32, piece: Piece<'_>, emit: &mut Emit<'_>) -> u32 {
        let Piece { side, begins, data, ends, mut messages, .. } = piece;
        let of_client = self.client == Some(side);
        let Some(stream) = self.open.get_mut(id) else { return messages };
        let (rpc, truncated) = (stream.rpc(), stream.is_truncated());
        if let Some(web) = &mut stream.web {
            messages += web.feed(of_client, begins, data);
        }
        // What went wrong with a unary call stands in the body of its answer.
        let is_error = |web: &WebStream| {
            let answer = web.answer.as_ref().filter(|_| !of_client);
            answer.is_some_and(|answer| answer.is_unary() && answer.opening() == Opening::Open)
        };
        let marks = self.marks && !stream.web.as_deref().is_some_and(is_error);
        if let Some(bodies) = &mut stream.bodies {
            let bodies = side.of_mut(bodies);
            bodies.feed(data, &mut |at, len, form| piece.mark(marks, (at, len), form, emit));
        } else {
            piece.mark(marks, (0, data.len()), BodyForm::Unread, emit);
        }
        let Some((span, end_stream)) = ends else { return messages };
        match &mut stream.state {
            State::Done => return messages,
            State::Call => {
                stream.emit_bodies(id, span, end_stream, emit);
                let ends = end_stream && of_client;
                stream.is_asked |= ends;
                emit_part(rpc, id, span, (messages, None), [Layout::default(); 2], (truncated, ends), emit);
                if ends {
                    return messages;
                }
            }
            State::Candidate(pending) => pending.add(span, messages),
            State::Orphan | State::ProvenOrphan => {}
        }
        if end_stream && of_client {
            self.half_close(id, span, emit);
        } else if end_stream {
            self.web_end(id, Span { bytes: 0, ..span }, BodyEnd::Whole, emit);
        }
        messages
    }

    /// The callee ended the stream.
    fn web_end(&mut self, id: u32, span: Span, how: BodyEnd, emit: &mut Emit<'_>) {
        let Some(stream) = self.open.get(id) else { return };
        let how = if stream.loss > Loss::Nothing && how == BodyEnd::Whole { BodyEnd::Lost } else { how };
        let Some(web) = &stream.web else { return };
        let Some(answer) = &web.answer else { return self.finish(id) };
        if web.if_refused && !(how == BodyEnd::Whole && answer.is_certain()) {
            return self.finish(id);
        }
        let verdict = answer.verdict(how);
        self.resolve(id, None, emit);
        self.emit_verdict(id, span, &verdict, None, emit);
    }

    fn emit_verdict(
        &mut self,
        id: u32,
        span: Span,
        verdict: &Verdict,
        headers: Option<&dyn Pairs>,
        emit: &mut Emit<'_>,
    ) {
        let Some(stream) = self.open.get_mut(id) else { return };
        stream.emit_bodies(id, span, true, emit);
        let Some(web) = &stream.web else { return };
        let head = head_of(web.claim.rpc, id, span, stream.is_truncated());
        let head = Head { codec: web.claim.codec, ..head };
        emit(span.side, &Event::Answer(Answer { headers, ..Answer::new(head, verdict.status()) }));
        self.finish(id);
    }

    /// A stream of this family is broken off. `true` if it was no call, or its answer had already said how it went: then the answer is
    /// emitted.
    pub(super) fn web_is_over(&mut self, id: u32, span: Span, emit: &mut Emit<'_>) -> bool {
        let Some(web) = self.open.get(id).and_then(|stream| stream.web.as_ref()) else { return false };
        if web.if_refused {
            self.finish(id);
            return true;
        }
        let said = web.answer.as_ref().is_some_and(|answer| answer.is_over() || answer.has_failed());
        if said {
            let server = self.client.map_or(span.side, Side::other);
            let start = if server == span.side { span.start } else { self.last_frame(server) };
            self.web_end(id, Span { side: server, start, bytes: 0 }, BodyEnd::Broken, emit);
        }
        said
    }
}
