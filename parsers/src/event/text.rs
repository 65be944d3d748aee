//! Text of the wire and its encodings.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Text of the wire, still encoded as it was sent: decoded only when somebody reads it. May be no UTF-8 and may hold
/// control characters.
#[derive(Clone, Copy)]
pub enum Text<'a> {
    /// Bytes as they are.
    Plain(&'a [u8]),
    /// Percent-encoded (gRPC, doc/PROTOCOL-HTTP2.md, "Percent-Encoded"). What is no encoding stays as it is.
    Percent(&'a [u8]),
    /// A `-bin` header of gRPC: base64 with or without padding, of which the first value counts where several are joined
    /// by commas, or plain bytes behind a zero byte (C-core, `GRPC_ALLOW_TRUE_BINARY_METADATA`). Empty if it is neither.
    Base64(&'a [u8]),
    /// The inside of a JSON string with its escapes (RFC 8259, section 7).
    Json(&'a [u8]),
}

/// The `-bin` headers come with padding or without; both are right.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl<'a> Text<'a> {
    /// The bytes as sent.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        match self {
            Self::Plain(raw) | Self::Percent(raw) | Self::Base64(raw) | Self::Json(raw) => raw,
        }
    }

    /// The bytes that are meant. Allocates only if they differ from what was sent.
    #[inline]
    #[must_use]
    pub fn decode(self) -> Cow<'a, [u8]> {
        // Nearly all texts.
        if let Self::Plain(raw) = self { Cow::Borrowed(raw) } else { self.decode_encoded() }
    }

    fn decode_encoded(self) -> Cow<'a, [u8]> {
        match self {
            Self::Plain(raw) => Cow::Borrowed(raw),
            Self::Percent(raw) => decode_percent(raw),
            Self::Base64([0, plain @ ..]) => Cow::Borrowed(plain),
            Self::Base64(raw) => {
                let first = raw.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
                BASE64.decode(first).map_or(Cow::Borrowed(&[]), Cow::Owned)
            }
            Self::Json(raw) => decode_json(raw),
        }
    }

    /// Whether nothing was sent.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.raw().is_empty()
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(raw: &'a [u8]) -> Self {
        Self::Plain(raw)
    }
}

/// Texts are equal if the same is meant.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (a, b) => a.decode() == b.decode(),
        }
    }
}

impl Eq for Text<'_> {}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.decode()), f)
    }
}

fn decode_percent(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        if let [b'%', high, low, ..] = *rest
            && let (Some(high), Some(low)) = ((high as char).to_digit(16), (low as char).to_digit(16))
        {
            out.push((high * 16 + low) as u8);
            rest = rest.get(3..).unwrap_or_default();
            continue;
        }
        out.push(*byte);
        rest = after;
    }
    Cow::Owned(out)
}

/// Undoes the escapes of a JSON string; what is none stays as it is.
fn decode_json(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(raw), |text| Cow::Owned(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_where_they_are_encoded() {
        let decoded = |text: Text<'static>| String::from_utf8_lossy(&text.decode()).into_owned();
        assert_eq!(decoded(Text::Percent("caf%C3%A9 50%25".as_bytes())), "café 50%");
        assert_eq!(decoded(Text::Percent(b"100% %zz %4")), "100% %zz %4");
        assert!(matches!(Text::Percent(b"plain").decode(), Cow::Borrowed(_)));
        assert_eq!(*Text::Base64(b"CAU").decode(), [8, 5]);
        assert_eq!(*Text::Base64(b"CAU=,CAY=").decode(), [8, 5]);
        assert_eq!(*Text::Base64(&[0, 8, 5]).decode(), [8, 5]);
        assert!(Text::Base64(b"?").decode().is_empty());
        assert_eq!(decoded(Text::Json(br#"no \"x\" \u00e9"#)), "no \"x\" é");
        assert_eq!(decoded(Text::Json(br"\q")), r"\q");
        assert_eq!(Text::Json(b"same"), Text::Plain(b"same"));
    }
}
