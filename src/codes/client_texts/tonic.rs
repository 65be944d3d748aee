//! tonic `status.rs`, `transport/`, `codec/decode.rs`, with hyper's and h2's words (`src/error.rs` of each).

use super::super::library::Library::Tonic;
use super::super::trace::Trace;
use super::{ClientText, HTTP, NO_MESSAGE, NO_NAME, NOT_CONNECTED, PING, REFUSED, UNREADABLE, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[Tonic], ("error trying to connect: ", "onnection refused"), REFUSED, Trace::NoConnection),
    row(&[Tonic], ("error trying to connect", ""), NOT_CONNECTED, Trace::NoConnection),
    row(&[Tonic], ("tcp connect error: ", "onnection refused"), REFUSED, Trace::NoConnection),
    row(&[Tonic], ("tcp connect error", ""), NOT_CONNECTED, Trace::NoConnection),
    row(&[Tonic], ("dns error", ""), NO_NAME, Trace::Unsent),
    row(
        &[Tonic],
        ("transport error", ""),
        "The connection could not be made or broke; only the source of the error says how.",
        Trace::Open,
    ),
    row(
        &[Tonic],
        ("h2 protocol error: ", ""),
        "The stream or the connection broke: RST_STREAM, GOAWAY, FIN or RST. Only the source of the error says which.",
        Trace::Open,
    )
    .alone(),
    row(
        &[Tonic],
        ("operation was canceled", ""),
        "The connection had been closed before the request was sent.",
        Trace::Unsent,
    ),
    row(&[Tonic], ("http2 error", ""), PING, Trace::CallerLeft),
    row(
        &[Tonic],
        ("Timeout expired", ""),
        "The time-out of the caller's endpoint or of the server's layer passed: tonic says CANCELLED for both.",
        Trace::CallerLeft,
    )
    .shared(),
    row(&[Tonic], ("grpc-status header missing, mapped from HTTP status code ", ""), HTTP, Trace::HttpStatus).alone(),
    row(&[Tonic], ("Missing response message.", ""), NO_MESSAGE, Trace::NoMessage).alone(),
    row(&[Tonic], ("Unexpected EOF decoding stream.", ""), UNREADABLE, Trace::Answered).shared(),
    row(
        &[Tonic],
        ("protocol error: received message with invalid compression flag: ", ""),
        "The body is no gRPC message: the flag is its first byte (72 is `H`, 60 is `<`, of HTML).",
        Trace::Answered,
    )
    .alone(),
];
