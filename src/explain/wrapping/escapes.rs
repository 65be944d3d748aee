//! Escapes that change what a text says.

use super::FANOUT_LIMIT;
use crate::text::head;

/// Longest entity of HTML that is read, `&` and `;` included.
const ENTITY_LIMIT: usize = 12;

/// Longest tag of HTML that is left out.
const TAG_LIMIT: usize = 200;

/// How a colour begins: ESC, and the forms that terminals, syslog and editors print for it.
const INTRODUCERS: [&str; 5] = ["\u{1b}[", "\u{9b}", "^[[", "#033[", "␛["];

/// The text without colours and other control sequences (ECMA-48, section 5.4), and its pieces between them; `None` if it has none.
pub(super) fn without_colors(text: &str) -> Option<(String, Vec<String>)> {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = vec![String::new()];
    let mut rest = text;
    let mut has_any = false;
    while let Some(next) = rest.chars().next() {
        let inside = INTRODUCERS.iter().find_map(|introducer| rest.strip_prefix(introducer));
        let sequence = inside.and_then(|inside| {
            let end = inside.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | ':' | '?' | '=')))?;
            let (_, after) = inside.split_at_checked(end)?;
            after.strip_prefix(|c: char| c.is_ascii_alphabetic())
        });
        if let Some(after) = sequence {
            has_any = true;
            rest = after;
            if pieces.last().is_some_and(|piece| !piece.trim().is_empty()) {
                pieces.push(String::new());
            }
        } else {
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            if next != '\u{1b}' {
                plain.push(next);
                if let Some(piece) = pieces.last_mut() {
                    piece.push(next);
                }
            }
        }
    }
    has_any.then_some((plain, pieces))
}

/// The text with entities of HTML resolved and without tags, if it has entities or tags that close.
pub(super) fn html(text: &str) -> Vec<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut has_any = false;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '&' => entity(rest).map(|(c, len)| (Some(c), len)),
            '<' => tag(rest).map(|len| (None, len)),
            _ => None,
        };
        let (c, len) = taken.unwrap_or((Some(next), next.len_utf8()));
        has_any |= taken.is_some() && (next == '&' || rest.starts_with("</"));
        // A tag ends a word.
        out.push(c.unwrap_or('\n'));
        rest = rest.get(len..).unwrap_or_default();
    }
    if has_any { vec![out] } else { Vec::new() }
}

/// The character of an entity at the beginning of a text, and the entity's length.
fn entity(text: &str) -> Option<(char, usize)> {
    let head = head(text, ENTITY_LIMIT);
    let end = head.find(';')?;
    let name = head.get(1..end)?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
            char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)?
        }
    };
    Some((c, end + 1))
}

/// The length of a tag at the beginning of a text. Between `<` and `>` Go and Python print values too (`<nil>`), but these are followed
/// by no `/` and no attribute, so that only closing tags and known names count.
fn tag(text: &str) -> Option<usize> {
    const NAMES: [&str; 14] =
        ["a", "b", "br", "code", "div", "em", "i", "li", "p", "pre", "span", "strong", "td", "tr"];
    let head = head(text, TAG_LIMIT);
    let end = head.find('>')?;
    let inside = head.get(1..end)?;
    let name = inside.trim_start_matches('/').split([' ', '/']).next()?;
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(end + 1)
}

/// The parts of a text between `&` and spaces in which `%XX` stands, resolved; and the whole text resolved.
pub(super) fn url(text: &str) -> Vec<String> {
    // A form without anything to escape but spaces.
    let is_form = !text.contains(' ') && text.contains('+') && text.contains('=');
    if !has_percent(text) && !is_form {
        return Vec::new();
    }
    let mut out = Vec::new();
    for part in text.split(['&', ' ', '\n', '"', '\'', '?', '#']).filter(|part| has_percent(part) || is_form)
    {
        // In a query a plus is a space; %2B is a plus (URL Standard, application/x-www-form-urlencoded).
        let value = part.split_once('=').map_or(part, |(_, value)| value);
        out.push(percent(&value.replace('+', " ")));
        out.push(percent(value));
    }
    out.push(percent(text));
    out
}

fn has_percent(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| percent_byte(window).is_some())
}

fn percent_byte(window: &[u8]) -> Option<u8> {
    let [b'%', high, low] = window else { return None };
    let digit = |byte: u8| (byte as char).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn percent(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest.get(..3).and_then(percent_byte) {
            Some(byte) => (byte, rest.get(3..).unwrap_or_default()),
            None => (*first, after),
        };
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The whole text with its backslashes resolved, if quotes or line ends stand behind some: the inside of a string, pasted without
/// its quotes.
pub(super) fn backslashes(text: &str) -> Vec<String> {
    if ["\\\"", "\\n", "\\t", "\\u", "\\]"].iter().any(|escape| text.contains(escape)) {
        vec![unescaped(text)]
    } else {
        Vec::new()
    }
}

/// Shortest list of bytes that is read as a text, numbers.
const BYTES_SHORTEST: usize = 4;

/// Lists of bytes as decimal numbers, which journald exports of a text that holds control characters (`systemd.journal-fields`, JSON
/// format): each as the text it is.
pub(super) fn byte_lists(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for part in text.split('[').skip(1) {
        let Some((inside, _)) = part.split_once(']') else { continue };
        let bytes: Result<Vec<u8>, _> = inside.split(',').map(|number| number.trim().parse::<u8>()).collect();
        if let Ok(bytes) = bytes
            && bytes.len() >= BYTES_SHORTEST
            && let Ok(text) = String::from_utf8(bytes)
            && out.len() < FANOUT_LIMIT
        {
            out.push(text);
        }
    }
    out
}

/// Resolves the escapes that JSON, Go, Rust, Java, Python and C share. What is no escape stays as it is.
pub(in super::super) fn unescaped(text: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.as_bytes());
        let mut chars = after.chars();
        let Some(c) = chars.next() else {
            rest = "\\";
            break;
        };
        rest = chars.as_str();
        match c {
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'e' => out.push(0x1b),
            // The bracket is of syslog's structured data (RFC 5424, section 6.3.3).
            '"' | '\'' | '\\' | '/' | '`' | ']' => out.push(c as u8),
            'x' => match rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    out.push(byte);
                    rest = rest.get(2..).unwrap_or_default();
                }
                None => out.extend(b"\\x"),
            },
            'u' => match unicode(rest) {
                Some((c, len)) => {
                    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = rest.get(len..).unwrap_or_default();
                }
                None => out.extend(b"\\u"),
            },
            other => {
                out.push(b'\\');
                out.extend(other.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.extend(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// The character of what follows `\u`: four digits (a pair of surrogates has two), or digits in braces.
fn unicode(text: &str) -> Option<(char, usize)> {
    let four = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    if let Some(inside) = text.strip_prefix('{') {
        let (digits, _) = head(inside, 8).split_once('}')?;
        return Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, digits.len() + 2));
    }
    let first = four(text)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 4));
    }
    let second = four(text.get(4..)?.strip_prefix("\\u")?)?;
    let pair = char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?.ok()?;
    Some((pair, 10))
}
