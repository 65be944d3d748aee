//! Time as packets tell it.

use std::ops::{Add, Sub};

/// Nanoseconds since the Unix epoch, UTC. Negative before 1970 (capture clocks are sometimes wrong).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Nanoseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
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
