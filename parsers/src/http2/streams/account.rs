//! Whether header blocks can be missing where bytes are.

use super::super::hpack::List;
use super::stream::Claim;
use super::{Streams, http_status};
use crate::message::Side;

/// What a header block of the callee shows of the bytes that are missing before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Account {
    /// No header block was among them.
    Settled,
    /// There may have been.
    Open,
    /// There was, or it will never be known.
    Missed,
}

impl Streams {
    /// Bytes of `side` are missing, for the first time if `fresh`, and header blocks of it may be among them. `false` if it
    /// can't be told later that there were none: streams are open, or were, of which nothing is known here.
    pub(in super::super) fn suspect(&mut self, side: Side, fresh: bool) -> bool {
        if self.foreign || self.last == 0 {
            return false;
        }
        if self.client == Some(side) {
            return true;
        }
        if self.client.is_none() || !self.knows_all() {
            return false;
        }
        if fresh {
            self.unaccounted = false;
        }
        for stream in self.open.values_mut() {
            stream.suspect = stream.claim != Claim::Done;
        }
        true
    }

    /// Whether every stream is known on which the callee may have something to say. What it said in missing bytes it said
    /// on streams that were told here before what follows them: both sides come in causal order.
    fn knows_all(&self) -> bool {
        let all_seen = self.from_start && self.unseen.is_empty() && !self.gap_after_last;
        all_seen && !self.foreign && !self.abandoned
    }

    /// Whether a new stream with that number shows that no other was opened since the last one.
    pub(in super::super) fn is_next(&self, id: u32) -> bool {
        !self.foreign && self.last != 0 && id == self.last + 2
    }

    /// Takes account of a header block of the callee before it is told.
    pub(in super::super) fn account(&mut self, id: u32, list: List<'_>, end_stream: bool) -> Account {
        let http = http_status(list);
        if let Some(stream) = self.open.get_mut(&id).filter(|stream| stream.suspect) {
            // An answer has one block with a status, which is its first, and ends with its second.
            let first = http.is_some_and(|code| code >= 200);
            let goes_on = if stream.began { end_stream && http.is_none() } else { first };
            if !goes_on {
                return Account::Missed;
            }
            stream.suspect = false;
        }
        if self.unaccounted || !self.knows_all() {
            return Account::Missed;
        }
        if self.open.values().any(|stream| stream.suspect) { Account::Open } else { Account::Settled }
    }
}
