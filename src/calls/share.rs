//! Probabilities as records have them: from 0 to 1, with four decimals.

use std::fmt;

/// A number from 0 to 1, exact to a ten-thousandth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u16);

/// Ten-thousandths of 1.
const ONE: u16 = 10_000;

impl Share {
    /// The nearest; numbers beyond 0 and 1 are cut off.
    #[must_use]
    pub fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * f64::from(ONE)).round() as u16)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0) / f64::from(ONE)
    }

    /// Its text in ASCII: `0.9750`.
    #[must_use]
    pub fn digits(self) -> [u8; 6] {
        let digit = |unit: u16| b'0' + (self.0 / unit % 10) as u8;
        [digit(ONE), b'.', digit(1_000), digit(100), digit(10), digit(1)]
    }
}

impl fmt::Display for Share {
    /// As [`Share::digits`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_four_decimals_and_stay_within_their_bounds() {
        for (share, text) in
            [(0.0, "0.0000"), (0.97504, "0.9750"), (1.0, "1.0000"), (7.0, "1.0000"), (-1.0, "0.0000")]
        {
            assert_eq!(Share::of(share).to_string(), text);
        }
        assert_eq!(Share::of(f64::NAN), Share::default());
        assert!((Share::of(0.8).number() - 0.8).abs() < 1e-9);
    }
}
