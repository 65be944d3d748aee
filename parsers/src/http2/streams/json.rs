//! Whether the messages of a stream are JSON although its content type says nothing: `application/grpc` alone leaves the codec
//! open (gRPC, doc/PROTOCOL-HTTP2.md), and some applications send JSON with it.

/// The bytes that are looked at: the prefix of a message, an opening brace and what may stand behind one.
const LENGTH: u8 = 7;

/// No JSON, or not known.
const OVER: u8 = u8::MAX;

/// How far the first message of a side agrees with the beginning of a JSON object that is not compressed. A message of
/// Protobuf begins like that only with a group in field 15, and groups are of proto2 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JsonSign(u8);

impl JsonSign {
    /// Of a side whose first message was not seen.
    pub(super) const LOST: Self = Self(OVER);

    /// Takes the next bytes of the side's DATA.
    pub(super) fn feed(&mut self, data: &[u8]) {
        match (self.0, data) {
            (LENGTH.., _) => {}
            // Nearly always: one look at two bytes.
            (0, [compressed, _, _, _, _, first, _, ..]) if *compressed != 0 || *first != b'{' => {
                self.0 = OVER;
            }
            _ => self.feed_part(data),
        }
    }

    fn feed_part(&mut self, data: &[u8]) {
        for byte in data.iter().take(usize::from(LENGTH - self.0)) {
            let fits = match self.0 {
                0 => *byte == 0,
                5 => *byte == b'{',
                6 => matches!(byte, b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n'),
                _ => true,
            };
            self.0 = if fits { self.0 + 1 } else { OVER };
            if !fits {
                return;
            }
        }
    }

    /// The codec, where it is JSON.
    pub(super) fn codec(self) -> Option<&'static str> {
        (self.0 == LENGTH).then_some("json")
    }

    /// Bytes of the side are missing.
    pub(super) fn skip(&mut self) {
        if self.0 != LENGTH {
            *self = Self::LOST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_at_every_split_and_nothing_else_is() {
        for (data, expected) in [
            (&b"\0\0\0\0\x08{\"a\": 1}"[..], Some("json")),
            (b"\0\0\0\0\x02{}", Some("json")),
            (b"\0\0\0\0\x09{\n  \"a\":1}", Some("json")),
            (b"\x01\0\0\0\x08{\"a\": 1}", None),
            (b"\0\0\0\0\x03\x0a\x01x", None),
            (b"\0\0\0\0\x04{\x08\x01|", None),
            (b"\0\0\0\0\0\0\0\0\0\0", None),
            (b"\0\0\0\0\x08{", None),
        ] {
            for cut in 0..data.len() {
                let mut sign = JsonSign::default();
                sign.feed(&data[..cut]);
                sign.feed(&data[cut..]);
                assert_eq!(sign.codec(), expected, "{data:?} cut at {cut}");
            }
        }
        let mut sign = JsonSign::default();
        sign.feed(b"\0\0\0\0");
        sign.skip();
        sign.feed(b"\x08{\"a\": 1}");
        assert_eq!(sign.codec(), None);
    }
}
