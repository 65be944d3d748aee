//! Times in log lines.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use regex::{Captures, Regex};

use super::pattern;
use crate::time::Timestamp;

/// Most times of one text that are kept.
const STAMP_LIMIT: usize = 8;

/// A time of a line counts as near the end of a call within this, nanoseconds.
pub(super) const NEAR: u64 = 60 * SECOND as u64;

const SECOND: i64 = 1_000_000_000;

/// Zones differ by multiples of this, nanoseconds. (A few are off by another quarter; they are taken for a clock that is wrong.)
const ZONE_STEP: i64 = 1_800 * SECOND;

/// How far a zone may be from UTC, nanoseconds.
const ZONE_LIMIT: i64 = 14 * 3_600 * SECOND;

/// A day of the year, with or without its year, and a time of day.
static DATED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})[T _]+(\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?\s?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    )
});

/// As the common log format of HTTP servers has it.
static COMMON_LOG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?: ([+-]\d{4}))?")
});

/// A time of day.
static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:[.,](\d{1,9}))?"));

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, of this century.
static EPOCH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(1\d{9}|2\d{9})(?:\.(\d{1,9})|(\d{3})|(\d{6})|(\d{9}))?\b"));

/// A time that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970, or since midnight without a date; in UTC if it names no zone.
    time: i64,
    known: Known,
    /// The smallest step of its digits, nanoseconds.
    step: i64,
}

/// What a time says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Date and zone.
    Moment,
    /// A date, but no zone.
    Date,
    /// Neither.
    Clock,
}

impl Stamp {
    /// How far it is behind a moment, nanoseconds; negative before it. What it does not say of itself is taken as it fits best.
    #[must_use]
    pub fn distance(&self, moment: Timestamp) -> i64 {
        let full = self.time.saturating_sub(moment.0);
        let distance = match self.known {
            Known::Moment => full,
            Known::Date if full.unsigned_abs() > ZONE_LIMIT as u64 + ZONE_STEP as u64 => full,
            Known::Date | Known::Clock => {
                let within = full.rem_euclid(ZONE_STEP);
                if within > ZONE_STEP / 2 { within - ZONE_STEP } else { within }
            }
        };
        // Digits that are left out make a time earlier than it was.
        if distance < 0 && distance > -self.step { 0 } else { distance }
    }
}

/// Adds the times of a text.
pub(super) fn read(text: &str, stamps: &mut Vec<Stamp>) {
    let dated = DATED.captures_iter(text).filter_map(|found| with_date(&found, [1, 2, 3], 4));
    let common = COMMON_LOG.captures_iter(text).filter_map(|found| with_date(&found, [3, 2, 1], 4));
    let clocks = CLOCK.captures_iter(text).filter_map(|found| {
        let fraction = found.get(4).map_or("", |digits| digits.as_str());
        let at = |group: usize| number(&found, group);
        let seconds = at(1)? * 3_600 + at(2)? * 60 + at(3)?;
        Some(Stamp {
            time: seconds * SECOND + nanoseconds(fraction),
            known: Known::Clock,
            step: step(fraction),
        })
    });
    let epochs = EPOCH.captures_iter(text).filter_map(|found| {
        let fraction = (2..=5).find_map(|group| found.get(group)).map_or("", |digits| digits.as_str());
        let time = number(&found, 1)?.checked_mul(SECOND)?.checked_add(nanoseconds(fraction))?;
        Some(Stamp { time, known: Known::Moment, step: step(fraction) })
    });
    let mut found: Vec<Stamp> = Vec::new();
    for stamp in dated.chain(common).take(STAMP_LIMIT).chain(epochs.take(STAMP_LIMIT)) {
        found.push(stamp);
    }
    // A clock says less than the date that it is a part of.
    if found.is_empty() {
        found.extend(clocks.take(STAMP_LIMIT));
    }
    for stamp in found {
        if stamps.len() < STAMP_LIMIT && !stamps.contains(&stamp) {
            stamps.push(stamp);
        }
    }
}

fn number(found: &Captures<'_>, group: usize) -> Option<i64> {
    found.get(group)?.as_str().parse().ok()
}

fn nanoseconds(fraction: &str) -> i64 {
    format!("{fraction:0<9}").parse().unwrap_or(0)
}

fn step(fraction: &str) -> i64 {
    10_i64.pow(9_u32.saturating_sub(fraction.len() as u32))
}

/// A time with a date: the groups of year, month and day, and the first of hour, minute, second, fraction, zone.
fn with_date(found: &Captures<'_>, date: [usize; 3], clock: usize) -> Option<Stamp> {
    let [year, month, day] = date;
    let month = match number(found, month) {
        Some(month) => month,
        None => month_of(found.get(month)?.as_str())?,
    };
    let at = |group: usize| number(found, group).and_then(|number| i8::try_from(number).ok());
    let fraction = found.get(clock + 3).map_or("", |digits| digits.as_str());
    let zone = found.get(clock + 4).map(|zone| zone.as_str());
    let year = i16::try_from(number(found, year)?).ok()?;
    let nanosecond = i32::try_from(nanoseconds(fraction)).ok()?;
    let civil = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        at(day)?,
        at(clock)?,
        at(clock + 1)?,
        at(clock + 2)?,
        nanosecond,
    );
    let moment = civil.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    let time = i64::try_from(moment).ok()?.checked_sub(offset(zone) * SECOND)?;
    let known = if zone.is_some() { Known::Moment } else { Known::Date };
    Some(Stamp { time, known, step: step(fraction) })
}

fn month_of(name: &str) -> Option<i64> {
    const NAMES: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = NAMES.find(name).filter(|at| at % 3 == 0)?;
    i64::try_from(at / 3 + 1).ok()
}

/// Seconds of a zone east of UTC.
fn offset(zone: Option<&str>) -> i64 {
    let Some((sign, digits)) = zone.and_then(|zone| zone.split_at_checked(1)) else { return 0 };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let (Some(Ok(hours)), Some(Ok(minutes))) =
        (digits.get(..2).map(str::parse::<i64>), digits.get(2..).map(str::parse::<i64>))
    else {
        return 0;
    };
    (hours * 60 + minutes) * if sign == "-" { -60 } else { 60 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-25T22:33:00.230714123Z.
    const MOMENT: Timestamp = Timestamp(1_795_645_980_230_714_123);

    fn distances(line: &str) -> Vec<i64> {
        let mut stamps = Vec::new();
        read(line, &mut stamps);
        stamps.iter().map(|stamp| stamp.distance(MOMENT)).collect()
    }

    #[test]
    fn times_of_all_loggers_are_near_their_moment() {
        for line in [
            "2026-11-25T22:33:00.230714123Z stderr F x",
            "2026-11-26T06:33:00.230714123+08:00 x",
            "2026-11-26T04:03:00.230714123+0530 x",
            "2026/11/25 22:33:00.230714 server.go:79: x",
            "2026-11-26 06:33:00,230 ERROR x",
            "E1125 22:33:00.230714    4242 order.go:31] x",
            "E20261125 22:33:00.230714 4242 order.cc:31] x",
            "22:33:00.230 [main] ERROR x",
            "Nov 25 22:33:00 host-7 order[4242]: x",
            "10.0.0.1 - - [26/Nov/2026:06:33:00 +0800] \"POST /a\" 500",
            "{\"ts\":1795645980.2307141}",
            "{\"ts\":1795645980230}",
            "[\"1795645980230714123\",\"x\"]",
        ] {
            let found = distances(line);
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            assert!(found.iter().all(|distance| distance.abs() < 1_000), "{line}: {found:?}");
        }
    }

    #[test]
    fn other_times_are_far() {
        assert_eq!(distances("2026-11-25T22:33:02Z x"), [1_769_285_877]);
        assert!(distances("2025-11-25 22:33:00 x")[0].abs() > 300 * 86_400 * SECOND);
        assert_eq!(distances("uid=7, 12:30, 2026-13-45 99:99:99, 123456789"), Vec::<i64>::new());
    }
}
