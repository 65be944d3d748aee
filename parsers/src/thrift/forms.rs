//! The forms in which thrift messages travel over a connection. Each form is a [`Protocol`]; they share one [`Framing`],
//! because one server port takes several of them and the two directions of a connection need not agree.
//!
//! The first eight bytes tell the form, as `checkPayload` and `isTTHeader` of Kitex read them
//! (`pkg/remote/codec/default_codec.go`):
//!
//! ```text
//! ff af .. ..                 mesh header, the rest in one of the other forms behind it
//! .. .. .. .. 10 00           TTHeader
//! .. .. .. .. 0f ff           THeader of Apache Thrift
//! .. .. .. .. 80 01 | 90 01   framed: strict binary | Kitex Protobuf
//! .. .. .. .. 82    | 5b      framed: compact | JSON
//! .. .. .. .. 00              framed: old binary, if the second number is less than the first by 10 or more
//! 80 01 | 82 | 00 .. .. ..    buffered, that is, without a frame: strict binary | compact | old binary
//! ```

use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};
use crate::message::Side;
use crate::protocol::{Detection, Field, Framing, Opening, Parsed, Protocol, Session};
use crate::{FramedSession, mesh_header, theader, thrift_buffered, thrift_framed, ttheader};

/// How a message is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Kitex TTHeader, TTHeader Streaming included.
    TtHeader,
    /// Kitex mesh header, with another form behind it.
    MeshHeader,
    /// Apache Thrift THeader.
    THeader,
    /// A length before each message.
    Framed,
    /// No length at all.
    Buffered,
}

/// The least that an old-form message has besides its name: length, type, sequence number, end of the struct.
pub(super) const OLD_FORM_SIZE: usize = 10;

impl Form {
    /// The form that the first bytes tell.
    pub(crate) fn of(input: &[u8]) -> Result<Self, Trouble> {
        let mut cursor = Cursor::new(input, Layer::Frame);
        match (cursor.peek()?, input.get(1)) {
            (0xff | 0x80, None) => return Err(Trouble::Short(2)),
            (0xff, Some(0xaf)) => return Ok(Self::MeshHeader),
            (0x80, Some(0x01)) | (0x82, _) => return Ok(Self::Buffered),
            _ => {}
        }
        let length = cursor.u32()?;
        if length > ttheader::header::LENGTH_LIMIT {
            return Err(cursor.wrong("length over the limit"));
        }
        match cursor.u8()? {
            0x10 if input.get(5).is_none_or(|next| *next == 0) => {
                cursor.u8()?;
                Ok(Self::TtHeader)
            }
            0x0f => {
                cursor.u8()?;
                Ok(Self::THeader)
            }
            0 | 0x80 | 0x82 | 0x90 | b'[' => Ok(Self::Framed),
            byte if byte.is_ascii_graphic() => Ok(Self::Buffered),
            _ => Err(cursor.wrong("no form of thrift begins like this")),
        }
    }

    /// How sure it is that `input` begins with a message of this form.
    pub(super) fn sight(self, input: &[u8]) -> Sight {
        match self {
            Self::TtHeader => ttheader::sight(input),
            Self::MeshHeader => mesh_header::sight(input),
            Self::THeader => theader::sight(input),
            Self::Framed => thrift_framed::sight(input),
            Self::Buffered => thrift_buffered::sight(input),
        }
    }
}

/// How sure it is that bytes begin with a message of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// It does not.
    No,
    /// It can't be told yet.
    More,
    /// It may, but only together with the other side's bytes.
    Weak,
    /// It does.
    Yes,
}

impl From<Trouble> for Sight {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Short(_) => Self::More,
            Trouble::Wrong(_) => Self::No,
        }
    }
}

/// The sight of a message behind a mesh header.
pub(crate) fn sight_inner(input: &[u8]) -> Sight {
    match Form::of(input) {
        Ok(Form::MeshHeader) => Sight::No,
        Ok(form) => form.sight(input),
        Err(trouble) => trouble.into(),
    }
}

impl Protocol for Form {
    fn name(&self) -> &'static str {
        match self {
            Self::TtHeader => "ttheader",
            Self::MeshHeader => "mesh-header",
            Self::THeader => "theader",
            Self::Framed => "framed",
            Self::Buffered => "buffered",
        }
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        if opening.datagram {
            return Detection::No;
        }
        let [a, b] =
            opening.bytes.map(|bytes| if bytes.is_empty() { Sight::More } else { self.sight(bytes) });
        match (a.min(b), a.max(b)) {
            (_, Sight::Yes) | (Sight::Weak, Sight::Weak) => Detection::Yes,
            (Sight::No, _) => Detection::No,
            _ => Detection::More,
        }
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(FramedSession::new(ThriftFraming { form: *self, peers: Peers::default() }))
    }

    fn dissect(&self, _side: Side, message: &[u8]) -> Vec<Field> {
        dissect_form(message, 0)
    }
}

/// What is learnt of the two sides from what they send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) client: Option<Side>,
    /// The RPC protocol of their last message under TTHeader, whose header does not tell it.
    pub(crate) rpc: Option<&'static str>,
}

/// The bytes of one side from which a message is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    pub(crate) side: Side,
    pub(crate) input: &'a [u8],
    /// What follows is missing: say what is certain.
    pub(crate) cut: bool,
}

impl Bytes<'_> {
    /// The same without the first `len` bytes.
    pub(crate) fn after(self, len: usize) -> Self {
        Self { input: self.input.get(len..).unwrap_or_default(), ..self }
    }
}

/// Reads the message at the beginning of `bytes` in whichever form it has.
pub(crate) fn parse_form<'a>(peers: &mut Peers, bytes: Bytes<'a>) -> Parsed<'a> {
    match Form::of(bytes.input) {
        Ok(Form::TtHeader) => ttheader::parse(peers, bytes),
        Ok(Form::MeshHeader) => mesh_header::parse(peers, bytes),
        Ok(Form::THeader) => theader::parse(bytes),
        Ok(Form::Framed) => thrift_framed::parse(bytes),
        Ok(Form::Buffered) => thrift_buffered::parse(bytes),
        Err(Trouble::Short(needed)) => Parsed::Incomplete(needed),
        Err(Trouble::Wrong(error)) => Parsed::Invalid(error),
    }
}

/// Gives `each` the names and values of the header of the message at the beginning of `input`.
pub(crate) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    match Form::of(input) {
        Ok(Form::TtHeader) => ttheader::metadata(input, each),
        Ok(Form::MeshHeader) => mesh_header::metadata(input, each),
        Ok(Form::THeader) => theader::metadata(input, each),
        _ => {}
    }
}

/// The fields of the message that begins at `base`.
pub(crate) fn dissect_form(message: &[u8], base: usize) -> Vec<Field> {
    match Form::of(message.get(base..).unwrap_or_default()) {
        Ok(Form::TtHeader) => ttheader::dissect(message, base),
        Ok(Form::MeshHeader) if base == 0 => mesh_header::dissect(message),
        Ok(Form::THeader) => theader::dissect(message, base),
        Ok(Form::Framed) => thrift_framed::dissect(message, base),
        Ok(Form::Buffered) => super::dissect::dissect_message(message, base),
        _ => Vec::new(),
    }
}

/// The framing of a connection that was recognised by one of the forms.
struct ThriftFraming {
    /// The form that a lost place is searched by.
    form: Form,
    peers: Peers,
}

impl ThriftFraming {
    fn read<'a>(&mut self, bytes: Bytes<'a>) -> Parsed<'a> {
        let mut parsed = parse_form(&mut self.peers, bytes);
        if let Parsed::Message { message, .. } | Parsed::Walked { message, .. } = &mut parsed {
            use crate::message::Kind;
            match message.kind {
                Kind::Request | Kind::Oneway | Kind::Open => self.peers.client = Some(bytes.side),
                _ => {}
            }
        }
        parsed
    }
}

impl Framing for ThriftFraming {
    fn parse<'a>(&mut self, side: Side, input: &'a [u8]) -> Parsed<'a> {
        self.read(Bytes { side, input, cut: false })
    }

    fn parse_cut<'a>(&mut self, side: Side, input: &'a [u8]) -> Parsed<'a> {
        self.read(Bytes { side, input, cut: true })
    }

    fn metadata(&self, _side: Side, input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
        metadata(input, each);
    }

    fn find(&mut self, _side: Side, input: &[u8]) -> Option<usize> {
        (0..input.len()).find(|at| input.get(*at..).is_some_and(|rest| self.form.sight(rest) == Sight::Yes))
    }
}

/// What is said of a frame of `total` bytes that gave trouble.
pub(crate) fn refusal(trouble: Trouble, cut: bool, total: u64) -> Parsed<'static> {
    match trouble {
        // The frame's length is certain even if nothing else is: the place of the next one stays known.
        Trouble::Short(_) if cut => Parsed::Control { bytes: total },
        Trouble::Short(needed) if needed as u64 > total => Parsed::Invalid(Error {
            offset: total as usize,
            layer: Layer::Frame,
            what: "message longer than its frame",
        }),
        Trouble::Short(needed) => Parsed::Incomplete(needed),
        Trouble::Wrong(error) => Parsed::Invalid(error),
    }
}
