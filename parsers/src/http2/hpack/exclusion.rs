//! Names of trailers that stand in table entries from before the capture, found by exclusion.
//!
//! The trailers of a gRPC answer have exactly one `grpc-status` (gRPC, doc/PROTOCOL-HTTP2.md, "Responses"). If no name that can
//! be read is that one, every value can be read, and only one value of an unreadable name is a number, then that number is the
//! status. Business statuses and counters of other trailers are numbers too, so a second number of any size leaves all open.
//!
//! The text of the error mostly follows its status: grpc-go (`internal/transport/http2_server.go`), Kitex and grpc-js write it
//! there always; grpc-java (`AbstractServerStream.addStatusToTrailers`) and tonic (`Status::add_header`) put both behind the
//! application's fields. Others leave an empty text out, and then a field of the application follows; so only an empty text and
//! one that is written as a sentence, with spaces or escapes, are taken for it. C-core and Kestrel put fields between the two, but they
//! write names out.
//!
//! A name that was found is the name of its entry, and has to fit wherever the entry comes up. If it does not, the peer does not
//! keep to the rule, and nothing more is concluded on the connection.

use super::super::grpc::parse_status;
use super::super::known::Name;
use super::{EntryId, List, Part};

/// The most fields of unreadable names in a block from which conclusions are drawn.
const FIELDS_LIMIT: usize = 16;

/// The most entries remembered of each kind.
const ENTRIES_LIMIT: usize = 64;

/// The highest status that gRPC defines (doc/statuscodes.md).
const LAST_STATUS: i64 = 16;

/// What a whole header block of the callee is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// It begins an answer that goes on.
    Head,
    /// It ends the answer of a gRPC call whose head came before.
    Trailers,
    /// It ends another answer, or one that has nothing else.
    End,
}

/// What is known of the unreadable names of one direction.
#[derive(Debug, Default)]
pub(super) struct Exclusion {
    /// The entries whose name was found.
    names: Vec<(EntryId, Name)>,
    /// Entries that name fields in the heads of answers.
    of_heads: Vec<EntryId>,
    /// Entries that name fields of trailers whose value is no status.
    no_status: Vec<EntryId>,
    /// The peer does not keep to the rule, or does too much to keep account of it.
    off: bool,
}

/// A field whose name can't be read.
#[derive(Clone, Copy, Debug)]
struct Unread<'a> {
    /// Its place in the block.
    at: usize,
    entry: EntryId,
    /// `None` if it can't be read either.
    value: Option<&'a [u8]>,
}

/// Fields of a block by their place, with the names that were found.
pub(super) type Found = Vec<(usize, Name)>;

impl Exclusion {
    /// Memory taken, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.names.capacity() * size_of::<(EntryId, Name)>()
            + (self.of_heads.capacity() + self.no_status.capacity()) * size_of::<EntryId>()
    }

    /// The table was lost: its entries are other ones from here on.
    pub(super) fn forget(&mut self) {
        *self = Self { off: self.off, ..Self::default() };
    }

    /// What the unreadable names of a whole block of the callee are.
    pub(super) fn judge(&mut self, list: List<'_>, place: Place) -> Found {
        if self.off {
            return Found::new();
        }
        let found = unread(list).and_then(|fields| match place {
            Place::Head => self.head(&fields).then(Found::new),
            Place::Trailers | Place::End => self.end(list, &fields, place == Place::Trailers),
        });
        found.unwrap_or_else(|| {
            *self = Self { off: true, ..Self::default() };
            Found::new()
        })
    }

    /// Takes note of the head of an answer. `false` if a name of trailers stands in it.
    fn head(&mut self, fields: &[Unread<'_>]) -> bool {
        fields.iter().all(|field| self.name(field.entry).is_none() && note(&mut self.of_heads, field.entry))
    }

    /// The names in a block that ends an answer, those found before and, in `trailers`, new ones. `None` if they contradict what
    /// was found before, or if no more can be remembered.
    fn end(&mut self, list: List<'_>, fields: &[Unread<'_>], trailers: bool) -> Option<Found> {
        let mut found = Found::new();
        let mut status = list.place(Name::GrpcStatus);
        let mut message = list.place(Name::GrpcMessage);
        for field in fields {
            let Some(name) = self.name(field.entry) else { continue };
            let (place, fits): (_, fn(&[u8]) -> bool) = match name {
                Name::GrpcStatus => (&mut status, is_status),
                _ => (&mut message, is_escaped),
            };
            if place.replace(field.at).is_some() || !field.value.is_none_or(fits) {
                return None;
            }
            // Without its value the field says nothing, and must not look like one that is complete.
            if field.value.is_some() {
                found.push((field.at, name));
            }
        }
        if !trailers {
            return Some(found);
        }
        let rest: Vec<_> = fields.iter().filter(|field| self.name(field.entry).is_none()).copied().collect();
        let is_text = |field: &&Unread<'_>| field.value.is_some_and(|value| !is_status(value));
        if !rest.iter().filter(is_text).all(|field| note(&mut self.no_status, field.entry))
            || self.names.len() + 2 > ENTRIES_LIMIT
        {
            return None;
        }
        if rest.iter().any(|field| field.value.is_none()) {
            return Some(found);
        }
        if status.is_none()
            && let Some(field) = self.the_status(&rest)
        {
            status = Some(field.at);
            self.names.push((field.entry, Name::GrpcStatus));
            found.push((field.at, Name::GrpcStatus));
        }
        let left: Vec<_> = rest.iter().filter(|field| Some(field.at) != status).collect();
        if let ([field], Some(status), None) = (left.as_slice(), status, message)
            && field.at == status + 1
            && let (Some(code), Some(text)) = (list.value(status), field.value)
            && (text.is_empty() || (is_status(code) && code != b"0" && is_sentence(text)))
            && !self.of_heads.contains(&field.entry)
        {
            self.names.push((field.entry, Name::GrpcMessage));
            found.push((field.at, Name::GrpcMessage));
        }
        Some(found)
    }

    /// The one of these fields, which all have values, that is the status, if that can be told.
    fn the_status<'a>(&self, fields: &[Unread<'a>]) -> Option<Unread<'a>> {
        let is_number = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let mut numbers = fields.iter().filter(|field| field.value.is_some_and(is_number));
        let (Some(field), None) = (numbers.next(), numbers.next()) else { return None };
        let is_possible = field.value.is_some_and(is_status)
            && !self.of_heads.contains(&field.entry)
            && !self.no_status.contains(&field.entry);
        is_possible.then_some(*field)
    }

    /// The name of an entry, if it was found.
    fn name(&self, entry: EntryId) -> Option<Name> {
        self.names.iter().find(|(named, _)| *named == entry).map(|(_, name)| *name)
    }
}

/// The fields whose name can't be read. `None` if there are too many.
fn unread(list: List<'_>) -> Option<Vec<Unread<'_>>> {
    let mut fields = Vec::new();
    for (at, field) in list.fields.list.iter().enumerate() {
        if let (Name::Unknown, Part::Unknown(entry)) = (field.name, field.key) {
            if fields.len() == FIELDS_LIMIT {
                return None;
            }
            fields.push(Unread { at, entry, value: list.text(field.value) });
        }
    }
    Some(fields)
}

/// Remembers an entry. `false` if there is no room.
fn note(entries: &mut Vec<EntryId>, entry: EntryId) -> bool {
    if entries.contains(&entry) {
        return true;
    }
    let room = entries.len() < ENTRIES_LIMIT;
    if room {
        entries.push(entry);
    }
    room
}

/// Whether it is a status as gRPC writes it.
fn is_status(value: &[u8]) -> bool {
    let plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]);
    plain && parse_status(value).is_some_and(|code| code <= LAST_STATUS)
}

/// Whether it is a text as gRPC writes it: octets of ASCII that can be printed, `%` only before two hexadecimal digits (gRPC,
/// doc/PROTOCOL-HTTP2.md, "Percent-Encoded").
fn is_escaped(text: &[u8]) -> bool {
    let mut rest = text;
    while let [octet, after @ ..] = rest {
        rest = match (octet, after) {
            (b'%', [first, second, after @ ..])
                if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() =>
            {
                after
            }
            (b'%', _) => return false,
            (b' '..=b'~', after) => after,
            _ => return false,
        };
    }
    true
}

/// Whether it is such a text with a space or an escape in it.
fn is_sentence(text: &[u8]) -> bool {
    text.iter().any(|octet| matches!(octet, b' ' | b'%')) && is_escaped(text)
}
