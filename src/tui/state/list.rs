//! A cursor in rows: which one is selected, which one is at the top of the screen, and what keeps both in place.

use crate::tui::columns::Column;

/// Cursor, scroll position, column and order of a list.
#[derive(Clone, Debug)]
pub(in crate::tui) struct List {
    /// The selected row; meaningless while there are none.
    pub selected: usize,
    /// The row at the top of the screen.
    pub top: usize,
    /// The cursor was moved by the user: it stays with what it is on.
    pub moved: bool,
    /// Column of the cursor.
    pub column: Column,
    /// Column of the order and whether the largest comes first; `None` is the order of arrival.
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

    /// The selected thing now stands in another row: moves the scroll position along, so that it stays where it is on the
    /// screen.
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

    /// Puts things into the order asked for; those that are alike stay as they were.
    pub(in crate::tui) fn order<T>(&self, things: &mut [T], key: impl Fn(&T, Column) -> SortKey) {
        match self.sort {
            None => {}
            Some((column, true)) => things.sort_by_cached_key(|thing| std::cmp::Reverse(key(thing, column))),
            Some((column, false)) => things.sort_by_cached_key(|thing| key(thing, column)),
        }
    }

    /// Turns the order of the cursor's column: first press, the other way, off.
    pub(in crate::tui) fn turn_sort(&mut self) {
        let down = self.column.sorts_down();
        self.sort = match self.sort {
            Some((column, now)) if column == self.column && now == down => Some((column, !down)),
            Some((column, _)) if column == self.column => None,
            _ => Some((self.column, down)),
        };
    }
}

/// What a row is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum SortKey {
    /// The column has no value here: before all others.
    Nothing,
    /// A whole number.
    Number(i128),
    /// Text.
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
        let mut list = List::new(Column::Time, None);
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
        let mut list = List::new(Column::Latency, None);
        list.turn_sort();
        assert_eq!(list.sort, Some((Column::Latency, true)), "slow calls first");
        list.turn_sort();
        assert_eq!(list.sort, Some((Column::Latency, false)));
        list.turn_sort();
        assert_eq!(list.sort, None);
    }
}
