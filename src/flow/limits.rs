//! What the table may take, and what it counts when that is not enough.

use std::time::Duration;

use super::table::HANDSHAKE;

/// Bounds of a [`Table`](super::Table). All times are packet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at a time; one more evicts the one that was silent for the longest time.
    pub flows: usize,
    /// While there are fewer connections than this, each is kept in full from its first segment on, which is faster.
    pub in_full: usize,
    /// Connections held of which only the handshake was captured; one more ends the one that was silent for the longest time.
    pub handshakes: usize,
    /// A TCP connection without a packet for this long is given up. Callers keep connections for their next calls, whose headers only
    /// those of the calls before explain (RFC 7541, section 2.2). Time in which no connection had one counts as nothing; see
    /// [`Table::resume`](super::Table::resume).
    pub idle: Duration,
    /// The same for a pair of UDP ports.
    pub datagram_idle: Duration,
    /// How long a closed connection is remembered, so that late packets of it do not look like a new one.
    pub linger: Duration,
    /// A hole whose bytes the receiver has acknowledged is given up after this many more segments of its connection…
    pub hole_segments: u64,
    /// …or after this time, whichever comes first: the capture has lost them, the network has not.
    pub hole_time: Duration,
    /// A hole that was not acknowledged is given up after this time: a retransmission is due, and may come late.
    pub lost_time: Duration,
    /// Bytes held back in one connection; more give its first hole up.
    pub flow_bytes: usize,
    /// Segments held back in one connection.
    pub flow_pieces: usize,
    /// Bytes held back in all connections together.
    pub total_bytes: usize,
    /// Bytes of memory of all connections together, apart from handshakes and what is held back. More evict closed connections,
    /// then the one that was silent for the longest time; one that takes an eighth of it by itself is given up.
    pub memory: usize,
    /// How many tables share all connections.
    pub tables: usize,
}

/// The part of the memory that stays for connections, whatever else takes of it.
const LEAST: usize = 8;

impl Limits {
    /// The bounds of memory while `bytes` of what all tables share are needed for something else.
    #[must_use]
    pub(super) fn memory_beside(&self, bytes: usize) -> usize {
        self.memory.saturating_sub(bytes / self.tables).max(self.memory / LEAST)
    }
}

/// The part of the memory that one connection may take.
pub(super) const HEAVIEST: usize = 8;

impl Limits {
    /// The default bounds, made smaller so that all connections together stay within `bytes` of memory: five eighths for what is
    /// kept of connections, one for handshakes, one for what is held back, and one for what the allocator adds.
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        let usual = Self::default();
        let part = bytes / 8;
        Self {
            memory: 5 * part,
            handshakes: usual.handshakes.min(part / HANDSHAKE),
            total_bytes: usual.total_bytes.min(part),
            flow_bytes: usual.flow_bytes.min(part / 2),
            ..usual
        }
    }
}

impl Limits {
    /// The bounds of each of `tables` that share all connections.
    #[must_use]
    pub fn shared(self, tables: usize) -> Self {
        let part = |whole: usize| (whole / tables.max(1)).max(1);
        Self {
            flows: part(self.flows),
            handshakes: part(self.handshakes),
            total_bytes: part(self.total_bytes),
            memory: part(self.memory),
            tables: tables.max(1),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1_000_000,
            in_full: 4096,
            handshakes: 1_000_000,
            // As long as translators of addresses keep a silent connection at least (RFC 5382, section 5, REQ-5).
            idle: Duration::from_secs(7_440),
            datagram_idle: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            hole_segments: 48,
            hole_time: Duration::from_secs(1),
            lost_time: Duration::from_secs(10),
            flow_bytes: 4 << 20,
            flow_pieces: 8192,
            total_bytes: 128 << 20,
            memory: 1 << 30,
            tables: 1,
        }
    }
}

/// What was shed or refused so far, in all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Connections evicted because the table was full.
    pub evicted: u64,
    /// Connections ended after their handshake because too many had sent nothing else.
    pub handshakes: u64,
    /// Connections given up because they alone took too much memory.
    pub heavy: u64,
    /// Times that holes were given up early because too much was held back.
    pub overflows: u64,
    /// TCP segments outside every window of their connection.
    pub out_of_window: u64,
    /// Segments that stand behind newer ones of their connection and came too late to be read in their place.
    pub late: u64,
    /// Repeated sightings of one datagram.
    pub repeats: u64,
}

impl std::ops::AddAssign for Shed {
    fn add_assign(&mut self, other: Self) {
        self.evicted += other.evicted;
        self.handshakes += other.handshakes;
        self.heavy += other.heavy;
        self.overflows += other.overflows;
        self.out_of_window += other.out_of_window;
        self.late += other.late;
        self.repeats += other.repeats;
    }
}
