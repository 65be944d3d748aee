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

use nom::combinator::map_opt;
use nom::error::context;
use nom::{Err, Parser as _};

use super::message::parse_message;
use super::types::{Encoding, Envelope, MessageHead, MessageType, ReplyBody};
use super::{FIELD_LIMIT, binary};
use crate::error::{Layer, Parse, ParseResult, exceeds, incomplete, placed, within, wrong};
use crate::event::{Exception, Text};
use crate::number::{be_i32, be_u16, be_u32, tag};
use crate::protobuf::{self, Value};

/// Begins a message of Kitex Protobuf.
pub(crate) const KITEX_PROTOBUF_MAGIC: [u8; 2] = [0x90, 0x01];

const TOO_LONG: &str = "message longer than its frame";

/// Reads the message that a frame of `size` bytes holds, of which `input` may have fewer, or more. Offsets of the result
/// count from the beginning of `input`.
pub(crate) fn parse_payload(input: &[u8], size: usize) -> ParseResult<Envelope<'_>> {
    match input.first() {
        Some(0x80 | 0x82 | b'[') => return parse_bare(input, size),
        Some(_) if size > 0 => {}
        _ => return incomplete(1),
    }
    // A length of its own is as long as what remains; if not, the number is the length of the old form's name.
    let (rest, length) = be_u32(input)?;
    if length as usize != size.saturating_sub(4) {
        return parse_bare(input, size);
    }
    let mut envelope =
        parse_bare(rest, length as usize).map_err(|error| placed(error, Layer::Payload, input))?;
    envelope.body += 4;
    if let ReplyBody::Short(needed) = &mut envelope.outcome {
        *needed += 4;
    }
    Ok(envelope)
}

/// The same for a message without a length of its own.
pub(crate) fn parse_bare(input: &[u8], size: usize) -> ParseResult<Envelope<'_>> {
    let envelope = within(size, TOO_LONG, input, |message| match message.first() {
        Some(0x90) => parse_kitex_protobuf(message, size),
        _ => parse_message(message),
    });
    match envelope {
        Ok(Envelope { outcome: ReplyBody::Short(needed), .. }) if needed > size => {
            Err(Err::Error(exceeds(needed, size, TOO_LONG, input)))
        }
        envelope => envelope,
    }
    .map_err(|error| placed(error, Layer::Payload, input))
}

fn kitex_version(input: &[u8]) -> Parse<'_, &[u8]> {
    tag(KITEX_PROTOBUF_MAGIC, "unknown version of Kitex Protobuf")(input)
}

fn kitex_message_type(input: &[u8]) -> Parse<'_, MessageType> {
    let known = |number| MessageType::from_number(u64::from(number));
    context("unknown message type", map_opt(be_u16, known)).parse(input)
}

fn kitex_head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    (kitex_version, kitex_message_type, binary::name, be_i32)
        .map(|(_, message_type, name, seq_id)| MessageHead { message_type, name, seq_id })
        .parse(input)
}

fn parse_kitex_protobuf(input: &[u8], size: usize) -> ParseResult<Envelope<'_>> {
    let (body, MessageHead { message_type, name, seq_id }) = kitex_head(input)?;
    let outcome = match message_type {
        MessageType::Exception if input.len() < size => ReplyBody::Short(size),
        MessageType::Exception => ReplyBody::Exception(error_message(body)?),
        _ => ReplyBody::Nothing,
    };
    let encoding = Encoding::KitexProtobuf;
    Ok(Envelope { encoding, message_type, name, seq_id, body: input.len() - body.len(), outcome })
}

/// Reads a whole error message.
fn error_message(message: &[u8]) -> ParseResult<Exception<'_>> {
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
