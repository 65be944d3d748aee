//! Totals of calls as a table or JSON lines, at the end of the run.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::ValueEnum;

use super::{Appearance, RecordWriter, Sink, color, json};
use crate::calls::record::{Call, Class};
use crate::calls::stats::{CodeCount, Latency, Row, Stats};
use crate::text::{self, Align};

/// The formats of statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// A table.
    #[default]
    Text,
    /// One JSON object per line.
    Jsonl,
}

/// The sink of `rpcscope stats`.
#[derive(Debug)]
pub struct StatsSink {
    out: RecordWriter,
    format: StatsFormat,
    look: Appearance,
    stats: Stats,
}

impl StatsSink {
    /// Writes to `out` at the end.
    #[must_use]
    pub fn new(out: RecordWriter, format: StatsFormat, look: Appearance) -> Self {
        Self { out, format, look, stats: Stats::default() }
    }
}

impl Sink for StatsSink {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        self.stats.add(call);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.format {
            StatsFormat::Text => {
                let table = table(&self.stats, self.look.width, self.look.colored);
                self.out.buffer().extend_from_slice(table.as_bytes());
            }
            StatsFormat::Jsonl => {
                let seconds = self.stats.seconds();
                for row in self.stats.rows() {
                    write_row(self.out.buffer(), &row, seconds);
                    self.out.buffer().push(b'\n');
                    self.out.end_record()?;
                }
            }
        }
        self.out.flush()
    }
}

/// Keys of a row that count classes, in the order of [`Class::ALL`]. `rpc` is taken by the protocol.
fn count_key(class: Class) -> &'static str {
    match class {
        Class::Rpc => "rpc_errors",
        class => class.name(),
    }
}

/// Appends a row as one JSON object.
fn write_row(out: &mut Vec<u8>, row: &Row, seconds: f64) {
    let operation = &row.operation;
    out.extend_from_slice(b"{\"type\":\"stats\"");
    for (key, name) in [("service", &operation.service), ("method", &operation.method)] {
        // Writing to a Vec can't fail.
        _ = write!(out, ",\"{key}\":");
        match name {
            Some(name) => json::string(out, name),
            None => out.extend_from_slice(b"null"),
        }
    }
    if let Some(group) = operation.unknown_name {
        _ = write!(out, ",\"unknown_name\":\"unknown#{group}\"");
    }
    if let Some(server) = &operation.server_name {
        out.extend_from_slice(b",\"server_name\":");
        json::string(out, server);
    }
    _ = write!(out, ",\"rpc\":\"{}\",\"calls\":{}", operation.rpc, row.calls);
    for class in Class::ALL {
        _ = write!(out, ",\"{}\":{}", count_key(*class), row.class(*class));
    }
    _ = write!(out, ",\"unknown\":{},\"rate\":{}", row.unknown, rounded(row.calls as f64 / seconds));
    for (key, share) in [("rpc_success", row.rpc_success()), ("success", row.success())] {
        match share {
            Some(share) => _ = write!(out, ",\"{key}\":{}", rounded(share)),
            None => _ = write!(out, ",\"{key}\":null"),
        }
    }
    match row.latency() {
        Some(Latency { p50, p90, p99, max }) => {
            _ = write!(out, ",\"latency_ns\":{{\"p50\":{p50},\"p90\":{p90},\"p99\":{p99},\"max\":{max}}}");
        }
        None => out.extend_from_slice(b",\"latency_ns\":null"),
    }
    out.extend_from_slice(b",\"codes\":[");
    json::list(out, &row.codes, |out, code| {
        _ = write!(out, "{{\"class\":\"{}\",\"carrier\":\"{}\"", code.class, code.carrier);
        if let Some(number) = code.code {
            _ = write!(out, ",\"code\":{number}");
        }
        if let Some(name) = code.code_name {
            _ = write!(out, ",\"code_name\":\"{name}\"");
        }
        _ = write!(out, ",\"count\":{}}}", code.count);
    });
    out.push(b']');
    if row.other_codes > 0 {
        _ = write!(out, ",\"other_codes\":{}", row.other_codes);
    }
    out.push(b'}');
}

/// Six digits after the point are enough for shares and rates.
fn rounded(value: f64) -> String {
    // The debug form keeps a point in whole numbers, so that the type of the key never changes.
    format!("{:?}", (value * 1e6).round() / 1e6)
}

/// A column of the table.
struct Column {
    head: &'static str,
    align: Align,
    /// Cells other than 0 get the colour of this class.
    class: Option<Class>,
    cell: fn(&Row, f64) -> String,
}

const COLUMNS: &[Column] = &[
    Column { head: "service.method", align: Align::Left, class: None, cell: |row, _| name(row) },
    Column { head: "protocol", align: Align::Left, class: None, cell: |row, _| row.operation.rpc.to_owned() },
    Column { head: "calls", align: Align::Right, class: None, cell: |row, _| text::thousands(row.calls) },
    Column {
        head: "per s",
        align: Align::Right,
        class: None,
        cell: |row, seconds| {
            let rate = row.calls as f64 / seconds;
            match rate {
                ..0.05 => "<0.1".to_owned(),
                0.05..10.0 => format!("{rate:.1}"),
                _ => text::thousands(rate.round() as u64),
            }
        },
    },
    Column { head: "ok", align: Align::Right, class: None, cell: |row, _| count(row, Class::Ok) },
    Column {
        head: "BIZ",
        align: Align::Right,
        class: Some(Class::Business),
        cell: |row, _| count(row, Class::Business),
    },
    Column {
        head: "RPC",
        align: Align::Right,
        class: Some(Class::Rpc),
        cell: |row, _| count(row, Class::Rpc),
    },
    Column {
        head: "NET",
        align: Align::Right,
        class: Some(Class::Transport),
        cell: |row, _| count(row, Class::Transport),
    },
    Column {
        head: "???",
        align: Align::Right,
        class: Some(Class::Unanswered),
        cell: |row, _| count(row, Class::Unanswered),
    },
    Column {
        head: "1-way",
        align: Align::Right,
        class: Some(Class::Oneway),
        cell: |row, _| count(row, Class::Oneway),
    },
    Column { head: "lost", align: Align::Right, class: None, cell: |row, _| dot(row.unknown) },
    Column { head: "RPC ok", align: Align::Right, class: None, cell: |row, _| percent(row.rpc_success()) },
    Column { head: "all ok", align: Align::Right, class: None, cell: |row, _| percent(row.success()) },
    Column { head: "p50", align: Align::Right, class: None, cell: |row, _| latency(row, |l| l.p50) },
    Column { head: "p90", align: Align::Right, class: None, cell: |row, _| latency(row, |l| l.p90) },
    Column { head: "p99", align: Align::Right, class: None, cell: |row, _| latency(row, |l| l.p99) },
    Column { head: "max", align: Align::Right, class: None, cell: |row, _| latency(row, |l| l.max) },
    Column { head: "top errors", align: Align::Left, class: None, cell: |row, _| top(row) },
];

/// Columns that are omitted if they would be empty.
const RARE: &[&str] = &["1-way", "lost"];
/// Number of codes named in each row.
const TOP: usize = 3;
/// Columns that are dropped on narrow terminals, in this order.
const DROPPED: &[&str] = &["protocol", "p90", "per s", "max", "ok"];
/// Other columns are dropped before the name gets narrower than this.
const GOOD_NAME: usize = 30;
/// Minimum width of the name.
const MIN_NAME: usize = 12;

fn name(row: &Row) -> String {
    let operation = &row.operation;
    if matches!(operation.rpc, "all" | "other") {
        return operation.rpc.to_owned();
    }
    operation.label()
}

fn dot(count: u64) -> String {
    if count == 0 { "·".to_owned() } else { text::thousands(count) }
}

fn count(row: &Row, class: Class) -> String {
    dot(row.class(class))
}

/// A share in percent. 100 % and 0 % mean exactly all and none: other shares never round to them.
fn percent(share: Option<f64>) -> String {
    let Some(share) = share else { return "—".to_owned() };
    let percent = share * 100.0;
    let tenths = (percent * 10.0).round() / 10.0;
    if tenths >= 100.0 && share < 1.0 {
        ">99.9%".to_owned()
    } else if tenths <= 0.0 && share > 0.0 {
        "<0.1%".to_owned()
    } else if share >= 1.0 {
        "100%".to_owned()
    } else {
        format!("{tenths:.1}%")
    }
}

fn latency(row: &Row, which: fn(&Latency) -> u64) -> String {
    row.latency().map_or_else(|| "—".to_owned(), |latency| text::duration(which(&latency)))
}

/// `func_ret 10001 ×5, tcp-rst ×2, …`
fn top(row: &Row) -> String {
    let mut out = String::new();
    for (i, code) in row.codes.iter().take(TOP).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push_code(&mut out, code);
    }
    if row.codes.len() > TOP {
        out.push_str(", …");
    }
    out
}

fn push_code(out: &mut String, code: &CodeCount) {
    match (code.class, code.carrier.name()) {
        (Class::Unanswered, _) => out.push_str("no answer"),
        (_, "none") => out.push_str("no status"),
        (_, carrier) => out.push_str(carrier),
    }
    if let Some(number) = code.code {
        // Writing to a String can't fail.
        _ = write!(out, " {number}");
    }
    if let Some(name) = code.code_name {
        _ = write!(out, " {name}");
    }
    _ = write!(out, " ×{}", code.count);
}

fn table(stats: &Stats, width: Option<usize>, colored: bool) -> String {
    let mut rows = stats.rows();
    if rows.is_empty() {
        return "no calls\n".to_owned();
    }
    let seconds = stats.seconds();
    let total = stats.total();
    let mut columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| !RARE.contains(&column.head) || (column.cell)(&total, seconds) != "·")
        .collect();
    if rows.len() > 1 {
        rows.push(total);
    }
    let mut cells: Vec<Vec<String>> =
        columns.iter().map(|column| rows.iter().map(|row| (column.cell)(row, seconds)).collect()).collect();
    let mut widths: Vec<usize> = columns
        .iter()
        .zip(&cells)
        .map(|(column, cells)| {
            cells.iter().map(|cell| text::width(cell)).fold(text::width(column.head), usize::max)
        })
        .collect();
    if let Some(width) = width {
        for dropped in DROPPED {
            let name = widths.first().map_or(0, |wide| (*wide).min(GOOD_NAME));
            let least = name + widths[1..widths.len() - 1].iter().map(|wide| wide + 2).sum::<usize>();
            if let Some(at) = columns.iter().position(|column| column.head == *dropped)
                && least > width
            {
                columns.remove(at);
                cells.remove(at);
                widths.remove(at);
            }
        }
        fit(&mut widths, width);
    }

    let mut out = String::new();
    let mut line = String::new();
    for (column, columns_wide) in columns.iter().zip(&widths) {
        text::push_cell(&mut line, column.head, *columns_wide, column.align);
        line.push_str("  ");
    }
    color::push(&mut out, color::head(), colored, line.trim_end());
    out.push('\n');
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (place, ((column, cells), wide)) in columns.iter().zip(&cells).zip(&widths).enumerate() {
            let mut padded = String::new();
            // The first one has the names.
            let cell = if place == 0 { text::cut_name(&cells[at], *wide, 2) } else { (&cells[at]).into() };
            text::push_cell(&mut padded, &cell, *wide, column.align);
            match column.class.filter(|class| row.class(*class) > 0) {
                Some(class) => color::push(&mut line, color::class(Some(class)), colored, &padded),
                None => line.push_str(&padded),
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Narrows the last column, then the first, until the line fits.
fn fit(widths: &mut [usize], width: usize) {
    let gaps = 2 * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    let last = widths.len().saturating_sub(1);
    for (column, least) in [(last, 0), (0, MIN_NAME)] {
        if let Some(wide) = widths.get_mut(column) {
            let less = over.min(wide.saturating_sub(least));
            *wide -= less;
            over -= less;
        }
    }
    // Codes in very few columns are useless.
    if let Some(top) = widths.last_mut()
        && *top < MIN_NAME
    {
        *top = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::Shared;
    use super::*;
    use crate::calls::record::Carrier;
    use crate::calls::sample::{bare, failed, ok};

    fn calls() -> Vec<Call> {
        let mut calls = vec![ok(); 40];
        calls.extend(vec![failed(Class::Business, Carrier::FuncRet, Some(10_001), "no"); 5]);
        let mut reset = failed(Class::Transport, Carrier::H2RstStream, Some(8), "");
        reset.outcome.code_name = Some("CANCEL");
        reset.latency = None;
        reset.service = Some("订单".into());
        reset.rpc = rpcscope_parsers::Rpc::Grpc;
        calls.push(reset);
        calls.push(bare());
        let mut silent = failed(Class::Unanswered, Carrier::None, None, "");
        silent.latency = None;
        silent.method = Some("\x1b[2J".into());
        calls.push(silent);
        calls
    }

    fn printed(format: StatsFormat, width: Option<usize>, calls: &[Call]) -> String {
        let shared = Shared::default();
        let out = RecordWriter::new(Box::new(shared.clone()), false);
        let mut sink = StatsSink::new(out, format, Appearance { width, ..Appearance::default() });
        for call in calls {
            sink.call(call).unwrap();
        }
        sink.finish().unwrap();
        shared.text()
    }

    #[test]
    fn the_table_shows_both_shares_and_the_top_codes() {
        let mut all = printed(StatsFormat::Text, None, &calls());
        for width in [80, 110] {
            let table = printed(StatsFormat::Text, Some(width), &calls());
            assert!(table.lines().all(|line| text::width(line) <= width));
            all.push('\n');
            all.push_str(&table);
        }
        assert!(!all.replace('\n', "").chars().any(text::is_unsafe));
        insta::assert_snapshot!(all);
    }

    #[test]
    fn no_calls_are_reported() {
        assert_eq!(printed(StatsFormat::Text, None, &[]), "no calls\n");
        assert_eq!(printed(StatsFormat::Jsonl, None, &[]), "");
    }

    #[test]
    fn shares_never_round_to_all_or_none() {
        for (share, shown) in
            [(1.0, "100%"), (0.999_99, ">99.9%"), (0.5, "50.0%"), (0.000_01, "<0.1%"), (0.0, "0.0%")]
        {
            assert_eq!(percent(Some(share)), shown);
        }
        assert_eq!(percent(None), "—");
    }

    #[test]
    fn rows_are_json_lines() {
        let lines = printed(StatsFormat::Jsonl, None, &calls());
        let rows: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(
            rows[0],
            json!({
                "type": "stats", "service": "OrderService", "method": "PlaceOrder", "rpc": "thrift", "calls": 45,
                "ok": 40, "business": 5, "rpc_errors": 0, "transport": 0, "unanswered": 0, "oneway": 0, "unknown": 0,
                "rate": 45.0, "rpc_success": 1.0, "success": 0.888_889,
                "latency_ns": {"p50": 3_200_000, "p90": 3_200_000, "p99": 3_200_000, "max": 3_200_000},
                "codes": [{"class": "business", "carrier": "func_ret", "code": 10_001, "count": 5}],
            })
        );
        let sum: u64 = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert_eq!(sum, calls().len() as u64);
    }
}
