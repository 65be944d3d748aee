//! Which requests are calls.
//!
//! A content type alone is no proof where REST uses it too. What counts:
//!
//! | sign | call |
//! | --- | --- |
//! | `POST` with `application/connect+…`, `application/grpc-web…`, on HTTP/1.1 `application/grpc…` | certain: nothing else has these types |
//! | `POST` with `connect-protocol-version` or `connect-timeout-ms` | certain, Connect |
//! | `GET` with `connect=v1` and `encoding=` in its query | certain, Connect |
//! | `POST` with `triple-protocol-version`, `triple-timeout-ms` or a `tri-…` header of Dubbo | certain, Triple |
//! | `POST /package.Service/Method` with `application/proto` or `application/json` | only if the answer is a JSON error of Connect |
//!
//! The last kind comes from tools such as curl. Its successes look like any other exchange of JSON, so they are no calls.

use crate::bodies::Shape;
use crate::event::{Pairs, Rpc};

/// Nanoseconds of a millisecond, the unit of `connect-timeout-ms`.
const MILLISECOND: u64 = 1_000_000;

/// Most digits of `connect-timeout-ms`.
const TIMEOUT_DIGITS: usize = 10;

/// Longest name of a service or method in a path that is believed without another sign.
const NAME_LIMIT: usize = 256;

/// Headers of Dubbo that only a request of Triple has (dubbo `TripleHeaderEnum`, dubbo-go `header_compat.go`).
const TRIPLE_FIELDS: [&[u8]; 10] = [
    b"triple-protocol-version",
    b"tri-protocol-version",
    b"tri-service-version",
    b"tri-service-group",
    b"tri-service-timeout",
    b"tri-consumer-appname",
    b"tri-req-id",
    b"tri-trace-traceid",
    b"tri-trace-rpcid",
    b"tri-unit-info",
];

/// How messages stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The body is one message; an error is JSON.
    Unary,
    /// Envelopes; the last one of an answer is JSON.
    ConnectStream,
    /// Envelopes; the last one of an answer has trailers.
    GrpcWeb,
    /// The same in base64.
    GrpcWebText,
    /// Envelopes; the status stands in HTTP's own trailers.
    Grpc,
}

impl Form {
    /// The flags that an envelope can have.
    pub(super) fn flags(self) -> u8 {
        match self {
            Self::Unary | Self::Grpc => 1,
            Self::ConnectStream => 1 | 2,
            Self::GrpcWeb | Self::GrpcWebText => 1 | 0x80,
        }
    }

    /// The flag of an envelope that ends the answer.
    pub(super) fn last_flag(self) -> u8 {
        self.flags() & !1
    }

    /// How the bodies of messages stand in it.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Unary => Shape::Whole,
            Self::ConnectStream | Self::GrpcWeb | Self::Grpc => Shape::Prefixed(self.last_flag()),
            Self::GrpcWebText => Shape::Base64(self.last_flag()),
        }
    }
}

/// What a request says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Its protocol.
    pub(crate) rpc: Rpc,
    /// How its messages stand in its body.
    pub(crate) form: Form,
    /// Payload codec, as in the call record.
    pub(crate) codec: Option<&'static str>,
    /// Time the caller is willing to wait, nanoseconds.
    pub(crate) timeout: Option<u64>,
}

impl Claim {
    fn new(rpc: Rpc, form: Form, codec: Option<&'static str>) -> Self {
        Self { rpc, form, codec, timeout: None }
    }
}

/// Whether a request is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// It is.
    Yes(Claim),
    /// It is if its answer is a JSON error of Connect.
    IfRefused(Claim),
    /// It is none.
    No,
}

/// The start of a request, and what its content is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requested<'a> {
    /// HTTP method.
    pub(crate) method: &'a [u8],
    /// Target or `:path`.
    pub(crate) target: &'a [u8],
    /// `content-type`, empty if there is none.
    pub(crate) content_type: &'a [u8],
}

/// What header fields say of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    connect: bool,
    triple: bool,
    timeout: Option<u64>,
}

impl Marks {
    fn of(headers: &dyn Pairs) -> Self {
        let mut marks = Self::default();
        headers.each(&mut |name, value| {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if is(b"connect-protocol-version") {
                marks.connect = true;
            } else if is(b"connect-timeout-ms") {
                marks.connect = true;
                marks.timeout = parse_milliseconds(value);
            } else if is(b"triple-timeout-ms") {
                marks.triple = true;
                marks.timeout = parse_milliseconds(value);
            } else if is(b"grpc-timeout") {
                marks.timeout = crate::http2::parse_timeout(value);
            } else if TRIPLE_FIELDS.iter().any(|known| is(known)) {
                marks.triple = true;
            }
        });
        marks
    }
}

/// Reads a time-out in milliseconds into nanoseconds.
fn parse_milliseconds(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|digits| digits.len() <= TIMEOUT_DIGITS)?;
    let milliseconds: u64 = digits.parse().ok()?;
    Some(milliseconds.saturating_mul(MILLISECOND))
}

/// A content type without its parameters.
pub(super) fn media_type(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// `text` after `prefix`, whatever the case of its letters.
fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = text.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The codec that the part of a content type after `+` names.
fn codec(suffix: &[u8]) -> Option<&'static str> {
    match suffix.to_ascii_lowercase().as_slice() {
        b"proto" => Some("protobuf"),
        b"json" => Some("json"),
        b"thrift" => Some("thrift-binary"),
        b"flatbuffers" => Some("flatbuffers"),
        _ => None,
    }
}

/// What a content type says that only one of these protocols has.
pub(crate) fn claim_of_type(content_type: &[u8]) -> Option<Claim> {
    let media_type = media_type(content_type);
    if let Some(suffix) = strip(media_type, b"application/connect+") {
        return Some(Claim::new(Rpc::Connect, Form::ConnectStream, codec(suffix)));
    }
    let rest = strip(media_type, b"application/grpc")?;
    let (rpc, form, rest) = if let Some(rest) = strip(rest, b"-web-text") {
        (Rpc::GrpcWeb, Form::GrpcWebText, rest)
    } else if let Some(rest) = strip(rest, b"-web") {
        (Rpc::GrpcWeb, Form::GrpcWeb, rest)
    } else {
        (Rpc::Grpc, Form::Grpc, rest)
    };
    match rest {
        [] => Some(Claim::new(rpc, form, Some("protobuf"))),
        [b'+', suffix @ ..] => Some(Claim::new(rpc, form, codec(suffix))),
        _ => None,
    }
}

/// The value of a parameter in the query of a target.
fn parameter<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (_, query) = target.split_at_checked(memchr::memchr(b'?', target)?)?;
    query.get(1..)?.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// Service and method of a target `/service/method?query`, as far as it has them.
pub(crate) fn split_target(target: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    // A proxy is asked with the whole address.
    let path = match memchr::memmem::find(path, b"://") {
        Some(at) => {
            let rest = path.get(at + 3..).unwrap_or_default();
            memchr::memchr(b'/', rest).and_then(|slash| rest.get(slash..)).unwrap_or_default()
        }
        None => path,
    };
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let filled = |part: Option<&'_ [u8]>| part.is_some_and(|part| !part.is_empty());
    match memchr::memrchr(b'/', path) {
        Some(slash) => {
            let (service, method) = (path.get(..slash), path.get(slash + 1..));
            (service.filter(|part| filled(Some(part))), method.filter(|part| filled(Some(part))))
        }
        None => (None, Some(path).filter(|path| !path.is_empty())),
    }
}

/// Whether a target is `/package.Service/Method` and nothing else.
fn names_a_method(target: &[u8]) -> bool {
    let word = |text: &[u8], others: &[u8]| {
        (1..=NAME_LIMIT).contains(&text.len())
            && text.first().is_some_and(u8::is_ascii_alphabetic)
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || others.contains(byte))
    };
    let mut parts = target.split(|byte| *byte == b'/');
    let (Some(b""), Some(service), Some(method), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    word(service, b".") && service.contains(&b'.') && !service.ends_with(b".") && word(method, b"")
}

/// Whether a request is a call, and of what kind.
pub(crate) fn claim(requested: Requested<'_>, headers: &dyn Pairs) -> Claimed {
    let Requested { method, target, content_type } = requested;
    let timed = |claim: Claim, marks: Marks| Claim { timeout: marks.timeout, ..claim };
    if method == b"GET" {
        let Some(encoding) = parameter(target, b"encoding") else { return Claimed::No };
        let marks = Marks::of(headers);
        let of_connect = parameter(target, b"connect") == Some(b"v1") || marks.connect;
        let claim = timed(Claim::new(Rpc::Connect, Form::Unary, codec(encoding)), marks);
        return if of_connect { Claimed::Yes(claim) } else { Claimed::No };
    }
    if method != b"POST" {
        return Claimed::No;
    }
    let Some(subtype) = strip(media_type(content_type), b"application/") else { return Claimed::No };
    let marks = Marks::of(headers);
    let unary = |rpc| timed(Claim::new(rpc, Form::Unary, codec(subtype)), marks);
    if let Some(claim) = claim_of_type(content_type) {
        Claimed::Yes(timed(claim, marks))
    } else if marks.connect {
        Claimed::Yes(unary(Rpc::Connect))
    } else if marks.triple {
        Claimed::Yes(unary(Rpc::Triple))
    } else if matches!(codec(subtype), Some("protobuf" | "json")) && names_a_method(target) {
        Claimed::IfRefused(unary(Rpc::Connect))
    } else {
        Claimed::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str, content_type: &str, headers: &[(&str, &str)]) -> Claimed {
        let headers: Vec<(&str, &str)> = headers.to_vec();
        let requested = Requested {
            method: method.as_bytes(),
            target: target.as_bytes(),
            content_type: content_type.as_bytes(),
        };
        claim(requested, &headers)
    }

    const PATH: &str = "/depot.v1.Stock/Get";
    const VERSION: (&str, &str) = ("Connect-Protocol-Version", "1");

    fn certain(rpc: Rpc, form: Form, codec: Option<&'static str>) -> Claimed {
        Claimed::Yes(Claim::new(rpc, form, codec))
    }

    #[test]
    fn types_that_nothing_else_has_are_certain() {
        for (content_type, rpc, form, codec) in [
            ("application/connect+proto", Rpc::Connect, Form::ConnectStream, Some("protobuf")),
            ("application/connect+json; charset=utf-8", Rpc::Connect, Form::ConnectStream, Some("json")),
            ("application/connect+own", Rpc::Connect, Form::ConnectStream, None),
            ("application/grpc-web", Rpc::GrpcWeb, Form::GrpcWeb, Some("protobuf")),
            ("application/grpc-web+json", Rpc::GrpcWeb, Form::GrpcWeb, Some("json")),
            ("application/grpc-web-text", Rpc::GrpcWeb, Form::GrpcWebText, Some("protobuf")),
            ("Application/gRPC-web-text+proto", Rpc::GrpcWeb, Form::GrpcWebText, Some("protobuf")),
            ("application/grpc", Rpc::Grpc, Form::Grpc, Some("protobuf")),
        ] {
            assert_eq!(of("POST", PATH, content_type, &[]), certain(rpc, form, codec), "{content_type}");
            assert_eq!(of("OPTIONS", PATH, content_type, &[]), Claimed::No);
        }
        assert_eq!(of("POST", PATH, "application/grpcx", &[]), Claimed::No);
        assert_eq!(of("POST", PATH, "application/connect", &[]), Claimed::No);
    }

    #[test]
    fn a_type_that_rest_uses_needs_another_sign() {
        let unary = |rpc, codec| certain(rpc, Form::Unary, codec);
        let connect = unary(Rpc::Connect, Some("json"));
        assert_eq!(of("POST", "/any", "application/json", &[VERSION]), connect);
        let timed = of("POST", PATH, "application/proto", &[("connect-timeout-ms", "250")]);
        let Claimed::Yes(claim) = timed else { panic!("{timed:?}") };
        assert_eq!((claim.rpc, claim.timeout), (Rpc::Connect, Some(250_000_000)));
        let triple = [("tri-service-version", "1.0.0")];
        assert_eq!(of("POST", PATH, "application/json", &triple), unary(Rpc::Triple, Some("json")));
        // An error alone can still show it.
        assert!(matches!(of("POST", PATH, "application/json", &[]), Claimed::IfRefused(_)));
        for (method, target, content_type) in [
            ("POST", "/orders/42", "application/json"),
            ("POST", "/twirp/depot.Stock/Get", "application/json"),
            ("POST", "/v1.2/orders", "application/vnd.api+json"),
            ("POST", "/depot.v1.Stock/Get?x=1", "application/json"),
            ("POST", "/depot.v1./Get", "application/json"),
            ("POST", PATH, "text/plain"),
            ("PUT", PATH, "application/json"),
            ("GET", PATH, ""),
        ] {
            assert_eq!(of(method, target, content_type, &[]), Claimed::No, "{method} {target}");
        }
        assert_eq!(of("POST", PATH, "text/plain", &[VERSION]), Claimed::No);
    }

    #[test]
    fn a_get_has_its_message_in_the_query() {
        let target = "/depot.v1.Stock/Get?encoding=json&message=%7B%7D&connect=v1";
        assert_eq!(of("GET", target, "", &[]), certain(Rpc::Connect, Form::Unary, Some("json")));
        assert_eq!(of("GET", "/x?encoding=json", "", &[]), Claimed::No);
        assert_eq!(of("GET", "/x?connect=v1", "", &[]), Claimed::No);
    }

    #[test]
    fn a_target_names_service_and_method() {
        let (get, stock) = (Some(&b"Get"[..]), Some(&b"a.Stock"[..]));
        assert_eq!(split_target(b"/a.Stock/Get?connect=v1"), (stock, get));
        assert_eq!(split_target(b"http://h:1/a.Stock/Get"), (stock, get));
        assert_eq!(split_target(b"/Get"), (None, get));
        assert_eq!(split_target(b"/"), (None, None));
    }
}
