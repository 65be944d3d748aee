//! What stands in front of a connection's own bytes and names the address that they come from or go to: a PROXY protocol
//! header, HTTP CONNECT, SOCKS. Whatever protocol follows, the prelude is the same, so that it is no protocol of its own:
//! the caller removes it and shows the rest to the protocols.
//!
//! | prelude | the client sends | the proxy answers |
//! | --- | --- | --- |
//! | PROXY protocol, versions 1 and 2 | one header | nothing |
//! | HTTP CONNECT | a request head | a head with a 2xx status |
//! | SOCKS 4, 4a | a request | 8 bytes |
//! | SOCKS 5 | methods, (a password,) a request | a choice, (a verdict,) an address |

mod connect;
mod proxy;
mod socks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use nom::{Err, Needed};

use crate::error::{Error, Parse};
use crate::event::Side;
use crate::http1::head::close_cut as close_cut_head;

/// Most preludes that may stand one behind the other (a PROXY header, then a CONNECT through another proxy).
pub const MAX_PRELUDES: usize = 4;

/// An address as a prelude names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name and a port.
    Host(&'a [u8], u16),
    /// Text that holds both, or the path of a UNIX socket.
    Text(&'a [u8]),
}

impl fmt::Display for Address<'_> {
    /// `host:port`. Names are as sent, undecodable bytes replaced; they may hold control characters of the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Host(name, port) => write!(f, "{}:{port}", String::from_utf8_lossy(name)),
            Self::Text(text) => f.write_str(&String::from_utf8_lossy(text)),
        }
    }
}

/// A whole prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelude<'a> {
    /// Who sent it.
    pub client: Side,
    /// Bytes of each side that belong to it.
    pub len: [usize; 2],
    /// The client on whose behalf a proxy opened the connection (PROXY protocol).
    pub source: Option<SocketAddr>,
    /// Where the client wants to go (CONNECT, SOCKS), or had connected to (PROXY protocol).
    pub target: Option<Address<'a>>,
    /// The proxy refused, for this reason.
    pub refused: Option<&'static str>,
}

/// What stands at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// No prelude.
    Nothing,
    /// It may be a prelude: more bytes are needed.
    More,
    /// A prelude whose rest can't be followed, and why.
    Opaque(&'static str),
    /// A prelude.
    Whole(Prelude<'a>),
}

/// Reads the prelude at the beginning of a connection. `bytes` are the first ones of each side; `client` is the side that
/// opened the connection. `heard` says whether the other side can be heard: if not, its answers were not captured and what
/// the client sends next shows what they were.
#[must_use]
pub fn read(bytes: [&[u8]; 2], client: Side, heard: bool) -> Found<'_> {
    let sent = *client.of(&bytes);
    let answered = heard.then_some(*client.other().of(&bytes));
    let read = match sent.first() {
        Some(b'P' | b'\r') => proxy::read(sent),
        Some(b'C') => connect::read(sent, answered),
        Some(4) => socks::read_4(sent, answered),
        Some(5) => socks::read_5(sent, answered),
        _ => return Found::Nothing,
    };
    match read {
        Ok(read) => {
            let Exchange { sent, answered, source, target, refused } = read;
            let mut len = [answered; 2];
            *client.of_mut(&mut len) = sent;
            Found::Whole(Prelude { client, len, source, target, refused })
        }
        Err(Stop::More) => Found::More,
        Err(Stop::Nothing) => Found::Nothing,
        Err(Stop::Opaque(why)) => Found::Opaque(why),
    }
}

/// The same where nothing of `client` was captured: what the proxy `answered` is told by its form. An HTTP CONNECT was granted with the
/// head of a 200 that says nothing of a body, which other answers do; SOCKS with fixed bytes that no other protocol begins with.
#[must_use]
pub fn read_answers(answered: &[u8], client: Side) -> Found<'_> {
    let read = match answered.first() {
        Some(b'H') => connect::read_grant(answered),
        Some(0) => socks::read_grant_4(answered),
        Some(5) => socks::read_grant_5(answered),
        _ => return Found::Nothing,
    };
    match read {
        Ok(len) => {
            let mut both = [0; 2];
            *client.other().of_mut(&mut both) = len;
            Found::Whole(Prelude { client, len: both, source: None, target: None, refused: None })
        }
        Err(Stop::More) => Found::More,
        Err(Stop::Nothing | Stop::Opaque(_)) => Found::Nothing,
    }
}

/// An HTTP CONNECT whose head is cut, closed as if there were no more fields; `None` if `sent` is none.
#[must_use]
pub fn close_cut(sent: &[u8]) -> Option<Vec<u8>> {
    let closed = close_cut_head(sent)?;
    is_request(&closed).then_some(closed)
}

/// Whether `sent` is the whole head of an HTTP CONNECT.
#[must_use]
pub fn is_request(sent: &[u8]) -> bool {
    connect::is_request(sent)
}

/// A prelude as its own format reads it: bytes of the client and of the proxy that belong to it, and what it names.
#[derive(Clone, Copy, Debug, Default)]
struct Exchange<'a> {
    sent: usize,
    answered: usize,
    source: Option<SocketAddr>,
    target: Option<Address<'a>>,
    refused: Option<&'static str>,
}

/// Why there is no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    More,
    Nothing,
    Opaque(&'static str),
}

impl From<Err<Error>> for Stop {
    fn from(error: Err<Error>) -> Self {
        if error.is_incomplete() { Self::More } else { Self::Nothing }
    }
}

/// The bytes of one side of an exchange, read message by message.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads the next message.
    fn read<O>(&mut self, mut parser: impl FnMut(&'a [u8]) -> Parse<'a, O>) -> Result<O, Stop> {
        let (rest, out) = parser(self.rest())?;
        self.at = self.bytes.len() - rest.len();
        Ok(out)
    }
}

/// The answers of the proxy.
#[derive(Clone, Copy)]
struct Answers<'a>(Option<Reader<'a>>);

impl<'a> Answers<'a> {
    fn new(bytes: Option<&'a [u8]>) -> Self {
        Self(bytes.map(Reader::new))
    }

    /// The next answer. `None` where the proxy can't be heard, as soon as the client has gone on, which it does only after
    /// the answer that lets it.
    fn next<O>(
        &mut self,
        client: &Reader<'_>,
        parser: impl FnMut(&'a [u8]) -> Parse<'a, O>,
    ) -> Result<Option<O>, Stop> {
        match &mut self.0 {
            Some(answers) => answers.read(parser).map(Some),
            None if client.rest().is_empty() => Err(Stop::More),
            None => Ok(None),
        }
    }

    /// Bytes read.
    fn len(&self) -> usize {
        self.0.map_or(0, |answers| answers.at)
    }
}

/// An unknown number of bytes is missing.
fn more<O>() -> Result<O, Err<Error>> {
    Err(Err::Incomplete(Needed::Unknown))
}
