//! Changes of the text of a config file: its comments, its order and all lines that a change is not about stay as they are.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use crate::filter;

/// What separates keys and values of [`Change::encode`]; no value has it.
const SEPARATOR: char = '\0';
/// In front of the names of filters.
const FILTER: &str = "filters.";
/// Keys that the interface keeps, besides filters.
pub const KEPT: [&str; 4] = ["columns", "sort", "time", "theme"];

/// A key of the config file with the value that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `theme`, or `filters.slow`.
    key: String,
    /// The names of columns have commas between them.
    value: String,
}

impl Change {
    /// Sets `theme`, `time` or `sort`.
    #[must_use]
    pub fn word(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }

    /// Sets the columns of Calls; none are the usual ones.
    #[must_use]
    pub fn columns(names: &[&str]) -> Self {
        Self::word("columns", &names.join(","))
    }

    /// Gives a filter a name.
    #[must_use]
    pub fn filter(name: &str, text: &str) -> Self {
        Self::word(&format!("{FILTER}{name}"), text)
    }

    /// The key that it sets.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line that sets it.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} = {}", self.key, self.toml())
    }

    /// Where and how a person sets it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.filter_name() {
            Some(name) => format!("{name} = {} below [filters]", self.toml()),
            None => format!("{} at the top", self.line()),
        }
    }

    /// Its value as TOML.
    fn toml(&self) -> String {
        if self.key == "columns" {
            let names = self.value.split(',').filter(|name| !name.is_empty());
            return format!("[{}]", names.map(quoted).collect::<Vec<_>>().join(", "));
        }
        quoted(&self.value)
    }

    /// The name of the filter that it sets.
    fn filter_name(&self) -> Option<&str> {
        self.key.strip_prefix(FILTER)
    }

    /// Whether it sets what the interface may set.
    fn is_allowed(&self) -> bool {
        self.filter_name().map_or_else(|| KEPT.contains(&&*self.key), filter::is_name)
            && !self.value.contains(SEPARATOR)
    }

    /// Changes as one text.
    #[must_use]
    pub fn encode(changes: &[Self]) -> String {
        let parts: Vec<&str> = changes.iter().flat_map(|change| [&*change.key, &*change.value]).collect();
        parts.join(&SEPARATOR.to_string())
    }

    /// What [`Self::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(text: &str) -> Option<Vec<Self>> {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let (pairs, []) = parts.as_chunks::<2>() else { return None };
        let changes: Vec<Self> = pairs.iter().map(|[key, value]| Self::word(key, value)).collect();
        changes.iter().all(Self::is_allowed).then_some(changes)
    }

    /// Makes it in what a file says.
    fn apply(&self, config: &mut Config) -> Result<(), String> {
        if !self.is_allowed() {
            return Err(format!("{} can't be changed here", self.key));
        }
        let mut said = Config::read(&self.line(), Path::new("the change"), None)?;
        match &*self.key {
            "theme" => config.look.theme = said.look.theme,
            "time" => config.time = said.time,
            "columns" => config.look.columns = said.look.columns,
            "sort" => config.look.sort = said.look.sort,
            _ => config.look.filters.append(&mut said.look.filters),
        }
        Ok(())
    }
}

/// The text of the file at `path` with these changes.
///
/// # Errors
///
/// Says what is wrong with the text, or that the lines have to be written by hand: a result that does not say exactly what the file
/// said before and the changes is never returned.
pub(super) fn changed(
    text: &str,
    path: &Path,
    home: Option<&Path>,
    changes: &[Change],
) -> Result<String, String> {
    let mut wanted = Config::read(text, path, home)?;
    let mut out = text.to_owned();
    for change in changes {
        change.apply(&mut wanted)?;
        out = Layout::of(&out).and_then(|layout| layout.set(change)).unwrap_or(out);
    }
    if Config::read(&out, path, home).as_ref() == Ok(&wanted) {
        return Ok(out);
    }
    let lines: Vec<_> = changes.iter().map(Change::advice).collect();
    let path = path.display();
    Err(format!("{path} is written in a way that can't be changed here: add {}", lines.join(" and ")))
}

/// A text as TOML writes it, where possible without escapes.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && c != '\'';
    if text.contains(['"', '\\']) && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a String can't fail.
            c if c.is_control() => _ = write!(out, "\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `key = value`
    Plain,
    /// `[key]`, and lines below it.
    Header,
    /// `key.name = value`
    Dotted,
}

/// A key, its value, and how they are written.
struct Item {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
    form: Form,
    /// The entries of a table.
    entries: Vec<Item>,
}

impl Item {
    /// The end of everything that belongs to it.
    fn end(&self) -> usize {
        let own = if self.form == Form::Plain { self.value.end } else { self.key.end };
        self.entries.iter().map(Self::end).fold(own, usize::max)
    }
}

/// Where the parts of a config file are.
struct Layout<'t> {
    text: &'t str,
    newline: &'static str,
    /// In the order of the file.
    items: Vec<Item>,
}

impl<'t> Layout<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let table = DeTable::parse(text).ok()?;
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Some(Self { text, newline, items: items(text, table.get_ref()) })
    }

    fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The text with a changed value; `None` if it has no place.
    fn set(&self, change: &Change) -> Option<String> {
        let value = change.toml();
        match change.filter_name() {
            Some(name) => self.set_filter(name, &value),
            None => match self.item(&change.key) {
                Some(item) => Some(self.with_value(item, &value)),
                None => Some(self.with_key(&change.key, &value)),
            },
        }
    }

    fn set_filter(&self, name: &str, value: &str) -> Option<String> {
        let line = format!("{name} = {value}");
        let Some(table) = self.item("filters") else {
            let gap = if self.text.is_empty() { "" } else { self.newline };
            return self.with_line(self.text.len(), &format!("{gap}[filters]{}{line}", self.newline));
        };
        if let Some(item) = table.entries.iter().find(|item| item.name == name) {
            return Some(self.with_value(item, value));
        }
        match (table.form, table.entries.last()) {
            (Form::Header, _) => self.with_line(table.end(), &line),
            (Form::Dotted, _) => self.with_line(table.end(), &format!("{FILTER}{line}")),
            (Form::Plain, Some(last)) => {
                Some(self.replaced(last.value.end..last.value.end, &format!(", {line}")))
            }
            (Form::Plain, None) => Some(self.replaced(table.value.clone(), &format!("{{ {line} }}"))),
        }
    }

    fn replaced(&self, place: Range<usize>, by: &str) -> String {
        let mut out = self.text.to_owned();
        out.replace_range(place, by);
        out
    }

    /// The text with another value of a key. Comments inside a list that goes stand above it.
    fn with_value(&self, item: &Item, value: &str) -> String {
        let old = self.text.get(item.value.clone()).unwrap_or_default();
        let mut out = self.replaced(item.value.clone(), value);
        if old.starts_with('[') {
            let line = self.start_of_line(item.key.start);
            // No name of a column has this character.
            let comments = old.lines().filter_map(|line| Some(line[line.find('#')?..].trim_end()));
            let comments: String = comments.flat_map(|comment| [comment, self.newline]).collect();
            out.insert_str(line, &comments);
        }
        out
    }

    /// The text with a new key at the top: below its line of the template, or else after the last key there.
    fn with_key(&self, key: &str, value: &str) -> String {
        let line = format!("{key} = {value}");
        let headers = self.items.iter().filter(|item| item.form == Form::Header);
        let top = headers.map(|item| self.start_of_line(item.key.start)).min().unwrap_or(self.text.len());
        let mut at = 0;
        for written in self.text[..top].split_inclusive('\n') {
            let rest = written.strip_prefix('#').map(|rest| rest.trim_start().strip_prefix(key));
            if rest.flatten().is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return self.with_line(at + written.trim_end().len(), &line).unwrap_or_default();
            }
            at += written.len();
        }
        let last = self.items.iter().filter(|item| item.form != Form::Header).map(Item::end).max();
        if let Some(end) = last {
            return self.with_line(end, &line).unwrap_or_default();
        }
        if top == self.text.len() {
            return self.with_line(top, &line).unwrap_or_default();
        }
        // Comments above the first table are about it.
        let mut at = top;
        for written in self.text[..top].split_inclusive('\n').rev().take_while(|line| line.starts_with('#')) {
            at -= written.len();
        }
        self.replaced(at..at, &format!("{line}{0}{0}", self.newline))
    }

    fn start_of_line(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    /// The text with a line more after that of this place.
    fn with_line(&self, after: usize, line: &str) -> Option<String> {
        let rest = self.text.get(after..)?;
        Some(match rest.find('\n') {
            Some(end) => self.replaced(after + end + 1..after + end + 1, &format!("{line}{}", self.newline)),
            None if self.text.is_empty() || self.text.ends_with('\n') => {
                format!("{}{line}{}", self.text, self.newline)
            }
            None => format!("{}{1}{line}{1}", self.text, self.newline),
        })
    }
}

/// The entries of a table, in the order of the file.
fn items(text: &str, table: &DeTable<'_>) -> Vec<Item> {
    let item = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let (key, name) = (key.span(), key.get_ref().to_string());
        let before = text[..key.start].trim_end_matches([' ', '\t']);
        let after = text[key.end..].trim_start_matches([' ', '\t']);
        let form = match () {
            () if before.ends_with('[') => Form::Header,
            () if after.starts_with('.') => Form::Dotted,
            () => Form::Plain,
        };
        let entries = value.get_ref().as_table().map(|table| items(text, table)).unwrap_or_default();
        Item { name, key, value: value.span(), form, entries }
    };
    let mut items: Vec<Item> = table.iter().map(item).collect();
    items.sort_by_key(|item| item.key.start);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str, changes: &[Change]) -> Result<String, String> {
        changed(text, Path::new("/c/config.toml"), Some(Path::new("/home/me")), changes)
    }

    #[test]
    fn values_change_where_they_stand_and_everything_else_stays() {
        let columns = Change::columns(&["time", "code"]);
        let slow = Change::filter("slow", "latency > 2s and message ~ \"no stock\"");
        for (before, changes, after) in [
            ("", std::slice::from_ref(&columns), "columns = [\"time\", \"code\"]\n"),
            (
                "theme = 'dark' # at night\n",
                &[Change::word("theme", "light")],
                "theme = \"light\" # at night\n",
            ),
            (
                "# mine\ntheme='dark'",
                &[Change::word("time", "utc")],
                "# mine\ntheme='dark'\ntime = \"utc\"\n",
            ),
            (
                "# all\n\n# Keys of mine.\n[keys]\nmark = 'm' # x\n",
                &[Change::word("time", "utc")],
                "# all\n\ntime = \"utc\"\n\n# Keys of mine.\n[keys]\nmark = 'm' # x\n",
            ),
            ("[keys]\n", &[Change::word("time", "utc")], "time = \"utc\"\n\n[keys]\n"),
            (
                "columns = [ # first\n  'time', # second\n  'class',\n] # third\ntime = 'utc'\n",
                std::slice::from_ref(&columns),
                "# first\n# second\ncolumns = [\"time\", \"code\"] # third\ntime = 'utc'\n",
            ),
            (
                "time = 'utc'\r\n[keys]\r\n",
                std::slice::from_ref(&columns),
                "time = 'utc'\r\ncolumns = [\"time\", \"code\"]\r\n[keys]\r\n",
            ),
            (
                "",
                std::slice::from_ref(&slow),
                "[filters]\nslow = 'latency > 2s and message ~ \"no stock\"'\n",
            ),
            (
                "time = 'utc'\n[filters] # mine\n\nbad = 'class == rpc' # one\n# two\n[keys]\n",
                std::slice::from_ref(&slow),
                "time = 'utc'\n[filters] # mine\n\nbad = 'class == rpc' # one\n\
                 slow = 'latency > 2s and message ~ \"no stock\"'\n# two\n[keys]\n",
            ),
            (
                "[filters]\nslow = 'latency > 1s' # enough\nbad = 'class == rpc'\n",
                std::slice::from_ref(&slow),
                "[filters]\nslow = 'latency > 2s and message ~ \"no stock\"' # enough\nbad = 'class == rpc'\n",
            ),
            (
                "[keys]\n[filters]",
                &[Change::filter("ok", "class == ok")],
                "[keys]\n[filters]\nok = \"class == ok\"\n",
            ),
            (
                "filters = { bad = 'class == rpc' }\n",
                &[Change::filter("ok", "class == ok")],
                "filters = { bad = 'class == rpc', ok = \"class == ok\" }\n",
            ),
            (
                "filters = {}\n",
                &[Change::filter("ok", "class == ok")],
                "filters = { ok = \"class == ok\" }\n",
            ),
            (
                "filters.bad = 'class == rpc'\ntime = 'utc'\n",
                &[Change::filter("ok", "class == ok")],
                "filters.bad = 'class == rpc'\nfilters.ok = \"class == ok\"\ntime = 'utc'\n",
            ),
            (
                "time = \"\"\"utc\"\"\"",
                &[Change::word("time", "date"), Change::word("sort", "latency desc"), slow.clone()],
                "time = \"date\"\nsort = \"latency desc\"\n\n[filters]\nslow = 'latency > 2s and message ~ \"no stock\"'\n",
            ),
        ] {
            assert_eq!(made(before, changes).as_deref(), Ok(after), "{before:?}");
            assert_eq!(made(after, changes).as_deref(), Ok(after), "a second time");
        }
    }

    #[test]
    fn a_new_key_stands_below_its_line_of_the_template() {
        let template = Config::template();
        let changes = [
            Change::columns(&["time"]),
            Change::word("theme", "light"),
            Change::word("time", "utc"),
            Change::word("sort", "latency desc"),
            Change::filter("ok", "class == ok"),
        ];
        let made = made(&template, &changes).unwrap();
        let new: Vec<&str> = made.lines().filter(|line| !template.lines().any(|old| old == *line)).collect();
        assert_eq!(new.len(), 6, "{new:?}");
        let mut kept: Vec<&str> = made.lines().collect();
        for key in ["theme", "time", "columns", "sort"] {
            let at = kept.iter().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
            assert!(kept[at - 1].starts_with(&format!("# {key} = ")), "{key} stands below {}", kept[at - 1]);
            kept.remove(at);
        }
        assert!(kept.join("\n").starts_with(template.trim_end()));
    }

    #[test]
    fn texts_are_quoted_so_that_they_are_read_again() {
        for text in ["", "a", "it's", "\"x\"", "'\"", "a\\b", "a\\'b", "tab\tend", "\u{7f}", "下单"] {
            let line = format!("x = {}", quoted(text));
            let table = DeTable::parse(&line).unwrap().into_inner();
            assert_eq!(table.get("x").unwrap().get_ref().as_str(), Some(text), "{line}");
        }
    }

    #[test]
    fn what_is_broken_or_not_allowed_is_refused() {
        let utc = [Change::word("time", "utc")];
        assert_eq!(
            made("\nthem = 'dark'", &utc).unwrap_err(),
            "/c/config.toml:2: unknown key them; did you mean theme?"
        );
        for (change, said) in [
            (Change::word("time", "noon"), "time is \"noon\""),
            (Change::columns(&["tim"]), "there is no column tim"),
            (Change::word("names", "/etc/shadow"), "names can't be changed here"),
            (Change::word("keys.quit", "x"), "keys.quit can't be changed here"),
            (Change::filter("x y", "code == 1"), "can't be changed here"),
            (Change::filter("xy", "code === 1"), "wrong filter"),
            (Change::word("time", "utc\"\nnames = \"x"), "but may be"),
        ] {
            let error = made("time = 'utc'\n", std::slice::from_ref(&change)).unwrap_err();
            assert!(error.contains(said), "{change:?}: {error}");
        }
    }

    #[test]
    fn only_changes_that_the_interface_makes_are_decoded() {
        let changes = [Change::columns(&["time", "code"]), Change::filter("ok", "class == ok")];
        assert_eq!(Change::decode(&Change::encode(&changes)), Some(changes.to_vec()));
        for wrong in
            ["", "time", "time\0utc\0x", "names\0/x", "keys.quit\0x", "filters.\0x", "filters.a b\0x"]
        {
            assert_eq!(Change::decode(wrong), None, "{wrong:?}");
        }
    }
}
