//! The forms of gRPC's and Connect's libraries that begin with the name of a code. Such names are common words, so each form has to hold
//! something more: a number that agrees with the name, an underscore, a quote, or a text that is known.
//!
//! | library | form | source |
//! | --- | --- | --- |
//! | grpc-js | `5 NOT_FOUND: TEXT` | `packages/grpc-js/src/call.ts` |
//! | grpc-java (`getMessage`), abseil, C core | `NOT_FOUND: TEXT`, `NOT_FOUND:TEXT` | `Status.java`, `status_internal.cc`, `status_helper.cc` |
//! | connect-go, dubbo-go | `not_found: TEXT` | `error.go` |
//! | connect-es (`message`) | `[not_found] TEXT` | `connect-error.ts` |
//! | grpc-swift 1 | `not found (5): TEXT` | `GRPCStatus.swift` |
//! | grpc-swift 2 | `notFound: "TEXT"` | `RPCError.swift` |

use std::sync::LazyLock;

use super::{Begin, Form, Place, before_stack, begins_error, layer, layer_of, leading_number, quoted};
use crate::codes::client_texts::client_text;
use crate::codes::grpc_names::{camel, from_snake, from_swift, from_upper, snake, upper};
use crate::codes::library::Library;
use crate::codes::{Family, grpc};
use crate::explain::log::{LogError, Wording};

pub(super) const FORMS: &[Form] = &[("[", Begin::OfError, parse_bracket)];

/// The names of codes with which a form begins, without those that begin with words of others.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let codes = || Family::Grpc.entries().iter().map(|entry| entry.code).filter(|code| *code != 0);
    let uppers = codes().filter_map(upper).map(str::to_owned);
    let snakes = codes().map(|code| snake(code).into_owned());
    let camels =
        codes().filter_map(camel).map(|name| lower_first(&name)).filter(|name| has_inner_capital(name));
    let spaced = codes().map(|code| snake(code).replace('_', " ")).filter(|name| name.contains(' '));
    let swift = ["internal error", "internalError", "cancelled"].map(str::to_owned);
    uppers.chain(snakes).chain(camels).chain(spaced).chain(swift).collect()
});

/// The names of codes with which a form may begin.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(String::as_str).chain(["CANCELED"])
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn has_inner_capital(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_uppercase())
}

/// Parses a form that begins with the name of a code.
pub(super) fn parse_named(place: Place<'_>) -> Option<LogError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if place.before.ends_with(is_word) {
        return None;
    }
    parse_node(place).or_else(|| {
        let begins = begins_error(place.before);
        let parse = || {
            parse_upper(place)
                .or_else(|| parse_snake(place))
                .or_else(|| parse_swift(place))
                .or_else(|| parse_swift2(place))
        };
        begins.then(parse).flatten()
    })
}

/// `5 NOT_FOUND: TEXT`: number and name agree.
fn parse_node(place: Place<'_>) -> Option<LogError> {
    let before = place.before.strip_suffix(' ')?;
    let start = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let number: i64 = before.get(start..)?.parse().ok()?;
    if !begins_error(before.get(..start)?) {
        return None;
    }
    let (name, message) = place.text.split_once(':')?;
    let code = from_upper(name).filter(|code| *code == number)?;
    let message = before_stack(message.strip_prefix(' ').unwrap_or(message)).0;
    Some(layer_of(Library::GrpcJs, Wording::Grpc, Some(code), message, own_cause(place, message)))
}

fn own_cause(place: Place<'_>, message: &str) -> Option<LogError> {
    place.cause(message).filter(|cause| cause.wording != Wording::Local)
}

/// `NOT_FOUND: TEXT`. Names of one word need a text that is known, because logs use them in other ways.
fn parse_upper(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.split_once(':')?;
    let code = from_upper(name)?;
    let message = before_stack(message.strip_prefix(' ').unwrap_or(message)).0;
    let known = client_text(message, &[Library::GrpcJava, Library::Grpcio]);
    let certain = name.contains('_') || matches!(code, grpc::UNIMPLEMENTED | grpc::UNAVAILABLE);
    if !certain && known.is_none() && grpc::code_of_text(message) != Some(code) {
        return None;
    }
    let library = known.and_then(|row| row.libraries.first().copied());
    Some(LogError { library, ..layer(Wording::Grpc, Some(code), message, own_cause(place, message)) })
}

/// Whether one of these libraries makes the text at a client.
fn made_by(text: &str, libraries: &[Library]) -> bool {
    client_text(text, libraries)
        .is_some_and(|row| row.libraries.iter().any(|library| libraries.contains(library)))
}

/// `not_found: TEXT`. A business text may begin so too: the whole text has to, or the rest has to be known.
fn parse_snake(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.split_once(": ")?;
    let code = from_snake(name)?;
    let known = made_by(message, &[Library::ConnectGo, Library::GoNet]);
    let certain = name.contains('_') && place.before.trim().is_empty();
    (certain || known)
        .then(|| layer_of(Library::ConnectGo, Wording::Grpc, Some(code), message, own_cause(place, message)))
}

/// `[not_found] TEXT`.
fn parse_bracket(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.strip_prefix('[')?.split_once("] ")?;
    let code = from_snake(name)?;
    let known = made_by(message, &[Library::ConnectEs, Library::NodeNet]);
    let certain = name.contains('_') && place.before.trim().is_empty();
    (certain || known)
        .then(|| layer_of(Library::ConnectEs, Wording::Grpc, Some(code), message, own_cause(place, message)))
}

/// `not found (5): TEXT`: name and number agree.
fn parse_swift(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.split_once(" (")?;
    let (number, rest) = leading_number(rest)?;
    let code = from_swift(name).filter(|code| *code == number)?;
    let message = rest.strip_prefix("): ")?;
    let message = message.split_once(", cause: ").map_or(message, |(message, _)| message);
    Some(layer_of(Library::GrpcSwift, Wording::Grpc, Some(code), message, own_cause(place, message)))
}

/// `notFound: "TEXT"`.
fn parse_swift2(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.split_once(": ")?;
    let code = from_swift(name).filter(|_| has_inner_capital(name))?;
    let (message, _) = quoted(rest)?;
    let cause = own_cause(place, &message);
    Some(layer_of(Library::GrpcSwift, Wording::Grpc, Some(code), &message, cause))
}
