//! What a frame whose size is known can hold: a thrift message, bare or with a length of its own before it, or a message of
//! Kitex Protobuf.
//!
//! Kitex Protobuf is a protobuf message behind thrift's message head with a version of its own, always with its length:
//!
//! ```text
//! length (4) | 90 01 | type (2) | length of name (4) | name | seq_id (4) | protobuf message
//! ```
//!
//! An exception is the message `{ 1: int32 type_id; 2: string text }`. Source: `pkg/remote/codec/default_codec.go`
//! (`checkPayload`) and `pkg/remote/codec/protobuf/{protobuf.go,error.proto}` of github.com/cloudwego/kitex.

use nom::Parser as _;
use nom::combinator::map_opt;
use nom::error::context;

use super::message::parse_within;
use super::types::{Encoding, Envelope, MessageHead, MessageType};
use super::{FIELD_LIMIT, binary};
use crate::error::{Parse, ParseResult, incomplete, wrong};
use crate::event::{Exception, Text};
use crate::number::{be_i32, be_u16, be_u32, tag};
use crate::protobuf::{self, Value};

/// Bytes of a length that a message has of its own.
const LENGTH: usize = 4;

/// Begins a message of Kitex Protobuf.
pub(crate) const KITEX_PROTOBUF_MAGIC: [u8; 2] = [0x90, 0x01];

/// Reads the message that a frame of `size` bytes holds, of which `input` may have fewer, or more. Offsets of the result
/// count from the beginning of `input`.
#[inline]
pub(crate) fn parse_payload(input: &[u8], size: usize) -> ParseResult<Envelope<'_>> {
    match input.first() {
        Some(0x80 | 0x82 | b'[') => return parse_bare(input, size),
        Some(_) if size > 0 => {}
        _ => return incomplete(1),
    }
    // A length of its own is as long as what remains; if not, the number is the length of the old form's name.
    let (rest, length) = be_u32(input)?;
    if length as usize != size.saturating_sub(LENGTH) {
        return parse_bare(input, size);
    }
    parse_within(encoding_of(rest, length as usize), input, LENGTH, length as usize)
}

/// The same for a message without a length of its own.
#[inline]
pub(crate) fn parse_bare(input: &[u8], size: usize) -> ParseResult<Envelope<'_>> {
    parse_within(encoding_of(input, size), input, 0, size)
}

/// The encoding of a message of `size` bytes that begins like `input`.
#[inline]
fn encoding_of(input: &[u8], size: usize) -> Option<Encoding> {
    match input.first().filter(|_| size > 0)? {
        0x90 => Some(Encoding::KitexProtobuf),
        first => Encoding::of_first_byte(*first),
    }
}

fn kitex_version(input: &[u8]) -> Parse<'_, &[u8]> {
    tag(KITEX_PROTOBUF_MAGIC, "unknown version of Kitex Protobuf")(input)
}

fn kitex_message_type(input: &[u8]) -> Parse<'_, MessageType> {
    let known = |number| MessageType::from_number(u64::from(number));
    context("unknown message type", map_opt(be_u16, known)).parse(input)
}

/// The head of a message of Kitex Protobuf.
pub(super) fn kitex_head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    (kitex_version, kitex_message_type, binary::name, be_i32)
        .map(|(_, message_type, name, seq_id)| MessageHead { message_type, name, seq_id })
        .parse(input)
}

/// Reads a whole error message of Kitex Protobuf.
pub(super) fn error_message(message: &[u8]) -> ParseResult<Exception<'_>> {
    let mut exception = Exception { type_id: 0, message: Text::Plain(&[]) };
    let mut rest = message;
    for _ in 0..FIELD_LIMIT {
        if rest.is_empty() {
            return Ok(exception);
        }
        let (after, field) = protobuf::field(rest)?;
        rest = after;
        match (field.number, field.value) {
            (1, Value::Varint(number)) => exception.type_id = number as i32,
            (2, Value::Bytes(text)) => exception.message = Text::Plain(text),
            _ => {}
        }
    }
    wrong(rest, "too many fields in an exception")
}
