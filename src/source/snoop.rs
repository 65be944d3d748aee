//! Captures of Solaris' snoop (RFC 1761). All numbers are big-endian.
//!
//! ```text
//!  file:    "snoop" and three zeros 8 │ version 4 │ data link 4
//!  packet:  length on the wire 4 │ captured length 4 │ length of this record 4 │ packets dropped so far 4 │
//!           seconds 4 │ microseconds 4 │ bytes │ padding
//! ```

use super::stream::{MAX_PACKET, More, Parsed, Shared};
use super::{CapturePoint, LinkType, Record};
use crate::time::Timestamp;

/// The first bytes of a file.
pub(super) const MAGIC: &[u8; 8] = b"snoop\0\0\0";
/// Length of the head of a file.
pub(super) const HEAD: usize = 16;
const VERSION: u32 = 2;
const RECORD_HEAD: usize = 24;
/// The most padding behind a packet: programs align records to 4 or 8 bytes.
const MAX_PADDING: usize = 64;

/// Data links (RFC 1761, section 3) and their numbers in pcap files. IEEE 802.3 and Ethernet are one there.
const LINKS: [(u32, LinkType); 3] = [(0, LinkType(1)), (4, LinkType(1)), (8, LinkType(10))];

/// What the head of a file says about its records.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    link: LinkType,
    interface: u32,
}

impl Reader {
    /// Reads the head of a file that begins with [`MAGIC`]. An error says why the file can't be read.
    pub(super) fn new(head: &[u8; HEAD], shared: &mut Shared) -> Result<Self, String> {
        let version = word(head, 8);
        if version != VERSION {
            return Err(format!(
                "is a snoop capture of version {version}; only version {VERSION} can be read"
            ));
        }
        let number = word(head, 12);
        let known = LINKS.iter().find(|(snoop, _)| *snoop == number);
        let (_, link) = known.ok_or_else(|| {
            format!(
                "is a snoop capture of data link {number}, which is not known; Ethernet (0 and 4) is read"
            )
        })?;
        Ok(Self { link: *link, interface: shared.interface(None, *link) })
    }

    /// Reads all whole records of `data`, which begins with one.
    pub(super) fn parse(&self, data: &[u8], records: &mut Vec<Record>) -> Parsed {
        let mut at = 0;
        loop {
            let Some(head) = data.get(at..).and_then(<[u8]>::first_chunk::<RECORD_HEAD>) else {
                return Parsed { consumed: at, more: More::Need(RECORD_HEAD) };
            };
            let (len, size) = (word(head, 4) as usize, word(head, 8) as usize);
            let fits = size.checked_sub(RECORD_HEAD + len).is_some_and(|padding| padding <= MAX_PADDING);
            if len > MAX_PACKET || !fits {
                let text = format!(
                    "a record of {size} bytes with a packet of {len} bytes is claimed, which snoop never writes"
                );
                return Parsed { consumed: at, more: More::Damaged(text) };
            }
            if data.len() - at < size {
                return Parsed { consumed: at, more: More::Need(size) };
            }
            records.push(Record {
                number: 0,
                time: Timestamp(i64::from(word(head, 16)) * 1_000_000_000 + i64::from(word(head, 20)) * 1000),
                link: self.link,
                interface: self.interface,
                capture_point: CapturePoint::default(),
                wire_len: word(head, 0).max(len as u32),
                offset: (at + RECORD_HEAD) as u32,
                len: len as u32,
            });
            at += size;
        }
    }
}

/// The number at an offset of a head, which lies within it.
fn word<const N: usize>(head: &[u8; N], at: usize) -> u32 {
    head.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
