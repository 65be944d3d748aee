//! Batches that wait on disk (`--otlp-queue`), for this run or for one that comes later.
//!
//! A batch is written before it is sent and deleted once it was taken: neither a receiver that is down nor the end of the process, whatever
//! way, loses it. A batch that was being sent just then may come twice, with the same ids. Nothing is forced to the disk, so that a power cut
//! may leave a file cut off, which is noticed and counted.
//!
//! The file `NUMBER-SIGNAL-COUNT.gz` holds the body of a request in gzip, whose check sum tells whether it is whole; COUNT is the number of
//! spans or points in it. `lock` is locked (flock(2)) by the run that uses the folder.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use flate2::read::GzDecoder;

use super::sender::{Packed, Signal};
use super::state::{State, lock};
use crate::text;

/// Names of files that are not complete yet end in this.
const PART: &str = "part";
/// Names of complete ones.
const WHOLE: &str = "gz";
/// Most bytes of a file, and of what it holds: far more than a batch has.
const MAX_FILE: u64 = 32 << 20;
/// Batches that may wait in memory when the disk takes no more.
const MAX_HELD: usize = 64;

/// The folder.
pub struct Queue {
    folder: PathBuf,
    /// Most bytes of all files.
    limit: u64,
    /// What an earlier run left that is not whole.
    cut: Vec<(Signal, u64)>,
    shelf: Mutex<Shelf>,
    changed: Condvar,
    _lock: File,
}

/// What waits.
#[derive(Default)]
struct Shelf {
    /// The oldest first.
    waiting: VecDeque<Waiting>,
    /// Bytes of all of them.
    bytes: u64,
    /// The number of the next batch.
    next: u64,
    /// The batch that is being sent.
    sending: Option<u64>,
    /// No more batches come.
    is_closed: bool,
    /// The receiver takes nothing, and has not for long.
    is_stuck: bool,
}

/// A batch that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) signal: Signal,
    /// Spans or points.
    pub(super) count: u64,
    bytes: u64,
    /// What could not be written.
    held: Option<Vec<u8>>,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Batches.
    pub batches: usize,
    /// Spans in them.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Queue {
    /// Opens the folder, and creates it for this user alone if there is none.
    ///
    /// # Errors
    ///
    /// Says why the folder can't be used.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, String> {
        let wrong = |why: &str| format!("--otlp-queue {}: {why}", folder.display());
        let failed = |error: io::Error| wrong(&error.to_string());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = create(&folder.join("lock")).map_err(failed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| wrong("another run uses this folder: name one for each"))?;
        let mut shelf = Shelf::default();
        let mut cut = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some((mut waiting, is_whole)) = name.to_str().and_then(Waiting::parse) else { continue };
            if is_whole {
                waiting.bytes = entry.metadata().map_err(failed)?.len();
                shelf.waiting.push_back(waiting);
            } else {
                fs::remove_file(entry.path()).map_err(failed)?;
                cut.push((waiting.signal, waiting.count));
            }
        }
        shelf.waiting.make_contiguous().sort_unstable_by_key(|waiting| waiting.number);
        shelf.bytes = shelf.waiting.iter().map(|waiting| waiting.bytes).sum();
        shelf.next = shelf.waiting.back().map_or(0, |last| last.number.saturating_add(1));
        Ok(Self {
            folder: folder.to_owned(),
            limit,
            cut,
            shelf: Mutex::new(shelf),
            changed: Condvar::new(),
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How much waits.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let shelf = lock(&self.shelf);
        let spans = shelf.waiting.iter().filter(|waiting| waiting.signal == Signal::Traces);
        Backlog {
            batches: shelf.waiting.len(),
            spans: spans.map(|waiting| waiting.count).sum(),
            bytes: shelf.bytes,
        }
    }

    /// Counts what an earlier run left that is not whole, or too much.
    pub(super) fn begin(&self, state: &State) {
        for (signal, count) in &self.cut {
            state.count_dropped(*signal, *count, &self.why_cut());
        }
        self.trim(&mut lock(&self.shelf), state);
    }

    fn why_cut(&self) -> String {
        format!("a file in {} is cut off", self.folder.display())
    }

    /// Keeps a batch. If there is no room, `is_patient` waits for it as long as the receiver takes something; otherwise the oldest
    /// batches are dropped.
    pub(super) fn push(&self, batch: Packed, is_patient: bool, state: &State) {
        let Packed { signal, body, count } = batch;
        let bytes = body.len() as u64;
        let mut shelf = lock(&self.shelf);
        while is_patient && !shelf.is_stuck && !shelf.waiting.is_empty() && shelf.bytes + bytes > self.limit {
            shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        let mut waiting = Waiting { number: shelf.next, signal, count, bytes, held: None };
        shelf.next = shelf.next.saturating_add(1);
        drop(shelf);
        // Nobody else writes: the numbers stay in order.
        let written = self.write(&waiting, &body);
        let mut shelf = lock(&self.shelf);
        if let Err(error) = written {
            let why = format!("{} can't be written to: {error}", self.folder.display());
            if shelf.waiting.iter().filter(|waiting| waiting.held.is_some()).count() >= MAX_HELD {
                state.count_dropped(signal, count, &why);
                return;
            }
            state.note(&why, "batches wait in memory");
            waiting.held = Some(body);
        }
        shelf.bytes += bytes;
        shelf.waiting.push_back(waiting);
        self.trim(&mut shelf, state);
        self.changed.notify_all();
    }

    fn write(&self, waiting: &Waiting, body: &[u8]) -> io::Result<()> {
        let [part, whole] = [PART, WHOLE].map(|kind| self.folder.join(waiting.name(kind)));
        let written =
            create(&part).and_then(|mut file| file.write_all(body)).and_then(|()| fs::rename(&part, &whole));
        if written.is_err() {
            // It would look like one that was cut off.
            _ = fs::remove_file(&part);
        }
        written
    }

    /// Drops the oldest batches as long as there are too many, but not the one that is being sent.
    fn trim(&self, shelf: &mut Shelf, state: &State) {
        while shelf.bytes > self.limit {
            let sending = shelf.sending;
            let oldest = shelf.waiting.iter().position(|waiting| Some(waiting.number) != sending);
            let Some(oldest) = oldest.and_then(|at| shelf.waiting.remove(at)) else { return };
            shelf.bytes -= oldest.bytes;
            self.delete(&oldest);
            let (folder, limit) = (self.folder.display(), text::bytes(self.limit));
            let why = format!("{folder} is full ({limit}, --otlp-queue-size): the oldest are dropped");
            state.count_dropped(oldest.signal, oldest.count, &why);
        }
    }

    fn delete(&self, waiting: &Waiting) {
        if waiting.held.is_none() {
            // What can't be deleted comes twice in a later run.
            _ = fs::remove_file(self.folder.join(waiting.name(WHOLE)));
        }
    }

    /// No more batches come.
    pub(super) fn close(&self) {
        lock(&self.shelf).is_closed = true;
        self.changed.notify_all();
    }

    /// Whether the receiver takes nothing, so that nobody needs to wait for room.
    pub(super) fn set_stuck(&self, is_stuck: bool) {
        lock(&self.shelf).is_stuck = is_stuck;
        self.changed.notify_all();
    }

    /// The oldest batch that may be sent, and its body, once there is one. `may_go` says from when on batches of a signal may be sent;
    /// `None`: not in this run. `None` if none will come, or if it is late.
    pub(super) fn next(
        &self,
        may_go: &dyn Fn(Signal) -> Option<Instant>,
        state: &State,
    ) -> Option<(Waiting, Vec<u8>)> {
        let mut shelf = lock(&self.shelf);
        loop {
            if state.is_late() {
                return None;
            }
            let now = Instant::now();
            let soonest = shelf.waiting.iter().filter_map(|waiting| may_go(waiting.signal)).min();
            if shelf.is_closed && soonest.is_none() {
                return None;
            }
            let ready = |waiting: &&Waiting| may_go(waiting.signal).is_some_and(|time| time <= now);
            if let Some(waiting) = shelf.waiting.iter().find(ready).cloned() {
                shelf.sending = Some(waiting.number);
                drop(shelf);
                if let Ok(body) = self.body(&waiting) {
                    return Some((waiting, body));
                }
                state.count_dropped(waiting.signal, waiting.count, &self.why_cut());
                self.done(waiting.number);
                shelf = lock(&self.shelf);
                continue;
            }
            let until = soonest.into_iter().chain(state.deadline()).min();
            shelf = match until {
                None => self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(now);
                    self.changed.wait_timeout(shelf, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn body(&self, waiting: &Waiting) -> io::Result<Vec<u8>> {
        if let Some(body) = &waiting.held {
            return Ok(body.clone());
        }
        let mut body = Vec::new();
        File::open(self.folder.join(waiting.name(WHOLE)))?.take(MAX_FILE).read_to_end(&mut body)?;
        io::copy(&mut GzDecoder::new(&*body).take(MAX_FILE), &mut io::sink())?;
        Ok(body)
    }

    /// The batch is not needed any more.
    pub(super) fn done(&self, number: u64) {
        let mut shelf = lock(&self.shelf);
        shelf.sending = None;
        let at = shelf.waiting.iter().position(|waiting| waiting.number == number);
        if let Some(waiting) = at.and_then(|at| shelf.waiting.remove(at)) {
            shelf.bytes -= waiting.bytes;
            self.delete(&waiting);
        }
        self.changed.notify_all();
    }

    /// The batch waits again.
    pub(super) fn wait_on(&self) {
        lock(&self.shelf).sending = None;
    }

    /// Counts what waits in memory alone, at the end.
    pub(super) fn conclude(&self, state: &State) {
        let mut shelf = lock(&self.shelf);
        shelf.is_stuck = true;
        for held in shelf.waiting.iter().filter(|waiting| waiting.held.is_some()) {
            let why = format!("{} can't be written to", self.folder.display());
            state.count_dropped(held.signal, held.count, &why);
        }
        shelf.waiting.retain(|waiting| waiting.held.is_none());
        self.changed.notify_all();
    }
}

impl Waiting {
    fn name(&self, kind: &str) -> String {
        format!("{:020}-{}-{}.{kind}", self.number, self.signal.name(), self.count)
    }

    /// What a name says, and whether the file is whole; `None` of other files.
    fn parse(name: &str) -> Option<(Self, bool)> {
        let (stem, kind) = name.rsplit_once('.')?;
        let mut parts = stem.split('-');
        let (number, signal, count) = (parts.next()?, parts.next()?, parts.next()?);
        let signal = [Signal::Traces, Signal::Metrics].into_iter().find(|known| known.name() == signal)?;
        let waiting =
            Self { number: number.parse().ok()?, signal, count: count.parse().ok()?, bytes: 0, held: None };
        (waiting.name(kind) == name && matches!(kind, PART | WHOLE)).then_some((waiting, kind == WHOLE))
    }
}

/// Creates a file that only this user can read, or opens it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const LIMIT: u64 = 1_000;

    fn packed(text: &str, count: u64) -> Packed {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        Packed { signal: Signal::Traces, body: packer.finish().unwrap(), count }
    }

    fn open(folder: &Path) -> (Queue, State) {
        let (queue, state) = (Queue::open(folder, LIMIT).unwrap(), State::default());
        queue.begin(&state);
        (queue, state)
    }

    /// All that is sent now.
    fn texts(queue: &Queue, state: &State) -> Vec<String> {
        let now = Instant::now();
        queue.close();
        let mut all = Vec::new();
        while let Some((waiting, body)) = queue.next(&|_| Some(now), state) {
            let mut text = String::new();
            GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            all.push(text);
            queue.done(waiting.number);
        }
        all
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = all.filter(|path| path.extension().is_some()).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn batches_outlast_the_run_in_their_order_and_are_private() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("a/b");
        let (queue, state) = open(&folder);
        for number in 0..12 {
            queue.push(packed(&format!("{number}"), 2), false, &state);
        }
        assert!(Queue::open(&folder, LIMIT).unwrap_err().contains("another run"));
        drop(queue);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert!(files(&folder).iter().all(|file| mode(file) == 0o600));
        let (queue, state) = open(&folder);
        assert_eq!((queue.backlog().batches, queue.backlog().spans), (12, 24));
        queue.push(packed("last", 1), false, &state);
        let expected: Vec<_> = (0..12).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
        assert_eq!(texts(&queue, &state), expected);
        assert_eq!((queue.backlog(), files(&folder).len()), (Backlog::default(), 0));
        assert!(state.troubles().is_empty());
    }

    #[test]
    fn the_oldest_are_dropped_and_counted_but_not_what_is_being_sent() {
        let temporary = tempfile::tempdir().unwrap();
        let (queue, state) = open(temporary.path());
        let size = packed("00", 1).body.len() as u64;
        queue.push(packed("00", 1), false, &state);
        let now = Instant::now();
        let (first, _) = queue.next(&|_| Some(now), &state).unwrap();
        let most = LIMIT / size;
        for number in 1..most + 3 {
            queue.push(packed(&format!("{number:02}"), 1), false, &state);
        }
        assert_eq!(state.delivery().dropped, 3);
        assert!(state.troubles()[0].contains("is full"));
        assert_eq!(files(temporary.path()).len() as u64, most);
        queue.done(first.number);
        assert_eq!(texts(&queue, &state)[0], "04");
    }

    #[test]
    fn files_that_are_cut_off_are_counted_and_others_are_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let (queue, state) = open(temporary.path());
        for text in ["a", "b", "c"] {
            queue.push(packed(text, 5), false, &state);
        }
        drop(queue);
        let all = files(temporary.path());
        for (file, length) in [(&all[0], 20), (&all[1], 0)] {
            OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
        }
        let part = temporary.path().join("00000000000000000003-traces-7.part");
        let other = temporary.path().join("00000000000000000004-traces.gz");
        for path in [&part, &other] {
            fs::write(path, "x").unwrap();
        }
        let (queue, state) = open(temporary.path());
        assert_eq!((state.delivery().dropped, part.exists()), (7, false));
        assert_eq!(texts(&queue, &state), ["c"]);
        assert_eq!((state.delivery().dropped, state.delivery().why.unwrap().contains("cut off")), (17, true));
        assert_eq!(files(temporary.path()), [other]);
    }

    #[test]
    fn what_the_disk_does_not_take_waits_in_memory() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("queue");
        let (queue, state) = (Queue::open(&folder, 1 << 20).unwrap(), State::default());
        fs::remove_dir_all(&folder).unwrap();
        for _ in 0..=MAX_HELD {
            queue.push(packed("", 1), false, &state);
        }
        assert_eq!(state.delivery().dropped, 1);
        assert!(state.troubles()[0].contains("can't be written to"));
        let now = Instant::now();
        let (waiting, _) = queue.next(&|_| Some(now), &state).unwrap();
        queue.done(waiting.number);
        queue.conclude(&state);
        assert_eq!(state.delivery().dropped, 64);
    }

    #[test]
    fn whoever_can_wait_does_until_there_is_room_or_no_hope() {
        let temporary = tempfile::tempdir().unwrap();
        let (queue, state) = open(temporary.path());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..500 {
                    queue.push(packed("0", 1), true, &state);
                }
                queue.close();
            });
            let now = Instant::now();
            let mut sent = 0;
            while let Some((waiting, _)) = queue.next(&|_| Some(now), &state) {
                queue.done(waiting.number);
                sent += 1;
            }
            assert_eq!((sent, state.delivery().dropped), (500, 0));
        });
        queue.set_stuck(true);
        for _ in 0..100 {
            queue.push(packed("0", 1), true, &state);
        }
        assert_eq!(state.delivery().dropped + queue.backlog().spans, 100);
    }
}
