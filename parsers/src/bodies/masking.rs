//! Which bytes of a stream are to be replaced so that nothing of its bodies can be read, and all calls still can.

use crate::event::{BodyForm, BodyPiece};
use crate::thrift::skip::{Note, StructMask, Veil};

/// A struct whose end has not come.
#[derive(Debug)]
struct Running {
    mask: StructMask,
    /// Offset of its first byte, and of the next.
    start: u64,
    next: u64,
}

/// Takes the pieces of bodies that one side sends, in the order in which they are emitted.
#[derive(Debug, Default)]
pub struct Masking(Option<Running>);

impl Masking {
    /// Takes a piece that stands at offset `at`, and calls `note` with the offsets of the bytes that are to be replaced, their number and
    /// what they are replaced by. Of a body that has to stay ([`BodyForm::Sealed`]) there are none.
    pub fn take(&mut self, piece: &BodyPiece<'_>, at: u64, note: &mut Note<'_>) {
        match piece.form {
            BodyForm::Sealed => return self.0 = None,
            BodyForm::Unread => {
                self.0 = None;
                return note(at, piece.bytes.len() as u64, Veil::Ones);
            }
            BodyForm::Opaque => self.0 = None,
            BodyForm::Struct(format) if piece.begins => {
                self.0 = Some(Running { mask: StructMask::new(format), start: at, next: at });
            }
            BodyForm::Struct(_) => {}
        }
        let len = piece.bytes.len() as u64;
        let Some(Running { mask, start, next }) = self.0.as_mut().filter(|running| running.next <= at) else {
            return note(at, len, Veil::Zero);
        };
        if at > *next {
            mask.lose(at - *next);
        }
        *next = at + len;
        mask.advance(piece.bytes, &mut |inside, len, veil| note(*start + inside, len, veil));
    }
}
