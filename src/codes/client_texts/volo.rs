//! Volo `volo-thrift/src/client/layer/timeout.rs`, `volo/src/loadbalance/error.rs`, `transport/`.

use super::super::library::Library::Volo;
use super::super::trace::Trace;
use super::{CLOSED, ClientText, DEADLINE, REFUSED, RESET, row};

/// Every text.
pub(super) const ROWS: &[ClientText] = &[
    row(
        &[Volo],
        ("[VOLO] thrift rpc call timeout", ""),
        "The caller's time-out passed; the words `remote service threw exception` before it do not mean that the server answered.",
        Trace::CallerLeft,
    )
    .alone(),
    row(
        &[Volo],
        ("load balance retry reaches end", ""),
        "Every instance that the caller tried failed; its log has a line for each.",
        Trace::NoConnection,
    )
    .alone(),
    row(&[Volo], ("load balance discovery error", ""), "The caller's discovery failed.", Trace::Unsent).alone(),
    row(&[Volo], ("unexpected end of file: an unexpected end of file from server", ""), CLOSED, Trace::ServerLeft).alone(),
    row(&[Volo], ("connection refused: ", ""), REFUSED, Trace::NoConnection),
    row(&[Volo], ("connection reset", ""), RESET, Trace::ServerLeft),
    row(&[Volo], ("timed out", ""), DEADLINE, Trace::CallerLeft),
    row(&[Volo], ("seq_id not match", ""), "The answer is that of another call.", Trace::Answered).alone(),
    row(
        &[Volo],
        ("invalid thrift version: unknown protocol, first byte: ", ""),
        "The peer sent another protocol: the number is its first byte.",
        Trace::Foreign,
    )
    .alone(),
];
