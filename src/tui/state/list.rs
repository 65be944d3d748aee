//! A cursor in rows: which row is selected, which one is at the top of the screen, and how both stay in place when rows
//! come and go.

use crate::tui::columns::Column;

/// Cursor, scroll position and sort order of a list.
#[derive(Clone, Debug)]
pub(in crate::tui) struct List {
    /// The selected row; meaningless while there are none.
    pub selected: usize,
    /// The row at the top of the screen.
    pub top: usize,
    /// The user has moved the cursor, so it stays with the thing that it is on.
    pub moved: bool,
    /// The column of the cursor.
    pub column: Column,
    /// The sorted column, and whether the largest comes first; `None` is the order of arrival.
    pub sort: Option<(Column, bool)>,
}

impl List {
    pub(in crate::tui) fn new(column: Column, sort: Option<(Column, bool)>) -> Self {
        Self { selected: 0, top: 0, moved: false, column, sort }
    }

    /// Moves the cursor by `rows`, up where negative.
    pub(in crate::tui) fn step(&mut self, rows: isize, len: usize) {
        self.moved = true;
        self.selected = self.selected.saturating_add_signed(rows).min(len.saturating_sub(1));
    }

    /// Moves the cursor to a row.
    pub(in crate::tui) fn go(&mut self, row: usize) {
        self.moved = true;
        self.selected = row;
    }

    /// The selected thing is now in another row: scrolls along, so that it does not move on the screen.
    pub(in crate::tui) fn keep(&mut self, row: usize) {
        let on_screen = self.selected.saturating_sub(self.top);
        self.selected = row;
        self.top = row.saturating_sub(on_screen);
    }

    /// Brings cursor and scroll position within `len` rows, of which `height` are on the screen.
    pub(in crate::tui) fn settle(&mut self, len: usize, height: usize) {
        self.selected = self.selected.min(len.saturating_sub(1));
        if self.selected < self.top {
            self.top = self.selected;
        } else if height > 0 && self.selected >= self.top + height {
            self.top = self.selected + 1 - height;
        }
        self.top = self.top.min(len.saturating_sub(height));
    }

    /// Sorts things by the sorted column; equal ones keep their order.
    pub(in crate::tui) fn order<T>(&self, things: &mut [T], key: impl Fn(&T, Column) -> SortKey) {
        match self.sort {
            None => {}
            Some((column, true)) => things.sort_by_cached_key(|thing| std::cmp::Reverse(key(thing, column))),
            Some((column, false)) => things.sort_by_cached_key(|thing| key(thing, column)),
        }
    }

    /// The sort key was pressed: sorts by the cursor's column, then the other way round, then not at all.
    pub(in crate::tui) fn turn_sort(&mut self) {
        let down = self.column.largest_first;
        self.sort = match self.sort {
            Some((column, now)) if column == self.column && now == down => Some((column, !down)),
            Some((column, _)) if column == self.column => None,
            _ => Some((self.column, down)),
        };
    }
}

/// A list whose rows are numbers of things that are held elsewhere.
#[derive(Debug)]
pub(in crate::tui) struct IdList<I = u32> {
    pub list: List,
    /// In the order of the screen.
    pub ids: Vec<I>,
}

impl<I: Copy + PartialEq> IdList<I> {
    pub(in crate::tui) fn new(column: Column, sort: Option<(Column, bool)>) -> Self {
        Self { list: List::new(column, sort), ids: Vec::new() }
    }

    /// The number in the selected row.
    pub(in crate::tui) fn selected(&self) -> Option<I> {
        self.ids.get(self.list.selected).copied()
    }

    /// Takes these numbers and sorts them. If the user has moved the cursor, it stays on its number.
    pub(in crate::tui) fn arrange(
        &mut self,
        ids: impl Iterator<Item = I>,
        key: impl Fn(I, Column) -> SortKey,
    ) {
        let selected = self.selected();
        self.ids.clear();
        self.ids.extend(ids);
        self.list.order(&mut self.ids, |id, column| key(*id, column));
        if !self.list.moved {
            return;
        }
        if let Some(row) = selected.and_then(|id| self.ids.iter().position(|other| *other == id)) {
            self.list.keep(row);
        }
    }
}

/// What a row is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum SortKey {
    /// The cell is empty: before all others.
    Nothing,
    Number(i128),
    Text(String),
}

impl SortKey {
    /// A share or rate, which is never negative, to six decimal places.
    pub(in crate::tui) fn fraction(value: f64) -> Self {
        Self::Number((value * 1e6) as i128)
    }
}

impl<T: Into<i128>> From<Option<T>> for SortKey {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, |n| Self::Number(n.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_the_screen_and_in_place() {
        let mut list = List::new(Column::text("time"), None);
        list.step(30, 100);
        list.settle(100, 10);
        assert_eq!((list.selected, list.top), (30, 21));
        list.keep(40);
        list.settle(110, 10);
        assert_eq!((list.selected, list.top), (40, 31), "ten rows came in above");
        list.step(-1000, 110);
        list.settle(110, 10);
        assert_eq!((list.selected, list.top), (0, 0));
        list.settle(0, 10);
        assert_eq!((list.selected, list.top), (0, 0));
        list.step(5, 0);
        list.settle(0, 0);
        assert_eq!(list.selected, 0);
    }

    #[test]
    fn sorting_turns_and_ends() {
        let latency = Column::number("latency");
        let mut list = List::new(latency, None);
        list.turn_sort();
        assert_eq!(list.sort, Some((latency, true)), "slow calls first");
        list.turn_sort();
        assert_eq!(list.sort, Some((latency, false)));
        list.turn_sort();
        assert_eq!(list.sort, None);
    }
}
