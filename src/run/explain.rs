//! `rpcscope explain`: the meaning of a code, a word of the record or an error text, and the calls that carry it.

use std::io;
use std::path::PathBuf;

use super::runner::{Consumer, Opening};
use super::{Failure, Status, output};
use crate::calls::Call;
use crate::cli::{ExplainArgs, Input, View};
use crate::explain::{self, Answer};
use crate::sink::{Clock, Sink, Text};

/// Prints the explanation and, with files, the calls that match it.
pub(super) fn run(args: &ExplainArgs) -> Result<Status, Failure> {
    let (answer, taken) = explain::answer(&args.what).map_err(Failure::Usage)?;
    let named = args.what.iter().skip(taken).map(PathBuf::from);
    let files = args.read.iter().cloned().chain(named).collect();
    let input = Input { files, no_sandbox: args.no_sandbox, ..Input::default() };
    let view = View { input, color: args.color, ..View::default() };
    if !output::print(answer.text().as_bytes())? || view.input.files.is_empty() {
        return Ok(Status::default());
    }
    let opening = Opening::new(&view.input, None)?;
    let out = output::writer(&view, &opening.losses)?;
    let mut run = opening.start()?;
    let look = output::appearance(&view);
    let text = Text::new(out, look.width, Clock::new(look.time, false), look.colored);
    let mut carriers = Carriers { answer, text, found: 0 };
    let status = run.drive(&mut carriers)?;
    if carriers.found == 0 {
        output::print(b"\nno call in the files carries it\n")?;
    }
    Ok(status)
}

/// Prints the calls that match the explanation.
struct Carriers {
    answer: Answer,
    text: Text,
    found: u64,
}

impl Consumer for Carriers {
    fn call(&mut self, call: &mut Call) -> io::Result<()> {
        if !self.answer.matches(call) {
            return Ok(());
        }
        if self.found == 0 {
            self.text.blank_line()?;
        }
        self.found += 1;
        self.text.call(call)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.text.finish()
    }
}
