//! The tree of fields of one frame, for the detail view.

use super::fields::{self, ProtobufFields, Shape, Spec};
use super::frame::{FrameType, HEAD_LEN, frame_head};
use super::stream;
use super::unary::{self, Role};
use crate::dissect::{FieldReader, field as leaf};
use crate::event::Side;
use crate::protobuf::{self, Value};
use crate::protocol::Field;

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of the protobuf message from `base` up to the end of `frame`; unknown ones by their number.
fn message_fields(message: &'static [Spec], frame: &[u8], base: usize) -> Vec<Field> {
    let mut shown = Vec::new();
    let mut reader = FieldReader::new(frame, base);
    while let Ok((field, range)) = reader.ranged(protobuf::field) {
        let spec = fields::spec(message, field.number);
        let name = match spec {
            Some((number, name, _)) => format!("{number} {name}"),
            None => field.number.to_string(),
        };
        shown.push(match (spec.map(|(_, _, shape)| *shape), field.value) {
            // Every number of a head is at most 32 bits wide; a negative code is sent with its sign extended to 64.
            (_, Value::Varint(number)) => leaf(name, (number as i64).to_string(), range),
            (Some(Shape::Message(inner)), Value::Bytes(bytes)) => {
                let end = frame.get(..range.1).unwrap_or(frame);
                Field { children: message_fields(inner, end, range.1 - bytes.len()), ..leaf(name, "", range) }
            }
            (Some(Shape::Map), Value::Bytes(bytes)) => {
                let entry = ProtobufFields::read(bytes).unwrap_or_default();
                let [key, value] = [1, 2].map(|n| lossy(entry.bytes(n).unwrap_or_default()));
                leaf(format!("{name}[{key}]"), value, range)
            }
            (_, Value::Bytes(bytes)) => leaf(name, lossy(bytes), range),
            (_, Value::Fixed32(_) | Value::Fixed64(_)) => leaf(name, "fixed-width value", range),
        });
    }
    shown
}

/// The fields of a frame, as far as its bytes are there.
pub(super) fn dissect(_side: Side, bytes: &[u8]) -> Vec<Field> {
    let Ok((_, head)) = frame_head(bytes) else { return Vec::new() };
    let frame_type = match head.frame_type {
        FrameType::Unary => "unary",
        FrameType::Init => "INIT",
        FrameType::Data => "DATA",
        FrameType::Feedback => "FEEDBACK",
        FrameType::Close => "CLOSE",
    };
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default().to_string();
    let mut tree = vec![Field {
        children: vec![
            leaf("magic", "0x0930", (0, 2)),
            leaf("frame type", frame_type, (2, 4)),
            leaf("total size", head.total.to_string(), (4, 8)),
            leaf("head size", head.protobuf.to_string(), (8, 10)),
            leaf("stream id", head.stream_id.to_string(), (10, 14)),
            leaf("version", byte(14), (14, 15)),
            leaf("reserved", byte(15), (15, 16)),
        ],
        ..leaf("frame", frame_type, (0, HEAD_LEN))
    }];
    let end = bytes.len().min(head.total as usize);
    let meta_end = head.meta_end().min(end);
    let meta = bytes.get(HEAD_LEN..meta_end).unwrap_or_default();
    let read = ProtobufFields::read(meta).unwrap_or_default();
    let (name, spec) = match head.frame_type {
        FrameType::Unary if matches!(unary::role(&read), Ok(Some(Role::Request))) => {
            ("RequestProtocol", unary::REQUEST)
        }
        FrameType::Unary => ("ResponseProtocol", unary::RESPONSE),
        FrameType::Init => ("TrpcStreamInitMeta", stream::INIT),
        FrameType::Feedback => ("TrpcStreamFeedBackMeta", stream::FEEDBACK),
        FrameType::Close => ("TrpcStreamCloseMeta", stream::CLOSE),
        FrameType::Data => ("", &[] as &[Spec]),
    };
    if meta_end > HEAD_LEN {
        let children = message_fields(spec, bytes.get(..meta_end).unwrap_or(bytes), HEAD_LEN);
        tree.push(Field { children, ..leaf(name, "", (HEAD_LEN, meta_end)) });
    }
    // The attachment stands at the end of the frame; where the frame is cut, the body may lose its end too.
    let attachment = read.number(12).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    let body_end = (head.total as usize).saturating_sub(attachment).clamp(meta_end, end.max(meta_end));
    for (name, start, end) in [("body", meta_end, body_end), ("attachment", body_end, end)] {
        if end > start {
            tree.push(leaf(name, format!("{} bytes", end - start), (start, end)));
        }
    }
    tree
}
