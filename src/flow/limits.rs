//! What the table may take, and what it counts when that is not enough.

use std::time::Duration;

/// Bounds of a [`Table`](super::Table). All times are packet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at a time; one more evicts the one that was silent for the longest time.
    pub flows: usize,
    /// A TCP connection without a packet for this long is given up.
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1_000_000,
            idle: Duration::from_secs(300),
            datagram_idle: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            hole_segments: 48,
            hole_time: Duration::from_secs(1),
            lost_time: Duration::from_secs(10),
            flow_bytes: 4 << 20,
            flow_pieces: 8192,
            total_bytes: 128 << 20,
        }
    }
}

/// What was shed or refused so far, in all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Connections evicted because the table was full.
    pub evicted: u64,
    /// Times that holes were given up early because too much was held back.
    pub overflows: u64,
    /// TCP segments outside every window of their connection.
    pub out_of_window: u64,
    /// Repeated sightings of one datagram.
    pub repeats: u64,
}

impl std::ops::AddAssign for Shed {
    fn add_assign(&mut self, other: Self) {
        self.evicted += other.evicted;
        self.overflows += other.overflows;
        self.out_of_window += other.out_of_window;
        self.repeats += other.repeats;
    }
}
