//! The last packets of a live capture, kept in memory: for what is shown of one call on demand.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Record, Source, SourceError, Tap};

/// Bytes of packets that are kept and dropped together.
const BLOCK: usize = 256 * 1024;

/// Keeps the last packets, up to a number of bytes. A [`Tap`]: [`Arc`] shares it with those who read.
#[derive(Debug)]
pub struct Ring {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Full blocks, the oldest first.
    blocks: VecDeque<Arc<Block>>,
    /// The block that is being filled.
    open: Block,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Block {
    data: Vec<u8>,
    records: Vec<Record>,
}

impl Block {
    fn size(&self) -> usize {
        self.data.len() + self.records.len() * size_of::<Record>()
    }

    fn touches(&self, numbers: &RangeInclusive<u64>) -> bool {
        self.records.first().is_some_and(|record| record.number <= *numbers.end())
            && self.records.last().is_some_and(|record| record.number >= *numbers.start())
    }
}

impl Ring {
    /// Keeps about `limit` bytes, what is needed to find the packets included.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, kept: Mutex::default() })
    }

    /// The number of the oldest packet that is still here.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let block = kept.blocks.front().map_or(&kept.open, |block| block);
        block.records.first().map(|record| record.number)
    }

    /// The packets with these numbers, as far as they are still here.
    #[must_use]
    pub fn packets(&self, numbers: RangeInclusive<u64>) -> Recalled {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let full = kept.blocks.iter().filter(|block| block.touches(&numbers)).cloned();
        let mut blocks: VecDeque<Arc<Block>> = full.collect();
        if kept.open.touches(&numbers) {
            blocks.push_back(Arc::new(kept.open.clone()));
        }
        Recalled { blocks, numbers }
    }

    fn keep(&self, batch: &Batch) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.open.size();
        for (packet, record) in batch.packets().zip(&batch.records) {
            let offset = kept.open.data.len() as u32;
            kept.open.data.extend_from_slice(packet.data);
            kept.open.records.push(Record { offset, ..*record });
        }
        kept.bytes += kept.open.size() - before;
        if kept.open.size() >= BLOCK {
            let block = std::mem::take(&mut kept.open);
            kept.blocks.push_back(Arc::new(block));
        }
        while kept.bytes > self.limit {
            let Some(oldest) = kept.blocks.pop_front() else { break };
            kept.bytes -= oldest.size();
        }
    }
}

impl Tap for Arc<Ring> {
    fn packets(&mut self, batch: &Batch, _: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        self.keep(batch);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Packets out of a [`Ring`]. They stay as they were when they were asked for.
#[derive(Debug)]
pub struct Recalled {
    blocks: VecDeque<Arc<Block>>,
    numbers: RangeInclusive<u64>,
}

impl Source for Recalled {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.clear();
        let Some(block) = self.blocks.pop_front() else { return Ok(false) };
        batch.data.extend_from_slice(&block.data);
        let wanted = block.records.iter().filter(|record| self.numbers.contains(&record.number));
        batch.records.extend(wanted);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{CapturePoint, LinkType};
    use crate::time::Timestamp;

    const LEN: usize = 1000;

    fn batch(numbers: RangeInclusive<u64>) -> Batch {
        let mut batch = Batch::default();
        // Bytes that belong to no packet, as batches from files have them.
        batch.data.extend([0xee; 16]);
        for number in numbers {
            let offset = batch.data.len() as u32;
            batch.data.extend([number as u8; LEN]);
            let time = Timestamp(number as i64);
            let len = LEN as u32;
            batch.records.push(Record {
                number,
                time,
                link: LinkType(1),
                interface: 0,
                capture_point: CapturePoint::default(),
                wire_len: len,
                offset,
                len,
            });
        }
        batch
    }

    fn numbers(ring: &Ring, range: RangeInclusive<u64>) -> Vec<u64> {
        let (mut source, mut batch, mut numbers) = (ring.packets(range), Batch::default(), Vec::new());
        while source.next_batch(&mut batch).unwrap() {
            for packet in batch.packets() {
                assert_eq!(packet.data, [packet.number as u8; LEN]);
                numbers.push(packet.number);
            }
        }
        numbers
    }

    #[test]
    fn the_last_packets_are_kept_and_no_more_than_the_limit() {
        const LIMIT: usize = 4 * BLOCK;
        let mut ring = Ring::new(LIMIT);
        assert_eq!(ring.oldest(), None);
        let total = 3000;
        for first in (1..total).step_by(10) {
            ring.packets(&batch(first..=first + 9), &|_| None).unwrap();
            let kept = ring.kept.lock().unwrap();
            let size: usize = kept.blocks.iter().map(|block| block.size()).sum();
            assert_eq!(size + kept.open.size(), kept.bytes);
            assert!(kept.bytes <= LIMIT);
        }
        let oldest = ring.oldest().unwrap();
        assert!(oldest > total - 1100 && oldest < total - 500, "{oldest}");
        assert_eq!(numbers(&ring, 1..=u64::MAX), (oldest..=total).collect::<Vec<u64>>());
        assert_eq!(numbers(&ring, total - 300..=total - 1), (total - 300..total).collect::<Vec<u64>>());
        assert_eq!(numbers(&ring, 1..=oldest - 1), [0; 0]);
    }
}
