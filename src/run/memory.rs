//! How the bound of `--max-memory` is divided among what a run keeps.
//!
//! Each part has a bound of its own, so that none can take what another needs, and what is shed depends on the input alone.

use crate::cli::Input;
use crate::flow::Limits;

/// The program itself, batches of packets on their way, and buffers of outputs, in bytes.
const PROGRAM: usize = 24 << 20;

/// What a live run takes in addition: the kernel's buffer, and packets that wait for the analysis.
const LIVE: usize = 24 << 20;

/// Estimated memory of a call that waits to be linked, with its headers, in bytes.
pub(super) const LINKED: usize = 2048;

/// Calls that are linked at a time unless `--max-memory` says how much room there is: more find few causes that these do not.
const WINDOW: usize = 28_000;

/// Bytes for each part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections, reassembly, sessions, and calls that wait for their answers.
    pub(super) connections: usize,
    /// Calls that wait to be linked into chains.
    pub(super) linking: usize,
    /// Calls that the interface shows.
    pub(super) history: usize,
    /// The last packets of a live run, for what is shown of one call.
    pub(super) packets: usize,
}

impl Shares {
    fn room(input: &Input) -> usize {
        let live = if input.interfaces.is_empty() { 0 } else { LIVE };
        input.memory().saturating_sub(PROGRAM + live)
    }

    /// For the windows of files that are being unpacked, which come out of what connections have: as much as these have in the
    /// interface, and never less than what decoders should support (RFC 8878, section 3.1.1.1.2).
    pub(super) fn unpacking(input: &Input) -> u64 {
        (Self::room(input) as u64 / 8 * 3).max(8 << 20)
    }

    /// For the secrets of TLS, as they are looked up: a quarter (docs/limits.md).
    pub(super) fn secrets(input: &Input) -> usize {
        Self::room(input) / 4
    }

    /// For the text of secrets that files carry, which comes out of what connections have.
    pub(super) fn carried_secrets(input: &Input) -> usize {
        Self::room(input) / 16
    }

    /// For a command that only pairs calls.
    pub(super) fn of_calls(input: &Input) -> Self {
        Self { connections: Self::room(input), linking: 0, history: 0, packets: 0 }
    }

    /// For a command that links them.
    pub(super) fn of_chains(input: &Input) -> Self {
        let half = Self::room(input) / 2;
        Self { connections: half, linking: half, history: 0, packets: 0 }
    }

    /// For the live interface.
    pub(super) fn of_interface(input: &Input) -> Self {
        let part = Self::room(input) / 8;
        let packets = if input.interfaces.is_empty() { 0 } else { part };
        Self { connections: 3 * part, linking: 2 * part, history: 3 * part - packets, packets }
    }

    /// For the records of other hosts.
    pub(super) fn of_records(input: &Input) -> usize {
        Self::room(input)
    }

    /// Bounds of the table of connections.
    pub(super) fn limits(self) -> Limits {
        Limits::within(self.connections)
    }

    /// Most calls that wait to be linked.
    pub(super) fn max_linked(self) -> usize {
        self.linking / LINKED
    }

    /// Most calls that wait to be linked where only their chains are kept.
    pub(super) fn window(self, input: &Input) -> usize {
        if input.max_memory.is_some() { self.max_linked() } else { self.max_linked().min(WINDOW) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_within_the_bound() {
        for interfaces in [Vec::new(), vec!["lo".to_owned()]] {
            for max_memory in [64 << 20, 256 << 20, 4 << 30] {
                let input = Input {
                    interfaces: interfaces.clone(),
                    max_memory: Some(max_memory),
                    ..Input::default()
                };
                for shares in
                    [Shares::of_calls(&input), Shares::of_chains(&input), Shares::of_interface(&input)]
                {
                    let Shares { connections, linking, history, packets } = shares;
                    let sum = connections + linking + history + packets;
                    assert!(sum <= max_memory && sum > max_memory / 8, "{shares:?}");
                    let limits = shares.limits();
                    assert!(limits.memory + limits.total_bytes < connections, "{limits:?}");
                }
            }
        }
    }
}
