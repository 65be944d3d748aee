//! `rpcscope stats`: sums per service and method.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Status, input};
use crate::cli::{StatsArgs, StatsFormat};
use crate::filter::Filter;
use crate::pipeline::Output;
use crate::sink::Sink;
use crate::sink::stats::{Form, Summary};

/// Prints the sums of the input's calls.
pub(super) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let filter = input::filter(&args.view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&args.view.input, &stop)?;
    let mut options = input::options(&args.view.input, &stop);
    options.metadata = filter.as_ref().is_some_and(Filter::needs_metadata);
    let form = match args.format {
        StatsFormat::Jsonl => Form::Jsonl,
        StatsFormat::Text => {
            let colored = input::colored(args.view.color, args.view.output.is_some());
            Form::Table { width: input::width(&args.view), colored }
        }
    };
    let mut summary = Summary::new(input::writer(&args.view)?, form);
    let mut each = |output: Output| match &output {
        Output::Call(call) => summary.call(call),
        Output::Connection(_) => Ok(()),
    };
    let (status, written) =
        input::drive(&mut source, &options, filter.as_ref(), &args.view, &mut each, &mut |_| Ok(()));
    input::conclude(status, written.and_then(|()| summary.finish()), &args.view)
}
