//! The numbers of messages of a stream, and what they say of it.

use rpcscope_parsers::event::Part;
use rpcscope_parsers::{Rpc, Side};

use super::At;
use super::pending::Pending;
use super::pending_calls::PendingCalls;
use crate::calls::record::{Call, CallKind, Class, Finding};

/// Whether the end of a stream came with the one message of an answer that is not known to be a stream: gRPC's unary
/// answers have either a message or an error, and streams have their last message before they fail.
pub(super) fn is_beside_message(waiting: &Pending, at: &At<'_>, pending: &PendingCalls) -> bool {
    let call = &waiting.call;
    matches!(call.rpc, Rpc::Grpc | Rpc::GrpcWeb)
        && (call.request_messages, call.response_messages) == (1, 1)
        && waiting.last_message == at.now.packet
        && !pending.methods.is_streaming(call.method.as_ref())
}

/// The kind of a stream by the numbers of its messages: one each way looks like a unary call, and is called that. An answer
/// that went well without a message is that of a stream, if other calls of its method were streams, or of a broken callee.
pub(super) fn stream_kind(
    call: &Call,
    class: Option<Class>,
    is_streaming: impl FnOnce() -> bool,
) -> CallKind {
    let whole = class == Some(Class::Ok);
    match (call.request_messages, call.response_messages) {
        (0 | 1, 0) if whole && call.rpc != Rpc::Connect => {
            if is_streaming() {
                CallKind::ServerStream
            } else {
                CallKind::Stream
            }
        }
        // Connect says of every call whether it is a stream.
        (0 | 1, 0 | 1)
            if call.rpc != Rpc::Connect && (whole || matches!(call.rpc, Rpc::Grpc | Rpc::GrpcWeb)) =>
        {
            if call.request_messages == 1 { CallKind::Unary } else { CallKind::Stream }
        }
        (2.., 2..) => CallKind::BidiStream,
        (2.., _) => CallKind::ClientStream,
        (_, 2..) => CallKind::ServerStream,
        _ => CallKind::Stream,
    }
}

/// Counts messages of a stream; `how` is what bytes of the part were lost by, where any were.
#[inline]
pub(super) fn count(waiting: &mut Pending, side: Side, at: &At<'_>, part: &Part<'_>, how: Option<Finding>) {
    let call = &mut waiting.call;
    let of_callee = usize::from(side != waiting.client);
    if part.layouts[0].form().is_some()
        && let Some(layouts) = call.layouts.get_mut(of_callee)
    {
        *layouts = part.layouts;
    }
    if side == waiting.client {
        call.request_messages = call.request_messages.saturating_add(part.messages);
        call.request_bytes += part.head.bytes;
        call.message_bytes[0] += part.head.bytes;
    } else {
        call.response_messages = call.response_messages.saturating_add(part.messages);
        call.response_bytes += part.head.bytes;
        if part.messages > 0 {
            waiting.last_message = at.now.packet;
        }
        call.message_bytes[1] += part.head.bytes;
        if part.head.bytes > 0 {
            call.latency.get_or_insert(at.origin.time.since(call.start));
        }
    }
    // The messages themselves show their codec, whatever the content type leaves open.
    if part.head.codec.is_some() {
        call.codec = part.head.codec;
    }
    if let Some(how) = how {
        call.findings.insert(how);
    }
    waiting.answer_lost |= part.end_lost && side != waiting.client;
    waiting.reset_lost |= part.end_lost && side == waiting.client;
}
