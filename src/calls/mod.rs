//! From messages to classified calls: pairing, the call record, the one function that decides a class.

pub mod keys;
pub mod record;
#[cfg(test)]
pub(crate) mod sample;

pub use record::{Call, CallKind, Carrier, Class, Finding, Findings, Initiator, Uid, Verdict};
