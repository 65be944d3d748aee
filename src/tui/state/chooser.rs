//! The choice of columns (`C`): which ones are shown and in which order. The list behind it follows at once.

use super::State;
use super::list::List;
use crate::tui::columns::Column;
use crate::tui::keys::Action;
use crate::tui::needle::Needle;
use crate::tui::views::View as _;
use crate::tui::views::calls::cells;

/// The choice, while it is open.
#[derive(Debug)]
pub(in crate::tui) struct Chooser {
    /// All columns, and whether they are shown; those that are come first when it opens.
    pub rows: Vec<(Column, bool)>,
    pub list: List,
    /// What was chosen before.
    before: Vec<Column>,
}

impl Chooser {
    fn new(shown: &[Column], before: Vec<Column>) -> Self {
        let mut rows: Vec<_> = shown.iter().map(|column| (*column, true)).collect();
        let others = cells::names().into_iter().filter_map(|name| cells::named(&name));
        rows.extend(others.filter(|column| !shown.contains(column)).map(|column| (column, false)));
        Self { rows, list: List::new(cells::TIME, None), before }
    }

    /// Moves the cursor by rows.
    pub(super) fn step(&mut self, by: isize) {
        self.list.step(by, self.rows.len());
    }

    /// Swaps the column under the cursor with its neighbour.
    fn shift(&mut self, down: bool) {
        let at = self.list.selected;
        let to = if down { at + 1 } else { at.wrapping_sub(1) };
        if at < self.rows.len() && to < self.rows.len() {
            self.rows.swap(at, to);
            self.list.go(to);
        }
    }

    /// Moves to the next or previous column whose name or meaning `needle` is in. Whether there is one.
    pub(super) fn find(&mut self, needle: &Needle, forward: bool) -> bool {
        let (from, len) = (self.list.selected, self.rows.len());
        let row = |step: usize| if forward { (from + step) % len } else { (from + len - step) % len };
        let is_in = |at: &usize| {
            let (column, _) = self.rows[*at];
            needle.is_in(cells::name(column)) || needle.is_in(cells::doc(column))
        };
        let found = (1..=len).map(row).find(is_in);
        if let Some(at) = found {
            self.list.go(at);
        }
        found.is_some()
    }
}

impl State {
    /// Opens the choice with the columns that are shown.
    pub(super) fn choose_columns(&mut self) {
        let before = self.views.calls.chosen.clone();
        let shown = if before.is_empty() { self.usual_columns() } else { before.clone() };
        self.chooser = Some(Chooser::new(&shown, before));
    }

    /// The columns that are shown without a choice.
    fn usual_columns(&self) -> Vec<Column> {
        let placed = self.views.calls.usual(usize::from(self.width));
        placed.into_iter().map(|placed| placed.column).collect()
    }

    /// What the keys of the choice do.
    pub(super) fn choose(&mut self, action: Action) {
        let usual = self.usual_columns();
        let Some(chooser) = &mut self.chooser else { return };
        match action {
            Action::Choose => {
                let at = chooser.list.selected;
                if let Some((_, is_shown)) = chooser.rows.get_mut(at) {
                    *is_shown = !*is_shown;
                }
            }
            Action::ColumnUp => chooser.shift(false),
            Action::ColumnDown => chooser.shift(true),
            Action::UsualColumns => *chooser = Chooser::new(&usual, std::mem::take(&mut chooser.before)),
            Action::Take => {
                self.chooser = None;
                let shown = self.views.calls.columns(usize::from(self.width)).len();
                let chosen = self.views.calls.chosen.len();
                if shown < chosen {
                    self.notice = Some(format!("{shown} of {chosen} columns have room on this screen"));
                }
                return;
            }
            _ => {
                self.views.calls.chosen = std::mem::take(&mut chooser.before);
                self.chooser = None;
                return;
            }
        }
        let shown: Vec<Column> =
            chooser.rows.iter().filter(|(_, is_shown)| *is_shown).map(|(column, _)| *column).collect();
        // The usual ones depend on the width of the screen.
        self.views.calls.chosen = if shown == usual { Vec::new() } else { shown };
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use crate::tui::render::tests::screen;
    use crate::tui::state::State;
    use crate::tui::state::testing::{hundred, keys, press};
    use crate::tui::views::View as _;

    fn heads(state: &State) -> Vec<&'static str> {
        let placed = state.views.calls.columns(usize::from(state.width));
        placed.iter().map(|placed| placed.column.head).collect()
    }

    #[test]
    fn columns_are_taken_out_put_in_and_moved_while_the_list_follows() {
        let mut state = hundred();
        keys(&mut state, "C ");
        assert_eq!(heads(&state), ["latency", "client", "server", "service.method", "verdict"]);
        // Down past latency, then a column that was not shown, found by its name and put first.
        keys(&mut state, "jJ");
        assert_eq!(heads(&state)[..2], ["client", "latency"]);
        keys(&mut state, "/^code$\n ");
        assert_eq!(heads(&state).last(), Some(&"code"));
        for _ in 0..9 {
            state.key(KeyEvent::new(KeyCode::Up, KeyModifiers::SHIFT).into());
        }
        keys(&mut state, "KKKKKKKKK\n");
        assert_eq!(heads(&state)[..3], ["code", "client", "latency"]);
        assert!(state.chooser.is_none());
        keys(&mut state, "Cu\n");
        assert_eq!((heads(&state)[0], state.views.calls.chosen.len()), ("time", 0), "the usual ones");
    }

    #[test]
    fn esc_leaves_everything_as_it_was() {
        let mut state = hundred();
        let before = heads(&state);
        keys(&mut state, "Cj j G g J");
        assert_ne!(heads(&state), before);
        press(&mut state, KeyCode::Esc);
        assert_eq!((heads(&state), state.chooser.is_none()), (before, true));
    }

    #[test]
    fn the_screen_says_what_the_columns_are() {
        for (width, height) in [(80, 24), (200, 50)] {
            let mut state = hundred();
            state.resize(width, height);
            keys(&mut state, "Cj ");
            let seen = screen(&state);
            assert!(seen.contains("[x] time"), "{seen}");
            assert!(seen.contains("[ ] latency"), "{seen}");
            let footer = seen.lines().last().unwrap();
            assert!(
                footer.contains("space show") && footer.contains("⏎ take") && footer.contains("2/"),
                "{footer}"
            );
            keys(&mut state, "?");
            assert!(screen(&state).contains("rpcscope keys"));
        }
    }
}
