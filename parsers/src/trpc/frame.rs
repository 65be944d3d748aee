//! The fixed head of every tRPC frame.
//!
//! ```text
//!  0      2      3        4              8              10            14        15         16
//! +------+------+--------+--------------+--------------+-------------+---------+----------+
//! | 0930 | type | stream | total size   | pb head size | stream id   | version | reserved |
//! +------+------+--------+--------------+--------------+-------------+---------+----------+
//! ```
//!
//! Big endian. The total size counts these 16 bytes. Source: trpc-go `codec.go` (`FrameHead`), trpc-java
//! `StandardPackage`.

use nom::Parser as _;
use nom::number::streaming::{be_u8, be_u16, be_u32};

/// Bytes of the fixed head.
pub(super) const HEAD_LEN: usize = 16;

/// The first two bytes of every frame.
pub(super) const MAGIC: [u8; 2] = [0x09, 0x30];

/// The largest frame that is believed: a hundred times the libraries' default limit of 10 MiB.
const FRAME_LIMIT: u32 = 1 << 30;

/// What follows the fixed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    /// A `RequestProtocol` or `ResponseProtocol` and a body.
    Unary,
    /// A `TrpcStreamInitMeta`.
    Init,
    /// A message of a stream.
    Data,
    /// A `TrpcStreamFeedBackMeta`.
    Feedback,
    /// A `TrpcStreamCloseMeta`.
    Close,
}

/// The fixed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) frame_type: FrameType,
    /// Bytes of the whole frame.
    pub(super) total: u32,
    /// Bytes of the protobuf head of a unary frame; 0 in stream frames.
    pub(super) protobuf: u16,
    /// Stream id; in unary frames a copy of the request id (trpc-go) or 0 (trpc-java).
    pub(super) stream_id: u32,
}

impl Head {
    /// Offset of the end of what the outcome is read from: the protobuf head, or the whole meta of a stream frame.
    pub(super) fn meta_end(&self) -> usize {
        match self.frame_type {
            FrameType::Unary => HEAD_LEN + usize::from(self.protobuf),
            FrameType::Data => HEAD_LEN,
            FrameType::Init | FrameType::Feedback | FrameType::Close => self.total as usize,
        }
    }
}

/// Reads the fixed head. `Ok(None)`: bytes are missing; the error says what is wrong and where.
pub(super) fn parse_head(input: &[u8]) -> Result<Option<Head>, (usize, &'static str)> {
    if input.iter().zip(MAGIC).any(|(byte, magic)| *byte != magic) {
        return Err((0, "no tRPC magic number"));
    }
    // Version and reserved byte differ between the libraries and say nothing.
    let fields = (be_u16::<_, ()>, be_u8, be_u8, be_u32, be_u16, be_u32, be_u16).parse(input);
    let Ok((_, (_, frame_type, stream_type, total, protobuf, stream_id, _))) = fields else {
        let wrong = input.get(2).is_some_and(|frame_type| *frame_type > 1);
        return if wrong { Err((2, "unknown frame type")) } else { Ok(None) };
    };
    let frame_type = match (frame_type, stream_type) {
        (0, 0) => FrameType::Unary,
        (1, 1) => FrameType::Init,
        (1, 2) => FrameType::Data,
        (1, 3) => FrameType::Feedback,
        (1, 4) => FrameType::Close,
        (0 | 1, _) => return Err((3, "unknown stream frame type")),
        _ => return Err((2, "unknown frame type")),
    };
    let least = HEAD_LEN as u32 + u32::from(protobuf);
    if total < least || total > FRAME_LIMIT {
        return Err((4, "size of the frame and size of its head do not add up"));
    }
    if frame_type != FrameType::Unary && protobuf != 0 {
        return Err((8, "stream frame with a protobuf head"));
    }
    Ok(Some(Head { frame_type, total, protobuf, stream_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_add_up() {
        let good = *b"\x09\x30\x00\x00\x00\x00\x00\x1a\x00\x02\x00\x00\x00\x01\x01\x00";
        let head = parse_head(&good).unwrap().unwrap();
        assert_eq!(
            (head.frame_type, head.total, head.protobuf, head.meta_end()),
            (FrameType::Unary, 26, 2, 18)
        );
        for (at, byte, wrong_at) in [(0, 8, 0), (1, 0x31, 0), (2, 2, 2), (3, 1, 3), (7, 17, 4), (4, 0x7f, 4)]
        {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(parse_head(&bad).unwrap_err().0, wrong_at, "byte {at} = {byte:#x}");
        }
        for len in 0..16 {
            assert_eq!(parse_head(&good[..len]), Ok(None));
        }
    }
}
