//! Ranges of stream offsets.

/// Ranges, each from its first offset to that after its last.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a range. Says whether it takes memory of its own: one that begins where the last one ends makes that one longer.
    pub(super) fn add(&mut self, from: u64, to: u64) -> bool {
        match self.0.last_mut() {
            Some(last) if last.1 == from => {
                last.1 = to;
                false
            }
            _ if from < to => {
                self.0.push((from, to));
                true
            }
            _ => false,
        }
    }

    /// Sorts the ranges and joins those that meet. Until then, [`within`](Self::within) finds nothing that can be relied on.
    pub(super) fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        self.0.shrink_to_fit();
    }

    /// What of the range from `from` to `to` is among these ranges.
    pub(super) fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let first = self.0.partition_point(|range| range.1 <= from);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |range| range.0 < to)
            .map(move |range| (range.0.max(from), range.1.min(to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_cut() {
        let mut ranges = Ranges::default();
        let added: Vec<bool> =
            [(10, 12), (12, 15), (20, 20), (30, 40), (5, 11)].map(|(from, to)| ranges.add(from, to)).into();
        assert_eq!(added, [true, false, false, true, true]);
        ranges.settle();
        let within = |from, to| ranges.within(from, to).collect::<Vec<_>>();
        assert_eq!(within(0, 100), [(5, 15), (30, 40)]);
        assert_eq!(within(14, 31), [(14, 15), (30, 31)]);
        assert_eq!(within(15, 30), []);
    }
}
