//! Whether a text that stands in a log is the text of a call. Nothing in a line shows where an error's text ends, so the call's text
//! says it.

use crate::codes::trpc::without_cost;

/// How loggers end a line that they cut.
const CUTS: [&str; 2] = ["…", "..."];

/// Shortest beginning of a text that counts where a mark in the middle of a line may be a cut, bytes.
const CUT_LIMIT: usize = 8;

/// The same where the line ends with the mark. With the call's code beside it, nothing of the text need be left.
const END_LIMIT: usize = 1;

/// The same where nothing but a word that is broken off shows the cut.
const SILENT_CUT_LIMIT: usize = 24;

/// How much of a call's text stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agreement {
    /// Its bytes.
    pub length: usize,
    /// All of it does; otherwise the line was cut.
    pub whole: bool,
}

/// How far `said`, which stands in a log from the beginning of an error's text on, is the `text` of a call. The text may end where
/// `said` does, or before a character that can't continue its last word. `coded`: the code beside it is the call's too.
#[must_use]
pub fn agreement(said: &str, text: &str, coded: bool) -> Option<Agreement> {
    if let Some(rest) = said.strip_prefix(text)
        && ends_between(text, rest)
    {
        return Some(Agreement { length: text.len(), whole: true });
    }
    // trpc-go adds a duration on both sides of a hop.
    let plain = without_cost(text);
    if plain.len() < text.len()
        && let Some(rest) = said.strip_prefix(plain)
        && ends_between(plain, rest)
    {
        return Some(Agreement { length: plain.len(), whole: true });
    }
    cut(said, text, coded).map(|length| Agreement { length, whole: false })
}

/// How many bytes of a call's text stand in `said`, if that was cut within it.
fn cut(said: &str, text: &str, coded: bool) -> Option<usize> {
    let begins =
        |head: &str, least: usize| (head.len() >= least && text.starts_with(head)).then_some(head.len());
    let least = match (coded, cut_at_end(said)) {
        (true, Some(_)) => 0,
        (true, None) | (false, Some(_)) => END_LIMIT,
        (false, None) => CUT_LIMIT,
    };
    if let Some(at) = cut_mark(said) {
        return begins(said.get(..at)?.trim_end(), least);
    }
    // Collectors that take one line for one event leave out what follows the first line of a text.
    if let Some((first, _)) = text.split_once('\n')
        && let Some(rest) = said.strip_prefix(first.trim_end())
        && ends_between(first, rest)
    {
        return begins(first.trim_end(), least.max(END_LIMIT));
    }
    let head = said.trim_end();
    let (_, rest) = text.split_at_checked(head.len())?;
    let is_broken = !ends_between(head, rest);
    is_broken.then(|| begins(head, SILENT_CUT_LIMIT)).flatten()
}

/// Where a logger has cut a line; `None` if it shows no mark of that.
#[must_use]
pub fn cut_mark(said: &str) -> Option<usize> {
    CUTS.iter().filter_map(|mark| said.find(mark)).min()
}

/// What stands before the mark of a cut with which a line ends, but for quotes and brackets that are closed behind it.
#[must_use]
pub fn cut_at_end(said: &str) -> Option<&str> {
    let end = said.trim_end_matches(|c: char| c.is_whitespace() || "\"'`)]}>*_”」".contains(c));
    CUTS.iter().find_map(|mark| end.strip_suffix(mark)).map(str::trim_end)
}

/// Whether a text can end before what follows it: the next character does not continue its last word or number.
#[must_use]
pub fn ends_between(text: &str, rest: &str) -> bool {
    let mut following = rest.chars();
    match (text.chars().next_back(), following.next()) {
        (None, Some(next)) => !is_word(next),
        (Some(last), Some(next)) if is_word(last) => match next {
            // `limit 3` does not end in `limit 3.5`, but `no such user` does in `no such user.` and `_no such user_`.
            '.' | ',' => !(last.is_ascii_digit() && following.next().is_some_and(|c| c.is_ascii_digit())),
            '_' => !following.next().is_some_and(is_word),
            next => !is_word(next),
        },
        _ => true,
    }
}

/// Whether a text can begin behind what stands before it.
#[must_use]
pub fn begins_between(before: &str, text: &str) -> bool {
    let is_joined = |last: char, first: char| is_word(last) && is_word(first);
    !matches!((before.chars().next_back(), text.chars().next()), (Some(last), Some(first)) if is_joined(last, first))
}

/// Whether a character is of a word that spaces separate from others. Scripts without spaces have no such words.
fn is_word(c: char) -> bool {
    let has_no_spaces = matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}' | '\u{e00}'..='\u{eff}');
    c.is_alphanumeric() && !has_no_spaces
}

/// Where a text stands in another one with no word going on before or behind it, the first such place.
#[must_use]
pub fn find(line: &str, text: &str) -> Option<usize> {
    let stands = |at: usize| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + text.len()..).unwrap_or_default();
        begins_between(before, text) && ends_between(text, after)
    };
    line.match_indices(text).map(|(at, _)| at).find(|at| stands(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(said: &str, text: &str) -> Option<usize> {
        agreement(said, text, false).map(|agreed| agreed.length)
    }

    #[test]
    fn a_text_ends_where_the_line_or_a_word_does() {
        let text = "no such user";
        for tail in [
            "",
            "'",
            ")",
            ".",
            ";",
            ", cost=12ms",
            "，请重试",
            "请重试",
            "\n\tat x",
            "**",
            "_",
            " (took 1ms)",
            "\"}",
        ] {
            assert_eq!(length(&format!("{text}{tail}"), text), Some(text.len()), "{tail}");
        }
        for tail in ["s", "_id", "7"] {
            assert_eq!(length(&format!("{text}{tail}"), text), None, "{tail}");
        }
        assert_eq!((length("limit 3.5", "limit 3"), length("limit 3. Stop", "limit 3")), (None, Some(7)));
        assert_eq!((length("\", \"x\":1", ""), length("gone", "")), (Some(0), None));
        assert_eq!(length("余额不足请重试", "余额不足"), Some("余额不足".len()));
        assert_eq!(length("dial, cost:2ms", "dial, cost:3ms"), Some(4));
    }

    #[test]
    fn a_cut_line_holds_the_beginning_of_a_text() {
        let text = "no such user in any of the shards";
        assert_eq!(agreement("no such us…", text, false), Some(Agreement { length: 10, whole: false }));
        assert_eq!(
            agreement("no such user in ...\" uid=7", text, false),
            Some(Agreement { length: 15, whole: false })
        );
        assert_eq!((length("no s…", text), length("no such cat…", text)), (Some(4), None));
        assert_eq!((length("…", text), length("no s… by u7", text)), (None, None));
        let coded = |said| agreement(said, text, true).map(|agreed| agreed.length);
        assert_eq!((coded("n…"), coded("…"), coded("x…"), coded("…\"}")), (Some(1), Some(0), None, Some(0)));
        assert_eq!(length("no such user in any of the sha", text), Some(30));
        assert_eq!(length("no such user in any of the", text), None, "a text of its own");
        assert_eq!(length("no such user", "no such user\nin the shards"), Some(12));
    }

    #[test]
    fn a_text_is_found_between_words() {
        assert_eq!(find("err=gone; regone", "gone"), Some(4));
        assert_eq!(find("regone, gone_by", "gone"), None);
        assert_eq!(find("下单失败:余额不足", "余额不足"), Some("下单失败:".len()));
    }
}
