//! The header decoder as fuzz targets reach it (feature `fuzzing`).

use super::hpack::Decoder;
use crate::event::Pairs as _;

/// The header compression state of one direction of a connection.
#[derive(Debug)]
pub struct HeaderBlocks(Decoder);

impl HeaderBlocks {
    /// At the beginning of a connection, or (`late`) in the middle of one.
    #[must_use]
    pub fn new(late: bool) -> Self {
        Self(if late { Decoder::lost() } else { Decoder::new() })
    }

    /// The receiver allows a table of that many octets.
    pub fn allow(&mut self, size: u32) {
        self.0.allow(size);
    }

    /// A block was missed.
    pub fn lose(&mut self) {
        self.0.lose();
    }

    /// Reads a whole block: the names and values that can be read, in order; `None` if it is malformed.
    pub fn decode(&mut self, block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let read = self.0.decode(block);
        let mut pairs = Vec::new();
        self.0.list(block).each(&mut |name, value| pairs.push((name.to_vec(), value.to_vec())));
        read.ok().map(|()| pairs)
    }
}
