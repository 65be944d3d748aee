//! A source that ends early.

use std::time::{Duration, Instant};

use super::files::Secrets;
use super::{Batch, Source, SourceError};
use crate::time::Timestamp;

/// Limits another source to a number of packets or to a time span.
#[derive(Debug)]
pub struct Limited<S> {
    inner: S,
    packets: Option<u64>,
    span: Option<Duration>,
    first: Option<Timestamp>,
    deadline: Option<Instant>,
    done: bool,
}

impl<S: Source> Limited<S> {
    /// Starts without limits.
    pub fn new(inner: S) -> Self {
        Self { inner, packets: None, span: None, first: None, deadline: None, done: false }
    }

    /// At most `n` packets.
    #[must_use]
    pub fn packets(mut self, n: Option<u64>) -> Self {
        self.packets = n;
        self
    }

    /// Packets up to `span` after the first one, by their own times: for files.
    #[must_use]
    pub fn packet_time(mut self, span: Option<Duration>) -> Self {
        self.span = span;
        self
    }

    /// Ends the source `span` from now: for live interfaces.
    #[must_use]
    pub fn wall_time(mut self, span: Option<Duration>) -> Self {
        self.deadline = span.and_then(|span| Instant::now().checked_add(span));
        self
    }
}

impl<S: Source> Source for Limited<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.records.clear();
        if self.done || self.packets == Some(0) {
            return Ok(false);
        }
        if self.deadline.is_some_and(|end| Instant::now() >= end) {
            // Packets that the kernel holds arrived before the deadline.
            self.deadline = None;
            self.done = !self.inner.finish();
            if self.done {
                return Ok(false);
            }
        }
        if !self.inner.next_batch(batch)? {
            return Ok(false);
        }
        if let Some(left) = &mut self.packets {
            batch.records.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= batch.records.len() as u64;
        }
        if let (Some(span), Some(record)) = (self.span, batch.records.first()) {
            let end = *self.first.get_or_insert(record.time) + span;
            if let Some(late) = batch.records.iter().position(|r| r.time >= end) {
                batch.records.truncate(late);
                self.done = true;
                return Ok(late > 0);
            }
        }
        Ok(true)
    }

    fn finish(&mut self) -> bool {
        self.inner.finish()
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        self.inner.troubles()
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
