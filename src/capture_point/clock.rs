//! The difference of two clocks, by packets that were seen at both, as in NTP (RFC 5905, section 8).
//!
//! A packet from one host to the other seems to take the clock difference plus the travel time; a packet on the way back, the clock
//! difference minus the travel time. The fastest packets of both directions leave a corridor that contains the difference. Its middle is
//! the estimate, half its width the uncertainty, and its width the round-trip time of the network. Over a longer time clocks drift, and
//! the corridor has a slope.

use rpcscope_parsers::Side;

use crate::source::site::Lead;
use crate::time::Timestamp;

/// A packet seen by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Time of the reference clock.
    pub(super) reference: Timestamp,
    /// Time of the clock that is compared with it.
    pub(super) own: Timestamp,
    /// The two hosts that it travelled between.
    pub(super) route: u32,
    /// Which of them sent it.
    pub(super) side: Side,
}

impl Sample {
    /// The same with the clocks exchanged.
    pub(super) fn reversed(self) -> Self {
        Self { reference: self.own, own: self.reference, ..self }
    }

    /// How far the clock seemed to be ahead, nanoseconds.
    fn ahead(&self) -> i64 {
        self.own - self.reference
    }
}

/// A clock compared with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    /// How far it is ahead.
    pub(super) lead: Lead,
    /// The largest error of that, nanoseconds.
    pub(super) uncertainty: u64,
    /// Number of compared packets.
    pub(super) packets: usize,
}

/// Most pieces that the time is divided into; in each, the fastest packets count.
const MAX_PIECES: usize = 64;
/// Desired packets per piece and direction.
const PIECE: usize = 32;
/// Fewest packets per piece and direction.
const MIN_PIECE: usize = 8;
/// Fewest pieces for an estimate of drift.
const MIN_PIECES: usize = 6;
/// One of this many packets may be faster than possible: if a capture misses a packet, its retransmission is taken for the first
/// copy.
const OUTLIERS: usize = 16;
/// Highest drift of a working clock.
const MAX_DRIFT: f64 = 1e-3;
/// Drift counts if it widens the corridor by at least this share.
const GAIN: f64 = 0.25;
/// Best precision of time stamps, nanoseconds.
const RESOLUTION: u64 = 1_000;

/// The fastest packet of a piece: its time, and how far the clock seemed ahead.
#[derive(Clone, Copy, Debug)]
struct Bound {
    time: f64,
    ahead: f64,
}

/// The fastest packets of both directions: upper bounds of the difference by packets that came, lower bounds by packets that went.
#[derive(Debug, Default)]
struct Corridor {
    above: Vec<Bound>,
    below: Vec<Bound>,
}

impl Corridor {
    /// The bounds of the difference, given the drift.
    fn ends(&self, drift: f64) -> (f64, f64) {
        let level = |bound: &Bound| bound.ahead - drift * bound.time;
        let above = self.above.iter().map(level).fold(f64::INFINITY, f64::min);
        let below = self.below.iter().map(level).fold(f64::NEG_INFINITY, f64::max);
        (below, above)
    }

    fn width(&self, drift: f64) -> f64 {
        let (below, above) = self.ends(drift);
        above - below
    }

    /// The drift at which the corridor is widest, by ternary search: the width is a concave function of the drift.
    fn widest(&self) -> f64 {
        let (mut low, mut high) = (-MAX_DRIFT, MAX_DRIFT);
        for _ in 0..100 {
            let third = (high - low) / 3.0;
            if self.width(low + third) < self.width(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        f64::midpoint(low, high)
    }
}

/// Compares two clocks; `None` if all shared packets went in one direction.
pub(super) fn compare(samples: &[Sample]) -> Option<Comparison> {
    let mut samples = samples.to_vec();
    samples.sort_unstable_by_key(|s| (s.own, s.reference, s.route, s.side.index()));
    let Directions { came, went, round_trip } = directions(&samples);
    let all = came.iter().chain(&went);
    let from = all.clone().map(|s| s.own).min()?;
    let until = all.map(|s| s.own).max()?;
    if came.is_empty() || went.is_empty() {
        return None;
    }
    // Offsets are relative to a base, so that large numbers do not swallow fractions.
    let base = came[0].ahead();
    let packets = came.len().min(went.len());
    let pieces = (packets / PIECE).min(MAX_PIECES).max((packets / MIN_PIECE).min(2 * MIN_PIECES)).max(1);
    let piece = |s: &Sample| {
        let share = (s.own - from) as f64 / ((until - from) as f64).max(1.0);
        ((share * pieces as f64) as usize).min(pieces - 1)
    };
    let mut corridor = Corridor::default();
    let (mut above, mut below) = (vec![Vec::new(); pieces], vec![Vec::new(); pieces]);
    let bound = |s: &Sample| Bound { time: (s.own - from) as f64, ahead: (s.ahead() - base) as f64 };
    for s in &came {
        above[piece(s)].push(bound(s));
    }
    for s in &went {
        below[piece(s)].push(bound(s));
    }
    corridor.above.extend(above.iter_mut().filter_map(|all| fastest(all, f64::total_cmp)));
    corridor.below.extend(below.iter_mut().filter_map(|all| fastest(all, |a, b| b.total_cmp(a))));

    let level = corridor.width(0.0);
    let widest = corridor.widest();
    let enough = corridor.above.len().min(corridor.below.len()) >= MIN_PIECES;
    let drift = if enough && corridor.width(widest) - level > level.max(0.0) * GAIN { widest } else { 0.0 };
    let (low, high) = corridor.ends(drift);
    // If the corridor is narrower than the shortest round trip, the clock was set meanwhile or drifted unevenly, and the error is larger
    // by that.
    let missing = (round_trip as f64 - (high - low)).max(0.0);
    let uncertainty = f64::midpoint((high - low).max(round_trip as f64), missing).round() as u64;
    let lead =
        Lead { from, until, offset: base.saturating_add(f64::midpoint(low, high).round() as i64), drift };
    let uncertainty = uncertainty.max(RESOLUTION);
    Some(Comparison { lead, uncertainty, packets: came.len() + went.len() })
}

/// The fastest packet of a piece, apart from outliers.
fn fastest(all: &mut [Bound], order: impl Fn(&f64, &f64) -> std::cmp::Ordering) -> Option<Bound> {
    all.sort_by(|a, b| order(&a.ahead, &b.ahead));
    all.get(all.len() / OUTLIERS).copied()
}

/// Packets that came to the host of the clock, and packets that left it.
#[derive(Debug, Default)]
struct Directions {
    came: Vec<Sample>,
    went: Vec<Sample>,
    /// The shortest round trip of two successive packets, nanoseconds.
    round_trip: i64,
}

/// Sorts packets by their direction, which shows in the times: of two packets between the same hosts, the clock seems further ahead
/// by the one that came. Routes with packets in one direction only are ignored.
fn directions(samples: &[Sample]) -> Directions {
    let mut routes: Vec<u32> = samples.iter().map(|s| s.route).collect();
    routes.sort_unstable();
    routes.dedup();
    let mut by_route: Vec<Vec<Sample>> = vec![Vec::new(); routes.len()];
    for sample in samples {
        if let Ok(at) = routes.binary_search(&sample.route) {
            by_route[at].push(*sample);
        }
    }
    let mut found = Directions::default();
    let mut fastest: Vec<i64> = Vec::new();
    for route in by_route {
        // Only neighbours in time are compared, so that drift does not matter.
        let mut steps: Vec<i64> = route
            .windows(2)
            .filter(|pair| pair[0].side != pair[1].side)
            .map(|pair| {
                let (a, b) = if pair[0].side == Side::A { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                a.ahead().saturating_sub(b.ahead())
            })
            .collect();
        if steps.is_empty() {
            continue;
        }
        steps.sort_unstable();
        let comes = if steps[steps.len() / 2] >= 0 { Side::A } else { Side::B };
        if comes == Side::B {
            for step in &mut steps {
                *step = step.saturating_neg();
            }
            steps.reverse();
        }
        fastest.push(steps[steps.len() / OUTLIERS]);
        for sample in route {
            if sample.side == comes { found.came.push(sample) } else { found.went.push(sample) }
        }
    }
    found.round_trip = fastest.into_iter().min().unwrap_or(0).max(0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> i64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 33) % below) as i64
        }
    }

    const START: i64 = 1_700_000_000_000_000_000;

    /// Packets in both directions over `seconds`, which take `delay` plus up to `jitter`, to a clock that is ahead by `offset` and
    /// gains `drift`.
    fn exchange(seconds: i64, packets: i64, offset: i64, drift: f64, delay: i64, jitter: u64) -> Vec<Sample> {
        let mut dice = Dice(7);
        let mut samples = Vec::new();
        for n in 0..packets {
            let sent = START + n * seconds * 1_000_000_000 / packets;
            let there = sent + delay + dice.roll(jitter);
            let back = there + 400_000;
            let home = back + delay + dice.roll(jitter);
            let clock = |time: i64| Timestamp(time + offset + ((time - START) as f64 * drift).round() as i64);
            let route = 1;
            samples.push(Sample { reference: Timestamp(sent), own: clock(there), route, side: Side::B });
            samples.push(Sample { reference: Timestamp(home), own: clock(back), route, side: Side::A });
        }
        samples
    }

    /// The largest error of the comparison over the time of the samples.
    fn error(found: &Comparison, samples: &[Sample], offset: i64, drift: f64) -> u64 {
        let off = |s: &Sample| {
            let time = s.own.0 - offset - START;
            let truth = offset + (time as f64 * drift / (1.0 + drift)).round() as i64;
            (found.lead.at(s.own) - truth).unsigned_abs()
        };
        samples.iter().map(off).max().unwrap()
    }

    #[test]
    fn the_offset_lies_within_the_stated_uncertainty() {
        for (offset, delay, jitter) in
            [(1_203_000_000, 50_000, 30_000), (-3_000_000_000, 200_000, 2_000_000), (7, 1_000, 1), (0, 0, 1)]
        {
            let samples = exchange(20, 500, offset, 0.0, delay, jitter);
            let found = compare(&samples).unwrap();
            assert!(error(&found, &samples, offset, 0.0) <= found.uncertainty, "{found:?}");
            assert!(found.uncertainty <= (delay as u64 + jitter).max(RESOLUTION), "{found:?}");
            assert_eq!(found.packets, 1000);
            let back: Vec<Sample> = samples.into_iter().map(Sample::reversed).collect();
            let back = compare(&back).unwrap();
            assert!(back.lead.offset.abs_diff(-found.lead.offset) <= found.uncertainty, "{back:?}");
        }
    }

    #[test]
    fn drift_is_estimated() {
        for drift in [50e-6, -50e-6, 200e-6] {
            let samples = exchange(60, 2_000, -2_000_000_000, drift, 60_000, 40_000);
            let found = compare(&samples).unwrap();
            assert!((found.lead.drift / drift - 1.0).abs() < 0.05, "{found:?}");
            assert!(error(&found, &samples, -2_000_000_000, drift) <= found.uncertainty, "{found:?}");
            assert!(found.uncertainty < 100_000, "{found:?}");
        }
    }

    #[test]
    fn noise_is_not_taken_for_drift() {
        let samples = exchange(2, 60, 5_000_000, 0.0, 100_000, 400_000);
        let found = compare(&samples).unwrap();
        assert!(error(&found, &samples, 5_000_000, 0.0) <= found.uncertainty, "{found:?}");
    }

    #[test]
    fn an_outlier_changes_nothing() {
        let mut samples = exchange(20, 500, 1_000_000, 0.0, 100_000, 20_000);
        // One end captured the first copy, the other a retransmission.
        samples[100].reference = Timestamp(samples[100].reference.0 + 200_000_000);
        let found = compare(&samples).unwrap();
        assert!(found.lead.offset.abs_diff(1_000_000) <= found.uncertainty, "{found:?}");
        assert!(found.uncertainty < 200_000, "{found:?}");
    }

    #[test]
    fn one_direction_is_not_enough() {
        let all = exchange(1, 10, 5, 0.0, 1000, 1);
        let came: Vec<Sample> = all.iter().filter(|s| s.side == Side::A).copied().collect();
        assert_eq!(compare(&came), None);
        assert_eq!(compare(&[]), None);
        // Two routes of one direction each are not each other's way back.
        let other = all.iter().filter(|s| s.side == Side::B).map(|s| Sample { route: 2, ..*s });
        assert_eq!(compare(&came.iter().copied().chain(other).collect::<Vec<_>>()), None);
    }
}
