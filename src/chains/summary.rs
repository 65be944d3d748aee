//! All chains in sum: which service turns which error into what, and who calls whom with what outcome.

use std::collections::BTreeMap;

use super::record::{Chain, Operation};
use crate::calls::record::{Call, Class, Finding, Findings, Uid};

/// Most kinds of turns and of edges that are kept; what comes beyond is counted as [`Summary::beyond`].
const MAX_KINDS: usize = 10_000;

/// An operation and how its call ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// `Order.Create`; may hold control characters.
    pub operation: String,
    /// Class; `None` where the answer was lost.
    pub class: Option<Class>,
    /// Number of the error.
    pub code: Option<i64>,
}

impl Ending {
    fn of(call: &Call) -> Self {
        Self { operation: Operation(call).to_string(), class: call.class(), code: call.verdict.code }
    }
}

/// What a service makes of an error.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What the callee answered; `None` where all callees were ok.
    pub from: Option<Ending>,
    /// What the service answered.
    pub to: Ending,
    /// The rules that explain it.
    pub findings: Findings,
    /// How often.
    pub count: u64,
    /// One call of the service for which it is so.
    pub example: Uid,
}

/// Calls from one service to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All of them.
    pub calls: u64,
    /// Those that failed by business logic.
    pub business: u64,
    /// Those that the framework failed, or that broke or went unanswered.
    pub framework: u64,
}

/// The sum of many chains.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Chains seen.
    pub chains: u64,
    /// Calls in them.
    pub calls: u64,
    /// Links between calls.
    pub links: u64,
    /// Kinds that were not kept.
    pub beyond: u64,
    turns: BTreeMap<(Option<Ending>, Ending), Turn>,
    edges: BTreeMap<(String, String), Traffic>,
}

/// What a graph calls the callee of a call: its name in the header (several services may share one interface), else the
/// service that the wire names, else its address.
#[must_use]
pub fn node(call: &Call) -> String {
    match call.callee.as_deref().or(call.service.as_deref()) {
        Some(name) => name.to_owned(),
        None => call.server.to_string(),
    }
}

impl Summary {
    /// Adds a chain.
    pub fn add(&mut self, chain: &Chain) {
        self.chains += 1;
        self.calls += chain.hops.len() as u64;
        self.links += chain.hops.len() as u64 - 1;
        for hop in &chain.hops {
            let from = match hop.parent {
                Some(parent) => node(&chain.hops[parent].call),
                None => {
                    hop.call.caller.as_deref().map_or_else(|| hop.call.client.ip.to_string(), str::to_owned)
                }
            };
            let key = (from, node(&hop.call));
            if self.edges.len() >= MAX_KINDS && !self.edges.contains_key(&key) {
                self.beyond += 1;
                continue;
            }
            let traffic = self.edges.entry(key).or_default();
            traffic.calls += 1;
            match hop.call.class() {
                Some(Class::Business) => traffic.business += 1,
                _ if hop.call.failed() => traffic.framework += 1,
                _ => {}
            }
        }
        for pair in chain.changes.chunk_by(|a, b| a.hop == b.hop && a.below == b.below) {
            let [first, ..] = pair else { continue };
            let call = &chain.hops[first.hop].call;
            let from = first.below.map(|below| Ending::of(&chain.hops[below].call));
            let key = (from.clone(), Ending::of(call));
            if self.turns.len() >= MAX_KINDS && !self.turns.contains_key(&key) {
                self.beyond += 1;
                continue;
            }
            let turn = self.turns.entry(key).or_insert_with(|| Turn {
                from,
                to: Ending::of(call),
                findings: Findings::default(),
                count: 0,
                example: call.uid,
            });
            turn.count += 1;
            for change in pair {
                turn.findings.insert(change.finding);
            }
        }
    }

    /// What services make of errors, the most frequent first.
    #[must_use]
    pub fn turns(&self) -> Vec<&Turn> {
        let mut turns: Vec<&Turn> = self.turns.values().collect();
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.count));
        turns
    }

    /// Who calls whom, by name.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, Traffic)> {
        self.edges.iter().map(|((from, to), traffic)| (from.as_str(), to.as_str(), *traffic))
    }
}

/// The findings of a turn as people say them: `business became RPC, code lost`.
#[must_use]
pub fn words(findings: Findings) -> String {
    let words: Vec<&str> = findings.iter().map(Finding::name).collect();
    words.join(", ")
}
