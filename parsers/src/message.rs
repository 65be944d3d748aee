//! What every protocol delivers: a [`Message`] says what was seen, never what it means for the class of a call.

use std::borrow::Cow;

/// One of the two ends of a connection, named by the bytes it sends. Which end is the client is told by the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The end with the lower address and port.
    A,
    /// The other end.
    B,
}

impl Side {
    /// The end that receives what this one sends.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// What belongs to this end in a pair of A's and B's.
    #[must_use]
    pub fn of<T>(self, pair: &[T; 2]) -> &T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    /// As [`Side::of`], to change it.
    #[must_use]
    pub fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    /// 0 or 1, for arrays of two.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// Bytes of the wire, borrowed where they stand there as they are, owned where they had to be decoded.
pub type Text<'a> = Cow<'a, [u8]>;

/// What a message does to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Opens a call to which one answer is due.
    #[default]
    Request,
    /// Opens a call to which no answer is due.
    Oneway,
    /// Opens a stream; `Part`s follow.
    Open,
    /// The callee's first sign on a stream: no verdict yet, but the end of the latency.
    Begin,
    /// Messages of a stream sent by `side` (`messages`, `bytes`).
    Part,
    /// `side` will send nothing more on this stream. Not a verdict.
    HalfClose,
    /// The callee's answer, or the end of the stream with its status.
    Answer,
    /// `side` breaks the stream off (HTTP/2 `RST_STREAM`, ttstream Rst); [`Status::reset`] says how.
    Reset,
    /// `side` takes no stream above [`Status::last_stream`] any more; the id of the message has no meaning.
    GoAway,
    /// The last byte of the message that was announced with `more` has passed (or is known to be lost);
    /// `bytes` is its whole size.
    Complete,
    /// Bytes of `side` are missing, or make no sense, where whole messages may have stood: the answer to every call that
    /// waits for one of `side` may be among them. The id of the message has no meaning.
    Lost,
}

/// The number that pairs request and answer, with how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum CallId {
    /// Request id that pairs exactly (tRPC `request_id`).
    Request(i64),
    /// Sequence number that peers may leave at 0 or get wrong (thrift): pairs by number first, by order among equal ones.
    Loose(i64),
    /// A stream of a connection (HTTP/2, ttstream, tRPC stream).
    Stream(i64),
    /// No number: answers come in the order of requests (HTTP/1.1).
    #[default]
    Order,
}

impl CallId {
    /// The number as sent, for the call record; `None` where the protocol has none.
    #[must_use]
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Request(n) | Self::Loose(n) | Self::Stream(n) => Some(n),
            Self::Order => None,
        }
    }
}

/// Names and values of a message's header, given one after the other without being copied.
pub trait Pairs {
    /// Calls `each` with every key and value in the order of the wire. Numeric keys are given by their standard name
    /// (`FromService`), unknown ones as decimal text.
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8]));
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

/// A thrift application exception, or the equal message of Kitex Protobuf.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exception<'a> {
    /// `type` as sent; peers send numbers beyond the published ones.
    pub type_id: i32,
    /// `message`, empty where the field is absent.
    pub message: Text<'a>,
}

/// The first field of a reply's result struct (thrift).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultField {
    /// The struct is empty: void, a nil result, or a result that was lost. The wire can't tell.
    Empty,
    /// Field 0: the result.
    Success,
    /// Another field: the declared exception of that number.
    Exception(i16),
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

/// How a tRPC stream frame ended or refused a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrpcEnd {
    /// CLOSE with type CLOSE.
    Close,
    /// CLOSE with type RESET.
    Reset,
    /// An INIT answer with a `ret`.
    Refused,
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
