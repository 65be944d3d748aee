//! Which connections go together: a thread that serves one connection makes its calls by connections of its own.
//!
//! If all calls of a connection fall into calls of one other connection, and would not by chance, that one owns it. Where
//! connections are shared (a pool, HTTP/2), no connection covers another better than chance does, and nothing follows.

use hashbrown::HashMap;

use foldhash::fast::FixedState;

use super::candidates::{Member, Open, Place, contains};
use super::traits::hash;
use crate::calls::record::Call;

type Map<K, V> = HashMap<K, V, FixedState>;

/// Calls of a connection from which something can be said of it.
const MIN_CALLS: u32 = 4;

/// Most pairs of connections that are counted.
const MAX_PAIRS: usize = 1 << 20;

/// Probability that a connection is owned, before anything is seen.
const OWNED: f64 = 0.5;

/// Share of an owned connection's calls that seem to fall outside of its owner's.
const MISSED: f64 = 0.02;

/// Most that it says for or against a pair, as a logarithm.
const MOST: f64 = 6.0;

/// What is known of the connections of a window.
#[derive(Default)]
pub(super) struct Connections {
    /// Calls by connection.
    calls: Map<u64, u32>,
    /// Calls of one connection during which a call of the other was in work: `(made by, came by)`.
    covered: Map<(u64, u64), u32>,
    /// Calls made by any connection that were so covered, and all, by the connection that came in.
    shares: Map<u64, (u32, u32)>,
    /// By connection that calls are made by: probability that it has no owner, and the weight of each owner.
    owners: Map<u64, (f64, Map<u64, f64>)>,
}

/// The connection of a call.
fn connection(call: &Call) -> u64 {
    hash(&(call.client, call.server))
}

impl Connections {
    /// Counts which connections go together. `places` are the calls by the address that answers them.
    pub(super) fn new(members: &[Member<'_>], places: &Map<std::net::IpAddr, Place>) -> Self {
        let mut found = Self::default();
        for member in members {
            *found.calls.entry(connection(member.call)).or_default() += 1;
        }
        let mut open = Open::default();
        let mut inside: Vec<u64> = Vec::new();
        let mut made: Map<std::net::IpAddr, u32> = Map::default();
        for child in members.iter().filter(|member| member.is_child && member.settled.is_none()) {
            let ip = child.call.client.ip;
            let Some(place) = places.get(&ip) else { continue };
            let out = connection(child.call);
            if found.calls[&out] < MIN_CALLS || found.covered.len() > MAX_PAIRS {
                continue;
            }
            inside.clear();
            for &parent in open.at(ip, place, members, child.traits.start) {
                let parent = &members[parent as usize];
                let by = connection(parent.call);
                if found.calls[&by] >= MIN_CALLS && contains(parent, child) {
                    inside.push(by);
                }
            }
            inside.sort_unstable();
            inside.dedup();
            *made.entry(ip).or_default() += 1;
            for &by in &inside {
                *found.covered.entry((out, by)).or_default() += 1;
                found.shares.entry(by).or_default().0 += 1;
            }
        }
        for member in members {
            if let (Some(share), Some(all)) =
                (found.shares.get_mut(&connection(member.call)), made.get(&member.call.server.ip))
            {
                share.1 = *all;
            }
        }
        found.find_owners();
        found
    }

    /// Weighs for each connection who owns it.
    fn find_owners(&mut self) {
        let mut pairs: Vec<((u64, u64), u32)> = self.covered.drain().collect();
        pairs.sort_unstable();
        let rivals = self.shares.len().max(1) as f64;
        for group in pairs.chunk_by(|a, b| a.0.0 == b.0.0) {
            let out = group[0].0.0;
            let all = f64::from(self.calls[&out]);
            let weigh = |&((_, by), inside): &((u64, u64), u32)| {
                let (covered, made) = self.shares[&by];
                let chance = (f64::from(covered) / f64::from(made.max(1))).clamp(0.001, 0.999);
                let inside = f64::from(inside).min(all);
                let gain = -inside * chance.ln() + (all - inside) * (MISSED / (1.0 - chance)).ln();
                (by, (OWNED / rivals).ln() + gain)
            };
            let weights: Vec<(u64, f64)> = group.iter().map(weigh).collect();
            let shared = (1.0 - OWNED).ln();
            let most = weights.iter().map(|(_, weight)| *weight).fold(shared, f64::max);
            let sum: f64 =
                weights.iter().map(|(_, weight)| (weight - most).exp()).sum::<f64>() + (shared - most).exp();
            let owners = weights.into_iter().map(|(by, weight)| (by, (weight - most).exp() / sum)).collect();
            self.owners.insert(out, ((shared - most).exp() / sum, owners));
        }
    }

    /// Logarithm of how much likelier the connections are of a true pair than of any of so many possible ones.
    pub(super) fn weight(&self, parent: &Call, child: &Call, possible: usize) -> f32 {
        let Some((shared, owners)) = self.owners.get(&connection(child)) else { return 0.0 };
        let by = connection(parent);
        if self.calls.get(&by).is_none_or(|calls| *calls < MIN_CALLS) {
            return 0.0;
        }
        let chance = 1.0 / possible.max(1) as f64;
        let owner = owners.get(&by).copied().unwrap_or(0.0);
        ((owner + shared * chance) / chance).ln().clamp(-MOST, MOST) as f32
    }
}
