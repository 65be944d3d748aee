//! Densities of one call following another of the same parent, whichever class of parent that is.

use super::Span;
use super::gaps::{BINS, GapTable, Masses, Next, State, bin};

/// Most entries of [`Followers::rows`]; with too many classes for it, steps are looked up one by one.
const MAX_ROWS: usize = 1 << 18;

/// For each pair of classes of calls, the density of the second one following the first, by bin of the gap. Of the classes of
/// parents, the one that makes it most probable counts. Rows are filled when they are first used.
#[derive(Default)]
pub(super) struct Followers {
    /// Classes of parents that are searched.
    parents: Vec<u32>,
    /// Number of classes of calls.
    classes: usize,
    /// By kind of step, first and second class: 0 not filled, else the row plus 1.
    rows: Vec<u32>,
    densities: Vec<Masses>,
}

impl Followers {
    /// For calls of `classes` classes, numbered from 0. `parents` are the classes of parents that may make such steps.
    pub(super) fn new(parents: Vec<u32>, classes: usize) -> Self {
        let size = 2 * classes * classes;
        let rows = vec![0; if size <= MAX_ROWS { size } else { 0 }];
        Self { parents, classes, rows, densities: Vec::new() }
    }

    /// The density of `after` following `before`, per nanosecond. Both come with the number of their class.
    pub(super) fn density(
        &mut self,
        table: &GapTable,
        (before, first): (Span, u32),
        (after, second): (Span, u32),
    ) -> f64 {
        let is_after = after.start >= before.end;
        let (next, gap) = if is_after {
            (Next::After(after.class), after.start - before.end)
        } else {
            (Next::Beside(after.class), after.start - before.start)
        };
        let steps = |parents: &[u32]| -> Vec<u32> {
            let state = State::Made(before.class);
            parents.iter().filter_map(|&parent| table.step((parent, state, next))).collect()
        };
        let slot = (usize::from(is_after) * self.classes + first as usize) * self.classes + second as usize;
        let bin = bin(gap);
        let Some(row) = self.rows.get_mut(slot) else {
            let steps = steps(&self.parents);
            return steps.into_iter().map(|step| table.density(Some(step), bin)).fold(0.0, f64::max);
        };
        if *row == 0 {
            let mut most = [0.0; BINS];
            for step in steps(&self.parents) {
                most.iter_mut()
                    .zip(table.densities(step))
                    .for_each(|(most, density)| *most = density.max(*most));
            }
            self.densities.push(most);
            *row = self.densities.len() as u32;
        }
        f64::from(self.densities[*row as usize - 1][bin])
    }
}
