//! An event with all that it can say side by side and on memory of its own: what tests compare.

use std::borrow::Cow;

pub(crate) use crate::event::{CallId, Kind, Pairs, ResultField, Side, TrpcEnd};

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
#[derive(Clone, Default)]
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
    /// The header's names and values.
    pub(crate) metadata: Option<&'a dyn Pairs>,
    /// Part of it was lost or cut off; what stands here is what was left.
    pub(crate) truncated: bool,
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
