//! The untyped form in which sessions still build what they saw; [`emit_message`] makes an [`Event`] of it.

use std::borrow::Cow;

use crate::event::{
    self, Answer, Begin, Codes, Complete, Event, GoAway, GrpcCode, Head, Names, Open, Part, Reply, Request,
    Rpc, ThriftStatus, Transport, TtstreamStatus,
};
pub use crate::event::{CallId, Kind, Pairs, ResultField, Side, TrpcEnd};
use crate::protocol::Emit;

/// Bytes of the wire, borrowed where they stand there as they are, owned where they had to be decoded.
pub type Text<'a> = Cow<'a, [u8]>;

/// A thrift application exception, or the equal message of Kitex Protobuf.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exception<'a> {
    /// `type` as sent; peers send numbers beyond the published ones.
    pub type_id: i32,
    /// `message`, empty where the field is absent.
    pub message: Text<'a>,
}

/// A business status that travels beside the framework's own (Kitex `biz-status`, `biz-message`, `biz-extra`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BizStatus<'a> {
    /// `biz-status` as sent: decimal text, which may be malformed. `None` where only the others were there.
    pub status: Option<Text<'a>>,
    /// `biz-message`.
    pub message: Option<Text<'a>>,
    /// `biz-extra`: one JSON object of strings, as sent.
    pub extra: Option<Text<'a>>,
}

/// Names that the text of an error quotes as those of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Quoted<'a> {
    /// Service.
    pub service: Option<Text<'a>>,
    /// Method.
    pub method: Option<Text<'a>>,
}

/// gRPC status as seen in trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcStatus<'a> {
    /// A readable number.
    Code(i64),
    /// There is a `grpc-status`, but it is no number.
    Malformed(Text<'a>),
    /// It can't be known whether or which: the header block refers to table entries from before the capture.
    Unknown,
}

/// How a stream was broken off.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reset<'a> {
    /// Error code: HTTP/2 error code, ttstream 120xx. `None` where it was lost.
    pub code: Option<i64>,
    /// Text, where the protocol sends one.
    pub message: Option<Text<'a>>,
    /// ttstream `ttscp`: services from the first canceller on, comma-separated as sent.
    pub cancel_path: Option<Text<'a>>,
}

/// Everything a message says of success or failure, as seen. A field is set only if the wire element was there.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Status<'a> {
    /// tRPC `ret` as sent; 0 where an answer leaves it out.
    pub ret: Option<i32>,
    /// tRPC `func_ret` as sent; 0 where an answer leaves it out.
    pub func_ret: Option<i32>,
    /// tRPC `error_msg`, `trpc-error-msg`, `CloseMeta.msg`.
    pub error_msg: Option<Text<'a>>,
    /// Kitex business status in a header or trailer.
    pub biz: Option<BizStatus<'a>>,
    /// Thrift message type EXCEPTION, or Kitex Protobuf error.
    pub exception: Option<Exception<'a>>,
    /// Thrift REPLY: first field of the result struct. `None` also where it was cut off.
    pub result: Option<ResultField>,
    /// gRPC `grpc-status`.
    pub grpc: Option<GrpcStatus<'a>>,
    /// gRPC `grpc-message`, percent-decoded.
    pub grpc_message: Option<Text<'a>>,
    /// gRPC `grpc-status-details-bin`, base64-decoded: a `google.rpc.Status`.
    pub grpc_details: Option<Text<'a>>,
    /// HTTP status, where HTTP carries the call.
    pub http: Option<u16>,
    /// How a stream was broken off ([`Kind::Reset`]); for [`Kind::GoAway`] its error code and debug text.
    pub reset: Option<Reset<'a>>,
    /// The highest stream that a GOAWAY still lets through.
    pub last_stream: Option<i64>,
    /// How a tRPC stream ended.
    pub trpc_end: Option<TrpcEnd>,
    /// The answer is a ttstream trailer (its exception and biz status have carriers of their own).
    pub trailer: bool,
    /// The sender's part of the payload is not empty although the status tells of an error.
    pub body: bool,
    /// The answer says by itself that its call wanted none (tRPC `call_type`).
    pub oneway: bool,
    /// The bytes that would tell the outcome are missing (lost, or cut off by the snap length).
    pub cut: bool,
}

/// One thing that a protocol saw. Names and texts are wire bytes; they may be no UTF-8 and may hold control characters.
#[derive(Clone, Default)]
pub struct Message<'a> {
    /// What it does to its call.
    pub kind: Kind,
    /// Pairs it with others of its call, within the connection.
    pub id: CallId,
    /// Stream offset (in the bytes of the side that sent it) of its first byte. For [`Kind::Complete`]: of its last.
    pub start: u64,
    /// Size in bytes as sent, own headers included; 0 if not known yet (then [`Kind::Complete`] tells).
    pub bytes: u64,
    /// Messages inside ([`Kind::Part`]; 0 for others).
    pub messages: u32,
    /// More bytes of this message follow, and a [`Kind::Complete`] will say when they have passed.
    pub more: bool,
    /// What carries it, as in the call record: `ttheader`, `framed`, `buffered`, `theader`, `http2`, `http1`, `trpc`,
    /// `mesh-header`.
    pub transport: &'static str,
    /// The RPC protocol, as in the call record: `thrift`, `kitex-protobuf`, `grpc`, `ttstream`, `trpc`, `trpc-stream`,
    /// `trpc-http`.
    pub rpc: &'static str,
    /// Payload codec, as in the call record; `None` where nothing says.
    pub codec: Option<&'static str>,
    /// Service as the wire names it.
    pub service: Option<Text<'a>>,
    /// Method as the wire names it.
    pub method: Option<Text<'a>>,
    /// Name of the calling service.
    pub caller: Option<Text<'a>>,
    /// Name of the called service.
    pub callee: Option<Text<'a>>,
    /// Time the caller is willing to wait, nanoseconds (tRPC head field 4, TTHeader key 12, `grpc-timeout`).
    pub timeout: Option<u64>,
    /// A name that can't be known because it was said before the capture began: messages of a
    /// connection with the same number have the same unknown name (HPACK entries of an unknown table). At most 4096.
    pub unknown_name: Option<u64>,
    /// The names of what was asked for as the answer's own text quotes them: the callee says that it has no such service or
    /// method, and nothing came before. No proof, since a callee may pass on what its own callee said.
    pub quoted: Option<Quoted<'a>>,
    /// What it says of success or failure.
    pub status: Status<'a>,
    /// The header's names and values.
    pub metadata: Option<&'a dyn Pairs>,
    /// Part of it was lost or cut off; what stands here is what was left.
    pub truncated: bool,
}

impl std::fmt::Debug for Message<'_> {
    /// All fields but the metadata source, texts as lossy UTF-8: for test failures.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn lossy(text: Option<&Text<'_>>) -> Option<String> {
            text.map(|t| String::from_utf8_lossy(t).into_owned())
        }
        let mut pairs = Vec::new();
        if let Some(metadata) = self.metadata {
            metadata.each(&mut |k, v| {
                pairs
                    .push((String::from_utf8_lossy(k).into_owned(), String::from_utf8_lossy(v).into_owned()));
            });
        }
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("start", &self.start)
            .field("bytes", &self.bytes)
            .field("messages", &self.messages)
            .field("more", &self.more)
            .field("transport", &self.transport)
            .field("rpc", &self.rpc)
            .field("codec", &self.codec)
            .field("service", &lossy(self.service.as_ref()))
            .field("method", &lossy(self.method.as_ref()))
            .field("caller", &lossy(self.caller.as_ref()))
            .field("callee", &lossy(self.callee.as_ref()))
            .field("timeout", &self.timeout)
            .field("unknown_name", &self.unknown_name)
            .field("quoted", &self.quoted)
            .field("status", &self.status)
            .field("metadata", &pairs)
            .field("truncated", &self.truncated)
            .finish()
    }
}

impl Pairs for [(Text<'_>, Text<'_>)] {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (key, value) in self {
            each(key, value);
        }
    }
}

impl Pairs for Vec<(Text<'_>, Text<'_>)> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.as_slice().each(each);
    }
}

fn rpc(name: &'static str) -> Rpc {
    let known = [
        Rpc::Thrift,
        Rpc::KitexProtobuf,
        Rpc::Grpc,
        Rpc::Ttstream,
        Rpc::Trpc,
        Rpc::TrpcStream,
        Rpc::TrpcHttp,
    ];
    known.into_iter().find(|rpc| rpc.name() == name).unwrap_or(Rpc::Other(name))
}

fn transport(name: &'static str) -> Transport {
    let known = [
        Transport::TtHeader,
        Transport::Framed,
        Transport::Buffered,
        Transport::THeader,
        Transport::MeshHeader,
        Transport::Http2,
        Transport::Http1,
        Transport::Trpc,
    ];
    known.into_iter().find(|transport| transport.name() == name).unwrap_or(Transport::Other(name))
}

fn plain<'m>(text: Option<&'m Text<'_>>) -> Option<event::Text<'m>> {
    text.map(|text| event::Text::Plain(text))
}

fn status<'m>(rpc: Rpc, status: &'m Status<'_>) -> event::Status<'m> {
    let biz = status.biz.as_ref().map(|biz| event::BizStatus {
        status: plain(biz.status.as_ref()),
        message: plain(biz.message.as_ref()),
        extra: plain(biz.extra.as_ref()),
    });
    let exception = status.exception.as_ref().map(|exception| event::Exception {
        type_id: exception.type_id,
        message: event::Text::Plain(&exception.message),
    });
    let codes =
        Codes { ret: status.ret, func_ret: status.func_ret, message: plain(status.error_msg.as_ref()) };
    match rpc {
        Rpc::Thrift | Rpc::KitexProtobuf => event::Status::Thrift(ThriftStatus {
            biz,
            reply: match (exception, status.result) {
                (Some(exception), _) => Reply::Exception(exception),
                (None, Some(field)) => Reply::Result(field),
                (None, None) if status.cut => Reply::Missing,
                (None, None) => Reply::Silent,
            },
            http: status.http,
            cut: status.cut,
        }),
        Rpc::Ttstream => event::Status::Ttstream(TtstreamStatus { biz, exception, cut: status.cut }),
        Rpc::Grpc => event::Status::Grpc(event::GrpcStatus {
            code: match &status.grpc {
                Some(GrpcStatus::Code(code)) => GrpcCode::Code(*code),
                Some(GrpcStatus::Malformed(text)) => GrpcCode::Malformed(event::Text::Plain(text)),
                Some(GrpcStatus::Unknown) => GrpcCode::Unknown,
                None => GrpcCode::Absent,
            },
            message: plain(status.grpc_message.as_ref()),
            details: plain(status.grpc_details.as_ref()),
            biz,
            http: status.http,
            cut: status.cut,
        }),
        Rpc::TrpcHttp | Rpc::Other(_) if status.cut => event::Status::Missing,
        Rpc::Trpc => event::Status::Trpc(codes),
        Rpc::TrpcStream => event::Status::TrpcStream { end: status.trpc_end, codes },
        Rpc::TrpcHttp => event::Status::TrpcHttp { codes, http: status.http },
        Rpc::Other(_) => event::Status::Codes(codes),
    }
}

/// Emits a message as the event that it is.
#[allow(clippy::needless_pass_by_value, reason = "callers build it in place")]
pub(crate) fn emit_message(emit: &mut Emit<'_>, side: Side, message: Message<'_>) {
    let message = &message;
    let head = Head {
        rpc: rpc(message.rpc),
        transport: transport(message.transport),
        codec: message.codec,
        id: message.id,
        start: message.start,
        bytes: message.bytes,
        more: message.more,
        truncated: message.truncated,
    };
    let names = Names {
        service: plain(message.service.as_ref()),
        method: plain(message.method.as_ref()),
        caller: plain(message.caller.as_ref()),
        callee: plain(message.callee.as_ref()),
    };
    let headers = message.metadata;
    let reset = message.status.reset.as_ref();
    let event = match message.kind {
        Kind::Request | Kind::Oneway => Event::Request(Request {
            head,
            oneway: message.kind == Kind::Oneway,
            names,
            timeout: message.timeout,
            headers,
        }),
        Kind::Open => Event::Open(Open {
            head,
            names,
            timeout: message.timeout,
            unknown_name: message.unknown_name,
            headers,
        }),
        Kind::Begin => Event::Begin(Begin { head, names, http: message.status.http, headers }),
        Kind::Part => Event::Part(Part { head, messages: message.messages, end_lost: message.status.cut }),
        Kind::HalfClose => Event::HalfClose(head),
        Kind::Answer => Event::Answer(Answer {
            head,
            names,
            quoted: message.quoted.as_ref().map(|quoted| event::Quoted {
                service: plain(quoted.service.as_ref()),
                method: plain(quoted.method.as_ref()),
            }),
            status: status(head.rpc, &message.status),
            body: message.status.body,
            oneway: message.status.oneway,
            headers,
        }),
        Kind::Reset => Event::Reset(event::Reset {
            head,
            names,
            code: reset.and_then(|reset| reset.code),
            message: plain(reset.and_then(|reset| reset.message.as_ref())),
            cancel_path: plain(reset.and_then(|reset| reset.cancel_path.as_ref())),
            headers,
        }),
        Kind::GoAway => Event::GoAway(GoAway {
            start: message.start,
            bytes: message.bytes,
            code: reset.and_then(|reset| reset.code).unwrap_or_default(),
            text: plain(reset.and_then(|reset| reset.message.as_ref())),
            last_stream: message.status.last_stream,
        }),
        Kind::Complete => Event::Complete(Complete {
            id: message.id,
            end: message.start,
            bytes: message.bytes,
            truncated: message.truncated,
        }),
        Kind::Lost => Event::Lost { start: message.start },
    };
    emit(side, &event);
}
