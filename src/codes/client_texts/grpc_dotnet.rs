//! grpc-dotnet `GrpcCall.cs`, `GrpcCall.NonGeneric.cs`, `GrpcProtocolHelpers.cs`, `GrpcProtocolConstants.cs`, `Balancer/`.

use super::super::library::Library::GrpcDotnet;
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, HTTP, NO_NAME, NO_STATUS, NOT_CONNECTED, NOT_HTTP2, REFUSED, STREAM_RESET,
    TOO_LARGE, UNREADABLE, row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[GrpcDotnet], ("Error starting gRPC call. ", "Connection refused"), REFUSED, Trace::NoConnection)
        .alone(),
    row(&[GrpcDotnet], ("Error starting gRPC call. ", "reset the stream"), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(
        &[GrpcDotnet],
        ("Error starting gRPC call. ", "response ended prematurely"),
        CLOSED,
        Trace::ServerLeft,
    )
    .alone(),
    row(&[GrpcDotnet], ("Error starting gRPC call. ", "HTTP/2 handshake"), NOT_HTTP2, Trace::Foreign).alone(),
    row(
        &[GrpcDotnet],
        ("Error starting gRPC call", ""),
        "The call failed before its answer: the words behind say how.",
        Trace::Open,
    )
    .alone(),
    row(&[GrpcDotnet], ("Bad gRPC response. HTTP status code: ", ""), HTTP, Trace::HttpStatus).alone(),
    row(&[GrpcDotnet], ("Bad gRPC response. ", ""), "The answer is no gRPC.", Trace::HttpStatus).alone(),
    row(&[GrpcDotnet], ("No grpc-status found on response.", ""), NO_STATUS, Trace::Answered).alone(),
    row(&[GrpcDotnet], ("Call canceled by the client.", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(&[GrpcDotnet], ("gRPC call disposed.", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(&[GrpcDotnet], ("Error connecting to subchannel.", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GrpcDotnet], ("Resolver returned no addresses.", ""), NO_NAME, Trace::Unsent).alone(),
    row(&[GrpcDotnet], ("Failed to deserialize response message.", ""), UNREADABLE, Trace::Answered).alone(),
    row(
        &[GrpcDotnet],
        ("Received message exceeds the maximum configured message size.", ""),
        TOO_LARGE,
        Trace::TooLarge,
    )
    .shared(),
];
