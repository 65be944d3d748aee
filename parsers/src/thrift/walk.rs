//! Finding the end of a struct that has no length, byte by byte and in bounded memory.

use smallvec::SmallVec;

use super::DEPTH_LIMIT;
use super::{binary, compact};
use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};

/// The longest head of a field with that of its value: two varints of ten bytes and two bytes of types.
const HEAD_LIMIT: usize = 22;

/// The most bytes that one string may have, and the most elements of a container: lengths are signed 32-bit numbers.
pub(super) const VALUE_LIMIT: u64 = 1 << 31;

/// The type of a value as its encoding numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Binary protocol.
    Binary(u8),
    /// Compact protocol, a struct's field: a bool has no bytes, its value is its type.
    CompactField(u8),
    /// Compact protocol, an element of a container: a bool has one byte.
    CompactElement(u8),
}

impl Encoded {
    /// An element of this encoding.
    pub(super) fn element(self, kind: u8) -> Self {
        match self {
            Self::Binary(_) => Self::Binary(kind),
            Self::CompactField(_) | Self::CompactElement(_) => Self::CompactElement(kind),
        }
    }

    /// The type of that number, if there is one.
    pub(super) fn value_type(self) -> Option<Type> {
        Some(match self {
            Self::Binary(2) | Self::CompactField(1 | 2) | Self::CompactElement(1 | 2) => Type::Bool,
            Self::Binary(3) | Self::CompactField(3) | Self::CompactElement(3) => Type::I8,
            Self::Binary(6) | Self::CompactField(4) | Self::CompactElement(4) => Type::I16,
            Self::Binary(8) | Self::CompactField(5) | Self::CompactElement(5) => Type::I32,
            Self::Binary(10) | Self::CompactField(6) | Self::CompactElement(6) => Type::I64,
            Self::Binary(4) | Self::CompactField(7) | Self::CompactElement(7) => Type::Double,
            Self::Binary(11) | Self::CompactField(8) | Self::CompactElement(8) => Type::String,
            Self::Binary(15) | Self::CompactField(9) | Self::CompactElement(9) => Type::List,
            Self::Binary(14) | Self::CompactField(10) | Self::CompactElement(10) => Type::Set,
            Self::Binary(13) | Self::CompactField(11) | Self::CompactElement(11) => Type::Map,
            Self::Binary(12) | Self::CompactField(12) | Self::CompactElement(12) => Type::Struct,
            Self::Binary(16) | Self::CompactField(13) | Self::CompactElement(13) => Type::Uuid,
            _ => return None,
        })
    }

    /// What has to be read of such a value.
    fn shape(self) -> Option<Shape> {
        let binary = matches!(self, Self::Binary(_));
        Some(match self.value_type()? {
            Type::Bool if matches!(self, Self::CompactField(_)) => Shape::Fixed(0),
            Type::Bool | Type::I8 => Shape::Fixed(1),
            Type::I16 if binary => Shape::Fixed(2),
            Type::I32 if binary => Shape::Fixed(4),
            Type::I64 if binary => Shape::Fixed(8),
            Type::I16 | Type::I32 | Type::I64 => Shape::Varint,
            Type::Double => Shape::Fixed(8),
            Type::Uuid => Shape::Fixed(16),
            Type::String => Shape::Bytes,
            Type::List | Type::Set => Shape::List,
            Type::Map => Shape::Map,
            Type::Struct => Shape::Struct,
        })
    }
}

/// A type of values, by its name in an IDL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    String,
    List,
    Set,
    Map,
    Struct,
    Uuid,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Double => "double",
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Map => "map",
            Self::Struct => "struct",
            Self::Uuid => "uuid",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Fixed(u64),
    Varint,
    Bytes,
    List,
    Map,
    Struct,
}

/// What is open at one level of nesting.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// Fields follow, up to the stop byte.
    Struct,
    /// `left` elements follow, of type `next` and `after` in turn (the same but for maps).
    Elements { left: u64, next: Encoded, after: Encoded },
}

/// What the head of a value says of the rest of it.
struct Value {
    skip: u64,
    open: Option<Level>,
}

/// Reads the head of a value; values without a length are read whole.
fn parse_value(cursor: &mut Cursor<'_>, kind: Encoded) -> Result<Value, Trouble> {
    let shape = kind.shape().ok_or_else(|| cursor.wrong("unknown type"))?;
    let binary = matches!(kind, Encoded::Binary(_));
    let skip = match shape {
        Shape::Fixed(size) => size,
        Shape::Varint => cursor.varint().map(|_| 0)?,
        Shape::Bytes => {
            let len = if binary { u64::from(cursor.u32()?) } else { cursor.varint()? };
            bounded(cursor, len)?
        }
        Shape::Struct => return Ok(Value { skip: 0, open: Some(Level::Struct) }),
        Shape::List | Shape::Map => {
            let (next, after, left) = match (binary, shape) {
                (true, Shape::Map) => (cursor.u8()?, cursor.u8()?, u64::from(cursor.u32()?)),
                (true, _) => {
                    let element = cursor.u8()?;
                    (element, element, u64::from(cursor.u32()?))
                }
                (false, Shape::Map) => match cursor.varint()? {
                    0 => (0, 0, 0),
                    count => {
                        let types = cursor.u8()?;
                        (types >> 4, types & 0x0f, count)
                    }
                },
                (false, _) => {
                    let byte = cursor.u8()?;
                    let count = if byte >> 4 == 15 { cursor.varint()? } else { u64::from(byte >> 4) };
                    (byte & 0x0f, byte & 0x0f, count)
                }
            };
            // Some writers give an empty container no element type.
            if left == 0 {
                return Ok(Value { skip: 0, open: None });
            }
            let left = bounded(cursor, left)? * if shape == Shape::Map { 2 } else { 1 };
            let (next, after) = (kind.element(next), kind.element(after));
            match (next.shape(), after.shape()) {
                // Elements of known size are passed over together.
                (Some(Shape::Fixed(one)), Some(Shape::Fixed(two))) => {
                    let pairs = left / 2 * (one + two);
                    bounded(cursor, pairs + left % 2 * one)?
                }
                (Some(_), Some(_)) => {
                    return Ok(Value { skip: 0, open: Some(Level::Elements { left, next, after }) });
                }
                _ => return Err(cursor.wrong("unknown type")),
            }
        }
    };
    Ok(Value { skip, open: None })
}

fn bounded(cursor: &Cursor<'_>, len: u64) -> Result<u64, Trouble> {
    if len < VALUE_LIMIT { Ok(len) } else { Err(cursor.wrong("length over the limit")) }
}

/// A walk over a value, which can be interrupted after any byte.
#[derive(Clone, Debug)]
pub struct Walker {
    /// Whether structs are those of the compact protocol.
    compact: bool,
    levels: SmallVec<[Level; 8]>,
    /// Bytes of the current string or numbers still to pass.
    skip: u64,
    /// Bytes of a head that is not whole.
    head: SmallVec<[u8; HEAD_LIMIT]>,
    walked: u64,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// The value ended after so many bytes of the input.
    Done(usize),
    /// All bytes were taken and the value goes on.
    More,
}

impl Walker {
    /// A walk over a struct of the binary protocol.
    #[must_use]
    pub fn binary() -> Self {
        Self::new(false, Level::Struct)
    }

    /// A walk over a struct of the compact protocol.
    #[must_use]
    pub fn compact() -> Self {
        Self::new(true, Level::Struct)
    }

    /// A walk over a value of any type.
    #[must_use]
    pub fn value(kind: Encoded) -> Self {
        let compact = !matches!(kind, Encoded::Binary(_));
        Self::new(compact, Level::Elements { left: 1, next: kind, after: kind })
    }

    fn new(compact: bool, level: Level) -> Self {
        let levels = SmallVec::from_iter([level]);
        Self { compact, levels, skip: 0, head: SmallVec::new(), walked: 0 }
    }

    /// Passes over `missing` bytes that nobody saw. Says no if more than a string or numbers are missing: then the end
    /// can't be found any more.
    #[must_use]
    pub fn lose(&mut self, missing: u64) -> bool {
        let known = missing <= self.skip && self.head.is_empty();
        if known {
            self.skip -= missing;
            self.walked += missing;
        }
        known
    }

    /// How many bytes are at least still to come.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.skip.max(1)
    }

    /// Takes the next bytes. An error is final.
    pub fn walk(&mut self, input: &[u8]) -> Result<Walked, Error> {
        let mut at = 0;
        loop {
            let passed = self.skip.min((input.len() - at) as u64);
            self.skip -= passed;
            self.walked += passed;
            at += passed as usize;
            while let Some(Level::Elements { left: 0, .. }) = self.levels.last() {
                self.levels.pop();
            }
            if self.skip == 0 && self.levels.is_empty() {
                return Ok(Walked::Done(at));
            }
            let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else { return Ok(Walked::More) };
            if self.head.is_empty() {
                match self.step(rest) {
                    Ok(taken) => at += taken,
                    Err(Trouble::Short(_)) if rest.len() < HEAD_LIMIT => {
                        self.head.extend_from_slice(rest);
                        return Ok(Walked::More);
                    }
                    Err(trouble) => return Err(self.error(trouble)),
                }
                continue;
            }
            // A head that began in another piece gets one byte after the other.
            let mut head = std::mem::take(&mut self.head);
            head.extend(rest.iter().take(1).copied());
            at += 1;
            match self.step(&head) {
                Ok(_) => {}
                Err(Trouble::Short(_)) if head.len() < HEAD_LIMIT => self.head = head,
                Err(trouble) => return Err(self.error(trouble)),
            }
        }
    }

    fn error(&self, trouble: Trouble) -> Error {
        let what = match trouble {
            Trouble::Wrong(error) => error.what,
            Trouble::Short(_) => "head of a value over the limit",
        };
        Error { offset: self.walked as usize, layer: Layer::Payload, what }
    }

    /// Reads the next head, which is at the beginning of `input`, and says how many bytes it has. Changes nothing if it is
    /// not whole.
    fn step(&mut self, input: &[u8]) -> Result<usize, Trouble> {
        let mut cursor = Cursor::new(input, Layer::Payload);
        let kind = match self.levels.last() {
            None => return Ok(0),
            Some(Level::Elements { next, .. }) => Some(*next),
            Some(Level::Struct) if self.compact => {
                compact::parse_field(&mut cursor, 0)?.map(|(kind, _)| Encoded::CompactField(kind))
            }
            Some(Level::Struct) => binary::parse_field(&mut cursor)?.map(|(kind, _)| Encoded::Binary(kind)),
        };
        if let Some(kind) = kind {
            let value = parse_value(&mut cursor, kind)?;
            if value.open.is_some() && self.levels.len() >= DEPTH_LIMIT {
                return Err(cursor.wrong("nested too deeply"));
            }
            if let Some(Level::Elements { left, next, after }) = self.levels.last_mut() {
                *left -= 1;
                std::mem::swap(next, after);
            }
            self.skip = value.skip;
            self.levels.extend(value.open);
        } else {
            self.levels.pop();
        }
        self.walked += cursor.offset() as u64;
        Ok(cursor.offset())
    }
}

/// Skips one value.
pub(super) fn skip_value(cursor: &mut Cursor<'_>, kind: Encoded) -> Result<(), Trouble> {
    let mut walker = Walker::value(kind);
    match walker.walk(cursor.rest()) {
        Ok(Walked::Done(len)) => cursor.take(len).map(|_| ()),
        Ok(Walked::More) => {
            let due = usize::try_from(walker.due()).unwrap_or(usize::MAX);
            Err(Trouble::Short((cursor.offset() + cursor.rest().len()).saturating_add(due)))
        }
        Err(error) => Err(Trouble::Wrong(Error { offset: cursor.offset() + error.offset, ..error })),
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

    fn walkers() -> [(Walker, &'static [u8]); 2] {
        [(Walker::binary(), BINARY), (Walker::compact(), COMPACT)]
    }

    #[test]
    fn finds_the_end_at_every_split_and_byte_by_byte() {
        for (fresh, bytes) in walkers() {
            let followed = [bytes, &[0xee; 5]].concat();
            assert_eq!(fresh.clone().walk(&followed), Ok(Walked::Done(bytes.len())));
            for cut in 1..bytes.len() {
                let mut walker = fresh.clone();
                assert_eq!(walker.walk(&bytes[..cut]), Ok(Walked::More), "{cut}");
                assert_eq!(walker.walk(&followed[cut..]), Ok(Walked::Done(bytes.len() - cut)), "{cut}");
            }
            let mut walker = fresh.clone();
            let (last, before) = bytes.split_last().unwrap();
            for byte in before {
                assert_eq!(walker.walk(&[*byte]), Ok(Walked::More));
            }
            assert_eq!(walker.walk(&[*last]), Ok(Walked::Done(1)));
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
            assert!(Walker::binary().walk(bytes).is_err(), "{name}");
        }
        let deep = [0x1c].repeat(DEPTH_LIMIT + 1);
        for (name, bytes) in [
            ("depth", deep.as_slice()),
            ("endless varint", &[0x16, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
            ("long string", &[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            ("unknown field type", &[0x1e]),
        ] {
            assert!(Walker::compact().walk(bytes).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_split_anywhere_walk_the_same(bytes in proptest::collection::vec(0_u8..20, 0..300), cut in 0_usize..300) {
            for (fresh, _) in walkers() {
                let whole = fresh.clone().walk(&bytes);
                let cut = cut.min(bytes.len());
                let mut split = fresh.clone();
                let parts = match split.walk(&bytes[..cut]) {
                    Ok(Walked::More) => match split.walk(&bytes[cut..]) {
                        Ok(Walked::Done(n)) => Ok(Walked::Done(n + cut)),
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
