//! The rows of the service graph: every edge once, below the edge by which its caller was reached first.
//!
//! ```text
//! web → gateway
//! ├▶ order
//! │  ├▶ stock
//! │  └▶ catalog
//! └▶ catalog ↑        its own calls stand above
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::list::{List, SortKey};
use crate::chains::Summary;
use crate::chains::summary::Traffic;
use crate::tui::columns::Column;

/// Deepest edge that is still moved to the right.
const DEEPEST: usize = 12;

/// An edge in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Edge {
    /// Names of both ends; may hold control characters.
    pub from: String,
    pub to: String,
    pub traffic: Traffic,
    /// What joins it to the row of its caller; `None` where the caller has no row above and is to be named.
    pub branch: Option<String>,
    /// The calls that `to` makes stand further up.
    pub above: bool,
}

/// All edges and a cursor in them.
#[derive(Debug)]
pub(in crate::tui) struct Graph {
    /// In the order of the screen.
    pub edges: Vec<Edge>,
    /// Chains with an error: what shares are taken of.
    pub errors: u64,
    pub list: List,
}

impl Graph {
    pub(in crate::tui) fn new() -> Self {
        Self { edges: Vec::new(), errors: 0, list: List::new(Column::Edge, None) }
    }

    /// The selected edge.
    pub(in crate::tui) fn selected(&self) -> Option<&Edge> {
        self.edges.get(self.list.selected)
    }

    /// Takes the edges of a summary: as a tree, or flat where an order was asked for. A cursor that was moved stays on its
    /// edge.
    pub(in crate::tui) fn arrange(&mut self, summary: &Summary) {
        let selected =
            self.selected().filter(|_| self.list.moved).map(|edge| (edge.from.clone(), edge.to.clone()));
        self.errors = summary.errors;
        self.edges = tree(summary);
        if self.list.sort.is_some() {
            for edge in &mut self.edges {
                edge.branch = None;
                edge.above = false;
            }
            self.list.order(&mut self.edges, key);
        }
        let again = selected
            .and_then(|(from, to)| self.edges.iter().position(|edge| (&edge.from, &edge.to) == (&from, &to)));
        if let Some(row) = again {
            self.list.keep(row);
        }
    }
}

/// What an edge is ordered by.
fn key(edge: &Edge, column: Column) -> SortKey {
    let traffic = &edge.traffic;
    SortKey::Number(i128::from(match column {
        Column::Calls => traffic.calls,
        Column::Fine => traffic.fine(),
        Column::Business => traffic.business,
        Column::Rpc => traffic.rpc(),
        Column::Broken => traffic.broken,
        Column::Began => traffic.began,
        Column::Passed => traffic.passed,
        _ => return SortKey::Text(format!("{} {}", edge.from, edge.to)),
    }))
}

/// The edges depth first, from those whom nobody calls.
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
    // What is left calls each other in circles.
    for name in below.keys() {
        tree.root(name);
    }
    tree.edges
}

struct Tree<'s> {
    below: &'s BTreeMap<&'s str, Vec<(&'s str, Traffic)>>,
    /// Services whose calls have their rows.
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

    /// The edges below a service, whose own edge has just got its row. Without recursion: names come from the wire, and
    /// so does the depth.
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

    /// A chain of calls, each caused by the one before.
    fn chain(names: &[&str]) -> Chain {
        let hops = names.iter().enumerate().map(|(depth, name)| {
            let mut call = call(depth as u64);
            call.caller = Some("web".into());
            call.callee = Some((*name).into());
            let parent = depth.checked_sub(1);
            Hop {
                call: call.into(),
                depth: depth as u32,
                parent,
                link: None,
                retried_by: None,
                after_answer: false,
            }
        });
        Chain {
            hops: hops.collect(),
            origin: Origin::Nothing,
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
