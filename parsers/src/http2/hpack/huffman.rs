//! The Huffman code of RFC 7541, section 5.2 and appendix B.
//!
//! The code is canonical: symbols sorted by length, then by number, have consecutive codes. So the lengths alone are the
//! whole table, and everything else is computed from them when the program is compiled. Nothing is set up per string.

/// Length in bits of the code of every symbol; the last one is EOS (RFC 7541, appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x0
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30, // EOS
];

/// All octets and EOS.
const SYMBOLS: usize = 257;
/// The symbol that must not stand in a string; its code's first bits are the padding.
const EOS: u16 = 256;
/// Longest code.
const LONGEST: usize = 30;
/// Bits looked at at once. Most texts consist of symbols of five and six bits, of which two fit.
const QUICK_BITS: u32 = 11;

/// The symbols that a few bits begin with.
#[derive(Clone, Copy)]
struct Quick {
    symbols: [u8; 2],
    /// Bits of the first symbol; 0 if its code is longer than [`QUICK_BITS`].
    first: u8,
    /// Bits of both; as many as of the first where there is no second.
    both: u8,
}

/// The table for decoding, see [`build`].
struct Code {
    /// By the next [`QUICK_BITS`] bits.
    quick: [Quick; 1 << QUICK_BITS],
    /// By length: the first code of that length and the place of its symbol in `symbols`; `count` codes have it.
    first: [u32; LONGEST + 1],
    place: [u16; LONGEST + 1],
    count: [u16; LONGEST + 1],
    /// All symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
}

static CODE: Code = build();

#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler only, where a wrong index is an error of compilation"
)]
const fn build() -> Code {
    let mut code = Code {
        quick: [Quick { symbols: [0; 2], first: 0, both: 0 }; 1 << QUICK_BITS],
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        symbols: [0; SYMBOLS],
    };
    let mut next = 0_u32;
    let mut placed = 0;
    let mut length = 1;
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.place[length] = placed as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                if length <= QUICK_BITS as usize {
                    let free = QUICK_BITS - length as u32;
                    let mut low = 0;
                    while low < 1 << free {
                        let quick = &mut code.quick[((next << free) | low) as usize];
                        *quick =
                            Quick { symbols: [symbol as u8, 0], first: length as u8, both: length as u8 };
                        low += 1;
                    }
                }
                code.symbols[placed] = symbol as u16;
                placed += 1;
                next += 1;
                code.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    // The bits behind the first symbol may hold a whole second one.
    let mut bits = 0;
    while bits < 1 << QUICK_BITS {
        let first = code.quick[bits].first as u32;
        if first > 0 {
            let behind = code.quick[(bits << first) & ((1 << QUICK_BITS) - 1)];
            if behind.first > 0 && behind.first as u32 + first <= QUICK_BITS {
                code.quick[bits].symbols[1] = behind.symbols[0];
                code.quick[bits].both += behind.first;
            }
        }
        bits += 1;
    }
    code
}

/// Appends the decoded `coded` to `out`. `Err` if a code is broken, EOS stands in it, or the padding is not the beginning
/// of EOS or longer than 7 bits (RFC 7541, section 5.2); `out` then holds what was read before.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    // No code is shorter than five bits.
    out.reserve(coded.len() * 8 / 5);
    let mut input = coded;
    // The next bits stand at the top of `window`; `bits` of them are real, those below are zero.
    let mut window = 0_u64;
    let mut bits = 0_u32;
    loop {
        if bits <= 32
            && let Some((four, rest)) = input.split_first_chunk::<4>()
        {
            window |= u64::from(u32::from_be_bytes(*four)) << (32 - bits);
            bits += 32;
            input = rest;
        } else {
            while bits <= 56
                && let Some((byte, rest)) = input.split_first()
            {
                window |= u64::from(*byte) << (56 - bits);
                bits += 8;
                input = rest;
            }
        }
        if bits == 0 {
            return Ok(());
        }
        let quick = *CODE.quick.get((window >> (64 - QUICK_BITS)) as usize).ok_or(())?;
        let [first, second] = quick.symbols;
        if u32::from(quick.both) <= bits && quick.first > 0 {
            out.push(first);
            if quick.both > quick.first {
                out.push(second);
            }
            window <<= quick.both;
            bits -= u32::from(quick.both);
            continue;
        }
        // The last symbol, with what only looks like another behind it.
        if u32::from(quick.first) <= bits && quick.first > 0 {
            out.push(first);
            window <<= quick.first;
            bits -= u32::from(quick.first);
            continue;
        }
        // Fewer than eight ones are padding; anything else that short is an unfinished code.
        if bits < 8 && window >> (64 - bits) == (1 << bits) - 1 {
            return Ok(());
        }
        let (symbol, length) = long(window).ok_or(())?;
        if symbol == EOS || length > bits {
            return Err(());
        }
        out.push(symbol as u8);
        window <<= length;
        bits -= length;
    }
}

/// The symbol whose code is longer than [`QUICK_BITS`] and stands at the top of `window`.
fn long(window: u64) -> Option<(u16, u32)> {
    let lengths = CODE.first.iter().zip(&CODE.count).zip(&CODE.place).enumerate();
    for (length, ((first, count), place)) in lengths.skip(QUICK_BITS as usize + 1) {
        let above = (window >> (64 - length)) as u32;
        let index = above.wrapping_sub(*first);
        if index < u32::from(*count) {
            let symbol = CODE.symbols.get(usize::from(*place) + index as usize)?;
            return Some((*symbol, length as u32));
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::{CODE, EOS, LENGTHS, decode};
    use proptest::prelude::*;

    /// Code and length of a symbol.
    fn code(symbol: u16) -> (u32, u32) {
        let length = usize::from(LENGTHS[usize::from(symbol)]);
        let at = CODE.symbols.iter().position(|s| *s == symbol).unwrap();
        (CODE.first[length] + (at - usize::from(CODE.place[length])) as u32, length as u32)
    }

    /// The encoder that the decoder is tested with.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let (code, length) = code(u16::from(*byte));
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        bits.chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn codes_are_those_of_appendix_b() {
        for (symbol, expected) in [
            (0, (0x1ff8, 13)),
            (u16::from(b' '), (0x14, 6)),
            (u16::from(b'0'), (0x0, 5)),
            (u16::from(b'a'), (0x3, 5)),
            (u16::from(b'X'), (0xfc, 8)),
            (u16::from(b'~'), (0x1ffd, 13)),
            (u16::from(b'\\'), (0x7fff0, 19)),
            (128, (0xfffe6, 20)),
            (255, (0x3ff_ffee, 26)),
            (EOS, (0x3fff_ffff, 30)),
        ] {
            assert_eq!(code(symbol), expected, "symbol {symbol}");
        }
    }

    #[test]
    fn refuses_eos_and_wrong_padding() {
        let refused: [&[u8]; 5] = [
            &[0xff, 0xff, 0xff, 0xff], // EOS
            &[0xff],                   // a whole octet of padding
            &[0x1f, 0xff],             // 'a' and eleven ones
            &[0x18],                   // 'a' and zeros that are no whole code: "00011" "000"
            &[0xfe],                   // the beginning of a longer code
        ];
        for coded in refused {
            assert_eq!(decode(coded, &mut Vec::new()), Err(()), "{coded:x?}");
        }
        let mut out = Vec::new();
        assert_eq!(decode(&[0x1f], &mut out), Ok(()));
        assert_eq!(out, b"a");
    }

    proptest! {
        #[test]
        fn reads_what_was_written(text: Vec<u8>) {
            let mut out = Vec::new();
            prop_assert_eq!(decode(&encode(&text), &mut out), Ok(()));
            prop_assert_eq!(out, text);
        }

        #[test]
        fn never_panics_and_grows_within_bounds(coded: Vec<u8>) {
            let mut out = Vec::new();
            let _ = decode(&coded, &mut out);
            prop_assert!(out.len() <= coded.len() * 8 / 5);
        }
    }
}
