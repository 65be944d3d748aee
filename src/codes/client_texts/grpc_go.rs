//! A text of a client.
//! The row of a text; rows of these libraries come first.
//! The rows that count without the form of a library around them.
//! grpc-go `internal/transport/http2_client.go`, `picker_wrapper.go`, `rpc_util.go`, `clientconn.go`, `balancer/`.

use super::super::library::Library::{ConnectGo, GrpcGo, Kitex};
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, DEADLINE, GOAWAY, HANDSHAKE, HTTP, NO_BACKEND, NO_MESSAGE, NO_NAME,
    NO_STATUS, NO_SYN, NOT_CONNECTED, NOT_HTTP2, NOT_READY, OWN_CLOSE, PING, REFUSED, RESET, STREAM_RESET,
    TOO_LARGE, UNREADABLE, row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(
        &[GrpcGo, Kitex],
        ("connection error: desc = \"transport: ", "connection refused"),
        REFUSED,
        Trace::NoConnection,
    )
    .alone(),
    row(&[GrpcGo], ("connection error: desc = \"transport: ", "i/o timeout"), NO_SYN, Trace::NoConnection)
        .alone(),
    row(&[GrpcGo], ("connection error: desc = \"transport: ", "no such host"), NO_NAME, Trace::NoConnection)
        .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"transport: authentication handshake failed", ""),
        HANDSHAKE,
        Trace::NoConnection,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"transport: Error while dialing", ""),
        NOT_CONNECTED,
        Trace::NoConnection,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"error reading server preface", ""),
        NOT_HTTP2,
        Trace::Foreign,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"initial http2 frame from server is not a settings", ""),
        NOT_HTTP2,
        Trace::Foreign,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"error reading from server: EOF", ""),
        CLOSED,
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("connection error: desc = \"error reading from server", "connection reset"),
        RESET,
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[Kitex],
        ("connection error: desc = \"error reading from server, remoteAddress=", ""),
        CLOSED,
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[Kitex],
        ("connection error: desc = \"first frame received is not a setting frame", ""),
        NOT_HTTP2,
        Trace::Foreign,
    )
    .alone(),
    row(
        &[GrpcGo, Kitex],
        ("connection error: desc = \"keepalive ping failed to receive ACK", ""),
        PING,
        Trace::CallerLeft,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("last connection error: connection error: desc = ", ""),
        NOT_CONNECTED,
        Trace::NoConnection,
    )
    .alone(),
    row(&[GrpcGo], ("last resolver error: ", ""), NO_NAME, Trace::Unsent),
    row(&[GrpcGo], ("name resolver error: ", ""), NO_NAME, Trace::Unsent).alone(),
    row(&[GrpcGo], ("no children to pick from", ""), NO_BACKEND, Trace::Unsent),
    row(&[GrpcGo], ("weighted-target: no targets to pick from", ""), NO_BACKEND, Trace::Unsent).alone(),
    row(&[GrpcGo], ("all SubConns are in TransientFailure", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GrpcGo], ("pickfirst: health check failure: ", ""), NO_BACKEND, Trace::Unsent).alone(),
    row(&[GrpcGo], ("latest balancer error: ", ""), NOT_READY, Trace::NoConnection).alone(),
    row(
        &[GrpcGo],
        ("received context error while waiting for new LB policy update: ", ""),
        NOT_READY,
        Trace::NoConnection,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("context deadline exceeded while waiting for connections to become ready", ""),
        NOT_READY,
        Trace::NoConnection,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("context canceled while waiting for connections to become ready", ""),
        CANCELLED,
        Trace::NoConnection,
    )
    .alone(),
    row(&[GrpcGo, Kitex, ConnectGo], ("context deadline exceeded", ""), DEADLINE, Trace::CallerLeft).shared(),
    row(&[GrpcGo, Kitex, ConnectGo], ("context canceled", ""), CANCELLED, Trace::CallerLeft).shared(),
    row(&[GrpcGo], ("grpc: the client connection is closing", ""), OWN_CLOSE, Trace::CallerLeft).alone(),
    row(&[GrpcGo], ("grpc: the SubConn is closing", ""), OWN_CLOSE, Trace::CallerLeft).alone(),
    row(
        &[GrpcGo, Kitex],
        ("transport is closing", ""),
        "The connection ended, by either side, before the answer.",
        Trace::Open,
    )
    .alone(),
    row(&[GrpcGo], ("error reading from server: EOF", ""), CLOSED, Trace::ServerLeft).alone(),
    row(
        &[GrpcGo],
        ("error reading from server: ", "use of closed network connection"),
        OWN_CLOSE,
        Trace::CallerLeft,
    )
    .alone(),
    row(&[GrpcGo], ("error reading from server: ", "connection reset by peer"), RESET, Trace::ServerLeft)
        .alone(),
    row(&[GrpcGo], ("error reading from server: ", ""), UNREADABLE, Trace::Foreign).alone(),
    row(&[Kitex], ("error reading from server, remoteAddress=", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[GrpcGo], ("closing transport due to: ", "received prior goaway"), GOAWAY, Trace::Goaway).alone(),
    row(
        &[GrpcGo, Kitex],
        ("keepalive ping failed to receive ACK within timeout", ""),
        PING,
        Trace::CallerLeft,
    )
    .alone(),
    row(&[GrpcGo, Kitex], ("the connection is draining", ""), GOAWAY, Trace::Goaway),
    row(
        &[GrpcGo, Kitex],
        ("the stream is rejected because server is draining the connection", ""),
        GOAWAY,
        Trace::Goaway,
    )
    .alone(),
    row(&[GrpcGo, Kitex], ("received goaway and there are no active streams", ""), GOAWAY, Trace::Goaway)
        .alone(),
    row(&[GrpcGo, Kitex], ("no active streams left to process while draining", ""), GOAWAY, Trace::Goaway)
        .alone(),
    row(
        &[GrpcGo, Kitex],
        ("stream terminated by RST_STREAM with error code: ", ""),
        STREAM_RESET,
        Trace::ServerReset,
    )
    .alone(),
    row(
        &[GrpcGo, Kitex],
        ("server closed the stream without sending trailers", ""),
        NO_STATUS,
        Trace::Answered,
    )
    .alone(),
    row(&[GrpcGo], ("unexpected HTTP status code received from server: ", ""), HTTP, Trace::HttpStatus)
        .alone(),
    row(&[GrpcGo, Kitex], ("", ": HTTP status code "), HTTP, Trace::HttpStatus),
    row(&[GrpcGo], ("malformed header: missing HTTP ", ""), UNREADABLE, Trace::HttpStatus).alone(),
    row(&[GrpcGo, Kitex], ("transport: malformed grpc-status: ", ""), UNREADABLE, Trace::Answered).alone(),
    row(
        &[GrpcGo, Kitex],
        ("a HEADERS frame cannot appear in the middle of a stream", ""),
        UNREADABLE,
        Trace::Answered,
    )
    .alone(),
    row(&[GrpcGo, Kitex], ("peer header list size exceeded limit", ""), UNREADABLE, Trace::Answered).alone(),
    row(&[GrpcGo], ("grpc-status-details-bin mismatch: ", ""), UNREADABLE, Trace::Answered).alone(),
    row(&[GrpcGo, Kitex], ("grpc: received message larger than max (", " vs. "), TOO_LARGE, Trace::TooLarge)
        .shared(),
    row(
        &[GrpcGo],
        ("grpc: received message after decompression larger than max ", ""),
        TOO_LARGE,
        Trace::TooLarge,
    )
    .shared(),
    row(
        &[GrpcGo, Kitex],
        ("trying to send message larger than max (", " vs. "),
        "The request is larger than the limit of the caller, and was not sent.",
        Trace::CallerLeft,
    )
    .shared(),
    row(
        &[GrpcGo, Kitex],
        ("grpc: failed to unmarshal the received message", ""),
        UNREADABLE,
        Trace::Answered,
    )
    .shared(),
    row(&[GrpcGo], ("grpc: failed to decompress the received message", ""), UNREADABLE, Trace::Answered)
        .shared(),
    row(
        &[GrpcGo],
        ("cardinality violation: received no response message from non-server-streaming RPC", ""),
        NO_MESSAGE,
        Trace::NoMessage,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("header list size to send violates the maximum size (", ""),
        "The headers of the request are larger than the server allows; the call was not sent.",
        Trace::Unsent,
    )
    .alone(),
    row(
        &[GrpcGo],
        ("transport: per-RPC creds failed due to error", ""),
        "The credentials for the call could not be made; it was not sent.",
        Trace::Unsent,
    )
    .alone(),
    row(
        &[Kitex],
        ("graceful shutdown", ""),
        "The server shut down and broke the stream off with RST_STREAM.",
        Trace::ServerReset,
    ),
    row(
        &[Kitex],
        ("stream Recv timeout, timeout config=", ""),
        "No message of the stream came within the time-out of one Recv.",
        Trace::CallerLeft,
    )
    .shared(),
];
