//! gRPC status codes (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).

use super::{Entry, Raiser, Range, Side, Wire};

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 16, meaning: "gRPC's own codes" },
    Range {
        first: 17,
        last: i32::MAX as i64,
        meaning: "not published: some application's own number, which gRPC libraries read as UNKNOWN; or 20 from a Kitex \
                  server that has no such service (text `unknown service …`)",
    },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published" },
];

const CALLER: &str = "a status with this code: grpc-go `rpc error: code = NAME desc = TEXT`, Kitex the number in place of \
     the name";

const fn library(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    let raiser = Raiser::ServerOrHandler;
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire: Wire::Sent, caller: CALLER, look }
}

/// Codes that the libraries never make by themselves.
const fn handler(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry { raiser: Raiser::Handler, side: Side::Business, ..library(code, name, meaning, look) }
}

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        raiser: Raiser::Nobody,
        side: Side::Success,
        ..library(0, "OK", "The call succeeded.", "Nothing, unless a biz-status came with it.")
    },
    library(
        1,
        "CANCELLED",
        "The call was cancelled, as a rule by the caller; the caller's library raises it by itself and \
        sends RST_STREAM CANCEL.",
        "Who sent RST_STREAM, and why the caller cancelled.",
    ),
    library(
        2,
        "UNKNOWN",
        "An error without a code: the handler returned a plain error, or the answer had none.",
        "The text, then the handler, which should return a status of its own.",
    ),
    handler(
        3,
        "INVALID_ARGUMENT",
        "The request's content is wrong, whatever the state of the server.",
        "What the caller fills in.",
    ),
    library(
        4,
        "DEADLINE_EXCEEDED",
        "The time ran out. Mostly raised by the caller's library, which then sends RST_STREAM \
        CANCEL; some servers answer with it.",
        "`grpc-timeout` of the request against the server's latency.",
    ),
    handler(5, "NOT_FOUND", "What was asked for does not exist.", "What the caller asks for."),
    handler(6, "ALREADY_EXISTS", "What was to be created exists.", "Retries of a call that had worked."),
    library(
        7,
        "PERMISSION_DENIED",
        "The caller may not do this.",
        "The caller's rights, and the server's rules.",
    ),
    library(
        8,
        "RESOURCE_EXHAUSTED",
        "A limit was reached: a quota, a rate, or the size of a message.",
        "The text: a message larger than the limit is named there; then the server's quotas.",
    ),
    handler(
        9,
        "FAILED_PRECONDITION",
        "The state of the system does not allow it.",
        "The state that the text names.",
    ),
    handler(
        10,
        "ABORTED",
        "A conflict with another call at the same time.",
        "Calls on the same object at this time.",
    ),
    handler(11, "OUT_OF_RANGE", "The request goes beyond what is there.", "What the caller asks for."),
    library(
        12,
        "UNIMPLEMENTED",
        "The server does not have the method, or does not know the compression.",
        "The path against the server's version; or the call went to the wrong server.",
    ),
    library(
        13,
        "INTERNAL",
        "An invariant is broken, or a message could not be read. Kitex sends every plain handler error \
        and every business error without a status as this.",
        "A `biz-status` beside it, then the text and the server's log.",
    ),
    library(
        14,
        "UNAVAILABLE",
        "The server can't be reached or is shutting down. Mostly raised by the caller's library.",
        "How the connection ended: GOAWAY, RST, refused.",
    ),
    handler(15, "DATA_LOSS", "Data is lost or damaged beyond repair.", "The server's storage."),
    library(16, "UNAUTHENTICATED", "The caller has no valid credentials.", "The request's credentials."),
];
