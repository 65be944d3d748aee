//! `--from` and `--to`: a part of the capture's time.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use crate::time::Timestamp;

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With date and zone.
    Exact(Timestamp),
    /// With a date, in the zone in which times are printed.
    Dated(DateTime),
    /// On a day of the capture.
    Daily(Time),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            let time = i64::try_from(moment.as_nanosecond()).map_err(|_| "out of range".to_owned())?;
            return Ok(Self::Exact(Timestamp(time)));
        }
        // A day alone would be read as its midnight.
        if text.contains(':') {
            let clock = || {
                text.split(':').all(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.len() >= 2)
            };
            if let Some(time) = text.parse().ok().filter(|_| !text.contains('-') && clock()) {
                return Ok(Self::Daily(time));
            }
            if let Ok(date) = text.parse() {
                return Ok(Self::Dated(date));
            }
        }
        Err("expected a time such as 22:33:00 (on a day of the capture), 2026-11-25T22:33:00 or 2026-11-25T22:33:00Z".to_owned())
    }
}

/// The part of the time that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Window {
    /// The window of a capture that begins and ends at `span`; times without a zone are those of `zone`.
    #[must_use]
    pub fn new(
        from: Option<Moment>,
        to: Option<Moment>,
        (first, last): (Timestamp, Timestamp),
        zone: &TimeZone,
    ) -> Self {
        let from = from.map(|moment| resolve(moment, first, last, zone));
        // The end comes after the beginning, also over midnight.
        let to =
            to.map(|moment| resolve(moment, from.unwrap_or(first), last.max(from.unwrap_or(first)), zone));
        Self { from, to }
    }

    /// Whether something that lasts from `start` to `end` is in it.
    #[must_use]
    pub fn holds(&self, start: Timestamp, end: Timestamp) -> bool {
        self.from.is_none_or(|from| end >= from) && self.to.is_none_or(|to| start <= to)
    }

    /// Whether it ends before it begins, so that nothing is in it.
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| to < from)
    }

    /// Whether it is all of the time.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// The moment; of a time of day, the first one that lies in the capture, or else the one nearest to its beginning.
fn resolve(moment: Moment, first: Timestamp, last: Timestamp, zone: &TimeZone) -> Timestamp {
    let at = |civil: DateTime| {
        let zoned = civil.to_zoned(zone.clone()).ok()?;
        i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(Timestamp)
    };
    match moment {
        Moment::Exact(time) => time,
        Moment::Dated(date) => at(date).unwrap_or(first),
        Moment::Daily(time) => {
            let begin = jiff::Timestamp::from_nanosecond(first.0.into()).unwrap_or_default();
            let today = zone.to_datetime(begin).date();
            let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
            let all: Vec<Timestamp> =
                days.into_iter().flatten().filter_map(|day| at(day.to_datetime(time))).collect();
            let within = all.iter().copied().find(|at| *at >= first && *at <= last);
            let nearest = || all.iter().copied().min_by_key(|at| at.0.abs_diff(first.0));
            within.or_else(nearest).unwrap_or(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64)
    }

    fn window(from: &str, to: &str, hours: i64, zone: i8) -> Window {
        let first = at("2026-11-25T22:30:00Z");
        let last = Timestamp(first.0 + hours * 3_600 * SECOND);
        let moment = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Window::new(moment(from), moment(to), (first, last), &TimeZone::fixed(jiff::tz::offset(zone)))
    }

    #[test]
    fn times_of_day_are_those_of_the_capture() {
        let holds = |window: Window, time: &str| window.holds(at(time), at(time));
        let hour = window("22:33", "22:34:00", 1, 0);
        assert!(holds(hour, "2026-11-25T22:33:30Z"));
        assert!(!holds(hour, "2026-11-25T22:32:59Z") && !holds(hour, "2026-11-25T22:34:01Z"));
        assert!(
            hour.holds(at("2026-11-25T22:00:00Z"), at("2026-11-25T23:00:00Z")),
            "a call that lasts across it"
        );
        // In the zone in which times are printed.
        assert!(holds(window("06:33", "", 1, 8), "2026-11-25T22:33:30Z"));
        assert!(!holds(window("06:33", "", 1, 8), "2026-11-25T22:32:30Z"));
        // Over midnight.
        let night = window("23:30", "00:30", 4, 0);
        assert!(holds(night, "2026-11-26T00:10:00Z") && !holds(night, "2026-11-26T00:40:00Z"));
        // Before the capture, and after it.
        assert!(holds(window("22:00", "22:31", 1, 0), "2026-11-25T22:30:30Z"));
        assert!(holds(window("", "23:59", 1, 0), "2026-11-25T23:30:00Z"));
        let dated = window("2026-11-25T22:33:00Z", "2026-11-26 06:34", 1, 8);
        assert!(holds(dated, "2026-11-25T22:33:30Z") && !holds(dated, "2026-11-25T22:34:30Z"));
        assert!(window("", "", 1, 0).is_all());
        // Nothing is between a time and an earlier one, but over midnight of the capture.
        assert!(window("22:33", "22:00", 1, 0).is_inverted());
        assert!(window("2026-11-25T22:33:00Z", "2026-11-25T22:32:00Z", 1, 0).is_inverted());
        assert!(!night.is_inverted() && !hour.is_inverted() && !dated.is_inverted());
        assert!(!window("22:33", "22:33", 1, 0).is_inverted() && !window("23:00", "", 1, 0).is_inverted());
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["", "soon", "25:00", "12", "2026-11-25", "9:5", "-1:00", "22:33:00 o'clock"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
