//! pcapng files (draft-ietf-opsawg-pcapng).
//!
//! ```text
//!  block:  type 4 │ total length 4 │ body, padded to 4 bytes │ total length 4
//! ```
//!
//! A file is a sequence of sections, each with its own byte order and its own interfaces. Blocks that are not needed are
//! passed, however large they are.

use std::sync::Arc;

use super::stream::{MAX_PACKET, More, Parsed, Shared};
use super::{CapturePoint, LinkType, Record};
use crate::time::Timestamp;

/// First bytes of a section, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Largest block that is read as a whole; larger ones are passed, or damage if they should be packets.
const MAX_BLOCK: usize = MAX_PACKET + 64 * 1024;
/// Interfaces that one section may describe.
const MAX_INTERFACES: usize = 1 << 16;
/// Bytes of an interface's name that are kept.
const MAX_NAME: usize = 256;
/// Type and both lengths of a block.
const FRAME: usize = 12;

mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete, still written by old programs.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const DECRYPTION_SECRETS: u32 = 10;
}

mod option {
    pub(super) const END: u16 = 0;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_TSOFFSET: u16 = 14;
}

/// State of the section being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    big_endian: bool,
    /// Shared with the marks by which a file is read again.
    interfaces: Arc<Vec<Interface>>,
    /// Time of the last packet that had one, for those that have none.
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    /// Its number over all files.
    number: u32,
    link: LinkType,
    /// 0: without limit.
    snap_len: u32,
    clock: Clock,
}

/// How the time stamps of an interface count.
#[derive(Clone, Copy, Debug)]
struct Clock {
    unit: Unit,
    /// Seconds to add.
    offset: i64,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// This many nanoseconds each.
    Nanoseconds(u64),
    /// This many in a nanosecond.
    PerNanosecond(u64),
    /// A second has two to the power of this many.
    Binary(u8),
}

impl Clock {
    const MICROSECONDS: Self = Self { unit: Unit::Nanoseconds(1000), offset: 0 };

    /// The unit as `if_tsresol` writes it: a negative power of 10, or of 2 where the highest bit is set.
    fn unit(resolution: u8) -> Unit {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return Unit::Binary(power as u8);
        }
        match power {
            0..=9 => Unit::Nanoseconds(10_u64.pow(9 - power)),
            // Finer than 10^-28 is no real clock; the quotient would not fit.
            _ => Unit::PerNanosecond(10_u64.pow((power - 9).min(19))),
        }
    }

    fn time(self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let nanoseconds = match self.unit {
            Unit::Nanoseconds(n) => ticks.saturating_mul(n),
            Unit::PerNanosecond(n) => ticks / n,
            Unit::Binary(power) => {
                let second = u128::from(ticks) * 1_000_000_000;
                u64::try_from(second >> power).unwrap_or(u64::MAX)
            }
        };
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        Timestamp(nanoseconds.saturating_add(self.offset.saturating_mul(1_000_000_000)))
    }
}

impl Reader {
    /// Reads all whole blocks of `data`, which begins with one.
    pub(super) fn parse(&mut self, data: &[u8], records: &mut Vec<Record>, shared: &mut Shared) -> Parsed {
        let mut at = 0;
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let stop = |more| Parsed { consumed: at, more };
            let Some(head) = rest.first_chunk::<FRAME>() else {
                return stop(More::Need(FRAME));
            };
            let is_section = head[..4] == MAGIC;
            if is_section {
                match head[8..12] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => self.big_endian = true,
                    [0x4d, 0x3c, 0x2b, 0x1a] => self.big_endian = false,
                    _ => return stop(More::Damaged("a section has no byte-order magic".into())),
                }
            }
            let kind = if is_section { block::SECTION } else { self.word(head, 0) };
            let len = self.word(head, 4) as usize;
            if len < FRAME || !len.is_multiple_of(4) {
                return stop(More::Damaged(format!("a block of {len} bytes is claimed, which can't be")));
            }
            let Some(whole) = rest.get(..len) else {
                return stop(match kind {
                    block::PACKET | block::SIMPLE_PACKET | block::ENHANCED_PACKET if len > MAX_BLOCK => {
                        let text =
                            format!("a packet of {len} bytes is claimed, which no capture program writes");
                        More::Damaged(text)
                    }
                    block::PACKET..=block::ENHANCED_PACKET
                    | block::INTERFACE
                    | block::DECRYPTION_SECRETS
                    | block::SECTION
                        if len <= MAX_BLOCK =>
                    {
                        More::Need(len)
                    }
                    _ => More::Skip(len as u64),
                });
            };
            if self.word(whole, len - 4) as usize != len {
                return stop(More::Damaged("the two lengths of a block differ".into()));
            }
            if let Err(text) = self.block(kind, whole, at as u32, records, shared) {
                return stop(More::Damaged(text));
            }
            at += len;
        }
    }

    /// Reads one block; `at` is its place in the buffer.
    fn block(
        &mut self,
        kind: u32,
        whole: &[u8],
        at: u32,
        records: &mut Vec<Record>,
        shared: &mut Shared,
    ) -> Result<(), String> {
        let body = whole.get(8..whole.len() - 4).unwrap_or_default();
        let (interface, time, len, wire_len, skip) = match kind {
            block::SECTION => {
                self.interfaces = Arc::default();
                return Ok(());
            }
            block::INTERFACE => return self.interface(body, shared),
            block::DECRYPTION_SECRETS => {
                if body.len() >= 8 {
                    let len = self.word(body, 4) as usize;
                    let data = body.get(8..).unwrap_or_default();
                    shared.keep_secrets(self.word(body, 0), data.get(..len).unwrap_or(data));
                }
                return Ok(());
            }
            block::ENHANCED_PACKET | block::PACKET if body.len() >= 20 => {
                // The obsolete block has a short interface number, followed by a count of drops.
                let id =
                    if kind == block::PACKET { u32::from(self.half(body, 0)) } else { self.word(body, 0) };
                let interface = self.described(id)?;
                let time = interface.clock.time(self.word(body, 4), self.word(body, 8));
                (interface, time, self.word(body, 12), self.word(body, 16), 20)
            }
            block::SIMPLE_PACKET if body.len() >= 4 => {
                let interface = self.described(0)?;
                let wire_len = self.word(body, 0);
                let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
                (interface, self.last, wire_len.min(limit).min(body.len() as u32 - 4), wire_len, 4)
            }
            block::ENHANCED_PACKET | block::PACKET | block::SIMPLE_PACKET => {
                return Err("a packet block is too short for its fields".into());
            }
            _ => return Ok(()),
        };
        if len as usize > body.len() - skip {
            return Err(format!("a packet of {len} bytes is claimed in a block of {}", whole.len()));
        }
        self.last = time;
        records.push(Record {
            number: 0,
            time,
            link: interface.link,
            interface: interface.number,
            capture_point: CapturePoint::default(),
            wire_len: wire_len.max(len),
            offset: at + 8 + skip as u32,
            len,
        });
        Ok(())
    }

    fn described(&self, id: u32) -> Result<Interface, String> {
        self.interfaces
            .get(id as usize)
            .copied()
            .ok_or_else(|| format!("a packet names interface {id}, which the section does not describe"))
    }

    fn interface(&mut self, body: &[u8], shared: &mut Shared) -> Result<(), String> {
        if body.len() < 8 {
            return Err("an interface description is too short for its fields".into());
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!("a section describes more than {MAX_INTERFACES} interfaces"));
        }
        let (mut clock, mut name) = (Clock::MICROSECONDS, None);
        let mut options = body.get(8..).unwrap_or_default();
        while options.len() >= 4 {
            let (code, len) = (self.half(options, 0), usize::from(self.half(options, 2)));
            let Some(value) = options.get(4..4 + len) else { break };
            match (code, value) {
                (option::END, _) => break,
                (option::IF_NAME, value) => {
                    let value = value.get(..value.len().min(MAX_NAME)).unwrap_or_default();
                    name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
                }
                (option::IF_TSRESOL, [resolution, ..]) => clock.unit = Clock::unit(*resolution),
                (option::IF_TSOFFSET, value) => {
                    if let Some(bytes) = value.first_chunk::<8>() {
                        let order = if self.big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
                        clock.offset = order(*bytes);
                    }
                }
                _ => {}
            }
            options = options.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        }
        let (link, snap_len) = (LinkType(self.half(body, 0)), self.word(body, 4));
        let number = shared.interface(name, link);
        Arc::make_mut(&mut self.interfaces).push(Interface { number, link, snap_len, clock });
        Ok(())
    }

    /// The 32-bit field at `at`; 0 where there is none (callers have checked).
    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
    }

    fn half(&self, bytes: &[u8], at: usize) -> u16 {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).copied().unwrap_or_default();
        if self.big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) }
    }
}
