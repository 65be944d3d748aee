//! The heads of fields and containers, in the binary and the compact protocol.
//!
//! ```text
//! binary   field:  type (1), id (2)              00 ends the struct
//!          list:   element type (1), count (4)
//!          map:    key type (1), value type (1), count (4)
//! compact  field:  delta << 4 | type             the id is the last one plus delta; 00 ends the struct
//!                  type, id (zigzag varint)      where delta is 0
//!          list:   count << 4 | element type
//!                  f << 4 | element type, count (varint)
//!          map:    count (varint), key type << 4 | value type      nothing but the count where it is 0
//! ```

use nom::Parser as _;
use nom::combinator::verify;
use nom::error::context;

use crate::error::Parse;
use crate::number::{be_i16, be_u8, be_u32};
use crate::varint::{varint, zigzag_varint};

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
    #[inline]
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

/// Type and id of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldHead {
    pub(super) kind: Encoded,
    pub(super) id: i16,
}

/// End of a struct, in both protocols.
const STOP: u8 = 0;

/// Whether a field of the binary protocol can have this type (`thrift-binary-protocol.md`, "Struct").
fn is_binary_type(kind: u8) -> bool {
    matches!(kind, 2..=4 | 6 | 8 | 10..=16)
}

/// Whether a byte of the binary protocol can begin a field or end a struct.
pub(super) fn begins_binary_field(byte: u8) -> bool {
    byte == STOP || is_binary_type(byte)
}

/// Whether a field of the compact protocol can have this type.
fn is_compact_type(kind: u8) -> bool {
    matches!(kind, 1..=13)
}

/// The head of the next field of the binary protocol, `None` at the end of the struct.
pub(super) fn binary_field(input: &[u8]) -> Parse<'_, Option<FieldHead>> {
    let (input, kind) =
        context("unknown field type", verify(be_u8, |kind| begins_binary_field(*kind))).parse(input)?;
    if kind == STOP {
        return Ok((input, None));
    }
    be_i16.map(|id| Some(FieldHead { kind: Encoded::Binary(kind), id })).parse(input)
}

/// The head of the next field of the compact protocol, `None` at the end of the struct. `last` is the id of the field
/// before it.
pub(super) fn compact_field(last: i16) -> impl FnMut(&[u8]) -> Parse<'_, Option<FieldHead>> {
    move |input| {
        let plausible = |byte: &u8| *byte == STOP || is_compact_type(byte & 0x0f);
        let (input, byte) = context("unknown field type", verify(be_u8, plausible)).parse(input)?;
        let head = |id| Some(FieldHead { kind: Encoded::CompactField(byte & 0x0f), id });
        match (byte, i16::from(byte >> 4)) {
            (STOP, _) => Ok((input, None)),
            (_, 0) => zigzag_varint.map(|id| head(id as i16)).parse(input),
            (_, delta) => Ok((input, head(last.wrapping_add(delta)))),
        }
    }
}

/// Element type and number of elements of a list or set of the encoding of `kind`.
pub(super) fn list_head(kind: Encoded) -> impl FnMut(&[u8]) -> Parse<'_, (Encoded, u64)> {
    move |input| {
        let (input, first) = be_u8(input)?;
        let (input, element, count) = match (kind, first >> 4) {
            (Encoded::Binary(_), _) => {
                be_u32.map(u64::from).parse(input).map(|(input, count)| (input, first, count))
            }
            (_, 15) => varint(input).map(|(input, count)| (input, first & 0x0f, count)),
            (_, count) => Ok((input, first & 0x0f, u64::from(count))),
        }?;
        Ok((input, (kind.element(element), count)))
    }
}

/// Types of keys and values and number of entries of a map of the encoding of `kind`.
pub(super) fn map_head(kind: Encoded) -> impl FnMut(&[u8]) -> Parse<'_, (Encoded, Encoded, u64)> {
    move |input| {
        let (input, (key, value, count)) = match kind {
            Encoded::Binary(_) => (be_u8, be_u8, be_u32.map(u64::from)).parse(input),
            _ => match varint(input)? {
                (input, 0) => Ok((input, (0, 0, 0))),
                (input, count) => be_u8.map(|types| (types >> 4, types & 0x0f, count)).parse(input),
            },
        }?;
        Ok((input, (kind.element(key), kind.element(value), count)))
    }
}
