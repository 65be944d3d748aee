//! The forms of Kitex: errors of clients and servers (`pkg/kerrors/kerrors.go`, `bizerrors.go`), of streams
//! (`pkg/remote/trans/ttstream/exception.go`), and lines that its servers log of a request (`default_server_handler.go`,
//! `nphttp2/server_handler.go`, `ttstream/server_handler.go`, `detection/noop.go`).

use super::{Begin, Form, Place, layer, layer_of, leading_number};
use crate::calls::Initiator;
use crate::codes::library::Library;
use crate::codes::{kitex, thrift, ttstream};
use crate::explain::log::{LogError, Wording};

pub(super) const FORMS: &[Form] = &[
    (kitex::REMOTE_ERROR, Begin::Anywhere, parse_remote),
    (ttstream::ERROR_TEXT, Begin::Anywhere, parse_ttstream),
    (kitex::PLAIN_ERROR, Begin::Anywhere, parse_biz),
    ("KITEX: ", Begin::Anywhere, parse_server_line),
];

/// The words of the errors that Kitex raises at the caller.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    kitex::CALLER_ERRORS.iter().map(|(words, _)| *words)
}

fn parse_remote(place: Place<'_>) -> Option<LogError> {
    let rest = place.text.strip_prefix(kitex::REMOTE_ERROR)?;
    // In brackets: `remote`, `remote-ADDRESS`, the address alone or the reason why there was no further try, or nothing for errors of
    // the network or of another protocol.
    let (extra, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let wire = rest.strip_prefix(": ").unwrap_or(rest);
    let cause = place.cause(wire);
    let code = kitex::exception_type(wire);
    let wording = match extra.strip_prefix("remote") {
        Some(address) => {
            let address = address.trim_start_matches('-');
            Wording::KitexRemote((!address.is_empty()).then(|| address.to_owned()))
        }
        // The reason why there was no further try replaces `remote`.
        None if kitex::is_server_text(wire) && !extra.is_empty() => Wording::KitexRemote(None),
        None if cause.as_ref().is_some_and(|cause| cause.wording != Wording::Local) => return cause,
        None => Wording::KitexLocal(kitex::REMOTE_ERROR),
    };
    let cause = cause.filter(|cause| cause.wording != Wording::Local);
    Some(layer(wording, code, wire, cause))
}

/// Errors of Kitex whose words other programs use as well, and how they go on where Kitex prints them (`kerrors.go`, `rpctimeout.go`,
/// `retry/util.go`, `codec/validate.go`, `limiter_inbound.go`, `conn_wrapper.go`). Where nothing else shows Kitex, they count only so, or
/// alone.
const COMMON_WORDS: [(&str, &[&str]); 10] = [
    (
        "internal exception",
        &[
            "operation not supported",
            "no resolver available",
            "no dest ",
            "no connection available",
            "invoker request not set",
            "non-existent method",
            "not a ",
            "unsupported target EndpointInfo type",
        ],
    ),
    ("get connection error", &["dial ", "connection has been closed by peer", "long pool is already closed"]),
    (kitex::RPC_TIMEOUT, &["timeout=", "CallWithTimeout: ", "default codec read failed: "]),
    ("canceled by business", &["timeout="]),
    ("timeout by business", &["timeout="]),
    ("payload validation error", &["validation failed", "generate failed", "payload checksum value exceeds"]),
    ("request forbidden", &[]),
    ("request over limit", &["request too frequent", "to many connections"]),
    ("retry error", &["retry["]),
    ("panic", &["[happened in "]),
];

/// Whether nothing but Kitex prints these words with this text behind them.
fn is_certain(place: Place<'_>, words: &str, message: &str) -> bool {
    let is_alone = place.before.is_empty() && place.text == words && words.contains(' ');
    let Some((_, causes)) = COMMON_WORDS.iter().find(|(common, _)| *common == words) else { return true };
    place.is_inner() || is_alone || causes.iter().any(|cause| message.starts_with(cause))
}

pub(super) fn parse_kerror(place: Place<'_>) -> Option<LogError> {
    let (words, _) = kitex::CALLER_ERRORS.iter().find(|(words, _)| place.text.starts_with(words))?;
    let rest = place.text.strip_prefix(words)?;
    let rest = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']').map_or("", |(_, rest)| rest),
        None => rest,
    };
    let message = if rest.is_empty() { "" } else { rest.strip_prefix(": ")? };
    if !is_certain(place, words, message) {
        return None;
    }
    let cause = place.cause(message).filter(|cause| cause.wording != Wording::Local);
    Some(layer(Wording::KitexLocal(words), None, message, cause))
}

fn parse_biz(place: Place<'_>) -> Option<LogError> {
    let text = place.text;
    let said = text.strip_prefix(kitex::PLAIN_ERROR)?;
    if let Some((code, rest)) = text.strip_prefix(kitex::BIZ_STATUS).and_then(leading_number)
        && let Some(message) = rest.strip_prefix(", msg=")
    {
        return Some(layer(Wording::BizStatus, Some(code), message, None));
    }
    if let Some(status) = super::thrift::parse_biz_fields(said) {
        return Some(status);
    }
    Some(layer(Wording::KitexHandler, Some(thrift::INTERNAL_ERROR), text, place.cause(said)))
}

fn parse_ttstream(place: Place<'_>) -> Option<LogError> {
    let (code, rest) = leading_number(place.text.strip_prefix(ttstream::ERROR_TEXT)?)?;
    let mut rest = rest.strip_prefix(']')?.trim_start();
    let (mut side, mut path) = (None, Vec::new());
    while let Some((words, after)) = rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        let names = ["canceled path:", "canceled link:", "canceled by"].iter().find_map(|form| {
            words.split_whitespace().collect::<Vec<_>>().join(" ").strip_prefix(form).map(str::to_owned)
        });
        match (words, names) {
            ("client-side stream", _) => side = Some(Initiator::Client),
            ("server-side stream", _) => side = Some(Initiator::Server),
            (_, Some(names)) => {
                path = names.split([',', '>']).map(|name| name.trim_matches([' ', '-']).to_owned()).collect();
                path.retain(|name| !name.is_empty());
            }
            // The text of the error itself may begin with a bracket.
            _ => break,
        }
        rest = after.trim_start();
        // A path may continue after its bracket: `[canceled path: A] -> B`.
        while let Some(next) = rest.strip_prefix("-> ") {
            let (name, after) = next.split_once(' ').unwrap_or((next, ""));
            path.push(name.to_owned());
            rest = after.trim_start();
        }
    }
    let cause = place.cause(rest).filter(|cause| cause.wording != Wording::Local);
    Some(layer(Wording::Ttstream(side, path), Some(code), rest, cause))
}

/// What lines of a server say before their fields, and what they mean.
const SERVER_LINES: [(&str, &str); 10] = [
    (
        "processing request error caused by remote connection closed,",
        "the caller went away while its request was handled",
    ),
    ("processing request error,", "a request failed; the line comes before the answer is sent"),
    (
        "processing gRPC request error,",
        "a request over gRPC failed; the line comes before the answer is sent",
    ),
    ("processing ttstream request error,", "a stream failed, or no such service or method is here"),
    ("processing error,", "a connection failed before its protocol was known"),
    ("write error reply failed,", "the exception could not be sent: its caller got no answer"),
    ("panic happened", "the framework panicked, and closed the connection"),
    ("gRPC panic happened", "the framework panicked, and closed the connection"),
    ("ttstream panic happened", "the framework panicked, and closed the connection"),
    ("OnActive error=", "a connection was refused when it was accepted"),
];

/// `KITEX: processing request error, remoteService=S, remoteAddr=A, error=E`, then `\nstack=…`. The text on the wire is `E`, or `E [biz
/// error]` where the handler gave a number.
fn parse_server_line(place: Place<'_>) -> Option<LogError> {
    let rest = place.text.strip_prefix("KITEX: ")?;
    let (_, what) = SERVER_LINES.iter().find(|(words, _)| rest.starts_with(words))?;
    let (_, error) = rest.split_once("error=")?;
    let error = error.split_once("\nstack=").map_or(error, |(error, _)| error);
    let cause = place.cause(error).filter(|cause| cause.wording != Wording::Local);
    Some(layer_of(Library::Kitex, Wording::KitexServer(what), kitex::exception_type(error), error, cause))
}

/// Kitex marks errors that a handler returned with a number of its own by a suffix.
pub(super) fn parse_suffix(text: &str) -> Option<LogError> {
    let trimmed = text.trim_end();
    kitex::has_suffix(trimmed.as_bytes()).then(|| layer(Wording::KitexHandler, None, trimmed, None))
}
