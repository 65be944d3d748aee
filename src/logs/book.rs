//! The error lines of all logs, as far as they are kept.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::entries::Entry;
use super::index::CallIndex;
use crate::codes::Wire;
use crate::codes::trace::Trace;
use crate::explain::{Found, LogLine};
use crate::text;

/// Most error lines that are kept; others are counted.
pub const LINE_LIMIT: usize = 100_000;

/// Most bytes that all lines that are kept take, unless there is less room.
pub const MEMORY_LIMIT: usize = 128 << 20;

/// Estimated memory of a line beside its text, in bytes.
const LINE_MEMORY: usize = 512;

/// Most bytes of the text of one entry that are kept once it was read.
const KEPT: usize = 8 << 10;

/// Most bytes of a text that tell what a line is like.
const SHAPE: usize = 240;

/// Most kinds of calls that one line may be about.
const KIND_LIMIT: usize = 256;

/// Times of finer steps than this are never those of two events, nanoseconds.
const UNIQUE_STEP: i64 = 1_000;

/// Different lines of a log from which it shows whether it holds each of them several times.
const SHOWN: usize = 3;

/// Why a line that is read as an error of an RPC has no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoCall {
    /// Such an error never reaches the wire: the call was not sent, or no connection came about.
    NeverSent,
    /// The line is from before the capture.
    Before,
    /// The line is from after the capture.
    After,
    /// The line names an address that no call of the capture has.
    OtherHost,
    /// Calls ended so, but at other times.
    OtherTime,
    /// As many calls ended so as other lines tell; this is one line more.
    MoreLines,
    /// The call may be ok on the wire: its caller could not use the answer.
    Refused,
    /// Not known.
    Unknown,
}

impl NoCall {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::NeverSent,
        Self::Before,
        Self::After,
        Self::OtherHost,
        Self::OtherTime,
        Self::MoreLines,
        Self::Refused,
        Self::Unknown,
    ];

    /// The word that records have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverSent => "never-on-the-wire",
            Self::Before => "before-the-capture",
            Self::After => "after-the-capture",
            Self::OtherHost => "other-host",
            Self::OtherTime => "other-time",
            Self::MoreLines => "more-lines-than-calls",
            Self::Refused => "answer-refused",
            Self::Unknown => "unknown",
        }
    }

    /// The same for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NeverSent => "such an error never reaches the wire",
            Self::Before => "the line is older than the capture",
            Self::After => "the line is younger than the capture",
            Self::OtherHost => {
                "the line names an address that no such call has: the call was on another connection or host"
            }
            Self::OtherTime => "calls ended so, but not at the time of the line",
            Self::MoreLines => "there are more such lines than calls that ended so",
            Self::Refused => "the caller refused an answer, whose call may be ok on the wire",
            Self::Unknown => "why is not known: no failed call of the capture ended so",
        }
    }
}

/// An error line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The number of its log.
    pub source: usize,
    /// The line itself.
    pub entry: Entry,
    /// What it is like: the same for lines that one place in the source of the application prints.
    pub shape: u64,
    /// The same for lines that are equal to the octet, their times included; 0 without a time.
    identity: u64,
    /// The library that words it, if one is known to.
    pub is_known: bool,
    /// Such an error never reaches the wire.
    pub is_never_sent: bool,
    /// The caller refused an answer.
    pub is_refused: bool,
    /// Kinds of calls that ended so, the best first.
    pub(super) kinds: Vec<(usize, Found)>,
}

/// The error lines of all logs.
#[derive(Debug, Default)]
pub struct Book {
    /// They, log by log.
    pub lines: Vec<Line>,
    bytes: usize,
    /// Most of them; 0 for [`MEMORY_LIMIT`].
    most: usize,
    /// Lines beyond the bounds: with and without a call that ended so.
    pub left_out: [u64; 2],
}

impl Book {
    /// A book whose lines take at most about `bytes`.
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        Self { most: bytes.clamp(1, MEMORY_LIMIT), ..Self::default() }
    }

    /// Takes an entry of a log; returns whether it is an error of an RPC.
    pub fn add(&mut self, source: usize, mut entry: Entry, index: &CallIndex) -> bool {
        let read = LogLine::read(&entry.text);
        let mut kinds = index.kinds_of(&read);
        if kinds.is_empty() && !read.is_known() {
            return false;
        }
        let most = if self.most == 0 { MEMORY_LIMIT } else { self.most };
        let size = LINE_MEMORY + entry.text.len().min(KEPT);
        if self.lines.len() >= LINE_LIMIT || self.bytes + size > most {
            self.left_out[usize::from(kinds.is_empty())] += 1;
            return true;
        }
        let shape = shape(&entry.text);
        let is_timed = entry.stamp.is_some() && !entry.is_inherited;
        let identity = if is_timed { FixedState::default().hash_one(&entry.text) } else { 0 };
        kinds.truncate(KIND_LIMIT);
        if entry.text.len() > KEPT {
            let kept = text::head(&entry.text, KEPT).len();
            entry.text.truncate(kept);
            entry.is_cut = true;
        }
        self.bytes += size;
        let line = Line {
            source,
            entry,
            shape,
            identity,
            is_known: read.is_known(),
            is_never_sent: is_never_sent(&read),
            is_refused: read.may_be_of_ok_call(),
            kinds,
        };
        self.lines.push(line);
        true
    }

    /// For each line that is only a copy of another one, that one: logs are written by two sinks, or shipped twice. Two events have one time
    /// only if that is coarse; then a line is a copy where its log holds each line as often.
    pub(super) fn copies(&self) -> HashMap<usize, usize> {
        let mut equal: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
        for (number, line) in self.lines.iter().enumerate().filter(|(_, line)| line.identity != 0) {
            equal.entry((line.source, line.identity)).or_default().push(number);
        }
        // How often each log holds its lines.
        let mut often: HashMap<usize, HashMap<usize, usize>> = HashMap::new();
        for ((source, _), lines) in &equal {
            *often.entry(*source).or_default().entry(lines.len()).or_default() += 1;
        }
        let times = |source: &usize| {
            let counts = often.get(source)?;
            let (times, most) = counts.iter().max_by_key(|(times, lines)| (**lines, **times))?;
            let all: usize = counts.values().sum();
            (most * 10 >= all * 9 && all >= SHOWN).then_some(*times)
        };
        let mut copies = HashMap::new();
        for ((source, _), lines) in &equal {
            let step = lines.first().and_then(|line| self.lines.get(*line)?.entry.stamp);
            let is_unique = step.is_some_and(|stamp| stamp.step() <= UNIQUE_STEP);
            let times = if is_unique { lines.len() } else { times(source).unwrap_or(1) };
            let events = lines.len().div_ceil(times.max(1));
            copies.extend(
                lines
                    .iter()
                    .enumerate()
                    .skip(events)
                    .filter_map(|(nth, copy)| Some((*copy, *lines.get(nth % events)?))),
            );
        }
        copies
    }
}

/// Whether the outermost error of a line never reaches the wire.
fn is_never_sent(line: &LogLine) -> bool {
    let Some(error) = line.errors.first() else { return false };
    match (error.client_text(), error.value()) {
        (Some(text), _) => matches!(text.trace, Trace::Unsent | Trace::NoConnection),
        (None, Some(value)) => value.wire.starts_with("Nothing"),
        (None, None) => error.entry().is_some_and(|entry| matches!(entry.wire, Wire::Unsent | Wire::Never)),
    }
}

/// What a line is like: its text without numbers and ids.
fn shape(text: &str) -> u64 {
    let mut plain = String::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text::head(text, SHAPE);
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        // Words with digits are numbers, times, ids.
        plain.push_str(if word.bytes().any(|byte| byte.is_ascii_digit()) { "0" } else { word });
        rest = after;
    }
    FixedState::default().hash_one(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_place_in_the_source_are_alike() {
        let same = |a: &str, b: &str| shape(a) == shape(b);
        assert!(same(
            "2026-11-25 22:33:00.1 ERROR place 7 failed trace=0af7651916cd43dd: no such order",
            "2026-11-25 22:33:09.9 ERROR place 12 failed trace=4bf92f3577b34da6: no such order"
        ));
        assert!(!same("reserve failed: no such order", "place failed: no such order"));
    }
}
