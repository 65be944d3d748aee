//! The Logs view: the error lines of the logs beside the capture (`--log`), and their calls.

use std::sync::Arc;

use ratatui::style::{Modifier, Style};

use super::{Row, Sign, Target, View};
use crate::calls::{Call, labels};
use crate::text;
use crate::tui::columns::{Column, METHOD, Placed, REST, VERDICT, place, time_width};
use crate::tui::keys::{Action, Scope};
use crate::tui::logged::LoggedLine;
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{IdList, List, SortKey};

const TIME: Column = Column::text("time");
const PLACE: Column = Column::text("line");
const SAID: Column = Column::sentence("error");

/// The lines, by their places.
#[derive(Debug)]
pub(in crate::tui) struct Logs {
    pub rows: IdList<usize>,
    /// Times have their dates.
    pub dated: bool,
}

impl Default for Logs {
    fn default() -> Self {
        Self { rows: IdList::new(SAID, None), dated: false }
    }
}

impl Logs {
    fn line<'c>(&self, cx: &'c Context, row: usize) -> Option<&'c LoggedLine> {
        cx.logged.as_ref()?.lines.get(*self.rows.ids.get(row)?)
    }
}

impl View for Logs {
    fn title(&self) -> &'static str {
        "Logs"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Everywhere, Scope::Columns]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(TIME, time_width(self.dated)), (PLACE, (width / 6).min(28)), (METHOD, REST)];
        if width >= 140 {
            wanted.push((VERDICT, width / 5));
        }
        wanted.push((SAID, REST));
        place(width, wanted, (2, 5))
    }

    fn list(&self) -> &List {
        &self.rows.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.rows.list
    }

    fn len(&self) -> usize {
        self.rows.ids.len()
    }

    fn arrange(&mut self, cx: &Context) {
        let Some(logged) = &cx.logged else { return };
        let shown = |(_, line): &(usize, &LoggedLine)| match &line.told {
            Ok(told) => cx.matcher.filter_matches(&told.call),
            // The filter is about calls.
            Err(_) => !cx.matcher.has_filter(),
        };
        let ids = logged.lines.iter().enumerate().filter(shown).map(|(at, _)| at);
        self.rows.arrange(ids, |id, column| sort_key(&logged.lines[id], id, column));
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let line = self.line(cx, at)?;
        let call = line.told.as_ref().ok().map(|told| &*told.call);
        let color = call.map_or(cx.theme.dim, |call| cx.theme.class(call.class()));
        let color = color.remove_modifier(Modifier::BOLD);
        let above = at.checked_sub(1).and_then(|above| self.line(cx, above)).and_then(|line| line.time);
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                TIME => {
                    (line.time.map(|time| cx.time(time, above, self.dated)).unwrap_or_default(), cx.theme.dim)
                }
                PLACE => (text::escape(&line.place).into_owned(), Style::new()),
                METHOD => (about(line), if call.is_some() { cx.theme.strong } else { cx.theme.dim }),
                VERDICT => (call.map(labels::likely_verdict).unwrap_or_default(), color),
                _ => (text::escape(&line.error()).into_owned(), color),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: call.map(|call| Sign(call.class())), cells })
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        self.line(cx, at)
            .map(|line| format!("{} {} {}", line.place, about(line), line.text))
            .unwrap_or_default()
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        let line = self.line(cx, self.rows.list.selected)?;
        line.told.as_ref().ok().map(|told| Arc::clone(&told.call))
    }

    fn open(&self, cx: &Context) -> Option<Target> {
        let line = self.line(cx, self.rows.list.selected)?;
        Some(match &line.told {
            Ok(told) => Target::Call(Arc::clone(&told.call), None),
            Err(why) => Target::Nothing(why.sentence()),
        })
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let Some(line) = self.line(cx, self.rows.list.selected) else { return Sentence::default() };
        match &line.told {
            Ok(told) => {
                let sentence = Sentence::of_call(cx, &told.call);
                let others = match told.others {
                    0 => String::new(),
                    others => {
                        format!("; it may as well be about {}", text::counted(others as u64, "other call"))
                    }
                };
                Sentence {
                    rest: Some(format!("found by {}{others}", told.why.join(", "))),
                    hint: String::new(),
                    ..sentence
                }
            }
            Err(why) => Sentence::from(format!("no call: {}", why.sentence())),
        }
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        let Some(logged) = &cx.logged else {
            return vec![
                "no log is read beside this capture".to_owned(),
                "rpcscope FILE --log APP.log shows its error lines with their calls".to_owned(),
            ];
        };
        if logged.is_waiting {
            return vec!["the logs are read when the capture is".to_owned()];
        }
        if logged.lines.is_empty() {
            return vec!["no line of the logs is an error of an RPC".to_owned()];
        }
        vec![format!("the filter hides all lines: {} shows all again", cx.key(Action::ShowAll))]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        let lines = cx.logged.as_ref().map_or(0, |logged| logged.lines.len());
        cx.matcher.has_filter().then(|| (lines.saturating_sub(self.len()), " lines"))
    }

    fn evicted(&self, cx: &Context) -> u64 {
        cx.logged.as_ref().map_or(0, |logged| logged.left_out)
    }

    fn copy(&self, cx: &Context) -> Option<String> {
        self.line(cx, self.rows.list.selected).map(|line| line.text.clone())
    }

    fn export(&self, cx: &Context) -> Vec<Arc<Call>> {
        self.current_call(cx).into_iter().collect()
    }

    fn is_failed(&self, cx: &Context, at: usize) -> Option<bool> {
        let call = self.line(cx, at).and_then(|line| line.told.as_ref().ok());
        Some(call.is_some_and(|told| told.call.failed()))
    }
}

/// What a line is about.
fn about(line: &LoggedLine) -> String {
    match &line.told {
        Ok(told) => labels::likely_operation(&told.call),
        Err(why) => format!("({})", why.name().replace('-', " ")),
    }
}

fn sort_key(line: &LoggedLine, at: usize, column: Column) -> SortKey {
    match column {
        TIME => line.time.map(|time| time.0).into(),
        // As they stand in their logs.
        PLACE => SortKey::Number(at as i128),
        METHOD => SortKey::Text(about(line)),
        VERDICT => line
            .told
            .as_ref()
            .ok()
            .map_or(SortKey::Nothing, |told| SortKey::Text(labels::likely_verdict(&told.call))),
        _ => SortKey::Text(line.error()),
    }
}
