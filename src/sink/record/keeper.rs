//! The thread that waits for the disk, so that reading does not: it closes journals, completes their Parquet files and then deletes them, turns
//! journals that others left behind into Parquet, and deletes old files.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use hashbrown::HashMap;

use super::super::kept::Kept;
use super::table::{Complete, Table};
use super::{Settings, Summary, left_behind};
use crate::calls::Call;
use crate::contain::caught;
use crate::records::folder::{HostFolder, Hour, JournalFile, Part};
use crate::records::journal::{self, Journals};
use crate::records::{Fault, Objects};
use crate::text;

/// Parts that may wait for the disk. More make the current one larger, not the queue longer.
const QUEUE: usize = 2;

/// Most faults of journals that are told one by one.
const MAX_FAULTS: u64 = 5;

/// Tells the user something.
pub type Say = Box<dyn Fn(&str) + Send>;

/// A part of which all rows are known.
pub(super) struct Done {
    pub(super) part: Part,
    /// Its journal, and the next one, which has its calls that are not linked.
    pub(super) journals: Vec<File>,
    pub(super) tables: Vec<Table>,
    /// Calls in the tables.
    pub(super) rows: u64,
    /// Of them, those that the journal does not have for the next start.
    pub(super) unprotected: u64,
    /// No other journal has taken over calls of its journal, so that all of that one count.
    pub(super) is_last: bool,
}

enum Task {
    Complete(Done),
    /// Bring the journal to the disk, and look for files that are too old.
    Sync(File),
}

/// A handle to the thread.
pub(super) struct Keeper {
    tasks: Sender<Task>,
    is_syncing: Arc<AtomicBool>,
    thread: JoinHandle<Summary>,
}

impl Keeper {
    /// Starts the thread. It begins with what earlier runs than that of `own` left behind.
    pub(super) fn start(settings: Settings, own: Part, say: Say) -> io::Result<Self> {
        let (tasks, todo) = bounded(QUEUE);
        let is_syncing = Arc::<AtomicBool>::default();
        let mut work = Work {
            settings,
            own,
            say,
            kept: Kept::default(),
            left_behind: Vec::new(),
            has_failed: false,
            summary: Summary::default(),
            is_syncing: Arc::clone(&is_syncing),
        };
        // Before this run has tables that are not complete either.
        work.take_stock();
        let thread = std::thread::Builder::new().name("records".into()).spawn(move || work.run(&todo))?;
        Ok(Self { tasks, is_syncing, thread })
    }

    /// Whether another part would have to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.tasks.is_full()
    }

    /// Completes a part; waits if the thread is busy.
    pub(super) fn complete(&self, done: Done) {
        // The thread ends only after this handle, unless it panics: then the journal stays.
        _ = self.tasks.send(Task::Complete(done));
    }

    /// Brings the journal to the disk, unless that is being done.
    pub(super) fn sync(&self, journal: File) {
        if !self.is_syncing.swap(true, Ordering::AcqRel) && self.tasks.try_send(Task::Sync(journal)).is_err()
        {
            self.is_syncing.store(false, Ordering::Release);
        }
    }

    /// Waits until all is done.
    pub(super) fn finish(self) -> Summary {
        let Self { tasks, thread, .. } = self;
        drop(tasks);
        thread.join().unwrap_or(Summary { has_failed: true, ..Summary::default() })
    }
}

struct Work {
    settings: Settings,
    own: Part,
    say: Say,
    kept: Kept,
    /// Parts of this run whose tables could not be written: their journals have the calls.
    left_behind: Vec<Done>,
    /// A failure was told.
    has_failed: bool,
    summary: Summary,
    is_syncing: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, todo: &Receiver<Task>) -> Summary {
        if let Err(fault) = caught(|| self.recover()) {
            self.fail(&format!("{fault}; journals of earlier runs stay"));
        }
        self.delete_old();
        for task in todo {
            let worked = caught(|| {
                match task {
                    Task::Complete(done) => self.complete(done),
                    Task::Sync(journal) => {
                        // A file that can't be synchronised could not be written either, which is told.
                        _ = journal.sync_data();
                        self.is_syncing.store(false, Ordering::Release);
                    }
                }
                self.delete_old();
            });
            if let Err(fault) = worked {
                self.fail(&format!("{fault}; what was not completed stays in the journal"));
            }
        }
        if let Err(fault) = caught(|| self.try_again()) {
            self.fail(&format!("{fault}; what was not completed stays in the journal"));
        }
        for done in &self.left_behind {
            self.summary.has_failed = true;
            self.summary.lost += done.unprotected;
            let open = || self.settings.folder.journal(&done.part);
            let path = self.close(&done.part, done.is_last).map_or_else(|_| open(), |file| file.path);
            (self.say)(&left_behind(&path));
        }
        self.summary.deleted = self.kept.deleted().load(Ordering::Relaxed);
        self.summary
    }

    fn fail(&mut self, what: &str) {
        self.summary.has_failed = true;
        (self.say)(what);
    }

    /// Finds the files of earlier runs.
    fn take_stock(&mut self) {
        match self.settings.folder.tables() {
            Ok((complete, unfinished)) => {
                for file in complete {
                    self.kept.push(file.path, file.len, file.written);
                }
                for path in unfinished {
                    // A table of a run that has ended: its journal has its calls. If it stays, the next start tries again.
                    _ = fs::remove_file(path);
                }
            }
            Err(error) => {
                let folder = self.settings.folder.root().display().to_string();
                self.fail(&format!("{folder}: files of earlier runs can't be found: {error}"));
            }
        }
    }

    /// Turns the journals that earlier runs left behind into Parquet.
    fn recover(&mut self) {
        let runs = match journal::open(&self.settings.folder) {
            Ok(journal::Opened { has_changed: false, runs }) => runs,
            Ok(journal::Opened { has_changed: true, runs }) => {
                self.fail("journals of earlier runs change while they are listed: those that are missed stay for the next start");
                runs
            }
            Err(error) => return self.fail(&format!("journals of earlier runs can't be read: {error}")),
        };
        for run in runs {
            if run.files().next().is_none_or(|file| file.part.run == self.own.run) {
                continue;
            }
            match self.convert(run) {
                Ok(journal::Summary { calls: 0, cut: 0, .. }) => {}
                Ok(journal::Summary { calls, unlinked, cut }) => {
                    let mut notes = Vec::new();
                    if unlinked > 0 {
                        notes.push(format!("{} not linked yet", text::thousands(unlinked)));
                    }
                    if cut > 0 {
                        notes.push("the last line was cut off".to_owned());
                    }
                    let notes =
                        if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
                    let calls = text::counted(calls, "call");
                    (self.say)(&format!(
                        "{calls} of a run that did not end well recovered from its journal{notes}"
                    ));
                }
                Err(error) => self.fail(&format!("a journal of an earlier run stays: {error}")),
            }
        }
    }

    fn complete(&mut self, done: Done) {
        let Done { part, journals, tables, rows, unprotected, is_last } = done;
        // Before a table gets its name, the journals are on the disk: otherwise a loss of power could double calls of the table, or lose those
        // that the next journal took over. One that can't be synchronised could not be written either, which is told.
        for journal in journals {
            _ = journal.sync_data();
        }
        _ = File::open(self.settings.folder.journals()).and_then(|folder| folder.sync_all());
        let lost_before = self.summary.lost;
        let written =
            self.close(&part, is_last).and_then(|journal| self.complete_all(tables).map(|()| journal));
        match written {
            Ok(journal) => {
                self.summary.calls += rows - (self.summary.lost - lost_before);
                self.delete(&journal.path);
                self.try_again();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    (self.say)(&format!("{error}; its calls stay in the journal, and recording goes on"));
                }
                let (journals, tables) = (Vec::new(), Vec::new());
                self.left_behind.push(Done { part, journals, tables, rows, unprotected, is_last });
            }
        }
    }

    /// Says of a journal that the next one has its calls that are not linked; nothing if that was said, or if it is the last.
    fn close(&self, part: &Part, is_last: bool) -> io::Result<JournalFile> {
        let folder = &self.settings.folder;
        let (open, closed) = (folder.journal(part), folder.closed(part));
        if is_last {
            return Ok(JournalFile { part: part.clone(), path: open, is_closed: false });
        }
        match fs::rename(&open, &closed.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io::Error::new(error.kind(), format!("{} can't be closed: {error}", open.display())))
            }
            _ => Ok(closed),
        }
    }

    /// Completes tables. An error is the first of those that occur.
    fn complete_all(&mut self, tables: impl IntoIterator<Item = Table>) -> io::Result<()> {
        let mut result = Ok(());
        for table in tables {
            match table.complete() {
                Ok(complete) => self.count(complete),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn count(&mut self, Complete { path, len, lost: (lost, why) }: Complete) {
        if let Some(why) = why {
            self.summary.lost += lost;
            let calls = text::counted(lost, "call");
            self.fail(&format!("{calls} could not be written to {}: {why}", path.display()));
        }
        self.summary.files += 1;
        self.summary.bytes += len;
        self.kept.push(path, len, SystemTime::now());
    }

    /// Turns journals of this run into Parquet whose tables could not be written.
    fn try_again(&mut self) {
        for done in std::mem::take(&mut self.left_behind) {
            let journal = self.close(&done.part, done.is_last);
            let journal = match journal.and_then(|file| journal::open_one(&self.settings.folder, file)) {
                // Somebody deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.summary.has_failed = true;
                    self.summary.lost += done.rows;
                    continue;
                }
                journal => journal,
            };
            let lost_before = self.summary.lost;
            if journal.and_then(|journal| self.convert(journal)).is_ok() {
                self.summary.calls += done.rows - done.unprotected - (self.summary.lost - lost_before);
                self.summary.lost += done.unprotected;
            } else {
                self.left_behind.push(done);
            }
        }
    }

    /// Writes the calls of journals as Parquet, and deletes them.
    fn convert(&mut self, journals: Journals) -> io::Result<journal::Summary> {
        let folder = journals.folder().clone();
        let files: Vec<JournalFile> = journals.files().cloned().collect();
        let mut writing = Converted { folder: &folder, part: None, tables: HashMap::new(), done: Vec::new() };
        let (mut faults, mut failure) = (0, None);
        let summary =
            journals.read(&mut Objects::default(), &|path| path.exists(), &mut |part, call| match call {
                Ok(call) => {
                    if let Err(error) = writing.call(part, &call) {
                        failure.get_or_insert(error);
                    }
                }
                Err(fault) => {
                    faults += 1;
                    tell(&self.say, faults, &fault);
                }
            })?;
        if let Err(error) = writing.end() {
            failure.get_or_insert(error);
        }
        for complete in writing.done {
            self.count(complete);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        for JournalFile { path, .. } in &files {
            if faults == 0 {
                self.delete(path);
                continue;
            }
            // What can't be read is for a person to look at.
            let damaged = path.with_extension("damaged");
            match fs::rename(path, &damaged) {
                Ok(()) => self.fail(&format!(
                    "{} lines of journals can't be read; {} keeps them",
                    text::thousands(faults),
                    damaged.display()
                )),
                Err(error) => self.fail(&format!("{}: {error}", path.display())),
            }
        }
        Ok(summary)
    }

    /// Deletes the journal of a part whose tables are complete.
    fn delete(&mut self, path: &Path) {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.fail(&format!("{} can't be deleted: {error}", path.display()));
        }
    }

    /// Deletes files that are too old, or for which there is no room.
    fn delete_old(&mut self) {
        let Settings { rotation, keep, folder } = &self.settings;
        let deleted = self.kept.deleted();
        let before = deleted.load(Ordering::Relaxed);
        let by_age = match keep.and_then(|keep: Duration| SystemTime::now().checked_sub(keep)) {
            Some(time) => self.kept.delete_before(time),
            None => Ok(()),
        };
        let by_size = match rotation.quota {
            // The journal that grows becomes a table while it is still there.
            Some(quota) => self.kept.make_room(quota, journal_bytes(folder) + rotation.full().unwrap_or(0)),
            None => Ok(()),
        };
        if deleted.load(Ordering::Relaxed) > before {
            remove_empty(folder.root());
        }
        if let Err(error) = by_age.and(by_size) {
            self.fail(&error.to_string());
        }
    }
}

/// Tells of a fault, if it is one of the first.
fn tell(say: &Say, faults: u64, fault: &Fault) {
    if faults <= MAX_FAULTS {
        say(&fault.to_string());
    }
}

/// Bytes of the journals that are there.
fn journal_bytes(folder: &HostFolder) -> u64 {
    let files = folder.journal_files().unwrap_or_default();
    files.iter().filter_map(|file| file.path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Removes folders of partitions in which nothing is left.
fn remove_empty(root: &Path) {
    let inside = |folder: &Path, beginning: &str| -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
            .map(|entry| entry.path())
            .collect()
    };
    // The system refuses to remove a folder in which something is.
    for day in inside(root, "dt=") {
        for hour in inside(&day, "hour=") {
            for host in inside(&hour, "host=") {
                _ = fs::remove_dir(host);
            }
            _ = fs::remove_dir(hour);
        }
        _ = fs::remove_dir(day);
    }
}

/// The tables of a journal.
struct Converted<'f> {
    folder: &'f HostFolder,
    part: Option<Part>,
    tables: HashMap<Hour, Table>,
    done: Vec<Complete>,
}

impl Converted<'_> {
    fn call(&mut self, part: &Part, call: &Call) -> io::Result<()> {
        let mut ended = Ok(());
        if self.part.as_ref() != Some(part) {
            ended = self.end();
            self.part = Some(part.clone());
        }
        let hour = Hour::of(call.start);
        let folder = self.folder;
        let table = self.tables.entry(hour).or_insert_with(|| Table::create(folder.table(part, hour)));
        table.call(call);
        ended
    }

    /// Completes the tables of a part.
    fn end(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for (_, table) in self.tables.drain() {
            match table.complete() {
                Ok(complete) => self.done.push(complete),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }
}
