//! Keys while a line is typed: what is typed takes effect at once.

use std::path::PathBuf;

use super::prompt::{Purpose, Typed};
use super::{Effect, State};
use crate::filter;
use crate::text;
use crate::tui::keys::Key;

/// Names that completion of values looks through at most.
const NAMES_LIMIT: usize = 2_000;

impl State {
    /// Takes a key for the line.
    pub(super) fn type_key(&mut self, key: Key) -> Option<Effect> {
        let prompt = self.prompt.as_mut()?;
        let typed = prompt.key(key, &self.history);
        self.typed(typed)
    }

    /// Takes pasted text; without an open line it means nothing.
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
            }
            (Typed::Moved, _)
            | (Typed::Changed | Typed::Complete, Purpose::Export)
            | (Typed::Complete, Purpose::Search) => {}
            (Typed::Complete, Purpose::Filter) => self.complete(),
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
            (Typed::Cancelled, Purpose::Export) => self.prompt = None,
            (Typed::Accepted, Purpose::Filter) => {
                // With a mistake in it the line stays open, and the mistake on the screen.
                if prompt.error.is_none() {
                    self.history.keep(Purpose::Filter, prompt.text());
                    self.prompt = None;
                }
            }
            (Typed::Accepted, Purpose::Search) => {
                let line = prompt.text().to_owned();
                self.prompt = None;
                if line.is_empty() {
                    self.cx.search.clear();
                } else {
                    self.history.keep(Purpose::Search, &line);
                    self.find(true);
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
                self.notice = Some(format!(
                    "writing {} {} to {} …",
                    calls.len(),
                    if calls.len() == 1 { "call" } else { "calls" },
                    text::escape(&line)
                ));
                return Some(Effect::Export(calls, PathBuf::from(line)));
            }
        }
        self.settle();
        None
    }

    /// Applies the filter as far as it is typed; with a mistake the last good one goes on acting.
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

    /// Completes the word at the cursor as far as all candidates agree, and shows them.
    fn complete(&mut self) {
        let Some(prompt) = &mut self.prompt else { return };
        let methods = &self.cx.catalog.methods;
        let seen = |key: &'static crate::calls::keys::Key| {
            let mut names: Vec<String> = methods
                .iter()
                .take(NAMES_LIMIT)
                .filter_map(|m| match key.name {
                    "service" => m.service.as_deref(),
                    "method" => m.name.as_deref(),
                    _ => None,
                })
                .map(str::to_owned)
                .collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let completion = filter::complete_with(prompt.text(), prompt.cursor(), &seen);
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
            self.filter_typed();
            if let Some(prompt) = &mut self.prompt {
                prompt.candidates = candidates;
            }
        }
    }
}

/// The beginning that both have.
fn common_beginning<'t>(a: &'t str, b: &'t str) -> &'t str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..end.unwrap_or(a.len().min(b.len()))]
}
