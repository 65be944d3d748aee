//! The transports in which thrift messages travel over a connection. Each is a [`Protocol`]; they share one [`Framing`],
//! because one server port takes several of them and the two directions of a connection need not agree.
//!
//! The first eight bytes decide, as `checkPayload` and `isTTHeader` of Kitex read them
//! (`pkg/remote/codec/default_codec.go`):
//!
//! ```text
//! ff af .. ..                 mesh header, another transport behind it
//! .. .. .. .. 10 00           TTHeader
//! .. .. .. .. 0f ff           THeader of Apache Thrift
//! .. .. .. .. 80 01 | 90 01   framed: strict binary | Kitex Protobuf
//! .. .. .. .. 82    | 5b      framed: compact | JSON
//! .. .. .. .. 00              framed: old binary, if the second number is less than the first by 10 or more
//! 80 01 | 82 | 00 .. .. ..    buffered, that is, without a frame: strict binary | compact | old binary
//! 5b "1," …                   buffered: JSON
//! ```

mod buffered;
mod framed;
pub(crate) mod input;
mod mesh;
#[cfg(test)]
mod tests;
mod theader;
mod ttheader;
mod ttwitter;

use input::{Input, Peers};
use nom::Parser as _;
use nom::combinator::verify;
use nom::error::context;

use super::dissect::dissect_message;
use super::message::parse_message;
use super::probe::Verdict;
use crate::bodies::{BodySpan, Encodings};
use crate::error::{Layer, Parse, ParseResult, incomplete, placed, wrong};
use crate::event::Side;
use crate::foreign::Language;
use crate::framed::{Framing, Parsed, session};
use crate::number::be_u32;
use crate::protocol::{Detection, Field, Opening, Protocol, Session};

/// The longest frame that a length field may claim.
const LENGTH_LIMIT: u32 = 0x3fff_ffff;

/// How a thrift message is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThriftTransport {
    /// Kitex TTHeader, TTHeader Streaming included.
    TtHeader,
    /// Kitex mesh header, with another transport behind it.
    MeshHeader,
    /// Apache Thrift THeader.
    THeader,
    /// Finagle's frames with a header struct before each message.
    TTwitter,
    /// A length before each message.
    Framed,
    /// No length at all.
    Buffered,
}

type Metadata = fn(&[u8], &mut dyn FnMut(&[u8], &[u8]));

/// What a transport can do.
struct Functions {
    name: &'static str,
    /// Decides whether the bytes begin with a message of this transport.
    probe: fn(&[u8]) -> Verdict,
    /// Reads the message at the beginning of the bytes; a compressed one is inflated into the buffer.
    parse: for<'a> fn(&mut Peers, Input<'a>, &'a mut Vec<u8>) -> ParseResult<Parsed<'a>>,
    /// Calls a function with the names and values of the message's header.
    metadata: Metadata,
    /// Where the body of the message is, as [`Framing::body`] has it.
    body: fn(&[u8]) -> Option<BodySpan>,
    /// The fields of the message that begins at an offset.
    dissect: fn(&[u8], usize) -> Vec<Field>,
}

/// The metadata of a transport without a header.
fn no_metadata(_input: &[u8], _each: &mut dyn FnMut(&[u8], &[u8])) {}

impl ThriftTransport {
    /// The table of the transports.
    fn functions(self) -> &'static Functions {
        match self {
            Self::TtHeader => &Functions {
                name: "ttheader",
                probe: ttheader::probe,
                parse: ttheader::parse,
                metadata: ttheader::metadata,
                body: ttheader::body,
                dissect: ttheader::dissect,
            },
            Self::MeshHeader => &Functions {
                name: "mesh-header",
                probe: |input| {
                    mesh::probe(input, |behind| match Self::behind_mesh(behind) {
                        Ok(inner) => (inner.functions().probe)(behind),
                        Err(error) => error.into(),
                    })
                },
                parse: |peers, input, unpacked| {
                    mesh::parse(input, |behind| {
                        (Self::behind_mesh(behind.bytes)?.functions().parse)(peers, behind, unpacked)
                    })
                },
                metadata: |input, each| {
                    let behind = mesh::metadata(input, each);
                    if let Some((behind, inner)) = behind.and_then(|b| Some((b, Self::behind_mesh(b).ok()?)))
                    {
                        (inner.functions().metadata)(behind, each);
                    }
                },
                body: |input| {
                    let behind = mesh::metadata(input, &mut |_, _| {})?;
                    let inner = Self::behind_mesh(behind).ok()?;
                    (inner.functions().body)(behind).map(|span| span.moved(input.len() - behind.len()))
                },
                dissect: dissect_mesh,
            },
            Self::THeader => &Functions {
                name: "theader",
                probe: theader::probe,
                parse: theader::parse,
                metadata: theader::metadata,
                body: theader::body,
                dissect: theader::dissect,
            },
            Self::TTwitter => &Functions {
                name: "ttwitter",
                probe: ttwitter::probe,
                parse: ttwitter::parse,
                metadata: ttwitter::metadata,
                body: ttwitter::body,
                dissect: ttwitter::dissect,
            },
            Self::Framed => &Functions {
                name: "framed",
                probe: framed::probe,
                parse: framed::parse,
                metadata: no_metadata,
                body: framed::body,
                dissect: framed::dissect,
            },
            Self::Buffered => &Functions {
                name: "buffered",
                probe: buffered::probe,
                parse: buffered::parse,
                metadata: no_metadata,
                body: |input| parse_message(input).ok()?.body_span(),
                dissect: dissect_message,
            },
        }
    }

    /// The transport of a message that begins with these bytes.
    fn of(input: &[u8]) -> ParseResult<Self> {
        Self::usual(input).map_or_else(|| Self::of_any(input), Ok)
    }

    /// The same for nearly all messages: a length within the limit and what follows it, or what no length begins with.
    #[inline]
    fn usual(input: &[u8]) -> Option<Self> {
        match input {
            [0..=0x3f, _, _, _, 0x10, 0x00, ..] => Some(Self::TtHeader),
            [0..=0x3f, _, _, _, 0 | 0x80 | 0x82 | 0x90 | b'[', ..] => Some(Self::Framed),
            [0..=0x3f, _, _, _, 0x0f, _, ..] => Some(Self::THeader),
            [0x80, 0x01, ..] | [0x82, ..] => Some(Self::Buffered),
            _ => None,
        }
    }

    /// The same for any message.
    #[cold]
    #[inline(never)]
    fn of_any(input: &[u8]) -> ParseResult<Self> {
        match input {
            [] | [0xff | 0x80 | b'['] | [b'[', b'1'] => return incomplete(1),
            [0xff, 0xaf, ..] => return Ok(Self::MeshHeader),
            [0x80, 0x01, ..] | [0x82, ..] | [b'[', b'1', b',', ..] => return Ok(Self::Buffered),
            _ => {}
        }
        let (rest, _) = length(input)?;
        match rest {
            [] | [0x10 | 0x0f] => incomplete(1),
            [0x10, 0x00, ..] => Ok(Self::TtHeader),
            [0x0f, ..] => Ok(Self::THeader),
            [0 | 0x80 | 0x82 | 0x90 | b'[', ..] => Ok(Self::Framed),
            [byte, ..] if byte.is_ascii_graphic() => Ok(Self::Buffered),
            _ => wrong(rest, "no transport of thrift begins like this"),
        }
        .map_err(|error| placed(error, Layer::Frame, input))
    }

    /// The transport of the next message on a connection of this transport.
    fn next(self, input: &[u8]) -> ParseResult<Self> {
        if self == Self::TTwitter { Ok(self) } else { Self::of(input) }
    }

    /// The transport of a message that stands behind a mesh header.
    fn behind_mesh(input: &[u8]) -> ParseResult<Self> {
        match Self::of(input)? {
            Self::MeshHeader => wrong(input, "mesh header in a mesh header"),
            transport => Ok(transport),
        }
    }

    /// Decides whether `input` begins with a message of this transport.
    fn probe(self, input: &[u8]) -> Verdict {
        (self.functions().probe)(input)
    }
}

fn length(input: &[u8]) -> Parse<'_, u32> {
    context("length over the limit", verify(be_u32, |length| *length <= LENGTH_LIMIT)).parse(input)
}

/// The fields of a mesh header and of the message behind it.
fn dissect_mesh(message: &[u8], base: usize) -> Vec<Field> {
    let (header, behind) = mesh::dissect(message, base);
    let mut fields = vec![header];
    if let Some(base) = behind
        && let Ok(inner) = ThriftTransport::behind_mesh(message.get(base..).unwrap_or_default())
    {
        fields.extend((inner.functions().dissect)(message, base));
    }
    fields
}

impl Protocol for ThriftTransport {
    fn name(&self) -> &'static str {
        self.functions().name
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        if opening.datagram {
            let is_one = |bytes: &[u8]| buffered::probe_datagram(bytes) == Verdict::Yes;
            let found = *self == Self::Buffered && opening.bytes.into_iter().any(is_one);
            return if found { Detection::Yes } else { Detection::No };
        }
        let [a, b] =
            opening.bytes.map(|bytes| if bytes.is_empty() { Verdict::More } else { self.probe(bytes) });
        match (a.min(b), a.max(b)) {
            (_, Verdict::Yes) | (Verdict::Weak, Verdict::Weak) => Detection::Yes,
            (Verdict::No, _) => Detection::No,
            _ => Detection::More,
        }
    }

    fn session(&self) -> Box<dyn Session> {
        session(ThriftFraming { detected: *self, peers: Peers::default() })
    }

    fn dissect(&self, _side: Side, message: &[u8]) -> Vec<Field> {
        match self.next(message) {
            Ok(transport) => (transport.functions().dissect)(message, 0),
            Err(_) => Vec::new(),
        }
    }
}

/// The messages of a connection that was recognised by one of the transports.
struct ThriftFraming {
    /// The transport by which the next message is found after a gap.
    detected: ThriftTransport,
    peers: Peers,
}

impl ThriftFraming {
    #[inline]
    fn read<'a>(&mut self, input: Input<'a>, unpacked: &'a mut Vec<u8>) -> ParseResult<Parsed<'a>> {
        match ThriftTransport::usual(input.bytes) {
            Some(transport) if self.detected != ThriftTransport::TTwitter => {
                (transport.functions().parse)(&mut self.peers, input, unpacked)
            }
            _ => self.read_any(input, unpacked),
        }
    }

    /// The same for any message.
    #[cold]
    #[inline(never)]
    fn read_any<'a>(&mut self, input: Input<'a>, unpacked: &'a mut Vec<u8>) -> ParseResult<Parsed<'a>> {
        let transport = self.detected.next(input.bytes)?;
        (transport.functions().parse)(&mut self.peers, input, unpacked)
    }
}

impl Framing for ThriftFraming {
    fn parse<'a>(
        &mut self,
        side: Side,
        bytes: &'a [u8],
        unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>> {
        self.read(Input { side, bytes, cut: false }, unpacked)
    }

    fn parse_cut<'a>(
        &mut self,
        side: Side,
        bytes: &'a [u8],
        unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>> {
        self.read(Input { side, bytes, cut: true }, unpacked)
    }

    fn metadata(&self, _side: Side, input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
        if let Ok(transport) = self.detected.next(input) {
            (transport.functions().metadata)(input, each);
        }
    }

    fn body(&self, _side: Side, input: &[u8], _encodings: &mut Encodings) -> Option<BodySpan> {
        let transport = self.detected.next(input).ok()?;
        (transport.functions().body)(input)
    }

    fn language(&self) -> Option<Language> {
        Some(Language::Thrift)
    }

    fn may_begin(&self, input: &[u8]) -> bool {
        let signs = [input.get(..2), input.get(4..6)];
        let signed = signs.into_iter().flatten().any(|sign| {
            matches!(sign, [0xff, 0xaf] | [0x10, 0] | [0x0f, 0xff] | [0x80 | 0x90, 1] | [0x82, _])
        });
        signed || self.detected.probe(input) != Verdict::No
    }

    fn find(&mut self, _side: Side, input: &[u8]) -> Option<usize> {
        (0..input.len())
            .find(|at| input.get(*at..).is_some_and(|rest| self.detected.probe(rest) == Verdict::Yes))
    }

    fn renew(&mut self) -> bool {
        self.peers = Peers::default();
        true
    }
}
