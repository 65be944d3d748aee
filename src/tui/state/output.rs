//! Copying to the clipboard and exporting to a file.

use std::sync::Arc;

use super::prompt::{Prompt, Purpose};
use super::{Effect, State};
use crate::calls::Call;
use crate::text;

impl State {
    /// Copies what is under the cursor.
    pub(super) fn copy(&mut self) -> Option<Effect> {
        let text = match &self.detail {
            Some(detail) => detail.copy()?,
            None => self.view().copy(&self.cx)?,
        };
        self.notice = Some(format!("copied {}", text::bytes(text.len() as u64)));
        Some(Effect::Copy(text))
    }

    /// The calls that an export writes: the marked ones, or those under the cursor.
    pub(super) fn calls_to_export(&self) -> Vec<Arc<Call>> {
        if self.marked > 0 {
            let entries = self.cx.store.entries().iter();
            let marked: Vec<_> = entries.filter(|e| e.marked).map(|e| Arc::clone(&e.call)).collect();
            if !marked.is_empty() {
                return marked;
            }
        }
        match &self.detail {
            Some(detail) => vec![Arc::clone(&detail.call)],
            None => self.view().export(&self.cx),
        }
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
