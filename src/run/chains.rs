//! `rpcscope chains`: which call caused which, and how an error travelled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::runner::{self, Consumer, Run};
use super::{Failure, Status, complain, output};
use crate::calls::Call;
use crate::chains::{Chain, Engine, Options};
use crate::cli::{ChainsArgs, ChainsFormat};
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::sink;
use crate::sink::chains::{ChainSink, ChainSummary, ChainText};
use crate::sink::chains_graph::{ChainGraph, Graph};
use crate::sink::chains_jsonl::{ChainLines, SummaryLines};

/// How long a call waits live for those that began before it.
pub(super) const LIVE_PATIENCE: Duration = Duration::from_secs(10);

/// Prints the chains of the input's calls.
pub(super) fn run(args: &ChainsArgs) -> Result<Status, Failure> {
    let view = &args.view;
    let filter = runner::filter(view)?;
    let mut run = Run::open(&view.input, view.output.as_deref())?;
    run.options.metadata = true;
    // A file is linked best in one piece; what never ends can't wait for its end.
    let patience = view.input.is_endless().then_some(LIVE_PATIENCE);
    let mut linking = Linking {
        engine: Engine::new(Options { patience, ..Options::default() }),
        sink: sink(args, output::writer(view, &run.losses)?),
        filter,
        metadata: args.metadata,
    };
    // The filter chooses chains, which need all their calls.
    let status = run.choosing(None, &view.fail_on).drive(&mut linking)?;
    for shortfall in linking.engine.shortfalls() {
        complain(&shortfall);
    }
    Ok(status)
}

/// The engine with what becomes of its chains.
struct Linking {
    engine: Engine,
    sink: Box<dyn ChainSink>,
    filter: Option<Filter>,
    metadata: bool,
}

impl Linking {
    /// Does something with the engine, and writes the chains that come out.
    fn feed(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) -> io::Result<()> {
        let Self { engine, sink, filter, metadata } = self;
        let mut written = Ok(());
        act(engine, &mut |mut chain: Chain| {
            // A chain is shown if any of its calls matches; the others are needed to see it at all.
            let shown = filter.as_ref().is_none_or(|f| chain.hops.iter().any(|hop| f.matches(&hop.call)));
            if !shown || written.is_err() {
                return;
            }
            if !*metadata {
                for hop in &mut chain.hops {
                    Arc::make_mut(&mut hop.call).metadata.clear();
                }
            }
            written = sink.chain(&chain);
        });
        written
    }
}

impl Consumer for Linking {
    fn call(&mut self, call: Box<Call>) -> io::Result<()> {
        self.feed(|engine, out| engine.call(call, out))
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        match totals.span {
            Some((_, now)) => self.feed(|engine, out| engine.tick(now, totals.oldest_open, out)),
            None => Ok(()),
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        self.sink.tick()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.feed(Engine::finish)?;
        self.sink.finish()
    }
}

fn sink(args: &ChainsArgs, out: sink::Output) -> Box<dyn ChainSink> {
    let colored = output::colored(args.view.color, args.view.output.is_some());
    match (args.format, args.summary) {
        (ChainsFormat::Text, false) => Box::new(ChainText::new(out, output::width(&args.view), colored)),
        (ChainsFormat::Text, true) => Box::new(ChainSummary::new(out, colored)),
        (ChainsFormat::Jsonl, false) => Box::new(ChainLines::new(out)),
        (ChainsFormat::Jsonl, true) => Box::new(SummaryLines::new(out)),
        (ChainsFormat::Mermaid, _) => Box::new(ChainGraph::new(out, Graph::Mermaid)),
        (ChainsFormat::Dot, _) => Box::new(ChainGraph::new(out, Graph::Dot)),
    }
}
