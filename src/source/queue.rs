//! A thread that reads and never waits for whoever uses what it reads.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::live::Counters;
use super::{Batch, Source, SourceError};

/// Batches on their way; at about 256 KiB each this bounds the memory of the queue to some 60 MiB.
const BATCHES: usize = 160;
/// From here on packets are shortened to their heads: less to analyse, and the end of each payload is known to be missing.
const FULLISH: usize = BATCHES / 2;
/// Bytes that are left of a shortened packet: the heads of a tunnelled TCP segment and the head of a message.
const HEADS: u32 = 256;
/// A batch with fewer bytes is small: where the other end lags behind, the reader gives the kernel time to collect more.
const SMALL: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(2);

/// Gets every packet before anything is shortened or dropped: to write it to a file.
pub trait Tap: Send {
    /// The next packets; none of them is a moment to let what was written become visible. `name` tells an interface's name.
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()>;

    /// The end.
    fn finish(&mut self) -> io::Result<()>;
}

/// Several taps, one after the other.
impl Tap for Vec<Box<dyn Tap>> {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        self.iter_mut().try_for_each(|tap| tap.packets(batch, name))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.iter_mut().try_for_each(|tap| tap.finish())
    }
}

/// Another source, read by a thread of its own into a bounded queue.
///
/// If the queue is filling, packets are shortened to their heads; if it is full, they are dropped. Both are counted. Nothing
/// is lost silently.
pub struct Queued {
    filled: Receiver<Result<Batch, SourceError>>,
    empty: Sender<Batch>,
    troubles: Arc<Mutex<Vec<SourceError>>>,
    quit: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Queued {
    /// Starts to read. `tap` gets every packet that `source` gives, in the thread that reads.
    pub fn spawn<S: Source + 'static>(
        source: S,
        counters: Arc<Counters>,
        tap: Option<Box<dyn Tap>>,
    ) -> io::Result<Self> {
        let (filled_in, filled) = bounded(BATCHES);
        let (empty, empty_out) = bounded(BATCHES);
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let quit = Arc::new(AtomicBool::new(false));
        let mut reader = Reader {
            source,
            tap,
            counters,
            filled: filled_in,
            empty: empty_out,
            troubles: Arc::clone(&troubles),
            quit: Arc::clone(&quit),
        };
        let reader = std::thread::Builder::new().name("capture".into()).spawn(move || reader.run())?;
        Ok(Self { filled, empty, troubles, quit, reader: Some(reader) })
    }
}

impl Source for Queued {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.clear();
        // The thread sends at least a tick whenever its source gives one, so this returns as often as the source does.
        let Ok(next) = self.filled.recv() else { return Ok(false) };
        let used = std::mem::replace(batch, next?);
        // Where there are enough buffers, this one is let go.
        let _ = self.empty.try_send(used);
        Ok(true)
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Queued {
    /// Ends the thread and waits for it, so that the file it writes is whole.
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A panic of the thread was already reported by the thread.
            let _ = reader.join();
        }
    }
}

/// What the thread owns.
struct Reader<S> {
    source: S,
    tap: Option<Box<dyn Tap>>,
    counters: Arc<Counters>,
    filled: Sender<Result<Batch, SourceError>>,
    empty: Receiver<Batch>,
    troubles: Arc<Mutex<Vec<SourceError>>>,
    quit: Arc<AtomicBool>,
}

impl<S: Source> Reader<S> {
    fn run(&mut self) {
        let mut batch = Batch::default();
        while !self.quit.load(Ordering::Relaxed) {
            match self.source.next_batch(&mut batch) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Nobody is left to be told if this fails.
                    let _ = self.filled.send(Err(error));
                    break;
                }
            }
            self.trouble(S::troubles);
            self.write(&batch);
            if !self.filled.is_empty() && batch.data.len() < SMALL {
                std::thread::sleep(PAUSE);
            }
            if batch.records.is_empty() && !self.filled.is_empty() {
                // A tick for somebody who is busy anyway.
                continue;
            }
            if self.filled.len() >= FULLISH {
                self.counters.shortened(shorten(&mut batch));
            }
            let next = self.empty.try_recv().unwrap_or_default();
            match self.filled.try_send(Ok(std::mem::replace(&mut batch, next))) {
                Ok(()) => {}
                Err(TrySendError::Full(Ok(lost))) => {
                    self.counters.dropped(lost.records.len());
                    batch = lost;
                }
                Err(_) => break,
            }
        }
        self.trouble(S::troubles);
        if let Some(mut tap) = self.tap.take()
            && let Err(error) = tap.finish()
        {
            self.trouble(|_| vec![SourceError(error.to_string())]);
        }
    }

    fn write(&mut self, batch: &Batch) {
        let Some(tap) = &mut self.tap else { return };
        let source = &self.source;
        let name = |interface| source.interface_name(interface).map(str::to_owned);
        if let Err(error) = tap.packets(batch, &name) {
            self.tap = None;
            self.trouble(|_| vec![SourceError(format!("{error}; no more packets are written"))]);
        }
    }

    fn trouble(&mut self, of: impl FnOnce(&mut S) -> Vec<SourceError>) {
        let mut new = of(&mut self.source);
        if !new.is_empty() {
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).append(&mut new);
        }
    }
}

/// Cuts long packets down to their heads; gives their number.
fn shorten(batch: &mut Batch) -> usize {
    let long = batch.records.iter_mut().filter(|record| record.len > HEADS);
    long.map(|record| record.len = HEADS).count()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::source::{CapturePoint, LinkType, Record};
    use crate::time::Timestamp;

    /// Gives so many batches of one packet each, and then a trouble.
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
        let (tell, told) = mpsc::channel();
        let total = 400;
        let fast = Fast { left: total, done: 0 };
        let mut queued = Queued::spawn(fast, Arc::clone(&counters), Some(Box::new(Count(0, tell)))).unwrap();
        assert_eq!(told.recv().unwrap(), total, "the tap gets everything");
        let (mut batch, mut whole, mut short) = (Batch::default(), 0, 0);
        while queued.next_batch(&mut batch).unwrap() {
            for packet in batch.packets() {
                assert_eq!(packet.wire_len, 1000);
                if packet.data.len() == 1000 { whole += 1 } else { short += 1 }
            }
        }
        let drops = counters.drops();
        assert_eq!((whole, short), (FULLISH as u64, (BATCHES - FULLISH) as u64));
        assert_eq!(drops.own, total - BATCHES as u64);
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
}
