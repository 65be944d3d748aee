//! `rpcscope calls`: one record per call.

use std::io::{self, IsTerminal};

use super::linked::Linked;
use super::memory::Shares;
use super::runner::{self, Opening};
use super::telemetry::{Ready, Told};
use super::{Failure, Status, output};
use crate::cli::{CallsArgs, Linking};
use crate::filter::Filter;
use crate::sink::{Appearance, Field, Guarded, RecordFormat};

/// Prints the calls of the input.
pub(super) fn run(args: &CallsArgs) -> Result<Status, Failure> {
    let filter = runner::filter(&args.view)?;
    let fields = args.fields.iter().map(|name| Field::parse(name)).collect::<Result<Vec<Field>, _>>();
    let fields = fields.map_err(Failure::Usage)?;
    if !fields.is_empty() && !args.format.has_columns() {
        return Err(Failure::Usage(
            "--fields chooses columns of text and csv; other formats have all keys".into(),
        ));
    }
    if args.totals && !matches!(args.format, RecordFormat::Jsonl) {
        return Err(Failure::Usage(
            "--totals adds a record to --format jsonl; other formats have none".into(),
        ));
    }
    if !args.link && args.linking != Linking::default() {
        return Err(Failure::Usage(
            "--min-confidence, --evidence and --calls choose links between calls: they need --link, or the command chains".into(),
        ));
    }
    if args.format.is_binary() && args.view.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "this format is binary and no terminal shows it: name a file with -o".into(),
        ));
    }
    let mut opening = Opening::new(&args.view.input, args.view.output.as_deref())?;
    let out = output::writer(&args.view, &opening.losses)?;
    let ready = Ready::new(&args.telemetry, &args.view.input)?;
    opening.network = ready.network();
    let mut run = opening.start()?;
    let mut telemetry = ready.start(run.source.counters.as_ref())?;
    let metadata = args.metadata || fields.iter().any(Field::needs_metadata);
    // With --link, the filter is asked after linking.
    let asked = filter.as_ref().is_some_and(Filter::needs_metadata);
    run.options.metadata = metadata || (args.link && asked);
    run.options.marks = args.link;
    run.options.connections = args.connections;
    if fields.iter().any(Field::needs_bodies) {
        run.read_bodies();
    }
    let look = Appearance { fields, totals: args.totals, ..output::appearance(&args.view) };
    let mut sink = Box::new(Guarded::new(args.format.open(out, look), run.losses()));
    if args.link {
        run.options.limits = Shares::of_chains(&args.view.input).limits();
        let mut linked =
            Linked::new(sink, filter, &args.view, &args.linking, metadata, telemetry, run.losses());
        let status = run.drive(&mut linked);
        let status = linked.telemetry.conclude(status)?;
        return Ok(Status { matched: linked.matched, ..status });
    }
    let mut run = run.choosing(filter, &args.view.fail_on);
    if telemetry.is_idle() {
        return run.drive(&mut sink);
    }
    let status = run.drive(&mut Told { inner: sink, telemetry: &mut telemetry });
    telemetry.conclude(status)
}
