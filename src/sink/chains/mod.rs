//! Outputs of chains: each is a small file behind [`ChainSink`]. [`ChainFormat`] is the table of them.

mod graph;
mod jsonl;
mod text;

use std::io;

use clap::ValueEnum;

use super::{Appearance, RecordWriter};
use crate::chains::fleet::Counts;
use crate::chains::{Chain, Summary};
use crate::pipeline::Totals;

pub use graph::{ChainGraph, Graph};
pub use jsonl::{ChainLines, SummaryLines, write_chain};
pub use text::{ChainSummary, ChainText, ending, evidence, tree};

/// Receives chains as they become complete.
pub trait ChainSink {
    /// The next chain.
    fn chain(&mut self, chain: &Chain) -> io::Result<()>;

    /// Called about twice a second: complete chains should be written out.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was read in all, once, before the end. Outputs without a place for it ignore it.
    fn totals(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }

    /// What was made of the records of other hosts, once, before the end. Outputs without a place for it ignore it.
    fn records(&mut self, _summary: &Summary, _counts: &Counts, _rejected: u64) -> io::Result<()> {
        Ok(())
    }

    /// See [`super::Sink::recover`].
    fn recover(&mut self) -> Option<usize> {
        None
    }

    /// The end. Called once.
    fn finish(&mut self) -> io::Result<()>;
}

/// The formats of chains. A new format needs its own file and its lines here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChainFormat {
    /// Trees.
    #[default]
    Text,
    /// One JSON object per line.
    Jsonl,
    /// The service graph as a mermaid flowchart.
    Mermaid,
    /// The service graph for Graphviz.
    Dot,
}

impl ChainFormat {
    /// The sink of this format. With `summary`, formats that can write the kinds of changes and their counts instead of chains.
    #[must_use]
    pub fn open(self, summary: bool, out: RecordWriter, look: &Appearance) -> Box<dyn ChainSink> {
        match (self, summary) {
            (Self::Text, false) => Box::new(ChainText::new(out, look.width, look.colored)),
            (Self::Text, true) => Box::new(ChainSummary::new(out, look.colored)),
            (Self::Jsonl, false) => Box::new(ChainLines::new(out).totals(look.totals)),
            (Self::Jsonl, true) => Box::new(SummaryLines::new(out)),
            (Self::Mermaid, _) => Box::new(ChainGraph::new(out, Graph::Mermaid)),
            (Self::Dot, _) => Box::new(ChainGraph::new(out, Graph::Dot)),
        }
    }
}
