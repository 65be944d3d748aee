//! `rpcscope explain`: the meaning of a code, a word of the record or a line of a log, and the calls that carry it.

use std::io::{self, Read as _};
use std::path::PathBuf;

use super::runner::{Consumer, Opening};
use super::{Failure, Status, output, pager};
use crate::calls::{Call, Finding};
use crate::cli::{ExplainArgs, ExplanationFormat, Input, View};
use crate::explain::wrapping::LINE_LIMIT;
use crate::explain::{self, Answer, Fit, LogLine, Ranking};
use crate::sink::{Clock, JsonLines, Sink, Text};
use crate::text;

/// What only decoded bodies add to a record, which has none of it without them.
const OF_BODIES: [Finding; 5] = [
    Finding::DescriptionMismatch,
    Finding::UnknownFields,
    Finding::MethodAmbiguous,
    Finding::UndecodableBody,
    Finding::BodyCut,
];

/// Prints the explanation and, with files, the calls that match it.
pub(super) fn run(args: &ExplainArgs) -> Result<Status, Failure> {
    let mut what = args.what.clone();
    if let Some(first) = what.first_mut().filter(|first| *first == "-") {
        *first = standard_input()?;
    }
    let (answer, taken) = explain::answer(&what, !args.read.is_empty()).map_err(Failure::Usage)?;
    let named = what.iter().skip(taken).map(PathBuf::from);
    let files: Vec<PathBuf> = args.read.iter().cloned().chain(named).collect();
    if files.is_empty() {
        pager::start();
        return output::print(&explanation(&answer, args.format)).map(|_| Status::default());
    }
    let input = Input { files, no_sandbox: args.no_sandbox, ..Input::default() };
    let view = View { input, color: args.color, ..View::default() };
    let opening = match Opening::new(&view.input, None) {
        Ok(opening) => opening,
        Err(failure) => {
            // The explanation needs no files.
            output::print(&explanation(&answer, args.format))?;
            return Err(failure);
        }
    };
    let out = output::writer(&view, &opening.losses)?;
    let mut run = opening.start()?;
    let look = output::appearance(&view);
    let out = match args.format {
        ExplanationFormat::Text => {
            Out::Text(Text::new(out, look.width, Clock::new(look.time, false), look.colored))
        }
        ExplanationFormat::Jsonl => Out::Jsonl(JsonLines::new(out)),
    };
    if let Answer::Log(line) = answer {
        run.options.metadata = line.needs_headers();
        if line.needs_bodies() {
            run.read_bodies();
        }
        let mut search = Search { line, ranking: Ranking::default() };
        let mut status = run.drive(&mut search)?;
        status.found_nothing = !search.print(out).or_else(|error| closed(&error))?;
        return Ok(status);
    }
    if !output::print(&explanation(&answer, args.format))? {
        return Ok(Status::default());
    }
    let mut carriers = Carriers { answer, out, found: 0 };
    let mut status = run.drive(&mut carriers)?;
    status.found_nothing = carriers.found == 0;
    if status.found_nothing {
        nothing(&carriers.answer, args.format)?;
    }
    Ok(status)
}

/// A closed pipe is a normal end.
fn closed(error: &io::Error) -> Result<bool, Failure> {
    if crate::sink::closed_pipe(error) {
        return Ok(true);
    }
    Err(output::unwritable("standard output", error))
}

/// The line on standard input.
fn standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(LINE_LIMIT as u64).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Environment(format!("standard input can't be read: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn explanation(answer: &Answer, format: ExplanationFormat) -> Vec<u8> {
    match format {
        ExplanationFormat::Text => answer.text().into_bytes(),
        ExplanationFormat::Jsonl => format!("{}\n", answer.record().to_json()).into_bytes(),
    }
}

/// Says that no call carries it, and what such an error leaves on the wire.
fn nothing(answer: &Answer, format: ExplanationFormat) -> Result<(), Failure> {
    if format == ExplanationFormat::Text {
        output::print(missing(answer).as_bytes())?;
    }
    Ok(())
}

fn missing(answer: &Answer) -> String {
    let mut text = "\nno call in the files carries it\n".to_owned();
    let traces = answer.traces();
    if !traces.is_empty() {
        text.push_str("on the wire: ");
        text.push_str(&traces.join(" "));
        text.push('\n');
    }
    text
}

/// Where calls are printed.
enum Out {
    Text(Text),
    Jsonl(JsonLines),
}

impl Out {
    fn call(&mut self, call: &Call, why: &[String]) -> io::Result<()> {
        match self {
            Self::Text(text) => {
                text.call(call)?;
                if why.is_empty() { Ok(()) } else { text.note(&why.join(", ")) }
            }
            Self::Jsonl(out) if why.is_empty() => out.call(call),
            Self::Jsonl(out) => out.call_named_for(call, why),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Text(text) => text.finish(),
            Self::Jsonl(out) => out.finish(),
        }
    }
}

/// Looks for the calls that a log line is about.
struct Search {
    line: Box<LogLine>,
    ranking: Ranking,
}

impl Consumer for Search {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        if let Some(fit) = self.line.fit(call) {
            call.metadata.clear();
            call.bodies = None;
            for finding in OF_BODIES {
                call.findings.remove(finding);
            }
            self.ranking.add(fit, || call.take());
        }
        Ok(())
    }
}

impl Search {
    /// Prints the explanation and the calls; returns whether there are any.
    fn print(mut self, mut out: Out) -> io::Result<bool> {
        let (best, others) = self.ranking.finish();
        self.line.trim_to(best.iter().map(|(_, call)| call));
        let answer = Answer::Log(self.line);
        let has_calls = !best.is_empty();
        match &mut out {
            Out::Jsonl(out) => out.object(&answer.record())?,
            Out::Text(text) => {
                text.paragraph(&answer.text())?;
                if has_calls { text.blank_line()? } else { text.paragraph(&missing(&answer))? }
            }
        }
        for (Fit { why, .. }, call) in &best {
            out.call(call, why)?;
        }
        if let (Out::Text(text), true) = (&mut out, others > 0) {
            text.note(&format!("and {} more", text::thousands(others)))?;
        }
        out.finish()?;
        Ok(has_calls)
    }
}

/// Prints the calls of a code or a word of the record.
struct Carriers {
    answer: Answer,
    out: Out,
    found: u64,
}

impl Consumer for Carriers {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        if !self.answer.matches(call) {
            return Ok(());
        }
        if let (Out::Text(text), 0) = (&mut self.out, self.found) {
            text.blank_line()?;
        }
        self.found += 1;
        self.out.call(call, &[])
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.finish()
    }
}
