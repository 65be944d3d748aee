//! Error texts of Volo, which numbers its errors like Apache Thrift.

/// The beginning of the caller's text of a business status (volo-thrift `src/error.rs`): `biz error: status_code: N, status_message: TEXT,
/// extra: …`.
pub const BIZ_STATUS: &str = "biz error: status_code: ";

/// The beginning of the caller's text of an exception: `application exception: KIND: TEXT`.
pub const EXCEPTION: &str = "application exception: ";

/// The kinds of an exception as Volo and Apache Thrift in Rust print them, and their names in code, by number (pilota
/// `src/thrift/error/application.rs`).
pub const KINDS: [(&str, &str); 11] = [
    ("service error", "Unknown"),
    ("unknown service method", "UnknownMethod"),
    ("wrong message type received", "InvalidMessageType"),
    ("unknown method reply received", "WrongMethodName"),
    ("out of order sequence id", "BadSequenceId"),
    ("missing method result", "MissingResult"),
    ("remote service threw exception", "InternalError"),
    ("protocol error", "ProtocolError"),
    ("invalid transform", "InvalidTransform"),
    ("invalid protocol requested", "InvalidProtocol"),
    ("unsupported protocol client", "UnsupportedClientType"),
];

/// What Volo prints for all other kinds.
pub const OTHER_KIND: &str = "other error";

/// The words that Volo prints for a type.
#[must_use]
pub fn kind(code: i64) -> &'static str {
    let known = usize::try_from(code).ok().and_then(|code| KINDS.get(code));
    known.map_or(OTHER_KIND, |(words, _)| words)
}

/// Whether the text is Volo's rendering of a business status that had no header to travel in: `status_code: N,
/// status_message: TEXT` (volo-thrift `src/error.rs`, `BizError`).
#[must_use]
pub fn is_biz_status(text: &[u8]) -> bool {
    text.strip_prefix(b"status_code: ").is_some_and(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
        rest.get(digits..).is_some_and(|rest| rest.starts_with(b", status_message: "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_business_status_is_recognised_by_both_of_its_fields() {
        assert!(is_biz_status(b"status_code: 7, status_message: no"));
        assert!(is_biz_status(b"status_code: -7, status_message: "));
        assert!(!is_biz_status(b"status_code: 7") && !is_biz_status(b"status_code: x, status_message: no"));
    }
}
