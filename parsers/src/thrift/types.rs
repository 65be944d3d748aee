//! What a message is made of, in every encoding.

use super::TEXT_LIMIT;
use crate::bodies::BodySpan;
use crate::event::{
    Answer, CallId, Event, Exception, Head, Names, Reply, Request, ResultField, Rpc, Status, Text,
    ThriftStatus, Transport,
};

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

    /// The RPC protocol.
    #[must_use]
    pub fn rpc(self) -> Rpc {
        match self {
            Self::KitexProtobuf => Rpc::KitexProtobuf,
            Self::Binary | Self::OldBinary | Self::Compact | Self::Json => Rpc::Thrift,
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

    /// Whether it is an answer.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Reply | Self::Exception)
    }
}

/// What the struct of a message says of the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl<'a> ReplyBody<'a> {
    /// What an answer with this struct says.
    pub(crate) fn reply(self) -> Reply<'a> {
        match self {
            Self::Nothing => Reply::Silent,
            Self::Result(field) => Reply::Result(field),
            Self::Exception(exception) => Reply::Exception(exception),
            Self::Short(_) => Reply::Missing,
        }
    }
}

/// Whether there is a colon. Eight bytes at a time: names are short, so that a call of `memchr` takes longer.
fn has_colon(name: &[u8]) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    // Not 0 if a byte is a colon: it alone is 0 then, from which 1 can't be subtracted.
    let found = |word: &[u8; 8]| {
        let others = u64::from_ne_bytes(*word) ^ each(b':');
        others.wrapping_sub(each(1)) & !others & each(0x80)
    };
    match name.last_chunk() {
        // The last eight may overlap those before.
        Some(last) => name.as_chunks().0.iter().fold(found(last), |all, word| all | found(word)) != 0,
        None => name.contains(&b':'),
    }
}

impl<'a> Envelope<'a> {
    /// Service and method of its name. Only a multiplexed name has a service.
    #[must_use]
    pub fn service_and_method(&self) -> (Option<Text<'a>>, Option<Text<'a>>) {
        let raw = self.name.raw();
        let part = |raw| match self.name {
            Text::Json(_) => Text::Json(raw),
            _ => Text::Plain(raw),
        };
        if !has_colon(raw) {
            return (None, Some(self.name));
        }
        match raw.iter().position(|byte| *byte == b':').and_then(|colon| raw.split_at_checked(colon)) {
            Some((service, method)) => (Some(part(service)), Some(part(method.get(1..).unwrap_or_default()))),
            None => (None, Some(self.name)),
        }
    }

    /// The message as an event, carried by `transport`, without what headers add.
    #[must_use]
    pub fn event(&self, transport: Transport) -> Event<'a> {
        let id = CallId::Loose(i64::from(self.seq_id));
        let head =
            Head { codec: Some(self.encoding.codec()), ..Head::new(self.encoding.rpc(), transport, id) };
        let (service, method) = self.service_and_method();
        let names = Names { service, method, ..Names::default() };
        if !self.message_type.is_answer() {
            let oneway = self.message_type == MessageType::Oneway;
            return Event::Request(Request {
                head,
                oneway,
                names,
                timeout: None,
                traced: false,
                headers: None,
            });
        }
        let reply = self.outcome.reply();
        let status = ThriftStatus { biz: None, reply, http: None, cut: reply == Reply::Missing };
        Event::Answer(Answer { names, ..Answer::new(head, Status::Thrift(status)) })
    }

    /// Where its struct is, from the beginning of the message. `None` for a `TApplicationException`, which the outcome has whole.
    #[must_use]
    pub fn body_span(&self) -> Option<BodySpan> {
        (self.message_type != MessageType::Exception).then(|| BodySpan::from(self.body))
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
