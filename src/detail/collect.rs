//! Reads the packets of a call's connection again and keeps what the pipeline drops.

use std::num::NonZeroU32;
use std::sync::Arc;

use rpcscope_parsers::event::Answer;
use rpcscope_parsers::{CallId, Event, Kind, Side, Status};

use super::{Detail, MAX_BYTES, MAX_HEADERS, MAX_MESSAGES, MAX_PACKETS, Message, Segment, frames};
use crate::calls::record::Call;
use crate::decode::{Decoded, Decoder, FlowKey, TcpFlags, Transport};
use crate::dispatch::{Conversation, DecodeAs, Plaintext, Sessions};
use crate::flow::{Chunk, End, Flow, Limits, Origin, Owner, Stamp, Table};
use crate::payload::{Bodies, BodyDecoder, RawBody};
use crate::source::{Batch, Source, SourceError};
use crate::time::Timestamp;
use crate::tls::{KeyLogs, Keys};

/// `key_logs`: those of the run that found the call, if its TLS was read.
///
/// Reads `source`, which must yield the packets that the call was found in, up to the call's last packet. Packets that the
/// source no longer has are missing in the detail; it is an error only if the source fails.
pub fn collect(
    source: &mut dyn Source,
    call: &Call,
    decode_as: &[DecodeAs],
    key_logs: Option<&Arc<KeyLogs>>,
    bodies: &BodyDecoder,
) -> Result<Detail, SourceError> {
    let (key, client) = FlowKey::new(call.client, call.server, call.network);
    let key = key.at(call.capture_point);
    let last = call.packets.1.max(call.decided);
    let keys = key_logs.map(|logs| Arc::new(Keys::complete(Arc::clone(logs))));
    let limit = bodies.limit();
    let mut observer =
        Observer { first: call.packets.0, last, id: call.id, decode_as, keys, limit, found: None };
    let mut table: Table<Option<Box<Slot>>> = Table::new(Limits::default());
    let mut decoder = Decoder::default();
    let mut batch = Batch::default();
    let mut packets = Packets { client, list: Vec::new(), more: 0 };
    let mut now = Stamp::default();
    'packets: while source.next_batch(&mut batch)? {
        for packet in batch.packets() {
            if packet.number > last {
                break 'packets;
            }
            let Decoded::Segment(segment) = decoder.decode(&packet) else { continue };
            if segment.key != key {
                continue;
            }
            now = Stamp { packet: packet.number, time: packet.time };
            if packet.number >= call.packets.0 {
                packets.push(&segment);
            }
            table.any_segment(&segment, &mut observer);
        }
    }
    table.finish(now, &mut observer);

    let mut detail = Detail {
        call: call.clone(),
        protocol: None,
        messages: Vec::new(),
        packets: packets.list,
        tls: None,
        left_out: Vec::new(),
    };
    if packets.more > 0 {
        detail.left_out.push(format!("{} more packets", packets.more));
    }
    if let Some(slot) = observer.found {
        slot.finish(client, &mut detail);
    }
    bodies.decode(&mut detail.call);
    if bodies.redaction().is_on() {
        detail.redact();
    }
    if detail.packets.is_empty() {
        detail.left_out.push("the packets of the call are no longer held".to_owned());
    }
    Ok(detail)
}

/// The packets of the connection during the call.
struct Packets {
    client: Side,
    list: Vec<Segment>,
    more: u64,
}

impl Packets {
    fn push(&mut self, segment: &crate::decode::Segment<'_>) {
        if self.list.len() >= MAX_PACKETS {
            self.more += 1;
            return;
        }
        let flags = match segment.transport {
            Transport::Tcp(head) => letters(head.flags, segment.payload.is_empty()),
            Transport::Udp { .. } => String::new(),
        };
        self.list.push(Segment {
            number: segment.packet,
            time: segment.time,
            from_client: segment.side == self.client,
            payload: segment.payload.len() as u64 + u64::from(segment.missing),
            missing: segment.missing,
            flags,
        });
    }
}

/// Flags as tcpdump writes them; a bare acknowledgement is `.`.
fn letters(flags: TcpFlags, empty: bool) -> String {
    let mut out = String::new();
    for (set, letter) in [(flags.syn, 'S'), (flags.fin, 'F'), (flags.rst, 'R'), (flags.ack && empty, '.')] {
        if set {
            out.push(letter);
        }
    }
    out
}

/// A message of the call, as the session reported it.
struct FoundMessage {
    side: Side,
    kind: Kind,
    time: Timestamp,
    packet: u64,
    /// Offset in the stream of its side.
    start: u64,
    size: u64,
    stream: Option<i64>,
    /// Its headers can be read only with those before it.
    compressed: bool,
    headers: Vec<(String, String)>,
}

/// The bytes of one side during the call.
#[derive(Default)]
struct SideBytes {
    /// Bytes so far on this connection, including gaps of known size.
    received: u64,
    /// The bytes that were kept, each piece with its offset.
    pieces: Vec<(u64, Vec<u8>)>,
    kept: usize,
    /// Bytes beyond the limit.
    dropped: u64,
}

impl SideBytes {
    /// Keeps bytes that begin at `offset`, as far as there is room.
    fn keep(&mut self, offset: u64, bytes: &[u8]) {
        let room = bytes.len().min(MAX_BYTES - self.kept);
        self.pieces.push((offset, bytes[..room].to_vec()));
        self.kept += room;
        self.dropped += (bytes.len() - room) as u64;
    }

    /// The bytes from offset `start` on, at most `size`, up to the first gap.
    fn bytes(&self, start: u64, size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = start;
        let end = start.saturating_add(size);
        for (from, piece) in &self.pieces {
            let to = from + piece.len() as u64;
            if to <= at || *from >= end {
                continue;
            }
            if *from > at {
                break;
            }
            let inside = (at - from) as usize..(end.min(to) - from) as usize;
            out.extend_from_slice(&piece[inside]);
            at = end.min(to);
        }
        out
    }
}

/// A connection with the flow key of the call.
struct Slot {
    conversation: Conversation,
    sides: [SideBytes; 2],
    messages: Vec<FoundMessage>,
    /// Bodies of the messages, with who sent them.
    bodies: Vec<(Side, RawBody)>,
    /// The status of a gRPC answer.
    status: Bodies,
    /// Messages beyond the limit.
    more: u64,
    /// What is kept are not the bytes of the packets but what TLS holds.
    is_tls: bool,
}

impl Slot {
    fn finish(self, client: Side, detail: &mut Detail) {
        let protocol = self.conversation.protocol();
        detail.protocol = protocol;
        detail.tls = self.conversation.tls().map(|facts| facts.summary());
        let protocol = rpcscope_parsers::all().iter().find(|known| Some(known.name()) == protocol);
        for found in &self.messages {
            let side = &self.sides[found.side.index()];
            let start = found.start;
            let bytes = match found.stream {
                Some(stream) if found.compressed && found.size > 0 => {
                    frames::of_stream(&side.bytes(start, MAX_BYTES as u64), stream, found.size)
                }
                _ => None,
            };
            let bytes = bytes.unwrap_or_else(|| side.bytes(start, found.size));
            let mut fields = match protocol {
                Some(protocol) if !bytes.is_empty() => protocol.dissect(found.side, &bytes),
                _ => Vec::new(),
            };
            let undecoded = found.compressed
                && !found.headers.is_empty()
                && !frames::name_entries(&mut fields, &found.headers);
            detail.messages.push(Message {
                from_client: found.side == client,
                kind: found.kind,
                time: found.time,
                packet: found.packet,
                offset: found.start,
                size: found.size,
                undecoded,
                bytes,
                headers: found.headers.clone(),
                fields,
            });
        }
        detail.messages.sort_by_key(|message| message.packet);
        let (mut bodies, mut left_out) = (self.status, 0);
        for (side, body) in self.bodies {
            left_out += usize::from(!bodies.add(side != client, body));
        }
        if left_out > 0 {
            detail.left_out.push(format!("{left_out} bodies that are not whole or over the limit"));
        }
        detail.call.bodies = Some(Box::new(bodies));
        if self.more > 0 {
            detail.left_out.push(format!("{} more messages", self.more));
        }
        let dropped = self.sides.iter().map(|side| side.dropped).sum::<u64>();
        if dropped > 0 {
            detail.left_out.push(format!("{dropped} more bytes"));
        }
    }
}

/// Watches the connections with the flow key of the call.
struct Observer<'a> {
    first: u64,
    last: u64,
    id: Option<i64>,
    decode_as: &'a [DecodeAs],
    keys: Option<Arc<Keys>>,
    /// Up to which size bodies are kept.
    limit: NonZeroU32,
    /// The connection with messages of the call.
    found: Option<Box<Slot>>,
}

impl Owner<Option<Box<Slot>>> for Observer<'_> {
    fn open(&mut self, flow: &Flow) -> Option<Box<Slot>> {
        Some(Box::new(Slot {
            conversation: Conversation::new(&flow.key, self.decode_as, Some(self.limit))
                .with_keys(self.keys.as_ref())
                .keeping_plaintext(),
            sides: [SideBytes::default(), SideBytes::default()],
            messages: Vec::new(),
            bodies: Vec::new(),
            status: Bodies::default(),
            more: 0,
            is_tls: false,
        }))
    }

    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut Option<Box<Slot>>,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        _now: Stamp,
    ) -> u64 {
        let Some(slot) = slot else { return u64::MAX };
        let kept = &mut slot.sides[side.index()];
        match chunk {
            _ if slot.is_tls => {}
            Chunk::Data(bytes) | Chunk::Datagram { bytes, .. } => {
                if (self.first..=self.last).contains(&origin.packet) {
                    kept.keep(kept.received, bytes);
                }
                kept.received += bytes.len() as u64;
            }
            Chunk::Gap { bytes, .. } => kept.received += bytes,
            Chunk::End(_) => {}
        }
        let Slot { conversation, messages, bodies, status, more, sides, is_tls } = &mut **slot;
        let own = &mut Sessions::default();
        let needed = conversation.chunk(flow, side, chunk, origin, own, &mut |from, event, origin| {
            if let Event::Body(body) = event {
                let of_call = body.id.number() == self.id;
                if of_call
                    && (self.first..=self.last).contains(&origin.stamp.packet)
                    && bodies.len() < MAX_MESSAGES
                {
                    bodies.push((from, RawBody::of(body)));
                }
                return;
            }
            if let Event::Answer(Answer { head, status: Status::Grpc(said), .. }) = event
                && head.id.number() == self.id
                && let Some(details) = said.details
            {
                status.set_status(details);
            }
            self.take(messages, more, from, event, origin);
        });
        if let Some(plaintext) = conversation.take_plaintext() {
            if !std::mem::replace(is_tls, true) {
                *sides = <[SideBytes; 2]>::default();
            }
            for Plaintext { side, offset, packet, bytes } in plaintext {
                if (self.first..=self.last).contains(&packet) {
                    sides[side.index()].keep(offset, &bytes);
                }
            }
        }
        needed
    }

    fn close(&mut self, _flow: &Flow, slot: &mut Option<Box<Slot>>, _why: End, _now: Stamp) {
        if self.found.is_none() {
            self.found = slot.take_if(|slot| !slot.messages.is_empty());
        }
    }
}

impl Observer<'_> {
    fn take(
        &self,
        found: &mut Vec<FoundMessage>,
        more: &mut u64,
        side: Side,
        event: &Event<'_>,
        origin: Origin,
    ) {
        let (id, size) = match event {
            // The connection itself is stream 0.
            Event::GoAway(goaway) => (CallId::Stream(0), goaway.bytes),
            Event::Foreign(_)
            | Event::Lost { .. }
            | Event::Sealed { .. }
            | Event::Prelude(_)
            | Event::Body(_)
            | Event::BodyPiece(_) => return,
            Event::Complete(complete) => (complete.id, complete.bytes),
            _ => event.head().map_or((CallId::Order, 0), |head| (head.id, head.bytes)),
        };
        let of_call = matches!(event, Event::GoAway(_)) || id.number() == self.id;
        if !of_call || !(self.first..=self.last).contains(&origin.stamp.packet) {
            return;
        }
        if let Event::Complete(_) = event {
            // The size of a message that was not known at its beginning.
            if let Some(open) = found.iter_mut().rev().find(|open| open.side == side && open.size == 0) {
                open.size = size;
            }
            return;
        }
        if found.len() >= MAX_MESSAGES {
            *more += 1;
            return;
        }
        let mut headers = Vec::new();
        if let Some(pairs) = event.headers() {
            pairs.each(&mut |key, value| {
                if headers.len() < MAX_HEADERS {
                    let [key, value] = [key, value].map(|text| String::from_utf8_lossy(text).into_owned());
                    headers.push((key, value));
                }
            });
        }
        let message = FoundMessage {
            side,
            kind: event.kind(),
            time: origin.stamp.time,
            packet: origin.stamp.packet,
            start: origin.offset,
            size,
            stream: id.number(),
            compressed: event.head().is_none_or(|head| head.transport.headers_depend_on_earlier()),
            headers,
        };
        let end = matches!(event, Event::Part(part) if part.ends).then(|| FoundMessage {
            kind: Kind::HalfClose,
            size: 0,
            headers: Vec::new(),
            ..message
        });
        found.push(message);
        found.extend(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample::ok;

    #[test]
    fn bytes_are_returned_up_to_the_first_gap() {
        let side = SideBytes {
            received: 40,
            pieces: vec![(10, b"abcdef".to_vec()), (16, b"ghij".to_vec()), (30, b"klm".to_vec())],
            ..SideBytes::default()
        };
        assert_eq!(side.bytes(10, 3), b"abc");
        assert_eq!(side.bytes(14, 4), b"efgh");
        assert_eq!(side.bytes(12, 30), b"cdefghij");
        assert_eq!(side.bytes(30, u64::MAX), b"klm");
        assert_eq!(side.bytes(0, 20), b"");
        assert_eq!(side.bytes(25, 10), b"");
    }

    #[test]
    fn flags_are_letters() {
        let syn = TcpFlags { syn: true, ack: true, ..TcpFlags::default() };
        assert_eq!(letters(syn, true), "S.");
        assert_eq!(letters(TcpFlags { ack: true, ..TcpFlags::default() }, false), "");
        assert_eq!(letters(TcpFlags { rst: true, ..TcpFlags::default() }, true), "R");
    }

    #[test]
    fn missing_packets_are_reported() {
        struct Empty;
        impl Source for Empty {
            fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
                batch.clear();
                Ok(false)
            }
        }
        let detail = collect(&mut Empty, &ok(), &[], None, &BodyDecoder::default()).unwrap();
        assert!(detail.messages.is_empty() && detail.packets.is_empty());
        assert_eq!(detail.left_out, ["the packets of the call are no longer held"]);
    }
}
