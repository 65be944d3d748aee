//! Which packet carried the byte at a stream offset, and what its sequence number was.
//!
//! Offsets are the one way in which everything behind this stage refers to bytes: they count the bytes of one side from the
//! first one that was delivered, gaps included. Whoever takes the chunks says how far back it may still ask, so that a
//! connection whose messages end with their packets remembers nothing.

use super::Stamp;

/// Where a byte of a stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its offset in the stream of its side.
    pub offset: u64,
    /// The packet that carried it.
    pub stamp: Stamp,
    /// Its TCP sequence number, the same wherever the connection is captured; without meaning for UDP.
    pub sequence: u32,
}

/// A chunk that may still be asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Offset of its first byte.
    offset: u64,
    stamp: Stamp,
    /// Sequence number that offset 0 would have, counted back from the chunk.
    base: u32,
}

/// The origins of the last bytes of one side.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Offset of the next byte.
    next: u64,
    /// The packet with the chunk that was added last, if that is kept; packet 0 if it is not.
    last: Stamp,
    /// Bytes of that chunk.
    last_len: u32,
    /// Those before it, ascending. Boxed, because few connections are ever asked for them.
    #[expect(
        clippy::box_collection,
        reason = "a vector by itself takes three times as much of every connection"
    )]
    older: Option<Box<Vec<Mark>>>,
    /// Sequence number that offset 0 would have, counted back from the chunk that was added last: the same for all of a TCP stream, but not
    /// for the plaintext of one, whose bytes are fewer.
    base: u32,
}

impl Origins {
    #[inline]
    fn is_kept(&self) -> bool {
        self.last.packet != 0
    }

    /// The chunk that was added last.
    #[inline]
    fn last(&self) -> Mark {
        Mark { offset: self.next - u64::from(self.last_len), stamp: self.last, base: self.base }
    }

    /// Adds a chunk of `len` bytes with this sequence number.
    #[inline]
    pub(crate) fn push(&mut self, seq: u32, len: u64, stamp: Stamp) {
        if self.is_kept() {
            let last = self.last();
            self.older.get_or_insert_default().push(last);
        }
        self.base = seq.wrapping_sub(self.next as u32);
        self.last = stamp;
        // No chunk is as long as the sequence numbers go: windows are much smaller.
        self.last_len = len as u32;
        self.next += len;
    }

    /// Adds a chunk that is handed on at once: of most, nothing is asked for afterwards. Until [`Self::keep`] says what may be, it is
    /// remembered only behind others, and whoever asks for it knows where it comes from.
    #[inline]
    pub(super) fn pass(&mut self, seq: u32, len: u64, stamp: Stamp) {
        if self.is_kept() {
            self.push(seq, len, stamp);
        } else {
            self.base = seq.wrapping_sub(self.next as u32);
            self.next += len;
        }
    }

    /// Remembers of the chunk that was passed, and of those before it, what comes from `needed` on.
    #[inline]
    pub(super) fn keep(&mut self, needed: u64, len: u64, stamp: Stamp) {
        if needed < self.next && !self.is_kept() {
            (self.last, self.last_len) = (stamp, len as u32);
        } else {
            self.release(needed);
        }
    }

    /// Forgets the origins of all bytes before `needed`.
    #[inline]
    pub(crate) fn release(&mut self, needed: u64) {
        if needed >= self.next {
            self.last.packet = 0;
        }
        if self.older.is_some() {
            self.release_older(needed);
        }
    }

    /// The same for chunks before the last one.
    fn release_older(&mut self, needed: u64) {
        let keeps_none = !self.is_kept() || self.last().offset <= needed;
        let Some(older) = &mut self.older else { return };
        if keeps_none {
            older.clear();
            return;
        }
        let last = older.partition_point(|mark| mark.offset <= needed).saturating_sub(1);
        older.drain(..last);
    }

    /// Memory taken in addition to the connection's own.
    pub(crate) fn memory(&self) -> usize {
        self.older.as_ref().map_or(0, |older| older.capacity() * size_of::<Mark>())
    }

    /// Sequence number of the next byte.
    pub(super) fn next_sequence(&self) -> u32 {
        self.base.wrapping_add(self.next as u32)
    }

    /// The offset behind the last byte that was delivered.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Where the byte at `offset` comes from. `otherwise` is taken for a side of which nothing is remembered.
    #[must_use]
    pub fn at(&self, offset: u64, otherwise: Stamp) -> Origin {
        self.recent(offset, otherwise).unwrap_or_else(|| {
            let older = self.older.as_deref().map_or(&[][..], Vec::as_slice);
            let after = older.partition_point(|mark| mark.offset <= offset);
            let last = self.last();
            let Mark { stamp, base, .. } = older.get(after.saturating_sub(1)).unwrap_or(&last);
            self.origin(offset, *stamp, *base)
        })
    }

    /// The same without a search; `None` for a byte of a chunk before the last one.
    #[inline]
    pub(crate) fn recent(&self, offset: u64, otherwise: Stamp) -> Option<Origin> {
        if !self.is_kept() {
            return Some(self.origin(offset, otherwise, self.base));
        }
        let is_older = self.older.is_some() && offset < self.last().offset;
        (!is_older).then(|| self.origin(offset, self.last, self.base))
    }

    /// The origin of a byte of a chunk.
    #[inline]
    fn origin(&self, offset: u64, stamp: Stamp, base: u32) -> Origin {
        Origin { offset, stamp, sequence: base.wrapping_add(offset.min(self.next) as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn stamp(packet: u64) -> Stamp {
        Stamp { packet, time: Timestamp(packet as i64) }
    }

    /// Three chunks of ten bytes in packets 1 to 3, across the wrap of the sequence numbers.
    fn origins() -> Origins {
        let mut origins = Origins::default();
        for packet in 1..=3_u32 {
            origins.push((u32::MAX - 4).wrapping_add(10 * (packet - 1)), 10, stamp(u64::from(packet)));
        }
        origins
    }

    #[test]
    fn a_byte_comes_from_the_chunk_that_holds_it() {
        let origins = origins();
        let at = |offset| origins.at(offset, stamp(9));
        assert_eq!((at(0).stamp, at(0).sequence), (stamp(1), u32::MAX - 4));
        assert_eq!((at(9).stamp, at(9).sequence), (stamp(1), 4));
        assert_eq!((at(10).stamp, at(10).sequence), (stamp(2), 5));
        assert_eq!((at(30).stamp, at(30).sequence), (stamp(3), 25));
        assert_eq!(at(99).sequence, 25, "nothing lies behind the end");
        assert_eq!(origins.next_sequence(), 25);
    }

    #[test]
    fn only_what_is_needed_is_remembered() {
        let mut origins = origins();
        origins.release(9);
        assert_eq!(origins.at(0, stamp(9)).stamp, stamp(1));
        origins.release(15);
        assert_eq!(origins.at(15, stamp(9)).stamp, stamp(2));
        assert_eq!(origins.older.as_deref().map(Vec::len), Some(1));
        origins.release(30);
        assert_eq!(origins.at(30, stamp(9)).stamp, stamp(9));
        assert_eq!(origins.older.as_deref().map(Vec::len), Some(0));
        assert_eq!(origins.next(), 30);
    }
}
