//! Reads a source in a thread that never waits for the consumer.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::live::Counters;
use super::tee::TapFeed;
use super::{Batch, Source, SourceError, Tap};

/// Capacity of the queue in batches of about 256 KiB: bounds its memory to about 60 MiB.
const BATCHES: usize = 160;
/// Above this level, packets are shortened to their headers: there is less to analyse, and the analysis knows what is
/// missing.
const FULLISH: usize = BATCHES / 2;
/// Length of a shortened packet: the headers of a tunnelled TCP segment and of a message.
const HEADS: u32 = 256;
/// Smaller batches make the thread pause if the consumer lags behind, so that the kernel can collect more packets.
const SMALL: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(2);

/// Reads another source in a separate thread into a bounded queue.
///
/// When the queue fills up, packets are shortened to their headers; when it is full, they are dropped. Both are counted.
pub struct Queued {
    filled: Receiver<Batch>,
    empty: Sender<Batch>,
    troubles: Arc<Mutex<Vec<SourceError>>>,
    quit: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    /// The drops that the last batch had.
    reported: u64,
}

impl Queued {
    /// Starts reading. `tap` receives every packet of `source`, in the reading thread.
    pub fn spawn<S: Source + 'static>(
        source: S,
        counters: Arc<Counters>,
        tap: Option<Box<dyn Tap>>,
    ) -> io::Result<Self> {
        let (filled_in, filled) = bounded(BATCHES);
        let (empty, empty_out) = bounded(BATCHES);
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let quit = Arc::new(AtomicBool::new(false));
        let mut reader = CaptureThread {
            source,
            taps: TapFeed::new(tap),
            counters: Arc::clone(&counters),
            filled: filled_in,
            empty: empty_out,
            troubles: Arc::clone(&troubles),
            quit: Arc::clone(&quit),
        };
        let reader = std::thread::Builder::new().name("capture".into()).spawn(move || reader.run())?;
        Ok(Self { filled, empty, troubles, quit, reader: Some(reader), counters, reported: 0 })
    }
}

impl Source for Queued {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.clear();
        // The thread passes on ticks too, so this returns as often as the source does.
        let Ok(next) = self.filled.recv() else {
            // Packets may have been dropped behind the last batch.
            batch.dropped = self.counters.drops().packets();
            let is_new = batch.dropped > std::mem::replace(&mut self.reported, batch.dropped);
            return if is_new { Ok(true) } else { self.end() };
        };
        self.reported = next.dropped;
        self.counters.set_waiting(self.filled.len());
        let used = std::mem::replace(batch, next);
        // If there are enough buffers, this one is freed.
        let _ = self.empty.try_send(used);
        Ok(true)
    }

    /// Ends the thread and waits for it. The remaining packets go to the tap only.
    fn finish(&mut self) -> bool {
        self.quit.store(true, Ordering::Relaxed);
        if let Err(failed) = self.end() {
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
        }
        false
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Queued {
    /// Waits for the thread, which has ended or is about to. A panic means that it did not read to the end.
    fn end(&mut self) -> Result<bool, SourceError> {
        match self.reader.take().map(JoinHandle::join) {
            Some(Err(_)) => {
                let text = "the capture thread failed; packets captured before that are kept";
                Err(SourceError(text.into()))
            }
            Some(Ok(())) | None => Ok(false),
        }
    }
}

impl Drop for Queued {
    /// Ends the thread and waits for it, so that its file is complete.
    fn drop(&mut self) {
        self.finish();
    }
}

/// The state of the thread.
struct CaptureThread<S> {
    source: S,
    taps: TapFeed,
    counters: Arc<Counters>,
    filled: Sender<Batch>,
    empty: Receiver<Batch>,
    troubles: Arc<Mutex<Vec<SourceError>>>,
    quit: Arc<AtomicBool>,
}

impl<S: Source> CaptureThread<S> {
    fn run(&mut self) {
        let mut batch = Batch::default();
        let mut is_wanted = true;
        loop {
            if is_wanted && self.quit.load(Ordering::Relaxed) {
                is_wanted = false;
                if !self.source.finish() {
                    break;
                }
            }
            // If reading panics, the packets before that are whole.
            batch.clear();
            match catch_unwind(AssertUnwindSafe(|| self.source.next_batch(&mut batch))) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    self.trouble(vec![error]);
                    break;
                }
                Err(panic) => {
                    self.write(&batch);
                    if !batch.records.is_empty() {
                        // If there is no room for them, they are lost for the analysis alone.
                        _ = self.filled.try_send(batch);
                    }
                    self.end();
                    resume_unwind(panic);
                }
            }
            let new = self.source.troubles();
            self.trouble(new);
            self.write(&batch);
            if !is_wanted {
                continue;
            }
            if !self.filled.is_empty() && batch.data.len() < SMALL {
                std::thread::sleep(PAUSE);
            }
            if batch.records.is_empty() && !self.filled.is_empty() {
                // A busy consumer needs no ticks.
                continue;
            }
            if self.filled.len() >= FULLISH {
                self.counters.shortened(shorten(&mut batch));
            }
            batch.dropped = self.counters.drops().packets();
            let next = self.empty.try_recv().unwrap_or_default();
            match self.filled.try_send(std::mem::replace(&mut batch, next)) {
                Ok(()) => {}
                Err(TrySendError::Full(lost)) => {
                    self.counters.dropped(lost.records.len());
                    batch = lost;
                }
                Err(TrySendError::Disconnected(_)) => self.quit.store(true, Ordering::Relaxed),
            }
        }
        self.end();
    }

    fn end(&mut self) {
        let mut last = self.source.troubles();
        last.append(&mut self.taps.finish());
        self.counters.unwritten(self.taps.lost());
        self.trouble(last);
    }

    fn write(&mut self, batch: &Batch) {
        let source = &self.source;
        let name = |interface| source.interface_name(interface).map(str::to_owned);
        let failed = self.taps.packets(batch, &name);
        self.counters.unwritten(self.taps.lost());
        self.trouble(failed.into_iter().collect());
    }

    fn trouble(&mut self, mut new: Vec<SourceError>) {
        if !new.is_empty() {
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).append(&mut new);
        }
    }
}

/// Shortens long packets to their headers and returns their number.
fn shorten(batch: &mut Batch) -> usize {
    let long = batch.records.iter_mut().filter(|record| record.len > HEADS);
    long.map(|record| record.len = HEADS).count()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sink::packets::{PacketWriter, Rotation};
    use crate::source::{CapturePoint, LinkType, Record, files};
    use crate::time::Timestamp;

    /// Returns batches of one packet each, and a problem at the end.
    struct Fast {
        left: u64,
        done: u64,
    }

    impl Source for Fast {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            batch.clear();
            if self.done == self.left {
                return Ok(false);
            }
            self.done += 1;
            batch.data.resize(SMALL, 7);
            batch.records.push(Record {
                number: self.done,
                time: Timestamp(0),
                link: LinkType(1),
                interface: 0,
                capture_point: CapturePoint::default(),
                wire_len: 1000,
                offset: 0,
                len: 1000,
            });
            Ok(true)
        }

        fn troubles(&mut self) -> Vec<SourceError> {
            if self.done == self.left { vec![SourceError("late".into())] } else { Vec::new() }
        }
    }

    struct Count(u64, mpsc::Sender<u64>);

    impl Tap for Count {
        fn packets(&mut self, batch: &Batch, _: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
            assert!(batch.packets().all(|p| p.data.len() == 1000));
            self.0 += batch.records.len() as u64;
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            self.1.send(self.0).map_err(io::Error::other)
        }
    }

    #[test]
    fn a_slow_reader_loses_payload_first_and_all_loss_is_counted() {
        let counters = Arc::new(Counters::default());
        let (give, taken) = mpsc::channel();
        let total = 400;
        let fast = Fast { left: total, done: 0 };
        let mut queued = Queued::spawn(fast, Arc::clone(&counters), Some(Box::new(Count(0, give)))).unwrap();
        assert_eq!(taken.recv().unwrap(), total, "the tap gets everything");
        let (mut batch, mut whole, mut short, mut dropped) = (Batch::default(), 0, 0, 0);
        while queued.next_batch(&mut batch).unwrap() {
            dropped = dropped.max(batch.dropped);
            for packet in batch.packets() {
                assert_eq!(packet.wire_len, 1000);
                if packet.data.len() == 1000 { whole += 1 } else { short += 1 }
            }
        }
        let drops = counters.drops();
        assert_eq!((whole, short), (FULLISH as u64, (BATCHES - FULLISH) as u64));
        assert_eq!(drops.own, total - BATCHES as u64);
        assert_eq!(dropped, drops.own, "the reader learns of all of them");
        assert!(drops.shortened >= short);
        assert!(queued.troubles().iter().all(|t| t.to_string() == "late"));
    }

    #[test]
    fn nothing_is_lost_where_the_reader_keeps_up_and_dropping_ends_the_thread() {
        let counters = Arc::new(Counters::default());
        let mut queued = Queued::spawn(Fast { left: 60, done: 0 }, Arc::clone(&counters), None).unwrap();
        let (mut batch, mut numbers) = (Batch::default(), Vec::new());
        while queued.next_batch(&mut batch).unwrap() {
            numbers.extend(batch.packets().map(|p| p.number));
        }
        assert_eq!(numbers, (1..=60).collect::<Vec<u64>>());
        assert_eq!(counters.drops(), super::super::live::Drops::default());
        drop(Queued::spawn(Fast { left: u64::MAX, done: 0 }, counters, None).unwrap());
    }

    #[test]
    fn the_tap_gets_what_the_source_still_holds_when_the_run_ends_early() {
        let counters = Arc::new(Counters::default());
        let (give, taken) = mpsc::channel();
        let source = Holding { asked: false, left: 3 };
        let mut queued = Queued::spawn(source, counters, Some(Box::new(Count(0, give)))).unwrap();
        assert!(queued.next_batch(&mut Batch::default()).unwrap());
        queued.finish();
        assert_eq!(taken.recv().unwrap(), 3);
    }

    /// Ticks until it is asked to end, and then has some packets left.
    struct Holding {
        asked: bool,
        left: u64,
    }

    impl Source for Holding {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            batch.clear();
            if self.asked && self.left > 0 {
                let more = Fast { left: self.left, done: self.left - 1 }.next_batch(batch);
                self.left -= 1;
                return more;
            }
            Ok(!self.asked)
        }

        fn finish(&mut self) -> bool {
            self.asked = true;
            true
        }
    }

    /// Fails as no source should.
    struct Panics(bool);

    impl Source for Panics {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            assert!(!std::mem::replace(&mut self.0, true), "a fault in the test's source");
            Fast { left: 1, done: 0 }.next_batch(batch)
        }
    }

    /// Fails in the middle of a batch.
    struct Breaks;

    impl Source for Breaks {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            Fast { left: 1, done: 0 }.next_batch(batch)?;
            batch.data.extend_from_slice(b"half a packet");
            panic!("a fault in the test's source")
        }
    }

    #[test]
    fn a_panic_in_the_middle_of_a_batch_leaves_its_packets() {
        let (give, taken) = mpsc::channel();
        let mut queued = Queued::spawn(Breaks, Arc::default(), Some(Box::new(Count(0, give)))).unwrap();
        let mut batch = Batch::default();
        assert!(queued.next_batch(&mut batch).unwrap());
        assert_eq!(batch.records.len(), 1);
        assert!(queued.next_batch(&mut batch).unwrap_err().to_string().contains("capture thread failed"));
        assert_eq!(taken.recv().unwrap(), 1);
    }

    /// A tap with a fault in one batch.
    struct Faulty(Count);

    impl Tap for Faulty {
        fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
            assert!(batch.records.iter().all(|record| record.number != 7), "a fault in the test's tap");
            self.0.packets(batch, name)
        }

        fn finish(&mut self) -> io::Result<()> {
            self.0.finish()
        }
    }

    #[test]
    fn a_panic_of_the_tap_keeps_no_packet_from_the_analysis() {
        let (give, taken) = mpsc::channel();
        let source = Fast { left: 60, done: 0 };
        let mut queued =
            Queued::spawn(source, Arc::default(), Some(Box::new(Faulty(Count(0, give))))).unwrap();
        let (mut batch, mut numbers) = (Batch::default(), Vec::new());
        while queued.next_batch(&mut batch).unwrap() {
            numbers.extend(batch.packets().map(|packet| packet.number));
        }
        assert_eq!(numbers, (1..=60).collect::<Vec<u64>>());
        assert_eq!(taken.recv().unwrap(), 59);
        let said: Vec<String> = queued.troubles().iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|said| said.contains("a fault in the test's tap")), "{said:?}");
    }

    #[test]
    fn a_panic_of_the_thread_is_an_error_and_leaves_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let counters = Arc::new(Counters::default());
        let mut queued = Queued::spawn(Panics(false), counters, Some(Box::new(writer))).unwrap();
        let mut batch = Batch::default();
        assert!(queued.next_batch(&mut batch).unwrap());
        assert!(queued.next_batch(&mut batch).unwrap_err().to_string().contains("capture thread failed"));
        let mut written = files::open(&[path], files::Options::default());
        assert!(written.next_batch(&mut batch).unwrap());
        assert_eq!((batch.records.len(), written.troubles().len()), (1, 0));
    }
}
