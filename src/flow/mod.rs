//! The connection table and TCP reassembly.
//!
//! [`Table`] takes segments in the order of the capture and hands its [`Owner`] the bytes of each side in the order of the
//! stream, and both sides in causal order: an answer never before its request. Loss is a value ([`Chunk::Gap`]).
//!
//! | file | noun |
//! | --- | --- |
//! | `table.rs` | all connections: finding, opening, expiring |
//! | `table/recent.rs` | the connections of the last packets, found without the index |
//! | `table/short.rs` | segments that need no judgement, which nearly all are |
//! | `table/room.rs` | what connections take, and which of them leave when it is too much |
//! | `handshake.rs` | a connection of which only its handshake was captured, in little memory |
//! | `streams.rs` | one TCP connection: which segments belong to it, which direction has to wait for the other |
//! | `streams/usual.rs` | what the segments that need no judgement change in it |
//! | `streams/closed.rs` | what still comes after the end of a connection |
//! | `streams/reset.rs` | a RST that waits, and what shows that the connection goes on |
//! | `doubted.rs` | a segment that seems to begin another connection between the same ports |
//! | `half_stream.rs` | one direction: what is next, what is held back, what is missing |
//! | `origins.rs` | stream offsets: which packet carried a byte, and with which sequence number |
//! | `position.rs` | sequence numbers that do not wrap |
//! | `sightings.rs` | one pair of UDP ports: datagrams seen twice |
//! | `lru.rs` | the memory of the table and its queues |
//! | `limits.rs` | bounds, and what was shed at them |

mod doubted;
mod half_stream;
mod handshake;
mod limits;
mod lru;
mod origins;
mod position;
mod sightings;
mod streams;
mod table;
#[cfg(test)]
mod tests;

pub use limits::{Limits, Shed};
pub use origins::{Origin, Origins};
pub(crate) use table::Bare;
#[cfg(test)]
pub(crate) use table::HANDSHAKE;
pub use table::Table;

use rpcscope_parsers::Side;

use crate::decode::{FlowKey, Network, Segment};
use crate::time::Timestamp;

/// Ports below this one are assigned to servers.
const SYSTEM_PORTS: u16 = 1024;

/// Where in the capture something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Packet number, from 1.
    pub packet: u64,
    /// Its time.
    pub time: Timestamp,
}

/// Why a side of a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The side sent FIN.
    Fin,
    /// The side sent RST (the connection ends for both).
    Rst,
    /// Nothing was seen for the idle time, or the capture ended: not a fact of the wire.
    Idle,
    /// A new connection uses the same ports.
    Replaced,
    /// The table was full.
    Evicted,
}

/// A piece of the stream of one side, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// The next bytes.
    Data(&'a [u8]),
    /// A whole datagram (UDP); `missing` bytes at its end were not captured.
    Datagram {
        /// Captured bytes.
        bytes: &'a [u8],
        /// Bytes cut off.
        missing: u32,
    },
    /// The next bytes were not captured.
    Gap {
        /// How many.
        bytes: u64,
        /// Why.
        reason: GapReason,
    },
    /// Nothing more comes from this side.
    End(End),
}

/// Why bytes are missing in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The capture dropped the packets, or it began between them.
    Lost,
    /// The snap length cut them off.
    Cut,
    /// They were sent before the first captured bytes of this side, and acknowledged after the other side had spoken.
    BeforeStart,
    /// They stand in records of TLS that can't be read. How many they are is not known, and no offset counts them.
    Sealed,
}

/// What the table knows of a connection; readable by whoever owns the slots.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its two ends.
    pub key: FlowKey,
    /// Its first segment.
    pub first: Stamp,
    /// Its last segment so far.
    pub last: Stamp,
    /// The side that sent the first segment.
    pub first_by: Side,
    /// The side that sent the SYN without ACK (or to which a SYN with ACK went); `None` where no handshake was captured.
    pub opener: Option<Side>,
    /// Whether the stream of each side was captured from its first byte on.
    pub from_start: [bool; 2],
    /// The side whose bytes are delivered now, behind bytes of the other side that it had not received, and that may have been sent
    /// later: nothing shows a disorder where the capture begins, and elsewhere the other side had acknowledged what comes now.
    pub overtaken: Option<Side>,
    /// Segments of each side so far.
    pub segments: [u64; 2],
    /// Payload bytes of each side so far, as on the wire.
    pub bytes: [u64; 2],
    /// Which packets carried the bytes of each side that were delivered last.
    pub origins: [Origins; 2],
    /// Segments that brought nothing new.
    pub retransmissions: u64,
    /// Holes that were given up: gaps with [`GapReason::Lost`].
    pub gaps: u64,
    /// How each side ended so far.
    pub ended: [Option<End>; 2],
    /// The side that sent the RST, where one ended the connection.
    pub reset_by: Option<Side>,
}

impl Segment<'_> {
    /// The packet that completed it.
    fn stamp(&self) -> Stamp {
        Stamp { packet: self.packet, time: self.time }
    }
}

impl Flow {
    /// Counts a segment of `side` with `payload` bytes, the last so far.
    #[inline]
    fn count(&mut self, side: Side, payload: u64, now: Stamp) {
        self.last = now;
        self.segments[side.index()] += 1;
        self.bytes[side.index()] += payload;
    }

    /// The side that called, as far as handshake and ports tell: a system port (RFC 6335, section 6) is the server's, a first
    /// datagram the client's, and otherwise the lower port the server's.
    #[must_use]
    pub fn likely_client(&self) -> Side {
        self.opener.unwrap_or_else(|| {
            let [a, b] = [self.key.a.port, self.key.b.port];
            let one_is_system = (a < SYSTEM_PORTS) != (b < SYSTEM_PORTS);
            match self.key.network {
                Network::Udp if !one_is_system => self.first_by,
                _ if a < b => Side::B,
                _ => Side::A,
            }
        })
    }

    /// Takes over what has changed in `outer`, the connection that this one is seen from inside of.
    pub(crate) fn mirror(&mut self, outer: &Self) {
        self.last = outer.last;
        (self.segments, self.bytes, self.overtaken) = (outer.segments, outer.bytes, outer.overtaken);
        (self.retransmissions, self.gaps) = (outer.retransmissions, outer.gaps);
        (self.ended, self.reset_by) = (outer.ended, outer.reset_by);
        self.opener = outer.opener.or(self.opener);
    }

    /// Where the byte of `side` at `offset` comes from; `otherwise` is taken where nothing of that side is remembered, and nothing may be
    /// yet of the chunk that its owner is just given.
    #[must_use]
    pub fn origin(&self, side: Side, offset: u64, otherwise: Stamp) -> Origin {
        self.origins[side.index()].at(offset, otherwise)
    }
}

/// Owner of the slots of a [`Table`]: makes one for each connection, gets its chunks, and takes it back at its end.
pub trait Owner<S> {
    /// A connection with that key appears.
    fn appears(&mut self, _key: &FlowKey) {}

    /// The first payload of a connection follows, or its end. Until then, nothing is kept for it.
    fn open(&mut self, flow: &Flow) -> S;

    /// The next chunk of `side`. `origin` is the packet that carried its first byte, `now` the packet being read: they differ
    /// where the chunk had to wait for a hole before it. Returns the offset of the first byte of `side` whose
    /// [origin](Flow::origin) may still be asked for later; `u64::MAX` for none.
    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut S,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64;

    /// The host of `side` reset the connection. Of the other side's stream it had acknowledged what stands before sequence
    /// number `read`. Comes after the ends of both sides, which may have been FINs.
    fn reset(&mut self, _flow: &Flow, _slot: &mut S, _side: Side, _read: u32, _now: Stamp) {}

    /// Reads what the next chunk of the connection will need, and returns anything that depends on it. See [`Table::warm`].
    fn warm(&self, _slot: &S) -> u64 {
        0
    }

    /// About how many bytes of memory the slot takes, in addition to its own size.
    fn weight(&self, _slot: &S) -> usize {
        0
    }

    /// Memory is scarce, and the connection was silent for some time: buffers of the slot that hold nothing can go.
    fn shrink(&self, _slot: &mut S) {}

    /// The connection leaves the table, for the reason given; every side that had not ended got its [`Chunk::End`] before. What is left in
    /// the slot is dropped where it stands: a connection is large to move.
    fn close(&mut self, flow: &Flow, slot: &mut S, why: End, now: Stamp);
}
