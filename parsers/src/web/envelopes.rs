//! The messages in a body, however it is cut.

use super::claim::Form;

/// Bytes of the prefix of a message: flags and length.
const PREFIX: usize = 5;

/// The most bytes kept of the message that ends an answer.
pub(super) const LAST_LIMIT: usize = 256 * 1024;

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Within a prefix: its bytes, and how many of them have come.
    Prefix([u8; PREFIX], u8),
    /// Within a message: the bytes that are still to come.
    Message(u32),
    /// Within the message that ends the answer, likewise.
    Last(u32),
    /// After it.
    Over,
    /// Where messages begin is not known, because bytes are missing.
    Lost,
    /// Reading the first bytes of a frame to see whether one message fills it, after bytes were lost; its length.
    Probe([u8; PREFIX], u8, u32),
    /// These are no messages.
    Foreign,
}

/// The message that ends an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last<'a> {
    /// It has not come.
    None,
    /// It may have come, but not all of it is there.
    Missing,
    /// There are no messages in this body.
    Foreign,
    /// All of it, and whether it is compressed.
    Whole(&'a [u8], bool),
}

/// What of a message in base64 is not whole yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Group {
    /// Six bits for every character.
    bits: u32,
    characters: u8,
    padding: u8,
}

impl Group {
    /// Takes a character: the bytes that it completes, and how many of them count. `None` if it is none of base64.
    pub(crate) fn take(&mut self, character: u8) -> Option<([u8; 3], usize)> {
        let sextet = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                self.padding += 1;
                0
            }
            b'\r' | b'\n' => return Some(([0; 3], 0)),
            _ => return None,
        };
        self.bits = self.bits << 6 | u32::from(sextet);
        self.characters += 1;
        if self.characters < 4 {
            return Some(([0; 3], 0));
        }
        let [_, bytes @ ..] = self.bits.to_be_bytes();
        let len = 3_usize.saturating_sub(self.padding.into());
        *self = Self::default();
        Some((bytes, len))
    }
}

/// Finds the messages in the body of one side.
#[derive(Debug)]
pub(crate) struct Envelopes {
    form: Form,
    place: Place,
    last: Vec<u8>,
    compressed: bool,
    /// Bytes of the last message are missing, or it is longer than the limit.
    broken: bool,
    group: Group,
}

impl Envelopes {
    const START: Place = Place::Prefix([0; PREFIX], 0);

    /// At the beginning of a body.
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            place: Self::START,
            last: Vec::new(),
            compressed: false,
            broken: false,
            group: Group::default(),
        }
    }

    /// Memory taken in addition to its own size, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.last.capacity()
    }

    /// A frame with `length` bytes begins, which is where messages mostly begin too.
    pub(crate) fn begin_frame(&mut self, length: u32) {
        if matches!(self.place, Place::Lost | Place::Probe(..)) && self.form != Form::GrpcWebText {
            let probe = length as usize >= PREFIX;
            self.place = if probe { Place::Probe([0; PREFIX], 0, length) } else { Place::Lost };
        }
    }

    /// Takes the next bytes; says how many messages they complete. The one that ends the answer does not count.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u32 {
        if self.form != Form::GrpcWebText {
            return self.feed_plain(bytes);
        }
        let mut messages = 0_u32;
        for byte in bytes {
            if matches!(self.place, Place::Over | Place::Lost | Place::Foreign) {
                break;
            }
            match self.group.take(*byte) {
                Some((group, len)) => messages += self.feed_plain(group.get(..len).unwrap_or_default()),
                None => self.place = Place::Foreign,
            }
        }
        messages
    }

    fn feed_plain(&mut self, mut bytes: &[u8]) -> u32 {
        let mut messages = 0;
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.place {
                Place::Over | Place::Lost | Place::Foreign => break,
                Place::Message(left) | Place::Last(left) => {
                    let (taken, rest) = bytes.split_at((*left as usize).min(bytes.len()));
                    *left -= taken.len() as u32;
                    bytes = rest;
                    let over = *left == 0;
                    if matches!(self.place, Place::Last(_)) {
                        let room = LAST_LIMIT.saturating_sub(self.last.len());
                        self.broken |= taken.len() > room;
                        self.last.extend_from_slice(taken.get(..room).unwrap_or(taken));
                        if over {
                            self.place = Place::Over;
                        }
                    } else if over {
                        self.place = Self::START;
                        messages += 1;
                    }
                }
                Place::Prefix(prefix, have) | Place::Probe(prefix, have, _) => {
                    if let Some(slot) = prefix.get_mut(usize::from(*have)) {
                        *slot = *first;
                    }
                    *have += 1;
                    bytes = rest;
                    if usize::from(*have) == PREFIX {
                        self.place = self.after_prefix();
                        messages += u32::from(self.place == Self::START);
                    }
                }
            }
        }
        messages
    }

    /// Where a whole prefix leads.
    fn after_prefix(&mut self) -> Place {
        let (prefix, frame) = match self.place {
            Place::Prefix(prefix, _) => (prefix, None),
            Place::Probe(prefix, _, frame) => (prefix, Some(frame)),
            other => return other,
        };
        let [flags, length @ ..] = prefix;
        let length = u32::from_be_bytes(length);
        let fits = flags & !self.form.flags() == 0;
        match frame {
            Some(frame) if !fits || length != frame - PREFIX as u32 => return Place::Lost,
            None if !fits => return Place::Foreign,
            _ => {}
        }
        if flags & self.form.last_flag() != 0 {
            self.compressed = flags & 1 != 0;
            return if length == 0 { Place::Over } else { Place::Last(length) };
        }
        if length == 0 { Self::START } else { Place::Message(length) }
    }

    /// The next `missing` bytes are lost (`None`: an unknown number).
    pub(crate) fn skip(&mut self, missing: Option<u64>) {
        if missing == Some(0) {
            return;
        }
        let missing = missing.filter(|_| self.form != Form::GrpcWebText);
        match (&mut self.place, missing) {
            (Place::Foreign | Place::Over, _) => {}
            (Place::Message(left), Some(missing)) if missing < u64::from(*left) => *left -= missing as u32,
            (Place::Last(left), Some(missing)) if missing < u64::from(*left) => {
                *left -= missing as u32;
                self.broken = true;
            }
            _ => self.place = Place::Lost,
        }
    }

    /// The message that ends the answer, as far as it has come.
    pub(super) fn last(&self) -> Last<'_> {
        match self.place {
            Place::Over if !self.broken => Last::Whole(&self.last, self.compressed),
            Place::Over | Place::Last(_) | Place::Lost | Place::Probe(..) => Last::Missing,
            Place::Foreign => Last::Foreign,
            Place::Prefix(..) | Place::Message(_) => Last::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
        let mut wire = vec![flags];
        wire.extend((message.len() as u32).to_be_bytes());
        wire.extend_from_slice(message);
        wire
    }

    /// Feeds a body cut at every place.
    fn check(form: Form, wire: &[u8], messages: u32, last: Last<'_>) {
        for cut in 0..=wire.len() {
            let mut body = Envelopes::new(form);
            let seen = body.feed(&wire[..cut]) + body.feed(&wire[cut..]);
            assert_eq!((seen, body.last()), (messages, last), "{form:?} cut at {cut}");
        }
    }

    #[test]
    fn messages_are_counted_and_the_last_one_is_kept() {
        let wire = [envelope(0, b"abc"), envelope(1, b""), envelope(0, b"d")].concat();
        check(Form::Grpc, &wire, 3, Last::None);
        check(Form::ConnectStream, &[&wire[..], &envelope(2, b"{}")].concat(), 3, Last::Whole(b"{}", false));
        check(Form::GrpcWeb, &[&wire[..], &envelope(0x81, b"zz")].concat(), 3, Last::Whole(b"zz", true));
        check(Form::ConnectStream, &[&wire[..], &envelope(3, b"")].concat(), 3, Last::Whole(b"", true));
        // What comes after the end is none of the body.
        check(
            Form::ConnectStream,
            &[envelope(2, b"{}"), wire.clone()].concat(),
            0,
            Last::Whole(b"{}", false),
        );
        check(Form::Grpc, &[&wire[..], &envelope(2, b"{}")].concat(), 3, Last::Foreign);
        check(Form::GrpcWeb, b"<html></html>", 0, Last::Foreign);
    }

    #[test]
    fn base64_may_be_padded_anywhere() {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let (message, trailers) = (envelope(0, b"abcd"), envelope(0x80, b"grpc-status: 0\r\n"));
        let pieces = encode(&message) + &encode(&trailers);
        let whole = Last::Whole(b"grpc-status: 0\r\n", false);
        check(Form::GrpcWebText, pieces.as_bytes(), 1, whole);
        let one = encode(&[message, trailers].concat());
        check(Form::GrpcWebText, one.as_bytes(), 1, whole);
        check(Form::GrpcWebText, b"AAAA<html>", 0, Last::Foreign);
    }

    #[test]
    fn missing_bytes_make_it_say_less() {
        let wire = [envelope(0, b"abcdef"), envelope(2, b"{\"error\":{}}")].concat();
        for from in 0..wire.len() {
            for to in from + 1..=wire.len() {
                let mut body = Envelopes::new(Form::ConnectStream);
                body.feed(&wire[..from]);
                body.skip(Some((to - from) as u64));
                body.feed(&wire[to..]);
                let last = body.last();
                let within_first = from >= 5 && to < 11;
                let fits = if within_first { matches!(last, Last::Whole(..)) } else { last == Last::Missing };
                assert!(fits, "{from}..{to}: {last:?}");
            }
        }
        let mut body = Envelopes::new(Form::ConnectStream);
        body.skip(None);
        // A message that fills its frame is where it finds back.
        let end = envelope(2, b"{}");
        body.begin_frame(end.len() as u32);
        body.feed(&end);
        assert_eq!(body.last(), Last::Whole(b"{}", false));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut body = Envelopes::new(Form::ConnectStream);
        body.feed(&envelope(2, &vec![b' '; LAST_LIMIT + 1]));
        assert_eq!((body.last(), body.last.len()), (Last::Missing, LAST_LIMIT));
    }
}
