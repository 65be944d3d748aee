//! Logs beside the interface (`--log`): a thread reads them, also as they grow and are replaced, and tells the interface which line is about
//! which call. Neither reading packets nor the interface waits for it.
//!
//! Lines are joined with calls anew whenever calls or lines have come. That may cost a tenth of the time at most: the longer it took, the
//! longer it waits.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::memory::LINKED;
use crate::calls::Call;
use crate::explain::{may_be_logged, parse_log};
use crate::logs::{Book, CallIndex, Entry, Follower, Scanner, Scene, Told, assign, book, reader};
use crate::source::bytes::{self, Content};
use crate::text;
use crate::time::Timestamp;
use crate::tui::{Logged, LoggedCall, LoggedLine, Update};

/// How often logs and calls are looked at.
const POLL: Duration = Duration::from_millis(300);

/// Joining lines with calls takes at most one part in this many of the time.
const SHARE: u32 = 10;

/// Most error lines that are held.
const LINES: usize = 20_000;

/// A log of at most this many bytes is read again from its beginning when calls have come whose texts it may hold.
const AGAIN: u64 = 32 << 20;

/// How packed files begin: gzip, zstd.
const PACKED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// Most bytes before an error that are shown with it: the words of a library around what came over the wire.
const BEFORE: usize = 40;

/// Bytes of a text by which its place in a line is found.
const NEEDLE: usize = 24;

/// Where the analysis puts its calls.
#[derive(Clone)]
pub(super) struct Beside {
    shared: Arc<Shared>,
}

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
    /// Most calls that are held.
    calls: usize,
}

/// What has come since the thread looked.
#[derive(Default)]
struct Pending {
    calls: VecDeque<Arc<Call>>,
    scene: Scene,
    left_out: u64,
    ended: bool,
}

impl Beside {
    /// Starts to read these logs within so much memory. `is_endless`: calls come without an end, so that logs can't wait for it.
    pub(super) fn start(
        paths: &[PathBuf],
        memory: usize,
        is_endless: bool,
        updates: Sender<Update>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            changed: Condvar::new(),
            calls: (memory / 2 / LINKED).max(1),
        });
        let mut teller = Teller {
            shared: Arc::clone(&shared),
            logs: paths.iter().map(|path| Log::new(path)).collect(),
            calls: VecDeque::new(),
            scene: Scene::default(),
            texts: HashSet::new(),
            hashing: RandomState::new(),
            index: CallIndex::new([], &Scene::default()),
            bytes: memory / 2,
            left_out: 0,
            updates,
            stop,
        };
        let work = move || teller.run(is_endless);
        std::thread::Builder::new().name("logs".into()).spawn(work)?;
        Ok(Self { shared })
    }

    /// Takes calls. Never waits.
    pub(super) fn take(&self, calls: &[Arc<Call>]) {
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for call in calls {
            pending.scene.see(call);
            if may_be_logged(call) {
                pending.calls.push_back(Arc::clone(call));
                if pending.calls.len() > self.shared.calls {
                    pending.calls.pop_front();
                    pending.left_out += 1;
                }
            }
        }
    }

    /// No more calls come.
    pub(super) fn end(&self) {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.changed.notify_all();
    }
}

/// A log.
struct Log {
    path: PathBuf,
    /// Its name, for people.
    name: String,
    /// `None` for one that is not followed: packed, or none at all.
    follower: Option<Follower>,
    is_begun: bool,
    entries: VecDeque<Entry>,
    trouble: Option<String>,
}

impl Log {
    fn new(path: &Path) -> Self {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
        let (path, entries) = (path.to_owned(), VecDeque::new());
        Self { path, name, follower: None, is_begun: false, entries, trouble: None }
    }

    /// Begins to read it; says what is wrong with it.
    fn begin(&mut self, index: &CallIndex, stop: &Arc<AtomicBool>) -> Option<String> {
        self.is_begun = true;
        let mut magic = [0; 4];
        let mut head = 0;
        // A pipe has no beginning that could be looked at.
        if self.path.is_file() {
            match bytes::content(&self.path) {
                Ok(Content::Capture) => return Some("is a capture, and no log".to_owned()),
                Ok(Content::Foreign(what)) => return Some(what),
                Ok(Content::Other) | Err(_) => {}
            }
            head = std::fs::File::open(&self.path)
                .and_then(|mut file| std::io::Read::read(&mut file, &mut magic))
                .unwrap_or(0);
        }
        if PACKED.iter().any(|packed| magic.get(..head).is_some_and(|head| head.starts_with(packed))) {
            let mut scanner = Scanner::new(index.prefilter());
            let entries = &mut self.entries;
            let read = reader::read(&self.path, &mut scanner, stop, &Arc::default(), &mut |entry| {
                entries.push_back(entry);
            });
            return read.err().map(|error| format!("can't be read to its end: {error}"));
        }
        self.follower = Some(Follower::new(&self.path, index.prefilter()));
        None
    }

    /// Whether all that the follower has read is still there.
    fn is_as_it_was(&self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(0, |data| data.len());
        self.follower.as_ref().is_some_and(|log| (1..=AGAIN.min(length)).contains(&log.counts().bytes))
    }
}

/// The thread.
struct Teller {
    shared: Arc<Shared>,
    logs: Vec<Log>,
    calls: VecDeque<Arc<Call>>,
    scene: Scene,
    /// Hashes of the texts that logs were looked through for.
    texts: HashSet<u64>,
    hashing: RandomState,
    index: CallIndex,
    /// Bytes that lines may take.
    bytes: usize,
    left_out: u64,
    updates: Sender<Update>,
    stop: Arc<AtomicBool>,
}

impl Teller {
    fn run(&mut self, is_endless: bool) {
        let mut pause = POLL;
        let mut is_first = true;
        while !self.stop.load(Ordering::Relaxed) {
            if !self.wait(pause, !is_endless && is_first) {
                continue;
            }
            let began = Instant::now();
            let has_calls = self.take_calls();
            let has_changed = self.read();
            let told = (has_calls || has_changed || is_first).then(|| self.tell());
            is_first = false;
            if told.is_some_and(|told| self.updates.send(Update::Logged(Arc::new(told))).is_err()) {
                return;
            }
            pause = POLL.max(began.elapsed() * SHARE);
        }
    }

    /// Waits so long, or until no more calls come. Whether there may be something to do.
    fn wait(&self, pause: Duration, for_end: bool) -> bool {
        let until = Instant::now() + pause;
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(POLL);
            if self.stop.load(Ordering::Relaxed) || (for_end && pending.ended) {
                return !self.stop.load(Ordering::Relaxed);
            }
            if left.is_zero() {
                return !for_end;
            }
            let (guard, _) =
                self.shared.changed.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner);
            pending = guard;
        }
    }

    /// Takes what has come. Whether lines may be about other calls now.
    fn take_calls(&mut self) -> bool {
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let new = std::mem::take(&mut pending.calls);
        self.left_out += std::mem::take(&mut pending.left_out);
        self.scene = pending.scene.clone();
        drop(pending);
        if new.is_empty() {
            return false;
        }
        let mut has_texts = false;
        for call in &new {
            let text = call.outcome.message.as_ref();
            has_texts |= text.is_some_and(|text| self.texts.insert(self.hashing.hash_one(text)));
        }
        self.calls.extend(new);
        let surplus = self.calls.len().saturating_sub(self.shared.calls);
        self.left_out += surplus as u64;
        self.calls.drain(..surplus);
        self.index = CallIndex::new(self.calls.iter().cloned(), &self.scene);
        if self.texts.len() > 2 * self.shared.calls {
            self.texts.clear();
        }
        for log in &mut self.logs {
            // Lines that nothing but a text makes an error were passed over before that text came.
            if has_texts && log.is_as_it_was() {
                log.entries.clear();
                log.follower = Some(Follower::new(&log.path, self.index.prefilter()));
            } else if let Some(follower) = &mut log.follower {
                follower.set_prefilter(self.index.prefilter());
            }
        }
        true
    }

    /// Reads what is new in the logs. Whether there are new lines, or something else is wrong with a log.
    fn read(&mut self) -> bool {
        let mut has_changed = false;
        for log in &mut self.logs {
            let trouble_before = log.trouble.clone();
            let mut trouble = None;
            if !log.is_begun {
                trouble = log.begin(&self.index, &self.stop);
                has_changed |= !log.entries.is_empty();
            }
            if let Some(follower) = &mut log.follower {
                loop {
                    let before = follower.counts().bytes;
                    follower.read(&mut |entry| {
                        log.entries.push_back(entry);
                        has_changed = true;
                    });
                    if follower.counts().bytes == before || self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    self.left_out += bound(&mut log.entries, self.bytes);
                }
                trouble = follower.trouble();
            }
            self.left_out += bound(&mut log.entries, self.bytes);
            // One that is not followed stays as it is.
            let trouble = trouble.or_else(|| log.trouble.take().filter(|_| log.follower.is_none()));
            has_changed |= trouble != trouble_before;
            log.trouble = trouble;
        }
        has_changed
    }

    /// Joins lines with calls.
    fn tell(&self) -> Logged {
        let mut book = Book::default();
        for (source, log) in self.logs.iter().enumerate() {
            for entry in &log.entries {
                book.add(source, entry.clone(), &self.index);
            }
        }
        let told = assign(&book, &self.index, &vec![None; self.logs.len()]);
        let lines = book.lines.iter().zip(&told.calls).map(|(line, found)| {
            let call = found.as_ref().ok().and_then(|found| self.index.call(found.call));
            self.line(line, call, &told, found)
        });
        let left_out = self.left_out + book.left_out.iter().sum::<u64>();
        let said = |log: &Log| Some(format!("{}: {}", log.path.display(), log.trouble.as_ref()?));
        Logged::new(lines.collect(), left_out, self.logs.iter().filter_map(said).collect())
    }

    fn line(
        &self,
        line: &book::Line,
        call: Option<&Arc<Call>>,
        told: &Told,
        found: &Result<crate::logs::Match, crate::logs::NoCall>,
    ) -> LoggedLine {
        let text = &line.entry.text;
        let near = call.map(|call| call.end).or(self.index.span().map(|(first, _)| first));
        let name = self.logs.get(line.source).map_or("", |log| log.name.as_str());
        LoggedLine {
            place: format!("{name}:{}", line.entry.line),
            text: text.clone(),
            error_at: error_at(text, call.and_then(|call| call.outcome.message.as_deref())),
            time: told.time_of(line, near.unwrap_or(Timestamp(0))),
            told: match (found, call) {
                (Ok(found), Some(call)) => {
                    Ok(LoggedCall { call: Arc::clone(call), why: found.why.clone(), others: found.others })
                }
                (Err(why), _) => Err(*why),
                (Ok(_), None) => Err(crate::logs::NoCall::Unknown),
            },
        }
    }
}

/// Drops the oldest lines beyond the bounds; returns how many.
fn bound(entries: &mut VecDeque<Entry>, bytes: usize) -> u64 {
    let mut held: usize = entries.iter().map(|entry| entry.text.len() + size_of::<Entry>()).sum();
    let before = entries.len();
    while entries.len() > LINES || held > bytes {
        let Some(oldest) = entries.pop_front() else { break };
        held -= oldest.text.len() + size_of::<Entry>();
    }
    (before - entries.len()) as u64
}

/// Where what is worth showing of a line begins: shortly before the text of its call, or of the error that is read in it.
fn error_at(line: &str, text: Option<&str>) -> usize {
    let of_call = text.filter(|text| !text.is_empty()).and_then(|text| line.find(text::head(text, NEEDLE)));
    let read = || parse_log(line).and_then(|error| line.find(text::head(&error.message, NEEDLE)));
    let Some(at) = of_call.or_else(read) else { return 0 };
    let head = line.get(..at).unwrap_or_default();
    let near = at.saturating_sub(BEFORE);
    // From a word on.
    let start = head.char_indices().find(|(at, c)| *at >= near && c.is_whitespace());
    if near == 0 { 0 } else { start.map_or(at, |(at, space)| at + space.len_utf8()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use crossbeam_channel::{Receiver, bounded};

    use super::*;
    use crate::calls::{Carrier, Class, Uid, sample};
    use crate::logs::NoCall;

    /// Longer than any machine takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn failed(packet: u64, message: &str) -> Arc<Call> {
        let mut call = sample::failed(Class::Rpc, Carrier::ThriftException, Some(6), message);
        call.uid = Uid { packet, ordinal: 0 };
        Arc::new(call)
    }

    /// What the thread says of these logs.
    struct Told {
        beside: Beside,
        updates: Receiver<Update>,
        stop: Arc<AtomicBool>,
        troubles: Vec<String>,
    }

    impl Told {
        fn of(paths: &[&Path], is_endless: bool) -> Self {
            let (sender, updates) = bounded(64);
            let stop = Arc::new(AtomicBool::new(false));
            let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
            let beside = Beside::start(&paths, 1 << 24, is_endless, sender, Arc::clone(&stop)).unwrap();
            Self { beside, updates, stop, troubles: Vec::new() }
        }

        /// The first state with these places and the packets of their calls.
        fn wait_for(&mut self, wanted: &[(&str, Result<u64, NoCall>)]) {
            let until = Instant::now() + PATIENCE;
            let mut seen = Vec::new();
            while let Ok(update) = self.updates.recv_deadline(until) {
                let Update::Logged(logged) = update else { continue };
                self.troubles.clone_from(&logged.troubles);
                seen = logged
                    .lines
                    .iter()
                    .map(|line| {
                        let told = line.told.as_ref().map(|told| told.call.uid.packet);
                        (line.place.clone(), told.map_err(|why| *why))
                    })
                    .collect();
                if seen.iter().map(|(place, told)| (place.as_str(), *told)).eq(wanted.iter().copied()) {
                    return;
                }
            }
            panic!("never came: {wanted:?}; last {seen:?}");
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn append(path: &Path, lines: &str) {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// A line about a call of this text, when it ended.
    fn line(message: &str) -> String {
        let at = failed(1, message).end;
        format!("{at} remote or network error[remote]: biz error: {message}\n")
    }

    #[test]
    fn logs_of_a_file_are_read_at_its_end_and_as_they_grow() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("order.log");
        append(&log, &format!("listening\n{}{}", line("no stock"), line("no room")));
        let mut told = Told::of(&[&log], false);
        told.beside.take(&[failed(7, "biz error: no stock")]);
        assert!(told.updates.is_empty(), "calls are missing yet");
        told.beside.end();
        told.wait_for(&[("order.log:2", Ok(7)), ("order.log:3", Err(NoCall::Unknown))]);
        append(&log, &line("no stock"));
        // The same line once more is about the same call.
        let lines = [("order.log:2", Ok(7)), ("order.log:3", Err(NoCall::Unknown)), ("order.log:4", Ok(7))];
        told.wait_for(&lines);
    }

    #[test]
    fn a_live_log_is_joined_with_calls_that_come_after_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("order.log");
        let mut told = Told::of(&[&log], true);
        told.wait_for(&[]);
        assert!(told.troubles[0].contains("there is no such log"), "{:?}", told.troubles);
        append(&log, &format!("{}ERROR the shelf 7 is empty\n", line("no stock")));
        told.wait_for(&[("order.log:1", Err(NoCall::Unknown))]);
        assert!(told.troubles.is_empty(), "{:?}", told.troubles);
        told.beside.take(&[failed(7, "biz error: no stock"), failed(8, "biz error: the shelf 7 is empty")]);
        told.wait_for(&[("order.log:1", Ok(7)), ("order.log:2", Ok(8))]);
        // Rotated: the lines before stay.
        std::fs::rename(&log, dir.path().join("order.log.1")).unwrap();
        append(&log, &line("no room"));
        told.beside.take(&[failed(9, "biz error: no room")]);
        told.wait_for(&[("order.log:1", Ok(7)), ("order.log:2", Ok(8)), ("order.log:1", Ok(9))]);
    }

    #[test]
    fn packed_logs_are_read_and_captures_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (packed, capture) = (dir.path().join("old.log.gz"), dir.path().join("x.pcap"));
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(line("no stock").as_bytes()).unwrap();
        std::fs::write(&packed, gz.finish().unwrap()).unwrap();
        std::fs::write(&capture, [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]).unwrap();
        let mut told = Told::of(&[&packed, &capture], false);
        told.beside.take(&[failed(7, "biz error: no stock")]);
        told.beside.end();
        told.wait_for(&[("old.log.gz:1", Ok(7))]);
        assert!(
            told.troubles.iter().any(|line| line.contains("x.pcap: is a capture")),
            "{:?}",
            told.troubles
        );
    }

    #[test]
    fn the_oldest_lines_go_first() {
        let entry = |line| Entry { line, text: "x".repeat(100), ..Entry::default() };
        let mut entries: VecDeque<Entry> = (0..LINES as u64 + 5).map(entry).collect();
        assert_eq!((bound(&mut entries, usize::MAX), entries[0].line), (5, 5));
        let left_out = bound(&mut entries, 10 * (100 + size_of::<Entry>()));
        assert_eq!((left_out as usize, entries.len()), (LINES - 10, 10));
    }

    #[test]
    fn what_is_worth_showing_begins_shortly_before_the_error() {
        let shown = |line: &'static str, text: Option<&str>| &line[error_at(line, text)..];
        let line = "2026/11/25 22:33:00.230 order.go:31: [Error] place 7: remote or network error[remote]: biz error: no stock";
        assert_eq!(
            shown(line, Some("biz error: no stock")),
            "7: remote or network error[remote]: biz error: no stock"
        );
        assert_eq!(shown("biz error: no stock", None), "biz error: no stock");
        assert_eq!(shown("nothing here", Some("biz error")), "nothing here");
        assert!(
            shown("下单失败，下单失败，下单失败，下单失败 余额不足", Some("余额不足")).ends_with("余额不足")
        );
    }
}
