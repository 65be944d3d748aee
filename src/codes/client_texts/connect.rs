//! connect-go `duplex_http_call.go`, `error.go`, `protocol_grpc.go`, `envelope.go` with Go's `net/http`; connect-es as seen in 2.1.2.

use super::super::library::Library::{ConnectEs, ConnectGo, DubboGo};
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, DEADLINE, HTTP, NO_MESSAGE, NO_STATUS, NOT_HTTP2, STREAM_RESET, TOO_LARGE,
    row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[ConnectGo, DubboGo], ("unexpected EOF", ""), CLOSED, Trace::ServerLeft),
    row(&[ConnectGo, DubboGo], ("bandwidth exhausted: stream error: ", ""), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(&[ConnectGo, DubboGo], ("HTTP status ", ""), HTTP, Trace::HttpStatus),
    row(&[ConnectGo], ("invalid content-type: \"", "\"; expecting \""), HTTP, Trace::HttpStatus).alone(),
    row(&[ConnectGo, DubboGo], ("protocol error: no Grpc-Status trailer", ""), NO_STATUS, Trace::Answered)
        .alone(),
    row(&[DubboGo], ("gRPC protocol error: no Grpc-Status trailer", ""), NO_STATUS, Trace::Answered).alone(),
    row(
        &[ConnectGo],
        ("possible h2c configuration issue when talking to gRPC server", ""),
        NOT_HTTP2,
        Trace::Foreign,
    )
    .alone(),
    row(
        &[ConnectGo],
        ("possible missing connect.WithGRPC() client option when talking to gRPC server", ""),
        "A client of the Connect protocol called a server that only has gRPC.",
        Trace::HttpStatus,
    )
    .alone(),
    row(&[ConnectGo], ("unary response has zero messages", ""), NO_MESSAGE, Trace::NoMessage).alone(),
    row(&[ConnectGo], ("message size ", " is larger than configured max "), TOO_LARGE, Trace::TooLarge)
        .shared(),
    row(
        &[ConnectEs],
        ("http/2 stream closed with error code CANCEL", ""),
        "The server broke the stream off, or the connection ended: Node words both so.",
        Trace::Open,
    )
    .alone(),
    row(&[ConnectEs], ("http/2 stream closed with error code ", ""), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(&[ConnectEs], ("Stream closed with error code NGHTTP2_", ""), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(&[ConnectEs], ("HTTP 5", ""), HTTP, Trace::HttpStatus),
    row(&[ConnectEs], ("HTTP 4", ""), HTTP, Trace::HttpStatus),
    row(&[ConnectEs], ("protocol error: missing status", ""), NO_STATUS, Trace::Answered).alone(),
    row(&[ConnectEs], ("the operation timed out", ""), DEADLINE, Trace::CallerLeft),
    row(&[ConnectEs], ("This operation was aborted", ""), CANCELLED, Trace::CallerLeft),
    row(
        &[ConnectEs],
        ("protocol error: missing output message for unary method", ""),
        NO_MESSAGE,
        Trace::NoMessage,
    )
    .alone(),
    row(
        &[ConnectEs],
        ("message size ", " is larger than configured readMaxBytes "),
        TOO_LARGE,
        Trace::TooLarge,
    )
    .shared(),
];
