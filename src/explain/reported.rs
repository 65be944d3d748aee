//! How the caller's library words a call's error in its logs: the way back from the wire to a log line.

use super::log::grpc_name;
use crate::calls::Carrier;
use crate::calls::record::{Call, Class, Finding, Initiator};

/// The words by which a text shows that Kitex made it (`server/invoke.go`, `pkg/remote/trans_errors.go`).
const KITEX_WORDS: [&str; 6] = [
    "biz error: ",
    "panic: [happened in ",
    "unknown method ",
    "unknown service ",
    "request over limit",
    "request forbidden",
];

/// What Kitex appends to the text of an error that a handler gave a number of its own.
const KITEX_SUFFIX: &str = " [biz error]";

/// The text that the caller's library prints for the failure of a call: trpc-go, Kitex or grpc-go, whichever the call's
/// protocol and the server's words point to. `None` where the caller words it in a way that the wire does not tell (its
/// own time-outs as a rule, exceptions of the IDL), or did not fail.
///
/// The text may be a part of what the caller prints: it is meant to be searched for. On a tRPC stream it is what follows
/// `caused by`, of Kitex over gRPC what follows `remote or network error: `.
#[must_use]
pub fn reported_as(call: &Call) -> Option<String> {
    let verdict = &call.verdict;
    let code = verdict.code;
    let message = verdict.message.as_deref().unwrap_or_default();
    let streams = call.rpc == "ttstream";
    match verdict.carrier {
        // trpc-go codec.go: `ret` makes type 3, `func_ret` type 2; stream/client.go: every failed stream type 3.
        Carrier::Ret | Carrier::TrpcStreamInit | Carrier::TrpcStreamReset | Carrier::TrpcStreamClose => {
            Some(format!("type:callee framework, code:{}, msg:{message}", code?))
        }
        Carrier::FuncRet => Some(format!("type:business, code:{}, msg:{message}", code?)),
        // Kitex pkg/kerrors/bizerrors.go. Where the payload holds an exception too, callers report that one.
        Carrier::BizStatus if verdict.class == Some(Class::Business) => {
            let alone = !call.findings.contains(Finding::BizStatusWithException);
            alone.then(|| code.map(|code| format!("biz error: code={code}, msg={message}")))?
        }
        Carrier::ThriftException if call.transport == "ttheader" || is_kitex(message) => {
            Some(format!("remote or network error[remote]: {message}"))
        }
        // Kitex pkg/remote/trans/ttstream: whatever the trailer's exception says is 12001 to the caller.
        Carrier::TtstreamTrailer => {
            Some(format!("[ttstream error, code=12001] [client-side stream] {message}"))
        }
        Carrier::TtstreamRst if verdict.initiator == Some(Initiator::Client) => {
            Some(format!("[ttstream error, code={}] [client-side stream] {message}", code?))
        }
        // Kitex prints codes by number (pkg/remote/trans/nphttp2/status). Unary calls get one more prefix; a stream that
        // failed early looks like one on the wire, so that it is left out.
        Carrier::GrpcStatus if is_kitex(message) => {
            Some(format!("rpc error: code = {} desc = {message}", code?))
        }
        Carrier::GrpcStatus => Some(format!("rpc error: code = {} desc = {message}", grpc_name(code?))),
        Carrier::TcpFin if !streams && verdict.initiator == Some(Initiator::Client) => kitex_timeout(call),
        _ => None,
    }
}

/// Whether a server of Kitex made the text, so that its caller is most likely of Kitex too.
fn is_kitex(message: &str) -> bool {
    message.ends_with(KITEX_SUFFIX) || KITEX_WORDS.iter().any(|words| message.starts_with(words))
}

/// Kitex's text for a time-out (`client/rpctimeout.go`), where the request's header tells enough: the caller closed its
/// connection, and not before the time was over that it had asked for.
fn kitex_timeout(call: &Call) -> Option<String> {
    /// How much sooner than asked for the close may seem to be: the clock of the capture is not the caller's.
    const SLACK: u64 = 5_000_000;
    let timeout = call.timeout.filter(|_| call.transport == "ttheader")?;
    let waited = call.end.since(call.start);
    let late = waited + SLACK >= timeout;
    let (callee, method) = (call.callee.as_deref()?, call.method.as_deref()?);
    late.then(|| {
        format!(
            "rpc timeout: timeout={}, to={callee}, method={method}, location=kitex.rpcTimeoutMW, remote={}",
            go_duration(timeout),
            call.server
        )
    })
}

/// Nanoseconds as Go prints a `time.Duration` of whole milliseconds.
fn go_duration(nanoseconds: u64) -> String {
    let ms = nanoseconds / 1_000_000;
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let seconds = (ms % 60_000) as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;
    use crate::explain::parse_log;

    #[test]
    fn durations_look_like_gos() {
        let ms = |ms: u64| go_duration(ms * 1_000_000);
        assert_eq!(
            [ms(150), ms(1000), ms(1500), ms(61_000), ms(3_600_000)],
            ["150ms", "1s", "1.5s", "1m1s", "1h0m0s"]
        );
    }

    /// What is printed leads back to the call.
    #[test]
    fn every_wording_finds_its_call_again() {
        let carriers = [
            (Carrier::Ret, Class::Rpc, "trpc"),
            (Carrier::FuncRet, Class::Business, "trpc"),
            (Carrier::TrpcStreamReset, Class::Business, "trpc-stream"),
            (Carrier::BizStatus, Class::Business, "thrift"),
            (Carrier::ThriftException, Class::Rpc, "thrift"),
            (Carrier::TtstreamTrailer, Class::Rpc, "ttstream"),
            (Carrier::TtstreamRst, Class::Rpc, "ttstream"),
            (Carrier::GrpcStatus, Class::Business, "grpc"),
        ];
        for (carrier, class, rpc) in carriers {
            let mut call = sample::bare();
            call.rpc = rpc;
            call.verdict.class = Some(class);
            call.verdict.carrier = carrier;
            call.verdict.code = Some(9);
            call.verdict.initiator = Some(Initiator::Client);
            call.verdict.message = Some("the shelf is empty".to_owned());
            let text = reported_as(&call).unwrap();
            let error = parse_log(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(error.matches(&call), "{text}: {error:?}");
        }
    }
}
