//! The streams that are followed, by number.

use hashbrown::HashMap;

use super::stream::Stream;

/// Streams that stand in a list. Most connections have fewer at a time, and a unary call looks its own up fifteen times: in a list that
/// takes a fifth of what a hash takes.
const FEW: usize = 8;

/// Streams by number, in no order.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    few: Vec<Stream>,
    /// Those for which there was no room in the list. Boxed, because few connections have any.
    more: Option<Box<HashMap<u32, Stream>>>,
}

impl OpenStreams {
    fn place(&self, id: u32) -> Option<usize> {
        self.few.iter().position(|stream| stream.number == id)
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&Stream> {
        match self.few.iter().find(|stream| stream.number == id) {
            Some(stream) => Some(stream),
            None => self.more.as_ref()?.get(&id),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        match self.few.iter_mut().find(|stream| stream.number == id) {
            Some(stream) => Some(stream),
            None => self.more.as_mut()?.get_mut(&id),
        }
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.get(id).is_some()
    }

    /// Adds a stream; returns the one that had its number.
    pub(super) fn insert(&mut self, stream: Stream) -> Option<Stream> {
        if let Some(before) = self.get_mut(stream.number) {
            return Some(std::mem::replace(before, stream));
        }
        if self.few.len() < FEW {
            self.few.push(stream);
        } else {
            self.more.get_or_insert_default().insert(stream.number, stream);
        }
        None
    }

    /// Drops a stream where it stands: to move it out takes two copies of it.
    pub(super) fn forget(&mut self, id: u32) {
        if let (Some(at), Some(last)) = (self.place(id), self.few.len().checked_sub(1)) {
            if at != last {
                self.few.swap(at, last);
            }
            self.few.truncate(last);
        } else if let Some(more) = &mut self.more {
            more.remove(&id);
        }
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        match self.place(id) {
            Some(at) => Some(self.few.swap_remove(at)),
            None => self.more.as_mut()?.remove(&id),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.few.len() + self.more.as_ref().map_or(0, |more| more.len())
    }

    /// All numbers, ascending.
    pub(super) fn ids(&self) -> Vec<u32> {
        let few = self.few.iter().map(|stream| stream.number);
        let more = self.more.iter().flat_map(|more| more.keys().copied());
        let mut ids: Vec<u32> = few.chain(more).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Stream> {
        self.few.iter().chain(self.more.iter().flat_map(|more| more.values()))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.few.iter_mut().chain(self.more.iter_mut().flat_map(|more| more.values_mut()))
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        let room = self.few.capacity() + self.more.as_ref().map_or(0, |more| more.capacity());
        let own = self.values().map(Stream::memory).sum::<usize>();
        room * size_of::<Stream>() + own
    }

    /// Frees room for streams that are over.
    pub(super) fn shrink(&mut self) {
        self.few.shrink_to_fit();
        self.more.take_if(|more| more.is_empty());
        if let Some(more) = &mut self.more {
            more.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::stream::{Loss, State};
    use super::*;

    fn stream(number: u32, mark: u16) -> Stream {
        Stream { number, http: Some(mark), ..Stream::new(State::Call, Loss::Nothing) }
    }

    fn mark(stream: Option<&Stream>) -> Option<u16> {
        stream.and_then(|stream| stream.http)
    }

    proptest! {
        /// In the list or behind it, a stream is found by its number.
        #[test]
        fn they_are_those_of_a_map(steps in prop::collection::vec((0u32..20, 0u8..6), 0..200)) {
            let (mut open, mut model) = (OpenStreams::default(), BTreeMap::new());
            for (at, (id, step)) in steps.into_iter().enumerate() {
                let new = at as u16;
                if step == 0 {
                    prop_assert_eq!(mark(open.remove(id).as_ref()), model.remove(&id));
                } else if step == 1 {
                    open.forget(id);
                    model.remove(&id);
                } else {
                    prop_assert_eq!(mark(open.insert(stream(id, new)).as_ref()), model.insert(id, new));
                }
                prop_assert_eq!(open.ids(), model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!((open.len(), open.values().count()), (model.len(), model.len()));
                for id in 0..20 {
                    prop_assert_eq!(mark(open.get(id)), model.get(&id).copied());
                    prop_assert_eq!(mark(open.get_mut(id).as_deref()), model.get(&id).copied());
                    prop_assert_eq!(open.contains(id), model.contains_key(&id));
                }
            }
        }
    }
}
