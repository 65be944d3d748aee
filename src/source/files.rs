//! Capture files: any number of them, read as one capture in time order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool, AtomicU64};
use std::time::Instant;

use zeroize::Zeroizing;

use super::foreign;
use super::input::{Compression, InputFile};
use super::reread::{Checkpoint, Checkpoints, Reread};
use super::site::Sites;
use super::stream::{ReadOutcome, Shared, Stream, name};
use super::zstd_frames::Windows;
use super::{Batch, Source, SourceError};
use crate::time::Timestamp;

/// Bytes read at once, and about the size of a batch: what is read, decided and written mostly stays in the processor's second cache until
/// the next batch uses the same memory. Half of it is slower on two threads, twice as much on one.
const CHUNK: usize = 128 * 1024;
/// The same where packets are large, of which little is looked at.
const LARGE_CHUNK: usize = 256 * 1024;
/// The same where many files may have to be open together.
const SMALL_CHUNK: usize = 64 * 1024;
/// How many files count as many.
const MANY: usize = 16;
/// Bytes of a file that are looked at to learn its first packet's time.
const PROBE_CHUNK: usize = 16 * 1024;

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Wait for more at the end of a file, until `stop`.
    pub follow: bool,
    /// Set to end waiting: for a growing file, for a pipe.
    pub stop: Arc<AtomicBool>,
    /// Where the files were captured.
    pub sites: Arc<Sites>,
    /// What unpacking may take.
    pub windows: Arc<Windows>,
    /// Most bytes of secrets that the files carry, if less than usual.
    pub max_secrets: Option<usize>,
}

/// Secrets that a pcapng file carries for the decryption of its packets. They are wiped when it is dropped, and its `Debug` says only how many
/// bytes they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Their format, as the block says (0x544c534b: a TLS key log).
    pub kind: u32,
    /// The secrets.
    pub data: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({:#x}, {} bytes)", self.kind, self.data.len())
    }
}

/// Opens capture files: pcap and pcapng, gzip and zstd of both, `-` for standard input, folders for the captures in them.
///
/// Several files are merged by time; of packets with equal times those of the file named first come first. This never
/// fails as a whole: what can't be read is kept for [`Source::troubles`], and the other files are read.
#[must_use]
pub fn open(paths: &[PathBuf], options: Options) -> FileSource {
    let mut source = FileSource::new(paths, options);
    let mut files = Vec::new();
    for path in paths {
        match expand(path) {
            Ok(mut found) => files.append(&mut found),
            Err(text) => source.trouble(path, &text),
        }
    }
    if files.len() > MANY {
        source.pieces = SMALL_CHUNK..=SMALL_CHUNK;
    }
    let alone = files.len() == 1;
    for (order, file) in files.into_iter().enumerate() {
        source.add(file, order, alone);
    }
    source.waiting.sort_by_key(|file| std::cmp::Reverse((file.first, file.order)));
    source
}

/// Files that are read as one capture; made by [`open`].
pub struct FileSource {
    options: Options,
    /// Least and most bytes of a file that are read at once.
    pieces: RangeInclusive<usize>,
    /// Files whose turn has not come, the next one last. They are not open.
    waiting: Vec<UnopenedFile>,
    /// Open files that have a packet at hand, the earliest on top.
    ready: BinaryHeap<Active>,
    /// Open files that have none at hand.
    idle: Vec<Active>,
    shared: Shared,
    /// Secrets that were handed out.
    given: usize,
    packets: u64,
    read: Arc<AtomicU64>,
    total: Option<u64>,
    troubles: Vec<SourceError>,
    paths: Vec<PathBuf>,
    checkpoints: Arc<Checkpoints>,
    /// Time of the last packet, and when it was read.
    last: Option<(Timestamp, Instant)>,
}

struct UnopenedFile {
    path: PathBuf,
    order: usize,
    first: Timestamp,
}

struct Active {
    stream: Stream,
    batch: Batch,
    /// The packet of `batch` that comes next.
    next: usize,
    order: usize,
}

impl Active {
    /// When this file's next packet comes; what comes first is smallest.
    fn key(&self) -> (Timestamp, usize) {
        (self.batch.records.get(self.next).map_or(Timestamp(i64::MAX), |r| r.time), self.order)
    }
}

/// The greatest of a heap is the file whose packet comes first.
impl Ord for Active {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Active {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Active {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Active {}

impl FileSource {
    fn new(paths: &[PathBuf], options: Options) -> Self {
        let shared = Shared::within(options.max_secrets);
        Self {
            options,
            pieces: CHUNK..=LARGE_CHUNK,
            waiting: Vec::new(),
            ready: BinaryHeap::new(),
            idle: Vec::new(),
            shared,
            given: 0,
            packets: 0,
            read: Arc::default(),
            total: Some(0),
            troubles: Vec::new(),
            paths: paths.to_owned(),
            checkpoints: Arc::default(),
            last: None,
        }
    }

    /// A way to reread packets of these files, from any thread. `None` if one of them can be read only once.
    #[must_use]
    pub fn reread(&self) -> Option<Reread> {
        let is_lasting = self.paths.iter().all(|path| path.is_file() || path.is_dir());
        is_lasting.then(|| {
            Reread::new(self.paths.clone(), Arc::clone(&self.checkpoints), Arc::clone(&self.options.sites))
        })
    }

    /// Resumes the only file at a checkpoint.
    pub(super) fn resume(path: &Path, checkpoint: Checkpoint) -> io::Result<Self> {
        let mut source = Self::new(&[], Options::default());
        let stop = Arc::clone(&source.options.stop);
        let mut input = InputFile::open(path, false, Arc::clone(&source.read), Arc::clone(&stop))?;
        input.seek(checkpoint.offset)?;
        source.packets = checkpoint.packets;
        // Its interfaces were seen by whoever read the file before.
        source.shared = Shared::default();
        let stream = Stream::new(path, input, stop, CHUNK..=LARGE_CHUNK).resume(checkpoint);
        source.idle.push(Active { stream, batch: Batch::default(), next: 0, order: 0 });
        Ok(source)
    }

    /// Opens a file, reads it up to its first packet, and lets it wait for its turn. A file that is `alone`, still grows or
    /// can't be opened twice is kept open.
    fn add(&mut self, path: PathBuf, order: usize, alone: bool) {
        if alone || self.options.follow || !path.is_file() {
            let Some(input) = self.input(&path) else { return };
            self.total = self.total.zip(input.len()).map(|(total, len)| total + len);
            let mut stream = self.stream(&path, input, self.pieces.clone());
            if alone {
                stream = stream.with_checkpoints(Arc::clone(&self.checkpoints));
            }
            self.idle.push(Active { stream, batch: Batch::default(), next: 0, order });
            return;
        }
        // What the probe reads is read again later and counted then.
        let probe = match InputFile::open(&path, false, Arc::default(), Arc::clone(&self.options.stop)) {
            Ok(probe) => probe,
            Err(error) => return self.trouble(&path, &reason(&error)),
        };
        let len = probe.len().unwrap_or(0);
        let mut stream = self.stream(&path, probe, PROBE_CHUNK..=PROBE_CHUNK);
        let (mut batch, mut troubles) = (Batch::default(), Vec::new());
        stream.next(&mut batch, &mut Shared::default(), &mut troubles);
        match batch.records.first() {
            // Trouble behind the first packet will show again when the file is read.
            Some(record) => {
                self.total = self.total.map(|total| total + len);
                self.waiting.push(UnopenedFile { first: record.time, path, order });
            }
            None => self.troubles.append(&mut troubles),
        }
    }

    fn input(&mut self, path: &Path) -> Option<InputFile> {
        let read = Arc::clone(&self.read);
        match InputFile::open(path, self.options.follow, read, Arc::clone(&self.options.stop)) {
            Ok(input) => Some(input),
            Err(error) => {
                self.trouble(path, &reason(&error));
                None
            }
        }
    }

    fn stream(&self, path: &Path, input: InputFile, pieces: RangeInclusive<usize>) -> Stream {
        let stream = Stream::new(path, input, Arc::clone(&self.options.stop), pieces);
        stream.at(self.options.sites.get(path)).within(&self.options.windows)
    }

    fn trouble(&mut self, path: &Path, text: &str) {
        self.troubles.push(SourceError(format!("{}: {text}", name(path))));
    }

    /// Reads on in a file whose packets are used up.
    fn advance(&mut self, mut file: Active) {
        file.next = 0;
        match file.stream.next(&mut file.batch, &mut self.shared, &mut self.troubles) {
            ReadOutcome::Packets => self.ready.push(file),
            ReadOutcome::Idle => self.idle.push(file),
            ReadOutcome::End => {}
        }
    }

    /// Opens the next waiting file if its first packet comes before those at hand.
    fn admit(&mut self) -> bool {
        let Some(next) = self.waiting.last() else { return false };
        if self.ready.peek().is_some_and(|file| file.key() < (next.first, next.order)) {
            return false;
        }
        let Some(UnopenedFile { path, order, .. }) = self.waiting.pop() else { return false };
        if let Some(input) = self.input(&path) {
            let stream = self.stream(&path, input, self.pieces.clone());
            self.advance(Active { stream, batch: Batch::default(), next: 0, order });
        }
        true
    }

    /// Up to which packet of another file the earliest file has the word.
    fn limit(&self) -> (Timestamp, usize) {
        let ready = self.ready.peek().map(Active::key);
        let waiting = self.waiting.last().map(|file| (file.first, file.order));
        [ready, waiting].into_iter().flatten().min().unwrap_or((Timestamp(i64::MAX), usize::MAX))
    }

    /// Fills `out`; `false` at the end.
    fn read(&mut self, out: &mut Batch) -> bool {
        out.records.clear();
        if self.waiting.is_empty() && self.ready.is_empty() && self.idle.len() == 1 {
            // The only file there is reads straight into the caller's buffer.
            let Some(file) = self.idle.last_mut() else { return false };
            let outcome = file.stream.next(out, &mut self.shared, &mut self.troubles);
            self.number(out);
            return outcome != ReadOutcome::End;
        }
        for file in std::mem::take(&mut self.idle) {
            self.advance(file);
        }
        // A pipe has to say when its next packet comes before others can go on; a growing file may never say.
        if !self.idle.is_empty() && !self.options.follow {
            return true;
        }
        let mut copied = 0;
        while copied < *self.pieces.start() && (self.idle.is_empty() || self.options.follow) {
            if self.admit() {
                continue;
            }
            let Some(mut file) = self.ready.pop() else { break };
            let limit = self.limit();
            if copied == 0
                && file.next == 0
                && file.batch.records.iter().all(|record| (record.time, file.order) < limit)
            {
                // Nothing of another file falls between these packets: the whole batch is handed on.
                std::mem::swap(out, &mut file.batch);
                self.number(out);
                file.batch.records.clear();
                self.idle.push(file);
                return true;
            }
            if copied == 0 {
                out.data.clear();
            }
            while copied < *self.pieces.start() && file.key() < limit {
                let Some(record) = file.batch.records.get(file.next) else { break };
                let place = record.offset as usize..(record.offset + record.len) as usize;
                let bytes = file.batch.data.get(place).unwrap_or_default();
                self.packets += 1;
                let offset = out.data.len() as u32;
                out.records.push(super::Record { number: self.packets, offset, ..*record });
                out.data.extend_from_slice(bytes);
                copied += bytes.len() + size_of::<super::Record>();
                file.next += 1;
            }
            if file.next < file.batch.records.len() {
                self.ready.push(file);
            } else {
                self.advance(file);
            }
        }
        let is_over = self.waiting.is_empty() && self.ready.is_empty() && self.idle.is_empty();
        !out.records.is_empty() || !is_over
    }

    fn number(&mut self, batch: &mut Batch) {
        for record in &mut batch.records {
            self.packets += 1;
            record.number = self.packets;
        }
    }
}

impl Source for FileSource {
    fn next_batch(&mut self, out: &mut Batch) -> Result<bool, SourceError> {
        let more = self.read(out);
        out.reserved = self.options.windows.used() + self.shared.secret_memory();
        out.now = None;
        out.single_interfaces = self.shared.single_interfaces();
        let secrets = self.shared.secrets();
        out.secrets.clear();
        out.dropped_secrets = self.shared.dropped_secrets();
        if let Some(new) = secrets.get(self.given..).filter(|new| !new.is_empty()) {
            out.secrets.extend_from_slice(new);
            self.given = secrets.len();
        }
        match (out.records.last(), self.last) {
            (Some(record), _) => self.last = Some((record.time, Instant::now())),
            // A pipe or a growing file is silent: time goes on from its last packet.
            (None, Some((time, since))) if more => out.now = Some(time + since.elapsed()),
            (None, _) => {}
        }
        Ok(more)
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        std::mem::take(&mut self.troubles)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        let read = self.read.load(atomic::Ordering::Relaxed);
        self.total.map(|total| (read.min(total), total))
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.shared.name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.shared.secrets()
    }
}

/// The files that a path stands for: itself, or the captures in a folder. If there are none, why.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<PathBuf>>>()
    });
    let mut paths = entries.map_err(|error| reason(&error))?;
    paths.retain(|path| path.is_file() && (is_named_capture(path) || begins_as_capture(path)));
    paths.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    if paths.is_empty() { Err("holds no captures".into()) } else { Ok(paths) }
}

/// Why a file can't be opened, in few words.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file".into(),
        ErrorKind::PermissionDenied => "may not be read (permission denied)".into(),
        _ => error.to_string(),
    }
}

/// Whether the name says capture: `x.pcap`, `x.pcapng`, `x.cap`, with what rotation and compression put behind it.
#[must_use]
pub fn is_named_capture(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        [".pcap", ".cap", ".dmp"].iter().any(|part| {
            name.find(part).is_some_and(|at| {
                let after = name[at + part.len()..].trim_start_matches("ng");
                after.trim_end_matches(".gz").trim_end_matches(".zst").bytes().all(|b| b.is_ascii_digit())
            })
        })
    })
}

/// Whether a file of a folder is a capture by its first bytes (packed ones go by their names).
fn begins_as_capture(path: &Path) -> bool {
    let mut magic = [0; 4];
    let begun = fs::File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic));
    begun.is_ok() && is_capture(magic)
}

/// Whether these are the first bytes of a capture.
pub(super) fn is_capture(magic: [u8; 4]) -> bool {
    super::pcap::magic(magic).is_some()
        || magic == super::pcapng::MAGIC
        || super::snoop::MAGIC.starts_with(&magic)
}

/// Why none of these paths can be read as a capture, one line for each; empty if one of them may be. This looks at first bytes alone,
/// and unpacks nothing, so that it can be asked before outputs are created and rights are given up. `follow`: a file may still be empty.
#[must_use]
pub fn unreadable(paths: &[PathBuf], follow: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for path in paths {
        let files = match expand(path) {
            Ok(files) => files,
            Err(text) => {
                lines.push(format!("{}: {text}", name(path)));
                continue;
            }
        };
        for file in files {
            match why_unreadable(&file, follow) {
                Some(text) => lines.push(format!("{}: {text}", name(&file))),
                None => return Vec::new(),
            }
        }
    }
    lines
}

fn why_unreadable(path: &Path, follow: bool) -> Option<String> {
    if path == Path::new("-") {
        return None;
    }
    let mut head = Vec::new();
    let begun = fs::metadata(path).and_then(|data| {
        if data.is_file() {
            io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, foreign::HEAD), &mut head)?;
        }
        // What a pipe says can be read only once.
        Ok(data.is_file())
    });
    match (begun, head.first_chunk::<4>()) {
        (Err(error), _) => Some(reason(&error)),
        (Ok(true), _) if head.is_empty() => (!follow).then(|| "is empty".into()),
        // The reader says how much of a short file is missing.
        (Ok(false), _) | (Ok(true), None) => None,
        (Ok(true), Some(magic)) => {
            let may_be = is_capture(*magic) || Compression::of(*magic).is_some();
            (!may_be).then(|| foreign::foreign(&head))
        }
    }
}

/// Compares names so that `x.pcap9` comes before `x.pcap10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (digits(a), digits(b));
            let order = m.0.len().cmp(&n.0.len()).then_with(|| m.0.cmp(n.0));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (m.1, n.1);
        } else if x == y {
            (a, b) = (a.split_at(1).1, b.split_at(1).1);
        } else {
            return x.cmp(y);
        }
    }
    a.len().cmp(&b.len())
}

/// The number at the start of `text`, without leading zeros, and what follows it.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let zeros = number.iter().take_while(|b| **b == b'0').count();
    (number.split_at(zeros).1, rest)
}
