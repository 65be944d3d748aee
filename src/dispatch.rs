//! Which protocol a connection speaks, and its session: chunks in, messages out.
//!
//! A connection begins undecided: its first bytes are shown to every protocol in turn ([`rpcscope_parsers::all`]) until
//! one says yes. Where its beginning was not captured (or after a gap) every new segment gets a chance to be the place at
//! which messages begin, for a bounded number of tries, and then those after which the other side spoke. What nobody knows
//! costs nothing more after that.

use std::collections::VecDeque;

use rpcscope_parsers::{Detection, Error, Event, Opening, Protocol, Session, Side};

use crate::decode::{FlowKey, Network};
use crate::flow::{Chunk, Stamp};

/// How many segments of a connection that was not seen from its start may be tried as the beginning of a message.
const TRIES: u32 = 64;

/// How many more may be tried after that, each the first of its side after the other one spoke: whoever comes in the
/// middle of a large message finds the next one there.
const TURNS: u32 = 64;

/// How many datagrams of a UDP conversation may be unknown before it counts as foreign.
const DATAGRAM_TRIES: u32 = 4;

/// What to do with connections of one port, whatever their bytes look like (`--decode-as tcp:9000=trpc`).
#[derive(Clone, Copy, Debug)]
pub struct DecodeAs {
    /// TCP or UDP.
    pub network: Network,
    /// Port of either end.
    pub port: u16,
    /// The protocol; `None` says "do not decode".
    pub protocol: Option<&'static str>,
}

impl std::str::FromStr for DecodeAs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "expected NETWORK:PORT=PROTOCOL, for instance tcp:9000=trpc";
        let (place, name) = text.split_once('=').ok_or(form)?;
        let (network, port) = place.split_once(':').ok_or(form)?;
        let network = match network {
            "tcp" => Network::Tcp,
            "udp" => Network::Udp,
            _ => return Err(format!("unknown network '{network}': tcp or udp; {form}")),
        };
        let port = port.parse().map_err(|_| format!("'{port}' is no port; {form}"))?;
        if name == "none" {
            return Ok(Self { network, port, protocol: None });
        }
        let names: Vec<&'static str> = rpcscope_parsers::all().iter().map(|p| p.name()).collect();
        let protocol = names.iter().find(|known| **known == name).copied();
        let protocol = protocol
            .ok_or_else(|| format!("unknown protocol '{name}'; known are {}, none", names.join(", ")))?;
        Ok(Self { network, port, protocol: Some(protocol) })
    }
}

/// Where the bytes of one side came from: stream offset of each chunk that is not done with.
#[derive(Debug, Default)]
struct Marks {
    /// Offset of the next byte to come.
    next: u64,
    marks: VecDeque<(u64, Stamp)>,
}

impl Marks {
    fn push(&mut self, len: u64, origin: Stamp) {
        self.marks.push_back((self.next, origin));
        self.next += len;
    }

    /// The packet that carried the byte at `offset`.
    fn at(&self, offset: u64) -> Option<Stamp> {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        self.marks.get(after.saturating_sub(1)).map(|(_, stamp)| *stamp)
    }

    /// Forgets what lies before the last `held` bytes.
    fn forget(&mut self, held: u64) {
        if held == 0 {
            self.marks.clear();
            return;
        }
        let oldest = self.next.saturating_sub(held);
        while self.marks.get(1).is_some_and(|(start, _)| *start <= oldest) {
            self.marks.pop_front();
        }
    }
}

/// A piece of an undecided connection, kept to be read again once the protocol is known.
#[derive(Debug)]
struct Piece {
    side: Side,
    len: usize,
    origin: Stamp,
}

#[derive(Debug, Default)]
struct Undecided {
    bytes: [Vec<u8>; 2],
    pieces: Vec<Piece>,
    /// Whether what is kept of each side begins with its very first byte.
    from_start: [bool; 2],
    /// Something was delivered or lost: `from_start` says the last word.
    begun: bool,
    tries: u32,
    /// Who sent the last segment.
    last: Option<Side>,
    /// Why it seems to be foreign, once only turns are tried.
    reason: Option<&'static str>,
}

enum State {
    Undecided(Undecided),
    Known {
        protocol: &'static dyn Protocol,
        session: Box<dyn Session>,
        marks: [Marks; 2],
        /// Bytes of each side that were delivered and wait for their turn with the session.
        waiting: [u64; 2],
    },
    Foreign {
        reason: &'static str,
    },
    /// Both sides have ended: what is left of a known one for the connection's record.
    Over {
        protocol: &'static dyn Protocol,
        trouble: Option<(Error, u64)>,
    },
}

/// The protocol state of one connection.
pub struct Conversation {
    state: State,
}

/// Takes what a session saw: who sent it, the message, and where its first byte was.
pub type Take<'t> = dyn FnMut(Side, &Event<'_>, Origin) + 't;

/// Where a message begins.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The packet that carried its first byte.
    pub stamp: Stamp,
    /// How far its first byte stands before the end of what its side has delivered so far ([`Flow::position`]).
    ///
    /// [`Flow::position`]: crate::flow::Flow::position
    pub behind: u64,
}

impl Conversation {
    /// A connection of which nothing is known but its key and whether each side is seen from its start.
    #[must_use]
    pub fn new(key: &FlowKey, from_start: [bool; 2], decode_as: &[DecodeAs]) -> Self {
        let rule = decode_as
            .iter()
            .find(|rule| rule.network == key.network && (rule.port == key.a.port || rule.port == key.b.port));
        let state = match rule.map(|rule| rule.protocol) {
            None => State::Undecided(Undecided { from_start, ..Undecided::default() }),
            Some(None) => State::Foreign { reason: "left out by --decode-as" },
            Some(Some(name)) => match rpcscope_parsers::all().iter().find(|p| p.name() == name) {
                Some(protocol) => Self::known(*protocol),
                None => State::Foreign { reason: "left out by --decode-as" },
            },
        };
        Self { state }
    }

    fn known(protocol: &'static dyn Protocol) -> State {
        let marks = [Marks::default(), Marks::default()];
        State::Known { protocol, session: protocol.session(), marks, waiting: [0; 2] }
    }

    /// Name of the protocol, once it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        match &self.state {
            State::Known { protocol, .. } | State::Over { protocol, .. } => Some(protocol.name()),
            _ => None,
        }
    }

    /// Why nothing is decoded, where nothing is.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match &self.state {
            State::Foreign { reason } => Some(reason),
            State::Undecided(undecided)
                if undecided.bytes.iter().all(Vec::is_empty) && undecided.tries == 0 =>
            {
                Some("no payload")
            }
            State::Undecided(undecided) => Some(undecided.reason.unwrap_or("too little payload to tell")),
            State::Known { session, .. } => session.trouble().map(|(error, _)| error.what),
            State::Over { trouble, .. } => trouble.map(|(error, _)| error.what),
        }
    }

    /// How many bytes of `side` the session was given so far, known holes included: the stream offset of the next byte,
    /// as its messages count. `None` while the protocol is not known.
    #[must_use]
    pub fn offset(&self, side: Side) -> Option<u64> {
        match &self.state {
            State::Known { marks, .. } => Some(marks[side.index()].next),
            _ => None,
        }
    }

    /// The last trouble of the session and how often there was one.
    #[must_use]
    pub fn trouble(&self) -> Option<(Error, u64)> {
        match &self.state {
            State::Known { session, .. } => session.trouble(),
            State::Over { trouble, .. } => *trouble,
            _ => None,
        }
    }

    /// Both sides have ended: lets go of the session, because the connection itself is remembered for a while.
    pub fn finish(&mut self) {
        if let State::Known { protocol, session, .. } = &self.state {
            self.state = State::Over { protocol: *protocol, trouble: session.trouble() };
        }
    }

    /// Says anew whether each side is seen from its start. A SYN may be captured behind the packets that follow it, so
    /// that this is known only when the first chunk comes; after that it changes nothing.
    pub fn set_start(&mut self, from_start: [bool; 2]) {
        if let State::Undecided(undecided) = &mut self.state
            && !undecided.begun
        {
            undecided.from_start = from_start;
        }
    }

    /// Takes the next chunk of `side`, carried by packet `origin`.
    pub fn chunk(&mut self, side: Side, chunk: Chunk<'_>, origin: Stamp, take: &mut Take<'_>) {
        match &mut self.state {
            State::Foreign { .. } | State::Over { .. } => {}
            State::Known { session, marks, waiting, .. } => {
                feed(session.as_mut(), marks, *waiting, side, chunk, origin, take);
            }
            State::Undecided(undecided) => {
                undecided.begun = true;
                let decided = match chunk {
                    Chunk::Data(bytes) => undecided.data(side, bytes, origin),
                    Chunk::Datagram { bytes, .. } => undecided.datagram(side, bytes),
                    Chunk::Gap(_) => {
                        undecided.restart(side);
                        None
                    }
                    Chunk::End(_) => None,
                };
                match decided {
                    None => {}
                    Some(Decided::Foreign(reason)) => self.state = State::Foreign { reason },
                    Some(Decided::Known(protocol)) => {
                        let kept = std::mem::take(undecided);
                        self.state = Self::known(protocol);
                        self.replay(&kept, take);
                        // A datagram is never kept; what was kept already holds this chunk otherwise.
                        if matches!(chunk, Chunk::Datagram { .. }) {
                            self.chunk(side, chunk, origin, take);
                        }
                    }
                }
            }
        }
    }

    fn replay(&mut self, kept: &Undecided, take: &mut Take<'_>) {
        let mut done = [0usize; 2];
        for piece in &kept.pieces {
            let start = done[piece.side.index()];
            done[piece.side.index()] = start + piece.len;
            if let State::Known { waiting, .. } = &mut self.state {
                *waiting = [0, 1].map(|side: usize| kept.bytes[side].len().saturating_sub(done[side]) as u64);
            }
            if let Some(bytes) = kept.bytes[piece.side.index()].get(start..start + piece.len) {
                self.chunk(piece.side, Chunk::Data(bytes), piece.origin, take);
            }
        }
    }
}

enum Decided {
    Known(&'static dyn Protocol),
    Foreign(&'static str),
}

impl Undecided {
    fn data(&mut self, side: Side, bytes: &[u8], origin: Stamp) -> Option<Decided> {
        if bytes.is_empty() {
            return None;
        }
        let turn = self.last.replace(side) != Some(side);
        if self.tries >= TRIES && !turn && self.pieces.is_empty() {
            return None;
        }
        self.bytes[side.index()].extend_from_slice(bytes);
        self.pieces.push(Piece { side, len: bytes.len(), origin });
        match self.ask() {
            Detection::No => {}
            answer => return self.conclude(answer),
        }
        if self.from_start.iter().zip(&self.bytes).all(|(start, kept)| *start || kept.is_empty()) {
            return Some(Decided::Foreign(foreign_reason(&self.bytes)));
        }
        if let Some(reason) = self.try_again() {
            return Some(Decided::Foreign(reason));
        }
        // This segment alone may be where messages begin.
        let others_kept = self.pieces.len() > 1;
        self.clear();
        self.from_start = [false, false];
        if !others_kept {
            return None;
        }
        self.bytes[side.index()].extend_from_slice(bytes);
        self.pieces.push(Piece { side, len: bytes.len(), origin });
        match self.ask() {
            Detection::No => {
                self.clear();
                None
            }
            answer => self.conclude(answer),
        }
    }

    /// Counts a try; the reason why it is given up if it was the last.
    fn try_again(&mut self) -> Option<&'static str> {
        self.tries += 1;
        if self.tries >= TRIES && self.reason.is_none() {
            self.reason = Some(foreign_reason(&self.bytes));
        }
        self.reason.filter(|_| self.tries >= TRIES + TURNS)
    }

    fn ask(&self) -> Detection {
        let opening =
            Opening { bytes: [&self.bytes[0], &self.bytes[1]], from_start: self.from_start, datagram: false };
        detect(&opening).0
    }

    fn conclude(&mut self, answer: Detection) -> Option<Decided> {
        let opening =
            Opening { bytes: [&self.bytes[0], &self.bytes[1]], from_start: self.from_start, datagram: false };
        match answer {
            Detection::Yes => detect(&opening).1.map(Decided::Known),
            _ if self.bytes.iter().any(|kept| kept.len() > rpcscope_parsers::protocol::DETECT_LIMIT) => {
                if self.from_start == [true, true] {
                    return Some(Decided::Foreign(foreign_reason(&self.bytes)));
                }
                if let Some(reason) = self.try_again() {
                    return Some(Decided::Foreign(reason));
                }
                self.clear();
                self.from_start = [false, false];
                None
            }
            _ => None,
        }
    }

    fn datagram(&mut self, side: Side, bytes: &[u8]) -> Option<Decided> {
        let mut both: [&[u8]; 2] = [&[], &[]];
        both[side.index()] = bytes;
        let opening = Opening { bytes: both, from_start: [true, true], datagram: true };
        if let (Detection::Yes, Some(protocol)) = detect(&opening) {
            return Some(Decided::Known(protocol));
        }
        self.tries += 1;
        (self.tries >= DATAGRAM_TRIES).then_some(Decided::Foreign("not of a known protocol"))
    }

    /// What is kept of `side` is not in one piece with what comes: it begins anew.
    fn restart(&mut self, side: Side) {
        if !self.bytes[side.index()].is_empty() {
            self.clear();
        }
        self.from_start[side.index()] = false;
    }

    fn clear(&mut self) {
        self.bytes.iter_mut().for_each(Vec::clear);
        self.pieces.clear();
    }
}

/// Asks the protocols in their order. The first that says yes has it, unless one before it needs more bytes.
fn detect(opening: &Opening<'_>) -> (Detection, Option<&'static dyn Protocol>) {
    let mut answer = Detection::No;
    for protocol in rpcscope_parsers::all() {
        match protocol.detect(opening) {
            Detection::Yes if answer == Detection::No => return (Detection::Yes, Some(*protocol)),
            Detection::More => answer = Detection::More,
            Detection::No | Detection::Yes => {}
        }
    }
    (answer, None)
}

/// Says for people what a connection is that is none of ours, as far as its first bytes tell.
fn foreign_reason(bytes: &[Vec<u8>; 2]) -> &'static str {
    let starts = |prefix: &[u8]| bytes.iter().any(|kept| kept.starts_with(prefix));
    // TLS record (RFC 8446, section 5.1): handshake, major version 3.
    if starts(&[0x16, 0x03]) || starts(&[0x17, 0x03]) {
        "TLS without keys"
    } else if starts(b"SSH-") {
        "SSH"
    } else {
        "not of a known protocol"
    }
}

fn feed(
    session: &mut dyn Session,
    marks: &mut [Marks; 2],
    waiting: [u64; 2],
    side: Side,
    chunk: Chunk<'_>,
    origin: Stamp,
    take: &mut Take<'_>,
) {
    let lane = &mut marks[side.index()];
    match chunk {
        Chunk::Data(bytes) | Chunk::Datagram { bytes, .. } => lane.push(bytes.len() as u64, origin),
        Chunk::Gap(missing) => lane.push(missing.unwrap_or(0), origin),
        Chunk::End(_) => lane.push(0, origin),
    }
    let marks_now = &*marks;
    let mut emit = |from: Side, event: &Event<'_>| {
        let lane = &marks_now[from.index()];
        let stamp = lane.at(event.start()).unwrap_or(origin);
        let behind = lane.next.saturating_sub(event.start()) + waiting[from.index()];
        take(from, event, Origin { stamp, behind });
    };
    match chunk {
        Chunk::Data(bytes) => session.data(side, bytes, &mut emit),
        Chunk::Datagram { bytes, .. } => session.datagram(side, bytes, &mut emit),
        Chunk::Gap(missing) => session.gap(side, missing, &mut emit),
        Chunk::End(_) => session.end(side, &mut emit),
    }
    let held = session.held(side) as u64;
    marks[side.index()].forget(held);
}
