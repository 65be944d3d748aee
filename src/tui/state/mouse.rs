//! What the wheel and clicks do.

use std::time::{Duration, Instant};

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::detail::Pane;
use super::{Effect, LINES_ABOVE, State};
use crate::tui::keys::Action;
use crate::tui::render::table::column_at;
use crate::tui::render::{tab_spots, title_spots};

impl State {
    /// Handles a mouse event; returns what the state can't do by itself.
    pub(in crate::tui) fn mouse(&mut self, event: MouseEvent, now: Instant) -> Option<Effect> {
        const WHEEL: isize = 3;
        if !matches!(event.kind, MouseEventKind::Moved) {
            self.stop_search();
        }
        match event.kind {
            MouseEventKind::ScrollDown => self.step(WHEEL),
            MouseEventKind::ScrollUp => self.step(-WHEEL),
            MouseEventKind::Down(MouseButton::Left) => {
                let double = self.last_click.is_some_and(|(time, x, y)| {
                    (x, y) == (event.column, event.row)
                        && now.saturating_duration_since(time) < Duration::from_millis(400)
                });
                self.last_click = Some((now, event.column, event.row));
                self.dirty = true;
                return self.click(event.column, event.row, double);
            }
            _ => return None,
        }
        self.settle();
        self.dirty = true;
        None
    }

    fn click(&mut self, x: u16, y: u16, double: bool) -> Option<Effect> {
        if self.prompt.is_some() || self.help.is_some() || self.chooser.is_some() {
            return None;
        }
        if y < 2 {
            let spots = if y == 0 { title_spots(self) } else { tab_spots(self) };
            let action = spots.into_iter().find(|(span, _)| span.contains(&x)).map(|(_, action)| action)?;
            return self.apply(action);
        }
        let layout = self.detail_layout();
        if let Some(detail) = &mut self.detail {
            let top = 3 + layout.sentence + layout.boxes;
            let row = usize::from(y.checked_sub(top)?);
            if row < usize::from(layout.body) && layout.split.is_none_or(|(tree, _)| x < tree) {
                let row = detail.list.top + row;
                if row < detail.rows.len() {
                    let again = detail.list.selected == row;
                    detail.pane = Pane::Tree;
                    detail.step(row as isize - detail.list.selected as isize, layout);
                    if again {
                        detail.fold(None);
                    }
                }
            }
            return None;
        }
        let placed = self.view().columns(usize::from(self.width));
        let column = column_at(&placed, x);
        let row = y.checked_sub(LINES_ABOVE)?;
        let Some(row) = row.checked_sub(self.strip_lines()) else {
            self.go_to_column(x);
            return None;
        };
        let Some(row) = row.checked_sub(self.head_lines()).map(usize::from) else {
            // A click on a column's head sorts by it.
            self.view_mut().list_mut().column = column?;
            return self.apply(Action::Sort);
        };
        if row >= self.rows_on_screen() {
            return None;
        }
        let view = self.view_mut();
        let row = view.list().top + row;
        if row >= view.len() {
            return None;
        }
        view.go(row);
        if let Some(column) = column {
            view.list_mut().column = column;
        }
        if double { self.apply(Action::Open) } else { None }
    }
}
