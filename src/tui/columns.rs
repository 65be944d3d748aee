//! Columns of the lists: what a column looks like, and how columns share the width of the screen.

use crate::text::Align;

/// A column of a list. Each view defines those that only it has; the heads of one view differ from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The word above it.
    pub head: &'static str,
    pub align: Align,
    pub cut: Cut,
    /// The first press of the sort key puts the largest first: large counts and times are what people look for.
    pub largest_first: bool,
}

/// What a text loses that is too long for its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Middle,
    /// Sentences say most at their beginning.
    End,
    /// A dotted name: its packages go first, as long as this many parts stay.
    Packages(usize),
}

impl Column {
    pub(super) const fn text(head: &'static str) -> Self {
        Self { head, align: Align::Left, cut: Cut::Middle, largest_first: false }
    }

    pub(super) const fn number(head: &'static str) -> Self {
        Self { align: Align::Right, ..Self::text(head) }.largest_first()
    }

    pub(super) const fn sentence(head: &'static str) -> Self {
        Self { cut: Cut::End, ..Self::text(head) }
    }

    pub(super) const fn name(head: &'static str, parts: usize) -> Self {
        Self { cut: Cut::Packages(parts), ..Self::text(head) }
    }

    pub(super) const fn largest_first(self) -> Self {
        Self { largest_first: true, ..self }
    }
}

// Columns that several views have.
pub(super) const METHOD: Column = Column::name("service.method", 2);
pub(super) const CLASS: Column = Column::text("class");
pub(super) const CODE: Column = Column::number("code");
/// Code and text of the error, where there is no room for two columns.
pub(super) const VERDICT: Column = Column::sentence("verdict");
pub(super) const MESSAGE: Column = Column::sentence("message");
pub(super) const CLIENT: Column = Column::name("client", 1);
pub(super) const SERVER: Column = Column::name("server", 1);
pub(super) const PROTOCOL: Column = Column::text("protocol");
pub(super) const CALLS: Column = Column::number("calls");
pub(super) const COUNT: Column = Column::number("count");
pub(super) const HISTORY: Column = Column::text("history");

/// A column with the width that it gets on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub column: Column,
    pub width: usize,
}

/// Screen columns to the left of the first column: mark and class letter, with a space after each.
pub(super) const MARGIN: usize = 3;

/// Width of a column with a time, in every time format.
pub(super) const TIME_WIDTH: usize = 12;

/// Width of a column with a time and its date.
pub(super) const DATE_WIDTH: usize = 18;

/// Width of a column with a time.
pub(super) const fn time_width(dated: bool) -> usize {
    if dated { DATE_WIDTH } else { TIME_WIDTH }
}

/// Stands for a width in the argument of [`place`]: the column shares what the others leave.
pub(super) const REST: usize = 0;

/// Places columns side by side on a screen of `width` columns. At most two of them may ask for [`REST`]; the first one gets
/// the fraction `share` of it.
pub(super) fn place(width: usize, wanted: Vec<(Column, usize)>, share: (usize, usize)) -> Vec<Placed> {
    let room = width.saturating_sub(MARGIN);
    // Neighbours are one space apart.
    let fixed: usize = wanted.iter().map(|(_, w)| w + 1).sum::<usize>().saturating_sub(1);
    let left = room.saturating_sub(fixed);
    let first = left * share.0 / share.1;
    let mut parts = [first, left - first].into_iter();
    wanted
        .into_iter()
        .map(|(column, width)| Placed {
            column,
            width: if width == REST { parts.next().unwrap_or_default() } else { width },
        })
        .collect()
}
