//! Keys, and what the actions of the key table do.

use super::detail::Pane;
use super::prompt::{Prompt, Purpose};
use super::{Effect, State};
use crate::sink::TimeFormat;
use crate::tui::keys::{Action, Key};
use crate::tui::views::ViewId;

impl State {
    /// Handles a key; returns what the state can't do by itself.
    pub(in crate::tui) fn key(&mut self, key: Key) -> Option<Effect> {
        self.dirty = true;
        if self.prompt.is_some() {
            return self.type_key(key);
        }
        let action = self.cx.keys.action(self.scopes(), key)?;
        self.notice = None;
        if self.stop_search() {
            if action == Action::Back {
                return None;
            }
            self.notice = None;
        }
        let effect = self.apply(action);
        self.settle();
        effect
    }

    /// Performs an action.
    pub(in crate::tui) fn apply(&mut self, action: Action) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Help => self.help = if self.help.is_some() { None } else { Some(0) },
            Action::Back => return self.back(),
            Action::Show(view) => self.show(view),
            Action::NextView => self.show_neighbour(1),
            Action::PreviousView => self.show_neighbour(-1),
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
                self.prompt =
                    Some(Prompt::new(Purpose::Search, String::new(), self.cx.search.text().to_owned()));
            }
            Action::Command => {
                self.prompt = Some(Prompt::new(Purpose::Command, String::new(), String::new()));
            }
            Action::NextMatch | Action::PreviousMatch if self.line.is_some() && self.help.is_none() => {
                return self.next_of_line(action == Action::NextMatch);
            }
            Action::NextMatch | Action::PreviousMatch => self.find(action == Action::NextMatch),
            Action::NextError => return self.find_error(true),
            Action::PreviousError => return self.find_error(false),
            Action::Filter => {
                let text = self.cx.matcher.text().to_owned();
                self.prompt = Some(Prompt::new(Purpose::Filter, text.clone(), text));
            }
            Action::OnlyThis => self.filter_cell(true),
            Action::NotThis => self.filter_cell(false),
            Action::ShowAll => {
                self.cx.matcher.clear();
                self.trail.clear();
                self.rematch();
            }
            Action::Toggle(class) => {
                self.cx.matcher.toggle(class);
                self.rematch();
            }
            Action::Sort => self.sort(),
            Action::Columns => self.choose_columns(),
            Action::Choose
            | Action::ColumnUp
            | Action::ColumnDown
            | Action::UsualColumns
            | Action::Take
            | Action::Leave => self.choose(action),
            Action::Keep => {
                self.choose(Action::Take);
                return Some(self.keep_columns());
            }
            Action::Peak => self.next_peak(),
            Action::Pause if self.paused => self.resume(),
            Action::Pause => self.paused = true,
            Action::Mark => self.mark(),
            Action::ClearMarks => {
                self.cx.store.entries_mut().iter_mut().for_each(|entry| entry.marked = false);
                self.marked = 0;
            }
            Action::Connection => self.follow_connection(),
            Action::Chain => self.show_chain(),
            Action::Origin => return self.show_origin(),
            Action::Copy => return self.copy(),
            Action::Export => self.ask_for_file(),
            Action::Times => {
                self.cx.time = match self.cx.time {
                    TimeFormat::Local => TimeFormat::Date,
                    TimeFormat::Date => TimeFormat::Utc,
                    TimeFormat::Utc => TimeFormat::UtcDate,
                    TimeFormat::UtcDate => TimeFormat::Relative,
                    TimeFormat::Relative => TimeFormat::Delta,
                    TimeFormat::Delta | TimeFormat::Epoch => TimeFormat::Local,
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
        let layout = self.detail_layout();
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
        detail.settle(layout);
    }

    /// Shows a view that was chosen by its name. Esc does not go back to the one before.
    pub(super) fn show(&mut self, id: ViewId) {
        self.help = None;
        self.detail = None;
        self.trail.clear();
        self.show_view(id);
    }

    /// Opens a view with its rows up to date.
    pub(super) fn show_view(&mut self, id: ViewId) {
        self.view_id = id;
        self.refresh();
    }

    fn show_neighbour(&mut self, by: isize) {
        let tabs: Vec<ViewId> = ViewId::tabs().collect();
        let at = tabs.iter().position(|id| *id == self.view_id.tab()).unwrap_or_default();
        let next = (at + tabs.len()).saturating_add_signed(by) % tabs.len();
        self.show(tabs[next]);
    }

    /// Moves the cursor by rows.
    pub(super) fn step(&mut self, rows: isize) {
        let layout = self.detail_layout();
        if let Some(top) = &mut self.help {
            *top = top.saturating_add_signed(rows).min(self.cx.keys.help().len().saturating_sub(1));
        } else if let Some(chooser) = &mut self.chooser {
            chooser.step(rows);
        } else if let Some(detail) = &mut self.detail {
            detail.step(rows, layout);
        } else {
            self.view_mut().step(rows);
        }
    }

    fn page(&mut self, pages: isize) {
        let rows = if self.help.is_some() {
            self.help_rows()
        } else if self.chooser.is_some() {
            usize::from(self.list_area().height)
        } else if self.detail.is_some() {
            usize::from(self.detail_layout().body)
        } else {
            self.rows_on_screen()
        };
        self.step(pages * (rows.saturating_sub(1).max(1) as isize));
    }

    fn help_rows(&self) -> usize {
        usize::from(self.height).saturating_sub(3)
    }

    /// Moves the cursor to the first or the last row.
    fn jump(&mut self, last: bool) {
        let layout = self.detail_layout();
        let help_rows = self.help_rows();
        if let Some(top) = &mut self.help {
            *top = if last { self.cx.keys.help().len().saturating_sub(help_rows) } else { 0 };
        } else if let Some(chooser) = &mut self.chooser {
            chooser.list.go(if last { chooser.rows.len().saturating_sub(1) } else { 0 });
        } else if let Some(detail) = &mut self.detail {
            detail.jump(last, layout);
        } else {
            self.view_mut().jump(last);
        }
    }

    /// Moves the cursor to the next column; on the page of a call, into a group, out of it, or along the bytes.
    fn sideways(&mut self, right: bool) {
        let layout = self.detail_layout();
        if let Some(detail) = &mut self.detail {
            match (detail.pane, right) {
                (Pane::Bytes, _) => {
                    detail.step_bytes(if right { 1 } else { -1 });
                    detail.settle(layout);
                }
                (Pane::Tree, true) => detail.fold(Some(true)),
                (Pane::Tree, false) => detail.fold_or_leave(),
            }
            return;
        }
        let shown = self.view().columns(usize::from(self.width));
        let list = self.view_mut().list_mut();
        let at = shown.iter().position(|p| p.column == list.column).unwrap_or_default();
        let next = if right { (at + 1).min(shown.len().saturating_sub(1)) } else { at.saturating_sub(1) };
        if let Some(placed) = shown.get(next) {
            list.column = placed.column;
        }
    }

    fn sort(&mut self) {
        self.views.get_mut(self.view_id).sort(&self.cx);
    }

    /// Adds a test for the cell under the cursor to the filter.
    fn filter_cell(&mut self, equal: bool) {
        let Some(tests) = self.views.calls.cell_tests(&self.cx, equal) else { return };
        if tests.is_empty() {
            self.notice = Some("this cell is empty: nothing to filter by".to_owned());
            return;
        }
        let old = self.cx.matcher.text();
        let text = match (old.is_empty(), old.contains(" or ") || old.contains("||")) {
            (true, _) => tests,
            (false, true) => format!("({old}) and {tests}"),
            (false, false) => format!("{old} and {tests}"),
        };
        self.views.calls.list.moved = true;
        self.views.calls.follow = false;
        match self.cx.matcher.set_filter(&text) {
            Ok(()) => {
                self.history.keep(Purpose::Filter, &text);
                self.rematch();
            }
            Err(error) => self.notice = Some(error.to_string()),
        }
    }

    fn mark(&mut self) {
        let Some((serial, _)) = self.views.calls.selected(&self.cx) else { return };
        if let Some(entry) = self.cx.store.get_mut(serial) {
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
