//! Frames (RFC 9113, sections 4 and 6).
//!
//! ```text
//! +-----------------------------------------------+
//! |                 Length (24)                   |
//! +---------------+---------------+---------------+
//! |   Type (8)    |   Flags (8)   |
//! +-+-------------+---------------+-------------------------------+
//! |R|                 Stream Identifier (31)                      |
//! +=+=============================================================+
//! |                   Frame Payload (Length)                    ...
//! +---------------------------------------------------------------+
//! ```

use nom::bytes::streaming;
use nom::number::complete::{be_u16, be_u32};
use nom::{Err, Parser as _};

use crate::error::{Error, Parse, incomplete, missing};

/// What a client sends first (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame head.
pub(super) const HEAD: usize = 9;

/// Frame types.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags. `ACK` is the `END_STREAM` of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITIZED: u8 = 0x20;

/// `SETTINGS_HEADER_TABLE_SIZE` (RFC 9113, section 6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;

/// Error codes end here (RFC 9113, section 7).
pub(super) const LAST_ERROR_CODE: u32 = 0xd;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Stream identifier without the reserved bit.
    pub(super) stream: u32,
    /// The reserved bit, which is sent as 0 and ignored.
    pub(super) reserved: bool,
}

/// The head at the beginning of `input`. `Incomplete` has how many bytes of it are missing.
// Its fields in one look: a parser of each would ask again and again how much is there.
#[inline]
pub(super) fn parse_head(input: &[u8]) -> Parse<'_, Head> {
    let Some((head, rest)) = input.split_first_chunk::<HEAD>() else {
        return incomplete(HEAD - input.len());
    };
    let [high, middle, low, kind, flags, stream @ ..] = *head;
    let (length, stream) = (u32::from_be_bytes([0, high, middle, low]), u32::from_be_bytes(stream));
    Ok((rest, Head { length, kind, flags, stream: stream & 0x7fff_ffff, reserved: stream >> 31 == 1 }))
}

/// The payload of a frame, which follows its head. `Incomplete` has how many bytes of it are missing.
pub(super) fn parse_payload(head: Head, input: &[u8]) -> Parse<'_, &[u8]> {
    streaming::take(head.length)(input)
}

/// How many bytes a parser needs in all that found too few in `input`.
pub(super) fn needed(input: &[u8], error: &Err<Error>) -> usize {
    match error {
        Err::Incomplete(needed) => input.len() + missing(*needed),
        Err::Error(_) | Err::Failure(_) => input.len() + 1,
    }
}

impl Head {
    /// Bytes of the whole frame.
    pub(super) fn size(self) -> u64 {
        HEAD as u64 + u64::from(self.length)
    }

    /// Whether a flag is set.
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The stream whose header block it begins, and whether its side ends with that. `None` for a `PUSH_PROMISE`, which no RPC uses.
    pub(super) fn stream_of_block(self) -> Option<(u32, bool)> {
        (self.kind == HEADERS).then_some((self.stream, self.has(END_STREAM)))
    }

    /// Whether it carries (a part of) a header block.
    pub(super) fn is_block(self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    /// The rules that every frame keeps; one that breaks them ends the connection, or the reader has lost its place.
    pub(super) fn check(self) -> Result<(), &'static str> {
        let size_fits = match self.kind {
            PRIORITY => self.length == 5,
            RST_STREAM | WINDOW_UPDATE => self.length == 4,
            SETTINGS if self.has(ACK) => self.length == 0,
            SETTINGS => self.length.is_multiple_of(6),
            PING => self.length == 8,
            GOAWAY => self.length >= 8,
            _ => true,
        };
        let stream_fits = match self.kind {
            DATA | HEADERS | PRIORITY | RST_STREAM | PUSH_PROMISE | CONTINUATION => self.stream != 0,
            SETTINGS | PING | GOAWAY => self.stream == 0,
            _ => true,
        };
        match (size_fits, stream_fits) {
            (false, _) => Err("frame of a size that its type can't have"),
            (_, false) => Err("frame on a stream that its type can't have"),
            _ => Ok(()),
        }
    }

    /// Whether it keeps these rules and is of a type that most frames have: DATA without padding, HEADERS, and those that say nothing of
    /// messages.
    pub(super) fn is_usual(self) -> bool {
        match self.kind {
            DATA => self.stream != 0 && !self.has(PADDED),
            HEADERS => self.stream != 0,
            PRIORITY => self.length == 5 && self.stream != 0,
            PING => self.length == 8 && self.stream == 0,
            WINDOW_UPDATE => self.length == 4,
            _ => false,
        }
    }

    /// The type's name; `None` for types that RFC 9113 does not have.
    pub(super) fn kind_name(self) -> Option<&'static str> {
        Some(match self.kind {
            DATA => "DATA",
            HEADERS => "HEADERS",
            PRIORITY => "PRIORITY",
            RST_STREAM => "RST_STREAM",
            SETTINGS => "SETTINGS",
            PUSH_PROMISE => "PUSH_PROMISE",
            PING => "PING",
            GOAWAY => "GOAWAY",
            WINDOW_UPDATE => "WINDOW_UPDATE",
            CONTINUATION => "CONTINUATION",
            _ => return None,
        })
    }

    /// The flags that the type has, with their names.
    pub(super) fn flag_names(self) -> &'static [(u8, &'static str)] {
        match self.kind {
            DATA => &[(END_STREAM, "END_STREAM"), (PADDED, "PADDED")],
            HEADERS => &[
                (END_STREAM, "END_STREAM"),
                (END_HEADERS, "END_HEADERS"),
                (PADDED, "PADDED"),
                (PRIORITIZED, "PRIORITY"),
            ],
            SETTINGS | PING => &[(ACK, "ACK")],
            PUSH_PROMISE => &[(END_HEADERS, "END_HEADERS"), (PADDED, "PADDED")],
            CONTINUATION => &[(END_HEADERS, "END_HEADERS")],
            _ => &[],
        }
    }
}

/// The part of a HEADERS, `PUSH_PROMISE` or CONTINUATION payload that belongs to the header block, as a range. `payload` may
/// be cut: the range then ends with it.
pub(super) fn parse_fragment(head: Head, payload: &[u8]) -> Result<std::ops::Range<usize>, &'static str> {
    let mut start = 0;
    let mut end = head.length as usize;
    if head.kind != CONTINUATION && head.has(PADDED) {
        let padding = payload.first().copied().unwrap_or_default();
        start += 1;
        end = end.checked_sub(usize::from(padding)).ok_or("padding longer than its frame")?;
    }
    if head.kind == HEADERS && head.has(PRIORITIZED) {
        start += 5;
    }
    if head.kind == PUSH_PROMISE {
        start += 4;
    }
    if start > end {
        return Err("padding longer than its frame");
    }
    let end = end.min(payload.len());
    Ok(start.min(end)..end)
}

/// Identifiers and values of a SETTINGS payload (RFC 9113, section 6.5.1).
///
/// ```text
/// +-------------------------------+
/// |       Identifier (16)         |
/// +-------------------------------+-------------------------------+
/// |                        Value (32)                             |
/// +---------------------------------------------------------------+
/// ```
pub(super) fn parse_settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (settings, _) = payload.as_chunks::<6>();
    settings.iter().filter_map(|setting| Some(parse_setting(setting).ok()?.1))
}

fn parse_setting(input: &[u8]) -> Parse<'_, (u16, u32)> {
    (be_u16, be_u32).parse(input)
}

/// The 32-bit number at the beginning of `payload`.
pub(super) fn parse_number(payload: &[u8]) -> Option<u32> {
    let parsed: Parse<'_, _> = be_u32(payload);
    Some(parsed.ok()?.1)
}

/// Last stream, error code and debug text of a GOAWAY payload (RFC 9113, section 6.8).
///
/// ```text
/// +-+-------------------------------------------------------------+
/// |R|                  Last-Stream-ID (31)                        |
/// +-+-------------------------------------------------------------+
/// |                      Error Code (32)                          |
/// +---------------------------------------------------------------+
/// |                  Additional Debug Data (*)                    |
/// +---------------------------------------------------------------+
/// ```
pub(super) fn parse_goaway(payload: &[u8]) -> Option<(u32, u32, &[u8])> {
    let parsed: Parse<'_, _> = (be_u32, be_u32).parse(payload);
    let (text, (last, code)) = parsed.ok()?;
    Some((last & 0x7fff_ffff, code, text))
}

/// Name of a setting (RFC 9113, section 6.5.2; RFC 8441 for 8; RFC 9218 for 9).
pub(super) fn setting_name(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "HEADER_TABLE_SIZE",
        2 => "ENABLE_PUSH",
        3 => "MAX_CONCURRENT_STREAMS",
        4 => "INITIAL_WINDOW_SIZE",
        5 => "MAX_FRAME_SIZE",
        6 => "MAX_HEADER_LIST_SIZE",
        8 => "ENABLE_CONNECT_PROTOCOL",
        9 => "NO_RFC7540_PRIORITIES",
        // gRPC C-core's own: true binary metadata, preferred receive size, security frames.
        0xfe03 => "GRPC_ALLOW_TRUE_BINARY_METADATA",
        0xfe04 => "GRPC_PREFERRED_RECEIVE_MESSAGE_SIZE",
        0xfe05 => "GRPC_ALLOW_SECURITY_FRAME",
        _ => return None,
    })
}

/// Error codes of `RST_STREAM` that a client also sends where it has its answer (RFC 9113, sections 7 and 8.1).
pub(super) const NO_ERROR: u32 = 0;
pub(super) const CANCEL: u32 = 8;

/// Name of an error code (RFC 9113, section 7).
pub(crate) fn error_name(code: u32) -> Option<&'static str> {
    Some(match code {
        NO_ERROR => "NO_ERROR",
        0x1 => "PROTOCOL_ERROR",
        0x2 => "INTERNAL_ERROR",
        0x3 => "FLOW_CONTROL_ERROR",
        0x4 => "SETTINGS_TIMEOUT",
        0x5 => "STREAM_CLOSED",
        0x6 => "FRAME_SIZE_ERROR",
        0x7 => "REFUSED_STREAM",
        CANCEL => "CANCEL",
        0x9 => "COMPRESSION_ERROR",
        0xa => "CONNECT_ERROR",
        0xb => "ENHANCE_YOUR_CALM",
        0xc => "INADEQUATE_SECURITY",
        0xd => "HTTP_1_1_REQUIRED",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_a_frame_is_said() {
        let frame = [0, 0, 4, WINDOW_UPDATE, 0, 0x80, 0, 0, 1, 0, 0, 0, 9, 7];
        for cut in 0..HEAD {
            let cut = &frame[..cut];
            assert_eq!(parse_head(cut).map_err(|error| needed(cut, &error)), Err(HEAD));
        }
        for cut in HEAD..HEAD + 4 {
            let cut = &frame[..cut];
            let (rest, head) = parse_head(cut).unwrap();
            assert_eq!(parse_payload(head, rest).map_err(|error| needed(cut, &error)), Err(HEAD + 4));
        }
        let head = Head { length: 4, kind: WINDOW_UPDATE, flags: 0, stream: 1, reserved: true };
        assert_eq!(parse_head(&frame), Ok((&[0, 0, 0, 9, 7][..], head)));
        assert_eq!(parse_payload(head, &frame[HEAD..]), Ok((&[7][..], &[0, 0, 0, 9][..])));
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let head = Head {
            length: 12,
            kind: HEADERS,
            flags: END_HEADERS | PADDED | PRIORITIZED,
            stream: 1,
            reserved: false,
        };
        let payload = [3, 0, 0, 0, 0, 16, 0x83, 0x86, 0x44, 0, 0, 0];
        assert_eq!(parse_fragment(head, &payload), Ok(6..9));
        assert_eq!(parse_fragment(head, &payload[..8]), Ok(6..8));
        let mut long = payload;
        long[0] = 7;
        assert!(parse_fragment(head, &long).is_err());
        long[0] = 6;
        assert_eq!(parse_fragment(head, &long), Ok(6..6));
    }

    #[test]
    fn sizes_and_streams_are_checked() {
        let head = |kind, flags, length, stream| Head { length, kind, flags, stream, reserved: false };
        for good in [
            head(DATA, 0, 0, 1),
            head(SETTINGS, ACK, 0, 0),
            head(SETTINGS, 0, 18, 0),
            head(GOAWAY, 0, 30, 0),
            head(WINDOW_UPDATE, 0, 4, 0),
            head(0x77, 0xff, 1 << 24, 5),
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for bad in [
            head(DATA, 0, 4, 0),
            head(SETTINGS, ACK, 6, 0),
            head(SETTINGS, 0, 7, 0),
            head(SETTINGS, 0, 6, 1),
            head(PING, 0, 7, 0),
            head(RST_STREAM, 0, 4, 0),
            head(GOAWAY, 0, 7, 0),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
