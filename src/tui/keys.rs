//! The one table of keys: what a key does and where, its line on the help page and its word in the footer.

mod names;

use crossterm::event::KeyCode;

pub(super) use names::Key;

use super::commands;
use super::views::{ViewId, Views};
use crate::calls::Class;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Help,
    Back,
    Suspend,
    Redraw,
    Show(ViewId),
    NextView,
    PreviousView,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    Search,
    NextMatch,
    PreviousMatch,
    NextError,
    PreviousError,
    Peak,
    Filter,
    Command,
    OnlyThis,
    NotThis,
    ShowAll,
    Toggle(Class),
    Sort,
    Columns,
    Pause,
    Mark,
    ClearMarks,
    Connection,
    Chain,
    Origin,
    Copy,
    Export,
    Times,
    NextPane,
    Fold,
    FoldAll,
    HexOrText,
    PreviousMessage,
    NextMessage,
    Choose,
    ColumnUp,
    ColumnDown,
    UsualColumns,
    Take,
    Keep,
    Leave,
}

impl Action {
    /// Its name in the config file.
    fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Help => "help",
            Self::Back => "back",
            Self::Suspend => "suspend",
            Self::Redraw => "redraw",
            Self::Show(view) => view.name(),
            Self::NextView => "next-view",
            Self::PreviousView => "previous-view",
            Self::Up => "up",
            Self::Down => "down",
            Self::PageUp => "page-up",
            Self::PageDown => "page-down",
            Self::First => "first",
            Self::Last => "last",
            Self::Left => "left",
            Self::Right => "right",
            Self::Open => "open",
            Self::Search => "search",
            Self::NextMatch => "next-match",
            Self::PreviousMatch => "previous-match",
            Self::NextError => "next-error",
            Self::PreviousError => "previous-error",
            Self::Peak => "spike",
            Self::Filter => "filter",
            Self::Command => "command",
            Self::OnlyThis => "only-this",
            Self::NotThis => "not-this",
            Self::ShowAll => "show-all",
            Self::Toggle(class) => class.name(),
            Self::Sort => "sort",
            Self::Columns => "columns",
            Self::Pause => "pause",
            Self::Mark => "mark",
            Self::ClearMarks => "clear-marks",
            Self::Connection => "connection",
            Self::Chain => "chain",
            Self::Origin => "origin",
            Self::Copy => "copy",
            Self::Export => "export",
            Self::Times => "time-format",
            Self::NextPane => "pane",
            Self::Fold => "fold",
            Self::FoldAll => "fold-all",
            Self::HexOrText => "hex-or-text",
            Self::PreviousMessage => "previous-message",
            Self::NextMessage => "next-message",
            Self::Choose => "choose",
            Self::ColumnUp => "column-up",
            Self::ColumnDown => "column-down",
            Self::UsualColumns => "usual-columns",
            Self::Take => "take",
            Self::Keep => "keep",
            Self::Leave => "leave",
        }
    }
}

/// Where a binding works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everywhere except in a line that is being typed.
    Everywhere,
    /// In everything that has rows: lists, the detail of a call, the help page.
    Rows,
    /// In all lists.
    Lists,
    /// In Calls and Errors.
    Classes,
    /// In lists with columns.
    Columns,
    /// In Calls.
    Calls,
    /// In Chains.
    Chains,
    /// In Chains and their summary.
    Graph,
    /// In the detail of a call.
    Detail,
    /// In the choice of columns.
    Chooser,
}

impl Scope {
    /// The scopes of the help page.
    pub(super) const HELP: &[Self] = &[Self::Rows, Self::Everywhere];

    /// The scopes of the detail of a call.
    pub(super) const DETAIL: &[Self] = &[Self::Detail, Self::Everywhere, Self::Rows];

    /// The scopes of the choice of columns.
    pub(super) const CHOOSER: &[Self] = &[Self::Chooser, Self::Rows];

    /// The heading of its part of the help page.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Rows => "Moving",
            Self::Lists => "In all lists",
            Self::Classes => "Classes, in Calls and Errors (hidden ones are in parentheses in the title)",
            Self::Columns => "Columns",
            Self::Calls => "In Calls",
            Self::Chains => "In Chains",
            Self::Graph => "In Chains and their summary",
            Self::Detail => "In the detail of a call",
            Self::Chooser => "In the choice of columns",
        }
    }

    /// All scopes, in the order of the help page.
    pub(super) const ALL: [Self; 10] = [
        Self::Rows,
        Self::Lists,
        Self::Columns,
        Self::Calls,
        Self::Chooser,
        Self::Classes,
        Self::Chains,
        Self::Graph,
        Self::Detail,
        Self::Everywhere,
    ];
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Binding {
    pub scope: Scope,
    pub keys: &'static [Key],
    pub action: Action,
    /// What it does, for the help page.
    pub help: &'static str,
    /// Its word in the footer; none if empty. Neighbours with the same word share it.
    pub footer: &'static str,
}

const fn key(code: KeyCode) -> Key {
    Key { code, control: false, shift: false }
}

const fn shift(code: KeyCode) -> Key {
    Key { code, control: false, shift: true }
}

const fn ch(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: true, shift: false }
}

const fn bind(
    scope: Scope,
    keys: &'static [Key],
    action: Action,
    help: &'static str,
    footer: &'static str,
) -> Binding {
    Binding { scope, keys, action, help, footer }
}

/// All bindings, in the order of the help page.
#[rustfmt::skip]
pub(super) static BINDINGS: &[Binding] = &[
    bind(Scope::Rows, &[ch('j'), key(KeyCode::Down)], Action::Down, "one row down", ""),
    bind(Scope::Rows, &[ch('k'), key(KeyCode::Up)], Action::Up, "one row up", ""),
    bind(Scope::Rows, &[key(KeyCode::PageDown), ctrl('f'), ctrl('d')], Action::PageDown, "one page down", ""),
    bind(Scope::Rows, &[key(KeyCode::PageUp), ctrl('b'), ctrl('u')], Action::PageUp, "one page up", ""),
    bind(Scope::Rows, &[ch('g'), key(KeyCode::Home)], Action::First, "to the first row", ""),
    bind(Scope::Rows, &[ch('G'), key(KeyCode::End)], Action::Last, "to the last row; in Calls: follow new calls", ""),
    bind(Scope::Rows, &[ch('/')], Action::Search, "search text or a regex, also here; a log line: to its calls", "search"),
    bind(Scope::Rows, &[ch('n')], Action::NextMatch, "next match, or the next call of the log line", ""),
    bind(Scope::Rows, &[ch('N')], Action::PreviousMatch, "previous match", ""),

    bind(Scope::Lists, &[key(KeyCode::Enter)], Action::Open, "open the call in full, or the calls of the row", "open"),
    bind(Scope::Lists, &[ch('f')], Action::Filter, "filter calls (the language of -Y)", "filter"),
    bind(Scope::Lists, &[ch('a')], Action::ShowAll, "show all: clear the filter and the class switches", ""),
    bind(Scope::Lists, &[ch(' ')], Action::Pause, "pause the display; packets are still read", "pause"),
    bind(Scope::Lists, &[key(KeyCode::Tab)], Action::NextView, "next view", ""),
    bind(Scope::Lists, &[key(KeyCode::BackTab)], Action::PreviousView, "previous view", ""),

    bind(Scope::Columns, &[ch('h'), key(KeyCode::Left)], Action::Left, "previous column", ""),
    bind(Scope::Columns, &[ch('l'), key(KeyCode::Right)], Action::Right, "next column", ""),
    bind(Scope::Columns, &[ch('s')], Action::Sort, "sort by this column; again: reverse; again: off", "sort"),

    bind(Scope::Calls, &[ch('=')], Action::OnlyThis, "only calls with the value under the cursor", "this/not"),
    bind(Scope::Calls, &[ch('!')], Action::NotThis, "only calls without the value under the cursor", "this/not"),
    bind(Scope::Calls, &[ch('C')], Action::Columns, "choose and reorder the columns", ""),
    bind(Scope::Calls, &[ch('m')], Action::Mark, "mark the call", "mark"),
    bind(Scope::Calls, &[ch('M')], Action::ClearMarks, "clear all marks", ""),
    bind(Scope::Calls, &[ch('T')], Action::Times, "time format: local, UTC, with dates, since start, since row", ""),

    bind(Scope::Chooser, &[ch(' ')], Action::Choose, "show the column or leave it out", "show"),
    bind(Scope::Chooser, &[ch('K'), shift(KeyCode::Up)], Action::ColumnUp, "move the column up (left in the list)", "move"),
    bind(Scope::Chooser, &[ch('J'), shift(KeyCode::Down)], Action::ColumnDown, "move the column down (right in the list)", "move"),
    bind(Scope::Chooser, &[ch('u')], Action::UsualColumns, "the usual columns", "usual"),
    bind(Scope::Chooser, &[key(KeyCode::Enter)], Action::Take, "take the columns", "take"),
    bind(Scope::Chooser, &[ch('s')], Action::Keep, "take the columns and keep them in the config file", "keep"),
    bind(Scope::Chooser, &[key(KeyCode::Esc)], Action::Leave, "leave the columns as they were", "leave"),
    bind(Scope::Chooser, &[ch('?')], Action::Help, "this page", "keys"),
    bind(Scope::Chooser, &[ch('q'), ctrl('c')], Action::Quit, "quit", ""),

    bind(Scope::Classes, &[ch('b')], Action::Toggle(Class::Business), "show or hide business errors", "classes"),
    bind(Scope::Classes, &[ch('r')], Action::Toggle(Class::Rpc), "show or hide RPC errors", "classes"),
    bind(Scope::Classes, &[ch('t')], Action::Toggle(Class::Transport), "show or hide broken connections and streams", "classes"),
    bind(Scope::Classes, &[ch('u')], Action::Toggle(Class::Unanswered), "show or hide unanswered calls", "classes"),
    bind(Scope::Classes, &[ch('w')], Action::Toggle(Class::Oneway), "show or hide one-way calls", "classes"),
    bind(Scope::Classes, &[ch('o')], Action::Toggle(Class::Ok), "show or hide ok calls", "classes"),

    bind(Scope::Chains, &[ch('s')], Action::Show(ViewId::Changes), "summary: which service changes which error into what", "summary"),
    bind(Scope::Graph, &[ch('v')], Action::Show(ViewId::Graph), "graph: who calls whom, where errors begin and pass", "graph"),

    bind(Scope::Detail, &[key(KeyCode::Tab)], Action::NextPane, "switch between fields and bytes", "pane"),
    bind(Scope::Detail, &[key(KeyCode::Enter)], Action::Fold, "fold or unfold", "fold"),
    bind(Scope::Detail, &[key(KeyCode::Right), ch('l')], Action::Right, "unfold; in the bytes: the next byte", ""),
    bind(Scope::Detail, &[key(KeyCode::Left), ch('h')], Action::Left, "fold, or to the parent field; in the bytes: the byte before", ""),
    bind(Scope::Detail, &[ch('z')], Action::FoldAll, "fold or unfold everything", ""),
    bind(Scope::Detail, &[ch('i')], Action::HexOrText, "show bytes as hex or as text", "hex/text"),
    bind(Scope::Detail, &[ch('[')], Action::PreviousMessage, "previous message (the request)", "request"),
    bind(Scope::Detail, &[ch(']')], Action::NextMessage, "next message (the answer)", "answer"),

    bind(Scope::Everywhere, &[ch('e')], Action::NextError, "next failed call", "next error"),
    bind(Scope::Everywhere, &[ch('E')], Action::PreviousError, "previous failed call", ""),
    bind(Scope::Everywhere, &[ch('S')], Action::Peak, "spike: the time with most failed calls; again: the next one", "spike"),
    bind(Scope::Everywhere, &[ch('c')], Action::Chain, "the chain that this call is part of", "chain"),
    bind(Scope::Everywhere, &[ch('O')], Action::Origin, "the call in which this error began", "origin"),
    bind(Scope::Everywhere, &[ch('F')], Action::Connection, "only the calls on the connection of this call", ""),
    bind(Scope::Everywhere, &[ch('y')], Action::Copy, "copy the row or field to the clipboard", ""),
    bind(Scope::Everywhere, &[ch('x')], Action::Export, "export shown calls, marked ones or this: packets or records", "export"),
    bind(Scope::Everywhere, &[ch('1')], Action::Show(ViewId::Calls), "Calls", ""),
    bind(Scope::Everywhere, &[ch('2')], Action::Show(ViewId::Errors), "Errors: failed calls by kind", ""),
    bind(Scope::Everywhere, &[ch('3')], Action::Show(ViewId::Services), "Services: rates, error shares, latencies", ""),
    bind(Scope::Everywhere, &[ch('4')], Action::Show(ViewId::Connections), "Connections", ""),
    bind(Scope::Everywhere, &[ch('5')], Action::Show(ViewId::Chains), "Chains: which call caused which, and where errors began", ""),
    bind(Scope::Everywhere, &[ch('L')], Action::Show(ViewId::Logs), "Logs: error lines of --log, and their calls", ""),
    bind(Scope::Everywhere, &[ch(':')], Action::Command, "type a command (below); 01:34:09 goes to that time", ""),
    bind(Scope::Everywhere, &[key(KeyCode::Esc)], Action::Back, "go back", ""),
    bind(Scope::Everywhere, &[ch('?')], Action::Help, "this page", "keys"),
    bind(Scope::Everywhere, &[ctrl('z')], Action::Suspend, "suspend; `fg` resumes", ""),
    bind(Scope::Everywhere, &[ctrl('l')], Action::Redraw, "redraw the screen", ""),
    bind(Scope::Everywhere, &[ch('q'), ctrl('c')], Action::Quit, "quit", "quit"),
];

/// The places where keys work, by their scopes.
fn places() -> Vec<&'static [Scope]> {
    let views = Views::default();
    let views = ViewId::ALL.iter().map(|id| views.get(*id).scopes());
    views.chain([Scope::HELP, Scope::DETAIL, Scope::CHOOSER]).collect()
}

/// The keys of all actions: those of the table, or those that the config file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The keys of each binding.
    of: Vec<Vec<Key>>,
    /// The config file says them.
    chosen: Vec<bool>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            of: BINDINGS.iter().map(|binding| binding.keys.to_vec()).collect(),
            chosen: vec![false; BINDINGS.len()],
        }
    }
}

impl Keys {
    /// The names of all actions, each with its keys of the table.
    #[must_use]
    pub fn actions() -> Vec<(&'static str, Vec<String>)> {
        let mut actions: Vec<(&'static str, Vec<String>)> = Vec::new();
        for binding in BINDINGS {
            let name = binding.action.name();
            let keys = binding.keys.iter().map(|key| key.written());
            match actions.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => {
                    let new: Vec<_> = keys.filter(|key| !known.contains(key)).collect();
                    known.extend(new);
                }
                None => actions.push((name, keys.collect())),
            }
        }
        actions
    }

    /// Sets the keys of an action. A key that another one has in the table is taken from it; that the config file has said two actions
    /// for it is an error.
    pub fn set(&mut self, action: &str, keys: &[&str]) -> Result<(), String> {
        let keys = keys.iter().map(|text| {
            let wrong =
                || format!("{text} is no key: write e, E, ctrl-x, space, enter, up, shift-up, page-up or f5");
            Key::read(text).ok_or_else(wrong)
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let places = places();
        for at in (0..BINDINGS.len()).filter(|at| BINDINGS[*at].action.name() == action) {
            let scope = BINDINGS[at].scope;
            for (other, binding) in BINDINGS.iter().enumerate() {
                let meet =
                    places.iter().any(|place| place.contains(&scope) && place.contains(&binding.scope));
                if !meet || binding.action.name() == action {
                    continue;
                }
                if let Some(key) = keys.iter().find(|key| self.chosen[other] && self.of[other].contains(key))
                {
                    return Err(format!("{} is the key of {} too", key.written(), binding.action.name()));
                }
                self.of[other].retain(|key| !keys.contains(key));
            }
            self.of[at].clone_from(&keys);
            self.chosen[at] = true;
        }
        let has_quit =
            BINDINGS.iter().zip(&self.of).all(|(b, keys)| b.action != Action::Quit || !keys.is_empty());
        if has_quit { Ok(()) } else { Err("quit needs a key".to_owned()) }
    }

    /// What a key does in these scopes.
    pub(super) fn action(&self, scopes: &[Scope], key: Key) -> Option<Action> {
        let find = |key: Key| {
            let mut bound = BINDINGS.iter().zip(&self.of);
            bound.find(|(b, keys)| scopes.contains(&b.scope) && keys.contains(&key)).map(|(b, _)| b.action)
        };
        // An arrow with Shift is an arrow where that means nothing else.
        find(key).or_else(|| find(Key { shift: false, ..key }))
    }

    /// The first key of an action, as the footer writes it.
    pub(super) fn name_of(&self, action: Action) -> String {
        let mut bound = BINDINGS.iter().zip(&self.of).filter(|(binding, _)| binding.action == action);
        let key = bound.find_map(|(_, keys)| keys.first());
        key.map_or_else(|| format!("(no key for {})", action.name()), |key| key.name())
    }

    /// The footer for these scopes, in their order: keys and word of each entry.
    pub(super) fn footer(&self, scopes: &[Scope]) -> Vec<(String, &'static str)> {
        let mut entries: Vec<(String, &'static str)> = Vec::new();
        for scope in scopes {
            let bound = BINDINGS.iter().zip(&self.of);
            for (binding, keys) in bound.filter(|(b, _)| b.scope == *scope && !b.footer.is_empty()) {
                let Some(key) = keys.first().map(|k| k.name()) else { continue };
                match entries.last_mut() {
                    Some((keys, word)) if *word == binding.footer => {
                        keys.push(' ');
                        keys.push_str(&key);
                    }
                    _ => entries.push((key, binding.footer)),
                }
            }
        }
        entries
    }

    /// The help page: headings (without keys) and lines (keys or command, text).
    pub(super) fn help(&self) -> Vec<(String, &'static str)> {
        let mut lines = Vec::new();
        for scope in Scope::ALL {
            if !lines.is_empty() {
                lines.push((String::new(), ""));
            }
            lines.push((String::new(), scope.title()));
            for (binding, keys) in BINDINGS.iter().zip(&self.of).filter(|(b, _)| b.scope == scope) {
                let keys: Vec<_> = keys.iter().map(|k| k.name()).collect();
                let none = "(no key)".to_owned();
                lines.push((if keys.is_empty() { none } else { keys.join(" ") }, binding.help));
            }
        }
        lines.push((String::new(), ""));
        lines.push((String::new(), "Commands, of which the first letters are enough"));
        lines.extend(commands::help());
        lines
    }
}

#[cfg(test)]
mod tests;
