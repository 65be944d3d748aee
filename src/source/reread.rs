//! Rereads packets of files, to show the details of one call.
//!
//! The first pass over a file leaves checkpoints from which reading can resume. Merged or compressed files are reread from the
//! beginning.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::files::{self, FileSource, Secrets};
use super::site::Sites;
use super::stream::Format;
use super::{Batch, Source, SourceError};

/// Initial number of packets between two checkpoints.
const SPACING: u64 = 1 << 14;
/// Checkpoints that are kept. When there are more, every other one is dropped.
const MAX_CHECKPOINTS: usize = 4096;

/// The start of a record and the state needed to resume there.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    /// Number of packets before it.
    pub(super) packets: u64,
    /// Its offset in the file.
    pub(super) offset: u64,
    pub(super) format: Format,
}

/// The checkpoints of one file.
#[derive(Debug, Default)]
pub(super) struct Checkpoints(Mutex<CheckpointList>);

#[derive(Debug)]
struct CheckpointList {
    /// In order.
    checkpoints: Vec<Checkpoint>,
    spacing: u64,
}

impl Default for CheckpointList {
    fn default() -> Self {
        Self { checkpoints: Vec::new(), spacing: SPACING }
    }
}

impl Checkpoints {
    /// Adds a checkpoint after `packets` packets, unless there is one nearby.
    pub(super) fn add(&self, packets: u64, checkpoint: impl FnOnce() -> Checkpoint) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kept.checkpoints.last().map_or(0, |checkpoint| checkpoint.packets);
        if packets < last + kept.spacing {
            return;
        }
        kept.checkpoints.push(checkpoint());
        if kept.checkpoints.len() > MAX_CHECKPOINTS {
            kept.spacing *= 2;
            let mut is_kept = false;
            kept.checkpoints.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// The last checkpoint before packet `number`.
    fn before(&self, number: u64) -> Option<Checkpoint> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after = kept.checkpoints.partition_point(|checkpoint| checkpoint.packets < number);
        kept.checkpoints.get(after.checked_sub(1)?).cloned()
    }
}

/// Rereads packets of files; created by [`FileSource::reread`].
#[derive(Clone, Debug)]
pub struct Reread {
    paths: Vec<PathBuf>,
    checkpoints: Arc<Checkpoints>,
    sites: Arc<Sites>,
}

impl Reread {
    pub(super) fn new(paths: Vec<PathBuf>, checkpoints: Arc<Checkpoints>, sites: Arc<Sites>) -> Self {
        Self { paths, checkpoints, sites }
    }

    /// The packets with these numbers.
    #[must_use]
    pub fn packets(&self, numbers: RangeInclusive<u64>) -> Excerpt {
        let checkpoint = self.checkpoints.before(*numbers.start());
        let resumed = match (&self.paths[..], checkpoint) {
            // If the file can no longer be opened, opening it below reports the error.
            ([path], Some(checkpoint)) => FileSource::resume(path, checkpoint).ok(),
            _ => None,
        };
        let inner = resumed.unwrap_or_else(|| {
            let sites = Arc::clone(&self.sites);
            files::open(&self.paths, files::Options { sites, ..files::Options::default() })
        });
        Excerpt { inner, numbers }
    }
}

/// A range of packets; created by [`Reread::packets`].
pub struct Excerpt {
    inner: FileSource,
    numbers: RangeInclusive<u64>,
}

impl Source for Excerpt {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        loop {
            if !self.inner.next_batch(batch)? {
                return Ok(false);
            }
            let is_over = batch.records.last().is_some_and(|record| record.number > *self.numbers.end());
            batch.records.retain(|record| self.numbers.contains(&record.number));
            if !batch.records.is_empty() || is_over {
                return Ok(!batch.records.is_empty());
            }
        }
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        self.inner.troubles()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.inner.interface_name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.inner.secrets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::packets::{PacketWriter, Rotation};
    use crate::source::{CapturePoint, LinkType, Packet};
    use crate::time::Timestamp;

    const PACKETS: u64 = 3 * SPACING + 100;

    fn numbers(source: &mut dyn Source) -> Vec<u64> {
        let (mut batch, mut numbers) = (Batch::default(), Vec::new());
        while source.next_batch(&mut batch).unwrap() {
            assert!(!batch.records.is_empty());
            for packet in batch.packets() {
                assert_eq!(packet.data, packet.number.to_be_bytes());
                assert_eq!((packet.interface, packet.link), (1 - packet.number as u32 % 2, LinkType(1)));
                numbers.push(packet.number);
            }
        }
        assert_eq!(source.troubles().len(), 0);
        numbers
    }

    #[test]
    fn any_range_can_be_reread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        for number in 1..=PACKETS {
            let (data, interface) = (number.to_be_bytes(), 1 - number as u32 % 2);
            let time = Timestamp(number as i64);
            let packet = Packet {
                number,
                time,
                link: LinkType(1),
                interface: 1 - interface,
                capture_point: CapturePoint::default(),
                wire_len: 8,
                data: &data,
            };
            writer.write(&packet, None).unwrap();
        }
        writer.finish().unwrap();
        let mut source = files::open(&[path], files::Options::default());
        let mut batch = Batch::default();
        while source.next_batch(&mut batch).unwrap() {}
        let reread = source.reread().unwrap();
        assert!(reread.checkpoints.0.lock().unwrap().checkpoints.len() >= 2);
        for range in
            [1..=1, 5..=9, SPACING..=SPACING + 1, 2 * SPACING + 7..=3 * SPACING + 9, PACKETS..=PACKETS]
        {
            let mut excerpt = reread.packets(range.clone());
            assert_eq!(numbers(&mut excerpt), range.collect::<Vec<u64>>());
        }
        assert_eq!(numbers(&mut reread.packets(PACKETS + 1..=PACKETS + 5)), [0; 0]);
    }

    #[test]
    fn only_lasting_files_can_be_reread() {
        let folder = tempfile::tempdir().unwrap();
        let reread = |path: PathBuf| files::open(&[path], files::Options::default()).reread();
        assert!(reread(folder.path().to_owned()).is_some());
        assert!(reread("-".into()).is_none());
        assert!(reread(folder.path().join("missing")).is_none());
    }

    #[test]
    fn checkpoints_are_bounded() {
        let checkpoints = Checkpoints::default();
        let format = || {
            let head = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
            let reader = super::super::pcap::Reader::new(&head, &mut super::super::stream::Shared::default());
            Format::Pcap(reader.unwrap())
        };
        for i in 1..20 * MAX_CHECKPOINTS as u64 {
            let packets = i * SPACING;
            checkpoints.add(packets, || Checkpoint { packets, offset: packets, format: format() });
        }
        let len = checkpoints.0.lock().unwrap().checkpoints.len();
        assert!((MAX_CHECKPOINTS / 4..=MAX_CHECKPOINTS).contains(&len), "{len}");
        assert!(checkpoints.before(SPACING).is_none());
        let found = checkpoints.before(1000 * SPACING).unwrap().packets;
        assert!(found < 1000 * SPACING && found > 900 * SPACING);
    }
}
