//! Links calls to chains in a separate thread, so that calls appear before their causes are known.
//!
//! Without trace headers, linking can take much longer than reading. Reading never waits for it: pending calls are ones that
//! the interface holds anyway, and beyond a limit they stay unlinked and are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::calls::Call;
use crate::chains::{Chain, Engine};
use crate::text;
use crate::time::Timestamp;
use crate::tui::Update;

/// Maximum number of chains in one update.
const BATCH: usize = 1_000;

/// Work for the thread.
enum Task {
    Calls(Vec<Arc<Call>>),
    /// Time of the newest packet, and start of the oldest open call.
    Tick(Timestamp, Option<Timestamp>),
}

/// A handle to the thread.
pub(super) struct Linking {
    tasks: Sender<Task>,
    /// Calls that are not in a chain yet.
    waiting: Arc<AtomicUsize>,
    /// Maximum number of pending calls.
    limit: usize,
    left_out: u64,
}

impl Linking {
    /// Starts the thread, which sends its chains to `updates` and exits early when `stop` is set.
    pub(super) fn start(
        engine: Engine,
        limit: usize,
        updates: Sender<Update>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (tasks, todo) = unbounded();
        let waiting = Arc::new(AtomicUsize::new(0));
        let linker = Linker { engine, updates, stop, waiting: Arc::clone(&waiting), chains: Vec::new() };
        std::thread::spawn(move || linker.work(&todo));
        Self { tasks, waiting, limit, left_out: 0 }
    }

    /// Queues calls for linking.
    pub(super) fn calls(&mut self, calls: Vec<Arc<Call>>) {
        if self.waiting.load(Ordering::Relaxed) + calls.len() > self.limit {
            self.left_out += calls.len() as u64;
            return;
        }
        self.waiting.fetch_add(calls.len(), Ordering::Relaxed);
        // The thread exits before this handle only if the interface was closed.
        _ = self.tasks.send(Task::Calls(calls));
    }

    /// Passes the time on to [`Engine::tick`].
    pub(super) fn tick(&self, now: Timestamp, oldest_open: Option<Timestamp>) {
        _ = self.tasks.send(Task::Tick(now, oldest_open));
    }

    /// No more calls follow: the thread links the remaining ones and exits. Returns a line about calls that were left out.
    pub(super) fn finish(self) -> Option<String> {
        (self.left_out > 0).then(|| {
            let calls = text::counted(self.left_out, "call");
            format!("{calls} left out of the chains: linking is slower than reading, and too many wait (--max-memory)")
        })
    }
}

struct Linker {
    engine: Engine,
    updates: Sender<Update>,
    stop: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
    chains: Vec<Chain>,
}

impl Linker {
    fn work(mut self, todo: &Receiver<Task>) {
        while let Ok(task) = todo.recv() {
            match task {
                Task::Calls(calls) => {
                    for call in calls {
                        self.link(|engine, out| engine.call(call, out));
                    }
                }
                Task::Tick(now, oldest_open) => self.link(|engine, out| engine.tick(now, oldest_open, out)),
            }
            // Chains go out after every task, so that live ones are not delayed.
            self.send();
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
        self.link(Engine::finish);
        for shortfall in self.engine.shortfalls() {
            _ = self.updates.send(Update::Trouble(shortfall));
        }
        self.send();
    }

    /// Runs the engine and sends on the chains that it completes.
    fn link(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) {
        let Self { engine, updates, waiting, chains, .. } = self;
        act(engine, &mut |chain: Chain| {
            chains.push(chain);
            if chains.len() >= BATCH {
                send(updates, waiting, chains);
            }
        });
    }

    fn send(&mut self) {
        send(&self.updates, &self.waiting, &mut self.chains);
    }
}

fn send(updates: &Sender<Update>, waiting: &AtomicUsize, chains: &mut Vec<Chain>) {
    if chains.is_empty() {
        return;
    }
    let linked: usize = chains.iter().map(|chain| chain.hops.len()).sum();
    let left = waiting.fetch_sub(linked, Ordering::Relaxed).saturating_sub(linked);
    // The send fails only if the interface was closed.
    _ = updates.send(Update::Chains(std::mem::take(chains)));
    _ = updates.send(Update::Linking(left as u64));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Uid, sample};
    use crate::chains::Options;

    #[test]
    fn calls_beyond_the_limit_are_left_out_and_counted() {
        let (sender, updates) = unbounded();
        let mut linking = Linking::start(Engine::new(Options::default()), 3, sender, Arc::default());
        let calls = |packets: std::ops::Range<u64>| {
            let call = |packet| {
                let mut call = sample::ok();
                call.uid = Uid { packet, ordinal: 0 };
                Arc::new(call)
            };
            packets.map(call).collect::<Vec<_>>()
        };
        // A file is linked at its end, so the first two are still pending.
        linking.calls(calls(0..2));
        linking.calls(calls(2..4));
        linking.calls(calls(4..5));
        assert!(linking.finish().unwrap().starts_with("2 calls left out"));
        // The thread exits by itself, which closes the channel.
        let mut linked = Vec::new();
        let mut waiting = None;
        for update in updates {
            match update {
                Update::Chains(chains) => {
                    linked.extend(chains.iter().flat_map(|chain| &chain.hops).map(|hop| hop.call.uid.packet));
                }
                Update::Linking(left) => waiting = Some(left),
                other => panic!("{other:?}"),
            }
        }
        linked.sort_unstable();
        assert_eq!((linked, waiting), (vec![0, 1, 4], Some(0)));
    }
}
