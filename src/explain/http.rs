//! HTTP/2 error codes (RFC 9113, section 7) and the HTTP statuses that RPC over HTTP meets (RFC 9110, section 15).

use super::{Entry, Raiser, Range, Side, Wire};

/// Published ranges of the error codes.
pub(super) const ERROR_RANGES: &[Range] = &[
    Range { first: 0, last: 13, meaning: "HTTP/2's own codes" },
    Range { first: 14, last: u32::MAX as i64, meaning: "not published: to be taken as INTERNAL_ERROR" },
];

/// Published ranges of the statuses.
pub(super) const STATUS_RANGES: &[Range] = &[
    Range { first: 100, last: 199, meaning: "interim answers" },
    Range { first: 200, last: 299, meaning: "success" },
    Range { first: 300, last: 399, meaning: "redirections" },
    Range { first: 400, last: 499, meaning: "the request is at fault" },
    Range { first: 500, last: 599, meaning: "the server, or a proxy before it, is at fault" },
];

const CALLER: &str = "gRPC libraries map RST_STREAM: NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR and most others to INTERNAL, \
     REFUSED_STREAM to UNAVAILABLE, CANCEL to CANCELLED, ENHANCE_YOUR_CALM to RESOURCE_EXHAUSTED, INADEQUATE_SECURITY to \
     PERMISSION_DENIED";

const fn error(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    let raiser = Raiser::Either;
    Entry { code, name, meaning, raiser, side: Side::Transport, wire: Wire::Sent, caller: CALLER, look }
}

const BUG: &str = "Versions of the two libraries and of what stands between them: one of them is wrong.";

/// Every HTTP/2 error code, in order.
pub(super) const ERROR_CODES: &[Entry] = &[
    Entry {
        side: Side::Success,
        ..error(
            0,
            "NO_ERROR",
            "No error: in GOAWAY a graceful end, in RST_STREAM the rest of the request is not needed.",
            "Whether the answer was whole before it.",
        )
    },
    error(1, "PROTOCOL_ERROR", "The peer broke the protocol.", BUG),
    error(2, "INTERNAL_ERROR", "The sender failed by itself.", "The log of the side that sent it."),
    error(3, "FLOW_CONTROL_ERROR", "The peer sent more than the window allowed.", BUG),
    error(
        4,
        "SETTINGS_TIMEOUT",
        "SETTINGS were not acknowledged in time.",
        "Whether the peer was alive at that time.",
    ),
    error(5, "STREAM_CLOSED", "A frame came for a stream that was half-closed.", BUG),
    error(6, "FRAME_SIZE_ERROR", "A frame had a wrong size.", BUG),
    error(
        7,
        "REFUSED_STREAM",
        "The stream was refused before anything was done: it is safe to try again.",
        "The limit of concurrent streams, and whether the server was shutting down.",
    ),
    error(
        8,
        "CANCEL",
        "The stream is not needed any more: a cancel, or a deadline of the caller.",
        "Which side sent it; the caller's deadline (`grpc-timeout`) against the time that had passed.",
    ),
    error(9, "COMPRESSION_ERROR", "The header table of the connection is broken.", BUG),
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

const HTTP_CALLER: &str = "trpc-go takes a status from 300 on without trpc headers for a business error with the status as \
     its code; gRPC libraries make UNAUTHENTICATED of 401, PERMISSION_DENIED of 403, UNIMPLEMENTED of 404, UNAVAILABLE of 429, \
     502, 503 and 504, UNKNOWN of most others";

const fn status(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire: Wire::Sent, caller: HTTP_CALLER, look }
}

const PROXY: &str = "The proxy or gateway before the server, and whether the server behind it lives.";

/// The HTTP statuses that matter here, in order.
pub(super) const STATUSES: &[Entry] = &[
    Entry {
        side: Side::Either,
        raiser: Raiser::Nobody,
        caller: "success, unless headers of the RPC protocol say otherwise: most errors of tRPC over HTTP come with it",
        ..status(
            200,
            "OK",
            Raiser::Nobody,
            "HTTP worked; how the call went stands in the headers or trailers.",
            "`trpc-ret`, `trpc-func-ret`, `grpc-status`.",
        )
    },
    status(
        400,
        "Bad Request",
        Raiser::Server,
        "The request was not understood; tRPC sends it with code 1 or 51.",
        "The request's body against what the server expects.",
    ),
    status(
        401,
        "Unauthorized",
        Raiser::Server,
        "The caller has no valid credentials; tRPC sends it with code 41.",
        "The request's credentials.",
    ),
    status(
        403,
        "Forbidden",
        Raiser::Between,
        "The caller may not do this.",
        "The rules of the server or of the proxy.",
    ),
    status(
        404,
        "Not Found",
        Raiser::Server,
        "There is nothing at this path; tRPC sends it with code 11 or 12.",
        "The path against the server's version and the proxy's routes.",
    ),
    status(
        405,
        "Method Not Allowed",
        Raiser::Server,
        "The path does not take this HTTP method.",
        "The HTTP method.",
    ),
    status(
        408,
        "Request Timeout",
        Raiser::Server,
        "The request did not come whole in time.",
        "The sender's pace.",
    ),
    status(
        413,
        "Content Too Large",
        Raiser::Between,
        "The request is larger than allowed.",
        "The limits on the way.",
    ),
    status(
        415,
        "Unsupported Media Type",
        Raiser::Server,
        "The content type is not one the server takes.",
        "The request's content type.",
    ),
    status(
        429,
        "Too Many Requests",
        Raiser::Server,
        "A rate limit refused the request; tRPC sends it with code 22.",
        "The limit and who sends so many requests.",
    ),
    status(
        499,
        "Client Closed Request",
        Raiser::Between,
        "A proxy's note that the caller went away.",
        "The caller's timeout.",
    ),
    status(
        500,
        "Internal Server Error",
        Raiser::Server,
        "The server failed; tRPC sends it with code 2, 31 and 999, and without any trpc header for code 24.",
        "trpc headers beside it; without them the time that the caller allowed.",
    ),
    status(502, "Bad Gateway", Raiser::Between, "A proxy got no proper answer from the server.", PROXY),
    status(
        503,
        "Service Unavailable",
        Raiser::Between,
        "The server, or a proxy for it, takes no requests now.",
        PROXY,
    ),
    status(
        504,
        "Gateway Timeout",
        Raiser::Between,
        "A proxy gave up waiting; tRPC sends it with code 21.",
        PROXY,
    ),
];
