//! Finds the places of a log at which an error may stand, faster than a line can be read.
//!
//! What is looked for follows from the tables: the words with which the forms of errors begin ([`crate::explain::signs`]), and the
//! beginnings of the errors' texts of the capture's failed calls, since bare texts lead to their calls too. Escapes can stand within such
//! words (`rpc%20error`, `\u003c`), so lines with escapes are looked at a second time, resolved ([`super::plain`]).

use std::collections::BTreeSet;

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};
use memchr::{memchr2_iter, memchr3_iter};

use super::plain;
use crate::codes::trpc::without_cost;
use crate::explain::{self, Sign};
use crate::text;

/// Most beginnings of texts of calls that are looked for.
const HEAD_LIMIT: usize = 4096;

/// Most texts of calls that are looked for.
const TEXT_LIMIT: usize = 1 << 16;

/// Most texts with one beginning that are held against a place; where more begin so, the place counts.
const SAME_LIMIT: usize = 64;

/// Longest beginning of a text of a call that is looked for, bytes. It is the end of a text of which at least as much is found.
const HEAD: usize = 8;

/// Shortest text of a call that is found without words of a library, bytes.
const SHORTEST: usize = 4;

/// From how many bytes of a text on nothing needs to show that a line was cut.
const LONG: usize = 24;

/// Most ends of one text that are looked for.
const ENDINGS: usize = 8;

/// Levels as loggers print them, for lines that are errors of another kind.
const LEVELS: [&str; 20] = [
    "ERROR",
    "FATAL",
    "SEVERE",
    "CRITICAL",
    "PANIC",
    "=error",
    "=fatal",
    "=err ",
    "=panic",
    "\"error\"",
    "\"fatal\"",
    "\"panic\"",
    "\"critical\"",
    "[error]",
    "[Error]",
    "[fatal]",
    "\terror\t",
    "\tfatal\t",
    "\tpanic\t",
    "|error|",
];

/// The same at the beginning of a line, before the rest of a date.
const KLOG_LEVELS: [&str; 6] = ["\nE0", "\nE1", "\nE2", "\nF0", "\nF1", "\nF2"];

/// What was found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Words of an error.
    Error,
    /// The level of an error; whether it is one of an RPC, its line does not say.
    Level,
}

#[derive(Clone, Debug)]
enum Pattern {
    Sign(Sign),
    /// Beginnings of texts: numbers of [`Prefilter::texts`].
    Texts(Vec<usize>),
    Level,
    /// klog's and glog's, at the beginning of a line: `E1125`.
    KlogLevel,
}

/// What is looked for in a log.
#[derive(Debug)]
pub struct Prefilter {
    words: AhoCorasick,
    patterns: Vec<Pattern>,
    /// Texts of calls, and their ends behind colons.
    texts: Vec<String>,
    /// Texts for which there was no room.
    left_out: usize,
}

impl Prefilter {
    /// Looks for the forms of errors, and for these texts of calls.
    #[must_use]
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let (mut all, mut heads) = (BTreeSet::new(), BTreeSet::new());
        let mut left_out = 0;
        for text in texts {
            for part in parts(text) {
                let head = text::head(part, HEAD);
                let has_room = all.len() < TEXT_LIMIT && (heads.len() < HEAD_LIMIT || heads.contains(head));
                if has_room {
                    heads.insert(head.to_owned());
                    all.insert(part.to_owned());
                } else if !all.contains(part) {
                    left_out += 1;
                }
            }
        }
        let texts: Vec<String> = all.into_iter().collect();
        let mut words: Vec<String> = Vec::new();
        let mut patterns = Vec::new();
        for sign in explain::signs() {
            words.push(sign.words.clone());
            patterns.push(Pattern::Sign(sign));
        }
        for level in LEVELS {
            words.push(level.to_owned());
            patterns.push(Pattern::Level);
        }
        for level in KLOG_LEVELS {
            words.push(level.to_owned());
            patterns.push(Pattern::KlogLevel);
        }
        // They are sorted: texts of one beginning follow each other.
        let mut last: Option<String> = None;
        for (number, text) in texts.iter().enumerate() {
            let head = text::head(text, HEAD);
            match patterns.last_mut() {
                Some(Pattern::Texts(numbers)) if last.as_deref() == Some(head) => numbers.push(number),
                _ => {
                    words.push(head.to_owned());
                    patterns.push(Pattern::Texts(vec![number]));
                    last = Some(head.to_owned());
                }
            }
        }
        let words = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .unwrap_or_else(|error| unreachable!("few thousand words of few bytes: {error}"));
        Self { words, patterns, texts, left_out }
    }

    /// Texts of calls that are not looked for, because there are too many.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The next place in `log`, from `from` on, at which an error may begin or the level of one stands.
    #[must_use]
    pub fn next(&self, log: &[u8], from: usize) -> Option<(usize, Seen)> {
        let mut state = OverlappingState::start();
        loop {
            self.words.find_overlapping(Input::new(log).range(from.min(log.len())..), &mut state);
            let found = state.get_match()?;
            let rest = log.get(found.end()..).unwrap_or_default();
            let seen = match self.patterns.get(found.pattern().as_usize())? {
                Pattern::Level => Some(Seen::Level),
                Pattern::KlogLevel => rest.first().is_some_and(u8::is_ascii_digit).then_some(Seen::Level),
                Pattern::Sign(sign) => sign.may_be(rest).then_some(Seen::Error),
                Pattern::Texts(numbers) => {
                    let said = log.get(found.start()..).unwrap_or_default();
                    let stands =
                        |number: &usize| self.texts.get(*number).is_some_and(|text| may_stand(said, text));
                    (numbers.len() > SAME_LIMIT || numbers.iter().any(stands)).then_some(Seen::Error)
                }
            };
            if let Some(seen) = seen {
                return Some((found.start(), seen));
            }
        }
    }

    /// Whether the level of an error stands in a text.
    #[must_use]
    pub fn has_level(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while let Some((place, seen)) = self.next(text, at) {
            if seen == Seen::Level {
                return true;
            }
            at = place + 1;
        }
        false
    }

    /// Whether an error may stand in a line in which escapes are.
    #[must_use]
    pub fn is_in_escaped(&self, line: &[u8]) -> bool {
        plain::stages(line, |stage| {
            let mut at = 0;
            while let Some((place, seen)) = self.next(stage, at) {
                if seen == Seen::Error {
                    return true;
                }
                at = place + 1;
            }
            false
        })
    }

    /// The texts of calls of which at least the beginning stands in `said`.
    pub fn texts_in<'p>(&'p self, said: &str, mut found: impl FnMut(&'p str)) {
        for place in self.words.find_overlapping_iter(said) {
            if let Some(Pattern::Texts(numbers)) = self.patterns.get(place.pattern().as_usize()) {
                let said = said.as_bytes().get(place.start()..).unwrap_or_default();
                let texts = numbers.iter().filter_map(|number| self.texts.get(*number));
                texts.filter(|text| may_stand(said, text)).for_each(|text| found(text));
            }
        }
    }
}

/// A text and what stands in it behind a colon, as far as it is looked for by itself.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let endings = text.match_indices(": ").take(ENDINGS).filter_map(|(at, mark)| text.get(at + mark.len()..));
    let endings = endings.filter(|ending| ending.len() >= HEAD);
    std::iter::once(text).filter(|text| text.len() >= SHORTEST).chain(endings)
}

/// Whether a text may stand where `said` begins, as far as that is said plainly.
fn may_stand(said: &[u8], text: &str) -> bool {
    let same = said.iter().zip(text.as_bytes()).take_while(|(said, own)| said == own).count();
    let enough = without_cost(text).len().min(LONG);
    // A cut, an escape, or the end of a line.
    let is_broken =
        |byte: &u8| matches!(byte, b'.' | 0xe2 | b'\\' | b'%' | b'&' | b'+' | 0x1b | b'\r' | b'\n');
    same >= enough || said.get(same).is_none_or(is_broken)
}

/// The first place from `from` on at which an escape stands, within which words may be hidden.
#[must_use]
pub fn next_escape(log: &[u8], from: usize) -> Option<usize> {
    let rest = log.get(from..)?;
    let is_escape = |at: &usize| plain::is_escape(rest.get(*at..).unwrap_or_default());
    memchr3_iter(b'\\', b'%', b'&', rest).find(is_escape).map(|at| from + at)
}

/// The same for colours, and for pluses between words, which stand for spaces in a URL.
#[must_use]
pub fn next_color(log: &[u8], from: usize) -> Option<usize> {
    let rest = log.get(from..)?;
    let is_one = |at: &usize| {
        let is_letter = |place: Option<usize>| {
            place.and_then(|place| rest.get(place)).is_some_and(u8::is_ascii_alphabetic)
        };
        rest.get(*at) == Some(&plain::ESC) || (is_letter(at.checked_sub(1)) && is_letter(Some(at + 1)))
    };
    memchr2_iter(plain::ESC, b'+', rest).find(is_one).map(|at| from + at)
}
