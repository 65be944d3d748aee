//! Draws a view that has columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line;
use crate::calls::labels;
use crate::text;
use crate::text::Align;
use crate::tui::columns::{Column, Cut, MARGIN, Placed};
use crate::tui::state::context::Context;
use crate::tui::state::list::List;
use crate::tui::views::{Row, Sign, View};

/// Stands before a call that a line of a log is about.
pub(in crate::tui) const LOGGED: &str = "≡";

/// Draws the heads of the columns in the first line of `area`, and the rows that are on the screen below them.
pub(in crate::tui) fn render<V: View + ?Sized>(buffer: &mut Buffer, area: Rect, cx: &Context, view: &V) {
    let placed = view.columns(usize::from(area.width));
    let list = view.list();
    heads(buffer, area, cx, list, &placed);
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if view.len() == 0 {
        line::middle(buffer, area, &view.why_empty(cx), cx.theme.dim);
    }
    for y in 0..area.height {
        let at = list.top + usize::from(y);
        if at >= view.len() {
            break;
        }
        let Some(row) = view.row(cx, at, &placed) else { continue };
        draw(buffer, area, y, cx, &placed, &row);
        if at == list.selected {
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, cx.theme.selected);
            let mut x = MARGIN as u16;
            for place in &placed {
                if place.column == list.column {
                    let width = (place.width as u16).min(area.width.saturating_sub(x));
                    let cell = Rect { x: area.x + x, y: area.y + y, width, height: 1 };
                    buffer.set_style(cell, cx.theme.cell);
                }
                x += place.width as u16 + 1;
            }
        }
    }
}

fn heads(buffer: &mut Buffer, area: Rect, cx: &Context, list: &List, placed: &[Placed]) {
    let mut x = MARGIN;
    for place in placed {
        let arrow = match list.sort {
            Some((column, true)) if column == place.column => "▼",
            Some((column, false)) if column == place.column => "▲",
            _ => "",
        };
        let style = if place.column == list.column { cx.theme.strong } else { cx.theme.head };
        let room = place.width.saturating_sub(text::width(arrow));
        let whole = place.column.head;
        // `service.method` is `method` rather than `service.m…`.
        let last = whole.rsplit('.').next().filter(|_| text::width(whole) > room);
        let word = text::cut_end(last.unwrap_or(whole), room);
        let head = format!("{word}{arrow}");
        let fill = match place.column.align {
            Align::Left => 0,
            Align::Right => place.width - text::width(&head).min(place.width),
        };
        line::put(buffer, area, (x + fill) as u16, 0, &head, style);
        x += place.width + 1;
    }
}

fn draw(buffer: &mut Buffer, area: Rect, y: u16, cx: &Context, placed: &[Placed], row: &Row) {
    if row.marked {
        line::put(buffer, area, 0, y, "*", cx.theme.strong);
    }
    if let Some(Sign(class)) = row.sign {
        line::put(buffer, area, 1, y, &labels::letter(class).to_string(), cx.theme.class(class));
    }
    if row.logged {
        line::put(buffer, area, 2, y, LOGGED, cx.theme.strong);
    }
    let mut x = MARGIN;
    for (place, (cell, style)) in placed.iter().zip(&row.cells) {
        let cut = match place.column.cut {
            Cut::Middle => text::cut_middle(cell, place.width),
            Cut::End => text::cut_end(cell, place.width),
            Cut::Packages(parts) => text::cut_name(cell, place.width, parts),
        };
        let begin = match place.column.align {
            Align::Left => x,
            Align::Right => x + place.width - text::width(&cut).min(place.width),
        };
        let cell_area = Rect { width: area.width.min((x + place.width) as u16), ..area };
        let mark = (&cx.search, cx.theme.mark);
        line::put_marked(buffer, cell_area, (begin as u16, y), &cut, *style, mark);
        x += place.width + 1;
    }
}

/// The column at column `x` of the screen.
pub(in crate::tui) fn column_at(placed: &[Placed], x: u16) -> Option<Column> {
    let mut left = MARGIN;
    for place in placed {
        if (left..=left + place.width).contains(&usize::from(x)) {
            return Some(place.column);
        }
        left += place.width + 1;
    }
    None
}
