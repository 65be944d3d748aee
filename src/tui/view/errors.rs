//! The Errors view: failed calls by kind.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line, table};
use crate::calls::Class;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::figures::Group;
use crate::tui::keys::View;
use crate::tui::spark;
use crate::tui::state::State;
use crate::tui::state::tables::group_share;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Errors);
    let theme = &state.theme;
    let order = &state.errors.order;
    if order.is_empty() {
        line::middle(frame.buffer_mut(), area, &why_empty(state), theme.dim);
    }
    table::render(frame.buffer_mut(), area, state, &state.errors.list, &placed, order.len(), |at| {
        let id = *order.get(at)?;
        let group = state.catalog.groups.get(id as usize)?;
        let figures = state.figures();
        let counted = figures.group(id)?;
        let colour = theme.class(group.class).remove_modifier(Modifier::BOLD);
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Count => (text::thousands(counted.count), theme.strong),
                Column::Share => (format!("{:.1}%", group_share(id, figures, &state.catalog)), Style::new()),
                Column::Method => {
                    let label = state.catalog.label(group.method);
                    (if label.is_empty() { "(many)".to_owned() } else { label }, Style::new())
                }
                Column::Class => (group.class.map_or("unknown", Class::name).to_owned(), colour),
                Column::Code => (group.code.map(|c| c.to_string()).unwrap_or_default(), colour),
                Column::Verdict => (text::escape(&with_code(group)).into_owned(), colour),
                Column::Message => (text::escape(&group.template).into_owned(), colour),
                Column::History => (spark::bars(&figures.bars(&counted.spark), place.width), theme.dim),
                Column::First => (state.clock(counted.first, None), theme.dim),
                Column::Last => (state.clock(counted.last, Some(counted.first)), theme.dim),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(table::Row { marked: false, sign: Some(group.class.into()), cells })
    });
}

fn with_code(group: &Group) -> String {
    group.code.map_or_else(|| group.template.to_string(), |code| format!("{code} {}", group.template))
}

fn why_empty(state: &State) -> Vec<String> {
    if state.total.calls == 0 {
        vec!["no calls yet".to_owned()]
    } else if state.matcher.is_active() {
        vec![
            "no failed calls are let through by the filter and the class switches".to_owned(),
            "a shows all calls again".to_owned(),
        ]
    } else {
        vec![format!("no failed call among {}", text::thousands(state.total.calls))]
    }
}
