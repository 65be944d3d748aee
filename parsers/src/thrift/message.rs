//! The head of a thrift message, and of an answer the part that tells its outcome.

use std::borrow::Cow;

use super::{binary, compact, json};
use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};
use crate::message::{CallId, Exception, Kind, Message, ResultField, Text};

/// How a message is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Binary protocol, strict form: begins with `80 01`.
    Binary,
    /// Binary protocol, old form: begins with the length of the name.
    OldBinary,
    /// Compact protocol: begins with `82`.
    Compact,
    /// JSON protocol: begins with `[1,`.
    Json,
    /// Kitex Protobuf: thrift's message head before a protobuf message.
    KitexProtobuf,
}

impl Encoding {
    /// The codec as in the call record.
    #[must_use]
    pub fn codec(self) -> &'static str {
        match self {
            Self::Binary | Self::OldBinary => "thrift-binary",
            Self::Compact => "thrift-compact",
            Self::Json => "thrift-json",
            Self::KitexProtobuf => "protobuf",
        }
    }

    /// The RPC protocol as in the call record.
    #[must_use]
    pub fn rpc(self) -> &'static str {
        match self {
            Self::KitexProtobuf => "kitex-protobuf",
            _ => "thrift",
        }
    }

    /// The only encoding that a message beginning with this byte can have.
    #[must_use]
    pub fn of_first_byte(first: u8) -> Option<Self> {
        match first {
            0x80 => Some(Self::Binary),
            // A name of 16 MiB or more is over every limit, so the length begins with a zero.
            0 => Some(Self::OldBinary),
            0x82 => Some(Self::Compact),
            b'[' => Some(Self::Json),
            _ => None,
        }
    }
}

/// What a message is (`TMessageType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// 1: a request.
    Call,
    /// 2: an answer with a result struct.
    Reply,
    /// 3: an answer with a `TApplicationException`.
    Exception,
    /// 4: a request without an answer.
    Oneway,
}

impl MessageType {
    /// The type of that number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Call),
            2 => Some(Self::Reply),
            3 => Some(Self::Exception),
            4 => Some(Self::Oneway),
            _ => None,
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Call => 1,
            Self::Reply => 2,
            Self::Exception => 3,
            Self::Oneway => 4,
        }
    }

    /// What such a message does to its call.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Call => Kind::Request,
            Self::Oneway => Kind::Oneway,
            Self::Reply | Self::Exception => Kind::Answer,
        }
    }
}

/// What the beginning of a message's struct tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A request, or a reply whose struct tells nothing (Kitex Protobuf).
    Nothing,
    /// A reply.
    Result(ResultField),
    /// An exception.
    Exception(Exception<'a>),
    /// An answer whose telling part is not in the input: at least so many bytes from the beginning of the message are
    /// needed.
    Short(usize),
}

/// One message without its arguments or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// How it is encoded.
    pub encoding: Encoding,
    /// What it is.
    pub message_type: MessageType,
    /// The name as sent: the method, or `Service:method` where the connection is multiplexed (`TMultiplexedProtocol`).
    pub name: Text<'a>,
    /// Sequence number; the peer may leave it at 0.
    pub seq_id: i32,
    /// Where the struct begins, from the beginning of the message.
    pub body: usize,
    /// What an answer tells.
    pub outcome: Outcome<'a>,
}

/// Service and method of a name. Only a multiplexed name has a service.
#[must_use]
pub fn split_name<'a>(name: &Text<'a>) -> (Option<Text<'a>>, Text<'a>) {
    let Some(colon) = memchr::memchr(b':', name) else { return (None, name.clone()) };
    let part = |range: std::ops::Range<usize>| match name {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(range).unwrap_or_default().to_vec()),
    };
    (Some(part(0..colon)), part(colon + 1..name.len()))
}

impl<'a> Envelope<'a> {
    /// The same with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Envelope<'static> {
        let own = |text: Text<'_>| Cow::Owned(text.into_owned());
        Envelope {
            encoding: self.encoding,
            message_type: self.message_type,
            name: own(self.name),
            seq_id: self.seq_id,
            body: self.body,
            outcome: match self.outcome {
                Outcome::Nothing => Outcome::Nothing,
                Outcome::Result(field) => Outcome::Result(field),
                Outcome::Exception(exception) => Outcome::Exception(Exception {
                    type_id: exception.type_id,
                    message: own(exception.message),
                }),
                Outcome::Short(needed) => Outcome::Short(needed),
            },
        }
    }

    /// Puts what it knows into `message`: kind, rpc, codec, id, names and the outcome. A service that is already there
    /// stays. An outcome that is not in the input is marked as cut.
    pub fn copy_into(self, message: &mut Message<'a>) {
        message.kind = self.message_type.kind();
        message.rpc = self.encoding.rpc();
        message.codec = Some(self.encoding.codec());
        message.id = CallId::Loose(i64::from(self.seq_id));
        let (service, method) = split_name(&self.name);
        message.service = message.service.take().or(service);
        message.method = Some(method);
        match self.outcome {
            Outcome::Nothing => {}
            Outcome::Result(field) => message.status.result = Some(field),
            Outcome::Exception(exception) => message.status.exception = Some(exception),
            Outcome::Short(_) => message.status.cut = true,
        }
    }

    /// The bytes needed to know the outcome, where they are not there yet and are worth waiting for.
    #[must_use]
    pub fn wanted(&self) -> Option<usize> {
        match self.outcome {
            Outcome::Short(needed) if needed <= self.body + super::TEXT_LIMIT => Some(needed),
            _ => None,
        }
    }
}

/// Reads the message at the beginning of `input` in whichever encoding its first byte tells. `Short` only for the head:
/// an outcome that is not there yet is [`Outcome::Short`].
pub fn parse_message(input: &[u8]) -> Result<Envelope<'_>, Trouble> {
    let first = input.first().ok_or(Trouble::Short(1))?;
    match Encoding::of_first_byte(*first) {
        Some(encoding) => parse_message_in(encoding, input),
        None => Err(Trouble::Wrong(Error { offset: 0, layer: Layer::Payload, what: "not a thrift message" })),
    }
}

/// Reads the message at the beginning of `input` in a known encoding, which is one of thrift's own.
pub fn parse_message_in(encoding: Encoding, input: &[u8]) -> Result<Envelope<'_>, Trouble> {
    let cursor = &mut Cursor::new(input, Layer::Payload);
    let head = match encoding {
        Encoding::Binary => binary::parse_head(cursor),
        Encoding::OldBinary => binary::parse_old_head(cursor),
        Encoding::Compact => compact::parse_head(cursor),
        Encoding::Json => json::parse_head(cursor),
        Encoding::KitexProtobuf => Err(cursor.wrong("not a thrift message")),
    }?;
    let body = cursor.offset();
    let outcome = match (head.message_type, encoding) {
        (MessageType::Call | MessageType::Oneway, _) => Ok(Outcome::Nothing),
        (MessageType::Reply, Encoding::Compact) => compact::parse_result(cursor).map(Outcome::Result),
        (MessageType::Reply, Encoding::Json) => json::parse_result(cursor).map(Outcome::Result),
        (MessageType::Reply, _) => binary::parse_result(cursor).map(Outcome::Result),
        (MessageType::Exception, Encoding::Compact) => {
            compact::parse_exception(cursor).map(Outcome::Exception)
        }
        (MessageType::Exception, Encoding::Json) => json::parse_exception(cursor).map(Outcome::Exception),
        (MessageType::Exception, _) => binary::parse_exception(cursor).map(Outcome::Exception),
    };
    let outcome = match outcome {
        Err(Trouble::Short(needed)) => Outcome::Short(needed),
        outcome => outcome?,
    };
    Ok(Envelope {
        encoding,
        message_type: head.message_type,
        name: head.name,
        seq_id: head.seq_id,
        body,
        outcome,
    })
}

/// The head of a message, as an encoding reads it.
pub(super) struct Head<'a> {
    pub(super) message_type: MessageType,
    pub(super) name: Text<'a>,
    pub(super) seq_id: i32,
}

/// The result field of a field id (`doc/specs/thrift-rpc.md`, "Response struct").
pub(super) fn result_field(id: i16) -> ResultField {
    if id == 0 { ResultField::Success } else { ResultField::Exception(id) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            (envelope.encoding, envelope.name.as_ref(), envelope.seq_id),
            (Encoding::Binary, &b"ghost"[..], 7)
        );
        assert_eq!(
            envelope.outcome,
            Outcome::Exception(Exception { type_id: 300, message: Cow::Borrowed(b"oops") })
        );
        let envelope = parse_message(OLD_CALL).unwrap();
        assert_eq!((envelope.encoding, envelope.message_type), (Encoding::OldBinary, MessageType::Call));
        assert_eq!((envelope.seq_id, envelope.body, envelope.outcome), (6, 12, Outcome::Nothing));
        let envelope = parse_message(COMPACT_DECLARED).unwrap();
        assert_eq!((envelope.seq_id, envelope.outcome), (-1, Outcome::Result(ResultField::Exception(2))));
        let envelope = parse_message(COMPACT_EXCEPTION).unwrap();
        assert_eq!(
            envelope.outcome,
            Outcome::Exception(Exception { type_id: 6, message: Cow::Borrowed(b"oops") })
        );
        let envelope = parse_message(JSON_EXCEPTION).unwrap();
        assert_eq!((envelope.encoding, envelope.seq_id), (Encoding::Json, 9));
        assert_eq!(
            envelope.outcome,
            Outcome::Exception(Exception { type_id: 6, message: Cow::Borrowed(b"no \"x\"") })
        );
        let envelope = parse_message(ALL[5]).unwrap();
        assert_eq!(envelope.outcome, Outcome::Result(ResultField::Success));
        let mut message = Message::default();
        envelope.copy_into(&mut message);
        assert_eq!(message.service.as_deref(), Some(&b"Stock"[..]));
        assert_eq!(message.method.as_deref(), Some(&b"add"[..]));
        assert_eq!(
            (message.kind, message.id, message.codec),
            (Kind::Answer, CallId::Loose(4), Some("thrift-json"))
        );
    }

    #[test]
    fn empty_results_are_told_from_missing_ones() {
        let reply = b"\x80\x01\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x01\x00";
        assert_eq!(parse_message(reply).unwrap().outcome, Outcome::Result(ResultField::Empty));
        let cut = parse_message(&reply[..13]).unwrap();
        assert_eq!((cut.wanted(), &cut.outcome), (Some(14), &Outcome::Short(14)));
        let mut message = Message::default();
        cut.copy_into(&mut message);
        assert!(message.status.cut && message.status.result.is_none());
    }

    #[test]
    fn a_prefix_never_says_anything_else() {
        for whole in ALL {
            let told = parse_message(whole).unwrap();
            for cut in 0..whole.len() {
                match parse_message(&whole[..cut]) {
                    Err(Trouble::Short(needed)) => assert!(needed > cut),
                    Err(Trouble::Wrong(error)) => panic!("{error} in a prefix of {cut} bytes"),
                    Ok(envelope) => {
                        assert_eq!((&envelope.name, envelope.seq_id), (&told.name, told.seq_id));
                        match envelope.outcome {
                            Outcome::Short(needed) => assert!(needed > cut),
                            outcome => assert_eq!(outcome, told.outcome),
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
            assert!(matches!(parse_message(bytes), Err(Trouble::Wrong(_))), "{bytes:x?}");
        }
        // An exception whose text is over the limit is still an exception, of which nothing more can be told.
        let long = b"\x80\x01\x00\x03\x00\x00\x00\x01x\x00\x00\x00\x01\x0b\x00\x01\x7f\x00\x00\x00";
        let envelope = parse_message(long).unwrap();
        assert!(matches!(envelope.outcome, Outcome::Short(_)) && envelope.wanted().is_none());
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
