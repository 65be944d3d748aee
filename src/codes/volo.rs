//! Error texts of Volo, which numbers its errors like Apache Thrift.

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
