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

use nom::Parser as _;
use nom::combinator::{map_opt, verify};
use nom::error::context;

use crate::dissect::Range;
use crate::error::{Parse, wrong};
use crate::event::{BizStatus, Names, Sender, Text, may_be_context};
use crate::number::{be_i32, be_u8, be_u16, be_u32, tag, take};
use crate::thrift::transport::LENGTH_LIMIT;

/// Bytes of the fixed head.
pub(crate) const HEAD_SIZE: usize = 14;

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
pub(crate) struct TtHeaderHead {
    pub(crate) length: u32,
    pub(crate) flags: u16,
    pub(crate) seq_id: i32,
    /// Bytes of the sections with what precedes them.
    pub(crate) header_size: usize,
}

impl TtHeaderHead {
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

fn length(input: &[u8]) -> Parse<'_, u32> {
    let plausible = |length: &u32| (HEAD_SIZE as u32 - 2..=LENGTH_LIMIT).contains(length);
    context("length over the limit", verify(be_u32, plausible)).parse(input)
}

fn magic(input: &[u8]) -> Parse<'_, &[u8]> {
    tag([0x10, 0x00], "not the magic number of TTHeader")(input)
}

/// Bytes of the header of a frame of that length.
fn header_size<'a>(length: u32) -> impl FnMut(&'a [u8]) -> Parse<'a, usize> {
    move |input| {
        let fits = |words| {
            let size = 4 * usize::from(words);
            (1..=(length as usize + 4).saturating_sub(HEAD_SIZE)).contains(&size).then_some(size)
        };
        context("header size does not fit into the frame", map_opt(be_u16, fits)).parse(input)
    }
}

/// The fixed head; what is left begins with the protocol id.
#[inline]
pub(crate) fn fixed_head(input: &[u8]) -> Parse<'_, TtHeaderHead> {
    let (input, (length, _magic, flags, seq_id)) = (length, magic, be_u16, be_i32).parse(input)?;
    header_size(length).map(|header_size| TtHeaderHead { length, flags, seq_id, header_size }).parse(input)
}

/// The size of a frame whose header size does not fit into it.
#[cold]
pub(crate) fn size_of_misfit(input: &[u8]) -> Option<u64> {
    let (rest, (length, ..)) = (length, magic, be_u16, be_i32).parse(input).ok()?;
    matches!(header_size(length)(rest), Err(nom::Err::Error(_))).then_some(u64::from(length) + 4)
}

/// One entry of the sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A pair of the string section.
    String(&'a [u8], &'a [u8]),
    /// A pair of the integer section.
    Integer(u16, &'a [u8]),
    /// The token of the ACL section.
    Acl(&'a [u8]),
}

fn protocol_id(input: &[u8]) -> Parse<'_, u8> {
    let known = |id: &u8| matches!(id, 0 | 2 | 3 | 4 | 0x10 | 0x11);
    context("unknown protocol id", verify(be_u8, known)).parse(input)
}

/// The number of transforms and one byte for each.
fn transforms(input: &[u8]) -> Parse<'_, &[u8]> {
    let count = context("too many transforms", verify(be_u8, |count| *count <= TRANSFORM_LIMIT));
    count.flat_map(|count| take(usize::from(count))).parse(input)
}

fn text(input: &[u8]) -> Parse<'_, &[u8]> {
    let (rest, length) = be_u16(input)?;
    take(length.into())(rest)
}

fn string_pair(input: &[u8]) -> Parse<'_, Entry<'_>> {
    (text, text).map(|(key, value)| Entry::String(key, value)).parse(input)
}

fn integer_pair(input: &[u8]) -> Parse<'_, Entry<'_>> {
    (be_u16, text).map(|(key, value)| Entry::Integer(key, value)).parse(input)
}

fn acl_token(input: &[u8]) -> Parse<'_, Entry<'_>> {
    text.map(Entry::Acl).parse(input)
}

/// Calls `each` with `count` entries and their ranges in `header`. `nom::multi::count` would collect
/// them in a `Vec`.
fn entries<'a>(
    header: &'a [u8],
    section: &'a [u8],
    count: u16,
    entry: impl Fn(&'a [u8]) -> Parse<'a, Entry<'a>>,
    each: &mut impl FnMut(Entry<'a>, Range),
) -> Parse<'a, ()> {
    let mut rest = section;
    for _ in 0..count {
        let (after, entry) = entry(rest)?;
        each(entry, (header.len() - rest.len(), header.len() - after.len()));
        rest = after;
    }
    Ok((rest, ()))
}

/// Reads `header`, the bytes from offset 14 to the payload, and calls `each` with every entry and its range, up to the first
/// error.
pub(crate) fn sections<'a>(header: &'a [u8], mut each: impl FnMut(Entry<'a>, Range)) -> Parse<'a, ()> {
    let (mut rest, _) = (protocol_id, transforms).parse(header)?;
    while let Some((kind, section)) = rest.split_first() {
        (rest, ()) = match kind {
            0 => {
                let padding = section.iter().take_while(|octet| **octet == 0).count();
                Ok((section.get(padding..).unwrap_or_default(), ()))
            }
            1 => {
                let (section, count) = be_u16(section)?;
                entries(header, section, count, string_pair, &mut each)
            }
            0x10 => {
                let (section, count) = be_u16(section)?;
                entries(header, section, count, integer_pair, &mut each)
            }
            0x11 => entries(header, section, 1, acl_token, &mut each),
            _ => wrong(rest, "unknown section"),
        }?;
    }
    Ok((rest, ()))
}

/// Whether sections that are cut end in the value of `isn`, which only requests have.
#[cold]
pub(crate) fn ends_in_service(header: &[u8]) -> bool {
    let mut end = (protocol_id, transforms).parse(header).map_or(0, |(rest, _)| header.len() - rest.len());
    let _ = sections(header, |_, range| end = range.1);
    let rest = header.get(end..).unwrap_or_default();
    let is_service = |pairs: &[u8]| matches!(text(pairs), Ok((_, b"isn")));
    // The pair stands behind another one, or at the beginning of its section.
    is_service(rest) || (rest.first() == Some(&1) && rest.get(3..).is_some_and(is_service))
}

/// Calls `each` with every entry of the sections by name.
pub(crate) fn pairs(header: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let _ = sections(header, |entry, _| match entry {
        Entry::String(key, value) => each(key, value),
        Entry::Acl(token) => each(ACL_TOKEN, token),
        Entry::Integer(key, value) => match key_name(key) {
            Some(name) => each(name.as_bytes(), value),
            None => each(key.to_string().as_bytes(), value),
        },
    });
}

/// The entries that describe the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderFields<'a> {
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
    /// The sections are cut in the value of `isn`.
    pub(crate) service_cut: bool,
    /// `crrst`: the connection is going to be closed.
    pub(crate) closing: bool,
    /// Another string pair may hold trace context by its key.
    pub(crate) traced: bool,
    /// Which integer keys there are that show the library of a request.
    habits: Habits,
}

/// Integer keys that libraries differ in. Volo writes `HTTPContentType` 3 and the address of the callee into every request, and none of
/// those that Kitex writes alone (volo-thrift `codec/default/ttheader.rs`, Kitex `pkg/transmeta/ttheader.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Habits {
    /// 11, `DestAddress`, not empty.
    address: bool,
    /// 16 in Volo's numbering with its value 3.
    volo: bool,
    /// 1, 20 or 22 in digits.
    kitex: bool,
}

impl<'a> HeaderFields<'a> {
    /// Takes an entry.
    #[inline]
    pub(crate) fn set(&mut self, entry: Entry<'a>) {
        match entry {
            Entry::String(key, value) => self.set_string(key, value),
            Entry::Integer(key, value) => self.set_integer(key, value),
            Entry::Acl(_) => {}
        }
    }

    /// Takes a string pair.
    pub(crate) fn set_string(&mut self, key: &[u8], value: &'a [u8]) {
        let text = || Some(Text::Plain(value));
        match key {
            b"isn" => self.service = text(),
            b"biz-status" => self.biz.get_or_insert_default().status = text(),
            b"biz-message" => self.biz.get_or_insert_default().message = text(),
            b"biz-extra" => self.biz.get_or_insert_default().extra = text(),
            b"ttscp" => self.cancel_path = text(),
            b"crrst" => self.closing = value == b"1",
            _ => self.traced |= may_be_context(key),
        }
    }

    /// Takes an integer pair. Apart, so that keys and values come in registers and not as entries.
    #[inline(never)]
    fn set_integer(&mut self, key: u16, value: &'a [u8]) {
        let text = || Some(Text::Plain(value)).filter(|text| !text.is_empty());
        match key {
            1 | 20 => self.habits.kitex = true,
            3 => self.caller = text(),
            6 => self.callee = text(),
            9 => self.method = text(),
            12 => self.timeout = decimal(value).and_then(|ms| ms.checked_mul(MILLISECOND)),
            11 => self.habits.address = !value.is_empty(),
            16 => self.habits.volo = value == b"3",
            22 => {
                self.message_type = number_of(value);
                self.habits.kitex = true;
            }
            27 => self.frame_type = number_of(value),
            _ => {}
        }
    }

    /// Whether there is an `isn`, which only requests have.
    pub(crate) fn is_request(&self) -> bool {
        self.service.is_some() || self.service_cut
    }

    /// The service, unless the header leaves its name empty.
    pub(crate) fn named_service(&self) -> Option<Text<'a>> {
        self.service.filter(|service| !service.is_empty())
    }

    /// The names in the header.
    pub(crate) fn names(&self) -> Names<'a> {
        Names {
            service: self.named_service(),
            method: self.method,
            caller: self.caller,
            callee: self.callee,
            sender: Some(self.sender()),
        }
    }

    /// The library of a request. Nothing but Kitex and Volo writes such headers.
    fn sender(&self) -> Sender<'a> {
        let Habits { address, volo, kitex } = self.habits;
        if address && volo && !kitex { Sender::Volo } else { Sender::Kitex }
    }

    /// Whether the biz status alone decides: there is one and it is not the number 0.
    pub(crate) fn biz_decides(&self) -> bool {
        let status = self.biz.and_then(|biz| biz.status);
        status.is_some_and(|status| decimal(status.raw()) != Some(0))
    }
}

/// A number as Kitex writes it, in digits, or as Volo does, in one byte.
pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    match value {
        [number @ 1..=31] => Some(u64::from(*number)),
        [digit @ b'0'..=b'9'] => Some(u64::from(digit - b'0')),
        _ => decimal(value),
    }
}

/// A number in decimal digits. By hand: through `str` it costs 90 instructions, of which every frame has two or three.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let add = |number: u64, digit: &u8| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(value))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}
