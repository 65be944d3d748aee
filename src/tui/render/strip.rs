//! The strip above the calls: how many began when, and how many of them failed, by class.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::frame::short_number;
use super::line;
use crate::calls::labels;
use crate::text;
use crate::tui::spark::bar;
use crate::tui::state::State;
use crate::tui::timeline::{all, failed, worst};

/// Columns of the words before the bars.
pub(in crate::tui) const LABEL: u16 = 14;

/// Draws the strip: bars of all calls where there are three lines, bars of failed calls in the colour of the class of most of
/// them, and its letter.
pub(super) fn render(buffer: &mut Buffer, area: Rect, state: &State) {
    if area.height == 0 {
        return;
    }
    let theme = &state.cx.theme;
    let columns = state.strip();
    let highest = |of: fn(&_) -> u32| columns.parts.iter().map(of).max().unwrap_or(0);
    let label = |word: &str, most: u32| format!("{word} ≤{}", short_number(most.into()));
    let (most, most_failed) = (highest(all), highest(failed));
    let letters = area.height.saturating_sub(1);
    let errors = letters.saturating_sub(1);
    let label_area = Rect { width: LABEL.saturating_sub(1), ..area };
    if errors > 0 {
        line::put(buffer, label_area, 1, 0, &label("calls", most), theme.dim);
    }
    line::put(buffer, label_area, 1, errors, &label("errors", most_failed), theme.dim);
    if !columns.parts.is_empty() {
        let per = format!("in {}", text::duration(columns.width.unsigned_abs()));
        line::put(buffer, label_area, 1, letters, &per, theme.dim);
    }
    let here = state.selected_part(&columns);
    for (at, part) in columns.parts.iter().enumerate() {
        let x = LABEL + at as u16;
        let class = worst(part);
        if errors > 0 {
            line::put(buffer, area, x, 0, &bar(all(part), most).to_string(), theme.dim);
        }
        let (sign, style) = match (failed(part), all(part)) {
            (0, 0) => (' ', theme.dim),
            (0, _) => ('·', theme.dim),
            (bad, _) => (bar(bad, most_failed), theme.class(class)),
        };
        line::put(buffer, area, x, errors, &sign.to_string(), style);
        if class.is_some() {
            line::put(buffer, area, x, letters, &labels::letter(class).to_string(), theme.class(class));
        }
        if here == Some(at) && x < area.width {
            let cell = Rect { x: area.x + x, y: area.y + letters, width: 1, height: 1 };
            buffer.set_style(cell, ratatui::style::Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}
