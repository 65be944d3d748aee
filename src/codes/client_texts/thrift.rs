//! Apache Thrift `lib/{go,java,py,cpp,nodejs,rs}`, fbthrift `HeaderClientChannel`, the sockets' own words.

use super::super::library::Library::{
    Fbthrift, ThriftCpp, ThriftGo, ThriftJava, ThriftNode, ThriftPython, ThriftRust,
};
use super::super::trace::Trace;
use super::{CLOSED, ClientText, DEADLINE, NOT_CONNECTED, REFUSED, UNREADABLE, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[ThriftJava], ("Socket is closed by peer.", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[ThriftJava], ("Cannot read. Remote side has closed.", ""), CLOSED, Trace::ServerLeft).alone(),
    row(
        &[ThriftJava],
        ("Frame size (", ") larger than max length ("),
        "The length is that of another protocol, or above the limit.",
        Trace::Foreign,
    )
    .shared()
    .alone(),
    row(
        &[ThriftGo],
        ("Incorrect frame size (", ""),
        "The length is that of another protocol, or above the limit.",
        Trace::Foreign,
    )
    .shared()
    .alone(),
    row(&[ThriftPython], ("TSocket read 0 bytes", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[ThriftPython], ("read timeout", ""), DEADLINE, Trace::CallerLeft),
    row(&[ThriftPython], ("Could not connect to any of ", ""), NOT_CONNECTED, Trace::NoConnection),
    row(&[ThriftPython, ThriftCpp], ("Transport not open", ""), "The transport was not open.", Trace::Unsent),
    row(&[ThriftCpp], ("No more data to read", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[ThriftCpp], ("THRIFT_EAGAIN (timed out)", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(&[ThriftCpp], ("connect() failed: Connection refused", ""), REFUSED, Trace::NoConnection),
    row(&[ThriftCpp], ("socket open() error: Connection refused", ""), REFUSED, Trace::NoConnection).alone(),
    row(&[ThriftCpp], ("Called write on non-open socket", ""), "The transport was not open.", Trace::Unsent)
        .alone(),
    row(&[ThriftRust], ("not open", ""), NOT_CONNECTED, Trace::NoConnection),
    row(&[ThriftNode], ("Received a response to an unknown RPC function", ""), UNREADABLE, Trace::Answered)
        .alone(),
    row(
        &[ThriftGo, ThriftJava, ThriftPython, ThriftCpp, ThriftNode],
        ("", " failed: unknown result"),
        "The answer came, and its result struct is empty: the handler returned nothing, or an exception that its IDL does not name.",
        Trace::Answered,
    ),
    row(
        &[ThriftGo],
        ("", ": out of order sequence response"),
        "The answer has another sequence id than the request: it is the answer of another call.",
        Trace::Answered,
    ),
    row(
        &[ThriftJava],
        ("", " failed: out of sequence response: expected "),
        "The answer has another sequence id than the request: it is the answer of another call.",
        Trace::Answered,
    ),
    row(&[Fbthrift], ("Channel got EOF", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[Fbthrift], ("Channel is !good()", ""), "The connection had been closed before.", Trace::Unsent)
        .alone(),
];
