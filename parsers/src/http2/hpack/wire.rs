//! How HPACK writes header fields: integers, strings and the five representations (RFC 7541, sections 5 and 6). Nothing here
//! needs a table.

use nom::bytes::complete::{take, take_while_m_n};
use nom::error::context;
use nom::number::complete::be_u8;
use nom::{Err, Parser as _};

use super::super::known::{Name, Value};
use super::huffman;
use crate::error::{Error, Parse, wrong};

/// Largest integer taken: far above any index, length or table size that is of use, and safe from overflow.
const INTEGER_LIMIT: u32 = 1 << 28;

/// What is wrong with a field, as a short lower-case phrase.
pub(in super::super) type Fault = &'static str;

/// The error of a parser here, none of which waits for more bytes.
pub(in super::super) fn what_is_wrong(error: &Err<Error>) -> Error {
    match error {
        Err::Error(error) | Err::Failure(error) => *error,
        Err::Incomplete(_) => Error::at(&[], "header block ends too early"),
    }
}

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

    /// The name that it is.
    pub(super) fn name(self) -> Name {
        if self.huffman { Name::of_coded(self.octets) } else { Name::of(self.octets) }
    }

    /// The value that it is.
    pub(super) fn value(self) -> Value {
        if self.huffman { Value::of_coded(self.octets) } else { Value::of(self.octets) }
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

/// An integer whose first octet has `PREFIX` bits for it (RFC 7541, section 5.1).
///
/// ```text
///   0   1   2   3   4   5   6   7
/// +---+---+---+---+---+---+---+---+
/// | ?   ?   ? | 1   1   1   1   1 |   the value, or all ones
/// +---+---+---+-------------------+
/// | 1 |    Value-(2^N-1) LSB      |   as long as the first bit is set
/// +---+---------------------------+
///                ...
/// +---+---------------------------+
/// | 0 |    Value-(2^N-1) MSB      |
/// +---+---------------------------+
/// ```
fn parse_integer<const PREFIX: u32>(input: &[u8]) -> Parse<'_, u32> {
    const CUT: &str = "header block ends within an integer";
    let (rest, first) = context(CUT, be_u8).parse(input)?;
    let full = (1_u32 << PREFIX) - 1;
    let value = u32::from(first) & full;
    if value < full {
        return Ok((rest, value));
    }
    // Four octets reach the limit; more can only be zeros or an attack.
    let more = take_while_m_n(0, 3, |octet| octet & 0x80 != 0);
    let (rest, (more, last)) = context(CUT, (more, be_u8)).parse(rest)?;
    let high = more.iter().rev().fold(u32::from(last), |value, octet| value << 7 | u32::from(octet & 0x7f));
    let value = full + high;
    if last & 0x80 != 0 || value > INTEGER_LIMIT {
        return wrong(input, "integer over the limit");
    }
    Ok((rest, value))
}

/// A string (RFC 7541, section 5.2).
///
/// ```text
///   0   1   2   3   4   5   6   7
/// +---+---+---+---+---+---+---+---+
/// | H |    String Length (7+)     |
/// +---+---------------------------+
/// |  String Data (Length octets)  |
/// +-------------------------------+
/// ```
fn parse_string(input: &[u8]) -> Parse<'_, Coded<'_>> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let (rest, length) = parse_integer::<7>(input)?;
    let (rest, octets) = context("string longer than its header block", take(length)).parse(rest)?;
    Ok((rest, Coded { huffman, octets }))
}

/// The representation at the beginning of `input` (RFC 7541, section 6), by the first bits of its first octet.
///
/// ```text
/// 1 | Index (7+)                      indexed field
/// 0   1 | Index (6+)                  literal with incremental indexing
/// 0   0   1 | Max size (5+)           table size update
/// 0   0   0   1 | Index (4+)          literal never indexed
/// 0   0   0   0 | Index (4+)          literal without indexing
/// ```
///
/// A literal goes on with its name, if the index is 0, and its value.
pub(in super::super) fn parse_representation(input: &[u8]) -> Parse<'_, Representation<'_>> {
    let first = input.first().copied().unwrap_or_default();
    let (rest, index) = match first {
        0x80.. => {
            let (rest, index) = parse_integer::<7>(input)?;
            if index == 0 {
                return wrong(input, "index 0");
            }
            return Ok((rest, Representation::Indexed(index)));
        }
        0x40..0x80 => parse_integer::<6>(input)?,
        0x20..0x40 => {
            let (rest, size) = parse_integer::<5>(input)?;
            return Ok((rest, Representation::Resize(size)));
        }
        0x00..0x20 => parse_integer::<4>(input)?,
    };
    let (rest, name) = match index {
        0 => parse_string(rest).map(|(rest, name)| (rest, LiteralName::Text(name)))?,
        index => (rest, LiteralName::Index(index)),
    };
    let (rest, value) = parse_string(rest)?;
    let (insert, never) = (first & 0x40 != 0, first & 0xf0 == 0x10);
    Ok((rest, Representation::Literal { insert, never, name, value }))
}

/// A literal field as most are written.
pub(super) struct ShortLiteral<'a> {
    pub(super) insert: bool,
    pub(super) name: LiteralName<'a>,
    pub(super) value: Coded<'a>,
}

/// The literal at the beginning of `input`, and what follows it, if its index stands in its first two octets and each of its lengths in
/// one or two. `None` for everything else, which [`parse_representation`] takes: it costs 150 instructions more, most of them for moving its result
/// about.
#[expect(clippy::inline_always, reason = "what it returns then stays in registers")]
#[inline(always)]
pub(super) fn short_literal(input: &[u8]) -> Option<(ShortLiteral<'_>, &[u8])> {
    let (first, rest) = input.split_first()?;
    let (insert, all_ones) = match first {
        0x40..=0x7f => (true, 0x3f),
        0x00..=0x1f => (false, 0x0f),
        _ => return None,
    };
    let (name, rest) = match first & all_ones {
        0 => short_string(rest).map(|(name, rest)| (LiteralName::Text(name), rest))?,
        index if index < all_ones => (LiteralName::Index(index.into()), rest),
        _ => {
            let (more, rest) = rest.split_first().filter(|(more, _)| **more < 0x80)?;
            (LiteralName::Index(u32::from(all_ones) + u32::from(*more)), rest)
        }
    };
    let (value, rest) = short_string(rest)?;
    Some((ShortLiteral { insert, name, value }, rest))
}

/// The string at the beginning of `input` if its length is one octet or two.
#[inline]
fn short_string(input: &[u8]) -> Option<(Coded<'_>, &[u8])> {
    let (first, rest) = input.split_first()?;
    let (length, rest) = match first & 0x7f {
        0x7f => {
            let (more, rest) = rest.split_first().filter(|(more, _)| **more < 0x80)?;
            (0x7f + usize::from(*more), rest)
        }
        length => (length.into(), rest),
    };
    let (octets, rest) = rest.split_at_checked(length)?;
    Some((Coded { huffman: first & 0x80 != 0, octets }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Layer;

    #[test]
    fn integers_of_appendix_c_1() {
        assert_eq!(parse_integer::<5>(&[0x0a]), Ok((&[][..], 10)));
        assert_eq!(parse_integer::<5>(&[0x1f, 0x9a, 0x0a]), Ok((&[][..], 1337)));
        assert_eq!(parse_integer::<8>(&[0x2a]), Ok((&[][..], 42)));
    }

    proptest! {
        /// What the short way takes, the general one reads alike, and it takes what nearly all literals are.
        #[test]
        fn short_literals_are_literals(mut input in prop::collection::vec(any::<u8>(), 0..600), lengths in any::<[Option<bool>; 2]>()) {
            for (at, short) in [1, 9].into_iter().zip(lengths).filter_map(|(at, short)| Some((at, short?))) {
                input.get_mut(at).into_iter().for_each(|length| *length = if short { *length & 0x87 } else { *length | 0x7f });
            }
            let general = parse_representation(&input);
            if let Some((ShortLiteral { insert, name, value }, rest)) = short_literal(&input) {
                let never = input[0] & 0xf0 == 0x10;
                prop_assert_eq!(general, Ok((rest, Representation::Literal { insert, never, name, value })));
            } else if let Ok((_, Representation::Literal { name, value, .. })) = general {
                let is_short = |text: &Coded<'_>| text.octets.len() < 0x7f;
                let short = match name {
                    LiteralName::Text(text) => is_short(&text),
                    LiteralName::Index(index) => index < 15,
                };
                prop_assert!(!(short && is_short(&value)));
            }
        }
    }

    /// What is wrong with an input, and how many bytes of it are before that.
    fn wrong_at<O: std::fmt::Debug>(input: &[u8], parsed: Parse<'_, O>) -> (&'static str, usize) {
        let error = what_is_wrong(&parsed.unwrap_err()).placed(Layer::Header, input);
        (error.what, error.offset)
    }

    #[test]
    fn integers_are_bounded() {
        for over in [
            &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x1f, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(wrong_at(over, parse_integer::<5>(over)), ("integer over the limit", 0));
        }
        assert_eq!(parse_integer::<5>(&[0x1f, 0xff, 0xff, 0xff, 0x7e]), Ok((&[][..], (0x7f << 21) - 1 + 31)));
        let cut = "header block ends within an integer";
        assert_eq!(wrong_at(&[0x1f, 0x80], parse_integer::<5>(&[0x1f, 0x80])), (cut, 1));
        assert_eq!(wrong_at(&[], parse_integer::<5>(&[])), (cut, 0));
    }

    #[test]
    fn wrong_representations_say_where() {
        assert_eq!(wrong_at(&[0x80], parse_representation(&[0x80])), ("index 0", 0));
        let long = [0, 1, b'a', 3, b'b'];
        assert_eq!(wrong_at(&long, parse_representation(&long)), ("string longer than its header block", 4));
    }

    #[test]
    fn known_texts_are_recognised_in_both_forms() {
        fn check<T: Copy + std::fmt::Debug + PartialEq>(
            all: &[(T, &[u8], &[u8])],
            of: fn(bool, &[u8]) -> T,
            text: fn(T) -> Option<&'static [u8]>,
            other: T,
        ) {
            for (known, plain, coded) in all {
                assert_eq!(huffman::tests::encode(plain), *coded, "{known:?}");
                assert_eq!(of(false, plain), *known);
                assert_eq!(of(true, coded), *known);
                assert_eq!(text(*known), Some(*plain));
                assert_eq!(of(true, plain), other);
                assert_eq!(of(false, coded), other);
            }
        }
        check(&Name::ALL, |huffman, octets| Coded { huffman, octets }.name(), Name::text, Name::Other);
        check(&Value::ALL, |huffman, octets| Coded { huffman, octets }.value(), Value::text, Value::Other);
    }
}
