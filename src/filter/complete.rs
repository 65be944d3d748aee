//! Completion of a filter, for the line editor of the interface.

use std::ops::Range;

use super::lexer::{self, Operator, Token, quote};
use super::parser::{operators, resolve, values_of};
use crate::calls::keys::{KEYS, Key, Type};
use crate::calls::likely::Likely;

/// Most candidates of one completion.
const MAX_CANDIDATES: usize = 200;

/// A possible continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The text to insert.
    pub text: String,
    /// What it means; may be empty.
    pub doc: &'static str,
}

/// The possible continuations at the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The bytes that a candidate replaces: the word at the cursor, or none.
    pub span: Range<usize>,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// Completes at the cursor, a byte offset, which is moved back to a character boundary.
#[must_use]
pub fn complete(text: &str, cursor: usize) -> Completion {
    complete_with(text, cursor, &|_| Vec::new(), &Vec::new)
}

/// The same, with the values `seen` so far of text keys (services, methods), and the names of the `fields` that bodies can have.
#[must_use]
pub fn complete_with(
    text: &str,
    cursor: usize,
    seen: &dyn Fn(&'static Key) -> Vec<String>,
    fields: &dyn Fn() -> Vec<String>,
) -> Completion {
    let cursor = (0..=cursor.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..cursor];
    let mut expected = Expected::Key;
    let mut last = cursor..cursor;
    let mut at = 0;
    while let Ok(Some((token, span))) = lexer::next(before, at) {
        at = span.end;
        // The word at the cursor is incomplete.
        if span.end == cursor && matches!(token, Token::Word(_)) {
            last = span;
            break;
        }
        expected = expected.after(token);
    }
    let mut open_quote = false;
    if last.is_empty()
        && let Some(start) = before[at..].find(['"', '\''])
    {
        last = at + start..cursor;
        open_quote = true;
    }
    let written = before[last.clone()].trim_start_matches(['"', '\'']);
    let all = if open_quote && !matches!(expected, Expected::Value(..)) {
        Vec::new()
    } else {
        let mut all = expected.candidates(seen);
        // Its parts have the names of other keys, which they must not hide.
        if matches!(expected, Expected::Key) && written.get(..3).is_some_and(|start| start == "lik") {
            let part = |part| Candidate { text: format!("likely.{part}"), doc: "where it is only likely" };
            all.extend(Likely::PARTS.map(part));
        }
        if let (Expected::Key, Some(path)) = (expected, body_path(written)) {
            let field = |name| Candidate { text: format!("{path}.{name}"), doc: "a field of bodies" };
            all.extend(fields().into_iter().map(field));
        }
        all
    };
    Completion { span: last, candidates: fitting(all, written) }
}

/// What is written before the last dot, if it leads to a field of a body (`req.user`).
fn body_path(written: &str) -> Option<&str> {
    let (path, _) = written.rsplit_once('.')?;
    resolve(path).filter(|(key, _)| matches!(key.kind, Type::Body)).map(|_| path)
}

/// The candidates that begin with the written part, then those that contain it.
fn fitting(all: Vec<Candidate>, written: &str) -> Vec<Candidate> {
    let written = written.to_lowercase();
    let mut ranked: Vec<(bool, Candidate)> = all
        .into_iter()
        .filter_map(|candidate| {
            let text = candidate.text.trim_start_matches('"').to_lowercase();
            text.contains(&written).then(|| (!text.starts_with(&written), candidate))
        })
        .collect();
    ranked.sort_by_key(|(later, _)| *later);
    ranked.into_iter().take(MAX_CANDIDATES).map(|(_, candidate)| candidate).collect()
}

/// What is expected at a position of a filter.
#[derive(Clone, Copy)]
enum Expected {
    /// A key, `not` or a parenthesis.
    Key,
    /// After a key; the second one has the values of a part of it (`likely.class`).
    Operator(&'static Key, &'static Key),
    /// After an operator, or in a list.
    Value(&'static Key, After),
    /// After `in`.
    ListStart(&'static Key),
    /// After a complete test, or after a value in a list.
    Connective(Option<&'static Key>),
    /// After an error.
    Nowhere,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// `==` and `!=`, which accept null.
    Equal,
    /// Another operator.
    Other,
    /// In a list.
    List,
}

impl Expected {
    fn after(self, token: Token<'_>) -> Self {
        let keyword = |name: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(name));
        match self {
            Self::Key => match token {
                Token::Not | Token::Open => Self::Key,
                Token::Word(_) if keyword("not") => Self::Key,
                Token::Word(word) => {
                    let operator = |(key, part): (_, Option<&str>)| Self::Operator(key, values_of(key, part));
                    resolve(word).map_or(Self::Nowhere, operator)
                }
                _ => Self::Nowhere,
            },
            Self::Operator(_, key) => match token {
                Token::Operator(Operator::Equal | Operator::Unequal) => Self::Value(key, After::Equal),
                Token::Operator(_) => Self::Value(key, After::Other),
                Token::And | Token::Or => Self::Key,
                Token::Word(_) if keyword("and") || keyword("or") => Self::Key,
                Token::Word(_) if keyword("in") => Self::ListStart(key),
                Token::Word(_) if keyword("not") => self,
                Token::Close => Self::Connective(None),
                _ => Self::Nowhere,
            },
            Self::ListStart(key) if token == Token::Open => Self::Value(key, After::List),
            Self::Value(key, after) => match token {
                Token::Word(_) | Token::Quoted(..) => Self::Connective((after == After::List).then_some(key)),
                _ => Self::Nowhere,
            },
            Self::Connective(Some(key)) => match token {
                Token::Comma => Self::Value(key, After::List),
                Token::Close => Self::Connective(None),
                _ => Self::Nowhere,
            },
            Self::Connective(None) => match token {
                Token::And | Token::Or => Self::Key,
                Token::Word(_) if keyword("and") || keyword("or") => Self::Key,
                Token::Close => self,
                _ => Self::Nowhere,
            },
            Self::ListStart(_) | Self::Nowhere => Self::Nowhere,
        }
    }

    fn candidates(self, seen: &dyn Fn(&'static Key) -> Vec<String>) -> Vec<Candidate> {
        let plain = |texts: &[&str]| {
            texts.iter().map(|text| Candidate { text: (*text).to_owned(), doc: "" }).collect::<Vec<_>>()
        };
        match self {
            Self::Key => {
                let mut all: Vec<_> =
                    KEYS.iter().map(|key| Candidate { text: short(key).to_owned(), doc: key.doc }).collect();
                all.push(Candidate { text: "not".to_owned(), doc: "the opposite of what follows" });
                all
            }
            Self::Operator(key, _) => plain(operators(key.kind)),
            Self::Value(key, after) => {
                let known = key.kind.values();
                let mut all: Vec<_> =
                    known.iter().map(|value| Candidate { text: quote(value), doc: "" }).collect();
                for value in seen(key) {
                    if !known.contains(&value.as_str()) {
                        all.push(Candidate { text: quote(&value), doc: "" });
                    }
                }
                if let Some(example) = example(key.kind) {
                    all.push(example);
                }
                if after != After::Other {
                    all.push(Candidate { text: "null".to_owned(), doc: "no value" });
                }
                all
            }
            Self::ListStart(_) => plain(&["("]),
            Self::Connective(None) => plain(&["and", "or"]),
            Self::Connective(Some(_)) => plain(&[",", ")"]),
            Self::Nowhere => Vec::new(),
        }
    }
}

/// `latency` reads better than `latency_ns` where a unit is written.
fn short(key: &'static Key) -> &'static str {
    match key.kind {
        Type::Duration => key.aliases.first().unwrap_or(&key.name),
        _ => key.name,
    }
}

/// An example value of a type without known values.
fn example(kind: Type) -> Option<Candidate> {
    let (text, doc) = match kind {
        Type::Duration => ("20ms", "a number and one of ns us ms s m h"),
        Type::Share => ("0.9", "a number from 0 to 1, or in percent"),
        Type::Bytes => ("4KiB", "a number and one of B kB KiB MB MiB GB GiB"),
        Type::Time => ("2026-01-02T15:04:05Z", "date and time"),
        Type::Address => (":8888", "address, net, port, or address:port"),
        _ => return None,
    };
    Some(Candidate { text: text.to_owned(), doc })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offered(text: &str) -> Vec<String> {
        let seen = |key: &'static Key| match key.name {
            "service" => vec!["OrderService".to_owned(), "a b".to_owned()],
            _ => Vec::new(),
        };
        let fields = || ["user", "userId", "name"].map(str::to_owned).into();
        complete_with(text, text.len(), &seen, &fields).candidates.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn fields_of_bodies_are_offered_behind_their_dots() {
        assert_eq!(offered("req.us"), ["req.user", "req.userId"]);
        assert_eq!(offered("code == 5 and response.user.na"), ["response.user.name"]);
        assert_eq!(offered("req."), ["req.user", "req.userId", "req.name"]);
        assert_eq!(offered("req.user ")[0], "==");
        assert!(offered("service.us").is_empty() && offered("nonsense.us").is_empty());
    }

    #[test]
    fn each_position_has_its_candidates() {
        assert_eq!(offered("cla"), ["class"]);
        assert_eq!(offered("lat")[0], "latency");
        assert!(offered("").len() > 30);
        assert_eq!(offered("class "), ["==", "!=", "~", "!~", "in", "not in"]);
        assert_eq!(offered("class == b"), ["business"]);
        assert_eq!(offered("class in (ok, r"), ["rpc", "transport", "unanswered"]);
        assert_eq!(offered("class in (ok "), [",", ")"]);
        assert_eq!(offered("class in "), ["("]);
        assert_eq!(offered("class == ok "), ["and", "or"]);
        assert_eq!(offered("class == ok a"), ["and"]);
        assert_eq!(offered("(not class == ok) or carr"), ["carrier"]);
        assert_eq!(offered("service == "), ["OrderService", "\"a b\"", "null"]);
        assert_eq!(offered("service == \"a"), ["\"a b\""]);
        assert_eq!(offered("latency > "), ["20ms"]);
        assert_eq!(offered("latency == "), ["20ms", "null"]);
        assert!(offered("nonsense == ").is_empty());
        assert_eq!(offered("likely.cl"), ["likely.class"]);
        assert_eq!(offered("likely.class == o")[..2], ["ok", "oneway"]);
        assert_eq!(offered("likely.service == \"a"), ["\"a b\""]);
    }

    #[test]
    fn the_word_at_the_cursor_is_replaced() {
        let text = "class == bus and x";
        let completion = complete(text, 12);
        assert_eq!(completion.span, 9..12);
        assert_eq!(completion.candidates[0].text, "business");
        assert_eq!(complete("service == \"Or", 14).span, 11..14);
        assert_eq!(complete("class ", 6).span, 6..6);
    }

    proptest! {
        #[test]
        fn any_text_and_cursor_is_answered(text in "[a-z=!~()\"', é]{0,30}|.{0,20}", cursor in 0_usize..40) {
            let completion = complete(&text, cursor);
            prop_assert!(text.get(completion.span).is_some());
        }
    }
}
