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
    Entry, FLAG_SASL, FLAG_STREAMING, HEAD_SIZE, HeaderFields, TtHeaderHead, fixed_head, key_name, number_of,
};
use nom::Err;

use super::input::{Input, Peers};
use crate::bodies::BodySpan;
use crate::dissect::{field, group, hex, number, shown};
use crate::error::{Error, Layer, ParseResult, in_layer, incomplete, missing, placed, within};
use crate::event::{
    Answer, CallId, Event, Head, Names, Reply, Request, ResultField, Rpc, Status, ThriftStatus, Transport,
};
use crate::framed::Parsed;
use crate::protocol::Field;
use crate::thrift::dissect::{dissect_payload, dissect_struct, type_name};
use crate::thrift::payload::{KITEX_PROTOBUF_MAGIC, parse_payload};
use crate::thrift::probe::Verdict;
use crate::thrift::types::{Encoding, Envelope, MessageType};

/// Name of the message that Kitex puts into frames which belong to no call.
const CONTROL_NAME: &[u8] = b"none";

/// The least bytes of sections with which a frame is recognised: protocol id, number of transforms, first section.
const PROBE_LEAST: usize = 3;

const TOO_LONG: &str = "sections longer than the header";

/// What a frame says before its payload.
#[derive(Clone, Copy)]
struct Frame<'f, 'a> {
    head: TtHeaderHead,
    fields: &'f HeaderFields<'a>,
    /// All sections were read.
    whole: bool,
}

/// Reads the sections, with which `rest` begins, into `fields`; those of a frame that is cut as far as they go. Returns
/// whether they are whole.
fn parse_sections<'a>(
    fields: &mut HeaderFields<'a>,
    head: TtHeaderHead,
    rest: &'a [u8],
    input: Input<'a>,
) -> ParseResult<bool> {
    let whole = rest.len() >= head.header_size;
    if !whole && !input.cut {
        return incomplete(head.header_size - rest.len());
    }
    let sections = |header| header::sections(header, |entry, _| fields.set(entry));
    match within(head.header_size, TOO_LONG, rest, sections) {
        Ok(_) => Ok(whole),
        Err(Err::Incomplete(_)) => {
            fields.service_cut = header::ends_in_service(rest);
            Ok(false)
        }
        Err(error) => Err(placed(error, Layer::Header, input.bytes)),
    }
}

/// Reads the message of a payload. `None` if it can't be read; what remains to be waited for is an error.
fn parse_envelope<'a>(frame: Frame<'_, '_>, input: Input<'a>) -> ParseResult<Option<Envelope<'a>>> {
    let size = frame.head.payload_size();
    if size == 0 || !frame.whole {
        return Ok(None);
    }
    let payload = input.after(frame.head.payload()).bytes;
    match parse_payload(payload, size) {
        Ok(envelope) => match envelope.wanted().filter(|_| !input.cut) {
            Some(needed) => incomplete(needed.saturating_sub(payload.len())),
            None => Ok(Some(envelope)),
        },
        Err(Err::Incomplete(needed)) if !input.cut && payload.len() + missing(needed) <= size => {
            Err(Err::Incomplete(needed))
        }
        Err(_) => Ok(None),
    }
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    _unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let (rest, head) = match in_layer(Layer::Frame, fixed_head)(input.bytes) {
        Err(Err::Error(error)) if answers(*peers, input) => {
            return match header::size_of_misfit(input.bytes) {
                Some(bytes) => Ok(Parsed::Undecodable { bytes, error, by_all: true }),
                None => Err(Err::Error(error)),
            };
        }
        read => read?,
    };
    let mut fields = HeaderFields::default();
    let whole = match parse_sections(&mut fields, head, rest, input) {
        Err(Err::Error(error) | Err::Failure(error)) if answers(*peers, input) => {
            return Ok(Parsed::Undecodable { bytes: head.total(), error, by_all: true });
        }
        read => read?,
    };
    let frame = Frame { head, fields: &fields, whole };
    let flags = head.flags;
    if flags & FLAG_STREAMING != 0 {
        stream::parse(peers, frame, input)
    } else if flags & FLAG_SASL != 0 && parse_envelope(frame, input)?.is_none() {
        // Frames with messages are read as if the flag were not there (Kitex, pkg/remote/codec/header_codec.go).
        Ok(Parsed::Control { bytes: frame.head.total() })
    } else {
        parse_call(peers, frame, input)
    }
}

/// Reads a frame that belongs to a call.
fn parse_call<'a>(peers: &mut Peers, frame: Frame<'_, 'a>, input: Input<'a>) -> ParseResult<Parsed<'a>> {
    let envelope = parse_envelope(frame, input)?;
    let Frame { head, fields, .. } = frame;
    let control = Parsed::Control { bytes: head.total() };
    let message_type = match &envelope {
        Some(envelope) => {
            if fields.closing && head.seq_id == 0 && envelope.name.raw() == CONTROL_NAME {
                return Ok(control);
            }
            Some(envelope.message_type)
        }
        None => type_without_payload(*peers, frame, input),
    };
    let Some(message_type) = message_type else {
        // Heartbeats have a type in the header, and frames of the connection no payload.
        if frame.whole && head.payload_size() > 0 && fields.message_type.is_none() && answers(*peers, input) {
            let error = Error::new(head.payload(), Layer::Payload, "payload is no message");
            return Ok(Parsed::Undecodable { bytes: head.total(), error, by_all: true });
        }
        // Nothing says whether the frame is a request or an answer: it is skipped by its length.
        return Ok(control);
    };
    peers.learn(input.side, message_type);
    let rpc = match &envelope {
        Some(envelope) => peers.encoding.insert(envelope.encoding).rpc(),
        None => rpc_without_message(*peers, input.after(head.payload()).bytes).unwrap_or(Rpc::Thrift),
    };
    let id = CallId::Loose(i64::from(head.seq_id));
    let codec = envelope.map(|envelope| envelope.encoding.codec());
    let event_head = Head { codec, ..Head::new(rpc, Transport::TtHeader, id) };
    let (service, method) = match &envelope {
        Some(envelope) => envelope.service_and_method(),
        None => (None, fields.method),
    };
    let names = Names { service: fields.named_service().or(service), method, ..fields.names() };
    // In each branch, so that the event is made where it is returned.
    let message = |event| Ok(Parsed::Message { event, bytes: head.total() });
    if message_type.is_answer() {
        let decided = fields.biz_decides();
        let reply = envelope.map_or(Reply::Missing, |envelope| envelope.outcome.reply());
        // A business status decides whatever the payload says; while the header is not whole, one may still come.
        let cut = !decided && reply == Reply::Missing;
        let reply = if decided && reply == Reply::Missing { Reply::Silent } else { reply };
        let status = Status::Thrift(ThriftStatus { biz: fields.biz, reply, http: None, cut });
        let body = decided && reply == Reply::Result(ResultField::Success);
        message(Event::Answer(Answer { names, body, ..Answer::new(event_head, status) }))
    } else {
        let oneway = message_type == MessageType::Oneway;
        let (timeout, traced) = (fields.timeout, fields.traced);
        message(Event::Request(Request { head: event_head, oneway, names, timeout, traced, headers: None }))
    }
}

/// Whether `input` is all of a frame in answer to requests whose payloads could be read.
fn answers(peers: Peers, input: Input<'_>) -> bool {
    !input.cut && peers.encoding.is_some() && peers.client == Some(input.side.other())
}

/// The type of a message whose payload can't be read.
fn type_without_payload(peers: Peers, frame: Frame<'_, '_>, input: Input<'_>) -> Option<MessageType> {
    let fields = frame.fields;
    if let Some(number) = fields.message_type {
        // Heartbeats and the like have numbers of their own and belong to no call.
        return MessageType::from_number(number);
    }
    if fields.biz.is_some() {
        return Some(MessageType::Reply);
    }
    if fields.is_request() || fields.method.is_some() {
        return Some(MessageType::Call);
    }
    // Once the client is known, the direction of a cut frame is enough.
    let client = peers.client.filter(|_| input.cut)?;
    Some(if client == input.side { MessageType::Call } else { MessageType::Reply })
}

/// The RPC protocol of a message that is cut: by the first bytes of its payload, with a length of its own or without, or as
/// it was of the messages before. Kitex writes the protocol id of thrift before Protobuf too
/// (`pkg/remote/codec/header_codec.go`).
fn rpc_without_message(peers: Peers, payload: &[u8]) -> Option<Rpc> {
    let is_kitex_protobuf = |message: &[u8]| message.starts_with(&KITEX_PROTOBUF_MAGIC);
    let found = is_kitex_protobuf(payload) || payload.get(4..).is_some_and(is_kitex_protobuf);
    if found { Some(Rpc::KitexProtobuf) } else { peers.encoding.map(Encoding::rpc) }
}

/// Whether a PDU of DCE/RPC stands here, whose fields look like a TTHeader of 80 MB (The Open Group C706, section 12.6):
///
/// ```text
/// 05 | 00 | type | flags | data representation 10 00 00 00 | length of the PDU (2) | length of its verifier (2) | …
/// ```
fn is_dce_rpc(input: &[u8]) -> bool {
    const LAST_TYPE: u8 = 19;
    const HEAD_SIZE: u16 = 16;
    match input {
        [5, 0 | 1, 0..=LAST_TYPE, _, 0x10, 0, 0, 0, length @ ..] => match length {
            // As a sequence number these would be of a connection with millions of calls.
            [low, high, verifier_low, verifier_high, ..] => {
                let length = u16::from_le_bytes([*low, *high]);
                length >= HEAD_SIZE && u16::from_le_bytes([*verifier_low, *verifier_high]) < length
            }
            _ => false,
        },
        _ => false,
    }
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    if is_dce_rpc(input) {
        return Verdict::No;
    }
    let (rest, head) = match fixed_head(input) {
        Ok((rest, head)) if head.plausible() => (rest, head),
        Ok(_) => return Verdict::No,
        Err(error) => return error.into(),
    };
    match within(head.header_size, TOO_LONG, rest, |header| header::sections(header, |_, _| {})) {
        Err(Err::Error(_) | Err::Failure(_)) => Verdict::No,
        _ if rest.len().min(head.header_size) >= PROBE_LEAST => Verdict::Yes,
        _ => Verdict::More,
    }
}

/// The fixed head and the bytes of the sections, as far as they are there.
fn head_and_sections(input: &[u8]) -> Option<(TtHeaderHead, &[u8])> {
    let (rest, head) = fixed_head(input).ok()?;
    Some((head, rest.get(..head.header_size).unwrap_or(rest)))
}

pub(super) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    if let Some((_, sections)) = head_and_sections(input) {
        header::pairs(sections, each);
    }
}

pub(super) fn body(input: &[u8]) -> Option<BodySpan> {
    let (head, sections) = head_and_sections(input)?;
    let payload = input.get(head.payload()..)?;
    if head.flags & FLAG_STREAMING != 0 {
        let mut fields = HeaderFields::default();
        header::sections(sections, |entry, _| fields.set(entry)).ok()?;
        return (fields.frame_type == Some(stream::DATA)).then(|| BodySpan::from(head.payload()));
    }
    Some(parse_payload(payload, head.payload_size()).ok()?.body_span()?.moved(head.payload()))
}

pub(super) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    hex(&mut fields, message, "magic", base + 4, 2);
    hex(&mut fields, message, "flags", base + 6, 2);
    let input = message.get(base..).unwrap_or_default();
    let read = head_and_sections(input);
    let streaming = read.is_some_and(|(head, _)| head.flags & FLAG_STREAMING != 0);
    number(&mut fields, message, if streaming { "stream id" } else { "seq_id" }, base + 8, 4);
    number(&mut fields, message, "header size", base + 12, 2);
    let Some((head, sections)) = read else { return fields };
    let start = base + HEAD_SIZE;
    hex(&mut fields, message, "protocol id", start, 1);
    number(&mut fields, message, "transforms", start + 1, 1);
    let (mut strings, mut integers, mut acl) = (Vec::new(), Vec::new(), Vec::new());
    let mut frame_type = None;
    let _ = header::sections(sections, |entry, range| {
        let range = (start + range.0, start + range.1);
        match entry {
            Entry::String(key, value) => strings.push(field(shown(key), shown(value), range)),
            Entry::Acl(token) => acl.push(field("ACL token", shown(token), range)),
            Entry::Integer(key, value) => {
                let name = key_name(key).map_or_else(|| key.to_string(), |name| format!("{key} {name}"));
                let meaning = match key_name(key) {
                    Some("MsgType") => number_of(value).map(type_name),
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
        dissect_struct(message, payload)
    } else {
        dissect_payload(message, payload)
    };
    fields.extend(group("payload", (payload, message.len()), children));
    fields
}
