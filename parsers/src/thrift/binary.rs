//! The binary protocol (`thrift-binary-protocol.md`): strict and old message heads, result and exception structs.
//!
//! ```text
//! strict:  80 01 00 type | length of name (4) | name | seq_id (4) | struct
//! old:     length of name (4) | name | type (1) | seq_id (4) | struct
//! struct:  { type (1), id (2), value }* 00
//! ```

use std::borrow::Cow;

use super::message::{Head, MessageType, result_field};
use super::walk::{Encoded, skip_value};
use super::{FIELD_LIMIT, NAME_LIMIT};
use crate::cursor::{Cursor, Trouble};
use crate::message::{Exception, ResultField};

/// End of a struct.
pub(super) const STOP: u8 = 0;
const I32: u8 = 8;
const STRING: u8 = 11;

/// Whether a field can have this type (`thrift-binary-protocol.md`, "Struct").
pub(super) fn is_field_type(kind: u8) -> bool {
    matches!(kind, 2..=4 | 6 | 8 | 10..=16)
}

fn message_type(cursor: &Cursor<'_>, number: u8) -> Result<MessageType, Trouble> {
    MessageType::from_number(u64::from(number)).ok_or_else(|| cursor.wrong("unknown message type"))
}

/// The strict form.
pub(super) fn parse_head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Trouble> {
    if cursor.u16()? != 0x8001 {
        return Err(cursor.wrong("unknown version of the binary protocol"));
    }
    // The specification calls the third byte unused.
    cursor.u8()?;
    let number = cursor.u8()?;
    let message_type = message_type(cursor, number)?;
    let name = Cow::Borrowed(cursor.bytes32(NAME_LIMIT)?);
    let seq_id = cursor.i32()?;
    Ok(Head { message_type, name, seq_id })
}

/// The old form.
pub(super) fn parse_old_head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Trouble> {
    let name = Cow::Borrowed(cursor.bytes32(NAME_LIMIT)?);
    let number = cursor.u8()?;
    let message_type = message_type(cursor, number)?;
    let seq_id = cursor.i32()?;
    Ok(Head { message_type, name, seq_id })
}

/// The head of the next field, `None` at the end of the struct.
pub(super) fn parse_field(cursor: &mut Cursor<'_>) -> Result<Option<(u8, i16)>, Trouble> {
    let kind = cursor.u8()?;
    if kind == STOP {
        return Ok(None);
    }
    if !is_field_type(kind) {
        return Err(cursor.wrong("unknown field type"));
    }
    Ok(Some((kind, cursor.i16()?)))
}

/// The first field of a result struct.
pub(super) fn parse_result(cursor: &mut Cursor<'_>) -> Result<ResultField, Trouble> {
    Ok(parse_field(cursor)?.map_or(ResultField::Empty, |(_, id)| result_field(id)))
}

/// A `TApplicationException`: 1 string message, 2 i32 type; fields that it does not have keep their defaults.
pub(super) fn parse_exception<'a>(cursor: &mut Cursor<'a>) -> Result<Exception<'a>, Trouble> {
    let mut exception = Exception::default();
    for _ in 0..FIELD_LIMIT {
        match parse_field(cursor)? {
            None => return Ok(exception),
            Some((STRING, 1)) => exception.message = Cow::Borrowed(cursor.bytes32(usize::MAX)?),
            Some((I32, 2)) => exception.type_id = cursor.i32()?,
            Some((kind, _)) => skip_value(cursor, Encoded::Binary(kind))?,
        }
    }
    Err(cursor.wrong("too many fields in an exception"))
}
