//! `google.rpc.Status` details (`grpc-status-details-bin`), decoded as far as their types are known.
//!
//! Source: googleapis `google/rpc/status.proto` and `google/rpc/error_details.proto`.

/// Most details of one status that are shown.
const MAX_DETAILS: usize = 32;

/// Most fields of one detail that are shown.
const MAX_FIELDS: usize = 64;

/// The details of a status: type name without its URL prefix, and its content as text.
#[must_use]
pub fn decode(status: &[u8]) -> Vec<(String, String)> {
    let mut details = Vec::new();
    for field in Fields(status) {
        if let (3, Content::Bytes(any)) = field
            && details.len() < MAX_DETAILS
        {
            let (mut type_url, mut value) = (&b""[..], &b""[..]);
            for inner in Fields(any) {
                match inner {
                    (1, Content::Bytes(bytes)) => type_url = bytes,
                    (2, Content::Bytes(bytes)) => value = bytes,
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
type Named = (u64, &'static str, &'static [(u64, &'static str)]);

/// Field names of the detail types that `google/rpc/error_details.proto` defines; empty for others.
fn known(name: &str) -> &'static [Named] {
    const PAIR: &[(u64, &str)] = &[(1, "key"), (2, "value")];
    const SPAN: &[(u64, &str)] = &[(1, "seconds"), (2, "nanos")];
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
    for (number, content) in Fields(message).take(MAX_FIELDS) {
        let entry = names.iter().find(|(n, ..)| *n == number);
        separate(text);
        match entry {
            Some((_, name, _)) => text.push_str(name),
            None => text.push_str(&number.to_string()),
        }
        text.push(':');
        match (content, entry) {
            (Content::Number(value), _) => text.push_str(&value.to_string()),
            (Content::Bytes(bytes), Some((_, _, inner))) if !inner.is_empty() => {
                let mut inside = String::new();
                for (number, content) in Fields(bytes).take(MAX_FIELDS) {
                    separate(&mut inside);
                    let name = inner.iter().find(|(n, _)| *n == number).map(|(_, name)| *name);
                    inside.push_str(name.unwrap_or("?"));
                    inside.push(':');
                    inside.push_str(&content.text());
                }
                text.push('{');
                text.push_str(&inside);
                text.push('}');
            }
            (content, _) => text.push_str(&content.text()),
        }
    }
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push(' ');
    }
}

enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Content<'_> {
    fn text(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => format!("{text:?}"),
                Err(_) => format!("({} bytes)", bytes.len()),
            },
        }
    }
}

/// The fields of a protobuf message (<https://protobuf.dev/programming-guides/encoding/>): number and content. Ends at the
/// first byte that makes no sense.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Content<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Content::Number(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Content::Number(u64::from_le_bytes(*bytes))
            }
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Content::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                Content::Number(u64::from(u32::from_le_bytes(*bytes)))
            }
            _ => return None,
        };
        Some((key >> 3, content))
    }
}
