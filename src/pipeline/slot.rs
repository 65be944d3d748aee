//! What is kept of a connection between its chunks.

use std::sync::Arc;

use rpcscope_parsers::Side;

use crate::calls::pairing::PendingCalls;
use crate::calls::record::Via;
use crate::dispatch::Conversation;
use crate::time::Timestamp;

/// Connections whose room is kept.
const MAX_SPARE: usize = 256;

/// What the table keeps for each connection.
pub(super) struct Slot {
    pub(super) conversation: Conversation,
    pub(super) calls: Calls,
}

/// The calls of a connection.
pub(super) enum Calls {
    /// Boxed, because closed connections are remembered for a while, and most connections of a busy capture are closed.
    Open(Box<PendingCalls>),
    /// Both sides have ended, and no call waits.
    Over {
        client: Option<Side>,
        /// How many there were, and how many of them failed.
        decided: u64,
        failed: u64,
        via: Option<Arc<Via>>,
    },
}

/// Room for the calls of connections to come: allocating it takes longer than filling it in.
#[derive(Default)]
pub(super) struct Spare(
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")] Vec<Box<PendingCalls>>,
);

impl Spare {
    /// Room for one connection.
    pub(super) fn take(&mut self) -> Box<PendingCalls> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps the room of a connection that is over.
    fn keep(&mut self, mut room: Box<PendingCalls>) {
        if self.0.len() < MAX_SPARE {
            *room = PendingCalls::default();
            self.0.push(room);
        }
    }
}

impl Calls {
    /// Those that wait, unless none can any more.
    pub(super) fn pending(&mut self) -> Option<&mut PendingCalls> {
        match self {
            Self::Open(pending) => Some(pending),
            Self::Over { .. } => None,
        }
    }

    /// Both sides have ended.
    pub(super) fn finish(&mut self, spare: &mut Spare) {
        let Self::Open(pending) = self else { return };
        pending.finish();
        if pending.is_settled() {
            let (client, via) = (pending.client(), pending.via().cloned());
            let over = Self::Over { client, decided: pending.decided, failed: pending.failed, via };
            if let Self::Open(pending) = std::mem::replace(self, over) {
                spare.keep(pending);
            }
        }
    }

    /// About how many bytes of memory they take, in addition to their own size.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Open(pending) => pending.memory(),
            Self::Over { .. } => 0,
        }
    }

    /// Frees room that is not needed now.
    pub(super) fn shrink(&mut self) {
        if let Self::Open(pending) = self {
            pending.shrink();
        }
    }

    pub(super) fn client(&self) -> Option<Side> {
        match self {
            Self::Open(pending) => pending.client(),
            Self::Over { client, .. } => *client,
        }
    }

    /// Reads what the next event will need; the sum means nothing.
    pub(super) fn warm(&self) -> u64 {
        match self {
            Self::Open(pending) => pending.warm(),
            Self::Over { .. } => 0,
        }
    }

    pub(super) fn decided(&self) -> u64 {
        match self {
            Self::Open(pending) => pending.decided,
            Self::Over { decided, .. } => *decided,
        }
    }

    pub(super) fn failed(&self) -> u64 {
        match self {
            Self::Open(pending) => pending.failed,
            Self::Over { failed, .. } => *failed,
        }
    }

    /// What the connection came through.
    pub(super) fn via(&self) -> Option<&Arc<Via>> {
        match self {
            Self::Open(pending) => pending.via(),
            Self::Over { via, .. } => via.as_ref(),
        }
    }

    /// Start of the oldest one that waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        match self {
            Self::Open(pending) => pending.oldest(),
            Self::Over { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{HANDSHAKE, Table};

    /// Each of these is there once for every open connection: proxies hold 100,000 of them, and what few connections need
    /// belongs in a box.
    #[test]
    fn what_every_connection_takes_is_small() {
        let handshake = HANDSHAKE;
        assert!(handshake <= 200, "a connection with nothing but its handshake: {handshake}");
        let connection = Table::<Slot>::CONNECTION;
        assert!(connection <= 512, "its place in the table: {connection}");
        let calls = size_of::<PendingCalls>();
        assert!(calls <= 184, "its calls: {calls}");
        for protocol in rpcscope_parsers::all() {
            let bound = match protocol.name() {
                // Its header tables have room for the fields of usual requests.
                "http2" => 4096,
                "http1" => 384,
                _ => 208,
            };
            let session = protocol.session().memory();
            assert!(session <= bound, "its session, {}: {session}", protocol.name());
        }
    }
}
