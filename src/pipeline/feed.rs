//! Batches for several analysing threads, read by whichever of them needs the next one first.
//!
//! No thread only reads: it would sleep and be woken for every batch, which costs more than the reading. A batch is shown to
//! every thread and its buffer used again when all are done with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::source::{Batch, Source, SourceError};

/// Batches that the fastest thread may be ahead of the slowest: of a source that waits for packets, and of one that does not.
/// Packets that arrive must be taken; those of a file can wait, and what comes of them takes memory and leaves the caches.
const WINDOW: usize = 24;
const READY_WINDOW: usize = 6;
/// Batches that a thread reads in advance from a source that does not wait for packets: when it comes to them, and when the
/// others do, they are there.
const AHEAD: u64 = 4;

/// A source that several threads read together.
pub(super) struct Feed<'s> {
    source: Mutex<&'s mut dyn Source>,
    stop: &'s AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Batches that some thread has not taken yet.
    window: VecDeque<Arc<Batch>>,
    /// Number of the first batch of `window`.
    first: u64,
    /// Number of the batch that each thread takes next; `u64::MAX` for one that has gone.
    next: Vec<u64>,
    /// Batches that all threads have taken: their buffers are free as soon as nobody reads them any more.
    taken: Vec<Arc<Batch>>,
    /// A thread is reading.
    reading: bool,
    /// The last batch came without waiting, as batches of files do.
    ready: bool,
    /// Threads that wait for a change.
    waiting: usize,
    ended: bool,
    error: Option<SourceError>,
}

impl State {
    /// Number of the batch that is read next.
    fn unread(&self) -> u64 {
        self.first + self.window.len() as u64
    }

    /// Whether the fastest thread may get no further ahead.
    fn is_full(&self) -> bool {
        self.window.len() >= if self.ready { READY_WINDOW } else { WINDOW }
    }

    /// Takes the next batch of a thread, if it has been read.
    fn take(&mut self, index: usize) -> Option<Arc<Batch>> {
        let number = *self.next.get(index)?;
        let batch = self.window.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        let batch = Arc::clone(batch);
        if let Some(next) = self.next.get_mut(index) {
            *next += 1;
        }
        self.pass();
        Some(batch)
    }

    /// Lets batches go that every thread has taken.
    fn pass(&mut self) {
        let slowest = self.next.iter().copied().min().unwrap_or(u64::MAX);
        while self.first < slowest
            && let Some(batch) = self.window.pop_front()
        {
            self.first += 1;
            self.taken.push(batch);
        }
    }

    /// A buffer that nobody uses.
    fn spare(&mut self) -> Arc<Batch> {
        let free = self.taken.iter_mut().position(|batch| Arc::get_mut(batch).is_some());
        free.map_or_else(Arc::default, |index| self.taken.swap_remove(index))
    }
}

impl<'s> Feed<'s> {
    pub(super) fn new(source: &'s mut dyn Source, stop: &'s AtomicBool, threads: usize) -> Self {
        let state = State {
            window: VecDeque::new(),
            first: 0,
            next: vec![0; threads],
            taken: Vec::new(),
            reading: false,
            ready: false,
            waiting: 0,
            ended: false,
            error: None,
        };
        Self { source: Mutex::new(source), stop, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The way for thread `index` to its batches.
    pub(super) fn reader(&self, index: usize) -> FeedReader<'_, 's> {
        FeedReader { feed: self, index }
    }

    /// How the source ended.
    pub(super) fn into_result(self) -> Result<(), SourceError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.error.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait. Each call costs a system call.
    fn notify(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Reads one batch, with the state unlocked meanwhile.
    fn read<'g>(&'g self, mut state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        if self.stop.load(Ordering::Relaxed) {
            state.ended = true;
            self.notify(&state);
            return state;
        }
        state.reading = true;
        let mut batch = state.spare();
        drop(state);
        let more = match Arc::get_mut(&mut batch) {
            Some(buffer) => {
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                source.next_batch(buffer).inspect(|_| buffer.progress = source.progress())
            }
            // Never: a spare buffer has no other user.
            None => Ok(false),
        };
        let mut state = self.state();
        state.reading = false;
        match more {
            Ok(true) => {
                state.ready = batch.now.is_none();
                state.window.push_back(batch);
            }
            Ok(false) => state.ended = true,
            Err(error) => {
                state.ended = true;
                state.error = Some(error);
            }
        }
        self.notify(&state);
        state
    }
}

/// One thread's way to the batches. A thread that ends, even by a panic, no longer holds up the others.
pub(super) struct FeedReader<'f, 's> {
    feed: &'f Feed<'s>,
    index: usize,
}

impl FeedReader<'_, '_> {
    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Arc<Batch>> {
        let mut state = self.feed.state();
        loop {
            let ahead = state.unread().checked_sub(state.next.get(self.index).copied()?)?;
            // A live source may wait for packets: then the batch at hand comes first.
            let wanted = if state.ready { AHEAD } else { 1 };
            let may_read = !state.reading && !state.ended && !state.is_full();
            if ahead < wanted && may_read {
                state = self.feed.read(state);
            } else if ahead > 0 {
                let was_full = state.is_full();
                let batch = state.take(self.index);
                if was_full && !state.is_full() {
                    self.feed.notify(&state);
                }
                return batch;
            } else if state.ended && !state.reading {
                return None;
            } else {
                state.waiting += 1;
                state = self.feed.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.waiting -= 1;
            }
        }
    }
}

impl Drop for FeedReader<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        if let Some(next) = state.next.get_mut(self.index) {
            *next = u64::MAX;
        }
        state.pass();
        if std::thread::panicking() {
            // It may have been the one that was reading.
            state.reading = false;
            state.ended = true;
        }
        self.feed.notify(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    /// Gives `left` batches, each with its number as what was dropped, and fails behind them if it should.
    struct Numbered {
        left: u64,
        given: u64,
        fails: bool,
        /// It waits for packets.
        live: bool,
    }

    impl Source for Numbered {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            batch.clear();
            if self.given == self.left {
                return if self.fails { Err(SourceError("broken".into())) } else { Ok(false) };
            }
            batch.dropped = self.given;
            batch.now = self.live.then_some(Timestamp(0));
            self.given += 1;
            Ok(true)
        }
    }

    /// What each of `threads` readers gets if reader 0 takes only `first` batches.
    fn read(source: &mut Numbered, threads: usize, first: usize) -> (Vec<Vec<u64>>, Result<(), SourceError>) {
        let stop = AtomicBool::new(false);
        let feed = Feed::new(source, &stop, threads);
        let got = std::thread::scope(|scope| {
            let spawned: Vec<_> = (0..threads)
                .map(|index| {
                    let mut reader = feed.reader(index);
                    let limit = if index == 0 { first } else { usize::MAX };
                    scope.spawn(move || {
                        let batches = std::iter::from_fn(|| reader.next()).take(limit);
                        batches.map(|batch| batch.dropped).collect::<Vec<_>>()
                    })
                })
                .collect();
            spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        (got, feed.into_result())
    }

    #[test]
    fn every_thread_gets_every_batch_in_order() {
        let all: Vec<u64> = (0..500).collect();
        for (threads, live) in [1, 2, 5].into_iter().flat_map(|threads| [(threads, false), (threads, true)]) {
            let mut source = Numbered { left: 500, given: 0, fails: false, live };
            let (got, result) = read(&mut source, threads, usize::MAX);
            assert!(got.iter().all(|got| *got == all), "{threads}");
            assert!(result.is_ok());
        }
    }

    #[test]
    fn a_thread_that_leaves_does_not_hold_up_the_others() {
        let mut source = Numbered { left: 500, given: 0, fails: false, live: true };
        let (got, _) = read(&mut source, 3, 7);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [7, 500, 500]);
    }

    #[test]
    fn what_was_read_before_an_error_is_given_out() {
        let mut source = Numbered { left: 20, given: 0, fails: true, live: false };
        let (got, result) = read(&mut source, 2, usize::MAX);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20]);
        assert_eq!(result.unwrap_err().to_string(), "broken");
    }

    #[test]
    fn a_slow_thread_bounds_how_far_the_others_get_ahead() {
        for (live, bound) in [(false, READY_WINDOW), (true, WINDOW)] {
            let stop = AtomicBool::new(false);
            let mut source = Numbered { left: u64::MAX, given: 0, fails: false, live };
            let feed = Feed::new(&mut source, &stop, 2);
            let (mut fast, _slow) = (feed.reader(0), feed.reader(1));
            for _ in 0..bound {
                assert!(fast.next().is_some());
            }
            // One more would have to wait.
            assert_eq!(feed.state().window.len(), bound);
            stop.store(true, Ordering::Relaxed);
        }
    }
}
