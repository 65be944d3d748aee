//! The Services view: a row for each method, and the latencies of the selected one below.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Row, View};
use crate::calls::stats::Latency;
use crate::calls::{Call, Class};
use crate::text;
use crate::tui::columns::{CALLS, Column, HISTORY, METHOD, Placed, REST, place};
use crate::tui::figures::{Catalog, Figures, MethodFigures};
use crate::tui::keys::{Action, Scope};
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
        let theme = &cx.theme;
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                METHOD => (cx.catalog.label(Some(id)), Style::new()),
                CALLS => (text::thousands(counted.sums.calls), Style::new()),
                RATE => (rate(counted.sums.calls as f64 / figures.seconds()), theme.dim),
                RPC_SHARE => share(cx, counted, Class::Rpc, placed.width),
                BIZ_SHARE => share(cx, counted, Class::Business, placed.width),
                P50 => (latency(counted, |l| l.p50), Style::new()),
                P90 => (latency(counted, |l| l.p90), Style::new()),
                P99 => (latency(counted, |l| l.p99), Style::new()),
                MAX => (latency(counted, |l| l.max), Style::new()),
                HISTORY => (spark::bars(&figures.bars(&counted.spark), placed.width), theme.dim),
                TOP_CODE => counted.top_code().map_or_else(Default::default, |top| {
                    let name = top.code_name.map(|name| format!(" {name}")).unwrap_or_default();
                    let code = top.code.map(|code| code.to_string()).unwrap_or_default();
                    let style = theme.class(Some(top.class)).remove_modifier(Modifier::BOLD);
                    (format!("{code}{name} ×{}", top.count), style)
                }),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: None, cells })
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
        if cx.total.calls == 0 {
            return cx.why_no_calls();
        }
        vec![format!("no call passes the filter: {} shows all again", cx.key(Action::ShowAll))]
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
        let sums = &self.selected(cx)?.sums;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let shares = match (sums.rpc_success(), sums.success()) {
            (Some(rpc), Some(all)) => {
                format!("{} without an RPC error, {} without any error", percent(rpc), percent(all))
            }
            _ => "no outcome is known".to_owned(),
        };
        let label = cx.catalog.label(self.rows.selected());
        let calls = text::counted(sums.calls, "call");
        let open = cx.key(Action::Open);
        let line = format!("{label} ({}), {calls}: {shares}. {open} shows the calls.", sums.operation.rpc);
        Some(text::escape(&line).into_owned())
    }
}

fn sort_key(id: u32, column: Column, figures: &Figures, catalog: &Catalog) -> SortKey {
    let Some(counted) = figures.method(id) else { return SortKey::Nothing };
    let latency = |which: fn(&Latency) -> u64| counted.sums.latency().map(|l| which(&l)).into();
    match column {
        CALLS | RATE | HISTORY => SortKey::Number(counted.sums.calls.into()),
        RPC_SHARE => SortKey::fraction(counted.percent(Class::Rpc)),
        BIZ_SHARE => SortKey::fraction(counted.percent(Class::Business)),
        P50 => latency(|l| l.p50),
        P90 => latency(|l| l.p90),
        P99 => latency(|l| l.p99),
        MAX => latency(|l| l.max),
        TOP_CODE => counted.top_code().map(|top| top.count).into(),
        _ => SortKey::Text(catalog.label(Some(id))),
    }
}

fn rate(per_second: f64) -> String {
    match per_second {
        // Rare calls must not look like none.
        ..0.01 => "<0.01".to_owned(),
        ..0.1 => format!("{per_second:.2}"),
        ..10.0 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

fn latency(counted: &MethodFigures, which: fn(&Latency) -> u64) -> String {
    counted.sums.latency().map_or_else(|| "—".to_owned(), |latency| text::duration(which(&latency)))
}

/// A share with a bar where there is room for one.
fn share(cx: &Context, counted: &MethodFigures, class: Class, width: usize) -> (String, Style) {
    let percent = counted.percent(class);
    if counted.sums.class(class) == 0 {
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
    let Some(quantiles) = counted.sums.latency().filter(|_| area.height >= 4) else { return };
    let latencies = counted.sums.latencies();
    line::fill(buffer, area, 0, 0, "─", theme.dim);
    let answered = latencies.len();
    let head = format!(" latency of {} answered calls ", text::thousands(answered));
    line::put(buffer, area, 2, 0, &head, theme.dim);
    let low = latencies.min().max(1) as f64;
    let high = (quantiles.max as f64).max(low * 1.02);
    let bars = BARS.min(usize::from(area.width).saturating_sub(12));
    if bars == 0 {
        return;
    }
    let edge = |i: usize| (low * (high / low).powf(i as f64 / bars as f64)) as u64;
    let counts: Vec<u64> = (0..bars)
        .map(|i| {
            let from = if i == 0 { 0 } else { edge(i) + 1 };
            let to = if i + 1 == bars { u64::MAX } else { edge(i + 1) };
            if from > to { 0 } else { latencies.count_between(from, to) }
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
    let left = text::duration(latencies.min());
    let right = text::duration(quantiles.max);
    line::put(buffer, area, 9, y, &left, theme.dim);
    let middle = format!("p50 {}  p99 {}", text::duration(quantiles.p50), text::duration(quantiles.p99));
    if bars > text::width(&left) + text::width(&middle) + text::width(&right) + 4 {
        let x = 9 + (bars - text::width(&middle)) / 2;
        line::put(buffer, area, x as u16, y, &middle, theme.dim);
    }
    line::put(buffer, area, (9 + bars - text::width(&right).min(bars)) as u16, y, &right, theme.dim);
}
