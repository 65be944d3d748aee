//! What is remarkable about a body.

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
    pub(super) list: Vec<Note>,
}

impl Notes {
    /// Adds a remark.
    pub(super) fn add(&mut self, kind: NoteKind, text: impl Into<String>) {
        let note = Note::new(kind, text);
        if self.list.len() < NOTES_LIMIT && !self.list.contains(&note) {
            self.list.push(note);
        }
    }
}
