//! The thrift of Finagle and Scrooge: after both sides have agreed to it, a header struct of the binary protocol stands
//! between the length of each frame and its message.
//!
//! ```text
//! upgrade   length (4) | call or reply `__can__finagle__trace__v3__`       as plain frames
//! request   length (4) | RequestHeader | message
//! answer    length (4) | ResponseHeader | message
//! ```
//!
//! A header begins with the type of its first field, or is the stop byte alone; a message of the strict form, which Finagle
//! sends, begins with 80. So each frame shows whether it has one, and the upgrade need not have been captured.
//!
//! Source: `finagle-thrift/src/main/thrift/tracing.thrift` of github.com/twitter/finagle, and `ThriftTracing`,
//! `TTwitterClientFilter` and `TTwitterServerFilter` beside it.

use std::fmt::Write as _;

use nom::Parser as _;
use nom::combinator::verify;
use nom::error::context;
use nom::number::streaming::be_u32;

use super::LENGTH_LIMIT;
use super::framed;
use super::input::{Input, Peers};
use crate::bodies::BodySpan;
use crate::dissect::{group, number};
use crate::error::{Layer, Parse, ParseResult, incomplete, placed, wrong};
use crate::event::{Event, Text, Transport};
use crate::framed::Parsed;
use crate::protocol::Field;
use crate::thrift::FIELD_LIMIT;
use crate::thrift::dissect::{dissect_message, dissect_struct};
use crate::thrift::field::{Encoded, FieldHead, binary_field, list_head};
use crate::thrift::payload::parse_bare;
use crate::thrift::probe::{Verdict, probe_message};
use crate::thrift::skip::{Skipped, StructFormat, StructSkip};

/// The method that asks for the upgrade (`ThriftTracing.CanTraceMethodName`).
const UPGRADE: &[u8] = b"__can__finagle__trace__v3__";

/// What begins a strict message, as far as it is the same in a call and its reply.
const STRICT: [u8; 3] = [0x80, 0x01, 0x00];

/// The largest header that is read.
const HEADER_LIMIT: usize = 256 * 1024;

/// The key of the context that holds the deadline: two times in nanoseconds, when it was set and when it is over.
const DEADLINE: &[u8] = b"com.twitter.finagle.Deadline";

fn length(input: &[u8]) -> Parse<'_, u32> {
    let plausible = |length: &u32| (1..=LENGTH_LIMIT).contains(length);
    context("length over the limit", verify(be_u32, plausible)).parse(input)
}

/// Bytes of the header of a frame; 0 for a frame without one. `frame` is what is there of it.
fn header_size(frame: &[u8]) -> ParseResult<usize> {
    match frame {
        [] | [0] => incomplete(1),
        [0x80, ..] => Ok(0),
        // No field at all, or the length of the old form's name.
        [0, next, ..] => Ok(usize::from(*next == STRICT[0])),
        _ => {
            let mut skip = StructSkip::new(StructFormat::Binary);
            match skip.advance(frame) {
                Ok(Skipped::Done(size)) if size <= HEADER_LIMIT => Ok(size),
                Ok(Skipped::More) if frame.len() <= HEADER_LIMIT => incomplete(skip.due() as usize),
                Ok(_) => wrong(frame, "header over the limit"),
                Err(error) => wrong(frame, error.what),
            }
        }
    }
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let (frame, length) = length(input.bytes)?;
    let total = u64::from(length) + 4;
    let within = frame.get(..length as usize).unwrap_or(frame);
    let size = match header_size(within) {
        Ok(size) => size,
        Err(error) => return input.give_up(total, placed(error, Layer::Header, input.bytes)),
    };
    if size == 0 {
        let parsed = framed::parse(peers, input, unpacked)?;
        return Ok(if is_upgrade(&parsed) { Parsed::Control { bytes: total } } else { parsed });
    }
    let (header, message) = within.split_at_checked(size).unwrap_or_default();
    let envelope = match parse_bare(message, length as usize - size) {
        Ok(envelope) => envelope,
        Err(error) => return input.give_up(total, placed(error, Layer::Payload, input.bytes)),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(message.len()));
    }
    peers.learn(input.side, envelope.message_type);
    let mut event = envelope.event(Transport::TTwitter);
    if let Event::Request(request) = &mut event {
        let fields = RequestHeader::read(header);
        request.names.caller = fields.client_id.map(Text::Plain);
        request.timeout = fields.timeout;
        request.traced = true;
    }
    Ok(Parsed::Message { event, bytes: total })
}

pub(super) fn body(input: &[u8]) -> Option<BodySpan> {
    let (frame, length) = length(input).ok()?;
    let frame = frame.get(..length as usize).unwrap_or(frame);
    let size = header_size(frame).ok()?;
    let span = parse_bare(frame.get(size..)?, (length as usize).checked_sub(size)?).ok()?.body_span()?;
    Some(span.moved(input.len().min(length as usize + 4) - frame.len() + size))
}

/// Whether it is the call that asks for the upgrade, or the answer to it.
fn is_upgrade(parsed: &Parsed<'_>) -> bool {
    match parsed {
        Parsed::Message { event, .. } => {
            event.names().and_then(|names| names.method).is_some_and(|method| method.raw() == UPGRADE)
        }
        Parsed::Unsized { .. } | Parsed::Control { .. } | Parsed::Undecodable { .. } => false,
    }
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    let (frame, length) = match length(input) {
        Ok(read) => read,
        Err(error) => return error.into(),
    };
    let size = length as usize;
    let frame = frame.get(..size).unwrap_or(frame);
    match frame {
        [0x80, ..] => probe_upgrade(frame),
        // The first field of a request (trace id) or of an answer (spans or contexts), or none.
        [] | [0x0a | 0x0f | 0] => Verdict::More,
        [0x0a, rest @ ..] if [0, 1].starts_with(rest) || rest.starts_with(&[0, 1]) => {
            probe_headed(frame, size)
        }
        [0x0f, rest @ ..]
            if [0].starts_with(rest) || rest.starts_with(&[0, 1]) || rest.starts_with(&[0, 2]) =>
        {
            probe_headed(frame, size)
        }
        [0, 0x80, ..] => probe_headed(frame, size),
        _ => Verdict::No,
    }
}

/// Version, type, length of the name, name.
fn probe_upgrade(frame: &[u8]) -> Verdict {
    let begins = |part: &[u8], wanted: &[u8]| part.iter().zip(wanted).all(|(byte, wanted)| byte == wanted);
    let name = frame.get(4..).unwrap_or_default();
    let length = (UPGRADE.len() as u32).to_be_bytes();
    let text = name.get(4..).unwrap_or_default();
    if !begins(frame, &STRICT) || !begins(name, &length) || !begins(text, UPGRADE) {
        Verdict::No
    } else if text.len() >= UPGRADE.len() {
        Verdict::Yes
    } else {
        Verdict::More
    }
}

/// A header and a message that fill the frame.
fn probe_headed(frame: &[u8], size: usize) -> Verdict {
    match header_size(frame) {
        Ok(header) => match frame.get(header..) {
            Some([]) | None if header < size => Verdict::More,
            Some(message @ [0x80, ..]) => probe_message(message, Some(size - header)),
            _ => Verdict::No,
        },
        Err(error) if frame.len() < size => error.into(),
        Err(_) => Verdict::No,
    }
}

/// What is used of the header of a request.
#[derive(Default)]
struct RequestHeader<'a> {
    client_id: Option<&'a [u8]>,
    timeout: Option<u64>,
}

impl<'a> RequestHeader<'a> {
    fn read(header: &'a [u8]) -> Self {
        let mut read = Self::default();
        fields(header, &mut |id, value| match id {
            6 => fields(value, &mut |id, name| {
                if id == 1 {
                    read.client_id = text(name);
                }
            }),
            8 => contexts(value, &mut |key, value| {
                if key == DEADLINE {
                    read.timeout = timeout(value);
                }
            }),
            _ => {}
        });
        read
    }
}

/// How long a deadline leaves, if there is one.
fn timeout(deadline: &[u8]) -> Option<u64> {
    let (set, rest) = deadline.split_first_chunk()?;
    let (set, over) = (i64::from_be_bytes(*set), i64::from_be_bytes(*rest.first_chunk()?));
    // Times without end are the largest number.
    (over != i64::MAX).then(|| u64::try_from(over.saturating_sub(set)).ok()).flatten()
}

/// Calls `each` with the id and the bytes of every field of a struct, as far as they can be read.
fn fields<'a>(mut rest: &'a [u8], each: &mut dyn FnMut(i16, &'a [u8])) {
    for _ in 0..FIELD_LIMIT {
        let Ok((after, Some(FieldHead { kind, id }))) = binary_field(rest) else { return };
        let Ok(Skipped::Done(size)) = StructSkip::value(kind).advance(after) else { return };
        let Some((value, after)) = after.split_at_checked(size) else { return };
        each(id, value);
        rest = after;
    }
}

/// Calls `each` with the key and the value of every `RequestContext` of a list.
fn contexts<'a>(list: &'a [u8], each: &mut dyn FnMut(&'a [u8], &'a [u8])) {
    const STRUCT: u8 = 12;
    let Ok((mut rest, (element, count))) = list_head(Encoded::Binary(0))(list) else { return };
    if element != Encoded::Binary(STRUCT) {
        return;
    }
    for _ in 0..count.min(FIELD_LIMIT as u64) {
        let Ok(Skipped::Done(size)) = StructSkip::new(StructFormat::Binary).advance(rest) else { return };
        let Some((context, after)) = rest.split_at_checked(size) else { return };
        let mut pair = [None, None];
        fields(context, &mut |id, value| match id {
            1 => pair[0] = text(value),
            2 => pair[1] = text(value),
            _ => {}
        });
        if let [Some(key), Some(value)] = pair {
            each(key, value);
        }
        rest = after;
    }
}

/// The bytes of a string without its length.
fn text(value: &[u8]) -> Option<&[u8]> {
    value.get(4..)
}

/// The header's fields. Its ids are Zipkin's, so they go by the names that these have in other headers
/// (<https://github.com/openzipkin/b3-propagation>).
pub(super) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let Ok((frame, _)) = length(input) else { return };
    let Ok(size) = header_size(frame) else { return };
    let header = frame.get(..size).unwrap_or_default();
    // The trace id has a second half in a later field.
    let (mut trace, mut high) = (None, None);
    fields(header, &mut |id, value| match id {
        1 => trace = Some(value),
        11 => high = Some(value),
        _ => {}
    });
    if let Some(trace) = trace {
        each(b"X-B3-TraceId", hex(&[high.unwrap_or_default(), trace].concat()).as_bytes());
    }
    fields(header, &mut |id, value| match id {
        2 => each(b"X-B3-SpanId", hex(value).as_bytes()),
        3 => each(b"X-B3-ParentSpanId", hex(value).as_bytes()),
        5 => each(b"X-B3-Sampled", if value == [0] { b"0" } else { b"1" }),
        6 => fields(value, &mut |id, name| {
            if let (1, Some(name)) = (id, text(name)) {
                each(b"client_id", name);
            }
        }),
        8 => contexts(value, &mut |key, value| each(key, value)),
        9 => each(b"dest", text(value).unwrap_or_default()),
        _ => {}
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String can't fail.
        _ = write!(out, "{byte:02x}");
        out
    })
}

pub(super) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    let start = base + 4;
    let size = message.get(start..).and_then(|frame| header_size(frame).ok()).unwrap_or(0);
    if size > 0 {
        fields.extend(group("header", (start, start + size), dissect_struct(message, start)));
    }
    fields.extend(dissect_message(message, start + size));
    fields
}
