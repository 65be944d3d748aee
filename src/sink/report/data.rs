//! The calls of the page as JSON in columns, which its script draws; texts that repeat are numbered.

use std::fmt::Write as _;

use hashbrown::HashMap;

use super::MAX_TEXTS;
use crate::text;

/// Longest text of a cell, in bytes.
const LONGEST: usize = 400;

/// Texts by number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, u32>,
    all: Vec<String>,
    bytes: usize,
    /// Texts for which there was no room.
    pub(super) left_out: u64,
}

impl Texts {
    /// The number of a text, which is cut at [`LONGEST`]. Beyond [`MAX_TEXTS`], that of an ellipsis.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let cut = text::head(text, LONGEST);
        if let Some(number) = self.numbers.get(cut) {
            return *number;
        }
        let has_room = self.bytes + cut.len() <= MAX_TEXTS;
        let kept = match (has_room, cut.len() < text.len()) {
            (true, false) => cut.to_owned(),
            (true, true) => format!("{cut}…"),
            (false, _) => {
                self.left_out += 1;
                if let Some(number) = self.numbers.get("…") {
                    return *number;
                }
                "…".to_owned()
            }
        };
        let number = self.all.len() as u32;
        self.bytes += kept.len();
        self.numbers.insert(if has_room { cut.to_owned() } else { kept.clone() }, number);
        self.all.push(kept);
        number
    }

    /// The text of a number.
    pub(super) fn get(&self, number: u32) -> &str {
        self.all.get(number as usize).map_or("", String::as_str)
    }

    /// Appends a JSON array of all.
    pub(super) fn push(&self, out: &mut String) {
        push_array(out, self.all.iter(), |out, text| push_string(out, text));
    }
}

/// A call in the table of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) packet: u64,
    pub(super) ordinal: u32,
    /// Nanoseconds since the Unix epoch.
    pub(super) start: i64,
    /// Nanoseconds; `u64::MAX` where there was no answer.
    pub(super) latency: u64,
    pub(super) client: u32,
    pub(super) server: u32,
    pub(super) operation: u32,
    pub(super) protocol: u32,
    /// As [`crate::calls::intervals::index`].
    pub(super) class: u8,
    pub(super) verdict: u32,
    /// The sentence of a failed call.
    pub(super) sentence: Option<u32>,
    /// Number of its kind of error.
    pub(super) group: Option<u32>,
    /// Number of its chain, if that is in the page.
    pub(super) chain: Option<u32>,
}

/// Appends `[…]`.
pub(super) fn push_array<T>(out: &mut String, items: impl Iterator<Item = T>, push: impl Fn(&mut String, T)) {
    out.push('[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// Appends a JSON string that is safe inside of a `script` element: no character of it can end the element or begin a comment,
/// and none is a line end to JavaScript (HTML 13.1.2, ECMA-262 12.3).
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '&' | '\'' | '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String can't fail.
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends the rows as an object of columns. Times are microseconds from `first`; −1 stands for what is not known.
pub(super) fn push_rows(out: &mut String, rows: &[Row], first: i64) {
    let mut column = |name: &str, push: &dyn Fn(&mut String, &Row)| {
        if !out.ends_with('{') {
            out.push(',');
        }
        _ = write!(out, "\"{name}\":");
        push_array(out, rows.iter(), push);
    };
    let optional = |out: &mut String, number: Option<u32>| match number {
        Some(number) => _ = write!(out, "{number}"),
        None => out.push_str("-1"),
    };
    column("uid", &|out, row| {
        _ = if row.ordinal == 0 {
            write!(out, "{}", row.packet)
        } else {
            write!(out, "\"{}.{}\"", row.packet, row.ordinal)
        };
    });
    column("start", &|out, row| _ = write!(out, "{}", row.start.saturating_sub(first) / 1_000));
    column("latency", &|out, row| match row.latency {
        u64::MAX => out.push_str("-1"),
        latency => _ = write!(out, "{}", latency / 1_000),
    });
    column("client", &|out, row| _ = write!(out, "{}", row.client));
    column("server", &|out, row| _ = write!(out, "{}", row.server));
    column("operation", &|out, row| _ = write!(out, "{}", row.operation));
    column("protocol", &|out, row| _ = write!(out, "{}", row.protocol));
    column("class", &|out, row| _ = write!(out, "{}", row.class));
    column("verdict", &|out, row| _ = write!(out, "{}", row.verdict));
    column("sentence", &|out, row| optional(out, row.sentence));
    column("group", &|out, row| optional(out, row.group));
    column("chain", &|out, row| optional(out, row.chain));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_of_the_script() {
        let hostile = "</script><!--\u{2028}\"\\\u{0}\n\u{9b}'&\u{1f600}";
        let mut out = String::new();
        push_string(&mut out, hostile);
        assert!(!out.contains(['<', '>', '&', '\u{2028}', '\n', '\u{9b}', '\'']), "{out}");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), hostile);
    }

    #[test]
    fn texts_repeat_and_are_bounded() {
        let mut texts = Texts::default();
        let (a, b) = (texts.number("a"), texts.number("b"));
        assert_eq!((a, texts.number("a")), (texts.number("a"), a));
        assert_ne!(a, b);
        let long = "é".repeat(LONGEST);
        let number = texts.number(&long);
        assert_eq!(texts.number(&long), number);
        assert!(texts.get(number).ends_with('…') && texts.get(number).len() <= LONGEST + 3);
        for at in 0..MAX_TEXTS / LONGEST + 10 {
            texts.number(&format!("{at:0>LONGEST$}"));
        }
        assert!(texts.left_out > 0 && texts.bytes <= MAX_TEXTS + 3);
        let (new, other) = ("n".repeat(LONGEST), "o".repeat(LONGEST));
        assert_eq!(texts.number(&new), texts.number(&other));
        assert_eq!(texts.number("a"), a);
    }
}
