//! The Services view: a row per method, and the latencies of the selected one below.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line, table};
use crate::calls::Class;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::figures::MethodFigures;
use crate::tui::keys::View;
use crate::tui::spark;
use crate::tui::state::State;

/// Most bars of the histogram.
const BARS: usize = 64;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Services);
    let theme = &state.theme;
    let order = &state.services.order;
    let rows = state.list_height(View::Services) as u16;
    let table_area = Rect { height: rows.min(area.height), ..area };
    if order.is_empty() {
        let why = if state.matcher.has_filter() {
            "the filter lets no calls through: a shows all again"
        } else {
            "no calls yet"
        };
        line::middle(frame.buffer_mut(), area, &[why.to_owned()], theme.dim);
    }
    table::render(frame.buffer_mut(), table_area, state, &state.services.list, &placed, order.len(), |at| {
        let id = *order.get(at)?;
        let figures = state.figures();
        let counted = figures.method(id)?;
        let method = state.catalog.methods.get(id as usize)?;
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Method => (method.label(), Style::new()),
                Column::Calls => (text::thousands(counted.calls), Style::new()),
                Column::Rate => (rate(counted.calls as f64 / figures.seconds()), theme.dim),
                Column::RpcShare => share(state, counted, Class::Rpc, place.width),
                Column::BizShare => share(state, counted, Class::Business, place.width),
                Column::P50 => (quantile(counted, 0.5), Style::new()),
                Column::P90 => (quantile(counted, 0.9), Style::new()),
                Column::P99 => (quantile(counted, 0.99), Style::new()),
                Column::Max => (quantile(counted, 1.0), Style::new()),
                Column::History => (spark::bars(&figures.bars(&counted.spark), place.width), theme.dim),
                Column::TopCode => counted.top_code().map_or_else(Default::default, |top| {
                    let (class, code, name, count) = top;
                    let name = name.map(|n| format!(" {n}")).unwrap_or_default();
                    (format!("{code}{name} ×{count}"), theme.class(class).remove_modifier(Modifier::BOLD))
                }),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(table::Row { marked: false, sign: None, cells })
    });
    let below = Rect { y: area.y + table_area.height, height: area.height - table_area.height, ..area };
    if let Some(counted) = state.services.selected().and_then(|id| state.figures().method(id)) {
        histogram(frame.buffer_mut(), below, state, counted);
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
fn share(state: &State, counted: &MethodFigures, class: Class, width: usize) -> (String, Style) {
    let percent = counted.percent(class);
    if counted.of(class) == 0 {
        return ("·".to_owned(), state.theme.dim);
    }
    // A few failures among very many calls must not look like none.
    let number = if percent < 0.05 { "<0.1".to_owned() } else { format!("{percent:.1}") };
    let bar = (percent / 100.0 * width.saturating_sub(6) as f64).ceil() as usize;
    let cell = if width > 8 { format!("{number:>5} {}", "▇".repeat(bar)) } else { format!("{number:>5}") };
    (cell, state.theme.class(Some(class)).remove_modifier(Modifier::BOLD))
}

/// Latencies of one method as columns; the axis is logarithmic, because latencies are.
fn histogram(buffer: &mut Buffer, area: Rect, state: &State, counted: &MethodFigures) {
    const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let theme = &state.theme;
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
