//! What gRPC puts into HTTP/2 (gRPC, doc/PROTOCOL-HTTP2.md): content types, paths, time-outs, and the
//! prefix of every message in the DATA of a stream.

use crate::layout::Layout;

/// Bytes of the prefix of a message: compressed flag and length.
const PREFIX: usize = 5;

/// What a content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// gRPC, with the codec as far as it is a known one.
    Grpc(Option<&'static str>),
    /// Something else, also gRPC-Web, whose trailers stand in the body.
    Other,
}

/// Reads a content type.
pub(super) fn parse_content_type(value: &[u8]) -> Content {
    let Some(rest) = value.trim_ascii_start().strip_prefix(b"application/grpc") else {
        return Content::Other;
    };
    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
    match rest.get(..end).unwrap_or_default().trim_ascii_end() {
        b"" | b"+proto" => Content::Grpc(Some("protobuf")),
        b"+json" => Content::Grpc(Some("json")),
        // Kitex, pkg/remote/trans/nphttp2: the payload is a thrift struct in the binary protocol.
        b"+thrift" => Content::Grpc(Some("thrift-binary")),
        b"+flatbuffers" => Content::Grpc(Some("flatbuffers")),
        [b'+', ..] => Content::Grpc(None),
        _ => Content::Other,
    }
}

/// Splits `/package.Service/Method` into service and method. A path without a second slash has no service.
pub(super) fn parse_path(path: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    match memchr::memrchr(b'/', path) {
        Some(at) => (path.get(..at), path.get(at + 1..).unwrap_or_default()),
        None => (None, path),
    }
}

/// The number that these decimal digits write. `None` if there are none, other octets, or too many of them.
fn parse_digits(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0_u64, |number, octet| {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    });
    number.filter(|_| !digits.is_empty())
}

/// Reads a `grpc-timeout` into nanoseconds: at most eight digits and a unit.
pub(crate) fn parse_timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    let nanoseconds = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    let number = if digits.len() > 8 { None } else { parse_digits(digits) };
    Some(number?.saturating_mul(nanoseconds))
}

/// Reads a status: decimal digits. Something else is `None`.
pub(crate) fn parse_status(value: &[u8]) -> Option<i64> {
    parse_digits(value).and_then(|number| i64::try_from(number).ok())
}

/// The layouts of the message that begins with `data`, and of its first field with a length.
pub(super) fn layouts(data: &[u8]) -> [Layout; 2] {
    match data.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], rest)) => {
            let length = u32::from_be_bytes(*length) as usize;
            Layout::of(rest.get(..length).unwrap_or(rest), rest.len() >= length)
        }
        Some(([1, ..], _)) => [Layout::COMPRESSED, Layout::default()],
        _ => [Layout::default(); 2],
    }
}

/// Whether DATA of that length, with whose first bytes `data` begins, looks like one whole message.
pub(super) fn is_one_message(data: &[u8], length: usize) -> bool {
    matches!(*data, [0 | 1, a, b, c, d, ..] if u32::from_be_bytes([a, b, c, d]) as usize + PREFIX == length)
}

/// Finds the messages in the DATA of one side of a stream, however they are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanner {
    /// Within a prefix: its bytes, and how many of them have come.
    Prefix([u8; PREFIX], u8),
    /// Within a message: the bytes that are still to come.
    Body(u32),
    /// Where messages begin is not known (bytes are missing, or the stream began before the capture).
    Lost,
    /// Reading the first bytes of a frame to see whether one message fills it, which is where the scanner finds back.
    Probe([u8; PREFIX], u8, u32),
    /// These are no gRPC messages.
    Foreign,
}

impl Scanner {
    /// At the beginning of a stream.
    pub(super) const START: Self = Self::Prefix([0; PREFIX], 0);

    /// Whether all messages so far are whole.
    pub(super) fn is_between(self) -> bool {
        matches!(self, Self::Prefix(_, 0))
    }

    /// A frame with `data` bytes begins.
    pub(super) fn begin_frame(&mut self, data: u32) {
        match self {
            Self::Lost | Self::Probe(..) if data as usize >= PREFIX => {
                *self = Self::Probe([0; PREFIX], 0, data);
            }
            Self::Probe(..) => *self = Self::Lost,
            _ => {}
        }
    }

    /// Takes the next bytes; says how many messages they complete.
    #[inline]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> u32 {
        // Nearly all frames.
        if self.is_between() && is_one_message(bytes, bytes.len()) { 1 } else { self.feed_any(bytes) }
    }

    /// The same for bytes that may be a part of a message, or parts of several.
    #[inline(never)]
    fn feed_any(&mut self, mut bytes: &[u8]) -> u32 {
        let mut messages = 0;
        while !bytes.is_empty() {
            match self {
                Self::Lost | Self::Foreign => return messages,
                Self::Body(left) => {
                    let taken = (*left as usize).min(bytes.len());
                    *left -= taken as u32;
                    bytes = bytes.get(taken..).unwrap_or_default();
                    if *left == 0 {
                        *self = Self::START;
                        messages += 1;
                    }
                }
                Self::Prefix(prefix, have) | Self::Probe(prefix, have, _) => {
                    if let (0, Some((whole, rest))) = (*have, bytes.split_first_chunk()) {
                        *prefix = *whole;
                        *have = PREFIX as u8;
                        bytes = rest;
                    } else if let (Some((byte, rest)), Some(slot)) =
                        (bytes.split_first(), prefix.get_mut(usize::from(*have)))
                    {
                        *slot = *byte;
                        *have += 1;
                        bytes = rest;
                    }
                    if usize::from(*have) == PREFIX {
                        *self = self.after_prefix();
                        messages += u32::from(*self == Self::START);
                    }
                }
            }
        }
        messages
    }

    /// Where a whole prefix leads.
    fn after_prefix(self) -> Self {
        let (prefix, frame) = match self {
            Self::Prefix(prefix, _) => (prefix, None),
            Self::Probe(prefix, _, frame) => (prefix, Some(frame)),
            other => return other,
        };
        let [flag, length @ ..] = prefix;
        let length = u32::from_be_bytes(length);
        match frame {
            Some(frame) if flag > 1 || length != frame - PREFIX as u32 => Self::Lost,
            None if flag > 1 => Self::Foreign,
            _ if length == 0 => Self::START,
            _ => Self::Body(length),
        }
    }

    /// The next `missing` bytes are lost (`None`: an unknown number).
    pub(super) fn skip(&mut self, missing: Option<u64>) {
        match (&mut *self, missing) {
            (_, Some(0)) | (Self::Foreign, _) => {}
            (Self::Body(left), Some(missing)) if missing < u64::from(*left) => *left -= missing as u32,
            _ => *self = Self::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Form;
    use proptest::prelude::*;

    #[test]
    fn a_message_has_a_layout_if_its_prefix_is_there() {
        let form = |data: &[u8]| layouts(data)[0].form();
        let data = b"\0\0\0\0\x04\x08\x05\x10\x06";
        assert_eq!(form(data), Some(Form::Protobuf));
        assert_eq!(layouts(data)[0].fields().collect::<Vec<_>>(), [(1, 0), (2, 0)]);
        // Another message behind it, and one that goes on.
        assert_eq!(layouts(&[&data[..], b"\0\0\0\0\x02\x18\x01"].concat()), layouts(data));
        assert_eq!(form(&data[..7]), Some(Form::Begun));
        assert_eq!(form(b"\x01\0\0\0\x01\x1f"), Some(Form::Compressed));
        for none in [&data[..4], b"\x02\0\0\0\0"] {
            assert_eq!(form(none), None);
        }
    }

    #[test]
    fn content_types() {
        for (value, content) in [
            ("application/grpc", Content::Grpc(Some("protobuf"))),
            ("application/grpc+proto", Content::Grpc(Some("protobuf"))),
            ("application/grpc; charset=utf-8", Content::Grpc(Some("protobuf"))),
            ("application/grpc+json", Content::Grpc(Some("json"))),
            ("application/grpc+thrift", Content::Grpc(Some("thrift-binary"))),
            ("application/grpc+own", Content::Grpc(None)),
            ("application/grpc-web", Content::Other),
            ("application/grpc-web+proto", Content::Other),
            ("text/html", Content::Other),
            ("", Content::Other),
        ] {
            assert_eq!(parse_content_type(value.as_bytes()), content, "{value}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(parse_path(b"/a.b.C/Do"), (Some(&b"a.b.C"[..]), &b"Do"[..]));
        assert_eq!(parse_path(b"/prefix/a.b.C/Do"), (Some(&b"prefix/a.b.C"[..]), &b"Do"[..]));
        assert_eq!(parse_path(b"/Do"), (None, &b"Do"[..]));
        assert_eq!(parse_path(b""), (None, &b""[..]));
    }

    #[test]
    fn timeouts() {
        assert_eq!(parse_timeout(b"1H"), Some(3_600_000_000_000));
        assert_eq!(parse_timeout(b"250m"), Some(250_000_000));
        assert_eq!(parse_timeout(b"99999999n"), Some(99_999_999));
        assert_eq!(parse_timeout(b"99999999H"), Some(u64::MAX));
        for wrong in [&b""[..], b"m", b"1", b"123456789m", b"-1m", b"1h"] {
            assert_eq!(parse_timeout(wrong), None);
        }
    }

    #[test]
    fn a_lost_scanner_finds_back_where_a_message_fills_a_frame() {
        let mut scanner = Scanner::START;
        assert_eq!(scanner.feed(&[0, 0, 0, 0, 9, 1, 2]), 0);
        scanner.skip(Some(6));
        assert_eq!(scanner, Scanner::Body(1));
        scanner.skip(Some(1));
        assert_eq!(scanner, Scanner::Lost);
        scanner.begin_frame(7);
        assert_eq!(scanner.feed(&[0, 0, 0, 0, 3, 1, 2]), 0);
        assert_eq!(scanner, Scanner::Lost);
        scanner.begin_frame(7);
        assert_eq!(scanner.feed(&[0, 0, 0, 0, 2, 1, 2]), 1);
        assert!(scanner.is_between());
    }

    proptest! {
        #[test]
        fn messages_are_counted_at_every_split(sizes in prop::collection::vec(0..40_usize, 0..9), cuts: Vec<u8>) {
            let mut wire = Vec::new();
            for size in &sizes {
                wire.push(0);
                wire.extend((*size as u32).to_be_bytes());
                wire.extend(std::iter::repeat_n(7, *size));
            }
            let mut scanner = Scanner::START;
            let mut rest = wire.as_slice();
            let mut seen = 0;
            for cut in cuts {
                let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
                seen += scanner.feed(piece);
                rest = after;
            }
            seen += scanner.feed(rest);
            prop_assert_eq!(seen as usize, sizes.len());
            prop_assert!(scanner.is_between());
        }
    }
}
