//! Cuts a window into the calls of each host, which are linked independently: a host's calls were caused by calls to it.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::sampler::{self, Effort};
use super::{Belief, Edge, Facts, SETTLED, Solution, Window};

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

/// How often possible pairs of a window may be weighed: any window, and for each of its calls.
const BUDGET: f64 = 1_000_000.0;
const BUDGET_PER_CALL: f64 = 6.0;

/// Links the calls of all hosts that make few calls; those of others are left without a parent.
pub(super) fn solve(window: &Window) -> Solution {
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
    let open: usize = parts.iter().filter(|part| part.is_open).map(|part| part.edges.len()).sum();
    let budget = BUDGET + BUDGET_PER_CALL * window.children.len() as f64;
    let effort = Effort::of(budget / (open.max(1) as f64 * Effort::SWEEPS));
    let mut local = vec![0_u32; window.children.len()];
    for part in parts {
        if !part.is_open {
            for &index in &part.edges {
                let child = window.edges[index as usize].child as usize;
                solution.beliefs[child] = Belief { edge: Some(index), probability: 1.0 };
                solution.shares[index as usize] = 1.0;
            }
            continue;
        }
        for (index, &member) in part.members.iter().enumerate() {
            local[member as usize] = index as u32;
        }
        let (beliefs, shares) = sampler::solve(&cut_out(window, &part, &local), effort);
        for (&index, share) in part.edges.iter().zip(shares) {
            solution.shares[index as usize] = share;
            let child = window.edges[index as usize].child;
            let belief = beliefs[local[child as usize] as usize];
            let edge = belief.edge.map(|edge| part.edges[edge as usize]);
            solution.beliefs[child as usize] = Belief { edge, ..belief };
        }
    }
    solution
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

/// A part as a window of its own. `local` are the new indices of its members.
fn cut_out(window: &Window, part: &Part, local: &[u32]) -> Window {
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
        Edge { parent: local[edge.parent as usize], child: local[edge.child as usize], ..edge }
    });
    Window {
        facts: facts.collect(),
        parents: members().map(|member| window.parents[member]).collect(),
        children: members().map(|member| window.children[member]).collect(),
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
