//! A decoded value, and how it prints.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sink::json;

/// A decoded value, as JSON has it, but with exact integers, and with the numbers of fields that have no name as their keys
/// (`"5"`).
///
/// What JSON has no form for follows the proto3 JSON mapping: 64-bit integers of a protobuf message that a description names are
/// [`Value::Text`] (`"7"`), thrift's are numbers; NaN and infinities print as `"NaN"`, `"Infinity"`, `"-Infinity"`, and
/// bytes as base64.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: thrift's void, JSON's null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating-point number.
    Float(f64),
    /// Text, names of enum values included.
    Text(String),
    /// Elements in their order on the wire; a map whose keys are no text is a list of `[key, value]`.
    List(Vec<Value>),
    /// Fields in their order on the wire.
    Object(Vec<(String, Value)>),
    /// Entries of a map whose keys are text, unlike the names of fields. Prints as an object.
    Map(Vec<(String, Value)>),
    /// Bytes.
    Raw(Vec<u8>),
    /// A field of a protobuf message whose number its description does not have, until it is decided where it is shown
    /// ([`Value::settle`]).
    Unknown(Box<Value>),
}

impl Value {
    /// The value of a field of an object; the last one counts, as in protobuf.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) | Self::Map(fields) => {
                fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Memory that it takes beside its own size, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::UInt(_) | Self::Float(_) => 0,
            Self::Text(text) => text.capacity(),
            Self::Raw(bytes) => bytes.capacity(),
            Self::Unknown(value) => size_of::<Self>() + value.memory(),
            Self::List(values) => {
                values.capacity() * size_of::<Self>() + values.iter().map(Self::memory).sum::<usize>()
            }
            Self::Object(fields) | Self::Map(fields) => {
                let inside = fields.iter().map(|(name, value)| name.capacity() + value.memory());
                fields.capacity() * size_of::<(String, Self)>() + inside.sum::<usize>()
            }
        }
    }

    /// Appends it as JSON in one line.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend(b"null"),
            Self::Bool(value) => out.extend(if *value { &b"true"[..] } else { b"false" }),
            Self::Int(value) => write(out, format_args!("{value}")),
            Self::UInt(value) => write(out, format_args!("{value}")),
            Self::Float(value) if value.is_nan() => out.extend(br#""NaN""#),
            Self::Float(value) if value.is_infinite() => {
                out.extend(if *value > 0.0 { &br#""Infinity""#[..] } else { br#""-Infinity""# });
            }
            // The shortest text that is read back as the same number.
            Self::Float(value) => write(out, format_args!("{value:?}")),
            Self::Text(text) => json::string(out, text),
            Self::List(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(fields) | Self::Map(fields) => {
                out.push(b'{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    json::string(out, name);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
            Self::Raw(bytes) => json::string(out, &STANDARD.encode(bytes)),
            Self::Unknown(value) => value.write_json(out),
        }
    }

    /// Decides where fields are that the description does not name: among the others, or, if they are to be `apart`, in the tree that is
    /// returned. That has the shape of the value: the fields that lead to them, and an empty object for each element of a list that has
    /// none. `None`: there are none, or they are not apart.
    pub fn settle(&mut self, apart: bool) -> Option<Self> {
        match self {
            Self::Object(fields) | Self::Map(fields) if apart => {
                let mut unknown = Vec::new();
                fields.retain_mut(|(name, value)| {
                    let found = match value {
                        Self::Unknown(field) => Some(std::mem::replace(&mut **field, Self::Null)),
                        _ => value.settle(true),
                    };
                    unknown.extend(found.map(|found| (name.clone(), found)));
                    !matches!(value, Self::Unknown(_))
                });
                (!unknown.is_empty()).then_some(Self::Object(unknown))
            }
            Self::List(elements) if apart => {
                let unknown: Vec<_> = elements.iter_mut().map(|element| element.settle(true)).collect();
                let fill = |unknown: Option<Self>| unknown.unwrap_or_else(|| Self::Object(Vec::new()));
                unknown
                    .iter()
                    .any(Option::is_some)
                    .then(|| Self::List(unknown.into_iter().map(fill).collect()))
            }
            Self::Object(fields) | Self::Map(fields) => {
                for (_, value) in fields {
                    value.settle(false);
                }
                None
            }
            Self::List(elements) => {
                for element in elements {
                    element.settle(false);
                }
                None
            }
            Self::Unknown(field) => {
                *self = std::mem::replace(&mut **field, Self::Null);
                None
            }
            _ => None,
        }
    }

    /// It as JSON in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Fields on their way to an object, each under one key.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<(String, Value)>,
    /// Where a key is, and whether its value is a list of what came under it.
    places: HashMap<String, (usize, bool)>,
}

impl Fields {
    /// Sets a field; the last value counts.
    pub(super) fn set(&mut self, name: String, value: Value) {
        match self.places.get(&name) {
            Some((place, _)) => self.fields[*place].1 = value,
            None => self.add(name, value),
        }
    }

    /// Adds a field by its number; several values of one number become a list.
    pub(super) fn push(&mut self, number: u32, value: Value) {
        let name = number.to_string();
        let Some((place, listed)) = self.places.get_mut(&name) else { return self.add(name, value) };
        let earlier = &mut self.fields[*place].1;
        if let (Value::List(elements), true) = (&mut *earlier, *listed) {
            elements.push(value);
        } else {
            *listed = true;
            let first = std::mem::replace(earlier, Value::Null);
            *earlier = Value::List(vec![first, value]);
        }
    }

    /// Marks the field with this number as one that the description does not name.
    #[cfg(feature = "descriptors")]
    pub(super) fn mark_unknown(&mut self, number: u32) {
        if let Some((place, _)) = self.places.get(&number.to_string())
            && let Some((_, value)) = self.fields.get_mut(*place)
        {
            *value = Value::Unknown(Box::new(std::mem::replace(value, Value::Null)));
        }
    }

    fn add(&mut self, name: String, value: Value) {
        self.places.insert(name.clone(), (self.fields.len(), false));
        self.fields.push((name, value));
    }

    /// The object.
    pub(super) fn object(self) -> Value {
        Value::Object(self.fields)
    }

    /// The map.
    #[cfg(feature = "descriptors")]
    pub(super) fn map(self) -> Value {
        Value::Map(self.fields)
    }
}

/// A map: an object if all keys are text and none comes twice, else a list of pairs.
pub(super) fn map(entries: Vec<(Value, Value)>) -> Value {
    let mut seen = HashSet::new();
    let as_object = entries.iter().all(|(key, _)| match key {
        Value::Text(key) => seen.insert(key.as_str()),
        _ => false,
    });
    if as_object {
        let field = |(key, value)| match key {
            Value::Text(key) => Some((key, value)),
            _ => None,
        };
        Value::Map(entries.into_iter().filter_map(field).collect())
    } else {
        Value::List(entries.into_iter().map(|(key, value)| Value::List(vec![key, value])).collect())
    }
}

/// Text if the bytes are UTF-8, else the bytes.
pub(super) fn text_or_raw(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Raw(bytes.to_vec()),
    }
}

/// Text if the bytes are UTF-8 without control characters but those of lines, else the bytes.
pub(super) fn printable_or_raw(bytes: &[u8]) -> Value {
    let printable = |text: &&str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    match std::str::from_utf8(bytes).ok().filter(printable) {
        Some(text) if !text.is_empty() => Value::Text(text.to_owned()),
        _ => Value::Raw(bytes.to_vec()),
    }
}

/// A number of 32 bits with the digits that it has, not those of its nearest 64-bit number.
pub(super) fn float32(value: f32) -> Value {
    Value::Float(value.to_string().parse().unwrap_or(f64::from(value)))
}

/// Writing to memory does not fail.
fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_prints_as_json() {
        let value = Value::Object(vec![
            ("null".into(), Value::Null),
            ("yes".into(), Value::Bool(true)),
            ("low".into(), Value::Int(i64::MIN)),
            ("high".into(), Value::UInt(u64::MAX)),
            ("float".into(), Value::List(vec![Value::Float(0.1), Value::Float(1e300), Value::Float(-0.0)])),
            ("odd".into(), Value::List(vec![Value::Float(f64::NAN), Value::Float(f64::NEG_INFINITY)])),
            ("text\n".into(), Value::Text("\"\u{1b}é".into())),
            ("5".into(), Value::Raw(vec![0xff, 0])),
            ("empty".into(), Value::List(vec![Value::Object(vec![]), Value::List(vec![])])),
        ]);
        let expected = r#"{"null":null,"yes":true,"low":-9223372036854775808,"high":18446744073709551615,"float":[0.1,1e300,-0.0],"odd":["NaN","-Infinity"],"text\n":"\"\u001bé","5":"/wA=","empty":[{},[]]}"#;
        assert_eq!(value.to_json(), expected);
        serde_json::from_str::<serde_json::Value>(expected).unwrap();
    }

    #[test]
    fn fields_are_found_by_name() {
        let value = Value::Object(vec![("a".into(), Value::Int(1)), ("a".into(), Value::Int(2))]);
        assert_eq!(value.get("a"), Some(&Value::Int(2)));
        assert_eq!((value.get("b"), Value::Null.get("a")), (None, None));
    }
}
