//! Parses tokens into a type-checked tree.

use std::cmp::Ordering;
use std::ops::Range;

use regex::RegexBuilder;

use super::eval::{Check, Node, Test};
use super::lexer::{self, Operator, Spanned, Token, Wrong, unescape};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_REGEX, operand};
use crate::calls::keys::{KEYS, Key, Type, closest, key};
use crate::calls::likely::Likely;
use crate::text;

/// Compiles a filter.
pub(super) fn parse(text: &str) -> Result<Node, Wrong> {
    if text.len() > MAX_LENGTH {
        return Err(Wrong::new(&(0..0), format!("longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    if parser.peek()?.is_none() {
        return Ok(Node::All(Vec::new()));
    }
    let node = parser.any()?;
    match parser.peek()? {
        None => Ok(node),
        Some((Token::Close, span)) => Err(Wrong::new(&span, "no parenthesis is open here")),
        Some((_, span)) => Err(Wrong::new(&span, "expected and, or, or the end")),
    }
}

/// The key that a word names, and the member of a map (`metadata.x-user`).
pub(super) fn resolve(word: &str) -> Option<(&'static Key, Option<&str>)> {
    let lower = word.to_ascii_lowercase();
    if let Some(key) = key(&lower) {
        return Some((key, None));
    }
    let (map, member) = word.split_once('.')?;
    let key = key(&map.to_ascii_lowercase())?;
    let known = key.name != "likely" || Likely::PARTS.iter().any(|part| part.eq_ignore_ascii_case(member));
    (matches!(key.kind, Type::Map | Type::Body) && !member.is_empty() && known).then_some((key, Some(member)))
}

/// The key whose values a part of a map has: `likely.class` has those of `class`.
pub(super) fn values_of(map: &'static Key, part: Option<&str>) -> &'static Key {
    let of = part.filter(|_| map.name == "likely").and_then(|part| key(&part.to_ascii_lowercase()));
    of.unwrap_or(map)
}

/// The operators that can follow a key of this type, for completion and messages.
pub(super) fn operators(kind: Type) -> &'static [&'static str] {
    match kind {
        Type::Number | Type::Share | Type::Bytes | Type::Duration | Type::Time => {
            &["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
        }
        Type::Uid | Type::Body => &["==", "!=", "<", "<=", ">", ">=", "~", "!~", "in", "not in"],
        Type::Packets => &["==", "!=", "in", "not in"],
        _ => &["==", "!=", "~", "!~", "in", "not in"],
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Result<Option<Spanned<'t>>, Wrong> {
        lexer::next(self.text, self.at)
    }

    fn next(&mut self) -> Result<Option<Spanned<'t>>, Wrong> {
        let token = self.peek()?;
        if let Some((_, span)) = &token {
            self.at = span.end;
        }
        Ok(token)
    }

    /// The empty span at the end, where something is missing.
    fn end(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        end..end
    }

    /// Takes the next token if it is `token` or the keyword.
    fn take(&mut self, token: Token<'_>, keyword: &str) -> Result<bool, Wrong> {
        let there = match self.peek()? {
            Some((Token::Word(word), _)) => word.eq_ignore_ascii_case(keyword),
            Some((found, _)) => found == token,
            None => false,
        };
        if there {
            self.next()?;
        }
        Ok(there)
    }

    fn any(&mut self) -> Result<Node, Wrong> {
        let first = self.all()?;
        let mut nodes = vec![first];
        while self.take(Token::Or, "or")? {
            nodes.push(self.all()?);
        }
        Ok(single(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Wrong> {
        let first = self.one()?;
        let mut nodes = vec![first];
        while self.take(Token::And, "and")? {
            nodes.push(self.one()?);
        }
        Ok(single(nodes, Node::All))
    }

    fn one(&mut self) -> Result<Node, Wrong> {
        let Some((token, span)) = self.peek()? else {
            return Err(Wrong::new(&self.end(), "expected a test").hint("such as class == business"));
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Wrong::new(&span, format!("nested deeper than {MAX_DEPTH}")));
        }
        let node = if self.take(Token::Not, "not")? {
            Node::Not(Box::new(self.one()?))
        } else if token == Token::Open {
            self.next()?;
            let inside = self.any()?;
            match self.next()? {
                Some((Token::Close, _)) => inside,
                Some((_, wrong)) => {
                    return Err(Wrong::new(&wrong, "expected and, or, or a closing parenthesis"));
                }
                None => return Err(Wrong::new(&span, "the parenthesis is not closed")),
            }
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, Wrong> {
        let Some((token, span)) = self.next()? else {
            return Err(Wrong::new(&self.end(), "expected a key"));
        };
        let Token::Word(name) = token else {
            return Err(
                Wrong::new(&span, "expected a key").hint("keys are those of the call record, such as class")
            );
        };
        let Some((key, member)) = resolve(name) else { return Err(unknown_key(name, &span)) };
        let test = |check| Node::Test(Test { key, member: member.map(str::to_owned), check });
        if self.take(Token::Word("in"), "in")? {
            return self.alternatives(key, name, &test);
        }
        let before = self.at;
        if self.take(Token::Word("not"), "not")? {
            if self.take(Token::Word("in"), "in")? {
                return Ok(Node::Not(Box::new(self.alternatives(key, name, &test)?)));
            }
            self.at = before;
        }
        match self.peek()? {
            Some((Token::Operator(operator), span)) => {
                self.next()?;
                self.comparison(key, name, operator, &span, &test)
            }
            // A key alone tests whether there is a value.
            None | Some((Token::And | Token::Or | Token::Close, _)) => Ok(test(Check::Present)),
            Some((Token::Word(word), _)) if is_connective(word) => Ok(test(Check::Present)),
            Some((_, span)) => {
                Err(Wrong::new(&span, format!("expected an operator after '{}'", text::escape(name)))
                    .hint(format!("one of {}", operators(key.kind).join(" "))))
            }
        }
    }

    fn comparison(
        &mut self,
        key: &'static Key,
        name: &str,
        operator: Operator,
        span: &Range<usize>,
        test: &dyn Fn(Check) -> Node,
    ) -> Result<Node, Wrong> {
        use Ordering::{Equal, Greater, Less};
        let orders: &'static [Ordering] = match operator {
            Operator::Equal => return self.equal(key, name, test),
            Operator::Unequal => return Ok(Node::Not(Box::new(self.equal(key, name, test)?))),
            Operator::Match | Operator::NoMatch => {
                if !operators(key.kind).contains(&"~") {
                    return Err(no_such_operator(key, name, "~", span));
                }
                let node = test(Check::Match(self.regex()?));
                return Ok(if operator == Operator::NoMatch { Node::Not(Box::new(node)) } else { node });
            }
            Operator::Less => &[Less],
            Operator::LessOrEqual => &[Less, Equal],
            Operator::More => &[Greater],
            Operator::MoreOrEqual => &[Greater, Equal],
        };
        if !operators(key.kind).contains(&"<") {
            return Err(no_such_operator(key, name, &self.text[span.clone()], span));
        }
        let (word, span) = self.value(false)?;
        Ok(test(Check::Order(orders, read(&word, &span, key, name)?)))
    }

    /// A value after `==` or in a list; unquoted `null` is no value.
    fn equal(&mut self, key: &'static Key, name: &str, test: &dyn Fn(Check) -> Node) -> Result<Node, Wrong> {
        if self.take(Token::Word("null"), "null")? {
            return Ok(Node::Not(Box::new(test(Check::Present))));
        }
        let (word, span) = self.value(false)?;
        Ok(test(Check::Equal(read(&word, &span, key, name)?)))
    }

    fn alternatives(
        &mut self,
        key: &'static Key,
        name: &str,
        test: &dyn Fn(Check) -> Node,
    ) -> Result<Node, Wrong> {
        match self.next()? {
            Some((Token::Open, _)) => {}
            Some((_, span)) => {
                return Err(
                    Wrong::new(&span, "expected a list in parentheses").hint("such as in (ok, business)")
                );
            }
            None => {
                return Err(
                    Wrong::new(&self.end(), "expected a list in parentheses").hint("such as in (a, b)")
                );
            }
        }
        let mut nodes = Vec::new();
        loop {
            nodes.push(self.equal(key, name, test)?);
            match self.next()? {
                Some((Token::Comma, _)) => {}
                Some((Token::Close, _)) => return Ok(Node::Any(nodes)),
                Some((_, span)) => {
                    return Err(Wrong::new(&span, "expected a comma or a closing parenthesis"));
                }
                None => return Err(Wrong::new(&self.end(), "the list is not closed").hint("add )")),
            }
        }
    }

    /// The next token as a value.
    fn value(&mut self, regex: bool) -> Result<(String, Range<usize>), Wrong> {
        match self.next()? {
            Some((Token::Word(word), span)) if is_connective(word) => {
                Err(Wrong::new(&span, "expected a value")
                    .hint(format!("to compare with the word itself, quote it: \"{word}\"")))
            }
            Some((Token::Word(word), span)) => Ok((word.to_owned(), span)),
            Some((Token::Quoted(raw, quote), span)) => Ok((unescape(raw, quote, regex), span)),
            Some((_, span)) => {
                Err(Wrong::new(&span, "expected a value").hint("quote text with special characters: \"a=b\""))
            }
            None => Err(Wrong::new(&self.end(), "expected a value")),
        }
    }

    fn regex(&mut self) -> Result<regex::Regex, Wrong> {
        let (pattern, span) = self.value(true)?;
        RegexBuilder::new(&pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build().map_err(|error| {
            // The last line of the crate's message has the reason.
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Wrong::new(&span, format!("not a regular expression: {}", text::escape(&reason)))
        })
    }
}

/// A single node stays itself.
fn single(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1
        && let Some(node) = nodes.pop()
    {
        return node;
    }
    several(nodes)
}

fn is_connective(word: &str) -> bool {
    ["and", "or", "not", "in"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn read(word: &str, span: &Range<usize>, key: &'static Key, name: &str) -> Result<operand::Operand, Wrong> {
    // Of the parts of a map, those that are one of a few words are written as texts.
    let part = values_of(key, name.split_once('.').map(|(_, part)| part));
    let key = if matches!(part.kind, Type::Choice(_)) { part } else { key };
    operand::parse(word, key, name).map_err(|(message, hint)| Wrong { span: span.clone(), message, hint })
}

fn unknown_key(name: &str, span: &Range<usize>) -> Wrong {
    let known = KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    let near = closest(&name.to_ascii_lowercase(), known);
    let wrong = Wrong::new(span, format!("there is no key '{}'", text::escape(name)));
    if is_connective(name) {
        return Wrong::new(span, "expected a key").hint("such as class");
    }
    if let Some((map, _)) = name.split_once('.')
        && key(&map.to_ascii_lowercase()).is_some()
    {
        if map.eq_ignore_ascii_case("likely") {
            return wrong.hint(format!("its parts are {}", Likely::PARTS.join(", ")));
        }
        return wrong.hint("only metadata, biz_extra, details, req, resp, exception and error have parts");
    }
    match near.as_slice() {
        [] => wrong.hint("rpcscope calls --help lists the keys"),
        near => wrong.hint(format!("did you mean {}?", near.join(" or "))),
    }
}

fn no_such_operator(key: &Key, name: &str, operator: &str, span: &Range<usize>) -> Wrong {
    Wrong::new(span, format!("'{operator}' does not work on {} ({})", text::escape(name), key.kind.name()))
        .hint(format!("one of {}", operators(key.kind).join(" ")))
}
