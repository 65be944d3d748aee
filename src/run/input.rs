//! Input and view of a command: sources, filter, and the pipeline between them.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, Status, complain};
use crate::calls::Call;
use crate::capture_point::{self, Survey};
use crate::cli::{Color, Input, View};
use crate::decode::FlowKey;
use crate::filter::Filter;
use crate::pipeline::{self, Options, Output, Totals};
use crate::process::Processes;
use crate::sink;
use crate::sink::packets::{PacketWriter, Rotation};
use crate::source::files::Secrets;
use crate::source::live::{self, Counters, Refusal};
use crate::source::site::Sites;
use crate::source::{
    Again, Batch, Filtered, Limited, Queued, Ring, Source, SourceError, Tap, Tapped, files, rights,
};

/// Files smaller than this are read before anybody could look at a progress bar.
const WORTH_A_BAR: u64 = 32 * 1024 * 1024;

/// The failure of an output that can't be written.
pub(super) fn unwritable(what: &str, error: &io::Error) -> Failure {
    Failure::Environment(format!("{what} can't be written: {error}"))
}

/// The filter of `-Y`, if there is one; its mistakes are shown with a caret.
pub(super) fn filter(view: &View) -> Result<Option<Filter>, Failure> {
    let parsed = view.filter.as_deref().map(Filter::parse).transpose();
    parsed.map_err(|error| Failure::Usage(error.render()))
}

/// The input of a command, opened.
pub(super) struct Opened {
    source: Box<dyn Source>,
    /// Counts of lost packets, where interfaces are read.
    pub(super) counters: Option<Arc<Counters>>,
    /// What is listened on, for people.
    listening: Option<String>,
    /// Whose sockets the connections of this host are, where interfaces are read.
    processes: Option<Arc<Processes>>,
    /// A way to read the packets of files once more.
    pub(super) again: Option<Again>,
    /// Where the files were captured.
    sites: Arc<Sites>,
    /// Whom to tell at once of what goes wrong with an interface while others go on.
    tell: Option<Box<dyn FnMut(SourceError) + Send>>,
    /// Whether somebody was told.
    told: bool,
}

impl Opened {
    fn new(source: Box<dyn Source>) -> Self {
        Self {
            source,
            counters: None,
            listening: None,
            processes: None,
            again: None,
            sites: Arc::default(),
            tell: None,
            told: false,
        }
    }

    /// Has what goes wrong with an interface told when it happens; with files there is time at the end.
    pub(super) fn tell(&mut self, tell: impl FnMut(SourceError) + Send + 'static) {
        if self.counters.is_some() {
            self.tell = Some(Box::new(tell));
        }
    }

    /// Whether something was told.
    pub(super) fn has_told(&self) -> bool {
        self.told
    }

    /// Completes the pipeline's choices: whose sockets a connection has is asked when it appears, so that the answer is
    /// there when its calls end.
    pub(super) fn watch(&self, options: &mut Options) {
        if let Some(processes) = self.processes.clone() {
            options.on_open = Some(Arc::new(move |key: &FlowKey| {
                // Only the question matters here.
                _ = processes.at([key.a, key.b], key.network);
            }));
        }
    }

    /// Adds what only this host knows of a call: the processes at its ends.
    pub(super) fn lookup(&self) -> impl Fn(&mut Call) + Send + use<> {
        let processes = self.processes.clone();
        move |call| {
            if let Some(processes) = &processes {
                call.process = processes.at([call.client, call.server], call.network);
            }
        }
    }
}

impl Source for Opened {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        let more = self.source.next_batch(batch);
        if let Some(tell) = &mut self.tell {
            for trouble in self.source.troubles() {
                self.told = true;
                tell(trouble);
            }
        }
        more
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        self.source.troubles()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.source.progress()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.source.interface_name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.source.secrets()
    }
}

/// Opens the files or the interfaces of the command line. Ctrl-C and SIGTERM set `stop` from here on: what was read by
/// then is still given out.
pub(super) fn open(input: &Input, stop: &Arc<AtomicBool>) -> Result<Opened, Failure> {
    open_with(input, stop, None)
}

/// The same; the last packets of interfaces are kept in `ring`.
pub(super) fn open_with(
    input: &Input,
    stop: &Arc<AtomicBool>,
    ring: Option<&Arc<Ring>>,
) -> Result<Opened, Failure> {
    catch_signals(stop)?;
    let paths = input.paths();
    match (paths.is_empty(), input.interfaces.is_empty()) {
        (true, true) => {
            let text = "nothing to read: name a capture file (or - for standard input), or an interface with -i; \
                        --help tells more";
            Err(Failure::Usage(text.into()))
        }
        (false, false) => Err(Failure::Usage("files and interfaces can't be read together".into())),
        (false, true) => files(input, &paths, stop),
        (true, false) => interfaces(input, stop, ring),
    }
}

fn catch_signals(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal of the kind ends the program the usual way, if the first did not get through.
        let second = signal_hook::flag::register_conditional_default(signal, Arc::clone(stop));
        second
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop)))
            .map_err(|error| Failure::Environment(format!("signals can't be caught: {error}")))?;
    }
    Ok(())
}

/// Whether the input can be read a second time: not standard input, not interfaces.
pub(super) fn can_read_again(input: &Input) -> bool {
    let paths = input.paths();
    !paths.is_empty() && paths.iter().all(|path| path.as_os_str() != "-")
}

/// Opens the files of the command line once more, for what is made on demand from their packets.
pub(super) fn open_again(input: &Input, opened: &Opened) -> Result<Opened, Failure> {
    let again = Input { write: None, follow: false, ..input.clone() };
    files_at(&again, &input.paths(), &Arc::new(AtomicBool::new(false)), Arc::clone(&opened.sites))
}

fn files(input: &Input, paths: &[PathBuf], stop: &Arc<AtomicBool>) -> Result<Opened, Failure> {
    // What still grows can't be compared beforehand.
    let survey = if input.follow { Survey::default() } else { survey(paths, stop) };
    for note in &survey.notes {
        complain(note);
    }
    files_at(input, paths, stop, Arc::new(survey.sites))
}

/// Finds out which files were captured in which place, with a bar where that takes long.
fn survey(paths: &[PathBuf], stop: &Arc<AtomicBool>) -> Survey {
    let mut bar = None;
    let survey = capture_point::survey(paths, stop, &mut |at, total| {
        if bar.is_none() && total >= WORTH_A_BAR && io::stderr().is_terminal() {
            bar = progress_bar(total, "comparing ");
        }
        if let Some(bar) = &bar {
            bar.set_position(at);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    survey
}

fn files_at(
    input: &Input,
    paths: &[PathBuf],
    stop: &Arc<AtomicBool>,
    sites: Arc<Sites>,
) -> Result<Opened, Failure> {
    let options = files::Options { follow: input.follow, stop: Arc::clone(stop), sites: Arc::clone(&sites) };
    let source = files::open(paths, options);
    let again = source.again();
    let source: Box<dyn Source> = match &input.bpf {
        None => Box::new(source),
        Some(expression) => Box::new(Filtered::new(source, expression).map_err(refused)?),
    };
    let limited = Limited::new(source).packets(input.count).packet_time(input.duration);
    let source: Box<dyn Source> = match tap(input)? {
        None => Box::new(limited),
        tap => Box::new(Tapped::new(limited, tap)),
    };
    Ok(Opened { again, sites, ..Opened::new(source) })
}

fn interfaces(input: &Input, stop: &Arc<AtomicBool>, ring: Option<&Arc<Ring>>) -> Result<Opened, Failure> {
    let options = live::Options {
        interfaces: input.interfaces.clone(),
        filter: input.bpf.clone(),
        snap_len: input.snap_len,
        buffer_size: input.buffer_size.map(|kib| kib.saturating_mul(1024)),
        no_promiscuous: input.no_promiscuous,
        stop: Arc::clone(stop),
    };
    let source = live::open(options).map_err(refused)?;
    // The file of -w is opened with the rights of whoever it will belong to.
    rights::relinquish(input.relinquish.as_deref()).map_err(Failure::Environment)?;
    let taps = Taps { writer: tap(input)?, ring: ring.cloned() };
    let counters = source.counters();
    let limited = Limited::new(source).packets(input.count).wall_time(input.duration);
    let queued = Queued::spawn(limited, Arc::clone(&counters), Some(Box::new(taps)))
        .map_err(|error| Failure::Environment(format!("no thread for the capture: {error}")))?;
    // Names of processes are a convenience: without them the calls are still told.
    let processes = Processes::start().ok().map(Arc::new);
    let listening = Some(input.interfaces.join(", "));
    Ok(Opened { counters: Some(counters), listening, processes, ..Opened::new(Box::new(queued)) })
}

/// What every live packet is shown to: the file of `-w`, and the ring for what is made on demand.
struct Taps {
    writer: Option<Box<dyn Tap>>,
    ring: Option<Arc<Ring>>,
}

impl Tap for Taps {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        if let Some(ring) = &mut self.ring {
            ring.packets(batch, name)?;
        }
        self.writer.as_mut().map_or(Ok(()), |writer| writer.packets(batch, name))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.finish())
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Filter(text) => Failure::Usage(text),
        Refusal::Interface(text) => Failure::Environment(text),
    }
}

/// The file of `-w`.
fn tap(input: &Input) -> Result<Option<Box<dyn Tap>>, Failure> {
    let Some(path) = &input.write else { return Ok(None) };
    let rotation = Rotation {
        bytes: input.rotate_size.map(|megabytes| megabytes.saturating_mul(1_000_000)),
        span: input.rotate_seconds.map(Duration::from_secs),
        files: input.rotate_count,
    };
    let writer =
        PacketWriter::create(path, rotation).map_err(|error| Failure::Environment(error.to_string()))?;
    Ok(Some(Box::new(writer)))
}

/// What was lost on the way in, as one line for people; `None` if nothing was.
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

/// The choices of the pipeline that the command line makes.
pub(super) fn options(input: &Input, stop: &Arc<AtomicBool>) -> Options {
    let mut options =
        Options { decode_as: input.decode_as.clone(), stop: Arc::clone(stop), ..Options::default() };
    if let Some(threads) = input.threads {
        options.threads = threads.into();
    }
    options
}

/// Where the output goes: the file of `-o`, or standard output; and whether somebody is watching it grow.
pub(super) fn writer(view: &View) -> Result<sink::Output, Failure> {
    if let Some(path) = &view.output {
        let file =
            std::fs::File::create(path).map_err(|error| unwritable(&path.display().to_string(), &error))?;
        return Ok(sink::Output::new(Box::new(file), false));
    }
    let watched = io::stdout().is_terminal() || !view.input.interfaces.is_empty() || view.input.follow;
    Ok(sink::Output::new(Box::new(io::stdout()), watched))
}

/// Columns of the terminal that the output goes to; `None` where it goes elsewhere.
pub(super) fn width(view: &View) -> Option<usize> {
    if view.output.is_some() { None } else { columns() }
}

/// Columns of the terminal that standard output is, if it is one.
pub(super) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| columns.into())
}

/// Whether to colour what goes to standard output (`<https://no-color.org>`).
pub(super) fn colored(color: Color, to_file: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !to_file && !unwanted && io::stdout().is_terminal()
        }
    }
}

/// Runs the pipeline and gives each output that the filter lets through to `each`, and to `tick` how far it has come, until
/// one of them fails.
pub(super) fn drive(
    source: &mut Opened,
    options: &Options,
    filter: Option<&Filter>,
    view: &View,
    each: &mut dyn FnMut(Output) -> io::Result<()>,
    tick: &mut dyn FnMut(&Totals) -> io::Result<()>,
) -> (Status, io::Result<()>) {
    let mut status = Status::default();
    let mut written = Ok(());
    let bar = bar(source);
    if let Some(names) = &source.listening {
        complain(&format!("listening on {names}"));
    }
    let lookup = source.lookup();
    let mut options = options.clone();
    source.watch(&mut options);
    source.tell(|trouble| complain(&trouble.to_string()));
    let mut undecoded = None;
    let end = pipeline::run(source, &options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
        undecoded = totals.undecoded();
        if let (Some(bar), Some((at, _))) = (&bar, totals.progress) {
            bar.set_position(at);
        }
        for mut output in outputs.drain(..) {
            if let Output::Call(call) = &mut output {
                lookup(call);
                if filter.is_some_and(|filter| !filter.matches(call)) {
                    continue;
                }
                status.matched |= call.class().is_some_and(|class| view.fail_on.contains(&class));
            }
            written = each(output);
            if written.is_err() {
                return false;
            }
        }
        written = tick(totals);
        written.is_ok()
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if let Some(losses) = losses(source.counters.as_ref()) {
        complain(&losses);
    }
    status.input_failed = source.has_told();
    for trouble in source.troubles().iter().chain(&undecoded).chain(end.as_ref().err()) {
        status.input_failed = true;
        complain(&trouble.to_string());
    }
    (status, written)
}

/// A progress bar on standard error for a long read, where that is a terminal and the output goes elsewhere.
fn bar(source: &dyn Source) -> Option<ProgressBar> {
    let (_, total) = source.progress()?;
    if total < WORTH_A_BAR || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return None;
    }
    progress_bar(total, "")
}

fn progress_bar(total: u64, what: &str) -> Option<ProgressBar> {
    let template = format!("{what}{{bar:40}} {{bytes}} of {{total_bytes}}  {{bytes_per_sec}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template).ok()?;
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    Some(bar.with_style(style))
}

/// A reader that has seen enough is a normal end; any other failure to write is not.
pub(super) fn conclude(status: Status, written: io::Result<()>, view: &View) -> Result<Status, Failure> {
    match written {
        Ok(()) => Ok(status),
        Err(error) if sink::closed_pipe(&error) => Ok(Status { input_failed: false, ..status }),
        Err(error) => {
            let what = view
                .output
                .as_ref()
                .map_or_else(|| "standard output".into(), |path| path.display().to_string());
            Err(unwritable(&what, &error))
        }
    }
}
