//! Where the entries of a log begin. An entry is one line, or a line and those that go on with it: a stack trace, a cause, the inside of
//! a printed value.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::explain::clues::Stamp;

/// Most bytes before the time of a line: the name of a pod or host, a level, an address.
const BEFORE_TIME: usize = 64;

/// Longest time, bytes.
const TIME: usize = 48;

/// Most bytes of a line in which its time is looked for among fields.
const FIELDS_LIMIT: usize = 16 << 10;

/// What a line is, as far as it says so by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It begins with a time or a level, or is an object.
    Head,
    /// It goes on with the line before.
    Continuation,
    /// It goes on with an entry if it follows one that begins with a head: an exception by its name.
    Named,
    /// Any other line.
    Plain,
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
}

/// What collectors put before each line, continuations too: CRI, docker compose, journald.
static COLLECTOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) ([FP]) ",
        r"|[a-z0-9][a-z0-9_.-]* +\| ",
        r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [^ ]+ [^ \[:]+(?:\[\d+\])?: )",
    ))
});

/// The name of the field that holds the time, in JSON and logfmt.
static TIME_FIELD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"(?i)(?:"(?:@?timestamp|time|ts|t|date|datetime|@t|asctime|eventtime|time_iso8601)"\s*:\s*"?"#,
        r#"|(?:^|\s)(?:timestamp|time|ts|t)="?)"#,
    ))
});

/// A level at the beginning.
static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^[\[<]?(?:trace|debug|info|notice|warn|warning|error|erro|err|fatal|critical|severe|panic)[\]>]?(?:[:\s|\[(]|$)",
    )
});

/// Fields with the time or the level first.
static FIELDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:time|ts|level|lvl|t|timestamp)="));

/// Frames and headings of stack traces that stand at the beginning of a line: Go, Python, Node, .NET, Java.
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:Caused by: |\.\.\. \d+ |at [\w$.<]|Traceback \(most recent call last\)|During handling of |The above exception ",
        r"|goroutine \d+|created by |stack=|for call at|--- |---> |exit status \d|debug_error_string|\[signal |\[recovered\]",
        r"|[)}\]>]+[,;]?\s*$",
        r"|[\w.~/*\-]+(?:\(\*?[\w.\[\]]+\)[\w.~/*\-]*)*\([^\s()]*(?:, ?[^\s()]*)*\)\s*$)",
    ))
});

/// An exception by its name: `io.grpc.StatusRuntimeException: …`, `ValueError: …`, `panic: …`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*(?:Error|Exception|Throwable|Panic|Failure|Rendezvous)\b",
        r"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){2,}: |panic: |fatal error: |Unhandled exception|terminate called|  what\(\))",
    ))
});

/// A line without what a collector put before it, and whether the collector says that the line goes on in the next one.
pub(super) fn inner(line: &[u8]) -> (&[u8], bool) {
    match COLLECTOR.captures(line) {
        Some(found) => {
            let end = found.get(0).map_or(0, |whole| whole.end());
            let is_part = found.get(1).is_some_and(|tag| tag.as_bytes() == b"P");
            (line.get(end..).unwrap_or_default(), is_part)
        }
        None => (line, false),
    }
}

/// The time of a line: of the field that is named so, or the one at its beginning. Others stand in what the line says.
pub(super) fn time(line: &[u8]) -> Option<Stamp> {
    let has_fields = line.starts_with(b"{") || line.contains(&b'=');
    let fields = line.get(..FIELDS_LIMIT).unwrap_or(line);
    let field = || {
        let name = TIME_FIELD.find_iter(fields).map(|name| name.end());
        name.filter_map(|at| Stamp::first(&lossy(fields.get(at..)?, TIME)).filter(|(behind, _)| *behind < 2))
            .map(|(_, stamp)| stamp)
            .next()
    };
    let at_beginning = || {
        let head = lossy(line, BEFORE_TIME + TIME);
        // What C core prints of an error.
        let own = |at: usize| {
            at <= BEFORE_TIME && !head.get(..at).is_some_and(|before| before.contains("created_time"))
        };
        Stamp::first(&head).filter(|(at, _)| own(*at)).map(|(_, stamp)| stamp)
    };
    if line.starts_with(b"{") {
        field().or_else(at_beginning)
    } else {
        at_beginning().or_else(|| field().filter(|_| has_fields))
    }
}

/// What a line is.
pub(super) fn kind(line: &[u8]) -> Kind {
    let (text, _) = inner(line);
    let has_collector = text.len() < line.len() || docker(text).is_some();
    let text = docker(text).unwrap_or(text);
    let trimmed = text.trim_ascii_start();
    if trimmed.is_empty() {
        return Kind::Continuation;
    }
    if trimmed.len() < text.len() {
        let is_own = Stamp::first(&lossy(trimmed, TIME)).is_some_and(|(at, stamp)| at < 2 && stamp.has_day());
        return if is_own { Kind::Head } else { Kind::Continuation };
    }
    if FRAME.is_match(text) {
        return Kind::Continuation;
    }
    if NAMED.is_match(text) {
        return Kind::Named;
    }
    let begins = has_collector
        || text.starts_with(b"{\"")
        || LEVEL.is_match(text)
        || FIELDS.is_match(text)
        || time(text).is_some();
    if begins { Kind::Head } else { Kind::Plain }
}

/// What a line says, where docker's `json-file` has wrapped it.
pub(super) fn unwrapped(line: &[u8]) -> Option<String> {
    docker(line)?;
    let object: serde_json::Value = serde_json::from_slice(line).ok()?;
    object.get("log")?.as_str().map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The text of a line of docker's `json-file`, up to its end.
fn docker(line: &[u8]) -> Option<&[u8]> {
    let text = line.strip_prefix(b"{\"log\":\"")?;
    // What begins with an escaped tab is indented.
    Some(if text.starts_with(b"\\t") { b"\t." } else { text })
}

fn lossy(text: &[u8], limit: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(text.get(..limit).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_entries_or_go_on_with_them() {
        use Kind::{Continuation, Head, Named, Plain};
        for (line, expected) in [
            ("2026-11-25 22:33:00,230 ERROR [main] c.s.Order - place failed", Head),
            ("E1125 22:33:00.230714    4242 order.go:31] place failed", Head),
            ("{\"level\":\"error\",\"ts\":1.5}", Head),
            ("level=error msg=x", Head),
            ("ERROR:shop.order:place failed", Head),
            ("[error] x", Head),
            ("\tat com.shop.Order.place(Order.java:41)", Continuation),
            ("    raise _InactiveRpcError(state)", Continuation),
            ("Traceback (most recent call last):", Continuation),
            ("Caused by: io.grpc.StatusRuntimeException: NOT_FOUND: x", Continuation),
            ("goroutine 12 [running]:", Continuation),
            ("main.main()", Continuation),
            ("main.(*H).act(0xc000012, {0xcd5b40?, 0x1a1})", Continuation),
            (
                "github.com/cloudwego/kitex/server.(*server).unaryOrStreamEndpoint.(*server).invokeHandleEndpoint.func3.1()",
                Continuation,
            ),
            ("runtime/debug.Stack()", Continuation),
            ("panic({0xcd5b40?, 0x1a1ee73fb310?})", Continuation),
            (">", Continuation),
            ("}", Continuation),
            ("", Continuation),
            ("io.grpc.StatusRuntimeException: NOT_FOUND: x", Named),
            ("grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:", Named),
            ("Grpc.Core.RpcException: Status(StatusCode=\"NotFound\", Detail=\"x\")", Named),
            ("panic: runtime error", Named),
            ("APP retry: rpc timeout: timeout=120ms", Plain),
            ("remote or network error: conn closed", Plain),
            ("order placed (7)", Plain),
            ("2026-11-25T22:33:00.23Z stderr F \tat com.shop.Order.place(Order.java:41)", Continuation),
            ("2026-11-25T22:33:00.23Z stderr F place failed", Head),
            ("order-1  | \tat com.shop.Order.place(Order.java:41)", Continuation),
            ("Nov 25 22:33:00 host-7 order[4242]:     raise x", Continuation),
            (
                "{\"log\":\"\\tat com.shop.Order.place(Order.java:41)\\n\",\"stream\":\"stderr\"}",
                Continuation,
            ),
            ("{\"log\":\"place failed\\n\",\"stream\":\"stderr\"}", Head),
        ] {
            assert_eq!(kind(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn the_time_of_a_line_is_not_one_of_which_it_speaks() {
        let moment = crate::time::Timestamp(1_795_645_980_000_000_000);
        for (line, seconds) in [
            ("2026-11-25T22:33:01Z x: deadline 2026-11-25T22:33:09Z", Some(1)),
            ("{\"msg\":\"deadline 2026-11-25T22:33:09Z\",\"ts\":1795645981}", Some(1)),
            ("{\"deadline\":\"2026-11-25T22:33:09Z\",\"@timestamp\":\"2026-11-25T22:33:01Z\"}", Some(1)),
            ("level=error msg=\"deadline 2026-11-25T22:33:09Z\" time=2026-11-25T22:33:01Z", None),
            ("time=\"2026-11-25T22:33:01Z\" level=error", Some(1)),
            ("10.0.0.1 - - [25/Nov/2026:22:33:01 +0000] \"POST /a\" 500", Some(1)),
            ("UNKNOWN:Error received from peer {created_time:\"2026-11-26T09:45:38+00:00\"}", None),
            (
                "failed: the order that was placed by the customer with the number seven at 2026-11-25T22:33:01Z is gone",
                None,
            ),
        ] {
            let found = time(line.as_bytes()).map(|stamp| (stamp.near(moment).0 - moment.0) / 1_000_000_000);
            if seconds.is_some() || !line.starts_with("level") {
                assert_eq!(found, seconds, "{line}");
            }
        }
    }
}
