//! Reports a connection once if several captures show it.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::calls::record::Connection;
use crate::decode::{Endpoint, Network};
use crate::source::CapturePoint;
use crate::time::Timestamp;

/// Most connections that are remembered.
const MAX_REPORTED: usize = 1 << 16;

type Key = (Endpoint, Endpoint, Network);

/// When a connection existed, and where it was seen.
#[derive(Debug)]
struct Reported {
    start: Timestamp,
    end: Timestamp,
    capture_point: CapturePoint,
}

/// The connections that were reported.
#[derive(Debug, Default)]
pub struct Connections {
    reported: HashMap<Key, SmallVec<[Reported; 1]>, FixedState>,
    order: VecDeque<Key>,
}

impl Connections {
    /// Whether this is a copy of a reported connection: between the same ends at the same time, seen elsewhere. If not, it is
    /// remembered.
    pub fn is_copy(&mut self, connection: &Connection) -> bool {
        let Connection { start, end, capture_point, .. } = *connection;
        if capture_point == CapturePoint::default() {
            return false;
        }
        let (low, high) =
            (connection.client.min(connection.server), connection.client.max(connection.server));
        let key = (low, high, connection.network);
        let reported = self.reported.entry(key).or_default();
        if reported
            .iter()
            .any(|other| other.capture_point != capture_point && other.start <= end && start <= other.end)
        {
            return true;
        }
        reported.push(Reported { start, end, capture_point });
        self.order.push_back(key);
        if self.order.len() > MAX_REPORTED
            && let Some(oldest) = self.order.pop_front()
            && let Some(reported) = self.reported.get_mut(&oldest)
        {
            reported.remove(0);
            if reported.is_empty() {
                self.reported.remove(&oldest);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::ConnectionState;
    use crate::calls::sample::ok;

    fn connection(capture_point: u8, times: (i64, i64)) -> Connection {
        let call = ok();
        Connection {
            first_packet: 1,
            last_packet: 9,
            start: Timestamp(times.0),
            end: Timestamp(times.1),
            client: call.client,
            server: call.server,
            via: None,
            network: Network::Tcp,
            capture_point: CapturePoint(capture_point),
            protocol: None,
            reason: None,
            tls: None,
            mid_stream: false,
            unread: None,
            state: ConnectionState::Closed,
            calls: 0,
            failed: 0,
            packets: 9,
            bytes: [0, 0],
            retransmissions: 0,
            gaps: 0,
        }
    }

    #[test]
    fn a_connection_seen_twice_is_reported_once() {
        let mut connections = Connections::default();
        assert!(!connections.is_copy(&connection(1, (0, 100))));
        let turned = connection(2, (5, 95));
        let turned = Connection { client: turned.server, server: turned.client, ..turned };
        assert!(connections.is_copy(&turned), "whichever end counts as its client");
        assert!(!connections.is_copy(&connection(1, (100, 200))), "the next one between these ports");
        assert!(connections.is_copy(&connection(2, (101, 199))));
        assert!(!connections.is_copy(&connection(0, (0, 100))), "from a capture that shares no packets");
    }

    #[test]
    fn memory_is_bounded() {
        let mut connections = Connections::default();
        for n in 0..2 * MAX_REPORTED as i64 {
            let mut one = connection(1, (n, n));
            one.client.port = n as u16;
            assert!(!connections.is_copy(&one));
        }
        assert_eq!(connections.order.len(), MAX_REPORTED);
        assert_eq!(connections.reported.values().map(SmallVec::len).sum::<usize>(), MAX_REPORTED);
    }
}
