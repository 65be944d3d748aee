//! Moves of several calls at once, which single draws reach only through unlikely states.

use smallvec::SmallVec;

use super::{NONE, Sampler};

/// Most calls of two parents that are exchanged at once.
const MAX_CROSSED: usize = 32;

impl Sampler<'_> {
    /// The edge between a parent and a child.
    fn edge(&self, parent: u32, child: u32) -> Option<u32> {
        self.edges(child).iter().copied().find(|&edge| self.window.edges[edge as usize].parent == parent)
    }

    /// Tries to exchange a child with one of another parent, or with one that has none.
    pub(super) fn exchange(&mut self, child: u32, temperature: f64) {
        let a = self.parent[child as usize];
        let pick = self.random.below(self.edges(child).len());
        let edge = self.window.edges[self.edges(child)[pick] as usize];
        let b = edge.parent;
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
        let weight = |sampler: &Self, parent: u32, child: u32| {
            sampler
                .edge(parent, child)
                .map_or(0.0, |edge| f64::from(sampler.window.edges[edge as usize].weight))
        };
        let exchanged = |calls: &[u32], out: u32, into: u32| {
            let mut calls: SmallVec<[u32; 16]> = calls.iter().copied().filter(|&call| call != out).collect();
            calls.insert(calls.partition_point(|&call| call < into), into);
            calls
        };
        self.discount_stray(child);
        self.discount_stray(other);
        let mut gain = weight(self, b, child) - weight(self, b, other);
        gain += self.fits_connection(child, b) - self.fits_connection(child, a);
        gain += self.fits_connection(other, a) - self.fits_connection(other, b);
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
            gain += weight(self, a, other) - weight(self, a, child);
        }
        if self.random.unit().ln() < gain / temperature {
            self.replace(b, new_b.to_vec());
            if a != NONE {
                self.replace(a, new_a.to_vec());
            }
            self.parent[child as usize] = b;
            self.parent[other as usize] = a;
        }
        let (parent, of_other) = (self.parent[child as usize], self.parent[other as usize]);
        self.count_stray(child, parent);
        self.count_stray(other, of_other);
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
        let weight = |sampler: &Self, parent: u32, child: u32| {
            sampler.edge(parent, child).map(|edge| f64::from(sampler.window.edges[edge as usize].weight))
        };
        let mut gain = 0.0;
        for (calls, from, to) in [(tail_a, a, b), (tail_b, b, a)] {
            for &call in calls {
                if self.settled(call).is_some() {
                    return;
                }
                let (Some(old), Some(new)) = (weight(self, from, call), weight(self, to, call)) else {
                    return;
                };
                gain += new - old;
            }
        }
        let (calls_a, calls_b) = (calls_a.clone(), calls_b.clone());
        let (tail_a, tail_b) = (&calls_a[from_a..], &calls_b[from_b..]);
        let new_a: Vec<u32> = calls_a[..from_a].iter().chain(tail_b).copied().collect();
        let new_b: Vec<u32> = calls_b[..from_b].iter().chain(tail_a).copied().collect();
        for (calls, from, to) in [(tail_a, a, b), (tail_b, b, a)] {
            for &call in calls {
                self.discount_stray(call);
                gain += self.fits_connection(call, to) - self.fits_connection(call, from);
            }
        }
        gain += self.gain_by(b, &calls_b, &new_b);
        gain += self.gain_by(a, &calls_a, &new_a);
        if self.random.unit().ln() < gain / temperature {
            for (calls, to) in [(tail_a, b), (tail_b, a)] {
                for &call in calls {
                    self.parent[call as usize] = to;
                }
            }
            self.replace(b, new_b);
            self.replace(a, new_a);
        }
        for &call in tail_a.iter().chain(tail_b) {
            let parent = self.parent[call as usize];
            self.count_stray(call, parent);
        }
    }
}
