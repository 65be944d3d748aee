//! Variable-length numbers, as protobuf, thrift's compact protocol and THeader write them.

use nom::Parser as _;
use nom::combinator::verify;
use nom::error::context;

use crate::error::{Parse, incomplete, wrong};
use crate::number::take;

/// The longest varint: ten groups of seven bits.
const VARINT_LIMIT: usize = 10;

/// A number in groups of seven bits, the lowest first (LEB128). By hand: a protobuf field, which has two of them, costs 73
/// instructions; with nom's `take_while_m_n` it costs 179.
pub(crate) fn varint(input: &[u8]) -> Parse<'_, u64> {
    // Nearly all are of one byte.
    if let Some((byte, rest)) = input.split_first()
        && byte & 0x80 == 0
    {
        return Ok((rest, u64::from(*byte)));
    }
    let mut value = 0;
    for (index, byte) in input.iter().take(VARINT_LIMIT).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((input.get(index + 1..).unwrap_or_default(), value));
        }
    }
    if input.len() < VARINT_LIMIT { incomplete(1) } else { wrong(input, "varint longer than ten bytes") }
}

/// The signed number that a zigzag varint holds.
pub(crate) fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A number that is written as a zigzag varint.
pub(crate) fn zigzag_varint(input: &[u8]) -> Parse<'_, i64> {
    varint.map(zigzag).parse(input)
}

/// Bytes after their length, which is a varint of at most `limit`.
pub(crate) fn varint_bytes<'a>(limit: usize) -> impl FnMut(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| {
        let plausible = verify(varint, |length| *length <= limit as u64);
        let (rest, length) = context("length over the limit", plausible).parse(input)?;
        take(length as usize)(rest)
    }
}

#[cfg(test)]
mod tests {
    use nom::{Err, Needed};

    use super::*;

    #[test]
    fn varints_are_bounded() {
        let read = |bytes| varint(bytes).map(|(_, value)| value);
        assert_eq!(read(&[0xac, 0x02]), Ok(300));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(0xffff_ffff));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok(u64::MAX));
        assert_eq!(read(&[0x80, 0x80]), Err(Err::Incomplete(Needed::new(1))));
        assert!(matches!(read(&[0x80; 11]), Err(Err::Error(_))));
        assert_eq!((zigzag(0), zigzag(1), zigzag(2), zigzag(599)), (0, -1, 1, -300));
    }

    #[test]
    fn bytes_follow_their_length() {
        assert_eq!(varint_bytes(3)(b"\x03abcd"), Ok((&b"d"[..], &b"abc"[..])));
        assert_eq!(varint_bytes(3)(b"\x03a"), Err(Err::Incomplete(Needed::new(2))));
        assert!(matches!(varint_bytes(2)(b"\x03abc"), Err(Err::Error(_))));
    }
}
