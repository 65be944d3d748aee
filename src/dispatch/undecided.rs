//! A connection whose protocol is not known yet: what it sent so far, and what the protocols say of it.

use rpcscope_parsers::prelude::{self, Found, MAX_PRELUDES};
use rpcscope_parsers::protocol::DETECT_LIMIT;
use rpcscope_parsers::tls::record;
use rpcscope_parsers::{Detection, Event, Opening, Protocol, Side};
use smallvec::{SmallVec, smallvec};

use super::guess::guess;
use super::{ForTls, Take, Wanted};
use crate::decode::Network;
use crate::flow::{Flow, GapReason, Stamp};

/// How many segments of a connection that was not seen from its start may be tried as the beginning of a message.
const TRIES: u32 = 64;

/// How many more may be tried after that, each the first of its side after the other one sent: if the capture begins within a
/// large message, the next message begins there.
const TURNS: u32 = 64;

/// How many datagrams of a UDP conversation may be unknown before it counts as foreign.
const DATAGRAM_TRIES: u32 = 4;

/// The reason of a connection of which nothing can be said.
const UNKNOWN: &str = "not of a known protocol";

/// The reason of a connection that shows nothing because of the snap length.
const CUT: &str = "the snap length cut off too much of its payload (capture with -s 0)";

/// A chunk of an undecided connection, kept to be read again once the protocol is known.
#[derive(Debug)]
pub(super) struct KeptChunk {
    pub(super) side: Side,
    pub(super) len: usize,
}

/// The protocol of a connection whose first `bytes` show it, if they are its client's and no prelude is among them: nearly always, and
/// nothing has to be kept for it. Otherwise [`Undecided`] finds out.
pub(super) fn at_once(
    flow: &Flow,
    side: Side,
    bytes: &[u8],
    from_start: [bool; 2],
) -> Option<&'static dyn Protocol> {
    if flow.opener != Some(side) || bytes.is_empty() {
        return None;
    }
    let mut both: [&[u8]; 2] = [&[], &[]];
    both[side.index()] = bytes;
    let heard = flow.segments[side.other().index()] > 0;
    if prelude::read(both, side, heard) != Found::Nothing {
        return None;
    }
    match detect(&Opening { bytes: both, from_start, datagram: false }) {
        (Detection::Yes, protocol) => protocol,
        _ => None,
    }
}

/// What is kept of it.
#[derive(Default)]
pub(super) struct Undecided {
    pub(super) bytes: [Vec<u8>; 2],
    /// Nearly always the first is enough, which takes no allocation.
    pub(super) chunks: SmallVec<[KeptChunk; 1]>,
    /// The protocol that `--decode-as` sets, whatever the bytes look like.
    pub(super) forced: Option<&'static dyn Protocol>,
    pub(super) tls: ForTls,
    pub(super) wanted: Wanted,
    /// Preludes that were removed.
    preludes: usize,
    /// The beginning of the connection is no longer kept, so that no prelude can follow.
    passed: bool,
    /// Bytes of each side are missing.
    lost: [bool; 2],
    /// The snap length cut off some of it.
    is_cut: bool,
    /// Whether what is kept of each side begins with its very first byte.
    pub(super) from_start: [bool; 2],
    tries: u32,
    /// Who sent the last segment.
    last: Option<Side>,
    /// What it seems to be, by the first bytes that no protocol recognised.
    seems: Option<&'static str>,
    /// Why a proxy refused it.
    refused: Option<&'static str>,
}

/// What became of it.
pub(super) enum Decided {
    Known(&'static dyn Protocol),
    Tls,
    Foreign(&'static str),
}

impl Undecided {
    /// A connection of which nothing was sent yet.
    pub(super) fn new(
        from_start: [bool; 2],
        forced: Option<&'static dyn Protocol>,
        tls: ForTls,
        wanted: Wanted,
    ) -> Self {
        Self { forced, tls, wanted, from_start, ..Self::default() }
    }

    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        let kept = self.bytes.iter().map(Vec::capacity).sum::<usize>();
        let chunks = if self.chunks.spilled() { self.chunks.capacity() } else { 0 };
        size_of::<Self>() + kept + chunks * size_of::<KeptChunk>()
    }

    /// Why nothing is decoded so far.
    pub(super) fn reason(&self) -> &'static str {
        match self.refused {
            Some(reason) => reason,
            None if self.tries > 0 && !(self.is_cut && self.seems.is_none()) => {
                self.seems.unwrap_or("no message of a known protocol begins in it")
            }
            None if self.seems.is_some() => self.guess(),
            None if self.is_cut => CUT,
            None if self.preludes == 0 && self.bytes.iter().all(Vec::is_empty) => "no payload",
            None => "too little payload to tell",
        }
    }

    /// Offset of the first kept byte of `side`.
    pub(super) fn kept_from(&self, flow: &Flow, side: Side) -> u64 {
        flow.origins[side.index()].next() - self.bytes[side.index()].len() as u64
    }

    /// Takes the next bytes of `side`, carried by packet `origin`.
    pub(super) fn data(
        &mut self,
        flow: &Flow,
        side: Side,
        bytes: &[u8],
        origin: Stamp,
        take: &mut Take<'_>,
    ) -> Option<Decided> {
        if bytes.is_empty() {
            return None;
        }
        let turn = self.last.replace(side) != Some(side);
        if self.tries >= TRIES && !turn && self.chunks.is_empty() {
            return None;
        }
        self.bytes[side.index()].extend_from_slice(bytes);
        self.chunks.push(KeptChunk { side, len: bytes.len() });
        match self.preludes(flow, origin, take) {
            Preludes::Over => {}
            Preludes::More => return None,
            Preludes::Opaque(reason) => return Some(Decided::Foreign(reason)),
        }
        if let Some(protocol) = self.forced {
            return Some(if self.is_tls() { Decided::Tls } else { Decided::Known(protocol) });
        }
        match self.ask() {
            (Detection::No, _) if self.is_tls() => return Some(Decided::Tls),
            (Detection::No, _) => {}
            answer => {
                if answer.0 == Detection::Yes && self.greeter(flow).is_some() {
                    self.put_requests_first(flow);
                }
                return self.conclude(answer);
            }
        }
        if self.from_start.iter().zip(&self.bytes).all(|(start, kept)| *start || kept.is_empty()) {
            return match self.greeting(flow) {
                Some(answer) => self.conclude(answer),
                None => Some(Decided::Foreign(self.guess())),
            };
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
            (Detection::No, _) if self.is_tls() => Some(Decided::Tls),
            (Detection::No, _) => {
                self.clear();
                None
            }
            answer => self.conclude(answer),
        }
    }

    /// Whether what is kept begins with records of TLS: those of a handshake, or protected ones in the middle of a connection.
    fn is_tls(&self) -> bool {
        self.bytes.iter().zip(self.from_start).any(|(kept, from_start)| {
            record::begins_handshake(kept) || (!from_start && record::begins_protected(kept))
        })
    }

    /// What the client of a server that speaks first says, as far as it has spoken: the requests of a client that took it for another
    /// server are calls all the same. `None` if there is no such server.
    fn greeting(&mut self, flow: &Flow) -> Option<Answer> {
        let seems = self.greeter(flow)?;
        let client = flow.opener?;
        let asked = &self.bytes[client.index()];
        let answer = if asked.is_empty() {
            (Detection::More, None)
        } else {
            let mut bytes: [&[u8]; 2] = [&[], &[]];
            bytes[client.index()] = asked;
            detect(&Opening { bytes, from_start: self.from_start, datagram: false })
        };
        match answer.0 {
            Detection::No => return None,
            Detection::More => self.seems = Some(seems),
            Detection::Yes => self.put_requests_first(flow),
        }
        Some(answer)
    }

    /// What a server that spoke first seems to be.
    fn greeter(&self, flow: &Flow) -> Option<&'static str> {
        let server = flow.opener?.other();
        let greeting = &self.bytes[server.index()];
        let first = self.chunks.first().is_some_and(|chunk| chunk.side == server);
        if first && greeting.len() <= DETECT_LIMIT { guess(Network::Tcp, [greeting, &[]]) } else { None }
    }

    /// What the server said before it was asked is read as its answer.
    fn put_requests_first(&mut self, flow: &Flow) {
        self.chunks.sort_by_key(|chunk| Some(chunk.side) != flow.opener);
    }

    /// Removes the preludes at the beginning of the connection, and says what they name.
    fn preludes(&mut self, flow: &Flow, origin: Stamp, take: &mut Take<'_>) -> Preludes {
        while !self.passed && self.preludes < MAX_PRELUDES {
            let Some(first) = self.chunks.first() else { return Preludes::More };
            let client = flow.opener.unwrap_or(first.side);
            let proxy = client.other();
            let heard = flow.segments[proxy.index()] > 0 && !self.lost[proxy.index()];
            let bytes: [&[u8]; 2] = [&self.bytes[0], &self.bytes[1]];
            let answers_alone =
                flow.opener != Some(first.side) && flow.segments[first.side.other().index()] == 0;
            let found = if answers_alone {
                prelude::read_answers(bytes[first.side.index()], first.side.other())
            } else {
                Found::Nothing
            };
            let found = if found == Found::Nothing { prelude::read(bytes, client, heard) } else { found };
            let prelude = match found {
                Found::Nothing => return Preludes::Over,
                Found::More if bytes.iter().any(|kept| kept.len() > DETECT_LIMIT) => return Preludes::Over,
                Found::More => return Preludes::More,
                Found::Opaque(reason) => return Preludes::Opaque(reason),
                Found::Whole(prelude) => prelude,
            };
            self.preludes += 1;
            self.refused = prelude.refused;
            if prelude.refused.is_none() {
                let client = prelude.client;
                let at = flow.origin(client, self.kept_from(flow, client), origin);
                take(client, &Event::Prelude(prelude), at);
            }
            let len = prelude.len;
            self.remove(len);
        }
        if self.chunks.is_empty() { Preludes::More } else { Preludes::Over }
    }

    /// Forgets the first bytes of each side. What follows them is where another protocol begins.
    fn remove(&mut self, len: [usize; 2]) {
        let mut left = len;
        for chunk in &mut self.chunks {
            let left = &mut left[chunk.side.index()];
            let gone = chunk.len.min(*left);
            chunk.len -= gone;
            *left -= gone;
        }
        self.chunks.retain(|chunk| chunk.len > 0);
        for ((kept, len), from_start) in self.bytes.iter_mut().zip(len).zip(&mut self.from_start) {
            kept.drain(..len.min(kept.len()));
            *from_start |= len > 0;
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
        guess(network, [&self.bytes[0], &self.bytes[1]])
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
            _ if self.bytes.iter().any(|kept| kept.len() > DETECT_LIMIT) => {
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

    /// Takes a datagram of `side`; none is kept.
    pub(super) fn datagram(&mut self, side: Side, bytes: &[u8]) -> Option<Decided> {
        if let Some(protocol) = self.forced {
            return Some(Decided::Known(protocol));
        }
        let mut both: [&[u8]; 2] = [&[], &[]];
        both[side.index()] = bytes;
        let opening = Opening { bytes: both, from_start: [true, true], datagram: true };
        if let (Detection::Yes, Some(protocol)) = detect(&opening) {
            return Some(Decided::Known(protocol));
        }
        self.tries += 1;
        self.seems = self.seems.or_else(|| guess(Network::Udp, both));
        (self.tries >= DATAGRAM_TRIES).then(|| Decided::Foreign(self.seems.unwrap_or(UNKNOWN)))
    }

    /// The next `missing` bytes of `side` are missing.
    pub(super) fn gap(
        &mut self,
        flow: &Flow,
        side: Side,
        missing: u64,
        reason: GapReason,
    ) -> Option<Decided> {
        if reason == GapReason::Cut {
            self.is_cut = true;
            if let Some(protocol) = self.shown_by_cut(side) {
                return Some(Decided::Known(protocol));
            }
            if self.cut_prelude(flow, side, missing) {
                return None;
            }
        }
        self.restart(side);
        None
    }

    /// What is kept of `side` may show its protocol although its packet was cut.
    fn shown_by_cut(&self, side: Side) -> Option<&'static dyn Protocol> {
        if self.bytes[side.index()].is_empty() {
            return None;
        }
        let bytes: [&[u8]; 2] = [&self.bytes[0], &self.bytes[1]];
        let opening = Opening { bytes, from_start: self.from_start, datagram: false };
        rpcscope_parsers::all().iter().find(|protocol| protocol.detect_cut(&opening)).copied()
    }

    /// Whether what is kept is a request for a tunnel or the answer to one: what follows is behind it all the same. A client waits for
    /// the answer before it sends more (RFC 9110, section 9.3.6), so that only this head is missing.
    fn cut_prelude(&mut self, flow: &Flow, side: Side, missing: u64) -> bool {
        let Some(first) = self.chunks.first().filter(|_| !self.passed) else { return false };
        let client = flow.opener.unwrap_or(first.side);
        let kept = &mut self.bytes[side.index()];
        if side == client {
            let closed =
                prelude::close_cut(kept).filter(|closed| closed.len() as u64 <= kept.len() as u64 + missing);
            let Some(closed) = closed.filter(|_| self.chunks.iter().all(|chunk| chunk.side == side)) else {
                return false;
            };
            self.chunks = smallvec![KeptChunk { side, len: closed.len() }];
            *kept = closed;
            return true;
        }
        let asked = &self.bytes[client.index()];
        if !prelude::is_request(asked) {
            return false;
        }
        self.bytes[side.index()].clear();
        self.chunks.retain(|chunk| chunk.side == client);
        self.lost[side.index()] = true;
        self.from_start[side.index()] = false;
        true
    }

    /// What is kept of `side` is not in one piece with what comes: it begins anew.
    fn restart(&mut self, side: Side) {
        if !self.bytes[side.index()].is_empty() {
            self.clear();
        }
        self.from_start[side.index()] = false;
        self.lost[side.index()] = true;
    }

    fn clear(&mut self) {
        self.passed = true;
        self.bytes.iter_mut().for_each(Vec::clear);
        self.chunks.clear();
    }
}

/// What stands in front of the connection's own bytes.
enum Preludes {
    /// Nothing, or nothing more.
    Over,
    /// It takes more bytes to say.
    More,
    /// A prelude behind which nothing can be read.
    Opaque(&'static str),
}

/// What the protocols say together, and which one says yes.
pub(super) type Answer = (Detection, Option<&'static dyn Protocol>);

/// Asks the protocols in their order. The first that says yes has it, unless one before it needs more bytes.
pub(super) fn detect(opening: &Opening<'_>) -> Answer {
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
