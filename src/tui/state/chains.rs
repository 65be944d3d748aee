//! The chains that are held, and the sum of all that came.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::matcher::Matcher;
use super::pace::Slice;
use crate::calls::{Call, Uid};
use crate::chains::summary::{self, Turn};
use crate::chains::{Chain, Hop, Operation, Summary};
use crate::text;

/// The most chains that are held; above it the oldest ones without an error are evicted, then the oldest others.
const LIMIT: usize = 10_000;

/// A chain that is held.
#[derive(Debug)]
pub(in crate::tui) struct HeldChain {
    pub chain: Chain,
    /// The filter lets it through.
    shown: bool,
    /// Width of its widest operation with the branches of the tree before it, in columns.
    pub width: usize,
}

/// All chains that are held.
#[derive(Debug, Default)]
pub(in crate::tui) struct ChainStore {
    all: Vec<HeldChain>,
    /// Index of a chain by the uid of its root.
    roots: HashMap<Uid, usize>,
    /// Uid of the root by that of each hop.
    members: HashMap<Uid, Uid>,
    /// Chains that the filter hides.
    pub hidden: usize,
    /// The filter has changed, and only so many of the first chains were looked at since.
    filtered: Option<usize>,
    /// Chains that were evicted.
    pub evicted: u64,
    /// Grows whenever other chains are shown than before.
    pub generation: u64,
    /// The sum of everything that came, including calls without a chain and evicted chains.
    summary: Summary,
}

impl ChainStore {
    /// Takes chains, each of which comes once. A chain of a single call is only counted in the sum.
    pub(in crate::tui) fn put(&mut self, chains: Vec<Chain>, matcher: &Matcher) {
        self.generation += 1;
        for chain in chains {
            self.summary.add(&chain);
            if chain.hops.len() < 2 {
                continue;
            }
            let root = chain.root().uid;
            self.members.extend(chain.hops.iter().map(|hop| (hop.call.uid, root)));
            if self.all.len() >= LIMIT {
                self.make_room();
            }
            self.roots.insert(root, self.all.len());
            let shown = matcher.chain_matches(&chain);
            self.hidden += usize::from(!shown);
            self.all.push(HeldChain { shown, width: width(&chain), chain });
        }
    }

    /// Puts the same call with its bodies in the place of one that is held.
    pub(in crate::tui) fn replace(&mut self, call: &Arc<Call>) {
        let root = self.members.get(&call.uid).and_then(|root| self.roots.get(root));
        let Some(held) = root.and_then(|at| self.all.get_mut(*at)) else { return };
        if let Some(hop) = held.chain.hops.iter_mut().find(|hop| hop.call.uid == call.uid) {
            hop.call = Arc::clone(call).into();
        }
    }

    /// The filter has changed: [`Self::filter_on`] applies it, some chains at a time.
    pub(in crate::tui) fn filter(&mut self) {
        self.filtered = Some(0);
    }

    /// Whether there are chains that were not looked at since the filter changed.
    pub(in crate::tui) fn is_behind(&self) -> bool {
        self.filtered.is_some()
    }

    /// Applies a changed filter to the next chains. Whether it is applied to all of them with that.
    pub(in crate::tui) fn filter_on(&mut self, matcher: &Matcher, slice: &mut Slice) -> bool {
        let Some(mut at) = self.filtered.take() else { return false };
        while let Some(held) = self.all.get_mut(at) {
            if !slice.has_room() {
                self.filtered = Some(at);
                return false;
            }
            let shown = matcher.chain_matches(&held.chain);
            self.hidden = self.hidden + usize::from(!shown) - usize::from(!held.shown);
            held.shown = shown;
            at += 1;
        }
        self.generation += 1;
        true
    }

    /// Chains that are held, hidden ones too.
    pub(in crate::tui) fn held(&self) -> usize {
        self.all.len()
    }

    /// The chains that the filter lets through.
    pub(in crate::tui) fn shown(&self) -> impl Iterator<Item = &HeldChain> {
        self.all.iter().filter(|held| held.shown)
    }

    /// The chain with this root.
    pub(in crate::tui) fn by_root(&self, root: Uid) -> Option<&Chain> {
        self.all.get(*self.roots.get(&root)?).map(|held| &held.chain)
    }

    /// The chain of a call, and the index of the call's hop.
    pub(in crate::tui) fn of(&self, uid: Uid) -> Option<(&Chain, usize)> {
        let chain = self.by_root(*self.members.get(&uid)?)?;
        Some((chain, chain.find(uid)?))
    }

    /// All calls of the chain of a call.
    pub(in crate::tui) fn calls(&self, uid: Uid) -> Vec<Arc<Call>> {
        let hops = self.of(uid).map_or(&[][..], |(chain, _)| &chain.hops);
        hops.iter().map(|hop| hop.call.shared()).collect()
    }

    /// The caller of a call as the service graph names it: the service whose call caused it, where that is known.
    pub(in crate::tui) fn caller(&self, call: &Call) -> String {
        self.of(call.uid).map_or_else(|| summary::outside(call), |(chain, hop)| summary::ends(chain, hop).0)
    }

    /// The sum of everything that came; under a filter, of the chains that are held and shown.
    pub(in crate::tui) fn sum(&self, matcher: &Matcher) -> Cow<'_, Summary> {
        if !matcher.has_filter() {
            return Cow::Borrowed(&self.summary);
        }
        let mut sum = Summary::default();
        self.shown().for_each(|held| sum.add(&held.chain));
        Cow::Owned(sum)
    }

    /// An example of a change: the one it names or, if that was evicted, one in another chain.
    pub(in crate::tui) fn example(&self, turn: &Turn) -> Option<Uid> {
        if self.of(turn.example).is_some() {
            return Some(turn.example);
        }
        let same =
            |other: &Turn| (&other.from, &other.to, other.is_sure) == (&turn.from, &turn.to, turn.is_sure);
        let mut chains = self.all.iter().map(|held| &held.chain);
        let example =
            chains.find_map(|chain| summary::turns(chain).chain(summary::doubtful(chain)).find(same));
        example.map(|other| other.example)
    }

    fn make_room(&mut self) {
        // Other chains stand in the places that were looked at.
        self.filtered = self.filtered.map(|_| 0);
        let mut surplus = LIMIT / 8;
        for failed_too in [false, true] {
            self.all.retain(|held| {
                let failed = held.chain.hops.iter().any(|hop| hop.call.failed());
                let evict = surplus > 0 && (failed_too || !failed);
                surplus -= usize::from(evict);
                self.evicted += u64::from(evict);
                self.hidden -= usize::from(evict && !held.shown);
                !evict
            });
        }
        let roots = self.all.iter().enumerate().map(|(index, held)| (held.chain.root().uid, index));
        self.roots = roots.collect();
        self.members.retain(|_, root| self.roots.contains_key(root));
    }
}

fn width(chain: &Chain) -> usize {
    let name = |hop: &Hop| text::width(&text::escape(&Operation(&hop.call).to_string()));
    chain.hops.iter().map(|hop| hop.depth as usize * 2 + name(hop)).max().unwrap_or(0)
}
