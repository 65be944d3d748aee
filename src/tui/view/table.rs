//! Rows in columns with a cursor: how all lists look.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line;
use crate::calls::{Class, labels};
use crate::sink::{Clock, TimeFormat};
use crate::text;
use crate::time::Timestamp;
use crate::tui::columns::{Column, MARGIN, Placed, columns};
use crate::tui::keys::View;
use crate::tui::state::State;
use crate::tui::state::list::List;

/// One row as it is to be drawn; texts are safe for a terminal.
pub(super) struct Row {
    pub marked: bool,
    /// The class whose letter the row begins with.
    pub sign: Option<Sign>,
    pub cells: Vec<(String, Style)>,
}

/// A class with its letter; rows of things that have no class have no sign.
pub(super) struct Sign(Option<Class>);

impl From<Option<Class>> for Sign {
    fn from(class: Option<Class>) -> Self {
        Self(class)
    }
}

/// Draws heads (in the line above `area`) and the visible rows.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    state: &State,
    list: &List,
    placed: &[Placed],
    len: usize,
    row: impl Fn(usize) -> Option<Row>,
) {
    heads(buffer, area, state, list, placed);
    for y in 0..area.height {
        let at = list.top + usize::from(y);
        if at >= len {
            break;
        }
        let Some(row) = row(at) else { continue };
        draw(buffer, area, y, state, placed, &row);
        if at == list.selected {
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, state.theme.selected);
            let mut x = MARGIN as u16;
            for place in placed {
                if place.column == list.column {
                    let width = (place.width as u16).min(area.width.saturating_sub(x));
                    let cell = Rect { x: area.x + x, y: area.y + y, width, height: 1 };
                    buffer.set_style(cell, state.theme.cell);
                }
                x += place.width as u16 + 1;
            }
        }
    }
}

fn heads(buffer: &mut Buffer, area: Rect, state: &State, list: &List, placed: &[Placed]) {
    let above = Rect { y: area.y - 1, height: 1, ..area };
    let mut x = MARGIN;
    for place in placed {
        let arrow = match list.sort {
            Some((column, down)) if column == place.column => {
                if down {
                    "▼"
                } else {
                    "▲"
                }
            }
            _ => "",
        };
        let style = if place.column == list.column { state.theme.strong } else { state.theme.head };
        let word = text::cut_end(place.column.head(), place.width.saturating_sub(text::width(arrow)));
        let head = format!("{word}{arrow}");
        let fill =
            if place.column.is_right() { place.width - text::width(&head).min(place.width) } else { 0 };
        line::put(buffer, above, (x + fill) as u16, 0, &head, style);
        x += place.width + 1;
    }
}

fn draw(buffer: &mut Buffer, area: Rect, y: u16, state: &State, placed: &[Placed], row: &Row) {
    if row.marked {
        line::put(buffer, area, 0, y, "*", state.theme.strong);
    }
    if let Some(Sign(class)) = row.sign {
        line::put(buffer, area, 1, y, &labels::letter(class).to_string(), state.theme.class(class));
    }
    let mut x = MARGIN;
    for (place, (cell, style)) in placed.iter().zip(&row.cells) {
        let whole = match place.column {
            // The beginning of a sentence says most.
            Column::Verdict | Column::Message | Column::Reason | Column::TopCode | Column::What => {
                text::cut_end(cell, place.width)
            }
            Column::Method => line::cut_name(cell, place.width, 2),
            Column::Client | Column::Server => line::cut_name(cell, place.width, 1),
            _ => text::cut_middle(cell, place.width),
        };
        let fill = place.width - text::width(&whole).min(place.width);
        let begin = if place.column.is_right() { x + fill } else { x };
        let cell_area = Rect { width: area.width.min((x + place.width) as u16), ..area };
        let mark = (state.search.as_str(), state.theme.mark);
        line::put_marked(buffer, cell_area, (begin as u16, y), &whole, *style, mark);
        x += place.width + 1;
    }
}

/// The column at a place of the screen.
pub(in crate::tui) fn column_at(state: &State, x: u16) -> Option<Column> {
    let mut left = MARGIN;
    for place in columns(state.view, usize::from(state.width)) {
        if (left..=left + place.width).contains(&usize::from(x)) {
            return Some(place.column);
        }
        left += place.width + 1;
    }
    None
}

impl State {
    /// The columns of a view at the width of the screen.
    pub(super) fn columns(&self, view: View) -> Vec<Placed> {
        columns(view, usize::from(self.width))
    }

    /// A time as the user wants it; `before` is that of the row above.
    pub(super) fn clock(&self, time: Timestamp, before: Option<Timestamp>) -> String {
        let mut clock = Clock::new(self.time, false);
        let mut out = String::new();
        let reference = if self.time == TimeFormat::Delta { before } else { self.total.first };
        if let Some(reference) = reference {
            clock.push(&mut out, reference);
            out.clear();
        }
        clock.push(&mut out, time);
        out
    }
}
