//! Statistics over all chains: which service turns which error into what, and who calls whom with what outcome.

use std::collections::BTreeMap;

use super::record::{Chain, FACT, Operation};
use crate::calls::record::{Call, Class, Finding, Findings, Initiator, Uid};

/// Most kinds of turns and of edges that are kept; more are only counted ([`Summary::beyond`]).
const MAX_KINDS: usize = 10_000;

/// An operation and how its call ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// `Order.Create`; may contain control characters.
    pub operation: String,
    /// Class; `None` if the answer was lost.
    pub class: Option<Class>,
    /// Number of the error.
    pub code: Option<i64>,
}

impl Ending {
    fn of(call: &Call) -> Self {
        Self { operation: Operation(call).to_string(), class: call.class(), code: call.outcome.code }
    }
}

/// How a service turns an error into its own answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What the callee answered; `None` if all callees were ok, or if it is not sure where the failure began.
    pub from: Option<Ending>,
    /// What the service answered.
    pub to: Ending,
    /// The findings about it.
    pub findings: Findings,
    /// How often.
    pub count: u64,
    /// One call that shows it.
    pub example: Uid,
    /// Whether it is known for sure where the failure began.
    pub is_sure: bool,
}

impl Turn {
    /// A failed call whose origin is not sure.
    fn unsure(call: &Call) -> Self {
        let to = Ending::of(call);
        Self { from: None, to, findings: Findings::default(), count: 1, example: call.uid, is_sure: false }
    }
}

/// Calls from one service to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All of them.
    pub calls: u64,
    /// Those that failed by business logic.
    pub business: u64,
    /// Those that failed in the framework, broke, or went unanswered.
    pub framework: u64,
    /// Those of `framework` that broke or went unanswered, so that no error was answered.
    pub broken: u64,
    /// Errors that began in these calls ([`Origin::At`](super::Origin::At)).
    pub began: u64,
    /// Errors that these calls passed on to their callers.
    pub passed: u64,
}

impl Traffic {
    /// Calls that did not fail.
    #[must_use]
    pub fn fine(&self) -> u64 {
        self.calls.saturating_sub(self.business + self.framework)
    }

    /// Calls to which the framework answered an error.
    #[must_use]
    pub fn rpc(&self) -> u64 {
        self.framework.saturating_sub(self.broken)
    }
}

/// Statistics over many chains.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Chains seen.
    pub chains: u64,
    /// Calls in them.
    pub calls: u64,
    /// Links between calls.
    pub links: u64,
    /// Chains with an error.
    pub errors: u64,
    /// Turns and calls whose kind was not kept.
    pub beyond: u64,
    /// Failed calls of which it is not known for sure where their failure began.
    pub unsure: u64,
    /// Turns that rest on links that are not sure. They are not among [`Self::turns`].
    pub unsure_turns: u64,
    /// Links of which it is not known for sure which service made the call.
    pub unsure_callers: u64,
    turns: BTreeMap<(Option<Ending>, Ending), Turn>,
    /// Failed calls whose origin is not sure, by how they ended.
    doubtful: BTreeMap<Ending, Turn>,
    edges: BTreeMap<(String, String), Traffic>,
}

/// The name of the callee in a graph: its name in the header (several services may share one interface), else the service that
/// the wire names, else its name in a file, else its address.
#[must_use]
pub fn node(call: &Call) -> String {
    match call.callee.as_deref().or(call.service.as_deref()) {
        Some(name) => name.to_owned(),
        None => {
            call.file_name(Initiator::Server).map_or_else(|| call.server.to_string(), ToString::to_string)
        }
    }
}

/// The name of the caller in a graph, for a call without a known cause: its name on the wire, else in a file, else its address.
#[must_use]
pub fn outside(call: &Call) -> String {
    let name = call.caller.as_ref().or_else(|| call.file_name(Initiator::Client));
    name.map_or_else(|| call.client.ip.to_string(), ToString::to_string)
}

/// The names of the caller and the callee of a hop in a graph.
#[must_use]
pub fn ends(chain: &Chain, hop: usize) -> (String, String) {
    let call = &chain.hops[hop].call;
    let from = match chain.hops[hop].parent {
        // Which of the calls to a service caused it may be open while the service is not.
        Some(parent) if chain.hops[hop].link.is_none_or(|link| link.caller >= FACT) => {
            node(&chain.hops[parent].call)
        }
        _ => outside(call),
    };
    (from, node(call))
}

/// How the services of a chain turn errors, one by one, as far as that is sure.
pub fn turns(chain: &Chain) -> impl Iterator<Item = Turn> {
    chain.changes.chunk_by(|a, b| a.hop == b.hop && a.below == b.below).filter_map(|changes| {
        let first = changes.first().filter(|change| change.is_fact())?;
        let call = &chain.hops[first.hop].call;
        let mut findings = Findings::default();
        for change in changes {
            findings.insert(change.finding);
        }
        let from = first.below.map(|below| Ending::of(&chain.hops[below].call));
        Some(Turn { from, to: Ending::of(call), findings, count: 1, example: call.uid, is_sure: true })
    })
}

/// The failed calls of a chain whose origin is not sure.
pub fn doubtful(chain: &Chain) -> impl Iterator<Item = Turn> {
    chain.unsure_failures().map(|hop| Turn::unsure(&chain.hops[hop].call))
}

impl Summary {
    /// Adds a chain.
    pub fn add(&mut self, chain: &Chain) {
        self.chains += 1;
        self.calls += chain.hops.len() as u64;
        self.links += chain.hops.iter().filter(|hop| hop.parent.is_some()).count() as u64;
        let path = chain.path();
        self.errors += u64::from(!path.is_empty());
        for turn in doubtful(chain) {
            self.unsure += 1;
            if let Some(known) = self.doubtful.get_mut(&turn.to) {
                known.count += 1;
            } else if self.doubtful.len() < MAX_KINDS {
                self.doubtful.insert(turn.to.clone(), turn);
            } else {
                self.beyond += 1;
            }
        }
        let callers = chain.hops.iter().filter_map(|hop| hop.link).filter(|link| link.caller < FACT);
        self.unsure_callers += callers.count() as u64;
        let turns_in_all = chain.changes.chunk_by(|a, b| a.hop == b.hop && a.below == b.below);
        self.unsure_turns += turns_in_all.filter(|changes| !changes[0].is_fact()).count() as u64;
        let is_sure = chain.is_origin_sure();
        for (index, hop) in chain.hops.iter().enumerate() {
            let key = ends(chain, index);
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
            traffic.broken +=
                u64::from(matches!(hop.call.class(), Some(Class::Transport | Class::Unanswered)));
            if is_sure && chain.origin.hop() == Some(index) {
                traffic.began += 1;
            } else if is_sure && hop.failed() && path.contains(&index) {
                traffic.passed += 1;
            }
        }
        for turn in turns(chain) {
            let key = (turn.from.clone(), turn.to.clone());
            if let Some(known) = self.turns.get_mut(&key) {
                known.count += turn.count;
                turn.findings.iter().for_each(|finding| known.findings.insert(finding));
            } else if self.turns.len() < MAX_KINDS {
                self.turns.insert(key, turn);
            } else {
                self.beyond += 1;
            }
        }
    }

    /// What is not known for sure, in words: `12 failed calls: origin not known for sure; 3 calls: caller not known for sure`.
    /// `None` where all is.
    #[must_use]
    pub fn doubts(&self) -> Option<String> {
        let callers = self.unsure_callers;
        let callers = (callers > 0)
            .then(|| format!("{}: caller not known for sure", crate::text::counted(callers, "call")));
        let parts: Vec<String> = doubts(self.unsure).into_iter().chain(callers).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Failed calls whose origin is not sure, by how they ended, the most frequent first.
    #[must_use]
    pub fn doubtful(&self) -> Vec<&Turn> {
        by_count(self.doubtful.values())
    }

    /// How services turn errors, the most frequent first.
    #[must_use]
    pub fn turns(&self) -> Vec<&Turn> {
        by_count(self.turns.values())
    }

    /// Who calls whom, by name.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, Traffic)> {
        self.edges.iter().map(|((from, to), traffic)| (from.as_str(), to.as_str(), *traffic))
    }
}

/// The most frequent first.
fn by_count<'t>(turns: impl Iterator<Item = &'t Turn>) -> Vec<&'t Turn> {
    let mut turns: Vec<&Turn> = turns.collect();
    turns.sort_by_key(|turn| std::cmp::Reverse(turn.count));
    turns
}

/// `12 failed calls: origin not known for sure`; `None` for none.
#[must_use]
pub fn doubts(failed: u64) -> Option<String> {
    (failed > 0)
        .then(|| format!("{}: origin not known for sure", crate::text::counted(failed, "failed call")))
}

/// The findings of a turn in words: `business-became-rpc, code-lost`.
#[must_use]
pub fn words(findings: Findings) -> String {
    let words: Vec<&str> = findings.iter().map(Finding::name).collect();
    words.join(", ")
}
