//! The part of a packet that is still to be read.

use super::Skip;

/// Captured bytes from the next header on, and how many more the wire had behind them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    /// Captured bytes.
    pub(super) bytes: &'a [u8],
    /// Bytes of this layer that were on the wire behind `bytes` but were not captured.
    pub(super) cut: u32,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &'a [u8], cut: u32) -> Self {
        Self { bytes, cut }
    }

    /// The next `N` bytes and what follows them.
    pub(super) fn head<const N: usize>(self) -> Result<(&'a [u8; N], Self), Skip> {
        match self.bytes.split_first_chunk::<N>() {
            Some((head, bytes)) => Ok((head, Self { bytes, ..self })),
            None => Err(self.short(N)),
        }
    }

    /// Leaves out `n` bytes, which may lie beyond what was captured: then nothing captured is left.
    pub(super) fn skip(self, n: usize) -> Result<Self, Skip> {
        if let Some(bytes) = self.bytes.get(n..) {
            return Ok(Self { bytes, ..self });
        }
        let beyond = (n - self.bytes.len()) as u32;
        let cut = self.cut.checked_sub(beyond).ok_or(Skip::Malformed)?;
        Ok(Self { bytes: &[], cut })
    }

    /// Ends the layer after `len` bytes, as its header says. What follows was padding; what lacks was cut.
    pub(super) fn limit(self, len: usize) -> Self {
        match self.bytes.get(..len) {
            Some(bytes) => Self { bytes, cut: 0 },
            None => Self { bytes: self.bytes, cut: (len - self.bytes.len()) as u32 },
        }
    }

    /// Length of the layer on the wire.
    pub(super) fn wire_len(self) -> usize {
        self.bytes.len() + self.cut as usize
    }

    /// Why a header of `n` bytes is not there: the capture cut it, or the layer is too short for it.
    pub(super) fn short(self, n: usize) -> Skip {
        if self.wire_len() >= n { Skip::Truncated } else { Skip::Malformed }
    }
}
