//! Distributions of the time between one event of a parent and the next, and the probability of each next event.

use std::collections::BTreeSet;

use hashbrown::HashMap;

/// Gaps below this power of two, in nanoseconds, are not distinguished.
const SHORTEST_BITS: u32 = 8;

/// Bins of a distribution: four per octave from 256 ns to 137 s, and one below.
pub(crate) const BINS: usize = 117;

/// The bin of a gap in nanoseconds.
pub(crate) const fn bin(gap: i64) -> usize {
    if gap < 1 << SHORTEST_BITS {
        return 0;
    }
    let gap = gap as u64;
    let octave = gap.ilog2();
    let quarter = (gap >> (octave - 2)) & 3;
    let bin = (octave - SHORTEST_BITS) as usize * 4 + quarter as usize + 1;
    if bin < BINS { bin } else { BINS - 1 }
}

/// Width of a bin, nanoseconds.
pub(crate) fn width(bin: usize) -> f64 {
    WIDTHS[bin]
}

const WIDTHS: [f64; BINS] = {
    let mut widths = [(1 << SHORTEST_BITS) as f64; BINS];
    let mut bin = 1;
    while bin < BINS {
        widths[bin] = (1_u64 << ((bin - 1) / 4 + SHORTEST_BITS as usize - 2)) as f64;
        bin += 1;
    }
    widths
};

/// Masses by bin.
pub(crate) type Masses = [f32; BINS];

/// The state of a walk: after the request, or after a child of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// The request has arrived, and no call has been made.
    Request,
    /// The last call made was of this class.
    Made(u32),
}

/// The next event, and the event from which its gap is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Next {
    /// A call of this class after the last one ended (after the request, in [`State::Request`]).
    After(u32),
    /// A call of this class beside the last one, counted from that one's start.
    Beside(u32),
    /// A call of this class beside the last one, counted from the request.
    FromRequest(u32),
    /// The answer, counted from the end of the last call.
    Answer,
}

/// One step of the walk of a parent of a class.
pub(crate) type Step = (u32, State, Next);

/// What has been learnt about steps. Counts decay, so that the model follows a service that changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct GapModel {
    steps: HashMap<Step, Box<Masses>, foldhash::fast::FixedState>,
    /// Calls of a class that no captured parent explains, per nanosecond and host.
    strays: HashMap<u32, f64, foldhash::fast::FixedState>,
}

/// Weight of the prior, which is spread evenly over all orders of magnitude.
const PRIOR: f32 = 0.3;

/// Bins over which a gap is smoothed to either side if many gaps were seen.
const NARROW: usize = 2;

/// The same if few were seen.
const WIDE: usize = 8;

/// Number of gaps at which narrow and wide smoothing have equal weight.
const FEW: f32 = 8.0;

/// Most steps that a model holds; the lightest are dropped first.
const MAX_STEPS: usize = 20_000;

/// Mass below which a step is dropped.
const FORGOTTEN: f32 = 0.05;

impl GapModel {
    /// The classes of parents about which anything has been learnt.
    pub(crate) fn parents(&self) -> BTreeSet<u32> {
        self.steps.keys().map(|(parent, ..)| *parent).collect()
    }

    /// The gaps of a class of parents, all steps but the parallel ones together; the masses sum to one.
    pub(crate) fn shape(&self, parent: u32) -> Masses {
        let counts = |((class, _, next), _): &(&Step, _)| {
            *class == parent && matches!(next, Next::After(_) | Next::Answer)
        };
        let mut steps: Vec<(&Step, &Box<Masses>)> = self.steps.iter().filter(counts).collect();
        steps.sort_by_key(|(step, _)| **step);
        let mut shape = [0.0; BINS];
        for (_, masses) in steps {
            shape.iter_mut().zip(masses.iter()).for_each(|(sum, mass)| *sum += mass);
        }
        let sum: f32 = shape.iter().sum();
        for mass in &mut shape {
            *mass /= sum.max(f32::MIN_POSITIVE);
        }
        shape
    }

    /// Adds mass to a step.
    pub(crate) fn add(&mut self, step: Step, bin: usize, mass: f32) {
        self.steps.entry(step).or_insert_with(|| Box::new([0.0; BINS]))[bin] += mass;
    }

    /// Decays all counts, and drops the steps that have faded away.
    pub(crate) fn fade(&mut self, keep: f32) {
        self.steps.retain(|_, masses| {
            masses.iter_mut().for_each(|mass| *mass *= keep);
            masses.iter().sum::<f32>() > FORGOTTEN
        });
        if self.steps.len() > MAX_STEPS {
            let mut sums: Vec<f32> = self.steps.values().map(|masses| masses.iter().sum()).collect();
            sums.sort_by(f32::total_cmp);
            let least = sums[sums.len() - MAX_STEPS];
            self.steps.retain(|_, masses| masses.iter().sum::<f32>() >= least);
        }
    }

    /// Adds what another model has learnt.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (step, masses) in &other.steps {
            let mine = self.steps.entry(*step).or_insert_with(|| Box::new([0.0; BINS]));
            mine.iter_mut().zip(masses.iter()).for_each(|(mine, mass)| *mine += mass);
        }
        self.strays.extend(other.strays.iter().map(|(class, rate)| (*class, *rate)));
    }

    /// Replaces what is known about some classes of parents and of children by what another model knows.
    pub(crate) fn replace(&mut self, other: &Self, parents: &BTreeSet<u32>, children: &BTreeSet<u32>) {
        self.steps.retain(|(parent, ..), _| !parents.contains(parent));
        let steps = other.steps.iter().filter(|((parent, ..), _)| parents.contains(parent));
        self.steps.extend(steps.map(|(step, masses)| (*step, masses.clone())));
        let strays = other.strays.iter().filter(|(child, _)| children.contains(child));
        self.strays.extend(strays.map(|(child, rate)| (*child, *rate)));
    }

    /// Calls of that class that no captured parent explains, per nanosecond.
    pub(crate) fn strays(&self, class: u32) -> Option<f64> {
        self.strays.get(&class).copied()
    }

    /// Sets the rate of unexplained calls.
    pub(crate) fn set_strays(&mut self, class: u32, per_ns: f64) {
        self.strays.insert(class, per_ns);
    }
}

/// Sums of the masses around each bin, the nearer ones with more weight, up to `REACH` bins to either side.
fn blurred<const REACH: usize>(padded: &[f32; BINS + 2 * WIDE]) -> Masses {
    let mut sums = [0.0; BINS];
    // All bins at once, so that the processor adds several together.
    for (by, around) in padded.windows(BINS).skip(WIDE - REACH).take(2 * REACH + 1).enumerate() {
        let weight = (REACH + 1 - REACH.abs_diff(by)) as f32;
        sums.iter_mut().zip(around).for_each(|(sum, mass)| *sum += mass * weight);
    }
    sums.map(|sum| sum / ((REACH + 1) * (REACH + 1)) as f32)
}

/// Masses smoothed over neighbouring bins, with the prior added: their sum grows by [`PRIOR`].
fn smooth(masses: &Masses) -> Masses {
    // Beside the first and the last bin, no mass.
    let mut padded = [0.0; BINS + 2 * WIDE];
    padded[WIDE..][..BINS].copy_from_slice(masses);
    // A few gaps say little about how much others will differ.
    let blur = FEW / (FEW + masses.iter().sum::<f32>());
    let mut smooth = blurred::<NARROW>(&padded);
    if blur >= 0.05 {
        for (narrow, wide) in smooth.iter_mut().zip(blurred::<WIDE>(&padded)) {
            *narrow = (1.0 - blur) * *narrow + blur * wide;
        }
    }
    smooth.map(|mass| PRIOR / BINS as f32 + mass)
}

/// The density of gaps with those masses, per nanosecond by bin.
pub(crate) fn density(masses: &Masses) -> Masses {
    let all = masses.iter().sum::<f32>() + PRIOR;
    let mut density = smooth(masses);
    for (bin, mass) in density.iter_mut().enumerate() {
        *mass /= all * width(bin) as f32;
    }
    density
}

/// A model prepared for look-ups: the joint density of the next event and its gap.
#[derive(Debug, Default)]
pub(crate) struct GapTable {
    /// Row of each step in `densities`.
    rows: HashMap<Step, u32, foldhash::fast::FixedState>,
    /// Probability of the step times density of the gap, by row and bin, per nanosecond.
    densities: Vec<f32>,
    /// The same for steps that were never seen, by bin.
    unseen: Vec<f32>,
}

impl GapTable {
    /// Prepares a model.
    pub(crate) fn new(model: &GapModel) -> Self {
        let mut totals: HashMap<(u32, State), (f32, f32), foldhash::fast::FixedState> = HashMap::default();
        // Sorted, because sums of floats depend on the order, and equal input must give equal output.
        let mut steps: Vec<(&Step, &Box<Masses>)> = model.steps.iter().collect();
        steps.sort_by_key(|(step, _)| **step);
        for ((parent, state, _), masses) in &steps {
            let total = totals.entry((*parent, *state)).or_default();
            total.0 += masses.iter().sum::<f32>();
            total.1 += 1.0;
        }
        let mut table = Self::default();
        for (step, masses) in steps {
            let (mass, count) = totals[&(step.0, step.1)];
            let all = mass + PRIOR * (count + 1.0);
            table.rows.insert(*step, (table.densities.len() / BINS) as u32);
            for (bin, mass) in smooth(masses).into_iter().enumerate() {
                table.densities.push(mass / all / width(bin) as f32);
            }
        }
        table.unseen = (0..BINS).map(|bin| 0.01 * PRIOR / BINS as f32 / width(bin) as f32).collect();
        table
    }

    /// The longest gap at which any step has at least this density, nanoseconds.
    pub(crate) fn horizon(&self, least: f64) -> i64 {
        let reach = |densities: &[f32]| densities.iter().rposition(|density| f64::from(*density) >= least);
        let last = self.densities.chunks(BINS).filter_map(reach).max().unwrap_or(0);
        (0..=last).map(width).sum::<f64>() as i64
    }

    /// The row of a step; `None` if it was never seen.
    pub(crate) fn step(&self, step: Step) -> Option<u32> {
        self.rows.get(&step).copied()
    }

    /// The densities of a step that was seen, by bin.
    pub(super) fn densities(&self, row: u32) -> &[f32] {
        &self.densities[row as usize * BINS..][..BINS]
    }

    /// Probability of the step in that row times density of its gap, per nanosecond.
    pub(crate) fn density(&self, row: Option<u32>, bin: usize) -> f64 {
        match row {
            Some(row) => f64::from(self.densities[row as usize * BINS + bin]),
            None => f64::from(self.unseen[bin]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_cover_all_gaps_in_order() {
        assert_eq!((bin(-5), bin(0), bin(255), bin(256)), (0, 0, 0, 1));
        let mut low = 256.0;
        for b in 1..BINS - 1 {
            assert_eq!(bin(low as i64), b, "lower edge of bin {b}");
            low += width(b);
            assert_eq!(bin(low as i64 - 1), b, "upper edge of bin {b}");
        }
        assert_eq!(bin(i64::MAX), BINS - 1);
    }

    #[test]
    fn densities_of_a_state_sum_to_one() {
        let mut model = GapModel::default();
        for gap in [10_000_i64, 12_000, 20_000] {
            model.add((1, State::Request, Next::After(7)), bin(gap), 1.0);
        }
        model.add((1, State::Request, Next::Answer), bin(1_000_000), 1.0);
        let table = GapTable::new(&model);
        let sum: f64 = [Next::After(7), Next::Answer]
            .into_iter()
            .flat_map(|next| (0..BINS).map(move |b| (next, b)))
            .map(|(next, b)| table.density(table.step((1, State::Request, next)), b) * width(b))
            .sum();
        assert!((0.9..=1.0).contains(&sum), "{sum}");
        assert!(table.step((1, State::Made(7), Next::Answer)).is_none());
    }
}
