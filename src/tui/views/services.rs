//! The Services view: a row for each method, and the latencies of the selected one below.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Row, View};
use crate::calls::{Call, Class};
use crate::text;
use crate::tui::columns::{CALLS, Column, HISTORY, METHOD, Placed, REST, place};
use crate::tui::figures::{Catalog, Figures, MethodFigures};
use crate::tui::keys::Scope;
use crate::tui::render::{line, sentence::Sentence, table};
use crate::tui::spark;
use crate::tui::state::context::Context;
use crate::tui::state::list::{IdList, List, SortKey};
use crate::tui::state::matcher::Only;

/// The most bars of the histogram.
const BARS: usize = 64;

const RATE: Column = Column::number("rate/s");
const RPC_SHARE: Column = Column::text("RPC %").largest_first();
const BIZ_SHARE: Column = Column::text("BIZ %").largest_first();
const P50: Column = Column::number("p50");
const P90: Column = Column::number("p90");
const P99: Column = Column::number("p99");
const MAX: Column = Column::number("max");
const TOP_CODE: Column = Column::sentence("top code").largest_first();

/// The methods, by their numbers in the catalog.
#[derive(Debug)]
pub(in crate::tui) struct Services {
    rows: IdList,
}

impl Default for Services {
    fn default() -> Self {
        Self { rows: IdList::new(CALLS, Some((CALLS, true))) }
    }
}

impl Services {
    fn selected<'c>(&self, cx: &'c Context) -> Option<&'c MethodFigures> {
        cx.figures().method(self.rows.selected()?)
    }
}

impl View for Services {
    fn title(&self) -> &'static str {
        "Services"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Columns, Scope::Everywhere]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(METHOD, REST), (CALLS, 8)];
        if width >= 100 {
            wanted.push((RATE, 7));
        }
        let bars = if width >= 140 { 12 } else { 6 };
        wanted.extend([(RPC_SHARE, bars), (BIZ_SHARE, bars), (P50, 6)]);
        if width >= 100 {
            wanted.push((P90, 6));
        }
        wanted.push((P99, 6));
        if width >= 90 {
            wanted.push((MAX, 6));
        }
        if width >= 120 {
            wanted.push((HISTORY, if width >= 160 { 32 } else { 8 }));
        }
        if width >= 76 {
            wanted.push((TOP_CODE, if width >= 160 { 28 } else { 12 }));
        }
        place(width, wanted, (1, 1))
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
        self.rows.arrange(figures.method_ids(), |id, column| sort_key(id, column, figures, &cx.catalog));
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let id = *self.rows.ids.get(at)?;
        let figures = cx.figures();
        let counted = figures.method(id)?;
        let method = cx.catalog.methods.get(id as usize)?;
        let theme = &cx.theme;
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                METHOD => (method.label(), Style::new()),
                CALLS => (text::thousands(counted.calls), Style::new()),
                RATE => (rate(counted.calls as f64 / figures.seconds()), theme.dim),
                RPC_SHARE => share(cx, counted, Class::Rpc, placed.width),
                BIZ_SHARE => share(cx, counted, Class::Business, placed.width),
                P50 => (quantile(counted, 0.5), Style::new()),
                P90 => (quantile(counted, 0.9), Style::new()),
                P99 => (quantile(counted, 0.99), Style::new()),
                MAX => (quantile(counted, 1.0), Style::new()),
                HISTORY => (spark::bars(&figures.bars(&counted.spark), placed.width), theme.dim),
                TOP_CODE => counted.top_code().map_or_else(Default::default, |top| {
                    let (class, code, name, count) = top;
                    let name = name.map(|n| format!(" {n}")).unwrap_or_default();
                    (format!("{code}{name} ×{count}"), theme.class(class).remove_modifier(Modifier::BOLD))
                }),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, sign: None, cells })
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        cx.catalog.label(self.rows.ids.get(at).copied())
    }

    fn thing(&self, _cx: &Context) -> Option<Only> {
        self.rows.selected().map(Only::Method)
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        cx.call(self.selected(cx)?.example)
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let failure = self.current_call(cx).filter(|call| call.failed());
        let rest = failure.map(|call| format!("its newest failure: {}", Sentence::of_call(cx, &call).main));
        Sentence { main: self.shares(cx).unwrap_or_default(), rest, ..Sentence::default() }
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        let filtered = "no call passes the filter: a shows all again";
        vec![if cx.matcher.has_filter() { filtered } else { "no calls yet" }.to_owned()]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.hidden_calls()
    }

    fn rows_in(&self, lines: u16) -> u16 {
        if lines >= 14 { lines - lines * 2 / 5 } else { lines }
    }

    fn render(&self, buffer: &mut Buffer, area: Rect, cx: &Context) {
        let rows = self.rows_in(area.height.saturating_sub(1));
        let upper = Rect { height: rows + 1, ..area };
        table::render(buffer, upper, cx, self);
        let lower = Rect { y: upper.bottom(), height: area.height - upper.height, ..area };
        if let Some(counted) = self.selected(cx) {
            histogram(buffer, lower, cx, counted);
        }
    }
}

impl Services {
    /// How often the selected method worked, for the framework and for the business.
    fn shares(&self, cx: &Context) -> Option<String> {
        let counted = self.selected(cx)?;
        let method = cx.catalog.methods.get(self.rows.selected()? as usize)?;
        let share = |failed: u64| 100.0 - failed as f64 * 100.0 / counted.calls.max(1) as f64;
        let framework = counted.of(Class::Rpc) + counted.of(Class::Transport) + counted.of(Class::Unanswered);
        let line = format!(
            "{} ({}): the RPC itself worked for {:.2} % of {} calls, and {:.2} % were ok for the business too. ⏎ shows the calls.",
            method.label(),
            method.rpc,
            share(framework),
            text::thousands(counted.calls),
            share(framework + counted.of(Class::Business)),
        );
        Some(text::escape(&line).into_owned())
    }
}

fn sort_key(id: u32, column: Column, figures: &Figures, catalog: &Catalog) -> SortKey {
    let Some(counted) = figures.method(id) else { return SortKey::Nothing };
    let quantile = |q| {
        let latency = &counted.latency;
        (!latency.is_empty()).then(|| latency.value_at_quantile(q)).into()
    };
    match column {
        CALLS | RATE | HISTORY => SortKey::Number(counted.calls.into()),
        RPC_SHARE => SortKey::fraction(counted.percent(Class::Rpc)),
        BIZ_SHARE => SortKey::fraction(counted.percent(Class::Business)),
        P50 => quantile(0.5),
        P90 => quantile(0.9),
        P99 => quantile(0.99),
        MAX => quantile(1.0),
        TOP_CODE => counted.top_code().map(|(_, _, _, count)| count).into(),
        _ => SortKey::Text(catalog.label(Some(id))),
    }
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

fn quantile(counted: &MethodFigures, quantile: f64) -> String {
    if counted.latency.is_empty() {
        "—".to_owned()
    } else {
        text::duration(counted.latency.value_at_quantile(quantile))
    }
}

/// A share with a bar where there is room for one.
fn share(cx: &Context, counted: &MethodFigures, class: Class, width: usize) -> (String, Style) {
    let percent = counted.percent(class);
    if counted.of(class) == 0 {
        return ("·".to_owned(), cx.theme.dim);
    }
    // A few failures among very many calls must not look like none.
    let number = if percent < 0.05 { "<0.1".to_owned() } else { format!("{percent:.1}") };
    let bar = (percent / 100.0 * width.saturating_sub(6) as f64).ceil() as usize;
    let cell = if width > 8 { format!("{number:>5} {}", "▇".repeat(bar)) } else { format!("{number:>5}") };
    (cell, cx.theme.class(Some(class)).remove_modifier(Modifier::BOLD))
}

/// Latencies of one method as columns; the axis is logarithmic, because latencies are.
fn histogram(buffer: &mut Buffer, area: Rect, cx: &Context, counted: &MethodFigures) {
    const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let theme = &cx.theme;
    // A rule, the columns, the axis.
    if area.height < 4 || counted.latency.is_empty() {
        return;
    }
    line::fill(buffer, area, 0, 0, "─", theme.dim);
    let answered = counted.latency.len();
    let head = format!(" latency of {} answered calls ", text::thousands(answered));
    line::put(buffer, area, 2, 0, &head, theme.dim);
    let latency = &counted.latency;
    let low = latency.min().max(1) as f64;
    let high = (latency.max() as f64).max(low * 1.02);
    let bars = BARS.min(usize::from(area.width).saturating_sub(12));
    if bars == 0 {
        return;
    }
    let edge = |i: usize| (low * (high / low).powf(i as f64 / bars as f64)) as u64;
    let counts: Vec<u64> = (0..bars)
        .map(|i| {
            let from = if i == 0 { 0 } else { edge(i) + 1 };
            let to = if i + 1 == bars { u64::MAX } else { edge(i + 1) };
            if from > to { 0 } else { latency.count_between(from, to) }
        })
        .collect();
    let highest = counts.iter().copied().max().unwrap_or(1).max(1);
    let rows = area.height - 2;
    line::put(buffer, area, 0, 1, &format!("{:>8} ", text::thousands(highest)), theme.dim);
    for (i, count) in counts.iter().enumerate() {
        let eighths = (count * u64::from(rows) * 8).div_ceil(highest) as usize;
        for row in 0..rows {
            let filled = eighths.saturating_sub(usize::from(row) * 8).min(8);
            if filled > 0 {
                let y = rows - row;
                line::put(buffer, area, 9 + i as u16, y, EIGHTHS[filled - 1], theme.class(Some(Class::Ok)));
            }
        }
    }
    let y = area.height - 1;
    let left = text::duration(latency.min());
    let right = text::duration(latency.max());
    line::put(buffer, area, 9, y, &left, theme.dim);
    let middle = format!(
        "p50 {}  p99 {}",
        text::duration(latency.value_at_quantile(0.5)),
        text::duration(latency.value_at_quantile(0.99))
    );
    if bars > text::width(&left) + text::width(&middle) + text::width(&right) + 4 {
        let x = 9 + (bars - text::width(&middle)) / 2;
        line::put(buffer, area, x as u16, y, &middle, theme.dim);
    }
    line::put(buffer, area, (9 + bars - text::width(&right).min(bars)) as u16, y, &right, theme.dim);
}
