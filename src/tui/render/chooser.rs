//! The choice of columns, in place of the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line;
use super::sentence::Sentence;
use crate::tui::state::State;
use crate::tui::state::chooser::Chooser;
use crate::tui::views::calls::cells;

/// Screen columns of the boxes and the names.
const NAMES: u16 = 28;

pub(super) fn render(buffer: &mut Buffer, area: Rect, state: &State, chooser: &Chooser) {
    let theme = &state.cx.theme;
    for y in 0..area.height {
        let at = chooser.list.top + usize::from(y);
        let Some((column, is_shown)) = chooser.rows.get(at) else { break };
        let (sign, style) = if *is_shown { ("[x]", theme.strong) } else { ("[ ]", Style::new()) };
        line::put(buffer, area, 1, y, sign, style);
        let mark = (&state.cx.search, theme.mark);
        line::put_marked(
            buffer,
            Rect { width: NAMES.min(area.width), ..area },
            (5, y),
            cells::name(*column),
            style,
            mark,
        );
        line::put_marked(buffer, area, (NAMES + 1, y), cells::doc(*column), theme.dim, mark);
        if at == chooser.list.selected {
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, theme.selected);
        }
    }
}

/// The columns that have room, as the list will have them.
pub(super) fn sentence(state: &State) -> Sentence {
    let placed = state.view().columns(usize::from(state.width));
    let heads: Vec<_> = placed.iter().map(|placed| placed.column.head).collect();
    let left_out = state.views.calls.chosen.len().saturating_sub(heads.len());
    let more = if left_out > 0 { format!("; no room for {left_out} more") } else { String::new() };
    Sentence::from(format!("columns here: {}{more}", heads.join(", ")))
}
