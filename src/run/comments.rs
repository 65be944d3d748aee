//! Verdicts in the `-w` file (`--comments`): a comment on the last packet of each call, which Wireshark shows.
//!
//! A call is decided some time after its last packet was captured, so that packets wait. Those that nothing is said of in time are
//! written without a comment.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Failure;
use crate::calls::Call;
use crate::cli::Input;
use crate::export::Comments;
use crate::sink::packets::PacketWriter;
use crate::source::{Batch, Tap};

/// How long live packets wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most bytes of packets that wait.
const MAX_WAITING: usize = 64 << 20;

/// Bytes of verdicts that wait for their packets beyond which no more are taken.
const MAX_VERDICTS: usize = 16 << 20;

/// An error if the comments would go nowhere.
pub(super) fn check(input: &Input, packets: Option<&Path>) -> Result<(), Failure> {
    if input.comments && packets.is_some_and(|path| path.extension().is_some_and(|ending| ending == "pcap")) {
        return Err(Failure::Usage("--comments needs pcapng: a .pcap file can't hold comments".into()));
    }
    Ok(())
}

/// What is said of packets, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    comments: Comments,
    /// Packets up to this one were written.
    written: u64,
    /// Calls whose packet was written before they were decided, or that are too many.
    late: u64,
}

impl Verdicts {
    /// Notes a call that was decided.
    pub(super) fn note(&self, call: &Call) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = call.packets.1 > noted.written && noted.comments.bytes() < MAX_VERDICTS;
        if !waits || !noted.comments.add(call) {
            noted.late += 1;
        }
    }

    /// Calls of which no comment tells.
    pub(super) fn late(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).late
    }
}

/// A `-w` file whose packets wait for verdicts.
pub(super) struct Commented {
    writer: PacketWriter,
    verdicts: Arc<Verdicts>,
    waiting: VecDeque<(Instant, Batch)>,
    bytes: usize,
    is_live: bool,
}

impl Commented {
    pub(super) fn new(writer: PacketWriter, verdicts: Arc<Verdicts>, is_live: bool) -> Self {
        Self { writer, verdicts, waiting: VecDeque::new(), bytes: 0, is_live }
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let texts: Vec<Option<String>> = {
            let mut noted = self.verdicts.0.lock().unwrap_or_else(PoisonError::into_inner);
            let last = batch.records.iter().map(|record| record.number).max();
            noted.written = noted.written.max(last.unwrap_or(0));
            batch.packets().map(|packet| noted.comments.take(packet.number)).collect()
        };
        self.writer.write_all(batch.packets().zip(texts.iter().map(Option::as_deref)))
    }

    /// Writes what has waited long enough, or all of it.
    fn release(&mut self, all: bool) -> io::Result<()> {
        let mut result = Ok(());
        while let Some((came, batch)) = self.waiting.front() {
            let is_due = self.is_live && came.elapsed() >= PATIENCE;
            if !all && !is_due && self.bytes <= MAX_WAITING {
                break;
            }
            self.bytes -= batch.data.len();
            if let Some((_, batch)) = self.waiting.pop_front() {
                let written = self.write(&batch);
                result = result.and(written);
            }
        }
        result
    }
}

impl Drop for Commented {
    fn drop(&mut self) {
        // Only a panic leads here with packets that wait.
        _ = self.release(true);
    }
}

impl Tap for Commented {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        for record in &batch.records {
            self.writer.name_interface(record.interface, || name(record.interface));
        }
        if !batch.records.is_empty() {
            let kept = Batch { data: batch.data.clone(), records: batch.records.clone(), ..Batch::default() };
            self.bytes += kept.data.len();
            self.waiting.push_back((Instant::now(), kept));
        }
        let released = self.release(false);
        // Whoever reads the other end of a pipe sees each packet when its turn has come.
        if self.is_live { released.and(self.writer.flush()) } else { released }
    }

    fn finish(&mut self) -> io::Result<()> {
        let released = self.release(true);
        released.and(self.writer.finish())
    }

    fn lost(&self) -> u64 {
        self.writer.lost()
    }

    fn ends_after_analysis(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::packets::Rotation;
    use crate::source::{CapturePoint, LinkType, Record, Source, files};
    use crate::time::Timestamp;

    #[test]
    fn packets_that_wait_are_written_when_a_panic_drops_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let mut commented = Commented::new(writer, Arc::default(), false);
        let record = Record {
            number: 1,
            time: Timestamp(1),
            link: LinkType(1),
            interface: 0,
            capture_point: CapturePoint::default(),
            wire_len: 3,
            offset: 0,
            len: 3,
        };
        let batch = Batch { data: b"abc".to_vec(), records: vec![record], ..Batch::default() };
        Tap::packets(&mut commented, &batch, &|_| None).unwrap();
        assert_eq!(commented.waiting.len(), 1);
        drop(commented);
        let (mut read, mut source) = (Batch::default(), files::open(&[path], files::Options::default()));
        assert!(source.next_batch(&mut read).unwrap());
        assert_eq!(read.packets().map(|packet| packet.data.to_vec()).collect::<Vec<_>>(), [b"abc"]);
    }
}
