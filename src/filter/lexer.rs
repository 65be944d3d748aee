//! Splits the text into tokens. Words stay as written: the meaning of `20ms` or `10.0.0.0/8` depends on the key that it is compared
//! with, which only the parser knows.

use std::ops::Range;

/// An error, without the text of the filter.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { span: span.clone(), message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Match,
    NoMatch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// Key, value or keyword.
    Word(&'t str),
    /// The text between quotes, backslashes as written, and the quote.
    Quoted(&'t str, char),
    Operator(Operator),
    And,
    Or,
    Not,
    Open,
    Close,
    /// `{` and `}` around a list, as Wireshark has it.
    OpenBrace,
    CloseBrace,
    Comma,
}

/// A token and its bytes.
pub(super) type Spanned<'t> = (Token<'t>, Range<usize>);

/// Whether a character ends a bare word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | '!' | '<' | '>' | '~' | '(' | ')' | ',' | '&' | '|' | '"' | '\'')
}

/// The length of the word at the beginning of a text. Braces in it are part of it (`[0-9]{3}`), if they are balanced.
fn word_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if at == 0 => return 0,
            '{' => depth += 1,
            '}' if depth == 0 => return at,
            '}' => depth -= 1,
            c if ends_word(c) => return at,
            _ => {}
        }
    }
    text.len()
}

/// Whether a text can stand as a bare word.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && word_length(text) == text.len()
}

/// The next token at or after `from`; `None` at the end.
pub(super) fn next(text: &str, from: usize) -> Result<Option<Spanned<'_>>, Wrong> {
    let rest = text[from..].trim_start();
    let at = text.len() - rest.len();
    let mut chars = rest.chars();
    let Some(first) = chars.next() else { return Ok(None) };
    let second = chars.next();
    let two = |token: Token<'static>| Ok(Some((token, at..at + 2)));
    let one = |token: Token<'static>| Ok(Some((token, at..at + 1)));
    match (first, second) {
        ('=', Some('~')) => two(Token::Operator(Operator::Match)),
        ('=', Some('=')) => two(Token::Operator(Operator::Equal)),
        ('!', Some('=')) => two(Token::Operator(Operator::Unequal)),
        ('!', Some('~')) => two(Token::Operator(Operator::NoMatch)),
        ('<', Some('=')) => two(Token::Operator(Operator::LessOrEqual)),
        ('>', Some('=')) => two(Token::Operator(Operator::MoreOrEqual)),
        ('&', Some('&')) => two(Token::And),
        ('|', Some('|')) => two(Token::Or),
        ('=', _) => one(Token::Operator(Operator::Equal)),
        ('<', _) => one(Token::Operator(Operator::Less)),
        ('>', _) => one(Token::Operator(Operator::More)),
        ('~', _) => one(Token::Operator(Operator::Match)),
        ('!', _) => one(Token::Not),
        ('(', _) => one(Token::Open),
        (')', _) => one(Token::Close),
        ('{', _) => one(Token::OpenBrace),
        ('}', _) => one(Token::CloseBrace),
        (',', _) => one(Token::Comma),
        ('&' | '|', _) => {
            Err(Wrong::new(&(at..at + 1), format!("'{first}' stands alone"))
                .hint("write and, or; or && and ||"))
        }
        ('"' | '\'', _) => quoted(text, at, first).map(Some),
        _ => {
            let length = word_length(rest);
            Ok(Some((Token::Word(&rest[..length]), at..at + length)))
        }
    }
}

/// A quoted text whose opening quote is at `at`.
fn quoted(text: &str, at: usize, quote: char) -> Result<Spanned<'_>, Wrong> {
    let inside = at + 1;
    let mut escaped = false;
    for (offset, c) in text[inside..].char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            let end = inside + offset;
            return Ok((Token::Quoted(&text[inside..end], quote), at..end + 1));
        }
    }
    Err(Wrong::new(&(at..text.len()), "the quote is not closed"))
}

/// Removes the backslashes of a quoted text. In a regular expression, only a backslash before a quote is removed; all others belong
/// to the expression.
pub(super) fn unescape(raw: &str, quote: char, regex: bool) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(next) if next == quote => out.push(next),
            Some('\\') if !regex => out.push('\\'),
            Some('n') if !regex => out.push('\n'),
            Some('r') if !regex => out.push('\r'),
            Some('t') if !regex => out.push('\t'),
            next => {
                out.push('\\');
                out.extend(next);
            }
        }
    }
    out
}

/// A text as a value in a filter: bare if it can't be mistaken for anything else, quoted otherwise.
pub(super) fn quote(text: &str) -> String {
    let keyword = ["and", "or", "not", "in", "null"].iter().any(|k| text.eq_ignore_ascii_case(k));
    if is_word(text) && !keyword && !text.chars().any(|c| c == '\\' || crate::text::is_unsafe(c)) {
        return text.to_owned();
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
