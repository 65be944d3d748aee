//! One call's verdict, time line and bytes, as JSON for the page's script.

use super::MAX_DETAIL_BYTES;
use super::data::{push_array, push_string};
use crate::detail::{Detail, Message, hex, verdict};
use crate::text;

/// Most messages of a call.
const MAX_MESSAGES: usize = 8;
/// Bytes of a message that are dumped.
const MAX_DUMP: usize = 512;
/// Most headers of a message.
const MAX_HEADERS: usize = 60;
/// Most bytes of one value.
const MAX_VALUE: usize = 2_000;
/// Most steps of the time line.
const MAX_STEPS: usize = 40;

/// Details of calls, within [`MAX_DETAIL_BYTES`].
#[derive(Debug, Default)]
pub struct Details {
    json: String,
    count: u64,
    is_full: bool,
}

impl Details {
    /// Adds a call, with headers and bytes unless they are to be left out. `false` where there is no room for more.
    pub fn add(&mut self, detail: &Detail, is_redacted: bool) -> bool {
        let before = self.json.len();
        if self.count > 0 {
            self.json.push(',');
        }
        push(&mut self.json, detail, is_redacted);
        if self.json.len() > MAX_DETAIL_BYTES {
            self.json.truncate(before);
            self.is_full = true;
            return false;
        }
        self.count += 1;
        true
    }

    /// How many calls are there.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the bound was reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The members of a JSON object, by uid.
    pub(super) fn json(&self) -> &str {
        &self.json
    }
}

fn push(out: &mut String, detail: &Detail, is_redacted: bool) {
    push_string(out, &detail.call.uid.to_string());
    out.push_str(":{\"verdict\":");
    push_array(out, verdict::lines(&detail.call).into_iter(), |out, line| {
        let value = cut(&line.value);
        push_array(out, [line.label, &value, &line.meaning].into_iter(), push_string);
    });
    out.push_str(",\"steps\":");
    let steps = steps(detail);
    push_array(out, steps.iter(), |out, step| push_string(out, step));
    out.push_str(",\"messages\":");
    let full = detail.messages.iter().filter(|message| !message.is_empty());
    push_array(out, full.clone().take(MAX_MESSAGES), |out, message| push_message(out, message, is_redacted));
    out.push_str(",\"left\":");
    let more = full.count().saturating_sub(MAX_MESSAGES);
    let more = (more > 0).then(|| text::counted(more as u64, "more message"));
    let headers = is_redacted.then(|| "headers (--redact)".to_owned());
    let left = detail.left_out.iter().cloned().chain(more).chain(headers);
    push_array(out, left, |out, what| push_string(out, &what));
    out.push('}');
}

/// The value, cut where it is too long.
fn cut(value: &str) -> String {
    let head = text::head(value, MAX_VALUE);
    if head.len() < value.len() { format!("{head}…") } else { head.to_owned() }
}

/// The time line: messages first, then what the connection's packets say beside them.
fn steps(detail: &Detail) -> Vec<String> {
    let start = detail.call.start;
    let step = |time: crate::time::Timestamp, from_client: bool, what: &str| {
        let arrow = if from_client { '→' } else { '←' };
        format!("{:>12.3} ms  {arrow} {what}", (time - start) as f64 / 1e6)
    };
    let mut steps: Vec<(i64, String)> = Vec::new();
    for message in &detail.messages {
        let what = format!("{}, {}, packet {}", message.name(), text::bytes(message.size), message.packet);
        steps.push((message.time.0, step(message.time, message.from_client, &what)));
    }
    for packet in detail.packets.iter().filter(|packet| !packet.flags.is_empty()) {
        let what = format!("packet {} [{}], {}", packet.number, packet.flags, text::bytes(packet.payload));
        steps.push((packet.time.0, step(packet.time, packet.from_client, &what)));
    }
    steps.sort_by_key(|(time, _)| *time);
    let more = steps.len().saturating_sub(MAX_STEPS);
    let mut lines: Vec<String> = steps.into_iter().take(MAX_STEPS).map(|(_, line)| line).collect();
    if more > 0 {
        lines.push(format!("{more} more"));
    }
    lines
}

fn push_message(out: &mut String, message: &Message, is_redacted: bool) {
    let from = if message.from_client { "client" } else { "server" };
    out.push_str("{\"name\":");
    let name =
        format!("{} of the {from}, {}, packet {}", message.name(), text::bytes(message.size), message.packet);
    push_string(out, &name);
    out.push_str(",\"headers\":");
    let headers = message.headers.iter().filter(|_| !is_redacted).take(MAX_HEADERS);
    push_array(out, headers, |out, (key, value)| {
        let (key, value) = (text::escape(key), cut(&text::escape(value)));
        push_array(out, [&*key, &*value].into_iter(), push_string);
    });
    let shown = if is_redacted { &[][..] } else { &message.bytes[..message.bytes.len().min(MAX_DUMP)] };
    let rows: Vec<String> = hex::rows(shown).collect();
    out.push_str(",\"bytes\":");
    push_string(out, &rows.join("\n"));
    out.push_str(",\"more\":");
    let mut more = Vec::new();
    if !is_redacted && message.bytes.len() > MAX_DUMP {
        more.push(format!("{} more bytes are not in the page", message.bytes.len() - MAX_DUMP));
    }
    if message.is_cut() && !is_redacted {
        let missing = message.size - message.bytes.len() as u64;
        more.push(format!("{missing} bytes were not captured or not kept"));
    }
    push_string(out, &more.join("; "));
    out.push('}');
}
