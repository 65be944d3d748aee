//! Text for terminals: escaping of control characters, widths in columns, cutting and padding.
//!
//! Text from the wire is hostile: it passes [`escape`] before it reaches a terminal. Machine formats (jsonl, csv) have escapes
//! of their own.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character must not reach a terminal: C0 and C1 controls (ESC and CSI among them), DEL, line and paragraph
/// separators, and characters that change the direction of text, which can make a name look like another one (Unicode
/// Technical Report 36, section 2).
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with unsafe characters written as `\n`, `\x1b`, `\u{202e}`. Backslashes stay as they are: the
/// result must be harmless, but need not be reversible.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    // Printable ASCII is by far the most common.
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    push_escaped(&mut out, text);
    Cow::Owned(out)
}

/// Appends the escaped text.
pub fn push_escaped(out: &mut String, text: &str) {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !is_unsafe(c) => out.push(c),
            // Writing to a String can't fail.
            c if (c as u32) < 0x80 => _ = write!(out, "\\x{:02x}", c as u32),
            c => _ = write!(out, "\\u{{{:x}}}", c as u32),
        }
    }
}

/// Width of the text on a terminal in columns; East Asian wide characters and emoji take two.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { UnicodeWidthStr::width(text) }
}

/// The text in at most `columns` columns. A text that is too long loses its middle, because names differ at their ends
/// (`trpc.shop…stock.Stock`).
#[must_use]
pub fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let rest = columns - 1;
    // The end is more important (the method, the port), so it gets the odd column and what the head leaves.
    let head = first_columns(text, rest / 2);
    let tail = last_columns(text, rest - width(head));
    Cow::Owned(format!("{head}…{tail}"))
}

/// The text in at most `columns` columns. A text that is too long loses its end.
#[must_use]
pub fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    Cow::Owned(format!("{}…", first_columns(text, columns - 1)))
}

/// The longest beginning of `text` that takes at most `columns` columns.
fn first_columns(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            end = at;
            break;
        }
    }
    let mut head = &text[..end];
    // With a variation selector the whole can be wider than the sum of its characters.
    while width(head) > columns {
        head = head.char_indices().next_back().map_or("", |(at, _)| &head[..at]);
    }
    head
}

/// The longest end of `text` that takes at most `columns` columns and begins with a character of its own.
fn last_columns(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let wide = c.width().unwrap_or(0);
        used += wide;
        if used > columns {
            break;
        }
        // A combining mark without its letter would combine with the dots.
        if wide > 0 {
            start = at;
        }
    }
    let mut tail = &text[start..];
    while width(tail) > columns {
        let mut chars = tail.chars();
        chars.next();
        tail = chars.as_str();
    }
    tail
}

/// A dotted name in at most `columns` columns. Packages at its beginning are cut first, as long as `keep` parts stay
/// (`…stock.Stock.Reserve`), because people know the end. Addresses, and names that are still too long, lose their middle.
#[must_use]
pub fn cut_name(name: &str, columns: usize, keep: usize) -> Cow<'_, str> {
    if width(name) <= columns {
        return Cow::Borrowed(name);
    }
    if name.starts_with(|c: char| c.is_ascii_digit() || c == '[') {
        // A complete host is more useful than parts of host and port.
        let host = name.rsplit_once(':').map(|(host, _)| host).filter(|host| host.len() <= columns);
        return host.map_or_else(|| cut_middle(name, columns), Cow::Borrowed);
    }
    let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    let droppable = (dots.len() + 1).saturating_sub(keep);
    let fits = dots.iter().take(droppable).map(|at| &name[at + 1..]).find(|end| width(end) < columns);
    match fits {
        Some(end) => Cow::Owned(format!("…{end}")),
        None => cut_middle(name, columns),
    }
}

/// Alignment of the text in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At the left.
    Left,
    /// At the right, for numbers.
    Right,
}

/// Appends the text as a cell of exactly `columns` columns, cut in the middle or padded with spaces.
pub fn push_cell(out: &mut String, text: &str, columns: usize, align: Align) {
    let cell = cut_middle(text, columns);
    let fill = columns.saturating_sub(width(&cell));
    if align == Align::Right {
        out.extend(std::iter::repeat_n(' ', fill));
    }
    out.push_str(&cell);
    if align == Align::Left {
        out.extend(std::iter::repeat_n(' ', fill));
    }
}

/// A duration for people, at most six columns up to a day: `870ns`, `12µs`, `3.2ms`, `1.25s`, `2m05s`, `3h10m`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s")];
    if nanoseconds < 1_000 {
        return format!("{nanoseconds}ns");
    }
    for (unit, name) in UNITS {
        // 999.96 ms must not be rounded to "1000ms", so the limit is that of the rounded value.
        let border = if unit == 1_000_000_000 { 60 * unit - unit / 20 } else { 1_000 * unit - unit / 2 };
        if nanoseconds < border {
            return format!("{}{name}", three_digits(nanoseconds as f64 / unit as f64));
        }
    }
    let seconds = nanoseconds.saturating_add(500_000_000) / 1_000_000_000;
    match seconds {
        0..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A number of bytes for people: `188 B`, `4.1 kB`, `12.0 MB` (decimal prefixes).
#[must_use]
pub fn bytes(count: u64) -> String {
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut name = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 999.95 {
            break;
        }
        value /= 1_000.0;
        name = next;
    }
    format!("{value:.1} {name}")
}

/// A whole number with commas between thousands.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 call`, `1,204 calls`.
#[must_use]
pub fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// A value from 1 up to 1000 with two or three digits: `1.2`, `12`, `120`.
fn three_digits(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// The beginning of a text of at most so many bytes, without a part of a character.
#[must_use]
pub fn head(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The same of its end.
#[must_use]
pub fn tail(text: &str, limit: usize) -> &str {
    let start = (text.len().saturating_sub(limit)..=text.len()).find(|start| text.is_char_boundary(*start));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_lose_their_packages_first() {
        for (name, columns, keep, cut) in [
            ("trpc.shop.stock.Stock.Reserve", 40, 2, "trpc.shop.stock.Stock.Reserve"),
            ("trpc.shop.stock.Stock.Reserve", 22, 2, "…stock.Stock.Reserve"),
            ("trpc.shop.stock.Stock.Reserve", 14, 2, "…Stock.Reserve"),
            ("trpc.shop.stock.Stock.Reserve", 13, 2, "trpc.s…eserve"),
            ("OrderService.PlaceOrder", 18, 2, "OrderSer…laceOrder"),
            ("trpc.shop.front", 8, 1, "…front"),
            ("10.77.0.12:8888", 12, 1, "10.77.0.12"),
            ("10.77.0.12:8888", 9, 1, "10.7…8888"),
            ("订单.服务", 6, 1, "…服务"),
        ] {
            assert_eq!(cut_name(name, columns, keep), cut);
        }
    }

    #[test]
    fn controls_and_direction_marks_never_get_through() {
        assert_eq!(escape("plain name"), "plain name");
        assert_eq!(escape("a\x1b[31mred\x07"), "a\\x1b[31mred\\x07");
        assert_eq!(escape("line\nnext\r\tend\x7f"), "line\\nnext\\r\\tend\\x7f");
        assert_eq!(
            escape("\u{9b}31m\u{202e}gnp\u{2066}\u{feff}"),
            "\\u{9b}31m\\u{202e}gnp\\u{2066}\\u{feff}"
        );
        assert_eq!(escape("订单服务 ü 👍🏽"), "订单服务 ü 👍🏽");
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(cut_middle("trpc.shop.stock.Stock", 11), "trpc.…Stock");
        assert_eq!(cut_middle("short", 5), "short");
        assert_eq!(cut_middle("short", 1), "…");
        assert_eq!(cut_middle("short", 0), "");
        assert_eq!(cut_middle("订单服务订单服务", 7), "订…服务");
        assert_eq!(cut_end("a long message", 6), "a lon…");
    }

    #[test]
    fn cells_have_their_width() {
        let mut out = String::new();
        push_cell(&mut out, "订单", 6, Align::Left);
        out.push('|');
        push_cell(&mut out, "7", 3, Align::Right);
        assert_eq!(out, "订单  |  7");
    }

    #[test]
    fn spans_and_sizes_are_short() {
        let spans = [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.0µs"),
            (12_345, "12µs"),
            (999_499, "999µs"),
            (999_600, "1.0ms"),
            (3_200_000, "3.2ms"),
            (1_250_000_000, "1.2s"),
            (59_960_000_000, "1m00s"),
            (125_000_000_000, "2m05s"),
            (11_400_000_000_000, "3h10m"),
            (u64::MAX, "213503d23h"),
        ];
        for (nanoseconds, text) in spans {
            assert_eq!(duration(nanoseconds), text, "{nanoseconds}");
        }
        assert_eq!(bytes(188), "188 B");
        assert_eq!(bytes(4_100), "4.1 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(thousands(1_204), "1,204");
        assert_eq!(thousands(12), "12");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!([counted(1, "call"), counted(1_204, "call")], ["1 call", "1,204 calls"]);
    }

    proptest! {
        #[test]
        fn any_text_is_safe_and_fits(text in "\\PC{0,12}|[\\x00-\\u{2070}]{0,12}|.{0,12}", columns in 0_usize..20) {
            let safe = escape(&text);
            prop_assert!(!safe.chars().any(is_unsafe));
            prop_assert!(width(&cut_middle(&safe, columns)) <= columns);
            prop_assert!(width(&cut_end(&safe, columns)) <= columns);
            let mut cell = String::new();
            push_cell(&mut cell, &safe, columns, Align::Left);
            prop_assert_eq!(width(&cell), columns);
        }
    }
}
