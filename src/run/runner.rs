//! The run that all commands share: open the input, read it, pass on calls and connections, and report problems. Each
//! command adds a [`Consumer`].

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::comments;
use super::embed;
use super::input::{self, Opened, Prepared, progress_bar};
use super::memory::Shares;
use super::output;
use super::rights::Network;
use super::{Failure, Status, complain};
use crate::body::{Descriptions, Sources};
use crate::calls::{Call, Class, record::Connection};
use crate::cli::{self, Input, View};
use crate::contain::caught;
use crate::filter::Filter;
use crate::payload::BodyDecoder;
use crate::payload::redact::Redaction;
use crate::pipeline::{self, Options, Output, Totals};
use crate::sandbox;
use crate::sink::{self, Losses, Sink};
use crate::source::live::Counters;
use crate::source::{Ring, Source, files};
use crate::text;
use crate::time::Timestamp;
use crate::tls::KeyLogs;
use crate::tui::{Files, SaveConfig};

/// How long a decided call may stay in a buffer, which limits the loss on SIGKILL.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// Most faults in descriptions that are reported.
const MAX_FAULTS: usize = 20;

/// What a command does with calls and connections. An error comes from its output and ends the run.
pub(super) trait Consumer {
    /// The time of the first packet, once, before everything else.
    fn begin(&mut self, _first: Timestamp) {}

    /// The next call that matches the filter. Whoever keeps it takes it ([`Call::take`]), or its box in exchange for another: nobody
    /// reads it afterwards, but its memory is used again.
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()>;

    /// A call that does not match the filter, as is known only now that it is linked.
    fn left_out(&mut self, _call: &Call) {}

    /// The next connection, if connections were requested.
    fn connection(&mut self, _connection: &Connection) -> io::Result<()> {
        Ok(())
    }

    /// Called after each batch of packets.
    fn progress(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }

    /// Called about twice a second: complete records should be written out.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Called once, after everything was read and before [`Self::finish`].
    fn totals(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }

    /// Whether the run can end early.
    fn is_done(&self) -> bool {
        false
    }

    /// The end.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink takes calls and connections as they are.
impl<S: Sink + ?Sized> Consumer for Box<S> {
    fn begin(&mut self, first: Timestamp) {
        Sink::begin(&mut **self, first);
    }

    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        Sink::call(&mut **self, call)
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        Sink::connection(&mut **self, connection)
    }

    fn tick(&mut self) -> io::Result<()> {
        Sink::tick(&mut **self)
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        Sink::totals(&mut **self, totals)
    }

    fn finish(&mut self) -> io::Result<()> {
        Sink::finish(&mut **self)
    }
}

/// Receives messages for the user during the run.
pub(super) type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// An opened input and how to process it.
pub(super) struct Run {
    pub(super) source: Opened,
    /// Options of the pipeline; commands add theirs.
    pub(super) options: Options,
    filter: Option<Filter>,
    /// Calls that do not match the filter are passed on too.
    passes_all: bool,
    fail_on: Vec<Class>,
    output: String,
    /// Decodes the bodies of messages; in `options` only if that is wanted.
    pub(super) bodies: Arc<BodyDecoder>,
    /// Lines that could not be written.
    losses: Arc<Losses>,
    /// `None`: standard error, which also gets a progress bar.
    report: Option<Report>,
}

/// A run whose outputs are being opened. Nothing is parsed, and all rights are still there.
pub(super) struct Opening<'a> {
    input: &'a Input,
    prepared: Prepared,
    /// Whether calls are shown in the live interface.
    has_interface: bool,
    options: Options,
    bodies: Arc<BodyDecoder>,
    output: String,
    /// Lines that could not be written.
    pub(super) losses: Arc<Losses>,
    /// What of the network stays reachable.
    pub(super) network: Network,
}

impl<'a> Opening<'a> {
    /// Opens the input of a command that writes to `output` (`None`: standard output).
    pub(super) fn new(input: &'a Input, output: Option<&Path>) -> Result<Self, Failure> {
        Self::with(input, output, input.write.as_deref(), false)
    }

    /// Opens the input of a command that writes packets to `output`.
    pub(super) fn export(input: &'a Input, output: &Path) -> Result<Self, Failure> {
        Self::with(input, Some(output), Some(output), false)
    }

    /// Opens the input of a command that fills a folder.
    #[cfg(feature = "parquet")]
    pub(super) fn filling(input: &'a Input, folder: &Path) -> Result<Self, Failure> {
        let opening = Self::with(input, None, input.write.as_deref(), false)?;
        Ok(Self { output: output::name(Some(folder)), ..opening })
    }

    /// Opens the input of the live interface.
    pub(super) fn interface(input: &'a Input) -> Result<Self, Failure> {
        Self::with(input, None, input.write.as_deref(), true)
    }

    fn with(
        input: &'a Input,
        output: Option<&Path>,
        packets: Option<&Path>,
        has_interface: bool,
    ) -> Result<Self, Failure> {
        output::check(input, output)?;
        if packets == Some(Path::new("-")) && io::stdout().is_terminal() {
            let text =
                "packets are binary and no terminal shows them: name a file, or send standard output to one";
            return Err(Failure::Usage(text.into()));
        }
        let limits = Shares::of_calls(input).limits();
        let mut options = Options { decode_as: input.decode_as.clone(), limits, ..Options::default() };
        // Joins over hosts use them.
        options.log_ids = !input.interfaces.is_empty() || input.host.is_some();
        if !input.interfaces.is_empty() || input.follow {
            // Whoever watches wants each call at once.
            options.lookahead = Duration::ZERO;
        }
        // A pipe may be a live capture on another host.
        options.is_watched = input.is_endless() || input::is_piped(input);
        if let Some(threads) = input.threads {
            options.threads = threads.into();
        }
        embed::check(input, packets)?;
        comments::check(input, packets)?;
        let key_logs = input.key_logs().map_err(Failure::Usage)?;
        // Without a key log, secrets can only come inside of files.
        let has_keys = !key_logs.is_empty() || input.interfaces.is_empty();
        if has_keys {
            sandbox::forbid_core_dumps();
        }
        options.key_logs = has_keys.then(|| {
            let logs = KeyLogs::new(&key_logs, input.is_endless()).within(Shares::secrets(input));
            Arc::new(if input.embed_secrets { logs.noting_use() } else { logs })
        });
        let bodies = Arc::new(bodies(&input.bodies)?);
        if input.bodies.asks() {
            options.bodies = Some(Arc::clone(&bodies));
        }
        let unreadable = files::unreadable(&input.paths(), input.follow);
        if !unreadable.is_empty() {
            // Nothing was created, and what was there stays.
            return Err(Failure::Environment(unreadable.join("\n")));
        }
        let prepared = input::prepare(input, output, has_interface, options.key_logs.as_ref())?;
        let output = output::name(output);
        Ok(Self {
            input,
            prepared,
            has_interface,
            options,
            bodies,
            output,
            losses: Arc::default(),
            network: Network::default(),
        })
    }

    /// Creates the files of exports later.
    pub(super) fn files(&mut self) -> Box<dyn Files> {
        self.prepared.rights.files()
    }

    /// Writes the config file later.
    pub(super) fn config(&mut self) -> SaveConfig {
        self.prepared.rights.config(self.input)
    }

    /// Enters the sandbox and starts to read. All outputs must be open.
    pub(super) fn start(self) -> Result<Run, Failure> {
        self.start_with(None)
    }

    /// The same; the last packets of interfaces are kept in `ring`.
    pub(super) fn start_with(self, ring: Option<&Arc<Ring>>) -> Result<Run, Failure> {
        let Self { input, prepared, has_interface, mut options, bodies, output, losses, network } = self;
        prepared.give_up_rights(input, has_interface, network)?;
        let source = prepared.start(input, ring)?;
        options.stop = source.abandon();
        source.watch(&mut options);
        if let Some(key_logs) = &options.key_logs {
            key_logs.read_until(&source.stop);
        }
        Ok(Run {
            source,
            options,
            filter: None,
            passes_all: false,
            fail_on: Vec::new(),
            output,
            bodies,
            losses,
            report: None,
        })
    }
}

impl Run {
    /// The key logs whose secrets go into a file of packets.
    pub(super) fn key_logs_to_embed(&self, input: &Input) -> Option<&KeyLogs> {
        self.options.key_logs.as_deref().filter(|_| input.embed_secrets)
    }

    /// Counts what the output loses.
    pub(super) fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
    }

    /// Passes on only calls that match the filter (`-Y`), and notes calls of the `--fail-on` classes.
    pub(super) fn choosing(mut self, filter: Option<Filter>, fail_on: &[Class]) -> Self {
        self.options.metadata |= filter.as_ref().is_some_and(Filter::needs_metadata);
        if filter.as_ref().is_some_and(Filter::needs_bodies) {
            self.read_bodies();
        }
        self.filter = filter;
        self.fail_on = fail_on.to_vec();
        self
    }

    /// Lets calls have the bodies of their messages.
    pub(super) fn read_bodies(&mut self) {
        self.options.bodies = Some(Arc::clone(&self.bodies));
    }

    /// Passes on all calls, and notes calls of the `--fail-on` classes that match the filter (`-Y`).
    pub(super) fn noting(self, filter: Option<Filter>, fail_on: &[Class]) -> Self {
        Self { passes_all: true, ..self.choosing(filter, fail_on) }
    }

    /// Sends messages to `report` instead of standard error.
    pub(super) fn reporting_to(mut self, report: Report) -> Self {
        self.report = Some(report);
        self
    }

    /// Reads the input to its end, or until the consumer is done or fails.
    pub(super) fn drive(&mut self, consumer: &mut dyn Consumer) -> Result<Status, Failure> {
        let bar = if self.report.is_none() { self.begin() } else { None };
        let report: Report = self.report.clone().unwrap_or_else(|| Arc::new(|text: &str| complain(text)));
        let at_once = Arc::clone(&report);
        self.source.report_to(move |trouble| at_once(&trouble.to_string()));
        let mut written =
            Written { at: Instant::now(), losses: Arc::clone(&self.losses), has_reported: false };
        let Self { source, options, filter, passes_all, fail_on, output, losses: lost, .. } = self;
        let lookup = source.lookup();
        let names = source.names.clone();
        let verdicts = source.verdicts().cloned();
        let mut status = Status::default();
        let mut result = Ok(());
        let mut read = Totals::default();
        let (mut calls, mut matching) = (0, 0);
        let mut has_begun = false;
        let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
            read.clone_from(totals);
            for trouble in names.iter().flat_map(|names| names.take_troubles()) {
                report(&trouble);
            }
            if let (Some(bar), Some((at, _))) = (&bar, totals.progress) {
                bar.set_position(at);
            }
            if let (false, Some((first, _))) = (has_begun, totals.span) {
                has_begun = true;
                consumer.begin(first);
            }
            let passed_on = pass_on(outputs, lost, |output| match output {
                Output::Connection(connection) => consumer.connection(connection),
                Output::Learned(_) => Ok(()),
                Output::Call(call) => {
                    lookup(call);
                    if let Some(verdicts) = &verdicts {
                        verdicts.note(call);
                    }
                    calls += 1;
                    let matches = filter.as_ref().is_none_or(|filter| filter.matches(call));
                    matching += u64::from(matches);
                    if matches && !fail_on.is_empty() {
                        status.matched |= call.class().is_some_and(|class| fail_on.contains(&class));
                    }
                    if matches || *passes_all { consumer.call(call) } else { Ok(()) }
                }
            });
            result = passed_on
                .and_then(|()| outlived(lost, || consumer.progress(totals)))
                .and_then(|()| written.tick(consumer, output, &report));
            result.is_ok() && !consumer.is_done()
        });
        // If the run ended before the source, this completes the -w file.
        source.finish();
        read.calls = calls;
        let result = result
            .and_then(|()| outlived(lost, || consumer.totals(&read)))
            .and_then(|()| outlived(lost, || consumer.finish()));
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        if let Some(losses) = losses(source.counters.as_ref()) {
            report(&losses);
        }
        status.input_failed =
            source.has_reported() || options.key_logs.as_ref().is_some_and(|logs| logs.lack_a_file());
        for trouble in options.key_logs.iter().flat_map(|logs| logs.troubles()) {
            report(&trouble);
        }
        for trouble in source.troubles().iter().chain(&read.undecoded()).chain(end.as_ref().err()) {
            status.input_failed = true;
            report(&trouble.to_string());
        }
        if let Some(fault) = end.as_ref().ok().and_then(|totals| totals.fault.as_ref()) {
            status.output_failed = true;
            report(&format!(
                "copies of calls were not joined to the end, calls did not wait for what others say of them, and a call may be missing: {fault}"
            ));
        }
        if let Some(lost) = lost.sentence(output) {
            status.output_failed = true;
            report(&lost);
        }
        if let Some(deleted) = deleted(&source.deleted()).filter(|_| self.report.is_none()) {
            complain(&deleted);
        }
        let late = verdicts.map_or(0, |verdicts| verdicts.late());
        if late > 0 {
            let calls = text::counted(late, "call");
            report(&format!(
                "--comments: {calls} without a comment: decided after their packets were written, or too many end with one packet"
            ));
        }
        // The interface shows the same in its own way.
        if self.report.is_none()
            && result.is_ok()
            && !consumer.is_done()
            && !(status.input_failed && read.packets == 0)
        {
            read.remarks().iter().for_each(|remark| complain(remark));
            if calls > 0 && matching == 0 {
                complain(&format!("none of {} matches the filter", text::counted(calls, "call")));
            }
        }
        match result {
            Ok(()) => Ok(status),
            // A closed pipe is a normal end.
            Err(error) if sink::closed_pipe(&error) => Ok(status),
            Err(error) => Err(output::unwritable(&self.output, &error)),
        }
    }

    /// Announces the interfaces, or shows a progress bar for large files.
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

/// Passes outputs on in their order. One with which that panics is counted as lost, and those behind it follow.
fn pass_on(
    outputs: &mut [Output],
    losses: &Losses,
    mut pass: impl FnMut(&mut Output) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = outputs.iter_mut();
    loop {
        match caught(|| rest.try_for_each(&mut pass)) {
            Ok(passed) => return passed,
            Err(fault) => losses.add(1, &fault.into()),
        }
    }
}

/// The result of `work`. A panic of it is counted, and the run goes on.
fn outlived(losses: &Losses, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    caught(work).unwrap_or_else(|fault| {
        losses.add(0, &fault.into());
        Ok(())
    })
}

/// When the output was last written out, and what it lost.
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
        outlived(&self.losses, || consumer.tick())?;
        if !self.has_reported
            && let Some(lost) = self.losses.sentence(output)
        {
            self.has_reported = true;
            report(&format!("{lost}; reading goes on"));
        }
        Ok(())
    }
}

/// Reads the descriptions of messages, which the sandbox would hide.
fn bodies(asked: &cli::Bodies) -> Result<BodyDecoder, Failure> {
    let sources = Sources {
        idl: asked.idl.clone(),
        proto: asked.proto.clone(),
        include: asked.include.clone(),
        descriptor_sets: asked.descriptor_set.clone(),
    };
    let descriptions = Descriptions::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    let faults = descriptions.faults();
    for fault in faults.iter().take(MAX_FAULTS) {
        complain(&format!("{fault}; left out"));
    }
    if faults.len() > MAX_FAULTS {
        complain(&format!("{} more faults in descriptions", faults.len() - MAX_FAULTS));
    }
    Ok(BodyDecoder::new(descriptions, Redaction::of(&asked.redact), asked.payload_limit, asked.payload))
}

/// Parses the filter of `-Y`, in the interface with the names of the config file; errors are shown with a caret.
pub(super) fn filter(view: &View) -> Result<Option<Filter>, Failure> {
    let parse = |text| Filter::parse_named(text, &view.look.filters);
    let parsed = view.filter.as_deref().map(parse).transpose();
    parsed.map_err(|error| Failure::Usage(error.render()))
}

/// A line about older files of `-w` that made room for newer ones; `None` if there were none.
pub(super) fn deleted(deleted: &AtomicU64) -> Option<String> {
    let deleted = deleted.load(Ordering::Relaxed);
    let files = text::counted(deleted, "older file");
    (deleted > 0).then(|| format!("{files} of -w deleted or overwritten (-W, --max-disk)"))
}

/// A line about packets that were lost before the analysis; `None` if there were none.
pub(super) fn losses(counters: Option<&Arc<Counters>>) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Uid, sample};

    #[test]
    fn a_panic_costs_the_call_at_hand_alone() {
        let call = |packet| Output::Call(Box::new(Call { uid: Uid { packet, ordinal: 0 }, ..sample::ok() }));
        let (mut outputs, losses) = ((0..9).map(call).collect::<Vec<_>>(), Losses::default());
        let mut passed = Vec::new();
        let mut pass = |output: &mut Output| {
            let Output::Call(call) = output else { return Ok(()) };
            assert!(call.uid.packet % 4 != 2, "a fault of the test");
            passed.push(call.uid.packet);
            if call.uid.packet == 7 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        };
        let error = pass_on(&mut outputs, &losses, &mut pass).unwrap_err();
        assert!(sink::closed_pipe(&error));
        assert_eq!(passed, [0, 1, 3, 4, 5, 7], "up to the error");
        let sentence = losses.sentence("x.jsonl").unwrap();
        assert!(
            sentence.starts_with("2 lines could not be written to x.jsonl: a fault of this"),
            "{sentence}"
        );
        assert!(outlived(&losses, || panic!("another")).is_ok());
        assert_eq!(losses.get().unwrap().0, 2);
    }
}
