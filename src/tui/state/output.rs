//! Copying to the clipboard and exporting to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::prompt::{Prompt, Purpose, Typed};
use super::{Effect, State};
use crate::calls::Call;
use crate::text;
use crate::tui::views::{View as _, ViewId};

/// Most names that completion shows.
const MAX_NAMES: usize = 200;

/// Which calls an export writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Which {
    /// All that the list of calls shows.
    Shown,
    /// The marked ones.
    Marked,
    /// Those under the cursor.
    This,
}

/// What can be exported, and what was chosen.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Choice {
    /// In the order in which they are chosen.
    choices: Vec<Which>,
    chosen: usize,
    /// The calls that were under the cursor when the line was opened.
    this: Vec<Arc<Call>>,
}

/// An export that is being written.
#[derive(Debug)]
pub(super) struct Export {
    /// The line that asked for it.
    prompt: Prompt,
    /// What is said of it meanwhile.
    notice: String,
    /// The file, as it was typed.
    name: String,
}

impl Choice {
    pub(in crate::tui) fn chosen(&self) -> Which {
        self.choices.get(self.chosen).copied().unwrap_or(Which::Shown)
    }

    /// The other possibilities.
    pub(in crate::tui) fn others(&self) -> impl Iterator<Item = Which> {
        let after = self.choices.iter().skip(self.chosen + 1);
        after.chain(self.choices.iter().take(self.chosen)).copied()
    }
}

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

    /// The calls of a choice.
    fn calls_of_choice(&self, choice: &Choice) -> Vec<Arc<Call>> {
        let entries = self.cx.store.entries().iter();
        match choice.chosen() {
            Which::This => choice.this.clone(),
            Which::Marked => {
                entries.filter(|entry| entry.marked).map(|entry| Arc::clone(&entry.call)).collect()
            }
            Which::Shown => {
                let rows = 0..self.views.calls.len();
                rows.filter_map(|row| self.cx.call(self.views.calls.serial(row)?)).collect()
            }
        }
    }

    /// A choice in words: `all 1,204 calls shown`.
    pub(in crate::tui) fn words_of(&self, choice: &Choice, which: Which) -> String {
        let counted = |count: usize, kind: &str| text::counted(count as u64, &format!("{kind}call"));
        match (which, choice.this.len()) {
            (Which::Shown, _) if self.views.calls.len() == 1 => "the 1 call shown".to_owned(),
            (Which::Shown, _) => format!("all {} shown", counted(self.views.calls.len(), "")),
            (Which::Marked, _) => counted(self.marked, "marked "),
            (Which::This, 1) => "this call".to_owned(),
            (Which::This, count) => format!("{} of this row", counted(count, "")),
        }
    }

    /// Asks for the name of the file to write to.
    pub(super) fn ask_for_file(&mut self) {
        if self.help.is_some() {
            return;
        }
        let this = match &self.detail {
            Some(detail) => vec![Arc::clone(&detail.call)],
            None => self.view().export(&self.cx),
        };
        let is_list = self.detail.is_none() && self.view_id == ViewId::Calls;
        let mut choices = Vec::new();
        choices.extend((self.marked > 0).then_some(Which::Marked));
        choices.extend((!this.is_empty() && !is_list).then_some(Which::This));
        choices.extend((self.views.calls.len() > 0).then_some(Which::Shown));
        choices.extend((!this.is_empty() && is_list).then_some(Which::This));
        if choices.is_empty() {
            self.notice = Some("no calls here to export".to_owned());
            return;
        }
        let mut prompt = Prompt::new(Purpose::Export, String::new(), String::new());
        prompt.choice = Some(Choice { choices, chosen: 0, this });
        self.prompt = Some(prompt);
    }

    /// Handles what a key did to the name of the file.
    pub(super) fn file_typed(&mut self, typed: Typed) -> Option<Effect> {
        let prompt = self.prompt.as_mut()?;
        match typed {
            Typed::Moved => {}
            Typed::Changed => prompt.remark = None,
            Typed::Cancelled => self.prompt = None,
            Typed::Back => {
                prompt.remark = None;
                if let Some(choice) = &mut prompt.choice {
                    choice.chosen = (choice.chosen + 1) % choice.choices.len().max(1);
                }
            }
            Typed::Complete => {
                prompt.remark = None;
                return Some(Effect::ListFolder(folder(prompt.text()).into()));
            }
            Typed::Accepted => return self.write_file(),
        }
        None
    }

    /// Accepts the name of the file, or says what is wrong with it.
    pub(super) fn write_file(&mut self) -> Option<Effect> {
        let has_packets = self.has_packets;
        let prompt = self.prompt.as_mut()?;
        let line = prompt.text().trim().to_owned();
        let name = if line.is_empty() { default_name(has_packets).to_owned() } else { line };
        match checked_name(&name, has_packets) {
            Ok(name) => {
                let prompt = self.prompt.take()?;
                let calls =
                    prompt.choice.as_ref().map(|choice| self.calls_of_choice(choice)).unwrap_or_default();
                self.history.keep(Purpose::Export, &name);
                let counted = text::counted(calls.len() as u64, "call");
                let notice = format!("writing {counted} to {} …", text::escape(&name));
                self.notice = Some(notice.clone());
                self.exporting.push_back(Export { prompt, notice, name: name.clone() });
                Some(Effect::Export(calls, PathBuf::from(name)))
            }
            Err((why, better)) => {
                if let Some(better) = better {
                    prompt.replace(0, prompt.text().len(), &better);
                }
                prompt.remark = Some(why);
                None
            }
        }
    }

    /// The oldest export has ended, with a line for the user in either case. If it failed at once, the name can be mended.
    pub(in crate::tui) fn exported(&mut self, result: Result<String, String>) {
        let begun = self.exporting.pop_front();
        self.export_ended(begun, result);
    }

    /// The newest export can't begin.
    pub(in crate::tui) fn export_refused(&mut self, why: String) {
        let refused = self.exporting.pop_back();
        self.export_ended(refused, Err(why));
    }

    /// The files of exports that have not ended.
    pub(in crate::tui) fn unwritten(&self) -> impl Iterator<Item = &str> {
        self.exporting.iter().map(|export| &*export.name)
    }

    fn export_ended(&mut self, begun: Option<Export>, result: Result<String, String>) {
        match (result, begun) {
            (Ok(line), _) => self.say(line),
            (Err(why), Some(Export { mut prompt, notice, .. }))
                if self.prompt.is_none() && self.notice.as_deref() == Some(&*notice) =>
            {
                self.notice = None;
                prompt.remark = Some(why);
                self.prompt = Some(prompt);
                self.dirty = true;
            }
            (Err(why), _) => self.say(format!("not written: {why}")),
        }
    }

    /// Completes the name of the file with the names of its folder.
    pub(in crate::tui) fn names_came(&mut self, of: &Path, names: Result<Vec<String>, String>) {
        let Some(prompt) = self.prompt.as_mut().filter(|prompt| prompt.purpose == Purpose::Export) else {
            return;
        };
        if Path::new(folder(prompt.text())) != of || prompt.cursor() != prompt.text().len() {
            return;
        }
        self.dirty = true;
        let names = match names {
            Ok(names) => names,
            Err(why) => {
                prompt.remark = Some(why);
                return;
            }
        };
        let start = prompt.text().rfind('/').map_or(0, |at| at + 1);
        let begun = prompt.text()[start..].to_owned();
        let fits =
            |name: &String| name.starts_with(&begun) && (begun.starts_with('.') || !name.starts_with('.'));
        let fitting: Vec<String> = names.into_iter().filter(fits).take(MAX_NAMES).collect();
        match fitting.as_slice() {
            [] => prompt.remark = Some("no name begins so".to_owned()),
            [only] => _ = prompt.replace(start, start + begun.len(), only),
            _ => _ = prompt.offer(start, fitting.into_iter().map(|name| (name, String::new())).collect()),
        }
    }
}

/// The folder of a typed path: `.` if it names none.
fn folder(typed: &str) -> &str {
    match typed.rfind('/') {
        None => ".",
        Some(0) => "/",
        Some(at) => &typed[..at],
    }
}

/// The name of the file if none is typed.
pub(in crate::tui) fn default_name(has_packets: bool) -> &'static str {
    if has_packets { "calls.pcapng" } else { "calls.jsonl" }
}

/// The name of the file, with `.pcapng` if it has no ending; or why it can't be used, and a better one.
fn checked_name(name: &str, has_packets: bool) -> Result<String, (String, Option<String>)> {
    let path = Path::new(name);
    if name.ends_with(['/', '.']) || path.file_name().is_none() {
        return Err(("add the name of a file".to_owned(), None));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let with = |ending: &str| Some(path.with_extension(ending).to_string_lossy().into_owned());
    match ending.as_deref() {
        Some("jsonl" | "pcapng") => Ok(name.to_owned()),
        None => Ok(format!("{name}.{}", if has_packets { "pcapng" } else { "jsonl" })),
        Some("json") => {
            Err(("the records are JSON lines, whose ending is .jsonl: ⏎ accepts".to_owned(), with("jsonl")))
        }
        Some("pcap" | "cap") => {
            Err(("only .pcapng holds the verdicts as comments: ⏎ accepts".to_owned(), with("pcapng")))
        }
        Some(_) => {
            Err(("the ending says what is written: .pcapng the packets, .jsonl the records".to_owned(), None))
        }
    }
}
