//! Selected keys (`--fields`) and their values as text.

use std::fmt::Write as _;

use crate::calls::keys::{KEYS, Key, Type, Value, closest, key};
use crate::calls::record::Call;
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
            && matches!(key.kind, Type::Map)
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

    /// All keys of the record except the headers, whose number varies.
    #[must_use]
    pub fn all() -> Vec<Self> {
        KEYS.iter().filter(|key| key.name != "metadata").map(|key| Self { key, member: None }).collect()
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
            // Writing to a String can't fail.
            _ = write!(out, "{}", self.value);
            return;
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample::full;

    fn shown(name: &str) -> String {
        let mut out = String::new();
        Field::parse(name).unwrap().value(&full()).push(&mut out);
        out
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
