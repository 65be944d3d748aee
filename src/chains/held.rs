//! The calls that are held until their chain is complete.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::record::{Link, Rival};
use super::traits::Traits;
use crate::calls::record::{Call, Uid};

/// The place of a held call.
pub(super) type Slot = u32;

/// A held call.
pub(super) struct Held {
    pub(super) call: Arc<Call>,
    pub(super) traits: Traits,
    /// Its cause, once settled.
    pub(super) parent: Option<(Slot, Link)>,
    /// Whether the cause has been settled.
    pub(super) settled: bool,
    pub(super) children: Vec<Slot>,
    /// See [`super::record::Hop::rivals`].
    pub(super) rivals: Vec<Rival>,
    /// See [`super::record::Hop::missed`].
    pub(super) missed: f64,
    /// The next try of the same call, where this is an earlier try of a root.
    pub(super) next_try: Option<Slot>,
    /// The earlier tries of a root, by start.
    pub(super) tries: Vec<Slot>,
}

impl Held {
    pub(super) fn new(call: Arc<Call>, traits: Traits) -> Self {
        Self {
            call,
            traits,
            parent: None,
            settled: false,
            children: Vec::new(),
            rivals: Vec::new(),
            missed: 0.0,
            next_try: None,
            tries: Vec::new(),
        }
    }

    /// The order of calls: by start.
    pub(super) fn key(&self) -> (i64, Uid) {
        (self.call.start.0, self.call.uid)
    }
}

/// Held calls by their places, which are used again.
#[derive(Default)]
pub(super) struct HeldCalls {
    calls: Vec<Option<Box<Held>>>,
    free: Vec<Slot>,
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
        let held = Some(Box::new(held));
        if let Some(slot) = self.free.pop() {
            self.calls[slot as usize] = held;
            return slot;
        }
        self.calls.push(held);
        self.calls.len() as Slot - 1
    }

    /// All calls.
    pub(super) fn into_calls(self) -> impl Iterator<Item = Arc<Call>> {
        self.calls.into_iter().flatten().map(|held| held.call)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Held> {
        self.calls.get(slot as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Held> {
        self.calls.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Held> {
        let held = self.calls.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(*held)
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
