//! Codes of tRPC: `TrpcRetCode` of `trpc.proto`, and what trpc-go (`errs/errs.go`, `codec.go`) and trpc-java
//! (`ErrorCode`) make of them. Names are those of the constants without their common prefix `TRPC_`.

use super::{Entry, Raiser, Range, Side, Wire};

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[
    Range { first: 0, last: 100, meaning: "the framework at the server (0 is success)" },
    Range { first: 101, last: 200, meaning: "the framework at the client" },
    Range { first: 201, last: 400, meaning: "the framework's streams" },
    Range { first: 999, last: 1000, meaning: "the framework, for errors without a code" },
    Range { first: 401, last: 9999, meaning: "nobody's by publication: users' own codes begin at 10000" },
    Range { first: 10000, last: i32::MAX as i64, meaning: "users' own codes" },
    Range {
        first: i32::MIN as i64,
        last: -1,
        meaning: "nobody's by publication: users' own codes begin at 10000",
    },
];

/// What callers make of a code that the server's framework sends.
const FROM_SERVER: &str = "in `ret`: trpc-go raises type 3, `type:callee framework, code:N, msg:…`, trpc-java code N; \
     in `func_ret`: type 2, `type:business`";

/// What callers make of a code that they raise themselves.
const OWN: &str = "trpc-go raises type 1, `type:framework, code:N, msg:…`; passed on unchanged, the caller of the caller \
     gets it as `ret`";

/// What callers make of a code of a stream.
const STREAM: &str = "trpc-go raises `type:framework, code:351` and keeps the server's code in its cause";

const fn server(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry {
        code,
        name,
        meaning,
        raiser: Raiser::Server,
        side: Side::Rpc,
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
        side: Side::Rpc,
        wire: Wire::PassedOn,
        caller: OWN,
        look,
    }
}

const fn stream(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    let wire = if matches!(raiser, Raiser::Server) { Wire::Sent } else { Wire::PassedOn };
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire, caller: STREAM, look }
}

const PEER_GONE: &str =
    "How the connection of the stream ended, and whether the peer's process was restarted.";
const MESSAGE_SIZE: &str = "The size of the stream's largest message against the limit at both sides.";
const STREAM_CODEC: &str = "That both sides use the same message definition and compression.";
const USE_OF_STREAM: &str =
    "The code that uses the stream: what it does after the end or after closing its own side.";
const STREAM_PACE: &str = "Which side is slow: the feedback frames show how the window is used up.";

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        code: 0,
        name: "SUCCESS",
        meaning: "The call succeeded; on a stream that was reset, an error without a code.",
        raiser: Raiser::Nobody,
        side: Side::Success,
        wire: Wire::Sent,
        caller: "success, unless the other of `ret` and `func_ret` is not 0",
        look: "Nothing, unless a text came with it: an error made with code 0 is taken for success by the caller.",
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
        "The reply that the handler returns, and the size of the trans_info it adds.",
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
        "The func in the request against the server's version: a route to the wrong service, or an old release.",
    ),
    server(
        21,
        "SERVER_TIMEOUT_ERR",
        "The request ran out of the server's own time.",
        "The handler's time and the server's configured timeout.",
    ),
    server(
        22,
        "SERVER_OVERLOAD_ERR",
        "The server protects itself against overload.",
        "The load and the queue of the server, and its overload filter.",
    ),
    server(
        23,
        "SERVER_LIMITED_ERR",
        "The server's rate limit refused the request.",
        "The limit's configuration and who sends so many requests.",
    ),
    Entry {
        wire: Wire::Silence,
        caller: "a call without an answer: it times out with 101; over HTTP a bare 500",
        ..server(
            24,
            "SERVER_FULL_LINK_TIMEOUT_ERR",
            "The time of the whole chain, set by a caller above, ran out.",
            "The timeout that the first caller of the chain gives, and which hop used it up.",
        )
    },
    server(
        31,
        "SERVER_SYSTEM_ERR",
        "The server failed by itself: a recovered panic, or it is shutting down.",
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
        "The caller waited as long as its own timeout and gave up.",
        "The latency of the called service; on the wire the caller's FIN comes first and the answer is late or missing.",
    ),
    client(
        102,
        "CLIENT_FULL_LINK_TIMEOUT_ERR",
        "The caller gave up because the time that its own caller allowed was shorter than its timeout.",
        "The timeout of the first caller of the chain against the time of each hop.",
    ),
    client(
        111,
        "CLIENT_CONNECT_ERR",
        "The caller could not connect.",
        "Whether the address is right and the server listens: the capture shows SYN and RST, or SYN without answer.",
    ),
    Entry {
        wire: Wire::Unsent,
        ..client(
            121,
            "CLIENT_ENCODE_ERR",
            "The caller could not encode its request.",
            "The request that the calling code builds.",
        )
    },
    client(
        122,
        "CLIENT_DECODE_ERR",
        "The caller could not decode the answer, or it was another call's answer.",
        "Answers to one-way calls on this connection: they shift all later answers; else the message definitions.",
    ),
    Entry {
        wire: Wire::Unsent,
        ..client(
            123,
            "CLIENT_LIMITED_ERR",
            "A rate limit at the caller refused the call.",
            "The caller's limit configuration.",
        )
    },
    Entry {
        wire: Wire::Unsent,
        ..client(
            124,
            "CLIENT_OVERLOAD_ERR",
            "The caller protects itself against overload.",
            "The load of the calling process.",
        )
    },
    Entry {
        wire: Wire::Unsent,
        ..client(
            131,
            "CLIENT_ROUTER_ERR",
            "The caller found no address for the service.",
            "Naming and routing: whether the service is registered and healthy, and the caller's target.",
        )
    },
    client(
        141,
        "CLIENT_NETWORK_ERR",
        "The connection broke while the call was under way.",
        "Who closed it: FIN or RST of the server means that it died, restarted or closed an idle connection.",
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
        "Why the caller cancelled: often its own caller went away. Nothing on the wire says so.",
    ),
    client(
        171,
        "CLIENT_READ_FRAME_ERR",
        "The caller could not read a frame from the connection.",
        "How the connection ended: with another network stack of trpc-go the same is a 141.",
    ),
    stream(
        201,
        "STREAM_SERVER_NETWORK_ERR",
        Raiser::Server,
        "The network failed under a stream; trpc-go's own meaning is that the caller's queue is full.",
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
        "The server wrote more than the caller's window takes.",
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
        "The server read from a stream and nothing was there.",
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
        "The client wrote more than the server's window takes.",
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
        "The stream ended with an error while the client was reading: trpc-go reports every failed stream so.",
        "The server's CLOSE frame, whose code stands in the cause; without one, how the connection ended.",
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
        "The client read from a stream and nothing was there.",
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
        side: Side::Either,
        caller: "in `func_ret`: trpc-go raises type 2, `type:business, code:999`; in `ret`: type 3",
        ..server(
            999,
            "INVOKE_UNKNOWN_ERR",
            "An error without a code: the handler returned a plain error (func_ret) or the framework did not know.",
            "The message; then the handler, which should return an error with a code of its own.",
        )
    },
    stream(
        1000,
        "STREAM_UNKNOWN_ERR",
        Raiser::Either,
        "An error of a stream without a code.",
        "The message, and the log of the side that sent it.",
    ),
    java(2000, "JSON_ENCODE_ERR", "trpc-java could not encode JSON.", "The object that was to be encoded."),
    java(2001, "JSON_DECODE_ERR", "trpc-java could not decode JSON.", "The JSON text that was received."),
    java(
        3000,
        "SIGNATURE_ERR",
        "trpc-java refused the digital signature of a request.",
        "The keys of both sides, and whether something between them changes the body.",
    ),
    java(5000, "AUTH_ERR", "trpc-java's authentication failed.", "The caller's credentials."),
    java(
        5001,
        "AUTH_REFUSED_ERR",
        "trpc-java's authentication refused the caller.",
        "The caller's credentials and the server's rules.",
    ),
];

/// A code that trpc-java adds outside of the published ranges; the names are descriptive.
const fn java(code: i64, name: &'static str, meaning: &'static str, look: &'static str) -> Entry {
    Entry { raiser: Raiser::Either, side: Side::Either, ..server(code, name, meaning, look) }
}
