//! Distributions of the time between one event of a parent and the next, and how likely each next event is.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::Span;

/// Nanoseconds below which all gaps are alike.
const SHORTEST_BITS: u32 = 8;

/// Bins of a distribution: four to the octave from 256 ns to 137 s, and one below.
pub(crate) const BINS: usize = 117;

/// The bin of a gap in nanoseconds.
pub(crate) fn bin(gap: i64) -> usize {
    let gap = gap.max(0) as u64;
    if gap < 1 << SHORTEST_BITS {
        return 0;
    }
    let octave = gap.ilog2();
    let quarter = (gap >> (octave - 2)) & 3;
    ((octave - SHORTEST_BITS) as usize * 4 + quarter as usize + 1).min(BINS - 1)
}

/// Width of a bin, nanoseconds.
pub(crate) fn width(bin: usize) -> f64 {
    if bin == 0 {
        return f64::from(1 << SHORTEST_BITS);
    }
    (2.0_f64).powi(((bin - 1) / 4) as i32 + SHORTEST_BITS as i32 - 2)
}

/// Masses by bin.
pub(crate) type Masses = [f32; BINS];

/// Where a walk stands: after the request, or after the child of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// The request has arrived, no call has been made.
    Request,
    /// The last call made was of this class.
    Made(u32),
}

/// What comes next, and from which event its gap is counted.
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

/// What has been learnt of steps. Counts are decayed, so that it follows a service that changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    steps: HashMap<Step, Box<Masses>, foldhash::fast::FixedState>,
    /// Calls of a class that no parent explains, per nanosecond of the place.
    strays: HashMap<u32, f64, foldhash::fast::FixedState>,
}

/// Weight of the belief before any data: spread evenly over all orders of magnitude.
const PRIOR: f32 = 0.3;

/// Bins over which a gap is spread to either side, where many were seen and where few were.
const NARROW: isize = 2;

/// See [`NARROW`].
const WIDE: isize = 8;

/// Gaps that are few: with that many the wide spread still has half the weight.
const FEW: f32 = 8.0;

/// Most steps a model holds; with more, those of parents that were not seen lately go first.
const MAX_STEPS: usize = 20_000;

/// Mass below which a step is forgotten.
const FORGOTTEN: f32 = 0.05;

impl Model {
    /// Whether nothing has been learnt yet of parents of that class.
    pub(crate) fn knows(&self, parent: u32) -> bool {
        self.steps.keys().any(|(class, ..)| *class == parent)
    }

    /// What the gaps of a class of parents look like, all steps but the parallel ones together; the masses sum to one.
    pub(crate) fn shape(&self, parent: u32) -> Masses {
        let mut steps: Vec<(&Step, &Box<Masses>)> = self.steps.iter().collect();
        steps.retain(|((class, _, next), _)| {
            *class == parent && matches!(next, Next::After(_) | Next::Answer)
        });
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

    /// Adds to a step's masses.
    pub(crate) fn add(&mut self, step: Step, bin: usize, mass: f32) {
        self.steps.entry(step).or_insert_with(|| Box::new([0.0; BINS]))[bin] += mass;
    }

    /// Lets all counts fade, and forgets what has faded away.
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

    /// Takes over what another model has learnt.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (step, masses) in &other.steps {
            let mine = self.steps.entry(*step).or_insert_with(|| Box::new([0.0; BINS]));
            mine.iter_mut().zip(masses.iter()).for_each(|(mine, mass)| *mine += mass);
        }
        self.strays.extend(other.strays.iter().map(|(class, rate)| (*class, *rate)));
    }

    /// Takes over from another model what it knows of some classes of parents and of children.
    pub(crate) fn replace(&mut self, other: &Self, parents: &BTreeSet<u32>, children: &BTreeSet<u32>) {
        self.steps.retain(|(parent, ..), _| !parents.contains(parent));
        let steps = other.steps.iter().filter(|((parent, ..), _)| parents.contains(parent));
        self.steps.extend(steps.map(|(step, masses)| (*step, masses.clone())));
        let strays = other.strays.iter().filter(|(child, _)| children.contains(child));
        self.strays.extend(strays.map(|(child, rate)| (*child, *rate)));
    }

    /// Calls of that class that no parent explains, per nanosecond.
    pub(crate) fn strays(&self, class: u32) -> Option<f64> {
        self.strays.get(&class).copied()
    }

    /// Sets the rate of unexplained calls.
    pub(crate) fn set_strays(&mut self, class: u32, per_ns: f64) {
        self.strays.insert(class, per_ns);
    }
}

/// Masses spread over their neighbours, with the belief before any data: [`PRIOR`] more than they were.
fn smooth(masses: &Masses) -> Masses {
    let at = |bin: isize| usize::try_from(bin).ok().and_then(|b| masses.get(b)).copied().unwrap_or(0.0);
    let kernel = |bin: isize, reach: isize| {
        let weights = (-reach..=reach).map(|by| at(bin + by) * (reach + 1 - by.abs()) as f32);
        weights.sum::<f32>() / ((reach + 1) * (reach + 1)) as f32
    };
    // A few gaps say little of how much others will differ.
    let blur = FEW / (FEW + masses.iter().sum::<f32>());
    let mut smooth = [PRIOR / BINS as f32; BINS];
    for (bin, mass) in smooth.iter_mut().enumerate() {
        let bin = bin as isize;
        *mass += if blur < 0.05 {
            kernel(bin, NARROW)
        } else {
            (1.0 - blur) * kernel(bin, NARROW) + blur * kernel(bin, WIDE)
        };
    }
    smooth
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

/// A model made ready for looking up: the joint density of what comes next and when.
#[derive(Debug, Default)]
pub(crate) struct Table {
    index: HashMap<Step, u32, foldhash::fast::FixedState>,
    /// `p · f` by step and bin, per nanosecond.
    densities: Vec<f32>,
    /// For steps that were never seen.
    unseen: Vec<f32>,
}

impl Table {
    /// Makes the table of a model.
    pub(crate) fn new(model: &Model) -> Self {
        let mut totals: HashMap<(u32, State), (f32, f32), foldhash::fast::FixedState> = HashMap::default();
        // In the order of the keys: sums of floats depend on it, and equal input must give equal output.
        let mut steps: Vec<(&Step, &Box<Masses>)> = model.steps.iter().collect();
        steps.sort_by_key(|(step, _)| **step);
        for ((parent, state, _), masses) in &steps {
            let total = totals.entry((*parent, *state)).or_default();
            total.0 += masses.iter().sum::<f32>();
            total.1 += 1.0;
        }
        let mut table = Self::default();
        for (step, masses) in steps {
            let (mass, ways) = totals[&(step.0, step.1)];
            let all = mass + PRIOR * (ways + 1.0);
            table.index.insert(*step, (table.densities.len() / BINS) as u32);
            for (bin, mass) in smooth(masses).into_iter().enumerate() {
                table.densities.push(mass / all / width(bin) as f32);
            }
        }
        table.unseen = (0..BINS).map(|bin| 0.01 * PRIOR / BINS as f32 / width(bin) as f32).collect();
        table
    }

    /// The longest gap at which any step is at least that dense, nanoseconds.
    pub(crate) fn horizon(&self, least: f64) -> i64 {
        let reach = |densities: &[f32]| densities.iter().rposition(|density| f64::from(*density) >= least);
        let last = self.densities.chunks(BINS).filter_map(reach).max().unwrap_or(0);
        (0..=last).map(width).sum::<f64>() as i64
    }

    /// Density of a call coming next after another of the same parent, of the class that makes that likeliest.
    pub(super) fn next(&self, classes: &[u32], before: Span, after: Span) -> f64 {
        let (next, gap) = if after.start >= before.end {
            (Next::After(after.class), after.start - before.end)
        } else {
            (Next::Beside(after.class), after.start - before.start)
        };
        let steps = classes.iter().filter_map(|&parent| self.step((parent, State::Made(before.class), next)));
        steps.map(|step| self.density(Some(step), bin(gap))).fold(0.0, f64::max)
    }

    /// Where the densities of a step begin; `None` for one that was never seen.
    pub(crate) fn step(&self, step: Step) -> Option<u32> {
        self.index.get(&step).copied()
    }

    /// Probability of the step, times the density of its gap, per nanosecond.
    pub(crate) fn density(&self, step: Option<u32>, bin: usize) -> f64 {
        match step {
            Some(step) => f64::from(self.densities[step as usize * BINS + bin]),
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
        let mut model = Model::default();
        for gap in [10_000_i64, 12_000, 20_000] {
            model.add((1, State::Request, Next::After(7)), bin(gap), 1.0);
        }
        model.add((1, State::Request, Next::Answer), bin(1_000_000), 1.0);
        let table = Table::new(&model);
        let sum: f64 = [Next::After(7), Next::Answer]
            .into_iter()
            .flat_map(|next| (0..BINS).map(move |b| (next, b)))
            .map(|(next, b)| table.density(table.step((1, State::Request, next)), b) * width(b))
            .sum();
        assert!((0.9..=1.0).contains(&sum), "{sum}");
        assert!(table.step((1, State::Made(7), Next::Answer)).is_none());
    }
}
