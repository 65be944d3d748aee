//! Keys while a line is typed. Filters and searches take effect as they are typed.

use std::path::PathBuf;

use super::prompt::{Purpose, Typed};
use super::{Effect, State};
use crate::filter::{self, Completion};
use crate::text;
use crate::tui::keys::Key;

/// The most methods whose names are offered as completions.
const NAMES_LIMIT: usize = 2_000;

impl State {
    /// Handles a key for the line.
    pub(super) fn type_key(&mut self, key: Key) -> Option<Effect> {
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
            (Typed::Changed, Purpose::Search) => {
                prompt.text().clone_into(&mut self.cx.search);
                if let Some(prompt) = &mut self.prompt {
                    prompt.read_log_line();
                }
            }
            (Typed::Changed, Purpose::Command) => {
                if let Some(prompt) = &mut self.prompt {
                    prompt.error = None;
                }
            }
            (Typed::Moved, _)
            | (Typed::Changed | Typed::Complete, Purpose::Export)
            | (Typed::Complete, Purpose::Search) => {}
            (Typed::Complete, Purpose::Filter | Purpose::Command) => self.complete(),
            (Typed::Cancelled, Purpose::Filter) => {
                let before = prompt.before.clone();
                self.prompt = None;
                if before != self.cx.matcher.text() && self.cx.matcher.set_filter(&before).is_ok() {
                    self.rematch();
                }
            }
            (Typed::Cancelled, Purpose::Search) => {
                self.cx.search.clone_from(&prompt.before);
                self.prompt = None;
            }
            (Typed::Cancelled, Purpose::Export | Purpose::Command) => self.prompt = None,
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
            (Typed::Accepted, Purpose::Search) => {
                let line = prompt.text().to_owned();
                let log_line = self.prompt.take()?.log_line.filter(|_| self.help.is_none());
                self.line = None;
                self.history.keep(Purpose::Search, &line);
                if line.is_empty() {
                    self.cx.search.clear();
                } else if let Some(log_line) = log_line {
                    self.cx.search.clear();
                    let effect = self.find_line(log_line, line);
                    self.settle();
                    return effect;
                } else {
                    _ = self.find(true);
                }
            }
            (Typed::Accepted, Purpose::Export) => {
                let line = prompt.text().trim().to_owned();
                if line.is_empty() {
                    return None;
                }
                self.history.keep(Purpose::Export, &line);
                self.prompt = None;
                let calls = self.calls_to_export();
                let counted = text::counted(calls.len() as u64, "call");
                self.notice = Some(format!("writing {counted} to {} …", text::escape(&line)));
                return Some(Effect::Export(calls, PathBuf::from(line)));
            }
        }
        self.settle();
        None
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
        let completion = match purpose {
            Purpose::Command => self.complete_command(prompt.text(), prompt.cursor()),
            _ => self.complete_filter(prompt.text(), prompt.cursor()),
        };
        let Some(prompt) = &mut self.prompt else { return };
        let common = completion.candidates.iter().map(|c| c.text.as_str()).reduce(common_beginning);
        let Some(common) = common else {
            prompt.candidates.clear();
            return;
        };
        let word = prompt.text().get(completion.span.clone()).unwrap_or_default();
        let only = completion.candidates.len() == 1;
        let mut with = common.to_owned();
        if only {
            with.push(' ');
        }
        let (start, end) = (completion.span.start, completion.span.end);
        let longer = with.len() > word.len();
        let candidates = completion.candidates.iter().map(|c| text::escape(&c.text).into_owned()).collect();
        if longer {
            prompt.replace(start, end, &with);
        }
        prompt.candidates = if only { Vec::new() } else { candidates };
        if longer {
            let candidates = std::mem::take(&mut prompt.candidates);
            prompt.error = None;
            if purpose == Purpose::Filter {
                self.filter_typed();
            }
            if let Some(prompt) = &mut self.prompt {
                prompt.candidates = candidates;
            }
        }
    }
}

impl State {
    /// The possible continuations of a filter.
    pub(super) fn complete_filter(&self, text: &str, cursor: usize) -> Completion {
        let methods = &self.cx.catalog.methods;
        let seen = |key: &'static crate::calls::keys::Key| {
            let mut names: Vec<String> = methods
                .iter()
                .take(NAMES_LIMIT)
                .filter_map(|m| match key.name {
                    "service" => m.service.as_deref(),
                    "method" => m.method.as_deref(),
                    _ => None,
                })
                .map(str::to_owned)
                .collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let fields = || self.cx.decoder.as_ref().map(|decoder| decoder.field_names()).unwrap_or_default();
        filter::complete_with(text, cursor, &seen, &fields)
    }
}

/// The longest common beginning.
fn common_beginning<'t>(a: &'t str, b: &'t str) -> &'t str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..end.unwrap_or(a.len().min(b.len()))]
}
