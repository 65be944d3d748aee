//! The fields of frames for the detail view. It sees the bytes of one message, not the tables of the connection: indexes of
//! the dynamic table are shown as such.

use std::fmt::Write as _;

use super::frame::{self, Head};
use super::hpack::{self, Coded, LiteralName, Representation, STATIC_LEN};
use crate::protocol::Field;

/// Longest text of opaque bytes shown.
const SHOWN: usize = 64;

/// A leaf or group with its place.
fn field(name: impl Into<String>, value: impl Into<String>, start: usize, end: usize) -> Field {
    Field { name: name.into(), value: value.into(), range: (start, end), children: Vec::new() }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The frames in `message`, or the HTTP/1.1 text of a request that asked for HTTP/2.
pub(super) fn dissect(message: &[u8]) -> Vec<Field> {
    if message.first().is_some_and(u8::is_ascii_uppercase) {
        return vec![text_request(message)];
    }
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some(Ok((_, head))) = message.get(at..).map(frame::parse_head) {
        let end = message.len().min(at + head.size() as usize);
        frames.push(frame_field(head, at, message.get(at..end).unwrap_or_default()));
        at = end;
    }
    frames
}

/// An upgrading request: its lines.
fn text_request(message: &[u8]) -> Field {
    let head = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |end| end + 4);
    let mut request = field("HTTP/1.1 request", "", 0, message.len());
    let mut at = 0;
    for line in message.get(..head).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        let text = line.trim_ascii();
        if !text.is_empty() {
            let (name, value) = match memchr::memchr(b':', text) {
                Some(colon) if at > 0 => text.split_at(colon),
                _ => (&b"request line"[..], text),
            };
            let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
            request.children.push(field(lossy(name), lossy(value), at, end));
        }
        at = end;
    }
    if head < message.len() {
        let size = message.len() - head;
        request.children.push(field("body", format!("{size} bytes"), head, message.len()));
    }
    request
}

/// A frame at `at`; `bytes` may be cut.
fn frame_field(head: Head, at: usize, bytes: &[u8]) -> Field {
    let kind = head.kind_name().map_or_else(|| format!("type {}", head.kind), str::to_owned);
    let mut tree = field(kind.clone(), format!("stream {}", head.stream), at, at + bytes.len());
    let flags: Vec<&str> =
        head.flag_names().iter().filter(|(flag, _)| head.has(*flag)).map(|(_, name)| *name).collect();
    let flags = if flags.is_empty() { "none".to_owned() } else { flags.join(", ") };
    tree.children = vec![
        field("Length", head.length.to_string(), at, at + 3),
        field("Type", format!("{} ({kind})", head.kind), at + 3, at + 4),
        field("Flags", format!("0x{:02x} ({flags})", head.flags), at + 4, at + 5),
        field("Stream Identifier", head.stream.to_string(), at + 5, at + 9),
    ];
    let body = at + frame::HEAD;
    let payload = bytes.get(frame::HEAD..).unwrap_or_default();
    payload_fields(head, body, payload, &mut tree.children);
    tree
}

fn payload_fields(head: Head, at: usize, payload: &[u8], out: &mut Vec<Field>) {
    let end = at + payload.len();
    let number = frame::parse_number(payload);
    let code_text = |code: u32| match frame::error_name(code) {
        Some(name) => format!("{code} ({name})"),
        None => code.to_string(),
    };
    match head.kind {
        frame::DATA => data_fields(head, at, payload, out),
        frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
            let Ok(range) = frame::parse_fragment(head, payload) else {
                out.push(field("broken padding", "", at, end));
                return;
            };
            if range.start > 0 {
                out.push(field("padding length, priority, promised stream", "", at, at + range.start));
            }
            let fragment = payload.get(range.clone()).unwrap_or_default();
            let mut block = field("Field Block Fragment", "", at + range.start, at + range.end);
            block.children = block_fields(at + range.start, fragment);
            out.push(block);
            if at + range.end < end {
                out.push(field("Padding", "", at + range.end, end));
            }
        }
        frame::SETTINGS => {
            for (place, (id, value)) in frame::parse_settings(payload).enumerate() {
                let name = frame::setting_name(id).map_or_else(|| format!("setting {id}"), str::to_owned);
                out.push(field(name, value.to_string(), at + place * 6, at + place * 6 + 6));
            }
        }
        frame::RST_STREAM => out.extend(number.map(|code| field("Error Code", code_text(code), at, at + 4))),
        frame::WINDOW_UPDATE => {
            out.extend(
                number
                    .map(|size| field("Window Size Increment", (size & 0x7fff_ffff).to_string(), at, at + 4)),
            );
        }
        frame::GOAWAY => {
            if let Some((last, code, text)) = frame::parse_goaway(payload) {
                out.push(field("Last-Stream-ID", last.to_string(), at, at + 4));
                out.push(field("Error Code", code_text(code), at + 4, at + 8));
                if !text.is_empty() {
                    out.push(field("Additional Debug Data", lossy(text), at + 8, end));
                }
            }
        }
        _ if payload.is_empty() => {}
        _ => {
            let mut shown = String::new();
            for byte in payload.iter().take(SHOWN) {
                let _ = write!(shown, "{byte:02x}");
            }
            out.push(field("payload", shown, at, end));
        }
    }
}

/// The messages that begin in a DATA frame. A message that began in an earlier frame can't be recognised by its bytes alone,
/// so the prefixes are shown only if they add up with the frame.
fn data_fields(head: Head, at: usize, payload: &[u8], out: &mut Vec<Field>) {
    let padded = head.has(frame::PADDED);
    let padding = if padded { payload.first().map_or(0, |length| usize::from(*length)) } else { 0 };
    let start = usize::from(padded).min(payload.len());
    let end = (head.length as usize).saturating_sub(padding).clamp(start, payload.len().max(start));
    if padded && start > 0 {
        out.push(field("Pad Length", padding.to_string(), at, at + 1));
    }
    let data = payload.get(start..end).unwrap_or_default();
    let mut messages = Vec::new();
    let mut rest = data;
    let mut place = at + start;
    while let Some(([flag, length @ ..], after)) = rest.split_first_chunk::<5>() {
        let size = u32::from_be_bytes(*length) as usize;
        if *flag > 1 {
            messages.clear();
            break;
        }
        let here = size.min(after.len());
        let mut message = field("gRPC message", format!("{size} bytes"), place, place + 5 + here);
        message.children.push(field("Compressed-Flag", flag.to_string(), place, place + 1));
        message.children.push(field("Message-Length", size.to_string(), place + 1, place + 5));
        if here > 0 {
            message.children.push(field("Message", format!("{here} bytes"), place + 5, place + 5 + here));
        }
        messages.push(message);
        place += 5 + here;
        rest = after.get(here..).unwrap_or_default();
    }
    if messages.is_empty() && !data.is_empty() {
        messages.push(field("Data", format!("{} bytes", data.len()), at + start, at + start + data.len()));
    }
    out.append(&mut messages);
    if start + data.len() < payload.len() {
        out.push(field("Padding", "", at + start + data.len(), at + payload.len()));
    }
}

/// What an index stands for: a static entry's name and value, or the place in the dynamic table.
fn entry(index: u32) -> (String, Option<&'static str>) {
    match hpack::fixed(index) {
        Some((_, name, value)) => (name.to_owned(), Some(value)),
        None => (format!("dynamic entry {}", index.saturating_sub(STATIC_LEN)), None),
    }
}

fn text(coded: Coded<'_>) -> String {
    let mut plain = Vec::new();
    match coded.decode(&mut plain) {
        Ok(()) => lossy(&plain),
        Err(what) => what.to_owned(),
    }
}

/// The representations of a header block (RFC 7541, section 6), up to the first that can't be read.
fn block_fields(at: usize, block: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let start = at + block.len() - rest.len();
        let (after, representation) = match hpack::parse_representation(rest) {
            Ok(read) => read,
            Err(error) => {
                fields.push(field(hpack::what_is_wrong(&error).what, "", start, at + block.len()));
                break;
            }
        };
        rest = after;
        let end = at + block.len() - rest.len();
        fields.push(match representation {
            Representation::Resize(size) => field("Dynamic Table Size Update", size.to_string(), start, end),
            Representation::Indexed(index) => {
                let (name, value) = entry(index);
                field(name, value.unwrap_or("not known without the connection's table"), start, end)
            }
            Representation::Literal { insert, never, name, value } => {
                let name = match name {
                    LiteralName::Index(index) => entry(index).0,
                    LiteralName::Text(name) => text(name),
                };
                let how = match (insert, never) {
                    (true, _) => "with incremental indexing",
                    (_, true) => "never indexed",
                    _ => "without indexing",
                };
                let mut literal = field(name, text(value), start, end);
                literal.children.push(field("literal", how, start, end));
                literal
            }
        });
    }
    fields
}
