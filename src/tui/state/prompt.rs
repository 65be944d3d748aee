//! The line that is being typed: filter, search, file name or command, with history.

use crossterm::event::KeyCode;
use tui_input::{Input, InputRequest};

use super::output::Choice;
use crate::explain::LogLine;
use crate::filter::FilterError;
use crate::text;
use crate::tui::keys::Key;

/// Lines of history that are kept for each purpose.
const HISTORY_LIMIT: usize = 100;
/// Longest line in bytes.
const LINE_LIMIT: usize = 4_096;
/// Most bytes that are kept of a pasted text.
const PASTE_LIMIT: usize = 256 << 10;

/// What the line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Purpose {
    /// A call filter, applied as it is typed.
    Filter,
    /// Text to look for.
    Search,
    /// A file to write calls or their packets to.
    Export,
    /// A command.
    Command,
}

impl Purpose {
    /// The label in front of the line.
    pub(in crate::tui) fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter: ",
            Self::Search => "search: ",
            Self::Export => "export ",
            Self::Command => ":",
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
    /// Shift and Tab: the completion before, or another choice.
    Back,
    /// The line was accepted.
    Accepted,
    /// The line was cancelled.
    Cancelled,
}

/// Several completions of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Menu {
    /// Texts to insert, and what they mean; may be empty.
    pub entries: Vec<(String, String)>,
    /// The bytes of the line that they replace.
    place: (usize, usize),
    /// The one that stands in the line.
    pub at: Option<usize>,
}

/// The line.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Prompt {
    pub purpose: Purpose,
    input: Input,
    /// The text before the line was opened, for cancelling.
    pub before: String,
    /// What is wrong with the text, and where.
    pub error: Option<FilterError>,
    /// Completions at the cursor, and the one that stands there.
    pub menu: Menu,
    /// What is to be said of the text besides.
    pub remark: Option<String>,
    /// Which calls an export writes.
    pub choice: Option<Choice>,
    /// The line of a log that is typed or was pasted, if it is read as an error.
    pub log_line: Option<Box<LogLine>>,
    /// What was pasted into an empty line, as long as nothing else was typed: lines and lengths that have no room here.
    pasted: Option<String>,
    /// Index of the recalled line in the history.
    recalled: Option<usize>,
}

impl Prompt {
    pub(in crate::tui) fn new(purpose: Purpose, text: String, before: String) -> Self {
        Self {
            purpose,
            input: Input::new(text),
            before,
            error: None,
            menu: Menu::default(),
            remark: None,
            choice: None,
            log_line: None,
            pasted: None,
            recalled: None,
        }
    }

    /// What was typed.
    pub(in crate::tui) fn text(&self) -> &str {
        self.input.value()
    }

    /// Byte offset of the cursor in the text, always on a character boundary.
    pub(in crate::tui) fn cursor(&self) -> usize {
        let text = self.text();
        text.char_indices().nth(self.input.cursor()).map_or(text.len(), |(at, _)| at)
    }

    /// Takes a key.
    pub(in crate::tui) fn key(&mut self, key: Key, history: &History) -> Typed {
        let request = match (key.code, key.control) {
            (KeyCode::Enter, _) => return Typed::Accepted,
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Typed::Cancelled,
            (KeyCode::Tab, _) => return if self.turn_menu(true) { Typed::Changed } else { Typed::Complete },
            (KeyCode::BackTab, _) => return if self.turn_menu(false) { Typed::Changed } else { Typed::Back },
            (KeyCode::Up, _) | (KeyCode::Char('p'), true) => return self.recall(history, true),
            (KeyCode::Down, _) | (KeyCode::Char('n'), true) => return self.recall(history, false),
            (KeyCode::Char('w'), true) => return self.delete_word(),
            (KeyCode::Left, true) => InputRequest::GoToPrevWord,
            (KeyCode::Right, true) => InputRequest::GoToNextWord,
            (KeyCode::Left, _) | (KeyCode::Char('b'), true) => InputRequest::GoToPrevChar,
            (KeyCode::Right, _) | (KeyCode::Char('f'), true) => InputRequest::GoToNextChar,
            (KeyCode::Home, _) | (KeyCode::Char('a'), true) => InputRequest::GoToStart,
            (KeyCode::End, _) | (KeyCode::Char('e'), true) => InputRequest::GoToEnd,
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => InputRequest::DeletePrevChar,
            (KeyCode::Delete, _) | (KeyCode::Char('d'), true) => InputRequest::DeleteNextChar,
            (KeyCode::Char('u'), true) => InputRequest::DeleteFromStart,
            (KeyCode::Char('k'), true) => InputRequest::DeleteTillEnd,
            (KeyCode::Char(c), false) if self.text().len() + c.len_utf8() <= LINE_LIMIT => {
                InputRequest::InsertChar(c)
            }
            _ => return Typed::Moved,
        };
        let changed = self.input.handle(request).is_some_and(|changed| changed.value);
        if changed {
            self.menu = Menu::default();
            self.pasted = None;
        }
        if changed { Typed::Changed } else { Typed::Moved }
    }

    /// Inserts pasted text at the cursor, without control characters; of text to look for, lines as one.
    pub(in crate::tui) fn insert(&mut self, text: &str) -> Typed {
        let is_search = self.purpose == Purpose::Search;
        let pasted = (is_search && self.text().is_empty()).then(|| text::head(text, PASTE_LIMIT).to_owned());
        let text = if is_search { text.trim() } else { text };
        let plain = |c: char| if is_search && c.is_whitespace() { ' ' } else { c };
        let clean: String = text.chars().map(plain).filter(|c| !c.is_control()).collect();
        let room = LINE_LIMIT.saturating_sub(self.text().len());
        let cursor = self.cursor();
        let typed = self.replace(cursor, cursor, text::head(&clean, room));
        self.pasted = pasted;
        typed
    }

    /// Looks whether the text is an error as a log has it.
    pub(in crate::tui) fn read_log_line(&mut self) {
        let line = LogLine::read(self.pasted.as_deref().unwrap_or(self.text()));
        self.log_line = line.is_known().then(|| Box::new(line));
    }

    /// Replaces a range of bytes and puts the cursor after it.
    pub(in crate::tui) fn replace(&mut self, start: usize, end: usize, with: &str) -> Typed {
        let mut text = self.text().to_owned();
        if text.len() + with.len() > LINE_LIMIT || (start == end && with.is_empty()) {
            return Typed::Moved;
        }
        text.replace_range(start..end, with);
        let cursor = text[..start + with.len()].chars().count();
        self.input = Input::new(text).with_cursor(cursor);
        self.menu = Menu::default();
        self.pasted = None;
        Typed::Changed
    }

    /// Offers completions of the text from `start` to the cursor. What they have in common is inserted; with nothing more in
    /// common, the next Tab inserts the first one.
    pub(in crate::tui) fn offer(&mut self, start: usize, entries: Vec<(String, String)>) -> bool {
        let written = self.text().get(start..self.cursor()).unwrap_or_default().to_lowercase();
        let begin = |text: &&str| text.to_lowercase().starts_with(&written);
        let texts = entries.iter().map(|(text, _)| text.as_str());
        let common = texts.filter(begin).reduce(common_beginning).unwrap_or_default().to_owned();
        let longer = common.len() > written.len();
        if longer {
            self.replace(start, self.cursor(), &common);
        }
        self.menu = Menu { entries, place: (start, self.cursor()), at: None };
        longer
    }

    /// Puts the next or previous completion into the line. Whether there is one.
    fn turn_menu(&mut self, forward: bool) -> bool {
        let mut menu = std::mem::take(&mut self.menu);
        let len = menu.entries.len();
        let at = match (menu.at, forward) {
            (None, true) => 0,
            (None, false) => len.saturating_sub(1),
            (Some(at), true) => (at + 1) % len.max(1),
            (Some(at), false) => (at + len).saturating_sub(1) % len.max(1),
        };
        let (start, end) = menu.place;
        let Some((text, _)) = menu.entries.get(at) else { return false };
        if self.cursor() != end {
            return false;
        }
        self.replace(start, end, text);
        menu.place.1 = start + text.len();
        menu.at = Some(at);
        self.menu = menu;
        true
    }

    /// Deletes back to the last space, as shells do; the library also stops at punctuation.
    fn delete_word(&mut self) -> Typed {
        let cursor = self.cursor();
        let head = self.text()[..cursor].trim_end();
        let start = head.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.replace(start, cursor, "")
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
        self.input = Input::new(at.and_then(|at| lines.get(at)).cloned().unwrap_or_default());
        self.pasted = None;
        self.menu = Menu::default();
        Typed::Changed
    }
}

/// Lines that were typed before.
#[derive(Debug, Default)]
pub(in crate::tui) struct History {
    filters: Vec<String>,
    searches: Vec<String>,
    exports: Vec<String>,
    commands: Vec<String>,
}

impl History {
    fn of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Filter => &self.filters,
            Purpose::Search => &self.searches,
            Purpose::Export => &self.exports,
            Purpose::Command => &self.commands,
        }
    }

    /// Keeps a line as the newest.
    pub(in crate::tui) fn keep(&mut self, purpose: Purpose, line: &str) {
        let lines = match purpose {
            Purpose::Filter => &mut self.filters,
            Purpose::Search => &mut self.searches,
            Purpose::Export => &mut self.exports,
            Purpose::Command => &mut self.commands,
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

/// The longest common beginning.
fn common_beginning<'t>(a: &'t str, b: &'t str) -> &'t str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..end.unwrap_or(a.len().min(b.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode) -> Key {
        Key { code, control: false, shift: false }
    }

    #[test]
    fn a_line_is_edited_by_characters_and_words() {
        let history = History::default();
        let mut prompt = Prompt::new(Purpose::Filter, String::new(), String::new());
        for c in "code == 订单".chars() {
            assert_eq!(prompt.key(plain(KeyCode::Char(c)), &history), Typed::Changed);
        }
        prompt.key(plain(KeyCode::Left), &history);
        assert_eq!(prompt.key(plain(KeyCode::Backspace), &history), Typed::Changed);
        assert_eq!(prompt.text(), "code == 单");
        prompt.key(Key { code: KeyCode::Char('w'), control: true, shift: false }, &history);
        assert_eq!(prompt.text(), "code 单");
        prompt.key(plain(KeyCode::Delete), &history);
        assert_eq!(prompt.text(), "code ");
        prompt.insert("\x1b[31m1\n");
        assert_eq!(prompt.text(), "code [31m1");
        prompt.key(Key { code: KeyCode::Char('u'), control: true, shift: false }, &history);
        assert_eq!((prompt.text(), prompt.cursor()), ("", 0));
        assert_eq!(prompt.key(plain(KeyCode::Backspace), &history), Typed::Moved);
    }

    #[test]
    fn every_editing_key_works() {
        const CONTROL: bool = true;
        let history = History::default();
        // Keys on "one two|three", and what they make of it.
        for (code, control, made) in [
            (KeyCode::Left, false, "one tw|othree"),
            (KeyCode::Char('b'), CONTROL, "one tw|othree"),
            (KeyCode::Right, false, "one twot|hree"),
            (KeyCode::Char('f'), CONTROL, "one twot|hree"),
            (KeyCode::Left, CONTROL, "one |twothree"),
            (KeyCode::Right, CONTROL, "one twothree|"),
            (KeyCode::Home, false, "|one twothree"),
            (KeyCode::Char('a'), CONTROL, "|one twothree"),
            (KeyCode::End, false, "one twothree|"),
            (KeyCode::Char('e'), CONTROL, "one twothree|"),
            (KeyCode::Backspace, false, "one tw|three"),
            (KeyCode::Char('h'), CONTROL, "one tw|three"),
            (KeyCode::Delete, false, "one two|hree"),
            (KeyCode::Char('d'), CONTROL, "one two|hree"),
            (KeyCode::Char('u'), CONTROL, "|three"),
            (KeyCode::Char('k'), CONTROL, "one two|"),
            (KeyCode::Char('w'), CONTROL, "one |three"),
            (KeyCode::Char('é'), false, "one twoé|three"),
            (KeyCode::Char('x'), CONTROL, "one two|three"),
        ] {
            let mut prompt = Prompt::new(Purpose::Search, "three".to_owned(), String::new());
            prompt.key(plain(KeyCode::Home), &history);
            prompt.insert("one two");
            prompt.key(Key { code, control, shift: false }, &history);
            let (head, tail) = prompt.text().split_at(prompt.cursor());
            assert_eq!(format!("{head}|{tail}"), made, "{code:?} {control}");
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut prompt = Prompt::new(Purpose::Search, "x".repeat(LINE_LIMIT), String::new());
        assert_eq!(prompt.key(plain(KeyCode::Char('y')), &History::default()), Typed::Moved);
        assert_eq!(prompt.insert("y"), Typed::Moved);
        assert_eq!(prompt.text().len(), LINE_LIMIT);
    }

    #[test]
    fn a_pasted_error_is_read_as_it_was_and_anything_typed_as_it_stands() {
        let read = |prompt: &mut Prompt| {
            prompt.read_log_line();
            prompt.log_line.as_ref().map(|line| line.errors[0].message.clone())
        };
        let mut prompt = Prompt::new(Purpose::Search, String::new(), String::new());
        let stack = "\tat x\n".repeat(LINE_LIMIT);
        prompt.insert(&format!(
            "ERROR order failed\r\nio.grpc.StatusRuntimeException: NOT_FOUND: no such order\n{stack}"
        ));
        assert!(
            prompt.text().starts_with("ERROR order failed  io.grpc") && prompt.text().len() <= LINE_LIMIT
        );
        assert_eq!(read(&mut prompt).as_deref(), Some("no such order"));
        prompt.key(Key { code: KeyCode::Char('u'), control: true, shift: false }, &History::default());
        assert_eq!(read(&mut prompt), None);
        prompt.insert("rpc error: code = NotFound desc = gone\n");
        assert_eq!(read(&mut prompt).as_deref(), Some("gone"));
        prompt.key(plain(KeyCode::Char('!')), &History::default());
        assert_eq!(read(&mut prompt).as_deref(), Some("gone!"));
        for c in "order".chars() {
            prompt = Prompt::new(Purpose::Search, "order".to_owned(), String::new());
            prompt.key(plain(KeyCode::Char(c)), &History::default());
            assert_eq!(read(&mut prompt), None);
        }
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
            texts.push(prompt.text().to_owned());
        }
        assert_eq!(texts, ["a", "b", "b", "a", "", ""]);
    }
}
