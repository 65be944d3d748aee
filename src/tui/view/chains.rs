//! The Chains view: every hop with what it answered, where the error began, and what each service made of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::labels;
use crate::chains::Operation;
use crate::text;
use crate::tui::keys::View;
use crate::tui::state::State;

/// Columns that the lines of the tree take at most; the names of deeper hops stand there too.
const DEEPEST: usize = 32;

/// Columns of the star behind a name and of the space behind both.
const STAR: usize = 3;

/// Columns that the text of an error keeps beside what became of it.
const SHORTEST_TEXT: usize = 12;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let buffer = frame.buffer_mut();
    let theme = &state.theme;
    let list = &state.chains.list;
    if state.chains.len() == 0 {
        line::middle(buffer, area, &why_empty(state), theme.dim);
        return;
    }
    let width = usize::from(area.width);
    // The latency, the tree, the verdict and what became of the error share the width.
    let tree = (state.chains.widest + STAR).clamp(24, (width * 2 / 5).clamp(24, 60));
    let rest = width - tree - 14;
    let says = if width >= 110 { rest * 3 / 5 } else { rest };
    // The lines of the tree are those of a whole chain.
    let mut branches: Option<(crate::calls::Uid, Vec<String>)> = None;
    for y in 0..state.list_height(View::Chains).min(usize::from(area.height)) {
        let at = list.top + y;
        let y = y as u16;
        let Some((chain, hop)) = state.chains.row(at) else { continue };
        let call = &chain.hops[hop].call;
        if state.matcher.has_filter() && state.matcher.filter_matches(call) {
            line::put(buffer, area, 0, y, "▸", theme.strong);
        }
        let class = call.class();
        let colour = theme.class(class);
        let began = chain.origin.hop() == Some(hop);
        line::put(buffer, area, 1, y, &labels::letter(class).to_string(), colour);
        let name = text::escape(&Operation(call).to_string()).into_owned();
        let root = chain.root().uid;
        if branches.as_ref().is_none_or(|(of, _)| *of != root) {
            branches = Some((root, chain.branches()));
        }
        let branch = branches.as_ref().and_then(|(_, all)| all.get(hop)).map_or("", String::as_str);
        let branch = text::cut_end(branch, DEEPEST);
        let star = if began { " ★" } else { "" };
        let room = tree.saturating_sub(text::width(&branch) + text::width(star) + 1);
        let x = line::put(buffer, area, 3, y, &branch, theme.dim);
        let x = line::put(buffer, area, x, y, &text::cut_middle(&name, room), theme.strong);
        line::put(buffer, area, x, y, star, theme.alarm);
        let latency = call.latency.map_or_else(|| "—".to_owned(), text::duration);
        line::put(buffer, area, (tree + 3) as u16, y, &format!("{latency:>7}"), Style::new());
        let text_style = colour.remove_modifier(Modifier::BOLD);
        let said = labels::verdict(call);
        let notes = chain.remark(hop).unwrap_or_default();
        let x = (tree + 12) as u16;
        if width >= 110 {
            line::put(buffer, area, x, y, &text::cut_end(&said, says.saturating_sub(1)), text_style);
            line::put(buffer, area, x + says as u16, y, &notes, theme.dim);
        } else {
            // What became of the error says more than the end of its text.
            let kept = text::width(&notes).min(says.saturating_sub(SHORTEST_TEXT));
            let end = line::put(buffer, area, x, y, &text::cut_end(&said, says - kept), text_style);
            line::put(buffer, area, end + 1, y, &notes, theme.dim);
        }
        if at == list.selected {
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, theme.selected);
        }
    }
}

fn why_empty(state: &State) -> Vec<String> {
    if state.chains.hidden > 0 {
        let hidden = text::counted(state.chains.hidden as u64, "chain");
        return vec![
            format!("the filter lets no call of {hidden} through"),
            "a shows all, f changes the filter".to_owned(),
        ];
    }
    let why = if state.ended {
        "no chains: no call is known to have caused another"
    } else {
        "no chains yet: a file's are known at its end, those of live traffic after some seconds"
    };
    vec![why.to_owned(), "links come from trace ids, log ids, names, deadlines and times that fit".to_owned()]
}
