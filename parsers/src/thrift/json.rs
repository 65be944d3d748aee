//! The JSON protocol: `[1,"name",type,seq_id,{"1":{"str":"…"},"2":{"i32":6}}]`, struct fields by id, each value with its
//! type. Sent over HTTP above all.
//!
//! Source: `lib/go/thrift/json_protocol.go` and `lib/cpp/src/thrift/protocol/TJSONProtocol.cpp` of Apache Thrift.

use std::borrow::Cow;

use super::message::{Head, MessageType, result_field};
use super::{DEPTH_LIMIT, FIELD_LIMIT, NAME_LIMIT};
use crate::cursor::{Cursor, Trouble};
use crate::message::{Exception, ResultField, Text};

/// The longest number that is read; the numbers of a message head are 32 bits wide.
const NUMBER_LIMIT: usize = 20;

fn skip_space(cursor: &mut Cursor<'_>) {
    while let Ok(b' ' | b'\t' | b'\r' | b'\n') = cursor.peek() {
        let _ = cursor.u8();
    }
}

/// Takes the punctuation `wanted`.
fn expect(cursor: &mut Cursor<'_>, wanted: u8) -> Result<(), Trouble> {
    skip_space(cursor);
    if cursor.u8()? == wanted { Ok(()) } else { Err(cursor.wrong("unexpected character in JSON")) }
}

/// The bytes between the quotes, escapes as they stand.
fn raw_string<'a>(cursor: &mut Cursor<'a>, limit: usize) -> Result<&'a [u8], Trouble> {
    expect(cursor, b'"')?;
    let rest = cursor.rest();
    let mut at = 0;
    while let Some(found) = rest.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if rest.get(at) == Some(&b'"') {
            let text = cursor.take(at)?;
            cursor.u8()?;
            return if text.len() <= limit { Ok(text) } else { Err(cursor.wrong("length over the limit")) };
        }
        at += 2;
    }
    // The end of a string can't be foreseen; asking for twice as much each time keeps the work linear.
    let short = Trouble::Short(cursor.offset() + rest.len() + (rest.len() / 2).max(1));
    if rest.len() > limit { Err(cursor.wrong("length over the limit")) } else { Err(short) }
}

/// A string with its escapes resolved; as it stands if it is no valid JSON string.
fn string<'a>(cursor: &mut Cursor<'a>, limit: usize) -> Result<Text<'a>, Trouble> {
    let raw = raw_string(cursor, limit)?;
    if memchr::memchr(b'\\', raw).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    let quoted = [b"\"", raw, b"\""].concat();
    Ok(serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(raw), |s| Cow::Owned(s.into_bytes())))
}

fn integer(cursor: &mut Cursor<'_>) -> Result<i64, Trouble> {
    skip_space(cursor);
    let rest = cursor.rest();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    if digits == rest.len() && digits <= NUMBER_LIMIT {
        return Err(Trouble::Short(cursor.offset() + digits + 1));
    }
    let text = cursor.take(digits)?;
    number(text).ok_or_else(|| cursor.wrong("not a number"))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn parse_head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Trouble> {
    expect(cursor, b'[')?;
    if integer(cursor)? != 1 {
        return Err(cursor.wrong("unknown version of the JSON protocol"));
    }
    expect(cursor, b',')?;
    let name = string(cursor, NAME_LIMIT)?;
    expect(cursor, b',')?;
    let message_type = u64::try_from(integer(cursor)?)
        .ok()
        .and_then(MessageType::from_number)
        .ok_or_else(|| cursor.wrong("unknown message type"))?;
    expect(cursor, b',')?;
    let seq_id = integer(cursor)? as i32;
    expect(cursor, b',')?;
    skip_space(cursor);
    Ok(Head { message_type, name, seq_id })
}

/// The key of the next field, `None` at the end of the struct.
fn field(cursor: &mut Cursor<'_>) -> Result<Option<i16>, Trouble> {
    skip_space(cursor);
    match cursor.peek()? {
        b'}' => cursor.u8().map(|_| None),
        b',' => {
            cursor.u8()?;
            field_id(cursor).map(Some)
        }
        _ => field_id(cursor).map(Some),
    }
}

fn field_id(cursor: &mut Cursor<'_>) -> Result<i16, Trouble> {
    let id = raw_string(cursor, NUMBER_LIMIT)?;
    let id = number(id).and_then(|id| i16::try_from(id).ok());
    expect(cursor, b':')?;
    id.ok_or_else(|| cursor.wrong("field id is no number"))
}

pub(super) fn parse_result(cursor: &mut Cursor<'_>) -> Result<ResultField, Trouble> {
    expect(cursor, b'{')?;
    Ok(field(cursor)?.map_or(ResultField::Empty, result_field))
}

pub(super) fn parse_exception<'a>(cursor: &mut Cursor<'a>) -> Result<Exception<'a>, Trouble> {
    expect(cursor, b'{')?;
    let mut exception = Exception::default();
    for _ in 0..FIELD_LIMIT {
        let Some(id) = field(cursor)? else { return Ok(exception) };
        expect(cursor, b'{')?;
        let kind = raw_string(cursor, NUMBER_LIMIT)?;
        expect(cursor, b':')?;
        match (id, kind) {
            (1, b"str") => exception.message = string(cursor, usize::MAX)?,
            (2, b"i32") => exception.type_id = integer(cursor)? as i32,
            _ => skip_value(cursor)?,
        }
        expect(cursor, b'}')?;
    }
    Err(cursor.wrong("too many fields in an exception"))
}

/// Skips one value of any shape.
fn skip_value(cursor: &mut Cursor<'_>) -> Result<(), Trouble> {
    let mut depth = 0_usize;
    loop {
        skip_space(cursor);
        match cursor.peek()? {
            b'"' => {
                raw_string(cursor, usize::MAX)?;
            }
            b'{' | b'[' if depth < DEPTH_LIMIT => {
                cursor.u8()?;
                depth += 1;
                continue;
            }
            b'{' | b'[' => return Err(cursor.wrong("nested too deeply")),
            b'}' | b']' if depth > 0 => {
                cursor.u8()?;
                depth -= 1;
            }
            b',' | b':' if depth > 0 => {
                cursor.u8()?;
                continue;
            }
            b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                // Numbers and literals: up to the character that ends them.
                while matches!(cursor.peek()?, b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') {
                    cursor.u8()?;
                }
            }
            _ => return Err(cursor.wrong("unexpected character in JSON")),
        }
        if depth == 0 {
            return Ok(());
        }
    }
}
