//! The HTTP statuses that RPC over HTTP meets (RFC 9110, section 15).

use super::{Entry, ErrorKind, Raiser, Range, Wire};

/// Published ranges of the statuses.
pub(super) const RANGES: &[Range] = &[
    Range { first: 100, last: 199, meaning: "interim answers" },
    Range { first: 200, last: 299, meaning: "success" },
    Range { first: 300, last: 399, meaning: "redirections" },
    Range { first: 400, last: 499, meaning: "the request is at fault" },
    Range { first: 500, last: 599, meaning: "the server, or a proxy in front of it, is at fault" },
];

const CALLER: &str = "trpc-go takes a status from 300 on without trpc headers for a business error with the status as \
     its code; gRPC libraries turn 401 into UNAUTHENTICATED, 403 into PERMISSION_DENIED, 404 into UNIMPLEMENTED, 429, 502, 503 \
     and 504 into UNAVAILABLE, most others into UNKNOWN";

const fn status(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire: Wire::Sent, caller: CALLER, look }
}

const PROXY: &str = "The proxy or gateway in front of the server, and whether the server behind it is alive.";

/// The HTTP statuses that matter here, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        kind: ErrorKind::Ambiguous,
        raiser: Raiser::Nobody,
        caller: "success, unless headers of the RPC protocol say otherwise: most errors of tRPC over HTTP come with it",
        ..status(
            200,
            "OK",
            Raiser::Nobody,
            "HTTP succeeded; the headers or trailers hold the status of the call.",
            "`trpc-ret`, `trpc-func-ret`, `grpc-status`.",
        )
    },
    status(
        400,
        "Bad Request",
        Raiser::Server,
        "The server did not understand the request; tRPC sends it with code 1 or 51.",
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
        "Nothing exists at this path; tRPC sends it with code 11 or 12.",
        "The path against the server's version and the proxy's routes.",
    ),
    status(
        405,
        "Method Not Allowed",
        Raiser::Server,
        "The path does not accept this HTTP method.",
        "The HTTP method.",
    ),
    status(
        408,
        "Request Timeout",
        Raiser::Server,
        "The request was not complete in time.",
        "How fast the caller sends.",
    ),
    status(
        413,
        "Content Too Large",
        Raiser::Between,
        "The request is larger than allowed.",
        "The limits of the server and of proxies on the way.",
    ),
    status(
        415,
        "Unsupported Media Type",
        Raiser::Server,
        "The server does not accept the content type.",
        "The request's content type.",
    ),
    status(
        429,
        "Too Many Requests",
        Raiser::Server,
        "A rate limit refused the request; tRPC sends it with code 22.",
        "The limit, and which callers send the most requests.",
    ),
    status(
        499,
        "Client Closed Request",
        Raiser::Between,
        "A proxy noted that the caller went away.",
        "The caller's timeout.",
    ),
    status(
        500,
        "Internal Server Error",
        Raiser::Server,
        "The server failed; tRPC sends it with code 2, 31 and 999, and without any trpc header for code 24.",
        "The trpc headers beside it; without them, the time that the caller allowed.",
    ),
    status(502, "Bad Gateway", Raiser::Between, "A proxy got no valid answer from the server.", PROXY),
    status(
        503,
        "Service Unavailable",
        Raiser::Between,
        "The server, or a proxy in front of it, accepts no requests now.",
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
