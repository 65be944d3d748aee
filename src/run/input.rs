//! Input and view of a command: sources, filter, and the pipeline between them.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, Status, complain};
use crate::cli::{Color, Input, View};
use crate::filter::Filter;
use crate::pipeline::{self, Options, Output, Totals};
use crate::sink;
use crate::source::files::{self, FileSource};
use crate::source::{Limited, Source};

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

/// The files of the command line as one source.
pub(super) fn open(input: &Input, stop: &Arc<AtomicBool>) -> Result<Limited<FileSource>, Failure> {
    let paths = input.paths();
    if paths.is_empty() {
        let text = "nothing to read: name a capture file (or - for standard input); --help tells more";
        return Err(Failure::Usage(text.into()));
    }
    let source = files::open(&paths, files::Options { follow: false, stop: Arc::clone(stop) });
    Ok(Limited::new(source).packets(input.count).packet_time(input.duration))
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
    match &view.output {
        Some(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| unwritable(&path.display().to_string(), &error))?;
            Ok(sink::Output::new(Box::new(file), false))
        }
        None => Ok(sink::Output::new(Box::new(io::stdout()), io::stdout().is_terminal())),
    }
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

/// Runs the pipeline and gives each output that the filter lets through to `each`, until that fails.
pub(super) fn drive(
    source: &mut dyn Source,
    options: &Options,
    filter: Option<&Filter>,
    view: &View,
    each: &mut dyn FnMut(&Output) -> io::Result<()>,
) -> (Status, io::Result<()>) {
    let mut status = Status::default();
    let mut written = Ok(());
    let bar = bar(source);
    let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
        if let (Some(bar), Some((at, _))) = (&bar, totals.progress) {
            bar.set_position(at);
        }
        for output in outputs.drain(..) {
            if let Output::Call(call) = &output {
                if filter.is_some_and(|filter| !filter.matches(call)) {
                    continue;
                }
                status.matched |= call.class().is_some_and(|class| view.fail_on.contains(&class));
            }
            written = each(&output);
            if written.is_err() {
                return false;
            }
        }
        true
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    for trouble in source.troubles().iter().chain(end.as_ref().err()) {
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
    let style =
        ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left")
            .ok()?;
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
