//! Densities of one call following another of the same parent, whichever class of parent that is.

use super::Span;
use super::gaps::{BINS, GapTable, Masses, Next, State, bin};

/// Most entries of [`Followers::rows`]; with too many classes for it, steps are looked up one by one.
const MAX_ROWS: usize = 1 << 18;

/// In [`Followers::rows`]: nothing is known yet, and no class of parents makes such a step. Rows count from [`FIRST`] on.
const UNKNOWN: u32 = 0;
const NEVER: u32 = 1;
const FIRST: u32 = 2;

/// For each pair of classes of calls, the density of the second one following the first, by bin of the gap. Of the classes of
/// parents, the one that makes it most probable counts. Rows are filled when they are first used.
#[derive(Default)]
pub(super) struct Followers {
    /// Classes of parents that are searched.
    parents: Vec<u32>,
    /// Number of classes of calls.
    classes: usize,
    /// By kind of step, first and second class.
    rows: Vec<u32>,
    densities: Vec<Masses>,
}

impl Followers {
    /// For calls of `classes` classes, numbered from 0. `parents` are the classes of parents that may make such steps.
    pub(super) fn new(parents: Vec<u32>, classes: usize) -> Self {
        let size = 2 * classes * classes;
        let rows = vec![UNKNOWN; if size <= MAX_ROWS { size } else { 0 }];
        Self { parents, classes, rows, densities: Vec::new() }
    }

    /// The density of `after` following `before`, per nanosecond. Both come with the number of their class.
    #[inline]
    pub(super) fn density(
        &mut self,
        table: &GapTable,
        (before, first): (&Span, u32),
        (after, second): (&Span, u32),
    ) -> f64 {
        let is_after = after.start >= before.end;
        let slot = (usize::from(is_after) * self.classes + first as usize) * self.classes + second as usize;
        // Hardly any class of calls follows any other.
        let row = match self.rows.get(slot) {
            Some(&NEVER) => return 0.0,
            Some(&row @ FIRST..) => row,
            _ => match self.fill(table, slot, before, after) {
                Some(row) => row,
                None => return self.look_up(table, before, after),
            },
        };
        let since = if is_after { before.end } else { before.start };
        let density = |row| self.densities[(row - FIRST) as usize][bin(after.start - since)];
        if row == NEVER { 0.0 } else { f64::from(density(row)) }
    }

    /// The densities of the step from one call to another, by the classes of parents that make it.
    fn steps(&self, table: &GapTable, before: &Span, after: &Span) -> Vec<u32> {
        let is_after = after.start >= before.end;
        let next = if is_after { Next::After(after.class) } else { Next::Beside(after.class) };
        let state = State::Made(before.class);
        self.parents.iter().filter_map(|&parent| table.step((parent, state, next))).collect()
    }

    /// Fills the row in that slot, and says which it is; `None` if there are too many classes.
    #[cold]
    fn fill(&mut self, table: &GapTable, slot: usize, before: &Span, after: &Span) -> Option<u32> {
        let steps = self.steps(table, before, after);
        let next = FIRST + self.densities.len() as u32;
        let row = self.rows.get_mut(slot)?;
        *row = if steps.is_empty() { NEVER } else { next };
        let mut most = [0.0; BINS];
        for step in &steps {
            most.iter_mut()
                .zip(table.densities(*step))
                .for_each(|(most, density)| *most = density.max(*most));
        }
        if !steps.is_empty() {
            self.densities.push(most);
        }
        Some(*row)
    }

    /// The density without rows.
    #[cold]
    fn look_up(&self, table: &GapTable, before: &Span, after: &Span) -> f64 {
        let since = if after.start >= before.end { before.end } else { before.start };
        let bin = bin(after.start - since);
        let steps = self.steps(table, before, after).into_iter();
        steps.map(|step| table.density(Some(step), bin)).fold(0.0, f64::max)
    }
}
