//! The line that is being typed, with its completions or its mistake.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line;
use crate::text;
use crate::tui::state::State;
use crate::tui::state::prompt::{Prompt, Purpose};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(prompt) = &state.prompt else { return };
    let theme = &state.cx.theme;
    let top = area.height - 3;
    let buffer = frame.buffer_mut();
    for y in top..area.height {
        line::clear(buffer, area, y);
    }
    let x = line::put(buffer, area, 1, top, prompt.purpose.label(), theme.key);
    let room = usize::from(area.width.saturating_sub(x + 1));
    let before = text::width(&text::escape(&prompt.text()[..prompt.cursor()]));
    // A long line scrolls to the cursor.
    let skip = before.saturating_sub(room.saturating_sub(1));
    let safe = text::escape(prompt.text());
    let shown = skip_columns(&safe, skip);
    line::put(buffer, area, x, top, shown, theme.strong);
    if let Some(error) = &prompt.error {
        caret(buffer, area, (x, top + 1), prompt, error, skip, theme.alarm);
    } else if prompt.candidates.is_empty() {
        let hint = match prompt.purpose {
            Purpose::Filter => {
                "Tab completes  ↑↓ history  ⏎ accepts  Esc cancels   e.g. class in (business, rpc) and latency > 20ms"
            }
            Purpose::Search if prompt.log_line.is_some() => {
                "an error line: ⏎ goes to its call, n and N to the next likeliest  Esc cancels"
            }
            Purpose::Search => "⏎ finds the next match, n and N go on  ↑↓ history  Esc cancels",
            Purpose::Command => "Tab completes  ↑↓ history  Esc cancels   e.g. goto 01:34:09; ? lists all",
            Purpose::Export => {
                ".pcapng: the packets, for Wireshark; any other name: one JSON record for each call"
            }
        };
        line::put(buffer, area, 1, top + 1, hint, theme.dim);
    } else {
        line::put(buffer, area, 1, top + 1, &prompt.candidates.join("  "), theme.dim);
    }
    let column = x + (before - skip) as u16;
    frame.set_cursor_position((area.x + column.min(area.width - 1), area.y + top));
}

/// Carets under the mistake, and the message after them or, without room, in another line.
fn caret(
    buffer: &mut Buffer,
    area: Rect,
    (x, y): (u16, u16),
    prompt: &Prompt,
    error: &crate::filter::FilterError,
    skip: usize,
    style: Style,
) {
    let start = error.span.start.min(prompt.text().len());
    let before = text::width(&text::escape(&prompt.text()[..start])).saturating_sub(skip);
    let wrong = prompt.text().get(error.span.clone()).unwrap_or_default();
    let length = text::width(&text::escape(wrong)).clamp(1, usize::from(area.width));
    let at = x + before as u16;
    let message = error.to_string();
    let safe = text::escape(&message);
    line::put(buffer, area, at, y, &"^".repeat(length), style);
    let after = usize::from(at) + length + 1;
    if after + text::width(&safe) <= usize::from(area.width) {
        line::put(buffer, area, after as u16, y, &safe, style);
    } else if y + 1 < area.height {
        line::put(buffer, area, 1, y + 1, &safe, style);
    } else {
        line::put(buffer, area, 1, y, &safe, style);
    }
}

/// The text without its first `columns` columns.
fn skip_columns(text: &str, columns: usize) -> &str {
    let mut skipped = 0;
    for (at, c) in text.char_indices() {
        if skipped >= columns {
            return &text[at..];
        }
        skipped += text::width(c.encode_utf8(&mut [0; 4]));
    }
    if columns == 0 { text } else { "" }
}
