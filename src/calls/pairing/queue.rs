//! The calls of one connection that wait for their end, in the order in which they began, found by id.
//!
//! Most connections wait for one call at a time: a few are searched where they stand, without a hash. From [`FEW`] on an
//! index finds them, so that no operation walks them all (the cap is [`super::MAX_PENDING`]).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rpcscope_parsers::CallId;
use smallvec::SmallVec;

use super::pending_calls::Pending;
use crate::calls::record::Uid;

/// Most calls that are kept without an index.
const FEW: usize = 8;

/// Calls by the order of their beginning, and by id.
#[derive(Debug)]
pub(super) enum Queue {
    /// At most [`FEW`], oldest first.
    Few(SmallVec<[Pending; 1]>),
    /// More than that.
    Many(Box<Many>),
}

#[derive(Debug, Default)]
pub(super) struct Many {
    calls: BTreeMap<Uid, Pending>,
    /// Of each id, oldest first. Hardly ever do several wait under one.
    by_id: HashMap<CallId, SmallVec<[Uid; 1]>, foldhash::fast::RandomState>,
}

impl Default for Queue {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(calls) => calls.len(),
            Self::Many(many) => many.calls.len(),
        }
    }

    /// All, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending> {
        let (few, many) = match self {
            Self::Few(calls) => (Some(calls.iter()), None),
            Self::Many(many) => (None, Some(many.calls.values())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// All, oldest first, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        let (few, many) = match self {
            Self::Few(calls) => (Some(calls.iter_mut()), None),
            Self::Many(many) => (None, Some(many.calls.values_mut())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    pub(super) fn insert(&mut self, pending: Pending) {
        match self {
            Self::Few(calls) if calls.len() < FEW => {
                let uid = pending.call.uid;
                // New calls are the latest; only one that was taken out for a moment goes before others.
                match calls.iter().rposition(|other| other.call.uid < uid) {
                    Some(before) if before + 1 < calls.len() => calls.insert(before + 1, pending),
                    None if !calls.is_empty() => calls.insert(0, pending),
                    _ => calls.push(pending),
                }
            }
            Self::Few(calls) => {
                let mut many = Box::<Many>::default();
                calls.drain(..).for_each(|pending| many.insert(pending));
                many.insert(pending);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.insert(pending),
        }
    }

    /// The oldest call of that id.
    pub(super) fn find(&mut self, id: CallId) -> Option<&mut Pending> {
        match self {
            Self::Few(calls) => calls.iter_mut().find(|pending| pending.id == id),
            Self::Many(many) => {
                let uid = many.by_id.get(&id)?.first()?;
                many.calls.get_mut(uid)
            }
        }
    }

    /// Takes the oldest call of that id out.
    pub(super) fn take(&mut self, id: CallId) -> Option<Pending> {
        match self {
            Self::Few(calls) => {
                let at = calls.iter().position(|pending| pending.id == id)?;
                Some(if at + 1 == calls.len() { calls.pop()? } else { calls.remove(at) })
            }
            Self::Many(many) => {
                let uid = *many.by_id.get(&id)?.first()?;
                self.remove(uid)
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
        if self.len() == 0 {
            return Vec::new();
        }
        let uids: Vec<Uid> =
            self.iter().filter(|pending| which(pending)).map(|pending| pending.call.uid).collect();
        uids.into_iter().filter_map(|uid| self.remove(uid)).collect()
    }

    fn remove(&mut self, uid: Uid) -> Option<Pending> {
        match self {
            Self::Few(calls) => {
                let at = calls.iter().position(|pending| pending.call.uid == uid)?;
                Some(calls.remove(at))
            }
            Self::Many(many) => {
                let pending = many.calls.remove(&uid)?;
                if let Some(same) = many.by_id.get_mut(&pending.id) {
                    if let Ok(at) = same.binary_search(&uid) {
                        same.remove(at);
                    }
                    if same.is_empty() {
                        many.by_id.remove(&pending.id);
                    }
                }
                if many.calls.is_empty() {
                    *self = Self::default();
                }
                Some(pending)
            }
        }
    }
}

impl Many {
    fn insert(&mut self, pending: Pending) {
        let uid = pending.call.uid;
        let same = self.by_id.entry(pending.id).or_default();
        let at = same.partition_point(|other| *other < uid);
        same.insert(at, uid);
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
        Pending {
            id: CallId::Loose(id),
            call: Box::new(call),
            client: Side::A,
            answer: None,
            stream: false,
            answer_lost: false,
            http_error: None,
        }
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
            }
        }
    }
}
