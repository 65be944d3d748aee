//! The help page, made from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line;
use crate::tui::keys::Action;
use crate::tui::state::State;

/// The letters of the classes.
const LEGEND: [&str; 2] = [
    "B business error   R RPC error: the framework failed   N the connection broke",
    "? no answer        1 one-way   ~ outcome not captured   ≡ a log has it (--log)",
];

pub(super) fn render(buffer: &mut Buffer, area: Rect, state: &State, top: usize) {
    let theme = &state.cx.theme;
    let x = line::put(buffer, area, 1, 0, "rpcscope keys", theme.strong);
    let back = state.cx.key(Action::Back);
    let hint = format!("({back} goes back; hold Shift to select text with the mouse)");
    line::put(buffer, area, x + 3, 0, &hint, theme.dim);
    for (y, legend) in LEGEND.iter().enumerate() {
        line::put(buffer, area, 1, 1 + y as u16, legend, theme.dim);
    }
    let body = Rect { y: area.y + 3, height: area.height.saturating_sub(4), ..area };
    for (y, (keys, text)) in state.cx.keys.help().iter().skip(top).take(usize::from(body.height)).enumerate()
    {
        let y = y as u16;
        if keys.is_empty() {
            line::put(buffer, body, 1, y, text, theme.strong);
        } else {
            line::put(buffer, body, 3, y, keys, theme.key);
            line::put_marked(buffer, body, (20, y), text, Style::new(), (&state.cx.search, theme.mark));
        }
    }
}
