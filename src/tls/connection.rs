//! One connection: its handshake, its records, and what waits for keys.

use std::sync::Arc;

use rpcscope_parsers::Side;
use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::{
    ContentType, Label, Message, Record, RecordKey, Secret, Suite, Version, schedule,
};

use super::direction::{Direction, Mark, Next, stamp_at};
use super::epoch::{Context, Fixed, Hit, Miss, SEARCH, Stage};
use super::facts::{Facts, Reason};
use super::held::{Held, HeldChunk, What};
use super::keys::Keys;
use crate::flow::{Chunk, End, Flow, GapReason, Stamp};

/// What a gap in a connection of which nothing was captured before may have held, in bytes.
const UNKNOWN_LOSS: u64 = 1 << 21;
/// Records of one direction that may stay closed before it is given up.
const MAX_FAILURES: u64 = 64;
/// Early data that is kept until the server has said whether it takes it, in bytes: servers allow 16 KiB.
const MAX_EARLY: usize = 64 * 1024;
/// The most records of it.
const MAX_EARLY_RECORDS: usize = 4096;
/// Tickets of sessions whose master secret is not known yet, and the longest that is kept.
const MAX_TICKETS: usize = 4;
const MAX_TICKET: usize = 4096;
/// Master secrets that are tried on a connection whose `ClientHello` was not captured.
const MAX_MASTERS: usize = 4096;

/// Takes plaintext: the connection as seen from inside, whose offsets count plaintext. Returns what
/// [`Conversation::chunk`](crate::dispatch::Conversation::chunk) does.
pub(crate) type Give<'g> = dyn FnMut(&Flow, Side, Chunk<'_>, Stamp) -> u64 + 'g;

/// What became of chunks that had waited for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// All that can be read was, up to the end of a side, which had waited too.
    End(Side, End, Stamp),
    /// All that can be read was.
    All,
}

/// Early data that waits for the server's word.
struct Early {
    offset: u64,
    stamp: Stamp,
    bytes: Vec<u8>,
}

/// What became of a record.
enum Step {
    /// It was read, or can be passed over.
    Done,
    /// Its key is not known: it waits, and everything after it.
    Wait,
    /// It does not open.
    Closed,
    /// The connection is not read any more.
    Over,
}

/// What the handshake says.
#[derive(Default)]
struct Handshake {
    client: Option<Side>,
    client_random: Option<Random>,
    server_random: Option<Random>,
    suite: Option<&'static Suite>,
    version: Option<Version>,
    encrypt_then_mac: bool,
    /// What the client wants to resume, and what the server has named.
    offered: [Option<Box<[u8]>>; 2],
    server_session: Option<Box<[u8]>>,
    /// Tickets whose master secret is not known yet.
    tickets: Vec<Box<[u8]>>,
    master: Option<Secret>,
    has_early_data: bool,
    /// What the server says of the early data.
    takes_early_data: Option<bool>,
}

/// A connection in TLS.
pub struct Connection {
    keys: Option<Arc<Keys>>,
    /// The version of the keys with which it was last tried.
    tried: u64,
    handshake: Handshake,
    facts: Facts,
    directions: [Direction; 2],
    /// The connection as seen from inside.
    inner: Flow,
    /// The next record of a side waits for its key.
    is_stalled: bool,
    /// Chunks behind it.
    held: Option<Held>,
    /// Chunks that have waited are being read.
    is_catching_up: bool,
    early: Vec<Early>,
    /// There was more early data than is kept.
    is_early_cut: bool,
    /// What is left to spend on searching.
    budget: u64,
    is_over: bool,
}

impl Connection {
    /// A connection that begins with the next bytes of `flow`. `from_start`: whether each side's next byte is its first.
    #[must_use]
    pub fn new(flow: &Flow, from_start: [bool; 2], keys: Option<Arc<Keys>>) -> Self {
        let mut inner = flow.clone();
        inner.origins = Default::default();
        inner.from_start = from_start;
        let directions = from_start.map(|from_start| Direction {
            lost: if from_start { 0 } else { UNKNOWN_LOSS },
            is_out_of_step: !from_start,
            ..Direction::default()
        });
        Self {
            keys,
            tried: 0,
            handshake: Handshake::default(),
            facts: Facts::default(),
            directions,
            inner,
            is_stalled: false,
            held: None,
            is_catching_up: false,
            early: Vec::new(),
            is_early_cut: false,
            budget: SEARCH,
            is_over: false,
        }
    }

    /// What is known of its TLS.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let mut facts = self.facts.clone();
        facts.reason = facts.reason.or_else(|| self.shortfall());
        facts
    }

    /// Why nothing has been read so far.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.facts.reason.or_else(|| self.shortfall())
    }

    fn shortfall(&self) -> Option<Reason> {
        if self.directions.iter().any(|direction| direction.has_spoken) {
            return None;
        }
        let keys = self.keys.as_ref().filter(|keys| keys.has_source());
        let knows = |keys: &Arc<Keys>| self.handshake.client_random.is_some_and(|random| keys.knows(&random));
        match keys {
            _ if self.facts.alert.is_some() => Some(Reason::Refused),
            None => Some(Reason::NoKeys),
            Some(keys) if knows(keys) && self.facts.dropped > 0 => Some(Reason::TooLate),
            Some(keys) if knows(keys) && self.facts.failed_record.is_some() => Some(Reason::WrongKey),
            Some(keys) if knows(keys) => None,
            Some(_) if self.handshake.client_random.is_none() || self.handshake.server_random.is_none() => {
                Some(Reason::NoHandshake)
            }
            Some(_) => Some(Reason::NoLine),
        }
    }

    /// The client, as far as the handshake shows it.
    #[must_use]
    pub fn client(&self) -> Option<Side> {
        self.handshake.client
    }

    /// Whether chunks wait for keys.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_stalled || self.is_catching_up || self.held.as_ref().is_some_and(|held| !held.is_empty())
    }

    /// About how many bytes of memory it takes, in addition to its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of = |direction: &Direction| direction.buffer.capacity() + direction.handshakes.memory();
        let held = self.held.as_ref().map_or(0, Held::memory);
        let origins: usize = self.inner.origins.iter().map(crate::flow::Origins::memory).sum();
        self.directions.iter().map(of).sum::<usize>()
            + held
            + origins
            + self.early.iter().map(|e| e.bytes.len()).sum::<usize>()
    }

    /// Takes the next chunk of `side`, which begins at `offset` of the stream of `flow` and came in packet `origin`, and gives plaintext on.
    pub(crate) fn chunk(
        &mut self,
        flow: &Flow,
        side: Side,
        offset: u64,
        chunk: Chunk<'_>,
        origin: Stamp,
        give: &mut Give<'_>,
    ) {
        self.inner.mirror(flow);
        if !self.is_waiting() {
            self.pass(flow, side, offset, chunk, origin, give);
            return;
        }
        let Some(keys) = &self.keys else { return };
        let what = match chunk {
            Chunk::Data(bytes) => What::Data(bytes.to_vec()),
            Chunk::Gap { bytes, .. } => What::Gap(bytes),
            Chunk::End(end) => What::End(end),
            Chunk::Datagram { .. } => return,
        };
        let held = self.held.get_or_insert_with(|| Held::new(Arc::clone(keys)));
        self.facts.dropped += held.push(HeldChunk { side, offset, origin, what });
    }

    /// Reads what waits, if there are new keys, or none will come any more. The end of a side that has waited is the caller's to take: then
    /// there may be more to read.
    pub(crate) fn wake(&mut self, flow: &Flow, give: &mut Give<'_>) -> Passed {
        let Some(keys) = self.keys.clone().filter(|_| self.is_waiting()) else { return Passed::All };
        self.inner.mirror(flow);
        if !std::mem::take(&mut self.is_catching_up) {
            let version = keys.version();
            if version == self.tried && keys.is_open() {
                return Passed::All;
            }
            self.tried = version;
            self.budget = self.budget.max(SEARCH / 16);
        }
        self.is_stalled = false;
        for side in [Side::A, Side::B] {
            if !self.directions[side.index()].buffer.is_empty() {
                let start = self.directions[side.index()].start;
                self.data(flow, side, start, &[], Stamp::default(), give);
            }
        }
        while !self.is_stalled
            && let Some(HeldChunk { side, offset, origin, what }) = self.held.as_mut().and_then(Held::pop)
        {
            match what {
                What::Data(bytes) => self.pass(flow, side, offset, Chunk::Data(&bytes), origin, give),
                What::Gap(bytes) => {
                    let gap = Chunk::Gap { bytes, reason: GapReason::Lost };
                    self.pass(flow, side, offset, gap, origin, give);
                }
                What::End(end) => {
                    self.pass(flow, side, offset, Chunk::End(end), origin, give);
                    self.is_catching_up = true;
                    return Passed::End(side, end, origin);
                }
            }
        }
        Passed::All
    }

    /// Takes a chunk that nothing waits before.
    fn pass(
        &mut self,
        flow: &Flow,
        side: Side,
        offset: u64,
        chunk: Chunk<'_>,
        origin: Stamp,
        give: &mut Give<'_>,
    ) {
        match chunk {
            Chunk::End(_) => _ = give(&self.inner, side, chunk, origin),
            _ if self.is_over => {}
            Chunk::Data(bytes) => self.data(flow, side, offset, bytes, origin, give),
            Chunk::Gap { bytes, .. } => {
                self.directions[side.index()].lose(bytes);
                self.say_gap(side, origin, give);
            }
            Chunk::Datagram { .. } => {}
        }
    }

    /// Application data of this side is lost.
    fn say_gap(&mut self, side: Side, origin: Stamp, give: &mut Give<'_>) {
        if self.directions[side.index()].has_spoken {
            give(&self.inner, side, Chunk::Gap { bytes: 1, reason: GapReason::Sealed }, origin);
        }
    }

    /// Takes the next bytes of a side, which begin at `offset` of its stream.
    fn data(
        &mut self,
        flow: &Flow,
        side: Side,
        offset: u64,
        bytes: &[u8],
        origin: Stamp,
        give: &mut Give<'_>,
    ) {
        let direction = &mut self.directions[side.index()];
        let passed = direction.pass.min(bytes.len() as u64);
        direction.pass -= passed;
        let (bytes, offset) = (bytes.get(passed as usize..).unwrap_or_default(), offset + passed);
        let mut own = std::mem::take(&mut direction.buffer);
        let mut marks = std::mem::take(&mut direction.marks);
        if !bytes.is_empty() {
            marks.push(Mark { offset, stamp: origin });
        }
        let (start, input) = if own.is_empty() {
            (offset, bytes)
        } else {
            own.extend_from_slice(bytes);
            (direction.start, &own[..])
        };
        let mut plain = self.keys.as_ref().map(|keys| keys.borrow_buffer()).unwrap_or_default();
        let mut done = 0;
        while !self.is_over {
            let direction = &mut self.directions[side.index()];
            match direction.next(input.get(done..).unwrap_or_default()) {
                Next::More => break,
                Next::Skip(bytes) => {
                    done += bytes;
                    if !direction.has_records && !direction.is_out_of_step {
                        self.end_with(Reason::NotTls);
                        break;
                    }
                    direction.lost += bytes as u64;
                    direction.is_out_of_step = true;
                }
                Next::Record(record) => {
                    let len = record.head.record_len();
                    let place = Place { side, start: start + done as u64, marks: &marks, origin };
                    match self.record(flow, place, &record, &mut plain, give) {
                        Step::Done => done += len,
                        Step::Closed => done += self.closed(place, len, give),
                        Step::Over => break,
                        Step::Wait => {
                            self.is_stalled = true;
                            break;
                        }
                    }
                }
            }
        }
        if let Some(keys) = &self.keys {
            keys.return_buffer(plain);
        }
        let direction = &mut self.directions[side.index()];
        direction.start = start + done as u64;
        let left = input.len() - done;
        if self.is_over || left == 0 {
            return;
        }
        let before = marks.partition_point(|mark| mark.offset <= direction.start).saturating_sub(1);
        marks.drain(..before);
        direction.marks = marks;
        if own.is_empty() {
            direction.buffer.extend_from_slice(input.get(done..).unwrap_or_default());
        } else {
            own.drain(..done);
            direction.buffer = own;
        }
    }

    /// A record did not open. Returns how many bytes to pass over.
    fn closed(&mut self, place: Place<'_>, len: usize, give: &mut Give<'_>) -> usize {
        let direction = &mut self.directions[place.side.index()];
        if direction.is_out_of_step {
            // It only looked like one.
            let cost = 4 + len as u64 / 16;
            self.budget = self.budget.saturating_sub(cost);
            direction.lost += 1;
            if self.budget < cost {
                self.end_with(Reason::WrongKey);
            }
            return 1;
        }
        direction.lost += len as u64;
        direction.failures += 1;
        let is_hopeless = direction.failures > MAX_FAILURES;
        let number = direction.fixed.as_ref().map_or_else(|| direction.epochs.number(), Fixed::number);
        self.facts.failed_record.get_or_insert(number);
        self.say_gap(place.side, place.origin, give);
        if is_hopeless {
            self.end_with(Reason::WrongKey);
        }
        len
    }

    /// Nothing more is read.
    fn end_with(&mut self, reason: Reason) {
        self.facts.reason.get_or_insert(reason);
        self.give_up();
    }

    /// Nothing more is read, for a reason that the facts show.
    fn give_up(&mut self) -> Step {
        self.is_over = true;
        for direction in &mut self.directions {
            (direction.buffer, direction.marks) = (Vec::new(), Vec::new());
        }
        Step::Over
    }

    /// Reads a record.
    fn record(
        &mut self,
        flow: &Flow,
        place: Place<'_>,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
        give: &mut Give<'_>,
    ) -> Step {
        let direction = &mut self.directions[place.side.index()];
        let is_tls12 = self.handshake.version == Some(Version::TLS12);
        let is_sealed = if is_tls12 {
            // Data that is not protected is never sent: the record that says so was lost.
            direction.is_protected |= record.head.content_type == ContentType::ApplicationData;
            direction.is_protected
        } else {
            record.head.content_type == ContentType::ApplicationData
        };
        if !is_sealed {
            return self.open_record(place.side, record);
        }
        let Some(keys) = self.keys.clone() else {
            // The other side's part of the handshake may still come.
            direction.has_records = true;
            direction.is_out_of_step = false;
            return if self.handshake.server_random.is_some() { self.give_up() } else { Step::Done };
        };
        let hit = if is_tls12 {
            self.open_tls12(&keys, place.side, record, plain)
        } else {
            self.open_tls13(&keys, place.side, record, plain)
        };
        match hit {
            Ok(hit) => {
                self.read(flow, place, hit, plain, give);
                Step::Done
            }
            Err(Miss::NoSecret) if keys.is_open() => {
                self.tried = keys.version();
                Step::Wait
            }
            Err(Miss::NoSecret) => self.give_up(),
            Err(Miss::Passed) if self.directions[place.side.index()].failures < MAX_FAILURES => {
                let direction = &mut self.directions[place.side.index()];
                direction.failures += 1;
                (direction.has_records, direction.is_out_of_step) = (true, false);
                Step::Done
            }
            Err(Miss::Passed | Miss::Wrong) => Step::Closed,
        }
    }

    /// A record that is not protected.
    fn open_record(&mut self, side: Side, record: &Record<'_>) -> Step {
        let direction = &mut self.directions[side.index()];
        match (record.head.content_type, record.fragment) {
            (ContentType::ChangeCipherSpec, [1]) if self.handshake.version == Some(Version::TLS12) => {
                direction.is_protected = true;
                direction.lost = 0;
            }
            (ContentType::Alert, [1 | 2, alert @ (1..)]) => _ = self.facts.alert.get_or_insert(*alert),
            (ContentType::ChangeCipherSpec, [1]) | (ContentType::Alert, [1 | 2, 0]) => {}
            (ContentType::Handshake, fragment) => {
                let mut handshakes = std::mem::take(&mut direction.handshakes);
                handshakes.content(fragment, &mut |kind, body| self.message(side, kind, body, None));
                self.directions[side.index()].handshakes = handshakes;
            }
            _ if direction.is_out_of_step => return Step::Closed,
            // Neither of them: nothing that matters to what is read.
            _ => {}
        }
        let direction = &mut self.directions[side.index()];
        (direction.has_records, direction.is_out_of_step) = (true, false);
        if self.is_over { Step::Over } else { Step::Done }
    }

    /// Takes a handshake message; `sealed`: the part of TLS 1.3 in which it was protected.
    fn message(&mut self, side: Side, kind: u8, body: &[u8], sealed: Option<Stage>) {
        let handshake = &mut self.handshake;
        let direction = &mut self.directions[side.index()];
        match Message::read(kind, body, sealed.is_some()) {
            Message::ClientHello(hello) if sealed.is_none() => {
                handshake.client = Some(side);
                handshake.client_random = Some(hello.random);
                let keep = |name: &[u8]| (!name.is_empty() && name.len() <= MAX_TICKET).then(|| name.into());
                handshake.offered = [keep(hello.session_id), hello.ticket.and_then(keep)];
                handshake.has_early_data = hello.has_early_data;
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
                    self.end_with(Reason::Version);
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
                self.facts.certificate = names.0;
            }
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

    fn open_tls13(
        &mut self,
        keys: &Keys,
        side: Side,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Hit, Miss> {
        let Self { handshake, directions, budget, .. } = self;
        let direction = &mut directions[side.index()];
        let context = Context {
            keys,
            of_client: handshake.client.map(|client| client == side),
            random: handshake.client_random.as_ref(),
            suite: handshake.suite.or_else(|| direction.epochs.suite()),
        };
        let opened = direction.epochs.open(context, record, direction.lost, budget, plain);
        if opened.is_ok() || handshake.client_random.is_some() {
            return opened;
        }
        let from_start = direction.lost < UNKNOWN_LOSS;
        let Some((found, hit)) = direction.epochs.search(context, record, from_start, budget, plain) else {
            return Err(Miss::NoSecret);
        };
        handshake.client_random = Some(found.random);
        let client = if found.of_client { side } else { side.other() };
        handshake.client = Some(client);
        self.inner.opener.get_or_insert(client);
        self.facts.version.get_or_insert(Version::TLS13);
        let suite = self.directions[side.index()].epochs.suite();
        self.handshake.suite = self.handshake.suite.or(suite);
        self.facts.suite = self.facts.suite.or(suite.map(|suite| suite.number));
        Ok(hit)
    }

    fn open_tls12(
        &mut self,
        keys: &Keys,
        side: Side,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Hit, Miss> {
        if self.directions[side.index()].fixed.is_none() {
            self.find_master(keys, side, record, plain)?;
        }
        let Self { directions, budget, .. } = self;
        let direction = &mut directions[side.index()];
        let fixed = direction.fixed.as_mut().ok_or(Miss::Wrong)?;
        fixed.open(record, direction.lost, budget, plain).ok_or(Miss::Wrong)
    }

    /// Finds the master secret of TLS 1.2, and makes the keys of both directions.
    fn find_master(
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
                keys.note_use(random);
                Some((*random, of(random, &master)?, master))
            }),
            None => keys.search(&[Label::Master], MAX_MASTERS, |random, _, master| {
                let both = of(random, master)?;
                let of_client = handshake.client == Some(side);
                let [client, server] = &both;
                let key: &RecordKey = if of_client { client } else { server };
                // Its first record is the end of the handshake, if that was not lost.
                (0..2).any(|number| key.open(number, record, plain).is_some()).then(|| {
                    keys.note_use(random);
                    (*random, both, master.clone())
                })
            }),
        };
        let Some((random, [client, server], master)) = made else { return Err(Miss::NoSecret) };
        let client_side = handshake.client.unwrap_or(Side::A);
        self.handshake.client_random = Some(random);
        self.handshake.master = Some(master);
        self.directions[client_side.index()].fixed = Some(Fixed::new(client));
        self.directions[client_side.other().index()].fixed = Some(Fixed::new(server));
        self.keep_sessions();
        Ok(())
    }

    /// Remembers the master secret for connections that resume this session: Go logs no line for them.
    fn keep_sessions(&mut self) {
        let Some(keys) = &self.keys else { return };
        let Some(master) = self.master(keys) else { return };
        let handshake = &mut self.handshake;
        for name in handshake.tickets.drain(..).chain(handshake.server_session.clone()) {
            keys.keep_session(&name, &master, self.inner.last.packet);
        }
        handshake.master = Some(master);
    }

    /// The master secret, if it is known.
    fn master(&self, keys: &Keys) -> Option<Secret> {
        let logged = || keys.find(self.handshake.client_random.as_ref()?, Label::Master);
        self.handshake
            .master
            .clone()
            .or_else(logged)
            .or_else(|| self.handshake.resumed(keys, self.inner.last.packet))
    }

    /// Takes what a protected record holds.
    fn read(&mut self, flow: &Flow, place: Place<'_>, hit: Hit, plain: &[u8], give: &mut Give<'_>) {
        let side = place.side;
        let content = plain.get(..hit.opened.len).unwrap_or_default();
        let direction = &mut self.directions[side.index()];
        let lost = std::mem::take(&mut direction.lost);
        direction.failures = 0;
        (direction.has_records, direction.is_out_of_step) = (true, false);
        let is_tls12 = self.handshake.version == Some(Version::TLS12);
        match hit.opened.content_type {
            ContentType::ApplicationData if hit.stage == Stage::Early => {
                let kept: usize = self.early.iter().map(|early| early.bytes.len()).sum();
                self.is_early_cut |=
                    kept + content.len() > MAX_EARLY || self.early.len() >= MAX_EARLY_RECORDS;
                if !self.is_early_cut && !content.is_empty() {
                    let (offset, stamp) = (place.start, stamp_at(place.marks, place.start, place.origin));
                    self.early.push(Early { offset, stamp, bytes: content.to_vec() });
                }
            }
            ContentType::ApplicationData => {
                self.pass_early(flow, give);
                // The end of the handshake is record 0 of TLS 1.2.
                let is_first = lost < UNKNOWN_LOSS && hit.number <= u64::from(is_tls12);
                self.speak(flow, place, hit.lead, content, is_first, give);
            }
            ContentType::Handshake if !is_tls12 => {
                let mut handshakes = std::mem::take(&mut self.directions[side.index()].handshakes);
                handshakes
                    .content(content, &mut |kind, body| self.message(side, kind, body, Some(hit.stage)));
                self.directions[side.index()].handshakes = handshakes;
                self.pass_early(flow, give);
            }
            ContentType::Alert => {
                let has_spoken = self.directions.iter().any(|direction| direction.has_spoken);
                if let ([_, alert], false) = (content, has_spoken)
                    && *alert != 0
                {
                    self.facts.alert.get_or_insert(*alert);
                }
            }
            ContentType::Handshake | ContentType::ChangeCipherSpec => {}
        }
    }

    /// Gives early data on, or forgets it, once it is known whether the server takes it: rejected data is sent again.
    fn pass_early(&mut self, flow: &Flow, give: &mut Give<'_>) {
        if self.early.is_empty() {
            return;
        }
        let Some(client) = self.handshake.client else { return };
        let is_past = self.directions[client.index()].epochs.is_past_early();
        match self.handshake.takes_early_data {
            None if !is_past => {}
            Some(true) => {
                let mut last = Stamp::default();
                for Early { offset, stamp, bytes } in std::mem::take(&mut self.early) {
                    let place = Place { side: client, start: offset, marks: &[], origin: stamp };
                    self.speak(flow, place, 0, &bytes, true, give);
                    last = stamp;
                }
                if std::mem::take(&mut self.is_early_cut) {
                    self.say_gap(client, last, give);
                }
            }
            None | Some(false) => self.early = Vec::new(),
        }
    }

    /// Gives application data on.
    fn speak(
        &mut self,
        flow: &Flow,
        place: Place<'_>,
        lead: usize,
        content: &[u8],
        is_first: bool,
        give: &mut Give<'_>,
    ) {
        let Place { side, start, marks, origin } = place;
        let direction = &mut self.directions[side.index()];
        if !direction.has_spoken {
            direction.has_spoken = true;
            self.inner.from_start[side.index()] = is_first;
        }
        if content.is_empty() {
            return;
        }
        // The place of each byte is that of the byte of ciphertext that it comes from.
        let begin = start + (rpcscope_parsers::tls::record::HEAD + lead) as u64;
        let end = begin + content.len() as u64;
        let origins = &mut self.inner.origins[side.index()];
        let sequence = |offset: u64| flow.origin(side, offset, origin).sequence;
        let first = stamp_at(marks, start, origin);
        let (mut at, mut stamp) = (begin, first);
        for mark in marks.iter().filter(|mark| mark.offset > begin && mark.offset < end) {
            origins.push(sequence(at), mark.offset - at, stamp);
            (at, stamp) = (mark.offset, mark.stamp);
        }
        origins.push(sequence(at), end - at, stamp);
        let needed = give(&self.inner, side, Chunk::Data(content), first);
        self.inner.origins[side.index()].release(needed);
    }
}

impl Handshake {
    /// The master secret of the session that is resumed, if its beginning was seen.
    fn resumed(&self, keys: &Keys, packet: u64) -> Option<Secret> {
        let [id, ticket] = &self.offered;
        let by_ticket = ticket.as_ref().and_then(|ticket| keys.session(ticket, packet));
        // A server that goes on with a session repeats its id.
        by_ticket.or_else(|| {
            keys.session(id.as_ref().filter(|id| Some(*id) == self.server_session.as_ref())?, packet)
        })
    }
}

/// Where a record stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    side: Side,
    /// Its first byte in the stream of its side.
    start: u64,
    /// The packets that it came in.
    marks: &'a [Mark],
    /// The packet that brought the chunk at hand.
    origin: Stamp,
}
