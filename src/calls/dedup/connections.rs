//! The same connection seen by several captures, given once.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::calls::record::Connection;
use crate::decode::{Endpoint, Network};
use crate::source::CapturePoint;
use crate::time::Timestamp;

/// Connections that are remembered.
const MAX_GIVEN: usize = 1 << 16;

type Key = (Endpoint, Endpoint, Network);

/// When a connection was there, and where it was seen.
#[derive(Debug)]
struct Given {
    start: Timestamp,
    end: Timestamp,
    capture_point: CapturePoint,
}

/// Connections that were given out.
#[derive(Debug, Default)]
pub struct Connections {
    given: HashMap<Key, SmallVec<[Given; 1]>, FixedState>,
    order: VecDeque<Key>,
}

impl Connections {
    /// Whether this is the copy of a connection that was given out: between the same ends at the same time, seen elsewhere. If
    /// it is not, it will be remembered.
    pub fn is_copy(&mut self, connection: &Connection) -> bool {
        let Connection { start, end, capture_point, .. } = *connection;
        if capture_point == CapturePoint::default() {
            return false;
        }
        let (low, high) =
            (connection.client.min(connection.server), connection.client.max(connection.server));
        let key = (low, high, connection.network);
        let given = self.given.entry(key).or_default();
        if given
            .iter()
            .any(|other| other.capture_point != capture_point && other.start <= end && start <= other.end)
        {
            return true;
        }
        given.push(Given { start, end, capture_point });
        self.order.push_back(key);
        if self.order.len() > MAX_GIVEN
            && let Some(oldest) = self.order.pop_front()
            && let Some(given) = self.given.get_mut(&oldest)
        {
            given.remove(0);
            if given.is_empty() {
                self.given.remove(&oldest);
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
            network: Network::Tcp,
            capture_point: CapturePoint(capture_point),
            protocol: None,
            reason: None,
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
    fn a_connection_seen_twice_is_given_once() {
        let mut connections = Connections::default();
        assert!(!connections.is_copy(&connection(1, (0, 100))));
        let turned = connection(2, (5, 95));
        let turned = Connection { client: turned.server, server: turned.client, ..turned };
        assert!(connections.is_copy(&turned), "whoever is taken for its client");
        assert!(!connections.is_copy(&connection(1, (100, 200))), "the next one between these ports");
        assert!(connections.is_copy(&connection(2, (101, 199))));
        assert!(!connections.is_copy(&connection(0, (0, 100))), "of a capture that shares nothing");
    }

    #[test]
    fn memory_is_bounded() {
        let mut connections = Connections::default();
        for n in 0..2 * MAX_GIVEN as i64 {
            let mut one = connection(1, (n, n));
            one.client.port = n as u16;
            assert!(!connections.is_copy(&one));
        }
        assert_eq!(connections.order.len(), MAX_GIVEN);
        assert_eq!(connections.given.values().map(SmallVec::len).sum::<usize>(), MAX_GIVEN);
    }
}
