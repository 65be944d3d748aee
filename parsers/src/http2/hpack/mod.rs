//! HPACK, the header compression of HTTP/2 (RFC 7541), for a reader that may have come late.
//!
//! | part | file |
//! | --- | --- |
//! | integers, strings, representations | `wire.rs` |
//! | Huffman code | `huffman.rs` |
//! | static and dynamic table | `table.rs` |
//! | names that can't be read, found by exclusion | `exclusion.rs` |
//! | long strings that come again | `repeated.rs` |
//! | one field | `field.rs` |
//! | blocks to lists of fields | here |
//!
//! A [`Decoder`] is the state of one direction of a connection. It begins empty, or *lost*: then static entries and
//! literals are exact, what is inserted from here on is learned, and an index beyond that is
//! a [`Part::Unknown`]. A name or value that it returns is always the one that a decoder with the full state would return.

mod exclusion;
mod field;
mod huffman;
mod repeated;
mod table;
mod wire;

#[cfg(test)]
mod tests;

use nom::Offset as _;
use smallvec::SmallVec;

use super::known::{Name, Value};
use crate::error::{Error, Layer};
use crate::event::{Pairs, Shown};
use crate::protocol::Unread;
use exclusion::Exclusion;
use field::{Field, Part};
use repeated::Repeated;
use table::Table;

pub(super) use exclusion::Place;
pub(super) use table::{DEFAULT_SIZE, EntryId, OK, POST, SIZE_LIMIT, STATIC_LEN, fixed};
pub(super) use wire::{Coded, Fault, LiteralName, Representation, parse_representation, what_is_wrong};
use wire::{ShortLiteral, short_literal};

/// The most octets of names and values that are kept of one block; further fields only enter the table.
const LIST_LIMIT: u32 = 256 * 1024;

/// The most fields kept of one block.
const FIELDS_LIMIT: usize = 4096;

/// Fields that there is room for from the beginning, in a block and in a table: as many as most calls have, so that nothing
/// has to grow on most connections.
const USUAL_FIELDS: usize = 16;

/// No field of that name; more than [`FIELDS_LIMIT`].
const NONE: u16 = u16::MAX;

/// The fields of one header block, used again for the next.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    list: Vec<Field>,
    /// By known name: the place of the first field of that name.
    first: [u16; Name::KNOWN],
    /// What is neither in the block nor in a table.
    decoded: Vec<u8>,
    /// Sum of the fields' octets.
    octets: u32,
    /// How many fields have a name that can't be read.
    unknown: usize,
    /// One may hold trace context by its name.
    traced: bool,
    /// Fields were dropped because there were too many.
    shed: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            list: Vec::with_capacity(USUAL_FIELDS),
            first: [NONE; Name::KNOWN],
            decoded: Vec::new(),
            octets: 0,
            unknown: 0,
            traced: false,
            shed: false,
        }
    }
}

impl Fields {
    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Field>() + self.decoded.capacity()
    }

    /// Is as new.
    fn renew(&mut self) {
        self.clear();
        self.decoded = Vec::new();
        if self.list.capacity() != USUAL_FIELDS {
            self.list = Vec::with_capacity(USUAL_FIELDS);
        }
    }

    /// Makes room for the next block.
    fn clear(&mut self) {
        self.list.clear();
        self.first = [NONE; Name::KNOWN];
        self.decoded.clear();
        self.decoded.shrink_to(LIST_LIMIT as usize);
        self.octets = 0;
        self.unknown = 0;
        self.traced = false;
        self.shed = false;
    }

    /// Appends a field unless there is no room for it.
    fn push(&mut self, field: &Field) {
        let octets = self.octets + field.octets;
        if octets > LIST_LIMIT || self.list.len() >= FIELDS_LIMIT {
            self.shed = true;
            return;
        }
        self.octets = octets;
        if let Some(first) = self.first.get_mut(field.name as usize) {
            *first = (*first).min(self.list.len() as u16);
        } else {
            self.unknown += usize::from(field.name == Name::Unknown);
            self.traced |= field.name == Name::Context;
        }
        self.list.push(*field);
    }

    /// The field at that place has that name, which can't be read.
    fn name(&mut self, place: usize, name: Name) {
        let Some(field) = self.list.get_mut(place) else { return };
        if field.name == Name::Unknown {
            self.unknown -= 1;
        }
        field.name = name;
        if let Some(first) = self.first.get_mut(name as usize) {
            *first = (*first).min(place as u16);
        }
    }

    /// Appends a field that did not come from a header block.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let start = self.decoded.len();
        self.decoded.extend(name.iter().map(u8::to_ascii_lowercase));
        let at = self.decoded.len();
        let name = Name::of_any(self.decoded.get(start..).unwrap_or_default());
        self.decoded.extend_from_slice(value);
        let (key, value) = (Part::decoded(start, at), Part::decoded(at, self.decoded.len()));
        self.push(&Field::new(name, key, value));
    }

    /// The fields, of which none refers to a block or a table.
    pub(super) fn list(&self) -> List<'_> {
        List { fields: self, block: &[], table: (&[], 0) }
    }
}

/// The fields of one header block, with the texts to which they refer.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    fields: &'a Fields,
    block: &'a [u8],
    /// The text of the dynamic table, and where it begins in all that was ever inserted.
    table: (&'a [u8], u32),
}

impl<'a> List<'a> {
    fn text(self, part: Part) -> Option<&'a [u8]> {
        let (text, start, end) = match part {
            Part::Known(name) => return name.text(),
            Part::KnownValue(value) => return value.text(),
            Part::FixedName(index) => return fixed(index).map(|(_, name, _)| name.as_bytes()),
            Part::FixedValue(index) => return fixed(index).map(|(.., value)| value.as_bytes()),
            Part::Block(start, end) => (self.block, start, end),
            Part::Decoded(start, end) => (self.fields.decoded.as_slice(), start, end),
            Part::Table(start, end) => {
                let (text, begin) = self.table;
                (text, start.wrapping_sub(begin), end.wrapping_sub(begin))
            }
            Part::Unknown(_) => return None,
        };
        text.get(start as usize..end as usize)
    }

    fn shown(self, part: Part) -> Shown<'a> {
        match part {
            Part::Unknown(id) => Shown::Entry(id.number()),
            known => Shown::Text(self.text(known).unwrap_or_default()),
        }
    }

    /// The value of the first field of that name.
    pub(super) fn get(self, name: Name) -> Option<&'a [u8]> {
        let first = self.fields.first.get(name as usize)?;
        self.text(self.fields.list.get(usize::from(*first))?.value)
    }

    /// The known value of the first field of that name.
    pub(super) fn known(self, name: Name) -> Value {
        let first = self.fields.first.get(name as usize).copied().unwrap_or(NONE);
        match self.fields.list.get(usize::from(first)).map(|field| field.value) {
            Some(Part::KnownValue(value)) => value,
            _ => Value::Other,
        }
    }

    /// Whether the value of the first field of that name is that of the static entry with that index: a no says nothing.
    pub(super) fn is_fixed(self, name: Name, index: u32) -> bool {
        let first = self.fields.first.get(name as usize).copied().unwrap_or(NONE);
        let value = self.fields.list.get(usize::from(first)).map(|field| field.value);
        matches!(value, Some(Part::FixedValue(fixed)) if fixed == index)
    }

    /// Whether there is a field of that name, even if its value can't be read.
    pub(super) fn has(self, name: Name) -> bool {
        self.fields.first.get(name as usize).is_some_and(|first| *first != NONE)
    }

    /// The place of the first field of that name.
    fn place(self, name: Name) -> Option<usize> {
        self.fields.first.get(name as usize).filter(|first| **first != NONE).map(|first| usize::from(*first))
    }

    /// The value of the field at that place.
    fn value(self, place: usize) -> Option<&'a [u8]> {
        self.text(self.fields.list.get(place)?.value)
    }

    /// Whether the name of the first field of that name can't be read and was found by exclusion.
    pub(super) fn is_deduced(self, name: Name) -> bool {
        let field = self.place(name).and_then(|place| self.fields.list.get(place));
        field.is_some_and(|field| matches!(field.key, Part::Unknown(_)))
    }

    /// Whether there is a field that only a request can have.
    pub(super) fn is_of_request(self) -> bool {
        Name::OF_REQUEST.iter().any(|name| self.has(*name))
    }

    /// Whether there is no field at all.
    pub(super) fn is_empty(self) -> bool {
        self.fields.list.is_empty()
    }

    /// Whether fields were dropped because there were too many.
    pub(super) fn is_shed(self) -> bool {
        self.fields.shed
    }

    /// Whether a field may hold trace context by its name.
    pub(super) fn may_hold_context(self) -> bool {
        self.fields.traced
    }

    /// Whether a field can be said to be absent: no entry of unknown name, nothing dropped.
    pub(super) fn is_complete(self) -> bool {
        !self.fields.shed && self.fields.unknown == 0
    }

    /// How many fields have a name that can't be read.
    pub(super) fn unknown(self) -> usize {
        self.fields.unknown
    }

    /// The first `most` entries of which neither name nor value can be read, in order. `None` if a value of unknown name
    /// stands among them, because nothing can then be said of what they are.
    pub(super) fn unread(self, most: usize) -> Option<SmallVec<[EntryId; 4]>> {
        let mut ids = SmallVec::new();
        for field in self.fields.list.iter().filter(|field| field.name == Name::Unknown) {
            if ids.len() == most {
                break;
            }
            let Part::Unknown(id) = field.value else { return None };
            ids.push(id);
        }
        Some(ids)
    }

    /// About how many bytes of memory [`List::keep`] takes.
    pub(super) fn memory(self) -> usize {
        self.fields.list.len() * size_of::<Field>() + self.fields.octets as usize
    }

    /// The fields with texts of their own, to outlive block and table.
    pub(super) fn keep(self) -> Fields {
        let mut kept = self.fields.clone();
        let mut own = |part: &mut Part| {
            if let (Part::Block(..) | Part::Table(..), Some(text)) = (*part, self.text(*part)) {
                let start = kept.decoded.len();
                kept.decoded.extend_from_slice(text);
                *part = Part::decoded(start, kept.decoded.len());
            }
        };
        for field in &mut kept.list {
            own(&mut field.key);
            own(&mut field.value);
        }
        kept
    }
}

impl Pairs for List<'_> {
    /// Fields whose name or value is unknown are left out.
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for field in &self.fields.list {
            if let (Some(key), Some(value)) = (self.text(field.key), self.text(field.value)) {
                each(key, value);
            }
        }
    }

    fn each_field(&self, each: &mut dyn FnMut(Shown<'_>, Shown<'_>)) {
        for field in &self.fields.list {
            each(self.shown(field.key), self.shown(field.value));
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
    /// The fields of the block that was read last.
    fields: Fields,
    /// What is known of names that can't be read, once there were any.
    exclusion: Option<Box<Exclusion>>,
    /// The long string that was decoded last.
    repeated: Repeated,
}

impl Decoder {
    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        let exclusion = self.exclusion.as_ref().map_or(0, |exclusion| exclusion.memory());
        self.table.memory() + self.fields.memory() + exclusion + self.repeated.memory()
    }

    /// Frees what no later block needs. The fields of the last one must not be used any more.
    pub(super) fn shrink(&mut self) {
        self.fields.clear();
        (self.fields.list, self.fields.decoded) = (Vec::new(), Vec::new());
        self.table.shrink();
        self.repeated = Repeated::default();
    }

    /// The state at the beginning of a connection.
    pub(super) fn new() -> Self {
        Self::with(Table::new(), Some(DEFAULT_SIZE), None)
    }

    fn with(table: Table, limit: Option<usize>, exclusion: Option<Box<Exclusion>>) -> Self {
        Self { table, limit, fields: Fields::default(), exclusion, repeated: Repeated::default() }
    }

    /// Is as new.
    pub(super) fn renew(&mut self) {
        let Self { table, limit, fields, exclusion, repeated } = self;
        table.renew();
        fields.renew();
        (*limit, *exclusion, *repeated) = (Some(DEFAULT_SIZE), None, Repeated::default());
    }

    /// The state in the middle of a connection of which nothing is known.
    pub(super) fn lost() -> Self {
        let mut decoder = Self { limit: None, ..Self::new() };
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

    /// Header blocks may have been missed: returns the state as it was, and is lost itself.
    pub(super) fn fork(&mut self) -> Self {
        Self::with(self.table.fork(self.limit), self.limit, self.exclusion.take())
    }

    /// None were missed: `before`, which came from [`Decoder::fork`], is the state, and what it read last was read.
    pub(super) fn restore(&mut self, before: Self) {
        self.table.restore(before.table);
        self.fields = before.fields;
        self.exclusion = before.exclusion;
    }

    /// A header block was missed: the table is unknown from here on. The fields that were read last stay.
    pub(super) fn lose(&mut self) {
        self.table.lose(self.limit);
        if let Some(exclusion) = &mut self.exclusion {
            exclusion.forget();
        }
    }

    /// Finds names that can't be read in `block`, which must be a whole block of the callee, and the one that was decoded last.
    #[inline]
    pub(super) fn find_names(&mut self, block: &[u8], place: Place) {
        if self.fields.unknown > 0 && !self.fields.shed {
            self.exclude(block, place);
        }
    }

    /// The same where there are such names. Apart, so that the usual block does not pay for its registers.
    #[cold]
    fn exclude(&mut self, block: &[u8], place: Place) {
        let list = List { fields: &self.fields, block, table: self.table.text() };
        let exclusion = self.exclusion.get_or_insert_default();
        for (at, name) in exclusion.judge(list, place) {
            self.fields.name(at, name);
        }
    }

    /// What of the table can't be read.
    pub(super) fn unread(&self) -> Option<Unread> {
        self.table.unread()
    }

    /// The fields of `block`, which must be the one that was decoded last.
    pub(super) fn list<'a>(&'a self, block: &'a [u8]) -> List<'a> {
        List { fields: &self.fields, block, table: self.table.text() }
    }

    /// Reads a whole header block (RFC 7541, section 3.1). On a fault its fields are those before it, and the state is lost.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<(), Error> {
        self.fields.clear();
        self.table.compact();
        let read = self.read(block);
        if read.is_err() {
            self.lose();
        }
        read.map_err(|error| error.placed(Layer::Header, block))
    }

    fn read(&mut self, block: &[u8]) -> Result<(), Error> {
        let mut rest = block;
        let mut begun = false;
        while let Some((octet, after)) = rest.split_first() {
            // Two thirds of all fields are an index of one octet. Without the parser, which is for all representations,
            // such a field costs 45 instructions instead of 120.
            if let 0x81..=0xfe = octet
                && let Some(field) = self.table.get(u32::from(octet & 0x7f))
            {
                self.fields.push(field);
                begun = true;
                rest = after;
                continue;
            }
            if let Some((ShortLiteral { insert, name, value }, after)) = short_literal(rest) {
                self.literal(block, insert, name, value).map_err(|what| Error::at(rest, what))?;
                begun = true;
                rest = after;
                continue;
            }
            (rest, begun) = self.read_any(block, rest, begun)?;
        }
        Ok(())
    }

    /// Reads a field of any kind at the beginning of `rest`. Returns what follows it, and whether a field was read by then.
    #[cold]
    fn read_any<'b>(
        &mut self,
        block: &'b [u8],
        rest: &'b [u8],
        begun: bool,
    ) -> Result<(&'b [u8], bool), Error> {
        let (after, representation) = parse_representation(rest).map_err(|error| what_is_wrong(&error))?;
        self.take(block, &representation, begun).map_err(|what| Error::at(rest, what))?;
        Ok((after, begun || !matches!(representation, Representation::Resize(_))))
    }

    /// Follows a representation of `block`. `begun`: it is not the first one, size updates apart.
    fn take(&mut self, block: &[u8], representation: &Representation<'_>, begun: bool) -> Result<(), Fault> {
        match *representation {
            Representation::Resize(_) if begun => return Err("table size update after a field"),
            Representation::Resize(size) if self.limit.is_some_and(|limit| size as usize > limit) => {
                return Err("table size over what the peer allows");
            }
            Representation::Resize(size) => self.table.update(size as usize),
            Representation::Indexed(index) => match self.table.get(index) {
                Some(field) => self.fields.push(field),
                None => self.fields.push(&self.table.find_unknown(index)?),
            },
            Representation::Literal { insert, name, value, .. } => {
                self.literal(block, insert, name, value)?;
            }
        }
        Ok(())
    }

    /// Takes a literal field.
    #[expect(clippy::inline_always, reason = "its arguments then stay in registers where it is short")]
    #[inline(always)]
    fn literal(
        &mut self,
        block: &[u8],
        insert: bool,
        name: LiteralName<'_>,
        value: Coded<'_>,
    ) -> Result<(), Fault> {
        if insert {
            return self.insert(name, value);
        }
        let start = self.fields.decoded.len();
        let (name, key) = match name {
            LiteralName::Index(index) => self.name(index)?,
            LiteralName::Text(coded) => match coded.name() {
                Name::Other => {
                    let key = self.part(block, coded)?;
                    let decoded = self.fields.decoded.get(start..).unwrap_or_default();
                    (Name::of_other(if coded.huffman { decoded } else { coded.octets }), key)
                }
                name => (name, Part::Known(name)),
            },
        };
        let value = self.part(block, value)?;
        self.fields.push(&Field::new(name, key, value));
        if self.fields.shed {
            self.fields.decoded.truncate(start);
        }
        Ok(())
    }

    /// A string of `block`, decoded if it is not plain.
    fn part(&mut self, block: &[u8], coded: Coded<'_>) -> Result<Part, Fault> {
        if !coded.huffman {
            let start = block.offset(coded.octets);
            return Ok(Part::Block(start as u32, (start + coded.octets.len()) as u32));
        }
        let start = self.fields.decoded.len();
        // At once, and not octet by octet: all codes have five bits or more.
        self.fields.decoded.reserve(2 * coded.octets.len());
        self.repeated.decode(coded, &mut self.fields.decoded)?;
        Ok(Part::decoded(start, self.fields.decoded.len()))
    }

    /// Takes a literal field that enters the dynamic table. It is decoded to where it stays.
    #[inline]
    fn insert(&mut self, name: LiteralName<'_>, value: Coded<'_>) -> Result<(), Fault> {
        let start = self.table.end();
        let (name, key) = match name {
            LiteralName::Text(coded) => match coded.name() {
                Name::Other => {
                    let key = self.table.append(coded, &mut self.repeated)?;
                    (self.list(&[]).text(key).map_or(Name::Other, Name::of_other), key)
                }
                name => (name, Part::Known(name)),
            },
            LiteralName::Index(index) => {
                let (name, key) = self.name(index)?;
                // The entry that has the name may have to go for this one.
                (name, self.table.again(key))
            }
        };
        let value = match value.value() {
            Value::Other => self.table.append(value, &mut self.repeated)?,
            known => Part::KnownValue(known),
        };
        let field = Field { name, key, value, octets: self.table.end().wrapping_sub(start) };
        self.fields.push(&field);
        self.table.insert(&field, start);
        Ok(())
    }

    /// The name of the entry with that index.
    fn name(&self, index: u32) -> Result<(Name, Part), Fault> {
        match self.table.get(index) {
            Some(field) => Ok((field.name, field.key)),
            None => self.table.find_unknown(index).map(|field| (field.name, field.key)),
        }
    }
}
