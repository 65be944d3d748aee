//! The writer of `rpcscope record`: calls become Parquet files in the folders of their hours ([`crate::records::folder`]).
//!
//! | part | file |
//! | --- | --- |
//! | every call when it is decided, and its link when that is known: what a crash leaves behind | `journal.rs` |
//! | the rows, in a file that gets its name when it is complete | `table.rs` |
//! | a thread for all that waits for the disk: completing, deleting, recovering | `keeper.rs` |
//!
//! A rotation begins the next part: its journal takes the calls that are not linked yet, then that of the part is closed, its tables are
//! completed, and then its journal is deleted. Whenever the program is killed, each call is in a complete table or in a journal that says
//! which table it belongs to, so that the next start neither loses nor doubles one.

mod journal;
mod keeper;
mod table;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use self::journal::Journal;
use self::keeper::{Done, Keeper};
use self::table::Table;
use super::packets::Rotation;
use crate::calls::{Call, Uid};
use crate::records::folder::{HostFolder, Hour, Part};
use crate::time::Timestamp;

pub use keeper::Say;

/// Most tables that are open at a time: calls of more hours begin another part.
const MAX_OPEN: usize = 32;

/// How many times its size a part may reach while the disk is slow. Then reading waits for it.
const PATIENCE: u64 = 4;

/// Where to write, and what to keep.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host's part of the folder.
    pub folder: HostFolder,
    /// When a part ends: bytes are those of its calls in the journal. The quota is for all files of the host.
    pub rotation: Rotation,
    /// Delete files that were written longer ago.
    pub keep: Option<Duration>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls of this run in complete files.
    pub calls: u64,
    /// Complete files, also those made of earlier runs' journals.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Older files that were deleted.
    pub deleted: u64,
    /// Calls that are neither in a file nor in a journal.
    pub lost: u64,
    /// Something could not be written, read or deleted.
    pub has_failed: bool,
}

/// The place of an agent in a folder, which no other agent of this host has while this one runs.
#[derive(Debug)]
pub struct Place {
    settings: Settings,
    /// Locked until it is closed, however the program ends.
    lock: File,
}

impl Place {
    /// Creates the folder and takes the place of the host in it; `None` if another agent has it.
    pub fn take(settings: Settings) -> io::Result<Option<Self>> {
        use rustix::fs::{FlockOperation, flock};
        let journals = settings.folder.journals();
        fs::create_dir_all(&journals)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(journals.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { settings, lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes calls to the folder. Failures never end a run: they are told at once, and the [`Summary`] says what they cost.
pub struct Recorder {
    settings: Settings,
    part: Part,
    journal: Journal,
    tables: HashMap<Hour, Table>,
    /// Calls in the tables.
    rows: u64,
    /// When the part began.
    began: Instant,
    /// The same by the clock of the packets, where they have one of their own, and the time of the newest.
    clock: Option<[Timestamp; 2]>,
    keeper: Keeper,
    say: Box<dyn Fn(&str) + Send>,
    /// A failure of the journal was told.
    has_failed: bool,
    _lock: File,
}

impl Recorder {
    /// Begins the first part. Call this in the sandbox, because it starts a thread.
    pub fn start(place: Place, say: impl Fn(&str) + Clone + Send + 'static) -> io::Result<Self> {
        let Place { settings, lock } = place;
        let part = Part::first();
        let journal = Journal::create(settings.folder.journal(&part))?;
        let keeper = Keeper::start(settings.clone(), part.clone(), Box::new(say.clone()))?;
        Ok(Self {
            settings,
            part,
            journal,
            tables: HashMap::new(),
            rows: 0,
            began: Instant::now(),
            clock: None,
            keeper,
            say: Box::new(say),
            has_failed: false,
            _lock: lock,
        })
    }

    /// A call that is decided: from the next [`flush`](Self::flush) on, it survives the end of the program.
    pub fn decided(&mut self, call: &Call) {
        let written = self.journal.call(call);
        self.note(written);
    }

    /// The same call when it is linked.
    pub fn linked(&mut self, call: &Call) {
        let hour = Hour::of(call.start);
        if self.tables.len() >= MAX_OPEN && !self.tables.contains_key(&hour) {
            self.rotate();
        }
        let written = self.journal.link(call);
        self.note(written);
        let Self { settings, part, .. } = self;
        let table =
            self.tables.entry(hour).or_insert_with(|| Table::create(settings.folder.table(part, hour)));
        table.call(call);
        self.rows += 1;
        if self.is_full(1) && !self.keeper.is_busy() || self.is_full(PATIENCE) {
            self.rotate();
        }
    }

    /// The same call if it is not wanted after all.
    pub fn left_out(&mut self, uid: Uid) {
        let written = self.journal.left_out(uid);
        self.note(written);
    }

    /// Writes all calls so far to the journal.
    pub fn flush(&mut self) {
        let written = self.journal.flush();
        self.note(written);
    }

    /// The times of the first and the newest packet: parts end by them too, where packets come at another pace than that of their capture.
    pub fn clock(&mut self, first: Timestamp, now: Timestamp) {
        let [began, _] = self.clock.unwrap_or([first, first]);
        self.clock = Some([began, now]);
        let passed = Duration::from_nanos(u64::try_from(now.0.saturating_sub(began.0)).unwrap_or(0));
        let is_over = self.settings.rotation.span.is_some_and(|span| passed >= span);
        if is_over && self.journal.done > 0 && !self.keeper.is_busy() {
            self.rotate();
        }
    }

    /// Called about twice a second.
    pub fn tick(&mut self) {
        self.flush();
        if let Some(file) = self.journal.file() {
            self.keeper.sync(file);
        }
        let is_over = self.settings.rotation.span.is_some_and(|span| self.began.elapsed() >= span);
        if (is_over && self.journal.done > 0 || self.is_full(1)) && !self.keeper.is_busy() {
            self.rotate();
        }
    }

    /// Whether the part has so many times the bytes at which it is full.
    fn is_full(&self, times: u64) -> bool {
        let full = self.settings.rotation.full();
        full.is_some_and(|bytes| self.journal.done >= bytes.saturating_mul(times))
    }

    /// Begins the next part and completes this one. Returns whether that was possible.
    fn rotate(&mut self) -> bool {
        let part = self.part.next();
        let next = Journal::create(self.settings.folder.journal(&part)).and_then(|mut next| {
            let carried = self.journal.carry_on(&mut next);
            if carried.is_err() {
                // It has only a part of what this journal has: this one goes on.
                _ = fs::remove_file(next.path());
            }
            carried.map(|()| next)
        });
        // Tried again later, even if that fails for long.
        self.began = Instant::now();
        self.clock = self.clock.map(|[_, now]| [now, now]);
        match next {
            Ok(next) => {
                let journal = std::mem::replace(&mut self.journal, next);
                let part = std::mem::replace(&mut self.part, part);
                let files = [journal.file(), self.journal.file()];
                let unprotected = journal.absent + journal.linkless;
                self.complete(part, files.into_iter().flatten().collect(), unprotected, false);
                true
            }
            Err(error) => {
                // Not with every call until there is room again.
                self.journal.done = 0;
                self.note(Err(error));
                false
            }
        }
    }

    /// Completes a part after `journals`, which no table may be ahead of.
    fn complete(&mut self, part: Part, journals: Vec<File>, unprotected: u64, is_last: bool) {
        let tables = self.tables.drain().map(|(_, table)| table).collect();
        let rows = std::mem::take(&mut self.rows);
        self.keeper.complete(Done { part, journals, tables, rows, unprotected, is_last });
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.has_failed, true)
        {
            (self.say)(&format!(
                "{} can't be written: {error}; recording goes on, but a crash would lose calls",
                self.journal.path().display()
            ));
        }
    }

    /// The end: completes all tables. Calls that were never linked stay in a journal, of which the next start makes a table.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        self.flush();
        let mut is_completed = true;
        if self.journal.is_waiting() {
            is_completed = self.rotate();
        } else {
            let files = self.journal.file().into_iter().collect();
            self.complete(self.part.clone(), files, self.journal.absent, true);
        }
        let mut summary = self.keeper.finish();
        if !is_completed {
            (self.say)(&left_behind(self.journal.path()));
            summary.has_failed = true;
            summary.lost += self.journal.absent;
        }
        summary
    }
}

/// Says that the calls of a run stay in a journal.
fn left_behind(journal: &Path) -> String {
    format!("{} holds calls that the next start makes Parquet of", journal.display())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::calls::sample;
    use crate::records::{Objects, journal};

    fn call(packet: u64) -> Call {
        Call { uid: Uid { packet, ordinal: 0 }, ..sample::ok() }
    }

    /// A recorder, and what it says.
    fn start(root: &Path) -> (Recorder, Arc<Mutex<Vec<String>>>) {
        let rotation = Rotation { bytes: None, span: None, files: None, quota: None };
        let settings = Settings { folder: HostFolder::new(root, "web"), rotation, keep: None };
        let place = Place::take(settings).unwrap().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&said);
        let recorder = Recorder::start(place, move |text: &str| told.lock().unwrap().push(text.to_owned()));
        (recorder.unwrap(), said)
    }

    /// The packets of the calls of all journals.
    fn in_journals(root: &Path) -> Vec<u64> {
        let folder = HostFolder::new(root, "web");
        let mut packets = Vec::new();
        for run in journal::open(&folder).unwrap().runs {
            let take = &mut |_: &Part, call: Result<Box<Call>, _>| packets.push(call.unwrap().uid.packet);
            run.read(&mut Objects::default(), &|_| false, take).unwrap();
        }
        packets.sort_unstable();
        packets
    }

    #[test]
    fn a_call_whose_line_breaks_off_is_in_the_table_and_costs_no_other() {
        let root = tempfile::tempdir().unwrap();
        let (mut recorder, said) = start(root.path());
        recorder.journal.is_broken = Some(|call| call.uid.packet == 3);
        (0..6).for_each(|packet| recorder.decided(&call(packet)));
        recorder.flush();
        assert_eq!(in_journals(root.path()), [0, 1, 2, 4, 5]);
        (0..6).for_each(|packet| recorder.linked(&call(packet)));
        let summary = recorder.finish();
        assert_eq!((summary.calls, summary.lost), (6, 0));
        assert!(said.lock().unwrap().iter().any(|line| line.contains("a fault of the test")), "{said:?}");
    }

    #[test]
    fn a_call_whose_row_breaks_off_is_counted_as_lost() {
        let root = tempfile::tempdir().unwrap();
        let (mut recorder, said) = start(root.path());
        (0..6).for_each(|packet| recorder.decided(&call(packet)));
        recorder.linked(&call(0));
        recorder.tables.values_mut().for_each(|table| table.is_broken = Some(|call| call.uid.packet == 3));
        (1..6).for_each(|packet| recorder.linked(&call(packet)));
        let summary = recorder.finish();
        assert_eq!((summary.calls, summary.lost, summary.has_failed), (5, 1, true));
        let said = said.lock().unwrap();
        let wanted = |line: &String| {
            line.starts_with("1 call could not be written to ") && line.contains("a fault of the test")
        };
        assert!(said.iter().any(wanted), "{said:?}");
        assert_eq!(in_journals(root.path()), [] as [u64; 0]);
    }

    #[test]
    fn a_panic_leaves_all_calls_in_the_journal() {
        let root = tempfile::tempdir().unwrap();
        let (mut recorder, _) = start(root.path());
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            (0..6).for_each(|packet| recorder.decided(&call(packet)));
            (0..3).for_each(|packet| recorder.linked(&call(packet)));
            panic!("a fault of the test");
        }));
        assert!(failed.is_err());
        assert_eq!(in_journals(root.path()), [0, 1, 2, 3, 4, 5]);
    }
}
