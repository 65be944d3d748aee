//! A field of a header block or table, and where its texts are.

use super::super::known::{Name, Value};
use super::table::EntryId;

/// Where the text of a name or value is. Nothing is copied for a field that a table has or that is written out plainly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A known name.
    Known(Name),
    /// A known value.
    KnownValue(Value),
    /// The name of the static entry with that index.
    FixedName(u32),
    /// The value of the static entry with that index.
    FixedValue(u32),
    /// In the header block: start and end.
    Block(u32, u32),
    /// In what was decoded for this block: start and end.
    Decoded(u32, u32),
    /// In the text of the dynamic table: start and end, counted in all that was ever inserted, modulo 2^32.
    Table(u32, u32),
    /// In an entry that can't be read.
    Unknown(EntryId),
}

impl Part {
    pub(super) fn decoded(start: usize, end: usize) -> Self {
        Self::Decoded(start as u32, end as u32)
    }

    /// Octets that are no constants of this program.
    pub(super) fn octets(self) -> u32 {
        match self {
            Self::Block(start, end) | Self::Decoded(start, end) | Self::Table(start, end) => {
                end.wrapping_sub(start)
            }
            Self::Known(_)
            | Self::KnownValue(_)
            | Self::FixedName(_)
            | Self::FixedValue(_)
            | Self::Unknown(_) => 0,
        }
    }
}

/// A field of a header block or table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// What its name is for us.
    pub(super) name: Name,
    /// Its name as sent.
    pub(super) key: Part,
    pub(super) value: Part,
    /// [`Part::octets`] of both.
    pub(super) octets: u32,
}

impl Field {
    pub(super) fn new(name: Name, key: Part, value: Part) -> Self {
        Self { name, key, value, octets: key.octets() + value.octets() }
    }

    /// An entry that can't be read.
    pub(super) fn unknown(id: EntryId) -> Self {
        Self::new(Name::Unknown, Part::Unknown(id), Part::Unknown(id))
    }
}
