//! TTHeader, the transport of Kitex and Volo: a header with names and pairs before a thrift message, a message of Kitex
//! Protobuf, or a frame of TTHeader Streaming (ttstream).
//!
//! Sources: `protocol/ttheader` of github.com/cloudwego/gopkg, `pkg/remote/codec/default_codec.go` and
//! `pkg/remote/transmeta` of github.com/cloudwego/kitex. The layout is drawn in `header`.

pub(crate) mod header;
mod stream;
#[cfg(test)]
mod tests;

use header::{
    Entry, FLAG_SASL, FLAG_STREAMING, Fields, HEAD_SIZE, Head, key_name, number_of, parse_sections,
};

use crate::cursor::Trouble;
use crate::error::{Error, Layer};
use crate::message::{CallId, Kind, Message, ResultField};
use crate::protocol::{Field, Parsed};
use crate::thrift::dissect::{self, field, group, number, shown};
use crate::thrift::forms::{Bytes, Peers, Sight, refusal};
use crate::thrift::payload::{KITEX_PROTOBUF_MAGIC, parse_payload};
use crate::thrift::{Envelope, MessageType};

/// Name of the message that Kitex puts into frames which belong to no call.
const CONTROL_NAME: &[u8] = b"none";

/// The least bytes of sections with which a frame is recognised: protocol id, number of transforms, first section.
const SIGHT_LEAST: usize = 3;

/// What a frame says before its payload.
struct Frame<'a> {
    head: Head,
    fields: Fields<'a>,
    /// All sections were read.
    whole: bool,
}

/// Reads head and sections. Of a frame that is cut the sections are read as far as they go.
fn parse_frame(bytes: Bytes<'_>) -> Result<Frame<'_>, Trouble> {
    let head = Head::parse(bytes.input)?;
    let sections = bytes.input.get(HEAD_SIZE..).unwrap_or_default();
    let complete = sections.len() >= head.header_size;
    if !complete && !bytes.cut {
        return Err(Trouble::Short(head.payload()));
    }
    let (fields, read) = Fields::parse(sections.get(..head.header_size).unwrap_or(sections));
    match read {
        Ok(()) => Ok(Frame { head, fields, whole: complete }),
        Err(Trouble::Short(_)) if !complete => Ok(Frame { head, fields, whole: false }),
        Err(Trouble::Short(_)) => {
            let what = "sections longer than the header";
            Err(Trouble::Wrong(Error { offset: HEAD_SIZE, layer: Layer::Header, what }))
        }
        Err(trouble) => Err(trouble.shifted(HEAD_SIZE)),
    }
}

/// Reads the message of a payload. `None` if it can't be read; what remains to be waited for is an error.
fn parse_envelope<'a>(frame: &Frame<'_>, bytes: Bytes<'a>) -> Result<Option<Envelope<'a>>, Trouble> {
    let (base, size) = (frame.head.payload(), frame.head.payload_size());
    if size == 0 || !frame.whole {
        return Ok(None);
    }
    match parse_payload(bytes.after(base).input, size) {
        Ok(envelope) => match envelope.wanted().filter(|_| !bytes.cut) {
            Some(needed) => Err(Trouble::Short(needed.saturating_add(base))),
            None => Ok(Some(envelope)),
        },
        Err(Trouble::Short(needed)) if !bytes.cut && needed <= size => {
            Err(Trouble::Short(needed.saturating_add(base)))
        }
        Err(_) => Ok(None),
    }
}

pub(crate) fn parse<'a>(peers: &mut Peers, bytes: Bytes<'a>) -> Parsed<'a> {
    let parsed = match parse_frame(bytes) {
        Ok(frame) if frame.head.flags & FLAG_STREAMING != 0 => stream::parse(peers, frame, bytes),
        Ok(frame) if frame.head.flags & FLAG_SASL != 0 => Ok(Parsed::Control { bytes: frame.head.total() }),
        Ok(frame) => parse_call(peers, frame, bytes),
        Err(trouble) => Err(trouble),
    };
    parsed.unwrap_or_else(|trouble| refusal(trouble, false, u64::MAX))
}

/// Reads a frame that belongs to a call.
fn parse_call<'a>(peers: &mut Peers, frame: Frame<'a>, bytes: Bytes<'a>) -> Result<Parsed<'a>, Trouble> {
    let envelope = parse_envelope(&frame, bytes)?;
    let (head, whole) = (frame.head, frame.whole);
    let control = Parsed::Control { bytes: head.total() };
    let kind = match &envelope {
        Some(envelope) => {
            if frame.fields.closing && head.seq_id == 0 && *envelope.name == *CONTROL_NAME {
                return Ok(control);
            }
            Some(envelope.message_type.kind())
        }
        None => told_kind(*peers, &frame, bytes),
    };
    // A frame of which nothing tells whether it asks or answers is passed over: its length is certain.
    let Some(kind) = kind else { return Ok(control) };
    let decided = frame.fields.biz_decides();
    let mut message = Message {
        kind,
        transport: "ttheader",
        rpc: "thrift",
        service: frame.fields.named_service(),
        caller: frame.fields.caller,
        callee: frame.fields.callee,
        timeout: frame.fields.timeout,
        ..Message::default()
    };
    message.status.biz = frame.fields.biz;
    if let Some(envelope) = envelope {
        envelope.copy_into(&mut message);
        peers.rpc = Some(message.rpc);
    } else {
        if let Some(rpc) = told_rpc(*peers, bytes.after(head.payload()).input) {
            message.rpc = rpc;
        }
        message.method = frame.fields.method;
        message.status.cut = true;
    }
    message.status.body = decided && message.status.result == Some(ResultField::Success);
    // A biz status decides whatever the payload says; while the header is not whole, one may still come.
    message.status.cut = kind == Kind::Answer && !decided && (message.status.cut || !whole);
    message.id = CallId::Loose(i64::from(head.seq_id));
    Ok(Parsed::Message { message, bytes: head.total() })
}

/// What is told of the kind of a message whose payload can't be read.
fn told_kind(peers: Peers, frame: &Frame<'_>, bytes: Bytes<'_>) -> Option<Kind> {
    let fields = &frame.fields;
    if let Some(number) = fields.message_type {
        // Heartbeats and the like have numbers of their own and belong to no call.
        return MessageType::from_number(number).map(MessageType::kind);
    }
    if fields.biz.is_some() {
        return Some(Kind::Answer);
    }
    if fields.service.is_some() || fields.method.is_some() {
        return Some(Kind::Request);
    }
    // What a cut frame can't say itself, the direction says once the client is known.
    let client = peers.client.filter(|_| bytes.cut)?;
    Some(if client == bytes.side { Kind::Request } else { Kind::Answer })
}

/// The RPC protocol of a message that is cut: by the first bytes of its payload, with a length of its own or without, or as
/// it was of the messages before. Kitex writes the protocol id of thrift before Protobuf too
/// (`pkg/remote/codec/header_codec.go`).
fn told_rpc(peers: Peers, payload: &[u8]) -> Option<&'static str> {
    let magic = KITEX_PROTOBUF_MAGIC.to_be_bytes();
    let starts = payload.starts_with(&magic) || payload.get(4..).is_some_and(|rest| rest.starts_with(&magic));
    if starts { Some("kitex-protobuf") } else { peers.rpc }
}

pub(crate) fn sight(input: &[u8]) -> Sight {
    let head = match Head::parse(input) {
        Ok(head) if head.plausible() => head,
        Ok(_) => return Sight::No,
        Err(trouble) => return trouble.into(),
    };
    let sections = input.get(HEAD_SIZE..).unwrap_or_default();
    let sections = sections.get(..head.header_size).unwrap_or(sections);
    match parse_sections(sections, |_, _| {}) {
        Err(Trouble::Wrong(_)) => Sight::No,
        Err(Trouble::Short(_)) if sections.len() == head.header_size => Sight::No,
        _ if sections.len() >= SIGHT_LEAST => Sight::Yes,
        _ => Sight::More,
    }
}

/// The bytes of the sections, as far as they are there.
fn sections(input: &[u8]) -> Option<&[u8]> {
    let head = Head::parse(input).ok()?;
    let sections = input.get(HEAD_SIZE..)?;
    Some(sections.get(..head.header_size).unwrap_or(sections))
}

pub(crate) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    if let Some(sections) = sections(input) {
        header::pairs(sections, each);
    }
}

pub(crate) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    dissect::hex(&mut fields, message, "magic", base + 4, 2);
    dissect::hex(&mut fields, message, "flags", base + 6, 2);
    let input = message.get(base..).unwrap_or_default();
    let streaming = Head::parse(input).is_ok_and(|head| head.flags & FLAG_STREAMING != 0);
    number(&mut fields, message, if streaming { "stream id" } else { "seq_id" }, base + 8, 4);
    number(&mut fields, message, "header size", base + 12, 2);
    let (Ok(head), Some(sections)) = (Head::parse(input), sections(input)) else { return fields };
    let start = base + HEAD_SIZE;
    dissect::hex(&mut fields, message, "protocol id", start, 1);
    number(&mut fields, message, "transforms", start + 1, 1);
    let (mut strings, mut integers, mut acl) = (Vec::new(), Vec::new(), Vec::new());
    let mut frame_type = None;
    let _ = parse_sections(sections, |entry, range| {
        let range = (start + range.0, start + range.1);
        match entry {
            Entry::String(key, value) => strings.push(field(shown(key), shown(value), range)),
            Entry::Acl(token) => acl.push(field("ACL token", shown(token), range)),
            Entry::Integer(key, value) => {
                let name = key_name(key).map_or_else(|| key.to_string(), |name| format!("{key} {name}"));
                let meaning = match key_name(key) {
                    Some("MsgType") => number_of(value).map(dissect::type_name),
                    Some("FrameType") => {
                        frame_type = number_of(value);
                        frame_type.and_then(stream::frame_name)
                    }
                    _ => None,
                };
                let value = match (meaning, number_of(value)) {
                    (Some(meaning), Some(number)) => format!("{number} {meaning}"),
                    _ => shown(value),
                };
                integers.push(field(name, value, range));
            }
        }
    });
    for (name, entries) in [("ACL section", acl), ("string pairs", strings), ("integer pairs", integers)] {
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            fields.extend(group(name, (first.range.0, last.range.1), entries));
        }
    }
    let payload = base + head.payload();
    let children = if streaming && frame_type == Some(stream::DATA) {
        dissect::dissect_struct(message, payload)
    } else {
        dissect::dissect_payload(message, payload)
    };
    fields.extend(group("payload", (payload, message.len()), children));
    fields
}
