//! Which protocol a connection speaks, and its session: chunks in, messages out.
//!
//! A connection begins undecided: its first bytes are shown to every protocol in turn ([`rpcscope_parsers::all`]) until
//! one says yes. If its beginning was not captured (or after a gap), every new segment is tried as the beginning of a message,
//! for a bounded number of tries; after that, only the first segment of a side after the other one sent. A connection that no
//! protocol recognises is then ignored.

use rpcscope_parsers::{Detection, Error, Event, Opening, Protocol, Session, Side};

use crate::decode::{FlowKey, Network};
use crate::flow::{Chunk, Flow, Origin, Stamp};
use crate::foreign;

/// How many segments of a connection that was not seen from its start may be tried as the beginning of a message.
const TRIES: u32 = 64;

/// How many more may be tried after that, each the first of its side after the other one sent: if the capture begins within a
/// large message, the next message begins there.
const TURNS: u32 = 64;

/// How many datagrams of a UDP conversation may be unknown before it counts as foreign.
const DATAGRAM_TRIES: u32 = 4;

/// The reason of a connection of which nothing can be said.
const UNKNOWN: &str = "not of a known protocol";

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

/// A chunk of an undecided connection, kept to be read again once the protocol is known.
#[derive(Debug)]
struct KeptChunk {
    side: Side,
    len: usize,
}

#[derive(Debug, Default)]
struct Undecided {
    bytes: [Vec<u8>; 2],
    chunks: Vec<KeptChunk>,
    /// Whether what is kept of each side begins with its very first byte.
    from_start: [bool; 2],
    tries: u32,
    /// Who sent the last segment.
    last: Option<Side>,
    /// What it seems to be, by the first bytes that no protocol recognised.
    seems: Option<&'static str>,
}

enum State {
    /// No payload so far.
    Silent {
        /// Whether each side was captured from its first byte on.
        from_start: [bool; 2],
        /// A side has ended: `from_start` no longer changes.
        ended: bool,
    },
    /// Boxed, as few connections are undecided for long.
    Undecided(Box<Undecided>),
    Known {
        protocol: &'static dyn Protocol,
        session: Box<dyn Session>,
        /// Stream offset of the first byte of each side that the session was given: it counts from there.
        start: [u64; 2],
    },
    Foreign {
        reason: &'static str,
    },
    /// Both sides have ended: what is left of a known one for the connection's record.
    Over {
        protocol: &'static dyn Protocol,
        /// Boxed, because few sessions had any.
        trouble: Option<Box<(Error, u64)>>,
    },
}

/// The protocol state of one connection.
pub struct Conversation {
    state: State,
}

/// Takes what a session saw: who sent it, the event, and where its first byte came from.
pub type Take<'t> = dyn FnMut(Side, &Event<'_>, Origin) + 't;

impl Conversation {
    /// A connection of which nothing is known but its key and whether each side is seen from its start.
    #[must_use]
    pub fn new(key: &FlowKey, from_start: [bool; 2], decode_as: &[DecodeAs]) -> Self {
        let rule = decode_as
            .iter()
            .find(|rule| rule.network == key.network && (rule.port == key.a.port || rule.port == key.b.port));
        let state = match rule.map(|rule| rule.protocol) {
            None => State::Silent { from_start, ended: false },
            Some(None) => State::Foreign { reason: "left out by --decode-as" },
            Some(Some(name)) => match rpcscope_parsers::all().iter().find(|p| p.name() == name) {
                Some(protocol) => {
                    State::Known { protocol: *protocol, session: protocol.session(), start: [0; 2] }
                }
                None => State::Foreign { reason: "left out by --decode-as" },
            },
        };
        Self { state }
    }

    /// Reads what the next chunk will need; the sum means nothing.
    #[must_use]
    pub fn warm(&self) -> u64 {
        match &self.state {
            State::Known { session, .. } => (session.held(Side::A) + session.held(Side::B)) as u64,
            _ => 0,
        }
    }

    /// Name of the protocol, once it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        match &self.state {
            State::Known { protocol, .. } | State::Over { protocol, .. } => Some(protocol.name()),
            _ => None,
        }
    }

    /// Why nothing is decoded, where nothing is; why there are no calls, unless the connection `has_calls`.
    #[must_use]
    pub fn reason(&self, has_calls: bool) -> Option<&'static str> {
        let idle = |protocol: &'static dyn Protocol| (!has_calls).then(|| protocol.without_calls());
        match &self.state {
            State::Foreign { reason } => Some(reason),
            State::Silent { .. } => Some("no payload"),
            State::Undecided(undecided)
                if undecided.bytes.iter().all(Vec::is_empty) && undecided.tries == 0 =>
            {
                Some("no payload")
            }
            State::Undecided(undecided) => Some(match undecided.tries {
                0 => "too little payload to tell",
                _ => undecided.seems.unwrap_or("no message of a known protocol begins in it"),
            }),
            State::Known { protocol, session, .. } => {
                session.trouble().map(|(error, _)| error.what).or_else(|| idle(*protocol))
            }
            State::Over { protocol, trouble } => {
                trouble.as_ref().map(|trouble| trouble.0.what).or_else(|| idle(*protocol))
            }
        }
    }

    /// The last trouble of the session and how often there was one.
    #[must_use]
    pub fn trouble(&self) -> Option<(Error, u64)> {
        match &self.state {
            State::Known { session, .. } => session.trouble(),
            State::Over { trouble, .. } => trouble.as_deref().copied(),
            _ => None,
        }
    }

    /// Both sides have ended: frees the session, because the connection itself is remembered for a while.
    pub fn finish(&mut self) {
        let over = match &self.state {
            State::Known { protocol, session, .. } => {
                State::Over { protocol: *protocol, trouble: session.trouble().map(Box::new) }
            }
            State::Undecided(_) => State::Foreign { reason: self.reason(false).unwrap_or_default() },
            _ => return,
        };
        self.state = over;
    }

    /// Corrects whether each side was captured from its start. A SYN may be captured behind the packets that follow it, so
    /// that this is known only when the first chunk comes; after that it changes nothing.
    pub fn set_start(&mut self, from_start: [bool; 2]) {
        if let State::Silent { from_start: known, ended: false } = &mut self.state {
            *known = from_start;
        }
    }

    /// Takes the next chunk of `side`, carried by packet `origin`. Returns the offset of the first byte of `side` that a later
    /// message may begin with.
    pub fn chunk(
        &mut self,
        flow: &Flow,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        take: &mut Take<'_>,
    ) -> u64 {
        if let State::Silent { from_start, ended } = &mut self.state {
            if matches!(chunk, Chunk::End(_)) {
                *ended = true;
                return u64::MAX;
            }
            let from_start = *from_start;
            self.state = State::Undecided(Box::new(Undecided { from_start, ..Undecided::default() }));
        }
        match &mut self.state {
            State::Silent { .. } | State::Foreign { .. } | State::Over { .. } => u64::MAX,
            State::Known { session, start, .. } => {
                feed(session.as_mut(), *start, flow, side, chunk, origin, take)
            }
            State::Undecided(undecided) => {
                let decided = match chunk {
                    Chunk::Data(bytes) => undecided.data(side, bytes),
                    Chunk::Datagram { bytes, .. } => undecided.datagram(side, bytes),
                    Chunk::Gap { .. } => {
                        undecided.restart(side);
                        None
                    }
                    Chunk::End(_) => None,
                };
                match decided {
                    None => undecided.kept_from(flow, side),
                    Some(Decided::Foreign(reason)) => {
                        self.state = State::Foreign { reason };
                        u64::MAX
                    }
                    Some(Decided::Known(protocol)) => {
                        let kept = std::mem::take(undecided);
                        let mut session = protocol.session();
                        let mut start = [Side::A, Side::B].map(|side| kept.kept_from(flow, side));
                        // A datagram is never kept; what was kept already holds this chunk otherwise.
                        let needed = if let Chunk::Datagram { bytes, .. } = chunk {
                            start[side.index()] -= bytes.len() as u64;
                            feed(session.as_mut(), start, flow, side, chunk, origin, take)
                        } else {
                            replay(session.as_mut(), &kept, start, flow, origin, take);
                            needed(session.as_ref(), flow, side)
                        };
                        self.state = State::Known { protocol, session, start };
                        needed
                    }
                }
            }
        }
    }
}

/// Shows a new session what was kept while its protocol was not known.
fn replay(
    session: &mut dyn Session,
    kept: &Undecided,
    start: [u64; 2],
    flow: &Flow,
    origin: Stamp,
    take: &mut Take<'_>,
) {
    let mut done = [0usize; 2];
    for chunk in &kept.chunks {
        let side = chunk.side.index();
        let from = done[side];
        done[side] += chunk.len;
        if let Some(bytes) = kept.bytes[side].get(from..done[side]) {
            let stamp = flow.origin(chunk.side, start[side] + from as u64, origin).stamp;
            feed(session, start, flow, chunk.side, Chunk::Data(bytes), stamp, take);
        }
    }
}

enum Decided {
    Known(&'static dyn Protocol),
    Foreign(&'static str),
}

impl Undecided {
    /// Offset of the first kept byte of `side`.
    fn kept_from(&self, flow: &Flow, side: Side) -> u64 {
        flow.origins[side.index()].next() - self.bytes[side.index()].len() as u64
    }

    fn data(&mut self, side: Side, bytes: &[u8]) -> Option<Decided> {
        if bytes.is_empty() {
            return None;
        }
        let turn = self.last.replace(side) != Some(side);
        if self.tries >= TRIES && !turn && self.chunks.is_empty() {
            return None;
        }
        self.bytes[side.index()].extend_from_slice(bytes);
        self.chunks.push(KeptChunk { side, len: bytes.len() });
        match self.ask() {
            (Detection::No, _) => {}
            answer => return self.conclude(answer),
        }
        if self.from_start.iter().zip(&self.bytes).all(|(start, kept)| *start || kept.is_empty()) {
            return Some(Decided::Foreign(self.guess()));
        }
        if let Some(reason) = self.try_again() {
            return Some(Decided::Foreign(reason));
        }
        // This segment alone may be where messages begin.
        let others_kept = self.chunks.len() > 1;
        self.clear();
        self.from_start = [false, false];
        if !others_kept {
            return None;
        }
        self.bytes[side.index()].extend_from_slice(bytes);
        self.chunks.push(KeptChunk { side, len: bytes.len() });
        match self.ask() {
            (Detection::No, _) => {
                self.clear();
                None
            }
            answer => self.conclude(answer),
        }
    }

    /// Counts a try; the reason why it is given up if it was the last.
    fn try_again(&mut self) -> Option<&'static str> {
        self.tries += 1;
        self.seems = self.seems.or_else(|| self.look(Network::Tcp));
        (self.tries >= TRIES + TURNS).then(|| self.guess())
    }

    /// What the kept bytes look like.
    fn look(&self, network: Network) -> Option<&'static str> {
        foreign::guess(network, [&self.bytes[0], &self.bytes[1]])
    }

    /// What the connection seems to be, for people.
    fn guess(&self) -> &'static str {
        self.seems.or_else(|| self.look(Network::Tcp)).unwrap_or(UNKNOWN)
    }

    fn ask(&self) -> Answer {
        let bytes: [&[u8]; 2] = [&self.bytes[0], &self.bytes[1]];
        detect(&Opening { bytes, from_start: self.from_start, datagram: false })
    }

    fn conclude(&mut self, answer: Answer) -> Option<Decided> {
        match answer {
            (Detection::Yes, protocol) => protocol.map(Decided::Known),
            _ if self.bytes.iter().any(|kept| kept.len() > rpcscope_parsers::protocol::DETECT_LIMIT) => {
                if self.from_start == [true, true] {
                    return Some(Decided::Foreign(self.guess()));
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
        self.seems = self.seems.or_else(|| foreign::guess(Network::Udp, both));
        (self.tries >= DATAGRAM_TRIES).then(|| Decided::Foreign(self.seems.unwrap_or(UNKNOWN)))
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
        self.chunks.clear();
    }
}

/// What the protocols say together, and which one says yes.
type Answer = (Detection, Option<&'static dyn Protocol>);

/// Asks the protocols in their order. The first that says yes has it, unless one before it needs more bytes.
fn detect(opening: &Opening<'_>) -> Answer {
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

/// Hands a chunk to a session and its messages on; returns the offset of the first byte of `side` that a later message may
/// begin with.
fn feed(
    session: &mut dyn Session,
    start: [u64; 2],
    flow: &Flow,
    side: Side,
    chunk: Chunk<'_>,
    origin: Stamp,
    take: &mut Take<'_>,
) -> u64 {
    let mut emit = |from: Side, event: &Event<'_>| {
        let offset = start[from.index()] + event.start();
        take(from, event, flow.origin(from, offset, origin));
    };
    match chunk {
        Chunk::Data(bytes) => session.data(side, bytes, &mut emit),
        Chunk::Datagram { bytes, .. } => session.datagram(side, bytes, &mut emit),
        Chunk::Gap { bytes, .. } => session.gap(side, Some(bytes), &mut emit),
        Chunk::End(_) => session.end(side, &mut emit),
    }
    needed(session, flow, side)
}

/// Offset of the first byte of `side` that a later message of the session may begin with.
fn needed(session: &dyn Session, flow: &Flow, side: Side) -> u64 {
    flow.origins[side.index()].next().saturating_sub(session.held(side) as u64)
}
