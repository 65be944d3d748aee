//! Moves of several calls at once, which single draws reach only through unlikely states.

use smallvec::SmallVec;

use super::{NONE, Owner, Sampler};

/// Most calls of two parents that are exchanged at once.
const MAX_CROSSED: usize = 32;

impl Sampler<'_> {
    /// The edge between a parent and a child.
    fn edge(&self, parent: u32, child: u32) -> Option<u32> {
        self.edges(child).iter().copied().find(|&edge| self.window.edges[edge as usize].parent == parent)
    }

    /// The weight of an edge; 0 of none.
    fn weight(&self, edge: Option<u32>) -> f64 {
        edge.map_or(0.0, |edge| f64::from(self.window.edges[edge as usize].weight))
    }

    /// The tallies of who owns the connection of a child with that edge.
    fn owner_of(&self, child: u32, edge: Option<u32>) -> Owner {
        edge.map_or(self.strays[child as usize].owner, |edge| self.owners[edge as usize])
    }

    /// Tries to exchange a child with one of another parent, or with one that has none.
    pub(super) fn exchange(&mut self, child: u32, temperature: f64) {
        let a = self.parent[child as usize];
        let pick = self.random.below(self.edges(child).len());
        let index = self.edges(child)[pick];
        let b = self.window.edges[index as usize].parent;
        if a == b {
            return;
        }
        let service = self.window.facts[child as usize].service;
        let others: SmallVec<[u32; 16]> = self.calls[b as usize]
            .iter()
            .copied()
            .filter(|&other| {
                self.window.facts[other as usize].service == service
                    && self.settled(other).is_none()
                    && (a == NONE || self.edge(a, other).is_some())
            })
            .collect();
        if others.is_empty() {
            return;
        }
        let other = others[self.random.below(others.len())];
        let (child_from, other_from) = (self.edge(a, child), self.edge(b, other));
        let other_to = self.edge(a, other);
        let exchanged = |calls: &[u32], out: u32, into: u32| {
            let mut calls: SmallVec<[u32; 16]> = calls.iter().copied().filter(|&call| call != out).collect();
            calls.insert(calls.partition_point(|&call| call < into), into);
            calls
        };
        self.discount_stray(child);
        self.discount_stray(other);
        let mut gain = self.weight(Some(index)) - self.weight(other_from);
        let (child_was, child_would) = (self.owned[child as usize], self.owner_of(child, Some(index)));
        let (other_was, other_would) = (self.owned[other as usize], self.owner_of(other, other_to));
        gain += self.fits_owner(child, child_would) - self.fits_owner(child, child_was);
        gain += self.fits_owner(other, other_would) - self.fits_owner(other, other_was);
        let calls_b = std::mem::take(&mut self.calls[b as usize]);
        let new_b = exchanged(&calls_b, other, child);
        gain += self.gain_by(b, &calls_b, &new_b);
        self.calls[b as usize] = calls_b;
        let mut new_a = SmallVec::new();
        if a == NONE {
            gain += self.stray_rate(other) - self.stray_rate(child);
        } else {
            let calls_a = std::mem::take(&mut self.calls[a as usize]);
            new_a = exchanged(&calls_a, child, other);
            gain += self.gain_by(a, &calls_a, &new_a);
            self.calls[a as usize] = calls_a;
            gain += self.weight(other_to) - self.weight(child_from);
        }
        if self.random.unit().ln() < gain / temperature {
            self.replace(b, new_b.to_vec());
            if a != NONE {
                self.replace(a, new_a.to_vec());
            }
            self.parent[child as usize] = b;
            self.parent[other as usize] = a;
            self.count_owned(child, b, child_would);
            self.count_owned(other, a, other_would);
        } else {
            self.count_owned(child, a, child_was);
            self.count_owned(other, b, other_was);
        }
    }

    /// Tries to exchange all calls of two parents from some time on: where calls follow each other, one wrong step makes all
    /// later ones wrong.
    pub(super) fn cross(&mut self, child: u32, temperature: f64) {
        let a = self.parent[child as usize];
        let pick = self.random.below(self.edges(child).len());
        let b = self.window.edges[self.edges(child)[pick] as usize].parent;
        if a == b || a == NONE {
            return;
        }
        let (calls_a, calls_b) = (&self.calls[a as usize], &self.calls[b as usize]);
        let (from_a, from_b) =
            (calls_a.partition_point(|&call| call < child), calls_b.partition_point(|&call| call < child));
        let (tail_a, tail_b) = (&calls_a[from_a..], &calls_b[from_b..]);
        if tail_a.len() + tail_b.len() < 2 || tail_a.len() + tail_b.len() > MAX_CROSSED {
            return;
        }
        let mut gain = 0.0;
        let mut moved: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        for (calls, from, to) in [(tail_a, a, b), (tail_b, b, a)] {
            for &call in calls {
                if self.settled(call).is_some() {
                    return;
                }
                let (Some(old), Some(new)) = (self.edge(from, call), self.edge(to, call)) else {
                    return;
                };
                gain += self.weight(Some(new)) - self.weight(Some(old));
                moved.push((call, new));
            }
        }
        let (calls_a, calls_b) = (calls_a.clone(), calls_b.clone());
        let (tail_a, tail_b) = (&calls_a[from_a..], &calls_b[from_b..]);
        let new_a: Vec<u32> = calls_a[..from_a].iter().chain(tail_b).copied().collect();
        let new_b: Vec<u32> = calls_b[..from_b].iter().chain(tail_a).copied().collect();
        for &(call, to) in &moved {
            self.discount_stray(call);
            let would = self.owner_of(call, Some(to));
            gain += self.fits_owner(call, would) - self.fits_owner(call, self.owned[call as usize]);
        }
        gain += self.gain_by(b, &calls_b, &new_b);
        gain += self.gain_by(a, &calls_a, &new_a);
        if self.random.unit().ln() < gain / temperature {
            for &(call, to) in &moved {
                self.parent[call as usize] = self.window.edges[to as usize].parent;
                self.owned[call as usize] = self.owner_of(call, Some(to));
            }
            self.replace(b, new_b);
            self.replace(a, new_a);
        }
        for &(call, _) in &moved {
            let parent = self.parent[call as usize];
            self.tally_stray(call, parent, 1.0);
        }
    }
}
