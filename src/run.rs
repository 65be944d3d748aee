//! What the commands do: sources, pipeline and outputs put together, and the exit status.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::calls::{Call, Class};
use crate::cli::{CallsArgs, Cli, Command, Format, Input, View};
use crate::filter::Filter;
use crate::pipeline::{self, Options, Output, Totals};
use crate::sink::{self, Sink};
use crate::source::files::{self, FileSource};
use crate::source::{Limited, Source};

/// How a run went; becomes the exit status.
#[derive(Debug, Default)]
pub struct Status {
    /// An input could not be read, or not to its end.
    pub input_failed: bool,
    /// A call of a class named with `--fail-on` was seen.
    pub matched: bool,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status { input_failed: true, .. } => Self::from(1),
            Status { matched: true, .. } => Self::from(3),
            Status { .. } => Self::SUCCESS,
        }
    }
}

/// A run that could not begin or go on: what happened, to which file, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The output can't be written, or the environment does not allow what was asked: exit status 1.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    fn exit(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Environment(_) => ExitCode::from(1),
        }
    }
}

/// Does what the command line says.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Some(Command::Calls(args)) => calls(&args),
        Some(Command::Completions { shell }) => completions(shell),
        None => calls(&CallsArgs { view: cli.live, ..CallsArgs::default() }),
    };
    match result {
        Ok(status) => status.into(),
        Err(failure) => {
            complain(&failure.to_string());
            failure.exit()
        }
    }
}

/// One line on standard error, safe for terminals.
fn complain(text: &str) {
    let mut err = io::stderr().lock();
    for line in text.lines() {
        // Where standard error is gone there is nobody to tell.
        let _ = writeln!(err, "rpcscope: {}", crate::text::escape(line));
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "rpcscope", &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if !sink::closed_pipe(&error) => Err(unwritable("standard output", &error)),
        _ => Ok(Status::default()),
    }
}

fn unwritable(what: &str, error: &io::Error) -> Failure {
    Failure::Environment(format!("{what} can't be written: {error}"))
}

/// The filter of `-Y`, if there is one; its mistakes are shown with a caret.
fn filter(view: &View) -> Result<Option<Filter>, Failure> {
    let parsed = view.filter.as_deref().map(Filter::parse).transpose();
    parsed.map_err(|error| Failure::Usage(error.render()))
}

/// The files of the command line as one source.
fn open(input: &Input, stop: &Arc<AtomicBool>) -> Result<Limited<FileSource>, Failure> {
    let paths: Vec<PathBuf> = input.paths();
    if paths.is_empty() {
        let text = "nothing to read: name a capture file (or - for standard input); --help tells more";
        return Err(Failure::Usage(text.into()));
    }
    let source = files::open(&paths, files::Options { follow: false, stop: Arc::clone(stop) });
    Ok(Limited::new(source).packets(input.count).packet_time(input.duration))
}

fn options(input: &Input, stop: &Arc<AtomicBool>) -> Options {
    let mut options =
        Options { decode_as: input.decode_as.clone(), stop: Arc::clone(stop), ..Options::default() };
    if let Some(threads) = input.threads {
        options.threads = threads.into();
    }
    options
}

/// Where the output goes: the file of `-o`, or standard output; and whether somebody is watching it grow.
fn writer(view: &View) -> Result<sink::Output, Failure> {
    match &view.output {
        Some(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| unwritable(&path.display().to_string(), &error))?;
            Ok(sink::Output::new(Box::new(file), false))
        }
        None => Ok(sink::Output::new(Box::new(io::stdout()), io::stdout().is_terminal())),
    }
}

fn calls(args: &CallsArgs) -> Result<Status, Failure> {
    let filter = filter(&args.view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = open(&args.view.input, &stop)?;
    let mut options = options(&args.view.input, &stop);
    options.metadata = args.metadata;
    options.connections = args.connections;
    let out = writer(&args.view)?;
    let mut sink: Box<dyn Sink> = match args.format {
        Format::Jsonl => Box::new(sink::JsonLines::new(out)),
    };
    let mut each = |output: &Output| match output {
        Output::Call(call) => sink.call(call),
        Output::Connection(connection) => sink.connection(connection),
    };
    let (status, written) = drive(&mut source, &options, filter.as_ref(), &args.view.fail_on, &mut each);
    let written = written.and_then(|()| sink.finish());
    conclude(status, written, &args.view)
}

/// Runs the pipeline and gives each output that the filter lets through to `each`, until that fails.
fn drive(
    source: &mut Limited<FileSource>,
    options: &Options,
    filter: Option<&Filter>,
    fail_on: &[Class],
    each: &mut dyn FnMut(&Output) -> io::Result<()>,
) -> (Status, io::Result<()>) {
    let mut status = Status::default();
    let mut written = Ok(());
    let shown = |call: &Call| filter.is_none_or(|filter| filter.matches(call));
    let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
        for output in outputs.drain(..) {
            if let Output::Call(call) = &output {
                if !shown(call) {
                    continue;
                }
                status.matched |= call.class().is_some_and(|class| fail_on.contains(&class));
            }
            written = each(&output);
            if written.is_err() {
                return false;
            }
        }
        true
    });
    for trouble in source.troubles().iter().chain(end.as_ref().err()) {
        status.input_failed = true;
        complain(&trouble.to_string());
    }
    (status, written)
}

/// A reader that has seen enough is a normal end; any other failure to write is not.
fn conclude(status: Status, written: io::Result<()>, view: &View) -> Result<Status, Failure> {
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
