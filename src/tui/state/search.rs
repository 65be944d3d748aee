//! Going to the next row that matches, in whichever view is open.

use super::{Effect, State, changes};
use crate::calls::{Call, words};
use crate::text;
use crate::tui::keys::View;

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
        if !self.search_rows(forward, |state, row| state.row_text(row).to_lowercase().contains(&needle)) {
            self.notice = Some(format!("not found: {}", text::escape(&self.search)));
        }
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
                    format!("{} {} {words}", changes::below(turn), changes::ending(&turn.to))
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
        format!(
            "{} {} {} {} {} {} {} {}",
            words::operation(call),
            words::verdict(call),
            call.verdict.code_name.unwrap_or_default(),
            self.names.client(call),
            self.names.server(call),
            call.client,
            call.server,
            call.trace_id.as_deref().unwrap_or_default(),
        )
    }
}
