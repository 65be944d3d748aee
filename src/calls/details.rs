//! `google.rpc.Status` details (`grpc-status-details-bin`), decoded as far as their types are known.
//!
//! Source: googleapis `google/rpc/status.proto` and `google/rpc/error_details.proto`.

use rpcscope_parsers::protobuf::{Value, fields};

/// Most details of one status that are shown.
const MAX_DETAILS: usize = 32;

/// Most fields of one detail that are shown.
const MAX_FIELDS: usize = 64;

/// The details of a status: type name without its URL prefix, and its content as text.
#[must_use]
pub fn decode(status: &[u8]) -> Vec<(String, String)> {
    let mut details = Vec::new();
    for field in fields(status) {
        if let (3, Value::Bytes(any)) = (field.number, field.value)
            && details.len() < MAX_DETAILS
        {
            let (mut type_url, mut value) = (&b""[..], &b""[..]);
            for inner in fields(any) {
                match (inner.number, inner.value) {
                    (1, Value::Bytes(bytes)) => type_url = bytes,
                    (2, Value::Bytes(bytes)) => value = bytes,
                    _ => {}
                }
            }
            let type_url = String::from_utf8_lossy(type_url).into_owned();
            let name = type_url.rsplit('/').next().unwrap_or_default().to_owned();
            let names = known(&name);
            let mut text = String::new();
            render(value, names, &mut text);
            details.push((name, text));
        }
    }
    details
}

/// A field of a detail type: its number, its name, and the fields of the message it holds, if it holds one.
type Named = (u32, &'static str, &'static [(u32, &'static str)]);

/// Field names of the detail types that `google/rpc/error_details.proto` defines; empty for others.
fn known(name: &str) -> &'static [Named] {
    const PAIR: &[(u32, &str)] = &[(1, "key"), (2, "value")];
    const SPAN: &[(u32, &str)] = &[(1, "seconds"), (2, "nanos")];
    match name {
        "google.rpc.ErrorInfo" => &[(1, "reason", &[]), (2, "domain", &[]), (3, "metadata", PAIR)],
        "google.rpc.RetryInfo" => &[(1, "retry_delay", SPAN)],
        "google.rpc.DebugInfo" => &[(1, "stack_entries", &[]), (2, "detail", &[])],
        "google.rpc.QuotaFailure" => &[(1, "violation", &[(1, "subject"), (2, "description")])],
        "google.rpc.PreconditionFailure" => {
            &[(1, "violation", &[(1, "type"), (2, "subject"), (3, "description")])]
        }
        "google.rpc.BadRequest" => {
            &[(1, "field_violation", &[(1, "field"), (2, "description"), (3, "reason")])]
        }
        "google.rpc.RequestInfo" => &[(1, "request_id", &[]), (2, "serving_data", &[])],
        "google.rpc.ResourceInfo" => &[
            (1, "resource_type", &[]),
            (2, "resource_name", &[]),
            (3, "owner", &[]),
            (4, "description", &[]),
        ],
        "google.rpc.Help" => &[(1, "link", &[(1, "description"), (2, "url")])],
        "google.rpc.LocalizedMessage" => &[(1, "locale", &[]), (2, "message", &[])],
        _ => &[],
    }
}

fn render(message: &[u8], names: &[Named], text: &mut String) {
    for field in fields(message).take(MAX_FIELDS) {
        let entry = names.iter().find(|(number, ..)| *number == field.number);
        separate(text);
        match entry {
            Some((_, name, _)) => text.push_str(name),
            None => text.push_str(&field.number.to_string()),
        }
        text.push(':');
        match (field.value, entry) {
            (Value::Bytes(bytes), Some((_, _, names))) if !names.is_empty() => {
                let mut inside = String::new();
                for field in fields(bytes).take(MAX_FIELDS) {
                    separate(&mut inside);
                    let name =
                        names.iter().find(|(number, _)| *number == field.number).map(|(_, name)| *name);
                    inside.push_str(name.unwrap_or("?"));
                    inside.push(':');
                    inside.push_str(&value_text(field.value));
                }
                text.push('{');
                text.push_str(&inside);
                text.push('}');
            }
            (value, _) => text.push_str(&value_text(value)),
        }
    }
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push(' ');
    }
}

fn value_text(value: Value<'_>) -> String {
    match value {
        Value::Varint(value) | Value::Fixed64(value) => value.to_string(),
        Value::Fixed32(value) => value.to_string(),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("({} bytes)", bytes.len()),
        },
    }
}
