//! What leaves the program: text for the clipboard, calls for a file.

use std::sync::Arc;

use super::prompt::{Prompt, Purpose};
use super::{Effect, State};
use crate::calls::Call;
use crate::text;
use crate::tui::keys::View;

/// The most calls that one export writes.
const EXPORT_LIMIT: usize = 1_000_000;

impl State {
    /// What is under the cursor, for the clipboard.
    pub(super) fn copy(&mut self) -> Option<Effect> {
        let text = match &self.detail {
            Some(detail) => detail.copy()?,
            None => match self.view {
                View::Calls => {
                    let (_, call) = self.selected_call()?;
                    let mut line = Vec::new();
                    crate::sink::jsonl::write_call(&mut line, call);
                    String::from_utf8_lossy(&line).into_owned()
                }
                View::Chains => {
                    let (chain, _) = self.chains.selected()?;
                    crate::sink::chains::tree(chain, None, false)
                }
                _ => self.row_text(self.list().0.selected),
            },
        };
        self.notice = Some(format!("copied {}", text::bytes(text.len() as u64)));
        Some(Effect::Copy(text))
    }

    /// The calls that an export writes: the marked ones, or what is under the cursor.
    pub(super) fn calls_to_export(&self) -> Vec<Arc<Call>> {
        if self.marked > 0 {
            let marked: Vec<_> =
                self.store.entries().iter().filter(|e| e.marked).map(|e| Arc::clone(&e.call)).collect();
            if !marked.is_empty() {
                return marked;
            }
        }
        if let Some(call) = self.current_call().filter(|_| self.detail.is_some() || self.view == View::Calls)
        {
            return vec![call];
        }
        let uid = match self.view {
            View::Chains => self.chains.selected().map(|(chain, _)| chain.root().uid),
            View::Changes => self.changes.selected().and_then(|turn| self.chains.example(turn)),
            _ => None,
        };
        if let Some((chain, _)) = uid.and_then(|uid| self.chains.of(uid)) {
            return chain.hops.iter().map(|hop| Arc::clone(&hop.call)).collect();
        }
        let Some(thing) = self.selected_thing() else { return Vec::new() };
        self.store
            .entries()
            .iter()
            .filter(|e| self.matcher.filter_matches(&e.call) && thing.holds(e, &self.chains))
            .take(EXPORT_LIMIT)
            .map(|e| Arc::clone(&e.call))
            .collect()
    }

    /// Asks for the name of the file to write to.
    pub(super) fn ask_for_file(&mut self) {
        if self.help.is_some() {
            return;
        }
        if self.calls_to_export().is_empty() {
            self.notice = Some("no calls here to export".to_owned());
            return;
        }
        self.prompt = Some(Prompt::new(Purpose::Export, "calls.jsonl".to_owned(), String::new()));
    }
}
