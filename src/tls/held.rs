//! Ciphertext that waits for keys: chunks of both sides, in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use rpcscope_parsers::Side;

use super::keys::Keys;
use crate::flow::{End, Stamp};

/// Bytes of ciphertext that one connection holds while its keys are not known.
pub(super) const MAX_HELD: usize = 1 << 20;

/// A chunk that waits.
#[derive(Debug)]
pub(super) struct HeldChunk {
    pub(super) side: Side,
    /// Where it begins in the stream of its side.
    pub(super) offset: u64,
    pub(super) origin: Stamp,
    pub(super) what: What,
}

/// What waits.
#[derive(Debug)]
pub(super) enum What {
    Data(Vec<u8>),
    /// Bytes that were lost, or dropped here.
    Gap(u64),
    End(End),
}

/// The chunks of a connection that wait.
#[derive(Debug)]
pub(super) struct Held {
    /// What was dropped before them: bytes of each side, and the place where they began.
    dropped: [Option<HeldChunk>; 2],
    chunks: VecDeque<HeldChunk>,
    bytes: usize,
    keys: Arc<Keys>,
}

impl Held {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { dropped: [None, None], chunks: VecDeque::new(), bytes: 0, keys }
    }

    /// Adds a chunk, and returns how many bytes were dropped for it: at the bounds, the oldest bytes become a gap.
    pub(super) fn push(&mut self, chunk: HeldChunk) -> u64 {
        let size = size_of(&chunk);
        let mut dropped = 0;
        loop {
            if self.bytes + size <= MAX_HELD && self.keys.hold(size) {
                self.bytes += size;
                self.chunks.push_back(chunk);
                return dropped;
            }
            match self.drop_oldest() {
                Some(bytes) => dropped += bytes,
                // Other connections hold all there may be.
                None => return dropped + self.drop_chunk(chunk),
            }
        }
    }

    /// Drops the oldest bytes; `None` if there are none.
    fn drop_oldest(&mut self) -> Option<u64> {
        let oldest = self.chunks.iter().position(|chunk| !matches!(chunk.what, What::End(_)))?;
        let chunk = self.chunks.remove(oldest)?;
        self.free(size_of(&chunk));
        Some(self.drop_chunk(chunk))
    }

    fn drop_chunk(&mut self, chunk: HeldChunk) -> u64 {
        let HeldChunk { side, offset, origin, .. } = chunk;
        let (bytes, lost) = match &chunk.what {
            What::Data(data) => (data.len() as u64, data.len() as u64),
            What::Gap(bytes) => (*bytes, 0),
            What::End(_) => {
                // The end of a stream takes no room to speak of.
                self.bytes += size_of(&chunk);
                self.keys.hold_in_any_case(size_of(&chunk));
                self.chunks.push_back(chunk);
                return 0;
            }
        };
        match &mut self.dropped[side.index()] {
            Some(HeldChunk { what: What::Gap(known), .. }) => *known += bytes,
            gap => *gap = Some(HeldChunk { side, offset, origin, what: What::Gap(bytes) }),
        }
        lost
    }

    /// The next chunk.
    pub(super) fn pop(&mut self) -> Option<HeldChunk> {
        if let Some(gap) = self.dropped.iter_mut().find_map(Option::take) {
            return Some(gap);
        }
        let chunk = self.chunks.pop_front()?;
        self.free(size_of(&chunk));
        Some(chunk)
    }

    fn free(&mut self, size: usize) {
        self.bytes -= size;
        self.keys.release(size);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.dropped.iter().all(Option::is_none)
    }

    /// Bytes of memory taken.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keys.release(self.bytes);
    }
}

/// Bytes of memory that a chunk takes.
fn size_of(chunk: &HeldChunk) -> usize {
    let data = if let What::Data(bytes) = &chunk.what { bytes.len() } else { 0 };
    std::mem::size_of::<HeldChunk>() + data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::KeyLogs;

    fn data(side: Side, offset: u64, len: usize) -> HeldChunk {
        HeldChunk { side, offset, origin: Stamp::default(), what: What::Data(vec![0; len]) }
    }

    fn all(held: &mut Held) -> Vec<(Side, u64, usize)> {
        let pop = || {
            let chunk = held.pop()?;
            let len = match chunk.what {
                What::Data(bytes) => bytes.len(),
                What::Gap(bytes) => bytes as usize + 1_000_000_000,
                What::End(_) => 0,
            };
            Some((chunk.side, chunk.offset, len))
        };
        std::iter::from_fn(pop).collect()
    }

    #[test]
    fn the_oldest_bytes_become_a_gap_at_the_bound() {
        let keys = Arc::new(Keys::new(Arc::new(KeyLogs::default()), usize::MAX));
        let mut held = Held::new(Arc::clone(&keys));
        let mut dropped = 0;
        for number in 0..6 {
            let side = if number % 2 == 0 { Side::A } else { Side::B };
            dropped += held.push(data(side, number / 2 * 300_000, 300_000));
        }
        dropped += held.push(HeldChunk { what: What::End(End::Fin), ..data(Side::A, 900_000, 0) });
        assert_eq!(dropped, 900_000);
        assert!(held.memory() <= MAX_HELD);
        let gap = |bytes: usize| 1_000_000_000 + bytes;
        assert_eq!(
            all(&mut held),
            [
                (Side::A, 0, gap(600_000)),
                (Side::B, 0, gap(300_000)),
                (Side::B, 300_000, 300_000),
                (Side::A, 600_000, 300_000),
                (Side::B, 600_000, 300_000),
                (Side::A, 900_000, 0),
            ]
        );
        assert_eq!(held.memory(), 0);
    }

    #[test]
    fn all_connections_together_hold_no_more_than_their_bound() {
        let keys = Arc::new(Keys::new(Arc::new(KeyLogs::default()), 1000));
        let mut first = Held::new(Arc::clone(&keys));
        let mut second = Held::new(Arc::clone(&keys));
        assert_eq!(first.push(data(Side::A, 0, 800)), 0);
        assert_eq!(second.push(data(Side::A, 0, 800)), 800);
        assert_eq!(all(&mut second), [(Side::A, 0, 1_000_000_800)]);
        drop(first);
        assert_eq!(second.push(data(Side::A, 0, 800)), 0);
    }
}
