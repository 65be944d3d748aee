//! The one run that all commands share: open the input, read it, hand on what comes out, conclude. A command is a
//! [`Consumer`] and the choices of its command line.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::input::{self, Opened, progress_bar};
use super::output;
use super::{Failure, Status, complain};
use crate::calls::{Call, Class, record::Connection};
use crate::cli::{Input, View};
use crate::filter::Filter;
use crate::pipeline::{self, Options, Output, Totals};
use crate::sink::{self, Losses, Sink};
use crate::source::live::Counters;
use crate::source::{Ring, Source};

/// How long a decided call may stay in a buffer: whoever kills the program loses no more than that.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// What a command makes of what comes out of the pipeline. Errors are those of its output and end the run.
pub(super) trait Consumer {
    /// The next call that the filter lets through.
    fn call(&mut self, call: Box<Call>) -> io::Result<()>;

    /// The next connection, where connections were asked for.
    fn connection(&mut self, _connection: Connection) -> io::Result<()> {
        Ok(())
    }

    /// A batch of packets has been read.
    fn progress(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }

    /// About twice a second: what is complete should become visible.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether nothing more is wanted.
    fn is_done(&self) -> bool {
        false
    }

    /// The end.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink takes what comes out as it is.
impl<S: Sink + ?Sized> Consumer for Box<S> {
    fn call(&mut self, call: Box<Call>) -> io::Result<()> {
        Sink::call(&mut **self, &call)
    }

    fn connection(&mut self, connection: Connection) -> io::Result<()> {
        Sink::connection(&mut **self, &connection)
    }

    fn tick(&mut self) -> io::Result<()> {
        Sink::tick(&mut **self)
    }

    fn finish(&mut self) -> io::Result<()> {
        Sink::finish(&mut **self)
    }
}

/// Takes lines for people: what goes wrong while the run goes on.
pub(super) type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// An opened input with the choices that were made for it.
pub(super) struct Run {
    pub(super) source: Opened,
    /// The choices of the pipeline; commands add theirs.
    pub(super) options: Options,
    filter: Option<Filter>,
    fail_on: Vec<Class>,
    output: String,
    /// Lines that could not be written.
    pub(super) losses: Arc<Losses>,
    /// `None`: standard error, which also gets a progress bar.
    report: Option<Report>,
}

impl Run {
    /// Opens the input of a command that writes to `output` (`None`: standard output).
    pub(super) fn open(input: &Input, output: Option<&Path>) -> Result<Self, Failure> {
        Self::with_ring(input, output, None)
    }

    /// The same; the last packets of interfaces are kept in `ring`.
    pub(super) fn with_ring(
        input: &Input,
        output: Option<&Path>,
        ring: Option<&Arc<Ring>>,
    ) -> Result<Self, Failure> {
        output::check(input, output)?;
        let source = input::open(input, ring)?;
        let mut options =
            Options { decode_as: input.decode_as.clone(), stop: source.abandon(), ..Options::default() };
        if let Some(threads) = input.threads {
            options.threads = threads.into();
        }
        source.watch(&mut options);
        Ok(Self {
            source,
            options,
            filter: None,
            fail_on: Vec::new(),
            output: output::name(output),
            losses: Arc::default(),
            report: None,
        })
    }

    /// Hands on only calls that pass the filter (`-Y`), and notes those of the classes of `--fail-on`.
    pub(super) fn choosing(mut self, filter: Option<Filter>, fail_on: &[Class]) -> Self {
        self.options.metadata |= filter.as_ref().is_some_and(Filter::needs_metadata);
        self.filter = filter;
        self.fail_on = fail_on.to_vec();
        self
    }

    /// Reports to somebody else than standard error.
    pub(super) fn reporting_to(mut self, report: Report) -> Self {
        self.report = Some(report);
        self
    }

    /// Reads the input to its end, or until the consumer is done or fails.
    pub(super) fn drive(&mut self, consumer: &mut dyn Consumer) -> Result<Status, Failure> {
        let bar = if self.report.is_none() { self.begin() } else { None };
        let report: Report = self.report.clone().unwrap_or_else(|| Arc::new(|text: &str| complain(text)));
        let at_once = Arc::clone(&report);
        self.source.tell(move |trouble| at_once(&trouble.to_string()));
        let mut written =
            Written { at: Instant::now(), losses: Arc::clone(&self.losses), has_reported: false };
        let Self { source, options, filter, fail_on, output, .. } = self;
        let lookup = source.lookup();
        let mut status = Status::default();
        let mut result = Ok(());
        let mut undecoded = None;
        let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
            undecoded = totals.undecoded();
            if let (Some(bar), Some((at, _))) = (&bar, totals.progress) {
                bar.set_position(at);
            }
            result = outputs.drain(..).try_for_each(|output| match output {
                Output::Connection(connection) => consumer.connection(*connection),
                Output::Call(mut call) => {
                    lookup(&mut call);
                    if filter.as_ref().is_some_and(|filter| !filter.matches(&call)) {
                        return Ok(());
                    }
                    status.matched |= call.class().is_some_and(|class| fail_on.contains(&class));
                    consumer.call(call)
                }
            });
            result = std::mem::replace(&mut result, Ok(()))
                .and_then(|()| consumer.progress(totals))
                .and_then(|()| written.tick(consumer, output, &report));
            result.is_ok() && !consumer.is_done()
        });
        // The run may have ended before the source: what is written beside it becomes whole now.
        source.finish();
        let result = result.and_then(|()| consumer.finish());
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        if let Some(losses) = losses(source.counters.as_ref()) {
            report(&losses);
        }
        status.input_failed = source.has_told();
        for trouble in source.troubles().iter().chain(&undecoded).chain(end.as_ref().err()) {
            status.input_failed = true;
            report(&trouble.to_string());
        }
        if let Some((lines, why)) = self.losses.get() {
            status.output_failed = true;
            report(&format!("{lines} lines could not be written to {}: {why}", self.output));
        }
        match result {
            Ok(()) => Ok(status),
            // A reader that has seen enough is a normal end.
            Err(error) if sink::closed_pipe(&error) => Ok(status),
            Err(error) => Err(output::unwritable(&self.output, &error)),
        }
    }

    /// Says what is listened on; a progress bar where one is worth it.
    fn begin(&self) -> Option<ProgressBar> {
        if let Some(names) = &self.source.listening {
            complain(&format!("listening on {names}"));
        }
        let (_, total) = self.source.progress()?;
        if total < input::WORTH_A_BAR || !io::stderr().is_terminal() || io::stdout().is_terminal() {
            return None;
        }
        progress_bar(total, "")
    }
}

/// When the output was last made visible, and what it lost.
struct Written {
    at: Instant,
    losses: Arc<Losses>,
    has_reported: bool,
}

impl Written {
    fn tick(&mut self, consumer: &mut dyn Consumer, output: &str, report: &Report) -> io::Result<()> {
        if self.at.elapsed() < MAX_DELAY {
            return Ok(());
        }
        self.at = Instant::now();
        consumer.tick()?;
        if !self.has_reported
            && let Some((_, why)) = self.losses.get()
        {
            self.has_reported = true;
            report(&format!("{output} can't be written: {why}; reading goes on"));
        }
        Ok(())
    }
}

/// The filter of `-Y`, if there is one; its mistakes are shown with a caret.
pub(super) fn filter(view: &View) -> Result<Option<Filter>, Failure> {
    let parsed = view.filter.as_deref().map(Filter::parse).transpose();
    parsed.map_err(|error| Failure::Usage(error.render()))
}

/// What was lost on the way in, as one line for people; `None` if nothing was.
fn losses(counters: Option<&Arc<Counters>>) -> Option<String> {
    let drops = counters?.drops();
    let parts: Vec<String> = [
        (drops.kernel, "dropped by the kernel (a larger -B may help)"),
        (drops.interface, "dropped by the interface"),
        (drops.own, "dropped because the analysis was too slow"),
        (drops.shortened, "shortened to their heads because the analysis was too slow"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, how)| format!("{count} {how}"))
    .collect();
    (!parts.is_empty()).then(|| format!("packets lost: {}", parts.join(", ")))
}
