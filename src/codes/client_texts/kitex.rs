//! Kitex `pkg/remote/codec/default_codec.go`, `netpollmux/`, `remotecli/conn_wrapper.go`, netpoll `connection_impl.go` and
//! `connection_reactor.go`.

use super::super::library::Library::Kitex;
use super::super::trace::Trace;
use super::{BREAKER, CLOSED, ClientText, DEADLINE, NO_SYN, NOT_CONNECTED, REFUSED, RESET, UNREADABLE, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[Kitex], ("default codec read failed: EOF peer close", ""), CLOSED, Trace::ServerLeft).alone(),
    row(
        &[Kitex],
        ("default codec read failed: EOF wait read", ""),
        "The connection had been closed by the server before the caller read: mostly a pooled connection that was too old.",
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[Kitex],
        ("default codec read failed: connection has been closed", ""),
        "The connection was closed before the answer; from netpoll v0.5 on by the caller itself.",
        Trace::Open,
    )
    .alone(),
    row(&[Kitex], ("default codec read failed: connection read timeout", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(&[Kitex], ("default codec read failed: ", "i/o timeout"), DEADLINE, Trace::CallerLeft).alone(),
    row(&[Kitex], ("default codec read failed: ", "reset by peer"), RESET, Trace::ServerLeft).alone(),
    row(&[Kitex], ("default codec read failed: ", ""), "The answer could not be read from the connection.", Trace::Open).alone(),
    row(&[Kitex], ("EOF peer close", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[Kitex], ("get connection error: dial ", "connection refused"), REFUSED, Trace::NoConnection).alone(),
    row(&[Kitex], ("get connection error: dial ", "timeout"), NO_SYN, Trace::NoConnection).alone(),
    row(&[Kitex], ("get connection error: ", ""), NOT_CONNECTED, Trace::NoConnection),
    row(
        &[Kitex],
        ("recv wait timeout ", ", seqID="),
        "No answer came within the time-out; the multiplexed connection stays open.",
        Trace::CallerLeft,
    )
    .alone(),
    row(
        &[Kitex],
        ("conn closed", ""),
        "The multiplexed connection was closed; every call that was waiting on it fails so.",
        Trace::ServerLeft,
    ),
    row(&[Kitex], ("invalid payload (first4Bytes=", ""), "The peer sent another protocol.", Trace::Foreign).shared().alone(),
    row(&[Kitex], ("not TTHeader protocol (first4Bytes=", ""), "The peer sent another protocol than TTHeader.", Trace::Foreign)
        .shared()
        .alone(),
    row(
        &[Kitex],
        ("http2: frame too large or invalid frame (first4Bytes=", ""),
        "The peer sent another protocol than HTTP/2.",
        Trace::Foreign,
    )
    .shared()
    .alone(),
    row(
        &[Kitex],
        ("invalid data: payload size(", ") larger than the limit("),
        "A message is larger than the limit of the side that says so.",
        Trace::Answered,
    )
    .shared()
    .alone(),
    row(
        &[Kitex],
        ("payload validation error: ", ""),
        "The checksum does not fit the payload: something changed it on the way.",
        Trace::Answered,
    )
    .shared(),
    row(&[Kitex], ("service discovery error: ", ""), "The caller's resolver found no address.", Trace::Unsent).alone(),
    row(&[Kitex], ("forbidden by circuitbreaker: ", ""), BREAKER, Trace::Unsent).alone(),
    row(
        &[Kitex],
        ("no more instances to retry: last error: %!w(<nil>)", ""),
        "The caller's resolver had no instance at all.",
        Trace::Unsent,
    )
    .alone(),
    row(
        &[Kitex],
        ("method[", "out of order sequence response, expect["),
        "The answer has another sequence id than the request: it is the answer of another call.",
        Trace::Answered,
    )
    .alone(),
    row(
        &[Kitex],
        ("wrong method name, expect=", ""),
        "The answer names another method than the request.",
        Trace::Answered,
    )
    .alone(),
    row(&[Kitex], ("client side, invalid message type ", ""), UNREADABLE, Trace::Answered).alone(),
    row(
        &[Kitex],
        ("transport: RSTStream Frame received with error code: ", ""),
        "At the server: the caller broke the stream off.",
        Trace::CallerLeft,
    )
    .alone(),
    row(&[Kitex], ("transport: connection EOF [triggered by remote service]", ""), "At the server: the caller went away.", Trace::CallerLeft)
        .alone(),
];
