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

/// A day without its year: klog's `E1125 22:33:00`, syslog's `Nov 25 22:33:00`.
static DAY: LazyLock<Regex> = LazyLock::new(|| {
    let months = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";
    pattern(&format!(
        r"(?:^|[^0-9A-Za-z])(?:[IWEF](0[1-9]|1[0-2])([0-3]\d)|({months}) {{1,2}}(\d{{1,2}})) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:[.,](\d{{1,9}}))?"
    ))
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
    /// Nanoseconds since 1970, or since midnight without a date, or in 1972 without a year; in UTC if it names no zone.
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
    /// A day, but neither year nor zone.
    Day,
    /// Neither.
    Clock,
}

/// A year for days without one: it has all of them.
const LEAP_YEAR: i16 = 1972;

/// The length of a day, nanoseconds.
const DAY_LENGTH: i64 = 86_400 * SECOND;

impl Stamp {
    /// How far it is behind a moment, nanoseconds; negative before it. What it does not say of itself is taken as it fits best.
    #[must_use]
    pub fn distance(&self, moment: Timestamp) -> i64 {
        let full = self.near(moment).0.saturating_sub(moment.0);
        let distance = match self.known {
            Known::Moment => full,
            Known::Date | Known::Day if full.unsigned_abs() > ZONE_LIMIT as u64 + ZONE_STEP as u64 => full,
            Known::Date | Known::Day | Known::Clock => to_nearest(full, ZONE_STEP),
        };
        // Digits that are left out make a time earlier than it was.
        if distance < 0 && distance > -self.step { 0 } else { distance }
    }

    /// The time that it names, in UTC unless it names a zone, in the year or on the day that is nearest to a moment where it does not
    /// say which.
    #[must_use]
    pub fn near(&self, moment: Timestamp) -> Timestamp {
        match self.known {
            Known::Moment | Known::Date => Timestamp(self.time),
            Known::Day => {
                let of_moment = year_of(moment);
                let years = [of_moment - 1, of_moment, of_moment + 1].map(|year| in_year(self.time, year));
                let nearest = years.into_iter().flatten().min_by_key(|time| time.abs_diff(moment.0));
                Timestamp(nearest.unwrap_or(self.time))
            }
            Known::Clock => {
                let within = to_nearest(self.time.saturating_sub(moment.0), DAY_LENGTH);
                Timestamp(moment.0.saturating_add(within))
            }
        }
    }

    /// Whether it names its zone.
    #[must_use]
    pub fn has_zone(&self) -> bool {
        self.known == Known::Moment
    }

    /// Whether it names a day.
    #[must_use]
    pub fn has_day(&self) -> bool {
        self.known != Known::Clock
    }

    /// The smallest step of its digits, nanoseconds.
    #[must_use]
    pub fn step(&self) -> i64 {
        self.step
    }

    /// The first time in a text, and where it begins: that of a log line stands before what the line says.
    #[must_use]
    pub fn first(text: &str) -> Option<(usize, Self)> {
        let of = |pattern: &Regex, read: fn(&Captures<'_>) -> Option<Self>| {
            pattern.captures_iter(text).find_map(|found| Some((found.get(0)?.start(), read(&found)?)))
        };
        let first = [
            of(&DATED, of_date),
            of(&COMMON_LOG, of_common_log),
            of(&DAY, of_day),
            of(&EPOCH, of_epoch),
            // A clock that is a part of a date stands behind the date's beginning.
            of(&CLOCK, of_clock),
        ];
        first.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// A difference without whole steps, from minus half a step to half a step.
fn to_nearest(difference: i64, step: i64) -> i64 {
    let within = difference.rem_euclid(step);
    if within > step / 2 { within - step } else { within }
}

/// The year of a moment, UTC.
fn year_of(moment: Timestamp) -> i16 {
    jiff::Timestamp::from_nanosecond(moment.0.into())
        .map_or(LEAP_YEAR, |moment| TimeZone::UTC.to_datetime(moment).year())
}

/// A time of [`LEAP_YEAR`] in another year; `None` if that has no such day.
fn in_year(time: i64, year: i16) -> Option<i64> {
    let moment = jiff::Timestamp::from_nanosecond(time.into()).ok()?;
    let civil = TimeZone::UTC.to_datetime(moment);
    let moved = civil.with().year(year).build().ok()?;
    self::moment(moved)
}

/// Adds the times of a text.
pub(super) fn read(text: &str, stamps: &mut Vec<Stamp>) {
    let dated = DATED.captures_iter(text).filter_map(|found| of_date(&found));
    let common = COMMON_LOG.captures_iter(text).filter_map(|found| of_common_log(&found));
    let days = DAY.captures_iter(text).filter_map(|found| of_day(&found));
    let clocks = CLOCK.captures_iter(text).filter_map(|found| of_clock(&found));
    let epochs = EPOCH.captures_iter(text).filter_map(|found| of_epoch(&found));
    let mut found: Vec<Stamp> = Vec::new();
    for stamp in dated.chain(common).chain(days).take(STAMP_LIMIT).chain(epochs.take(STAMP_LIMIT)) {
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

fn of_date(found: &Captures<'_>) -> Option<Stamp> {
    with_date(found, [1, 2, 3], 4)
}

fn of_common_log(found: &Captures<'_>) -> Option<Stamp> {
    with_date(found, [3, 2, 1], 4)
}

fn of_clock(found: &Captures<'_>) -> Option<Stamp> {
    let fraction = found.get(4).map_or("", |digits| digits.as_str());
    let at = |group: usize| number(found, group);
    let seconds = at(1)? * 3_600 + at(2)? * 60 + at(3)?;
    Some(Stamp { time: seconds * SECOND + nanoseconds(fraction), known: Known::Clock, step: step(fraction) })
}

fn of_epoch(found: &Captures<'_>) -> Option<Stamp> {
    let fraction = (2..=5).find_map(|group| found.get(group)).map_or("", |digits| digits.as_str());
    let time = number(found, 1)?.checked_mul(SECOND)?.checked_add(nanoseconds(fraction))?;
    Some(Stamp { time, known: Known::Moment, step: step(fraction) })
}

fn of_day(found: &Captures<'_>) -> Option<Stamp> {
    let month = number(found, 1).or_else(|| month_of(found.get(3)?.as_str()))?;
    let day = number(found, 2).or_else(|| number(found, 4))?;
    let fraction = found.get(8).map_or("", |digits| digits.as_str());
    let at = |group: usize| number(found, group).and_then(|number| i8::try_from(number).ok());
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let nanosecond = i32::try_from(nanoseconds(fraction)).ok()?;
    let time = moment(DateTime::new(LEAP_YEAR, month, day, at(5)?, at(6)?, at(7)?, nanosecond).ok()?)?;
    Some(Stamp { time, known: Known::Day, step: step(fraction) })
}

/// Nanoseconds since 1970 of a time in UTC.
fn moment(civil: DateTime) -> Option<i64> {
    i64::try_from(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond()).ok()
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
    let time = moment(civil.ok()?)?.checked_sub(offset(zone) * SECOND)?;
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
            "W1126 06:33:00.230714    4242 order.go:31] x",
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
    fn the_first_time_of_a_line_is_its_own() {
        let near = |line: &str| Stamp::first(line).map(|(_, stamp)| stamp.near(MOMENT).0 - MOMENT.0);
        for line in [
            "E1125 22:33:00.230714123 4242 order.go:31] deadline was 2026-11-25 22:32:00",
            "Nov 25 22:33:00.230714123 host order[1]: last at 1795645900",
            "{\"ts\":1795645980.230714123,\"msg\":\"since 2026-11-24 00:00:00\"}",
            "2026-11-25T22:33:00.230714123Z id=1795640000",
            "22:33:00.230714123 [main] ERROR x",
        ] {
            assert_eq!(near(line), Some(0), "{line}");
        }
        assert_eq!(near("23:33:00.230714123 x"), Some(3_600 * SECOND));
        assert_eq!(near("Dec 25 22:33:00.230714123 x"), Some(30 * DAY_LENGTH));
        assert_eq!(near("no time at all 12:30"), None);
        // Around the turn of the year, a day without its year is the nearest one.
        let new_year = Timestamp(1_798_761_600_000_000_000);
        let (_, stamp) = Stamp::first("E1231 23:59:59.000000 1 x.go:1] x").unwrap();
        assert_eq!(stamp.near(new_year).0 - new_year.0, -SECOND);
    }

    #[test]
    fn other_times_are_far() {
        assert_eq!(distances("2026-11-25T22:33:02Z x"), [1_769_285_877]);
        assert!(distances("2025-11-25 22:33:00 x")[0].abs() > 300 * 86_400 * SECOND);
        assert_eq!(distances("uid=7, 12:30, 2026-13-45 99:99:99, 123456789"), Vec::<i64>::new());
    }
}
