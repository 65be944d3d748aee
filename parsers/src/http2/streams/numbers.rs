//! Which streams of a connection may have been opened without being seen.

use super::UNSEEN_LIMIT;

/// Whether streams above the highest one that was seen may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Above {
    /// No: whatever the client opens is seen.
    Seen,
    /// Yes, because the connection's beginning was not seen.
    #[default]
    BeforeCapture,
    /// Yes, in bytes that are missing.
    InGap,
}

/// The numbers of the client's streams. They are odd and rise (RFC 9113, section 5.1.1).
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The highest that was opened; 0 for none.
    last: u32,
    above: Above,
    /// Ranges below `last`, first and last number, that may have been opened unseen.
    unseen: Vec<(u32, u32)>,
}

impl Numbers {
    /// The connection's beginning was seen.
    pub(super) fn begin(&mut self) {
        if self.above == Above::BeforeCapture {
            self.above = Above::Seen;
        }
    }

    /// The client may have opened streams that were not seen.
    pub(super) fn lose(&mut self) {
        self.above = Above::InGap;
    }

    /// Whether a stream was opened.
    pub(super) fn any(&self) -> bool {
        self.last != 0
    }

    /// Whether a request with that number opens a new stream.
    pub(super) fn is_new(&self, id: u32) -> bool {
        id > self.last
    }

    /// Whether it is the number after that of the last stream.
    pub(super) fn is_next(&self, id: u32) -> bool {
        self.last != 0 && id == self.last + 2
    }

    /// The client opens a stream.
    pub(super) fn open(&mut self, id: u32) {
        if self.is_next(id) {
            self.above = Above::Seen;
        }
        if self.above != Above::Seen {
            if self.unseen.len() == UNSEEN_LIMIT {
                self.unseen.remove(0);
            }
            self.unseen.push((self.last + 1, id.saturating_sub(1)));
            self.above = Above::Seen;
        }
        self.last = id;
    }

    /// Whether the stream may have been opened without being seen.
    pub(super) fn is_unseen(&self, id: u32) -> bool {
        (id > self.last && self.above != Above::Seen)
            || self.unseen.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// Whether no stream can have been opened without being seen.
    pub(super) fn all_seen(&self) -> bool {
        self.above == Above::Seen && self.unseen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_before_the_capture_and_in_gaps_are_unseen() {
        let mut numbers = Numbers::default();
        assert!(!numbers.any() && numbers.is_unseen(1) && !numbers.all_seen());
        numbers.open(7);
        assert!(numbers.is_unseen(5) && !numbers.is_unseen(7) && !numbers.is_unseen(9));
        assert!(numbers.is_new(9) && !numbers.is_new(7));
        numbers.lose();
        assert!(numbers.is_unseen(9));
        numbers.open(11);
        assert!(numbers.is_unseen(9) && !numbers.is_unseen(13));
    }

    #[test]
    fn the_next_number_proves_that_none_was_missed() {
        let mut numbers = Numbers::default();
        numbers.begin();
        assert!(numbers.all_seen() && !numbers.is_next(1));
        numbers.open(1);
        numbers.lose();
        assert!(!numbers.all_seen() && numbers.is_next(3));
        numbers.open(3);
        assert!(numbers.all_seen());
    }

    #[test]
    fn a_gap_before_the_switch_to_http2_counts() {
        let mut numbers = Numbers::default();
        numbers.lose();
        numbers.begin();
        assert!(!numbers.all_seen());
    }

    #[test]
    fn ranges_are_bounded() {
        let mut numbers = Numbers::default();
        for range in 1..=UNSEEN_LIMIT as u32 + 1 {
            numbers.lose();
            numbers.open(range * 10 + 1);
        }
        assert_eq!(numbers.unseen.len(), UNSEEN_LIMIT);
        assert!(!numbers.is_unseen(5) && numbers.is_unseen(15));
    }
}
