//! JSON, written by hand because every call of every capture passes here.
//!
//! A record consists of about fifty short pieces, most of a length that is known at compile time. Copying such a piece takes
//! a few instructions; growing a `Vec` around it took more than the copy. So pieces are written into [`Room`] that exists
//! already, and each method returns the rest of the room, which stays in registers. A record that does not fit uses up
//! all room, and is written again into twice the room ([`append`]).

use std::net::IpAddr;

use super::connections::Connections;
use super::methods::Methods;
use crate::calls::Share;
use crate::decode::Endpoint;
use crate::digits;
use crate::text::is_unsafe;
use crate::time::Timestamp;

/// Room for a record. Every method writes at the front and returns what is left. After a piece that did not fit nothing is
/// left.
#[derive(Debug, Default)]
#[must_use]
pub struct Room<'b>(&'b mut [u8]);

/// Hexadecimal digits of a key.
pub const DIGITS: usize = 32;

/// Room that a number of up to eight digits takes while it is written.
pub const SMALL: usize = size_of::<u64>();

/// Enough for most records.
const FIRST_ROOM: usize = 2048;

/// Appends what `write` writes.
pub fn append(out: &mut Vec<u8>, mut write: impl FnMut(Room<'_>) -> Room<'_>) {
    let start = out.len();
    let mut room = FIRST_ROOM;
    loop {
        out.resize(start + room, 0);
        let left = write(Room(&mut out[start..])).0.len();
        if left > 0 {
            out.truncate(start + room - left);
            return;
        }
        room *= 2;
    }
}

/// Appends `"text"` as [`Room::string`] writes it.
pub fn string(out: &mut Vec<u8>, text: &str) {
    if !is_plain(text.as_bytes()) {
        return append(out, |room| room.string(text));
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    /// Two words, of which one holds the last eight digits, and then two more than a word holds.
    const ROOM: usize = 32;
    let mut octets = [0; ROOM];
    let left = Room(&mut octets).number(value).left();
    out.extend_from_slice(&octets[..ROOM - left]);
}

/// Appends items with commas between them.
pub fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(out, item);
    }
}

/// Writes at the end of the first `len` of the octets of a buffer, and returns how many they are then. All octets behind them are room, which is
/// not cleared again.
#[inline]
pub fn write_at(buffer: &mut Vec<u8>, len: usize, mut write: impl FnMut(Room<'_>) -> Room<'_>) -> usize {
    loop {
        if let Some(room) = buffer.get_mut(len..).filter(|room| room.len() >= FIRST_ROOM) {
            let left = write(Room(room)).0.len();
            if left > 0 {
                return buffer.len() - left;
            }
        }
        grow(buffer, len);
    }
}

/// Makes room behind the first `len` octets: all that is allocated, or twice as much.
#[cold]
fn grow(buffer: &mut Vec<u8>, len: usize) {
    let allocated = buffer.capacity();
    if buffer.is_empty() {
        // Memory that comes cleared.
        *buffer = vec![0; allocated.max(FIRST_ROOM)];
    } else if buffer.len() < allocated {
        buffer.resize(allocated, 0);
    } else {
        buffer.resize(2 * (len + FIRST_ROOM).max(allocated), 0);
    }
}

/// A reused buffer for records: unlike [`append`], nothing is cleared between them.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Default for Scratch {
    fn default() -> Self {
        Self(vec![0; FIRST_ROOM])
    }
}

impl Scratch {
    /// What `write` writes.
    #[inline]
    pub fn write(&mut self, write: impl FnMut(Room<'_>) -> Room<'_>) -> &[u8] {
        let len = write_at(&mut self.0, 0, write);
        &self.0[..len]
    }
}

#[expect(clippy::inline_always, reason = "the length of a literal is known only in the caller")]
impl Room<'_> {
    /// The same if so many octets are left: one look for the pieces that follow and are no longer than that together.
    #[inline(always)]
    pub fn with_at_least(self, octets: usize) -> Self {
        if self.0.len() >= octets { self } else { Self::default() }
    }

    /// Text as it is.
    #[inline(always)]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Octets as they are.
    #[inline(always)]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        match self.0.split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                place.copy_from_slice(bytes);
                Self(rest)
            }
            None => Self::default(),
        }
    }

    /// A word of ours: one of up to 16 letters takes two stores that overlap, and any other a call that copies any length.
    pub fn word(self, word: &str) -> Self {
        let word = word.as_bytes();
        let Some((place, rest)) = self.0.split_at_mut_checked(word.len()) else { return Self::default() };
        match word.len() {
            8..=16 => ends::<8>(place, word),
            4..8 => ends::<4>(place, word),
            2..4 => ends::<2>(place, word),
            _ => place.copy_from_slice(word),
        }
        Self(rest)
    }

    /// The first `len` of the octets of a fixed number, which one check and a few stores copy.
    #[inline(always)]
    pub fn start_of<const N: usize>(self, octets: &[u8; N], len: usize) -> Self {
        match self.0.first_chunk_mut() {
            Some(place) => {
                *place = *octets;
                Self(self.0.get_mut(len..).unwrap_or_default())
            }
            None => Self::default(),
        }
    }

    /// The octets of a word from the lowest on, `len` of them: text of up to eight letters in one store.
    #[inline(always)]
    pub fn octets(self, word: u64, len: usize) -> Self {
        match self.0.first_chunk_mut() {
            Some(place) => {
                *place = word.to_le_bytes();
                Self(self.0.get_mut(len..).unwrap_or_default())
            }
            None => Self::default(),
        }
    }
}

impl<'b> Room<'b> {
    /// All of these octets.
    pub fn of(octets: &'b mut [u8]) -> Self {
        Self(octets)
    }

    /// How many octets are left; 0 after a piece that did not fit.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }
}

impl Room<'_> {
    /// `"text"` with everything escaped that JSON forbids or a terminal could take as a command.
    pub fn string(self, text: &str) -> Self {
        self.text("\"").within_string(text).text("\"")
    }

    /// The same without the quotes: a part of a text.
    pub fn within_string(self, text: &str) -> Self {
        if is_plain(text.as_bytes()) { self.text(text) } else { self.escaped(text) }
    }

    /// [`Self::within_string`] for texts that need escapes, or have letters beyond ASCII.
    pub(super) fn escaped(mut self, text: &str) -> Self {
        // Everything before `done` is written; runs of characters that stay are copied at once.
        let (mut done, mut looked_at) = (0, 0);
        while let at = looked_at + plain_part(&text.as_bytes()[looked_at..])
            && let Some(c) = text[at..].chars().next()
        {
            looked_at = at + c.len_utf8();
            if !matches!(c, '"' | '\\') && !is_unsafe(c) {
                continue;
            }
            self = self.text(&text[done..at]);
            self = match c {
                '"' => self.text("\\\""),
                '\\' => self.text("\\\\"),
                '\n' => self.text("\\n"),
                '\r' => self.text("\\r"),
                '\t' => self.text("\\t"),
                c => c.encode_utf16(&mut [0; 2]).iter().fold(self, |room, unit| room.unicode(*unit)),
            };
            done = looked_at;
        }
        self.text(&text[done..])
    }

    fn unicode(self, unit: u16) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |shift: u32| HEX[usize::from(unit >> shift & 15)];
        self.bytes(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)])
    }

    /// A number in decimal.
    #[inline]
    pub fn number(self, value: u64) -> Self {
        // Every second number of a record.
        if let Ok(small) = u8::try_from(value) {
            let (text, len) = digits::octet(small);
            self.octets(text, len)
        } else {
            self.large_number(value)
        }
    }

    // Once: in each place that writes numbers, the compiler would leave the digits to a function beside it.
    #[inline(never)]
    fn large_number(self, value: u64) -> Self {
        if value < digits::EIGHT {
            let (text, len) = digits::all(value as u32);
            self.octets(text, len)
        } else {
            self.huge_number(value)
        }
    }

    #[inline(never)]
    fn huge_number(self, value: u64) -> Self {
        let back = digits::eight((value % digits::EIGHT) as u32);
        self.large_number(value / digits::EIGHT).octets(back, 8)
    }

    /// `start` and a number behind it.
    #[inline]
    pub fn number_of(self, start: &str, value: u64) -> Self {
        self.with_at_least(start.len() + SMALL).text(start).number(value)
    }

    /// The hexadecimal digits of a number.
    pub fn hexadecimal(self, value: u128) -> Self {
        match self.0.split_first_chunk_mut() {
            Some((place, rest)) => {
                digits::hexadecimal(&value.to_be_bytes(), place);
                Self(rest)
            }
            None => Self::default(),
        }
    }

    /// Digits of one that are known already.
    pub fn digits(self, digits: &[u8; DIGITS]) -> Self {
        self.bytes(digits)
    }

    /// A number in decimal.
    #[inline]
    pub fn signed(self, value: i64) -> Self {
        let room = if value < 0 { self.text("-") } else { self };
        room.number(value.unsigned_abs())
    }

    /// A share with all its decimals.
    pub fn share(self, share: Share) -> Self {
        self.bytes(&share.digits())
    }

    /// `address:port` without quotes.
    pub fn address(self, endpoint: Endpoint) -> Self {
        let IpAddr::V4(ip) = endpoint.ip else { return self.any_address(endpoint) };
        // Two octets with their points have at most eight letters.
        let two = |a: u8, b: u8| {
            let ((a, len), (b, more)) = (digits::octet(a), digits::octet(b));
            let point = u64::from(b'.');
            (a | (point | b << 8 | point << (8 * more + 8)) << (8 * len), len + more + 2)
        };
        let [a, b, c, d] = ip.octets();
        let ((front, front_len), (back, back_len)) = (two(a, b), two(c, d));
        let (port, port_len) = digits::all(endpoint.port.into());
        self.octets(front, front_len)
            .octets(back, back_len - 1)
            .octets(u64::from(b':') | port << 8, port_len + 1)
    }

    #[cold]
    fn any_address(self, endpoint: Endpoint) -> Self {
        self.text(&endpoint.to_string())
    }

    /// Items with commas between them.
    pub fn list<T>(self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(Self, T) -> Self) -> Self {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return self };
        let room = each(self, first);
        items.fold(room, |room, item| each(room.text(","), item))
    }

    /// An array.
    pub fn array<T>(self, items: impl IntoIterator<Item = T>, each: impl FnMut(Self, T) -> Self) -> Self {
        self.text("[").list(items, each).text("]")
    }

    /// An object of texts. Of names that repeat the last one stays, as every JSON reader would have it.
    pub fn object(self, pairs: &[(String, String)]) -> Self {
        let last = |(at, pair): &(usize, &(String, String))| {
            !pairs.iter().skip(at + 1).any(|later| later.0 == pair.0)
        };
        let pairs = pairs.iter().enumerate().filter(last);
        self.text("{")
            .list(pairs, |room, (_, (name, text))| room.string(name).text(":").string(text))
            .text("}")
    }
}

/// Copies the first and the last `N` octets: all of a text of `N` to twice as many.
#[inline]
fn ends<const N: usize>(place: &mut [u8], text: &[u8]) {
    if let (Some(first), Some(place)) = (text.first_chunk::<N>(), place.first_chunk_mut()) {
        *place = *first;
    }
    if let (Some(last), Some(place)) = (text.last_chunk::<N>(), place.last_chunk_mut()) {
        *place = *last;
    }
}

/// Whether JSON holds all these octets as they are: printable ASCII without `"` and `\`.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    let found = words.fold(0, |found, word| found | not_plain(word));
    let half = |chunk: &[u8; 4]| u64::from(u32::from_le_bytes(*chunk));
    // The last word may overlap the one before, and its halves each other.
    let last = if let Some(last) = bytes.last_chunk() {
        u64::from_le_bytes(*last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        half(first) | half(last) << 32
    } else {
        let mut word = [b' '; 8];
        word.iter_mut().take(3).zip(bytes).for_each(|(place, octet)| *place = *octet);
        u64::from_le_bytes(word)
    };
    found | not_plain(last) == 0
}

/// How many octets stand before the first one that is not [plain](is_plain).
fn plain_part(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let found = not_plain(u64::from_le_bytes(*word));
        if found != 0 {
            return at * size_of::<u64>() + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |octet: &u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().position(|octet| !is_plain(octet)).unwrap_or(rest.len())
}

/// Not 0 if an octet of a word is not plain: its lowest bit that is set is in the first of them. `x - n` sets the highest bit of an octet below `n`; octets that have that bit
/// already are no ASCII. A borrow can reach the next octet, but only from one that is not plain itself.
#[inline]
fn not_plain(word: u64) -> u64 {
    const fn each(octet: u8) -> u64 {
        u64::from_ne_bytes([octet; 8])
    }
    let control = word.wrapping_sub(each(b' '));
    let quote = (word ^ each(b'"')).wrapping_sub(each(1));
    let backslash = (word ^ each(b'\\')).wrapping_sub(each(1));
    let delete = word.wrapping_add(each(1));
    (word | control | quote | backslash | delete) & each(0x80)
}

/// What was written last of what takes long to convert and comes again.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Times.
    pub dates: Dates,
    /// What calls of a connection have in common.
    pub connections: Connections,
    /// What calls of a method have in common.
    pub methods: Methods,
}

impl Memory {
    /// For many records. The default remembers no connections and no methods.
    #[must_use]
    pub fn lasting() -> Self {
        Self { dates: Dates::default(), connections: Connections::lasting(), methods: Methods::lasting() }
    }
}

/// Writes times as RFC 3339 in UTC with nanoseconds. Remembers the second it wrote last, because most records of a busy
/// capture share it with the one before.
#[derive(Clone, Debug)]
pub struct Dates {
    /// The last nanosecond before that second.
    before: i64,
    /// That second up to its point: `2026-01-02T03:04:05.`.
    text: [u8; 20],
}

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

impl Default for Dates {
    fn default() -> Self {
        Self { before: -1, text: *b"1970-01-01T00:00:00." }
    }
}

impl Dates {
    /// Octets of a time.
    pub const LEN: usize = 30;

    /// A time, without quotes.
    #[inline]
    pub fn write<'b>(&mut self, room: Room<'b>, time: Timestamp) -> Room<'b> {
        let passed = time.0.checked_sub(self.before).filter(|passed| (1..=SECOND).contains(passed));
        let fraction = passed.map_or_else(|| self.turn(time), |passed| passed - 1) as u32;
        let end = [b'0' + (fraction % 10) as u8, b'Z'];
        room.bytes(&self.text).octets(digits::eight(fraction / 10), 8).bytes(&end)
    }

    /// Goes on to another second; returns how many nanoseconds of it have passed.
    #[cold]
    fn turn(&mut self, time: Timestamp) -> i64 {
        let fraction = time.0.rem_euclid(SECOND);
        // No time is later than the last one: the first second of all, which has none before it, is not found again.
        self.before = time.0.checked_sub(fraction + 1).unwrap_or(i64::MAX);
        if let Some(text) = time.rfc3339().first_chunk() {
            self.text = *text;
        }
        fraction
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnMut(Room<'_>) -> Room<'_>) -> String {
        let mut out = Vec::new();
        append(&mut out, write);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_as_the_standard_library_writes_them() {
        let octets = [0, 9, 10, 99, 100, 255];
        let ports = [0, 9, 80, 255, 256, 8888, 25_599, 25_600, 65_535];
        let v4 = octets.iter().flat_map(|a| octets.map(|b| [*a, b, b, *a])).map(IpAddr::from);
        let v6 = ["::1", "fe80::1", "::ffff:1.2.3.4"].map(|text| text.parse().unwrap());
        for ip in v4.chain(v6) {
            for port in ports {
                let text = std::net::SocketAddr::new(ip, port).to_string();
                assert_eq!(written(|room| room.address(Endpoint { ip, port })), text);
            }
        }
    }

    #[test]
    fn times_are_as_timestamps_write_them() {
        let mut dates = Dates::default();
        for time in
            [0, 1, 999_999_999, 1_000_000_000, -1, -2, 1_767_317_649_120_456_789, i64::MAX, i64::MIN, 0]
        {
            let time = Timestamp(time);
            assert_eq!(written(|room| dates.write(room, time)), time.to_string());
        }
    }

    #[test]
    fn what_does_not_fit_is_written_again() {
        let long = "x\n".repeat(FIRST_ROOM);
        let expected = serde_json::to_string(&long).unwrap();
        let mut out = b"before".to_vec();
        append(&mut out, |room| room.string(&long).number(7));
        assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}7"));
        let mut scratch = Scratch::default();
        for text in ["short", &long, "short"] {
            let expected = serde_json::to_string(text).unwrap();
            assert_eq!(scratch.write(|room| room.string(text)), expected.as_bytes());
        }
    }

    #[test]
    fn every_length_of_text_is_looked_at_to_its_last_octet() {
        for len in 0..40 {
            for at in 0..len {
                for octet in ['\"', '\\', '\x1f', '\x00', '\x7f', '\u{a0}'] {
                    let mut text: Vec<char> = std::iter::repeat_n('~', len).collect();
                    text[at] = octet;
                    let text: String = text.into_iter().collect();
                    let written = written(|room| room.string(&text));
                    assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
                    assert!(!written.chars().any(is_unsafe));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,20}|[\\x00-\\u{2070}\"\\\\]{0,20}|.{0,20}") {
            let written = written(|room| room.string(&text));
            prop_assert!(!written.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn any_number_comes_back(value: u64, signed: i64, shift in 0..64) {
            let (value, signed) = (value >> shift, signed >> shift);
            let written = written(|room| room.number(value).text(",").signed(signed));
            prop_assert_eq!(written, format!("{value},{signed}"));
        }

        #[test]
        fn maps_with_repeated_names_are_valid(names in prop::collection::vec("[ab\"]", 0..6)) {
            let pairs: Vec<_> = names.iter().enumerate().map(|(i, n)| (n.clone(), i.to_string())).collect();
            let written = written(|room| room.object(&pairs));
            let expected: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
            let read: std::collections::BTreeMap<String, String> = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read, expected);
        }
    }
}
