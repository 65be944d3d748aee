//! The densities of steps, looked up once for all walks of a slice.

use std::cell::RefCell;

use super::gaps::{GapTable, Next, Step, bin};

/// Kinds of [`Next`].
const KINDS: usize = 4;

/// The density of a step with its gap.
#[derive(Clone, Copy)]
pub(super) struct StepDensity {
    /// The bin of the gap.
    pub(super) bin: u8,
    /// Per nanosecond.
    pub(super) value: f64,
}

impl StepDensity {
    /// Of a step that was not looked up.
    pub(super) const NONE: Self = Self { bin: 0, value: 0.0 };
}

/// Looks each step up once, by numbers that are dense within the slice.
pub(super) struct StepCache<'a> {
    table: &'a GapTable,
    /// Classes of children in the slice.
    classes: usize,
    /// Where the densities of a step begin, by parent class, state and next step: 0 not looked up, 1 none, else plus 2.
    known: RefCell<Vec<u32>>,
}

/// Most entries of [`StepCache::known`]; with too many classes for it, nothing is cached.
const MAX_KNOWN: usize = 1 << 22;

/// A step by the dense numbers of its classes.
#[derive(Clone, Copy)]
pub(super) struct DenseStep {
    /// Class of the parent.
    pub(super) parent: u32,
    /// 0 for the request ([`super::gaps::State::Request`]), else the class of the last child plus 1.
    pub(super) state: u32,
    /// Class of the next child; 0 for the answer.
    pub(super) next: u32,
}

impl<'a> StepCache<'a> {
    /// An empty cache.
    pub(super) fn new(table: &'a GapTable, parents: usize, classes: usize) -> Self {
        let size = parents * (classes + 1) * KINDS * classes.max(1);
        let known = RefCell::new(vec![0; if size <= MAX_KNOWN { size } else { 0 }]);
        Self { table, classes: classes.max(1), known }
    }

    /// The density of a step; 0 if it is below `least`.
    pub(super) fn look(&self, dense: DenseStep, step: Step, gap: i64, least: f64) -> StepDensity {
        let kind = match step.2 {
            Next::After(_) => 0,
            Next::Beside(_) => 1,
            Next::FromRequest(_) => 2,
            Next::Answer => 3,
        };
        let state = dense.parent as usize * (self.classes + 1) + dense.state as usize;
        let slot = (state * KINDS + kind) * self.classes + dense.next as usize;
        let row = match self.known.borrow_mut().get_mut(slot) {
            None => self.table.step(step),
            Some(known) => {
                if *known == 0 {
                    *known = self.table.step(step).map_or(1, |row| row + 2);
                }
                known.checked_sub(2)
            }
        };
        let bin = bin(gap);
        let value = if row.is_none() && least > 0.0 { 0.0 } else { self.table.density(row, bin) };
        StepDensity { bin: bin as u8, value: if value < least { 0.0 } else { value } }
    }
}
