//! The sentence below a list: what the selected thing says, in words for a tired person.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::{Call, Class, labels};
use crate::chains::summary::{self, Ending};
use crate::text;
use crate::tui::keys::View;
use crate::tui::state::State;

/// What is to be said in two parts. Where there is no room for both, the first one is cut: how it goes on is said by the
/// second.
#[derive(Default)]
pub(super) struct Said {
    main: String,
    rest: Option<String>,
    /// What stands behind the second part where there is room.
    hint: &'static str,
}

impl Said {
    /// The lines, of that many columns each.
    pub(super) fn lines(&self, width: usize, lines: usize) -> Vec<String> {
        let Some(rest) = &self.rest else { return line::paragraphs(&self.main, None, width, lines) };
        let hinted = format!("{rest}{}", self.hint);
        // The hint is the first to go.
        let rest = if text::width(&hinted) <= width { &hinted } else { rest };
        line::paragraphs(&self.main, Some(rest), width, lines)
    }

    /// The style in which a class speaks.
    fn by(self, state: &State, class: Option<Class>) -> (Self, Style) {
        (self, state.theme.class(class).remove_modifier(Modifier::BOLD))
    }
}

impl From<String> for Said {
    fn from(main: String) -> Self {
        Self { main, ..Self::default() }
    }
}

/// What is to be said of a call: what happened, and where it began if it failed and its chain is known.
pub(super) fn of_call(state: &State, call: &Call) -> Said {
    let main = crate::calls::summary::sentence(call);
    let cause = state.chains.of(call.uid).and_then(|(chain, hop)| chain.cause(hop));
    Said { main, rest: cause, hint: " (c shows the chain)" }
}

/// Writes what is to be said of what is selected.
pub(super) fn render(buffer: &mut Buffer, area: Rect, state: &State) {
    let lines = state.sentence_lines(state.view);
    let top = area.height - 1 - lines;
    let width = usize::from(area.width).saturating_sub(2);
    let (said, style) = what_to_say(state);
    for (i, part) in said.lines(width, usize::from(lines)).iter().enumerate() {
        line::put(buffer, area, 1, top + i as u16, part, style);
    }
}

fn what_to_say(state: &State) -> (Said, Style) {
    let plain = |text: Option<String>| (Said::from(text.unwrap_or_default()), Style::new());
    match state.view {
        View::Calls => {
            let call = state.selected_call().map(|(_, call)| call);
            // Nobody has chosen the newest call: what fails most is worth more.
            let chosen = state.calls.moved || call.is_some_and(|c| c.failed());
            if let Some((text, class)) = worst(state).filter(|_| !chosen) {
                return Said::from(text).by(state, class);
            }
            call.map_or_else(Default::default, |call| of_call(state, call).by(state, call.class()))
        }
        View::Errors => state.current_call().map_or_else(Default::default, |call| {
            let said = of_call(state, &call);
            Said { main: format!("newest: {}", said.main), ..said }.by(state, call.class())
        }),
        View::Services => {
            let example = state.current_call().filter(|call| call.failed());
            let rest = example.map(|call| format!("its newest failure: {}", of_call(state, &call).main));
            (Said { main: method(state).unwrap_or_default(), rest, hint: "" }, Style::new())
        }
        View::Connections => plain(connection(state)),
        View::Chains => (chain(state).unwrap_or_default(), Style::new()),
        View::Changes => plain(change(state)),
        View::Graph => plain(edge(state)),
    }
}

/// What the selected chain says, with the evidence for it.
fn chain(state: &State) -> Option<Said> {
    let (chain, _) = state.chains.selected()?;
    let rest = crate::sink::chains::evidence(chain).map(|evidence| format!("evidence: {evidence}"));
    Some(Said { main: chain.sentence(), rest, hint: "" })
}

/// What the selected change says.
fn change(state: &State) -> Option<String> {
    let turn = state.changes.selected()?;
    let answered = |ending: &Ending| {
        let code = ending.code.map(|code| format!(" {code}")).unwrap_or_default();
        format!("{} ended as {}{code}", text::escape(&ending.operation), labels::label(ending.class))
    };
    let below = turn.from.as_ref().map_or_else(|| "all its own calls were ok".to_owned(), answered);
    let (times, made) = (text::counted(turn.count, "time"), answered(&turn.to));
    let words = summary::words(turn.findings);
    Some(format!("{times}: {below}, and {made} ({words}). ⏎ shows an example in its chain."))
}

/// What the selected edge says.
fn edge(state: &State) -> Option<String> {
    let edge = state.graph.selected()?;
    let traffic = &edge.traffic;
    let share = |part: u64, all: u64| part as f64 * 100.0 / all.max(1) as f64;
    let failed = traffic.business + traffic.framework;
    let number = text::thousands;
    let mut line = format!("{} → {}: {}", edge.from, edge.to, text::counted(traffic.calls, "call"));
    if failed == 0 {
        line.push_str(", none failed");
    } else {
        let parts = [
            (traffic.business, "business"),
            (traffic.rpc(), "RPC"),
            (traffic.broken, "broken or unanswered"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", number(*n))).collect();
        // Writing to a String can't fail.
        _ = write!(line, ", {:.1} % failed ({})", share(failed, traffic.calls), parts.join(", "));
    }
    if state.graph.errors > 0 {
        let all = text::counted(state.graph.errors, "error");
        let [began, passed] = [traffic.began, traffic.passed].map(number);
        _ = write!(line, "; of {all} in all, {began} began here and {passed} passed");
    }
    line.push_str(". ⏎ shows the calls.");
    Some(text::escape(&line).into_owned())
}

/// The kind of error that came most often, and its class.
fn worst(state: &State) -> Option<(String, Option<Class>)> {
    let id = state.worst_group()?;
    let figures = state.figures().group(id)?;
    let group = state.catalog.groups.get(id as usize)?;
    let code = group.code.map(|c| format!(" {c}")).unwrap_or_default();
    let template = if group.template.is_empty() { String::new() } else { format!(" \"{}\"", group.template) };
    let label = state.catalog.label(group.method);
    let kind = match group.class {
        Some(Class::Business) => "business error",
        Some(Class::Rpc) => "RPC error",
        _ => "broken connection",
    };
    let times = text::thousands(figures.count);
    let text = format!(
        "Most failures: {label}, {kind}{code}{template}, {times}×. e goes to the next failed call, 2 shows all kinds."
    );
    Some((text::escape(&text).into_owned(), group.class))
}

/// What the selected method says.
fn method(state: &State) -> Option<String> {
    let id = state.services.selected()?;
    let counted = state.figures().method(id)?;
    let method = state.catalog.methods.get(id as usize)?;
    let share = |n: u64| 100.0 - n as f64 * 100.0 / counted.calls.max(1) as f64;
    let framework = counted.of(Class::Rpc) + counted.of(Class::Transport) + counted.of(Class::Unanswered);
    let line = format!(
        "{} ({}): the RPC itself worked for {:.2} % of {} calls, and {:.2} % were ok for the business too. ⏎ shows the calls.",
        method.label(),
        method.rpc,
        share(framework),
        text::thousands(counted.calls),
        share(framework + counted.of(Class::Business)),
    );
    Some(text::escape(&line).into_owned())
}

/// What the selected connection says.
fn connection(state: &State) -> Option<String> {
    let connection = state.connections.all().get(state.connection_rows.selected()? as usize)?;
    let why = connection.reason.map(|r| format!("; {r}")).unwrap_or_default();
    let matching = state.through.as_ref().map(|through| through.calls(connection) as u64);
    let matching =
        matching.map(|n| format!(", {} let through by the filter", text::thousands(n))).unwrap_or_default();
    let line = format!(
        "{} connection {} → {}, {} from packet {} to {}, {} calls of which {} failed{matching}, {} retransmissions, {} gaps{why}.",
        connection.network.name(),
        connection.client,
        connection.server,
        connection.state,
        connection.first_packet,
        connection.last_packet,
        text::thousands(connection.calls),
        text::thousands(connection.failed),
        connection.retransmissions,
        connection.gaps,
    );
    Some(text::escape(&line).into_owned())
}
