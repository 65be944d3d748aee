//! HTTP/2 error codes (RFC 9113, section 7).

use super::{Entry, ErrorKind, Raiser, Range, Wire};

/// Published ranges of the error codes.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 13, meaning: "HTTP/2's own codes" },
    Range {
        first: 14,
        last: u32::MAX as i64,
        meaning: "not published: receivers treat it as INTERNAL_ERROR",
    },
];

const CALLER: &str = "gRPC libraries map RST_STREAM: NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR and most others to INTERNAL, \
     REFUSED_STREAM to UNAVAILABLE, CANCEL to CANCELLED, ENHANCE_YOUR_CALM to RESOURCE_EXHAUSTED, INADEQUATE_SECURITY to \
     PERMISSION_DENIED";

const fn error(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    let raiser = Raiser::Either;
    Entry { code, name, meaning, raiser, kind: ErrorKind::Transport, wire: Wire::Sent, caller: CALLER, look }
}

const BUG: &str = "The versions of both libraries and of anything in between: one of them is at fault.";

/// What the debug data of a GOAWAY says, for those that libraries send: grpc-go (`internal/transport/http2_server.go`), C core
/// (`chttp2_transport.cc`), grpc-java (`MaxConnectionIdleManager.java`, `NettyServerHandler.java`) and Kitex (`http2_server.go`).
#[must_use]
pub fn goaway_reason(text: &str) -> Option<&'static str> {
    Some(match text {
        "max_age" => "the connection had reached the maximum age that the server allows",
        "max_idle" => "the connection was idle for longer than the server allows",
        "too_many_pings" => "the client sent more keep-alive pings than the server permits",
        "graceful_stop" | "graceful shutdown" | "app_requested" => "the server was shutting down",
        _ => return None,
    })
}

/// The names in Go's `golang.org/x/net/http2` (`errors.go`), by code.
const GO_NAMES: [&str; 14] = [
    "ErrCodeNo",
    "ErrCodeProtocol",
    "ErrCodeInternal",
    "ErrCodeFlowControl",
    "ErrCodeSettingsTimeout",
    "ErrCodeStreamClosed",
    "ErrCodeFrameSize",
    "ErrCodeRefusedStream",
    "ErrCodeCancel",
    "ErrCodeCompression",
    "ErrCodeConnect",
    "ErrCodeEnhanceYourCalm",
    "ErrCodeInadequateSecurity",
    "ErrCodeHTTP11Required",
];

/// The code of a name in Go.
#[must_use]
pub(super) fn from_go_name(name: &str) -> Option<i64> {
    GO_NAMES.iter().position(|known| *known == name).map(|code| code as i64)
}

/// Every HTTP/2 error code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        kind: ErrorKind::Success,
        ..error(
            0,
            "NO_ERROR",
            "No error: in GOAWAY a graceful end, in RST_STREAM that the rest of the request is not needed.",
            "Whether the answer was complete before it.",
        )
    },
    error(1, "PROTOCOL_ERROR", "The peer broke the protocol.", BUG),
    error(2, "INTERNAL_ERROR", "The sender itself failed.", "The log of the side that sent it."),
    error(3, "FLOW_CONTROL_ERROR", "The peer sent more than the window allowed.", BUG),
    error(
        4,
        "SETTINGS_TIMEOUT",
        "SETTINGS were not acknowledged in time.",
        "Whether the peer was alive at that time.",
    ),
    error(5, "STREAM_CLOSED", "A frame arrived on a half-closed stream.", BUG),
    error(6, "FRAME_SIZE_ERROR", "A frame had an invalid size.", BUG),
    error(
        7,
        "REFUSED_STREAM",
        "The stream was refused before any work was done: it is safe to retry.",
        "The limit of concurrent streams, and whether the server was shutting down.",
    ),
    error(
        8,
        "CANCEL",
        "The stream is not needed any more: the caller cancelled, or its deadline passed.",
        "Which side sent it; the caller's deadline (`grpc-timeout`) against the elapsed time.",
    ),
    error(9, "COMPRESSION_ERROR", "The header compression state of the connection is broken.", BUG),
    error(10, "CONNECT_ERROR", "The connection behind a CONNECT broke.", "The proxy."),
    error(
        11,
        "ENHANCE_YOUR_CALM",
        "The peer asks for too much, for instance too many pings.",
        "The keep-alive settings of the client against what the server permits.",
    ),
    error(
        12,
        "INADEQUATE_SECURITY",
        "The TLS of the connection is too weak.",
        "The TLS settings of both sides.",
    ),
    error(
        13,
        "HTTP_1_1_REQUIRED",
        "The server wants HTTP/1.1.",
        "The server's or proxy's support of HTTP/2.",
    ),
];
