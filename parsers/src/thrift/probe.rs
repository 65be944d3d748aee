//! Decides whether bytes begin with a thrift message, for detection and to find the next message after a gap.

use nom::bytes::streaming::tag;
use nom::combinator::peek;
use nom::{Err, Parser as _};

use super::field::{FieldHead, begins_binary_field, binary_field, compact_field};
use super::message::parse_message_in;
use super::skip::{Skipped, StructFormat, StructSkip};
use super::types::{Encoding, OLD_FORM_SIZE};
use super::{binary, compact};
use crate::error::{Error, Parse, ParseResult, incomplete, wrong};
use crate::number::{be_i32, be_u8, be_u32};
use crate::varint::varint;

/// The longest method name that is believed.
const NAME_LIMIT: usize = 512;

/// After this many bytes of a struct that all make sense its end need not be seen.
pub(crate) const SKIPPED_ENOUGH: usize = 256;

/// What a compact message has at least besides its name: protocol id, type, sequence number, length, end of the struct.
const COMPACT_SIZE: usize = 5;

/// Field ids of argument and result structs are small; ids that were left out in the IDL count down from -1.
const FIELD_IDS: std::ops::RangeInclusive<i16> = -100..=4096;

/// How sure it is that bytes begin with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// They do not.
    No,
    /// More bytes are needed.
    More,
    /// They may, but only if the other side's bytes do too.
    Weak,
    /// They do.
    Yes,
}

impl From<Err<Error>> for Verdict {
    fn from(error: Err<Error>) -> Self {
        if error.is_incomplete() { Self::More } else { Self::No }
    }
}

/// Probes the message at the beginning of `input`. `room` is the size of its frame, `None` where it has none.
pub(crate) fn probe_message(input: &[u8], room: Option<usize>) -> Verdict {
    let verdict = match input.first() {
        None => return Verdict::More,
        Some(0x80) => probe_strict(input, room),
        Some(0x90) if room.is_some() => probe_kitex_protobuf(input, room),
        Some(0x82) => probe_compact(input, room),
        Some(b'[') => probe_json(input),
        Some(0) => probe_old(input, room),
        Some(_) => return Verdict::No,
    };
    verdict.unwrap_or_else(Verdict::from)
}

/// A name of `length` bytes, which are checked as far as they are there. A message of `besides` bytes and the name must fit
/// into `room`.
fn plausible_name<'a>(
    length: u64,
    besides: usize,
    room: Option<usize>,
) -> impl FnMut(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(1..=NAME_LIMIT).contains(&length) || room.is_some_and(|room| length + besides > room) {
            return wrong(input, "implausible length of a name");
        }
        let name = input.get(..length).unwrap_or(input);
        // Identifiers, what multiplexing and generated names put between them, and nothing else.
        let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:-/$<>".contains(byte);
        if !name.iter().all(plausible) {
            return wrong(input, "implausible name");
        }
        match input.split_at_checked(length) {
            Some((name, rest)) => Ok((rest, name)),
            None => incomplete(length - input.len()),
        }
    }
}

/// The head of the strict form and of Kitex Protobuf, which differ in their version.
fn strict_head<'a>(version: [u8; 3], room: Option<usize>) -> impl FnMut(&'a [u8]) -> Parse<'a, i32> {
    move |input| {
        let (input, (_, _, length)) = (tag(&version[..]), binary::message_type, be_u32).parse(input)?;
        let (input, _) = plausible_name(u64::from(length), OLD_FORM_SIZE, room)(input)?;
        be_i32(input)
    }
}

fn probe_strict(input: &[u8], room: Option<usize>) -> ParseResult<Verdict> {
    let (_, (_, kind)) = (strict_head([0x80, 0x01, 0x00], room), be_u8).parse(input)?;
    Ok(if begins_binary_field(kind) { Verdict::Yes } else { Verdict::No })
}

fn probe_kitex_protobuf(input: &[u8], room: Option<usize>) -> ParseResult<Verdict> {
    strict_head([0x90, 0x01, 0x00], room)(input)?;
    Ok(Verdict::Yes)
}

fn probe_json(input: &[u8]) -> ParseResult<Verdict> {
    tag(&b"[1,\""[..])(input)?;
    let envelope = parse_message_in(Encoding::Json, input)?;
    Ok(match input.get(envelope.body) {
        None => Verdict::More,
        Some(b'{') => Verdict::Yes,
        Some(_) => Verdict::No,
    })
}

/// The compact form is known by two bytes only, so its struct must make sense too.
fn probe_compact(input: &[u8], room: Option<usize>) -> ParseResult<Verdict> {
    let (body, _) = (compact::protocol_id, compact::message_type, varint).parse(input)?;
    let (body, length) = varint(body)?;
    let (body, _) = plausible_name(length, COMPACT_SIZE, room)(body)?;
    let (_, field) = peek(compact_field(0)).parse(body)?;
    if !plausible_id(field) {
        return Ok(Verdict::No);
    }
    let left = room.map(|room| room.saturating_sub(input.len() - body.len()));
    Ok(match probe_struct(StructSkip::new(StructFormat::Compact), body, left) {
        // A frame's length that fits the name is enough before the struct is whole.
        Verdict::More if room.is_some() => Verdict::Yes,
        verdict => verdict,
    })
}

/// The old form has no magic number at all: everything must make sense up to the end.
fn probe_old(input: &[u8], room: Option<usize>) -> ParseResult<Verdict> {
    let (body, length) = be_u32(input)?;
    let (body, _) = plausible_name(u64::from(length), OLD_FORM_SIZE, room)(body)?;
    let (body, _) = (binary::message_type, be_i32).parse(body)?;
    let (_, field) = peek(binary_field).parse(body)?;
    if !plausible_id(field) {
        return Ok(Verdict::No);
    }
    let left = room.map(|room| room.saturating_sub(input.len() - body.len()));
    let verdict = probe_struct(StructSkip::new(StructFormat::Binary), body, left);
    // A name and a few zeros are nothing special, unless a frame's length agrees with them.
    let plain = field.is_none() && room.is_none();
    Ok(if plain { verdict.min(Verdict::Weak) } else { verdict })
}

/// Whether an argument or result struct can begin with this field.
fn plausible_id(field: Option<FieldHead>) -> bool {
    field.is_none_or(|field| FIELD_IDS.contains(&field.id))
}

/// Skips the struct at the beginning of `body`, which must end after `left` bytes, where its frame ends.
fn probe_struct(mut skip: StructSkip, body: &[u8], left: Option<usize>) -> Verdict {
    let body = body.get(..left.unwrap_or(usize::MAX)).unwrap_or(body);
    match skip.advance(body) {
        Err(_) => Verdict::No,
        Ok(Skipped::Done(end)) => match left {
            Some(left) if left != end => Verdict::No,
            _ => Verdict::Yes,
        },
        Ok(Skipped::More) => match left {
            Some(left) if left == body.len() || skip.due() > (left - body.len()) as u64 => Verdict::No,
            _ if body.len() >= SKIPPED_ENOUGH => Verdict::Yes,
            _ => Verdict::More,
        },
    }
}
