//! The names of gRPC's status codes as each library spells them.
//!
//! | spelling | libraries | source |
//! | --- | --- | --- |
//! | `NotFound` | grpc-go, tonic, .NET | `codes/code_string.go`, `tonic/src/status.rs`, `StatusCode.cs` |
//! | `NOT_FOUND` | grpc-java, grpc-js, C core, grpcio, abseil, dubbo-java, grpc-web | `Status.java`, `constants.ts`, `status.h` |
//! | `not_found` | connect-go, connect-es, dubbo-go | `code.go`, `code-string.ts` |
//! | `not found` | grpc-swift 1 | `GRPCStatus.swift` |
//! | `notFound` | grpc-swift 2 | `Status.swift` |
//! | `Some requested entity was not found` | tonic from 0.14.2 on | `tonic/src/status.rs`, `Code::description` |

use std::borrow::Cow;

use super::named::qualified;
use super::{Family, grpc};

/// Descriptions of tonic, by code.
const PHRASES: [&str; 17] = [
    "The operation completed successfully",
    "The operation was cancelled",
    "Unknown error",
    "Client specified an invalid argument",
    "Deadline expired before operation could complete",
    "Some requested entity was not found",
    "Some entity that we attempted to create already exists",
    "The caller does not have permission to execute the specified operation",
    "Some resource has been exhausted",
    "The system is not in a state required for the operation's execution",
    "The operation was aborted",
    "Operation was attempted past the valid range",
    "Operation is not implemented or not supported",
    "Internal error",
    "The service is currently unavailable",
    "Unrecoverable data loss or corruption",
    "The request does not have valid authentication credentials",
];

/// What one of the words before a name in code contains, in lower case: `codes.NotFound`, `grpc::StatusCode::NOT_FOUND`,
/// `connect.CodeNotFound`, `google.rpc.Code.NOT_FOUND`.
const QUALIFIERS: [&str; 5] = ["code", "status", "grpc", "connect", "triple"];

/// What a name itself begins with in some languages: `GRPC_STATUS_NOT_FOUND`, `Code_NOT_FOUND`, `CodeNotFound`, `kNotFound`.
const PREFIXES: [&str; 4] = ["GRPC_STATUS_", "Code_", "Code", "k"];

/// The name as grpc-java, C core and most others spell it: `NOT_FOUND`.
#[must_use]
pub fn upper(code: i64) -> Option<&'static str> {
    super::name(Family::Grpc, code)
}

/// The name as connect-go spells it: `not_found`; `code_20` for numbers above the published ones.
#[must_use]
pub fn snake(code: i64) -> Cow<'static, str> {
    match upper(code) {
        Some("CANCELLED") => Cow::Borrowed("canceled"),
        Some(name) => Cow::Owned(name.to_ascii_lowercase()),
        None => Cow::Owned(format!("code_{code}")),
    }
}

/// The name as tonic and .NET spell it: `NotFound`. They differ from grpc-go in one.
#[must_use]
pub fn camel(code: i64) -> Option<Cow<'static, str>> {
    match code {
        grpc::CANCELLED => Some(Cow::Borrowed("Cancelled")),
        _ => upper(code).map(|_| grpc::go_name(code)),
    }
}

/// The description that tonic prints from 0.14.2 on.
#[must_use]
pub fn phrase(code: i64) -> Option<&'static str> {
    usize::try_from(code).ok().and_then(|code| PHRASES.get(code)).copied()
}

/// The code of an upper-case name (`NOT_FOUND`), with either spelling of CANCELLED.
#[must_use]
pub fn from_upper(name: &str) -> Option<i64> {
    let name = if name == "CANCELED" { "CANCELLED" } else { name };
    Family::Grpc.entries().iter().find(|entry| entry.name == name).map(|entry| entry.code)
}

/// The code of a name of connect-go: `not_found`, `code_20`.
#[must_use]
pub fn from_snake(name: &str) -> Option<i64> {
    let known = Family::Grpc.entries().iter().map(|entry| entry.code).find(|code| snake(*code) == name);
    known.filter(|code| *code != 0).or_else(|| name.strip_prefix("code_").and_then(|code| code.parse().ok()))
}

/// The code of a name as grpc-go, tonic or .NET print it.
#[must_use]
pub fn from_camel(name: &str) -> Option<i64> {
    let known = |code: &i64| grpc::go_name(*code) == name || camel(*code).is_some_and(|known| known == name);
    Family::Grpc.entries().iter().map(|entry| entry.code).find(known)
}

/// The code of a description of tonic.
#[must_use]
pub fn from_phrase(phrase: &str) -> Option<i64> {
    PHRASES.iter().position(|known| *known == phrase).map(|code| code as i64)
}

/// The code of a name as grpc-swift prints it, version 1 (`not found`, `internal error`) or 2 (`notFound`, `internalError`).
#[must_use]
pub fn from_swift(name: &str) -> Option<i64> {
    let is_it = |code: &i64| match *code {
        grpc::INTERNAL => matches!(name, "internal error" | "internalError"),
        code => {
            let first_version =
                upper(code).is_some_and(|upper| upper.to_ascii_lowercase().replace('_', " ") == name);
            first_version || camel(code).is_some_and(|camel| lower_first(&camel) == name)
        }
    };
    Family::Grpc.entries().iter().map(|entry| entry.code).find(is_it)
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

/// The code of a name in any library's spelling, with or without what stands before it in code (`codes.NotFound`,
/// `StatusCode.NOT_FOUND`, `GRPC_STATUS_NOT_FOUND`, `not_found`).
#[must_use]
pub fn spelled(name: &str) -> Option<i64> {
    let bare = |name: &str| {
        from_upper(name)
            .or_else(|| from_camel(name))
            .or_else(|| from_snake(name))
            .or_else(|| from_swift(name))
            .or_else(|| from_phrase(name))
    };
    let prefixed = |name: &str| PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix).and_then(bare));
    let inner = || {
        let (before, last) = qualified(name)?;
        let before = before.to_ascii_lowercase();
        let is_known = QUALIFIERS.iter().any(|word| before.contains(word));
        is_known.then(|| bare(last).or_else(|| prefixed(last))).flatten()
    };
    bare(name).or_else(|| name.strip_prefix(PREFIXES[0]).and_then(bare)).or_else(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_its_code() {
        for code in 0..=16 {
            let phrase = phrase(code).unwrap();
            assert_eq!(from_phrase(phrase), Some(code));
            assert_eq!(from_camel(&camel(code).unwrap()), Some(code));
            assert_eq!(from_upper(upper(code).unwrap()), Some(code));
            assert_eq!(from_snake(&snake(code)), (code != 0).then_some(code), "ok is no error of connect");
        }
        for name in [
            "NotFound",
            "NOT_FOUND",
            "not_found",
            "not found",
            "notFound",
            "codes.NotFound",
            "StatusCode.NOT_FOUND",
            "Status.Code.NOT_FOUND",
            "io.grpc.Status.Code.NOT_FOUND",
            "grpc.status.NOT_FOUND",
            "Code::NotFound",
            "tonic::Code::NotFound",
            "StatusCode.NotFound",
            "grpc::StatusCode::NOT_FOUND",
            "GRPC_STATUS_NOT_FOUND",
            "absl::StatusCode::kNotFound",
            "connect.CodeNotFound",
            "Code.NotFound",
            "TriRpcStatus.Code.NOT_FOUND",
            "google.rpc.Code.NOT_FOUND",
            "code.Code_NOT_FOUND",
            "Grpc.Core.StatusCode.NotFound",
            "RPCError.Code.notFound",
            "triple_protocol.CodeNotFound",
        ] {
            assert_eq!(spelled(name), Some(5), "{name}");
        }
        for name in ["Canceled", "Cancelled", "CANCELLED", "CANCELED", "canceled", "codes.Canceled"] {
            assert_eq!(spelled(name), Some(1), "{name}");
        }
        assert_eq!(
            (spelled("internalError"), spelled("internal error"), spelled("code_20")),
            (Some(13), Some(13), Some(20))
        );
        for name in [
            "notfound",
            "Not found",
            "NotFounds",
            "found",
            "codes.",
            "",
            "Some requested entity",
            "os.NotFound",
            "kNotFound",
        ] {
            assert_eq!(spelled(name), None, "{name}");
        }
    }
}
