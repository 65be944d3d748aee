//! Kitex mesh header: string pairs before a message in another transport.
//!
//! ```text
//! ff af | size (2) | count (2), { length (2), key, length (2), value }* | message
//! ```
//!
//! The size counts what follows it up to the message. Source: `pkg/remote/codec/header_codec.go` (`meshHeaderCodec`) of
//! github.com/cloudwego/kitex, which reads this header and never writes it.

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::error::context;
use nom::multi::length_data;
use nom::number::streaming::be_u16;
use nom::sequence::preceded;

use super::input::Input;
use super::ttheader::header::HeaderFields;
use crate::dissect::{Range, field, hex, number, shown};
use crate::error::{Layer, Parse, ParseResult, in_layer, incomplete, placed, within};
use crate::event::{Answer, Event, Open, Request, Status, Transport};
use crate::framed::Parsed;
use crate::protocol::Field;
use crate::thrift::probe::Verdict;

fn magic(input: &[u8]) -> Parse<'_, &[u8]> {
    context("not the magic number of the mesh header", tag(&b"\xff\xaf"[..])).parse(input)
}

/// The size of what follows, up to the message.
fn size(input: &[u8]) -> Parse<'_, usize> {
    preceded(magic, be_u16).map(usize::from).parse(input)
}

fn text(input: &[u8]) -> Parse<'_, &[u8]> {
    length_data(be_u16).parse(input)
}

fn pair(input: &[u8]) -> Parse<'_, (&[u8], &[u8])> {
    (text, text).parse(input)
}

/// Calls `each` with the pairs and their ranges. What is left is the message.
fn header<'a>(input: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], Range)) -> Parse<'a, ()> {
    let (pairs, size) = size(input)?;
    within(size, "pairs longer than the header", pairs, |pairs| {
        let offset = |rest: &[u8]| input.len().min(size + 4) - rest.len();
        let (mut rest, count) = be_u16(pairs)?;
        for _ in 0..count {
            let (after, (key, value)) = pair(rest)?;
            each(key, value, (offset(rest), offset(after)));
            rest = after;
        }
        Ok(())
    })?;
    match pairs.get(size..) {
        Some(message) => Ok((message, ())),
        None => incomplete(size - pairs.len()),
    }
}

/// Adds what the header says to the message behind it.
fn wrap<'a>(event: &mut Event<'a>, fields: &HeaderFields<'a>) {
    if let Some(head) = event.head_mut() {
        head.transport = Transport::MeshHeader;
    }
    if let Some(names) = event.names_mut() {
        names.service = names.service.or(fields.service);
    }
    match event {
        Event::Answer(Answer { status: Status::Thrift(status), .. }) => {
            status.biz = status.biz.or(fields.biz);
        }
        Event::Answer(Answer { status: Status::Ttstream(status), .. }) => {
            status.biz = status.biz.or(fields.biz);
        }
        Event::Request(Request { traced, .. }) | Event::Open(Open { traced, .. }) => *traced |= fields.traced,
        _ => {}
    }
}

/// Reads the header and, with `inner`, the message behind it.
pub(super) fn parse<'a>(
    input: Input<'a>,
    inner: impl FnOnce(Input<'a>) -> ParseResult<Parsed<'a>>,
) -> ParseResult<Parsed<'a>> {
    let mut fields = HeaderFields::default();
    let pairs = |bytes| header(bytes, |key, value, _| fields.set_string(key, value));
    let (behind, ()) = in_layer(Layer::Header, pairs)(input.bytes)?;
    let base = input.bytes.len() - behind.len();
    let mut parsed = inner(input.after(base)).map_err(|error| placed(error, Layer::Header, input.bytes))?;
    match &mut parsed {
        Parsed::Message { event, bytes } => {
            wrap(event, &fields);
            *bytes += base as u64;
        }
        Parsed::Unsized { event, head, .. } => {
            wrap(event, &fields);
            *head += base;
        }
        Parsed::Control { bytes } | Parsed::Undecodable { bytes, .. } => *bytes += base as u64,
    }
    Ok(parsed)
}

/// Probes the header and, with `inner`, the message behind it.
pub(super) fn probe(input: &[u8], inner: impl FnOnce(&[u8]) -> Verdict) -> Verdict {
    let mut plausible = true;
    match header(input, |key, _, _| plausible &= key.iter().all(u8::is_ascii_graphic)) {
        _ if !plausible => Verdict::No,
        Ok((behind, ())) => inner(behind),
        Err(error) => error.into(),
    }
}

/// Calls `each` with the pairs. Returns the message behind them, if it is there.
pub(super) fn metadata<'a>(input: &'a [u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Option<&'a [u8]> {
    header(input, |key, value, _| each(key, value)).ok().map(|(behind, ())| behind)
}

/// The fields of the header that begins at `base`, and where the message behind it begins, if it is there.
pub(super) fn dissect(message: &[u8], base: usize) -> (Field, Option<usize>) {
    let mut children = Vec::new();
    hex(&mut children, message, "magic", base, 2);
    number(&mut children, message, "size", base + 2, 2);
    number(&mut children, message, "count", base + 4, 2);
    let read = header(message.get(base..).unwrap_or_default(), |key, value, (start, end)| {
        children.push(field(shown(key), shown(value), (base + start, base + end)));
    });
    let behind = read.ok().map(|(behind, ())| message.len() - behind.len());
    let range = (base, children.last().map_or(base, |last| last.range.1));
    (Field { name: "mesh header".to_owned(), range, children, ..Field::default() }, behind)
}
