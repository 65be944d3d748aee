//! The Calls view.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line, table};
use crate::calls::Class;
use crate::text;
use crate::tui::columns::{Column, call_cell};
use crate::tui::keys::View;
use crate::tui::state::State;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Calls);
    let theme = &state.theme;
    if state.rows.len() == 0 {
        line::middle(frame.buffer_mut(), area, &why_empty(state), theme.dim);
    }
    table::render(frame.buffer_mut(), area, state, &state.calls, &placed, state.rows.len(), |at| {
        let entry = state.store.get(state.rows.get(at)?)?;
        let call = &entry.call;
        let class = call.class();
        let above = at
            .checked_sub(1)
            .and_then(|above| state.store.get(state.rows.get(above)?))
            .map(|entry| entry.call.start);
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Time => (state.clock(call.start, above), theme.dim),
                column => {
                    let style = match column {
                        Column::Verdict | Column::Class | Column::Code | Column::Message => {
                            theme.class(class).remove_modifier(Modifier::BOLD)
                        }
                        Column::Method if class != Some(Class::Ok) => theme.strong,
                        Column::Protocol => theme.dim,
                        _ => Style::new(),
                    };
                    (call_cell(call, column, &state.names), style)
                }
            })
            .collect();
        Some(table::Row { marked: entry.marked, sign: Some(class.into()), cells })
    });
}

/// Why there are no rows.
fn why_empty(state: &State) -> Vec<String> {
    let packets = text::thousands(state.progress.packets);
    if state.store.len() > 0 {
        let hidden = text::counted(state.store.len() as u64, "call");
        return vec![
            format!("{hidden} hidden by the filter and the class switches"),
            "a shows all calls, f changes the filter".to_owned(),
        ];
    }
    if state.store.shed > 0 {
        return vec!["all calls had to go for want of memory: --max-memory gives more".to_owned()];
    }
    match (state.progress.packets, state.ended) {
        (0, false) => vec!["no packets yet".to_owned()],
        (0, true) => vec!["no packets in this capture".to_owned()],
        (_, false) => vec![
            format!("no calls yet: {packets} packets seen, none of a known protocol"),
            "4 shows the connections".to_owned(),
        ],
        (_, true) => vec![
            format!("no calls: {packets} packets read, none of a known protocol"),
            "4 shows the connections and why they are not decoded".to_owned(),
        ],
    }
}
