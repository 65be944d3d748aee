//! How much work is done before keys and packets are looked at again: a regular expression may take long for each of a million rows.

use std::time::{Duration, Instant};

/// Half of the time between two drawings.
const SLICE: Duration = Duration::from_millis(8);
/// Steps between two looks at the clock.
const STEPS: usize = 8;

/// The length of a slice of work.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tui) enum Pace {
    /// [`SLICE`].
    #[default]
    Time,
    /// So many steps.
    #[cfg(test)]
    Steps(usize),
}

/// A slice of work that has begun.
#[derive(Debug)]
pub(in crate::tui) struct Slice {
    pace: Pace,
    began: Instant,
    steps: usize,
}

impl Pace {
    pub(in crate::tui) fn begin(self) -> Slice {
        Slice { pace: self, began: Instant::now(), steps: 0 }
    }
}

impl Slice {
    /// Whether there is room for another step; always for the first one, so that each slice gets on.
    pub(in crate::tui) fn has_room(&mut self) -> bool {
        self.steps += 1;
        match self.pace {
            Pace::Time => !self.steps.is_multiple_of(STEPS) || self.began.elapsed() < SLICE,
            #[cfg(test)]
            Pace::Steps(most) => self.steps <= most,
        }
    }
}
