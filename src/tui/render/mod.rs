//! Drawing: turns the state into cells of the screen, and changes nothing.

mod chooser;
mod detail;
mod frame;
mod help;
pub(super) mod line;
mod prompt;
pub(super) mod sentence;
mod strip;
pub(super) mod table;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod tests_of_detail;

use ratatui::Frame;
use ratatui::layout::Rect;

pub(super) use frame::{tab_spots, title_spots};
pub(super) use strip::LABEL as STRIP_LABEL;

use super::state::{SMALLEST, State};

/// Draws everything.
pub(super) fn render(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        let text =
            format!("terminal too small: {width}x{height} needed, this is {}x{}", area.width, area.height);
        line::put(frame.buffer_mut(), area, 0, 0, &text, state.cx.theme.alarm);
        return;
    }
    if let Some(top) = state.help {
        help::render(frame.buffer_mut(), area, state, top);
        footer(frame, area, state);
        return;
    }
    let buffer = frame.buffer_mut();
    frame::title(buffer, area, state);
    frame::tabs(buffer, area, state);
    if let Some(page) = &state.detail {
        detail::render(buffer, area, &state.cx, page, state.detail_layout());
    } else {
        let view = state.view();
        let list = state.list_area();
        frame::rule_with_filter(buffer, area, state);
        strip::render(buffer, state.strip_area(), state);
        frame::rule_with_problem(buffer, area, state, list.bottom());
        let lines = view.sentence_lines(state.height);
        if let Some(chooser) = &state.chooser {
            chooser::render(buffer, list, state, chooser);
            chooser::sentence(state).put(buffer, area, list.bottom() + 1, lines);
        } else {
            view.render(buffer, list, &state.cx);
            view.sentence(&state.cx).put(buffer, area, list.bottom() + 1, lines);
        }
    }
    footer(frame, area, state);
}

/// The line that is being typed, or the keys.
fn footer(frame: &mut Frame<'_>, area: Rect, state: &State) {
    if state.prompt.is_some() {
        prompt::render(frame, area, state);
    } else {
        frame::footer(frame.buffer_mut(), area, state);
    }
}
