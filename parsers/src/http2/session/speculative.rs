//! What becomes of a header table when bytes between frames are missing.
//!
//! A header block among them may have changed it, so that it is as good as lost. But often what follows proves that there
//! was none (`streams/loss_proof.rs`), and then the table is the one from before. Drops in the middle of large messages,
//! the usual ones, cost nothing that way. Until the proof is complete, blocks are read with both tables.

use super::super::hpack::Decoder;
use super::super::streams::MissedBlocks;
use super::{Connection, Phase};
use crate::error::Error;
use crate::event::Side;

/// Most header blocks read with both tables before the old one is given up.
const BLOCKS_LIMIT: u32 = 256;

/// A decoder that is right if no header block is missing.
#[derive(Debug)]
pub(super) struct Speculative {
    decoder: Decoder,
    /// Blocks read with it.
    blocks: u32,
}

impl Speculative {
    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.decoder.memory()
    }
}

impl Connection {
    /// Bytes of `side` are missing, and frames may be among them. The state of its decoder before that, if it can turn out
    /// to be right.
    pub(super) fn speculate(&mut self, side: Side) -> Option<Box<Speculative>> {
        let in_step = self.streams.in_step(side);
        let direction = self.direction(side);
        let before = direction.speculative.take();
        let frames = direction.phase == Phase::Frames && in_step;
        let known = direction.block.is_none() && (before.is_some() || frames);
        if !known || !self.streams.suspect(side, before.is_none()) {
            return None;
        }
        let fork = |decoder| Box::new(Speculative { decoder, blocks: 0 });
        before.or_else(|| Some(fork(self.direction(side).decoder.fork())))
    }

    /// Frames of `side` are seen again: streams that were opened meanwhile may have been answered in what was passed over.
    pub(super) fn widen_speculation(&mut self, side: Side) {
        if self.direction(side).speculative.is_some() && !self.streams.suspect(side, false) {
            self.direction(side).speculative = None;
        }
    }

    /// Reads a whole header block of a stream ([`Head::stream_of_block`](super::Head::stream_of_block)) with the decoder of `side`.
    #[inline]
    pub(super) fn decode(
        &mut self,
        side: Side,
        stream: Option<(u32, bool)>,
        block: &[u8],
    ) -> Result<(), Error> {
        let direction = self.direction(side);
        match (direction.speculative.take(), stream) {
            (Some(speculative), Some(stream)) => self.decode_with(side, stream, block, speculative),
            _ => direction.decoder.decode(block),
        }
    }

    /// The same with the decoder that may turn out to be right too.
    #[cold]
    #[inline(never)]
    fn decode_with(
        &mut self,
        side: Side,
        (id, end_stream): (u32, bool),
        block: &[u8],
        mut speculative: Box<Speculative>,
    ) -> Result<(), Error> {
        let Self { directions, streams, .. } = self;
        let direction = side.of_mut(directions);
        let decoder = &mut direction.decoder;
        if streams.client() == Some(side) {
            if streams.is_next(id) {
                decoder.restore(speculative.decoder);
            }
            return decoder.decode(block);
        }
        let read = decoder.decode(block);
        speculative.decoder.allow_as(decoder);
        let read_before = speculative.decoder.decode(block);
        speculative.blocks += 1;
        match streams.account(id, decoder.list(block), end_stream) {
            _ if read.is_err() || read_before.is_err() => {}
            MissedBlocks::None => decoder.restore(speculative.decoder),
            MissedBlocks::Unknown if speculative.blocks < BLOCKS_LIMIT => {
                direction.speculative = Some(speculative);
            }
            MissedBlocks::Unknown | MissedBlocks::Some => {}
        }
        read
    }
}
