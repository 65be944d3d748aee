//! The line that is being typed: filter, search or file name, with history.

use crossterm::event::KeyCode;

use crate::filter::FilterError;
use crate::tui::keys::Key;

/// Lines of history that are kept of each kind.
const HISTORY_LIMIT: usize = 100;
/// Longest line in bytes.
const LINE_LIMIT: usize = 4_096;

/// What the line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Purpose {
    /// A call filter, applied as it is typed.
    Filter,
    /// Text to look for.
    Search,
    /// A file to write calls or their packets to.
    Export,
}

impl Purpose {
    /// What stands before the line.
    pub(in crate::tui) fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter: ",
            Self::Search => "search: ",
            Self::Export => "export to (.jsonl or .pcapng): ",
        }
    }
}

/// What a key did to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Typed {
    /// Nothing, or the cursor moved.
    Moved,
    /// The text changed.
    Changed,
    /// Completion was asked for.
    Complete,
    /// The line is done.
    Done,
    /// The line is given up.
    GivenUp,
}

/// The line.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Prompt {
    pub purpose: Purpose,
    pub text: String,
    /// Byte offset of the cursor in `text`; always on a character border.
    pub cursor: usize,
    /// What held before, for giving up.
    pub before: String,
    /// What is wrong with the text, and where.
    pub error: Option<FilterError>,
    /// What could stand at the cursor.
    pub candidates: Vec<String>,
    recalled: Option<usize>,
}

impl Prompt {
    pub(in crate::tui) fn new(purpose: Purpose, text: String, before: String) -> Self {
        let cursor = text.len();
        Self { purpose, text, cursor, before, error: None, candidates: Vec::new(), recalled: None }
    }

    /// Takes a key.
    pub(in crate::tui) fn key(&mut self, key: Key, history: &History) -> Typed {
        match (key.code, key.control) {
            (KeyCode::Enter, _) => return Typed::Done,
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Typed::GivenUp,
            (KeyCode::Tab, _) => return Typed::Complete,
            (KeyCode::Left, _) | (KeyCode::Char('b'), true) => self.cursor = self.left(),
            (KeyCode::Right, _) | (KeyCode::Char('f'), true) => self.cursor = self.right(),
            (KeyCode::Home, _) | (KeyCode::Char('a'), true) => self.cursor = 0,
            (KeyCode::End, _) | (KeyCode::Char('e'), true) => self.cursor = self.text.len(),
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => {
                let left = self.left();
                return self.replace(left, self.cursor, "");
            }
            (KeyCode::Delete, _) | (KeyCode::Char('d'), true) => {
                let right = self.right();
                return self.replace(self.cursor, right, "");
            }
            (KeyCode::Char('u'), true) => return self.replace(0, self.cursor, ""),
            (KeyCode::Char('k'), true) => return self.replace(self.cursor, self.text.len(), ""),
            (KeyCode::Char('w'), true) => {
                let head = self.text[..self.cursor].trim_end();
                let start = head.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                return self.replace(start, self.cursor, "");
            }
            (KeyCode::Up, _) | (KeyCode::Char('p'), true) => return self.recall(history, true),
            (KeyCode::Down, _) | (KeyCode::Char('n'), true) => return self.recall(history, false),
            (KeyCode::Char(c), false) => {
                let mut buffer = [0; 4];
                return self.replace(self.cursor, self.cursor, c.encode_utf8(&mut buffer));
            }
            _ => {}
        }
        Typed::Moved
    }

    /// Puts text in at the cursor (a paste); control characters are left out.
    pub(in crate::tui) fn insert(&mut self, text: &str) -> Typed {
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        self.replace(self.cursor, self.cursor, &clean)
    }

    /// Replaces a part of the text and puts the cursor behind it.
    pub(in crate::tui) fn replace(&mut self, start: usize, end: usize, with: &str) -> Typed {
        if self.text.len() + with.len() > LINE_LIMIT || (start == end && with.is_empty()) {
            return Typed::Moved;
        }
        self.text.replace_range(start..end, with);
        self.cursor = start + with.len();
        self.candidates.clear();
        Typed::Changed
    }

    fn left(&self) -> usize {
        self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        self.text[self.cursor..].chars().next().map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn recall(&mut self, history: &History, back: bool) -> Typed {
        let lines = history.of(self.purpose);
        let at = match (self.recalled, back) {
            (None, true) => lines.len().checked_sub(1),
            (Some(at), true) => Some(at.saturating_sub(1)),
            (Some(at), false) if at + 1 < lines.len() => Some(at + 1),
            (_, false) => None,
        };
        if at.is_none() && self.recalled.is_none() {
            return Typed::Moved;
        }
        self.recalled = at;
        self.text = at.and_then(|at| lines.get(at)).cloned().unwrap_or_default();
        self.cursor = self.text.len();
        self.candidates.clear();
        Typed::Changed
    }
}

/// Lines typed before.
#[derive(Debug, Default)]
pub(in crate::tui) struct History {
    filters: Vec<String>,
    searches: Vec<String>,
    exports: Vec<String>,
}

impl History {
    fn of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Filter => &self.filters,
            Purpose::Search => &self.searches,
            Purpose::Export => &self.exports,
        }
    }

    /// Keeps a line as the newest.
    pub(in crate::tui) fn keep(&mut self, purpose: Purpose, line: &str) {
        let lines = match purpose {
            Purpose::Filter => &mut self.filters,
            Purpose::Search => &mut self.searches,
            Purpose::Export => &mut self.exports,
        };
        if line.is_empty() {
            return;
        }
        lines.retain(|known| known != line);
        lines.push(line.to_owned());
        if lines.len() > HISTORY_LIMIT {
            lines.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode) -> Key {
        Key { code, control: false }
    }

    #[test]
    fn a_line_is_edited_by_characters_and_words() {
        let history = History::default();
        let mut prompt = Prompt::new(Purpose::Filter, String::new(), String::new());
        for c in "code == 订单".chars() {
            assert_eq!(prompt.key(plain(KeyCode::Char(c)), &history), Typed::Changed);
        }
        prompt.key(plain(KeyCode::Left), &history);
        prompt.key(plain(KeyCode::Backspace), &history);
        assert_eq!(prompt.text, "code == 单");
        prompt.key(Key { code: KeyCode::Char('w'), control: true }, &history);
        assert_eq!(prompt.text, "code 单");
        prompt.key(plain(KeyCode::Delete), &history);
        assert_eq!(prompt.text, "code ");
        prompt.insert("\x1b[31m1\n");
        assert_eq!(prompt.text, "code [31m1");
        prompt.key(Key { code: KeyCode::Char('u'), control: true }, &history);
        assert_eq!((prompt.text.as_str(), prompt.cursor), ("", 0));
        assert_eq!(prompt.key(plain(KeyCode::Backspace), &history), Typed::Moved);
    }

    #[test]
    fn history_goes_back_and_forth() {
        let mut history = History::default();
        for line in ["a", "b", "a", ""] {
            history.keep(Purpose::Search, line);
        }
        let mut prompt = Prompt::new(Purpose::Search, String::new(), String::new());
        let mut texts = Vec::new();
        for code in [KeyCode::Up, KeyCode::Up, KeyCode::Up, KeyCode::Down, KeyCode::Down, KeyCode::Down] {
            prompt.key(plain(code), &history);
            texts.push(prompt.text.clone());
        }
        assert_eq!(texts, ["a", "b", "b", "a", "", ""]);
    }
}
