//! Strings in quotes, and cells of tables.

use super::escapes::unescaped;
use super::{FANOUT_LIMIT, SHORTEST};
use crate::text;

/// Names under which errors stand in structured logs.
const ERROR_NAMES: [&str; 14] = [
    "err",
    "error",
    "errmsg",
    "errormessage",
    "exception",
    "cause",
    "reason",
    "detail",
    "details",
    "description",
    "stack",
    "stacktrace",
    "errorverbose",
    "desc",
];

/// Names under which whole lines and messages stand there.
const MESSAGE_NAMES: [&str; 10] =
    ["msg", "message", "log", "line", "event", "text", "body", "content", "data", "values"];

/// Longest name that is looked at, bytes.
const NAME_LIMIT: usize = 40;

/// What stands between double quotes, escapes resolved: texts that are named like errors first, then those named like messages,
/// then those with a space in them.
///
/// Where nothing shows which quotes open a string (a text with quotes in it is cut out of a longer one), what stands between any two
/// neighbours counts.
pub(super) fn double_quoted(text: &str) -> Vec<String> {
    let quotes = unescaped_quotes(text, b'"');
    let opening = quotes.first().and_then(|first| text.get(..*first));
    let is_certain = opening.is_none_or(|before| {
        before.trim_end().ends_with(['{', '[', '=', ':', ',', '(']) || before.trim().is_empty()
    });
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (index, pair) in quotes.windows(2).enumerate() {
        let [open, close] = pair else { continue };
        let (Some(inside), Some(before)) = (text.get(open + 1..*close), text.get(..*open)) else { continue };
        let separates = inside.trim_start().starts_with([',', ':', '}', ']', ')']);
        if (is_certain && index % 2 == 1) || separates || inside.len() < SHORTEST {
            continue;
        }
        found.push((likelihood(before, inside), inside));
    }
    found.sort_by_key(|(likelihood, _)| *likelihood);
    let mut out: Vec<String> =
        found.into_iter().take(FANOUT_LIMIT).map(|(_, inside)| unescaped(inside)).collect();
    out.extend(is_certain.then(|| unclosed(text, &quotes)).flatten());
    out
}

/// What stands behind the last quote of a text that opens a string and does not close it: the text was cut there, and is marked so.
fn unclosed(text: &str, quotes: &[usize]) -> Option<String> {
    let open = quotes.last().filter(|_| quotes.len() % 2 == 1)?;
    let (before, inside) = (text.get(..*open)?, text.get(open + 1..)?);
    let opens = before.trim_end().ends_with(['{', '[', '=', ':', ',', '(']);
    let marked = || format!("{}…", unescaped(inside.trim_end_matches('\\')));
    (opens && inside.len() >= SHORTEST).then(marked)
}

/// How likely a string is the error, 0 being the most likely, by the name before it.
fn likelihood(before: &str, inside: &str) -> usize {
    let tail = text::tail(before, NAME_LIMIT)
        .trim_end()
        .trim_end_matches([':', '='])
        .trim_end_matches([' ', '"', '\'']);
    let name =
        tail.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or_default();
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if ERROR_NAMES.contains(&&*plain) {
        0
    } else if MESSAGE_NAMES.contains(&&*plain) {
        1
    } else if inside.contains(' ') {
        2
    } else {
        3
    }
}

/// Where quotes without a backslash before them stand.
pub(in super::super) fn unescaped_quotes(text: &str, quote: u8) -> Vec<usize> {
    let mut places = Vec::new();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if byte == quote && !escaped {
            places.push(at);
        }
        escaped = byte == b'\\' && !escaped;
    }
    places
}

/// What stands between single quotes, escapes resolved (Python, JavaScript, YAML). An apostrophe within a word is no quote.
pub(super) fn single_quoted(text: &str) -> Vec<String> {
    let places = unescaped_quotes(text, b'\'');
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut opened = None;
    for at in places {
        match opened {
            None if !is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) => opened = Some(at),
            Some(open) if !is_word(bytes.get(at + 1)) => {
                opened = None;
                let inside = text.get(open + 1..at).unwrap_or_default();
                if inside.len() >= SHORTEST && out.len() < FANOUT_LIMIT {
                    out.push(unescaped(inside));
                }
            }
            _ => {}
        }
    }
    out
}

/// The cells of a row of CSV (RFC 4180) that have doubled quotes in them: other cells are strings in quotes.
pub(super) fn cells(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if !text.contains("\"\"") {
        return out;
    }
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        let before = rest.get(..open).unwrap_or_default();
        let begins = before.is_empty() || before.ends_with([',', ';', '\t', '\n', '|']);
        rest = rest.get(open + 1..).unwrap_or_default();
        if !begins {
            continue;
        }
        let mut cell = String::new();
        let mut closed = false;
        while let Some((inside, after)) = rest.split_once('"') {
            cell.push_str(inside);
            rest = after;
            let Some(after) = rest.strip_prefix('"') else {
                closed = true;
                break;
            };
            cell.push('"');
            rest = after;
        }
        if closed && cell.contains('"') && out.len() < FANOUT_LIMIT {
            out.push(cell);
        }
        if !closed {
            break;
        }
    }
    out
}
