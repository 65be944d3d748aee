//! How each library prints a gRPC status that a server sent. The forms are those that [`crate::explain`] reads, with their sources.

use std::borrow::Cow;

use super::{Escaped, Piece, Reported, reported, word};
use crate::codes::grpc;
use crate::codes::grpc_names::{camel, phrase, snake, upper};
use crate::codes::library::{Library, Version};

/// What Python prints around the text of a status.
static DETAILS: Escaped = Escaped { plain: "\n\tdetails = \"", json: "\\n\\tdetails = \\\"" };
static QUOTE: Escaped = Escaped { plain: "\"", json: "\\\"" };

/// The text of a library in that version. `None` for libraries that have no form of their own (C++), or none that is known.
pub(super) fn text(sender: (Library, Version), code: i64, message: &str) -> Option<Reported<'_>> {
    let (library, version) = sender;
    // Most libraries read numbers that are not published as UNKNOWN.
    let published = if upper(code).is_some() { code } else { grpc::UNKNOWN };
    let name = upper(published)?;
    Some(match library {
        Library::GrpcGo => go(Piece::Text(grpc::go_name(code)), message),
        Library::Kitex => go(code.into(), message),
        Library::GrpcJava if message.is_empty() => reported([word(name)]),
        Library::GrpcJava => reported([word(name), word(": "), message.into()]),
        Library::GrpcJs if published == code => js(code, name, message),
        Library::GrpcJs if version >= JS_KEEPS_NUMBERS => js(code, "undefined", message),
        Library::GrpcJs => js(published, name, message),
        Library::Grpcio | Library::GrpcAio => reported([
            word("status = StatusCode."),
            word(name),
            Piece::Escaped(&DETAILS),
            message.into(),
            Piece::Escaped(&QUOTE),
        ]),
        Library::Tonic => return tonic(version, published, message),
        // volo-grpc src/status.rs, `impl Display for Status`, from its beginnings on.
        Library::Volo => reported([word("status: "), rust(published)?, word(", message: "), debug(message)]),
        Library::GrpcDotnet if published == code => {
            let name = Piece::Text(camel(code)?);
            reported([
                "Status(StatusCode=\"".into(),
                name,
                "\", Detail=\"".into(),
                message.into(),
                "\")".into(),
            ])
        }
        Library::GrpcSwift if published == code => {
            let name = if code == grpc::INTERNAL { "internal error".into() } else { swift(name) };
            reported([Piece::Text(name), word(" ("), code.into(), word("): "), message.into()])
        }
        Library::ConnectGo | Library::DubboGo if message.is_empty() => reported([Piece::Text(snake(code))]),
        Library::ConnectGo | Library::DubboGo => {
            reported([Piece::Text(snake(code)), word(": "), message.into()])
        }
        Library::ConnectEs if published == code => {
            reported([word("["), Piece::Text(snake(code)), word("] "), message.into()])
        }
        _ => return None,
    })
}

/// How each library prints that the deadline passed which its request named, where nothing but the library words it: the beginning, if
/// numbers follow that only the caller knows. `None` for libraries of which the version or the kind of call decides.
///
/// grpc-go `internal/status`, connect-go `protocol_grpc.go`, grpc-js `deadline.ts`, grpcio `_channel.py`, grpc-java `Status.java`
/// (`CallOptions deadline exceeded after …`, `Context deadline exceeded after …` or `deadline exceeded after …`), grpc-dotnet
/// `GrpcCall.cs`.
pub(super) fn deadline(library: Library) -> Option<Reported<'static>> {
    Some(match library {
        Library::GrpcGo => {
            go(Piece::Text(grpc::go_name(grpc::DEADLINE_EXCEEDED)), "context deadline exceeded")
        }
        Library::ConnectGo => reported(["deadline_exceeded: context deadline exceeded".into()]),
        Library::GrpcJs => js(grpc::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "Deadline exceeded"),
        Library::Grpcio | Library::GrpcAio => {
            reported(["status = StatusCode.DEADLINE_EXCEEDED\n\tdetails = \"Deadline Exceeded\"".into()])
        }
        Library::GrpcJava => reported(["DEADLINE_EXCEEDED: ".into()]),
        Library::GrpcDotnet => reported(["Status(StatusCode=\"DeadlineExceeded\", Detail=\"\")".into()]),
        _ => return None,
    })
}

fn go<'a>(code: Piece<'a>, message: &'a str) -> Reported<'a> {
    reported([word(grpc::ERROR_TEXT), code, word(" desc = "), message.into()])
}

/// grpc-js keeps numbers that are not published from this version on.
const JS_KEEPS_NUMBERS: Version = (1, 10, 7);

fn js<'a>(code: i64, name: &'static str, message: &'a str) -> Reported<'a> {
    reported([code.into(), word(" "), word(name), word(": "), message.into()])
}

fn swift(name: &str) -> Cow<'static, str> {
    Cow::Owned(name.to_ascii_lowercase().replace('_', " "))
}

/// tonic has changed its form twice: `tonic/src/status.rs` at v0.1.0, v0.3.0, v0.14.2 and v0.14.3.
fn tonic(version: Version, code: i64, message: &str) -> Option<Reported<'_>> {
    let (start, name, middle) = match version {
        (0, 0, 0) => return None,
        version if version >= (0, 14, 3) && message.is_empty() => {
            return Some(reported(["code: '".into(), phrase(code)?.into(), "'".into()]));
        }
        version if version >= (0, 14, 3) => ("code: '", phrase(code)?.into(), "', message: "),
        (0, 14, 2) => ("status: '", phrase(code)?.into(), "', self: "),
        version if version >= (0, 3, 0) => ("status: ", rust(code)?, ", message: "),
        _ => ("grpc-status: ", rust(code)?, ", grpc-message: "),
    };
    Some(reported([start.into(), name, middle.into(), debug(message)]))
}

/// A text as Rust's `Debug` prints it.
fn debug(text: &str) -> Piece<'_> {
    Piece::Text(Cow::Owned(format!("{text:?}")))
}

fn rust(code: i64) -> Option<Piece<'static>> {
    Some(Piece::Text(if code == 0 { Cow::Borrowed("Ok") } else { camel(code)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(agent: &str, code: i64, message: &str) -> Option<String> {
        let sender = Library::of_user_agent(agent.as_bytes())?;
        text(sender, code, message).map(|text| text.to_string())
    }

    #[test]
    fn words_in_json_are_the_words() {
        for Escaped { plain, json } in [&DETAILS, &QUOTE] {
            assert_eq!(serde_json::to_string(plain).unwrap(), format!("\"{json}\""));
        }
    }

    #[test]
    fn each_library_prints_a_status_in_its_own_form() {
        for (agent, printed) in [
            ("grpc-go/1.68.0", "rpc error: code = NotFound desc = no \"such\" order"),
            ("kitex/v0.16.3", "rpc error: code = 5 desc = no \"such\" order"),
            ("grpc-java-netty/1.63.0", "NOT_FOUND: no \"such\" order"),
            ("grpc-node-js/1.14.7", "5 NOT_FOUND: no \"such\" order"),
            (
                "grpc-python/1.85.3 grpc-c/58.0.0 (linux; chttp2)",
                "status = StatusCode.NOT_FOUND\n\tdetails = \"no \"such\" order\"",
            ),
            (
                "grpc-python-asyncio/1.85.3 grpc-c/58.0.0 (linux; chttp2)",
                "status = StatusCode.NOT_FOUND\n\tdetails = \"no \"such\" order\"",
            ),
            ("tonic/0.1.1", "grpc-status: NotFound, grpc-message: \"no \\\"such\\\" order\""),
            ("tonic/0.12.3", "status: NotFound, message: \"no \\\"such\\\" order\""),
            (
                "tonic/0.14.2",
                "status: 'Some requested entity was not found', self: \"no \\\"such\\\" order\"",
            ),
            (
                "tonic/0.14.5",
                "code: 'Some requested entity was not found', message: \"no \\\"such\\\" order\"",
            ),
            (
                "grpc-dotnet/2.60.0 (.NET 8.0)",
                "Status(StatusCode=\"NotFound\", Detail=\"no \"such\" order\")",
            ),
            ("shop volo-user-agent", "status: NotFound, message: \"no \\\"such\\\" order\""),
            ("grpc-swift-nio/1.20.0", "not found (5): no \"such\" order"),
            ("grpc-go-connect/1.16.0 (go1.22)", "not_found: no \"such\" order"),
            ("connect-es/2.1.2", "[not_found] no \"such\" order"),
        ] {
            assert_eq!(said(agent, 5, "no \"such\" order").as_deref(), Some(printed), "{agent}");
            let error = crate::explain::parse_log(printed).unwrap_or_else(|| panic!("not read: {printed}"));
            assert_eq!((error.code, error.message.as_str()), (Some(5), "no \"such\" order"), "{printed}");
        }
        assert_eq!(said("grpc-c++/1.60.0 grpc-c/37.0.0 (linux; chttp2)", 5, "x"), None);
        assert_eq!(said("Go-http-client/2.0", 5, "x"), None);
    }

    #[test]
    fn numbers_above_the_published_ones_are_read_by_some_libraries() {
        for (agent, printed) in [
            ("grpc-go/1.68.0", Some("rpc error: code = Code(20) desc = odd")),
            ("kitex/v0.16.3", Some("rpc error: code = 20 desc = odd")),
            ("grpc-java-netty/1.63.0", Some("UNKNOWN: odd")),
            ("grpc-node-js/1.14.7", Some("20 undefined: odd")),
            ("grpc-node-js/1.9.15", Some("2 UNKNOWN: odd")),
            ("grpc-python/1.85.3 grpc-c/58.0.0", Some("status = StatusCode.UNKNOWN\n\tdetails = \"odd\"")),
            ("tonic/0.12.3", Some("status: Unknown, message: \"odd\"")),
            ("grpc-go-connect/1.16.0", Some("code_20: odd")),
            ("grpc-dotnet/2.60.0", None),
            ("connect-es/2.1.2", None),
        ] {
            assert_eq!(said(agent, 20, "odd").as_deref(), printed, "{agent}");
        }
        assert_eq!(said("grpc-java-netty/1.63.0", 14, "").as_deref(), Some("UNAVAILABLE"));
        assert_eq!(
            said("tonic/0.14.5", 12, "").as_deref(),
            Some("code: 'Operation is not implemented or not supported'")
        );
    }
}
