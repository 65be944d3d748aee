//! Selected keys (`--fields`) and their values as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::calls::keys::{KEYS, Key, Type, Value, closest, key};
use crate::calls::record::Call;
use crate::decode::Endpoint;
use crate::payload::path;
use crate::text;

/// A column: a key of the call record, or one entry of a map (`metadata.x-user`).
#[derive(Clone, Debug)]
pub struct Field {
    key: &'static Key,
    member: Option<String>,
}

impl Field {
    /// Parses a name from `--fields`. The error suggests similar names.
    pub fn parse(name: &str) -> Result<Self, String> {
        let name = name.trim();
        if let Some(key) = key(name) {
            return Ok(Self { key, member: None });
        }
        if let Some((map, member)) = name.split_once('.')
            && let Some(key) = key(map)
            && matches!(key.kind, Type::Map | Type::Body)
        {
            return Ok(Self { key, member: Some(member.to_owned()) });
        }
        let near = closest(name, KEYS.iter().map(|key| key.name));
        let hint = match near.as_slice() {
            [] => format!("the keys are {}", KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        Err(format!("there is no key '{}': {hint}", text::escape(name)))
    }

    /// All keys of the record except headers and bodies, whose number and size vary.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let varies = |key: &&Key| key.name == "metadata" || key.needs_bodies();
        KEYS.iter().filter(|key| !varies(key)).map(|key| Self { key, member: None }).collect()
    }

    /// The name in the header line.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.member {
            Some(member) => format!("{}.{member}", self.key.name),
            None => self.key.name.to_owned(),
        }
    }

    /// Whether it needs the headers of the messages (`--metadata`).
    #[must_use]
    pub fn needs_metadata(&self) -> bool {
        self.key.name == "metadata"
    }

    /// Whether it needs the bodies of the messages.
    #[must_use]
    pub fn needs_bodies(&self) -> bool {
        self.key.needs_bodies()
    }

    /// The call's value; for a map entry, all texts with that name.
    pub(super) fn value<'c>(&self, call: &'c Call) -> FieldValue<'c, '_> {
        FieldValue { value: (self.key.get)(call), member: self.member.as_deref() }
    }
}

/// A value to write.
pub(super) struct FieldValue<'c, 'f> {
    pub(super) value: Value<'c>,
    member: Option<&'f str>,
}

impl FieldValue<'_, '_> {
    /// Appends the unescaped value, or nothing for null.
    pub(super) fn push(&self, out: &mut String) {
        let Some(member) = self.member else {
            return push_value(out, &self.value);
        };
        if let Value::GoAway(note) = self.value {
            note.members()
                .filter(|(name, _)| name.eq_ignore_ascii_case(member))
                .for_each(|(_, text)| out.push_str(&text));
            return;
        }
        if let Value::Likely(likely) = self.value {
            likely
                .members()
                .filter(|(name, _)| name.eq_ignore_ascii_case(member))
                .for_each(|(_, text)| out.push_str(&text));
            return;
        }
        if let Value::Messages(..) | Value::UnknownFields(..) | Value::Body(..) = self.value {
            let mut texts = Vec::new();
            path::of(&self.value, member, &mut |value| {
                texts.push(path::text(value));
                false
            });
            out.push_str(&texts.join(","));
            return;
        }
        let texts: Vec<&str> = match &self.value {
            Value::Map(pairs) | Value::Pairs(pairs) => pairs
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(member))
                .map(|(_, text)| &**text)
                .collect(),
            Value::Metadata(headers) => headers
                .iter()
                .filter(|(_, name, _)| name.eq_ignore_ascii_case(member))
                .map(|(_, _, text)| &**text)
                .collect(),
            _ => Vec::new(),
        };
        out.push_str(&texts.join(","));
    }
}

/// Appends a value as [`Value`] displays it. The usual types bypass the formatting machinery, which is half the cost of a value;
/// a csv record has some fifty.
fn push_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => {}
        Value::Word(text) | Value::Text(text) => out.push_str(text),
        Value::Choice(choice) => out.push_str(choice.word),
        Value::Number(number) => {
            if *number < 0 {
                out.push('-');
            }
            push_number(out, number.unsigned_abs());
        }
        Value::Bytes(number) | Value::Duration(number) => push_number(out, *number),
        Value::Address(endpoint) => push_endpoint(out, *endpoint),
        // Writing to a String can't fail.
        value => _ = write!(out, "{value}"),
    }
}

/// Appends an endpoint as it displays itself.
pub(super) fn push_endpoint(out: &mut String, endpoint: Endpoint) {
    let IpAddr::V4(ip) = endpoint.ip else {
        _ = write!(out, "{endpoint}");
        return;
    };
    for (i, octet) in ip.octets().into_iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        push_number(out, octet.into());
    }
    out.push(':');
    push_number(out, endpoint.port.into());
}

/// Appends a number in decimal.
fn push_number(out: &mut String, mut number: u64) {
    // As many digits as the largest number has.
    let mut digits = ['0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = char::from(b'0' + (number % 10) as u8);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(20 - used));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample::{bare, full};

    fn shown(name: &str) -> String {
        let mut out = String::new();
        Field::parse(name).unwrap().value(&full()).push(&mut out);
        out
    }

    #[test]
    fn values_look_as_they_display_themselves() {
        let mut calls = vec![full(), bare()];
        calls[1].client = "[fd00::1]:80"
            .parse::<std::net::SocketAddr>()
            .map(|at| Endpoint { ip: at.ip(), port: at.port() })
            .unwrap();
        for call in &calls {
            for field in Field::all() {
                let mut out = String::new();
                let value = field.value(call);
                value.push(&mut out);
                assert_eq!(out, value.value.to_string(), "{}", field.name());
            }
        }
    }

    #[test]
    fn keys_aliases_and_members_are_found() {
        assert_eq!(shown("uid"), "71.2");
        assert_eq!(shown("latency"), "3200000");
        assert_eq!(shown("metadata.X-User"), "7,9,8");
        assert_eq!(shown("biz_extra.cell"), "7");
        assert_eq!(shown("findings"), "late-answer,gap");
        assert_eq!(Field::parse("biz_extra.cell").unwrap().name(), "biz_extra.cell");
        assert_eq!(Field::parse("latency").unwrap().name(), "latency_ns");
    }

    #[test]
    fn wrong_names_get_suggestions() {
        assert_eq!(Field::parse("clas").unwrap_err(), "there is no key 'clas': did you mean class?");
        assert!(Field::parse("code.x").is_err());
        assert!(Field::parse("\x1b").unwrap_err().contains("\\x1b"));
    }
}
