//! Finds codes and error values by the names that code, documents and dashboards have for them.

use super::library::Library;
use super::value::ErrorValue;
use super::{
    Entry, ErrorKind, Family, Raiser, Wire, grpc_names, http2, kitex_errors, thrift_errors, trpc, trpc_names,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A code of a family.
    Code(Family, i64),
    /// A number that only some libraries have, and what it means there.
    Extra(Family, i64, &'static str),
    /// An error value.
    Value(&'static ErrorValue),
}

/// The error values of a family's libraries.
#[must_use]
pub fn values(family: Family) -> &'static [ErrorValue] {
    match family {
        Family::Kitex => kitex_errors::VALUES,
        Family::Thrift => thrift_errors::VALUES,
        Family::Trpc => trpc_names::VALUES,
        Family::Ttstream | Family::Grpc | Family::Http2 | Family::Http => &[],
    }
}

/// A name in code and what stands before it: `TApplicationException::UNKNOWN_METHOD`, `codes.NotFound`.
pub(super) fn qualified(name: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let joints = ["::", ".", "/"].iter().filter_map(|joint| Some(name.rfind(joint)? + joint.len()));
    let (before, last) = name.split_at_checked(joints.max()?)?;
    let before = before.trim_end_matches([':', '.', '/']);
    let is_one = name.chars().all(is_name) && !name.replace("::", "").contains(':');
    (is_one && !before.is_empty() && !last.is_empty()).then_some((before, last))
}

/// A name of thrift without what stands before it, and whose it is as far as that shows.
fn of_thrift(name: &str) -> Option<(ThriftKind, &str)> {
    let Some((before, last)) = qualified(name) else { return Some((ThriftKind::Any, name)) };
    let before = before.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| before.contains(word));
    Some(if has(&["ttransport", "tprotocol", "transporterror", "protocolerror"]) {
        (ThriftKind::Transport, last)
    } else if has(&["application"]) {
        (ThriftKind::Application, last)
    } else if has(&["thrift", "remote"]) {
        (ThriftKind::Any, last)
    } else {
        return None;
    })
}

/// Of which of thrift's exceptions a constant is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ThriftKind {
    Application,
    /// `TTransportException` or `TProtocolException`.
    Transport,
    /// The name does not show it.
    Any,
}

/// A name without what stands before it in code.
fn unqualified<'a>(name: &'a str, prefixes: &[&str]) -> &'a str {
    prefixes.iter().fold(name, |name, prefix| {
        let inner = name.strip_prefix(prefix).map(|rest| rest.trim_start_matches([':', '.']));
        inner.filter(|rest| !rest.is_empty()).unwrap_or(name)
    })
}

/// A constant's name without the marks by which languages spell it differently: `UNKNOWN_METHOD`, `UnknownMethod`.
fn plain(name: &str) -> Option<String> {
    let constant = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    constant.then(|| name.replace('_', "").to_ascii_lowercase())
}

/// The same without the words that Go and Kitex append.
fn application(name: &str) -> Option<String> {
    let name = plain(name)?;
    let short = name.strip_suffix("applicationexception").or_else(|| name.strip_suffix("exception"));
    Some(short.map_or_else(|| name.clone(), str::to_owned))
}

fn thrift_code(family: Family, name: &str) -> Option<Named> {
    let (_, name) = of_thrift(name).filter(|(kind, _)| *kind != ThriftKind::Transport)?;
    let name = application(name)?;
    let known = family.entries().iter().find(|entry| plain(entry.name).is_some_and(|plain| plain == name));
    let extra = || {
        let of = |(known, ..): &&(&str, i64, &str)| plain(known).is_some_and(|plain| plain == name);
        thrift_errors::APPLICATION
            .iter()
            .find(of)
            .map(|(_, code, what)| Named::Extra(Family::Thrift, *code, what))
    };
    known.map(|entry| Named::Code(family, entry.code)).or_else(extra)
}

fn value(family: Family, name: &str) -> Option<Named> {
    let name = match family {
        Family::Kitex => unqualified(name, &["kerrors."]),
        Family::Trpc => unqualified(name, &["errs."]),
        _ => of_thrift(name).filter(|(kind, _)| *kind != ThriftKind::Application)?.1,
    };
    let is = |value: &&ErrorValue| {
        value.name.eq_ignore_ascii_case(name)
            || (value.library == Library::Thrift
                && plain(name).is_some_and(|name| plain(value.name) == Some(name)))
    };
    values(family).iter().find(is).map(Named::Value)
}

fn trpc_code(name: &str) -> Option<i64> {
    let name = unqualified(
        name,
        &["errs.", "trpc::", "trpc.", "codec::", "TrpcRetCode_", "TrpcRetCode", "ErrorCode", "pb."],
    );
    let short = name.strip_prefix("TRPC_").unwrap_or(name);
    let of_proto = match short {
        "INVOKE_SUCCESS" => Some(0),
        short => Family::Trpc.code(short),
    };
    trpc_names::code(name).map(|(code, _)| code).or(of_proto)
}

fn trpc_extra(name: &str) -> Option<Named> {
    let name = unqualified(name, &["errs."]);
    let found = trpc_names::GO_EXTRA.iter().find(|(known, ..)| *known == name)?;
    Some(Named::Extra(Family::Trpc, found.1, found.2))
}

/// What a name stands for in a family; a code first.
#[must_use]
pub fn named_in(family: Family, name: &str) -> Vec<Named> {
    let code = match family {
        Family::Grpc => {
            grpc_names::spelled(name).or_else(|| family.code(name)).map(|code| Named::Code(family, code))
        }
        Family::Trpc => trpc_code(name).map(|code| Named::Code(family, code)).or_else(|| trpc_extra(name)),
        Family::Thrift | Family::Kitex => thrift_code(family, name),
        Family::Http2 => {
            let last = match qualified(name) {
                Some((before, last)) => {
                    let before = before.to_ascii_lowercase();
                    let is_http2 =
                        ["h2", "http2", "reason", "error"].iter().any(|word| before.contains(word));
                    if is_http2 { last } else { "" }
                }
                None => name,
            };
            let code = family.code(last.strip_prefix("NGHTTP2_").unwrap_or(last));
            code.or_else(|| http2::from_go_name(last)).map(|code| Named::Code(family, code))
        }
        Family::Ttstream | Family::Http => family.code(name).map(|code| Named::Code(family, code)),
    };
    code.into_iter().chain(value(family, name)).collect()
}

/// What a name stands for in any family. Kitex shares its exception types with thrift: only thrift's are found.
#[must_use]
pub fn named(name: &str) -> Vec<Named> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let is_new = |found: &Named| {
            *family != Family::Kitex || matches!(found, Named::Value(_)) || name.starts_with("remote.")
        };
        all.extend(named_in(*family, name).into_iter().filter(is_new));
    }
    all
}

/// What a monitor should count a call that ends with a code as.
#[must_use]
pub fn counts(family: Family, entry: &Entry) -> &'static str {
    match (family, entry.kind, entry.raiser) {
        (Family::Trpc, ErrorKind::Success, _) => {
            "A success, unless the other of `ret` and `func_ret` is not 0."
        }
        (_, ErrorKind::Success, _) => "A success.",
        (_, ErrorKind::Business, _) => {
            "A success with a business code, unless a library made it (its text shows that)."
        }
        (Family::Trpc, _, Raiser::Server | Raiser::ServerOrHandler | Raiser::Either) => {
            "An RPC failure in `ret`; in `func_ret` alone a success with a business code."
        }
        (Family::Http, ErrorKind::Ambiguous, _) => "What the headers and trailers of the RPC say.",
        // Nobody listens, or nothing gets through: the callee may well be at fault.
        _ if entry.wire == Wire::Unsent && (family, entry.code) != (Family::Trpc, trpc::CLIENT_CONNECT) => {
            "An RPC failure of the caller's side; it says nothing about the callee."
        }
        (_, ErrorKind::Rpc | ErrorKind::Transport | ErrorKind::Ambiguous, _) => "An RPC failure.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(name: &str) -> Vec<(&'static str, i64)> {
        let code = |named: Named| match named {
            Named::Code(family, code) | Named::Extra(family, code, _) => Some((family.name(), code)),
            Named::Value(_) => None,
        };
        named(name).into_iter().filter_map(code).collect()
    }

    fn value_names(name: &str) -> Vec<&'static str> {
        let value = |named: Named| match named {
            Named::Value(value) => Some(value.name),
            _ => None,
        };
        named(name).into_iter().filter_map(value).collect()
    }

    #[test]
    fn codes_are_found_by_the_names_of_each_library() {
        for (name, expected) in [
            ("codes.NotFound", ("grpc", 5)),
            ("RetServerNoFunc", ("trpc", 12)),
            ("RetClientStreamInitErr", ("trpc", 361)),
            ("errs.RetNotFound", ("trpc", 404)),
            ("errs.RetServerNoFunc", ("trpc", 12)),
            ("TRPC_SERVER_NOFUNC_ERR", ("trpc", 12)),
            ("TrpcRetCode_TRPC_SERVER_NOFUNC_ERR", ("trpc", 12)),
            ("TRPC_INVOKE_SUCCESS", ("trpc", 0)),
            ("TRPC_LINK_INVOKE_TIMEOUT_ERR", ("trpc", 102)),
            ("codec::ClientRetCode::NETWORK_ERROR", ("trpc", 141)),
            ("ClientRetCode::NETWORK_ERROR", ("trpc", 141)),
            ("TApplicationException.UNKNOWN_METHOD", ("thrift", 1)),
            ("TApplicationException::UNKNOWN_METHOD", ("thrift", 1)),
            ("org.apache.thrift.TApplicationException.INTERNAL_ERROR", ("thrift", 6)),
            ("thrift.INVALID_MESSAGE_TYPE_EXCEPTION", ("thrift", 2)),
            ("ApplicationExceptionKind::MissingResult", ("thrift", 5)),
            ("thrift.Thrift.TApplicationException.UNKNOWN", ("thrift", 0)),
            ("thrift::ApplicationErrorKind::UnknownMethod", ("thrift", 1)),
            ("ApplicationErrorType.INTERNAL_ERROR", ("thrift", 6)),
            ("LOADSHEDDING", ("thrift", 11)),
            ("remote.UnknownService", ("thrift", 20)),
            ("NGHTTP2_REFUSED_STREAM", ("http2", 7)),
            ("ENHANCE_YOUR_CALM", ("http2", 11)),
            ("h2::Reason::CANCEL", ("http2", 8)),
            ("http2.ErrCodeRefusedStream", ("http2", 7)),
        ] {
            assert!(codes(name).contains(&expected), "{name}: {:?}", codes(name));
        }
        assert_eq!(codes("INTERNAL_ERROR"), [("thrift", 6), ("http2", 2)]);
        assert_eq!(codes("remote.UnknownApplicationException"), [("thrift", 0), ("kitex", 0)]);
        assert!(codes("TTransportException.UNKNOWN").is_empty(), "no exception that an answer carries");
        assert!(value_names("TApplicationException.END_OF_FILE").is_empty());
        for text in [
            "java.lang.IllegalArgumentException: No enum constant com.shop.Status.NOT_FOUND",
            "type:image, code:12, msg:ok",
            "status:NOT_FOUND",
            "see https://shop/StatusCode.NOT_FOUND",
        ] {
            assert!(codes(text).is_empty(), "{text}");
        }
        for name in [
            "order.CANCEL",
            "shop.UNKNOWN_METHOD",
            "ErrNoSuch",
            "unknown_method",
            "NETWORK",
            "RetServer",
            "not-found",
            "",
        ] {
            assert_eq!((codes(name), value_names(name)), (vec![], vec![]), "{name}");
        }
    }

    #[test]
    fn values_are_found_with_and_without_their_package() {
        assert_eq!(value_names("ErrNoResolver"), ["ErrNoResolver"]);
        assert_eq!(value_names("kerrors.ErrNoResolver"), ["ErrNoResolver"]);
        assert_eq!(value_names("errs.ErrServerNoFunc"), ["ErrServerNoFunc"]);
        assert_eq!(value_names("TTransportException.END_OF_FILE"), ["END_OF_FILE"]);
        assert_eq!(value_names("EndOfFile"), ["END_OF_FILE"]);
        assert_eq!(value_names("BizStatusError"), ["BizStatusError"]);
    }

    #[test]
    fn a_refused_connection_may_be_the_callees_fault() {
        let of = |code| super::super::entry(Family::Trpc, code).map(|entry| counts(Family::Trpc, entry));
        assert_eq!(of(111), Some("An RPC failure."));
        assert!(of(131).is_some_and(|text| text.contains("nothing about the callee")));
    }

    #[test]
    fn every_value_says_something_in_sentences() {
        for value in Family::ALL.iter().flat_map(|family| values(*family)) {
            for text in [value.checks, value.raised, value.wire] {
                assert!(text.ends_with('.'), "{}: {text}", value.name);
            }
        }
        for (family, entry) in
            Family::ALL.iter().flat_map(|f| f.entries().iter().map(move |entry| (*f, entry)))
        {
            assert!(counts(family, entry).ends_with('.'));
        }
    }
}
