//! Decimal digits of numbers, by table: a record holds about a hundred of them.
//!
//! Digits are octets of a word, the first digit in the lowest octet, so that little-endian bytes of the word are the text.

/// Values below this have at most eight digits.
pub const EIGHT: u64 = 100_000_000;

/// Numbers of two digits, and as many entries more as make any seven bits one of them.
static PAIRS: [u16; 128] = {
    let mut pairs = [0; 128];
    let mut value = 0;
    while value < 100 {
        pairs[value] = u16::from_le_bytes([b'0' + value as u8 / 10, b'0' + value as u8 % 10]);
        value += 1;
    }
    pairs
};

/// Numbers below 256 without leading zeros, and how many digits they have.
static OCTETS: [(u32, u8); 256] = {
    let mut octets = [(b'0' as u32, 1); 256];
    let mut value = 1;
    while value < 256 {
        let (mut text, mut len, mut rest) = (0, 0, value as u32);
        while rest > 0 {
            text = text << 8 | (b'0' as u32 + rest % 10);
            rest /= 10;
            len += 1;
        }
        octets[value] = (text, len);
        value += 1;
    }
    octets
};

/// A number below 256 without leading zeros, and how many digits it has.
#[inline]
#[must_use]
pub fn octet(value: u8) -> (u64, usize) {
    let (text, len) = OCTETS[usize::from(value)];
    // At most three: who writes them into room for eight needs no other check.
    (text.into(), usize::from(len & 3))
}

/// Writes the hexadecimal digits of octets. Each octet becomes a word of its two digits, so that the compiler makes vectors of them: not
/// inlined, as it takes octets out of a number one by one where it sees that they come from one.
#[inline(never)]
pub fn hexadecimal(octets: &[u8; 16], text: &mut [u8; 32]) {
    const ONES: u16 = 0x0101;
    const BEYOND_NINE: u16 = (b'a' - b'0' - 10) as u16;
    let words = octets.map(|octet| {
        let octet = u16::from(octet);
        let digits = (octet >> 4 | octet << 8) & 0x0f0f;
        let letters = (digits + ONES * 6) >> 4 & ONES;
        digits + ONES * u16::from(b'0') + letters * BEYOND_NINE
    });
    for (place, word) in text.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
}

/// The two digits of a number below 100.
#[inline]
#[must_use]
pub fn two(value: u32) -> u64 {
    PAIRS[(value % 128) as usize].into()
}

/// The four digits of a number below 10,000.
#[inline]
#[must_use]
pub fn four(value: u32) -> u64 {
    two(value / 100) | two(value % 100) << 16
}

/// The eight digits of a number below [`EIGHT`].
#[inline]
#[must_use]
pub fn eight(value: u32) -> u64 {
    four(value / 10_000) | four(value % 10_000) << 32
}

/// All digits of a number below [`EIGHT`], and how many they are.
#[expect(clippy::inline_always, reason = "how many they can be is then known in the caller")]
#[inline(always)]
#[must_use]
pub fn all(value: u32) -> (u64, usize) {
    // What is in front of whole pairs has no leading zeros.
    match value {
        0..256 => octet(value as u8),
        256..25_600 => {
            let (front, len) = octet((value / 100) as u8);
            (front | two(value % 100) << (8 * len), len + 2)
        }
        25_600..2_560_000 => {
            let (front, len) = octet((value / 10_000) as u8);
            (front | four(value % 10_000) << (8 * len), len + 4)
        }
        2_560_000.. => {
            let ((front, len), back) = (octet((value / 1_000_000) as u8), value % 1_000_000);
            (front | (two(back / 10_000) | four(back % 10_000) << 16) << (8 * len), (len + 6).min(8))
        }
    }
}

/// A whole number as text, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// Digits at the end, and a sign before them.
    text: [u8; 20],
    start: usize,
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        let mut decimal = Self { text: [b'-'; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        for (at, octet) in decimal.text.iter_mut().enumerate().rev() {
            *octet = b'0' + (rest % 10) as u8;
            rest /= 10;
            decimal.start = at;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            decimal.start -= 1;
            decimal.text[decimal.start] = b'-';
        }
        decimal
    }
}

impl std::ops::Deref for Decimal {
    type Target = str;

    fn deref(&self) -> &str {
        // Nothing but ASCII is ever written there.
        std::str::from_utf8(&self.text[self.start..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, -1, 9, 10, -10, 12_001, i64::MAX, i64::MIN] {
            assert_eq!(*Decimal::from(value), *value.to_string());
        }
        let steps = (0..100_000_000).step_by(9_973);
        let edges = (0..8).flat_map(|digits| [10_u32.pow(digits) - 1, 10_u32.pow(digits)]);
        for value in steps.chain(edges).chain(0..30_000).chain([2_559_999, 2_560_000, 99_999_999]) {
            assert_eq!(eight(value).to_le_bytes(), format!("{value:08}").as_bytes());
            let spread = u128::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let mut text = [0; 32];
            hexadecimal(&spread.to_be_bytes(), &mut text);
            assert_eq!(text, format!("{spread:032x}").as_bytes());
            let (text, len) = all(value);
            assert_eq!(text.to_le_bytes().get(..len), Some(value.to_string().as_bytes()));
        }
    }
}
