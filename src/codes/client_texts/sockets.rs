//! The words of Go's `net`, `net/http` and `golang.org/x/net/http2`, of Node and of Java's sockets, which every library on them shows.

use super::super::library::Library::{GoNet, JavaNet, NodeNet};
use super::super::trace::Trace;
use super::{
    ClientText, DEADLINE, GOAWAY, NO_NAME, NO_SYN, NOT_CONNECTED, PING, REFUSED, RESET, STREAM_RESET, row,
};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[GoNet], ("dial tcp", "connection refused"), REFUSED, Trace::NoConnection).alone(),
    row(&[GoNet], ("dial tcp", "no such host"), NO_NAME, Trace::NoConnection).alone(),
    row(&[GoNet], ("dial tcp", "i/o timeout"), NO_SYN, Trace::NoConnection).alone(),
    row(&[GoNet], ("dial tcp", ": "), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[GoNet], ("read tcp ", "connection reset by peer"), RESET, Trace::ServerLeft).alone(),
    row(&[GoNet], ("read tcp ", "i/o timeout"), DEADLINE, Trace::CallerLeft).alone(),
    row(&[GoNet], ("write tcp ", "broken pipe"), RESET, Trace::ServerLeft).alone(),
    row(&[GoNet], ("http2: server sent GOAWAY and closed the connection", ""), GOAWAY, Trace::Goaway).alone(),
    row(&[GoNet], ("http2: client connection lost", ""), PING, Trace::CallerLeft).alone(),
    row(&[GoNet], ("stream error: stream ID ", "received from peer"), STREAM_RESET, Trace::ServerReset)
        .alone(),
    row(&[NodeNet], ("connect ECONNREFUSED ", ""), REFUSED, Trace::NoConnection).alone(),
    row(&[NodeNet], ("getaddrinfo ENOTFOUND ", ""), NO_NAME, Trace::Unsent).alone(),
    row(&[NodeNet], ("read ECONNRESET", ""), RESET, Trace::ServerLeft).alone(),
    row(&[JavaNet], ("java.net.ConnectException: Connection refused", ""), REFUSED, Trace::NoConnection)
        .alone(),
    row(&[JavaNet], ("java.net.SocketTimeoutException: Read timed out", ""), DEADLINE, Trace::CallerLeft)
        .alone(),
    row(&[JavaNet], ("java.net.SocketException: Connection reset", ""), RESET, Trace::ServerLeft).alone(),
];
