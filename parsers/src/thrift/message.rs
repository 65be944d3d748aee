//! Reads the head of a thrift message, and of an answer the outcome.

use nom::{Err, Parser as _};

use super::payload::{error_message, kitex_head};
use super::types::{Encoding, Envelope, MessageType, ReplyBody};
use super::{binary, compact, json};
use crate::error::{Error, Layer, ParseResult, bound, exceeds, incomplete, missing, placed, wrong};

const TOO_LONG: &str = "message longer than its frame";

/// Reads the message at the beginning of `input`, which is one of thrift's own; its first byte says the encoding. `Incomplete` only for
/// the head: an outcome that is not there yet is [`ReplyBody::Short`].
pub fn parse_message(input: &[u8]) -> ParseResult<Envelope<'_>> {
    let encoding = input.first().and_then(|first| Encoding::of_first_byte(*first));
    parse_within(encoding, input, 0, usize::MAX)
}

/// Encoding and type of the message at the beginning of `input`, which may end before its name does. `None` if they can't be told.
pub(crate) fn parse_beginning(input: &[u8]) -> Option<(Encoding, MessageType)> {
    let read = match Encoding::of_first_byte(*input.first()?)? {
        encoding @ Encoding::Binary => binary::strict_type(input).map(|(_, read)| (encoding, read)),
        encoding @ Encoding::Compact => compact::type_of(input).map(|(_, read)| (encoding, read)),
        Encoding::OldBinary | Encoding::Json | Encoding::KitexProtobuf => return None,
    };
    read.ok()
}

/// Reads the message at the beginning of `input` in a known encoding.
pub fn parse_message_in(encoding: Encoding, input: &[u8]) -> ParseResult<Envelope<'_>> {
    parse_within(Some(encoding), input, 0, usize::MAX)
}

/// Reads a message of `size` bytes, of which there may be fewer, or more, at `start` of `input`; `None` if none begins like this. Offsets
/// of the result count from the beginning of `input`.
pub(super) fn parse_within(
    encoding: Option<Encoding>,
    input: &[u8],
    start: usize,
    size: usize,
) -> ParseResult<Envelope<'_>> {
    let rest = input.get(start..).unwrap_or_default();
    let message = rest.get(..size).unwrap_or(rest);
    let read = match encoding {
        Some(encoding) => parse(encoding, message, start, size),
        None if message.is_empty() => incomplete(1),
        None => wrong(message, "not a thrift message"),
    };
    read.map_err(|error| placed_outside(error, input, start, size))
}

/// An error of a message of `size` bytes at `start` of `input`.
#[cold]
#[inline(never)]
fn placed_outside(error: Err<Error>, input: &[u8], start: usize, size: usize) -> Err<Error> {
    let rest = input.get(start..).unwrap_or_default();
    placed(bound(error, size, TOO_LONG, rest), Layer::Payload, input)
}

/// Reads the message `input` of `size` bytes. Offsets of the result count from `start` bytes before it.
#[inline]
fn parse(encoding: Encoding, input: &[u8], start: usize, size: usize) -> ParseResult<Envelope<'_>> {
    let (body, head) = match encoding {
        Encoding::Binary => binary::strict_head(input),
        Encoding::OldBinary => binary::old_head(input),
        Encoding::Compact => compact::head(input),
        Encoding::Json => json::head(input),
        Encoding::KitexProtobuf => kitex_head(input),
    }?;
    let outcome = match (head.message_type, encoding) {
        (MessageType::Call | MessageType::Oneway, _) | (MessageType::Reply, Encoding::KitexProtobuf) => {
            Ok((body, ReplyBody::Nothing))
        }
        (MessageType::Reply, Encoding::Compact) => compact::result.map(ReplyBody::Result).parse(body),
        (MessageType::Reply, Encoding::Json) => json::result.map(ReplyBody::Result).parse(body),
        (MessageType::Reply, _) => binary::result.map(ReplyBody::Result).parse(body),
        (MessageType::Exception, Encoding::Compact) => {
            compact::exception.map(ReplyBody::Exception).parse(body)
        }
        (MessageType::Exception, Encoding::Json) => json::exception.map(ReplyBody::Exception).parse(body),
        (MessageType::Exception, Encoding::KitexProtobuf) if input.len() < size => {
            incomplete(size - input.len())
        }
        (MessageType::Exception, Encoding::KitexProtobuf) => {
            error_message(body).map(|exception| (body, ReplyBody::Exception(exception)))
        }
        (MessageType::Exception, _) => binary::exception.map(ReplyBody::Exception).parse(body),
    };
    let outcome = match outcome {
        Err(Err::Incomplete(needed)) => match input.len().saturating_add(missing(needed)) {
            needed if needed > size => return Err(Err::Error(exceeds(needed, size, TOO_LONG, input))),
            needed => ReplyBody::Short(start.saturating_add(needed)),
        },
        outcome => outcome?.1,
    };
    Ok(Envelope {
        encoding,
        message_type: head.message_type,
        name: head.name,
        seq_id: head.seq_id,
        body: start + input.len() - body.len(),
        outcome,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{CallId, Event, Exception, Kind, Reply, ResultField, Status, Text, Transport};

    const BINARY_EXCEPTION: &[u8] = b"\x80\x01\x00\x03\x00\x00\x00\x05ghost\x00\x00\x00\x07\x0b\x00\x01\x00\x00\x00\x04oops\x08\x00\x02\x00\x00\x01\x2c\x00";
    const OLD_CALL: &[u8] = b"\x00\x00\x00\x03add\x01\x00\x00\x00\x06\x08\x00\x01\x00\x00\x00\x04\x00";
    const COMPACT_DECLARED: &[u8] = b"\x82\x41\xff\xff\xff\xff\x0f\x05fetch\x2c\x15\x04\x00\x00";
    const COMPACT_EXCEPTION: &[u8] = b"\x82\x61\x01\x05ghost\x18\x04oops\x15\x0c\x00";
    const JSON_EXCEPTION: &[u8] =
        br#"[1,"ghost",3,9,{"3":{"lst":["i32",1,[7]]},"1":{"str":"no \"x\""},"2":{"i32":6}}]"#;
    const ALL: &[&[u8]] = &[
        BINARY_EXCEPTION,
        OLD_CALL,
        COMPACT_DECLARED,
        COMPACT_EXCEPTION,
        JSON_EXCEPTION,
        br#"[1,"Stock:add",2,4,{"0":{"i32":9}}]"#,
    ];

    #[test]
    fn reads_heads_and_outcomes_of_every_encoding() {
        let envelope = parse_message(BINARY_EXCEPTION).unwrap();
        assert_eq!(
            (envelope.encoding, envelope.name, envelope.seq_id),
            (Encoding::Binary, Text::Plain(b"ghost"), 7)
        );
        assert_eq!(
            envelope.outcome,
            ReplyBody::Exception(Exception { type_id: 300, message: Text::Plain(b"oops") })
        );
        let envelope = parse_message(OLD_CALL).unwrap();
        assert_eq!((envelope.encoding, envelope.message_type), (Encoding::OldBinary, MessageType::Call));
        assert_eq!((envelope.seq_id, envelope.body, envelope.outcome), (6, 12, ReplyBody::Nothing));
        let envelope = parse_message(COMPACT_DECLARED).unwrap();
        assert_eq!((envelope.seq_id, envelope.outcome), (-1, ReplyBody::Result(ResultField::Exception(2))));
        let envelope = parse_message(COMPACT_EXCEPTION).unwrap();
        assert_eq!(
            envelope.outcome,
            ReplyBody::Exception(Exception { type_id: 6, message: Text::Plain(b"oops") })
        );
        let envelope = parse_message(JSON_EXCEPTION).unwrap();
        assert_eq!((envelope.encoding, envelope.seq_id), (Encoding::Json, 9));
        assert_eq!(
            envelope.outcome,
            ReplyBody::Exception(Exception { type_id: 6, message: Text::Plain(b"no \"x\"") })
        );
        let envelope = parse_message(ALL[5]).unwrap();
        assert_eq!(envelope.outcome, ReplyBody::Result(ResultField::Success));
        let event = envelope.event(Transport::Framed);
        let (head, names) = (event.head().unwrap(), event.names().unwrap());
        assert_eq!(names.service, Some(Text::Plain(b"Stock")));
        assert_eq!(names.method, Some(Text::Plain(b"add")));
        assert_eq!(
            (event.kind(), head.id, head.codec),
            (Kind::Answer, CallId::Loose(4), Some("thrift-json"))
        );
    }

    #[test]
    fn empty_results_are_told_from_missing_ones() {
        let reply = b"\x80\x01\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x01\x00";
        assert_eq!(parse_message(reply).unwrap().outcome, ReplyBody::Result(ResultField::Empty));
        let cut = parse_message(&reply[..13]).unwrap();
        assert_eq!((cut.wanted(), &cut.outcome), (Some(14), &ReplyBody::Short(14)));
        let Event::Answer(answer) = cut.event(Transport::Framed) else { panic!("not an answer") };
        let Status::Thrift(status) = answer.status else { panic!("not the status of thrift") };
        assert_eq!((status.reply, status.cut), (Reply::Missing, true));
    }

    #[test]
    fn a_prefix_never_says_anything_else() {
        for whole in ALL {
            let expected = parse_message(whole).unwrap();
            for cut in 0..whole.len() {
                match parse_message(&whole[..cut]) {
                    Err(Err::Incomplete(needed)) => assert!(missing(needed) > 0),
                    Err(error) => panic!("{error} in a prefix of {cut} bytes"),
                    Ok(envelope) => {
                        assert_eq!((&envelope.name, envelope.seq_id), (&expected.name, expected.seq_id));
                        match envelope.outcome {
                            ReplyBody::Short(needed) => assert!(needed > cut),
                            outcome => assert_eq!(outcome, expected.outcome),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn hostile_heads_are_errors() {
        for bytes in [
            &b"\x80\x01\x00\x02\xff\xff\xff\xff"[..],
            b"\x80\x01\x00\x02\x7f\xff\xff\xff",
            b"\x80\x01\x00\x09",
            b"\x82\x42",
            b"\x82\x21\x01\xff\xff\xff\xff\x0f",
            b"[2,",
            b"[1,\"x\",\"2\"",
            b"GET ",
        ] {
            assert!(matches!(parse_message(bytes), Err(Err::Error(_))), "{bytes:x?}");
        }
        // An exception whose text is over the limit is still an exception, of which nothing more is known.
        let long = b"\x80\x01\x00\x03\x00\x00\x00\x01x\x00\x00\x00\x01\x0b\x00\x01\x7f\x00\x00\x00";
        let envelope = parse_message(long).unwrap();
        assert!(matches!(envelope.outcome, ReplyBody::Short(_)) && envelope.wanted().is_none());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(which in 0_usize..6, at in 0_usize..90, with in any::<u8>(), tail in any::<Vec<u8>>()) {
            let mut bytes = ALL[which].to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = with;
            bytes.extend(&tail);
            let _ = parse_message(&bytes);
            let _ = parse_message(&tail);
        }
    }
}
