//! The bodies of the messages in a stream of bytes: each behind a prefix of five bytes (gRPC, gRPC-Web, Connect, Triple), or one
//! that is all of it.

use super::Collected;
use crate::event::{Body, BodyForm, CallId, Event, Side};
use crate::protocol::Emit;
use crate::web::Group;

/// Bytes of the prefix of a message: flags and length.
const PREFIX: usize = 5;

/// The flag of a message that is compressed.
const COMPRESSED: u8 = 1;

/// The most messages that wait for the event with which they go.
const WAITING_LIMIT: usize = 4096;

/// The most bytes of them, in messages of the largest size.
const WAITING_SIZE: usize = 4;

/// What is said of bodies that are compressed in a way of which nothing was read.
const UNKNOWN: &str = "unknown";

/// How messages stand in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// They are one message.
    Whole,
    /// Behind prefixes; a message with this flag is no body (0: there is none).
    Prefixed(u8),
    /// The same in base64.
    Base64(u8),
}

/// Takes the offset of a piece of a body, its length, and what has to stay of it.
pub(crate) type EachPiece<'e> = dyn FnMut(usize, usize, BodyForm) + 'e;

/// Where the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Within a prefix: its bytes, and how many of them have come.
    Prefix([u8; PREFIX], u8),
    /// Within a message: its flags, and the bytes that are still to come.
    Message(u8, u32),
    /// Where messages begin is not known.
    Lost,
}

const START: Place = Place::Prefix([0; PREFIX], 0);

/// The name of a compression as [`Body::encoding`] has it, by the header field that names it.
fn encoding_name(value: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 6] = ["gzip", "deflate", "zstd", "snappy", "br", "lz4"];
    let value = value.trim_ascii();
    if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
        return None;
    }
    let known = KNOWN.into_iter().find(|known| value.eq_ignore_ascii_case(known.as_bytes()));
    Some(known.unwrap_or(UNKNOWN))
}

/// The messages of one side of a stream.
#[derive(Debug)]
pub(crate) struct StreamBodies {
    limit: usize,
    shape: Shape,
    place: Place,
    current: Collected,
    encoding: Option<&'static str>,
    group: Group,
    /// Messages that are over, each with whether it is compressed.
    waiting: Vec<(Collected, bool)>,
    /// Bytes of them.
    kept: usize,
}

impl StreamBodies {
    /// At the beginning of a side's bytes; `lost`: its beginning was not seen.
    pub(crate) fn new(shape: Shape, limit: usize, lost: bool) -> Self {
        Self {
            limit,
            shape,
            place: if lost { Place::Lost } else { START },
            current: Collected::default(),
            encoding: None,
            group: Group::default(),
            waiting: Vec::new(),
            kept: 0,
        }
    }

    /// Memory taken, in bytes.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.current.memory()
            + self.waiting.capacity() * size_of::<(Collected, bool)>()
            + self.kept
    }

    /// Takes a field of the side's header that names how its messages are compressed.
    pub(crate) fn set_encoding(&mut self, value: &[u8]) {
        self.encoding = encoding_name(value);
    }

    /// The messages have this shape, which their header did not show.
    pub(crate) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// A message begins with the next byte, whatever came before.
    pub(crate) fn find(&mut self) {
        if matches!(self.place, Place::Lost) {
            self.place = START;
        }
    }

    /// Takes the next bytes. Calls `each` with the offset and the length of those that are bodies, or of which that is not known.
    pub(crate) fn feed(&mut self, bytes: &[u8], each: &mut EachPiece<'_>) {
        match self.shape {
            Shape::Whole => {
                self.current.add(bytes, self.limit);
                each(0, bytes.len(), BodyForm::Opaque);
            }
            Shape::Prefixed(last) => self.feed_prefixed(last, bytes, each),
            Shape::Base64(last) => {
                for byte in bytes {
                    match self.group.take(*byte) {
                        Some((group, len)) => {
                            self.feed_prefixed(last, group.get(..len).unwrap_or_default(), &mut |_, _, _| {});
                        }
                        None => self.place = Place::Lost,
                    }
                }
                each(0, bytes.len(), BodyForm::Sealed);
            }
        }
    }

    fn feed_prefixed(&mut self, last: u8, all: &[u8], each: &mut EachPiece<'_>) {
        let mut bytes = all;
        while let Some((first, rest)) = bytes.split_first() {
            let at = all.len() - bytes.len();
            match &mut self.place {
                Place::Lost => return each(at, bytes.len(), BodyForm::Unread),
                Place::Prefix(_, 0) if *first & !(COMPRESSED | last) != 0 => self.place = Place::Lost,
                Place::Prefix(prefix, have) => {
                    if let Some(slot) = prefix.get_mut(usize::from(*have)) {
                        *slot = *first;
                    }
                    *have += 1;
                    bytes = rest;
                    if usize::from(*have) == PREFIX {
                        let [flags, length @ ..] = *prefix;
                        let length = u32::from_be_bytes(length);
                        self.place = Place::Message(flags, length);
                        if length == 0 {
                            self.end(last, flags);
                        }
                    }
                }
                Place::Message(flags, left) => {
                    let (taken, rest) = bytes.split_at((*left as usize).min(bytes.len()));
                    *left -= taken.len() as u32;
                    let (flags, over) = (*flags, *left == 0);
                    if flags & last == 0 {
                        self.current.add(taken, self.limit);
                        each(at, taken.len(), BodyForm::Opaque);
                    }
                    bytes = rest;
                    if over {
                        self.end(last, flags);
                    }
                }
            }
        }
    }

    /// The current message is over.
    fn end(&mut self, last: u8, flags: u8) {
        self.place = START;
        let current = std::mem::take(&mut self.current);
        if flags & last == 0 {
            self.wait(current, flags & COMPRESSED != 0);
        }
    }

    fn wait(&mut self, mut message: Collected, compressed: bool) {
        if self.waiting.len() == WAITING_LIMIT {
            return;
        }
        if self.kept + message.memory() > self.limit.saturating_mul(WAITING_SIZE) {
            message.lose();
        }
        self.kept += message.memory();
        self.waiting.push((message, compressed));
    }

    /// The next `missing` bytes are lost (`None`: an unknown number).
    pub(crate) fn skip(&mut self, missing: Option<u64>) {
        if missing == Some(0) {
            return;
        }
        self.current.lose();
        match (&mut self.place, missing, self.shape) {
            (Place::Message(_, left), Some(missing), Shape::Prefixed(_)) if missing < u64::from(*left) => {
                *left -= missing as u32;
            }
            _ => {
                self.place = Place::Lost;
                if self.shape != Shape::Whole {
                    let lost = std::mem::take(&mut self.current);
                    self.wait(lost, false);
                }
            }
        }
    }

    /// The side sends nothing more: a message that is all of its bytes is over. `cut`: its end is missing.
    pub(crate) fn finish(&mut self, cut: bool) {
        if self.shape == Shape::Whole && self.current.size > 0 {
            let mut message = std::mem::take(&mut self.current);
            if cut {
                message.lose();
            }
            self.wait(message, true);
        }
    }

    /// Emits the messages that are over; `at` is the place of the event with which they go.
    pub(crate) fn emit(&mut self, side: Side, id: CallId, at: u64, emit: &mut Emit<'_>) {
        self.kept = 0;
        for (message, compressed) in self.waiting.drain(..) {
            let encoding = match (compressed, self.encoding) {
                (false, _) => None,
                (true, None) if self.shape == Shape::Whole => None,
                (true, encoding) => Some(encoding.unwrap_or(UNKNOWN)),
            };
            let (bytes, whole) = (message.bytes(), message.is_whole());
            emit(side, &Event::Body(Body { at, id, bytes, whole, encoding }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies in the bytes, cut at a place.
    fn bodies(shape: Shape, wire: &[u8], cut: usize) -> Vec<(Vec<u8>, bool, Option<String>)> {
        let mut bodies = StreamBodies::new(shape, 8, false);
        bodies.set_encoding(b"GZip");
        let mut seen = Vec::new();
        let (before, after) = wire.split_at(cut);
        bodies.feed(before, &mut |_, _, _| {});
        bodies.feed(after, &mut |_, _, _| {});
        bodies.finish(false);
        bodies.emit(Side::A, CallId::Stream(1), 0, &mut |_, event| {
            if let Event::Body(body) = event {
                seen.push((body.bytes.to_vec(), body.whole, body.encoding.map(str::to_owned)));
            }
        });
        seen
    }

    #[test]
    fn messages_are_found_at_every_split() {
        let wire = b"\0\0\0\0\x02hi\x01\0\0\0\x01z\0\0\0\0\0\0\0\0\0\x09too large\x80\0\0\0\x01t";
        let gzip = Some("gzip".to_owned());
        let expected = [
            (b"hi".to_vec(), true, None),
            (b"z".to_vec(), true, gzip.clone()),
            (Vec::new(), true, None),
            (Vec::new(), false, None),
        ];
        for cut in 0..=wire.len() {
            assert_eq!(bodies(Shape::Prefixed(0x80), wire, cut), expected, "cut at {cut}");
        }
        let text = b"AAAAAAJoaQ==gAAAAAF0";
        for cut in 0..=text.len() {
            assert_eq!(bodies(Shape::Base64(0x80), text, cut), expected[..1], "cut at {cut}");
        }
        for cut in 0..=5 {
            assert_eq!(bodies(Shape::Whole, b"whole", cut), [(b"whole".to_vec(), true, gzip.clone())]);
        }
    }

    #[test]
    fn a_message_with_a_hole_is_not_whole() {
        let mut bodies = StreamBodies::new(Shape::Prefixed(0), 100, false);
        bodies.feed(b"\0\0\0\0\x06ab", &mut |_, _, _| {});
        bodies.skip(Some(2));
        bodies.feed(b"ef\0\0\0\0\x01x\0\0", &mut |_, _, _| {});
        bodies.skip(Some(9));
        bodies.feed(b"anything", &mut |_, _, _| {});
        bodies.find();
        bodies.feed(b"\0\0\0\0\x01y", &mut |_, _, _| {});
        let mut seen = Vec::new();
        bodies.emit(Side::A, CallId::Stream(1), 0, &mut |_, event| {
            if let Event::Body(body) = event {
                seen.push((body.bytes.to_vec(), body.whole));
            }
        });
        let lost = (Vec::new(), false);
        assert_eq!(seen, [lost.clone(), (b"x".to_vec(), true), lost, (b"y".to_vec(), true)]);
    }
}
