//! Which call caused which, where an error began, and how each hop changed it.
//!
//! [`Chain`] is a tree of calls with its judgement. This folder keeps three questions apart: who caused a call
//! (evidence and assignment), what the tree says about the error (origin and changes), and how it is said (sentence).

mod record;
mod sentence;

pub use record::{Chain, Change, Evidence, EvidenceSet, Hop, Link, Operation, Origin, Outcome};
