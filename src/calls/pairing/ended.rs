//! The last ids of a connection whose calls are over.
//!
//! Ids mostly rise by the same step, so they are kept as runs: most connections need one, which takes no allocation.

use rpcscope_parsers::CallId;
use smallvec::SmallVec;

use super::MAX_ENDED;

/// Kind and number of an id; `None` for one without a number.
fn parts(id: CallId) -> Option<(u8, i64)> {
    match id {
        CallId::Request(number) => Some((0, number)),
        CallId::Loose(number) => Some((1, number)),
        CallId::Stream(number) => Some((2, number)),
        CallId::Order => None,
    }
}

/// Ids of one kind that ended one after the other, each `step` above the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    last: i64,
    /// Not 0, unless there is none.
    step: u32,
    /// At most [`MAX_ENDED`].
    count: u8,
    kind: u8,
}

impl Run {
    fn contains(&self, kind: u8, number: i64) -> bool {
        self.kind == kind
            && number <= self.last
            && match self.last.abs_diff(number) {
                0 => true,
                below => {
                    let step = u64::from(self.step);
                    below < u64::from(self.count) * step && below.is_multiple_of(step)
                }
            }
    }

    /// Adds an id if it continues the run.
    fn extend(&mut self, kind: u8, number: i64) -> bool {
        let step = if number > self.last { number.abs_diff(self.last) } else { 0 };
        let Ok(step @ 1..) = u32::try_from(step) else { return false };
        let continues = kind == self.kind && (self.count == 1 || step == self.step);
        if continues {
            (self.last, self.step) = (number, step);
            self.count += 1;
        }
        continues
    }
}

/// The last [`MAX_ENDED`] ids.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The last run.
    last: Run,
    /// Those before it, oldest first. Boxed, because few connections have any.
    older: Option<Box<SmallVec<[Run; 4]>>>,
    /// Ids in all runs.
    len: usize,
}

impl Ended {
    #[inline]
    pub(super) fn push(&mut self, id: CallId) {
        let Some((kind, number)) = parts(id) else { return };
        if self.len == MAX_ENDED {
            self.forget_oldest();
        }
        self.len += 1;
        if !self.last.extend(kind, number) {
            self.begin(Run { last: number, step: 1, count: 1, kind });
        }
    }

    fn begin(&mut self, run: Run) {
        let before = std::mem::replace(&mut self.last, run);
        if before.count > 0 {
            self.keep(before);
        }
    }

    // Apart, as is what forgets: the usual id continues a run, or is the first.
    #[inline(never)]
    fn keep(&mut self, run: Run) {
        self.older.get_or_insert_default().push(run);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, id: CallId) -> bool {
        let older = self.older.iter().flat_map(|older| older.iter());
        parts(id).is_some_and(|(kind, number)| {
            self.last.contains(kind, number) || { older }.any(|run| run.contains(kind, number))
        })
    }

    #[inline(never)]
    fn forget_oldest(&mut self) {
        self.len -= 1;
        match self.older.as_mut().filter(|older| !older.is_empty()) {
            None => self.last.count -= 1,
            Some(older) => {
                older[0].count -= 1;
                if older[0].count == 0 {
                    older.remove(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_ids_are_those_of_a_plain_list(
            steps in prop::collection::vec((0u8..12, prop_oneof![-2i64..6, any::<i64>()]), 0..300),
        ) {
            let mut ended = Ended::default();
            let mut model = VecDeque::new();
            let (mut number, mut seen) = (0_i64, vec![CallId::Order]);
            for (step, jump) in steps {
                // Mostly small steps of one kind, as on the wire.
                number = if step == 0 { jump } else { number.saturating_add(jump.clamp(-2, 5)) };
                let id = match step {
                    1 => CallId::Request(number),
                    2 => CallId::Stream(number),
                    _ => CallId::Loose(number),
                };
                ended.push(id);
                if model.len() == MAX_ENDED {
                    model.pop_front();
                }
                model.push_back(id);
                let beside = number.saturating_add(1);
                seen.extend([id, CallId::Loose(beside), CallId::Request(beside)]);
            }
            for id in seen {
                prop_assert_eq!(ended.contains(id), model.contains(&id), "{:?}", id);
            }
        }
    }

    #[test]
    fn rising_ids_take_no_allocation() {
        let mut ended = Ended::default();
        (0..1000).for_each(|stream| ended.push(CallId::Stream(2 * stream + 1)));
        assert!(ended.older.is_none());
        assert_eq!(ended.len, MAX_ENDED);
        assert!(ended.contains(CallId::Stream(1999)) && !ended.contains(CallId::Stream(1998)));
    }
}
