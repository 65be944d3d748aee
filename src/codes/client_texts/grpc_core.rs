//! C core `chttp2_transport.cc`, `pick_first.cc`, `call.cc`, `message_size_filter.cc`, grpcio `_channel.py`, as they were seen in 1.50 to
//! 1.85. From 1.81 on most stand in `Stream removed (…)`.

use super::super::library::Library::{self, GrpcAio, GrpcCpp, Grpcio};
use super::super::trace::Trace;
use super::{
    CANCELLED, CLOSED, ClientText, DEADLINE, GOAWAY, HTTP, NO_NAME, NO_STATUS, NOT_CONNECTED, NOT_HTTP2,
    OWN_CLOSE, PING, REFUSED, RESET, STREAM_RESET, TOO_LARGE, UNREADABLE, row,
};

const CORE: &[Library] = &[Grpcio, GrpcAio, GrpcCpp];

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(CORE, ("failed to connect to all addresses", "http1.x server"), NOT_HTTP2, Trace::Foreign).alone(),
    row(CORE, ("failed to connect to all addresses", "Connection refused"), REFUSED, Trace::NoConnection)
        .alone(),
    row(CORE, ("failed to connect to all addresses", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(CORE, ("connections to all backends failing", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(CORE, ("no reachable endpoints; last error: ", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(CORE, ("DNS resolution failed for ", ""), NO_NAME, Trace::Unsent),
    row(CORE, ("errors resolving ", ""), NO_NAME, Trace::Unsent),
    row(CORE, ("Stream removed (Socket closed (GOAWAY", ""), GOAWAY, Trace::Goaway).alone(),
    row(CORE, ("Stream removed (Socket closed", ""), CLOSED, Trace::ServerLeft).alone(),
    row(CORE, ("Stream removed (recvmsg:Connection reset", ""), RESET, Trace::ServerLeft).alone(),
    row(CORE, ("Stream removed (GOAWAY received", ""), GOAWAY, Trace::Goaway).alone(),
    row(CORE, ("Stream removed (Received RST_STREAM", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(CORE, ("Stream removed (RST_STREAM (Received", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(CORE, ("Stream removed (Data frame with END_STREAM flag received", ""), NO_STATUS, Trace::Answered)
        .alone(),
    row(CORE, ("Stream removed (CLIENT: Received message larger", ""), TOO_LARGE, Trace::TooLarge).alone(),
    row(CORE, ("Stream removed (Deadline Exceeded", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(CORE, ("Stream removed (Error parsing '", ""), UNREADABLE, Trace::Answered).alone(),
    row(CORE, ("Stream removed (keepalive", ""), PING, Trace::CallerLeft).alone(),
    row(CORE, ("Stream removed", ""), "The stream ended without a gRPC status.", Trace::Open),
    row(CORE, ("Socket closed", ""), CLOSED, Trace::ServerLeft),
    row(CORE, ("recvmsg:Connection reset by peer", ""), RESET, Trace::ServerLeft).alone(),
    row(CORE, ("Connection reset by peer", ""), RESET, Trace::ServerLeft),
    row(CORE, ("GOAWAY received", ""), GOAWAY, Trace::Goaway),
    row(CORE, ("Received RST_STREAM with error code ", ""), STREAM_RESET, Trace::ServerReset).alone(),
    row(CORE, ("No status received", ""), NO_STATUS, Trace::Answered).alone(),
    row(CORE, ("Received http2 header with status: ", ""), HTTP, Trace::HttpStatus).alone(),
    row(CORE, ("Deadline Exceeded", ""), DEADLINE, Trace::CallerLeft).shared(),
    row(CORE, ("Locally cancelled by application!", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(CORE, ("Cancelled upon garbage collection!", ""), CANCELLED, Trace::CallerLeft).alone(),
    row(CORE, ("Channel closed!", ""), OWN_CLOSE, Trace::CallerLeft),
    row(CORE, ("CLIENT: Received message larger than max (", ""), TOO_LARGE, Trace::TooLarge).alone(),
    row(
        CORE,
        ("CLIENT: Sent message larger than max (", ""),
        "The request is larger than the limit of the caller.",
        Trace::Unsent,
    )
    .alone(),
    row(CORE, ("Received message larger than max (", " vs. "), TOO_LARGE, Trace::TooLarge).shared(),
];
