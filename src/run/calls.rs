//! `rpcscope calls`: one record per call.

use super::runner::{self, Run};
use super::{Failure, Status, output};
use crate::cli::{CallsArgs, Format};
use crate::sink::{self, Clock, Field, Sink};

/// Prints the calls of the input.
pub(super) fn run(args: &CallsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let fields: Vec<Field> = args
        .fields
        .iter()
        .map(|name| Field::parse(name))
        .collect::<Result<_, _>>()
        .map_err(Failure::Usage)?;
    if args.format == Format::Jsonl && !fields.is_empty() {
        return Err(Failure::Usage("--fields chooses columns of text and csv; jsonl has all keys".into()));
    }
    let mut run = Run::open(&args.view.input, args.view.output.as_deref())?;
    run.options.metadata = args.metadata || fields.iter().any(Field::needs_metadata);
    run.options.connections = args.connections;
    let mut sink = sink(args, fields, output::writer(&args.view, &run.losses)?);
    run.choosing(filter, &args.view.fail_on).drive(&mut sink)
}

fn sink(args: &CallsArgs, fields: Vec<Field>, out: sink::Output) -> Box<dyn Sink> {
    match args.format {
        Format::Jsonl => Box::new(sink::JsonLines::new(out)),
        Format::Csv => Box::new(sink::Csv::new(out, if fields.is_empty() { Field::all() } else { fields })),
        Format::Text => {
            let clock = Clock::new(args.view.time.into(), false);
            let colored = output::colored(args.view.color, args.view.output.is_some());
            Box::new(sink::Text::new(out, output::width(&args.view), clock, colored).fields(fields))
        }
    }
}
