//! What the handshake says, and the master secret of TLS 1.2 that follows from it.

use rpcscope_parsers::Side;
use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::{Label, Message, Record, RecordKey, Secret, Suite, Version, schedule};

use super::super::epoch::{Fixed, Miss, Stage};
use super::super::facts::Reason;
use super::super::keys::Keys;
use super::Connection;

/// Tickets of sessions whose master secret is not known yet, and the longest that is kept.
const MAX_TICKETS: usize = 4;
const MAX_TICKET: usize = 16 * 1024;
/// Master secrets that are tried on a connection whose `ClientHello` was not captured.
const MAX_MASTERS: usize = 4096;

/// What the handshake says.
#[derive(Default)]
pub(super) struct Handshake {
    pub(super) client: Option<Side>,
    pub(super) client_random: Option<Random>,
    pub(super) server_random: Option<Random>,
    pub(super) suite: Option<&'static Suite>,
    pub(super) version: Option<Version>,
    pub(super) encrypt_then_mac: bool,
    /// What the client wants to resume, and what the server has named.
    pub(super) offered: [Option<Box<[u8]>>; 2],
    pub(super) server_session: Option<Box<[u8]>>,
    /// Tickets whose master secret is not known yet.
    pub(super) tickets: Vec<Box<[u8]>>,
    pub(super) master: Option<Secret>,
    /// Application data may stand between the client's first message and its part of the handshake.
    pub(super) has_early_data: bool,
    /// TLS 1.2: there are messages of a whole handshake, so that no session is resumed, whatever the client has offered.
    pub(super) is_whole: bool,
    /// Both sides have accepted it: an alert that follows is not of the handshake.
    pub(super) is_settled: bool,
    /// What the server says of the early data.
    pub(super) takes_early_data: Option<bool>,
}

impl Connection {
    /// Takes the content of a handshake record: messages, or parts of them.
    pub(super) fn messages(&mut self, side: Side, content: &[u8], sealed: Option<Stage>) {
        let mut handshakes = std::mem::take(&mut self.directions[side.index()].handshakes);
        handshakes.content(content, &mut |kind, body| self.message(side, kind, body, sealed));
        self.directions[side.index()].handshakes = handshakes;
    }

    /// Takes a handshake message; `sealed`: the part of TLS 1.3 in which it was protected.
    fn message(&mut self, side: Side, kind: u8, body: &[u8], sealed: Option<Stage>) {
        let handshake = &mut self.handshake;
        let direction = &mut self.directions[side.index()];
        match Message::read(kind, body, sealed.is_some()) {
            Message::ClientHello(hello) if sealed.is_none() => {
                if direction.is_protected {
                    // A second handshake, inside the first: both go on with the keys that they have until they change them.
                    *handshake =
                        Handshake { version: handshake.version, is_settled: true, ..Handshake::default() };
                }
                // The same message once more answers a HelloRetryRequest, with which the server has refused early data.
                let is_again = handshake.client_random == Some(hello.random);
                handshake.has_early_data = hello.has_early_data || (is_again && handshake.has_early_data);
                handshake.client = Some(side);
                handshake.client_random = Some(hello.random);
                let keep = |name: &[u8]| (!name.is_empty() && name.len() <= MAX_TICKET).then(|| name.into());
                handshake.offered = [keep(hello.session_id), hello.ticket.and_then(keep)];
                self.inner.opener.get_or_insert(side);
                self.facts.client_hello(&hello);
            }
            Message::ServerHello(hello) if sealed.is_none() && !hello.is_retry => {
                handshake.client = Some(side.other());
                self.inner.opener.get_or_insert(side.other());
                handshake.server_random = Some(hello.random);
                handshake.version = Some(hello.version);
                handshake.encrypt_then_mac = hello.encrypt_then_mac;
                handshake.server_session = (!hello.session_id.is_empty()).then(|| hello.session_id.into());
                handshake.suite = Suite::find(hello.suite);
                self.facts.server_hello(&hello);
                if hello.version < Version::TLS12 {
                    self.end_with(Reason::Version(hello.version));
                } else if handshake.suite.is_none() {
                    self.end_with(Reason::Suite);
                }
            }
            Message::NewSessionTicket(ticket @ [_, ..])
                if ticket.len() <= MAX_TICKET && handshake.tickets.len() < MAX_TICKETS =>
            {
                handshake.tickets.push(ticket.into());
                self.keep_sessions();
            }
            Message::Certificate(names) | Message::Certificate13(names) if handshake.client != Some(side) => {
                handshake.is_whole = true;
                self.facts.certificate = names.0;
            }
            Message::KeyExchange => handshake.is_whole = true,
            Message::EncryptedExtensions { alpn, takes_early_data } => {
                handshake.takes_early_data = Some(takes_early_data);
                self.facts.chosen(alpn);
            }
            Message::EndOfEarlyData => {
                handshake.takes_early_data.get_or_insert(true);
                direction.epochs.advance(Stage::Handshake);
            }
            Message::Finished if sealed == Some(Stage::Handshake) => direction.epochs.advance(Stage::Traffic),
            Message::KeyUpdate if sealed == Some(Stage::Traffic) => direction.epochs.update(),
            _ => {}
        }
    }

    /// Finds the master secret of TLS 1.2, and makes the keys of both directions.
    pub(super) fn find_master(
        &mut self,
        keys: &Keys,
        side: Side,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<(), Miss> {
        let handshake = &self.handshake;
        let (Some(suite), Some(server_random)) = (handshake.suite, handshake.server_random) else {
            return Err(Miss::NoSecret);
        };
        let of = |random: &Random, master: &Secret| {
            schedule::connection_keys(suite, master, random, &server_random, handshake.encrypt_then_mac)
        };
        let made = match &handshake.client_random {
            Some(random) => self.master(keys).and_then(|master| {
                keys.note_use(random, Some(&master));
                Some((*random, of(random, &master)?, master))
            }),
            None => keys.search(&[Label::Master], MAX_MASTERS, |random, _, master| {
                let both = of(random, master)?;
                let of_client = handshake.client == Some(side);
                let [client, server] = &both;
                let key: &RecordKey = if of_client { client } else { server };
                // Its first record is the end of the handshake, if that was not lost.
                (0..2).any(|number| key.open(number, record, plain).is_some()).then(|| {
                    keys.note_use(random, Some(master));
                    (*random, both, master.clone())
                })
            }),
        };
        let Some((random, [client, server], master)) = made else { return Err(Miss::NoSecret) };
        let client_side = handshake.client.unwrap_or(Side::A);
        let handshake = &mut self.handshake;
        (handshake.client_random, handshake.master) = (Some(random), Some(master));
        // A side that has not changed its keys yet, in a second handshake, keeps them.
        self.directions[client_side.index()].fixed.get_or_insert_with(|| Fixed::new(client));
        self.directions[client_side.other().index()].fixed.get_or_insert_with(|| Fixed::new(server));
        self.keep_sessions();
        Ok(())
    }

    /// Remembers the master secret for connections that resume this session: Go logs no line for them.
    pub(super) fn keep_sessions(&mut self) {
        let Some(keys) = &self.keys else { return };
        let Some(master) = self.master(keys) else { return };
        let handshake = &mut self.handshake;
        for name in handshake.tickets.drain(..).chain(handshake.server_session.clone()) {
            keys.keep_session(&name, &master, self.inner.last.packet);
        }
        handshake.master = Some(master);
    }

    /// The master secret, if it is known.
    pub(super) fn master(&self, keys: &Keys) -> Option<Secret> {
        let logged = || keys.find(self.handshake.client_random.as_ref()?, Label::Master);
        self.handshake
            .master
            .clone()
            .or_else(logged)
            .or_else(|| self.handshake.resumed(keys, self.inner.last.packet))
    }
}

impl Handshake {
    /// The master secret of the session that is resumed, if its beginning was seen.
    fn resumed(&self, keys: &Keys, packet: u64) -> Option<Secret> {
        if self.is_whole {
            return None;
        }
        let [id, ticket] = &self.offered;
        let by_ticket = ticket.as_ref().and_then(|ticket| keys.session(ticket, packet));
        // A server that goes on with a session repeats its id.
        by_ticket.or_else(|| {
            keys.session(id.as_ref().filter(|id| Some(*id) == self.server_session.as_ref())?, packet)
        })
    }
}
