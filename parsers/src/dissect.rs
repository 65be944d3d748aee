//! What the detail views of all protocols share: fields, their values as text, and a reader that knows its offset.

use nom::Parser;

use crate::error::{Error, ParseResult};
use crate::protocol::Field;

/// Offsets in the message that is shown: start (inclusive) and end (exclusive).
pub(crate) type Range = (usize, usize);

/// The most bytes of a string that are shown.
const SHOWN_LIMIT: usize = 512;

/// A field without children.
pub(crate) fn field(name: impl Into<String>, value: impl Into<String>, range: Range) -> Field {
    Field { name: name.into(), value: value.into(), range, children: Vec::new() }
}

/// A field of fields, if its range is not empty.
pub(crate) fn group(name: &str, range: Range, children: Vec<Field>) -> Option<Field> {
    (range.0 < range.1).then(|| Field { name: name.to_owned(), range, children, ..Field::default() })
}

/// Bytes as text, or in hexadecimal digits where they are none; long ones are shortened.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let clipped = bytes.get(..SHOWN_LIMIT).unwrap_or(bytes);
    let rest =
        if clipped.len() < bytes.len() { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    match std::str::from_utf8(clipped) {
        Ok(text) => format!("{text}{rest}"),
        // A character cut by the shortening is no reason to doubt the text.
        Err(error) if !rest.is_empty() && error.error_len().is_none() => {
            format!(
                "{}{rest}",
                String::from_utf8_lossy(clipped.get(..error.valid_up_to()).unwrap_or_default())
            )
        }
        Err(_) => {
            format!("{}{rest}", hex_digits(clipped))
        }
    }
}

pub(crate) fn hex_digits(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold("0x".to_owned(), |mut digits, byte| {
        // Writing to a string can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Adds a big-endian number of up to eight bytes in decimal digits, if it is there; four bytes are signed.
pub(crate) fn number(fields: &mut Vec<Field>, message: &[u8], name: &str, at: usize, size: usize) {
    if let Some(bytes) = message.get(at..at + size) {
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let value = if size == 4 { i64::from(value as i32) } else { value as i64 };
        fields.push(field(name, value.to_string(), (at, at + size)));
    }
}

/// Adds the same in hexadecimal digits.
pub(crate) fn hex(fields: &mut Vec<Field>, message: &[u8], name: &str, at: usize, size: usize) {
    if let Some(bytes) = message.get(at..at + size) {
        fields.push(field(name, hex_digits(bytes), (at, at + size)));
    }
}

/// Gives all fields the same range: those of bytes that stand on the wire in another shape.
pub(crate) fn moved(mut fields: Vec<Field>, range: Range) -> Vec<Field> {
    for field in &mut fields {
        field.range = range;
        field.children = moved(std::mem::take(&mut field.children), range);
    }
    fields
}

/// Reads a message from left to right and knows the range of what it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldReader<'a> {
    message: &'a [u8],
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// At the offset `base` of `message`.
    pub(crate) fn new(message: &'a [u8], base: usize) -> Self {
        Self { message, rest: message.get(base..).unwrap_or_default() }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The offset of what is left.
    pub(crate) fn offset(&self) -> usize {
        self.message.len() - self.rest.len()
    }

    /// Reads what `parser` reads.
    pub(crate) fn read<O>(
        &mut self,
        mut parser: impl Parser<&'a [u8], Output = O, Error = Error>,
    ) -> ParseResult<O> {
        let (rest, output) = parser.parse(self.rest)?;
        self.rest = rest;
        Ok(output)
    }

    /// The same with its range.
    pub(crate) fn ranged<O>(
        &mut self,
        parser: impl Parser<&'a [u8], Output = O, Error = Error>,
    ) -> ParseResult<(O, Range)> {
        let start = self.offset();
        let output = self.read(parser)?;
        Ok((output, (start, self.offset())))
    }
}
