//! The entries of one connection's answers that mean success or a code.
//!
//! A successful answer has its messages, then trailers; they have `grpc-status: 0` in a table entry. All successes of a
//! connection refer to the same entry until it leaves the table. An answer that failed refers to another entry, or it writes
//! its code out beside an entry that has the name (RFC 7541, section 6.2: a literal with an indexed name).

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Reason;
use super::clues::{Field, Trailers, Value};
use crate::codes::grpc;

/// Most entries remembered of a connection.
const MAX_ENTRIES: usize = 1024;

/// The highest published status. Higher numbers may be other things.
const LAST_CODE: i64 = 16;

/// How much trailers after one message count. After other numbers of messages they count one.
const ONE_MESSAGE: u32 = 3;

/// How much makes an entry that of success.
const ENOUGH: u32 = 3;

/// What trailers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Success.
    Ok(u8, Reason),
    /// This code.
    Code(i64, u8, Reason),
    /// A failure of the framework, with an unknown code.
    Rpc(u8, Reason),
    /// An error of an unknown code.
    Failed,
    /// Nothing.
    Open,
}

/// What an entry or a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This code.
    Code(i64),
    /// A failure of the framework.
    Rpc,
}

impl Meaning {
    fn verdict(self, percent: u8, reason: Reason) -> Verdict {
        match self {
            Self::Code(code) => Verdict::Code(code, percent, reason),
            Self::Rpc => Verdict::Rpc(percent, reason),
        }
    }
}

/// What is known of the answers of a connection.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    /// How often the table was lost: entries of another generation are other ones.
    generation: u64,
    /// Trailers after one message that report no error, and how many of them have each entry.
    successes: u32,
    entries: HashMap<u64, u32, FixedState>,
    /// The fewest entries that such trailers had.
    fewest: usize,
    /// The entries that name fields of first header blocks.
    begun: HashMap<u64, (), FixedState>,
    /// What entries mean; `None` for contradictions.
    meanings: HashMap<u64, Option<Meaning>, FixedState>,
}

impl Statuses {
    /// Takes note of the fields of a first header block.
    pub(super) fn begin(&mut self, names: &[u64]) {
        for name in names {
            self.enter(*name);
            if self.begun.len() < MAX_ENTRIES {
                self.begun.insert(*name, ());
            }
        }
    }

    /// Learns from the trailers of an answer with that many messages.
    pub(super) fn learn(&mut self, trailers: &Trailers, messages: u32) {
        let fields = self.fields(trailers);
        for field in &fields {
            self.enter(field.name);
        }
        // After one message of a unary call there is no error; a stream may end with one after any number.
        let is_text = trailers.message.as_ref().is_some_and(|text| !text.is_empty());
        let error =
            is_text || !matches!(fields.first(), Some(Field { value: Value::Entry | Value::Text(_), .. }));
        let weight = match messages {
            1 if !trailers.alone && !error => ONE_MESSAGE,
            _ if !trailers.alone && is_plain(trailers, &fields) => 1,
            _ => 0,
        };
        if weight == 0 || self.entries.len() >= MAX_ENTRIES {
            return;
        }
        self.fewest = if self.successes == 0 { fields.len() } else { self.fewest.min(fields.len()) };
        self.successes = self.successes.saturating_add(weight);
        for field in fields.iter().filter(|field| field.value == Value::Entry) {
            let count = self.entries.entry(field.name).or_default();
            *count = count.saturating_add(weight);
        }
    }

    /// Learns what the status of these trailers means.
    pub(super) fn tie(&mut self, trailers: &Trailers, meaning: Meaning) {
        let fields = self.fields(trailers);
        if let Some(Field { name, value: Value::Entry }) = fields.first()
            && !self.is_success(&fields)
            && (self.meanings.len() < MAX_ENTRIES || self.meanings.contains_key(name))
        {
            let known = self.meanings.entry(*name).or_insert(Some(meaning));
            *known = match (*known, meaning) {
                (Some(Meaning::Code(code)), Meaning::Code(other)) if code != other => None,
                (Some(Meaning::Rpc), meaning) => Some(meaning),
                (known, _) => known,
            };
        }
    }

    /// Forgets everything if this is an entry of another table.
    fn enter(&mut self, entry: u64) {
        let generation = entry >> 32;
        if generation != self.generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    /// The fields that may be the status, in order: unreadable, and not in first header blocks.
    fn fields<'t>(&self, trailers: &'t Trailers) -> SmallVec<[&'t Field; 4]> {
        trailers.fields.iter().filter(|field| !self.begun.contains_key(&field.name)).collect()
    }

    /// The entries that most successes have.
    fn is_common(&self, entry: u64) -> bool {
        self.entries.get(&entry).is_some_and(|count| count * 2 > self.successes)
    }

    /// Whether these are the trailers of a success: all entries that most successes have are there, one of which is the
    /// status.
    fn is_success(&self, fields: &[&Field]) -> bool {
        let common = self.entries.keys().filter(|entry| self.is_common(**entry)).count();
        let has =
            fields.iter().filter(|field| field.value == Value::Entry && self.is_common(field.name)).count();
        self.successes >= ENOUGH && common > 0 && has == common
    }

    /// What the trailers of an answer with that many messages say. `meaning_of` knows that of texts.
    pub(super) fn judge(
        &self,
        trailers: &Trailers,
        messages: u32,
        meaning_of: &dyn Fn(&str) -> Option<Meaning>,
    ) -> Verdict {
        let fields = self.fields(trailers);
        let text = text_of(trailers, &fields);
        if self.is_success(&fields) {
            return Verdict::Ok(99, Reason::SameTrailers);
        }
        match fields.as_slice() {
            [Field { value: Value::Number(0), .. }, ..] => Verdict::Ok(98, Reason::Number),
            // Another number beside this status may be the business status that it carries (`outcome.rs`).
            [Field { value: Value::Number(grpc::INTERNAL), .. }, rest @ ..]
                if rest.iter().any(|field| is_number(field)) =>
            {
                Verdict::Open
            }
            [Field { value: Value::Number(code @ 1..=LAST_CODE), .. }, rest @ ..]
                if self.can_follow(rest) =>
            {
                Verdict::Code(*code, 98, Reason::Number)
            }
            [Field { name, value: Value::Entry }, ..] => {
                if let Some(Some(meaning)) = self.meanings.get(name) {
                    return meaning.verdict(98, Reason::SameEntry);
                }
                if let Some(meaning) = text.and_then(meaning_of) {
                    return meaning.verdict(97, Reason::KnownText);
                }
                // A stream may fail after one message: its status is then none of those that most answers have.
                let foreign =
                    self.successes > ONE_MESSAGE && !fields.iter().any(|field| self.is_common(field.name));
                if messages == 1 && !trailers.alone && !foreign && is_plain(trailers, &fields) {
                    return Verdict::Ok(98, Reason::OneMessage);
                }
                if trailers.alone && messages == 0 { Verdict::Failed } else { Verdict::Open }
            }
            _ => Verdict::Open,
        }
    }

    /// Whether these fields can follow a status: a text, or nothing, or, where successes have one too, an entry.
    fn can_follow(&self, rest: &[&Field]) -> bool {
        match rest {
            [] | [Field { value: Value::Text(_), .. }, ..] | [Field { value: Value::Entry, .. }] => true,
            [Field { value: Value::Entry, .. }, ..] => self.fewest >= 2,
            [Field { value: Value::Number(_), .. }, ..] => false,
        }
    }
}

/// Whether these are trailers of which everything stands in entries: an error would have a text or a code of its own.
fn is_plain(trailers: &Trailers, fields: &[&Field]) -> bool {
    !fields.is_empty()
        && trailers.message.as_ref().is_none_or(String::is_empty)
        && fields.iter().all(|field| field.value == Value::Entry)
}

fn is_number(field: &Field) -> bool {
    matches!(field.value, Value::Number(_))
}

/// The text of the error that trailers report.
pub(super) fn text_of<'t>(trailers: &'t Trailers, fields: &[&'t Field]) -> Option<&'t str> {
    let beside = match fields {
        [_, Field { value: Value::Text(text), .. }, ..] => Some(text.as_str()),
        _ => None,
    };
    trailers.message.as_deref().or(beside).filter(|text| !text.is_empty())
}
