//! Protobuf without a description: fields by number, and a guess of what their bytes are.
//!
//! The wire format tells numbers from bytes, but not text from a message or a signed number from an unsigned one. As protoscope
//! does, a guess is made of each value: bytes that a terminal could print are text, others a message if they can be read as one to their
//! last byte, else bytes.

use rpcscope_parsers::protobuf::{Element, Stop, Value as Wire, element};

use super::value::{Fields, float32};
use super::{DEPTH_LIMIT, VALUE_LIMIT, Value};

/// A message that was read by guess.
pub(super) struct Guess {
    /// Its fields.
    pub(super) value: Value,
    /// Why its end was not reached.
    pub(super) stop: Option<Stop>,
    /// It has more values than are read.
    pub(super) over: bool,
}

/// The fields of a message up to its end, or to the first byte that makes no sense.
pub(super) fn message(bytes: &[u8]) -> Guess {
    let mut left = VALUE_LIMIT;
    let (value, stop) = fields(bytes, 0, &mut left);
    Guess { value, stop, over: left == 0 }
}

/// A value of a field that no description names.
pub(super) fn value(element: Element<'_>, depth: usize, left: &mut usize) -> Value {
    match element {
        Element::Value(Wire::Varint(number)) => varint(number),
        Element::Value(Wire::Fixed64(bits)) => fixed64(bits),
        Element::Value(Wire::Fixed32(bits)) => fixed32(bits),
        Element::Value(Wire::Bytes(bytes)) => sized(bytes, depth, left),
        Element::Group(inner) if depth < DEPTH_LIMIT => match fields(inner, depth + 1, left) {
            (value, None) => value,
            (_, Some(_)) => Value::Raw(inner.to_vec()),
        },
        Element::Group(inner) => Value::Raw(inner.to_vec()),
    }
}

fn fields(bytes: &[u8], depth: usize, left: &mut usize) -> (Value, Option<Stop>) {
    let mut fields = Fields::default();
    let mut rest = bytes;
    while !rest.is_empty() && *left > 0 {
        *left -= 1;
        match element(rest) {
            Ok((after, number, element)) => {
                fields.push(number, value(element, depth, left));
                rest = after;
            }
            Err(stop) => return (fields.object(), Some(stop)),
        }
    }
    let stop = (!rest.is_empty()).then_some(Stop::Short);
    (fields.object(), stop)
}

/// Negative numbers of 32 bits are sent with ten bytes; no unsigned number that long is as likely.
fn varint(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(number) => Value::Int(number),
        Err(_) if (number as i64) >= i64::from(i32::MIN) => Value::Int(number as i64),
        Err(_) => Value::UInt(number),
    }
}

/// Eight bytes are a `double` if that has a usual size: as integers such bits are beyond any count or time.
fn fixed64(bits: u64) -> Value {
    let float = f64::from_bits(bits);
    if (1e-9..1e15).contains(&float.abs()) { Value::Float(float) } else { varint(bits) }
}

/// The same of four bytes.
fn fixed32(bits: u32) -> Value {
    let float = f32::from_bits(bits);
    if (1e-6..1e9).contains(&float.abs()) { float32(float) } else { Value::Int(bits.into()) }
}

fn sized(bytes: &[u8], depth: usize, left: &mut usize) -> Value {
    let text = std::str::from_utf8(bytes).ok();
    // A newline is also the tag of field 1 with a length: text seldom begins with one, messages often.
    let printable = |text: &&str| {
        !text.starts_with('\n') && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    };
    if let Some(text) = text.filter(printable) {
        return Value::Text(text.to_owned());
    }
    if depth < DEPTH_LIMIT {
        let before = *left;
        match fields(bytes, depth + 1, left) {
            (message, None) => return message,
            // What was read in vain took time all the same, but no memory that stays.
            (_, Some(_)) => *left = before.saturating_sub(1),
        }
    }
    match text.filter(|text| printable(&text.trim_start_matches('\n'))) {
        Some(text) => Value::Text(text.to_owned()),
        None => Value::Raw(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> String {
        message(bytes).value.to_json()
    }

    #[test]
    fn values_are_guessed_from_their_bytes() {
        assert_eq!(json(b"\x08\x96\x01\x12\x02hi\x1a\x02\x08\x01"), r#"{"1":150,"2":"hi","3":{"1":1}}"#);
        assert_eq!(json(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), r#"{"1":-1}"#);
        assert_eq!(
            json(b"\x09\0\0\0\0\0\0\xf8\x3f\x15\0\0\xc0\x3f\x1d\xff\xff\0\0"),
            r#"{"1":1.5,"2":1.5,"3":65535}"#
        );
        assert_eq!(json(b"\x0a\x01a\x0a\x01b"), r#"{"1":["a","b"]}"#);
        assert_eq!(
            json(b"\x0a\x02\xff\xfe\x12\x00\x2b\x32\x01x\x2c"),
            r#"{"1":"//4=","2":"","5":{"6":"x"}}"#
        );
        assert_eq!(json(b"\x0a\x05\x0a\x03abc"), r#"{"1":{"1":"abc"}}"#);
        assert_eq!(json(b"\x0a\x04\nabc"), r#"{"1":"\nabc"}"#);
        assert_eq!(json(b""), "{}");
    }

    #[test]
    fn a_message_that_does_not_end_says_so() {
        let guess = message(b"\x08\x01\x12\x05he");
        assert_eq!((guess.value.to_json(), guess.stop), (r#"{"1":1}"#.to_owned(), Some(Stop::Short)));
        assert_eq!(message(b"\x08\x01\x07").stop, Some(Stop::Wrong));
    }

    #[test]
    fn depth_and_number_are_bounded() {
        // A message in a message, as often as lengths of one byte allow, and more in lengths of three bytes.
        let mut deep = Vec::new();
        for _ in 0..2000 {
            let mut outer = vec![0x0a];
            let mut length = deep.len();
            while length >= 0x80 {
                outer.push((length as u8 & 0x7f) | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(&deep);
            deep = outer;
        }
        let _ = json(&deep);
        let many = [0x08, 0x01].repeat(VALUE_LIMIT + 10);
        assert!(message(&many).over);
    }
}
