//! The tables that indexes refer to (RFC 7541, section 2.3), the dynamic one also where its beginning is not known.

use std::collections::VecDeque;

use super::super::name::Name;
use super::{Field, Part};

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
    (Name::Other, "user-agent", ""),
    (Name::Other, "vary", ""),
    (Name::Other, "via", ""),
    (Name::Other, "www-authenticate", ""),
];

/// Size that every entry counts in addition to its octets (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Size of a table that nothing else was agreed on for (RFC 9113, section 6.5.2).
pub(in super::super) const DEFAULT_SIZE: usize = 4096;

/// The most that is kept of a table, whatever the peers agreed on: entries beyond are forgotten and then unknown.
pub(in super::super) const SIZE_LIMIT: usize = 64 * 1024;

/// The name and value of a static entry.
pub(in super::super) fn fixed(index: u32) -> Option<(Name, &'static str, &'static str)> {
    STATIC.get(usize::try_from(index).ok()?.checked_sub(1)?).copied()
}

/// How many entries are static: the dynamic table's indexes begin after them.
pub(in super::super) const STATIC_LEN: u32 = STATIC.len() as u32;

/// Identity of an entry that can't be read. The same entry keeps it while newer inserts push it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct EntryId {
    /// How often the state of the table was lost before.
    generation: u32,
    /// Distance behind the newest entry at the moment of the loss; negative for later entries that were forgotten.
    depth: i64,
}

/// A name kept in the table.
#[derive(Debug)]
enum Key {
    Fixed(&'static [u8]),
    /// So many first octets of the entry.
    Own(usize),
    /// The literal that was inserted took its name from an entry that can't be read.
    Unknown(EntryId),
}

/// An entry whose value is known.
#[derive(Debug)]
struct Entry {
    name: Name,
    key: Key,
    /// Octets in the table's text: the name, unless it stands elsewhere, and the value.
    length: usize,
}

impl Entry {
    /// What it counts, or the least that it can count where its name is unknown.
    fn size(&self) -> usize {
        let elsewhere = match self.key {
            Key::Fixed(name) => name.len(),
            Key::Own(_) | Key::Unknown(_) => 0,
        };
        self.length + elsewhere + ENTRY_OVERHEAD
    }
}

/// What an index of the dynamic table leads to.
pub(super) enum Found {
    /// An entry, now in the list of fields.
    Field(Field),
    /// An entry from before the loss.
    Unknown(EntryId),
    /// No entry can be there.
    Nothing,
}

/// The dynamic table of one direction.
///
/// Where its state was **lost** (the capture began in the middle, bytes are missing, a block could not be read) the
/// positions of all entries inserted since are still certain, because an index counts from the newest entry. Behind them
/// lie entries that can't be read. They are gone for certain once the newer entries alone fill the table, as far as the
/// table's size is known, or when a size update empties it.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first, each with the end of its octets, counted in all that was ever inserted.
    entries: VecDeque<(Entry, u64)>,
    /// The octets of the entries, the oldest first. Those of evicted entries stand before them for a while.
    text: Vec<u8>,
    /// Where `text` begins in all that was ever inserted.
    begin: u64,
    /// Sum of [`Entry::size`].
    size: usize,
    /// The encoder's maximum, or what it can be at most; `None` where nothing is known of it.
    max: Option<usize>,
    /// There may be entries behind the last one.
    lost: bool,
    generation: u32,
    /// How many generations there were.
    generations: u32,
    /// Entries inserted in this generation.
    inserted: i64,
}

impl Table {
    /// The empty table with which a connection begins.
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            text: Vec::new(),
            begin: 0,
            size: 0,
            max: Some(DEFAULT_SIZE),
            lost: false,
            generation: 0,
            generations: 0,
            inserted: 0,
        }
    }

    /// Forgets everything. The encoder's table can be at most `max` large from here on.
    pub(super) fn lose(&mut self, max: Option<usize>) {
        self.entries.clear();
        self.text.clear();
        self.begin = 0;
        self.size = 0;
        self.max = max;
        self.lost = true;
        self.generations = self.generations.wrapping_add(1);
        self.generation = self.generations;
        self.inserted = 0;
    }

    /// Forgets everything as [`Table::lose`] does and gives it back.
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

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The entry with that index of the dynamic table, 0 for the newest. Its text is appended to `octets`.
    pub(super) fn find(&self, index: u32, octets: &mut Vec<u8>) -> Found {
        let Some((entry, end)) = self.entries.get(index as usize) else {
            let most = self.max.unwrap_or(SIZE_LIMIT) / ENTRY_OVERHEAD;
            if !self.lost || index as usize >= most {
                return Found::Nothing;
            }
            return Found::Unknown(EntryId {
                generation: self.generation,
                depth: i64::from(index) - self.inserted,
            });
        };
        let start = octets.len();
        let end = (end - self.begin) as usize;
        octets.extend_from_slice(self.text.get(end - entry.length..end).unwrap_or_default());
        let (key, value) = match entry.key {
            Key::Fixed(name) => (Part::Fixed(name), start),
            Key::Own(length) => (Part::stored(start, start + length), start + length),
            Key::Unknown(id) => (Part::Unknown(id), start),
        };
        Found::Field(Field { name: entry.name, key, value: Part::stored(value, octets.len()) })
    }

    /// Inserts a field whose text stands in `octets` (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, field: &Field, octets: &[u8]) {
        let own = match field.key {
            Part::Stored(..) => field.key.text(octets).unwrap_or_default(),
            _ => &[],
        };
        let value = field.value.text(octets).unwrap_or_default();
        let entry = Entry {
            name: field.name,
            key: match field.key {
                Part::Fixed(name) => Key::Fixed(name),
                Part::Stored(..) => Key::Own(own.len()),
                Part::Unknown(id) => Key::Unknown(id),
            },
            length: own.len() + value.len(),
        };
        let size = entry.size();
        if self.max.is_some_and(|max| size > max) {
            // Too large for the table, it empties it and does not enter.
            self.resize(0, self.max);
            return;
        }
        self.text.extend_from_slice(own);
        self.text.extend_from_slice(value);
        self.entries.push_front((entry, self.begin + self.text.len() as u64));
        self.size += size;
        self.inserted += 1;
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
        // Below this limit what is dropped here the encoder has dropped too; above it, it is only forgotten.
        let faithful = self.max.is_some_and(|max| max <= SIZE_LIMIT);
        // The unknown entries are older than all others: none is left where one of these had to go, or where these leave
        // no room for another.
        let mut full = faithful && self.size + ENTRY_OVERHEAD > room;
        while self.size > room {
            let Some((entry, _)) = self.entries.pop_back() else { break };
            self.size -= entry.size();
            full = true;
        }
        self.compact();
        if full {
            self.lost = !faithful;
        }
    }
    /// Drops the octets of evicted entries once they are as many as those of entries can be.
    fn compact(&mut self) {
        let first = self.entries.back().map(|(entry, end)| end - entry.length as u64);
        let dead = first.map_or(self.text.len(), |first| (first - self.begin) as usize);
        if dead == self.text.len() {
            self.text.clear();
        } else if dead > self.text.len() / 2 && dead > DEFAULT_SIZE {
            self.text.drain(..dead);
        } else {
            return;
        }
        self.begin += dead as u64;
    }
}
