//! Colours of classes. A colour never stands alone: a letter says the same ([`crate::calls::labels::letter`]).

use anstyle::{AnsiColor, Style};

use crate::calls::Class;

/// The style of a class; plain for ok. Only the sixteen colours, which every terminal adapts to its background.
#[must_use]
pub fn class(class: Option<Class>) -> Style {
    match class {
        // Bright black is the dark ground of Solarized.
        Some(class) if class.row().color == Some(AnsiColor::BrightBlack) => Style::new().dimmed(),
        Some(class) => class.row().color.map_or(Style::new(), AnsiColor::on_default),
        None => AnsiColor::Cyan.on_default(),
    }
}

/// The style of head lines.
#[must_use]
pub fn head() -> Style {
    Style::new().bold()
}

/// Appends `text` in `style`, or plain.
pub fn push(out: &mut String, style: Style, colored: bool, text: &str) {
    use std::fmt::Write as _;
    if colored && style != Style::new() && !text.trim().is_empty() {
        // Writing to a String can't fail.
        _ = write!(out, "{style}{text}{style:#}");
    } else {
        out.push_str(text);
    }
}
