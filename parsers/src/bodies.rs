//! The bodies of messages, collected for whoever asked for them ([`Session::collect_bodies`](crate::Session::collect_bodies)).

mod masking;
mod stream;

pub use masking::Masking;
pub(crate) use stream::{Shape, StreamBodies};

use hashbrown::HashMap;

use crate::event::{Body, BodyForm, BodyPiece, CallId, Event, Head, Rpc, Side};
use crate::protocol::Emit;
use crate::session::At;
use crate::thrift::skip::StructFormat;

/// Where the body is in its message.
#[derive(Clone, Copy, Debug)]
pub struct BodySpan {
    /// Offset of its first byte, from the beginning of the message.
    pub start: usize,
    /// Offset after its last byte; `u64::MAX` if it is the rest of the message.
    pub end: u64,
    /// As in [`Body::encoding`].
    pub encoding: Option<&'static str>,
    /// What is sent is packed together with more than the body.
    pub unpack: Option<Unpack>,
}

/// Takes the body out of what is sent, up to so many bytes. `None` if that can't be done.
pub type Unpack = fn(&[u8], usize) -> Option<Vec<u8>>;

impl BodySpan {
    /// A body that is the rest of the message from `start` on, not compressed.
    #[must_use]
    pub fn from(start: usize) -> Self {
        Self { start, end: u64::MAX, encoding: None, unpack: None }
    }

    /// The same in a message that stands `len` bytes further on.
    #[must_use]
    pub fn moved(self, len: usize) -> Self {
        Self { start: self.start + len, end: self.end.saturating_add(len as u64), ..self }
    }
}

/// The most streams of which it is remembered how their messages are compressed.
const ENCODINGS_LIMIT: usize = 1024;

/// How the messages of streams are compressed, by who sends them and the number of the stream.
#[derive(Debug, Default)]
pub struct Encodings(HashMap<(Side, u32), &'static str>);

impl Encodings {
    /// Remembers what the beginning of a stream says.
    pub fn note(&mut self, side: Side, stream: u32, encoding: &'static str) {
        if self.0.len() >= ENCODINGS_LIMIT {
            self.0.clear();
        }
        self.0.insert((side, stream), encoding);
    }

    /// How the messages of a stream are compressed; `None` if they are not.
    #[must_use]
    pub fn of(&self, side: Side, stream: u32) -> Option<&'static str> {
        self.0.get(&(side, stream)).copied()
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<((Side, u32), &str)>()
    }
}

/// A body of which bytes come one after the other.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    bytes: Vec<u8>,
    /// Bytes that came, or are known to be missing, whether or not they were kept.
    size: u64,
    /// Bytes of it are missing.
    broken: bool,
}

impl Collected {
    /// Takes its next bytes; beyond `limit` none are kept.
    pub(crate) fn add(&mut self, bytes: &[u8], limit: usize) {
        self.size += bytes.len() as u64;
        if self.size > limit as u64 {
            self.broken = true;
        }
        if self.broken {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Bytes of it are missing.
    pub(crate) fn lose(&mut self) {
        self.broken = true;
        self.bytes = Vec::new();
    }

    /// Whether nothing is missing.
    pub(crate) fn is_whole(&self) -> bool {
        !self.broken
    }

    /// Its bytes; empty unless it is whole.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// What has to stay of the body of a message with that head.
pub(crate) fn form_of(head: &Head, span: BodySpan) -> BodyForm {
    match (head.rpc, head.codec) {
        _ if span.unpack.is_some() => BodyForm::Sealed,
        (Rpc::Thrift, Some("thrift-binary")) => BodyForm::Struct(StructFormat::Binary),
        (Rpc::Thrift, Some("thrift-compact")) => BodyForm::Struct(StructFormat::Compact),
        (Rpc::Thrift, Some("thrift-json")) => BodyForm::Sealed,
        _ => BodyForm::Opaque,
    }
}

/// What is reported of the bytes of bodies as they pass ([`Event::BodyPiece`]), for one side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Of the message that passes: where in it its body begins, and what has to stay of it.
    passing: Option<(u64, BodyForm)>,
    /// Where in the message the next bytes stand.
    at: u64,
}

impl Marks {
    /// A message begins; its body begins after that many bytes. `None`: all of it has to stay.
    pub(crate) fn begin(&mut self, body: Option<(u64, BodyForm)>) {
        *self = Self { passing: body, at: 0 };
    }

    /// The next bytes of the message.
    pub(crate) fn add(&mut self, at: At, bytes: &[u8], emit: &mut Emit<'_>) {
        let Some((start, form)) = self.passing else { return };
        let skipped = start.saturating_sub(self.at).min(bytes.len() as u64) as usize;
        let begins = self.at <= start && start < self.at + bytes.len() as u64;
        self.at += bytes.len() as u64;
        if let Some(bytes) = bytes.get(skipped..).filter(|bytes| !bytes.is_empty()) {
            let piece = BodyPiece { at: at.after(skipped).offset, bytes, begins, form };
            emit(at.side, &Event::BodyPiece(piece));
        }
    }

    /// Bytes of the message are missing. Where its body begins with them, what has to stay of the others is not known.
    pub(crate) fn lose(&mut self, missing: u64) {
        self.at += missing;
        if let Some((start, form @ BodyForm::Struct(_))) = &mut self.passing
            && (self.at - missing..self.at).contains(start)
        {
            *form = BodyForm::Opaque;
        }
    }
}

/// The body of the message that a side is sending.
#[derive(Debug)]
struct Passing {
    span: BodySpan,
    /// Where in the message the next bytes stand.
    at: u64,
    collected: Collected,
}

/// The bodies that one side sends, in formats whose messages stand one after the other.
#[derive(Debug)]
pub(crate) struct Bodies {
    limit: usize,
    passing: Option<Passing>,
}

impl Bodies {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, passing: None }
    }

    /// Memory taken, in bytes.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.passing.as_ref().map_or(0, |passing| passing.collected.memory())
    }

    /// A message begins with these bytes, and its body is there; `None`: it has none of interest.
    pub(crate) fn begin(&mut self, span: Option<BodySpan>, message: &[u8]) {
        self.passing = span.map(|span| Passing { span, at: 0, collected: Collected::default() });
        self.add(message);
    }

    /// The next bytes of the message.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let Some(passing) = &mut self.passing else { return };
        let within = |offset: u64| usize::try_from(offset.saturating_sub(passing.at)).unwrap_or(usize::MAX);
        let (from, to) = (within(passing.span.start as u64), within(passing.span.end).min(bytes.len()));
        passing.at += bytes.len() as u64;
        if let Some(body) = bytes.get(from..to) {
            passing.collected.add(body, self.limit);
        }
    }

    /// Bytes of the message are missing.
    pub(crate) fn lose(&mut self) {
        if let Some(passing) = &mut self.passing {
            passing.collected.lose();
        }
    }

    /// The message does not come to its end.
    pub(crate) fn give_up(&mut self) {
        self.passing = None;
    }

    /// Emits the body of a message that is all of a datagram.
    pub(crate) fn datagram(
        &mut self,
        at: At,
        head: &Head,
        span: Option<BodySpan>,
        message: &[u8],
        emit: &mut Emit<'_>,
    ) {
        self.begin(span, message);
        if head.truncated {
            self.lose();
        }
        self.end(at, head.id, emit);
    }

    /// The message ends `at` its last byte: emits its body.
    pub(crate) fn end(&mut self, at: At, id: CallId, emit: &mut Emit<'_>) {
        let Some(Passing { span, collected, .. }) = self.passing.take() else { return };
        let whole = collected.is_whole();
        let unpacked = match span.unpack.filter(|_| whole) {
            Some(unpack) => unpack(collected.bytes(), self.limit),
            None => Some(collected.bytes),
        };
        let (bytes, whole) = unpacked.map_or((Vec::new(), false), |bytes| (bytes, whole));
        let body = Body { id, at: at.offset, bytes: &bytes, whole, encoding: span.encoding };
        emit(at.side, &Event::Body(body));
    }
}
