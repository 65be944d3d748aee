//! Bodies in JCE, the encoding of TARS (tRPC's content type 1): fields by tag, with their types on the wire.
//!
//! ```text
//! head:  tag << 4 | type, or f << 4 | type and the tag in a byte of its own
//! value: 0 one byte | 1 two | 2 four | 3 eight bytes | 4 float | 5 double | 12 zero, no bytes
//!        6 length (1), text | 7 length (4), text
//!        8 map: count (a value), {key with tag 0, value with tag 1}* | 9 list: count (a value), {value with tag 0}*
//!        10 struct: fields up to a head of type 11 | 13 bytes: head of type 0, count (a value), bytes
//! ```
//!
//! Source: `TarsProtocol` ("Tars 编码协议"), `codec/codec.go` of `TarsGo`.

use nom::error::{Error, ErrorKind};
use nom::multi::length_data;
use nom::number::complete::{be_f32, be_f64, be_i8, be_i16, be_i32, be_i64, be_u8, be_u32};
use nom::{Err, IResult, Parser as _};

use super::value::{Fields, float32, text_or_raw};
use super::{DEPTH_LIMIT, VALUE_LIMIT, Value};

type Parse<'a, O> = IResult<&'a [u8], O>;

/// What the head of a value says.
struct Head {
    tag: u8,
    kind: u8,
}

const STRUCT_END: u8 = 11;

/// The fields of a message, or `None` if it is no JCE.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { left: VALUE_LIMIT };
    let mut fields = Fields::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (after, head) = head(rest).ok()?;
        let (after, value) = reader.value(after, head.kind, 0).ok()?;
        fields.set(head.tag.to_string(), value);
        rest = after;
    }
    Some(fields.object())
}

fn wrong<O>(input: &[u8]) -> Parse<'_, O> {
    Err(Err::Error(Error::new(input, ErrorKind::Verify)))
}

fn head(input: &[u8]) -> Parse<'_, Head> {
    let (rest, byte) = be_u8(input)?;
    let kind = byte & 0x0f;
    match byte >> 4 {
        15 => be_u8.map(|tag| Head { tag, kind }).parse(rest),
        tag => Ok((rest, Head { tag, kind })),
    }
}

struct Reader {
    /// Values that may still be read.
    left: usize,
}

impl Reader {
    /// The number that counts what follows.
    fn count<'a>(&mut self, input: &'a [u8]) -> Parse<'a, usize> {
        let (rest, head) = head(input)?;
        let (rest, value) = match head.kind {
            0..=2 | 12 => self.value(rest, head.kind, 0)?,
            _ => return wrong(input),
        };
        match value {
            Value::Int(count @ 0..) => Ok((rest, count as usize)),
            _ => wrong(input),
        }
    }

    fn value<'a>(&mut self, input: &'a [u8], kind: u8, depth: usize) -> Parse<'a, Value> {
        if self.left == 0 || depth > DEPTH_LIMIT {
            return wrong(input);
        }
        self.left -= 1;
        match kind {
            0 => be_i8.map(|number| Value::Int(number.into())).parse(input),
            1 => be_i16.map(|number| Value::Int(number.into())).parse(input),
            2 => be_i32.map(|number| Value::Int(number.into())).parse(input),
            3 => be_i64.map(Value::Int).parse(input),
            4 => be_f32.map(float32).parse(input),
            5 => be_f64.map(Value::Float).parse(input),
            6 => length_data(be_u8).map(text_or_raw).parse(input),
            7 => length_data(be_u32).map(text_or_raw).parse(input),
            8 => self.map(input, depth),
            9 => self.list(input, depth),
            10 => self.fields(input, depth),
            12 => Ok((input, Value::Int(0))),
            13 => {
                let (rest, element) = head(input)?;
                let (rest, count) = self.count(rest)?;
                match rest.split_at_checked(count) {
                    Some((bytes, rest)) if element.kind == 0 => Ok((rest, Value::Raw(bytes.to_vec()))),
                    _ => wrong(input),
                }
            }
            _ => wrong(input),
        }
    }

    fn tagged<'a>(&mut self, input: &'a [u8], tag: u8, depth: usize) -> Parse<'a, Value> {
        let (rest, head) = head(input)?;
        if head.tag != tag {
            return wrong(input);
        }
        self.value(rest, head.kind, depth + 1)
    }

    fn map<'a>(&mut self, input: &'a [u8], depth: usize) -> Parse<'a, Value> {
        let (mut rest, count) = self.count(input)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let (after, key) = self.tagged(rest, 0, depth)?;
            let (after, value) = self.tagged(after, 1, depth)?;
            entries.push((key, value));
            rest = after;
        }
        Ok((rest, super::value::map(entries)))
    }

    fn list<'a>(&mut self, input: &'a [u8], depth: usize) -> Parse<'a, Value> {
        let (mut rest, count) = self.count(input)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            let (after, value) = self.tagged(rest, 0, depth)?;
            elements.push(value);
            rest = after;
        }
        Ok((rest, Value::List(elements)))
    }

    fn fields<'a>(&mut self, input: &'a [u8], depth: usize) -> Parse<'a, Value> {
        let mut fields = Fields::default();
        let mut rest = input;
        loop {
            let (after, head) = head(rest)?;
            if head.kind == STRUCT_END {
                return Ok((after, fields.object()));
            }
            let (after, value) = self.value(after, head.kind, depth + 1)?;
            fields.set(head.tag.to_string(), value);
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read() {
        let bytes = b"\x00\xff\x11\x01\x00\x22\xff\xff\xff\xff\x33\0\0\0\0\0\0\0\x07\x44\x3f\xc0\0\0\x55\x3f\xf8\0\0\0\0\0\0\
            \x66\x02hi\x77\0\0\0\x01x\x88\x00\x01\x06\x01k\x10\x05\x99\x00\x02\x0c\x00\x09\xaa\x06\x01s\x0b\
            \xfc\x14\xbd\x00\x00\x02\xff\x00";
        let expected = r#"{"0":-1,"1":256,"2":-1,"3":7,"4":1.5,"5":1.5,"6":"hi","7":"x","8":{"k":5},"9":[0,9],"10":{"0":"s"},"20":0,"11":"/wA="}"#;
        assert_eq!(decode(bytes).unwrap().to_json(), expected);
        for end in 1..bytes.len() {
            // Whatever is cut within a value is no message.
            if let Some(value) = decode(&bytes[..end]) {
                assert!(expected.starts_with(value.to_json().trim_end_matches('}')), "{end}");
            }
        }
        assert_eq!(decode(b""), Some(Value::Object(vec![])));
    }

    #[test]
    fn counts_and_depth_are_bounded() {
        assert_eq!(decode(b"\x09\x02\x7f\xff\xff\xff\x0c"), None);
        assert_eq!(decode(&vec![0x0a; 100_000]), None);
        let mut zeros = b"\x09\x02\x00\x7f\xff\xff".to_vec();
        zeros.resize(1 << 20, 0x0c);
        assert_eq!(decode(&zeros), None);
        assert_eq!(decode(b"\x0d\x00\x00\x7f\x01"), None);
        assert_eq!(decode(b"\x09\x00\xff"), None);
    }
}
