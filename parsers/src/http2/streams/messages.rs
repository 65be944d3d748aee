//! Header blocks with their place on the wire, and the events made of them.

use super::super::grpc::{self, Content};
use super::super::hpack::{self, List};
use super::super::known::{Name, Value};
use super::super::quote::parse_quote;
use crate::event::{
    Answer, Begin, BizStatus, BodyForm, BodyPiece, CallId, Event, GoAway, GrpcCode, GrpcStatus, Head,
    Headers, Names, Open, Pairs as _, Part, Quoted, Rpc, Sender, Side, Status, Text, Transport,
};
use crate::layout::Layout;
use crate::protocol::Emit;
use crate::web::Form;

/// Bytes in the stream of their side.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Span {
    pub(in super::super) side: Side,
    /// Stream offset of the first of them.
    pub(in super::super) start: u64,
    pub(in super::super) bytes: u64,
}

/// A whole header block, or what could be read of it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct HeaderBlock<'a> {
    /// Its frames.
    pub(in super::super) span: Span,
    pub(in super::super) end_stream: bool,
    pub(in super::super) list: List<'a>,
    /// Fields may be missing at its end.
    pub(in super::super) cut: bool,
}

/// The header block that ends an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastBlock<'a> {
    pub(super) list: List<'a>,
    /// Fields may be missing at its end.
    pub(super) cut: bool,
    /// It is all of the answer.
    pub(super) only: bool,
    pub(super) content: Option<Content>,
    pub(super) http: Option<u16>,
}

/// Bytes of a DATA frame, without its padding.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Piece<'a> {
    pub(in super::super) side: Side,
    /// Stream offset of the first of them.
    pub(in super::super) at: u64,
    /// These are the frame's first bytes: how many it has.
    pub(in super::super) begins: Option<u32>,
    pub(in super::super) data: &'a [u8],
    /// These are the frame's last bytes: the whole frame, and whether it ends the stream.
    pub(in super::super) ends: Option<(Span, bool)>,
    /// Messages that ended in the frame before these bytes.
    pub(in super::super) messages: u32,
}

impl Piece<'_> {
    /// Reports which of its bytes are those of a body, if that is wanted.
    pub(super) fn mark(&self, wanted: bool, (at, len): (usize, usize), form: BodyForm, emit: &mut Emit<'_>) {
        let bytes = self.data.get(at..at + len).unwrap_or_default();
        if wanted && !bytes.is_empty() {
            let piece = BodyPiece { at: self.at + at as u64, bytes, begins: true, form };
            emit(self.side, &Event::BodyPiece(piece));
        }
    }
}

/// The head of an event of a stream.
pub(super) fn head_of(rpc: Rpc, id: u32, span: Span, truncated: bool) -> Head {
    let head = Head::new(rpc, Transport::Http2, CallId::Stream(i64::from(id)));
    Head { start: span.start, bytes: span.bytes, truncated, ..head }
}

/// Emits the first header block of an answer, which has that content type and HTTP status.
pub(super) fn emit_begin(
    rpc: Rpc,
    id: u32,
    span: Span,
    list: List<'_>,
    (content, http): (Option<Content>, Option<u16>),
    (truncated, typed): (bool, bool),
    emit: &mut Emit<'_>,
) {
    let head = Head { codec: codec_of(content), ..head_of(rpc, id, span, truncated) };
    // A failure may be that of a protocol in which the text of the error follows, if nothing says that it is gRPC.
    let http = http.filter(|http| typed || *http == 200);
    let has_status = list.has(Name::GrpcStatus) || list.has(Name::BizStatus);
    let begin = Begin { head, names: Names::default(), http, has_status, headers: Some(&list) };
    emit(span.side, &Event::Begin(begin));
}

/// The answer of a stream.
pub(super) fn answer_of<'a>(
    head: Head,
    quoted: Option<Quoted<'a>>,
    status: GrpcStatus<'a>,
    headers: Headers<'a>,
) -> Answer<'a> {
    let status = Status::Grpc(status);
    Answer { head, names: Names::default(), quoted, status, body: false, oneway: false, headers }
}

/// Emits a DATA frame in which that many messages of that codec, if it is known, ended; whether bytes of it are missing, and whether it is
/// the last of its side.
pub(super) fn emit_part(
    rpc: Rpc,
    id: u32,
    span: Span,
    (messages, codec): (u32, Option<&'static str>),
    layouts: [Layout; 2],
    (truncated, ends): (bool, bool),
    emit: &mut Emit<'_>,
) {
    let head = Head { codec, ..head_of(rpc, id, span, truncated) };
    emit(span.side, &Event::Part(Part { ends, layouts, ..Part::new(head, messages) }));
}

/// The content type of a header block.
pub(super) fn content_of(list: List<'_>) -> Option<Content> {
    if !list.has(Name::ContentType) {
        return None;
    }
    match list.known(Name::ContentType) {
        Value::Grpc | Value::GrpcProto => Some(Content::Grpc(Some("protobuf"))),
        _ => list.get(Name::ContentType).map(grpc::parse_content_type),
    }
}

/// The codec that a content type of gRPC names.
pub(super) fn codec_of(content: Option<Content>) -> Option<&'static str> {
    match content {
        Some(Content::Grpc(codec)) => codec,
        _ => None,
    }
}

/// The HTTP status of an answer.
pub(super) fn http_status(list: List<'_>) -> Option<u16> {
    if list.is_fixed(Name::Status, hpack::OK) {
        return Some(200);
    }
    list.get(Name::Status).and_then(grpc::parse_status).and_then(|code| u16::try_from(code).ok())
}

/// The status that trailers have. `cut`: their end is missing. `only`: they are all of the answer.
pub(super) fn status_of(list: List<'_>, cut: bool, only: bool) -> GrpcStatus<'_> {
    let code = match list.get(Name::GrpcStatus) {
        Some(value) => {
            grpc::parse_status(value).map_or(GrpcCode::Malformed(Text::Plain(value)), GrpcCode::Code)
        }
        None if list.is_complete() && !cut => GrpcCode::Absent,
        None => GrpcCode::Unknown,
    };
    let text = |name| list.get(name).map(Text::Plain);
    let biz = BizStatus {
        status: text(Name::BizStatus),
        message: text(Name::BizMessage),
        extra: text(Name::BizExtra),
    };
    let some = biz.status.is_some() || biz.message.is_some() || biz.extra.is_some();
    let biz = some.then_some(biz);
    // A biz-status beside the status makes another error of it, and may be among the fields that can't be read. The one
    // that must be there in an answer of one block is its content type.
    let expected = usize::from(only && list.get(Name::ContentType).is_none());
    let hidden = cut || list.is_shed() || list.unknown() > expected;
    let failed = !matches!(code, GrpcCode::Absent | GrpcCode::Code(0));
    GrpcStatus {
        code,
        message: list.get(Name::GrpcMessage).map(Text::Percent),
        details: list.get(Name::GrpcStatusDetails).map(Text::Base64),
        biz,
        http: None,
        cut: cut || (failed && biz.is_none() && hidden),
        deduced: list.is_deduced(Name::GrpcStatus) || list.is_deduced(Name::GrpcMessage),
    }
}

/// A status of which nothing was sent.
pub(super) const NO_STATUS: GrpcStatus<'static> = GrpcStatus::of(GrpcCode::Absent);

/// The names that trailers with that status quote.
pub(super) fn quoted_by<'a>(list: List<'a>, code: GrpcCode<'_>) -> Option<Quoted<'a>> {
    let GrpcCode::Code(code) = code else { return None };
    // Nothing that has to be encoded stands in a name.
    parse_quote(code, list.get(Name::GrpcMessage)?)
}

/// A GOAWAY that matters only if a call comes that was already on its way.
#[derive(Clone, Debug)]
pub(super) struct PendingGoaway {
    pub(super) span: Span,
    pub(super) last: u32,
    pub(super) code: u32,
    pub(super) text: Vec<u8>,
}

/// Emits a GOAWAY. A client's says nothing of the streams that it opened, so its last stream is left out.
pub(super) fn emit_goaway(
    client: Option<Side>,
    span: Span,
    last: u32,
    code: u32,
    text: &[u8],
    emit: &mut Emit<'_>,
) {
    let Span { side, start, bytes } = span;
    let last_stream = (client == Some(side.other())).then_some(i64::from(last));
    let text = (!text.is_empty()).then_some(Text::Plain(text));
    emit(side, &Event::GoAway(GoAway { start, bytes, code: i64::from(code), text, last_stream }));
}

impl super::Streams {
    /// Emits a request of gRPC.
    pub(super) fn emit_request(
        &mut self,
        id: u32,
        span: Span,
        list: List<'_>,
        codec: Option<&'static str>,
        cut: bool,
        emit: &mut Emit<'_>,
    ) {
        let (service, method, unknown_name) = self.unknown_paths.names(list);
        let text = |name| list.get(name).map(Text::Plain);
        let names = Names {
            service: service.map(Text::Plain),
            method: method.map(Text::Plain),
            caller: text(Name::SourceService),
            callee: text(Name::DestinationService),
            sender: list.get(Name::UserAgent).map(Sender::Named),
        };
        let head = Head { codec, ..head_of(Rpc::Grpc, id, span, cut) };
        let timeout = list.get(Name::GrpcTimeout).and_then(grpc::parse_timeout);
        let traced = list.may_hold_context();
        let open = Open { head, unary: false, names, timeout, unknown_name, traced, headers: Some(&list) };
        emit(span.side, &Event::Open(open));
        self.traffic = super::Traffic::Grpc;
        if !self.goaways.is_empty() {
            self.emit_goaways(emit);
        }
    }

    /// Takes a GOAWAY.
    pub(in super::super) fn goaway(
        &mut self,
        span: Span,
        last: u32,
        code: u32,
        text: &[u8],
        emit: &mut Emit<'_>,
    ) {
        if self.traffic == super::Traffic::Unknown {
            // The last one of a side is the one that counts.
            self.goaways.retain(|other| other.span.side != span.side);
            self.goaways.push(PendingGoaway { span, last, code, text: text.to_vec() });
        } else {
            emit_goaway(self.client, span, last, code, text, emit);
        }
    }

    /// Emits what was pending because no call had been seen.
    #[cold]
    pub(super) fn emit_goaways(&mut self, emit: &mut Emit<'_>) {
        for goaway in std::mem::take(&mut self.goaways) {
            let PendingGoaway { span, last, code, text } = goaway;
            emit_goaway(self.client, self.reachable(span), last, code, &text, emit);
        }
    }

    /// Notes how the messages of a side are compressed whose bodies are wanted.
    #[cold]
    pub(super) fn note_encoding(&mut self, id: u32, side: Side, list: List<'_>) {
        let Some(stream) = self.open.get_mut(id) else { return };
        let Some(bodies) = &mut stream.bodies else { return };
        let bodies = side.of_mut(bodies);
        if let Some(value) = list.get(Name::GrpcEncoding) {
            bodies.set_encoding(value);
        } else if let Some(web) = &stream.web {
            let name: &[u8] = match web.claim().form {
                Form::Unary => b"content-encoding",
                Form::ConnectStream => b"connect-content-encoding",
                Form::GrpcWeb | Form::GrpcWebText | Form::Grpc => return,
            };
            list.each(&mut |key, value| {
                if key == name {
                    bodies.set_encoding(value);
                }
            });
        }
    }
}
