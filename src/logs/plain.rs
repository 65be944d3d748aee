//! Resolves the escapes of a line all at once, to see whether words stand behind them. What is resolved here is only looked at; the line
//! is read by [`crate::explain::LogLine`], layer by layer.

/// How colours begin.
pub(super) const ESC: u8 = 0x1b;

/// Most layers of escapes that are resolved; as many as a line is read through.
const STAGES: usize = 6;

/// Longest entity of HTML.
const ENTITY: usize = 12;

/// Whether `bytes` begin with an escape: a backslash, percent sign or ampersand alone is none.
#[must_use]
pub(super) fn is_escape(bytes: &[u8]) -> bool {
    match bytes {
        [b'\\', kind, ..] => {
            matches!(kind, b'"' | b'\\' | b'\'' | b'/' | b'n' | b'r' | b't' | b'u' | b'x' | b'e')
        }
        [b'%', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        [b'&', ..] => entity(bytes).is_some(),
        _ => false,
    }
}

/// Gives `look` the line with one layer of escapes resolved, then with two, and so on, until it says yes or nothing is left to resolve.
pub(super) fn stages(line: &[u8], mut look: impl FnMut(&[u8]) -> bool) -> bool {
    let mut stage = line.to_vec();
    for _ in 0..STAGES {
        let (next, changed) = resolved(&stage);
        if (changed && look(&next)) || look_without_pluses(&next, &mut look) {
            return true;
        }
        if !changed {
            return false;
        }
        stage = next;
    }
    false
}

/// In a query, a plus is a space.
fn look_without_pluses(stage: &[u8], look: &mut impl FnMut(&[u8]) -> bool) -> bool {
    if memchr::memchr(b'+', stage).is_none() {
        return false;
    }
    let spaced: Vec<u8> = stage.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    look(&spaced)
}

/// One layer less, and whether there was one.
fn resolved(line: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    let mut changed = false;
    while let Some((first, after)) = rest.split_first() {
        let taken = match *first {
            b'\\' => backslash(after),
            b'%' => hex(after, 2).map(|byte| (char::from(byte as u8) as u32, true, 2)),
            b'&' => entity(rest).map(|(c, len)| (c, false, len - 1)),
            ESC => color(after).map(|len| (u32::MAX, false, len)),
            _ => None,
        };
        let Some((c, is_byte, len)) = taken else {
            out.push(*first);
            rest = after;
            continue;
        };
        changed = true;
        if is_byte {
            out.push(c as u8);
        } else if let Some(c) = char::from_u32(c) {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = after.get(len..).unwrap_or_default();
    }
    (out, changed)
}

/// What a backslash and the text behind it stand for: a character or byte, whether it is a byte, and the bytes taken.
fn backslash(after: &[u8]) -> Option<(u32, bool, usize)> {
    let simple = |c: u8| Some((u32::from(c), true, 1));
    match after {
        [b'n', ..] => simple(b'\n'),
        [b'r', ..] => simple(b'\r'),
        [b't', ..] => simple(b'\t'),
        [b'e', ..] => simple(ESC),
        [c @ (b'"' | b'\'' | b'\\' | b'/' | b'`'), ..] => simple(*c),
        [b'x', digits @ ..] => hex(digits, 2).map(|byte| (byte, true, 3)),
        [b'u', digits @ ..] => unicode(digits),
        _ => None,
    }
}

fn unicode(digits: &[u8]) -> Option<(u32, bool, usize)> {
    let first = hex(digits, 4)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((first, false, 5));
    }
    let second = hex(digits.get(4..)?.strip_prefix(b"\\u")?, 4)?;
    let c = char::decode_utf16([first as u16, second as u16]).next()?.ok()?;
    Some((c as u32, false, 11))
}

fn hex(digits: &[u8], len: usize) -> Option<u32> {
    let digits = digits.get(..len).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The character of an entity, and its length.
fn entity(bytes: &[u8]) -> Option<(u32, usize)> {
    let head = bytes.get(..ENTITY.min(bytes.len()))?;
    let end = head.iter().position(|byte| *byte == b';')?;
    let c = match head.get(1..end)? {
        b"amp" => u32::from(b'&'),
        b"lt" => u32::from(b'<'),
        b"gt" => u32::from(b'>'),
        b"quot" => u32::from(b'"'),
        b"apos" => u32::from(b'\''),
        b"nbsp" => u32::from(b' '),
        [b'#', b'x' | b'X', digits @ ..] => hex(digits, digits.len())?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some((c, end + 1))
}

/// The length of a colour behind its ESC.
fn color(after: &[u8]) -> Option<usize> {
    let inside = after.strip_prefix(b"[")?;
    let end = inside
        .iter()
        .position(|byte| !(byte.is_ascii_digit() || matches!(byte, b';' | b':' | b'?' | b'=')))?;
    inside.get(end).filter(|byte| byte.is_ascii_alphabetic()).map(|_| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str, word: &str) -> bool {
        stages(line.as_bytes(), |stage| memchr::memmem::find(stage, word.as_bytes()).is_some())
    }

    #[test]
    fn words_behind_escapes_are_seen() {
        for line in [
            "rpc%20error%3A%20code",
            "rpc+error%3A+code",
            "rpc\\u0020error: code",
            "\\\"rpc error:\\u0020code",
            "&#114;pc error: code &lt;",
            "rpc \u{1b}[1merror\u{1b}[0m: code",
            "{\\\"log\\\":\\\"rpc%2520error: code\\\"}",
        ] {
            assert!(found(line, "rpc error: code"), "{line}");
        }
        assert!(!found("rpc error: code", "rpc error: code"), "nothing is behind an escape");
        assert!(found("a\\ud83d\\ude00b\\n", "a😀b"));
        assert!(!found("100% of &c \\q %zz &#xzz; \\u12", "x"));
    }
}
