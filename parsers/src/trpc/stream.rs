//! Stream frames: the metas of `trpc.proto`, which follow the fixed head directly.
//!
//! ```text
//! caller  INIT(request_meta)                    DATA…  CLOSE              the half-close
//! callee         INIT(response_meta)     DATA…                   CLOSE    decides: type CLOSE or RESET, ret, msg
//! callee         INIT(request_meta, response_meta{ret ≠ 0})               refused: no CLOSE follows
//! ```

use std::borrow::Cow;

use super::fields::{Fields, Shape, Spec};
use super::frame::FrameHead;
use super::{codec_name, split_func};
use crate::message::{CallId, Kind, Message, Side, Status, TrpcEnd};

/// `TrpcStreamCloseMeta.close_type` of a stream that ended with an error.
const RESET: i32 = 1;

const REQUEST_META: &[Spec] = &[
    (1, "caller", Shape::Text),
    (2, "callee", Shape::Text),
    (3, "func", Shape::Text),
    (4, "message_type", Shape::Number),
    (5, "trans_info", Shape::Map),
];

const RESPONSE_META: &[Spec] = &[(1, "ret", Shape::Number), (2, "error_msg", Shape::Text)];

/// Fields of `TrpcStreamInitMeta`.
pub(super) const INIT: &[Spec] = &[
    (1, "request_meta", Shape::Message(REQUEST_META)),
    (2, "response_meta", Shape::Message(RESPONSE_META)),
    (3, "init_window_size", Shape::Number),
    (4, "content_type", Shape::Number),
    (5, "content_encoding", Shape::Number),
];

/// Fields of `TrpcStreamFeedBackMeta`.
pub(super) const FEEDBACK: &[Spec] = &[(1, "window_size_increment", Shape::Number)];

/// Fields of `TrpcStreamCloseMeta`.
pub(super) const CLOSE: &[Spec] = &[
    (1, "close_type", Shape::Number),
    (2, "ret", Shape::Number),
    (3, "msg", Shape::Text),
    (4, "message_type", Shape::Number),
    (5, "trans_info", Shape::Map),
    (6, "func_ret", Shape::Number),
];

fn message(head: &FrameHead, kind: Kind) -> Message<'static> {
    Message {
        kind,
        id: CallId::Stream(i64::from(head.stream_id)),
        transport: "trpc",
        rpc: "trpc-stream",
        ..Message::default()
    }
}

/// Who sent an INIT: `Some(true)` the caller, `Some(false)` the callee, `None` if the bytes do not show it. A `response_meta`
/// is the callee's, even an empty one; a `request_meta` alone proves the caller, for a refusal sends both back.
pub(super) fn init_is_callers(fields: &Fields<'_>) -> Option<bool> {
    let answered = fields.bytes(2).is_some() || fields.partial.is_some_and(|(number, _)| number == 2);
    match (answered, fields.bytes(1).is_some()) {
        (true, _) => Some(false),
        (false, true) if fields.whole => Some(true),
        _ => None,
    }
}

/// What an INIT says, once it is known whether the caller sent it.
pub(super) fn init<'a>(head: &FrameHead, fields: &Fields<'a>, from_caller: bool) -> Message<'a> {
    let partial = |number| fields.partial.filter(|(n, _)| *n == number).map(|(_, bytes)| bytes);
    let meta = |number| fields.bytes(number).or(partial(number)).and_then(|meta| Fields::read(meta).ok());
    let request = meta(1).unwrap_or_default();
    let (service, method) = split_func(request.bytes(3));
    let named = Message {
        codec: fields.int32(4).and_then(codec_name),
        service,
        method,
        caller: request.bytes(1).map(Cow::Borrowed),
        callee: request.bytes(2).map(Cow::Borrowed),
        ..message(head, Kind::Open)
    };
    if from_caller {
        return named;
    }
    let response = meta(2).unwrap_or_default();
    match response.number(1).map(|ret| ret as i32) {
        Some(ret) if ret != 0 => Message {
            kind: Kind::Answer,
            status: Status {
                ret: Some(ret),
                error_msg: response.bytes(2).map(Cow::Borrowed),
                trpc_end: Some(TrpcEnd::Refused),
                ..Status::default()
            },
            ..named
        },
        _ => Message { kind: Kind::Begin, ..named },
    }
}

/// One message of a stream.
pub(super) fn data(head: &FrameHead) -> Message<'static> {
    Message { messages: 1, ..message(head, Kind::Part) }
}

/// What trpc-go answers to a message that reaches it after the stream's end (`codec_stream.go`, `server/service.go`):
/// not the end of the stream, which came before.
const AFTER_THE_END: (i32, &[u8]) = (1, b"uninitialized meta");

/// What a CLOSE says. The callee's is the result; the caller's is its half-close. Where it is not known who sent it, a RESET
/// is the callee's (no library's caller sends one), and a plain CLOSE says no more than that this side has ended.
pub(super) fn close<'a>(
    head: &FrameHead,
    fields: &Fields<'a>,
    side: Side,
    caller: Option<Side>,
) -> Message<'a> {
    let close_type = fields.int32(1);
    let trpc_end = close_type.map(|kind| if kind == RESET { TrpcEnd::Reset } else { TrpcEnd::Close });
    let decides = match caller {
        Some(caller) => side != caller,
        None => trpc_end == Some(TrpcEnd::Reset),
    };
    let (ret, func_ret) = (fields.int32(2), fields.int32(6));
    let kind = if decides { Kind::Answer } else { Kind::HalfClose };
    if decides && trpc_end == Some(TrpcEnd::Reset) && ret.zip(fields.bytes(3)) == Some(AFTER_THE_END) {
        // Where the end itself was seen this changes nothing; where it was not, its code is lost.
        let status = Status { trpc_end, cut: true, ..Status::default() };
        return Message { status, ..message(head, kind) };
    }
    let partial_text = fields.partial.filter(|(number, _)| *number == 3).map(|(_, text)| text);
    Message {
        status: Status {
            ret,
            func_ret,
            error_msg: fields.bytes(3).or(partial_text).map(Cow::Borrowed),
            trpc_end,
            cut: decides && (trpc_end.is_none() || ret.is_none()),
            ..Status::default()
        },
        ..message(head, kind)
    }
}
