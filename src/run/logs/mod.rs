//! `rpcscope logs`: error lines of logs with their calls, and what no line says.

mod inputs;
mod live;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::inputs::Inputs;
use super::memory::{LINKED, Shares};
use super::runner::{self, Consumer, Opening, Run};
use super::{Failure, Status, complain, linking, output};
use crate::calls::Call;
use crate::chains::{Chain, Engine, Options};
use crate::cli::{Input, LogsArgs, View};
use crate::explain::may_be_logged;
use crate::filter::Filter;
use crate::logs::report::{Backgrounds, Choice, Log, Report, report};
use crate::logs::window::Window;
use crate::logs::{self, Background, Book, CallIndex, Counts, Scanner, Scene};
use crate::pipeline::Totals;
use crate::sink::closed_pipe;
use crate::sink::logs::LogSink;
use crate::source::Windows;
use crate::source::bytes::ByteFile;
use crate::text;
use crate::time::Timestamp;

/// Prints what logs and calls tell together.
pub(super) fn run(args: &LogsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let Inputs { logs, captures, troubles } = Inputs::of(args)?;
    let input = Input { files: Vec::new(), read: captures, logs, ..args.view.input.clone() };
    let view = View { input, ..args.view.clone() };
    let opening = Opening::new(&view.input, view.output.as_deref())?;
    let out = output::writer(&view, &opening.losses)?;
    let mut sink = args.format.open(out, &output::appearance(&view));
    let mut run = opening.start()?;
    run.options.metadata = true;
    run.options.marks = true;
    // Exceptions of the IDL are found by their values.
    run.read_bodies();
    let shares = Shares::of_chains(&view.input);
    run.options.limits = shares.limits();
    let stop = Arc::clone(&run.source.stop);
    for trouble in &troubles {
        complain(trouble);
    }
    let mut status = if view.input.is_endless() {
        live::run(args, &view, run, filter, sink.as_mut())?
    } else {
        let max_kept = shares.max_linked() / 2;
        let engine = Options { metadata: true, ..Options::within(shares.window(&view.input).min(max_kept)) };
        let engine = linking::engine(&args.linking, engine);
        whole(args, &view, run, filter.as_ref(), Gather::new(engine, max_kept), &stop, sink.as_mut())?
    };
    status.input_failed |= !troubles.is_empty();
    Ok(status)
}

/// Reads the captures, and then the logs.
fn whole(
    args: &LogsArgs,
    view: &View,
    run: Run,
    filter: Option<&Filter>,
    mut gather: Gather,
    stop: &Arc<AtomicBool>,
    sink: &mut dyn LogSink,
) -> Result<Status, Failure> {
    let mut run = run.noting(filter.cloned(), &view.fail_on);
    let mut status = run.drive(&mut gather)?;
    gather.engine.shortfalls().iter().for_each(|shortfall| complain(shortfall));
    let Gather { scene, calls, backgrounds, forgotten, .. } = gather;
    let index = CallIndex::new(calls, &scene);
    let window = window(args, index.span());
    if window.is_inverted() {
        let text = "--to is before --from: nothing lies between them (on the days of the capture)";
        return Err(Failure::Usage(text.into()));
    }
    let left_out = index.prefilter().left_out();
    if left_out > 0 {
        complain(&format!(
            "{} of calls are not looked for, because there are too many: only lines that a library words lead to these calls",
            text::counted(left_out as u64, "text")
        ));
    }
    // What linking had is free by now.
    let mut book = Book::within(Shares::of_chains(&view.input).linking / 2);
    let mut all = Vec::new();
    let windows = Arc::new(Windows::within(Shares::unpacking(&view.input)));
    for (source, path) in view.input.logs.iter().enumerate() {
        let (log, trouble) = read(path, source, &index, &mut book, stop, &windows);
        all.push(log);
        if let Some(trouble) = trouble {
            status.input_failed = true;
            complain(&trouble);
        }
    }
    if stop.load(Ordering::Relaxed) {
        complain("interrupted: what was read until then is told");
    }
    let told = logs::assign(&book, &index, &vec![None; all.len()]);
    for (log, clock) in all.iter_mut().zip(told.clocks.iter().copied()) {
        log.clock = clock;
    }
    let choice = Choice {
        call: &|call: &Call| {
            filter.is_none_or(|filter| filter.matches(call)) && window.holds(call.start, call.end)
        },
        line: &|time: Option<Timestamp>| {
            filter.is_none() && (window.is_all() || time.is_some_and(|time| window.holds(time, time)))
        },
    };
    let mut report = report(&book, &index, &told, &backgrounds, all, &choice);
    report.summary.forgotten = forgotten;
    match print(&report, sink) {
        Err(error) if closed_pipe(&error) => Ok(status),
        Err(error) => Err(output::unwritable(&output::name(view.output.as_deref()), &error)),
        Ok(()) => Ok(status),
    }
}

fn print(report: &Report, sink: &mut dyn LogSink) -> io::Result<()> {
    report.stories.iter().try_for_each(|story| sink.story(story))?;
    report.homeless.iter().try_for_each(|lines| sink.homeless(lines))?;
    report.silent.iter().try_for_each(|calls| sink.silent(calls))?;
    sink.summary(&report.summary)?;
    sink.finish()
}

/// Reads a log; what it held, and why it was not read to its end.
pub(super) fn read(
    path: &Path,
    source: usize,
    index: &CallIndex,
    book: &mut Book,
    stop: &Arc<AtomicBool>,
    windows: &Arc<Windows>,
) -> (Log, Option<String>) {
    let mut scanner = Scanner::new(index.prefilter());
    let mut errors = 0;
    let mut others = 0;
    let done = logs::reader::read(path, &mut scanner, stop, windows, &mut |entry| {
        let has_level = entry.has_level;
        if book.add(source, entry, index) {
            errors += 1;
        } else {
            others += u64::from(has_level);
        }
    });
    let counts = scanner.counts();
    let counts = Counts { other_errors: counts.other_errors + others, ..counts };
    let name = ByteFile::name(path);
    let trouble = done.err().map(|error| match (error.kind(), counts.bytes) {
        (io::ErrorKind::NotFound, _) => format!("{name}: no such file"),
        (io::ErrorKind::PermissionDenied, _) => format!("{name}: may not be read (permission denied)"),
        (io::ErrorKind::UnexpectedEof, bytes) if bytes > 0 => {
            format!("{name}: its compressed data is cut off; the {bytes} bytes before it were read")
        }
        (_, 0) => format!("{name}: {error}"),
        (_, bytes) => format!("{name}: {error}; the {bytes} bytes before it were read"),
    });
    (Log { name: name.into(), counts, clock: None, errors }, trouble)
}

/// The part of the time that is asked for.
fn window(args: &LogsArgs, span: Option<(Timestamp, Timestamp)>) -> Window {
    let zone = args.view.time().zone();
    let now = || {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
        (Timestamp(now), Timestamp(now))
    };
    Window::new(args.from, args.to, span.unwrap_or_else(now), &zone)
}

/// Links the calls of a capture and keeps those that a log may be about.
struct Gather {
    engine: Engine,
    scene: Scene,
    calls: Vec<Arc<Call>>,
    backgrounds: Backgrounds,
    /// Most calls that are kept.
    max_kept: usize,
    /// Failed calls for which there was no room.
    forgotten: u64,
}

impl Gather {
    fn new(engine: Engine, max_kept: usize) -> Self {
        Self {
            engine,
            scene: Scene::default(),
            calls: Vec::new(),
            backgrounds: Backgrounds::default(),
            max_kept: max_kept.max(LINKED),
            forgotten: 0,
        }
    }

    fn feed(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) {
        let Self { engine, scene, calls, backgrounds, max_kept, forgotten } = self;
        act(engine, &mut |chain: Chain| {
            for (number, hop) in chain.hops.iter().enumerate() {
                if !may_be_logged(&hop.call) {
                    continue;
                }
                if calls.len() >= *max_kept {
                    *forgotten += u64::from(hop.call.failed());
                    continue;
                }
                if hop.retried_by.is_some() {
                    scene.was_retried(hop.call.uid);
                }
                backgrounds.insert(hop.call.uid, Background::of(&chain, number));
                calls.push(hop.call.shared());
            }
        });
    }
}

impl Consumer for Gather {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.scene.see(call);
        let mut call = call.take();
        if !may_be_logged(&call) {
            call.bodies = None;
        }
        self.feed(|engine, out| engine.call(Arc::new(call), out));
        Ok(())
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        if let Some((_, now)) = totals.span {
            self.feed(|engine, out| engine.tick(now, totals.oldest_open, out));
        }
        Ok(())
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.feed(Engine::finish);
        if let Some(span) = totals.span {
            self.scene.spans(span);
        }
        Ok(())
    }
}
