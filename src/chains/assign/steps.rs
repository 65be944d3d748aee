//! The densities of steps, looked up once for all walks of a part.

use std::cell::RefCell;

use super::gaps::{Next, Step, Table, bin};

/// Kinds of [`Next`].
const KINDS: usize = 4;

/// The density of a step with its gap.
#[derive(Clone, Copy)]
pub(super) struct Density {
    /// What kind of step it is.
    pub(super) next: Next,
    pub(super) bin: u8,
    pub(super) value: f64,
}

impl Density {
    /// Not looked up yet.
    pub(super) const NONE: Self = Self { next: Next::Answer, bin: 0, value: 0.0 };
}

/// Looks steps up once per kind, by numbers that are dense within the part.
pub(super) struct Steps<'a> {
    table: &'a Table,
    /// Classes of children in the part.
    classes: usize,
    /// Where the densities of a step begin, by parent class, state and next step; 0 unknown yet, 1 none, else plus 2.
    known: RefCell<Vec<u32>>,
}

/// Most entries of [`Steps::known`]; where classes are too many for it, every step is looked up anew.
const MAX_KNOWN: usize = 1 << 22;

/// A step by its dense numbers: the classes of parent and child as the part numbers them.
#[derive(Clone, Copy)]
pub(super) struct Dense {
    pub(super) parent: u32,
    /// 0 for the request ([`super::gaps::State::Request`]), else the class plus 1.
    pub(super) state: u32,
    /// Class of the next child; 0 for the answer.
    pub(super) next: u32,
}

impl<'a> Steps<'a> {
    /// Nothing looked up yet.
    pub(super) fn new(table: &'a Table, parents: usize, classes: usize) -> Self {
        let size = parents * (classes + 1) * KINDS * classes.max(1);
        let known = RefCell::new(vec![0; if size <= MAX_KNOWN { size } else { 0 }]);
        Self { table, classes: classes.max(1), known }
    }

    /// The density of a step; 0 where it is below `least`.
    pub(super) fn look(&self, dense: Dense, step: Step, gap: i64, least: f64) -> Density {
        let kind = match step.2 {
            Next::After(_) => 0,
            Next::Beside(_) => 1,
            Next::FromRequest(_) => 2,
            Next::Answer => 3,
        };
        let state = dense.parent as usize * (self.classes + 1) + dense.state as usize;
        let slot = (state * KINDS + kind) * self.classes + dense.next as usize;
        let place = match self.known.borrow_mut().get_mut(slot) {
            None => self.table.step(step),
            Some(known) => {
                if *known == 0 {
                    *known = self.table.step(step).map_or(1, |place| place + 2);
                }
                known.checked_sub(2)
            }
        };
        let bin = bin(gap);
        let value = if place.is_none() && least > 0.0 { 0.0 } else { self.table.density(place, bin) };
        Density { next: step.2, bin: bin as u8, value: if value < least { 0.0 } else { value } }
    }
}
