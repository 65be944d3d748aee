//! The calls that are held until their chain is complete.

use std::collections::VecDeque;
use std::iter::successors;
use std::ops::{Index, IndexMut};

use smallvec::SmallVec;

use super::kept::Kept;
use super::record::{Link, Rival};
use super::traits::Traits;
use crate::calls::record::Uid;

/// The place of a held call.
pub(super) type Slot = u32;

/// A held call.
pub(super) struct Held {
    pub(super) call: Kept,
    pub(super) traits: Traits,
    /// Its cause, once settled.
    pub(super) parent: Option<(Slot, Link)>,
    /// Whether the cause has been settled.
    pub(super) settled: bool,
    pub(super) children: Vec<Slot>,
    /// See [`super::record::Hop::rivals`].
    pub(super) rivals: Box<[Rival]>,
    /// See [`super::record::Hop::missed`].
    pub(super) missed: f64,
    /// The next try of the same call and the one before, where this is a try of a root.
    pub(super) next_try: Option<Slot>,
    pub(super) earlier_try: Option<Slot>,
}

impl Held {
    pub(super) fn new(call: Kept, traits: Traits) -> Self {
        Self {
            call,
            traits,
            parent: None,
            settled: false,
            children: Vec::new(),
            rivals: Box::default(),
            missed: 0.0,
            next_try: None,
            earlier_try: None,
        }
    }

    /// The order of calls: by start.
    pub(super) fn key(&self) -> (i64, Uid) {
        (self.call.start.0, self.call.uid)
    }
}

/// Held calls by their places. Calls that follow each other stand beside each other, also where they use places again: most of the work
/// on them goes through all of them in about the order in which they came.
#[derive(Default)]
pub(super) struct HeldCalls {
    calls: Vec<Option<Held>>,
    /// The place that was free first comes first.
    free: VecDeque<Slot>,
}

impl HeldCalls {
    /// Number of calls.
    pub(super) fn len(&self) -> usize {
        self.calls.len() - self.free.len()
    }

    /// Greatest number of places so far.
    pub(super) fn places(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn insert(&mut self, held: Held) -> Slot {
        if let Some(slot) = self.free.pop_front() {
            self.calls[slot as usize] = Some(held);
            return slot;
        }
        self.calls.push(Some(held));
        self.calls.len() as Slot - 1
    }

    /// All calls.
    pub(super) fn into_calls(self) -> impl Iterator<Item = Kept> {
        self.calls.into_iter().flatten().map(|held| held.call)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Held> {
        self.calls.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Held> {
        self.calls.get_mut(slot as usize)?.as_mut()
    }

    /// Reads the calls of some trees ahead of their use: they are in no cache, and their cache lines are then waited for together.
    pub(super) fn warm(&self, roots: &[Slot]) {
        let mut slots: SmallVec<[Slot; 32]> = roots.into();
        let mut next = 0;
        while let Some(&slot) = slots.get(next) {
            if let Some(held) = self.get(slot) {
                held.call.read_ahead();
                slots.extend_from_slice(&held.children);
            }
            next += 1;
        }
    }

    /// The earlier tries of a root, by start.
    pub(super) fn earlier_tries(&self, root: Slot) -> Vec<Slot> {
        let before = |slot: Slot| self.get(slot)?.earlier_try;
        let mut tries: Vec<Slot> = successors(before(root), |&tried| before(tried)).collect();
        tries.reverse();
        tries
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Held> {
        let held = self.calls.get_mut(slot as usize)?.take()?;
        self.free.push_back(slot);
        Some(held)
    }
}

impl Index<Slot> for HeldCalls {
    type Output = Held;

    fn index(&self, slot: Slot) -> &Held {
        self.get(slot).expect("a call that was not removed")
    }
}

impl IndexMut<Slot> for HeldCalls {
    fn index_mut(&mut self, slot: Slot) -> &mut Held {
        self.get_mut(slot).expect("a call that was not removed")
    }
}
