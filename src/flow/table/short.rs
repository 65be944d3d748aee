//! The short ways: a segment that simply continues its stream, and those that usually open and close a connection. Nearly all segments take
//! them; each does the same as the general way, and the tests hold one against the other.

use rpcscope_parsers::Side;

use super::super::half_stream::Delivery;
use super::super::lru::Queue;
use super::super::{Chunk, GapReason, Owner, Stamp};
use super::{Entry, Reassembly, TOUCH_TIME, Table};
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

/// What a segment takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One of the short ways, which it has gone.
    Short,
    /// The same, and its connection is to be weighed.
    Weighed,
    /// More than that.
    Long,
}

impl<S> Table<S> {
    /// Takes the next segment of the capture.
    #[inline(never)]
    pub fn segment<O: Owner<S>>(&mut self, segment: &Segment<'_>, owner: &mut O) {
        self.set_clock(segment.time);
        let found = self.look_up(&segment.key);
        if let (Some(id), Some(bare)) = (found, Bare::of(segment)) {
            match self.short(id, &bare, owner) {
                Way::Short => return,
                Way::Weighed => return self.weigh(id, bare.stamp, owner),
                Way::Long => {}
            }
        }
        self.long(segment, found, owner);
    }

    /// The same for a segment over IPv4, of which the connection is looked up by its words and its key made only where it is needed. The
    /// clock is set before.
    #[inline]
    pub(crate) fn plain<O: Owner<S>>(&mut self, words: KeyWords, bare: Bare<'_>, owner: &mut O) {
        let Some(id) = self.recent(words) else { return self.plain_elsewhere(words, bare, owner) };
        let way = self.usual(id, &bare, owner);
        if way != Way::Short {
            self.plain_further(words, bare, (id, way), owner);
        }
    }

    /// The same for a connection that is not among the recent ones. Apart, as everything that is rare, so that nothing of a segment is kept
    /// for it where the usual way is enough.
    #[inline(never)]
    fn plain_elsewhere<O: Owner<S>>(&mut self, words: KeyWords, bare: Bare<'_>, owner: &mut O) {
        match self.look_further(words) {
            Some(id) => {
                let way = self.short(id, &bare, owner);
                self.plain_further(words, bare, (id, way), owner);
            }
            None => self.long(&bare.of_connection(words.key()), None, owner),
        }
    }

    /// What is left to be done of a segment that went that way.
    #[cold]
    #[inline(never)]
    fn plain_further<O: Owner<S>>(
        &mut self,
        words: KeyWords,
        bare: Bare<'_>,
        (id, way): (u32, Way),
        owner: &mut O,
    ) {
        match way {
            Way::Short => {}
            Way::Weighed => self.weigh(id, bare.stamp, owner),
            Way::Long => self.long(&bare.of_connection(words.key()), Some(id), owner),
        }
    }

    /// See [`Self::usual`].
    #[inline(never)]
    fn short<O: Owner<S>>(&mut self, id: u32, bare: &Bare<'_>, owner: &mut O) -> Way {
        self.usual(id, bare, owner)
    }

    /// Takes a segment if one of the short ways is enough. What is not a mere acknowledgement goes on in functions of its own, which take the
    /// segment as a whole: until then, it is in registers.
    #[expect(clippy::inline_always, reason = "what is in the segment then stays in registers")]
    #[inline(always)]
    fn usual<O: Owner<S>>(&mut self, id: u32, bare: &Bare<'_>, owner: &mut O) -> Way {
        let clock = self.clock;
        let Some(mut entry) = self.lru.get_mut(id) else { return Way::Long };
        let Reassembly::Tcp(streams) = &mut entry.reassembly else { return Way::Long };
        let payload = bare.wire_len();
        if !streams.in_order(bare, &entry.flow) {
            return if payload == 0 { self.turn(id, *bare, owner) } else { Way::Long };
        }
        entry.flow.count(bare.side, payload, bare.stamp);
        // Neither is before the other, nor before the year 1970.
        if clock.0.wrapping_sub(entry.touched.0) >= TOUCH_TIME as i64 {
            let Some(touched) = self.touch(id) else { return Way::Short };
            entry = touched;
        }
        if payload == 0 { Way::Short } else { data(entry, *bare, owner) }
    }

    /// Moves a connection to the back of the queue of those in use.
    #[cold]
    #[inline(never)]
    fn touch(&mut self, id: u32) -> Option<&mut Entry<S>> {
        self.lru.move_to_back(id, Queue::Open);
        let entry = self.lru.get_mut(id)?;
        entry.touched = self.clock;
        Some(entry)
    }

    /// The short way of a segment without payload with which a connection usually begins or ends: the answer to its SYN, a FIN behind
    /// everything that its side sent, and acknowledgements behind a FIN.
    #[inline(never)]
    fn turn<O: Owner<S>>(&mut self, id: u32, bare: Bare<'_>, owner: &mut O) -> Way {
        let Bare { stamp: now, side, flags, .. } = bare;
        let Some(entry) = self.lru.get_mut(id) else { return Way::Long };
        // Where the clock went back, the general way remembers the latest time.
        if now.time < entry.newest() {
            return Way::Long;
        }
        let was_closed = entry.is_closed();
        let Reassembly::Tcp(streams) = &mut entry.reassembly else { return Way::Long };
        let flow = &mut entry.flow;
        let is_usual = match flags {
            TcpFlags::SYN_ACK => streams.answers_syn(&bare, flow),
            TcpFlags::ACK | TcpFlags::FIN_ACK => streams.turns(&bare, flow),
            _ => false,
        };
        if !is_usual {
            return Way::Long;
        }
        entry.flow.count(side, 0, now);
        if flags == TcpFlags::FIN_ACK {
            let mut to =
                Delivery { flow: &mut entry.flow, slot: &mut entry.slot, owner, now, past_hole: None };
            streams.pass_fin(side, &mut to);
        }
        if was_closed {
            return Way::Short;
        }
        let is_closed = entry.is_closed();
        if is_closed || self.clock.since(entry.touched) >= TOUCH_TIME {
            entry.touched = self.clock;
            self.lru.move_to_back(id, if is_closed { Queue::Lingering } else { Queue::Open });
        }
        if is_closed {
            self.weigh(id, now, owner);
        }
        Way::Short
    }
}

/// Delivers the payload of a segment that is next in its stream, as [`Delivery::chunk`] does: nothing on the way asks what kind of chunk it
/// is.
#[inline(never)]
fn data<S, O: Owner<S>>(entry: &mut Entry<S>, bare: Bare<'_>, owner: &mut O) -> Way {
    let Entry { flow, slot, .. } = entry;
    let Bare { stamp: now, side, seq, payload: bytes, missing, .. } = bare;
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
    if entry.grow(bare.wire_len()) { Way::Weighed } else { Way::Short }
}
