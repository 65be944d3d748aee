//! trpc-go `transport/tnet/client_transport_tcp.go`, `transport/client_transport_tcp.go`, `client/client.go`; trpc-java `DefResponseFuture`,
//! `RpcUtils`, netty's words; trpc-cpp `service_proxy.cc`.

use super::super::library::Library::{TrpcCpp, TrpcGo, TrpcJava};
use super::super::trace::Trace;
use super::{CANCELLED, CLOSED, ClientText, DEADLINE, NOT_CONNECTED, NOT_READY, RESET, UNREADABLE, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(&[TrpcGo], ("tcp client transport ReadFrame", "i/o timeout"), DEADLINE, Trace::CallerLeft).alone(),
    row(&[TrpcGo], ("tcp client transport ReadFrame: EOF", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[TrpcGo], ("tcp client transport ReadFrame", "reset by peer"), RESET, Trace::ServerLeft).alone(),
    row(
        &[TrpcGo],
        ("tcp client transport ReadFrame", ""),
        "No answer could be read: the code says why.",
        Trace::Open,
    )
    .alone(),
    row(&[TrpcGo], ("tcp client transport connection pool", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[TrpcGo], ("tcp client transport dial", ""), NOT_CONNECTED, Trace::NoConnection).alone(),
    row(&[TrpcGo], ("client Select: ", ""), "The caller found no address of the service.", Trace::Unsent)
        .alone(),
    row(&[TrpcGo], ("client codec Unmarshal: ", ""), UNREADABLE, Trace::Answered).alone(),
    row(&[TrpcGo], ("client codec Decode: ", ""), UNREADABLE, Trace::Answered).alone(),
    row(&[TrpcGo], ("client canceled ", "tcp dial: "), CANCELLED, Trace::Unsent).alone(),
    row(&[TrpcGo], ("client timeout ", "tcp dial: "), NOT_READY, Trace::Unsent).alone(),
    row(&[TrpcJava], ("timeout > ", " ms"), DEADLINE, Trace::CallerLeft),
    row(&[TrpcJava], ("link invoke request timeout > ", " ms"), DEADLINE, Trace::CallerLeft).alone(),
    row(
        &[TrpcJava],
        ("Failed to create channel, remote server(addr=", ""),
        NOT_CONNECTED,
        Trace::NoConnection,
    )
    .alone(),
    row(&[TrpcCpp], ("service name:", "sendrcv failed, ret:101"), DEADLINE, Trace::CallerLeft).alone(),
    row(
        &[TrpcCpp],
        ("service name:", "sendrcv failed, ret:"),
        "The call failed at the caller: the number says how.",
        Trace::Open,
    )
    .alone(),
    row(&[TrpcCpp], ("future invoke timeout, peer addr = ", ""), DEADLINE, Trace::CallerLeft).alone(),
    row(
        &[TrpcCpp],
        ("Network error peer addr = ", ""),
        "The connection could not be made, or broke.",
        Trace::Open,
    )
    .alone(),
];
