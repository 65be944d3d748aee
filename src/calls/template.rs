//! Message templates: error texts with their numbers, ids and addresses folded, so that the same error of a thousand
//! orders is one kind.

use std::net::{IpAddr, SocketAddr};

/// Longest template in characters; the text after it is cut off.
const LIMIT: usize = 160;
/// A word of this many hexadecimal digits with a decimal digit among them is an id.
const SHORTEST_HEX_ID: usize = 8;
/// A word of this many letters and digits with both among them is an id.
const SHORTEST_MIXED_ID: usize = 20;

/// The template of a message: numbers become `#`, ids `<id>`, addresses `<addr>`, and `cost:…` loses its value.
#[must_use]
pub fn template(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(LIMIT));
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        if out.len() >= LIMIT {
            out.push('…');
            break;
        }
        let word = &rest[..word_length(rest)];
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            push_word(&mut out, word);
            rest = &rest[word.len()..];
        }
    }
    out
}

/// Length of the first word in bytes: letters, digits and what joins them in addresses, ids and numbers.
fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if let Some(end) = bytes.first().filter(|b| **b == b'[').and_then(|_| text.find(']')) {
        // A bracketed IPv6 address belongs to its port.
        if text[1..end].parse::<IpAddr>().is_ok() {
            let port = bytes[end + 1..].iter().take_while(|b| b.is_ascii_digit() || **b == b':').count();
            return end + 1 + port;
        }
    }
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        let inside = byte.is_ascii_alphanumeric()
            || byte == b'_'
            || (end > 0
                && matches!(byte, b'.' | b':' | b'-')
                && bytes
                    .get(end + 1)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || (byte, *b) == (b':', b':')));
        if !inside {
            break;
        }
        end += 1;
    }
    end
}

fn push_word(out: &mut String, word: &str) {
    if let Some(name) =
        ["cost:", "cost="].iter().find(|name| word.len() > name.len() && word.starts_with(**name))
    {
        out.push_str(name);
        out.push('…');
    } else if !word.bytes().any(|b| b.is_ascii_digit()) {
        // Without digits, hexadecimal letters and colons are more often a name than an address.
        out.push_str(word);
    } else if is_address(word) {
        out.push_str("<addr>");
    } else if is_id(word) {
        out.push_str("<id>");
    } else {
        push_numbers(out, word);
    }
}

fn is_address(word: &str) -> bool {
    word.parse::<SocketAddr>().is_ok() || word.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn is_id(word: &str) -> bool {
    let letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric());
    letters && ((hex && word.len() >= SHORTEST_HEX_ID) || (plain && word.len() >= SHORTEST_MIXED_ID))
}

/// Writes the word with each number in it, decimal fractions included, as one `#`.
fn push_numbers(out: &mut String, word: &str) {
    let bytes = word.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_digit() {
            out.push('#');
            while bytes.get(at).is_some_and(u8::is_ascii_digit)
                || (bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit))
            {
                at += 1;
            }
        } else {
            // Words are ASCII, see `word_length`.
            out.push(char::from(bytes[at]));
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn what_changes_from_call_to_call_is_folded() {
        for (message, folded) in [
            ("no stock", "no stock"),
            ("biz error: no row for 7", "biz error: no row for #"),
            ("dial tcp 10.77.0.12:8888: connection refused", "dial tcp <addr>: connection refused"),
            ("dial [2001:db8::1]:80 failed", "dial <addr> failed"),
            ("peer fe80::1 gone", "peer <addr> gone"),
            ("client timeout, cost:1.00023s", "client timeout, cost:…"),
            ("took 3.25ms of 10ms", "took #ms of #ms"),
            ("order 4bf92f3577b34da6 unknown", "order <id> unknown"),
            ("id 123e4567-e89b-12d3-a456-426614174000.", "id <id>."),
            ("table users_v2 key=42", "table users_v# key=#"),
            ("库存不足 sku 1001", "库存不足 sku #"),
            ("a-b.c:d", "a-b.c:d"),
            ("[", "["),
            ("", ""),
        ] {
            assert_eq!(template(message), folded, "{message}");
        }
    }

    #[test]
    fn a_template_is_short_and_made_of_any_text() {
        let long = "x y ".repeat(10_000);
        assert!(template(&long).chars().count() <= 162);
        for hostile in ["[::", "[é]:", "cost:", ":::::", "\u{1b}[31m7", "é7é", "[::1]:éé"] {
            let _ = template(hostile);
        }
    }
}
