//! The line that is being typed, with its completions or its mistake.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line;
use crate::text;
use crate::tui::keys::Action;
use crate::tui::state::State;
use crate::tui::state::output::default_name;
use crate::tui::state::prompt::{Menu, Prompt, Purpose};
use crate::tui::theme::Theme;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(prompt) = &state.prompt else { return };
    let theme = &state.cx.theme;
    let top = area.height - 3;
    let buffer = frame.buffer_mut();
    for y in top..area.height {
        line::clear(buffer, area, y);
    }
    let x = line::put(buffer, area, 1, top, &label(state, prompt), theme.key);
    let room = usize::from(area.width.saturating_sub(x + 1));
    let before = text::width(&text::escape(&prompt.text()[..prompt.cursor()]));
    // A long line scrolls to the cursor.
    let skip = before.saturating_sub(room.saturating_sub(1));
    let safe = text::escape(prompt.text());
    let shown = skip_columns(&safe, skip);
    line::put(buffer, area, x, top, shown, theme.strong);
    if prompt.purpose == Purpose::Export && prompt.text().is_empty() {
        line::put(buffer, area, x, top, default_name(state.has_packets), theme.dim);
    }
    if !prompt.menu.entries.is_empty() {
        menu(buffer, area, top + 1, &prompt.menu, theme);
    } else if let Some(remark) = &prompt.remark {
        line::put(buffer, area, 1, top + 1, &text::escape(remark), theme.alarm);
    } else if let Some(error) = &prompt.error {
        caret(buffer, area, (x, top + 1), prompt, error, skip, theme.alarm);
    } else {
        let (next, previous) = (state.cx.key(Action::NextMatch), state.cx.key(Action::PreviousMatch));
        let hint = match prompt.purpose {
            Purpose::Filter => {
                "Tab completes  ↑↓ history  ⏎ accepts  Esc cancels   e.g. class in (business, rpc) and latency > 20ms".to_owned()
            }
            Purpose::Search if prompt.log_line.is_some() => {
                format!("an error line: ⏎ goes to its call, {next} and {previous} to the next likeliest  Esc cancels")
            }
            Purpose::Search => {
                format!("⏎ finds the next match, {next} and {previous} go on  ↑↓ history  Esc cancels")
            }
            Purpose::Command => {
                let help = state.cx.key(Action::Help);
                format!("Tab completes  ↑↓ history  Esc cancels   e.g. goto 01:34:09; the {help} page lists all")
            }
            Purpose::Export => "Tab completes  ⏎ writes   .pcapng: packets for Wireshark  .jsonl: records".to_owned(),
        };
        line::put(buffer, area, 1, top + 1, &hint, theme.dim);
    }
    if let Some(choice) = prompt.choice.as_ref().filter(|_| prompt.menu.entries.is_empty()) {
        let others: Vec<_> = choice.others().map(|which| state.words_of(choice, which)).collect();
        if !others.is_empty() {
            line::put(buffer, area, 1, top + 2, &format!("⇧Tab instead: {}", others.join(", ")), theme.dim);
        }
    }
    let column = x + (before - skip) as u16;
    frame.set_cursor_position((area.x + column.min(area.width - 1), area.y + top));
}

/// What the line asks for.
fn label(state: &State, prompt: &Prompt) -> String {
    match &prompt.choice {
        Some(choice) => {
            format!("{}{} to: ", prompt.purpose.label(), state.words_of(choice, choice.chosen()))
        }
        None => prompt.purpose.label().to_owned(),
    }
}

/// The completions in one line, from a page on that has the one in the line, and what that one means below.
fn menu(buffer: &mut Buffer, area: Rect, y: u16, menu: &Menu, theme: &Theme) {
    let texts: Vec<_> = menu.entries.iter().map(|(text, _)| text::escape(text)).collect();
    let room = usize::from(area.width).saturating_sub(4);
    let (mut first, mut used) = (0, 0);
    for (at, text) in texts.iter().enumerate().take(menu.at.map_or(0, |at| at + 1)) {
        used += text::width(text) + 2;
        if used > room {
            (first, used) = (at, text::width(text) + 2);
        }
    }
    let mut x = 1;
    for (at, text) in texts.iter().enumerate().skip(first) {
        if usize::from(x) + text::width(text) > room {
            line::put(buffer, area, x, y, "…", theme.dim);
            break;
        }
        let style = if menu.at == Some(at) { theme.strong } else { theme.dim };
        x = line::put(buffer, area, x, y, text, style) + 2;
    }
    let said = menu.at.and_then(|at| menu.entries.get(at)).map(|(_, doc)| doc.as_str());
    line::put(buffer, area, 1, y + 1, said.unwrap_or("Tab ⇧Tab choose"), theme.dim);
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
