//! The Errors view: failed calls by kind.

use std::sync::Arc;

use ratatui::style::{Modifier, Style};

use super::{Row, Sign, View};
use crate::calls::{Call, Class};
use crate::text;
use crate::tui::columns::{
    CLASS, CODE, COUNT, Column, HISTORY, MESSAGE, METHOD, Placed, REST, VERDICT, place, time_width,
};
use crate::tui::figures::{Catalog, Figures, Group};
use crate::tui::keys::{Action, Scope};
use crate::tui::render::sentence::Sentence;
use crate::tui::spark;
use crate::tui::state::context::Context;
use crate::tui::state::list::{IdList, List, SortKey};
use crate::tui::state::matcher::Only;

const SHARE: Column = Column::number("share");
const FIRST: Column = Column::text("first");
const LAST: Column = Column::text("last").largest_first();

/// The kinds of errors, by their numbers in the catalog.
#[derive(Debug)]
pub(in crate::tui) struct Errors {
    pub rows: IdList,
    /// Times have their dates.
    pub dated: bool,
}

impl Default for Errors {
    fn default() -> Self {
        Self { rows: IdList::new(COUNT, Some((COUNT, true))), dated: false }
    }
}

impl View for Errors {
    fn title(&self) -> &'static str {
        "Errors"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Everywhere, Scope::Classes, Scope::Columns]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(COUNT, 7), (SHARE, 6), (METHOD, REST)];
        let mut share = (1, 2);
        if width >= 110 {
            wanted.push((CLASS, 10));
        }
        if width >= 140 {
            wanted.extend([(CODE, 8), (MESSAGE, REST)]);
            share = (2, 5);
        } else {
            wanted.push((VERDICT, REST));
        }
        // A date is worth more than the other columns of time.
        let narrow = if self.dated { [96, 120] } else { [76, 96] };
        if width >= narrow[0] {
            wanted.push((HISTORY, if width >= 140 { 32 } else { 8 }));
        }
        if width >= narrow[1] {
            wanted.push((FIRST, time_width(self.dated)));
        }
        if width >= 76 {
            wanted.push((LAST, time_width(self.dated)));
        }
        place(width, wanted, share)
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
        let figures = cx.figures();
        let ids = figures.group_ids().filter(|id| !cx.hides_group(*id));
        self.rows.arrange(ids, |id, column| sort_key(id, column, figures, &cx.catalog));
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let id = *self.rows.ids.get(at)?;
        let group = cx.catalog.groups.get(id as usize)?;
        let figures = cx.figures();
        let counted = figures.group(id)?;
        let theme = &cx.theme;
        let color = theme.class(group.class).remove_modifier(Modifier::BOLD);
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                COUNT => (text::thousands(counted.count), theme.strong),
                SHARE => (format!("{:.1}%", share(id, figures, &cx.catalog)), Style::new()),
                METHOD => {
                    let label = cx.catalog.label(group.method);
                    (if label.is_empty() { "(many)".to_owned() } else { label }, Style::new())
                }
                CLASS => (group.class.map_or("unknown", Class::name).to_owned(), color),
                CODE => (group.code.map(|c| c.to_string()).unwrap_or_default(), color),
                VERDICT => (text::escape(&with_code(group)).into_owned(), color),
                MESSAGE => (text::escape(&group.template).into_owned(), color),
                HISTORY => (spark::bars(&figures.bars(&counted.spark), placed.width), theme.dim),
                FIRST => (cx.time(counted.first, None, self.dated), theme.dim),
                LAST => (cx.time(counted.last, Some(counted.first), self.dated), theme.dim),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: Some(Sign(group.class)), cells })
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        let group = self.rows.ids.get(at).and_then(|id| cx.catalog.groups.get(*id as usize));
        group.map_or_else(String::new, |group| {
            format!(
                "{} {} {} {}",
                cx.catalog.label(group.method),
                group.code.map(|c| c.to_string()).unwrap_or_default(),
                group.code_name.unwrap_or_default(),
                group.template
            )
        })
    }

    fn thing(&self, _cx: &Context) -> Option<Only> {
        self.rows.selected().map(Only::Group)
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        cx.call(cx.figures().group(self.rows.selected()?)?.example)
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        self.current_call(cx).map_or_else(Sentence::default, |call| {
            let sentence = Sentence::of_call(cx, &call);
            Sentence { main: format!("newest: {}", sentence.main), ..sentence }
        })
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        if cx.total.calls == 0 {
            cx.why_no_calls()
        } else if cx.matcher.is_active() {
            vec![
                "no failed call passes the filter and the class switches".to_owned(),
                format!("{} shows all calls again", cx.key(Action::ShowAll)),
            ]
        } else {
            vec![format!("no failed call among {}", text::thousands(cx.total.calls))]
        }
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.hidden_calls()
    }
}

fn with_code(group: &Group) -> String {
    group.code.map_or_else(|| group.template.to_string(), |code| format!("{code} {}", group.template))
}

/// Share of a kind of error among the calls of its method, in percent.
fn share(id: u32, figures: &Figures, catalog: &Catalog) -> f64 {
    let count = figures.group(id).map_or(0, |g| g.count);
    let method = catalog.groups.get(id as usize).and_then(|g| g.method);
    let calls = method.and_then(|m| figures.method(m)).map_or(figures.calls, |m| m.sums.calls);
    if calls == 0 { 0.0 } else { count as f64 * 100.0 / calls as f64 }
}

fn sort_key(id: u32, column: Column, figures: &Figures, catalog: &Catalog) -> SortKey {
    let (Some(counted), Some(group)) = (figures.group(id), catalog.groups.get(id as usize)) else {
        return SortKey::Nothing;
    };
    match column {
        COUNT | HISTORY => SortKey::Number(counted.count.into()),
        SHARE => SortKey::fraction(share(id, figures, catalog)),
        FIRST => SortKey::Number(counted.first.0.into()),
        LAST => SortKey::Number(counted.last.0.into()),
        METHOD => SortKey::Text(catalog.label(group.method)),
        CLASS => group.class.map(|c| c as i64).into(),
        CODE | VERDICT => group.code.into(),
        _ => SortKey::Text(group.template.to_string()),
    }
}
