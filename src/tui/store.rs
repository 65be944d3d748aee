//! The calls that are held, oldest first, within a memory limit.

use std::sync::Arc;

use super::figures::{GroupId, MethodId};
use crate::calls::{Call, Class};

/// Number of a call in the order of arrival, from 0. Stays the same when older calls are evicted.
pub(super) type Serial = u64;

/// One eviction frees this part of the limit, so that passes over all calls are rare.
const SHED_PART: usize = 8;

/// A call that is held.
#[derive(Debug)]
pub(super) struct Entry {
    pub serial: Serial,
    pub method: Option<MethodId>,
    pub group: Option<GroupId>,
    pub marked: bool,
    pub call: Arc<Call>,
}

/// All calls that are held.
#[derive(Debug)]
pub(super) struct Store {
    entries: Vec<Entry>,
    next: Serial,
    bytes: usize,
    limit: usize,
    /// Calls that were evicted.
    pub evicted: u64,
    /// How many of them had failed.
    pub evicted_failed: u64,
}

impl Store {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), next: 0, bytes: 0, limit, evicted: 0, evicted_failed: 0 }
    }

    /// The serial that the next call gets.
    pub(super) fn next(&self) -> Serial {
        self.next
    }

    /// Calls that are held.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that may be held.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Estimated memory of what is held, bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a call. Call [`Self::evict`] after a batch.
    pub(super) fn push(
        &mut self,
        call: Arc<Call>,
        method: Option<MethodId>,
        group: Option<GroupId>,
    ) -> Serial {
        let serial = self.next;
        self.next += 1;
        self.bytes += weight(&call);
        self.entries.push(Entry { serial, method, group, marked: false, call });
        serial
    }

    /// Evicts calls if they take too much memory: the oldest ok ones, then the oldest others, marked ones last. Whether any
    /// were evicted.
    pub(super) fn evict(&mut self) -> bool {
        if self.bytes <= self.limit {
            return false;
        }
        let goal = self.limit - self.limit / SHED_PART;
        for rank in 0..=2 {
            let Self { entries, bytes, evicted, evicted_failed, .. } = self;
            entries.retain(|entry| {
                let evict = *bytes > goal && rank_of(entry) == rank;
                if evict {
                    *bytes = bytes.saturating_sub(weight(&entry.call));
                    *evicted += 1;
                    *evicted_failed += u64::from(entry.call.failed());
                }
                !evict
            });
            if self.bytes <= goal {
                break;
            }
        }
        true
    }

    /// The index of the first held call that is not older than `serial`.
    pub(super) fn position(&self, serial: Serial) -> usize {
        // Without evictions in between, the index can be computed.
        if let Some(first) = self.entries.first() {
            let guess = usize::try_from(serial.saturating_sub(first.serial)).unwrap_or(usize::MAX);
            if self.entries.get(guess).is_some_and(|e| e.serial == serial) {
                return guess;
            }
        }
        self.entries.partition_point(|e| e.serial < serial)
    }

    /// One call, if it is still held.
    pub(super) fn get(&self, serial: Serial) -> Option<&Entry> {
        self.entries.get(self.position(serial)).filter(|e| e.serial == serial)
    }

    /// The same, to be marked.
    pub(super) fn get_mut(&mut self, serial: Serial) -> Option<&mut Entry> {
        let position = self.position(serial);
        self.entries.get_mut(position).filter(|e| e.serial == serial)
    }

    /// Puts the same call with its bodies in the place of one that is held; `false` if that is another call, or none. Call
    /// [`Self::evict`] after a batch.
    pub(super) fn replace(&mut self, serial: Serial, call: &Arc<Call>) -> bool {
        let same = |held: &Call| (held.uid, held.start, held.class()) == (call.uid, call.start, call.class());
        let Some(entry) = self.get_mut(serial).filter(|entry| same(&entry.call)) else { return false };
        let before = std::mem::replace(&mut entry.call, Arc::clone(call));
        self.bytes = self.bytes.saturating_sub(weight(&before)) + weight(call);
        true
    }

    /// The calls from `serial` on, oldest first.
    pub(super) fn from(&self, serial: Serial) -> &[Entry] {
        &self.entries[self.position(serial)..]
    }

    /// All calls, oldest first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All calls, to be marked.
    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }
}

/// In which pass of an eviction the call is evicted.
fn rank_of(entry: &Entry) -> u8 {
    match entry.call.class() {
        _ if entry.marked => 2,
        Some(Class::Ok | Class::Oneway) | None => 0,
        Some(_) => 1,
    }
}

/// Estimated memory of a held call, bytes; names are shared by many calls and not counted.
fn weight(call: &Call) -> usize {
    const COUNTERS: usize = 2 * size_of::<usize>();
    const PAIR: usize = size_of::<(String, String)>();
    let pairs = |pairs: &[(String, String)]| -> usize {
        pairs.iter().map(|(k, v)| PAIR + k.capacity() + v.capacity()).sum()
    };
    let metadata: usize = call.metadata.iter().map(|(_, k, v)| PAIR + 8 + k.capacity() + v.capacity()).sum();
    size_of::<Call>()
        + COUNTERS
        + size_of::<Entry>()
        // Its row in the Calls view.
        + size_of::<Serial>()
        + call.outcome.message.as_ref().map_or(0, |text| text.len())
        + pairs(call.outcome.biz_extra())
        + pairs(call.outcome.details())
        + metadata
        + call.bodies.as_ref().map_or(0, |bodies| bodies.memory())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::state::testing::{call, failed};

    #[test]
    fn the_oldest_ok_calls_go_first_and_marked_ones_last() {
        let one = weight(&call(0));
        let mut store = Store::new(one * 100);
        for n in 0..40 {
            store.push(Arc::new(call(n)), None, None);
            store.push(Arc::new(failed(n, Class::Business, 7, "")), None, None);
        }
        assert!(!store.evict());
        store.get_mut(0).unwrap().marked = true;
        for n in 0..60 {
            store.push(Arc::new(failed(n, Class::Rpc, 6, "")), None, None);
            store.evict();
        }
        assert!(store.bytes() <= one * 100);
        assert!(store.get(0).is_some(), "marked");
        assert!(store.get(2).is_none(), "the oldest ok call was evicted");
        assert!(store.entries().iter().filter(|e| !e.call.failed()).count() < 39);
        assert_eq!(store.evicted + store.len() as u64, 140);
        assert_eq!(store.next(), 140);
        let serials: Vec<_> = store.entries().iter().map(|e| e.serial).collect();
        assert!(serials.is_sorted());
        for serial in serials {
            assert_eq!(store.get(serial).unwrap().serial, serial);
        }
    }

    #[test]
    fn a_million_calls_are_evicted_to_the_limit_and_failures_stay() {
        let one = weight(&call(0));
        let mut store = Store::new(one * 10_000);
        for n in 0..1_000_000_u64 {
            let call = if n % 1_000 == 0 { failed(n, Class::Rpc, 6, "") } else { call(n) };
            store.push(Arc::new(call), None, None);
            if n % 256 == 0 {
                store.evict();
            }
        }
        store.evict();
        assert!(store.len() <= 10_000);
        assert_eq!(store.evicted_failed, 0);
        assert_eq!(store.entries().iter().filter(|e| e.call.failed()).count(), 1_000);
    }
}
