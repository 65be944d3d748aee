//! The forms of thrift's libraries and of Volo.
//!
//! | library | form | source |
//! | --- | --- | --- |
//! | Java | `org.apache.thrift.TApplicationException: TEXT` and a stack trace | `TServiceClient.java` |
//! | Python | `thrift.Thrift.TApplicationException: TEXT` | `Thrift.py` |
//! | Node | `TApplicationException: TEXT` | `thrift.js` |
//! | C++ | `apache::thrift::TApplicationException`, `what():  TEXT` | `TApplicationException.h` |
//! | Rust | `ApplicationError { kind: InternalError, message: "TEXT" }` | `errors.rs` |
//! | Volo | `application exception: KIND: TEXT`, `transport exception: …`, `protocol exception: …`, `biz error: status_code: N, status_message: TEXT, extra: …` | `volo-thrift/src/error.rs`, `pilota/src/thrift/error` |
//! | fbthrift (Python) | `ApplicationError: (<ApplicationErrorType.INTERNAL_ERROR: 6>, 'TEXT')` | `exceptions.pyx` |
//! | all | `TTransportException: …`, `TProtocolException: …` | `lib/*` |

use super::{Begin, Form, Place, before_stack, layer, layer_of, leading_number, quoted};
use crate::codes::library::Library;
use crate::codes::{thrift, volo};
use crate::explain::log::{LogError, Wording};

pub(super) const FORMS: &[Form] = &[
    (thrift::ERROR_TEXT, Begin::Anywhere, parse_exception),
    ("TTransportException: ", Begin::Anywhere, parse_local),
    ("TProtocolException: ", Begin::Anywhere, parse_local),
    ("ApplicationException { kind: ", Begin::Anywhere, parse_rust),
    ("ApplicationError { kind: ", Begin::Anywhere, parse_rust),
    ("ApplicationError: (<ApplicationErrorType.", Begin::Anywhere, parse_fbthrift),
    (volo::EXCEPTION, Begin::Anywhere, parse_volo),
    ("transport exception: ", Begin::Anywhere, parse_volo_local),
    ("protocol exception: ", Begin::Anywhere, parse_volo_local),
    ("BizError { status_code: ", Begin::Anywhere, parse_biz_debug),
    ("status_code: ", Begin::OfError, parse_bare_fields),
];

/// The library by the package that stands before the name of a class.
fn of_package(before: &str) -> Option<Library> {
    let packages = [
        ("org.apache.thrift.", Library::ThriftJava),
        ("org.apache.thrift.transport.", Library::ThriftJava),
        ("org.apache.thrift.protocol.", Library::ThriftJava),
        ("thrift.Thrift.", Library::ThriftPython),
        ("thrift.transport.TTransport.", Library::ThriftPython),
        ("thrift.protocol.TProtocol.", Library::ThriftPython),
        ("apache::thrift::", Library::ThriftCpp),
        ("apache::thrift::transport::", Library::ThriftCpp),
    ];
    packages.iter().find(|(package, _)| before.ends_with(package)).map(|(_, library)| *library)
}

fn parse_exception(place: Place<'_>) -> Option<LogError> {
    let rest = place.text.strip_prefix(thrift::ERROR_TEXT)?;
    let library = of_package(place.before);
    let exception = |code: Option<i64>, message: &str| {
        let cause = place.cause(message).filter(|cause| cause.wording != Wording::Local);
        LogError { library, ..layer(Wording::Thrift, code, message, cause) }
    };
    // Python's repr: `TApplicationException(message='…', type=6)`, or its arguments alone: `TApplicationException('…')`.
    if let Some(fields) = rest.strip_prefix('(') {
        let code = fields.split("type=").nth(1).and_then(leading_number).map(|(code, _)| code);
        let text = fields.split_once("message=").map_or(fields, |(_, text)| text);
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        return Some(exception(code, text.get(1..)?.split(quote).next().unwrap_or_default()));
    }
    // `what()` of a crashed program in C++.
    if let Some((_, what)) = rest.split_once("what():").filter(|_| library == Some(Library::ThriftCpp)) {
        return Some(exception(None, what.trim()));
    }
    let (code, rest) = match leading_number(rest.trim_start()) {
        Some((code, rest)) => (Some(code), rest),
        None => (None, rest),
    };
    // Without a text, the class stands before its stack trace.
    let (said, _) = before_stack(rest);
    match said.strip_prefix(": ") {
        Some(message) => Some(exception(code, message)),
        None => (said.is_empty() && library.is_some()).then(|| exception(code, "")),
    }
}

fn parse_local(place: Place<'_>) -> Option<LogError> {
    let (_, message) = place.text.split_once(": ")?;
    let (message, _) = before_stack(message);
    let library = of_package(place.before).unwrap_or(Library::Thrift);
    Some(layer_of(library, Wording::Local, None, message, None))
}

fn kind(is_it: impl Fn(&(&str, &str)) -> bool) -> Option<i64> {
    volo::KINDS.iter().position(is_it).map(|at| at as i64)
}

/// `application exception: remote service threw exception: TEXT`.
fn parse_volo(place: Place<'_>) -> Option<LogError> {
    let said = place.text.strip_prefix(volo::EXCEPTION)?;
    let (words, message) = said.split_once(": ")?;
    let code = kind(|(known, _)| *known == words);
    // Numbers beyond those of thrift have one word in common.
    if code.is_none() && words != volo::OTHER_KIND {
        return None;
    }
    let cause = place.cause(message).filter(|cause| cause.wording != Wording::Local);
    Some(layer_of(
        Library::Volo,
        Wording::Thrift,
        code.or_else(|| thrift::code_of_text(message)),
        message,
        cause,
    ))
}

fn parse_volo_local(place: Place<'_>) -> Option<LogError> {
    let (_, message) = place.text.split_once(": ")?;
    message.contains(": ").then(|| layer_of(Library::Volo, Wording::Local, None, message, None))
}

/// Debug of Rust's exceptions: the kind by name or number.
fn parse_rust(place: Place<'_>) -> Option<LogError> {
    let (_, rest) = place.text.split_once("kind: ")?;
    let (name, rest) = rest.split_once(", message: ")?;
    let number =
        name.strip_prefix("ApplicationExceptionKind(").and_then(leading_number).map(|(number, _)| number);
    let code = number.or_else(|| kind(|(_, known)| *known == name))?;
    let library = if number.is_some() { Library::Volo } else { Library::ThriftRust };
    let (message, _) = quoted(rest)?;
    let cause = place.cause(&message).filter(|cause| cause.wording != Wording::Local);
    Some(layer_of(library, Wording::Thrift, Some(code), &message, cause))
}

fn parse_fbthrift(place: Place<'_>) -> Option<LogError> {
    let (_, rest) = place.text.split_once("ApplicationErrorType.")?;
    let (_, rest) = rest.split_once(": ")?;
    let (code, rest) = leading_number(rest)?;
    let message = rest.strip_prefix(">, '")?;
    let message = message.rsplit_once("')").map_or(message, |(message, _)| message);
    Some(layer_of(Library::Fbthrift, Wording::Thrift, Some(code), message, place.cause(message)))
}

/// Volo's business status: `status_code: N, status_message: TEXT, extra: K: V,`.
pub(super) fn parse_biz_fields(text: &str) -> Option<LogError> {
    let (code, rest) = leading_number(text.strip_prefix("status_code: ")?)?;
    let message = rest.strip_prefix(", status_message: ")?;
    let message = message.rsplit_once(", extra: ").map_or(message, |(message, _)| message);
    Some(layer_of(Library::Volo, Wording::BizStatus, Some(code), message, None))
}

fn parse_bare_fields(place: Place<'_>) -> Option<LogError> {
    parse_biz_fields(place.text)
}

fn parse_biz_debug(place: Place<'_>) -> Option<LogError> {
    let (code, rest) = leading_number(place.text.strip_prefix("BizError { status_code: ")?)?;
    let (message, _) = quoted(rest.strip_prefix(", status_message: ")?)?;
    Some(layer_of(Library::Volo, Wording::BizStatus, Some(code), &message, None))
}
