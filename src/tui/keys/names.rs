//! Keys and their names: as the screen writes them, and as the config file does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with the only modifier that matters here; capital letters are separate characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::tui) struct Key {
    pub code: KeyCode,
    pub control: bool,
    /// Only with arrows.
    pub shift: bool,
}

impl Key {
    /// The key as the footer and the help page write it.
    pub(in crate::tui) fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "space".to_owned(),
            KeyCode::Char(c) if self.control => return format!("^{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Enter => "⏎".to_owned(),
            KeyCode::Esc => "Esc".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::BackTab => "⇧Tab".to_owned(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::F(n) => format!("F{n}"),
            other => format!("{other:?}"),
        };
        match (self.control, self.shift) {
            (true, _) => format!("^{name}"),
            (false, true) => format!("⇧{name}"),
            (false, false) => name,
        }
    }
}

/// Names of keys in the config file, which have no character.
const NAMED: [(&str, KeyCode); 16] = [
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("page-up", KeyCode::PageUp),
    ("page-down", KeyCode::PageDown),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("insert", KeyCode::Insert),
    ("delete", KeyCode::Delete),
    ("backspace", KeyCode::Backspace),
];

impl Key {
    /// The key as the config file writes it: `e`, `E`, `ctrl-x`, `space`, `shift-up`, `f5`.
    pub(in crate::tui) fn written(self) -> String {
        let named = NAMED.iter().find(|(_, code)| *code == self.code).map(|(name, _)| (*name).to_owned());
        let name = named.unwrap_or_else(|| match self.code {
            KeyCode::Char(c) => c.to_string(),
            KeyCode::F(n) => format!("f{n}"),
            other => format!("{other:?}"),
        });
        let modifier = if self.control { "ctrl-" } else { "" };
        format!("{modifier}{}{name}", if self.shift { "shift-" } else { "" })
    }

    /// The key that is written so.
    pub(in crate::tui) fn read(text: &str) -> Option<Self> {
        let (control, name) = text.strip_prefix("ctrl-").map_or((false, text), |name| (true, name));
        let known = |name: &str| NAMED.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
        if let Some(code) = name.strip_prefix("shift-").and_then(known) {
            let is_arrow = matches!(code, KeyCode::Up | KeyCode::Down | KeyCode::Left | KeyCode::Right);
            return is_arrow
                .then_some(Self { code, control, shift: true })
                .or_else(|| known(name).map(|code| Self { code, control, shift: false }));
        }
        let function =
            || name.strip_prefix('f')?.parse().ok().filter(|n| (1..=12).contains(n)).map(KeyCode::F);
        let mut chars = name.chars();
        let one = || {
            chars.next().filter(|c| chars.next().is_none() && !c.is_control() && *c != ' ').map(KeyCode::Char)
        };
        let code = known(name).or_else(function).or_else(one)?;
        Some(Self { code, control, shift: false })
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let is_arrow = matches!(event.code, KeyCode::Up | KeyCode::Down | KeyCode::Left | KeyCode::Right);
        Self {
            code: event.code,
            control: event.modifiers.contains(KeyModifiers::CONTROL),
            shift: is_arrow && event.modifiers.contains(KeyModifiers::SHIFT),
        }
    }
}
