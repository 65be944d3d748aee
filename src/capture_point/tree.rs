//! The path of comparisons from each clock to the reference clock.

use hashbrown::HashMap;

use super::clock::{Comparison, Sample, compare};
use super::groups::Group;
use super::sightings::{MIN_SHARED, Shared};
use super::{packets, span};
use crate::source::site::ClockCorrection;

/// The comparisons of all groups.
pub(super) struct Links {
    linked: Vec<bool>,
    differences: Vec<Difference>,
}

/// The difference of a group's clock from the reference clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Difference {
    /// It is the reference clock, or shares no packets.
    None,
    /// Unknown, although it shares packets with this group.
    Unknown(usize),
    /// Known by this path.
    Known(ClockPath),
}

/// The comparisons from a clock to its reference clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClockPath {
    /// The groups on the path; the last one has the reference clock.
    groups: Vec<usize>,
    /// One comparison per group.
    steps: Vec<Comparison>,
}

impl ClockPath {
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

    /// The corrections; `None` if the clocks agree within the uncertainty, so that no packet seems to arrive before it was sent.
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

/// Compares the clocks of groups that share packets. Each is corrected to the first-named group of its connected component, along the
/// path with the least total uncertainty (Dijkstra's algorithm).
pub(super) fn links(groups: &[Group], shared: Shared) -> Links {
    let mut group_of: HashMap<usize, usize> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        group_of.extend(group.members.iter().map(|file| (*file, index)));
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
    let mut paths: Vec<Option<ClockPath>> = vec![None; groups.len()];
    for root in 0..groups.len() {
        if !linked[root] || paths[root].is_some() {
            continue;
        }
        paths[root] = Some(ClockPath::default());
        // Add the nearest group that is not reached yet, until there is none.
        loop {
            let reach = edges.iter().filter_map(|((one, two), uncertainty)| {
                let (near, far) = match (&paths[*one], &paths[*two]) {
                    (Some(_), None) => (*one, *two),
                    (None, Some(_)) => (*two, *one),
                    _ => return None,
                };
                let before = paths[near].as_ref().map_or(0, ClockPath::uncertainty);
                Some((before + (*uncertainty)?, near, far))
            });
            let Some((_, near, far)) = reach.min() else { break };
            let samples = &pairs[&(near.min(far), near.max(far))];
            let turned: Vec<Sample> =
                samples.iter().map(|sample| if far < near { sample.reversed() } else { *sample }).collect();
            let Some(step) = compare(&turned) else { break };
            let mut path = paths[near].clone().unwrap_or_default();
            path.groups.insert(0, near);
            path.steps.insert(0, step);
            differences[far] = Difference::Known(path.clone());
            paths[far] = Some(path);
        }
        // Groups that share packets with these but could not be compared start another tree.
    }
    for ((one, two), uncertainty) in &edges {
        if uncertainty.is_none() && differences[*two] == Difference::None {
            differences[*two] = Difference::Unknown(*one);
        }
    }
    Links { linked, differences }
}
