//! Calls over time by class, from the first to the last: what the strip above the calls shows.

use std::collections::VecDeque;

use super::theme::{CLASSES, class_index};
use crate::calls::Class;
use crate::time::Timestamp;

/// The most buckets; with more, neighbours become one.
const BUCKETS: usize = 512;
/// Width of a bucket at first, nanoseconds; small, so that short captures have several.
const FIRST_WIDTH: i64 = 1_000_000;
/// The classes of failed calls.
const FAILED: [Class; 4] = [Class::Business, Class::Rpc, Class::Transport, Class::Unanswered];

/// Numbers of calls by class.
pub(super) type Counts = [u32; CLASSES];

/// Calls by the time of their beginning.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Width of a bucket, nanoseconds; buckets begin at whole multiples of it.
    width: i64,
    /// The multiple of the first bucket.
    first: i64,
    buckets: VecDeque<Counts>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, first: 0, buckets: VecDeque::new() }
    }
}

impl Timeline {
    /// Counts a call.
    pub(super) fn add(&mut self, time: Timestamp, class: Option<Class>) {
        let mut at = time.0.div_euclid(self.width);
        if self.buckets.is_empty() {
            self.first = at;
        }
        loop {
            let last = self.first + self.buckets.len() as i64 - 1;
            if at.max(last) - at.min(self.first) < BUCKETS as i64 {
                break;
            }
            self.halve();
            at = time.0.div_euclid(self.width);
        }
        while at < self.first {
            self.buckets.push_front([0; CLASSES]);
            self.first -= 1;
        }
        let index = (at - self.first) as usize;
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, [0; CLASSES]);
        }
        let count = &mut self.buckets[index][class_index(class)];
        *count = count.saturating_add(1);
    }

    /// Makes one bucket of two.
    fn halve(&mut self) {
        self.width *= 2;
        let first = self.first.div_euclid(2);
        let mut buckets: VecDeque<Counts> = VecDeque::with_capacity(BUCKETS);
        for (at, counts) in (self.first..).zip(&self.buckets) {
            if (at.div_euclid(2) - first) as usize == buckets.len() {
                buckets.push_back(*counts);
            } else if let Some(last) = buckets.back_mut() {
                add(last, counts);
            }
        }
        (self.first, self.buckets) = (first, buckets);
    }

    /// The same in at most `columns` parts.
    pub(super) fn columns(&self, columns: usize) -> Columns {
        let per = self.buckets.len().div_ceil(columns.max(1)).max(1);
        let begin = Timestamp(self.first.saturating_mul(self.width));
        let width = self.width.saturating_mul(per as i64);
        let buckets: Vec<Counts> = self.buckets.iter().copied().collect();
        let parts = buckets.chunks(per).map(|part| {
            let mut sum = [0; CLASSES];
            for counts in part {
                add(&mut sum, counts);
            }
            sum
        });
        Columns { begin, width, parts: parts.collect() }
    }
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

/// A time line in as many parts as the screen has room for.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Where the first part begins.
    pub begin: Timestamp,
    /// Time of each part, nanoseconds.
    pub width: i64,
    pub parts: Vec<Counts>,
}

impl Columns {
    /// Leaves out the classes that `hides` names.
    pub(super) fn without(mut self, hides: impl Fn(Option<Class>) -> bool) -> Self {
        for class in Class::ALL.iter().copied().map(Some).chain([None]).filter(|class| hides(*class)) {
            self.parts.iter_mut().for_each(|counts| counts[class_index(class)] = 0);
        }
        self
    }

    /// Where a part begins and the next one.
    pub(super) fn span(&self, part: usize) -> (Timestamp, Timestamp) {
        let at = |part: usize| Timestamp(self.begin.0.saturating_add(self.width.saturating_mul(part as i64)));
        (at(part), at(part + 1))
    }

    /// The part that a time is in.
    pub(super) fn part_of(&self, time: Timestamp) -> Option<usize> {
        let part = usize::try_from(time.0.checked_sub(self.begin.0)? / self.width).ok()?;
        (time >= self.begin && part < self.parts.len()).then_some(part)
    }
}

/// All calls of a part.
pub(super) fn all(counts: &Counts) -> u32 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// The failed calls of a part.
pub(super) fn failed(counts: &Counts) -> u32 {
    FAILED.iter().fold(0, |sum, class| sum.saturating_add(counts[class_index(Some(*class))]))
}

/// The class of most failed calls of a part; `None` if none failed.
pub(super) fn worst(counts: &Counts) -> Option<Class> {
    let count = |class: Class| counts[class_index(Some(class))];
    // Of equal ones the first, which are the surest failures.
    FAILED.into_iter().rev().max_by_key(|class| count(*class)).filter(|class| count(*class) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of ok and rpc calls of all parts.
    fn sums(timeline: &Timeline) -> (u32, u32) {
        let columns = timeline.columns(64);
        assert!(columns.parts.len() <= 64);
        let parts = columns.parts.iter();
        parts.fold((0, 0), |(ok, bad), part| (ok + all(part) - failed(part), bad + failed(part)))
    }

    #[test]
    fn nothing_is_lost_however_times_come() {
        for step in [1_i64, 7_000, 1_000_000, 3_600_000_000_000] {
            let mut timeline = Timeline::default();
            for n in 0..1_000_i64 {
                // Back and forth.
                let at = if n % 2 == 0 { n } else { -n };
                let class = if n % 10 == 0 { Class::Rpc } else { Class::Ok };
                timeline.add(Timestamp(1_767_317_649_000_000_000 + at * step), Some(class));
            }
            assert_eq!(sums(&timeline), (900, 100), "{step}");
        }
        let mut timeline = Timeline::default();
        for time in [i64::MIN, 0, i64::MAX, i64::MAX - 1] {
            timeline.add(Timestamp(time), Some(Class::Rpc));
        }
        assert_eq!(sums(&timeline), (0, 4));
    }

    #[test]
    fn parts_have_the_times_of_their_calls() {
        let mut timeline = Timeline::default();
        for n in 0..3_000_i64 {
            timeline.add(Timestamp(n * 1_000_000_000), Some(if n == 2_345 { Class::Rpc } else { Class::Ok }));
        }
        let columns = timeline.columns(70);
        let part = columns.parts.iter().position(|part| failed(part) > 0).unwrap();
        let (from, to) = columns.span(part);
        assert!((from..to).contains(&Timestamp(2_345_000_000_000)));
        assert_eq!(columns.part_of(Timestamp(2_345_000_000_000)), Some(part));
        assert_eq!(worst(&columns.parts[part]), Some(Class::Rpc));
        assert!(columns.parts.len() >= 35, "at least half the room is used");
        assert_eq!(columns.part_of(Timestamp(-1)), None);
        assert_eq!(columns.part_of(Timestamp(i64::MAX)), None);
        let hidden = columns.without(|class| class == Some(Class::Rpc));
        assert!(hidden.parts.iter().all(|part| failed(part) == 0));
    }
}
