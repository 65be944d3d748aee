//! What of bodies is not to be shown (`--redact`): values are replaced before anything else sees them.

use crate::body::{Decoded, ExceptionName, Value};

/// What stands for a value that is not shown.
pub const REDACTED: &str = "[redacted]";

/// Which values are not to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Redaction {
    /// None: all are shown.
    #[default]
    Nothing,
    /// Those of fields with these names, in any case, and of fields without a name, which may be one of them.
    Fields(Vec<String>),
    /// All.
    All,
}

impl Redaction {
    /// The redaction that the words of `--redact` ask for; none of them is `all`.
    #[must_use]
    pub fn of(words: &[String]) -> Self {
        match words {
            [] => Self::Nothing,
            words if words.iter().any(|word| word.eq_ignore_ascii_case("all")) => Self::All,
            words => Self::Fields(words.to_vec()),
        }
    }

    /// Whether anything is not to be shown.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::Nothing
    }

    /// Whether the value of a field of that name is not to be shown.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Fields(names) => {
                let unnamed =
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                unnamed || names.iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
            }
        }
    }

    /// Replaces the values of a body that are not to be shown.
    pub fn apply(&self, decoded: &mut Decoded) {
        if !self.is_on() {
            return;
        }
        self.value(&mut decoded.value);
        if let Some(unknown) = &mut decoded.unknown {
            self.value(unknown);
        }
        if let Some(exception) = &mut decoded.exception {
            self.exception(exception);
        }
        // Remarks may quote what they are about.
        for note in &mut decoded.notes {
            note.text.clear();
        }
    }

    fn exception(&self, exception: &mut ExceptionName) {
        let said = |text: &str, fields: &Value| match fields {
            Value::Object(fields) => fields
                .iter()
                .any(|(name, value)| self.hides(name) && matches!(value, Value::Text(sent) if sent == text)),
            _ => false,
        };
        if exception
            .message
            .as_deref()
            .is_some_and(|text| *self == Self::All || said(text, &exception.fields))
        {
            exception.message = Some(REDACTED.to_owned());
        }
        let number = |code: i64, fields: &Value| match fields {
            Value::Object(fields) => {
                fields.iter().any(|(name, value)| self.hides(name) && *value == Value::Int(code))
            }
            _ => false,
        };
        exception.code.take_if(|code| number(*code, &exception.fields));
        self.value(&mut exception.fields);
    }

    /// Replaces what is not to be shown in a value.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::Map(_) if *self == Self::All => hide(value),
            Value::Object(fields) | Value::Map(fields) => {
                for (name, value) in fields {
                    // Type names of Any say nothing of anybody.
                    if self.hides(name) && name != "@type" {
                        hide(value);
                    } else {
                        self.value(value);
                    }
                }
            }
            Value::List(elements) => elements.iter_mut().for_each(|element| self.value(element)),
            // Bytes of which nothing is known may hold any field.
            Value::Raw(_) if self.is_on() => hide(value),
            value if *self == Self::All => hide(value),
            _ => {}
        }
    }
}

/// Replaces a value and all in it; what it consists of stays visible. Keys of maps are values too; each stays another one.
fn hide(value: &mut Value) {
    match value {
        Value::Map(entries) => {
            for (place, (key, value)) in entries.iter_mut().enumerate() {
                *key = if place == 0 { REDACTED.to_owned() } else { format!("{REDACTED} {}", place + 1) };
                hide(value);
            }
        }
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| hide(value)),
        Value::List(elements) => elements.iter_mut().for_each(hide),
        Value::Null => {}
        value => *value = Value::Text(REDACTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        let user = vec![("Name".to_owned(), Value::Text("Ann".into())), ("age".to_owned(), Value::Int(7))];
        Value::Object(vec![
            ("user".into(), Value::Object(user)),
            ("9".into(), Value::Int(1)),
            ("blob".into(), Value::Raw(vec![1])),
            ("ids".into(), Value::List(vec![Value::Int(1), Value::Null])),
            (
                "by".into(),
                Value::Map(vec![("ann".into(), Value::Int(1)), ("Name".into(), Value::Map(Vec::new()))]),
            ),
        ])
    }

    fn redacted(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut value = sample();
        Redaction::of(&words).value(&mut value);
        value.to_json().replace(REDACTED, "X")
    }

    #[test]
    fn values_of_the_named_fields_are_replaced() {
        assert_eq!(redacted(&[]), sample().to_json());
        assert_eq!(
            redacted(&["name"]),
            r#"{"user":{"Name":"X","age":7},"9":"X","blob":"X","ids":[1,null],"by":{"ann":1,"Name":{}}}"#
        );
        assert_eq!(
            redacted(&["user", "IDS"]),
            r#"{"user":{"Name":"X","age":"X"},"9":"X","blob":"X","ids":["X",null],"by":{"ann":1,"Name":{}}}"#
        );
        assert!(redacted(&["BY"]).ends_with(r#""by":{"X":"X","X 2":{}}}"#));
        assert_eq!(
            redacted(&["x", "all"]),
            r#"{"user":{"Name":"X","age":"X"},"9":"X","blob":"X","ids":["X",null],"by":{"X":"X","X 2":{}}}"#
        );
    }
}
