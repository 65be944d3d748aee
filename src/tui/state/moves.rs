//! What the actions of the key table do.

use super::detail::Pane;
use super::prompt::{Prompt, Purpose};
use super::{Effect, Place, State};
use crate::calls::{Call, keys};
use crate::filter;
use crate::sink::TimeFormat;
use crate::tui::columns::{Column, columns};
use crate::tui::keys::{Action, Key, View, action};
use crate::tui::store::Serial;

impl State {
    /// Takes a key; gives what is to be done outside.
    pub(in crate::tui) fn key(&mut self, key: Key) -> Option<Effect> {
        self.dirty = true;
        if self.prompt.is_some() {
            return self.type_key(key);
        }
        let action = action(self.place().scopes(), key)?;
        self.notice = None;
        let effect = self.apply(action);
        self.settle();
        effect
    }

    /// Does what an action asks for.
    pub(super) fn apply(&mut self, action: Action) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Help => self.help = if self.help.is_some() { None } else { Some(0) },
            Action::Back => return self.back(),
            Action::Show(view) => self.show(view),
            Action::NextView => self.show_neighbour(1),
            Action::PreviousView => self.show_neighbour(View::TABS.len() - 1),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.page(-1),
            Action::PageDown => self.page(1),
            Action::First => self.jump(false),
            Action::Last => self.jump(true),
            Action::Left => self.sideways(false),
            Action::Right => self.sideways(true),
            Action::Open => return self.open(),
            Action::Search => {
                self.prompt = Some(Prompt::new(Purpose::Search, String::new(), self.search.clone()));
            }
            Action::NextMatch => self.find(true),
            Action::PreviousMatch => self.find(false),
            Action::NextError => return self.find_error(true),
            Action::PreviousError => return self.find_error(false),
            Action::Filter => {
                let text = self.matcher.text().to_owned();
                self.prompt = Some(Prompt::new(Purpose::Filter, text.clone(), text));
            }
            Action::OnlyThis => self.filter_cell(true),
            Action::NotThis => self.filter_cell(false),
            Action::ShowAll => {
                self.matcher.clear();
                self.trail.clear();
                self.rematch();
            }
            Action::Toggle(class) => {
                self.matcher.toggle(class);
                self.rematch();
            }
            Action::Sort => self.sort(),
            Action::Pause if self.paused => self.resume(),
            Action::Pause => self.paused = true,
            Action::Mark => self.mark(),
            Action::ClearMarks => {
                self.store.entries_mut().iter_mut().for_each(|entry| entry.marked = false);
                self.marked = 0;
            }
            Action::Connection => self.follow_connection(),
            Action::Chain => self.show_chain(),
            Action::Origin => return self.show_origin(),
            Action::Copy => return self.copy(),
            Action::Export => self.ask_for_file(),
            Action::Times => {
                self.time = match self.time {
                    TimeFormat::Local => TimeFormat::Utc,
                    TimeFormat::Utc => TimeFormat::Relative,
                    TimeFormat::Relative => TimeFormat::Delta,
                    TimeFormat::Delta => TimeFormat::Local,
                };
            }
            Action::NextPane
            | Action::Fold
            | Action::FoldAll
            | Action::HexOrText
            | Action::PreviousMessage
            | Action::NextMessage => self.in_detail(action),
        }
        None
    }

    fn in_detail(&mut self, action: Action) {
        let plan = self.plan();
        let Some(detail) = &mut self.detail else { return };
        match action {
            Action::NextPane => {
                detail.pane = if detail.pane == Pane::Tree { Pane::Bytes } else { Pane::Tree };
            }
            Action::Fold => detail.fold(None),
            Action::FoldAll => detail.fold_all(),
            Action::HexOrText => detail.as_text = !detail.as_text,
            Action::PreviousMessage => detail.go_to_message(detail.message.saturating_sub(1)),
            Action::NextMessage => detail.go_to_message(detail.message + 1),
            _ => {}
        }
        detail.settle(&plan);
    }

    /// Shows a view that was chosen by its name: nothing is to be gone back to.
    pub(super) fn show(&mut self, view: View) {
        self.help = None;
        self.detail = None;
        self.trail.clear();
        self.show_view(view);
    }

    /// Shows a view in the order in which it should be.
    pub(super) fn show_view(&mut self, view: View) {
        self.view = view;
        if self.stale || matches!(view, View::Changes | View::Graph) {
            self.refresh();
        }
    }

    fn show_neighbour(&mut self, by: usize) {
        let at = View::TABS.iter().position(|v| *v == self.view.tab()).unwrap_or_default();
        self.show(View::TABS[(at + by) % View::TABS.len()]);
    }

    /// Moves the cursor of the place by rows.
    pub(super) fn step(&mut self, rows: isize) {
        if let Some(top) = &mut self.help {
            let last = crate::tui::keys::help().len().saturating_sub(1);
            *top = top.saturating_add_signed(rows).min(last);
            return;
        }
        let plan = self.plan();
        if let Some(detail) = &mut self.detail {
            detail.step(rows, &plan);
            return;
        }
        if self.view == View::Chains {
            self.chains.step(rows);
            return;
        }
        let following = self.view == View::Calls && self.follow;
        let (list, len) = self.list_mut();
        if following && rows > 0 {
            return;
        }
        list.step(rows, len);
        if self.view == View::Calls {
            self.follow = rows > 0 && self.calls.sort.is_none() && self.calls.selected + 1 >= len;
        }
    }

    fn page(&mut self, pages: isize) {
        let height = match self.place() {
            Place::View(view) => self.list_height(view),
            Place::Detail => usize::from(self.plan().body),
            Place::Help => usize::from(self.height).saturating_sub(3),
        };
        self.step(pages * (height.saturating_sub(1).max(1) as isize));
    }

    fn jump(&mut self, last: bool) {
        let plan = self.plan();
        if let Some(top) = &mut self.help {
            let end =
                crate::tui::keys::help().len().saturating_sub(usize::from(self.height).saturating_sub(3));
            *top = if last { end } else { 0 };
        } else if let Some(detail) = &mut self.detail {
            detail.jump(last, &plan);
        } else {
            let (list, len) = self.list_mut();
            list.go(if last { len.saturating_sub(1) } else { 0 });
            if self.view == View::Calls {
                self.follow = last && self.calls.sort.is_none();
                self.calls.moved = !self.follow;
            }
        }
    }

    /// To the column at the left or right; in the detail: out of a group or into it, or along the bytes.
    fn sideways(&mut self, right: bool) {
        let plan = self.plan();
        if let Some(detail) = &mut self.detail {
            match (detail.pane, right) {
                (Pane::Bytes, _) => {
                    detail.step_bytes(if right { 1 } else { -1 });
                    detail.settle(&plan);
                }
                (Pane::Tree, true) => detail.fold(Some(true)),
                (Pane::Tree, false) => detail.fold_or_leave(),
            }
            return;
        }
        let shown = columns(self.view, usize::from(self.width));
        let (list, _) = self.list_mut();
        let at = shown.iter().position(|p| p.column == list.column).unwrap_or_default();
        let next = if right { (at + 1).min(shown.len().saturating_sub(1)) } else { at.saturating_sub(1) };
        if let Some(placed) = shown.get(next) {
            list.column = placed.column;
        }
    }

    fn sort(&mut self) {
        let view = self.view;
        let (list, _) = self.list_mut();
        list.turn_sort();
        if view == View::Calls {
            self.follow = false;
            self.rows.resort(&self.store, &self.names, &mut self.calls);
            if self.calls.sort.is_some() {
                // What was asked for is the top of the order, not where the old row went.
                self.calls.go(0);
            }
        } else {
            self.refresh();
        }
    }

    /// Which failed call of how many among the rows it is, from 1.
    pub(super) fn error_place(&self, serial: Serial) -> (usize, usize) {
        let mut place = 0;
        let mut all = 0;
        for row in self.rows.serials() {
            if self.store.get(*row).is_some_and(|entry| entry.call.failed()) {
                all += 1;
                if *row == serial {
                    place = all;
                }
            }
        }
        (place, all)
    }

    /// Adds a test for the cell under the cursor to the filter.
    fn filter_cell(&mut self, equal: bool) {
        let Some((_, call)) = self.selected_call() else { return };
        let tests = cell_tests(call, self.calls.column, equal);
        if tests.is_empty() {
            self.notice = Some("this cell holds nothing to filter by".to_owned());
            return;
        }
        let old = self.matcher.text();
        let text = match (old.is_empty(), old.contains(" or ") || old.contains("||")) {
            (true, _) => tests,
            (false, true) => format!("({old}) and {tests}"),
            (false, false) => format!("{old} and {tests}"),
        };
        self.calls.moved = true;
        self.follow = false;
        match self.matcher.set_filter(&text) {
            Ok(()) => {
                self.history.keep(Purpose::Filter, &text);
                self.rematch();
            }
            Err(error) => self.notice = Some(error.to_string()),
        }
    }

    fn mark(&mut self) {
        let Some((serial, _)) = self.selected_call() else { return };
        if let Some(entry) = self.store.get_mut(serial) {
            entry.marked = !entry.marked;
            if entry.marked {
                self.marked += 1;
            } else {
                self.marked = self.marked.saturating_sub(1);
            }
        }
        self.step(1);
    }
}

/// The tests that select the calls with the same value in a column, joined by `and`; empty if there is no value.
fn cell_tests(call: &Call, column: Column, equal: bool) -> String {
    let test = |name: &str| keys::key(name).map(|key| filter::test_of(key, call, equal));
    let both = |names: &[&str]| {
        let tests: Vec<String> = names.iter().filter_map(|name| test(name)).collect();
        // Not this service and this method: one of the two differs.
        if equal {
            tests.join(" and ")
        } else if tests.len() > 1 {
            format!("({})", tests.join(" or "))
        } else {
            tests.join("")
        }
    };
    match column {
        Column::Time => {
            let start = String::from_utf8_lossy(&call.start.rfc3339()).into_owned();
            format!("start {} {start}", if equal { ">=" } else { "<" })
        }
        Column::Latency => call
            .latency
            .map(|ns| format!("latency {} {}us", if equal { ">=" } else { "<" }, ns / 1_000))
            .unwrap_or_default(),
        Column::Client if call.caller.is_some() => both(&["caller"]),
        Column::Client => format!("client {} {}", if equal { "==" } else { "!=" }, call.client.ip),
        Column::Server => both(&["server"]),
        Column::Protocol => both(&["rpc", "transport"]),
        Column::Method => both(&["service", "method"]),
        Column::Verdict if call.outcome.code.is_some() => both(&["class", "code"]),
        Column::Class | Column::Verdict => both(&["class"]),
        Column::Code => both(&["code"]),
        Column::Message => both(&["message"]),
        _ => String::new(),
    }
}
