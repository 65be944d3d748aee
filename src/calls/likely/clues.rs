//! What pairing notes of a call for later: the parts of its answer's header blocks that can't be read, and what stands beside
//! them.

use rpcscope_parsers::event::{Pairs, Shown};
use smallvec::SmallVec;

/// Most fields noted of a header block.
const MAX_FIELDS: usize = 16;

/// Longest text kept of a field.
const MAX_TEXT: usize = 256;

/// What is known of a call whose status or name is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clues {
    /// How often bytes of the connection were lost before the call was decided.
    pub losses: u32,
    /// The table entries that name fields of the answer's first header block. None of these is a status.
    pub(super) begun: SmallVec<[u64; 4]>,
    /// The block that ended the answer.
    pub(super) trailers: Option<Trailers>,
}

/// A header block that ends an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trailers {
    /// It is the answer's only block.
    pub(super) alone: bool,
    /// The fields that matter, in order.
    pub(super) fields: SmallVec<[Field; 4]>,
    /// `grpc-message`, where its name can be read.
    pub(super) message: Option<String>,
}

/// A field whose name can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The entry that has its name.
    pub(super) name: u64,
    pub(super) value: Value,
}

/// The value of such a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It stands in the same entry as the name.
    Entry,
    /// A number as statuses are written.
    Number(i64),
    /// Another text.
    Text(String),
}

impl Clues {
    /// Notes the first header block of an answer.
    pub fn begin(&mut self, headers: &dyn Pairs) {
        headers.each_field(&mut |name, _| {
            if let Shown::Entry(name) = name
                && self.begun.len() < MAX_FIELDS
            {
                self.begun.push(name);
            }
        });
    }

    /// Notes the header block that ended an answer.
    pub fn end(&mut self, headers: &dyn Pairs) {
        let mut trailers = Trailers::default();
        let mut content_type = false;
        headers.each_field(&mut |name, value| match (name, value) {
            (Shown::Text(b":status"), _) => trailers.alone = true,
            (Shown::Text(b"content-type"), _) => content_type = true,
            (Shown::Text(b"grpc-message"), Shown::Text(text)) => trailers.message = Some(kept(text)),
            (Shown::Entry(name), value) if trailers.fields.len() < MAX_FIELDS => {
                trailers.fields.push(Field { name, value: Value::of(value) });
            }
            _ => {}
        });
        // What comes after the HTTP status is the content type (gRPC, doc/PROTOCOL-HTTP2.md, "Trailers-Only").
        if trailers.alone && !content_type && !trailers.fields.is_empty() {
            trailers.fields.remove(0);
        }
        self.trailers = Some(trailers);
    }
}

impl Value {
    fn of(value: Shown<'_>) -> Self {
        match value {
            Shown::Entry(_) => Self::Entry,
            Shown::Text(text) => parse_status(text).map_or_else(|| Self::Text(kept(text)), Self::Number),
        }
    }
}

/// A number of up to nine digits, written as statuses are: without zeros before it.
fn parse_status(text: &[u8]) -> Option<i64> {
    let plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 9;
    std::str::from_utf8(text).ok()?.parse().ok().filter(|_| plain)
}

fn kept(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text)).into_owned()
}
