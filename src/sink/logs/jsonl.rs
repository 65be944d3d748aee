//! Logs as JSON lines: a record of type `log-line` for each error line, `log-unmentioned` for failed calls of one kind that no line
//! mentions, and `log-summary` at the end.

use std::io;

use super::super::RecordWriter;
use super::LogSink;
use crate::body::Value;
use crate::calls::summary::sentence;
use crate::calls::{Call, Class, Uid};
use crate::logs::report::{Homeless, Log, Silence, Silent, Story, Summary, ToldCall, ToldLine};
use crate::logs::{Background, NoCall};

/// The sink of `logs --format jsonl`.
#[derive(Debug)]
pub struct LogLines {
    out: RecordWriter,
}

impl LogLines {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        Self { out }
    }

    fn record(&mut self, fields: Vec<(&str, Value)>) -> io::Result<()> {
        object(fields).write_json(self.out.buffer());
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }
}

/// An object without what is not known.
fn object(fields: Vec<(&str, Value)>) -> Value {
    let known = fields.into_iter().filter(|(_, value)| *value != Value::Null);
    Value::Object(known.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn maybe<T>(value: Option<T>, write: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Null, write)
}

fn uid(uid: Uid) -> Value {
    text(uid.to_string())
}

/// The keys of a line itself.
fn line_fields(line: &ToldLine) -> Vec<(&'static str, Value)> {
    vec![
        ("type", text("log-line")),
        ("log", text(&*line.log)),
        ("line", Value::UInt(line.line)),
        ("lines", Value::UInt(line.lines.into())),
        ("text", text(line.text.as_str())),
        ("cut", if line.is_cut { Value::Bool(true) } else { Value::Null }),
        ("time", maybe(line.time, |time| text(time.to_string()))),
    ]
}

/// What a call is and how it ended.
fn call_fields(call: &Call) -> Vec<(&'static str, Value)> {
    let outcome = &call.outcome;
    vec![
        ("service", maybe(call.service.as_deref(), text)),
        ("method", maybe(call.method.as_deref(), text)),
        ("class", maybe(outcome.class.map(Class::name), text)),
        ("carrier", text(outcome.carrier.name())),
        ("code", maybe(outcome.code, Value::Int)),
        ("code_name", maybe(outcome.code_name, text)),
    ]
}

fn background_fields(background: &Background) -> [(&'static str, Value); 3] {
    [
        ("cause", maybe(background.cause.as_deref(), text)),
        ("origin", maybe(background.origin, uid)),
        ("confidence", Value::Float((background.confidence * 1e3).round() / 1e3)),
    ]
}

fn told(told: &ToldCall, line: &ToldLine) -> Vec<(&'static str, Value)> {
    let mut fields = line_fields(line);
    fields.push(("call", uid(told.call.uid)));
    if let Some(found) = &line.found {
        fields.push(("why", Value::List(found.why.iter().map(|why| text(why.as_str())).collect())));
        fields.push(("lag_ns", maybe(found.lag, Value::Int)));
        fields.push(("others", Value::UInt(found.others as u64)));
    }
    fields.extend(call_fields(&told.call));
    fields.push(("sentence", text(sentence(&told.call))));
    fields.extend(told.background.iter().flat_map(background_fields));
    fields
}

impl LogSink for LogLines {
    fn story(&mut self, story: &Story) -> io::Result<()> {
        let lines = story.calls.iter().flat_map(|call| call.lines.iter().map(move |line| (call, line)));
        lines.map(|(call, line)| told(call, line)).try_for_each(|fields| self.record(fields))
    }

    fn homeless(&mut self, lines: &Homeless) -> io::Result<()> {
        for line in &lines.lines {
            let mut fields = line_fields(line);
            fields.push(("reason", text(lines.reason.name())));
            self.record(fields)?;
        }
        Ok(())
    }

    fn silent(&mut self, calls: &Silent) -> io::Result<()> {
        let mut fields = vec![("type", text("log-unmentioned"))];
        fields.extend(call_fields(&calls.first));
        fields.push(("count", Value::UInt(calls.count)));
        fields.push(("first", uid(calls.first.uid)));
        fields.push(("silence", text(calls.silence.name())));
        self.record(fields)
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let log = |log: &Log| {
            let clock = log.clock.map(|clock| {
                let (zone, wrong) = clock.parts();
                object(vec![
                    ("offset_ns", Value::Int(clock.offset)),
                    ("zone_s", if clock.has_zone { Value::Null } else { Value::Int(zone) }),
                    ("wrong_ns", Value::Int(wrong)),
                    ("inexact_ns", Value::Int(clock.inexact)),
                    ("matches", Value::UInt(clock.matches as u64)),
                ])
            });
            object(vec![
                ("log", text(&*log.name)),
                ("bytes", Value::UInt(log.counts.bytes)),
                ("lines", Value::UInt(log.counts.lines)),
                ("errors", Value::UInt(log.errors)),
                ("other_errors", Value::UInt(log.counts.other_errors)),
                ("long_lines", Value::UInt(log.counts.long)),
                ("clock", clock.unwrap_or(Value::Null)),
            ])
        };
        let reasons =
            NoCall::ALL.iter().filter_map(|reason| Some((reason.name(), summary.homeless.get(reason)?)));
        let silences =
            Silence::ALL.iter().filter_map(|silence| Some((silence.name(), summary.silent.get(silence)?)));
        self.record(vec![
            ("type", text("log-summary")),
            ("logs", Value::List(summary.logs.iter().map(log).collect())),
            ("lines", Value::UInt(summary.logs.iter().map(|log| log.counts.lines).sum())),
            ("with_call", Value::UInt(summary.told)),
            ("without_call", object(reasons.map(|(name, count)| (name, Value::UInt(*count))).collect())),
            ("left_out", Value::UInt(summary.left_out)),
            ("failed", Value::UInt(summary.failed)),
            ("mentioned", Value::UInt(summary.mentioned)),
            ("unmentioned", object(silences.map(|(name, count)| (name, Value::UInt(*count))).collect())),
            ("forgotten", Value::UInt(summary.forgotten)),
        ])
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
