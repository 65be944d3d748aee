//! The Chains view: every hop with what it answered, where the error began, and what each service made of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::{Finding, words};
use crate::chains::{Chain, Evidence, Operation};
use crate::text;
use crate::tui::keys::View;
use crate::tui::state::State;

/// Deepest hop that is still moved to the right.
const DEEPEST: u32 = 24;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let buffer = frame.buffer_mut();
    let theme = &state.theme;
    let list = &state.chains.list;
    if state.chains.len() == 0 {
        let why = [
            "no chains: no call is known to have caused another".to_owned(),
            "links come from trace ids, log ids, names, deadlines and times that fit".to_owned(),
        ];
        line::middle(buffer, area, &why, theme.dim);
        return;
    }
    let width = usize::from(area.width);
    // The latency, the tree, the verdict and what became of the error share the width.
    let tree = (width * 2 / 5).clamp(24, 60);
    let rest = width - tree - 14;
    let says = if width >= 110 { rest * 3 / 5 } else { rest };
    for y in 0..state.list_height(View::Chains).min(usize::from(area.height)) {
        let at = list.top + y;
        let y = y as u16;
        let Some((chain, hop)) = state.chains.row(at) else { continue };
        let call = &chain.hops[hop].call;
        let class = call.class();
        let colour = theme.class(class);
        let began = chain.origin.hop() == Some(hop);
        line::put(buffer, area, 1, y, &words::letter(class).to_string(), colour);
        let name = text::escape(&Operation(call).to_string()).into_owned();
        let branch = branch(chain, hop);
        let star = if began { " ★" } else { "" };
        let room = tree.saturating_sub(text::width(&branch) + text::width(star) + 1);
        let x = line::put(buffer, area, 3, y, &branch, theme.dim);
        let x = line::put(buffer, area, x, y, &text::cut_middle(&name, room), theme.strong);
        line::put(buffer, area, x, y, star, theme.alarm);
        let latency = call.latency.map_or_else(|| "—".to_owned(), text::duration);
        line::put(buffer, area, (tree + 3) as u16, y, &format!("{latency:>7}"), Style::new());
        let text_style = colour.remove_modifier(Modifier::BOLD);
        let said = words::verdict(call);
        let notes = notes(chain, hop, began);
        let x = (tree + 12) as u16;
        if width >= 110 {
            line::put(buffer, area, x, y, &text::cut_end(&said, says.saturating_sub(1)), text_style);
            line::put(buffer, area, x + says as u16, y, &notes, theme.dim);
        } else {
            let end = line::put(buffer, area, x, y, &text::cut_end(&said, says), text_style);
            line::put(buffer, area, end + 1, y, &notes, theme.dim);
        }
        if at == list.selected {
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, theme.selected);
        }
    }
}

/// The lines that lead from the root to a hop.
fn branch(chain: &Chain, hop: usize) -> String {
    let mut parts = Vec::new();
    let mut at = hop;
    while let Some(parent) = chain.hops[at].parent {
        let last = chain.hops[at + 1..].iter().all(|later| later.parent != Some(parent));
        parts.push(match (at == hop, last) {
            (true, true) => "└ ",
            (true, false) => "├ ",
            (false, true) => "  ",
            (false, false) => "│ ",
        });
        at = parent;
        if parts.len() > DEEPEST as usize {
            break;
        }
    }
    parts.reverse();
    parts.concat()
}

/// What became of the error at a hop, in a few words.
fn notes(chain: &Chain, hop: usize, began: bool) -> String {
    let mut notes: Vec<&str> = Vec::new();
    if began && hop != 0 {
        notes.push("★ began here");
    }
    if chain.hops[hop].retried_by.is_some() {
        notes.push("tried again");
    }
    if chain.hops[hop].after_answer {
        notes.push("after its caller's answer");
    }
    notes.extend(chain.changes.iter().filter(|change| change.hop == hop).map(
        |change| match change.finding {
            Finding::PassedOn => "← passed on",
            Finding::BusinessBecameRpc => "← business became RPC error",
            Finding::RpcBecameBusiness => "← RPC error became business",
            Finding::CodeLost => "← code lost",
            Finding::CodeChanged => "← code changed",
            Finding::MessageChanged => "← message changed",
            Finding::Swallowed => "← swallowed: ok although a callee failed",
            Finding::FailedAlone => "← failed although its callees were ok",
            Finding::CauseBelow => "← reports a failure below",
            other => other.name(),
        },
    ));
    notes.join(", ")
}

/// What the selected chain says, with the evidence for it.
pub(super) fn line(state: &State) -> Option<String> {
    let (chain, _) = state.chains.selected()?;
    let evidence: Vec<&str> = chain.evidence.iter().map(Evidence::name).collect();
    Some(format!(
        "{}. Linked by {} ({:.0} % sure).",
        chain.sentence(),
        evidence.join(", "),
        chain.confidence * 100.0
    ))
}
