//! The words of an IDL, one at a time, each with its place.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until, take_while, take_while1};
use nom::character::complete::{anychar, char, multispace1};
use nom::combinator::{opt, recognize, value, verify};
use nom::{IResult, Parser};

type Lexed<'a, O> = IResult<&'a str, O>;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, dots included; `-` too, which names of namespaces may have.
    Word(&'a str),
    /// A number as it is written.
    Number(&'a str),
    /// What stands between quotes, escapes kept.
    Literal(&'a str),
    /// Any other character.
    Symbol(char),
    /// The end of the file.
    End,
}

impl Token<'_> {
    /// How an error names it.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) => format!("'{}'", shortened(text)),
            Self::Literal(text) => format!("\"{}\"", shortened(text)),
            Self::Symbol(c) => format!("'{}'", c.escape_debug()),
            Self::End => "the end of the file".to_owned(),
        }
    }
}

/// Most characters of a word that an error quotes.
const QUOTED: usize = 40;

fn shortened(text: &str) -> String {
    text.chars().take(QUOTED).flat_map(char::escape_debug).collect()
}

/// A fault at a byte of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset of the byte.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) what: String,
}

/// Reads a file word by word.
pub(super) struct Lexer<'a> {
    whole: &'a str,
    rest: &'a str,
    /// The word that was looked at and not taken, and its place.
    peeked: Option<(Token<'a>, usize)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { whole: text, rest, peeked: None }
    }

    /// The next word without taking it.
    pub(super) fn peek(&mut self) -> Result<Token<'a>, Fault> {
        self.look().map(|(token, _)| token)
    }

    /// Where the next word begins.
    pub(super) fn at(&mut self) -> Result<usize, Fault> {
        self.look().map(|(_, at)| at)
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Fault> {
        let (token, _) = self.look()?;
        self.peeked = None;
        Ok(token)
    }

    fn look(&mut self) -> Result<(Token<'a>, usize), Fault> {
        if let Some(peeked) = self.peeked {
            return Ok(peeked);
        }
        self.rest = blank(self.rest).map_or(self.rest, |(rest, ())| rest);
        let at = self.whole.len() - self.rest.len();
        let fault = |what: &str| Fault { at, what: what.to_owned() };
        if self.rest.starts_with("/*") {
            return Err(fault("a comment without an end"));
        }
        let token = match token(self.rest) {
            Ok((_, Token::Symbol('"' | '\''))) => return Err(fault("a text without an end")),
            Ok((rest, token)) => {
                self.rest = rest;
                token
            }
            Err(_) => Token::End,
        };
        self.peeked = Some((token, at));
        Ok((token, at))
    }
}

/// White space and comments of all three kinds.
fn blank(input: &str) -> Lexed<'_, ()> {
    let line = alt((tag("//"), tag("#"))).and(take_till(|c| c == '\n'));
    let block = (tag("/*"), take_until("*/"), tag("*/"));
    let one = alt((value((), multispace1), value((), line), value((), block)));
    nom::multi::fold_many0(one, || (), |(), ()| ()).parse(input)
}

fn token(input: &str) -> Lexed<'_, Token<'_>> {
    alt((
        word.map(Token::Word),
        number.map(Token::Number),
        literal('"').map(Token::Literal),
        literal('\'').map(Token::Literal),
        anychar.map(Token::Symbol),
    ))
    .parse(input)
}

fn word(input: &str) -> Lexed<'_, &str> {
    let first = verify(anychar, |c| c.is_alphabetic() || *c == '_');
    recognize(first.and(take_while(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))))
        .parse(input)
}

/// A number, hexadecimal ones and exponents included.
fn number(input: &str) -> Lexed<'_, &str> {
    let digits = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '.');
    let exponent = (
        verify(digits, begins_a_number),
        opt(alt((char('+'), char('-'))).and(take_while1(|c: char| c.is_ascii_digit()))),
    );
    let with_sign = verify(exponent, |(digits, more): &(&str, Option<_>)| {
        more.is_none() || (digits.ends_with(['e', 'E']) && !digits.starts_with("0x"))
    });
    let plain = verify(take_while1(|c: char| c.is_ascii_alphanumeric() || c == '.'), begins_a_number);
    let unsigned = alt((recognize(with_sign), plain));
    recognize((opt(alt((char('+'), char('-')))), unsigned)).parse(input)
}

fn begins_a_number(digits: &str) -> bool {
    digits.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit())
}

fn literal<'a>(quote: char) -> impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>> {
    move |input: &'a str| {
        let (text, _) = char(quote).parse(input)?;
        let mut escaped = false;
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => return Ok((&text[at + c.len_utf8()..], &text[..at])),
                _ => {}
            }
        }
        Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Char)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            match lexer.next().unwrap() {
                Token::End => return tokens,
                token => tokens.push(token),
            }
        }
    }

    #[test]
    fn words_numbers_and_texts() {
        use Token::{Literal, Number, Symbol, Word};
        let text = "\u{feff}a.b-c # x\n1:-2 0x1F // y\n1.5e-3 /* z\n*/ .5 'it\\'s' \"\" {";
        let expected = [
            Word("a.b-c"),
            Number("1"),
            Symbol(':'),
            Number("-2"),
            Number("0x1F"),
            Number("1.5e-3"),
            Number(".5"),
            Literal("it\\'s"),
            Literal(""),
            Symbol('{'),
        ];
        assert_eq!(all(text), expected);
    }

    #[test]
    fn what_does_not_end_is_a_fault_where_it_begins() {
        for text in ["a /* b", "a \"b", "a 'b\\'"] {
            let mut lexer = Lexer::new(text);
            lexer.next().unwrap();
            assert_eq!(lexer.next().map_err(|fault| fault.at), Err(2), "{text}");
        }
    }
}
