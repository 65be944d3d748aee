//! TOML with places: every complaint names the file and the line.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::calls::keys::closest;
use crate::text;

/// The text of a config file, and what it says.
pub(super) struct Document<'t> {
    text: &'t str,
    path: String,
    table: DeTable<'t>,
}

/// A key and its value.
pub(super) struct Entry<'d> {
    document: &'d Document<'d>,
    name: &'d str,
    key: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str, path: &Path) -> Result<Self, String> {
        let path = path.display().to_string();
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { text, path, table: table.into_inner() }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                Err(format!("{path}:{}: {}", line(text, at), error.message()))
            }
        }
    }

    /// The keys of the top, in the order of the file.
    pub(super) fn entries(&'t self) -> Vec<Entry<'t>> {
        entries(self, &self.table)
    }
}

/// The entries of a table, in the order of the file.
fn entries<'d>(document: &'d Document<'d>, table: &'d DeTable<'d>) -> Vec<Entry<'d>> {
    let entries =
        table.iter().map(|(key, value)| Entry { document, name: key.get_ref(), key: key.span(), value });
    let mut entries: Vec<Entry<'d>> = entries.collect();
    entries.sort_by_key(|entry| entry.key.start);
    entries
}

/// The number of the line in which a byte is, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

impl<'d> Entry<'d> {
    /// The place of the key.
    pub(super) fn place(&self) -> usize {
        self.key.start
    }

    pub(super) fn name(&self) -> &'d str {
        self.name
    }

    /// A complaint about the value, with the place of the key.
    pub(super) fn wrong(&self, why: &str) -> String {
        let Document { text, path, .. } = self.document;
        format!("{path}:{}: {} {why}", line(text, self.key.start), self.name)
    }

    /// A complaint about a part of the value.
    pub(super) fn wrong_at(&self, place: usize, why: &str) -> String {
        let Document { text, path, .. } = self.document;
        format!("{path}:{}: {}: {why}", line(text, place), self.name)
    }

    /// A complaint about the key, which is none of `known`.
    pub(super) fn unknown(&self, known: &[&'static str]) -> String {
        let Document { text, path, .. } = self.document;
        let name = text::escape(self.name);
        let meant = match closest(self.name, known.iter().copied()).first() {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        format!("{path}:{}: unknown key {name}; {meant}", line(text, self.key.start))
    }

    /// The entries of the value, which is a table.
    pub(super) fn table(&self) -> Result<Vec<Self>, String> {
        let value = self.value.get_ref();
        let Some(table) = value.as_table() else {
            return Err(self.wrong(&format!("is {}, but needs lines below [{}]", kind(value), self.name)));
        };
        Ok(entries(self.document, table))
    }

    /// The value as a text.
    pub(super) fn text(&self) -> Result<&'d str, String> {
        let value = self.value.get_ref();
        value.as_str().ok_or_else(|| self.wrong(&format!("is {}, but needs a text in quotes", kind(value))))
    }

    /// The value as one of these words.
    pub(super) fn word(&self, known: &[&'static str]) -> Result<&'d str, String> {
        let word = self.text()?;
        if known.contains(&word) {
            return Ok(word);
        }
        let shown = text::escape(word);
        Err(self.wrong(&match closest(word, known.iter().copied()).first() {
            Some(meant) => format!("is \"{shown}\"; did you mean {meant}?"),
            None => format!("is \"{shown}\", but may be {}", known.join(", ")),
        }))
    }

    /// The value as a list of texts with their places, or as one text.
    pub(super) fn texts(&self) -> Result<Vec<(&'d str, usize)>, String> {
        let value = self.value.get_ref();
        if let Some(one) = value.as_str() {
            return Ok(vec![(one, self.value.span().start)]);
        }
        let Some(list) = value.as_array() else {
            return Err(self.wrong(&format!("is {}, but needs a list of texts", kind(value))));
        };
        let texts = list.iter().map(|item| match item.get_ref().as_str() {
            Some(text) => Ok((text, item.span().start)),
            None => Err(self.wrong(&format!("has {}, but needs texts in quotes", kind(item.get_ref())))),
        });
        texts.collect()
    }
}

/// The kind of a value, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
