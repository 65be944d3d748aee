//! THeader of Apache Thrift: a header with the encoding of the payload, its transforms and pairs of text.
//!
//! ```text
//!  0  length (4)      bytes that follow these four
//!  4  0f ff           magic
//!  6  flags (2)
//!  8  seq_id (4)
//! 12  header size (2) in words of four bytes, counted from 14
//! 14  encoding (varint), number of transforms (varint), their ids (varint each)
//!     info blocks: 1 or 2, count (varint), { length (varint), key, length (varint), value }*; 0 is padding
//!     payload up to 4 + length: a message in that encoding, transformed
//! ```
//!
//! Source: `doc/specs/HeaderFormat.md` of Apache Thrift.

use flate2::{Decompress, FlushDecompress};
use nom::combinator::{map_opt, verify};
use nom::error::context;
use nom::multi::length_count;
use nom::{Err, Parser as _};

use super::LENGTH_LIMIT;
use super::input::{Input, Peers};
use crate::bodies::BodySpan;
use crate::dissect::{Range, field, group, hex, moved, number, shown};
use crate::error::{Error, Layer, Parse, ParseResult, in_layer, incomplete, placed, within, wrong};
use crate::event::{
    Answer, CallId, Event, Head, Names, Reply, Request, Rpc, Status, ThriftStatus, Transport, may_be_context,
};
use crate::framed::Parsed;
use crate::number::{be_i32, be_u16, be_u32, tag};
use crate::protocol::Field;
use crate::thrift::dissect::dissect_message;
use crate::thrift::message::parse_beginning;
use crate::thrift::payload::parse_bare;
use crate::thrift::probe::Verdict;
use crate::thrift::types::{Envelope, MessageType, ReplyBody};
use crate::varint::{varint, varint_bytes};

/// Bytes before the variable header.
const HEAD_SIZE: usize = 14;

/// Transform: zlib.
const ZLIB: u64 = 1;

/// The most transforms that are believed.
const TRANSFORM_LIMIT: u64 = 8;

/// Encodings: 0 binary, 1 JSON, 2 compact.
const ENCODING_LIMIT: u64 = 2;

/// The most bytes that are inflated: the outcome stands at the beginning of an answer.
const INFLATE_LIMIT: usize = 64 * 1024;

/// The least compressed bytes with which inflating is tried.
const INFLATE_LEAST: usize = 64;

const TOO_LONG: &str = "pairs longer than the header";

/// The fixed head.
struct THeaderHead {
    length: u32,
    /// Of the message, in most libraries.
    seq_id: i32,
    /// Bytes of the variable header.
    header_size: usize,
}

impl THeaderHead {
    /// Bytes of the whole frame.
    fn total(&self) -> u64 {
        u64::from(self.length) + 4
    }

    /// Where the payload begins.
    fn payload(&self) -> usize {
        HEAD_SIZE + self.header_size
    }

    fn payload_size(&self) -> usize {
        self.length as usize + 4 - self.payload()
    }
}

fn length(input: &[u8]) -> Parse<'_, u32> {
    let plausible = |length: &u32| (HEAD_SIZE as u32..=LENGTH_LIMIT).contains(length);
    context("length over the limit", verify(be_u32, plausible)).parse(input)
}

fn magic(input: &[u8]) -> Parse<'_, &[u8]> {
    tag([0x0f, 0xff], "not the magic number of THeader")(input)
}

/// Bytes of the variable header of a frame of that length.
fn header_size<'a>(length: u32) -> impl FnMut(&'a [u8]) -> Parse<'a, usize> {
    move |input| {
        let fits = |words| {
            let size = 4 * usize::from(words);
            (1..=length as usize - HEAD_SIZE).contains(&size).then_some(size)
        };
        context("header size does not fit into the frame", map_opt(be_u16, fits)).parse(input)
    }
}

fn fixed_head(input: &[u8]) -> Parse<'_, THeaderHead> {
    let (input, (length, _magic, _flags, seq_id)) = (length, magic, be_u16, be_i32).parse(input)?;
    header_size(length).map(|header_size| THeaderHead { length, seq_id, header_size }).parse(input)
}

fn encoding(input: &[u8]) -> Parse<'_, u64> {
    context("unknown encoding", verify(varint, |encoding| *encoding <= ENCODING_LIMIT)).parse(input)
}

fn transform_count(input: &[u8]) -> Parse<'_, usize> {
    let count = verify(varint, |count| *count <= TRANSFORM_LIMIT).map(|count| count as usize);
    context("too many transforms", count).parse(input)
}

/// The transforms, in the order in which they were applied.
fn transforms(input: &[u8]) -> Parse<'_, Vec<u64>> {
    length_count(transform_count, varint).parse(input)
}

fn pair(input: &[u8]) -> Parse<'_, (&[u8], &[u8])> {
    (varint_bytes(usize::MAX), varint_bytes(usize::MAX)).parse(input)
}

/// Reads the variable header: calls `each` with the pairs and their ranges and returns the transforms.
fn variable_header<'a>(
    header: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8], Range),
) -> ParseResult<Vec<u64>> {
    let offset = |rest: &[u8]| header.len() - rest.len();
    let (mut rest, (_encoding, transforms)) = (encoding, transforms).parse(header)?;
    while !rest.is_empty() {
        let (after, kind) = varint(rest)?;
        // 0 is padding. Blocks have no length, so what follows one of another kind can't be read.
        if !matches!(kind, 1 | 2) {
            break;
        }
        let (after, count) = varint(after)?;
        rest = after;
        for _ in 0..count {
            let (after, (key, value)) = pair(rest)?;
            each(key, value, (offset(rest), offset(after)));
            rest = after;
        }
    }
    Ok(transforms)
}

/// The first `limit` bytes of a payload that was compressed with zlib, and whether there may be more of it.
fn inflate(compressed: &[u8], limit: usize) -> (Vec<u8>, bool) {
    let mut inflated = Vec::with_capacity(limit.min(compressed.len().saturating_mul(4).max(INFLATE_LEAST)));
    let mut stream = Decompress::new(true);
    loop {
        let before = (stream.total_in(), stream.total_out());
        let rest = compressed.get(before.0 as usize..).unwrap_or_default();
        let ended = match stream.decompress_vec(rest, &mut inflated, FlushDecompress::Sync) {
            Ok(flate2::Status::StreamEnd) | Err(_) => return (inflated, false),
            Ok(_) => before == (stream.total_in(), stream.total_out()),
        };
        if inflated.len() >= limit {
            return (inflated, false);
        }
        if inflated.len() == inflated.capacity() {
            inflated.reserve((limit - inflated.len()).min(inflated.len().max(INFLATE_LEAST)));
        } else if ended {
            return (inflated, true);
        }
    }
}

/// Reads the message in a compressed payload of `size` bytes, which is inflated into `unpacked`.
fn parse_compressed<'a>(
    payload: &[u8],
    size: usize,
    cut: bool,
    unpacked: &'a mut Vec<u8>,
) -> ParseResult<Envelope<'a>> {
    let compressed = payload.get(..size).unwrap_or(payload);
    let whole = compressed.len() == size;
    let least = size.min(INFLATE_LEAST);
    if compressed.len() < least && !cut {
        return incomplete(least - compressed.len());
    }
    let (inflated, open) = inflate(compressed, INFLATE_LIMIT);
    *unpacked = inflated;
    // How many compressed bytes are needed can't be foreseen; asking for as many again keeps the work linear.
    let more = (size - compressed.len()).min(compressed.len());
    let unreadable = || wrong(payload, "compressed payload can't be read");
    match parse_bare(unpacked, usize::MAX) {
        Err(Err::Incomplete(_)) if open && !whole => incomplete(more),
        Err(Err::Incomplete(_)) => unreadable(),
        Ok(Envelope { outcome: ReplyBody::Short(_), .. }) if open && !whole && !cut => incomplete(more),
        Ok(mut envelope) => {
            if matches!(envelope.outcome, ReplyBody::Short(_)) {
                envelope.outcome = ReplyBody::Short(usize::MAX);
            }
            Ok(envelope)
        }
        // Its offset counts inflated bytes, which are not in the frame.
        Err(Err::Error(error) | Err::Failure(error)) => wrong(payload, error.what),
    }
}

/// A message of which only the type was captured, so that the header's sequence number stands for its own. Its codec is left open:
/// a request whose answer has another number is not said to be without one.
fn nameless(rpc: Rpc, message_type: MessageType, seq_id: i32, traced: bool) -> Event<'static> {
    let id = CallId::Loose(i64::from(seq_id));
    let head = Head::new(rpc, Transport::THeader, id);
    if message_type.is_answer() {
        let status = ThriftStatus { biz: None, reply: Reply::Missing, http: None, cut: true };
        return Event::Answer(Answer::new(head, Status::Thrift(status)));
    }
    let oneway = message_type == MessageType::Oneway;
    Event::Request(Request { head, oneway, names: Names::default(), timeout: None, traced, headers: None })
}

/// A message behind transforms that are not read (snappy, zstd). Its number is in the header, and who sends it says what it is, but for
/// requests that want no answer.
#[cold]
fn hidden(peers: Peers, input: Input<'_>, head: &THeaderHead, traced: bool) -> Parsed<'static> {
    let bytes = head.total();
    let Some(client) = peers.client.filter(|_| !peers.own_ids) else {
        if input.cut {
            return Parsed::Control { bytes };
        }
        let error = Error::new(head.payload(), Layer::Payload, "payload in a transform that is not read");
        return Parsed::Undecodable { bytes, error, by_all: false };
    };
    if client != input.side {
        return Parsed::Message {
            event: nameless(Rpc::Thrift, MessageType::Reply, head.seq_id, false),
            bytes,
        };
    }
    let mut event = nameless(Rpc::Thrift, MessageType::Call, head.seq_id, traced);
    if let Some(head) = event.head_mut() {
        head.truncated = true;
    }
    Parsed::Message { event, bytes }
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let (rest, head) = in_layer(Layer::Frame, fixed_head)(input.bytes)?;
    let bytes = head.total();
    let Some((header, payload)) = rest.split_at_checked(head.header_size) else {
        return if input.cut {
            Ok(Parsed::Control { bytes })
        } else {
            incomplete(head.header_size - rest.len())
        };
    };
    let mut traced = false;
    let pair = |key: &[u8], _: &[u8], _: Range| traced |= may_be_context(key);
    let transforms = within(header.len(), TOO_LONG, rest, |header| variable_header(header, pair))
        .map_err(|error| placed(error, Layer::Header, input.bytes))?;
    let read = match transforms.as_slice() {
        [] => parse_bare(payload, head.payload_size()),
        [ZLIB] => parse_compressed(payload, head.payload_size(), input.cut, unpacked),
        _ => return Ok(hidden(*peers, input, &head, traced)),
    };
    let envelope = match &read {
        Ok(envelope) => envelope,
        Err(Err::Incomplete(_)) if input.cut && transforms.is_empty() && !peers.own_ids => {
            let Some((encoding, message_type)) = parse_beginning(payload) else {
                return Ok(Parsed::Control { bytes });
            };
            peers.learn(input.side, message_type);
            let event = nameless(encoding.rpc(), message_type, head.seq_id, traced);
            return Ok(Parsed::Message { event, bytes });
        }
        Err(error) => return input.give_up(bytes, placed(error.clone(), Layer::Payload, input.bytes)),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(payload.len()));
    }
    peers.learn(input.side, envelope.message_type);
    peers.client.get_or_insert(input.side.other());
    peers.own_ids |= envelope.seq_id != head.seq_id;
    message(envelope, traced, bytes)
}

// Apart, so that the event is made where it is returned.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it returns what its caller does, which need not be copied then"
)]
#[inline(never)]
fn message<'a>(envelope: &Envelope<'a>, traced: bool, bytes: u64) -> ParseResult<Parsed<'a>> {
    let mut event = envelope.event(Transport::THeader);
    if let Event::Request(request) = &mut event {
        request.traced = traced;
    }
    Ok(Parsed::Message { event, bytes })
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    let (header, head) = match fixed_head(input) {
        Ok(read) => read,
        Err(error) => return error.into(),
    };
    match within(head.header_size, TOO_LONG, header, |header| variable_header(header, |_, _, _| {})) {
        Err(Err::Error(_) | Err::Failure(_)) => Verdict::No,
        // Encoding and number of transforms are there and make sense.
        _ if header.len() >= 2 => Verdict::Yes,
        _ => Verdict::More,
    }
}

/// The bytes of the variable header, as far as they are there.
fn header_bytes<'a>(rest: &'a [u8], head: &THeaderHead) -> &'a [u8] {
    rest.get(..head.header_size).unwrap_or(rest)
}

pub(super) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    if let Ok((rest, head)) = fixed_head(input) {
        let _ = variable_header(header_bytes(rest, &head), |key, value, _| each(key, value));
    }
}

pub(super) fn body(input: &[u8]) -> Option<BodySpan> {
    let (rest, head) = fixed_head(input).ok()?;
    let (header, payload) = rest.split_at_checked(head.header_size)?;
    match variable_header(header, |_, _, _| {}).ok()?.as_slice() {
        [] => Some(parse_bare(payload, head.payload_size()).ok()?.body_span()?.moved(head.payload())),
        [ZLIB] => Some(BodySpan { unpack: Some(unpack), ..BodySpan::from(head.payload()) }),
        _ => None,
    }
}

/// The body of the message in a whole payload that was compressed with zlib.
fn unpack(compressed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (mut inflated, open) = inflate(compressed, limit);
    let span = parse_bare(&inflated, inflated.len()).ok()?.body_span()?;
    (!open && inflated.len() < limit).then(|| inflated.split_off(span.start.min(inflated.len())))
}

pub(super) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    hex(&mut fields, message, "magic", base + 4, 2);
    hex(&mut fields, message, "flags", base + 6, 2);
    number(&mut fields, message, "seq_id", base + 8, 4);
    number(&mut fields, message, "header size", base + 12, 2);
    let Ok((rest, head)) = fixed_head(message.get(base..).unwrap_or_default()) else { return fields };
    let start = base + HEAD_SIZE;
    let header = header_bytes(rest, &head);
    let mut pairs = Vec::new();
    let transforms = variable_header(header, |key, value, range| {
        pairs.push(field(shown(key), shown(value), (start + range.0, start + range.1)));
    });
    fields.extend(group("header", (start, start + header.len()), pairs));
    let payload = base + head.payload();
    match transforms.as_deref() {
        Ok([]) => fields.extend(dissect_message(message, payload)),
        Ok([ZLIB]) if payload < message.len() => {
            let range = (payload, message.len());
            let (inflated, _) = inflate(message.get(payload..).unwrap_or_default(), INFLATE_LIMIT);
            let children = moved(dissect_message(&inflated, 0), range);
            fields.extend(group("payload, compressed with zlib", range, children));
        }
        Ok(ids) if payload < message.len() => {
            let ids = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            fields.push(field("payload", format!("transformed by {ids}"), (payload, message.len())));
        }
        _ => {}
    }
    fields
}
