//! A call in one sentence for a tired person: what happened, who raised it, where to look. One line, no control characters.

use std::fmt::Write as _;

use rpcscope_parsers::Rpc;

use super::labels;
use super::likely::Likely;
use super::record::{Call, Carrier, Class, Finding, Initiator};
use crate::codes::library_made::library_made;
use crate::codes::{grpc, http2, thrift, trpc};
use crate::text;

/// Longest error text that the sentence repeats, in columns. The whole text stands elsewhere.
const QUOTE: usize = 120;

/// What happened, who raised it, and who should look.
///
/// `business error 10001 "no such user" by the handler of user.Login; the RPC itself succeeded in 3.2ms`
#[must_use]
pub fn sentence(call: &Call) -> String {
    let mut out = match call.outcome.class {
        Some(Class::Ok) => ok(call),
        Some(Class::Business) => business(call),
        Some(Class::Rpc) => rpc(call),
        Some(Class::Transport) => transport(call),
        Some(Class::Unanswered) => unanswered(call),
        Some(Class::Oneway) => format!("one-way call of {}: no answer is expected", operation(call)),
        None if call.findings.contains(Finding::UndecodableAnswer) => {
            format!(
                "{} was answered with bytes that can't be decoded: whether it failed is not known",
                operation(call)
            )
        }
        None if call.findings.contains(Finding::Shed) => format!(
            "no answer to {} was read before rpcscope reached a bound and gave the call up: its outcome is not known",
            operation(call)
        ),
        None => format!(
            "{} was answered, but the capture lacks the part of the answer that holds the outcome{}",
            operation(call),
            span(call, ", after "),
        ),
    };
    if let Some(likely) = call.likely.as_deref() {
        out.push_str(&guess(likely));
    }
    for finding in call.findings.iter() {
        if let Some(remark) = remark(finding, call) {
            out.push_str("; ");
            out.push_str(remark);
        }
    }
    out
}

/// What is likely, and why: `; likely ok (ok: trailers without an error after one message)`.
fn guess(likely: &Likely) -> String {
    let method = likely.method.as_deref().map(|method| text::escape(method).into_owned());
    let class = likely.class.map(|class| labels::label(Some(class)).to_owned());
    let code = likely.code.map(|code| code.to_string());
    let parts: Vec<String> = [method, class, code].into_iter().flatten().collect();
    let why: Vec<&str> = likely.why.iter().map(|reason| reason.name()).collect();
    let what = if parts.is_empty() { "failed".to_owned() } else { parts.join(" ") };
    format!("; likely {} ({})", text::cut_middle(&what, NAME), why.join("; "))
}

/// Longest name that the sentence repeats, in columns.
const NAME: usize = 80;

/// The operation; where nothing names it, the address it was sent to.
fn operation(call: &Call) -> String {
    let name = labels::operation(call);
    if name == "?" {
        return format!("a call to {}", call.server);
    }
    text::cut_middle(&name, NAME).into_owned()
}

fn server(call: &Call) -> String {
    text::cut_middle(&labels::server(call), NAME).into_owned()
}

/// Code, name and text of the error: ` 6 INTERNAL_ERROR "biz error: no stock"`.
fn error(call: &Call) -> String {
    let outcome = &call.outcome;
    let mut out = String::new();
    // A tRPC stream can be reset without an error code: 0 would read like a success.
    if let Some(code) = outcome.code.filter(|code| *code != 0) {
        // Writing to a String can't fail.
        _ = write!(out, " {code}");
        if let Some(name) = outcome.code_name {
            _ = write!(out, " {name}");
        }
    }
    if let Some(message) = outcome.message.as_deref().filter(|message| !message.is_empty()) {
        let message = text::escape(message);
        _ = write!(out, " \"{}\"", text::cut_end(&message, QUOTE));
    }
    out
}

/// The name of an exception of the IDL, if a description names it.
fn outcome_name(call: &Call) -> Option<&'static str> {
    call.outcome.code_name.filter(|_| call.outcome.carrier == Carrier::IdlException)
}

/// The text of the error in quotes: ` "sold out"`.
fn quoted(call: &Call) -> String {
    let message = call.outcome.message.as_deref().filter(|message| !message.is_empty());
    let message = message.map(|message| format!(" \"{}\"", text::cut_end(&text::escape(message), QUOTE)));
    message.unwrap_or_default()
}

/// The same after a verb: ` with 8 CANCEL`.
fn with(call: &Call) -> String {
    let error = error(call);
    if error.is_empty() { error } else { format!(" with{error}") }
}

/// The latency after some words, or nothing where it is not known.
fn span(call: &Call, words: &str) -> String {
    call.latency.map(|latency| format!("{words}{}", text::duration(latency))).unwrap_or_default()
}

fn ok(call: &Call) -> String {
    match call.latency {
        Some(latency) => {
            format!("{} answered without an error in {}", operation(call), text::duration(latency))
        }
        None => format!("{} answered without an error; its request is not in the capture", operation(call)),
    }
}

fn business(call: &Call) -> String {
    let operation = operation(call);
    let error = error(call);
    let span = span(call, " in ");
    let fine = format!("the RPC itself succeeded{span}");
    match call.outcome.carrier {
        Carrier::IdlException => {
            let field = call
                .outcome
                .field_id
                .map(|field| format!(" (field {field} of its result)"))
                .unwrap_or_default();
            match outcome_name(call) {
                Some(name) => {
                    format!("exception {name}{} thrown by the handler of {operation}; {fine}", quoted(call))
                }
                None => format!(
                    "exception declared in the IDL{field} thrown by the handler of {operation}; {fine}"
                ),
            }
        }
        Carrier::GrpcStatus => format!(
            "business error{error} by the handler of {operation}, with a status that gRPC itself never raises; {fine}"
        ),
        Carrier::ConnectError => format!(
            "business error{error} by the handler of {operation}, with a code that libraries never raise; {fine}"
        ),
        _ => format!("business error{error} by the handler of {operation}; {fine}"),
    }
}

fn rpc(call: &Call) -> String {
    let operation = operation(call);
    let error = error(call);
    let with = with(call);
    let server = server(call);
    let code = call.outcome.code;
    let made = code.zip(call.outcome.message.as_deref());
    let made = made.and_then(|(code, text)| library_made(code, text.as_bytes()));
    match call.outcome.carrier {
        Carrier::ThriftException if call.findings.contains(Finding::BusinessAsRpc) => format!(
            "RPC error{error}: the handler of {operation} returned a plain error and its framework reports that as its own \
             failure; look at the handler"
        ),
        Carrier::ThriftException => match code {
            Some(thrift::UNKNOWN_METHOD) => format!(
                "RPC error{error}: {server} does not know the method {operation}; compare the IDL of both sides"
            ),
            Some(thrift::INTERNAL_ERROR) => format!(
                "RPC error{error}, raised on the side of {operation}: its framework, or a handler's plain error"
            ),
            _ => format!(
                "RPC error{error}, raised by the framework of {operation}; the handler may never have run"
            ),
        },
        Carrier::Ret | Carrier::TrpcStreamClose
            if code.is_some_and(|code| trpc::CLIENT_CODES.contains(&code)) =>
        {
            let code = code.unwrap_or_default();
            let failed = trpc::client_failed(code);
            match trpc::progress(code, call.outcome.message.as_deref()) {
                Some(trpc::Progress::Unsent) => format!(
                    "RPC error{error}: the client of {operation} {failed}, so it sent no call; look at its log, and at the addresses, naming and limits of what it calls"
                ),
                _ => format!(
                    "RPC error{error}: {operation} passes on a failure of a call that it made itself; look at the services below it"
                ),
            }
        }
        Carrier::Ret => format!(
            "RPC error{error}, raised by the framework of {operation}, not by its handler's business logic"
        ),
        Carrier::GrpcStatus | Carrier::ConnectError => match (made, code) {
            (Some(made), Some(thrift::UNKNOWN_METHOD | thrift::UNKNOWN_SERVICE)) => format!(
                "RPC error{error}: {server} does not have {operation}, says its framework {}; compare names and versions",
                made.library
            ),
            (Some(made), _) => format!(
                "RPC error{error} from {operation}: its library ({}) raised it, not its handler; look at limits and versions \
                 of both sides",
                made.library
            ),
            (None, Some(grpc::UNIMPLEMENTED)) => {
                format!("RPC error{error}: {server} has no method {operation}; compare names and versions")
            }
            (None, Some(grpc::DEADLINE_EXCEEDED)) => {
                format!("RPC error{error}: the deadline of {operation} passed{}", span(call, " after "))
            }
            (None, Some(grpc::UNAVAILABLE)) => format!(
                "RPC error{error}: {operation} answered that it is not available; look at {server} and what it needs"
            ),
            (None, Some(grpc::CANCELLED)) => {
                format!("RPC error{error}: {operation} was cancelled{}", span(call, " after "))
            }
            _ => {
                let protocol = match call.rpc {
                    Rpc::Connect => "Connect",
                    Rpc::Triple => "Triple",
                    _ => "gRPC",
                };
                format!(
                    "RPC error{error} from {operation}; {protocol} does not say whether its library or the handler raised it"
                )
            }
        },
        Carrier::HttpStatus => format!(
            "{operation} was answered with HTTP{error} and no status of the RPC; look at proxies before {server}"
        ),
        Carrier::BizStatus => format!(
            "the business status of {operation}{error} can't be read, so its caller sees an RPC error; look at how its \
             handler makes the status"
        ),
        Carrier::TtstreamRst => match (call.outcome.canceled_by(), call.outcome.initiator) {
            (Some(by), _) => {
                let by = text::escape(by);
                let by = text::cut_middle(&by, NAME);
                format!("the stream {operation} was broken off{with}: {by} cancelled first{}", path(call))
            }
            (None, Some(Initiator::Client)) => format!("the caller broke the stream {operation} off{with}"),
            (None, Some(Initiator::Server)) => format!("{server} broke the stream {operation} off{with}"),
            (None, None) => format!("the stream {operation} was broken off{with}"),
        },
        Carrier::TtstreamTrailer => {
            format!("RPC error{error}, raised by the framework of {operation} at the end of the stream")
        }
        Carrier::TrpcStreamInit => format!("{server} refused to open the stream {operation}{with}"),
        Carrier::TrpcStreamReset => format!("the stream {operation} was reset{}{with}", by(call)),
        Carrier::TrpcStreamClose => {
            format!("RPC error{error}: the framework of {operation} ended the stream")
        }
        Carrier::None if call.findings.contains(Finding::ForeignAnswer) => format!(
            "{operation} was answered in another language:{error}; look at what listens at {}, and at proxies before it",
            call.server
        ),
        Carrier::None if call.findings.contains(Finding::UndecodableAnswer) => format!(
            "{operation} was answered with bytes that no client of its protocol can decode; look at what listens at {}",
            call.server
        ),
        Carrier::None => {
            format!("{operation} ended without any status of the RPC; look at {server} and proxies before it")
        }
        Carrier::IdlException
        | Carrier::FuncRet
        | Carrier::H2RstStream
        | Carrier::H2Goaway
        | Carrier::TcpRst
        | Carrier::TcpFin => format!("RPC error{error} from {operation}"),
    }
}

/// ` (by way of gateway, order)`.
fn path(call: &Call) -> String {
    if call.outcome.cancel_path().len() < 2 {
        return String::new();
    }
    let names: Vec<_> = call.outcome.cancel_path().iter().map(|name| text::escape(name)).collect();
    format!(" (by way of {})", text::cut_middle(&names.join(", "), NAME))
}

fn by(call: &Call) -> &'static str {
    match call.outcome.initiator {
        Some(Initiator::Client) => " by the caller",
        Some(Initiator::Server) => " by the callee",
        None => "",
    }
}

fn transport(call: &Call) -> String {
    let operation = operation(call);
    let server = server(call);
    let with = with(call);
    let waited = waited(call);
    let announced = call.goaway.as_deref().filter(|note| note.code == 0 && note.by == Initiator::Server);
    match (call.outcome.carrier, call.outcome.initiator) {
        (Carrier::H2RstStream, Some(Initiator::Client)) => {
            format!(
                "the caller of {operation} broke the stream off{with}{waited}; a time-out or a cancel looks like this"
            )
        }
        (Carrier::H2RstStream, _) => {
            format!("{server} broke the stream {operation} off{with} before its answer")
        }
        (Carrier::H2Goaway, _) => {
            let said = call.goaway.as_deref().and_then(|note| note.text.as_deref());
            let said = said.map(goaway_text).unwrap_or_default();
            format!(
                "{server} stopped taking streams{with}{said} before it answered {operation}; look for a restart or a limit there"
            )
        }
        (Carrier::TcpFin | Carrier::TcpRst, Some(Initiator::Server)) if announced.is_some() => {
            let said = announced.and_then(|note| note.text.as_deref());
            let reason = said.and_then(http2::goaway_reason).unwrap_or("it ended the connection as planned");
            let said = said.map(goaway_text).unwrap_or_default();
            format!(
                "{server} ended the connection before {operation} was over: it had announced that with GOAWAY{said} ({reason}), and \
                 the stream outlived the grace period; this is no crash"
            )
        }
        (Carrier::TcpFin, Some(Initiator::Client)) => {
            format!(
                "the caller of {operation} closed the connection{waited}; most callers' time-outs look like this"
            )
        }
        (Carrier::TcpFin, _) => {
            format!(
                "{server} closed the connection before it answered {operation}; look for a crash or restart there"
            )
        }
        (Carrier::TcpRst, Some(Initiator::Client)) => {
            format!("the caller of {operation} reset the connection{waited}: it gave up or died")
        }
        (Carrier::TcpRst, _) => {
            format!(
                "{server} reset the connection before it answered {operation}; look for a crash or restart there"
            )
        }
        _ => format!("the connection broke before {operation} was answered{with}"),
    }
}

/// The debug data of a GOAWAY, quoted: ` "max_age"`.
fn goaway_text(text: &str) -> String {
    format!(" \"{}\"", text::cut_end(&text::escape(text), QUOTE))
}

/// How long the caller waited, and how long it had said it would.
fn waited(call: &Call) -> String {
    let waited = call.end.since(call.start);
    let missed = if call.latency.is_some() { "before the answer was whole" } else { "without an answer" };
    let mut out = format!(" after {} {missed}", text::duration(waited));
    if let Some(timeout) = call.timeout {
        _ = write!(out, " (its time-out: {})", text::duration(timeout));
    }
    out
}

fn unanswered(call: &Call) -> String {
    let operation = operation(call);
    let waited = call
        .timeout
        .map(|timeout| format!("; the caller said it would wait {}", text::duration(timeout)))
        .unwrap_or_default();
    format!("no answer to {operation} within the capture{waited}; look at {}", server(call))
}

/// What a finding adds to the sentence, where the sentence does not say it already.
fn remark(finding: Finding, call: &Call) -> Option<&'static str> {
    let said = match finding {
        Finding::CauseBelow => call.class() != Some(Class::Business),
        Finding::UndecodableAnswer => matches!(call.class(), Some(Class::Rpc) | None),
        _ => false,
    };
    finding.row().remark.filter(|_| !said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::GoAwayNote;
    use crate::calls::sample::{bare, failed, full, ok};

    #[test]
    fn each_outcome_names_who_raised_it() {
        let mut sentences = Vec::new();
        let mut add = |call: &Call| sentences.push(sentence(call));

        add(&ok());
        add(&bare());
        add(&full());
        let mut late = ok();
        late.latency = None;
        late.findings.insert(Finding::LateAnswer);
        late.findings.insert(Finding::MidStream);
        add(&late);
        add(&failed(Class::Business, Carrier::FuncRet, Some(10_001), "no such user"));
        add(&failed(Class::Business, Carrier::GrpcStatus, Some(5), "no row"));
        let mut declared = failed(Class::Business, Carrier::IdlException, None, "");
        declared.outcome.field_id = Some(1);
        add(&declared);
        let mut plain = failed(Class::Rpc, Carrier::ThriftException, Some(6), "biz error: no stock");
        plain.outcome.code_name = Some("INTERNAL_ERROR");
        add(&plain);
        plain.findings.insert(Finding::BusinessAsRpc);
        add(&plain);
        add(&failed(Class::Rpc, Carrier::ThriftException, Some(1), "unknown method Nope"));
        add(&failed(Class::Rpc, Carrier::Ret, Some(31), "panic"));
        add(&failed(Class::Rpc, Carrier::Ret, Some(101), "tcp client transport ReadFrame"));
        for code in [1, 4, 12, 13, 14] {
            add(&failed(Class::Rpc, Carrier::GrpcStatus, Some(code), "x"));
        }
        for (code, text) in [
            (1, "unknown method Nope"),
            (17, "stream Recv timeout, timeout config={Timeout:200ms} [biz error]"),
        ] {
            add(&failed(Class::Rpc, Carrier::GrpcStatus, Some(code), text));
        }
        add(&failed(Class::Rpc, Carrier::HttpStatus, Some(502), ""));
        add(&failed(Class::Rpc, Carrier::None, None, ""));
        for finding in [Finding::ForeignAnswer, Finding::UndecodableAnswer] {
            let mut foreign = failed(Class::Rpc, Carrier::None, None, "HTTP/1.1 400 Bad Request");
            foreign.findings.insert(finding);
            add(&foreign);
        }
        let mut undecodable = bare();
        undecodable.findings.insert(Finding::UndecodableAnswer);
        add(&undecodable);
        let mut cancelled = failed(Class::Rpc, Carrier::TtstreamRst, Some(12_007), "canceled");
        cancelled.outcome.extra().cancel_path = vec!["gateway".into(), "order".into()];
        add(&cancelled);
        for carrier in [Carrier::TcpFin, Carrier::TcpRst, Carrier::H2RstStream, Carrier::H2Goaway] {
            for initiator in [Some(Initiator::Client), Some(Initiator::Server)] {
                let mut broken = failed(Class::Transport, carrier, None, "");
                broken.outcome.initiator = initiator;
                broken.timeout = (carrier == Carrier::TcpFin).then_some(1_000_000_000);
                add(&broken);
            }
        }
        for (carrier, code) in [(Carrier::TcpFin, 0), (Carrier::H2Goaway, 11)] {
            let mut old = failed(Class::Transport, carrier, None, "");
            old.outcome.initiator = Some(Initiator::Server);
            let text = if code == 0 { "max_age" } else { "too_many_pings" };
            old.goaway = Some(Box::new(GoAwayNote { by: Initiator::Server, code, text: Some(text.into()) }));
            add(&old);
        }
        let mut silent = failed(Class::Unanswered, Carrier::None, None, "");
        silent.callee = None;
        silent.timeout = Some(500_000_000);
        add(&silent);
        let mut oneway = failed(Class::Oneway, Carrier::None, None, "");
        oneway.findings.insert(Finding::OnewayAnswered);
        add(&oneway);
        insta::assert_snapshot!(sentences.join("\n"));
    }

    #[test]
    fn every_class_and_carrier_makes_one_harmless_line() {
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                let mut call = failed(*class, *carrier, Some(7), &"\x1b[2J\n\u{202e}".repeat(400));
                call.service = Some("a\nb".into());
                call.caller = Some("\x07".into());
                call.callee = Some("\r".into());
                let sentence = sentence(&call);
                assert!(!sentence.chars().any(text::is_unsafe), "{sentence}");
                assert!(text::width(&sentence) < 500, "{sentence}");
            }
        }
    }
}
