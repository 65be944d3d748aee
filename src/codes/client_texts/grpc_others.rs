//! grpc-swift `GRPCError.swift` and `Client/`, dubbo `AbstractTripleClientStream.java`, `DeadlineFuture.java`, `TripleInvoker.java`.

use super::super::library::Library::{DubboJava, GrpcSwift};
use super::super::trace::Trace;
use super::{CANCELLED, CLOSED, ClientText, DEADLINE, HTTP, NOT_CONNECTED, STREAM_RESET, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[GrpcSwift], ("RPC timed out before completing", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(&[GrpcSwift], ("RPC was cancelled by the client", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(&[GrpcSwift], ("Unexpected connection drop", ""), CLOSED, Trace::ServerLeft),
    row(&[GrpcSwift], ("The TCP connection was dropped unexpectedly.", ""), CLOSED, Trace::ServerLeft)
        .alone(),
    row(&[GrpcSwift], ("Could not establish a connection to ", ""), NOT_CONNECTED, Trace::NoConnection)
        .alone(),
    row(&[GrpcSwift], ("Invalid HTTP response status: ", ""), HTTP, Trace::HttpStatus).alone(),
    row(&[GrpcSwift], ("Unexpected non-200 HTTP Status Code (", ""), HTTP, Trace::HttpStatus).alone(),
    row(&[DubboJava], ("Canceled by remote peer, errorCode=", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(&[DubboJava], ("Cancelled by client", ""), CANCELLED, Trace::CallerLeft),
    row(&[DubboJava], ("upstream ", " is unavailable"), NOT_CONNECTED, Trace::NoConnection),
    row(&[DubboJava], ("Waiting server-side response timeout", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(&[DubboJava], ("Sending request timeout in client-side", ""), DEADLINE, Trace::Unsent).alone(),
];
