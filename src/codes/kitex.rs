//! Exception types as Kitex uses them (`pkg/remote/trans_errors.go`), and the words of its error texts. Kitex's errors of the
//! caller have no numbers: their words (`pkg/kerrors/kerrors.go`) are all there is.

use super::thrift::{self, INTERNAL_ERROR, UNKNOWN_METHOD, UNKNOWN_SERVICE};
use super::{Entry, ErrorKind, Raiser, Range, Wire};

/// What the caller puts before a failure that came from the other side or from the network (`ErrRemoteOrNetwork`).
pub const REMOTE_ERROR: &str = "remote or network error";

/// The beginning of the caller's text after its time-out (`ErrRPCTimeout`; `client/rpctimeout.go` adds the fields).
pub const RPC_TIMEOUT: &str = "rpc timeout";

/// The same with the first of the fields.
pub const RPC_TIMEOUT_FIELDS: &str = "rpc timeout: timeout=";

/// How the client words a gRPC status of a unary call: [`REMOTE_ERROR`] and [`super::grpc::ERROR_TEXT`] of one and the same hop.
pub const REMOTE_GRPC_ERROR: &str = "remote or network error: rpc error: code = ";

/// What the server puts before the text of a handler's plain error (`ErrBiz`).
pub const PLAIN_ERROR: &str = "biz error: ";

/// The beginning of the caller's text of a business status (`pkg/kerrors/bizerrors.go`): `biz error: code=404, msg=…`.
pub const BIZ_STATUS: &str = "biz error: code=";

/// What the server appends to the text of an error that a handler returned with a number of its own
/// (`pkg/remote/trans/nphttp2/codes.go`, `server/invoke.go`).
pub const SUFFIX: &str = "[biz error]";

/// The beginning of the text of a service that the server does not have (`pkg/remote/trans/nphttp2/server_handler.go`).
pub(super) const UNKNOWN_SERVICE_TEXT: &str = "unknown service ";

/// The same of a method.
pub(super) const UNKNOWN_METHOD_TEXT: &str = "unknown method ";

/// Beginnings of the texts that Kitex's server makes, with the exception type that it sends with each (`server/invoke.go`,
/// `pkg/remote/trans_errors.go`).
const SERVER_TEXTS: [(&str, i64); 6] = [
    (PLAIN_ERROR, INTERNAL_ERROR),
    ("panic: [happened in ", INTERNAL_ERROR),
    ("request over limit", INTERNAL_ERROR),
    ("request forbidden", INTERNAL_ERROR),
    (UNKNOWN_METHOD_TEXT, UNKNOWN_METHOD),
    (UNKNOWN_SERVICE_TEXT, UNKNOWN_SERVICE),
];

/// Whether the text is a handler's own error that Kitex sent as a failure of the framework.
#[must_use]
pub fn is_handler_error(text: &[u8]) -> bool {
    text.starts_with(PLAIN_ERROR.as_bytes()) || has_suffix(text)
}

/// Whether a text that came as a gRPC status most likely is a failure of the framework, whatever its number. The server has no
/// such service or method, which Kitex and grpc-go word alike and number differently. Or a handler has passed on the error of
/// a call of Kitex as it was: it gave no status then, and its library sends UNKNOWN or INTERNAL.
#[must_use]
pub fn is_rpc_failure(text: &str) -> bool {
    [UNKNOWN_SERVICE_TEXT, UNKNOWN_METHOD_TEXT, PLAIN_ERROR, REMOTE_ERROR]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether the server marked the text as a handler's error with a number of its own.
#[must_use]
pub fn has_suffix(text: &[u8]) -> bool {
    text.ends_with(SUFFIX.as_bytes())
}

/// Whether a server of Kitex made the text, so that its caller most likely uses Kitex too.
#[must_use]
pub fn is_server_text(text: &str) -> bool {
    has_suffix(text.as_bytes()) || SERVER_TEXTS.iter().any(|(words, _)| text.starts_with(words))
}

/// The exception type of a text that came from a Kitex server.
#[must_use]
pub fn exception_type(text: &str) -> Option<i64> {
    let known = SERVER_TEXTS.iter().find(|(words, _)| text.starts_with(words)).map(|(_, code)| *code);
    // Other panics than the handler's lack the brackets. Elsewhere the word alone proves nothing.
    known.or_else(|| text.starts_with("panic: ").then_some(INTERNAL_ERROR))
}

/// The errors that Kitex raises at the caller, by their words (`pkg/kerrors/kerrors.go`), each with its meaning.
pub const CALLER_ERRORS: &[(&str, &str)] = &[
    ("internal exception", "Kitex itself failed at this side; the words after it say how."),
    ("service discovery error", "No address of the service was found: look at the registry."),
    (
        "get connection error",
        "No connection was available: it was refused or timed out, or the pool is empty. Nothing of the call is on the wire.",
    ),
    ("loadbalance error", "The load balancer had no instance to choose from."),
    ("no more instances to retry", "Every instance was tried; the words after it are the last failure."),
    (
        RPC_TIMEOUT,
        "The caller waited for its timeout and gave up. On the wire its FIN comes first, and the answer is late or missing.",
    ),
    (
        "canceled by business",
        "The calling code cancelled. On the wire the caller's FIN comes first, and the answer is late or missing.",
    ),
    (
        "timeout by business",
        "The deadline of the calling code's context passed before the configured time-out did. On the wire the caller's FIN comes first.",
    ),
    (
        "payload validation error",
        "The checksum does not fit the payload: something changed it on the way, or one side computes it otherwise.",
    ),
    (
        "request forbidden",
        "An access rule refused the call, at this side or (after `[remote]`) at the callee.",
    ),
    ("forbidden by circuitbreaker", "The caller's circuit breaker is open: nothing is on the wire."),
    ("request over limit", "A limit on connections or requests refused the call, usually at the callee."),
    ("retry error", "Retrying failed; the words after it say why."),
    ("rpc call finished", "A retry was abandoned because another attempt had finished."),
    ("rpc route failed", "The caller's router failed."),
    ("panic", "The handler panicked; the callee's log has the stack."),
];

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 21, meaning: "thrift's types (0 to 10) and Kitex's own (20, 21)" },
    Range { first: 22, last: i32::MAX as i64, meaning: "not published: a handler may send any number" },
    Range { first: i32::MIN as i64, last: -1, meaning: "not published: a handler may send any number" },
];

const CALLER: &str = "Kitex: `remote or network error[remote]: TEXT`; only the error's type keeps the number";

/// The type of that number in thrift's table, which Kitex shares.
const fn shared(code: i64) -> Entry {
    let mut at = 0;
    while thrift::CODES[at].code != code {
        at += 1;
    }
    Entry { caller: CALLER, ..thrift::CODES[at] }
}

/// Every type of Kitex, in order.
pub(super) const CODES: &[Entry] = &[
    shared(0),
    shared(UNKNOWN_METHOD),
    shared(2),
    shared(3),
    shared(4),
    shared(5),
    Entry {
        kind: ErrorKind::Ambiguous,
        meaning: "The server failed while it handled the call. The text shows how: `biz error: …` is a plain error that \
             the handler returned, `panic: …` a panic in it, `request over limit` the limiter, `request forbidden` the ACL.",
        look: "The text after the prefixes: each `remote or network error[remote]:` is one hop further down. A handler's \
             business error should be a BizStatusError, which callers can distinguish from a failure.",
        ..shared(INTERNAL_ERROR)
    },
    shared(7),
    shared(8),
    shared(9),
    shared(10),
    shared(UNKNOWN_SERVICE),
    shared(21),
    Entry {
        wire: Wire::Never,
        caller: CALLER,
        ..thrift::exception(
            119,
            "REMOTE_OR_NETWORK_ERROR",
            Raiser::Client,
            "A remote or network error as Kitex callers before v0.2.0 numbered it.",
            "The text; then the same call in the capture, and an upgrade of the caller.",
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_server_are_recognised() {
        assert!(is_handler_error(b"biz error: down") && is_handler_error(b"torn [biz error]"));
        assert!(!is_handler_error(b"no biz error"));
        assert!(is_server_text("unknown method x (service y)") && !is_server_text("panic: at the disco"));
        assert_eq!(exception_type("panic: at the disco"), Some(INTERNAL_ERROR));
        assert_eq!(exception_type("unknown service x, method y"), Some(UNKNOWN_SERVICE));
        assert_eq!(exception_type("out of stock"), None);
        assert!(
            BIZ_STATUS.starts_with(PLAIN_ERROR),
            "a business status is worded as a handler's error first"
        );
    }
}
