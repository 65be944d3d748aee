//! The summary of changes: which service turns which error into what.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line, table};
use crate::chains::summary;
use crate::sink::chains::ending;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::keys::View;
use crate::tui::state::State;
use crate::tui::state::changes::below;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Changes);
    let theme = &state.theme;
    let turns = &state.changes.turns;
    if turns.is_empty() {
        line::middle(frame.buffer_mut(), area, &why_empty(state), theme.dim);
    }
    table::render(frame.buffer_mut(), area, state, &state.changes.list, &placed, turns.len(), |at| {
        let turn = turns.get(at)?;
        let style = |class| theme.class(class).remove_modifier(Modifier::BOLD);
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Count => (text::thousands(turn.count), theme.strong),
                Column::Below => {
                    let colour = turn.from.as_ref().map_or(theme.dim, |from| style(from.class));
                    (below(turn), colour)
                }
                Column::Made => (ending(&turn.to), style(turn.to.class)),
                Column::What => (summary::words(turn.findings), theme.dim),
                Column::Example => (turn.example.to_string(), theme.dim),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(table::Row { marked: false, sign: Some(turn.to.class.into()), cells })
    });
}

fn why_empty(state: &State) -> Vec<String> {
    if state.matcher.has_filter() && state.chains.held() > 0 {
        let hidden = text::counted(state.chains.hidden as u64, "chain");
        return vec![format!("no change in what the filter lets through; it hides {hidden}")];
    }
    vec![
        "no service has turned an error of a callee into anything".to_owned(),
        "v shows who calls whom".to_owned(),
    ]
}
