//! A call in full as text, for `rpcscope show`.

use std::fmt::Write as _;

use anstyle::Style;
use jiff::tz::TimeZone;
use rpcscope_parsers::protocol::Field;

use super::verdict::Line;
use super::{Detail, Message, hex, verdict};
use crate::calls::keys::{KEYS, Type, Value};
use crate::calls::labels;
use crate::calls::summary::sentence;
use crate::sink::color;
use crate::text;
use crate::time::Timestamp;

/// Bytes of one message that are dumped.
const MAX_DUMP: usize = 4096;
/// Fields of one message that are printed.
const MAX_FIELDS: usize = 2000;
/// Packets that are listed.
const MAX_LISTED: usize = 100;
/// Messages that are printed with headers and bytes; the others are only in the time line.
const MAX_FULL: usize = 20;
/// Width of labels and header names.
const LABEL: usize = 18;
/// Keys of the record that are already in the title, the verdict or the list of packets.
const SHOWN: &[&str] = &[
    "uid",
    "client",
    "server",
    "service",
    "method",
    "class",
    "carrier",
    "code",
    "code_name",
    "message",
    "initiator",
    "goaway",
    "likely",
    "ret",
    "func_ret",
    "biz_extra",
    "details",
    "field_id",
    "canceled_by",
    "cancel_path",
    "findings",
    "metadata",
    "request",
    "response",
    "exception",
    "error",
];

/// The style of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Print colours.
    pub colored: bool,
    /// Width of the terminal, at which explanations are wrapped.
    pub width: usize,
    /// The zone of times.
    pub zone: TimeZone,
}

/// A time with date, nanoseconds and the offset of the zone: `2026-01-02T09:34:09.120000000+08:00`, or `Z` for UTC.
fn zoned(time: Timestamp, zone: &TimeZone) -> String {
    let instant = jiff::Timestamp::from_nanosecond(time.0.into()).unwrap_or_default();
    if *zone == TimeZone::UTC || zone.to_offset(instant).is_zero() {
        return time.to_string();
    }
    format!("{:.9}", instant.display_with_offset(zone.to_offset(instant)))
}

/// Appends the whole text, with what is known of its chain; its last line ends with a line break too.
pub fn push(out: &mut String, detail: &Detail, chain: &[Line], look: &Look) {
    let call = &detail.call;
    let page = &mut Page { out, look };
    let class = color::class(call.class());
    page.styled(color::head(), &labels::likely_operation(call));
    page.out.push_str("  ");
    page.styled(class.bold(), labels::label(call.class()));
    _ = writeln!(page.out, "  call {}", call.uid);
    page.wrapped(0, &sentence(call));

    page.head("Verdict");
    for line in verdict::lines(call) {
        let style = if line.label == "class" { class } else { Style::new() };
        page.labelled(line.label, &line.value, style, &line.meaning);
    }

    if !chain.is_empty() {
        page.head("Chain");
    }
    for line in chain {
        page.labelled(line.label, &line.value, Style::new(), &line.meaning);
    }

    page.head("Call");
    for (label, name, address) in [
        ("client", labels::client(call), call.caller_address()),
        ("server", labels::server(call), call.server),
    ] {
        let address = address.to_string();
        let value = if *name == address { address } else { format!("{name}  {address}") };
        page.labelled(label, &value, Style::new(), "");
    }
    for key in KEYS.iter().filter(|key| !SHOWN.contains(&key.name)) {
        let shown = match (key.get)(call) {
            Value::Null => continue,
            Value::Duration(span) => text::duration(span),
            Value::Bytes(count) => text::bytes(count),
            Value::Time(time) => zoned(time, &look.zone),
            value => text::escape(&value.to_string()).into_owned(),
        };
        // The value has a unit, so `latency` reads better than `latency_ns`.
        let short = key.aliases.first().filter(|_| matches!(key.kind, Type::Duration));
        let label = short.unwrap_or(&key.name);
        page.labelled(label, &shown, Style::new(), "");
    }

    if let Some(tls) = &detail.tls {
        page.labelled("tls", &text::escape(tls), Style::new(), "");
    }

    page.head("Time line");
    for message in &detail.messages {
        page.time(call.start, message.time, message.from_client);
        _ = writeln!(
            page.out,
            "{}, {}, packet {}",
            message.name(),
            text::bytes(message.size),
            message.packet
        );
    }
    page.packets(detail);

    for message in detail.messages.iter().filter(|message| !message.is_empty()).take(MAX_FULL) {
        page.message(message);
    }
    let all = detail.messages.iter().filter(|message| !message.is_empty()).count();
    if all > MAX_FULL {
        _ = writeln!(page.out, "\n{} more messages with contents", all - MAX_FULL);
    }
    for what in &detail.left_out {
        _ = writeln!(page.out, "\nnot shown: {what}");
    }
}

struct Page<'o> {
    out: &'o mut String,
    look: &'o Look,
}

// Writing to a String can't fail, so its results are dropped everywhere below.
impl Page<'_> {
    fn styled(&mut self, style: Style, text: &str) {
        color::push(self.out, style, self.look.colored, text);
    }

    fn faint(&mut self, text: &str) {
        self.styled(Style::new().dimmed(), text);
    }

    fn head(&mut self, title: &str) {
        self.out.push('\n');
        self.styled(color::head(), title);
        self.out.push('\n');
    }

    /// A label, its value, and the meaning on the next line.
    fn labelled(&mut self, label: &str, value: &str, style: Style, meaning: &str) {
        self.out.push_str("  ");
        let mut cell = String::new();
        text::push_cell(&mut cell, label, LABEL.max(text::width(label)), text::Align::Left);
        self.faint(&cell);
        self.out.push(' ');
        if LABEL + 3 + text::width(value) > self.look.width && value.contains(' ') {
            self.wrapped_after(LABEL + 3, LABEL + 3, value);
        } else {
            self.styled(style, value);
            self.out.push('\n');
        }
        if !meaning.is_empty() {
            self.wrapped(LABEL + 3, meaning);
        }
    }

    /// Text that is wrapped between words.
    fn wrapped(&mut self, indent: usize, prose: &str) {
        self.wrapped_after(0, indent, prose);
    }

    /// The same, where `used` columns of the first line are taken.
    fn wrapped_after(&mut self, used: usize, indent: usize, prose: &str) {
        let room = self.look.width.max(indent + 20);
        let mut column = used;
        let mut first = true;
        for word in prose.split_whitespace() {
            let wide = text::width(word);
            if !first && column + 1 + wide > room {
                self.out.push('\n');
                column = 0;
            } else if !first {
                self.out.push(' ');
                column += 1;
            }
            if column < indent {
                self.out.extend(std::iter::repeat_n(' ', indent - column));
                column = indent;
            }
            self.out.push_str(word);
            column += wide;
            first = false;
        }
        self.out.push('\n');
    }

    /// Milliseconds since the call began, and a direction.
    fn time(&mut self, start: Timestamp, time: Timestamp, from_client: bool) {
        let milliseconds = (time - start) as f64 / 1e6;
        let arrow = if from_client { '→' } else { '←' };
        _ = write!(self.out, "  {milliseconds:>12.3} ms  {arrow} ");
    }

    fn packets(&mut self, detail: &Detail) {
        if detail.packets.is_empty() {
            return;
        }
        self.head("Packets of the connection");
        for packet in detail.packets.iter().take(MAX_LISTED) {
            self.time(detail.call.start, packet.time, packet.from_client);
            _ = write!(self.out, "packet {}, {}", packet.number, text::bytes(packet.payload));
            if packet.missing > 0 {
                _ = write!(self.out, " ({} cut off)", packet.missing);
            }
            if !packet.flags.is_empty() {
                _ = write!(self.out, " [{}]", packet.flags);
            }
            self.out.push('\n');
        }
        if detail.packets.len() > MAX_LISTED {
            _ = writeln!(self.out, "  {} more packets", detail.packets.len() - MAX_LISTED);
        }
    }

    fn message(&mut self, message: &Message) {
        let from = if message.from_client { "client" } else { "server" };
        let size = text::bytes(message.size);
        self.head(&format!("{} of the {from}, {size}, packet {}", capital(message.name()), message.packet));
        for (name, value) in &message.headers {
            self.labelled(&text::escape(name), &text::escape(value), Style::new(), "");
        }
        let mut left = MAX_FIELDS;
        for field in &message.fields {
            self.field(field, 1, &mut left);
        }
        if left == 0 {
            self.out.push_str("  more fields are not shown\n");
        }
        for row in hex::rows(&message.bytes[..message.bytes.len().min(MAX_DUMP)]) {
            self.out.push_str("  ");
            self.out.push_str(&row);
            self.out.push('\n');
        }
        if message.bytes.len() > MAX_DUMP {
            _ = writeln!(self.out, "  {} more bytes are not shown", message.bytes.len() - MAX_DUMP);
        }
        if message.is_cut() {
            let missing = message.size - message.bytes.len() as u64;
            _ = writeln!(self.out, "  {missing} bytes were not captured or not kept");
        }
    }

    fn field(&mut self, field: &Field, depth: usize, left: &mut usize) {
        // Trees that are this deep are hostile, and the outer levels are enough.
        if *left == 0 || depth > 64 {
            return;
        }
        *left -= 1;
        self.out.extend(std::iter::repeat_n(' ', depth * 2));
        if field.children.is_empty() {
            text::push_escaped(self.out, &field.name);
        } else {
            self.styled(color::head(), &text::escape(&field.name));
        }
        if !field.value.is_empty() {
            self.out.push_str("  ");
            text::push_escaped(self.out, &field.value);
        }
        self.faint(&format!("  @{:x}..{:x}", field.range.0, field.range.1));
        self.out.push('\n');
        for child in &field.children {
            self.field(child, depth + 1, left);
        }
    }
}

/// The name with a capital first letter.
fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
