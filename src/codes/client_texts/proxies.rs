//! Envoy `router.cc` and `Http::Utility::resetReasonToString`: the proxy's own answer, which every client shows as the server's. nginx
//! `ngx_http_upstream.c`: its log.

use super::super::library::Library::{Envoy, Nginx};
use super::super::trace::Trace;
use super::{ClientText, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "connection refused"),
        "The proxy could not connect to the server behind it: refused.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "remote connection failure"),
        "The proxy could not connect to the server behind it.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "connection timeout"),
        "The server behind the proxy did not answer the proxy's SYN.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "connection termination"),
        "The server behind the proxy closed the connection before it answered.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "remote reset"),
        "The server behind the proxy broke the stream off with RST_STREAM.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers.", "overflow"),
        "The proxy's own circuit breaker refused the call.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream connect error or disconnect/reset before headers", ""),
        "The call failed between the proxy and the server behind it: the reason stands at the end.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("no healthy upstream", ""),
        "The proxy knows no healthy server for the route.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream request timeout", ""),
        "The server behind the proxy did not answer within the proxy's time-out.",
        Trace::Sent,
    )
    .alone(),
    row(
        &[Envoy],
        ("upstream max stream duration reached", ""),
        "The proxy's limit on the duration of streams passed.",
        Trace::Sent,
    )
    .alone(),
    row(&[Envoy], ("RBAC: access denied", ""), "A rule of the proxy refused the call.", Trace::Sent).alone(),
    row(
        &[Nginx],
        ("connect() failed (111: Connection refused) while connecting to upstream", ""),
        "nginx could not connect to the server behind it; the caller gets HTTP 502.",
        Trace::NoConnection,
    )
    .alone(),
    row(
        &[Nginx],
        ("upstream prematurely closed connection while reading response header from upstream", ""),
        "The server behind nginx closed the connection before it answered; the caller gets HTTP 502.",
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[Nginx],
        ("recv() failed (104: Connection reset by peer) while reading response header from upstream", ""),
        "The server behind nginx reset the connection; the caller gets HTTP 502.",
        Trace::ServerLeft,
    )
    .alone(),
    row(
        &[Nginx],
        ("upstream rejected request with error ", ""),
        "The server behind nginx broke the stream off with RST_STREAM; the caller gets HTTP 502.",
        Trace::ServerReset,
    )
    .alone(),
    row(
        &[Nginx],
        ("upstream timed out (110: Connection timed out) while ", ""),
        "The server behind nginx did not answer in time; the caller gets HTTP 504.",
        Trace::CallerLeft,
    )
    .alone(),
    row(
        &[Nginx],
        ("upstream sent too large http2 frame: 4740180", ""),
        "The server behind nginx answered in HTTP/1.1: 4740180 is the ASCII `HTT` read as a length.",
        Trace::Foreign,
    )
    .alone(),
    row(
        &[Nginx],
        ("no live upstreams while connecting to upstream", ""),
        "nginx holds all servers behind it for dead; the caller gets HTTP 502.",
        Trace::Unsent,
    )
    .alone(),
];
