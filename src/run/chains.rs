//! `rpcscope chains`: which call caused which, and how errors travelled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::input::is_piped;
use super::judge;
use super::linker::Linker;
use super::memory::Shares;
use super::runner::{self, Consumer, Opening};
use super::telemetry::{Ready, Telemetry};
use super::{Failure, Status, complain, output};
use crate::calls::Call;
use crate::chains::{Chain, Kept, Options};
use crate::cli::{self, ChainsArgs, Input};
use crate::contain::caught;
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::sink::chains::{ChainFormat, ChainSink};
use crate::sink::{Appearance, Guarded, Losses};

/// In live runs, how long a call waits for calls that began before it.
const LIVE_PATIENCE: Duration = Duration::from_secs(10);

/// How calls wait to be linked. That works best on a whole file, but an input without end can't wait for its end, nor can what may be a
/// live capture: `ssh -n host tcpdump -U -w - | rpcscope chains -`. Whoever records a pipe wants its files before its end in any case.
pub(super) fn waiting(input: &Input) -> Options {
    let is_piped = is_piped(input);
    let patience = (input.is_endless() || is_piped).then_some(LIVE_PATIENCE);
    let if_recent = is_piped && !input.is_endless() && input.records.is_none();
    Options { patience, if_recent, ..Options::default() }
}

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
    let options = Options { metadata: args.metadata || filter.is_some(), ..waiting(&view.input) };
    let linker = Linker::new(&args.linking, &view.input, shares.window(&view.input), options);
    let look = Appearance { totals: args.totals, ..output::appearance(view) };
    let sink = Guarded::new(args.format.open(args.summary, out, &look), run.losses());
    let mut printer = ChainPrinter {
        linker,
        printed: Printed {
            sink: Box::new(sink),
            filter: filter.clone(),
            metadata: args.metadata,
            telemetry,
            losses: run.losses(),
            spare: Vec::new(),
        },
    };
    // The filter chooses chains: calls that do not match may belong to one that is printed.
    let status = run.noting(filter, &view.fail_on).drive(&mut printer);
    printer.linker.shortfalls().iter().for_each(|shortfall| complain(shortfall));
    printer.printed.telemetry.conclude(status)
}

/// Prints the chains of Parquet files, in which the hosts have linked their calls.
fn of_records(args: &ChainsArgs) -> Result<Status, Failure> {
    if args.linking != cli::Linking::default() || args.totals {
        let text = "--min-confidence, --evidence, --calls and --totals are for captures: these are records, in which \
                    calls are linked already";
        return Err(Failure::Usage(text.into()));
    }
    let kind = judge::Kind::of(args.summary);
    judge::print(&args.view, args.view.input.paths(), args.format, kind, &args.telemetry)
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
    /// Counts chains that a panic costs.
    losses: Arc<Losses>,
    /// Calls that were written, and are nothing but room for others.
    #[expect(clippy::vec_box, reason = "the boxes are what is to be used again")]
    spare: Vec<Box<Call>>,
}

/// Most of them: as many as are linked at a time.
const MAX_SPARE: usize = 1 << 15;

/// How many spare calls before its use one is read ahead.
const AHEAD: usize = 4;

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
                hop.call.make_mut().metadata.clear();
            }
        }
        let written = self.sink.chain(&chain);
        self.spare(chain);
        written
    }

    /// Keeps the room of the calls of a chain that was written.
    fn spare(&mut self, chain: Chain) {
        for hop in chain.hops {
            if let Kept::Own(mut call) = hop.call
                && self.spare.len() < MAX_SPARE
            {
                call.release();
                self.spare.push(call);
            }
        }
    }

    /// Takes a call in exchange for another.
    fn take(&mut self, call: &mut Box<Call>) -> Box<Call> {
        // Spare calls are in no cache.
        if let Some(soon) = self.spare.iter().nth_back(AHEAD) {
            soon.read_ahead();
        }
        let spare = self.spare.pop();
        let other =
            spare.unwrap_or_else(|| Box::new(Call::new(call.uid, call.start, call.client, call.server)));
        std::mem::replace(call, other)
    }

    /// Writes the chains that `act` completes.
    fn feed(&mut self, act: impl FnOnce(&mut dyn FnMut(Chain))) -> io::Result<()> {
        let mut written = Ok(());
        act(&mut |chain: Chain| {
            if written.is_ok() {
                written = caught(|| self.chain(chain)).unwrap_or_else(|fault| {
                    self.losses.add(1, &fault.into());
                    Ok(())
                });
            }
        });
        written
    }
}

impl Consumer for ChainPrinter {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.printed.telemetry.count(call);
        let Self { linker, printed } = self;
        let call = printed.take(call);
        printed.feed(|out| linker.call(call, out))
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        let Self { linker, printed } = self;
        printed.telemetry.totals(totals);
        printed.feed(|out| linker.progress(totals, out))
    }

    fn tick(&mut self) -> io::Result<()> {
        self.printed.telemetry.tick();
        self.printed.sink.tick()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        let Self { linker, printed } = self;
        printed.feed(|out| linker.finish(out))?;
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
    use crate::chains::Engine;

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
                    losses: Arc::default(),
                    spare: Vec::new(),
                },
            };
            let totals = Totals {
                span: Some((crate::time::Timestamp(0), crate::time::Timestamp(1))),
                ..Totals::default()
            };
            for packet in 0..100 {
                let mut call = Box::new(sample::ok());
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
