//! Numbers and pieces of known length as nearly every format here has them. They are nom's streaming parsers of the same names, written for
//! slices: a number costs half of what a loop over a generic input costs.

use crate::error::{Parse, incomplete, wrong};

/// Declares parsers of numbers whose highest byte comes first.
macro_rules! big_endian {
    ($($name:ident $type:ty;)*) => {
        $(
            /// The number at the beginning of `input`.
            #[inline]
            pub(crate) fn $name(input: &[u8]) -> Parse<'_, $type> {
                match input.split_first_chunk() {
                    Some((bytes, rest)) => Ok((rest, <$type>::from_be_bytes(*bytes))),
                    None => incomplete(size_of::<$type>() - input.len()),
                }
            }
        )*
    };
}

big_endian! {
    be_u8 u8;
    be_u16 u16;
    be_u32 u32;
    be_i16 i16;
    be_i32 i32;
}

/// As many bytes.
#[inline]
pub(crate) fn take<'a>(length: usize) -> impl Fn(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| match input.split_at_checked(length) {
        Some((bytes, rest)) => Ok((rest, bytes)),
        None => incomplete(length - input.len()),
    }
}

/// Those bytes; other ones are an error.
#[inline]
pub(crate) fn tag<'a, const N: usize>(
    expected: [u8; N],
    what: &'static str,
) -> impl Fn(&'a [u8]) -> Parse<'a, &'a [u8]> {
    move |input| match input.split_first_chunk() {
        Some((bytes, rest)) if *bytes == expected => Ok((rest, bytes)),
        None if expected.starts_with(input) => incomplete(N - input.len()),
        _ => wrong(input, what),
    }
}

#[cfg(test)]
mod tests {
    use nom::Parser as _;
    use nom::bytes::streaming;
    use nom::error::context;
    use nom::number::streaming as numbers;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_read_as_those_of_nom(input in prop::collection::vec(0u8..3, 0..6), length in 0usize..6) {
            let input = input.as_slice();
            prop_assert_eq!(be_u8(input), numbers::be_u8(input));
            prop_assert_eq!(be_u16(input), numbers::be_u16(input));
            prop_assert_eq!(be_u32(input), numbers::be_u32(input));
            prop_assert_eq!(be_i16(input), numbers::be_i16(input));
            prop_assert_eq!(be_i32(input), numbers::be_i32(input));
            prop_assert_eq!(take(length)(input), streaming::take(length)(input));
            let same = context("other", streaming::tag(&[1, 2][..])).parse(input);
            prop_assert_eq!(tag([1, 2], "other")(input), same);
        }
    }
}
