//! Lines of text on the screen: clipped, wrapped, with highlighted matches.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::needle::Needle;

/// Writes text at a position in `area`, cut at its edge. Returns the column after it.
pub(in crate::tui) fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    if x >= area.width || y >= area.height {
        return x;
    }
    let cut = text::cut_end(text, usize::from(area.width - x));
    let (end, _) = buffer.set_stringn(area.x + x, area.y + y, &cut, usize::from(area.width - x), style);
    end - area.x
}

/// Clears the text and the colours of a row.
pub(in crate::tui) fn clear(buffer: &mut Buffer, area: Rect, y: u16) {
    if y < area.height {
        for x in area.left()..area.right() {
            buffer[(x, area.y + y)].reset();
        }
    }
}

/// Fills a row from `x` on with one character.
pub(in crate::tui) fn fill(buffer: &mut Buffer, area: Rect, x: u16, y: u16, with: &str, style: Style) {
    for at in x..area.width {
        buffer.set_string(area.x + at, area.y + y, with, style);
    }
}

/// Writes text and highlights `needle` in it. Returns the column after it.
pub(in crate::tui) fn put_marked(
    buffer: &mut Buffer,
    area: Rect,
    (x, y): (u16, u16),
    text: &str,
    style: Style,
    (needle, mark): (&Needle, Style),
) -> u16 {
    let end = put(buffer, area, x, y, text, style);
    for place in needle.places(text) {
        let column = x + text::width(&text[..place.start]) as u16;
        if column < area.width {
            let width = (text::width(&text[place]) as u16).min(area.width - column);
            buffer.set_style(Rect { x: area.x + column, y: area.y + y, width, height: 1 }, mark);
        }
    }
    end
}

/// Breaks text at spaces into at most `lines` lines of `width` columns; the last one is cut if it is too long.
pub(in crate::tui) fn wrap(text: &str, width: usize, lines: usize) -> Vec<Cow<'_, str>> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && out.len() < lines {
        if out.len() + 1 == lines || text::width(rest) <= width {
            out.push(text::cut_end(rest, width));
            break;
        }
        let mut end = 0;
        let mut hard = 0;
        for (at, c) in rest.char_indices() {
            if text::width(&rest[..at]) > width {
                break;
            }
            hard = at;
            if c == ' ' {
                end = at;
            }
        }
        // A word that is longer than the line is broken.
        let end = if end == 0 { hard.max(rest.chars().next().map_or(1, char::len_utf8)) } else { end };
        out.push(Cow::Borrowed(rest[..end].trim_end()));
        rest = rest[end..].trim_start();
    }
    out
}

/// Two parts of a text in at most `lines` lines: joined if everything fits, else the first part is cut to make room for the
/// second one.
pub(in crate::tui) fn paragraphs(
    first: &str,
    second: Option<&str>,
    width: usize,
    lines: usize,
) -> Vec<String> {
    let owned = |lines: Vec<Cow<'_, str>>| lines.into_iter().map(Cow::into_owned).collect::<Vec<_>>();
    let Some(second) = second else { return owned(wrap(first, width, lines)) };
    let joined = format!("{}; {second}", first.trim_end_matches('.'));
    let whole = wrap(&joined, width, lines + 1);
    if whole.len() <= lines || lines < 2 {
        return owned(wrap(&joined, width, lines));
    }
    let below = wrap(second, width, lines - 1);
    let mut out = owned(wrap(first, width, lines - below.len()));
    out.extend(owned(below));
    out
}

/// Writes lines in the middle of an area, for views without rows.
pub(in crate::tui) fn middle(buffer: &mut Buffer, area: Rect, lines: &[String], style: Style) {
    let width = usize::from(area.width).saturating_sub(4);
    let wrapped: Vec<Cow<'_, str>> = lines.iter().flat_map(|line| wrap(line, width, 3)).collect();
    let top = area.height.saturating_sub(wrapped.len() as u16) / 3;
    for (i, line) in wrapped.iter().enumerate() {
        let x = usize::from(area.width).saturating_sub(text::width(line)) / 2;
        put(buffer, area, x as u16, top + i as u16, line, style);
    }
}

#[cfg(test)]
mod tests {
    use super::{paragraphs, wrap};

    #[test]
    fn the_second_part_is_never_cut_for_the_first() {
        assert_eq!(paragraphs("one two.", Some("it began here"), 30, 2), ["one two; it began here"]);
        assert_eq!(
            paragraphs("one two three four five", Some("it began here"), 14, 2),
            ["one two three…", "it began here"]
        );
        assert_eq!(paragraphs("one two three", None, 9, 2), ["one two", "three"]);
        assert_eq!(paragraphs("one two three", Some("more"), 9, 1), ["one two …"]);
    }

    #[test]
    fn text_breaks_at_spaces_and_never_overflows() {
        assert_eq!(wrap("one two three", 8, 3), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 8, 2), ["one two", "three f…"]);
        assert_eq!(wrap("unbreakable", 4, 5), ["unbr", "eaka", "ble"]);
        assert_eq!(wrap("订单服务订单", 5, 9), ["订单", "服务", "订单"]);
        assert_eq!(wrap("  ", 5, 2), Vec::<String>::new());
    }
}
