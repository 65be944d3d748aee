//! Connections that are found without the index.

use crate::decode::{FlowKey, KeyWords};

/// Connections that are found without the index, each at a place that its key chooses.
pub(super) const RECENT: usize = 512;

/// The last connection at one place of [`Table::recent`](super::Table). All of its key stands here, so that it is found without a look at any
/// connection's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    pub(super) words: KeyWords,
    pub(super) id: u32,
}

impl Recent {
    /// Words that no connection has.
    pub(super) const NONE: Self = Self { words: KeyWords { ips: 0, rest: u64::MAX }, id: u32::MAX };

    /// The place of connections with these words.
    #[inline]
    pub(super) fn place(KeyWords { ips, rest }: KeyWords) -> usize {
        // Copies of a capture share their ports.
        ((ips ^ rest.rotate_left(7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % RECENT
    }

    /// A connection leaves: its number may pass on to another.
    pub(super) fn forget(all: &mut [Self; RECENT], key: &FlowKey, id: u32) {
        if let Some(words) = key.words()
            && let Some(recent) = all.get_mut(Self::place(words))
            && recent.id == id
        {
            *recent = Self::NONE;
        }
    }
}
