//! What stands before an error's text: other lines, bullets, and the headers of log lines.

use super::FANOUT_LIMIT;
use crate::text::head;

/// Within how many bytes a header ends.
const HEADER_LIMIT: usize = 256;

/// Most ends of a header that are tried.
const TAIL_LIMIT: usize = 5;

/// Words for the severity of a line, in capitals.
const LEVELS: [&str; 16] = [
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "ERR", "ERRO", "SEVERE", "FATAL",
    "CRITICAL", "CRIT", "PANIC", "EMERG", "ALERT",
];

/// The lines of a text that has several, without their bullets and quote marks, frames of stacks last.
pub(super) fn lines(text: &str) -> Vec<String> {
    if !text.contains('\n') {
        return Vec::new();
    }
    let lines = text.lines().map(|line| without_bullet(line).trim_end()).filter(|line| !line.is_empty());
    let (frames, texts): (Vec<&str>, Vec<&str>) = lines.partition(|line| is_frame(line));
    let lines = texts.into_iter().chain(frames).map(str::to_owned);
    unwrapped(text).into_iter().chain(lines).take(FANOUT_LIMIT).collect()
}

/// Fewest columns of a terminal or mail program that breaks lines.
const NARROWEST: usize = 40;

/// The one line that was broken into several of the same width, as a terminal or a mail program does.
fn unwrapped(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let (last, full) = lines.split_last()?;
    let width = full.first().map(|line| line.chars().count()).filter(|width| *width >= NARROWEST)?;
    let is_full = full.iter().all(|line| line.chars().count() == width);
    (is_full && last.chars().count() <= width).then(|| lines.concat())
}

/// A line without what marks it as an item of a list, a quotation or a cause.
fn without_bullet(line: &str) -> &str {
    const MARKS: [&str; 8] = ["> ", "* ", "- ", "• ", "+ ", "| ", "---> ", "Caused by: "];
    MARKS.iter().fold(line.trim_start(), |line, mark| line.strip_prefix(mark).map_or(line, str::trim_start))
}

/// Whether a line is a frame of a stack.
fn is_frame(line: &str) -> bool {
    ["at ", "goroutine ", "File \"", "... "].iter().any(|start| line.starts_with(start))
        || (line.starts_with('/') && line.contains(".go:"))
}

/// The text without its header, for each place where a header may end: behind a level, a time, a place in the source, a separator.
pub(super) fn tails(text: &str) -> Vec<String> {
    let head = head(text, HEADER_LIMIT);
    let bullet = Some(text.len() - without_bullet(text).len()).filter(|taken| *taken > 0);
    let ends = [bullet, level_end(head), time_end(head), place_end(head), separator_end(head)];
    let mut ends: Vec<usize> = ends.into_iter().flatten().collect();
    ends.sort_unstable();
    ends.dedup();
    let tail = |end: &usize| {
        let rest = text.get(*end..)?;
        let rest = rest.trim_start_matches([':', ']', '-', '>', '|', ' ', '\t', ')']);
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    ends.iter().rev().filter_map(tail).take(TAIL_LIMIT).collect()
}

/// Behind the last level.
fn level_end(head: &str) -> Option<usize> {
    let is_level = |(at, word): &(usize, &str)| {
        // Small letters are of a sentence, unless the word stands by itself.
        let stands_alone = || {
            let before = head.get(..*at).is_some_and(|before| before.ends_with(['[', '\t', '<', '|', '=']));
            let after = head.get(at + word.len()..).unwrap_or_default();
            before && after.starts_with([']', '\t', '>', '|', ' '])
        };
        LEVELS.contains(word)
            || (LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) && stands_alone())
    };
    words(head).filter(is_level).map(end).last()
}

/// Behind the last word that has the form of a time: digits with two colons.
fn time_end(head: &str) -> Option<usize> {
    let is_time = |word: &str| {
        word.matches(':').count() >= 2
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word.split(':').take(3).all(|part| part.ends_with(|c: char| c.is_ascii_digit() || c == 'Z'))
    };
    spaced(head).filter(|(_, word)| is_time(word)).map(end).last()
}

/// Behind the last `file.ext:12`.
fn place_end(head: &str) -> Option<usize> {
    let is_place = |word: &str| {
        let word = word.trim_end_matches([':', ']', ')']);
        word.split_once(':').is_some_and(|(file, line)| {
            file.contains('.')
                && file.ends_with(|c: char| c.is_ascii_alphabetic())
                && !line.is_empty()
                && line.split(':').all(|part| part.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    spaced(head).filter(|(_, word)| is_place(word)).map(end).last()
}

/// Behind the last separator of fields.
fn separator_end(head: &str) -> Option<usize> {
    ["] ", "\t", " - ", " | ", " : ", " F ", " P "]
        .iter()
        .filter_map(|mark| Some(head.rfind(mark)? + mark.len()))
        .max()
}

fn end((at, word): (usize, &str)) -> usize {
    at + word.len()
}

/// Words of letters, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    split(text, |c: char| !c.is_alphanumeric())
}

/// What stands between spaces, with its place.
fn spaced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    split(text, |c: char| c.is_whitespace() || c == '[')
}

fn split(text: &str, separates: fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive(separates).filter_map(move |part| {
        let start = at;
        at += part.len();
        let word = part.trim_end_matches(separates);
        (!word.is_empty()).then_some((start, word))
    })
}
