//! The short ways: a segment that simply continues its stream, and those that usually open and close a connection. Nearly all segments take
//! them; each does the same as the general way, and the tests hold one against the other.

use rpcscope_parsers::Side;

use super::super::half_stream::Delivery;
use super::super::lru::Queue;
use super::super::{Chunk, Flow, GapReason, Owner, Stamp};
use super::{Reassembly, TOUCH_TIME, Table};
use crate::decode::{FlowKey, KeyWords, Segment, TcpFlags, TcpHead, Transport};

/// A TCP segment apart from its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bare<'a> {
    /// The packet that completed it.
    pub(crate) stamp: Stamp,
    /// Who sent it.
    pub(crate) side: Side,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// Those of [`TcpFlags::MASK`]: one octet, as it is looked at and passed on for every packet.
    pub(crate) flags: u8,
    /// Captured payload.
    pub(crate) payload: &'a [u8],
    /// Payload bytes behind it that were not captured.
    pub(crate) missing: u32,
}

impl<'a> Bare<'a> {
    /// What is in a TCP segment.
    pub(crate) fn of(segment: &Segment<'a>) -> Option<Self> {
        let Transport::Tcp(TcpHead { seq, ack, flags }) = segment.transport else { return None };
        let Segment { side, payload, missing, .. } = *segment;
        Some(Self { stamp: segment.stamp(), side, seq, ack, flags: flags.octet(), payload, missing })
    }

    /// The same with its connection.
    fn of_connection(&self, key: FlowKey) -> Segment<'a> {
        let Self { stamp: Stamp { packet, time }, side, seq, ack, flags, payload, missing } = *self;
        let transport = Transport::Tcp(TcpHead { seq, ack, flags: TcpFlags::of(flags) });
        Segment { packet, time, key, side, transport, payload, missing }
    }

    /// Payload bytes on the wire.
    #[inline]
    pub(in super::super) fn wire_len(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.missing)
    }
}

impl<S> Table<S> {
    /// Takes the next segment of the capture.
    #[inline(never)]
    pub fn segment<O: Owner<S>>(&mut self, segment: &Segment<'_>, owner: &mut O) {
        self.set_clock(segment.time);
        let found = self.look_up(&segment.key);
        if let (Some(id), Some(bare)) = (found, Bare::of(segment))
            && self.short(id, &bare, owner)
        {
            return;
        }
        self.long(segment, found, owner);
    }

    /// The same for a segment over IPv4, of which the connection is looked up by its words and its key made only where it is needed. The
    /// clock is set before.
    #[inline]
    pub(crate) fn plain<O: Owner<S>>(&mut self, words: KeyWords, bare: &Bare<'_>, owner: &mut O) {
        let recent = self.recent(words);
        if recent.is_some_and(|id| self.short(id, bare, owner)) {
            return;
        }
        let found = recent.or_else(|| self.look_further(words));
        if recent.is_some() || !found.is_some_and(|id| self.short(id, bare, owner)) {
            self.long_plain(words, bare, found, owner);
        }
    }

    /// The same as [`Self::long`]. Apart, so that nothing of a segment is kept for it where a short way is enough.
    #[cold]
    #[inline(never)]
    fn long_plain<O: Owner<S>>(
        &mut self,
        words: KeyWords,
        bare: &Bare<'_>,
        found: Option<u32>,
        owner: &mut O,
    ) {
        self.long(&bare.of_connection(words.key()), found, owner);
    }

    /// Takes a segment if one of the short ways is enough; says whether it did.
    fn short<O: Owner<S>>(&mut self, id: u32, bare: &Bare<'_>, owner: &mut O) -> bool {
        let Some(entry) = self.lru.get_mut(id) else { return false };
        let Reassembly::Tcp(streams) = &mut entry.reassembly else { return false };
        let payload = bare.wire_len();
        if !streams.in_order(bare, &entry.flow) {
            return payload == 0 && self.turn(id, bare, owner);
        }
        let now = bare.stamp;
        entry.flow.count(bare.side, payload, now);
        let mut is_due = false;
        if payload > 0 {
            data(&mut entry.flow, &mut entry.slot, owner, bare);
            is_due = entry.grow(payload);
        }
        // Neither is before the other, nor before the year 1970.
        if self.clock.0.wrapping_sub(entry.touched.0) >= TOUCH_TIME as i64 {
            entry.touched = self.clock;
            self.lru.move_to_back(id, Queue::Open);
        }
        if is_due {
            self.weigh(id, now, owner);
        }
        true
    }

    /// The short way of a segment without payload with which a connection usually begins or ends: the answer to its SYN, a FIN behind
    /// everything that its side sent, and acknowledgements behind a FIN.
    #[inline(never)]
    fn turn<O: Owner<S>>(&mut self, id: u32, bare: &Bare<'_>, owner: &mut O) -> bool {
        let Bare { stamp: now, side, flags, .. } = *bare;
        let Some(entry) = self.lru.get_mut(id) else { return false };
        // Where the clock went back, the general way remembers the latest time.
        if now.time < entry.newest() {
            return false;
        }
        let was_closed = entry.is_closed();
        let Reassembly::Tcp(streams) = &mut entry.reassembly else { return false };
        let flow = &mut entry.flow;
        let is_usual = match flags {
            TcpFlags::SYN_ACK => streams.answers_syn(bare, flow),
            TcpFlags::ACK | TcpFlags::FIN_ACK => streams.turns(bare, flow),
            _ => false,
        };
        if !is_usual {
            return false;
        }
        entry.flow.count(side, 0, now);
        if flags == TcpFlags::FIN_ACK {
            let mut to =
                Delivery { flow: &mut entry.flow, slot: &mut entry.slot, owner, now, past_hole: None };
            streams.pass_fin(side, &mut to);
        }
        if was_closed {
            return true;
        }
        let is_closed = entry.is_closed();
        if is_closed || self.clock.since(entry.touched) >= TOUCH_TIME {
            entry.touched = self.clock;
            self.lru.move_to_back(id, if is_closed { Queue::Lingering } else { Queue::Open });
        }
        if is_closed {
            self.weigh(id, now, owner);
        }
        true
    }
}

/// Delivers the payload of a segment that is next in its stream, as [`Delivery::chunk`] does: apart, so that nothing on the way asks what
/// kind of chunk it is.
#[expect(clippy::inline_always, reason = "what is in the segment then stays in registers")]
#[inline(always)]
fn data<S, O: Owner<S>>(flow: &mut Flow, slot: &mut S, owner: &mut O, bare: &Bare<'_>) {
    let Bare { stamp: now, side, seq, payload: bytes, missing, .. } = *bare;
    let len = bytes.len() as u64;
    if !bytes.is_empty() {
        flow.origins[side.index()].pass(seq, len, now);
        let needed = owner.chunk(flow, slot, side, Chunk::Data(bytes), now, now);
        flow.origins[side.index()].keep(needed, len, now);
    }
    if missing > 0 {
        let mut to = Delivery { flow, slot, owner, now, past_hole: None };
        let gap = Chunk::Gap { bytes: u64::from(missing), reason: GapReason::Cut };
        to.chunk(side, gap, seq.wrapping_add(len as u32), u64::from(missing), now);
    }
}
