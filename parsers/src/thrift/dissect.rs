//! The fields of a thrift message for the detail view. Without an IDL a field is known by its number and type only.

use nom::Parser as _;
use nom::bytes::streaming::take;
use nom::number::streaming::{be_f64, be_i16, be_i32, be_i64, be_u8, be_u16, le_f64};

use super::field::{Encoded, FieldHead, Type, binary_field, compact_field, list_head, map_head};
use super::message::parse_message_in;
use super::payload::KITEX_PROTOBUF_MAGIC;
use super::types::{Encoding, MessageType};
use super::{binary, compact};
use crate::dissect::{FieldReader, field, group, hex_digits, number, shown};
use crate::error::{ParseResult, wrong};
use crate::protobuf::{self, Value};
use crate::protocol::Field;
use crate::varint::{varint_bytes, zigzag_varint};

/// The most fields and elements shown of one message.
const NODE_LIMIT: usize = 400;

/// The deepest nesting that is shown.
const DEPTH_LIMIT: usize = 16;

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
    let reader = FieldReader::new(message, base);
    let Some(first) = message.get(base) else { return fields };
    let read = match Encoding::of_first_byte(*first) {
        Some(Encoding::Compact) => dissect_compact(reader, &mut fields),
        Some(Encoding::Json) => {
            dissect_json(message, base, &mut fields);
            Ok(())
        }
        Some(Encoding::OldBinary) => dissect_old(reader, &mut fields),
        Some(Encoding::Binary) => dissect_strict(reader, &mut fields),
        _ if *first == 0x90 => dissect_strict(reader, &mut fields),
        _ => Ok(()),
    };
    // An error means that the bytes end here or make no sense from here on; what was read stands.
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

fn dissect_strict(mut reader: FieldReader<'_>, fields: &mut Vec<Field>) -> ParseResult<()> {
    let (version, range) = reader.ranged(be_u16)?;
    fields.push(field("version", format!("0x{version:04x}"), range));
    let (number, range) = reader.ranged(be_u16.map(|number| u64::from(number & 0xff)))?;
    fields.push(field("type", type_value(number), range));
    named(&mut reader, fields)?;
    sequence(&mut reader, fields)?;
    if version == u16::from_be_bytes(KITEX_PROTOBUF_MAGIC) {
        let rest = (reader.offset(), reader.offset() + reader.rest().len());
        fields.extend(group("protobuf message", rest, dissect_protobuf(reader, number)));
        return Ok(());
    }
    dissect_body(reader, Encoded::Binary(0), number, fields)
}

/// The fields of a protobuf message by number, those of an exception by name too.
fn dissect_protobuf(mut reader: FieldReader<'_>, message_type: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Ok((read, range)) = reader.ranged(protobuf::field)
        && fields.len() < NODE_LIMIT
    {
        let name = match (message_type, read.number) {
            (3, 1) => "1 (type_id)".to_owned(),
            (3, 2) => "2 (message)".to_owned(),
            (_, number) => number.to_string(),
        };
        let value = match read.value {
            Value::Varint(number) => number.to_string(),
            Value::Bytes(bytes) => shown(bytes),
            Value::Fixed32(number) => hex_digits(&number.to_le_bytes()),
            Value::Fixed64(number) => hex_digits(&number.to_le_bytes()),
        };
        fields.push(field(name, value, range));
    }
    fields
}

fn dissect_old(mut reader: FieldReader<'_>, fields: &mut Vec<Field>) -> ParseResult<()> {
    named(&mut reader, fields)?;
    let (number, range) = reader.ranged(be_u8.map(u64::from))?;
    fields.push(field("type", type_value(number), range));
    sequence(&mut reader, fields)?;
    dissect_body(reader, Encoded::Binary(0), number, fields)
}

fn dissect_compact(mut reader: FieldReader<'_>, fields: &mut Vec<Field>) -> ParseResult<()> {
    let (protocol, range) = reader.ranged(be_u8)?;
    fields.push(field("protocol", format!("0x{protocol:02x}"), range));
    let (byte, range) = reader.ranged(be_u8)?;
    let number = u64::from(byte >> 5);
    fields.push(field("type", format!("{}, version {}", type_value(number), byte & 0x1f), range));
    let (seq_id, range) = reader.ranged(compact::seq_id)?;
    fields.push(field("seq_id", seq_id.to_string(), range));
    let (name, range) = reader.ranged(varint_bytes(usize::MAX))?;
    fields.push(field("name", shown(name), range));
    dissect_body(reader, Encoded::CompactField(0), number, fields)
}

/// JSON is text already: its head is shown field by field, the struct as it is.
fn dissect_json(message: &[u8], base: usize, fields: &mut Vec<Field>) {
    let json = message.get(base..).unwrap_or_default();
    let Ok(envelope) = parse_message_in(Encoding::Json, json) else { return };
    let head = (base, base + envelope.body);
    fields.push(field("name", shown(&envelope.name.decode()), head));
    fields.push(field("type", type_value(envelope.message_type.number()), head));
    fields.push(field("seq_id", envelope.seq_id.to_string(), head));
    let body = json.get(envelope.body..).unwrap_or_default();
    if !body.is_empty() {
        fields.push(field("struct", shown(body), (head.1, message.len())));
    }
}

fn named(reader: &mut FieldReader<'_>, fields: &mut Vec<Field>) -> ParseResult<()> {
    let (name, range) = reader.ranged(binary::string(usize::MAX))?;
    fields.push(field("name", shown(name), range));
    Ok(())
}

fn sequence(reader: &mut FieldReader<'_>, fields: &mut Vec<Field>) -> ParseResult<()> {
    let (seq_id, range) = reader.ranged(be_i32)?;
    fields.push(field("seq_id", seq_id.to_string(), range));
    Ok(())
}

/// The struct of a message, with the names that the message type gives its first fields.
fn dissect_body(
    reader: FieldReader<'_>,
    encoded: Encoded,
    message_type: u64,
    fields: &mut Vec<Field>,
) -> ParseResult<()> {
    let mut tree = Tree { reader, left: NODE_LIMIT };
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
    fields.extend(group(name, (reader.offset(), tree.reader.offset()), children));
    read
}

/// The struct that begins at `base` and has no message head (a data frame of TTHeader Streaming).
pub(crate) fn dissect_struct(message: &[u8], base: usize) -> Vec<Field> {
    let mut tree = Tree { reader: FieldReader::new(message, base), left: NODE_LIMIT };
    tree.parse_struct(Encoded::Binary(0), 0).0
}

/// Reads values and keeps them, in bounded number and depth.
struct Tree<'a> {
    reader: FieldReader<'a>,
    left: usize,
}

impl Tree<'_> {
    /// The fields up to the end of the struct or to the first error.
    fn parse_struct(&mut self, encoded: Encoded, depth: usize) -> (Vec<Field>, ParseResult<()>) {
        let mut fields = Vec::new();
        let mut last = 0;
        loop {
            let at = self.reader.offset();
            let head = match encoded {
                Encoded::Binary(_) => self.reader.read(binary_field),
                _ => self.reader.read(compact_field(last)),
            };
            let FieldHead { kind, id } = match head {
                Ok(Some(head)) => head,
                Ok(None) => return (fields, Ok(())),
                Err(error) => return (fields, Err(error)),
            };
            last = id;
            let mut node = Field { name: format!("{id} {}", type_label(kind)), ..Field::default() };
            let read = self.parse_value(kind, depth + 1, &mut node);
            node.range = (at, self.reader.offset());
            fields.push(node);
            if read.is_err() {
                return (fields, read);
            }
        }
    }

    /// Reads a value into `node`, which keeps what was read of it before an error.
    fn parse_value(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> ParseResult<()> {
        let reader = &mut self.reader;
        if self.left == 0 || depth > DEPTH_LIMIT {
            return wrong(reader.rest(), "too much to show");
        }
        self.left -= 1;
        let binary = matches!(kind, Encoded::Binary(_));
        let Some(value_type) = kind.value_type() else { return wrong(reader.rest(), "unknown type") };
        node.value = match value_type {
            Type::Bool => match kind {
                Encoded::CompactField(value) => (value == 1).to_string(),
                _ => (reader.read(be_u8)? == 1).to_string(),
            },
            Type::I8 => (reader.read(be_u8)? as i8).to_string(),
            Type::I16 if binary => reader.read(be_i16)?.to_string(),
            Type::I32 if binary => reader.read(be_i32)?.to_string(),
            Type::I64 if binary => reader.read(be_i64)?.to_string(),
            Type::I16 | Type::I32 | Type::I64 => reader.read(zigzag_varint)?.to_string(),
            Type::Double if binary => reader.read(be_f64)?.to_string(),
            Type::Double => reader.read(le_f64)?.to_string(),
            Type::String if binary => shown(reader.read(binary::string(usize::MAX))?),
            Type::String => shown(reader.read(varint_bytes(usize::MAX))?),
            Type::Uuid => shown(reader.read(take(16_usize))?),
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

    fn parse_list(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> ParseResult<()> {
        let (element, count) = self.reader.read(list_head(kind))?;
        node.value = format!("{count} elements");
        for index in 0..count {
            self.parse_element(element, depth, &index.to_string(), node)?;
        }
        Ok(())
    }

    fn parse_map(&mut self, kind: Encoded, depth: usize, node: &mut Field) -> ParseResult<()> {
        let (key, value, count) = self.reader.read(map_head(kind))?;
        node.value = format!("{count} entries");
        for index in 0..count {
            self.parse_element(key, depth, &format!("{index} key"), node)?;
            self.parse_element(value, depth, &format!("{index} value"), node)?;
        }
        Ok(())
    }

    fn parse_element(
        &mut self,
        kind: Encoded,
        depth: usize,
        name: &str,
        node: &mut Field,
    ) -> ParseResult<()> {
        let at = self.reader.offset();
        let mut child = Field { name: format!("{name} {}", type_label(kind)), ..Field::default() };
        let read = self.parse_value(kind, depth + 1, &mut child);
        child.range = (at, self.reader.offset());
        node.children.push(child);
        read
    }
}

fn type_label(kind: Encoded) -> &'static str {
    kind.value_type().map_or("unknown", Type::name)
}
