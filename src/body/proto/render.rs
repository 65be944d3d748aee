//! A message with the names of its descriptor, as the proto3 JSON mapping has it
//! (<https://protobuf.dev/programming-guides/json/>).
//!
//! The wire is walked by ourselves: a field whose wire type or value is not what its descriptor says stays under its number, where a
//! decoder would fail or change the value.

use std::collections::HashMap;

use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use rpcscope_parsers::protobuf::{Element, Stop, Value as Wire, element, packed_varint};

use super::pool::Pools;
use super::well_known;
use crate::body::note::{NoteKind, Notes};
use crate::body::value::{Fields, float32};
use crate::body::{DEPTH_LIMIT, VALUE_LIMIT, Value, guess};

/// Reads messages by their descriptors.
pub(super) struct Reader<'a> {
    pub(super) pools: &'a Pools,
    pub(super) notes: Notes,
    /// Fields at any depth that are not described or have another type.
    pub(super) misfits: usize,
    /// Values that may still be read.
    left: usize,
    path: Vec<String>,
}

/// What occurrences of a field on the wire hold, in their order.
type Occurrences<'b> = Vec<Element<'b>>;

/// A field of a message, or an extension of it.
enum Described {
    Field(FieldDescriptor),
    Extension(ExtensionDescriptor),
}

impl Described {
    fn of(message: &MessageDescriptor, number: u32) -> Option<Self> {
        let field = message.get_field(number).map(Self::Field);
        field.or_else(|| message.get_extension(number).map(Self::Extension))
    }

    fn name(&self) -> &str {
        match self {
            Self::Field(field) => field.json_name(),
            Self::Extension(extension) => extension.json_name(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Extension(extension) => extension.kind(),
        }
    }

    fn is_list(&self) -> bool {
        match self {
            Self::Field(field) => field.is_list(),
            Self::Extension(extension) => extension.is_list(),
        }
    }

    fn is_map(&self) -> bool {
        match self {
            Self::Field(field) => field.is_map(),
            Self::Extension(_) => false,
        }
    }
}

/// The fields of a message by number, in the order of their first occurrence, and why they end before the bytes do. Of the members of
/// a oneof only the last is kept.
fn occurrences<'b>(
    bytes: &'b [u8],
    descriptor: Option<&MessageDescriptor>,
    left: &mut usize,
) -> (Vec<(u32, Occurrences<'b>)>, Option<Stop>) {
    let mut fields: Vec<(u32, Occurrences<'b>)> = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut members: HashMap<String, u32> = HashMap::new();
    let mut rest = bytes;
    let mut stop = None;
    while !rest.is_empty() {
        if *left == 0 {
            stop = Some(Stop::Short);
            break;
        }
        *left -= 1;
        let (after, number, element) = match element(rest) {
            Ok(read) => read,
            Err(why) => {
                stop = Some(why);
                break;
            }
        };
        rest = after;
        let oneof = descriptor.and_then(|descriptor| descriptor.get_field(number)?.containing_oneof());
        if let Some(oneof) = oneof
            && let Some(earlier) = members.insert(oneof.name().to_owned(), number)
            && earlier != number
            && let Some(place) = places.get(&earlier)
            && let Some((_, occurrences)) = fields.get_mut(*place)
        {
            occurrences.clear();
        }
        let place = *places.entry(number).or_insert_with(|| {
            fields.push((number, Vec::new()));
            fields.len() - 1
        });
        if let Some((_, occurrences)) = fields.get_mut(place) {
            occurrences.push(element);
        }
    }
    fields.retain(|(_, occurrences)| !occurrences.is_empty());
    (fields, stop)
}

impl<'a> Reader<'a> {
    pub(super) fn new(pools: &'a Pools) -> Self {
        Self { pools, notes: Notes::default(), misfits: 0, left: VALUE_LIMIT, path: Vec::new() }
    }

    /// A message; `None` if its bytes are none, or go beyond a bound.
    pub(super) fn message(
        &mut self,
        bytes: &[u8],
        descriptor: &MessageDescriptor,
        depth: usize,
    ) -> Option<Value> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        if let Some(value) = well_known::value(self, bytes, descriptor, depth) {
            return Some(value);
        }
        self.fields(bytes, descriptor, depth).map(Fields::object)
    }

    /// The fields of a message; of the outermost one also those before a cut.
    pub(super) fn fields(
        &mut self,
        bytes: &[u8],
        descriptor: &MessageDescriptor,
        depth: usize,
    ) -> Option<Fields> {
        let (fields, stop) = occurrences(bytes, Some(descriptor), &mut self.left);
        match stop {
            None => {}
            Some(Stop::Short) if depth == 0 => {
                self.notes
                    .add(NoteKind::Cut, "the body ends in the middle of a value, or has too many of them");
            }
            Some(_) => return None,
        }
        let mut object = Fields::default();
        for (number, elements) in fields {
            let described = Described::of(descriptor, number);
            let name = described.as_ref().map(|described| described.name().to_owned());
            let is_unknown = described.is_none();
            let is_list = described.as_ref().is_some_and(Described::is_list);
            self.path.push(name.clone().unwrap_or_default());
            let value = described.and_then(|described| {
                let value = self.field(&described, &elements, depth);
                if value.is_none() && self.left == 0 {
                    self.notes.add(NoteKind::Cut, "too many values");
                } else if value.is_none() {
                    let text = format!(
                        "{}: field {number} has another type on the wire than the description says",
                        self.path.join(".")
                    );
                    self.notes.add(NoteKind::DescriptionMismatch, text);
                }
                value
            });
            self.path.pop();
            if let (Some(name), Some(value)) = (name, value) {
                // A packed field without elements is as good as none.
                if !is_list || value != Value::List(Vec::new()) {
                    object.set(name, value);
                }
                continue;
            }
            self.misfits += 1;
            for element in elements {
                object.push(number, guess::value(element, depth, &mut self.left));
            }
            if is_unknown {
                self.notes.add(NoteKind::UnknownFields, "fields that the description does not name");
                object.mark_unknown(number);
            }
        }
        Some(object)
    }

    /// The value of a field; `None` if one of its occurrences does not fit.
    fn field(&mut self, described: &Described, elements: &[Element<'_>], depth: usize) -> Option<Value> {
        let kind = described.kind();
        if described.is_map() {
            return self.map(&kind, elements, depth);
        }
        if described.is_list() {
            let mut list = Vec::new();
            for element in elements {
                match element {
                    Element::Value(Wire::Bytes(bytes)) if is_packable(&kind) => {
                        self.packed(bytes, &kind, &mut list)?;
                    }
                    element => list.push(self.value(*element, &kind, depth)?),
                }
            }
            return Some(Value::List(list));
        }
        // A message that comes in pieces is one message.
        if let (Kind::Message(descriptor), [_, _, ..]) = (&kind, elements) {
            let pieces: Option<Vec<&[u8]>> = elements.iter().map(|element| inner(*element)).collect();
            return self.nested(&pieces?.concat(), descriptor, depth);
        }
        let mut last = None;
        for element in elements {
            last = Some(self.value(*element, &kind, depth)?);
        }
        last
    }

    /// A message within another. Text is seldom a message: bytes of which the description knows no field and a terminal could print
    /// are not taken for one.
    fn nested(&mut self, bytes: &[u8], descriptor: &MessageDescriptor, depth: usize) -> Option<Value> {
        let (fields, _) = occurrences(bytes, None, &mut self.left);
        let known = fields.iter().any(|(number, _)| Described::of(descriptor, *number).is_some());
        if !known
            && !bytes.is_empty()
            && std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control))
        {
            return None;
        }
        self.message(bytes, descriptor, depth + 1)
    }

    fn value(&mut self, element: Element<'_>, kind: &Kind, depth: usize) -> Option<Value> {
        match kind {
            Kind::Message(descriptor) => self.nested(inner(element)?, descriptor, depth),
            Kind::String => match element {
                Element::Value(Wire::Bytes(bytes)) => {
                    Some(Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()))
                }
                _ => None,
            },
            Kind::Bytes => match element {
                Element::Value(Wire::Bytes(bytes)) => Some(Value::Raw(bytes.to_vec())),
                _ => None,
            },
            _ => match element {
                Element::Value(value) => number(value, kind),
                Element::Group(_) => None,
            },
        }
    }

    fn packed(&mut self, bytes: &[u8], kind: &Kind, list: &mut Vec<Value>) -> Option<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.left = self.left.checked_sub(1)?;
            let value;
            (rest, value) = match width(kind) {
                4 => {
                    let (bits, rest) = rest.split_first_chunk()?;
                    (rest, Wire::Fixed32(u32::from_le_bytes(*bits)))
                }
                8 => {
                    let (bits, rest) = rest.split_first_chunk()?;
                    (rest, Wire::Fixed64(u64::from_le_bytes(*bits)))
                }
                _ => packed_varint(rest).map(|(rest, number)| (rest, Wire::Varint(number)))?,
            };
            list.push(number(value, kind)?);
        }
        Some(())
    }

    /// A map: an object whatever its keys are.
    fn map(&mut self, kind: &Kind, elements: &[Element<'_>], depth: usize) -> Option<Value> {
        let Kind::Message(entry) = kind else { return None };
        let (key_field, value_field) = (entry.get_field(1)?, entry.get_field(2)?);
        let mut object = Fields::default();
        for element in elements {
            let mut key = None;
            let mut value = None;
            let (fields, stop) = occurrences(inner(*element)?, None, &mut self.left);
            if stop.is_some() {
                return None;
            }
            for (number, occurrences) in fields {
                let field = match number {
                    1 => &key_field,
                    2 => &value_field,
                    _ => {
                        self.misfits += 1;
                        let text = format!(
                            "{}: field {number} of a map entry, which has a key and a value only, is not shown",
                            self.path.join(".")
                        );
                        self.notes.add(NoteKind::UnknownFields, text);
                        continue;
                    }
                };
                let read = self.field(&Described::Field(field.clone()), &occurrences, depth)?;
                if number == 1 {
                    key = Some(read);
                } else {
                    value = Some(read);
                }
            }
            let key = match key {
                Some(key) => key,
                None => default(&key_field.kind())?,
            };
            let value = match value {
                Some(value) => value,
                None => match value_field.kind() {
                    Kind::Message(descriptor) => self.message(&[], &descriptor, depth + 1)?,
                    kind => default(&kind)?,
                },
            };
            let key = match key {
                Value::Text(key) => key,
                Value::Bool(key) => key.to_string(),
                Value::Int(key) => key.to_string(),
                Value::UInt(key) => key.to_string(),
                _ => return None,
            };
            object.set(key, value);
        }
        Some(object.map())
    }
}

/// The bytes of a message, whichever way it is delimited.
fn inner(element: Element<'_>) -> Option<&[u8]> {
    match element {
        Element::Value(Wire::Bytes(bytes)) | Element::Group(bytes) => Some(bytes),
        Element::Value(_) => None,
    }
}

fn is_packable(kind: &Kind) -> bool {
    !matches!(kind, Kind::Message(_) | Kind::String | Kind::Bytes)
}

/// How many bytes a number has; 0: it is a varint.
fn width(kind: &Kind) -> usize {
    match kind {
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => 4,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 8,
        _ => 0,
    }
}

/// A number, if it is one that its type can hold: a decoder would cut it off.
fn number(value: Wire<'_>, kind: &Kind) -> Option<Value> {
    Some(match (value, kind) {
        (Wire::Varint(number), Kind::Int32) => Value::Int(i64::from(i32::try_from(number as i64).ok()?)),
        (Wire::Varint(number), Kind::Int64) => Value::Text((number as i64).to_string()),
        (Wire::Varint(number), Kind::Uint32) => Value::Int(i64::from(u32::try_from(number).ok()?)),
        (Wire::Varint(number), Kind::Uint64) => Value::Text(number.to_string()),
        (Wire::Varint(number), Kind::Sint32) => Value::Int(i64::from(i32::try_from(zigzag(number)).ok()?)),
        (Wire::Varint(number), Kind::Sint64) => Value::Text(zigzag(number).to_string()),
        (Wire::Varint(number @ (0 | 1)), Kind::Bool) => Value::Bool(number == 1),
        (Wire::Varint(number), Kind::Enum(descriptor)) => {
            let number = i32::try_from(number as i64).ok()?;
            match descriptor.get_value(number) {
                _ if descriptor.full_name() == "google.protobuf.NullValue" => Value::Null,
                Some(value) => Value::Text(value.name().to_owned()),
                None => Value::Int(i64::from(number)),
            }
        }
        (Wire::Fixed64(bits), Kind::Fixed64) => Value::Text(bits.to_string()),
        (Wire::Fixed64(bits), Kind::Sfixed64) => Value::Text((bits as i64).to_string()),
        (Wire::Fixed64(bits), Kind::Double) => Value::Float(f64::from_bits(bits)),
        (Wire::Fixed32(bits), Kind::Fixed32) => Value::Int(i64::from(bits)),
        (Wire::Fixed32(bits), Kind::Sfixed32) => Value::Int(i64::from(bits as i32)),
        (Wire::Fixed32(bits), Kind::Float) => float32(f32::from_bits(bits)),
        _ => return None,
    })
}

/// The default of a key or value that a map entry leaves out.
fn default(kind: &Kind) -> Option<Value> {
    match kind {
        Kind::String => Some(Value::Text(String::new())),
        Kind::Bytes => Some(Value::Raw(Vec::new())),
        Kind::Message(_) => None,
        kind => match width(kind) {
            4 => number(Wire::Fixed32(0), kind),
            8 => number(Wire::Fixed64(0), kind),
            _ => number(Wire::Varint(0), kind),
        },
    }
}

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
