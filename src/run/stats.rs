//! `rpcscope stats`: sums per service and method.

use super::runner::{self, Run};
use super::{Failure, Status, output};
use crate::cli::StatsArgs;
use crate::sink::StatsSink;

/// Prints the sums of the input's calls.
pub(super) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let run = Run::open(&args.view.input, args.view.output.as_deref())?;
    let out = output::writer(&args.view, &run.losses)?;
    let mut sink = Box::new(StatsSink::new(out, args.format, output::appearance(&args.view)));
    run.choosing(filter, &args.view.fail_on).drive(&mut sink)
}
