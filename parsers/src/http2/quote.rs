//! Texts in which gRPC servers say that they do not have what was asked for and quote its name.
//!
//! Only whole texts of known servers count. They are no proof by themselves: a callee may pass on what its own callee said
//! of another path. Whoever reads the event has to weigh that.

use crate::event::Quoted;

/// `UNIMPLEMENTED`, which gRPC servers answer with.
const UNIMPLEMENTED: i64 = 12;

/// Kitex `pkg/remote/trans_errors.go` `UnknownMethod`, sent as it is in place of a gRPC status
/// (`pkg/remote/trans/nphttp2/codes.go`). Its `UnknownService` quotes only the last part of the service's name.
const KITEX_UNKNOWN_METHOD: i64 = 1;

/// Longest name believed.
const NAME_LIMIT: usize = 512;

/// The names that an answer with status `code` and this text quotes.
pub(super) fn parse_quote(code: i64, text: &[u8]) -> Option<Quoted<'_>> {
    match code {
        UNIMPLEMENTED => unimplemented(text),
        // `pkg/remote/trans/nphttp2/server_handler.go`.
        KITEX_UNKNOWN_METHOD => method(text.strip_prefix(b"unknown method ")?),
        _ => None,
    }
}

fn unimplemented(text: &[u8]) -> Option<Quoted<'_>> {
    // grpc-go `server.go`, `Server.handleStream`.
    if let Some(rest) = text.strip_prefix(b"unknown service ") {
        return service(rest);
    }
    if let Some(rest) = text.strip_prefix(b"unknown method ") {
        let at = memchr::memmem::find(rest, b" for service ")?;
        let (name, rest) = rest.split_at(at);
        return Some(Quoted {
            method: method(name)?.method,
            ..service(rest.strip_prefix(b" for service ")?)?
        });
    }
    // grpc-java `ServerImpl`; grpc-js `server.ts`; the stubs that grpc-java, protoc-gen-go-grpc and protoc-gen-connect-go
    // generate for methods that are not implemented.
    if let Some(rest) = text.strip_prefix(b"Method not found: ") {
        return path(rest);
    }
    if let Some(rest) = text.strip_prefix(b"The server does not implement the method ") {
        return path(rest).or_else(|| method(rest));
    }
    if let Some(rest) = text.strip_prefix(b"Method ") {
        return path(rest.strip_suffix(b" is unimplemented")?);
    }
    if let Some(rest) = text.strip_prefix(b"method ") {
        return method(rest.strip_suffix(b" not implemented")?);
    }
    let full = text.strip_suffix(b" is not implemented")?;
    let at = memchr::memrchr(b'.', full)?;
    let (of, name) = full.split_at(at);
    Some(Quoted { method: method(name.get(1..)?)?.method, ..service(of)? })
}

/// `/package.Service/Method`, with its first slash or without.
fn path(text: &[u8]) -> Option<Quoted<'_>> {
    let text = text.strip_prefix(b"/").unwrap_or(text);
    let at = memchr::memrchr(b'/', text)?;
    let (of, name) = text.split_at(at);
    Some(Quoted { method: method(name.get(1..)?)?.method, ..service(of)? })
}

fn service(text: &[u8]) -> Option<Quoted<'_>> {
    is_name(text, b"._-/").then(|| Quoted { service: Some(text.into()), method: None })
}

fn method(text: &[u8]) -> Option<Quoted<'_>> {
    is_name(text, b"_").then(|| Quoted { service: None, method: Some(text.into()) })
}

/// Whether it is one word of letters, digits and `others`.
fn is_name(text: &[u8], others: &[u8]) -> bool {
    (1..=NAME_LIMIT).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || others.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_of_servers_are_read() {
        let both = Some((Some("a.v1.S"), Some("Do")));
        for (code, text, names) in [
            (12, "unknown service a.v1.S", Some((Some("a.v1.S"), None))),
            (12, "unknown method Do for service a.v1.S", both),
            (12, "Method not found: a.v1.S/Do", both),
            (12, "The server does not implement the method /a.v1.S/Do", both),
            (12, "The server does not implement the method Do", Some((None, Some("Do")))),
            (12, "Method a.v1.S/Do is unimplemented", both),
            (12, "method Do not implemented", Some((None, Some("Do")))),
            (12, "a.v1.S.Do is not implemented", both),
            (1, "unknown method Do", Some((None, Some("Do")))),
        ] {
            let quoted = parse_quote(code, text.as_bytes());
            let quoted = quoted.as_ref().map(|quoted| {
                let text = |name: Option<crate::event::Text<'_>>| {
                    name.map(|name| String::from_utf8_lossy(name.raw()).into_owned())
                };
                (text(quoted.service), text(quoted.method))
            });
            let names = names.map(|(service, method)| (service.map(Into::into), method.map(Into::into)));
            assert_eq!(quoted, names, "{text}");
        }
    }

    #[test]
    fn texts_around_such_a_text_and_other_statuses_say_nothing() {
        for (code, text) in [
            (5, "unknown service a.v1.S"),
            (13, "unknown method Do for service a.v1.S"),
            (12, "Method not found!"),
            (12, ""),
            (12, "unknown service "),
            (12, "unknown method Do"),
            (12, "unknown method  for service a.v1.S"),
            (12, "unknown method Do for service a.v1.S (stock-7)"),
            (12, "upstream: unknown service a.v1.S"),
            (12, "unknown service a.v1.S\n"),
            (12, "method this and that not implemented"),
            (12, "Method is unimplemented."),
            (12, "this feature is not implemented"),
            (12, "rpc error: code = Unimplemented desc = unknown service a.v1.S"),
            (1, "unknown method Do for service a.v1.S"),
            (20, "unknown service S"),
        ] {
            assert_eq!(parse_quote(code, text.as_bytes()), None, "{text}");
        }
        let long = format!("unknown service {}", "a".repeat(NAME_LIMIT + 1));
        assert_eq!(parse_quote(12, long.as_bytes()), None);
    }
}
