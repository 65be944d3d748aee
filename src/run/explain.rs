//! `rpcscope explain`: what a code, a word of the record or an error text means, and which calls carry it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Status, input};
use crate::cli::{ExplainArgs, Input, View};
use crate::explain;
use crate::pipeline::Output;
use crate::sink::{self, Clock, Sink};

/// Prints the answer, and with files the calls that it is about.
pub(super) fn run(args: &ExplainArgs) -> Result<Status, Failure> {
    let (answer, taken) = explain::answer(&args.what).map_err(Failure::Usage)?;
    let named = args.what.iter().skip(taken).map(PathBuf::from);
    let input = Input { files: args.read.iter().cloned().chain(named).collect(), ..Input::default() };
    let view = View { input, color: args.color, ..View::default() };
    match io::stdout().lock().write_all(answer.text().as_bytes()) {
        Err(error) if !sink::closed_pipe(&error) => return Err(input::unwritable("standard output", &error)),
        Err(_) => return Ok(Status::default()),
        Ok(()) => {}
    }
    if view.input.files.is_empty() {
        return Ok(Status::default());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&view.input, &stop)?;
    let options = input::options(&view.input, &stop);
    let clock = Clock::new(view.time.into(), false);
    let out = input::writer(&view)?;
    let mut text = sink::Text::new(out, input::width(&view), clock, input::colored(view.color, false));
    let mut found = 0_u64;
    let mut each = |output: Output| match &output {
        Output::Call(call) if answer.matches(call) => {
            found += 1;
            if found == 1 {
                io::stdout().lock().write_all(b"\n")?;
            }
            text.call(call)
        }
        _ => Ok(()),
    };
    let (status, written) = input::drive(&mut source, &options, None, &view, &mut each, &mut |_| Ok(()));
    let written = written.and_then(|()| text.finish());
    let written = written.and_then(|()| match found {
        0 => io::stdout().lock().write_all(b"\nno call in the files carries it\n"),
        _ => Ok(()),
    });
    input::conclude(status, written, &view)
}
