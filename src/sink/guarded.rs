//! An output that a fault of this program costs the record at hand, and none of those that follow.

use std::io;
use std::sync::Arc;

use super::chains::ChainSink;
use super::{Losses, Sink};
use crate::calls::record::{Call, Connection};
use crate::chains::fleet::Counts;
use crate::chains::{Chain, Summary};
use crate::contain::caught;
use crate::pipeline::Totals;
use crate::time::Timestamp;

/// Writes to another output. A record whose writing panics is counted as lost, with what the panic said.
pub struct Guarded<S: ?Sized> {
    inner: Box<S>,
    losses: Arc<Losses>,
}

impl<S: ?Sized> std::fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("losses", &self.losses).finish_non_exhaustive()
    }
}

impl<S: ?Sized> Guarded<S> {
    /// Writes to `inner`, and counts in `losses` what that costs.
    #[must_use]
    pub fn new(inner: Box<S>, losses: Arc<Losses>) -> Self {
        Self { inner, losses }
    }

    /// Lets `inner` write a record. If that panics, `recover` says what it costs.
    fn record(
        &mut self,
        work: impl FnOnce(&mut S) -> io::Result<()>,
        recover: fn(&mut S) -> Option<usize>,
    ) -> io::Result<()> {
        let Self { inner, losses } = self;
        caught(|| work(inner)).unwrap_or_else(|fault| {
            losses.add(recover(inner).unwrap_or(1), &fault.into());
            Ok(())
        })
    }

    /// Lets `inner` do what is no record of its own. A panic is counted; `None`.
    fn attempt(
        &mut self,
        work: fn(&mut S) -> io::Result<()>,
        recover: fn(&mut S) -> Option<usize>,
    ) -> Option<io::Result<()>> {
        let Self { inner, losses } = self;
        caught(|| work(inner)).map_err(|fault| losses.add(recover(inner).unwrap_or(0), &fault.into())).ok()
    }

    /// The end. After a panic, what is complete is written nevertheless: by `tick`, as the end would write again what it has written.
    fn end(
        &mut self,
        finish: fn(&mut S) -> io::Result<()>,
        tick: fn(&mut S) -> io::Result<()>,
        recover: fn(&mut S) -> Option<usize>,
    ) -> io::Result<()> {
        self.attempt(finish, recover).or_else(|| self.attempt(tick, recover)).unwrap_or(Ok(()))
    }
}

impl<S: Sink + ?Sized> Sink for Guarded<S> {
    fn begin(&mut self, first: Timestamp) {
        self.inner.begin(first);
    }

    fn call(&mut self, call: &Call) -> io::Result<()> {
        self.record(|sink| sink.call(call), S::recover)
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.record(|sink| sink.connection(connection), S::recover)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.attempt(S::tick, S::recover).unwrap_or(Ok(()))
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.record(|sink| sink.totals(totals), S::recover)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end(S::finish, S::tick, S::recover)
    }
}

impl<S: ChainSink + ?Sized> ChainSink for Guarded<S> {
    fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        self.record(|sink| sink.chain(chain), S::recover)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.attempt(S::tick, S::recover).unwrap_or(Ok(()))
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.record(|sink| sink.totals(totals), S::recover)
    }

    fn records(&mut self, summary: &Summary, counts: &Counts, rejected: u64) -> io::Result<()> {
        self.record(|sink| sink.records(summary, counts, rejected), S::recover)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end(S::finish, S::tick, S::recover)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{JsonLines, RecordWriter, Shared};
    use super::*;
    use crate::calls::sample;
    use crate::pipeline::{self, Options, Output};
    use crate::source::files;

    /// JSON lines that break off in the middle of some records, as no sink should.
    struct Faulty {
        inner: JsonLines,
        number: u64,
        /// Which records are broken.
        is_broken: fn(u64) -> bool,
        /// How often a tick and the end break off.
        ticks_and_ends: [u32; 2],
    }

    impl Faulty {
        fn break_off(&mut self, which: usize) {
            if let Some(left) = self.ticks_and_ends[which].checked_sub(1) {
                self.ticks_and_ends[which] = left;
                self.inner.begin_record(b"{\"type\":");
                panic!("a fault in the test's sink");
            }
        }
    }

    impl Sink for Faulty {
        fn call(&mut self, call: &Call) -> io::Result<()> {
            self.number += 1;
            if (self.is_broken)(self.number) {
                self.inner.begin_record(b"{\"type\":");
                panic!("a fault in the test's sink");
            }
            self.inner.call(call)
        }

        fn recover(&mut self) -> Option<usize> {
            self.inner.recover()
        }

        fn tick(&mut self) -> io::Result<()> {
            self.break_off(0);
            Sink::tick(&mut self.inner)
        }

        fn finish(&mut self) -> io::Result<()> {
            self.break_off(1);
            self.inner.finish()
        }
    }

    /// The lines of a capture's calls, and what was lost.
    fn written(threads: usize, is_broken: fn(u64) -> bool) -> (Vec<String>, Option<(u64, String)>) {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/demo/all-classes.pcap");
        let (shared, losses) = (Shared::default(), Arc::<Losses>::default());
        let inner = JsonLines::new(RecordWriter::new(Box::new(shared.clone()), false));
        let mut sink = Guarded::new(
            Box::new(Faulty { inner, number: 0, is_broken, ticks_and_ends: [0; 2] }),
            Arc::clone(&losses),
        );
        let mut source = files::open(&[capture], files::Options::default());
        let options = Options { threads, ..Options::default() };
        pipeline::run(&mut source, &options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
            for output in outputs {
                if let Output::Call(call) = output {
                    Sink::call(&mut sink, call).unwrap();
                }
            }
            true
        })
        .unwrap();
        Sink::finish(&mut sink).unwrap();
        (shared.text().lines().map(str::to_owned).collect(), losses.get())
    }

    #[test]
    fn a_panic_costs_the_record_at_hand_alone() {
        let (all, none) = written(1, |_| false);
        assert!(all.len() > 100 && none.is_none());
        for threads in [1, 3] {
            let (rest, lost) = written(threads, |number| number == 5 || number % 50 == 0);
            let kept = |(at, _): &(usize, &String)| at + 1 != 5 && (at + 1) % 50 != 0;
            let wanted: Vec<&String> = all.iter().enumerate().filter(kept).map(|(_, line)| line).collect();
            assert_eq!(rest.iter().collect::<Vec<_>>(), wanted, "{threads} threads");
            let (count, why) = lost.unwrap();
            assert_eq!(count as usize, all.len() - wanted.len());
            assert!(why.contains("a fault in the test's sink"), "{why}");
        }
    }

    #[test]
    fn a_panic_of_a_tick_or_the_end_leaves_what_is_complete() {
        for ticks_and_ends in [[1, 0], [0, 1], [2, 2]] {
            let (shared, losses) = (Shared::default(), Arc::<Losses>::default());
            let inner = JsonLines::new(RecordWriter::new(Box::new(shared.clone()), false));
            let faulty = Faulty { inner, number: 0, is_broken: |_| false, ticks_and_ends };
            let mut sink = Guarded::new(Box::new(faulty), Arc::clone(&losses));
            for _ in 0..3 {
                Sink::call(&mut sink, &sample::full()).unwrap();
                Sink::tick(&mut sink).unwrap();
            }
            Sink::finish(&mut sink).unwrap();
            drop(sink);
            let text = shared.text();
            assert_eq!(text.lines().count(), 3, "{ticks_and_ends:?}: {text}");
            assert!(
                text.lines().all(|line| line.starts_with("{\"type\":\"call\"") && line.ends_with('}')),
                "{text}"
            );
            let (lost, why) = losses.get().unwrap();
            assert_eq!(lost, 0);
            assert!(why.contains("a fault in the test's sink"), "{why}");
        }
    }
}
