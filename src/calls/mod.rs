//! From messages to classified calls: pairing, the call record, the one function that decides a class.

pub mod copies;
pub mod details;
pub mod keys;
pub mod names;
pub mod outcome;
pub mod pairing;
pub mod record;
#[cfg(test)]
pub(crate) mod sample;
pub mod sentence;
pub mod stats;
pub mod trace;
pub mod words;

pub use record::{Call, CallKind, Carrier, Class, Finding, Findings, Initiator, Uid, Verdict};
