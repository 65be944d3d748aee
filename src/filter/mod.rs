//! The call filter (`-Y`): a small language over the keys of the call record.
//!
//! ```text
//! class in (business, rpc) and service ~ "user" and code != 10001
//! latency > 20ms or request_bytes >= 4KiB
//! server == :8888 and not findings == gap
//! metadata.x-tenant == blue
//! ```
//!
//! | form | true when |
//! | --- | --- |
//! | `key` | the call has a value for the key |
//! | `key == value`, `key = value` | it has that value; a set, list or map contains it; an address is in that net or on that port; a packet is one of the call's |
//! | `key != value` | not `key == value`, so also if there is no value |
//! | `key < value`, `<=`, `>`, `>=` | there is a value and it is less … (numbers, sizes, durations, times, call ids, one of the packets) |
//! | `key ~ regex`, `key !~ regex` | the regex matches anywhere in the text, or in one of the texts; or in none |
//! | `key contains text`, `key matches regex` | the text is in it as written; the regex matches, whatever the case |
//! | `key in (a, b)`, `key not in (a, b)` | `key == a` or `key == b`; or neither |
//! | `key in {1..10, 20}` | it is in the range, ends included, or 20; `key == 1..10` is such a test, too |
//! | `key == null`, `key != null` | there is no value; or there is one |
//! | `not x`, `!x`; `x and y`, `x && y`; `x or y`, <code>x \|\| y</code>; `(x)` | as usual: `not` binds tightest, then `and` |
//!
//! Values are bare words, or quoted by `"` or `'`. Durations have the units `ns us ms s m h`, sizes `B kB KiB MB MiB GB GiB`.
//! `metadata.NAME`, `biz_extra.NAME`, `details.NAME`, `goaway.text` and `likely.class` select one text of a map. `req.user.id`
//! selects the values of a field of the messages: a test is true if it is for one of them.
//!
//! Words of tcpdump and Wireshark (`port 8888`, `ip.addr == 10.0.0.1`) are in [`foreign`].
//!
//! A filter is compiled once and evaluated without allocation. Types are checked at compile time: a test that can never be true
//! (`class == busines`) is an error.

mod complete;
mod eval;
mod foreign;
mod lexer;
mod named;
mod operand;
mod parser;

use std::fmt;
use std::ops::Range;

use crate::calls::keys::{Key, Value};
use crate::calls::record::Call;
use crate::text;

pub use complete::{Candidate, Completion, complete, complete_with};
pub(crate) use named::blanked;
pub use named::{Named, is_name, written_out};

/// Longest filter text, bytes.
pub const MAX_LENGTH: usize = 16 * 1024;
/// Deepest nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 64;
/// Largest compiled regular expression, bytes.
const MAX_REGEX: usize = 1024 * 1024;

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    root: eval::Node,
}

impl Filter {
    /// Compiles a filter. An empty text accepts every call.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text).map(|root| Self { root }).map_err(|wrong| FilterError {
            text: text.to_owned(),
            span: wrong.span,
            message: wrong.message,
            hint: wrong.hint,
        })
    }

    /// Whether the filter accepts the call.
    #[must_use]
    pub fn matches(&self, call: &Call) -> bool {
        self.root.matches(call)
    }

    /// Whether it tests fields of bodies, which are decoded only on request.
    #[must_use]
    pub fn needs_bodies(&self) -> bool {
        self.root.tests_bodies()
    }

    /// Whether it tests headers, which calls only keep on request.
    #[must_use]
    pub fn needs_metadata(&self) -> bool {
        self.root.tests("metadata")
    }

    /// Whether it tests what is known of a call only when it is linked.
    #[must_use]
    pub fn needs_links(&self) -> bool {
        ["parent", "parent_key", "parent_evidence", "parent_confidence", "rivals", "missed"]
            .iter()
            .any(|key| self.root.tests(key))
    }
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The text of the filter.
    pub text: String,
    /// The wrong bytes of it; empty, at the end, if something is missing.
    pub span: Range<usize>,
    /// What is wrong, in a few words.
    pub message: String,
    /// A correction, if one is known.
    pub hint: Option<String>,
}

/// What is wrong with a regular expression, in a line.
pub(crate) fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "too large a regular expression".to_owned(),
        // The last line of the crate's message has the reason.
        error => {
            let said = error.to_string();
            let reason = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("not a regular expression: {}", text::escape(reason))
        }
    }
}

/// The bytes of a regular expression that are wrong: of a line, those above the carets of the crate's message; all if it has none.
pub(crate) fn place_of_mistake(error: &regex::Error, pattern: &str) -> Range<usize> {
    // The message indents the expression and the carets.
    const INDENT: usize = 4;
    let said = error.to_string();
    let is_caret = |line: &&str| line.contains('^') && line.chars().all(|c| c == ' ' || c == '^');
    let carets = said.lines().find(is_caret).filter(|_| !pattern.contains('\n'));
    let byte = |column: usize| pattern.char_indices().nth(column).map_or(pattern.len(), |(at, _)| at);
    carets.map_or(0..pattern.len(), |carets| {
        let from = carets.len() - carets.trim_start().len();
        byte(from.saturating_sub(INDENT))..byte(carets.trim_end().len().saturating_sub(INDENT))
    })
}

impl FilterError {
    /// The message, the filter, and a caret under the error, without a newline at the end.
    ///
    /// ```text
    /// wrong filter: there is no key 'clas'
    ///   clas == business
    ///   ^^^^ did you mean class?
    /// ```
    #[must_use]
    pub fn render(&self) -> String {
        let (before, rest) = self.text.split_at(self.span.start.min(self.text.len()));
        let wrong = rest.get(..self.span.len()).unwrap_or(rest);
        let column = text::width(&text::escape(before));
        let length = text::width(&text::escape(wrong)).max(1);
        let hint = self.hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default();
        format!(
            "wrong filter: {}\n  {}\n  {:column$}{}{hint}",
            self.message,
            text::escape(&self.text),
            "",
            "^".repeat(length),
        )
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl std::error::Error for FilterError {}

/// A test that accepts (with `equal`) or rejects `call` by its value for `key`: what a key press on a cell adds to the filter.
#[must_use]
pub fn test_of(key: &Key, call: &Call, equal: bool) -> String {
    let operator = if equal { "==" } else { "!=" };
    let value = (key.get)(call);
    if let Value::Messages(..) | Value::UnknownFields(..) | Value::Body(..) = value {
        // Bodies are compared by their fields.
        return format!("{} {} null", key.name, if equal { "!=" } else { "==" });
    }
    let value = operand::of_value(&value);
    format!("{} {operator} {value}", key.name)
}

/// A test of one text of a map: `likely.method == "Get"`.
#[must_use]
pub fn test_of_part(map: &Key, part: &str, text: &str, equal: bool) -> String {
    let operator = if equal { "==" } else { "!=" };
    format!("{}.{part} {operator} {}", map.name, lexer::quote(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calls::keys::KEYS;
    use crate::calls::record::{Carrier, Class};
    use crate::calls::sample::{bare, failed, full, ok};

    fn passes(filter: &str, call: &Call) -> bool {
        Filter::parse(filter).unwrap_or_else(|e| panic!("{}", e.render())).matches(call)
    }

    fn wrong(filter: &str) -> String {
        Filter::parse(filter).unwrap_err().render()
    }

    #[test]
    fn comparisons_work_for_every_type() {
        let mut call = failed(Class::Business, Carrier::FuncRet, Some(10_001), "no such user");
        call.latency = Some(20_000_000);
        call.request_bytes = 4096;
        for filter in [
            "",
            "  ",
            "class == business",
            "class = business",
            "CLASS == BUSINESS",
            "class in (business, rpc) and service ~ \"Order\" and code != 10002",
            "latency >= 20ms and latency <= 20ms and not latency > 20ms and not latency < 20ms",
            "latency < 0.02001s",
            "latency_ns == 20000000",
            "request_bytes >= 4KiB and request_bytes < 4.1kB",
            "request_bytes > 4095.5 and request_bytes >= 4095.5 and request_bytes < 4096.5 and request_bytes <= 4096.5",
            "request_bytes != 4096.5 and not request_bytes == 4096.5 and not request_bytes >= 4096.5",
            "code > 10000 && code < 10002 && code >= 10001 && code <= 10001",
            "code in (1, 10001)",
            "code not in (1, 2)",
            "code == '10001'",
            "message ~ ^no.*r$",
            "message ~ '(?i)NO\\ssuch' || method == nothing",
            "message == \"no such user\"",
            "message !~ 'x|y'",
            "server == :8888 and server == 10.77.0.0/16 and server == 10.77.0.12",
            "client in (10.77.0.11:51234) and server != 10.77.0.11",
            "server ~ \"0\\.12:8\"",
            "ret == null and func_ret == null and not ret and code",
            "not (class == ok or class == rpc)",
            "!(class == ok) and !code_name",
            "carrier == func_ret",
            "packets == 75 and packets in (71, 78) and packets != 79",
            "uid == 71 and uid < 72",
            "start >= 2026-01-02T01:34:09.12Z and start < 2026-01-03",
            "network == tcp and kind == unary and id == 5",
        ] {
            assert!(passes(filter, &call), "{filter}");
            let opposite = format!("not ({filter})");
            assert!(filter.trim().is_empty() || !passes(&opposite, &call), "{opposite}");
        }
    }

    #[test]
    fn headers_are_requested_only_if_a_test_needs_them() {
        assert!(Filter::parse("code or not (metadata.x == 1)").unwrap().needs_metadata());
        assert!(!Filter::parse("service == metadata").unwrap().needs_metadata());
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let call = ok();
        assert!(passes("class == ok or class == rpc and code == 1", &call));
        assert!(!passes("(class == ok or class == rpc) and code == 1", &call));
        assert!(passes("not class == rpc and class == ok", &call));
    }

    #[test]
    fn a_missing_value_differs_from_every_value_and_is_not_ordered() {
        let call = bare();
        assert!(passes("code != 1 and service !~ x and class not in (ok, rpc)", &call));
        for filter in
            ["code < 1", "code >= 1", "code == 1", "service ~ ''", "class in (ok, rpc)", "latency < 1s"]
        {
            assert!(!passes(filter, &call), "{filter}");
        }
        assert!(passes("class == null and class in (null, ok)", &call));
        assert!(!passes("findings", &call));
    }

    #[test]
    fn sets_lists_and_maps_are_searched_for_values() {
        let call = full();
        for filter in [
            "findings == gap and findings == late-answer and findings != truncated",
            "findings in (truncated, gap) and findings ~ ^late",
            "cancel_path == order and cancel_path ~ gate and cancel_path != web",
            "goaway.text == max_age and goaway.code == 0 and goaway ~ NO_ERROR and goaway.name != max_age",
            "likely.class == rpc and likely.method ~ ^Cou and likely.code == 14 and likely.confidence == 0.98",
            "likely and likely.service != x and likely.CLASS in (ok, rpc) and likely ~ entry",
            "biz_extra.cell == 7 and biz_extra.reason ~ sold and biz_extra == 7",
            "metadata.X-User == 8 and metadata.x-user in (1, 9) and metadata.nothing == null",
            "metadata.isn and not metadata.nothing and metadata.isn != x",
            "process == stock and process ~ sto and process == 4711",
            "unknown_name == unknown#17 and unknown_name != unknown#1 and unknown_name ~ 17",
            "parent == 70.1 and parent != 70 and uid > 71",
            "func_ret == -2147483648",
            "timeout == 1s and canceled_by == gateway",
            "message ~ stock and message == \"no \\\"stock\\\"\\n\u{202e}\"",
        ] {
            assert!(passes(filter, &call), "{filter}");
        }
    }

    #[test]
    fn fields_of_bodies_are_compared_as_what_they_are() {
        let call = full();
        for filter in [
            "req.user.id == 7 and req.user.id < 8 and req.user.id >= 7.0 and req.user.id != 8",
            "request.user.ID in (1, 7) and req.user and not req.user.name and req.user.name == null",
            "resp.names ~ ^a and resp.names == 'a\u{1b}' and resp and resp.names.0 != b",
            "exception.name == StockError and error.code == 5 and error.code <= 5",
        ] {
            assert!(passes(filter, &call), "{filter}");
            assert!(Filter::parse(filter).unwrap().needs_bodies());
        }
        for filter in ["req.user.id == x", "req.user.id > 7", "resp.names < b", "req.user > 1"] {
            assert!(!passes(filter, &call), "{filter}");
            assert!(!passes(filter, &bare()), "{filter}");
        }
        assert!(!Filter::parse("request_bytes > 1").unwrap().needs_bodies());
    }

    #[test]
    fn ipv4_mapped_addresses_equal_ipv4_addresses() {
        let mut call = ok();
        call.server.ip = "::ffff:10.1.2.3".parse().unwrap();
        call.client = crate::decode::Endpoint { ip: "fe80::1".parse().unwrap(), port: 9 };
        assert!(passes("server == 10.1.2.3 and server == 10.0.0.0/8 and server != 11.0.0.0/8", &call));
        assert!(passes("client == [fe80::1]:9 and client == fe80::/10 and client == fe80::1", &call));
    }

    #[test]
    fn errors_are_shown_with_their_place() {
        insta::assert_snapshot!(
            [
                "clas == business",
                "class == busines",
                "rpc == thrft",
                "transport == tcp",
                "class busines",
                "class ==",
                "class == ok and",
                "(class == ok",
                "class == ok)",
                "latency > 20",
                "latency > 20parsecs",
                "code == NOT_FOUND",
                "code ~ 1",
                "service > x",
                "service ~ \"(\"",
                "class in business",
                "class in (ok,)",
                "service == \"open",
                "server == 10.0.0.300",
                "uid == x",
                "start > noon",
                "findings == lat-answer",
                "class == ok class == rpc",
                "code.x == 1",
                "likely.class == busines",
                "likely.clas == ok",
                "服务 == \"订单\" & x",
                "method == a or service includes b",
                "and",
                "packets ~ 4",
            ]
            .map(wrong)
            .join("\n\n")
        );
    }

    #[test]
    fn hostile_filters_are_refused() {
        assert!(Filter::parse(&"(".repeat(MAX_LENGTH)).is_err());
        assert!(Filter::parse(&"!".repeat(MAX_LENGTH)).is_err());
        assert!(Filter::parse(&"not ".repeat(MAX_DEPTH + 1)).is_err());
        assert!(Filter::parse(&" ".repeat(MAX_LENGTH + 1)).is_err());
        assert!(Filter::parse(&"tcp ".repeat(MAX_LENGTH / 4)).is_err());
        assert!(Filter::parse("message ~ \"(\\w{1000}){1000}\"").is_err());
        let long = vec!["code == 1"; 1000].join(" or ");
        assert!(!passes(&long, &ok()));
        let deep = format!("{}class == ok{}", "(".repeat(MAX_DEPTH - 1), ")".repeat(MAX_DEPTH - 1));
        assert!(passes(&deep, &ok()));
    }

    #[test]
    fn what_only_links_tell_waits_for_them() {
        for key in KEYS {
            let filter = Filter::parse(key.name).unwrap();
            assert_eq!(filter.needs_links(), key.doc.contains("(with --link)"), "{}", key.name);
        }
    }

    #[test]
    fn the_test_of_a_cell_selects_its_call() {
        for call in [bare(), ok(), full()] {
            for key in KEYS {
                let equal = test_of(key, &call, true);
                assert!(passes(&equal, &call), "{equal}");
                let unequal = test_of(key, &call, false);
                assert!(!passes(&unequal, &call), "{unequal}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_compiled_or_refused_with_a_caret(text in "[a-z=!<>~()\"', .&|0-9\\\\é订]{0,40}|.{0,20}") {
            if let Err(error) = Filter::parse(&text) {
                prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
                prop_assert!(error.render().lines().count() == 3);
                prop_assert!(!error.render().replace('\n', "").chars().any(crate::text::is_unsafe));
            }
        }

        #[test]
        fn any_text_can_be_tested_for(message in "\\PC{0,12}|[\\x00-\\x7f]{0,12}|.{0,12}") {
            let call = failed(Class::Rpc, Carrier::Ret, Some(1), &message);
            let key = crate::calls::keys::key("message").unwrap();
            prop_assert!(passes(&test_of(key, &call, true), &call));
        }
    }
}
