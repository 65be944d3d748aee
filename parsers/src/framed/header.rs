//! The header of a message that is being emitted.

use super::Framing;
use crate::event::{Pairs, Side};

/// Such a header, read from the bytes of its message when it is wanted.
pub(super) struct WireHeader<'h, F> {
    pub(super) framing: &'h F,
    pub(super) side: Side,
    pub(super) input: &'h [u8],
}

impl<F: Framing> Pairs for WireHeader<'_, F> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.framing.metadata(self.side, self.input, each);
    }
}
