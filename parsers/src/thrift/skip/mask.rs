//! Which bytes of a struct are values, and can be replaced while the struct stays one of the same shape and size.

use nom::Err;

use super::{Encoded, HEAD_LIMIT, Level, StructFormat, StructSkip, Type, binary_field, compact_field};

/// How a byte of a value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veil {
    /// By zero.
    Zero,
    /// By all ones, with which no message begins.
    Ones,
    /// By a byte of a varint that is zero: where the varint ends is said by the upper bits, which stay.
    Varint,
    /// By the head of a field of the compact protocol whose value is `false`: the value is a part of its type.
    Flag,
}

impl Veil {
    /// What stands in place of that byte.
    #[must_use]
    pub fn over(self, byte: u8) -> u8 {
        match self {
            Self::Zero => 0,
            Self::Ones => 0xff,
            Self::Varint => byte & 0x80,
            Self::Flag => (byte & 0xf0) | 2,
        }
    }
}

/// Takes the offset of bytes of a value within the struct, their number, and how they are replaced.
pub type Note<'n> = dyn FnMut(u64, u64, Veil) + 'n;

/// Finds the values of a struct piece by piece: the pieces may end after any byte. Types and numbers of fields, lengths of strings and
/// numbers of elements are not among them.
#[derive(Clone, Debug)]
pub struct StructMask {
    skip: StructSkip,
    /// Offset of the next byte within the struct.
    at: u64,
    /// Nothing is known of the bytes that follow: the struct is over, or it is none.
    over: bool,
}

impl StructMask {
    /// At the beginning of a struct of the binary or the compact protocol.
    #[must_use]
    pub fn new(format: StructFormat) -> Self {
        Self { skip: StructSkip::new(format), at: 0, over: format == StructFormat::Json }
    }

    /// The next `missing` bytes are lost. If they are more than the rest of a value, nothing is known of what follows.
    pub fn lose(&mut self, missing: u64) {
        self.at += missing;
        self.over |= !self.skip.lose(missing);
    }

    /// Takes the next piece. Bytes of which nothing is known count as values.
    pub fn advance(&mut self, piece: &[u8], note: &mut Note<'_>) {
        let mut rest = piece;
        while !rest.is_empty() && !self.over {
            rest = self.values(rest, note);
            rest = self.head(rest, note);
        }
        if !rest.is_empty() {
            note(self.at, rest.len() as u64, Veil::Zero);
            self.at += rest.len() as u64;
        }
    }

    /// Passes the bytes of the current value.
    fn values<'p>(&mut self, piece: &'p [u8], note: &mut Note<'_>) -> &'p [u8] {
        let passed = self.skip.bytes.min(piece.len() as u64);
        self.skip.bytes -= passed;
        if passed > 0 {
            note(self.at, passed, Veil::Zero);
            self.at += passed;
        }
        self.skip.leave_containers();
        self.over |= self.skip.bytes == 0 && self.skip.top.is_none();
        piece.get(passed as usize..).unwrap_or_default()
    }

    /// Passes the next head, or what there is of it.
    fn head<'p>(&mut self, piece: &'p [u8], note: &mut Note<'_>) -> &'p [u8] {
        if piece.is_empty() || self.over || self.skip.bytes > 0 {
            return piece;
        }
        let carried = self.skip.head.len();
        let mut head = std::mem::take(&mut self.skip.head);
        head.extend(piece.iter().copied().take(HEAD_LIMIT.saturating_sub(carried)));
        let start = self.at - carried as u64;
        let value = self.value(&head);
        let taken = match self.skip.step(&head) {
            Ok((after, ())) => head.len() - after.len(),
            Err(Err::Incomplete(_)) if head.len() < HEAD_LIMIT => {
                self.at += piece.len() as u64;
                self.skip.head = head;
                return &[];
            }
            Err(_) => {
                self.over = true;
                return piece;
            }
        };
        if let Some((from, veil)) = value {
            let to = if veil == Veil::Flag { from + 1 } else { taken };
            note(start + from as u64, to.saturating_sub(from) as u64, veil);
        }
        let taken = taken.saturating_sub(carried);
        self.at += taken as u64;
        piece.get(taken..).unwrap_or_default()
    }

    /// Where in the head that comes next a value stands that has no bytes behind its head.
    fn value(&self, head: &[u8]) -> Option<(usize, Veil)> {
        let (from, kind) = match self.skip.top.as_ref()? {
            Level::Elements { next, .. } => (0, *next),
            Level::Struct => {
                let (rest, field) = match self.skip.format {
                    StructFormat::Binary => binary_field(head).ok()?,
                    StructFormat::Compact => compact_field(0)(head).ok()?,
                    StructFormat::Json => return None,
                };
                (head.len() - rest.len(), field?.kind)
            }
        };
        match (kind, kind.value_type()?) {
            (Encoded::CompactField(_), Type::Bool) => Some((0, Veil::Flag)),
            (Encoded::Binary(_), _) => None,
            (_, Type::I16 | Type::I32 | Type::I64) => Some((from, Veil::Varint)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thrift::skip::Skipped;

    /// The struct with its values replaced, given in pieces that end after `cuts` bytes.
    fn masked(format: StructFormat, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut mask = StructMask::new(format);
        let mut out = bytes.to_vec();
        let (mut from, mut veils) = (0, Vec::new());
        for to in cuts.iter().copied().chain([bytes.len()]) {
            mask.advance(&bytes[from..to], &mut |at, len, veil| veils.push((at, len, veil)));
            from = to;
        }
        for (at, len, veil) in veils {
            for byte in &mut out[at as usize..(at + len) as usize] {
                *byte = veil.over(*byte);
            }
        }
        out
    }

    #[test]
    fn values_are_replaced_and_their_structure_stays() {
        // A bool, an i32, a string, a list of two i64, a map of string to bool.
        let binary = b"\x02\0\x01\x01\x08\0\x02\0\0\x01\x02\x0b\0\x03\0\0\0\x02hi\x0f\0\x04\x0a\0\0\0\x02\
            \0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x08\x0d\0\x05\x0b\x02\0\0\0\x01\0\0\0\x01k\x01\0";
        let expected = b"\x02\0\x01\0\x08\0\x02\0\0\0\0\x0b\0\x03\0\0\0\x02\0\0\x0f\0\x04\x0a\0\0\0\x02\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0d\0\x05\x0b\x02\0\0\0\x01\0\0\0\x01\0\0\0";
        // A bool, an i32 of two bytes, field 300 with a string, a list of i32, a list of bools, a struct with a bool.
        let compact =
            b"\x11\x15\x84\x02\x08\xd8\x04\x02hi\x19\x25\x80\x01\x03\x19\x21\x01\x02\x1c\x11\0\x17\x01\x02\x03\x04\x05\x06\x07\x08\0";
        let expected_compact =
            b"\x12\x15\x80\0\x08\xd8\x04\x02\0\0\x19\x25\x80\0\0\x19\x21\0\0\x1c\x12\0\x17\0\0\0\0\0\0\0\0\0";
        let cases = [
            (StructFormat::Binary, &binary[..], &expected[..]),
            (StructFormat::Compact, &compact[..], &expected_compact[..]),
        ];
        for (format, bytes, expected) in cases {
            assert_eq!(StructSkip::new(format).advance(bytes), Ok(Skipped::Done(bytes.len())));
            assert_eq!(StructSkip::new(format).advance(expected), Ok(Skipped::Done(bytes.len())));
            for cut in 0..=bytes.len() {
                assert_eq!(masked(format, bytes, &[cut]), expected, "{format:?} cut at {cut}");
            }
            assert_eq!(masked(format, bytes, &(1..bytes.len()).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn what_is_not_known_counts_as_values() {
        assert_eq!(masked(StructFormat::Binary, b"\0secret", &[]), b"\0\0\0\0\0\0\0");
        assert_eq!(masked(StructFormat::Binary, b"\x63secret", &[2]), b"\0\0\0\0\0\0\0");
        let mut mask = StructMask::new(StructFormat::Binary);
        let mut veiled = Vec::new();
        let mut note = |at, len, _| veiled.push((at, len));
        mask.advance(b"\x0b\0\x01\0\0\0\x05ab", &mut note);
        mask.lose(2);
        mask.advance(b"e\x03\0\x02\x09", &mut note);
        mask.lose(2);
        mask.advance(b"abc", &mut note);
        assert_eq!(veiled, [(7, 2), (11, 1), (15, 1), (18, 3)]);
    }
}
