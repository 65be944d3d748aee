//! Where the calls of a command are linked: on the spot, or, so that the packets of an interface need not wait, in a thread of its own.

use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};

use super::complain;
use super::linking::{self, Linking};
use super::memory::Shares;
use crate::calls::Call;
use crate::chains::{Chain, Engine, Kept, Options};
use crate::cli::{self, Input};
use crate::pipeline::Totals;
use crate::tui::Update;

/// Receives chains.
type Out<'o> = &'o mut dyn FnMut(Chain);

/// Links calls to chains.
pub(super) enum Linker {
    /// Here: the input can wait.
    Here(Box<Engine>),
    /// In a thread.
    Apart(Apart),
}

/// A thread that links.
pub(super) struct Apart {
    /// `None` after its end.
    linking: Option<Linking>,
    /// Calls since the last batch.
    calls: Vec<Arc<Call>>,
    updates: Receiver<Update>,
    /// Calls that were not linked, because too many waited.
    left_out: Vec<Arc<Call>>,
}

impl Linker {
    /// Links the calls of this input. The engine of files may hold `max_held` calls.
    pub(super) fn new(asked: &cli::Linking, input: &Input, max_held: usize, options: Options) -> Self {
        if input.interfaces.is_empty() {
            let options = Options { max_held: Options::within(max_held).max_held, ..options };
            return Self::Here(Box::new(linking::engine(asked, options)));
        }
        // Half of what waits for linking may wait before the engine.
        let limit = Shares::of_chains(input).max_linked();
        let options = Options { max_held: Options::within(limit / 2).max_held, ..options };
        Self::apart(linking::engine(asked, options), limit)
    }

    /// Links in a thread, before which at most `limit` calls wait.
    pub(super) fn apart(engine: Engine, limit: usize) -> Self {
        let (sender, updates) = unbounded();
        let linking = Linking::start(engine, limit, sender, Arc::default());
        Self::Apart(Apart { linking: Some(linking), calls: Vec::new(), updates, left_out: Vec::new() })
    }

    pub(super) fn call(&mut self, call: impl Into<Kept>, out: Out<'_>) {
        match self {
            Self::Here(engine) => engine.call(call, out),
            Self::Apart(Apart { calls, .. }) => calls.push(call.into().into()),
        }
    }

    /// Called after each batch of packets.
    pub(super) fn progress(&mut self, totals: &Totals, out: Out<'_>) {
        match self {
            Self::Here(engine) => {
                if let Some((_, now)) = totals.span {
                    engine.tick(now, totals.oldest_open, out);
                }
            }
            Self::Apart(Apart { linking, calls, updates, left_out }) => {
                if let (Some(linking), Some((_, now))) = (linking, totals.span) {
                    left_out.append(&mut linking.calls(std::mem::take(calls)));
                    linking.tick(now, totals.oldest_open);
                }
                pass_on(updates.try_iter(), out);
            }
        }
    }

    /// Links the rest. No more calls follow.
    pub(super) fn finish(&mut self, out: Out<'_>) {
        match self {
            Self::Here(engine) => engine.finish(out),
            Self::Apart(Apart { linking, calls, updates, left_out }) => {
                if let Some(mut linking) = linking.take() {
                    left_out.append(&mut linking.calls(std::mem::take(calls)));
                    if let Some(left_out) = linking.finish() {
                        complain(&left_out);
                    }
                }
                // Until the thread has ended.
                pass_on(updates.iter(), out);
            }
        }
    }

    /// The calls that were not linked, because too many waited.
    pub(super) fn left_out(&mut self) -> Vec<Arc<Call>> {
        match self {
            Self::Here(_) => Vec::new(),
            Self::Apart(Apart { left_out, .. }) => std::mem::take(left_out),
        }
    }

    /// What the engine could not do; that of the thread is told when it happens.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        match self {
            Self::Here(engine) => engine.shortfalls(),
            Self::Apart(_) => Vec::new(),
        }
    }
}

/// Passes on what the thread has linked.
fn pass_on(updates: impl Iterator<Item = Update>, out: Out<'_>) {
    for update in updates {
        match update {
            Update::Chains(chains) => chains.into_iter().for_each(&mut *out),
            Update::Trouble(shortfall) => complain(&shortfall),
            _ => {}
        }
    }
}
