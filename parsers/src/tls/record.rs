//! Records: what everything in TLS travels in.
//!
//! ```text
//! content type 1 │ version 2, 03 01 … 03 04 │ length 2 │ fragment, at most 2^14 + 2048
//! ```
//!
//! RFC 5246, section 6.2.3; RFC 8446, section 5.1. Ciphertext of TLS 1.3 may be at most 2^14 + 256 bytes long.

use nom::Parser as _;
use nom::combinator::{map_opt, verify};
use nom::number::streaming::{be_u8, be_u16};

use crate::error::{Error, Parse};

/// Bytes of a head.
pub const HEAD: usize = 5;
/// The longest fragment, in bytes.
pub const MAX_FRAGMENT: usize = (1 << 14) + 2048;
/// The longest record, in bytes.
pub const MAX_RECORD: usize = HEAD + MAX_FRAGMENT;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `change_cipher_spec`; without meaning in TLS 1.3.
    ChangeCipherSpec,
    /// `alert`.
    Alert,
    /// `handshake`.
    Handshake,
    /// `application_data`, and in TLS 1.3 everything that is protected.
    ApplicationData,
}

impl ContentType {
    /// The type with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::ApplicationData => 23,
        }
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the record says it carries.
    pub content_type: ContentType,
    /// The version that it says: 3.1 to 3.3 whatever was negotiated.
    pub version: [u8; 2],
    /// Bytes of its fragment, at least 1.
    pub len: u16,
}

impl Head {
    /// Reads a head; `Incomplete` if `input` is shorter.
    ///
    /// # Errors
    ///
    /// It is no head of a record.
    pub fn read(input: &[u8]) -> Parse<'_, Self> {
        let (input, content_type) = map_opt(be_u8, ContentType::from_number).parse(input)?;
        let (input, major) = verify(be_u8, |major| *major == 3).parse(input)?;
        let (input, minor) = verify(be_u8, |minor| *minor <= 4).parse(input)?;
        let fits = |len: &u16| (1..=MAX_FRAGMENT).contains(&usize::from(*len));
        let (input, len) = verify(be_u16, fits).parse(input)?;
        Ok((input, Self { content_type, version: [major, minor], len }))
    }

    /// Bytes of the whole record.
    #[must_use]
    pub fn record_len(&self) -> usize {
        HEAD + usize::from(self.len)
    }

    /// The head as it was sent.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEAD] {
        let [high, low] = self.len.to_be_bytes();
        let [major, minor] = self.version;
        [self.content_type.number(), major, minor, high, low]
    }
}

/// A whole record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its head.
    pub head: Head,
    /// What follows the head.
    pub fragment: &'a [u8],
}

impl<'a> Record<'a> {
    /// What it takes to open it, in about the blocks of a cipher.
    #[must_use]
    pub fn cost(&self) -> u64 {
        Self::cost_of(self.fragment.len())
    }

    /// What it takes to open a record of that many bytes, in about the blocks of a cipher.
    #[must_use]
    pub fn cost_of(bytes: usize) -> u64 {
        4 + bytes as u64 / 16
    }

    /// Reads a record and what follows it; `Incomplete` if it is not whole.
    ///
    /// # Errors
    ///
    /// `input` begins with no record.
    pub fn read(input: &'a [u8]) -> Parse<'a, Self> {
        let (rest, head) = Head::read(input)?;
        let (rest, fragment) = nom::bytes::streaming::take(head.len)(rest)?;
        Ok((rest, Self { head, fragment }))
    }
}

impl<'a> Record<'a> {
    /// The record that `input` begins with; `None` if it is not whole.
    ///
    /// # Errors
    ///
    /// `input` begins with no record.
    pub fn first(input: &'a [u8]) -> Result<Option<Self>, Error> {
        match Self::read(input) {
            Ok((_, record)) => Ok(Some(record)),
            Err(nom::Err::Incomplete(_)) => Ok(None),
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
        }
    }
}

/// Whether `bytes` begin, as far as they go, with a record of a handshake: of a `ClientHello` or a `ServerHello`.
#[must_use]
pub fn begins_handshake(bytes: &[u8]) -> bool {
    match bytes {
        [22, 3, 0..=4, high, low, rest @ ..] => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            // A handshake message: type, and a length that its record or more records hold.
            (4..=MAX_FRAGMENT).contains(&len) && matches!(rest, [] | [1 | 2] | [1 | 2, 0, ..])
        }
        _ => false,
    }
}

/// Whether `bytes` begin with the head of a protected record of TLS 1.2 or 1.3.
#[must_use]
pub fn begins_protected(bytes: &[u8]) -> bool {
    matches!(Head::read(bytes), Ok((_, Head { content_type: ContentType::ApplicationData, version: [3, 3], len })) if len > 16)
}

/// The first place of `bytes` at which a record of TLS 1.2 or 1.3 may begin: a protected one, or an alert. `Err`: none, and this many bytes
/// at the end are too few to say.
pub fn find_head(bytes: &[u8]) -> Result<usize, usize> {
    let is_head = |at: usize| match bytes.get(at..) {
        Some([20..=23, 3, 3, high, low, ..]) => {
            (1..=MAX_FRAGMENT).contains(&usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => false,
    };
    let mut from = 0;
    // Nearly every head has the version's bytes in its middle.
    while let Some(found) = memchr::memmem::find(bytes.get(from..).unwrap_or_default(), &[3, 3]) {
        let version = from + found;
        if let Some(at) = version.checked_sub(1).filter(|at| is_head(*at)) {
            return Ok(at);
        }
        from = version + 1;
    }
    Err(bytes.len().min(HEAD - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_foreign_bytes_refused() {
        let (rest, head) = Head::read(b"\x17\x03\x03\x00\x20xyz").unwrap();
        assert_eq!((rest, head.len, head.content_type), (&b"xyz"[..], 32, ContentType::ApplicationData));
        assert_eq!(head.bytes(), *b"\x17\x03\x03\x00\x20");
        assert!(matches!(Head::read(b"\x17\x03"), Err(nom::Err::Incomplete(_))));
        for foreign in
            [&b"\x18\x03\x03\0\x20"[..], b"\x17\x02\x03\0\x20", b"\x17\x03\x03\0\0", b"\x17\x03\x03\x48\x01"]
        {
            assert!(matches!(Head::read(foreign), Err(nom::Err::Error(_))), "{foreign:?}");
        }
    }

    #[test]
    fn a_head_is_found_behind_the_end_of_another_record() {
        assert_eq!(find_head(b"ab\x03\x03\x17\x03\x03\x00\x20"), Ok(4));
        assert_eq!(find_head(b"\x17\x03\x03\x00\x20"), Ok(0));
        assert_eq!(find_head(b"abcdefg\x17\x03\x03\x00"), Err(4));
        assert_eq!(find_head(b""), Err(0));
    }

    #[test]
    fn the_beginning_of_a_handshake_is_recognised_in_every_piece_that_says_enough() {
        let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        assert!((5..hello.len()).all(|len| begins_handshake(&hello[..len])));
        assert!(!begins_handshake(b"\x16\x03\x01\x02\x00\x00"));
        assert!(!begins_handshake(b"\x00\x00\x00\x20\x80\x01"));
    }
}
