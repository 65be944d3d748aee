//! What the wheel and clicks do.

use std::time::{Duration, Instant};

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::detail::{Pane, Plan};
use super::{Effect, LINES_ABOVE, State};
use crate::tui::keys::{Action, View};

impl State {
    /// Takes a mouse event; gives what is to be done outside.
    pub(in crate::tui) fn mouse(&mut self, event: MouseEvent, now: Instant) -> Option<Effect> {
        const WHEEL: isize = 3;
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
        if self.prompt.is_some() || self.help.is_some() {
            return None;
        }
        if y < 2 {
            let spots =
                if y == 0 { crate::tui::view::title_spots(self) } else { crate::tui::view::tab_spots(self) };
            let action = spots.into_iter().find(|(span, _)| span.contains(&x)).map(|(_, action)| action)?;
            return self.apply(action);
        }
        if let Some(detail) = &mut self.detail {
            let plan = Plan::of(self.width, self.height);
            let top = 3 + plan.sentence + plan.boxes;
            let row = usize::from(y.checked_sub(top)?);
            if row < usize::from(plan.body) && plan.split.is_none_or(|(tree, _)| x < tree) {
                let row = detail.list.top + row;
                if row < detail.rows.len() {
                    let again = detail.list.selected == row;
                    detail.pane = Pane::Tree;
                    detail.step(row as isize - detail.list.selected as isize, &plan);
                    if again {
                        detail.fold(None);
                    }
                }
            }
            return None;
        }
        let head = if self.view == View::Chains { LINES_ABOVE - 1 } else { LINES_ABOVE };
        if y + 1 == head {
            // A click on a column's head sorts by it.
            let column = crate::tui::view::column_at(self, x)?;
            let (list, _) = self.list_mut();
            list.column = column;
            return self.apply(Action::Sort);
        }
        let row = usize::from(y.checked_sub(head)?);
        if row >= self.list_height(self.view) {
            return None;
        }
        let column = crate::tui::view::column_at(self, x);
        let (list, len) = self.list_mut();
        let row = list.top + row;
        if row >= len {
            return None;
        }
        list.go(row);
        if let Some(column) = column {
            list.column = column;
        }
        if self.view == View::Calls {
            self.follow = false;
        }
        if double { self.apply(Action::Open) } else { None }
    }
}
