//! The compact protocol (`thrift-compact-protocol.md`): message head, result and exception structs.
//!
//! ```text
//! message: 82 | type << 5 | 1 | seq_id (varint) | length of name (varint) | name | struct
//! field:   delta << 4 | type, value        the id is the last one plus delta
//!          type, id (zigzag varint), value where delta is 0
//! struct:  field* 00
//! ```

use std::borrow::Cow;

use super::message::{Head, MessageType, result_field};
use super::walk::{Encoded, VALUE_LIMIT, skip_value};
use super::{FIELD_LIMIT, NAME_LIMIT};
use crate::cursor::{Cursor, Trouble, zigzag};
use crate::message::{Exception, ResultField};

/// First byte of a message.
pub(super) const PROTOCOL_ID: u8 = 0x82;
const VERSION: u8 = 1;
const I32: u8 = 5;
const BINARY: u8 = 8;

pub(super) fn parse_head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Trouble> {
    if cursor.u8()? != PROTOCOL_ID {
        return Err(cursor.wrong("not the compact protocol"));
    }
    let byte = cursor.u8()?;
    if byte & 0x1f != VERSION {
        return Err(cursor.wrong("unknown version of the compact protocol"));
    }
    let message_type =
        MessageType::from_number(u64::from(byte >> 5)).ok_or_else(|| cursor.wrong("unknown message type"))?;
    // Negative numbers are sent as the unsigned number of the same bits, by some peers sign-extended to 64 bits.
    let seq_id = cursor.varint()? as i32;
    let name = Cow::Borrowed(cursor.bytes_varint(NAME_LIMIT)?);
    Ok(Head { message_type, name, seq_id })
}

/// Type and id of the next field, `None` at the end of the struct. `last` is the id of the field before it.
pub(super) fn parse_field(cursor: &mut Cursor<'_>, last: i16) -> Result<Option<(u8, i16)>, Trouble> {
    let byte = cursor.u8()?;
    if byte == 0 {
        return Ok(None);
    }
    let kind = byte & 0x0f;
    if !is_field_type(kind) {
        return Err(cursor.wrong("unknown field type"));
    }
    let id = match i16::from(byte >> 4) {
        0 => zigzag(cursor.varint()?) as i16,
        delta => last.wrapping_add(delta),
    };
    Ok(Some((kind, id)))
}

/// Whether a field can have this type.
pub(super) fn is_field_type(kind: u8) -> bool {
    matches!(kind, 1..=13)
}

pub(super) fn parse_result(cursor: &mut Cursor<'_>) -> Result<ResultField, Trouble> {
    Ok(parse_field(cursor, 0)?.map_or(ResultField::Empty, |(_, id)| result_field(id)))
}

/// A `TApplicationException`: 1 string message, 2 i32 type; fields that it does not have keep their defaults.
pub(super) fn parse_exception<'a>(cursor: &mut Cursor<'a>) -> Result<Exception<'a>, Trouble> {
    let mut exception = Exception::default();
    let mut last = 0;
    for _ in 0..FIELD_LIMIT {
        let Some((kind, id)) = parse_field(cursor, last)? else { return Ok(exception) };
        last = id;
        match (kind, id) {
            (BINARY, 1) => exception.message = Cow::Borrowed(cursor.bytes_varint(VALUE_LIMIT as usize)?),
            (I32, 2) => exception.type_id = zigzag(cursor.varint()?) as i32,
            _ => skip_value(cursor, Encoded::CompactField(kind))?,
        }
    }
    Err(cursor.wrong("too many fields in an exception"))
}
