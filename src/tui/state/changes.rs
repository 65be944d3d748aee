//! The rows of the summary of changes: which service turns which error into what, how often.

use super::list::{List, SortKey};
use crate::chains::Summary;
use crate::chains::summary::Turn;
use crate::sink::chains::ending;
use crate::tui::columns::Column;

/// All kinds of turns and a cursor in them.
#[derive(Debug)]
pub(in crate::tui) struct Changes {
    /// In the order of the screen.
    pub turns: Vec<Turn>,
    pub list: List,
}

impl Changes {
    pub(in crate::tui) fn new() -> Self {
        Self { turns: Vec::new(), list: List::new(Column::Made, None) }
    }

    /// The selected one.
    pub(in crate::tui) fn selected(&self) -> Option<&Turn> {
        self.turns.get(self.list.selected)
    }

    /// Takes the turns of a summary, the most frequent first if no other order was asked for. A cursor that was moved
    /// stays on its turn.
    pub(in crate::tui) fn arrange(&mut self, summary: &Summary) {
        let selected =
            self.selected().filter(|_| self.list.moved).map(|turn| (turn.from.clone(), turn.to.clone()));
        self.turns = summary.turns().into_iter().cloned().collect();
        self.list.order(&mut self.turns, key);
        let again = selected
            .and_then(|(from, to)| self.turns.iter().position(|turn| (&turn.from, &turn.to) == (&from, &to)));
        if let Some(row) = again {
            self.list.keep(row);
        }
    }
}

/// What a turn is ordered by.
fn key(turn: &Turn, column: Column) -> SortKey {
    match column {
        Column::Count => SortKey::Number(turn.count.into()),
        Column::Below => SortKey::Text(below(turn)),
        Column::What => SortKey::Text(crate::chains::summary::words(turn.findings)),
        _ => SortKey::Text(ending(&turn.to)),
    }
}

/// What the callee answered, safe for a terminal.
pub(in crate::tui) fn below(turn: &Turn) -> String {
    turn.from.as_ref().map_or_else(|| "all its calls ok".to_owned(), ending)
}
