//! Linking beside the reading: a thread of its own, so that calls are shown while it is still being settled who caused whom.
//!
//! Without headers to go by, linking can take much longer than reading. The reading never waits for it: calls that wait are
//! the ones that the interface holds anyway, and above a limit they are left unlinked and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::calls::Call;
use crate::chains::{Chain, Engine};
use crate::text;
use crate::time::Timestamp;
use crate::tui::Update;

/// Chains that go to the interface at once.
const BATCH: usize = 1_000;

/// What the thread is given.
enum Task {
    Calls(Vec<Arc<Call>>),
    /// Time of the newest packet, and start of the oldest open call.
    Tick(Timestamp, Option<Timestamp>),
}

/// The way to the thread.
pub(super) struct Linking {
    tasks: Sender<Task>,
    /// Calls that were given and are in no chain yet.
    waiting: Arc<AtomicUsize>,
    /// The most calls that may wait.
    limit: usize,
    left_out: u64,
}

impl Linking {
    /// Starts the thread, which tells its chains to `give` and ends without finishing when `stop` is set.
    pub(super) fn start(engine: Engine, limit: usize, give: Sender<Update>, stop: Arc<AtomicBool>) -> Self {
        let (tasks, todo) = unbounded();
        let waiting = Arc::new(AtomicUsize::new(0));
        let linker = Linker { engine, give, stop, waiting: Arc::clone(&waiting), chains: Vec::new() };
        std::thread::spawn(move || linker.work(&todo));
        Self { tasks, waiting, limit, left_out: 0 }
    }

    /// Gives calls to be linked.
    pub(super) fn calls(&mut self, calls: Vec<Arc<Call>>) {
        if self.waiting.load(Ordering::Relaxed) + calls.len() > self.limit {
            self.left_out += calls.len() as u64;
            return;
        }
        self.waiting.fetch_add(calls.len(), Ordering::Relaxed);
        // It ends before the sender does only when nobody wants chains any more.
        _ = self.tasks.send(Task::Calls(calls));
    }

    /// Tells the time, as [`Engine::tick`] wants it.
    pub(super) fn tick(&self, now: Timestamp, oldest_open: Option<Timestamp>) {
        _ = self.tasks.send(Task::Tick(now, oldest_open));
    }

    /// No more calls come: the thread links what is left and ends. Says what was left out.
    pub(super) fn finish(self) -> Option<String> {
        (self.left_out > 0).then(|| {
            let calls = text::counted(self.left_out, "call");
            format!("{calls} left out of the chains: linking is slower than reading, and too many wait (--max-memory)")
        })
    }
}

struct Linker {
    engine: Engine,
    give: Sender<Update>,
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
            // What waits is told as often as something comes: chains at once, so that live ones are not late.
            self.send();
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
        self.link(Engine::finish);
        for shortfall in self.engine.shortfalls() {
            _ = self.give.send(Update::Trouble(shortfall));
        }
        self.send();
    }

    /// Lets the engine work, and sends on the chains that it gives.
    fn link(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) {
        let Self { engine, give, waiting, chains, .. } = self;
        act(engine, &mut |chain: Chain| {
            chains.push(chain);
            if chains.len() >= BATCH {
                send(give, waiting, chains);
            }
        });
    }

    fn send(&mut self) {
        send(&self.give, &self.waiting, &mut self.chains);
    }
}

fn send(give: &Sender<Update>, waiting: &AtomicUsize, chains: &mut Vec<Chain>) {
    if chains.is_empty() {
        return;
    }
    let linked: usize = chains.iter().map(|chain| chain.hops.len()).sum();
    let left = waiting.fetch_sub(linked, Ordering::Relaxed).saturating_sub(linked);
    // Whoever quit does not want them.
    _ = give.send(Update::Chains(std::mem::take(chains)));
    _ = give.send(Update::Linking(left as u64));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Uid, sample};
    use crate::chains::Options;

    #[test]
    fn calls_beyond_the_limit_are_left_out_and_counted() {
        let (give, updates) = unbounded();
        let mut linking = Linking::start(Engine::new(Options::default()), 3, give, Arc::default());
        let calls = |packets: std::ops::Range<u64>| {
            let call = |packet| {
                let mut call = sample::ok();
                call.uid = Uid { packet, ordinal: 0 };
                Arc::new(call)
            };
            packets.map(call).collect::<Vec<_>>()
        };
        // A file is linked at its end, so that the first two still wait.
        linking.calls(calls(0..2));
        linking.calls(calls(2..4));
        linking.calls(calls(4..5));
        assert!(linking.finish().unwrap().starts_with("2 calls left out"));
        // The thread ends by itself, and the channel with it.
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
