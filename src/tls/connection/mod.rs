//! One connection: what waits for keys, and the streams of both sides, cut into records.
//!
//! | file | noun |
//! | --- | --- |
//! | `handshake.rs` | what the handshake says |
//! | `records.rs` | records, opened or not |
//! | `plaintext.rs` | what they hold |

mod handshake;
mod plaintext;
mod records;

use std::sync::Arc;

use rpcscope_parsers::Side;
use rpcscope_parsers::tls::Record;

use super::direction::{Direction, Mark, Next};
use super::epoch::{Fixed, SEARCH};
use super::facts::{Facts, Reason};
use super::held::{Held, HeldChunk, What};
use super::keys::Keys;
use crate::flow::{Chunk, End, Flow, GapReason, Stamp};
use handshake::Handshake;
use plaintext::Early;
use records::Place;

/// What a gap in a connection of which nothing was captured before may have held, in bytes.
const UNKNOWN_LOSS: u64 = 1 << 25;
/// Records of one direction that may stay closed before it is given up.
const MAX_FAILURES: u64 = 64;
/// Records of early data that may stay closed because their secret is not known.
const MAX_UNREAD_EARLY: u64 = 4096;

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
    /// Early data at the client's beginning is missing.
    has_unread_early: bool,
    /// There was some of which the key logs have no line.
    lacks_early_line: bool,
    /// What is left to spend on searching.
    budget: u64,
    is_over: bool,
    /// There is no key, and none comes any more: only the course of the handshake is of interest.
    only_looks: bool,
    /// Who ended it first, and whether by RST.
    ended: Option<(Side, bool)>,
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
            is_whole: from_start,
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
            has_unread_early: false,
            lacks_early_line: false,
            budget: SEARCH,
            is_over: false,
            only_looks: false,
            ended: None,
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
            let lacks_early = self.lacks_early_line && self.handshake.takes_early_data == Some(true);
            let late = (self.facts.dropped > 0).then_some(Reason::TooLate);
            return late.or(lacks_early.then_some(Reason::NoEarlyLine));
        }
        let keys = self.keys.as_ref().filter(|keys| keys.has_source());
        let knows = |keys: &Arc<Keys>| self.handshake.client_random.is_some_and(|random| keys.knows(&random));
        match keys {
            _ if self.facts.alert.is_some() && !self.handshake.is_settled => {
                self.facts.alert.map(Reason::Refused)
            }
            _ if self.broken_off().is_some() => self.broken_off(),
            None => Some(Reason::NoKeys),
            Some(keys) if knows(keys) && self.facts.dropped > 0 => Some(Reason::TooLate),
            Some(keys) if knows(keys) && self.facts.failed_record.is_some() => Some(Reason::WrongKey),
            // Lines for a part of its records are too few.
            Some(keys) if knows(keys) => self.only_looks.then_some(Reason::NoLine),
            Some(_) if self.handshake.client_random.is_none() || self.handshake.server_random.is_none() => {
                Some(Reason::NoHandshake)
            }
            Some(_) => Some(Reason::NoLine),
        }
    }

    /// What ended the handshake, or keeps it from going on, without an alert. Nothing is said where bytes are missing: they may hold the rest.
    fn broken_off(&self) -> Option<Reason> {
        let client = self.handshake.client?;
        let server = &self.directions[client.other().index()];
        if !self.may_break_off() {
            return None;
        }
        if let Some((side, by_reset)) = self.ended {
            return Some(Reason::Ended { by_client: side == client, by_reset });
        }
        (!server.has_records && server.buffer.is_empty()).then_some(Reason::Unanswered)
    }

    /// The handshake was captured from its start, and is not over: its last message of either side is protected.
    pub(super) fn may_break_off(&self) -> bool {
        self.handshake.client_random.is_some()
            && self.directions.iter().all(|direction| direction.is_whole)
            && !self.directions.iter().all(|direction| direction.has_sealed)
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

    /// Gives up what waits for keys, after a look at how the handshake went on.
    pub(crate) fn settle(&mut self, flow: &Flow) {
        if !self.is_waiting() {
            return;
        }
        self.only_looks = true;
        self.is_catching_up = true;
        while let Passed::End(..) = self.wake(flow, &mut |_, _, _, _| u64::MAX) {}
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
            Chunk::End(end) => {
                if matches!(end, End::Fin | End::Rst) {
                    self.ended.get_or_insert((side, end == End::Rst));
                }
                give(&self.inner, side, chunk, origin);
            }
            _ if self.is_over => {}
            Chunk::Data(bytes) => self.data(flow, side, offset, bytes, origin, give),
            Chunk::Gap { bytes, .. } => {
                self.directions[side.index()].lose(bytes);
                self.say_gap(side, origin, give);
            }
            Chunk::Datagram { .. } => {}
        }
    }

    /// Bytes of this side are lost: application data if it has sent any before, and maybe an answer if only the other one has.
    fn say_gap(&mut self, side: Side, origin: Stamp, give: &mut Give<'_>) {
        if self.directions.iter().any(|direction| direction.has_spoken) {
            give(&self.inner, side, Chunk::Gap { bytes: 1, reason: GapReason::Sealed }, origin);
        }
    }

    /// From here on, all application data of both sides is missing.
    fn say_end(&mut self, origin: Stamp, give: &mut Give<'_>) {
        if self.directions.iter().any(|direction| direction.has_spoken) {
            for side in [Side::A, Side::B] {
                give(&self.inner, side, Chunk::Gap { bytes: 1, reason: GapReason::Sealed }, origin);
            }
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
        let mut plain = Vec::new();
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
                    // Most packets end no record.
                    if let Some(keys) = self.keys.as_ref().filter(|_| plain.capacity() == 0) {
                        plain = keys.borrow_buffer();
                    }
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
        if let Some(keys) = self.keys.as_ref().filter(|_| plain.capacity() > 0) {
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
            let cost = Record::cost_of(len);
            self.budget = self.budget.saturating_sub(cost);
            direction.lost += 1;
            direction.failures += 1;
            if self.budget < cost || direction.failures > MAX_FAILURES {
                self.end_closed(place, give);
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
            self.end_closed(place, give);
        }
        len
    }

    /// The records of a side do not open any more.
    fn end_closed(&mut self, place: Place<'_>, give: &mut Give<'_>) {
        let direction = &self.directions[place.side.index()];
        let has_opened =
            direction.epochs.has_opened || direction.fixed.as_ref().is_some_and(|fixed| fixed.has_opened);
        let is_lost = has_opened && !direction.is_whole;
        self.end_with(if is_lost { Reason::OutOfStep } else { Reason::WrongKey });
        self.say_end(place.origin, give);
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
}
