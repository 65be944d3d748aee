//! A call that waits for its end.

use rpcscope_parsers::{CallId, Side};

use crate::calls::outcome::Outcome;
use crate::calls::record::{Call, Findings};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One message.
    Message,
    /// One message whose payload is missing, and with it whether an answer is due.
    Unread,
    /// Stream messages may follow: their numbers decide the kind of the call.
    Stream,
}

/// With which HTTP status the answer has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// None that decides anything.
    Well,
    /// One that fails the call unless a status of the RPC follows.
    Failed(u16),
    /// One that can't be read: it may be one of failure.
    Unread,
}

/// A call that waits for its end.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: CallId,
    pub(super) call: Box<Call>,
    /// The caller's side.
    pub(super) client: Side,
    /// What is remarkable about the answer, while its last bytes are still to come; the record has the outcome.
    pub(super) answer: Option<Findings>,
    pub(super) asked: Asked,
    pub(super) began: Began,
    /// The answer may stand in bytes that are missing: silence proves nothing.
    pub(super) answer_lost: bool,
    /// The caller may have broken the stream off in bytes that are missing, before the answer.
    pub(super) reset_lost: bool,
    /// The packet with the callee's last message of a stream.
    pub(super) last_message: u64,
}

impl Pending {
    /// A call that `client` has opened, with nothing known yet of its answer.
    #[inline]
    pub(super) fn new(id: CallId, call: Box<Call>, client: Side) -> Self {
        Self {
            id,
            call,
            client,
            answer: None,
            asked: Asked::Message,
            began: Began::Well,
            answer_lost: false,
            reset_lost: false,
            last_message: 0,
        }
    }

    /// Whether stream messages may follow.
    pub(super) fn is_stream(&self) -> bool {
        self.asked == Asked::Stream
    }

    /// The call has this outcome, whatever its answer has begun to say.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if self.answer.take().is_some() {
            self.call.outcome = outcome;
        } else {
            self.call.outcome.settle(outcome);
        }
    }
}
