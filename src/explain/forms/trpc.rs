//! The forms of tRPC's libraries.

use super::{Begin, Form, Place, before_stack, layer, layer_of, leading_number};
use crate::codes::library::Library;
use crate::codes::trpc;
use crate::explain::log::{LogError, Wording};

pub(super) const FORMS: &[Form] = &[
    (trpc::ERROR_TEXT, Begin::Anywhere, parse_go),
    ("com.tencent.trpc.core.exception.TRpcException: ", Begin::Anywhere, parse_java),
    ("ret: ", Begin::OfError, parse_cpp),
];

fn parse_go(place: Place<'_>) -> Option<LogError> {
    let (kind, rest) = place.text.strip_prefix(trpc::ERROR_TEXT)?.split_once(',')?;
    let wording = match kind.trim() {
        trpc::FRAMEWORK => Wording::TrpcFramework,
        trpc::BUSINESS => Wording::TrpcBusiness,
        trpc::CALLEE_FRAMEWORK => Wording::TrpcCalleeFramework,
        _ => return None,
    };
    let (code, rest) = leading_number(rest.trim_start().strip_prefix("code:")?.trim_start())?;
    let message = rest.trim_start_matches([',', ' ']).strip_prefix("msg:")?;
    // errs.Error puts the cause after the first of these, its %+v form after the second.
    for words in [", caused by ", "\nCause by "] {
        if let Some((own, cause)) = message.split_once(words) {
            return Some(layer(wording, Some(code), own, place.cause(cause)));
        }
    }
    Some(layer(wording, Some(code), message, None))
}

/// `TRpcException.java` does not override `toString`: neither code nor side is printed.
fn parse_java(place: Place<'_>) -> Option<LogError> {
    let (_, message) = place.text.split_once(": ")?;
    let (message, stack) = before_stack(message);
    let cause = stack.split_once("Caused by: ").and_then(|(_, cause)| place.cause(cause));
    Some(layer_of(Library::TrpcJava, Wording::Trpc, None, message, cause))
}

/// trpc-cpp `Status::ToString`: `ret: 12, func_ret: 0, err: …`.
fn parse_cpp(place: Place<'_>) -> Option<LogError> {
    let (ret, rest) = leading_number(place.text.strip_prefix("ret: ")?)?;
    let (func_ret, rest) = leading_number(rest.strip_prefix(", func_ret: ")?)?;
    let message = rest.strip_prefix(", err: ")?;
    let (wording, code) = match (ret, func_ret) {
        (0, 0) => return None,
        (0, func_ret) => (Wording::TrpcBusiness, func_ret),
        (ret, _) if trpc::CLIENT_CODES.contains(&ret) => (Wording::TrpcFramework, ret),
        (ret, _) => (Wording::TrpcCalleeFramework, ret),
    };
    Some(layer_of(Library::TrpcCpp, wording, Some(code), message, place.cause(message)))
}
