//! The struct of a message as a tree of values with the types that the wire gives them.
//!
//! All three encodings name the type of every value, so no IDL is needed for the shape. What is read is bounded in depth
//! and number; beyond a bound, or at the end of bytes that are cut, the tree holds what came before.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use nom::Err;
use nom::Parser as _;
use nom::number::streaming::{be_f64, be_i8, be_i16, be_i32, be_i64, be_u8, be_u32, le_f64};

use super::field::{Encoded, FieldHead, Type, binary_field, compact_field, list_head, map_head};
use super::skip::StructFormat;
use crate::error::{Error, Parse, wrong};
use crate::varint::{varint_bytes, zigzag_varint};

/// The deepest nesting of structs and containers that is read. A level costs a stack frame.
const DEPTH_LIMIT: usize = 64;

/// Most values of one struct, those within others included: a value takes some forty times the memory of its shortest form.
const VALUE_LIMIT: usize = 1 << 17;

/// A value by its type on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `bool`.
    Bool(bool),
    /// `byte` or `i8`.
    I8(i8),
    /// `i16`.
    I16(i16),
    /// `i32` and enums.
    I32(i32),
    /// `i64`.
    I64(i64),
    /// `double`.
    Double(f64),
    /// `string` and `binary`. Of the JSON protocol, where binary is base64 text, the text.
    String(Cow<'a, [u8]>),
    /// `uuid`.
    Uuid([u8; 16]),
    /// `list`.
    List(Vec<Value<'a>>),
    /// `set`.
    Set(Vec<Value<'a>>),
    /// `map`.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// A struct, union or exception.
    Struct(Vec<Field<'a>>),
}

impl Value<'_> {
    /// The type's name in an IDL.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::I8(_) => Type::I8,
            Self::I16(_) => Type::I16,
            Self::I32(_) => Type::I32,
            Self::I64(_) => Type::I64,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Uuid(_) => Type::Uuid,
            Self::List(_) => Type::List,
            Self::Set(_) => Type::Set,
            Self::Map(_) => Type::Map,
            Self::Struct(_) => Type::Struct,
        }
        .name()
    }
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its id.
    pub id: i16,
    /// Its value.
    pub value: Value<'a>,
}

/// A struct, and whether it is all there.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct<'a> {
    /// Its fields in the order of the wire.
    pub fields: Vec<Field<'a>>,
    /// How the reading ended.
    pub end: End,
}

/// How the reading of a struct ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At its end, with that many bytes left of the input.
    Whole(usize),
    /// At the end of the input: the rest is missing.
    Short,
    /// At a bound: the rest is not looked at.
    Bound(&'static str),
    /// At bytes that make no sense.
    Wrong(&'static str),
}

/// Reads the struct at the beginning of `input`.
#[must_use]
pub fn parse_struct(format: StructFormat, input: &[u8]) -> Struct<'_> {
    let mut reader = Reader { rest: input, left: VALUE_LIMIT, stop: None };
    let fields = match format {
        StructFormat::Binary => reader.fields(Form::Binary, 0),
        StructFormat::Compact => reader.fields(Form::Compact, 0),
        StructFormat::Json => return json_struct(input),
    };
    Struct { fields, end: reader.stop.unwrap_or(End::Whole(reader.rest.len())) }
}

#[derive(Clone, Copy)]
enum Form {
    Binary,
    Compact,
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Values that may still be read.
    left: usize,
    /// Why nothing more is read.
    stop: Option<End>,
}

impl<'a> Reader<'a> {
    /// What `parser` reads; `None` once nothing more is read.
    fn take<O>(&mut self, mut parser: impl nom::Parser<&'a [u8], Output = O, Error = Error>) -> Option<O> {
        if self.stop.is_some() {
            return None;
        }
        match parser.parse(self.rest) {
            Ok((rest, output)) => {
                self.rest = rest;
                Some(output)
            }
            Err(Err::Incomplete(_)) => self.end(End::Short),
            Err(Err::Error(error) | Err::Failure(error)) => self.end(End::Wrong(error.what)),
        }
    }

    fn end<O>(&mut self, end: End) -> Option<O> {
        self.stop.get_or_insert(end);
        None
    }

    fn fields(&mut self, form: Form, depth: usize) -> Vec<Field<'a>> {
        let mut fields = Vec::new();
        let mut last = 0;
        loop {
            let head = match form {
                Form::Binary => self.take(binary_field),
                Form::Compact => self.take(compact_field(last)),
            };
            let Some(Some(FieldHead { kind, id })) = head else { return fields };
            last = id;
            let Some(value) = self.value(kind, depth) else { return fields };
            fields.push(Field { id, value });
        }
    }

    /// A value; a struct or container that does not end holds what was read of it.
    fn value(&mut self, kind: Encoded, depth: usize) -> Option<Value<'a>> {
        if self.left == 0 {
            return self.end(End::Bound("too many values"));
        }
        self.left -= 1;
        let Some(value_type) = kind.value_type() else { return self.end(End::Wrong("unknown type")) };
        let form = match kind {
            Encoded::Binary(_) => Form::Binary,
            Encoded::CompactField(_) | Encoded::CompactElement(_) => Form::Compact,
        };
        let nested = matches!(value_type, Type::List | Type::Set | Type::Map | Type::Struct);
        if nested && depth == DEPTH_LIMIT {
            return self.end(End::Bound("nested too deeply"));
        }
        Some(match value_type {
            Type::Bool => Value::Bool(match kind {
                Encoded::CompactField(kind) => kind == 1,
                // False is 0 in older writers and 2 in newer ones.
                _ => self.take(be_u8)? == 1,
            }),
            Type::I8 => Value::I8(self.take(be_i8)?),
            Type::I16 => Value::I16(match form {
                Form::Binary => self.take(be_i16)?,
                Form::Compact => self.take(zigzag_varint)? as i16,
            }),
            Type::I32 => Value::I32(match form {
                Form::Binary => self.take(be_i32)?,
                Form::Compact => self.take(zigzag_varint)? as i32,
            }),
            Type::I64 => Value::I64(match form {
                Form::Binary => self.take(be_i64)?,
                Form::Compact => self.take(zigzag_varint)?,
            }),
            Type::Double => Value::Double(match form {
                Form::Binary => self.take(be_f64)?,
                Form::Compact => self.take(le_f64)?,
            }),
            Type::String => Value::String(Cow::Borrowed(match form {
                Form::Binary => self.take(sized)?,
                Form::Compact => self.take(varint_bytes(i32::MAX as usize))?,
            })),
            Type::Uuid => {
                let bytes = self.take(nom::bytes::streaming::take(16_usize))?;
                Value::Uuid(<[u8; 16]>::try_from(bytes).ok()?)
            }
            Type::List => Value::List(self.elements(kind, depth)?),
            Type::Set => Value::Set(self.elements(kind, depth)?),
            Type::Map => Value::Map(self.entries(kind, depth)?),
            Type::Struct => Value::Struct(self.fields(form, depth + 1)),
        })
    }

    fn elements(&mut self, kind: Encoded, depth: usize) -> Option<Vec<Value<'a>>> {
        let (element, count) = self.take(list_head(kind))?;
        let mut elements = Vec::new();
        for _ in 0..count {
            let Some(value) = self.value(element, depth + 1) else { break };
            elements.push(value);
        }
        Some(elements)
    }

    fn entries(&mut self, kind: Encoded, depth: usize) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        let (key, value, count) = self.take(map_head(kind))?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let Some(key) = self.value(key, depth + 1) else { break };
            let Some(value) = self.value(value, depth + 1) else { break };
            entries.push((key, value));
        }
        Some(entries)
    }
}

/// Bytes after their length, a signed number of four bytes.
fn sized(input: &[u8]) -> Parse<'_, &[u8]> {
    let (rest, length) = be_u32(input)?;
    if length > i32::MAX as u32 {
        return wrong(input, "length over the limit");
    }
    nom::bytes::streaming::take(length).parse(rest)
}

/// Reads a struct of the JSON protocol: `{"1":{"i32":5},"2":{"lst":["str",1,"a"]}}`. What is not whole is not read: JSON
/// can't be read in part.
fn json_struct(input: &[u8]) -> Struct<'_> {
    let input = standard_json(input);
    let mut values = serde_json::Deserializer::from_slice(&input).into_iter::<serde_json::Value>();
    match values.next() {
        Some(Ok(value)) => {
            let left = input.len().saturating_sub(values.byte_offset());
            let mut left_values = VALUE_LIMIT;
            match json_fields(&value, 0, &mut left_values) {
                Ok(fields) => Struct { fields, end: End::Whole(left) },
                Err(end) => Struct { fields: Vec::new(), end },
            }
        }
        Some(Err(error)) if !error.is_eof() => {
            Struct { fields: Vec::new(), end: End::Wrong("not the JSON protocol") }
        }
        _ => Struct { fields: Vec::new(), end: End::Short },
    }
}

/// The bytes without what Apache Thrift's Python library writes that is no JSON: control characters as they are within strings, and `nan`, `inf`
/// and `-inf` (`lib/py/src/protocol/TJSONProtocol.py`, `writeJSONString` and `writeJSONNumber`). What comes behind the struct stays.
fn standard_json(input: &[u8]) -> Cow<'_, [u8]> {
    let is_odd = |byte: &u8| *byte < b' ' || matches!(byte, b'n' | b'i');
    if !input.iter().any(is_odd) {
        return Cow::Borrowed(input);
    }
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    let mut in_string = false;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                in_string = !in_string;
                out.push(*byte);
            }
            b'\\' if in_string => {
                out.push(*byte);
                if let Some((escaped, after)) = rest.split_first() {
                    out.push(*escaped);
                    rest = after;
                }
            }
            0..=0x1f if in_string => out.extend(format!("\\u{byte:04x}").bytes()),
            b'n' if !in_string && rest.starts_with(b"an") => {
                out.extend(b"\"NaN\"");
                rest = rest.get(2..).unwrap_or_default();
            }
            b'i' if !in_string && rest.starts_with(b"nf") => {
                let is_negative = out.pop_if(|last| *last == b'-').is_some();
                out.extend(if is_negative { &b"\"-Infinity\""[..] } else { b"\"Infinity\"" });
                rest = rest.get(2..).unwrap_or_default();
            }
            _ => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

const ODD_JSON: End = End::Wrong("not a value of the JSON protocol");

fn json_fields(
    value: &serde_json::Value,
    depth: usize,
    left: &mut usize,
) -> Result<Vec<Field<'static>>, End> {
    let field = |(id, typed): (&String, &serde_json::Value)| {
        let id = id.parse().map_err(|_| ODD_JSON)?;
        let typed = typed.as_object().filter(|typed| typed.len() == 1).and_then(|typed| typed.iter().next());
        let (kind, value) = typed.ok_or(ODD_JSON)?;
        Ok(Field { id, value: json_value(kind, value, depth, left)? })
    };
    value.as_object().ok_or(ODD_JSON)?.iter().map(field).collect()
}

fn json_value(
    kind: &str,
    value: &serde_json::Value,
    depth: usize,
    left: &mut usize,
) -> Result<Value<'static>, End> {
    *left = left.checked_sub(1).ok_or(End::Bound("too many values"))?;
    if depth == DEPTH_LIMIT {
        return Err(End::Bound("nested too deeply"));
    }
    // Keys of maps are text whatever their type.
    let integer = || value.as_i64().or_else(|| value.as_str()?.parse().ok()).ok_or(ODD_JSON);
    Ok(match kind {
        "tf" => Value::Bool(match integer()? {
            0 => false,
            1 => true,
            _ => return Err(ODD_JSON),
        }),
        "i8" => Value::I8(i8::try_from(integer()?).map_err(|_| ODD_JSON)?),
        "i16" => Value::I16(i16::try_from(integer()?).map_err(|_| ODD_JSON)?),
        "i32" => Value::I32(i32::try_from(integer()?).map_err(|_| ODD_JSON)?),
        "i64" => Value::I64(integer()?),
        "dbl" => Value::Double(value.as_f64().or_else(|| value.as_str()?.parse().ok()).ok_or(ODD_JSON)?),
        "str" => {
            let text = value.as_str().ok_or(ODD_JSON)?;
            Value::String(Cow::Owned(text.as_bytes().to_vec()))
        }
        "uid" => {
            let text = value.as_str().ok_or(ODD_JSON)?.replace(['-', '{', '}'], "");
            let number = u128::from_str_radix(&text, 16).map_err(|_| ODD_JSON)?;
            Value::Uuid(number.to_be_bytes())
        }
        "rec" => Value::Struct(json_fields(value, depth + 1, left)?),
        "lst" | "set" => {
            let (element, elements) = match value.as_array().map(Vec::as_slice) {
                Some([element, _count, elements @ ..]) => (element.as_str().ok_or(ODD_JSON)?, elements),
                _ => return Err(ODD_JSON),
            };
            let elements = elements.iter().map(|value| json_value(element, value, depth + 1, left));
            let elements = elements.collect::<Result<_, _>>()?;
            if kind == "lst" { Value::List(elements) } else { Value::Set(elements) }
        }
        "map" => {
            let Some([key, item, _count, serde_json::Value::Object(entries)]) =
                value.as_array().map(Vec::as_slice)
            else {
                return Err(ODD_JSON);
            };
            let (key, item) = (key.as_str().ok_or(ODD_JSON)?, item.as_str().ok_or(ODD_JSON)?);
            let mut read = Vec::with_capacity(entries.len());
            for (name, value) in entries {
                let name = json_value(key, &serde_json::Value::String(name.clone()), depth + 1, left)?;
                read.push((name, json_value(item, value, depth + 1, left)?));
            }
            Value::Map(read)
        }
        _ => return Err(ODD_JSON),
    })
}

/// The bytes of a `binary` of the JSON protocol, which is base64 text with or without padding.
#[must_use]
pub fn json_binary(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BINARY: &[u8] = b"\x02\0\x01\x01\x03\0\x02\x80\x06\0\x03\x80\0\x08\0\x04\xff\xff\xff\xff\x0a\xff\xff\0\0\0\0\0\0\0\x07\
        \x04\0\x06\x3f\xb9\x99\x99\x99\x99\x99\x9a\x0b\0\x07\0\0\0\x02hi\x0f\0\x08\x08\0\0\0\x02\0\0\0\x01\0\0\0\x02\
        \x0d\0\x09\x0b\x02\0\0\0\x01\0\0\0\x01k\0\x0c\0\x0a\x0e\0\x01\x03\0\0\0\0\0\0";
    const COMPACT: &[u8] =
        b"\x11\x13\x80\x14\xff\xff\x03\x15\x01\x06\x01\x0e\x07\x0c\x9a\x99\x99\x99\x99\x99\xb9\x3f\
        \x18\x02hi\x19\x25\x02\x04\x1b\x01\x81\x01k\x00\x1c\x1a\x03\x00\x00";

    fn expected() -> Vec<Field<'static>> {
        let text = |text: &'static str| Value::String(Cow::Borrowed(text.as_bytes()));
        let inner = vec![Field { id: 1, value: Value::Set(vec![]) }];
        [
            (1, Value::Bool(true)),
            (2, Value::I8(-128)),
            (3, Value::I16(i16::MIN)),
            (4, Value::I32(-1)),
            (-1, Value::I64(7)),
            (6, Value::Double(0.1)),
            (7, text("hi")),
            (8, Value::List(vec![Value::I32(1), Value::I32(2)])),
            (9, Value::Map(vec![(text("k"), Value::Bool(false))])),
            (10, Value::Struct(inner)),
        ]
        .map(|(id, value)| Field { id, value })
        .into()
    }

    #[test]
    fn every_type_is_read_in_every_encoding() {
        let read = parse_struct(StructFormat::Binary, BINARY);
        assert_eq!((read.fields, read.end), (expected(), End::Whole(0)));
        let read = parse_struct(StructFormat::Compact, COMPACT);
        assert_eq!((read.fields, read.end), (expected(), End::Whole(0)));
        let json = br#"{"1":{"tf":1},"2":{"i8":-128},"3":{"i16":-32768},"4":{"i32":-1},"-1":{"i64":7},"6":{"dbl":0.1},
            "7":{"str":"hi"},"8":{"lst":["i32",2,1,2]},"9":{"map":["str","tf",1,{"k":0}]},"10":{"rec":{"1":{"set":["i8",0]}}}}]"#;
        let mut read = parse_struct(StructFormat::Json, json);
        let order = |field: &Field<'_>| expected().iter().position(|one| one.id == field.id);
        read.fields.sort_by_key(order);
        assert_eq!((read.fields, read.end), (expected(), End::Whole(1)));
    }

    #[test]
    fn json_is_read_as_the_library_of_python_writes_it() {
        let json = b"{\"1\":{\"str\":\"a\x00\n\\\"nan\"},\n\"2\":{\"lst\":[\"dbl\",4,nan,-inf,inf,1.5]},\"3\":{\"map\":[\"str\",\"dbl\",1,{\"inf\":-inf}]}}]nan";
        let Struct { fields, end } = parse_struct(StructFormat::Json, json);
        assert_eq!(end, End::Whole(1 + "\"NaN\"".len()));
        let text = |text: &str| Value::String(Cow::Owned(text.into()));
        assert_eq!(fields[0].value, text("a\0\n\"nan"));
        let Value::List(list) = &fields[1].value else { panic!("{fields:?}") };
        assert!(matches!(list[0], Value::Double(number) if number.is_nan()));
        let double = Value::Double;
        assert_eq!(list[1..], [double(f64::NEG_INFINITY), double(f64::INFINITY), double(1.5)]);
        assert_eq!(fields[2].value, Value::Map(vec![(text("inf"), double(f64::NEG_INFINITY))]));
    }

    #[test]
    fn what_is_cut_keeps_what_came_before() {
        for end in 0..BINARY.len() {
            let read = parse_struct(StructFormat::Binary, &BINARY[..end]);
            assert_eq!(read.end, End::Short, "{end}");
            let whole = expected();
            let same = read.fields.iter().zip(&whole).take_while(|(one, other)| one == other).count();
            assert!(same + 1 >= read.fields.len());
        }
        let read = parse_struct(StructFormat::Compact, &COMPACT[..COMPACT.len() - 12]);
        assert_eq!((read.fields.len(), read.end), (8, End::Short));
        assert_eq!(parse_struct(StructFormat::Json, br#"{"1":{"tf""#).end, End::Short);
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = b"\x0c\0\x01".repeat(10_000);
        assert_eq!(parse_struct(StructFormat::Binary, &deep).end, End::Bound("nested too deeply"));
        // A list of two billion bools that have no byte each in the input.
        assert_eq!(parse_struct(StructFormat::Compact, b"\x19\xf1\xff\xff\xff\xff\x07").end, End::Short);
        let mut long = b"\x19\xf1\xff\xff\xff\xff\x07".to_vec();
        long.resize(2 * VALUE_LIMIT, 1);
        assert_eq!(parse_struct(StructFormat::Compact, &long).end, End::Bound("too many values"));
        let json = format!(r#"{{"1":{}"#, r#"{"rec":{"1":"#.repeat(60));
        assert!(!matches!(parse_struct(StructFormat::Json, json.as_bytes()).end, End::Whole(_)));
    }

    #[test]
    fn unknown_types_are_wrong() {
        assert_eq!(parse_struct(StructFormat::Binary, b"\x07\0\x01").end, End::Wrong("unknown field type"));
        assert_eq!(
            parse_struct(StructFormat::Binary, b"\x0b\0\x01\xff\xff\xff\xff").end,
            End::Wrong("length over the limit")
        );
        for odd in ["{\"a\":{\"tf\":1}}", "{\"1\":{\"i8\":300}}", "{\"1\":5}", "[]", "{\"1\":{\"lst\":[]}}"] {
            assert!(matches!(parse_struct(StructFormat::Json, odd.as_bytes()).end, End::Wrong(_)), "{odd}");
        }
        assert_eq!(json_binary(b"/w").as_deref(), Some(&b"\xff"[..]));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in any::<Vec<u8>>(), at in 0_usize..COMPACT.len(), with in any::<u8>()) {
            let mut damaged = COMPACT.to_vec();
            damaged[at] = with;
            for format in [StructFormat::Binary, StructFormat::Compact, StructFormat::Json] {
                let _ = parse_struct(format, &bytes);
                let _ = parse_struct(format, &damaged);
            }
        }
    }
}
