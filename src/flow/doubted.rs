//! A segment that does not fit to the connection between its ports: corrupt, forged, or the first of another connection.
//!
//! Which of them shows the next segment: if it fits to this one and not to the connection, both are of another one.

use rpcscope_parsers::Side;

use super::Stamp;
use crate::decode::{FlowKey, Segment, TcpHead, Transport};

/// The segment.
#[derive(Debug)]
pub(super) struct Doubted {
    stamp: Stamp,
    side: Side,
    head: TcpHead,
    payload: Vec<u8>,
    missing: u32,
    /// There was room for its payload.
    whole: bool,
}

impl Doubted {
    /// Keeps a segment, with its payload if both take no more than `room` bytes; nothing if there is no room at all.
    pub(super) fn of(segment: &Segment<'_>, head: &TcpHead, room: usize) -> Option<Self> {
        let room = room.checked_sub(size_of::<Self>())?;
        let whole = segment.payload.len() <= room;
        let payload = if whole { segment.payload.to_vec() } else { Vec::new() };
        let missing = segment.wire_len() as u32 - payload.len() as u32;
        Some(Self { stamp: segment.stamp(), side: segment.side, head: *head, payload, missing, whole })
    }

    /// Bytes of memory held back.
    pub(super) fn held(&self) -> usize {
        self.payload.len() + size_of::<Self>()
    }

    /// The sequence number behind it.
    fn end(&self) -> u32 {
        let flags = self.head.flags;
        let len = self.payload.len() as u32 + self.missing + u32::from(flags.syn) + u32::from(flags.fin);
        self.head.seq.wrapping_add(len)
    }

    /// Whether a segment goes on where this one ends, or answers it.
    pub(super) fn fits(&self, side: Side, head: &TcpHead, payload: u64) -> bool {
        let begins = self.head.flags.syn;
        if side == self.side {
            head.seq == self.end() && (payload > 0 || begins)
        } else {
            head.flags.ack && head.ack == self.end() && (head.seq == self.head.ack || !self.head.flags.ack)
        }
    }

    /// The segment again, if it was kept whole.
    pub(super) fn segment(&self, key: FlowKey) -> Option<Segment<'_>> {
        let Self { stamp: Stamp { packet, time }, side, missing, .. } = *self;
        let transport = Transport::Tcp(self.head);
        let segment = Segment { packet, time, key, side, transport, payload: &self.payload, missing };
        self.whole.then_some(segment)
    }
}
