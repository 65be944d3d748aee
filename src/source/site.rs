//! Where files were captured, and how their clocks differ.

use std::path::PathBuf;

use hashbrown::HashMap;

use super::CapturePoint;
use crate::time::Timestamp;

/// The site of each file; files that are not listed have the default one.
pub type Sites = HashMap<PathBuf, Site>;

/// Where a file was captured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// The capture point.
    pub capture_point: CapturePoint,
    /// The correction of its clock.
    pub clock: ClockCorrection,
}

/// Converts times of one clock to another: one step for each capture point between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockCorrection {
    /// By how much each clock is ahead of the next one.
    pub leads: Vec<Lead>,
}

impl ClockCorrection {
    /// The time on the other clock.
    #[must_use]
    pub fn correct(&self, time: Timestamp) -> Timestamp {
        self.leads.iter().fold(time, |time, lead| Timestamp(time.0.saturating_sub(lead.at(time))))
    }
}

/// By how much one clock is ahead of another: linear over the time in which both were compared, constant before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lead {
    /// Start of the comparison, on this clock.
    pub from: Timestamp,
    /// End of the comparison.
    pub until: Timestamp,
    /// Nanoseconds ahead at the start; negative if behind.
    pub offset: i64,
    /// Nanoseconds gained per nanosecond.
    pub drift: f64,
}

impl Lead {
    /// Nanoseconds ahead when the clock shows `time`.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> i64 {
        let inside = time.max(self.from).min(self.until);
        self.offset.saturating_add(((inside - self.from) as f64 * self.drift).round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_way_is_taken_by_its_own_clock() {
        let far = Lead { from: Timestamp(0), until: Timestamp(1_000_000), offset: 500, drift: 1e-3 };
        let near = Lead { offset: -30, until: Timestamp(i64::MAX), ..Lead::default() };
        let clock = ClockCorrection { leads: vec![far, near] };
        assert_eq!(clock.correct(Timestamp(0)), Timestamp(-470));
        assert_eq!(clock.correct(Timestamp(100_000)), Timestamp(100_000 - 600 + 30));
        assert_eq!(clock.correct(Timestamp(3_000_000)), Timestamp(3_000_000 - 1_500 + 30), "level behind");
        assert_eq!(clock.correct(Timestamp(-9)), Timestamp(-9 - 500 + 30), "level before");
        assert_eq!(ClockCorrection::default().correct(Timestamp(7)), Timestamp(7));
    }
}
