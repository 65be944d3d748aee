//! One line per call, in columns that stay aligned over the whole stream.
//!
//! On a terminal, a line fits its width: long names lose their packages, then their middle. In a pipe, columns have a minimum width
//! and longer texts are kept whole for `grep`.

use std::fmt::Write as _;
use std::io;

use anstyle::Style;

use super::clock::Clock;
use super::fields::Field;
use super::{RecordWriter, Sink, color};
use crate::calls::keys::Value;
use crate::calls::labels;
use crate::calls::record::{Call, Connection};
use crate::decode::Endpoint;
use crate::text::{self, Align, push_cell};
use crate::time::Timestamp;

/// Widths of columns; 0 omits the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    ends: usize,
    protocol: usize,
    operation: usize,
    /// `None`: unlimited.
    verdict: Option<usize>,
    /// Whether longer texts are cut.
    cut: bool,
}

/// Width of the longest latency.
const LATENCY: usize = 7;
/// Width of the longest usual protocol name.
const PROTOCOL: usize = 11;
/// Narrower terminals don't show the protocol.
const ROOM_FOR_PROTOCOL: usize = 100;
/// Narrower terminals don't show the endpoints.
const ROOM_FOR_ENDS: usize = 90;

impl Layout {
    /// The layout for a terminal of `width` columns (`None`: no terminal) and times of `time` columns.
    fn new(width: Option<usize>, time: usize) -> Self {
        let Some(width) = width else {
            return Self { ends: 45, protocol: PROTOCOL, operation: 40, verdict: None, cut: false };
        };
        let mut rest = width.saturating_sub(2 + time + 1 + LATENCY + 2);
        let mut protocol = 0;
        if width >= ROOM_FOR_PROTOCOL {
            protocol = PROTOCOL;
            rest -= PROTOCOL + 2;
        }
        let mut ends = 0;
        if width >= ROOM_FOR_ENDS {
            ends = (rest * 32 / 100).clamp(16, 45);
            rest = rest.saturating_sub(ends + 2);
        }
        let operation = (rest / 2).clamp(8, 50);
        let verdict = rest.saturating_sub(operation + 2);
        Self { ends, protocol, operation, verdict: Some(verdict), cut: true }
    }
}

/// The sink for `--format text`.
#[derive(Debug)]
pub struct Text {
    out: RecordWriter,
    clock: Clock,
    colored: bool,
    fields: Vec<Field>,
    layout: Layout,
    line: String,
    cell: String,
}

impl Text {
    /// Lines for a terminal of `width` columns; `None` for full lines.
    #[must_use]
    pub fn new(out: RecordWriter, width: Option<usize>, clock: Clock, colored: bool) -> Self {
        let layout = Layout::new(width, clock.width());
        Self { out, clock, colored, fields: Vec::new(), layout, line: String::new(), cell: String::new() }
    }

    /// Prints only the values of these fields, separated by tabs.
    #[must_use]
    pub fn fields(mut self, fields: Vec<Field>) -> Self {
        self.fields = fields;
        self
    }

    /// Writes a text of several lines as it is. Must be safe to print.
    pub fn paragraph(&mut self, text: &str) -> io::Result<()> {
        self.out.buffer().extend_from_slice(text.as_bytes());
        self.out.end_record()
    }

    /// Writes a line below a call, indented. Must be safe to print.
    pub fn note(&mut self, note: &str) -> io::Result<()> {
        self.line.push_str("    ");
        self.line.push_str(note);
        self.end_line()
    }

    /// Writes an empty line.
    pub fn blank_line(&mut self) -> io::Result<()> {
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.out.buffer().extend_from_slice(self.line.trim_end().as_bytes());
        self.out.buffer().push(b'\n');
        self.line.clear();
        self.out.end_record()
    }

    /// Appends the contents of `cell` as a column, and a gap.
    fn end_cell(&mut self, width: usize, align: Align) {
        let used = text::width(&self.cell);
        self.end_cell_of(used, width, align);
    }

    /// The same for contents whose width is known, because measuring takes longer than writing.
    fn end_cell_of(&mut self, used: usize, width: usize, align: Align) {
        // In a pipe, this is the minimum width.
        if used > width && self.layout.cut {
            push_cell(&mut self.line, &self.cell, width, align);
        } else {
            let fill = std::iter::repeat_n(' ', width.saturating_sub(used));
            match align {
                Align::Left => {
                    self.line.push_str(&self.cell);
                    self.line.extend(fill);
                }
                Align::Right => {
                    self.line.extend(fill);
                    self.line.push_str(&self.cell);
                }
            }
        }
        self.line.push_str("  ");
        self.cell.clear();
    }

    fn ends(&mut self, client: &str, server: &str) {
        let width = self.layout.ends;
        if width == 0 {
            return;
        }
        let used = text::width(client) + text::width(server) + 3;
        if self.layout.cut && used > width {
            // Each endpoint gets half, and room that one does not need goes to the other.
            let half = (width - 3) / 2;
            let left = text::width(client).min(half.max((width - 3).saturating_sub(text::width(server))));
            let client = text::cut_name(client, left, 1);
            self.cell.push_str(&client);
            self.cell.push_str(" → ");
            let right = width - 3 - text::width(&client);
            self.cell.push_str(&text::cut_name(server, right, 1));
            self.end_cell(width, Align::Left);
        } else {
            self.cell.push_str(client);
            self.cell.push_str(" → ");
            self.cell.push_str(server);
            self.end_cell_of(used, width, Align::Left);
        }
    }

    fn line(&mut self, call: &Call) {
        let style = color::class(call.class());
        let letter = labels::letter(call.class());
        color::push(&mut self.line, style.bold(), self.colored, letter.encode_utf8(&mut [0; 4]));
        self.line.push(' ');
        self.clock.push(&mut self.cell, call.start);
        color::push(&mut self.line, faint(), self.colored, &self.cell);
        self.line.push(' ');
        self.cell.clear();
        match call.latency {
            Some(latency) => self.cell.push_str(&text::duration(latency)),
            None => self.cell.push('—'),
        }
        self.end_cell(LATENCY, Align::Right);
        self.ends(&labels::client(call), &labels::server(call));
        if self.layout.protocol > 0 {
            self.cell.push_str(labels::protocol(call));
            self.end_cell(self.layout.protocol, Align::Left);
        }
        let operation = labels::likely_operation(call);
        if self.layout.cut {
            self.cell.push_str(&text::cut_name(&operation, self.layout.operation, 2));
        } else {
            self.cell.push_str(&operation);
        }
        self.end_cell(self.layout.operation, Align::Left);
        self.cell.push_str(&labels::likely_verdict(call));
        for (i, finding) in call.findings.iter().enumerate() {
            self.cell.push_str(if i == 0 { " [" } else { ", " });
            self.cell.push_str(finding.name());
        }
        if !call.findings.is_empty() {
            self.cell.push(']');
        }
        self.verdict(style);
    }

    fn verdict(&mut self, style: Style) {
        let cut = match self.layout.verdict {
            Some(width) => text::cut_end(&self.cell, width),
            None => self.cell.as_str().into(),
        };
        color::push(&mut self.line, style, self.colored, &cut);
        self.cell.clear();
    }

    fn chosen(&mut self, call: &Call) {
        for (i, field) in self.fields.iter().enumerate() {
            if i > 0 {
                self.line.push('\t');
            }
            let value = field.value(call);
            if let Value::Time(time) = value.value {
                self.clock.push(&mut self.line, time);
            } else {
                value.push(&mut self.cell);
                text::push_escaped(&mut self.line, &self.cell);
                self.cell.clear();
            }
        }
    }
}

fn faint() -> Style {
    Style::new().dimmed()
}

impl Sink for Text {
    fn begin(&mut self, first: Timestamp) {
        self.clock.begin(first);
    }

    fn call(&mut self, call: &Call) -> io::Result<()> {
        if self.fields.is_empty() {
            self.line(call);
            self.end_line()
        } else {
            self.chosen(call);
            // Keep tabs at the end: they are empty fields.
            self.out.buffer().extend_from_slice(self.line.as_bytes());
            self.out.buffer().push(b'\n');
            self.line.clear();
            self.out.end_record()
        }
    }

    /// A line in the same columns; selected fields have no place for connections.
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        if !self.fields.is_empty() {
            return Ok(());
        }
        self.line.push_str("- ");
        self.clock.push(&mut self.cell, connection.start);
        color::push(&mut self.line, faint(), self.colored, &self.cell);
        self.line.push(' ');
        self.cell.clear();
        self.cell.push_str(&text::duration(connection.end.since(connection.start)));
        self.end_cell(LATENCY, Align::Right);
        let [client, server] =
            [connection.caller_address(), connection.server].map(|end: Endpoint| end.to_string());
        self.ends(&client, &server);
        if self.layout.protocol > 0 {
            self.cell.push_str(connection.protocol.unwrap_or(connection.network.name()));
            self.end_cell(self.layout.protocol, Align::Left);
        }
        self.cell.push_str("connection ");
        self.cell.push_str(connection.state.name());
        self.end_cell(self.layout.operation, Align::Left);
        if let Some(reason) = connection.reason {
            self.cell.push_str(reason);
            self.cell.push_str("; ");
        }
        let [sent, answered] = connection.bytes;
        // Writing to a String can't fail.
        _ = write!(
            self.cell,
            "{} calls, {} failed, {} segments, {} → {} ←",
            connection.calls,
            connection.failed,
            connection.packets,
            text::bytes(sent),
            text::bytes(answered),
        );
        for (count, what) in [(connection.retransmissions, "retransmitted"), (connection.gaps, "gaps")] {
            if count > 0 {
                _ = write!(self.cell, ", {count} {what}");
            }
        }
        let beginning = connection.beginning();
        if !beginning.is_empty() {
            _ = write!(self.cell, "; {beginning}");
        }
        self.verdict(Style::new());
        self.end_line()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn recover(&mut self) -> Option<usize> {
        self.out.recover();
        self.line.clear();
        self.cell.clear();
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Shared, TimeFormat};
    use super::*;
    use crate::calls::record::{Carrier, Class, ConnectionState, Finding, Initiator, Renewal};
    use crate::calls::sample::{bare, failed, full, ok};
    use crate::decode::Network;

    fn samples() -> Vec<Call> {
        let mut long =
            failed(Class::Business, Carrier::FuncRet, Some(10_001), "no such user at all, says the database");
        long.service = Some("trpc.shop.warehouse.inventory.Stock".into());
        long.method = Some("ReserveForTheChristmasSale".into());
        long.caller = Some("a-gateway-with-a-name-that-is-long".into());
        long.rpc = rpcscope_parsers::Rpc::Trpc;
        long.transport = rpcscope_parsers::Transport::Trpc;
        let mut wide = failed(Class::Rpc, Carrier::ThriftException, Some(6), "库存不足\n\x1b[31m");
        wide.service = Some("订单服务".into());
        wide.findings.insert(Finding::BusinessAsRpc);
        let mut reset = failed(Class::Transport, Carrier::TcpRst, None, "");
        reset.outcome.initiator = Some(Initiator::Client);
        reset.latency = None;
        vec![ok(), long, wide, reset, failed(Class::Unanswered, Carrier::None, None, ""), bare(), full()]
    }

    fn connection() -> Connection {
        Connection {
            first_packet: 1,
            last_packet: 9,
            start: ok().start,
            end: ok().end,
            client: ok().client,
            server: ok().server,
            via: None,
            network: Network::Tcp,
            capture_point: crate::source::CapturePoint::default(),
            protocol: None,
            reason: Some("TLS without keys"),
            tls: None,
            mid_stream: true,
            unread: Some(Renewal::Calls(120)),
            state: ConnectionState::Closed,
            calls: 0,
            failed: 0,
            packets: 9,
            bytes: [517, 4_100],
            retransmissions: 1,
            gaps: 0,
        }
    }

    fn printed(width: Option<usize>, colored: bool, fields: &[&str]) -> String {
        let shared = Shared::default();
        let clock = Clock::new(TimeFormat::Utc, width.is_none());
        let fields = fields.iter().map(|name| Field::parse(name).unwrap()).collect();
        let out = RecordWriter::new(Box::new(shared.clone()), false);
        let mut sink = Text::new(out, width, clock, colored).fields(fields);
        for call in samples() {
            sink.call(&call).unwrap();
        }
        sink.connection(&connection()).unwrap();
        sink.finish().unwrap();
        shared.text()
    }

    #[test]
    fn a_pipe_gets_whole_texts_in_stable_columns() {
        insta::assert_snapshot!(printed(None, false, &[]));
    }

    #[test]
    fn terminals_get_lines_of_their_width() {
        let mut all = String::new();
        for width in [60, 80, 100, 160] {
            let lines = printed(Some(width), false, &[]);
            for line in lines.lines() {
                assert!(text::width(line) <= width, "{width}: {line}");
                assert!(!line.chars().any(text::is_unsafe));
            }
            _ = write!(all, "{}\n{lines}", "-".repeat(width));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn the_narrowest_terminal_is_no_trouble() {
        for width in 0..60 {
            assert_eq!(printed(Some(width), false, &[]).lines().count(), samples().len() + 1);
        }
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let plain = printed(Some(120), false, &[]);
        let colored = printed(Some(120), true, &[]);
        assert!(colored.contains("\x1b[33m10001 no such user"), "{colored}");
        let stripped = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(&colored, "");
        assert_eq!(stripped, plain);
    }

    #[test]
    fn chosen_fields_are_separated_by_tabs() {
        let lines = printed(None, false, &["start", "method", "message", "findings"]);
        let first = lines.lines().next().unwrap();
        assert_eq!(first, "2026-01-02 01:34:09.120000\tPlaceOrder\t\t");
        assert_eq!(
            lines.lines().nth(2).unwrap(),
            "2026-01-02 01:34:09.120000\tPlaceOrder\t库存不足\\n\\x1b[31m\tbusiness-as-rpc"
        );
        assert_eq!(lines.lines().count(), samples().len());
    }
}
