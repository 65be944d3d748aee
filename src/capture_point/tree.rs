//! The way from each clock to the one that all are corrected to.

use hashbrown::HashMap;

use super::clock::{Comparison, Sample, compare};
use super::groups::Group;
use super::sightings::{MIN_SHARED, Shared};
use super::{packets, span};
use crate::source::site::ClockCorrection;

/// What all groups of files share with each other.
pub(super) struct Links {
    linked: Vec<bool>,
    differences: Vec<Difference>,
}

/// How a group's clock differs from the one that all are corrected to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Difference {
    /// It is that clock, or nothing is shared.
    None,
    /// It can't be told, although packets are shared with this group.
    Unknown(usize),
    /// As told on this way.
    Known(Way),
}

/// The comparisons from a clock to the one that it is corrected to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Way {
    /// The groups on the way, the last of which has the clock that all are corrected to.
    groups: Vec<usize>,
    /// One for each of them.
    steps: Vec<Comparison>,
}

impl Way {
    fn uncertainty(&self) -> u64 {
        self.steps.iter().map(|step| step.uncertainty).sum()
    }

    /// Nanoseconds ahead when the clocks are first compared.
    fn offset(&self) -> i64 {
        let mut time = self.steps.first().map_or_else(Default::default, |step| step.lead.from);
        let begin = time;
        for step in &self.steps {
            time = crate::time::Timestamp(time.0.saturating_sub(step.lead.at(time)));
        }
        begin - time
    }

    /// The corrections; `None` where the clocks agree as far as can be told, so that nothing has to be corrected: no packet
    /// then seems to come before it was sent.
    pub(super) fn clock(&self) -> Option<ClockCorrection> {
        let agrees = |step: &Comparison| {
            let ends = [step.lead.at(step.lead.from), step.lead.at(step.lead.until)];
            ends.iter().all(|ahead| ahead.unsigned_abs() <= step.uncertainty)
        };
        if self.steps.iter().all(agrees) {
            return None;
        }
        Some(ClockCorrection { leads: self.steps.iter().map(|step| step.lead).collect() })
    }

    /// One line for people.
    pub(super) fn describe(&self, all: &[Group], own: &Group) -> String {
        let offset = self.offset();
        let direction = if offset < 0 { "behind" } else { "ahead of" };
        let name = |group: &usize| all[*group].name.as_str();
        let (target, between) =
            self.groups.split_last().map_or(("", &[][..]), |(last, rest)| (name(last), rest));
        let drift = match &self.steps[..] {
            [only] if only.lead.drift != 0.0 => {
                let ppm = only.lead.drift * 1e6;
                format!(" {} {:.1} ppm,", if ppm < 0.0 { "losing" } else { "gaining" }, ppm.abs())
            }
            _ => String::new(),
        };
        let by_way = match between {
            [] => String::new(),
            some => format!(", by way of {}", some.iter().map(name).collect::<Vec<_>>().join(", ")),
        };
        let seen = self.steps.iter().map(|step| step.packets).min().unwrap_or(0);
        format!(
            "{}: clock {} {direction} {target},{drift} ±{} ({} seen in both{by_way}); corrected",
            own.name,
            span(offset.unsigned_abs()),
            span(self.uncertainty()),
            packets(seen),
        )
    }
}

impl Links {
    /// Whether a group shares packets with another.
    pub(super) fn is_linked(&self, group: usize) -> bool {
        self.linked[group]
    }

    pub(super) fn difference(&self, group: usize) -> &Difference {
        &self.differences[group]
    }
}

/// Compares the clocks of groups that share packets. Each is corrected by way of those comparisons that are least uncertain
/// together, to the first group named of those that are linked.
pub(super) fn links(groups: &[Group], shared: Shared) -> Links {
    let mut group_of: HashMap<usize, usize> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        group_of.extend(group.places.iter().map(|place| (*place, index)));
    }
    let mut pairs: HashMap<(usize, usize), Vec<Sample>> = HashMap::new();
    for ((one, two), samples) in shared {
        let (Some(&one), Some(&two)) = (group_of.get(&one), group_of.get(&two)) else { continue };
        if one == two {
            continue;
        }
        let turned = one > two;
        let all = pairs.entry((one.min(two), one.max(two))).or_default();
        all.extend(samples.into_iter().map(|sample| if turned { sample.reversed() } else { sample }));
    }
    pairs.retain(|_, samples| samples.len() >= MIN_SHARED);
    let mut edges: Vec<((usize, usize), Option<u64>)> = pairs
        .iter()
        .map(|(pair, samples)| (*pair, compare(samples).map(|found| found.uncertainty)))
        .collect();
    edges.sort_unstable_by_key(|(pair, uncertainty)| (uncertainty.is_none(), *uncertainty, *pair));

    let mut linked = vec![false; groups.len()];
    for ((one, two), _) in &edges {
        linked[*one] = true;
        linked[*two] = true;
    }
    let mut differences = vec![Difference::None; groups.len()];
    let mut ways: Vec<Option<Way>> = vec![None; groups.len()];
    for root in 0..groups.len() {
        if !linked[root] || ways[root].is_some() {
            continue;
        }
        ways[root] = Some(Way::default());
        // The nearest group that is not reached yet, again and again.
        loop {
            let reach = edges.iter().filter_map(|((one, two), uncertainty)| {
                let (near, far) = match (&ways[*one], &ways[*two]) {
                    (Some(_), None) => (*one, *two),
                    (None, Some(_)) => (*two, *one),
                    _ => return None,
                };
                let before = ways[near].as_ref().map_or(0, Way::uncertainty);
                Some((before + (*uncertainty)?, near, far))
            });
            let Some((_, near, far)) = reach.min() else { break };
            let samples = &pairs[&(near.min(far), near.max(far))];
            let turned: Vec<Sample> =
                samples.iter().map(|sample| if far < near { sample.reversed() } else { *sample }).collect();
            let Some(step) = compare(&turned) else { break };
            let mut way = ways[near].clone().unwrap_or_default();
            way.groups.insert(0, near);
            way.steps.insert(0, step);
            differences[far] = Difference::Known(way.clone());
            ways[far] = Some(way);
        }
        // What shares packets with these but could not be compared is the beginning of another tree.
    }
    for ((one, two), uncertainty) in &edges {
        if uncertainty.is_none() && differences[*two] == Difference::None {
            differences[*two] = Difference::Unknown(*one);
        }
    }
    Links { linked, differences }
}
