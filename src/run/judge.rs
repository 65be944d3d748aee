//! `rpcscope judge`: chains of the records of many hosts.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::memory::Shares;
use super::rights::Rights;
use super::telemetry::{Ready, Telemetry};
use super::{Failure, Status, complain, input, output, runner};
use crate::calls::{Call, Class};
use crate::chains::fleet::Fleet;
use crate::chains::{Chain, Summary};
use crate::cli::{self, Input, JudgeArgs, View};
use crate::filter::Filter;
use crate::naming::NameBook;
use crate::records::journal;
use crate::records::{self, Fault, Found, Objects};
use crate::sink::chains::{ChainFormat, ChainSink};
use crate::sink::{self, Guarded, Losses};
use crate::source::files;
use crate::text;

/// Most faults of records that are told one by one.
const MAX_FAULTS: u64 = 5;

/// Prints the chains of the records.
pub(super) fn run(args: &JudgeArgs) -> Result<Status, Failure> {
    let args = args.clone();
    if args.totals && (args.summary || !matches!(args.format, ChainFormat::Jsonl)) {
        let text = "--totals adds records to the chains of --format jsonl; other formats have none";
        return Err(Failure::Usage(text.into()));
    }
    let mut paths = args.files;
    if paths.is_empty() {
        if io::stdin().is_terminal() {
            let text = "no records: name files or folders of them, or pipe them: rpcscope calls --link --format jsonl FILE | rpcscope judge";
            return Err(Failure::Usage(text.into()));
        }
        paths.push("-".into());
    }
    let input = Input {
        files: paths.clone(),
        max_memory: args.max_memory,
        names: args.names,
        no_sandbox: args.no_sandbox,
        ..Input::default()
    };
    let (filter, output, color, fail_on) = (args.filter, args.output, args.color, args.fail_on);
    let view = View { input, filter, output, color, fail_on, ..View::default() };
    let kind = if args.totals { Kind::ChainsAndTotals } else { Kind::of(args.summary) };
    print(&view, paths, args.format, kind, &args.telemetry)
}

/// Whether all that is to be read are records, not captures. An error if only a part of it is.
pub(super) fn reads(input: &Input) -> Result<bool, Failure> {
    let is_records = |path: &PathBuf| {
        records::is_table(path)
            || path.is_dir() && files::expand(path).is_err() && records::expand(path).is_ok()
    };
    let paths = input.paths();
    let count = paths.iter().filter(|path| is_records(path)).count();
    if count > 0 && (count < paths.len() || !input.interfaces.is_empty()) {
        let text = "records and captures can't be read together: make records of the captures first (calls --link --format parquet)";
        return Err(Failure::Usage(text.into()));
    }
    Ok(count > 0)
}

/// What is printed of the chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chains,
    Summary,
    ChainsAndTotals,
}

impl Kind {
    pub(super) fn of(summary: bool) -> Self {
        if summary { Self::Summary } else { Self::Chains }
    }
}

/// Prints the chains of the records in these files and folders, and sends them as traces.
pub(super) fn print(
    view: &View,
    paths: Vec<PathBuf>,
    format: ChainFormat,
    kind: Kind,
    telemetry: &cli::Telemetry,
) -> Result<Status, Failure> {
    let filter = runner::filter(view)?;
    output::check(&view.input, view.output.as_deref())?;
    let lines = missing(&paths);
    if !lines.is_empty() {
        return Err(Failure::Environment(lines.join("\n")));
    }
    let rights = Rights::new(&view.input, false)?;
    rights.hand_over()?;
    let losses = Arc::<Losses>::default();
    let out = output::writer(view, &losses)?;
    let look = output::appearance(view);
    let ready = Ready::new(telemetry, &view.input)?;
    let network = ready.network();
    let mut reading = Reading::default();
    let found = reading.expand(paths);
    rights.give_up(&view.input, false, None, network)?;
    let sink = format.open(kind == Kind::Summary, out, &look);
    let mut printer = Printer {
        sink: Box::new(Guarded::new(sink, Arc::clone(&losses))),
        summary: (kind == Kind::ChainsAndTotals).then(Summary::default),
        filter,
        fail_on: &view.fail_on,
        shown: 0,
        status: Status::default(),
        written: Ok(()),
        telemetry: ready.start(None)?,
    };
    let names = input::names(&view.input)?;
    names.iter().flat_map(|names| names.take_troubles()).for_each(|trouble| complain(&trouble));
    let mut fleet = Fleet::within(Shares::of_records(&view.input));
    for file in &found.files {
        reading.read(file, names.as_deref(), &mut fleet);
    }
    reading.read_journals(found, names.as_deref(), &mut fleet);
    let counts = fleet.finish(&mut |chain| printer.chain(&chain));
    reading.conclude();
    counts.remarks().iter().for_each(|remark| complain(remark));
    if counts.taken == 0 && !reading.has_failed {
        complain("no records of calls");
    } else if counts.taken > 0 && printer.shown == 0 {
        complain(&format!("none of {} matches the filter", text::counted(counts.taken, "call")));
    }
    let Printer { mut sink, summary, mut status, written, mut telemetry, .. } = printer;
    let name = output::name(view.output.as_deref());
    let totals = |sink: &mut dyn ChainSink| match &summary {
        Some(summary) => sink.records(summary, &counts, reading.faults),
        None => Ok(()),
    };
    match written.and_then(|()| totals(&mut *sink)).and_then(|()| sink.finish()) {
        Ok(()) => {}
        // A closed pipe is a normal end.
        Err(error) if sink::closed_pipe(&error) => {}
        Err(error) => return telemetry.conclude(Err(output::unwritable(&name, &error))),
    }
    if let Some(lost) = losses.sentence(&name) {
        status.output_failed = true;
        complain(&lost);
    }
    status.input_failed = reading.has_failed;
    telemetry.conclude(Ok(status))
}

/// One line for each path if there is none of them, so that no output is created.
fn missing(paths: &[PathBuf]) -> Vec<String> {
    let is_missing = |path: &PathBuf| path.as_os_str() != "-" && !path.exists();
    if !paths.iter().all(is_missing) {
        return Vec::new();
    }
    paths.iter().map(|path| format!("{}: no such file", path.display())).collect()
}

/// Reads records and says what is wrong with them.
#[derive(Default)]
struct Reading {
    objects: Objects,
    /// The files that were named; the others were found in folders.
    named: Vec<PathBuf>,
    /// Files that were deleted after they were found: agents do that with old ones.
    vanished: u64,
    faults: u64,
    has_failed: bool,
}

impl Reading {
    fn expand(&mut self, paths: Vec<PathBuf>) -> Found {
        let mut all = Found::default();
        for path in paths {
            if !path.is_dir() {
                self.named.push(path.clone());
            }
            match records::expand(&path) {
                Ok(mut found) => {
                    if found.has_changed {
                        self.fail(&format!(
                            "{}: agents change their journals while they are listed: calls may be missing",
                            path.display()
                        ));
                    }
                    all.files.append(&mut found.files);
                    all.journals.append(&mut found.journals);
                }
                Err(why) => self.fail(&format!("{}: {why}", path.display())),
            }
        }
        all
    }

    fn fail(&mut self, what: &str) {
        self.has_failed = true;
        complain(what);
    }

    fn read(&mut self, file: &Path, names: Option<&NameBook>, fleet: &mut Fleet) {
        let Self { objects, faults, .. } = self;
        let end = records::read(file, objects, &mut |record| {
            take(record, names, fleet, faults);
            true
        });
        match end {
            Err(_) if !file.exists() && !self.named.iter().any(|named| named == file) => self.vanished += 1,
            Err(why) => self.fail(&why),
            Ok(()) => {}
        }
    }

    /// Reads the newest calls of agents, which are in none of the files yet.
    fn read_journals(&mut self, found: Found, names: Option<&NameBook>, fleet: &mut Fleet) {
        let Found { files, journals, .. } = found;
        let is_there = |table: &Path| files.iter().any(|file| file == table);
        let mut all = journal::Summary::default();
        for run in journals {
            let Self { objects, faults, .. } = self;
            let name = run.folder().journals().display().to_string();
            match run.read(objects, &is_there, &mut |_, record| take(record, names, fleet, faults)) {
                Ok(journal::Summary { calls, unlinked, .. }) => {
                    all.calls += calls;
                    all.unlinked += unlinked;
                }
                Err(error) => self.fail(&format!("{name}: {error}")),
            }
        }
        fleet.expect_links(all.unlinked);
        if all.calls > 0 {
            let calls = text::counted(all.calls, "call");
            complain(&format!(
                "{calls} from journals, which agents still write or have left behind; {} of them not linked yet: each is a chain of its own",
                text::thousands(all.unlinked)
            ));
        }
    }

    fn conclude(&mut self) {
        if self.vanished > 0 {
            let files = text::counted(self.vanished, "file");
            complain(&format!(
                "{files} deleted before being read, as agents do with --keep and --max-disk: those calls are missing"
            ));
        }
        self.has_failed |= self.faults > 0;
        if self.faults > MAX_FAULTS {
            let more = text::counted(self.faults - MAX_FAULTS, "more record");
            complain(&format!("{more} left out, because they can't be read"));
        }
    }
}

/// Takes a call, or says what is wrong with its record.
fn take(record: Result<Box<Call>, Fault>, names: Option<&NameBook>, fleet: &mut Fleet, faults: &mut u64) {
    match record {
        Ok(mut call) => {
            if let Some(names) = names {
                names.name(&mut call);
            }
            fleet.call(call);
        }
        Err(fault) => {
            *faults += 1;
            if *faults <= MAX_FAULTS {
                complain(&format!("{fault}; left out"));
            }
        }
    }
}

/// Prints chains one of whose calls matches the filter.
struct Printer<'v> {
    sink: Box<dyn ChainSink>,
    /// Of the chains that are printed, if that is asked for.
    summary: Option<Summary>,
    filter: Option<Filter>,
    fail_on: &'v [Class],
    shown: u64,
    status: Status,
    written: io::Result<()>,
    telemetry: Telemetry,
}

impl Printer<'_> {
    fn chain(&mut self, chain: &Chain) {
        let matches =
            |hop: &crate::chains::Hop| self.filter.as_ref().is_none_or(|filter| filter.matches(&hop.call));
        let is_asked = |class: Class| self.fail_on.contains(&class);
        let mut matching = chain.hops.iter().filter(|hop| matches(hop)).peekable();
        if matching.peek().is_none() {
            return;
        }
        self.shown += 1;
        self.status.matched |= matching.any(|hop| hop.call.class().is_some_and(is_asked));
        if let Some(summary) = &mut self.summary {
            summary.add(chain);
        }
        self.telemetry.chain(chain, &|_| true);
        if self.written.is_ok() {
            self.written = self.sink.chain(chain);
        }
    }
}
