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
use nom::combinator::{map_opt, verify};
use nom::error::context;

use crate::error::{Parse, wrong};
use crate::number::{be_u8, be_u16, be_u32, tag};

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
pub(super) struct FrameHead {
    pub(super) frame_type: FrameType,
    /// Bytes of the whole frame.
    pub(super) total: u32,
    /// Bytes of the protobuf head of a unary frame; 0 in stream frames.
    pub(super) protobuf: u16,
    /// Stream id; in unary frames a copy of the request id (trpc-go) or 0 (trpc-java).
    pub(super) stream_id: u32,
    /// 1 in unary frames of trpc-go, 0 in those of other libraries.
    pub(super) version: u8,
}

impl FrameHead {
    /// Bytes of what the outcome is read from, which follows the fixed head.
    pub(super) fn meta_len(&self) -> usize {
        self.meta_end() - HEAD_LEN
    }

    /// Offset of the end of what the outcome is read from: the protobuf head, or the whole meta of a stream frame.
    pub(super) fn meta_end(&self) -> usize {
        match self.frame_type {
            FrameType::Unary => HEAD_LEN + usize::from(self.protobuf),
            FrameType::Data => HEAD_LEN,
            FrameType::Init | FrameType::Feedback | FrameType::Close => self.total as usize,
        }
    }
}

fn magic(input: &[u8]) -> Parse<'_, &[u8]> {
    tag(MAGIC, "no tRPC magic number")(input)
}

/// Whether the frame is one of a stream.
fn is_stream(input: &[u8]) -> Parse<'_, bool> {
    context("unknown frame type", verify(be_u8, |kind| *kind <= 1)).map(|kind| kind == 1).parse(input)
}

impl FrameType {
    /// The type of these two numbers.
    fn of(is_stream: bool, kind: u8) -> Option<Self> {
        match (is_stream, kind) {
            (false, 0) => Some(Self::Unary),
            (true, 1) => Some(Self::Init),
            (true, 2) => Some(Self::Data),
            (true, 3) => Some(Self::Feedback),
            (true, 4) => Some(Self::Close),
            _ => None,
        }
    }
}

fn frame_type(input: &[u8]) -> Parse<'_, FrameType> {
    let (input, is_stream) = is_stream(input)?;
    context("unknown stream frame type", map_opt(be_u8, |kind| FrameType::of(is_stream, kind))).parse(input)
}

/// Whether a frame can have this size, with a protobuf head of that size.
fn add_up(total: u32, protobuf: u16) -> bool {
    (HEAD_LEN as u32 + u32::from(protobuf)..=FRAME_LIMIT).contains(&total)
}

/// Total size and size of the protobuf head.
fn sizes(input: &[u8]) -> Parse<'_, (u32, u16)> {
    let what = "size of the frame and size of its head do not add up";
    context(what, verify((be_u32, be_u16), |(total, protobuf)| add_up(*total, *protobuf))).parse(input)
}

/// The fixed head of a frame.
pub(super) fn frame_head(input: &[u8]) -> Parse<'_, FrameHead> {
    // Nearly all: in one piece and sound.
    if let Some((head, rest)) = input.split_first_chunk::<HEAD_LEN>()
        && let [0x09, 0x30, stream @ 0..=1, kind, t0, t1, t2, t3, p0, p1, s0, s1, s2, s3, version, _] = *head
        && let Some(frame_type) = FrameType::of(stream == 1, kind)
    {
        let (total, protobuf) = (u32::from_be_bytes([t0, t1, t2, t3]), u16::from_be_bytes([p0, p1]));
        if add_up(total, protobuf) && (stream == 0 || protobuf == 0) {
            let stream_id = u32::from_be_bytes([s0, s1, s2, s3]);
            return Ok((rest, FrameHead { frame_type, total, protobuf, stream_id, version }));
        }
    }
    any_frame_head(input)
}

/// The same for any frame.
#[cold]
#[inline(never)]
fn any_frame_head(input: &[u8]) -> Parse<'_, FrameHead> {
    // Version and reserved byte differ between the libraries and have no meaning for the protocol.
    let (rest, (_magic, frame_type, (total, protobuf), stream_id, version, _reserved)) =
        (magic, frame_type, sizes, be_u32, be_u8, be_u8).parse(input)?;
    if frame_type != FrameType::Unary && protobuf != 0 {
        return wrong(input.get(8..).unwrap_or_default(), "stream frame with a protobuf head");
    }
    Ok((rest, FrameHead { frame_type, total, protobuf, stream_id, version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Layer, in_layer};

    #[test]
    fn sizes_must_add_up() {
        let good = *b"\x09\x30\x00\x00\x00\x00\x00\x1a\x00\x02\x00\x00\x00\x01\x01\x00";
        let (_, head) = frame_head(&good).unwrap();
        assert_eq!(
            (head.frame_type, head.total, head.protobuf, head.meta_end()),
            (FrameType::Unary, 26, 2, 18)
        );
        for (at, byte, wrong_at) in [(0, 8, 0), (1, 0x31, 0), (2, 2, 2), (3, 1, 3), (7, 17, 4), (4, 0x7f, 4)]
        {
            let mut bad = good;
            bad[at] = byte;
            let Err(nom::Err::Error(error)) = in_layer(Layer::Frame, frame_head)(&bad) else {
                panic!("byte {at} = {byte:#x} is no error")
            };
            assert_eq!(error.offset, wrong_at, "byte {at} = {byte:#x}");
        }
        for len in 0..16 {
            assert!(frame_head(&good[..len]).unwrap_err().is_incomplete());
        }
    }
}
