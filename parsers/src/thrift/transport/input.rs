//! What every transport reads from: the bytes of one side, and what is known of the two peers.

use nom::Err;

use crate::error::{Error, ParseResult};
use crate::event::Side;
use crate::framed::Parsed;
use crate::thrift::types::{Encoding, MessageType};

/// What the two sides have shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) client: Option<Side>,
    /// The encoding of their last message under TTHeader, whose header does not name it.
    pub(crate) encoding: Option<Encoding>,
    /// A message under THeader had another sequence number than its header.
    pub(crate) own_ids: bool,
}

impl Peers {
    /// Learns from a message of this type which side is the client.
    pub(super) fn learn(&mut self, side: Side, message_type: MessageType) {
        if !message_type.is_answer() {
            self.client = Some(side);
        }
    }
}

/// The bytes of one side from which a message is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) side: Side,
    pub(crate) bytes: &'a [u8],
    /// What follows is missing: the parser returns what is certain.
    pub(crate) cut: bool,
}

impl Input<'_> {
    /// The same without the first `len` bytes.
    pub(crate) fn after(self, len: usize) -> Self {
        Self { bytes: self.bytes.get(len..).unwrap_or_default(), ..self }
    }

    /// What becomes of a frame of `total` bytes with an error in it. Where it is cut, its length is certain even if nothing
    /// else is, and the place of the next one stays known.
    pub(super) fn give_up<'p>(self, total: u64, error: Err<Error>) -> ParseResult<Parsed<'p>> {
        match error {
            Err::Incomplete(_) if self.cut => Ok(Parsed::Control { bytes: total }),
            error => Err(error),
        }
    }
}
