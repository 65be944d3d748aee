//! `rpcscope show`: one call in full.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Status, complain, input};
use crate::calls::Call;
use crate::calls::record::Uid;
use crate::cli::ShowArgs;
use crate::detail::{self, print};
use crate::pipeline::{self, Options, Output, Totals};
use crate::source::{Source, SourceError};

/// Columns at which explanations are wrapped where the output is no terminal.
const PLAIN_WIDTH: usize = 110;

/// Prints the call that the command line names.
pub(super) fn run(args: &ShowArgs) -> Result<Status, Failure> {
    if !args.input.paths().is_empty() && !input::can_read_again(&args.input) {
        return Err(Failure::Usage(
            "show reads its input twice, which standard input can't be: save the capture to a file".into(),
        ));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&args.input, &stop)?;
    let mut options = input::options(&args.input, &stop);
    options.metadata = true;
    let found = find(&mut source, &options, args.id);
    let mut status = Status::default();
    for trouble in source.troubles().iter().chain(found.as_ref().err()) {
        status.input_failed = true;
        complain(&trouble.to_string());
    }
    let Some(call) = found.ok().flatten() else {
        let text = format!(
            "there is no call {} in the input; the ids are the key uid of rpcscope calls --format jsonl",
            args.id
        );
        return Err(Failure::Environment(text));
    };
    let Some(again) = &source.again else {
        return Err(Failure::Environment("the packets of the call can't be read again".into()));
    };
    let mut packets = again.packets(call.reading());
    let detail = detail::collect(&mut packets, &call, &args.input.decode_as)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let look = print::Look {
        colored: input::colored(args.color, false),
        width: input::columns().unwrap_or(PLAIN_WIDTH),
    };
    let mut out = String::new();
    print::push(&mut out, &detail, look);
    match io::stdout().lock().write_all(out.as_bytes()) {
        Err(error) if !crate::sink::closed_pipe(&error) => Err(input::unwritable("standard output", &error)),
        _ => Ok(status),
    }
}

/// Runs the pipeline until the call comes out.
fn find(source: &mut dyn Source, options: &Options, id: Uid) -> Result<Option<Box<Call>>, SourceError> {
    let mut found = None;
    pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
        for output in outputs.drain(..) {
            match output {
                Output::Call(call) if call.uid == id => found = Some(call),
                Output::Call(_) | Output::Connection(_) => {}
            }
        }
        found.is_none()
    })?;
    Ok(found)
}
