//! A panic of the analysis ends the run, but not without the calls that were decided before it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Analyzer, Output};
use crate::source::Batch;

/// What [`std::panic::resume_unwind`] goes on with.
pub(super) type Panic = Box<dyn Any + Send>;

/// Analyses a batch and moves what is ready to `outputs`; after a panic, everything. Returns the packet up to which nothing more will
/// come, and the panic.
pub(super) fn analyze(
    analyzer: &mut Analyzer,
    batch: &Batch,
    outputs: &mut Vec<Output>,
) -> (u64, Option<Panic>) {
    match catch_unwind(AssertUnwindSafe(|| analyzer.batch(batch))) {
        Ok(()) => (analyzer.drain(outputs, false), None),
        Err(panic) => {
            rest(analyzer, outputs);
            (u64::MAX, Some(panic))
        }
    }
}

/// Ends the analysis and moves everything to `outputs`. Returns the panic with which it ended, if it did.
pub(super) fn finish(analyzer: &mut Analyzer, outputs: &mut Vec<Output>) -> Option<Panic> {
    let finished = catch_unwind(AssertUnwindSafe(|| {
        analyzer.finish();
        analyzer.drain(outputs, true);
    }));
    finished.err().inspect(|_| rest(analyzer, outputs))
}

/// Moves everything to `outputs` after a panic.
fn rest(analyzer: &mut Analyzer, outputs: &mut Vec<Output>) {
    // What panicked may have left something half done: if this fails too, the first panic is the one that counts.
    _ = catch_unwind(AssertUnwindSafe(|| analyzer.drain(outputs, true)));
}
