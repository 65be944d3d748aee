//! What is in the body of a message: its fields with their names, as JSON would have them.
//!
//! Pure: bytes and descriptions in, a [`Value`] out. Nothing here knows of calls, packets or options.
//!
//! | for | module |
//! | --- | --- |
//! | a decoded value, and how it prints | [`value`] |
//! | what the user described and the capture showed | [`descriptions`] |
//! | what a method's messages look like | [`outline`] |
//! | what is remarkable about a body | [`note`] |

mod decompress;
pub mod descriptions;
mod files;
#[cfg(all(feature = "fuzzing", feature = "descriptors"))]
mod fuzzing;
mod guess;
mod idl;
mod jce;
mod json;
pub mod note;
pub mod outline;
#[cfg(not(feature = "descriptors"))]
#[path = "no_descriptors.rs"]
mod proto;
#[cfg(feature = "descriptors")]
mod proto;
mod thrift;
pub mod value;

use std::borrow::Cow;

use rpcscope_parsers::Rpc;
use rpcscope_parsers::protobuf::Stop;
use rpcscope_parsers::thrift::skip::StructFormat;

pub use descriptions::{Descriptions, LoadError, Sources};
pub use note::{Note, NoteKind};
pub use value::Value;

/// The most bytes of one message that are decoded, after decompression: bodies are for reading, and a value needs many times the
/// memory of its bytes.
pub const BODY_LIMIT: usize = 1 << 20;

/// The deepest nesting that is followed.
const DEPTH_LIMIT: usize = 64;

/// Most values of one message.
const VALUE_LIMIT: usize = 1 << 17;

/// What is known of a message before its bytes are read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The protocol of the call.
    pub rpc: Rpc,
    /// The payload's codec as the call record names it: `thrift-binary`, `thrift-compact`, `thrift-json`, `protobuf`, `json`,
    /// `jce` …
    pub codec: Option<&'a str>,
    /// The service as the wire names it, with its package where it has one.
    pub service: Option<&'a str>,
    /// The method without its service.
    pub method: Option<&'a str>,
    /// The message is the callee's: a result, not arguments.
    pub answer: bool,
    /// How the message is compressed, if it is: the value of `grpc-encoding` (`gzip`, `deflate`, `zstd`, `snappy`).
    pub encoding: Option<&'a str>,
}

/// An exception that the IDL declares for the method, in a thrift result struct.
#[derive(Clone, Debug, PartialEq)]
pub struct ExceptionName {
    /// Name of its type in the IDL (`StockError`); `None` if no description names it.
    pub name: Option<String>,
    /// Its name in the `throws` clause; its number if no description names it.
    pub field: String,
    /// Its number in the result struct.
    pub field_id: i16,
    /// Its fields.
    pub fields: Value,
    /// The error code among its fields: an integer field named `code`, `err_code`, `status` or the like.
    pub code: Option<i64>,
    /// The error text among its fields: a text field named `message`, `msg`, `reason` or the like.
    pub message: Option<String>,
}

/// One message's body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The value: for thrift the arguments by name, or the bare result (`Null` for void and beside an exception); for protobuf and
    /// JSON the message; [`Value::Raw`] if nothing could be made of the bytes.
    pub value: Value,
    /// Fields of a protobuf message that its description does not name, apart from `value` ([`Decoded::settle`]).
    pub unknown: Option<Value>,
    /// Name of the message's type, where a description says it (`orders.v1.Order`; thrift: `Shop.place`).
    pub type_name: Option<String>,
    /// Names and types of fields are a guess (protobuf without a description).
    pub guessed: bool,
    /// What is remarkable.
    pub notes: Vec<Note>,
    /// The declared exception that a thrift result holds in place of a value.
    pub exception: Option<ExceptionName>,
}

impl Decoded {
    /// A body of which nothing but its bytes is known.
    fn raw(bytes: &[u8]) -> Self {
        Self::of(Value::Raw(bytes.to_vec()))
    }

    /// A body of which nothing but its value is known.
    pub(crate) fn of(value: Value) -> Self {
        Self { value, unknown: None, type_name: None, guessed: false, notes: Vec::new(), exception: None }
    }

    /// Decides where fields are that the description does not name: `apart`, or among the others. A body that [`decode`] returns waits for
    /// this.
    pub fn settle(&mut self, apart: bool) {
        self.unknown = self.value.settle(apart);
    }
}

/// Decodes the body of one message.
///
/// `bytes` is the message itself, still compressed if `context` says so, without what carries it: thrift's struct of arguments or
/// result **after** the message head (`rpcscope_parsers::thrift::Envelope::body` is where it begins), the protobuf message after
/// the thrift head of Kitex Protobuf or after gRPC's five bytes, tRPC's body after its head. A `TApplicationException` is no
/// result: it isn't for this function.
///
/// A description that doesn't fit never gives a wrong value: the field stays under its number, with a [`Note`].
#[must_use]
pub fn decode(bytes: &[u8], context: &Context<'_>, descriptions: &Descriptions) -> Decoded {
    match decompress::open(bytes, context.encoding) {
        Ok(opened) => {
            let mut decoded = opened_body(&opened.bytes, context, descriptions);
            if opened.cut {
                decoded.notes.push(Note::new(NoteKind::Cut, "the body is longer than what is decoded of it"));
            }
            decoded
        }
        Err(error) => undecodable(bytes, error),
    }
}

/// The whole message in bytes that are compressed like that (as in [`Context::encoding`]); `None` if it can't be opened, or is longer
/// than [`BODY_LIMIT`].
#[must_use]
pub fn opened<'a>(bytes: &'a [u8], encoding: Option<&str>) -> Option<Cow<'a, [u8]>> {
    decompress::open(bytes, encoding).ok().filter(|opened| !opened.cut).map(|opened| opened.bytes)
}

/// Decodes a message that is not compressed.
fn opened_body(bytes: &[u8], context: &Context<'_>, descriptions: &Descriptions) -> Decoded {
    let thrift = |format| thrift::decode(bytes, format, context, &descriptions.idl);
    match codec(context) {
        "thrift-binary" => thrift(StructFormat::Binary),
        "thrift-compact" => thrift(StructFormat::Compact),
        "thrift-json" => thrift(StructFormat::Json),
        "protobuf" => match proto::decode(bytes, context, &descriptions.proto) {
            (Some(decoded), _) => decoded,
            (None, notes) => {
                let mut decoded = guessed(bytes);
                decoded.notes.extend(notes.into_list());
                decoded
            }
        },
        "json" => match json::decode(bytes) {
            Ok(value) => Decoded::of(value),
            // Nothing at all is how some peers send nothing.
            Err(_) if bytes.is_empty() => Decoded::of(Value::Null),
            Err(error) => undecodable(bytes, format!("JSON: {error}")),
        },
        "jce" => match jce::decode(bytes) {
            Some(value) => Decoded::of(value),
            None => undecodable(bytes, "no JCE".to_owned()),
        },
        _ => Decoded::of(value::printable_or_raw(bytes)),
    }
}

/// The codec of a body: of a record that names none, the one that its protocol has by itself.
fn codec<'a>(context: &Context<'a>) -> &'a str {
    match (context.codec, context.rpc) {
        (Some(codec), _) => codec,
        (None, Rpc::Grpc | Rpc::KitexProtobuf | Rpc::GrpcWeb) => "protobuf",
        (None, Rpc::Thrift | Rpc::Ttstream) => "thrift-binary",
        (None, _) => "",
    }
}

/// Protobuf without a description.
fn guessed(bytes: &[u8]) -> Decoded {
    let guess = guess::message(bytes);
    let mut decoded = Decoded { guessed: true, ..Decoded::of(guess.value) };
    match guess.stop {
        Some(Stop::Wrong) => return undecodable(bytes, "no protobuf".to_owned()),
        Some(Stop::Short) if guess.over => {
            decoded.notes.push(Note::new(NoteKind::Cut, "too many values"));
        }
        Some(Stop::Short) => {
            decoded.notes.push(Note::new(NoteKind::Cut, "the body ends in the middle of a value"));
        }
        None => {}
    }
    decoded
}

fn undecodable(bytes: &[u8], why: String) -> Decoded {
    let kept = bytes.get(..BODY_LIMIT).unwrap_or(bytes);
    let mut decoded = Decoded::of(value::printable_or_raw(kept));
    decoded.notes.push(Note::new(NoteKind::Undecodable, why));
    decoded
}

/// The details of a `google.rpc.Status` (`grpc-status-details-bin` without its base64), each an object with `@type`.
#[must_use]
pub fn decode_details(status: &[u8], descriptions: &Descriptions) -> Vec<Value> {
    let mut details = proto::details(status, &descriptions.proto);
    for detail in &mut details {
        detail.settle(false);
    }
    details
}

#[cfg(test)]
mod tests;
