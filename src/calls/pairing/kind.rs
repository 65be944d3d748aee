//! What the numbers of messages say of a stream.

use rpcscope_parsers::Rpc;

use super::At;
use super::pending_calls::{Pending, PendingCalls};
use crate::calls::record::{Call, CallKind, Class};

/// Whether the end of a stream came with the one message of an answer that is not known to be a stream: gRPC's unary
/// answers have either a message or an error, and streams have their last message before they fail.
pub(super) fn is_beside_message(waiting: &Pending, at: At<'_>, pending: &PendingCalls) -> bool {
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
