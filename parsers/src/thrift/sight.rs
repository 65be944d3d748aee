//! Judging whether bytes begin with a thrift message, for detection and for finding the place again after a gap.

use super::forms::{OLD_FORM_SIZE, Sight};
use super::message::{Encoding, MessageType, parse_message_in};
use super::walk::{Walked, Walker};
use super::{binary, compact};
use crate::cursor::{Cursor, Trouble};
use crate::error::Layer;

/// The longest method name that is believed.
const NAME_LIMIT: usize = 512;

/// After so many bytes of a struct that all make sense an end need not be seen.
const WALKED_ENOUGH: usize = 256;

/// Field ids of argument and result structs are small; ids that were left out in the IDL count down from -1.
const FIELD_IDS: std::ops::RangeInclusive<i16> = -100..=4096;

/// Judges the message at the beginning of `input`. `room` is the size of its frame, `None` where it has none.
pub(crate) fn sight_message(input: &[u8], room: Option<usize>) -> Sight {
    let judged = match input.first() {
        None => return Sight::More,
        Some(0x80) => sight_strict(input, room, 0x80),
        Some(0x90) if room.is_some() => sight_strict(input, room, 0x90),
        Some(0x82) => sight_compact(input, room),
        Some(b'[') if room.is_some() => sight_json(input),
        Some(0) => sight_old(input, room),
        Some(_) => return Sight::No,
    };
    judged.unwrap_or_else(Sight::from)
}

/// Reads a name of `len` bytes, as far as it is there.
fn name<'a>(cursor: &mut Cursor<'a>, len: usize, room: Option<usize>) -> Result<&'a [u8], Trouble> {
    if !(1..=NAME_LIMIT).contains(&len) || room.is_some_and(|room| len + OLD_FORM_SIZE > room) {
        return Err(cursor.wrong("implausible length of a name"));
    }
    let start = cursor.rest();
    let start = start.get(..len).unwrap_or(start);
    // Identifiers, what multiplexing and generated names put between them, and nothing else.
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:-/$<>".contains(byte);
    if !start.iter().all(plausible) {
        return Err(cursor.wrong("implausible name"));
    }
    cursor.take(len)
}

/// Strict binary and Kitex Protobuf: `80 01 00 type` or `90 01 00 type`, a name, a number.
fn sight_strict(input: &[u8], room: Option<usize>, first: u8) -> Result<Sight, Trouble> {
    let mut cursor = Cursor::new(input, Layer::Payload);
    for wanted in [first, 0x01, 0x00] {
        if cursor.u8()? != wanted {
            return Err(cursor.wrong("not a version"));
        }
    }
    if MessageType::from_number(u64::from(cursor.u8()?)).is_none() {
        return Err(cursor.wrong("unknown message type"));
    }
    let len = cursor.u32()? as usize;
    name(&mut cursor, len, room)?;
    cursor.i32()?;
    if first == 0x90 {
        return Ok(Sight::Yes);
    }
    let kind = cursor.u8()?;
    let plausible = kind == binary::STOP || binary::is_field_type(kind);
    Ok(if plausible { Sight::Yes } else { Sight::No })
}

fn sight_json(input: &[u8]) -> Result<Sight, Trouble> {
    if !b"[1,\"".starts_with(input.get(..4).unwrap_or(input)) {
        return Ok(Sight::No);
    }
    parse_message_in(Encoding::Json, input).map(|_| Sight::Yes)
}

/// The compact form has two telling bytes only, so its struct must make sense too.
fn sight_compact(input: &[u8], room: Option<usize>) -> Result<Sight, Trouble> {
    let mut cursor = Cursor::new(input, Layer::Payload);
    cursor.u8()?;
    let byte = cursor.u8()?;
    if byte & 0x1f != 1 || MessageType::from_number(u64::from(byte >> 5)).is_none() {
        return Ok(Sight::No);
    }
    cursor.varint()?;
    let len = cursor.varint()?;
    name(&mut cursor, usize::try_from(len).unwrap_or(usize::MAX), room.map(|room| room + OLD_FORM_SIZE - 5))?;
    if let Some((_, id)) = compact::parse_field(&mut cursor.clone(), 0)?
        && !FIELD_IDS.contains(&id)
    {
        return Ok(Sight::No);
    }
    Ok(match sight_struct(Walker::compact(), &cursor, room) {
        // A frame's length that fits the name tells enough before the struct is whole.
        Sight::More if room.is_some() => Sight::Yes,
        sight => sight,
    })
}

/// The old form has no telling bytes at all: everything must make sense up to the end.
fn sight_old(input: &[u8], room: Option<usize>) -> Result<Sight, Trouble> {
    let mut cursor = Cursor::new(input, Layer::Payload);
    let len = cursor.u32()? as usize;
    name(&mut cursor, len, room)?;
    if MessageType::from_number(u64::from(cursor.u8()?)).is_none() {
        return Ok(Sight::No);
    }
    cursor.i32()?;
    let field = binary::parse_field(&mut cursor.clone())?;
    if field.is_some_and(|(_, id)| !FIELD_IDS.contains(&id)) {
        return Ok(Sight::No);
    }
    let sight = sight_struct(Walker::binary(), &cursor, room);
    // A name and a few zeros are nothing special, unless a frame's length agrees with them.
    let plain = field.is_none() && room.is_none();
    Ok(if plain { sight.min(Sight::Weak) } else { sight })
}

/// Walks over the struct behind the cursor; it must end where the frame ends.
fn sight_struct(mut walker: Walker, cursor: &Cursor<'_>, room: Option<usize>) -> Sight {
    let rest = cursor.rest();
    let left = room.map(|room| room.saturating_sub(cursor.offset()));
    let rest = rest.get(..left.unwrap_or(usize::MAX)).unwrap_or(rest);
    match walker.walk(rest) {
        Err(_) => Sight::No,
        Ok(Walked::Done(end)) => match left {
            Some(left) if left != end => Sight::No,
            _ => Sight::Yes,
        },
        Ok(Walked::More) => match left {
            Some(left) if left == rest.len() || walker.due() > (left - rest.len()) as u64 => Sight::No,
            _ if rest.len() >= WALKED_ENOUGH => Sight::Yes,
            _ => Sight::More,
        },
    }
}
