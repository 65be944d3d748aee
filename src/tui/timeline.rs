//! Calls over time by class, from the first to the last: what the strip above the calls shows.

use super::theme::class_index;
use crate::calls::Class;
use crate::calls::intervals::{CLASSES, Counts, Intervals, add};
use crate::time::Timestamp;

/// The most intervals: several for each column, so that the columns of any screen are nearly filled.
const INTERVALS: usize = 512;
/// Width of an interval at first, nanoseconds; small, so that short captures have several.
const FINEST: i64 = 1_000_000;
/// The classes of failed calls.
const FAILED: [Class; 4] = [Class::Business, Class::Rpc, Class::Transport, Class::Unanswered];

/// Calls by the time of their beginning.
#[derive(Clone, Debug)]
pub(super) struct Timeline(Intervals);

impl Default for Timeline {
    fn default() -> Self {
        Self(Intervals::new(INTERVALS, FINEST, |width| width.saturating_mul(2)))
    }
}

impl Timeline {
    /// Counts a call.
    pub(super) fn add(&mut self, time: Timestamp, class: Option<Class>) {
        self.0.add(time, class);
    }

    /// The same in at most `columns` parts.
    pub(super) fn columns(&self, columns: usize) -> Columns {
        let per = self.0.counts().len().div_ceil(columns.max(1)).max(1);
        let all: Vec<Counts> = self.0.counts().iter().copied().collect();
        let parts = all.chunks(per).map(|part| {
            let mut sum = [0; CLASSES];
            for counts in part {
                add(&mut sum, counts);
            }
            sum
        });
        let width = self.0.width().saturating_mul(per as i64);
        Columns { begin: self.0.begin(), width, parts: parts.collect() }
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
        assert!((35..=70).contains(&columns.parts.len()), "at least half the room is used");
        assert_eq!(columns.part_of(Timestamp(-1)), None);
        assert_eq!(columns.part_of(Timestamp(i64::MAX)), None);
        let hidden = columns.without(|class| class == Some(Class::Rpc));
        assert!(hidden.parts.iter().all(|part| failed(part) == 0));
    }
}
