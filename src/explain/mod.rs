//! What a code, a word of the call record or an error text means, for a person.
//!
//! | question | answer |
//! | --- | --- |
//! | what does the finding, carrier or class mean | [`finding`], [`carrier`], [`class`] |
//! | what does this error text mean | [`parse_log`] |
//! | which calls is this line of a log about, whatever stands around the error in it | [`LogLine`], [`Ranking`] |
//! | all of it for a person | [`answer`] |
//!
//! The codes themselves, and the words of the frameworks' texts, are in [`crate::codes`]; how the caller's library words the
//! error of a call is in [`crate::calls::reported`]. The texts are for people who look at a failed call: what happened, who
//! says so, where to look first.

pub mod agreement;
mod answer;
pub mod clues;
pub mod ends;
pub mod exceptions;
mod forms;
mod layers;
mod line;
mod log;
mod matching;
mod names;
mod ranking;
mod record;
mod words;
pub mod wrapping;

pub use answer::{Answer, answer};
pub use forms::{Sign, signs};
pub use line::{Fit, Found, LogLine, Rank, may_be_logged};
pub use log::{LogError, Wording, parse_log};
pub use matching::LayerFit;
pub use ranking::{CALL_LIMIT, Ranking};
pub use words::{WORDS, Word};

use crate::calls::{Carrier, Class, Finding};

/// An explained word of the call record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// What it means.
    pub meaning: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

/// What a finding means.
#[must_use]
pub fn finding(finding: Finding) -> Topic {
    let row = finding.row();
    Topic { meaning: row.meaning, look: row.look }
}

/// What a carrier means.
#[must_use]
pub fn carrier(carrier: Carrier) -> Topic {
    let row = carrier.row();
    Topic { meaning: row.meaning, look: row.look }
}

/// What a class means.
#[must_use]
pub fn class(class: Class) -> Topic {
    let row = class.row();
    Topic { meaning: row.meaning, look: row.look }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::trpc;

    #[test]
    fn every_finding_carrier_and_class_is_explained() {
        let topics = Finding::ALL.iter().map(|f| finding(*f));
        let topics = topics.chain(Carrier::ALL.iter().map(|c| carrier(*c)));
        let topics = topics.chain(Class::ALL.iter().map(|c| class(*c)));
        for topic in topics.chain(WORDS.iter().map(|word| word.topic)) {
            assert!(topic.meaning.ends_with('.') && topic.look.ends_with('.'), "{topic:?}");
        }
    }

    #[test]
    fn the_range_in_the_text_about_forwarded_failures_is_the_published_one() {
        let range = format!("{} to {}", trpc::CLIENT_CODES.start(), trpc::CLIENT_CODES.end());
        assert!(finding(Finding::CauseBelow).meaning.contains(&range));
    }
}
