//! The sentence below a list: what the selected row means, for a tired person.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::{Call, Class, summary};
use crate::text;
use crate::tui::keys::Action;
use crate::tui::state::context::Context;

/// A text in two parts. Where there is no room for both, the first one is cut.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Sentence {
    pub main: String,
    pub rest: Option<String>,
    /// Follows the second part if there is room.
    pub hint: String,
    pub style: Style,
}

impl From<String> for Sentence {
    fn from(main: String) -> Self {
        Self { main, ..Self::default() }
    }
}

impl Sentence {
    /// What happened to a call and, if it failed and its chain is known, where the error began.
    pub(in crate::tui) fn of_call(cx: &Context, call: &Call) -> Self {
        let main = summary::sentence(call);
        let rest = cx.chains.of(call.uid).and_then(|(chain, hop)| chain.cause(hop));
        let hint = format!(" ({} shows the chain)", cx.key(Action::Chain));
        Self { main, rest, hint, ..Self::default() }.colored(cx, call.class())
    }

    /// The same text in the colour of a class.
    pub(in crate::tui) fn colored(self, cx: &Context, class: Option<Class>) -> Self {
        Self { style: cx.theme.class(class).remove_modifier(Modifier::BOLD), ..self }
    }

    /// Writes the text from line `y` of an area on, in at most `lines` lines.
    pub(super) fn put(&self, buffer: &mut Buffer, area: Rect, y: u16, lines: u16) {
        let width = usize::from(area.width).saturating_sub(2);
        for (i, part) in self.lines(width, usize::from(lines)).iter().enumerate() {
            line::put(buffer, area, 1, y + i as u16, part, self.style);
        }
    }

    fn lines(&self, width: usize, lines: usize) -> Vec<String> {
        let Some(rest) = &self.rest else { return line::paragraphs(&self.main, None, width, lines) };
        let hinted = format!("{rest}{}", self.hint);
        // The hint is the first to go.
        let rest = if text::width(&hinted) <= width { &hinted } else { rest };
        line::paragraphs(&self.main, Some(rest), width, lines)
    }
}
