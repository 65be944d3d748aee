//! Connections of which nothing was captured but their handshakes. They take less memory than all others, and become one of these with the first
//! segment that is no handshake.

use super::super::handshake::Handshake;
use super::super::lru::Queue;
use super::super::{End, Owner, Stamp};
use super::index::{Indexed, spread};
use super::{Reassembly, TOUCH_TIME, Table};
use crate::decode::Segment;
use crate::time::Timestamp;

/// The index is made smaller where it has room for so many times its handshakes: most connections that open at once go on, and what it took
/// would be of no use to them.
const ROOMY: usize = 8;
/// Handshakes for which it is not made smaller.
const FEW: usize = 256;

/// What became of a segment that belongs to no connection but perhaps to a handshake.
pub(super) enum Taken {
    /// It is a part of one.
    Kept,
    /// It is not; the number of the connection that the handshake was.
    Not(Option<u32>),
}

impl<S> Table<S> {
    /// Takes a segment of a connection that has none but its handshake, if this one belongs to it. If another one follows, the
    /// connection moves to the others.
    #[cold]
    pub(super) fn take_handshake<O: Owner<S>>(&mut self, segment: &Segment<'_>, owner: &mut O) -> Taken {
        let tag = self.tag(&segment.key);
        let of_key = |found: &Indexed| {
            found.tag == tag && self.handshakes.get(found.id).is_some_and(|known| known.key == segment.key)
        };
        if let Some(id) = self.handshake_index.find(spread(tag), of_key).map(|found| found.id) {
            let Some(known) = self.handshakes.get_mut(id) else { return Taken::Not(None) };
            if !known.take(segment) {
                self.make_way(segment.stamp(), owner);
                return Taken::Not(self.promote(id, owner));
            }
            if self.clock.since(known.touched) >= TOUCH_TIME {
                known.touched = self.clock;
                self.handshakes.move_to_back(id, Queue::Open);
            }
            return Taken::Kept;
        }
        let new =
            Handshake::begin(segment, tag, self.clock).filter(|_| self.lru.len() >= self.limits.in_full);
        let Some(new) = new else { return Taken::Not(None) };
        while self.handshakes.len() >= self.limits.handshakes.max(1)
            && let Some(oldest) = self.handshakes.front(Queue::Open)
        {
            self.shed.handshakes += 1;
            self.retire_handshake(oldest, End::Evicted, segment.stamp(), owner);
        }
        owner.appears(&segment.key);
        let id = self.handshakes.insert(new, Queue::Open);
        self.handshake_index.insert_unique(spread(tag), Indexed { tag, id }, |known| spread(known.tag));
        Taken::Kept
    }

    /// Makes a connection of a handshake.
    fn promote<O: Owner<S>>(&mut self, id: u32, owner: &mut O) -> Option<u32> {
        let handshake = self.handshakes.remove(id)?;
        let tag = handshake.tag;
        if let Ok(indexed) = self.handshake_index.find_entry(spread(tag), |indexed| indexed.id == id) {
            indexed.remove();
        }
        let (known, room) = (self.handshake_index.len(), self.handshake_index.capacity());
        if known.max(FEW) < room / ROOMY {
            self.handshake_index.shrink_to(2 * known, |known| spread(known.tag));
        }
        let (flow, streams) = handshake.replay();
        let slot = owner.open(&flow);
        Some(self.insert(flow, slot, Reassembly::Tcp(streams), tag, Queue::Open))
    }

    pub(super) fn retire_handshake<O: Owner<S>>(&mut self, id: u32, why: End, now: Stamp, owner: &mut O) {
        if let Some(id) = self.promote(id, owner) {
            self.retire(id, why, now, owner);
        }
    }

    /// Removes those that have stayed alone and have been silent for too long.
    pub(super) fn expire_handshakes<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        let silent = |since: Timestamp| self.is_silent(Queue::Open, since, self.limits.idle.as_nanos(), now);
        let mut old = Vec::new();
        let mut next = self.handshakes.front(Queue::Open);
        while let Some(id) = next
            && let Some(known) = self.handshakes.get(id)
            && silent(known.touched)
        {
            next = self.handshakes.behind(id);
            old.extend(silent(known.last.time).then_some(id));
        }
        for id in old {
            self.retire_handshake(id, End::Idle, now, owner);
        }
    }
}
