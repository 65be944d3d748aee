//! Unary frames: `RequestProtocol` and `ResponseProtocol` of `trpc.proto`.

use super::fields::{ProtobufFields, Shape, Spec, map_entry};
use super::frame::{FrameHead, HEAD_LEN};
use super::{codec_name, split_func};
use crate::event::{Answer, CallId, Codes, Event, Head, Names, Request, Rpc, Sender, Status, Transport};
use crate::protobuf::{self, Value};

/// `call_type` of a call that wants no answer.
const ONEWAY: u64 = 1;

/// Nanoseconds of a millisecond, the unit of `timeout`.
const MILLISECOND: u64 = 1_000_000;

/// Fields of `RequestProtocol`.
pub(super) const REQUEST: &[Spec] = &[
    (1, "version", Shape::Number),
    (2, "call_type", Shape::Number),
    (3, "request_id", Shape::Number),
    (4, "timeout", Shape::Number),
    (5, "caller", Shape::Text),
    (6, "callee", Shape::Text),
    (7, "func", Shape::Text),
    (8, "message_type", Shape::Number),
    (9, "trans_info", Shape::Map),
    (10, "content_type", Shape::Number),
    (11, "content_encoding", Shape::Number),
    (12, "attachment_size", Shape::Number),
];

/// Fields of `ResponseProtocol`.
pub(super) const RESPONSE: &[Spec] = &[
    (1, "version", Shape::Number),
    (2, "call_type", Shape::Number),
    (3, "request_id", Shape::Number),
    (4, "ret", Shape::Number),
    (5, "func_ret", Shape::Number),
    (6, "error_msg", Shape::Text),
    (7, "message_type", Shape::Number),
    (8, "trans_info", Shape::Map),
    (9, "content_type", Shape::Number),
    (10, "content_encoding", Shape::Number),
    (12, "attachment_size", Shape::Number),
];

/// The two things that a unary frame can be. The frame does not say which: the same field numbers mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Request,
    Answer,
}

/// Distinguishes request and answer by the wire types in which they differ. `None`: no field of the input differs, as in a successful
/// answer, which may have only its request id because zeros are left out, or in a request without caller and func. The error means
/// that some fields belong to the one and some to the other.
pub(super) fn role(fields: &ProtobufFields<'_>) -> Result<Option<Role>, ()> {
    let begun = |number| fields.bytes(number).is_some() || fields.partial.is_some_and(|(n, _)| n == number);
    let number = |number| fields.number(number).is_some();
    let request = begun(5) || begun(7) || begun(9) || number(8) || number(11);
    let answer = number(5) || number(7) || number(9) || begun(8);
    match (request, answer) {
        (true, true) => Err(()),
        (true, false) => Ok(Some(Role::Request)),
        (false, true) => Ok(Some(Role::Answer)),
        (false, false) => Ok(None),
    }
}

/// Calls `each` with the entries of a head's `trans_info` and returns the content type. In one pass without
/// [`ProtobufFields`]: it is called for every message, and the wire types of the fields show what they are.
pub(super) fn trans_info(meta: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
    let (mut is_request, mut ninth, mut tenth) = (false, None, None);
    for field in protobuf::fields(meta) {
        match (field.number, field.value) {
            (number @ (8 | 9), Value::Bytes(entry)) => {
                is_request |= number == 9;
                let (key, value) = map_entry(entry);
                each(key, value);
            }
            (5 | 7, Value::Bytes(_)) | (8 | 11, Value::Varint(_)) => is_request = true,
            (9, Value::Varint(number)) => ninth = Some(number),
            (10, Value::Varint(number)) => tenth = Some(number),
            _ => {}
        }
    }
    if is_request { tenth } else { ninth }
}

/// The id that pairs request and answer; 0 where it is left out.
pub(super) fn request_id(fields: &ProtobufFields<'_>) -> i64 {
    i64::from(fields.number(3).unwrap_or(0) as u32)
}

fn event_head(fields: &ProtobufFields<'_>, codec: Option<&'static str>) -> Head {
    let id = CallId::Request(request_id(fields));
    Head { codec, ..Head::new(Rpc::Trpc, Transport::Trpc, id) }
}

/// What a request says.
pub(super) fn request<'a>(head: &FrameHead, fields: &ProtobufFields<'a>) -> Event<'a> {
    let (service, method) = split_func(fields.bytes(7));
    Event::Request(Request {
        head: event_head(fields, fields.int32(10).and_then(codec_name)),
        oneway: fields.number(2) == Some(ONEWAY),
        names: Names {
            service,
            method,
            caller: fields.text(5),
            callee: fields.text(6),
            // trpc-go `codec.go`; trpc-java and trpc-cpp write 0 and 0.
            sender: (head.version == 1 && i64::from(head.stream_id) == request_id(fields))
                .then_some(Sender::TrpcGo),
        },
        timeout: fields.number(4).filter(|ms| *ms > 0).map(|ms| u64::from(ms as u32) * MILLISECOND),
        // trans_info.
        traced: fields.bytes_or_partial(9).is_some(),
        headers: None,
    })
}

/// What an answer says. In one that is cut off, a number that was not reached stays unknown.
pub(super) fn answer<'a>(head: &FrameHead, fields: &ProtobufFields<'a>) -> Event<'a> {
    let codes = Codes { ret: fields.int32(4), func_ret: fields.int32(5), message: fields.text_or_partial(6) };
    let failed = [codes.ret, codes.func_ret].iter().any(|code| code.is_some_and(|code| code != 0));
    let attachment = fields.number(12).unwrap_or(0);
    let payload = u64::from(head.total).saturating_sub(HEAD_LEN as u64 + u64::from(head.protobuf));
    let body = payload > attachment;
    // Without a body the left-out content type of an answer says nothing: servers do not copy the request's into every
    // error.
    let codec = match fields.number(9) {
        None if !body => None,
        _ => fields.int32(9).and_then(codec_name),
    };
    Event::Answer(Answer {
        body: failed && body,
        oneway: fields.number(2) == Some(ONEWAY),
        ..Answer::new(event_head(fields, codec), Status::Trpc(codes))
    })
}
