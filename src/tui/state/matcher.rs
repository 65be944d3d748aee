//! Which calls are shown: the filter, the class switches, and the thing that was opened.

use super::chains::ChainStore;
use crate::calls::{Call, Class};
use crate::chains::Chain;
use crate::chains::summary::node;
use crate::decode::Endpoint;
use crate::filter::{Filter, FilterError, Named};
use crate::tui::figures::{GroupId, MethodId};
use crate::tui::store::Entry;
use crate::tui::theme::{CLASSES, class_index};

/// A thing that was opened, so that only its calls are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Only {
    /// A kind of error.
    Group(GroupId),
    /// A method.
    Method(MethodId),
    /// A connection.
    Connection {
        /// Its two ends, in either order.
        ends: [Endpoint; 2],
        /// Its first and last packet.
        packets: (u64, u64),
    },
    /// An edge of the service graph.
    Edge {
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
    },
}

impl Only {
    /// Whether a call is one of its calls.
    pub(in crate::tui) fn holds(&self, entry: &Entry, chains: &ChainStore) -> bool {
        let call = &entry.call;
        match self {
            Self::Group(group) => entry.group == Some(*group),
            Self::Method(method) => entry.method == Some(*method),
            Self::Connection { ends: [a, b], packets: (first, last) } => {
                ((call.client, call.server) == (*a, *b) || (call.client, call.server) == (*b, *a))
                    && call.packets.1 >= *first
                    && call.packets.0 <= *last
            }
            Self::Edge { from, to } => node(call) == *to && chains.caller(call) == *from,
        }
    }
}

/// Decides which calls are shown.
#[derive(Debug, Default)]
pub(in crate::tui) struct Matcher {
    /// Filters that have a name.
    pub named: Named,
    text: String,
    filter: Option<Filter>,
    /// Classes that are switched off.
    hidden: [bool; CLASSES],
    /// Only the calls of this thing are shown.
    pub only: Option<Only>,
}

impl Matcher {
    /// The text of the filter; empty without one.
    pub(in crate::tui) fn text(&self) -> &str {
        &self.text
    }

    /// Takes another filter. With an error, the old one stays.
    pub(in crate::tui) fn set_filter(&mut self, text: &str) -> Result<(), FilterError> {
        let text = text.trim();
        self.filter = if text.is_empty() { None } else { Some(Filter::parse_named(text, &self.named)?) };
        text.clone_into(&mut self.text);
        Ok(())
    }

    /// Whether there is a filter.
    pub(in crate::tui) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether the filter asks for fields of bodies.
    pub(in crate::tui) fn needs_bodies(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::needs_bodies)
    }

    /// Whether any call can be hidden.
    pub(in crate::tui) fn is_active(&self) -> bool {
        self.has_filter() || self.only.is_some() || self.hidden.contains(&true)
    }

    /// Whether calls of a class are switched off.
    pub(in crate::tui) fn hides(&self, class: Option<Class>) -> bool {
        self.hidden[class_index(class)]
    }

    /// Switches a class.
    pub(in crate::tui) fn toggle(&mut self, class: Class) {
        let hidden = &mut self.hidden[class_index(Some(class))];
        *hidden = !*hidden;
    }

    /// Switches off all classes but those of failed calls.
    pub(in crate::tui) fn only_failed(&mut self) {
        self.hidden = [false; CLASSES];
        for class in [Some(Class::Ok), Some(Class::Oneway), None] {
            self.hidden[class_index(class)] = true;
        }
    }

    /// Shows all calls.
    pub(in crate::tui) fn clear(&mut self) {
        *self = Self { named: std::mem::take(&mut self.named), ..Self::default() };
    }

    /// Whether the call passes the filter.
    pub(in crate::tui) fn filter_matches(&self, call: &Call) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(call))
    }

    /// Whether the chain passes the filter: one of its calls has to.
    pub(in crate::tui) fn chain_matches(&self, chain: &Chain) -> bool {
        !self.has_filter() || chain.hops.iter().any(|hop| self.filter_matches(&hop.call))
    }

    /// Whether the call passes the class switches and is one of the opened thing.
    pub(in crate::tui) fn is_chosen(&self, entry: &Entry, chains: &ChainStore) -> bool {
        !self.hides(entry.call.class()) && self.only.as_ref().is_none_or(|only| only.holds(entry, chains))
    }
}
