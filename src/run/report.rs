//! `rpcscope report`: what happened, as one page to hand on.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::chains::waiting;
use super::linker::Linker;
use super::memory::{LINKED, Shares};
use super::runner::{self, Consumer, Opening, Run};
use super::{Failure, Status, complain, judge, logs, output};
use crate::calls::Call;
use crate::chains::{Chain, Options};
use crate::cli::{Input, ReportArgs, View};
use crate::detail;
use crate::explain::may_be_logged;
use crate::filter::Filter;
use crate::logs::report::{Backgrounds, Choice, Report, report};
use crate::logs::{Background, Book, CallIndex, Scene, assign};
use crate::pipeline::Totals;
use crate::sink::closed_pipe;
use crate::sink::report::{About, Details, Gathered, page};
use crate::source::Windows;
use crate::text;

/// Most packets that are read again for the details of failed calls: some seconds.
const MAX_REREAD: u64 = 20_000_000;

/// Writes the report of the input's calls.
pub(super) fn run(args: &ReportArgs) -> Result<Status, Failure> {
    let input = Input { logs: args.log.clone(), ..args.input.clone() };
    let view = View {
        input,
        filter: args.filter.clone(),
        output: args.output.clone(),
        fail_on: args.fail_on.clone(),
        ..View::default()
    };
    if view.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("the report is a page of HTML: name its file with -o FILE".into()));
    }
    if judge::reads(&view.input)? {
        return Err(Failure::Usage("report needs captures: records have no packets".into()));
    }
    let filter = runner::filter(&view)?;
    let opening = Opening::new(&view.input, view.output.as_deref())?;
    let mut out = output::writer(&view, &opening.losses)?;
    let mut run = opening.start()?;
    run.options.metadata = true;
    run.options.marks = true;
    if !view.input.logs.is_empty() {
        // Exceptions of the IDL are found by their values.
        run.read_bodies();
    }
    let shares = Shares::of_chains(&view.input);
    run.options.limits = shares.limits();
    let options = Options { metadata: true, ..waiting(&view.input) };
    // Half of what linking may hold is for what is kept of the calls.
    let max_kept = (shares.max_linked() / 2).max(LINKED);
    let max_held = shares.window(&view.input).min(max_kept);
    let stop = Arc::clone(&run.source.stop);
    let mut gather = Gather {
        linker: Linker::new(&args.linking, &view.input, max_held, options),
        kept: Kept {
            gathered: Gathered::new(filter.clone(), max_kept),
            logged: (!view.input.logs.is_empty()).then(Vec::new),
            backgrounds: Backgrounds::default(),
            bound: max_kept,
        },
        scene: Scene::default(),
        totals: Totals::default(),
    };
    let mut run = run.noting(filter.clone(), &view.fail_on);
    let mut status = run.drive(&mut gather)?;
    let Gather { linker, kept, scene, totals } = gather;
    let mut missing = linker.shortfalls();
    for shortfall in &missing {
        complain(shortfall);
    }
    missing.extend(runner::losses(run.source.counters.as_ref()));
    if status.input_failed {
        missing.push("an input could not be read to its end: the report is about what was read".to_owned());
    }
    if status.input_failed && totals.packets == 0 {
        return Ok(status);
    }
    if !view.input.is_endless() && stop.load(Ordering::Relaxed) {
        missing.push("the run was interrupted: the report is about what was read until then".to_owned());
    }
    let details = details(&run, &view.input, &kept.gathered, &stop);
    let logs = kept.logged.is_some().then(|| {
        let (report, troubles) = beside(&view.input, &kept, &scene, filter.as_ref(), &stop);
        for trouble in troubles {
            status.input_failed = true;
            complain(&trouble);
            missing.push(trouble);
        }
        report
    });
    let captures = names(&view.input);
    let about = About {
        title: args.title.clone().unwrap_or_else(|| title(&captures)),
        captures,
        filter: view.filter.clone(),
        totals,
        missing,
        details,
        is_redacted: run.bodies.redaction().is_on(),
        logs,
    };
    let html = page(kept.gathered, &about).map_err(|error| Failure::Environment(error.to_string()))?;
    out.buffer().extend_from_slice(html.as_bytes());
    match out.flush() {
        Err(error) if !closed_pipe(&error) => {
            Err(output::unwritable(&output::name(view.output.as_deref()), &error))
        }
        _ => Ok(status),
    }
}

/// Names of the captures and interfaces, as they were given.
fn names(input: &Input) -> Vec<String> {
    let paths = input.paths();
    let files = paths.iter().map(|path| path.display().to_string());
    files.chain(input.interfaces.iter().cloned()).collect()
}

/// `RPC report: a.pcap and 2 more`.
fn title(captures: &[String]) -> String {
    let name = |path: &String| {
        Path::new(path).file_name().map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned())
    };
    let first = captures.first().map(name).unwrap_or_default();
    let more = captures.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("RPC report: {}{more}", text::escape(&first))
}

/// Reads the packets of failed calls again, those that are worth most first.
fn details(run: &Run, input: &Input, gathered: &Gathered, stop: &Arc<AtomicBool>) -> Details {
    let mut details = Details::default();
    let Some(reread) = &run.source.reread else { return details };
    let paths = input.paths();
    let is_packed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz" || end == "zst");
    // Any other input is read from its beginning each time.
    let resumes = paths.len() == 1 && paths.iter().all(|path| path.is_file() && !is_packed(path));
    let is_redacted = run.bodies.redaction().is_on();
    let mut read = 0;
    for call in gathered.worth_reading() {
        let range = call.reading();
        read += if resumes { range.end() - range.start() } else { *range.end() };
        if read > MAX_REREAD || stop.load(Ordering::Relaxed) {
            break;
        }
        let mut packets = reread.packets(range);
        let keys = run.options.key_logs.as_ref();
        // What is wrong with the file was said when it was read first.
        let Ok(detail) = detail::collect(&mut packets, &call, &input.decode_as, keys, &run.bodies) else {
            break;
        };
        if !details.add(&detail, is_redacted) {
            break;
        }
    }
    details
}

/// Joins the lines of logs with the calls; what could not be read of them.
fn beside(
    input: &Input,
    kept: &Kept,
    scene: &Scene,
    filter: Option<&Filter>,
    stop: &Arc<AtomicBool>,
) -> (Report, Vec<String>) {
    let index = CallIndex::new(kept.logged.iter().flatten().cloned(), scene);
    let mut book = Book::within(Shares::of_chains(input).linking / 2);
    let windows = Arc::new(Windows::within(Shares::unpacking(input)));
    let (mut all, mut troubles) = (Vec::new(), Vec::new());
    for (source, path) in input.logs.iter().enumerate() {
        let (log, trouble) = logs::read(path, source, &index, &mut book, stop, &windows);
        all.push(log);
        troubles.extend(trouble);
    }
    let told = assign(&book, &index, &vec![None; all.len()]);
    for (log, clock) in all.iter_mut().zip(told.clocks.iter().copied()) {
        log.clock = clock;
    }
    let choice = Choice {
        call: &|call: &Call| filter.is_none_or(|filter| filter.matches(call)),
        line: &|_| filter.is_none(),
    };
    (report(&book, &index, &told, &kept.backgrounds, all, &choice), troubles)
}

/// Links the calls and gathers what the report says.
struct Gather {
    linker: Linker,
    kept: Kept,
    scene: Scene,
    totals: Totals,
}

/// What is kept of chains.
struct Kept {
    gathered: Gathered,
    /// Calls that a log may be about; `None` without logs.
    logged: Option<Vec<Arc<Call>>>,
    backgrounds: Backgrounds,
    /// Most calls that are.
    bound: usize,
}

impl Kept {
    fn chain(&mut self, chain: &Chain, scene: &mut Scene) {
        self.gathered.chain(chain);
        let Some(logged) = &mut self.logged else { return };
        for (number, hop) in chain.hops.iter().enumerate() {
            if !may_be_logged(&hop.call) || logged.len() >= self.bound {
                continue;
            }
            if hop.retried_by.is_some() {
                scene.was_retried(hop.call.uid);
            }
            self.backgrounds.insert(hop.call.uid, Background::of(chain, number));
            logged.push(hop.call.shared());
        }
    }
}

impl Gather {
    fn feed(&mut self, act: impl FnOnce(&mut Linker, &mut dyn FnMut(Chain))) {
        let Self { linker, kept, scene, .. } = self;
        act(linker, &mut |chain: Chain| kept.chain(&chain, scene));
        // Live, linking may be slower than packets come.
        for call in linker.left_out() {
            kept.gathered.unlinked(&call);
        }
    }
}

impl Consumer for Gather {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.scene.see(call);
        let mut call = call.take();
        if !call.failed() {
            call.bodies = None;
        }
        self.feed(|linker, out| linker.call(Arc::new(call), out));
        Ok(())
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        self.feed(|linker, out| linker.progress(totals, out));
        Ok(())
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.feed(Linker::finish);
        if let Some(span) = totals.span {
            self.scene.spans(span);
        }
        self.totals.clone_from(totals);
        Ok(())
    }
}
