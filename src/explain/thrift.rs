//! Types of application exceptions: Apache Thrift's `TApplicationException`, and Kitex (`pkg/remote/trans_errors.go`),
//! which adds two.

use super::{Entry, Raiser, Range, Side, Wire};

/// Published ranges of Apache Thrift.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 10, meaning: "Apache Thrift's own types" },
    Range { first: 20, last: 21, meaning: "types that Kitex adds" },
    Range {
        first: 11,
        last: i32::MAX as i64,
        meaning: "not published: a handler's or another framework's own number",
    },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published: a handler's own number" },
];

/// Published ranges of Kitex.
pub(super) const KITEX_RANGES: &[Range] = &[
    Range { first: 0, last: 21, meaning: "thrift's types (0 to 10) and Kitex's own (20, 21)" },
    Range { first: 22, last: i32::MAX as i64, meaning: "not published: a handler may send any number" },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published: a handler may send any number" },
];

const THRIFT: &str = "a TApplicationException with this type and the text as sent";
const KITEX: &str =
    "Kitex: `remote or network error[remote]: TEXT`; the number is kept in the error's type only";

const fn thrift(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    let wire = if matches!(raiser, Raiser::Client) { Wire::Never } else { Wire::Sent };
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire, caller: THRIFT, look }
}

const fn kitex(entry: Entry) -> Entry {
    Entry { caller: KITEX, ..entry }
}

const UNKNOWN: Entry =
    thrift(0, "UNKNOWN", Raiser::Server, "An error without a type.", "The text, then the server's log.");
const UNKNOWN_METHOD: Entry = thrift(
    1,
    "UNKNOWN_METHOD",
    Raiser::Server,
    "The server does not have the method.",
    "The method name against the server's version of the IDL; or the call went to the wrong server.",
);
const INVALID_MESSAGE_TYPE: Entry = thrift(
    2,
    "INVALID_MESSAGE_TYPE",
    Raiser::Either,
    "A message was of a type that may not come here.",
    "The first bytes of the message: is it thrift of the right protocol.",
);
const WRONG_METHOD_NAME: Entry = thrift(
    3,
    "WRONG_METHOD_NAME",
    Raiser::Client,
    "The answer names another method than the request.",
    "Answers that came out of order on this connection.",
);
const BAD_SEQUENCE_ID: Entry = thrift(
    4,
    "BAD_SEQUENCE_ID",
    Raiser::Client,
    "The answer has another sequence id than the request.",
    "Answers of calls that had timed out before on this connection; some servers send ids of their own.",
);
const MISSING_RESULT: Entry = thrift(
    5,
    "MISSING_RESULT",
    Raiser::Either,
    "The answer's result struct is empty although the method returns something.",
    "The handler: it returned nil; or a business error was lost on a transport that cannot carry it.",
);
const INTERNAL_ERROR: Entry = thrift(
    6,
    "INTERNAL_ERROR",
    Raiser::ServerOrHandler,
    "The server failed while it handled the call; most handlers' plain errors come as this.",
    "The text, then the handler and the server's log.",
);
const PROTOCOL_ERROR: Entry = thrift(
    7,
    "PROTOCOL_ERROR",
    Raiser::Server,
    "The request could not be decoded.",
    "That both sides use the same IDL, protocol and transport.",
);
const INVALID_TRANSFORM: Entry = thrift(
    8,
    "INVALID_TRANSFORM",
    Raiser::Either,
    "The message's header names a transform (compression) that the peer does not know.",
    "The transforms that the two sides are set to.",
);
const INVALID_PROTOCOL: Entry = thrift(
    9,
    "INVALID_PROTOCOL",
    Raiser::Either,
    "The message's header names a protocol that the peer does not know.",
    "The protocol that the two sides are set to.",
);
const UNSUPPORTED_CLIENT_TYPE: Entry = thrift(
    10,
    "UNSUPPORTED_CLIENT_TYPE",
    Raiser::Server,
    "The server does not take this kind of client (framed, unframed, header).",
    "The transport that the client is set to.",
);

const UNKNOWN_SERVICE: Entry = thrift(
    20,
    "UNKNOWN_SERVICE",
    Raiser::Server,
    "The server does not have the service that the request names.",
    "The IDL service (`isn`) in the request's header, and whether the call went to the right server.",
);
const NO_SERVICE_NAME: Entry = thrift(
    21,
    "NO_SERVICE_NAME",
    Raiser::Server,
    "The server has several services and the request does not name one.",
    "The client's Kitex version and its transport: only TTHeader carries the service name.",
);

/// Every type of Apache Thrift, and the two of Kitex, which its peers on other frameworks meet too; in order.
pub(super) const CODES: &[Entry] = &[
    UNKNOWN,
    UNKNOWN_METHOD,
    INVALID_MESSAGE_TYPE,
    WRONG_METHOD_NAME,
    BAD_SEQUENCE_ID,
    MISSING_RESULT,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    INVALID_TRANSFORM,
    INVALID_PROTOCOL,
    UNSUPPORTED_CLIENT_TYPE,
    UNKNOWN_SERVICE,
    NO_SERVICE_NAME,
];

/// Every type of Kitex, in order.
pub(super) const KITEX_CODES: &[Entry] = &[
    kitex(UNKNOWN),
    kitex(UNKNOWN_METHOD),
    kitex(INVALID_MESSAGE_TYPE),
    kitex(WRONG_METHOD_NAME),
    kitex(BAD_SEQUENCE_ID),
    kitex(MISSING_RESULT),
    Entry {
        side: Side::Either,
        meaning: "The server failed while it handled the call. The text tells more: `biz error: …` is a plain error that \
             the handler returned, `panic: …` a panic in it, `request over limit` the limiter, `request forbidden` the ACL.",
        look: "The text after the prefixes: each `remote or network error[remote]:` is one hop further down. A handler's \
             business error should be a BizStatusError, which callers can tell from a failure.",
        ..kitex(INTERNAL_ERROR)
    },
    kitex(PROTOCOL_ERROR),
    kitex(INVALID_TRANSFORM),
    kitex(INVALID_PROTOCOL),
    kitex(UNSUPPORTED_CLIENT_TYPE),
    kitex(UNKNOWN_SERVICE),
    kitex(NO_SERVICE_NAME),
    Entry {
        wire: Wire::Never,
        raiser: Raiser::Client,
        ..kitex(thrift(
            119,
            "REMOTE_OR_NETWORK_ERROR",
            Raiser::Client,
            "A remote or network error as Kitex callers before v0.2.0 numbered it.",
            "The text; then the same call in the capture, and an upgrade of the caller.",
        ))
    },
];
