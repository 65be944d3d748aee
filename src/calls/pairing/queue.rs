//! The calls of one connection that wait for their end, in the order in which they began, found by id, or by id and method.
//!
//! Most connections wait for one call at a time, which takes no allocation: a few are searched where they stand, without a hash.
//! From [`FEW`] on indices find them, so that no look-up walks them all (the cap is [`super::MAX_PENDING`]).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use hashbrown::hash_map::{Entry, EntryRef};
use hashbrown::{Equivalent, HashMap};
use rpcscope_parsers::CallId;

use super::pending::Pending;
use crate::calls::record::{Name, Uid};

/// Most calls that are kept without an index.
const FEW: usize = 32;

/// Calls by the order of their beginning, and by id.
#[derive(Debug, Default)]
pub(super) enum Queue {
    #[default]
    Empty,
    One(Pending),
    /// At most [`FEW`], oldest first; perhaps none.
    Few(Vec<Pending>),
    /// More than that.
    Many(Box<Many>),
}

#[derive(Debug, Default)]
pub(super) struct Many {
    calls: BTreeMap<Uid, Pending>,
    by_id: Index<CallId>,
    /// Those with a [`CallId::Loose`].
    by_name: Index<IdAndName>,
}

/// The calls of each key.
#[derive(Debug)]
struct Index<K>(HashMap<K, Same, foldhash::fast::RandomState>);

/// The calls of one key.
#[derive(Debug)]
enum Same {
    /// Nearly always: it takes no allocation.
    One(Uid),
    /// Two or more.
    More(BTreeSet<Uid>),
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Hash + Eq> Index<K> {
    fn insert(&mut self, key: K, uid: Uid) {
        match self.0.entry(key) {
            Entry::Vacant(place) => _ = place.insert(Same::One(uid)),
            Entry::Occupied(same) => match same.into_mut() {
                Same::More(uids) => _ = uids.insert(uid),
                same @ Same::One(_) => {
                    let first = same.last();
                    *same = Same::More(first.into_iter().chain([uid]).collect());
                }
            },
        }
    }

    fn remove<Q: Hash + Equivalent<K>>(&mut self, key: &Q, uid: Uid) {
        let EntryRef::Occupied(mut same) = self.0.entry_ref(key) else { return };
        let is_last = match same.get_mut() {
            Same::One(one) => *one == uid,
            Same::More(uids) => {
                uids.remove(&uid);
                uids.is_empty()
            }
        };
        if is_last {
            same.remove();
        }
    }

    fn last<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<Uid> {
        self.0.get(key)?.last()
    }

    /// The first that began at `from` or later.
    fn first<Q: Hash + Equivalent<K>>(&self, key: &Q, from: Uid) -> Option<Uid> {
        match self.0.get(key)? {
            Same::One(uid) => Some(*uid).filter(|uid| *uid >= from),
            Same::More(uids) => uids.range(from..).next().copied(),
        }
    }
}

impl Same {
    fn last(&self) -> Option<Uid> {
        match self {
            Self::One(uid) => Some(*uid),
            Self::More(uids) => uids.last().copied(),
        }
    }
}

/// A number that others may have too, and the method beside it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IdAndName {
    id: CallId,
    method: Option<Name>,
}

/// The same, to look for it.
#[derive(Hash)]
struct IdAndText<'a> {
    id: CallId,
    method: Option<&'a str>,
}

impl Equivalent<IdAndName> for IdAndText<'_> {
    fn equivalent(&self, key: &IdAndName) -> bool {
        self.id == key.id && self.method == key.method.as_deref()
    }
}

impl Queue {
    /// Frees room for calls that do not wait any more.
    pub(super) fn shrink(&mut self) {
        if matches!(self, Self::Few(calls) if calls.is_empty()) {
            *self = Self::Empty;
        }
    }

    /// Those without an index, or all with theirs.
    #[inline]
    fn few(&self) -> Result<&[Pending], &Many> {
        match self {
            Self::Empty => Ok(&[]),
            Self::One(call) => Ok(std::slice::from_ref(call)),
            Self::Few(calls) => Ok(calls),
            Self::Many(many) => Err(many),
        }
    }

    /// The same, to be changed.
    #[inline]
    fn few_mut(&mut self) -> Result<&mut [Pending], &mut Many> {
        match self {
            Self::Empty => Ok(&mut []),
            Self::One(call) => Ok(std::slice::from_mut(call)),
            Self::Few(calls) => Ok(calls),
            Self::Many(many) => Err(many),
        }
    }

    /// Takes one of those without an index out.
    #[inline]
    fn take_at(&mut self, at: usize) -> Option<Pending> {
        if let Self::Few(calls) = self {
            return (at < calls.len()).then(|| calls.remove(at));
        }
        match std::mem::take(self) {
            Self::One(call) => Some(call),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes the only call out if it is one that `which` says and has no index.
    #[inline]
    pub(super) fn take_only(&mut self, which: impl Fn(&Pending) -> bool) -> Option<Pending> {
        match self.few() {
            Ok([only]) if which(only) => self.take_at(0),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty) || matches!(self, Self::Few(calls) if calls.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        match self.few() {
            Ok(few) => few.len(),
            Err(many) => many.calls.len(),
        }
    }

    /// All, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending> {
        let (few, many) = match self.few() {
            Ok(few) => (few, None),
            Err(many) => (&[][..], Some(many.calls.values())),
        };
        few.iter().chain(many.into_iter().flatten())
    }

    /// All, oldest first, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        let (few, many) = match self.few_mut() {
            Ok(few) => (few, None),
            Err(many) => (&mut [][..], Some(many.calls.values_mut())),
        };
        few.iter_mut().chain(many.into_iter().flatten())
    }

    #[expect(clippy::inline_always, reason = "a call is then made where it waits")]
    #[inline(always)]
    pub(super) fn insert_made(&mut self, make: impl FnOnce() -> Pending) {
        match self {
            // The empty one needs not be dropped.
            Self::Empty => std::mem::forget(std::mem::replace(self, Self::One(make()))),
            _ => self.insert_another(make()),
        }
    }

    pub(super) fn insert(&mut self, pending: Pending) {
        self.insert_made(|| pending);
    }

    /// Adds to others.
    fn insert_another(&mut self, pending: Pending) {
        if let Self::One(_) = self
            && let Self::One(first) = std::mem::take(self)
        {
            *self = Self::Few(vec![first]);
        }
        match self {
            Self::Few(calls) if calls.len() < FEW => {
                let uid = pending.call.uid;
                // New calls are the latest; only one that was taken out for a moment goes before others.
                let at = calls.iter().rposition(|other| other.call.uid < uid).map_or(0, |before| before + 1);
                calls.insert(at, pending);
            }
            Self::Few(calls) => {
                let mut many = Box::<Many>::default();
                calls.drain(..).for_each(|pending| many.insert(pending));
                many.insert(pending);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.insert(pending),
            Self::Empty | Self::One(_) => *self = Self::One(pending),
        }
    }

    /// The oldest call of that id.
    #[expect(
        clippy::inline_always,
        reason = "mostly it is the only call, which takes less than to call a function"
    )]
    #[inline(always)]
    pub(super) fn find(&mut self, id: CallId) -> Option<&mut Pending> {
        if !matches!(self, Self::One(call) if call.id == id) {
            return self.find_another(id);
        }
        if let Self::One(call) = self { Some(call) } else { None }
    }

    /// The same of several calls.
    #[inline(never)]
    fn find_another(&mut self, id: CallId) -> Option<&mut Pending> {
        match self.few_mut() {
            Ok(few) => few.iter_mut().find(|pending| pending.id == id),
            Err(many) => {
                let uid = many.by_id.first(&id, Uid::default())?;
                many.calls.get_mut(&uid)
            }
        }
    }

    /// The call with that identity.
    pub(super) fn get_mut(&mut self, uid: Uid) -> Option<&mut Pending> {
        match self.few_mut() {
            Ok(few) => few.iter_mut().find(|pending| pending.call.uid == uid),
            Err(many) => many.calls.get_mut(&uid),
        }
    }

    /// The newest call of that id.
    pub(super) fn newest(&mut self, id: CallId) -> Option<&mut Pending> {
        match self.few_mut() {
            Ok(few) => few.iter_mut().rev().find(|pending| pending.id == id),
            Err(many) => {
                let uid = many.by_id.last(&id)?;
                many.calls.get_mut(&uid)
            }
        }
    }

    /// The oldest call of that id that began at `from` or later.
    pub(super) fn first_of(&self, id: CallId, from: Uid) -> Option<&Pending> {
        match self.few() {
            Ok(few) => few.iter().find(|pending| pending.id == id && pending.call.uid >= from),
            Err(many) => many.calls.get(&many.by_id.first(&id, from)?),
        }
    }

    /// As [`Queue::first_of`], of a [`CallId::Loose`] and of that method (UTF-8), or of none that is known.
    pub(super) fn first_named(&self, id: CallId, method: &[u8], from: Uid) -> Option<&Pending> {
        match self.few() {
            Ok(few) => few.iter().find(|pending| {
                pending.id == id
                    && pending.call.uid >= from
                    && pending.call.method.as_deref().is_none_or(|known| known.as_bytes() == method)
            }),
            Err(many) => {
                let first = |method| many.by_name.first(&IdAndText { id, method }, from);
                let named = std::str::from_utf8(method).ok().and_then(|method| first(Some(method)));
                let uid = named.into_iter().chain(first(None)).min()?;
                many.calls.get(&uid)
            }
        }
    }

    /// Takes the oldest call of that id out.
    pub(super) fn take(&mut self, id: CallId) -> Option<Pending> {
        self.take_if(id, |_| true)
    }

    /// The same if it is one that `which` says.
    #[inline]
    pub(super) fn take_if(&mut self, id: CallId, which: impl Fn(&Pending) -> bool) -> Option<Pending> {
        match self.few() {
            Ok(few) => {
                let at = few.iter().position(|pending| pending.id == id)?;
                few.get(at).filter(|pending| which(pending))?;
                self.take_at(at)
            }
            Err(many) => {
                let uid = many.by_id.first(&id, Uid::default())?;
                many.calls.get(&uid).filter(|pending| which(pending))?;
                self.remove_indexed(uid)
            }
        }
    }

    /// Takes the oldest call out.
    pub(super) fn take_oldest(&mut self) -> Option<Pending> {
        let uid = self.iter().next()?.call.uid;
        self.remove(uid)
    }

    /// Takes those out that `which` says, oldest first.
    pub(super) fn take_where(&mut self, which: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        self.take_from(Uid::default(), which)
    }

    /// The same of those that began at `from` or later; the others are not looked at.
    pub(super) fn take_from(&mut self, from: Uid, which: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let uid = |pending: &Pending| which(pending).then_some(pending.call.uid);
        let uids: Vec<Uid> = match self.few() {
            Ok([]) => return Vec::new(),
            Ok(few) => few.iter().filter_map(uid).filter(|uid| *uid >= from).collect(),
            Err(many) => many.calls.range(from..).filter_map(|(_, pending)| uid(pending)).collect(),
        };
        uids.into_iter().filter_map(|uid| self.remove(uid)).collect()
    }

    /// Takes a call out.
    pub(super) fn remove(&mut self, uid: Uid) -> Option<Pending> {
        match self.few() {
            Ok(few) => {
                let at = few.iter().position(|pending| pending.call.uid == uid)?;
                self.take_at(at)
            }
            Err(_) => self.remove_indexed(uid),
        }
    }

    fn remove_indexed(&mut self, uid: Uid) -> Option<Pending> {
        let Self::Many(many) = self else { return None };
        let pending = many.calls.remove(&uid)?;
        many.by_id.remove(&pending.id, uid);
        if let CallId::Loose(_) = pending.id {
            let method = pending.call.method.as_deref();
            many.by_name.remove(&IdAndText { id: pending.id, method }, uid);
        }
        if many.calls.is_empty() {
            *self = Self::default();
        }
        Some(pending)
    }
}

impl Many {
    fn insert(&mut self, pending: Pending) {
        let uid = pending.call.uid;
        self.by_id.insert(pending.id, uid);
        if let CallId::Loose(_) = pending.id {
            self.by_name.insert(IdAndName { id: pending.id, method: pending.call.method.clone() }, uid);
        }
        self.calls.insert(uid, pending);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;
    use rpcscope_parsers::Side;

    use super::*;
    use crate::calls::sample::ok;

    fn pending(packet: u64, id: i64) -> Pending {
        let mut call = ok();
        call.uid = Uid { packet, ordinal: 0 };
        call.method = (id % 3 > 0).then(|| format!("m{}", packet % 2).into());
        Pending::new(CallId::Loose(id), Box::new(call), Side::A)
    }

    proptest! {
        /// Few or many, it does what a plain list does.
        #[test]
        fn behaves_as_a_list(steps in prop::collection::vec((0_u8..9, 0_i64..6), 0..120)) {
            let mut queue = Queue::default();
            let mut list = VecDeque::<(u64, i64)>::new();
            for (now, (step, id)) in steps.into_iter().enumerate() {
                let now = now as u64;
                match step {
                    0..=5 => {
                        queue.insert(pending(now, id));
                        list.push_back((now, id));
                    }
                    6 => {
                        let at = list.iter().position(|(_, other)| *other == id);
                        let taken = queue.take(CallId::Loose(id));
                        let wanted = at.and_then(|at| list.remove(at));
                        prop_assert_eq!(taken.as_ref().map(|pending| pending.call.uid.packet), wanted.map(|(uid, _)| uid));
                        // Taken out for a moment and put back.
                        if let (Some(pending), Some(wanted), true) = (taken, wanted, id % 2 == 0) {
                            queue.insert(pending);
                            list.insert(at.unwrap(), wanted);
                        }
                    }
                    7 if id == 5 => {
                        let is_indexed = matches!(queue, Queue::Many(_));
                        let only = queue.take_only(|pending| pending.call.uid.packet % 2 == 0);
                        let is_taken = matches!(list.make_contiguous(), [(uid, _)] if *uid % 2 == 0) && !is_indexed;
                        let wanted = if is_taken { list.pop_front() } else { None };
                        prop_assert_eq!(only.map(|pending| pending.call.uid.packet), wanted.map(|(uid, _)| uid));
                    }
                    7 => {
                        let oldest = queue.take_oldest().map(|pending| pending.call.uid.packet);
                        prop_assert_eq!(oldest, list.pop_front().map(|(uid, _)| uid));
                    }
                    _ => {
                        let of_id = |pending: &Pending| pending.id == CallId::Loose(id);
                        let taken: Vec<_> =
                            queue.take_where(of_id).iter().map(|pending| pending.call.uid.packet).collect();
                        let wanted: Vec<_> =
                            list.iter().filter(|(_, other)| *other == id).map(|(uid, _)| *uid).collect();
                        list.retain(|(_, other)| *other != id);
                        prop_assert_eq!(taken, wanted);
                    }
                }
                let all: Vec<_> = queue.iter().map(|pending| pending.call.uid.packet).collect();
                prop_assert_eq!(&all, &list.iter().map(|(uid, _)| *uid).collect::<Vec<_>>());
                prop_assert_eq!(queue.len(), list.len());
                let first = list.iter().find(|(_, other)| *other == id).map(|(uid, _)| *uid);
                prop_assert_eq!(queue.find(CallId::Loose(id)).map(|pending| pending.call.uid.packet), first);
                let last = list.iter().rfind(|(_, other)| *other == id).map(|(uid, _)| *uid);
                prop_assert_eq!(queue.newest(CallId::Loose(id)).map(|pending| pending.call.uid.packet), last);
                let from = Uid { packet: now / 2, ordinal: 0 };
                let of_id = |(uid, other): &&(u64, i64)| *other == id && *uid >= from.packet;
                let later = list.iter().find(of_id).map(|(uid, _)| *uid);
                let found = queue.first_of(CallId::Loose(id), from);
                prop_assert_eq!(found.map(|pending| pending.call.uid.packet), later);
                let named = |(uid, _): &&(u64, i64)| id % 3 == 0 || *uid % 2 == 1;
                let later = list.iter().filter(of_id).find(named).map(|(uid, _)| *uid);
                let found = queue.first_named(CallId::Loose(id), b"m1", from);
                prop_assert_eq!(found.map(|pending| pending.call.uid.packet), later);
            }
        }
    }
}
