//! The TTHeader frame head and its info sections.
//!
//! ```text
//!  0  length (4)      bytes that follow these four
//!  4  10 00           magic
//!  6  flags (2)
//!  8  seq_id (4)      streaming: stream id
//! 12  header size (2) in words of four bytes, counted from 14
//! 14  protocol id (1), number of transforms (1), one byte for each
//!     sections, zero padding up to 14 + 4 * header size
//!     payload up to 4 + length
//!
//! section 01: count (2), { length (2), key, length (2), value }*      string pairs
//! section 10: count (2), { key (2), length (2), value }*              integer pairs
//! section 11: length (2), token                                       ACL token
//! ```
//!
//! Source: `protocol/ttheader/{encode,decode,metakey}.go` of github.com/cloudwego/gopkg.

use std::borrow::Cow;

use crate::cursor::{Cursor, Trouble};
use crate::error::Layer;
use crate::message::{BizStatus, Text};

/// Bytes of the fixed head.
pub(crate) const HEAD_SIZE: usize = 14;

/// Second word's upper half of every frame.
pub(crate) const MAGIC: u16 = 0x1000;

/// The longest frame that its length field may claim.
pub(crate) const LENGTH_LIMIT: u32 = 0x3fff_ffff;

/// Flag: a frame of TTHeader Streaming.
pub(crate) const FLAG_STREAMING: u16 = 0x02;

/// Flag: a handshake of the security layer.
pub(crate) const FLAG_SASL: u16 = 0x10;

/// All published flags: out of order, streaming, duplex reverse, SASL.
const FLAGS: u16 = 0x01 | FLAG_STREAMING | 0x08 | FLAG_SASL;

/// The most transforms that a frame is believed to have; Kitex writes none.
const TRANSFORM_LIMIT: u8 = 8;

/// Nanoseconds in the unit of `RPCTimeout`.
const MILLISECOND: u64 = 1_000_000;

/// The key under which Kitex keeps the token of the ACL section.
const ACL_TOKEN: &[u8] = b"RPC_TRANSIT_gdpr-token";

/// Standard names of the integer keys (`metakey.go`); the index is the key.
const KEY_NAMES: [&str; 28] = [
    "MeshVersion",
    "TransportType",
    "LogID",
    "FromService",
    "FromCluster",
    "FromIDC",
    "ToService",
    "ToCluster",
    "ToIDC",
    "ToMethod",
    "Env",
    "DestAddress",
    "RPCTimeout",
    "ReadTimeout",
    "RingHashKey",
    "DDPTag",
    "WithMeshHeader",
    "ConnectTimeout",
    "SpanContext",
    "ShortConnection",
    "FromMethod",
    "StressTag",
    "MsgType",
    "HTTPContentType",
    "RawRingHashKey",
    "LBType",
    "ClusterShardID",
    "FrameType",
];

/// The standard name of an integer key.
pub(crate) fn key_name(key: u16) -> Option<&'static str> {
    KEY_NAMES.get(usize::from(key)).copied()
}

/// The fixed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) flags: u16,
    pub(crate) seq_id: i32,
    /// Bytes of the sections with what precedes them.
    pub(crate) header_size: usize,
}

impl Head {
    /// Reads the head at the beginning of `input`, and says no as early as possible.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Trouble> {
        let mut cursor = Cursor::new(input, Layer::Frame);
        let length = cursor.u32()?;
        if !(HEAD_SIZE as u32 - 2..=LENGTH_LIMIT).contains(&length) {
            return Err(cursor.wrong("length over the limit"));
        }
        if cursor.u16()? != MAGIC {
            return Err(cursor.wrong("not the magic number of TTHeader"));
        }
        let flags = cursor.u16()?;
        let seq_id = cursor.i32()?;
        let header_size = 4 * usize::from(cursor.u16()?);
        if header_size == 0 || header_size + HEAD_SIZE - 4 > length as usize {
            return Err(cursor.wrong("header size does not fit into the frame"));
        }
        Ok(Self { length, flags, seq_id, header_size })
    }

    /// Where the payload begins.
    pub(crate) fn payload(self) -> usize {
        HEAD_SIZE + self.header_size
    }

    /// Size of the whole frame.
    pub(crate) fn total(self) -> u64 {
        u64::from(self.length) + 4
    }

    /// Size of the payload.
    pub(crate) fn payload_size(self) -> usize {
        (self.length as usize + 4).saturating_sub(self.payload())
    }

    /// Whether only published flags are set.
    pub(crate) fn plausible(self) -> bool {
        self.flags & !FLAGS == 0
    }
}

/// One entry of the sections, with the offset at which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A pair of the string section.
    String(&'a [u8], &'a [u8]),
    /// A pair of the integer section.
    Integer(u16, &'a [u8]),
    /// The token of the ACL section.
    Acl(&'a [u8]),
}

/// Reads the bytes from offset 14 on (`header`, which ends where the payload begins, or earlier if it is cut) and gives
/// `each` every entry with its range in them, up to the first trouble.
pub(crate) fn parse_sections<'a>(
    header: &'a [u8],
    mut each: impl FnMut(Entry<'a>, (usize, usize)),
) -> Result<(), Trouble> {
    let mut cursor = Cursor::new(header, Layer::Header);
    if !matches!(cursor.u8()?, 0 | 2 | 3 | 4 | 0x10 | 0x11) {
        return Err(cursor.wrong("unknown protocol id"));
    }
    let transforms = cursor.u8()?;
    if transforms > TRANSFORM_LIMIT {
        return Err(cursor.wrong("too many transforms"));
    }
    cursor.take(usize::from(transforms))?;
    while !cursor.rest().is_empty() {
        let section = cursor.u8()?;
        let count = match section {
            0 => continue,
            1 | 0x10 => cursor.u16()?,
            0x11 => 1,
            _ => return Err(cursor.wrong("unknown section")),
        };
        for _ in 0..count {
            let start = cursor.offset();
            let entry = match section {
                1 => Entry::String(cursor.bytes16()?, cursor.bytes16()?),
                0x10 => Entry::Integer(cursor.u16()?, cursor.bytes16()?),
                _ => Entry::Acl(cursor.bytes16()?),
            };
            each(entry, (start, cursor.offset()));
        }
    }
    Ok(())
}

/// Gives `each` every entry of the sections by name.
pub(crate) fn pairs(header: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let _ = parse_sections(header, |entry, _| match entry {
        Entry::String(key, value) => each(key, value),
        Entry::Acl(token) => each(ACL_TOKEN, token),
        Entry::Integer(key, value) => match key_name(key) {
            Some(name) => each(name.as_bytes(), value),
            None => each(key.to_string().as_bytes(), value),
        },
    });
}

/// The entries that say something of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    /// `isn`, which may be empty.
    pub(crate) service: Option<Text<'a>>,
    /// `FromService`; empty means none.
    pub(crate) caller: Option<Text<'a>>,
    /// `ToService`.
    pub(crate) callee: Option<Text<'a>>,
    /// `ToMethod`.
    pub(crate) method: Option<Text<'a>>,
    /// `RPCTimeout`, nanoseconds.
    pub(crate) timeout: Option<u64>,
    /// `MsgType`.
    pub(crate) message_type: Option<u64>,
    /// `FrameType`.
    pub(crate) frame_type: Option<u64>,
    /// `biz-status`, `biz-message`, `biz-extra`.
    pub(crate) biz: Option<BizStatus<'a>>,
    /// `ttscp`.
    pub(crate) cancel_path: Option<Text<'a>>,
    /// `crrst`: the connection is going to be closed.
    pub(crate) closing: bool,
}

impl<'a> Fields<'a> {
    /// Reads the sections as far as they go; the trouble with the rest is the second value.
    pub(crate) fn parse(header: &'a [u8]) -> (Self, Result<(), Trouble>) {
        let mut fields = Self::default();
        let read = parse_sections(header, |entry, _| match entry {
            Entry::String(key, value) => fields.set_string(key, value),
            Entry::Integer(key, value) => fields.set_integer(key, value),
            Entry::Acl(_) => {}
        });
        (fields, read)
    }

    /// Takes a string pair.
    pub(crate) fn set_string(&mut self, key: &[u8], value: &'a [u8]) {
        let text = || Some(Cow::Borrowed(value));
        match key {
            b"isn" => self.service = text(),
            b"biz-status" => self.biz.get_or_insert_default().status = text(),
            b"biz-message" => self.biz.get_or_insert_default().message = text(),
            b"biz-extra" => self.biz.get_or_insert_default().extra = text(),
            b"ttscp" => self.cancel_path = text(),
            b"crrst" => self.closing = value == b"1",
            _ => {}
        }
    }

    fn set_integer(&mut self, key: u16, value: &'a [u8]) {
        let text = || Some(Cow::Borrowed(value)).filter(|text: &Text<'_>| !text.is_empty());
        match key {
            3 => self.caller = text(),
            6 => self.callee = text(),
            9 => self.method = text(),
            12 => self.timeout = decimal(value).and_then(|ms| ms.checked_mul(MILLISECOND)),
            22 => self.message_type = number_of(value),
            27 => self.frame_type = number_of(value),
            _ => {}
        }
    }

    /// The service, unless the header leaves its name empty.
    pub(crate) fn named_service(&self) -> Option<Text<'a>> {
        self.service.clone().filter(|service| !service.is_empty())
    }

    /// Whether the biz status alone decides: there is one and it is not the number 0.
    pub(crate) fn biz_decides(&self) -> bool {
        let status = self.biz.as_ref().and_then(|biz| biz.status.as_deref());
        status.is_some_and(|status| decimal(status) != Some(0))
    }
}

/// A number as Kitex writes it, in digits, or as Volo does, in one byte.
pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    match value {
        [number @ 1..=31] => Some(u64::from(*number)),
        _ => decimal(value),
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
