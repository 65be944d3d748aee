//! How HPACK writes header fields: integers, strings and the five representations. Nothing here needs a table.

use super::huffman;

/// Largest integer taken: far above any index, length or table size that is of use, and safe from overflow.
const INTEGER_LIMIT: u32 = 1 << 28;

/// What is wrong with a header block.
pub(in super::super) type Fault = &'static str;

/// A string as it stands in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Coded<'a> {
    /// The octets are Huffman-coded.
    pub(in super::super) huffman: bool,
    /// The octets on the wire.
    pub(in super::super) octets: &'a [u8],
}

impl Coded<'_> {
    /// Appends the plain octets to `out`.
    pub(in super::super) fn decode(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.huffman {
            return huffman::decode(self.octets, out).map_err(|()| "broken Huffman code");
        }
        out.extend_from_slice(self.octets);
        Ok(())
    }
}

/// The name of a literal field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum LiteralName<'a> {
    /// The name of the table entry with that index (never 0).
    Index(u32),
    /// Written out.
    Text(Coded<'a>),
}

/// RFC 7541, section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Representation<'a> {
    /// Section 6.1: a whole table entry (never 0).
    Indexed(u32),
    /// Section 6.2: a value written out.
    Literal {
        /// Section 6.2.1: it enters the dynamic table.
        insert: bool,
        /// Section 6.2.3: intermediaries must not index it either.
        never: bool,
        name: LiteralName<'a>,
        value: Coded<'a>,
    },
    /// Section 6.3: a new maximum size of the dynamic table.
    Resize(u32),
}

/// Reads an integer whose first octet has `prefix` bits for it (RFC 7541, section 5.1).
fn parse_integer(input: &mut &[u8], prefix: u32) -> Result<u32, Fault> {
    let (first, mut rest) = input.split_first().ok_or("header block ends within an integer")?;
    let full = (1_u32 << prefix) - 1;
    let mut value = u32::from(*first) & full;
    if value == full {
        let mut shift = 0;
        loop {
            let (octet, after) = rest.split_first().ok_or("header block ends within an integer")?;
            rest = after;
            // Four continuation octets reach the limit; more can only be zeros or an attack.
            if shift > 21 {
                return Err("integer over the limit");
            }
            value += u32::from(octet & 0x7f) << shift;
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    if value > INTEGER_LIMIT { Err("integer over the limit") } else { Ok(value) }
}

/// Reads a string (RFC 7541, section 5.2).
fn parse_string<'a>(input: &mut &'a [u8]) -> Result<Coded<'a>, Fault> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let length = parse_integer(input, 7)? as usize;
    let (octets, rest) = input.split_at_checked(length).ok_or("string longer than its header block")?;
    *input = rest;
    Ok(Coded { huffman, octets })
}

/// Takes the representation at the beginning of `input`, which must not be empty.
pub(in super::super) fn parse_representation<'a>(input: &mut &'a [u8]) -> Result<Representation<'a>, Fault> {
    let first = input.first().copied().ok_or("empty header block")?;
    if first & 0x80 != 0 {
        let index = parse_integer(input, 7)?;
        return if index == 0 { Err("index 0") } else { Ok(Representation::Indexed(index)) };
    }
    if first & 0xe0 == 0x20 {
        return Ok(Representation::Resize(parse_integer(input, 5)?));
    }
    let insert = first & 0x40 != 0;
    let name = match parse_integer(input, if insert { 6 } else { 4 })? {
        0 => LiteralName::Text(parse_string(input)?),
        index => LiteralName::Index(index),
    };
    let value = parse_string(input)?;
    Ok(Representation::Literal { insert, never: first & 0xf0 == 0x10, name, value })
}

#[cfg(test)]
mod tests {
    use super::{parse_integer, parse_representation};

    #[test]
    fn integers_of_appendix_c_1() {
        let cases: [(&[u8], u32, u32); 3] =
            [(&[0x0a], 5, 10), (&[0x1f, 0x9a, 0x0a], 5, 1337), (&[0x2a], 8, 42)];
        for (wire, prefix, value) in cases {
            let mut rest = wire;
            assert_eq!(parse_integer(&mut rest, prefix), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn integers_are_bounded() {
        let mut endless: &[u8] = &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert_eq!(parse_integer(&mut endless, 5), Err("integer over the limit"));
        let mut large: &[u8] = &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(parse_integer(&mut large, 5), Err("integer over the limit"));
        let mut cut: &[u8] = &[0x1f, 0x80];
        assert!(parse_integer(&mut cut, 5).is_err());
    }

    #[test]
    fn index_zero_is_refused() {
        assert_eq!(parse_representation(&mut [0x80].as_slice()), Err("index 0"));
    }
}
