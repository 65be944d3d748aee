//! The tables that indexes refer to (RFC 7541, section 2.3), the dynamic one also where its beginning is not known.

use std::collections::VecDeque;

use super::super::known::Name;
use super::{Coded, Fault, Field, Part, Repeated, USUAL_FIELDS};
use crate::protocol::Unread;

/// RFC 7541, appendix A; index 1 is the first.
#[rustfmt::skip]
const STATIC: [(Name, &str, &str); 61] = [
    (Name::Authority, ":authority", ""),
    (Name::Method, ":method", "GET"),
    (Name::Method, ":method", "POST"),
    (Name::Path, ":path", "/"),
    (Name::Path, ":path", "/index.html"),
    (Name::Scheme, ":scheme", "http"),
    (Name::Scheme, ":scheme", "https"),
    (Name::Status, ":status", "200"),
    (Name::Status, ":status", "204"),
    (Name::Status, ":status", "206"),
    (Name::Status, ":status", "304"),
    (Name::Status, ":status", "400"),
    (Name::Status, ":status", "404"),
    (Name::Status, ":status", "500"),
    (Name::Other, "accept-charset", ""),
    (Name::Other, "accept-encoding", "gzip, deflate"),
    (Name::Other, "accept-language", ""),
    (Name::Other, "accept-ranges", ""),
    (Name::Other, "accept", ""),
    (Name::Other, "access-control-allow-origin", ""),
    (Name::Other, "age", ""),
    (Name::Other, "allow", ""),
    (Name::Other, "authorization", ""),
    (Name::Other, "cache-control", ""),
    (Name::Other, "content-disposition", ""),
    (Name::Other, "content-encoding", ""),
    (Name::Other, "content-language", ""),
    (Name::Other, "content-length", ""),
    (Name::Other, "content-location", ""),
    (Name::Other, "content-range", ""),
    (Name::ContentType, "content-type", ""),
    (Name::Other, "cookie", ""),
    (Name::Other, "date", ""),
    (Name::Other, "etag", ""),
    (Name::Other, "expect", ""),
    (Name::Other, "expires", ""),
    (Name::Other, "from", ""),
    (Name::Other, "host", ""),
    (Name::Other, "if-match", ""),
    (Name::Other, "if-modified-since", ""),
    (Name::Other, "if-none-match", ""),
    (Name::Other, "if-range", ""),
    (Name::Other, "if-unmodified-since", ""),
    (Name::Other, "last-modified", ""),
    (Name::Other, "link", ""),
    (Name::Other, "location", ""),
    (Name::Other, "max-forwards", ""),
    (Name::Other, "proxy-authenticate", ""),
    (Name::Other, "proxy-authorization", ""),
    (Name::Other, "range", ""),
    (Name::Other, "referer", ""),
    (Name::Other, "refresh", ""),
    (Name::Other, "retry-after", ""),
    (Name::Other, "server", ""),
    (Name::Other, "set-cookie", ""),
    (Name::Other, "strict-transport-security", ""),
    (Name::Other, "transfer-encoding", ""),
    (Name::UserAgent, "user-agent", ""),
    (Name::Other, "vary", ""),
    (Name::Other, "via", ""),
    (Name::Other, "www-authenticate", ""),
];

/// Indexes of the entries that nearly every call of gRPC has.
pub(in super::super) const POST: u32 = 3;
pub(in super::super) const OK: u32 = 8;

/// Size that every entry counts in addition to its octets (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Octets that there is room for from the beginning.
const USUAL_TEXT: usize = 256;

/// Size of a table that nothing else was agreed on for (RFC 9113, section 6.5.2).
pub(in super::super) const DEFAULT_SIZE: usize = 4096;

/// The most that is kept of a table, whatever the peers agreed on: entries beyond are forgotten and then unknown.
pub(in super::super) const SIZE_LIMIT: usize = 64 * 1024;

/// The name and value of a static entry.
pub(in super::super) fn fixed(index: u32) -> Option<(Name, &'static str, &'static str)> {
    STATIC.get(usize::try_from(index).ok()?.checked_sub(1)?).copied()
}

/// The static entries as fields.
static FIXED_FIELDS: [Field; STATIC.len()] = fixed_fields();

#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler only, where a wrong index is an error of compilation"
)]
const fn fixed_fields() -> [Field; STATIC.len()] {
    let none = Field { name: Name::Other, key: Part::FixedName(0), value: Part::FixedValue(0), octets: 0 };
    let mut fields = [none; STATIC.len()];
    let mut at = 0;
    while at < STATIC.len() {
        let index = at as u32 + 1;
        fields[at] = Field {
            name: STATIC[at].0,
            key: Part::FixedName(index),
            value: Part::FixedValue(index),
            octets: 0,
        };
        at += 1;
    }
    fields
}

/// How many entries are static: the dynamic table's indexes begin after them.
pub(in super::super) const STATIC_LEN: u32 = STATIC.len() as u32;

/// Identity of an entry that can't be read. The same entry keeps it while newer inserts push it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct EntryId {
    /// How often the state of the table was lost before.
    generation: u32,
    /// Distance behind the newest entry at the moment of the loss; negative for later entries that were forgotten.
    depth: i32,
}

impl EntryId {
    /// The identity as one number: higher ones of a generation stand deeper in the table.
    pub(super) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.depth.cast_unsigned() ^ (1 << 31))
    }
}

/// An entry whose value is known.
#[derive(Clone, Copy, Debug)]
struct Entry {
    field: Field,
    /// Where its octets begin.
    start: u32,
    /// What it counts (RFC 7541, section 4.1), or the least that it can count where its name is unknown.
    size: u32,
}

/// Octets of a part that are not in the table's text.
fn octets_elsewhere(part: Part) -> usize {
    match part {
        Part::Known(name) => name.text().map_or(0, <[u8]>::len),
        Part::KnownValue(value) => value.text().map_or(0, <[u8]>::len),
        Part::FixedName(index) => fixed(index).map_or(0, |(_, name, _)| name.len()),
        _ => 0,
    }
}

/// The dynamic table of one direction.
///
/// Where its state was **lost** (the capture began in the middle, bytes are missing, a block could not be read) the
/// positions of all entries inserted since are still certain, because an index counts from the newest entry. Behind them
/// lie entries that can't be read. They are gone for certain once the newer entries alone fill the table, as far as the
/// table's size is known, or when a size update empties it.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// The octets of the entries, the oldest first. Those of evicted entries stay before them until the next block, so that
    /// the fields of a block can refer to them.
    text: Vec<u8>,
    /// Where `text` begins in all that was ever inserted, modulo 2^32.
    begin: u32,
    /// Sum of the entries' sizes.
    size: usize,
    /// The encoder's maximum, or what it can be at most; `None` where nothing is known of it.
    max: Option<usize>,
    /// There may be entries behind the last one.
    lost: bool,
    generation: u32,
    /// How many generations there were.
    generations: u32,
    /// Entries inserted in this generation.
    inserted: i32,
}

impl Table {
    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.text.capacity()
    }

    /// The empty table with which a connection begins.
    pub(super) fn new() -> Self {
        let (entries, text) = (VecDeque::with_capacity(USUAL_FIELDS), Vec::with_capacity(USUAL_TEXT));
        Self { entries, text, ..Self::EMPTY }
    }

    /// The same without room.
    const EMPTY: Self = Self {
        entries: VecDeque::new(),
        text: Vec::new(),
        begin: 0,
        size: 0,
        max: Some(DEFAULT_SIZE),
        lost: false,
        generation: 0,
        generations: 0,
        inserted: 0,
    };

    /// Is as new.
    pub(super) fn renew(&mut self) {
        let (mut entries, mut text) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.text));
        entries.clear();
        text.clear();
        if entries.capacity() != USUAL_FIELDS {
            entries = VecDeque::with_capacity(USUAL_FIELDS);
        }
        if text.capacity() != USUAL_TEXT {
            text = Vec::with_capacity(USUAL_TEXT);
        }
        *self = Self { entries, text, ..Self::EMPTY };
    }

    /// Forgets everything but the octets to which the last block refers. The encoder's table can be at most `max` large from
    /// here on.
    pub(super) fn lose(&mut self, max: Option<usize>) {
        self.entries.clear();
        self.size = 0;
        self.max = max;
        self.lost = true;
        self.begin_generation();
    }

    /// Entries that can't be read are other ones than before.
    fn begin_generation(&mut self) {
        self.generations = self.generations.wrapping_add(1);
        self.generation = self.generations;
        self.inserted = 0;
    }

    /// Forgets everything as [`Table::lose`] does and returns the table as it was.
    pub(super) fn fork(&mut self, max: Option<usize>) -> Self {
        let before = std::mem::replace(self, Self::new());
        self.generations = before.generations;
        self.lose(max);
        before
    }

    /// Is `before` again, a table that came from [`Table::fork`]. Entries that could not be read meanwhile keep numbers
    /// of their own.
    pub(super) fn restore(&mut self, before: Self) {
        *self = Self { generations: self.generations, ..before };
    }

    /// How far it is from being known again, if it is lost.
    pub(super) fn unread(&self) -> Option<Unread> {
        let size = self.max.unwrap_or(DEFAULT_SIZE) as u64;
        self.lost.then_some(Unread { entered: self.size as u64, size })
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The octets to which fields refer, and where they begin in all that was ever inserted.
    pub(super) fn text(&self) -> (&[u8], u32) {
        (&self.text, self.begin)
    }

    /// Where the next octets go.
    pub(super) fn end(&self) -> u32 {
        self.begin.wrapping_add(self.text.len() as u32)
    }

    /// Appends the octets of a string, for an entry that is about to be inserted.
    pub(super) fn append(&mut self, coded: Coded<'_>, repeated: &mut Repeated) -> Result<Part, Fault> {
        let start = self.end();
        repeated.decode(coded, &mut self.text)?;
        Ok(Part::Table(start, self.end()))
    }

    /// Appends the name of an entry anew if it stands here, for another entry that is about to be inserted.
    pub(super) fn again(&mut self, key: Part) -> Part {
        let Part::Table(start, end) = key else { return key };
        let again = self.end();
        let (from, to) = (start.wrapping_sub(self.begin), end.wrapping_sub(self.begin));
        if from <= to && to as usize <= self.text.len() {
            self.text.extend_from_within(from as usize..to as usize);
        }
        Part::Table(again, self.end())
    }

    /// The entry with that index (RFC 7541, section 2.3.3) if it can be read.
    pub(super) fn get(&self, index: u32) -> Option<&Field> {
        match index.checked_sub(STATIC_LEN + 1) {
            Some(index) => self.entries.get(index as usize).map(|entry| &entry.field),
            None => FIXED_FIELDS.get((index as usize).wrapping_sub(1)),
        }
    }

    /// The entry with that index if it can't be read. `Err` if no entry can be there.
    #[cold]
    pub(super) fn find_unknown(&self, index: u32) -> Result<Field, Fault> {
        let most = self.max.unwrap_or(SIZE_LIMIT) / ENTRY_OVERHEAD;
        match index.checked_sub(STATIC_LEN + 1) {
            Some(index) if self.lost && (index as usize) < most => {
                let depth = (index as i32).wrapping_sub(self.inserted);
                Ok(Field::unknown(EntryId { generation: self.generation, depth }))
            }
            _ => Err("index beyond the table"),
        }
    }

    /// Inserts a field whose octets were appended last, from `start` on (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, field: &Field, start: u32) {
        let elsewhere = octets_elsewhere(field.key) + octets_elsewhere(field.value);
        let size = field.octets as usize + elsewhere + ENTRY_OVERHEAD;
        if self.max.is_some_and(|max| size > max) {
            // Too large for the table, it empties it and does not enter.
            self.resize(0, self.max);
            return;
        }
        self.entries.push_front(Entry { field: *field, start, size: size as u32 });
        self.size += size;
        match self.inserted.checked_add(1) {
            Some(inserted) => self.inserted = inserted,
            None => self.begin_generation(),
        }
        self.evict();
    }

    /// Follows a size update (RFC 7541, section 6.3).
    pub(super) fn update(&mut self, max: usize) {
        self.resize(max, Some(max));
    }

    /// Empties the table down to `keep` and lets it be `max` large from there.
    fn resize(&mut self, keep: usize, max: Option<usize>) {
        self.max = Some(keep);
        self.evict();
        self.max = max;
    }

    /// Drops the entries for which there is no room.
    fn evict(&mut self) {
        let room = self.max.unwrap_or(SIZE_LIMIT).min(SIZE_LIMIT);
        if self.size + ENTRY_OVERHEAD <= room {
            return;
        }
        // Below this limit what is dropped here the encoder has dropped too; above it, it is only forgotten.
        let faithful = self.max.is_some_and(|max| max <= SIZE_LIMIT);
        // The unknown entries are older than all others: none is left where one of these had to go, or where these leave
        // no room for another.
        let mut full = faithful && self.size + ENTRY_OVERHEAD > room;
        while self.size > room {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size as usize;
            full = true;
        }
        if full {
            self.lost = !faithful;
        }
    }

    /// Octets of evicted entries, before those of all others.
    fn dead(&self) -> usize {
        let first = self.entries.back().map_or(self.end(), |entry| entry.start);
        first.wrapping_sub(self.begin) as usize
    }

    /// Keeps memory for nothing but the entries. Fields read before must not be used any more.
    ///
    /// Both are copied: memory cut off in place is too small for the next connection, and the heap grows.
    pub(super) fn shrink(&mut self) {
        let dead = self.dead();
        self.text = self.text.get(dead..).unwrap_or_default().to_vec();
        self.begin = self.begin.wrapping_add(dead as u32);
        self.entries = self.entries.iter().copied().collect();
    }

    /// Drops the octets of evicted entries once they are as many as those of entries can be. Fields read before must not be
    /// used any more.
    pub(super) fn compact(&mut self) {
        let dead = self.dead();
        if dead == self.text.len() {
            self.text.clear();
        } else if dead > self.text.len() / 2 && dead > DEFAULT_SIZE {
            self.text.drain(..dead);
        } else {
            return;
        }
        self.begin = self.begin.wrapping_add(dead as u32);
        self.text.shrink_to(2 * SIZE_LIMIT);
    }
}
