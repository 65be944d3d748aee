//! Exceptions that an IDL declares, as generated code prints them: found by the values of their fields, since neither their name nor
//! a text of them is on the wire.
//!
//! | library | form |
//! | --- | --- |
//! | thriftgo, Apache Thrift in Go | `OutOfStock({Code:31 Reason:sold out})` |
//! | Java | `OutOfStock(code:31, reason:sold out)` |
//! | Python, C++ | `OutOfStock(code=31, reason='sold out')` |
//! | Rust | `OutOfStock { code: 31, reason: "sold out" }` |
//! | Kitex's generic calls | `map[string]interface {}{"code":31, "reason":"sold out"}` |

use std::sync::LazyLock;

use regex::Regex;

use super::agreement;
use crate::body::Value;
use crate::calls::{Call, Carrier};
use crate::text;

/// Most printed values that are read in a line.
const PRINTED_LIMIT: usize = 16;

/// Most bytes of one printed value.
const LENGTH_LIMIT: usize = 16 << 10;

/// Most values in the fields of an exception that are compared.
const LEAF_LIMIT: usize = 64;

/// Shortest text among the fields that makes up for a number which is printed by its name, bytes.
const TEXT_LIMIT: usize = 4;

/// The beginning of a printed struct: a name (or the type of a map), a bracket, and the first field.
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| {
    let field = r#"\s*["']?[A-Za-z_][A-Za-z0-9_]*["']?\s?[:=]"#;
    Regex::new(&format!(r"(?:[A-Za-z0-9_](?:\(\{{|\(| \{{)|\}}\{{){field}"))
        .unwrap_or_else(|error| unreachable!("{error}"))
});

/// The printed structs of a text, each from its first bracket on.
#[must_use]
pub fn printed(text: &str) -> Vec<&str> {
    let begin = |found: regex::Match<'_>| {
        let bracket = found.as_str().find(['(', '{'])?;
        let rest = text.get(found.start() + bracket..)?;
        Some(text::head(rest, LENGTH_LIMIT))
    };
    BEGINNING.find_iter(text).filter_map(begin).take(PRINTED_LIMIT).collect()
}

/// How many bytes of a printed struct are values of the call's exception; `None` if the two do not agree.
#[must_use]
pub fn agreement_with(printed: &str, call: &Call) -> Option<usize> {
    if call.outcome.carrier != Carrier::IdlException {
        return None;
    }
    let exception = call.bodies.as_deref()?.payload.exception.as_ref()?;
    let mut leaves = Vec::new();
    collect(exception.get("fields")?, &mut leaves);
    holds(printed, leaves)
}

/// The texts among the values of a call's exception: generated code prints them as they are.
#[must_use]
pub fn texts_of(call: &Call) -> Vec<String> {
    let exception = call.bodies.as_deref().and_then(|bodies| bodies.payload.exception.as_ref());
    let mut leaves = Vec::new();
    if let Some(fields) = exception.and_then(|exception| exception.get("fields"))
        && call.outcome.carrier == Carrier::IdlException
    {
        collect(fields, &mut leaves);
    }
    let text = |leaf| match leaf {
        Leaf::Text(text) => Some(text),
        Leaf::Number(_) => None,
    };
    leaves.into_iter().filter_map(text).collect()
}

/// A value that is printed as it is.
#[derive(Debug, PartialEq)]
enum Leaf {
    Text(String),
    Number(String),
}

fn collect(value: &Value, leaves: &mut Vec<Leaf>) {
    if leaves.len() >= LEAF_LIMIT {
        return;
    }
    match value {
        Value::Int(number) => leaves.push(Leaf::Number(number.to_string())),
        Value::UInt(number) => leaves.push(Leaf::Number(number.to_string())),
        Value::Text(text) if !text.is_empty() => leaves.push(Leaf::Text(text.clone())),
        Value::List(elements) => elements.iter().for_each(|element| collect(element, leaves)),
        Value::Object(fields) | Value::Map(fields) => {
            for (_, field) in fields {
                collect(field, leaves);
            }
        }
        Value::Unknown(field) => collect(field, leaves),
        // Each language prints these in its own way.
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Raw(_) | Value::Text(_) => {}
    }
}

/// Whether a printed struct has these values and no others; how many bytes they take.
fn holds(printed: &str, mut leaves: Vec<Leaf>) -> Option<usize> {
    // The longest first: a short one may stand in a longer one.
    leaves.sort_by_key(|leaf| {
        std::cmp::Reverse(match leaf {
            Leaf::Text(text) | Leaf::Number(text) => text.len(),
        })
    });
    let cut = agreement::cut_mark(printed);
    let mut rest = printed.get(..cut.unwrap_or(printed.len())).unwrap_or_default().to_owned();
    let (mut length, mut longest, mut whole, mut by_name) = (0, 0, 0_usize, 0_usize);
    for leaf in &leaves {
        let (Leaf::Text(text) | Leaf::Number(text)) = leaf;
        if let Some(at) = agreement::find(&rest, text) {
            // A mark that is no word, so that what is left can be told from it.
            rest.replace_range(at..at + text.len(), "\0");
            length += text.len();
            whole += 1;
            if matches!(leaf, Leaf::Text(_)) {
                longest = longest.max(text.len());
            }
        } else if matches!(leaf, Leaf::Number(_)) {
            // Enums are printed by their names.
            by_name += 1;
        } else if cut.is_none() {
            return None;
        } else if let Some(at) = beginning_at_end(&rest, text) {
            length += rest.len() - at;
            longest = longest.max(rest.len() - at);
            rest.truncate(at);
        }
    }
    let mut others = unexplained(inside(&rest));
    // A name that is cut off.
    if cut.is_some() && others.last().is_some_and(|last| rest.ends_with(*last)) {
        others.pop();
    }
    // Whatever else is printed must be the names of these.
    let are_names = others.iter().all(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'));
    let agrees = others.len() <= by_name && are_names && (by_name == 0 || longest >= TEXT_LIMIT);
    (agrees && (whole > 0 || longest >= TEXT_LIMIT)).then_some(length)
}

/// Where the beginning of a value stands at the end of a line that was cut.
fn beginning_at_end(line: &str, value: &str) -> Option<usize> {
    let starts = line.char_indices().map(|(at, _)| at).rev().take(value.len());
    let begins = |at: &usize| {
        let (before, end) = line.split_at_checked(*at).unwrap_or_default();
        value.starts_with(end) && agreement::begins_between(before, end)
    };
    // The longest.
    starts.filter(begins).last()
}

/// A printed struct up to the bracket that closes it; all of it if none does.
fn inside(printed: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in printed.char_indices() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return printed.get(..at).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    printed
}

/// The words of a printed struct that are neither names of fields and types nor values that mean nothing.
fn unexplained(inside: &str) -> Vec<&str> {
    const EMPTY: [&str; 9] = ["nil", "null", "None", "Some", "0", "false", "true", "map", "undefined"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == '-';
    let mut others = Vec::new();
    let mut rest = inside;
    while let Some(start) = rest.find(is_word) {
        let text = rest.get(start..).unwrap_or_default();
        let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
        let (word, after) = text.split_at_checked(end).unwrap_or_default();
        let behind = after.trim_start_matches(['"', '\'', ' ']);
        let is_name = behind.starts_with([':', '=', '(', '{', '[']);
        let is_pointer = word.starts_with("0x");
        let has_letters = word.contains(char::is_alphanumeric);
        if has_letters && !is_name && !is_pointer && !EMPTY.contains(&word) {
            others.push(word);
        }
        rest = after;
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(line: &str, code: i64, reason: &str) -> bool {
        let leaves = || {
            let mut leaves = vec![Leaf::Number(code.to_string())];
            if !reason.is_empty() {
                leaves.push(Leaf::Text(reason.to_owned()));
            }
            leaves
        };
        printed(line).iter().any(|printed| holds(printed, leaves()).is_some())
    }

    #[test]
    fn every_library_prints_the_same_fields() {
        for line in [
            "order failed: StockError({Code:31 Reason:sold out}), cost=1ms",
            "OutOfStock(code:31, reason:sold out)",
            "OutOfStock(code=31, reason='sold out')",
            "Oos(OutOfStock { code: 31, reason: \"sold out\" })",
            "OutOfStock { code: Some(31), reason: Some(\"sold out\") }",
            "TException - service has thrown: OutOfStock(code=31, reason=sold out)",
            "remote or network error[remote]: map[string]interface {}{\"code\":31, \"reason\":\"sold out\"}",
        ] {
            assert!(agrees(line, 31, "sold out"), "{line}");
            for (code, reason) in [(32, "sold out"), (3, "sold out"), (31, "sold"), (31, ""), (31, "gone")] {
                assert!(!agrees(line, code, reason), "{line}: {code} {reason}");
            }
        }
        assert!(agrees("StockError({Code:31 Reason:sold o…", 31, "sold out"));
        assert!(agrees("StockError({Code:31 Reason:s…", 31, "sold out"));
        assert!(agrees("StockError({Code:31 Rea…", 31, "sold out"));
        assert!(!agrees("StockError({Code:31 Reason:sold o…", 31, "gone"));
        assert!(agrees("StockError({Code:10 Reason:})", 10, ""));
        assert!(agrees("StockError({Kind:SOLD_OUT Reason:sold out})", 31, "sold out"), "an enum by its name");
    }

    #[test]
    fn other_brackets_are_no_exceptions() {
        for line in ["call(1, 2)", "{\"level\":\"error\",\"code\":31}", "order failed (code 31)", "[uid: 7]"]
        {
            assert!(printed(line).is_empty(), "{line}");
        }
    }
}
