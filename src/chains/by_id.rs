//! Which calls can have caused a call by the ids that both bear.

use smallvec::SmallVec;

use super::assign::SETTLED;
use super::bearers::{Bearers, Latest};
use super::candidates::{Candidate, Candidates, MAX_CANDIDATES, is_possible};
use super::members::{Hosts, Member, contains, is_begun};
use super::record::{Evidence, EvidenceSet};
use super::traits::{Number, Traits};

/// How long after a call's answer a call with the same id still counts as its own, nanoseconds. An id is proof however late
/// the call; the bound is for ids that are reused.
const LATE_BY_ID: i64 = 60_000_000_000;

/// Most bearers of an id that are looked at, the latest.
const MAX_LOOKED_AT: usize = 1_024;

/// Most possible causes with the same id; an id of more is a constant.
const MAX_BY_ID: usize = 16;

/// Whether something else may stand between two calls than the service that answered the upper one: one of the same request, whose own call the
/// capture lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Between {
    /// None does.
    #[default]
    Nothing,
    /// Only an id links both, across hosts: a service that answers at one address and asks from another looks the same.
    Perhaps,
    /// No id links them: a service that asks itself at its own address, or another client on its host.
    Itself,
    /// Besides, the upper service makes its calls from the address at which it answers, or had answered before.
    Likely,
}

/// The calls with the same ids. Of an id that very many calls bear, those that began before another are its possible causes.
pub(super) struct ById {
    /// Members with ids, by the beginning of their work, and how many of them have begun.
    order: Vec<u32>,
    begun: usize,
    traces: Bearers<Number>,
    spans: Bearers<(Number, Number)>,
    ids: Bearers<u64>,
}

impl ById {
    pub(super) fn new(members: &[Member<'_>]) -> Self {
        let bears = |member: &Member<'_>| member.traits.trace.is_some() || !member.traits.ids.is_empty();
        let mut order: Vec<u32> =
            (0..members.len() as u32).filter(|&index| bears(&members[index as usize])).collect();
        order.sort_by_key(|&index| members[index as usize].work().0);
        Self {
            order,
            begun: 0,
            traces: Bearers::default(),
            spans: Bearers::default(),
            ids: Bearers::default(),
        }
    }

    /// Those that have begun at a time, which is not before that of the last question.
    pub(super) fn at(&mut self, members: &[Member<'_>], time: i64) -> &Self {
        while let Some(&index) = self.order.get(self.begun)
            && is_begun(&members[index as usize], time)
        {
            self.begun += 1;
            let traits = members[index as usize].traits;
            if let Some(trace) = traits.trace {
                self.traces.add(trace, index);
                if let Some(span) = traits.span {
                    self.spans.add((trace, span), index);
                }
            }
            for id in &traits.ids {
                self.ids.add(*id, index);
            }
        }
        self
    }

    /// The possible causes of a call by its ids; `None` if they say nothing.
    pub(super) fn causes(&self, members: &[Member<'_>], index: usize, hosts: &Hosts) -> Option<Candidates> {
        let Traits { trace, parent_span, ids, .. } = members[index].traits;
        let causes = |same, evidence| causes(members, index, hosts, same, evidence);
        // A trace may have very many calls; the parent span identifies the cause directly.
        let by_span = || causes(self.spans.of(&trace.zip(*parent_span)?), Evidence::TraceId);
        by_span()
            .or_else(|| causes(self.traces.of(trace.as_ref()?), Evidence::TraceId))
            .or_else(|| ids.iter().find_map(|id| causes(self.ids.of(id), Evidence::LogId)))
    }
}

/// Places of calls among the members.
type Places = SmallVec<[u32; MAX_BY_ID]>;

/// The possible causes among the calls with the `same` id that have begun; `None` if there is none.
///
/// Of calls that another host answered than the one that made this one: what began while another call of the same caller was in work is below that
/// one, and not above its caller, as where a gateway asks several services.
fn causes(
    members: &[Member<'_>],
    index: usize,
    hosts: &Hosts,
    same: Latest<'_>,
    evidence: Evidence,
) -> Option<Candidates> {
    let child = &members[index];
    let is_span = |other: &Member<'_>| {
        child.traits.parent_span.is_some() && child.traits.parent_span == other.traits.span
    };
    // The other calls of its caller are none of its causes, however many they are.
    let is_made_there =
        |other: &Member<'_>| other.caller == child.caller && other.callee != child.caller && !is_span(other);
    let same = same.take(MAX_LOOKED_AT).filter(|&other| other as usize != index);
    let (mut made, others): (Places, Places) =
        same.partition(|&other| is_made_there(&members[other as usize]));
    made.truncate(MAX_BY_ID);
    let evidence = EvidenceSet::from_iter([evidence]);
    // Those whose weight is near the best so far.
    let mut found: SmallVec<[(Candidate, bool); MAX_BY_ID]> = SmallVec::new();
    let mut best = f32::MIN;
    for other in others.into_iter().take(MAX_CANDIDATES) {
        let parent = &members[other as usize];
        let (upper, lower) = (parent.traits, child.traits);
        let (_, ended) = parent.work();
        if lower.start > ended.saturating_add(LATE_BY_ID) {
            continue;
        }
        let spans = is_span(parent);
        // Calls of one client are siblings, not parent and child.
        let here = parent.callee == child.caller;
        if !spans && ((!here && upper.client.ip == lower.client.ip) || !is_possible(parent, child)) {
            continue;
        }
        let is_below_own = !spans
            && !here
            && made
                .iter()
                .map(|&own| &members[own as usize])
                .any(|own| (own.start..=own.end).contains(&parent.start));
        let between = if here || spans { Between::Nothing } else { between(parent, child, hosts) };
        let mut weight = 0.0;
        weight += if spans { 20.0 } else { 0.0 };
        weight += if here { 8.0 } else { 0.0 };
        weight += if contains(parent, child) { 4.0 } else { 0.0 };
        weight += if lower.start <= ended { 4.0 } else { 0.0 };
        weight += by_name(parent, child) * 3.0;
        if weight > best {
            best = weight;
            found.retain(|(candidate, _)| candidate.weight >= best - 1.0);
        }
        if weight >= best - 1.0 {
            found.push((Candidate { parent: other, weight, evidence, between }, is_below_own));
        }
    }
    found.sort_unstable_by_key(|(candidate, _)| candidate.parent);
    // An id that very many calls share is that of none.
    if found.len() > MAX_BY_ID {
        return None;
    }
    // Those that are below another call of its caller count up to here: where they fit best, the id says nothing of the others.
    let mut found: Candidates =
        found.into_iter().filter(|(_, is_below_own)| !is_below_own).map(|(candidate, _)| candidate).collect();
    let is_alone = found.len() == 1;
    for candidate in &mut found {
        candidate.weight = if is_alone { SETTLED } else { 10.0 + candidate.weight - best };
    }
    (!found.is_empty()).then_some(found)
}

/// Whether a service stands between two calls with the same id that are not of one host.
fn between(parent: &Member<'_>, child: &Member<'_>, hosts: &Hosts) -> Between {
    if child.traits.caller.is_some() && parent.traits.names.contains(&child.traits.caller) {
        Between::Nothing
    } else if hosts.makes_calls(parent.callee) || child.start > parent.work().1 {
        Between::Likely
    } else {
        Between::Perhaps
    }
}

/// The sum over the caller's service and its method: 1 where it agrees with the parent, -1 where a method does not.
fn by_name(parent: &Member<'_>, child: &Member<'_>) -> f32 {
    let (upper, lower) = (parent.traits, child.traits);
    let mut weight = 0.0;
    if lower.caller.is_some() && upper.names.contains(&lower.caller) {
        weight += 1.0;
    }
    if let (Some(from), Some(method)) = (lower.from_method, upper.method) {
        weight += if from == method { 1.0 } else { -1.0 };
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::super::candidates::{begun, candidates};
    use super::super::testing::{calls, with_members};
    use super::*;

    /// The causes that the same trace id in all of these calls leaves, with what may stand between.
    fn causes_by_trace(all: &[(u8, u8, i64, i64)]) -> Vec<Vec<(u32, Between)>> {
        let mut calls = calls(all);
        for call in &mut calls {
            call.trace_id = Some("4bf92f3577b34da6".into());
        }
        let found = with_members(&calls, |members| candidates(members, &begun(members)).candidates);
        let pair = |candidate: &Candidate| (candidate.parent, candidate.between);
        found.iter().map(|found| found.iter().map(pair).collect()).collect()
    }

    #[test]
    fn a_gateway_that_asks_several_services_is_no_callee_of_theirs() {
        // 9 asks 1, which asks 5, and then 2, which asks 6: side by side, and one after the other.
        for second in [10, 60] {
            let fan = [(9, 1, 0, 50), (1, 5, 5, 45), (9, 2, second, 100), (2, 6, second + 5, 90)];
            let direct = |parent| vec![(parent, Between::Nothing)];
            assert_eq!(causes_by_trace(&fan), [vec![], direct(0), vec![], direct(2)], "{second}");
        }
        // What asks the gateway is above both.
        let asked = [(8, 9, 0, 100), (9, 1, 1, 50), (1, 5, 5, 45), (9, 2, 10, 90)];
        let above: Vec<_> =
            causes_by_trace(&asked).into_iter().map(|found| found[..].first().copied()).collect();
        assert_eq!(above[1..].iter().map(|found| found.expect("a cause").0).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn the_cause_is_found_behind_hundreds_of_its_calls() {
        let mut batch = vec![(1, 2, 0, 10_000)];
        batch.extend((1..600).map(|at| (2, 3, at * 10, at * 10 + 5)));
        let found = causes_by_trace(&batch);
        assert!(found[1..].iter().all(|found| found[..] == [(0, Between::Nothing)]));
    }

    #[test]
    fn an_id_says_whether_a_service_may_stand_between_that_was_not_captured() {
        // 1 asks 2; what 2 asks of 3 is missing, 3 asks 4.
        assert_eq!(causes_by_trace(&[(1, 2, 0, 50), (3, 4, 10, 30)])[1], [(0, Between::Perhaps)]);
        // 2 is seen to make its calls from its own address.
        let seen = [(1, 2, 0, 50), (2, 5, 2, 5), (3, 4, 10, 30)];
        assert_eq!(causes_by_trace(&seen)[2], [(0, Between::Likely)]);
        assert_eq!(causes_by_trace(&[(1, 2, 0, 50), (2, 4, 10, 30)])[1], [(0, Between::Nothing)]);
    }
}
