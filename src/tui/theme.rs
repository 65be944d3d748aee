//! Colours and weights. Colour is never the only sign: classes also have letters, and the selection is bold or reversed.

use ratatui::style::{Color, Modifier, Style};

use crate::calls::Class;

/// The colours of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// None: bold, dim and reversed only (`NO_COLOR`, dumb terminals).
    None,
    /// The sixteen named ones.
    #[default]
    Sixteen,
    /// The 256 of xterm.
    Many,
}

impl Colors {
    /// The colours according to the environment: `NO_COLOR` (<https://no-color.org>), `TERM`, `COLORTERM`.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let term = variable("TERM").unwrap_or_default();
        if variable("NO_COLOR").is_some_and(|v| !v.is_empty()) || term == "dumb" {
            Self::None
        } else if term.contains("256color") || variable("COLORTERM").is_some_and(|v| !v.is_empty()) {
            Self::Many
        } else {
            Self::Sixteen
        }
    }
}

/// The styles of everything that is drawn.
///
/// Text keeps the terminal's own foreground and background, and the 256 colours used here are of medium lightness, so that
/// everything is readable on light and on dark terminals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// Labels, rules, and other less important text.
    pub dim: Style,
    /// Important text: names, the open tab.
    pub strong: Style,
    /// Column heads.
    pub head: Style,
    /// The selected row.
    pub selected: Style,
    /// The cell of the selected row that `=` and `!` act on.
    pub cell: Style,
    /// Losses, problems, mistakes in a filter.
    pub alarm: Style,
    /// Matches of the search, bytes of the selected field.
    pub mark: Style,
    /// Keys in the footer.
    pub key: Style,
    classes: [Style; 7],
}

impl Theme {
    pub(super) fn new(colors: Colors) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        match colors {
            Colors::None => Self {
                dim: plain.add_modifier(Modifier::DIM),
                strong: bold,
                head: plain.add_modifier(Modifier::UNDERLINED),
                selected: reversed,
                cell: reversed.add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
                alarm: reversed.add_modifier(Modifier::BOLD),
                mark: reversed,
                key: bold,
                classes: [plain, bold, bold, bold, plain, plain, plain],
            },
            Colors::Sixteen => Self {
                dim: plain.fg(Color::DarkGray),
                strong: bold,
                head: plain.fg(Color::DarkGray).add_modifier(Modifier::UNDERLINED),
                selected: reversed,
                cell: reversed.add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
                alarm: bold.fg(Color::Red),
                mark: plain.fg(Color::Black).bg(Color::Yellow),
                key: bold.fg(Color::Cyan),
                classes: [
                    plain.fg(Color::Green),
                    bold.fg(Color::Yellow),
                    bold.fg(Color::Red),
                    bold.fg(Color::Magenta),
                    plain.fg(Color::DarkGray),
                    plain.fg(Color::Blue),
                    plain.fg(Color::DarkGray),
                ],
            },
            Colors::Many => {
                let tone = |index| plain.fg(Color::Indexed(index));
                Self {
                    dim: tone(244),
                    strong: bold,
                    head: tone(244).add_modifier(Modifier::UNDERLINED),
                    selected: bold.fg(Color::Indexed(231)).bg(Color::Indexed(24)),
                    cell: bold.fg(Color::Indexed(231)).bg(Color::Indexed(31)),
                    alarm: bold.fg(Color::Indexed(160)),
                    mark: plain.fg(Color::Indexed(16)).bg(Color::Indexed(179)),
                    key: bold.fg(Color::Indexed(31)),
                    classes: [
                        tone(34),
                        bold.fg(Color::Indexed(172)),
                        bold.fg(Color::Indexed(160)),
                        bold.fg(Color::Indexed(133)),
                        tone(244),
                        tone(32),
                        tone(244),
                    ],
                }
            }
        }
    }

    /// The colour of a class; `None` is the unknown class.
    pub(super) fn class(&self, class: Option<Class>) -> Style {
        self.classes[class_index(class)]
    }
}

/// Number of classes, including the unknown one.
pub(super) const CLASSES: usize = Class::ALL.len() + 1;

/// Index of a class in arrays of [`CLASSES`]; the unknown class is the last.
pub(super) fn class_index(class: Option<Class>) -> usize {
    class.map_or(CLASSES - 1, |c| c as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_the_colours() {
        let detect = |pairs: &[(&str, &str)]| {
            let owned: Vec<(String, String)> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Colors::detect(move |name| owned.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        assert_eq!(detect(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Colors::None);
        assert_eq!(detect(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Colors::Many);
        assert_eq!(detect(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), Colors::None);
        assert_eq!(detect(&[("TERM", "linux")]), Colors::Sixteen);
        assert_eq!(detect(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]), Colors::Many);
    }

    #[test]
    fn every_class_has_an_index() {
        assert!(Class::ALL.iter().all(|c| class_index(Some(*c)) < class_index(None)));
    }
}
