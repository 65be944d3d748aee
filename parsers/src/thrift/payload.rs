//! What may stand in a frame whose size is known: a thrift message, bare or with a length of its own before it, or a
//! message of Kitex Protobuf.
//!
//! Kitex Protobuf is a protobuf message behind thrift's message head with a version of its own, always with its length:
//!
//! ```text
//! length (4) | 90 01 00 type | length of name (4) | name | seq_id (4) | protobuf message
//! ```
//!
//! An exception is the message `{ 1: int32 type_id; 2: string text }`. Source: `pkg/remote/codec/default_codec.go`
//! (`checkPayload`) and `pkg/remote/codec/protobuf/{protobuf.go,error.proto}` of github.com/cloudwego/kitex.

use std::borrow::Cow;

use super::message::{Encoding, Envelope, MessageType, Outcome, parse_message};
use super::{FIELD_LIMIT, NAME_LIMIT};
use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};
use crate::message::Exception;

/// Begins a message of Kitex Protobuf.
pub(crate) const KITEX_PROTOBUF_MAGIC: u16 = 0x9001;

/// Reads the message that a frame of `size` bytes holds. `input` may have less than that, or more. Offsets of the result
/// count from the beginning of `input`.
pub(crate) fn parse_payload(input: &[u8], size: usize) -> Result<Envelope<'_>, Trouble> {
    let first = *input.first().filter(|_| size > 0).ok_or(Trouble::Short(1))?;
    if matches!(first, 0x80 | 0x82 | b'[') {
        return parse_bare(input, size);
    }
    // A length of its own is as long as what remains; else the first number is the name's length of the old form.
    let mut cursor = Cursor::new(input, Layer::Payload);
    if cursor.u32()? as usize == size.saturating_sub(4) {
        let mut envelope =
            parse_bare(cursor.rest(), size.saturating_sub(4)).map_err(|trouble| trouble.shifted(4))?;
        envelope.body += 4;
        if let Outcome::Short(needed) = &mut envelope.outcome {
            *needed += 4;
        }
        return Ok(envelope);
    }
    parse_bare(input, size)
}

/// The same for a message without a length of its own.
pub(crate) fn parse_bare(input: &[u8], size: usize) -> Result<Envelope<'_>, Trouble> {
    let input = input.get(..size).unwrap_or(input);
    let envelope = match input.first() {
        Some(0x90) => parse_kitex_protobuf(input, size),
        _ => parse_message(input),
    };
    let past_end = |needed: usize| needed > size;
    match envelope {
        Err(Trouble::Short(needed)) if past_end(needed) => Err(longer_than_frame(size)),
        Ok(Envelope { outcome: Outcome::Short(needed), .. }) if past_end(needed) => {
            Err(longer_than_frame(size))
        }
        envelope => envelope,
    }
}

fn longer_than_frame(size: usize) -> Trouble {
    Trouble::Wrong(Error { offset: size, layer: Layer::Payload, what: "message longer than its frame" })
}

fn parse_kitex_protobuf(input: &[u8], size: usize) -> Result<Envelope<'_>, Trouble> {
    let mut cursor = Cursor::new(input, Layer::Payload);
    if cursor.u16()? != KITEX_PROTOBUF_MAGIC {
        return Err(cursor.wrong("unknown version of Kitex Protobuf"));
    }
    let message_type = MessageType::from_number(u64::from(cursor.u16()?))
        .ok_or_else(|| cursor.wrong("unknown message type"))?;
    let name = Cow::Borrowed(cursor.bytes32(NAME_LIMIT)?);
    let seq_id = cursor.i32()?;
    let body = cursor.offset();
    let outcome = match message_type {
        MessageType::Exception if input.len() < size => Outcome::Short(size),
        MessageType::Exception => Outcome::Exception(parse_error(&mut cursor)?),
        _ => Outcome::Nothing,
    };
    Ok(Envelope { encoding: Encoding::KitexProtobuf, message_type, name, seq_id, body, outcome })
}

/// The error message up to the end of the input.
fn parse_error<'a>(cursor: &mut Cursor<'a>) -> Result<Exception<'a>, Trouble> {
    let mut exception = Exception::default();
    for _ in 0..FIELD_LIMIT {
        if cursor.rest().is_empty() {
            return Ok(exception);
        }
        match parse_protobuf_field(cursor)? {
            (1, ProtobufValue::Number(number)) => exception.type_id = number as i32,
            (2, ProtobufValue::Bytes(bytes)) => exception.message = Cow::Borrowed(bytes),
            _ => {}
        }
    }
    Err(cursor.wrong("too many fields in an exception"))
}

/// The value of a protobuf field, as its wire type tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtobufValue<'a> {
    /// A varint.
    Number(u64),
    /// Bytes with their length: text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes.
    Fixed(&'a [u8]),
}

/// Number and value of the next field (protobuf encoding guide, "Message Structure").
pub(super) fn parse_protobuf_field<'a>(cursor: &mut Cursor<'a>) -> Result<(u64, ProtobufValue<'a>), Trouble> {
    let tag = cursor.varint()?;
    let value = match tag & 7 {
        0 => ProtobufValue::Number(cursor.varint()?),
        1 => ProtobufValue::Fixed(cursor.take(8)?),
        2 => ProtobufValue::Bytes(cursor.bytes_varint(usize::MAX)?),
        5 => ProtobufValue::Fixed(cursor.take(4)?),
        _ => return Err(cursor.wrong("unknown wire type")),
    };
    Ok((tag >> 3, value))
}
