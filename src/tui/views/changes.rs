//! The summary of changes: which service turns which error into what, and how often.

use std::sync::Arc;

use ratatui::style::{Modifier, Style};

use super::{Row, Sign, Target, View, ViewId};
use crate::calls::{Call, labels};
use crate::chains::summary::{self, Ending, Turn};
use crate::sink::chains::ending;
use crate::text;
use crate::tui::columns::{COUNT, Column, Placed, REST, place};
use crate::tui::keys::{Action, Scope};
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{List, SortKey};

const BELOW: Column = Column::text("callee answered");
const ANSWERED: Column = Column::text("service answered");
const FINDINGS: Column = Column::sentence("what happened");
const EXAMPLE: Column = Column::text("example");

/// All kinds of changes.
#[derive(Debug)]
pub(in crate::tui) struct Changes {
    /// In the order of the screen.
    pub turns: Vec<Turn>,
    /// What is not known for sure, in words.
    doubts: Option<String>,
    list: List,
}

impl Default for Changes {
    fn default() -> Self {
        Self { turns: Vec::new(), doubts: None, list: List::new(ANSWERED, None) }
    }
}

impl Changes {
    pub(in crate::tui) fn selected(&self) -> Option<&Turn> {
        self.turns.get(self.list.selected)
    }
}

impl View for Changes {
    fn title(&self) -> &'static str {
        "summary of changes"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Graph, Scope::Lists, Scope::Rows, Scope::Columns, Scope::Everywhere]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(COUNT, 6), (BELOW, REST), (ANSWERED, REST)];
        if width >= 76 {
            wanted.push((FINDINGS, if width >= 110 { width / 3 } else { width / 4 }));
        }
        if width >= 110 {
            wanted.push((EXAMPLE, 10));
        }
        place(width, wanted, (1, 2))
    }

    fn list(&self) -> &List {
        &self.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.list
    }

    fn len(&self) -> usize {
        self.turns.len()
    }

    /// Takes the changes of the sum of chains, the most frequent first unless they are sorted. If the user has moved the
    /// cursor, it stays on its change.
    fn arrange(&mut self, cx: &Context) {
        let moved = self.selected().filter(|_| self.list.moved);
        let selected = moved.map(|turn| (turn.from.clone(), turn.to.clone(), turn.is_sure));
        let sum = cx.chains.sum(&cx.matcher);
        self.turns = sum.turns().into_iter().chain(sum.doubtful()).cloned().collect();
        self.doubts = sum.doubts();
        self.list.order(&mut self.turns, sort_key);
        let row = selected.and_then(|(from, to, is_sure)| {
            let same = |turn: &Turn| (&turn.from, &turn.to, turn.is_sure) == (&from, &to, is_sure);
            self.turns.iter().position(same)
        });
        if let Some(row) = row {
            self.list.keep(row);
        }
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let turn = self.turns.get(at)?;
        let theme = &cx.theme;
        let style = |class| theme.class(class).remove_modifier(Modifier::BOLD);
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                COUNT => (text::thousands(turn.count), theme.strong),
                BELOW => (below(turn), turn.from.as_ref().map_or(theme.dim, |from| style(from.class))),
                ANSWERED => (ending(&turn.to), style(turn.to.class)),
                FINDINGS => (findings(turn), theme.dim),
                EXAMPLE => (turn.example.to_string(), theme.dim),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: Some(Sign(turn.to.class)), cells })
    }

    fn row_text(&self, _cx: &Context, at: usize) -> String {
        self.turns.get(at).map_or_else(String::new, |turn| {
            format!("{} {} {}", below(turn), ending(&turn.to), findings(turn))
        })
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        let (chain, hop) = cx.chains.of(cx.chains.example(self.selected()?)?)?;
        Some(chain.hops[hop].call.shared())
    }

    fn open(&self, cx: &Context) -> Option<Target> {
        let turn = self.selected()?;
        let example = cx.chains.example(turn);
        if example.is_none() && !turn.is_sure {
            return Some(Target::Nothing(
                "no chain of it is held: its failure may have begun in a call that is linked elsewhere",
            ));
        }
        Some(example.map_or(Target::Nothing("all chains with this change were evicted"), Target::Chain))
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let open = cx.key(Action::Open);
        let Some(turn) = self.selected() else { return Sentence::default() };
        let answered = |ending: &Ending| {
            let code = ending.code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{} ended as {}{code}", text::escape(&ending.operation), labels::label(ending.class))
        };
        let below = turn.from.as_ref().map_or_else(|| "all its own calls were ok".to_owned(), answered);
        let (times, to) = (text::counted(turn.count, "time"), answered(&turn.to));
        let main = if turn.is_sure {
            let words = summary::words(turn.findings);
            format!("{times}: {below}, and {to} ({words}). {open} shows an example in its chain.")
        } else {
            format!("{times}: {to}, and it is not known for sure where that began. {open} shows an example.")
        };
        Sentence { main, rest: self.doubts.clone(), ..Sentence::default() }
    }

    /// What is not known for sure takes a line of its own.
    fn sentence_lines(&self, height: u16) -> u16 {
        match height {
            ..16 => 1,
            16..20 => 2,
            _ => 3,
        }
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        if cx.matcher.has_filter() && cx.chains.held() > 0 {
            let hidden = text::counted(cx.chains.hidden as u64, "chain");
            return vec![format!("no change in the chains that pass the filter; it hides {hidden}")];
        }
        let graph = cx.key(Action::Show(ViewId::Graph));
        vec![
            "no service has changed an error of a callee".to_owned(),
            format!("{graph} shows who calls whom"),
        ]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.hidden_chains()
    }

    fn export(&self, cx: &Context) -> Vec<Arc<Call>> {
        let example = self.selected().and_then(|turn| cx.chains.example(turn));
        example.map(|uid| cx.chains.calls(uid)).unwrap_or_default()
    }
}

fn sort_key(turn: &Turn, column: Column) -> SortKey {
    match column {
        COUNT => SortKey::Number(turn.count.into()),
        BELOW => SortKey::Text(below(turn)),
        FINDINGS => SortKey::Text(findings(turn)),
        _ => SortKey::Text(ending(&turn.to)),
    }
}

/// What happened.
fn findings(turn: &Turn) -> String {
    if turn.is_sure { summary::words(turn.findings) } else { "origin not known for sure".to_owned() }
}

/// What the callee answered, safe for a terminal.
fn below(turn: &Turn) -> String {
    if !turn.is_sure {
        return "not known for sure".to_owned();
    }
    turn.from.as_ref().map_or_else(|| "all its calls ok".to_owned(), ending)
}
