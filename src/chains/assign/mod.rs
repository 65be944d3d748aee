//! Assigning calls to the calls that caused them, by time and by what the other evidence is worth.
//!
//! Each parent is an independent walk over events: its request arrives, it makes its calls in some order, it answers. The
//! time of each step has a distribution that is learnt from the traffic itself ([`gaps`], [`seed`]), without knowing who
//! belongs to whom. Parents compete for children; a message passing over all of them at once settles it ([`trellis`]):
//! a child is worth to a parent what no other parent and no unseen one offers for it. The outcome is a probability for
//! each pair, so that what can't be known shows.
//!
//! The idea of walking a parent's events is TraceWeaver's (SIGCOMM 2024); the assignment is the sum-product message passing
//! that data association in tracking uses (Williams and Lau, IEEE TAES 2014), with a forward-backward pass per parent
//! where that has a single factor. [`rivals`] holds the simple methods that it must not lose against.

mod choice;
mod gaps;
mod idle;
mod order;
mod part;
pub(super) mod rivals;
mod seed;
mod solve;
mod star;
mod steps;
mod trellis;

pub(super) use solve::{Model, solve};

/// A call as the assignment sees it: only its times and its class matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds; equal to `start` where the end is not known.
    pub(crate) end: i64,
    /// Which operation it is: calls of one class are expected to behave alike.
    pub(crate) class: u32,
    /// The host whose events it belongs to: of a parent the callee's, of a child the caller's.
    pub(crate) place: u32,
}

/// A possible pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// Index in [`Window::parents`].
    pub(crate) parent: u32,
    /// Index in [`Window::children`].
    pub(crate) child: u32,
    /// Logarithm of what all evidence but time is worth: how much likelier it is seen of a true pair.
    pub(crate) weight: f32,
}

/// What is to be assigned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Calls that may have caused others, by start.
    pub(crate) parents: Vec<Span>,
    /// Calls that may have been caused, by start.
    pub(crate) children: Vec<Span>,
    /// Possible pairs, by parent, then by child.
    pub(crate) edges: Vec<Edge>,
}

impl Window {
    /// The edges by child: where those of each child begin (one more than there are children), and their places.
    fn by_child(&self) -> (Vec<u32>, Vec<u32>) {
        let mut firsts = vec![0_u32; self.children.len() + 1];
        self.edges.iter().for_each(|edge| firsts[edge.child as usize + 1] += 1);
        for child in 0..self.children.len() {
            firsts[child + 1] += firsts[child];
        }
        let mut next = firsts.clone();
        let mut edges = vec![0; self.edges.len()];
        for (index, edge) in self.edges.iter().enumerate() {
            let place = &mut next[edge.child as usize];
            edges[*place as usize] = index as u32;
            *place += 1;
        }
        (firsts, edges)
    }
}

/// Weight of a pair that is settled by other means: the walk of its parent goes through it, whatever the times say.
pub(crate) const SETTLED: f32 = 25.0;

/// What is believed of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Belief {
    /// Index of the edge that is believed most; `None` where the child is best left alone.
    pub(crate) edge: Option<u32>,
    /// Probability of that.
    pub(crate) probability: f64,
}
