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
/// Longest code.
const LONGEST: usize = 30;
/// Bits looked up at once. Most texts consist of symbols of five and six bits, of which two fit.
const QUICK_BITS: u32 = 12;
/// Bits of eight octets that count at the least: the first octet may have been read up to its last bit.
const LOADED_BITS: u32 = 57;

/// Look-ups of a round: as many as those bits are enough for.
const LOOKUPS: u32 = LOADED_BITS / QUICK_BITS;

/// Stands behind the bits of a round: it moves with them, and so says how many were taken.
const MARK: u64 = 1 << (63 - LOADED_BITS);

/// The symbols with which a few bits begin: at most two.
#[derive(Clone, Copy)]
struct Quick {
    /// The first one in the low octet; zero where there is no symbol.
    symbols: u16,
    /// Bits of `symbols` that are filled: eight for each.
    filled: u8,
    /// Bits of the codes of all of them.
    bits: u8,
}

impl Quick {
    /// The code of the first is longer than [`QUICK_BITS`].
    const NONE: Self = Self { symbols: 0, filled: 0, bits: 0 };
}

/// The tables for decoding, see [`build`].
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
        quick: [Quick::NONE; 1 << QUICK_BITS],
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
                        code.quick[((next << free) | low) as usize] =
                            Quick { symbols: symbol as u16, filled: 8, bits: length as u8 };
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
        let quick = code.quick[bits];
        if quick.filled > 0 {
            let first = LENGTHS[quick.symbols as usize & 0xff] as u32;
            let behind = code.quick[(bits << first) & ((1 << QUICK_BITS) - 1)];
            if behind.filled > 0 {
                let second = LENGTHS[behind.symbols as usize & 0xff] as u32;
                if first + second <= QUICK_BITS {
                    let symbols = quick.symbols & 0xff | behind.symbols << 8;
                    code.quick[bits] = Quick { symbols, filled: 16, bits: (first + second) as u8 };
                }
            }
        }
        bits += 1;
    }
    code
}

/// Appends the decoded `coded` to `out`. `Err` if a code is broken, EOS stands in it, or the padding is not the beginning
/// of EOS or longer than 7 bits (RFC 7541, section 5.2); `out` is then as before.
///
/// By hand, because a round of six to eight octets takes 75 instructions; nom's bit parsers take one symbol at a time.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    let before = out.len();
    let decoded = append(coded, out);
    if decoded.is_none() {
        out.truncate(before);
    }
    decoded.ok_or(())
}

/// The same, but what stands before a broken code is appended; `None` if there is one.
fn append(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let bits = Bits::of(coded);
    let mut read = 0;
    while read < bits.total {
        let mut window = bits.at(read) & !(MARK - 1) | MARK;
        // Symbols are put together in a word and stored at once.
        let (mut text, mut filled, mut last) = (0, 0, Quick::NONE);
        for _ in 0..LOOKUPS {
            last = CODE.quick.get((window >> (64 - QUICK_BITS)) as usize).copied().unwrap_or(Quick::NONE);
            text |= u64::from(last.symbols) << filled;
            filled += u32::from(last.filled);
            window <<= last.bits & 63;
        }
        // All of a round is written before it is known how much of it counts.
        let written = out.len();
        out.extend_from_slice(&text.to_le_bytes());
        out.truncate(written + filled as usize / 8);
        read += window.trailing_zeros() as usize - MARK.trailing_zeros() as usize;
        // Where one look-up finds nothing, all that follow it find the same.
        if last.filled > 0 {
            continue;
        }
        if read >= bits.total {
            break;
        }
        // What follows is padding or a code longer than the table's. The window stands where it begins, with eight bits at the least.
        let left = bits.total - read;
        if left < 8 && window.leading_ones() as usize >= left {
            return Some(());
        }
        let (symbol, length) = long(bits.at(read))?;
        out.push(symbol);
        read += length;
    }
    // The last code may have taken padding for bits of its own.
    (read == bits.total).then_some(())
}

/// The bits of a string.
struct Bits<'a> {
    coded: &'a [u8],
    total: usize,
    /// The last 64; ones stand for those behind the end of a shorter string, as in the padding.
    last: u64,
}

impl<'a> Bits<'a> {
    fn of(coded: &'a [u8]) -> Self {
        let total = coded.len() * 8;
        let last = if let Some(last) = coded.last_chunk() {
            u64::from_be_bytes(*last)
        } else {
            let all = coded.iter().fold(u64::MAX, |bits, octet| bits << 8 | u64::from(*octet));
            all.rotate_left(64 - total as u32)
        };
        Self { coded, total, last }
    }

    /// [`LOADED_BITS`] of them from `read` on, which must be below `total`; ones stand for those behind the end.
    fn at(&self, read: usize) -> u64 {
        let start = read / 8;
        match self.coded.get(start..start + 8).and_then(<[u8]>::first_chunk) {
            Some(eight) => u64::from_be_bytes(*eight) << (read % 8),
            None => !(!self.last << ((read - self.total.saturating_sub(64)) & 63)),
        }
    }
}

/// The symbol whose code, longer than [`QUICK_BITS`], stands at the top of `window`, and the code's length. `None` if it is
/// no code or EOS.
#[cold]
fn long(window: u64) -> Option<(u8, usize)> {
    let lengths = CODE.first.iter().zip(&CODE.count).zip(&CODE.place).enumerate();
    for (length, ((first, count), place)) in lengths.skip(QUICK_BITS as usize + 1) {
        let index = ((window >> (64 - length)) as u32).wrapping_sub(*first);
        if index < u32::from(*count) {
            let symbol = *CODE.symbols.get(usize::from(*place) + index as usize)?;
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length));
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::{CODE, LENGTHS, decode};
    use proptest::prelude::*;

    /// The symbol that must not stand in a string; its code's first bits are the padding.
    const EOS: u16 = 256;

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
