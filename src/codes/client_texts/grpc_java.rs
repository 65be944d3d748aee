//! grpc-java netty `Utils.java`, `NettyClientHandler.java`, `WriteBufferingAndExceptionHandler.java`; core `ClientCallImpl.java`,
//! `DelayedClientCall.java`, `ManagedChannelImpl.java`, `Http2ClientStreamTransportState.java`, `MessageDeframer.java`.

use super::super::library::Library::{DubboJava, GrpcJava};
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, DEADLINE, GOAWAY, HANDSHAKE, HTTP, NO_MESSAGE, NO_NAME, NO_STATUS,
    NOT_HTTP2, NOT_READY, OWN_CLOSE, PING, STREAM_RESET, TOO_LARGE, row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(
        &[GrpcJava],
        ("io exception", ""),
        "The connection was refused, reset or timed out: the cause below says which.",
        Trace::Open,
    ),
    row(&[GrpcJava], ("ssl exception", ""), HANDSHAKE, Trace::NoConnection),
    row(&[GrpcJava], ("Failed ALPN negotiation", ""), HANDSHAKE, Trace::NoConnection).alone(),
    row(&[GrpcJava], ("Connection closed while performing ", "negotiation"), HANDSHAKE, Trace::NoConnection)
        .alone(),
    row(&[GrpcJava], ("unresolved address", ""), NO_NAME, Trace::Unsent),
    row(&[GrpcJava, DubboJava], ("http2 exception", ""), NOT_HTTP2, Trace::Foreign),
    row(&[GrpcJava], ("Network closed for unknown reason", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[GrpcJava], ("Connection closed after GOAWAY. HTTP/2 error code: ", ""), GOAWAY, Trace::Goaway)
        .alone(),
    row(&[GrpcJava], ("Abrupt GOAWAY closed sent stream.", ""), GOAWAY, Trace::Goaway).alone(),
    row(&[GrpcJava], ("Abrupt GOAWAY closed unsent stream.", ""), GOAWAY, Trace::Goaway).alone(),
    row(&[GrpcJava], ("GOAWAY ", " HTTP/2 error code: "), GOAWAY, Trace::Goaway).alone(),
    row(&[GrpcJava], ("RST_STREAM closed stream. ", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(&[GrpcJava], ("HTTP/2 error code: ", "Received Rst Stream"), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(&[GrpcJava], ("CallOptions deadline exceeded after ", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(
        &[GrpcJava],
        ("Context deadline exceeded after ", ""),
        "The deadline passed that the caller inherited from the call that it was handling itself.",
        Trace::CallerLeft,
    )
    .alone(),
    row(&[GrpcJava], ("deadline exceeded after ", "s"), DEADLINE, Trace::CallerLeft),
    row(
        &[GrpcJava],
        ("ClientCall started after ", ""),
        "The deadline had passed before the call began; it was not sent.",
        Trace::Unsent,
    )
    .alone(),
    row(&[GrpcJava], ("Deadline CallOptions was exceeded after ", ""), NOT_READY, Trace::NoConnection)
        .alone(),
    row(&[GrpcJava], ("Call cancelled without message", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(&[GrpcJava], ("Cancelled by client with StreamObserver.onError()", ""), CANCELLED, Trace::CallerLeft)
        .alone(),
    row(
        &[GrpcJava],
        ("io.grpc.Context was cancelled without error", ""),
        "The call that the caller was handling itself was cancelled.",
        Trace::CallerLeft,
    )
    .alone(),
    row(&[GrpcJava], ("Channel shutdown", " invoked"), OWN_CLOSE, Trace::CallerLeft),
    row(&[GrpcJava], ("Subchannel shutdown invoked", ""), OWN_CLOSE, Trace::CallerLeft).alone(),
    row(&[GrpcJava], ("Unable to resolve host ", ""), NO_NAME, Trace::Unsent),
    row(&[GrpcJava], ("NameResolver returned no usable address.", ""), NO_NAME, Trace::Unsent).alone(),
    row(&[GrpcJava], ("Keepalive failed. The connection is likely gone", ""), PING, Trace::CallerLeft)
        .alone(),
    row(&[GrpcJava, DubboJava], ("HTTP status code 200", "missing GRPC status"), NO_STATUS, Trace::Answered)
        .alone(),
    row(&[GrpcJava], ("HTTP status code ", ""), HTTP, Trace::HttpStatus),
    row(&[GrpcJava, DubboJava], ("missing GRPC status in response", ""), NO_STATUS, Trace::Answered).alone(),
    row(&[GrpcJava], ("Received unexpected EOS on ", "DATA frame from server"), NO_STATUS, Trace::Answered)
        .alone(),
    row(&[GrpcJava], ("gRPC message exceeds maximum size ", ""), TOO_LARGE, Trace::TooLarge).shared(),
    row(&[GrpcJava], ("Decompressed gRPC message exceeds maximum size ", ""), TOO_LARGE, Trace::TooLarge)
        .shared(),
    row(&[GrpcJava], ("No value received for unary call", ""), NO_MESSAGE, Trace::NoMessage).alone(),
    row(&[GrpcJava], ("End of stream or IOException", ""), CLOSED, Trace::ServerLeft).alone(),
];
