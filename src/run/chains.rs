//! `rpcscope chains`: which call caused which, and how an error travelled.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Failure, Status, complain, input};
use crate::chains::{Chain, Engine, Options};
use crate::cli::{ChainsArgs, ChainsFormat};
use crate::filter::Filter;
use crate::pipeline::Output;
use crate::sink::chains::{ChainSink, ChainSummary, ChainText};
use crate::sink::chains_graph::{ChainGraph, Graph};
use crate::sink::chains_jsonl::{ChainLines, SummaryLines};

/// How long a call waits live for those that began before it.
pub(super) const LIVE_PATIENCE: Duration = Duration::from_secs(10);

/// Prints the chains of the input's calls.
pub(super) fn run(args: &ChainsArgs) -> Result<Status, Failure> {
    let filter = input::filter(&args.view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&args.view.input, &stop)?;
    let mut options = input::options(&args.view.input, &stop);
    options.metadata = true;
    // A file is linked best in one piece; what never ends can't wait for its end.
    let endless = !args.view.input.interfaces.is_empty() || args.view.input.follow;
    let patience = endless.then_some(LIVE_PATIENCE);
    let run = RefCell::new(Linking {
        engine: Engine::new(Options { patience, ..Options::default() }),
        sink: sink(args)?,
        filter,
        metadata: args.metadata,
    });
    let mut each = |output: Output| match output {
        Output::Call(call) => run.borrow_mut().feed(|engine, give| engine.call(call, give)),
        Output::Connection(_) => Ok(()),
    };
    let mut tick = |totals: &crate::pipeline::Totals| match totals.span {
        Some((_, now)) => run.borrow_mut().feed(|engine, give| engine.tick(now, totals.oldest_open, give)),
        None => Ok(()),
    };
    let (status, written) = input::drive(&mut source, &options, None, &args.view, &mut each, &mut tick);
    let mut run = run.into_inner();
    let written = written.and_then(|()| run.feed(Engine::finish)).and_then(|()| run.sink.finish());
    for shortfall in run.engine.shortfalls() {
        complain(&shortfall);
    }
    input::conclude(status, written, &args.view)
}

/// The engine with what becomes of its chains.
struct Linking {
    engine: Engine,
    sink: Box<dyn ChainSink>,
    filter: Option<Filter>,
    metadata: bool,
}

impl Linking {
    /// Does something with the engine, and writes the chains that it gives.
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

fn sink(args: &ChainsArgs) -> Result<Box<dyn ChainSink>, Failure> {
    let out = input::writer(&args.view)?;
    let colored = input::colored(args.view.color, args.view.output.is_some());
    Ok(match (args.format, args.summary) {
        (ChainsFormat::Text, false) => Box::new(ChainText::new(out, input::width(&args.view), colored)),
        (ChainsFormat::Text, true) => Box::new(ChainSummary::new(out, colored)),
        (ChainsFormat::Jsonl, false) => Box::new(ChainLines::new(out)),
        (ChainsFormat::Jsonl, true) => Box::new(SummaryLines::new(out)),
        (ChainsFormat::Mermaid, _) => Box::new(ChainGraph::new(out, Graph::Mermaid)),
        (ChainsFormat::Dot, _) => Box::new(ChainGraph::new(out, Graph::Dot)),
    })
}
