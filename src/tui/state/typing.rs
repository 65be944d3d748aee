//! Keys while a line is typed. Filters and searches take effect as they are typed.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::context::Context;
use super::prompt::{Menu, Purpose, Typed};
use super::{Effect, State};
use crate::calls::keys::{Key, Value, finding_words};
use crate::filter::{self, Completion};
use crate::text;
use crate::tui::keys;
use crate::tui::needle::Needle;

/// The newest calls whose values are offered as completions.
const CALLS_LIMIT: usize = 20_000;
/// The most values of a key that are offered.
const VALUES_LIMIT: usize = 50;
/// Longest value that is offered, in bytes; longer ones are searched for, not compared.
const VALUE_LENGTH: usize = 80;

impl State {
    /// Handles a key for the line.
    pub(super) fn type_key(&mut self, key: keys::Key) -> Option<Effect> {
        let prompt = self.prompt.as_mut()?;
        let typed = prompt.key(key, &self.history);
        self.typed(typed)
    }

    /// Handles pasted text; it is ignored if no line is open.
    pub(in crate::tui) fn paste(&mut self, text: &str) -> Option<Effect> {
        let typed = self.prompt.as_mut()?.insert(text);
        self.dirty = true;
        self.typed(typed)
    }

    fn typed(&mut self, typed: Typed) -> Option<Effect> {
        let prompt = self.prompt.as_ref()?;
        match (typed, prompt.purpose) {
            (Typed::Changed, Purpose::Filter) => self.filter_typed(),
            (Typed::Changed, Purpose::Search) => self.search_typed(),
            (Typed::Changed, Purpose::Command) => {
                if let Some(prompt) = &mut self.prompt {
                    prompt.error = None;
                }
            }
            (typed, Purpose::Export) => {
                let effect = self.file_typed(typed);
                self.settle();
                return effect;
            }
            (Typed::Moved | Typed::Back, _) | (Typed::Complete, Purpose::Search) => {}
            (Typed::Complete, Purpose::Filter | Purpose::Command) => self.complete(),
            (Typed::Cancelled, Purpose::Filter) => {
                let before = prompt.before.clone();
                self.prompt = None;
                if before != self.cx.matcher.text() && self.cx.matcher.set_filter(&before).is_ok() {
                    self.rematch();
                }
            }
            (Typed::Cancelled, Purpose::Search) => {
                self.cx.search =
                    Needle::parse(&prompt.before).unwrap_or_else(|_| Needle::literal(&prompt.before));
                self.prompt = None;
            }
            (Typed::Cancelled, Purpose::Command) => self.prompt = None,
            (Typed::Accepted, Purpose::Command) => {
                let mut open = self.prompt.take()?;
                self.history.keep(Purpose::Command, open.text());
                match self.run_command(open.text()) {
                    Ok(effect) => {
                        self.settle();
                        return effect;
                    }
                    // A line with a mistake stays open.
                    Err(error) => {
                        open.error = Some(error);
                        self.prompt = Some(open);
                    }
                }
            }
            (Typed::Accepted, Purpose::Filter) => {
                // A line with a mistake stays open.
                if prompt.error.is_none() {
                    self.history.keep(Purpose::Filter, prompt.text());
                    self.prompt = None;
                    if self.cx.matcher.needs_bodies() {
                        self.ask_for_bodies();
                    }
                }
            }
            // A line with a mistake stays open.
            (Typed::Accepted, Purpose::Search) if prompt.error.is_some() => {}
            (Typed::Accepted, Purpose::Search) => {
                let line = prompt.text().to_owned();
                let log_line = self.prompt.take()?.log_line.filter(|_| self.help.is_none());
                self.line = None;
                self.history.keep(Purpose::Search, &line);
                if line.is_empty() {
                    self.cx.search = Needle::default();
                } else if let Some(log_line) = log_line {
                    self.cx.search = Needle::default();
                    let effect = self.find_line(log_line, line);
                    self.settle();
                    return effect;
                } else {
                    self.find(true);
                }
            }
        }
        self.settle();
        None
    }

    /// Looks for what is typed so far; while it has a mistake, for the last that had none.
    fn search_typed(&mut self) {
        let Some(prompt) = &mut self.prompt else { return };
        prompt.read_log_line();
        prompt.error = None;
        match Needle::parse(prompt.text()) {
            Ok(needle) => self.cx.search = needle,
            // The line of a log is not looked for as it stands.
            Err(_) if prompt.log_line.is_some() => self.cx.search = Needle::literal(prompt.text()),
            Err(error) => prompt.error = Some(error),
        }
    }

    /// Applies the filter as far as it is typed; while it has a mistake, the last correct one stays.
    fn filter_typed(&mut self) {
        let Some(prompt) = &mut self.prompt else { return };
        match self.cx.matcher.set_filter(prompt.text()) {
            Ok(()) => {
                prompt.error = None;
                self.rematch();
            }
            Err(error) => prompt.error = Some(error),
        }
    }

    /// Completes the word at the cursor up to where the candidates differ, and shows them.
    fn complete(&mut self) {
        let Some(prompt) = &self.prompt else { return };
        let purpose = prompt.purpose;
        if purpose == Purpose::Filter && self.complete_name() {
            return;
        }
        let Some(prompt) = &self.prompt else { return };
        let completion = match purpose {
            Purpose::Command => self.complete_command(prompt.text(), prompt.cursor()),
            _ => self.complete_filter(prompt.text(), prompt.cursor()),
        };
        let Some(prompt) = &mut self.prompt else { return };
        let is_clear = completion.begin(prompt.text()) == 1 || completion.candidates.len() == 1;
        let (start, end) = (completion.span.start, completion.span.end);
        let changed = match completion.candidates.as_slice() {
            [] => {
                prompt.menu = Menu::default();
                false
            }
            // The only one, or the only one that begins as written.
            [best] | [best, ..] if is_clear => {
                prompt.replace(start, end, &format!("{} ", best.text)) == Typed::Changed
            }
            _ => {
                let entries = completion.candidates.into_iter();
                prompt.offer(start, entries.map(|c| (c.text, c.doc.to_owned())).collect())
            }
        };
        if changed {
            prompt.error = None;
            if purpose == Purpose::Filter {
                self.filter_typed();
            }
        }
    }
}

impl State {
    /// Completes the name of a filter that begins before the cursor. Whether there is one.
    fn complete_name(&mut self) -> bool {
        let Some(prompt) = &mut self.prompt else { return false };
        let before = &prompt.text()[..prompt.cursor()];
        let begins = |at: &usize| before[..*at].is_empty() || before[..*at].ends_with([' ', '(', '!']);
        let Some(start) = before.rfind('@').filter(begins).filter(|at| !before[*at..].contains(' ')) else {
            return false;
        };
        let written = before[start + 1..].to_owned();
        let named = self.cx.matcher.named.iter().filter(|(name, _)| name.starts_with(&written));
        let mut entries: Vec<_> =
            named.map(|(name, filter)| (format!("@{name}"), text::escape(filter).into_owned())).collect();
        let changed = match entries.as_mut_slice() {
            [] => {
                prompt.menu = Menu::default();
                false
            }
            [(only, _)] => prompt.replace(start, prompt.cursor(), &format!("{only} ")) == Typed::Changed,
            _ => prompt.offer(start, entries),
        };
        if changed {
            self.filter_typed();
        }
        true
    }

    /// The possible continuations of a filter.
    pub(super) fn complete_filter(&self, text: &str, cursor: usize) -> Completion {
        let seen = |key: &'static Key| seen_values(&self.cx, key);
        let fields = || self.cx.decoder.as_ref().map(|decoder| decoder.field_names()).unwrap_or_default();
        filter::complete_with(&filter::blanked(text), cursor, &seen, &fields)
    }
}

/// The values of a key in the newest calls, the most frequent first. Of addresses that call, ports are left out, because they
/// change with each connection.
fn seen_values(cx: &Context, key: &'static Key) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for entry in cx.store.entries().iter().rev().take(CALLS_LIMIT) {
        let mut count = |value: String| {
            if !value.is_empty() && value.len() <= VALUE_LENGTH {
                *counts.entry(value).or_default() += 1;
            }
        };
        match (key.get)(&entry.call) {
            Value::Address(end) if key.name == "client" => count(end.ip.to_string()),
            value @ (Value::Word(_)
            | Value::Choice(_)
            | Value::Text(_)
            | Value::Number(_)
            | Value::Address(_)) => {
                count(value.to_string());
            }
            Value::List(names) => names.iter().for_each(|name| count(name.to_string())),
            Value::Findings(findings, newer) => {
                finding_words(findings, newer).for_each(|word| count(word.to_owned()));
            }
            Value::Processes(ends) => {
                ends.iter().flatten().for_each(|process| count(process.name.to_string()));
            }
            _ => {}
        }
    }
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_unstable_by(|(a, n), (b, m)| (Reverse(n), a).cmp(&(Reverse(m), b)));
    values.into_iter().take(VALUES_LIMIT).map(|(value, _)| value).collect()
}
