//! The service graph: every edge with its traffic, and where errors begin and pass.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line, table};
use crate::calls::Class;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::keys::View;
use crate::tui::state::State;
use crate::tui::state::graph::Edge;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Graph);
    let theme = &state.theme;
    let edges = &state.graph.edges;
    if edges.is_empty() {
        line::middle(frame.buffer_mut(), area, &why_empty(state), theme.dim);
    }
    table::render(frame.buffer_mut(), area, state, &state.graph.list, &placed, edges.len(), |at| {
        let edge = edges.get(at)?;
        let traffic = &edge.traffic;
        let count = |n: u64, class: Option<Class>| match n {
            0 => ("·".to_owned(), theme.dim),
            n => (text::thousands(n), theme.class(class).remove_modifier(Modifier::BOLD)),
        };
        let errors = |n: u64, style: Style| match n {
            0 => ("·".to_owned(), theme.dim),
            n => (percent(n, state.graph.errors), style),
        };
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Edge => (name(edge, place.width), Style::new()),
                Column::Calls => (text::thousands(traffic.calls), Style::new()),
                Column::Fine => count(traffic.fine(), Some(Class::Ok)),
                Column::Business => count(traffic.business, Some(Class::Business)),
                Column::Rpc => count(traffic.rpc(), Some(Class::Rpc)),
                Column::Broken => count(traffic.broken, Some(Class::Transport)),
                Column::FailedShare => failed(edge, place.width, state),
                Column::Began => errors(traffic.began, theme.alarm),
                Column::Passed => errors(traffic.passed, Style::new()),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(table::Row { marked: false, sign: None, cells })
    });
}

/// Both ends, or the callee below its caller, in so many columns.
fn name(edge: &Edge, columns: usize) -> String {
    let above = if edge.above { " ↑" } else { "" };
    let columns = columns.saturating_sub(text::width(above));
    let to = text::escape(&edge.to);
    if let Some(branch) = &edge.branch {
        let room = columns.saturating_sub(text::width(branch));
        return format!("{branch}{}{above}", line::cut_name(&to, room, 1));
    }
    let from = text::escape(&edge.from);
    let room = columns.saturating_sub(3);
    // Each gets the half, and what the other one leaves.
    let half = text::width(&to).min(room.div_ceil(2));
    let from = line::cut_name(&from, room - half, 1);
    format!("{from} → {}{above}", line::cut_name(&to, room - text::width(&from), 1))
}

fn percent(part: u64, all: u64) -> String {
    let percent = part as f64 * 100.0 / all.max(1) as f64;
    if percent < 0.05 { "<0.1%".to_owned() } else { format!("{percent:.1}%") }
}

/// The share of failed calls with a bar, in the colour of what fails most.
fn failed(edge: &Edge, width: usize, state: &State) -> (String, Style) {
    let traffic = &edge.traffic;
    let failed = traffic.business + traffic.framework;
    if failed == 0 {
        return ("·".to_owned(), state.theme.dim);
    }
    let most = [
        (traffic.business, Class::Business),
        (traffic.rpc(), Class::Rpc),
        (traffic.broken, Class::Transport),
    ];
    let class = most.iter().max_by_key(|(count, _)| *count).map(|(_, class)| *class);
    let room = width.saturating_sub(7) as f64;
    let bar = (failed as f64 / traffic.calls.max(1) as f64 * room).ceil() as usize;
    let cell = format!("{:>6} {}", percent(failed, traffic.calls), "▇".repeat(bar));
    (cell, state.theme.class(class).remove_modifier(Modifier::BOLD))
}

fn why_empty(state: &State) -> Vec<String> {
    if state.matcher.has_filter() && state.chains.held() > 0 {
        return vec!["no chain of several calls holds a call that the filter lets through".to_owned()];
    }
    let yet = if state.ended { "" } else { " yet" };
    vec![
        format!("no calls whose place in a chain is settled{yet}"),
        "a file's chains are known at its end, those of live traffic after some seconds".to_owned(),
    ]
}
