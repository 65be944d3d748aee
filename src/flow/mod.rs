//! The connection table and TCP reassembly.
//!
//! [`Table`] takes segments in the order of the capture and gives its [`Owner`] the bytes of each side in the order of the
//! stream, and both sides in causal order: an answer never before its request. Loss is a value ([`Chunk::Gap`]).
//!
//! | file | noun |
//! | --- | --- |
//! | `table.rs` | all connections: finding, opening, expiring, evicting |
//! | `streams.rs` | one TCP connection: whose a segment is, which direction has to wait for the other |
//! | `lane.rs` | one direction: what is next, what is held back, what is missing |
//! | `position.rs` | sequence numbers that do not wrap |
//! | `sightings.rs` | one pair of UDP ports: datagrams seen twice |
//! | `slab.rs` | the memory of the table and its queues |
//! | `limits.rs` | bounds, and what was shed at them |

mod lane;
mod limits;
mod position;
mod sightings;
mod slab;
mod streams;
mod table;
#[cfg(test)]
mod tests;

pub use limits::{Limits, Shed};
pub use table::Table;

use rpcscope_parsers::Side;

use crate::decode::FlowKey;
use crate::time::Timestamp;

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
    /// The next bytes were not captured: their number, `None` where it can't be known.
    Gap(Option<u64>),
    /// Nothing more comes from this side.
    End(End),
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
    /// The side that sent the SYN without ACK (or to which a SYN with ACK went); `None` where no handshake was captured.
    pub opener: Option<Side>,
    /// Whether the stream of each side was captured from its first byte on.
    pub from_start: [bool; 2],
    /// Segments of each side so far.
    pub segments: [u64; 2],
    /// Payload bytes of each side so far, as on the wire.
    pub bytes: [u64; 2],
    /// TCP: sequence number behind the last byte of each side that its owner was given: the same wherever the connection is
    /// captured.
    pub position: [u32; 2],
    /// Segments that brought nothing new.
    pub retransmissions: u64,
    /// Holes that were given up.
    pub gaps: u64,
    /// Bytes of a side before its first captured ones were acknowledged after the other side had spoken: a gap that is no
    /// hole, because the stream begins behind it.
    pub skipped: [bool; 2],
    /// How each side ended so far.
    pub ended: [Option<End>; 2],
    /// The side that sent the RST, where one ended the connection.
    pub reset_by: Option<Side>,
}

/// Owner of the slots of a [`Table`]: makes one for each connection, gets its chunks, and takes it back at its end.
pub trait Owner<S> {
    /// A connection appears.
    fn open(&mut self, flow: &Flow) -> S;

    /// The next chunk of `side`. `origin` is the packet that carried its (first) byte, `now` the packet being read: they
    /// differ where the chunk had to wait for a hole before it.
    fn chunk(&mut self, flow: &Flow, slot: &mut S, side: Side, chunk: Chunk<'_>, origin: Stamp, now: Stamp);

    /// The connection leaves the table, for the reason given; every side that had not ended got its [`Chunk::End`] before.
    fn close(&mut self, flow: &Flow, slot: S, why: End, now: Stamp);
}
