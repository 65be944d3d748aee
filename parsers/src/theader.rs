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

use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};
use crate::message::Message;
use crate::protocol::{Field, Parsed};
use crate::thrift::dissect::{dissect_message, field, group, hex, moved, number, shown};
use crate::thrift::forms::{Bytes, Sight, refusal};
use crate::thrift::payload::parse_bare;
use crate::thrift::{Envelope, Outcome};
use crate::ttheader::header::LENGTH_LIMIT;

const MAGIC: u16 = 0x0fff;

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

struct Head {
    length: u32,
    payload: usize,
}

impl Head {
    fn parse(input: &[u8]) -> Result<Self, Trouble> {
        let mut cursor = Cursor::new(input, Layer::Frame);
        let length = cursor.u32()?;
        if !(HEAD_SIZE as u32..=LENGTH_LIMIT).contains(&length) {
            return Err(cursor.wrong("length over the limit"));
        }
        if cursor.u16()? != MAGIC {
            return Err(cursor.wrong("not the magic number of THeader"));
        }
        cursor.u16()?;
        cursor.i32()?;
        let payload = HEAD_SIZE + 4 * usize::from(cursor.u16()?);
        if payload == HEAD_SIZE || payload > length as usize {
            return Err(cursor.wrong("header size does not fit into the frame"));
        }
        Ok(Self { length, payload })
    }

    fn total(&self) -> u64 {
        u64::from(self.length) + 4
    }

    fn payload_size(&self) -> usize {
        self.length as usize + 4 - self.payload
    }
}

/// What the variable header says: the transforms, in the order in which they were applied.
fn parse_header(
    header: &[u8],
    mut each: impl FnMut(&[u8], &[u8], (usize, usize)),
) -> Result<Vec<u64>, Trouble> {
    let mut cursor = Cursor::new(header, Layer::Header);
    if cursor.varint()? > ENCODING_LIMIT {
        return Err(cursor.wrong("unknown encoding"));
    }
    let count = cursor.varint()?;
    if count > TRANSFORM_LIMIT {
        return Err(cursor.wrong("too many transforms"));
    }
    let transforms = (0..count).map(|_| cursor.varint()).collect::<Result<Vec<_>, _>>()?;
    while !cursor.rest().is_empty() {
        match cursor.varint()? {
            1 | 2 => {
                for _ in 0..cursor.varint()? {
                    let start = cursor.offset();
                    let key = cursor.bytes_varint(usize::MAX)?;
                    let value = cursor.bytes_varint(usize::MAX)?;
                    each(key, value, (start, cursor.offset()));
                }
            }
            // 0 is padding. Blocks say no length, so nothing can be known behind one of another kind.
            _ => break,
        }
    }
    Ok(transforms)
}

/// The beginning of a payload that was compressed with zlib, and whether there may be more of it.
fn inflate(compressed: &[u8]) -> (Vec<u8>, bool) {
    let mut inflated =
        Vec::with_capacity(INFLATE_LIMIT.min(compressed.len().saturating_mul(4).max(INFLATE_LEAST)));
    let mut stream = Decompress::new(true);
    loop {
        let before = (stream.total_in(), stream.total_out());
        let rest = compressed.get(before.0 as usize..).unwrap_or_default();
        let ended = match stream.decompress_vec(rest, &mut inflated, FlushDecompress::Sync) {
            Ok(flate2::Status::StreamEnd) | Err(_) => return (inflated, false),
            Ok(_) => before == (stream.total_in(), stream.total_out()),
        };
        if inflated.len() >= INFLATE_LIMIT {
            return (inflated, false);
        }
        if inflated.len() == inflated.capacity() {
            inflated.reserve((INFLATE_LIMIT - inflated.len()).min(inflated.len().max(INFLATE_LEAST)));
        } else if ended {
            return (inflated, true);
        }
    }
}

/// Reads the message in a compressed payload of `size` bytes.
fn parse_compressed(payload: &[u8], size: usize, cut: bool) -> Result<Envelope<'static>, Trouble> {
    let payload = payload.get(..size).unwrap_or(payload);
    let whole = payload.len() == size;
    let least = size.min(INFLATE_LEAST);
    if payload.len() < least && !cut {
        return Err(Trouble::Short(least));
    }
    let (inflated, open) = inflate(payload);
    // How much of the compressed bytes is needed can't be foreseen; asking for twice as much keeps the work linear.
    let short = Trouble::Short(size.min(payload.len().saturating_mul(2)).max(payload.len() + 1));
    match parse_bare(&inflated, usize::MAX) {
        Err(Trouble::Short(_)) if open && !whole => Err(short),
        Err(Trouble::Short(_)) => Err(Trouble::Wrong(Error {
            offset: 0,
            layer: Layer::Payload,
            what: "compressed payload can't be read",
        })),
        Ok(Envelope { outcome: Outcome::Short(_), .. }) if open && !whole && !cut => Err(short),
        Ok(mut envelope) => {
            if matches!(envelope.outcome, Outcome::Short(_)) {
                envelope.outcome = Outcome::Short(usize::MAX);
            }
            Ok(envelope.into_owned())
        }
        Err(trouble) => Err(trouble),
    }
}

pub(crate) fn parse(bytes: Bytes<'_>) -> Parsed<'_> {
    let head = match Head::parse(bytes.input) {
        Ok(head) => head,
        Err(trouble) => return refusal(trouble, false, u64::MAX),
    };
    let Some(header) = bytes.input.get(HEAD_SIZE..head.payload) else {
        return refusal(Trouble::Short(head.payload), bytes.cut, head.total());
    };
    let transforms = match parse_header(header, |_, _, _| {}) {
        Ok(transforms) => transforms,
        Err(Trouble::Short(_)) => {
            let what = "pairs longer than the header";
            return Parsed::Invalid(Error { offset: HEAD_SIZE, layer: Layer::Header, what });
        }
        Err(trouble) => return refusal(trouble.shifted(HEAD_SIZE), bytes.cut, head.total()),
    };
    let payload = bytes.after(head.payload).input;
    let envelope = match transforms.as_slice() {
        [] => parse_bare(payload, head.payload_size()),
        [ZLIB] => parse_compressed(payload, head.payload_size(), bytes.cut),
        // Other transforms hide the message; the frame is passed over.
        _ => return Parsed::Control { bytes: head.total() },
    };
    let envelope = match envelope {
        Ok(envelope) => envelope,
        Err(trouble) => return refusal(trouble.shifted(head.payload), bytes.cut, head.total()),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !bytes.cut) {
        return Parsed::Incomplete(needed + head.payload);
    }
    let mut message = Message { transport: "theader", ..Message::default() };
    envelope.copy_into(&mut message);
    Parsed::Message { message, bytes: head.total() }
}

pub(crate) fn sight(input: &[u8]) -> Sight {
    let head = match Head::parse(input) {
        Ok(head) => head,
        Err(trouble) => return trouble.into(),
    };
    let header = input.get(HEAD_SIZE..).unwrap_or_default();
    match parse_header(header.get(..head.payload - HEAD_SIZE).unwrap_or(header), |_, _, _| {}) {
        Err(Trouble::Wrong(_)) => Sight::No,
        Err(Trouble::Short(_)) if input.len() >= head.payload => Sight::No,
        // Encoding and number of transforms are there and make sense.
        _ if header.len() >= 2 => Sight::Yes,
        _ => Sight::More,
    }
}

pub(crate) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    if let Ok(head) = Head::parse(input) {
        let header = input.get(HEAD_SIZE..).unwrap_or_default();
        let header = header.get(..head.payload - HEAD_SIZE).unwrap_or(header);
        let _ = parse_header(header, |key, value, _| each(key, value));
    }
}

pub(crate) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fixed = Vec::new();
    number(&mut fixed, message, "length", base, 4);
    hex(&mut fixed, message, "magic", base + 4, 2);
    hex(&mut fixed, message, "flags", base + 6, 2);
    number(&mut fixed, message, "seq_id", base + 8, 4);
    number(&mut fixed, message, "header size", base + 12, 2);
    let Ok(head) = Head::parse(message.get(base..).unwrap_or_default()) else { return fixed };
    let start = base + HEAD_SIZE;
    let end = (base + head.payload).min(message.len());
    let mut pairs = Vec::new();
    let transforms = parse_header(message.get(start..end).unwrap_or_default(), |key, value, range| {
        pairs.push(field(shown(key), shown(value), (start + range.0, start + range.1)));
    });
    let mut fields = fixed;
    fields.extend(group("header", (start, end), pairs));
    let payload = base + head.payload;
    match transforms.as_deref() {
        Ok([]) => fields.extend(dissect_message(message, payload)),
        Ok([ZLIB]) if payload < message.len() => {
            let range = (payload, message.len());
            let (inflated, _) = inflate(message.get(payload..).unwrap_or_default());
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
