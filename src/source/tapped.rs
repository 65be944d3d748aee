//! A source whose packets are also written somewhere.

use super::files::Secrets;
use super::queue::Tap;
use super::{Batch, Source, SourceError};

/// Shows every packet of another source to a [`Tap`], in the thread that reads. For sources that may wait: a live one is
/// tapped by [`Queued`](super::Queued), which does not.
pub struct Tapped<S> {
    inner: S,
    tap: Option<Box<dyn Tap>>,
    troubles: Vec<SourceError>,
}

impl<S: Source> Tapped<S> {
    /// Shows the packets of `inner` to `tap`, if there is one.
    pub fn new(inner: S, tap: Option<Box<dyn Tap>>) -> Self {
        Self { inner, tap, troubles: Vec::new() }
    }

    /// Does something with the tap; a tap that fails is said once and not asked again.
    fn with(&mut self, act: impl FnOnce(&mut dyn Tap, &S) -> std::io::Result<()>) {
        if let Some(tap) = &mut self.tap
            && let Err(error) = act(tap.as_mut(), &self.inner)
        {
            self.troubles.push(SourceError(format!("{error}; nothing more is written there")));
            self.tap = None;
        }
    }
}

impl<S: Source> Source for Tapped<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        let more = self.inner.next_batch(batch)?;
        if more {
            self.with(|tap, source| {
                tap.packets(batch, &|number| source.interface_name(number).map(Into::into))
            });
        } else {
            self.with(|tap, _| tap.finish());
        }
        Ok(more)
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

impl<S> Drop for Tapped<S> {
    /// A run that ends before its source does still leaves a whole file.
    fn drop(&mut self) {
        if let Some(tap) = &mut self.tap {
            // Nobody is left to be told.
            _ = tap.finish();
        }
    }
}
