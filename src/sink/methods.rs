//! What the records of calls of one method have in common, written once.

use std::sync::Arc;

use super::json::Room;
use crate::calls::record::{Call, Name};

/// Methods remembered, each at a place that its names choose.
const REMEMBERED: usize = 512;

/// Where a name would stand behind its two counters at address 0, which none does: the same for all, without a look whether there is one.
const NOWHERE: usize = 2 * size_of::<usize>();

/// Longest text of the keys that calls of a method share.
const TEXT_ROOM: usize = 320;

/// What tells the calls of a method from others: where their codec and names stand in memory, [`NOWHERE`] for names that they lack. Names are
/// shared by all calls; equal ones that are not pass for different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Key([usize; 5]);

impl Key {
    #[inline]
    fn of(call: &Call) -> Self {
        let name = |name: Option<&Name>| name.map_or(NOWHERE, |name| Arc::as_ptr(name).cast::<u8>().addr());
        let [service, method, caller, callee] = names_of(call).map(name);
        Self([call.codec.map_or(0, |codec| codec.as_ptr().addr()), service, method, caller, callee])
    }

    /// Whether it is the same: compared in registers, without a call.
    #[inline]
    fn is(self, other: Self) -> bool {
        self.0.into_iter().zip(other.0).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
    }

    /// Its place among the methods.
    #[inline]
    fn place(self) -> usize {
        let mixed = self.0.into_iter().fold(0, |mixed: usize, one| mixed.rotate_left(11) ^ one) as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % REMEMBERED
    }
}

#[inline]
fn names_of(call: &Call) -> [Option<&Name>; 4] {
    [&call.service, &call.method, &call.caller, &call.callee].map(Option::as_ref)
}

/// A method.
#[derive(Clone, Debug)]
struct Remembered {
    key: Key,
    /// Its names, so that no others take their places.
    names: [Option<Name>; 4],
    /// The keys of records that its calls share; empty if they are not known.
    text: [u8; TEXT_ROOM],
    len: u16,
}

impl Remembered {
    const NONE: Self = Self { key: Key([0; 5]), names: [const { None }; 4], text: [0; TEXT_ROOM], len: 0 };
}

/// The methods whose calls were written last.
#[derive(Clone, Debug, Default)]
pub struct Methods(Vec<Remembered>);

impl Methods {
    /// With room for many. The default remembers none.
    pub fn lasting() -> Self {
        Self(vec![Remembered::NONE; REMEMBERED])
    }

    /// The keys that the call shares with others of its method, as far as they were remembered.
    #[inline]
    pub fn shared(&self, call: &Call) -> Option<&[u8]> {
        let key = Key::of(call);
        let known = self.0.get(key.place())?;
        let is_it = known.key.is(key) && known.len > 0 && call.unknown_name.is_none();
        known.text.get(..known.len.into()).filter(|_| is_it)
    }

    /// Remembers these keys of a call as `write` writes them, if they fit and others can share them.
    pub fn share(&mut self, call: &Call, write: impl FnOnce(Room<'_>) -> Room<'_>) {
        let key = Key::of(call);
        let Some(place) = self.0.get_mut(key.place()).filter(|_| call.unknown_name.is_none()) else { return };
        let left = write(Room::of(&mut place.text)).left();
        place.len = if left > 0 { (TEXT_ROOM - left) as u16 } else { 0 };
        place.key = key;
        // Names that are too long for their keys to be kept are not kept either.
        place.names = names_of(call).map(|name| name.filter(|_| left > 0).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::jsonl::CallFields;
    use super::super::jsonl::tests::assert_written_alike;
    use super::*;
    use crate::calls::sample;

    /// What is remembered of methods changes no record, whatever else the calls of one are named.
    #[test]
    fn records_are_the_same_without_memory() {
        let long: Name = "a service whose name is longer than what is remembered ".repeat(8).into();
        let (get, get_again): (Name, Name) = ("Get".into(), "Get".into());
        let changes: [&dyn Fn(&mut Call); 10] = [
            &|_| {},
            &|call| call.method = Some(get.clone()),
            &|call| call.method = Some(get_again.clone()),
            &|call| call.method = None,
            &|call| call.service = None,
            &|call| call.service = Some(long.clone()),
            &|call| call.caller = Some(get.clone()),
            &|call| call.callee = Some("\"quoted\"\n".into()),
            &|call| call.codec = None,
            &|call| call.unknown_name = Some(7),
        ];
        let sample = sample::ok();
        let mut fields = CallFields::default();
        for change in changes.iter().chain(&changes).chain(changes.iter().rev()) {
            let mut call = sample.clone();
            change(&mut call);
            assert_written_alike(&mut fields, &call);
        }
    }

    #[test]
    fn methods_are_remembered_unless_their_names_are_long() {
        let mut methods = Methods::lasting();
        let mut call = sample::ok();
        assert_eq!(methods.shared(&call), None);
        methods.share(&call, |room| room.text("keys"));
        assert_eq!(methods.shared(&call), Some(&b"keys"[..]));
        assert_eq!(methods.shared(&call.clone()), Some(&b"keys"[..]), "names are shared by records");
        call.service = Some("another".into());
        assert_eq!(methods.shared(&call), None);
        methods.share(&call, |room| room.text(&"long".repeat(TEXT_ROOM)));
        assert_eq!(methods.shared(&call), None);
    }
}
