//! What a code, a word of the call record or an error text means, for a person.
//!
//! | question | answer |
//! | --- | --- |
//! | what does the finding, carrier or class mean | [`finding`], [`carrier`], [`class`] |
//! | what does this line of a log mean, and which call is it about | [`parse_log`], [`LogError::matches`] |
//! | all of it for a person | [`answer`] |
//!
//! The codes themselves, and the words of the frameworks' texts, are in [`crate::codes`]; how the caller's library words the
//! error of a call is in [`crate::calls::reported`]. The texts are for people who look at a failed call: what happened, who
//! says so, where to look first.

mod answer;
mod log;
mod topics;

pub use answer::{Answer, answer};
pub use log::{LogError, Wording, parse_log};
pub use topics::{Topic, carrier, class, finding};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Carrier, Class, Finding};
    use crate::codes::trpc;

    #[test]
    fn every_finding_carrier_and_class_is_explained() {
        let topics = Finding::ALL.iter().map(|f| finding(*f));
        let topics = topics.chain(Carrier::ALL.iter().map(|c| carrier(*c)));
        for topic in topics.chain(Class::ALL.iter().map(|c| class(*c))) {
            assert!(topic.meaning.ends_with('.') && topic.look.ends_with('.'), "{topic:?}");
        }
    }

    #[test]
    fn the_range_in_the_text_about_forwarded_failures_is_the_published_one() {
        let range = format!("{} to {}", trpc::CLIENT_CODES.start(), trpc::CLIENT_CODES.end());
        assert!(finding(Finding::CauseBelow).meaning.contains(&range));
    }
}
