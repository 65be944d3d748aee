//! The service graph with its error flows, as mermaid and as DOT.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::super::RecordWriter;
use super::ChainSink;
use crate::chains::Summary;
use crate::chains::summary::Traffic;
use crate::text;

/// Languages of graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graph {
    /// Mermaid flowchart.
    Mermaid,
    /// Graphviz DOT.
    Dot,
}

/// The sink of `chains --format mermaid` and `dot`.
#[derive(Debug)]
pub struct ChainGraph {
    out: RecordWriter,
    graph: Graph,
    summary: Summary,
}

impl ChainGraph {
    /// Writes to `out` when it is finished.
    #[must_use]
    pub fn new(out: RecordWriter, graph: Graph) -> Self {
        Self { out, graph, summary: Summary::default() }
    }
}

impl ChainSink for ChainGraph {
    fn chain(&mut self, chain: &crate::chains::Chain) -> io::Result<()> {
        self.summary.add(chain);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let graph = match self.graph {
            Graph::Mermaid => mermaid(&self.summary),
            Graph::Dot => dot(&self.summary),
        };
        self.out.buffer().extend_from_slice(graph.as_bytes());
        self.out.flush()
    }
}

/// `1,204 calls, 12 business, 3 RPC`.
fn label(traffic: Traffic) -> String {
    let calls = if traffic.calls == 1 { "call" } else { "calls" };
    let mut out = format!("{} {calls}", text::thousands(traffic.calls));
    for (count, word) in [(traffic.business, "business"), (traffic.framework, "RPC")] {
        if count > 0 {
            _ = write!(out, ", {} {word}", text::thousands(count));
        }
    }
    out
}

/// Numbers for the names, in their order.
fn nodes(summary: &Summary) -> BTreeMap<&str, usize> {
    let names: std::collections::BTreeSet<&str> =
        summary.edges().flat_map(|(from, to, _)| [from, to]).collect();
    names.into_iter().enumerate().map(|(number, name)| (name, number)).collect()
}

/// What both languages take between double quotes: mermaid has entities for what would end it, DOT backslashes.
fn quoted(name: &str, graph: Graph) -> String {
    let safe = text::escape(name);
    match graph {
        Graph::Mermaid => {
            let safe = safe.replace('#', "#35;").replace('&', "#amp;");
            safe.replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
        }
        Graph::Dot => safe.replace('\\', "\\\\").replace('"', "\\\""),
    }
}

/// Red for failures of the framework, amber for a business no.
fn colour(traffic: Traffic) -> Option<&'static str> {
    match traffic {
        Traffic { framework: 1.., .. } => Some("#c0392b"),
        Traffic { business: 1.., .. } => Some("#d68910"),
        _ => None,
    }
}

/// The graph as a mermaid flowchart.
#[must_use]
fn mermaid(summary: &Summary) -> String {
    let nodes = nodes(summary);
    let mut out = String::from("flowchart LR\n");
    for (name, number) in &nodes {
        _ = writeln!(out, "    n{number}[\"{}\"]", quoted(name, Graph::Mermaid));
    }
    let mut styles = String::new();
    for (index, (from, to, traffic)) in summary.edges().enumerate() {
        _ = writeln!(out, "    n{} -->|\"{}\"| n{}", nodes[from], label(traffic), nodes[to]);
        if let Some(colour) = colour(traffic) {
            _ = writeln!(styles, "    linkStyle {index} stroke:{colour},stroke-width:2px");
        }
    }
    if let Some(doubts) = summary.doubts() {
        // A box of its own, because nobody sees comments in the drawing.
        _ = write!(out, "    doubts[\"{doubts}\"]\n    style doubts stroke-dasharray:4\n");
    }
    out + &styles
}

/// The graph as DOT.
#[must_use]
fn dot(summary: &Summary) -> String {
    let nodes = nodes(summary);
    let mut out = String::from("digraph services {\n    rankdir=LR;\n    node [shape=box];\n");
    for (name, number) in &nodes {
        _ = writeln!(out, "    n{number} [label=\"{}\"];", quoted(name, Graph::Dot));
    }
    for (from, to, traffic) in summary.edges() {
        let colour = colour(traffic).map(|colour| format!(", color=\"{colour}\"")).unwrap_or_default();
        _ = writeln!(out, "    n{} -> n{} [label=\"{}\"{colour}];", nodes[from], nodes[to], label(traffic));
    }
    if let Some(doubts) = summary.doubts() {
        _ = writeln!(out, "    label=\"{doubts}\";");
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_they_are() {
        // Mermaid reads entities of its own and of HTML.
        assert_eq!(quoted("a&lt;b#<\"", Graph::Mermaid), "a#amp;lt;b#35;#lt;#quot;");
        assert_eq!(quoted("a&lt;\"\\", Graph::Dot), "a&lt;\\\"\\\\");
    }
}
