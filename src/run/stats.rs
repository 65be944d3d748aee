//! `rpcscope stats`: sums per service and method.

use super::runner::{self, Run};
use super::{Failure, Status, output};
use crate::cli::{StatsArgs, StatsFormat};
use crate::sink::stats::{Form, Summary};

/// Prints the sums of the input's calls.
pub(super) fn run(args: &StatsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let run = Run::open(&args.view.input, args.view.output.as_deref())?;
    let form = match args.format {
        StatsFormat::Jsonl => Form::Jsonl,
        StatsFormat::Text => {
            let colored = output::colored(args.view.color, args.view.output.is_some());
            Form::Table { width: output::width(&args.view), colored }
        }
    };
    let mut summary = Box::new(Summary::new(output::writer(&args.view, &run.losses)?, form));
    run.choosing(filter, &args.view.fail_on).drive(&mut summary)
}
