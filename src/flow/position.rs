//! Arithmetic on sequence numbers.

use std::ops::{Add, Sub};

/// A sequence number that does not wrap: its lower 32 bits are the number on the wire.
///
/// A connection starts at 2³² plus its first number, so that a place up to 2³¹ bytes before the first one seen still is a
/// valid position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

impl Position {
    /// Behind all others.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// The position of the first sequence number seen on a stream.
    pub(super) fn first(seq: u32) -> Self {
        Self((1 << 32) + u64::from(seq))
    }

    /// The position with this sequence number that is nearest to `self` (RFC 9293, section 3.4: comparisons are modulo
    /// 2³²).
    pub(super) fn near(self, seq: u32) -> Self {
        let distance = seq.wrapping_sub(self.0 as u32) as i32;
        Self(self.0.saturating_add_signed(i64::from(distance)))
    }

    /// The number on the wire.
    pub(super) fn number(self) -> u32 {
        self.0 as u32
    }

    /// The position `bytes` before this one.
    pub(super) fn back(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }
}

impl Add<u64> for Position {
    type Output = Self;

    fn add(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl Sub for Position {
    type Output = u64;

    /// Bytes from `earlier` to this position; 0 if `earlier` is later.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_position_is_taken_across_the_wrap() {
        let last = Position::first(u32::MAX);
        assert_eq!(last.near(0), last + 1);
        assert_eq!(last.near(4) - last, 5);
        assert_eq!((last + 1).near(u32::MAX), last);
    }

    #[test]
    fn positions_before_the_first_exist() {
        let first = Position::first(0);
        assert!(first.near(u32::MAX) < first);
        assert_eq!(first - first.near(u32::MAX - 99), 100);
        assert_eq!(first.near(u32::MAX) - first, 0);
    }

    #[test]
    fn several_rounds_go_on_upwards() {
        let mut at = Position::first(7);
        let start = at;
        for _ in 0..10 {
            at = at.near((at.0 as u32).wrapping_add(0x6000_0000));
        }
        assert_eq!(at - start, 10 * 0x6000_0000);
    }
}
