//! How far the clock of a log is from that of the capture: the host's clock may be wrong, and most logs do not say their zone.
//!
//! A line comes shortly after the end of its call. Where line and call belong together for other reasons than time, the difference of
//! their times is a sample. Samples of wrong pairs are spread, those of right ones lie together: the densest cluster counts, and its
//! median is the offset. Half hours of zone are not looked for by themselves, but where samples leave a choice, an offset that is a
//! zone and nothing else is the likeliest.

/// A second, in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Samples of one cluster lie within this, nanoseconds.
const WIDTH: i64 = 2 * SECOND;

/// Zones differ by multiples of this, nanoseconds.
const ZONE: i64 = 1_800 * SECOND;

/// The zones of the world lie within this around UTC, nanoseconds.
const ZONES: i64 = 14 * 3_600 * SECOND;

/// How far the clocks of hosts are apart at most where nothing but a zone counts as an offset, nanoseconds.
const USUAL: i64 = 5 * SECOND;

/// The clock of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogClock {
    /// How far it is ahead of the capture's, nanoseconds, its zone included.
    pub offset: i64,
    /// Matches on which this rests.
    pub matches: usize,
    /// How far the samples lie around the offset, nanoseconds.
    pub spread: i64,
    /// Whether its lines say their zone.
    pub has_zone: bool,
}

impl LogClock {
    /// The zone, seconds east of UTC, and how far the clock is wrong apart from that, nanoseconds.
    #[must_use]
    pub fn parts(&self) -> (i64, i64) {
        if self.has_zone {
            return (0, self.offset);
        }
        let zone = nearest_zone(self.offset);
        (zone / SECOND, self.offset - zone)
    }
}

/// The zone that is nearest to an offset.
fn nearest_zone(offset: i64) -> i64 {
    (offset + ZONE / 2).div_euclid(ZONE).clamp(-ZONES / ZONE, ZONES / ZONE) * ZONE
}

/// How far an offset is from one that needs no clock to be wrong.
fn wrongness(offset: i64, has_zone: bool) -> i64 {
    let zone = if has_zone { 0 } else { nearest_zone(offset) };
    (offset - zone).abs()
}

/// The offset of a log's clock. `sure`: differences of lines and calls that belong together for other reasons than time. `likely`: of each
/// line that is about one of several calls, those to each of them.
#[must_use]
pub fn estimate(sure: &[i64], likely: &[Vec<i64>], has_zone: bool) -> Option<LogClock> {
    let of_sure = cluster(sure.to_vec(), has_zone);
    // A single sample of a clock that is far off may as well be a line of another time.
    let of_sure =
        of_sure.filter(|(offset, samples)| samples.len() > 1 || wrongness(*offset, has_zone) < USUAL);
    let found = of_sure.or_else(|| {
        let usual = likely.iter().flatten().copied().filter(|offset| wrongness(*offset, has_zone) < USUAL);
        cluster(usual.collect(), has_zone)
    });
    let (offset, samples) = found?;
    let mut distances: Vec<i64> = samples.iter().map(|sample| (sample - offset).abs()).collect();
    distances.sort_unstable();
    let spread = distances.get(distances.len() * 9 / 10).copied().unwrap_or(0);
    let is_in = |sample: &i64| (sample - offset).abs() <= WIDTH;
    let lines = likely.iter().filter(|samples| samples.iter().any(is_in)).count();
    let matches = sure.iter().filter(|sample| is_in(sample)).count();
    Some(LogClock { offset, matches: if matches > 0 { matches } else { lines }, spread, has_zone })
}

/// The median of the densest cluster, and its samples. Of clusters of about one size that which needs no clock to be wrong counts.
fn cluster(mut samples: Vec<i64>, has_zone: bool) -> Option<(i64, Vec<i64>)> {
    samples.sort_unstable();
    let mut best: Option<((bool, usize, i64), usize, usize)> = None;
    let mut end = 0;
    let sizes: Vec<(usize, usize)> = (0..samples.len())
        .map(|begin| {
            while samples.get(end).is_some_and(|sample| sample - samples[begin] <= WIDTH) {
                end += 1;
            }
            (begin, end)
        })
        .collect();
    let most = sizes.iter().map(|(begin, end)| end - begin).max()?;
    for (begin, end) in sizes {
        let size = end - begin;
        let wrong = wrongness(*samples.get(usize::midpoint(begin, end))?, has_zone);
        let rank = (wrong < USUAL && size * 2 >= most, size, -wrong);
        if best.is_none_or(|(known, ..)| rank > known) {
            best = Some((rank, begin, end));
        }
    }
    let (_, begin, end) = best?;
    let samples = samples.get(begin..end)?.to_vec();
    Some((*samples.get(samples.len() / 2)?, samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    /// Differences that belong to no pair, spread over an hour.
    fn noise(count: i64) -> impl Iterator<Item = i64> {
        (0..count).map(|n| (n * 7_919 % 3_600) * SECOND + n * 1_234_567)
    }

    #[test]
    fn the_densest_cluster_counts_whatever_lies_around_it() {
        for offset in [0, 8 * HOUR, -5 * HOUR - HOUR / 2, 97 * SECOND, 8 * HOUR + 97 * SECOND] {
            let own = (0..20).map(|n| offset + n * 1_000_000);
            let samples: Vec<i64> = own.chain(noise(60)).collect();
            let clock = estimate(&samples, &[], false).unwrap();
            assert!((clock.offset - offset).abs() < 20_000_000, "{offset}: {clock:?}");
            assert!(clock.matches >= 20 && clock.spread < WIDTH);
            let (zone, wrong) = clock.parts();
            assert_eq!((zone % 1_800, wrong / SECOND), (0, offset % (HOUR / 2) / SECOND), "{offset}");
        }
    }

    #[test]
    fn one_sample_is_enough_only_for_a_zone() {
        assert_eq!(estimate(&[8 * HOUR + SECOND], &[], false).map(|clock| clock.parts().0), Some(8 * 3_600));
        assert_eq!(
            estimate(&[8 * HOUR + SECOND], &[], true),
            None,
            "it says its zone, and is eight hours off"
        );
        assert_eq!(estimate(&[1_000 * SECOND], &[], false), None);
        assert_eq!(estimate(&[], &[], false), None);
        assert!(estimate(&[SECOND], &[], true).is_some());
    }

    #[test]
    fn pairs_that_leave_a_choice_count_where_only_a_zone_lies_between() {
        let lines: Vec<Vec<i64>> =
            (0..5).map(|line| (0..5).map(|call| 8 * HOUR + (line - call) * 40 * SECOND).collect()).collect();
        let clock = estimate(&[], &lines, false).unwrap();
        assert_eq!((clock.offset, clock.matches), (8 * HOUR, 5));
        assert_eq!(estimate(&[], &[vec![1_000 * SECOND, 700 * SECOND]], true), None);
    }
}
