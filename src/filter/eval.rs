//! A compiled filter and its evaluation, without allocation and without errors.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use regex::Regex;

use super::operand::Operand;
use crate::body::Value as Field;
use crate::calls::keys::{self, Key, Type, Value};
use crate::calls::record::{Call, Process};
use crate::payload::path;

#[derive(Clone, Debug)]
pub(super) enum Node {
    /// All of them are true; also if there are none.
    All(Vec<Node>),
    /// At least one of them is true.
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) key: &'static Key,
    /// For a map, the name of the text; `None` for all texts.
    pub(super) member: Option<String>,
    pub(super) check: Check,
}

#[derive(Clone, Debug)]
pub(super) enum Check {
    Present,
    Equal(Operand),
    /// The value compares with the operand in one of these ways.
    Order(&'static [Ordering], Operand),
    Match(Regex),
}

impl Node {
    pub(super) fn matches(&self, call: &Call) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(call)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(call)),
            Self::Not(node) => !node.matches(call),
            Self::Test(test) => test.matches(call),
        }
    }

    /// Whether it tests fields of bodies.
    pub(super) fn tests_bodies(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::tests_bodies),
            Self::Not(node) => node.tests_bodies(),
            Self::Test(test) => test.key.needs_bodies(),
        }
    }

    /// Whether it tests the key of that name.
    pub(super) fn tests(&self, name: &str) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(|node| node.tests(name)),
            Self::Not(node) => node.tests(name),
            Self::Test(test) => test.key.name == name,
        }
    }
}

impl Test {
    fn matches(&self, call: &Call) -> bool {
        let value = (self.key.get)(call);
        match &self.check {
            Check::Present => match &self.member {
                None => !value.is_null(),
                Some(_) => self.texts(&value, &mut |_| true),
            },
            Check::Order(orders, Operand::Text(text)) if matches!(self.key.kind, Type::Body) => {
                path::of(&value, self.member.as_deref().unwrap_or_default(), &mut |value| {
                    order_of_field(value, text).is_some_and(|order| orders.contains(&order))
                })
            }
            Check::Match(regex) => self.texts(&value, &mut |text| regex.is_match(text)),
            Check::Equal(operand) => self.equal(&value, operand),
            Check::Order(orders, operand) => order(&value, operand).is_some_and(|o| orders.contains(&o)),
        }
    }

    fn equal(&self, value: &Value<'_>, operand: &Operand) -> bool {
        match (value, operand) {
            (Value::Address(endpoint), Operand::Address(pattern)) => pattern.holds(*endpoint),
            (Value::Findings(findings, _), Operand::Finding(finding)) => findings.contains(*finding),
            (Value::Packets(first, last), Operand::Packet(n)) => (first..=last).contains(&n),
            (Value::Processes(ends), Operand::Text(text)) => {
                let pid = text.parse().ok();
                let is_meant = |process: &Process| {
                    let places = [&process.container, &process.pod_uid];
                    Some(process.pid) == pid
                        || *process.name == **text
                        || places.into_iter().flatten().any(|place| **place == **text)
                };
                ends.iter().flatten().any(is_meant)
            }
            (Value::Messages(..) | Value::UnknownFields(..) | Value::Body(..), Operand::Text(text)) => {
                path::of(value, self.member.as_deref().unwrap_or_default(), &mut |value| {
                    order_of_field(value, text) == Some(Ordering::Equal)
                })
            }
            (_, Operand::Text(text)) => self.texts(value, &mut |one| one == text),
            _ => order(value, operand) == Some(Ordering::Equal),
        }
    }

    /// Whether `holds` is true for one of the texts of the value, or for the text of the member.
    fn texts(&self, value: &Value<'_>, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        // HTTP header names are case-insensitive, and nobody remembers the case of the others.
        let meant = |name: &str| self.member.as_ref().is_none_or(|member| member.eq_ignore_ascii_case(name));
        match value {
            Value::Null => false,
            Value::Word(word) => holds(word),
            Value::Choice(choice) => holds(choice.word),
            Value::Text(text) => holds(text),
            Value::Reported(text) => holds(&text.to_string()),
            Value::List(names) => names.iter().any(|name| holds(name)),
            Value::Map(pairs) | Value::Pairs(pairs) => {
                pairs.iter().any(|(name, text)| meant(name) && holds(text))
            }
            // The keys are what is looked for.
            Value::Rivals(rivals) => rivals.iter().any(|rival| {
                let key = rival.parent.to_string();
                meant(&key) && holds(&key)
            }),
            Value::GoAway(note) => note.members().any(|(name, text)| meant(name) && holds(&text)),
            Value::Likely(likely) => likely.members().any(|(name, text)| meant(name) && holds(&text)),
            Value::Metadata(headers) => headers.iter().any(|(_, name, text)| meant(name) && holds(text)),
            Value::Findings(findings, newer) => keys::finding_words(*findings, newer).any(holds),
            Value::Messages(..) | Value::UnknownFields(..) | Value::Body(..) => {
                let path = self.member.as_deref().unwrap_or_default();
                path::of(value, path, &mut |value| !matches!(value, Field::Null) && holds(&path::text(value)))
            }
            Value::Processes(ends) => ends.iter().flatten().any(|process| {
                let places = [&process.container, &process.pod_uid].into_iter().flatten();
                holds(&process.name) || places.into_iter().any(|place| holds(place))
            }),
            other => {
                let mut text = ShortText::default();
                // No value of these types is longer than the buffer.
                write!(text, "{other}").is_ok() && holds(text.as_str())
            }
        }
    }
}

/// How the value compares with the operand; `None` if they can't be compared.
fn order(value: &Value<'_>, operand: &Operand) -> Option<Ordering> {
    match (value, operand) {
        (Value::Number(a), Operand::Number(b)) => Some(a.cmp(b)),
        (Value::Share(a), Operand::Share(b)) => Some(a.cmp(b)),
        (Value::Bytes(a) | Value::Duration(a), Operand::Amount(b)) => Some(b.compared(*a)),
        (Value::Time(a), Operand::Time(b)) => Some(a.cmp(b)),
        (Value::Uid(a), Operand::Uid(b)) => Some(a.cmp(b)),
        (Value::Packets(a, _), Operand::First(b)) | (Value::Packets(_, a), Operand::Last(b)) => {
            Some(a.cmp(b))
        }
        _ => None,
    }
}

/// How a field of a body compares with a word: as numbers if both are, and a text with a number in it is one (64-bit numbers of
/// protobuf); otherwise as texts, which are equal or not.
fn order_of_field(value: &Field, word: &str) -> Option<Ordering> {
    let exact = match value {
        Field::Int(number) => Some(i128::from(*number)),
        Field::UInt(number) => Some(i128::from(*number)),
        Field::Text(text) => text.parse::<i128>().ok(),
        _ => None,
    };
    if let (Some(number), Ok(wanted)) = (exact, word.parse::<i128>()) {
        return Some(number.cmp(&wanted));
    }
    let float = match value {
        Field::Float(number) => Some(*number),
        _ => exact.map(|number| number as f64),
    };
    if let (Some(number), Ok(wanted)) = (float, word.parse::<f64>()) {
        return number.partial_cmp(&wanted);
    }
    match value {
        Field::Null | Field::List(_) | Field::Object(_) => None,
        value => (path::text(value) == word).then_some(Ordering::Equal),
    }
}

/// A buffer for an address, a call id or a number as text.
struct ShortText {
    bytes: [u8; 64],
    length: usize,
}

impl Default for ShortText {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl ShortText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
