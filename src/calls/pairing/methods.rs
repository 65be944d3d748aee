//! What is known of the methods of a connection from the calls that are over.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::calls::record::Name;

/// The most methods remembered of a connection, each kind.
const MAX_METHODS: usize = 32;

/// Mostly one or two.
type Few = SmallVec<[Name; 2]>;

/// Most connections call one method and have it answered.
#[derive(Debug, Default)]
pub(super) struct Methods {
    /// The first that was answered.
    answered: Option<Name>,
    /// Boxed, because few connections need any of it.
    more: Option<Box<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Behind the first.
    answered: Few,
    never_answered: Few,
    streaming: Few,
}

fn holds(names: &[Name], name: &Name) -> bool {
    // Names are interned, but for those beyond the limit of the interner.
    holds_itself(names, name) || names.contains(name)
}

/// Whether one of them is that name, and not only equal to it.
fn holds_itself(names: &[Name], name: &Name) -> bool {
    names.iter().any(|known| Arc::ptr_eq(known, name))
}

fn note(names: &mut Few, name: &Name) {
    if names.len() < MAX_METHODS && !holds(names, name) {
        names.push(Arc::clone(name));
    }
}

impl Methods {
    /// A call was answered.
    #[inline]
    pub(super) fn note_answered(&mut self, method: &Name) {
        if self.answered.as_ref().is_none_or(|first| !Arc::ptr_eq(first, method)) {
            self.note_another(method);
        }
    }

    /// The same of any other method than the first.
    fn note_another(&mut self, method: &Name) {
        if let Some(known) = &mut self.more {
            if !known.never_answered.is_empty() {
                known.never_answered.retain(|other| *other != *method);
            }
            if holds_itself(&known.answered, method) {
                return;
            }
        }
        match &self.answered {
            None => self.answered = Some(Arc::clone(method)),
            Some(first) if first == method => {}
            Some(_) => {
                let answered = &mut self.more.get_or_insert_default().answered;
                if answered.len() + 1 < MAX_METHODS {
                    note(answered, method);
                }
            }
        }
    }

    /// Later calls were answered and this one was not, although nothing was lost. Says whether it needed no answer: no call
    /// of its method ever got one.
    pub(super) fn note_passed(&mut self, method: &Name) -> bool {
        let first = self.answered.as_ref().is_some_and(|first| first == method);
        let known = self.more.get_or_insert_default();
        if first || holds(&known.answered, method) || known.answered.len() + 1 == MAX_METHODS {
            return false;
        }
        note(&mut known.never_answered, method);
        true
    }

    /// Whether calls of the method are known to need no answer.
    pub(super) fn needs_no_answer(&self, method: Option<&Name>) -> bool {
        self.more.as_ref().zip(method).is_some_and(|(known, method)| holds(&known.never_answered, method))
    }

    /// A call of the method had several messages in an answer.
    pub(super) fn note_streaming(&mut self, method: &Name) {
        note(&mut self.more.get_or_insert_default().streaming, method);
    }

    /// Whether answers of the method are known to be streams.
    pub(super) fn is_streaming(&self, method: Option<&Name>) -> bool {
        self.more.as_ref().zip(method).is_some_and(|(known, method)| holds(&known.streaming, method))
    }
}
