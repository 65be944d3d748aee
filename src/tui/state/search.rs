//! Going to the next row that matches, in whichever view is open.

use std::fmt::Write as _;

use super::{Effect, State, changes};
use crate::calls::{Call, Carrier, Class, labels};
use crate::text;
use crate::tui::keys::{View, help};

impl State {
    /// The next row of the open view that `wanted` is true of, going round at the end.
    fn search_rows(&mut self, forward: bool, wanted: impl Fn(&Self, usize) -> bool) -> bool {
        let (list, len) = self.list();
        let from = list.selected;
        for step in 1..=len {
            let row = if forward { (from + step) % len } else { (from + len - step) % len };
            if wanted(self, row) {
                if (forward && row <= from) || (!forward && row >= from) {
                    self.notice = Some(
                        if forward { "from the beginning again" } else { "from the end again" }.to_owned(),
                    );
                }
                let (list, _) = self.list_mut();
                list.go(row);
                if self.view == View::Calls {
                    self.follow = false;
                }
                return true;
            }
        }
        false
    }

    /// To the next or previous match of the search.
    pub(super) fn find(&mut self, forward: bool) {
        if self.search.is_empty() {
            self.notice = Some("nothing to look for yet: / begins a search".to_owned());
            return;
        }
        let needle = self.search.to_lowercase();
        let plan = self.plan();
        let found = if let Some(top) = &mut self.help {
            let lines = help();
            let holds = |at: &usize| lines[*at].1.to_lowercase().contains(&needle);
            let next = if forward {
                (*top + 1..lines.len()).chain(0..=*top).find(holds)
            } else {
                (0..*top).rev().chain((*top..lines.len()).rev()).find(holds)
            };
            *top = next.unwrap_or(*top);
            next.is_some()
        } else if let Some(detail) = &mut self.detail {
            let found = detail.find(&needle, forward);
            detail.settle(&plan);
            found
        } else {
            self.find_row(forward, &needle)
        };
        if !found {
            self.notice = Some(format!("not found: {}", text::escape(&self.search)));
        }
    }

    fn find_row(&mut self, forward: bool, needle: &str) -> bool {
        if self.view != View::Calls {
            return self
                .search_rows(forward, |state, row| state.row_text(row).to_lowercase().contains(needle));
        }
        self.search_rows(forward, |state, row| {
            let entry = state.rows.get(row).and_then(|serial| state.store.get(serial));
            entry.is_some_and(|entry| state.call_contains(&entry.call, needle))
        })
    }

    /// Whether a call's row contains `needle`, in lower case. Looks at the parts first: to write the row of each of a
    /// million calls takes its time.
    fn call_contains(&self, call: &Call, needle: &str) -> bool {
        let outcome = &call.outcome;
        // Words without digits, dots and spaces stand in one part, and the verdict of an answer is its message.
        let plain = needle.bytes().all(|b| b.is_ascii_alphabetic());
        let told = match outcome.class {
            Some(Class::Ok) => true,
            Some(Class::Business | Class::Rpc) => {
                let worded = matches!(outcome.carrier, Carrier::HttpStatus | Carrier::TrpcStreamReset);
                outcome.message.is_some() && outcome.code.is_some() && !worded
            }
            _ => false,
        };
        if !(plain && told && call.unknown_name.is_none()) {
            return self.call_text(call).to_lowercase().contains(needle);
        }
        let parts = [
            call.service.as_deref(),
            call.method.as_deref(),
            outcome.message.as_deref().or(Some("ok")),
            outcome.code_name,
            call.trace_id.as_deref(),
            self.names.client_name(call),
            self.names.server_name(call),
        ];
        parts.into_iter().flatten().any(|part| contains(part, needle))
    }

    /// To the next or previous failed call; with an open detail, that one opens.
    pub(super) fn find_error(&mut self, forward: bool) -> Option<Effect> {
        if self.help.is_some() {
            return None;
        }
        if self.view == View::Chains {
            let failed = |state: &Self, row: usize| {
                state.chains.row(row).is_some_and(|(chain, hop)| chain.hops[hop].call.failed())
            };
            if !self.search_rows(forward, failed) {
                self.notice = Some("no failed call among the chains".to_owned());
                return None;
            }
            return if self.detail.is_some() { self.open() } else { None };
        }
        if self.view != View::Calls {
            self.show(View::Calls);
        }
        let failed = |state: &Self, row: usize| {
            let entry = state.rows.get(row).and_then(|serial| state.store.get(serial));
            entry.is_some_and(|entry| entry.call.failed())
        };
        if !self.search_rows(forward, failed) {
            self.notice = Some("no failed call among these".to_owned());
            return None;
        }
        if self.detail.is_some() { self.open() } else { None }
    }

    /// Text of a row of the open view, to search in and to copy.
    pub(super) fn row_text(&self, row: usize) -> String {
        match self.view {
            View::Calls => {
                let Some(entry) = self.rows.get(row).and_then(|serial| self.store.get(serial)) else {
                    return String::new();
                };
                self.call_text(&entry.call)
            }
            View::Errors => self
                .errors
                .order
                .get(row)
                .and_then(|id| self.catalog.groups.get(*id as usize))
                .map(|group| {
                    format!(
                        "{} {} {} {}",
                        self.catalog.label(group.method),
                        group.code.map(|c| c.to_string()).unwrap_or_default(),
                        group.code_name.unwrap_or_default(),
                        group.template
                    )
                })
                .unwrap_or_default(),
            View::Services => self.catalog.label(self.services.order.get(row).copied()),
            View::Connections => self
                .connection_rows
                .order
                .get(row)
                .and_then(|id| self.connections.all().get(*id as usize))
                .map(|c| {
                    format!(
                        "{} {} {} {} {} {}",
                        c.client,
                        c.server,
                        self.names.address(&c.server),
                        c.protocol.unwrap_or_default(),
                        c.state,
                        c.reason.unwrap_or_default()
                    )
                })
                .unwrap_or_default(),
            View::Changes => self
                .changes
                .turns
                .get(row)
                .map(|turn| {
                    let words = crate::chains::summary::words(turn.findings);
                    format!("{} {} {words}", changes::below(turn), crate::sink::chains::ending(&turn.to))
                })
                .unwrap_or_default(),
            View::Graph => self
                .graph
                .edges
                .get(row)
                .map(|edge| format!("{} → {}", text::escape(&edge.from), text::escape(&edge.to)))
                .unwrap_or_default(),
            View::Chains => self
                .chains
                .row(row)
                .map(|(chain, hop)| self.call_text(&chain.hops[hop].call))
                .unwrap_or_default(),
        }
    }

    fn call_text(&self, call: &Call) -> String {
        let mut text = labels::verdict(call);
        let (service, method) = (call.service.as_deref(), call.method.as_deref());
        text.push(' ');
        labels::push_operation(&mut text, service, method, call.unknown_name);
        let named = [call.outcome.code_name, call.trace_id.as_deref(), self.names.client_name(call)];
        for name in named.into_iter().chain([self.names.server_name(call)]).flatten() {
            text.push(' ');
            text.push_str(name);
        }
        // Writing to a String can't fail.
        _ = write!(text, " {} {}", call.client, call.server);
        text
    }
}

/// Whether a text contains letters of ASCII, in lower case, in either case.
fn contains(text: &str, letters: &str) -> bool {
    text.as_bytes().windows(letters.len().max(1)).any(|part| part.eq_ignore_ascii_case(letters.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;
    use crate::tui::state::testing::state;

    #[test]
    fn the_parts_of_a_row_hold_every_word_of_it() {
        let state = state(80, 24);
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                for message in [None, Some("No stock of Blue ones")] {
                    let mut call = sample::full();
                    call.outcome.class = Some(*class);
                    call.outcome.carrier = *carrier;
                    call.outcome.message = message.map(str::to_owned);
                    let text = state.call_text(&call).to_lowercase();
                    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                        assert!(state.call_contains(&call, word), "{word:?} of {text:?}");
                    }
                    assert!(!state.call_contains(&call, "zzz"));
                }
            }
        }
    }
}
