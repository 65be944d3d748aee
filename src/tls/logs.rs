//! Key log files: they grow, are truncated, replaced, or do not exist yet, and may be FIFOs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::{Label, Secret};
use zeroize::Zeroizing;

use super::keys::TLS_KEY_LOG;
use super::sessions::{Sessions, Turns};
use super::store::{Lines, RANDOM, Secrets, Store, Unusable};
use crate::source::files;
use crate::source::growing::{Growing, Piece};

/// How often live runs look for new lines.
const INTERVAL: Duration = Duration::from_millis(200);
/// Bytes read of a file in one turn of a live run, so that no packet waits for long.
const MAX_TURN: usize = 16 << 20;
/// How long a run that is not live waits for the writer of a FIFO, and for what it writes next.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key logs of a run, shared by its threads.
#[derive(Debug, Default)]
pub struct KeyLogs {
    files: Mutex<Vec<LogFile>>,
    store: Mutex<Store>,
    /// Secrets that the capture itself carries, for whoever reads its packets again.
    blocks: Mutex<Store>,
    /// Lines of them that can't be used, of each reason the first.
    unusable: Mutex<Vec<Unusable>>,
    /// That of the store.
    version: AtomicU64,
    /// When a live run looked last.
    polled: Mutex<Option<Instant>>,
    /// Packets and keys come at the same time.
    is_live: AtomicBool,
    /// They did when the run began.
    was_live: bool,
    /// The connections that were read; `None`: nobody asks for them.
    used: Option<Mutex<Used>>,
    sessions: Mutex<Sessions>,
    turns: Turns,
}

/// The connections that were read.
#[derive(Debug, Default)]
struct Used {
    known: HashSet<Random>,
    /// In the order in which they were.
    order: Vec<Random>,
    /// Master secrets of resumed connections, which no line has. Boxed: a table that grows leaves its old memory behind.
    resumed: HashMap<Random, Box<Secret>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeyLogs {
    /// The key logs at these paths. Nothing is opened yet.
    #[must_use]
    pub fn new(paths: &[PathBuf], is_live: bool) -> Self {
        let files = paths.iter().map(|path| LogFile::new(path)).collect();
        Self {
            files: Mutex::new(files),
            is_live: AtomicBool::new(is_live),
            was_live: is_live,
            ..Self::default()
        }
    }

    /// Lets all secrets take about `bytes` of memory: those of files, of the capture, and of the capture as far as it was read.
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        let most = Some(bytes / 3 / RANDOM);
        lock(&self.store).most = most;
        lock(&self.blocks).most = most;
        self
    }

    /// Notes which connections are read, for [`used_lines`](Self::used_lines).
    #[must_use]
    pub fn noting_use(self) -> Self {
        Self { used: Some(Mutex::default()), ..self }
    }

    /// A store with the bounds of the others.
    pub(super) fn empty_store(&self) -> Store {
        lock(&self.blocks).empty()
    }

    /// Whether there are any.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !lock(&self.files).is_empty()
    }

    /// Reads what the files hold by now. Not live, waits for the end of FIFOs.
    pub fn read(&self) {
        self.read_until(&AtomicBool::new(false));
    }

    /// The same; `stop` ends the wait.
    pub fn read_until(&self, stop: &AtomicBool) {
        self.read_files(PATIENCE, stop);
    }

    fn read_files(&self, patience: Duration, stop: &AtomicBool) {
        let is_live = self.is_live.load(Ordering::Relaxed);
        let mut files = lock(&self.files);
        for file in files.iter_mut() {
            let mut store = lock(&self.store);
            match (is_live, self.was_live) {
                (true, _) => file.read(&mut store, MAX_TURN),
                (false, true) => file.read(&mut store, usize::MAX),
                (false, false) => file.read_to_end(&mut store, patience, stop),
            }
            if !is_live {
                file.lines.take_begun(&mut store);
            }
            self.version.store(store.version(), Ordering::Release);
        }
    }

    /// Live: looks for new lines if it is time to.
    pub(super) fn poll(&self) {
        if !self.is_live.load(Ordering::Relaxed) {
            return;
        }
        // Whoever comes while another thread looks has nothing to do.
        let Ok(mut polled) = self.polled.try_lock() else { return };
        if polled.is_none_or(|last| last.elapsed() >= INTERVAL) {
            *polled = Some(Instant::now());
            self.read();
        }
    }

    /// The end: no more lines are waited for.
    pub(super) fn read_last(&self) {
        self.is_live.store(false, Ordering::Relaxed);
        self.read_files(Duration::ZERO, &AtomicBool::new(false));
    }

    /// `threads` threads will ask for secrets.
    pub(crate) fn begin(&self, threads: usize) {
        self.turns.begin(threads);
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Gives the store to `look`.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&lock(&self.store))
    }

    /// Keeps the secrets that a capture carries.
    pub(super) fn keep_block(&self, text: &[u8]) {
        let unusable = lock(&self.blocks).text(text);
        let mut all = lock(&self.unusable);
        for one in unusable {
            if !all.iter().any(|known| known.why == one.why) {
                all.push(one);
            }
        }
    }

    /// Gives the secrets that the capture carries to `look`.
    pub(super) fn look_at_blocks<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&lock(&self.blocks))
    }

    /// The secrets of this connection open its records. `master`: that of TLS 1.2, which may be of a session that is resumed.
    pub(super) fn note_use(&self, random: &Random, master: Option<&Secret>) {
        let Some(used) = &self.used else { return };
        let mut used = lock(used);
        if used.known.insert(*random) {
            used.order.push(*random);
            used.resumed.extend(master.map(|master| (*random, Box::new(master.clone()))));
        }
    }

    /// Secrets for a pcapng file: what [`used_lines`](Self::used_lines) says; `None` if there is nothing new.
    #[must_use]
    pub fn used_secrets(&self, from: &mut usize) -> Option<files::Secrets> {
        let (data, used) = self.used_lines(std::mem::replace(from, usize::MAX));
        *from = used;
        (!data.is_empty()).then_some(files::Secrets { kind: TLS_KEY_LOG, data })
    }

    /// The lines of all connections that were read, from number `from` on, and how many connections that are in all: those of key logs, those
    /// that the capture carries, and for sessions of TLS 1.2 that were resumed without a line, the one that is missing. None if their use is
    /// not noted.
    #[must_use]
    pub fn used_lines(&self, from: usize) -> (Zeroizing<Vec<u8>>, usize) {
        let Some(used) = &self.used else { return (Zeroizing::default(), from) };
        let used = lock(used);
        // A buffer that grows leaves its old memory behind.
        let mut len = 0;
        self.each_used(&used, from, |label, _, secret| len += line_len(label, secret));
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        self.each_used(&used, from, |label, random, secret| push_line(&mut out, label, random, secret));
        (out, used.order.len())
    }

    /// Gives the secrets of all connections that were read, from number `from` on, to `take`.
    fn each_used(&self, used: &Used, from: usize, mut take: impl FnMut(Label, &Random, &Secret)) {
        let mut give = |random: &Random, secrets: Option<&Secrets>| {
            secrets.into_iter().flatten().for_each(|(label, secret)| take(*label, random, secret));
            secrets.is_some()
        };
        for random in used.order.iter().skip(from) {
            let is_known = self.look(|store| give(random, store.find(random)))
                || self.look_at_blocks(|store| give(random, store.find(random)));
            if !is_known && let Some(master) = used.resumed.get(random) {
                give(random, Some(&vec![(Label::Master, Secret::clone(master))]));
            }
        }
    }

    /// Whether a file could not be read; for captures that were complete, when there was nothing to wait for.
    #[must_use]
    pub fn lack_a_file(&self) -> bool {
        !self.was_live && lock(&self.files).iter().any(|file| file.file.error().is_some())
    }

    /// Files that were never there or could not be read, and why.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let files = lock(&self.files);
        let name = |file: &LogFile| file.file.path().to_string_lossy().replace(char::is_control, "\u{fffd}");
        let unread = files.iter().filter_map(|file| {
            let name = name(file);
            match file.file.error()? {
                ErrorKind::NotFound => Some(format!("{name}: there was no such key log")),
                ErrorKind::PermissionDenied => {
                    Some(format!("{name}: the key log may not be read (permission denied)"))
                }
                kind => Some(format!("{name}: the key log can't be read: {kind}")),
            }
        });
        let begun = files.iter().filter(|file| file.is_awaited).map(|file| {
            format!("{}: the writer of the key log has not closed it: later lines are not read", name(file))
        });
        let forgotten = lock(&self.store).forgotten;
        let forgotten = (forgotten > 0).then(|| {
            format!("the secrets of {forgotten} connections were forgotten: the key logs hold too many")
        });
        let in_files = files.iter().flat_map(|file| {
            file.lines.unusable().into_iter().map(move |Unusable { why, line, count }| {
                let more = if count > 1 { format!(" ({count} such lines)") } else { String::new() };
                format!("{}:{line}: {why}{more}", name(file))
            })
        });
        let in_blocks = lock(&self.unusable).clone();
        let in_blocks = in_blocks
            .into_iter()
            .map(|Unusable { why, line, .. }| format!("secrets in the capture, line {line}: {why}"));
        unread.chain(begun).chain(forgotten).chain(in_files).chain(in_blocks).collect()
    }
}

/// Bytes of a line of a key log.
fn line_len(label: Label, secret: &Secret) -> usize {
    label.name().len() + 2 * size_of::<Random>() + 2 * secret.bytes().len() + " \n ".len()
}

/// Appends a line of a key log.
fn push_line(out: &mut Vec<u8>, label: Label, random: &Random, secret: &Secret) {
    let hex = |out: &mut Vec<u8>, bytes: &[u8]| {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend(bytes.iter().flat_map(|byte| {
            [byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'))
        }));
    };
    out.extend_from_slice(label.name().as_bytes());
    out.push(b' ');
    hex(out, random);
    out.push(b' ');
    hex(out, secret.bytes());
    out.push(b'\n');
}

/// One key log.
#[derive(Debug)]
struct LogFile {
    file: Growing,
    lines: Lines,
    /// More of it may come, which nobody waits for.
    is_awaited: bool,
}

impl LogFile {
    fn new(path: &Path) -> Self {
        Self { file: Growing::new(path), lines: Lines::default(), is_awaited: false }
    }

    /// Reads what is new, at most `limit` bytes.
    fn read(&mut self, store: &mut Store, limit: usize) {
        let Self { file, lines, .. } = self;
        let mut buffer = zeroize::Zeroizing::new(Vec::new());
        file.read(limit, &mut buffer, &mut |piece| take(lines, store, piece));
    }

    /// Reads all of it. Waits at most `patience` for the writer of a FIFO, and no longer once `stop` is set.
    fn read_to_end(&mut self, store: &mut Store, patience: Duration, stop: &AtomicBool) {
        let Self { file, lines, is_awaited } = self;
        let mut buffer = zeroize::Zeroizing::new(Vec::new());
        *is_awaited = !file.read_to_end(patience, stop, &mut buffer, &mut |piece| take(lines, store, piece));
    }
}

fn take(lines: &mut Lines, store: &mut Store, piece: Piece<'_>) {
    match piece {
        Piece::Bytes(bytes) => lines.take(bytes, store),
        Piece::Truncated => lines.clear(),
        Piece::Replaced => {
            lines.take_begun(store);
            lines.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    fn line(random: u8) -> String {
        format!("CLIENT_RANDOM {} {}\n", format!("{random:02x}").repeat(32), "ab".repeat(48))
    }

    fn known(logs: &KeyLogs) -> Vec<u8> {
        let mut all: Vec<u8> = logs.look(|store| store.latest().map(|(random, _)| random[0]).collect());
        all.sort_unstable();
        all
    }

    #[test]
    fn a_log_that_comes_later_grows_is_cut_and_replaced_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let logs = KeyLogs::new(std::slice::from_ref(&path), true);
        logs.read();
        assert_eq!(logs.troubles().len(), 1);
        let mut file = File::create(&path).unwrap();
        file.write_all(line(1).as_bytes()).unwrap();
        logs.read();
        assert_eq!((known(&logs), logs.troubles().len()), (vec![1], 0));
        let two = line(2);
        file.write_all(&two.as_bytes()[..50]).unwrap();
        logs.read();
        assert_eq!(known(&logs), [1]);
        file.write_all(&two.as_bytes()[50..]).unwrap();
        logs.read();
        assert_eq!(known(&logs), [1, 2]);
        std::fs::write(&path, line(3)).unwrap();
        logs.read();
        assert_eq!(known(&logs), [1, 2, 3], "truncated and begun anew");
        let other = folder.path().join("other");
        std::fs::write(&other, line(4) + &line(5)).unwrap();
        std::fs::rename(&other, &path).unwrap();
        logs.read();
        assert_eq!(known(&logs), [1, 2, 3, 4, 5], "replaced");
        std::fs::remove_file(&path).unwrap();
        logs.read();
        assert_eq!((known(&logs).len(), logs.troubles().len()), (5, 0));
    }

    #[test]
    fn lines_that_cannot_be_used_are_said_once_by_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let rsa = format!("RSA {} {}\n", "01".repeat(8), "02".repeat(48));
        let short = format!("CLIENT_RANDOM {} {}", "03".repeat(32), "04".repeat(40));
        // That of OpenSSL stands before the line that says all.
        let text = format!("# a comment\n{rsa}{}{rsa}{rsa}UNKNOWN 00 11\n{short}", line(1));
        std::fs::write(&path, text).unwrap();
        let logs = KeyLogs::new(std::slice::from_ref(&path), false);
        logs.read();
        logs.read();
        let name = path.display();
        let rsa =
            "RSA and PMS_CLIENT_RANDOM lines (pre-master secrets) are not supported; CLIENT_RANDOM lines are";
        let expected = [
            format!("{name}:4: {rsa} (2 such lines)"),
            format!("{name}:7: the master secret is not 48 bytes long"),
        ];
        assert_eq!(logs.troubles(), expected);
        assert_eq!(known(&logs), [1]);
        for _ in 0..3 {
            logs.keep_block(b"RSA 00 11");
        }
        assert_eq!(logs.troubles()[2..], [format!("secrets in the capture, line 1: {rsa}")]);
    }

    #[test]
    fn a_file_that_does_not_grow_may_end_without_a_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, line(1).trim_end()).unwrap();
        let logs = KeyLogs::new(&[path], false);
        logs.read();
        assert_eq!(known(&logs), [1]);
    }

    #[cfg(target_os = "linux")]
    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        path
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_run_that_is_not_live_reads_a_fifo_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let logs = KeyLogs::new(std::slice::from_ref(&path), false);
        // Opening it waits for the reader, so that the reader comes first.
        let writer = std::thread::spawn(move || {
            let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            for part in [line(1).as_bytes(), &line(2).as_bytes()[..70], &line(2).as_bytes()[70..]] {
                writer.write_all(part).unwrap();
                std::thread::yield_now();
            }
        });
        logs.read();
        writer.join().unwrap();
        assert_eq!((known(&logs), logs.troubles()), (vec![1, 2], Vec::new()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_fifo_that_its_writer_keeps_open_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let (mut file, mut store) = (LogFile::new(&path), Store::default());
        file.read_to_end(&mut store, Duration::ZERO, &AtomicBool::new(false));
        assert!(file.is_awaited, "no writer yet");
        let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(line(1).as_bytes()).unwrap();
        file.read_to_end(&mut store, Duration::ZERO, &AtomicBool::new(false));
        assert!(file.is_awaited && store.find(&[1; 32]).is_some());
        let name = path.display().to_string();
        let logs = KeyLogs { files: Mutex::new(vec![file]), ..KeyLogs::default() };
        let text = "the writer of the key log has not closed it: later lines are not read";
        assert_eq!(logs.troubles(), [format!("{name}: {text}")]);
        drop(writer);
        logs.read();
        assert_eq!(logs.troubles(), [""; 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_fifo_is_read_without_waiting_for_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let logs = KeyLogs::new(std::slice::from_ref(&path), true);
        logs.read();
        assert_eq!(known(&logs), [0; 0]);
        let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for round in 1..=2 {
            writer.write_all(line(round).as_bytes()).unwrap();
            logs.read();
        }
        assert_eq!(known(&logs), [1, 2]);
    }

    #[test]
    fn the_lines_that_were_used_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, line(1) + &line(2)).unwrap();
        let logs = KeyLogs::new(&[path], false).noting_use();
        logs.read();
        logs.keep_block(line(3).as_bytes());
        let used_lines = |from| {
            let (lines, count) = logs.used_lines(from);
            (String::from_utf8(lines.to_vec()).unwrap(), count)
        };
        assert_eq!(used_lines(0), (String::new(), 0));
        for used in [2, 1, 2, 3] {
            logs.note_use(&[used; 32], None);
        }
        assert_eq!(used_lines(0), (line(2) + &line(1) + &line(3), 3));
        assert_eq!(used_lines(1), (line(1) + &line(3), 3));
        // A session that is resumed has no line of its own.
        logs.note_use(&[4; 32], Secret::new(&[0xab; 48]).as_ref());
        assert_eq!(used_lines(3), (line(4), 4));
        assert_eq!(used_lines(4), (String::new(), 4));
        // Its buffer never grew.
        let (lines, _) = logs.used_lines(0);
        assert_eq!(lines.capacity(), lines.len());
    }
}
