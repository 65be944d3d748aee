//! What connections take, and which of them leave when it is too much.

use super::super::limits::HEAVIEST;
use super::super::lru::Queue;
use super::super::{End, Origins, Owner, Stamp};
use super::{Entry, TOUCH_TIME, Table, WEIGHED};

/// Heavier connections are not shrunk: each time takes as long as there is to look at, for a single segment in between.
const SHRUNK: usize = 64 * 1024;

/// Weighing takes time in proportion to what is found, so that the next time comes after this part of it, if that is more than [`WEIGHED`].
const WEIGHED_PART: usize = 16;

impl<S> Table<S> {
    /// Finds out how much memory a connection takes. If it is too much for one, it is given up; if all take too much, others are.
    #[cold]
    pub(super) fn weigh<O: Owner<S>>(&mut self, id: u32, now: Stamp, owner: &mut O) {
        let Some(entry) = self.lru.get_mut(id) else { return };
        let others = self.weight - entry.weight;
        entry.weight = Self::weight_of(entry, owner);
        entry.unweighed = WEIGHED.max(u32::try_from(entry.weight / WEIGHED_PART).unwrap_or(u32::MAX));
        self.weight = others + entry.weight;
        if entry.weight > self.memory / HEAVIEST {
            self.shed.heavy += 1;
            self.retire(id, End::Evicted, now, owner);
        }
        self.make_room(now, owner);
    }

    /// Evicts connections until there is room for one more.
    pub(super) fn make_way<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        while self.lru.len() >= self.limits.flows.max(1) {
            self.evict(now, owner);
        }
        self.make_room(now, owner);
    }

    /// Brings the connections within the bound of memory.
    #[inline]
    fn make_room<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        if self.weight > self.memory {
            self.free_room(now, owner);
        }
    }

    /// Forgets closed connections, then shrinks silent ones, then evicts others until they are within the bound of memory.
    #[cold]
    #[inline(never)]
    fn free_room<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        while self.weight > self.memory && self.lru.len() > 1 {
            if self.lru.front(Queue::Lingering).is_some() || !self.shrink(owner) {
                self.evict(now, owner);
            }
        }
    }

    /// Frees what a silent connection does not need, that of the longest silence which was not shrunk since; says whether there was
    /// one. One that is heard of again is weighed at once.
    fn shrink<O: Owner<S>>(&mut self, owner: &mut O) -> bool {
        let Some(id) = self.lru.front(Queue::Open) else { return false };
        let Some(entry) = self.lru.get_mut(id) else { return false };
        if self.clock.since(entry.touched) < TOUCH_TIME {
            return false;
        }
        if entry.weight <= SHRUNK {
            owner.shrink(&mut entry.slot);
            self.weight -= entry.weight;
            entry.weight = Self::weight_of(entry, owner);
            entry.unweighed = 0;
            self.weight += entry.weight;
        }
        self.lru.move_to_back(id, Queue::Shrunk);
        true
    }

    /// Memory of a connection, in bytes.
    fn weight_of<O: Owner<S>>(entry: &Entry<S>, owner: &O) -> usize {
        let origins: usize = entry.flow.origins.iter().map(Origins::memory).sum();
        Self::CONNECTION + origins + owner.weight(&entry.slot)
    }

    /// Evicts a closed connection, or else the one that has been silent for the longest time.
    fn evict<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        let touched = |id: &u32| self.lru.get(*id).map(|entry| entry.touched);
        let longest = [Queue::Shrunk, Queue::Open, Queue::Datagrams]
            .into_iter()
            .filter_map(|queue| self.lru.front(queue))
            .min_by_key(touched);
        let lingering = self.lru.front(Queue::Lingering);
        if lingering.is_none() {
            self.shed.evicted += 1;
        }
        if let Some(id) = lingering.or(longest) {
            self.retire(id, End::Evicted, now, owner);
        }
    }
}
