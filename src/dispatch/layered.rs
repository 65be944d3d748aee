//! A connection in TLS, and the conversation inside of it.

use rpcscope_parsers::{Event, Side};

use super::undecided::Undecided;
use super::{Conversation, Sessions, State, Take};
use crate::flow::{Chunk, Flow, GapReason, Stamp};
use crate::tls::{Connection, Facts, Passed, Reason};

/// Bytes that stood in records of TLS.
#[derive(Clone, Debug)]
pub struct Plaintext {
    /// Who sent them.
    pub side: Side,
    /// Where they begin, counted in plaintext of that side.
    pub offset: u64,
    /// The packet in which they began.
    pub packet: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The connection on the outside.
enum Outside {
    Open(Box<Connection>),
    /// Both sides have ended.
    Over(Facts),
}

/// TLS, and what is inside.
pub(super) struct Layered {
    outside: Outside,
    pub(super) inner: Conversation,
    /// What was read, if that is kept.
    plaintext: Option<Vec<Plaintext>>,
}

impl Layered {
    /// Begins with what was kept of a connection that has turned out to be TLS.
    pub(super) fn begin(kept: &Undecided, flow: &Flow, origin: Stamp, take: &mut Take<'_>) -> Self {
        let start = [Side::A, Side::B].map(|side| kept.kept_from(flow, side));
        let outside = Connection::new(flow, kept.from_start, kept.tls.keys.clone());
        let mut layered = Self {
            outside: Outside::Open(Box::new(outside)),
            inner: Conversation { state: State::silent(kept.forced, kept.wanted) },
            plaintext: kept.tls.keeps_plaintext.then(Vec::new),
        };
        let mut done = [0usize; 2];
        for chunk in &kept.chunks {
            let side = chunk.side.index();
            let from = done[side];
            done[side] += chunk.len;
            if let Some(bytes) = kept.bytes[side].get(from..done[side]) {
                let offset = start[side] + from as u64;
                let stamp = flow.origin(chunk.side, offset, origin).stamp;
                layered.pass(flow, chunk.side, offset, Chunk::Data(bytes), stamp, take);
            }
        }
        layered
    }

    /// Takes the next chunk. No origin of the outer stream is asked for later.
    pub(super) fn chunk(
        &mut self,
        flow: &Flow,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        take: &mut Take<'_>,
    ) -> u64 {
        let len = match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Gap { bytes, .. } => bytes,
            Chunk::Datagram { .. } | Chunk::End(_) => 0,
        };
        let offset = flow.origins[side.index()].next().saturating_sub(len);
        self.pass(flow, side, offset, chunk, origin, take);
        u64::MAX
    }

    fn pass(
        &mut self,
        flow: &Flow,
        side: Side,
        offset: u64,
        chunk: Chunk<'_>,
        origin: Stamp,
        take: &mut Take<'_>,
    ) {
        let Self { outside, inner, plaintext } = self;
        let Outside::Open(outside) = outside else { return };
        outside.chunk(flow, side, offset, chunk, origin, &mut |flow, side, chunk, origin| {
            give(inner, plaintext, flow, side, chunk, origin, take)
        });
    }

    pub(super) fn wake(&mut self, flow: &Flow, take: &mut Take<'_>) -> Passed {
        let Self { outside, inner, plaintext } = self;
        let Outside::Open(outside) = outside else { return Passed::All };
        outside.wake(flow, &mut |flow, side, chunk, origin| {
            give(inner, plaintext, flow, side, chunk, origin, take)
        })
    }

    pub(super) fn settle(&mut self, flow: &Flow) {
        if let Outside::Open(outside) = &mut self.outside {
            outside.settle(flow);
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(&self.outside, Outside::Open(outside) if outside.is_waiting())
    }

    pub(super) fn memory(&self) -> usize {
        let outside = match &self.outside {
            Outside::Open(outside) => size_of::<Connection>() + outside.memory(),
            Outside::Over(_) => 0,
        };
        size_of::<Self>() + outside + self.inner.memory()
    }

    pub(super) fn facts(&self) -> Facts {
        match &self.outside {
            Outside::Open(outside) => outside.facts(),
            Outside::Over(facts) => facts.clone(),
        }
    }

    pub(super) fn reason(&self, has_calls: bool) -> Option<&'static str> {
        let reason = match &self.outside {
            Outside::Open(outside) => outside.reason(),
            Outside::Over(facts) => facts.reason,
        };
        let inside = || match &self.inner.state {
            State::Silent { .. } => Some("TLS without application data"),
            _ => self.inner.reason(has_calls),
        };
        reason.map(Reason::words).or_else(inside)
    }

    pub(super) fn client(&self) -> Option<Side> {
        let outside = match &self.outside {
            Outside::Open(outside) => outside.client(),
            Outside::Over(_) => None,
        };
        self.inner.client().or(outside)
    }

    pub(super) fn finish(&mut self, sessions: &mut Sessions) {
        self.inner.finish(sessions);
        self.outside = Outside::Over(self.facts());
    }

    pub(super) fn take_plaintext(&mut self) -> Vec<Plaintext> {
        self.plaintext.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// Hands plaintext to the conversation inside; `flow` is the connection as seen from there.
fn give(
    inner: &mut Conversation,
    plaintext: &mut Option<Vec<Plaintext>>,
    flow: &Flow,
    side: Side,
    chunk: Chunk<'_>,
    origin: Stamp,
    mut take: &mut Take<'_>,
) -> u64 {
    if let (Some(plaintext), Chunk::Data(bytes)) = (plaintext, chunk) {
        let offset = flow.origins[side.index()].next() - bytes.len() as u64;
        plaintext.push(Plaintext { side, offset, packet: origin.packet, bytes: bytes.to_vec() });
    }
    if let Chunk::Gap { reason: GapReason::Sealed, .. } = chunk {
        let start = flow.origins[side.index()].next();
        take(side, &Event::Sealed { start }, flow.origin(side, start, origin));
    }
    inner.chunk(flow, side, chunk, origin, &mut Sessions::default(), &mut take)
}
