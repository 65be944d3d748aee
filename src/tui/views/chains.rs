//! The Chains view: every hop of every chain with its answer, where the error began, and what each service made of it.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Row, Target, View};
use crate::calls::{Call, Uid, labels};
use crate::chains::{Chain, Operation};
use crate::text;
use crate::tui::columns::{METHOD, Placed};
use crate::tui::keys::Scope;
use crate::tui::render::{line, sentence::Sentence};
use crate::tui::state::context::Context;
use crate::tui::state::list::List;

/// The most columns that the branches of the tree take; the names of deeper hops begin there too.
const DEEPEST: usize = 32;
/// Columns of the star after a name and of the space after both.
const STAR: usize = 3;
/// Columns that the text of an error keeps beside what became of it.
const SHORTEST_TEXT: usize = 12;

/// The hops of the chains that the filter lets through.
#[derive(Debug)]
pub(in crate::tui) struct Chains {
    /// Root of the chain and hop; a row without a hop is between two chains.
    rows: Vec<(Uid, Option<u32>)>,
    list: List,
    /// Width of the widest operation with the branches before it, in columns.
    widest: usize,
    /// The generation of the chains that the rows are of.
    generation: Option<u64>,
}

impl Default for Chains {
    fn default() -> Self {
        Self { rows: Vec::new(), list: List::new(METHOD, None), widest: 0, generation: None }
    }
}

impl Chains {
    /// Chain and hop of a row; `None` between two chains and beyond the end.
    fn hop<'c>(&self, cx: &'c Context, at: usize) -> Option<(&'c Chain, usize)> {
        let (root, hop) = *self.rows.get(at)?;
        Some((cx.chains.by_root(root)?, hop? as usize))
    }

    /// Chain and hop under the cursor.
    pub(in crate::tui) fn selected<'c>(&self, cx: &'c Context) -> Option<(&'c Chain, usize)> {
        self.hop(cx, self.list.selected)
    }

    /// Moves the cursor off a row between two chains.
    fn leave_gap(&mut self, by: isize) {
        if matches!(self.rows.get(self.list.selected), Some((_, None))) {
            self.list.step(by, self.rows.len());
        }
    }

    /// Puts the cursor on the hop of a call. Whether it is in a row.
    pub(in crate::tui) fn find(&mut self, cx: &Context, uid: Uid) -> bool {
        let Some((chain, hop)) = cx.chains.of(uid) else { return false };
        let wanted = (chain.root().uid, Some(hop as u32));
        let Some(row) = self.rows.iter().position(|row| *row == wanted) else { return false };
        self.list.go(row);
        // The root comes to the top, so that the whole chain is shown if it fits.
        self.list.top = row - hop;
        true
    }
}

impl View for Chains {
    fn title(&self) -> &'static str {
        "Chains"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Chains, Scope::Graph, Scope::Lists, Scope::Rows, Scope::Everywhere]
    }

    fn columns(&self, _width: usize) -> Vec<Placed> {
        Vec::new()
    }

    fn list(&self) -> &List {
        &self.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.list
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    /// Makes the rows again if chains came or the filter changed. The cursor stays on its hop.
    fn arrange(&mut self, cx: &Context) {
        if self.generation == Some(cx.chains.generation) {
            return;
        }
        self.generation = Some(cx.chains.generation);
        let selected = self.rows.get(self.list.selected).copied();
        self.rows.clear();
        self.widest = 0;
        for held in cx.chains.shown() {
            let root = held.chain.root().uid;
            if !self.rows.is_empty() {
                self.rows.push((root, None));
            }
            self.rows.extend((0..held.chain.hops.len()).map(|hop| (root, Some(hop as u32))));
            self.widest = self.widest.max(held.width);
        }
        if let Some(row) = selected.and_then(|selected| self.rows.iter().position(|row| *row == selected)) {
            self.list.keep(row);
        } else {
            self.list.selected = 0;
            self.list.top = 0;
        }
    }

    fn row(&self, _cx: &Context, _at: usize, _columns: &[Placed]) -> Option<Row> {
        None
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        self.hop(cx, at).map(|(chain, hop)| cx.call_text(&chain.hops[hop].call)).unwrap_or_default()
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        self.selected(cx).map(|(chain, hop)| chain.hops[hop].call.shared())
    }

    fn open(&self, cx: &Context) -> Option<Target> {
        self.current_call(cx).map(|call| Target::Call(call, None))
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let Some((chain, _)) = self.selected(cx) else { return Sentence::default() };
        let rest = crate::sink::chains::evidence(chain).map(|evidence| format!("evidence: {evidence}"));
        Sentence { main: chain.sentence(), rest, ..Sentence::default() }
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        if cx.total.calls == 0 {
            return cx.why_no_calls();
        }
        if cx.chains.hidden > 0 {
            let hidden = text::counted(cx.chains.hidden as u64, "chain");
            return vec![format!("no call of {hidden} passes the filter"), cx.widen("")];
        }
        let why = if cx.ended {
            "no chains: no call is known to have caused another"
        } else {
            "no chains yet: a file's are known at its end, those of live traffic after some seconds"
        };
        vec![
            why.to_owned(),
            "calls are linked by trace ids, log ids, names, deadlines and by their times".to_owned(),
        ]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.hidden_chains()
    }

    fn evicted(&self, cx: &Context) -> u64 {
        cx.chains.evicted
    }

    fn copy(&self, cx: &Context) -> Option<String> {
        self.selected(cx).map(|(chain, _)| crate::sink::chains::tree(chain, None, false))
    }

    fn export(&self, cx: &Context) -> Vec<Arc<Call>> {
        self.current_call(cx).map(|call| cx.chains.calls(call.uid)).unwrap_or_default()
    }

    fn is_failed(&self, cx: &Context, at: usize) -> Option<bool> {
        Some(self.hop(cx, at).is_some_and(|(chain, hop)| chain.hops[hop].call.failed()))
    }

    fn step(&mut self, rows: isize) {
        self.list.step(rows, self.rows.len());
        self.leave_gap(if rows < 0 { -1 } else { 1 });
    }

    fn go(&mut self, row: usize) {
        self.list.go(row);
        self.leave_gap(-1);
    }

    /// Sentences about chains are longer than those about calls.
    fn sentence_lines(&self, height: u16) -> u16 {
        match height {
            ..16 => 1,
            16..20 => 2,
            _ => 3,
        }
    }

    fn render(&self, buffer: &mut Buffer, area: Rect, cx: &Context) {
        if self.rows.is_empty() {
            line::middle(buffer, area, &self.why_empty(cx), cx.theme.dim);
            return;
        }
        let widths = Widths::new(area, self.widest);
        // The branches are those of a whole chain.
        let mut branches: Option<(Uid, Vec<String>)> = None;
        for y in 0..area.height {
            let at = self.list.top + usize::from(y);
            let Some((chain, hop)) = self.hop(cx, at) else { continue };
            let root = chain.root().uid;
            if branches.as_ref().is_none_or(|(of, _)| *of != root) {
                branches = Some((root, chain.branches()));
            }
            let branch = branches.as_ref().and_then(|(_, all)| all.get(hop)).map_or("", String::as_str);
            draw_hop(buffer, Rect { y: area.y + y, height: 1, ..area }, cx, (chain, hop), branch, widths);
            if at == self.list.selected {
                buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, cx.theme.selected);
            }
        }
    }
}

/// How the tree, the latency, the verdict and what became of the error share the width.
#[derive(Clone, Copy)]
struct Widths {
    tree: usize,
    verdict: usize,
    /// What became of the error has a column of its own.
    separate: bool,
}

impl Widths {
    fn new(area: Rect, widest: usize) -> Self {
        let width = usize::from(area.width);
        let tree = (widest + STAR).clamp(24, (width * 2 / 5).clamp(24, 60));
        let rest = width - tree - 14;
        let separate = width >= 110;
        Self { tree, verdict: if separate { rest * 3 / 5 } else { rest }, separate }
    }
}

/// Draws a hop in its line.
fn draw_hop(
    buffer: &mut Buffer,
    area: Rect,
    cx: &Context,
    (chain, hop): (&Chain, usize),
    branch: &str,
    widths: Widths,
) {
    let theme = &cx.theme;
    let call = &chain.hops[hop].call;
    if cx.matcher.has_filter() && cx.matcher.filter_matches(call) {
        line::put(buffer, area, 0, 0, "▸", theme.strong);
    }
    let class = call.class();
    let color = theme.class(class);
    line::put(buffer, area, 1, 0, &labels::letter(class).to_string(), color);
    let name = text::escape(&Operation(call).to_string()).into_owned();
    let branch = text::cut_end(branch, DEEPEST);
    let star = match chain.origin.hop().filter(|origin| *origin == hop) {
        Some(_) if chain.is_origin_sure() => " ★",
        Some(_) => " ☆",
        None => "",
    };
    let room = widths.tree.saturating_sub(text::width(&branch) + text::width(star) + 1);
    let x = line::put(buffer, area, 3, 0, &branch, theme.dim);
    let x = line::put(buffer, area, x, 0, &text::cut_middle(&name, room), theme.strong);
    line::put(buffer, area, x, 0, star, theme.alarm);
    let latency = call.latency.map_or_else(|| "—".to_owned(), text::duration);
    line::put(buffer, area, (widths.tree + 3) as u16, 0, &format!("{latency:>7}"), Style::new());
    let style = color.remove_modifier(Modifier::BOLD);
    let verdict = labels::verdict(call);
    let remark = chain.remark(hop).unwrap_or_default();
    let x = (widths.tree + 12) as u16;
    if widths.separate {
        line::put(buffer, area, x, 0, &text::cut_end(&verdict, widths.verdict.saturating_sub(1)), style);
        line::put(buffer, area, x + widths.verdict as u16, 0, &remark, theme.dim);
    } else {
        // What became of the error is more important than the end of its text.
        let kept = text::width(&remark).min(widths.verdict.saturating_sub(SHORTEST_TEXT));
        let end = line::put(buffer, area, x, 0, &text::cut_end(&verdict, widths.verdict - kept), style);
        line::put(buffer, area, end + 1, 0, &remark, theme.dim);
    }
}
