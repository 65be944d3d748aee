//! Parses error texts, as the callers' libraries print them, into layers, the outermost first.
//!
//! | library | form | source |
//! | --- | --- | --- |
//! | trpc-go | `type:callee framework, code:12, msg:…, caused by …` | `errs/errs.go` |
//! | Kitex | `remote or network error[remote]: …`, `rpc timeout: …` and its kin | `pkg/kerrors/kerrors.go` |
//! | Kitex | `biz error: code=404, msg=not found`; `biz error: TEXT` | `pkg/kerrors/bizerrors.go` |
//! | Kitex streams | `[ttstream error, code=12007] [server-side stream] [canceled path: A] …` | `pkg/remote/trans/ttstream/exception.go` |
//! | grpc-go, Kitex | `rpc error: code = Unavailable desc = …`, the code by name or number | `internal/status/status.go` |
//! | Apache Thrift | `TApplicationException: …` | `lib/*` |
//!
//! A text may start anywhere in a log line, and one error may contain another: a service that passes an error on puts its own words
//! before it.

use crate::calls::Initiator;
use crate::codes::{self, Entry, Family, grpc, kitex, thrift, trpc, ttstream};

/// Most layers that are parsed.
const LAYER_LIMIT: usize = 64;

/// The library that worded a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// trpc-go, type 1: its framework at this side.
    TrpcFramework,
    /// trpc-go, type 2: business.
    TrpcBusiness,
    /// trpc-go, type 3: the callee's framework.
    TrpcCalleeFramework,
    /// Kitex: an error from the other side, with its address if the text has it. Each is one hop.
    KitexRemote(Option<String>),
    /// Kitex: an error of the framework at this side (`rpc timeout`, `get connection error` …), by its words.
    KitexLocal(&'static str),
    /// Kitex: a handler's plain error.
    KitexHandler,
    /// Kitex: a business error with a code.
    BizStatus,
    /// TTHeader Streaming: the side that raised it, and the services of the cancel path.
    Ttstream(Option<Initiator>, Vec<String>),
    /// gRPC.
    Grpc,
    /// Apache Thrift.
    Thrift,
}

/// One layer of an error text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// The library that worded it.
    pub wording: Wording,
    /// Its code, if the text has one.
    pub code: Option<i64>,
    /// Its text; if it came over the wire, exactly as sent.
    pub message: String,
    /// The error that it contains.
    pub cause: Option<Box<LogError>>,
}

/// Parses the error text in a log line; `None` if it contains no known form.
#[must_use]
pub fn parse_log(line: &str) -> Option<LogError> {
    parse_layer(line.trim_end(), LAYER_LIMIT)
}

/// Parses a form from the beginning of a text.
type Reader = fn(&str, usize) -> Option<LogError>;

/// The forms: the words that they begin with, and their parsers.
const FORMS: &[(&str, Reader)] = &[
    (trpc::ERROR_TEXT, parse_trpc),
    (kitex::REMOTE_ERROR, parse_remote),
    (ttstream::ERROR_TEXT, parse_ttstream),
    (grpc::ERROR_TEXT, parse_grpc),
    (kitex::PLAIN_ERROR, parse_biz),
    (thrift::ERROR_TEXT, parse_thrift),
];

fn parse_layer(text: &str, depth: usize) -> Option<LogError> {
    let depth = depth.checked_sub(1)?;
    let forms =
        FORMS.iter().flat_map(|(words, read)| text.match_indices(words).map(move |(at, _)| (at, *read)));
    let kerrors = kitex::CALLER_ERRORS.iter().flat_map(|(words, _)| {
        let found = text.match_indices(words);
        found.filter(|(at, _)| begins_error(text, *at)).map(|(at, _)| (at, parse_kerror as Reader))
    });
    let mut places: Vec<(usize, Reader)> = forms.chain(kerrors).collect();
    places.sort_by_key(|(at, _)| *at);
    places.iter().find_map(|(at, read)| read(&unquoted(text, *at), depth)).or_else(|| parse_suffix(text))
}

/// Whether an error can begin at `at`: at the start of the text, or after a colon, a quote or a bracket. Kitex's words are too common
/// to be accepted elsewhere.
fn begins_error(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().trim_end();
    before.is_empty() || before.ends_with([':', '"', '=', '\'', '[', '('])
}

/// The text from `at` on. Inside quotes (a field of a structured log), it ends with them, and escapes are resolved.
fn unquoted(text: &str, at: usize) -> String {
    let (before, rest) = text.split_at_checked(at).unwrap_or_default();
    let mut chars = before.chars();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => _ = chars.next(),
            _ => {}
        }
    }
    if !quoted {
        return rest.to_owned();
    }
    let mut out = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(escaped) => out.push(escaped),
                None => break,
            },
            c => out.push(c),
        }
    }
    out
}

fn layer(wording: Wording, code: Option<i64>, message: &str, cause: Option<LogError>) -> LogError {
    LogError { wording, code, message: message.to_owned(), cause: cause.map(Box::new) }
}

/// A number at the beginning of a text, and the rest.
fn leading_number(text: &str) -> Option<(i64, &str)> {
    let end = text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && *c == '-')));
    let (digits, rest) = text.split_at_checked(end.map_or(text.len(), |(at, _)| at))?;
    Some((digits.parse().ok()?, rest))
}

fn parse_trpc(text: &str, depth: usize) -> Option<LogError> {
    let (kind, rest) = text.strip_prefix(trpc::ERROR_TEXT)?.split_once(',')?;
    let wording = match kind.trim() {
        trpc::FRAMEWORK => Wording::TrpcFramework,
        trpc::BUSINESS => Wording::TrpcBusiness,
        trpc::CALLEE_FRAMEWORK => Wording::TrpcCalleeFramework,
        _ => return None,
    };
    let (code, rest) = leading_number(rest.trim_start().strip_prefix("code:")?.trim_start())?;
    let message = rest.trim_start_matches([',', ' ']).strip_prefix("msg:")?;
    // errs.Error puts the cause after the first of these, its %+v form after the second.
    for words in [", caused by ", "\nCause by "] {
        if let Some((own, cause)) = message.split_once(words) {
            return Some(layer(wording, Some(code), own, parse_layer(cause, depth)));
        }
    }
    Some(layer(wording, Some(code), message, None))
}

fn parse_remote(text: &str, depth: usize) -> Option<LogError> {
    let rest = text.strip_prefix(kitex::REMOTE_ERROR)?;
    // In brackets: `remote`, `remote-ADDRESS`, or nothing for errors of the network or of another protocol.
    let (extra, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let wire = rest.strip_prefix(": ").unwrap_or(rest);
    let cause = parse_layer(wire, depth);
    let wording = match extra.strip_prefix("remote") {
        Some(address) => {
            let address = address.trim_start_matches('-');
            Wording::KitexRemote((!address.is_empty()).then(|| address.to_owned()))
        }
        None if cause.is_some() => return cause,
        None => Wording::KitexLocal(kitex::REMOTE_ERROR),
    };
    let code = kitex::exception_type(wire);
    Some(layer(wording, code, wire, cause))
}

fn parse_kerror(text: &str, depth: usize) -> Option<LogError> {
    let (words, _) = kitex::CALLER_ERRORS.iter().find(|(words, _)| text.starts_with(words))?;
    let rest = text.strip_prefix(words)?;
    let rest = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']').map_or("", |(_, rest)| rest),
        None => rest,
    };
    let message = if rest.is_empty() { "" } else { rest.strip_prefix(": ")? };
    Some(layer(Wording::KitexLocal(words), None, message, parse_layer(message, depth)))
}

fn parse_biz(text: &str, depth: usize) -> Option<LogError> {
    let said = text.strip_prefix(kitex::PLAIN_ERROR)?;
    if let Some((code, rest)) = text.strip_prefix(kitex::BIZ_STATUS).and_then(leading_number)
        && let Some(message) = rest.strip_prefix(", msg=")
    {
        return Some(layer(Wording::BizStatus, Some(code), message, None));
    }
    Some(layer(Wording::KitexHandler, Some(thrift::INTERNAL_ERROR), text, parse_layer(said, depth)))
}

fn parse_ttstream(text: &str, depth: usize) -> Option<LogError> {
    let (code, rest) = leading_number(text.strip_prefix(ttstream::ERROR_TEXT)?)?;
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
    let cause = parse_layer(rest, depth);
    Some(layer(Wording::Ttstream(side, path), Some(code), rest, cause))
}

fn parse_grpc(text: &str, depth: usize) -> Option<LogError> {
    let (name, message) = text.strip_prefix(grpc::ERROR_TEXT)?.split_once(" desc = ")?;
    let code = grpc::from_go_name(name)?;
    Some(layer(Wording::Grpc, Some(code), message, parse_layer(message, depth)))
}

fn parse_thrift(text: &str, depth: usize) -> Option<LogError> {
    let rest = text.strip_prefix(thrift::ERROR_TEXT)?;
    // Python's repr: `TApplicationException(message='…', type=6)`.
    if let Some(fields) = rest.strip_prefix('(') {
        let code = fields.split("type=").nth(1).and_then(leading_number).map(|(code, _)| code);
        let quoted = fields.split("message=").nth(1)?;
        let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let message = quoted.get(1..)?.split(quote).next().unwrap_or_default();
        return Some(layer(Wording::Thrift, code, message, parse_layer(message, depth)));
    }
    let (code, rest) = match leading_number(rest.trim_start()) {
        Some((code, rest)) => (Some(code), rest),
        None => (None, rest),
    };
    let message = rest.strip_prefix(": ")?;
    Some(layer(Wording::Thrift, code, message, parse_layer(message, depth)))
}

/// Kitex marks errors that a handler returned with a number of its own by a suffix.
fn parse_suffix(text: &str) -> Option<LogError> {
    let trimmed = text.trim_end();
    kitex::has_suffix(trimmed.as_bytes()).then(|| layer(Wording::KitexHandler, None, trimmed, None))
}

impl LogError {
    /// This layer and those that it contains, the outermost first.
    pub fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.cause.as_deref())
    }

    /// The number of hosts that the error came through, according to the text.
    #[must_use]
    pub fn hops(&self) -> usize {
        let hop =
            |layer: &&Self| matches!(layer.wording, Wording::KitexRemote(_) | Wording::TrpcCalleeFramework);
        self.layers().filter(hop).count()
    }

    /// The family of its code.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        Some(match self.wording {
            Wording::TrpcFramework | Wording::TrpcBusiness | Wording::TrpcCalleeFramework => Family::Trpc,
            Wording::KitexRemote(_) | Wording::KitexHandler => Family::Kitex,
            Wording::Ttstream(..) => Family::Ttstream,
            Wording::Grpc => Family::Grpc,
            Wording::Thrift => Family::Thrift,
            Wording::KitexLocal(_) | Wording::BizStatus => return None,
        })
    }

    /// What is known about its code. A business code is the callee's own, even if a framework uses the same number.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Entry> {
        match self.family()? {
            Family::Grpc => grpc::entry(self.code?, self.message.as_bytes()),
            family => codes::entry(family, self.code?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> LogError {
        parse_log(line).unwrap_or_else(|| panic!("not read: {line}"))
    }

    fn outer(line: &str) -> (Wording, Option<i64>, String) {
        let error = read(line);
        (error.wording, error.code, error.message)
    }

    #[test]
    fn trpc_says_who_failed_by_its_type() {
        let line = "2026-11-22 01:00:00 ERROR front.go:12 get order: type:framework, code:101, msg:client transport timeout, cost:150.8ms";
        let text = "client transport timeout, cost:150.8ms".to_owned();
        assert_eq!(outer(line), (Wording::TrpcFramework, Some(101), text));
        let line = r#"{"level":"error","err":"type:business, code:-5, msg:no \"such\" order","uid":7}"#;
        assert_eq!(outer(line), (Wording::TrpcBusiness, Some(-5), "no \"such\" order".to_owned()));
        let error = read(
            "type:framework, code:351, msg:recv, caused by type:callee framework, code:31, msg:shard moved",
        );
        let cause = error.cause.as_deref().unwrap();
        assert_eq!((&cause.wording, cause.code, error.hops()), (&Wording::TrpcCalleeFramework, Some(31), 1));
        assert_eq!(error.message, "recv");
    }

    #[test]
    fn each_prefix_of_kitex_is_a_hop() {
        let error = read(
            "remote or network error[remote]: biz error: shop.stock failed: remote or network error[remote-10.0.0.3:8888]: biz error: warehouse down",
        );
        assert_eq!(error.hops(), 2);
        let wordings: Vec<_> = error.layers().map(|layer| layer.wording.clone()).collect();
        let address = Some("10.0.0.3:8888".to_owned());
        assert_eq!(
            wordings,
            [
                Wording::KitexRemote(None),
                Wording::KitexHandler,
                Wording::KitexRemote(address),
                Wording::KitexHandler
            ]
        );
        assert_eq!(error.layers().last().unwrap().message, "biz error: warehouse down");
        assert_eq!(error.entry().unwrap().code, 6);
    }

    #[test]
    fn business_errors_of_kitex_are_told_from_plain_ones() {
        let biz = outer("biz error: code=404, msg=not found");
        assert_eq!(biz, (Wording::BizStatus, Some(404), "not found".to_owned()));
        assert_eq!(outer("biz error: disk on fire").0, Wording::KitexHandler);
        let error = read("remote or network error: rpc error: code = 5 desc = grpc leg [biz error]");
        assert_eq!(
            (&error.wording, error.code, error.message.as_str()),
            (&Wording::Grpc, Some(5), "grpc leg [biz error]")
        );
        assert_eq!(outer("remote or network error[remote]: unknown service , method touch").1, Some(20));
        let (wording, _, message) =
            outer("call: rpc timeout: timeout=150ms, to=shop.order, method=Get, remote=10.0.0.1:80");
        assert_eq!(wording, Wording::KitexLocal(kitex::RPC_TIMEOUT));
        assert!(message.starts_with("timeout=150ms"));
    }

    #[test]
    fn a_ttstream_error_names_side_and_path() {
        let side = |text: &str| match read(text).wording {
            Wording::Ttstream(side, path) => (side, path.join(" ")),
            other => panic!("{other:?}"),
        };
        let server = Some(Initiator::Server);
        let text =
            "[ttstream error, code=12007] [server-side stream] [canceled path: ServiceA] user code cancelled";
        assert_eq!(side(text), (server, "ServiceA".to_owned()));
        assert_eq!(outer(text).2, "user code cancelled");
        assert_eq!(side("[ttstream error, code=12011] [server-side stream] [canceled path: A,B] x").1, "A B");
        assert_eq!(
            side("[ttstream error, code=12011] [server-side stream] [canceled path: A] -> B x").1,
            "A B"
        );
        assert_eq!(side("[ttstream error, code=12006] transport is closing"), (None, String::new()));
    }

    #[test]
    fn grpc_codes_come_by_name_or_number() {
        let code = |text: &str| read(text).code;
        assert_eq!(code("rpc error: code = Unavailable desc = connection refused"), Some(14));
        assert_eq!(code("rpc error: code = 13 desc = torn [biz error]"), Some(13));
        assert_eq!(code("rpc error: code = Code(17) desc = x"), Some(17));
        assert_eq!(parse_log("rpc error: code = Nonsense desc = x"), None);
    }

    #[test]
    fn thrift_exceptions_come_in_several_forms() {
        let (wording, code, message) = outer("thrift.Thrift.TApplicationException: Unknown function ghost");
        assert_eq!((wording, code, message.as_str()), (Wording::Thrift, None, "Unknown function ghost"));
        assert_eq!(outer("TApplicationException(message='Internal error', type=6)").1, Some(6));
    }

    #[test]
    fn other_lines_are_no_errors() {
        for line in
            ["", "GET / 200", "type:cat, code:3, msg:x", "panic at the disco", "type:framework", "code:101"]
        {
            assert_eq!(parse_log(line), None, "{line}");
        }
        let deep = "remote or network error[remote]: ".repeat(1000);
        assert!(parse_log(&deep).is_some_and(|error| error.hops() <= LAYER_LIMIT));
    }
}
