//! What a call speaks: its RPC protocol and what carries that, with their properties.

use std::fmt;

#[cfg(doc)]
use super::Status;

/// The RPC protocol of a call: its rules decide the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rpc {
    /// Apache Thrift.
    Thrift,
    /// Kitex Protobuf: a thrift message head before a protobuf message.
    KitexProtobuf,
    /// gRPC, mostly over HTTP/2.
    Grpc,
    /// gRPC-Web: gRPC with its trailers in the body, for HTTP without trailers.
    GrpcWeb,
    /// Connect.
    Connect,
    /// Dubbo's Triple over plain HTTP; with gRPC's framing it is [`Rpc::Grpc`].
    Triple,
    /// TTHeader Streaming.
    Ttstream,
    /// tRPC, unary.
    Trpc,
    /// tRPC, streams.
    TrpcStream,
    /// tRPC over HTTP/1.1.
    TrpcHttp,
    /// A protocol without rules of its own: its [`Status::Codes`] separate a framework's failure from the callee's.
    Other(&'static str),
}

impl Rpc {
    /// All protocols that have rules of their own.
    pub const ALL: [Self; 10] = [
        Self::Thrift,
        Self::KitexProtobuf,
        Self::Grpc,
        Self::GrpcWeb,
        Self::Connect,
        Self::Triple,
        Self::Ttstream,
        Self::Trpc,
        Self::TrpcStream,
        Self::TrpcHttp,
    ];

    /// The name in the call record (key `rpc`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thrift => "thrift",
            Self::KitexProtobuf => "kitex-protobuf",
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Connect => "connect",
            Self::Triple => "triple",
            Self::Ttstream => "ttstream",
            Self::Trpc => "trpc",
            Self::TrpcStream => "trpc-stream",
            Self::TrpcHttp => "trpc-http",
            Self::Other(name) => name,
        }
    }

    /// The protocol of that name; `None` for one without rules of its own.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rpc| rpc.name() == name)
    }

    /// Whether every call is a stream of messages of which several run at a time on a connection, each with an id of its
    /// own that is never used again.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Self::Grpc | Self::Ttstream | Self::TrpcStream => true,
            Self::GrpcWeb
            | Self::Connect
            | Self::Triple
            | Self::Thrift
            | Self::KitexProtobuf
            | Self::Trpc
            | Self::TrpcHttp
            | Self::Other(_) => false,
        }
    }

    /// Whether its codes are those of tRPC.
    #[must_use]
    pub fn is_trpc(self) -> bool {
        match self {
            Self::Trpc | Self::TrpcStream | Self::TrpcHttp => true,
            Self::Thrift
            | Self::KitexProtobuf
            | Self::Grpc
            | Self::GrpcWeb
            | Self::Connect
            | Self::Triple
            | Self::Ttstream
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What carries the messages of a call on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Kitex TTHeader.
    TtHeader,
    /// A length before each message.
    Framed,
    /// Nothing: messages follow each other.
    Buffered,
    /// `THeader` of Apache Thrift.
    THeader,
    /// Frames of Finagle's thrift: a header struct before each message.
    TTwitter,
    /// One message in each UDP datagram.
    Datagram,
    /// Kitex mesh header before another form.
    MeshHeader,
    /// HTTP/2.
    Http2,
    /// HTTP/1.x.
    Http1,
    /// tRPC frames.
    Trpc,
    /// A transport without rules of its own.
    Other(&'static str),
}

impl Transport {
    /// All transports that have rules of their own.
    pub const ALL: [Self; 10] = [
        Self::TtHeader,
        Self::Framed,
        Self::Buffered,
        Self::THeader,
        Self::TTwitter,
        Self::Datagram,
        Self::MeshHeader,
        Self::Http2,
        Self::Http1,
        Self::Trpc,
    ];

    /// The name in the call record (key `transport`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TtHeader => "ttheader",
            Self::Framed => "framed",
            Self::Buffered => "buffered",
            Self::THeader => "theader",
            Self::TTwitter => "ttwitter",
            Self::Datagram => "datagram",
            Self::MeshHeader => "mesh-header",
            Self::Http2 => "http2",
            Self::Http1 => "http1",
            Self::Trpc => "trpc",
            Self::Other(name) => name,
        }
    }

    /// The transport of that name; `None` for one without rules of its own.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }

    /// Whether a message's headers can be read only by whoever has read all headers before it on its connection (HPACK).
    #[must_use]
    pub fn headers_depend_on_earlier(self) -> bool {
        match self {
            Self::Http2 => true,
            Self::TtHeader
            | Self::Framed
            | Self::Buffered
            | Self::THeader
            | Self::TTwitter
            | Self::Datagram
            | Self::MeshHeader
            | Self::Http1
            | Self::Trpc
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
