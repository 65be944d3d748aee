//! The semantic conventions of OpenTelemetry for RPC (`docs/rpc/rpc-spans.md` of open-telemetry/semantic-conventions, stable since
//! 1.45): which of their values a call has.

use std::borrow::Cow;

use rpcscope_parsers::Rpc;

use crate::calls::record::{Call, Carrier, Class, Initiator};
use crate::codes::Family;

/// What stands for a method whose name is not known (`rpc.method`).
pub const UNKNOWN_METHOD: &str = "_OTHER";

/// Who saw a call, and so the kind of its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// The caller.
    Client,
    /// The callee.
    Server,
}

/// `rpc.system.name`. The convention has names for gRPC and Connect, and leaves others to whoever needs them.
#[must_use]
pub fn system(call: &Call) -> &'static str {
    match call.rpc {
        Rpc::Grpc | Rpc::GrpcWeb => "grpc",
        Rpc::Connect => "connectrpc",
        Rpc::Triple => "dubbo",
        Rpc::Thrift => "thrift",
        Rpc::KitexProtobuf | Rpc::Ttstream => "kitex",
        Rpc::Trpc | Rpc::TrpcStream | Rpc::TrpcHttp => "trpc",
        Rpc::Other(name) => name,
    }
}

/// `rpc.method`: `package.Service/Method`, as much of it as is known.
#[must_use]
pub fn method(call: &Call) -> Cow<'_, str> {
    match (call.service.as_deref(), call.method.as_deref()) {
        (Some(service), Some(method)) => Cow::Owned(format!("{service}/{method}")),
        (None, Some(method)) => Cow::Borrowed(method),
        (_, None) => Cow::Borrowed(UNKNOWN_METHOD),
    }
}

/// `rpc.status_code`: the status that the protocol itself carried. Statuses of HTTP are none of RPC.
#[must_use]
pub fn status_code(call: &Call) -> Option<Cow<'static, str>> {
    let outcome = &call.outcome;
    match (outcome.class, call.code_family(), outcome.code) {
        (Some(Class::Ok), ..) => match call.rpc {
            Rpc::Grpc | Rpc::GrpcWeb | Rpc::Connect | Rpc::Triple => Some("OK".into()),
            Rpc::Trpc | Rpc::TrpcStream | Rpc::TrpcHttp => Some("0".into()),
            Rpc::Thrift | Rpc::KitexProtobuf | Rpc::Ttstream | Rpc::Other(_) => None,
        },
        (_, Some(Family::Http | Family::Http2), _) | (_, _, None) => None,
        (_, Some(Family::Grpc), Some(code)) => {
            Some(outcome.code_name.map_or_else(|| code.to_string().into(), Cow::Borrowed))
        }
        (_, _, Some(code)) => Some(code.to_string().into()),
    }
}

/// Whether the call is an error for that end of it (`docs/rpc/grpc.md`, "Status"): everything that failed for the caller, and for the
/// callee of gRPC only what was its own fault.
#[must_use]
pub fn is_error(call: &Call, end: End) -> bool {
    let outcome = &call.outcome;
    let is_own_fault = || match (call.code_family(), outcome.code) {
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        (Some(Family::Grpc), Some(code)) => matches!(code, 2 | 4 | 12 | 13 | 14 | 15),
        // The caller did not wait for the answer.
        _ => !(outcome.carrier == Carrier::H2RstStream && outcome.initiator == Some(Initiator::Client)),
    };
    call.failed() && (end == End::Client || is_own_fault())
}

/// `error.type` of a call that is an error: its status, else the name of what happened.
#[must_use]
pub fn error_type(call: &Call) -> Cow<'static, str> {
    let name = || call.outcome.code_name.map(Cow::Borrowed);
    let number = || call.outcome.code.map(|code| code.to_string().into());
    let class = || call.outcome.class.map_or("unknown", Class::name).into();
    status_code(call).or_else(name).or_else(number).unwrap_or_else(class)
}

/// How long a call took, in seconds: to the end of its answer, or until it was decided that there is none.
#[must_use]
pub fn seconds(call: &Call) -> f64 {
    call.duration.unwrap_or_else(|| call.end.since(call.start)) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn grpc(code: Option<i64>, name: Option<&'static str>) -> Call {
        let class = if code.is_some() { Class::Rpc } else { Class::Ok };
        let mut call = sample::failed(class, Carrier::GrpcStatus, code, "");
        (call.rpc, call.outcome.code_name) = (Rpc::Grpc, name);
        call
    }

    #[test]
    fn statuses_are_those_of_the_protocol() {
        assert_eq!(status_code(&grpc(None, None)).as_deref(), Some("OK"));
        assert_eq!(status_code(&grpc(Some(5), Some("NOT_FOUND"))).as_deref(), Some("NOT_FOUND"));
        assert_eq!(status_code(&grpc(Some(77), None)).as_deref(), Some("77"));
        assert_eq!(status_code(&sample::ok()), None);
        let mut trpc = sample::failed(Class::Rpc, Carrier::Ret, Some(101), "");
        trpc.rpc = Rpc::Trpc;
        trpc.outcome.code_name = Some("RET_CLIENT_INVOKE_TIMEOUT");
        assert_eq!((status_code(&trpc).as_deref(), &*error_type(&trpc)), (Some("101"), "101"));
        let proxy = sample::failed(Class::Rpc, Carrier::HttpStatus, Some(503), "");
        assert_eq!((status_code(&proxy), &*error_type(&proxy)), (None, "503"));
        let broken = sample::failed(Class::Transport, Carrier::TcpRst, None, "");
        assert_eq!((status_code(&broken), &*error_type(&broken)), (None, "transport"));
    }

    #[test]
    fn callees_of_grpc_answer_for_their_own_faults_only() {
        let errors = |end| {
            (0..17).filter(|code| *code > 0 && is_error(&grpc(Some(*code), None), end)).collect::<Vec<_>>()
        };
        assert_eq!(errors(End::Client), (1..17).collect::<Vec<_>>());
        assert_eq!(errors(End::Server), [2, 4, 12, 13, 14, 15]);
        for end in [End::Client, End::Server] {
            assert!(!is_error(&grpc(None, None), end));
            assert!(is_error(&sample::failed(Class::Business, Carrier::BizStatus, Some(5), ""), end));
        }
        let mut left = sample::failed(Class::Transport, Carrier::H2RstStream, Some(8), "");
        left.outcome.initiator = Some(Initiator::Client);
        assert!(is_error(&left, End::Client) && !is_error(&left, End::Server));
    }

    #[test]
    fn methods_have_their_service() {
        let mut call = sample::ok();
        assert_eq!(method(&call), "OrderService/PlaceOrder");
        call.service = None;
        assert_eq!(method(&call), "PlaceOrder");
        call.method = None;
        assert_eq!(method(&call), "_OTHER");
    }
}
