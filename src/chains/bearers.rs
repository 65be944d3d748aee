//! Which calls bear the same trace, span or other id.

use std::hash::Hash;

use super::members::Map;

/// The members that bear each id. Most ids have one or two, for which lists of their own would be too much.
pub(super) struct Bearers<K> {
    /// By id: the place of the latest.
    latest: Map<K, u32>,
    /// Each with the place of the one before it.
    all: Vec<(u32, u32)>,
}

impl<K> Default for Bearers<K> {
    fn default() -> Self {
        Self { latest: Map::default(), all: Vec::new() }
    }
}

impl<K: Hash + Eq> Bearers<K> {
    pub(super) fn add(&mut self, id: K, member: u32) {
        let before = self.latest.insert(id, self.all.len() as u32).unwrap_or(u32::MAX);
        self.all.push((member, before));
    }

    /// Those of an id, the latest first.
    pub(super) fn of(&self, id: &K) -> Latest<'_> {
        Latest { all: &self.all, next: self.latest.get(id).copied().unwrap_or(u32::MAX) }
    }
}

/// The members that bear an id, the latest first.
#[derive(Clone)]
pub(super) struct Latest<'a> {
    all: &'a [(u32, u32)],
    next: u32,
}

impl Iterator for Latest<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let &(member, before) = self.all.get(self.next as usize)?;
        self.next = before;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_bearers_of_an_id_come_first() {
        let mut bearers = Bearers::default();
        for (member, id) in (0..).zip(["a", "b", "a", "c", "a", "b"]) {
            bearers.add(id, member);
        }
        let of = |id| bearers.of(&id).collect::<Vec<_>>();
        assert_eq!([of("a"), of("b"), of("c"), of("d")], [vec![4, 2, 0], vec![5, 1], vec![3], vec![]]);
    }
}
