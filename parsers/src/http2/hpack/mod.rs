//! HPACK, the header compression of HTTP/2 (RFC 7541), for a reader that may have come late.
//!
//! | part | file |
//! | --- | --- |
//! | integers, strings, representations | `wire.rs` |
//! | Huffman code | `huffman.rs` |
//! | static and dynamic table | `table.rs` |
//! | blocks to lists of fields | here |
//!
//! A [`Decoder`] is the state of one direction of a connection. It begins empty, or *lost*: then static entries and
//! literals are exact, what is inserted from here on is learned, and an index that leads behind it gives
//! [`Part::Unknown`]. It never gives a name or value that a decoder with the full state would not give.

mod huffman;
mod table;
mod wire;

#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use super::name::Name;
use crate::message::Pairs;
use table::{Found, Table};

pub(super) use table::{DEFAULT_SIZE, EntryId, SIZE_LIMIT, STATIC_LEN, fixed};
pub(super) use wire::{Coded, Fault, LiteralName, Representation, parse_representation};

/// The most octets of names and values that are kept of one block; further fields only enter the table.
const LIST_LIMIT: usize = 256 * 1024;

/// The most fields kept of one block.
const FIELDS_LIMIT: usize = 4096;

/// A name or value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// From the static table.
    Fixed(&'static [u8]),
    /// In the octets of the list: start and end.
    Stored(u32, u32),
    /// From an entry that can't be read.
    Unknown(EntryId),
}

impl Part {
    fn stored(start: usize, end: usize) -> Self {
        Self::Stored(start as u32, end as u32)
    }

    fn text(self, octets: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Stored(start, end) => octets.get(start as usize..end as usize),
            Self::Unknown(_) => None,
        }
    }
}

/// A field of a [`List`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// What it is for us.
    pub(super) name: Name,
    /// Its name as sent.
    key: Part,
    value: Part,
}

/// The fields of one header block, their text in one buffer that is used again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    octets: Vec<u8>,
    fields: Vec<Field>,
    /// Fields were dropped because there were too many.
    pub(super) shed: bool,
}

impl List {
    /// Makes room for the next block.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.fields.clear();
        self.shed = false;
    }

    /// The value of the first field of that name.
    pub(super) fn get(&self, name: Name) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.name == name)?.value.text(&self.octets)
    }

    /// The fields' names in order.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        self.fields.iter().map(|field| field.name)
    }

    /// Whether a field can be said to be absent: no entry of unknown name, nothing dropped.
    pub(super) fn is_complete(&self) -> bool {
        !self.shed && self.unknown() == 0
    }

    /// How many fields have a name that can't be read.
    pub(super) fn unknown(&self) -> usize {
        self.fields.iter().filter(|field| field.name == Name::Unknown).count()
    }

    /// The first `most` entries of which neither name nor value can be read, in order. `None` if a value of unknown name
    /// stands among them, because nothing can then be said of what they are.
    pub(super) fn unread(&self, most: usize) -> Option<SmallVec<[EntryId; 4]>> {
        let mut ids = SmallVec::new();
        for field in self.fields.iter().filter(|field| field.name == Name::Unknown) {
            if ids.len() == most {
                break;
            }
            let Part::Unknown(id) = field.value else { return None };
            ids.push(id);
        }
        Some(ids)
    }

    /// Appends a field that did not come from a header block.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let start = self.octets.len();
        self.octets.extend(name.iter().map(u8::to_ascii_lowercase));
        let key = Part::stored(start, self.octets.len());
        let name = Name::of(self.octets.get(start..).unwrap_or_default());
        let at = self.octets.len();
        self.octets.extend_from_slice(value);
        self.push(Field { name, key, value: Part::stored(at, self.octets.len()) }, start);
    }

    /// Appends a field unless there is no room for it; what was appended to the octets from `start` on goes with it.
    fn push(&mut self, field: Field, start: usize) {
        if self.octets.len() > LIST_LIMIT || self.fields.len() >= FIELDS_LIMIT {
            self.octets.truncate(start);
            self.shed = true;
            return;
        }
        self.fields.push(field);
    }
}

impl Pairs for List {
    /// Fields whose name or value is unknown are left out.
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for field in &self.fields {
            if let (Some(key), Some(value)) = (field.key.text(&self.octets), field.value.text(&self.octets)) {
                each(key, value);
            }
        }
    }
}

/// The decoding state of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    /// The largest table that the receiving peer ever allowed; `None` where that is not known.
    ///
    /// A peer may lower its limit, and the other then has until its acknowledgement to follow. Since the encoder always
    /// writes the size that it uses into the block, the moment of the acknowledgement does not matter here: the limit only
    /// says which sizes are impossible.
    limit: Option<usize>,
}

impl Decoder {
    /// The state at the beginning of a connection.
    pub(super) fn new() -> Self {
        Self { table: Table::new(), limit: Some(DEFAULT_SIZE) }
    }

    /// The state in the middle of a connection of which nothing is known.
    pub(super) fn lost() -> Self {
        let mut decoder = Self { table: Table::new(), limit: None };
        decoder.lose();
        decoder
    }

    /// The receiving peer allows a table of `size` (`SETTINGS_HEADER_TABLE_SIZE`).
    pub(super) fn allow(&mut self, size: u32) {
        if let Some(limit) = &mut self.limit {
            *limit = (*limit).max(size as usize);
        }
    }

    /// What the receiving peer allows is not known any more.
    pub(super) fn allow_anything(&mut self) {
        self.limit = None;
    }

    /// What `other` is allowed is allowed here too.
    pub(super) fn allow_as(&mut self, other: &Self) {
        self.limit = other.limit;
    }

    /// Header blocks may have been missed: gives the state as it was, and is lost itself.
    pub(super) fn fork(&mut self) -> Self {
        Self { table: self.table.fork(self.limit), limit: self.limit }
    }

    /// None were missed: `before`, which came from [`Decoder::fork`], is the state.
    pub(super) fn restore(&mut self, before: Self) {
        self.table.restore(before.table);
    }

    /// A header block was missed: the table is unknown from here on.
    pub(super) fn lose(&mut self) {
        self.table.lose(self.limit);
    }

    /// Reads a whole header block into `list` (RFC 7541, section 3.1). On a fault the list has the fields before it, and
    /// the state is lost.
    pub(super) fn decode(&mut self, block: &[u8], list: &mut List) -> Result<(), Fault> {
        list.clear();
        let read = self.read(block, list);
        if read.is_err() {
            self.lose();
        }
        read
    }

    fn read(&mut self, mut block: &[u8], list: &mut List) -> Result<(), Fault> {
        let mut begun = false;
        while !block.is_empty() {
            let representation = parse_representation(&mut block)?;
            if let Representation::Resize(size) = representation {
                if begun {
                    return Err("table size update after a field");
                }
                if self.limit.is_some_and(|limit| size as usize > limit) {
                    return Err("table size over what the peer allows");
                }
                self.table.update(size as usize);
                continue;
            }
            begun = true;
            let start = list.octets.len();
            let (field, insert) = self.field(representation, &mut list.octets)?;
            if insert {
                self.table.insert(&field, &list.octets);
            }
            list.push(field, start);
        }
        Ok(())
    }

    /// The field that a representation stands for, and whether it enters the table.
    fn field(
        &self,
        representation: Representation<'_>,
        octets: &mut Vec<u8>,
    ) -> Result<(Field, bool), Fault> {
        match representation {
            Representation::Indexed(index) => Ok((self.entry(index, octets)?, false)),
            Representation::Literal { insert, name, value, .. } => {
                let start = octets.len();
                let (name, key) = match name {
                    LiteralName::Index(index) => {
                        let entry = self.entry(index, octets)?;
                        if let Part::Stored(_, end) = entry.key {
                            octets.truncate(end as usize);
                        } else {
                            octets.truncate(start);
                        }
                        (entry.name, entry.key)
                    }
                    LiteralName::Text(text) => {
                        text.decode(octets)?;
                        let name = Name::of(octets.get(start..).unwrap_or_default());
                        (name, Part::stored(start, octets.len()))
                    }
                };
                let start = octets.len();
                value.decode(octets)?;
                Ok((Field { name, key, value: Part::stored(start, octets.len()) }, insert))
            }
            Representation::Resize(_) => Err("table size update after a field"),
        }
    }

    /// The entry with that index (RFC 7541, section 2.3.3).
    fn entry(&self, index: u32, octets: &mut Vec<u8>) -> Result<Field, Fault> {
        if let Some((name, key, value)) = fixed(index) {
            let (key, value) = (Part::Fixed(key.as_bytes()), Part::Fixed(value.as_bytes()));
            return Ok(Field { name, key, value });
        }
        match self.table.find(index.wrapping_sub(STATIC_LEN + 1), octets) {
            Found::Field(field) => Ok(field),
            Found::Unknown(id) => {
                Ok(Field { name: Name::Unknown, key: Part::Unknown(id), value: Part::Unknown(id) })
            }
            Found::Nothing => Err("index beyond the table"),
        }
    }
}
