//! Values by key, of which none is removed: every step of every walk looks up a few.

/// A key of a choice: its kind, who chooses, in which state, and the alternative.
pub(super) type Key = (u8, u32, u32, u32);

/// A key as one number, which is never 0.
fn packed((kind, who, state, next): Key) -> u128 {
    (u128::from(kind) + 1) << 96 | u128::from(who) << 64 | u128::from(state) << 32 | u128::from(next)
}

/// Number of places at first, as a power of two.
const FIRST_BITS: u32 = 8;

/// A table that one multiplication and, nearly always, one comparison search: keys are small numbers, which need no more.
#[derive(Clone, Debug)]
pub(super) struct Keyed<V> {
    /// A power of two of them, at most half of them taken; 0 marks those that are not.
    places: Vec<(u128, V)>,
    taken: usize,
}

impl<V: Copy + Default> Keyed<V> {
    pub(super) fn new() -> Self {
        Self { places: vec![(0, V::default()); 1 << FIRST_BITS], taken: 0 }
    }

    /// Where the key is, or could be added.
    #[inline]
    fn place(&self, key: u128) -> usize {
        let mixed = (key as u64 ^ ((key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
        let last = self.places.len() - 1;
        let mut place = (mixed >> 32) as usize & last;
        while self.places[place].0 != key && self.places[place].0 != 0 {
            place = (place + 1) & last;
        }
        place
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<V> {
        let key = packed(key);
        let (found, value) = &self.places[self.place(key)];
        if *found == key { Some(*value) } else { None }
    }

    /// Adds a key that has no value yet.
    #[cold]
    pub(super) fn insert(&mut self, key: Key, value: V) {
        if self.taken * 2 >= self.places.len() {
            let larger = vec![(0, V::default()); self.places.len() * 2];
            for known in std::mem::replace(&mut self.places, larger).into_iter().filter(|known| known.0 != 0)
            {
                let place = self.place(known.0);
                self.places[place] = known;
            }
        }
        let key = packed(key);
        let place = self.place(key);
        self.places[place] = (key, value);
        self.taken += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_found_that_were_added_and_no_others() {
        let keys = || {
            let parts = [0, 1, 7, 1 << 31, u32::MAX];
            let kinds = [0, 1, 0x81, u8::MAX];
            let of_kind = move |kind| {
                parts.into_iter().flat_map(move |who| {
                    parts.into_iter().flat_map(move |state| (0..50).map(move |next| (kind, who, state, next)))
                })
            };
            kinds.into_iter().flat_map(of_kind)
        };
        let mut table = Keyed::new();
        for (value, key) in (0_u32..).zip(keys()) {
            assert_eq!(table.get(key), None);
            table.insert(key, value);
        }
        for (value, key) in (0_u32..).zip(keys()) {
            assert_eq!(table.get(key), Some(value));
            assert_eq!(table.get((key.0, key.1, key.2, key.3 + 50)), None);
        }
    }
}
