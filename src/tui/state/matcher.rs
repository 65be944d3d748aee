//! Which calls are shown: the filter, the class switches, and the thing whose calls were asked for.

use crate::calls::Class;
use crate::decode::Endpoint;
use crate::filter::{Filter, FilterError};
use crate::tui::figures::{GroupId, MethodId};
use crate::tui::store::Entry;
use crate::tui::theme::{CLASSES, class_index};

/// The thing whose calls were asked for by opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Only {
    /// Calls of one kind of error.
    Group(GroupId),
    /// Calls of one method.
    Method(MethodId),
    /// Calls of one connection, which lasted from one packet to another.
    Connection {
        /// Its two ends, in either order.
        ends: [Endpoint; 2],
        /// Its first and last packet.
        packets: (u64, u64),
    },
}

/// What a call must be like to be shown.
#[derive(Debug, Default)]
pub(in crate::tui) struct Matcher {
    text: String,
    filter: Option<Filter>,
    /// Classes that are switched off.
    hidden: [bool; CLASSES],
    /// The thing whose calls were asked for.
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
        self.filter = if text.is_empty() { None } else { Some(Filter::parse(text)?) };
        text.clone_into(&mut self.text);
        Ok(())
    }

    /// Whether a filter acts.
    pub(in crate::tui) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether anything can be hidden.
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

    /// Drops the filter, the class switches and the thing.
    pub(in crate::tui) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the filter lets the call through.
    pub(in crate::tui) fn filter_matches(&self, entry: &Entry) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(&entry.call))
    }

    /// Whether everything else lets the call through.
    pub(in crate::tui) fn matches_else(&self, entry: &Entry) -> bool {
        if self.hides(entry.call.class()) {
            return false;
        }
        match self.only {
            None => true,
            Some(Only::Group(group)) => entry.group == Some(group),
            Some(Only::Method(method)) => entry.method == Some(method),
            Some(Only::Connection { ends: [a, b], packets: (first, last) }) => {
                let call = &entry.call;
                ((call.client, call.server) == (a, b) || (call.client, call.server) == (b, a))
                    && call.packets.1 >= first
                    && call.packets.0 <= last
            }
        }
    }
}
