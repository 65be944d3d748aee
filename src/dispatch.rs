//! Which protocol a connection speaks, and its session: chunks in, messages out.
//!
//! A connection begins undecided: its first bytes are shown to every protocol in turn ([`rpcscope_parsers::all`]) until
//! one says yes. If its beginning was not captured (or after a gap), every new segment is tried as the beginning of a message,
//! for a bounded number of tries; after that, only the first segment of a side after the other one sent. A connection that no
//! protocol recognises is then ignored.
//!
//! What looks like TLS is read with the keys that the user has ([`tls`](crate::tls)), and what is inside begins undecided in its turn.
//!
//! What proxies put in front of any protocol ([`rpcscope_parsers::prelude`]) is removed before the protocols are asked, and
//! before `--decode-as` decides.

mod feed;
mod guess;
mod layered;
mod sessions;
mod undecided;

use std::num::NonZeroU32;
use std::sync::Arc;

use rpcscope_parsers::prelude::{self, Found};
use rpcscope_parsers::{Detection, Error, Event, Opening, Protocol, Session, Side, Unread};

use feed::{feed, feed_here, needed};
use layered::Layered;
pub use layered::Plaintext;
pub use sessions::Sessions;
use undecided::{Decided, Undecided};

use crate::decode::{FlowKey, Network};
use crate::flow::{Chunk, Flow, GapReason, Origin, Origins, Stamp};
use crate::tls::{Facts, Keys, Passed};

/// The longest greeting of a server that is kept until its client speaks: servers of HTTP/2 send their settings first.
const GREETING_LIMIT: usize = 256;

/// What to do with connections of one port, whatever their bytes look like (`--decode-as tcp:9000=trpc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// `tcp:9000=trpc`, `9000=trpc` (TCP), or as tshark has it: `tcp.port==9000,trpc`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "expected PORT=PROTOCOL or NETWORK:PORT=PROTOCOL, for instance 9000=trpc or udp:9000=trpc";
        let (place, name) = if let Some((field, value)) = text.split_once("==") {
            let (port, name) = value.split_once(',').ok_or(form)?;
            let network = field.trim().strip_suffix(".port");
            let network = network.ok_or_else(|| format!("'{field}' is no tcp.port or udp.port; {form}"))?;
            ((network, port), name)
        } else {
            let (place, name) = text.split_once('=').ok_or(form)?;
            (place.split_once(':').unwrap_or(("tcp", place)), name)
        };
        let (network, port, name) = (place.0.trim(), place.1.trim(), name.trim());
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
        // gRPC is recognised inside of HTTP/2.
        let name = if name == "grpc" { "http2" } else { name };
        let protocol = names.iter().find(|known| **known == name).copied();
        let protocol = protocol
            .ok_or_else(|| format!("unknown protocol '{name}'; known are {}, none", names.join(", ")))?;
        Ok(Self { network, port, protocol: Some(protocol) })
    }
}

/// What a server had sent when its protocol was recognised by that, and may still be another.
struct Greeting {
    bytes: Box<[u8]>,
    wanted: Wanted,
}

/// Where the bytes that a session was given begin.
#[derive(Clone, Copy)]
struct Base {
    /// Stream offset of the first byte of each side: the session counts from there.
    start: [u64; 2],
    /// Whether each side's bytes begin with its very first, preludes apart.
    whole: [bool; 2],
    /// A side that had sent nothing when the protocol was recognised by what the other one sent, if it may be the client: a PROXY header may
    /// still come from it.
    awaited: Option<Side>,
}

/// What a connection needs if it turns out to be TLS.
#[derive(Clone, Default)]
struct ForTls {
    /// `None` if nothing can be read.
    keys: Option<Arc<Keys>>,
    /// What is read is kept for [`Conversation::take_plaintext`].
    keeps_plaintext: bool,
}

enum State {
    /// No payload so far.
    Silent {
        /// Whether each side was captured from its first byte on, as it was known when one of them ended.
        ended: Option<[bool; 2]>,
        /// The protocol that `--decode-as` sets.
        forced: Option<&'static dyn Protocol>,
        tls: ForTls,
        wanted: Wanted,
    },
    /// TLS, and what is inside of it.
    Tls(Box<Layered>),
    /// Boxed, as few connections are undecided for long.
    Undecided(Box<Undecided>),
    Known {
        protocol: &'static dyn Protocol,
        session: Box<dyn Session>,
        base: Base,
        /// Boxed, because few servers send before their clients.
        greeting: Option<Box<Greeting>>,
    },
    Foreign {
        reason: &'static str,
    },
    /// Both sides have ended: what is left of a known one for the connection's record.
    Over {
        protocol: &'static dyn Protocol,
        /// Why there are no calls, if there are none.
        idle: &'static str,
        /// Boxed, because few sessions had any.
        trouble: Option<Box<(Error, u64)>>,
        client: Option<Side>,
    },
}

impl State {
    fn silent(forced: Option<&'static dyn Protocol>, wanted: Wanted) -> Self {
        Self::Silent { ended: None, forced, tls: ForTls::default(), wanted }
    }
}

/// The protocol state of one connection.
pub struct Conversation {
    state: State,
}

/// What is wanted of the bodies of messages.
#[derive(Clone, Copy, Debug, Default)]
enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// The bodies, each up to that size.
    Bodies(NonZeroU32),
    /// Which bytes are theirs.
    Marks,
}

/// Takes what a session saw: who sent it, the event, and where its first byte came from.
pub type Take<'t> = dyn FnMut(Side, &Event<'_>, Origin) + 't;

impl Conversation {
    /// A connection of which nothing is known but its key. With `bodies`, its session emits the bodies of messages too, each up to so many
    /// bytes.
    #[must_use]
    pub fn new(key: &FlowKey, decode_as: &[DecodeAs], bodies: Option<NonZeroU32>) -> Self {
        let wanted = bodies.map_or(Wanted::Nothing, Wanted::Bodies);
        let rule = decode_as
            .iter()
            .find(|rule| rule.network == key.network && (rule.port == key.a.port || rule.port == key.b.port));
        let state = match rule.map(|rule| rule.protocol) {
            None => State::silent(None, wanted),
            Some(None) => State::Foreign { reason: "left out by --decode-as" },
            Some(Some(name)) => match rpcscope_parsers::all().iter().find(|p| p.name() == name) {
                Some(protocol) => State::silent(Some(*protocol), wanted),
                None => State::Foreign { reason: "left out by --decode-as" },
            },
        };
        Self { state }
    }

    /// The same connection, whose TLS can be read with these keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Option<&Arc<Keys>>) -> Self {
        if let State::Silent { tls, .. } = &mut self.state {
            tls.keys = keys.cloned();
        }
        self
    }

    /// The same connection, which keeps what is read of its TLS until [`take_plaintext`](Self::take_plaintext).
    #[must_use]
    pub fn keeping_plaintext(mut self) -> Self {
        if let State::Silent { tls, .. } = &mut self.state {
            tls.keeps_plaintext = true;
        }
        self
    }

    /// The same connection, whose session emits which bytes are those of bodies, in place of the bodies.
    #[must_use]
    pub fn marking_bodies(mut self) -> Self {
        if let State::Silent { wanted, .. } = &mut self.state {
            *wanted = Wanted::Marks;
        }
        self
    }

    /// From here on, its session emits the bodies of messages too, each up to so many bytes. Of HTTP/2, those of the streams that begin later.
    pub fn collect_bodies(&mut self, limit: NonZeroU32) {
        let bodies = Wanted::Bodies(limit);
        match &mut self.state {
            State::Silent { wanted, .. } => *wanted = bodies,
            State::Undecided(kept) => kept.wanted = bodies,
            State::Known { session, greeting, .. } => {
                session.collect_bodies(limit.get() as usize);
                if let Some(greeting) = greeting {
                    greeting.wanted = bodies;
                }
            }
            State::Tls(layered) => layered.inner.collect_bodies(limit),
            State::Foreign { .. } | State::Over { .. } => {}
        }
    }

    /// Offset of the first byte of each side that its session was given; `None` as long as its protocol is not known.
    #[must_use]
    pub fn read_from(&self) -> Option<[u64; 2]> {
        match &self.state {
            State::Known { base, .. } => Some(base.start),
            _ => None,
        }
    }

    /// What was read of its TLS since the last time; `None` if it is not TLS.
    pub fn take_plaintext(&mut self) -> Option<Vec<Plaintext>> {
        match &mut self.state {
            State::Tls(layered) => Some(layered.take_plaintext()),
            _ => None,
        }
    }

    /// What is known of its TLS; `None` if there is none.
    #[must_use]
    pub fn tls(&self) -> Option<Facts> {
        match &self.state {
            State::Tls(layered) => Some(layered.facts()),
            _ => None,
        }
    }

    /// Whether its protocol is still to be found out.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, State::Silent { .. } | State::Undecided(_))
    }

    /// Whether chunks wait for the keys of its TLS: even the end of a side may not be the end of what it says.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(&self.state, State::Tls(layered) if layered.is_waiting())
    }

    /// Reads what waits, if there are new keys, or none will come any more. Call this until all is read.
    pub fn wake(&mut self, flow: &Flow, take: &mut Take<'_>) -> Passed {
        match &mut self.state {
            State::Tls(layered) => layered.wake(flow, take),
            _ => Passed::All,
        }
    }

    /// Gives up what waits for keys: nothing of it is read any more, but how the handshake went on is known.
    pub fn settle(&mut self, flow: &Flow) {
        if let State::Tls(layered) = &mut self.state {
            layered.settle(flow);
        }
    }

    /// Reads what the next chunk will need; the sum means nothing.
    #[must_use]
    pub fn warm(&self) -> u64 {
        match &self.state {
            State::Known { session, .. } => (session.held(Side::A) + session.held(Side::B)) as u64,
            _ => 0,
        }
    }

    /// About how many bytes of memory it takes, in addition to its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.state {
            State::Known { session, .. } => session.memory(),
            State::Undecided(undecided) => undecided.memory(),
            State::Tls(layered) => layered.memory(),
            State::Silent { .. } | State::Foreign { .. } | State::Over { .. } => 0,
        }
    }

    /// Frees buffers that hold nothing which later chunks need: worth it for a connection that is silent while memory is scarce.
    pub fn shrink(&mut self) {
        match &mut self.state {
            State::Known { session, .. } => session.shrink(),
            State::Tls(layered) => layered.inner.shrink(),
            State::Silent { .. } | State::Undecided(_) | State::Foreign { .. } | State::Over { .. } => {}
        }
    }

    /// Name of the protocol, once it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        match &self.state {
            State::Known { protocol, .. } | State::Over { protocol, .. } => Some(protocol.name()),
            State::Silent { forced, .. } => forced.map(Protocol::name),
            State::Undecided(undecided) => undecided.forced.map(Protocol::name),
            State::Tls(layered) => layered.inner.protocol(),
            State::Foreign { .. } => None,
        }
    }

    /// Why nothing is decoded, where nothing is; why there are no calls, unless the connection `has_calls`.
    #[must_use]
    pub fn reason(&self, has_calls: bool) -> Option<&'static str> {
        match &self.state {
            State::Foreign { reason } => Some(reason),
            State::Silent { .. } => Some("no payload"),
            State::Undecided(undecided) => Some(undecided.reason()),
            State::Tls(layered) => layered.reason(has_calls),
            State::Known { protocol, session, .. } => {
                let idle = || (!has_calls).then(|| idle(*protocol, session.as_ref()));
                session.trouble().map(|(error, _)| error.what).or_else(idle)
            }
            State::Over { idle, trouble, .. } => {
                trouble.as_ref().map(|trouble| trouble.0.what).or((!has_calls).then_some(*idle))
            }
        }
    }

    /// The side that sent the requests, as far as the protocol shows it.
    #[must_use]
    pub fn client(&self) -> Option<Side> {
        match &self.state {
            State::Known { session, .. } => session.client(),
            State::Over { client, .. } => *client,
            State::Tls(layered) => layered.client(),
            State::Silent { .. } | State::Undecided(_) | State::Foreign { .. } => None,
        }
    }

    /// The last trouble of the session and how often there was one.
    #[must_use]
    pub fn trouble(&self) -> Option<(Error, u64)> {
        match &self.state {
            State::Known { session, .. } => session.trouble(),
            State::Over { trouble, .. } => trouble.as_deref().copied(),
            State::Tls(layered) => layered.inner.trouble(),
            _ => None,
        }
    }

    /// What keeps fields of messages to come from being read.
    #[must_use]
    pub fn unread(&self) -> Option<Unread> {
        match &self.state {
            State::Known { session, .. } => session.unread(),
            State::Tls(layered) => layered.inner.unread(),
            _ => None,
        }
    }

    /// Both sides have ended: gives the session away, because the connection itself is remembered for a while.
    pub fn finish(&mut self, sessions: &mut Sessions) {
        let over = match &mut self.state {
            State::Tls(layered) => return layered.finish(sessions),
            State::Known { protocol, session, .. } => State::Over {
                protocol: *protocol,
                idle: idle(*protocol, session.as_ref()),
                trouble: session.trouble().map(Box::new),
                client: session.client(),
            },
            State::Undecided(_) => State::Foreign { reason: self.reason(false).unwrap_or_default() },
            _ => return,
        };
        if let State::Known { protocol, session, .. } = std::mem::replace(&mut self.state, over) {
            sessions.keep(protocol, session);
        }
    }

    /// Takes the next chunk of `side`, carried by packet `origin`; if it shows the protocol, its session is one of `sessions`. Returns the
    /// offset of the first byte of `side` that a later message may begin with.
    #[expect(
        clippy::inline_always,
        reason = "its eight arguments then stay in registers: 40 instructions a packet"
    )]
    #[inline(always)]
    pub fn chunk(
        &mut self,
        flow: &Flow,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        sessions: &mut Sessions,
        take: &mut impl FnMut(Side, &Event<'_>, Origin),
    ) -> u64 {
        match &mut self.state {
            State::Known { session, base: base @ Base { awaited: None, .. }, .. } => {
                feed_here(session.as_mut(), base, flow, side, chunk, origin, take)
            }
            _ => self.early_chunk(flow, side, chunk, origin, sessions, take),
        }
    }

    /// The same for a connection whose protocol is not known yet, or whose client has sent nothing so far.
    fn early_chunk(
        &mut self,
        flow: &Flow,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        sessions: &mut Sessions,
        take: &mut Take<'_>,
    ) -> u64 {
        if let State::Silent { ended, forced, tls, wanted } = &mut self.state {
            // A SYN may be captured behind the packets that follow it, so that this is known only when the first chunk comes.
            let from_start = ended.unwrap_or(flow.from_start);
            if matches!(chunk, Chunk::End(_)) {
                *ended = Some(from_start);
                return u64::MAX;
            }
            if let (Chunk::Data(bytes), None) = (chunk, *forced)
                && let Some(protocol) = undecided::at_once(flow, side, bytes, from_start)
            {
                let wanted = *wanted;
                let mut start = flow.origins.each_ref().map(Origins::next);
                start[side.index()] -= bytes.len() as u64;
                let base = Base { start, whole: from_start, awaited: None };
                let mut session = sessions.take(protocol, wanted);
                let needed = feed(session.as_mut(), base, flow, side, chunk, origin, take);
                self.state = State::Known { protocol, session, base, greeting: None };
                return needed;
            }
            let undecided = Undecided::new(from_start, *forced, std::mem::take(tls), *wanted);
            self.state = State::Undecided(Box::new(undecided));
        }
        match &mut self.state {
            State::Silent { .. } | State::Foreign { .. } | State::Over { .. } => u64::MAX,
            State::Tls(layered) => layered.chunk(flow, side, chunk, origin, take),
            State::Known { protocol, session, base, greeting } => {
                if base.awaited.take_if(|awaited| *awaited == side).is_none() {
                    return feed(session.as_mut(), *base, flow, side, chunk, origin, take);
                }
                let greeting = greeting.take();
                let chunk = behind_prelude(&mut base.start, flow, side, chunk, origin, take);
                let server = side.other();
                let all = |kept: &[u8]| {
                    flow.origins[server.index()].next() == base.start[server.index()] + kept.len() as u64
                };
                if let (Some(kept), Chunk::Data(bytes)) = (greeting.filter(|kept| all(&kept.bytes)), chunk)
                    && let Some(asked) = asked_instead(*protocol, side, bytes)
                {
                    (*protocol, *session) = (asked, sessions.take(asked, kept.wanted));
                    feed(session.as_mut(), *base, flow, side, chunk, origin, take);
                    feed(session.as_mut(), *base, flow, server, Chunk::Data(&kept.bytes), origin, take);
                    return needed(session.as_ref(), base, side);
                }
                feed(session.as_mut(), *base, flow, side, chunk, origin, take)
            }
            State::Undecided(undecided) => {
                let forced = undecided.forced.map(Decided::Known);
                let decided = match chunk {
                    Chunk::Data(bytes) => undecided.data(flow, side, bytes, origin, take),
                    Chunk::Datagram { bytes, .. } => undecided.datagram(side, bytes),
                    Chunk::Gap { bytes, reason } if forced.is_none() => {
                        undecided.gap(flow, side, bytes, reason)
                    }
                    Chunk::Gap { .. } | Chunk::End(_) => forced,
                };
                match decided {
                    None => undecided.kept_from(flow, side),
                    Some(Decided::Tls) => {
                        let layered = Layered::begin(undecided, flow, origin, take);
                        self.state = State::Tls(Box::new(layered));
                        u64::MAX
                    }
                    Some(Decided::Foreign(reason)) => {
                        self.state = State::Foreign { reason };
                        u64::MAX
                    }
                    Some(Decided::Known(protocol)) => {
                        let kept = std::mem::take(undecided);
                        let mut session = sessions.take(protocol, kept.wanted);
                        let start = [Side::A, Side::B].map(|side| kept.kept_from(flow, side));
                        let mut base = Base { start, whole: kept.from_start, awaited: None };
                        // Only data was kept; any other chunk has passed its own offsets already.
                        let passed = match chunk {
                            Chunk::Datagram { bytes, .. } => Some(bytes.len() as u64),
                            Chunk::Gap { reason: GapReason::Sealed, .. } | Chunk::End(_) => Some(0),
                            Chunk::Gap { bytes, .. } => Some(bytes),
                            Chunk::Data(_) => None,
                        };
                        base.start[side.index()] -= passed.unwrap_or(0);
                        replay(session.as_mut(), &kept, base, flow, side, origin, take);
                        let needed = match passed {
                            Some(_) => feed(session.as_mut(), base, flow, side, chunk, origin, take),
                            None => needed(session.as_ref(), &base, side),
                        };
                        let silent = match kept.bytes.each_ref().map(Vec::is_empty) {
                            [true, false] => Some(Side::A),
                            [false, true] => Some(Side::B),
                            _ => None,
                        };
                        let asks_next = silent.filter(|silent| flow.opener == Some(*silent));
                        let spoken = asks_next.map(|client| &kept.bytes[client.other().index()]);
                        let greeting = spoken
                            .filter(|spoken| base.whole == [true; 2] && spoken.len() <= GREETING_LIMIT)
                            .filter(|_| kept.forced.is_none())
                            .map(|spoken| {
                                let bytes = spoken.clone().into_boxed_slice();
                                Box::new(Greeting { bytes, wanted: kept.wanted })
                            });
                        base.awaited = silent;
                        self.state = State::Known { protocol, session, base, greeting };
                        needed
                    }
                }
            }
        }
    }
}

/// Why a connection of `protocol` shows no calls, if it shows none.
fn idle(protocol: &dyn Protocol, session: &dyn Session) -> &'static str {
    session.without_calls().unwrap_or_else(|| protocol.without_calls())
}

/// The protocol in which the client of a server that spoke `protocol` first asks with `bytes`, if it is another one: the client
/// took the server for one of its own.
fn asked_instead(protocol: &dyn Protocol, client: Side, bytes: &[u8]) -> Option<&'static dyn Protocol> {
    let mut both: [&[u8]; 2] = [&[], &[]];
    both[client.index()] = bytes;
    let opening = Opening { bytes: both, from_start: [true, true], datagram: false };
    if protocol.detect(&opening) != Detection::No {
        return None;
    }
    match undecided::detect(&opening) {
        (Detection::Yes, asked) => asked,
        _ => None,
    }
}

/// The first bytes of the client of a connection that the server's first bytes decided, without a PROXY header before them.
fn behind_prelude<'a>(
    start: &mut [u64; 2],
    flow: &Flow,
    client: Side,
    chunk: Chunk<'a>,
    origin: Stamp,
    take: &mut Take<'_>,
) -> Chunk<'a> {
    let Chunk::Data(bytes) = chunk else { return chunk };
    let mut both: [&[u8]; 2] = [&[], &[]];
    both[client.index()] = bytes;
    // Every other prelude has an answer, which would have come first.
    let Found::Whole(prelude) = prelude::read(both, client, true) else { return chunk };
    let len = prelude.len[client.index()];
    let from = &mut start[client.index()];
    take(client, &Event::Prelude(prelude), flow.origin(client, *from, origin));
    *from += len as u64;
    Chunk::Data(bytes.get(len..).unwrap_or_default())
}

/// Shows a new session what was kept while its protocol was not known. The last of it is of `last` and comes from `origin`: only that is
/// not remembered, if nothing before it is of that side.
fn replay(
    session: &mut dyn Session,
    kept: &Undecided,
    base: Base,
    flow: &Flow,
    last: Side,
    origin: Stamp,
    take: &mut Take<'_>,
) {
    let mut done = [0usize; 2];
    for chunk in &kept.chunks {
        let side = chunk.side.index();
        let from = done[side];
        done[side] += chunk.len;
        if let Some(bytes) = kept.bytes[side].get(from..done[side]) {
            let of_last = || flow.origin(last, base.start[side] + from as u64, origin).stamp;
            let stamp = if chunk.side == last { of_last() } else { origin };
            feed(session, base, flow, chunk.side, Chunk::Data(bytes), stamp, take);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_in_our_form_and_in_that_of_tshark() {
        let trpc = DecodeAs { network: Network::Tcp, port: 7101, protocol: Some("trpc") };
        for text in ["7101=trpc", "tcp:7101=trpc", "tcp.port==7101,trpc", "tcp.port == 7101 , trpc"] {
            assert_eq!(text.parse(), Ok(trpc), "{text}");
        }
        let none = DecodeAs { network: Network::Udp, port: 9, protocol: None };
        assert_eq!(["udp:9=none", "udp.port==9,none"].map(str::parse), [Ok(none), Ok(none)]);
        assert_eq!("9=grpc".parse::<DecodeAs>().unwrap().protocol, Some("http2"));
        for text in [
            "7101",
            "7101:trpc",
            "0x1=trpc",
            "sctp:1=trpc",
            "tcp.port==1",
            "tcp==1,trpc",
            "65536=trpc",
            "1=smtp",
            "=",
        ] {
            assert!(text.parse::<DecodeAs>().is_err(), "{text}");
        }
    }
}
