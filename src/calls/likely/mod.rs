//! What is likely of gRPC calls whose name or status stands in header tables that were filled before the capture began.
//!
//! Nothing here changes what is known: a guess stands in a field of its own ([`Call::likely`]), and where the evidence does
//! not suffice there is none. Each kind of evidence gives what it gives because it was right in at least 97 % of the calls
//! of the bundled captures, cut in their middle (`tests/it/likely.rs`).
//!
//! | part | file |
//! | --- | --- |
//! | what pairing notes of a call | `clues.rs` |
//! | entries of trailers that mean success or a code | `statuses.rs` |
//! | methods of a server that look like the unnamed ones | `shapes.rs`, `methods.rs`, `assignment.rs` |
//! | methods that descriptions name | `described.rs` |
//! | calls that wait for what others say | `waiting.rs` |

mod assignment;
mod clues;
mod described;
mod methods;
mod shapes;
mod statuses;
mod waiting;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rpcscope_parsers::Rpc;

pub use clues::Clues;
pub use waiting::Waiting;

use super::record::{Call, Class, Name, named};

/// What is likely of a call, beside what is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likely {
    /// Service, where it is not known.
    pub service: Option<Name>,
    /// Method, where it is not known.
    pub method: Option<Name>,
    /// Class, where it is not known.
    pub class: Option<Class>,
    /// gRPC status, where it is not known.
    pub code: Option<i64>,
    /// How likely the least likely of these is, in percent, below 100. 0 if there is none of them.
    pub percent: u8,
    /// What speaks for it.
    pub why: Vec<Reason>,
}

impl Likely {
    /// What outputs call its parts.
    pub const PARTS: [&'static str; 6] = ["service", "method", "class", "code", "confidence", "why"];

    /// Its parts as outputs write them; the confidence is 0 to 1.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let confidence = (self.percent > 0).then(|| Cow::Owned(format!("0.{:02}", self.percent)));
        let texts = [
            self.service.as_deref().map(Cow::Borrowed),
            self.method.as_deref().map(Cow::Borrowed),
            self.class.map(|class| Cow::Borrowed(class.name())),
            self.code.map(|code| Cow::Owned(code.to_string())),
            confidence,
            Some(Cow::Owned(self.why.iter().map(|reason| reason.name()).collect::<Vec<_>>().join("; "))),
        ];
        Self::PARTS.into_iter().zip(texts).filter_map(|(name, text)| Some((name, text?)))
    }

    /// Whether it is likely that the call failed, with or without a class.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.class.map_or_else(|| self.why.contains(&Reason::TrailersOnly), |class| class != Class::Ok)
    }

    fn add(&mut self, percent: u8, reason: Reason) {
        self.percent = if self.percent == 0 { percent } else { self.percent.min(percent) };
        self.why.push(reason);
    }
}

named! {
    /// What speaks for a guess.
    Reason {
        /// Trailers that report an error have a text or a code that can be read.
        OneMessage = "ok: trailers without an error after one message",
        /// They have all entries of those.
        SameTrailers = "ok: the same trailers as after other answers",
        /// A number stands where the status stands.
        Number = "the status is a number beside an entry that has its name",
        /// Another call that refers to the same entry has a known status.
        SameEntry = "the same status entry as a call with a known status",
        /// Another call with the same text has a known status, or libraries send the text with one status.
        KnownText = "the status with which this error text comes",
        /// An answer without messages that is none of a success.
        TrailersOnly = "failed: the answer is trailers only",
        /// Sizes and numbers of messages are those of a method of the server.
        SameShape = "calls of this path look like those of the method",
        /// Messages are those of a method that the user, or the capture itself, described.
        Described = "messages of this path are those of the described method",
        /// The answer is that of a method of the server.
        SameAnswer = "the answer looks like those of the method",
    }
}

/// Whether something may be said of a call beyond what is known.
fn is_open(call: &Call) -> bool {
    call.rpc == Rpc::Grpc && (call.class().is_none() || call.method.is_none())
}
