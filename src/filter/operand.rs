//! Values of a filter, parsed as the type of the key that they are compared with.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

use super::lexer::{self, quote};
use crate::calls::Share;
use crate::calls::keys::{Key, Type, Value, closest};
use crate::calls::record::{Finding, Uid};
use crate::decode::Endpoint;
use crate::text;
use crate::time::Timestamp;

/// Bytes or nanoseconds, of which a filter may name parts: `0.1KiB` is 102.4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    whole: u64,
    /// And a part of one more.
    has_part: bool,
}

impl Amount {
    /// Saturates at the largest u64.
    fn of(amount: f64) -> Self {
        // What multiplying is not exact in is no part.
        let is_whole = (amount - amount.round()).abs() < 1e-6 * amount.clamp(1.0, 1e3);
        let whole = if is_whole { amount.round() } else { amount.floor() };
        Self { whole: whole as u64, has_part: !is_whole }
    }

    /// How so many compare with it.
    pub(super) fn compared(self, count: u64) -> Ordering {
        let part = if self.has_part { Ordering::Less } else { Ordering::Equal };
        count.cmp(&self.whole).then(part)
    }
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Text(String),
    Number(i64),
    Share(Share),
    /// Bytes or nanoseconds.
    Amount(Amount),
    /// A packet number.
    Packet(u64),
    Time(Timestamp),
    Address(Pattern),
    /// A packet number to compare the first packet of the call with, or the last one.
    First(u64),
    Last(u64),
    Uid(Uid),
    Finding(Finding),
}

/// An address, a net, ports, or address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The net and its prefix length.
    net: Option<(IpAddr, u8)>,
    /// The first and the last one.
    ports: Option<(u16, u16)>,
}

impl Pattern {
    pub(super) fn holds(&self, endpoint: Endpoint) -> bool {
        self.ports.is_none_or(|(from, to)| (from..=to).contains(&endpoint.port))
            && self.net.is_none_or(|(net, bits)| in_net(endpoint.ip.to_canonical(), net, bits))
    }

    /// Any address with one of these ports.
    pub(super) fn ports(from: u16, to: u16) -> Self {
        Self { net: None, ports: Some((from, to)) }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(port) = text.strip_prefix(':') {
            return Some(Self::ports(port.parse().ok()?, port.parse().ok()?));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let ip = address.ip().to_canonical();
            return Some(Self { net: Some((ip, 128)), ports: Some((address.port(), address.port())) });
        }
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, bits.parse().ok()?),
            None => (text, 128),
        };
        let ip = ip.parse::<IpAddr>().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        (bits <= most || !text.contains('/'))
            .then_some(Self { net: Some((ip.to_canonical(), bits)), ports: None })
    }
}

fn in_net(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    let differ = match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differ >= u32::from(bits).min(if ip.is_ipv4() { 32 } else { 128 })
}

/// Why a word is not a value of a key: message and hint.
pub(super) type Refusal = (String, Option<String>);

/// Parses `word` as a value of `key`. `name` is the name or alias of the key in the filter.
pub(super) fn parse(word: &str, key: &Key, name: &str) -> Result<Operand, Refusal> {
    let not =
        |what: &str, hint: &str| (format!("'{}' is not {what}", text::escape(word)), Some(hint.to_owned()));
    match key.kind {
        Type::Text | Type::Word(_) | Type::List | Type::Map | Type::Body => {
            Ok(Operand::Text(word.to_owned()))
        }
        Type::Choice(words) => choice(word, name, &words()).map(|found| Operand::Text(found.to_owned())),
        Type::Set(words) => {
            let found = choice(word, name, &words())?;
            Finding::from_name(found)
                .map(Operand::Finding)
                .ok_or_else(|| not("a finding", "see rpcscope explain"))
        }
        Type::Number => word.parse().map(Operand::Number).map_err(|_| {
            let hint = if key.name == "code" {
                "names of codes are in code_name"
            } else {
                "a whole number, such as 5 or -1"
            };
            not("a number", hint)
        }),
        Type::Share => share(word)
            .map(Operand::Share)
            .ok_or_else(|| not("a share", "a number from 0 to 1, or in percent: 0.9, 90%")),
        Type::Packets => word
            .parse()
            .map(Operand::Packet)
            .map_err(|_| not("a packet number", "a whole number, such as 71")),
        Type::Bytes => size(word).map(Operand::Amount).ok_or_else(|| {
            not("a size", "a number with or without unit: 512, 4KiB, 10MB (B kB KiB MB MiB GB GiB)")
        }),
        Type::Duration => span(word, name.ends_with("_ns"))
            .map(Operand::Amount)
            .ok_or_else(|| not("a duration", "a number with a unit: 20ms, 1.5s (ns us ms s m h)")),
        Type::Time => time(word)
            .map(Operand::Time)
            .ok_or_else(|| not("a time", "date and time in UTC or with offset: 2026-01-02T15:04:05Z")),
        Type::Address => Pattern::parse(word)
            .map(Operand::Address)
            .ok_or_else(|| not("an address", "10.0.0.1, 10.0.0.1:8888, [::1]:80, :8888 or 10.0.0.0/8")),
        Type::Uid => word.parse().map(Operand::Uid).map_err(|_| not("a call id", "such as 71 or 71.2")),
    }
}

/// One of a few words, in any case.
fn choice(word: &str, name: &str, words: &[&'static str]) -> Result<&'static str, Refusal> {
    words.iter().find(|w| w.eq_ignore_ascii_case(word)).copied().ok_or_else(|| {
        let near = closest(word, words.iter().copied());
        let hint = match (near.as_slice(), words.len()) {
            ([best, ..], _) => format!("did you mean {best}?"),
            ([], ..=20) => format!("one of {}", words.join(", ")),
            ([], _) => "rpcscope explain lists them all".to_owned(),
        };
        (format!("{} is never '{}'", text::escape(name), text::escape(word)), Some(hint))
    })
}

/// Splits `20ms` into number and unit. Negative numbers and numbers beyond a machine word are refused.
fn with_unit(word: &str) -> Option<(f64, &str)> {
    let border = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(border);
    let number: f64 = number.parse().ok()?;
    (number < 1e18).then_some((number, unit))
}

fn share(word: &str) -> Option<Share> {
    let (number, whole) = word.strip_suffix('%').map_or((word, 1.0), |number| (number, 100.0));
    let share = number.parse::<f64>().ok()? / whole;
    (0.0..=1.0).contains(&share).then(|| Share::of(share))
}

fn size(word: &str) -> Option<Amount> {
    let (number, unit) = with_unit(word)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(Amount::of(number * factor))
}

/// A number without a unit is in nanoseconds if the key says so (`latency_ns`); 0 needs no unit.
fn span(word: &str, nanoseconds: bool) -> Option<Amount> {
    let (number, unit) = with_unit(word)?;
    let factor = match unit {
        "" if nanoseconds || number == 0.0 => 1.0,
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    Some(Amount::of(number * factor))
}

fn time(word: &str) -> Option<Timestamp> {
    let instant = word.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local: jiff::civil::DateTime = word.parse().ok()?;
        local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
}

/// A value as it is written in a filter that finds it.
pub(super) fn of_value(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        // One of several is enough.
        Value::Findings(findings, _) => findings.iter().next().map_or("null", Finding::name).to_owned(),
        Value::List(names) => names.first().map_or_else(|| "null".to_owned(), |name| quote(name)),
        Value::Map(pairs) | Value::Pairs(pairs) => {
            pairs.first().map_or_else(|| "null".to_owned(), |(_, text)| quote(text))
        }
        Value::Metadata(headers) => {
            headers.first().map_or_else(|| "null".to_owned(), |(_, _, text)| quote(text))
        }
        Value::Rivals(rivals) => {
            rivals.first().map_or_else(|| "null".to_owned(), |rival| quote(&rival.parent.to_string()))
        }
        Value::GoAway(note) => note.code.to_string(),
        Value::Likely(likely) => {
            likely.members().next().map_or_else(|| "null".to_owned(), |(_, text)| quote(&text))
        }
        Value::Processes(ends) => {
            ends.iter().flatten().next().map_or_else(|| "null".to_owned(), |p| p.pid.to_string())
        }
        Value::Packets(first, _) => first.to_string(),
        Value::Duration(nanoseconds) => format!("{nanoseconds}ns"),
        value => lexer::quote(&value.to_string()),
    }
}
