//! Completion of a filter, for the line editor of the interface.

use std::ops::Range;

use super::foreign;
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

impl Completion {
    /// How many candidates begin with what is written in the line.
    #[must_use]
    pub fn begin(&self, line: &str) -> usize {
        let written = line.get(self.span.clone()).unwrap_or_default();
        let written = written.trim_start_matches(['"', '\'']).to_lowercase();
        self.candidates.iter().filter(|candidate| rank(&candidate.text, &written) == Some(0)).count()
    }
}

/// Completes at the cursor, a byte offset, which is moved back to a character boundary.
#[must_use]
pub fn complete(text: &str, cursor: usize) -> Completion {
    complete_with(text, cursor, &|_| Vec::new(), &Vec::new)
}

/// The same, with the values `seen` so far of a key, the best first, and the names of the `fields` that bodies can have.
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

/// The candidates that begin with the written part, then those of which a later word does, then those that contain it; if there
/// is none, those that have its letters in this order.
fn fitting(all: Vec<Candidate>, written: &str) -> Vec<Candidate> {
    let written = written.to_lowercase();
    let mut ranked: Vec<(u8, Candidate)> =
        all.into_iter().filter_map(|candidate| Some((rank(&candidate.text, &written)?, candidate))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let contained = ranked.partition_point(|(rank, _)| *rank < SCATTERED);
    let kept = if contained > 0 { contained } else { ranked.len() };
    ranked.into_iter().take(kept.min(MAX_CANDIDATES)).map(|(_, candidate)| candidate).collect()
}

/// The rank of texts that have the letters somewhere.
const SCATTERED: u8 = 3;

/// How well a text fits what is written, in lower case: 0 is best.
fn rank(text: &str, written: &str) -> Option<u8> {
    let text = text.trim_start_matches('"').to_lowercase();
    let word_begins = |at: usize| text[..at].ends_with(|c: char| !c.is_alphanumeric());
    if text.starts_with(written) {
        return Some(0);
    }
    if text.contains(written) {
        return Some(if text.match_indices(written).any(|(at, _)| word_begins(at)) { 1 } else { 2 });
    }
    let mut letters = text.chars();
    written.chars().all(|wanted| letters.any(|letter| letter == wanted)).then_some(SCATTERED)
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
    /// After a word of tcpdump or Wireshark that takes an address or a port.
    Foreign,
    /// In a list after such a word.
    ForeignList,
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
                Token::Word(word) if foreign::ends(&word.to_ascii_lowercase()).is_some() => Self::Foreign,
                Token::Word(word) if foreign::network(&word.to_ascii_lowercase()).is_some() => {
                    Self::Connective(None)
                }
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
                Token::Word(word) if foreign::operator(word).is_some() => Self::Value(key, After::Other),
                Token::Word(_) if keyword("in") => Self::ListStart(key),
                Token::Word(_) if keyword("not") => self,
                Token::Close => Self::Connective(None),
                _ => Self::Nowhere,
            },
            Self::Foreign => match token {
                Token::Operator(_) => self,
                Token::Word(word)
                    if ["in", "not"].iter().any(|name| keyword(name))
                        || foreign::operator(word).is_some() =>
                {
                    self
                }
                Token::Word(_) | Token::Quoted(..) => Self::Connective(None),
                Token::Open | Token::OpenBrace => Self::ForeignList,
                _ => Self::Nowhere,
            },
            Self::ForeignList => match token {
                Token::Close | Token::CloseBrace => Self::Connective(None),
                _ => self,
            },
            Self::ListStart(key) if matches!(token, Token::Open | Token::OpenBrace) => {
                Self::Value(key, After::List)
            }
            Self::Value(key, after) => match token {
                Token::Word(_) | Token::Quoted(..) => Self::Connective((after == After::List).then_some(key)),
                _ => Self::Nowhere,
            },
            Self::Connective(Some(key)) => match token {
                Token::Comma => Self::Value(key, After::List),
                Token::Close | Token::CloseBrace => Self::Connective(None),
                _ => Self::Nowhere,
            },
            Self::Connective(None) => match token {
                Token::And | Token::Or => Self::Key,
                Token::Word(_) if keyword("and") || keyword("or") => Self::Key,
                Token::Close => self,
                // `tcp port 80`
                Token::Word(word) if foreign::ends(&word.to_ascii_lowercase()).is_some() => Self::Foreign,
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
                let seen = seen(key);
                let value = |value: &str, doc| Candidate { text: quote(value), doc };
                let mut all: Vec<_> = seen.iter().map(|text| value(text, "seen here")).collect();
                let known = key.kind.values().into_iter();
                all.extend(
                    known
                        .filter(|known| !seen.iter().any(|seen| seen == known))
                        .map(|known| value(known, "")),
                );
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
            Self::Foreign | Self::ForeignList | Self::Nowhere => Vec::new(),
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
    fn keys_are_found_by_any_of_their_letters() {
        assert_eq!(offered("la")[0], "latency");
        assert_eq!(complete("la", 2).begin("la"), 1);
        assert_eq!(offered("me")[..3], ["method", "message", "metadata"]);
        assert_eq!(offered("bytes")[..2], ["request_bytes", "response_bytes"]);
        assert_eq!(offered("rqby"), ["request_bytes"]);
        assert_eq!(complete("rqby", 4).begin("rqby"), 0);
        assert!(offered("zzz").is_empty());
        // A word begins with it, so it comes before those that have it in the middle.
        let names = offered("name");
        let place = |name: &str| names.iter().position(|found| found == name).unwrap();
        assert!(place("code_name") < names.len() && place("unknown_name") < names.len());
    }

    #[test]
    fn what_was_seen_comes_before_what_is_known() {
        let seen = |key: &'static Key| if key.name == "class" { vec!["rpc".to_owned()] } else { Vec::new() };
        let found = complete_with("class == ", 9, &seen, &Vec::new).candidates;
        let texts: Vec<_> = found.iter().map(|candidate| candidate.text.as_str()).collect();
        assert_eq!(texts[..3], ["rpc", "ok", "business"]);
        assert_eq!(texts.iter().filter(|text| **text == "rpc").count(), 1);
    }

    #[test]
    fn words_of_other_programs_are_followed() {
        for text in
            ["port 80 ", "tcp port 80 ", "ip.addr == ::1 ", "port in {80, 81} ", "class eq ok ", "tcp "]
        {
            assert_eq!(offered(text), ["and", "or"], "{text}");
        }
        assert_eq!(offered("class in {ok, r")[0], "rpc");
        assert_eq!(offered("class in {ok} "), ["and", "or"]);
        assert_eq!(offered("service contains Or"), ["OrderService"]);
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
