//! What an answer says of success or failure, in the terms of its protocol.

use super::Text;

/// A thrift application exception (`TApplicationException`), or the equal message of Kitex Protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception<'a> {
    /// `type` as sent; peers send numbers beyond the published ones.
    pub type_id: i32,
    /// `message`, empty where the field is absent.
    pub message: Text<'a>,
}

/// The first field of a reply's result struct (thrift, doc/specs/thrift-rpc.md, "Response struct").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultField {
    /// The struct is empty: void, a nil result, or a result that was lost. The wire doesn't say which.
    Empty,
    /// Field 0: the result.
    Success,
    /// Another field: the declared exception of that number.
    Exception(i16),
}

/// A business status that travels beside the framework's own (Kitex `biz-status`, `biz-message`, `biz-extra`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BizStatus<'a> {
    /// `biz-status` as sent: decimal text, which may be malformed. `None` where only the others were there.
    pub status: Option<Text<'a>>,
    /// `biz-message`.
    pub message: Option<Text<'a>>,
    /// `biz-extra`: one JSON object of strings, as sent.
    pub extra: Option<Text<'a>>,
}

/// Names that the text of an error quotes as those of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Quoted<'a> {
    /// Service.
    pub service: Option<Text<'a>>,
    /// Method.
    pub method: Option<Text<'a>>,
}

/// `grpc-status` as seen in trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcCode<'a> {
    /// A readable number.
    Code(i64),
    /// There is a `grpc-status`, but it is no number.
    Malformed(Text<'a>),
    /// It can't be known whether or which: the header block refers to table entries from before the capture.
    Unknown,
    /// There is none.
    Absent,
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

/// The codes of an answer that separates the framework's failure from the callee's (tRPC `ret` and `func_ret`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Codes<'a> {
    /// The framework's. `None` if the bytes that hold it are missing; 0 where an answer leaves it out.
    pub ret: Option<i32>,
    /// The callee's, likewise.
    pub func_ret: Option<i32>,
    /// tRPC `error_msg`, `CloseMeta.msg`, `trpc-error-msg`.
    pub message: Option<Text<'a>>,
}

/// What a thrift reply says in its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Nothing about the outcome: the answer has no thrift message, or one whose struct says nothing (Kitex Protobuf).
    Silent,
    /// The first field of the result struct.
    Result(ResultField),
    /// A message of type EXCEPTION.
    Exception(Exception<'a>),
    /// The bytes that say it are missing.
    Missing,
}

impl<'a> Reply<'a> {
    /// The exception, if it is one.
    #[must_use]
    pub fn exception(self) -> Option<Exception<'a>> {
        match self {
            Self::Exception(exception) => Some(exception),
            Self::Silent | Self::Result(_) | Self::Missing => None,
        }
    }
}

/// Everything an answer says of success or failure, as seen, in the terms of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// The bytes that say it are missing (lost, or cut off by the snap length).
    Missing,
    /// Thrift and Kitex Protobuf, in whatever transport.
    Thrift(ThriftStatus<'a>),
    /// A ttstream trailer.
    Ttstream(TtstreamStatus<'a>),
    /// gRPC trailers.
    Grpc(GrpcStatus<'a>),
    /// An answer of Connect or Triple, whose codes are gRPC's: an error as JSON, or the end of a stream. Code 0 where it says that
    /// all is well. `details` is a `google.rpc.Status`, as in gRPC.
    Connect(GrpcStatus<'a>),
    /// A unary answer of tRPC.
    Trpc(Codes<'a>),
    /// The end of a tRPC stream.
    TrpcStream {
        /// How it ended. `None` if the bytes that say it are missing.
        end: Option<TrpcEnd>,
        /// Its codes.
        codes: Codes<'a>,
    },
    /// An answer of tRPC over HTTP, where codes that are absent are 0.
    TrpcHttp {
        /// The codes of `trpc-ret` and `trpc-func-ret`.
        codes: Codes<'a>,
        /// The HTTP status.
        http: Option<u16>,
    },
    /// An answer of a protocol without rules of its own ([`Rpc::Other`](super::Rpc::Other)).
    Codes(Codes<'a>),
}

/// The outcome of a thrift call as its answer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThriftStatus<'a> {
    /// The business status in the header.
    pub biz: Option<BizStatus<'a>>,
    /// The payload.
    pub reply: Reply<'a>,
    /// The HTTP status, where HTTP carries the call.
    pub http: Option<u16>,
    /// Bytes are missing in which a business status may have stood.
    pub cut: bool,
}

/// The outcome of a ttstream as its trailer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtstreamStatus<'a> {
    /// The business status in the header.
    pub biz: Option<BizStatus<'a>>,
    /// The exception in the payload.
    pub exception: Option<Exception<'a>>,
    /// Bytes are missing in which either may have stood.
    pub cut: bool,
}

/// The outcome of a gRPC call as its trailers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatus<'a> {
    /// `grpc-status`.
    pub code: GrpcCode<'a>,
    /// `grpc-message`.
    pub message: Option<Text<'a>>,
    /// `grpc-status-details-bin`: a `google.rpc.Status`.
    pub details: Option<Text<'a>>,
    /// The business status that Kitex sends beside it.
    pub biz: Option<BizStatus<'a>>,
    /// The HTTP status of the answer.
    pub http: Option<u16>,
    /// Bytes or table entries are missing in which another field of these may have stood.
    pub cut: bool,
    /// The name of the code's or the text's field can't be read and was found by exclusion.
    pub deduced: bool,
}

impl<'a> GrpcStatus<'a> {
    /// That code and nothing else.
    #[must_use]
    pub const fn of(code: GrpcCode<'a>) -> Self {
        Self { code, message: None, details: None, biz: None, http: None, cut: false, deduced: false }
    }
}
