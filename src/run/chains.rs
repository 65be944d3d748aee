//! `rpcscope chains`: which call caused which, and how errors travelled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Shares;
use super::runner::{self, Consumer, Opening};
use super::{Failure, Status, complain, output};
use crate::calls::Call;
use crate::chains::{Chain, Engine, Hints, Options, UnusedNames};
use crate::cli::{ChainsArgs, LinkEvidence};
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::sink::Appearance;
use crate::sink::chains::{ChainFormat, ChainSink};

/// In live runs, how long a call waits for calls that began before it.
pub(super) const LIVE_PATIENCE: Duration = Duration::from_secs(10);

/// Prints the chains of the input's calls.
pub(super) fn run(args: &ChainsArgs) -> Result<Status, Failure> {
    let view = &args.view;
    let filter = runner::filter(view)?;
    if args.totals && (args.summary || !matches!(args.format, ChainFormat::Jsonl)) {
        let text = "--totals adds a record to the chains of --format jsonl; other formats have none";
        return Err(Failure::Usage(text.into()));
    }
    let opening = Opening::new(&view.input, view.output.as_deref())?;
    let out = output::writer(view, &opening.losses)?;
    let mut run = opening.start()?;
    run.options.metadata = args.metadata;
    run.options.marks = true;
    let shares = Shares::of_chains(&view.input);
    run.options.limits = shares.limits();
    let options = Options::within(shares.window(&view.input));
    // Linking works best on a whole file, but an endless input can't wait for its end.
    let patience = view.input.is_endless().then_some(LIVE_PATIENCE);
    let look = Appearance { totals: args.totals, ..output::appearance(view) };
    let hints = Hints { ids_only: args.evidence == LinkEvidence::Ids, calls: args.calls.clone() };
    let names = hints.names();
    let mut printer = ChainPrinter {
        engine: Engine::new(Options {
            patience,
            min_confidence: args.min_confidence,
            metadata: args.metadata || filter.is_some(),
            ..options
        })
        .with_hints(hints),
        names,
        links: 0,
        sink: args.format.open(args.summary, out, &look),
        filter: filter.clone(),
        metadata: args.metadata,
    };
    // The filter chooses chains: calls that do not match may belong to one that is printed.
    let status = run.noting(filter, &view.fail_on).drive(&mut printer)?;
    for shortfall in printer.engine.shortfalls() {
        complain(&shortfall);
    }
    if let Some(complaint) = printer.names.complaint() {
        complain(&complaint);
    }
    if args.evidence == LinkEvidence::Ids && printer.links == 0 {
        complain(
            "--evidence ids: no two calls carry the same trace, log or request id, so nothing is linked",
        );
    }
    Ok(status)
}

/// Links calls and prints the chains.
struct ChainPrinter {
    engine: Engine,
    /// Names in the hints that no call has had yet.
    names: UnusedNames,
    /// Links that were made.
    links: u64,
    sink: Box<dyn ChainSink>,
    filter: Option<Filter>,
    metadata: bool,
}

impl ChainPrinter {
    /// Runs the engine and writes the chains that it completes.
    fn feed(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) -> io::Result<()> {
        let Self { engine, sink, filter, metadata, links, .. } = self;
        let mut written = Ok(());
        act(engine, &mut |mut chain: Chain| {
            *links += chain.hops.iter().filter(|hop| hop.link.is_some()).count() as u64;
            // A chain is shown whole if any of its calls matches.
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

impl Consumer for ChainPrinter {
    fn call(&mut self, call: &mut Call) -> io::Result<()> {
        self.names.see(call);
        let call = call.take();
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

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.feed(Engine::finish)?;
        self.sink.totals(totals)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }
}
