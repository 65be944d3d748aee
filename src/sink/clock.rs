//! Time formats (`-t`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::ValueEnum;
use jiff::tz::TimeZone;

use crate::time::Timestamp;

/// Time formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeFormat {
    /// The time of day in the local time zone (`TZ`).
    #[default]
    #[value(alias("a"))]
    Local,
    /// The same with the date; also `ad`, as in tshark, and `-tttt`, as in tcpdump.
    #[value(alias("ad"), alias("ttt"))]
    Date,
    /// UTC.
    #[value(alias("u"))]
    Utc,
    /// UTC with the date.
    #[value(alias("ud"))]
    UtcDate,
    /// Seconds since the first packet.
    #[value(alias("r"), alias("tttt"))]
    Relative,
    /// Seconds since the call that began before it, of those above.
    #[value(alias("d"), alias("dd"), alias("tt"))]
    Delta,
    /// Seconds since 1970.
    #[value(alias("e"), alias("t"))]
    Epoch,
}

impl TimeFormat {
    /// The names of all formats.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::value_variants().iter().map(|format| format.name()).collect()
    }

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|format| format.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Date => "date",
            Self::Utc => "utc",
            Self::UtcDate => "utc-date",
            Self::Relative => "relative",
            Self::Delta => "delta",
            Self::Epoch => "epoch",
        }
    }

    /// The zone of times of day. Call this before the sandbox hides the files of time zones.
    #[must_use]
    pub fn zone(self) -> TimeZone {
        if matches!(self, Self::Utc | Self::UtcDate) { TimeZone::UTC } else { TimeZone::system() }
    }
}

/// Starts of records that a later one may follow: records come nearly in the order of time.
const RECENT: usize = 4_096;

/// Formats times; remembers the reference of relative ones.
#[derive(Clone, Debug)]
pub struct Clock {
    format: TimeFormat,
    zone: TimeZone,
    full: bool,
    reference: Option<Timestamp>,
    /// The latest starts, of [`TimeFormat::Delta`].
    recent: BTreeSet<Timestamp>,
}

impl Clock {
    /// `full`: with date and microseconds (`2026-01-02 15:04:05.123456`), else `15:04:05.123`.
    #[must_use]
    pub fn new(format: TimeFormat, full: bool) -> Self {
        Self { format, zone: format.zone(), full, reference: None, recent: BTreeSet::new() }
    }

    /// Width of every time in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        match (self.format, self.full) {
            (TimeFormat::Local | TimeFormat::Date | TimeFormat::Utc | TimeFormat::UtcDate, true) => 26,
            (TimeFormat::Date | TimeFormat::UtcDate, false) => 23,
            (TimeFormat::Epoch, _) => 17,
            _ => 12,
        }
    }

    /// Sets what relative times count from; without it, that is the time of the first record.
    pub fn begin(&mut self, first: Timestamp) {
        if self.format == TimeFormat::Relative {
            self.reference = Some(first);
        }
    }

    /// Appends the time of the next record.
    pub fn push(&mut self, out: &mut String, time: Timestamp) {
        match self.format {
            TimeFormat::Local | TimeFormat::Utc => self.push_date(out, time, self.full),
            TimeFormat::Date | TimeFormat::UtcDate => self.push_date(out, time, true),
            TimeFormat::Epoch => push_seconds(out, time.since(Timestamp(0)), 10),
            TimeFormat::Relative => {
                // Earlier only where the clock of the capture ran backwards.
                push_seconds(out, time.since(*self.reference.get_or_insert(time)), 5);
            }
            TimeFormat::Delta => {
                // Records come in the order in which calls ended, so the one above may have begun later.
                let before = self.recent.range(..=time).next_back().copied();
                push_seconds(out, time.since(before.unwrap_or(time)), 5);
                self.recent.insert(time);
                if self.recent.len() > RECENT {
                    self.recent.pop_first();
                }
            }
        }
    }

    fn push_date(&self, out: &mut String, time: Timestamp, dated: bool) {
        // Every i64 of nanoseconds is a time that jiff knows.
        let instant = jiff::Timestamp::from_nanosecond(time.0.into()).unwrap_or_default();
        let at = self.zone.to_datetime(instant);
        if dated {
            // Writing to a String can't fail.
            _ = write!(out, "{:04}-{:02}-{:02} ", at.year(), at.month(), at.day());
        }
        _ = write!(out, "{:02}:{:02}:{:02}.", at.hour(), at.minute(), at.second());
        let nanoseconds = at.subsec_nanosecond();
        _ = if self.full {
            write!(out, "{:06}", nanoseconds / 1_000)
        } else {
            write!(out, "{:03}", nanoseconds / 1_000_000)
        };
    }
}

/// Seconds with microseconds, aligned at the point: `    0.003200`.
fn push_seconds(out: &mut String, nanoseconds: u64, width: usize) {
    let microseconds = nanoseconds / 1_000;
    // Writing to a String can't fail.
    _ = write!(out, "{:>width$}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: TimeFormat, full: bool, times: &[i64]) -> Vec<String> {
        let mut clock = Clock::new(format, full);
        times
            .iter()
            .map(|time| {
                let mut out = String::new();
                clock.push(&mut out, Timestamp(*time));
                assert_eq!(out.len(), clock.width());
                out
            })
            .collect()
    }

    #[test]
    fn each_format_shows_its_time() {
        let start = 1_767_317_649_120_456_789;
        let times = [start, start + 1_500_000_000, start - 250_000];
        assert_eq!(
            shown(TimeFormat::Utc, true, &times[..2]),
            ["2026-01-02 01:34:09.120456", "2026-01-02 01:34:10.620456"]
        );
        assert_eq!(shown(TimeFormat::Utc, false, &times[..1]), ["01:34:09.120"]);
        assert_eq!(
            shown(TimeFormat::Relative, true, &times),
            ["    0.000000", "    1.500000", "    0.000000"]
        );
        assert_eq!(shown(TimeFormat::Delta, true, &times), ["    0.000000", "    1.500000", "    0.000000"]);
        // The third began before the second, and the fourth follows the second.
        let times = [start, start + 3_000_000_000, start + 1_000_000_000, start + 3_500_000_000];
        assert_eq!(
            shown(TimeFormat::Delta, true, &times),
            ["    0.000000", "    3.000000", "    1.000000", "    0.500000"]
        );
        // Most starts are forgotten.
        let many: Vec<i64> = (0..2 * RECENT as i64).map(|n| start + n * 1_000_000).collect();
        assert!(shown(TimeFormat::Delta, true, &many)[1..].iter().all(|since| since == "    0.001000"));
        assert_eq!(shown(TimeFormat::Utc, true, &[i64::MIN, i64::MAX]).len(), 2);
        assert_eq!(shown(TimeFormat::UtcDate, false, &times[..1]), ["2026-01-02 01:34:09.120"]);
        assert_eq!(shown(TimeFormat::Epoch, false, &times[..1]), ["1767317649.120456"]);
    }

    #[test]
    fn relative_times_count_from_the_beginning() {
        let mut clock = Clock::new(TimeFormat::Relative, false);
        clock.begin(Timestamp(1_000_000_000));
        for (time, expected) in [(3_000_000_000, "    2.000000"), (1_500_000_000, "    0.500000")] {
            let mut out = String::new();
            clock.push(&mut out, Timestamp(time));
            assert_eq!(out, expected);
        }
        let mut delta = Clock::new(TimeFormat::Delta, false);
        delta.begin(Timestamp(1_000_000_000));
        let mut out = String::new();
        delta.push(&mut out, Timestamp(3_000_000_000));
        assert_eq!(out, "    0.000000");
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for format in TimeFormat::value_variants() {
            let value = format.to_possible_value().unwrap();
            assert_eq!(value.get_name(), format.name());
            assert_eq!(TimeFormat::from_name(format.name()), Some(*format));
        }
        // tcpdump's and tshark's.
        for (typed, format) in [
            ("t", TimeFormat::Epoch),
            ("tt", TimeFormat::Delta),
            ("ttt", TimeFormat::Date),
            ("tttt", TimeFormat::Relative),
            ("ad", TimeFormat::Date),
            ("ud", TimeFormat::UtcDate),
        ] {
            assert_eq!(TimeFormat::from_str(typed, false), Ok(format));
        }
    }

    #[test]
    fn local_time_follows_the_zone() {
        let mut clock = Clock::new(TimeFormat::Local, false);
        clock.zone = TimeZone::fixed(jiff::tz::offset(8));
        let mut out = String::new();
        clock.push(&mut out, Timestamp(0));
        assert_eq!(out, "08:00:00.000");
    }
}
