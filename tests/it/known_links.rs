//! Compares links with those that applications recorded (`captures/links/*.links.jsonl`); the tests and the bench share it.

use std::collections::HashMap;

use rpcscope::calls::record::Uid;
use rpcscope::chains::{Chain, Hop};
use serde_json::Value;

/// A call as the known links name it: its first packet, its method, its number on the connection, its client.
type Key = (u64, String, Option<i64>, String);

fn key(call: &Value) -> Key {
    let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
    (call["packet"].as_u64().unwrap_or_default(), text("method"), call["id"].as_i64(), text("client"))
}

fn seen(hop: &Hop) -> Key {
    let method = hop.call.method.as_deref().unwrap_or_default().to_owned();
    (hop.call.packets.0, method, hop.call.id, hop.call.client.to_string())
}

/// How the links of a capture compare with the known ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    pub(crate) links: usize,
    pub(crate) right: usize,
    /// Calls without a cause in the capture that are linked to one.
    pub(crate) adopted: usize,
    /// Changes told as a fact, and those of them that rest on a wrong link.
    pub(crate) told: usize,
    pub(crate) told_wrong: usize,
    /// Changes, told as a fact or not.
    pub(crate) changes: usize,
    /// Links that were made in each tenth of confidence: their number, the sum of their confidences, the right ones.
    bins: [(usize, f64, usize); 10],
}

impl Score {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.links += other.links;
        self.right += other.right;
        self.adopted += other.adopted;
        self.told += other.told;
        self.told_wrong += other.told_wrong;
        self.changes += other.changes;
        for (mine, (count, sum, right)) in self.bins.iter_mut().zip(other.bins) {
            *mine = (mine.0 + count, mine.1 + sum, mine.2 + right);
        }
    }

    /// The expected calibration error: how far confidences are from the share of right links, 0 to 1.
    pub(crate) fn calibration(&self) -> f64 {
        let made: usize = self.bins.iter().map(|(count, ..)| count).sum();
        let error: f64 = self.bins.iter().map(|(_, sum, right)| (sum - *right as f64).abs()).sum();
        error / made.max(1) as f64
    }
}

pub(crate) fn score(chains: &[Chain], known: &[Value]) -> Score {
    let hops = || chains.iter().flat_map(|chain| chain.hops.iter().map(move |hop| (chain, hop)));
    // Rows of some protocols have no number; there the first packet is enough.
    let uids: HashMap<Key, Uid> = hops()
        .flat_map(|(_, hop)| {
            let (packet, method, id, client) = seen(hop);
            [id, None].map(|id| ((packet, method.clone(), id, client.clone()), hop.call.uid))
        })
        .collect();
    let wanted: HashMap<Uid, Option<Uid>> = known
        .iter()
        .map(|row| {
            let child = uids.get(&key(&row["child"])).unwrap_or_else(|| panic!("no call {row}"));
            (*child, (!row["parent"].is_null()).then(|| uids[&key(&row["parent"])]))
        })
        .collect();
    let is_right = |chain: &Chain, hop: &Hop| {
        let have = hop.parent.map(|parent| chain.hops[parent].call.uid);
        wanted.get(&hop.call.uid).is_none_or(|want| *want == have)
    };
    let mut score = Score::default();
    for (chain, hop) in hops() {
        if let (Some(link), true) = (hop.link, wanted.contains_key(&hop.call.uid)) {
            let bin = &mut score.bins[((link.confidence * 10.0) as usize).min(9)];
            *bin = (bin.0 + 1, bin.1 + link.confidence, bin.2 + usize::from(is_right(chain, hop)));
        }
        match wanted.get(&hop.call.uid) {
            Some(Some(_)) => {
                score.links += 1;
                score.right += usize::from(is_right(chain, hop));
            }
            Some(None) => score.adopted += usize::from(hop.parent.is_some()),
            None => {}
        }
    }
    for chain in chains {
        score.changes += chain.changes.iter().filter(|change| change.below.is_some()).count();
        for below in chain.changes.iter().filter(|change| change.is_fact()).filter_map(|c| c.below) {
            score.told += 1;
            score.told_wrong += usize::from(!is_right(chain, &chain.hops[below]));
        }
    }
    score
}
