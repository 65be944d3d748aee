//! Errors as JSON (Connect protocol reference, "Error End-Stream" and "Unary-Response").
//!
//! ```text
//! {"code": "not_found", "message": "no such row", "details": [{"type": "google.rpc.RetryInfo", "value": "CgIIPA"}]}
//! ```

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// Most details of an error that are read.
const DETAILS_LIMIT: usize = 32;

/// Values of details come without padding, and are read with it too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The names of the codes, by number, with the HTTP statuses that a unary answer has with each: today's of Connect, then the
/// one that earlier versions and Triple have.
const CODES: [(&str, u16, u16); 17] = [
    ("", 0, 0),
    ("canceled", 499, 408),
    ("unknown", 500, 500),
    ("invalid_argument", 400, 400),
    ("deadline_exceeded", 504, 408),
    ("not_found", 404, 404),
    ("already_exists", 409, 409),
    ("permission_denied", 403, 403),
    ("resource_exhausted", 429, 429),
    ("failed_precondition", 400, 412),
    ("aborted", 409, 409),
    ("out_of_range", 400, 400),
    ("unimplemented", 501, 404),
    ("internal", 500, 500),
    ("unavailable", 503, 503),
    ("data_loss", 500, 500),
    ("unauthenticated", 401, 401),
];

/// The number of a code. Codes that are not published are sent as `code_17`.
fn number(name: &str) -> Option<i64> {
    let published = CODES.iter().skip(1).position(|(known, ..)| *known == name);
    let own = || {
        let digits = name.strip_prefix("code_")?;
        let digits = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
        digits.parse::<u32>().ok().filter(|number| *number as usize >= CODES.len()).map(i64::from)
    };
    published.map(|place| place as i64 + 1).or_else(own)
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct JsonError {
    /// Its code as sent, and the number that it stands for.
    pub(super) code: Option<(String, Option<i64>)>,
    /// Its text.
    pub(super) message: Option<String>,
    /// Its details as a `google.rpc.Status`; empty if there are none.
    pub(super) details: Vec<u8>,
}

fn error_of(mut object: Map<String, Value>) -> JsonError {
    let mut text = |name| match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (code, message) = (text("code"), text("message"));
    let code = code.map(|name| {
        let number = number(&name);
        (name, number)
    });
    let mut details = Vec::new();
    if let Some(Value::Array(list)) = object.get("details") {
        for detail in list.iter().take(DETAILS_LIMIT) {
            push_detail(&mut details, detail);
        }
    }
    JsonError { code, message, details }
}

/// Appends a detail to a `google.rpc.Status`, whose field 3 holds an `Any`: the type in field 1, the value in field 2.
fn push_detail(status: &mut Vec<u8>, detail: &Value) {
    let text = |name| detail.get(name).and_then(Value::as_str);
    let (Some(kind), Some(value)) = (text("type"), text("value")) else { return };
    let Ok(value) = BASE64.decode(value) else { return };
    let mut any = Vec::new();
    push_field(&mut any, 1, kind.as_bytes());
    push_field(&mut any, 2, &value);
    push_field(status, 3, &any);
}

/// Appends a field of bytes of a protobuf message. Numbers up to 15 take one byte.
fn push_field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(json).ok()
}

/// Reads the body of a unary answer that failed. `None` if it is no JSON object.
pub(super) fn parse_error(json: &[u8]) -> Option<JsonError> {
    object(json).map(error_of)
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Without an error.
    Good,
    /// With this one.
    Failed(JsonError),
    /// With a message that can't be read.
    Malformed,
}

/// Reads the message that ends a stream.
pub(super) fn parse_end(json: &[u8]) -> End {
    match object(json).map(|mut end| end.remove("error")) {
        Some(None | Some(Value::Null)) => End::Good,
        Some(Some(Value::Object(error))) => End::Failed(error_of(error)),
        Some(Some(_)) | None => End::Malformed,
    }
}

/// Whether the body of an answer with HTTP status `http` can only be an error of Connect: no other fields, a published code, and
/// the status that belongs to it.
pub(super) fn is_certain(json: &[u8], http: u16) -> bool {
    let Some(object) = object(json) else { return false };
    let Some(code) = object.get("code").and_then(Value::as_str) else { return false };
    let known = ["code", "message", "details"];
    let fits = |(name, today, before): &(&str, u16, u16)| {
        !name.is_empty() && *name == code && (*today == http || *before == http)
    };
    object.keys().all(|key| known.contains(&key.as_str())) && CODES.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_code_text_and_details() {
        let error = parse_error(
            br#"{"code":"not_found","message":"no \"A\"","details":[{"type":"google.rpc.RetryInfo","value":"CgIIPA","debug":{}},
                {"type":1},{"type":"a.B","value":"?"}]}"#,
        )
        .unwrap();
        assert_eq!(error.code, Some(("not_found".to_owned(), Some(5))));
        assert_eq!(error.message.as_deref(), Some("no \"A\""));
        let mut status = vec![26, 28, 10, 20];
        status.extend(b"google.rpc.RetryInfo");
        status.extend([18, 4, 10, 2, 8, 60]);
        assert_eq!(error.details, status);
        assert_eq!(parse_error(b"{}"), Some(JsonError::default()));
        for other in [&b"[]"[..], b"", b"not json", b"{\"code\":"] {
            assert_eq!(parse_error(other), None);
        }
    }

    #[test]
    fn codes_have_names_and_numbers() {
        assert_eq!(number("canceled"), Some(1));
        assert_eq!(number("unauthenticated"), Some(16));
        assert_eq!((number("code_17"), number("code_4711")), (Some(17), Some(4711)));
        for wrong in ["", "code_", "code_0", "code_16", "code_+17", "NOT_FOUND", "5"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stream_ends_with_an_error_or_without() {
        assert_eq!(parse_end(b"{}"), End::Good);
        assert_eq!(parse_end(br#"{"metadata":{"a":["b"]},"error":null}"#), End::Good);
        let code = Some(("aborted".to_owned(), Some(10)));
        let aborted = JsonError { code, ..JsonError::default() };
        assert_eq!(parse_end(br#"{"error":{"code":"aborted"}}"#), End::Failed(aborted));
        assert_eq!(parse_end(br#"{"error":5}"#), End::Malformed);
        assert_eq!(parse_end(b""), End::Malformed);
    }

    #[test]
    fn only_an_error_of_connect_is_certain() {
        let good = br#"{"code":"not_found","message":"no row"}"#;
        assert!(is_certain(good, 404) && !is_certain(good, 400));
        assert!(is_certain(br#"{"code":"deadline_exceeded"}"#, 408));
        for other in [
            r#"{"code":"not_found","msg":"of twirp"}"#,
            r#"{"code":404,"message":"of another"}"#,
            r#"{"code":"row_missing","message":"of another"}"#,
            r#"{"message":"none"}"#,
            r#"{"code":""}"#,
        ] {
            assert!(!is_certain(other.as_bytes(), 404), "{other}");
        }
    }

    #[test]
    fn json_without_end_does_no_harm() {
        let deep = [b"{\"error\":".repeat(100_000), b"1".to_vec()].concat();
        assert_eq!(parse_end(&deep), End::Malformed);
    }
}
