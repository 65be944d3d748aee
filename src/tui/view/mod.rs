//! Drawing: state in, cells of the screen out, and nothing else.

mod calls;
mod chains;
mod changes;
mod connections;
mod detail;
mod errors;
mod frame;
mod graph;
mod help;
mod line;
mod prompt;
mod sentence;
mod services;
mod table;
#[cfg(test)]
pub(super) mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;

pub(super) use frame::{tab_spots, title_spots};
pub(super) use table::column_at;

use super::keys::View;
use super::state::{LINES_ABOVE, SMALLEST, State};

/// Draws everything.
pub(super) fn render(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        let text =
            format!("terminal too small: {width}x{height} needed, this is {}x{}", area.width, area.height);
        line::put(frame.buffer_mut(), area, 0, 0, &text, state.theme.alarm);
        return;
    }
    if let Some(top) = state.help {
        help::render(frame, area, state, top);
        below(frame, area, state);
        return;
    }
    frame::title(frame.buffer_mut(), area, state);
    frame::tabs(frame.buffer_mut(), area, state);
    if let Some(detail) = &state.detail {
        detail::render(frame, area, state, detail);
    } else {
        frame::rule_with_filter(frame.buffer_mut(), area, state);
        let above = if state.view == View::Chains { LINES_ABOVE - 1 } else { LINES_ABOVE };
        let below = 2 + state.sentence_lines(state.view);
        let body = Rect {
            x: area.x,
            y: area.y + above,
            width: area.width,
            height: area.height.saturating_sub(above + below),
        };
        match state.view {
            View::Calls => calls::render(frame, body, state),
            View::Errors => errors::render(frame, body, state),
            View::Services => services::render(frame, body, state),
            View::Connections => connections::render(frame, body, state),
            View::Chains => chains::render(frame, body, state),
            View::Changes => changes::render(frame, body, state),
            View::Graph => graph::render(frame, body, state),
        }
        frame::rule_with_troubles(frame.buffer_mut(), area, state);
        sentence::render(frame.buffer_mut(), area, state);
    }
    below(frame, area, state);
}

/// The line that is being typed, or the footer.
fn below(frame: &mut Frame<'_>, area: Rect, state: &State) {
    if state.prompt.is_some() {
        prompt::render(frame, area, state);
    } else {
        frame::footer(frame.buffer_mut(), area, state);
    }
}
