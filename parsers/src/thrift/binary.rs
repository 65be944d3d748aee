//! The binary protocol (`thrift-binary-protocol.md`): strict and old message heads, result and exception structs.
//!
//! ```text
//! strict:  80 01 | unused (1) | type (1) | length of name (4) | name | seq_id (4) | struct
//! old:     length of name (4) | name | type (1) | seq_id (4) | struct
//! struct:  { type (1), id (2), value }* 00
//! ```

use nom::Parser as _;
use nom::combinator::{map_opt, verify};
use nom::error::context;

use super::field::{Encoded, FieldHead, binary_field};
use super::types::{MessageHead, MessageType, result_field};
use super::{FIELD_LIMIT, NAME_LIMIT, skip};
use crate::error::{Parse, wrong};
use crate::event::{Exception, ResultField, Text};
use crate::number::{be_i32, be_u8, tag, take};

const I32: Encoded = Encoded::Binary(8);
const STRING: Encoded = Encoded::Binary(11);

fn strict_version(input: &[u8]) -> Parse<'_, &[u8]> {
    tag([0x80, 0x01], "unknown version of the binary protocol")(input)
}

/// The type of a message, in one byte.
pub(super) fn message_type(input: &[u8]) -> Parse<'_, MessageType> {
    let known = |number| MessageType::from_number(u64::from(number));
    context("unknown message type", map_opt(be_u8, known)).parse(input)
}

/// A string of at most `limit` bytes.
pub(super) fn string<'a>(limit: usize) -> impl FnMut(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| {
        let plausible = |length: &i32| usize::try_from(*length).is_ok_and(|length| length <= limit);
        let (rest, length) = context("length over the limit", verify(be_i32, plausible)).parse(input)?;
        take(length as usize)(rest)
    }
}

/// The name of a message.
pub(super) fn name(input: &[u8]) -> Parse<'_, Text<'_>> {
    string(NAME_LIMIT).map(Text::Plain).parse(input)
}

/// The type of a message of the strict form, which stands in front of everything else.
pub(super) fn strict_type(input: &[u8]) -> Parse<'_, MessageType> {
    (strict_version, be_u8, message_type).map(|(_, _, message_type)| message_type).parse(input)
}

/// The strict form of the message head.
pub(super) fn strict_head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    (strict_version, be_u8, message_type, name, be_i32)
        .map(|(_, _, message_type, name, seq_id)| MessageHead { message_type, name, seq_id })
        .parse(input)
}

/// The old form of the message head.
pub(super) fn old_head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    (name, message_type, be_i32)
        .map(|(name, message_type, seq_id)| MessageHead { message_type, name, seq_id })
        .parse(input)
}

/// The first field of a result struct.
pub(super) fn result(input: &[u8]) -> Parse<'_, ResultField> {
    binary_field.map(|field| field.map_or(ResultField::Empty, |field| result_field(field.id))).parse(input)
}

/// A `TApplicationException`: 1 string message, 2 i32 type; a field that is absent keeps its default.
pub(super) fn exception(input: &[u8]) -> Parse<'_, Exception<'_>> {
    let mut exception = Exception { type_id: 0, message: Text::Plain(&[]) };
    let mut rest = input;
    for _ in 0..FIELD_LIMIT {
        let (after, field) = binary_field(rest)?;
        (rest, ()) = match field {
            None => return Ok((after, exception)),
            Some(FieldHead { kind: STRING, id: 1 }) => {
                string(usize::MAX).map(|text| exception.message = Text::Plain(text)).parse(after)
            }
            Some(FieldHead { kind: I32, id: 2 }) => {
                be_i32.map(|number| exception.type_id = number).parse(after)
            }
            Some(FieldHead { kind, .. }) => skip::value(kind)(after),
        }?;
    }
    wrong(rest, "too many fields in an exception")
}
