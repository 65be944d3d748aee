//! The JSON protocol: `[1,"name",type,seq_id,{"1":{"str":"…"},"2":{"i32":6}}]`, struct fields by id, each value with its
//! type. It is sent mostly over HTTP.
//!
//! Source: `lib/go/thrift/json_protocol.go` and `lib/cpp/src/thrift/protocol/TJSONProtocol.cpp` of Apache Thrift.

use nom::Parser as _;
use nom::bytes::streaming::take_while_m_n;
use nom::character::complete::multispace0;
use nom::character::streaming::char;
use nom::combinator::{map_opt, verify};
use nom::error::context;
use nom::sequence::preceded;

use super::types::{MessageHead, MessageType, result_field};
use super::{DEPTH_LIMIT, FIELD_LIMIT, NAME_LIMIT};
use crate::error::{Parse, incomplete, wrong};
use crate::event::{Exception, ResultField, Text};

/// The longest number that is read; the numbers of a message head are 32 bits wide.
const NUMBER_LIMIT: usize = 20;

/// The only version of the protocol.
const VERSION: i64 = 1;

/// Punctuation, with white space before it.
fn punctuation<'a>(wanted: char) -> impl FnMut(&'a [u8]) -> Parse<'a, char> {
    move |input| context("unexpected character in JSON", preceded(multispace0, char(wanted))).parse(input)
}

/// The bytes between the quotes, with escapes as they stand. By hand, because the end of a string can't be foreseen: asking
/// for half as many bytes again each time keeps the work linear.
fn raw_string<'a>(limit: usize) -> impl FnMut(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| {
        let (rest, _) = punctuation('"')(input)?;
        let mut at = 0;
        while let Some(found) = rest.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            at += found;
            if rest.get(at) == Some(&b'"') {
                let (text, after) = rest.split_at_checked(at).unwrap_or_default();
                let after = after.get(1..).unwrap_or_default();
                return if at <= limit { Ok((after, text)) } else { wrong(rest, "length over the limit") };
            }
            at += 2;
        }
        if rest.len() > limit { wrong(rest, "length over the limit") } else { incomplete(rest.len() / 2) }
    }
}

fn string<'a>(limit: usize) -> impl FnMut(&'a [u8]) -> Parse<'a, Text<'a>> {
    move |input| raw_string(limit).map(Text::Json).parse(input)
}

fn integer(input: &[u8]) -> Parse<'_, i64> {
    let digits = take_while_m_n(0, NUMBER_LIMIT, |byte: u8| byte.is_ascii_digit() || byte == b'-');
    context("not a number", map_opt(preceded(multispace0, digits), number)).parse(input)
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn version(input: &[u8]) -> Parse<'_, i64> {
    context("unknown version of the JSON protocol", verify(integer, |version| *version == VERSION))
        .parse(input)
}

fn message_type(input: &[u8]) -> Parse<'_, MessageType> {
    let known = |number| u64::try_from(number).ok().and_then(MessageType::from_number);
    context("unknown message type", map_opt(integer, known)).parse(input)
}

fn comma(input: &[u8]) -> Parse<'_, char> {
    punctuation(',')(input)
}

/// The message head: `[1,"name",type,seq_id,`.
pub(super) fn head(input: &[u8]) -> Parse<'_, MessageHead<'_>> {
    let (input, (_, _, _, name)) = (punctuation('['), version, comma, string(NAME_LIMIT)).parse(input)?;
    let (input, (_, message_type)) = (comma, message_type).parse(input)?;
    let (input, (_, seq_id, _, _)) = (comma, integer, comma, multispace0).parse(input)?;
    Ok((input, MessageHead { message_type, name, seq_id: seq_id as i32 }))
}

/// `"id":`
fn field_id(input: &[u8]) -> Parse<'_, i16> {
    let id = |digits| number(digits).and_then(|id| i16::try_from(id).ok());
    let (rest, (digits, _)) = (raw_string(NUMBER_LIMIT), punctuation(':')).parse(input)?;
    match id(digits) {
        Some(id) => Ok((rest, id)),
        None => wrong(input, "field id is no number"),
    }
}

/// The key of the next field, `None` at the end of the struct.
fn field(input: &[u8]) -> Parse<'_, Option<i16>> {
    let (input, _) = multispace0(input)?;
    match input.split_first() {
        None => incomplete(1),
        Some((b'}', rest)) => Ok((rest, None)),
        Some((b',', rest)) => field_id.map(Some).parse(rest),
        Some(_) => field_id.map(Some).parse(input),
    }
}

/// The first field of a result struct.
pub(super) fn result(input: &[u8]) -> Parse<'_, ResultField> {
    preceded(punctuation('{'), field).map(|id| id.map_or(ResultField::Empty, result_field)).parse(input)
}

/// A `TApplicationException`: 1 string message, 2 i32 type; a field that is absent keeps its default.
pub(super) fn exception(input: &[u8]) -> Parse<'_, Exception<'_>> {
    let (mut rest, _) = punctuation('{')(input)?;
    let mut exception = Exception { type_id: 0, message: Text::Plain(&[]) };
    for _ in 0..FIELD_LIMIT {
        let (after, id) = field(rest)?;
        let Some(id) = id else { return Ok((after, exception)) };
        let (value, (_, kind, _)) =
            (punctuation('{'), raw_string(NUMBER_LIMIT), punctuation(':')).parse(after)?;
        let (after, ()) = match (id, kind) {
            (1, b"str") => string(usize::MAX).map(|text| exception.message = text).parse(value),
            (2, b"i32") => integer.map(|number| exception.type_id = number as i32).parse(value),
            _ => skip_value(value),
        }?;
        (rest, _) = punctuation('}')(after)?;
    }
    wrong(rest, "too many fields in an exception")
}

/// Whether a byte can stand in a number or a literal.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
}

/// Skips one value of any shape. By hand: the nesting is counted, so that hostile input does not recurse.
fn skip_value(input: &[u8]) -> Parse<'_, ()> {
    let mut rest = input;
    let mut depth = 0_usize;
    loop {
        (rest, _) = multispace0(rest)?;
        let Some((first, after)) = rest.split_first() else { return incomplete(1) };
        match first {
            b'"' => (rest, _) = raw_string(usize::MAX)(rest)?,
            b'{' | b'[' if depth < DEPTH_LIMIT => {
                rest = after;
                depth += 1;
                continue;
            }
            b'{' | b'[' => return wrong(rest, "nested too deeply"),
            b'}' | b']' if depth > 0 => {
                rest = after;
                depth -= 1;
            }
            b',' | b':' if depth > 0 => {
                rest = after;
                continue;
            }
            byte if is_plain(*byte) => match rest.iter().position(|byte| !is_plain(*byte)) {
                Some(end) => rest = rest.get(end..).unwrap_or_default(),
                None => return incomplete(1),
            },
            _ => return wrong(rest, "unexpected character in JSON"),
        }
        if depth == 0 {
            return Ok((rest, ()));
        }
    }
}
