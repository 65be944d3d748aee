//! Which bytes of which packets say what applications said, for exports that leave that out (`--redact`).
//!
//! What stays is what the sessions read as heads; the bytes of bodies, and all that was not read, is replaced. A body that is packed
//! together with what has to stay can't be: then the packets of its connection are left out.

use hashbrown::HashMap;
use rpcscope_parsers::Side;
use rpcscope_parsers::bodies::Masking;
use rpcscope_parsers::event::{BodyForm, BodyPiece, Event, Foreign};
use rpcscope_parsers::thrift::skip::Veil;

use super::checksum;
use super::ranges::Ranges;
use crate::decode::{FlowKey, Segment, Transport};
use crate::dispatch::{Conversation, DecodeAs, Sessions};
use crate::flow::{Chunk, End, Flow, Origin, Owner, Stamp};

/// Most ranges of bytes that are remembered, of 16 bytes each. Connections that come later are left out.
const MAX_RANGES: usize = 1 << 24;

/// Bytes at the beginning of an answer in another language that show which one it is, at least.
const FOREIGN_HEAD: usize = 64;

/// Why packets are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftOut {
    /// TLS: its bodies can't be replaced.
    Tls,
    /// Bodies that are compressed together with the head of their message, or in base64.
    Packed,
    /// Fragments of a datagram.
    Fragment,
    /// More ranges than are remembered.
    TooMuch,
}

impl LeftOut {
    /// In words, for the user.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Packed => "bodies that are packed together with the heads of their messages",
            Self::Fragment => "fragmented datagrams",
            Self::TooMuch => "too many values to be remembered",
        }
    }
}

/// What one side of a connection sent, by the offsets of its stream.
#[derive(Debug, Default)]
struct SideMarks {
    /// Sequence number of offset 0 (TCP).
    base: u32,
    /// What was read; everything else is replaced as what can't be read.
    shown: Ranges,
    /// What of it is replaced, in that way.
    veiled: [(Option<Veil>, Ranges); 4],
    /// What stays, whatever else is said of it: what shows that an answer is in another language.
    kept: Ranges,
    /// About where the next packet stands.
    near: u64,
}

impl SideMarks {
    /// Adds bytes that are replaced; says whether they take memory of their own.
    fn veil(&mut self, from: u64, len: u64, veil: Veil) -> bool {
        let slot = match veil {
            Veil::Zero => 0,
            Veil::Varint => 1,
            Veil::Flag => 2,
            Veil::Ones => 3,
        };
        self.veiled.get_mut(slot).is_some_and(|(kind, ranges)| {
            *kind = Some(veil);
            ranges.add(from, from + len)
        })
    }

    fn settle(&mut self) {
        self.shown.settle();
        self.kept.settle();
        self.veiled.iter_mut().for_each(|(_, ranges)| ranges.settle());
    }

    /// The offset of the byte with that sequence number, of all that have it the nearest; `None` before the stream.
    fn offset(&self, seq: u32) -> Option<u64> {
        let distance = seq.wrapping_sub(self.base.wrapping_add(self.near as u32)) as i32;
        self.near.checked_add_signed(i64::from(distance))
    }

    /// Replaces what is to be replaced in `bytes`, which begin at `offset`; as `sent` before.
    fn replace(&mut self, offset: u64, sent: &[u8], bytes: &mut [u8]) {
        let end = offset + bytes.len() as u64;
        let within = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
        let (mut at, mut any) = (offset, false);
        for (from, to) in self.shown.within(offset, end).chain([(end, end)]) {
            if let Some(hidden) = bytes.get_mut(within(at)..within(from)) {
                hidden.fill(Veil::Ones.over(0));
            }
            any |= from < to;
            at = to;
        }
        if any {
            self.near = self.near.max(end);
        }
        for (veil, ranges) in &self.veiled {
            let Some(veil) = veil else { continue };
            for (from, to) in ranges.within(offset, end) {
                for byte in bytes.get_mut(within(from)..within(to)).unwrap_or_default() {
                    *byte = veil.over(*byte);
                }
            }
        }
        for (from, to) in self.kept.within(offset, end) {
            let range = within(from)..within(to);
            if let (Some(bytes), Some(sent)) = (bytes.get_mut(range.clone()), sent.get(range)) {
                bytes.copy_from_slice(sent);
            }
        }
    }
}

/// A connection.
#[derive(Debug, Default)]
struct FlowMarks {
    /// Its first packet: the same ports may be used again.
    first: u64,
    sides: [SideMarks; 2],
    /// Offsets of datagrams by their packet (UDP).
    datagrams: HashMap<u64, u64>,
    left_out: Option<LeftOut>,
}

/// The connections of exported calls.
#[derive(Debug, Default)]
pub(super) struct Marks {
    flows: HashMap<FlowKey, Vec<FlowMarks>, foldhash::fast::RandomState>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written as it is.
    Same,
    /// It is written as it stands in the buffer.
    Replaced,
    /// It is left out.
    LeftOut(LeftOut),
}

impl Marks {
    /// What becomes of the packet with this segment and these bytes, a copy of which goes into `out`.
    pub(super) fn fate(&mut self, segment: &Segment<'_>, data: &[u8], out: &mut Vec<u8>) -> Fate {
        let flows = self.flows.get_mut(&segment.key).map(Vec::as_mut_slice).unwrap_or_default();
        let flow = flows.iter_mut().rev().find(|flow| flow.first <= segment.packet);
        if let Some(why) = flow.as_ref().and_then(|flow| flow.left_out) {
            return Fate::LeftOut(why);
        }
        if segment.payload.is_empty() {
            return Fate::Same;
        }
        // The payload of a datagram that was put together from fragments is not in the packet.
        let at = segment.payload.as_ptr().addr().wrapping_sub(data.as_ptr().addr());
        let Some(end) = at.checked_add(segment.payload.len()).filter(|end| *end <= data.len()) else {
            return Fate::LeftOut(LeftOut::Fragment);
        };
        out.clear();
        out.extend_from_slice(data);
        let payload = out.get_mut(at..end).unwrap_or_default();
        let marked = flow.and_then(|flow| {
            let side = segment.side.of_mut(&mut flow.sides);
            let offset = match segment.transport {
                Transport::Tcp(head) => side.offset(head.seq.wrapping_add(u32::from(head.flags.syn))),
                Transport::Udp { .. } => flow.datagrams.get(&segment.packet).copied(),
            };
            Some((side, offset?))
        });
        match marked {
            Some((side, offset)) => side.replace(offset, segment.payload, payload),
            None => payload.fill(Veil::Ones.over(0)),
        }
        checksum::update(out, at, segment);
        Fate::Replaced
    }
}

/// A connection that is being read.
pub(super) struct Slot {
    conversation: Conversation,
    marks: FlowMarks,
    masks: [Masking; 2],
    /// Bytes of each side that came before the protocol was known.
    pending: [Ranges; 2],
    /// A proxy stands in between: what it says comes before what the session is given.
    has_prelude: bool,
}

/// Reads connections and marks their bytes.
pub(super) struct Marker<'a> {
    pub(super) decode_as: &'a [DecodeAs],
    pub(super) marks: Marks,
    /// Ranges that were added.
    ranges: usize,
}

impl<'a> Marker<'a> {
    pub(super) fn new(decode_as: &'a [DecodeAs]) -> Self {
        Self { decode_as, marks: Marks::default(), ranges: 0 }
    }
}

impl Owner<Slot> for Marker<'_> {
    fn open(&mut self, flow: &Flow) -> Slot {
        Slot {
            conversation: Conversation::new(&flow.key, self.decode_as, None).marking_bodies(),
            marks: FlowMarks { first: flow.first.packet, ..FlowMarks::default() },
            masks: [Masking::default(), Masking::default()],
            pending: [Ranges::default(), Ranges::default()],
            has_prelude: false,
        }
    }

    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut Slot,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64 {
        let Slot { conversation, marks, masks, pending, has_prelude } = slot;
        let next = flow.origins[side.index()].next();
        if let Chunk::Data(bytes) | Chunk::Datagram { bytes, .. } = chunk {
            let from = next - bytes.len() as u64;
            self.ranges += usize::from(pending[side.index()].add(from, next));
            marks.sides[side.index()].base =
                flow.origin(side, from, origin).sequence.wrapping_sub(from as u32);
            if matches!(chunk, Chunk::Datagram { .. }) {
                marks.datagrams.insert(now.packet, from);
            }
        }
        let FlowMarks { sides, left_out, .. } = marks;
        let ranges = &mut self.ranges;
        let mut take = |from: Side, event: &Event<'_>, origin: Origin| match event {
            Event::BodyPiece(BodyPiece { form: BodyForm::Sealed, .. }) => *left_out = Some(LeftOut::Packed),
            Event::BodyPiece(piece) => {
                let side = from.of_mut(sides);
                from.of_mut(masks).take(piece, origin.offset, &mut |at, len, veil| {
                    *ranges += usize::from(side.veil(at, len, veil));
                });
            }
            Event::Foreign(Foreign { answer: Some(answer), .. }) => {
                let len = answer.detail.len().max(FOREIGN_HEAD) as u64;
                from.of_mut(sides).kept.add(origin.offset, origin.offset + len);
            }
            Event::Prelude(_) => *has_prelude = true,
            _ => {}
        };
        let needed = conversation.chunk(flow, side, chunk, origin, &mut Sessions::default(), &mut take);
        if conversation.tls().is_some() {
            *left_out = Some(LeftOut::Tls);
        } else if self.ranges > MAX_RANGES {
            *left_out = Some(LeftOut::TooMuch);
        }
        if let Some(start) = conversation.read_from() {
            for (side, (pending, start)) in sides.iter_mut().zip(pending.iter_mut().zip(start)) {
                let start = if *has_prelude { 0 } else { start };
                for (from, to) in std::mem::take(pending).within(start, u64::MAX) {
                    side.shown.add(from, to);
                }
            }
        }
        needed
    }

    fn close(&mut self, flow: &Flow, slot: &mut Slot, _why: End, _now: Stamp) {
        slot.marks.sides.iter_mut().for_each(SideMarks::settle);
        self.marks.flows.entry(flow.key).or_default().push(std::mem::take(&mut slot.marks));
    }
}
