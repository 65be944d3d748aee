//! Logs as text: each call below the lines that are about it, then lines without a call, then calls without a line, and sums.

use std::fmt::Write as _;
use std::io;

use super::super::text::Text;
use super::super::{Appearance, Clock, RecordWriter, Sink, color};
use super::LogSink;
use crate::calls::labels;
use crate::calls::summary::sentence;
use crate::logs::report::{Homeless, Log, Silence, Silent, Story, Summary, ToldCall, ToldLine};
use crate::logs::{Background, LogClock, NoCall};
use crate::text;

/// Most lines of one call that are printed.
const LINES: usize = 4;

/// Most other calls of a story that are named.
const NAMED: usize = 8;

/// Longest text of a line, columns. It is not cut to the terminal: what matters of an error line stands at its end.
const TEXT: usize = 400;

/// The sink of `logs --format text`.
#[derive(Debug)]
pub struct LogText {
    text: Text,
    clock: Clock,
    width: Option<usize>,
    colored: bool,
    /// What was printed last.
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Beginning,
    Stories,
    Homeless,
    Silent,
}

impl LogText {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: RecordWriter, look: &Appearance) -> Self {
        let text = Text::new(out, look.width, Clock::new(look.time, false), look.colored);
        let clock = Clock::new(look.time, false);
        Self { text, clock, width: look.width, colored: look.colored, part: Part::Beginning }
    }

    /// Goes on with a part, with a heading where one begins.
    fn part(&mut self, part: Part, heading: &str) -> io::Result<()> {
        if self.part == part {
            return if part == Part::Stories { self.text.blank_line() } else { Ok(()) };
        }
        if self.part != Part::Beginning {
            self.text.blank_line()?;
        }
        self.part = part;
        if heading.is_empty() { Ok(()) } else { self.head(heading) }
    }

    fn head(&mut self, heading: &str) -> io::Result<()> {
        let mut line = String::new();
        color::push(&mut line, color::head(), self.colored, heading);
        line.push('\n');
        self.text.paragraph(&line)
    }

    /// `app.log:12  22:33:00.230  …`.
    fn line(&mut self, line: &ToldLine, indent: &str) -> io::Result<()> {
        let mut place = format!("{indent}{}:{}", text::escape(&line.log), line.line);
        if let Some(time) = line.time {
            place.push_str("  ");
            self.clock.push(&mut place, time);
        }
        let said = text::escape(&line.text);
        let mut out = String::new();
        color::push(&mut out, color::head(), self.colored, &place);
        _ = writeln!(out, "  {}", text::cut_end(said.trim(), TEXT));
        self.text.paragraph(&out)
    }

    /// How a call was found, what happened, and where it began.
    fn told(&mut self, told: &ToldCall) -> io::Result<()> {
        Sink::call(&mut self.text, &told.call)?;
        let mut said = format!("call {}", told.call.uid);
        let mut found = told.lines.iter().filter_map(|line| line.found.as_ref());
        if let Some(first) = found.next() {
            _ = write!(said, ": {}", first.why.join(", "));
            let most = found.map(|found| found.others).chain([first.others]).max().unwrap_or(0);
            if most > 0 {
                _ = write!(said, "; {} may be meant as well", text::counted(most as u64, "other call"));
            }
        }
        self.text.note(&said)?;
        self.text.note(&sentence(&told.call))?;
        match &told.background {
            Some(Background { cause: Some(cause), .. }) => self.text.note(cause),
            Some(Background { cause: None, .. }) if told.call.failed() => {
                self.text.note("where it began is not known for sure (rpcscope chains)")
            }
            _ => Ok(()),
        }
    }
}

/// `app.log:12`.
fn place(line: &ToldLine) -> String {
    format!("{}:{}", text::escape(&line.log), line.line)
}

impl LogSink for LogText {
    fn story(&mut self, story: &Story) -> io::Result<()> {
        let Some((first, others)) = story.calls.split_first() else { return Ok(()) };
        self.part(Part::Stories, "")?;
        for line in first.lines.iter().take(LINES) {
            self.line(line, "")?;
        }
        if first.lines.len() > LINES {
            self.text.note(&format!(
                "and {} more about this call",
                text::counted((first.lines.len() - LINES) as u64, "line")
            ))?;
        }
        self.told(first)?;
        let Some(last) = others.last() else { return Ok(()) };
        let names: Vec<String> = others.iter().take(NAMED).map(|told| told.call.uid.to_string()).collect();
        let more = if others.len() > NAMED { ", …" } else { "" };
        let lines: usize = others.iter().map(|told| told.lines.len()).sum();
        let until = last.lines.last().map(|line| format!(", the last {}", place(line))).unwrap_or_default();
        self.text.note(&format!(
            "and {} alike ({}{more}) in {}{until}",
            text::counted(others.len() as u64, "call"),
            names.join(", "),
            text::counted(lines as u64, "line"),
        ))
    }

    fn homeless(&mut self, lines: &Homeless) -> io::Result<()> {
        let Some((first, others)) = lines.lines.split_first() else { return Ok(()) };
        self.part(Part::Homeless, "Lines whose call is not in the capture")?;
        self.line(first, "  ")?;
        let more = match others.last() {
            Some(last) => format!(
                " (and {} alike, the last {})",
                text::counted(others.len() as u64, "line"),
                place(last)
            ),
            None => String::new(),
        };
        self.text.note(&format!("{}{more}", lines.reason.sentence()))
    }

    fn silent(&mut self, calls: &Silent) -> io::Result<()> {
        self.part(Part::Silent, "Failed calls that no line mentions")?;
        let call = &calls.first;
        let mut line = String::new();
        text::push_cell(&mut line, &text::thousands(calls.count), 7, text::Align::Right);
        line.push_str("  ");
        let verdict = format!("{} {}", labels::letter(call.class()), labels::verdict(call));
        let room = self.width.map_or(TEXT, |width| (width / 2).max(30));
        let operation = labels::operation(call);
        let mut words = String::new();
        color::push(&mut words, color::class(call.class()), self.colored, &text::cut_end(&verdict, room));
        _ = writeln!(line, "{operation}  {words}  {}; first: call {}", calls.silence.sentence(), call.uid);
        self.text.paragraph(&line)
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if self.part != Part::Beginning {
            self.text.blank_line()?;
        }
        for log in &summary.logs {
            self.text.paragraph(&log_line(log))?;
        }
        let mut out = String::new();
        let without: u64 = summary.homeless.values().sum();
        _ = write!(
            out,
            "{} of RPCs: {} of calls in the capture, {} of none",
            text::counted(summary.told + without, "error line"),
            text::thousands(summary.told),
            text::thousands(without)
        );
        push_parts(
            &mut out,
            NoCall::ALL.iter().filter_map(|reason| Some((summary.homeless.get(reason)?, reason.name()))),
        );
        if summary.left_out > 0 {
            _ = write!(out, "; {} more beyond the bound", text::thousands(summary.left_out));
        }
        _ = write!(
            out,
            "\n{}: {} in the logs, {} in none",
            text::counted(summary.failed, "failed call"),
            text::thousands(summary.mentioned),
            text::thousands(summary.failed - summary.mentioned)
        );
        push_parts(
            &mut out,
            Silence::ALL.iter().filter_map(|silence| Some((summary.silent.get(silence)?, silence.name()))),
        );
        if summary.forgotten > 0 {
            _ = write!(
                out,
                "; {} more for which there was no room (--max-memory)",
                text::thousands(summary.forgotten)
            );
        }
        out.push('\n');
        self.text.paragraph(&out)
    }

    fn tick(&mut self) -> io::Result<()> {
        Sink::tick(&mut self.text)
    }

    fn finish(&mut self) -> io::Result<()> {
        Sink::finish(&mut self.text)
    }
}

/// ` (3 unknown, 1 other-host)`.
fn push_parts<'c>(out: &mut String, parts: impl Iterator<Item = (&'c u64, &'static str)>) {
    let parts: Vec<String> =
        parts.map(|(count, name)| format!("{} {name}", text::thousands(*count))).collect();
    if !parts.is_empty() {
        _ = write!(out, " ({})", parts.join(", "));
    }
}

/// `app.log: 12,345 lines, 3.2 MB; 14 errors of RPCs, 3 other error lines; its clock is …`.
fn log_line(log: &Log) -> String {
    let counts = &log.counts;
    let mut out = format!(
        "{}: {}, {}; {} of RPCs",
        text::escape(&log.name),
        text::counted(counts.lines, "line"),
        text::bytes(counts.bytes),
        text::counted(log.errors, "error"),
    );
    if counts.other_errors > 0 {
        _ = write!(out, ", {}", text::counted(counts.other_errors, "other error line"));
    }
    if counts.long > 0 {
        _ = write!(out, ", {} cut", text::counted(counts.long, "long line"));
    }
    if let Some(clock) = log.clock {
        _ = write!(out, "; {}", clock_words(clock));
    }
    out.push('\n');
    out
}

/// Clocks that differ by less than this are equal for people, nanoseconds.
const UNTOLD: i64 = 50_000_000;

/// How a log's clock stands to the capture's.
fn clock_words(clock: LogClock) -> String {
    let (zone, wrong) = clock.parts();
    let ahead = text::duration(wrong.unsigned_abs());
    let wrong = match wrong {
        ..0 if wrong.abs() >= UNTOLD => format!("{ahead} behind"),
        UNTOLD.. => format!("{ahead} ahead"),
        _ => "right".to_owned(),
    };
    let minutes = zone.abs() / 60;
    let sign = if zone < 0 { '-' } else { '+' };
    let zone = if clock.has_zone || zone == 0 {
        String::new()
    } else {
        format!(", in zone {sign}{:02}:{:02}", minutes / 60, minutes % 60)
    };
    let inexact = if clock.inexact < UNTOLD {
        String::new()
    } else {
        format!(", give or take {}", text::duration(clock.inexact.unsigned_abs()))
    };
    format!("its clock is {wrong}{zone}{inexact} (by {})", text::counted(clock.matches as u64, "line"))
}
