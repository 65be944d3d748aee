//! Finds the end of a struct that has no length, byte by byte and in bounded memory.

mod mask;

pub use mask::{Note, StructMask, Veil};

use nom::{Err, Parser as _};
use smallvec::SmallVec;

use super::DEPTH_LIMIT;
use super::field::{Encoded, FieldHead, Type, binary_field, compact_field, list_head, map_head};
use crate::error::{Error, Layer, Parse, incomplete, wrong};
use crate::number::be_u32;
use crate::varint::varint;

/// The longest head of a field with that of its value: two varints of ten bytes and two bytes of types.
const HEAD_LIMIT: usize = 22;

/// The most bytes that one string may have, and the most elements of a container: lengths are signed 32-bit numbers.
pub(super) const VALUE_LIMIT: u64 = 1 << 31;

/// The size of a value, if every value of its type has the same.
fn fixed_size(kind: Encoded, value_type: Type) -> Option<u64> {
    let binary = matches!(kind, Encoded::Binary(_));
    Some(match value_type {
        Type::Bool if matches!(kind, Encoded::CompactField(_)) => 0,
        Type::Bool | Type::I8 => 1,
        Type::I16 if binary => 2,
        Type::I32 if binary => 4,
        Type::I64 if binary => 8,
        Type::Double => 8,
        Type::Uuid => 16,
        _ => return None,
    })
}

/// A struct or container whose end has not been reached.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// Fields follow, up to the stop byte.
    Struct,
    /// `left` elements follow, of type `next` and `after` in turn (the same but for maps).
    Elements { left: u64, next: Encoded, after: Encoded },
}

/// What follows the head of a value.
enum Remainder {
    /// This many bytes.
    Bytes(u64),
    /// Values of their own.
    Level(Level),
}

/// How many bytes those fields of the binary protocol take with which `input` begins, up to the first one that holds values of its own or is
/// not whole.
fn plain_fields(input: &[u8]) -> usize {
    let mut rest = input;
    while let [kind, _, _, value @ ..] = rest {
        let kind = Encoded::Binary(*kind);
        let Some(value_type) = kind.value_type() else { break };
        let size = match (fixed_size(kind, value_type), value.first_chunk()) {
            (Some(size), _) => size,
            (None, Some(length)) if value_type == Type::String => 4 + u64::from(u32::from_be_bytes(*length)),
            _ => break,
        };
        let Some(after) = value.get(size as usize..).filter(|_| size < VALUE_LIMIT) else { break };
        rest = after;
    }
    input.len() - rest.len()
}

/// Reads the head of a value; a value without a length is read whole.
fn value_head(kind: Encoded) -> impl FnMut(&[u8]) -> Parse<'_, Remainder> {
    move |input| {
        let Some(value_type) = kind.value_type() else { return wrong(input, "unknown type") };
        if let Some(size) = fixed_size(kind, value_type) {
            return Ok((input, Remainder::Bytes(size)));
        }
        match (value_type, kind) {
            (Type::String, _) => {
                let (rest, length) = match kind {
                    Encoded::Binary(_) => be_u32(input).map(|(rest, length)| (rest, u64::from(length))),
                    Encoded::CompactField(_) | Encoded::CompactElement(_) => varint(input),
                }?;
                sized(length, input, rest)
            }
            (Type::Struct, _) => Ok((input, Remainder::Level(Level::Struct))),
            (Type::List | Type::Set, _) => {
                let (rest, (element, count)) = list_head(kind)(input)?;
                elements(count, element, element, rest)
            }
            (Type::Map, _) => {
                let (rest, (key, value, count)) = map_head(kind)(input)?;
                elements(count.saturating_mul(2), key, value, rest)
            }
            // A number of the compact protocol.
            _ => varint.map(|_| Remainder::Bytes(0)).parse(input),
        }
    }
}

/// What follows the head of a container: elements of known size are skipped together.
fn elements(count: u64, next: Encoded, after: Encoded, rest: &[u8]) -> Parse<'_, Remainder> {
    // Some writers leave the element type of an empty container out.
    if count == 0 {
        return Ok((rest, Remainder::Bytes(0)));
    }
    let (Some(one), Some(two)) = (next.value_type(), after.value_type()) else {
        return wrong(rest, "unknown type");
    };
    if count >= 2 * VALUE_LIMIT {
        return wrong(rest, "length over the limit");
    }
    match (fixed_size(next, one), fixed_size(after, two)) {
        (Some(one), Some(two)) => {
            let bytes = count / 2 * (one + two) + count % 2 * one;
            sized(bytes, rest, rest)
        }
        _ => Ok((rest, Remainder::Level(Level::Elements { left: count, next, after }))),
    }
}

/// What follows the head of a value of so many bytes: `rest`. At `head`, the number stands.
fn sized<'a>(bytes: u64, head: &[u8], rest: &'a [u8]) -> Parse<'a, Remainder> {
    if bytes < VALUE_LIMIT {
        Ok((rest, Remainder::Bytes(bytes)))
    } else {
        wrong(head, "length over the limit")
    }
}

/// How a struct is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructFormat {
    /// As in the binary protocol.
    Binary,
    /// As in the compact protocol.
    Compact,
    /// As in the JSON protocol; the end of the array that is the message belongs to it.
    Json,
}

/// Skips JSON up to the end of the array in which it begins. Counts brackets, since strings are all that can hold others.
#[derive(Clone, Copy, Debug)]
struct JsonSkip {
    /// Arrays and objects that are open.
    depth: usize,
    in_string: bool,
    /// The next byte of the string stands for itself.
    escaped: bool,
}

impl JsonSkip {
    const START: Self = Self { depth: 1, in_string: false, escaped: false };

    fn advance(&mut self, piece: &[u8]) -> Result<Skipped, &'static str> {
        for (at, byte) in piece.iter().enumerate() {
            if self.in_string {
                self.in_string = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'[' | b'{' if self.depth < DEPTH_LIMIT => self.depth += 1,
                b'[' | b'{' => return Err("nested too deeply"),
                b']' | b'}' => self.depth -= 1,
                b',' | b':' | b'-' | b'+' | b'.' | b' ' | b'\t' | b'\r' | b'\n' => {}
                byte if byte.is_ascii_alphanumeric() => {}
                _ => return Err("unexpected character in JSON"),
            }
            if self.depth == 0 {
                return Ok(Skipped::Done(at + 1));
            }
        }
        Ok(Skipped::More)
    }
}

/// Skips a struct or a value piece by piece: the pieces may end after any byte.
#[derive(Clone, Debug)]
pub struct StructSkip {
    /// How structs are written.
    format: StructFormat,
    json: JsonSkip,
    /// The innermost struct or container, and those around it. `None`: the value has ended.
    top: Option<Level>,
    around: SmallVec<[Level; 7]>,
    /// Bytes of the current string or numbers still to skip.
    bytes: u64,
    /// Bytes of a head that is not whole.
    head: SmallVec<[u8; HEAD_LIMIT]>,
    skipped: u64,
}

/// How far a piece went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The value ended after this many bytes of the piece.
    Done(usize),
    /// The whole piece belongs to the value, which goes on.
    More,
}

impl StructSkip {
    /// Skips a struct.
    #[must_use]
    pub fn new(format: StructFormat) -> Self {
        Self::from_level(format, Level::Struct)
    }

    /// Skips a value of any type.
    #[must_use]
    pub fn value(kind: Encoded) -> Self {
        let format = match kind {
            Encoded::Binary(_) => StructFormat::Binary,
            Encoded::CompactField(_) | Encoded::CompactElement(_) => StructFormat::Compact,
        };
        Self::from_level(format, Level::Elements { left: 1, next: kind, after: kind })
    }

    fn from_level(format: StructFormat, level: Level) -> Self {
        Self {
            format,
            json: JsonSkip::START,
            top: Some(level),
            around: SmallVec::new(),
            bytes: 0,
            head: SmallVec::new(),
            skipped: 0,
        }
    }

    /// Skips `missing` bytes that were lost. Returns whether they all belong to a string or numbers; if not, the end of
    /// the struct can't be found any more.
    #[must_use]
    pub fn lose(&mut self, missing: u64) -> bool {
        let known = missing <= self.bytes && self.head.is_empty();
        if known {
            self.bytes -= missing;
            self.skipped += missing;
        }
        known
    }

    /// The least number of bytes still to come.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.bytes.max(1)
    }

    /// Takes the next piece. An error is final.
    pub fn advance(&mut self, piece: &[u8]) -> Result<Skipped, Error> {
        if self.format == StructFormat::Json {
            return self.json.advance(piece).map_err(|what| Error::new(0, Layer::Payload, what));
        }
        let mut at = 0;
        loop {
            let passed = self.bytes.min((piece.len() - at) as u64);
            self.bytes -= passed;
            self.skipped += passed;
            at += passed as usize;
            self.leave_containers();
            if self.bytes == 0 && self.top.is_none() {
                return Ok(Skipped::Done(at));
            }
            let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) else {
                return Ok(Skipped::More);
            };
            if self.head.is_empty() {
                if let (StructFormat::Binary, Some(Level::Struct)) = (self.format, &self.top) {
                    let plain = plain_fields(rest);
                    if plain > 0 {
                        self.skipped += plain as u64;
                        at += plain;
                        continue;
                    }
                }
                match self.step(rest) {
                    Ok((after, ())) => at = piece.len() - after.len(),
                    Err(Err::Incomplete(_)) if rest.len() < HEAD_LIMIT => {
                        self.head.extend_from_slice(rest);
                        return Ok(Skipped::More);
                    }
                    Err(error) => return Err(self.error(&error)),
                }
                continue;
            }
            self.step_byte(rest)?;
            at += 1;
        }
    }

    /// A head that began in another piece gets one byte after the other.
    #[cold]
    #[inline(never)]
    fn step_byte(&mut self, rest: &[u8]) -> Result<(), Error> {
        let mut head = std::mem::take(&mut self.head);
        head.extend(rest.iter().take(1).copied());
        match self.step(&head) {
            Ok(_) => Ok(()),
            Err(Err::Incomplete(_)) if head.len() < HEAD_LIMIT => {
                self.head = head;
                Ok(())
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Leaves the containers whose elements have all been read.
    fn leave_containers(&mut self) {
        while let Some(Level::Elements { left: 0, .. }) = self.top {
            self.top = self.around.pop();
        }
    }

    fn error(&self, error: &Err<Error>) -> Error {
        let what = match error {
            Err::Error(error) | Err::Failure(error) => error.what,
            Err::Incomplete(_) => "head of a value over the limit",
        };
        Error::new(self.skipped as usize, Layer::Payload, what)
    }

    /// Reads the next head, which is at the beginning of `input`. Changes nothing if it is not whole.
    #[inline]
    fn step<'a>(&mut self, input: &'a [u8]) -> Parse<'a, ()> {
        let (rest, kind) = match &self.top {
            None => return Ok((input, ())),
            Some(Level::Elements { next, .. }) => (input, Some(*next)),
            Some(Level::Struct) => {
                let (rest, head) = match self.format {
                    StructFormat::Binary => binary_field(input),
                    StructFormat::Compact => compact_field(0)(input),
                    StructFormat::Json => Ok((input, None)),
                }?;
                (rest, head.map(|FieldHead { kind, .. }| kind))
            }
        };
        let mut rest = rest;
        if let Some(kind) = kind {
            let (after, remainder) = value_head(kind)(rest)?;
            rest = after;
            if matches!(remainder, Remainder::Level(_)) && self.around.len() + 1 >= DEPTH_LIMIT {
                return wrong(rest, "nested too deeply");
            }
            if let Some(Level::Elements { left, next, after }) = &mut self.top {
                *left -= 1;
                std::mem::swap(next, after);
            }
            match remainder {
                Remainder::Bytes(bytes) => self.bytes = bytes,
                Remainder::Level(level) => self.around.extend(self.top.replace(level)),
            }
        } else {
            self.top = self.around.pop();
        }
        self.skipped += (input.len() - rest.len()) as u64;
        Ok((rest, ()))
    }
}

/// Skips one value.
pub(super) fn value(kind: Encoded) -> impl FnMut(&[u8]) -> Parse<'_, ()> {
    move |input| {
        let mut skip = StructSkip::value(kind);
        match skip.advance(input) {
            Ok(Skipped::Done(len)) => Ok((input.get(len..).unwrap_or_default(), ())),
            Ok(Skipped::More) => incomplete(usize::try_from(skip.due()).unwrap_or(usize::MAX)),
            Err(error) => wrong(input.get(error.offset..).unwrap_or_default(), error.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fields of every type, nested containers, empty ones, a bool list and a map of structs.
    const BINARY: &[u8] = &[
        2, 0, 1, 1, 3, 0, 2, 9, 6, 0, 3, 0, 1, 8, 0, 4, 0, 0, 0, 1, 10, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0,
        6, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 7, 0, 0, 0, 3, b'a', b'b', b'c', 15, 0, 8, 11, 0, 0, 0, 2, 0, 0, 0,
        1, b'x', 0, 0, 0, 0, 13, 0, 9, 8, 12, 0, 0, 0, 1, 0, 0, 0, 7, 2, 0, 1, 0, 0, 14, 0, 10, 0, 0, 0, 0,
        0, 15, 0, 11, 2, 0, 0, 0, 3, 1, 0, 1, 16, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        16, 0,
    ];
    /// true, byte, i16, long-form id 300 with i64, double, string, list of two strings, map i32 to struct, empty map, list
    /// of 16 bools, nested struct.
    const COMPACT: &[u8] = &[
        0x11, 0x13, 9, 0x14, 0x80, 1, 0x06, 0xd8, 0x04, 0x80, 0x80, 1, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0x18, 2,
        b'h', b'i', 0x19, 0x28, 1, b'x', 0, 0x1b, 1, 0x5c, 7, 0x11, 0, 0x1b, 0, 0x19, 0xf1, 16, 1, 2, 1, 2,
        1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 0x1c, 0x15, 4, 0, 0,
    ];

    fn both() -> [(StructSkip, &'static [u8]); 2] {
        [(StructSkip::new(StructFormat::Binary), BINARY), (StructSkip::new(StructFormat::Compact), COMPACT)]
    }

    #[test]
    fn finds_the_end_at_every_split_and_byte_by_byte() {
        for (fresh, bytes) in both() {
            let followed = [bytes, &[0xee; 5]].concat();
            assert_eq!(fresh.clone().advance(&followed), Ok(Skipped::Done(bytes.len())));
            for cut in 1..bytes.len() {
                let mut skip = fresh.clone();
                assert_eq!(skip.advance(&bytes[..cut]), Ok(Skipped::More), "{cut}");
                assert_eq!(skip.advance(&followed[cut..]), Ok(Skipped::Done(bytes.len() - cut)), "{cut}");
            }
            let mut skip = fresh.clone();
            let (last, before) = bytes.split_last().unwrap();
            for byte in before {
                assert_eq!(skip.advance(&[*byte]), Ok(Skipped::More));
            }
            assert_eq!(skip.advance(&[*last]), Ok(Skipped::Done(1)));
        }
    }

    #[test]
    fn hostile_heads_are_errors() {
        let deep = [12, 0, 1].repeat(DEPTH_LIMIT + 1);
        for (name, bytes) in [
            ("depth", deep.as_slice()),
            ("negative string", &[11, 0, 1, 0xff, 0xff, 0xff, 0xff]),
            ("count times size", &[15, 0, 1, 10, 0x7f, 0xff, 0xff, 0xff]),
            ("unknown field type", &[5, 0, 1]),
            ("unknown element type", &[15, 0, 1, 99, 0, 0, 0, 1]),
        ] {
            assert!(StructSkip::new(StructFormat::Binary).advance(bytes).is_err(), "{name}");
        }
        let deep = [0x1c].repeat(DEPTH_LIMIT + 1);
        for (name, bytes) in [
            ("depth", deep.as_slice()),
            ("endless varint", &[0x16, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
            ("long string", &[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            ("unknown field type", &[0x1e]),
        ] {
            assert!(StructSkip::new(StructFormat::Compact).advance(bytes).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_split_anywhere_walk_the_same(bytes in proptest::collection::vec(0_u8..20, 0..300), cut in 0_usize..300) {
            for (fresh, _) in both() {
                let whole = fresh.clone().advance(&bytes);
                let cut = cut.min(bytes.len());
                let mut split = fresh.clone();
                let parts = match split.advance(&bytes[..cut]) {
                    Ok(Skipped::More) => match split.advance(&bytes[cut..]) {
                        Ok(Skipped::Done(n)) => Ok(Skipped::Done(n + cut)),
                        other => other,
                    },
                    other => other,
                };
                prop_assert_eq!(whole.is_err(), parts.is_err());
                if whole.is_ok() {
                    prop_assert_eq!(whole, parts);
                }
            }
        }
    }
}
