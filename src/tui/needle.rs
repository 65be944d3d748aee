//! What `/` looks for: text as it is written or, where it has the characters of one, a regular expression. The case never counts.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::filter::{self, FilterError};

/// Largest compiled expression, bytes. It bounds the time for each character of a row, too.
const MAX_SIZE: usize = 256 << 10;
/// Most bytes that an expression remembers to be fast.
const MAX_CACHE: usize = 1 << 20;
/// The characters of regular expressions.
const SPECIAL: &[char] = &['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'];

/// What is looked for; nothing by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Needle {
    text: String,
    /// The text in lower case.
    lower: String,
    /// The text as an expression, if it is one.
    pattern: Option<Regex>,
}

impl Needle {
    /// Text as it is written.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), lower: text.to_lowercase(), pattern: None }
    }

    /// Text, or a regular expression. What is written is found in either case: an address (`[::1]:8888`) is not what its characters
    /// mean.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut needle = Self::literal(text);
        if text.contains(SPECIAL) {
            let built = RegexBuilder::new(text)
                .case_insensitive(true)
                .size_limit(MAX_SIZE)
                .dfa_size_limit(MAX_CACHE)
                .build();
            needle.pattern = Some(built.map_err(|error| FilterError {
                text: text.to_owned(),
                span: filter::place_of_mistake(&error, text),
                message: filter::reason(&error),
                hint: matches!(error, regex::Error::Syntax(_)).then(|| "write \\( for ( itself".to_owned()),
            })?);
        }
        Ok(needle)
    }

    /// What was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The letters in lower case, if it is nothing but ASCII letters.
    pub(super) fn letters(&self) -> Option<&str> {
        self.lower.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(&self.lower)
    }

    /// Whether it is in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
            || text.to_lowercase().contains(&self.lower)
    }

    /// The places of a text where it is, none of them empty.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        if self.is_empty() {
            return Vec::new();
        }
        let found =
            self.pattern.iter().flat_map(|pattern| pattern.find_iter(text)).map(|found| found.range());
        let mut places: Vec<_> = found.filter(|place| !place.is_empty()).collect();
        if places.is_empty() {
            // Only ASCII: other letters may have another length in lower case.
            let (text, needle) = (text.to_ascii_lowercase(), self.text.to_ascii_lowercase());
            places.extend(text.match_indices(&needle).map(|(at, found)| at..at + found.len()));
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_as_it_is_written_and_expressions_by_their_meaning() {
        for (typed, text, place) in [
            ("NO stock", "4041 no Stock", Some(5..13)),
            ("sku [0-9]+$", "no stock of SKU 12", Some(12..18)),
            ("stock|row", "no row", Some(3..6)),
            ("10.77.0.1", "10.77.0.12:80", Some(0..9)),
            ("[::1]:80", "from [::1]:80", Some(5..13)),
            ("a.c", "abd", None),
            ("^row", "no row", None),
            ("sku", "no row", None),
        ] {
            let needle = Needle::parse(typed).unwrap();
            assert_eq!(needle.places(text).first(), place.as_ref(), "{typed}");
            assert_eq!(needle.is_in(text), place.is_some(), "{typed}");
        }
        let places = Needle::parse("x*").unwrap().places("axxb");
        assert_eq!((places.first(), places.len()), (Some(&(1..3)), 1));
        assert_eq!(Needle::parse("a.b").unwrap().letters(), None);
        assert_eq!(Needle::parse("No").unwrap().letters(), Some("no"));
        assert!(Needle::literal("a(b").is_in("A(B)"));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        for (typed, span, why) in [
            ("é (no", 3..4, "unclosed group"),
            ("a[b", 1..2, "unclosed character class"),
            ("*", 0..1, "missing"),
            ("x{2000}{2000}", 0..13, "too large"),
        ] {
            let error = Needle::parse(typed).unwrap_err();
            assert_eq!(error.span, span, "{typed}: {error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
