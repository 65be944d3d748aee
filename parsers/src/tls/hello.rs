//! `ClientHello` and `ServerHello` (RFC 8446, sections 4.1.2 and 4.1.3; RFC 5246, section 7.4.1).
//!
//! ```text
//! ClientHello   version 2 │ random 32 │ length 1, session id │ length 2, suites │ length 1, compression methods │ length 2, extensions
//! ServerHello   version 2 │ random 32 │ length 1, session id │ suite 2 │ compression method 1 │ length 2, extensions
//! extension     type 2 │ length 2 │ value
//! ```

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::combinator::{map_opt, rest};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};

use super::keylog::Random;
use super::suite::Version;
use crate::error::Parse;

/// The random of a `HelloRetryRequest`, which is a `ServerHello` in form: SHA-256 of those words (RFC 8446, section 4.1.3).
const RETRY: Random = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Most extensions of a message that are looked at.
const MAX_EXTENSIONS: usize = 64;
/// Most protocols that a client may offer, as far as they are listed.
const MAX_PROTOCOLS: usize = 8;

pub(super) mod extension {
    pub(in super::super) const SERVER_NAME: u16 = 0;
    pub(in super::super) const ALPN: u16 = 16;
    pub(in super::super) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(in super::super) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(in super::super) const SESSION_TICKET: u16 = 35;
    pub(in super::super) const PRE_SHARED_KEY: u16 = 41;
    pub(in super::super) const EARLY_DATA: u16 = 42;
    pub(in super::super) const SUPPORTED_VERSIONS: u16 = 43;
}

/// What a client begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// By which key logs name the connection.
    pub random: Random,
    /// The session to be resumed, or a random one for the sake of middleboxes.
    pub session_id: &'a [u8],
    /// The name of the server that it wants to reach.
    pub server_name: Option<&'a [u8]>,
    /// The extension of the application's protocols.
    alpn: &'a [u8],
    /// The ticket of the session to be resumed (RFC 5077); not empty.
    pub ticket: Option<&'a [u8]>,
    /// A session is offered by a pre-shared key of TLS 1.3.
    pub has_psk: bool,
    /// Application data may follow before the server's answer.
    pub has_early_data: bool,
    /// The latest version that it speaks.
    pub version: Version,
}

impl Default for Version {
    fn default() -> Self {
        Self::TLS12
    }
}

impl<'a> ClientHello<'a> {
    /// Reads the body of the message.
    ///
    /// # Errors
    ///
    /// It is malformed before its extensions.
    pub fn read(body: &'a [u8]) -> Parse<'a, Self> {
        let (body, (version, random, session_id)) = (be_u16, random, length_data(be_u8)).parse(body)?;
        let (body, _) = length_data(be_u16).parse(body)?;
        let (body, _) = length_data(be_u8).parse(body)?;
        let (empty, body) = rest(body)?;
        let mut hello = Self { random, session_id, version: Version(version), ..Self::default() };
        for (kind, value) in extensions(body) {
            match kind {
                extension::SERVER_NAME => hello.server_name = server_name(value),
                extension::ALPN => hello.alpn = value,
                extension::SESSION_TICKET if !value.is_empty() => hello.ticket = Some(value),
                extension::PRE_SHARED_KEY => hello.has_psk = true,
                extension::EARLY_DATA => hello.has_early_data = true,
                extension::SUPPORTED_VERSIONS => {
                    let listed = value.get(1..).unwrap_or_default().chunks_exact(2);
                    let known = listed.filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
                    // Others are there to keep servers tolerant (RFC 8701).
                    hello.version =
                        known.filter(|v| *v <= Version::TLS13.0).max().map_or(hello.version, Version);
                }
                _ => {}
            }
        }
        Ok((empty, hello))
    }

    /// The protocols that it offers for the application.
    pub fn protocols(&self) -> impl Iterator<Item = &'a [u8]> {
        protocols(self.alpn)
    }
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The server's part of the keys of TLS 1.2.
    pub random: Random,
    /// The session that goes on, or may be resumed later.
    pub session_id: &'a [u8],
    /// The suite that it has chosen.
    pub suite: u16,
    /// The version that it has chosen.
    pub version: Version,
    /// CBC records have their MAC outside (RFC 7366).
    pub encrypt_then_mac: bool,
    /// The master secret depends on the whole handshake (RFC 7627); that in a key log is the right one in any case.
    pub extended_master_secret: bool,
    /// The protocol that it has chosen for the application; TLS 1.3 says it later.
    pub alpn: Option<&'a [u8]>,
    /// The client has to begin again (`HelloRetryRequest`).
    pub is_retry: bool,
}

impl<'a> ServerHello<'a> {
    /// Reads the body of the message.
    ///
    /// # Errors
    ///
    /// It is malformed before its extensions.
    pub fn read(body: &'a [u8]) -> Parse<'a, Self> {
        let (body, (version, random, session_id)) = (be_u16, random, length_data(be_u8)).parse(body)?;
        let (body, (suite, _)) = (be_u16, be_u8).parse(body)?;
        let (empty, body) = rest(body)?;
        let mut hello = Self {
            random,
            session_id,
            suite,
            version: Version(version),
            encrypt_then_mac: false,
            extended_master_secret: false,
            alpn: None,
            is_retry: random == RETRY,
        };
        for (kind, value) in extensions(body) {
            match kind {
                extension::ALPN => hello.alpn = protocols(value).next(),
                extension::ENCRYPT_THEN_MAC => hello.encrypt_then_mac = true,
                extension::EXTENDED_MASTER_SECRET => hello.extended_master_secret = true,
                extension::SUPPORTED_VERSIONS => {
                    if let Ok(chosen) = value.try_into() {
                        hello.version = Version(u16::from_be_bytes(chosen));
                    }
                }
                _ => {}
            }
        }
        Ok((empty, hello))
    }
}

fn random(input: &[u8]) -> Parse<'_, Random> {
    map_opt(take(32usize), |bytes: &[u8]| bytes.try_into().ok()).parse(input)
}

/// The extensions of a message: their types and values, up to the first that is cut.
pub(super) fn extensions(body: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let listed: Parse<'_, &[u8]> = length_data(be_u16).parse(body);
    let mut left = listed.map_or(body.get(2..).unwrap_or_default(), |(_, listed)| listed);
    let next = move || {
        let read: Parse<'_, (u16, &[u8])> = (be_u16, length_data(be_u16)).parse(left);
        let (after, found) = read.ok()?;
        left = after;
        Some(found)
    };
    std::iter::from_fn(next).take(MAX_EXTENSIONS)
}

/// `length 2 │ (type 1, 0: host name │ length 2 │ name)…` (RFC 6066, section 3).
fn server_name(value: &[u8]) -> Option<&[u8]> {
    let read: Parse<'_, &[u8]> = nom::sequence::preceded(
        (be_u16, nom::combinator::verify(be_u8, |kind| *kind == 0)),
        length_data(be_u16),
    )
    .parse(value);
    read.ok().map(|(_, name)| name).filter(|name| !name.is_empty() && name.len() <= 255)
}

/// `length 2 │ (length 1 │ name)…` (RFC 7301, section 3.1).
pub(super) fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = value.get(2..).unwrap_or_default();
    let next = move || {
        let read: Parse<'_, &[u8]> = length_data(be_u8).parse(left);
        let (after, name) = read.ok()?;
        left = after;
        Some(name)
    };
    std::iter::from_fn(next).take(MAX_PROTOCOLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn client(extensions: &[Vec<u8>]) -> Vec<u8> {
        let extensions = extensions.concat();
        let len = (extensions.len() as u16).to_be_bytes();
        [&b"\x03\x03"[..], &[7; 32], b"\x02id", b"\0\x02\x13\x01", b"\x01\0", &len, &extensions].concat()
    }

    #[test]
    fn a_client_hello_says_who_wants_what() {
        let body = client(&[
            extension(0, b"\0\x08\0\0\x05a.org"),
            extension(16, b"\0\x0c\x02h2\x08http/1.1"),
            extension(35, b"ticket"),
            extension(43, b"\x06\x7a\x7a\x03\x04\x03\x03"),
            extension(42, b""),
        ]);
        let (_, hello) = ClientHello::read(&body).unwrap();
        assert_eq!((hello.random, hello.session_id), ([7; 32], &b"id"[..]));
        assert_eq!((hello.server_name, hello.ticket), (Some(&b"a.org"[..]), Some(&b"ticket"[..])));
        assert_eq!(hello.protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        assert_eq!((hello.version, hello.has_early_data, hello.has_psk), (Version::TLS13, true, false));
    }

    #[test]
    fn a_hello_without_extensions_or_with_cut_ones_is_read_as_far_as_it_goes() {
        let whole = client(&[extension(0, b"\0\x08\0\0\x05a.org"), extension(35, b"ticket")]);
        let base = client(&[]).len() - 2;
        for end in base..whole.len() {
            let (_, hello) = ClientHello::read(&whole[..end]).unwrap();
            assert_eq!(hello.ticket, None, "{end}");
        }
        assert!((0..base).all(|end| ClientHello::read(&whole[..end]).is_err()));
    }

    #[test]
    fn a_server_hello_says_what_was_chosen() {
        let server = |random: &[u8; 32], extensions: &[u8]| {
            let len = (extensions.len() as u16).to_be_bytes();
            [&b"\x03\x03"[..], random, b"\0", b"\x13\x02\0", &len, extensions].concat()
        };
        let body = server(&[9; 32], &[extension(43, b"\x03\x04"), extension(22, b"")].concat());
        let (_, hello) = ServerHello::read(&body).unwrap();
        assert_eq!((hello.suite, hello.version, hello.encrypt_then_mac), (0x1302, Version::TLS13, true));
        assert!(!hello.is_retry);
        let body = server(&RETRY, &[]);
        assert!(ServerHello::read(&body).unwrap().1.is_retry);
    }
}
