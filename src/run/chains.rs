//! `rpcscope chains`: which call caused which, and how errors travelled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use super::judge;
use super::linking::{self, Linking};
use super::memory::Shares;
use super::runner::{self, Consumer, Opening};
use super::telemetry::{Ready, Telemetry};
use super::{Failure, Status, complain, output};
use crate::calls::Call;
use crate::chains::{Chain, Engine, Options};
use crate::cli::{self, ChainsArgs};
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::sink::Appearance;
use crate::sink::chains::{ChainFormat, ChainSink};
use crate::tui::Update;

/// In live runs, how long a call waits for calls that began before it.
pub(super) const LIVE_PATIENCE: Duration = Duration::from_secs(10);

/// Prints the chains of the input's calls.
pub(super) fn run(args: &ChainsArgs) -> Result<Status, Failure> {
    let view = &args.view;
    if judge::reads(&view.input)? {
        return of_records(args);
    }
    let filter = runner::filter(view)?;
    if args.totals && (args.summary || !matches!(args.format, ChainFormat::Jsonl)) {
        let text = "--totals adds a record to the chains of --format jsonl; other formats have none";
        return Err(Failure::Usage(text.into()));
    }
    let mut opening = Opening::new(&view.input, view.output.as_deref())?;
    let out = output::writer(view, &opening.losses)?;
    let ready = Ready::new(&args.telemetry, &view.input)?;
    opening.network = ready.network();
    let mut run = opening.start()?;
    let telemetry = ready.start(run.source.counters.as_ref())?;
    run.options.metadata = args.metadata;
    run.options.marks = true;
    let shares = Shares::of_chains(&view.input);
    run.options.limits = shares.limits();
    // Linking works best on a whole file, but an endless input can't wait for its end.
    let patience = view.input.is_endless().then_some(LIVE_PATIENCE);
    let is_live = !view.input.interfaces.is_empty();
    // Half of what waits for linking may wait before the engine.
    let max_held = if is_live { shares.max_linked() / 2 } else { shares.window(&view.input) };
    let metadata = args.metadata || filter.is_some();
    let options = Options { patience, metadata, ..Options::within(max_held) };
    let engine = linking::engine(&args.linking, options);
    let linker =
        if is_live { Linker::apart(engine, shares.max_linked()) } else { Linker::Here(Box::new(engine)) };
    let look = Appearance { totals: args.totals, ..output::appearance(view) };
    let mut printer = ChainPrinter {
        linker,
        printed: Printed {
            sink: args.format.open(args.summary, out, &look),
            filter: filter.clone(),
            metadata: args.metadata,
            telemetry,
        },
    };
    // The filter chooses chains: calls that do not match may belong to one that is printed.
    let status = run.noting(filter, &view.fail_on).drive(&mut printer);
    if let Linker::Here(engine) = &printer.linker {
        engine.shortfalls().iter().for_each(|shortfall| complain(shortfall));
    }
    printer.printed.telemetry.conclude(status)
}

/// Prints the chains of Parquet files, in which the hosts have linked their calls.
fn of_records(args: &ChainsArgs) -> Result<Status, Failure> {
    if args.linking != cli::Linking::default() || args.totals || args.telemetry.asks() {
        let text = "--min-confidence, --evidence, --calls, --totals, --otlp and --metrics are for captures: these are records, in which \
                    calls are linked already";
        return Err(Failure::Usage(text.into()));
    }
    judge::print(&args.view, args.view.input.paths(), args.format, judge::Kind::of(args.summary))
}

/// Where calls are linked.
enum Linker {
    /// Here: the input can wait.
    Here(Box<Engine>),
    /// In a thread of its own: the packets of an interface can't.
    Apart {
        /// `None` after its end.
        linking: Option<Linking>,
        /// Calls since the last batch.
        calls: Vec<Arc<Call>>,
        updates: Receiver<Update>,
    },
}

impl Linker {
    fn apart(engine: Engine, limit: usize) -> Self {
        let (sender, updates) = unbounded();
        let linking = Linking::start(engine, limit, sender, Arc::default());
        Self::Apart { linking: Some(linking), calls: Vec::new(), updates }
    }
}

/// Links calls and prints the chains.
struct ChainPrinter {
    linker: Linker,
    printed: Printed,
}

/// What is printed.
struct Printed {
    sink: Box<dyn ChainSink>,
    filter: Option<Filter>,
    metadata: bool,
    telemetry: Telemetry,
}

impl Printed {
    fn chain(&mut self, mut chain: Chain) -> io::Result<()> {
        // A chain is shown whole if any of its calls matches.
        let shown =
            self.filter.as_ref().is_none_or(|filter| chain.hops.iter().any(|hop| filter.matches(&hop.call)));
        if !shown {
            return Ok(());
        }
        self.telemetry.chain(&chain, &|_| true);
        if !self.metadata {
            for hop in &mut chain.hops {
                Arc::make_mut(&mut hop.call).metadata.clear();
            }
        }
        self.sink.chain(&chain)
    }

    /// Runs the engine and writes the chains that it completes.
    fn feed(
        &mut self,
        engine: &mut Engine,
        act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain)),
    ) -> io::Result<()> {
        let mut written = Ok(());
        act(engine, &mut |chain: Chain| {
            if written.is_ok() {
                written = self.chain(chain);
            }
        });
        written
    }

    /// Writes what the thread has linked.
    fn take(&mut self, updates: impl Iterator<Item = Update>) -> io::Result<()> {
        for update in updates {
            match update {
                Update::Chains(chains) => chains.into_iter().try_for_each(|chain| self.chain(chain))?,
                Update::Trouble(shortfall) => complain(&shortfall),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Consumer for ChainPrinter {
    fn call(&mut self, call: &mut Call) -> io::Result<()> {
        self.printed.telemetry.count(call);
        let call = call.take();
        match &mut self.linker {
            Linker::Here(engine) => self.printed.feed(engine, |engine, out| engine.call(call, out)),
            Linker::Apart { calls, .. } => {
                calls.push(Arc::new(call));
                Ok(())
            }
        }
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        self.printed.telemetry.totals(totals);
        match &mut self.linker {
            Linker::Here(engine) => match totals.span {
                Some((_, now)) => {
                    self.printed.feed(engine, |engine, out| engine.tick(now, totals.oldest_open, out))
                }
                None => Ok(()),
            },
            Linker::Apart { linking, calls, updates } => {
                if let (Some(linking), Some((_, now))) = (linking, totals.span) {
                    linking.calls(std::mem::take(calls));
                    linking.tick(now, totals.oldest_open);
                }
                self.printed.take(updates.try_iter())
            }
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        self.printed.telemetry.tick();
        self.printed.sink.tick()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        match &mut self.linker {
            Linker::Here(engine) => self.printed.feed(engine, Engine::finish)?,
            Linker::Apart { linking, calls, updates } => {
                if let Some(mut linking) = linking.take() {
                    linking.calls(std::mem::take(calls));
                    if let Some(left_out) = linking.finish() {
                        complain(&left_out);
                    }
                }
                // Until the thread has ended.
                self.printed.take(updates.iter())?;
            }
        }
        self.printed.sink.totals(totals)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.printed.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::calls::{Uid, sample};

    /// Counts the calls of its chains.
    struct Count(Arc<AtomicU64>);

    impl ChainSink for Count {
        fn chain(&mut self, chain: &Chain) -> io::Result<()> {
            self.0.fetch_add(chain.hops.len() as u64, Ordering::Relaxed);
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_another_thread_links_is_printed_to_the_end() {
        for shown in [true, false] {
            let printed = Arc::<AtomicU64>::default();
            let mut printer = ChainPrinter {
                linker: Linker::apart(Engine::new(Options::default()), 1_000),
                printed: Printed {
                    sink: Box::new(Count(Arc::clone(&printed))),
                    filter: (!shown).then(|| Filter::parse("code == 12345").unwrap()),
                    metadata: false,
                    telemetry: Telemetry::default(),
                },
            };
            let totals = Totals {
                span: Some((crate::time::Timestamp(0), crate::time::Timestamp(1))),
                ..Totals::default()
            };
            for packet in 0..100 {
                let mut call = sample::ok();
                call.uid = Uid { packet, ordinal: 0 };
                printer.call(&mut call).unwrap();
                if packet % 10 == 0 {
                    printer.progress(&totals).unwrap();
                }
            }
            printer.totals(&totals).unwrap();
            assert_eq!(printed.load(Ordering::Relaxed), if shown { 100 } else { 0 });
        }
    }
}
