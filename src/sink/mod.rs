//! Outputs: each is a small file behind [`Sink`].
//!
//! A sink writes to a [`RecordWriter`], receives every call in order, and is finished once:
//!
//! ```text
//! let out = RecordWriter::new(Box::new(stdout), live);
//! let mut sink = JsonLines::new(out);
//! sink.call(&call)?;  sink.tick()?;  sink.finish()?;
//! ```
//!
//! [`RecordFormat`] is the table of the formats of `calls`: a new format needs its own file and its lines there.
//!
//! All errors come from the writer. A reader that closes the pipe causes [`std::io::ErrorKind::BrokenPipe`], which is a
//! normal end (see [`closed_pipe`]).
//!
//! | sink | writes |
//! | --- | --- |
//! | [`jsonl::JsonLines`] | one JSON object per line |
//! | [`packets::PacketWriter`] | packets, as pcapng or pcap |
//! | [`text::Text`] | one aligned line per call, or selected fields separated by tabs |
//! | [`csv::Csv`] | comma-separated values with a header line |
//! | `parquet::Parquet` | columns for query engines, with the feature `parquet` |
//! | `record::Recorder` | a folder of Parquet files by hour and host, with journals, for agents |
//! | [`chains`] | chains as trees, JSON lines and service graphs |
//! | [`logs`] | lines of logs with their calls, as text and JSON lines |
//! | [`report`] | one page of HTML about failed calls, to hand on |
//! | [`stats::StatsSink`] | totals per service and method, at the end |
//!
//! Shared parts: [`clock`] (time formats), [`color`], [`fields`] (`--fields`), [`json`] (JSON values).

pub mod chains;
pub mod clock;
pub mod color;
mod connections;
pub mod csv;
pub mod fields;
mod guarded;
pub mod json;
pub mod jsonl;
mod kept;
pub mod logs;
mod methods;
pub mod packets;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "parquet")]
pub mod record;
pub mod report;
pub mod stats;
mod target;
pub mod text;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;

use self::json::Room;
use self::target::{Shortfall, Target};
use crate::calls::record::{Call, Connection};
use crate::pipeline::Totals;
use crate::time::Timestamp;

pub use clock::{Clock, TimeFormat};
pub use csv::Csv;
pub use fields::Field;
pub use guarded::Guarded;
pub use jsonl::JsonLines;
pub use stats::{StatsFormat, StatsSink};
pub use text::Text;

/// Receives calls, and connections if requested, in the order of the packets that decided them.
pub trait Sink: Send {
    /// The time of the first packet, once, before everything else: what relative times count from.
    fn begin(&mut self, _first: Timestamp) {}

    /// The next call.
    fn call(&mut self, call: &Call) -> io::Result<()>;

    /// The next connection. Outputs without a place for connections ignore it.
    fn connection(&mut self, _connection: &Connection) -> io::Result<()> {
        Ok(())
    }

    /// Called about twice a second: complete records should be written out.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was read in all, once, before the end. Outputs without a place for it ignore it.
    fn totals(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }

    /// A panic left the sink in the middle of something: forgets the record that is not complete. `Some` if complete ones are lost
    /// too: how many records in all.
    fn recover(&mut self) -> Option<usize> {
        None
    }

    /// The end: writes the rest. Called once.
    fn finish(&mut self) -> io::Result<()>;
}

/// The formats of call records. A new format needs its own file and its lines here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// One aligned line per call.
    #[default]
    Text,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
    /// Apache Parquet, for query engines (binary).
    #[cfg(feature = "parquet")]
    Parquet,
}

impl RecordFormat {
    /// The sink of this format.
    #[must_use]
    pub fn open(self, out: RecordWriter, look: Appearance) -> Box<dyn Sink> {
        match self {
            Self::Text => {
                let clock = Clock::new(look.time, false);
                Box::new(Text::new(out, look.width, clock, look.colored).fields(look.fields))
            }
            Self::Jsonl => Box::new(JsonLines::new(out).totals(look.totals)),
            Self::Csv => Box::new(Csv::new(out, look.fields)),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(parquet::Parquet::new(out)),
        }
    }

    /// Whether the format has columns that `--fields` can select.
    #[must_use]
    pub fn has_columns(self) -> bool {
        matches!(self, Self::Text | Self::Csv)
    }

    /// Whether the format is no text, which a terminal can't show.
    #[must_use]
    pub fn is_binary(self) -> bool {
        !matches!(self, Self::Text | Self::Jsonl | Self::Csv)
    }
}

/// How records look, in formats that leave a choice.
#[derive(Clone, Debug, Default)]
pub struct Appearance {
    /// Keys to print; empty for the default keys of the format.
    pub fields: Vec<Field>,
    /// Width of the terminal in columns; `None` to print full lines.
    pub width: Option<usize>,
    /// Time format.
    pub time: TimeFormat,
    /// Whether to use colours.
    pub colored: bool,
    /// Whether to end with a record of the totals.
    pub totals: bool,
}

/// Whether an error only means that the reader closed the pipe (`rpcscope calls … | head`).
#[must_use]
pub fn closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Why an output can't be written, in few words.
#[must_use]
pub fn why_unwritable(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::NotFound => "there is no such folder",
        io::ErrorKind::IsADirectory => "it is a folder",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::StorageFull => "no space is left",
        _ => "",
    };
    // What is more than an error of the system says more.
    if known.is_empty() || error.raw_os_error().is_none() { error.to_string() } else { known.to_owned() }
}

/// Size of a write in bytes: it stays in the processor's second cache.
const BUFFER: usize = 64 * 1024;

/// Counts lines that could not be written; shared between the writer and the runner, which reports them.
#[derive(Debug, Default)]
pub struct Losses {
    lines: AtomicU64,
    why: Mutex<Option<String>>,
}

impl Losses {
    /// The number of lines missing in the output and the first error; `None` if nothing is wrong.
    #[must_use]
    pub fn get(&self) -> Option<(u64, String)> {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((self.lines.load(Ordering::Relaxed), why))
    }

    /// What is missing in an output of this name, in words for a person.
    #[must_use]
    pub fn sentence(&self, output: &str) -> Option<String> {
        self.get().map(|(lines, why)| match lines {
            0 => format!("{output} may miss something: {why}"),
            lines => {
                format!("{} could not be written to {output}: {why}", crate::text::counted(lines, "line"))
            }
        })
    }

    fn count(&self, lines: usize) {
        self.lines.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// Counts lines that are lost for a reason; none if nothing but the reason is known.
    pub(crate) fn add(&self, lines: usize, error: &io::Error) {
        self.count(lines);
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.get_or_insert_with(|| error.to_string());
    }
}

/// Writes the records of a sink. Records are built in one reused buffer and written in large pieces, or one by one for live
/// output.
///
/// If a panic drops the writer before the sink is finished, it still writes the complete records in its buffer.
pub struct RecordWriter {
    buffer: Vec<u8>,
    /// Length of the complete records in the buffer.
    whole: usize,
    /// What is behind them is room for the next ones ([`RecordWriter::record`]).
    has_room: bool,
    target: Target,
    each: bool,
    losses: Option<Arc<Losses>>,
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter")
            .field("buffered", &self.buffer.len())
            .field("each", &self.each)
            .finish_non_exhaustive()
    }
}

impl RecordWriter {
    /// With `each`, every record is written as soon as it is complete (live capture, terminal).
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>, each: bool) -> Self {
        Self::to(Target::Stream(writer), each)
    }

    /// Creates or truncates the file `path`. On a full disk, it ends after the last record that fits.
    pub fn create(path: &Path, each: bool) -> io::Result<Self> {
        Ok(Self::to(Target::create(path)?, each))
    }

    fn to(target: Target, each: bool) -> Self {
        let buffer = Vec::with_capacity(if each { 4096 } else { BUFFER + 4096 });
        Self { buffer, whole: 0, has_room: false, target, each, losses: None }
    }

    /// Continues after write errors, as a live capture must, and counts missing lines in `losses`. A closed pipe still ends
    /// the run.
    #[must_use]
    pub fn lasting(mut self, losses: Arc<Losses>) -> Self {
        self.losses = Some(losses);
        self
    }

    /// Where missing lines are counted, if the run continues after write errors.
    #[cfg(feature = "parquet")]
    fn losses(&self) -> Option<Arc<Losses>> {
        self.losses.clone()
    }

    /// The same output for bytes that are no lines.
    #[cfg(feature = "parquet")]
    fn unframed(mut self) -> Unframed {
        let target = std::mem::replace(&mut self.target, Target::Stream(Box::new(io::sink())));
        Unframed { target, buffer: Vec::with_capacity(BUFFER) }
    }

    /// Writes a record into room that is in the buffer already, which costs less than to append it.
    #[inline]
    pub fn record(&mut self, write: impl FnMut(Room<'_>) -> Room<'_>) -> io::Result<()> {
        self.has_room = true;
        self.whole = json::write_at(&mut self.buffer, self.whole, write);
        if self.each || self.whole >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Where sinks append to the current record; [`RecordWriter::end_record`] completes it.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        // What stands behind the complete records is room.
        if std::mem::take(&mut self.has_room) {
            self.buffer.truncate(self.whole);
        }
        &mut self.buffer
    }

    /// Completes the current record.
    pub fn end_record(&mut self) -> io::Result<()> {
        self.whole = self.buffer.len();
        if self.each || self.whole >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Forgets a record that is not complete.
    fn recover(&mut self) {
        self.has_room = false;
        self.buffer.truncate(self.whole);
    }

    /// Writes the buffer out.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.has_room {
            self.whole = self.buffer.len();
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let whole = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let records = self.buffer.get(..self.whole).unwrap_or_default();
        let result = self.target.append(records, whole);
        let lost = result.as_ref().err().and_then(|shortfall| records.get(shortfall.kept..));
        let lost = lost.map_or(0, |bytes| bytes.split(|byte| *byte == b'\n').count() - 1);
        // Clear it after an error too: `finish` must not write anything twice.
        if !self.has_room {
            self.buffer.clear();
        }
        self.whole = 0;
        match (result, &self.losses) {
            (Err(Shortfall { error, .. }), Some(losses)) if !closed_pipe(&error) => {
                losses.add(lost, &error);
                Ok(())
            }
            (Err(Shortfall { error, .. }), _) => Err(error),
            (Ok(()), _) => Ok(()),
        }
    }
}

/// The output of a format with a framing of its own. All errors are returned.
#[cfg(feature = "parquet")]
pub struct Unframed {
    target: Target,
    buffer: Vec<u8>,
}

#[cfg(feature = "parquet")]
impl Write for Unframed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.target.append(&self.buffer, <[u8]>::len);
        self.buffer.clear();
        written.map_err(|shortfall| shortfall.error)
    }
}

impl Drop for RecordWriter {
    fn drop(&mut self) {
        self.recover();
        if !self.buffer.is_empty() {
            // Only a panic leads here, and it is reported already.
            _ = self.write();
        }
    }
}

/// A writer whose contents tests can read.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

#[cfg(test)]
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_recognised() {
        let mut output = RecordWriter::new(Box::new(Closed), true);
        output.buffer.extend_from_slice(b"record\n");
        let error = output.end_record().unwrap_err();
        assert!(closed_pipe(&error));
        assert!(output.buffer.is_empty());
        assert!(!closed_pipe(&io::ErrorKind::StorageFull.into()));
    }

    /// However records are written, each stands behind the one before.
    #[test]
    fn records_in_room_and_appended_ones_take_turns() {
        for each in [false, true] {
            let shared = Shared::default();
            let mut output = RecordWriter::new(Box::new(shared.clone()), each);
            let mut expected = String::new();
            for len in [1, 5_000, 100, 3 * BUFFER, 1, BUFFER - 1, 2] {
                let record = "x".repeat(len) + "\n";
                output.record(|room| room.text(&record)).unwrap();
                output.buffer().extend_from_slice(record.as_bytes());
                output.end_record().unwrap();
                output.record(|room| room.text(&record)).unwrap();
                output.flush().unwrap();
                output.record(|room| room.text(&record)).unwrap();
                expected += &record.repeat(4);
            }
            // What a panic leaves in the room is no record.
            let panic = std::panic::AssertUnwindSafe(|| _ = output.record(|room| panic!("{}", room.left())));
            assert!(std::panic::catch_unwind(panic).is_err());
            output.recover();
            output.buffer.extend_from_slice(b"not complete");
            drop(output);
            assert_eq!(shared.text(), expected);
        }
    }

    #[test]
    fn a_panic_leaves_the_complete_records() {
        let shared = Shared::default();
        let mut output = RecordWriter::new(Box::new(shared.clone()), false);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            output.buffer.extend_from_slice(b"one\n");
            output.end_record().unwrap();
            output.buffer.extend_from_slice(b"tw");
            panic!("a fault in the test's sink");
        }));
        assert!(failed.is_err());
        assert_eq!(shared.text(), "one\n");
    }

    #[test]
    fn records_are_written_one_by_one_or_in_large_pieces() {
        let shared = Shared::default();
        let mut output = RecordWriter::new(Box::new(shared.clone()), true);
        output.buffer.extend_from_slice(b"one\n");
        output.end_record().unwrap();
        assert_eq!(shared.text(), "one\n");

        let shared = Shared::default();
        let mut output = RecordWriter::new(Box::new(shared.clone()), false);
        output.buffer.extend_from_slice(b"one\n");
        output.end_record().unwrap();
        assert_eq!(shared.text(), "");
        output.buffer.resize(BUFFER, b'x');
        output.end_record().unwrap();
        assert_eq!(shared.text().len(), BUFFER);
    }
}
