//! `rpcscope calls`: one record per call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Status, input};
use crate::cli::{CallsArgs, Format};
use crate::filter::Filter;
use crate::pipeline::Output;
use crate::sink::{self, Clock, Field, Sink};

/// Prints the calls of the input.
pub(super) fn run(args: &CallsArgs) -> Result<Status, Failure> {
    let filter = input::filter(&args.view)?;
    let fields: Vec<Field> = args
        .fields
        .iter()
        .map(|name| Field::parse(name))
        .collect::<Result<_, _>>()
        .map_err(Failure::Usage)?;
    if args.format == Format::Jsonl && !fields.is_empty() {
        return Err(Failure::Usage("--fields chooses columns of text and csv; jsonl has all keys".into()));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&args.view.input, &stop)?;
    let mut options = input::options(&args.view.input, &stop);
    options.metadata = args.metadata
        || fields.iter().any(Field::needs_metadata)
        || filter.as_ref().is_some_and(Filter::needs_metadata);
    options.connections = args.connections;
    let mut sink = sink(args, fields)?;
    let mut each = |output: Output| match &output {
        Output::Call(call) => sink.call(call),
        Output::Connection(connection) => sink.connection(connection),
    };
    let (status, written) =
        input::drive(&mut source, &options, filter.as_ref(), &args.view, &mut each, &mut |_| Ok(()));
    input::conclude(status, written.and_then(|()| sink.finish()), &args.view)
}

fn sink(args: &CallsArgs, fields: Vec<Field>) -> Result<Box<dyn Sink>, Failure> {
    let out = input::writer(&args.view)?;
    Ok(match args.format {
        Format::Jsonl => Box::new(sink::JsonLines::new(out)),
        Format::Csv => Box::new(sink::Csv::new(out, if fields.is_empty() { Field::all() } else { fields })),
        Format::Text => {
            let clock = Clock::new(args.view.time.into(), false);
            let colored = input::colored(args.view.color, args.view.output.is_some());
            Box::new(sink::Text::new(out, input::width(&args.view), clock, colored).fields(fields))
        }
    })
}
