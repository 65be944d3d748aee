//! tRPC over its own frames: unary calls and streams in one connection, and unary calls over UDP.
//!
//! Frames of both kinds begin with the same 16 bytes (`frame.rs`). A unary frame has a protobuf head in which everything
//! about the outcome stands (`unary.rs`); body and attachment pass by their length, compressed or not. Stream frames carry
//! a small meta or a message (`stream.rs`).
//!
//! Sources: `trpc.proto` of the trpc-group, trpc-go (`codec.go`, `codec_stream.go`, `stream/`), trpc-java
//! (`StandardPackage`, `StandardServerCodec`).

mod dissect;
mod fields;
mod frame;
mod stream;
mod unary;

use nom::Err;

use self::fields::ProtobufFields;
use self::frame::{FrameHead, FrameType, HEAD_LEN, MAGIC, frame_head};
use self::unary::Role;
use crate::bodies::{BodySpan, Encodings};
use crate::error::{Layer, ParseResult, in_layer, incomplete, wrong};
use crate::event::{Event, Side, Text};
use crate::foreign::Language;
use crate::framed::{Framing, Parsed, session};
use crate::protocol::{Detection, Field, Opening, Protocol, Session};

/// The tRPC protocol.
#[derive(Debug)]
pub struct Trpc;

impl Protocol for Trpc {
    fn name(&self) -> &'static str {
        "trpc"
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        let mut verdict = Detection::More;
        for bytes in opening.bytes {
            match if opening.datagram { detect_datagram(bytes) } else { detect_frames(bytes) } {
                Detection::No => return Detection::No,
                Detection::Yes => verdict = Detection::Yes,
                Detection::More => {}
            }
        }
        verdict
    }

    fn detect_cut(&self, opening: &Opening<'_>) -> bool {
        let mut spoken = opening.bytes.into_iter().filter(|bytes| !bytes.is_empty());
        !opening.datagram && self.detect(opening) == Detection::More && spoken.all(ends_in_a_head)
    }

    fn session(&self) -> Box<dyn Session> {
        session(Frames::default())
    }

    fn dissect(&self, side: Side, message: &[u8]) -> Vec<Field> {
        dissect::dissect(side, message)
    }
}

/// The name of a `TrpcContentEncodeType`; unknown numbers have none and are kept among the metadata.
fn codec_name(content_type: i32) -> Option<&'static str> {
    Some(match content_type {
        0 => "protobuf",
        1 => "jce",
        2 => "json",
        3 => "flatbuffers",
        4 => "noop",
        5 => "xml",
        6 => "thrift",
        _ => return None,
    })
}

/// The name of a `TrpcCompressType` (trpc-go `codec/compress.go`), as `grpc-encoding` has it; `None` for no compression. zlib's
/// format is what HTTP calls deflate.
fn encoding_name(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => return None,
        1 => "gzip",
        2 | 4 | 5 => "snappy",
        3 => "deflate",
        6 | 7 => "lz4",
        _ => "unknown",
    })
}

/// Splits a func `/service/method` at its last slash.
fn split_func(func: Option<&[u8]>) -> (Option<Text<'_>>, Option<Text<'_>>) {
    let Some(func) = func.filter(|func| !func.is_empty()) else { return (None, None) };
    let path = func.strip_prefix(b"/").unwrap_or(func);
    match memchr::memrchr(b'/', path).and_then(|at| path.split_at_checked(at)) {
        Some((service, method)) => {
            let method = method.strip_prefix(b"/").unwrap_or(method);
            (Some(Text::Plain(service)), Some(Text::Plain(method)))
        }
        None => (None, Some(Text::Plain(path))),
    }
}

/// Checks what is there of a frame's head, field by field.
fn check_frame(input: &[u8]) -> ParseResult<FrameHead> {
    let (rest, head) = frame_head(input)?;
    let meta = rest.get(..head.meta_len());
    let fits = |message| fields::fits(message, meta.unwrap_or(rest), meta.is_some());
    let fits = match head.frame_type {
        FrameType::Unary => fits(unary::REQUEST) || fits(unary::RESPONSE),
        FrameType::Init => fits(stream::INIT),
        FrameType::Feedback => fits(stream::FEEDBACK),
        FrameType::Close => fits(stream::CLOSE),
        FrameType::Data => true,
    };
    if fits { Ok(head) } else { wrong(rest, "no protobuf head of tRPC") }
}

/// Checks the frames at the beginning of one side, each at the end of the one before: sure after the first whole head.
fn detect_frames(bytes: &[u8]) -> Detection {
    // Nearly everything else is told by its first octets.
    if bytes.iter().zip(MAGIC).any(|(octet, magic)| *octet != magic) {
        return Detection::No;
    }
    let mut rest = bytes;
    let mut sure = Detection::More;
    while !rest.is_empty() {
        match check_frame(rest) {
            Ok(head) => {
                if rest.len() >= head.meta_end() {
                    sure = Detection::Yes;
                }
                rest = rest.get(head.total as usize..).unwrap_or_default();
            }
            Err(Err::Incomplete(_)) => break,
            Err(_) => return Detection::No,
        }
    }
    sure
}

/// How many bytes of a head show that a frame is one, where the rest is cut off.
const CUT_META_LEN: usize = 8;

/// Whether frames stand one after the other, the last of which is cut in its head.
fn ends_in_a_head(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let Ok(head) = check_frame(rest) else { return false };
        match rest.get(head.total as usize..) {
            Some(next) if !next.is_empty() => rest = next,
            Some(_) => return false,
            None => return rest.len() >= head.meta_end().min(HEAD_LEN + CUT_META_LEN),
        }
    }
}

/// A datagram is one frame, no more and (unless it was cut) no less.
fn detect_datagram(bytes: &[u8]) -> Detection {
    if bytes.is_empty() {
        return Detection::More;
    }
    match check_frame(bytes) {
        Ok(head) if bytes.len() <= head.total as usize => Detection::Yes,
        _ => Detection::No,
    }
}

/// How many bytes of a frame [`find_frame`] needs to accept it, unless its head is shorter: bodies may be full of magic
/// numbers.
const FIND_LEN: usize = 48;

/// The first offset of a frame whose head fits, as far as it is there. A whole frame must be followed by another one, and one
/// whose protobuf head is empty, which leaves too little to go by, must be whole.
fn find_frame(input: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(input, &MAGIC).find(|at| {
        let Some(rest) = input.get(*at..) else { return false };
        let Ok(head) = check_frame(rest) else { return false };
        if rest.len() < head.meta_end().min(FIND_LEN) {
            return false;
        }
        let next = rest.get(head.total as usize..).unwrap_or_default();
        if head.frame_type == FrameType::Unary && head.protobuf == 0 && next.is_empty() {
            return false;
        }
        next.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
    })
}

/// The frames of one connection, and which side is the caller on it.
#[derive(Debug, Default)]
struct Frames {
    /// The side that sends requests: known once one was seen, or an answer.
    caller: Option<Side>,
    /// A unary head has shown it by what it holds.
    caller_shown: bool,
    /// A request without an id was seen, so that an answer without an id means something.
    zero_id: bool,
}

impl Frames {
    /// Reads the frame at the beginning of `input`; `cut` if no more bytes of it come.
    fn read<'a>(&mut self, side: Side, input: &'a [u8], cut: bool) -> ParseResult<Parsed<'a>> {
        let (rest, head) = in_layer(Layer::Frame, frame_head)(input)?;
        let bytes = u64::from(head.total);
        match head.frame_type {
            FrameType::Data => return Ok(Parsed::Message { event: stream::data(&head), bytes }),
            FrameType::Feedback => return Ok(Parsed::Control { bytes }),
            _ => {}
        }
        let (meta, whole) = match rest.get(..head.meta_len()) {
            Some(meta) => (meta, true),
            None if cut => (rest, false),
            None => return incomplete(head.meta_len() - rest.len()),
        };
        let mut fields = ProtobufFields::default();
        fields.fill(meta)?;
        if whole && !fields.whole {
            return wrong(rest, "field longer than its head");
        }
        fields.whole = whole;
        match head.frame_type {
            FrameType::Unary => self.read_unary(side, &head, &fields, rest),
            FrameType::Init => {
                let from_caller = stream::init_is_callers(&fields);
                if let Some(from_caller) = from_caller {
                    self.caller.get_or_insert(if from_caller { side } else { side.other() });
                }
                Ok(match from_caller.or(self.caller.map(|caller| caller == side)) {
                    Some(from_caller) => {
                        Parsed::Message { event: stream::init(&head, &fields, from_caller), bytes }
                    }
                    None => Parsed::Control { bytes },
                })
            }
            _ => {
                let event = stream::close(&head, &fields, side, self.caller);
                // Only the callee's decides.
                if matches!(event, Event::Answer(_)) {
                    self.caller.get_or_insert(side.other());
                }
                Ok(Parsed::Message { event, bytes })
            }
        }
    }

    /// What a unary head is that does not show it: only one side calls. An answer has nothing of its own more often than a request.
    fn role_by_side(&self, side: Side, whole: bool, has_id: bool) -> Option<Role> {
        let by_side = self.caller.map(|caller| if caller == side { Role::Request } else { Role::Answer });
        if whole && !(self.caller_shown && has_id) { Some(Role::Answer) } else { by_side }
    }

    /// Reads a unary frame with that head; `rest` is what follows the fixed head.
    fn read_unary<'a>(
        &mut self,
        side: Side,
        head: &FrameHead,
        fields: &ProtobufFields<'a>,
        rest: &[u8],
    ) -> ParseResult<Parsed<'a>> {
        let bytes = u64::from(head.total);
        let Ok(shown) = unary::role(fields) else {
            return wrong(rest, "head with fields of a request and of an answer");
        };
        let has_id = fields.number(3).is_some();
        // A head that was cut off before its id can't be assigned to a call.
        if !fields.whole && !has_id {
            return Ok(Parsed::Control { bytes });
        }
        let id = unary::request_id(fields);
        let role = shown.or_else(|| self.role_by_side(side, fields.whole, has_id));
        if let (Some(role), true) = (shown, fields.whole) {
            self.caller = Some(if role == Role::Request { side } else { side.other() });
            self.caller_shown = true;
        }
        // In each branch, so that the event is made where it is returned.
        let message = |event| Ok(Parsed::Message { event, bytes });
        match role {
            Some(Role::Request) => {
                self.zero_id |= fields.whole && id == 0;
                message(unary::request(head, fields))
            }
            // trpc-go answers a stray stream frame with a unary one whose head was cleared: it belongs to no call
            // (`stream/server.go`).
            Some(Role::Answer) if id != 0 || self.zero_id => {
                if fields.whole {
                    self.caller.get_or_insert(side.other());
                }
                message(unary::answer(head, fields))
            }
            Some(Role::Answer) | None => Ok(Parsed::Control { bytes }),
        }
    }
}

impl Framing for Frames {
    fn parse<'a>(
        &mut self,
        side: Side,
        input: &'a [u8],
        _unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>> {
        self.read(side, input, false)
    }

    fn parse_cut<'a>(
        &mut self,
        side: Side,
        input: &'a [u8],
        _unpacked: &'a mut Vec<u8>,
    ) -> ParseResult<Parsed<'a>> {
        self.read(side, input, true)
    }

    fn metadata(&self, _side: Side, input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
        let Ok((rest, head)) = frame_head(input) else { return };
        let meta = rest.get(..head.meta_len()).unwrap_or(rest);
        let content_type = match head.frame_type {
            FrameType::Unary => unary::trans_info(meta, each),
            FrameType::Init => {
                let Ok(fields) = ProtobufFields::read(meta) else { return };
                fields::each_entry(fields.bytes(1).unwrap_or_default(), 5, each);
                fields.number(4)
            }
            FrameType::Close => {
                fields::each_entry(meta, 5, each);
                None
            }
            FrameType::Data | FrameType::Feedback => None,
        };
        if let Some(number) = content_type
            && codec_name(number as i32).is_none()
        {
            each(b"content_type", (number as i32).to_string().as_bytes());
        }
    }

    fn body(&self, side: Side, input: &[u8], encodings: &mut Encodings) -> Option<BodySpan> {
        let (rest, head) = frame_head(input).ok()?;
        let span = BodySpan::from(head.meta_end());
        match head.frame_type {
            FrameType::Data => Some(BodySpan { encoding: encodings.of(side, head.stream_id), ..span }),
            FrameType::Unary => {
                let fields = ProtobufFields::read(rest.get(..head.meta_len())?).ok()?;
                let attachment = fields.number(12).unwrap_or(0);
                let asks = self.caller == Some(side);
                let encoding = fields.number(if asks { 11 } else { 10 }).unwrap_or(0);
                let end = u64::from(head.total).checked_sub(attachment)?;
                Some(BodySpan { end, encoding: encoding_name(encoding), ..span })
            }
            FrameType::Init => {
                let fields = ProtobufFields::read(rest.get(..head.meta_len())?).ok()?;
                encodings.note(side, head.stream_id, encoding_name(fields.number(5)?)?);
                None
            }
            FrameType::Feedback | FrameType::Close => None,
        }
    }

    fn language(&self) -> Option<Language> {
        Some(Language::Trpc)
    }

    fn may_begin(&self, input: &[u8]) -> bool {
        input.starts_with(&MAGIC)
    }

    fn find(&mut self, _side: Side, input: &[u8]) -> Option<usize> {
        find_frame(input)
    }

    fn renew(&mut self) -> bool {
        *self = Self::default();
        true
    }
}

#[cfg(test)]
mod tests;
