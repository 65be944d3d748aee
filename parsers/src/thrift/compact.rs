//! The compact protocol (`thrift-compact-protocol.md`): message head, result and exception structs.
//!
//! ```text
//! message: 82 | type << 5 | 1 | seq_id (varint) | length of name (varint) | name | struct
//! struct:  field* 00
//! ```

use nom::Parser as _;
use nom::combinator::{map_opt, verify};
use nom::error::context;

use super::field::{Encoded, FieldHead, compact_field};
use super::skip::{self, VALUE_LIMIT};
use super::types::{MessageHead, MessageType, result_field};
use super::{FIELD_LIMIT, NAME_LIMIT};
use crate::error::{Parse, wrong};
use crate::event::{Exception, ResultField, Text};
use crate::number::{be_u8, tag};
use crate::varint::{varint, varint_bytes, zigzag_varint};

const VERSION: u8 = 1;
const I32: Encoded = Encoded::CompactField(5);
const STRING: Encoded = Encoded::CompactField(8);

pub(super) fn protocol_id(input: &[u8]) -> Parse<'_, &[u8]> {
    tag([0x82], "not the compact protocol")(input)
}

/// Type and version share a byte.
pub(super) fn message_type(input: &[u8]) -> Parse<'_, MessageType> {
    let versioned = verify(be_u8, |byte| byte & 0x1f == VERSION);
    let versioned = context("unknown version of the compact protocol", versioned);
    let known = |byte| MessageType::from_number(u64::from(byte >> 5));
    context("unknown message type", map_opt(versioned, known)).parse(input)
}

/// Negative numbers are sent as the unsigned number of the same bits, by some peers sign-extended to 64 bits.
pub(super) fn seq_id(input: &[u8]) -> Parse<'_, i32> {
    varint.map(|number| number as i32).parse(input)
}

fn name(input: &[u8]) -> Parse<'_, Text<'_>> {
    varint_bytes(NAME_LIMIT).map(Text::Plain).parse(input)
}

/// The type of a message, which stands in front of everything else.
pub(super) fn type_of(input: &[u8]) -> Parse<'_, MessageType> {
    (protocol_id, message_type).map(|(_, message_type)| message_type).parse(input)
}

/// The message head.
pub(super) fn head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    (protocol_id, message_type, seq_id, name)
        .map(|(_, message_type, seq_id, name)| MessageHead { message_type, name, seq_id })
        .parse(input)
}

/// The first field of a result struct.
pub(super) fn result(input: &[u8]) -> Parse<'_, ResultField> {
    compact_field(0)
        .map(|field| field.map_or(ResultField::Empty, |field| result_field(field.id)))
        .parse(input)
}

/// A `TApplicationException`: 1 string message, 2 i32 type; a field that is absent keeps its default.
pub(super) fn exception(input: &[u8]) -> Parse<'_, Exception<'_>> {
    let mut exception = Exception { type_id: 0, message: Text::Plain(&[]) };
    let mut rest = input;
    let mut last = 0;
    for _ in 0..FIELD_LIMIT {
        let (after, field) = compact_field(last)(rest)?;
        last = field.map_or(0, |field| field.id);
        (rest, ()) = match field {
            None => return Ok((after, exception)),
            Some(FieldHead { kind: STRING, id: 1 }) => varint_bytes(VALUE_LIMIT as usize)
                .map(|text| exception.message = Text::Plain(text))
                .parse(after),
            Some(FieldHead { kind: I32, id: 2 }) => {
                zigzag_varint.map(|number| exception.type_id = number as i32).parse(after)
            }
            Some(FieldHead { kind, .. }) => skip::value(kind)(after),
        }?;
    }
    wrong(rest, "too many fields in an exception")
}
