//! How far the clock of a log is from that of the capture: the host's clock may be wrong, and most logs do not say their zone.
//!
//! A line comes shortly after the end of its call. The difference of the times of a line and of a call that it may be about is a sample.
//! Samples of wrong pairs are spread, those of right ones lie together. So clusters of samples are weighed: by how many lines have a call
//! of their own in it, and by how narrow it is. Where errors come often, many lines have some call within a second of theirs at any offset,
//! but only at the right one all of them lie within milliseconds. A clock that is wrong by much is less likely than one that is right
//! but for its zone. Where several offsets fit about equally well, the clock is only known as exactly as they lie together.

use std::collections::HashMap;

/// A second, in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Samples of one cluster lie within this at most, and so do offsets that fit equally well, nanoseconds.
const WIDTH: i64 = 2 * SECOND;

/// Clusters are not told apart by being narrower than this, nanoseconds.
const NARROWEST: i64 = SECOND / 1_000;

/// Clocks that are wrong by less than this are equally likely, nanoseconds; one that is wrong by k times as much is k² times less so.
const NEAR: i64 = SECOND / 100;

/// By how much the logarithms of what fits about equally well differ at most.
const MARGIN: f64 = 4.0;

/// The least range of times at which lines may stand that are about none of the calls, nanoseconds.
const LEAST_RANGE: i64 = 600 * SECOND;

/// Zones differ by multiples of this, nanoseconds.
const ZONE: i64 = 1_800 * SECOND;

/// The zones of the world lie within this around UTC, nanoseconds.
const ZONES: i64 = 14 * 3_600 * SECOND;

/// How far the clocks of hosts are apart at most where a single line shows the offset, nanoseconds.
const USUAL: i64 = 5 * SECOND;

/// The clock of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogClock {
    /// How far it is ahead of the capture's, nanoseconds, its zone included.
    pub offset: i64,
    /// Matches on which this rests.
    pub matches: usize,
    /// How far lines lie around the offset, nanoseconds.
    pub spread: i64,
    /// How far offsets that fit about as well are from this one, nanoseconds.
    pub inexact: i64,
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

/// A line, and how far its time is behind each of the calls that it may be about.
#[derive(Clone, Debug)]
pub struct Behind {
    /// What the line is like: lines that are alike are about a call each.
    pub shape: u64,
    /// The smallest step of the line's time, nanoseconds.
    pub step: i64,
    /// Calls, by any number, and the differences, nanoseconds.
    pub calls: Vec<(usize, i64)>,
}

/// How far a line is behind a call.
#[derive(Clone, Copy)]
struct Sample {
    behind: i64,
    line: usize,
    /// The call for lines of that shape.
    call: usize,
}

/// The offset of a log's clock, from its lines.
#[must_use]
pub fn estimate(lines: &[Behind], has_zone: bool) -> Option<LogClock> {
    let samples = samples(lines);
    let range = samples.last()?.behind.saturating_sub(samples.first()?.behind).max(LEAST_RANGE);
    let mut steps: Vec<i64> = lines.iter().map(|line| line.step).collect();
    steps.sort_unstable();
    let step = steps.get(steps.len() / 2).copied().unwrap_or(0);

    let mut best: Option<Cluster> = None;
    for_each_cluster(lines, &samples, step, range, has_zone, &mut |cluster| {
        if best.is_none_or(|best| cluster.score > best.score) {
            best = Some(cluster);
        }
    });
    let best =
        best.filter(|best| best.score > 0.0 && (best.lines > 1 || wrongness(best.offset, has_zone) < USUAL))?;
    // Offsets that fit about as well.
    let (mut first, mut last) = (best.offset, best.offset);
    for_each_cluster(lines, &samples, step, range, has_zone, &mut |cluster| {
        if cluster.score > best.score - MARGIN {
            (first, last) = (first.min(cluster.offset), last.max(cluster.offset));
        }
    });
    if last - first > WIDTH.max(4 * step) {
        return None;
    }
    let mut distances = vec![i64::MAX; lines.len()];
    for sample in &samples {
        if let Some(nearest) = distances.get_mut(sample.line) {
            *nearest = (sample.behind - best.offset).abs().min(*nearest);
        }
    }
    distances.retain(|far| *far <= best.width);
    distances.sort_unstable();
    Some(LogClock {
        offset: best.offset,
        matches: best.lines,
        spread: distances.get(distances.len() * 9 / 10).copied().unwrap_or(0),
        inexact: (last - best.offset).max(best.offset - first),
        has_zone,
    })
}

/// All differences, the smallest first. Digits that are left out make a time earlier than it was: by half a step in the middle.
fn samples(lines: &[Behind]) -> Vec<Sample> {
    let mut numbers: HashMap<(u64, usize), usize> = HashMap::new();
    let mut samples = Vec::with_capacity(lines.iter().map(|line| line.calls.len()).sum());
    for (number, line) in lines.iter().enumerate() {
        for (call, behind) in &line.calls {
            let next = numbers.len();
            let call = *numbers.entry((line.shape, *call)).or_insert(next);
            samples.push(Sample { behind: behind.saturating_add(line.step / 2), line: number, call });
        }
    }
    samples.sort_unstable_by_key(|sample| (sample.behind, sample.line, sample.call));
    samples
}

/// Samples that lie together.
#[derive(Clone, Copy)]
struct Cluster {
    /// Their median.
    offset: i64,
    /// They lie within this.
    width: i64,
    /// Lines of which each has a call of its own.
    lines: usize,
    /// How much likelier these lines are with that offset than at any other time, as a logarithm.
    score: f64,
}

/// Finds the clusters of all widths, one that begins at each sample.
fn for_each_cluster(
    lines: &[Behind],
    samples: &[Sample],
    step: i64,
    range: i64,
    has_zone: bool,
    found: &mut dyn FnMut(Cluster),
) {
    let calls = samples.iter().map(|sample| sample.call + 1).max().unwrap_or(0);
    let mut width = step.max(NARROWEST);
    loop {
        let mut window = Window::new(lines, calls);
        let mut end = 0;
        for (begin, first) in samples.iter().enumerate() {
            while let Some(sample) = samples.get(end).filter(|sample| sample.behind - first.behind <= width) {
                window.add(sample);
                end += 1;
            }
            if let Some(middle) = samples.get(usize::midpoint(begin, end)) {
                let near = step.max(NEAR);
                let wrong = wrongness(middle.behind, has_zone).max(near);
                let unlikely = 2.0 * (wrong as f64 / near as f64).ln();
                let score = window.score(width as f64 / range as f64) - unlikely;
                found(Cluster { offset: middle.behind, width, lines: window.matches(), score });
            }
            window.remove(first);
        }
        if width >= WIDTH {
            break;
        }
        width = (width * 4).min(WIDTH);
    }
}

/// The samples of a cluster, counted.
struct Window<'l> {
    lines: &'l [Behind],
    /// Samples of each line, and of each call.
    of_line: Vec<usize>,
    of_call: Vec<usize>,
    /// Lines and calls that have any.
    count: [usize; 2],
    /// Of these lines, the logarithms of the parts of their samples that are in it.
    parts: f64,
}

impl<'l> Window<'l> {
    fn new(lines: &'l [Behind], calls: usize) -> Self {
        Self { lines, of_line: vec![0; lines.len()], of_call: vec![0; calls], count: [0; 2], parts: 0.0 }
    }

    fn add(&mut self, sample: &Sample) {
        self.change(sample, |count| count + 1);
    }

    fn remove(&mut self, sample: &Sample) {
        self.change(sample, |count| count - 1);
    }

    fn change(&mut self, sample: &Sample, changed: impl Fn(usize) -> usize) {
        let all = self.lines.get(sample.line).map_or(1, |line| line.calls.len());
        let part = |own: usize| if own == 0 { 0.0 } else { (own as f64 / all as f64).ln() };
        let of = [self.of_line.get_mut(sample.line), self.of_call.get_mut(sample.call)];
        for (nth, of) in of.into_iter().enumerate() {
            let Some(of) = of else { continue };
            let before = std::mem::replace(of, changed(*of));
            self.count[nth] = self.count[nth] + usize::from(before == 0) - usize::from(*of == 0);
            if nth == 0 {
                self.parts += part(*of) - part(before);
            }
        }
    }

    /// Lines of which each has a call of its own.
    fn matches(&self) -> usize {
        self.count[0].min(self.count[1])
    }

    /// How much likelier the lines are than if their times had nothing to do with those of the calls, as a logarithm. `width`: that of the
    /// cluster, as a part of all times at which they may stand.
    fn score(&self, width: f64) -> f64 {
        let [lines, _] = self.count.map(|count| count.max(1) as f64);
        let matches = self.matches() as f64;
        let told = matches.max(1.0) / self.lines.len().max(1) as f64;
        matches * (self.parts / lines - width.ln() + told.ln() - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    /// Differences that belong to no pair, spread over an hour.
    fn noise(count: i64) -> impl Iterator<Item = i64> {
        (0..count).map(|n| (n * 7_919 % 3_600) * SECOND + n * 1_234_567)
    }

    /// Lines of one place, each of which may be about all of the calls.
    fn lines_of(times: impl IntoIterator<Item = i64>, calls: &[i64], step: i64) -> Vec<Behind> {
        let behind = |time: i64| calls.iter().map(|call| time - call).enumerate().collect();
        times.into_iter().map(|time| Behind { shape: 7, step, calls: behind(time) }).collect()
    }

    /// Lines that are about one call each, so far behind it.
    fn sure(differences: impl IntoIterator<Item = i64>) -> Vec<Behind> {
        let line = |(call, behind)| Behind { shape: 7, step: 1_000, calls: vec![(call, behind)] };
        differences.into_iter().enumerate().map(line).collect()
    }

    /// Times that have nothing to do with each other, about a second apart.
    fn uneven(count: i64) -> Vec<i64> {
        (0..count).map(|n| n * SECOND + n * n * 7_919 % 997 * 1_000_000).collect()
    }

    #[test]
    fn the_densest_cluster_counts_whatever_lies_around_it() {
        for offset in [0, 8 * HOUR, -5 * HOUR - HOUR / 2, 97 * SECOND, 8 * HOUR + 97 * SECOND] {
            let own = (0..20).map(|n| offset + n * 1_000_000);
            let clock = estimate(&sure(own.chain(noise(60))), false).unwrap();
            assert!((clock.offset - offset).abs() < 20_000_000, "{offset}: {clock:?}");
            assert!(clock.matches >= 10 && clock.spread < SECOND / 10 && clock.inexact < SECOND / 10);
            let (zone, wrong) = clock.parts();
            assert_eq!((zone % 1_800, wrong / SECOND), (0, offset % (HOUR / 2) / SECOND), "{offset}");
        }
    }

    #[test]
    fn where_errors_come_often_the_narrowest_cluster_is_the_offset() {
        for (spacing, offset) in [(1, 7_300), (1, -1_800), (2, 40_000), (5, 3_000)] {
            let calls: Vec<i64> = uneven(30).iter().map(|time| time * spacing).collect();
            let offset = offset * 1_000_000;
            // All lines; every second one; all but the first ones.
            for (first, every) in [(0, 1), (0, 2), (4, 1)] {
                let printed = calls.iter().skip(first).step_by(every);
                let times = printed.zip(0..).map(|(call, n)| call + offset + 100_000 * (n * 5 % 7));
                let clock = estimate(&lines_of(times, &calls, 1_000), true).unwrap();
                assert!((clock.offset - offset).abs() < 2_000_000, "{spacing} {offset} {every}: {clock:?}");
                assert!(clock.inexact < 2_000_000 && clock.spread < 2_000_000, "{clock:?}");
            }
        }
    }

    #[test]
    fn offsets_that_fit_equally_well_leave_the_clock_inexact_or_unknown() {
        let beat = |count: i64, gap: i64| (0..count).map(move |n| n * gap);
        let calls: Vec<i64> = beat(9, SECOND).collect();
        let late =
            |offset: i64| estimate(&lines_of(beat(8, SECOND).map(|at| at + offset), &calls, 1_000), true);
        let clock = late(7_300_000_000).unwrap();
        assert!(clock.inexact >= SECOND, "one beat more or less: {clock:?}");
        let slow: Vec<i64> = beat(9, 10 * SECOND).collect();
        let lines = lines_of(beat(8, 10 * SECOND).map(|at| at + 37 * SECOND), &slow, 1_000);
        assert_eq!(estimate(&lines, true), None);
        // A clock that is right is likelier than one that is wrong by a beat.
        let clock = late(300_000).unwrap();
        assert!(clock.offset < 1_000_000 && clock.inexact < 1_000_000, "{clock:?}");
    }

    #[test]
    fn seconds_without_a_fraction_make_a_clock_neither_wrong_nor_exact() {
        let calls = uneven(40);
        let seconds = calls.iter().map(|call| (call + 8 * HOUR).div_euclid(SECOND) * SECOND);
        let clock = estimate(&lines_of(seconds, &calls, SECOND), false).unwrap();
        assert_eq!(clock.parts().0, 8 * 3_600);
        assert!(clock.parts().1.abs() < SECOND && clock.inexact >= SECOND / 2, "{clock:?}");
    }

    #[test]
    fn one_sample_is_enough_only_for_a_zone() {
        let estimate = |differences: &[i64], has_zone| estimate(&sure(differences.iter().copied()), has_zone);
        assert_eq!(estimate(&[8 * HOUR + SECOND], false).map(|clock| clock.parts().0), Some(8 * 3_600));
        assert_eq!(estimate(&[8 * HOUR + SECOND], true), None, "it says its zone, and is eight hours off");
        assert_eq!(estimate(&[1_000 * SECOND], false), None);
        assert_eq!(estimate(&[], false), None);
        assert!(estimate(&[SECOND], true).is_some());
    }

    #[test]
    fn many_lines_that_have_nothing_to_do_with_the_calls_show_no_offset() {
        let calls = uneven(3);
        let storm = (0..200).map(|n| 300 * SECOND + n * 7_000_000_000 + n * n % 991 * 1_000_000);
        assert_eq!(estimate(&lines_of(storm, &calls, 1_000), true), None);
    }
}
