//! DATA on a connection of which neither a request nor an answer was captured, so that nothing shows who called: a stream that runs
//! through all of the capture. Two messages prove that it is one of gRPC. It is reported when its sender ends.

use std::collections::BTreeMap;

use super::messages::Span;
use crate::event::Side;

/// The most streams remembered.
const STREAMS_LIMIT: usize = 256;

/// Messages that prove that a stream is of gRPC where nothing else does.
const PROOF: u32 = 2;

/// The DATA of one side of a stream, and the messages in it.
pub(super) type Data = (Span, u32);

/// Streams of which only DATA was seen.
#[derive(Debug, Default)]
pub(super) struct Unplaced {
    streams: BTreeMap<u32, [Option<Data>; 2]>,
    /// Where the first of them begins on each side.
    oldest: [Option<u64>; 2],
}

impl Unplaced {
    /// Adds a DATA frame in which that many messages ended. What comes before the first whole message is none of a stream's yet.
    pub(super) fn add(&mut self, id: u32, span: Span, messages: u32) {
        let full = self.streams.len() >= STREAMS_LIMIT;
        let known = self.streams.contains_key(&id);
        if (messages == 0 || full) && !known {
            return;
        }
        let data = span.side.of_mut(self.streams.entry(id).or_default());
        let (whole, before) = data.get_or_insert((Span { bytes: 0, ..span }, 0));
        whole.bytes += span.bytes;
        *before = before.saturating_add(messages);
        span.side.of_mut(&mut self.oldest).get_or_insert(span.start);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The first byte of `side` in them.
    pub(super) fn oldest(&self, side: Side) -> Option<u64> {
        *side.of(&self.oldest)
    }

    /// Takes what `side` sent on streams that are proved to be of gRPC.
    pub(super) fn take(&self, side: Side) -> Vec<(u32, Data)> {
        let mut taken = Vec::new();
        for (id, data) in &self.streams {
            let messages: u32 = data.iter().flatten().map(|(_, messages)| messages).sum();
            if messages >= PROOF
                && let Some(data) = *side.of(data)
            {
                taken.push((*id, data));
            }
        }
        taken
    }

    /// Somebody was seen to call: the streams go their own ways.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
