//! Types of application exceptions: Apache Thrift's `TApplicationException` (`lib/cpp/src/thrift/TApplicationException.h`), and
//! the two that Kitex adds (`pkg/remote/trans_errors.go`).

use super::{Entry, ErrorKind, Raiser, Range, Wire};

/// The server does not have the method.
pub const UNKNOWN_METHOD: i64 = 1;
/// The server failed while it handled the call.
pub const INTERNAL_ERROR: i64 = 6;
/// The server does not have the service; Kitex only.
pub const UNKNOWN_SERVICE: i64 = 20;

/// The beginning of an error text of Apache Thrift's libraries.
pub const ERROR_TEXT: &str = "TApplicationException";

/// Beginnings of the texts that servers make, with the type that they send with each: generated code of Apache Thrift in each language,
/// Kitex `server/invoke.go`.
const SERVER_TEXTS: [(&str, i64); 5] = [
    ("Unknown function ", UNKNOWN_METHOD),
    ("Invalid method name: '", UNKNOWN_METHOD),
    ("Internal error processing ", INTERNAL_ERROR),
    ("unknown method ", UNKNOWN_METHOD),
    ("unknown service ", UNKNOWN_SERVICE),
];

/// The type with which servers send a text, if there is one.
#[must_use]
pub fn code_of_text(text: &str) -> Option<i64> {
    SERVER_TEXTS.iter().find(|(start, _)| text.starts_with(start)).map(|(_, code)| *code)
}

/// Published ranges of Apache Thrift.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 10, meaning: "Apache Thrift's own types" },
    Range { first: UNKNOWN_SERVICE, last: 21, meaning: "types that Kitex adds" },
    Range {
        first: 11,
        last: i32::MAX as i64,
        meaning: "not published: a handler's or another framework's own number",
    },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published: a handler's own number" },
];

const CALLER: &str = "a TApplicationException with this type and the text as sent";

pub(super) const fn exception(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    let wire = if matches!(raiser, Raiser::Client) { Wire::Never } else { Wire::Sent };
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire, caller: CALLER, look }
}

/// Every type of Apache Thrift, and the two of Kitex, because its peers on other frameworks receive them too; in order.
pub(super) const CODES: &[Entry] = &[
    exception(
        0,
        "UNKNOWN",
        Raiser::ServerOrHandler,
        "An error without a type. Servers of Apache Thrift in C++, Node and Rust send every error of a handler so.",
        "The text, then the server's log.",
    ),
    exception(
        UNKNOWN_METHOD,
        "UNKNOWN_METHOD",
        Raiser::Server,
        "The server does not have the method.",
        "The method name against the server's version of the IDL; or the call went to the wrong server.",
    ),
    exception(
        2,
        "INVALID_MESSAGE_TYPE",
        Raiser::Either,
        "A message had a type that is not allowed here.",
        "The first bytes of the message: whether it is thrift in the right protocol.",
    ),
    exception(
        3,
        "WRONG_METHOD_NAME",
        Raiser::Client,
        "The answer names another method than the request.",
        "Answers that came out of order on this connection.",
    ),
    exception(
        4,
        "BAD_SEQUENCE_ID",
        Raiser::Client,
        "The answer has another sequence id than the request.",
        "Answers to earlier calls on this connection that had timed out; some servers send ids of their own.",
    ),
    exception(
        5,
        "MISSING_RESULT",
        Raiser::Either,
        "The answer's result struct is empty although the method returns something.",
        "The handler: it returned nil; or the transport cannot carry a business error, so it was lost.",
    ),
    exception(
        INTERNAL_ERROR,
        "INTERNAL_ERROR",
        Raiser::ServerOrHandler,
        "The server failed while it handled the call; most handlers' plain errors arrive as this.",
        "The text, then the handler and the server's log.",
    ),
    exception(
        7,
        "PROTOCOL_ERROR",
        Raiser::Either,
        "A message could not be decoded: at the server the request, at the caller the answer. Only the server's is sent.",
        "That both sides use the same IDL, protocol and transport.",
    ),
    exception(
        8,
        "INVALID_TRANSFORM",
        Raiser::Either,
        "The message's header names a transform (compression) that the peer does not know.",
        "The transforms that both sides are configured with.",
    ),
    exception(
        9,
        "INVALID_PROTOCOL",
        Raiser::Either,
        "The message's header names a protocol that the peer does not know.",
        "The protocol that both sides are configured with.",
    ),
    exception(
        10,
        "UNSUPPORTED_CLIENT_TYPE",
        Raiser::Server,
        "The server does not accept this kind of client (framed, unframed, header).",
        "The transport that the client is configured with.",
    ),
    exception(
        UNKNOWN_SERVICE,
        "UNKNOWN_SERVICE",
        Raiser::Server,
        "The server does not have the service that the request names.",
        "The IDL service (`isn`) in the request's header, and whether the call went to the right server.",
    ),
    exception(
        21,
        "NO_SERVICE_NAME",
        Raiser::Server,
        "The server has several services and the request does not name one.",
        "The client's Kitex version and its transport: only TTHeader carries the service name.",
    ),
];
