//! The proof that no header block is among missing bytes.
//!
//! - Of a client: the next request has the very next stream number, and gRPC knows no trailers of a request
//!   (PROTOCOL-HTTP2).
//! - Of a server: every stream on which it may have sent a block goes on with the block that was due before the gap. An
//!   answer has one block with a status, which is its first, and ends with its second. Streams that may have had one are
//!   *suspect* until then.

use super::super::hpack::List;
use super::Streams;
use super::messages::http_status;
use super::stream::{Response, State};
use crate::event::Side;

/// Whether header blocks of the callee are among missing bytes, as far as its blocks after them show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum MissedBlocks {
    /// None is.
    None,
    /// Not known yet.
    Unknown,
    /// One is, or it will never be known.
    Some,
}

/// What the callee may have sent header blocks on besides the streams that are followed. Each has all of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Untracked {
    /// Nothing.
    #[default]
    Nothing,
    /// Streams that the client has broken off.
    Broken,
    /// Streams that were passed because they are no calls, or that were evicted. Requests on them may have had trailers.
    Streams,
}

/// Whether it can still be proved that none of the callee's header blocks is among the bytes that were lost last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Proof {
    /// It can.
    #[default]
    Possible,
    /// A suspect stream is over and never went on.
    Failed,
}

impl Streams {
    /// Bytes of `side` are missing, for the first time if `fresh`, and header blocks of it may be among them. `false` if it
    /// can't be proved later that there were none.
    pub(in super::super) fn suspect(&mut self, side: Side, fresh: bool) -> bool {
        if self.untracked == Untracked::Streams || !self.numbers.any() {
            return false;
        }
        if self.client == Some(side) {
            return true;
        }
        if self.client.is_none() || !self.tracks_all() {
            return false;
        }
        if fresh {
            self.proof = Proof::Possible;
        }
        for stream in self.open.values_mut() {
            stream.suspect = !matches!(stream.state, State::Done);
        }
        true
    }

    /// Whether every stream is followed on which the callee may have something to say. The opening of a stream comes before
    /// the answer to it, since both sides are seen in causal order.
    fn tracks_all(&self) -> bool {
        self.untracked == Untracked::Nothing && self.numbers.all_seen()
    }

    /// Whether a new stream with that number proves that no other was opened since the last one.
    pub(in super::super) fn is_next(&self, id: u32) -> bool {
        self.untracked != Untracked::Streams && self.numbers.is_next(id)
    }

    /// Takes account of a header block of the callee before it is read.
    pub(in super::super) fn account(&mut self, id: u32, list: List<'_>, end_stream: bool) -> MissedBlocks {
        let http = http_status(list);
        if let Some(stream) = self.open.get_mut(id).filter(|stream| stream.suspect) {
            let goes_on = match stream.response {
                Response::Begun => end_stream && http.is_none(),
                Response::Awaited => http.is_some_and(|code| code >= 200),
            };
            if !goes_on {
                return MissedBlocks::Some;
            }
            stream.suspect = false;
        }
        if self.proof == Proof::Failed || !self.tracks_all() {
            return MissedBlocks::Some;
        }
        let suspect = self.open.values().any(|stream| stream.suspect);
        if suspect { MissedBlocks::Unknown } else { MissedBlocks::None }
    }
}
