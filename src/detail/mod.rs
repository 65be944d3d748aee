//! One call in full: verdict, headers, messages, bytes, packets. Made on demand by reading the packets again, so that the
//! pipeline has to collect nothing for it.
//!
//! ```text
//! let detail = detail::collect(&mut source, &call, &decode_as, key_logs, &bodies)?;   // any Source over the same packets: files, a ring
//! print::push(&mut out, &detail, &Look { … });                      // `rpcscope show`
//! ```
//!
//! | part | module |
//! | --- | --- |
//! | reading the packets again | [`collect()`] |
//! | the verdict in labelled lines | [`verdict`] |
//! | its place in its chain | [`linked`] |
//! | bytes as hex and text | [`hex`] |
//! | all of it as text | [`mod@print`] |

pub mod hex;
pub mod linked;
pub mod print;
pub mod verdict;

mod collect;
mod frames;

use rpcscope_parsers::Kind;
use rpcscope_parsers::protocol::Field;

use crate::calls::record::Call;
use crate::time::Timestamp;

pub use collect::collect;

/// Most bytes of one side that are kept.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most messages that are kept; streams may have more.
pub const MAX_MESSAGES: usize = 1000;
/// Most packets that are kept.
pub const MAX_PACKETS: usize = 5000;
/// Most headers of one message that are kept.
pub const MAX_HEADERS: usize = 500;

/// Everything that the packets say about a call.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The call.
    pub call: Call,
    /// The parsers' name of the protocol; `None` if the packets are no longer available.
    pub protocol: Option<&'static str>,
    /// Its messages in the order in which they began.
    pub messages: Vec<Message>,
    /// The packets of its connection from its first to its last one.
    pub packets: Vec<Segment>,
    /// What the handshake of its TLS shows, in one line. May hold control characters.
    pub tls: Option<String>,
    /// What was left out although it was captured, in words ("200 more packets").
    pub left_out: Vec<String>,
}

impl Detail {
    /// Takes the bytes of messages out, and their fields, which repeat them.
    fn redact(&mut self) {
        for message in &mut self.messages {
            message.bytes = Vec::new();
            message.fields = Vec::new();
        }
        self.left_out.push("bytes and fields of messages (--redact)".to_owned());
    }
}

/// A message of the call.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sent by the caller.
    pub from_client: bool,
    /// Its role in the call.
    pub kind: Kind,
    /// When its first byte was captured.
    pub time: Timestamp,
    /// The packet that carried its first byte.
    pub packet: u64,
    /// Offset of its first byte in the stream of its side, counted from the first byte that was parsed.
    pub offset: u64,
    /// Its size on the wire in bytes. 0 for events without bytes of their own.
    pub size: u64,
    /// Its bytes, as far as they were captured and kept; of HTTP/2 the frames of its stream.
    pub bytes: Vec<u8>,
    /// Its headers as the protocol decoded them. May hold control characters.
    pub headers: Vec<(String, String)>,
    /// `fields` lack the headers, which refer to the dynamic table of an HTTP/2 connection.
    pub undecoded: bool,
    /// The dissected bytes. May hold control characters.
    pub fields: Vec<Field>,
}

impl Message {
    /// Its role in the call, in a few words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Request => "request",
            Kind::Oneway => "one-way request",
            Kind::Open => "open",
            Kind::Begin => "start of answer",
            Kind::Part => "message",
            Kind::HalfClose => "end of sending",
            Kind::Answer => "answer",
            Kind::Reset => "reset",
            Kind::GoAway => "go away",
            Kind::Complete => "end",
            Kind::Body | Kind::BodyPiece => "body",
            Kind::Foreign => "answer in another language",
            Kind::Prelude => "prelude",
            Kind::Lost | Kind::Sealed => "missing bytes",
        }
    }

    /// Whether it has neither bytes nor headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.headers.is_empty()
    }

    /// Whether some of its bytes are missing.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.size
    }
}

/// A packet of the call's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// Sent by the caller.
    pub from_client: bool,
    /// Payload bytes on the wire.
    pub payload: u64,
    /// Payload bytes that the snapshot length cut off.
    pub missing: u32,
    /// TCP flags in tcpdump's letters; empty without any.
    pub flags: String,
}
