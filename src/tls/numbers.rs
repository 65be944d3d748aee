//! The numbers of records: counted, and where bytes were lost, searched within what these can have held.

use std::ops;

use rpcscope_parsers::tls::{Record, RecordKey};

/// The most numbers that are passed over at a loss, and the highest that a record may have in a connection whose `ClientHello` was not
/// captured.
pub(super) const MAX_NUMBER: u64 = 1 << 20;
/// The fewest bytes that a record takes: a head and a tag, and a byte in between.
const LEAST_RECORD: u64 = 22;

/// The numbers of one direction's records under one key.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// That of the next record.
    pub(super) next: u64,
    /// Records that were read, and bytes of them, under all keys.
    read: u64,
    bytes: u64,
}

/// Numbers that a record may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    /// How many there are, at least 1.
    pub(super) count: u64,
    /// The one that is tried first where each costs much, counted from the first.
    pub(super) likely: u64,
}

impl Numbers {
    /// The record with this number was read.
    pub(super) fn read(&mut self, number: u64, record: &Record<'_>) {
        self.next = number + 1;
        self.read += 1;
        self.bytes += record.head.record_len() as u64;
    }

    /// The numbers that the next record may have if `lost` bytes were lost before it.
    pub(super) fn after(&self, lost: u64) -> Range {
        if lost == 0 {
            return Range { first: self.next, count: 1, likely: 0 };
        }
        let most = (lost / LEAST_RECORD + 1).min(MAX_NUMBER - 1);
        let usual = self.bytes.checked_div(self.read);
        let likely = usual.and_then(|usual| lost.checked_div(usual)).unwrap_or(0);
        Range { first: self.next, count: most + 1, likely: likely.min(most) }
    }
}

impl Range {
    /// The number under which the record opens, among those of `part`, counted from the first, or where each costs much, from the likely
    /// one to both sides.
    pub(super) fn find(
        self,
        key: &RecordKey,
        record: &Record<'_>,
        part: &ops::Range<u64>,
        budget: &mut u64,
    ) -> Option<u64> {
        let part = part.start..part.end.min(self.count);
        if key.is_cheap_to_search() {
            return key.find(record, self.first + part.start, part.end.saturating_sub(part.start), budget);
        }
        for step in part {
            // Steps that can't be paid are not gone through.
            if *budget < record.cost() {
                return None;
            }
            let found = key.find(record, self.first + self.nth(step), 1, budget);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The numbers in the order of their distance from the likely one.
    fn nth(self, step: u64) -> u64 {
        let (below, above) = (self.likely, self.count - 1 - self.likely);
        let both = below.min(above);
        match step.div_ceil(2) {
            away if away <= both && step % 2 == 1 => self.likely + away,
            away if away <= both => self.likely - away,
            _ if below > above => self.likely - (step - both),
            _ => self.likely + (step - both),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_tried_once_the_likely_ones_first() {
        for count in 1..12 {
            for likely in 0..count {
                let range = Range { first: 0, count, likely };
                let mut order: Vec<u64> = (0..count).map(|step| range.nth(step)).collect();
                assert_eq!(order[0], likely);
                assert!(
                    order.windows(2).all(|two| two[0].abs_diff(likely) <= two[1].abs_diff(likely)),
                    "{order:?}"
                );
                order.sort_unstable();
                assert_eq!(order, (0..count).collect::<Vec<_>>(), "{likely}");
            }
        }
    }

    #[test]
    fn what_was_lost_says_how_many_records_it_may_have_held() {
        let numbers = Numbers { next: 10, read: 4, bytes: 4000 };
        assert_eq!(numbers.after(0), Range { first: 10, count: 1, likely: 0 });
        assert_eq!(numbers.after(2200), Range { first: 10, count: 102, likely: 2 });
        assert_eq!(numbers.after(u64::MAX / 2).count, MAX_NUMBER);
        assert_eq!(Numbers::default().after(1).likely, 0);
    }
}
