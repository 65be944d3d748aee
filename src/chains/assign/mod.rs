//! Assigns calls to the calls that caused them, by time and by the weight of other evidence.
//!
//! Each parent is an independent walk over events: its request arrives, it makes its calls in some order, it answers. The
//! distribution of the time of each step is learnt from the traffic itself ([`gaps`], [`seed`]), without labels. Parents compete
//! for children. Message passing over all of them at once resolves the competition ([`factor_graph`]): the price of a child for
//! one parent is what all other parents, seen and unseen, offer for it. The result is a probability for each pair, so that
//! ambiguity stays visible.
//!
//! Walking a parent's events is the idea of TraceWeaver (SIGCOMM 2024). The assignment is the sum-product message passing of data
//! association in tracking (Williams and Lau, IEEE TAES 2014), with a forward-backward pass per parent ([`trellis`]) in place of
//! a single factor. [`baselines`] holds the simple methods that it must not lose against.

use std::sync::Arc;

mod background_rate;
pub(super) mod baselines;
mod factor_graph;
mod fifo;
mod followers;
mod gaps;
mod model_selection;
mod parallel_model;
mod parts;
mod sampler;
mod seed;
mod solve;
mod steps;
mod trellis;

pub(super) use solve::{TimingModel, solve};

/// A call as the assignment sees it: its times, its class and its host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds; equal to `start` if the end is unknown.
    pub(crate) end: i64,
    /// Its operation: calls of one class are expected to behave alike.
    pub(crate) class: u32,
    /// The host that it is an event of: for a parent the callee's, for a child the caller's.
    pub(crate) host: u32,
}

/// A possible pair of parent and child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// Index in [`Window::parents`].
    pub(crate) parent: u32,
    /// Index in [`Window::children`].
    pub(crate) child: u32,
    /// Log-likelihood ratio of all evidence but time, true pair against any pair.
    pub(crate) weight: f32,
}

/// How a call ended, as far as times and outcomes of others depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an answer that is no error.
    #[default]
    Fine,
    /// With an error as its answer.
    Failed,
    /// Without an answer; when the caller or the connection gave up is known.
    Broken,
    /// Without an answer; when it ended is not known.
    Open,
}

/// What is known of a call but its times, as numbers that are dense within the window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// Service, and the port that it listens at.
    pub(crate) service: u32,
    /// Service and method.
    pub(crate) operation: u32,
    /// Connection.
    pub(crate) connection: u32,
    /// Class and code; 0 if it did not fail.
    pub(crate) outcome: u32,
    /// Code of the error.
    pub(crate) code: Option<i64>,
    /// Text of the error; 0 if there is none.
    pub(crate) text: u32,
    /// How it ended.
    pub(crate) ending: Ending,
    /// When its caller opened a connection for it, if it did, nanoseconds.
    pub(crate) opened: Option<i64>,
    /// Whether it failed.
    pub(crate) failed: bool,
}

/// The input of an assignment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Calls that may have caused others, by start.
    pub(crate) parents: Vec<Span>,
    /// Calls that may have been caused, by start.
    pub(crate) children: Vec<Span>,
    /// Possible pairs, by parent, then by child.
    pub(crate) edges: Vec<Edge>,
    /// What else is known of each call; only the sampler asks.
    pub(crate) facts: Vec<Facts>,
    /// Texts of errors, by their numbers in [`Facts`], of which the first contains the second.
    pub(crate) related: Arc<hashbrown::HashSet<(u32, u32), foldhash::fast::FixedState>>,
    /// By child: whether it is linked jointly with all others of its host, by sampling.
    pub(crate) joint: Vec<bool>,
}

impl Window {
    /// Whether the text of a parent's error contains that of a child's.
    fn is_related(&self, parent: u32, child: u32) -> bool {
        self.related.contains(&(self.facts[parent as usize].text, self.facts[child as usize].text))
    }

    /// The edges by child: where the edges of each child begin (one entry more than there are children), and their indices.
    fn by_child(&self) -> (Vec<u32>, Vec<u32>) {
        let mut firsts = vec![0_u32; self.children.len() + 1];
        self.edges.iter().for_each(|edge| firsts[edge.child as usize + 1] += 1);
        for child in 0..self.children.len() {
            firsts[child + 1] += firsts[child];
        }
        let mut next = firsts.clone();
        let mut edges = vec![0; self.edges.len()];
        for (index, edge) in self.edges.iter().enumerate() {
            let at = &mut next[edge.child as usize];
            edges[*at as usize] = index as u32;
            *at += 1;
        }
        (firsts, edges)
    }
}

/// Weight of a pair that other evidence has settled: its parent's walk goes through it, whatever the times say.
pub(crate) const SETTLED: f32 = 25.0;

/// The answer to a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solution {
    /// By child.
    pub(crate) beliefs: Vec<Belief>,
    /// By edge: its probability. Empty where only the beliefs are known.
    pub(crate) shares: Vec<f32>,
}

/// The most probable parent of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Belief {
    /// Index of the most probable edge; `None` if the child most probably has no captured parent.
    pub(crate) edge: Option<u32>,
    /// Its probability.
    pub(crate) probability: f64,
}
