//! Cuts a window into the calls of each host, which are linked independently: a host's calls were caused by calls to it.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::sampler::{self, Effort, Room};
use super::{Belief, Edge, Facts, SETTLED, Solution, Span, Window};

/// The members of a window that belong to one host, and the possible pairs among them.
#[derive(Default)]
struct Part {
    /// Indices of members, by start: callers' calls to the host, and the calls that it made.
    members: Vec<u32>,
    /// Indices of edges, by parent and child.
    edges: Vec<u32>,
    /// Whether any of the edges is open.
    is_open: bool,
}

/// How many walks may be weighed in a window of [`SMALL`] calls, at most in a smaller one, and for each call in a large one. Between
/// them, the number of walks falls with the square of that of the calls.
const WALKS: f64 = 1_000_000.0;
const MOST_WALKS: f64 = 2_000_000.0;
const WALKS_PER_CALL: f64 = 2.0;

/// Walks for each call below which all its causes come into question, however little time there is: with the same time, weighing each of
/// them a few times finds far more right links than weighing the few that look likeliest by themselves.
const LEAST_WALKS_PER_CALL: f64 = 80.0;

/// Calls of a window from which no time is spare.
const SMALL: f64 = 4_000.0;

/// Most possible causes of one call that are weighed, and how many are if there is no time for more.
const MOST_CAUSES: [usize; 5] = [32, 24, 16, 12, 8];

/// Links the calls of all hosts that make few calls; those of others are left without a parent.
pub(super) fn solve(window: &Window) -> Solution {
    let calls = window.children.len() as f64;
    let time = (WALKS * (SMALL / calls).powi(2)).min(MOST_WALKS).max(WALKS_PER_CALL * calls);
    solve_within(window, time)
}

/// The same, weighing about that many walks.
fn solve_within(window: &Window, mut time: f64) -> Solution {
    let alone = Belief { edge: None, probability: 1.0 };
    let mut solution =
        Solution { beliefs: vec![alone; window.children.len()], shares: vec![0.0; window.edges.len()] };
    let mut parts: Vec<Part> = Vec::new();
    let mut hosts: HashMap<u32, u32, FixedState> = HashMap::default();
    for (index, edge) in window.edges.iter().enumerate() {
        if !window.joint[edge.child as usize] {
            continue;
        }
        let host = window.children[edge.child as usize].host;
        let part = *hosts.entry(host).or_insert_with(|| {
            parts.push(Part::default());
            parts.len() as u32 - 1
        });
        parts[part as usize].edges.push(index as u32);
        parts[part as usize].is_open |= edge.weight < SETTLED;
    }
    for (index, (parent, child)) in window.parents.iter().zip(&window.children).enumerate() {
        for host in [Some(parent.host), (child.host != parent.host).then_some(child.host)] {
            if let Some(part) = host.and_then(|host| hosts.get(&host)) {
                parts[*part as usize].members.push(index as u32);
            }
        }
    }
    let decided = decide_by_id(window, &mut parts);
    for part in &mut parts {
        // An id may link calls of different hosts.
        let known: HashSet<u32, FixedState> = part.members.iter().copied().collect();
        let parents = part.edges.iter().map(|&edge| window.edges[edge as usize].parent);
        let strangers: HashSet<u32, FixedState> = parents.filter(|parent| !known.contains(parent)).collect();
        part.members.extend(strangers);
        part.members.sort_unstable();
    }
    for part in parts.iter().filter(|part| !part.is_open) {
        for &index in &part.edges {
            let child = window.edges[index as usize].child as usize;
            solution.beliefs[child] = Belief { edge: Some(index), probability: 1.0 };
            solution.shares[index as usize] = 1.0;
        }
    }
    parts.retain(|part| part.is_open);
    let calls = window.children.len() as f64;
    drop_unlikely(window, &mut parts, time.max(LEAST_WALKS_PER_CALL * calls));
    // What takes less than its share leaves more to the others.
    parts.sort_by_key(|part| part.edges.len());
    let mut local = vec![0_u32; window.children.len()];
    let mut left = parts.len() as f64;
    let mut room = Room::default();
    for part in parts {
        for (index, &member) in part.members.iter().enumerate() {
            local[member as usize] = index as u32;
        }
        let share = time / left / (part.edges.len() as f64 * Effort::SWEEPS);
        let effort = Effort::of(if calls < SMALL { share } else { share.min(1.0) });
        let (beliefs, shares, weighed) =
            sampler::solve(&cut_out(window, &part, &local, &decided), effort, &mut room);
        time = (time - weighed as f64).max(0.0);
        left -= 1.0;
        for (&index, share) in part.edges.iter().zip(shares) {
            solution.shares[index as usize] = share;
            let child = window.edges[index as usize].child;
            let belief = beliefs[local[child as usize] as usize];
            let edge = belief.edge.map(|edge| part.edges[edge as usize]);
            solution.beliefs[child as usize] = Belief { edge, ..belief };
        }
    }
    for (&edge, &probability) in &decided {
        let child = window.edges[edge as usize].child as usize;
        solution.beliefs[child] = Belief { edge: Some(edge), probability };
        solution.shares[edge as usize] = probability as f32;
    }
    solution
}

/// Decides calls that an id links to one of several calls that their own host did not answer: which of them a host makes says
/// nothing about others' hosts. Returns the chosen edges with their probabilities; the other edges of these calls are dropped.
fn decide_by_id(window: &Window, parts: &mut [Part]) -> HashMap<u32, f64, FixedState> {
    let is_foreign = |edge: &Edge| {
        edge.weight < SETTLED
            && window.parents[edge.parent as usize].host != window.children[edge.child as usize].host
    };
    let foreign: HashSet<u32, FixedState> =
        window.edges.iter().filter(|edge| is_foreign(edge)).map(|edge| edge.child).collect();
    let mut decided = HashMap::default();
    if foreign.is_empty() {
        return decided;
    }
    for part in parts {
        // By child: the sum of all likelihoods, the greatest weight, and its edge; of equals, the call that began last.
        let mut best: HashMap<u32, (f64, f32, u32), FixedState> = HashMap::default();
        for &index in &part.edges {
            let edge = window.edges[index as usize];
            if foreign.contains(&edge.child) {
                let best = best.entry(edge.child).or_insert((0.0, f32::MIN, index));
                best.0 += f64::from(edge.weight).exp();
                if edge.weight >= best.1 {
                    (best.1, best.2) = (edge.weight, index);
                }
            }
        }
        decided.extend(best.values().map(|&(sum, most, edge)| (edge, f64::from(most).exp() / sum)));
        part.edges.retain(|index| {
            !foreign.contains(&window.edges[*index as usize].child) || decided.contains_key(index)
        });
        part.is_open = part
            .edges
            .iter()
            .any(|index| window.edges[*index as usize].weight < SETTLED && !decided.contains_key(index));
    }
    decided
}

/// Drops the less likely causes of calls that have too many.
fn drop_unlikely(window: &Window, parts: &mut [Part], time: f64) {
    let mut causes = vec![0_usize; window.children.len()];
    for &edge in parts.iter().flat_map(|part| &part.edges) {
        causes[window.edges[edge as usize].child as usize] += 1;
    }
    let sum = |most: usize| causes.iter().map(|&causes| causes.min(most)).sum::<usize>() as f64;
    let fits = |most: &usize| sum(*most) * Effort::LEAST_SWEEPS <= time;
    let most = MOST_CAUSES.into_iter().find(fits).unwrap_or(MOST_CAUSES[MOST_CAUSES.len() - 1]);
    if causes.iter().all(|&causes| causes <= most) {
        return;
    }
    let mut ranked: Vec<(u32, f32, u32)> = parts
        .iter()
        .flat_map(|part| &part.edges)
        .map(|&index| (index, window.edges[index as usize]))
        .filter(|(_, edge)| causes[edge.child as usize] > most)
        .map(|(index, edge)| (edge.child, -likelihood(window, edge), index))
        .collect();
    ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let dropped: HashSet<u32, FixedState> = ranked
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|of_child| &of_child[most..])
        .map(|(.., index)| *index)
        .collect();
    for part in parts {
        part.edges.retain(|edge| !dropped.contains(edge));
    }
}

/// How likely a pair looks by itself, as a logarithm: the shorter the gaps, the more; related errors speak for it.
fn likelihood(window: &Window, edge: Edge) -> f32 {
    let (parent, child) = (window.parents[edge.parent as usize], window.children[edge.child as usize]);
    let octave = |gap: i64| (gap.unsigned_abs().max(1 << 16) as f32).log2();
    let mut sum = edge.weight - octave(child.start - parent.start) / 2.0;
    if child.end <= parent.end {
        sum -= octave(parent.end - child.end) / 2.0;
    }
    let (above, below) = (&window.facts[edge.parent as usize], &window.facts[edge.child as usize]);
    if below.failed {
        sum += if window.is_related(edge.parent, edge.child) { 6.0 } else { 0.0 };
        sum += if above.failed { 2.0 } else { 0.0 };
    }
    sum
}

/// Numbers things anew, in the order in which they come.
#[derive(Default)]
struct Numbers(HashMap<u32, u32, FixedState>);

impl Numbers {
    fn of(&mut self, thing: u32) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(thing).or_insert(next)
    }
}

/// A child from the moment on at which its caller opened a connection for it, if it did.
fn as_opened(child: Span, opened: Option<i64>) -> Span {
    let start = opened.unwrap_or(child.start);
    // Where the end is not known, it equals the start.
    let end = if child.end == child.start { start } else { child.end };
    Span { start, end, ..child }
}

/// A part as a window of its own. `local` are the new indices of its members; the `decided` edges are settled.
fn cut_out(window: &Window, part: &Part, local: &[u32], decided: &HashMap<u32, f64, FixedState>) -> Window {
    let members = || part.members.iter().map(|&member| member as usize);
    let (mut services, mut operations, mut connections) =
        (Numbers::default(), Numbers::default(), Numbers::default());
    let facts = members().map(|member| {
        let facts = window.facts[member];
        Facts {
            service: services.of(facts.service),
            operation: operations.of(facts.operation),
            connection: connections.of(facts.connection),
            ..facts
        }
    });
    let edges = part.edges.iter().map(|&index| {
        let edge = window.edges[index as usize];
        let weight = if decided.contains_key(&index) { SETTLED } else { edge.weight };
        Edge { parent: local[edge.parent as usize], child: local[edge.child as usize], weight }
    });
    Window {
        facts: facts.collect(),
        parents: members().map(|member| window.parents[member]).collect(),
        children: members()
            .map(|member| as_opened(window.children[member], window.facts[member].opened))
            .collect(),
        edges: edges.collect(),
        related: std::sync::Arc::clone(&window.related),
        joint: Vec::new(),
    }
}

/// The calls of the hosts that [`solve`] leaves out as a window of their own, with the former indices of its members and edges.
pub(super) fn crowded(window: &Window) -> (Window, Vec<u32>, Vec<u32>) {
    let is_crowded = |index: &u32| !window.joint[window.edges[*index as usize].child as usize];
    let edges: Vec<u32> = (0..window.edges.len() as u32).filter(is_crowded).collect();
    let host = |index: &u32| window.children[window.edges[*index as usize].child as usize].host;
    let hosts: HashSet<u32, FixedState> = edges.iter().map(host).collect();
    let belongs = |member: &u32| {
        let (parent, child) = (&window.parents[*member as usize], &window.children[*member as usize]);
        hosts.contains(&parent.host) || hosts.contains(&child.host)
    };
    let members: Vec<u32> = (0..window.parents.len() as u32).filter(belongs).collect();
    let mut local = vec![0_u32; window.parents.len()];
    members.iter().enumerate().for_each(|(index, member)| local[*member as usize] = index as u32);
    let rest = Window {
        parents: members.iter().map(|&member| window.parents[member as usize]).collect(),
        children: members.iter().map(|&member| window.children[member as usize]).collect(),
        edges: edges
            .iter()
            .map(|&index| {
                let edge = window.edges[index as usize];
                Edge { parent: local[edge.parent as usize], child: local[edge.child as usize], ..edge }
            })
            .collect(),
        ..Window::default()
    };
    (rest, members, edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of two operations makes a call. In every second of its rounds, many of the other begin and end closer around that call. Returns
    /// the edges of the right causes, too.
    fn rounds() -> (Window, Vec<Edge>) {
        let ms = |units: i64| units * 100_000;
        let span = |host, start, end| Span { start, end, class: 0, host };
        let facts = |service, operation| Facts { service, operation, ..Facts::default() };
        let (mut window, mut right) = (Window::default(), Vec::new());
        let mut add = |span, facts| {
            window.parents.push(span);
            window.children.push(Span { host: span.host + 1, ..span });
            window.facts.push(facts);
            window.facts.len() as u32 - 1
        };
        for round in 0..40 {
            let at = |units: i64| ms(round * 1_000 + units);
            let caller = add(span(1, at(0), at(130)), facts(0, 0));
            let beside = if round % 2 == 0 { 0 } else { 14 };
            let beside: Vec<u32> = (1..=beside)
                .map(|place| add(span(1, at(4 * place), at(130 - 4 * place)), facts(0, 1)))
                .collect();
            let child = add(span(0, at(60), at(70)), facts(1, 2));
            right.push(Edge { parent: caller, child, weight: 0.0 });
            window.edges.extend([caller].into_iter().chain(beside).map(|parent| Edge {
                parent,
                child,
                weight: 0.0,
            }));
        }
        window.joint = vec![true; window.facts.len()];
        (window, right)
    }

    #[test]
    fn a_cause_that_looks_unlikely_by_itself_is_weighed_however_little_time_there_is() {
        let (window, links) = rounds();
        let calls = window.children.len() as f64;
        for walks in [MOST_WALKS, WALKS_PER_CALL * calls] {
            let beliefs = solve_within(&window, walks).beliefs;
            let is_right = |link: &&Edge| {
                let edge = beliefs[link.child as usize].edge.map(|edge| window.edges[edge as usize]);
                edge.is_some_and(|edge| edge.parent == link.parent)
            };
            let right = links.iter().filter(is_right).count();
            assert!(right >= 38, "{right} of {} are right after {walks} walks", links.len());
        }
    }
}
