//! Handshake messages: `type 1 │ length 3 │ body`, each in one record or in several (RFC 8446, section 4).

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::combinator::map;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};

use super::certificate::{self, Names};
use super::hello::{self, ClientHello, ServerHello};
use crate::error::Parse;

/// Longest message that is put together from records, in bytes: chains of certificates are the longest.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What a client begins with.
    ClientHello(ClientHello<'a>),
    /// What a server answers.
    ServerHello(ServerHello<'a>),
    /// A ticket of TLS 1.2 (RFC 5077, section 3.3).
    NewSessionTicket(&'a [u8]),
    /// Names in the first certificate of a chain of TLS 1.2.
    Certificate(Names),
    /// Names in the first certificate of a chain of TLS 1.3.
    Certificate13(Names),
    /// What the server of TLS 1.3 says in secret.
    EncryptedExtensions {
        /// The protocol that it has chosen for the application.
        alpn: Option<&'a [u8]>,
        /// It takes the client's early data.
        takes_early_data: bool,
    },
    /// A message of TLS 1.2 that is part of a whole handshake only: resumed sessions exchange no keys (`ServerKeyExchange`, `ServerHelloDone`,
    /// `ClientKeyExchange`).
    KeyExchange,
    /// The client's early data ends.
    EndOfEarlyData,
    /// The sender's next record has new keys.
    KeyUpdate,
    /// The handshake of this side is over.
    Finished,
    /// Anything else.
    Other(u8),
}

impl<'a> Message<'a> {
    /// Reads a message. `is_tls13`: the layouts of TLS 1.3 hold. One that is malformed is [`Message::Other`].
    #[must_use]
    pub fn read(kind: u8, body: &'a [u8], is_tls13: bool) -> Self {
        let other = Self::Other(kind);
        match kind {
            1 => ClientHello::read(body).map_or(other, |(_, hello)| Self::ClientHello(hello)),
            2 => ServerHello::read(body).map_or(other, |(_, hello)| Self::ServerHello(hello)),
            4 if !is_tls13 => ticket(body).map_or(other, |(_, ticket)| Self::NewSessionTicket(ticket)),
            5 if is_tls13 => Self::EndOfEarlyData,
            8 if is_tls13 => {
                let mut said = hello::extensions(body);
                let takes_early_data =
                    hello::extensions(body).any(|(kind, _)| kind == hello::extension::EARLY_DATA);
                let alpn = said.find(|(kind, _)| *kind == hello::extension::ALPN);
                Self::EncryptedExtensions {
                    alpn: alpn.and_then(|(_, value)| hello::protocols(value).next()),
                    takes_early_data,
                }
            }
            11 if is_tls13 => {
                chain13(body).map_or(other, |(_, first)| Self::Certificate13(certificate::names(first)))
            }
            11 => chain(body).map_or(other, |(_, first)| Self::Certificate(certificate::names(first))),
            12 | 14 | 16 if !is_tls13 => Self::KeyExchange,
            20 => Self::Finished,
            24 if is_tls13 => Self::KeyUpdate,
            _ => other,
        }
    }
}

/// `lifetime 4 │ length 2 │ ticket`.
fn ticket(body: &[u8]) -> Parse<'_, &[u8]> {
    map((be_u32, length_data(be_u16)), |(_, ticket)| ticket).parse(body)
}

/// `length 3 │ (length 3 │ certificate)…`: the first one is the sender's.
fn chain(body: &[u8]) -> Parse<'_, &[u8]> {
    map((take(3usize), length_data(be_u24)), |(_, first)| first).parse(body)
}

/// `length 1 │ context │ length 3 │ (length 3 │ certificate │ length 2 │ extensions)…`
fn chain13(body: &[u8]) -> Parse<'_, &[u8]> {
    let (body, _) = length_data(be_u8).parse(body)?;
    chain(body)
}

/// Puts the messages of one side together.
#[derive(Clone, Debug, Default)]
pub struct Handshakes {
    begun: Vec<u8>,
    /// Bytes of a message that is too long, still to be passed over.
    skip: usize,
}

impl Handshakes {
    /// Takes the content of a record and hands on the messages that are whole: their type and body.
    pub fn content(&mut self, mut content: &[u8], each: &mut dyn FnMut(u8, &[u8])) {
        let skipped = self.skip.min(content.len());
        self.skip -= skipped;
        content = content.get(skipped..).unwrap_or_default();
        if self.begun.is_empty() {
            content = self.messages(content, each);
            self.begun.extend_from_slice(content);
            return;
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(content);
        let rest = self.messages(&begun, each);
        let done = begun.len() - rest.len();
        begun.drain(..done);
        self.begun = begun;
    }

    /// Hands on the whole messages and returns what follows them.
    fn messages<'a>(&mut self, mut content: &'a [u8], each: &mut dyn FnMut(u8, &[u8])) -> &'a [u8] {
        while let [kind, high, middle, low, rest @ ..] = content {
            let len = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            match rest.split_at_checked(len) {
                Some((body, after)) => {
                    each(*kind, body);
                    content = after;
                }
                None if len > MAX_MESSAGE => {
                    self.skip = len - rest.len();
                    return &[];
                }
                None => break,
            }
        }
        content
    }

    /// Bytes were lost: what has begun has no end.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.begun.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_records_cut_them() {
        let bytes = b"\x14\0\0\x03abc\x05\0\0\0\x14\0\0\x01x";
        let all = [(20, b"abc".to_vec()), (5, Vec::new()), (20, b"x".to_vec())];
        for cut in 0..=bytes.len() {
            let (mut handshakes, mut seen) = (Handshakes::default(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                handshakes.content(part, &mut |kind, body| seen.push((kind, body.to_vec())));
            }
            assert_eq!(seen, all, "{cut}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_passed_over() {
        let (mut handshakes, mut seen) = (Handshakes::default(), 0);
        handshakes.content(b"\x0b\x02\0\0ab", &mut |_, _| seen += 1);
        for _ in 0..3 {
            handshakes.content(&vec![0; 0xaaaa], &mut |_, _| seen += 1);
        }
        assert!(handshakes.memory() < MAX_MESSAGE);
        handshakes.clear();
        handshakes.content(b"\x14\0\0\0", &mut |_, _| seen += 1);
        assert_eq!(seen, 1);
    }
}
