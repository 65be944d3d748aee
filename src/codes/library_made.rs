//! gRPC statuses of which the number says something else than what happened: those that only a handler should return, made by
//! a library, and Kitex's exception types in place of a status. Their texts show it.
//!
//! A text counts only if nothing but the library words an error like that. `decompress: …` of connect-go and `decompression
//! failed` of connect-es are left out, because a handler that unpacks what it was sent may well say the same; so are the
//! statuses that tonic makes of I/O errors (`tonic/src/status.rs`), whose texts are the operating system's. grpc-java, grpcio,
//! grpc-js and Envoy make none of these statuses. `NOT_FOUND` of the health and reflection services that libraries bring is an
//! answer of a service.

use super::{Entry, ErrorKind, Raiser, Wire, grpc, kitex, thrift};

/// A status that a library makes, recognised by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryMade {
    /// The library.
    pub library: &'static str,
    /// What its status means.
    pub entry: Entry,
    /// How the text begins.
    start: &'static str,
    /// What stands in it later; empty where the beginning is enough.
    then: &'static str,
}

/// The status of that number and text, if a library made it. Callers that pass it on append to the text, so its end is free.
#[must_use]
pub fn library_made(code: i64, text: &[u8]) -> Option<&'static LibraryMade> {
    if !needs_text(code) {
        return None;
    }
    let fits = |made: &&LibraryMade| {
        let rest = (made.entry.code == code).then(|| text.strip_prefix(made.start.as_bytes()));
        rest.flatten()
            .is_some_and(|rest| made.then.is_empty() || String::from_utf8_lossy(rest).contains(made.then))
    };
    ALL.iter().find(fits)
}

/// Whether libraries make that status, so that its text is needed to know what it says.
#[must_use]
pub fn needs_text(code: i64) -> bool {
    (0..64).contains(&code) && CODES >> code & 1 == 1
}

/// Bits of the codes of all such statuses.
const CODES: u64 = {
    let (mut codes, mut at) = (0, 0);
    while at < ALL.len() {
        assert!(ALL[at].entry.code < 64);
        codes |= 1 << ALL[at].entry.code;
        at += 1;
    }
    codes
};

const fn made(
    library: &'static str,
    (code, name): (i64, &'static str),
    (start, then): (&'static str, &'static str),
    meaning: &'static str,
    look: &'static str,
) -> LibraryMade {
    let (kind, raiser, wire) = (ErrorKind::Rpc, Raiser::Server, Wire::Sent);
    let entry = Entry { code, name, meaning, raiser, kind, wire, caller: grpc::CALLER, look };
    LibraryMade { library, entry, start, then }
}

const INVALID_ARGUMENT: (i64, &str) = (3, "INVALID_ARGUMENT");
const OUT_OF_RANGE: (i64, &str) = (11, "OUT_OF_RANGE");

const TOO_LARGE: &str =
    "A message is larger than the limit of the library; the handler may never have seen it.";
const LIMIT: &str = "The limits of the server and of the caller against the size of the message.";
const MALFORMED: &str = "The library could not read the request; the handler never saw it.";
const VERSIONS: &str =
    "The versions of the message's definition at both sides, and anything in between that changes bodies.";
const TIMEOUT: &str = "The library refused the request's grpc-timeout; the handler never saw it.";
const GRPC_TIMEOUT: &str = "What sets `grpc-timeout`.";

/// Every such status. The sources are named above each.
const ALL: &[LibraryMade] = &[
    // tonic/src/codec/decode.rs and encode.rs; the first form up to 0.9.
    made(
        "tonic",
        OUT_OF_RANGE,
        ("Error, message length too large: found ", " bytes, the limit is: "),
        TOO_LARGE,
        LIMIT,
    ),
    made(
        "tonic",
        OUT_OF_RANGE,
        ("Error, decoded message length too large: found ", " bytes, the limit is: "),
        TOO_LARGE,
        LIMIT,
    ),
    made(
        "tonic",
        OUT_OF_RANGE,
        ("Error, encoded message length too large: found ", " bytes, the limit is: "),
        TOO_LARGE,
        LIMIT,
    ),
    // connect-go envelope.go, protocol_connect.go, compression.go; dubbo-go protocol/triple/triple_protocol began as a copy of it.
    made("connect-go", INVALID_ARGUMENT, ("unmarshal message: ", ""), MALFORMED, VERSIONS),
    made(
        "connect-go",
        INVALID_ARGUMENT,
        ("get decompressor: ", ""),
        MALFORMED,
        "What compressed the message.",
    ),
    made("dubbo-go", INVALID_ARGUMENT, ("unmarshal into *", ": "), MALFORMED, VERSIONS),
    made(
        "dubbo-go",
        INVALID_ARGUMENT,
        ("gRPC protocol error: sent compressed message without Grpc-Encoding header", ""),
        MALFORMED,
        "What compressed the message.",
    ),
    // The same, and connect-es packages/connect/src/protocol/async-iterable.ts.
    made(
        "connect",
        INVALID_ARGUMENT,
        ("protocol error: incomplete envelope", ""),
        MALFORMED,
        "Why the request ended early.",
    ),
    made(
        "connect",
        INVALID_ARGUMENT,
        ("protocol error: promised ", " bytes in enveloped message, got "),
        MALFORMED,
        "Why the request ended early.",
    ),
    // connect-go protocol_grpc.go, grpcParseTimeout.
    made("connect-go", INVALID_ARGUMENT, ("protocol error: invalid timeout \"", ""), TIMEOUT, GRPC_TIMEOUT),
    made(
        "connect-go",
        INVALID_ARGUMENT,
        ("protocol error: timeout \"", "\" is too long"),
        TIMEOUT,
        GRPC_TIMEOUT,
    ),
    // connect-es packages/connect/src/protocol-grpc/parse-timeout.ts.
    made(
        "connect-es",
        INVALID_ARGUMENT,
        ("protocol error: invalid grpc timeout value: ", ""),
        TIMEOUT,
        GRPC_TIMEOUT,
    ),
    // grpc-go internal/transport/http2_server.go, with HTTP 415.
    made(
        "grpc-go",
        INVALID_ARGUMENT,
        ("invalid gRPC request content-type \"", ""),
        "The request is none of gRPC; no handler saw it.",
        "The caller's content type.",
    ),
    // Kitex pkg/remote/trans/nphttp2/conn_pool_slot.go; it reaches the wire where a handler passes it on.
    made(
        "Kitex",
        (10, "ABORTED"),
        ("transports have been closed due to instance offline", ""),
        "The connections to an instance that went offline were closed; a handler passes that on.",
        "The callee's own calls at this time.",
    ),
    // Kitex client/stream.go, from v0.16 on. dubbo-go sends business errors with the same number (CodeBizError).
    made(
        "Kitex",
        (17, "RECV_DEADLINE_EXCEEDED"),
        ("stream Recv timeout, timeout config=", ""),
        "A message of a stream did not come in the time that its reader allows; a handler passes on what its own call met.",
        "The callee's own streams at this time.",
    ),
    // Kitex pkg/remote/trans/nphttp2/server_handler.go sends its exception types as statuses.
    made(
        "Kitex",
        (thrift::UNKNOWN_METHOD, "UNKNOWN_METHOD"),
        (kitex::UNKNOWN_METHOD_TEXT, ""),
        "The server does not have the method; nobody cancelled the call.",
        "The path against the server's version.",
    ),
    made(
        "Kitex",
        (thrift::UNKNOWN_SERVICE, "UNKNOWN_SERVICE"),
        (kitex::UNKNOWN_SERVICE_TEXT, ""),
        "The server does not have the service.",
        "The path against the server's version; or the call went to the wrong server.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn by(code: i64, text: &str) -> Option<&'static str> {
        library_made(code, text.as_bytes()).map(|made| made.library)
    }

    #[test]
    fn texts_show_which_library_made_a_status() {
        for (code, text, library) in [
            (
                11,
                "Error, decoded message length too large: found 9 bytes, the limit is: 3 bytes",
                Some("tonic"),
            ),
            (11, "Error, message length too large: found 9 bytes, the limit is: 3 bytes", Some("tonic")),
            (11, "Error, decoded message length too large: found it", None),
            (3, "Error, decoded message length too large: found 9 bytes, the limit is: 3 bytes", None),
            (11, "page 9 of 3", None),
            (3, "unmarshal message: unmarshal into *pb.Req: proto: bad", Some("connect-go")),
            (3, "cannot unmarshal message: no", None),
            (3, "unmarshal into *greet.Request: proto: bad", Some("dubbo-go")),
            (3, "protocol error: promised 9 bytes in enveloped message, got 3 bytes", Some("connect")),
            (3, "protocol error: invalid timeout \"1x\"", Some("connect-go")),
            (3, "decompress: gzip: invalid header", None),
            (17, "stream Recv timeout, timeout config={Timeout:200ms} [biz error]", Some("Kitex")),
            (17, "out of stock", None),
            (1, "unknown method Nope", Some("Kitex")),
            (1, "context canceled", None),
            (20, "unknown service a.S", Some("Kitex")),
            (20, "no stock", None),
        ] {
            assert_eq!(by(code, text), library, "{code} {text}");
        }
    }
}
