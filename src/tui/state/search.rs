//! Searching, in all views, on the page of a call and on the help page.

use std::fmt::Write as _;

use super::context::Context;
use super::{Effect, State};
use crate::calls::{Call, Carrier, Class, labels};
use crate::text;
use crate::tui::keys::Action;
use crate::tui::needle::Needle;
use crate::tui::views::{View, ViewId};

/// A search through the rows of the open view.
#[derive(Debug)]
pub(super) struct RowSearch {
    forward: bool,
    /// The row of the cursor when it began, which is looked at last.
    from: usize,
    /// The row that was looked at last.
    at: usize,
    is_wrapped: bool,
    /// Rows that were looked at, none of which matches.
    looked: usize,
    /// What is said if no row matches.
    otherwise: Option<String>,
}

fn wrapped(forward: bool) -> String {
    if forward { "continued from the beginning" } else { "continued from the end" }.to_owned()
}

impl State {
    /// Moves the cursor to the next row of the open view for which `wanted` is true, wrapping around at the end. Whether
    /// there is one.
    fn search_rows(&mut self, forward: bool, wanted: impl Fn(&dyn View, &Context, usize) -> bool) -> bool {
        let view = self.views.get_mut(self.view_id);
        let (from, len) = (view.list().selected, view.len());
        for step in 1..=len {
            let row = if forward { (from + step) % len } else { (from + len - step) % len };
            if wanted(view, &self.cx, row) {
                if (forward && row <= from) || (!forward && row >= from) {
                    self.notice = Some(wrapped(forward));
                }
                view.go(row);
                return true;
            }
        }
        false
    }

    /// Moves to the next or previous match. In a list, rows that take long are looked at between drawings.
    pub(super) fn find(&mut self, forward: bool) {
        if self.cx.search.is_empty() {
            self.notice =
                Some(format!("nothing to search for yet: {} starts a search", self.cx.key(Action::Search)));
            return;
        }
        let layout = self.detail_layout();
        let found = if let Some(top) = &mut self.help {
            let lines = self.cx.keys.help();
            let holds = |at: &usize| self.cx.search.is_in(lines[*at].1);
            let next = if forward {
                (*top + 1..lines.len()).chain(0..=*top).find(holds)
            } else {
                (0..*top).rev().chain((*top..lines.len()).rev()).find(holds)
            };
            *top = next.unwrap_or(*top);
            next.is_some()
        } else if let Some(chooser) = &mut self.chooser {
            chooser.find(&self.cx.search, forward)
        } else if let Some(detail) = &mut self.detail {
            let found = detail.find(&self.cx.search, forward);
            detail.settle(layout);
            found
        } else {
            return self.find_row(forward, None);
        };
        if !found {
            self.not_found(None);
        }
    }

    /// Moves to the next or previous row that matches. If there is none, the search ends, and `otherwise` is said.
    pub(super) fn find_row(&mut self, forward: bool, otherwise: Option<String>) {
        let at = self.view().list().selected;
        self.search = Some(RowSearch { forward, from: at, at, is_wrapped: false, looked: 0, otherwise });
        self.search_on();
    }

    /// Rows have moved: the search begins anew.
    pub(super) fn restart_search(&mut self) {
        let at = self.view().list().selected;
        if let Some(search) = &mut self.search {
            (search.from, search.at, search.is_wrapped, search.looked) = (at, at, false, 0);
        }
    }

    /// Whether rows wait to be looked at.
    pub(super) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// Leaves the cursor where it is. Whether a search was under way.
    pub(super) fn stop_search(&mut self) -> bool {
        let stopped = self.search.take().is_some();
        if stopped {
            self.notice = Some("the search was stopped".to_owned());
        }
        stopped
    }

    /// Looks at the next rows, from where the cursor was. Those that come meanwhile at the end are looked at if the search comes there.
    pub(super) fn search_on(&mut self) {
        let Some(mut search) = self.search.take() else { return };
        let view = self.views.get_mut(self.view_id);
        let Some(last) = view.len().checked_sub(1) else { return self.not_found(search.otherwise) };
        let mut slice = self.pace.begin();
        self.dirty = true;
        loop {
            if !slice.has_room() {
                let percent = (search.looked * 100 / (last + 1)).min(99);
                self.notice = Some(format!("searching {percent}%: {} stops it", self.cx.key(Action::Back)));
                self.search = Some(search);
                return;
            }
            let RowSearch { forward, from, .. } = search;
            let next =
                if forward { Some(search.at + 1).filter(|at| *at <= last) } else { search.at.checked_sub(1) };
            let row = next.unwrap_or(if forward { 0 } else { last });
            let is_over = if forward { row > from } else { row < from };
            if search.is_wrapped && (is_over || next.is_none()) {
                return self.not_found(search.otherwise);
            }
            search.is_wrapped |= next.is_none();
            (search.at, search.looked) = (row, search.looked + 1);
            if view.is_match(&self.cx, row) {
                self.notice = search.is_wrapped.then(|| wrapped(forward));
                view.go(row);
                return;
            }
        }
    }

    fn not_found(&mut self, otherwise: Option<String>) {
        self.notice = Some(match otherwise {
            Some(otherwise) => {
                self.cx.search = Needle::default();
                otherwise
            }
            None => format!("not found: {}", text::escape(self.cx.search.text())),
        });
    }

    /// Moves to the next or previous failed call; if the page of a call is open, it shows that one.
    pub(super) fn find_error(&mut self, forward: bool) -> Option<Effect> {
        if self.help.is_some() {
            return None;
        }
        if self.view().is_failed(&self.cx, 0).is_none() {
            self.show(ViewId::Calls);
        }
        if !self.search_rows(forward, |view, cx, row| view.is_failed(cx, row) == Some(true)) {
            self.notice = Some("no failed call in this list".to_owned());
            return None;
        }
        if self.detail.is_some() { self.open() } else { None }
    }
}

impl Context {
    /// Whether what is searched for is in the text of a call's row. Looks at the parts of the text where that is enough, because
    /// writing the rows of a million calls is slow.
    pub(in crate::tui) fn is_match(&self, call: &Call) -> bool {
        let outcome = &call.outcome;
        // Letters are in one part, and the verdict of an answer is its message.
        let letters = self.search.letters();
        let covered = match outcome.class {
            Some(Class::Ok) => true,
            Some(Class::Business | Class::Rpc) => {
                let worded = matches!(outcome.carrier, Carrier::HttpStatus | Carrier::TrpcStreamReset);
                outcome.message.is_some() && outcome.code.is_some() && !worded
            }
            _ => false,
        };
        let Some(letters) = letters.filter(|_| covered && call.unknown_name.is_none()) else {
            return self.search.is_in(&self.call_text(call));
        };
        let parts = [
            call.service.as_deref(),
            call.method.as_deref(),
            outcome.message.as_deref().or(Some("ok")),
            outcome.code_name,
            call.trace_id.as_deref(),
            self.names.client_name(call),
            self.names.server_name(call),
        ];
        parts.into_iter().flatten().any(|part| contains(part, letters))
    }

    /// The text of a call's row.
    pub(in crate::tui) fn call_text(&self, call: &Call) -> String {
        let mut text = labels::likely_verdict(call);
        if let Some(method) = call.likely.as_deref().and_then(|likely| likely.method.as_deref()) {
            text.push(' ');
            text.push_str(method);
        }
        let (service, method) = (call.service.as_deref(), call.method.as_deref());
        text.push(' ');
        labels::push_operation(&mut text, service, method, call.unknown_name);
        let named = [call.outcome.code_name, call.trace_id.as_deref(), self.names.client_name(call)];
        for name in named.into_iter().chain([self.names.server_name(call)]).flatten() {
            text.push(' ');
            text.push_str(name);
        }
        // Writing to a String can't fail.
        _ = write!(text, " {} {}", call.caller_address(), call.server);
        text
    }
}

/// Whether a text contains these lower-case ASCII letters, whatever their case in the text.
fn contains(text: &str, letters: &str) -> bool {
    text.as_bytes().windows(letters.len().max(1)).any(|part| part.eq_ignore_ascii_case(letters.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crossterm::event::KeyCode;

    use super::*;
    use crate::calls::sample;
    use crate::tui::Update;
    use crate::tui::keys::Key;
    use crate::tui::state::pace::Pace;
    use crate::tui::state::testing::{call, chain, hundred, keys, send, settle, state};

    /// The state with a hundred calls, of which the 96th is looked for, three rows each turn.
    fn slow() -> State {
        let mut state = hundred();
        keys(&mut state, "gg");
        state.pace = Pace::Steps(3);
        state
    }

    /// Types without the work between keys.
    fn begin(state: &mut State, typed: &str) {
        for c in typed.chars() {
            let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
            state.key(Key { code, control: false, shift: false });
        }
    }

    #[test]
    fn a_slow_search_goes_on_between_keys_and_says_how_far_it_is() {
        let mut state = slow();
        begin(&mut state, "/biz error|nothing\n");
        assert_eq!(state.notice.as_deref(), Some("searching 3%: Esc stops it"));
        let mut turns = 0;
        while state.is_searching() {
            assert_eq!(state.views.calls.list.selected, 0, "the cursor stays meanwhile");
            let has_more = state.work(Instant::now());
            assert_eq!(has_more, state.is_searching());
            turns += 1;
        }
        // The first match is in row 15; the first turn was that of the key.
        assert_eq!((turns, state.views.calls.list.selected), (4, 15));
        assert_eq!(state.notice, None);
        begin(&mut state, "N");
        while state.is_searching() {
            state.work(Instant::now());
            turns += 1;
        }
        assert_eq!((turns, state.views.calls.list.selected), (4 + 6, 95), "around the beginning");
        assert_eq!(state.notice.as_deref(), Some("continued from the end"));
    }

    #[test]
    fn esc_or_any_key_stops_a_search_and_other_keys_do_what_they_do() {
        let mut state = slow();
        begin(&mut state, "/zzz\n");
        state.key(Key { code: KeyCode::Esc, control: false, shift: false });
        assert!(!state.is_searching());
        assert_eq!(state.notice.as_deref(), Some("the search was stopped"));
        assert_eq!(state.cx.search.text(), "zzz", "n goes on");
        begin(&mut state, "n");
        assert!(state.is_searching());
        begin(&mut state, "j");
        assert!(!state.is_searching());
        assert_eq!(state.views.calls.list.selected, 1);
        begin(&mut state, "n");
        settle(&mut state);
        assert_eq!(state.notice.as_deref(), Some("not found: zzz"));
    }

    #[test]
    fn calls_that_come_during_a_search_are_found() {
        let mut state = slow();
        begin(&mut state, "/fresh\n");
        state.work(Instant::now());
        let mut new = call(200);
        new.method = Some("Fresh".into());
        send(&mut state, [new]);
        settle(&mut state);
        assert_eq!(state.views.calls.list.selected, 100);
    }

    #[test]
    fn a_filter_is_applied_between_keys_too() {
        let mut state = slow();
        state.cx.matcher.set_filter("message ~ \"stock\"").unwrap();
        state.apply(Action::Toggle(Class::Oneway));
        let mut turns = 0;
        while state.work(Instant::now()) {
            turns += 1;
        }
        assert!(turns >= 100 / 3 - 1, "{turns}");
        assert_eq!(state.views.calls.len(), 10);
    }

    #[test]
    fn chains_come_back_without_the_filter_that_had_reached_some_of_them() {
        let mut state = slow();
        let chains = (0..40).map(|n| chain(call(2 * n), call(2 * n + 1))).collect();
        state.receive(Update::Chains(chains));
        state.cx.matcher.set_filter("method == nothing").unwrap();
        state.apply(Action::Toggle(Class::Oneway));
        while state.cx.chains.hidden == 0 {
            assert!(state.work(Instant::now()), "no chain has this method");
        }
        assert!(state.cx.chains.hidden < 40, "{}", state.cx.chains.hidden);
        state.cx.matcher.set_filter("").unwrap();
        state.apply(Action::Toggle(Class::Oneway));
        settle(&mut state);
        assert_eq!((state.cx.chains.hidden, state.cx.chains.shown().count()), (0, 40));
    }

    #[test]
    fn the_parts_of_a_row_hold_every_word_of_it() {
        let mut state = state(80, 24);
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                for message in [None, Some("No stock of Blue ones")] {
                    let mut call = sample::full();
                    call.outcome.class = Some(*class);
                    call.outcome.carrier = *carrier;
                    call.outcome.message = message.map(Into::into);
                    let text = state.cx.call_text(&call).to_lowercase();
                    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                        state.cx.search = Needle::literal(word);
                        assert!(state.cx.is_match(&call), "{word:?} of {text:?}");
                    }
                    state.cx.search = Needle::literal("zzz");
                    assert!(!state.cx.is_match(&call));
                }
            }
        }
    }
}
