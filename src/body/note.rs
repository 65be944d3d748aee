//! What is remarkable about a body.

use crate::text;

/// A kind of remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// A field's type on the wire is not the one that the description gives it: it stays under its number.
    DescriptionMismatch,
    /// The description of a protobuf message has no field of a number that is on the wire.
    UnknownFields,
    /// Several descriptions have such a method, and the wire does not tell which is meant.
    MethodAmbiguous,
    /// The bytes are not what their codec says, or their compression can't be undone.
    Undecodable,
    /// The body is over a bound (size, depth, count): what is shown is not all of it.
    Cut,
}

impl NoteKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::DescriptionMismatch, Self::UnknownFields, Self::MethodAmbiguous, Self::Undecodable, Self::Cut];

    /// The name of the finding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DescriptionMismatch => "description-mismatch",
            Self::UnknownFields => "unknown-fields",
            Self::MethodAmbiguous => "method-ambiguous",
            Self::Undecodable => "undecodable-body",
            Self::Cut => "body-cut",
        }
    }
}

/// A remark on one body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// Its kind.
    pub kind: NoteKind,
    /// What exactly, in words (`order.lines.2: i64 in the description, i32 on the wire`).
    pub text: String,
}

impl Note {
    /// A remark.
    #[must_use]
    pub fn new(kind: NoteKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// Most remarks on one body: one that fits nowhere would have thousands.
const NOTES_LIMIT: usize = 16;

/// Remarks on one body, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    /// How often there was no room for one of a kind.
    left_out: [u64; NoteKind::ALL.len()],
}

impl Notes {
    /// Adds a remark.
    pub(super) fn add(&mut self, kind: NoteKind, text: impl Into<String>) {
        let note = Note::new(kind, text);
        if self.list.contains(&note) {
            return;
        }
        if self.list.len() < NOTES_LIMIT {
            self.list.push(note);
        } else {
            self.left_out[kind as usize] += 1;
        }
    }

    /// The remarks; of each kind for which there was no room, one more says how often.
    pub(super) fn into_list(self) -> Vec<Note> {
        let Self { mut list, left_out } = self;
        let more = NoteKind::ALL.into_iter().zip(left_out).filter(|(_, count)| *count > 0);
        list.extend(more.map(|(kind, count)| {
            Note::new(kind, format!("{} ({}) left out", text::counted(count, "more remark"), kind.name()))
        }));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_for_which_there_is_no_room_are_counted_by_kind() {
        let mut notes = Notes::default();
        for number in 0..NOTES_LIMIT + 3 {
            notes.add(NoteKind::UnknownFields, format!("field {number}"));
            notes.add(NoteKind::UnknownFields, "field 0");
        }
        notes.add(NoteKind::Cut, "too deep");
        let list = notes.into_list();
        assert_eq!(list.len(), NOTES_LIMIT + 2);
        assert_eq!(
            list[NOTES_LIMIT],
            Note::new(NoteKind::UnknownFields, "3 more remarks (unknown-fields) left out")
        );
        assert_eq!(list[NOTES_LIMIT + 1], Note::new(NoteKind::Cut, "1 more remark (body-cut) left out"));
    }
}
