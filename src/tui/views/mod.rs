//! The views: each is one file that implements [`View`] and one line in the table below.

pub(super) mod calls;
mod chains;
mod changes;
mod connections;
mod errors;
mod graph;
mod logs;
mod services;

use std::fmt;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns::Placed;
use super::keys::Scope;
use super::render::sentence::Sentence;
use super::render::table;
use super::state::context::Context;
use super::state::list::List;
use super::state::matcher::Only;
use crate::calls::{Call, Class, Uid};

/// The most calls that one export writes.
const EXPORT_LIMIT: usize = 1_000_000;

/// A list that fills the screen between the two rules: its rows, what they say, and where they lead.
///
/// A view holds the order of its rows and a cursor; everything else is in the [`Context`].
pub(super) trait View: fmt::Debug {
    /// Its name, on its tab or in the rule.
    fn title(&self) -> &'static str;

    /// The scopes of keys that work in it, in the order of the footer.
    fn scopes(&self) -> &'static [Scope];

    /// Its columns on a screen of this width. A view without columns has no heads and draws its rows itself.
    fn columns(&self, width: usize) -> Vec<Placed>;

    /// Its cursor.
    fn list(&self) -> &List;

    /// Its cursor, to be moved.
    fn list_mut(&mut self) -> &mut List;

    /// The number of its rows.
    fn len(&self) -> usize;

    /// Takes its rows from the context and sorts them. Called when the view opens and twice a second while it is open and
    /// something changes.
    fn arrange(&mut self, cx: &Context);

    /// The cells of a row, one for each column.
    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row>;

    /// The text of a row, for searching and copying.
    fn row_text(&self, cx: &Context, at: usize) -> String;

    /// What the selected row represents, if it represents several calls.
    fn thing(&self, _cx: &Context) -> Option<Only> {
        None
    }

    /// The call that the keys for chain, origin and connection act on.
    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        cx.example_of(&self.thing(cx)?)
    }

    /// Where Enter leads.
    fn open(&self, cx: &Context) -> Option<Target> {
        self.thing(cx).map(Target::Calls)
    }

    /// The sentence about the selected row, below the list.
    fn sentence(&self, cx: &Context) -> Sentence;

    /// Why there are no rows.
    fn why_empty(&self, cx: &Context) -> Vec<String>;

    /// How much the filter and the class switches hide, and a word for it (empty for the rows of the view itself); `None`
    /// if they are off.
    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)>;

    /// Things that the view would list but that were evicted to save memory.
    fn evicted(&self, _cx: &Context) -> u64 {
        0
    }

    /// What `y` copies.
    fn copy(&self, cx: &Context) -> Option<String> {
        Some(self.row_text(cx, self.list().selected))
    }

    /// The calls that `x` writes.
    fn export(&self, cx: &Context) -> Vec<Arc<Call>> {
        self.thing(cx).map(|thing| cx.calls_of(&thing, EXPORT_LIMIT)).unwrap_or_default()
    }

    /// Whether the call in a row failed; `None` if the rows of the view are not calls.
    fn is_failed(&self, _cx: &Context, _at: usize) -> Option<bool> {
        None
    }

    /// Whether what is searched for is in a row.
    fn is_match(&self, cx: &Context, at: usize) -> bool {
        cx.search.is_in(&self.row_text(cx, at))
    }

    /// Shown at the end of the footer instead of the number of the selected row.
    fn position(&self, _cx: &Context) -> Option<&'static str> {
        None
    }

    /// Moves the cursor by rows, up where negative.
    fn step(&mut self, rows: isize) {
        let len = self.len();
        self.list_mut().step(rows, len);
    }

    /// Moves the cursor to a row that was searched for or clicked.
    fn go(&mut self, row: usize) {
        self.list_mut().go(row);
    }

    /// Moves the cursor to the first or the last row.
    fn jump(&mut self, last: bool) {
        let row = if last { self.len().saturating_sub(1) } else { 0 };
        self.list_mut().go(row);
    }

    /// The sort key was pressed. The cursor goes to the top of the new order, which is what the user wants to see.
    fn sort(&mut self, cx: &Context) {
        self.list_mut().turn_sort();
        self.arrange(cx);
        if self.list().sort.is_some() {
            self.list_mut().go(0);
        }
    }

    /// Brings the cursor within the rows and onto the screen.
    fn settle(&mut self, height: usize) {
        let len = self.len();
        self.list_mut().settle(len, height);
    }

    /// Lines of the sentence on a screen of this height.
    fn sentence_lines(&self, height: u16) -> u16 {
        match height {
            ..16 => 1,
            16..30 => 2,
            _ => 3,
        }
    }

    /// How many of `lines` lines are rows.
    fn rows_in(&self, lines: u16) -> u16 {
        lines
    }

    /// Draws the view; the heads of columns are in the first line of `area`.
    fn render(&self, buffer: &mut Buffer, area: Rect, cx: &Context) {
        table::render(buffer, area, cx, self);
    }
}

/// One row of cells; texts are safe for a terminal.
pub(super) struct Row {
    pub marked: bool,
    /// A line of a log is about it.
    pub logged: bool,
    /// The class whose letter is in front of the row; `None` for things that have no class.
    pub sign: Option<Sign>,
    pub cells: Vec<(String, Style)>,
}

/// A class, which may be unknown.
pub(super) struct Sign(pub Option<Class>);

/// Where Enter leads.
#[derive(Debug)]
pub(super) enum Target {
    /// One call in full, and which failed call of how many in the list it is.
    Call(Arc<Call>, Option<(usize, usize)>),
    /// The calls of one thing.
    Calls(Only),
    /// The chain of a call.
    Chain(Uid),
    /// Nowhere, for this reason.
    Nothing(&'static str),
}

/// Makes [`ViewId`] and [`Views`] from a line for each view: its name (also that of its type), its module, and the view whose
/// tab is lit while it is open.
macro_rules! views {
    ($($(#[$doc:meta])* $id:ident in $module:ident, tab $tab:ident;)*) => {
        /// Which view.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum ViewId {
            $($(#[$doc])* $id,)*
        }

        impl ViewId {
            /// All of them; those with a tab are in the order of the tabs.
            pub(super) const ALL: &[Self] = &[$(Self::$id),*];

            /// Its name in the config file.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$id => stringify!($module),)*
                }
            }

            /// The view whose tab is lit.
            pub(super) fn tab(self) -> Self {
                match self {
                    $(Self::$id => Self::$tab,)*
                }
            }
        }

        /// All views.
        #[derive(Debug, Default)]
        pub(super) struct Views {
            $(pub $module: $module::$id,)*
        }

        impl Views {
            pub(super) fn get(&self, id: ViewId) -> &dyn View {
                match id {
                    $(ViewId::$id => &self.$module,)*
                }
            }

            pub(super) fn get_mut(&mut self, id: ViewId) -> &mut dyn View {
                match id {
                    $(ViewId::$id => &mut self.$module,)*
                }
            }
        }
    };
}

views! {
    /// Every call.
    Calls in calls, tab Calls;
    /// Failed calls by kind.
    Errors in errors, tab Errors;
    /// Rates, error shares and latencies by method.
    Services in services, tab Services;
    /// Every connection, and why it was not decoded.
    Connections in connections, tab Connections;
    /// Which call caused which, and where errors began.
    Chains in chains, tab Chains;
    /// Which service turns which error into what.
    Changes in changes, tab Chains;
    /// Who calls whom, and where errors begin and pass.
    Graph in graph, tab Chains;
    /// The error lines of logs, and their calls.
    Logs in logs, tab Calls;
}

impl ViewId {
    /// The views with a tab, in the order of the tabs.
    pub(super) fn tabs() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|id| id.tab() == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::columns::MARGIN;

    #[test]
    fn columns_fill_the_width_exactly_and_differ_in_their_heads() {
        let views = Views::default();
        for id in ViewId::ALL {
            for width in 60..260 {
                let placed = views.get(*id).columns(width);
                if placed.is_empty() {
                    continue;
                }
                let used: usize = placed.iter().map(|p| p.width + 1).sum::<usize>() - 1 + MARGIN;
                assert_eq!(used, width, "{id:?} {placed:?}");
                assert!(placed.iter().all(|p| p.width >= 5), "{id:?} {width}: {placed:?}");
                let mut heads: Vec<_> = placed.iter().map(|p| p.column.head).collect();
                heads.sort_unstable();
                heads.dedup();
                assert_eq!(heads.len(), placed.len(), "{id:?}");
            }
        }
    }
}
