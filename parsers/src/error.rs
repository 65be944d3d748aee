//! What can be wrong with bytes: where, and in which layer.

use std::fmt;

/// The part of a message in which the trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The fixed head that gives the length.
    Frame,
    /// The variable header (TTHeader info sections, tRPC head, HTTP/2 header block).
    Header,
    /// The payload (thrift struct, protobuf message, gRPC message prefix).
    Payload,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Header => "header",
            Self::Payload => "payload",
        })
    }
}

/// Undecodable traffic: never a reason to stop, always counted and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Offset of the first wrong byte, from the start of the message.
    pub offset: usize,
    /// Where in the message.
    pub layer: Layer,
    /// What is wrong, as a short lower-case phrase ("length over the limit").
    pub what: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the {}", self.what, self.offset, self.layer)
    }
}

impl std::error::Error for Error {}
