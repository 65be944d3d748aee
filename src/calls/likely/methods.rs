//! The methods of a server, and which of them an unnamed call is likely one of.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::Reason;
use super::assignment::{Candidates, assign};
use super::described::Described;
use super::shapes::{Looks, Shape};
use crate::calls::record::{Call, Name};

/// Most methods remembered of a server, and groups of a connection.
const MAX_METHODS: usize = 256;

/// How likely it is that a call without a request is of none of the methods whose names were seen.
const UNSEEN: f64 = 0.5;

/// How much less likely a group has a path that its connection wrote out later, as a logarithm: the entry must have left the
/// table in between.
const WRITTEN: f64 = 4.0;

/// Most methods that a group is held against together with the other groups, and how much less likely than the first they are
/// at most, as a logarithm.
const MAX_CANDIDATES: usize = 8;
const FARTHEST: f64 = 10.0;

/// How likely it is that there is another method that looks the same and was not seen.
const TWIN: f64 = 0.02;

/// How much less likely a group has a described method of a service of which the server was not seen to have any, where it was
/// seen to have others, as a logarithm.
const ELSEWHERE: f64 = 2.0;

/// A group has a method of which only the description is known if its calls are that much more like it than like any, as a
/// logarithm: descriptions may lack others with such messages.
const PLAIN: f64 = 6.0;

/// Nothing is said that is less likely than this.
const ENOUGH: f64 = 0.97;

/// An answer is that of a method only if it is that much more like it than like any group, as a logarithm.
const CLEAR: f64 = 3.5;

/// A group and a method are held against each other when they have so many calls together, and the group that many.
const FEWEST: u32 = 8;
const FEWEST_UNNAMED: u32 = 2;

/// Service and method.
pub(super) type Path = (Option<Name>, Name);

/// The methods of a server.
#[derive(Debug, Default)]
pub(super) struct Methods {
    shapes: HashMap<Path, Shape, FixedState>,
    /// How many calls it was learnt from.
    calls: u64,
}

/// When paths were written out.
type Written = HashMap<Path, (u32, u64), FixedState>;

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Groups {
    unnamed: HashMap<u64, Group, FixedState>,
    /// Paths that were written out, and when: how often bytes were lost before, and the call.
    written: Written,
}

#[derive(Debug)]
struct Group {
    shape: Shape,
    /// Its first and last call, and how often bytes were lost before each.
    first: (u32, u64),
    last: (u32, u64),
    /// The paths that it may have, the likeliest first, with the odds as logarithms; how many there are in all; and of how
    /// many calls of it and of named methods that was found out.
    candidates: Vec<(Path, f64)>,
    all: usize,
    looked: u64,
    /// The path that it likely has.
    best: Option<(Path, f64)>,
}

impl Group {
    /// Whether it can have this path. One that was written out while the table had that of the group is another: encoders refer
    /// to what the table has.
    fn can_be(&self, path: &Path, written: &Written) -> bool {
        written.get(path).is_none_or(|(losses, at)| *losses != self.last.0 || *at > self.last.1)
    }

    /// Looks for its paths again if there are an eighth more calls to go by than before, which bounds the work; says whether it
    /// did.
    fn look(&mut self, written: &Written, methods: &Methods, described: &[Described]) -> bool {
        let known = methods.calls + u64::from(self.shape.calls());
        let impossible = self.best.as_ref().is_some_and(|(path, _)| !self.can_be(path, written));
        let again = impossible || known > self.looked + self.looked / 8;
        if again {
            self.looked = known;
            let mut all = methods.likeness_of_all(&self.shape, described, &|path| self.can_be(path, written));
            for (path, likeness) in &mut all {
                if written.contains_key(*path) {
                    *likeness -= WRITTEN;
                }
            }
            all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            let farthest = all.first().map_or(0.0, |(_, most)| most - FARTHEST);
            self.all = all.len();
            let near = all.into_iter().take_while(|(_, likeness)| *likeness >= farthest);
            self.candidates =
                near.take(MAX_CANDIDATES).map(|(path, likeness)| (path.clone(), likeness)).collect();
        }
        again
    }

    /// How much more likely its calls are such of this method than of one whose name was not seen, as a logarithm.
    fn likeness(&self, path: &Path) -> f64 {
        let own = self.candidates.iter().find(|(candidate, _)| candidate == path);
        own.map_or(f64::NEG_INFINITY, |(_, likeness)| *likeness)
    }

    /// Whether no bytes were lost between the two, so that they have two names. What was lost changes the entries of a path.
    fn is_beside(&self, other: &Self) -> bool {
        self.first.0 <= other.last.0 && other.first.0 <= self.last.0
    }
}

/// The path of a call, if it is known.
fn path(call: &Call) -> Option<Path> {
    Some((call.service.clone(), call.method.clone()?))
}

impl Methods {
    /// Learns from a call whose name is known.
    pub(super) fn learn(&mut self, call: &Call) {
        let Some(path) = path(call) else { return };
        self.calls += 1;
        if self.shapes.len() < MAX_METHODS || self.shapes.contains_key(&path) {
            self.shapes.entry(path).or_default().add(call);
        }
    }

    /// How much more likely calls of this shape are such of each method that is `possible` than of one whose name was not
    /// seen, as logarithms.
    fn likeness(&self, shape: &Shape, possible: &dyn Fn(&Path) -> bool) -> Vec<(&Path, f64)> {
        self.likeness_of_all(shape, &[], possible)
    }

    /// The same of the described methods too, of which no name needs to have been seen.
    fn likeness_of_all<'m>(
        &'m self,
        shape: &Shape,
        described: &'m [Described],
        possible: &dyn Fn(&Path) -> bool,
    ) -> Vec<(&'m Path, f64)> {
        let services: HashSet<&Option<Name>, FixedState> =
            self.shapes.keys().map(|(service, _)| service).collect();
        let unseen = described.iter().filter(|one| !self.shapes.contains_key(&one.path));
        let (paths, looks): (Vec<&Path>, Vec<&dyn Looks>) = (self.shapes.iter())
            .map(|(path, shape)| (path, shape as &dyn Looks))
            .chain(unseen.map(|one| (&one.path, one as &dyn Looks)))
            .filter(|(path, _)| possible(path))
            .unzip();
        let likeness = shape.likeness(&looks).into_iter();
        let elsewhere = |path: &Path| !services.is_empty() && !services.contains(&path.0);
        (paths.into_iter().zip(likeness))
            .map(|(path, likeness)| (path, likeness - if elsewhere(path) { ELSEWHERE } else { 0.0 }))
            .collect()
    }

    /// Whether there are enough calls of the method and of this shape to hold them against each other.
    fn suffice(&self, path: &Path, shape: &Shape) -> bool {
        self.shapes.get(path).is_some_and(|method| method.calls() + shape.calls() >= FEWEST)
    }

    /// The method that this shape is most likely of, with the odds that it is this one and not another or one of which no name
    /// was seen.
    fn best(&self, shape: &Shape) -> Option<(&Path, f64)> {
        let all = self.likeness(shape, &|_| true);
        let (best, most) = all.iter().copied().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let share = (1.0 - UNSEEN) / all.len() as f64;
        // Relative to the best, so that no power overflows.
        let others = all.iter().filter(|(path, _)| *path != best);
        let others: f64 = others.map(|(_, likeness)| (likeness - most).exp() * share).sum();
        self.suffice(best, shape).then(|| (best, share / (others + UNSEEN * (-most).exp())))
    }
}

impl Groups {
    /// Learns from a call. `losses`: how often bytes of the connection were lost before.
    pub(super) fn learn(&mut self, call: &Call, losses: u32) {
        let at = (losses, call.uid.packet);
        if let (Some(group), None) = (call.unknown_name, &call.method) {
            if self.unnamed.len() < MAX_METHODS || self.unnamed.contains_key(&group) {
                let new = || Group {
                    shape: Shape::default(),
                    first: at,
                    last: at,
                    candidates: Vec::new(),
                    all: 0,
                    looked: 0,
                    best: None,
                };
                let group = self.unnamed.entry(group).or_insert_with(new);
                group.shape.add(call);
                group.first = group.first.min(at);
                group.last = group.last.max(at);
            }
        } else if call.unknown_name.is_none()
            && let Some(path) = path(call)
            && (self.written.len() < MAX_METHODS || self.written.contains_key(&path))
        {
            let first = self.written.entry(path).or_insert(at);
            if first.0 != losses {
                *first = at;
            }
        }
    }

    /// What the name of a call is likely, and how likely.
    pub(super) fn guess(
        &mut self,
        call: &Call,
        methods: &Methods,
        described: &[Described],
    ) -> Option<(Path, u8, Reason)> {
        let (path, likely, reason) = match call.unknown_name {
            Some(group) => self.guess_group(group, methods, described)?,
            None => self.guess_call(call, methods)?,
        };
        (likely >= ENOUGH).then_some((path, (likely * 100.0) as u8, reason))
    }

    /// The name of a group: at most one of those that were in use at the same time has it.
    fn guess_group(
        &mut self,
        group: u64,
        methods: &Methods,
        described: &[Described],
    ) -> Option<(Path, f64, Reason)> {
        let mut again = false;
        for group in self.unnamed.values_mut() {
            again |= group.look(&self.written, methods, described);
        }
        if again {
            self.assign();
        }
        let own = self.unnamed.get(&group)?;
        let (path, likely) = own.best.clone()?;
        let (reason, suffice) = if methods.shapes.contains_key(&path) {
            (Reason::SameShape, methods.suffice(&path, &own.shape))
        } else {
            (Reason::Described, own.likeness(&path) >= PLAIN)
        };
        let enough = own.shape.calls() >= FEWEST_UNNAMED && suffice;
        enough.then_some((path, likely / (1.0 + TWIN), reason))
    }

    /// Finds the likeliest path of each group, given those of the others.
    fn assign(&mut self) {
        let mut groups: Vec<&mut Group> = self.unnamed.values_mut().collect();
        groups.sort_unstable_by_key(|group| group.first);
        let candidates: Vec<_> =
            groups.iter().map(|group| Candidates { methods: &group.candidates, all: group.all }).collect();
        let beside = |a: usize, b: usize| match (groups.get(a), groups.get(b)) {
            (Some(a), Some(b)) => a.is_beside(b),
            _ => false,
        };
        let likely = assign(&candidates, &beside);
        for (group, likely) in groups.iter_mut().zip(likely) {
            let best = group.candidates.iter().zip(likely).max_by(|(_, a), (_, b)| a.total_cmp(b));
            group.best = best.map(|((path, _), likely)| (path.clone(), likely));
        }
    }

    /// The name of a call whose request was not captured, or which is of no group.
    fn guess_call(&self, call: &Call, methods: &Methods) -> Option<(Path, f64, Reason)> {
        let shape = Shape::of(call);
        let (path, odds) = methods.best(&shape)?;
        // It may as well be a call of a path without a name.
        let groups = self.unnamed.values().map(|group| &group.shape);
        let looks: Vec<&dyn Looks> =
            methods.shapes.get(path).into_iter().chain(groups).map(|shape| shape as &dyn Looks).collect();
        let likeness = shape.likeness(&looks);
        let (own, others) = likeness.split_first()?;
        let clear = others.iter().all(|other| *other <= own - CLEAR);
        clear.then(|| (path.clone(), odds / (odds * (1.0 + TWIN) + 1.0), Reason::SameAnswer))
    }
}
