//! An event with all that it can say side by side and on memory of its own: what tests compare.

use std::borrow::Cow;

use super::Seen;
use crate::event::{self, Event};
pub(crate) use crate::event::{CallId, Kind, ResultField, Side, TrpcEnd};

/// Bytes of the wire, borrowed where they stand there as they are, owned where they had to be decoded.
pub(crate) type Text<'a> = Cow<'a, [u8]>;

/// A thrift application exception, or the equal message of Kitex Protobuf.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Exception<'a> {
    /// `type` as sent; peers send numbers beyond the published ones.
    pub(crate) type_id: i32,
    /// `message`, empty where the field is absent.
    pub(crate) message: Text<'a>,
}

/// A business status that travels beside the framework's own (Kitex `biz-status`, `biz-message`, `biz-extra`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct BizStatus<'a> {
    /// `biz-status` as sent: decimal text, which may be malformed. `None` where only the others were there.
    pub(crate) status: Option<Text<'a>>,
    /// `biz-message`.
    pub(crate) message: Option<Text<'a>>,
    /// `biz-extra`: one JSON object of strings, as sent.
    pub(crate) extra: Option<Text<'a>>,
}

/// Names that the text of an error quotes as those of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Quoted<'a> {
    /// Service.
    pub(crate) service: Option<Text<'a>>,
    /// Method.
    pub(crate) method: Option<Text<'a>>,
}

/// gRPC status as seen in trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GrpcStatus<'a> {
    /// A readable number.
    Code(i64),
    /// There is a `grpc-status`, but it is no number.
    Malformed(Text<'a>),
    /// It can't be known whether or which: the header block refers to table entries from before the capture.
    Unknown,
}

/// How a stream was broken off.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Reset<'a> {
    /// Error code: HTTP/2 error code, ttstream 120xx. `None` where it was lost.
    pub(crate) code: Option<i64>,
    /// Text, where the protocol sends one.
    pub(crate) message: Option<Text<'a>>,
    /// ttstream `ttscp`: services from the first canceller on, comma-separated as sent.
    pub(crate) cancel_path: Option<Text<'a>>,
}

/// Everything a message says of success or failure, as seen. A field is set only if the wire element was there.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Status<'a> {
    /// tRPC `ret` as sent; 0 where an answer leaves it out.
    pub(crate) ret: Option<i32>,
    /// tRPC `func_ret` as sent; 0 where an answer leaves it out.
    pub(crate) func_ret: Option<i32>,
    /// tRPC `error_msg`, `trpc-error-msg`, `CloseMeta.msg`.
    pub(crate) error_msg: Option<Text<'a>>,
    /// Kitex business status in a header or trailer.
    pub(crate) biz: Option<BizStatus<'a>>,
    /// Thrift message type EXCEPTION, or Kitex Protobuf error.
    pub(crate) exception: Option<Exception<'a>>,
    /// Thrift REPLY: first field of the result struct. `None` also where it was cut off.
    pub(crate) result: Option<ResultField>,
    /// gRPC `grpc-status`.
    pub(crate) grpc: Option<GrpcStatus<'a>>,
    /// gRPC `grpc-message`, percent-decoded.
    pub(crate) grpc_message: Option<Text<'a>>,
    /// gRPC `grpc-status-details-bin`, base64-decoded: a `google.rpc.Status`.
    pub(crate) grpc_details: Option<Text<'a>>,
    /// HTTP status, where HTTP carries the call.
    pub(crate) http: Option<u16>,
    /// How a stream was broken off ([`Kind::Reset`]); for [`Kind::GoAway`] its error code and debug text.
    pub(crate) reset: Option<Reset<'a>>,
    /// The highest stream that a GOAWAY still lets through.
    pub(crate) last_stream: Option<i64>,
    /// How a tRPC stream ended.
    pub(crate) trpc_end: Option<TrpcEnd>,
    /// The answer is a ttstream trailer (its exception and biz status have carriers of their own).
    pub(crate) trailer: bool,
    /// The sender's part of the payload is not empty although the status reports an error.
    pub(crate) body: bool,
    /// The answer says by itself that its call wanted none (tRPC `call_type`).
    pub(crate) oneway: bool,
    /// The bytes that hold the outcome are missing (lost, or cut off by the snap length).
    pub(crate) cut: bool,
}

/// One thing that a protocol saw. Names and texts are wire bytes; they may be no UTF-8 and may hold control characters.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Message<'a> {
    /// What it does to its call.
    pub(crate) kind: Kind,
    /// Pairs it with others of its call, within the connection.
    pub(crate) id: CallId,
    /// Stream offset (in the bytes of the side that sent it) of its first byte. For [`Kind::Complete`]: of its last.
    pub(crate) start: u64,
    /// Size in bytes as sent, own headers included; 0 if not known yet (then [`Kind::Complete`] says).
    pub(crate) bytes: u64,
    /// Messages inside ([`Kind::Part`]; 0 for others).
    pub(crate) messages: u32,
    /// More bytes of this message follow, and a [`Kind::Complete`] will say when they have passed.
    pub(crate) more: bool,
    /// What carries it, as in the call record: `ttheader`, `framed`, `buffered`, `theader`, `http2`, `http1`, `trpc`,
    /// `mesh-header`.
    pub(crate) transport: &'static str,
    /// The RPC protocol, as in the call record: `thrift`, `kitex-protobuf`, `grpc`, `ttstream`, `trpc`, `trpc-stream`,
    /// `trpc-http`.
    pub(crate) rpc: &'static str,
    /// Payload codec, as in the call record; `None` where nothing says.
    pub(crate) codec: Option<&'static str>,
    /// Service as the wire names it.
    pub(crate) service: Option<Text<'a>>,
    /// Method as the wire names it.
    pub(crate) method: Option<Text<'a>>,
    /// Name of the calling service.
    pub(crate) caller: Option<Text<'a>>,
    /// Name of the called service.
    pub(crate) callee: Option<Text<'a>>,
    /// Time the caller is willing to wait, nanoseconds (tRPC head field 4, TTHeader key 12, `grpc-timeout`).
    pub(crate) timeout: Option<u64>,
    /// A name that can't be known because it was said before the capture began: messages of a
    /// connection with the same number have the same unknown name (HPACK entries of an unknown table). At most 4096.
    pub(crate) unknown_name: Option<u64>,
    /// The names of what was asked for as the answer's own text quotes them: the callee says that it has no such service or
    /// method, and nothing came before. No proof, since a callee may pass on what its own callee said.
    pub(crate) quoted: Option<Quoted<'a>>,
    /// What it says of success or failure.
    pub(crate) status: Status<'a>,
    /// Part of it was lost or cut off; what stands here is what was left.
    pub(crate) truncated: bool,
}

fn owned(text: Option<event::Text<'_>>) -> Option<Text<'static>> {
    text.map(|text| Text::Owned(text.decode().into_owned()))
}

fn owned_biz(biz: Option<event::BizStatus<'_>>) -> Option<BizStatus<'static>> {
    biz.map(|biz| BizStatus {
        status: owned(biz.status),
        message: owned(biz.message),
        extra: owned(biz.extra),
    })
}

fn owned_exception(exception: Option<event::Exception<'_>>) -> Option<Exception<'static>> {
    exception.map(|exception| Exception {
        type_id: exception.type_id,
        message: Text::Owned(exception.message.decode().into_owned()),
    })
}

/// The status of an answer with all its fields side by side.
fn owned_status(status: &event::Status<'_>) -> Status<'static> {
    let blank = Status::default();
    let codes = |codes: &event::Codes<'_>| Status {
        ret: codes.ret,
        func_ret: codes.func_ret,
        error_msg: owned(codes.message),
        ..Status::default()
    };
    match status {
        event::Status::Missing => Status { cut: true, ..blank },
        event::Status::Thrift(thrift) => Status {
            biz: owned_biz(thrift.biz),
            exception: owned_exception(thrift.reply.exception()),
            result: match thrift.reply {
                event::Reply::Result(field) => Some(field),
                _ => None,
            },
            http: thrift.http,
            cut: thrift.cut || thrift.reply == event::Reply::Missing,
            ..blank
        },
        event::Status::Ttstream(trailer) => Status {
            biz: owned_biz(trailer.biz),
            exception: owned_exception(trailer.exception),
            trailer: true,
            cut: trailer.cut,
            ..blank
        },
        event::Status::Grpc(grpc) | event::Status::Connect(grpc) => Status {
            grpc: match grpc.code {
                event::GrpcCode::Code(code) => Some(GrpcStatus::Code(code)),
                event::GrpcCode::Malformed(text) => {
                    Some(GrpcStatus::Malformed(Text::Owned(text.decode().into_owned())))
                }
                event::GrpcCode::Unknown => Some(GrpcStatus::Unknown),
                event::GrpcCode::Absent => None,
            },
            grpc_message: owned(grpc.message),
            grpc_details: owned(grpc.details),
            biz: owned_biz(grpc.biz),
            http: grpc.http,
            cut: grpc.cut,
            ..blank
        },
        event::Status::Trpc(of) => {
            Status { cut: of.ret.is_none() || (of.ret == Some(0) && of.func_ret.is_none()), ..codes(of) }
        }
        event::Status::TrpcStream { end, codes: of } => {
            Status { trpc_end: *end, cut: end.is_none() || of.ret.is_none(), ..codes(of) }
        }
        event::Status::TrpcHttp { codes: of, http } => Status { http: *http, ..codes(of) },
        event::Status::Codes(of) => codes(of),
    }
}

/// An event with all that it can say side by side, on memory of its own.
pub(crate) fn own(side: Side, event: &Event<'_>) -> Seen {
    let mut metadata = Vec::new();
    if let Some(pairs) = event.headers() {
        pairs.each(&mut |key, value| {
            metadata.push((
                String::from_utf8_lossy(key).into_owned(),
                String::from_utf8_lossy(value).into_owned(),
            ));
        });
    }
    let mut message = Message { kind: event.kind(), start: event.start(), ..Message::default() };
    if let Some(head) = event.head() {
        message.id = head.id;
        message.bytes = head.bytes;
        message.more = head.more;
        message.truncated = head.truncated;
        message.transport = head.transport.name();
        message.rpc = head.rpc.name();
        message.codec = head.codec;
    }
    if let Some(names) = event.names() {
        message.service = owned(names.service);
        message.method = owned(names.method);
        message.caller = owned(names.caller);
        message.callee = owned(names.callee);
    }
    match event {
        Event::Request(request) => message.timeout = request.timeout,
        Event::Open(open) => {
            message.timeout = open.timeout;
            message.unknown_name = open.unknown_name;
        }
        Event::Part(part) => {
            message.messages = part.messages;
            message.status.cut = part.end_lost;
        }
        Event::Answer(answer) => {
            message.status = owned_status(&answer.status);
            message.status.body = answer.body;
            message.status.oneway = answer.oneway;
            message.quoted = answer
                .quoted
                .map(|quoted| Quoted { service: owned(quoted.service), method: owned(quoted.method) });
        }
        Event::Reset(reset) => {
            message.status.reset = Some(Reset {
                code: reset.code,
                message: owned(reset.message),
                cancel_path: owned(reset.cancel_path),
            });
        }
        Event::GoAway(goaway) => {
            message.bytes = goaway.bytes;
            message.id = CallId::Stream(0);
            message.transport = "http2";
            message.status.last_stream = goaway.last_stream;
            message.status.reset =
                Some(Reset { code: Some(goaway.code), message: owned(goaway.text), cancel_path: None });
        }
        Event::Complete(complete) => {
            message.id = complete.id;
            message.bytes = complete.bytes;
            message.truncated = complete.truncated;
        }
        Event::Begin(begin) => message.status.http = begin.http,
        Event::HalfClose(_)
        | Event::Body(_)
        | Event::BodyPiece(_)
        | Event::Foreign(_)
        | Event::Prelude(_)
        | Event::Lost { .. }
        | Event::Sealed { .. } => {}
    }
    Seen { side, message, metadata }
}
