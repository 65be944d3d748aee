//! Chains over the records of many hosts.
//!
//! Each host has linked its own calls ([`Call::parent_key`]), and several hosts may have seen one call. Here the observations of each
//! call are joined (`observations`, behind NAT `aliases`), parents are followed up to roots (`trees`), and every tree is judged as those of one
//! capture are: the rules of origins and changes are in `judge` alone.
//!
//! What is said of a tree follows from its own records: not from their order, and not from the other trees in the
//! stream. So a stream can be divided by root, and the parts be judged apart.

mod aliases;
mod observations;
mod trees;

#[cfg(test)]
mod tests;

use super::record::Chain;
use crate::calls::Call;
use crate::payload::Payload;
use crate::text;

/// Memory of a call beside its texts: itself, its boxes, and its place in the tree.
const CALL: usize = size_of::<Call>() + 320;

/// How many times the bound failed calls may take, because chains are about them.
const FAILED_ROOM: (usize, usize) = (5, 4);

/// What the records did not have, or said wrongly; numbers of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// That were taken.
    pub taken: u64,
    /// That name a parent.
    pub linked: u64,
    /// Whose parent is in none of the records.
    pub orphans: u64,
    /// That were taken off a circle of parents.
    pub circles: u64,
    /// That are deeper than a chain may be, and begin one of their own.
    pub deep: u64,
    /// Records that came twice.
    pub repeated: u64,
    /// Records of one call beyond the most that are joined, or of another connection than the call's.
    pub unfit: u64,
    /// That agents had not linked yet.
    pub unlinked: u64,
    /// Left out for lack of memory: that were fine, and that failed.
    pub left_out: [u64; 2],
}

/// A call as a host saw it. Boxed: calls are large, and are sorted.
type Record = Box<Call>;

/// Holds the records until all have come.
#[derive(Debug)]
pub struct Fleet {
    calls: Vec<Record>,
    /// Bytes that the calls may take.
    room: usize,
    taken: usize,
    counts: Counts,
}

impl Fleet {
    /// With about so many bytes for calls.
    #[must_use]
    pub fn within(room: usize) -> Self {
        Self { calls: Vec::new(), room, taken: 0, counts: Counts::default() }
    }

    /// Takes a record, in any order.
    pub fn call(&mut self, call: Box<Call>) {
        let failed = call.failed();
        let room = if failed { self.room / FAILED_ROOM.1 * FAILED_ROOM.0 } else { self.room };
        let memory = memory(&call);
        if self.taken + memory > room {
            self.counts.left_out[usize::from(failed)] += 1;
            return;
        }
        self.taken += memory;
        self.counts.taken += 1;
        self.counts.linked += u64::from(call.parent_key.is_some());
        self.calls.push(call);
    }

    /// So many of the calls come from agents that link them later.
    pub fn expect_links(&mut self, calls: u64) {
        self.counts.unlinked += calls;
    }

    /// Judges all trees, in the order in which their roots began.
    pub fn finish(self, out: &mut dyn FnMut(Chain)) -> Counts {
        let mut counts = self.counts;
        let calls = observations::join_all(self.calls, &mut counts);
        trees::judge_all(calls, &mut counts, out);
        counts
    }
}

/// Memory that a call takes, in bytes.
fn memory(call: &Call) -> usize {
    let message = call.outcome.message.as_ref().map_or(0, |text| text.len());
    let headers = call
        .metadata
        .iter()
        .map(|(_, name, text)| size_of::<(bool, String, String)>() + name.len() + text.len());
    let bodies = call.bodies.as_ref().map_or(0, |bodies| Payload::memory(&bodies.payload));
    CALL + message + headers.sum::<usize>() + bodies
}

impl Counts {
    /// What a person has to know of it.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let Self { taken, linked, orphans, circles, deep, repeated, unfit, unlinked, left_out } = *self;
        let [fine, failed] = left_out;
        let about =
            |count: u64, what: &str| (count > 0).then(|| format!("{}{what}", text::counted(count, "call")));
        let all_alone = (taken > 0 && linked == 0 && unlinked == 0).then(|| {
            "no record names a parent, so that each call is a chain of its own: rpcscope calls --link makes the links on each host"
                .to_owned()
        });
        let parts =
            if failed > 0 { format!(", {} of them failed,", text::thousands(failed)) } else { String::new() };
        [
            all_alone,
            about(
                orphans,
                " whose parent is in none of the records (parent-missing): their chains begin below it",
            ),
            about(circles, " named as causes of each other: one link of each circle is left out"),
            about(deep, " too deep in a chain, which begin chains of their own"),
            (repeated > 0)
                .then(|| format!("{} repeated: each counts once", text::counted(repeated, "record"))),
            (unfit > 0).then(|| {
                let records = text::counted(unfit, "record");
                format!("{records} left out: too many of one call, or of another connection under its key")
            }),
            about(fine + failed, &format!("{parts} left out: there is no memory for them (--max-memory)")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
