//! What becomes of a table when bytes between frames are missing.
//!
//! A header block among them may have changed it, so it is as good as lost. But often it can be shown later that there was
//! none: of a client, because the next request has the very next stream number, and gRPC knows no trailers of a request
//! (PROTOCOL-HTTP2); of a server, because every stream to which it may have said something goes on with what it had to say
//! next. Then the table is the one from before. Drops in the middle of large messages, the usual ones, cost nothing so.

use super::super::frame::{self, Head};
use super::super::hpack::{Decoder, Fault};
use super::super::streams::Account;
use super::{Http2Session, Phase};
use crate::message::Side;

/// Most header blocks read with both tables before the old one is given up.
const BLOCKS_LIMIT: u32 = 256;

/// A decoder that is right if no header block is missing.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) decoder: Decoder,
    blocks: u32,
}

impl Http2Session {
    /// Bytes of `side` are missing, and frames may be among them. What the table was, if that can turn out to be right.
    pub(super) fn doubt(&mut self, side: Side) -> Option<Box<Doubt>> {
        let lane = self.lane(side);
        let before = lane.doubt.take();
        let known = lane.block.is_none() && (before.is_some() || lane.phase == Phase::Frames);
        if !known || !self.streams.suspect(side, before.is_none()) {
            return None;
        }
        let fork = |decoder: Decoder| Box::new(Doubt { decoder, blocks: 0 });
        before.or_else(|| Some(fork(self.lane(side).decoder.fork())))
    }

    /// Frames of `side` are seen again: what streams were opened meanwhile may have been answered in what was passed over.
    pub(super) fn widen_doubt(&mut self, side: Side) {
        if self.lane(side).doubt.is_some() && !self.streams.suspect(side, false) {
            self.lane(side).doubt = None;
        }
    }

    /// Reads a whole header block with the decoder of `side`.
    pub(super) fn decode(&mut self, side: Side, head: Head, block: &[u8]) -> Result<(), Fault> {
        let lane = self.lane(side);
        let Some(mut doubt) = lane.doubt.take_if(|_| head.kind == frame::HEADERS) else {
            lane.doubt = None;
            return lane.decoder.decode(block);
        };
        if self.streams.client() == Some(side) {
            if self.streams.is_next(head.stream) {
                self.lane(side).decoder.restore(doubt.decoder);
            }
            return self.lane(side).decoder.decode(block);
        }
        let decoder = &mut side.of_mut(&mut self.lanes).decoder;
        let read = decoder.decode(block);
        doubt.decoder.allow_as(decoder);
        let read_before = doubt.decoder.decode(block);
        doubt.blocks += 1;
        match self.streams.account(head.stream, decoder.list(block), head.has(frame::END_STREAM)) {
            _ if read.is_err() || read_before.is_err() => {}
            Account::Settled => decoder.restore(doubt.decoder),
            Account::Open if doubt.blocks < BLOCKS_LIMIT => self.lane(side).doubt = Some(doubt),
            Account::Open | Account::Missed => {}
        }
        read
    }
}
