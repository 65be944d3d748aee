//! What a message is made of, in every encoding.

use std::borrow::Cow;

use super::TEXT_LIMIT;
use crate::message::{CallId, Exception, Kind, Message, ResultField, Text};

/// What an old-form message has at least besides its name: length, type, sequence number, end of the struct.
pub(super) const OLD_FORM_SIZE: usize = 10;

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

/// What the struct of a message says of the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody<'a> {
    /// A request, or a reply whose struct says nothing of it (Kitex Protobuf).
    Nothing,
    /// A reply.
    Result(ResultField),
    /// An exception.
    Exception(Exception<'a>),
    /// An answer whose outcome is not in the input: at least this many bytes from the beginning of the message are
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
    /// What it says of the outcome.
    pub outcome: ReplyBody<'a>,
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
                ReplyBody::Nothing => ReplyBody::Nothing,
                ReplyBody::Result(field) => ReplyBody::Result(field),
                ReplyBody::Exception(exception) => ReplyBody::Exception(Exception {
                    type_id: exception.type_id,
                    message: own(exception.message),
                }),
                ReplyBody::Short(needed) => ReplyBody::Short(needed),
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
            ReplyBody::Nothing => {}
            ReplyBody::Result(field) => message.status.result = Some(field),
            ReplyBody::Exception(exception) => message.status.exception = Some(exception),
            ReplyBody::Short(_) => message.status.cut = true,
        }
    }

    /// The bytes needed to know the outcome, where they are not there yet and are worth waiting for.
    #[must_use]
    pub fn wanted(&self) -> Option<usize> {
        match self.outcome {
            ReplyBody::Short(needed) if needed <= self.body + TEXT_LIMIT => Some(needed),
            _ => None,
        }
    }
}

/// The head of a message, as an encoding reads it.
pub(super) struct MessageHead<'a> {
    pub(super) message_type: MessageType,
    pub(super) name: Text<'a>,
    pub(super) seq_id: i32,
}

/// The result field of a field id (`doc/specs/thrift-rpc.md`, "Response struct").
pub(super) fn result_field(id: i16) -> ResultField {
    if id == 0 { ResultField::Success } else { ResultField::Exception(id) }
}
