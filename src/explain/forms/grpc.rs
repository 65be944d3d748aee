//! The forms of gRPC's and Connect's libraries that begin with words of their own. Those that begin with the name of a code are in
//! [`super::status`].
//!
//! | library | form | source |
//! | --- | --- | --- |
//! | grpc-go, Kitex | `rpc error: code = NotFound desc = TEXT`, Kitex with the number | `internal/status/status.go`, `nphttp2/status` |
//! | grpc-java | `io.grpc.StatusRuntimeException: NOT_FOUND: TEXT`, `Status{code=NOT_FOUND, description=TEXT, cause=…}` | `Status.java` |
//! | grpcio | `<_InactiveRpcError of RPC that terminated with:⏎ status = StatusCode.NOT_FOUND⏎ details = "TEXT"⏎ …>` | `_channel.py`, `aio/_call.py` |
//! | C core | `UNKNOWN:Error received from peer {grpc_message:"TEXT", grpc_status:5}` | `status_helper.cc` |
//! | tonic | `status: NotFound, message: "TEXT", …`, `Status { code: NotFound, message: "TEXT", …}`, `code: 'PHRASE', message: "TEXT"` | `tonic/src/status.rs` |
//! | grpc-dotnet | `Status(StatusCode="NotFound", Detail="TEXT")`, and its log lines | `Status.cs`, `GrpcCallLog.cs`, `GrpcServerLog.cs` |
//! | connect-es | `ConnectError: [not_found] TEXT` | `connect-error.ts` |
//! | Connect, gateways | `{"code":"not_found","message":"TEXT"}` | `protocol_connect.go` |
//! | dubbo-java | `StatusRpcException: NOT_FOUND : TEXT`, `Failed to invoke the method …` | `TriRpcStatus.java`, `FailoverClusterInvoker.java` |
//! | grpc-web | `RpcError(NOT_FOUND): TEXT` | `rpcerror.js` |
//! | grpcurl | `Code: NotFound⏎ Message: TEXT` | `format.go` |

use super::{Begin, Form, Place, before_stack, layer, layer_of, leading_number, quoted};
use crate::codes::grpc;
use crate::codes::grpc_names::{from_camel, from_phrase, from_snake, from_upper};
use crate::codes::library::Library;
use crate::explain::log::{LogError, Wording};

pub(super) const FORMS: &[Form] = &[
    (grpc::ERROR_TEXT, Begin::Anywhere, parse_go),
    ("StatusRuntimeException: ", Begin::Anywhere, parse_java),
    ("StatusException: ", Begin::Anywhere, parse_java),
    ("Status{code=", Begin::Anywhere, parse_java_status),
    ("<_InactiveRpcError of RPC that terminated with", Begin::Anywhere, parse_python),
    ("<_MultiThreadedRendezvous of RPC that terminated with", Begin::Anywhere, parse_python),
    ("<_SingleThreadedRendezvous of RPC that terminated with", Begin::Anywhere, parse_python),
    ("<_Rendezvous of RPC that terminated with", Begin::Anywhere, parse_python),
    ("<AioRpcError of RPC that terminated with", Begin::Anywhere, parse_python),
    ("status = StatusCode.", Begin::Anywhere, parse_python),
    ("Error received from peer", Begin::Anywhere, parse_core),
    ("status: ", Begin::Anywhere, parse_tonic),
    ("grpc-status: ", Begin::Anywhere, parse_tonic),
    ("Status { code: ", Begin::Anywhere, parse_tonic),
    ("code: '", Begin::Anywhere, parse_tonic_phrase),
    ("status: '", Begin::Anywhere, parse_tonic_phrase),
    ("Status(StatusCode=\"", Begin::Anywhere, parse_dotnet),
    ("Call failed with gRPC error status. Status code: '", Begin::Anywhere, parse_dotnet_line),
    ("Error status code '", Begin::Anywhere, parse_dotnet_line),
    ("ConnectError: [", Begin::Anywhere, parse_connect_es),
    ("{\"code\":\"", Begin::Anywhere, parse_connect_body),
    ("StatusRpcException: ", Begin::Anywhere, parse_dubbo),
    ("Failed to invoke the method ", Begin::Anywhere, parse_dubbo_cluster),
    ("RpcError(", Begin::Anywhere, parse_web),
    ("Code: ", Begin::OfError, parse_grpcurl),
];

fn status(library: Library, code: i64, message: &str, cause: Option<LogError>) -> LogError {
    layer_of(library, Wording::Grpc, Some(code), message, cause)
}

fn parse_go(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.strip_prefix(grpc::ERROR_TEXT)?.split_once(" desc = ")?;
    let code = grpc::from_go_name(name)?;
    let library = if name.parse::<i64>().is_ok() { Library::Kitex } else { Library::GrpcGo };
    Some(status(library, code, message, own_cause(place, message)))
}

/// The layers within a status' text, unless it is a text of the client's library, which the status itself stands for.
fn own_cause(place: Place<'_>, message: &str) -> Option<LogError> {
    place.cause(message).filter(|cause| cause.wording != Wording::Local)
}

/// `CODE: TEXT` or `CODE` alone, before a stack trace.
fn parse_java(place: Place<'_>) -> Option<LogError> {
    let (_, said) = place.text.split_once(": ")?;
    let (said, stack) = before_stack(said);
    let (name, message) = said.split_once(':').unwrap_or((said, ""));
    let code = from_upper(name.trim_end())?;
    let message = message.strip_prefix(' ').unwrap_or(message);
    let below = || stack.split_once("Caused by: ").and_then(|(_, cause)| place.cause(cause));
    Some(status(Library::GrpcJava, code, message, own_cause(place, message).or_else(below)))
}

fn parse_java_status(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.strip_prefix("Status{code=")?.split_once(", description=")?;
    let message = rest.rsplit_once(", cause=").map_or(rest, |(message, _)| message);
    let message = if message == "null" { "" } else { message };
    Some(status(Library::GrpcJava, from_upper(name)?, message, own_cause(place, message)))
}

fn parse_python(place: Place<'_>) -> Option<LogError> {
    let text = place.text;
    let library = if text.starts_with("<Aio") { Library::GrpcAio } else { Library::Grpcio };
    let (_, rest) = text.split_once("StatusCode.")?;
    let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(rest.len());
    let (name, rest) = rest.split_at_checked(end)?;
    let code = from_upper(name)?;
    // Before 1.9 or so: `<_Rendezvous of RPC that terminated with (StatusCode.UNKNOWN, TEXT)>`.
    if let Some(message) = rest.strip_prefix(", ") {
        let message = message.strip_suffix(")>").unwrap_or(message);
        return Some(status(library, code, message, own_cause(place, message)));
    }
    // The text is not escaped: it ends at the field that follows.
    let (between, rest) = rest.split_once("details = \"")?;
    if !between.trim_matches([' ', '\t', '\n', '\\', 'n', 't', 'r']).is_empty() {
        return None;
    }
    let end = rest.find("debug_error_string = ").map_or(rest, |end| rest.get(..end).unwrap_or_default());
    let message = end.trim_end().trim_end_matches("\\t").trim_end_matches("\\n").trim_end();
    let message = message.strip_suffix('>').map_or(message, str::trim_end);
    let message = message.strip_suffix('"').unwrap_or(message);
    Some(status(library, code, message, own_cause(place, message)))
}

/// `{grpc_message:"TEXT", grpc_status:5}`, in any order; JSON up to 1.45. The words come before nearly everything up to 1.80, also before
/// what the client made itself.
fn parse_core(place: Place<'_>) -> Option<LogError> {
    let after =
        |name: &str| place.text.split_once(name).map(|(_, rest)| rest.trim_start_matches([':', '"', ' ']));
    let (code, _) = leading_number(after("grpc_status")?)?;
    let (_, message) = place.text.split_once("grpc_message")?;
    let (message, _) = quoted(message.trim_start_matches('"').trim_start_matches(':').trim_start())?;
    let cause = own_cause(place, &message);
    Some(status(Library::Grpcio, code, &message, cause))
}

fn parse_tonic(place: Place<'_>) -> Option<LogError> {
    let text = place.text;
    let heads = ["Status { code: ", "grpc-status: ", "status: "];
    let (name, rest) = heads.iter().find_map(|head| text.strip_prefix(head))?.split_once([',', ' '])?;
    let code = from_camel(name)?;
    let rest = rest.trim_start();
    let message = ["message: ", "grpc-message: "].iter().find_map(|field| rest.strip_prefix(field));
    let message = match message {
        Some(message) => quoted(message)?.0,
        // Debug leaves an empty message out.
        None if text.starts_with("Status { ") => String::new(),
        None => return None,
    };
    let cause = own_cause(place, &message);
    Some(status(Library::Tonic, code, &message, cause))
}

fn parse_tonic_phrase(place: Place<'_>) -> Option<LogError> {
    let (_, rest) = place.text.split_once('\'')?;
    // One of the phrases has an apostrophe of its own.
    let (phrase, rest) =
        rest.split_once("', ").or_else(|| rest.strip_suffix('\'').map(|phrase| (phrase, "")))?;
    let code = from_phrase(phrase)?;
    let message = ["message: ", "self: "].iter().find_map(|field| rest.strip_prefix(field));
    let message = message.and_then(quoted).map(|(message, _)| message).unwrap_or_default();
    let cause = own_cause(place, &message);
    Some(status(Library::Tonic, code, &message, cause))
}

fn parse_dotnet(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.strip_prefix("Status(StatusCode=\"")?.split_once("\", Detail=\"")?;
    let code = from_camel(name).or_else(|| name.parse().ok())?;
    // Nothing is escaped: the text ends at the field that follows, or at the last quote before the stack.
    let message = match rest.split_once("\", DebugException=\"") {
        Some((message, _)) => message,
        None => before_stack(rest).0.rsplit_once("\")").map_or(rest, |(message, _)| message),
    };
    Some(status(Library::GrpcDotnet, code, message, own_cause(place, message)))
}

/// `Status code: 'NotFound', Message: 'TEXT'.` of a client, `Error status code 'NotFound' with detail 'TEXT' raised.` of a server.
fn parse_dotnet_line(place: Place<'_>) -> Option<LogError> {
    let (_, rest) = place.text.split_once('\'')?;
    let (name, rest) = rest.split_once('\'')?;
    let code = from_camel(name)?;
    let ends = [(", Message: '", "'."), (" with detail '", "' raised.")];
    let message = ends.iter().find_map(|(start, end)| {
        let message = rest.strip_prefix(start)?;
        Some(message.split_once(end).map_or(message, |(message, _)| message))
    })?;
    Some(status(Library::GrpcDotnet, code, message, own_cause(place, message)))
}

fn parse_connect_es(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.strip_prefix("ConnectError: [")?.split_once(']')?;
    let code = from_snake(name).or_else(|| name.parse().ok())?;
    let message = before_stack(message.strip_prefix(' ').unwrap_or(message)).0;
    Some(status(Library::ConnectEs, code, message, own_cause(place, message)))
}

fn parse_connect_body(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.strip_prefix("{\"code\":\"")?.split_once('"')?;
    let code = from_snake(name)?;
    let rest = rest.trim_start_matches([',', ' ']);
    // Other interfaces have codes of these names too, and other fields beside them.
    if !["\"message\":", "\"details\":", "}"].iter().any(|next| rest.starts_with(next)) {
        return None;
    }
    let message = rest.strip_prefix("\"message\":").map(str::trim_start);
    let message = message.and_then(quoted).map(|(message, _)| message).unwrap_or_default();
    let cause = own_cause(place, &message);
    Some(layer(Wording::Grpc, Some(code), &message, cause))
}

fn parse_dubbo(place: Place<'_>) -> Option<LogError> {
    let (_, said) = place.text.split_once(": ")?;
    let (said, _) = before_stack(said);
    let (name, message) = said.split_once(" : ").unwrap_or((said, ""));
    Some(status(Library::DubboJava, from_upper(name.trim())?, message, own_cause(place, message)))
}

/// `Failed to invoke the method M in the service I. … Last error is: TEXT`; dubbo-go says `of the service`.
fn parse_dubbo_cluster(place: Place<'_>) -> Option<LogError> {
    let is_java = place.text.contains(" in the service ") && place.text.contains(" dubbo version ");
    let is_go = place.text.contains(" of the service ") || place.text.contains("No provider");
    let library = match (is_java, is_go) {
        (true, _) => Library::DubboJava,
        (false, true) => Library::DubboGo,
        (false, false) => return None,
    };
    let (message, _) = before_stack(place.text);
    let cause = message.split_once("Last error is: ").and_then(|(_, last)| place.cause(last));
    Some(layer_of(library, Wording::Local, None, message, cause))
}

fn parse_web(place: Place<'_>) -> Option<LogError> {
    let (name, message) = place.text.strip_prefix("RpcError(")?.split_once(')')?;
    let message = message.strip_prefix(": ").unwrap_or(message);
    Some(status(Library::GrpcWeb, from_upper(name)?, message, own_cause(place, message)))
}

fn parse_grpcurl(place: Place<'_>) -> Option<LogError> {
    let (name, rest) = place.text.strip_prefix("Code: ")?.split_once(char::is_whitespace)?;
    let message = rest.trim_start().strip_prefix("Message: ")?;
    let message = message.split_once("\n  Details:").map_or(message, |(message, _)| message);
    Some(status(
        Library::Grpcurl,
        from_camel(name)?,
        message.trim_end(),
        own_cause(place, message.trim_end()),
    ))
}
