//! From messages to classified calls: pairing, the call record, the one function that decides a class.

pub mod carrier;
pub mod class;
pub mod dedup;
pub mod details;
mod family;
pub mod finding;
pub mod identities;
pub mod intervals;
pub mod join_key;
pub mod keys;
pub mod labels;
pub mod likely;
pub mod marks;
pub mod member;
pub mod names;
pub mod outcome;
pub mod pairing;
pub mod record;
mod renewal;
pub mod reported;
#[cfg(test)]
pub(crate) mod sample;
mod sender;
pub mod share;
pub mod stats;
pub mod summary;
pub mod template;
pub mod trace;

pub use carrier::Carrier;
pub use class::Class;
pub use finding::Finding;
pub use join_key::JoinKey;
pub use outcome::Outcome;
pub use record::{Call, CallKind, Findings, Initiator, Uid};
pub use share::Share;
