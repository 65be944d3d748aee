//! The protobuf wire format without a schema: the fields of a message by number
//! (<https://protobuf.dev/programming-guides/encoding/>).
//!
//! ```text
//! field:  number << 3 | wire type (varint), value
//! value:  0 varint | 1 eight bytes | 2 length (varint), bytes | 5 four bytes
//! ```

use nom::Parser as _;
use nom::combinator::map_opt;
use nom::error::context;
use nom::number::streaming::{le_u32, le_u64};

use crate::error::{Parse, wrong};
use crate::varint::{varint, varint_bytes};

/// A field's value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1: `fixed64`, `sfixed64` or `double`.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5: `fixed32`, `sfixed32` or `float`.
    Fixed32(u32),
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number in the message's definition.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

/// Number and wire type of a field.
fn tag(input: &[u8]) -> Parse<'_, (u32, u8)> {
    let split = |tag: u64| {
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        Some((number, (tag & 7) as u8))
    };
    context("impossible field number", map_opt(varint, split)).parse(input)
}

/// The field at the beginning of `input`.
#[inline]
pub(crate) fn field(input: &[u8]) -> Parse<'_, Field<'_>> {
    // Most have a number below 16, and a length or a value below 128.
    if let [tag @ 0x08..0x80, byte @ 0..0x80, rest @ ..] = input {
        let (number, wire_type) = (u32::from(tag >> 3), tag & 7);
        if wire_type == 2
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(*byte))
        {
            return Ok((rest, Field { number, value: Value::Bytes(bytes) }));
        }
        if wire_type == 0 {
            return Ok((rest, Field { number, value: Value::Varint(u64::from(*byte)) }));
        }
    }
    any_field(input)
}

/// The same for a field of any kind.
#[inline(never)]
fn any_field(input: &[u8]) -> Parse<'_, Field<'_>> {
    // Nearly all others are larger numbers.
    if let [tag @ 0x08..0x80, rest @ ..] = input {
        let (number, wire_type) = (u32::from(tag >> 3), tag & 7);
        if wire_type == 0 {
            let (rest, value) = varint(rest)?;
            return Ok((rest, Field { number, value: Value::Varint(value) }));
        }
    }
    let (rest, (number, wire_type)) = tag(input)?;
    let (rest, value) = match wire_type {
        0 => varint.map(Value::Varint).parse(rest),
        1 => le_u64.map(Value::Fixed64).parse(rest),
        2 => varint_bytes(usize::MAX).map(Value::Bytes).parse(rest),
        5 => le_u32.map(Value::Fixed32).parse(rest),
        _ => wrong(input, "unknown wire type"),
    }?;
    Ok((rest, Field { number, value }))
}

/// Number and first bytes of the field at the beginning of `input` whose length reaches past the end of it; `None` if it
/// has no length, or its length is not there.
pub(crate) fn cut_field(input: &[u8]) -> Option<(u32, &[u8])> {
    match tag(input) {
        Ok((rest, (number, 2))) => varint(rest).ok().map(|(bytes, _)| (number, bytes)),
        _ => None,
    }
}

/// The fields of `message` in the order of the wire, up to its end or to the first byte that makes no sense.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let (after, field) = field(rest).ok()?;
        rest = after;
        Some(field)
    })
}

/// The deepest nesting of groups whose end is looked for.
const GROUP_LIMIT: usize = 64;

/// A field with groups, which proto2 has and editions call delimited messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Any other field.
    Value(Value<'a>),
    /// Wire types 3 and 4: the fields between start and end.
    Group(&'a [u8]),
}

/// Why no more fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A field goes on after the end of the input.
    Short,
    /// The bytes make no sense.
    Wrong,
}

/// The field at the beginning of `input`, groups included: what follows it, its number and value.
pub fn element(input: &[u8]) -> Result<(&[u8], u32, Element<'_>), Stop> {
    let (rest, (number, wire_type)) = tag(input).map_err(|error| stop(&error))?;
    if number > HIGHEST_NUMBER {
        return Err(Stop::Wrong);
    }
    if wire_type != 3 {
        let (rest, field) = field(input).map_err(|error| stop(&error))?;
        return Ok((rest, number, Element::Value(field.value)));
    }
    let mut open = vec![number];
    let mut at = rest;
    loop {
        let (after, (number, wire_type)) = tag(at).map_err(|error| stop(&error))?;
        match wire_type {
            3 if open.len() == GROUP_LIMIT => return Err(Stop::Wrong),
            3 => {
                open.push(number);
                at = after;
            }
            4 if open.pop() != Some(number) => return Err(Stop::Wrong),
            4 if open.is_empty() => {
                let inner = rest.get(..rest.len() - at.len()).unwrap_or_default();
                return Ok((after, number, Element::Group(inner)));
            }
            4 => at = after,
            _ => (at, _) = field(at).map_err(|error| stop(&error))?,
        }
    }
}

/// The highest number that a field can have.
pub const HIGHEST_NUMBER: u32 = (1 << 29) - 1;

fn stop(error: &nom::Err<crate::error::Error>) -> Stop {
    match error {
        nom::Err::Incomplete(_) => Stop::Short,
        nom::Err::Error(_) | nom::Err::Failure(_) => Stop::Wrong,
    }
}

/// The number at the beginning of `input`, as packed fields hold one after the other.
#[must_use]
pub fn packed_varint(input: &[u8]) -> Option<(&[u8], u64)> {
    varint(input).ok()
}

#[cfg(test)]
mod tests {
    use nom::{Err, Needed};

    use super::*;

    #[test]
    fn fields_of_every_wire_type() {
        let message = b"\x08\xac\x02\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0";
        let values = [Value::Varint(300), Value::Bytes(b"hi"), Value::Fixed32(1), Value::Fixed64(2)];
        let read: Vec<_> = fields(message).map(|field| (field.number, field.value)).collect();
        assert_eq!(read, (1..).zip(values).collect::<Vec<_>>());
    }

    #[test]
    fn a_field_that_is_cut_says_what_is_missing() {
        assert_eq!(field(b"\x12\x05he"), Err(Err::Incomplete(Needed::new(3))));
        assert_eq!(cut_field(b"\x12\x05he"), Some((2, &b"he"[..])));
        assert_eq!(cut_field(b"\x08"), None);
        assert_eq!(fields(b"\x08\x01\x12\x05he").count(), 1);
    }

    #[test]
    fn groups_end_where_they_say() {
        let group = b"\x2b\x32\x02hi\x3b\x08\x01\x3c\x2c\x08\x02";
        let (rest, number, value) = element(group).unwrap();
        assert_eq!((rest, number), (&b"\x08\x02"[..], 5));
        assert_eq!(value, Element::Group(b"\x32\x02hi\x3b\x08\x01\x3c"));
        for end in 0..group.len() - 2 {
            assert_eq!(element(&group[..end]), Err(Stop::Short), "{end}");
        }
        assert_eq!(element(b"\x2b\x34"), Err(Stop::Wrong));
        assert_eq!(element(b"\x2c"), Err(Stop::Wrong));
        assert_eq!(element(&[0x2b; 1000]), Err(Stop::Wrong));
        assert_eq!(element(b"\x08\x96\x01"), Ok((&b""[..], 1, Element::Value(Value::Varint(150)))));
        assert_eq!(element(b"\xf8\xff\xff\xff\x7f\x01"), Err(Stop::Wrong));
    }

    #[test]
    fn long_varints_field_zero_and_groups_are_wrong() {
        let long = [0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        for wrong in [&long[..], &[0x00, 0x01], &[0x1b]] {
            assert!(matches!(field(wrong), Err(Err::Error(_))), "{wrong:x?}");
        }
    }
}
