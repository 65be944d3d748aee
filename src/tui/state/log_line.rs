//! A line of a log that was pasted into the search: the cursor goes to the calls that it is about.

use super::{Effect, State};
use crate::explain::{Fit, LogLine, Ranking};
use crate::text;
use crate::tui::keys::Action;
use crate::tui::needle::Needle;
use crate::tui::store::{Serial, Store};
use crate::tui::views::{View as _, ViewId};

/// Calls that one turn looks at, so that keys never wait long.
const LOOKS: usize = 200_000;

/// Calls that one turn compares with the line.
const FITS: usize = 5_000;

/// The search for the calls of a line.
#[derive(Debug)]
pub(in crate::tui) enum LineSearch {
    /// Calls are compared with the line.
    Looking { line: Box<LogLine>, text: String, scanned: Serial, ranking: Ranking<Serial> },
    /// All were.
    Found { best: Vec<(Fit, Serial)>, others: u64, at: usize },
}

impl LineSearch {
    /// Begins.
    pub(super) fn new(line: Box<LogLine>, text: String) -> Self {
        Self::Looking { line, text, scanned: 0, ranking: Ranking::default() }
    }

    /// Compares the next calls. Whether it is done with that.
    fn advance(&mut self, store: &Store) -> bool {
        let Self::Looking { line, scanned, ranking, .. } = self else { return true };
        let mut fits = 0;
        for entry in store.from(*scanned).iter().take(LOOKS) {
            *scanned = entry.serial + 1;
            if let Some(fit) = line.fit(&entry.call) {
                ranking.add(fit, || entry.serial);
            }
            fits += usize::from(entry.call.failed());
            if fits >= FITS {
                break;
            }
        }
        *scanned >= store.next() || store.from(*scanned).is_empty()
    }
}

impl State {
    /// Looks for the calls of a line, and goes to the likeliest. `text` is the line as it was typed.
    pub(super) fn find_line(&mut self, line: Box<LogLine>, text: String) -> Option<Effect> {
        self.line = Some(LineSearch::new(line, text));
        self.look_for_line()
    }

    /// Whether calls wait to be compared with a line.
    pub(super) fn is_looking_for_line(&self) -> bool {
        matches!(self.line, Some(LineSearch::Looking { .. }))
    }

    /// Compares the next calls with the line; at the end, goes to the likeliest.
    pub(super) fn look_for_line(&mut self) -> Option<Effect> {
        // The list has to be complete, so that it shows whether it holds the call.
        let is_behind = self.views.calls.is_behind(&self.cx.store);
        let search = self.line.as_mut()?;
        if !search.advance(&self.cx.store) || is_behind {
            return None;
        }
        let Some(LineSearch::Looking { line, text, ranking, .. }) = self.line.take() else { return None };
        self.dirty = true;
        let (best, others) = ranking.finish();
        if best.is_empty() {
            // The words of a library may just as well be searched for.
            self.cx.search = Needle::literal(&text);
            let trace = line.traces().first().map(|trace| format!("; it leaves: {trace}"));
            let otherwise = format!("no call here carries this error{}", trace.unwrap_or_default());
            if self.detail.is_some() {
                self.find(true);
            } else {
                self.find_row(true, Some(otherwise));
            }
            return None;
        }
        self.line = Some(LineSearch::Found { best, others, at: 0 });
        self.go_to_call_of_line(0)
    }

    /// Goes to the next or previous call of the line; `None` if no line was looked for.
    pub(super) fn next_of_line(&mut self, forward: bool) -> Option<Effect> {
        let Some(LineSearch::Found { best, at, .. }) = &self.line else { return None };
        let next = if forward { (at + 1) % best.len() } else { (at + best.len() - 1) % best.len() };
        self.go_to_call_of_line(next)
    }

    fn go_to_call_of_line(&mut self, wanted: usize) -> Option<Effect> {
        let Some(LineSearch::Found { best, others, at }) = &mut self.line else { return None };
        let (fit, serial) = best.get(wanted)?;
        *at = wanted;
        let (serial, count) = (*serial, best.len() as u64 + *others);
        let why = if fit.why.is_empty() { String::new() } else { format!(" by {}", fit.why.join(", ")) };
        let (next, back) = (self.cx.key(Action::NextMatch), self.cx.key(Action::PreviousMatch));
        let more = if best.len() > 1 { format!(" · {next} next, {back} back") } else { String::new() };
        let said = format!("call {} of {} of the line{why}", wanted + 1, text::thousands(count));
        let Some(call) = self.cx.call(serial) else {
            self.notice = Some(format!("{said}: it was evicted to save memory{more}"));
            return None;
        };
        let had_page = self.detail.is_some();
        self.show(ViewId::Calls);
        let effect = if let Some(row) = self.views.calls.row_of(serial) {
            self.views.calls.go(row);
            if had_page { self.open() } else { None }
        } else {
            // The filter hides it in the list.
            Some(self.open_call(call, None))
        };
        let hidden = if effect.is_some() && !had_page { " (the filter hides it in the list)" } else { "" };
        self.notice = Some(format!("{said}{hidden}{more}"));
        effect
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::calls::Class;
    use crate::tui::keys::Key;
    use crate::tui::state::testing::{call, failed, send, settle, state};

    const LINE: &str = "2026/01/02 01:34:09 order.go:31: place failed: remote or network error[remote]: biz error: no stock, cost=3ms";

    fn press(state: &mut State, keys: &str) -> Option<Effect> {
        let mut effect = None;
        for c in keys.chars() {
            let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
            effect = state.key(Key { code, control: false, shift: false });
            settle(state);
        }
        effect.or(state.outstanding.take())
    }

    /// Thirty calls; every tenth failed as the line says.
    fn thirty() -> State {
        let mut state = state(80, 24);
        let calls = (0..30)
            .map(|n| if n % 10 == 5 { failed(n, Class::Rpc, 6, "biz error: no stock") } else { call(n) });
        send(&mut state, calls);
        state
    }

    fn selected(state: &State) -> u64 {
        state.views.calls.selected(&state.cx).unwrap().0
    }

    #[test]
    fn a_line_wins_over_a_search_and_leads_to_its_calls_one_after_the_other() {
        let mut state = thirty();
        press(&mut state, "2/");
        state.paste(LINE);
        assert!(press(&mut state, "\n").is_none());
        assert_eq!((selected(&state), state.view_id), (5, ViewId::Calls));
        let notice = state.notice.clone().unwrap();
        assert!(
            notice.starts_with("call 1 of 3 of the line by text") && notice.contains("n next"),
            "{notice}"
        );
        press(&mut state, "n");
        assert_eq!(selected(&state), 15);
        press(&mut state, "nn");
        assert_eq!(selected(&state), 5, "it goes round");
        press(&mut state, "N");
        assert_eq!(selected(&state), 25);
        press(&mut state, "/no stock\nn");
        assert!(state.line.is_none() && state.cx.search.text() == "no stock", "a search is one again");
    }

    #[test]
    fn a_call_that_the_filter_hides_opens_on_its_page() {
        let mut state = thirty();
        press(&mut state, "fclass == ok\n/");
        state.paste(LINE);
        assert!(matches!(press(&mut state, "\n"), Some(Effect::ReadPackets(call)) if call.failed()));
        assert!(state.notice.clone().unwrap().contains("the filter hides it"));
        assert!(matches!(press(&mut state, "n"), Some(Effect::ReadPackets(_))));
        assert_eq!(state.detail.as_ref().unwrap().call.uid.packet, 31);
    }

    #[test]
    fn a_line_without_a_call_says_what_it_leaves() {
        let mut state = thirty();
        let before = selected(&state);
        press(&mut state, "/");
        state.paste("rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.9:80: connect: connection refused\"");
        press(&mut state, "\n");
        let notice = state.notice.clone().unwrap();
        assert!(notice.starts_with("no call here carries this error; it leaves: No call"), "{notice}");
        assert_eq!(selected(&state), before);
        press(&mut state, "n");
        assert!(state.notice.clone().unwrap().contains("nothing to search for"));
    }

    #[test]
    fn words_of_a_library_that_no_call_ended_with_are_searched_for() {
        let mut state = state(80, 24);
        send(&mut state, [call(0), failed(1, Class::Business, 7, "we say request over limit"), call(2)]);
        press(&mut state, "/request over limit\n");
        assert_eq!((selected(&state), state.cx.search.text()), (1, "request over limit"));
        assert!(state.line.is_none());
    }

    #[test]
    fn many_calls_are_looked_at_in_turns() {
        let mut state = state(80, 24);
        let many =
            (0..3 * FITS as u64).map(|n| failed(n, Class::Rpc, 6, &format!("biz error: no stock of {n}")));
        send(&mut state, many);
        press(&mut state, "/");
        state.paste("remote or network error[remote]: biz error: no stock of 12345");
        state.key(Key { code: KeyCode::Enter, control: false, shift: false });
        assert!(state.is_looking_for_line(), "not at once");
        settle(&mut state);
        assert_eq!((state.is_looking_for_line(), selected(&state)), (false, 12_345));
    }
}
