//! Error values of Apache Thrift, fbthrift, tRPC and gRPC libraries by name, of which the number differs by language or is none: a row
//! says which library has which number.

use super::library::Library;
use super::value::{Counts, ErrorValue};

/// A kind of `TTransportException`. Apache Thrift `lib/{go,java,py,cpp,rs}`, fbthrift `TTransportException.h`.
const fn transport(
    name: &'static str,
    checks: &'static str,
    raised: &'static str,
    wire: &'static str,
) -> ErrorValue {
    ErrorValue {
        library: Library::Thrift,
        name,
        text: "TTransportException",
        basic: Some("TTransportException"),
        checks,
        raised,
        wire,
        counts: Counts::Failure,
    }
}

/// A kind of `TProtocolException`, whose numbers are the same in all languages of Apache Thrift.
const fn protocol(name: &'static str, checks: &'static str, raised: &'static str) -> ErrorValue {
    ErrorValue {
        library: Library::Thrift,
        name,
        text: "TProtocolException",
        basic: Some("TProtocolException"),
        checks,
        raised,
        wire: "Bytes that the side which raises it can't read; a server mostly answers with exception 7.",
        counts: Counts::Failure,
    }
}

const EITHER: &str = "The library at either side.";

/// Every value.
pub(super) const VALUES: &[ErrorValue] = &[
    transport(
        "NOT_OPEN",
        "Number 1 in all languages.",
        "The client's library: the transport is not open, mostly because connecting failed or it was closed before.",
        "A SYN that is refused or not answered, or nothing.",
    ),
    transport(
        "ALREADY_OPEN",
        "Number 2 in Go, Java, Python, Rust and fbthrift; C++ has none.",
        "The calling code: it opens a transport twice.",
        "Nothing.",
    ),
    transport(
        "TIMED_OUT",
        "Number 3 in Go, Java, Python, Rust and fbthrift, 2 in C++.",
        "The client's library: no answer came within the socket's time-out.",
        "The caller's FIN comes before the answer; the answer is late or missing.",
    ),
    transport(
        "END_OF_FILE",
        "Number 4 in Go, Java, Python, Rust and fbthrift, 3 in C++.",
        "The library of the side that reads: the other one closed the connection.",
        "The peer's FIN before the message was complete.",
    ),
    transport(
        "CORRUPTED_DATA",
        "Number 5 in Java, 6 in C++, 7 in fbthrift; the others have none.",
        EITHER,
        "Bytes that can't be read as a message.",
    ),
    transport(
        "NEGATIVE_SIZE",
        "Of a transport: number 5 in Python and Rust. Of a protocol (TProtocolException): number 2.",
        EITHER,
        "A length below zero: mostly another protocol on the connection.",
    ),
    transport(
        "SIZE_LIMIT",
        "Of a transport: number 6 in Python and Rust. Of a protocol (TProtocolException): number 3.",
        EITHER,
        "A length above the limit: a large message, or another protocol on the connection.",
    ),
    transport(
        "MESSAGE_SIZE_LIMIT",
        "Number 6 in Java.",
        EITHER,
        "A message above the limit, or another protocol on the connection.",
    ),
    transport(
        "INTERRUPTED",
        "Number 4 in C++, 5 in fbthrift.",
        EITHER,
        "Whatever was sent before the interruption.",
    ),
    transport(
        "CLIENT_DISCONNECT",
        "Number 8 in C++.",
        "The server's library: the client closed the connection.",
        "The caller's FIN.",
    ),
    protocol("INVALID_DATA", "Number 1.", EITHER),
    protocol(
        "BAD_VERSION",
        "Number 4.",
        "The library at either side: the message does not begin with the version of the protocol, mostly because the peer uses another \
         protocol or transport.",
    ),
    protocol("NOT_IMPLEMENTED", "Number 5.", EITHER),
    protocol(
        "DEPTH_LIMIT",
        "Number 6 in Apache Thrift, 8 in fbthrift.",
        "The library at either side: structs are nested too deep.",
    ),
    protocol(
        "MISSING_REQUIRED_FIELD",
        "Number 6 in fbthrift; Apache Thrift has none.",
        "fbthrift: a required field is not in the message.",
    ),
];

/// Kinds of `TApplicationException` above those of the common table, with the library that has them: fbthrift
/// `lib/cpp/TApplicationException.h`, Apache Thrift `lib/go/thrift/application_exception.go`, Volo.
pub(super) const APPLICATION: &[(&str, i64, &str)] = &[
    ("LOADSHEDDING", 11, "fbthrift: the server sheds load"),
    ("VALIDATION_FAILED", 11, "Apache Thrift in Go, and Volo: the request is not valid"),
    ("TIMEOUT", 12, "fbthrift: the request waited or ran too long at the server"),
    ("INJECTED_FAILURE", 13, "fbthrift: a failure that tests injected"),
    ("CHECKSUM_MISMATCH", 14, "fbthrift: the payload's checksum does not fit"),
    ("INTERRUPTION", 15, "fbthrift: the server was interrupted"),
    ("TENANT_QUOTA_EXCEEDED", 16, "fbthrift: the tenant's quota is used up"),
];
