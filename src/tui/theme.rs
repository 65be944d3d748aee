//! Colours and weights. Colour is never the only sign: classes also have letters, and the selection is bold or reversed.

use ratatui::style::{Color, Modifier, Style};

use crate::calls::Class;
pub(super) use crate::calls::intervals::{CLASSES, index as class_index};

/// The colours of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// None: bold, dim and reversed only (`NO_COLOR`, dumb terminals).
    None,
    /// The sixteen named ones.
    #[default]
    Sixteen,
    /// The 256 of xterm, of medium lightness: for light and dark terminals.
    Many,
    /// The 256 of xterm, bright: for dark terminals, Solarized dark too.
    Dark,
    /// The 256 of xterm, dark: for light terminals, Solarized light too.
    Light,
    /// The strongest contrast: text has the terminal's foreground, what stands out has a ground of its own.
    HighContrast,
    /// Blue, vermilion and mauve, which people with any colour blindness tell apart, for light and dark terminals.
    ColorBlind,
}

impl Colors {
    /// What the key `theme` of the config file may be; `auto` is what the terminal can do.
    pub const NAMES: [&'static str; 7] =
        ["auto", "16", "dark", "light", "high-contrast", "colour-blind", "none"];

    /// The colours with a name of [`Self::NAMES`]; `None` for `auto`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "16" => Some(Self::Sixteen),
            "dark" => Some(Self::Dark),
            "light" => Some(Self::Light),
            "high-contrast" => Some(Self::HighContrast),
            "colour-blind" => Some(Self::ColorBlind),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// The name of colours; `auto` for `None`.
    pub(super) fn name_of(colors: Option<Self>) -> &'static str {
        Self::NAMES.into_iter().find(|name| Self::from_name(name) == colors).unwrap_or("auto")
    }

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
/// Text keeps the terminal's own foreground and background. Tests hold the contrast of the 256 colours against black and white, and
/// against the grounds of Solarized, whose bright black is the dark ground itself: the sixteen colours do without it.
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
                dim: plain.add_modifier(Modifier::DIM),
                strong: bold,
                head: plain.add_modifier(Modifier::DIM | Modifier::UNDERLINED),
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
                    plain.add_modifier(Modifier::DIM),
                    plain.fg(Color::Blue),
                    plain.add_modifier(Modifier::DIM),
                ],
            },
            Colors::Many => tones(&MANY),
            Colors::Dark => tones(&DARK),
            Colors::Light => tones(&LIGHT),
            Colors::ColorBlind => tones(&COLOR_BLIND),
            Colors::HighContrast => {
                let on = |text, ground| bold.fg(Color::Indexed(text)).bg(Color::Indexed(ground));
                Self {
                    dim: plain,
                    strong: bold,
                    head: bold.add_modifier(Modifier::UNDERLINED),
                    selected: reversed,
                    cell: reversed.add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
                    alarm: on(231, 88),
                    mark: on(16, 226),
                    key: bold,
                    classes: [
                        plain,
                        on(16, 220),
                        on(231, 88),
                        on(231, 54),
                        on(16, 252),
                        on(231, 18),
                        on(16, 252),
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

/// Colours of the 256, by what they are for.
struct Tones {
    dim: u8,
    /// Text and ground.
    selected: (u8, u8),
    cell: (u8, u8),
    mark: (u8, u8),
    alarm: u8,
    key: u8,
    /// In the order of [`class_index`]; `None` is the foreground.
    classes: [Option<u8>; CLASSES],
}

const MANY: Tones = Tones {
    dim: 244,
    selected: (231, 24),
    cell: (231, 31),
    mark: (16, 179),
    alarm: 160,
    key: 31,
    classes: [Some(34), Some(172), Some(160), Some(133), Some(244), Some(32), Some(244)],
};

const DARK: Tones = Tones {
    dim: 248,
    selected: (231, 24),
    cell: (231, 25),
    mark: (16, 221),
    alarm: 203,
    key: 81,
    classes: [Some(114), Some(215), Some(203), Some(176), Some(248), Some(75), Some(248)],
};

const LIGHT: Tones = Tones {
    dim: 241,
    selected: (16, 153),
    cell: (16, 117),
    mark: (16, 222),
    alarm: 124,
    key: 25,
    classes: [Some(22), Some(94), Some(124), Some(90), Some(241), Some(25), Some(241)],
};

/// The three of failures differ most, among the colours that are readable on black and on white, for the least favourable of the three
/// kinds of colour blindness as Machado et al. (2009) model them.
const COLOR_BLIND: Tones = Tones {
    dim: 244,
    selected: (231, 24),
    cell: (231, 25),
    mark: (16, 179),
    alarm: 33,
    key: 33,
    classes: [None, Some(202), Some(33), Some(138), Some(244), Some(244), Some(244)],
};

/// Failures are bold.
fn tones(tones: &Tones) -> Theme {
    let plain = Style::new();
    let bold = plain.add_modifier(Modifier::BOLD);
    let tone = |index| plain.fg(Color::Indexed(index));
    let on = |(text, ground): (u8, u8)| plain.fg(Color::Indexed(text)).bg(Color::Indexed(ground));
    let mut classes = tones.classes.map(|index| index.map_or(plain, tone));
    for class in [Class::Business, Class::Rpc, Class::Transport] {
        let style = &mut classes[class_index(Some(class))];
        *style = style.add_modifier(Modifier::BOLD);
    }
    Theme {
        dim: tone(tones.dim),
        strong: bold,
        head: tone(tones.dim).add_modifier(Modifier::UNDERLINED),
        selected: on(tones.selected).add_modifier(Modifier::BOLD),
        cell: on(tones.cell).add_modifier(Modifier::BOLD),
        alarm: bold.fg(Color::Indexed(tones.alarm)),
        mark: on(tones.mark),
        key: bold.fg(Color::Indexed(tones.key)),
        classes,
    }
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

    /// Red, green and blue of the 256 colours of xterm, from 16 on.
    fn rgb(index: u8) -> [u8; 3] {
        if let Some(grey) = index.checked_sub(232) {
            return [8 + 10 * grey; 3];
        }
        let level = |part: u8| [0, 95, 135, 175, 215, 255][usize::from(part % 6)];
        let cube = index - 16;
        [level(cube / 36), level(cube / 6), level(cube)]
    }

    /// The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |color: [u8; 3]| {
            let linear = color.map(|part| {
                let part = f64::from(part) / 255.0;
                if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_theme_is_readable_on_its_grounds() {
        const BLACK: [u8; 3] = [0; 3];
        const WHITE: [u8; 3] = [255; 3];
        const SOLARIZED_DARK: [u8; 3] = [0x00, 0x2b, 0x36];
        const SOLARIZED_LIGHT: [u8; 3] = [0xfd, 0xf6, 0xe3];
        for (name, tones, least, grounds) in [
            ("many", &MANY, 2.6, &[BLACK, WHITE, SOLARIZED_DARK, SOLARIZED_LIGHT][..]),
            ("dark", &DARK, 4.5, &[BLACK, SOLARIZED_DARK]),
            ("light", &LIGHT, 4.5, &[WHITE, SOLARIZED_LIGHT]),
            ("colour-blind", &COLOR_BLIND, 2.6, &[BLACK, WHITE, SOLARIZED_DARK, SOLARIZED_LIGHT]),
        ] {
            let texts = tones.classes.iter().flatten().chain([&tones.dim, &tones.alarm, &tones.key]);
            for (text, ground) in texts.flat_map(|text| grounds.iter().map(move |ground| (*text, *ground))) {
                let found = contrast(rgb(text), ground);
                assert!(found >= least, "{name}: {text} on {ground:?} is {found:.1}");
            }
            for (text, ground) in [tones.selected, tones.cell, tones.mark] {
                assert!(contrast(rgb(text), rgb(ground)) >= 4.0, "{name}: {text} on {ground}");
            }
        }
        let strong = Theme::new(Colors::HighContrast);
        for style in strong.classes.iter().chain([&strong.alarm, &strong.mark]) {
            if let (Some(Color::Indexed(text)), Some(Color::Indexed(ground))) = (style.fg, style.bg) {
                assert!(contrast(rgb(text), rgb(ground)) >= 7.0, "{text} on {ground}");
            }
        }
    }

    #[test]
    fn sixteen_colours_do_without_the_one_that_solarized_makes_the_ground() {
        let Theme { dim, strong, head, selected, cell, alarm, mark, key, classes } =
            Theme::new(Colors::Sixteen);
        let all = [dim, strong, head, selected, cell, alarm, mark, key].into_iter().chain(classes);
        assert!(all.into_iter().all(|style| style.fg != Some(Color::DarkGray)));
    }

    #[test]
    fn every_name_is_a_theme() {
        let themes = Colors::NAMES.map(Colors::from_name);
        assert_eq!(themes.iter().filter(|theme| theme.is_none()).count(), 1);
        assert_eq!(Colors::from_name("auto"), None);
    }

    #[test]
    fn every_class_has_an_index() {
        assert!(Class::ALL.iter().all(|c| class_index(Some(*c)) < class_index(None)));
    }
}
