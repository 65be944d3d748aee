//! Which call caused which, where an error began, and how each hop changed it.
//!
//! [`Engine`] takes calls and gives [`Chain`]s. Three questions are kept apart: who caused a call (`candidates` weighs the
//! evidence, `assign` lets time decide where a choice is left), what the tree says about the error (`judge`), and how
//! that is said (`sentence`).

mod assign;
mod candidates;
mod connections;
mod engine;
mod judge;
mod members;
mod record;
mod sentence;
pub mod summary;
mod traits;
mod wording;

pub use engine::{Engine, Method, Options};
pub use record::{Chain, Change, Evidence, EvidenceSet, Hop, Link, Operation, Origin, Outcome};
pub use summary::Summary;
