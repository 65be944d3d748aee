//! Filters with names: `@slow and class == rpc`, where `@slow` stands for a filter that the config file has.

use std::collections::BTreeMap;
use std::ops::Range;

use super::lexer::{self, Token};
use super::{Filter, FilterError};
use crate::calls::keys::closest;

/// Filters by their names.
pub type Named = BTreeMap<String, String>;

/// Longest name, bytes.
const MAX_NAME: usize = 40;
/// A test as long as the shortest name, by which a name is replaced where only its place matters.
const TEST: &str = "tcp";

/// Whether a filter may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (TEST.len() - 1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_part)
}

/// The names in a filter, each with its `@`. One begins where a key may.
fn names(text: &str) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    let (mut at, mut is_key, mut was_in) = (0, true, false);
    while let Ok(Some((token, span))) = lexer::next(text, at) {
        at = span.end;
        let word = |name: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(name));
        if is_key && matches!(token, Token::Word(word) if word.starts_with('@')) {
            names.push(span);
        }
        is_key = match token {
            Token::Not | Token::And | Token::Or => true,
            Token::Open => !was_in,
            Token::Word(_) => ["and", "or", "not"].iter().any(|name| word(name)),
            _ => false,
        };
        was_in = word("in");
    }
    names
}

/// A text with filters in place of their names, and where both stand in the two texts.
type Expanded = (String, Vec<(Range<usize>, Range<usize>)>);

fn expanded(text: &str, named: &Named) -> Result<Expanded, FilterError> {
    let (mut out, mut places, mut copied) = (String::new(), Vec::new(), 0);
    for place in names(text) {
        let name = &text[place.start + 1..place.end];
        let Some(filter) = named.get(name) else {
            let near = closest(name, named.keys().map(String::as_str))
                .first()
                .map(|near| format!("did you mean @{near}?"));
            let all = || named.keys().map(|name| format!("@{name}")).collect::<Vec<_>>().join(", ");
            let known = near.or_else(|| (!named.is_empty()).then(|| format!("there are {}", all())));
            return Err(FilterError {
                text: text.to_owned(),
                span: place.clone(),
                message: format!("there is no filter @{name}"),
                hint: known.or_else(|| {
                    Some("only the interface knows names of filters, from the config file".to_owned())
                }),
            });
        };
        out.push_str(&text[copied..place.start]);
        let begin = out.len();
        out.extend(["(", filter, ")"]);
        places.push((place.clone(), begin..out.len()));
        copied = place.end;
    }
    out.push_str(&text[copied..]);
    Ok((out, places))
}

/// The text with filters in place of their names.
pub fn written_out(text: &str, named: &Named) -> Result<String, FilterError> {
    expanded(text, named).map(|(long, _)| long)
}

/// The text with tests of the same lengths in place of names, for completing what follows them.
pub(crate) fn blanked(text: &str) -> String {
    let mut out = text.to_owned();
    for place in names(text).into_iter().filter(|place| place.len() >= TEST.len()) {
        let blank = format!("{TEST:width$}", width = place.len());
        out.replace_range(place, &blank);
    }
    out
}

impl Filter {
    /// Compiles a filter that may have names. A mistake is where it is in the text with the names.
    pub fn parse_named(text: &str, named: &Named) -> Result<Self, FilterError> {
        let (long, places) = expanded(text, named)?;
        Self::parse(&long).map_err(|error| {
            let back = |at: usize| {
                let before = places.iter().rfind(|(_, there)| there.start < at);
                before.map_or(
                    at,
                    |(here, there)| if at < there.end { here.start } else { at - there.end + here.end },
                )
            };
            let span = back(error.span.start)..back(error.span.end).max(back(error.span.start));
            FilterError { text: text.to_owned(), span, ..error }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn named() -> Named {
        [("slow", "latency > 1s or code == 5"), ("web", "caller == web")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    }

    #[test]
    fn names_stand_for_their_filters_where_a_test_may() {
        for (text, long) in [
            ("@web", "(caller == web)"),
            (
                "not @web and (@slow || class == ok)",
                "not (caller == web) and ((latency > 1s or code == 5) || class == ok)",
            ),
            ("!@web", "!(caller == web)"),
            ("message == @web", "message == @web"),
            ("message in (@web, b)", "message in (@web, b)"),
            ("message ~ \"@web\"", "message ~ \"@web\""),
        ] {
            assert_eq!(expanded(text, &named()).unwrap().0, long);
            assert!(Filter::parse_named(text, &named()).is_ok(), "{text}");
        }
        let filter = Filter::parse_named("@web and class == ok", &named()).unwrap();
        let call = sample::ok();
        assert_eq!(filter.matches(&call), call.caller.as_deref() == Some("web"));
    }

    #[test]
    fn mistakes_are_where_they_were_typed() {
        for (text, span, said) in [
            ("@web and @slwo", 9..14, "there is no filter @slwo: did you mean @slow?"),
            ("@zzz", 0..4, "there are @slow, @web"),
            ("@web and clas == ok", 9..13, "class"),
            ("@slow @web", 6..10, "expected and, or"),
            ("@web and ", 8..8, "expected"),
        ] {
            let error = Filter::parse_named(text, &named()).unwrap_err();
            assert_eq!(error.span, span, "{text}: {error}");
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
        assert!(is_name("my-slow_1") && !is_name("a") && !is_name("a b") && !is_name(&"x".repeat(41)));
        assert_eq!(blanked("@web and not @a and @slow x"), "tcp  and not @a and tcp   x");
    }
}
