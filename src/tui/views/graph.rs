//! The service graph: who calls whom, and where errors begin and pass. Every edge is in one row, below the edge by which
//! its caller was reached first.
//!
//! ```text
//! web → gateway
//! ├▶ order
//! │  ├▶ stock
//! │  └▶ catalog
//! └▶ catalog ↑        the calls of catalog are further up
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ratatui::style::{Modifier, Style};

use super::{Row, View};
use crate::calls::Class;
use crate::chains::Summary;
use crate::chains::summary::Traffic;
use crate::text;
use crate::tui::columns::{CALLS, Column, Placed, REST, place};
use crate::tui::keys::{Action, Scope};
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{List, SortKey};
use crate::tui::state::matcher::Only;

/// Deepest edge that is still indented further.
const DEEPEST: usize = 12;

const EDGE: Column = Column::text("who calls whom");
const OK: Column = Column::number("ok");
const BUSINESS: Column = Column::number("BIZ");
const RPC: Column = Column::number("RPC");
const BROKEN: Column = Column::number("NET ?");
/// Share of the calls that failed.
const FAILED: Column = Column::text("failed %").largest_first();
/// Share of all errors that began in calls of the edge.
const BEGAN: Column = Column::number("began");
/// Share of all errors that calls of the edge passed on.
const PASSED: Column = Column::number("passed");

/// An edge in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Edge {
    /// Names of both ends; may hold control characters.
    pub from: String,
    pub to: String,
    pub traffic: Traffic,
    /// What joins it to the row of its caller; `None` where no row above is its caller's, so that the caller is named.
    pub branch: Option<String>,
    /// The calls that `to` makes are further up.
    pub above: bool,
}

/// All edges.
#[derive(Debug)]
pub(in crate::tui) struct Graph {
    /// In the order of the screen.
    pub edges: Vec<Edge>,
    /// Chains with an error: 100 % of the shares of errors.
    errors: u64,
    /// What is not known for sure, in words.
    doubts: Option<String>,
    list: List,
}

impl Default for Graph {
    fn default() -> Self {
        Self { edges: Vec::new(), errors: 0, doubts: None, list: List::new(EDGE, None) }
    }
}

impl Graph {
    fn selected(&self) -> Option<&Edge> {
        self.edges.get(self.list.selected)
    }
}

impl View for Graph {
    fn title(&self) -> &'static str {
        "service graph"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Columns, Scope::Everywhere]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(EDGE, REST), (CALLS, 7)];
        if width >= 100 {
            wanted.push((OK, 7));
        }
        wanted.extend([(BUSINESS, 6), (RPC, 6), (BROKEN, 6)]);
        let mut share = (1, 1);
        if width >= 140 {
            share = (3, 5);
            wanted.push((FAILED, REST));
        } else if width >= 110 {
            wanted.push((FAILED, 14));
        }
        wanted.push((BEGAN, 6));
        if width >= 70 {
            wanted.push((PASSED, 6));
        }
        place(width, wanted, share)
    }

    fn list(&self) -> &List {
        &self.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.list
    }

    fn len(&self) -> usize {
        self.edges.len()
    }

    /// Takes the edges of the sum of chains: as a tree, or flat if they are sorted. If the user has moved the cursor, it
    /// stays on its edge.
    fn arrange(&mut self, cx: &Context) {
        let moved = self.selected().filter(|_| self.list.moved);
        let selected = moved.map(|edge| (edge.from.clone(), edge.to.clone()));
        let summary = cx.chains.sum(&cx.matcher);
        self.errors = summary.errors;
        self.doubts = summary.doubts();
        self.edges = tree(&summary);
        if self.list.sort.is_some() {
            for edge in &mut self.edges {
                edge.branch = None;
                edge.above = false;
            }
            self.list.order(&mut self.edges, sort_key);
        }
        let row = selected
            .and_then(|(from, to)| self.edges.iter().position(|edge| (&edge.from, &edge.to) == (&from, &to)));
        if let Some(row) = row {
            self.list.keep(row);
        }
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let edge = self.edges.get(at)?;
        let traffic = &edge.traffic;
        let theme = &cx.theme;
        let count = |n: u64, class: Class| match n {
            0 => ("·".to_owned(), theme.dim),
            n => (text::thousands(n), theme.class(Some(class)).remove_modifier(Modifier::BOLD)),
        };
        let errors = |n: u64, style: Style| match n {
            0 => ("·".to_owned(), theme.dim),
            n => (percent(n, self.errors), style),
        };
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                EDGE => (name(edge, placed.width), Style::new()),
                CALLS => (text::thousands(traffic.calls), Style::new()),
                OK => count(traffic.fine(), Class::Ok),
                BUSINESS => count(traffic.business, Class::Business),
                RPC => count(traffic.rpc(), Class::Rpc),
                BROKEN => count(traffic.broken, Class::Transport),
                FAILED => failed(edge, placed.width, cx),
                BEGAN => errors(traffic.began, theme.alarm),
                PASSED => errors(traffic.passed, Style::new()),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: None, cells })
    }

    fn row_text(&self, _cx: &Context, at: usize) -> String {
        let name = |edge: &Edge| format!("{} → {}", text::escape(&edge.from), text::escape(&edge.to));
        self.edges.get(at).map(name).unwrap_or_default()
    }

    fn thing(&self, _cx: &Context) -> Option<Only> {
        let edge = self.selected()?;
        Some(Only::Edge { from: edge.from.clone(), to: edge.to.clone() })
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let Some(edge) = self.selected() else { return Sentence::default() };
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
            let parts: Vec<String> = parts
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, word)| format!("{} {word}", number(*n)))
                .collect();
            // Writing to a String can't fail.
            _ = write!(line, ", {:.1} % failed ({})", share(failed, traffic.calls), parts.join(", "));
        }
        if self.errors > 0 {
            let all = text::counted(self.errors, "error");
            let [began, passed] = [traffic.began, traffic.passed].map(number);
            let least = if self.doubts.is_some() { "at least " } else { "" };
            _ = write!(
                line,
                "; of {all} in all, {least}{began} began here and {least}{passed} passed through"
            );
        }
        _ = write!(line, ". {} shows the calls.", cx.key(Action::Open));
        let main = text::escape(&line).into_owned();
        Sentence { main, rest: self.doubts.clone(), ..Sentence::default() }
    }

    /// What is not known for sure takes a line of its own.
    fn sentence_lines(&self, height: u16) -> u16 {
        match height {
            ..16 => 1,
            16..20 => 2,
            _ => 3,
        }
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        if cx.matcher.has_filter() && cx.chains.held() > 0 {
            return vec!["no chain of several calls has a call that passes the filter".to_owned()];
        }
        let yet = if cx.ended { "" } else { " yet" };
        vec![
            format!("no chain is complete{yet}"),
            "chains of a file are complete at its end, those of live traffic after some seconds".to_owned(),
        ]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.hidden_chains()
    }
}

/// Both ends, or only the callee where it is below its caller, in `columns` columns.
fn name(edge: &Edge, columns: usize) -> String {
    let above = if edge.above { " ↑" } else { "" };
    let columns = columns.saturating_sub(text::width(above));
    let to = text::escape(&edge.to);
    if let Some(branch) = &edge.branch {
        let room = columns.saturating_sub(text::width(branch));
        return format!("{branch}{}{above}", text::cut_name(&to, room, 1));
    }
    let from = text::escape(&edge.from);
    let room = columns.saturating_sub(3);
    // Each name gets half of the room, and what the other one leaves.
    let half = text::width(&to).min(room.div_ceil(2));
    let from = text::cut_name(&from, room - half, 1);
    format!("{from} → {}{above}", text::cut_name(&to, room - text::width(&from), 1))
}

fn percent(part: u64, all: u64) -> String {
    let percent = part as f64 * 100.0 / all.max(1) as f64;
    if percent < 0.05 { "<0.1%".to_owned() } else { format!("{percent:.1}%") }
}

/// The share of failed calls with a bar, in the colour of the class that fails most.
fn failed(edge: &Edge, width: usize, cx: &Context) -> (String, Style) {
    let traffic = &edge.traffic;
    let failed = traffic.business + traffic.framework;
    if failed == 0 {
        return ("·".to_owned(), cx.theme.dim);
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
    (cell, cx.theme.class(class).remove_modifier(Modifier::BOLD))
}

fn sort_key(edge: &Edge, column: Column) -> SortKey {
    let traffic = &edge.traffic;
    SortKey::Number(i128::from(match column {
        CALLS => traffic.calls,
        OK => traffic.fine(),
        BUSINESS => traffic.business,
        RPC => traffic.rpc(),
        BROKEN => traffic.broken,
        BEGAN => traffic.began,
        PASSED => traffic.passed,
        _ => return SortKey::Text(format!("{} {}", edge.from, edge.to)),
    }))
}

/// The edges depth first, beginning with services that nobody calls.
fn tree(summary: &Summary) -> Vec<Edge> {
    let mut below: BTreeMap<&str, Vec<(&str, Traffic)>> = BTreeMap::new();
    let mut called: BTreeSet<&str> = BTreeSet::new();
    for (from, to, traffic) in summary.edges() {
        below.entry(from).or_default().push((to, traffic));
        if from != to {
            called.insert(to);
        }
    }
    let mut tree = Tree { below: &below, open: BTreeSet::new(), edges: Vec::new() };
    for name in below.keys().filter(|name| !called.contains(*name)) {
        tree.root(name);
    }
    // The rest call each other in circles.
    for name in below.keys() {
        tree.root(name);
    }
    tree.edges
}

struct Tree<'s> {
    below: &'s BTreeMap<&'s str, Vec<(&'s str, Traffic)>>,
    /// Services whose own calls have rows.
    open: BTreeSet<&'s str>,
    edges: Vec<Edge>,
}

impl<'s> Tree<'s> {
    /// The edges from a service that nobody above calls.
    fn root(&mut self, from: &'s str) {
        if !self.open.insert(from) {
            return;
        }
        for &(to, traffic) in self.below.get(from).into_iter().flatten() {
            self.edge(from, to, traffic, None);
            self.grow(to);
        }
    }

    fn edge(&mut self, from: &str, to: &str, traffic: Traffic, branch: Option<String>) {
        let above = self.open.contains(to) && self.below.contains_key(to);
        self.edges.push(Edge { from: from.to_owned(), to: to.to_owned(), traffic, branch, above });
    }

    /// The edges below a service whose own edge has just got a row. Without recursion, because the depth comes from the
    /// wire.
    fn grow(&mut self, from: &'s str) {
        let mut stack: Vec<(&'s str, usize)> = Vec::new();
        let mut lines: Vec<bool> = Vec::new();
        if self.open.insert(from) {
            stack.push((from, 0));
        }
        while let Some((from, next)) = stack.pop() {
            let children: &[(&str, Traffic)] = self.below.get(from).map_or(&[], Vec::as_slice);
            let Some(&(to, traffic)) = children.get(next) else { continue };
            let last = next + 1 == children.len();
            lines.truncate(stack.len());
            let mut branch: String =
                lines.iter().take(DEEPEST).map(|goes_on| if *goes_on { "│  " } else { "   " }).collect();
            branch.push_str(if last { "└▶ " } else { "├▶ " });
            self.edge(from, to, traffic, Some(branch));
            lines.push(!last);
            stack.push((from, next + 1));
            if self.open.insert(to) {
                stack.push((to, 0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::{Chain, EvidenceSet, Hop, Origin};
    use crate::tui::state::testing::call;

    /// A chain of calls, each of which caused the next.
    fn chain(names: &[&str]) -> Chain {
        let hops = names.iter().enumerate().map(|(depth, name)| {
            let mut call = call(depth as u64);
            call.caller = Some("web".into());
            call.callee = Some((*name).into());
            Hop::sample(call, depth, depth.checked_sub(1))
        });
        Chain {
            hops: hops.collect(),
            origin: Origin::Nothing,
            origin_confidence: 0.97,
            changes: Vec::new(),
            evidence: EvidenceSet::default(),
            confidence: 1.0,
        }
    }

    fn drawn(chains: &[&[&str]]) -> Vec<String> {
        let mut summary = Summary::default();
        for names in chains {
            summary.add(&chain(names));
        }
        let row = |edge: &Edge| {
            let above = if edge.above { " ↑" } else { "" };
            match &edge.branch {
                Some(branch) => format!("{branch}{}{above}", edge.to),
                None => format!("{} → {}{above}", edge.from, edge.to),
            }
        };
        tree(&summary).iter().map(row).collect()
    }

    #[test]
    fn every_edge_stands_once_below_its_caller() {
        let chains: [&[&str]; 4] = [
            &["gateway", "order", "stock"],
            &["gateway", "order", "catalog"],
            &["gateway", "order", "stock", "db"],
            &["gateway", "stock"],
        ];
        assert_eq!(
            drawn(&chains),
            ["web → gateway", "├▶ order", "│  ├▶ catalog", "│  └▶ stock", "│     └▶ db", "└▶ stock ↑"]
        );
    }

    #[test]
    fn circles_and_calls_of_oneself_end() {
        assert_eq!(drawn(&[&["a", "b", "a", "b"]]), ["web → a", "└▶ b", "   └▶ a ↑"]);
        assert_eq!(drawn(&[&["a", "a"]]), ["web → a", "└▶ a ↑"]);
        assert_eq!(drawn(&[&["web"]]), ["web → web ↑"]);
    }
}
