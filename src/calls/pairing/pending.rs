//! A call that waits for its end.

use rpcscope_parsers::{CallId, Side};

use crate::calls::outcome::Decision;
use crate::calls::record::Call;

/// A call that waits for its end.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: CallId,
    pub(super) call: Box<Call>,
    /// The caller's side.
    pub(super) client: Side,
    /// What the answer says, while its last bytes are still to come.
    pub(super) answer: Option<Box<Decision>>,
    /// Stream messages may follow: their numbers decide the kind of the call.
    pub(super) stream: bool,
    /// The answer may stand in bytes that are missing: silence proves nothing.
    pub(super) answer_lost: bool,
    /// The caller may have broken the stream off in bytes that are missing, before the answer.
    pub(super) reset_lost: bool,
    /// The payload of the request is missing, and with it whether an answer is due.
    pub(super) type_unread: bool,
    /// The answer began with this HTTP status, which fails the call unless a status of the RPC follows.
    pub(super) http_error: Option<u16>,
    /// The answer began with an HTTP status that can't be read: it may be one of failure.
    pub(super) status_unread: bool,
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
            stream: false,
            answer_lost: false,
            reset_lost: false,
            type_unread: false,
            http_error: None,
            last_message: 0,
            status_unread: false,
        }
    }
}
