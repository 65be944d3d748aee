//! The fields of a thrift message for the detail view. Without an IDL a field is known by its number and type only.

use super::message::{Encoding, MessageType, parse_message_in};
use super::payload::{KITEX_PROTOBUF_MAGIC, ProtobufValue, parse_protobuf_field};
use super::walk::{Encoded, Type};
use super::{binary, compact};
use crate::cursor::{Cursor, Trouble, zigzag};
use crate::error::Layer;
use crate::protocol::Field;

/// The most fields and elements shown of one message.
const NODE_LIMIT: usize = 400;

/// The deepest nesting that is shown.
const DEPTH_LIMIT: usize = 16;

/// The most bytes of a string that are shown.
const SHOWN_LIMIT: usize = 512;

/// A field without children.
pub(crate) fn field(name: impl Into<String>, value: impl Into<String>, range: (usize, usize)) -> Field {
    Field { name: name.into(), value: value.into(), range, children: Vec::new() }
}

/// A field of fields, if its range is not empty.
pub(crate) fn group(name: &str, range: (usize, usize), children: Vec<Field>) -> Option<Field> {
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

fn hex_digits(bytes: &[u8]) -> String {
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
pub(crate) fn moved(mut fields: Vec<Field>, range: (usize, usize)) -> Vec<Field> {
    for field in &mut fields {
        field.range = range;
        field.children = moved(std::mem::take(&mut field.children), range);
    }
    fields
}

/// The fields of a message in a frame of its own or not, which begins at `base` and goes to the end of `message`.
pub(crate) fn dissect_payload(message: &[u8], base: usize) -> Vec<Field> {
    let framed = match message.get(base..base + 5) {
        Some([a, b, c, d, first]) => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            matches!(first, 0x80 | 0x82 | 0x90 | b'[') || length + base + 4 == message.len()
        }
        _ => false,
    };
    if !framed {
        return dissect_message(message, base);
    }
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    fields.extend(dissect_message(message, base + 4));
    fields
}

/// The fields of a message without a frame of its own.
pub(crate) fn dissect_message(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    let cursor = Cursor::new(message, Layer::Payload).at(base);
    let Some(first) = message.get(base) else { return fields };
    let read = match Encoding::of_first_byte(*first) {
        Some(Encoding::Compact) => dissect_compact(cursor, &mut fields),
        Some(Encoding::Json) => {
            dissect_json(message, base, &mut fields);
            Ok(())
        }
        Some(Encoding::OldBinary) => dissect_old(cursor, &mut fields),
        Some(Encoding::Binary) => dissect_strict(cursor, &mut fields),
        _ if *first == 0x90 => dissect_strict(cursor, &mut fields),
        _ => Ok(()),
    };
    // Trouble means that the bytes end here or make no sense from here on; what was read stands.
    let _ = read;
    fields
}

/// The name of a message type.
pub(crate) fn type_name(number: u64) -> &'static str {
    match MessageType::from_number(number) {
        Some(MessageType::Call) => "CALL",
        Some(MessageType::Reply) => "REPLY",
        Some(MessageType::Exception) => "EXCEPTION",
        Some(MessageType::Oneway) => "ONEWAY",
        None => "unknown",
    }
}

fn type_value(number: u64) -> String {
    format!("{number} {}", type_name(number))
}

fn dissect_strict(mut cursor: Cursor<'_>, fields: &mut Vec<Field>) -> Result<(), Trouble> {
    let at = cursor.offset();
    let version = cursor.u16()?;
    fields.push(field("version", format!("0x{version:04x}"), (at, at + 2)));
    let number = u64::from(cursor.u16()? & 0xff);
    fields.push(field("type", type_value(number), (at + 2, at + 4)));
    named(&mut cursor, fields)?;
    sequence(&mut cursor, fields)?;
    if version == KITEX_PROTOBUF_MAGIC {
        let rest = (cursor.offset(), cursor.offset() + cursor.rest().len());
        fields.extend(group("protobuf message", rest, dissect_protobuf(cursor, number)));
        return Ok(());
    }
    dissect_body(cursor, Encoded::Binary(0), number, fields)
}

/// The fields of a protobuf message by number, those of an exception by name too.
fn dissect_protobuf(mut cursor: Cursor<'_>, message_type: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    while !cursor.rest().is_empty() && fields.len() < NODE_LIMIT {
        let at = cursor.offset();
        let Ok((number, value)) = parse_protobuf_field(&mut cursor) else { break };
        let name = match (message_type, number) {
            (3, 1) => "1 (type_id)".to_owned(),
            (3, 2) => "2 (message)".to_owned(),
            _ => number.to_string(),
        };
        let value = match value {
            ProtobufValue::Number(number) => number.to_string(),
            ProtobufValue::Bytes(bytes) => shown(bytes),
            ProtobufValue::Fixed(bytes) => hex_digits(bytes),
        };
        fields.push(field(name, value, (at, cursor.offset())));
    }
    fields
}

fn dissect_old(mut cursor: Cursor<'_>, fields: &mut Vec<Field>) -> Result<(), Trouble> {
    named(&mut cursor, fields)?;
    let at = cursor.offset();
    let number = u64::from(cursor.u8()?);
    fields.push(field("type", type_value(number), (at, at + 1)));
    sequence(&mut cursor, fields)?;
    dissect_body(cursor, Encoded::Binary(0), number, fields)
}

fn dissect_compact(mut cursor: Cursor<'_>, fields: &mut Vec<Field>) -> Result<(), Trouble> {
    let at = cursor.offset();
    let protocol = cursor.u8()?;
    fields.push(field("protocol", format!("0x{protocol:02x}"), (at, at + 1)));
    let byte = cursor.u8()?;
    let number = u64::from(byte >> 5);
    let value = format!("{}, version {}", type_value(number), byte & 0x1f);
    fields.push(field("type", value, (at + 1, at + 2)));
    let seq_id = cursor.varint()? as i32;
    fields.push(field("seq_id", seq_id.to_string(), (at + 2, cursor.offset())));
    let at = cursor.offset();
    let name = cursor.bytes_varint(usize::MAX)?;
    fields.push(field("name", shown(name), (at, cursor.offset())));
    dissect_body(cursor, Encoded::CompactField(0), number, fields)
}

/// JSON is text already: its head is told apart, the struct stands as it is.
fn dissect_json(message: &[u8], base: usize, fields: &mut Vec<Field>) {
    let json = message.get(base..).unwrap_or_default();
    let Ok(envelope) = parse_message_in(Encoding::Json, json) else { return };
    let head = (base, base + envelope.body);
    fields.push(field("name", shown(&envelope.name), head));
    fields.push(field("type", type_value(envelope.message_type.number()), head));
    fields.push(field("seq_id", envelope.seq_id.to_string(), head));
    let body = json.get(envelope.body..).unwrap_or_default();
    if !body.is_empty() {
        fields.push(field("struct", shown(body), (head.1, message.len())));
    }
}

fn named(cursor: &mut Cursor<'_>, fields: &mut Vec<Field>) -> Result<(), Trouble> {
    let at = cursor.offset();
    let name = cursor.bytes32(usize::MAX)?;
    fields.push(field("name", shown(name), (at, cursor.offset())));
    Ok(())
}

fn sequence(cursor: &mut Cursor<'_>, fields: &mut Vec<Field>) -> Result<(), Trouble> {
    let at = cursor.offset();
    let seq_id = cursor.i32()?;
    fields.push(field("seq_id", seq_id.to_string(), (at, cursor.offset())));
    Ok(())
}

/// The struct of a message, with the names that the message type gives its first fields.
fn dissect_body(
    cursor: Cursor<'_>,
    encoded: Encoded,
    message_type: u64,
    fields: &mut Vec<Field>,
) -> Result<(), Trouble> {
    let mut tree = Tree { cursor, left: NODE_LIMIT };
    let (mut children, read) = tree.parse_struct(encoded, 0);
    for child in &mut children {
        let known = match (message_type, child.name.split(' ').next()) {
            (2, Some("0")) => "success",
            (2, Some(_)) => "exception",
            (3, Some("1")) => "message",
            (3, Some("2")) => "type",
            _ => continue,
        };
        child.name = format!("{} ({known})", child.name);
    }
    let name = match message_type {
        2 => "result",
        3 => "TApplicationException",
        _ => "arguments",
    };
    fields.extend(group(name, (cursor.offset(), tree.cursor.offset()), children));
    read
}

/// The struct that begins at `base` and has no message head (a data frame of TTHeader Streaming).
pub(crate) fn dissect_struct(message: &[u8], base: usize) -> Vec<Field> {
    let mut tree = Tree { cursor: Cursor::new(message, Layer::Payload).at(base), left: NODE_LIMIT };
    tree.parse_struct(Encoded::Binary(0), 0).0
}

/// A walk that keeps what it passes, in bounded number and depth.
struct Tree<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl Tree<'_> {
    /// The fields up to the end of the struct or up to the first trouble.
    fn parse_struct(&mut self, encoded: Encoded, depth: usize) -> (Vec<Field>, Result<(), Trouble>) {
        let mut fields = Vec::new();
        let mut last = 0;
        loop {
            let at = self.cursor.offset();
            let head = match encoded {
                Encoded::Binary(_) => binary::parse_field(&mut self.cursor),
                _ => compact::parse_field(&mut self.cursor, last),
            };
            let (kind, id) = match head {
                Ok(Some(head)) => head,
                Ok(None) => return (fields, Ok(())),
                Err(trouble) => return (fields, Err(trouble)),
            };
            last = id;
            let kind = match encoded {
                Encoded::Binary(_) => Encoded::Binary(kind),
                _ => Encoded::CompactField(kind),
            };
            let mut node = Field { name: format!("{id} {}", type_label(kind)), ..Field::default() };
            let read = self.parse_value(kind, depth + 1, &mut node);
            node.range = (at, self.cursor.offset());
            fields.push(node);
            if read.is_err() {
                return (fields, read);
            }
        }
    }

    /// Reads a value into `node`; what was read of it stays there when there is trouble.
    fn parse_value(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> Result<(), Trouble> {
        if self.left == 0 || depth > DEPTH_LIMIT {
            return Err(self.cursor.wrong("too much to show"));
        }
        self.left -= 1;
        let cursor = &mut self.cursor;
        let binary = matches!(kind, Encoded::Binary(_));
        let value_type = kind.value_type().ok_or_else(|| cursor.wrong("unknown type"))?;
        node.value = match value_type {
            Type::Bool => match kind {
                Encoded::CompactField(value) => (value == 1).to_string(),
                _ => (cursor.u8()? == 1).to_string(),
            },
            Type::I8 => (cursor.u8()? as i8).to_string(),
            Type::I16 if binary => cursor.i16()?.to_string(),
            Type::I32 if binary => cursor.i32()?.to_string(),
            Type::I64 if binary => eight(cursor).map(i64::from_be_bytes)?.to_string(),
            Type::I16 | Type::I32 | Type::I64 => zigzag(cursor.varint()?).to_string(),
            Type::Double if binary => eight(cursor).map(f64::from_be_bytes)?.to_string(),
            Type::Double => eight(cursor).map(f64::from_le_bytes)?.to_string(),
            Type::String if binary => shown(cursor.bytes32(usize::MAX)?),
            Type::String => shown(cursor.bytes_varint(usize::MAX)?),
            Type::Uuid => shown(cursor.take(16)?),
            Type::Struct => {
                let (children, read) = self.parse_struct(kind, depth);
                node.children = children;
                return read;
            }
            Type::Map => return self.parse_map(kind, depth, node),
            Type::List | Type::Set => return self.parse_list(kind, depth, node),
        };
        Ok(())
    }

    fn parse_list(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> Result<(), Trouble> {
        let first = self.cursor.u8()?;
        let (element, count) = match (kind, first >> 4) {
            (Encoded::Binary(_), _) => (first, u64::from(self.cursor.u32()?)),
            (_, 15) => (first & 0x0f, self.cursor.varint()?),
            (_, count) => (first & 0x0f, u64::from(count)),
        };
        node.value = format!("{count} elements");
        for index in 0..count {
            self.parse_element(kind.element(element), depth, &index.to_string(), node)?;
        }
        Ok(())
    }

    fn parse_map(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> Result<(), Trouble> {
        let (key, value, count) = if matches!(kind, Encoded::Binary(_)) {
            (self.cursor.u8()?, self.cursor.u8()?, u64::from(self.cursor.u32()?))
        } else {
            match self.cursor.varint()? {
                0 => (0, 0, 0),
                count => {
                    let types = self.cursor.u8()?;
                    (types >> 4, types & 0x0f, count)
                }
            }
        };
        node.value = format!("{count} entries");
        for index in 0..count {
            self.parse_element(kind.element(key), depth, &format!("{index} key"), node)?;
            self.parse_element(kind.element(value), depth, &format!("{index} value"), node)?;
        }
        Ok(())
    }

    fn parse_element(
        &mut self,
        kind: Encoded,
        depth: usize,
        name: &str,
        node: &mut Field,
    ) -> Result<(), Trouble> {
        let at = self.cursor.offset();
        let mut child = Field { name: format!("{name} {}", type_label(kind)), ..Field::default() };
        let read = self.parse_value(kind, depth + 1, &mut child);
        child.range = (at, self.cursor.offset());
        node.children.push(child);
        read
    }
}

fn type_label(kind: Encoded) -> &'static str {
    kind.value_type().map_or("unknown", Type::name)
}

fn eight(cursor: &mut Cursor<'_>) -> Result<[u8; 8], Trouble> {
    let bytes = cursor.take(8)?;
    Ok(bytes.first_chunk::<8>().copied().unwrap_or_default())
}
