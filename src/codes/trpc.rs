//! Codes of tRPC: `TrpcRetCode` of `trpc.proto`, and how trpc-go (`errs/errs.go`, `codec.go`) and trpc-java (`ErrorCode`) use
//! them. Names are those of the constants without their common prefix `TRPC_`.

use std::ops::RangeInclusive;

use super::{Entry, ErrorKind, Family, Raiser, Range, Wire};

/// The published range of the codes that a framework raises as a client. In an answer, such a code means that the callee
/// forwards the failure of a call of its own.
pub const CLIENT_CODES: RangeInclusive<i64> = 101..=200;

/// The first code that the conventions leave to users; those below are reserved.
pub const FIRST_USER_CODE: i64 = 10_000;

/// The code of an error without one of its own (trpc-go `errs.RetUnknown`).
pub const UNKNOWN: i64 = 999;

/// The highest code of `TrpcRetCode`. What trpc-java adds above it lies in no published range.
const LAST_OF_PROTO: i64 = 1000;

/// The client could not connect.
pub const CLIENT_CONNECT: i64 = 111;
/// The client's own time-out passed.
pub const CLIENT_TIMEOUT: i64 = 101;
/// The time that the caller's caller allowed passed.
pub const CLIENT_FULL_LINK_TIMEOUT: i64 = 102;
/// The answer could not be decoded.
pub const CLIENT_DECODE: i64 = 122;
/// The connection broke.
pub const CLIENT_NETWORK: i64 = 141;
/// The fields of the answer are not valid.
pub const CLIENT_VALIDATE: i64 = 151;
/// The calling code cancelled.
pub const CLIENT_CANCELED: i64 = 161;
/// The connection broke, as another network stack of trpc-go reports it.
pub const CLIENT_READ_FRAME: i64 = 171;
/// trpc-go's client reports every failed stream with this code and keeps the server's code in its cause (`stream/client.go`).
pub const STREAM_CLIENT_READ_END: i64 = 351;

/// The beginning of any error text of trpc-go: `type:framework, code:101, msg:…` (`errs/errs.go`, `Error.Error`).
pub const ERROR_TEXT: &str = "type:";

/// The type in an error text of trpc-go if its own framework failed (type 1).
pub const FRAMEWORK: &str = "framework";
/// The type if the callee's business logic refused (type 2).
pub const BUSINESS: &str = "business";
/// The type if the callee's framework failed (type 3).
pub const CALLEE_FRAMEWORK: &str = "callee framework";

/// What trpc-go's client appends to some of its texts, with a duration (`client/client.go`): it differs in every call.
pub const COST: &str = "cost:";

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[
    Range {
        first: 0,
        last: *CLIENT_CODES.start() - 1,
        meaning: "the framework at the server (0 is success)",
    },
    Range { first: *CLIENT_CODES.start(), last: *CLIENT_CODES.end(), meaning: "the framework at the client" },
    Range { first: *CLIENT_CODES.end() + 1, last: 400, meaning: "the framework's streams" },
    Range { first: UNKNOWN, last: LAST_OF_PROTO, meaning: "the framework, for errors without a code" },
    Range { first: 401, last: FIRST_USER_CODE - 1, meaning: UNASSIGNED },
    Range { first: FIRST_USER_CODE, last: i32::MAX as i64, meaning: "users' own codes" },
    Range { first: i32::MIN as i64, last: -1, meaning: UNASSIGNED },
];

const UNASSIGNED: &str = "not assigned: users' own codes begin at 10000";

/// Whether a code is in the framework's own table (`TrpcRetCode`), 0 included. The codes that trpc-java adds do not count:
/// they lie in no published range, so a user may have assigned the same numbers.
#[must_use]
pub fn is_framework_code(code: i64) -> bool {
    code <= LAST_OF_PROTO && super::entry(Family::Trpc, code).is_some()
}

/// Whether a handler should not use the code: the conventions reserve it for frameworks. [`UNKNOWN`] is not a choice of the
/// handler, and not counted.
#[must_use]
pub fn is_reserved(code: i64) -> bool {
    (0..FIRST_USER_CODE).contains(&code) && code != UNKNOWN
}

/// How far the call came whose client raised a code, as far as the code and its text say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was never sent, so that no capture can have it.
    Unsent,
    /// It may have been sent; its client did not wait for the answer.
    GivenUp,
    /// It may have been sent; its connection broke.
    Broken,
    /// It was answered; its client could not use the answer.
    Answered,
}

/// What trpc-go writes in the text of a code that usually means a sent call, if it had sent nothing: `client/client.go`
/// (`selectNode`), `transport/client_transport_{tcp,udp}.go`, `transport/tnet`, `http/transport.go`, `pool/connpool/pool.go`.
/// `dial tcp` is how Go's `net` package words that it could not connect.
const BEFORE_SENDING: [&str; 12] = [
    "before tcp dial",
    "after tcp dial",
    "before Write",
    "canceled after Select",
    "timeout after Select",
    "get multiplex connection failed",
    "client dial tls fail",
    "client dial tnet tls fail",
    "udp client transport Dial",
    "client transport NewRequest",
    "client json marshal metadata fail",
    ": dial tcp",
];

/// How far the call came whose client raised the code. `None` if clients do not raise it.
#[must_use]
pub fn progress(code: i64, text: Option<&str>) -> Option<Progress> {
    if !CLIENT_CODES.contains(&code) {
        return None;
    }
    let is_unsent = super::entry(Family::Trpc, code).is_some_and(|entry| entry.wire == Wire::Unsent);
    let says_so = || text.is_some_and(|text| BEFORE_SENDING.iter().any(|words| text.contains(words)));
    Some(match code {
        _ if is_unsent || says_so() => Progress::Unsent,
        CLIENT_NETWORK | CLIENT_READ_FRAME => Progress::Broken,
        CLIENT_DECODE | CLIENT_VALIDATE => Progress::Answered,
        _ => Progress::GivenUp,
    })
}

/// What happened to a client that raised the code, as the verb of a sentence about it: `could not connect`.
#[must_use]
pub fn client_failed(code: i64) -> &'static str {
    match code {
        CLIENT_TIMEOUT => "gave up waiting",
        CLIENT_FULL_LINK_TIMEOUT => "gave up, because its own caller allowed no more time",
        CLIENT_CONNECT => "could not connect",
        121 => "could not encode its request",
        CLIENT_DECODE => "could not decode the answer",
        123 => "was stopped by its own rate limit",
        124 => "was stopped by its own overload protection",
        131 => "found no address",
        CLIENT_NETWORK | CLIENT_READ_FRAME => "lost its connection",
        CLIENT_VALIDATE => "refused the answer, because its fields are not valid",
        CLIENT_CANCELED => "was cancelled",
        _ => "failed",
    }
}

/// The text without the duration that trpc-go's client appends (`, cost:150.8ms`).
#[must_use]
pub fn without_cost(text: &str) -> &str {
    let (said, cost) = text.rsplit_once(COST).unwrap_or((text, " "));
    said.strip_suffix(", ").filter(|_| !cost.contains([' ', ','])).unwrap_or(text)
}

/// What callers turn a code into that the server's framework sends.
const FROM_SERVER: &str = "in `ret`: trpc-go raises type 3, `type:callee framework, code:N, msg:…`, trpc-java code N; \
     in `func_ret`: type 2, `type:business`";

/// What callers turn a code into that they raise themselves.
const OWN: &str = "trpc-go raises type 1, `type:framework, code:N, msg:…`; passed on unchanged, it reaches the next caller up \
     as `ret`";

/// What callers turn a code of a stream into.
const STREAM: &str = "trpc-go raises `type:framework, code:351` and keeps the server's code in its cause";

const fn server(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry {
        code,
        name,
        meaning,
        raiser: Raiser::Server,
        kind: ErrorKind::Rpc,
        wire: Wire::Sent,
        caller: FROM_SERVER,
        look,
    }
}

const fn client(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry {
        code,
        name,
        meaning,
        raiser: Raiser::Client,
        kind: ErrorKind::Rpc,
        wire: Wire::PassedOn,
        caller: OWN,
        look,
    }
}

/// A code of a client that never sent its call.
const fn unsent(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry { wire: Wire::Unsent, ..client(code, name, meaning, look) }
}

const fn stream(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    let wire = if matches!(raiser, Raiser::Server) { Wire::Sent } else { Wire::PassedOn };
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire, caller: STREAM, look }
}

const PEER_GONE: &str = "How the connection of the stream ended, and whether the peer's process restarted.";
const MESSAGE_SIZE: &str = "The size of the stream's largest message against the limits of both sides.";
const STREAM_CODEC: &str = "That both sides use the same message definition and compression.";
const USE_OF_STREAM: &str =
    "The code that uses the stream: what it does after the end or after closing its own side.";
const STREAM_PACE: &str = "Which side is slow: the feedback frames show how fast the window is used up.";

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        code: 0,
        name: "SUCCESS",
        meaning: "The call succeeded; on a stream that was reset, an error without a code.",
        raiser: Raiser::Nobody,
        kind: ErrorKind::Success,
        wire: Wire::Sent,
        caller: "success, unless the other of `ret` and `func_ret` is not 0",
        look: "Nothing, unless a text came with it: the caller takes an error created with code 0 for success.",
    },
    server(
        1,
        "SERVER_DECODE_ERR",
        "The server could not decode the request's body.",
        "That both sides use the same message definition, serialization and compression.",
    ),
    server(
        2,
        "SERVER_ENCODE_ERR",
        "The server could not encode its answer, or its head was too large.",
        "The reply that the handler returns, and the size of the trans_info that it adds.",
    ),
    server(
        11,
        "SERVER_NOSERVICE_ERR",
        "The server does not have the service.",
        "The service name and the address that was called; trpc-go says 12 instead.",
    ),
    server(
        12,
        "SERVER_NOFUNC_ERR",
        "The server has no such function in the service that listens here.",
        "The func in the request against the server's version: the route leads to the wrong service, or the release is old.",
    ),
    server(
        21,
        "SERVER_TIMEOUT_ERR",
        "The request took longer than the server's own timeout.",
        "The handler's time and the server's configured timeout.",
    ),
    server(
        22,
        "SERVER_OVERLOAD_ERR",
        "The server's overload protection refused the request.",
        "The load and the queue of the server, and its overload filter.",
    ),
    server(
        23,
        "SERVER_LIMITED_ERR",
        "The server's rate limit refused the request.",
        "The limit's configuration, and which callers send the most requests.",
    ),
    Entry {
        wire: Wire::Silence,
        caller: "gets no answer and times out with 101; over HTTP a bare 500",
        ..server(
            24,
            "SERVER_FULL_LINK_TIMEOUT_ERR",
            "The time of the whole chain, set by a caller above, ran out.",
            "The timeout that the first caller of the chain sets, and which hop used it up.",
        )
    },
    server(
        31,
        "SERVER_SYSTEM_ERR",
        "The server itself failed: it recovered from a panic, or is shutting down.",
        "The server's log at this time, for a stack trace.",
    ),
    server(
        41,
        "SERVER_AUTH_ERR",
        "The server's authentication refused the caller.",
        "The caller's credentials and the server's rules.",
    ),
    server(
        51,
        "SERVER_VALIDATE_ERR",
        "The request's fields failed the server's automatic validation.",
        "The message: it names the field; then what the caller fills in.",
    ),
    client(
        101,
        "CLIENT_INVOKE_TIMEOUT_ERR",
        "The caller waited for its own timeout and gave up.",
        "The latency of the called service; on the wire the caller's FIN comes first, and the answer is late or missing.",
    ),
    client(
        102,
        "CLIENT_FULL_LINK_TIMEOUT_ERR",
        "The caller gave up because its own caller allowed less time than its timeout.",
        "The timeout of the first caller of the chain against the time of each hop.",
    ),
    unsent(
        CLIENT_CONNECT,
        "CLIENT_CONNECT_ERR",
        "The caller could not connect.",
        "Whether the address is right and the server listens: the capture shows SYN and RST, or an unanswered SYN.",
    ),
    unsent(
        121,
        "CLIENT_ENCODE_ERR",
        "The caller could not encode its request.",
        "The request that the calling code builds.",
    ),
    client(
        122,
        "CLIENT_DECODE_ERR",
        "The caller could not decode the answer, or it was another call's answer.",
        "Answers to one-way calls on this connection, which shift all later answers; otherwise the message definitions.",
    ),
    unsent(
        123,
        "CLIENT_LIMITED_ERR",
        "A rate limit at the caller refused the call.",
        "The caller's limit configuration.",
    ),
    unsent(
        124,
        "CLIENT_OVERLOAD_ERR",
        "The caller's overload protection refused the call.",
        "The load of the calling process.",
    ),
    unsent(
        131,
        "CLIENT_ROUTER_ERR",
        "The caller found no address of the service.",
        "Naming and routing: whether the service is registered and healthy, and the caller's target.",
    ),
    client(
        141,
        "CLIENT_NETWORK_ERR",
        "The connection broke during the call.",
        "Who closed it: a FIN or RST from the server means that it died, restarted or closed an idle connection.",
    ),
    client(
        151,
        "CLIENT_VALIDATE_ERR",
        "The answer's fields failed the caller's automatic validation.",
        "The message: it names the field; then what the server fills in.",
    ),
    client(
        161,
        "CLIENT_CANCELED_ERR",
        "The calling code cancelled its call.",
        "Why the caller cancelled: often its own caller went away. The wire does not show it.",
    ),
    client(
        171,
        "CLIENT_READ_FRAME_ERR",
        "The caller could not read a frame from the connection.",
        "How the connection ended: another network stack of trpc-go reports the same as 141.",
    ),
    stream(
        201,
        "STREAM_SERVER_NETWORK_ERR",
        Raiser::Either,
        "The network failed under a stream; in trpc-go it means that the caller's queue is full.",
        PEER_GONE,
    ),
    stream(
        211,
        "STREAM_SERVER_MSG_EXCEED_LIMIT_ERR",
        Raiser::Server,
        "A message of the stream is larger than the server allows.",
        MESSAGE_SIZE,
    ),
    stream(
        221,
        "STREAM_SERVER_ENCODE_ERR",
        Raiser::Server,
        "The server could not encode a message of the stream.",
        STREAM_CODEC,
    ),
    stream(
        222,
        "STREAM_SERVER_DECODE_ERR",
        Raiser::Server,
        "The server could not decode a message of the stream.",
        STREAM_CODEC,
    ),
    stream(
        231,
        "STREAM_SERVER_WRITE_END",
        Raiser::Server,
        "The server wrote to a stream that had ended.",
        USE_OF_STREAM,
    ),
    stream(
        232,
        "STREAM_SERVER_WRITE_OVERFLOW_ERR",
        Raiser::Server,
        "The server wrote more than the caller's window allows.",
        STREAM_PACE,
    ),
    stream(
        233,
        "STREAM_SERVER_WRITE_CLOSE_ERR",
        Raiser::Server,
        "The server wrote to a stream that was closed.",
        USE_OF_STREAM,
    ),
    stream(
        234,
        "STREAM_SERVER_WRITE_TIMEOUT_ERR",
        Raiser::Server,
        "The server could not write to the stream in time.",
        STREAM_PACE,
    ),
    stream(
        251,
        "STREAM_SERVER_READ_END",
        Raiser::Server,
        "The server read from a stream that had ended.",
        USE_OF_STREAM,
    ),
    stream(
        252,
        "STREAM_SERVER_READ_CLOSE_ERR",
        Raiser::Server,
        "The server read from a stream that was closed.",
        USE_OF_STREAM,
    ),
    stream(
        253,
        "STREAM_SERVER_READ_EMPTY_ERR",
        Raiser::Server,
        "The server read from a stream that had no message.",
        STREAM_PACE,
    ),
    stream(
        254,
        "STREAM_SERVER_READ_TIMEOUT_ERR",
        Raiser::Server,
        "The server waited too long for a message of the stream.",
        STREAM_PACE,
    ),
    stream(301, "STREAM_CLIENT_NETWORK_ERR", Raiser::Client, "The network failed under a stream.", PEER_GONE),
    stream(
        311,
        "STREAM_CLIENT_MSG_EXCEED_LIMIT_ERR",
        Raiser::Client,
        "A message of the stream is larger than the client allows.",
        MESSAGE_SIZE,
    ),
    stream(
        321,
        "STREAM_CLIENT_ENCODE_ERR",
        Raiser::Client,
        "The client could not encode a message of the stream.",
        STREAM_CODEC,
    ),
    stream(
        322,
        "STREAM_CLIENT_DECODE_ERR",
        Raiser::Client,
        "The client could not decode a message of the stream.",
        STREAM_CODEC,
    ),
    stream(
        331,
        "STREAM_CLIENT_WRITE_END",
        Raiser::Client,
        "The client wrote to a stream that had ended.",
        USE_OF_STREAM,
    ),
    stream(
        332,
        "STREAM_CLIENT_WRITE_OVERFLOW_ERR",
        Raiser::Client,
        "The client wrote more than the server's window allows.",
        STREAM_PACE,
    ),
    stream(
        333,
        "STREAM_CLIENT_WRITE_CLOSE_ERR",
        Raiser::Client,
        "The client wrote to a stream that was closed.",
        USE_OF_STREAM,
    ),
    stream(
        334,
        "STREAM_CLIENT_WRITE_TIMEOUT_ERR",
        Raiser::Client,
        "The client could not write to the stream in time.",
        STREAM_PACE,
    ),
    stream(
        351,
        "STREAM_CLIENT_READ_END",
        Raiser::Client,
        "The stream ended with an error while the client was reading: trpc-go reports every failed stream this way.",
        "The server's CLOSE frame, whose code is in the cause; without one, how the connection ended.",
    ),
    stream(
        352,
        "STREAM_CLIENT_READ_CLOSE_ERR",
        Raiser::Client,
        "The client read from a stream that was closed.",
        USE_OF_STREAM,
    ),
    stream(
        353,
        "STREAM_CLIENT_READ_EMPTY_ERR",
        Raiser::Client,
        "The client read from a stream that had no message.",
        STREAM_PACE,
    ),
    stream(
        354,
        "STREAM_CLIENT_READ_TIMEOUT_ERR",
        Raiser::Client,
        "The client waited too long for a message of the stream.",
        STREAM_PACE,
    ),
    stream(
        361,
        "RetClientStreamInitErr",
        Raiser::Client,
        "The client could not open a stream (trpc-go only).",
        "The server's answer to the INIT frame: a refusal carries the reason.",
    ),
    Entry {
        raiser: Raiser::ServerOrHandler,
        kind: ErrorKind::Ambiguous,
        caller: "in `func_ret`: trpc-go raises type 2, `type:business, code:999`; in `ret`: type 3",
        ..server(
            999,
            "INVOKE_UNKNOWN_ERR",
            "An error without a code: the handler returned a plain error (func_ret), or the framework had no code for it (ret).",
            "The message; then the handler, which should return an error with its own code.",
        )
    },
    stream(
        1000,
        "STREAM_UNKNOWN_ERR",
        Raiser::Either,
        "An error of a stream without a code.",
        "The message, and the log of the side that sent it.",
    ),
    java(2000, "JSON_ENCODE_ERR", "trpc-java could not encode JSON.", "The object that it was encoding."),
    java(2001, "JSON_DECODE_ERR", "trpc-java could not decode JSON.", "The JSON text that it received."),
    java(
        3000,
        "SIGNATURE_ERR",
        "trpc-java refused the digital signature of a request.",
        "The keys of both sides, and whether something in between changes the body.",
    ),
    java(5000, "AUTH_ERR", "trpc-java's authentication failed.", "The caller's credentials."),
    java(
        5001,
        "AUTH_REFUSED_ERR",
        "trpc-java's authentication refused the caller.",
        "The caller's credentials and the server's rules.",
    ),
];

/// A code that trpc-java adds outside the published ranges; the names are descriptive.
const fn java(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry { raiser: Raiser::Either, kind: ErrorKind::Ambiguous, ..server(code, name, meaning, look) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_trpc_java_adds_are_known_but_not_in_the_frameworks_table() {
        assert!(super::super::entry(Family::Trpc, 5000).is_some() && !is_framework_code(5000));
        assert!(is_framework_code(0) && is_framework_code(UNKNOWN) && is_framework_code(LAST_OF_PROTO));
        assert!(!is_framework_code(FIRST_USER_CODE + 1) && !is_framework_code(404) && !is_framework_code(-1));
    }

    #[test]
    fn codes_and_texts_of_a_client_say_how_far_its_call_came() {
        let unsent: Vec<i64> =
            CLIENT_CODES.filter(|code| progress(*code, None) == Some(Progress::Unsent)).collect();
        assert_eq!(unsent, [111, 121, 123, 124, 131]);
        for (code, expected) in [
            (101, Progress::GivenUp),
            (102, Progress::GivenUp),
            (122, Progress::Answered),
            (141, Progress::Broken),
            (151, Progress::Answered),
            (161, Progress::GivenUp),
            (171, Progress::Broken),
        ] {
            assert_eq!(progress(code, Some("tcp client transport ReadFrame: EOF")), Some(expected), "{code}");
        }
        for (code, text) in [
            (101, "client timeout before tcp dial: context deadline exceeded, cost:12µs"),
            (101, "tcp client transport timeout before Write: context deadline exceeded"),
            (102, "selector timeout after Select: context deadline exceeded"),
            (122, "client dial tls fail: x509: certificate signed by unknown authority"),
            (
                141,
                "http client transport RoundTrip: Post \"http://a/b\": dial tcp 10.0.0.9:80: connection refused",
            ),
            (161, "client canceled after tcp dial: context canceled"),
        ] {
            assert_eq!(progress(code, Some(text)), Some(Progress::Unsent), "{text}");
        }
        assert_eq!(progress(21, None), None);
    }

    #[test]
    fn only_a_trailing_cost_is_removed() {
        assert_eq!(without_cost("dial, cost:288.539µs"), "dial");
        assert_eq!(without_cost("the cost:5"), "the cost:5");
        assert_eq!(without_cost("a, cost:1ms, b"), "a, cost:1ms, b");
        assert_eq!(without_cost("no such user"), "no such user");
    }
}
