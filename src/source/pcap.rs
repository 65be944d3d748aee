//! Classic capture files (draft-ietf-opsawg-pcap).
//!
//! ```text
//!  file:    magic 4 │ version 2+2 │ reserved 8 │ snap length 4 │ link type 4 (its upper bits: FCS)
//!  packet:  seconds 4 │ micro- or nanoseconds 4 │ captured length 4 │ length on the wire 4 │ bytes
//! ```

use super::stream::{MAX_PACKET, More, Parsed, Shared};
use super::{CapturePoint, LinkType, Record};
use crate::time::Timestamp;

/// Length of the head of a file.
pub(super) const HEAD: usize = 24;
const RECORD_HEAD: usize = 16;

/// What the head of a file says about its records.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    big_endian: bool,
    /// Nanoseconds in one unit of the second time field.
    unit: i64,
    link: LinkType,
    interface: u32,
}

/// Byte order and unit by the magic number; `None` if it is another format's.
pub(super) fn magic(bytes: [u8; 4]) -> Option<(bool, i64)> {
    match bytes {
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((true, 1000)),
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((false, 1000)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((true, 1)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((false, 1)),
        _ => None,
    }
}

impl Reader {
    /// Reads the head of a file; `None` if this is no classic capture.
    pub(super) fn new(head: &[u8; HEAD], shared: &mut Shared) -> Option<Self> {
        let (big_endian, unit) = magic([head[0], head[1], head[2], head[3]])?;
        let link = [head[20], head[21], head[22], head[23]];
        let link = if big_endian { u32::from_be_bytes(link) } else { u32::from_le_bytes(link) };
        // The upper half says how many bytes of frame check sequence follow each packet, which IP's lengths leave out.
        let link = LinkType(link as u16);
        Some(Self { big_endian, unit, link, interface: shared.interface(None, link) })
    }

    /// Reads all whole records of `data`, which begins with one.
    pub(super) fn parse(&self, data: &[u8], records: &mut Vec<Record>) -> Parsed {
        // Each byte order has a loop that does not ask for it.
        if self.big_endian {
            self.parse_as(u32::from_be_bytes, data, records)
        } else {
            self.parse_as(u32::from_le_bytes, data, records)
        }
    }

    #[inline]
    fn parse_as(&self, word: impl Fn([u8; 4]) -> u32, data: &[u8], records: &mut Vec<Record>) -> Parsed {
        let mut at = 0;
        loop {
            let Some(head) = data.get(at..).and_then(<[u8]>::first_chunk::<RECORD_HEAD>) else {
                return Parsed { consumed: at, more: More::Need(RECORD_HEAD) };
            };
            let field = |i: usize| word([head[i], head[i + 1], head[i + 2], head[i + 3]]);
            let len = field(8) as usize;
            if len > MAX_PACKET {
                let text = format!("a packet of {len} bytes is claimed, which no capture program writes");
                return Parsed { consumed: at, more: More::Damaged(text) };
            }
            let end = at + RECORD_HEAD + len;
            if data.len() < end {
                return Parsed { consumed: at, more: More::Need(RECORD_HEAD + len) };
            }
            records.push(Record {
                number: 0,
                time: Timestamp(i64::from(field(0)) * 1_000_000_000 + i64::from(field(4)) * self.unit),
                link: self.link,
                interface: self.interface,
                capture_point: CapturePoint::default(),
                wire_len: field(12).max(len as u32),
                offset: (at + RECORD_HEAD) as u32,
                len: len as u32,
            });
            at = end;
        }
    }
}
