//! gRPC status codes (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).

use std::borrow::Cow;

use super::library_made::library_made;
use super::{Entry, ErrorKind, Family, Raiser, Range, Wire};

/// The call was cancelled.
pub const CANCELLED: i64 = 1;
/// An error without a code of its own.
pub const UNKNOWN: i64 = 2;
/// The time ran out.
pub const DEADLINE_EXCEEDED: i64 = 4;
/// The server does not have the method.
pub const UNIMPLEMENTED: i64 = 12;
/// Something is broken; Kitex also sends business statuses with it (`pkg/remote/trans/nphttp2`).
pub const INTERNAL: i64 = 13;
/// The server can't be reached.
pub const UNAVAILABLE: i64 = 14;

/// The highest published code.
const LAST: i64 = 16;

/// The beginning of an error text of grpc-go and Kitex (`internal/status/status.go`): `rpc error: code = NAME desc = TEXT`.
pub const ERROR_TEXT: &str = "rpc error: code = ";

/// Other protocols with these codes, by their names in the call record.
pub(super) const SAME_CODES: [&str; 3] = ["connect", "grpc-web", "triple"];

/// The standard name of a code that Connect calls `name`: its names are the standard ones in lower case, but for one.
pub(super) fn standard_name(name: &str) -> &str {
    if name.eq_ignore_ascii_case("canceled") { "CANCELLED" } else { name }
}

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: LAST, meaning: "gRPC's own codes" },
    Range {
        first: LAST + 1,
        last: i32::MAX as i64,
        meaning: "not published: an application's own number, which gRPC libraries read as UNKNOWN; or 20 from a Kitex \
                  server that has no such service (text `unknown service …`)",
    },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published" },
];

/// Whether only handlers should return this status: the specification keeps libraries from some of the published codes, and
/// publishes none above them.
#[must_use]
pub fn is_for_handlers(code: i64) -> bool {
    super::entry(Family::Grpc, code).map_or(code > LAST, |entry| entry.kind == ErrorKind::Business)
}

/// What is known of a status with that text: a library may have made it in another sense than that of the table.
#[must_use]
pub fn entry(code: i64, text: &[u8]) -> Option<&'static Entry> {
    library_made(code, text).map(|made| &made.entry).or_else(|| super::entry(Family::Grpc, code))
}

/// Texts that a server's library sends with one status only: how they begin and end, and the status. A handler may send the
/// same text, or pass it on, so it is evidence and no proof.
const SERVER_TEXTS: [(&str, &str, i64); 10] = [
    // grpc-java `ServerImpl`; grpc-js `server.ts`; stubs of grpc-java and protoc-gen-go-grpc for what is not implemented.
    ("Method not found: ", "", UNIMPLEMENTED),
    ("The server does not implement the method ", "", UNIMPLEMENTED),
    ("Method ", " is unimplemented", UNIMPLEMENTED),
    ("method ", " not implemented", UNIMPLEMENTED),
    // grpcio `_server.py`, and its generated stubs.
    ("Method not found!", "", UNIMPLEMENTED),
    ("Method not implemented!", "", UNIMPLEMENTED),
    ("Exception calling application: ", "", UNKNOWN),
    ("Exception iterating responses: ", "", UNKNOWN),
    ("Exception deserializing request!", "", INTERNAL),
    ("Failed to serialize response!", "", INTERNAL),
];

/// The status with which libraries send a text, if there is one.
#[must_use]
pub fn code_of_text(text: &str) -> Option<i64> {
    let found = SERVER_TEXTS.iter().find(|(start, end, _)| text.starts_with(start) && text.ends_with(end));
    found.map(|(.., code)| *code)
}

/// The names that grpc-go prints (`codes/code_string.go`), by code.
const GO_NAMES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The name that grpc-go prints for a code.
#[must_use]
pub fn go_name(code: i64) -> Cow<'static, str> {
    let name = usize::try_from(code).ok().and_then(|code| GO_NAMES.get(code));
    name.map_or_else(|| Cow::Owned(format!("Code({code})")), |name| Cow::Borrowed(*name))
}

/// The code that grpc-go prints as this name, or Kitex as this number.
#[must_use]
pub fn from_go_name(name: &str) -> Option<i64> {
    let number = name.strip_prefix("Code(").and_then(|code| code.strip_suffix(')')).unwrap_or(name);
    let by_name = || GO_NAMES.iter().position(|known| *known == name).map(|code| code as i64);
    number.parse().ok().or_else(by_name)
}

pub(super) const CALLER: &str = "a status with this code: grpc-go `rpc error: code = NAME desc = TEXT`, Kitex the number in place of \
     the name";

/// A code that the libraries of both sides raise, and handlers may return too.
const fn library(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    let (raiser, wire) = (Raiser::Anyone, Wire::SentByServer);
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire, caller: CALLER, look }
}

/// A code that no library raises.
const fn handler(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    let (raiser, kind, wire) = (Raiser::Handler, ErrorKind::Business, Wire::Sent);
    Entry { raiser, kind, wire, ..library(code, name, meaning, look) }
}

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        raiser: Raiser::Nobody,
        kind: ErrorKind::Success,
        wire: Wire::Sent,
        ..library(0, "OK", "The call succeeded.", "Nothing, unless a biz-status came with it.")
    },
    library(
        CANCELLED,
        "CANCELLED",
        "The call was cancelled, usually by the caller; the caller's library then raises this code itself and \
        sends RST_STREAM CANCEL.",
        "Who sent RST_STREAM, and why the caller cancelled.",
    ),
    library(
        UNKNOWN,
        "UNKNOWN",
        "An error without a code: the handler returned a plain error, or the answer had no status.",
        "The text, then the handler, which should return a status of its own.",
    ),
    handler(
        3,
        "INVALID_ARGUMENT",
        "The request's content is invalid, whatever the state of the server.",
        "What the caller fills in.",
    ),
    library(
        DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
        "The deadline passed. Mostly raised by the caller's library, which then sends RST_STREAM \
        CANCEL; some servers answer with it.",
        "`grpc-timeout` of the request against the server's latency.",
    ),
    handler(5, "NOT_FOUND", "What was asked for does not exist.", "What the caller asks for."),
    handler(
        6,
        "ALREADY_EXISTS",
        "What the request creates already exists.",
        "Retries of a call that had already succeeded.",
    ),
    library(
        7,
        "PERMISSION_DENIED",
        "The caller may not do this.",
        "The caller's rights, and the server's rules.",
    ),
    library(
        8,
        "RESOURCE_EXHAUSTED",
        "A limit was reached: a quota, a rate, or the maximum size of a message.",
        "The text, which mentions a message larger than the limit; then the server's quotas.",
    ),
    handler(
        9,
        "FAILED_PRECONDITION",
        "The state of the system does not allow the operation.",
        "The state that the text names.",
    ),
    handler(
        10,
        "ABORTED",
        "A conflict with another call at the same time.",
        "Calls on the same object at this time.",
    ),
    handler(11, "OUT_OF_RANGE", "The request goes beyond the valid range.", "What the caller asks for."),
    library(
        UNIMPLEMENTED,
        "UNIMPLEMENTED",
        "The server does not have the method, or does not support the compression.",
        "The path against the server's version; or the call went to the wrong server.",
    ),
    library(
        INTERNAL,
        "INTERNAL",
        "An invariant is broken, or a message could not be read. Kitex sends every plain handler error \
        and every business error without a status with this code.",
        "A `biz-status` beside it, then the text and the server's log.",
    ),
    library(
        UNAVAILABLE,
        "UNAVAILABLE",
        "The server can't be reached, is shutting down, or says that something it needs can't be reached.",
        "How the connection ended: by GOAWAY or RST, or refused.",
    ),
    handler(15, "DATA_LOSS", "Data is lost or damaged beyond repair.", "The server's storage."),
    library(16, "UNAUTHENTICATED", "The caller has no valid credentials.", "The request's credentials."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handlers_return_the_codes_that_no_library_raises() {
        let business: Vec<i64> = (0..=LAST).filter(|code| is_for_handlers(*code)).collect();
        assert_eq!(business, [3, 5, 6, 9, 10, 11, 15]);
        assert!(is_for_handlers(20) && !is_for_handlers(-1));
    }

    #[test]
    fn the_text_of_a_status_may_give_it_another_meaning() {
        let name = |code, text: &str| entry(code, text.as_bytes()).map(|entry| entry.name);
        assert_eq!(name(1, "context canceled"), Some("CANCELLED"));
        assert_eq!(name(1, "unknown method Nope"), Some("UNKNOWN_METHOD"));
        assert_eq!((name(20, "no stock"), name(20, "unknown service a.S")), (None, Some("UNKNOWN_SERVICE")));
    }

    #[test]
    fn names_of_grpc_go_are_read_as_they_are_printed() {
        for code in 0..=LAST + 1 {
            assert_eq!(from_go_name(&go_name(code)), Some(code));
        }
        assert_eq!((from_go_name("13"), from_go_name("Nonsense")), (Some(13), None));
    }
}
