//! Parses error texts, as libraries print them, into layers, the outermost first.
//!
//! | libraries | forms | source |
//! | --- | --- | --- |
//! | trpc-go, -java, -cpp | [`trpc`]: `type:callee framework, code:12, msg:…, caused by …` | `errs/errs.go`, `TRpcException.java`, `status.cc` |
//! | Kitex | [`kitex`]: `remote or network error[remote]: …`, `rpc timeout: …`, `biz error: code=404, msg=…`, `[ttstream error, code=…]`, `KITEX: …` | `pkg/kerrors`, `ttstream/exception.go`, `default_server_handler.go` |
//! | gRPC and Connect | [`grpc`], [`status`]: one form for each library | named there |
//! | thrift, Volo | [`thrift`]: `TApplicationException: …`, `application exception: …` | `lib/*`, `volo-thrift/src/error.rs` |
//! | all of these | the texts that the library of a client makes by itself | [`crate::codes::client_texts`] |
//!
//! A text may start anywhere in a log line, and one error may contain another: a service that passes an error on puts its own words
//! before it. Where an error's text ends, the line does not show; a form that has an end of its own (quotes, brackets, a stack trace)
//! is cut there.

mod grpc;
mod kitex;
mod signs;
mod status;
mod thrift;
mod trpc;

use std::sync::LazyLock;

use regex::Regex;

pub use signs::{Sign, signs};

use super::log::{LogError, Wording};
use super::wrapping::{unescaped, unescaped_quotes};
use crate::codes::library::Library;
use crate::codes::{self, client_texts};

/// Most layers that are parsed.
pub(super) const LAYER_LIMIT: usize = 64;

/// Most places of one text at which a form is tried.
const PLACE_LIMIT: usize = 64;

/// Where the words of a form may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Anywhere: nothing else says them.
    Anywhere,
    /// At the start of the text, or after a colon, a quote or a bracket: they are too common elsewhere.
    OfError,
}

/// A place in a text at which a form may begin.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// What stands before.
    before: &'a str,
    /// The text from there on.
    text: &'a str,
    /// How many layers may follow.
    depth: usize,
}

impl Place<'_> {
    /// Whether it stands within another error.
    fn is_inner(&self) -> bool {
        self.depth + 1 < LAYER_LIMIT
    }

    /// The layers within a part of the text.
    fn cause(&self, text: &str) -> Option<LogError> {
        parse_layer(text, self.depth)
    }
}

/// Parses a form that begins at a place.
type Reader = fn(Place<'_>) -> Option<LogError>;

/// A form: the words that it begins with, where they may stand, and its parser.
type Form = (&'static str, Begin, Reader);

/// The forms of all libraries.
fn forms() -> impl Iterator<Item = &'static Form> {
    [trpc::FORMS, kitex::FORMS, grpc::FORMS, status::FORMS, thrift::FORMS].into_iter().flatten()
}

/// The words of all forms, of Kitex's errors, and of texts that stand without a form.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let words = forms().map(|(words, ..)| *words).chain(kitex::words());
    let words = words.chain(status::words()).chain(client_texts::alone().map(|row| row.start));
    let all: Vec<String> = words.map(regex::escape).collect();
    Regex::new(&all.join("|")).unwrap_or_else(|error| unreachable!("escaped words: {error}"))
});

pub(super) fn parse_layer(text: &str, depth: usize) -> Option<LogError> {
    let depth = depth.checked_sub(1)?;
    let places = WORDS.find_iter(text).map(|found| found.start()).take(PLACE_LIMIT);
    let found = places.into_iter().find_map(|at| {
        let (before, rest) = (text.get(..at)?, unquoted(text, at));
        parse_at(Place { before, text: &rest, depth })
    });
    found.or_else(|| kitex::parse_suffix(text))
}

fn parse_at(place: Place<'_>) -> Option<LogError> {
    let begins = begins_error(place.before);
    // Nothing but Kitex's time-out has these words.
    let has_fields = place.text.starts_with(codes::kitex::RPC_TIMEOUT_FIELDS);
    let fits =
        |(words, begin, _): &&Form| place.text.starts_with(words) && (begins || *begin == Begin::Anywhere);
    let formed = forms().filter(fits).find_map(|(.., read)| read(place));
    formed
        .or_else(|| kitex::parse_kerror(place).filter(|_| begins || has_fields))
        .or_else(|| status::parse_named(place))
        .or_else(|| parse_alone(place).filter(|_| begins))
}

/// A text of a client's library that stands without the form of an error around it.
fn parse_alone(place: Place<'_>) -> Option<LogError> {
    let row = client_texts::alone().find(|row| row.is(place.text))?;
    let library = row.libraries.first().copied();
    Some(LogError { library, ..layer(Wording::Local, None, place.text, None) })
}

/// Whether an error can begin after this text.
fn begins_error(before: &str) -> bool {
    let before = before.trim_end();
    before.is_empty()
        || before.ends_with([':', '：', '"', '“', '=', '\'', '[', '(', '（', '`', '*', '|', '>', '\n'])
}

/// The text from `at` on. Inside quotes (a field of a structured log), it ends with them, and escapes are resolved.
fn unquoted(text: &str, at: usize) -> String {
    let quotes = unescaped_quotes(text, b'"');
    let before = quotes.partition_point(|quote| *quote < at);
    if before % 2 == 0 {
        return text.get(at..).unwrap_or_default().to_owned();
    }
    let end = quotes.get(before).copied().unwrap_or(text.len());
    unescaped(text.get(at..end).unwrap_or_default())
}

fn layer(wording: Wording, code: Option<i64>, message: &str, cause: Option<LogError>) -> LogError {
    LogError { wording, library: None, code, message: message.to_owned(), cause: cause.map(Box::new) }
}

/// The same of a library that the text shows.
fn layer_of(
    library: Library,
    wording: Wording,
    code: Option<i64>,
    message: &str,
    cause: Option<LogError>,
) -> LogError {
    LogError { library: Some(library), ..layer(wording, code, message, cause) }
}

/// A number at the beginning of a text, and the rest.
fn leading_number(text: &str) -> Option<(i64, &str)> {
    let end = text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && *c == '-')));
    let (digits, rest) = text.split_at_checked(end.map_or(text.len(), |(at, _)| at))?;
    Some((digits.parse().ok()?, rest))
}

/// How the frames of a stack trace begin, and what stands before the error below: Java, .NET, Node, Python.
const STACKS: [&str; 8] = [
    "\n\tat ",
    "\n    at ",
    "\n   at ",
    "\nCaused by: ",
    "\n\tSuppressed: ",
    "\n\t... ",
    "\n ---> ",
    "\nfor call at",
];

/// The text before a stack trace, and the trace.
fn before_stack(text: &str) -> (&str, &str) {
    let end = STACKS.iter().filter_map(|frame| text.find(frame)).min();
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""))
}

/// A quoted string with escapes at the beginning of a text: `"no \"such\" order"`, and the rest. A string without its end was
/// cut: it counts as far as it goes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let end = unescaped_quotes(inside, b'"').first().copied().unwrap_or(inside.len());
    Some((unescaped(inside.get(..end)?), inside.get(end + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
