//! Writes the packets of a source somewhere else as well.

use std::io;

use super::files::Secrets;
use super::{Batch, Source, SourceError};
use crate::contain::{Fault, caught};
use crate::sink::closed_pipe;

/// Receives every packet before any is shortened or dropped, to write it to a file.
pub trait Tap: Send {
    /// The next packets; an empty batch is a good time to flush. `name` returns the name of an interface. After an error,
    /// packets that were not written are counted in [`Tap::lost`], and later ones are written again if possible.
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()>;

    /// The end.
    fn finish(&mut self) -> io::Result<()>;

    /// Number of packets that could not be written.
    fn lost(&self) -> u64 {
        0
    }

    /// Whether the end has to wait until all packets were analysed.
    fn ends_after_analysis(&self) -> bool {
        false
    }
}

/// Feeds a tap and reports its errors: the first when it happens, and the number of lost packets at the end.
pub(super) struct TapFeed {
    tap: Option<Box<dyn Tap>>,
    has_failed: bool,
    /// The reader of the output closed the pipe, which is not an error.
    is_closed: bool,
    is_finished: bool,
}

impl TapFeed {
    pub(super) fn new(tap: Option<Box<dyn Tap>>) -> Self {
        Self { tap, has_failed: false, is_closed: false, is_finished: false }
    }

    /// Passes packets to the tap. Returns a problem to report; a panic is one, since the packets have another way to go.
    pub(super) fn packets(
        &mut self,
        batch: &Batch,
        name: &dyn Fn(u32) -> Option<String>,
    ) -> Option<SourceError> {
        let tap = self.tap.as_mut()?;
        let error = flattened(caught(|| tap.packets(batch, name))).err()?;
        self.first(&error)
    }

    /// Whether [`finish`](Self::finish) has to wait until all packets were analysed.
    fn end_after_analysis(&self) -> bool {
        self.tap.as_ref().is_some_and(|tap| tap.ends_after_analysis())
    }

    /// The end. Returns problems to report.
    pub(super) fn finish(&mut self) -> Vec<SourceError> {
        let Some(tap) = self.tap.as_mut().filter(|_| !self.is_finished) else { return Vec::new() };
        self.is_finished = true;
        let (finished, lost) = (flattened(caught(|| tap.finish())), tap.lost());
        let failed = finished.err().and_then(|error| self.first(&error));
        let missing = (lost > 0 && !self.is_closed)
            .then(|| SourceError(format!("{lost} packets could not be written")));
        failed.into_iter().chain(missing).collect()
    }

    /// Number of packets that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.tap.as_ref().filter(|_| !self.is_closed).map_or(0, |tap| tap.lost())
    }

    fn first(&mut self, error: &io::Error) -> Option<SourceError> {
        let is_first = !std::mem::replace(&mut self.has_failed, true);
        self.is_closed |= is_first && closed_pipe(error);
        (is_first && !self.is_closed).then(|| SourceError(error.to_string()))
    }
}

fn flattened(result: Result<io::Result<()>, Fault>) -> io::Result<()> {
    result.unwrap_or_else(|fault| Err(fault.into()))
}

/// Passes every packet of another source to a [`Tap`], in the reading thread. Live sources must not wait for the disk in the
/// analysis: they use the tap of [`Queued`](super::Queued).
pub struct Tee<S> {
    inner: S,
    taps: TapFeed,
    troubles: Vec<SourceError>,
}

impl<S: Source> Tee<S> {
    /// Passes the packets of `inner` to `tap`.
    pub fn new(inner: S, tap: Box<dyn Tap>) -> Self {
        Self { inner, taps: TapFeed::new(Some(tap)), troubles: Vec::new() }
    }
}

impl<S: Source> Source for Tee<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        let more = self.inner.next_batch(batch)?;
        if more {
            let inner = &self.inner;
            let name = |number| inner.interface_name(number).map(Into::into);
            self.troubles.extend(self.taps.packets(batch, &name));
        } else if !self.taps.end_after_analysis() {
            self.finish();
        }
        Ok(more)
    }

    /// Completes the file of a run that ends before its source.
    fn finish(&mut self) -> bool {
        self.inner.finish();
        self.troubles.append(&mut self.taps.finish());
        false
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        let mut all = self.inner.troubles();
        all.append(&mut self.troubles);
        all
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.inner.progress()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.inner.interface_name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.inner.secrets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tap on a disk that is full from the second batch on.
    #[derive(Default)]
    struct Full(u64);

    impl Tap for Full {
        fn packets(&mut self, _: &Batch, _: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
            self.0 += 1;
            if self.0 > 1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn finish(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn lost(&self) -> u64 {
            self.0 - 1
        }
    }

    struct Five(u8);

    impl Source for Five {
        fn next_batch(&mut self, _: &mut Batch) -> Result<bool, SourceError> {
            self.0 += 1;
            Ok(self.0 <= 5)
        }
    }

    #[test]
    fn a_full_disk_is_reported_once_and_its_loss_counted_while_reading_goes_on() {
        let mut tee = Tee::new(Five(0), Box::new(Full::default()));
        let mut batch = Batch::default();
        assert!(tee.next_batch(&mut batch).unwrap());
        assert_eq!(tee.troubles().len(), 0);
        while tee.next_batch(&mut batch).unwrap() {}
        let troubles: Vec<String> = tee.troubles().iter().map(ToString::to_string).collect();
        assert_eq!(troubles.len(), 2, "{troubles:?}");
        assert_eq!(troubles[1], "4 packets could not be written");
    }
}
