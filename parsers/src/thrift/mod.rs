//! Apache Thrift messages, whatever carries them: the message head, the outcome of an answer, the end of a struct.
//!
//! Sources: `doc/specs/thrift-rpc.md`, `thrift-binary-protocol.md`, `thrift-compact-protocol.md` of Apache Thrift, and
//! `lib/go/thrift/json_protocol.go` for the JSON form, which has no specification.
//!
//! Each module uses only those below it:
//!
//! | what | module |
//! | --- | --- |
//! | how messages are carried, as protocols | [`transport`] |
//! | the fields of a message | `dissect` |
//! | whether bytes begin with a message | `probe` |
//! | what a frame can hold, Kitex Protobuf too | `payload` |
//! | the head of a message and the outcome of an answer | [`message`] |
//! | message heads and exceptions in the three encodings | `binary`, `compact`, `json` |
//! | the end of a struct that has no length | [`skip`] |
//! | a struct as a tree of values | [`value`] |
//! | heads of fields and containers | `field` |
//! | what a message is made of | [`types`] |

mod binary;
mod compact;
pub(crate) mod dissect;
mod field;
mod json;
pub mod message;
mod payload;
mod probe;
pub mod skip;
pub mod transport;
pub mod types;
pub mod value;

pub use field::Encoded;
pub use message::{parse_message, parse_message_in};
pub use transport::ThriftTransport;
pub use types::{Encoding, Envelope, MessageType, ReplyBody};

/// The most bytes that a method name may have.
const NAME_LIMIT: usize = 16 * 1024;

/// The most fields of an exception that are looked at.
const FIELD_LIMIT: usize = 64;

/// The deepest nesting of structs and containers that is followed.
const DEPTH_LIMIT: usize = 64;

/// The longest text of an exception that is read; one that is longer makes the outcome unreadable, not the message.
const TEXT_LIMIT: usize = 256 * 1024;
