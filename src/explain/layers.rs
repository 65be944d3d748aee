//! What the layers of an error text mean, for a person.

use std::fmt::Write as _;

use super::answer::put;
use super::log::{LogError, Wording};
use crate::codes::client_texts::ClientText;
use crate::codes::library::Library;
use crate::codes::named::counts;
use crate::codes::trace::Trace;
use crate::codes::value::Counts;
use crate::codes::{Entry, ErrorKind, Family, Raiser, grpc, kitex, leading_bytes, range};

/// The source of a layer of an error text, in one phrase.
fn phrase(error: &LogError) -> String {
    match &error.wording {
        Wording::TrpcFramework if error.library == Some(Library::TrpcCpp) => {
            "trpc-cpp: a failure of a client (ret)".to_owned()
        }
        Wording::TrpcBusiness if error.library == Some(Library::TrpcCpp) => {
            "trpc-cpp: the callee's business logic refused (func_ret)".to_owned()
        }
        Wording::TrpcCalleeFramework if error.library == Some(Library::TrpcCpp) => {
            "trpc-cpp: the callee's framework failed (ret)".to_owned()
        }
        Wording::TrpcFramework => "trpc-go at this side: its framework failed (type 1)".to_owned(),
        Wording::TrpcBusiness => "trpc-go: the callee's business logic refused (type 2)".to_owned(),
        Wording::TrpcCalleeFramework => "trpc-go: the callee's framework failed (type 3)".to_owned(),
        Wording::Trpc => {
            "trpc-java: an error; neither its code nor whose it is stands in the text (getCode, getBizCode)"
                .to_owned()
        }
        Wording::KitexRemote(None) => "Kitex: the callee answered with a failure (one hop)".to_owned(),
        Wording::KitexRemote(Some(address)) => {
            format!("Kitex: the callee at {address} answered with a failure (one hop)")
        }
        Wording::KitexLocal(words) => format!("Kitex at this side: {words}"),
        Wording::KitexHandler => {
            "Kitex: the handler returned an error other than a business error".to_owned()
        }
        Wording::BizStatus => {
            format!("{}: the callee's business logic refused", library_or(error, "Kitex"))
        }
        Wording::KitexServer(what) => format!("Kitex at the server: {what}"),
        Wording::Ttstream(side, path) => {
            let side = side.map(|side| format!(", raised at the {}'s side", side.name())).unwrap_or_default();
            match path.first() {
                Some(first) => {
                    format!("a stream of Kitex{side}; cancelled by {first} (path {})", path.join(" → "))
                }
                None => format!("a stream of Kitex{side}"),
            }
        }
        Wording::Grpc if error.is_likely() => {
            let library = library_or(error, "gRPC");
            format!("{library}, if the program uses it (others may word an error of their own so): a status")
        }
        Wording::Grpc if error.library == Some(Library::Tonic) => {
            "tonic, or Volo, which prints the same: a status".to_owned()
        }
        Wording::Grpc => format!("{}: a status", library_or(error, "gRPC")),
        Wording::Thrift => format!("{}: an application exception", library_or(error, "thrift")),
        Wording::Local if error.is_of_any_connection() => {
            format!("{}: a connection, of an RPC or of anything else", library_or(error, "a library"))
        }
        Wording::Local => format!("{} at this side: no answer of a server", library_or(error, "a library")),
    }
}

pub(super) fn put_log(out: &mut String, error: &LogError) {
    let from = match error.hops() {
        0 => String::new(),
        1 => "; it came from the callee, one hop down".to_owned(),
        hops => format!("; it came from {hops} hops down"),
    };
    _ = writeln!(out, "an error text{from}");
    let mut layers = error.layers().peekable();
    let mut explained: Vec<&'static Entry> = Vec::new();
    while let Some(layer) = layers.next() {
        let mut who = phrase(layer);
        let mut layer = layer;
        // Kitex words the callee's answer and its handler's error alike: one paragraph for both.
        if let Some(inner) = layers.next_if(|inner| inner.message == layer.message) {
            who = format!("{who}; {}", phrase(inner));
            // A handler's own number stands with the outer one.
            if inner.code.is_some() {
                layer = inner;
            }
        }
        let code = layer.code.map(|code| format!(", code {code}")).unwrap_or_default();
        _ = writeln!(out, "\n{who}{code}");
        put(out, "text", if layer.message.is_empty() { "(none)" } else { &layer.message });
        put_layer(out, layer, &mut explained);
    }
}

/// The library that the text shows, or the protocol.
fn library_or(error: &LogError, protocol: &'static str) -> &'static str {
    error.library.map_or(protocol, Library::name)
}

/// Who made a text that clients make, as a phrase.
pub(super) fn maker(layer: &LogError, text: &ClientText) -> String {
    let theirs = text.libraries.first().map_or("a library", |library| library.name());
    if text.trace == Trace::Sent {
        return format!("{theirs}, a proxy in between; every client shows it as the server's answer");
    }
    if text.shared {
        return "the caller's library, or the server's, which words it the same: the capture decides"
            .to_owned();
    }
    let own =
        layer.library.is_none_or(|library| text.libraries.contains(&library) || is_built_on(library, text));
    if own {
        "the caller's library; no server sent it".to_owned()
    } else {
        format!("the callee, which passed it on: it is how {theirs} words the failure of a call of its own")
    }
}

/// Who raised an error with this code, as a phrase. Where several may, the text says more than the code.
pub(super) fn raiser(layer: &LogError, entry: &Entry) -> &'static str {
    if entry.raiser != Raiser::Anyone {
        return entry.raiser.phrase();
    }
    if layer.message.is_empty() {
        return "the server (its framework or its handler), or the caller's library; there is no text that says which";
    }
    if grpc::code_of_text(&layer.message) == Some(entry.code) {
        return "the server's framework, which words it like this";
    }
    "the server: its framework or its handler; no caller's library is known to make this text"
}

/// Whether the text may be of the sockets on which a library is built.
fn is_built_on(library: Library, text: &ClientText) -> bool {
    let sockets = [Library::GoNet, Library::NodeNet, Library::JavaNet];
    library == Library::Thrift || text.libraries.iter().any(|own| sockets.contains(own))
}

/// Appends what is known of a text that clients make.
fn put_client_text(out: &mut String, layer: &LogError, text: &ClientText) {
    if let Some(entry) = layer.entry() {
        put(out, "name", entry.name);
    }
    put(out, "what", text.meaning);
    put(out, "who", &maker(layer, text));
    put(out, "wire", text.trace.sentence());
    let counts = match text.trace {
        _ if layer.is_of_any_connection() => "An RPC failure where the connection was one of an RPC.",
        Trace::Unsent => Counts::CallersFailure.sentence(),
        _ => Counts::Failure.sentence(),
    };
    put(out, "counts as", counts);
}

/// Appends what is known about a layer beyond its words. Each entry is explained once.
fn put_layer(out: &mut String, layer: &LogError, explained: &mut Vec<&'static Entry>) {
    if let Some(bytes) = leading_bytes::read(&layer.message) {
        put(out, "bytes", &format!("{bytes}."));
    }
    if let Some(text) = layer.client_text() {
        put_client_text(out, layer, text);
        return;
    }
    match (&layer.wording, layer.entry()) {
        (Wording::TrpcBusiness, entry) => {
            put(out, "who", "business error; raised by the server's handler");
            put(out, "counts as", Counts::Business.sentence());
            match entry.filter(|entry| entry.kind != ErrorKind::Success) {
                Some(entry) => {
                    let note = format!(
                        "The number is also the framework's {}: the callee may have passed on a framework error from \
                         below as its own.",
                        entry.name
                    );
                    put(out, "note", &note);
                }
                None => put(out, "look at", "The code in the callee's own table."),
            }
        }
        (_, Some(entry)) => {
            put(out, "name", entry.name);
            if !explained.contains(&entry) {
                explained.push(entry);
                put(out, "what", entry.meaning);
                put(out, "who", &format!("{}; raised by {}", entry.kind.phrase(), raiser(layer, entry)));
                put(
                    out,
                    "counts as",
                    layer.family().map_or("An RPC failure.", |family| counts(family, entry)),
                );
                put(out, "look at", entry.look);
            }
        }
        (Wording::KitexLocal(words), None) => {
            let value = layer.value();
            if let Some(value) = value {
                put(out, "name", value.name);
            }
            if let Some((_, meaning)) = kitex::CALLER_ERRORS.iter().find(|(known, _)| known == words) {
                put(out, "what", meaning);
            }
            if let Some(value) = value {
                put(out, "who", value.raised);
                put(out, "wire", value.wire);
                put(out, "checks", value.checks);
                put(out, "counts as", value.counts.sentence());
            }
        }
        (Wording::BizStatus, None) => {
            put(out, "counts as", Counts::Business.sentence());
            put(out, "look at", "The code in the callee's own table.");
        }
        (Wording::KitexHandler, None) => put(out, "look at", "The handler, and the callee's log."),
        (Wording::TrpcFramework | Wording::TrpcCalleeFramework, None) => {
            if let Some(range) = layer.code.and_then(|code| range(Family::Trpc, code)) {
                put(out, "code", &format!("no published table has it; published range: {}", range.meaning));
            }
        }
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::parse_log;

    fn explained(text: &str) -> String {
        let mut out = String::new();
        put_log(&mut out, &parse_log(text).unwrap_or_else(|| panic!("not read: {text}")));
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn it_is_said_who_made_a_text() {
        for (text, who) in [
            (
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.9:80: connect: connection refused\"",
                "who the caller's library; no server sent it",
            ),
            (
                "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
                "who the caller's library, or the server's, which words it the same",
            ),
            (
                "rpc error: code = Unavailable desc = Network closed for unknown reason",
                "who the callee, which passed it on: it is how grpc-java words the failure of a call of its own",
            ),
            (
                "14 UNAVAILABLE: upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "who Envoy, a proxy in between; every client shows it as the server's answer",
            ),
            (
                "remote or network error: default codec read failed: EOF peer close",
                "who the caller's library; no server sent it",
            ),
            (
                "application exception: remote service threw exception: [VOLO] thrift rpc call timeout, rpcinfo: x",
                "who the caller's library; no server sent it",
            ),
            ("rpc error: code = NotFound desc = no such order", "raised by the server's handler"),
            (
                "rpc error: code = Unavailable desc = the stock is closed",
                "raised by the server: its framework or its handler; no caller's library is known to make this text",
            ),
            ("5 NOT_FOUND: no such order", "raised by the server's handler"),
            (
                "12 UNIMPLEMENTED: The server does not implement the method /a.B/C",
                "raised by the server's framework,",
            ),
            ("14 UNAVAILABLE: ", "there is no text that says which"),
            (
                "kafka: dial tcp 10.0.0.9:9092: connect: connection refused",
                "counts as An RPC failure where the connection",
            ),
            ("already_exists: user", "connect-go, if the program uses it (others may word"),
        ] {
            let said = explained(text);
            assert!(said.contains(who), "{text}\n{said}");
        }
    }

    #[test]
    fn the_library_the_bytes_and_the_count_are_said() {
        let said = explained(
            "remote or network error: invalid payload (first4Bytes=0x48545450, second4Bytes=0x2f312e31)",
        );
        assert!(said.contains("bytes `HTTP/1.1`, an answer in HTTP/1."), "{said}");
        let said = explained("io.grpc.StatusRuntimeException: NOT_FOUND: no such order");
        assert!(
            said.contains("grpc-java: a status, code 5")
                && said.contains("counts as A success with a business code"),
            "{said}"
        );
        let said = explained("[ttstream error, code=12004] EOF peer close");
        assert!(said.contains("closed the connection") && !said.contains("could not be read"), "{said}");
        let said = explained("rpc error: code = 5 desc = grpc leg [biz error]");
        assert!(
            said.contains("Kitex: a status;") && said.contains(", code 5") && said.contains("NOT_FOUND"),
            "{said}"
        );
        let said = explained("create order: rpc timeout: timeout=150ms, to=shop.order, method=Place");
        assert!(said.contains("name ErrRPCTimeout") && said.contains("wire The caller's FIN"), "{said}");
        let said = explained("internal exception: no resolver available");
        assert!(said.contains("name ErrNoResolver") && said.contains("wire Nothing"), "{said}");
        let said = explained("biz error: status_code: 7, status_message: no, extra: ");
        assert!(said.contains("Volo: the callee's business logic refused, code 7"), "{said}");
    }
}
