//! Which call caused which, where an error began, and how each hop changed it.
//!
//! [`Engine`] turns calls into [`Chain`]s. Three questions are kept apart: who caused a call (`candidates` weighs the evidence,
//! `assign` decides by time where a choice is left), what the tree says about the error (`judge`), and how to say so in words
//! (`sentence`).
//!
//! [`fleet::Fleet`] makes chains of records of many hosts, each of which has linked its own calls.

mod assign;
mod bearers;
mod by_id;
mod candidates;
mod connections;
mod engine;
mod facts;
pub mod fleet;
mod held;
mod hints;
mod judge;
mod kept;
mod members;
mod record;
mod rivals;
mod sentence;
mod settle;
mod stray;
pub mod summary;
#[cfg(test)]
mod testing;
mod traits;
mod wording;

#[cfg(test)]
pub(crate) use engine::Step;
pub use engine::{Engine, Method, Options, is_recent};
pub use hints::{CallHint, Hints};
pub use kept::Kept;
pub use record::{Chain, Change, Evidence, EvidenceSet, FACT, Hop, Link, Operation, Origin, Reported, Rival};
pub use summary::Summary;
