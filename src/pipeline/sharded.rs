//! Analysis in several threads without anything shared between them but the batches.
//!
//! Every thread walks all packets and runs the whole pipeline on the connections whose hash is its own. The calling thread is
//! one of them. It also puts the outputs in the order of the packets that decided them and writes them, so that the output is
//! the same at any number of threads; its share of the connections is smaller by what that costs.
//!
//! Outputs go back to the thread that made them and are freed there. Freed elsewhere, they make the threads contend for the
//! allocator's locks, which costs more than a second core brings.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::feed::{Feed, FeedReader};
use super::salvage::{self, Panic};
use super::{Analyzer, Options, Output, Receive, Totals};
use crate::decode::Shard;
use crate::source::{Batch, Source, SourceError};

/// What writing the outputs of all connections costs, in parts of what analysing them costs.
const WRITING: f64 = 0.25;

/// What a thread hands over for each batch.
struct Share {
    thread: usize,
    outputs: Vec<Output>,
    /// Nothing that a packet up to this one decided will follow.
    until: u64,
    totals: Totals,
}

impl Share {
    /// What comes of a batch, and the panic that ends the analysis with it. `outputs` is an empty buffer.
    fn of(
        batch: &Batch,
        analyzer: &mut Analyzer,
        thread: usize,
        mut outputs: Vec<Output>,
    ) -> (Self, Option<Panic>) {
        let (until, panic) = salvage::analyze(analyzer, batch, &mut outputs);
        (Self { thread, outputs, until, totals: analyzer.totals() }, panic)
    }

    /// What comes at the end, and the panic with which the analysis ended.
    fn last(mut analyzer: Analyzer, thread: usize) -> (Self, Option<Panic>) {
        let mut outputs = Vec::new();
        let panic = salvage::finish(&mut analyzer, &mut outputs);
        (Self { thread, outputs, until: u64::MAX, totals: analyzer.totals() }, panic)
    }
}

/// Analyses in `threads` threads, this one included, and writes in this one.
pub(super) fn run(
    source: &mut dyn Source,
    options: &Options,
    receiver: &mut dyn Receive,
    threads: usize,
) -> Result<Totals, SourceError> {
    let limits = options.limits.shared(threads);
    let options = &Options { limits, ..options.clone() };
    if let Some(key_logs) = &options.key_logs {
        key_logs.begin(threads);
    }
    let feed = Feed::new(source, &options.stop, threads);
    let mut shards = Shard::split(threads, first_share(threads)).into_iter();
    let own = shards.next().unwrap_or_default();
    // Not bounded by itself: no thread gets further ahead of this one than the feed lets it.
    let (give, take) = unbounded();
    let totals = std::thread::scope(|scope| {
        let mut inboxes = vec![Inbox::default()];
        for (thread, shard) in (1..).zip(shards) {
            let (give_back, back) = unbounded();
            let worker = Worker { thread, give: give.clone(), back };
            let reader = feed.reader(thread);
            scope.spawn(move || worker.run(Analyzer::new(options, shard), reader));
            inboxes.push(Inbox { give_back: Some(give_back), ..Inbox::default() });
        }
        drop(give);
        let mut merge = Merge { inboxes, take, options, receiver, out: Vec::new(), from: Vec::new() };
        merge.run(Analyzer::new(options, own), feed.reader(0));
        merge.totals()
    });
    feed.into_result().map(|()| totals)
}

/// The part of all connections that the writing thread analyses, so that all threads have as much to do.
fn first_share(threads: usize) -> f64 {
    let others = (threads - 1) as f64;
    ((1.0 - others * WRITING) / (others + 1.0)).max(0.0)
}

/// A thread that only analyses.
struct Worker {
    thread: usize,
    give: Sender<Share>,
    /// Outputs that were written, in the buffers in which they went.
    back: Receiver<Vec<Output>>,
}

impl Worker {
    fn run(self, mut analyzer: Analyzer, mut reader: FeedReader<'_, '_>) {
        while let Some(batch) = reader.next() {
            let mut outputs = self.back.try_recv().unwrap_or_default();
            analyzer.reuse(&mut outputs);
            self.back.try_iter().for_each(drop);
            let (share, panic) = Share::of(&batch, &mut analyzer, self.thread, outputs);
            let is_wanted = self.give.send(share).is_ok();
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
            if !is_wanted {
                return;
            }
        }
        // If the writing thread has gone, the rest is not wanted.
        let (share, panic) = Share::last(analyzer, self.thread);
        let _ = self.give.send(share);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// What came from one thread and waits for the others.
#[derive(Default)]
struct Inbox {
    outputs: VecDeque<Output>,
    until: u64,
    totals: Totals,
    /// Outputs that were written, and the buffers in which outputs came.
    spent: Vec<Output>,
    buffers: Vec<Vec<Output>>,
    /// Where both go back; `None` for the thread that writes.
    give_back: Option<Sender<Vec<Output>>>,
}

/// Puts the outputs of all threads in order and hands them on.
struct Merge<'m> {
    inboxes: Vec<Inbox>,
    take: Receiver<Share>,
    options: &'m Options,
    receiver: &'m mut dyn Receive,
    /// What goes on next, and which threads it came from.
    out: Vec<Output>,
    from: Vec<usize>,
}

impl Merge<'_> {
    /// The work of the thread that writes: its own connections, and the outputs of all.
    fn run(&mut self, mut analyzer: Analyzer, mut reader: FeedReader<'_, '_>) {
        while let Some(batch) = reader.next() {
            let buffer = self.inboxes.first_mut().and_then(|inbox| inbox.buffers.pop());
            let (share, panic) = Share::of(&batch, &mut analyzer, 0, buffer.unwrap_or_default());
            self.accept(share);
            drop(batch);
            if let Some(panic) = panic {
                // The others end with what was read.
                self.options.stop.store(true, Ordering::Relaxed);
                drop(reader);
                self.collect();
                resume_unwind(panic);
            }
            while let Ok(share) = self.take.try_recv() {
                self.accept(share);
            }
            if !self.hand_on() {
                return;
            }
            if let Some(inbox) = self.inboxes.first_mut() {
                analyzer.reuse(&mut inbox.spent);
            }
        }
        drop(reader);
        let (share, panic) = Share::last(analyzer, 0);
        self.accept(share);
        self.collect();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Hands on what still comes from the other threads until they have ended.
    fn collect(&mut self) {
        while let Ok(share) = self.take.recv() {
            self.accept(share);
            if !self.hand_on() {
                return;
            }
        }
        // Nothing comes of a thread that has panicked: the others' outputs don't wait for it.
        self.inboxes.iter_mut().for_each(|inbox| inbox.until = u64::MAX);
        self.hand_on();
    }

    fn accept(&mut self, mut share: Share) {
        if let Some(inbox) = self.inboxes.get_mut(share.thread) {
            inbox.outputs.extend(share.outputs.drain(..));
            inbox.buffers.push(share.outputs);
            (inbox.until, inbox.totals) = (share.until, share.totals);
        }
    }

    /// Hands on what no thread can precede any more; says whether to go on.
    fn hand_on(&mut self) -> bool {
        let ready = self.inboxes.iter().map(|inbox| inbox.until).min().unwrap_or(u64::MAX);
        let next = |inbox: &Inbox| inbox.outputs.front().map(Output::key).filter(|key| key.0 <= ready);
        loop {
            let inboxes = self.inboxes.iter_mut().enumerate();
            let firsts = inboxes.filter_map(|(thread, inbox)| Some((next(inbox)?, thread, inbox)));
            let Some((_, thread, inbox)) = firsts.min_by_key(|(key, ..)| *key) else { break };
            self.out.extend(inbox.outputs.pop_front());
            self.from.push(thread);
        }
        let totals = self.totals();
        let goes_on = self.receiver.receive(&mut self.out, &totals);
        self.give_back();
        if !goes_on {
            self.options.stop.store(true, Ordering::Relaxed);
        }
        goes_on
    }

    /// Returns the outputs that the receiver has left to the threads that made them.
    fn give_back(&mut self) {
        if self.out.len() == self.from.len() {
            for (output, thread) in self.out.drain(..).zip(&self.from) {
                if let Some(inbox) = self.inboxes.get_mut(*thread) {
                    inbox.spent.push(output);
                }
            }
        }
        self.out.clear();
        self.from.clear();
        for inbox in &mut self.inboxes {
            let Some(give_back) = &inbox.give_back else { continue };
            while let Some(mut buffer) = inbox.buffers.pop() {
                buffer.append(&mut inbox.spent);
                // A thread that has ended does not need it.
                let _ = give_back.send(buffer);
            }
        }
    }

    /// What all threads have read and found. Every thread sees all packets, so that what was read is the same for all.
    fn totals(&self) -> Totals {
        let mut inboxes = self.inboxes.iter();
        let mut totals = inboxes.next().map(|inbox| inbox.totals.clone()).unwrap_or_default();
        for inbox in inboxes {
            totals.add(&inbox.totals);
        }
        totals
    }
}
