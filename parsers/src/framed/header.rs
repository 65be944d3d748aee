//! The header of a message that is being emitted.

use super::Framing;
use crate::event::{Pairs, Side};

/// Such a header, read from the bytes of its message when it is wanted.
pub(super) struct WireHeader<'h, F> {
    pub(super) framing: &'h F,
    pub(super) side: Side,
    pub(super) input: &'h [u8],
}

/// Those pairs of a header whose keys are wanted.
pub(crate) fn wanted_of<F: Framing + ?Sized>(
    framing: &F,
    side: Side,
    input: &[u8],
    wanted: fn(&[u8]) -> bool,
    each: &mut dyn FnMut(&[u8], &[u8]),
) {
    framing.metadata(side, input, &mut |key, value| {
        if wanted(key) {
            each(key, value);
        }
    });
}

impl<F: Framing> Pairs for WireHeader<'_, F> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.framing.metadata(self.side, self.input, each);
    }

    fn each_custom(&self, wanted: fn(&[u8]) -> bool, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.framing.custom(self.side, self.input, wanted, each);
    }
}
