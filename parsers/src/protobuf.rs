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
pub(crate) fn field(input: &[u8]) -> Parse<'_, Field<'_>> {
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
    fn long_varints_field_zero_and_groups_are_wrong() {
        let long = [0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        for wrong in [&long[..], &[0x00, 0x01], &[0x1b]] {
            assert!(matches!(field(wrong), Err(Err::Error(_))), "{wrong:x?}");
        }
    }
}
