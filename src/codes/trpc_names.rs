//! The names that tRPC's libraries have for its codes: trpc-go `errs/errs.go`, trpc-java `ErrorCode.java`, trpc-cpp
//! `trpc/codec/client_codec.h` and `server_codec.h`; the constants of `trpc.proto` are in [`super::trpc`].
//!
//! `errs.New` of trpc-go makes a business error whatever its number; only `errs.NewFrameError` makes one of the framework, and the
//! client makes `callee framework` from `ret`.

use super::library::Library;
use super::value::{Counts, ErrorValue};

/// Constants of trpc-go.
const GO: [(&str, i64); 27] = [
    ("RetOK", 0),
    ("RetServerDecodeFail", 1),
    ("RetServerEncodeFail", 2),
    ("RetServerNoService", 11),
    ("RetServerNoFunc", 12),
    ("RetServerTimeout", 21),
    ("RetServerOverload", 22),
    ("RetServerThrottled", 23),
    ("RetServerFullLinkTimeout", 24),
    ("RetServerSystemErr", 31),
    ("RetServerAuthFail", 41),
    ("RetServerValidateFail", 51),
    ("RetClientTimeout", 101),
    ("RetClientFullLinkTimeout", 102),
    ("RetClientConnectFail", 111),
    ("RetClientEncodeFail", 121),
    ("RetClientDecodeFail", 122),
    ("RetClientThrottled", 123),
    ("RetClientOverload", 124),
    ("RetClientRouteErr", 131),
    ("RetClientNetErr", 141),
    ("RetClientValidateFail", 151),
    ("RetClientCanceled", 161),
    ("RetClientReadFrameErr", 171),
    ("RetClientStreamQueueFull", 201),
    ("RetClientStreamReadEnd", 351),
    ("RetUnknown", 999),
];

/// Constants of trpc-go that lie outside of the published table, and what they mean (`errs/errs.go` since v1.0; `reflection/service.go`).
pub(super) const GO_EXTRA: [(&str, i64, &str); 2] = [
    (
        "RetInvalidArgument",
        400,
        "trpc-go: the caller sent an argument that is not valid; its reflection service returns it",
    ),
    ("RetNotFound", 404, "trpc-go: what was asked for does not exist; its reflection service returns it"),
];

/// Constants of trpc-java that are named otherwise than those of `trpc.proto`.
const JAVA: [(&str, i64); 6] = [
    ("TRPC_LINK_INVOKE_TIMEOUT_ERR", 102),
    ("JSON_SERIALIZATION_ERR", 2000),
    ("JSON_DESERIALIZATION_ERR", 2001),
    ("SIGNATURE_VERIFY_FAILURE", 3000),
    ("GET_AUTH_INFO_ERR", 5000),
    ("GET_ACL_INFO_ERR", 5001),
];

/// Constants of trpc-cpp.
const CPP: [(&str, i64); 19] = [
    ("ServerRetCode::DECODE_ERROR", 1),
    ("ServerRetCode::ENCODE_ERROR", 2),
    ("ServerRetCode::NOT_FUN_ERROR", 12),
    ("ServerRetCode::TIMEOUT_ERROR", 21),
    ("ServerRetCode::OVERLOAD_ERROR", 22),
    ("ServerRetCode::LIMITED_ERROR", 23),
    ("ServerRetCode::FULL_LINK_TIMEOUT_ERROR", 24),
    ("ServerRetCode::AUTH_ERROR", 41),
    ("ServerRetCode::INVOKE_UNKNOW_ERROR", 999),
    ("ClientRetCode::INVOKE_TIMEOUT_ERR", 101),
    ("ClientRetCode::FULL_LINK_TIMEOUT_ERROR", 102),
    ("ClientRetCode::CONNECT_ERROR", 111),
    ("ClientRetCode::ENCODE_ERROR", 121),
    ("ClientRetCode::DECODE_ERROR", 122),
    ("ClientRetCode::LIMITED_ERROR", 123),
    ("ClientRetCode::OVERLOAD_ERROR", 124),
    ("ClientRetCode::ROUTER_ERROR", 131),
    ("ClientRetCode::NETWORK_ERROR", 141),
    ("ClientRetCode::INVOKE_UNKNOW_ERROR", 999),
];

/// The code of a name, without the package before it, and the library that has it.
#[must_use]
pub(super) fn code(name: &str) -> Option<(i64, Library)> {
    let tables = [(&GO[..], Library::TrpcGo), (&JAVA[..], Library::TrpcJava), (&CPP[..], Library::TrpcCpp)];
    tables.into_iter().find_map(|(table, library)| {
        table.iter().find(|(known, _)| *known == name).map(|(_, code)| (*code, library))
    })
}

const fn value(
    name: &'static str,
    text: &'static str,
    checks: &'static str,
    raised: &'static str,
    wire: &'static str,
) -> ErrorValue {
    let counts = Counts::Failure;
    ErrorValue { library: Library::TrpcGo, name, text, basic: None, checks, raised, wire, counts }
}

const RET: &str = "An answer with `ret` of this number.";

/// The errors that trpc-go declares as values.
pub(super) const VALUES: &[ErrorValue] = &[
    value(
        "ErrServerNoService",
        "server router no service",
        "errs.Code: 11 (RetServerNoService), type framework.",
        "The server, when it does not have the service.",
        RET,
    ),
    value(
        "ErrServerNoFunc",
        "server router no rpc method",
        "errs.Code: 12 (RetServerNoFunc), type framework.",
        "The server, when the service does not have the function.",
        RET,
    ),
    value(
        "ErrServerTimeout",
        "server message handle timeout",
        "errs.Code: 21 (RetServerTimeout), type framework.",
        "The server, when its own time-out passes.",
        RET,
    ),
    value(
        "ErrServerOverload",
        "server overload",
        "errs.Code: 22 (RetServerOverload), type framework.",
        "The server's overload protection.",
        RET,
    ),
    value(
        "ErrServerRoutinePoolBusy",
        "server goroutine pool too small",
        "errs.Code: 22 (RetServerOverload), type framework.",
        "The server, when no goroutine of its pool is free.",
        RET,
    ),
    value(
        "ErrServerClose",
        "server close",
        "errs.Code: 31 (RetServerSystemErr), type framework.",
        "The server, when it shuts down.",
        RET,
    ),
    value(
        "ErrUnknown",
        "unknown error",
        "errs.Code: 999 (RetUnknown), type framework.",
        "Either side, for an error without a code.",
        RET,
    ),
    ErrorValue {
        counts: Counts::Nothing,
        ..value(
            "ErrServerNoResponse",
            "server no response",
            "errs.Code: 0, type framework.",
            "The server, inside the framework: the call wants no answer.",
            "Nothing: no answer is sent.",
        )
    },
    ErrorValue {
        counts: Counts::Nothing,
        ..value(
            "ErrClientNoResponse",
            "client no response",
            "errs.Code: 0, type framework.",
            "The client, inside the framework: the call was one-way.",
            "A request without an answer.",
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{Family, entry};

    #[test]
    fn every_name_has_a_known_code() {
        for (name, code) in GO.iter().chain(&JAVA).chain(&CPP) {
            assert!(entry(Family::Trpc, *code).is_some(), "{name} {code}");
        }
        assert_eq!(code("RetServerNoFunc"), Some((12, Library::TrpcGo)));
        assert_eq!(code("RetServer"), None);
    }
}
