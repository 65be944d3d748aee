//! Settles who caused whom: by evidence first, by time where that leaves a choice.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::assign::{self, Edge, SETTLED, Solution, Span, TimingModel, Window, baselines};
use super::by_id::Between;
use super::candidates::{Candidate, Candidates};
use super::engine::Method;
use super::facts;
use super::members::Member;
use super::record::{Evidence, Link};
use super::rivals;
use super::traits::Traits;

/// Fewest calls of an operation for gaps of its own. The gaps of fewer calls say less than those of the whole service, even if the
/// operations differ.
const ENOUGH: u32 = 500;

/// Confidence of a link by an id that both calls carry.
const PROVED: f64 = 0.99;

/// Highest confidence of a link by time, or by there being no other call.
const INFERRED: f64 = 0.99;

/// Confidence of a link by an id between whose calls another service likely stands.
const INDIRECT: f64 = 0.5;

/// How likely none does where that may be.
const DIRECT: f64 = 0.75;

/// Highest confidence of a link with that between its calls, by an id or not.
fn most(by_id: bool, between: Between) -> f64 {
    match between {
        Between::Likely => INDIRECT,
        Between::Itself => DIRECT,
        Between::Nothing | Between::Perhaps if by_id => PROVED,
        Between::Nothing | Between::Perhaps => INFERRED,
    }
}

/// See [`Link::direct`].
fn direct(between: Between) -> f64 {
    if between == Between::Perhaps { DIRECT } else { 1.0 }
}

/// What is left of the confidence of a link by times between two calls whose answers were both not read: their ends are those of others. With
/// 5 to 20 % of the packets lost, 33 to 74 % of those links were right that seemed to be so with 96 %.
const UNREAD: f64 = 0.75;

/// What was settled about a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    /// Its cause.
    pub(super) link: Option<(u32, Link)>,
    /// Other possible causes with their probabilities, the likeliest first.
    pub(super) rivals: Vec<(u32, f64)>,
}

/// Settles who caused whom: by evidence first, by time where that leaves a choice. What was settled about each member goes to `links`, in
/// place of what stands there.
pub(super) fn settle(
    members: &[Member<'_>],
    classes: &[u32],
    begun: &[i64],
    (found, joint): (&[Candidates], &[bool]),
    method: Method,
    model: &mut TimingModel,
    links: &mut Vec<Settled>,
) {
    links.clear();
    links.resize(members.len(), Settled::default());
    let proved = |candidates: &[Candidate]| matches!(candidates, [only] if only.weight >= SETTLED);
    for (index, candidates) in found.iter().enumerate() {
        if proved(candidates) {
            let Candidate { evidence, between, .. } = candidates[0];
            let confidence = most(true, between);
            let link = Link { evidence, confidence, caller: confidence, direct: direct(between) };
            links[index].link = Some((candidates[0].parent, link));
        }
    }
    if found.iter().all(|candidates| candidates.is_empty() || proved(candidates)) {
        return;
    }
    let window = window(members, classes, begun, found, joint);
    let simply = |beliefs| Solution { beliefs, shares: Vec::new() };
    let solution = match method {
        Method::Joint => assign::solve(&window, model),
        Method::Nearest => simply(baselines::nearest(&window)),
        Method::FirstInFirstOut => simply(baselines::first_in_first_out(&window)),
        Method::GapScores => simply(baselines::gap_scores(&window)),
    };
    let rivals = rivals::find(&window, &solution);
    for (child, (belief, mut rivals)) in solution.beliefs.into_iter().zip(rivals).enumerate() {
        if links[child].link.is_some() {
            continue;
        }
        let chosen = belief.edge.map(|edge| window.edges[edge as usize].parent);
        let service = |parent: u32| window.facts.get(parent as usize).map(|facts| facts.service);
        let others: f64 = rivals
            .iter()
            .filter(|(rival, _)| {
                chosen.is_some_and(|chosen| *rival != chosen && service(*rival) == service(chosen))
            })
            .map(|(_, share)| share)
            .sum();
        rivals.retain(|(rival, _)| Some(*rival) != chosen);
        rivals.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        links[child].rivals = rivals;
        let Some(edge) = belief.edge else { continue };
        let parent = window.edges[edge as usize].parent;
        let Some(candidate) = found[child].iter().find(|candidate| candidate.parent == parent) else {
            continue;
        };
        let mut evidence = candidate.evidence;
        let by_id = evidence.contains(Evidence::TraceId) || evidence.contains(Evidence::LogId);
        if evidence.is_empty() {
            evidence.insert(Evidence::Timing);
        }
        let most = most(by_id, candidate.between);
        let is_unread = |call: usize| members[call].class.is_none();
        let known = if !by_id && is_unread(child) && is_unread(parent as usize) { UNREAD } else { 1.0 };
        let confidence = belief.probability.min(most) * known;
        let caller = (confidence + others).min(most);
        links[child].link =
            Some((parent, Link { evidence, confidence, caller, direct: direct(candidate.between) }));
    }
}

/// Builds the input of the assignment.
fn window(
    members: &[Member<'_>],
    classes: &[u32],
    begun: &[i64],
    found: &[Candidates],
    joint: &[bool],
) -> Window {
    let edges = found.iter().map(Candidates::len).sum();
    let mut window = Window {
        parents: Vec::with_capacity(members.len()),
        children: Vec::with_capacity(members.len()),
        edges: Vec::with_capacity(edges),
        joint: joint.to_vec(),
        ..Window::default()
    };
    for ((member, &class), &begun) in members.iter().zip(classes).zip(begun) {
        let [caller, callee] = member.traits.machines.map(|machine| machine as u32);
        let span = |start, end, host| Span { start, end, class, host };
        window.parents.push(span(begun, member.work().1, callee));
        let end = if member.answered { member.end } else { member.start };
        window.children.push(span(member.start, end, caller));
    }
    for (child, candidates) in found.iter().enumerate() {
        for candidate in candidates {
            let (parent, child) = (candidate.parent, child as u32);
            window.edges.push(Edge { parent, child, weight: candidate.weight });
        }
    }
    window.edges.sort_unstable_by_key(|edge| (edge.parent, edge.child));
    facts::find(members, &mut window);
    window
}

/// The class of calls that are expected to behave like this one: its operation if that has enough calls to learn from, else its
/// service.
pub(super) fn class(traits: &Traits, operations: &HashMap<u64, u32, FixedState>) -> u32 {
    if operations.get(&traits.operation).is_some_and(|calls| *calls >= ENOUGH) {
        return traits.operation as u32;
    }
    traits.service_as_answered as u32
}
