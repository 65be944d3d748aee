//! The error values of Kitex by name: `pkg/kerrors/kerrors.go`, `pkg/kerrors/bizerrors.go`, and the places that raise them (named in
//! each row). As of v0.16.3.
//!
//! `IsKitexError` asks for the type of the outermost value and does not unwrap, so that `fmt.Errorf("…: %w", err)` makes it false.
//! `IsTimeoutError` is `errors.Is(err, ErrRPCTimeout)` unless the program has set `kerrors.TimeoutCheckFunc`.

use super::library::Library;
use super::value::{Counts, ErrorValue};

/// What the checks say of a basic error.
const BASIC: &str = "IsKitexError: yes, unless something is wrapped around it. IsTimeoutError: no. errors.Is(err, it): yes, for the value \
     and for every DetailedError of this basic type.";

/// The same of the one that is a time-out.
const TIMEOUT: &str = "IsKitexError: yes, unless something is wrapped around it. IsTimeoutError and os.IsTimeout: yes. errors.Is(err, \
     ErrRPCTimeout): yes.";

/// The same of the parents of stream exceptions.
const STREAM: &str = "IsKitexError: no for the exceptions of streams, although the bare value is one. IsTimeoutError: no. errors.Is(err, it): \
     yes for the exceptions it stands for.";

/// The same of an error that has a basic type.
const DETAILED: &str = "IsKitexError: yes, unless something is wrapped around it. IsTimeoutError: no. errors.Is: yes for its basic type \
     and for itself, but only in the process that raises it, never across the network.";

const fn value(
    name: &'static str,
    text: &'static str,
    checks: &'static str,
    raised: &'static str,
    wire: &'static str,
    counts: Counts,
) -> ErrorValue {
    ErrorValue { library: Library::Kitex, name, text, basic: None, checks, raised, wire, counts }
}

const fn detailed(
    (name, basic): (&'static str, &'static str),
    text: &'static str,
    raised: &'static str,
    wire: &'static str,
    counts: Counts,
) -> ErrorValue {
    ErrorValue {
        library: Library::Kitex,
        name,
        text,
        basic: Some(basic),
        checks: DETAILED,
        raised,
        wire,
        counts,
    }
}

const NOTHING: &str = "Nothing: the call is not sent.";

/// Every value, the basic ones first.
pub(super) const VALUES: &[ErrorValue] = &[
    value(
        "ErrInternalException",
        "internal exception",
        BASIC,
        "The client, for a reason that follows the words (client/client.go).",
        "Nothing: the call is not sent. A server that returns it over gRPC sends status 13.",
        Counts::CallersFailure,
    ),
    value(
        "ErrServiceDiscovery",
        "service discovery error",
        BASIC,
        "The client, when its resolver fails (client/middlewares.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    value(
        "ErrGetConnection",
        "get connection error",
        BASIC,
        "The client, when it can't connect; printed `remote or network error: get connection error: …` \
         (pkg/remote/remotecli/conn_wrapper.go).",
        "A SYN that is refused or not answered; nothing if the pool refused.",
        Counts::Failure,
    ),
    value(
        "ErrLoadbalance",
        "loadbalance error",
        BASIC,
        "Nothing in Kitex itself; a load balancer of the program may.",
        NOTHING,
        Counts::CallersFailure,
    ),
    value(
        "ErrNoMoreInstance",
        "no more instances to retry",
        BASIC,
        "The client, when every instance was tried: `…: last error: LAST`, or when there was none: `…: last error: %!w(<nil>)` \
         (client/middlewares.go).",
        "What the last error leaves, once for each instance; nothing if there was no instance.",
        Counts::Failure,
    ),
    value(
        "ErrRPCTimeout",
        "rpc timeout",
        TIMEOUT,
        "The client, when its time-out or the context's deadline passes (client/rpctimeout.go). With `context canceled by business` at \
         its end, the calling code cancelled.",
        "The caller's FIN before the answer (over gRPC RST_STREAM CANCEL, with a multiplexed connection nothing); the answer is late or \
         missing.",
        Counts::Failure,
    ),
    value(
        "ErrCanceledByBusiness",
        "canceled by business",
        BASIC,
        "The client, when the calling code cancels the context, only after rpctimeout.EnableGlobalFineGrainedErrCode (since v0.5.2; \
         otherwise it is ErrRPCTimeout).",
        "As ErrRPCTimeout: the caller's FIN before the answer.",
        Counts::CallersFailure,
    ),
    value(
        "ErrTimeoutByBusiness",
        "timeout by business",
        BASIC,
        "The client, when the context's deadline is shorter than the configured time-out, only after \
         rpctimeout.EnableGlobalFineGrainedErrCode (since v0.5.2; otherwise it is ErrRPCTimeout).",
        "As ErrRPCTimeout: the caller's FIN before the answer.",
        Counts::Failure,
    ),
    value(
        "ErrACL",
        "request forbidden",
        BASIC,
        "An access rule (WithACLRules) at the client, or after `[remote]` at the server (pkg/acl/acl.go).",
        "From the client nothing; from the server exception 6 with this text, over gRPC status 7.",
        Counts::Failure,
    ),
    value(
        "ErrCircuitBreak",
        "forbidden by circuitbreaker",
        BASIC,
        "The client's circuit breaker, a consequence of earlier failures (pkg/circuitbreak/cbsuite.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    value(
        "ErrRemoteOrNetwork",
        "remote or network error",
        BASIC,
        "The client, around everything from encoding the request to decoding the answer. With `[remote]` the peer mostly answered; \
         without it the error is of the network, of the codec or of a gRPC status. A DetailedError keeps the cause: errors.Is and \
         errors.As see through it.",
        "With `[remote]` the exception of the answer; otherwise what the cause leaves.",
        Counts::Failure,
    ),
    value(
        "ErrOverlimit",
        "request over limit",
        BASIC,
        "The server's limiter (pkg/remote/bound/limiter_inbound.go).",
        "Exception 6 with the text, over gRPC status 8; or a connection that is closed without an answer.",
        Counts::Failure,
    ),
    value(
        "ErrPanic",
        "panic",
        BASIC,
        "The server, when the handler panics: `panic: [happened in biz handler, method=…] …`; its log has the stack.",
        "Exception 6 with the text, over gRPC status 13.",
        Counts::Failure,
    ),
    value(
        "ErrBiz",
        "biz error",
        BASIC,
        "The server, around any error of a handler that is no BizStatusError (server/server.go).",
        "Exception 6 with `biz error: TEXT`; over gRPC status 13 with `TEXT [biz error]`.",
        Counts::Failure,
    ),
    value(
        "BizStatusError",
        "biz error: code=N, msg=TEXT",
        "IsKitexError and IsTimeoutError: no. kerrors.FromBizStatusError(err): yes; for the middlewares of Kitex and its monitor the call \
         succeeded.",
        "The server's handler, which returns kerrors.NewBizStatusError(code, text).",
        "`biz-status`, `biz-message` and `biz-extra` in TTHeader or in gRPC trailers; other transports can't carry it.",
        Counts::Business,
    ),
    value(
        "ErrRetry",
        "retry error",
        BASIC,
        "The client, when its retries end by their time budget; the last try's own error is lost (pkg/retry/util.go).",
        "The earlier tries, from the second on with `RPC_PERSIST_RetryReq`.",
        Counts::Failure,
    ),
    value(
        "ErrRPCFinish",
        "rpc call finished",
        BASIC,
        "The client up to v0.14, for the losing try of a backup request; not seen by the calling code.",
        "Its answer, which nobody reads.",
        Counts::Nothing,
    ),
    value(
        "ErrRoute",
        "rpc route failed",
        BASIC,
        "Nothing in Kitex itself; plug-ins for routes (xDS) do.",
        NOTHING,
        Counts::CallersFailure,
    ),
    value(
        "ErrPayloadValidation",
        "payload validation error",
        BASIC,
        "Either side, when the checksum of a payload does not fit it (pkg/remote/codec/validate.go; since v0.11.0).",
        "A payload that does not fit its `crc32c`. A server that finds it sends no answer and closes the connection.",
        Counts::Failure,
    ),
    value(
        "ErrStreamingProtocol",
        "streaming protocol error",
        STREAM,
        "Never printed: it stands for the exceptions 12002 to 12006 of streams (since v0.12.0).",
        "What those leave: explain ttstream.",
        Counts::Failure,
    ),
    value(
        "ErrStreamingCanceled",
        "streaming canceled",
        STREAM,
        "Never printed: it stands for the exceptions 12007 to 12013 of streams (since v0.15.0).",
        "What those leave: explain ttstream.",
        Counts::CallersFailure,
    ),
    value(
        "ErrStreamingTimeout",
        "streaming timeout",
        STREAM,
        "Never printed: it stands for the exceptions 12014 and 12015 of streams (since v0.16.0).",
        "What those leave: explain ttstream.",
        Counts::Failure,
    ),
    detailed(
        ("ErrNotSupported", "ErrInternalException"),
        "internal exception: operation not supported",
        "The client, when a locked value of its configuration is set again (rpcinfo/rpcconfig.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoResolver", "ErrInternalException"),
        "internal exception: no resolver available",
        "The client, when it has neither a resolver nor host ports; the caller sees `service discovery error: internal exception: no \
         resolver available` (client/client.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoDestService", "ErrInternalException"),
        "internal exception: no dest service",
        "The client, when it knows no name of a service to call (client/middlewares.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoDestAddress", "ErrInternalException"),
        "internal exception: no dest address",
        "The client, when it has no address to connect to (remotecli/conn_wrapper.go, ttstream/client_handler.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoConnection", "ErrInternalException"),
        "internal exception: no connection available",
        "Nothing: Kitex declares it and raises it nowhere.",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoIvkRequest", "ErrInternalException"),
        "internal exception: invoker request not set",
        "Nothing: Kitex declares it and raises it nowhere.",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNonExistentMethod", "ErrInternalException"),
        "internal exception: non-existent method",
        "The client, when its own generated code lacks the method: `…, service: SVC, method: M` (client/client.go; since v0.15.0).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNotUnaryMethod", "ErrInternalException"),
        "internal exception: not a unary method",
        "The client, when a stream is called as a unary method: `…, service: SVC, method: M` (client/client.go; since v0.15.0).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNotStreamingMethod", "ErrInternalException"),
        "internal exception: not a streaming method",
        "The client, when a unary method is called as a stream: `…, service: SVC, method: M` (client/stream.go; since v0.15.0).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrNoInstance", "ErrServiceDiscovery"),
        "service discovery error: no instance available",
        "Resolvers, which are plug-ins; the client prints `service discovery error: ` once more before it.",
        NOTHING,
        Counts::Failure,
    ),
    detailed(
        ("ErrConnOverLimit", "ErrOverlimit"),
        "request over limit: to many connections",
        "The server, when it has too many connections; only its own log has the words (pkg/remote/bound/limiter_inbound.go).",
        "The server closes the connection after it accepted it, without an answer; the caller sees `EOF peer close` or `connection has \
         been closed`.",
        Counts::Failure,
    ),
    detailed(
        ("ErrQPSOverLimit", "ErrOverlimit"),
        "request over limit: request too frequent",
        "The server's limiter of requests per second (pkg/remote/bound/limiter_inbound.go).",
        "Exception 6 with this text, over gRPC status 8.",
        Counts::Failure,
    ),
    detailed(
        ("ErrServiceCircuitBreak", "ErrCircuitBreak"),
        "forbidden by circuitbreaker: service circuitbreak",
        "The client's circuit breaker for the whole service: too many of its calls failed (pkg/circuitbreak/cbsuite.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
    detailed(
        ("ErrInstanceCircuitBreak", "ErrCircuitBreak"),
        "forbidden by circuitbreaker: instance circuitbreak",
        "The client's circuit breaker for one instance: connecting to it failed too often. The client tries others first \
         (pkg/circuitbreak/cbsuite.go).",
        NOTHING,
        Counts::CallersFailure,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::kitex::CALLER_ERRORS;
    use super::*;

    #[test]
    fn a_detailed_error_begins_with_the_text_of_its_basic_type() {
        for value in VALUES {
            let Some(basic) = value.basic else { continue };
            let basic = VALUES.iter().find(|other| other.name == basic).unwrap();
            assert!(value.text.starts_with(&format!("{}: ", basic.text)), "{}", value.name);
        }
    }

    #[test]
    fn the_words_that_are_recognised_in_logs_are_those_of_the_values() {
        for (words, _) in CALLER_ERRORS {
            assert!(VALUES.iter().any(|value| value.text == *words), "{words}");
        }
    }
}
