//! Fields of bodies by their path: `user.id`, `lines.0.sku`, `5` for a field without a name.

use crate::body::{Decoded, Value};
use crate::calls::keys;

/// Calls `each` with the values at `path` in a value of the record, until it says that one is enough; says whether one was. Nothing
/// for values that are no bodies.
pub fn of(value: &keys::Value<'_>, path: &str, each: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        keys::Value::Messages(messages, _) => any(messages, path, each),
        keys::Value::UnknownFields(messages, _) => messages
            .iter()
            .filter_map(|message| message.unknown.as_ref())
            .any(|value| any_in(value, path, each)),
        keys::Value::Body(value, _) => any_in(value, path, each),
        _ => false,
    }
}

/// Calls `each` with the values at `path` in any of the messages, until it says that one is enough; says whether one was.
/// A step through a list goes through all of its elements, unless it is the number of one.
pub fn any(messages: &[Decoded], path: &str, each: &mut dyn FnMut(&Value) -> bool) -> bool {
    messages.iter().any(|message| {
        // A path finds fields without a name wherever they are.
        let unknown = message.unknown.as_ref().filter(|_| !path.is_empty());
        any_in(&message.value, path, each) || unknown.is_some_and(|unknown| any_in(unknown, path, each))
    })
}

/// The same in one value; an empty path is the value itself.
pub fn any_in(value: &Value, path: &str, each: &mut dyn FnMut(&Value) -> bool) -> bool {
    if path.is_empty() {
        return match value {
            Value::List(elements) => each(value) || elements.iter().any(&mut *each),
            value => each(value),
        };
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    match value {
        Value::Object(fields) | Value::Map(fields) => {
            // Names of extensions have dots of their own (`[shop.v1.note]`).
            let whole = fields.iter().filter(|(name, _)| !rest.is_empty() && name == path);
            let named = fields.iter().filter(|(name, _)| is_named(name, step));
            named
                .map(|(_, value)| (value, rest))
                .chain(whole.map(|(_, value)| (value, "")))
                .any(|(value, rest)| any_in(value, rest, each))
        }
        Value::List(elements) => match step.parse::<usize>() {
            Ok(index) if elements.get(index).is_some() => {
                elements.get(index).is_some_and(|element| any_in(element, rest, each))
            }
            _ => elements.iter().any(|element| any_in(element, path, each)),
        },
        _ => false,
    }
}

/// Whether a step of a path means the field: by its name in any case, or by `#5` or `5` where it has none.
fn is_named(name: &str, step: &str) -> bool {
    name.eq_ignore_ascii_case(step.strip_prefix('#').unwrap_or(step))
}

/// The text of a value, as columns and filters have it: texts plain, the rest as JSON.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_json().trim_matches('"').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        let line = |sku: &str, count| {
            Value::Object(vec![("sku".into(), Value::Text(sku.into())), ("5".into(), Value::Int(count))])
        };
        Value::Object(vec![
            ("lines".into(), Value::List(vec![line("a", 1), line("b", 2)])),
            ("[shop.note]".into(), Value::Bool(true)),
        ])
    }

    fn found(path: &str) -> Vec<String> {
        let mut found = Vec::new();
        any_in(&sample(), path, &mut |value| {
            found.push(text(value));
            false
        });
        found
    }

    #[test]
    fn paths_lead_to_fields() {
        assert_eq!(found("lines.sku"), ["a", "b"]);
        assert_eq!(found("LINES.1.sku"), ["b"]);
        assert_eq!(found("lines.#5"), ["1", "2"]);
        assert_eq!(found("lines.5"), ["1", "2"]);
        assert_eq!(found("[shop.note]"), ["true"]);
        assert_eq!(found("lines.sku.x"), [""; 0]);
        assert_eq!(found("lines").len(), 3);
    }
}
