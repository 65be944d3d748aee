//! Stream frames: the metas of `trpc.proto`, which follow the fixed head directly.
//!
//! ```text
//! caller  INIT(request_meta)                    DATA…  CLOSE              the half-close
//! callee         INIT(response_meta)     DATA…                   CLOSE    decides: type CLOSE or RESET, ret, msg
//! callee         INIT(request_meta, response_meta{ret ≠ 0})               refused: no CLOSE follows
//! ```

use super::fields::{ProtobufFields, Shape, Spec};
use super::frame::FrameHead;
use super::{codec_name, split_func};
use crate::event::{
    Answer, Begin, CallId, Codes, Event, HalfClose, Head, Names, Open, Part, Rpc, Side, Status, Transport,
    TrpcEnd,
};

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

fn event_head(head: &FrameHead) -> Head {
    Head::new(Rpc::TrpcStream, Transport::Trpc, CallId::Stream(i64::from(head.stream_id)))
}

/// Who sent an INIT: `Some(true)` the caller, `Some(false)` the callee, `None` if the bytes do not show it. A `response_meta`
/// is the callee's, even an empty one; a `request_meta` alone proves the caller, for a refusal sends both back.
pub(super) fn init_is_callers(fields: &ProtobufFields<'_>) -> Option<bool> {
    let answered = fields.bytes(2).is_some() || fields.partial.is_some_and(|(number, _)| number == 2);
    match (answered, fields.bytes(1).is_some()) {
        (true, _) => Some(false),
        (false, true) if fields.whole => Some(true),
        _ => None,
    }
}

/// What an INIT says, once it is known whether the caller sent it.
pub(super) fn init<'a>(head: &FrameHead, fields: &ProtobufFields<'a>, from_caller: bool) -> Event<'a> {
    let meta = |number| fields.bytes_or_partial(number).and_then(|meta| ProtobufFields::read(meta).ok());
    let request = meta(1).unwrap_or_default();
    let (service, method) = split_func(request.bytes(3));
    let names = Names { service, method, caller: request.text(1), callee: request.text(2), sender: None };
    let head = Head { codec: fields.int32(4).and_then(codec_name), ..event_head(head) };
    let headers = None;
    if from_caller {
        // trans_info.
        let traced = request.bytes_or_partial(5).is_some();
        return Event::Open(Open {
            head,
            unary: false,
            names,
            timeout: None,
            unknown_name: None,
            traced,
            headers,
        });
    }
    let response = meta(2).unwrap_or_default();
    match response.number(1).map(|ret| ret as i32) {
        Some(ret) if ret != 0 => {
            let codes = Codes { ret: Some(ret), func_ret: None, message: response.text(2) };
            let status = Status::TrpcStream { end: Some(TrpcEnd::Refused), codes };
            Event::Answer(Answer { names, ..Answer::new(head, status) })
        }
        _ => Event::Begin(Begin { head, names, http: None, has_status: false, headers }),
    }
}

/// One message of a stream.
pub(super) fn data(head: &FrameHead) -> Event<'static> {
    Event::Part(Part::new(event_head(head), 1))
}

/// What trpc-go answers to a message that reaches it after the stream's end (`codec_stream.go`, `server/service.go`):
/// not the end of the stream, which came before.
const AFTER_THE_END: (i32, &[u8]) = (1, b"uninitialized meta");

/// What a CLOSE says. The callee's is the result; the caller's is its half-close. Where it is not known who sent it, a RESET
/// is the callee's (no library's caller sends one), and a plain CLOSE says no more than that this side has ended.
pub(super) fn close<'a>(
    head: &FrameHead,
    fields: &ProtobufFields<'a>,
    side: Side,
    caller: Option<Side>,
) -> Event<'a> {
    let close_type = fields.int32(1);
    let end = close_type.map(|kind| if kind == RESET { TrpcEnd::Reset } else { TrpcEnd::Close });
    let decides = match caller {
        Some(caller) => side != caller,
        None => end == Some(TrpcEnd::Reset),
    };
    let head = event_head(head);
    if !decides {
        return Event::HalfClose(HalfClose { head, headers: None });
    }
    let ret = fields.int32(2);
    let after_the_end = end == Some(TrpcEnd::Reset) && ret.zip(fields.bytes(3)) == Some(AFTER_THE_END);
    // Where the end itself was seen, a message after it changes nothing; where it was not, its code is lost.
    let codes = if after_the_end {
        Codes::default()
    } else {
        Codes { ret, func_ret: fields.int32(6), message: fields.text_or_partial(3) }
    };
    Event::Answer(Answer::new(head, Status::TrpcStream { end, codes }))
}
