//! Searching, in all views, on the page of a call and on the help page.

use std::fmt::Write as _;

use super::context::Context;
use super::{Effect, State};
use crate::calls::{Call, Carrier, Class, labels};
use crate::text;
use crate::tui::views::{View, ViewId};

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
                    self.notice = Some(
                        if forward { "continued from the beginning" } else { "continued from the end" }
                            .to_owned(),
                    );
                }
                view.go(row);
                return true;
            }
        }
        false
    }

    /// Moves to the next or previous match. Whether there is one.
    pub(super) fn find(&mut self, forward: bool) -> bool {
        if self.cx.search.is_empty() {
            self.notice = Some("nothing to search for yet: / starts a search".to_owned());
            return false;
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
            self.search_rows(forward, |view, cx, row| view.is_match(cx, row))
        };
        if !found {
            self.notice = Some(format!("not found: {}", text::escape(self.cx.search.text())));
        }
        found
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
    use super::*;
    use crate::calls::sample;
    use crate::tui::needle::Needle;
    use crate::tui::state::testing::state;

    #[test]
    fn the_parts_of_a_row_hold_every_word_of_it() {
        let mut state = state(80, 24);
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                for message in [None, Some("No stock of Blue ones")] {
                    let mut call = sample::full();
                    call.outcome.class = Some(*class);
                    call.outcome.carrier = *carrier;
                    call.outcome.message = message.map(str::to_owned);
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
