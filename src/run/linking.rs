//! Links calls to chains in a separate thread, for the interface and for live runs.
//!
//! Without trace headers, linking can take longer than reading. Reading never waits for it. If many calls wait, the models of times
//! go first; beyond a limit, calls that are ok stay unlinked and are counted; only beyond twice the limit failed ones do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::calls::Call;
use crate::chains::{Chain, Engine, Hints, Options};
use crate::cli::{self, LinkEvidence};
use crate::text;
use crate::time::Timestamp;
use crate::tui::{self, Update};

/// Maximum number of chains in one update.
const BATCH: usize = 1_000;

/// An engine that makes only the links that a person asked for.
pub(super) fn engine(asked: &cli::Linking, options: Options) -> Engine {
    let hints = Hints { ids_only: asked.evidence == LinkEvidence::Ids, calls: asked.calls.clone() };
    Engine::new(Options { min_confidence: asked.min_confidence, ..options }).with_hints(hints)
}

/// Work for the thread.
enum Task {
    Calls(Vec<Arc<Call>>),
    /// Time of the newest packet, and start of the oldest open call.
    Tick(Timestamp, Option<Timestamp>),
}

/// How far the thread is.
#[derive(Default)]
struct Counts {
    /// Calls that were queued.
    queued: AtomicU64,
    /// Calls that are in a chain.
    linked: AtomicU64,
}

impl Counts {
    fn state(&self) -> tui::Linking {
        // Calls are queued before they are linked, so this order never shows more than all.
        let linked = self.linked.load(Ordering::Acquire);
        tui::Linking { linked, of: self.queued.load(Ordering::Acquire) }
    }

    /// Calls that are not in a chain yet.
    fn waiting(&self) -> usize {
        let tui::Linking { linked, of } = self.state();
        of.saturating_sub(linked) as usize
    }
}

/// A handle to the thread.
pub(super) struct Linking {
    tasks: Sender<Task>,
    counts: Arc<Counts>,
    /// Maximum number of pending calls.
    limit: usize,
    /// Calls without and with an error that were not queued.
    left_out: [u64; 2],
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
        let counts = Arc::<Counts>::default();
        let linker = Linker {
            engine,
            updates,
            stop,
            counts: Arc::clone(&counts),
            patience: limit / 4,
            chains: Vec::new(),
        };
        std::thread::spawn(move || linker.work(&todo));
        Self { tasks, counts, limit, left_out: [0; 2] }
    }

    /// Queues calls for linking. Returns those that are left out.
    pub(super) fn calls(&mut self, mut calls: Vec<Arc<Call>>) -> Vec<Arc<Call>> {
        if calls.is_empty() {
            return calls;
        }
        let waiting = self.counts.waiting();
        let mut left_out = Vec::new();
        if waiting + calls.len() > self.limit {
            (calls, left_out) = calls.into_iter().partition(|call| call.failed());
            self.left_out[0] += left_out.len() as u64;
        }
        if waiting + calls.len() > self.limit * 2 {
            self.left_out[1] += calls.len() as u64;
            left_out.append(&mut calls);
            return left_out;
        }
        self.counts.queued.fetch_add(calls.len() as u64, Ordering::Release);
        // The thread exits before this handle only if its receiver has.
        _ = self.tasks.send(Task::Calls(calls));
        left_out
    }

    /// How far it is.
    pub(super) fn state(&self) -> tui::Linking {
        self.counts.state()
    }

    /// Passes the time on to [`Engine::tick`].
    pub(super) fn tick(&self, now: Timestamp, oldest_open: Option<Timestamp>) {
        _ = self.tasks.send(Task::Tick(now, oldest_open));
    }

    /// No more calls follow: the thread links the remaining ones and exits. Returns a line about calls that were left out.
    pub(super) fn finish(self) -> Option<String> {
        let [ok, failed] = self.left_out;
        (ok + failed > 0).then(|| {
            let calls = text::counted(ok + failed, "call");
            let failed = if failed > 0 { format!(", {} of them failed,", text::thousands(failed)) } else { String::new() };
            format!("{calls}{failed} left out of the chains: linking is slower than reading, and too many wait (--max-memory)")
        })
    }
}

struct Linker {
    engine: Engine,
    updates: Sender<Update>,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    /// Most calls that may wait before the engine until it hurries.
    patience: usize,
    chains: Vec<Chain>,
}

impl Linker {
    fn work(mut self, todo: &Receiver<Task>) {
        let mut told = None;
        while let Ok(task) = todo.recv() {
            let before = self.counts.waiting().saturating_sub(self.engine.held());
            self.engine.hasten(before > self.patience);
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
            if told.is_none()
                && let Some(failure) = self.engine.failure()
            {
                _ = self.updates.send(Update::Trouble(failure.clone()));
                told = Some(failure);
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
        self.engine.hasten(false);
        self.link(Engine::finish);
        for shortfall in
            self.engine.shortfalls().into_iter().filter(|shortfall| told.as_ref() != Some(shortfall))
        {
            _ = self.updates.send(Update::Trouble(shortfall));
        }
        self.send();
    }

    /// Runs the engine and sends on the chains that it completes.
    fn link(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Chain))) {
        let Self { engine, updates, counts, chains, .. } = self;
        act(engine, &mut |chain: Chain| {
            chains.push(chain);
            if chains.len() >= BATCH {
                send(updates, counts, chains);
            }
        });
    }

    fn send(&mut self) {
        send(&self.updates, &self.counts, &mut self.chains);
    }
}

fn send(updates: &Sender<Update>, counts: &Counts, chains: &mut Vec<Chain>) {
    if chains.is_empty() {
        return;
    }
    let calls: usize = chains.iter().map(|chain| chain.hops.len()).sum();
    counts.linked.fetch_add(calls as u64, Ordering::Release);
    // The send fails only if the receiver has ended.
    _ = updates.send(Update::Chains(std::mem::take(chains)));
    _ = updates.send(Update::Linking(counts.state()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::{Carrier, Class};
    use crate::calls::{Uid, sample};
    use crate::chains::{Options, Step};

    /// Calls with these numbers of packets.
    fn calls(packets: std::ops::Range<u64>, of: fn() -> Call) -> Vec<Arc<Call>> {
        let call = |packet| {
            let mut call = of();
            call.uid = Uid { packet, ordinal: 0 };
            Arc::new(call)
        };
        packets.map(call).collect()
    }

    fn failed() -> Call {
        sample::failed(Class::Business, Carrier::BizStatus, Some(1001), "no stock")
    }

    /// The packets of all calls that were linked, and the last state.
    fn received(updates: impl IntoIterator<Item = Update>) -> (Vec<u64>, Option<tui::Linking>) {
        let (mut linked, mut state) = (Vec::new(), None);
        for update in updates {
            match update {
                Update::Chains(chains) => {
                    linked.extend(chains.iter().flat_map(|chain| &chain.hops).map(|hop| hop.call.uid.packet));
                }
                Update::Linking(linking) => state = Some(linking),
                other => panic!("{other:?}"),
            }
        }
        linked.sort_unstable();
        (linked, state)
    }

    #[test]
    fn calls_beyond_the_limit_are_left_out_and_counted() {
        let (sender, updates) = unbounded();
        let mut linking = Linking::start(Engine::new(Options::default()), 3, sender, Arc::default());
        // A file is linked at its end, so the first two are still pending.
        linking.calls(calls(0..2, sample::ok));
        linking.calls(calls(2..4, sample::ok));
        linking.calls(calls(4..5, sample::ok));
        assert_eq!(linking.state(), tui::Linking { linked: 0, of: 3 });
        assert!(linking.finish().unwrap().starts_with("2 calls left out"));
        // The thread exits by itself, which closes the channel.
        assert_eq!(received(updates), (vec![0, 1, 4], Some(tui::Linking { linked: 3, of: 3 })));
    }

    #[test]
    fn failed_calls_are_left_out_last() {
        let (sender, updates) = unbounded();
        let mut linking = Linking::start(Engine::new(Options::default()), 3, sender, Arc::default());
        linking.calls(calls(0..3, sample::ok));
        let mut mixed = calls(3..5, sample::ok);
        mixed.extend(calls(5..7, failed));
        linking.calls(mixed);
        linking.calls(calls(7..9, failed));
        assert!(linking.finish().unwrap().starts_with("4 calls, 2 of them failed, left out"));
        assert_eq!(received(updates).0, [0, 1, 2, 5, 6]);
    }

    #[test]
    fn a_fault_of_the_thread_leaves_calls_unlinked_and_is_told_at_once() {
        let (sender, updates) = unbounded();
        let mut engine = Engine::new(Options { max_held: 4, ..Options::default() });
        engine.is_broken = Some(|step, call| step == Step::Settle && call.uid.packet == 1);
        let mut linking = Linking::start(engine, 100, sender, Arc::default());
        linking.calls(calls(0..20, sample::ok));
        let (told, others): (Vec<Update>, Vec<Update>) =
            (0..3).map(|_| updates.recv().unwrap()).partition(|update| matches!(update, Update::Trouble(_)));
        assert!(matches!(&told[..], [Update::Trouble(text)] if text.contains("not linked")), "{told:?}");
        linking.calls(calls(20..30, sample::ok));
        assert_eq!(linking.finish(), None);
        let rest = updates.iter().filter(|update| !matches!(update, Update::Trouble(_)));
        assert_eq!(received(others.into_iter().chain(rest)).0, (0..30).collect::<Vec<_>>());
    }
}
