//! What the actions of the key table do.

use std::sync::Arc;

use super::detail::{Detail, Pane};
use super::matcher::Only;
use super::prompt::{Prompt, Purpose};
use super::{Effect, Place, State};
use crate::calls::{Call, keys};
use crate::filter;
use crate::sink::TimeFormat;
use crate::text;
use crate::tui::columns::{Column, columns};
use crate::tui::keys::{Action, Key, View, action};
use crate::tui::store::Serial;

/// The most calls that one export writes.
const EXPORT_LIMIT: usize = 1_000_000;

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
            Action::Back => self.back(),
            Action::Show(view) => self.show(view),
            Action::NextView => self.show_neighbour(1),
            Action::PreviousView => self.show_neighbour(View::ALL.len() - 1),
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
                self.came_from = None;
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

    /// One step back: help, detail, the calls of one thing, the search.
    fn back(&mut self) {
        if self.help.take().is_some() || self.detail.take().is_some() {
            return;
        }
        if self.matcher.only.take().is_some() {
            self.rematch();
            if let Some(view) = self.came_from.take() {
                self.view = view;
            }
        } else if !self.search.is_empty() {
            self.search.clear();
        } else if self.view != View::Calls {
            self.view = View::Calls;
        } else if self.matcher.is_active() {
            self.notice = Some("a shows all calls again; q quits".to_owned());
        } else {
            self.notice = Some("q quits".to_owned());
        }
    }

    pub(super) fn show(&mut self, view: View) {
        self.help = None;
        self.detail = None;
        self.view = view;
        if self.stale {
            self.refresh();
        }
    }

    fn show_neighbour(&mut self, by: usize) {
        let at = View::ALL.iter().position(|v| *v == self.view).unwrap_or_default();
        self.show(View::ALL[(at + by) % View::ALL.len()]);
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

    /// Opens what is under the cursor.
    pub(super) fn open(&mut self) -> Option<Effect> {
        match self.view {
            View::Calls => {
                let (serial, call) = self.selected_call().map(|(s, c)| (s, Arc::clone(c)))?;
                Some(self.open_call(call, Some(serial)))
            }
            View::Chains => {
                let call = self.current_call()?;
                Some(self.open_call(call, None))
            }
            View::Errors => {
                let group = self.errors.selected()?;
                self.show_only(Only::Group(group));
                None
            }
            View::Services => {
                let method = self.services.selected()?;
                self.show_only(Only::Method(method));
                None
            }
            View::Connections => {
                let row = self.connection_rows.selected()?;
                let connection = self.connections.all().get(row as usize)?;
                let only = Only::Connection {
                    ends: [connection.client, connection.server],
                    packets: (connection.first_packet, connection.last_packet),
                };
                self.show_only(only);
                None
            }
        }
    }

    /// Shows the calls of one thing; going back returns to where it was opened.
    fn show_only(&mut self, only: Only) {
        self.came_from = Some(self.view);
        self.matcher.only = Some(only);
        self.view = View::Calls;
        self.follow = false;
        self.calls.moved = false;
        self.calls.selected = 0;
        self.calls.top = 0;
        self.rematch();
    }

    fn open_call(&mut self, call: Arc<Call>, serial: Option<Serial>) -> Effect {
        // New calls must not move the list behind the detail.
        self.follow = false;
        let place = serial.filter(|_| call.failed()).map(|serial| self.error_place(serial));
        self.detail = Some(Detail::new(Arc::clone(&call), place));
        Effect::Evidence(call)
    }

    /// Which failed call of how many among the rows it is, from 1.
    fn error_place(&self, serial: Serial) -> (usize, usize) {
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

    /// Only the calls of the selected call's connection.
    fn follow_connection(&mut self) {
        let Some((_, call)) = self.selected_call() else { return };
        let ends = [call.client, call.server];
        // The connection record knows when ports were used again; without it, the ends must do.
        let (first, last) = call.packets;
        let packets = self
            .connections
            .all()
            .iter()
            .find(|c| {
                ((c.client, c.server) == (ends[0], ends[1]) || (c.server, c.client) == (ends[0], ends[1]))
                    && c.first_packet <= first
                    && c.last_packet >= last
            })
            .map_or((0, u64::MAX), |c| (c.first_packet, c.last_packet));
        self.calls.moved = true;
        self.matcher.only = Some(Only::Connection { ends, packets });
        self.came_from = Some(View::Calls);
        self.follow = false;
        self.rematch();
    }

    fn show_chain(&mut self) {
        let Some(call) = self.current_call() else { return };
        if self.chains.find(call.uid) {
            self.help = None;
            self.detail = None;
            self.view = View::Chains;
        } else {
            let yet = if self.ended { "" } else { " yet" };
            self.notice = Some(format!("no call above or below this one is known{yet}"));
        }
    }

    fn copy(&mut self) -> Option<Effect> {
        let text = match &self.detail {
            Some(detail) => detail.copy()?,
            None => match self.view {
                View::Calls => {
                    let (_, call) = self.selected_call()?;
                    let mut line = Vec::new();
                    crate::sink::jsonl::write_call(&mut line, call);
                    String::from_utf8_lossy(&line).into_owned()
                }
                View::Chains => self.chains.selected()?.0.sentence(),
                _ => self.row_text(self.list().0.selected),
            },
        };
        self.notice = Some(format!("copied {}", text::bytes(text.len() as u64)));
        Some(Effect::Copy(text))
    }

    /// The calls that an export writes: the marked ones, or what is under the cursor.
    pub(super) fn calls_to_export(&self) -> Vec<Arc<Call>> {
        if self.marked > 0 {
            let marked: Vec<_> =
                self.store.entries().iter().filter(|e| e.marked).map(|e| Arc::clone(&e.call)).collect();
            if !marked.is_empty() {
                return marked;
            }
        }
        if let Some(call) = self.current_call().filter(|_| self.detail.is_some() || self.view == View::Calls)
        {
            return vec![call];
        }
        let (group, method) = match self.view {
            View::Errors => (self.errors.selected(), None),
            View::Services => (None, self.services.selected()),
            View::Chains => {
                let chain = self.chains.selected().map(|(chain, _)| chain);
                return chain.into_iter().flat_map(|c| &c.hops).map(|hop| Arc::clone(&hop.call)).collect();
            }
            View::Calls | View::Connections => (None, None),
        };
        self.store
            .entries()
            .iter()
            .filter(|e| (group.is_some() && e.group == group) || (method.is_some() && e.method == method))
            .take(EXPORT_LIMIT)
            .map(|e| Arc::clone(&e.call))
            .collect()
    }

    fn ask_for_file(&mut self) {
        if self.help.is_some() {
            return;
        }
        if self.calls_to_export().is_empty() {
            self.notice = Some("no calls here to export".to_owned());
            return;
        }
        self.prompt = Some(Prompt::new(Purpose::Export, "calls.jsonl".to_owned(), String::new()));
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
        Column::Verdict if call.verdict.code.is_some() => both(&["class", "code"]),
        Column::Class | Column::Verdict => both(&["class"]),
        Column::Code => both(&["code"]),
        Column::Message => both(&["message"]),
        _ => String::new(),
    }
}
