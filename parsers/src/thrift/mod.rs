//! Apache Thrift messages, whatever carries them: the message head, the outcome of an answer, walking over a struct.
//!
//! Sources: `doc/specs/thrift-rpc.md`, `thrift-binary-protocol.md`, `thrift-compact-protocol.md` of Apache Thrift, and
//! `lib/go/thrift/json_protocol.go` for the JSON form, which has no specification.
//!
//! | what | module |
//! | --- | --- |
//! | the head of a message and the outcome of an answer | [`message`] |
//! | the four encodings | `binary`, `compact`, `json` |
//! | the end of a struct that has no length | [`walk`] |
//! | what may stand in a frame, Kitex Protobuf too | `payload` |
//! | how messages are carried, as protocols | [`forms`] |
//! | whether bytes begin with a message | `sight` |
//! | the fields of a message | `dissect` |

mod binary;
mod compact;
pub(crate) mod dissect;
pub mod forms;
mod json;
pub mod message;
pub(crate) mod payload;
pub(crate) mod sight;
#[cfg(test)]
mod tests;
pub mod walk;

pub use forms::Form;
pub use message::{Encoding, Envelope, MessageType, Outcome, parse_message, parse_message_in};

/// The most bytes that a method name may have.
const NAME_LIMIT: usize = 16 * 1024;

/// The most fields of an exception that are looked at.
const FIELD_LIMIT: usize = 64;

/// The deepest nesting of structs and containers that is followed.
const DEPTH_LIMIT: usize = 64;

/// The longest text of an exception that is read; one that is longer makes the outcome unreadable, not the message.
const TEXT_LIMIT: usize = 256 * 1024;
