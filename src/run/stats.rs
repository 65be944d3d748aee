//! `rpcscope stats`: sums per service and method.

use super::runner::{self, Opening};
use super::{Failure, Status, output};
use crate::cli::StatsArgs;
use crate::sink::StatsSink;

/// Prints the sums of the input's calls.
pub(super) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let opening = Opening::new(&args.view.input, args.view.output.as_deref())?;
    let out = output::writer(&args.view, &opening.losses)?;
    let run = opening.start()?;
    let mut sink = Box::new(StatsSink::new(out, args.format, output::appearance(&args.view)));
    run.choosing(filter, &args.view.fail_on).drive(&mut sink)
}
