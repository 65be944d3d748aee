//! What has been counted so far: which steps walks take, after which time, and how outcomes follow from those of callees.
//!
//! All tables are counts of the present assignment, with priors that fit any service: what five calls show weighs as much as five
//! calls do. A walk is always judged without its own counts.

use std::ops::Range;
use std::sync::LazyLock;

use super::super::gaps::{self, BINS, Masses};
use super::keyed::{Key, Keyed};
use super::walk::{Difference, Mark};

/// A choice among alternatives, counted for the operation and for its whole service. The service's counts are the prior of the
/// operation's, and `base` that of the service's.
#[derive(Clone, Copy, Debug, Default)]
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
    /// For each choice and the text: what the parent's present walk has counted of it.
    own_choices: Vec<OwnChoice>,
    own_text: OwnText,
    /// The same for each gap; empty if this is that walk, of which few gaps are asked for.
    own_gaps: Vec<OwnGap>,
    /// Whether the error's text is found in that of the parent, and how common the parent's text is.
    pub(super) text: Option<(Choice, bool, f32)>,
    /// Logarithm of the factors that are not learnt.
    pub(super) fixed: f64,
    /// Where each step begins, so that a change need not be traced from the beginning.
    pub(super) marks: Vec<Mark>,
    /// Whether any of its calls failed.
    pub(super) has_failed: bool,
}

/// How often a walk has made a choice, and how often any in its place: all of a walk are of the same operation.
type OwnChoice = [f32; 2];

/// How often a walk was counted in each slot of the choice of its text, which may be of another operation.
type OwnText = [f32; 4];

/// What a walk has added to the histogram of a gap: to the number of all, and in the gap's bin with narrow and with wide smoothing.
type OwnGap = [f32; 3];

impl Walk {
    pub(super) fn clear(&mut self) {
        self.choices.clear();
        self.gaps.clear();
        self.text = None;
        self.fixed = 0.0;
        self.marks.clear();
        self.has_failed = false;
    }

    /// Memory that its lists take, in bytes.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let own = self.own_choices.capacity() * size_of::<OwnChoice>()
            + self.own_gaps.capacity() * size_of::<OwnGap>();
        let steps = self.choices.capacity() * size_of::<Choice>() + self.gaps.capacity() * size_of::<Gap>();
        own + steps + self.marks.capacity() * size_of::<Mark>()
    }

    /// All of it, of a parent with that present walk.
    pub(super) fn whole<'a>(&'a self, present: &'a Self) -> Parts<'a> {
        let text = self.text.as_ref().map(|text| (text, self.own_text));
        let choices = [(&self.choices[..], &self.own_choices[..]), (&[][..], &[][..])];
        Parts { choices, gaps: &self.gaps, own_gaps: &self.own_gaps, present, text, fixed: self.fixed }
    }

    fn own_of_gap(&self, gap: Gap) -> OwnGap {
        let [mut all, mut narrow, mut wide] = OwnGap::default();
        for counted in self.gaps.iter().filter(|counted| counted.row == gap.row) {
            let away = usize::from(gap.bin.abs_diff(counted.bin));
            all += 1.0;
            narrow += weight(away, REACH[0]);
            wide += weight(away, REACH[1]);
        }
        [all, narrow, wide]
    }

    /// What another walk with that difference does not share with this one, the present walk.
    pub(super) fn parts(&self, difference: Difference) -> Parts<'_> {
        let (first, end) = (&self.marks[difference.steps.0], &self.marks[difference.steps.1]);
        let outcome = &self.marks[self.marks.len() - 1];
        let choices = |places: Range<usize>| (&self.choices[places.clone()], &self.own_choices[places]);
        let (rest, text, fixed) = if difference.outcome {
            let text = self.text.as_ref().map(|text| (text, self.own_text));
            (choices(outcome.choices..self.choices.len()), text, self.fixed - outcome.fixed)
        } else {
            (choices(0..0), None, 0.0)
        };
        let gaps = first.gaps..end.gaps;
        Parts {
            choices: [choices(first.choices..end.choices), rest],
            gaps: &self.gaps[gaps],
            own_gaps: &[],
            present: self,
            text,
            fixed: end.fixed - first.fixed + fixed,
        }
    }
}

/// Parts of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    choices: [(&'a [Choice], &'a [OwnChoice]); 2],
    gaps: &'a [Gap],
    /// See [`Walk::own_gaps`].
    own_gaps: &'a [OwnGap],
    present: &'a Walk,
    text: Option<(&'a (Choice, bool, f32), OwnText)>,
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
    let shortest: f32 = prior[..=FIRST].iter().sum();
    prior[..FIRST].fill(0.0);
    prior[FIRST] = shortest;
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

/// The bin of the shortest gaps.
const FIRST: usize = gaps::bin(RESOLUTION - 1);

/// The bin of a gap.
fn bin(gap: i64) -> usize {
    gaps::bin(gap.max(RESOLUTION - 1))
}

/// Width of a bin, nanoseconds.
fn width(at: usize) -> f64 {
    if at <= FIRST { RESOLUTION as f64 } else { gaps::width(at) }
}

/// The gaps of one kind of step.
#[derive(Clone, Debug)]
struct Histogram {
    kind: Kind,
    all: f32,
    narrow: Smoothed,
    wide: Smoothed,
}

/// Masses that reach beyond the first and the last bin.
type Smoothed = [f32; BINS + 2 * REACH[1]];

/// What the weights of one gap sum up to, with narrow and with wide smoothing. The weights are integers, so that what is added and
/// removed again leaves no trace.
const SUMS: [f32; 2] = [((REACH[0] + 1) * (REACH[0] + 1)) as f32, ((REACH[1] + 1) * (REACH[1] + 1)) as f32];

/// The weight of a gap in a bin that many bins away.
const fn weight(away: usize, reach: usize) -> f32 {
    (reach + 1).saturating_sub(away) as f32
}

/// The weights of a gap in the bins around it.
const fn weights<const N: usize>() -> [f32; N] {
    let mut weights = [0.0; N];
    let mut at = 0;
    while at < N {
        weights[at] = weight(at.abs_diff(N / 2), N / 2);
        at += 1;
    }
    weights
}

const NARROW: [f32; 2 * REACH[0] + 1] = weights();
const WIDE: [f32; 2 * REACH[1] + 1] = weights();

/// Adds the weights of a gap.
fn spread<const N: usize>(masses: &mut Smoothed, bin: usize, weights: &[f32; N], sign: f32) {
    // All at once, so that the processor adds several together.
    if let Some(around) = masses[bin + REACH[1] - N / 2..].first_chunk_mut::<N>() {
        around.iter_mut().zip(weights).for_each(|(mass, weight)| *mass += sign * weight);
    }
}

impl Histogram {
    fn add(&mut self, bin: usize, sign: f32) {
        self.all += sign;
        spread(&mut self.narrow, bin, &NARROW, sign);
        spread(&mut self.wide, bin, &WIDE, sign);
    }
}

/// The tables.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    slots: Keyed<u32>,
    counts: Vec<f32>,
    /// As many zeros.
    own: Vec<f32>,
    choices: Keyed<Choice>,
    rows: Keyed<u32>,
    histograms: Vec<Histogram>,
}

/// Set in the kind of a key for the counts of the service.
const SERVICE: u8 = 0x80;

/// The alternative that stands for all of them.
const ALL: u32 = u32::MAX;

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            slots: Keyed::new(),
            counts: Vec::new(),
            own: Vec::new(),
            choices: Keyed::new(),
            rows: Keyed::new(),
            histograms: Vec::new(),
        }
    }

    fn slot(&mut self, key: Key) -> u32 {
        if let Some(slot) = self.slots.get(key) {
            return slot;
        }
        let slot = self.counts.len() as u32;
        self.counts.push(0.0);
        self.own.push(0.0);
        self.slots.insert(key, slot);
        slot
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
        if let Some(choice) = self.choices.get(key) {
            return choice;
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
        let row = self.rows.get(key).unwrap_or_else(|| self.add_row(kind, key));
        Gap { row, bin: bin(gap) as u8 }
    }

    /// Adds a kind of step without any gap.
    #[cold]
    fn add_row(&mut self, kind: Kind, key: Key) -> u32 {
        let row = self.histograms.len() as u32;
        let none = [0.0; BINS + 2 * REACH[1]];
        self.histograms.push(Histogram { kind, all: 0.0, narrow: none, wide: none });
        self.rows.insert(key, row);
        row
    }

    /// Probability of a choice, without what is its `own` in each slot.
    fn probability(&self, choice: &Choice, own: [f32; 4]) -> f32 {
        let count = |slot: usize| self.counts[choice.slots[slot] as usize] - own[slot];
        let coarse = (count(2) + COARSE * choice.base) / (count(3) + COARSE);
        (count(0) + FINE * coarse) / (count(1) + FINE)
    }

    /// Density of a gap per unit of time, without what is `own`.
    fn density(&self, gap: Gap, own: OwnGap) -> f64 {
        let histogram = &self.histograms[gap.row as usize];
        let at = gap.bin as usize;
        let place = at + REACH[1];
        let all = histogram.all - own[0];
        let (narrow, wide) = (histogram.narrow[place] - own[1], histogram.wide[place] - own[2]);
        let blur = FEW / (FEW + all);
        let mass = (1.0 - blur) * narrow / SUMS[0] + blur * wide / SUMS[1];
        let prior = PRIORS[histogram.kind as usize][at];
        f64::from((mass + GAP_PRIOR * prior) / (all + GAP_PRIOR)) / width(at) * UNIT
    }

    /// Logarithm of the likelihood of parts of a walk, without the counts of the present walk of its parent.
    pub(super) fn score(&self, walk: Parts<'_>) -> f64 {
        let mut sum = walk.fixed;
        let mut product = 1.0_f64;
        for (choices, own) in walk.choices {
            for (choice, &[same, all]) in choices.iter().zip(own) {
                product *= f64::from(self.probability(choice, [same, all, same, all]));
                if product < 1e-100 {
                    sum += product.max(f64::MIN_POSITIVE).ln();
                    product = 1.0;
                }
            }
        }
        for (place, gap) in walk.gaps.iter().enumerate() {
            let own = walk.own_gaps.get(place).copied().unwrap_or_else(|| walk.present.own_of_gap(*gap));
            product *= self.density(*gap, own);
            if !(1e-100..1e100).contains(&product) {
                sum += product.max(f64::MIN_POSITIVE).ln();
                product = 1.0;
            }
        }
        if let Some(((choice, related, common), own)) = walk.text {
            let passed = f64::from(self.probability(choice, own)).clamp(0.01, 0.99);
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

    /// Notes of the parent's present walk what it has counted of its own choices.
    pub(super) fn note_own(&mut self, walk: &mut Walk) {
        let mut own = std::mem::take(&mut walk.own_choices);
        walk.own_text = self.find_own(walk, walk, &mut own);
        walk.own_choices = own;
        walk.own_gaps.clear();
    }

    /// Notes of another walk what the present one has counted of it.
    pub(super) fn note_own_of(&mut self, new: &mut Walk, present: &Walk) {
        let mut own = std::mem::take(&mut new.own_choices);
        new.own_text = self.find_own(present, new, &mut own);
        new.own_choices = own;
        new.own_gaps.clear();
        new.own_gaps.extend(new.gaps.iter().map(|gap| present.own_of_gap(*gap)));
    }

    /// How often `present` has counted each choice of `walk`, and its text.
    fn find_own(&mut self, present: &Walk, walk: &Walk, own: &mut Vec<OwnChoice>) -> OwnText {
        own.clear();
        // Counting all of them takes less than comparing each with each, however few they are.
        let counted = || present.choices.iter().flat_map(|choice| [choice.slots[0], choice.slots[1]]);
        counted().for_each(|slot| self.own[slot as usize] += 1.0);
        let times = |choice: &Choice| [0, 1].map(|at| self.own[choice.slots[at] as usize]);
        own.extend(walk.choices.iter().map(times));
        counted().for_each(|slot| self.own[slot as usize] = 0.0);
        match (&walk.text, &present.text) {
            (Some((choice, ..)), Some((counted, ..))) => {
                std::array::from_fn(|slot| f32::from(u8::from(choice.slots[slot] == counted.slots[slot])))
            }
            _ => OwnText::default(),
        }
    }

    /// By how much a walk is likelier with what `new` has in place of that difference than as it is, `now`.
    pub(super) fn gain(&self, now: &Walk, new: &Walk, difference: Difference) -> f64 {
        self.score(new.whole(now)) - self.score(now.parts(difference))
    }

    /// Adds (1) or removes (-1) the counts of a walk.
    pub(super) fn count(&mut self, walk: &Walk, sign: f32) {
        for gap in &walk.gaps {
            self.histograms[gap.row as usize].add(gap.bin as usize, sign);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A walk of that many steps, of few kinds.
    fn walk(tables: &mut Tables, steps: u32) -> Walk {
        let mut walk = Walk::default();
        for step in 0..steps {
            walk.choices.push(tables.choice(1, (0, 0), step % 3, step % 2, || 0.5));
            walk.gaps.push(tables.gap(Kind::After, 0, step % 2, 0, 1 << (16 + step % 8)));
        }
        walk.text = Some((tables.choice(2, (steps % 2, 0), 0, 1, || 0.5), true, 0.1));
        walk
    }

    #[test]
    fn a_walk_is_judged_without_its_own_counts_whatever_its_length() {
        for steps in [0, 2, 16, 100] {
            let mut tables = Tables::new();
            let other = walk(&mut tables, 7);
            tables.count(&other, 1.0);
            let mut present = walk(&mut tables, steps);
            tables.note_own(&mut present);
            let mut new = walk(&mut tables, 5);
            tables.note_own_of(&mut new, &present);
            tables.count(&present, 1.0);
            let judged = [&present, &new].map(|walk| tables.score(walk.whole(&present)).to_bits());
            tables.count(&present, -1.0);
            let nothing = Walk::default();
            let bare = [&mut present, &mut new].map(|walk| {
                tables.note_own_of(walk, &nothing);
                tables.score(walk.whole(&nothing)).to_bits()
            });
            assert_eq!(judged, bare, "{steps} steps");
        }
    }
}
