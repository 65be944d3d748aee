//! What has been counted so far: which steps walks take, after which time, and how outcomes follow from those of callees.
//!
//! All tables are counts of the present assignment, with priors that fit any service: what five calls show weighs as much as five
//! calls do. A walk is always judged without its own counts.

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::super::gaps::{self, BINS, Masses};
use super::walk::{Difference, Mark};

/// A choice among alternatives, counted for the operation and for its whole service. The service's counts are the prior of the
/// operation's, and `base` that of the service's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Counts of this alternative and of all: of the operation, then of the service.
    slots: [u32; 4],
    /// Probability before any count.
    base: f32,
}

/// Weight of the service's counts as the prior of the operation's, in calls.
const FINE: f32 = 3.0;

/// Weight of `base`, in calls.
const COARSE: f32 = 2.0;

/// A gap: which kind, and in which bin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    row: u32,
    bin: u8,
}

/// What a walk consists of: the choices made and the gaps between its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) choices: Vec<Choice>,
    pub(super) gaps: Vec<Gap>,
    /// Whether the error's text is found in that of the parent, and how common the parent's text is.
    pub(super) text: Option<(Choice, bool, f32)>,
    /// Logarithm of the factors that are not learnt.
    pub(super) fixed: f64,
    /// Where each step begins, so that a change need not be traced from the beginning.
    pub(super) marks: Vec<Mark>,
    /// Whether any of its calls failed.
    pub(super) has_failed: bool,
}

impl Walk {
    pub(super) fn clear(&mut self) {
        self.choices.clear();
        self.gaps.clear();
        self.text = None;
        self.fixed = 0.0;
        self.marks.clear();
        self.has_failed = false;
    }

    /// All of it.
    pub(super) fn whole(&self) -> Parts<'_> {
        let Self { choices, gaps, text, fixed, .. } = self;
        Parts { choices: [choices, &[]], gaps, text: text.as_ref(), fixed: *fixed }
    }

    /// What another walk with that difference does not share.
    pub(super) fn parts(&self, difference: Difference) -> Parts<'_> {
        let [first, end] = [difference.steps.0, difference.steps.1].map(|at| self.marks[at]);
        let outcome = self.marks[self.marks.len() - 1];
        let (rest, text, fixed) = if difference.outcome {
            (&self.choices[outcome.choices..], self.text.as_ref(), self.fixed - outcome.fixed)
        } else {
            (&[][..], None, 0.0)
        };
        Parts {
            choices: [&self.choices[first.choices..end.choices], rest],
            gaps: &self.gaps[first.gaps..end.gaps],
            text,
            fixed: end.fixed - first.fixed + fixed,
        }
    }
}

/// Parts of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    choices: [&'a [Choice]; 2],
    gaps: &'a [Gap],
    text: Option<&'a (Choice, bool, f32)>,
    fixed: f64,
}

/// The kinds of gaps, which differ before anything is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the request, or the end of a call, to the next call.
    After,
    /// From the start of a call to the next one beside it.
    Beside,
    /// From the end of the last call to the answer.
    Answer,
    /// From the start of a call that was never answered to the answer.
    Silent,
    /// From the request to the answer without any call.
    Alone,
    /// From the answer to a call after it.
    Late,
    /// From the answer of one of two equal calls side by side to the moment at which the caller gives up the other.
    Beaten,
}

impl Kind {
    /// The most usual gap as a power of two of nanoseconds, and over how many octaves the probability falls to 1/e below and above.
    const fn prior(self) -> (f32, f32, f32) {
        match self {
            Self::After => (19.0, 2.5, 2.0),
            Self::Beside => (16.0, 3.0, 3.0),
            Self::Answer => (18.0, 2.0, 1.8),
            Self::Silent => (25.0, 2.5, 2.5),
            Self::Alone => (21.0, 3.0, 3.0),
            Self::Late => (19.5, 2.0, 2.5),
            Self::Beaten => (16.0, 2.0, 1.5),
        }
    }

    const ALL: [Self; 7] =
        [Self::After, Self::Beside, Self::Answer, Self::Silent, Self::Alone, Self::Late, Self::Beaten];
}

/// The prior of each kind of gap, by bin. Made once: every host that is linked jointly has tables of its own.
static PRIORS: LazyLock<[Masses; Kind::ALL.len()]> = LazyLock::new(|| Kind::ALL.map(prior));

/// The masses of a kind of gap before anything is learnt, which sum to one.
fn prior(kind: Kind) -> Masses {
    let mut prior = [0.0; BINS];
    let (top, below, above) = kind.prior();
    let mut sum = 0.0;
    let mut low = 0.0_f64;
    let first = bin(0);
    for (at, mass) in prior.iter_mut().enumerate() {
        let octave = ((low + gaps::width(at) / 2.0).log2()) as f32;
        low += gaps::width(at);
        let away = octave - top;
        *mass = (away / if away < 0.0 { below } else { -above }).exp();
        sum += *mass;
    }
    for mass in &mut prior {
        *mass = (1.0 - EVEN) * *mass / sum + EVEN / BINS as f32;
    }
    let shortest: f32 = prior[..=first].iter().sum();
    prior[..first].fill(0.0);
    prior[first] = shortest;
    prior
}

/// Share of the prior that is spread evenly over all bins.
const EVEN: f32 = 0.08;

/// Weight of the prior of a gap, in calls.
const GAP_PRIOR: f32 = 1.0;

/// Number of gaps at which narrow and wide smoothing have equal weight.
const FEW: f32 = 8.0;

/// Bins over which a gap is smoothed to either side: with many gaps, and with few.
const REACH: [usize; 2] = [2, 6];

/// Nanoseconds in the unit of time of all densities.
const UNIT: f64 = 1e6;

/// Shorter gaps are not distinguished, nanoseconds: what one thread writes at once, another may write at once too, and calls of
/// many parents leave in one packet.
const RESOLUTION: i64 = 1 << 15;

/// The bin of a gap.
fn bin(gap: i64) -> usize {
    gaps::bin(gap.max(RESOLUTION - 1))
}

/// Width of a bin, nanoseconds.
fn width(at: usize) -> f64 {
    if at <= bin(0) { RESOLUTION as f64 } else { gaps::width(at) }
}

/// The gaps of one kind of step.
#[derive(Clone, Debug)]
struct Histogram {
    kind: Kind,
    all: f32,
    narrow: Masses,
    wide: Masses,
}

/// What the weights of one gap sum up to, with narrow and with wide smoothing. The weights are integers, so that what is added and
/// removed again leaves no trace.
const SUMS: [f32; 2] = [((REACH[0] + 1) * (REACH[0] + 1)) as f32, ((REACH[1] + 1) * (REACH[1] + 1)) as f32];

/// The weight of a gap in a bin that many bins away.
fn weight(away: usize, reach: usize) -> f32 {
    (reach + 1).saturating_sub(away) as f32
}

impl Histogram {
    fn add(&mut self, bin: usize, sign: f32) {
        self.all += sign;
        for (masses, reach) in [(&mut self.narrow, REACH[0]), (&mut self.wide, REACH[1])] {
            let first = bin.saturating_sub(reach);
            let last = (bin + reach).min(BINS - 1);
            for (mass, at) in masses[first..=last].iter_mut().zip(first..) {
                *mass += sign * weight(at.abs_diff(bin), reach);
            }
        }
    }
}

/// A key of a choice: its kind, who chooses, in which state, and the alternative.
type Key = (u8, u32, u32, u32);

/// The tables.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    slots: HashMap<Key, u32, FixedState>,
    counts: Vec<f32>,
    choices: HashMap<Key, Choice, FixedState>,
    rows: HashMap<Key, u32, FixedState>,
    histograms: Vec<Histogram>,
}

/// Set in the kind of a key for the counts of the service.
const SERVICE: u8 = 0x80;

/// The alternative that stands for all of them.
const ALL: u32 = u32::MAX;

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            slots: HashMap::default(),
            counts: Vec::new(),
            choices: HashMap::default(),
            rows: HashMap::default(),
            histograms: Vec::new(),
        }
    }

    fn slot(&mut self, key: Key) -> u32 {
        let counts = &mut self.counts;
        *self.slots.entry(key).or_insert_with(|| {
            counts.push(0.0);
            counts.len() as u32 - 1
        })
    }

    /// A choice of `who` (an operation and its service) in a state.
    pub(super) fn choice(
        &mut self,
        kind: u8,
        who: (u32, u32),
        state: u32,
        next: u32,
        base: impl FnOnce() -> f32,
    ) -> Choice {
        let key = (kind, who.0, state, next);
        if let Some(choice) = self.choices.get(&key) {
            return *choice;
        }
        let service = kind | SERVICE;
        let slots =
            [key, (kind, who.0, state, ALL), (service, who.1, state, next), (service, who.1, state, ALL)]
                .map(|key| self.slot(key));
        let choice = Choice { slots, base: base() };
        self.choices.insert(key, choice);
        choice
    }

    /// A gap of a service.
    pub(super) fn gap(&mut self, kind: Kind, service: u32, state: u32, next: u32, gap: i64) -> Gap {
        let key = (kind as u8, service, state, next);
        let histograms = &mut self.histograms;
        let row = *self.rows.entry(key).or_insert_with(|| {
            histograms.push(Histogram { kind, all: 0.0, narrow: [0.0; BINS], wide: [0.0; BINS] });
            histograms.len() as u32 - 1
        });
        Gap { row, bin: bin(gap) as u8 }
    }

    /// Probability of a choice.
    fn probability(&self, choice: &Choice) -> f32 {
        let count = |slot: usize| self.counts[choice.slots[slot] as usize];
        let coarse = (count(2) + COARSE * choice.base) / (count(3) + COARSE);
        (count(0) + FINE * coarse) / (count(1) + FINE)
    }

    /// Density of a gap per unit of time, without the gaps of `own`.
    fn density(&self, gap: Gap, own: &Walk) -> f64 {
        let histogram = &self.histograms[gap.row as usize];
        let at = gap.bin as usize;
        let (mut all, mut narrow, mut wide) = (histogram.all, histogram.narrow[at], histogram.wide[at]);
        for other in own.gaps.iter().filter(|other| other.row == gap.row) {
            let away = at.abs_diff(other.bin as usize);
            all -= 1.0;
            narrow -= weight(away, REACH[0]);
            wide -= weight(away, REACH[1]);
        }
        let blur = FEW / (FEW + all);
        let mass = (1.0 - blur) * narrow / SUMS[0] + blur * wide / SUMS[1];
        let prior = PRIORS[histogram.kind as usize][at];
        f64::from((mass + GAP_PRIOR * prior) / (all + GAP_PRIOR)) / width(at) * UNIT
    }

    /// Logarithm of the likelihood of parts of a walk. The choices of `own`, the present walk of its parent, must not be counted;
    /// its gaps are left out here.
    pub(super) fn score(&self, walk: Parts<'_>, own: &Walk) -> f64 {
        let mut sum = walk.fixed;
        let mut product = 1.0_f64;
        for choice in walk.choices.into_iter().flatten() {
            product *= f64::from(self.probability(choice));
            if product < 1e-100 {
                sum += product.max(f64::MIN_POSITIVE).ln();
                product = 1.0;
            }
        }
        for gap in walk.gaps {
            product *= self.density(*gap, own);
            if !(1e-100..1e100).contains(&product) {
                sum += product.max(f64::MIN_POSITIVE).ln();
                product = 1.0;
            }
        }
        if let Some((choice, related, common)) = walk.text {
            let passed = f64::from(self.probability(choice)).clamp(0.01, 0.99);
            let common = f64::from(*common);
            product *= if *related {
                // The choice is that it is related.
                (passed + (1.0 - passed) * common) / common
            } else {
                passed
            };
        }
        sum + product.max(f64::MIN_POSITIVE).ln()
    }

    /// Adds (1) or removes (-1) the counts of a walk.
    pub(super) fn count(&mut self, walk: &Walk, sign: f32) {
        self.count_choices(walk, sign);
        for gap in &walk.gaps {
            self.histograms[gap.row as usize].add(gap.bin as usize, sign);
        }
    }

    /// The same for its choices alone.
    pub(super) fn count_choices(&mut self, walk: &Walk, sign: f32) {
        for choice in &walk.choices {
            self.count_choice(choice, sign);
        }
        if let Some((choice, ..)) = &walk.text {
            self.count_choice(choice, sign);
        }
    }

    fn count_choice(&mut self, choice: &Choice, sign: f32) {
        for &slot in &choice.slots {
            self.counts[slot as usize] += sign;
        }
    }

    /// A count that is no choice of a walk.
    pub(super) fn tally(&mut self, kind: u8, who: u32, what: u32) -> u32 {
        self.slot((kind, who, what, 0))
    }

    pub(super) fn tallied(&self, slot: u32) -> f32 {
        self.counts[slot as usize]
    }

    pub(super) fn add(&mut self, slot: u32, sign: f32) {
        self.counts[slot as usize] += sign;
    }
}

/// Nanoseconds in units of time.
pub(super) fn units(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / UNIT
}
