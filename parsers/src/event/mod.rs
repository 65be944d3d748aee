//! What every protocol delivers: an [`Event`] says what was seen on the wire, never what it means for the class of a call.
//!
//! Events borrow from the bytes that were read: nothing in them owns memory, so that they cost nothing to make and to
//! drop. Each has only the fields that it can have:
//!
//! | event | what it does to its call |
//! | --- | --- |
//! | [`Request`] | opens a unary call (or a oneway) |
//! | [`Open`] | opens a stream |
//! | [`Begin`] | the callee's first sign on a stream: the end of the latency, no verdict yet |
//! | [`Part`] | messages of a stream |
//! | [`HalfClose`] | one side sends nothing more on the stream, where no [`Part`] has said so; no verdict |
//! | [`Answer`] | the callee's answer, or the end of the stream with its [`Status`] |
//! | [`Reset`] | one side breaks the stream off |
//! | [`GoAway`] | one side accepts no new streams |
//! | [`Event::Prelude`] | none: it names the addresses in front of the connection |
//! | [`Complete`] | the last byte of an event with [`Head::more`] has passed |
//! | [`Body`] | none: it is what a message says, for whoever asked for it |
//! | [`BodyPiece`] | none: it says which bytes may be replaced, for whoever asked for that |
//! | [`Foreign`] | the callee answers with something that is no message of the protocol |
//! | [`Event::Lost`] | bytes are missing in which answers may have stood |
//! | [`Event::Sealed`] | none: no session emits it, but whoever takes TLS apart, where bytes inside can't be read |

mod context;
mod pairs;
mod part;
mod protocol;
mod status;
mod text;

use std::fmt;

pub use context::{CONTEXT_NAMES, CONTEXT_PREFIXES, may_be_context};
pub use pairs::{Headers, Pairs, Shown};
pub use part::Part;
pub use protocol::{Rpc, Transport};
pub use status::{
    BizStatus, Codes, Exception, GrpcCode, GrpcStatus, Quoted, Reply, ResultField, Status, ThriftStatus,
    TrpcEnd, TtstreamStatus,
};
pub use text::Text;

pub use crate::layout::{Form, Layout};
pub use crate::prelude::Prelude;
pub use crate::thrift::skip::StructFormat;

/// One of the two ends of a connection, named by the bytes it sends. The events say which end is the client.
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

/// What every event of a call has: which call of which protocol it belongs to, and where its bytes stand. What [`Event::start`] says comes
/// first here, as in all that are in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// Stream offset of its first byte, in the bytes of the side that sent it.
    pub start: u64,
    /// Size in bytes as sent, own headers included; 0 if not known yet (then [`Complete`] says).
    pub bytes: u64,
    /// Pairs it with other events of its call, within the connection.
    pub id: CallId,
    /// The RPC protocol.
    pub rpc: Rpc,
    /// What carries it.
    pub transport: Transport,
    /// Payload codec, as in the call record (key `codec`); `None` where nothing says.
    pub codec: Option<&'static str>,
    /// More of its bytes follow, and a [`Complete`] comes when they have passed.
    pub more: bool,
    /// Part of it was lost or cut off; the event holds what was left.
    pub truncated: bool,
}

impl Head {
    /// The head of an event of that protocol, with everything else still unknown.
    #[must_use]
    pub fn new(rpc: Rpc, transport: Transport, id: CallId) -> Self {
        Self { rpc, transport, codec: None, id, start: 0, bytes: 0, more: false, truncated: false }
    }
}

/// The names in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Names<'a> {
    /// Service as the wire names it.
    pub service: Option<Text<'a>>,
    /// Method as the wire names it.
    pub method: Option<Text<'a>>,
    /// Name of the calling service.
    pub caller: Option<Text<'a>>,
    /// Name of the called service.
    pub callee: Option<Text<'a>>,
    /// The library that sent a request, where the request shows it.
    pub sender: Option<Sender<'a>>,
}

/// What a request shows of the library that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// It names itself (`user-agent`).
    Named(&'a [u8]),
    /// Kitex, by the integer keys of its TTHeader.
    Kitex,
    /// Volo, by the integer keys of its TTHeader.
    Volo,
    /// trpc-go, by the fixed head of its frame.
    TrpcGo,
}

/// Opens a call to which one answer is due, or none.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Request<'a> {
    /// Which call, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// Who calls what.
    pub names: Names<'a>,
    /// No answer is due.
    pub oneway: bool,
    /// Time the caller is willing to wait, nanoseconds (tRPC head field 4, TTHeader key 12, `trpc-timeout`).
    pub timeout: Option<u64>,
    /// Its header may hold trace context: a name in it [may be](may_be_context) that of one.
    pub traced: bool,
}

/// Opens a stream; [`Part`]s follow.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Open<'a> {
    /// Which stream, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// Who calls what.
    pub names: Names<'a>,
    /// Each side sends one message, whatever is seen of them.
    pub unary: bool,
    /// Time the caller is willing to wait, nanoseconds (`grpc-timeout`, TTHeader key 12).
    pub timeout: Option<u64>,
    /// A name that can't be known because it was sent before the capture began: streams of a connection with the same
    /// number have the same unknown name (HPACK entries of an unknown table). At most 4096.
    pub unknown_name: Option<u64>,
    /// Its header may hold trace context: a name in it [may be](may_be_context) that of one.
    pub traced: bool,
}

/// The callee's first sign on a stream.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Begin<'a> {
    /// Which stream, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// Names that the callee sends back.
    pub names: Names<'a>,
    /// The HTTP status, where HTTP carries the call.
    pub http: Option<u16>,
    /// It already has a status of the RPC, which the end of the stream repeats or replaces.
    pub has_status: bool,
}

/// One side sends nothing more on the stream. Not a verdict.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct HalfClose<'a> {
    /// Which stream, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
}

/// The callee's answer, or the end of the stream with its status.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Answer<'a> {
    /// Which call, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// Names that the callee sends back.
    pub names: Names<'a>,
    /// The names of what was asked for as the answer's own text quotes them: the callee says that it has no such service
    /// or method, and nothing came before. No proof, since a callee may pass on what its own callee said.
    pub quoted: Option<Quoted<'a>>,
    /// What it says of success or failure.
    pub status: Status<'a>,
    /// It has a payload. Only asked of answers that report an error.
    pub body: bool,
    /// It says by itself that its call wanted no answer (tRPC `call_type`).
    pub oneway: bool,
}

impl<'a> Answer<'a> {
    /// An answer that says nothing but its status.
    #[must_use]
    pub fn new(head: Head, status: Status<'a>) -> Self {
        Self {
            head,
            names: Names::default(),
            quoted: None,
            status,
            body: false,
            oneway: false,
            headers: None,
        }
    }
}

/// One side breaks the stream off (HTTP/2 `RST_STREAM`, ttstream Rst).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Reset<'a> {
    /// Which stream, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// Names that it carries.
    pub names: Names<'a>,
    /// HTTP/2 error code or ttstream 120xx. `None` where it was lost.
    pub code: Option<i64>,
    /// Text, where the protocol sends one.
    pub message: Option<Text<'a>>,
    /// ttstream `ttscp`: services from the first canceller on, comma-separated as sent.
    pub cancel_path: Option<Text<'a>>,
}

/// One side accepts no new streams (HTTP/2 GOAWAY, RFC 9113, section 6.8).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GoAway<'a> {
    /// Stream offset of its first byte.
    pub start: u64,
    /// Size of its frame in bytes.
    pub bytes: u64,
    /// HTTP/2 error code.
    pub code: i64,
    /// Debug data, where there is some.
    pub text: Option<Text<'a>>,
    /// The highest stream that it still lets through; `None` in a GOAWAY of the client, which says nothing of the streams
    /// that the client opened.
    pub last_stream: Option<i64>,
}

/// The last byte of an event with [`Head::more`] has passed, or is known to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Complete {
    /// Stream offset of its last byte.
    pub end: u64,
    /// The id of that event.
    pub id: CallId,
    /// Its whole size.
    pub bytes: u64,
    /// Part of it was lost or cut off.
    pub truncated: bool,
}

/// The body of one message: thrift's struct after the message head, a protobuf or JSON message, without what carries it. Emitted only
/// by sessions that were asked for bodies ([`Session::collect_bodies`](crate::Session::collect_bodies)), directly before the event
/// that comes with the last byte of its message: the message's own event, or its [`Complete`]. A [`Part`] may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Body<'a> {
    /// Stream offset of a byte of its message.
    pub at: u64,
    /// The id of that event.
    pub id: CallId,
    /// The bytes, as sent; empty unless `whole`.
    pub bytes: &'a [u8],
    /// Nothing of it is missing, and it is not larger than what was asked for.
    pub whole: bool,
    /// How it is compressed: the value of `grpc-encoding`, or that name for the number of another protocol; `None` if it is not.
    pub encoding: Option<&'a str>,
}

/// Bytes that may be replaced without any call being read in another way: those of a body as they pass, and what could not be read.
/// Emitted only by sessions that were asked for them ([`Session::mark_bodies`](crate::Session::mark_bodies)). What heads and errors say is
/// never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BodyPiece<'a> {
    /// Stream offset of its first byte.
    pub at: u64,
    /// The bytes, as sent.
    pub bytes: &'a [u8],
    /// They are the first ones of a body.
    pub begins: bool,
    /// What of them has to stay.
    pub form: BodyForm,
}

/// What has to stay of a body's bytes for its call to be read as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// Nothing.
    Opaque,
    /// Nothing; it was not read as a message, and what stands in its place must not be read as one either.
    Unread,
    /// The structure of a thrift struct: it says where the message ends, or which exception it holds.
    Struct(StructFormat),
    /// All: the body is packed together with what has to stay.
    Sealed,
}

/// What an answer in another language is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignAnswer<'a> {
    /// For the record of the connection: in which language the callee answers.
    pub reason: &'static str,
    /// What it is, in words; empty where its own first line says it.
    pub what: &'static str,
    /// Its first line, or what it says of an error; may be empty.
    pub detail: &'a [u8],
}

impl fmt::Display for ForeignAnswer<'_> {
    /// What it is in one line. Undecodable bytes are replaced; may hold control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = String::from_utf8_lossy(self.detail);
        match (self.what, &*detail) {
            ("", detail) => f.write_str(detail),
            (what, "") => f.write_str(what),
            (what, detail) => write!(f, "{what}: {detail}"),
        }
    }
}

/// The callee answers with something that is no message of the protocol, certainly: nothing of its bytes is missing, and it
/// stands where a message has to begin. Which call it answers can't be said, but no client of the protocol can read on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Foreign<'a> {
    /// Stream offset of its first byte.
    pub start: u64,
    /// What it is; `None` for bytes that are in no known language.
    pub answer: Option<ForeignAnswer<'a>>,
}

/// One thing that a protocol saw. What several kinds have in common comes first in each of them, in the order of their declarations
/// (`repr(C)`), and behind a number of its own (`repr(u8)`), so that it is found without asking which one it is.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Event<'a> {
    /// Opens a call to which one answer is due, or none.
    Request(Request<'a>),
    /// Opens a stream.
    Open(Open<'a>),
    /// The callee's first sign on a stream.
    Begin(Begin<'a>),
    /// Messages of a stream.
    Part(Part<'a>),
    /// The sender sends nothing more on this stream. Not a verdict.
    HalfClose(HalfClose<'a>),
    /// The callee's answer, or the end of the stream with its status.
    Answer(Answer<'a>),
    /// The sender breaks the stream off.
    Reset(Reset<'a>),
    /// The sender accepts no new streams.
    GoAway(GoAway<'a>),
    /// The last byte of an event with [`Head::more`] has passed.
    Complete(Complete),
    /// The body of a message whose event comes next.
    Body(Body<'a>),
    /// Bytes of a body as they pass.
    BodyPiece(BodyPiece<'a>),
    /// A proxy stands in between, and these are the addresses that it was told or that it tells. Comes before all others.
    Prelude(Prelude<'a>),
    /// The sender answers with something that is no message of the protocol.
    Foreign(Foreign<'a>),
    /// Bytes of the sender are missing, or make no sense, where whole messages may have stood: the answer to every call
    /// that waits for one may be among them.
    Lost {
        /// Stream offset of the first of these bytes.
        start: u64,
    },
    /// Bytes of the sender stay encrypted: the session was told of a gap, of unknown length.
    Sealed {
        /// Stream offset of what follows them.
        start: u64,
    },
}

/// Which [`Event`] it was, for whoever keeps a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    #[default]
    /// [`Event::Request`] to which an answer is due.
    Request,
    /// [`Event::Request`] without an answer.
    Oneway,
    /// [`Event::Open`].
    Open,
    /// [`Event::Begin`].
    Begin,
    /// [`Event::Part`].
    Part,
    /// [`Event::HalfClose`].
    HalfClose,
    /// [`Event::Answer`].
    Answer,
    /// [`Event::Reset`].
    Reset,
    /// [`Event::GoAway`].
    GoAway,
    /// [`Event::Complete`].
    Complete,
    /// [`Event::Body`].
    Body,
    /// [`Event::BodyPiece`].
    BodyPiece,
    /// [`Event::Prelude`].
    Prelude,
    /// [`Event::Foreign`].
    Foreign,
    /// [`Event::Lost`].
    Lost,
    /// [`Event::Sealed`].
    Sealed,
}

impl<'a> Event<'a> {
    /// Which event it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Request(request) if request.oneway => Kind::Oneway,
            Self::Request(_) => Kind::Request,
            Self::Open(_) => Kind::Open,
            Self::Begin(_) => Kind::Begin,
            Self::Part(_) => Kind::Part,
            Self::HalfClose(_) => Kind::HalfClose,
            Self::Answer(_) => Kind::Answer,
            Self::Reset(_) => Kind::Reset,
            Self::GoAway(_) => Kind::GoAway,
            Self::Complete(_) => Kind::Complete,
            Self::Body(_) => Kind::Body,
            Self::BodyPiece(_) => Kind::BodyPiece,
            Self::Prelude(_) => Kind::Prelude,
            Self::Foreign(_) => Kind::Foreign,
            Self::Lost { .. } => Kind::Lost,
            Self::Sealed { .. } => Kind::Sealed,
        }
    }

    /// Its head; `None` for events that belong to no call or only end another event.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        match self {
            Self::Request(Request { head, .. })
            | Self::Open(Open { head, .. })
            | Self::Begin(Begin { head, .. })
            | Self::Part(Part { head, .. })
            | Self::HalfClose(HalfClose { head, .. })
            | Self::Answer(Answer { head, .. })
            | Self::Reset(Reset { head, .. }) => Some(head),
            Self::GoAway(_)
            | Self::Complete(_)
            | Self::Body(_)
            | Self::BodyPiece(_)
            | Self::Foreign(_)
            | Self::Prelude(_)
            | Self::Lost { .. }
            | Self::Sealed { .. } => None,
        }
    }

    /// As [`Event::head`], to change it.
    pub fn head_mut(&mut self) -> Option<&mut Head> {
        match self {
            Self::Request(Request { head, .. })
            | Self::Open(Open { head, .. })
            | Self::Begin(Begin { head, .. })
            | Self::Part(Part { head, .. })
            | Self::HalfClose(HalfClose { head, .. })
            | Self::Answer(Answer { head, .. })
            | Self::Reset(Reset { head, .. }) => Some(head),
            Self::GoAway(_)
            | Self::Complete(_)
            | Self::Body(_)
            | Self::BodyPiece(_)
            | Self::Foreign(_)
            | Self::Prelude(_)
            | Self::Lost { .. }
            | Self::Sealed { .. } => None,
        }
    }

    /// Stream offset of its first byte; of a [`Complete`], of the last byte of what it ends; 0 for what stands before all bytes of a stream.
    #[must_use]
    pub fn start(&self) -> u64 {
        match self {
            Self::Request(Request { head: Head { start, .. }, .. })
            | Self::Open(Open { head: Head { start, .. }, .. })
            | Self::Begin(Begin { head: Head { start, .. }, .. })
            | Self::Part(Part { head: Head { start, .. }, .. })
            | Self::HalfClose(HalfClose { head: Head { start, .. }, .. })
            | Self::Answer(Answer { head: Head { start, .. }, .. })
            | Self::Reset(Reset { head: Head { start, .. }, .. })
            | Self::GoAway(GoAway { start, .. })
            | Self::Complete(Complete { end: start, .. })
            | Self::Body(Body { at: start, .. })
            | Self::BodyPiece(BodyPiece { at: start, .. })
            | Self::Foreign(Foreign { start, .. })
            | Self::Lost { start }
            | Self::Sealed { start } => *start,
            Self::Prelude(_) => 0,
        }
    }

    /// The names in it, where it can have some.
    #[must_use]
    pub fn names(&self) -> Option<&Names<'a>> {
        match self {
            Self::Request(Request { names, .. })
            | Self::Open(Open { names, .. })
            | Self::Begin(Begin { names, .. })
            | Self::Answer(Answer { names, .. })
            | Self::Reset(Reset { names, .. }) => Some(names),
            Self::Part(_)
            | Self::HalfClose(_)
            | Self::GoAway(_)
            | Self::Complete(_)
            | Self::Body(_)
            | Self::BodyPiece(_)
            | Self::Prelude(_)
            | Self::Foreign(_)
            | Self::Lost { .. }
            | Self::Sealed { .. } => None,
        }
    }

    /// As [`Event::names`], to change them.
    pub fn names_mut(&mut self) -> Option<&mut Names<'a>> {
        match self {
            Self::Request(Request { names, .. })
            | Self::Open(Open { names, .. })
            | Self::Begin(Begin { names, .. })
            | Self::Answer(Answer { names, .. })
            | Self::Reset(Reset { names, .. }) => Some(names),
            Self::Part(_)
            | Self::HalfClose(_)
            | Self::GoAway(_)
            | Self::Complete(_)
            | Self::Body(_)
            | Self::BodyPiece(_)
            | Self::Prelude(_)
            | Self::Foreign(_)
            | Self::Lost { .. }
            | Self::Sealed { .. } => None,
        }
    }

    /// Names and values of its header, where it has one.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        match self {
            Self::Request(Request { headers, .. })
            | Self::Open(Open { headers, .. })
            | Self::Begin(Begin { headers, .. })
            | Self::Part(Part { headers, .. })
            | Self::HalfClose(HalfClose { headers, .. })
            | Self::Answer(Answer { headers, .. })
            | Self::Reset(Reset { headers, .. }) => *headers,
            Self::GoAway(_)
            | Self::Complete(_)
            | Self::Body(_)
            | Self::BodyPiece(_)
            | Self::Foreign(_)
            | Self::Prelude(_)
            | Self::Lost { .. }
            | Self::Sealed { .. } => None,
        }
    }

    /// Lets it have that header, if it can have one and has none yet; returns its head, which it has then too, to be changed.
    pub fn set_headers(&mut self, pairs: &'a dyn Pairs) -> Option<&mut Head> {
        let (Self::Request(Request { head, headers, .. })
        | Self::Open(Open { head, headers, .. })
        | Self::Begin(Begin { head, headers, .. })
        | Self::Part(Part { head, headers, .. })
        | Self::HalfClose(HalfClose { head, headers, .. })
        | Self::Answer(Answer { head, headers, .. })
        | Self::Reset(Reset { head, headers, .. })) = self
        else {
            return None;
        };
        headers.get_or_insert(pairs);
        Some(head)
    }
}
