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
const QUICK_BITS: u32 = 12;
/// How often so many bits are looked at before new ones are fetched: the symbols, two at a time, fit into eight octets.
const QUICK_STEPS: u32 = 4;

/// The symbols that a few bits begin with.
#[derive(Clone, Copy)]
struct Quick {
    /// Zero where there is no symbol.
    symbols: [u8; 2],
    /// How many symbols; 0 if the code of the first is longer than [`QUICK_BITS`].
    count: u8,
    /// Bits of them all.
    bits: u8,
}

impl Quick {
    const NONE: Self = Self { symbols: [0; 2], count: 0, bits: 0 };

    /// Bits of the first symbol, which must be there.
    fn first(self) -> u8 {
        LENGTHS.get(usize::from(self.symbols[0])).copied().unwrap_or_default()
    }
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
                            Quick { symbols: [symbol as u8, 0], count: 1, bits: length as u8 };
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
        if quick.count > 0 {
            let first = LENGTHS[quick.symbols[0] as usize] as u32;
            let behind = code.quick[(bits << first) & ((1 << QUICK_BITS) - 1)];
            if behind.count > 0 {
                let second = LENGTHS[behind.symbols[0] as usize] as u32;
                if first + second <= QUICK_BITS {
                    let symbols = [quick.symbols[0], behind.symbols[0]];
                    code.quick[bits] = Quick { symbols, count: 2, bits: (first + second) as u8 };
                }
            }
        }
        bits += 1;
    }
    code
}

/// Appends the decoded `coded` to `out`. `Err` if a code is broken, EOS stands in it, or the padding is not the beginning
/// of EOS or longer than 7 bits (RFC 7541, section 5.2); `out` then holds what was read before.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    let before = out.len();
    // No code is shorter than five bits; eight octets are written before it is known how many of them there are.
    out.resize(before + coded.len() * 8 / 5 + 8, 0);
    let mut reader = Reader { input: coded, window: 0, bits: 0 };
    let (read, written) = match out.get_mut(before..) {
        Some(slots) => reader.read(slots),
        None => (Err(()), 0),
    };
    out.truncate(before + written);
    read
}

/// The bits that are still to be read.
struct Reader<'a> {
    input: &'a [u8],
    /// The next bits stand at the top of it; `bits` of them count, those below may be what `input` begins with, or zero.
    window: u64,
    bits: u32,
}

impl Reader<'_> {
    /// Writes the symbols to `slots` and says how many they are.
    fn read(&mut self, slots: &mut [u8]) -> (Result<(), ()>, usize) {
        let mut at = 0;
        while let Some(eight) = self.input.first_chunk::<8>() {
            self.window |= u64::from_be_bytes(*eight) >> self.bits;
            let octets = (63 - self.bits) >> 3;
            self.input = self.input.get(octets as usize..).unwrap_or_default();
            self.bits += octets * 8;
            // At least 56 bits are there now: nothing has to be counted until they run short.
            let (mut symbols, mut width) = (0_u64, 0_u32);
            let mut quick = Quick::NONE;
            for _ in 0..QUICK_STEPS {
                quick = self.quick();
                symbols |= u64::from(u16::from_le_bytes(quick.symbols)) << (width & 63);
                width += u32::from(quick.count) * 8;
                self.skip(u32::from(quick.bits));
            }
            let Some(slot) = slots.get_mut(at..at + 8) else { return (Err(()), at) };
            slot.copy_from_slice(&symbols.to_le_bytes());
            at += width as usize / 8;
            // A code that was too long has stopped all steps after it.
            if quick.count == 0 && self.bits >= LONGEST as u32 {
                match self.long().and_then(|symbol| Some((symbol, slots.get_mut(at)?))) {
                    Some((symbol, slot)) => *slot = symbol,
                    None => return (Err(()), at),
                }
                at += 1;
            }
        }
        // What stands below the bits that count would be taken twice.
        self.window &= !(u64::MAX >> self.bits);
        let read = self.read_end(slots, &mut at);
        (read, at)
    }

    /// The same for the last few octets.
    fn read_end(&mut self, slots: &mut [u8], at: &mut usize) -> Result<(), ()> {
        loop {
            while self.bits <= 56
                && let Some((octet, rest)) = self.input.split_first()
            {
                self.window |= u64::from(*octet) << (56 - self.bits);
                self.bits += 8;
                self.input = rest;
            }
            if self.bits == 0 {
                return Ok(());
            }
            let quick = self.quick();
            let symbol = if quick.count > 0 && u32::from(quick.first()) <= self.bits {
                self.skip(u32::from(quick.first()));
                quick.symbols[0]
            } else if self.bits < 8 && self.window >> (64 - self.bits) == (1 << self.bits) - 1 {
                // Fewer than eight ones are padding; anything else that short is an unfinished code.
                return Ok(());
            } else {
                self.long().ok_or(())?
            };
            *slots.get_mut(*at).ok_or(())? = symbol;
            *at += 1;
        }
    }

    /// What the next bits begin with.
    fn quick(&self) -> Quick {
        CODE.quick.get((self.window >> (64 - QUICK_BITS)) as usize).copied().unwrap_or(Quick::NONE)
    }

    fn skip(&mut self, bits: u32) {
        self.window <<= bits;
        self.bits -= bits;
    }

    /// Takes the symbol whose code is longer than [`QUICK_BITS`]. `None` if it is none, EOS, or not all there.
    fn long(&mut self) -> Option<u8> {
        let lengths = CODE.first.iter().zip(&CODE.count).zip(&CODE.place).enumerate();
        for (length, ((first, count), place)) in lengths.skip(QUICK_BITS as usize + 1) {
            let above = (self.window >> (64 - length)) as u32;
            let index = above.wrapping_sub(*first);
            if index < u32::from(*count) {
                let symbol = *CODE.symbols.get(usize::from(*place) + index as usize)?;
                if symbol == EOS || length as u32 > self.bits {
                    return None;
                }
                self.skip(length as u32);
                return Some(symbol as u8);
            }
        }
        None
    }
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
