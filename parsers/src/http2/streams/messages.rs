//! Header blocks with their place on the wire, and the messages made of them.

use std::borrow::Cow;

use super::super::grpc::{self, Content};
use super::super::hpack::List;
use super::super::name::Name;
use super::super::quote::parse_quote;
use crate::message::{
    BizStatus, CallId, GrpcStatus, Kind, Message, Quoted, Reset, Side, Status, emit_message,
};
use crate::protocol::Emit;

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

/// Bytes of a DATA frame, without its padding.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Piece<'a> {
    pub(in super::super) side: Side,
    /// These are the frame's first bytes: how many it has.
    pub(in super::super) begins: Option<u32>,
    pub(in super::super) data: &'a [u8],
    /// These are the frame's last bytes: the whole frame, and whether it ends the stream.
    pub(in super::super) ends: Option<(Span, bool)>,
    /// Messages that ended in the frame before these bytes.
    pub(in super::super) messages: u32,
}

/// A message of a stream without contents.
pub(super) fn blank(kind: Kind, id: u32, span: Span, truncated: bool) -> Message<'static> {
    Message {
        kind,
        id: CallId::Stream(i64::from(id)),
        start: span.start,
        bytes: span.bytes,
        transport: "http2",
        rpc: "grpc",
        truncated,
        ..Message::default()
    }
}

/// Tells the first header block of an answer.
pub(super) fn emit_begin(
    id: u32,
    span: Span,
    list: List<'_>,
    content: Option<Content>,
    truncated: bool,
    emit: &mut Emit<'_>,
) {
    let http = http_status(list);
    emit_message(
        emit,
        span.side,
        Message {
            codec: codec_of(content),
            status: Status { http, ..Status::default() },
            metadata: Some(&list),
            ..blank(Kind::Begin, id, span, truncated)
        },
    );
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
    list.get(Name::Status).and_then(grpc::parse_status).and_then(|code| u16::try_from(code).ok())
}

/// The status that trailers tell.
pub(super) fn status_of(list: List<'_>, cut: bool, only: bool) -> Status<'_> {
    let grpc = match list.get(Name::GrpcStatus) {
        Some(value) => Some(
            grpc::parse_status(value).map_or(GrpcStatus::Malformed(Cow::Borrowed(value)), GrpcStatus::Code),
        ),
        None if list.is_complete() && !cut => None,
        None => Some(GrpcStatus::Unknown),
    };
    let text = |name| list.get(name).map(Cow::Borrowed);
    let biz = BizStatus {
        status: text(Name::BizStatus),
        message: text(Name::BizMessage),
        extra: text(Name::BizExtra),
    };
    let biz = (biz != BizStatus::default()).then_some(biz);
    // A biz-status beside the status makes another error of it, and may be among the fields that can't be read. The one
    // that must be there in an answer of one block is its content type.
    let expected = usize::from(only && list.get(Name::ContentType).is_none());
    let hidden = cut || list.is_shed() || list.unknown() > expected;
    let failed = grpc.is_some() && grpc != Some(GrpcStatus::Code(0));
    Status {
        grpc,
        grpc_message: list.get(Name::GrpcMessage).map(grpc::decode_message),
        grpc_details: list.get(Name::GrpcStatusDetails).and_then(grpc::decode_binary),
        cut: cut || (failed && biz.is_none() && hidden),
        biz,
        ..Status::default()
    }
}

/// The names that trailers quote.
pub(super) fn quoted_by(list: List<'_>) -> Option<Quoted<'_>> {
    let code = list.get(Name::GrpcStatus).and_then(grpc::parse_status)?;
    // Nothing that has to be encoded stands in a name.
    parse_quote(code, list.get(Name::GrpcMessage)?)
}

/// A GOAWAY that nobody needs yet.
#[derive(Clone, Debug)]
pub(super) struct Goaway {
    pub(super) span: Span,
    pub(super) last: u32,
    pub(super) code: u32,
    pub(super) text: Vec<u8>,
}

impl Goaway {
    /// A client's says nothing of the streams that it opened, so its last stream is left out.
    pub(super) fn emit(&self, client: Option<Side>, emit: &mut Emit<'_>) {
        let last = (client == Some(self.span.side.other())).then_some(i64::from(self.last));
        let text = (!self.text.is_empty()).then_some(Cow::Borrowed(self.text.as_slice()));
        let reset = Reset { code: Some(i64::from(self.code)), message: text, cancel_path: None };
        emit_message(
            emit,
            self.span.side,
            Message {
                status: Status { last_stream: last, reset: Some(reset), ..Status::default() },
                ..blank(Kind::GoAway, 0, self.span, false)
            },
        );
    }
}
