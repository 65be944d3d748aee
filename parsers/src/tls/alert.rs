//! Alerts by name (RFC 8446, section 6; older ones in RFC 5246, section 7.2; later ones in IANA's registry "TLS Alerts").

macro_rules! alerts {
    ($($number:literal $name:literal,)*) => {
        /// The name of an alert.
        #[must_use]
        pub fn name(alert: u8) -> &'static str {
            match alert {
                $($number => $name,)*
                _ => "of another kind",
            }
        }

        /// What to say of a handshake that this alert ended: `TLS handshake failed: alert 40 handshake_failure`.
        #[must_use]
        pub fn failure(alert: u8) -> &'static str {
            match alert {
                $($number => concat!("TLS handshake failed: alert ", $number, " ", $name),)*
                _ => "TLS handshake failed: an alert of another kind",
            }
        }
    };
}

alerts! {
    0 "close_notify",
    10 "unexpected_message",
    20 "bad_record_mac",
    21 "decryption_failed",
    22 "record_overflow",
    30 "decompression_failure",
    40 "handshake_failure",
    41 "no_certificate",
    42 "bad_certificate",
    43 "unsupported_certificate",
    44 "certificate_revoked",
    45 "certificate_expired",
    46 "certificate_unknown",
    47 "illegal_parameter",
    48 "unknown_ca",
    49 "access_denied",
    50 "decode_error",
    51 "decrypt_error",
    60 "export_restriction",
    70 "protocol_version",
    71 "insufficient_security",
    80 "internal_error",
    86 "inappropriate_fallback",
    90 "user_canceled",
    100 "no_renegotiation",
    109 "missing_extension",
    110 "unsupported_extension",
    111 "certificate_unobtainable",
    112 "unrecognized_name",
    113 "bad_certificate_status_response",
    114 "bad_certificate_hash_value",
    115 "unknown_psk_identity",
    116 "certificate_required",
    120 "no_application_protocol",
    121 "ech_required",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_their_number_and_name() {
        assert_eq!(name(48), "unknown_ca");
        assert_eq!(failure(40), "TLS handshake failed: alert 40 handshake_failure");
        assert_eq!(
            (name(255), failure(255)),
            ("of another kind", "TLS handshake failed: an alert of another kind")
        );
    }
}
