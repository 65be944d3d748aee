//! Which connections belong together: a thread that serves one connection makes its calls on connections of its own.
//!
//! If all calls of a connection fall into calls of one other connection, and would not by chance, that connection owns it. Where
//! connections are shared (a pool, HTTP/2), none covers another better than chance does, and there is no evidence.

use super::members::{Hosts, InWork, Map, Member, contains, count_connections};

/// Fewest calls of a connection to say anything about it.
const MIN_CALLS: u32 = 4;

/// Most pairs of connections that are counted.
const MAX_PAIRS: usize = 1 << 20;

/// Probability that a connection is owned, before any data.
const OWNED: f64 = 0.5;

/// Share of an owned connection's calls that seem to fall outside the calls of its owner.
const MISSED: f64 = 0.02;

/// Limit of the weight for or against a pair, as a logarithm.
const MOST: f64 = 6.0;

/// What is known of the connections of a window.
#[derive(Default)]
pub(super) struct Connections {
    /// Calls by connection.
    calls: Vec<u32>,
    /// Calls on one connection that were made while a call of the other was in work: `(outgoing, incoming)`.
    covered: Map<(u32, u32), u32>,
    /// By incoming connection: calls on any outgoing one that it covered, and all of them.
    shares: Vec<(u32, u32)>,
    /// By outgoing connection: the probability that it has no owner, and that of each owner.
    owners: Map<u32, (f64, Map<u32, f64>)>,
}

impl Connections {
    /// Counts which connections belong together. `hosts` are the calls by the address that answers them.
    pub(super) fn new(members: &[Member<'_>], hosts: &Hosts) -> Self {
        let count = count_connections(members);
        let mut found = Self { calls: vec![0; count], shares: vec![(0, 0); count], ..Self::default() };
        for member in members {
            found.calls[member.connection as usize] += 1;
        }
        let mut in_work = InWork::new(hosts);
        let mut covering: Vec<u32> = Vec::new();
        let mut made = vec![0_u32; hosts.count()];
        for child in members.iter().filter(|member| member.is_child && member.settled.is_none()) {
            let Some(host) = hosts.get(child.caller) else { continue };
            let outgoing = child.connection;
            if found.calls[outgoing as usize] < MIN_CALLS || found.covered.len() > MAX_PAIRS {
                continue;
            }
            covering.clear();
            for &parent in in_work.at(child.caller, host, members, child.start, false) {
                let parent = &members[parent as usize];
                let incoming = parent.connection;
                if found.calls[incoming as usize] >= MIN_CALLS && contains(parent, child) {
                    covering.push(incoming);
                }
            }
            covering.sort_unstable();
            covering.dedup();
            made[child.caller as usize] += 1;
            for &incoming in &covering {
                *found.covered.entry((outgoing, incoming)).or_default() += 1;
                found.shares[incoming as usize].0 += 1;
            }
        }
        for member in members {
            found.shares[member.connection as usize].1 = made[member.callee as usize];
        }
        found.find_owners();
        found
    }

    /// Weighs who owns each connection.
    fn find_owners(&mut self) {
        let mut pairs: Vec<((u32, u32), u32)> = self.covered.drain().collect();
        pairs.sort_unstable();
        let incoming = self.shares.iter().filter(|(covered, _)| *covered > 0).count().max(1) as f64;
        for group in pairs.chunk_by(|a, b| a.0.0 == b.0.0) {
            let outgoing = group[0].0.0;
            let all = f64::from(self.calls[outgoing as usize]);
            let weigh = |&((_, owner), inside): &((u32, u32), u32)| {
                let (covered, made) = self.shares[owner as usize];
                let chance = (f64::from(covered) / f64::from(made.max(1))).clamp(0.001, 0.999);
                let inside = f64::from(inside).min(all);
                let gain = -inside * chance.ln() + (all - inside) * (MISSED / (1.0 - chance)).ln();
                (owner, (OWNED / incoming).ln() + gain)
            };
            let weights: Vec<(u32, f64)> = group.iter().map(weigh).collect();
            let shared = (1.0 - OWNED).ln();
            let most = weights.iter().map(|(_, weight)| *weight).fold(shared, f64::max);
            let sum: f64 =
                weights.iter().map(|(_, weight)| (weight - most).exp()).sum::<f64>() + (shared - most).exp();
            let owners =
                weights.into_iter().map(|(owner, weight)| (owner, (weight - most).exp() / sum)).collect();
            self.owners.insert(outgoing, ((shared - most).exp() / sum, owners));
        }
    }

    /// Logarithm of how much likelier the two connections are of a true pair than of any of `possible` pairs.
    pub(super) fn weight(&self, parent: &Member<'_>, child: &Member<'_>, possible: usize) -> f32 {
        let Some((shared, owners)) = self.owners.get(&child.connection) else { return 0.0 };
        let incoming = parent.connection;
        if self.calls[incoming as usize] < MIN_CALLS {
            return 0.0;
        }
        let chance = 1.0 / possible.max(1) as f64;
        let owner = owners.get(&incoming).copied().unwrap_or(0.0);
        ((owner + shared * chance) / chance).ln().clamp(-MOST, MOST) as f32
    }
}
