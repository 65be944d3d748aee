//! Calls over time by class, in equal intervals that widen as the time does: behind the strip of the interface and the chart of reports.

use std::collections::VecDeque;

use super::Class;
use crate::time::Timestamp;

/// The number of classes, with the unknown one.
pub const CLASSES: usize = Class::ALL.len() + 1;

/// Index of a class in arrays of [`CLASSES`]; the unknown class is the last.
#[must_use]
pub fn index(class: Option<Class>) -> usize {
    class.map_or(CLASSES - 1, |class| class as usize)
}

/// Numbers of calls by class, at their [`index`].
pub type Counts = [u32; CLASSES];

/// Calls by the time of their beginning.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// The most intervals; with more, they widen.
    most: usize,
    /// The width after a width: a multiple of it.
    wider: fn(i64) -> i64,
    /// Nanoseconds; intervals begin at whole multiples of it.
    width: i64,
    /// The multiple of the first interval.
    first: i64,
    counts: VecDeque<Counts>,
}

impl Intervals {
    /// At most `most` intervals, of `finest` nanoseconds at first. `wider` names the next width, a multiple of the one before.
    #[must_use]
    pub fn new(most: usize, finest: i64, wider: fn(i64) -> i64) -> Self {
        Self { most, wider, width: finest, first: 0, counts: VecDeque::new() }
    }

    /// Counts a call.
    pub fn add(&mut self, time: Timestamp, class: Option<Class>) {
        let mut at = time.0.div_euclid(self.width);
        if self.counts.is_empty() {
            self.first = at;
        }
        loop {
            let last = self.first + self.counts.len() as i64 - 1;
            if at.max(last) - at.min(self.first) < self.most as i64 {
                break;
            }
            self.widen();
            at = time.0.div_euclid(self.width);
        }
        while at < self.first {
            self.counts.push_front([0; CLASSES]);
            self.first -= 1;
        }
        let place = (at - self.first) as usize;
        if self.counts.len() <= place {
            self.counts.resize(place + 1, [0; CLASSES]);
        }
        let count = &mut self.counts[place][index(class)];
        *count = count.saturating_add(1);
    }

    /// Makes one interval of several.
    fn widen(&mut self) {
        let width = (self.wider)(self.width);
        let factor = width / self.width;
        let first = self.first.div_euclid(factor);
        let mut wide: VecDeque<Counts> = VecDeque::new();
        for (at, counts) in (self.first..).zip(&self.counts) {
            if (at.div_euclid(factor) - first) as usize == wide.len() {
                wide.push_back(*counts);
            } else if let Some(last) = wide.back_mut() {
                add(last, counts);
            }
        }
        (self.width, self.first, self.counts) = (width, first, wide);
    }

    /// The width of an interval, nanoseconds.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    /// Where the first interval begins.
    #[must_use]
    pub fn begin(&self) -> Timestamp {
        Timestamp(self.first.saturating_mul(self.width))
    }

    /// All intervals from the first to the last with calls.
    #[must_use]
    pub fn counts(&self) -> &VecDeque<Counts> {
        &self.counts
    }
}

/// Adds the counts of another interval.
pub fn add(sum: &mut Counts, counts: &Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(intervals: &Intervals, class: Option<Class>) -> u32 {
        intervals.counts().iter().map(|counts| counts[index(class)]).sum()
    }

    #[test]
    fn no_call_is_lost_however_times_come_and_widths_grow() {
        for wider in [|width| width * 2, |width| width * 10] {
            for step in [1_i64, 7_000, 1_000_000, 3_600_000_000_000] {
                let mut intervals = Intervals::new(160, 1_000_000, wider);
                for n in 0..1_000_i64 {
                    // Back and forth.
                    let at = if n % 2 == 0 { n } else { -n };
                    let class = if n % 10 == 0 { Class::Rpc } else { Class::Ok };
                    intervals.add(Timestamp(1_767_317_649_000_000_000 + at * step), Some(class));
                }
                assert_eq!((sum(&intervals, Some(Class::Ok)), sum(&intervals, Some(Class::Rpc))), (900, 100));
                assert!(intervals.counts().len() <= 160);
                assert_ne!(intervals.counts().front(), Some(&[0; CLASSES]), "the first has calls");
            }
            let mut intervals = Intervals::new(160, 1_000_000, wider);
            for time in [i64::MIN, 0, i64::MAX, i64::MAX - 1] {
                intervals.add(Timestamp(time), None);
            }
            assert_eq!(sum(&intervals, None), 4);
        }
    }

    #[test]
    fn a_call_is_in_the_interval_of_its_time() {
        let mut intervals = Intervals::new(50, 1_000, |width| width * 10);
        for n in 0..300_i64 {
            intervals.add(Timestamp(n * 1_000), Some(if n == 234 { Class::Rpc } else { Class::Ok }));
        }
        let failed = intervals.counts().iter().position(|counts| counts[index(Some(Class::Rpc))] > 0);
        assert_eq!((intervals.width(), intervals.begin(), failed), (10_000, Timestamp(0), Some(23)));
    }
}
