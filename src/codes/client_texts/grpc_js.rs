//! grpc-js `subchannel-call.ts`, `transport.ts`, `load-balancer-pick-first.ts`, `resolving-call.ts`, `client.ts`, some as they were seen
//! in 1.9 to 1.14.

use super::super::library::Library::GrpcJs;
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, DEADLINE, HTTP, NO_MESSAGE, NO_NAME, NOT_CONNECTED, NOT_HTTP2, NOT_READY,
    REFUSED, RESET, STREAM_RESET, TOO_LARGE, UNREADABLE, row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[GrpcJs], ("No connection established", "ECONNREFUSED"), REFUSED, Trace::NoConnection).alone(),
    row(&[GrpcJs], ("No connection established", "Protocol error"), NOT_HTTP2, Trace::Foreign).alone(),
    row(&[GrpcJs], ("No connection established", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GrpcJs], ("round_robin: No connection established", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GrpcJs], ("weighted_round_robin: No connection established", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GrpcJs], ("No addresses resolved", ""), NO_NAME, Trace::Unsent),
    row(&[GrpcJs], ("Name resolution failed for target ", ""), NO_NAME, Trace::Unsent).alone(),
    row(&[GrpcJs], ("Connection dropped", ""), CLOSED, Trace::ServerLeft),
    row(&[GrpcJs], ("read ECONNRESET", ""), RESET, Trace::ServerLeft),
    row(
        &[GrpcJs],
        ("Stream refused by server", ""),
        "The server refused the stream (RST_STREAM REFUSED_STREAM, or a GOAWAY below it): it is safe to retry.",
        Trace::ServerReset,
    )
    .alone(),
    row(
        &[GrpcJs],
        ("Bandwidth exhausted or memory limit exceeded", ""),
        "The server sent ENHANCE_YOUR_CALM, in RST_STREAM or GOAWAY.",
        Trace::ServerReset,
    )
    .alone(),
    row(&[GrpcJs], ("Protocol not secure enough", ""), "The server sent RST_STREAM INADEQUATE_SECURITY.", Trace::ServerReset).alone(),
    row(
        &[GrpcJs],
        ("Call cancelled", ""),
        "The server broke the stream off with RST_STREAM CANCEL; up to grpc-js 1.12.3 also a lost connection.",
        Trace::ServerReset,
    ),
    row(&[GrpcJs], ("Cancelled on client", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(
        &[GrpcJs],
        ("Cancelled by parent call", ""),
        "The call that the caller was handling itself was cancelled.",
        Trace::CallerLeft,
    )
    .alone(),
    row(
        &[GrpcJs],
        ("Received RST_STREAM with code 0", ""),
        "The stream ended without a gRPC status, by RST_STREAM NO_ERROR or by the last DATA.",
        Trace::ServerReset,
    )
    .alone(),
    row(
        &[GrpcJs],
        ("Received RST_STREAM with code 2 triggered by internal client error", ""),
        "HTTP/2 failed within Node: the words behind say how.",
        Trace::Open,
    )
    .alone(),
    row(&[GrpcJs], ("Received RST_STREAM with code ", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(&[GrpcJs], ("Deadline exceeded after ", "remote_addr="), DEADLINE, Trace::CallerLeft),
    row(&[GrpcJs], ("Deadline exceeded after ", ""), NOT_READY, Trace::NoConnection),
    row(&[GrpcJs], ("Deadline exceeded", ""), DEADLINE, Trace::CallerLeft).shared(),
    row(&[GrpcJs], ("Received HTTP status code ", ""), HTTP, Trace::HttpStatus),
    row(&[GrpcJs], ("Received message larger than max (", " vs "), TOO_LARGE, Trace::TooLarge).shared(),
    row(&[GrpcJs], ("No message received", ""), NO_MESSAGE, Trace::NoMessage),
    row(&[GrpcJs], ("Response message parsing error", ""), UNREADABLE, Trace::Answered).alone(),
    row(&[GrpcJs], ("Failed to connect before the deadline", ""), NOT_READY, Trace::NoConnection).alone(),
];
