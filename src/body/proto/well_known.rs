//! The types of `google.protobuf` that have a form of their own in JSON
//! (<https://protobuf.dev/programming-guides/json/>).

use jiff::SignedDuration;
use jiff::civil::date;
use prost_reflect::MessageDescriptor;
use rpcscope_parsers::protobuf::{Value as Wire, fields};

use super::render::Reader;
use crate::body::value::Fields;
use crate::body::{DEPTH_LIMIT, Value, guess};

/// The form of a message of a well-known type; `None` if it has no form of its own, or its content does not fit that.
pub(super) fn value(
    reader: &mut Reader<'_>,
    bytes: &[u8],
    descriptor: &MessageDescriptor,
    depth: usize,
) -> Option<Value> {
    match descriptor.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" => timestamp(bytes),
        "Duration" => duration(bytes),
        "FieldMask" => field_mask(bytes),
        "Any" => any(reader, bytes, depth),
        "Struct" | "ListValue" => {
            // A field of their own, which holds the whole value.
            let fields = reader.fields(bytes, descriptor, depth)?.object();
            match (descriptor.name(), &fields) {
                (_, Value::Object(inner)) if inner.is_empty() => Some(if descriptor.name() == "Struct" {
                    Value::Map(Vec::new())
                } else {
                    Value::List(Vec::new())
                }),
                ("Struct", Value::Object(inner)) if inner.len() == 1 => fields.get("fields").cloned(),
                (_, Value::Object(inner)) if inner.len() == 1 => fields.get("values").cloned(),
                _ => None,
            }
        }
        "Value" => match reader.fields(bytes, descriptor, depth)?.object() {
            Value::Object(mut inner) if inner.len() == 1 => {
                let (name, value) = inner.pop()?;
                name.ends_with("Value").then_some(value)
            }
            _ => None,
        },
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
        | "BoolValue" | "StringValue" | "BytesValue" => wrapper(reader, bytes, descriptor, depth),
        _ => None,
    }
}

/// A wrapper is its value; without one it is the default, unlike other fields.
fn wrapper(
    reader: &mut Reader<'_>,
    bytes: &[u8],
    descriptor: &MessageDescriptor,
    depth: usize,
) -> Option<Value> {
    match reader.fields(bytes, descriptor, depth)?.object() {
        Value::Object(inner) if inner.is_empty() => Some(match descriptor.name() {
            "DoubleValue" | "FloatValue" => Value::Float(0.0),
            "Int32Value" | "UInt32Value" => Value::Int(0),
            "Int64Value" | "UInt64Value" => Value::Text("0".to_owned()),
            "BoolValue" => Value::Bool(false),
            "StringValue" => Value::Text(String::new()),
            _ => Value::Raw(Vec::new()),
        }),
        Value::Object(mut inner) if inner.len() == 1 => {
            let (name, value) = inner.pop()?;
            (name == "value").then_some(value)
        }
        _ => None,
    }
}

/// Seconds and nanoseconds, if there is nothing else.
fn seconds_and_nanos(bytes: &[u8]) -> Option<(i64, i32)> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut read = 0;
    for field in fields(bytes) {
        match (field.number, field.value) {
            (1, Wire::Varint(number)) => seconds = number as i64,
            (2, Wire::Varint(number)) => nanos = i32::try_from(number as i64).ok()?,
            _ => return None,
        }
        read += 1;
    }
    // What follows bytes that make no sense is not read.
    (read > 0 || bytes.is_empty()).then_some((seconds, nanos))
}

/// `.5` with three, six or nine digits; nothing of a whole second.
fn fraction(nanos: i32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

/// RFC 3339, in the years 1 to 9999.
fn timestamp(bytes: &[u8]) -> Option<Value> {
    let (seconds, nanos) =
        seconds_and_nanos(bytes).filter(|(_, nanos)| (0..1_000_000_000).contains(nanos))?;
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds) {
        return None;
    }
    // A `jiff::Timestamp` ends a day earlier, so that it has a date in every time zone.
    let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
    let whole = epoch.checked_add(SignedDuration::from_secs(seconds)).ok()?.strftime("%Y-%m-%dT%H:%M:%S");
    Some(Value::Text(format!("{whole}{}Z", fraction(nanos))))
}

/// `-1.500s`.
fn duration(bytes: &[u8]) -> Option<Value> {
    let (seconds, nanos) = seconds_and_nanos(bytes)?;
    let same_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if nanos.unsigned_abs() >= 1_000_000_000 || !same_sign {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    Some(Value::Text(format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.abs()))))
}

/// Paths in lower camel case, with commas between them.
fn field_mask(bytes: &[u8]) -> Option<Value> {
    let mut paths = Vec::new();
    for field in fields(bytes) {
        match (field.number, field.value) {
            (1, Wire::Bytes(path)) => paths.push(camel_case(std::str::from_utf8(path).ok()?)),
            _ => return None,
        }
    }
    (!paths.is_empty() || bytes.is_empty()).then(|| Value::Text(paths.join(",")))
}

fn camel_case(path: &str) -> String {
    let mut upper = false;
    let mut out = String::new();
    for c in path.chars() {
        if c == '_' {
            upper = true;
            continue;
        }
        out.push(if upper { c.to_ascii_uppercase() } else { c });
        upper = false;
    }
    out
}

/// `{"@type": url, …}` with the fields of the message, or with its `value` if that has a form of its own. The fields of a type that
/// nobody describes have numbers.
fn any(reader: &mut Reader<'_>, bytes: &[u8], depth: usize) -> Option<Value> {
    let (mut url, mut content) = ("", &b""[..]);
    let mut read = 0;
    for field in fields(bytes) {
        match (field.number, field.value) {
            (1, Wire::Bytes(bytes)) => url = std::str::from_utf8(bytes).ok()?,
            (2, Wire::Bytes(bytes)) => content = bytes,
            _ => return None,
        }
        read += 1;
    }
    if read == 0 && !bytes.is_empty() || depth >= DEPTH_LIMIT {
        return None;
    }
    let mut object = Fields::default();
    if !url.is_empty() {
        object.set("@type".to_owned(), Value::Text(url.to_owned()));
    }
    let name = url.rsplit('/').next().unwrap_or_default();
    let descriptor = reader.pools.message(name);
    let value = match &descriptor {
        Some(descriptor) => reader.message(content, descriptor, depth + 1),
        None => None,
    };
    let has_own_form = descriptor.as_ref().is_some_and(|descriptor| {
        descriptor.full_name().starts_with("google.protobuf.")
            && value.is_some()
            && is_special(descriptor.name())
    });
    match value.unwrap_or_else(|| by_guess(content)) {
        Value::Object(fields) if !has_own_form => {
            for (name, value) in fields {
                object.set(name, value);
            }
        }
        value => object.set("value".to_owned(), value),
    }
    Some(object.object())
}

fn by_guess(content: &[u8]) -> Value {
    let guess = guess::message(content);
    if guess.stop.is_none() { guess.value } else { Value::Raw(content.to_vec()) }
}

fn is_special(name: &str) -> bool {
    matches!(
        name,
        "Any" | "Timestamp" | "Duration" | "FieldMask" | "Struct" | "Value" | "ListValue" | "Empty"
    ) || name.ends_with("Value")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of whole seconds: field 1, a varint.
    fn seconds(seconds: i64) -> Vec<u8> {
        let mut left = seconds.cast_unsigned();
        let mut bytes = vec![8];
        while left >= 0x80 {
            bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes
    }

    #[test]
    fn timestamps_reach_from_the_first_second_of_year_1_to_the_last_of_year_9999() {
        for (at, text) in [
            (-62_135_596_801, None),
            (-62_135_596_800, Some("0001-01-01T00:00:00Z")),
            (-1, Some("1969-12-31T23:59:59Z")),
            (0, Some("1970-01-01T00:00:00Z")),
            (1_700_000_000, Some("2023-11-14T22:13:20Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, None),
        ] {
            assert_eq!(timestamp(&seconds(at)), text.map(|text| Value::Text(text.to_owned())), "{at}");
        }
    }
}
