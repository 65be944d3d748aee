//! The connections that are held, in the order of their first packets as far as they came in that order.

use hashbrown::HashMap;

use crate::calls::record::{Connection, ConnectionState};
use crate::decode::Endpoint;

/// The most connections that are held; above it the oldest ones that are no longer open are evicted.
const LIMIT: usize = 100_000;

/// All connections that are held.
#[derive(Debug, Default)]
pub(in crate::tui) struct ConnectionStore {
    all: Vec<Connection>,
    /// Index of a connection by its first packet.
    indices: HashMap<u64, usize>,
    /// Connections that were evicted.
    pub evicted: u64,
}

impl ConnectionStore {
    /// Takes a connection as it stands now; it replaces an earlier state of the same one.
    pub(in crate::tui) fn put(&mut self, connection: Connection) {
        if let Some(&index) = self.indices.get(&connection.first_packet) {
            self.all[index] = connection;
            return;
        }
        if self.all.len() >= LIMIT {
            self.make_room();
        }
        self.indices.insert(connection.first_packet, self.all.len());
        self.all.push(connection);
    }

    /// All of them.
    pub(in crate::tui) fn all(&self) -> &[Connection] {
        &self.all
    }

    /// A connection by the number of its first packet.
    pub(in crate::tui) fn get(&self, first_packet: u64) -> Option<&Connection> {
        self.all.get(*self.indices.get(&first_packet)?)
    }

    /// The connection between two ends that was there during these packets; ports are used again.
    pub(in crate::tui) fn between(
        &self,
        ends: [Endpoint; 2],
        (first, last): (u64, u64),
    ) -> Option<&Connection> {
        self.all.iter().find(|c| {
            ([c.client, c.server] == ends || [c.server, c.client] == ends)
                && c.first_packet <= first
                && c.last_packet >= last
        })
    }

    fn make_room(&mut self) {
        let mut surplus = LIMIT / 8;
        for open_too in [false, true] {
            self.all.retain(|c| {
                let evict = surplus > 0 && (open_too || c.state != ConnectionState::Open);
                surplus -= usize::from(evict);
                self.evicted += u64::from(evict);
                !evict
            });
        }
        self.indices = self.all.iter().enumerate().map(|(index, c)| (c.first_packet, index)).collect();
    }
}

#[cfg(test)]
mod tests {
    use rpcscope_parsers::tls::Version;

    use super::*;
    use crate::tls::{Facts, Reason};
    use crate::tui::state::testing::{connection, state};
    use crate::tui::views::{View as _, ViewId};

    #[test]
    fn the_cursor_stays_on_its_connection_when_others_are_evicted() {
        let mut state = state(200, 24);
        for n in 0..LIMIT as u64 {
            let now = if n % 2 == 0 { ConnectionState::Open } else { ConnectionState::Closed };
            state.cx.connections.put(connection(n, now));
        }
        state.show(ViewId::Connections);
        state.views.connections.go(50_000);
        state.cx.connections.put(connection(LIMIT as u64, ConnectionState::Open));
        state.refresh();
        assert_eq!(state.cx.connections.evicted, LIMIT as u64 / 8);
        assert_eq!(state.views.connections.rows.selected(), Some(50_000));
        assert!(state.cx.connections.get(1).is_none(), "the oldest closed one");
        let screen = crate::tui::render::tests::screen(&state);
        assert!(screen.lines().nth(2).unwrap().contains("12,500 evicted"), "{screen}");
    }

    #[test]
    fn the_sentence_says_what_the_handshake_of_tls_shows() {
        let mut state = state(400, 24);
        let facts = Facts {
            version: Some(Version::TLS12),
            suite: Some(0xc02f),
            server_name: Some("depot\u{7}.example".to_owned()),
            alpn: Some("h2".to_owned()),
            certificate: vec!["depot.example".to_owned(), "127.0.0.1".to_owned()],
            ..Facts::default()
        };
        let reason = Some(Reason::NoKeys.words());
        let tls = Some(Box::new(facts));
        state.cx.connections.put(Connection { reason, tls, ..connection(1, ConnectionState::Open) });
        state.show(ViewId::Connections);
        state.refresh();
        let screen = crate::tui::render::tests::screen(&state);
        let said = "; TLS 1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, server name depot\\x07.example, ALPN h2, \
            certificate of depot.example, 127.0.0.1; TLS without keys.";
        assert!(screen.contains(said), "{screen}");
    }
}
