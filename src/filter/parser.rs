//! Parses tokens into a type-checked tree.

use std::cmp::Ordering;
use std::ops::Range;

use regex::RegexBuilder;

use super::eval::{Check, Node, Test};
use super::foreign::{self, Ends, Part};
use super::lexer::{self, Operator, Spanned, Token, Wrong, unescape};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_REGEX, operand, reason};
use crate::calls::keys::{KEYS, Key, Type, closest, key};
use crate::calls::likely::Likely;
use crate::text;

/// Compiles a filter.
pub(super) fn parse(text: &str) -> Result<Node, Wrong> {
    if text.len() > MAX_LENGTH {
        return Err(Wrong::new(&(0..0), format!("longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { text, at: 0, depth: 0, compared: None, follows_or: false };
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
    if let Some(key) = key(&lower).or_else(|| key(foreign::key_of(&lower)?)) {
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
        Type::Number | Type::Share | Type::Bytes | Type::Duration | Type::Time | Type::Packets => {
            &["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
        }
        Type::Uid | Type::Body => &["==", "!=", "<", "<=", ">", ">=", "~", "!~", "in", "not in"],
        _ => &["==", "!=", "~", "!~", "in", "not in"],
    }
}

/// What compares a key with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Operator(Operator),
    /// The text is in the value, as it is written.
    Contains,
    /// The regular expression matches, whatever the case.
    Matches,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// The key of the comparison before.
    compared: Option<&'static Key>,
    /// Whether the next test follows `or`.
    follows_or: bool,
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
            self.follows_or = true;
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
        let follows_or = std::mem::take(&mut self.follows_or);
        if let Some(node) = self.foreign(name, &span)? {
            return Ok(node);
        }
        let Some((key, member)) = resolve(name) else { return Err(unknown_key(name, &span)) };
        let test = |check| Node::Test(Test { key, member: member.map(str::to_owned), check });
        if self.take(Token::Word("in"), "in")? {
            return self.list(&mut |parser| parser.equal(key, name, &test));
        }
        let before = self.at;
        if self.take(Token::Word("not"), "not")? {
            if self.take(Token::Word("in"), "in")? {
                return Ok(Node::Not(Box::new(self.list(&mut |parser| parser.equal(key, name, &test))?)));
            }
            self.at = before;
        }
        if let Some((operator, span)) = self.operator()? {
            self.compared = Some(key);
            return self.comparison(key, name, operator, &span, &test);
        }
        // `class == business or rpc`: almost every call has a key of that name.
        if follows_or
            && let Some(compared) = self.compared.filter(|compared| compared.kind.values().contains(&name))
        {
            return Err(Wrong::new(
                &span,
                format!("'{name}' alone is true of all calls with the key {name}"),
            )
            .hint(format!("did you mean {} == {name}?", compared.name)));
        }
        match self.peek()? {
            // A key alone tests whether there is a value.
            None | Some((Token::And | Token::Or | Token::Close, _)) => Ok(test(Check::Present)),
            Some((Token::Word(word), _)) if is_connective(word) => Ok(test(Check::Present)),
            Some((_, span)) => {
                Err(Wrong::new(&span, format!("expected an operator after '{}'", text::escape(name)))
                    .hint(format!("one of {}", operators(key.kind).join(" "))))
            }
        }
    }

    /// Takes an operator, also one that is a word.
    fn operator(&mut self) -> Result<Option<(Comparison, Range<usize>)>, Wrong> {
        let (comparison, span) = match self.peek()? {
            Some((Token::Operator(operator), span)) => (Comparison::Operator(operator), span),
            Some((Token::Word(word), span)) => match foreign::operator(word) {
                Some(comparison) => (comparison, span),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.next()?;
        Ok(Some((comparison, span)))
    }

    /// A test in the words of tcpdump or Wireshark that has no key of its own; `None` if `name` begins none.
    fn foreign(&mut self, name: &str, span: &Range<usize>) -> Result<Option<Node>, Wrong> {
        let lower = name.to_ascii_lowercase();
        let value_follows = match self.peek()? {
            Some((Token::Quoted(..), _)) => true,
            Some((Token::Word(word), _)) => !is_connective(word) && foreign::operator(word).is_none(),
            _ => false,
        };
        if let Some(network) = foreign::network(&lower) {
            let network = Node::Test(Test {
                key: self.known("network", span)?,
                member: None,
                check: Check::Equal(operand::Operand::Text(network.to_owned())),
            });
            // `tcp port 80`
            let Some((Token::Word(word), span)) = self.peek()? else { return Ok(Some(network)) };
            let lower = word.to_ascii_lowercase();
            if foreign::ends(&lower).is_none() && foreign::direction(&lower).is_none() {
                return Ok(Some(network));
            }
            self.next()?;
            let Some(node) = self.foreign(word, &span)? else {
                return Err(Wrong::new(&self.here()?, "expected a value").hint(Part::Host.example()));
            };
            return Ok(Some(Node::All(vec![network, node])));
        }
        if let Some(end) = foreign::direction(&lower) {
            self.operator()?;
            let mut value = "10.0.0.1".to_owned();
            if let Some((Token::Word(word), _)) = self.next()? {
                value = match (word, self.peek()?) {
                    ("port", Some((Token::Word(port), _))) => format!(":{port}"),
                    ("host" | "net", Some((Token::Word(host), _))) => host.to_owned(),
                    _ => word.to_owned(),
                };
            }
            return Err(foreign_hint(name, span, &format!("{end} == {}", text::escape(&value))));
        }
        let Some(Ends { client, server, part, network }) = foreign::ends(&lower) else { return Ok(None) };
        // `host` alone is a key of the record.
        if lower == "host" && !value_follows {
            return Ok(None);
        }
        let ends: Vec<_> = [(client, "client"), (server, "server")]
            .into_iter()
            .filter(|(is_meant, _)| *is_meant)
            .map(|(_, end)| self.known(end, span))
            .collect::<Result<_, _>>()?;
        let either = |pattern: operand::Pattern| {
            let test = |key: &&'static Key| {
                let check = Check::Equal(operand::Operand::Address(pattern));
                Node::Test(Test { key, member: None, check })
            };
            single(ends.iter().map(test).collect(), Node::Any)
        };
        let mut equal = |parser: &mut Self| {
            let (word, span) = parser.value(false)?;
            part.pattern(&word).map(either).ok_or_else(|| part.wrong(&word, &span))
        };
        let node = if value_follows {
            equal(self)?
        } else if self.take(Token::Word("in"), "in")? {
            self.list(&mut equal)?
        } else if self.take(Token::Word("not"), "not")? {
            if !self.take(Token::Word("in"), "in")? {
                return Err(Wrong::new(&self.end(), "expected in"));
            }
            Node::Not(Box::new(self.list(&mut equal)?))
        } else {
            match self.operator()? {
                Some((Comparison::Operator(Operator::Equal), _)) => equal(self)?,
                Some((Comparison::Operator(Operator::Unequal), _)) => Node::Not(Box::new(equal(self)?)),
                Some((Comparison::Operator(operator), span)) if part == Part::Port => {
                    let (word, value) = self.value(false)?;
                    let port = word.parse::<u16>().map_err(|_| part.wrong(&word, &value))?;
                    either(foreign::ports(operator, port).ok_or_else(|| part.no_operator(name, &span))?)
                }
                Some((_, span)) => return Err(part.no_operator(name, &span)),
                None => return Err(Wrong::new(&self.here()?, "expected a value").hint(part.example())),
            }
        };
        let Some(network) = network else { return Ok(Some(node)) };
        let check = Check::Equal(operand::Operand::Text(network.to_owned()));
        let network = Node::Test(Test { key: self.known("network", span)?, member: None, check });
        // The opposite of a test is that of its address.
        Ok(Some(match node {
            Node::Not(node) => Node::Not(Box::new(Node::All(vec![network, *node]))),
            node => Node::All(vec![network, node]),
        }))
    }

    /// A key that the table has.
    #[expect(clippy::unused_self, reason = "reads as the other steps")]
    fn known(&self, name: &str, span: &Range<usize>) -> Result<&'static Key, Wrong> {
        key(name).ok_or_else(|| Wrong::new(span, format!("there is no key '{name}'")))
    }

    /// The place of the next token, or the end.
    fn here(&self) -> Result<Range<usize>, Wrong> {
        Ok(self.peek()?.map_or_else(|| self.end(), |(_, span)| span))
    }

    fn comparison(
        &mut self,
        key: &'static Key,
        name: &str,
        comparison: Comparison,
        span: &Range<usize>,
        test: &dyn Fn(Check) -> Node,
    ) -> Result<Node, Wrong> {
        use Ordering::{Equal, Greater, Less};
        let operator = match comparison {
            Comparison::Operator(operator) => operator,
            Comparison::Contains | Comparison::Matches => {
                if !operators(key.kind).contains(&"~") {
                    return Err(no_such_operator(key, name, &self.text[span.clone()], span));
                }
                return Ok(test(Check::Match(self.regex(comparison)?)));
            }
        };
        let orders: &'static [Ordering] = match operator {
            Operator::Equal => return self.equal(key, name, test),
            Operator::Unequal => return Ok(Node::Not(Box::new(self.equal(key, name, test)?))),
            Operator::Match | Operator::NoMatch => {
                if !operators(key.kind).contains(&"~") {
                    return Err(no_such_operator(key, name, "~", span));
                }
                let node = test(Check::Match(self.regex(comparison)?));
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
        Ok(test(order(orders, read(&word, &span, key, name)?)))
    }

    /// A value after `==` or in a list; unquoted `null` is no value.
    fn equal(&mut self, key: &'static Key, name: &str, test: &dyn Fn(Check) -> Node) -> Result<Node, Wrong> {
        if self.take(Token::Word("null"), "null")? {
            return Ok(Node::Not(Box::new(test(Check::Present))));
        }
        let is_bare = matches!(self.peek()?, Some((Token::Word(_), _)));
        let (word, span) = self.value(false)?;
        if is_bare
            && operators(key.kind).contains(&"<")
            && let Some((from, to)) = word.split_once("..")
            && (!matches!(key.kind, Type::Body) || [from, to].iter().all(|end| end.parse::<f64>().is_ok()))
        {
            return range(key, name, (from, to), &span, test);
        }
        Ok(test(Check::Equal(read(&word, &span, key, name)?)))
    }

    /// A list of alternatives: `(a, b)`, or `{a, b}` and `{a b}` as Wireshark has it.
    fn list(&mut self, one: &mut dyn FnMut(&mut Self) -> Result<Node, Wrong>) -> Result<Node, Wrong> {
        // A range alone needs no braces.
        if let Some((Token::Word(word), _)) = self.peek()?
            && word.contains("..")
        {
            return one(self);
        }
        let close = match self.next()? {
            Some((Token::Open, _)) => Token::Close,
            Some((Token::OpenBrace, _)) => Token::CloseBrace,
            found => {
                let span = found.map_or_else(|| self.end(), |(_, span)| span);
                return Err(Wrong::new(&span, "expected a list in parentheses")
                    .hint("such as in (ok, business) or in {1..10}"));
            }
        };
        let mut nodes = Vec::new();
        loop {
            nodes.push(one(self)?);
            match self.peek()? {
                Some((Token::Comma, _)) => _ = self.next()?,
                Some((found, _)) if found == close => {
                    self.next()?;
                    return Ok(Node::Any(nodes));
                }
                Some((Token::Word(_) | Token::Quoted(..), _)) if close == Token::CloseBrace => {}
                Some((_, span)) => {
                    let end = if close == Token::Close { "parenthesis" } else { "brace" };
                    return Err(Wrong::new(&span, format!("expected a comma or a closing {end}")));
                }
                None => {
                    let add = if close == Token::Close { "add )" } else { "add }" };
                    return Err(Wrong::new(&self.end(), "the list is not closed").hint(add));
                }
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
            Some((Token::Open | Token::OpenBrace, span)) if !regex => {
                Err(Wrong::new(&span, "expected a value").hint("several values are a list: in (a, b)"))
            }
            Some((_, span)) => {
                Err(Wrong::new(&span, "expected a value").hint("quote text with special characters: \"a=b\""))
            }
            None => Err(Wrong::new(&self.end(), "expected a value")),
        }
    }

    /// The next token as what the comparison looks for.
    fn regex(&mut self, comparison: Comparison) -> Result<regex::Regex, Wrong> {
        let is_literal = comparison == Comparison::Contains;
        let (pattern, span) = self.value(!is_literal)?;
        let pattern = if is_literal { regex::escape(&pattern) } else { pattern };
        RegexBuilder::new(&pattern)
            // Wireshark's `matches` ignores the case.
            .case_insensitive(comparison == Comparison::Matches)
            .size_limit(MAX_REGEX)
            .dfa_size_limit(MAX_REGEX)
            .build()
            .map_err(|error| {
                Wrong::new(&span, reason(&error)).hint("contains looks for text as it is written")
            })
    }
}

/// A comparison by order. Of the packets of a call, one has to be in it: before another one if the first is, and so on.
fn order(orders: &'static [Ordering], operand: operand::Operand) -> Check {
    let operand = match operand {
        operand::Operand::Packet(number) if orders.contains(&Ordering::Less) => {
            operand::Operand::First(number)
        }
        operand::Operand::Packet(number) => operand::Operand::Last(number),
        other => other,
    };
    Check::Order(orders, operand)
}

/// From one value to another, both included; one of them may be missing.
fn range(
    key: &'static Key,
    name: &str,
    (from, to): (&str, &str),
    span: &Range<usize>,
    test: &dyn Fn(Check) -> Node,
) -> Result<Node, Wrong> {
    const FROM: &[Ordering] = &[Ordering::Greater, Ordering::Equal];
    const TO: &[Ordering] = &[Ordering::Less, Ordering::Equal];
    let end = |word: &str, orders, at: Range<usize>| {
        let value = (!word.is_empty()).then(|| read(word, &at, key, name)).transpose()?;
        Ok::<_, Wrong>(value.map(|value| test(order(orders, value))))
    };
    let from = end(from, FROM, span.start..span.start + from.len())?;
    let to = end(to, TO, span.end - to.len()..span.end)?;
    let nodes: Vec<Node> = from.into_iter().chain(to).collect();
    if nodes.is_empty() {
        return Err(Wrong::new(span, "a range without ends").hint("from and to, without spaces: 1..10"));
    }
    Ok(Node::All(nodes))
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

/// A foreign word that has no meaning here, and what does.
fn foreign_hint(name: &str, span: &Range<usize>, right: &str) -> Wrong {
    Wrong::new(span, format!("there is no key '{}'", text::escape(name)))
        .hint(format!("did you mean {right}?"))
}

fn unknown_key(name: &str, span: &Range<usize>) -> Wrong {
    let lower = name.to_ascii_lowercase();
    if let Some(right) = foreign::hint(&lower) {
        return foreign_hint(name, span, right);
    }
    // A value without its key: `grpc`, `business`.
    let has = |key: &&Key| !matches!(key.kind, Type::Word(_)) && key.kind.values().contains(&&*lower);
    if let Some(key) = KEYS.iter().find(has) {
        return foreign_hint(name, span, &format!("{} == {lower}", key.name));
    }
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
    if foreign::is_bytes(name) {
        return wrong.hint("message has the texts of errors, req and resp the fields of bodies");
    }
    if let Some(right) = foreign::of_protocol(&lower) {
        return wrong.hint(right);
    }
    match near.as_slice() {
        [] => wrong.hint("rpcscope calls --help lists the keys, Tab in the interface too"),
        near => wrong.hint(format!("did you mean {}?", near.join(" or "))),
    }
}

fn no_such_operator(key: &Key, name: &str, operator: &str, span: &Range<usize>) -> Wrong {
    Wrong::new(span, format!("'{operator}' does not work on {} ({})", text::escape(name), key.kind.name()))
        .hint(format!("one of {}", operators(key.kind).join(" ")))
}
