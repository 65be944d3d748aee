//! The few words about a call that a row of a table has room for: letter, names, ends, verdict. Escaped for terminals.

use std::borrow::Cow;
use std::fmt::Write as _;

use rpcscope_parsers::Rpc;

use super::likely::Likely;
use super::record::{Call, Carrier, Class, Initiator, Name};
use crate::codes::{self, Family};
use crate::decode::Endpoint;
use crate::text::{escape, push_escaped};

/// The sign of a class where colour is not enough: nothing for ok, `~` where the answer was lost.
#[must_use]
pub fn letter(class: Option<Class>) -> char {
    class.map_or('~', |class| class.row().letter)
}

/// The class as people say it.
#[must_use]
pub fn label(class: Option<Class>) -> &'static str {
    class.map_or("unknown", |class| class.row().label)
}

/// `Service.Method`, or what of it is known; `unknown#17` for a name that was said before the capture began, `?` for none.
#[must_use]
pub fn operation(call: &Call) -> String {
    let mut out = String::new();
    push_operation(
        &mut out,
        call.service.as_deref().filter(|name| !name.is_empty()),
        call.method.as_deref().filter(|name| !name.is_empty()),
        call.unknown_name,
    );
    out
}

/// [`operation`], or `≈Service.Method` where it is only likely. For showing, never for counting.
#[must_use]
pub fn likely_operation(call: &Call) -> String {
    let likely = call.likely.as_deref().filter(|likely| call.method.is_none() && likely.method.is_some());
    let Some(likely) = likely else { return operation(call) };
    let mut out = String::from(LIKELY);
    let service = call.service.as_deref().or(likely.service.as_deref());
    push_operation(&mut out, service.filter(|name| !name.is_empty()), likely.method.as_deref(), None);
    out
}

/// The class as outputs name it, or `≈ok` where it is only likely.
#[must_use]
pub fn likely_class(call: &Call) -> Cow<'static, str> {
    match (call.class(), call.likely.as_deref()) {
        (Some(class), _) => class.name().into(),
        (None, Some(Likely { class: Some(class), .. })) => format!("{LIKELY}{}", class.name()).into(),
        (None, Some(likely)) if likely.failed() => format!("{LIKELY}failed").into(),
        (None, _) => "unknown".into(),
    }
}

/// [`verdict`], or what is likely of it: `≈ok`, `≈13 INTERNAL`, `≈failed`.
#[must_use]
pub fn likely_verdict(call: &Call) -> String {
    let Some(likely) = call.likely.as_deref().filter(|_| call.class().is_none()) else {
        return verdict(call);
    };
    let mut out = match likely.code {
        Some(code) => {
            let name = codes::name(Family::Grpc, code);
            format!("{LIKELY}{code}{}{}", if name.is_some() { " " } else { "" }, name.unwrap_or_default())
        }
        None if likely.class.is_some() || likely.failed() => likely_class(call).into_owned(),
        None => return verdict(call),
    };
    if let Some(message) = call.outcome.message.as_deref().filter(|message| !message.is_empty()) {
        out.push(' ');
        push_escaped(&mut out, message);
    }
    out
}

/// Stands before what is only likely.
pub const LIKELY: char = '≈';

/// [`operation`] from its parts.
pub fn push_operation(
    out: &mut String,
    service: Option<&str>,
    method: Option<&str>,
    unknown_name: Option<u64>,
) {
    if let Some(service) = service {
        push_escaped(out, service);
    }
    if service.is_some() && (method.is_some() || unknown_name.is_some()) {
        out.push('.');
    }
    match (method, unknown_name) {
        (Some(method), _) => push_escaped(out, method),
        // Writing to a String can't fail.
        (None, Some(group)) => _ = write!(out, "unknown#{group}"),
        (None, None) if service.is_none() => out.push('?'),
        (None, None) => {}
    }
}

/// Who called, in the words that say most: service name of the wire, name in a file, process, address.
#[must_use]
pub fn client(call: &Call) -> Cow<'_, str> {
    end(call.caller.as_ref(), call, Initiator::Client, call.caller_address())
}

/// Who was called, likewise.
#[must_use]
pub fn server(call: &Call) -> Cow<'_, str> {
    end(call.callee.as_ref(), call, Initiator::Server, call.server)
}

fn end<'c>(name: Option<&'c Name>, call: &'c Call, end: Initiator, address: Endpoint) -> Cow<'c, str> {
    if let Some(name) = name.or_else(|| call.file_name(end)).filter(|name| !name.is_empty()) {
        return escape(name);
    }
    // A process may serve on several ports, and one host runs many of a name.
    let process = call.process(end).map(|process| &process.name).filter(|name| !name.is_empty());
    let port = address.port;
    Cow::Owned(process.map_or_else(|| address.to_string(), |name| format!("{}:{port}", escape(name))))
}

/// The protocol as one word: the framing of thrift, which is what differs there, else the RPC protocol.
#[must_use]
pub fn protocol(call: &Call) -> &'static str {
    match call.rpc {
        Rpc::Thrift | Rpc::KitexProtobuf => call.transport.name(),
        rpc => rpc.name(),
    }
}

/// What became of the call in a few words: `ok`, `4041 no stock`, `13 INTERNAL boom`, `reset by client`, `no answer`.
#[must_use]
pub fn verdict(call: &Call) -> String {
    let mut out = String::new();
    let outcome = &call.outcome;
    match (outcome.class, outcome.carrier) {
        (None, _) => out.push_str("answer lost"),
        (Some(Class::Transport), carrier) => {
            out.push_str(match carrier {
                Carrier::H2RstStream => "RST_STREAM",
                Carrier::H2Goaway => "GOAWAY",
                Carrier::TcpRst => "reset",
                Carrier::TcpFin => "closed",
                other => other.name(),
            });
            if let Some(code) = outcome.code_name {
                out.push(' ');
                out.push_str(code);
            } else if let Some(code) = outcome.code {
                _ = write!(out, " {code}");
            }
            match outcome.initiator {
                Some(Initiator::Client) => out.push_str(" by client"),
                Some(Initiator::Server) => out.push_str(" by server"),
                None => {}
            }
        }
        (Some(Class::Business | Class::Rpc), carrier) => {
            match (carrier, outcome.code) {
                (Carrier::HttpStatus, Some(code)) => _ = write!(out, "HTTP {code}"),
                // The reset is the error; its code may say nothing of it.
                (Carrier::TrpcStreamReset, Some(0)) => out.push_str("stream reset"),
                (Carrier::IdlException, code) if outcome.code_name.is_some() => {
                    out.push_str(outcome.code_name.unwrap_or_default());
                    if let Some(code) = code {
                        _ = write!(out, " {code}");
                    }
                }
                (_, Some(code)) => _ = write!(out, "{code}"),
                (Carrier::IdlException, None) => {
                    out.push_str("exception");
                    if let Some(field) = call.outcome.field_id {
                        _ = write!(out, " in field {field}");
                    }
                }
                (Carrier::None, None) => out.push_str("no status"),
                (carrier, None) => out.push_str(carrier.name()),
            }
            // The message says it better where there is one.
            let has_text = outcome.message.as_deref().is_some_and(|message| !message.is_empty());
            let named = outcome.code != Some(0)
                && carrier != Carrier::IdlException
                && (!has_text || matches!(carrier, Carrier::GrpcStatus | Carrier::ConnectError));
            if let Some(name) = outcome.code_name.filter(|_| named) {
                out.push(' ');
                out.push_str(name);
            }
        }
        (Some(class), _) => out.push_str(class.row().label),
    }
    if let Some(message) = outcome.message.as_deref().filter(|message| !message.is_empty()) {
        out.push(' ');
        push_escaped(&mut out, message);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::likely::Reason;
    use crate::calls::record::{Named, Process};
    use crate::calls::sample::{bare, failed, ok};

    #[test]
    fn every_class_has_a_sign_of_its_own() {
        let mut signs: Vec<char> = Class::ALL.iter().map(|class| letter(Some(*class))).collect();
        signs.push(letter(None));
        signs.sort_unstable();
        signs.dedup();
        assert_eq!(signs.len(), Class::ALL.len() + 1);
    }

    #[test]
    fn names_come_before_addresses_and_what_is_unknown_is_said() {
        assert_eq!(operation(&ok()), "OrderService.PlaceOrder");
        assert_eq!((&*client(&ok()), &*server(&ok())), ("web", "order"));
        let mut call = bare();
        assert_eq!(operation(&call), "?");
        assert_eq!((&*client(&call), &*server(&call)), ("10.77.0.11:51234", "10.77.0.12:8888"));
        call.unknown_name = Some(17);
        assert_eq!(operation(&call), "unknown#17");
        call.service = Some("a\x1bb".into());
        assert_eq!(operation(&call), "a\\x1bb.unknown#17");
        call.set_processes([None, Some(Process::new(1, "init"))]);
        assert_eq!(server(&call), "init:8888");
        call.set_names([None, Some(Arc::new(Named { pod: Some("shop/a\x1b".into()), ..Named::default() }))]);
        assert_eq!(server(&call), "shop/a\\x1b");
    }

    #[test]
    fn what_is_likely_is_marked_and_never_hides_what_is_known() {
        let likely = |class, code, why| Likely {
            service: Some("a.S".into()),
            method: Some("Get".into()),
            class,
            code,
            percent: 98,
            why: vec![why],
        };
        let of = |likely| Call { unknown_name: Some(17), likely: Some(Box::new(likely)), ..bare() };
        let labels =
            |call: &Call| (likely_operation(call), likely_class(call).into_owned(), likely_verdict(call));
        let texts = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        let ok_call = of(likely(Some(Class::Ok), None, Reason::OneMessage));
        assert_eq!(labels(&ok_call), texts("≈a.S.Get", "≈ok", "≈ok"));
        let code = of(likely(Some(Class::Business), Some(5), Reason::Number));
        assert_eq!(labels(&code), texts("≈a.S.Get", "≈business", "≈5 NOT_FOUND"));
        let failed = of(likely(None, None, Reason::TrailersOnly));
        assert_eq!(labels(&failed), texts("≈a.S.Get", "≈failed", "≈failed"));
        // What is used for counting does not know of it.
        assert_eq!((operation(&code).as_str(), verdict(&code).as_str()), ("unknown#17", "answer lost"));
        let known = Call { likely: code.likely.clone(), ..ok() };
        assert_eq!(labels(&known), texts("OrderService.PlaceOrder", "ok", "ok"));
    }

    #[test]
    fn verdicts_are_short_and_harmless() {
        let mut reset = failed(Class::Transport, Carrier::H2RstStream, Some(8), "");
        reset.outcome.code_name = Some("CANCEL");
        reset.outcome.initiator = Some(Initiator::Client);
        assert_eq!(verdict(&reset), "RST_STREAM CANCEL by client");
        let mut grpc = failed(Class::Rpc, Carrier::GrpcStatus, Some(13), "boom\x07");
        grpc.outcome.code_name = Some("INTERNAL");
        assert_eq!(verdict(&grpc), "13 INTERNAL boom\\x07");
        let mut exception = failed(Class::Rpc, Carrier::ThriftException, Some(6), "biz error: no stock");
        exception.outcome.code_name = Some("INTERNAL_ERROR");
        assert_eq!(verdict(&exception), "6 biz error: no stock");
        exception.outcome.message = None;
        assert_eq!(verdict(&exception), "6 INTERNAL_ERROR");
        let mut declared = failed(Class::Business, Carrier::IdlException, None, "");
        declared.outcome.field_id = Some(2);
        assert_eq!(verdict(&declared), "exception in field 2");
        let mut silent = failed(Class::Rpc, Carrier::TrpcStreamReset, Some(0), "");
        silent.outcome.code_name = Some("SUCCESS");
        assert_eq!(verdict(&silent), "stream reset");
        assert_eq!(verdict(&failed(Class::Rpc, Carrier::HttpStatus, Some(502), "")), "HTTP 502");
        assert_eq!(verdict(&failed(Class::Unanswered, Carrier::None, None, "")), "no answer");
        assert_eq!(verdict(&bare()), "answer lost");
    }
}
